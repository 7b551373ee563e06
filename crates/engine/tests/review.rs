//! What a careful reader found, each as a test.

#[path = "support/shop.rs"]
#[expect(dead_code, reason = "the examples use the rest")]
mod shop;

use onhand_engine::{CommitError, Options};
use onhand_ledger::command::{
    Adjust, Content, Document, Happened, Line, MoveState, MovementLine, Name, OrderContent, OrderContentLine,
    PlaceOrder, PutItem, PutLocation, PutLot, Receive, Resolve, SetOwnership, ShipmentContent, ShipmentLine,
};
use onhand_ledger::model::Tracking;
use onhand_ledger::{
    Answer, Body, DiscrepancyId, Invalid, Key, OrderId, Precision, Quantity, StockState, TenantId, Value,
};
use onhand_store::MemoryStore;
use shop::{Shop, each_way, time, units};

const MOST: i64 = 1_000_000_000_000;

fn shop() -> Shop {
    Shop::over(Box::new(MemoryStore::default()), Options::default())
}

fn sale(document: &str, version: u64, quantity: i64, at: Option<&str>) -> Body {
    Body::Record(Document {
        system: "WEB".to_owned(),
        document: document.to_owned(),
        version,
        content: Content::Movements(vec![MovementLine {
            line: "1".to_owned(),
            item: Name::Sku("MUG".to_owned()),
            location: "LONDON".to_owned(),
            what: Happened::Sold,
            quantity: Quantity::units(quantity),
            occurred_at: at.map(time),
            reason: None,
        }]),
    })
}

fn order(document: &str, version: u64, lines: &[(&str, &str, i64, i64)]) -> Body {
    let lines = lines.iter().map(|(line, sku, quantity, shipped)| OrderContentLine {
        line: (*line).to_owned(),
        item: Name::Sku((*sku).to_owned()),
        quantity: Quantity::units(*quantity),
        shipped: Quantity::units(*shipped),
        returned: Quantity::ZERO,
        location: None,
        price: None,
    });
    Body::Record(Document {
        system: "WEB".to_owned(),
        document: document.to_owned(),
        version,
        content: Content::Order(OrderContent {
            placed_at: None,
            changed_at: None,
            cancelled: false,
            lines: lines.collect(),
            ..OrderContent::default()
        }),
    })
}

#[test]
fn a_move_of_more_than_64_bits_is_refused() {
    let shop = shop();
    shop.at("10:00").receive("MUG", 5);
    let lines = (0..10).flat_map(|_| units("MUG", MOST)).collect();
    let step = Body::Move(MoveState {
        location: "LONDON".to_owned(),
        lines,
        from: StockState::Available,
        to: StockState::Damaged,
        reason: "x".to_owned(),
        occurred_at: None,
    });
    let answer = shop.keyed(None, step);
    assert!(matches!(answer, Err(CommitError::Invalid(Invalid::Overflow(_)))), "{answer:?}");
}

/// A lot is called back, or ends with its day: neither can be refused because of how much is short already.
#[test]
fn what_is_promised_can_be_broken_however_much_is_short() {
    let shop = shop();
    shop.at("10:00").tell(Body::PutItem(PutItem {
        sku: "MILK".to_owned(),
        tracking: Some(Tracking::Lots),
        ..PutItem::default()
    }));
    shop.tell(Body::Receive(Receive {
        location: "LONDON".to_owned(),
        lines: vec![Line { lot: Some("L1".to_owned()), ..Line::new("MILK", Quantity::units(MOST)) }],
        occurred_at: None,
        reason: None,
    }));
    shop.tell(order("first", 1, &[("1", "MILK", MOST, 0)]));
    let mut short = 0;
    let told = loop {
        match shop.keyed(None, order(&format!("order {short}"), 1, &[("1", "MILK", MOST, 0)])) {
            Ok(_) => short += 1,
            Err(error) => break error,
        }
    };
    assert!(matches!(told, CommitError::Invalid(Invalid::Overflow(_))), "{told:?}");
    assert_eq!(short, 2, "no more is short than an outside party may give");
    let recall = PutLot { sku: "MILK".to_owned(), lot: "L1".to_owned(), expires: None, recalled: Some(true) };
    shop.tell(Body::PutLot(recall));
    let demand = shop.ledger.read(TenantId::DEFAULT, |view| {
        let (item, _) = view.item_by_sku("MILK")?.unwrap();
        view.get(&Key::Demand(item))
    });
    assert_eq!(demand.unwrap(), Some(Value::Quantity(Quantity::units(3 * MOST))));
}

#[test]
fn a_precision_that_there_is_not_is_no_precision() {
    assert!(serde_json::from_str::<Precision>("6").is_ok());
    assert!(serde_json::from_str::<Precision>("7").is_err());
}

#[test]
fn a_quantity_beyond_what_is_accepted_is_refused() {
    let shop = shop();
    shop.at("10:00").tell(Body::PutItem(PutItem {
        sku: "DUST".to_owned(),
        precision: Precision::new(6),
        ..PutItem::default()
    }));
    for micros in [i64::MIN, i64::MAX] {
        let adjust = Body::Adjust(Adjust {
            location: "LONDON".to_owned(),
            lines: vec![Line {
                sku: "DUST".to_owned(),
                quantity: Quantity::from_micros(micros),
                ..Default::default()
            }],
            occurred_at: None,
            reason: "x".to_owned(),
        });
        let answer = shop.keyed(None, adjust);
        assert!(matches!(answer, Err(CommitError::Invalid(_))), "{answer:?}");
    }
}

#[test]
fn demand_beyond_64_bits_is_no_panic() {
    let shop = shop();
    shop.at("10:00");
    for number in 0..10 {
        let _ = shop.keyed(None, order(&format!("W{number}"), 1, &[("1", "MUG", MOST, 0)]));
    }
    // What there is still goes to the oldest.
    shop.receive("MUG", 5);
    assert_eq!(shop.stock("MUG"), (0, 0, 5));
}

#[test]
fn one_order_short_of_more_than_64_bits_is_no_panic() {
    let shop = shop();
    shop.at("10:00");
    let skus: Vec<String> = (0..10).map(|number| format!("S{number}")).collect();
    for sku in &skus {
        shop.tell(Body::PutItem(PutItem { sku: sku.clone(), ..PutItem::default() }));
    }
    let lines: Vec<_> = skus.iter().map(|sku| (sku.as_str(), sku.as_str(), MOST, 0)).collect();
    let answer = shop.keyed(None, order("W", 1, &lines));
    assert!(answer.is_ok(), "{answer:?}");
}

#[test]
fn stock_over_all_places_stays_within_64_bits() {
    let shop = shop();
    shop.at("10:00")
        .tell(Body::PutLocation(PutLocation { code: "PARIS".to_owned(), ..PutLocation::default() }));
    for _ in 0..9 {
        let receive = Body::Receive(Receive {
            location: "LONDON".to_owned(),
            lines: units("MUG", MOST),
            occurred_at: None,
            reason: None,
        });
        let adjust = Body::Adjust(Adjust {
            location: "PARIS".to_owned(),
            lines: units("MUG", MOST),
            occurred_at: None,
            reason: "x".to_owned(),
        });
        let _ = shop.keyed(None, receive);
        let _ = shop.keyed(None, adjust);
    }
    let answer = shop.order(None, "MUG", 1);
    assert!(matches!(answer.map(|committed| committed.answer), Ok(Answer::Order(..))));
}

#[test]
fn a_till_that_was_offline_over_a_count_has_sold_what_it_sold() {
    each_way(|shop| {
        shop.at("10:00").receive("MUG", 3);
        shop.at("10:20").count("MUG", 0, "10:15");
        // Three were sold at 10:05; the count has seen that they were gone.
        let Answer::Recorded { lines, .. } = shop.at("11:00").tell(sale("Z1", 1, 3, Some("10:05"))) else {
            panic!("it is recorded")
        };
        assert_eq!(lines[0].short, Quantity::ZERO);
        assert_eq!(shop.stock("MUG"), (0, 0, 0));
        assert_eq!(shop.on_hand_at("MUG", "10:10", None), 0);
        assert!(shop.discrepancies().is_empty(), "{:?}", shop.discrepancies());
    });
}

#[test]
fn an_older_version_does_not_end_the_waiting_of_a_newer() {
    each_way(|shop| {
        shop.at("10:00").receive("MUG", 10);
        let waits = shop.tell(order("77", 2, &[("1", "MUG", 1, 0), ("2", "CUP", 1, 0)]));
        assert!(matches!(waits, Answer::Waiting(..)));
        shop.tell(order("77", 1, &[("1", "MUG", 1, 0)]));
        let open = shop.discrepancies().iter().filter(|found| found.resolved_at.is_none()).count();
        assert_eq!(open, 1, "version 2 still waits for CUP");
    });
}

#[test]
fn what_a_person_resolved_is_applied_all_the_same() {
    each_way(|shop| {
        shop.at("10:00");
        let Answer::Waiting(id, _) = shop.tell(order("77", 1, &[("1", "CUP", 1, 0)])) else {
            panic!("it waits")
        };
        shop.tell(Body::Resolve(Resolve { discrepancy: DiscrepancyId(id.0), choice: None }));
        shop.tell(Body::PutItem(PutItem { sku: "CUP".to_owned(), ..PutItem::default() }));
        shop.receive("CUP", 2);
        let answer = shop.tell(order("77", 1, &[("1", "CUP", 1, 0)]));
        assert!(matches!(answer, Answer::Recorded { .. }), "{answer:?}");
        assert_eq!(shop.stock("CUP"), (1, 0, 1));
    });
}

#[test]
fn a_newer_version_that_waits_again_is_open_again() {
    each_way(|shop| {
        shop.at("10:00");
        let Answer::Waiting(id, _) = shop.tell(order("77", 1, &[("1", "CUP", 1, 0)])) else {
            panic!("it waits")
        };
        shop.tell(Body::Resolve(Resolve { discrepancy: DiscrepancyId(id.0), choice: None }));
        let answer = shop.tell(order("77", 2, &[("1", "CUP", 2, 0)]));
        assert!(matches!(answer, Answer::Waiting(..)), "{answer:?}");
    });
}

#[test]
fn one_parcel_told_by_the_shop_first_moves_once() {
    each_way(|shop| {
        shop.at("10:00").receive("MUG", 10);
        shop.tell(order("T", 1, &[("1", "MUG", 2, 0)]));
        shop.tell(order("T", 2, &[("1", "MUG", 2, 2)]));
        assert_eq!(shop.stock("MUG"), (8, 0, 0));
        shop.shipment("S1", Some("T"), "MUG", 2, None);
        assert_eq!(shop.stock("MUG"), (8, 0, 0));
    });
}

#[test]
fn one_parcel_of_a_part_told_by_the_shop_first_moves_once() {
    each_way(|shop| {
        shop.at("10:00").receive("MUG", 10);
        shop.tell(order("T", 1, &[("1", "MUG", 5, 0)]));
        shop.tell(order("T", 2, &[("1", "MUG", 5, 2)]));
        assert_eq!(shop.stock("MUG"), (5, 0, 3));
        shop.shipment("S1", Some("T"), "MUG", 2, None);
        assert_eq!(shop.stock("MUG"), (5, 0, 3));
    });
}

#[test]
fn what_left_from_a_masters_place_is_not_taken_elsewhere() {
    each_way(|shop| {
        shop.at("10:00").tell(Body::PutLocation(PutLocation {
            code: "BERLIN".to_owned(),
            rank: Some(200),
            ..PutLocation::default()
        }));
        shop.tell(Body::SetOwnership(SetOwnership {
            location: Some("BERLIN".to_owned()),
            master: "WMS".to_owned(),
            ..SetOwnership::default()
        }));
        shop.tell(Body::Record(Document {
            system: "WMS".to_owned(),
            document: "R1".to_owned(),
            version: 1,
            content: Content::Movements(vec![MovementLine {
                line: "1".to_owned(),
                item: Name::Sku("MUG".to_owned()),
                location: "BERLIN".to_owned(),
                what: Happened::Received,
                quantity: Quantity::units(3),
                occurred_at: None,
                reason: None,
            }]),
        }));
        shop.tell(order("T", 1, &[("1", "MUG", 5, 0)]));
        shop.tell(order("T", 2, &[("1", "MUG", 5, 3)]));
        let more: Vec<_> = shop
            .discrepancies()
            .into_iter()
            .filter(|found| found.cause == onhand_ledger::model::Cause::MoreLeftThanThere)
            .collect();
        assert!(more.is_empty(), "{more:?}");
    });
}

#[test]
fn a_parcel_before_its_order_is_shared_among_the_lines() {
    each_way(|shop| {
        shop.at("10:00").receive("MUG", 10);
        shop.shipment("S1", Some("T"), "MUG", 5, None);
        assert_eq!(shop.stock("MUG"), (5, 0, 0));
        shop.tell(order("T", 1, &[("1", "MUG", 2, 0), ("2", "MUG", 3, 0)]));
        assert_eq!(shop.stock("MUG"), (5, 0, 0));
        shop.tell(order("T", 2, &[("1", "MUG", 2, 2), ("2", "MUG", 3, 3)]));
        assert_eq!(shop.stock("MUG"), (5, 0, 0));
    });
}

#[test]
fn a_place_that_begins_to_sell_serves_who_waits() {
    each_way(|shop| {
        let sells = |sellable| {
            Body::PutLocation(PutLocation {
                code: "LONDON".to_owned(),
                sellable: Some(sellable),
                ..PutLocation::default()
            })
        };
        shop.at("10:00").tell(sells(false));
        shop.receive("MUG", 5);
        shop.order_fact("W1", 1, "MUG", 3, false);
        assert_eq!(shop.stock("MUG"), (5, 0, 0));
        shop.tell(sells(true));
        // Whoever comes now must not be served before it.
        shop.order(None, "MUG", 5).unwrap();
        let (_, _, committed) = shop.stock("MUG");
        assert_eq!(committed, 3, "the older order is served first");
    });
}

#[test]
fn a_shipment_of_its_orders_name_loses_no_order() {
    each_way(|shop| {
        shop.at("10:00").receive("MUG", 10);
        let parcel = |document: &str, quantity| {
            Body::Record(Document {
                system: "WMS".to_owned(),
                document: document.to_owned(),
                version: 1,
                content: Content::Shipment(ShipmentContent {
                    order: Some("1044".to_owned()),
                    order_system: None,
                    location: "LONDON".to_owned(),
                    occurred_at: None,
                    lines: vec![ShipmentLine {
                        lot: None,
                        item: Name::Sku("MUG".to_owned()),
                        quantity: Quantity::units(quantity),
                    }],
                }),
            })
        };
        // One name for both would let the one's versions hide the other's.
        let same = shop.keyed(None, parcel("1044", 2)).unwrap_err();
        assert!(same.to_string().contains("a name of its own"), "{same}");
        shop.tell(parcel("P1", 2));
        shop.tell(parcel("P2", 1));
        let orders = shop
            .ledger
            .read(TenantId::DEFAULT, |view| {
                view.range(&Key::Order(OrderId(0)), &Key::Order(OrderId(1 << 60)), false, 100)
            })
            .unwrap();
        assert_eq!(orders.len(), 1, "{orders:?}");
    });
}

#[test]
fn a_reference_of_another_document_is_taken() {
    each_way(|shop| {
        shop.at("10:00").receive("MUG", 10);
        let sold = |version| match sale("X", version, 1, None) {
            Body::Record(document) => Body::Record(Document { system: "onhand".to_owned(), ..document }),
            other => other,
        };
        shop.tell(sold(1));
        let place = Body::PlaceOrder(PlaceOrder {
            reference: Some("X".to_owned()),
            lines: units("MUG", 1),
            location: None,
            ..PlaceOrder::default()
        });
        let taken = shop.keyed(None, place).unwrap_err();
        assert!(taken.to_string().contains("another document"), "{taken}");
        let copy = shop.tell(sold(1));
        assert!(matches!(copy, Answer::AlreadyApplied { .. }), "{copy:?}");
    });
}

#[test]
fn movements_do_not_take_a_shipment_back() {
    each_way(|shop| {
        shop.at("10:00").receive("MUG", 10);
        shop.shipment("S1", None, "MUG", 2, None);
        let Body::Record(sold) = sale("S1", 2, 1, None) else { panic!("it is a document") };
        let answer = shop.tell(Body::Record(Document { system: "WMS".to_owned(), ..sold }));
        assert!(matches!(answer, Answer::Waiting(..)), "{answer:?}");
        assert_eq!(shop.stock("MUG"), (8, 0, 0));
    });
}

#[test]
fn the_same_key_is_told_the_same_of_a_document() {
    each_way(|shop| {
        shop.at("10:00").receive("MUG", 10);
        let body = order("T", 1, &[("1", "MUG", 1, 0)]);
        shop.tell(body.clone());
        let first = shop.keyed(Some("k"), body.clone()).unwrap().answer;
        shop.tell(order("T", 2, &[("1", "MUG", 2, 0)]));
        let second = shop.keyed(Some("k"), body).unwrap().answer;
        assert_eq!(first, second);
    });
}
