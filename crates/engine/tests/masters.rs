//! Law 6: each (location, item) has exactly one master, whatever rules, groups, tags, places and merges come in whatever
//! order. A naive model, written from the design's sentences, says who that is, and which commands would make two.

#[path = "support/kept.rs"]
mod kept;

#[path = "support/shop.rs"]
#[expect(dead_code, reason = "the examples use the rest")]
mod shop;

#[path = "support/cases.rs"]
mod cases;

use std::collections::{BTreeMap, BTreeSet};

use kept::Kept::{self, File, Memory, Postgres};
use onhand_engine::{CommitError, Options, verify};
use onhand_ledger::command::{MergeItems, PutItem, PutLocation, SetOwnership, TakeCount};
use onhand_ledger::{Answer, Body, Quantity, Refusal, RuleId, StockState, TenantId};
use onhand_store::MemoryStore;
use proptest::prelude::*;
use rstest::rstest;
use shop::{Shop, units};

const ITEMS: [&str; 3] = ["MUG", "A", "B"];
const TAGS: [&str; 3] = ["fragile", "heavy", "new"];
const PLACES: [&str; 5] = ["LONDON", "ZONE", "BIN", "PARIS", "ROME"];
const GROUPS: [&str; 3] = ["EU", "COLD", "STORES"];
const SYSTEMS: [&str; 3] = ["onhand", "WEB", "WMS"];

#[derive(Clone, Debug)]
#[expect(clippy::option_option, reason = "as the command has it: as it is, inside nothing, inside another")]
enum Act {
    /// Item or tag, location or group; the last of the three is the master.
    Rule {
        item: Option<usize>,
        tag: Option<usize>,
        place: Option<usize>,
        group: Option<usize>,
        master: usize,
    },
    /// The nth rule that was ever set.
    End {
        nth: usize,
    },
    /// Makes a location or changes it.
    Place {
        place: usize,
        parent: Option<Option<usize>>,
        groups: Option<Vec<usize>>,
    },
    Tag {
        item: usize,
        tags: Vec<usize>,
    },
    Merge {
        from: usize,
        into: usize,
    },
    /// All of them or none.
    Together(Vec<Act>),
}

// ---- the model -----------------------------------------------------------------------------------------------

#[derive(Clone, Debug, Default)]
struct Place {
    parent: Option<usize>,
    groups: BTreeSet<usize>,
}

/// Item, tag, location, group.
type Scope = (Option<usize>, Option<usize>, Option<usize>, Option<usize>);

#[derive(Clone, Debug, Default)]
struct Naive {
    tags: [BTreeSet<usize>; 3],
    merged_into: [Option<usize>; 3],
    places: BTreeMap<usize, Place>,
    rules: BTreeMap<Scope, usize>,
    /// The scopes of rules in the order they were first set, and again after they had ended.
    set: Vec<Option<Scope>>,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum No {
    Tie,
    Merge,
    Invalid,
}

impl Naive {
    fn item(&self, mut item: usize) -> usize {
        while let Some(into) = self.merged_into[item] {
            item = into;
        }
        item
    }

    /// The nearest first.
    fn around(&self, place: Option<usize>) -> Vec<usize> {
        let mut around = Vec::new();
        let mut next = place;
        while let Some(place) = next {
            around.push(place);
            next = self.places[&place].parent;
        }
        around
    }

    /// Those whom the most specific rules name: of an item (or of anything else) with these tags, at a place (or at a new site).
    fn masters(&self, item: Option<usize>, tags: &BTreeSet<usize>, place: Option<usize>) -> BTreeSet<usize> {
        let around = self.around(place);
        // First the item itself, then its tags, then all.
        for by_item in 0..3 {
            let of_item: Vec<(&Scope, usize)> = self
                .rules
                .iter()
                .filter(|((of, tag, ..), _)| match by_item {
                    0 => of.is_some() && *of == item,
                    1 => tag.is_some_and(|tag| tags.contains(&tag)),
                    _ => of.is_none() && tag.is_none(),
                })
                .map(|(scope, master)| (scope, *master))
                .collect();
            let named = |is_named: &dyn Fn(Option<usize>, Option<usize>) -> bool| -> BTreeSet<usize> {
                let named = of_item.iter().filter(|((_, _, at, group), _)| is_named(*at, *group));
                named.map(|(_, master)| *master).collect()
            };
            // The place itself and what it is inside of, then the groups of these, then everywhere.
            let mut ways = Vec::new();
            for place in &around {
                ways.push(named(&|at, _| at == Some(*place)));
            }
            for place in &around {
                let groups = &self.places[place].groups;
                ways.push(named(&|_, group| group.is_some_and(|group| groups.contains(&group))));
            }
            ways.push(named(&|at, group| at.is_none() && group.is_none()));
            if let Some(first) = ways.into_iter().find(|masters| !masters.is_empty()) {
                return first;
            }
        }
        BTreeSet::from([0])
    }

    /// Is anything's master two systems anywhere: of what there is and of what is new, with one tag or none?
    fn ties(&self) -> bool {
        let mut kinds: Vec<(Option<usize>, BTreeSet<usize>)> = vec![(None, BTreeSet::new())];
        kinds.extend((0..TAGS.len()).map(|tag| (None, BTreeSet::from([tag]))));
        let items = (0..ITEMS.len()).filter(|item| self.merged_into[*item].is_none());
        kinds.extend(items.map(|item| (Some(item), self.tags[item].clone())));
        let places = || std::iter::once(None).chain(self.places.keys().copied().map(Some));
        kinds.iter().any(|(item, tags)| places().any(|place| self.masters(*item, tags, place).len() > 1))
    }

    fn master(&self, item: usize, place: usize) -> usize {
        let item = self.item(item);
        let masters = self.masters(Some(item), &self.tags[item], Some(place));
        assert_eq!(masters.len(), 1, "of {} at {}", ITEMS[item], PLACES[place]);
        masters.into_iter().next().unwrap()
    }

    /// Does it, or says why not, and is as it was.
    fn act(&mut self, act: &Act) -> Result<(), No> {
        let mut after = self.clone();
        after.change(act)?;
        *self = after;
        Ok(())
    }

    fn change(&mut self, act: &Act) -> Result<(), No> {
        match act {
            Act::Together(acts) => {
                // What a rule's id will be is not known before the group is done.
                let known = self.set.len();
                return acts.iter().try_for_each(|act| match act {
                    Act::End { nth } if *nth >= known => Err(No::Invalid),
                    act => self.act(act),
                });
            }
            Act::Rule { item, tag, place, group, master } => {
                let nowhere = |place: usize| !self.places.contains_key(&place);
                let empty = |group: usize| !self.places.values().any(|place| place.groups.contains(&group));
                if item.is_some() && tag.is_some()
                    || place.is_some() && group.is_some()
                    || place.is_some_and(nowhere)
                    || group.is_some_and(empty)
                {
                    return Err(No::Invalid);
                }
                let scope = (item.map(|item| self.item(item)), *tag, *place, *group);
                if self.rules.insert(scope, *master).is_none() {
                    self.set.push(Some(scope));
                }
            }
            Act::End { nth } => {
                let ended = self.set.get_mut(*nth).and_then(Option::take).ok_or(No::Invalid)?;
                self.rules.remove(&ended);
            }
            Act::Place { place, parent, groups } => {
                if parent.flatten().is_some_and(|parent| !self.places.contains_key(&parent)) {
                    return Err(No::Invalid);
                }
                let is_inside = parent.flatten().is_some_and(|parent| {
                    parent == *place
                        || self.places.contains_key(place) && self.around(Some(parent)).contains(place)
                });
                if is_inside {
                    return Err(No::Invalid);
                }
                let known = self.places.entry(*place).or_default();
                known.parent = parent.unwrap_or(known.parent);
                if let Some(groups) = groups {
                    known.groups = groups.iter().copied().collect();
                }
            }
            Act::Tag { item, tags } => {
                let item = self.item(*item);
                self.tags[item] = tags.iter().copied().collect();
            }
            Act::Merge { from, into } => {
                let (from, into) = (self.item(*from), self.item(*into));
                if from == into {
                    return Err(No::Invalid);
                }
                if self.places.keys().any(|place| self.master(from, *place) != self.master(into, *place)) {
                    return Err(No::Merge);
                }
                let moved: Vec<(Scope, usize)> = self
                    .rules
                    .iter()
                    .filter(|(scope, _)| scope.0 == Some(from))
                    .map(|(scope, master)| (*scope, *master))
                    .collect();
                for (scope, master) in moved {
                    let now = (Some(into), scope.1, scope.2, scope.3);
                    self.rules.remove(&scope);
                    let goes_on = !self.rules.contains_key(&now);
                    self.rules.entry(now).or_insert(master);
                    for known in self.set.iter_mut().filter(|known| **known == Some(scope)) {
                        *known = goes_on.then_some(now);
                    }
                }
                self.tags[from].clear();
                self.merged_into[from] = Some(into);
                assert!(!self.ties(), "a merge makes no tie");
            }
        }
        if self.ties() { Err(No::Tie) } else { Ok(()) }
    }
}

// ---- beside the ledger ---------------------------------------------------------------------------------------

fn name<const N: usize>(names: &[&str; N], index: Option<usize>) -> Option<String> {
    index.map(|index| names[index].to_owned())
}

/// The command; the rules that were ever set have these ids.
fn body(act: &Act, rules: &[RuleId]) -> Body {
    match act {
        Act::Rule { item, tag, place, group, master } => Body::SetOwnership(SetOwnership {
            location: name(&PLACES, *place),
            group: name(&GROUPS, *group),
            sku: name(&ITEMS, *item),
            tag: name(&TAGS, *tag),
            master: SYSTEMS[*master].to_owned(),
        }),
        Act::End { nth } => Body::EndRule(rules.get(*nth).copied().unwrap_or(RuleId(u64::MAX >> 1))),
        Act::Place { place, parent, groups } => Body::PutLocation(PutLocation {
            code: PLACES[*place].to_owned(),
            parent: parent.map(|parent| name(&PLACES, parent).unwrap_or_default()),
            groups: groups
                .clone()
                .map(|groups| groups.iter().map(|group| GROUPS[*group].to_owned()).collect()),
            ..PutLocation::default()
        }),
        Act::Tag { item, tags } => Body::PutItem(PutItem {
            sku: ITEMS[*item].to_owned(),
            tags: Some(tags.iter().map(|tag| TAGS[*tag].to_owned()).collect()),
            ..PutItem::default()
        }),
        Act::Merge { from, into } => {
            Body::MergeItems(MergeItems { from: ITEMS[*from].to_owned(), into: ITEMS[*into].to_owned() })
        }
        Act::Together(acts) => Body::Group(acts.iter().map(|act| body(act, rules)).collect()),
    }
}

fn no(refusal: &Refusal) -> No {
    match refusal {
        Refusal::RuleTie { .. } => No::Tie,
        Refusal::CannotMerge { .. } => No::Merge,
        Refusal::InGroup { refusal, .. } => no(refusal),
        other => panic!("{other}"),
    }
}

fn rules_of(answer: &Answer) -> Vec<RuleId> {
    match answer {
        Answer::Rule(rule) => vec![*rule],
        Answer::Group(answers) => answers.iter().flat_map(rules_of).collect(),
        _ => Vec::new(),
    }
}

/// Acts on both; says which acts were refused as ties.
fn run(shop: &Shop, acts: &[Act]) -> (Naive, usize) {
    let mut model = Naive { places: BTreeMap::from([(0, Place::default())]), ..Naive::default() };
    let mut rules = Vec::<RuleId>::new();
    let mut ties = 0;
    for act in acts {
        let expected = model.act(act);
        let head = shop.head();
        let answer = match shop.keyed(None, body(act, &rules)) {
            Ok(committed) => match committed.answer {
                Answer::Refused(refusal) => Err(no(&refusal)),
                answer => Ok(answer),
            },
            Err(CommitError::Invalid(_)) => Err(No::Invalid),
            Err(other) => panic!("{other}"),
        };
        assert_eq!(answer.as_ref().map(|_| ()).map_err(|no| *no), expected, "{act:?}\n{model:#?}");
        match answer {
            Ok(answer) if model.set.len() > rules.len() => {
                // Setting a rule again answers the id it has.
                let new = rules_of(&answer).into_iter().filter(|rule| !rules.contains(rule));
                let new: BTreeSet<RuleId> = new.collect();
                rules.extend(new);
                assert_eq!(rules.len(), model.set.len());
            }
            Ok(_) => {}
            Err(no) => {
                ties += usize::from(no == No::Tie);
                assert_eq!(shop.head(), head, "what is refused changes nothing");
            }
        }
        for item in 0..ITEMS.len() {
            for place in model.places.keys() {
                let said = said_master(shop, ITEMS[item], PLACES[*place]);
                assert_eq!(
                    said,
                    SYSTEMS[model.master(item, *place)],
                    "of {} at {}",
                    ITEMS[item],
                    PLACES[*place]
                );
            }
        }
    }
    (model, ties)
}

fn said_master(shop: &Shop, sku: &str, place: &str) -> String {
    let found = shop.ledger.read(TenantId::DEFAULT, |view| {
        let (item, _) = view.item_by_sku(sku)?.expect("the item is there");
        let (place, _) = view.location_by_code(place)?.expect("the place is there");
        Ok(match view.ownership_of(item, place)? {
            Some((_, rule)) => view.system(rule.master)?.map_or("onhand".to_owned(), |system| system.name),
            None => "onhand".to_owned(),
        })
    });
    found.unwrap()
}

/// An absolute quantity from each system, for each item at each place: the master's is stock, the others' evidence.
fn absolutes_are_their_masters(shop: &Shop, model: &Naive) {
    for (item, sku) in ITEMS.iter().enumerate() {
        for place in model.places.keys() {
            let master = model.master(item, *place);
            for (teller, name) in SYSTEMS.iter().enumerate() {
                let quantity = 7 + i64::try_from(teller).unwrap();
                let before = on_hand(shop, sku, PLACES[*place]);
                let told = shop.tell(Body::Count(TakeCount {
                    location: PLACES[*place].to_owned(),
                    lines: units(sku, quantity),
                    as_of: None,
                    inside: false,
                    system: (*name != "onhand").then(|| (*name).to_owned()),
                    net: false,
                }));
                let after = on_hand(shop, sku, PLACES[*place]);
                let what = format!("{name} of {} at {}: {told:?}", sku, PLACES[*place]);
                match &told {
                    Answer::Counted(..) => assert!(teller == master && after == quantity, "{what}"),
                    Answer::Waiting(..) => {
                        assert!(teller != master && teller != 0 && after == before, "{what}")
                    }
                    Answer::Refused(Refusal::NotMaster { master: said, .. }) => {
                        assert!(teller == 0 && said == SYSTEMS[master] && after == before, "{what}");
                    }
                    other => panic!("{other:?}"),
                }
            }
        }
    }
}

fn on_hand(shop: &Shop, sku: &str, place: &str) -> i64 {
    shop.ledger
        .read(TenantId::DEFAULT, |view| {
            let (item, _) = view.item_by_sku(sku)?.expect("the item is there");
            let (place, _) = view.location_by_code(place)?.expect("the place is there");
            view.held(item, place, StockState::Available).map(Quantity::whole_units)
        })
        .unwrap()
}

// ---- acts ----------------------------------------------------------------------------------------------------

fn some(of: usize) -> impl Strategy<Value = Option<usize>> {
    prop::option::weighted(0.5, 0..of)
}

fn few(of: usize) -> impl Strategy<Value = Vec<usize>> {
    prop::collection::vec(0..of, 0..=3)
}

/// With so many of the groups and tags.
fn act(width: usize) -> impl Strategy<Value = Act> {
    let rule = |item, tag| {
        let place = prop_oneof![
            1 => Just((None, None)),
            2 => (0..PLACES.len()).prop_map(|place| (Some(place), None)),
            4 => (0..width).prop_map(|group| (None, Some(group))),
        ];
        (item, tag, place, 0..SYSTEMS.len()).prop_map(|(item, tag, (place, group), master)| Act::Rule {
            item,
            tag,
            place,
            group,
            master,
        })
    };
    let one = prop_oneof![
        3 => rule(Just(None).boxed(), Just(None).boxed()),
        4 => rule(Just(None).boxed(), (0..width).prop_map(Some).boxed()),
        3 => rule((0..ITEMS.len()).prop_map(Some).boxed(), Just(None).boxed()),
        3 => (0..9_usize).prop_map(|nth| Act::End { nth }),
        5 => (0..PLACES.len(), prop::option::weighted(0.6, some(PLACES.len())), prop::option::weighted(0.6, few(width)))
            .prop_map(|(place, parent, groups)| Act::Place { place, parent, groups }),
        3 => (0..ITEMS.len(), few(width)).prop_map(|(item, tags)| Act::Tag { item, tags }),
        1 => (0..ITEMS.len(), 0..ITEMS.len()).prop_map(|(from, into)| Act::Merge { from, into }),
    ];
    one.boxed().prop_recursive(1, 4, 3, |one| prop::collection::vec(one, 1..=3).prop_map(Act::Together))
}

/// A world in which most acts mean something.
fn acts() -> impl Strategy<Value = Vec<Act>> {
    let place =
        |place, parent, groups: Vec<usize>| Act::Place { place, parent: Some(parent), groups: Some(groups) };
    (2..=GROUPS.len()).prop_flat_map(move |width| {
        let given =
            (few(width), few(width), few(width), few(width)).prop_map(move |(london, zone, bin, paris)| {
                let tagged = Act::Tag { item: 0, tags: vec![0, 1] };
                let places = [
                    place(0, None, london),
                    place(1, Some(0), zone),
                    place(2, Some(1), bin),
                    place(3, None, paris),
                ];
                places.into_iter().chain([tagged]).collect::<Vec<_>>()
            });
        (given, prop::collection::vec(act(width), 1..24)).prop_map(|(mut given, more)| {
            given.extend(more);
            given
        })
    })
}

proptest! {
    #![proptest_config(cases::config(320, 4_000))]

    #[test]
    fn there_is_one_master_whatever_comes_in_whatever_order(acts in acts(), cached in any::<bool>()) {
        let options =
            if cached { Options::default() } else { Options { flush_at: 0, slice: 1, cache: 0 } };
        let shop = Shop::over(Box::new(MemoryStore::default()), options);
        let (model, _) = run(&shop, &acts);
        absolutes_are_their_masters(&shop, &model);
        let verified = verify(&shop.ledger, TenantId::DEFAULT, &mut |_| {}).unwrap();
        prop_assert_eq!(verified.violation, None);
    }
}

proptest! {
    #![proptest_config(cases::config(12, 60))]

    #[test]
    fn there_is_one_master_on_each_engine(acts in acts()) {
        for kept in [File, Postgres] {
            let place = kept.place();
            let shop = Shop::over(place.store(), place.options());
            let (model, _) = run(&shop, &acts);
            absolutes_are_their_masters(&shop, &model);
            let verified = verify(&shop.ledger, TenantId::DEFAULT, &mut |_| {}).unwrap();
            prop_assert_eq!(verified.violation, None);
        }
    }
}

/// So that the property above is not kept by acts that mean nothing.
#[rstest]
fn every_way_to_a_tie_is_refused(#[values(Memory, File, Postgres)] kept: Kept) {
    let rule = |item, tag, place, group, master| Act::Rule { item, tag, place, group, master };
    let into = |place, groups: &[usize]| Act::Place { place, parent: None, groups: Some(groups.to_vec()) };
    let under = |place, parent| Act::Place { place, parent: Some(parent), groups: None };
    let tag = |item, tags: &[usize]| Act::Tag { item, tags: tags.to_vec() };
    let (eu, cold) = (rule(None, None, None, Some(0), 1), rule(None, None, None, Some(1), 2));
    let (fragile_eu, heavy_cold) =
        (rule(None, Some(0), None, Some(0), 1), rule(None, Some(1), None, Some(1), 2));
    let fragile_cold = rule(None, Some(0), None, Some(1), 2);
    let (mug_eu, mug_cold) = (rule(Some(0), None, None, Some(0), 1), rule(Some(0), None, None, Some(1), 2));
    let ways: Vec<(&str, Vec<Act>)> = vec![
        ("a rule is set", vec![into(0, &[0, 1]), eu.clone(), cold.clone()]),
        ("a rule gets another master", {
            vec![into(0, &[0, 1]), eu.clone(), rule(None, None, None, Some(1), 1), cold.clone()]
        }),
        ("a rule for an item is set", vec![into(0, &[0, 1]), mug_eu.clone(), mug_cold.clone()]),
        ("a rule for a tag is set", vec![into(0, &[0, 1]), fragile_eu.clone(), fragile_cold.clone()]),
        ("a rule for a second tag is set", {
            vec![into(0, &[0, 1]), tag(0, &[0, 1]), fragile_eu.clone(), heavy_cold.clone()]
        }),
        ("a location is put into a second group", {
            vec![into(0, &[0]), into(3, &[1]), eu.clone(), cold.clone(), into(0, &[0, 1])]
        }),
        ("the same, of an item", {
            vec![into(0, &[0]), into(3, &[1]), mug_eu.clone(), mug_cold.clone(), into(0, &[0, 1])]
        }),
        ("a location is made in two groups", {
            vec![into(0, &[0]), into(3, &[1]), eu.clone(), cold.clone(), into(4, &[0, 1])]
        }),
        ("an item is tagged", {
            vec![into(0, &[0, 1]), tag(0, &[0]), fragile_eu.clone(), heavy_cold.clone(), tag(0, &[0, 1])]
        }),
        ("a tag that decided is taken away", {
            let decides = rule(None, Some(2), Some(0), None, 0);
            let all = [into(0, &[0, 1]), tag(0, &[0, 1, 2]), decides, fragile_eu.clone(), heavy_cold.clone()];
            all.into_iter().chain([tag(0, &[0, 1])]).collect()
        }),
        ("a rule of the location that decided is ended", {
            let decides = rule(None, None, Some(0), None, 0);
            vec![into(0, &[0, 1]), decides, eu.clone(), cold.clone(), Act::End { nth: 0 }]
        }),
        ("a rule of a tag that decided is ended", {
            let decides = rule(None, Some(2), Some(0), None, 0);
            let all = [into(0, &[0, 1]), tag(0, &[0, 1, 2]), decides, fragile_eu.clone(), heavy_cold.clone()];
            all.into_iter().chain([Act::End { nth: 0 }]).collect()
        }),
        ("a rule of the item that decided is ended", {
            let decides = rule(Some(0), None, None, Some(0), 0);
            let all = [into(0, &[0, 1]), tag(0, &[0, 1]), decides, fragile_eu.clone(), heavy_cold.clone()];
            all.into_iter().chain([Act::End { nth: 0 }]).collect()
        }),
        ("a location leaves a group whose rule decided", {
            let decides = rule(Some(0), None, None, Some(2), 0);
            let tags = [rule(None, Some(0), Some(0), None, 1), rule(None, Some(1), Some(0), None, 2)];
            let all = [into(0, &[2]), into(3, &[2]), tag(0, &[0, 1]), decides];
            all.into_iter().chain(tags).chain([into(0, &[])]).collect()
        }),
        ("a location is moved out of the site whose rule decided", {
            let decides = rule(None, None, Some(3), None, 0);
            let all = [
                into(0, &[0]),
                into(3, &[]),
                into(4, &[1]),
                under(0, Some(3)),
                decides,
                eu.clone(),
                cold.clone(),
            ];
            all.into_iter().chain([into(0, &[0, 1]), under(0, None)]).collect()
        }),
        ("the same, in what is inside it", {
            let decides = rule(None, None, Some(3), None, 0);
            let all =
                [into(3, &[]), into(4, &[1]), under(0, Some(3)), into(1, &[0]), under(1, Some(0)), decides];
            let rules = [eu.clone(), cold.clone(), into(1, &[0, 1]), under(0, None)];
            all.into_iter().chain(rules).collect()
        }),
        ("several at once make one", {
            let both = Act::Together(vec![eu.clone(), cold.clone()]);
            vec![into(0, &[0, 1]), both]
        }),
    ];
    for (way, acts) in ways {
        let ties = |acts: &[Act]| {
            let place = kept.place();
            run(&Shop::over(place.store(), place.options()), acts).1
        };
        assert_eq!(ties(&acts), 1, "{way}");
        let ties = ties(&acts[..acts.len() - 1]);
        assert_eq!(ties, 0, "{way}: only the last step makes it");
    }
}

#[rstest]
fn a_merge_takes_rules_for_groups_along(#[values(Memory, File, Postgres)] kept: Kept) {
    let place = kept.place();
    let into = |place, group| Act::Place { place, parent: None, groups: Some(vec![group]) };
    let rule = |item, group, master| Act::Rule { item, tag: None, place: None, group, master };
    let acts = [
        into(0, 0),
        into(3, 1),
        rule(None, None, 1),
        rule(Some(0), Some(0), 1),
        rule(Some(1), Some(1), 1),
        Act::Merge { from: 0, into: 1 },
        // What the mug had in the one group and the other item in the other is known by these rules alone now.
        rule(None, None, 2),
    ];
    let shop = Shop::over(place.store(), place.options());
    let (model, ties) = run(&shop, &acts);
    assert_eq!((ties, model.rules.len()), (0, 3));
    for place in ["LONDON", "PARIS"] {
        assert_eq!(said_master(&shop, "A", place), "WEB");
    }
}
