//! Kits, lots, serials, and places inside places: the worked examples by their names, and what goes wrong with them
//! elsewhere. On every way a ledger is kept.

#[path = "support/shop.rs"]
#[expect(dead_code, reason = "other tests use the rest")]
mod shop;

use onhand_engine::{CommitError, verify};
use onhand_ledger::command::{
    Adjust, CancelOrder, Content, ConvertHold, Document, FulfilOrder, Happened, Line, LineQuantity,
    MoveState, MovementLine, Name, OrderContent, OrderContentLine, PlaceHold, PlaceOrder, PutItem,
    PutLocation, PutLot, Receive, ReturnOrder, ShipmentContent, ShipmentLine, TakeCount, Transfer,
};
use onhand_ledger::model::{Became, Cause, Tracking};
use onhand_ledger::{Answer, Body, Key, OrderId, Quantity, Refusal, StockState, TenantId, Value};
use shop::{Shop, each_way, time, units};

fn item(shop: &Shop, sku: &str, kit: &[(&str, i64)]) {
    let kit = kit.iter().map(|(sku, quantity)| Line::new(*sku, Quantity::units(*quantity))).collect();
    put(shop, PutItem { sku: sku.to_owned(), kit: Some(kit), ..PutItem::default() });
}

fn put(shop: &Shop, item: PutItem) {
    assert!(matches!(shop.tell(Body::PutItem(item)), Answer::Item(_)));
}

fn tracked(shop: &Shop, sku: &str, tracking: Tracking) {
    put(shop, PutItem { sku: sku.to_owned(), tracking: Some(tracking), ..PutItem::default() });
}

fn place(shop: &Shop, code: &str, parent: Option<&str>) {
    let put =
        PutLocation { code: code.to_owned(), parent: parent.map(str::to_owned), ..PutLocation::default() };
    assert!(matches!(shop.tell(Body::PutLocation(put)), Answer::Location(_)));
}

fn receive(shop: &Shop, location: &str, lines: Vec<Line>) -> Answer {
    let location = location.to_owned();
    shop.tell(Body::Receive(Receive { location, lines, occurred_at: None, reason: None }))
}

fn lot(sku: &str, quantity: i64, lot: &str, expires: &str) -> Line {
    Line {
        lot: Some(lot.to_owned()),
        expires: (!expires.is_empty()).then(|| expires.parse().unwrap()),
        ..Line::new(sku, Quantity::units(quantity))
    }
}

fn serials(sku: &str, serials: &[&str]) -> Line {
    let quantity = Quantity::units(i64::try_from(serials.len()).unwrap());
    let serials = serials.iter().map(|serial| (*serial).to_owned()).collect();
    Line { serials: Some(serials), ..Line::new(sku, quantity) }
}

fn order(shop: &Shop, lines: Vec<Line>) -> Answer {
    shop.tell(Body::PlaceOrder(PlaceOrder {
        lines,
        reference: None,
        location: None,
        ..PlaceOrder::default()
    }))
}

fn placed(answer: Answer) -> OrderId {
    match answer {
        Answer::Order(order, _) => order,
        other => panic!("the order was not placed: {other:?}"),
    }
}

fn refusal(answer: Answer) -> String {
    match answer {
        Answer::Refused(refusal) => refusal.to_string(),
        other => panic!("it was not refused: {other:?}"),
    }
}

/// Why a command is none.
fn invalid(shop: &Shop, body: Body) -> String {
    match shop.keyed(None, body) {
        Err(CommitError::Invalid(invalid)) => invalid.to_string(),
        other => panic!("it was taken: {other:?}"),
    }
}

fn all(state: StockState, shop: &Shop, skus: &[&str]) -> Vec<i64> {
    skus.iter().map(|sku| shop.total(sku, state)).collect()
}

// ---- kits ----------------------------------------------------------------------------------------------------

fn kit_shop(shop: &Shop) {
    place(shop, "PARIS", None);
    item(shop, "KIT", &[("A", 2), ("B", 1)]);
    item(shop, "BOX", &[("KIT", 1), ("A", 1)]);
}

#[test]
fn kits_are_built_in_one_place() {
    each_way(|shop| {
        kit_shop(&shop);
        receive(&shop, "LONDON", [units("A", 5), units("B", 1)].concat());
        receive(&shop, "PARIS", [units("A", 1), units("B", 4)].concat());
        assert_eq!((shop.available("KIT", "LONDON"), shop.available("KIT", "PARIS")), (1, 0));
        assert_eq!((shop.available("BOX", "LONDON"), shop.available("BOX", "PARIS")), (1, 0));
        assert!(refusal(order(&shop, units("KIT", 2))).contains("cannot take 2 of `KIT`"));
    });
}

#[test]
fn lines_of_one_order_are_checked_together() {
    each_way(|shop| {
        item(&shop, "KIT", &[("A", 2), ("B", 1)]);
        receive(&shop, "LONDON", [units("A", 5), units("B", 1)].concat());
        let head = shop.head();
        let said = refusal(order(&shop, [units("KIT", 1), units("A", 4)].concat()));
        assert_eq!(said, "cannot take 6 of `A`: 5 available");
        assert_eq!((shop.head(), shop.available("A", "LONDON")), (head, 5));
        placed(order(&shop, [units("A", 3), units("KIT", 1)].concat()));
        assert_eq!(all(StockState::Committed, &shop, &["A", "B", "KIT"]), [5, 1, 0]);
    });
}

#[test]
fn a_kit_goes_out_and_comes_back_as_what_it_is_built_of() {
    each_way(|shop| {
        item(&shop, "KIT", &[("A", 2), ("B", 1)]);
        receive(&shop, "LONDON", [units("A", 6), units("B", 3)].concat());
        let order = placed(order(&shop, units("KIT", 3)));
        assert_eq!(all(StockState::Committed, &shop, &["A", "B"]), [6, 3]);
        // What later orders are built of is not what this one is built of.
        item(&shop, "KIT", &[("A", 1)]);
        let line =
            |quantity| LineQuantity { line: "1".to_owned(), quantity: Quantity::units(quantity), lot: None };
        shop.tell(Body::FulfilOrder(FulfilOrder { order, lines: Some(vec![line(2)]), occurred_at: None }));
        assert_eq!(all(StockState::Committed, &shop, &["A", "B"]), [2, 1]);
        assert_eq!(all(StockState::Customer, &shop, &["A", "B", "KIT"]), [4, 2, 0]);
        shop.tell(Body::ReturnOrder(ReturnOrder {
            order,
            lines: vec![line(1)],
            location: None,
            into: StockState::Damaged,
            occurred_at: None,
        }));
        assert_eq!(all(StockState::Damaged, &shop, &["A", "B"]), [2, 1]);
        shop.tell(Body::CancelOrder(CancelOrder { order, lines: None }));
        assert_eq!(all(StockState::Committed, &shop, &["A", "B"]), [0, 0]);
        assert_eq!(all(StockState::Available, &shop, &["A", "B"]), [2, 1]);
    });
}

#[test]
fn a_kit_that_lost_a_component_lets_the_others_go_and_waits_for_its_turn() {
    each_way(|shop| {
        item(&shop, "KIT", &[("A", 2), ("B", 1)]);
        shop.at("10:00");
        receive(&shop, "LONDON", [units("A", 4), units("B", 2)].concat());
        shop.at("10:05").order_fact("P", 1, "KIT", 2, false);
        // Both of B are gone but one: one kit is broken, and its two of A are free.
        shop.at("10:10").count("B", 1, "10:10");
        assert_eq!(all(StockState::Committed, &shop, &["A", "B"]), [2, 1]);
        assert_eq!(all(StockState::Available, &shop, &["A", "B"]), [2, 0]);
        // Who asks for A now gets it; the kit is served when it can be whole.
        placed(order(&shop, units("A", 1)));
        shop.at("10:20").receive("B", 1);
        assert_eq!(all(StockState::Available, &shop, &["A", "B"]), [1, 1]);
        shop.at("10:30").receive("A", 1);
        assert_eq!(all(StockState::Available, &shop, &["A", "B"]), [0, 0]);
        assert_eq!(all(StockState::Committed, &shop, &["A", "B"]), [5, 2]);
    });
}

#[test]
fn kits_that_the_shop_shipped_by_mistake_come_back_also_those_that_were_not_there() {
    each_way(|shop| {
        item(&shop, "KIT", &[("A", 2), ("B", 1)]);
        receive(shop.at("10:00"), "LONDON", [units("A", 4), units("B", 2)].concat());
        let told = |version, shipped| {
            let line = OrderContentLine {
                line: "1".to_owned(),
                item: Name::Sku("KIT".to_owned()),
                quantity: Quantity::units(3),
                shipped: Quantity::units(shipped),
                returned: Quantity::ZERO,
                location: None,
                price: None,
            };
            let content = Content::Order(OrderContent { lines: vec![line], ..OrderContent::default() });
            let (system, document) = ("WEB".to_owned(), "1044".to_owned());
            shop.tell(Body::Record(Document { system, document, version, content }));
        };
        let stands = || {
            let states = [StockState::Committed, StockState::Available, StockState::Customer];
            states.map(|state| all(state, &shop, &["A", "B"]))
        };
        told(1, 0);
        let before = stands();
        assert_eq!(before[0], [4, 2], "two kits are there, one is short");
        told(2, 3);
        assert_eq!(stands()[..2], [[0, 0], [0, 0]]);
        told(3, 0);
        assert_eq!(stands(), before);
    });
}

/// WEB's order of so much of an item, in the state it is in now.
fn web_document(version: u64, sku: &str, [quantity, shipped, returned]: [i64; 3]) -> Body {
    let line = OrderContentLine {
        line: "1".to_owned(),
        item: Name::Sku(sku.to_owned()),
        quantity: Quantity::units(quantity),
        shipped: Quantity::units(shipped),
        returned: Quantity::units(returned),
        location: None,
        price: None,
    };
    let content = Content::Order(OrderContent { lines: vec![line], ..OrderContent::default() });
    let (system, document) = ("WEB".to_owned(), "1044".to_owned());
    Body::Record(Document { system, document, version, content })
}

fn is_verified(shop: &Shop) {
    let verified = onhand_engine::verify(&shop.ledger, TenantId::DEFAULT, &mut |_| {}).unwrap();
    assert!(verified.violation.is_none(), "{:?}", verified.violation);
}

#[test]
fn a_return_that_its_own_document_takes_back_is_with_the_customer_again() {
    each_way(|shop| {
        let shop = &shop;
        item(shop, "KIT", &[("A", 2), ("B", 1)]);
        tracked(shop, "MILK", Tracking::Lots);
        receive(shop.at("10:00"), "LONDON", [units("A", 8), units("B", 4), units("MUG", 4)].concat());
        receive(shop, "LONDON", vec![lot("MILK", 2, "L1", "2026-12-01"), lot("MILK", 2, "L2", "2026-12-02")]);
        let lots = || {
            let cells = |view: &mut onhand_engine::View<'_>| {
                let (item, _) = view.item_by_sku("MILK")?.unwrap();
                let mut cells: Vec<_> =
                    view.cells_of(item)?.into_iter().map(|(cell, slot)| (cell, slot.quantity)).collect();
                cells.retain(|(cell, held)| cell.location.0 != 0 && !held.is_zero());
                cells.sort();
                Ok(cells)
            };
            shop.ledger.read(TenantId::DEFAULT, cells).unwrap()
        };
        for sku in ["MUG", "KIT", "MILK"] {
            let parts = if sku == "KIT" { &["A", "B"][..] } else { &[sku][..] };
            let stands =
                || [StockState::Available, StockState::Customer].map(|state| all(state, shop, parts));
            let document = |version, told| {
                let (system, document) = ("WEB".to_owned(), format!("1044 {sku}"));
                let Body::Record(known) = web_document(version, sku, told) else { unreachable!() };
                shop.tell(Body::Record(Document { system, document, ..known }));
            };
            document(1, [4, 3, 0]);
            let (gone, gone_lots) = (stands(), lots());
            document(2, [4, 3, 1]);
            let one = stands();
            document(3, [4, 3, 3]);
            assert_ne!(stands(), one);
            document(4, [4, 3, 1]);
            assert_eq!(stands(), one, "{sku}: two of the three did not come back after all");
            document(5, [4, 3, 0]);
            assert_eq!((stands(), lots()), (gone, gone_lots), "{sku}");
            document(6, [4, 3, 2]);
            document(7, [4, 0, 0]);
            assert_eq!(
                all(StockState::Customer, shop, parts),
                vec![0; parts.len()],
                "{sku}: nothing has left"
            );
            is_verified(shop);
        }
        assert!(shop.discrepancies().is_empty(), "{:?}", shop.discrepancies());
    });
}

#[test]
fn a_return_taken_back_of_what_was_sold_again_is_said_and_what_we_booked_as_returned_stays() {
    each_way(|shop| {
        let shop = &shop;
        receive(shop.at("10:00"), "LONDON", units("MUG", 3));
        shop.tell(web_document(1, "MUG", [3, 3, 0]));
        let back = LineQuantity { lot: None, line: "1".to_owned(), quantity: Quantity::ONE };
        let told = shop.tell(web_document(2, "MUG", [3, 3, 2]));
        let Answer::Recorded { order: Some(known), .. } = told else {
            panic!("it is not recorded: {told:?}")
        };
        let lines = vec![back];
        let into = StockState::Available;
        shop.tell(Body::ReturnOrder(ReturnOrder {
            order: known,
            lines,
            location: None,
            into,
            occurred_at: None,
        }));
        assert_eq!(shop.stock("MUG"), (3, 0, 0));
        shop.tell(web_document(3, "MUG", [3, 3, 0]));
        assert_eq!(shop.stock("MUG"), (1, 0, 0), "what a clerk has booked is here");
        shop.tell(web_document(4, "MUG", [3, 3, 3]));
        placed(order(shop, units("MUG", 3)));
        shop.tell(web_document(5, "MUG", [3, 3, 2]));
        let causes: Vec<_> = shop.discrepancies().iter().map(|found| found.cause).collect();
        assert!(causes.contains(&Cause::PromiseBroken), "{causes:?}");
        is_verified(shop);
    });
}

#[test]
fn more_returned_than_has_left_is_said_once_and_the_rest_comes_in() {
    each_way(|shop| {
        let shop = &shop;
        receive(shop.at("10:00"), "LONDON", units("MUG", 5));
        shop.tell(web_document(1, "MUG", [5, 3, 4]));
        assert_eq!(shop.stock("MUG"), (3, 0, 2), "three came back");
        let said = shop.discrepancies();
        assert_eq!((said.len(), said[0].cause), (1, Cause::MoreThanOrdered));
        let sentence = "Order 1044 says that 4 of MUG came back, and 3 have left. Check the return.";
        assert_eq!(said[0].sentence, sentence);
        shop.tell(web_document(2, "MUG", [5, 3, 4]));
        assert_eq!(shop.discrepancies().len(), 1, "once");
        shop.tell(web_document(3, "MUG", [5, 4, 4]));
        assert_eq!((shop.stock("MUG"), shop.discrepancies().len()), ((4, 0, 1), 1), "the fourth, too");
        // Of five it has said, all that can be has come back: of four it says now, nothing leaves again.
        shop.tell(web_document(4, "MUG", [5, 4, 5]));
        shop.tell(web_document(5, "MUG", [5, 4, 4]));
        assert_eq!(shop.stock("MUG"), (4, 0, 1));
        is_verified(shop);
    });
}

#[test]
fn a_kit_is_built_of_whichever_lots_there_are() {
    each_way(|shop| {
        tracked(&shop, "MILK", Tracking::Lots);
        let kit = |line: Line| {
            Body::PutItem(PutItem { sku: "KIT".to_owned(), kit: Some(vec![line]), ..PutItem::default() })
        };
        let day = lot("MILK", 1, "", "2026-12-01").expires;
        let one = || Line::new("MILK", Quantity::ONE);
        for line in [
            Line { lot: Some("L1".to_owned()), ..one() },
            Line { serials: Some(vec!["S1".to_owned()]), ..one() },
            Line { expires: day, ..one() },
        ] {
            assert!(invalid(&shop, kit(line)).contains("names a lot of `MILK`"));
        }
        assert!(matches!(shop.tell(kit(one())), Answer::Item(_)));
    });
}

#[test]
fn what_broke_of_a_lot_before_it_was_counted_is_what_the_count_found_gone() {
    each_way(|shop| {
        tracked(&shop, "MILK", Tracking::Lots);
        receive(shop.at("10:00"), "LONDON", vec![lot("MILK", 5, "L1", ""), lot("MILK", 5, "L2", "")]);
        let (location, lines) = ("LONDON".to_owned(), vec![lot("MILK", 0, "L1", "")]);
        shop.at("11:00").tell(Body::Count(TakeCount {
            location,
            lines,
            as_of: Some(time("10:50")),
            inside: false,
            system: None,
            net: false,
        }));
        let broken = |of, quantity: i64| {
            let (location, lines) = ("LONDON".to_owned(), vec![lot("MILK", -quantity, of, "")]);
            let (occurred_at, reason) = (Some(time("10:30")), "broken".to_owned());
            shop.tell(Body::Adjust(Adjust { location, lines, occurred_at, reason }))
        };
        assert!(matches!(broken("L1", 2), Answer::Moved(..)), "the count has seen it gone");
        assert!(matches!(broken("L2", 6), Answer::Refused(_)), "nobody has counted the other");
        assert_eq!(all(StockState::Available, &shop, &["MILK"]), [5]);
    });
}

#[test]
fn a_count_of_a_lot_in_all_of_a_site_takes_nothing_from_another_lot() {
    each_way(|shop| {
        tracked(&shop, "MILK", Tracking::Lots);
        place(&shop, "BIN", Some("LONDON"));
        receive(shop.at("10:00"), "BIN", vec![lot("MILK", 5, "L1", ""), lot("MILK", 5, "L2", "")]);
        shop.at("10:10");
        let found = |of, counted| {
            let (location, lines) = ("LONDON".to_owned(), vec![lot("MILK", counted, of, "")]);
            let count = TakeCount { location, lines, as_of: None, inside: true, system: None, net: false };
            let Answer::Counted(counted, _) = shop.tell(Body::Count(count)) else { panic!("not counted") };
            counted[0].found.whole_units()
        };
        assert_eq!([found("L1", 3), found("L2", 5), found("L1", 3)], [5, 5, 3]);
    });
}

#[test]
fn an_order_of_one_lot_is_promised_that_lot_although_another_ends_sooner() {
    each_way(|shop| {
        tracked(&shop, "MILK", Tracking::Lots);
        let lots = vec![lot("MILK", 5, "L1", "2026-12-01"), lot("MILK", 5, "L2", "2026-12-31")];
        receive(shop.at("10:00"), "LONDON", lots);
        placed(order(&shop, vec![lot("MILK", 4, "L2", "")]));
        assert!(matches!(order(&shop, vec![lot("MILK", 2, "L2", "")]), Answer::Refused(_)), "one is left");
        placed(order(&shop, vec![lot("MILK", 5, "L1", "")]));
        placed(order(&shop, units("MILK", 1)));
        assert_eq!(all(StockState::Available, &shop, &["MILK"]), [0]);
    });
}

#[test]
fn a_hold_of_kits_becomes_an_order_of_kits() {
    each_way(|shop| {
        item(&shop, "KIT", &[("A", 2), ("B", 1)]);
        shop.at("10:00");
        receive(&shop, "LONDON", [units("A", 4), units("B", 2)].concat());
        let hold = shop.hold("KIT", 1, "10:10");
        assert_eq!(all(StockState::Reserved, &shop, &["A", "B"]), [2, 1]);
        let order = placed(shop.tell(Body::ConvertHold(ConvertHold { hold, reference: None })));
        assert_eq!(all(StockState::Reserved, &shop, &["A", "B"]), [0, 0]);
        shop.tell(Body::FulfilOrder(FulfilOrder { order, lines: None, occurred_at: None }));
        assert_eq!(all(StockState::Customer, &shop, &["A", "B"]), [2, 1]);
        shop.hold("KIT", 1, "10:10");
        shop.at("10:10:00").tell(Body::Tick);
        assert_eq!(all(StockState::Available, &shop, &["A", "B"]), [2, 1]);
    });
}

#[test]
fn no_kit_is_inside_itself() {
    each_way(|shop| {
        item(&shop, "KIT", &[("A", 2)]);
        item(&shop, "BOX", &[("KIT", 1)]);
        let kit = |sku: &str, of: &str| {
            let (sku, kit) = (sku.to_owned(), Some(units(of, 1)));
            Body::PutItem(PutItem { sku, kit, ..PutItem::default() })
        };
        assert!(invalid(&shop, kit("KIT", "KIT")).contains("inside itself"));
        assert!(invalid(&shop, kit("KIT", "BOX")).contains("inside itself"));
        assert!(invalid(&shop, kit("A", "BOX")).contains("inside itself"));
        let half = Line { quantity: Quantity::from_micros(500_000), ..Line::new("A", Quantity::ZERO) };
        let half = PutItem { sku: "HALF".to_owned(), kit: Some(vec![half]), ..PutItem::default() };
        assert!(invalid(&shop, Body::PutItem(half)).contains("too precise"));
    });
}

// ---- places inside places ------------------------------------------------------------------------------------

#[test]
fn what_lies_in_bins_is_available_at_the_site() {
    each_way(|shop| {
        place(&shop, "ZONE", Some("LONDON"));
        place(&shop, "BIN-1", Some("ZONE"));
        place(&shop, "BIN-2", Some("ZONE"));
        let quarantine = PutLocation {
            code: "CAGE".to_owned(),
            parent: Some("LONDON".to_owned()),
            sellable: Some(false),
            ..PutLocation::default()
        };
        shop.tell(Body::PutLocation(quarantine));
        for (bin, quantity) in [("BIN-1", 2), ("BIN-2", 3), ("CAGE", 7)] {
            receive(&shop, bin, units("MUG", quantity));
        }
        assert_eq!((shop.available("MUG", "LONDON"), shop.available("MUG", "ZONE")), (5, 5));
        let order = placed(order(&shop, units("MUG", 4)));
        assert_eq!((shop.available("MUG", "BIN-1"), shop.available("MUG", "BIN-2")), (0, 1));
        shop.tell(Body::FulfilOrder(FulfilOrder { order, lines: None, occurred_at: None }));
        assert_eq!(shop.total("MUG", StockState::Customer), 4);
        // A warehouse says only that it left London.
        shop.shipment("S1", None, "MUG", 1, None);
        assert_eq!((shop.available("MUG", "LONDON"), shop.discrepancies().len()), (0, 0));
        assert!(
            invalid(
                &shop,
                Body::PutLocation(PutLocation {
                    code: "ZONE".to_owned(),
                    parent: Some("BIN-1".to_owned()),
                    ..PutLocation::default()
                })
            )
            .contains("inside itself")
        );
    });
}

#[test]
fn a_count_of_a_site_sees_its_bins_and_a_move_inside_it_changes_nothing() {
    each_way(|shop| {
        place(&shop, "BIN-1", Some("LONDON"));
        place(&shop, "BIN-2", Some("LONDON"));
        shop.at("10:00");
        receive(&shop, "BIN-1", units("MUG", 10));
        shop.at("10:30");
        let count = |quantity, inside| {
            let (location, as_of) = ("LONDON".to_owned(), Some(time("10:15")));
            Body::Count(TakeCount {
                location,
                lines: units("MUG", quantity),
                as_of,
                inside,
                system: None,
                net: false,
            })
        };
        shop.tell(count(8, true));
        assert_eq!((shop.available("MUG", "LONDON"), shop.available("MUG", "BIN-1")), (8, 8));
        // Heard late: carried from bin to bin before the count, which saw both.
        shop.at("11:00").tell(Body::Transfer(Transfer {
            from: "BIN-1".to_owned(),
            to: "BIN-2".to_owned(),
            lines: units("MUG", 3),
            occurred_at: Some(time("10:05")),
        }));
        assert_eq!((shop.available("MUG", "BIN-1"), shop.available("MUG", "BIN-2")), (5, 3));
        // Heard late: two of what the count missed had left before it.
        shop.shipment("S1", None, "MUG", 2, Some("10:10"));
        assert_eq!(shop.available("MUG", "LONDON"), 8);
        assert_eq!(shop.total("MUG", StockState::Adjustment), 0);
    });
}

// ---- lots ----------------------------------------------------------------------------------------------------

#[test]
fn lots_end_with_their_day_where_they_lie() {
    each_way(|shop| {
        shop.tell(Body::PutLocation(PutLocation {
            code: "HAMBURG".to_owned(),
            time_zone: Some("Europe/Berlin".to_owned()),
            ..PutLocation::default()
        }));
        tracked(&shop, "MILK", Tracking::Lots);
        receive(
            &shop,
            "HAMBURG",
            vec![lot("MILK", 10, "L2", "2027-01-31"), lot("MILK", 5, "L1", "2026-11-30")],
        );
        shop.on("2026-11-30T10:00:00Z");
        let order = placed(order(&shop, units("MILK", 6)));
        assert_eq!((shop.available("MILK", "HAMBURG"), shop.total("MILK", StockState::Committed)), (9, 6));
        shop.on("2026-11-30T22:59:59Z").tell(Body::Tick);
        assert_eq!(shop.total("MILK", StockState::QualityControl), 0);
        shop.on("2026-11-30T23:00:00Z").tell(Body::Tick);
        assert_eq!(shop.total("MILK", StockState::QualityControl), 5);
        assert_eq!((shop.available("MILK", "HAMBURG"), shop.total("MILK", StockState::Committed)), (4, 6));
        shop.tell(Body::FulfilOrder(FulfilOrder { order, lines: None, occurred_at: None }));
        assert_eq!(shop.total("MILK", StockState::Customer), 6);
        assert!(refusal(order_of(&shop, "MILK", 5)).contains("4 available"));
    });
}

fn order_of(shop: &Shop, sku: &str, quantity: i64) -> Answer {
    order(shop, units(sku, quantity))
}

#[test]
fn what_has_expired_or_was_called_back_is_never_available() {
    each_way(|shop| {
        tracked(&shop, "MILK", Tracking::Lots);
        shop.on("2026-12-01T10:00:00Z");
        receive(
            &shop,
            "LONDON",
            vec![lot("MILK", 5, "OLD", "2026-11-30"), lot("MILK", 3, "NEW", "2026-12-24")],
        );
        assert_eq!(shop.available("MILK", "LONDON"), 3);
        let hold = PlaceHold {
            partial: None,
            lines: units("MILK", 2),
            location: None,
            expires_at: onhand_ledger::Instant::parse("2026-12-01T11:00:00Z").unwrap(),
        };
        assert!(matches!(shop.tell(Body::PlaceHold(hold)), Answer::Hold(..)));
        let recall = |recalled| {
            let (sku, lot) = ("MILK".to_owned(), "NEW".to_owned());
            Body::PutLot(PutLot { sku, lot, recalled: Some(recalled), expires: None })
        };
        shop.tell(recall(true));
        assert_eq!(
            (shop.available("MILK", "LONDON"), shop.total("MILK", StockState::QualityControl)),
            (0, 2)
        );
        shop.tell(recall(false));
        assert_eq!(shop.available("MILK", "LONDON"), 1);
        let said = invalid(
            &shop,
            Body::Receive(Receive {
                location: "LONDON".to_owned(),
                lines: units("MILK", 1),
                occurred_at: None,
                reason: None,
            }),
        );
        assert!(said.contains("`MILK` is tracked by lots: name one"), "{said}");
        let other = invalid(
            &shop,
            Body::Receive(Receive {
                location: "LONDON".to_owned(),
                lines: vec![lot("MILK", 1, "NEW", "2026-12-25")],
                occurred_at: None,
                reason: None,
            }),
        );
        assert!(other.contains("expires on 2026-12-24 by our books"), "{other}");
    });
}

#[test]
fn pieces_end_and_are_called_back_with_the_lot_that_they_are_of() {
    each_way(|shop| {
        tracked(&shop, "PHONE", Tracking::Serials);
        let of = |lot: &str, pieces: &[&str]| Line { lot: Some(lot.to_owned()), ..serials("PHONE", pieces) };
        receive(&shop, "LONDON", vec![of("L1", &["S1", "S2", "S3"])]);
        receive(&shop, "LONDON", vec![serials("PHONE", &["S4"])]);
        let gone = placed(order(&shop, units("PHONE", 1)));
        shop.tell(Body::FulfilOrder(FulfilOrder { order: gone, lines: None, occurred_at: None }));
        placed(order(&shop, units("PHONE", 1)));
        let put = |recalled: Option<bool>, day: Option<&str>| {
            let (sku, lot) = ("PHONE".to_owned(), "L1".to_owned());
            shop.tell(Body::PutLot(PutLot {
                sku,
                lot,
                recalled,
                expires: day.map(|day| day.parse().unwrap()),
            }));
        };
        // One of them was promised: its order gets the one that is of another lot.
        put(Some(true), None);
        let now = |shop: &Shop| {
            let states = [StockState::QualityControl, StockState::Committed];
            (shop.available("PHONE", "LONDON"), states.map(|state| shop.total("PHONE", state)))
        };
        assert_eq!(now(&shop), (0, [1, 1]));
        // Also what comes back, and what is heard of for the first time.
        let line = LineQuantity { line: "1".to_owned(), quantity: Quantity::ONE, lot: None };
        shop.tell(Body::ReturnOrder(ReturnOrder {
            order: gone,
            lines: vec![line],
            location: None,
            into: StockState::Available,
            occurred_at: None,
        }));
        receive(&shop, "LONDON", vec![of("L1", &["S5"])]);
        assert_eq!(now(&shop), (0, [1, 1]));
        put(Some(false), None);
        assert_eq!(now(&shop), (3, [1, 1]));
        // Its last day is theirs, and may be told later, and changed.
        put(None, Some("2000-01-01"));
        assert_eq!(now(&shop), (0, [1, 1]));
        put(None, Some("2999-01-01"));
        assert_eq!(now(&shop), (3, [1, 1]));
        shop.tell(Body::Receive(Receive {
            location: "LONDON".to_owned(),
            lines: vec![Line { expires: Some("2999-01-01".parse().unwrap()), ..of("L1", &["S6"]) }],
            occurred_at: None,
            reason: None,
        }));
        assert_eq!(now(&shop), (4, [1, 1]));
    });
}

#[test]
fn a_piece_is_no_lot_and_a_lot_no_piece() {
    each_way(|shop| {
        tracked(&shop, "PHONE", Tracking::Serials);
        let received = |lines| {
            Body::Receive(Receive { location: "LONDON".to_owned(), lines, occurred_at: None, reason: None })
        };
        let of = |lot: &str, piece: &str| {
            received(vec![Line { lot: Some(lot.to_owned()), ..serials("PHONE", &[piece]) }])
        };
        receive(&shop, "LONDON", vec![serials("PHONE", &["a"])]);
        assert!(invalid(&shop, of("a", "f")).contains("`a` of `PHONE` is a piece, not a lot"));
        shop.tell(of("L1", "b"));
        let lot = invalid(&shop, received(vec![serials("PHONE", &["L1"])]));
        assert!(lot.contains("`L1` of `PHONE` is a lot, not a piece"), "{lot}");
        // What was only called something so far is whichever it is named as first.
        for (code, lines) in [("c", vec![serials("PHONE", &["c"])]), ("L2", vec![])] {
            let (sku, lot) = ("PHONE".to_owned(), code.to_owned());
            shop.tell(Body::PutLot(PutLot { sku, lot, recalled: None, expires: None }));
            if lines.is_empty() {
                shop.tell(of(code, "d"));
            } else {
                receive(&shop, "LONDON", lines);
            }
        }
        assert!(invalid(&shop, of("c", "g")).contains("is a piece, not a lot"));
        assert!(invalid(&shop, received(vec![serials("PHONE", &["L2"])])).contains("is a lot, not a piece"));
        let recall =
            PutLot { sku: "PHONE".to_owned(), lot: "a".to_owned(), recalled: Some(true), expires: None };
        shop.tell(Body::PutLot(recall));
        assert_eq!(shop.available("PHONE", "LONDON"), 3, "it is called back by itself");
    });
}

#[test]
fn a_piece_is_of_one_lot() {
    each_way(|shop| {
        tracked(&shop, "PHONE", Tracking::Serials);
        let of = |lot: &str, piece: &str| {
            let lines = vec![Line { lot: Some(lot.to_owned()), ..serials("PHONE", &[piece]) }];
            let location = "LONDON".to_owned();
            Body::Receive(Receive { location, lines, occurred_at: None, reason: None })
        };
        shop.tell(of("L1", "S1"));
        shop.tell(Body::Adjust(Adjust {
            location: "LONDON".to_owned(),
            lines: vec![Line { quantity: -Quantity::ONE, ..serials("PHONE", &["S1"]) }],
            occurred_at: None,
            reason: "lost".to_owned(),
        }));
        assert!(invalid(&shop, of("L2", "S1")).contains("is of the lot `L1` by our books, not of `L2`"));
        assert!(invalid(&shop, of("S2", "S2")).contains("`S2` of `PHONE` is a piece, not a lot"));
        assert!(invalid(&shop, of("S1", "S3")).contains("is a piece, not a lot"));
        // Of which lot it is may be told later.
        receive(&shop, "LONDON", vec![serials("PHONE", &["S4"])]);
        shop.tell(Body::Adjust(Adjust {
            location: "LONDON".to_owned(),
            lines: vec![Line { quantity: -Quantity::ONE, ..serials("PHONE", &["S4"]) }],
            occurred_at: None,
            reason: "lost".to_owned(),
        }));
        shop.tell(of("L1", "S4"));
        let (sku, lot) = ("PHONE".to_owned(), "L1".to_owned());
        shop.tell(Body::PutLot(PutLot { sku, lot, recalled: Some(true), expires: None }));
        assert_eq!(shop.available("PHONE", "LONDON"), 0);
    });
}

#[test]
fn no_piece_comes_back_in_place_of_another() {
    each_way(|shop| {
        tracked(&shop, "PHONE", Tracking::Serials);
        receive(&shop, "LONDON", vec![serials("PHONE", &["S1", "S2", "S3"])]);
        let order = placed(order(&shop, vec![serials("PHONE", &["S1", "S2"])]));
        shop.tell(Body::FulfilOrder(FulfilOrder { order, lines: None, occurred_at: None }));
        let back = |lots: &[&str]| {
            let line = |lot: &&str| LineQuantity {
                line: "1".to_owned(),
                quantity: Quantity::ONE,
                lot: Some((*lot).to_owned()),
            };
            let (lines, location, into) = (lots.iter().map(line).collect(), None, StockState::Available);
            shop.tell(Body::ReturnOrder(ReturnOrder { order, lines, location, into, occurred_at: None }))
        };
        let said = refusal(back(&["S3"]));
        assert!(said.contains("has 0 to return of `S3`, not 1"), "{said}");
        assert!(matches!(back(&["S1"]), Answer::Order(..)));
        assert!(refusal(back(&["S1"])).contains("has 0 to return, not 1"));
        assert_eq!(shop.available("PHONE", "LONDON"), 2);
    });
}

#[test]
fn a_serial_is_in_one_place() {
    each_way(|shop| {
        place(&shop, "PARIS", None);
        tracked(&shop, "PHONE", Tracking::Serials);
        receive(&shop, "LONDON", vec![serials("PHONE", &["S1", "S2"])]);
        let again = receive(&shop, "PARIS", vec![serials("PHONE", &["S1"])]);
        assert!(matches!(again, Answer::Refused(Refusal::SerialElsewhere { .. })), "{again:?}");
        shop.tell(Body::Transfer(Transfer {
            from: "LONDON".to_owned(),
            to: "PARIS".to_owned(),
            lines: vec![serials("PHONE", &["S1"])],
            occurred_at: None,
        }));
        assert_eq!((shop.available("PHONE", "LONDON"), shop.available("PHONE", "PARIS")), (1, 1));
        // Somebody sees S2 in Paris: by our books it is nowhere else any more.
        shop.tell(Body::Count(TakeCount {
            location: "PARIS".to_owned(),
            lines: vec![serials("PHONE", &["S2"])],
            as_of: None,
            inside: false,
            system: None,
            net: false,
        }));
        assert_eq!((shop.available("PHONE", "LONDON"), shop.available("PHONE", "PARIS")), (0, 2));
        // Sold, and back: the piece may come in again.
        let order = placed(order(&shop, vec![serials("PHONE", &["S2"])]));
        shop.tell(Body::FulfilOrder(FulfilOrder { order, lines: None, occurred_at: None }));
        assert_eq!(shop.total("PHONE", StockState::Customer), 1);
        shop.tell(Body::ReturnOrder(ReturnOrder {
            order,
            lines: vec![LineQuantity { line: "1".to_owned(), quantity: Quantity::ONE, lot: None }],
            location: None,
            into: StockState::Available,
            occurred_at: None,
        }));
        let count = serials("PHONE", &["S1", "S1"]);
        assert!(
            invalid(
                &shop,
                Body::Receive(Receive {
                    location: "LONDON".to_owned(),
                    lines: vec![count],
                    occurred_at: None,
                    reason: None,
                })
            )
            .contains("`S1` is there twice")
        );
        assert_eq!(shop.available("PHONE", "PARIS"), 2);
    });
}

#[test]
fn a_piece_that_left_before_it_came_is_one_all_the_same() {
    each_way(|shop| {
        tracked(&shop, "PHONE", Tracking::Serials);
        shop.at("12:00");
        receive(&shop, "LONDON", vec![serials("PHONE", &["S1"])]);
        // It left at ten, we hear: there were -1 by what happened until it came at twelve.
        shop.at("13:00").shipment("P-1", None, "PHONE", 1, Some("10:00"));
        assert_eq!(shop.available("PHONE", "LONDON"), 0);
        shop.tell(Body::Count(TakeCount {
            location: "LONDON".to_owned(),
            lines: vec![serials("PHONE", &["S1"])],
            as_of: Some(time("11:00")),
            inside: false,
            system: None,
            net: false,
        }));
        assert_eq!(shop.available("PHONE", "LONDON"), 1);
    });
}

#[test]
fn how_an_item_is_tracked_is_fixed_once_it_has_moved() {
    each_way(|shop| {
        shop.receive("MUG", 1);
        let put = PutItem { sku: "MUG".to_owned(), tracking: Some(Tracking::Lots), ..PutItem::default() };
        assert!(refusal(shop.tell(Body::PutItem(put))).contains("has moved already"));
    });
}

#[test]
fn what_waits_for_a_name_has_sold_the_components_of_its_kits() {
    each_way(|shop| {
        let shop = &shop;
        kit_shop(shop);
        item(shop, "PAIR", &[("A", 1), ("B", 1)]);
        receive(
            shop,
            "LONDON",
            vec![Line::new("A", Quantity::units(10)), Line::new("B", Quantity::units(10))],
        );
        receive(shop, "LONDON", vec![Line::new("KIT", Quantity::units(1))]);
        let line = |line: &str, sku: &str, wanted| OrderContentLine {
            line: line.to_owned(),
            item: Name::Sku(sku.to_owned()),
            quantity: Quantity::units(wanted),
            shipped: Quantity::ZERO,
            returned: Quantity::ZERO,
            location: None,
            price: None,
        };
        let lines = vec![line("1", "KIT", 3), line("2", "NOBODY-KNOWS", 1)];
        let content = Content::Order(OrderContent { lines, ..OrderContent::default() });
        let (system, document) = ("WEB".to_owned(), "1044".to_owned());
        let told = Body::Record(Document { system, document, version: 1, content });
        shop.tell(told.clone());
        let claimed = |sku: &str| {
            let of = |view: &mut onhand_engine::View<'_>| {
                let (item, _) = view.item_by_sku(sku)?.unwrap();
                let (london, _) = view.location_by_code("LONDON")?.unwrap();
                Ok((
                    view.available(item, london)?.whole_units(),
                    view.claimed_at(item, london)?.whole_units(),
                ))
            };
            shop.ledger.read(TenantId::DEFAULT, of).unwrap()
        };
        // One of the three lies there assembled: two are to be built, of 2 A and 1 B each.
        assert_eq!(claimed("A"), (10, 4));
        assert_eq!(claimed("B"), (10, 2));
        assert_eq!(claimed("KIT"), (6, 3));
        assert_eq!(claimed("PAIR"), (10, 4), "six A are left, and eight B");
        item(shop, "NOBODY-KNOWS", &[]);
        shop.tell(told);
        assert_eq!(
            (claimed("A"), claimed("PAIR")),
            ((6, 0), (6, 0)),
            "it is promised now, and nothing waits"
        );
    });
}

/// The warehouse ships so much of some items for an order of the shop.
fn parcel(shop: &Shop, document: &str, of: &[(&str, i64)]) {
    let line = |(sku, quantity): &(&str, i64)| ShipmentLine {
        item: Name::Sku((*sku).to_owned()),
        quantity: Quantity::units(*quantity),
        lot: None,
    };
    let content = Content::Shipment(ShipmentContent {
        order: Some("1044".to_owned()),
        order_system: Some("WEB".to_owned()),
        location: "LONDON".to_owned(),
        occurred_at: None,
        lines: of.iter().map(line).collect(),
    });
    let (system, document) = ("WMS".to_owned(), document.to_owned());
    shop.tell(Body::Record(Document { system, document, version: 1, content }));
}

/// Wanted, promised, short and shipped of the first line of the shop's order, and what is begun.
fn first_line(shop: &Shop) -> ([i64; 4], Vec<i64>) {
    let known = |view: &mut onhand_engine::View<'_>| {
        let web = view.system_by_name("WEB")?.unwrap().0;
        let Some(Value::Document(document)) = view.get(&Key::Document(web, "1044".to_owned()))? else {
            panic!("the order is known")
        };
        let Became::Order(order) = document.became else { panic!("{document:?}") };
        let Some(Value::Order(order)) = view.get(&Key::Order(order))? else { panic!("the order is there") };
        let named = order.lines.iter().find(|line| !line.line.is_empty());
        Ok(named.or(order.lines.first()).unwrap().clone())
    };
    let line = shop.ledger.read(TenantId::DEFAULT, known).unwrap();
    let figures = [line.wanted, line.allocated_total(), line.short, line.shipped_total()];
    (
        figures.map(Quantity::whole_units),
        line.build.begun.iter().map(|at| at.quantity.whole_units()).collect(),
    )
}

#[test]
fn a_warehouse_that_knows_no_kits_ships_what_it_packed() {
    each_way(|shop| {
        let shop = &shop;
        kit_shop(shop);
        receive(shop, "LONDON", vec![Line::new("A", Quantity::units(7)), Line::new("B", Quantity::units(4))]);
        shop.order_fact("1044", 1, "KIT", 3, false);
        assert_eq!(first_line(shop), ([3, 3, 0, 0], vec![]));
        // The recipe is the order's, whatever it is now.
        item(shop, "KIT", &[("MUG", 1)]);
        parcel(shop, "S1", &[("A", 3), ("B", 1)]);
        assert_eq!(first_line(shop), ([3, 2, 0, 1], vec![1]), "one is whole, and of the next an A has left");
        assert_eq!(all(StockState::Committed, shop, &["A", "B"]), [3, 2]);
        assert_eq!(all(StockState::Available, shop, &["A", "B"]), [1, 1]);
        // Told again by the shop as kits, nothing moves twice.
        let on_hand = |sku| StockState::ON_HAND.map(|state| shop.total(sku, state)).iter().sum::<i64>();
        assert_eq!((on_hand("A"), on_hand("B")), (4, 3));
        // What is begun is not cancelled: it has left in part. What is not, is.
        shop.order_fact("1044", 2, "KIT", 1, false);
        assert_eq!(first_line(shop), ([2, 1, 0, 1], vec![1]));
        assert_eq!(all(StockState::Committed, shop, &["A", "B"]), [1, 1]);
        parcel(shop, "S2", &[("B", 1), ("A", 1)]);
        assert_eq!(first_line(shop), ([2, 0, 0, 2], vec![]));
        assert_eq!(
            (on_hand("A"), on_hand("B"), all(StockState::Committed, shop, &["A", "B"])),
            (3, 2, vec![0, 0])
        );
        assert_eq!(shop.discrepancies().len(), 0, "{:?}", shop.discrepancies());
        parcel(shop, "S3", &[("B", 1)]);
        assert_eq!(shop.discrepancies()[0].cause, Cause::MoreThanOrdered);
        assert_eq!(on_hand("B"), 1);
        let verified = onhand_engine::verify(&shop.ledger, TenantId::DEFAULT, &mut |_| {}).unwrap();
        assert!(verified.violation.is_none(), "{:?}", verified.violation);
    });
}

#[test]
fn kits_told_by_the_shop_and_their_parts_by_the_warehouse_leave_once() {
    for shop_first in [true, false] {
        each_way(|shop| {
            let shop = &shop;
            kit_shop(shop);
            receive(
                shop,
                "LONDON",
                vec![Line::new("A", Quantity::units(6)), Line::new("B", Quantity::units(3))],
            );
            let told = |version, shipped| {
                let line = OrderContentLine {
                    line: "1".to_owned(),
                    item: Name::Sku("KIT".to_owned()),
                    quantity: Quantity::units(2),
                    shipped: Quantity::units(shipped),
                    returned: Quantity::ZERO,
                    location: None,
                    price: None,
                };
                let content = Content::Order(OrderContent { lines: vec![line], ..OrderContent::default() });
                let (system, document) = ("WEB".to_owned(), "1044".to_owned());
                shop.tell(Body::Record(Document { system, document, version, content }));
            };
            told(1, 0);
            if shop_first {
                told(2, 2);
                parcel(shop, "S1", &[("A", 4)]);
                parcel(shop, "S2", &[("B", 2)]);
            } else {
                parcel(shop, "S1", &[("A", 4)]);
                assert_eq!(first_line(shop), ([2, 2, 0, 0], vec![4]));
                told(2, 2);
                parcel(shop, "S2", &[("B", 2)]);
            }
            assert_eq!(first_line(shop), ([2, 0, 0, 2], vec![]));
            assert_eq!(all(StockState::Available, shop, &["A", "B"]), [2, 1]);
            assert_eq!(all(StockState::Committed, shop, &["A", "B"]), [0, 0]);
            assert_eq!(shop.discrepancies().len(), 0);
            // What the warehouse has told has left, whatever the shop says then.
            told(3, 1);
            assert_eq!(first_line(shop), ([2, 0, 0, 2], vec![]));
        });
    }
}

#[test]
fn kits_of_which_a_warehouse_has_told_some_parts_are_begun_again() {
    each_way(|shop| {
        let shop = &shop;
        kit_shop(shop);
        let stock = vec![Line::new("A", Quantity::units(6)), Line::new("B", Quantity::units(3))];
        receive(shop, "LONDON", stock);
        let told = |version, shipped| {
            let line = OrderContentLine {
                line: "1".to_owned(),
                item: Name::Sku("KIT".to_owned()),
                quantity: Quantity::units(2),
                shipped: Quantity::units(shipped),
                returned: Quantity::ZERO,
                location: None,
                price: None,
            };
            let content = Content::Order(OrderContent { lines: vec![line], ..OrderContent::default() });
            let (system, document) = ("WEB".to_owned(), "1044".to_owned());
            shop.tell(Body::Record(Document { system, document, version, content }));
        };
        told(1, 0);
        parcel(shop, "S1", &[("A", 4)]);
        told(2, 2);
        // What its own document takes back comes back; what the warehouse has told stays begun.
        told(3, 1);
        let (figures, begun) = first_line(shop);
        assert_eq!((figures[0], figures[3]), (2, 1), "{begun:?}");
    });
}

#[test]
fn parts_that_left_before_their_order_was_told_are_its_kits() {
    each_way(|shop| {
        let shop = &shop;
        kit_shop(shop);
        receive(shop, "LONDON", vec![Line::new("A", Quantity::units(5)), Line::new("B", Quantity::units(2))]);
        parcel(shop, "S1", &[("A", 3), ("B", 1)]);
        shop.order_fact("1044", 1, "KIT", 2, false);
        assert_eq!(first_line(shop), ([2, 1, 0, 1], vec![1]));
        assert_eq!(all(StockState::Available, shop, &["A", "B"]), [1, 0]);
        assert_eq!(all(StockState::Committed, shop, &["A", "B"]), [1, 1]);
        parcel(shop, "S2", &[("A", 1), ("B", 1)]);
        assert_eq!(first_line(shop), ([2, 0, 0, 2], vec![]));
        assert_eq!(shop.discrepancies().len(), 0, "{:?}", shop.discrepancies());
    });
}

// ---- what nobody says of which lot or piece it is ------------------------------------------------------------

/// WEB's till tells what happened in London, and not of which lot.
fn till(shop: &Shop, document: &str, version: u64, lines: &[(&str, Happened, i64)]) {
    let line = |(sku, what, quantity): &(&str, Happened, i64)| MovementLine {
        line: (*sku).to_owned(),
        item: Name::Sku((*sku).to_owned()),
        location: "LONDON".to_owned(),
        what: *what,
        quantity: Quantity::units(*quantity),
        occurred_at: None,
        reason: None,
    };
    let content = Content::Movements(lines.iter().map(line).collect());
    let (system, document) = ("WEB".to_owned(), document.to_owned());
    let told = shop.tell(Body::Record(Document { system, document, version, content }));
    assert!(matches!(told, Answer::Recorded { .. }), "{told:?}");
}

fn count(shop: &Shop, lines: Vec<Line>) -> Answer {
    let location = "LONDON".to_owned();
    let count = TakeCount { location, lines, as_of: None, inside: false, system: None, net: false };
    shop.tell(Body::Count(count))
}

#[test]
fn what_a_customer_brought_back_of_no_lot_is_looked_at_before_it_is_sold() {
    each_way(|shop| {
        tracked(&shop, "MILK", Tracking::Lots);
        receive(&shop, "LONDON", vec![lot("MILK", 5, "L1", "")]);
        till(&shop, "sold", 1, &[("MILK", Happened::Sold, 5)]);
        let (sku, of) = ("MILK".to_owned(), "L1".to_owned());
        shop.tell(Body::PutLot(PutLot { sku, lot: of, recalled: Some(true), expires: None }));
        till(&shop, "back", 1, &[("MILK", Happened::Returned, 5)]);
        assert_eq!(shop.available("MILK", "LONDON"), 0, "it may be what was called back");
        assert_eq!(shop.total("MILK", StockState::QualityControl), 5);
        till(&shop, "back", 2, &[("MILK", Happened::Returned, 3)]);
        assert_eq!(shop.total("MILK", StockState::QualityControl), 3);
        // It is moved as what it is, and is one lot's once that is known.
        let (from, to) = (StockState::QualityControl, StockState::Available);
        let (location, lines) = ("LONDON".to_owned(), units("MILK", 3));
        let reason = "quality_control".to_owned();
        let released = MoveState { location, from, to, lines, occurred_at: None, reason };
        assert!(matches!(shop.tell(Body::Move(released)), Answer::Moved(..)));
        assert_eq!(shop.available("MILK", "LONDON"), 3);
        count(&shop, vec![lot("MILK", 3, "L2", "2026-12-31"), lot("MILK", 0, "L1", "")]);
        count(&shop, units("MILK", 0));
        assert_eq!((shop.available("MILK", "LONDON"), on_hand(&shop, "MILK")), (3, 3), "L2 is left");
        assert!(
            invalid(&shop, a_count(units("MILK", 3))).contains("name one"),
            "nothing is without a name now"
        );
        till(&shop, "back", 3, &[]);
        assert!(verify(&shop.ledger, TenantId::DEFAULT, &mut |_| {}).unwrap().violation.is_none());
    });
}

fn on_hand(shop: &Shop, sku: &str) -> i64 {
    StockState::ON_HAND.iter().map(|state| shop.total(sku, *state)).sum()
}

fn a_count(lines: Vec<Line>) -> Body {
    let location = "LONDON".to_owned();
    Body::Count(TakeCount { location, lines, as_of: None, inside: false, system: None, net: false })
}

#[test]
fn pieces_without_a_name_are_counted_away_and_taken_out() {
    each_way(|shop| {
        tracked(&shop, "PHONE", Tracking::Serials);
        till(&shop, "in", 1, &[("PHONE", Happened::Received, 3)]);
        count(&shop, vec![serials("PHONE", &["P1", "P2"])]);
        assert_eq!(shop.available("PHONE", "LONDON"), 5, "three have no name");
        let (location, reason) = ("LONDON".to_owned(), "correction".to_owned());
        let out = Adjust { location, lines: units("PHONE", -1), reason, occurred_at: None };
        assert!(matches!(shop.tell(Body::Adjust(out)), Answer::Moved(..)));
        assert_eq!(shop.available("PHONE", "LONDON"), 4, "it is none of the two");
        // No piece at all is here.
        count(&shop, vec![serials("PHONE", &[])]);
        assert_eq!(on_hand(&shop, "PHONE"), 0);
        assert!(verify(&shop.ledger, TenantId::DEFAULT, &mut |_| {}).unwrap().violation.is_none());
    });
}

#[test]
fn a_piece_that_left_elsewhere_is_nowhere_else() {
    each_way(|shop| {
        place(&shop, "PARIS", None);
        tracked(&shop, "PHONE", Tracking::Serials);
        receive(&shop, "PARIS", vec![serials("PHONE", &["P1"])]);
        let line = ShipmentLine {
            item: Name::Sku("PHONE".to_owned()),
            quantity: Quantity::ONE,
            lot: Some("P1".to_owned()),
        };
        let content = Content::Shipment(ShipmentContent {
            order: Some("1044".to_owned()),
            order_system: None,
            location: "LONDON".to_owned(),
            occurred_at: None,
            lines: vec![line],
        });
        let (system, document) = ("WEB".to_owned(), "S1".to_owned());
        shop.tell(Body::Record(Document { system, document, version: 1, content }));
        assert_eq!((on_hand(&shop, "PHONE"), shop.total("PHONE", StockState::Customer)), (0, 1));
        assert!(matches!(order(&shop, units("PHONE", 1)), Answer::Refused(_)), "it is with the customer");
        assert!(verify(&shop.ledger, TenantId::DEFAULT, &mut |_| {}).unwrap().violation.is_none());
    });
}
