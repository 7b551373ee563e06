//! The worked examples that fix what the laws mean, each by its name, on every way a ledger is kept.

#[path = "support/shop.rs"]
#[expect(dead_code, reason = "other tests use the rest")]
mod shop;

use onhand_engine::CommitError;
use onhand_ledger::command::{
    Adjust, Content, Document, Happened, MergeItems, MovementLine, Name, OrderContent, OrderContentLine,
    PutItem, PutLocation, SetOwnership, ShipmentContent, ShipmentLine, TakeCount,
};
use onhand_ledger::model::Cause;
use onhand_ledger::{Answer, Body, CellKey, Invalid, Precision, Quantity, Refusal, StockState, TenantId};
use shop::{each_way, time, units};

#[test]
fn a_late_shipment_before_a_count_changes_nothing_after_it() {
    each_way(|shop| {
        shop.at("10:00").receive("MUG", 100);
        shop.at("10:20").count("MUG", 97, "10:15");
        assert_eq!(shop.stock("MUG"), (97, 0, 0));
        shop.at("11:30").shipment("S1", None, "MUG", 3, Some("10:05"));
        assert_eq!(shop.stock("MUG"), (97, 0, 0));
        assert_eq!(shop.on_hand_at("MUG", "10:10", None), 97);
        assert_eq!(shop.on_hand_at("MUG", "10:10", Some("10:30")), 100);
        assert_eq!(shop.on_hand_at("MUG", "10:20", None), 97);
        assert_eq!(shop.on_hand_at("MUG", "10:20", Some("10:30")), 97);
    });
}

#[test]
fn a_count_taken_in_the_morning_keeps_the_sales_made_since() {
    each_way(|shop| {
        shop.at("10:00").receive("MUG", 100);
        shop.at("10:30").shipment("S1", None, "MUG", 8, None);
        shop.at("11:00").count("MUG", 98, "10:15");
        assert_eq!(shop.stock("MUG"), (90, 0, 0));
        assert_eq!(shop.on_hand_at("MUG", "10:20", None), 98);
    });
}

#[test]
fn counted_below_what_is_promised() {
    each_way(|shop| {
        shop.at("10:00").receive("MUG", 10);
        shop.at("10:10").order_fact("P", 1, "MUG", 5, false);
        shop.at("10:20").order_fact("Q", 1, "MUG", 3, false);
        assert_eq!(shop.stock("MUG"), (2, 0, 8));
        shop.at("10:31").count("MUG", 5, "10:30");
        assert_eq!(shop.stock("MUG"), (0, 0, 5));
        let found = shop.discrepancies();
        assert_eq!(found.len(), 1);
        assert_eq!((found[0].cause, found[0].quantity), (Cause::PromiseBroken, Quantity::units(3)));
        shop.at("11:00").receive("MUG", 3);
        assert_eq!(shop.stock("MUG"), (0, 0, 8));
    });
}

#[test]
fn shipped_for_somebody_else() {
    each_way(|shop| {
        shop.at("10:00").receive("MUG", 5);
        shop.at("10:10").order_fact("P", 1, "MUG", 5, false);
        shop.at("10:20").shipment("S1", Some("Q"), "MUG", 3, None);
        assert_eq!(shop.stock("MUG"), (0, 0, 2));
        assert_eq!(shop.discrepancies().len(), 1);
        // The shop's own word of Q comes later and fills the order; nothing moves twice.
        shop.at("10:30").order_fact("Q", 1, "MUG", 3, false);
        assert_eq!(shop.stock("MUG"), (0, 0, 2));
    });
}

#[test]
fn more_left_than_there_was() {
    each_way(|shop| {
        shop.at("10:00").receive("MUG", 2);
        shop.at("10:10").shipment("S1", None, "MUG", 3, None);
        assert_eq!(shop.stock("MUG"), (0, 0, 0));
        let found = shop.discrepancies();
        assert_eq!(found.len(), 1);
        assert_eq!((found[0].cause, found[0].quantity), (Cause::MoreLeftThanThere, Quantity::ONE));
    });
}

#[test]
fn a_hold_ends_on_the_second_whoever_sleeps() {
    each_way(|shop| {
        shop.at("10:00").receive("MUG", 1);
        let hold = shop.hold("MUG", 1, "10:10");
        let refused = shop.at("10:09:59").order(Some("k"), "MUG", 1).unwrap().answer;
        let Answer::Refused(refusal) = refused else { panic!("{refused:?}") };
        let said = refusal.to_string();
        assert!(said.contains("0 available, 1 held until 2026-11-23T10:10:00Z"), "{said}");
        let accepted = shop.at("10:10:00").order(None, "MUG", 1).unwrap().answer;
        assert!(matches!(accepted, Answer::Order(..)), "{accepted:?}");
        let late = shop.at("10:11").convert(hold);
        assert!(matches!(late, Answer::Refused(Refusal::HoldEnded { .. })), "{late:?}");
        assert_eq!(shop.stock("MUG"), (0, 0, 1));
    });
}

#[test]
fn a_document_is_a_state_not_an_event() {
    each_way(|shop| {
        shop.at("10:00").receive("MUG", 10);
        shop.order_fact("1044", 1, "MUG", 3, false);
        shop.order_fact("1044", 2, "MUG", 1, false);
        shop.order_fact("1044", 1, "MUG", 3, false);
        let head = shop.head();
        let copies =
            [shop.order_fact("1044", 2, "MUG", 1, false), shop.order_fact("1044", 2, "MUG", 1, false)];
        assert!(copies.iter().all(|copy| *copy == Answer::AlreadyApplied { version: 2 }), "{copies:?}");
        assert_eq!((shop.stock("MUG"), shop.head()), ((9, 0, 1), head));
        shop.order_fact("1044", 3, "MUG", 1, true);
        assert_eq!(shop.stock("MUG"), (10, 0, 0));
        shop.order_fact("1044", 2, "MUG", 1, false);
        assert_eq!(shop.stock("MUG"), (10, 0, 0));
    });
}

#[test]
fn a_refusal_stands() {
    each_way(|shop| {
        let first = shop.at("10:00").order(Some("k"), "MUG", 1).unwrap();
        assert!(matches!(first.answer, Answer::Refused(_)));
        shop.receive("MUG", 1);
        let again = shop.order(Some("k"), "MUG", 1).unwrap();
        assert_eq!((again.answer, again.replayed), (first.answer, true));
        assert!(matches!(shop.order(Some("k2"), "MUG", 1).unwrap().answer, Answer::Order(..)));
        let reused = shop.order(Some("k2"), "MUG", 2).unwrap_err();
        assert!(matches!(reused, CommitError::Invalid(Invalid::KeyReused(_))), "{reused}");
    });
}

#[test]
fn an_outsiders_absolute_is_evidence() {
    each_way(|shop| {
        let master = SetOwnership {
            location: Some("LONDON".to_owned()),
            master: "WMS".to_owned(),
            ..SetOwnership::default()
        };
        shop.at("10:00").tell(Body::SetOwnership(master));
        let count = |system: Option<&str>, quantity| {
            Body::Count(TakeCount {
                inside: false,
                location: "LONDON".to_owned(),
                lines: units("MUG", quantity),
                as_of: None,
                system: system.map(str::to_owned),
                net: false,
            })
        };
        let told = shop.tell(count(Some("WEB"), 92));
        assert!(matches!(told, Answer::Waiting(..)), "{told:?}");
        assert_eq!(shop.stock("MUG"), (0, 0, 0));
        assert_eq!(shop.discrepancies()[0].cause, Cause::NotMaster);
        let ours = shop.tell(count(None, 5));
        let Answer::Refused(refusal) = ours else { panic!("{ours:?}") };
        assert!(refusal.to_string().contains("its master is `WMS`"), "{refusal}");
        assert!(matches!(shop.tell(count(Some("WMS"), 37)), Answer::Counted(..)));
        assert_eq!(shop.stock("MUG"), (37, 0, 0));
    });
}

#[test]
fn exact() {
    each_way(|shop| {
        let precision = Precision::new(3);
        shop.at("10:00").tell(Body::PutItem(PutItem {
            sku: "TEA".to_owned(),
            precision,
            ..PutItem::default()
        }));
        let adjust = |micros| {
            let line = onhand_ledger::command::Line::new("TEA", Quantity::from_micros(micros));
            let (location, reason) = ("LONDON".to_owned(), "found".to_owned());
            Body::Adjust(Adjust { location, lines: vec![line], occurred_at: None, reason })
        };
        shop.tell(adjust(100_000));
        let Answer::Moved(moved, _) = shop.tell(adjust(200_000)) else { panic!("it moves") };
        assert_eq!(
            (moved[0].available.micros(), moved[0].available.to_string()),
            (300_000, "0.3".to_owned())
        );
        let refused = shop.keyed(None, adjust(100)).unwrap_err().to_string();
        assert!(refused.contains("at most 3 decimals"), "{refused}");
    });
}

#[test]
fn one_parcel_two_tellers() {
    for shop_first in [true, false] {
        each_way(|shop| {
            let berlin = || "BERLIN".to_owned();
            shop.tell(Body::PutLocation(PutLocation { code: berlin(), ..PutLocation::default() }));
            let (location, master) = (Some(berlin()), "WMS".to_owned());
            shop.tell(Body::SetOwnership(SetOwnership { location, master, ..SetOwnership::default() }));
            let tell = |system: &str, document: &str, version, content| {
                let (system, document) = (system.to_owned(), document.to_owned());
                shop.tell(Body::Record(Document { system, document, version, content }))
            };
            let item = || Name::Sku("MUG".to_owned());
            let arrived = MovementLine {
                line: "1".to_owned(),
                item: item(),
                location: berlin(),
                what: Happened::Received,
                quantity: Quantity::units(5),
                occurred_at: None,
                reason: None,
            };
            tell("WMS", "R1", 1, Content::Movements(vec![arrived]));
            let ordered = |version, shipped| {
                let line = OrderContentLine {
                    line: "1".to_owned(),
                    item: item(),
                    quantity: Quantity::units(2),
                    shipped: Quantity::units(shipped),
                    returned: Quantity::ZERO,
                    location: Some(berlin()),
                    price: None,
                };
                let content = OrderContent { lines: vec![line], ..OrderContent::default() };
                tell("WEB", "T", version, Content::Order(content))
            };
            let parcel = || {
                let lines = vec![ShipmentLine { item: item(), quantity: Quantity::units(2), lot: None }];
                let (order, order_system) = (Some("T".to_owned()), Some("WEB".to_owned()));
                let content =
                    ShipmentContent { order, order_system, location: berlin(), occurred_at: None, lines };
                tell("WMS", "S1", 1, Content::Shipment(content))
            };
            let on_hand = || StockState::ON_HAND.map(|state| shop.total("MUG", state)).iter().sum::<i64>();
            ordered(1, 0);
            if shop_first {
                ordered(2, 2);
                assert_eq!(on_hand(), 5, "it is the warehouse's to say");
                parcel();
            } else {
                parcel();
                assert_eq!(on_hand(), 3);
                ordered(2, 2);
            }
            assert_eq!((on_hand(), shop.total("MUG", StockState::Committed)), (3, 0), "once");
            assert_eq!(shop.discrepancies().len(), 0);
        });
    }
}

#[test]
fn a_clock_that_is_ahead() {
    each_way(|shop| {
        shop.at("10:00").receive("MUG", 5);
        assert!(matches!(shop.count("MUG", 4, "10:03"), Answer::Counted(..)));
        let count = |system: Option<&str>| {
            Body::Count(TakeCount {
                inside: false,
                location: "LONDON".to_owned(),
                lines: units("MUG", 3),
                as_of: Some(time("10:10")),
                system: system.map(str::to_owned),
                net: false,
            })
        };
        let request = shop.keyed(None, count(None)).unwrap_err();
        assert!(matches!(request, CommitError::Invalid(Invalid::TooFarAhead { .. })), "{request}");
        assert!(matches!(shop.tell(count(Some("WMS"))), Answer::Waiting(..)));
        assert_eq!(shop.stock("MUG"), (4, 0, 0));
    });
}

#[test]
fn two_lines_of_one_order_are_checked_together() {
    each_way(|shop| {
        shop.at("10:00").receive("MUG", 5);
        let lines = [units("MUG", 3), units("MUG", 3)].concat();
        let place = onhand_ledger::command::PlaceOrder {
            reference: None,
            lines,
            location: None,
            ..onhand_ledger::command::PlaceOrder::default()
        };
        let answer = shop.tell(Body::PlaceOrder(place));
        assert!(matches!(answer, Answer::Refused(Refusal::Insufficient(_))), "{answer:?}");
        assert_eq!(shop.stock("MUG"), (5, 0, 0));
    });
}

#[test]
fn a_fact_that_names_unknown_things_waits_and_moves_nothing() {
    each_way(|shop| {
        shop.at("10:00").receive("MUG", 5);
        let first = shop.order_fact("77", 1, "CUP", 1, false);
        let Answer::Waiting(id, sentence) = first else { panic!("{first:?}") };
        assert!(sentence.contains("no item has the SKU `CUP`"), "{sentence}");
        let head = shop.head();
        assert!(matches!(shop.order_fact("77", 1, "CUP", 1, false), Answer::Waiting(same, _) if same == id));
        assert_eq!(shop.head(), head, "told again, it is one thing in the inbox");
        shop.tell(Body::PutItem(PutItem { sku: "CUP".to_owned(), ..PutItem::default() }));
        shop.receive("CUP", 2);
        assert!(matches!(shop.order_fact("77", 1, "CUP", 1, false), Answer::Recorded { .. }));
        assert_eq!(shop.stock("CUP"), (1, 0, 1));
        assert!(shop.discrepancies().iter().all(|found| found.resolved_at.is_some()));
    });
}

#[test]
fn the_state_is_what_the_log_says() {
    each_way(|shop| {
        shop.at("10:00").receive("MUG", 10);
        shop.hold("MUG", 2, "10:30");
        shop.order_fact("P", 1, "MUG", 12, false);
        shop.at("10:10").count("MUG", 9, "10:05");
        shop.shipment("S1", Some("P"), "MUG", 1, Some("10:01"));
        let before = (shop.stock("MUG"), shop.discrepancies(), shop.head());
        shop.ledger.rebuild().unwrap();
        assert_eq!((shop.stock("MUG"), shop.discrepancies(), shop.head()), before);
        let verified = onhand_engine::verify(&shop.ledger, TenantId::DEFAULT, &mut |_| {}).unwrap();
        assert_eq!(verified.violation, None);
        // The hold lapses by itself after the state was folded again, and the short order is served.
        shop.at("10:31");
        shop.tell(Body::Tick);
        let (available, reserved, _) = shop.stock("MUG");
        assert_eq!((available, reserved), (0, 0));
    });
}

#[test]
fn merged_not_rewritten() {
    each_way(|shop| {
        for sku in ["85123A", "85123a"] {
            shop.tell(Body::PutItem(PutItem { sku: sku.to_owned(), ..PutItem::default() }));
        }
        shop.at("10:00").receive("85123A", 6);
        shop.receive("85123a", 4);
        let merge = MergeItems { from: "85123a".to_owned(), into: "85123A".to_owned() };
        let told = shop.at("11:00").tell(Body::MergeItems(merge));
        assert!(matches!(told, Answer::Merged(_)), "{told:?}");
        assert_eq!((shop.stock("85123A"), shop.stock("85123a")), ((10, 0, 0), (10, 0, 0)));
        // As of before: 4 and 6, as they were.
        let then = |sku: &str, at: &str| {
            let read = shop.ledger.read(TenantId::DEFAULT, |view| {
                let (item, _) = view.item_meant(sku, time(at))?.expect("the item is there");
                let (london, _) = view.location_by_code("LONDON")?.expect("London is there");
                let cell = CellKey::new(item, london, StockState::Available);
                view.as_of(cell, time(at), None).map(Quantity::whole_units)
            });
            read.unwrap()
        };
        assert_eq!((then("85123a", "10:30"), then("85123A", "10:30")), (4, 6));
        assert_eq!((then("85123a", "11:00"), then("85123A", "11:00")), (10, 10));
    });
}
