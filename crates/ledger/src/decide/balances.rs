//! What balances goods that left and were not there, by the books.
//!
//! It is dated when we heard that they left, and no count of an earlier time has seen it. A count that comes later and says how much there was
//! before they left makes good for them: what balanced them goes with it, as far as it is there.

use std::collections::BTreeMap;

use crate::entry::WAS_THERE;
use crate::key::{CellKey, Key, StockState};
use crate::state::Value;
use crate::{Instant, Quantity, Seq};

use super::stock::{self, Change};
use super::tx::{Stop, Tx};

fn of(cell: CellKey) -> (Key, Key) {
    (Key::Balanced(cell, 0), Key::Balanced(cell, Seq::MAX))
}

/// Fetches together what [`give_back`] will read of these available cells.
pub(super) fn want(tx: &Tx<'_>, cells: impl Iterator<Item = CellKey>) -> Result<(), Stop> {
    tx.want_ranges(cells.map(of))
}

/// What was balanced in an available cell, by when, as far as it stands.
pub(super) fn standing(tx: &Tx<'_>, cell: CellKey) -> Result<BTreeMap<Instant, Quantity>, Stop> {
    let (first, last) = of(cell);
    let mut all = BTreeMap::<Instant, Quantity>::new();
    for (_, value) in tx.range(first, last)? {
        if let Value::Balanced(at, quantity) = value {
            *all.entry(at).or_default() += quantity;
        }
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
    let mut standing = standing(tx, cell(StockState::Available))?;
    standing.retain(|at, _| *at > occurred_at);
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
