//! Who should be master, and what a rule about it would change.

use std::collections::BTreeSet;

use onhand_ledger::model::{Cause, Ownership};
use onhand_ledger::ownership::{Subject, speaking};
use onhand_ledger::{ItemId, Key, LocationId, RuleId, Seq, SystemId, Value};
use onhand_store::StoreError;
use onhand_sync::{Candidate, Recommendation, recommend};

use crate::view::View;

/// A location, who is master of it by now, and whom we would take.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Recommended {
    /// The location's code.
    pub location: String,
    /// Its master's name by now, for items that no rule names; none: Onhand.
    pub master: Option<String>,
    /// Does a rule say so?
    pub by_rule: bool,
    /// Whom we would take, and why.
    pub recommendation: Recommendation,
}

fn name(view: &mut View<'_>, system: SystemId) -> Result<Option<String>, StoreError> {
    Ok(match system {
        SystemId::ONHAND => None,
        other => view.system(other)?.map(|system| system.name),
    })
}

/// Systems that told absolute quantities of a location which were not taken: (system, location).
fn told_absolutes(view: &mut View<'_>) -> Result<BTreeSet<(SystemId, Option<LocationId>)>, StoreError> {
    let from = Key::Discrepancy(onhand_ledger::DiscrepancyId(0));
    let to = Key::Discrepancy(onhand_ledger::DiscrepancyId(Seq::MAX >> 1));
    let mut told = BTreeSet::new();
    for (_, value) in view.range(&from, &to, true, 10_000)? {
        let Value::Discrepancy(known) = value else { continue };
        if known.cause == Cause::NotMaster && known.resolved_at.is_none() {
            told.insert((known.system, known.location));
        }
    }
    Ok(told)
}

/// Whom we would take as master of each location that a system has, or a rule speaks of.
pub fn recommended(view: &mut View<'_>) -> Result<Vec<Recommended>, StoreError> {
    let (rules, sites, systems) = (view.rules()?.ownership, view.sites()?, view.systems()?);
    let absolutes = told_absolutes(view)?;
    let mut all = Vec::new();
    for location in &sites.all {
        let rule = speaking(&rules, &sites, Subject::default(), Some(*location));
        let master = rule.map(|(_, rule)| rule.master);
        let candidates: Vec<Candidate> = systems
            .iter()
            .filter(|(id, system)| {
                system.locations.iter().any(|mapping| mapping.location == *location)
                    || absolutes.contains(&(*id, Some(*location)))
                    || master == Some(*id)
            })
            .map(|(id, system)| Candidate {
                name: system.name.clone(),
                role: system.role,
                tells_absolutes: absolutes.contains(&(*id, Some(*location))),
            })
            .collect();
        if candidates.is_empty() {
            continue;
        }
        let master_name = match master {
            Some(master) => name(view, master)?,
            None => None,
        };
        let code = view.location(*location)?.map(|location| location.code).unwrap_or_default();
        let recommendation = recommend(&candidates, master_name.as_deref());
        let by_rule = master.is_some();
        all.push(Recommended { location: code, master: master_name, by_rule, recommendation });
    }
    Ok(all)
}

/// Some stock whose master would be another.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Handover {
    /// The location's code.
    pub location: String,
    /// Of which items: a SKU.
    pub sku: Option<String>,
    /// Or a tag; neither: all that no other rule names.
    pub tag: Option<String>,
    /// The master by now; none: Onhand.
    pub from: Option<String>,
    /// And then.
    pub to: Option<String>,
}

/// What a rule would change: every location with each group of items that rules tell apart.
pub fn preview(view: &mut View<'_>, rule: &Ownership) -> Result<Vec<Handover>, StoreError> {
    let (before, sites) = (view.rules()?.ownership, view.sites()?);
    let mut after = before.clone();
    let same = |known: &Ownership| {
        (known.location, &known.group, known.item, &known.tag)
            == (rule.location, &rule.group, rule.item, &rule.tag)
    };
    match after.iter_mut().find(|(_, known)| same(known)) {
        Some((_, known)) => known.master = rule.master,
        None => after.push((RuleId(Seq::MAX >> 1), rule.clone())),
    }
    let items: BTreeSet<ItemId> = after.iter().filter_map(|(_, rule)| rule.item).collect();
    let tags: BTreeSet<String> = after.iter().filter_map(|(_, rule)| rule.tag.clone()).collect();
    let mut subjects: Vec<(Option<ItemId>, Vec<String>)> = vec![(None, Vec::new())];
    subjects.extend(tags.into_iter().map(|tag| (None, vec![tag])));
    for item in items {
        let known = view.item(item)?;
        subjects.push((Some(item), known.map(|known| known.tags).unwrap_or_default()));
    }
    let mut changes = Vec::new();
    for location in &sites.all {
        let master = |rules: &[(RuleId, Ownership)], item: Option<ItemId>, tags: &[String]| {
            let spoken = speaking(rules, &sites, Subject { item, tags }, Some(*location));
            spoken.map_or(SystemId::ONHAND, |(_, rule)| rule.master)
        };
        for (item, tags) in &subjects {
            let (from, to) = (master(&before, *item, tags), master(&after, *item, tags));
            if from == to {
                continue;
            }
            let sku = match item {
                Some(item) => view.item(*item)?.map(|item| item.sku),
                None => None,
            };
            changes.push(Handover {
                location: view.location(*location)?.map(|location| location.code).unwrap_or_default(),
                tag: tags.first().filter(|_| item.is_none()).cloned(),
                sku,
                from: name(view, from)?,
                to: name(view, to)?,
            });
        }
    }
    Ok(changes)
}
