//! Promises: what of a site is kept for a line of an order, a hold or a transfer, cell by cell, and how it is given back.
//!
//! A line of a kit is kept in assembled kits first, then in kits to be built of components at one place. Which sites
//! are asked, and for how much, is [`super::order`]'s business.

use crate::availability::{self, Spot};
use crate::key::{CellKey, Key, StockState};
use crate::model::{At, Build, Component, ComponentAt, Holder, add_at};
use crate::state::Value;
use crate::{Instant, ItemId, LocationId, LotId, OrderId, Quantity, Seq};

use super::tx::{Move, Stop, Tx};

/// What a line keeps, as far as promises go.
#[derive(Clone, Debug)]
pub(super) struct Wanted {
    pub item: ItemId,
    /// Only of this lot or serial.
    pub lot: Option<LotId>,
    /// What one is built of, where it is a kit.
    pub recipe: Vec<Component>,
    /// The places that have declined it, with all that is inside them.
    pub avoids: Vec<LocationId>,
}

impl Wanted {
    /// What a line of an order or hold wants.
    pub fn of(tx: &Tx<'_>, holder: Holder, line: u32) -> Result<Self, Stop> {
        Ok(match holder {
            Holder::Order(order) => {
                let line = &tx.order(order)?.lines[line as usize];
                let avoids = if line.declined.is_empty() || tx.regardless {
                    Vec::new()
                } else {
                    let sites = tx.sites()?;
                    line.declined.iter().flat_map(|place| sites.below(*place, false)).collect()
                };
                Self { item: line.item, lot: line.lot, recipe: line.build.recipe.clone(), avoids }
            }
            Holder::Hold(hold) => {
                let line = &tx.hold(hold)?.lines[line as usize];
                let recipe = line.build.recipe.clone();
                Self { item: line.item, lot: line.lot, recipe, avoids: Vec::new() }
            }
            Holder::Transfer(transfer) => {
                let line = &tx.transfer(transfer)?.lines[line as usize];
                Self { item: line.item, lot: Some(line.lot), recipe: Vec::new(), avoids: Vec::new() }
            }
        })
    }

    fn is_wanted(&self, spot: &Spot) -> bool {
        self.lot.is_none_or(|lot| lot == spot.lot) && !self.avoids.contains(&spot.location)
    }
}

/// The recipe that a line of an item pins: flattened; empty where it is no kit.
pub(super) fn recipe(tx: &Tx<'_>, item: ItemId) -> Result<Vec<Component>, Stop> {
    let kit = &tx.item(item)?.kit;
    if kit.is_empty() {
        return Ok(Vec::new());
    }
    tx.want(kit.iter().map(|component| Key::Item(component.item)))?;
    availability::flatten(&mut &*tx, kit)
}

/// Where what a line keeps is written.
fn kept<'t>(tx: &'t mut Tx<'_>, holder: Holder, line: u32) -> Result<(&'t mut Vec<At>, &'t mut Build), Stop> {
    Ok(match holder {
        Holder::Order(order) => {
            let line = &mut tx.edit_order(order)?.lines[line as usize];
            (&mut line.allocated, &mut line.build)
        }
        Holder::Hold(hold) => {
            let line = &mut tx.edit_hold(hold)?.lines[line as usize];
            (&mut line.reserved, &mut line.build)
        }
        Holder::Transfer(_) => unreachable!("a transfer's line keeps of one cell, and no kits to be built"),
    })
}

/// The state of stock that is promised to orders, or to holds and transfers.
pub(super) const fn state_of(holder: Holder) -> StockState {
    match holder {
        Holder::Order(_) => StockState::Committed,
        Holder::Hold(_) | Holder::Transfer(_) => StockState::Reserved,
    }
}

/// How much of what is wanted a site has in these states: what lies there, and whole kits that can be built.
pub(super) fn has(
    tx: &Tx<'_>,
    wanted: &Wanted,
    site: LocationId,
    states: &[StockState],
) -> Result<Quantity, Stop> {
    let spots = availability::spots(&mut &*tx, wanted.item, site, states)?;
    let own: Quantity = spots.iter().filter(|spot| wanted.is_wanted(spot)).map(|spot| spot.quantity).sum();
    if !wanted.avoids.is_empty()
        && tx.sites()?.below(site, false).iter().any(|node| wanted.avoids.contains(node))
    {
        // Of what there is at such a site nobody says where its parts would come from.
        return Ok(own);
    }
    Ok(own + availability::buildable(&mut &*tx, &wanted.recipe, site, states)?)
}

/// Promises so much of a site to a line, which the site [`has`].
pub(super) fn keep(
    tx: &mut Tx<'_>,
    holder: Holder,
    line: u32,
    site: LocationId,
    quantity: Quantity,
    states: &[StockState],
    reason: &str,
) -> Result<(), Stop> {
    let wanted = Wanted::of(tx, holder, line)?;
    let own = spots(tx, wanted.item, site, states, quantity, |spot| wanted.is_wanted(spot))?;
    let taken: Quantity = own.iter().map(|spot| spot.quantity).sum();
    let kits = quantity - taken;
    let mut parts = Vec::new();
    if kits.is_positive() {
        let build = kept(tx, holder, line)?.1.clone();
        let all = kits + build.built.iter().map(|at| at.quantity).sum();
        for component in &wanted.recipe {
            // What has left of kits that are begun is not kept again.
            let item = component.item;
            let held: Quantity =
                build.components.iter().filter(|at| at.item == item).map(|at| at.quantity).sum();
            let needed = build.needs(item, all) - build.begun_of(item) - held;
            let spots = spots(tx, component.item, site, states, needed, |_| true)?;
            parts.extend(spots.into_iter().map(|spot| (component.item, spot)));
        }
    }
    let all = || own.iter().map(|spot| (wanted.item, *spot)).chain(parts.iter().copied());
    want(tx, holder, line, all(), state_of(holder))?;
    for (item, spot) in all() {
        tx.make(Move {
            item,
            lot: spot.lot,
            from: (spot.location, spot.state),
            to: (spot.location, state_of(holder)),
            quantity: spot.quantity,
            occurred_at: tx.now,
            reason,
            promise: Some((holder, line)),
            corrects: None,
        })?;
    }
    let (places, build) = kept(tx, holder, line)?;
    for spot in own {
        add_at(places, spot.location, spot.lot, spot.quantity);
    }
    for (item, Spot { location, lot, quantity, .. }) in parts {
        ComponentAt::add(&mut build.components, ComponentAt { item, location, lot, quantity });
    }
    if kits.is_positive() {
        add_at(&mut build.built, site, LotId(0), kits);
    }
    Ok(())
}

/// The first so much of what lies somewhere.
fn spots(
    tx: &Tx<'_>,
    item: ItemId,
    site: LocationId,
    states: &[StockState],
    quantity: Quantity,
    is_wanted: impl Fn(&Spot) -> bool,
) -> Result<Vec<Spot>, Stop> {
    let mut missing = quantity;
    let mut chosen = Vec::new();
    for mut spot in availability::spots(&mut &*tx, item, site, states)? {
        spot.quantity = spot.quantity.min(missing);
        if is_wanted(&spot) && spot.quantity.is_positive() {
            missing -= spot.quantity;
            chosen.push(spot);
        }
    }
    Ok(chosen)
}

/// Fetches together what moving these spots of a line into or out of a promise will read.
fn want(
    tx: &Tx<'_>,
    holder: Holder,
    line: u32,
    spots: impl Iterator<Item = (ItemId, Spot)> + Clone,
    to: StockState,
) -> Result<(), Stop> {
    tx.want_cells(spots.clone().flat_map(|(item, spot)| {
        let cell = |state| CellKey::of(item, spot.location, spot.lot, state);
        [cell(spot.state), cell(to)]
    }))?;
    tx.want_promised(holder, spots.map(|(item, spot)| (item, spot.location, line, spot.lot)))
}

/// Gives so much of what is promised to a line back, at an instant: kits to be built first, then the last place first.
/// `into` says in which state it is from then on.
pub(super) fn give_back(
    tx: &mut Tx<'_>,
    holder: Holder,
    line: u32,
    quantity: Quantity,
    at: Instant,
    reason: &str,
) -> Result<(), Stop> {
    let mut missing = quantity;
    while missing.is_positive() {
        let (places, build) = kept(tx, holder, line)?;
        if let Some(built) = build.built.last().copied() {
            let kits = built.quantity.min(missing);
            unbuild(tx, holder, line, built.location, kits, None, (at, reason))?;
            missing -= kits;
            continue;
        }
        let mut place = *places.last().expect("no more is given back than is promised");
        place.quantity = place.quantity.min(missing);
        give_back_at(tx, holder, line, place, (at, reason))?;
        missing -= place.quantity;
    }
    Ok(())
}

/// Gives back all that a line keeps.
pub(super) fn give_back_all(
    tx: &mut Tx<'_>,
    holder: Holder,
    line: u32,
    at: Instant,
    reason: &str,
) -> Result<(), Stop> {
    let (places, build) = kept(tx, holder, line)?;
    let total: Quantity = places.iter().chain(&build.built).map(|at| at.quantity).sum();
    give_back(tx, holder, line, total, at, reason)
}

/// Gives back what a line keeps of its own item at a place.
fn give_back_at(
    tx: &mut Tx<'_>,
    holder: Holder,
    line: u32,
    place: At,
    (at, reason): (Instant, &str),
) -> Result<(), Stop> {
    let item = Wanted::of(tx, holder, line)?.item;
    let At { location, lot, quantity } = place;
    free(tx, holder, line, ComponentAt { item, location, lot, quantity }, (at, reason))?;
    match holder {
        Holder::Transfer(transfer) => tx.edit_transfer(transfer)?.lines[line as usize].reserved -= quantity,
        Holder::Order(_) | Holder::Hold(_) => add_at(kept(tx, holder, line)?.0, location, lot, -quantity),
    }
    Ok(())
}

/// Frees what a line keeps in one cell; whoever asks takes it off the line.
pub(super) fn free(
    tx: &mut Tx<'_>,
    holder: Holder,
    line: u32,
    what: ComponentAt,
    (at, reason): (Instant, &str),
) -> Result<(), Stop> {
    let ComponentAt { item, location, lot, quantity } = what;
    tx.make(Move {
        item,
        lot,
        from: (location, state_of(holder)),
        to: (location, StockState::Available),
        quantity,
        occurred_at: at,
        reason,
        promise: Some((holder, line)),
        corrects: None,
    })?;
    Ok(())
}

/// What a hold's line keeps goes over to the line of the order that it becomes, place by place.
pub(super) fn hand_over(
    tx: &mut Tx<'_>,
    (hold, line): (crate::HoldId, u32),
    (order, into): (crate::OrderId, u32),
    reason: &str,
) -> Result<(), Stop> {
    let (from, to) = (Holder::Hold(hold), Holder::Order(order));
    let now = tx.now;
    let known = &mut tx.edit_hold(hold)?.lines[line as usize];
    let (item, reserved) = (known.item, std::mem::take(&mut known.reserved));
    let (built, components) =
        (std::mem::take(&mut known.build.built), std::mem::take(&mut known.build.components));
    let recipe = known.build.recipe.clone();
    let own = reserved.iter().map(|At { location, lot, quantity }| ComponentAt {
        item,
        location: *location,
        lot: *lot,
        quantity: *quantity,
    });
    for what in own.chain(components.iter().copied()).collect::<Vec<_>>() {
        free(tx, from, line, what, (now, reason))?;
        let ComponentAt { item, location, lot, quantity } = what;
        tx.make(Move {
            item,
            lot,
            from: (location, StockState::Available),
            to: (location, StockState::Committed),
            quantity,
            occurred_at: now,
            reason,
            promise: Some((to, into)),
            corrects: None,
        })?;
    }
    let (places, build) = kept(tx, to, into)?;
    *places = reserved;
    *build = Build { recipe, built, components, ..Build::default() };
    Ok(())
}

/// What a line keeps of components for so many kits built at a site: `first` before others.
pub(super) fn components_of(
    tx: &Tx<'_>,
    build: &Build,
    site: LocationId,
    kits: Quantity,
    first: Option<(ItemId, LocationId, LotId)>,
) -> Result<Vec<ComponentAt>, Stop> {
    let sites = tx.sites()?;
    let mut chosen = Vec::new();
    let built: Quantity = build.built.iter().map(|at| at.quantity).sum();
    for component in &build.recipe {
        // Whole ones go before those of which a part has left.
        let stays = build.needs(component.item, built - kits) - build.begun_of(component.item);
        let held = build.components.iter().filter(|at| at.item == component.item);
        let mut missing = held.map(|at| at.quantity).sum::<Quantity>() - stays.max(Quantity::ZERO);
        let mut there: Vec<ComponentAt> =
            build.components.iter().filter(|at| at.item == component.item).copied().collect();
        // A bin may have been moved to another site since.
        there.sort_by_key(|at| {
            (first != Some((at.item, at.location, at.lot)), !sites.is_in(at.location, site))
        });
        for mut at in there {
            at.quantity = at.quantity.min(missing);
            if at.quantity.is_positive() {
                missing -= at.quantity;
                chosen.push(at);
            }
        }
        assert!(missing.is_zero(), "kits to be built keep all their components");
    }
    Ok(chosen)
}

/// Gives back the components of so many kits to be built at a site: `first` before others. Says what was given back.
fn unbuild(
    tx: &mut Tx<'_>,
    holder: Holder,
    line: u32,
    site: LocationId,
    kits: Quantity,
    first: Option<(ItemId, LocationId, LotId)>,
    when: (Instant, &str),
) -> Result<Vec<ComponentAt>, Stop> {
    let build = kept(tx, holder, line)?.1.clone();
    let parts = components_of(tx, &build, site, kits, first)?;
    for part in &parts {
        free(tx, holder, line, *part, when)?;
    }
    let (_, build) = kept(tx, holder, line)?;
    for part in &parts {
        ComponentAt::add(&mut build.components, ComponentAt { quantity: -part.quantity, ..*part });
    }
    add_at(&mut build.built, site, LotId(0), -kits);
    Ok(parts)
}

/// All that is promised of an item at a location, the oldest first.
pub(super) fn promises_at(
    tx: &Tx<'_>,
    item: ItemId,
    location: LocationId,
) -> Result<Vec<(Key, Value)>, Stop> {
    let (first, last) = promises_range(item, location);
    tx.range(first, last)
}

/// The range that has them.
pub(super) const fn promises_range(item: ItemId, location: LocationId) -> (Key, Key) {
    let last = Key::Promise(item, location, Seq::MAX, u32::MAX, LotId(Seq::MAX));
    (Key::Promise(item, location, 0, 0, LotId(0)), last)
}

/// Frees up to so much of what is promised at some places, of some lots, the youngest promises first; says what was freed,
/// place by place. A kit to be built is broken whole: what it kept beside is free too, and is not in the answer.
pub(super) fn break_promises(
    tx: &mut Tx<'_>,
    item: ItemId,
    locations: &[LocationId],
    is_meant: impl Fn(LocationId, LotId) -> bool,
    wanted: Quantity,
    reason: &str,
) -> Result<Vec<At>, Stop> {
    break_those(tx, item, locations, |_, location, lot| is_meant(location, lot), wanted, reason)
}

/// As [`break_promises`], of what is promised to one order.
pub(super) fn break_promises_of(
    tx: &mut Tx<'_>,
    order: OrderId,
    item: ItemId,
    locations: &[LocationId],
    wanted: Quantity,
    reason: &str,
) -> Result<Vec<At>, Stop> {
    break_those(tx, item, locations, |holder, _, _| holder == Holder::Order(order), wanted, reason)
}

fn break_those(
    tx: &mut Tx<'_>,
    item: ItemId,
    locations: &[LocationId],
    is_meant: impl Fn(Holder, LocationId, LotId) -> bool,
    wanted: Quantity,
    reason: &str,
) -> Result<Vec<At>, Stop> {
    tx.want_ranges(locations.iter().map(|location| promises_range(item, *location)))?;
    let mut promises = Vec::new();
    for location in locations {
        for (key, value) in promises_at(tx, item, *location)? {
            if let (Key::Promise(_, _, holder, line, lot), Value::Promise(promise)) = (key, value)
                && is_meant(promise.holder, *location, lot)
            {
                promises.push((holder, line, lot, *location, promise));
            }
        }
    }
    promises
        .sort_by_key(|(holder, line, lot, location, _)| std::cmp::Reverse((*holder, *line, *lot, *location)));
    // All that will be read is fetched together: one at a time, a decision would be made as often as there are promises.
    let mut reached = Quantity::ZERO;
    let mut keys = Vec::new();
    for (holder, line, lot, location, promise) in &promises {
        keys.extend([Key::Promise(item, *location, *holder, *line, *lot), holder_key(promise.holder)]);
        reached += promise.quantity;
        if reached >= wanted {
            break;
        }
    }
    tx.want(keys)?;
    let now = tx.now;
    let mut missing = wanted;
    let mut freed: Vec<At> = Vec::new();
    for (_, line, lot, location, promise) in promises {
        // A kit that was broken for another of its promises has taken this one along.
        let left = tx.promised(item, location, promise.holder, line, lot)?;
        let mut part = left.min(missing);
        if !part.is_positive() {
            if missing.is_positive() {
                continue;
            }
            break;
        }
        let broken = if Wanted::of(tx, promise.holder, line)?.item == item {
            let place = At { location, lot, quantity: part };
            give_back_at(tx, promise.holder, line, place, (now, reason))?;
            part
        } else {
            let (kits, more) =
                break_kits(tx, promise.holder, line, (item, location, lot), part, (now, reason))?;
            part = more;
            kits
        };
        if let Holder::Order(order) = promise.holder {
            tx.edit_order(order)?.lines[line as usize].short += broken;
        }
        add_at(&mut freed, location, lot, part);
        missing -= part.min(missing);
    }
    Ok(freed)
}

/// Breaks as many kits to be built as keep so much of a component at a place; says how many, and how much of it is
/// free there now.
fn break_kits(
    tx: &mut Tx<'_>,
    holder: Holder,
    line: u32,
    what: (ItemId, LocationId, LotId),
    part: Quantity,
    when: (Instant, &str),
) -> Result<(Quantity, Quantity), Stop> {
    let (mut broken, mut freed) = (Quantity::ZERO, Quantity::ZERO);
    while freed < part {
        let build = kept(tx, holder, line)?.1.clone();
        let component = build.recipe.iter().find(|component| component.item == what.0);
        let each = component.expect("a promise of another item is a component's").quantity;
        let sites = tx.sites()?;
        let around = build.built.iter().find(|built| sites.is_in(what.1, built.location));
        let Some(site) = around.or(build.built.last()).copied() else { break };
        let sum = |parts: &mut dyn Iterator<Item = Quantity>| parts.sum::<Quantity>();
        let built = sum(&mut build.built.iter().map(|at| at.quantity));
        let of_it = build.components.iter().filter(|at| at.item == what.0);
        // So many kits stay as the rest is enough for, with what has left of those that are begun.
        let rest = sum(&mut of_it.map(|at| at.quantity)) - (part - freed) + build.begun_of(what.0);
        let stay = Quantity::units(rest.max(Quantity::ZERO).micros() / each.micros());
        let kits = (built - stay).max(Quantity::ONE).min(site.quantity);
        let parts = unbuild(tx, holder, line, site.location, kits, Some(what), when)?;
        let there = parts.iter().filter(|at| (at.item, at.location, at.lot) == what);
        freed += sum(&mut there.map(|at| at.quantity));
        broken += kits;
    }
    Ok((broken, freed))
}

/// The order, hold or transfer of a holder.
pub(super) const fn holder_key(holder: Holder) -> Key {
    match holder {
        Holder::Order(order) => Key::Order(order),
        Holder::Hold(hold) => Key::Hold(hold),
        Holder::Transfer(transfer) => Key::Transfer(transfer),
    }
}
