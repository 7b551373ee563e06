//! Transfers as documents: planned, made ready to ship, dispatched into transit, received (in parts, with loss, or more
//! than was sent), cancelled. A draft keeps nothing; of one that is ready what has not left is `reserved` where it leaves
//! from, so that nobody else is sold it; what has left is `in_transit` at its destination, outside of on hand.

use crate::answer::{Answer, Invalid, Missing, OutOf, Refusal, TransferLineAnswer};
use crate::availability;
use crate::command::{
    AmendTransfer, CancelTransfer, DispatchTransfer, PlanTransfer, ReadyTransfer, ReceiveTransfer,
};
use crate::entry::Entry;
use crate::key::{CellKey, Key, StockState};
use crate::model::{Cause, GetsOrders, Holder, TransferDocument, TransferLine, TransferState};
use crate::state::Value;
use crate::{Instant, ItemId, LocationId, Quantity, Seq, SystemId, TransferId};

use super::lines::{self, Done};
use super::masters;
use super::merge;
use super::order;
use super::shift;
use super::stock::{self, Change};
use super::tx::{Found, Move, Stop, Tx};

/// A transfer goes between locations of ours and of masters that are sent what they shall ship and expect: these tell of it themselves.
fn may_be_sent(tx: &Tx<'_>, item: ItemId, location: LocationId) -> Result<(), Stop> {
    let master = masters::master(tx, item, location)?;
    if master != SystemId::ONHAND && tx.system(master)?.gets_orders == GetsOrders::FromOnhand {
        return Ok(());
    }
    stock::must_be_ours(tx, item, location)
}

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

/// The transfer, with what its lines name fetched together. Nothing is merged while it is expected: a line whose item was
/// merged is the other's from now on.
pub(super) fn load(tx: &Tx<'_>, id: TransferId) -> Result<TransferDocument, Stop> {
    let mut transfer = tx.transfer(id)?.clone();
    let places = [transfer.from, transfer.to].map(Key::Location);
    tx.want(transfer.lines.iter().map(|line| Key::Item(line.item)).chain(places))?;
    for line in &mut transfer.lines {
        line.item = merge::live(tx, line.item)?;
    }
    Ok(transfer)
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
        may_be_sent(tx, line.item, from)?;
        may_be_sent(tx, line.item, to)?;
    }
    let lines = (1..).zip(wanted).map(|(number, line): (u32, _)| TransferLine {
        line: number.to_string(),
        item: line.item,
        lot: line.lot.unwrap_or_default(),
        wanted: line.quantity,
        reserved: Quantity::ZERO,
        dispatched: Quantity::ZERO,
        received: Quantity::ZERO,
        lost: Quantity::ZERO,
        returned: Quantity::ZERO,
        over: Quantity::ZERO,
        told: Vec::new(),
    });
    let transfer = TransferDocument {
        reference: plan.reference.clone(),
        from,
        to,
        state: TransferState::Draft,
        ready: false,
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
    let (mut more, mut excess) = (Vec::new(), Vec::new());
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
            let kept_beyond = known.reserved - known.to_dispatch();
            if kept_beyond.is_positive() {
                excess.push((position, kept_beyond));
            } else if transfer.ready && less.is_negative() {
                more.push((position, -less));
            }
        }
    }
    let_go(tx, id, &mut transfer, &excess)?;
    keep(tx, id, &mut transfer, &more)?;
    transfer.expected_on = amend.expected_on.or(transfer.expected_on);
    write(tx, id, transfer, &[])
}

pub(super) fn ready(tx: &mut Tx<'_>, ready: &ReadyTransfer) -> Result<Answer, Stop> {
    let id = ready.transfer;
    let mut transfer = open(tx, id, "made ready")?;
    if transfer.lines.iter().all(|line| line.to_dispatch().is_zero()) {
        return Err(ended(id, "dispatched in full", "made ready"));
    }
    let lacking =
        (0..).zip(&transfer.lines).map(|(position, line)| (position, line.to_dispatch() - line.reserved));
    let lacking: Vec<Part> = lacking.filter(|(_, quantity)| quantity.is_positive()).collect();
    keep(tx, id, &mut transfer, &lacking)?;
    transfer.ready = true;
    write(tx, id, transfer, &[])
}

/// A line, by its position, and how much of it.
type Part = (usize, Quantity);

/// Keeps so much more of these lines where they leave from; refused where it is not available.
fn keep(
    tx: &mut Tx<'_>,
    id: TransferId,
    transfer: &mut TransferDocument,
    parts: &[Part],
) -> Result<(), Stop> {
    for (position, _) in parts {
        may_be_sent(tx, transfer.lines[*position].item, transfer.from)?;
        may_be_sent(tx, transfer.lines[*position].item, transfer.to)?;
    }
    let states = [StockState::Available, StockState::Reserved];
    let steps = kept_steps(tx, id, transfer, parts, states, "kept for a transfer")?;
    shift::must_be_free(tx, &steps)?;
    must_be_sellable(tx, &steps)?;
    for ((position, quantity), step) in parts.iter().zip(steps) {
        tx.make(step)?;
        transfer.lines[*position].reserved += *quantity;
    }
    Ok(())
}

/// Nothing is promised of a lot that ended or was called back. It may be sent all the same, without being kept before.
fn must_be_sellable(tx: &Tx<'_>, steps: &[Move<'_>]) -> Result<(), Stop> {
    let of_lots = || steps.iter().filter(|step| step.lot.0 != 0);
    tx.want_lots(of_lots().map(|step| (step.lot, step.from.0)))?;
    for step in of_lots() {
        let lot = tx.lot_in_effect(step.lot)?;
        if !availability::is_sellable(&lot, tx.expires(step.lot, step.from.0)?, tx.now) {
            return Err(Refusal::Insufficient(vec![Missing {
                sku: tx.sku(step.item)?,
                location: Some(tx.location_code(step.from.0)?),
                out_of: OutOf::AVAILABLE,
                beyond: None,
                wanted: step.quantity,
                available: Quantity::ZERO,
                held: None,
            }])
            .into());
        }
    }
    Ok(())
}

/// Keeps so much of these lines no longer.
fn let_go(
    tx: &mut Tx<'_>,
    id: TransferId,
    transfer: &mut TransferDocument,
    parts: &[Part],
) -> Result<(), Stop> {
    let states = [StockState::Reserved, StockState::Available];
    let steps = kept_steps(tx, id, transfer, parts, states, "no longer kept for a transfer")?;
    for ((position, quantity), step) in parts.iter().zip(steps) {
        tx.make(step)?;
        transfer.lines[*position].reserved -= *quantity;
    }
    Ok(())
}

/// Steps between two states where a transfer leaves from, with what they will read fetched together.
fn kept_steps<'s>(
    tx: &Tx<'_>,
    id: TransferId,
    transfer: &TransferDocument,
    parts: &[Part],
    [from, to]: [StockState; 2],
    reason: &'s str,
) -> Result<Vec<Move<'s>>, Stop> {
    let steps = parts.iter().map(|(position, quantity)| Move {
        promise: Some((Holder::Transfer(id), promised_line(*position))),
        item: transfer.lines[*position].item,
        lot: transfer.lines[*position].lot,
        from: (transfer.from, from),
        to: (transfer.from, to),
        quantity: *quantity,
        occurred_at: tx.now,
        reason,
        corrects: None,
    });
    let steps: Vec<Move<'s>> = steps.collect();
    prefetch(tx, &steps)?;
    Ok(steps)
}

pub(super) fn promised_line(position: usize) -> u32 {
    u32::try_from(position).expect("transfers have at most 1,000 lines")
}

pub(super) fn dispatch(tx: &mut Tx<'_>, dispatch: &DispatchTransfer) -> Result<Answer, Stop> {
    let id = dispatch.transfer;
    let mut transfer = open(tx, id, "dispatched")?;
    let at = tx.past("occurred_at", dispatch.occurred_at)?;
    let mut parts: Vec<Part> = Vec::new();
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
        may_be_sent(tx, item, to)?;
    }
    // What is kept for it leaves first.
    let mut positions = Vec::new();
    let mut steps: Vec<Move<'_>> = Vec::new();
    for (position, quantity) in &parts {
        let line = &transfer.lines[*position];
        let kept = line.reserved.min(*quantity);
        for (state, part) in [(StockState::Reserved, kept), (StockState::Available, *quantity - kept)] {
            if part.is_positive() {
                let promise = (Holder::Transfer(id), promised_line(*position));
                positions.push(*position);
                steps.push(Move {
                    promise: (state == StockState::Reserved).then_some(promise),
                    item: line.item,
                    lot: line.lot,
                    from: (from, state),
                    to: (to, StockState::InTransit),
                    quantity: part,
                    occurred_at: at,
                    reason: "dispatched",
                    corrects: None,
                });
            }
        }
    }
    prefetch(tx, &steps)?;
    shift::must_be_free(tx, &steps)?;
    let mut done = Vec::new();
    for (position, step) in positions.into_iter().zip(steps) {
        let seq = shift::shift(tx, step)?;
        let line = &mut transfer.lines[position];
        line.dispatched += step.quantity;
        if step.promise.is_some() {
            line.reserved -= step.quantity;
        }
        done.push((step.item, from, -step.quantity, seq));
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
    tx.want(steps.iter().filter_map(|step| {
        let (holder, line) = step.promise?;
        Some(Key::Promise(step.item, step.from.0, holder.seq(), line, step.lot))
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
    match transfer.state {
        TransferState::Draft => return Err(ended(id, "a draft (dispatch it first)", "received")),
        TransferState::ReadyToShip => {
            return Err(ended(id, "ready to ship (dispatch it first)", "received"));
        }
        TransferState::InProgress | TransferState::Transferred | TransferState::Cancelled => {}
    }
    let at = after_dispatch(tx, &transfer, receive.occurred_at)?;
    let arrivals = arrivals(tx, id, &transfer, receive)?;
    if arrivals.is_empty() {
        return Err(ended(id, "received as far as it was dispatched", "received"));
    }
    let to = transfer.to;
    // What was lost on the way never came to whoever is master there.
    for arrival in arrivals.iter().filter(|arrival| (arrival.received + arrival.over).is_positive()) {
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
            let change = Change {
                item: step.item,
                location: to,
                lot: step.lot,
                quantity: arrival.over,
                inside: false,
                unnamed: false,
                party: StockState::Adjustment,
                occurred_at: at,
                reason: "received beyond what was sent",
                corrects: None,
                seen_from: at,
            };
            let seq = exceed(tx, id, transfer.from, change, receive.into)?;
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
        line.tell(SystemId::ONHAND, arrival.received + arrival.over);
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
pub(super) fn exceed(
    tx: &mut Tx<'_>,
    id: TransferId,
    from: LocationId,
    found: Change<'_>,
    into: StockState,
) -> Result<Seq, Stop> {
    let Change { item, location, quantity: over, .. } = found;
    let (sku, origin) = (tx.sku(item)?, tx.location_code(from)?);
    let code = tx.location_code(location)?;
    let sentence = format!(
        "{over} more of {sku} came in at {code} by {} than was on its way. It is booked there as found; \
         count {sku} at {origin}.",
        name(id)
    );
    tx.discrepancy(Found::new(Cause::MoreThanOrdered, sentence).stock(item, Some(location), over))?;
    stock::put_in(tx, found, into)
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
    let kept = (0..).zip(&transfer.lines).map(|(position, line)| (position, line.reserved));
    let kept: Vec<Part> = kept.filter(|(_, reserved)| reserved.is_positive()).collect();
    let_go(tx, id, &mut transfer, &kept)?;
    let mut done = Vec::new();
    for step in steps {
        done.push((step.item, transfer.from, step.quantity, shift::shift(tx, step)?));
    }
    for line in &mut transfer.lines {
        line.returned += line.in_transit();
    }
    transfer.state = ended_state(&transfer);
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
            reserved: line.reserved,
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

/// How one stands that was ended.
fn ended_state(transfer: &TransferDocument) -> TransferState {
    let came_in = transfer.lines.iter().any(|line| line.came().is_positive());
    if came_in { TransferState::Transferred } else { TransferState::Cancelled }
}

/// How one stands after a document told of what came in: one that had ended goes on if something is on its way again.
pub(super) fn state_after_arrival(transfer: &TransferDocument) -> TransferState {
    let is_on_its_way = transfer.lines.iter().any(|line| line.in_transit().is_positive());
    if transfer.state.is_open() || is_on_its_way { state_of(transfer) } else { ended_state(transfer) }
}

fn state_of(transfer: &TransferDocument) -> TransferState {
    let lines = &transfer.lines;
    if lines.iter().all(|line| line.dispatched.is_zero()) {
        if transfer.ready { TransferState::ReadyToShip } else { TransferState::Draft }
    } else if lines.iter().all(|line| line.in_transit().is_zero() && line.to_dispatch().is_zero()) {
        TransferState::Transferred
    } else {
        TransferState::InProgress
    }
}
