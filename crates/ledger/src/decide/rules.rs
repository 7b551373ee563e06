//! Ownership and publication rules. Folded here as data; `sync` gives publication rules their meaning.

use std::collections::BTreeSet;

use crate::answer::{Answer, Invalid, Refusal};
use crate::command::{SetOwnership, SetPublication};
use crate::entry::Entry;
use crate::key::Key;
use crate::model::{Item, Ownership, Publication, Rules, Sites};
use crate::state::Value;
use crate::{ItemId, Quantity, RuleId, Seq};

use super::tx::{Stop, Tx};

fn rules(tx: &Tx<'_>) -> Result<Rules, Stop> {
    Ok(tx.rules()?.cloned().unwrap_or_default())
}

/// One rule for each scope: setting it again changes it.
pub(super) fn set_ownership(tx: &mut Tx<'_>, set: &SetOwnership) -> Result<Answer, Stop> {
    if set.sku.is_some() && set.tag.is_some() {
        let problem = "name a SKU or a tag, not both".to_owned();
        return Err(Invalid::Field { field: "tag", problem }.into());
    }
    let rule = Ownership {
        location: set.location.as_deref().map(|code| tx.location_id(code)).transpose()?,
        item: set.sku.as_deref().map(|sku| tx.item_id(sku)).transpose()?,
        tag: set.tag.clone(),
        master: tx.system_id(&set.master)?,
    };
    let scope = |rule: &Ownership| (rule.location, rule.item, rule.tag.clone());
    let mut all = rules(tx)?;
    let known = all.ownership.iter().find(|(_, other)| scope(other) == scope(&rule)).cloned();
    let id = known.as_ref().map_or(RuleId(tx.next_seq()), |(id, _)| *id);
    all.ownership.retain(|(other, _)| *other != id);
    all.ownership.push((id, rule.clone()));
    if let Some(tag) = &rule.tag {
        tagged_must_not_tie(tx, &all, tag)?;
    }
    if known.is_none_or(|(_, before)| before != rule) {
        tx.emit(Entry::Ownership(id, Some(rule)))?;
    }
    Ok(Answer::Rule(id))
}

/// Refuses where two rules for tags of an item name different masters at the same location (or everywhere), and no rule
/// for the item itself, there or around it, decides.
pub(super) fn must_not_tie(all: &Rules, sites: &Sites, id: ItemId, item: &Item) -> Result<(), Stop> {
    let tagged: Vec<&(RuleId, Ownership)> = all
        .ownership
        .iter()
        .filter(|(_, rule)| {
            rule.item.is_none() && rule.tag.as_ref().is_some_and(|tag| item.tags.contains(tag))
        })
        .collect();
    for (index, (rule, one)) in tagged.iter().enumerate() {
        let decided = all.ownership.iter().any(|(_, rule)| {
            let around = |outer| one.location.is_some_and(|location| sites.is_in(location, outer));
            rule.item == Some(id) && rule.location.is_none_or(around)
        });
        let tie = tagged[index + 1..]
            .iter()
            .find(|(_, other)| other.location == one.location && other.master != one.master);
        if let Some((other, _)) = tie.filter(|_| !decided) {
            return Err(Refusal::RuleTie { sku: item.sku.clone(), rule: *rule, other: *other }.into());
        }
    }
    Ok(())
}

/// Refuses where a location that is inside another now leaves two rules for tags undecided, which a rule around it decided.
pub(super) fn moved_must_not_tie(tx: &Tx<'_>) -> Result<(), Stop> {
    let all = rules(tx)?;
    let tags: BTreeSet<&String> = all.ownership.iter().filter_map(|(_, rule)| rule.tag.as_ref()).collect();
    tags.into_iter().try_for_each(|tag| tagged_must_not_tie(tx, &all, tag))
}

fn tagged_must_not_tie(tx: &Tx<'_>, all: &Rules, tag: &str) -> Result<(), Stop> {
    // With no other rule for a tag there is nothing to tie with.
    if !all.ownership.iter().any(|(_, rule)| rule.tag.as_ref().is_some_and(|other| other != tag)) {
        return Ok(());
    }
    let (first, last) = (ItemId(0), ItemId(Seq::MAX >> 1));
    let tagged = tx.range(Key::Tagged(tag.to_owned(), first), Key::Tagged(tag.to_owned(), last))?;
    let items = tagged.iter().filter_map(|(key, _)| match key {
        Key::Tagged(_, item) => Some(*item),
        _ => None,
    });
    tx.want(items.clone().map(Key::Item))?;
    let sites = tx.sites()?;
    items.into_iter().try_for_each(|id| must_not_tie(all, sites, id, tx.item(id)?))
}

/// One rule for each scope: setting it again changes it.
pub(super) fn set_publication(tx: &mut Tx<'_>, set: &SetPublication) -> Result<Answer, Stop> {
    let system = set.system.as_deref().map(|name| tx.system_id(name)).transpose()?;
    let listing = match (&set.listing, system) {
        (None, _) => None,
        (Some(_), None) => {
            let problem = "a listing needs its system beside it".to_owned();
            return Err(Invalid::Field { field: "system", problem }.into());
        }
        (Some(remote_id), Some(system)) => match tx.value(&Key::RemoteListing(system, remote_id.clone()))? {
            Some(Value::ListingId(id)) => Some(*id),
            _ => {
                let problem =
                    format!("`{remote_id}` is no listing that is known of that system; make it first");
                return Err(Invalid::Field { field: "listing", problem }.into());
            }
        },
    };
    for (field, quantity) in [("buffer", set.buffer), ("cap", set.cap), ("stop_at", set.stop_at)] {
        if quantity.is_some_and(Quantity::is_negative) {
            return Err(Invalid::Field { field, problem: "must not be negative".into() }.into());
        }
    }
    let percentage = set.percentage.unwrap_or(100);
    if percentage > 100 {
        return Err(Invalid::Field { field: "percentage", problem: "must be 0 to 100".into() }.into());
    }
    let rule = Publication {
        system,
        item: set.sku.as_deref().map(|sku| tx.item_id(sku)).transpose()?,
        listing,
        buffer: set.buffer.unwrap_or_default(),
        cap: set.cap,
        percentage,
        stop_at: set.stop_at,
    };
    let scope = |rule: &Publication| (rule.system, rule.item, rule.listing);
    let known = rules(tx)?.publication.into_iter().find(|(_, other)| scope(other) == scope(&rule));
    let id = known.as_ref().map_or(RuleId(tx.next_seq()), |(id, _)| *id);
    if known.is_none_or(|(_, before)| before != rule) {
        tx.emit(Entry::Publication(id, Some(rule)))?;
    }
    Ok(Answer::Rule(id))
}

pub(super) fn end_rule(tx: &mut Tx<'_>, id: RuleId) -> Result<Answer, Stop> {
    let known = rules(tx)?;
    if let Some((_, ended)) = known.ownership.iter().find(|(other, _)| *other == id) {
        // A rule for an item may have decided between two for its tags.
        if let Some(item) = ended.item {
            let mut left = known.clone();
            left.ownership.retain(|(other, _)| *other != id);
            must_not_tie(&left, tx.sites()?, item, tx.item(item)?)?;
        }
        tx.emit(Entry::Ownership(id, None))?;
    } else if known.publication.iter().any(|(other, _)| *other == id) {
        tx.emit(Entry::Publication(id, None))?;
    } else if known.allocation.iter().any(|(other, _)| *other == id) {
        tx.emit(Entry::Allocation(id, None))?;
        super::order::offer_all(tx)?;
    } else {
        return Err(Invalid::Unknown { kind: "rule", id: id.to_string() }.into());
    }
    Ok(Answer::Rule(id))
}
