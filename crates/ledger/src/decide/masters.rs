//! Who is master: ownership rules, and that no two of them ever tie (law 6; see [`crate::ownership`]).
//!
//! A tie is refused wherever it would come about: where a rule is set or ended, where a location is put into groups or moved,
//! where an item is tagged. Merging moves rules between items whose masters agree everywhere, which makes none.
//! What is refused: a tie for an item there is, for one that is new and has no tags, and for one that has one tag only; at a location there
//! is, and at a site that is new. So a new item or location without tags or groups needs no look.

use std::collections::{BTreeMap, BTreeSet};

use crate::answer::{Answer, Invalid, Refusal, Tied};
use crate::command::SetOwnership;
use crate::entry::Entry;
use crate::key::Key;
use crate::model::{Item, Ownership, Rules};
use crate::ownership::{self, Subject};
use crate::{ItemId, LocationId, RuleId, Seq, SystemId};

use super::merge;
use super::tx::{Stop, Tx};

/// Who is master of an item's stock at a location, by the most specific rule.
pub(super) fn master(tx: &Tx<'_>, item: ItemId, location: LocationId) -> Result<SystemId, Stop> {
    let Some(rules) = tx.rules()?.filter(|rules| !rules.ownership.is_empty()) else {
        return Ok(SystemId::ONHAND);
    };
    let item = merge::live(tx, item)?;
    let subject = Subject { item: Some(item), tags: &tx.item(item)?.tags };
    let speaking = ownership::speaking(&rules.ownership, tx.sites()?, subject, Some(location));
    Ok(speaking.map_or(SystemId::ONHAND, |(_, rule)| rule.master))
}

/// One rule for each scope: setting it again changes it.
pub(super) fn set(tx: &mut Tx<'_>, set: &SetOwnership) -> Result<Answer, Stop> {
    let both = |field, problem: &str| Err(Invalid::Field { field, problem: problem.to_owned() }.into());
    if set.sku.is_some() && set.tag.is_some() {
        return both("tag", "name a SKU or a tag, not both");
    }
    if set.location.is_some() && set.group.is_some() {
        return both("group", "name a location or a group, not both");
    }
    if let Some(group) = &set.group {
        must_have_members(tx, "group", group, false)?;
    }
    let rule = Ownership {
        location: set.location.as_deref().map(|code| tx.location_id(code)).transpose()?,
        group: set.group.clone(),
        item: set.sku.as_deref().map(|sku| tx.item_id(sku)).transpose()?,
        tag: set.tag.clone(),
        master: tx.system_id(&set.master)?,
    };
    let mut all = tx.rules()?.cloned().unwrap_or_default();
    let known = all.ownership.iter().find(|(_, other)| other.scope() == rule.scope()).cloned();
    let id = known.as_ref().map_or(RuleId(tx.next_seq()), |(id, _)| *id);
    all.ownership.retain(|(other, _)| *other != id);
    all.ownership.push((id, rule.clone()));
    // A rule ties with others that speak of the same.
    changed_must_not_tie(tx, &all, &rule, |tags| tags.iter().any(|tag| Some(tag) == rule.tag.as_ref()))?;
    if known.is_none_or(|(_, before)| before != rule) {
        tx.emit(Entry::Ownership(id, Some(rule)))?;
    }
    Ok(Answer::Rule(id))
}

/// Ends a rule, which may have decided between two others.
pub(super) fn end(tx: &mut Tx<'_>, id: RuleId) -> Result<(), Stop> {
    let mut left = tx.rules()?.cloned().unwrap_or_default();
    let Some(index) = left.ownership.iter().position(|(other, _)| *other == id) else { return Ok(()) };
    let (_, ended) = left.ownership.remove(index);
    changed_must_not_tie(tx, &left, &ended, |_| true)?;
    tx.emit(Entry::Ownership(id, None))?;
    Ok(())
}

/// A group that no location is in is a slip of the pen: there is nothing else to know it by.
pub(super) fn must_have_members(
    tx: &Tx<'_>,
    field: &'static str,
    group: &str,
    only_sites: bool,
) -> Result<(), Stop> {
    let sites = tx.sites()?;
    if sites.members(group).any(|location| !only_sites || sites.parent(location).is_none()) {
        return Ok(());
    }
    let what = if only_sites { "site" } else { "location" };
    let problem = format!("no {what} is in the group `{group}`; put one into it first");
    Err(Invalid::Field { field, problem }.into())
}

// ---- ties ----------------------------------------------------------------------------------------------------

/// Refuses where an item that has these tags now would have two masters somewhere.
pub(super) fn tagged_must_not_tie(tx: &Tx<'_>, id: ItemId, item: &Item) -> Result<(), Stop> {
    match tx.rules()? {
        Some(all) => item_must_not_tie(tx, all, id, item, None),
        None => Ok(()),
    }
}

/// Refuses where a location that is in other groups now, or inside another location, would have two masters of
/// something, or what is inside it would.
pub(super) fn moved_must_not_tie(tx: &Tx<'_>, location: LocationId) -> Result<(), Stop> {
    let Some(all) = tx.rules()?.filter(|all| all.ownership.len() > 1) else { return Ok(()) };
    let within: BTreeSet<LocationId> = tx.sites()?.below(location, false).into_iter().collect();
    let within = Some(&within);
    subject_must_not_tie(tx, all, Subject::default(), within, Tied::All)?;
    // Rules for one and the same item or tag tie in two groups only.
    let (mut items, mut tags) = (BTreeMap::<ItemId, usize>::new(), BTreeMap::<&String, usize>::new());
    for (_, rule) in all.ownership.iter().filter(|(_, rule)| rule.group.is_some()) {
        match (rule.item, &rule.tag) {
            (Some(item), _) => *items.entry(item).or_default() += 1,
            (None, Some(tag)) => *tags.entry(tag).or_default() += 1,
            (None, None) => {}
        }
    }
    for (tag, _) in tags.into_iter().filter(|(_, rules)| *rules > 1) {
        tag_must_not_tie(tx, all, tag, within)?;
    }
    let items: Vec<ItemId> =
        items.into_iter().filter(|(_, rules)| *rules > 1).map(|(item, _)| item).collect();
    tx.want(items.iter().map(|item| Key::Item(*item)))?;
    items.into_iter().try_for_each(|id| item_must_not_tie(tx, all, id, tx.item(id)?, within))?;
    tags_must_not_tie(tx, all, within, |_| true)
}

/// Refuses where two rules tie of those that speak of what a rule speaks of that was set or ended; of tags that an item may
/// not have both of, only those that are asked for.
fn changed_must_not_tie(
    tx: &Tx<'_>,
    all: &Rules,
    changed: &Ownership,
    asked: impl Fn(&[String; 2]) -> bool,
) -> Result<(), Stop> {
    if all.ownership.len() < 2 {
        return Ok(());
    }
    match (changed.item, &changed.tag) {
        (Some(id), _) => item_must_not_tie(tx, all, id, tx.item(id)?, None),
        (None, Some(tag)) => {
            tag_must_not_tie(tx, all, tag, None)?;
            tags_must_not_tie(tx, all, None, asked)
        }
        (None, None) => subject_must_not_tie(tx, all, Subject::default(), None, Tied::All),
    }
}

type Within<'a> = Option<&'a BTreeSet<LocationId>>;

fn item_must_not_tie(
    tx: &Tx<'_>,
    all: &Rules,
    id: ItemId,
    item: &Item,
    within: Within<'_>,
) -> Result<(), Stop> {
    let subject = Subject { item: Some(id), tags: &item.tags };
    subject_must_not_tie(tx, all, subject, within, Tied::Item(item.sku.clone()))
}

fn tag_must_not_tie(tx: &Tx<'_>, all: &Rules, tag: &String, within: Within<'_>) -> Result<(), Stop> {
    let subject = Subject { item: None, tags: std::slice::from_ref(tag) };
    subject_must_not_tie(tx, all, subject, within, Tied::Tag(tag.clone()))
}

/// Items that have two tags whose rules tie.
fn tags_must_not_tie(
    tx: &Tx<'_>,
    all: &Rules,
    within: Within<'_>,
    asked: impl Fn(&[String; 2]) -> bool,
) -> Result<(), Stop> {
    let mut pairs = ownership::tags_that_tie(&all.ownership, tx.sites()?, within);
    pairs.retain(asked);
    let pairs: Vec<[&String; 2]> = pairs.iter().map(|[one, other]| [one, other]).collect();
    let items = having_both(tx, &pairs)?;
    items.into_iter().try_for_each(|id| item_must_not_tie(tx, all, id, tx.item(id)?, within))
}

/// The items that have, or had, both tags of any of these pairs; they are in memory then.
pub(super) fn having_both(tx: &Tx<'_>, pairs: &[[&String; 2]]) -> Result<BTreeSet<ItemId>, Stop> {
    let (first, last) = (ItemId(0), ItemId(Seq::MAX >> 1));
    let tagged = |tag: &String| (Key::Tagged(tag.clone(), first), Key::Tagged(tag.clone(), last));
    let tags: BTreeSet<&String> = pairs.iter().flatten().copied().collect();
    tx.want_ranges(tags.iter().map(|tag| tagged(tag)))?;
    let mut having = BTreeMap::<&String, BTreeSet<ItemId>>::new();
    for tag in tags {
        let (from, to) = tagged(tag);
        let items = tx.range(from, to)?.into_iter().filter_map(|(key, _)| match key {
            Key::Tagged(_, item) => Some(item),
            _ => None,
        });
        having.insert(tag, items.collect());
    }
    let both = |[one, other]: &[&String; 2]| having[one].intersection(&having[other]).copied().collect();
    let items: BTreeSet<ItemId> = pairs.iter().flat_map(|pair| -> Vec<ItemId> { both(pair) }).collect();
    tx.want(items.iter().copied().map(Key::Item))?;
    Ok(items)
}

fn subject_must_not_tie(
    tx: &Tx<'_>,
    all: &Rules,
    subject: Subject<'_>,
    within: Within<'_>,
    of: Tied,
) -> Result<(), Stop> {
    let Some(tie) = ownership::tie(&all.ownership, tx.sites()?, subject, within) else { return Ok(()) };
    let at = tie.location.map(|location| tx.location_code(location)).transpose()?;
    Err(Refusal::RuleTie { of, at, rule: tie.rule, other: tie.other }.into())
}
