//! Holds in parts, orders that are divided by rules, wait and are moved, and counting in sessions. On every way a ledger
//! is kept.

#[path = "support/shop.rs"]
#[expect(dead_code, reason = "other tests use the rest")]
mod shop;

use onhand_engine::{CommitError, verify};
use onhand_ledger::answer::{HeldLine, LineAnswer};
use onhand_ledger::command::{
    ApplySession, CancelOrder, Content, Document, ExtendHold, Line, LinePart, LineQuantity, Name,
    OpenSession, OrderContent, OrderContentLine, PlaceHold, PlaceOrder, PutItem, PutLocation, Reallocate,
    Receive, ReleaseLines, SetAllocation, SetOwnership, ShipmentContent, ShipmentLine, Sight, Sighting,
    Source, Threshold,
};
use onhand_ledger::model::{Cause, Order, Parcels, Recount};
use onhand_ledger::{
    Answer, Body, Command, HoldId, Key, Money, OrderId, Quantity, Refusal, SessionId, StockState, TenantId,
    Value,
};
use shop::{Shop, each_way, time, units};

const TENANT: TenantId = TenantId::DEFAULT;

fn place(shop: &Shop, code: &str, rank: u32) {
    shop.tell(Body::PutLocation(PutLocation {
        code: code.to_owned(),
        rank: Some(rank),
        ..PutLocation::default()
    }));
}

fn receive(shop: &Shop, location: &str, lines: Vec<Line>) {
    let (location, lines) = (location.to_owned(), lines);
    shop.tell(Body::Receive(Receive { location, lines, occurred_at: None, reason: None }));
}

fn lines(lines: &[(&str, i64)]) -> Vec<Line> {
    lines.iter().flat_map(|(sku, quantity)| units(sku, *quantity)).collect()
}

fn order(shop: &Shop, of: &[(&str, i64)]) -> Answer {
    shop.tell(Body::PlaceOrder(PlaceOrder { lines: lines(of), ..PlaceOrder::default() }))
}

fn placed(answer: &Answer) -> (OrderId, Vec<LineAnswer>) {
    match answer {
        Answer::Order(order, lines) => (*order, lines.clone()),
        other => panic!("the order was not placed: {other:?}"),
    }
}

fn refusal(answer: Answer) -> String {
    match answer {
        Answer::Refused(refusal) => refusal.to_string(),
        other => panic!("it was not refused: {other:?}"),
    }
}

/// A fact: WEB's order of some SKUs, to a region.
fn told(shop: &Shop, document: &str, version: u64, of: &[(&str, i64)], ship_to: Option<&str>) -> Answer {
    let line = |(index, (sku, quantity)): (usize, &(&str, i64))| OrderContentLine {
        line: (index + 1).to_string(),
        item: Name::Sku((*sku).to_owned()),
        quantity: Quantity::units(*quantity),
        shipped: Quantity::ZERO,
        returned: Quantity::ZERO,
        location: None,
        price: None,
    };
    let content = OrderContent {
        ship_to: ship_to.map(str::to_owned),
        lines: of.iter().enumerate().map(line).collect(),
        ..OrderContent::default()
    };
    shop.tell(Body::Record(Document {
        system: "WEB".to_owned(),
        document: document.to_owned(),
        version,
        content: Content::Order(content),
    }))
}

fn recorded(answer: &Answer) -> OrderId {
    match answer {
        Answer::Recorded { order: Some(order), .. } => *order,
        other => panic!("it was not recorded: {other:?}"),
    }
}

fn known(shop: &Shop, id: OrderId) -> Order {
    match shop.ledger.read(TENANT, |view| view.get(&Key::Order(id))).unwrap() {
        Some(Value::Order(order)) => *order,
        other => panic!("an order: {other:?}"),
    }
}

/// Where an order's lines are promised, in words: `1: PARIS 2`.
fn promised(shop: &Shop, id: OrderId) -> Vec<String> {
    let mut words = Vec::new();
    for line in known(shop, id).lines {
        for at in line.allocated {
            let code = shop.ledger.read(TENANT, |view| view.location(at.location)).unwrap().unwrap().code;
            words.push(format!("{}: {code} {}", line.line, at.quantity));
        }
    }
    words
}

fn is_sound(shop: &Shop) {
    let verified = verify(&shop.ledger, TENANT, &mut |_| {}).unwrap();
    assert_eq!(verified.violation, None);
}

// ---- holds -----------------------------------------------------------------------------------------------------

fn hold(shop: &Shop, of: &[(&str, i64)], partial: bool, until: &str) -> Answer {
    let (partial, expires_at) = (Some(partial), time(until));
    shop.tell(Body::PlaceHold(PlaceHold { lines: lines(of), location: None, expires_at, partial }))
}

fn held(answer: &Answer) -> (HoldId, Vec<(i64, i64)>) {
    let line = |line: &HeldLine| (line.quantity.whole_units(), line.kept.whole_units());
    match answer {
        Answer::Hold(hold, _, lines) => (*hold, lines.iter().map(line).collect()),
        other => panic!("no hold: {other:?}"),
    }
}

#[test]
fn an_order_without_a_reference_is_named_by_its_id() {
    each_way(|shop| {
        shop.at("08:00").receive("A", 5);
        let (id, _) = placed(&order(&shop, &[("A", 1)]));
        // Nobody else is called that.
        let again = PlaceOrder {
            lines: lines(&[("A", 1)]),
            reference: Some(id.to_string()),
            ..PlaceOrder::default()
        };
        let Answer::Refused(refused) = shop.tell(Body::PlaceOrder(again)) else {
            panic!("there are two of one name")
        };
        assert_eq!(refused, Refusal::ReferenceTaken { reference: id.to_string(), order: id });
        // A parcel that names it is its own, and opens no other.
        let line = |quantity| ShipmentLine { item: Name::Sku("A".to_owned()), quantity, lot: None };
        let shipment = ShipmentContent {
            order: Some(id.to_string()),
            order_system: Some("onhand".to_owned()),
            location: "LONDON".to_owned(),
            lines: vec![line(Quantity::ONE)],
            occurred_at: None,
        };
        shop.tell(Body::Record(Document {
            system: "WMS".to_owned(),
            document: "P-1".to_owned(),
            version: 1,
            content: Content::Shipment(shipment),
        }));
        assert_eq!((shop.total("A", StockState::Committed), shop.total("A", StockState::Available)), (0, 4));
    });
}

#[test]
fn a_hold_keeps_all_or_nothing_or_as_much_as_possible() {
    each_way(|shop| {
        receive(shop.at("10:00"), "LONDON", lines(&[("MUG", 3), ("A", 1)]));
        let all = hold(&shop, &[("MUG", 2), ("A", 2)], false, "10:30");
        assert_eq!(refusal(all), "cannot take 2 of `A`: 1 available");
        let (id, kept) = held(&hold(&shop, &[("MUG", 2), ("MUG", 2), ("A", 2), ("B", 1)], true, "10:30"));
        assert_eq!(kept, [(2, 2), (2, 1), (2, 1), (1, 0)], "the first line first");
        assert_eq!((shop.stock("MUG"), shop.stock("A")), ((0, 3, 0), (0, 1, 0)));
        let nothing = refusal(hold(&shop, &[("MUG", 1)], true, "10:30"));
        assert!(nothing.contains("0 available, 3 held until"), "{nothing}");
        // The order is for what was kept, and short of nothing.
        let (order, lines) = placed(&shop.convert(id));
        assert_eq!(lines.len(), 3);
        assert!(lines.iter().all(|line| line.short.is_zero() && line.is() == "allocated"), "{lines:?}");
        assert_eq!(known(&shop, order).lines[1].wanted, Quantity::ONE);
        assert_eq!((shop.stock("MUG"), shop.stock("A")), ((0, 0, 3), (0, 0, 1)));
        is_sound(&shop);
    });
}

#[test]
fn a_hold_is_given_another_time_to_end() {
    each_way(|shop| {
        let extend = |hold, until| shop.tell(Body::ExtendHold(ExtendHold { hold, expires_at: time(until) }));
        receive(shop.at("10:00"), "LONDON", units("MUG", 1));
        let (id, _) = held(&hold(&shop, &[("MUG", 1)], false, "10:10"));
        assert_eq!(held(&extend(id, "10:20")).1, [(1, 1)]);
        shop.at("10:15");
        assert_eq!(shop.tell(Body::Tick), Answer::Ticked(0), "it does not end when it would have");
        assert_eq!(shop.stock("MUG"), (0, 1, 0));
        // There and back: the first time is the time again.
        extend(id, "10:40");
        extend(id, "10:20");
        shop.ledger.rebuild().unwrap();
        let early = shop.keyed(None, Body::ExtendHold(ExtendHold { hold: id, expires_at: time("10:15") }));
        assert!(matches!(early, Err(CommitError::Invalid(_))), "{early:?}");
        shop.at("10:20");
        assert_eq!(shop.tell(Body::Tick), Answer::Ticked(1));
        assert!(refusal(extend(id, "10:50")).contains("has lapsed"));
        shop.at("10:41");
        assert_eq!((shop.tell(Body::Tick), shop.stock("MUG")), (Answer::Ticked(0), (1, 0, 0)));
        is_sound(&shop);
    });
}

#[test]
fn some_lines_of_a_hold_are_let_go() {
    each_way(|shop| {
        receive(shop.at("10:00"), "LONDON", lines(&[("MUG", 5), ("A", 2)]));
        let (id, _) = held(&hold(&shop, &[("MUG", 4), ("A", 2)], false, "10:30"));
        let release = |line: &str, quantity: Option<i64>| {
            let line = LinePart { line: line.to_owned(), quantity: quantity.map(Quantity::units) };
            shop.tell(Body::ReleaseLines(ReleaseLines { hold: id, lines: vec![line] }))
        };
        assert_eq!(held(&release("1", Some(1))).1, [(3, 3), (2, 2)]);
        assert_eq!(shop.stock("MUG"), (2, 3, 0));
        assert_eq!(refusal(release("1", Some(4))), format!("line `1` of hold {id} keeps 3, not 4"));
        // A count found fewer than are kept: what shall be kept is let go before what is.
        shop.count("MUG", 2, "10:00");
        assert_eq!(shop.stock("MUG"), (0, 2, 0));
        assert_eq!(held(&release("1", Some(1))).1, [(2, 2), (2, 2)]);
        assert_eq!(held(&release("2", None)).1, [(2, 2), (0, 0)]);
        assert_eq!(held(&release("1", None)).1, [(0, 0), (0, 0)]);
        assert!(refusal(release("1", None)).contains("has been released"));
        assert_eq!((shop.stock("MUG"), shop.stock("A")), ((2, 0, 0), (2, 0, 0)));
        is_sound(&shop);
    });
}

// ---- allocation ------------------------------------------------------------------------------------------------

fn allocation(shop: &Shop, set: SetAllocation) {
    let answer = shop.tell(Body::SetAllocation(set));
    assert!(matches!(answer, Answer::Rule(_)), "{answer:?}");
}

#[expect(clippy::unnecessary_wraps, reason = "as the commands take it")]
fn codes(codes: &[&str]) -> Option<Vec<Source>> {
    Some(codes.iter().map(|code| Source::Location((*code).to_owned())).collect())
}

/// LONDON, PARIS and BERLIN, by rank.
fn three(shop: &Shop) {
    for (code, rank) in [("LONDON", 1), ("PARIS", 2), ("BERLIN", 3)] {
        place(shop, code, rank);
    }
}

#[test]
fn an_order_is_allocated_from_the_nearest_location() {
    each_way(|shop| {
        three(&shop);
        for code in ["LONDON", "PARIS", "BERLIN"] {
            receive(&shop, code, units("MUG", 2));
        }
        allocation(
            &shop,
            SetAllocation {
                locations: codes(&["PARIS"]),
                regions: Some(vec![("DE".to_owned(), codes(&["BERLIN", "LONDON"]).unwrap())]),
                parcels: Some(Parcels::InOrder),
                ..SetAllocation::default()
            },
        );
        let german = recorded(&told(&shop, "1", 1, &[("MUG", 3)], Some("DE-HE")));
        assert_eq!(promised(&shop, german), ["1: BERLIN 2", "1: LONDON 1"]);
        let french = recorded(&told(&shop, "2", 1, &[("MUG", 3)], Some("FR")));
        assert_eq!(promised(&shop, french), ["1: PARIS 2", "1: LONDON 1"], "and then the others by rank");
        // A rule of the system's own; and no rule any more.
        let street = Body::PlaceOrder(PlaceOrder {
            lines: units("MUG", 1),
            ship_to: Some("Unter den Linden 1".to_owned()),
            ..PlaceOrder::default()
        });
        assert!(shop.keyed(None, street).unwrap_err().to_string().contains("is no region"));
        is_sound(&shop);
    });
}

#[test]
fn an_order_leaves_in_as_few_parcels_as_possible() {
    each_way(|shop| {
        three(&shop);
        receive(&shop, "LONDON", units("MUG", 5));
        receive(&shop, "PARIS", units("A", 5));
        receive(&shop, "BERLIN", lines(&[("MUG", 2), ("A", 2)]));
        let (two, _) = placed(&order(&shop, &[("MUG", 1), ("A", 1)]));
        assert_eq!(promised(&shop, two), ["1: LONDON 1", "2: PARIS 1"], "without a rule line by line");
        allocation(&shop, SetAllocation { parcels: Some(Parcels::Fewest), ..SetAllocation::default() });
        let (one, _) = placed(&order(&shop, &[("MUG", 1), ("A", 1)]));
        assert_eq!(promised(&shop, one), ["1: BERLIN 1", "2: BERLIN 1"]);
        let fact = recorded(&told(&shop, "1", 1, &[("MUG", 1), ("A", 1)], None));
        assert_eq!(promised(&shop, fact), ["1: BERLIN 1", "2: BERLIN 1"], "facts too");
        // What was placed before is moved when it is asked.
        receive(&shop, "BERLIN", lines(&[("MUG", 2), ("A", 2)]));
        let moved = shop.tell(Body::Reallocate(Reallocate { order: two, away_from: None }));
        assert!(placed(&moved).1.iter().all(|line| line.short.is_zero()), "{moved:?}");
        assert_eq!(promised(&shop, two), ["1: BERLIN 1", "2: BERLIN 1"]);
        let head = shop.head();
        shop.tell(Body::Reallocate(Reallocate { order: two, away_from: None }));
        assert_eq!(shop.head(), head, "it is there already");
        is_sound(&shop);
    });
}

#[test]
fn an_order_that_may_not_be_divided_comes_from_one_location() {
    each_way(|shop| {
        three(&shop);
        receive(&shop, "LONDON", lines(&[("MUG", 3), ("A", 1)]));
        receive(&shop, "PARIS", lines(&[("MUG", 2), ("A", 2)]));
        allocation(&shop, SetAllocation { split: Some(false), ..SetAllocation::default() });
        let (whole, _) = placed(&order(&shop, &[("MUG", 2), ("A", 2)]));
        assert_eq!(promised(&shop, whole), ["1: PARIS 2", "2: PARIS 2"]);
        receive(&shop, "BERLIN", units("MUG", 2));
        let refused = refusal(order(&shop, &[("MUG", 4)]));
        assert!(refused.contains("no location has all of"), "{refused}");
        // A fact takes what one place has, and waits for the rest there.
        let fact = recorded(&told(&shop, "1", 1, &[("MUG", 4)], None));
        assert_eq!(promised(&shop, fact), ["1: LONDON 3"]);
        receive(&shop, "BERLIN", units("MUG", 1));
        assert_eq!(known(&shop, fact).lines[0].short, Quantity::ONE, "not from a second place");
        // Somebody younger is served meanwhile; and it itself once its place has it.
        let young = recorded(&told(&shop, "2", 1, &[("MUG", 1)], None));
        assert_eq!(promised(&shop, young), ["1: BERLIN 1"]);
        receive(&shop, "LONDON", units("MUG", 1));
        assert_eq!(promised(&shop, fact), ["1: LONDON 4"]);
        is_sound(&shop);
    });
}

#[test]
fn only_the_named_locations_serve_where_the_rule_says_so() {
    each_way(|shop| {
        three(&shop);
        receive(&shop, "PARIS", units("MUG", 5));
        allocation(
            &shop,
            SetAllocation {
                system: Some("WEB".to_owned()),
                locations: codes(&["BERLIN"]),
                others: Some(false),
                ..SetAllocation::default()
            },
        );
        let web = recorded(&told(&shop, "1", 1, &[("MUG", 2)], None));
        assert_eq!((promised(&shop, web), known(&shop, web).lines[0].short.whole_units()), (vec![], 2));
        let (ours, _) = placed(&order(&shop, &[("MUG", 1)]));
        assert_eq!(promised(&shop, ours), ["1: PARIS 1"], "it is a rule for WEB alone");
        // A rule that lets it have more serves what is short at once, and the inbox is empty again.
        assert!(shop.discrepancies().iter().any(|found| found.resolved_at.is_none()));
        allocation(&shop, SetAllocation { system: Some("WEB".to_owned()), ..SetAllocation::default() });
        assert_eq!(promised(&shop, web), ["1: PARIS 2"]);
        assert!(shop.discrepancies().iter().all(|found| found.resolved_at.is_some()));
        is_sound(&shop);
    });
}

fn into_groups(shop: &Shop, code: &str, groups: &[&str]) {
    let groups = Some(groups.iter().map(|group| (*group).to_owned()).collect());
    let put = PutLocation { code: code.to_owned(), groups, ..PutLocation::default() };
    assert!(matches!(shop.tell(Body::PutLocation(put)), Answer::Location(_)));
}

#[test]
fn a_group_of_locations_is_asked_by_rank() {
    each_way(|shop| {
        three(&shop);
        place(&shop, "ROME", 2);
        for code in ["LONDON", "PARIS", "BERLIN", "ROME"] {
            receive(&shop, code, units("MUG", 2));
        }
        let group = || Source::Group("EU".to_owned());
        let rule = |locations: Vec<Source>, others| SetAllocation {
            locations: Some(locations),
            others: Some(others),
            parcels: Some(Parcels::InOrder),
            ..SetAllocation::default()
        };
        let refused = shop.keyed(None, Body::SetAllocation(rule(vec![group()], true))).unwrap_err();
        assert!(
            refused.to_string().contains("no site is in the group `EU`; put one into it first"),
            "{refused}"
        );
        for code in ["BERLIN", "ROME", "PARIS"] {
            into_groups(&shop, code, &["EU"]);
        }
        allocation(&shop, rule(vec![group()], true));
        let (all, _) = placed(&order(&shop, &[("MUG", 5)]));
        assert_eq!(
            promised(&shop, all),
            ["1: PARIS 2", "1: ROME 2", "1: BERLIN 1"],
            "of one rank the oldest first"
        );
        // One that is named itself comes where it comes first.
        let berlin = || Source::Location("BERLIN".to_owned());
        allocation(&shop, rule(vec![berlin(), group()], true));
        let (one, _) = placed(&order(&shop, &[("MUG", 1)]));
        assert_eq!(promised(&shop, one), ["1: BERLIN 1"]);
        // Only the group serves, and it has nothing left; a location that joins it serves what is short at once.
        allocation(&shop, rule(vec![group()], false));
        let short = recorded(&told(&shop, "1", 1, &[("MUG", 2)], None));
        assert_eq!((promised(&shop, short), known(&shop, short).lines[0].short.whole_units()), (vec![], 2));
        into_groups(&shop, "LONDON", &["EU", "ISLANDS"]);
        assert_eq!(promised(&shop, short), ["1: LONDON 2"]);
        // Where all have left the group it serves nothing any more.
        for code in ["BERLIN", "ROME", "PARIS", "LONDON"] {
            into_groups(&shop, code, &[]);
        }
        receive(&shop, "PARIS", units("MUG", 5));
        let none = recorded(&told(&shop, "2", 1, &[("MUG", 1)], None));
        assert_eq!(promised(&shop, none), Vec::<String>::new());
        is_sound(&shop);
    });
}

#[test]
fn promises_are_moved_away_from_a_location_as_far_as_others_have_it() {
    each_way(|shop| {
        three(&shop);
        receive(&shop, "LONDON", units("MUG", 5));
        let (id, _) = placed(&order(&shop, &[("MUG", 5)]));
        receive(&shop, "PARIS", units("MUG", 3));
        let away = |from: &str| {
            let away_from = Some(from.to_owned());
            placed(&shop.tell(Body::Reallocate(Reallocate { order: id, away_from }))).1
        };
        assert!(away("LONDON")[0].short.is_zero(), "nothing is lost by it");
        assert_eq!(promised(&shop, id), ["1: PARIS 3", "1: LONDON 2"]);
        assert_eq!(shop.stock("MUG"), (3, 0, 2));
        assert!(away("PARIS")[0].short.is_zero());
        assert_eq!(promised(&shop, id), ["1: LONDON 5"]);
        is_sound(&shop);
    });
}

/// What a command moved: the item, where, and whether it was promised by it.
fn moved(shop: &Shop, body: Body) -> Vec<(String, String, bool)> {
    let before = shop.head();
    shop.tell(body);
    let of = |view: &mut onhand_engine::View<'_>| {
        let mut moved = Vec::new();
        for (_, record) in view.records_after(before, 100)? {
            for entry in &record.entries {
                let onhand_ledger::Entry::Movement(movement) = entry else { continue };
                let sku = view.item(movement.item)?.unwrap().sku;
                let place = view.location(movement.from.location)?.unwrap().code;
                moved.push((sku, place, movement.to.state == StockState::Committed));
            }
        }
        Ok(moved)
    };
    shop.ledger.read(onhand_ledger::TenantId::DEFAULT, of).unwrap()
}

#[test]
fn what_is_promised_where_the_rule_wants_it_stays_as_it_is() {
    each_way(|shop| {
        three(&shop);
        receive(&shop, "LONDON", lines(&[("MUG", 5), ("A", 5)]));
        receive(&shop, "PARIS", units("B", 4));
        let (id, _) = placed(&order(&shop, &[("MUG", 2), ("A", 3), ("B", 4)]));
        receive(&shop, "LONDON", units("B", 3));
        let again = |away_from: Option<&str>| {
            Body::Reallocate(Reallocate { order: id, away_from: away_from.map(str::to_owned) })
        };
        assert_eq!(moved(&shop, again(None)), [], "no place has all of B but Paris");
        receive(&shop, "LONDON", units("B", 1));
        let parts = |parts: [(&str, &str, bool); 2]| {
            parts.map(|(sku, place, is_promised)| (sku.to_owned(), place.to_owned(), is_promised))
        };
        assert_eq!(moved(&shop, again(None)), parts([("B", "PARIS", false), ("B", "LONDON", true)]));
        assert_eq!(promised(&shop, id), ["1: LONDON 2", "2: LONDON 3", "3: LONDON 4"]);
        receive(&shop, "PARIS", units("A", 2));
        // Of A three are promised in London: two can be had elsewhere, and one stays.
        let left = moved(&shop, again(Some("LONDON")));
        assert!(left.contains(&("A".to_owned(), "PARIS".to_owned(), true)), "{left:?}");
        assert_eq!(left.iter().filter(|(sku, ..)| sku == "MUG").count(), 0, "MUG is nowhere else");
        assert_eq!(promised(&shop, id), ["1: LONDON 2", "2: PARIS 2", "2: LONDON 1", "3: PARIS 4"]);
        is_sound(&shop);
    });
}

#[test]
fn away_from_a_bin_is_not_away_from_its_site() {
    each_way(|shop| {
        let inside = |code: &str, parent: &str, rank: u32| {
            shop.tell(Body::PutLocation(PutLocation {
                code: code.to_owned(),
                parent: Some(parent.to_owned()),
                rank: Some(rank),
                ..PutLocation::default()
            }))
        };
        place(&shop, "PARIS", 900);
        inside("ZONE", "LONDON", 1);
        inside("BIN-1", "ZONE", 1);
        inside("BIN-2", "LONDON", 2);
        receive(&shop, "BIN-2", units("MUG", 3));
        receive(&shop, "BIN-1", units("MUG", 2));
        receive(&shop, "PARIS", units("MUG", 5));
        let (id, _) = placed(&order(&shop, &[("MUG", 3)]));
        assert_eq!(promised(&shop, id), ["1: BIN-2 3"]);
        let away = |from: &str| {
            shop.tell(Body::Reallocate(Reallocate { order: id, away_from: Some(from.to_owned()) }));
            promised(&shop, id)
        };
        assert_eq!(away("ZONE"), ["1: BIN-2 3"]);
        // The site's other bin has two; Paris has the line whole.
        assert_eq!(away("BIN-2"), ["1: PARIS 3"]);
        assert_eq!(away("PARIS"), ["1: BIN-2 3"]);
        receive(&shop, "BIN-1", units("MUG", 1));
        assert_eq!(away("BIN-2"), ["1: BIN-1 3"]);
        assert_eq!(away("ZONE"), ["1: BIN-2 3"], "what is inside it too");
        assert_eq!(away("LONDON"), ["1: PARIS 3"]);
        is_sound(&shop);
    });
}

// ---- waiting ---------------------------------------------------------------------------------------------------

fn limits(shop: &Shop, backorder: i64, preorder: i64, from: Option<&str>) {
    shop.tell(Body::PutItem(PutItem {
        sku: "MUG".to_owned(),
        backorder_limit: Some(Quantity::units(backorder)),
        preorder_limit: Some(Quantity::units(preorder)),
        available_from: from.map(time),
        ..PutItem::default()
    }));
}

#[test]
fn an_order_waits_as_far_as_its_item_allows() {
    each_way(|shop| {
        receive(shop.at("10:00"), "LONDON", units("MUG", 2));
        limits(&shop, 5, 0, None);
        let (first, lines) = placed(&order(&shop, &[("MUG", 4)]));
        assert_eq!((lines[0].allocated, lines[0].short), (Quantity::units(2), Quantity::units(2)));
        assert_eq!((lines[0].backordered, lines[0].is()), (Quantity::units(2), "backordered"));
        // A fact's short line waits for the same stock.
        told(&shop, "1", 1, &[("MUG", 1)], None);
        let refused = refusal(order(&shop, &[("MUG", 3)]));
        assert_eq!(refused, "cannot take 3 of `MUG`: 0 available, 2 more may be backordered");
        let none = PlaceOrder { lines: units("MUG", 1), backorder: Some(false), ..PlaceOrder::default() };
        assert_eq!(refusal(shop.tell(Body::PlaceOrder(none))), "cannot take 1 of `MUG`: 0 available");
        let (last, _) = placed(&order(&shop, &[("MUG", 2)]));
        // First come, first served: whatever is to leave first.
        receive(&shop, "LONDON", units("MUG", 4));
        let waits = |id| known(&shop, id).lines[0].clone();
        assert_eq!((waits(first).backordered, waits(first).short), (Quantity::ZERO, Quantity::ZERO));
        assert_eq!((waits(last).backordered, waits(last).short), (Quantity::ONE, Quantity::ONE));
        // What breaks later is no backorder that was agreed to.
        shop.count("MUG", 0, "10:00");
        assert_eq!((waits(last).backordered, waits(last).short), (Quantity::ONE, Quantity::units(2)));
        is_sound(&shop);
    });
}

#[test]
fn before_it_is_there_an_item_is_preordered() {
    each_way(|shop| {
        limits(shop.at("10:00"), 1, 3, Some("12:00"));
        let (early, lines) = placed(&order(&shop, &[("MUG", 2)]));
        assert_eq!((lines[0].preordered, lines[0].is()), (Quantity::units(2), "preordered"));
        let said = refusal(order(&shop, &[("MUG", 2)]));
        assert!(said.contains("1 more may be preordered (there from 2026-11-23T12:00:00Z)"), "{said}");
        // Its time has come, and it has not: now the other limit holds, of all that waits.
        let late = refusal(order(shop.at("12:00"), &[("MUG", 1)]));
        assert_eq!(late, "cannot take 1 of `MUG`: 0 available, 0 more may be backordered");
        receive(&shop, "LONDON", units("MUG", 3));
        assert_eq!(promised(&shop, early), ["1: LONDON 2"]);
        is_sound(&shop);
    });
}

#[test]
fn a_discrepancy_ends_when_the_line_it_is_about_is_served() {
    each_way(|shop| {
        let open = || shop.discrepancies().iter().filter(|found| found.resolved_at.is_none()).count();
        told(shop.at("10:00"), "1", 1, &[("MUG", 2)], None);
        told(&shop, "2", 1, &[("MUG", 1), ("A", 1)], None);
        assert_eq!(open(), 2);
        // More of it is short now: what was said before of less is over.
        told(&shop, "1", 2, &[("MUG", 3)], None);
        assert_eq!((open(), shop.discrepancies().len()), (2, 3));
        shop.receive("MUG", 3);
        assert_eq!(open(), 1);
        shop.receive("MUG", 1);
        assert_eq!(open(), 1, "one line of two is served");
        let cancelled = told(&shop, "2", 2, &[("MUG", 1)], None);
        assert!(matches!(cancelled, Answer::Recorded { .. }));
        assert_eq!(open(), 0, "and the other is not wanted any more");
        assert!(shop.discrepancies().iter().all(|found| found.cause == Cause::Short));
        is_sound(&shop);
    });
}

#[test]
fn an_order_keeps_its_prices_and_when_it_must_leave_through_amendments() {
    each_way(|shop| {
        shop.at("10:00").receive("MUG", 5);
        let price = |amount| Some(Money::parse(amount, "EUR").unwrap());
        let ours = PlaceOrder {
            reference: Some("A-1".to_owned()),
            lines: lines(&[("MUG", 2), ("MUG", 1)]),
            ship_by: Some(time("18:00")),
            prices: Some(vec![price("12.50"), None]),
            ..PlaceOrder::default()
        };
        let (id, _) = placed(&shop.tell(Body::PlaceOrder(ours.clone())));
        let order = known(&shop, id);
        assert_eq!((order.ship_by, order.lines[0].price.clone()), (Some(time("18:00")), price("12.50")));
        assert_eq!(order.lines[1].price, None);
        let one = PlaceOrder { reference: None, prices: Some(vec![None]), ..ours };
        assert!(shop.keyed(None, Body::PlaceOrder(one)).unwrap_err().to_string().contains("1 prices for 2"));
        // An order of ours is amended by newer versions of its document, and never told twice.
        let amend = |version, quantity| {
            let line = OrderContentLine {
                line: "1".to_owned(),
                item: Name::Sku("MUG".to_owned()),
                quantity: Quantity::units(quantity),
                shipped: Quantity::ZERO,
                returned: Quantity::ZERO,
                location: None,
                price: price("11"),
            };
            shop.tell(Body::Record(Document {
                system: "onhand".to_owned(),
                document: "A-1".to_owned(),
                version,
                content: Content::Order(OrderContent { lines: vec![line], ..OrderContent::default() }),
            }))
        };
        assert_eq!(recorded(&amend(2, 4)), id);
        assert_eq!(amend(2, 4), Answer::AlreadyApplied { version: 2 });
        let order = known(&shop, id);
        assert_eq!((order.version, order.lines[0].wanted), (2, Quantity::units(4)));
        assert_eq!((order.lines[1].wanted, order.lines[0].price.clone()), (Quantity::ZERO, price("11")));
        assert_eq!(shop.stock("MUG"), (1, 0, 4));
        let part = LineQuantity { lot: None, line: "1".to_owned(), quantity: Quantity::units(3) };
        let cancelled = shop.tell(Body::CancelOrder(CancelOrder { order: id, lines: Some(vec![part]) }));
        assert_eq!(placed(&cancelled).1[0].allocated, Quantity::ONE);
        assert_eq!(shop.stock("MUG"), (4, 0, 1));
        is_sound(&shop);
    });
}

// ---- counting in sessions --------------------------------------------------------------------------------------

fn by(shop: &Shop, who: &str, body: Body) -> Result<Answer, CommitError> {
    let command = Command { key: None, fingerprint: 0, actor: who.to_owned(), body };
    let submission = onhand_engine::Submission { tenant: TENANT, command: Some(command), notes: Vec::new() };
    shop.ledger.commit(vec![submission]).pop().unwrap().map(|committed| committed.answer)
}

fn open(shop: &Shop, session: OpenSession) -> SessionId {
    let body = Body::OpenSession(OpenSession { location: "LONDON".to_owned(), ..session });
    match by(shop, "lead", body).unwrap() {
        Answer::Session(id) => id,
        other => panic!("no session: {other:?}"),
    }
}

/// What somebody saw, and whether that must be looked at again.
fn sight(shop: &Shop, session: SessionId, who: &str, sku: &str, quantity: i64, at: &str) -> Option<Recount> {
    let (sku, quantity, seen_at) = (sku.to_owned(), Quantity::units(quantity), Some(time(at)));
    let lines = vec![Sighting { sku, quantity, lot: None, serials: None, seen_at }];
    match by(shop, who, Body::Sight(Sight { session, lines })).unwrap() {
        Answer::Sighted(_, lines) => lines[0].recount,
        other => panic!("not kept: {other:?}"),
    }
}

fn apply(shop: &Shop, session: SessionId, approve: bool) -> Answer {
    by(shop, "lead", Body::ApplySession(ApplySession { session, approve: Some(approve) })).unwrap()
}

#[expect(clippy::unnecessary_wraps, reason = "as the commands take it")]
const fn over(units: i64) -> Option<Threshold> {
    Some(Threshold { units: Some(Quantity::units(units)), percent: None })
}

#[test]
fn what_a_session_has_counted_is_booked_as_of_when_it_was_seen() {
    each_way(|shop| {
        receive(shop.at("10:00"), "LONDON", lines(&[("MUG", 10), ("A", 4), ("B", 1)]));
        let session = open(&shop, OpenSession::default());
        assert_eq!(sight(shop.at("10:20"), session, "ann", "MUG", 9, "10:15"), None);
        assert_eq!(sight(&shop, session, "bob", "A", 4, "10:20"), None);
        assert_eq!(shop.stock("MUG"), (10, 0, 0), "nothing is booked before it is applied");
        shop.at("10:30").shipment("S1", None, "MUG", 3, None);
        // A till that was offline: it is explained by the count, when that is booked.
        shop.at("10:40").shipment("S2", None, "MUG", 1, Some("10:10"));
        let Answer::Counted(counted, found) = apply(&shop, session, false) else { panic!("it is applied") };
        let said: Vec<_> =
            counted.iter().map(|one| (one.sku.as_str(), one.difference.whole_units())).collect();
        assert_eq!((said, found.len()), (vec![("MUG", 0), ("A", 0)], 0), "B was not counted, and stays");
        assert_eq!((shop.stock("MUG"), shop.on_hand_at("MUG", "10:15", None)), ((6, 0, 0), 9));
        assert!(refusal(apply(&shop, session, false)).contains("is applied"));
        is_sound(&shop);
    });
}

#[test]
fn counters_who_disagree_are_asked_to_look_again() {
    each_way(|shop| {
        receive(shop.at("10:00"), "LONDON", units("MUG", 10));
        let session = open(&shop, OpenSession::default());
        assert_eq!(sight(shop.at("10:20"), session, "ann", "MUG", 8, "10:15"), None);
        assert_eq!(sight(&shop, session, "bob", "MUG", 9, "10:16"), Some(Recount::Disagree));
        let said = refusal(apply(&shop, session, true));
        assert!(said.contains("`MUG` must be counted again"), "{said}");
        // One is sold between: nine then are eight now, and both saw one missing.
        shop.at("10:30").shipment("S1", None, "MUG", 1, None);
        assert_eq!(sight(shop.at("10:40"), session, "ann", "MUG", 8, "10:35"), None);
        assert!(matches!(apply(&shop, session, false), Answer::Counted(..)));
        assert_eq!(shop.stock("MUG"), (8, 0, 0));
    });
}

#[test]
fn large_differences_are_counted_twice_and_approved() {
    each_way(|shop| {
        receive(shop.at("10:00"), "LONDON", units("MUG", 10));
        let session = open(
            &shop,
            OpenSession { recount_over: over(1), approve_over: over(2), ..OpenSession::default() },
        );
        assert_eq!(sight(&shop, session, "ann", "MUG", 7, "10:00"), Some(Recount::Large));
        assert_eq!(sight(&shop, session, "ann", "MUG", 7, "10:00"), None, "she looked twice");
        let said = refusal(apply(&shop, session, false));
        assert!(said.contains("needs approval: the difference of `MUG`"), "{said}");
        assert_eq!(shop.stock("MUG"), (10, 0, 0));
        assert!(matches!(apply(&shop, session, true), Answer::Counted(..)));
        assert_eq!(shop.stock("MUG"), (7, 0, 0));
        is_sound(&shop);
    });
}

#[test]
fn a_session_counts_what_it_lists_where_onhand_is_master() {
    each_way(|shop| {
        let skus = Some(vec!["MUG".to_owned()]);
        let session = open(&shop, OpenSession { skus: skus.clone(), ..OpenSession::default() });
        let line = |sku: &str| Sighting {
            sku: sku.to_owned(),
            quantity: Quantity::ONE,
            lot: None,
            serials: None,
            seen_at: None,
        };
        let other = by(&shop, "ann", Body::Sight(Sight { session, lines: vec![line("A")] })).unwrap_err();
        assert!(other.to_string().contains("`A` is not counted in this session"), "{other}");
        let empty = by(&shop, "ann", Body::ApplySession(ApplySession { session, approve: None }));
        assert!(empty.unwrap_err().to_string().contains("at least one line"));
        shop.tell(Body::CancelSession(session));
        let ended = by(&shop, "ann", Body::Sight(Sight { session, lines: vec![line("MUG")] })).unwrap();
        assert!(refusal(ended).contains("is cancelled"));
        let (location, master) = (Some("LONDON".to_owned()), "WMS".to_owned());
        shop.tell(Body::SetOwnership(SetOwnership { location, master, ..SetOwnership::default() }));
        let body =
            Body::OpenSession(OpenSession { location: "LONDON".to_owned(), skus, ..OpenSession::default() });
        let refused = by(&shop, "ann", body).unwrap();
        assert!(matches!(refused, Answer::Refused(Refusal::NotMaster { .. })), "{refused:?}");
    });
}

#[test]
fn a_session_counts_a_place_and_all_that_is_inside_it() {
    each_way(|shop| {
        let bin = PutLocation {
            code: "BIN".to_owned(),
            parent: Some("LONDON".to_owned()),
            ..PutLocation::default()
        };
        shop.tell(Body::PutLocation(bin));
        receive(shop.at("10:00"), "LONDON", units("MUG", 2));
        receive(&shop, "BIN", units("MUG", 5));
        let session = open(shop.at("10:10"), OpenSession { inside: Some(true), ..OpenSession::default() });
        assert_eq!(sight(&shop, session, "ann", "MUG", 6, "10:05"), None);
        let Answer::Counted(counted, _) = apply(&shop, session, false) else { panic!("it is applied") };
        assert_eq!((counted[0].found.whole_units(), counted[0].difference.whole_units()), (7, -1));
        assert_eq!(shop.total("MUG", StockState::Available), 6);
        is_sound(&shop);
    });
}

#[test]
fn a_piece_that_is_seen_is_there_and_one_that_is_not_is_missing() {
    each_way(|shop| {
        let phone = PutItem {
            sku: "PHONE".to_owned(),
            tracking: Some(onhand_ledger::model::Tracking::Serials),
            ..PutItem::default()
        };
        shop.tell(Body::PutItem(phone));
        place(&shop, "PARIS", 200);
        let pieces = |serials: &[&str]| {
            let serials: Vec<String> = serials.iter().map(|serial| (*serial).to_owned()).collect();
            let quantity = Quantity::units(i64::try_from(serials.len()).unwrap());
            (Some(serials), quantity)
        };
        let arrive = |place: &str, some: &[&str]| {
            let (serials, quantity) = pieces(some);
            receive(&shop, place, vec![Line { serials, ..Line::new("PHONE", quantity) }]);
        };
        arrive_at(&shop, "10:00", || arrive("LONDON", &["S1", "S2", "S3", "S4"]));
        arrive("PARIS", &["S9"]);
        let look = |session, who: &str, some: &[&str], at: &str| {
            let (serials, quantity) = pieces(some);
            let (sku, seen_at) = ("PHONE".to_owned(), Some(time(at)));
            let lines = vec![Sighting { sku, quantity, lot: None, serials, seen_at }];
            by(&shop, who, Body::Sight(Sight { session, lines })).unwrap()
        };
        let session = open(&shop, OpenSession::default());
        shop.at("10:30");
        look(session, "ann", &["S1"], "10:20");
        // One more comes in after the first look: bob need not see it. And one of Paris is seen here.
        arrive("LONDON", &["S5"]);
        look(session, "bob", &["S2", "S9"], "10:30");
        let lies = || {
            let of = |view: &mut onhand_engine::View<'_>| {
                let (item, _) = view.item_by_sku("PHONE")?.unwrap();
                let mut lies = Vec::new();
                for (cell, slot) in view.cells_of(item)? {
                    if !cell.state.is_party() && slot.quantity.is_positive() {
                        let place = view.location(cell.location)?.unwrap().code;
                        lies.push(format!("{} {place}", view.lot(cell.lot)?.unwrap().code));
                    }
                }
                lies.sort();
                Ok(lies)
            };
            shop.ledger.read(TENANT, of).unwrap()
        };
        let not_seen = || {
            let of = |view: &mut onhand_engine::View<'_>| {
                let Some(Value::Session(known)) = view.get(&Key::Session(session))? else { panic!() };
                Ok(view.not_seen(session, &known)?.len())
            };
            shop.ledger.read(TENANT, of).unwrap()
        };
        assert_eq!(not_seen(), 2, "S3 and S4");
        assert!(matches!(apply(&shop, session, false), Answer::Counted(..)));
        assert_eq!(lies(), ["S1 LONDON", "S2 LONDON", "S5 LONDON", "S9 LONDON"]);
        // A session that finds none at all, where each that is missing must be looked for twice and approved.
        let session = open(
            &shop,
            OpenSession { recount_over: over(0), approve_over: over(0), ..OpenSession::default() },
        );
        shop.at("11:00");
        let one = |serial: Option<&str>| {
            let (sku, lot) = ("PHONE".to_owned(), serial.map(str::to_owned));
            let lines = vec![Sighting { sku, quantity: Quantity::ZERO, lot, serials: None, seen_at: None }];
            by(&shop, "ann", Body::Sight(Sight { session, lines })).unwrap()
        };
        one(None);
        assert!(matches!(apply(&shop, session, true), Answer::Refused(Refusal::RecountNeeded { .. })));
        for serial in ["S1", "S2", "S5", "S9"] {
            one(Some(serial));
            one(Some(serial));
        }
        assert!(matches!(apply(&shop, session, false), Answer::Refused(Refusal::ApprovalNeeded { .. })));
        assert!(matches!(apply(&shop, session, true), Answer::Counted(..)));
        assert!(lies().is_empty(), "{:?}", lies());
        is_sound(&shop);
    });
}

fn arrive_at(shop: &Shop, at: &str, arrive: impl Fn()) {
    shop.at(at);
    arrive();
}
