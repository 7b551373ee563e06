//! Which of the publication rules speaks of what a listing shall show somewhere.
//!
//! By the thing first (the listing itself, its item, a tag of that, all), then by the place: a remote location, its system,
//! all. Two tags of one item at one place are equally specific: where their rules say different things, and no rule for the
//! item decides, it is a *tie*, which [`crate::decide`] refuses to let come about.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use crate::formula::Formula;
use crate::model::{Ownership, Publication, Rules, SellingStop};
use crate::{ItemId, ListingId, RuleId, SystemId};

/// What a rule is asked about.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Subject<'a> {
    /// The listing.
    pub listing: ListingId,
    /// What it sells.
    pub item: ItemId,
    /// The tags of that.
    pub tags: &'a [String],
    /// Whose listing it is.
    pub system: SystemId,
    /// At which location over there.
    pub remote_location: &'a str,
}

/// Where a rule speaks, the least specific first.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Place<'a> {
    /// At every system.
    All,
    /// At every location of a system.
    System(SystemId),
    /// At one location over there.
    RemoteLocation(SystemId, &'a str),
}

impl Place<'_> {
    /// Is all of another place in it?
    fn covers(self, other: Place<'_>) -> bool {
        match (self, other) {
            (Place::All, _) => true,
            (Place::System(one), Place::System(other) | Place::RemoteLocation(other, _)) => one == other,
            (Place::RemoteLocation(..), _) => self == other,
            (Place::System(_), Place::All) => false,
        }
    }
}

impl Publication {
    /// What it speaks of: there is one rule for each.
    pub fn scope(&self) -> (Option<ListingId>, Option<ItemId>, Option<&str>, Place<'_>) {
        (self.listing, self.item, self.tag.as_deref(), self.place())
    }

    /// Where it speaks.
    pub fn place(&self) -> Place<'_> {
        match (self.system, &self.remote_location) {
            (None, _) => Place::All,
            (Some(system), None) => Place::System(system),
            (Some(system), Some(remote)) => Place::RemoteLocation(system, remote),
        }
    }

    /// Does it say nothing of how a number is made?
    pub(crate) fn says_nothing_else(&self) -> bool {
        self.says() == Self { skip: self.skip, ..Self::default() }
    }

    /// What it says, whatever of.
    fn says(&self) -> Self {
        let nothing = (None, None, None, None, None);
        let (system, remote_location, item, tag, listing) = nothing;
        Self { system, remote_location, item, tag, listing, ..self.clone() }
    }
}

/// The rule that speaks.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Speaking<'a> {
    /// Its id.
    pub id: RuleId,
    /// What it says.
    pub rule: &'a Publication,
    /// Its formula, where it has one.
    pub formula: Option<&'a Formula>,
}

/// A rule, ready to speak.
#[derive(Clone, PartialEq, Eq, Debug)]
struct Ready {
    id: RuleId,
    rule: Publication,
    formula: Option<Arc<Formula>>,
}

/// All publication rules, made ready to be asked for many listings.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Index {
    rules: Vec<Ready>,
    listings: HashMap<ListingId, Vec<usize>>,
    items: HashMap<ItemId, Vec<usize>>,
    tags: HashMap<String, Vec<usize>>,
    all: Vec<usize>,
    stops: Vec<(RuleId, SellingStop)>,
    stopped_items: HashMap<ItemId, usize>,
    stopped_tags: HashMap<String, usize>,
    ownership: Vec<(RuleId, Ownership)>,
}

impl Index {
    /// The index of these rules.
    pub fn new(rules: Rules) -> Self {
        // What cannot be read was never saved: it would be as if the rule had none.
        let formula = |rule: &Publication| rule.formula.as_deref().and_then(|text| Formula::known(text).ok());
        let ready = |(id, rule): (RuleId, Publication)| Ready { id, formula: formula(&rule), rule };
        let all = rules.publication.into_iter().map(ready).collect();
        let (stops, ownership) = (rules.stopped, rules.ownership);
        let mut index = Self { rules: all, stops, ownership, ..Self::default() };
        for (nth, Ready { rule, .. }) in index.rules.iter().enumerate() {
            let same = match (rule.listing, rule.item, &rule.tag) {
                (Some(listing), ..) => index.listings.entry(listing).or_default(),
                (None, Some(item), _) => index.items.entry(item).or_default(),
                (None, None, Some(tag)) => index.tags.entry(tag.clone()).or_default(),
                (None, None, None) => &mut index.all,
            };
            same.push(nth);
        }
        for (nth, (_, stop)) in index.stops.iter().enumerate() {
            match (stop.item, &stop.tag) {
                (Some(item), _) => index.stopped_items.insert(item, nth),
                (None, Some(tag)) => index.stopped_tags.insert(tag.clone(), nth),
                (None, None) => None,
            };
        }
        index
    }

    /// Who is master of what, where some rule names this system.
    pub fn ownership_with(&self, master: SystemId) -> Option<&[(RuleId, Ownership)]> {
        let is_named = self.ownership.iter().any(|(_, rule)| rule.master == master);
        is_named.then_some(self.ownership.as_slice())
    }

    /// Does any rule make its number by a formula?
    pub fn has_formulas(&self) -> bool {
        self.rules.iter().any(|ready| ready.formula.is_some())
    }

    /// The most specific rule that speaks of a listing somewhere; none where all that is available is shown.
    pub fn speaking(&self, subject: Subject<'_>) -> Option<Speaking<'_>> {
        let of_listing = self.listings.get(&subject.listing);
        let of_item = self.items.get(&subject.item);
        let here = |rules: &[usize]| self.here(rules, subject);
        of_listing
            .and_then(|rules| here(rules))
            .or_else(|| of_item.and_then(|rules| here(rules)))
            .or_else(|| {
                if self.tags.is_empty() {
                    return None;
                }
                let tagged = subject.tags.iter().filter_map(|tag| self.tags.get(tag)).flatten().copied();
                here(&tagged.collect::<Vec<usize>>())
            })
            .or_else(|| here(&self.all))
            .map(|ready| Speaking { id: ready.id, rule: &ready.rule, formula: ready.formula.as_deref() })
    }

    /// Of these rules, which speak of the same thing, the one for the smallest place.
    fn here(&self, rules: &[usize], subject: Subject<'_>) -> Option<&Ready> {
        let place = Place::RemoteLocation(subject.system, subject.remote_location);
        let speak = rules.iter().map(|nth| &self.rules[*nth]);
        let speak = speak.filter(|ready| ready.rule.place().covers(place));
        // Where the rules of two tags say the same, the older one is named.
        speak.max_by_key(|ready| (ready.rule.place(), Reverse(ready.id)))
    }

    /// Why an item is not sold at all, where somebody stopped it, by itself or by a tag of it.
    pub fn stop(&self, item: ItemId, tags: &[String]) -> Option<&(RuleId, SellingStop)> {
        if self.stops.is_empty() {
            return None;
        }
        let of_tags = || tags.iter().find_map(|tag| self.stopped_tags.get(tag));
        self.stopped_items.get(&item).or_else(of_tags).map(|nth| &self.stops[*nth])
    }

    /// Is nothing stopped?
    pub fn stops_nothing(&self) -> bool {
        self.stops.is_empty()
    }
}

/// Two rules that are equally specific and say different things.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Tie<'a> {
    /// Where both speak.
    pub place: Place<'a>,
    /// The older one.
    pub rule: RuleId,
    /// And the other.
    pub other: RuleId,
}

/// A tie of an item with these tags.
pub fn tie<'r>(rules: &'r [(RuleId, Publication)], item: ItemId, tags: &[String]) -> Option<Tie<'r>> {
    let is_of_tags = |rule: &Publication| rule.tag.as_ref().is_some_and(|tag| tags.contains(tag));
    let own: Vec<Place<'_>> =
        rules.iter().filter(|(_, rule)| rule.item == Some(item)).map(|(_, rule)| rule.place()).collect();
    let mut met = BTreeMap::<Place<'_>, &(RuleId, Publication)>::new();
    for known in rules.iter().filter(|(_, rule)| is_of_tags(rule)) {
        let place = known.1.place();
        if own.iter().any(|own| own.covers(place)) {
            continue;
        }
        if let Some(other) = met.get(&place).filter(|other| other.1.says() != known.1.says()) {
            return Some(Tie { place, rule: known.0.min(other.0), other: known.0.max(other.0) });
        }
        met.insert(place, known);
    }
    None
}

/// The tags of which an item must not have this one too, unless a rule for the item decides.
pub fn tags_that_tie<'r>(rules: &'r [(RuleId, Publication)], with: &str) -> BTreeSet<&'r String> {
    let of = |tag: &str| {
        let tag = tag.to_owned();
        rules.iter().map(|(_, rule)| rule).filter(move |rule| rule.tag.as_ref() == Some(&tag))
    };
    let mut tags = BTreeSet::new();
    for mine in of(with) {
        let others = rules.iter().map(|(_, rule)| rule).filter(|other| other.place() == mine.place());
        tags.extend(
            others.filter(|other| other.says() != mine.says()).filter_map(|other| other.tag.as_ref()),
        );
    }
    tags
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Quantity;

    const SHOP: SystemId = SystemId(1);

    fn texts(texts: &[&str]) -> Vec<String> {
        texts.iter().map(|text| (*text).to_owned()).collect()
    }

    /// A rule of a thing at a place: it keeps back as many as its id says.
    fn rule(id: u64, thing: &str, place: &str) -> (RuleId, Publication) {
        let (kind, name) = thing.split_at(thing.len().min(1));
        let rule = Publication {
            listing: (kind == "L").then_some(ListingId(9)),
            item: (kind == "I").then_some(ItemId(7)),
            tag: (kind == "#").then(|| name.to_owned()),
            system: (!place.is_empty()).then_some(SHOP),
            remote_location: (place.len() > 1).then(|| place.to_owned()),
            buffer: Quantity::units(i64::try_from(id).unwrap()),
            ..Publication::default()
        };
        (RuleId(id), rule)
    }

    #[test]
    fn listing_item_tag_all_and_then_remote_location_system_all() {
        let mut rules = Vec::new();
        for thing in ["L", "I", "#new", ""] {
            for place in ["main", "S", ""] {
                rules.push(rule(rules.len() as u64 + 1, thing, place));
            }
        }
        let tags = texts(&["old", "new"]);
        let subject = |system, remote_location| Subject {
            listing: ListingId(9),
            item: ItemId(7),
            tags: &tags,
            system,
            remote_location,
        };
        for first in 1..=12 {
            let index = Index::new(Rules { publication: rules.clone(), ..Rules::default() });
            let by = |subject: Subject<'_>| index.speaking(subject).map(|speaking| speaking.id.0);
            assert_eq!(by(subject(SHOP, "main")), Some(first));
            // At another location of the system those for the first do not speak, and elsewhere only those for all.
            let next = |step: u64| rules.iter().map(|(id, _)| id.0).find(|id| id % 3 == step || id % 3 == 0);
            assert_eq!(by(subject(SHOP, "other")), next(2));
            assert_eq!(by(subject(SystemId(2), "main")), next(0));
            rules.remove(0);
        }
        assert_eq!(Index::default().speaking(subject(SHOP, "main")), None);
    }

    #[test]
    fn two_tags_tie_at_one_place_unless_their_rules_say_the_same_or_the_items_own_decides() {
        let (a, b) = (rule(1, "#a", "S"), rule(2, "#b", "S"));
        let both = texts(&["a", "b"]);
        let tied = |rules: &[(RuleId, Publication)]| {
            tie(rules, ItemId(7), &both).map(|tie| (tie.rule.0, tie.other.0))
        };
        assert_eq!(tied(&[a.clone(), b.clone()]), Some((1, 2)));
        assert_eq!(tie(&[a.clone(), b.clone()], ItemId(7), &both[..1]), None, "it has one of the tags");
        assert_eq!(tags_that_tie(&[a.clone(), b.clone()], "a"), BTreeSet::from([&both[1]]));
        assert_eq!(tied(&[a.clone(), rule(2, "#b", "main")]), None, "the smaller place decides");
        let same = Publication { buffer: a.1.buffer, ..b.1.clone() };
        assert_eq!(tied(&[a.clone(), (RuleId(2), same)]), None, "they say the same");
        assert_eq!(tied(&[a.clone(), b.clone(), rule(3, "I", "")]), None);
        assert_eq!(tied(&[a.clone(), b.clone(), rule(3, "I", "main")]), Some((1, 2)), "it speaks of less");
        assert_eq!(tied(&[a, b, rule(3, "L", "S")]), Some((1, 2)), "the item may have other listings");
    }

    #[test]
    fn an_item_is_stopped_by_itself_or_by_a_tag() {
        let stop = |item, tag: Option<&str>| SellingStop {
            item,
            tag: tag.map(str::to_owned),
            reason: "recalled".to_owned(),
            by: "Ada".to_owned(),
            at: crate::Instant::MIN,
        };
        let stopped = vec![(RuleId(1), stop(Some(ItemId(7)), None)), (RuleId(2), stop(None, Some("lead")))];
        let index = Index::new(Rules { stopped, ..Rules::default() });
        let by = |item, tags: &[&str]| index.stop(ItemId(item), &texts(tags)).map(|(id, _)| id.0);
        assert_eq!((by(7, &[]), by(8, &["x", "lead"]), by(8, &["x"])), (Some(1), Some(2), None));
    }
}
