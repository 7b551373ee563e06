//! What a warehouse that somebody else runs is told to expect, and what comes of it.

#[path = "support/kept.rs"]
mod kept;
#[path = "support/yard.rs"]
#[expect(dead_code, reason = "orders are tried elsewhere")]
mod yard;

use kept::Kept;
use onhand_channels::expected::{Brings, Condition, Receiving};
use onhand_ledger::command::{AmendPurchase, AmendedLine, EndPurchase, PlacePurchase, PurchaseOrderLine};
use onhand_ledger::model::Cause;
use onhand_ledger::{Answer, Body, Date, Key, PurchaseId, Quantity, StockState, Value};
use yard::{TENANT, Yard};

async fn yard(kept: Kept) -> Yard {
    let place = kept.place();
    let yard = Yard::over(place.store(), place.options(), 10, 10).await;
    // What it is kept in lives as long as the process: the yard goes on.
    std::mem::forget(place);
    yard
}

/// So many of MUG are ordered for BERLIN, for the first of December.
async fn ordered(yard: &Yard, units: i64) -> PurchaseId {
    ordered_for(yard, "BERLIN", units).await
}

async fn ordered_for(yard: &Yard, location: &str, units: i64) -> PurchaseId {
    let line = PurchaseOrderLine {
        pack: None,
        sku: "MUG".to_owned(),
        quantity: Quantity::units(units),
        expected_on: None,
        unit_cost: None,
    };
    let place = PlacePurchase {
        supplier: "Potter".to_owned(),
        reference: None,
        location: location.to_owned(),
        expected_on: Some(Date::constant(2026, 12, 1)),
        lines: vec![line],
    };
    match yard.tell(Body::PlacePurchase(place)).await {
        Answer::Purchase { id, .. } => id,
        other => panic!("it was not placed: {other:?}"),
    }
}

async fn amend(yard: &Yard, purchase: PurchaseId, units: Option<i64>, day: Option<i8>) {
    let line = AmendedLine {
        line: Some("1".to_owned()),
        quantity: units.map(Quantity::units),
        expected_on: day.map(|day| Date::constant(2026, 12, day)),
        ..AmendedLine::default()
    };
    yard.tell(Body::AmendPurchase(AmendPurchase { purchase, lines: vec![line] })).await;
}

fn says(yard: &Yard, purchase: PurchaseId) -> &'static str {
    yard.sent_of(purchase.0).last().map_or("nothing", |shown| shown.stands.name())
}

/// How much of MUG is still expected of a purchase order, and how much has come.
fn stands(yard: &Yard, purchase: PurchaseId) -> (i64, i64) {
    let found = yard.handle.ledger().read(TENANT, |view| view.get(&Key::Purchase(purchase))).unwrap();
    let Some(Value::Purchase(known)) = found else { panic!("no purchase order: {found:?}") };
    (known.open(&known.lines[0]).whole_units(), known.lines[0].received.whole_units())
}

/// The name and the one line of what is expected over there.
fn only_expected(yard: &Yard) -> (String, String, i64) {
    let expected = yard.warehouse.expected();
    assert_eq!(expected.len(), 1, "{expected:?}");
    let (name, lines) = &expected[0];
    (name.clone(), lines[0].0.clone(), lines[0].1)
}

async fn what_suppliers_deliver_is_announced_and_comes_in_once_by_the_masters_word(kept: Kept) {
    let mut yard = yard(kept).await;
    let purchase = ordered(&yard, 10).await;
    ordered_for(&yard, "PARIS", 5).await;
    yard.work().await;
    assert_eq!((says(&yard, purchase), yard.warehouse.inside.lock().calls), ("accepted", 1));
    let (name, line, units) = only_expected(&yard);
    assert_eq!(units, 10);
    {
        let inside = yard.warehouse.inside.lock();
        let (asked, _) = &inside.receipts[&name];
        assert_eq!((asked.location.as_str(), asked.kind), ("yard", Brings::Purchase));
        assert_eq!(asked.from.as_deref(), Some("Potter"));
        assert_eq!(asked.expected_on, Some(Date::constant(2026, 12, 1)));
        assert_eq!(asked.reference, format!("purchase order {purchase}"));
    }
    yard.warehouse.receive(&name, &line, 4, Condition::Available);
    yard.work().await;
    assert_eq!((says(&yard, purchase), stands(&yard, purchase)), ("part_received", (6, 4)));
    assert_eq!(yard.on_hand("BERLIN"), 14);
    yard.warehouse.receive(&name, &line, 6, Condition::Damaged);
    yard.warehouse.done_with(&name, Receiving::Received, None);
    yard.work().await;
    assert_eq!((says(&yard, purchase), stands(&yard, purchase)), ("received", (0, 10)));
    assert_eq!(
        (yard.held("BERLIN", StockState::Available), yard.held("BERLIN", StockState::Damaged)),
        (14, 6)
    );
    assert_eq!(yard.warehouse.inside.lock().calls, 1, "nothing more was to be said");
    assert_eq!(yard.open(), []);
    yard.must_be_sound();
}

#[tokio::test(flavor = "multi_thread")]
async fn what_suppliers_deliver_comes_in_once_in_memory() {
    what_suppliers_deliver_is_announced_and_comes_in_once_by_the_masters_word(Kept::Memory).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_suppliers_deliver_comes_in_once_in_a_file() {
    what_suppliers_deliver_is_announced_and_comes_in_once_by_the_masters_word(Kept::File).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_suppliers_deliver_comes_in_once_in_postgresql() {
    what_suppliers_deliver_is_announced_and_comes_in_once_by_the_masters_word(Kept::Postgres).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_amendment_another_day_and_an_end_are_the_same_document_with_another_version() {
    let mut yard = yard(Kept::Memory).await;
    let purchase = ordered(&yard, 10).await;
    yard.work().await;
    let (name, line, _) = only_expected(&yard);
    amend(&yard, purchase, Some(12), None).await;
    yard.work().await;
    assert_eq!(only_expected(&yard).2, 12);
    amend(&yard, purchase, None, Some(5)).await;
    yard.work().await;
    let told = yard.warehouse.inside.lock().receipts[&name].0.expected_on;
    assert_eq!(told, Some(Date::constant(2026, 12, 5)));
    yard.warehouse.receive(&name, &line, 2, Condition::Available);
    yard.work().await;
    yard.tell(Body::EndPurchase(EndPurchase { purchase, cancel: false })).await;
    yard.work().await;
    assert_eq!((says(&yard, purchase), yard.warehouse.expected().len()), ("received", 0));
    let (receipts, calls) = {
        let inside = yard.warehouse.inside.lock();
        (inside.receipts.len(), inside.calls)
    };
    assert_eq!((receipts, calls, yard.open()), (1, 4, vec![]));
    // One of which nothing has come is cancelled.
    let other = ordered(&yard, 3).await;
    yard.work().await;
    yard.tell(Body::EndPurchase(EndPurchase { purchase: other, cancel: true })).await;
    yard.work().await;
    assert_eq!((says(&yard, other), yard.open()), ("cancelled", vec![]));
    yard.must_be_sound();
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_refused_stays_expected_is_told_and_announced_again_once_it_is_different() {
    let mut yard = yard(Kept::Memory).await;
    yard.warehouse.inside.lock().refuses = true;
    let purchase = ordered(&yard, 10).await;
    yard.work().await;
    yard.later(3_600).await;
    assert_eq!((says(&yard, purchase), stands(&yard, purchase)), ("refused", (10, 0)));
    assert_eq!(yard.warehouse.inside.lock().calls, 1, "it is not asked for ever");
    let told = yard.open();
    assert_eq!((told.len(), told[0].cause, told[0].quantity), (1, Cause::Declined, Quantity::units(10)));
    assert!(
        told[0].sentence.starts_with("WMS refuses the expected receipt of purchase order "),
        "{}",
        told[0].sentence
    );
    assert!(
        told[0].sentence.contains("at BERLIN (not today); 10 of MUG are still expected"),
        "{}",
        told[0].sentence
    );
    yard.warehouse.inside.lock().refuses = false;
    amend(&yard, purchase, None, Some(9)).await;
    yard.work().await;
    assert_eq!((says(&yard, purchase), only_expected(&yard).2), ("accepted", 10));
    assert_eq!(yard.warehouse.inside.lock().receipts.len(), 2, "what is over is not opened again");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_missing_when_it_is_done_is_told_and_what_came_beyond_is_booked() {
    let mut yard = yard(Kept::Memory).await;
    let purchase = ordered(&yard, 10).await;
    yard.work().await;
    let (name, line, _) = only_expected(&yard);
    yard.warehouse.receive(&name, &line, 7, Condition::Available);
    yard.warehouse.done_with(&name, Receiving::Received, Some("three are missing"));
    yard.work().await;
    assert_eq!((says(&yard, purchase), stands(&yard, purchase)), ("closed", (3, 7)));
    assert_eq!(yard.open().iter().map(|found| found.cause).collect::<Vec<_>>(), [Cause::Declined]);
    let more = ordered(&yard, 2).await;
    yard.work().await;
    let (name, line, _) = only_expected(&yard);
    yard.warehouse.receive(&name, &line, 5, Condition::Available);
    yard.warehouse.done_with(&name, Receiving::Received, None);
    yard.work().await;
    assert_eq!((says(&yard, more), stands(&yard, more), yard.on_hand("BERLIN")), ("received", (0, 5), 22));
    let causes: Vec<_> = yard.open().iter().map(|found| found.cause).collect();
    assert_eq!(causes, [Cause::Declined, Cause::MoreThanOrdered]);
    yard.must_be_sound();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lost_answer_and_a_muddle_double_nothing() {
    let mut yard = yard(Kept::Memory).await;
    yard.warehouse.inside.lock().loses_answers = 2;
    let purchase = ordered(&yard, 10).await;
    yard.worker.step().await;
    yard.later(60).await;
    assert_eq!((says(&yard, purchase), yard.warehouse.inside.lock().receipts.len()), ("accepted", 1));
    yard.warehouse.inside.lock().is_muddled = true;
    let (name, line, _) = only_expected(&yard);
    yard.warehouse.receive(&name, &line, 4, Condition::Available);
    yard.warehouse.receive(&name, &line, 1, Condition::Available);
    yard.work().await;
    yard.again();
    yard.work().await;
    assert_eq!((stands(&yard, purchase), yard.on_hand("BERLIN")), ((5, 5), 15));
    yard.must_be_sound();
}

#[tokio::test(flavor = "multi_thread")]
async fn who_takes_orders_only_is_told_of_nothing_else() {
    let mut yard = yard(Kept::Memory).await;
    yard.warehouse.inside.lock().takes_orders_only = true;
    let purchase = ordered(&yard, 10).await;
    let order = yard.order("1044", 3).await;
    yard.work().await;
    assert_eq!((says(&yard, purchase), yard.says(order)), ("nothing", "accepted"));
    assert_eq!(yard.warehouse.inside.lock().receipts.len(), 0);
    // It has learnt to: once it is looked at anew it is told.
    yard.warehouse.inside.lock().takes_orders_only = false;
    yard.again();
    yard.work().await;
    assert_eq!(says(&yard, purchase), "accepted");
}

/// Stopped at each place where it waits for something, nothing is announced twice, and nothing comes in twice.
#[tokio::test(flavor = "multi_thread")]
async fn a_worker_that_is_stopped_anywhere_announces_and_hears_all_once() {
    let mut stopped = 0;
    // How often it waits depends on how fast what it hands in is committed: each place is tried several times.
    for stop_at in (1..12).cycle().take(44) {
        let mut yard = yard(Kept::Memory).await;
        yard.worker.step().await;
        let first = ordered(&yard, 5).await;
        yard.work().await;
        let (name, line, _) = only_expected(&yard);
        yard.warehouse.receive(&name, &line, 2, Condition::Available);
        yard.warehouse.done_with(&name, Receiving::Received, Some("no more"));
        let second = ordered(&yard, 4).await;
        let ended = yard.stopped_at(stop_at).await;
        yard.later(30).await;
        assert_eq!((stands(&yard, first), stands(&yard, second)), ((3, 2), (4, 0)), "{stop_at}");
        assert_eq!((says(&yard, first), says(&yard, second)), ("closed", "accepted"), "{stop_at}");
        let receipts = yard.warehouse.inside.lock().receipts.len();
        assert_eq!((receipts, yard.on_hand("BERLIN"), yard.open().len()), (2, 12, 1), "{stop_at}");
        yard.must_be_sound();
        stopped += usize::from(!ended);
    }
    assert!(stopped > 0, "it was never stopped");
}
