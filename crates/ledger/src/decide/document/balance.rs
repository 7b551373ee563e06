//! What balances the words of a document that are corrected.
//!
//! Goods that left and were not there, by our books, were balanced by an adjustment: it goes with the word that they left.
//! Goods that had come by the word of a document, and were gone when it took that back, were balanced too: that goes as far
//! as the document brings goods there after all, by a word it takes back or a new one.

use crate::entry::NOT_LEFT;
use crate::key::{CellKey, StockState};
use crate::model::Balanced;
use crate::{Instant, ItemId, LocationId, LotId, Quantity};

use super::super::stock::{self, Change};
use super::super::tx::{Stop, Tx};
use super::super::{balances, merge};
use super::by;

/// What balanced goods that left and were not there goes with the word that they left: at the time it was balanced.
pub(super) fn unbalance(
    tx: &mut Tx<'_>,
    (item, location, lot): (ItemId, LocationId, LotId),
    balanced: Quantity,
    told_at: Instant,
) -> Result<Quantity, Stop> {
    if !balanced.is_positive() {
        return Ok(Quantity::ZERO);
    }
    // It was balanced when it was told, of what the item was then.
    let item = merge::at(tx, item, told_at)?;
    // A count may have said since that they were there.
    let cell = CellKey::of(item, location, lot, StockState::Available);
    let standing = balances::standing(tx, cell)?;
    let balanced = balanced.min(standing.get(&told_at).copied().unwrap_or_default());
    if !balanced.is_positive() {
        return Ok(Quantity::ZERO);
    }
    let change = by(item, location, balanced, StockState::Adjustment, told_at, NOT_LEFT);
    Ok(stock::take_out(tx, Change { lot, inside: false, ..change }, None)?.balanced)
}

/// Goods that a document had brought leave again: it takes its word back.
pub(super) fn take_back(tx: &mut Tx<'_>, owed: &mut Vec<Balanced>, change: Change<'_>) -> Result<(), Stop> {
    let quantity = stock::take_out(tx, change, None)?.balanced;
    if quantity.is_positive() {
        let Change { item, location, lot, .. } = change;
        owed.push(Balanced { item, location, lot, quantity, told_at: tx.now });
    }
    Ok(())
}

/// A document brought so much: as much of what it took back before was there all along.
pub(super) fn brought(
    tx: &mut Tx<'_>,
    owed: &mut Vec<Balanced>,
    (item, location, lot): (ItemId, LocationId, LotId),
    quantity: Quantity,
) -> Result<(), Stop> {
    let (mut left, item) = (quantity, merge::live(tx, item)?);
    for known in owed.iter_mut() {
        let part = known.quantity.min(left);
        let is_it = (known.location, known.lot) == (location, lot) && merge::live(tx, known.item)? == item;
        if is_it && part.is_positive() {
            left -= part;
            let missing = unbalance(tx, (known.item, location, lot), part, known.told_at)?;
            known.quantity -= part - missing;
        }
    }
    owed.retain(|known| known.quantity.is_positive());
    Ok(())
}
