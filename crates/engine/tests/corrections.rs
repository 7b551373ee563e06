//! What a document said and says no more: it is taken back at the time it was said of, once, and as if only its newest
//! version had ever been told. On every way a ledger is kept.

#[path = "support/shop.rs"]
#[expect(dead_code, reason = "other tests use the rest")]
mod shop;

use onhand_engine::verify;
use onhand_ledger::command::{
    Content, Document, Happened, Line, MovementLine, Name, OrderContent, OrderContentLine, PutItem,
    PutLocation, PutSystem, Receive, ShipmentContent, ShipmentLine,
};
use onhand_ledger::model::{Cause, Tracking};
use onhand_ledger::{Answer, Body, Quantity, StockState, TenantId};
use shop::{Shop, each_way, time, units};

/// A line of an order's document: its name, how much is wanted, has left and came back.
type Told<'a> = (&'a str, &'a str, i64, i64, i64);

/// WEB tells of an order.
fn order(shop: &Shop, document: &str, version: u64, lines: &[Told<'_>]) -> Answer {
    let line = |(line, sku, quantity, shipped, returned): &Told<'_>| OrderContentLine {
        line: (*line).to_owned(),
        item: Name::Sku((*sku).to_owned()),
        quantity: Quantity::units(*quantity),
        shipped: Quantity::units(*shipped),
        returned: Quantity::units(*returned),
        location: None,
        price: None,
    };
    let content = OrderContent { lines: lines.iter().map(line).collect(), ..OrderContent::default() };
    let (system, document) = ("WEB".to_owned(), document.to_owned());
    let told =
        shop.tell(Body::Record(Document { system, document, version, content: Content::Order(content) }));
    assert!(matches!(told, Answer::Recorded { .. }), "{told:?}");
    told
}

/// WEB's till tells what happened in London.
fn till(shop: &Shop, version: u64, lines: &[(&str, Happened, i64)]) {
    let line = |(line, what, quantity): &(&str, Happened, i64)| MovementLine {
        line: (*line).to_owned(),
        item: Name::Sku("MUG".to_owned()),
        location: "LONDON".to_owned(),
        what: *what,
        quantity: Quantity::units(*quantity),
        occurred_at: None,
        reason: None,
    };
    let content = Content::Movements(lines.iter().map(line).collect());
    let (system, document) = ("WEB".to_owned(), "till".to_owned());
    let told = shop.tell(Body::Record(Document { system, document, version, content }));
    assert!(matches!(told, Answer::Recorded { .. }), "{told:?}");
}

fn on_hand(shop: &Shop, sku: &str) -> i64 {
    StockState::ON_HAND.iter().map(|state| shop.total(sku, *state)).sum()
}

fn open(shop: &Shop) -> Vec<(Cause, String)> {
    let found = shop.discrepancies().into_iter().filter(|found| found.resolved_at.is_none());
    found.map(|found| (found.cause, found.sentence)).collect()
}

fn is_sound(shop: &Shop) {
    let verified = verify(&shop.ledger, TenantId::DEFAULT, &mut |_| {}).unwrap();
    assert_eq!(verified.violation, None);
}

// ---- when --------------------------------------------------------------------------------------------------------

#[test]
fn what_did_not_leave_after_all_is_dated_when_it_was_said_to_have_left() {
    each_way(|shop| {
        shop.at("08:00").receive("MUG", 10);
        order(shop.at("09:00"), "1044", 1, &[("1", "MUG", 5, 5, 0)]);
        shop.at("11:00").count("MUG", 5, "11:00");
        order(shop.at("12:00"), "1044", 2, &[("1", "MUG", 5, 0, 0)]);
        // Five were seen after it: what did not leave is not there either.
        assert_eq!((on_hand(&shop, "MUG"), shop.total("MUG", StockState::Committed)), (5, 5));
        assert_eq!(shop.on_hand_at("MUG", "10:00", None), 10);
        is_sound(&shop);
    });
}

#[test]
fn what_did_not_come_back_after_all_is_dated_when_it_was_said_to_have_come() {
    each_way(|shop| {
        shop.at("08:00").receive("MUG", 10);
        order(&shop, "1044", 1, &[("1", "MUG", 5, 5, 0)]);
        order(shop.at("09:00"), "1044", 2, &[("1", "MUG", 5, 5, 2)]);
        shop.at("11:00").count("MUG", 7, "11:00");
        order(shop.at("12:00"), "1044", 3, &[("1", "MUG", 5, 5, 0)]);
        assert_eq!(on_hand(&shop, "MUG"), 7);
        assert_eq!(shop.on_hand_at("MUG", "10:00", None), 5);
        is_sound(&shop);
    });
}

#[test]
fn kits_that_did_not_leave_are_dated_when_they_were_said_to_have_left() {
    each_way(|shop| {
        let kit = PutItem { sku: "KIT".to_owned(), kit: Some(units("A", 2)), ..PutItem::default() };
        shop.at("08:00").tell(Body::PutItem(kit));
        shop.receive("A", 10);
        order(shop.at("09:00"), "1044", 1, &[("1", "KIT", 2, 2, 0)]);
        assert_eq!(on_hand(&shop, "A"), 6);
        shop.at("11:00").count("A", 6, "11:00");
        order(shop.at("12:00"), "1044", 2, &[("1", "KIT", 2, 1, 0)]);
        assert_eq!((on_hand(&shop, "A"), shop.total("A", StockState::Committed)), (6, 2));
        is_sound(&shop);
    });
}

// ---- who else said so --------------------------------------------------------------------------------------------

#[test]
fn a_shop_does_not_take_back_what_a_warehouse_has_told_too() {
    each_way(|shop| {
        for shop_first in [true, false] {
            let (document, parcel) = if shop_first { ("1", "P1") } else { ("2", "P2") };
            shop.receive("MUG", 10 - on_hand(&shop, "MUG"));
            order(&shop, document, 1, &[("1", "MUG", 2, 0, 0)]);
            if shop_first {
                order(&shop, document, 2, &[("1", "MUG", 2, 2, 0)]);
                shop.shipment(parcel, Some(document), "MUG", 2, None);
            } else {
                shop.shipment(parcel, Some(document), "MUG", 2, None);
                order(&shop, document, 2, &[("1", "MUG", 2, 2, 0)]);
            }
            assert_eq!(on_hand(&shop, "MUG"), 8);
            order(&shop, document, 3, &[("1", "MUG", 2, 0, 0)]);
            assert_eq!(
                (on_hand(&shop, "MUG"), shop.total("MUG", StockState::Committed)),
                (8, 0),
                "{document}"
            );
            order(&shop, document, 4, &[("1", "MUG", 2, 2, 0)]);
            assert_eq!(on_hand(&shop, "MUG"), 8, "{document}");
        }
        is_sound(&shop);
    });
}

#[test]
fn a_shop_takes_back_what_it_told_beyond_the_parcels() {
    each_way(|shop| {
        shop.receive("MUG", 10);
        order(&shop, "1", 1, &[("1", "MUG", 5, 5, 0)]);
        shop.shipment("P1", Some("1"), "MUG", 2, None);
        assert_eq!(on_hand(&shop, "MUG"), 5);
        order(&shop, "1", 2, &[("1", "MUG", 5, 0, 0)]);
        assert_eq!((on_hand(&shop, "MUG"), shop.total("MUG", StockState::Committed)), (8, 3));
        is_sound(&shop);
    });
}

// ---- lines that are told no more ---------------------------------------------------------------------------------

#[test]
fn a_line_that_is_told_no_more_is_told_as_nothing() {
    each_way(|shop| {
        shop.receive("MUG", 10);
        order(&shop, "1", 1, &[("x", "MUG", 2, 2, 1)]);
        assert_eq!(on_hand(&shop, "MUG"), 9);
        order(&shop, "1", 2, &[]);
        assert_eq!(shop.stock("MUG"), (10, 0, 0));
        // Of another item it is another line.
        order(&shop, "2", 1, &[("x", "MUG", 2, 2, 0)]);
        shop.receive("A", 5);
        order(&shop, "2", 2, &[("x", "A", 2, 2, 0)]);
        assert_eq!((shop.stock("MUG"), shop.stock("A")), ((10, 0, 0), (3, 0, 0)));
        is_sound(&shop);
    });
}

#[test]
fn a_line_that_is_called_otherwise_leaves_once() {
    each_way(|shop| {
        shop.at("08:00").receive("MUG", 10);
        order(&shop, "1", 1, &[("x", "MUG", 2, 2, 0)]);
        order(&shop, "1", 2, &[("y", "MUG", 2, 2, 0)]);
        assert_eq!(shop.stock("MUG"), (8, 0, 0));
        // A count in between, and a parcel that was told too: what has left stays what it was.
        shop.at("09:00").count("MUG", 8, "09:00");
        order(shop.at("10:00"), "1", 3, &[("z", "MUG", 2, 2, 0)]);
        assert_eq!(shop.stock("MUG"), (8, 0, 0));
        shop.shipment("P1", Some("1"), "MUG", 2, None);
        order(&shop, "1", 4, &[("a", "MUG", 1, 1, 0), ("b", "MUG", 1, 1, 0)]);
        assert_eq!(shop.stock("MUG"), (8, 0, 0));
        order(&shop, "1", 5, &[("c", "MUG", 3, 3, 0)]);
        assert_eq!(shop.stock("MUG"), (7, 0, 0));
        is_sound(&shop);
    });
}

#[test]
fn what_came_back_goes_with_a_line_that_is_called_otherwise() {
    each_way(|shop| {
        shop.receive("MUG", 10);
        order(&shop, "1", 1, &[("x", "MUG", 3, 3, 2)]);
        order(&shop, "1", 2, &[("y", "MUG", 3, 3, 2)]);
        assert_eq!(shop.stock("MUG"), (9, 0, 0));
        order(&shop, "1", 3, &[("y", "MUG", 3, 3, 1)]);
        assert_eq!(shop.stock("MUG"), (8, 0, 0));
        assert_eq!(open(&shop), []);
        is_sound(&shop);
    });
}

// ---- in before out -----------------------------------------------------------------------------------------------

#[test]
fn what_comes_in_is_booked_before_what_goes_out() {
    each_way(|shop| {
        shop.receive("MUG", 1);
        order(&shop, "1", 1, &[("1", "MUG", 1, 1, 1)]);
        order(&shop, "1", 2, &[("1", "MUG", 2, 2, 1)]);
        let told = order(&shop, "1", 3, &[("1", "MUG", 2, 0, 0)]);
        let Answer::Recorded { lines, .. } = told else { panic!("{told:?}") };
        assert_eq!((lines[0].allocated, lines[0].short), (Quantity::ONE, Quantity::ONE));
        assert_eq!(shop.stock("MUG"), (0, 0, 1));
        let causes: Vec<Cause> = open(&shop).into_iter().map(|(cause, _)| cause).collect();
        assert_eq!(causes, [Cause::Short]);
        is_sound(&shop);
    });
}

#[test]
fn what_came_back_of_one_line_is_there_for_another() {
    each_way(|shop| {
        shop.receive("MUG", 1);
        order(&shop, "1", 1, &[("2", "MUG", 1, 1, 0)]);
        order(&shop, "1", 2, &[("1", "MUG", 1, 1, 0), ("2", "MUG", 1, 1, 1)]);
        assert_eq!((shop.stock("MUG"), open(&shop)), ((0, 0, 0), vec![]));
        is_sound(&shop);
    });
}

#[test]
fn a_piece_that_neither_left_nor_came_back_is_there_once() {
    each_way(|shop| {
        let tracking = Some(Tracking::Serials);
        shop.tell(Body::PutItem(PutItem { sku: "PHONE".to_owned(), tracking, ..PutItem::default() }));
        let line = Line { serials: Some(vec!["a".to_owned()]), ..Line::new("PHONE", Quantity::ONE) };
        let (location, lines) = ("LONDON".to_owned(), vec![line]);
        shop.tell(Body::Receive(Receive { location, lines, occurred_at: None, reason: None }));
        order(&shop, "1", 1, &[("1", "PHONE", 1, 1, 1)]);
        assert_eq!(on_hand(&shop, "PHONE"), 1);
        order(&shop, "1", 2, &[("1", "PHONE", 1, 0, 0)]);
        assert_eq!((on_hand(&shop, "PHONE"), open(&shop)), (1, vec![]));
        is_sound(&shop);
    });
}

// ---- what balances -----------------------------------------------------------------------------------------------

#[test]
fn what_balanced_an_arrival_that_was_taken_back_goes_with_what_comes_after_all() {
    each_way(|shop| {
        till(&shop, 1, &[("1", Happened::Returned, 2), ("2", Happened::Sold, 2)]);
        till(&shop, 2, &[("2", Happened::Sold, 2)]);
        assert_eq!(shop.stock("MUG"), (0, 0, 0));
        till(&shop, 3, &[("9", Happened::Returned, 1)]);
        assert_eq!(shop.stock("MUG"), (1, 0, 0), "as if only version 3 had been told");
        // And where it is told again, it is there no more than the first time.
        till(&shop, 4, &[("9", Happened::Returned, 1), ("2", Happened::Sold, 1)]);
        till(&shop, 5, &[("2", Happened::Sold, 1)]);
        till(&shop, 6, &[("2", Happened::Sold, 1), ("9", Happened::Returned, 3)]);
        assert_eq!(shop.stock("MUG"), (2, 0, 0));
        is_sound(&shop);
    });
}

#[test]
fn what_balanced_a_return_that_was_taken_back_goes_with_it() {
    each_way(|shop| {
        shop.receive("MUG", 2);
        order(&shop, "1", 1, &[("1", "MUG", 2, 2, 2)]);
        till(&shop, 1, &[("1", Happened::Sold, 2)]);
        order(&shop, "1", 2, &[("1", "MUG", 2, 2, 0)]);
        assert_eq!(on_hand(&shop, "MUG"), 0);
        order(&shop, "1", 3, &[("1", "MUG", 2, 2, 1)]);
        assert_eq!(on_hand(&shop, "MUG"), 0, "one of the two that were sold over the counter");
        order(&shop, "1", 4, &[("1", "MUG", 2, 0, 0)]);
        assert_eq!(on_hand(&shop, "MUG"), 0, "two were there, and were sold over the counter");
        is_sound(&shop);
    });
}

// ---- where from --------------------------------------------------------------------------------------------------

fn place(shop: &Shop, code: &str, rank: u32) {
    let put = PutLocation { code: code.to_owned(), rank: Some(rank), ..PutLocation::default() };
    shop.tell(Body::PutLocation(put));
}

fn at(shop: &Shop, sku: &str, location: &str) -> i64 {
    let of = |view: &mut onhand_engine::View<'_>| {
        let (item, _) = view.item_by_sku(sku)?.unwrap();
        let (location, _) = view.location_by_code(location)?.unwrap();
        let mut sum = Quantity::ZERO;
        for state in StockState::ON_HAND {
            sum += view.held(item, location, state)?;
        }
        Ok(sum.whole_units())
    };
    shop.ledger.read(TenantId::DEFAULT, of).unwrap()
}

#[test]
fn what_left_from_nobody_says_where_left_from_where_it_was() {
    each_way(|shop| {
        place(&shop, "NORTH", 1);
        shop.receive("MUG", 5);
        order(&shop, "P", 1, &[("1", "MUG", 5, 0, 0)]);
        order(&shop, "Q", 1, &[("1", "MUG", 3, 3, 0)]);
        assert_eq!((at(&shop, "MUG", "LONDON"), shop.total("MUG", StockState::Committed)), (2, 2));
        let causes: Vec<Cause> = open(&shop).into_iter().map(|(cause, _)| cause).collect();
        assert_eq!(causes, [Cause::PromiseBroken], "three of P are short");
        // What is nowhere left from the first.
        order(&shop, "R", 1, &[("1", "MUG", 3, 3, 0)]);
        let sentences: Vec<String> = open(&shop).into_iter().map(|(_, sentence)| sentence).collect();
        assert!(sentences.iter().any(|said| said.contains("left NORTH")), "{sentences:?}");
        assert_eq!(on_hand(&shop, "MUG"), 0);
        is_sound(&shop);
    });
}

#[test]
fn what_left_left_from_the_systems_own_locations_first() {
    each_way(|shop| {
        for (code, rank) in [("NORTH", 1), ("SOUTH", 200)] {
            place(&shop, code, rank);
        }
        let locations = Some(vec![("9".to_owned(), "SOUTH".to_owned())]);
        shop.tell(Body::PutSystem(PutSystem {
            name: "WEB".to_owned(),
            kind: "test".to_owned(),
            locations,
            ..PutSystem::default()
        }));
        for code in ["NORTH", "SOUTH"] {
            let (location, lines) = (code.to_owned(), units("MUG", 2));
            shop.tell(Body::Receive(Receive { location, lines, occurred_at: None, reason: None }));
        }
        order(&shop, "P", 1, &[("1", "MUG", 4, 0, 0)]);
        order(&shop, "Q", 1, &[("1", "MUG", 3, 3, 0)]);
        assert_eq!((at(&shop, "MUG", "NORTH"), at(&shop, "MUG", "SOUTH")), (1, 0));
        order(&shop, "R", 1, &[("1", "MUG", 2, 2, 0)]);
        let sentences: Vec<String> = open(&shop).into_iter().map(|(_, sentence)| sentence).collect();
        assert!(sentences.iter().any(|said| said.contains("left SOUTH")), "{sentences:?}");
        is_sound(&shop);
    });
}

#[test]
fn kits_that_left_from_nobody_says_where_left_from_where_their_parts_were() {
    each_way(|shop| {
        place(&shop, "NORTH", 1);
        let kit = PutItem { sku: "KIT".to_owned(), kit: Some(units("A", 2)), ..PutItem::default() };
        shop.tell(Body::PutItem(kit));
        shop.receive("A", 5);
        order(&shop, "P", 1, &[("1", "A", 5, 0, 0)]);
        order(&shop, "Q", 1, &[("1", "KIT", 2, 2, 0)]);
        assert_eq!(at(&shop, "A", "LONDON"), 1);
        is_sound(&shop);
    });
}

// ---- what is over ------------------------------------------------------------------------------------------------

#[test]
fn more_came_back_than_left_ends_once_that_is_so_no_more() {
    let over = |shop: &Shop| open(shop).iter().filter(|(cause, _)| *cause == Cause::MoreThanOrdered).count();
    each_way(|shop| {
        shop.receive("MUG", 10);
        order(&shop, "1", 1, &[("1", "MUG", 3, 1, 2)]);
        assert_eq!(over(&shop), 1);
        order(&shop, "1", 2, &[("1", "MUG", 3, 2, 2)]);
        assert_eq!((over(&shop), shop.stock("MUG")), (0, (9, 0, 1)));
        // More is said in place of less, and a parcel that was told ends it as well.
        order(&shop, "2", 1, &[("1", "MUG", 4, 1, 2)]);
        order(&shop, "2", 2, &[("1", "MUG", 4, 1, 3)]);
        assert_eq!(over(&shop), 1);
        shop.shipment("P1", Some("2"), "MUG", 3, None);
        assert_eq!(over(&shop), 0);
        is_sound(&shop);
    });
}

#[test]
fn a_late_correction_names_what_it_corrects_in_time() {
    each_way(|shop| {
        shop.at("08:00").receive("MUG", 10);
        let content = |shipped| {
            let line = OrderContentLine {
                line: "1".to_owned(),
                item: Name::Sku("MUG".to_owned()),
                quantity: Quantity::units(4),
                shipped: Quantity::units(shipped),
                returned: Quantity::ZERO,
                location: None,
                price: None,
            };
            let changed_at = Some(time(if shipped == 4 { "09:00" } else { "12:00" }));
            Content::Order(OrderContent { changed_at, lines: vec![line], ..OrderContent::default() })
        };
        let tell = |version, shipped| {
            let (system, document) = ("WEB".to_owned(), "1".to_owned());
            shop.tell(Body::Record(Document { system, document, version, content: content(shipped) }))
        };
        shop.at("13:00");
        tell(1, 4);
        tell(2, 1);
        assert_eq!(shop.on_hand_at("MUG", "10:00", None), 9, "three of the four did not leave at nine");
        is_sound(&shop);
    });
}

// ---- parcels of nobody's orders ----------------------------------------------------------------------------------

#[test]
fn what_a_parcel_told_before_the_lines_were_known_is_taken_back_by_nobody() {
    each_way(|shop| {
        shop.receive("MUG", 10);
        let content = ShipmentContent {
            order: Some("1".to_owned()),
            order_system: Some("WEB".to_owned()),
            location: "LONDON".to_owned(),
            occurred_at: None,
            lines: vec![ShipmentLine {
                item: Name::Sku("MUG".to_owned()),
                quantity: Quantity::units(2),
                lot: None,
            }],
        };
        let (system, document) = ("WMS".to_owned(), "P1".to_owned());
        shop.tell(Body::Record(Document {
            system,
            document,
            version: 1,
            content: Content::Shipment(content),
        }));
        order(&shop, "1", 1, &[("x", "MUG", 2, 2, 0)]);
        order(&shop, "1", 2, &[("y", "MUG", 2, 0, 0)]);
        assert_eq!(shop.stock("MUG"), (8, 0, 0));
        is_sound(&shop);
    });
}
