//! What a warehouse answers to an order that was sent to it: what it will not ship is promised there no more, goes to other
//! places by the order's way, or is short.
//!
//! A version that was sent is answered as a state: told again, or with more, only the difference counts, and what a later
//! version asks for is answered anew. What the warehouse has taken on by then stays promised there, however little of an
//! older version it would have shipped.

use crate::answer::Invalid;
use crate::command::ReplyContent;
use crate::model::{Cause, OrderLine, Replied};
use crate::{ItemId, LocationId, OrderId, Quantity, SystemId};

use super::super::tx::{Found, Stop, Tx};
use super::super::{merge, order, promise};
use super::Names;
use super::orders::report_short;

pub(super) fn apply_reply(
    tx: &mut Tx<'_>,
    system: SystemId,
    content: &ReplyContent,
    names: &Names,
    earlier: Option<&Replied>,
) -> Result<Replied, Stop> {
    let location = tx.location_id(&content.location)?;
    let id = content.order;
    let known = Replied { sent_version: content.sent_version, declined: Vec::new() };
    if let Some(later) = earlier.filter(|earlier| earlier.sent_version > content.sent_version) {
        return Ok(later.clone());
    }
    let earlier = earlier.filter(|earlier| earlier.sent_version == content.sent_version);
    merge::renew_lines(tx, id)?;
    order::want_promises(tx, id)?;
    let there = tx.sites()?.below(location, false);
    let short_before: Quantity = tx.order(id)?.lines.iter().map(|line| line.short).sum();
    let mut replied = known;
    let mut because = String::new();
    for (position, line) in content.lines.iter().enumerate() {
        let item = names.items[position].0;
        let (declined, open) = (names.quantity(position, line.declined), names.quantity(position, line.open));
        if replied.declined.iter().any(|(other, _)| *other == item) {
            return Err(Invalid::Twice { field: "lines", value: tx.sku(item)? }.into());
        }
        let before = earlier.and_then(|earlier| earlier.declined.iter().find(|(other, _)| *other == item));
        let more = declined - before.map_or(Quantity::ZERO, |(_, declined)| *declined);
        if declined.is_positive() {
            replied.declined.push((item, declined));
        }
        if more.is_positive() {
            decline(tx, id, item, location, true)?;
            let freed = give_up(tx, id, item, &there, open, more)?;
            if freed.is_positive() {
                let (teller, sku, code) =
                    (tx.system_name(system)?, tx.sku(item)?, tx.location_code(location)?);
                let why = content.reason.as_deref().map_or(String::new(), |reason| format!(" ({reason})"));
                let sentence = format!("{teller} does not ship {freed} of {sku} from {code}{why}. ");
                because.push_str(&sentence);
            }
            if content.not_found {
                not_found(tx, content, (item, location), more)?;
            }
        } else if more.is_negative() {
            // It will after all: what is short may be promised there again.
            decline(tx, id, item, location, false)?;
            tx.grew(item);
        }
    }
    // It is about the order: whoever sees to it finds that by its name.
    let known = tx.order(id)?;
    let its_own = Some((known.system, known.document.clone()));
    let answer = std::mem::replace(&mut tx.document, its_own);
    report_short(tx, id, short_before, &because)?;
    tx.document = answer;
    Ok(replied)
}

/// What was not found is still there by our books: somebody has it counted, or has the master count it.
fn not_found(
    tx: &mut Tx<'_>,
    content: &ReplyContent,
    (item, location): (ItemId, LocationId),
    missing: Quantity,
) -> Result<(), Stop> {
    let order = tx.order(content.order)?.document.clone();
    let (sku, code) = (tx.sku(item)?, tx.location_code(location)?);
    let why = content.reason.as_deref().map_or(String::new(), |reason| format!(" ({reason})"));
    let sentence = format!(
        "{missing} of {sku} for order {order} were not found at {code}{why}. By the books they are still there, until they are counted."
    );
    tx.discrepancy(Found::new(Cause::NotFound, sentence).stock(item, Some(location), missing))?;
    Ok(())
}

/// Says of the lines of an order that are, or take, an item that a place declines them, or no longer does.
fn decline(
    tx: &mut Tx<'_>,
    id: OrderId,
    item: ItemId,
    location: LocationId,
    declines: bool,
) -> Result<(), Stop> {
    let takes = |line: &OrderLine| {
        line.item == item || line.build.recipe.iter().any(|component| component.item == item)
    };
    for line in tx.edit_order(id)?.lines.iter_mut().filter(|line| takes(line)) {
        line.declined.retain(|other| *other != location);
        line.declined.extend(declines.then_some(location));
    }
    Ok(())
}

/// Of what is promised to an order at a place, and beyond what is still to leave from there, up to so much is promised elsewhere
/// from now on, or is short. Says how much that was.
fn give_up(
    tx: &mut Tx<'_>,
    id: OrderId,
    item: ItemId,
    there: &[LocationId],
    open: Quantity,
    more: Quantity,
) -> Result<Quantity, Stop> {
    let promised: Quantity = tx.order(id)?.lines.iter().map(|line| promised_of(line, item, there)).sum();
    let excess = (promised - open).max(Quantity::ZERO).min(more);
    if !excess.is_positive() {
        return Ok(Quantity::ZERO);
    }
    let short = |tx: &Tx<'_>| -> Result<Vec<Quantity>, Stop> {
        Ok(tx.order(id)?.lines.iter().map(|line| line.short).collect())
    };
    let before = short(tx)?;
    let freed = promise::break_promises_of(tx, id, item, there, excess, "declined")?;
    let broken: Vec<(u32, Quantity)> = (0..)
        .zip(short(tx)?.into_iter().zip(before))
        .map(|(index, (now, before))| (index, now - before))
        .filter(|(_, broken)| broken.is_positive())
        .collect();
    let allocated = order::allocate_all(tx, id, &broken, None, false)?;
    for ((index, _), allocated) in broken.into_iter().zip(allocated) {
        tx.edit_order(id)?.lines[index as usize].short -= allocated;
    }
    Ok(freed.into_iter().map(|at| at.quantity).sum())
}

/// How much of an item is promised to a line at some places, itself or as a part of kits to be built.
fn promised_of(line: &OrderLine, item: ItemId, there: &[LocationId]) -> Quantity {
    let own = line.allocated.iter().filter(|at| line.item == item && there.contains(&at.location));
    let parts =
        line.build.components.iter().filter(|part| part.item == item && there.contains(&part.location));
    own.map(|at| at.quantity).sum::<Quantity>() + parts.map(|part| part.quantity).sum::<Quantity>()
}
