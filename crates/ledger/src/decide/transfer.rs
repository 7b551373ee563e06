//! Transfers as documents: planned, dispatched into transit, received (in parts, with loss, or more than was sent),
//! cancelled. A draft keeps nothing; what has left is `in_transit` at its destination, outside of on hand.

use crate::answer::{Answer, Invalid, Refusal, TransferLineAnswer};
use crate::command::{AmendTransfer, CancelTransfer, DispatchTransfer, PlanTransfer, ReceiveTransfer};
use crate::entry::Entry;
use crate::key::{CellKey, Key, StockState};
use crate::model::{Cause, TransferDocument, TransferLine, TransferState};
use crate::state::Value;
use crate::{Instant, LocationId, Quantity, TransferId};

use super::lines::{self, Done};
use super::order;
use super::shift;
use super::stock::{self, Change};
use super::tx::{Found, Move, Stop, Tx};

/// The states that goods may come in to.
const INTO: [StockState; 3] = [StockState::Available, StockState::Damaged, StockState::QualityControl];

/// Refuses a state that takes nothing that comes in.
pub(super) fn check_into(into: StockState) -> Result<(), Invalid> {
    if INTO.contains(&into) {
        return Ok(());
    }
    let problem = format!("`{}` takes no receipts; available, damaged and quality_control do", into.name());
    Err(Invalid::Field { field: "into", problem })
}

fn load(tx: &Tx<'_>, id: TransferId) -> Result<TransferDocument, Stop> {
    let Some(Value::Transfer(transfer)) = tx.value(&Key::Transfer(id))? else {
        return Err(Invalid::Unknown { kind: "transfer", id: id.to_string() }.into());
    };
    let places = [transfer.from, transfer.to].map(Key::Location);
    tx.want(transfer.lines.iter().map(|line| Key::Item(line.item)).chain(places))?;
    Ok(*transfer.clone())
}

fn name(id: TransferId) -> String {
    format!("transfer {id}")
}

fn ended(id: TransferId, state: &str, verb: &str) -> Stop {
    Refusal::DocumentEnded { document: name(id), state: state.to_owned(), verb: verb.to_owned() }.into()
}

/// The transfer, if something can still be done with it.
fn open(tx: &Tx<'_>, id: TransferId, verb: &str) -> Result<TransferDocument, Stop> {
    let transfer = load(tx, id)?;
    if transfer.state.is_open() { Ok(transfer) } else { Err(ended(id, transfer.state.name(), verb)) }
}

pub(super) fn plan(tx: &mut Tx<'_>, plan: &PlanTransfer) -> Result<Answer, Stop> {
    lines::check_words(plan.reference.as_deref(), None)?;
    lines::check_number(plan.lines.len())?;
    if let Some(reference) = &plan.reference
        && let Some(Value::TransferId(other)) = tx.value(&Key::TransferReference(reference.clone()))?
    {
        let (reference, document) = (reference.clone(), name(*other));
        return Err(Refusal::DocumentReferenceTaken { reference, document }.into());
    }
    let (from, to) = (tx.location_id(&plan.from)?, tx.location_id(&plan.to)?);
    if from == to {
        let problem = "must be another location than `from`".to_owned();
        return Err(Invalid::Field { field: "to", problem }.into());
    }
    let wanted = stock::resolve_each(tx, "a transfer", &plan.lines, Quantity::is_positive)?;
    lines::check_number(wanted.len())?;
    for line in &wanted {
        stock::must_be_ours(tx, line.item, from)?;
        stock::must_be_ours(tx, line.item, to)?;
    }
    let lines = (1..).zip(wanted).map(|(number, line): (u32, _)| TransferLine {
        line: number.to_string(),
        item: line.item,
        lot: line.lot.unwrap_or_default(),
        wanted: line.quantity,
        dispatched: Quantity::ZERO,
        received: Quantity::ZERO,
        lost: Quantity::ZERO,
        returned: Quantity::ZERO,
        over: Quantity::ZERO,
    });
    let transfer = TransferDocument {
        reference: plan.reference.clone(),
        from,
        to,
        state: TransferState::Draft,
        made_at: tx.now,
        dispatched_at: None,
        expected_on: plan.expected_on,
        lines: lines.collect(),
    };
    let id = TransferId(tx.next_seq());
    write(tx, id, transfer, &[])
}

pub(super) fn amend(tx: &mut Tx<'_>, amend: &AmendTransfer) -> Result<Answer, Stop> {
    let id = amend.transfer;
    let mut transfer = open(tx, id, "changed")?;
    lines::no_lot(&amend.lines)?;
    if !amend.lines.is_empty() {
        for (position, line) in chosen(&transfer, id, amend.lines.iter().map(|line| line.line.as_str()))?
            .into_iter()
            .zip(&amend.lines)
        {
            let known = &mut transfer.lines[position];
            lines::check_quantity(tx, known.item, line.quantity, true)?;
            let less = known.wanted - line.quantity;
            lines::must_have(&name(id), &line.line, "take off", known.to_dispatch(), less)?;
            known.wanted = line.quantity;
        }
    }
    transfer.expected_on = amend.expected_on.or(transfer.expected_on);
    write(tx, id, transfer, &[])
}

pub(super) fn dispatch(tx: &mut Tx<'_>, dispatch: &DispatchTransfer) -> Result<Answer, Stop> {
    let id = dispatch.transfer;
    let mut transfer = open(tx, id, "dispatched")?;
    let at = tx.past("occurred_at", dispatch.occurred_at)?;
    let mut parts: Vec<(usize, Quantity)> = Vec::new();
    match &dispatch.lines {
        None => parts.extend(
            (0..)
                .zip(transfer.lines.iter().map(TransferLine::to_dispatch))
                .filter(|(_, left)| left.is_positive()),
        ),
        Some(told) => {
            lines::no_lot(told)?;
            for (position, line) in
                chosen(&transfer, id, told.iter().map(|line| line.line.as_str()))?.into_iter().zip(told)
            {
                let known = &transfer.lines[position];
                lines::check_quantity(tx, known.item, line.quantity, false)?;
                lines::must_have(&name(id), &line.line, "dispatch", known.to_dispatch(), line.quantity)?;
                parts.push((position, line.quantity));
            }
        }
    }
    if parts.is_empty() {
        return Err(ended(id, "dispatched in full", "dispatched"));
    }
    let (from, to) = (transfer.from, transfer.to);
    for (position, _) in &parts {
        let item = transfer.lines[*position].item;
        stock::must_be_ours(tx, item, from)?;
        stock::must_be_ours(tx, item, to)?;
    }
    let steps: Vec<Move<'_>> = parts
        .iter()
        .map(|(position, quantity)| Move {
            promise: None,
            item: transfer.lines[*position].item,
            lot: transfer.lines[*position].lot,
            from: (from, StockState::Available),
            to: (to, StockState::InTransit),
            quantity: *quantity,
            occurred_at: at,
            reason: "dispatched",
            corrects: None,
        })
        .collect();
    prefetch(tx, &steps)?;
    shift::must_be_free(tx, &steps)?;
    let mut done = Vec::new();
    for ((position, quantity), step) in parts.iter().zip(steps) {
        let seq = shift::shift(tx, step)?;
        transfer.lines[*position].dispatched += *quantity;
        done.push((step.item, from, -*quantity, seq));
    }
    transfer.dispatched_at = Some(transfer.dispatched_at.map_or(at, |first| first.min(at)));
    write(tx, id, transfer, &done)
}

/// Fetches together what these steps will read.
fn prefetch(tx: &Tx<'_>, steps: &[Move<'_>]) -> Result<(), Stop> {
    tx.want_cells(steps.iter().flat_map(|step| {
        [step.from, step.to]
            .map(|(location, state)| CellKey { lot: step.lot, ..CellKey::new(step.item, location, state) })
    }))?;
    let ends = steps
        .iter()
        .flat_map(|step| [step.from.0, step.to.0].map(|location| (step.item, location, step.occurred_at)));
    stock::prefetch(tx, &[StockState::Adjustment], ends)
}

/// The positions of the lines that a request names.
fn chosen<'n>(
    transfer: &TransferDocument,
    id: TransferId,
    named: impl Iterator<Item = &'n str>,
) -> Result<Vec<usize>, Stop> {
    let known: Vec<&str> = transfer.lines.iter().map(|line| line.line.as_str()).collect();
    Ok(lines::positions(&name(id), &known, named)?)
}

/// When something happened to what had left: not before it did.
fn after_dispatch(tx: &Tx<'_>, transfer: &TransferDocument, at: Option<Instant>) -> Result<Instant, Stop> {
    let at = tx.past("occurred_at", at)?;
    match transfer.dispatched_at {
        Some(left) if at < left => {
            let problem = format!("{at} is before it left ({left})");
            Err(Invalid::Field { field: "occurred_at", problem }.into())
        }
        _ => Ok(at),
    }
}

/// What came in of a line: how much of it was on its way, beyond that, and lost.
struct Arrival {
    position: usize,
    received: Quantity,
    over: Quantity,
    lost: Quantity,
}

pub(super) fn receive(tx: &mut Tx<'_>, receive: &ReceiveTransfer) -> Result<Answer, Stop> {
    check_into(receive.into)?;
    let id = receive.transfer;
    let mut transfer = open(tx, id, "received")?;
    if transfer.state == TransferState::Draft {
        return Err(ended(id, "a draft (dispatch it first)", "received"));
    }
    let at = after_dispatch(tx, &transfer, receive.occurred_at)?;
    let arrivals = arrivals(tx, id, &transfer, receive)?;
    if arrivals.is_empty() {
        return Err(ended(id, "received as far as it was dispatched", "received"));
    }
    let to = transfer.to;
    for arrival in &arrivals {
        stock::must_be_ours(tx, transfer.lines[arrival.position].item, to)?;
    }
    let steps: Vec<Move<'_>> = arrivals
        .iter()
        .map(|arrival| Move {
            promise: None,
            item: transfer.lines[arrival.position].item,
            lot: transfer.lines[arrival.position].lot,
            from: (to, StockState::InTransit),
            to: (to, receive.into),
            quantity: arrival.received,
            occurred_at: at,
            reason: "received from a transfer",
            corrects: None,
        })
        .collect();
    prefetch(tx, &steps)?;
    let mut done = Vec::new();
    for (arrival, step) in arrivals.iter().zip(steps) {
        if arrival.received.is_positive() {
            done.push((step.item, to, arrival.received, shift::shift(tx, step)?));
        }
        if arrival.over.is_positive() {
            let seq = exceed(tx, id, &step, &transfer, arrival.over)?;
            done.push((step.item, to, arrival.over, seq));
        }
        if arrival.lost.is_positive() {
            let lost = Move {
                item: step.item,
                lot: step.lot,
                from: step.from,
                to: (LocationId(0), StockState::Adjustment),
                quantity: arrival.lost,
                occurred_at: at,
                reason: "lost in transit",
                promise: None,
                corrects: None,
            };
            done.push((step.item, to, Quantity::ZERO, tx.make(lost)?));
        }
        let line = &mut transfer.lines[arrival.position];
        line.received += arrival.received;
        line.over += arrival.over;
        line.lost += arrival.lost;
    }
    write(tx, id, transfer, &done)
}

fn arrivals(
    tx: &Tx<'_>,
    id: TransferId,
    transfer: &TransferDocument,
    receive: &ReceiveTransfer,
) -> Result<Vec<Arrival>, Stop> {
    let Some(told) = &receive.lines else {
        let all = (0..).zip(&transfer.lines).map(|(position, line)| Arrival {
            position,
            received: line.in_transit(),
            over: Quantity::ZERO,
            lost: Quantity::ZERO,
        });
        return Ok(all.filter(|arrival| arrival.received.is_positive()).collect());
    };
    let positions = chosen(transfer, id, told.iter().map(|line| line.line.as_str()))?;
    let mut arrivals = Vec::new();
    for (position, told) in positions.into_iter().zip(told) {
        let line = &transfer.lines[position];
        let lost = told.lost.unwrap_or_default();
        lines::check_quantity(tx, line.item, lost, true)?;
        lines::check_quantity(tx, line.item, told.quantity, lost.is_positive())?;
        let received = told.quantity.min(line.in_transit());
        lines::must_have(&name(id), &told.line, "lose", line.in_transit() - received, lost)?;
        arrivals.push(Arrival { position, received, over: told.quantity - received, lost });
    }
    Ok(arrivals)
}

/// More came in than was on its way: it is there, and somebody has miscounted where it came from.
fn exceed(
    tx: &mut Tx<'_>,
    id: TransferId,
    step: &Move<'_>,
    transfer: &TransferDocument,
    over: Quantity,
) -> Result<crate::Seq, Stop> {
    let (sku, origin) = (tx.sku(step.item)?, tx.location_code(transfer.from)?);
    let code = tx.location_code(transfer.to)?;
    let sentence = format!(
        "{over} more of {sku} came in at {code} by {} than was on its way. It is booked there as found; \
         count {sku} at {origin}.",
        name(id)
    );
    let (item, location) = (step.item, step.to.0);
    tx.discrepancy(Found::new(Cause::MoreThanOrdered, sentence).stock(item, Some(location), over))?;
    let change = Change {
        item,
        location,
        lot: step.lot,
        quantity: over,
        inside: false,
        party: StockState::Adjustment,
        occurred_at: step.occurred_at,
        reason: "received beyond what was sent",
        corrects: None,
        seen_from: step.occurred_at,
    };
    stock::put_in(tx, change, step.to.1)
}

pub(super) fn cancel(tx: &mut Tx<'_>, cancel: &CancelTransfer) -> Result<Answer, Stop> {
    let id = cancel.transfer;
    let mut transfer = open(tx, id, "cancelled")?;
    let at = after_dispatch(tx, &transfer, cancel.occurred_at)?;
    let steps: Vec<Move<'_>> = transfer
        .lines
        .iter()
        .filter(|line| line.in_transit().is_positive())
        .map(|line| Move {
            promise: None,
            item: line.item,
            lot: line.lot,
            from: (transfer.to, StockState::InTransit),
            to: (transfer.from, StockState::Available),
            quantity: line.in_transit(),
            occurred_at: at,
            reason: "came back from a transfer",
            corrects: None,
        })
        .collect();
    for step in &steps {
        stock::must_be_ours(tx, step.item, transfer.from)?;
    }
    prefetch(tx, &steps)?;
    let mut done = Vec::new();
    for step in steps {
        done.push((step.item, transfer.from, step.quantity, shift::shift(tx, step)?));
    }
    for line in &mut transfer.lines {
        line.returned += line.in_transit();
    }
    let came_in = transfer.lines.iter().any(|line| (line.received + line.over).is_positive());
    transfer.state = if came_in { TransferState::Transferred } else { TransferState::Cancelled };
    write(tx, id, transfer, &done)
}

/// Writes it as it is now, serves who waits for what came in, and answers.
fn write(
    tx: &mut Tx<'_>,
    id: TransferId,
    mut transfer: TransferDocument,
    done: &[Done],
) -> Result<Answer, Stop> {
    if transfer.state.is_open() {
        transfer.state = state_of(&transfer);
    }
    let answers = transfer.lines.iter().map(|line| {
        Ok(TransferLineAnswer {
            line: line.line.clone(),
            sku: tx.sku(line.item)?,
            quantity: line.wanted,
            dispatched: line.dispatched,
            in_transit: line.in_transit(),
            received: line.received,
            lost: line.lost,
            returned: line.returned,
            over: line.over,
        })
    });
    let lines = answers.collect::<Result<_, Stop>>()?;
    // One that is made now is not known yet.
    let key = Key::Transfer(id);
    let before = if tx.is_known(&key) { tx.value(&key)? } else { None };
    let transfer = Value::Transfer(Box::new(transfer));
    if before != Some(&transfer) {
        let Value::Transfer(transfer) = transfer else { unreachable!("it was made above") };
        tx.emit(Entry::Transfer(id, transfer))?;
    }
    order::settle(tx)?;
    let moved = lines::moved_answers(tx, done)?;
    Ok(Answer::Transfer { id, lines, moved, discrepancies: tx.discrepancies.clone() })
}

fn state_of(transfer: &TransferDocument) -> TransferState {
    let lines = &transfer.lines;
    if lines.iter().all(|line| line.dispatched.is_zero()) {
        TransferState::Draft
    } else if lines.iter().all(|line| line.in_transit().is_zero() && line.to_dispatch().is_zero()) {
        TransferState::Transferred
    } else {
        TransferState::InProgress
    }
}
