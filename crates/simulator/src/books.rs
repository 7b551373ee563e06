//! What stock there is and what each listing shall show, from the log alone, apart from `ledger`'s fold and from `sync`.
//!
//! A checker that used the code it checks would agree with every mistake of it. This one knows movements, claims,
//! mappings and rules, and nothing of how decisions come about.

use std::collections::{BTreeMap, BTreeSet};

use onhand_ledger::key::StockState;
use onhand_ledger::model::{Discrepancy, KnownDocument, Listing, Order, Publication, System};
use onhand_ledger::{
    DiscrepancyId, Entry, HoldId, ItemId, ListingId, LocationId, OrderId, Quantity, Record, RuleId, Seq,
    SystemId,
};

use crate::world::MAIN;

/// The books at a `seq`.
#[derive(Clone, Debug, Default)]
pub struct Books {
    /// All up to this entry is in them.
    pub seq: Seq,
    /// Each cell's quantity, outside parties too.
    pub cells: BTreeMap<(ItemId, LocationId, StockState), i64>,
    claims: BTreeMap<(ItemId, SystemId, String), i64>,
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
            }
            Entry::Claimed { item, system, document, quantity } => {
                self.claims.insert((*item, *system, document.clone()), quantity.micros());
            }
            Entry::Listing(id, listing, _) => {
                self.listings.insert(*id, listing.as_ref().clone());
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

    /// What a listing shall show, in whole packs; none where it is not mapped.
    pub fn desired(&self, system: SystemId, remote_id: &str) -> Option<i64> {
        let (id, listing) = self.listing(system, remote_id)?;
        let item = listing.item?;
        let locations = &self.systems.get(&system)?.locations;
        let behind: BTreeSet<LocationId> = locations
            .iter()
            .filter(|mapping| mapping.remote_id == MAIN)
            .map(|mapping| mapping.location)
            .collect();
        let available = |location: &LocationId| {
            self.cells.get(&(item, *location, StockState::Available)).copied().unwrap_or(0)
        };
        let claimed: i64 =
            self.claims.iter().filter(|((of, _, _), _)| *of == item).map(|(_, quantity)| quantity).sum();
        // What waits may have been sold at each of them.
        let free: i64 =
            behind.iter().map(available).sum::<i64>() - claimed * i64::try_from(behind.len()).unwrap_or(1);
        let mut shown = free.max(0);
        if let Some(rule) = self.rule(id, item, system) {
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

    /// The most specific rule: by listing, then by item, then by system.
    fn rule(&self, listing: ListingId, item: ItemId, system: SystemId) -> Option<&Publication> {
        let fits = |rule: &&Publication| {
            rule.listing.is_none_or(|of| of == listing)
                && rule.item.is_none_or(|of| of == item)
                && rule.system.is_none_or(|of| of == system)
        };
        let weight = |rule: &&Publication| {
            u8::from(rule.listing.is_some()) * 4
                + u8::from(rule.item.is_some()) * 2
                + u8::from(rule.system.is_some())
        };
        self.rules.values().filter(fits).max_by_key(weight)
    }
}
