//! Goods that change their place or state inside our own books: both ends may have been counted since (law 11).
//!
//! A movement inside the scope of one count changes nothing that it saw. One that only leaves its scope is given
//! back by it first, one that only enters it afterwards, so that no cell is negative at any `seq`.

use crate::key::StockState;
use crate::{CountId, Instant, ItemId, LocationId, LotId, Quantity, Seq};

use super::stock::{self, Change};
use super::tx::{Move, Stop, Tx};

/// A movement between two cells of ours, none of them promised.
#[derive(Clone, Copy, Debug)]
pub(super) struct Shift<'a> {
    pub item: ItemId,
    /// Of which lot or serial; 0 where the item is not tracked.
    pub lot: LotId,
    pub from: (LocationId, StockState),
    pub to: (LocationId, StockState),
    /// More than nothing.
    pub quantity: Quantity,
    pub occurred_at: Instant,
    pub reason: &'a str,
    pub corrects: Option<Seq>,
}

/// The first count that has seen one end of it since it happened.
fn seen(
    tx: &Tx<'_>,
    step: &Shift<'_>,
    (location, state): (LocationId, StockState),
) -> Result<Option<(CountId, Instant)>, Stop> {
    if state.is_physical() { stock::anchor(tx, &end(step, location)) } else { Ok(None) }
}

const fn end<'a>(step: &Shift<'a>, location: LocationId) -> Change<'a> {
    Change {
        item: step.item,
        location,
        lot: step.lot,
        quantity: step.quantity,
        party: StockState::Adjustment,
        occurred_at: step.occurred_at,
        reason: step.reason,
        corrects: step.corrects,
        seen_from: step.occurred_at,
    }
}

/// The counts that one end has been seen by and the other has not: of the end it leaves, of the end it enters.
fn anchors(tx: &Tx<'_>, step: &Shift<'_>) -> Result<[Option<(CountId, Instant)>; 2], Stop> {
    let [leaves, enters] = [seen(tx, step, step.from)?, seen(tx, step, step.to)?];
    Ok(if leaves == enters { [None, None] } else { [leaves, enters] })
}

/// Has a count seen since that these goods had left already? It gives them back, so that they need not be there.
pub(super) fn is_given_back(tx: &Tx<'_>, step: &Shift<'_>) -> Result<bool, Stop> {
    Ok(step.from.1 == StockState::Available && anchors(tx, step)?[0].is_some())
}

/// Moves it. The caller has made sure that the cell it leaves holds enough, or will be given it back.
pub(super) fn shift(tx: &mut Tx<'_>, step: Shift<'_>) -> Result<Seq, Stop> {
    let [leaves, enters] = anchors(tx, &step)?;
    let Shift { item, lot, quantity, .. } = step;
    let outside = (LocationId(0), StockState::Adjustment);
    let explained = |from, to, (count, as_of): (CountId, Instant)| Move {
        item,
        lot,
        from,
        to,
        quantity,
        occurred_at: as_of,
        reason: "explained by a late movement",
        promise: None,
        corrects: Some(count.0),
    };
    if let Some(count) = leaves {
        tx.make(explained(outside, (step.from.0, StockState::Available), count))?;
    }
    let seq = tx.make(Move {
        item,
        lot,
        from: step.from,
        to: step.to,
        quantity,
        occurred_at: step.occurred_at,
        reason: step.reason,
        promise: None,
        corrects: step.corrects,
    })?;
    if let Some(count) = enters {
        tx.make(explained(step.to, outside, count))?;
    }
    Ok(seq)
}
