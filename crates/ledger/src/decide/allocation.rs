//! Allocation: dividing what is wanted between locations by the rules, and moving promises to better places.

use std::collections::BTreeMap;

use crate::answer::{Answer, Invalid};
use crate::command::{self, Reallocate, SetAllocation};
use crate::entry::Entry;
use crate::key::{CellKey, StockState};
use crate::model::{Allocation, Holder, OrderLine, Parcels, Source};
use crate::{Instant, ItemId, LocationId, LotId, OrderId, Quantity, RuleId, SystemId};

use super::masters;
use super::order;
use super::policy::{self, Place, Route};
use super::promise::{self, Wanted};
use super::tx::{Move, Stop, Tx};

/// The way of an order of a system, or to the one place that was named.
pub(super) fn route_for(
    tx: &Tx<'_>,
    system: SystemId,
    ship_to: Option<&str>,
    only: Option<LocationId>,
) -> Result<Route, Stop> {
    match only {
        Some(location) => Ok(Route::only(location)),
        None => Ok(policy::route(tx.rules()?, tx.sites()?, system, ship_to)),
    }
}

/// The way of an order, or to the one place that was named.
pub(super) fn route_of(tx: &Tx<'_>, order: OrderId, only: Option<LocationId>) -> Result<Route, Stop> {
    let known = tx.order(order)?;
    route_for(tx, known.system, known.ship_to.as_deref(), only)
}

/// The sites where something of an order is promised, or has left from.
pub(super) fn serving(tx: &Tx<'_>, order: OrderId) -> Result<Vec<LocationId>, Stop> {
    let lines = &tx.order(order)?.lines;
    let at = |line: &OrderLine| {
        let all = line.allocated.iter().chain(&line.build.built).chain(&line.shipped);
        all.map(|at| at.location).collect::<Vec<_>>()
    };
    lines.iter().flat_map(at).map(|location| site_of(tx, location)).collect()
}

/// The site that a location is, or is somewhere inside.
fn site_of(tx: &Tx<'_>, location: LocationId) -> Result<LocationId, Stop> {
    Ok(tx.sites()?.above(location).last().copied().unwrap_or(location))
}

/// Promises up to so much to each of these lines of an order or hold, by its way; says how much to each. What is there in
/// the first states comes before what is there in the next.
pub(super) fn promise(
    tx: &mut Tx<'_>,
    holder: Holder,
    wanted: &[(u32, Quantity)],
    route: &Route,
    mut serving: Vec<LocationId>,
    passes: &[&[StockState]],
    reason: &str,
) -> Result<Vec<Quantity>, Stop> {
    let mut promised = vec![Quantity::ZERO; wanted.len()];
    let groups: Vec<Vec<usize>> = if route.is_of_the_order() {
        vec![(0..wanted.len()).collect()]
    } else {
        (0..wanted.len()).map(|index| vec![index]).collect()
    };
    // All from one place means whatever it has.
    let passes = if route.whole { &passes[passes.len() - 1..] } else { passes };
    for group in groups {
        for states in passes {
            let open = |promised: &[Quantity], index: &usize| wanted[*index].1 - promised[*index];
            if !group.iter().any(|index| open(&promised, index).is_positive()) {
                break;
            }
            let wants: Vec<Wanted> = group
                .iter()
                .map(|index| Wanted::of(tx, holder, wanted[*index].0))
                .collect::<Result<_, _>>()?;
            // Lines of one item want of the same stock.
            let mut kinds = BTreeMap::<(ItemId, Option<LotId>), Quantity>::new();
            for (index, what) in group.iter().zip(&wants) {
                *kinds.entry((what.item, what.lot)).or_default() += open(&promised, index);
            }
            let kinds: Vec<((ItemId, Option<LotId>), Quantity)> = kinds.into_iter().collect();
            let places = places(tx, route, &serving, &kinds, &wants, states)?;
            let missing: Vec<Quantity> = kinds.iter().map(|(_, quantity)| *quantity).collect();
            let given = policy::plan(&places, &missing, route.parcels, route.whole);
            for ((kind, _), given) in kinds.iter().zip(given) {
                for (site, mut left) in given {
                    serving.push(site);
                    for (index, what) in
                        group.iter().zip(&wants).filter(|(_, what)| (what.item, what.lot) == *kind)
                    {
                        let mut part = open(&promised, index).min(left);
                        if group.len() > 1 && part.is_positive() {
                            // Kits of two lines may want of one component.
                            part = part.min(promise::has(tx, what, site, states)?);
                        }
                        if part.is_positive() {
                            promise::keep(tx, holder, wanted[*index].0, site, part, states, reason)?;
                            promised[*index] += part;
                            left -= part;
                        }
                    }
                }
            }
        }
    }
    Ok(promised)
}

/// What each place of a way has of each kind of thing wanted.
fn places(
    tx: &Tx<'_>,
    route: &Route,
    serving: &[LocationId],
    kinds: &[((ItemId, Option<LotId>), Quantity)],
    wants: &[Wanted],
    states: &[StockState],
) -> Result<Vec<Place>, Stop> {
    let simple = |site: &LocationId| {
        let site = *site;
        kinds
            .iter()
            .flat_map(move |((item, _), _)| states.iter().map(move |state| CellKey::new(*item, site, *state)))
    };
    tx.want_cells(route.places.iter().flat_map(simple))?;
    let of = |kind: &(ItemId, Option<LotId>)| {
        wants.iter().find(|what| (what.item, what.lot) == *kind).expect("each kind is some line's")
    };
    let place = |site: &LocationId| {
        let has = kinds.iter().map(|(kind, _)| promise::has(tx, of(kind), *site, states));
        let (has, serves) = (has.collect::<Result<_, _>>()?, serving.contains(site));
        Ok(Place { location: *site, has, serves })
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

/// An order is to leave in a time that people plan for.
pub(super) fn check_ship_by(tx: &Tx<'_>, ship_by: Option<Instant>) -> Result<(), Stop> {
    const TEN_YEARS: i64 = 10 * 366 * 24 * 3_600;
    match ship_by {
        Some(at) if at > tx.now.plus_seconds(TEN_YEARS) || at < tx.now.plus_seconds(-TEN_YEARS) => {
            let problem = format!("{at} is more than ten years from now");
            Err(Invalid::Field { field: "ship_by", problem }.into())
        }
        _ => Ok(()),
    }
}

/// The locations that are named, each once; parts of others too, unless only sites are meant.
pub(super) fn sources(tx: &Tx<'_>, named: &[command::Source], only_sites: bool) -> Result<Vec<Source>, Stop> {
    let mut found = Vec::new();
    for named in named {
        let (name, source) = match named {
            command::Source::Location(code) => {
                let location = tx.location_id(code)?;
                if only_sites && tx.location(location)?.parent.is_some() {
                    let problem = format!("`{code}` is a part of another location; name its site");
                    return Err(Invalid::Field { field: "locations", problem }.into());
                }
                (code, Source::Location(location))
            }
            command::Source::Group(group) => {
                masters::must_have_members(tx, "locations", group, only_sites)?;
                (group, Source::Group(group.clone()))
            }
        };
        if found.contains(&source) {
            return Err(Invalid::Twice { field: "locations", value: name.clone() }.into());
        }
        found.push(source);
    }
    Ok(found)
}

/// Does a rule name a group that a location is in now or was before, but not both?
pub(super) fn ask_for_one_of(tx: &Tx<'_>, before: &[String], now: &[String]) -> Result<bool, Stop> {
    if before == now {
        return Ok(false);
    }
    let rules = tx.rules()?.map_or(&[][..], |rules| &rules.allocation);
    let mut sources = rules
        .iter()
        .flat_map(|(_, rule)| rule.locations.iter().chain(rule.regions.iter().flat_map(|(_, named)| named)));
    Ok(sources.any(|source| match source {
        Source::Group(group) => before.contains(group) != now.contains(group),
        Source::Location(_) => false,
    }))
}

/// One rule for each system: setting it again changes it.
pub(super) fn set(tx: &mut Tx<'_>, set: &SetAllocation) -> Result<Answer, Stop> {
    let mut regions: Vec<(String, Vec<Source>)> = Vec::new();
    for (region, codes) in set.regions.as_deref().unwrap_or_default() {
        check_region("regions", region)?;
        if regions.iter().any(|(other, _)| other == region) {
            return Err(Invalid::Twice { field: "regions", value: region.clone() }.into());
        }
        regions.push((region.clone(), sources(tx, codes, true)?));
    }
    let rule = Allocation {
        system: set.system.as_deref().map(|name| tx.system_id(name)).transpose()?,
        locations: sources(tx, set.locations.as_deref().unwrap_or_default(), true)?,
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
    order::want_promises(tx, order)?;
    // It is tried, and only what comes to something else by it is moved.
    let mut trial = tx.clone();
    if move_promises(&mut trial, order, away)? {
        let after = trial.order(order)?.lines.clone();
        take_over(tx, order, after)?;
    }
    order::settle(tx)?;
    Ok(Answer::Order(order, order::line_answers(tx, order)?))
}

/// Is something promised elsewhere now, or more than before?
fn move_promises(tx: &mut Tx<'_>, order: OrderId, away: Option<LocationId>) -> Result<bool, Stop> {
    const PASSES: &[&[StockState]] = &[&[StockState::Available]];
    let before = tx.order(order)?.lines.clone();
    let mut route = route_of(tx, order, None)?;
    if let Some(away) = away {
        tx.avoided = tx.sites()?.below(away, false);
        route.places.retain(|site| *site != away);
    } else if before.iter().any(|line| !line.declined.is_empty()) {
        // Whoever has it allocated anew asks again where it was declined.
        tx.edit_order(order)?.lines.iter_mut().for_each(|line| line.declined.clear());
    }
    let holder = Holder::Order(order);
    let now = tx.now;
    for index in 0..lines(&before) {
        promise::give_back_all(tx, holder, index, now, "reallocated")?;
    }
    let shipped: Vec<LocationId> =
        before.iter().flat_map(|line| &line.shipped).map(|at| at.location).collect();
    let shipped = shipped.into_iter().map(|location| site_of(tx, location)).collect::<Result<Vec<_>, _>>()?;
    let had = |line: &OrderLine| line.allocated_total();
    let wanted: Vec<(u32, Quantity)> =
        (0..).zip(&before).map(|(index, line)| (index, had(line) + line.short)).collect();
    let promised = promise(tx, holder, &wanted, &route, shipped, PASSES, "reallocated")?;
    let loses = |(line, promised): (&OrderLine, &Quantity)| *promised < had(line);
    if route.whole && before.iter().zip(&promised).any(loses) {
        return Ok(false);
    }
    // What is not to be had elsewhere stays.
    tx.avoided.clear();
    tx.regardless = true;
    for (index, (line, promised)) in (0..).zip(before.iter().zip(promised)) {
        let mut missing = (had(line) - promised).max(Quantity::ZERO);
        for at in line.allocated.iter().chain(&line.build.built) {
            let part = at.quantity.min(missing);
            if part.is_positive() {
                let stays = Route { parcels: Parcels::InOrder, ..Route::only(at.location) };
                let kept = promise(tx, holder, &[(index, part)], &stays, Vec::new(), PASSES, "reallocated")?;
                missing -= kept.into_iter().sum();
            }
        }
        let edited = &mut tx.edit_order(order)?.lines[index as usize];
        edited.short = edited.wanted - edited.allocated_total() - edited.shipped_total();
    }
    let places = |line: &OrderLine| {
        let mut at: Vec<_> = line.allocated.iter().chain(&line.build.built).copied().collect();
        at.sort_by_key(|at| (at.location, at.lot));
        at
    };
    let after = &tx.order(order)?.lines;
    Ok(before.iter().zip(after).any(|(before, after)| places(before) != places(after)))
}

/// Where the own goods and the components lie that a line is promised.
fn cells(line: &OrderLine) -> BTreeMap<(ItemId, LocationId, LotId), Quantity> {
    let own = line.allocated.iter().map(|at| ((line.item, at.location, at.lot), at.quantity));
    let components = line.build.components.iter().map(|at| ((at.item, at.location, at.lot), at.quantity));
    let mut cells = BTreeMap::new();
    own.chain(components).for_each(|(cell, quantity)| *cells.entry(cell).or_default() += quantity);
    cells
}

/// Makes the lines of an order what they came to on trial: what is promised in the same place stays as it is.
fn take_over(tx: &mut Tx<'_>, order: OrderId, after: Vec<OrderLine>) -> Result<(), Stop> {
    let before = tx.order(order)?.lines.clone();
    let (mut freed, mut kept) = (Vec::new(), Vec::new());
    for (index, (before, after)) in (0..).zip(before.iter().zip(&after)) {
        let (before, after) = (cells(before), cells(after));
        let less = |some: &BTreeMap<_, Quantity>, of: &_, than: Quantity| {
            than - some.get(of).copied().unwrap_or_default()
        };
        let more = |part: &(_, _, Quantity)| part.2.is_positive();
        freed
            .extend(before.iter().map(|(cell, held)| (index, *cell, less(&after, cell, *held))).filter(more));
        kept.extend(after.iter().map(|(cell, held)| (index, *cell, less(&before, cell, *held))).filter(more));
    }
    let holder = Holder::Order(order);
    let all = || freed.iter().chain(&kept);
    tx.want_cells(all().flat_map(|(_, (item, location, lot), _)| {
        [StockState::Available, StockState::Committed].map(|state| CellKey::of(*item, *location, *lot, state))
    }))?;
    tx.want_promised(holder, all().map(|(line, (item, location, lot), _)| (*item, *location, *line, *lot)))?;
    let ways = [
        (&freed, StockState::Committed, StockState::Available),
        (&kept, StockState::Available, StockState::Committed),
    ];
    for (parts, from, to) in ways {
        for (line, (item, location, lot), quantity) in parts {
            tx.make(Move {
                item: *item,
                lot: *lot,
                from: (*location, from),
                to: (*location, to),
                quantity: *quantity,
                occurred_at: tx.now,
                reason: "reallocated",
                promise: Some((holder, *line)),
                corrects: None,
            })?;
        }
    }
    tx.edit_order(order)?.lines = after;
    Ok(())
}

fn lines(lines: &[OrderLine]) -> u32 {
    u32::try_from(lines.len()).expect("orders have fewer than 2^32 lines")
}
