//! Reversals: a movement that was wrong is taken back by another that names it, dated as what it corrects, so that a
//! count in between absorbs it. Only movements that were entered by themselves: what an order, hold, count, transfer
//! or outside document moved is corrected where it came from.

use crate::answer::{Answer, Invalid, Moved, Refusal};
use crate::command::Reverse;
use crate::entry::{Entry, Movement, Record};
use crate::key::{CellKey, Key, StockState};
use crate::model::{Purchase, Reversals};
use crate::state::Value;
use crate::{LocationId, PurchaseId, Quantity, Seq};

use super::lines;
use super::order;
use super::shift;
use super::stock::{self, Change, Resolved};
use super::supply;
use super::tx::{Move, Stop, Tx};

pub(super) fn reverse(tx: &mut Tx<'_>, reverse: &Reverse) -> Result<Answer, Stop> {
    stock::check_reason(&reverse.reason)?;
    let seq = reverse.seq;
    let (movement, owner) = find(tx, seq)?;
    tx.want([Key::Item(movement.item), Key::Reversed(seq)])?;
    let before = reversed(tx, seq)?;
    let left = movement.quantity - before.quantity;
    let quantity = reverse.quantity.unwrap_or(left);
    if reverse.quantity.is_some() {
        lines::check_quantity(tx, movement.item, quantity, false)?;
    }
    if quantity > left || left.is_zero() {
        let (moved, wanted) = (movement.quantity, reverse.quantity.unwrap_or(movement.quantity));
        return Err(Refusal::ReversedAlready { seq, moved, left, wanted }.into());
    }
    for end in [movement.from, movement.to].into_iter().filter(|end| !end.state.is_party()) {
        stock::must_be_ours(tx, movement.item, end.location)?;
    }
    let done = take_back(tx, seq, &movement, quantity, &reverse.reason)?;
    let mut by = before.by;
    by.push(done);
    tx.emit(Entry::Reversed(seq, Reversals { quantity: before.quantity + quantity, by }))?;
    if let Some((id, purchase)) = owner {
        supply::give_back(tx, id, purchase, seq, quantity)?;
    }
    order::settle(tx)?;
    let mut moved = Vec::new();
    for (end, sign) in [(movement.from, quantity), (movement.to, -quantity)] {
        if end.state.is_party() {
            continue;
        }
        let inside = !movement.from.state.is_party() && movement.from.location == movement.to.location;
        let difference = if inside { Quantity::ZERO } else { sign };
        moved.push((movement.item, end.location, difference, done));
        if inside {
            break;
        }
    }
    Ok(Answer::Moved(lines::moved_answers(tx, &moved)?, tx.discrepancies.clone()))
}

fn reversed(tx: &Tx<'_>, seq: Seq) -> Result<Reversals, Stop> {
    Ok(match tx.value(&Key::Reversed(seq))? {
        Some(Value::Reversals(reversals)) => reversals.clone(),
        _ => Reversals::default(),
    })
}

/// The movement, if it is one that is reversed; with the purchase order that it came by, if it came by one.
fn find(tx: &Tx<'_>, seq: Seq) -> Result<(Movement, Option<(PurchaseId, Purchase)>), Stop> {
    let unknown = || Invalid::Unknown { kind: "movement", id: seq.to_string() };
    let (first, record) = tx.record(seq)?.ok_or_else(unknown)?;
    let entry = usize::try_from(seq - first).ok().and_then(|index| record.entries.get(index));
    let Some(Entry::Movement(movement)) = entry else { return Err(unknown().into()) };
    if let Some((belongs, instead)) = against(&record, seq, movement) {
        return Err(Refusal::NotReversible { seq, belongs, instead: instead.to_owned() }.into());
    }
    let purchase = match own(&record.answer, seq) {
        Answer::Purchase { id, .. } => Some((*id, supply::load(tx, *id)?)),
        _ => None,
    };
    Ok((movement.clone(), purchase))
}

/// Is a movement of a record one that is reversed, as long as it was not? What else speaks against it is said when it is tried.
pub fn may_be_reversed(record: &Record, seq: Seq, movement: &Movement) -> bool {
    against(record, seq, movement).is_none()
}

/// What a movement belongs to that is not reversed, and what is done instead.
fn against(record: &Record, seq: Seq, movement: &Movement) -> Option<(String, &'static str)> {
    if let Some(corrected) = movement.corrects {
        return Some((
            format!("corrects or explains entry {corrected} itself"),
            "book what happened anew, with its own `occurred_at`",
        ));
    }
    if let Some((_, document)) = &record.document {
        return Some((
            format!("is told by the document `{document}`"),
            "send a newer version of it, or book the difference by an adjustment",
        ));
    }
    if movement.promise.is_some() || movement.from.state == StockState::Customer {
        return Some(("is of an order or a hold".to_owned(), "cancel, return or release what it is of"));
    }
    let told = |moved: &[Moved]| moved.iter().any(|moved| moved.seq == seq);
    match own(&record.answer, seq) {
        Answer::Moved(moved, _) if told(moved) && is_production(movement) => Some((
            "is a part of an assembly, or of a transfer across a count".to_owned(),
            "book the opposite with the same `occurred_at`: take it apart, build it, or send it back",
        )),
        Answer::Moved(moved, _) | Answer::Purchase { moved, .. } if told(moved) => None,
        answer => Some((of(answer, record), instead(answer))),
    }
}

/// What was answered to the very command that made a movement: a group has several.
fn own(answer: &Answer, seq: Seq) -> &Answer {
    let Answer::Group(answers) = answer else { return answer };
    let told = |answer: &&Answer| match answer {
        Answer::Moved(moved, _) | Answer::Transfer { moved, .. } | Answer::Purchase { moved, .. } => {
            moved.iter().any(|moved| moved.seq == seq)
        }
        _ => false,
    };
    answers.iter().find(told).unwrap_or(answer)
}

const fn is_production(movement: &Movement) -> bool {
    matches!(movement.from.state, StockState::Production)
        || matches!(movement.to.state, StockState::Production)
}

fn of(answer: &Answer, record: &Record) -> String {
    match answer {
        Answer::Transfer { id, .. } => format!("is of transfer {id}"),
        Answer::Order(id, _) => format!("is of order {id}"),
        Answer::Hold(id, ..) => format!("is of hold {id}"),
        Answer::Counted(..) => "is of a count".to_owned(),
        _ => format!("is a step of what {} asked for", record.actor),
    }
}

const fn instead(answer: &Answer) -> &'static str {
    match answer {
        Answer::Transfer { .. } => {
            "receive what differs, cancel the transfer, or send the goods back by another"
        }
        Answer::Order(..) => "cancel the order, or take goods back by a return",
        Answer::Hold(..) => "release the hold",
        Answer::Session(_) | Answer::Sighted(..) => "count again: the later count stands",
        Answer::Counted(..) => "count again: the later count stands",
        _ => "reverse the movement that it was made for",
    }
}

/// Moves it back, as of when it happened.
fn take_back(
    tx: &mut Tx<'_>,
    seq: Seq,
    movement: &Movement,
    quantity: Quantity,
    reason: &str,
) -> Result<Seq, Stop> {
    let (from, to, at) = (movement.from, movement.to, movement.occurred_at);
    let change = |location: LocationId, party: StockState| Change {
        item: movement.item,
        location,
        lot: from.lot,
        quantity,
        inside: false,
        unnamed: false,
        party,
        occurred_at: at,
        reason,
        corrects: Some(seq),
        seen_from: at,
    };
    let ends = [from, to].into_iter().filter(|end| !end.state.is_party());
    stock::prefetch(
        tx,
        &[StockState::Supplier, StockState::Adjustment],
        ends.map(|end| (movement.item, end.location, at)),
    )?;
    if from.state.is_party() && to.state == StockState::Available {
        let lines = [Resolved { item: movement.item, lot: Some(from.lot), quantity: -quantity }];
        stock::must_be_there(tx, &lines, to.location, at)?;
        return Ok(stock::take_out(tx, change(to.location, from.state), None)?.seq);
    }
    if to.state.is_party() {
        return stock::put_in(tx, change(from.location, to.state), from.state);
    }
    // Between two cells of ours, or out of one that nothing else is taken from.
    let step = Move {
        promise: None,
        item: movement.item,
        lot: to.lot,
        from: (to.location, to.state),
        to: (from.location, from.state),
        quantity,
        occurred_at: at,
        reason,
        corrects: Some(seq),
    };
    tx.want_cells(
        [step.from, step.to]
            .map(|(location, state)| CellKey { lot: step.lot, ..CellKey::new(step.item, location, state) }),
    )?;
    shift::must_be_free(tx, &[step])?;
    shift::shift(tx, step)
}
