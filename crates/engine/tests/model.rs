//! The ledger beside a naive model of it, over random sequences of all commands in random batches.
//!
//! After each batch both must have given the same answers and say the same of every cell, account, order, hold, counting
//! session, open discrepancy and past stock, and of what a system shall show. What the two disagreed on once is at the end, each as a small test.

#[path = "model/acts.rs"]
mod acts;
#[path = "support/cases.rs"]
mod cases;
#[path = "model/documents.rs"]
mod documents;
#[path = "model/merges.rs"]
mod merges;
#[path = "model/naive.rs"]
mod naive;
#[path = "model/promises.rs"]
mod promises;
#[path = "model/published.rs"]
mod published;
#[path = "model/sessions.rs"]
mod sessions;
#[path = "support/shop.rs"]
#[expect(dead_code, reason = "the examples use the rest")]
mod shop;
#[path = "model/supply.rs"]
mod supply;
#[path = "model/world.rs"]
mod world;

use acts::{Act, batches, merging, one_order, sessions as counting, supply};
use cases::config;
use onhand_engine::CommitError;
use onhand_ledger::command::{
    Adjust, CancelOrder, Content, Document, Happened, Line, MergeItems, MovementLine, Name, OrderContent,
    OrderContentLine, PlaceHold, PlaceOrder, PlacePurchase, PurchaseOrderLine, PutItem, PutLocation,
    ReceiptContent, ReceiptLine, Receive, ReceivePurchase, SetOwnership, ShipmentContent, ShipmentLine,
};
use onhand_ledger::{Answer, Body, Quantity, StockState};
use proptest::prelude::*;
use shop::{Shop, each_way, time, units};
use world::{Kept, World};

fn run(kept: Kept, acts: &[Vec<Act>]) {
    let mut world = World::new(kept);
    for (step, batch) in acts.iter().enumerate() {
        world.act(batch);
        if matches!(kept, Kept::InFile | Kept::InPostgresql) && step % 3 == 2 {
            world.open();
            world.compare();
        }
    }
}

proptest! {
    #![proptest_config(config(480, 20_000))]

    #[test]
    fn the_ledger_does_what_the_model_says_in_memory(acts in batches()) {
        run(Kept::InMemory, &acts);
    }
}

proptest! {
    #![proptest_config(config(300, 20_000))]

    #[test]
    fn one_order_is_what_the_model_says_however_often_it_is_told(acts in one_order()) {
        run(Kept::InMemory, &acts);
    }

    #[test]
    fn transfers_are_what_the_model_says_however_they_are_told(acts in supply()) {
        run(Kept::InMemory, &acts);
    }

    #[test]
    fn items_that_become_one_are_what_the_model_says(acts in merging()) {
        run(Kept::InMemory, &acts);
    }

    #[test]
    fn counting_sessions_are_what_the_model_says(acts in counting()) {
        run(Kept::InMemory, &acts);
    }

    #[test]
    fn the_ledger_does_what_the_model_says_with_everything_evicted_before_each_batch(acts in batches()) {
        run(Kept::Evicting, &acts);
    }
}

proptest! {
    #![proptest_config(config(40, 20_000))]

    #[test]
    fn the_ledger_does_what_the_model_says_in_a_file_that_is_reopened_without_flushing(acts in batches()) {
        run(Kept::InFile, &acts);
    }
}

proptest! {
    #![proptest_config(config(8, 200))]

    #[test]
    fn the_ledger_does_what_the_model_says_in_postgresql_which_is_reopened_now_and_then(acts in batches()) {
        run(Kept::InPostgresql, &acts);
    }
}

// ---- what the two disagreed on -------------------------------------------------------------------------------------

fn paris(shop: &Shop) {
    shop.tell(Body::PutLocation(PutLocation { code: "PARIS".to_owned(), ..PutLocation::default() }));
}

fn receive(shop: &Shop, location: &str, quantity: i64) {
    let (location, lines) = (location.to_owned(), units("MUG", quantity));
    shop.tell(Body::Receive(Receive { location, lines, occurred_at: None, reason: None }));
}

/// WEB tells of order 1044: how much is wanted and has shipped, from where.
fn ordered(
    shop: &Shop,
    version: u64,
    sku: &str,
    wanted: i64,
    shipped: i64,
    location: Option<&str>,
) -> Answer {
    let line = OrderContentLine {
        line: "1".to_owned(),
        item: Name::Sku(sku.to_owned()),
        quantity: Quantity::units(wanted),
        shipped: Quantity::units(shipped),
        returned: Quantity::ZERO,
        location: location.map(str::to_owned),
        price: None,
    };
    let content = OrderContent {
        placed_at: None,
        changed_at: None,
        cancelled: false,
        lines: vec![line],
        ..OrderContent::default()
    };
    shop.tell(Body::Record(Document {
        system: "WEB".to_owned(),
        document: "1044".to_owned(),
        version,
        content: Content::Order(content),
    }))
}

/// WEB's till tells what happened in London.
fn till(shop: &Shop, version: u64, what: Happened, quantity: i64, at: &str) -> Answer {
    let line = MovementLine {
        line: "1".to_owned(),
        item: Name::Sku("MUG".to_owned()),
        location: "LONDON".to_owned(),
        what,
        quantity: Quantity::units(quantity),
        occurred_at: Some(time(at)),
        reason: None,
    };
    shop.tell(Body::Record(Document {
        system: "WEB".to_owned(),
        document: "till".to_owned(),
        version,
        content: Content::Movements(vec![line]),
    }))
}

#[test]
fn what_the_named_place_does_not_have_comes_from_elsewhere() {
    each_way(|shop| {
        paris(&shop);
        receive(&shop, "PARIS", 5);
        let told = ordered(&shop, 1, "MUG", 2, 0, Some("LONDON"));
        let Answer::Recorded { lines, discrepancies, .. } = told else { panic!("{told:?}") };
        assert_eq!((lines[0].allocated, lines[0].short), (Quantity::units(2), Quantity::ZERO));
        assert!(discrepancies.is_empty(), "nothing is short while there is some");
    });
}

#[test]
fn a_till_that_was_offline_sold_what_the_count_found_gone() {
    each_way(|shop| {
        shop.at("10:00").receive("MUG", 3);
        shop.at("10:30").count("MUG", 0, "10:20");
        let told = till(shop.at("11:00"), 1, Happened::Sold, 3, "10:10");
        let Answer::Recorded { lines, .. } = told else { panic!("{told:?}") };
        assert_eq!((lines[0].shipped, lines[0].short), (Quantity::units(3), Quantity::ZERO));
        assert_eq!((shop.stock("MUG"), shop.on_hand_at("MUG", "10:15", None)), ((0, 0, 0), 0));
        assert!(shop.discrepancies().is_empty());
    });
}

#[test]
fn a_newer_version_that_waits_goes_on_waiting() {
    each_way(|shop| {
        ordered(shop.at("10:00"), 2, "TEA", 1, 0, None);
        ordered(&shop, 1, "MUG", 1, 0, None);
        let waiting = |shop: &Shop| {
            shop.discrepancies()
                .iter()
                .filter(|found| found.evidence.is_some() && found.resolved_at.is_none())
                .count()
        };
        assert_eq!(waiting(&shop), 1, "version 2 is neither applied nor forgotten");
        shop.tell(Body::PutItem(PutItem { sku: "TEA".to_owned(), ..PutItem::default() }));
        assert!(matches!(ordered(&shop, 2, "TEA", 1, 0, None), Answer::Recorded { .. }));
        assert_eq!(waiting(&shop), 0);
    });
}

#[test]
fn a_parcel_that_another_master_will_tell_of_does_not_leave_from_here() {
    each_way(|shop| {
        paris(&shop);
        receive(&shop, "PARIS", 1);
        let (location, master) = (Some("PARIS".to_owned()), "WMS".to_owned());
        shop.tell(Body::SetOwnership(SetOwnership { location, master, ..SetOwnership::default() }));
        // One is promised in Paris, one is short. The shop says that one has left; the warehouse in Paris has yet to.
        let told = ordered(&shop, 1, "MUG", 2, 1, None);
        let Answer::Recorded { lines, .. } = told else { panic!("{told:?}") };
        assert_eq!((lines[0].allocated, lines[0].shipped), (Quantity::ONE, Quantity::ZERO));
        assert_eq!(lines[0].short, Quantity::ONE);
    });
}

#[test]
fn one_parcel_with_two_tellers_where_onhand_is_master() {
    each_way(|shop| {
        shop.at("10:00").receive("MUG", 10);
        ordered(&shop, 1, "MUG", 2, 2, None);
        assert_eq!(shop.stock("MUG"), (8, 0, 0));
        shop.shipment("S1", Some("1044"), "MUG", 2, None);
        assert_eq!(shop.stock("MUG"), (8, 0, 0), "the same parcel, told by the warehouse too");
    });
}

#[test]
fn a_loss_told_wrong_leaves_nothing_behind_once_corrected() {
    each_way(|shop| {
        shop.at("10:00").receive("MUG", 2);
        till(shop.at("10:10"), 1, Happened::Lost, 5, "10:05");
        assert_eq!(shop.stock("MUG"), (0, 0, 0));
        till(shop.at("10:20"), 2, Happened::Lost, 1, "10:05");
        assert_eq!(shop.stock("MUG"), (1, 0, 0), "as if only version 2 had been told");
    });
}

#[test]
fn what_waits_claims_only_what_is_not_applied_of_it() {
    each_way(|shop| {
        let line = |line: &str, sku: &str, wanted| OrderContentLine {
            line: line.to_owned(),
            item: Name::Sku(sku.to_owned()),
            quantity: Quantity::units(wanted),
            shipped: Quantity::ZERO,
            returned: Quantity::ZERO,
            location: None,
            price: None,
        };
        let tell = |version, lines| {
            let content = OrderContent {
                placed_at: None,
                changed_at: None,
                cancelled: false,
                lines,
                ..OrderContent::default()
            };
            let (system, document) = ("WEB".to_owned(), "1044".to_owned());
            let told = Document { system, document, version, content: Content::Order(content) };
            shop.tell(Body::Record(told))
        };
        let claimed = || {
            let of = |view: &mut onhand_engine::View<'_>| {
                let (item, _) = view.item_by_sku("MUG")?.unwrap();
                view.claimed(item)
            };
            shop.ledger.read(onhand_ledger::TenantId::DEFAULT, of).unwrap().whole_units()
        };
        tell(2, vec![line("1", "MUG", 5), line("2", "TEA", 1)]);
        assert_eq!(claimed(), 5);
        let Answer::Recorded { order: Some(order), .. } = tell(1, vec![line("1", "MUG", 3)]) else {
            panic!()
        };
        assert_eq!(claimed(), 2, "three of the five are wanted by the order now");
        shop.tell(Body::CancelOrder(CancelOrder { order, lines: None }));
        assert_eq!(claimed(), 5, "and no longer are");
    });
}

/// A shipment that a system tells of, for WEB's order 1044.
fn shipped_from(shop: &Shop, system: &str, document: &str, location: &str, quantity: i64) -> Answer {
    let lines = vec![ShipmentLine {
        lot: None,
        item: Name::Sku("MUG".to_owned()),
        quantity: Quantity::units(quantity),
    }];
    let content = ShipmentContent {
        order: Some("1044".to_owned()),
        order_system: Some("WEB".to_owned()),
        location: location.to_owned(),
        occurred_at: None,
        lines,
    };
    shop.tell(Body::Record(Document {
        system: system.to_owned(),
        document: document.to_owned(),
        version: 1,
        content: Content::Shipment(content),
    }))
}

#[test]
fn a_parcel_of_our_own_that_the_shop_told_of_before() {
    each_way(|shop| {
        shop.at("10:00").receive("MUG", 10);
        ordered(&shop, 1, "MUG", 2, 2, None);
        shipped_from(&shop, "onhand", "S1", "LONDON", 2);
        assert_eq!(shop.stock("MUG"), (8, 0, 0), "the same parcel, told in our own name too");
    });
}

#[test]
fn what_the_document_takes_back_comes_to_where_it_left_from() {
    each_way(|shop| {
        paris(&shop);
        receive(&shop, "LONDON", 2);
        receive(&shop, "PARIS", 2);
        // The shop tells of two from London, the warehouse of those and two more from Paris. What the shop takes back is
        // what nobody else told of: one of three.
        ordered(&shop, 1, "MUG", 4, 2, Some("LONDON"));
        shipped_from(&shop, "onhand", "S1", "PARIS", 3);
        assert_eq!(shop.stock("MUG"), (0, 0, 0));
        ordered(&shop, 2, "MUG", 4, 3, Some("LONDON"));
        ordered(&shop, 3, "MUG", 4, 4, Some("LONDON"));
        assert_eq!(shop.total("MUG", StockState::Committed), 0);
        ordered(&shop, 4, "MUG", 4, 0, Some("LONDON"));
        assert_eq!((shop.stock("MUG"), shop.total("MUG", StockState::Committed)), ((0, 0, 0), 1), "in Paris");
    });
}

#[test]
fn a_shipment_told_wrong_leaves_nothing_behind_once_corrected() {
    each_way(|shop| {
        shop.at("10:00").receive("MUG", 1);
        ordered(shop.at("10:10"), 1, "MUG", 3, 3, None);
        assert_eq!(shop.stock("MUG"), (0, 0, 0));
        let told = ordered(shop.at("10:20"), 2, "MUG", 3, 1, None);
        let Answer::Recorded { lines, .. } = told else { panic!("{told:?}") };
        assert_eq!((lines[0].shipped, lines[0].short), (Quantity::ONE, Quantity::units(2)));
        assert_eq!(shop.stock("MUG"), (0, 0, 0), "as if only version 2 had been told");
    });
}

#[test]
fn a_receipt_told_too_large_invents_nothing_once_corrected() {
    each_way(|shop| {
        till(shop.at("10:00"), 1, Happened::Received, 5, "10:00");
        ordered(shop.at("10:10"), 1, "MUG", 5, 5, None);
        till(shop.at("10:20"), 2, Happened::Received, 3, "10:00");
        assert_eq!(shop.stock("MUG"), (0, 0, 0), "five left, three came: two are balanced");
    });
}

#[test]
fn a_count_of_before_makes_good_for_what_was_balanced_since() {
    each_way(|shop| {
        shop.at("09:00").receive("MUG", 3);
        // Seven left, of three by the books: four are balanced. Ten lay there, as somebody had counted before they left.
        till(shop.at("10:31"), 1, Happened::Lost, 7, "10:30");
        assert_eq!(shop.stock("MUG"), (0, 0, 0));
        shop.at("11:00").count("MUG", 10, "10:00");
        assert_eq!(shop.stock("MUG"), (3, 0, 0), "ten less seven");
        // The word of the seven is taken back: nothing is balanced any more that could go with it.
        till(shop.at("11:10"), 2, Happened::Lost, 1, "10:30");
        assert_eq!(shop.stock("MUG"), (9, 0, 0), "ten less one");
    });
}

#[test]
fn a_count_of_before_gives_back_no_more_than_it_makes_good_for() {
    each_way(|shop| {
        shop.at("09:00").receive("MUG", 3);
        till(shop.at("10:31"), 1, Happened::Lost, 7, "10:30");
        shop.at("11:00").count("MUG", 5, "10:00");
        assert_eq!(shop.stock("MUG"), (0, 0, 0), "five, of which seven left");
        // Two are balanced still, until a count says otherwise.
        shop.at("11:10").count("MUG", 8, "10:00");
        assert_eq!(shop.stock("MUG"), (1, 0, 0));
        // A count of later has seen them go.
        shop.at("11:30").count("MUG", 2, "11:25");
        assert_eq!(shop.stock("MUG"), (2, 0, 0));
        shop.at("11:40").count("MUG", 50, "10:00");
        assert_eq!(shop.stock("MUG"), (2, 0, 0), "the later count stands");
    });
}

fn adjust(shop: &Shop, differences: &[i64]) -> Result<Answer, CommitError> {
    let lines = differences
        .iter()
        .map(|units| Line { sku: "MUG".to_owned(), quantity: Quantity::units(*units), ..Line::default() })
        .collect();
    let reason = "broken".to_owned();
    let body = Body::Adjust(Adjust { location: "LONDON".to_owned(), lines, occurred_at: None, reason });
    shop.keyed(None, body).map(|committed| committed.answer)
}

#[test]
fn no_more_is_adjusted_away_than_is_there() {
    each_way(|shop| {
        shop.at("10:00").receive("MUG", 27);
        ordered(&shop, 1, "MUG", 5, 0, None);
        let said = |lines: &[i64]| match adjust(&shop, lines).unwrap() {
            Answer::Refused(refusal) => refusal.to_string(),
            other => panic!("{other:?}"),
        };
        let sentence = "cannot take 100 of `MUG` at `LONDON`: 27 on hand";
        assert_eq!(said(&[-100]), sentence);
        assert_eq!(said(&[-60, -40]), sentence, "all lines together");
        assert_eq!(shop.stock("MUG"), (22, 0, 5));
        // What is promised gives way to what is not there (law 2).
        adjust(&shop, &[-20, -5]).unwrap();
        assert_eq!(shop.stock("MUG"), (0, 0, 2));
        assert_eq!(shop.discrepancies().len(), 1);
        // What a count has seen the lack of is explained by it.
        shop.at("11:00").count("MUG", 0, "10:50");
        let late = Adjust {
            location: "LONDON".to_owned(),
            lines: units("MUG", -2),
            occurred_at: Some(time("10:30")),
            reason: "broken".to_owned(),
        };
        assert!(matches!(shop.tell(Body::Adjust(late)), Answer::Moved(..)));
        assert_eq!(shop.stock("MUG"), (0, 0, 0));
    });
}

#[test]
fn an_adjustment_of_nothing_is_none() {
    each_way(|shop| {
        let error = adjust(&shop, &[0]).unwrap_err();
        assert_eq!(error.to_string(), "quantity: must not be 0 (`MUG`)");
    });
}

#[test]
fn nothing_is_promised_on_request_from_where_nothing_is_sold() {
    each_way(|shop| {
        let (code, sellable) = ("BACK".to_owned(), Some(false));
        shop.tell(Body::PutLocation(PutLocation { code, sellable, ..PutLocation::default() }));
        receive(&shop, "BACK", 5);
        let location = Some("BACK".to_owned());
        let hold = PlaceHold {
            lines: units("MUG", 1),
            location: location.clone(),
            expires_at: time("12:00"),
            ..PlaceHold::default()
        };
        let order = PlaceOrder { reference: None, lines: units("MUG", 1), location, ..PlaceOrder::default() };
        for body in [Body::PlaceHold(hold), Body::PlaceOrder(order)] {
            let Answer::Refused(refusal) = shop.tell(body) else { panic!("it is refused") };
            assert_eq!(refusal.to_string(), "`BACK` does not sell; name another location, or none");
        }
        let told = ordered(&shop, 1, "MUG", 2, 0, Some("BACK"));
        let Answer::Recorded { lines, .. } = told else { panic!("{told:?}") };
        assert_eq!(lines[0].allocated, Quantity::units(2), "what has happened may be anywhere");
    });
}

/// The cup turns out to be the mug.
fn merge(shop: &Shop) {
    merged(shop, "CUP", "MUG");
}

fn merged(shop: &Shop, from: &str, into: &str) {
    let (from, into) = (from.to_owned(), into.to_owned());
    let told = shop.tell(Body::MergeItems(MergeItems { from, into }));
    assert!(matches!(told, Answer::Merged(_)), "{told:?}");
}

fn cup(shop: &Shop) {
    shop.tell(Body::PutItem(PutItem { sku: "CUP".to_owned(), ..PutItem::default() }));
}

#[test]
fn what_broke_before_a_merge_is_taken_from_what_went_over() {
    each_way(|shop| {
        cup(shop.at("10:00"));
        let lines = units("CUP", 5);
        shop.tell(Body::Receive(Receive {
            location: "LONDON".to_owned(),
            lines,
            occurred_at: None,
            reason: None,
        }));
        merge(shop.at("10:30"));
        let late = |units_gone: i64| {
            let (location, lines) = ("LONDON".to_owned(), units("CUP", -units_gone));
            let (occurred_at, reason) = (Some(time("10:10")), "broken".to_owned());
            shop.tell(Body::Adjust(Adjust { location, lines, occurred_at, reason }))
        };
        shop.at("11:00");
        assert!(matches!(late(2), Answer::Moved(..)));
        assert_eq!(shop.stock("MUG"), (3, 0, 0));
        assert!(matches!(late(4), Answer::Refused(_)), "no more than there is");
        // A count of what it is by now has seen the lack.
        shop.at("11:10").count("MUG", 0, "11:05");
        shop.at("11:20");
        assert!(matches!(late(4), Answer::Moved(..)));
        assert_eq!(shop.stock("MUG"), (0, 0, 0));
        assert!(shop.discrepancies().is_empty());
    });
}

#[test]
fn a_loss_told_wrong_of_an_item_that_was_merged_leaves_nothing_behind_once_corrected() {
    each_way(|shop| {
        cup(shop.at("10:00"));
        merged(shop.at("10:30"), "MUG", "CUP");
        // It was a mug when it broke, and what balances it is a cup's.
        till(shop.at("11:00"), 1, Happened::Lost, 5, "10:10");
        till(shop.at("11:10"), 2, Happened::Lost, 1, "10:10");
        assert_eq!(shop.stock("CUP"), (0, 0, 0), "as if only version 2 had been told");
    });
}

#[test]
fn a_delivery_that_was_received_before_a_merge_is_not_received_again_when_a_system_tells_of_it() {
    each_way(|shop| {
        cup(shop.at("10:00"));
        let (sku, quantity) = ("CUP".to_owned(), Quantity::units(5));
        let told = shop.tell(Body::PlacePurchase(PlacePurchase {
            supplier: "Potter".to_owned(),
            reference: Some("PO-1".to_owned()),
            location: "LONDON".to_owned(),
            expected_on: None,
            lines: vec![PurchaseOrderLine { pack: None, sku, quantity, expected_on: None, unit_cost: None }],
        }));
        let Answer::Purchase { id, .. } = told else { panic!("{told:?}") };
        shop.tell(Body::ReceivePurchase(ReceivePurchase {
            purchase: id,
            lines: None,
            location: None,
            into: StockState::Available,
            occurred_at: None,
        }));
        merge(shop.at("10:30"));
        let item = Name::Sku("CUP".to_owned());
        let line = ReceiptLine { item, quantity, unit_cost: None, lot: None, expires: None, serials: None };
        let content = ReceiptContent {
            purchase: Some("PO-1".to_owned()),
            transfer: None,
            location: "LONDON".to_owned(),
            occurred_at: None,
            lines: vec![line],
        };
        let document = "receipt".to_owned();
        let (system, content) = ("WEB".to_owned(), Content::Receipt(content));
        shop.at("11:00").tell(Body::Record(Document { system, document, version: 1, content }));
        assert_eq!((shop.stock("MUG"), shop.discrepancies()), ((5, 0, 0), Vec::new()));
    });
}

#[test]
fn what_did_not_ship_of_an_item_that_was_merged_is_promised_of_what_there_is_of_the_other() {
    each_way(|shop| {
        cup(shop.at("10:00"));
        ordered(&shop, 1, "CUP", 3, 3, None);
        merge(shop.at("10:30"));
        shop.at("11:00").receive("MUG", 3);
        ordered(shop.at("11:10"), 2, "CUP", 1, 0, None);
        assert_eq!((shop.stock("MUG"), shop.total("MUG", StockState::Committed)), ((2, 0, 1), 1));
    });
}

#[test]
fn what_an_order_wants_lessens_what_its_document_claims_of_the_item_it_became() {
    each_way(|shop| {
        cup(shop.at("10:00"));
        ordered(&shop, 1, "CUP", 1, 0, None);
        // Version 2 waits for an item that nobody knows, and has sold a mug.
        let line = |line: &str, sku: &str| OrderContentLine {
            line: line.to_owned(),
            item: Name::Sku(sku.to_owned()),
            quantity: Quantity::ONE,
            shipped: Quantity::ZERO,
            returned: Quantity::ZERO,
            location: None,
            price: None,
        };
        let lines = vec![line("1", "MUG"), line("2", "NEW")];
        let content = Content::Order(OrderContent { lines, ..OrderContent::default() });
        let (system, document) = ("WEB".to_owned(), "1044".to_owned());
        shop.tell(Body::Record(Document { system, document, version: 2, content }));
        let claimed = || {
            let of = |view: &mut onhand_engine::View<'_>| {
                let (item, _) = view.item_by_sku("MUG")?.unwrap();
                view.claimed(item)
            };
            shop.ledger.read(onhand_ledger::TenantId::DEFAULT, of).unwrap().whole_units()
        };
        assert_eq!(claimed(), 1);
        merge(&shop);
        assert_eq!(claimed(), 0, "the order wants one of it already");
    });
}

#[test]
fn a_line_that_is_told_again_as_it_was_is_not_booked_again() {
    each_way(|shop| {
        let line = |line: &str, sku: &str, what, quantity| MovementLine {
            line: line.to_owned(),
            item: Name::Sku(sku.to_owned()),
            location: "LONDON".to_owned(),
            what,
            quantity: Quantity::units(quantity),
            occurred_at: Some(time("10:05")),
            reason: None,
        };
        let tell = |version, lines| {
            let (system, document) = ("WEB".to_owned(), "till".to_owned());
            let told = shop.tell(Body::Record(Document {
                system,
                document,
                version,
                content: Content::Movements(lines),
            }));
            let Answer::Recorded { lines, .. } = told else { panic!("{told:?}") };
            lines
                .iter()
                .map(|line| (line.shipped.whole_units(), line.short.whole_units()))
                .collect::<Vec<_>>()
        };
        shop.at("10:00").receive("MUG", 3);
        let sold = || line("1", "MUG", Happened::Sold, 5);
        assert_eq!(tell(1, vec![sold()]), [(3, 2)]);
        // What came since is not what was sold then.
        shop.at("10:10").receive("MUG", 4);
        assert_eq!(tell(2, vec![sold(), line("2", "A", Happened::Found, 1)]), [(3, 2), (1, 0)]);
        assert_eq!(shop.stock("MUG"), (4, 0, 0));
    });
}

#[test]
fn parcels_that_did_not_leave_come_back_one_by_one() {
    each_way(|shop| {
        paris(&shop);
        receive(&shop, "LONDON", 1);
        receive(&shop, "PARIS", 1);
        ordered(&shop, 1, "MUG", 2, 0, None);
        ordered(&shop, 2, "MUG", 2, 2, None);
        assert_eq!(shop.total("MUG", StockState::Committed), 0);
        ordered(&shop, 3, "MUG", 2, 1, None);
        assert_eq!(shop.total("MUG", StockState::Committed), 1);
        ordered(&shop, 4, "MUG", 2, 0, None);
        assert_eq!(shop.total("MUG", StockState::Committed), 2);
    });
}

#[test]
fn what_was_balanced_at_one_instant_goes_as_one() {
    let line = |line, quantity, shipped, returned| acts::OrderLine {
        line,
        item: 1,
        quantity,
        shipped,
        returned,
        place: None,
    };
    let lines = vec![line(0, 0, 2, 1), line(1, 4, 1, 1)];
    let ordered = Act::OrderFact { system: 0, document: 0, step: 1, cancelled: false, lines, ago: 0 };
    let counted = Act::Count { place: 1, lines: vec![(1, 1)], ago: 1, system: None };
    run(Kept::InMemory, &[vec![ordered], vec![counted]]);
}
