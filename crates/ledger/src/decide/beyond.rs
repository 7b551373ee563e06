//! Backorders and preorders: how far a request may go beyond what is available.
//!
//! An item's limit is of all that is short of it, whoever wants it: the same stock will serve them all, the oldest
//! order first.

use crate::answer::{Missing, Refusal};
use crate::key::Key;
use crate::{Instant, ItemId, LocationId, OrderId, Quantity};

use super::order;
use super::policy::Route;
use super::stock::Resolved;
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

/// May a line of an order that is being placed wait for so much more of an item?
pub(super) fn may_wait(tx: &Tx<'_>, order: OrderId, item: ItemId, more: Quantity) -> Result<bool, Stop> {
    tx.want([Key::Demand(item)])?;
    // What its other lines wait for is not written yet.
    let others = tx.order(order)?.lines.iter().filter(|line| line.item == item).map(|line| line.short);
    let waits = others.sum::<Quantity>() + more;
    Ok(left(tx, item)?.is_some_and(|(left, _)| waits <= left))
}

/// What lacks at these places beyond what may wait, each with how much more may.
fn refused(
    tx: &Tx<'_>,
    lines: &[Resolved],
    places: &[LocationId],
    named: Option<LocationId>,
    may_wait: bool,
) -> Result<Vec<Missing>, Stop> {
    let lacking = order::lacking(tx, lines, places, named)?;
    if lacking.is_empty() || !may_wait {
        return Ok(lacking.into_iter().map(|(_, missing)| missing).collect());
    }
    tx.want(
        lacking.iter().map(|(item, _)| *item).chain(lines.iter().map(|line| line.item)).map(Key::Demand),
    )?;
    let mut a_kit_waits = false;
    for line in lines {
        a_kit_waits |= !tx.item(line.item)?.kit.is_empty() && left(tx, line.item)?.is_some();
    }
    let mut refused = Vec::new();
    for (item, mut missing) in lacking {
        // Of a component it is the kit that waits; whether it may shows when it is promised.
        if a_kit_waits && !lines.iter().any(|line| line.item == item) {
            continue;
        }
        missing.beyond = left(tx, item)?;
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
    lines: &[Resolved],
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
    let mut skus = Vec::new();
    for line in lines {
        let sku = tx.sku(line.item)?;
        if !skus.contains(&sku) {
            skus.push(sku);
        }
    }
    Err(Refusal::NotInOnePlace { skus }.into())
}
