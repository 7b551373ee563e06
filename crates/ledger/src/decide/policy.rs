//! Which locations an order is allocated from: which are asked, in which order, and how it is divided between them.
//!
//! Pure: it is told the rules and what each location has, and says which gives how much. What a location has, and
//! which of its cells are taken, is not its business; nor is what happens to what nobody has.

use std::cmp::Reverse;

use crate::model::{Allocation, Parcels, Rules, Sites, Source};
use crate::{LocationId, Quantity, SystemId};

/// More combinations of locations than these are not tried: as few as possible is then nearly so.
const MOST_COMBINATIONS: usize = 2_000;

/// The way of one order.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Route {
    /// In the order they are asked.
    pub places: Vec<LocationId>,
    pub parcels: Parcels,
    /// All from one place.
    pub whole: bool,
    /// May something that sells be left out, so that an order is short although there is some?
    pub narrow: bool,
}

impl Route {
    /// This place, and no other.
    pub fn only(place: LocationId) -> Self {
        Self { places: vec![place], parcels: Parcels::InOrder, whole: false, narrow: true }
    }

    /// Are its lines divided together, rather than one after the other?
    pub fn is_of_the_order(&self) -> bool {
        self.whole || self.parcels == Parcels::Fewest
    }
}

/// The way of an order of a system that goes to a region.
pub(super) fn route(rules: Option<&Rules>, sites: &Sites, system: SystemId, ship_to: Option<&str>) -> Route {
    let by_rank: Vec<LocationId> = sites.sellable.iter().map(|(_, location)| *location).collect();
    let Some(rule) = rules.and_then(|rules| rule_of(rules, system)) else {
        return Route { places: by_rank, parcels: Parcels::WholeLines, whole: false, narrow: false };
    };
    let named = named_of(rule, ship_to);
    let mut places = Vec::new();
    for source in named {
        let is_meant = |location: &LocationId| match source {
            Source::Location(named) => location == named,
            Source::Group(group) => sites.groups_of(*location).contains(group),
        };
        let meant: Vec<LocationId> = by_rank
            .iter()
            .copied()
            .filter(|location| is_meant(location) && !places.contains(location))
            .collect();
        places.extend(meant);
    }
    if !rule.only_these || named.is_empty() {
        let others: Vec<LocationId> =
            by_rank.iter().copied().filter(|location| !places.contains(location)).collect();
        places.extend(others);
    }
    let narrow = rule.whole || places.len() < by_rank.len();
    Route { places, parcels: rule.parcels, whole: rule.whole, narrow }
}

/// A system's own rule, else the one for all.
fn rule_of(rules: &Rules, system: SystemId) -> Option<&Allocation> {
    let of = |owner| rules.allocation.iter().find(|(_, rule)| rule.system == owner).map(|(_, rule)| rule);
    of(Some(system)).or_else(|| of(None))
}

/// The locations and groups named for a region, for what it is a part of, or for all.
fn named_of<'a>(rule: &'a Allocation, ship_to: Option<&str>) -> &'a [Source] {
    let mut region = ship_to;
    while let Some(name) = region {
        if let Some((_, locations)) = rule.regions.iter().find(|(other, _)| other == name) {
            return locations;
        }
        region = name.rsplit_once('-').map(|(whole, _)| whole);
    }
    &rule.locations
}

/// A location, and what it has of each thing wanted.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Place {
    pub location: LocationId,
    pub has: Vec<Quantity>,
    /// Does something of this order leave from there anyway?
    pub serves: bool,
}

/// Which place gives how much of each thing wanted: a list for each of these. Places are told in the order they are
/// asked. Nothing is given that a place does not have, nor more than is wanted; what nobody has is left out.
pub(super) fn plan(
    places: &[Place],
    wanted: &[Quantity],
    parcels: Parcels,
    whole: bool,
) -> Vec<Vec<(LocationId, Quantity)>> {
    let mut given = vec![Vec::new(); wanted.len()];
    let mut missing = wanted.to_vec();
    if whole {
        let place = places.iter().find(|place| place.serves).or_else(|| best(places, &missing));
        take(place, &mut missing, &mut given);
        return given;
    }
    match parcels {
        Parcels::InOrder => take(places, &mut missing, &mut given),
        Parcels::WholeLines => {
            for index in 0..wanted.len() {
                let mut alone = vec![Quantity::ZERO; wanted.len()];
                alone[index] = missing[index];
                match places.iter().find(|place| place.has[index] >= missing[index]) {
                    Some(place) => take([place], &mut alone, &mut given),
                    None => take(places, &mut alone, &mut given),
                }
            }
        }
        Parcels::Fewest => {
            // What leaves from a place anyway needs no parcel of its own.
            take(places.iter().filter(|place| place.serves), &mut missing, &mut given);
            let mut others: Vec<&Place> = places.iter().filter(|place| !place.serves).collect();
            match fewest(&others, &missing) {
                Some(chosen) => take(chosen, &mut missing, &mut given),
                None => {
                    while let Some(place) = best(others.iter().copied(), &missing) {
                        take([place], &mut missing, &mut given);
                        others.retain(|other| other.location != place.location);
                    }
                }
            }
        }
    }
    given
}

/// Each place gives what it has of what is missing.
fn take<'a>(
    places: impl IntoIterator<Item = &'a Place>,
    missing: &mut [Quantity],
    given: &mut [Vec<(LocationId, Quantity)>],
) {
    for place in places {
        for (index, has) in place.has.iter().enumerate() {
            let part = (*has).min(missing[index]);
            if part.is_positive() {
                given[index].push((place.location, part));
                missing[index] -= part;
            }
        }
    }
}

/// The place that does most of what is missing: first by things it has all of, then by how much it gives; of equals
/// the first. None where no place gives anything.
fn best<'a>(places: impl IntoIterator<Item = &'a Place>, missing: &[Quantity]) -> Option<&'a Place> {
    let does = |place: &Place| {
        let parts = place.has.iter().zip(missing).filter(|(_, missing)| missing.is_positive());
        let whole = parts.clone().filter(|(has, missing)| has >= missing).count();
        (whole, parts.map(|(has, missing)| (*has).min(*missing)).sum::<Quantity>())
    };
    let able = places.into_iter().filter(|place| does(place).1.is_positive());
    able.enumerate().max_by_key(|(index, place)| (does(place), Reverse(*index))).map(|(_, place)| place)
}

/// The fewest places that have all that is missing between them; of equally few, the first. None where all together
/// do not, or where it would take too long to find out.
fn fewest<'a>(places: &[&'a Place], missing: &[Quantity]) -> Option<Vec<&'a Place>> {
    if missing.iter().all(|missing| !missing.is_positive()) {
        return Some(Vec::new());
    }
    let mut tried = 0;
    let mut all = Vec::new();
    for size in 1..=places.len() {
        // Combinations in the order of their first places: 0 1, 0 2, …, 1 2, …
        let mut chosen: Vec<usize> = (0..size).collect();
        loop {
            tried += 1;
            if tried > MOST_COMBINATIONS {
                return None;
            }
            all.clear();
            all.extend(chosen.iter().map(|index| places[*index]));
            let covers = (0..missing.len())
                .all(|index| all.iter().map(|place| place.has[index]).sum::<Quantity>() >= missing[index]);
            if covers {
                return Some(all);
            }
            let Some(step) = (0..size).rev().find(|at| chosen[*at] < places.len() - size + at) else { break };
            chosen[step] += 1;
            for at in step + 1..size {
                chosen[at] = chosen[at - 1] + 1;
            }
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    const WEB: SystemId = SystemId(9);

    fn units(units: &[i64]) -> Vec<Quantity> {
        units.iter().map(|units| Quantity::units(*units)).collect()
    }

    fn place(location: u64, has: &[i64]) -> Place {
        Place { location: LocationId(location), has: units(has), serves: false }
    }

    /// Location and units, thing by thing.
    fn planned(places: &[Place], wanted: &[i64], parcels: Parcels, whole: bool) -> Vec<Vec<(u64, i64)>> {
        let given = plan(places, &units(wanted), parcels, whole);
        let plain = |parts: Vec<(LocationId, Quantity)>| {
            parts.into_iter().map(|(location, quantity)| (location.0, quantity.whole_units())).collect()
        };
        given.into_iter().map(plain).collect()
    }

    #[test]
    fn a_line_comes_from_the_first_place_that_has_all_of_it() {
        let places = [place(1, &[2, 5]), place(2, &[4, 5])];
        assert_eq!(planned(&places, &[3, 3], Parcels::WholeLines, false), [vec![(2, 3)], vec![(1, 3)]]);
        assert_eq!(planned(&places, &[5, 0], Parcels::WholeLines, false), [vec![(1, 2), (2, 3)], vec![]]);
    }

    #[test]
    fn each_place_in_its_order_gives_what_it_has() {
        let places = [place(1, &[2]), place(2, &[4])];
        assert_eq!(planned(&places, &[3], Parcels::InOrder, false), [vec![(1, 2), (2, 1)]]);
        assert_eq!(planned(&places, &[9], Parcels::InOrder, false), [vec![(1, 2), (2, 4)]]);
    }

    #[test]
    fn as_few_parcels_as_possible() {
        // The first has one line, the third has both.
        let places = [place(1, &[3, 0]), place(2, &[0, 3]), place(3, &[3, 3])];
        assert_eq!(planned(&places, &[3, 3], Parcels::Fewest, false), [vec![(3, 3)], vec![(3, 3)]]);
        // Two are needed: of pairs the first.
        let pairs = [place(1, &[2, 0]), place(2, &[0, 3]), place(3, &[3, 0])];
        assert_eq!(planned(&pairs, &[3, 3], Parcels::Fewest, false), [vec![(3, 3)], vec![(2, 3)]]);
        // What leaves from somewhere anyway is no new parcel.
        let serving = [place(1, &[9, 9]), Place { serves: true, ..place(2, &[3, 0]) }];
        assert_eq!(planned(&serving, &[3, 3], Parcels::Fewest, false), [vec![(2, 3)], vec![(1, 3)]]);
        // Not all is there: the place that does most comes first.
        assert_eq!(planned(&pairs, &[4, 4], Parcels::Fewest, false), [vec![(3, 3), (1, 1)], vec![(2, 3)]]);
    }

    #[test]
    fn all_from_one_place_or_what_one_has() {
        let places = [place(1, &[3, 0]), place(2, &[1, 3]), place(3, &[3, 3])];
        assert_eq!(planned(&places, &[2, 2], Parcels::InOrder, true), [vec![(3, 2)], vec![(3, 2)]]);
        assert_eq!(planned(&places[..2], &[2, 2], Parcels::InOrder, true), [vec![(2, 1)], vec![(2, 2)]]);
        // An order that has begun somewhere stays there.
        let serving = [place(1, &[9]), Place { serves: true, ..place(2, &[1]) }];
        assert_eq!(planned(&serving, &[2], Parcels::InOrder, true), [vec![(2, 1)]]);
    }

    #[test]
    fn many_places_are_not_tried_for_ever() {
        let places: Vec<Place> = (0..60).map(|location| place(location, &[1])).collect();
        let given = planned(&places, &[59], Parcels::Fewest, false);
        assert_eq!(given[0].iter().map(|(_, units)| units).sum::<i64>(), 59);
    }

    #[test]
    fn the_nearest_first_and_then_the_others_by_rank() {
        let [london, paris, berlin, back] = [1, 2, 3, 4].map(LocationId);
        let sites = Sites {
            sellable: vec![(1, london), (2, paris), (3, berlin)],
            all: vec![london, paris, berlin, back],
            ..Sites::default()
        };
        let rule = Allocation {
            locations: vec![Source::Location(paris)],
            regions: vec![
                ("DE".to_owned(), vec![Source::Location(berlin), Source::Location(back)]),
                ("GB".to_owned(), vec![Source::Location(london)]),
            ],
            ..Allocation::default()
        };
        let own = Allocation {
            system: Some(WEB),
            locations: vec![Source::Location(berlin)],
            only_these: true,
            whole: true,
            ..Allocation::default()
        };
        let rules = |all: &[&Allocation]| Rules {
            allocation: all.iter().map(|rule| (crate::RuleId(7), (*rule).clone())).collect(),
            ..Rules::default()
        };
        let places = |rules: Option<&Rules>, ship_to| route(rules, &sites, WEB, ship_to).places;
        assert_eq!(places(None, Some("DE")), [london, paris, berlin]);
        let general = rules(&[&rule]);
        assert_eq!(places(Some(&general), None), [paris, london, berlin]);
        assert_eq!(
            places(Some(&general), Some("DE-HE")),
            [berlin, london, paris],
            "what does not sell is left out"
        );
        assert_eq!(places(Some(&general), Some("FR")), [paris, london, berlin]);
        assert!(!route(Some(&general), &sites, WEB, None).narrow);
        let both = rules(&[&rule, &own]);
        let way = route(Some(&both), &sites, WEB, Some("DE"));
        assert_eq!((way.places, way.whole, way.narrow), (vec![berlin], true, true), "a system's own rule");
    }

    #[test]
    fn a_group_is_asked_by_rank_where_it_is_named() {
        let [london, paris, berlin, rome, back] = [1, 2, 3, 4, 5].map(LocationId);
        let eu = || vec!["EU".to_owned()];
        let sites = Sites {
            sellable: vec![(1, london), (2, rome), (2, paris), (3, berlin)],
            all: vec![london, paris, berlin, rome, back],
            grouped: vec![(paris, eu()), (berlin, eu()), (rome, eu()), (back, eu())],
            ..Sites::default()
        };
        let places = |locations: &[Source], only_these| {
            let rule = Allocation { locations: locations.to_vec(), only_these, ..Allocation::default() };
            let rules = Rules { allocation: vec![(crate::RuleId(7), rule)], ..Rules::default() };
            route(Some(&rules), &sites, WEB, None).places
        };
        let group = || Source::Group("EU".to_owned());
        assert_eq!(places(&[group()], false), [rome, paris, berlin, london]);
        assert_eq!(places(&[group()], true), [rome, paris, berlin], "what does not sell is left out");
        assert_eq!(places(&[Source::Location(berlin), group()], true), [berlin, rome, paris]);
        assert_eq!(places(&[group(), Source::Location(berlin)], true), [rome, paris, berlin]);
        assert_eq!(places(&[Source::Group("US".to_owned())], true), [], "nobody is in it any more");
        assert_eq!(places(&[Source::Group("US".to_owned())], false), [london, rome, paris, berlin]);
    }
}
