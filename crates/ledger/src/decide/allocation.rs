//! Allocation: dividing what is wanted between locations by the rules, and moving promises to better places.

use std::collections::BTreeMap;

use crate::answer::{Answer, Invalid};
use crate::command::{Reallocate, SetAllocation, check_name};
use crate::entry::Entry;
use crate::key::{CellKey, StockState};
use crate::model::{Allocation, At};
use crate::{ItemId, LocationId, LotId, OrderId, Quantity, RuleId, SystemId};

use super::order;
use super::policy::{self, Place, Route};
use super::tx::{Stop, Tx};

/// So much of a cell.
pub(super) type Part = (LocationId, LotId, StockState, Quantity);

/// What is spoken for already (or, negative, counts as free) of an item at a location in a state.
pub(super) type Taken = BTreeMap<(ItemId, LocationId, StockState), Quantity>;

/// The way of an order of a system, or to the one place that was named.
pub(super) fn route_for(
    tx: &Tx<'_>,
    system: SystemId,
    ship_to: Option<&str>,
    only: Option<LocationId>,
) -> Result<Route, Stop> {
    match only {
        Some(location) => Ok(Route::only(location)),
        None => Ok(policy::route(tx.rules()?, &tx.sites()?, system, ship_to)),
    }
}

/// The way of an order, or to the one place that was named.
pub(super) fn route_of(tx: &Tx<'_>, order: OrderId, only: Option<LocationId>) -> Result<Route, Stop> {
    let known = tx.order(order)?;
    route_for(tx, known.system, known.ship_to.as_deref(), only)
}

/// Where something of an order is promised, or has left from.
pub(super) fn serving(tx: &Tx<'_>, order: OrderId) -> Result<Vec<LocationId>, Stop> {
    let lines = &tx.order(order)?.lines;
    Ok(lines
        .iter()
        .flat_map(|line| line.allocated.iter().chain(&line.shipped))
        .map(|at| at.location)
        .collect())
}

/// Where to take so much of each of these from: a list for each, that may come to less than is wanted. One state after
/// another; where all must come from one place, all states of it.
pub(super) fn divide(
    tx: &Tx<'_>,
    route: &Route,
    serving: &[LocationId],
    wants: &[(ItemId, Quantity)],
    sources: &[StockState],
    mut taken: Taken,
) -> Result<Vec<Vec<Part>>, Stop> {
    let cells = |item: ItemId| {
        let states = move |place: &LocationId| {
            sources.iter().map({
                let place = *place;
                move |state| CellKey::new(item, place, *state)
            })
        };
        route.places.iter().flat_map(states)
    };
    tx.want_cells(wants.iter().flat_map(|(item, _)| cells(*item)))?;
    let mut serving = serving.to_vec();
    let mut parts = vec![Vec::new(); wants.len()];
    let groups: Vec<Vec<usize>> = if route.is_of_the_order() {
        vec![(0..wants.len()).collect()]
    } else {
        (0..wants.len()).map(|index| vec![index]).collect()
    };
    let stages: Vec<&[StockState]> = if route.whole { vec![sources] } else { sources.chunks(1).collect() };
    for group in groups {
        for states in &stages {
            let mut missing = BTreeMap::<ItemId, Quantity>::new();
            for index in &group {
                let (item, wanted) = wants[*index];
                let has: Quantity = parts[*index].iter().map(|(.., quantity): &Part| *quantity).sum();
                *missing.entry(item).or_default() += wanted - has;
            }
            let (items, missing): (Vec<ItemId>, Vec<Quantity>) = missing.into_iter().unzip();
            let places = places(tx, route, &serving, &items, states, &taken)?;
            let given = policy::plan(&places, &missing, route.parcels, route.whole);
            for (item, given) in items.into_iter().zip(given) {
                let mut lines: Vec<usize> =
                    group.iter().copied().filter(|index| wants[*index].0 == item).rev().collect();
                for (location, mut quantity) in given {
                    serving.push(location);
                    for state in *states {
                        let spoken = taken.entry((item, location, *state)).or_default();
                        let free = tx.held(CellKey::new(item, location, *state))? - *spoken;
                        let mut left = free.min(quantity);
                        quantity -= left;
                        *spoken += left;
                        // The first line first.
                        while let Some(index) = lines.last().filter(|_| left.is_positive()) {
                            let has: Quantity =
                                parts[*index].iter().map(|(.., quantity): &Part| *quantity).sum();
                            let part = (wants[*index].1 - has).min(left);
                            if part.is_positive() {
                                parts[*index].push((location, LotId(0), *state, part));
                                left -= part;
                            } else {
                                lines.pop();
                            }
                        }
                    }
                }
            }
        }
    }
    Ok(parts)
}

fn places(
    tx: &Tx<'_>,
    route: &Route,
    serving: &[LocationId],
    items: &[ItemId],
    states: &[StockState],
    taken: &Taken,
) -> Result<Vec<Place>, Stop> {
    let place = |location: &LocationId| {
        let free = |item: &ItemId, state: &StockState| {
            let spoken = taken.get(&(*item, *location, *state)).copied().unwrap_or_default();
            Ok(tx.held(CellKey::new(*item, *location, *state))? - spoken)
        };
        let has =
            items.iter().map(|item| states.iter().map(|state| free(item, state)).sum::<Result<_, Stop>>());
        let (has, serves) = (has.collect::<Result<_, _>>()?, serving.contains(location));
        Ok(Place { location: *location, has, serves })
    };
    route.places.iter().map(place).collect()
}

// ---- the rule ------------------------------------------------------------------------------------------------

/// A region is a code such as `DE` or `DE-HE`: short, so that nobody's address fits in.
pub(super) fn check_region(field: &'static str, region: &str) -> Result<(), Invalid> {
    let parts_fit = region.split('-').all(|part| {
        (1..=3).contains(&part.len())
            && part.bytes().all(|byte| byte.is_ascii_uppercase() || byte.is_ascii_digit())
    });
    if parts_fit && region.len() <= 11 {
        return Ok(());
    }
    let problem = format!(
        "`{}` is no region; one is a code such as DE or DE-HE",
        region.chars().take(20).collect::<String>()
    );
    Err(Invalid::Field { field, problem })
}

fn locations(tx: &Tx<'_>, codes: &[String]) -> Result<Vec<LocationId>, Stop> {
    let mut found = Vec::new();
    for code in codes {
        let location = tx.location_id(code)?;
        if tx.location(location)?.parent.is_some() {
            let problem = format!("`{code}` is a part of another location; name its site");
            return Err(Invalid::Field { field: "locations", problem }.into());
        }
        if found.contains(&location) {
            return Err(Invalid::Twice { field: "locations", value: code.clone() }.into());
        }
        found.push(location);
    }
    Ok(found)
}

/// One rule for each system: setting it again changes it.
pub(super) fn set(tx: &mut Tx<'_>, set: &SetAllocation) -> Result<Answer, Stop> {
    let mut regions: Vec<(String, Vec<LocationId>)> = Vec::new();
    for (region, codes) in set.regions.as_deref().unwrap_or_default() {
        check_region("regions", region)?;
        if regions.iter().any(|(other, _)| other == region) {
            return Err(Invalid::Twice { field: "regions", value: region.clone() }.into());
        }
        regions.push((region.clone(), locations(tx, codes)?));
    }
    let rule = Allocation {
        system: set.system.as_deref().map(|name| tx.system_id(name)).transpose()?,
        locations: locations(tx, set.locations.as_deref().unwrap_or_default())?,
        regions,
        only_these: set.others == Some(false),
        parcels: set.parcels.unwrap_or_default(),
        whole: set.split == Some(false),
    };
    let rules = tx.rules()?.cloned().unwrap_or_default();
    let known = rules.allocation.into_iter().find(|(_, other)| other.system == rule.system);
    let id = known.as_ref().map_or(RuleId(tx.next_seq()), |(id, _)| *id);
    if known.is_none_or(|(_, before)| before != rule) {
        tx.emit(Entry::Allocation(id, Some(rule)))?;
        // Other places may serve what is short now.
        order::offer_all(tx)?;
    }
    Ok(Answer::Rule(id))
}

// ---- moving promises -----------------------------------------------------------------------------------------

/// Moves what is promised to an order to where the rule would have it now, or away from a place. Nothing that was
/// promised is lost by it: what is not to be had elsewhere stays where it is.
pub(super) fn reallocate(tx: &mut Tx<'_>, request: &Reallocate) -> Result<Answer, Stop> {
    let order = request.order;
    let away = request.away_from.as_deref().map(|code| tx.location_id(code)).transpose()?;
    if let Some(away) = away {
        check_name("away_from", request.away_from.as_deref().unwrap_or_default(), 100)?;
        tx.location(away)?;
    }
    order::want_promises(tx, order)?;
    let mut route = route_of(tx, order, None)?;
    route.places.retain(|place| Some(*place) != away);
    let lines = tx.order(order)?.lines.clone();
    let wants: Vec<(ItemId, Quantity)> =
        lines.iter().map(|line| (line.item, line.allocated_total() + line.short)).collect();
    // As if nothing of it were promised.
    let mut taken = Taken::new();
    for line in &lines {
        for at in &line.allocated {
            *taken.entry((line.item, at.location, StockState::Available)).or_default() -= at.quantity;
        }
    }
    let shipped: Vec<LocationId> =
        lines.iter().flat_map(|line| &line.shipped).map(|at| at.location).collect();
    let divided = divide(tx, &route, &shipped, &wants, &[StockState::Available], taken)?;
    let total = |parts: &[Part]| parts.iter().map(|(.., quantity)| *quantity).sum::<Quantity>();
    let loses = lines.iter().zip(&divided).any(|(line, parts)| total(parts) < line.allocated_total());
    if route.whole && loses {
        return Ok(Answer::Order(order, order::line_answers(tx, order)?));
    }
    let mut surplus: Vec<Vec<At>> = Vec::new();
    for (line, parts) in lines.iter().zip(&divided) {
        // What nobody else has stays, the first place first.
        let mut stays = line.allocated_total() - total(parts);
        let mut leaves = Vec::new();
        for at in &line.allocated {
            let shall: Quantity = parts.iter().filter(|part| part.0 == at.location).map(|part| part.3).sum();
            let more = (at.quantity - shall).max(Quantity::ZERO);
            let kept = more.min(stays.max(Quantity::ZERO));
            stays -= kept;
            if more > kept {
                leaves.push(At { quantity: more - kept, ..*at });
            }
        }
        surplus.push(leaves);
    }
    for (index, leaves) in (0..).zip(surplus) {
        for At { location, quantity, .. } in leaves {
            order::release_at(tx, order, index, location, quantity)?;
        }
    }
    for (index, (line, parts)) in (0..).zip(lines.iter().zip(divided)) {
        for (location, _, _, shall) in parts {
            let had: Quantity =
                line.allocated.iter().filter(|at| at.location == location).map(|at| at.quantity).sum();
            if shall > had {
                order::allocate(tx, order, index, shall - had, Some(location), false)?;
            }
        }
        let edited = &mut tx.edit_order(order)?.lines[index as usize];
        edited.short = edited.wanted - edited.allocated_total() - edited.shipped_total();
    }
    order::settle(tx)?;
    Ok(Answer::Order(order, order::line_answers(tx, order)?))
}
