//! Who is and who should be master, and what a rule about it would change.

use std::collections::{BTreeMap, BTreeSet};

use onhand_ledger::key::StockState;
use onhand_ledger::model::{Cause, Item, Ownership, Sites};
use onhand_ledger::ownership::{Rules, Subject, speaking};
use onhand_ledger::{
    Command, ItemId, Key, LocationId, Quantity, Refusal, RuleId, Seq, SystemId, TenantId, Value,
};
use onhand_store::StoreError;
use onhand_sync::{Candidate, Recommendation, recommend};

use crate::commit::{CommitError, Ledger};
use crate::preview::Amended;
use crate::view::View;

/// So many items are looked at together.
const SLICE: usize = 500;

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
    let (rules, sites) = (view.rules()?.ownership, view.sites()?);
    recommended_at(view, &rules, &sites, &sites.all)
}

/// As [`recommended`], of some locations, were these the rules.
fn recommended_at(
    view: &mut View<'_>,
    rules: &Rules,
    sites: &Sites,
    locations: &[LocationId],
) -> Result<Vec<Recommended>, StoreError> {
    let systems = view.systems()?;
    let absolutes = told_absolutes(view)?;
    let mut all = Vec::new();
    for location in locations {
        let rule = speaking(rules, sites, Subject::default(), Some(*location));
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
        let code = code(view, *location)?;
        let recommendation = recommend(&candidates, master_name.as_deref());
        let by_rule = master.is_some();
        all.push(Recommended { location: code, master: master_name, by_rule, recommendation });
    }
    Ok(all)
}

/// The sites, and of what is inside these whatever a rule names or a system has as a location of its own.
fn told_apart(view: &mut View<'_>, rules: &Rules, sites: &Sites) -> Result<BTreeSet<LocationId>, StoreError> {
    let mut all: BTreeSet<LocationId> = sites.all.iter().copied().collect();
    for part in &sites.parts {
        all.remove(&part.location);
    }
    all.extend(rules.iter().filter_map(|(_, rule)| rule.location));
    for (_, system) in view.systems()? {
        all.extend(system.locations.iter().map(|mapping| mapping.location));
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

/// What a command about an ownership rule would change.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Handovers {
    /// The rule that is changed or ended; none: it is a new one.
    pub rule: Option<RuleId>,
    /// Every location with each group of items that rules tell apart.
    pub changes: Vec<Handover>,
    /// The stock that is there of them.
    pub stock: HandedStock,
    /// Of the locations of these changes, what speaks against the masters they would have.
    pub warnings: Vec<Recommended>,
}

/// Stock whose master would be another.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct HandedStock {
    /// The first of it, by the items' age.
    pub first: Vec<Handed>,
    /// How many pairs of an item and a location there are of it, among the items looked at.
    pub count: usize,
    /// So many items were looked at.
    pub looked_at: usize,
    /// Were these all that the rule may speak of?
    pub is_all: bool,
}

/// An item that lies somewhere, and whose master there would be another.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Handed {
    /// What.
    pub sku: String,
    /// Where: a location's code.
    pub location: String,
    /// How much of it is on hand there, without what is inside that location.
    pub on_hand: Quantity,
    /// The master by now; none: Onhand.
    pub from: Option<String>,
    /// And then.
    pub to: Option<String>,
}

/// What setting or ending an ownership rule would change; or with what it would be refused. Of at most so many items it is looked what
/// stock is there, and so much of it is told.
pub fn preview(
    ledger: &Ledger,
    tenant: TenantId,
    command: &Command,
    (items, told): (usize, usize),
) -> Result<Result<Handovers, Refusal>, CommitError> {
    let read = |view: &mut View<'_>| {
        Ok(match Amended::by(view, command) {
            Ok(Ok(amended)) => {
                let rule = amended.rule;
                let change = Change::new(view, amended)?;
                let (changes, warnings) = (change.handovers(view)?, change.warnings(view)?);
                Ok(Ok((rule, change, changes, warnings)))
            }
            Ok(Err(refusal)) => Ok(Err(refusal)),
            Err(error) => Err(error),
        })
    };
    let (rule, change, changes, warnings) = match ledger.read(tenant, read)?? {
        Ok(found) => found,
        Err(refusal) => return Ok(Err(refusal)),
    };
    let mut stock = HandedStock { is_all: true, ..HandedStock::default() };
    let mut from = Some(ItemId(0));
    while let Some(first) = from.filter(|_| !changes.is_empty()) {
        if stock.looked_at >= items {
            stock.is_all = false;
            break;
        }
        let most = SLICE.min(items - stock.looked_at);
        from = ledger.read(tenant, |view| change.slice(view, (first, most), told, &mut stock))?;
    }
    Ok(Ok(Handovers { rule, changes, stock, warnings }))
}

/// The rules before and after, and all they are applied to.
struct Change {
    before: Vec<(RuleId, Ownership)>,
    after: Vec<(RuleId, Ownership)>,
    sites: Sites,
    /// What the rules that differ speak of, where all of them name items, or tags.
    only: Option<(BTreeSet<ItemId>, BTreeSet<String>)>,
}

impl Change {
    fn new(view: &mut View<'_>, amended: Amended) -> Result<Self, StoreError> {
        let (before, after) = (amended.before.ownership, amended.after.ownership);
        let differ = before.iter().filter(|rule| !after.contains(rule));
        let differ = differ.chain(after.iter().filter(|rule| !before.contains(rule)));
        let (mut items, mut tags, mut is_narrow) = (BTreeSet::new(), BTreeSet::new(), true);
        for (_, rule) in differ {
            match (rule.item, &rule.tag) {
                (Some(item), _) => _ = items.insert(item),
                (None, Some(tag)) => _ = tags.insert(tag.clone()),
                (None, None) => is_narrow = false,
            }
        }
        let only = is_narrow.then_some((items, tags));
        Ok(Self { before, after, sites: view.sites()?, only })
    }

    /// The masters of a subject at a location before and after, where they are two.
    fn at(&self, item: Option<ItemId>, tags: &[String], location: LocationId) -> Option<[SystemId; 2]> {
        let both = [&self.before, &self.after].map(|rules| {
            let spoken = speaking(rules, &self.sites, Subject { item, tags }, Some(location));
            spoken.map_or(SystemId::ONHAND, |(_, rule)| rule.master)
        });
        (both[0] != both[1]).then_some(both)
    }

    fn handovers(&self, view: &mut View<'_>) -> Result<Vec<Handover>, StoreError> {
        let items: BTreeSet<ItemId> =
            self.before.iter().chain(&self.after).filter_map(|(_, rule)| rule.item).collect();
        let tags: BTreeSet<String> =
            self.before.iter().chain(&self.after).filter_map(|(_, rule)| rule.tag.clone()).collect();
        let mut subjects: Vec<(Option<(ItemId, String)>, Vec<String>)> = vec![(None, Vec::new())];
        subjects.extend(tags.into_iter().map(|tag| (None, vec![tag])));
        for item in items {
            let Some(known) = view.item(item)? else { continue };
            subjects.push((Some((item, known.sku)), known.tags));
        }
        let mut changes = Vec::new();
        for location in &self.sites.all {
            for (item, tags) in &subjects {
                let Some([from, to]) = self.at(item.as_ref().map(|(item, _)| *item), tags, *location) else {
                    continue;
                };
                changes.push(Handover {
                    location: code(view, *location)?,
                    tag: tags.first().filter(|_| item.is_none()).cloned(),
                    sku: item.as_ref().map(|(_, sku)| sku.clone()),
                    from: name(view, from)?,
                    to: name(view, to)?,
                });
            }
        }
        Ok(changes)
    }

    /// What speaks against the masters that locations would have: two act as one, or another is nearer to the goods.
    fn warnings(&self, view: &mut View<'_>) -> Result<Vec<Recommended>, StoreError> {
        let places: Vec<LocationId> = told_apart(view, &self.after, &self.sites)?.into_iter().collect();
        let before: BTreeMap<String, Option<String>> =
            recommended_at(view, &self.before, &self.sites, &places)?
                .into_iter()
                .map(|one| (one.location, one.master))
                .collect();
        let mut after = recommended_at(view, &self.after, &self.sites, &places)?;
        after.retain(|one| {
            let is_another = before.get(&one.location).is_none_or(|master| *master != one.master);
            is_another && (one.recommendation.warning.is_some() || one.recommendation.master != one.master)
        });
        Ok(after)
    }

    /// Looks at items from one on, and says where to go on; none: these were all.
    fn slice(
        &self,
        view: &mut View<'_>,
        (from, most): (ItemId, usize),
        told: usize,
        found: &mut HandedStock,
    ) -> Result<Option<ItemId>, StoreError> {
        let page = self.items(view, from, most)?;
        for (id, item) in &page {
            found.looked_at += 1;
            for (location, on_hand) in held(view, *id)? {
                let Some([from, to]) = self.at(Some(*id), &item.tags, location) else { continue };
                found.count += 1;
                if found.first.len() < told {
                    let (sku, location) = (item.sku.clone(), code(view, location)?);
                    let (from, to) = (name(view, from)?, name(view, to)?);
                    found.first.push(Handed { sku, location, on_hand, from, to });
                }
            }
        }
        Ok(page.last().filter(|_| page.len() == most).map(|(last, _)| ItemId(last.0 + 1)))
    }

    /// The next items that the rules which differ may speak of, by their age.
    fn items(
        &self,
        view: &mut View<'_>,
        from: ItemId,
        most: usize,
    ) -> Result<Vec<(ItemId, Item)>, StoreError> {
        let last = ItemId(Seq::MAX >> 1);
        let Some((items, tags)) = &self.only else {
            let page = view.range(&Key::Item(from), &Key::Item(last), false, most)?;
            return Ok(page
                .into_iter()
                .filter_map(|(key, value)| match (key, value) {
                    (Key::Item(id), Value::Item(item)) => Some((id, *item)),
                    _ => None,
                })
                .collect());
        };
        let mut ids: BTreeSet<ItemId> = items.range(from..).copied().take(most).collect();
        for tag in tags {
            let (first, last) = (Key::Tagged(tag.clone(), from), Key::Tagged(tag.clone(), last));
            for (key, _) in view.range(&first, &last, false, most)? {
                if let Key::Tagged(_, item) = key {
                    ids.insert(item);
                }
            }
        }
        let mut page = Vec::new();
        for id in ids.into_iter().take(most) {
            page.extend(view.item(id)?.map(|item| (id, item)));
        }
        Ok(page)
    }
}

fn code(view: &mut View<'_>, location: LocationId) -> Result<String, StoreError> {
    Ok(view.location(location)?.map(|location| location.code).unwrap_or_default())
}

/// How much of an item is on hand at each location itself, where there is any.
fn held(view: &mut View<'_>, item: ItemId) -> Result<BTreeMap<LocationId, Quantity>, StoreError> {
    let mut held = BTreeMap::<LocationId, Quantity>::new();
    for (cell, slot) in view.cells_of(item)? {
        if StockState::ON_HAND.contains(&cell.state) {
            *held.entry(cell.location).or_default() += slot.quantity;
        }
    }
    held.retain(|_, quantity| !quantity.is_zero());
    Ok(held)
}

/// What a rule may speak of, and who is master of it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Mastered {
    /// Where.
    pub place: Place,
    /// The master of what no narrower rule names; none: Onhand. Of a group without a rule of its own it is each location's.
    pub master: Option<String>,
    /// The rule that says so; none where none speaks.
    pub rule: Option<(RuleId, Ownership)>,
    /// Is that the rule for this very place?
    pub is_own: bool,
    /// Whom we would take, where systems share it.
    pub recommendation: Option<Recommendation>,
    /// Rules for items and tags at this very place, the oldest first.
    pub narrower: Vec<(RuleId, Ownership)>,
}

/// A place that an ownership rule may speak of.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Place {
    /// All locations.
    Everywhere,
    /// The locations of a group.
    Group {
        /// Its name.
        name: String,
        /// How many locations are in it themselves.
        members: usize,
    },
    /// A location.
    Location {
        /// Its code.
        code: String,
        /// 0: a site; 1: inside one; and so on.
        depth: usize,
    },
}

/// Who is master where: everywhere, in each group, at each site, and at each zone and bin that a rule names or a
/// system has as a location of its own.
pub fn matrix(view: &mut View<'_>) -> Result<Vec<Mastered>, StoreError> {
    let (rules, sites) = (view.rules()?.ownership, view.sites()?);
    let places = told_apart(view, &rules, &sites)?;
    let named: Vec<LocationId> = places.iter().copied().collect();
    let mut shared: BTreeMap<String, Recommendation> = recommended_at(view, &rules, &sites, &named)?
        .into_iter()
        .map(|one| (one.location, one.recommendation))
        .collect();
    let own = |location: Option<LocationId>, group: Option<&str>| -> Vec<(RuleId, Ownership)> {
        let is_there = |rule: &Ownership| rule.location == location && rule.group.as_deref() == group;
        rules.iter().filter(|(_, rule)| is_there(rule)).cloned().collect()
    };
    let mut all = vec![mastered(view, Place::Everywhere, own(None, None))?];
    let mut groups = BTreeMap::<&str, usize>::new();
    for group in sites.grouped.iter().flat_map(|(_, groups)| groups) {
        *groups.entry(group).or_default() += 1;
    }
    for group in rules.iter().filter_map(|(_, rule)| rule.group.as_deref()) {
        groups.entry(group).or_default();
    }
    for (group, members) in groups {
        let place = Place::Group { name: group.to_owned(), members };
        all.push(mastered(view, place, own(None, Some(group)))?);
    }
    let inside: BTreeSet<LocationId> = sites.parts.iter().map(|part| part.location).collect();
    for site in sites.all.iter().filter(|location| !inside.contains(location)) {
        for location in sites.below(*site, false) {
            if !places.contains(&location) {
                continue;
            }
            let code = code(view, location)?;
            let recommendation = shared.remove(&code);
            let depth = if location == *site { 0 } else { sites.above(location).len() - 1 };
            let place = Place::Location { code, depth };
            let mut row = mastered(view, place, own(Some(location), None))?;
            row.rule = speaking(&rules, &sites, Subject::default(), Some(location)).cloned();
            row.is_own = row.rule.as_ref().is_some_and(|(_, rule)| rule.location == Some(location));
            row.master = match &row.rule {
                Some((_, rule)) => name(view, rule.master)?,
                None => None,
            };
            row.recommendation = recommendation;
            all.push(row);
        }
    }
    Ok(all)
}

/// A place with its own rules: the one for all items, and the narrower ones.
fn mastered(
    view: &mut View<'_>,
    place: Place,
    own: Vec<(RuleId, Ownership)>,
) -> Result<Mastered, StoreError> {
    let (mut narrower, general): (Vec<_>, Vec<_>) =
        own.into_iter().partition(|(_, rule)| rule.item.is_some() || rule.tag.is_some());
    narrower.sort_by_key(|(id, _)| *id);
    let rule = general.into_iter().next();
    let master = match &rule {
        Some((_, rule)) => name(view, rule.master)?,
        None => None,
    };
    Ok(Mastered { place, master, is_own: rule.is_some(), rule, recommendation: None, narrower })
}
