//! Transfers, reversals, production and expected supply, each in the words of the trade, on every way a ledger is kept.

#[path = "support/shop.rs"]
#[expect(dead_code, reason = "the examples use the rest")]
mod shop;

use onhand_engine::{CommitError, Expected, Promisable, verify};
use onhand_ledger::command::{
    Adjust, AmendPurchase, AmendTransfer, AmendedLine, ArrivedLine, Assemble, CancelTransfer, Content,
    DeliveredLine, DispatchTransfer, Document, EndPurchase, Line, LineQuantity, MoveState, Name, Noted,
    PlacePurchase, PlanTransfer, PurchaseOrderLine, PutItem, PutLocation, ReceiptContent, ReceiptLine,
    Receive, ReceivePurchase, ReceiveTransfer, Reverse, SetOwnership, TakeCount, Transfer,
};
use onhand_ledger::model::{Cause, Incoming, Pack, Supply, Tracking, TransferState};
use onhand_ledger::{
    Answer, Body, Date, Key, Money, PurchaseId, Quantity, Refusal, Seq, StockState, TenantId, TransferId,
    Value,
};
use shop::{Shop, each_way, time, units};

const LONDON: &str = "LONDON";
const PARIS: &str = "PARIS";

fn day(text: &str) -> Date {
    text.parse().unwrap()
}

fn some(quantity: i64) -> Quantity {
    Quantity::units(quantity)
}

/// The checks that belong after every one of these: the audit finds nothing.
fn audited(shop: &Shop) {
    let verified = verify(&shop.ledger, TenantId::DEFAULT, &mut |_| {}).unwrap();
    assert_eq!(verified.violation, None);
}

fn each(test: impl Fn(&Shop)) {
    each_way(|shop| {
        shop.tell(Body::PutLocation(PutLocation { code: PARIS.to_owned(), ..PutLocation::default() }));
        test(&shop);
        audited(&shop);
    });
}

/// How much of an item is in a state at a location.
fn held(shop: &Shop, sku: &str, place: &str, state: StockState) -> i64 {
    let read = shop.ledger.read(TenantId::DEFAULT, |view| {
        let (item, _) = view.item_by_sku(sku)?.unwrap();
        let (location, _) = view.location_by_code(place)?.unwrap();
        view.held(item, location, state)
    });
    read.unwrap().whole_units()
}

fn available(shop: &Shop, sku: &str, place: &str) -> i64 {
    held(shop, sku, place, StockState::Available)
}

fn in_transit(shop: &Shop, sku: &str, place: &str) -> i64 {
    held(shop, sku, place, StockState::InTransit)
}

fn party(shop: &Shop, sku: &str, party: StockState) -> i64 {
    let read = shop.ledger.read(TenantId::DEFAULT, |view| {
        let (item, _) = view.item_by_sku(sku)?.unwrap();
        Ok(view.cell(&onhand_ledger::CellKey::party(item, party))?.quantity)
    });
    read.unwrap().whole_units()
}

fn count(shop: &Shop, place: &str, quantity: i64, as_of: &str) {
    let count = TakeCount {
        location: place.to_owned(),
        lines: units("MUG", quantity),
        as_of: Some(time(as_of)),
        inside: false,
        system: None,
        net: false,
    };
    assert!(matches!(shop.tell(Body::Count(count)), Answer::Counted(..)));
}

fn refused(answer: Answer) -> String {
    match answer {
        Answer::Refused(refusal) => refusal.to_string(),
        other => panic!("it is refused, not {other:?}"),
    }
}

fn moved(answer: &Answer) -> Vec<Seq> {
    match answer {
        Answer::Moved(moved, _) => moved.iter().map(|moved| moved.seq).collect(),
        Answer::Transfer { moved, .. } | Answer::Purchase { moved, .. } => {
            moved.iter().map(|moved| moved.seq).collect()
        }
        other => panic!("something moved: {other:?}"),
    }
}

// ---- reversals -----------------------------------------------------------------------------------------------------

fn reverse(shop: &Shop, seq: Seq, quantity: Option<i64>) -> Answer {
    let quantity = quantity.map(some);
    shop.tell(Body::Reverse(Reverse { seq, quantity, reason: "correction".to_owned() }))
}

#[test]
fn a_reversal_across_a_count_is_absorbed_by_it() {
    each(|shop| {
        shop.at("09:00").receive("MUG", 40);
        let mistake = moved(&shop.at("10:00").receive("MUG", 10))[0];
        shop.at("11:45").count("MUG", 50, "11:30");
        let reversal = moved(&reverse(shop.at("12:00"), mistake, None))[0];
        assert_eq!(shop.stock("MUG"), (50, 0, 0));
        // By what happened there were 40 until the count found 10 more.
        assert_eq!(shop.on_hand_at("MUG", "10:30", None), 40);
        assert_eq!(shop.on_hand_at("MUG", "10:30", Some("11:50")), 50);
        assert_eq!(shop.on_hand_at("MUG", "11:30", None), 50);
        let kept = shop.ledger.read(TenantId::DEFAULT, |view| view.get(&Key::Reversed(mistake))).unwrap();
        let Some(Value::Reversals(reversals)) = kept else { panic!("the original names its reversal") };
        assert_eq!((reversals.quantity, reversals.by), (some(10), vec![reversal]));
    });
}

#[test]
fn a_movement_is_reversed_at_most_once_in_total() {
    each(|shop| {
        let receipt = moved(&shop.at("09:00").receive("MUG", 10))[0];
        reverse(shop, receipt, Some(4));
        assert_eq!(shop.stock("MUG"), (6, 0, 0));
        let said = refused(reverse(shop, receipt, Some(7)));
        assert_eq!(said, format!("of the 10 that movement {receipt} moved, 6 can still be reversed, not 7"));
        let rest = moved(&reverse(shop, receipt, None))[0];
        assert_eq!(shop.stock("MUG"), (0, 0, 0));
        assert!(refused(reverse(shop, receipt, None)).contains("0 can still be reversed"));
        let said = refused(reverse(shop, rest, None));
        assert!(said.contains(&format!("corrects or explains entry {receipt} itself")), "{said}");
        assert_eq!(party(shop, "MUG", StockState::Supplier), 0);
    });
}

#[test]
fn what_is_no_longer_there_cannot_be_reversed_away() {
    each(|shop| {
        let receipt = moved(&shop.at("09:00").receive("MUG", 10))[0];
        shop.at("09:10").shipment("S1", None, "MUG", 8, None);
        let said = refused(reverse(shop, receipt, None));
        assert!(said.contains("2 on hand"), "{said}");
        reverse(shop, receipt, Some(2));
        assert_eq!(shop.stock("MUG"), (0, 0, 0));
    });
}

#[test]
fn every_movement_that_is_entered_by_itself_is_reversed_where_it_was() {
    each(|shop| {
        shop.at("09:00").receive("MUG", 10);
        let adjust = |quantity: i64| {
            let line = Line::new("MUG", some(quantity));
            let (location, reason) = (LONDON.to_owned(), "shrinkage".to_owned());
            moved(&shop.tell(Body::Adjust(Adjust { location, lines: vec![line], occurred_at: None, reason })))
                [0]
        };
        let (lost, found) = (adjust(-3), adjust(2));
        reverse(shop, lost, None);
        reverse(shop, found, None);
        assert_eq!((shop.stock("MUG"), party(shop, "MUG", StockState::Adjustment)), ((10, 0, 0), 0));
        let damage = MoveState {
            location: LONDON.to_owned(),
            lines: units("MUG", 4),
            from: StockState::Available,
            to: StockState::Damaged,
            reason: "damaged".to_owned(),
            occurred_at: None,
        };
        let damaged = moved(&shop.tell(Body::Move(damage)))[0];
        let back = reverse(shop, damaged, Some(3));
        let Answer::Moved(rows, _) = &back else { panic!() };
        assert_eq!((rows.len(), rows[0].difference), (1, Quantity::ZERO), "on hand is what it was");
        assert_eq!((available(shop, "MUG", LONDON), held(shop, "MUG", LONDON, StockState::Damaged)), (9, 1));
        let (from, to) = (LONDON.to_owned(), PARIS.to_owned());
        let sent = Transfer { from, to, lines: units("MUG", 5), occurred_at: None };
        let sent = moved(&shop.tell(Body::Transfer(sent)))[0];
        let back = reverse(shop, sent, Some(2));
        let Answer::Moved(rows, _) = &back else { panic!() };
        assert_eq!(
            rows.iter().map(|row| (row.location.as_str(), row.difference)).collect::<Vec<_>>(),
            [(LONDON, some(2)), (PARIS, some(-2))]
        );
        assert_eq!((available(shop, "MUG", LONDON), available(shop, "MUG", PARIS)), (6, 3));
    });
}

/// Eleven of a movement are reversed.
fn eleven_of(seq: Seq) -> Body {
    let (quantity, reason) = (Some(some(11)), "correction".to_owned());
    Body::Reverse(Reverse { seq, quantity, reason })
}

#[test]
fn what_belongs_to_something_is_corrected_there() {
    each(|shop| {
        shop.at("09:00").receive("MUG", 10);
        shop.shipment("S1", None, "MUG", 1, None);
        let order = shop.order(None, "MUG", 2).unwrap();
        shop.hold("MUG", 1, "12:00");
        shop.at("09:30").count("MUG", 8, "09:20");
        let plan = plan(shop, 3, None);
        dispatch(shop, plan, None, None);
        let last = shop.head();
        let mut said = Vec::new();
        for seq in 1..=last {
            match shop.keyed(None, eleven_of(seq)) {
                Ok(committed) => said.push(refused(committed.answer)),
                Err(CommitError::Invalid(_)) => {}
                Err(error) => panic!("{error}"),
            }
        }
        for words in [
            "is told by the document `S1`; send a newer version",
            "is of an order or a hold; cancel, return or release",
            "corrects or explains entry",
            "is of transfer",
        ] {
            assert!(said.iter().any(|said| said.contains(words)), "{words}: {said:?}");
        }
        assert!(matches!(order.answer, Answer::Order(..)));
        let (unknown, none) = (shop.keyed(None, eleven_of(999_999)), shop.keyed(None, eleven_of(0)));
        for answer in [unknown, none] {
            assert!(answer.unwrap_err().to_string().contains("there is no movement"));
        }
    });
}

#[test]
fn a_movement_of_the_same_batch_is_found() {
    each(|shop| {
        let receive = Body::Receive(Receive {
            location: LONDON.to_owned(),
            lines: units("MUG", 5),
            occurred_at: None,
            reason: None,
        });
        let submission = |body| onhand_engine::Submission {
            tenant: TenantId::DEFAULT,
            command: Some(onhand_ledger::Command::keyed(None, "test", body)),
            notes: Vec::new(),
        };
        let seq = shop.head() + 1;
        let wrong = Reverse { seq, quantity: None, reason: "correction".to_owned() };
        let both = vec![submission(receive), submission(Body::Reverse(wrong))];
        let answers: Vec<Answer> =
            shop.ledger.commit(both).into_iter().map(|result| result.unwrap().answer).collect();
        assert!(answers.iter().all(|answer| matches!(answer, Answer::Moved(..))), "{answers:?}");
        assert_eq!(shop.stock("MUG"), (0, 0, 0));
    });
}

#[test]
fn what_a_group_moved_is_reversed_too() {
    each(|shop| {
        let id = buy(shop.at("10:00"), 10, None);
        let receive = |quantity| {
            Body::Receive(Receive {
                location: LONDON.to_owned(),
                lines: units("MUG", quantity),
                occurred_at: None,
                reason: None,
            })
        };
        let delivered = Body::ReceivePurchase(ReceivePurchase {
            purchase: id,
            lines: None,
            location: None,
            into: StockState::Available,
            occurred_at: None,
        });
        let noted = |note: &str, body| {
            Body::Noted(Box::new(Noted { reference: None, note: Some(note.to_owned()), body }))
        };
        let group = Body::Group(vec![receive(1), delivered.clone(), receive(2)]);
        let Answer::Group(answers) = shop.tell(noted("a lorry", group)) else { panic!() };
        assert_eq!(available(shop, "MUG", LONDON), 13);
        let back = |seq| {
            let reason = "correction".to_owned();
            Body::Reverse(Reverse { seq, quantity: Some(some(1)), reason })
        };
        // Twice of one movement in one group.
        let seq = moved(&answers[1])[0];
        shop.tell(Body::Group(vec![back(seq), back(seq), back(moved(&answers[0])[0])]));
        assert_eq!((available(shop, "MUG", LONDON), expected(shop)), (10, vec![(Supply::Purchase, 2)]));
        let inside = shop.keyed(None, Body::Group(vec![noted("one of them", receive(1))])).unwrap_err();
        assert!(inside.to_string().contains("noted as a whole"), "{inside}");
    });
}

// ---- transfers -----------------------------------------------------------------------------------------------------

fn plan(shop: &Shop, quantity: i64, reference: Option<&str>) -> TransferId {
    match shop.tell(planned(quantity, reference)) {
        Answer::Transfer { id, .. } => id,
        other => panic!("it is planned: {other:?}"),
    }
}

fn planned(quantity: i64, reference: Option<&str>) -> Body {
    Body::PlanTransfer(PlanTransfer {
        reference: reference.map(str::to_owned),
        from: LONDON.to_owned(),
        to: PARIS.to_owned(),
        lines: units("MUG", quantity),
        expected_on: Some(day("2026-11-25")),
    })
}

fn line(quantity: i64) -> Vec<LineQuantity> {
    vec![LineQuantity { lot: None, line: "1".to_owned(), quantity: some(quantity) }]
}

fn dispatch(shop: &Shop, transfer: TransferId, quantity: Option<i64>, at: Option<&str>) -> Answer {
    let (lines, occurred_at) = (quantity.map(line), at.map(time));
    shop.tell(Body::DispatchTransfer(DispatchTransfer { transfer, lines, occurred_at }))
}

fn receive(shop: &Shop, transfer: TransferId, quantity: i64, lost: Option<i64>, at: Option<&str>) -> Answer {
    let line = ArrivedLine { line: "1".to_owned(), quantity: some(quantity), lost: lost.map(some) };
    shop.tell(Body::ReceiveTransfer(ReceiveTransfer {
        transfer,
        lines: Some(vec![line]),
        into: StockState::Available,
        occurred_at: at.map(time),
    }))
}

fn state(shop: &Shop, transfer: TransferId) -> TransferState {
    match shop.ledger.read(TenantId::DEFAULT, |view| view.get(&Key::Transfer(transfer))).unwrap() {
        Some(Value::Transfer(transfer)) => transfer.state,
        other => panic!("a transfer: {other:?}"),
    }
}

/// What is expected of MUG: where, how much.
fn expected(shop: &Shop) -> Vec<(Supply, i64)> {
    let read = shop.ledger.read(TenantId::DEFAULT, |view| {
        let (item, _) = view.item_by_sku("MUG")?.unwrap();
        view.expected(item)
    });
    let one = |one: Expected| {
        let Incoming { supply, quantity, .. } = one.incoming;
        (supply, quantity.whole_units())
    };
    read.unwrap().into_iter().map(one).collect()
}

#[test]
fn lost_on_the_way() {
    each(|shop| {
        shop.at("10:00").receive("MUG", 30);
        let transfer = plan(shop, 10, None);
        assert_eq!((available(shop, "MUG", LONDON), expected(shop)), (30, vec![]), "a draft keeps nothing");
        dispatch(shop.at("10:10"), transfer, None, None);
        assert_eq!((available(shop, "MUG", LONDON), in_transit(shop, "MUG", PARIS)), (20, 10));
        assert_eq!(expected(shop), [(Supply::Transfer, 10)]);
        receive(shop.at("11:00"), transfer, 8, Some(2), None);
        assert_eq!((available(shop, "MUG", PARIS), in_transit(shop, "MUG", PARIS)), (8, 0));
        assert_eq!((party(shop, "MUG", StockState::Adjustment), expected(shop)), (2, vec![]));
        assert_eq!(available(shop, "MUG", LONDON) + available(shop, "MUG", PARIS), 28);
        assert_eq!(state(shop, transfer), TransferState::Transferred);
        assert!(shop.discrepancies().is_empty(), "who books a loss knows of it");
        let said = refused(receive(shop, transfer, 1, None, None));
        assert_eq!(said, format!("transfer {transfer} is transferred: nothing more can be received"));
    });
}

#[test]
fn a_transfer_goes_in_parts_and_what_is_left_comes_back() {
    each(|shop| {
        shop.at("10:00").receive("MUG", 30);
        let transfer = plan(shop, 10, Some("T-1"));
        dispatch(shop, transfer, Some(4), None);
        dispatch(shop, transfer, Some(3), None);
        assert!(refused(dispatch(shop, transfer, Some(4), None)).contains("has 3 to dispatch, not 4"));
        receive(shop.at("10:30"), transfer, 2, None, None);
        assert_eq!((available(shop, "MUG", PARIS), in_transit(shop, "MUG", PARIS)), (2, 5));
        assert!(refused(receive(shop, transfer, 1, Some(5), None)).contains("has 4 to lose, not 5"));
        assert_eq!(state(shop, transfer), TransferState::InProgress);
        let cancelled = CancelTransfer { transfer, occurred_at: None };
        shop.tell(Body::CancelTransfer(cancelled));
        assert_eq!((available(shop, "MUG", LONDON), in_transit(shop, "MUG", PARIS)), (28, 0));
        assert_eq!(state(shop, transfer), TransferState::Transferred, "two did come in");
        // The reference stays taken.
        let said = refused(shop.tell(planned(1, Some("T-1"))));
        assert!(said.contains(&format!("is the reference of transfer {transfer} already")), "{said}");
    });
}

#[test]
fn more_came_in_than_was_sent() {
    each(|shop| {
        shop.at("10:00").receive("MUG", 10);
        let transfer = plan(shop, 5, None);
        assert!(refused(receive(shop, transfer, 1, None, None)).contains("is a draft"));
        dispatch(shop, transfer, None, None);
        let Answer::Transfer { lines, discrepancies, .. } = receive(shop, transfer, 7, None, None) else {
            panic!()
        };
        assert_eq!((lines[0].received, lines[0].over, discrepancies.len()), (some(5), some(2), 1));
        assert_eq!((available(shop, "MUG", PARIS), in_transit(shop, "MUG", PARIS)), (7, 0));
        assert_eq!(shop.discrepancies()[0].cause, Cause::MoreThanOrdered);
    });
}

#[test]
fn a_dispatch_that_a_count_has_seen_is_given_back_by_it_at_both_ends() {
    each(|shop| {
        shop.at("10:00").receive("MUG", 10);
        let transfer = plan(shop, 6, None);
        // Six left at 10:05, which nobody told: the count finds four, and 6 are at PARIS when it is counted.
        count(shop.at("10:20"), LONDON, 4, "10:15");
        count(shop.at("10:50"), PARIS, 6, "10:45");
        dispatch(shop.at("11:00"), transfer, None, Some("10:05"));
        assert_eq!((available(shop, "MUG", LONDON), in_transit(shop, "MUG", PARIS)), (4, 6));
        let early = ReceiveTransfer {
            transfer,
            lines: None,
            into: StockState::Available,
            occurred_at: Some(time("10:01")),
        };
        let early = shop.keyed(None, Body::ReceiveTransfer(early));
        assert!(early.unwrap_err().to_string().contains("is before it left"));
        receive(shop, transfer, 6, None, Some("10:40"));
        assert_eq!((available(shop, "MUG", PARIS), in_transit(shop, "MUG", PARIS)), (6, 0));
        assert_eq!(party(shop, "MUG", StockState::Adjustment), 0, "both counts are explained");
        assert_eq!(shop.on_hand_at("MUG", "10:10", None), 4);
    });
}

#[test]
fn only_what_is_available_is_sent_and_nothing_from_another_masters_place() {
    each(|shop| {
        shop.at("10:00").receive("MUG", 5);
        shop.order(None, "MUG", 3).unwrap();
        let transfer = plan(shop, 3, None);
        assert_eq!(
            refused(dispatch(shop, transfer, None, None)),
            "cannot take 3 of `MUG` at `LONDON`: 2 available"
        );
        let amended = AmendTransfer { transfer, lines: line(2), expected_on: Some(day("2026-12-01")) };
        shop.tell(Body::AmendTransfer(amended));
        dispatch(shop, transfer, None, None);
        assert_eq!(in_transit(shop, "MUG", PARIS), 2);
        let (location, master) = (Some(PARIS.to_owned()), "WMS".to_owned());
        shop.tell(Body::SetOwnership(SetOwnership { location, master, ..SetOwnership::default() }));
        for answer in [receive(shop, transfer, 1, None, None), shop.tell(planned(1, None))] {
            assert!(refused(answer).contains("its master is `WMS`"));
        }
    });
}

#[test]
fn what_comes_in_by_a_transfer_serves_who_waits() {
    each(|shop| {
        shop.at("10:00").receive("MUG", 5);
        let transfer = plan(shop, 5, None);
        dispatch(shop, transfer, None, None);
        shop.order_fact("1044", 1, "MUG", 3, false);
        receive(shop, transfer, 5, None, None);
        assert_eq!((available(shop, "MUG", PARIS), held(shop, "MUG", PARIS, StockState::Committed)), (2, 3));
    });
}

// ---- production ----------------------------------------------------------------------------------------------------

fn work(quantity: i64, at: Option<&str>) -> Assemble {
    let part = |sku: &str, quantity| Line::new(sku, some(quantity));
    Assemble {
        location: LONDON.to_owned(),
        sku: "MUG".to_owned(),
        quantity: some(quantity),
        lot: None,
        components: Some(vec![part("A", 2), part("B", 1)]),
        occurred_at: at.map(time),
    }
}

#[test]
fn kits_are_built_and_taken_apart() {
    each(|shop| {
        shop.at("10:00").receive("A", 5);
        shop.receive("B", 5);
        let said = refused(shop.tell(Body::Assemble(work(3, None))));
        assert_eq!(said, "cannot take 6 of `A` at `LONDON`: 5 available");
        let noted =
            Noted { reference: Some("WO-7".to_owned()), note: None, body: Body::Assemble(work(2, None)) };
        let built = shop.tell(Body::Noted(Box::new(noted.clone())));
        assert_eq!(moved(&built).len(), 3);
        let stock = |sku| available(shop, sku, LONDON);
        assert_eq!((stock("MUG"), stock("A"), stock("B")), (2, 1, 3));
        let said = refused(reverse(shop, moved(&built)[0], None));
        assert!(said.contains("is a part of an assembly"), "{said}");
        assert!(refused(shop.tell(Body::Disassemble(work(3, None)))).contains("2 available"));
        shop.tell(Body::Disassemble(work(2, None)));
        assert_eq!((stock("MUG"), stock("A"), stock("B")), (0, 5, 5));
        assert_eq!(party(shop, "A", StockState::Production), 0);
        let bare = Assemble { components: None, ..work(1, None) };
        let error = shop.keyed(None, Body::Assemble(bare)).unwrap_err();
        assert_eq!(error.to_string(), "components: `MUG` has no recipe; name what it is built of");
        let record = shop.ledger.read(TenantId::DEFAULT, |view| view.records_after(0, 1_000)).unwrap();
        assert!(record.iter().any(|(_, record)| record.reference.as_deref() == Some("WO-7")));
        let twice = Noted { body: Body::Noted(Box::new(noted.clone())), ..noted };
        assert!(shop.keyed(None, Body::Noted(Box::new(twice))).is_err());
    });
}

#[test]
fn a_kit_built_before_a_count_is_in_it() {
    each(|shop| {
        shop.at("10:00").receive("A", 5);
        shop.receive("B", 5);
        count(shop.at("11:00"), LONDON, 2, "10:30");
        shop.tell(Body::Assemble(work(2, Some("10:10"))));
        assert_eq!(available(shop, "MUG", LONDON), 2, "the count saw both");
        assert_eq!(available(shop, "A", LONDON), 1);
    });
}

// ---- purchase orders -----------------------------------------------------------------------------------------------

fn euro(micros: i64) -> Money {
    Money { amount: Quantity::from_micros(micros), currency: "EUR".to_owned() }
}

fn buy(shop: &Shop, quantity: i64, expected_on: Option<&str>) -> PurchaseId {
    let order = PlacePurchase {
        supplier: "Potters & Sons".to_owned(),
        reference: Some(format!("PO-{}", shop.head())),
        location: LONDON.to_owned(),
        expected_on: expected_on.map(day),
        lines: vec![PurchaseOrderLine {
            pack: None,
            sku: "MUG".to_owned(),
            quantity: some(quantity),
            expected_on: None,
            unit_cost: Some(euro(1_250_000)),
        }],
    };
    match shop.tell(Body::PlacePurchase(order)) {
        Answer::Purchase { id, .. } => id,
        other => panic!("it is placed: {other:?}"),
    }
}

fn deliver(shop: &Shop, purchase: PurchaseId, quantity: Option<i64>) -> Answer {
    let line = |quantity| {
        vec![DeliveredLine { line: "1".to_owned(), quantity: some(quantity), ..DeliveredLine::default() }]
    };
    shop.tell(Body::ReceivePurchase(ReceivePurchase {
        purchase,
        lines: quantity.map(line),
        location: None,
        into: StockState::Available,
        occurred_at: None,
    }))
}

fn purchase(shop: &Shop, id: PurchaseId) -> onhand_ledger::model::Purchase {
    match shop.ledger.read(TenantId::DEFAULT, |view| view.get(&Key::Purchase(id))).unwrap() {
        Some(Value::Purchase(purchase)) => *purchase,
        other => panic!("a purchase order: {other:?}"),
    }
}

fn promisable(shop: &Shop, place: Option<&str>, by: &str) -> Promisable {
    let read = shop.ledger.read(TenantId::DEFAULT, |view| {
        let (item, _) = view.item_by_sku("MUG")?.unwrap();
        let place = match place {
            Some(code) => view.location_by_code(code)?.map(|(id, _)| id),
            None => None,
        };
        view.promisable(item, place, day(by))
    });
    read.unwrap()
}

#[test]
fn a_purchase_order_comes_in_parts_and_more_than_ordered() {
    each(|shop| {
        let id = buy(shop.at("10:00"), 10, Some("2026-12-01"));
        assert_eq!((expected(shop), available(shop, "MUG", LONDON)), (vec![(Supply::Purchase, 10)], 0));
        deliver(shop, id, Some(4));
        assert_eq!((expected(shop), available(shop, "MUG", LONDON)), (vec![(Supply::Purchase, 6)], 4));
        let Answer::Purchase { lines, .. } = deliver(shop, id, Some(8)) else { panic!() };
        assert_eq!((lines[0].received, lines[0].open, lines[0].over), (some(12), some(0), some(2)));
        assert_eq!((expected(shop), available(shop, "MUG", LONDON)), (vec![], 12));
        assert_eq!(purchase(shop, id).state_name(), "received");
        assert!(refused(deliver(shop, id, None)).contains("received in full"));
        let cost = shop.ledger.read(TenantId::DEFAULT, |view| view.records_after(0, 1_000)).unwrap();
        let costs = cost.iter().flat_map(|(_, record)| &record.entries);
        let costs: Vec<&Money> = costs
            .filter_map(|entry| match entry {
                onhand_ledger::Entry::Cost(_, cost) => Some(cost),
                _ => None,
            })
            .collect();
        assert_eq!(costs, [&euro(1_250_000), &euro(1_250_000)]);
    });
}

#[test]
fn what_comes_of_a_purchase_order_after_a_merge_is_of_the_item_that_goes_on() {
    each(|shop| {
        let id = buy(shop.at("10:00"), 10, None);
        deliver(shop, id, Some(10));
        let (from, into) = ("MUG".to_owned(), "A".to_owned());
        shop.tell(Body::MergeItems(onhand_ledger::command::MergeItems { from, into }));
        let Answer::Purchase { lines, .. } = deliver(shop, id, Some(1)) else { panic!() };
        assert_eq!((lines[0].received, lines[0].over), (some(11), some(1)));
        assert_eq!(available(shop, "A", LONDON), 11);
    });
}

#[test]
fn a_receipt_of_a_purchase_order_that_was_wrong_is_expected_again() {
    each(|shop| {
        let id = buy(shop.at("10:00"), 10, None);
        let seq = moved(&deliver(shop, id, Some(4)))[0];
        reverse(shop, seq, Some(3));
        assert_eq!((expected(shop), available(shop, "MUG", LONDON)), (vec![(Supply::Purchase, 9)], 1));
        reverse(shop, seq, None);
        assert_eq!(purchase(shop, id).lines[0].receipts, []);
        assert_eq!((expected(shop), available(shop, "MUG", LONDON)), (vec![(Supply::Purchase, 10)], 0));
    });
}

#[test]
fn a_purchase_order_is_told_in_packs() {
    each(|shop| {
        let case = Pack { name: "case".to_owned(), quantity: Quantity::units(24), barcode: None };
        let sku = "MUG".to_owned();
        shop.at("10:00").tell(Body::PutItem(PutItem { sku, packs: Some(vec![case]), ..PutItem::default() }));
        let pack = || Some("case".to_owned());
        let line = |sku: &str, quantity| PurchaseOrderLine {
            sku: sku.to_owned(),
            quantity: some(quantity),
            pack: pack(),
            expected_on: None,
            unit_cost: None,
        };
        let place = |line| {
            Body::PlacePurchase(PlacePurchase {
                supplier: "Potters & Sons".to_owned(),
                reference: None,
                location: LONDON.to_owned(),
                expected_on: None,
                lines: vec![line],
            })
        };
        let said = shop.keyed(None, place(line("A", 1))).unwrap_err();
        assert!(said.to_string().contains("`A` has no pack `case`"), "{said}");
        let Answer::Purchase { id, .. } = shop.tell(place(line("MUG", 3))) else { panic!("it is placed") };
        assert_eq!(expected(shop), [(Supply::Purchase, 72)]);
        let first = || "1".to_owned();
        let more = AmendedLine {
            line: Some(first()),
            quantity: Some(some(4)),
            pack: pack(),
            ..AmendedLine::default()
        };
        shop.tell(Body::AmendPurchase(AmendPurchase { purchase: id, lines: vec![more] }));
        assert_eq!(expected(shop), [(Supply::Purchase, 96)]);
        let came =
            DeliveredLine { line: first(), quantity: some(2), pack: pack(), ..DeliveredLine::default() };
        shop.tell(Body::ReceivePurchase(ReceivePurchase {
            purchase: id,
            lines: Some(vec![came]),
            location: None,
            into: StockState::Available,
            occurred_at: None,
        }));
        assert_eq!((expected(shop), available(shop, "MUG", LONDON)), (vec![(Supply::Purchase, 48)], 48));
    });
}

#[test]
fn a_purchase_order_is_amended_closed_or_cancelled() {
    each(|shop| {
        let amend = |purchase, line: AmendedLine| {
            shop.keyed(None, Body::AmendPurchase(AmendPurchase { purchase, lines: vec![line] }))
        };
        let first = || AmendedLine { line: Some("1".to_owned()), ..AmendedLine::default() };
        let end = |purchase, cancel| shop.tell(Body::EndPurchase(EndPurchase { purchase, cancel }));
        let id = buy(shop.at("10:00"), 10, None);
        deliver(shop, id, Some(4));
        let said = refused(amend(id, AmendedLine { quantity: Some(some(3)), ..first() }).unwrap().answer);
        assert!(said.ends_with("has 6 to take off, not 7"), "{said}");
        amend(id, AmendedLine { quantity: Some(some(7)), expected_on: Some(day("2026-12-24")), ..first() })
            .unwrap();
        let more =
            AmendedLine { sku: Some("A".to_owned()), quantity: Some(some(2)), ..AmendedLine::default() };
        amend(id, more).unwrap();
        assert_eq!((expected(shop), purchase(shop, id).lines.len()), (vec![(Supply::Purchase, 3)], 2));
        let said =
            amend(id, AmendedLine { sku: Some("A".to_owned()), ..AmendedLine::default() }).unwrap_err();
        assert!(said.to_string().contains("a new line needs `sku` and `quantity`"), "{said}");
        assert!(refused(end(id, true)).contains("close it instead"));
        end(id, false);
        assert_eq!((expected(shop), purchase(shop, id).state_name()), (vec![], "closed"));
        assert!(refused(deliver(shop, id, Some(1))).contains("is closed: nothing more can be received"));
        let other = buy(shop, 5, None);
        end(other, true);
        assert_eq!((expected(shop), purchase(shop, other).state_name()), (vec![], "cancelled"));
    });
}

#[test]
fn what_can_be_promised_by_a_day() {
    each(|shop| {
        shop.at("10:00").receive("MUG", 8);
        let transfer = plan(shop, 3, None);
        dispatch(shop, transfer, None, None);
        buy(shop, 10, Some("2026-12-01"));
        buy(shop, 100, None);
        assert_eq!(promisable(shop, None, "2026-11-24").promisable, some(5));
        assert_eq!(promisable(shop, None, "2026-11-25").promisable, some(8), "the transfer is in by then");
        assert_eq!(promisable(shop, Some(PARIS), "2026-11-25").promisable, some(3));
        assert_eq!(promisable(shop, Some(LONDON), "2026-11-25").promisable, some(5));
        let all = promisable(shop, None, "2026-12-01");
        assert_eq!((all.purchases, all.transfers, all.later), (some(10), some(3), some(100)));
        shop.order_fact("1044", 1, "MUG", 12, false);
        let all = promisable(shop, None, "2026-12-01");
        assert_eq!((all.available, all.short, all.promisable), (some(0), some(7), some(6)));
        assert_eq!(promisable(shop, None, "2026-11-24").promisable, some(0), "never less than nothing");
    });
}

#[test]
fn what_has_ended_by_a_day_is_promised_by_no_later_one() {
    each(|shop| {
        shop.tell(Body::PutItem(PutItem {
            sku: "MILK".to_owned(),
            tracking: Some(Tracking::Lots),
            ..PutItem::default()
        }));
        let line = |lot: &str, quantity, expires| Line {
            lot: Some(lot.to_owned()),
            expires: Some(day(expires)),
            ..Line::new("MILK", some(quantity))
        };
        let lines = vec![line("L1", 5, "2026-12-05"), line("L2", 3, "2027-01-31")];
        let location = "LONDON".to_owned();
        shop.at("10:00").tell(Body::Receive(Receive { location, lines, occurred_at: None, reason: None }));
        let by = |by: &str| {
            let found = shop.ledger.read(TenantId::DEFAULT, |view| {
                let (item, _) = view.item_by_sku("MILK")?.unwrap();
                view.promisable(item, None, day(by))
            });
            let found = found.unwrap();
            (found.available, found.ended, found.promisable)
        };
        assert_eq!(by("2026-12-05"), (some(8), some(0), some(8)), "it may be sold on its last day");
        assert_eq!(by("2026-12-06"), (some(8), some(5), some(3)));
    });
}

fn receipt(shop: &Shop, system: &str, document: &str, reference: &str, quantity: i64) -> Answer {
    shop.tell(Body::Record(Document {
        system: system.to_owned(),
        document: document.to_owned(),
        version: 1,
        content: Content::Receipt(ReceiptContent {
            purchase: Some(reference.to_owned()),
            transfer: None,
            location: LONDON.to_owned(),
            occurred_at: None,
            lines: vec![ReceiptLine {
                item: Name::Sku("MUG".to_owned()),
                quantity: some(quantity),
                unit_cost: None,
                lot: None,
                expires: None,
                serials: None,
            }],
        }),
    }))
}

#[test]
fn one_delivery_however_often_it_is_told() {
    each(|shop| {
        let id = buy(shop.at("10:00"), 10, None);
        let reference = purchase(shop, id).reference.unwrap();
        assert!(matches!(receipt(shop, "WMS", "R1", &reference, 6), Answer::Recorded { .. }));
        assert_eq!(receipt(shop, "WMS", "R1", &reference, 6), Answer::AlreadyApplied { version: 1 });
        assert_eq!((expected(shop), available(shop, "MUG", LONDON)), (vec![(Supply::Purchase, 4)], 6));
        // The ERP's goods receipt is the same delivery.
        receipt(shop, "WEB", "GR-9", &reference, 6);
        assert_eq!((expected(shop), available(shop, "MUG", LONDON)), (vec![(Supply::Purchase, 4)], 6));
        assert!(shop.discrepancies().is_empty());
        receipt(shop, "WMS", "R2", &reference, 5);
        assert_eq!((expected(shop), available(shop, "MUG", LONDON)), (vec![], 11));
        let found = shop.discrepancies();
        assert_eq!((found.len(), found[0].cause, found[0].quantity), (1, Cause::MoreThanOrdered, some(1)));
    });
}

#[test]
fn a_receipt_waits_for_its_purchase_order() {
    each(|shop| {
        let told = receipt(shop.at("10:00"), "WMS", "R1", "PO-unheard-of", 6);
        let Answer::Waiting(_, sentence) = told else { panic!("{told:?}") };
        assert!(sentence.contains("there is no purchase order `PO-unheard-of`"), "{sentence}");
        assert_eq!(shop.stock("MUG"), (0, 0, 0));
    });
}

#[test]
fn where_another_system_is_master_its_word_of_a_receipt_moves_stock() {
    each(|shop| {
        let id = buy(shop.at("10:00"), 10, None);
        let (location, master) = (Some(LONDON.to_owned()), "WMS".to_owned());
        shop.tell(Body::SetOwnership(SetOwnership { location, master, ..SetOwnership::default() }));
        let said = deliver(shop, id, Some(1));
        assert!(matches!(said, Answer::Refused(Refusal::NotMaster { .. })), "{said:?}");
        let reference = purchase(shop, id).reference.unwrap();
        receipt(shop, "WEB", "GR-9", &reference, 6);
        assert_eq!((expected(shop), shop.stock("MUG")), (vec![(Supply::Purchase, 10)], (0, 0, 0)));
        receipt(shop, "WMS", "R1", &reference, 6);
        assert_eq!((expected(shop), shop.stock("MUG")), (vec![(Supply::Purchase, 4)], (6, 0, 0)));
    });
}

#[test]
fn lots_keep_their_name_on_every_way() {
    each(|shop| {
        let tracked = PutItem {
            tracking: Some(Tracking::Lots),
            ..PutItem { sku: "TEA".to_owned(), ..PutItem::default() }
        };
        shop.at("10:00").tell(Body::PutItem(tracked));
        let of = |lot: &str, quantity| Line { lot: Some(lot.to_owned()), ..Line::new("TEA", some(quantity)) };
        let in_lot = |lot: &str, place: &str, state| {
            let read = shop.ledger.read(TenantId::DEFAULT, |view| {
                let (item, _) = view.item_by_sku("TEA")?.unwrap();
                let (location, _) = view.location_by_code(place)?.unwrap();
                let Some(Value::LotId(lot)) = view.get(&Key::LotCode(item, lot.to_owned()))? else {
                    return Ok(Quantity::ZERO);
                };
                Ok(view.cell(&onhand_ledger::CellKey::of(item, location, lot, state))?.quantity)
            });
            read.unwrap().whole_units()
        };
        let order = PlacePurchase {
            supplier: "Planters".to_owned(),
            reference: None,
            location: LONDON.to_owned(),
            expected_on: None,
            lines: vec![PurchaseOrderLine {
                pack: None,
                sku: "TEA".to_owned(),
                quantity: some(10),
                expected_on: None,
                unit_cost: None,
            }],
        };
        let Answer::Purchase { id: purchase, .. } = shop.tell(Body::PlacePurchase(order)) else { panic!() };
        let came = |lot: Option<&str>| {
            let lot = lot.map(str::to_owned);
            let line =
                DeliveredLine { line: "1".to_owned(), quantity: some(6), lot, ..DeliveredLine::default() };
            let (location, into, occurred_at) = (None, StockState::Available, None);
            Body::ReceivePurchase(ReceivePurchase {
                purchase,
                lines: Some(vec![line]),
                location,
                into,
                occurred_at,
            })
        };
        let unnamed = shop.keyed(None, came(None)).unwrap_err();
        assert!(unnamed.to_string().contains("tracked by lots"), "{unnamed}");
        let receipt = moved(&shop.tell(came(Some("L1"))))[0];
        assert_eq!(in_lot("L1", LONDON, StockState::Available), 6);
        let planned = |lines| PlanTransfer {
            reference: None,
            from: LONDON.to_owned(),
            to: PARIS.to_owned(),
            lines,
            expected_on: None,
        };
        assert!(shop.keyed(None, Body::PlanTransfer(planned(vec![Line::new("TEA", some(1))]))).is_err());
        let sent = shop.tell(Body::PlanTransfer(planned(vec![of("L1", 4)])));
        let Answer::Transfer { id, .. } = sent else { panic!("{sent:?}") };
        dispatch(shop, id, None, None);
        assert_eq!(in_lot("L1", PARIS, StockState::InTransit), 4);
        receive(shop, id, 3, Some(1), None);
        assert_eq!(in_lot("L1", PARIS, StockState::Available), 3);
        let blend = Assemble { components: Some(vec![of("L1", 1)]), ..work(2, None) };
        shop.tell(Body::Assemble(blend.clone()));
        assert_eq!(in_lot("L1", LONDON, StockState::Available), 0);
        assert!(refused(shop.tell(Body::Assemble(blend.clone()))).contains("0 available"));
        shop.tell(Body::Disassemble(blend));
        let said = refused(reverse(shop, receipt, None));
        assert!(said.contains("2 on hand"), "{said}");
        reverse(shop, receipt, Some(2));
        assert_eq!(in_lot("L1", LONDON, StockState::Available), 0);
    });
}

#[test]
fn a_receipt_that_another_system_tells_says_of_which_lots_and_pieces_it_was() {
    each(|shop| {
        for (sku, tracking) in [("MILK", Tracking::Lots), ("PHONE", Tracking::Serials)] {
            let (sku, tracking) = (sku.to_owned(), Some(tracking));
            shop.tell(Body::PutItem(PutItem { sku, tracking, ..PutItem::default() }));
        }
        let line = |sku: &str, quantity| ReceiptLine {
            item: Name::Sku(sku.to_owned()),
            quantity: some(quantity),
            unit_cost: None,
            lot: None,
            expires: None,
            serials: None,
        };
        let tell = |document: &str, lines| {
            let (purchase, transfer, location) = (None, None, LONDON.to_owned());
            let content = ReceiptContent { purchase, transfer, location, occurred_at: None, lines };
            let (system, document) = ("WMS".to_owned(), document.to_owned());
            let told = Document { system, document, version: 1, content: Content::Receipt(content) };
            shop.keyed(None, Body::Record(told))
        };
        let (lot, expires) = (Some("L1".to_owned()), Some(day("2026-11-23")));
        let serials = Some(vec!["S1".to_owned(), "S2".to_owned()]);
        let milk = ReceiptLine { lot: lot.clone(), expires, ..line("MILK", 5) };
        let phones = ReceiptLine { serials: serials.clone(), ..line("PHONE", 2) };
        tell("R1", vec![milk, line("MILK", 3), phones]).unwrap();
        assert_eq!((shop.available("MILK", LONDON), shop.available("PHONE", LONDON)), (8, 2));
        // Five of the eight end with their day; of the others nobody has said.
        shop.on("2026-11-24T00:00:00Z");
        shop.tell(Body::Tick);
        assert_eq!(shop.available("MILK", LONDON), 3);
        // A piece that is told to come in twice has come from somewhere else, and is one.
        tell("R2", vec![ReceiptLine { serials: Some(vec!["S2".to_owned()]), ..line("PHONE", 1) }]).unwrap();
        assert_eq!(shop.available("PHONE", LONDON), 2);
        let wrong = ReceiptLine { serials, ..line("PHONE", 3) };
        assert!(tell("R3", vec![wrong]).is_err(), "2 serials for a quantity of 3");
        assert!(tell("R4", vec![ReceiptLine { lot, ..line("MUG", 1) }]).is_err(), "it is not tracked");
        audited(shop);
    });
}
