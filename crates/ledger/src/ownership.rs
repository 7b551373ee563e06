//! Who is master of what is where: which of the ownership rules speaks.
//!
//! By the item first (itself, its tags, all), then by the place: a location itself, then what it is inside of, the nearest
//! first; then the groups of these, the nearest's first; then everywhere. So a rule for a site comes before one for a group
//! that a bin of it is in, and a bin is in its site's groups too: it leaves none of them by being in one of its own.
//!
//! Two rules that are equally specific and name two masters are a *tie*, which [`crate::decide`] refuses to let come about.
//! What is asked here is asked of rules and tree alone; which items have which tags is not this module's business.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};

use crate::model::{Ownership, Sites};
use crate::{ItemId, LocationId, RuleId};

/// Rules, each under its id.
pub type Rules = [(RuleId, Ownership)];

/// What of an item rules can speak of; of nothing but rules for all by default.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Subject<'a> {
    /// The item itself.
    pub item: Option<ItemId>,
    /// Its tags.
    pub tags: &'a [String],
}

/// Two rules that are equally specific and name two masters.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Tie {
    /// Where; none: anywhere without a rule.
    pub location: Option<LocationId>,
    /// The older one.
    pub rule: RuleId,
    /// And the other.
    pub other: RuleId,
}

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
enum ByItem {
    All,
    Tag,
    Item,
}

/// The numbers say how deep the location that is meant is: 1 is a site.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
enum ByPlace {
    Everywhere,
    Group(usize),
    Location(usize),
}

/// A location and what it is inside of, the nearest first, each with its own groups.
type Path<'a> = Vec<(LocationId, &'a [String])>;

fn path(sites: &Sites, location: Option<LocationId>) -> Path<'_> {
    let above = location.map(|location| sites.above(location)).unwrap_or_default();
    above.into_iter().map(|location| (location, sites.groups_of(location))).collect()
}

fn by_item(rule: &Ownership, subject: Subject<'_>) -> Option<ByItem> {
    match (rule.item, &rule.tag) {
        (Some(item), _) => (subject.item == Some(item)).then_some(ByItem::Item),
        (None, Some(tag)) => subject.tags.contains(tag).then_some(ByItem::Tag),
        (None, None) => Some(ByItem::All),
    }
}

fn by_place(rule: &Ownership, path: &Path<'_>) -> Option<ByPlace> {
    let depth = |is_meant: &dyn Fn(&(LocationId, &[String])) -> bool| {
        path.iter().position(is_meant).map(|index| path.len() - index)
    };
    match (rule.location, &rule.group) {
        (Some(named), _) => depth(&|(location, _)| *location == named).map(ByPlace::Location),
        (None, Some(group)) => depth(&|(_, groups)| groups.contains(group)).map(ByPlace::Group),
        (None, None) => Some(ByPlace::Everywhere),
    }
}

fn specificity(rule: &Ownership, subject: Subject<'_>, path: &Path<'_>) -> Option<(ByItem, ByPlace)> {
    Some((by_item(rule, subject)?, by_place(rule, path)?))
}

/// The rule that speaks of a subject at a location (none: at one that no rule and no group names); none where Onhand is
/// master because nobody says otherwise.
pub fn speaking<'r>(
    rules: &'r Rules,
    sites: &Sites,
    subject: Subject<'_>,
    location: Option<LocationId>,
) -> Option<&'r (RuleId, Ownership)> {
    let path = path(sites, location);
    let speak = rules.iter().filter_map(|known| Some((specificity(&known.1, subject, &path)?, known)));
    speak.max_by_key(|(specificity, known)| (*specificity, Reverse(known.0))).map(|(_, known)| known)
}

/// Two of the rules that speak of a subject there and are the most specific, if they name two masters.
fn tie_at(
    rules: &Rules,
    sites: &Sites,
    subject: Subject<'_>,
    location: Option<LocationId>,
) -> Option<(RuleId, RuleId)> {
    let path = path(sites, location);
    let mut best = Vec::<&(RuleId, Ownership)>::new();
    let mut most = None;
    for known in rules {
        let Some(specificity) = specificity(&known.1, subject, &path) else { continue };
        if most.is_none_or(|most| specificity > most) {
            most = Some(specificity);
            best.clear();
        }
        if most == Some(specificity) {
            best.push(known);
        }
    }
    best.sort_unstable_by_key(|(id, _)| *id);
    let (first, rest) = best.split_first()?;
    rest.iter().find(|(_, other)| other.master != first.1.master).map(|(other, _)| (first.0, *other))
}

/// A tie of a subject, at any of these locations (or anywhere).
///
/// Rules meet where two of them name the same location, or groups of the same one. Whatever is more specific there is so
/// inside it too, so that nowhere else has to be looked.
pub fn tie(
    rules: &Rules,
    sites: &Sites,
    subject: Subject<'_>,
    within: Option<&BTreeSet<LocationId>>,
) -> Option<Tie> {
    let speak: Vec<&Ownership> =
        rules.iter().map(|(_, rule)| rule).filter(|rule| by_item(rule, subject).is_some()).collect();
    let (first, rest) = speak.split_first()?;
    if rest.iter().all(|rule| rule.master == first.master) {
        return None;
    }
    let mut located = BTreeMap::<Option<LocationId>, usize>::new();
    let mut grouped = BTreeMap::<&str, usize>::new();
    for rule in speak {
        match &rule.group {
            Some(group) => *grouped.entry(group).or_default() += 1,
            None => *located.entry(rule.location).or_default() += 1,
        }
    }
    let of_groups = |groups: &[String]| groups.iter().filter_map(|group| grouped.get(group.as_str())).sum();
    let in_groups = sites.grouped.iter().map(|(location, groups)| (Some(*location), of_groups(groups)));
    let is_asked = |location: Option<LocationId>| {
        within.is_none_or(|within| location.is_some_and(|at| within.contains(&at)))
    };
    let meet = located.iter().map(|(location, rules)| (*location, *rules)).chain(in_groups);
    let mut places = meet.filter(|(location, rules)| *rules > 1 && is_asked(*location));
    places.find_map(|(location, _)| {
        let (rule, other) = tie_at(rules, sites, subject, location)?;
        Some(Tie { location, rule, other })
    })
}

/// Tags of which an item must not have both, unless a rule for the item itself decides: their rules would tie, at any of
/// these locations (or anywhere).
pub fn tags_that_tie(
    rules: &Rules,
    sites: &Sites,
    within: Option<&BTreeSet<LocationId>>,
) -> BTreeSet<[String; 2]> {
    let tagged: Vec<&Ownership> =
        rules.iter().map(|(_, rule)| rule).filter(|rule| rule.item.is_none() && rule.tag.is_some()).collect();
    let mut located = BTreeMap::<Option<LocationId>, Vec<&Ownership>>::new();
    for rule in tagged.iter().filter(|rule| rule.group.is_none()) {
        located.entry(rule.location).or_default().push(rule);
    }
    // Many locations are in the same groups.
    let together: BTreeSet<&[String]> = sites.grouped.iter().map(|(_, groups)| groups.as_slice()).collect();
    let in_groups = together.into_iter().map(|groups| -> Vec<&Ownership> {
        let is_in = |rule: &&&Ownership| rule.group.as_ref().is_some_and(|group| groups.contains(group));
        tagged.iter().filter(is_in).copied().collect()
    });
    let mut met = BTreeSet::<[&String; 2]>::new();
    for here in located.into_values().chain(in_groups) {
        for (index, one) in here.iter().enumerate() {
            let others = here[index + 1..].iter().filter(|other| other.master != one.master);
            let pairs = others.filter_map(|other| one.tag.as_ref().zip(other.tag.as_ref()));
            met.extend(
                pairs
                    .filter(|(one, other)| one != other)
                    .map(|(one, other)| [one.min(other), one.max(other)]),
            );
        }
    }
    let both = met.into_iter().map(|tags| tags.map(String::clone));
    both.filter(|tags| tie(rules, sites, Subject { item: None, tags }, within).is_some()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::SystemId;
    use crate::model::{Location, Part};

    const SITE: LocationId = LocationId(1);
    const BIN: LocationId = LocationId(2);

    fn texts(texts: &[&str]) -> Vec<String> {
        texts.iter().map(|text| (*text).to_owned()).collect()
    }

    /// A site, and a bin in it.
    fn tree(site: &[&str], bin: &[&str]) -> Sites {
        let mut sites = Sites::default();
        for (id, groups, parent) in [(SITE, site, None), (BIN, bin, Some(SITE))] {
            let location = Location { groups: texts(groups), parent, ..Location::new("X") };
            sites.put(id, &location);
        }
        assert_eq!(sites.parts, [Part { parent: SITE, rank: 100, location: BIN, sellable: true }]);
        sites
    }

    fn rule(
        id: u64,
        item: Option<u64>,
        tag: Option<&str>,
        location: Option<LocationId>,
        group: Option<&str>,
    ) -> (RuleId, Ownership) {
        let (item, tag, group) = (item.map(ItemId), tag.map(str::to_owned), group.map(str::to_owned));
        (RuleId(id), Ownership { location, group, item, tag, master: SystemId(id) })
    }

    #[test]
    fn by_item_first_then_bin_site_group_of_the_bin_group_of_the_site_everywhere() {
        let sites = tree(&["EU"], &["COLD"]);
        let tags = texts(&["fragile"]);
        let subject = Subject { item: Some(ItemId(9)), tags: &tags };
        // From the most specific to the least.
        let mut rules = Vec::new();
        for (item, tag) in [(Some(9), None), (None, Some("fragile")), (None, None)] {
            for (location, group) in [
                (Some(BIN), None),
                (Some(SITE), None),
                (None, Some("COLD")),
                (None, Some("EU")),
                (None, None),
            ] {
                rules.push(rule(rules.len() as u64 + 1, item, tag, location, group));
            }
        }
        for first in 1..=15 {
            let speaks = speaking(&rules, &sites, subject, Some(BIN)).map(|(id, _)| id.0);
            assert_eq!((speaks, tie(&rules, &sites, subject, None)), (Some(first), None));
            rules.remove(0);
        }
        assert_eq!(speaking(&rules, &sites, subject, Some(BIN)), None);
    }

    #[test]
    fn a_location_in_two_groups_with_equally_specific_rules_is_a_tie() {
        let rules = [rule(1, None, None, None, Some("EU")), rule(2, None, None, None, Some("COLD"))];
        let tied = |sites: &Sites, rules: &Rules| tie(rules, sites, Subject::default(), None);
        let at_site = Tie { location: Some(SITE), rule: RuleId(1), other: RuleId(2) };
        assert_eq!(tied(&tree(&["COLD", "EU"], &[]), &rules), Some(at_site));
        assert_eq!(tied(&tree(&["EU"], &["COLD"]), &rules), None, "the nearest's group is more specific");
        let at_bin = Tie { location: Some(BIN), ..at_site };
        assert_eq!(tied(&tree(&["EU"], &["COLD", "EU"]), &rules), Some(at_bin));
        let [eu, cold] = rules;
        let decided = [eu, cold, rule(3, None, None, Some(SITE), None)];
        assert_eq!(tied(&tree(&["EU"], &["COLD", "EU"]), &decided), None, "the site's rule decides");
    }

    #[test]
    fn tags_tie_where_their_rules_meet_and_nothing_decides() {
        let rules =
            [rule(1, None, Some("a"), None, Some("EU")), rule(2, None, Some("b"), None, Some("COLD"))];
        let pairs = |sites: &Sites, rules: &Rules| tags_that_tie(rules, sites, None);
        let both = BTreeSet::from([["a".to_owned(), "b".to_owned()]]);
        assert_eq!(pairs(&tree(&["COLD", "EU"], &[]), &rules), both);
        assert_eq!(pairs(&tree(&["COLD"], &["EU"]), &rules), BTreeSet::new());
        let [one, other] = rules;
        let decided = [one, other, rule(3, None, Some("a"), Some(SITE), None)];
        assert_eq!(pairs(&tree(&["COLD", "EU"], &[]), &decided), BTreeSet::new());
    }
}
