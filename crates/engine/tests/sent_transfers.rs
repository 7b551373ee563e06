//! Transfers to and from a warehouse that somebody else runs.

#[path = "support/kept.rs"]
mod kept;
#[path = "support/yard.rs"]
#[expect(dead_code, reason = "what is no transfer is tried elsewhere")]
mod yard;

use kept::Kept;
use onhand_channels::expected::{Brings, Condition, Receiving};
use onhand_ledger::command::{
    ArrivedLine, CancelTransfer, DispatchTransfer, Line, PlanTransfer, ReadyTransfer, ReceiveTransfer,
};
use onhand_ledger::model::{Cause, TransferState};
use onhand_ledger::{Answer, Body, Key, Quantity, StockState, TransferId, Value};
use yard::{TENANT, Yard};

async fn yard(kept: Kept) -> Yard {
    let place = kept.place();
    let yard = Yard::over(place.store(), place.options(), 10, 10).await;
    // What it is kept in lives as long as the process: the yard goes on.
    std::mem::forget(place);
    yard
}

/// A transfer of so many of MUG, ready to ship.
async fn ready(yard: &Yard, from: &str, to: &str, units: i64) -> TransferId {
    let plan = PlanTransfer {
        reference: None,
        from: from.to_owned(),
        to: to.to_owned(),
        lines: vec![Line::new("MUG", Quantity::units(units))],
        expected_on: None,
    };
    let Answer::Transfer { id, .. } = yard.tell(Body::PlanTransfer(plan)).await else {
        panic!("it was not planned");
    };
    let answer = yard.tell(Body::ReadyTransfer(ReadyTransfer { transfer: id })).await;
    assert!(matches!(answer, Answer::Transfer { .. }), "{answer:?}");
    id
}

/// How it stands by our books: reserved, in transit, received, lost.
fn stands(yard: &Yard, transfer: TransferId) -> (TransferState, i64, i64, i64, i64) {
    let found = yard.handle.ledger().read(TENANT, |view| view.get(&Key::Transfer(transfer))).unwrap();
    let Some(Value::Transfer(known)) = found else { panic!("no transfer: {found:?}") };
    let line = &known.lines[0];
    let [reserved, in_transit, received, lost] =
        [line.reserved, line.in_transit(), line.received, line.lost].map(Quantity::whole_units);
    (known.state, reserved, in_transit, received, lost)
}

fn says(yard: &Yard, transfer: TransferId) -> Vec<&'static str> {
    yard.sent_of(transfer.0).iter().map(|shown| shown.stands.name()).collect()
}

fn causes(yard: &Yard) -> Vec<Cause> {
    yard.open().iter().map(|found| found.cause).collect()
}

async fn one_out_of_the_warehouse_is_shipped_by_it_and_received_by_us(kept: Kept) {
    let mut yard = yard(kept).await;
    let transfer = ready(&yard, "BERLIN", "PARIS", 4).await;
    yard.work().await;
    assert_eq!(says(&yard, transfer), ["accepted"]);
    let (name, lines) = yard.warehouse.open().remove(0);
    assert_eq!(lines[0].1, 4);
    {
        let inside = yard.warehouse.inside.lock();
        let asked = &inside.jobs[&name].asked;
        assert_eq!((asked.transfer_to.as_deref(), asked.order_system.as_str()), (Some("PARIS"), "onhand"));
        assert_eq!((asked.order.clone(), asked.recipient.is_none()), (format!("transfer {transfer}"), true));
    }
    yard.warehouse.ship(&name, &lines[0].0, 3);
    yard.work().await;
    assert_eq!(
        (says(&yard, transfer), stands(&yard, transfer)),
        (vec!["part_shipped"], (TransferState::InProgress, 1, 3, 0, 0))
    );
    assert_eq!((yard.on_hand("BERLIN"), yard.on_hand("PARIS")), (7, 10));
    yard.warehouse.ship_all(&name);
    yard.work().await;
    assert_eq!((says(&yard, transfer), yard.on_hand("BERLIN")), (vec!["shipped"], 6));
    let lines = vec![ArrivedLine {
        line: "1".to_owned(),
        quantity: Quantity::units(3),
        lost: Some(Quantity::units(1)),
    }];
    let receive =
        ReceiveTransfer { transfer, lines: Some(lines), into: StockState::Available, occurred_at: None };
    yard.tell(Body::ReceiveTransfer(receive)).await;
    assert_eq!(stands(&yard, transfer), (TransferState::Transferred, 0, 0, 3, 1));
    yard.again();
    yard.work().await;
    assert_eq!((yard.on_hand("PARIS"), yard.warehouse.inside.lock().calls, yard.open()), (13, 1, vec![]));
    yard.must_be_sound();
}

#[tokio::test(flavor = "multi_thread")]
async fn one_out_is_shipped_in_memory() {
    one_out_of_the_warehouse_is_shipped_by_it_and_received_by_us(Kept::Memory).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn one_out_is_shipped_in_a_file() {
    one_out_of_the_warehouse_is_shipped_by_it_and_received_by_us(Kept::File).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn one_out_is_shipped_in_postgresql() {
    one_out_of_the_warehouse_is_shipped_by_it_and_received_by_us(Kept::Postgres).await;
}

async fn one_into_the_warehouse_is_expected_by_it_and_received_by_its_word(kept: Kept) {
    let mut yard = yard(kept).await;
    let transfer = ready(&yard, "PARIS", "BERLIN", 4).await;
    yard.work().await;
    assert_eq!(says(&yard, transfer), ["accepted"]);
    let (name, lines) = yard.warehouse.expected().remove(0);
    assert_eq!(lines[0].1, 4);
    {
        let inside = yard.warehouse.inside.lock();
        let (asked, _) = &inside.receipts[&name];
        assert_eq!((asked.kind, asked.from.as_deref()), (Brings::Transfer, Some("PARIS")));
    }
    let dispatch = DispatchTransfer { transfer, lines: None, occurred_at: None };
    let answer = yard.tell(Body::DispatchTransfer(dispatch)).await;
    assert!(matches!(answer, Answer::Transfer { .. }), "{answer:?}");
    yard.work().await;
    assert_eq!(stands(&yard, transfer), (TransferState::InProgress, 0, 4, 0, 0));
    // What comes to a master is told by it alone.
    let here = || ReceiveTransfer { transfer, lines: None, into: StockState::Available, occurred_at: None };
    assert!(matches!(yard.tell(Body::ReceiveTransfer(here())).await, Answer::Refused(_)));
    yard.warehouse.receive(&name, &lines[0].0, 2, Condition::Available);
    yard.warehouse.receive(&name, &lines[0].0, 1, Condition::Damaged);
    yard.warehouse.done_with(&name, Receiving::Received, Some("one is missing"));
    yard.work().await;
    assert_eq!(
        (says(&yard, transfer), stands(&yard, transfer)),
        (vec!["closed"], (TransferState::InProgress, 0, 1, 3, 0))
    );
    assert_eq!(
        (yard.held("BERLIN", StockState::Available), yard.held("BERLIN", StockState::Damaged)),
        (12, 1)
    );
    assert_eq!(causes(&yard), [Cause::Declined]);
    // What never came is lost on the way, and nobody is master of that.
    let lines =
        vec![ArrivedLine { line: "1".to_owned(), quantity: Quantity::ZERO, lost: Some(Quantity::ONE) }];
    yard.tell(Body::ReceiveTransfer(ReceiveTransfer { lines: Some(lines), ..here() })).await;
    yard.work().await;
    assert_eq!(stands(&yard, transfer), (TransferState::Transferred, 0, 0, 3, 1));
    assert_eq!(yard.warehouse.inside.lock().calls, 1);
    yard.must_be_sound();
}

#[tokio::test(flavor = "multi_thread")]
async fn one_into_it_is_received_in_memory() {
    one_into_the_warehouse_is_expected_by_it_and_received_by_its_word(Kept::Memory).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn one_into_it_is_received_in_a_file() {
    one_into_the_warehouse_is_expected_by_it_and_received_by_its_word(Kept::File).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn one_into_it_is_received_in_postgresql() {
    one_into_the_warehouse_is_expected_by_it_and_received_by_its_word(Kept::Postgres).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_it_does_not_find_is_taken_off_the_transfer_and_one_that_is_refused_is_cancelled() {
    let mut yard = yard(Kept::Memory).await;
    let transfer = ready(&yard, "BERLIN", "PARIS", 4).await;
    yard.work().await;
    let (name, lines) = yard.warehouse.open().remove(0);
    yard.warehouse.lack(&name, &lines[0].0, 1);
    yard.work().await;
    assert_eq!(
        (stands(&yard, transfer), causes(&yard)),
        ((TransferState::ReadyToShip, 3, 0, 0, 0), vec![Cause::Declined])
    );
    assert!(yard.open()[0].sentence.starts_with(&format!(
        "WMS does not ship 1 of MUG of transfer {transfer} from BERLIN (not found). The transfer goes on without."
    )));
    yard.warehouse.ship_all(&name);
    yard.work().await;
    assert_eq!(
        (says(&yard, transfer), stands(&yard, transfer)),
        (vec!["shipped"], (TransferState::InProgress, 0, 3, 0, 0))
    );
    yard.warehouse.inside.lock().refuses = true;
    let other = ready(&yard, "BERLIN", "PARIS", 2).await;
    yard.work().await;
    yard.later(600).await;
    assert_eq!(
        (says(&yard, other), stands(&yard, other)),
        (vec!["refused"], (TransferState::Cancelled, 0, 0, 0, 0))
    );
    assert_eq!(yard.held("BERLIN", StockState::Reserved), 0);
    assert_eq!(causes(&yard), [Cause::Declined, Cause::Declined]);
    yard.must_be_sound();
}

#[tokio::test(flavor = "multi_thread")]
async fn one_that_is_cancelled_here_is_cancelled_there_and_what_left_all_the_same_is_on_its_way() {
    let mut yard = yard(Kept::Memory).await;
    let transfer = ready(&yard, "BERLIN", "PARIS", 4).await;
    yard.work().await;
    yard.tell(Body::CancelTransfer(CancelTransfer { transfer, occurred_at: None })).await;
    yard.work().await;
    assert_eq!((says(&yard, transfer), causes(&yard)), (vec!["cancelled"], vec![]));
    let other = ready(&yard, "BERLIN", "PARIS", 2).await;
    yard.work().await;
    let (name, _) = yard.warehouse.open().remove(0);
    yard.warehouse.ship_all(&name);
    yard.tell(Body::CancelTransfer(CancelTransfer { transfer: other, occurred_at: None })).await;
    yard.work().await;
    assert_eq!(
        (says(&yard, other), stands(&yard, other)),
        (vec!["shipped"], (TransferState::InProgress, 0, 2, 0, 0))
    );
    assert_eq!((yard.on_hand("BERLIN"), causes(&yard)), (8, vec![Cause::MoreThanOrdered]));
    yard.must_be_sound();
}

/// Stopped at each place where it waits for something, what left has left once, and what came has come once.
#[tokio::test(flavor = "multi_thread")]
async fn a_worker_that_is_stopped_anywhere_moves_each_transfer_once() {
    let mut stopped = 0;
    // How often it waits depends on how fast what it hands in is committed: each place is tried several times.
    for stop_at in (1..12).cycle().take(44) {
        let mut yard = yard(Kept::Memory).await;
        yard.worker.step().await;
        let out = ready(&yard, "BERLIN", "PARIS", 4).await;
        let into = ready(&yard, "PARIS", "BERLIN", 3).await;
        yard.work().await;
        yard.tell(Body::DispatchTransfer(DispatchTransfer {
            transfer: into,
            lines: None,
            occurred_at: None,
        }))
        .await;
        let (name, lines) = yard.warehouse.open().remove(0);
        yard.warehouse.ship(&name, &lines[0].0, 2);
        yard.warehouse.lack(&name, &lines[0].0, 1);
        let (name, lines) = yard.warehouse.expected().remove(0);
        yard.warehouse.receive(&name, &lines[0].0, 2, Condition::Available);
        let ended = yard.stopped_at(stop_at).await;
        yard.later(30).await;
        assert_eq!(stands(&yard, out), (TransferState::InProgress, 1, 2, 0, 0), "{stop_at}");
        assert_eq!(stands(&yard, into), (TransferState::InProgress, 0, 1, 2, 0), "{stop_at}");
        assert_eq!(
            (says(&yard, out), says(&yard, into)),
            (vec!["part_shipped"], vec!["part_received"]),
            "{stop_at}"
        );
        assert_eq!((yard.on_hand("BERLIN"), causes(&yard)), (10, vec![Cause::Declined]), "{stop_at}");
        yard.must_be_sound();
        stopped += usize::from(!ended);
    }
    assert!(stopped > 0, "it was never stopped");
}
