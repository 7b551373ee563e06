//! What was done by the last scans, as the ledger has it, and how one of them is taken back.

use onhand_engine::View;
use onhand_ledger::answer::Moved;
use onhand_ledger::command::Reverse;
use onhand_ledger::entry::{Entry, Movement, Record};
use onhand_ledger::{Answer, Body, LocationId, Quantity, Seq, StockState};
use onhand_store::StoreError;

use super::super::words;
use super::standing::Standing;
use super::{Fate, Said};
use crate::auth::Caller;

/// A scan is taken back here within so many seconds, a working day; later by whoever runs the business.
const TAKEN_BACK_WITHIN: i64 = 12 * 3_600;
const REASON: &str = "correction";

/// One of the last scans.
pub(super) struct Row {
    pub seq: Seq,
    pub quantity: String,
    pub sku: String,
    pub href: String,
    pub name: String,
    /// What happened, and what lies free there now.
    pub what: String,
    pub at: words::Time,
    pub is_undone: bool,
    pub may_be_undone: bool,
}

/// The movements that an answer tells of, each once.
pub(super) fn movements(answer: &Answer) -> Vec<Seq> {
    let mut all: Vec<Seq> = told(answer).iter().map(|moved| moved.seq).collect();
    all.dedup();
    all
}

fn told(answer: &Answer) -> &[Moved] {
    match answer {
        Answer::Moved(moved, _) | Answer::Purchase { moved, .. } | Answer::Transfer { moved, .. } => moved,
        _ => &[],
    }
}

/// The movement of an entry and the record it is in, where whoever asks made it.
fn own(view: &mut View<'_>, caller: &Caller, seq: Seq) -> Result<Option<(Movement, Record)>, StoreError> {
    Ok(match view.entry(seq)? {
        Some((Entry::Movement(movement), record, ..)) if record.actor == caller.name => {
            Some((movement, record))
        }
        _ => None,
    })
}

/// The last scans, the newest first.
pub(super) fn rows(
    view: &mut View<'_>,
    caller: &Caller,
    standing: &Standing,
) -> Result<Vec<Row>, StoreError> {
    let mut rows = Vec::new();
    for seq in standing.seqs() {
        if let Some((movement, record)) = own(view, caller, seq)? {
            rows.extend(row(view, seq, &movement, &record)?);
        }
    }
    Ok(rows)
}

fn row(
    view: &mut View<'_>,
    seq: Seq,
    movement: &Movement,
    record: &Record,
) -> Result<Option<Row>, StoreError> {
    let Some(item) = view.item(movement.item)? else { return Ok(None) };
    let is_undone = !view.reversals(seq)?.quantity.is_zero();
    let others = movements(&record.answer).len().saturating_sub(1);
    let others =
        if others == 0 { String::new() } else { format!(", and {}", words::many(others, "other line")) };
    Ok(Some(Row {
        seq,
        quantity: words::number(movement.quantity),
        href: format!("/items/{}", words::part(&item.sku)),
        sku: item.sku,
        name: item.name,
        what: went(view, movement)? + &others,
        at: words::Time::of(record.recorded_at, view.now),
        is_undone,
        may_be_undone: !is_undone && !matches!(record.answer, Answer::Transfer { .. }),
    }))
}

/// Where it went, in words.
fn went(view: &mut View<'_>, movement: &Movement) -> Result<String, StoreError> {
    let mut code = |location: LocationId| {
        let known = view.location(location)?;
        Ok::<_, StoreError>(known.map_or_else(|| location.to_string(), |location| location.code))
    };
    let to = code(movement.to.location)?;
    let way = match (movement.from.state, movement.to.state) {
        (from, _) if from.is_party() => format!("received at {to}"),
        (StockState::InTransit, _) => format!("came in at {to}"),
        (_, StockState::InTransit) => format!("left {} for {to}", code(movement.from.location)?),
        _ => format!("from {} to {to}", code(movement.from.location)?),
    };
    Ok(match movement.to.state {
        StockState::Damaged | StockState::QualityControl => {
            format!("{way}, {}", words::plain(movement.to.state.name()))
        }
        _ => way,
    })
}

/// What was done, in words.
pub(super) fn said(view: &mut View<'_>, caller: &Caller, answer: &Answer) -> Result<Said, StoreError> {
    let Some(seq) = movements(answer).first().copied() else {
        return Ok(Said::new(Fate::Known, "Done."));
    };
    let Some((movement, record)) = own(view, caller, seq)? else {
        return Ok(Said::new(Fate::Known, "Done."));
    };
    let Some(row) = row(view, seq, &movement, &record)? else { return Ok(Said::new(Fate::Known, "Done.")) };
    let there = told(answer).iter().rfind(|moved| moved.seq == seq && moved.difference > Quantity::ZERO);
    let free = there.map_or_else(String::new, |moved| {
        format!("; {} free at {} now", words::number(moved.available), moved.location)
    });
    Ok(Said::new(Fate::Known, format!("{} × {} {}{free}.", row.quantity, row.sku, row.what)))
}

/// The command that takes a scan back: by movements that name those they correct. Why not, where it is another's or too old.
pub(super) fn taken_back(
    view: &mut View<'_>,
    caller: &Caller,
    seq: &str,
) -> Result<Result<Body, String>, StoreError> {
    let found = seq.parse().ok().map(|seq| own(view, caller, seq)).transpose()?.flatten();
    let Some((_, record)) = found else {
        return Ok(Err("That is none of your scans; nothing was taken back.".to_owned()));
    };
    if record.recorded_at.plus_seconds(TAKEN_BACK_WITHIN) < view.now {
        let why =
            "That was scanned more than 12 hours ago; nothing was taken back. Ask whoever runs the business.";
        return Ok(Err(why.to_owned()));
    }
    let reverse = |seq| Body::Reverse(Reverse { seq, quantity: None, reason: REASON.to_owned() });
    let mut all: Vec<Body> = movements(&record.answer).into_iter().rev().map(reverse).collect();
    Ok(match all.len() {
        0 => Err("That moved nothing; nothing was taken back.".to_owned()),
        1 => Ok(all.swap_remove(0)),
        _ => Ok(Body::Group(all)),
    })
}
