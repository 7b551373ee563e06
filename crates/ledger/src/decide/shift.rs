//! Goods that change their place or state inside our own books: both ends may have been counted since (law 11).
//!
//! A movement inside the scope of one count changes nothing that it saw. One that only leaves its scope is given
//! back by it first, one that only enters it afterwards, so that no cell is negative at any `seq`.

use std::collections::BTreeMap;

use crate::answer::{Invalid, Missing, OutOf, Refusal};
use crate::key::{CellKey, StockState};
use crate::{CountId, Instant, LocationId, Quantity, Seq};

use super::order;
use super::stock::{self, Change};
use super::tx::{Move, Stop, Tx};

/// The two ends of a movement between two cells of ours, none of them promised, each as a change by itself.
const fn end<'a>(step: &Move<'a>, location: LocationId) -> Change<'a> {
    Change {
        item: step.item,
        location,
        lot: step.lot,
        quantity: step.quantity,
        inside: false,
        unnamed: false,
        party: StockState::Adjustment,
        occurred_at: step.occurred_at,
        reason: step.reason,
        corrects: step.corrects,
        seen_from: step.occurred_at,
    }
}

/// The first count that gives it back at the end it leaves, and the first that does at the end it enters: where the two
/// ends were not seen by the very same counts.
fn anchors(tx: &Tx<'_>, step: &Move<'_>) -> Result<[Option<(CountId, Instant)>; 2], Stop> {
    let seen = |(location, state): (LocationId, StockState)| {
        if state.is_physical() { stock::anchors(tx, &end(step, location)) } else { Ok(Vec::new()) }
    };
    let (leaves, enters) = (seen(step.from)?, seen(step.to)?);
    if leaves == enters {
        return Ok([None, None]);
    }
    Ok([leaves, enters].map(|counts| counts.first().map(|(as_of, id, _)| (*id, *as_of))))
}

/// Has a count seen since that these goods had left already? It gives them back, so that they need not be there.
fn is_given_back(tx: &Tx<'_>, step: &Move<'_>) -> Result<bool, Stop> {
    Ok(step.from.1 == StockState::Available && anchors(tx, step)?[0].is_some())
}

/// Moves it. The caller has made sure that the cell it leaves holds enough, or will be given it back.
pub(super) fn shift(tx: &mut Tx<'_>, step: Move<'_>) -> Result<Seq, Stop> {
    let [leaves, enters] = anchors(tx, &step)?;
    let Move { item, lot, quantity, .. } = step;
    let outside = (LocationId(0), StockState::Adjustment);
    let explained = |from, to, count| stock::explained((item, lot), from, to, quantity, count);
    if let Some(count) = leaves {
        tx.make(explained(outside, (step.from.0, StockState::Available), count))?;
    }
    let seq = tx.make(step)?;
    if let Some(count) = enters {
        tx.make(explained(step.to, outside, count))?;
    }
    Ok(seq)
}

/// Refuses to take more out of a cell, in all steps together, than it holds. What a count has seen the lack of is
/// given back by it.
pub(super) fn must_be_free(tx: &Tx<'_>, steps: &[Move<'_>]) -> Result<(), Stop> {
    let cell = |step: &Move<'_>| CellKey::of(step.item, step.from.0, step.lot, step.from.1);
    tx.want_cells(steps.iter().map(cell))?;
    let mut wanted = BTreeMap::<CellKey, Quantity>::new();
    for step in steps {
        if is_given_back(tx, step)? {
            continue;
        }
        let total = wanted.entry(cell(step)).or_default();
        *total = total.checked_add(step.quantity).ok_or(Invalid::Overflow(tx.sku(step.item)?))?;
    }
    let mut missing = Vec::new();
    for (cell, wanted) in wanted {
        let available = tx.held(cell)?;
        if available < wanted {
            missing.push(Missing {
                sku: tx.sku(cell.item)?,
                location: Some(tx.location_code(cell.location)?),
                out_of: OutOf::State(cell.state),
                beyond: None,
                wanted,
                available,
                held: match cell.state {
                    StockState::Available => order::held(tx, cell.item, &[cell.location])?,
                    _ => None,
                },
            });
        }
    }
    if missing.is_empty() { Ok(()) } else { Err(Refusal::Insufficient(missing).into()) }
}
