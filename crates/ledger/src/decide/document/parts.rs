//! Shipments that name what a kit is built of, for an order whose line is the kit: a warehouse that knows no kits tells of
//! what it packed.
//!
//! Such parts leave at once, of what is promised to the line there first, and are kept with it as *begun*. A kit is
//! shipped once all its parts have left, in one parcel or in several. While kits are begun, what is promised to the line
//! is less by what has left of them: always `kits to be built × recipe − begun`, or nothing.

use crate::availability;
use crate::key::StockState;
use crate::model::{At, ComponentAt, Holder, OrderLine, add_at};
use crate::{Instant, ItemId, LocationId, LotId, OrderId, Quantity, SystemId};

use super::super::stock::{self, Change};
use super::super::tx::{Stop, Tx};
use super::super::{order, promise};
use super::by;

/// What has left, and who says so.
#[derive(Clone, Copy)]
pub(super) struct Part {
    pub item: ItemId,
    pub lot: LotId,
    pub location: LocationId,
    pub quantity: Quantity,
    pub at: Instant,
}

/// Takes what left of a component as parts of an order's kits, as far as its lines want so many. Says how much of it
/// others had told before, and how much moved.
pub(super) fn leave(
    tx: &mut Tx<'_>,
    teller: SystemId,
    masters: bool,
    order: OrderId,
    part: Part,
) -> Result<(Quantity, Quantity), Stop> {
    let (mut told, mut moved) = (Quantity::ZERO, Quantity::ZERO);
    let lines = u32::try_from(tx.order(order)?.lines.len()).expect("orders have fewer than 2^32 lines");
    for index in 0..lines {
        let missing = part.quantity - told - moved;
        let known = &tx.order(order)?.lines[index as usize];
        let of_it = known.build.recipe.iter().find(|component| component.item == part.item);
        let Some(each) = of_it.map(|component| component.quantity).filter(|_| missing.is_positive()) else {
            continue;
        };
        let times = |kits| availability::times(each, kits).unwrap_or(Quantity::MAX_INPUT);
        let left = times(known.shipped_total()) + known.build.begun_of(part.item);
        let told_by_it = times(known.told_by(teller)) + known.told_part(teller, part.item);
        // Where an outside system is master nobody else's word has moved anything.
        let before =
            if masters { Quantity::ZERO } else { (left - told_by_it).max(Quantity::ZERO).min(missing) };
        let more = (times(known.wanted) - left).max(Quantity::ZERO).min(missing - before);
        if more.is_positive() {
            ship(tx, order, index, Part { quantity: more, ..part })?;
        }
        tx.edit_order(order)?.lines[index as usize].tell_part(teller, part.item, before + more);
        complete(tx, order, index, part.location)?;
        (told, moved) = (told + before, moved + more);
    }
    Ok((told, moved))
}

/// So much of a component of a line's kits leaves.
fn ship(tx: &mut Tx<'_>, order: OrderId, line: u32, part: Part) -> Result<(), Stop> {
    let Part { item, lot, location, quantity, at } = part;
    let holder = Holder::Order(order);
    let sites = tx.sites()?;
    let build = &tx.order(order)?.lines[line as usize].build;
    let mut missing = quantity;
    let mut own: Vec<At> = Vec::new();
    let mut others: Vec<ComponentAt> = Vec::new();
    for kept in build.components.iter().filter(|kept| kept.item == item) {
        let is_here = sites.is_in(kept.location, location) && (lot.0 == 0 || lot == kept.lot);
        let here = if is_here { kept.quantity.min(missing) } else { Quantity::ZERO };
        missing -= here;
        add_at(&mut own, kept.location, kept.lot, here);
        others.push(ComponentAt { quantity: kept.quantity - here, ..*kept });
    }
    // As much as is begun is not promised any more: what left from elsewhere is free where it was promised.
    let kits: Quantity = build.built.iter().map(|at| at.quantity).sum();
    let stays = build.needs(item, kits) - build.begun_of(item) - quantity;
    let rest: Quantity = others.iter().map(|kept| kept.quantity).sum();
    let mut too_much = (rest - stays.max(Quantity::ZERO)).max(Quantity::ZERO);
    let mut freed = Vec::new();
    for kept in others {
        let quantity = kept.quantity.min(too_much);
        if quantity.is_positive() {
            freed.push(ComponentAt { quantity, ..kept });
            too_much -= quantity;
        }
    }
    // First what was promised leaves the books of the line, so that breaking promises cannot touch it.
    let build = &mut tx.edit_order(order)?.lines[line as usize].build;
    let gone =
        own.iter().map(|at| ComponentAt { item, location: at.location, lot: at.lot, quantity: at.quantity });
    let mut begun: Vec<ComponentAt> = gone.collect();
    for kept in begun.iter().chain(&freed) {
        ComponentAt::add(&mut build.components, ComponentAt { quantity: -kept.quantity, ..*kept });
    }
    let now = tx.now;
    for kept in freed {
        promise::free(tx, holder, line, kept, (now, "released"))?;
    }
    let change = Change { lot, ..by(item, location, quantity, StockState::Customer, at, "shipped") };
    let taken = stock::take_out(tx, change, Some((holder, line, own)))?;
    let more = taken.places.into_iter();
    begun.extend(more.map(|At { location, lot, quantity }| ComponentAt { item, location, lot, quantity }));
    let build = &mut tx.edit_order(order)?.lines[line as usize].build;
    for part in begun {
        ComponentAt::add(&mut build.begun, part);
    }
    Ok(())
}

/// Counts kits as shipped of which all parts have left, and as told of by whom has told all their parts.
pub(super) fn complete(tx: &mut Tx<'_>, order: OrderId, line: u32, location: LocationId) -> Result<(), Stop> {
    let around = tx.sites()?.above(location);
    let edited = &mut tx.edit_order(order)?.lines[line as usize];
    edited.tell_whole_kits();
    let open = edited.wanted - edited.shipped_total();
    let kits = edited.build.whole_kits(|item| edited.build.begun_of(item)).min(open);
    if !kits.is_positive() {
        return Ok(());
    }
    for component in edited.build.recipe.clone() {
        let parts = edited.build.needs(component.item, kits);
        edited.build.absorb(component.item, parts);
    }
    add_at(&mut edited.shipped, location, LotId(0), kits);
    // They were to be built, or short, or assembled ones were promised instead.
    let mut rest = kits;
    let mut built = edited.build.built.clone();
    built.sort_by_key(|at| !around.contains(&at.location));
    for at in built {
        let part = at.quantity.min(rest);
        add_at(&mut edited.build.built, at.location, at.lot, -part);
        rest -= part;
    }
    let short = edited.short.min(rest);
    edited.short -= short;
    order::release(tx, order, line, rest - short)
}

/// What has left of an order before anybody told of its lines, as parts of kits that a line of it turns out to be of.
pub(super) fn claim(tx: &mut Tx<'_>, order: OrderId, line: u32, wanted: Quantity) -> Result<(), Stop> {
    let edited = tx.edit_order(order)?;
    let (mut kit, others) = (edited.lines[line as usize].clone(), &mut edited.lines);
    let nameless = |other: &&mut OrderLine| other.line.is_empty() && other.returned.is_zero();
    for other in others.iter_mut().filter(nameless) {
        let item = other.item;
        if kit.build.recipe.iter().all(|component| component.item != item) {
            continue;
        }
        let mut open = kit.build.needs(item, wanted - kit.shipped_total()) - kit.build.begun_of(item);
        for at in other.shipped.clone() {
            let quantity = at.quantity.min(open);
            if !quantity.is_positive() {
                continue;
            }
            open -= quantity;
            add_at(&mut other.shipped, at.location, at.lot, -quantity);
            other.wanted -= quantity;
            let part = ComponentAt { item, location: at.location, lot: at.lot, quantity };
            ComponentAt::add(&mut kit.build.begun, part);
            let mut untold = quantity;
            for (system, told) in &mut other.told {
                let part = (*told).min(untold);
                *told -= part;
                untold -= part;
                kit.tell_part(*system, item, part);
            }
        }
    }
    edited.lines[line as usize] = kit;
    Ok(())
}
