//! Returns that are announced to a warehouse that somebody else runs.

#[path = "support/kept.rs"]
mod kept;
#[path = "support/yard.rs"]
#[expect(dead_code, reason = "what is no return is tried elsewhere")]
mod yard;

use kept::Kept;
use onhand_channels::expected::{Brings, Condition, Receiving};
use onhand_ledger::command::{AnnounceReturn, LineQuantity};
use onhand_ledger::model::Cause;
use onhand_ledger::{Answer, Body, Key, OrderId, Quantity, ReturnId, StockState, Value};
use yard::{TENANT, Yard};

/// An order of so many has left BERLIN.
async fn yard(kept: Kept, units: i64) -> (Yard, OrderId) {
    let place = kept.place();
    let mut yard = Yard::over(place.store(), place.options(), 10, 10).await;
    // What it is kept in lives as long as the process: the yard goes on.
    std::mem::forget(place);
    let order = yard.order("1044", units).await;
    yard.work().await;
    let (name, _) = yard.warehouse.open().remove(0);
    yard.warehouse.ship_all(&name);
    yard.work().await;
    assert_eq!(yard.stands(order), (0, 0, 0, units));
    (yard, order)
}

async fn announce(yard: &Yard, order: OrderId, units: i64, location: Option<&str>) -> Answer {
    let line = LineQuantity { line: "1".to_owned(), quantity: Quantity::units(units), lot: None };
    yard.tell(Body::AnnounceReturn(AnnounceReturn {
        order,
        reference: Some("RMA-4".to_owned()),
        lines: vec![line],
        location: location.map(str::to_owned),
        into: StockState::QualityControl,
        expected_on: None,
    }))
    .await
}

async fn announced(yard: &Yard, order: OrderId, units: i64) -> ReturnId {
    match announce(yard, order, units, None).await {
        Answer::Return(id) => id,
        other => panic!("it was not announced: {other:?}"),
    }
}

/// How a return stands by our books, how much came, and how it stands over there.
fn stands(yard: &Yard, expected: ReturnId) -> (&'static str, i64, &'static str) {
    let found = yard.handle.ledger().read(TENANT, |view| view.get(&Key::Return(expected))).unwrap();
    let Some(Value::Return(known)) = found else { panic!("no return: {found:?}") };
    let says = yard.sent_of(expected.0).last().map_or("nothing", |shown| shown.stands.name());
    (known.state_name(), known.lines[0].came.whole_units(), says)
}

fn returned(yard: &Yard, order: OrderId) -> i64 {
    yard.known(order).lines[0].returned.whole_units()
}

fn causes(yard: &Yard) -> Vec<Cause> {
    yard.open().iter().map(|found| found.cause).collect()
}

async fn what_comes_back_is_announced_and_booked_once_by_the_masters_word(kept: Kept) {
    let (mut yard, order) = yard(kept, 4).await;
    let expected = announced(&yard, order, 3).await;
    yard.work().await;
    assert_eq!(stands(&yard, expected), ("open", 0, "accepted"));
    let (name, lines) = yard.warehouse.expected().remove(0);
    {
        let inside = yard.warehouse.inside.lock();
        let (asked, _) = &inside.receipts[&name];
        assert_eq!((asked.kind, asked.reference.as_str()), (Brings::Return, "RMA-4"));
        assert_eq!((asked.order.as_deref(), asked.order_system.as_deref()), (Some("1044"), Some("SHOP")));
        assert_eq!(lines[0].1, 3);
    }
    yard.warehouse.receive(&name, &lines[0].0, 1, None);
    yard.warehouse.receive(&name, &lines[0].0, 1, Condition::Damaged);
    yard.work().await;
    assert_eq!((stands(&yard, expected), returned(&yard, order)), (("open", 2, "part_received"), 2));
    assert_eq!(
        (yard.held("BERLIN", StockState::QualityControl), yard.held("BERLIN", StockState::Damaged)),
        (1, 1)
    );
    yard.warehouse.receive(&name, &lines[0].0, 1, Condition::Available);
    yard.warehouse.done_with(&name, Receiving::Received, None);
    yard.work().await;
    yard.again();
    yard.work().await;
    assert_eq!((stands(&yard, expected), returned(&yard, order)), (("returned", 3, "received"), 3));
    assert_eq!((yard.on_hand("BERLIN"), causes(&yard)), (9, vec![]));
    yard.must_be_sound();
}

#[tokio::test(flavor = "multi_thread")]
async fn what_comes_back_is_booked_once_in_memory() {
    what_comes_back_is_announced_and_booked_once_by_the_masters_word(Kept::Memory).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_comes_back_is_booked_once_in_a_file() {
    what_comes_back_is_announced_and_booked_once_by_the_masters_word(Kept::File).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_comes_back_is_booked_once_in_postgresql() {
    what_comes_back_is_announced_and_booked_once_by_the_masters_word(Kept::Postgres).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn one_that_is_cancelled_is_cancelled_there_and_one_that_is_refused_is_told() {
    let (mut yard, order) = yard(Kept::Memory, 4).await;
    let expected = announced(&yard, order, 3).await;
    yard.work().await;
    yard.tell(Body::EndReturn(expected)).await;
    yard.work().await;
    assert_eq!((stands(&yard, expected), causes(&yard)), (("cancelled", 0, "cancelled"), vec![]));
    assert!(matches!(yard.tell(Body::EndReturn(expected)).await, Answer::Refused(_)));
    yard.warehouse.inside.lock().refuses = true;
    let refused = announced(&yard, order, 2).await;
    yard.work().await;
    yard.later(600).await;
    assert_eq!((stands(&yard, refused), causes(&yard)), (("open", 0, "refused"), vec![Cause::Declined]));
    yard.must_be_sound();
}

#[tokio::test(flavor = "multi_thread")]
async fn more_than_was_announced_or_has_left_is_booked_and_said() {
    let (mut yard, order) = yard(Kept::Memory, 2).await;
    assert!(matches!(announce(&yard, order, 3, None).await, Answer::Refused(_)), "two have left");
    let expected = announced(&yard, order, 2).await;
    yard.work().await;
    let (name, lines) = yard.warehouse.expected().remove(0);
    yard.warehouse.receive(&name, &lines[0].0, 3, Condition::Available);
    yard.work().await;
    assert_eq!((returned(&yard, order), yard.on_hand("BERLIN")), (2, 11));
    assert_eq!((stands(&yard, expected).1, causes(&yard)), (3, vec![Cause::MoreThanOrdered]));
    yard.must_be_sound();
}
