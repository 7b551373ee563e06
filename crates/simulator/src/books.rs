//! What stock there is and what each listing shall show, from the log alone, apart from `ledger`'s fold and from `sync`.
//!
//! A checker that used the code it checks would agree with every mistake of it. This one knows movements, claims,
//! mappings and rules, and nothing of how decisions come about.

use std::collections::{BTreeMap, BTreeSet};

use onhand_ledger::key::StockState;
use onhand_ledger::model::{Discrepancy, Item, KnownDocument, Listing, Order, Publication, Source, System};
use onhand_ledger::{
    DiscrepancyId, Entry, HoldId, Instant, ItemId, ListingId, LocationId, OrderId, Quantity, Record, RuleId,
    Seq, SystemId,
};

use crate::world::MAIN;

/// Who is none of our systems.
const PERSON: &str = "person";

fn located(source: &Source) -> Option<LocationId> {
    match source {
        Source::Location(location) => Some(*location),
        Source::Group(_) => None,
    }
}

/// The books at a `seq`.
#[derive(Clone, Debug, Default)]
pub struct Books {
    /// All up to this entry is in them.
    pub seq: Seq,
    /// Each cell's quantity, outside parties too.
    pub cells: BTreeMap<(ItemId, LocationId, StockState), i64>,
    claims: BTreeMap<(ItemId, SystemId, String), i64>,
    /// What moved into and out of each cell, and when it happened.
    pub moves: BTreeMap<(ItemId, LocationId, StockState), Vec<(Instant, i64)>>,
    /// Items.
    pub items: BTreeMap<ItemId, Item>,
    locations: BTreeMap<String, LocationId>,
    /// What each listing was last mapped to by a person.
    pub mapped_by_person: BTreeMap<ListingId, (Option<ItemId>, u32)>,
    /// Listings.
    pub listings: BTreeMap<ListingId, Listing>,
    /// Systems.
    pub systems: BTreeMap<SystemId, System>,
    rules: BTreeMap<RuleId, Publication>,
    /// Discrepancies, as they are now, and when each was written first.
    pub discrepancies: BTreeMap<DiscrepancyId, Discrepancy>,
    /// What became of outside documents.
    pub documents: BTreeMap<(SystemId, String), KnownDocument>,
    /// Documents that wait.
    pub waiting: BTreeSet<(SystemId, String)>,
    /// Orders.
    pub orders: BTreeMap<OrderId, Order>,
    /// Holds.
    pub holds: BTreeSet<HoldId>,
    /// How often each key was answered by a record.
    pub keys: BTreeMap<String, u32>,
    /// A cell that fell below zero, where one did.
    pub negative: Option<String>,
}

impl Books {
    /// One more record, whose first entry has that `seq`.
    pub fn add(&mut self, first: Seq, record: &Record) {
        if let Some(key) = &record.key {
            *self.keys.entry(key.clone()).or_default() += 1;
        }
        for (seq, entry) in (first..).zip(&record.entries) {
            self.seq = seq;
            self.entry(entry);
            if let Entry::Listing(id, listing, _) = entry
                && record.actor == PERSON
            {
                self.mapped_by_person.insert(*id, (listing.item, listing.multiplier));
            }
        }
    }

    fn entry(&mut self, entry: &Entry) {
        match entry {
            Entry::Movement(moved) => {
                let quantity = moved.quantity.micros();
                let from = (moved.item, moved.from.location, moved.from.state);
                let to = (moved.item, moved.to.location, moved.to.state);
                let left = self.cells.entry(from).or_default();
                *left -= quantity;
                if *left < 0 && !moved.from.state.is_party() {
                    let found = format!("{from:?} is {left} millionths at entry {}", self.seq);
                    self.negative.get_or_insert(found);
                }
                *self.cells.entry(to).or_default() += quantity;
                self.moves.entry(from).or_default().push((moved.occurred_at, -quantity));
                self.moves.entry(to).or_default().push((moved.occurred_at, quantity));
            }
            Entry::Claimed { item, system, document, quantity } => {
                self.claims.insert((*item, *system, document.clone()), quantity.micros());
            }
            Entry::Listing(id, listing, _) => {
                self.listings.insert(*id, listing.as_ref().clone());
            }
            Entry::Item(id, item) => {
                self.items.insert(*id, item.as_ref().clone());
            }
            Entry::Location(id, location) => {
                self.locations.insert(location.code.clone(), *id);
            }
            Entry::System(id, system) => {
                self.systems.insert(*id, system.as_ref().clone());
            }
            Entry::Publication(id, Some(rule)) => {
                self.rules.insert(*id, rule.clone());
            }
            Entry::Publication(id, None) => {
                self.rules.remove(id);
            }
            Entry::Discrepancy(id, discrepancy) => {
                self.discrepancies.insert(*id, discrepancy.as_ref().clone());
            }
            Entry::Document(system, name, known) => {
                self.documents.insert((*system, name.clone()), known.as_ref().clone());
            }
            Entry::Waiting(system, name, waiting) => {
                let key = (*system, name.clone());
                if waiting.is_some() {
                    self.waiting.insert(key)
                } else {
                    self.waiting.remove(&key)
                };
            }
            Entry::Order(id, order) => {
                self.orders.insert(*id, order.as_ref().clone());
            }
            Entry::Hold(id, _) => {
                self.holds.insert(*id);
            }
            _ => {}
        }
    }

    /// The sum of an item over all accounts, outside parties too: always zero.
    pub fn sums(&self) -> BTreeMap<ItemId, i64> {
        let mut sums = BTreeMap::new();
        for ((item, _, _), quantity) in &self.cells {
            *sums.entry(*item).or_default() += quantity;
        }
        sums
    }

    /// What an outside party holds of an item, in millionths.
    pub fn party(&self, item: ItemId, party: StockState) -> i64 {
        self.cells
            .iter()
            .filter(|((of, _, state), _)| *of == item && *state == party)
            .map(|(_, held)| held)
            .sum()
    }

    /// The listing of a system by its id over there.
    pub fn listing(&self, system: SystemId, remote_id: &str) -> Option<(ListingId, &Listing)> {
        let mut all = self.listings.iter();
        all.find(|(_, listing)| listing.system == system && listing.remote_id == remote_id)
            .map(|(id, one)| (*id, one))
    }

    /// What lies at a location of an item, promised or not, in millionths.
    pub fn physical(&self, sku: &str, place: &str) -> i64 {
        use StockState::{Available, Committed, Reserved, SafetyStock};
        let item = self.items.iter().find(|(_, item)| item.sku == sku).map(|(id, _)| *id);
        let (Some(item), Some(location)) = (item, self.locations.get(place)) else { return 0 };
        let held = |state| self.cells.get(&(item, *location, state)).copied().unwrap_or(0);
        [Available, Reserved, Committed, SafetyStock].into_iter().map(held).sum()
    }

    fn lies(&self, item: ItemId, location: LocationId) -> i64 {
        self.cells.get(&(item, location, StockState::Available)).copied().unwrap_or(0)
    }

    /// What documents that wait have sold of an item by its own name.
    fn claimed(&self, item: ItemId) -> i64 {
        self.claims.iter().filter(|((of, _, _), _)| *of == item).map(|(_, quantity)| quantity).sum()
    }

    /// And as a part of kits that do not lie there assembled, but for one of them.
    fn claimed_with_kits(&self, item: ItemId, but: Option<ItemId>) -> i64 {
        let mut claimed = self.claimed(item);
        for (kit, parts) in self.items.iter().map(|(id, known)| (*id, &known.kit)) {
            let of_it: i64 =
                parts.iter().filter(|part| part.item == item).map(|part| part.quantity.micros()).sum();
            let sold = self.claimed(kit);
            if Some(kit) != but && of_it > 0 && sold > 0 {
                let lie: i64 = self.locations.values().map(|location| self.lies(kit, *location)).sum();
                claimed += (sold - lie).max(0) / 1_000_000 * of_it;
            }
        }
        claimed
    }

    /// Whole kits that can be built at a location of what lies there, less so much of each part; in millionths.
    fn buildable(&self, kit: ItemId, location: LocationId, less: impl Fn(ItemId) -> i64) -> i64 {
        let parts = self.items.get(&kit).map(|item| item.kit.as_slice()).unwrap_or_default();
        let whole = parts.iter().map(|part| {
            (self.lies(part.item, location) - less(part.item)).max(0) / part.quantity.micros() * 1_000_000
        });
        whole.min().unwrap_or(0)
    }

    /// What a listing shall show, in whole packs; none where it is not mapped, or its number is left to its system.
    pub fn desired(&self, system: SystemId, remote_id: &str) -> Option<i64> {
        let (id, listing) = self.listing(system, remote_id)?;
        let item = listing.item?;
        let locations = &self.systems.get(&system)?.locations;
        let behind: BTreeSet<LocationId> = locations
            .iter()
            .filter(|mapping| mapping.remote_id == MAIN)
            .map(|mapping| mapping.location)
            .collect();
        let rule = self.rule(id, item, system);
        if rule.is_some_and(|rule| rule.skip) {
            return None;
        }
        let counts: BTreeSet<LocationId> =
            rule.iter().flat_map(|rule| &rule.counts).filter_map(located).collect();
        let behind = if counts.is_empty() { behind } else { counts };
        // What others have sold of its parts builds no kit; what waits of itself is its own, wherever it will be served from.
        let buildable = |location: &LocationId| {
            self.buildable(item, *location, |part| self.claimed_with_kits(part, Some(item)))
        };
        let available = |location: &LocationId| self.lies(item, *location) + buildable(location);
        let free = behind.iter().map(available).sum::<i64>() - self.claimed_with_kits(item, None);
        let mut shown = free.max(0);
        if let Some(rule) = rule {
            let micros = |quantity: Quantity| quantity.micros();
            if rule.stop_at.is_some_and(|stop| free <= micros(stop)) {
                shown = 0;
            }
            shown = (shown - micros(rule.buffer)).max(0);
            shown = shown * i64::from(rule.percentage) / 100;
            shown = rule.cap.map_or(shown, |cap| shown.min(micros(cap)));
        }
        Some(shown / (i64::from(listing.multiplier) * 1_000_000))
    }

    /// The most specific rule: by listing, then by item, then by tag; of these by one location of a system, then by system.
    fn rule(&self, listing: ListingId, item: ItemId, system: SystemId) -> Option<&Publication> {
        let has = |tag: &String| self.items.get(&item).is_some_and(|item| item.tags.contains(tag));
        let fits = |rule: &&Publication| {
            rule.listing.is_none_or(|of| of == listing)
                && rule.item.is_none_or(|of| of == item)
                && rule.tag.as_ref().is_none_or(has)
                && rule.system.is_none_or(|of| of == system)
                && rule.remote_location.as_ref().is_none_or(|of| of == MAIN)
        };
        let weight = |rule: &&Publication| {
            u8::from(rule.listing.is_some()) * 16
                + u8::from(rule.item.is_some()) * 8
                + u8::from(rule.tag.is_some()) * 4
                + u8::from(rule.remote_location.is_some()) * 2
                + u8::from(rule.system.is_some())
        };
        self.rules.values().filter(fits).max_by_key(weight)
    }
}
