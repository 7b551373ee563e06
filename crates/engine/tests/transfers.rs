//! Transfers that are ready to ship, and receipts of transfers that other systems tell, on every way a ledger is kept.

#[path = "support/shop.rs"]
#[expect(dead_code, reason = "the examples use the rest")]
mod shop;

use onhand_engine::verify;
use onhand_ledger::command::{
    AmendTransfer, CancelTransfer, Content, DispatchTransfer, Document, Happened, Line, LineQuantity,
    MergeItems, MovementLine, Name, PlanTransfer, PutItem, PutLocation, PutLot, ReadyTransfer,
    ReceiptContent, ReceiptLine, Receive, ReceiveTransfer, SetOwnership, TakeCount,
};
use onhand_ledger::model::{Cause, Supply, Tracking, TransferDocument, TransferState};
use onhand_ledger::{Answer, Body, Key, Quantity, Refusal, StockState, TenantId, TransferId, Value};
use shop::{Shop, each_way, time, units};

const LONDON: &str = "LONDON";
const PARIS: &str = "PARIS";

fn some(quantity: i64) -> Quantity {
    Quantity::units(quantity)
}

fn each(test: impl Fn(&Shop)) {
    each_way(|shop| {
        shop.tell(Body::PutLocation(PutLocation { code: PARIS.to_owned(), ..PutLocation::default() }));
        test(&shop);
        let verified = verify(&shop.ledger, TenantId::DEFAULT, &mut |_| {}).unwrap();
        assert_eq!(verified.violation, None);
    });
}

fn held(shop: &Shop, sku: &str, place: &str, state: StockState) -> i64 {
    let read = shop.ledger.read(TenantId::DEFAULT, |view| {
        let (item, _) = view.item_by_sku(sku)?.unwrap();
        let (location, _) = view.location_by_code(place)?.unwrap();
        view.held(item, location, state)
    });
    read.unwrap().whole_units()
}

/// MUG: available and reserved in London; available and in transit in Paris.
fn stock(shop: &Shop) -> [i64; 4] {
    let of = |place, state| held(shop, "MUG", place, state);
    [
        of(LONDON, StockState::Available),
        of(LONDON, StockState::Reserved),
        of(PARIS, StockState::Available),
        of(PARIS, StockState::InTransit),
    ]
}

/// What of MUG is expected by transfers.
fn incoming(shop: &Shop) -> i64 {
    let read = shop.ledger.read(TenantId::DEFAULT, |view| {
        let (item, _) = view.item_by_sku("MUG")?.unwrap();
        view.expected(item)
    });
    let transfers = read.unwrap().into_iter().filter(|one| one.incoming.supply == Supply::Transfer);
    transfers.map(|one| one.incoming.quantity).sum::<Quantity>().whole_units()
}

fn plan_of(shop: &Shop, reference: &str, lines: Vec<Line>) -> TransferId {
    let planned = Body::PlanTransfer(PlanTransfer {
        reference: Some(reference.to_owned()),
        from: LONDON.to_owned(),
        to: PARIS.to_owned(),
        lines,
        expected_on: None,
    });
    match shop.tell(planned) {
        Answer::Transfer { id, .. } => id,
        other => panic!("it is planned: {other:?}"),
    }
}

fn plan(shop: &Shop, reference: &str, quantity: i64) -> TransferId {
    plan_of(shop, reference, units("MUG", quantity))
}

fn ready(shop: &Shop, transfer: TransferId) -> Answer {
    shop.tell(Body::ReadyTransfer(ReadyTransfer { transfer }))
}

fn line(quantity: i64) -> Vec<LineQuantity> {
    vec![LineQuantity { lot: None, line: "1".to_owned(), quantity: some(quantity) }]
}

fn dispatch(shop: &Shop, transfer: TransferId, quantity: Option<i64>, at: Option<&str>) -> Answer {
    let (lines, occurred_at) = (quantity.map(line), at.map(time));
    shop.tell(Body::DispatchTransfer(DispatchTransfer { transfer, lines, occurred_at }))
}

fn receive_all(shop: &Shop, transfer: TransferId) -> Answer {
    let into = StockState::Available;
    shop.tell(Body::ReceiveTransfer(ReceiveTransfer { transfer, lines: None, into, occurred_at: None }))
}

fn amend(shop: &Shop, transfer: TransferId, quantity: i64) -> Answer {
    let lines = line(quantity);
    shop.tell(Body::AmendTransfer(AmendTransfer { transfer, lines, expected_on: None }))
}

fn cancel(shop: &Shop, transfer: TransferId) -> Answer {
    shop.tell(Body::CancelTransfer(CancelTransfer { transfer, occurred_at: None }))
}

fn known(shop: &Shop, transfer: TransferId) -> TransferDocument {
    match shop.ledger.read(TenantId::DEFAULT, |view| view.get(&Key::Transfer(transfer))).unwrap() {
        Some(Value::Transfer(transfer)) => *transfer,
        other => panic!("a transfer: {other:?}"),
    }
}

fn refused(answer: Answer) -> String {
    match answer {
        Answer::Refused(refusal) => refusal.to_string(),
        other => panic!("it is refused: {other:?}"),
    }
}

fn of(sku: &str, quantity: i64) -> ReceiptLine {
    ReceiptLine {
        item: Name::Sku(sku.to_owned()),
        quantity: some(quantity),
        unit_cost: None,
        lot: None,
        expires: None,
        serials: None,
    }
}

/// A system tells what came in of a transfer, in Paris.
fn told(shop: &Shop, (system, document, version): (&str, &str, u64), lines: Vec<ReceiptLine>) -> Answer {
    told_at(shop, (system, document, version), PARIS, None, lines)
}

fn told_at(
    shop: &Shop,
    (system, document, version): (&str, &str, u64),
    location: &str,
    at: Option<&str>,
    lines: Vec<ReceiptLine>,
) -> Answer {
    let (purchase, transfer) = (None, Some("T-1".to_owned()));
    let (location, occurred_at) = (location.to_owned(), at.map(time));
    shop.tell(Body::Record(Document {
        system: system.to_owned(),
        document: document.to_owned(),
        version,
        content: Content::Receipt(ReceiptContent { purchase, transfer, location, occurred_at, lines }),
    }))
}

fn causes(shop: &Shop) -> Vec<Cause> {
    let open = shop.discrepancies().into_iter().filter(|found| found.resolved_at.is_none());
    open.map(|found| found.cause).collect()
}

// ---- ready to ship -------------------------------------------------------------------------------------------------

#[test]
fn what_is_ready_to_ship_is_not_sold_twice() {
    each(|shop| {
        shop.at("10:00").receive("MUG", 10);
        let transfer = plan(shop, "T-1", 7);
        assert_eq!((stock(shop), incoming(shop)), ([10, 0, 0, 0], 0), "a draft keeps nothing");
        let Answer::Transfer { lines, moved, .. } = ready(shop, transfer) else { panic!() };
        assert_eq!((lines[0].reserved, lines[0].dispatched, moved.len()), (some(7), some(0), 0));
        assert_eq!(known(shop, transfer).state, TransferState::ReadyToShip);
        assert_eq!((stock(shop), incoming(shop)), ([3, 7, 0, 0], 7));
        let answer = shop.order(None, "MUG", 4).unwrap().answer;
        assert!(refused(answer).contains("3 available"));
        // It is on hand in London as ever, and asked twice it is kept once.
        assert_eq!(shop.on_hand_at("MUG", "10:00", None), 10);
        ready(shop, transfer);
        assert_eq!((stock(shop), incoming(shop)), ([3, 7, 0, 0], 7));
        dispatch(shop.at("11:00"), transfer, Some(5), None);
        assert_eq!((stock(shop), incoming(shop)), ([3, 2, 0, 5], 7));
        assert_eq!(known(shop, transfer).state, TransferState::InProgress);
        dispatch(shop, transfer, None, None);
        assert_eq!((stock(shop), incoming(shop)), ([3, 0, 0, 7], 7));
        let said = refused(ready(shop, transfer));
        assert!(said.contains("is dispatched in full: nothing more can be made ready"), "{said}");
        receive_all(shop, transfer);
        assert_eq!((stock(shop), incoming(shop)), ([3, 0, 7, 0], 0));
        assert_eq!(known(shop, transfer).state, TransferState::Transferred);
        assert!(causes(shop).is_empty());
    });
}

#[test]
fn nothing_is_ready_that_is_not_there() {
    each(|shop| {
        shop.at("10:00").receive("MUG", 4);
        let transfer = plan(shop, "T-1", 5);
        let said = refused(ready(shop, transfer));
        assert_eq!(said, "cannot take 5 of `MUG` at `LONDON`: 4 available");
        assert_eq!((stock(shop), known(shop, transfer).state), ([4, 0, 0, 0], TransferState::Draft));
        amend(shop, transfer, 4);
        ready(shop, transfer);
        // More is kept as it is asked for, or it is refused whole.
        assert!(refused(amend(shop, transfer, 6)).contains("cannot take 2 of `MUG`"));
        assert_eq!((known(shop, transfer).lines[0].wanted, stock(shop)), (some(4), [0, 4, 0, 0]));
        shop.receive("MUG", 3);
        amend(shop, transfer, 6);
        assert_eq!(stock(shop), [1, 6, 0, 0]);
        amend(shop, transfer, 2);
        assert_eq!((stock(shop), incoming(shop)), ([5, 2, 0, 0], 2));
        let early = refused(receive_all(shop, transfer));
        assert!(early.contains("is ready to ship (dispatch it first)"), "{early}");
    });
}

#[test]
fn a_transfer_is_cancelled_from_each_of_its_states() {
    each(|shop| {
        shop.at("10:00").receive("MUG", 10);
        let draft = plan(shop, "A", 4);
        cancel(shop, draft);
        assert_eq!((known(shop, draft).state, stock(shop)), (TransferState::Cancelled, [10, 0, 0, 0]));
        let kept = plan(shop, "B", 4);
        ready(shop, kept);
        cancel(shop, kept);
        assert_eq!((known(shop, kept).state, stock(shop)), (TransferState::Cancelled, [10, 0, 0, 0]));
        assert!(refused(ready(shop, kept)).contains("is cancelled: nothing more can be made ready"));
        let parted = plan(shop, "C", 4);
        ready(shop, parted);
        dispatch(shop, parted, Some(1), None);
        assert_eq!(stock(shop), [6, 3, 0, 1]);
        cancel(shop, parted);
        assert_eq!((known(shop, parted).state, stock(shop)), (TransferState::Cancelled, [10, 0, 0, 0]));
        assert_eq!(incoming(shop), 0);
        let come = plan(shop, "D", 4);
        ready(shop, come);
        dispatch(shop, come, Some(2), None);
        receive_all(shop, come);
        assert_eq!((known(shop, come).state, stock(shop)), (TransferState::InProgress, [6, 2, 2, 0]));
        cancel(shop, come);
        assert_eq!((known(shop, come).state, stock(shop)), (TransferState::Transferred, [8, 0, 2, 0]));
        assert!(refused(cancel(shop, come)).contains("is transferred"));
    });
}

#[test]
fn what_a_cancelled_transfer_kept_serves_who_waits() {
    each(|shop| {
        shop.at("10:00").receive("MUG", 5);
        let transfer = plan(shop, "T-1", 5);
        ready(shop, transfer);
        shop.order_fact("1044", 1, "MUG", 3, false);
        assert_eq!((shop.stock("MUG"), causes(shop)), ((0, 5, 0), vec![Cause::Short]));
        cancel(shop, transfer);
        assert_eq!((shop.stock("MUG"), causes(shop)), ((2, 0, 3), vec![]));
    });
}

#[test]
fn a_count_below_what_is_kept_takes_from_the_youngest_promise() {
    each(|shop| {
        shop.at("10:00").receive("MUG", 10);
        shop.order_fact("1044", 1, "MUG", 3, false);
        let transfer = plan(shop, "T-1", 6);
        ready(shop, transfer);
        assert_eq!(shop.stock("MUG"), (1, 6, 3));
        // Five were seen: one of the five lost was free, four were kept for the transfer, which is younger.
        shop.at("11:00").count("MUG", 5, "10:50");
        assert_eq!((shop.stock("MUG"), incoming(shop)), ((0, 2, 3), 2));
        assert_eq!(
            (known(shop, transfer).lines[0].reserved, causes(shop)),
            (some(2), vec![Cause::PromiseBroken])
        );
        assert!(refused(dispatch(shop, transfer, None, None)).contains("cannot take 4 of `MUG`"));
        dispatch(shop, transfer, Some(2), None);
        shop.receive("MUG", 4);
        // Asked again it keeps what is lacking.
        ready(shop, transfer);
        assert_eq!((shop.stock("MUG"), incoming(shop)), ((0, 4, 3), 6));
    });
}

#[test]
fn a_dispatch_of_what_was_kept_that_a_count_has_seen_is_given_back() {
    each(|shop| {
        shop.at("10:00").receive("MUG", 10);
        let transfer = plan(shop, "T-1", 4);
        ready(shop, transfer);
        // Four left at 10:05, which nobody told: the count finds six.
        shop.at("10:20").count("MUG", 6, "10:15");
        assert_eq!(stock(shop), [2, 4, 0, 0]);
        dispatch(shop.at("11:00"), transfer, None, Some("10:05"));
        assert_eq!(stock(shop), [6, 0, 0, 4]);
        assert_eq!((shop.on_hand_at("MUG", "10:10", None), shop.on_hand_at("MUG", "10:20", None)), (6, 6));
    });
}

#[test]
fn what_is_kept_of_a_lot_that_ends_is_set_aside() {
    each(|shop| {
        let tracking = Some(Tracking::Lots);
        shop.at("10:00").tell(Body::PutItem(PutItem {
            sku: "TEA".to_owned(),
            tracking,
            ..PutItem::default()
        }));
        let lot_of = || Line { lot: Some("L1".to_owned()), ..Line::new("TEA", some(5)) };
        let lines = vec![lot_of()];
        let location = LONDON.to_owned();
        shop.tell(Body::Receive(Receive { location, lines, occurred_at: None, reason: None }));
        let transfer = plan_of(shop, "T-1", vec![lot_of()]);
        ready(shop, transfer);
        assert_eq!(held_in_all(shop), [0, 5, 0]);
        let recalled = Some(true);
        let (sku, lot) = ("TEA".to_owned(), "L1".to_owned());
        shop.tell(Body::PutLot(PutLot { sku, lot, recalled, ..PutLot::default() }));
        assert_eq!((held_in_all(shop), known(shop, transfer).lines[0].reserved), ([0, 0, 5], some(0)));
        // Nothing is promised of it, but it may be sent: back to who called it back.
        let lines = vec![lot_of()];
        let location = LONDON.to_owned();
        shop.tell(Body::Receive(Receive { location, lines, occurred_at: None, reason: None }));
        let back = plan_of(shop, "T-2", vec![lot_of()]);
        assert_eq!(refused(ready(shop, back)), "cannot take 5 of `TEA` at `LONDON`: 0 available");
        dispatch(shop, back, None, None);
        assert_eq!(shop.total("TEA", StockState::InTransit), 5);
    });
}

/// TEA in London: available, reserved, in quality control.
fn held_in_all(shop: &Shop) -> [i64; 3] {
    [StockState::Available, StockState::Reserved, StockState::QualityControl]
        .map(|state| shop.total("TEA", state))
}

#[test]
fn an_item_is_not_merged_while_a_transfer_keeps_it_and_a_draft_follows_it() {
    each(|shop| {
        shop.at("10:00").receive("A", 4);
        shop.receive("B", 1);
        let transfer = plan_of(shop, "T-1", units("A", 3));
        ready(shop, transfer);
        let merge = || Body::MergeItems(MergeItems { from: "A".to_owned(), into: "B".to_owned() });
        let said = refused(shop.tell(merge()));
        assert!(said.contains("3 of it are expected at `PARIS`"), "{said}");
        cancel(shop, transfer);
        let draft = plan_of(shop, "T-2", units("A", 5));
        assert!(matches!(shop.tell(merge()), Answer::Merged(_)));
        dispatch(shop, draft, None, None);
        assert_eq!(held(shop, "B", PARIS, StockState::InTransit), 5);
    });
}

#[test]
fn a_place_that_another_system_is_master_of_gets_nothing_ready() {
    each(|shop| {
        shop.at("10:00").receive("MUG", 10);
        let transfer = plan(shop, "T-1", 4);
        let kept = plan(shop, "T-2", 4);
        ready(shop, kept);
        let (location, master) = (Some(PARIS.to_owned()), "WMS".to_owned());
        shop.tell(Body::SetOwnership(SetOwnership { location, master, ..SetOwnership::default() }));
        for answer in [ready(shop, transfer), amend(shop, kept, 5)] {
            assert!(matches!(answer, Answer::Refused(Refusal::NotMaster { .. })), "{answer:?}");
        }
        cancel(shop, kept);
        assert_eq!(stock(shop), [10, 0, 0, 0]);
    });
}

// ---- receipts that other systems tell ------------------------------------------------------------------------------

#[test]
fn a_warehouse_tells_of_a_transfer_in_parts_and_of_more_than_was_sent() {
    each(|shop| {
        shop.at("10:00").receive("MUG", 20);
        let transfer = plan(shop, "T-1", 10);
        dispatch(shop, transfer, None, None);
        let Answer::Recorded { lines, .. } = told(shop, ("WMS", "R1", 1), vec![of("MUG", 4)]) else {
            panic!()
        };
        assert_eq!((lines[0].shipped, stock(shop), incoming(shop)), (some(4), [10, 0, 4, 6], 6));
        assert_eq!(told(shop, ("WMS", "R1", 1), vec![of("MUG", 4)]), Answer::AlreadyApplied { version: 1 });
        told(shop, ("WMS", "R2", 1), vec![of("MUG", 6)]);
        assert_eq!((stock(shop), known(shop, transfer).state), ([10, 0, 10, 0], TransferState::Transferred));
        assert!(causes(shop).is_empty());
        told(shop, ("WMS", "R3", 1), vec![of("MUG", 2)]);
        assert_eq!((stock(shop), causes(shop)), ([10, 0, 12, 0], vec![Cause::MoreThanOrdered]));
        assert_eq!(known(shop, transfer).lines[0].over, some(2));
    });
}

#[test]
fn one_arrival_with_two_tellers_comes_in_once() {
    each(|shop| {
        shop.at("10:00").receive("MUG", 20);
        let transfer = plan(shop, "T-1", 10);
        dispatch(shop, transfer, None, None);
        told(shop, ("WMS", "R1", 1), vec![of("MUG", 4)]);
        // The ERP's goods receipt is the same arrival, and so is what a person has entered.
        let Answer::Recorded { lines, .. } = told(shop, ("WEB", "GR-9", 1), vec![of("MUG", 4)]) else {
            panic!()
        };
        assert_eq!((lines[0].shipped, stock(shop)), (some(0), [10, 0, 4, 6]));
        receive_all(shop, transfer);
        assert_eq!(stock(shop), [10, 0, 10, 0]);
        told(shop, ("WMS", "R2", 1), vec![of("MUG", 6)]);
        told(shop, ("WEB", "GR-10", 1), vec![of("MUG", 6)]);
        assert_eq!((stock(shop), causes(shop)), ([10, 0, 10, 0], vec![]));
    });
}

#[test]
fn a_newer_version_of_an_arrival_moves_the_difference() {
    each(|shop| {
        shop.at("10:00").receive("MUG", 20);
        let transfer = plan(shop, "T-1", 10);
        dispatch(shop, transfer, None, None);
        told(shop.at("10:30"), ("WMS", "R1", 1), vec![of("MUG", 12)]);
        assert_eq!((stock(shop), causes(shop)), ([10, 0, 12, 0], vec![Cause::MoreThanOrdered]));
        told(shop.at("10:40"), ("WMS", "R1", 3), vec![of("MUG", 7)]);
        assert_eq!((stock(shop), incoming(shop)), ([10, 0, 7, 3], 3), "as if only seven had been told");
        let line = known(shop, transfer).lines.remove(0);
        assert_eq!((line.received, line.over), (some(7), some(0)));
        assert_eq!(known(shop, transfer).state, TransferState::InProgress, "three are on their way again");
        assert_eq!(told(shop, ("WMS", "R1", 2), vec![of("MUG", 1)]), Answer::AlreadyApplied { version: 3 });
        told(shop, ("WMS", "R1", 4), vec![of("MUG", 9)]);
        assert_eq!((stock(shop), incoming(shop)), ([10, 0, 9, 1], 1));
        // It is dated as what it corrects.
        let read = shop.ledger.read(TenantId::DEFAULT, |view| {
            let (item, _) = view.item_by_sku("MUG")?.unwrap();
            let (paris, _) = view.location_by_code(PARIS)?.unwrap();
            let cell = onhand_ledger::CellKey::new(item, paris, StockState::Available);
            view.as_of(cell, time("10:35"), None)
        });
        assert_eq!(read.unwrap(), some(9));
    });
}

#[test]
fn a_newer_version_takes_nothing_back_that_another_system_tells_of_too() {
    each(|shop| {
        shop.at("10:00").receive("MUG", 20);
        let transfer = plan(shop, "T-1", 10);
        dispatch(shop, transfer, None, None);
        told(shop, ("WMS", "R1", 1), vec![of("MUG", 8)]);
        told(shop, ("WEB", "GR-9", 1), vec![of("MUG", 6)]);
        told(shop, ("WMS", "R1", 2), vec![of("MUG", 5)]);
        assert_eq!(stock(shop), [10, 0, 6, 4], "the ERP has seen six");
        told(shop, ("WMS", "R1", 3), vec![of("MUG", 8)]);
        assert_eq!(stock(shop), [10, 0, 8, 2]);
        // Told to have come in elsewhere it comes in there, and is one arrival still.
        told_at(shop, ("WMS", "R1", 4), LONDON, None, vec![of("MUG", 8)]);
        assert_eq!(stock(shop), [12, 0, 6, 2]);
    });
}

#[test]
fn what_came_in_has_left_whatever_the_books_say() {
    each(|shop| {
        shop.at("10:00").receive("MUG", 10);
        shop.order_fact("1044", 1, "MUG", 3, false);
        let transfer = plan(shop, "T-1", 6);
        ready(shop, transfer);
        amend(shop, transfer, 7);
        assert_eq!((stock(shop), shop.stock("MUG")), ([0, 7, 0, 0], (0, 7, 3)));
        shop.at("10:20").count("MUG", 8, "10:10");
        assert_eq!(
            (stock(shop), shop.stock("MUG")),
            ([0, 5, 0, 0], (0, 5, 3)),
            "two of what was kept are not there"
        );
        // Nobody dispatched it. Seven came in: five were kept for it, and two of those promised to the order have left.
        told(shop.at("11:00"), ("WMS", "R1", 1), vec![of("MUG", 7)]);
        assert_eq!((stock(shop), shop.stock("MUG")), ([0, 0, 5, 0], (0, 0, 1)), "the order has two of Paris");
        assert_eq!(held(shop, "MUG", PARIS, StockState::Committed), 2);
        assert_eq!(known(shop, transfer).state, TransferState::Transferred);
        let said = refused(dispatch(shop, transfer, None, None));
        assert!(said.contains("transferred"), "{said}");
    });
}

#[test]
fn a_receipt_waits_for_its_transfer() {
    each(|shop| {
        let waits = told(shop.at("10:00"), ("WMS", "R1", 1), vec![of("MUG", 6)]);
        let Answer::Waiting(_, sentence) = waits else { panic!("{waits:?}") };
        assert!(sentence.contains("there is no transfer `T-1`"), "{sentence}");
        assert_eq!((stock(shop), causes(shop)), ([0; 4], vec![Cause::UnknownName]));
        shop.receive("MUG", 6);
        plan(shop, "T-1", 6);
        assert!(matches!(told(shop, ("WMS", "R1", 1), vec![of("MUG", 6)]), Answer::Recorded { .. }));
        assert_eq!((stock(shop), causes(shop)), ([0, 0, 6, 0], vec![]));
        // It is of that transfer for good.
        plan(shop, "T-2", 1);
        let content = ReceiptContent {
            purchase: None,
            transfer: Some("T-2".to_owned()),
            location: PARIS.to_owned(),
            occurred_at: None,
            lines: vec![of("MUG", 1)],
        };
        let (system, document) = ("WMS".to_owned(), "R1".to_owned());
        let other = Document { system, document, version: 2, content: Content::Receipt(content) };
        assert!(matches!(shop.tell(Body::Record(other)), Answer::Waiting(..)));
        assert_eq!(causes(shop), [Cause::ContradictoryVersion]);
    });
}

#[test]
fn a_late_receipt_of_a_transfer_before_a_count_changes_nothing_after_it() {
    each(|shop| {
        shop.at("10:00").receive("MUG", 10);
        let transfer = plan(shop, "T-1", 6);
        dispatch(shop, transfer, None, None);
        let seen = |quantity, at: &str| {
            let (location, lines, as_of) = (PARIS.to_owned(), units("MUG", quantity), Some(time(at)));
            Body::Count(TakeCount { location, lines, as_of, inside: false, system: None, net: false })
        };
        shop.at("10:50").tell(seen(6, "10:45"));
        assert_eq!(stock(shop), [4, 0, 6, 6], "who counted had them, and nobody told of their arrival");
        told_at(shop.at("11:00"), ("WMS", "R1", 1), PARIS, Some("10:30"), vec![of("MUG", 6)]);
        assert_eq!(stock(shop), [4, 0, 6, 0]);
        // So does a correction: two of them did not come in, of the six that the count has seen.
        told_at(shop.at("11:10"), ("WMS", "R1", 2), PARIS, None, vec![of("MUG", 4)]);
        assert_eq!(stock(shop), [4, 0, 6, 2]);
    });
}

#[test]
fn what_was_told_wrong_and_sold_meanwhile_is_said() {
    each(|shop| {
        shop.at("10:00").receive("MUG", 10);
        let transfer = plan(shop, "T-1", 6);
        dispatch(shop, transfer, None, None);
        told(shop, ("WMS", "R1", 1), vec![of("MUG", 6)]);
        let sold = MovementLine {
            line: "1".to_owned(),
            item: Name::Sku("MUG".to_owned()),
            location: PARIS.to_owned(),
            what: Happened::Sold,
            quantity: some(5),
            occurred_at: None,
            reason: None,
        };
        let (system, document) = ("WEB".to_owned(), "till".to_owned());
        let content = Content::Movements(vec![sold]);
        shop.at("10:30").tell(Body::Record(Document { system, document, version: 1, content }));
        told(shop.at("11:00"), ("WMS", "R1", 2), vec![of("MUG", 3)]);
        assert_eq!((stock(shop), causes(shop)), ([4, 0, 0, 3], vec![Cause::MoreLeftThanThere]));
        // What balanced the two that were not there ends as they come in after all.
        told(shop.at("11:30"), ("WMS", "R1", 3), vec![of("MUG", 6)]);
        assert_eq!(stock(shop), [4, 0, 1, 0], "as if six had been told at once");
    });
}

#[test]
fn where_another_system_is_master_its_word_alone_receives_a_transfer() {
    each(|shop| {
        shop.at("10:00").receive("MUG", 10);
        let transfer = plan(shop, "T-1", 6);
        dispatch(shop, transfer, None, None);
        let (location, master) = (Some(PARIS.to_owned()), "WMS".to_owned());
        shop.tell(Body::SetOwnership(SetOwnership { location, master, ..SetOwnership::default() }));
        assert!(refused(receive_all(shop, transfer)).contains("its master is `WMS`"));
        told(shop, ("WEB", "GR-9", 1), vec![of("MUG", 6)]);
        assert_eq!((stock(shop), causes(shop)), ([4, 0, 0, 6], vec![Cause::NotMaster]));
        told(shop, ("WMS", "R1", 1), vec![of("MUG", 6)]);
        assert_eq!(stock(shop), [4, 0, 6, 0]);
    });
}

#[test]
fn pieces_and_lots_of_a_transfer_are_the_ones_that_were_sent() {
    each(|shop| {
        for (sku, tracking) in [("TEA", Tracking::Lots), ("PHONE", Tracking::Serials)] {
            let (sku, tracking) = (sku.to_owned(), Some(tracking));
            shop.at("10:00").tell(Body::PutItem(PutItem { sku, tracking, ..PutItem::default() }));
        }
        let lot =
            |code: &str, quantity| Line { lot: Some(code.to_owned()), ..Line::new("TEA", some(quantity)) };
        let pieces = |codes: &[&str]| codes.iter().map(|code| (*code).to_owned()).collect::<Vec<String>>();
        let phones = |codes: &[&str]| Line {
            serials: Some(pieces(codes)),
            ..Line::new("PHONE", some(i64::try_from(codes.len()).unwrap()))
        };
        let lines = vec![lot("L1", 5), lot("L2", 5), phones(&["S1", "S2", "S3"])];
        let location = LONDON.to_owned();
        shop.tell(Body::Receive(Receive { location, lines, occurred_at: None, reason: None }));
        let transfer = plan_of(shop, "T-1", vec![lot("L1", 3), lot("L2", 3), phones(&["S1", "S2"])]);
        ready(shop, transfer);
        dispatch(shop, transfer, None, None);
        let seen = |code: &str| ReceiptLine { lot: Some(code.to_owned()), ..of("TEA", 2) };
        let phone = |codes: &[&str]| ReceiptLine {
            serials: Some(pieces(codes)),
            ..of("PHONE", i64::try_from(codes.len()).unwrap())
        };
        told(shop, ("WMS", "R1", 1), vec![seen("L2"), phone(&["S2"])]);
        let received = |shop: &Shop| -> Vec<i64> {
            known(shop, transfer).lines.iter().map(|line| line.received.whole_units()).collect()
        };
        assert_eq!(received(shop), [0, 2, 0, 1]);
        // It was S1, and nobody says of which lot the tea is.
        told(shop, ("WMS", "R1", 2), vec![of("TEA", 4), phone(&["S1"])]);
        assert_eq!(received(shop), [3, 1, 1, 0]);
        // S3, which was not sent, is found in Paris and is in London no more.
        told(shop, ("WMS", "R2", 1), vec![phone(&["S3"])]);
        assert_eq!(held(shop, "PHONE", LONDON, StockState::Available), 0);
        assert_eq!((shop.available("PHONE", PARIS), shop.total("PHONE", StockState::InTransit)), (2, 1));
    });
}
