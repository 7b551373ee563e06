//! Backorders and preorders: how far a request may go beyond what is available.
//!
//! An item's limit is of all that is short of it, whoever wants it: the same stock will serve them all, the oldest
//! order first.

use crate::answer::{Missing, Refusal};
use crate::key::Key;
use crate::{Instant, ItemId, LocationId, Quantity};

use super::order;
use super::policy::Route;
use super::tx::{Stop, Tx};

/// How much more of an item may be short, and until when that is a preorder. None where it takes neither.
fn left(tx: &Tx<'_>, item: ItemId) -> Result<Option<(Quantity, Option<Instant>)>, Stop> {
    let beyond = tx.item(item)?.beyond;
    let from = beyond.available_from.filter(|from| *from > tx.now);
    let limit = if from.is_some() { beyond.preorder_limit } else { beyond.backorder_limit };
    if limit.is_zero() {
        return Ok(None);
    }
    Ok(Some(((limit - tx.demand(item)?).max(Quantity::ZERO), from)))
}

/// Is what an order waits for of this item a preorder now?
pub(super) fn is_preorder(tx: &Tx<'_>, item: ItemId) -> Result<bool, Stop> {
    Ok(tx.item(item)?.beyond.available_from.is_some_and(|from| from > tx.now))
}

/// What lacks at these places beyond what may wait, each with how much more may.
fn refused(
    tx: &Tx<'_>,
    lines: &[(ItemId, Quantity)],
    places: &[LocationId],
    named: Option<LocationId>,
    may_wait: bool,
) -> Result<Vec<Missing>, Stop> {
    let lacking = order::lacking(tx, lines, places, named)?;
    tx.want(lacking.iter().map(|(item, _)| Key::Demand(*item)))?;
    let mut refused = Vec::new();
    for (item, mut missing) in lacking {
        missing.beyond = if may_wait { left(tx, item)? } else { None };
        let waits = missing.beyond.map_or(Quantity::ZERO, |(left, _)| left);
        if missing.wanted - missing.available > waits {
            refused.push(missing);
        }
    }
    Ok(refused)
}

/// Refuses a request unless all of it is available on its way, or may wait. A request that may not be divided is sent
/// to the one place that has all of it, or else to the first where the rest may wait.
pub(super) fn must_be_had(
    tx: &Tx<'_>,
    lines: &[(ItemId, Quantity)],
    route: &mut Route,
    named: Option<LocationId>,
    may_wait: bool,
) -> Result<(), Stop> {
    let missing = refused(tx, lines, &route.places, named, may_wait)?;
    if !missing.is_empty() {
        return Err(Refusal::Insufficient(missing).into());
    }
    if !route.whole {
        return Ok(());
    }
    for may_wait in [false, may_wait] {
        for place in &route.places {
            if refused(tx, lines, &[*place], Some(*place), may_wait)?.is_empty() {
                route.places = vec![*place];
                return Ok(());
            }
        }
    }
    Err(Refusal::NotInOnePlace.into())
}
