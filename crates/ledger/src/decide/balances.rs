//! What balances goods that left and were not there, by the books.
//!
//! It is dated when we heard that they left, and no count of an earlier time has seen it. A count that comes later and says how much there was
//! before they left makes good for them: what balanced them goes with it, as far as it is there.

use std::collections::BTreeMap;

use crate::key::{CellKey, StockState};
use crate::{Instant, Quantity};

use super::stock::{self, Change};
use super::tx::{Stop, Tx};

/// Goods that left were not there.
pub(super) const BALANCED: &str = "more left than there was";
/// They did not leave, by a later word of who said so.
pub(super) const NOT_LEFT: &str = "did not leave after all";
/// They were there, by a count.
const WAS_THERE: &str = "was there after all";

/// Fetches together what [`give_back`] will read: available cells, and after when.
pub(super) fn want(tx: &Tx<'_>, cells: impl Iterator<Item = (CellKey, Instant)>) -> Result<(), Stop> {
    let mut needs = Vec::new();
    for (cell, after) in cells {
        match tx.moved_after(cell, after) {
            Ok(_) => {}
            Err(Stop::Needs(missing)) => needs.extend(missing),
            Err(stop) => return Err(stop),
        }
    }
    if needs.is_empty() { Ok(()) } else { Err(Stop::Needs(needs)) }
}

/// What was balanced in an available cell after an instant, by when, as far as it stands.
pub(super) fn standing(
    tx: &Tx<'_>,
    cell: CellKey,
    after: Instant,
) -> Result<BTreeMap<Instant, Quantity>, Stop> {
    let mut all = BTreeMap::<Instant, Quantity>::new();
    for movement in tx.moved_after(cell, after)?.iter().chain(tx.moved_now(cell, after)) {
        let change = match movement.reason.as_str() {
            BALANCED if movement.to_cell() == cell => movement.quantity,
            NOT_LEFT | WAS_THERE if movement.from_cell() == cell => -movement.quantity,
            _ => continue,
        };
        *all.entry(movement.occurred_at).or_default() += change;
    }
    all.retain(|_, quantity| quantity.is_positive());
    Ok(all)
}

/// A count of this place was booked: what was balanced there after it goes, unless a later count has seen it.
pub(super) fn give_back(tx: &mut Tx<'_>, count: &Change<'_>) -> Result<(), Stop> {
    let Change { item, location, lot, occurred_at, .. } = *count;
    if occurred_at >= tx.now {
        return Ok(());
    }
    let cell = |state| CellKey::of(item, location, lot, state);
    let standing = standing(tx, cell(StockState::Available), occurred_at)?;
    if standing.is_empty() || !stock::anchors(tx, count)?.is_empty() {
        return Ok(());
    }
    tx.want_cells(StockState::PHYSICAL.map(cell))?;
    let there = StockState::PHYSICAL.map(|state| tx.held(cell(state)));
    let mut there: Quantity = there.into_iter().sum::<Result<_, _>>()?;
    for (at, quantity) in standing {
        let quantity = quantity.min(there);
        if quantity.is_positive() {
            there -= quantity;
            let change = Change { quantity, occurred_at: at, seen_from: at, reason: WAS_THERE, ..*count };
            stock::take_out(tx, change, None)?;
        }
    }
    Ok(())
}
