//! Merges in the naive model: what the one has is the other's from then on; its past stays its own.

use onhand_ledger::StockState;
use onhand_ledger::command::MergeItems;

use crate::naive::{Account, Answer, Became, Model, Said, Stop, Why, add, total};

/// One item became another.
#[derive(Clone, Copy, Debug)]
pub struct Merge {
    pub from: usize,
    pub into: usize,
    pub at: i64,
}

const PRODUCTION: Account = Account::Party(StockState::Production);

impl Model {
    pub fn merge_of(&self, item: usize) -> Option<Merge> {
        self.merges.iter().find(|merge| merge.from == item).copied()
    }

    /// The item that an item is by now.
    pub fn live(&self, item: usize) -> usize {
        self.merge_of(item).map_or(item, |merge| self.live(merge.into))
    }

    /// The item of that name at an instant: all merges up to then have been.
    pub fn meant(&self, sku: &str, at: i64) -> Result<usize, Stop> {
        let item = self.skus.iter().position(|known| known == sku).ok_or(Stop::Invalid)?;
        Ok(self.item_at(item, at))
    }

    /// What an item was at an instant.
    pub fn item_at(&self, item: usize, at: i64) -> usize {
        match self.merge_of(item).filter(|merge| merge.at <= at) {
            Some(merge) => self.item_at(merge.into, at),
            None => item,
        }
    }

    /// Has a count seen what is told to have happened: of the item, or of the one it became, after it did?
    pub fn has_seen(&self, item: usize, place: usize, at: i64) -> bool {
        let later = |merge: Merge| self.has_seen(merge.into, place, merge.at);
        self.first_count(item, place, at).is_some() || self.merge_of(item).is_some_and(later)
    }

    pub fn merge(&mut self, merge: &MergeItems) -> Answer {
        let (from, into) = (self.sku(&merge.from)?, self.sku(&merge.into)?);
        if from == into {
            return Err(Stop::Invalid);
        }
        // Nothing that is on its way or expected by its name, and nothing that another system is master of.
        let must_wait = |place: usize| {
            self.held(from, place, StockState::InTransit) > 0
                || self.incoming(from, place) > 0
                || self.master(from, place) != self.master(into, place)
        };
        if (0..self.sites.len()).any(must_wait) {
            return Err(Stop::Refused(Why::CannotMerge));
        }
        let is_listed = |model: &Self, listing: &str| model.sku(listing).is_ok_and(|item| item == from);
        let listings = self.listings.iter().filter(|(.., sku, _)| is_listed(self, sku)).count();
        let mut moved = Vec::new();
        for place in 0..self.sites.len() {
            let mut gained = 0;
            for state in StockState::ON_HAND {
                let there = self.held(from, place, state);
                if there > 0 {
                    self.go(from, Account::At(place, state), PRODUCTION, there, self.now);
                    self.go(into, PRODUCTION, Account::At(place, state), there, self.now);
                    gained += there;
                }
            }
            if gained > 0 {
                moved.push((into, place, gained));
            }
        }
        let (mut orders, mut holds) = (0, 0);
        for order in &mut self.orders {
            let lines = || order.lines.iter().filter(|line| line.item == from);
            orders += usize::from(lines().any(|line| line.short + total(&line.allocated) > 0));
            order.lines.iter_mut().for_each(|line| line.item = other(line.item, from, into));
        }
        for hold in &mut self.holds {
            let keeps = hold.lines.iter().any(|line| line.item == from && total(&line.reserved) > 0);
            holds += usize::from(keeps);
            hold.lines.iter_mut().for_each(|line| line.item = other(line.item, from, into));
        }
        for line in self.transfers.iter_mut().flat_map(|known| &mut known.lines) {
            line.item = other(line.item, from, into);
        }
        for line in self.purchases.iter_mut().flat_map(|known| &mut known.lines) {
            line.item = other(line.item, from, into);
        }
        for known in &mut self.documents {
            if let Became::Arrived(arrived) = &mut known.became {
                arrived.parts.iter_mut().for_each(|part| part.0 = other(part.0, from, into));
            }
        }
        for waits in &mut self.waits {
            for (item, sold) in std::mem::take(&mut waits.sold) {
                add(&mut waits.sold, other(item, from, into), sold);
            }
        }
        // Of two rules for the same the other's own stays.
        let rules = self.rules.clone();
        self.rules.retain(|(at, of, _)| {
            let is_there = rules.iter().any(|(other_at, other, _)| (other_at, *other) == (at, Some(into)));
            *of != Some(from) || !is_there
        });
        self.rules.iter_mut().for_each(|rule| rule.1 = rule.1.map(|of| other(of, from, into)));
        self.merge_published(from, into);
        self.merges.push(Merge { from, into, at: self.now });
        self.serve_short();
        let Said::Moved(moved) = self.moved_answer(&moved) else { unreachable!() };
        let counts = [orders, holds, listings].map(|number| u32::try_from(number).unwrap());
        Ok(Said::Merged(moved, counts))
    }

    /// Goods came in before the merge, and no count has seen them since: they went over with the rest.
    pub fn arrived_before(
        &mut self,
        merge: Merge,
        (place, state): (usize, StockState),
        party: StockState,
        quantity: i64,
        at: i64,
    ) {
        self.go(merge.from, Account::Party(party), Account::At(place, state), quantity, at);
        self.go(merge.from, Account::At(place, state), PRODUCTION, quantity, merge.at);
        let seen = self.first_count(merge.into, place, merge.at);
        self.arrive((merge.into, place, state), StockState::Production, quantity, merge.at, seen);
    }

    /// Goods were gone before the merge, and no count has seen that since: they did not go over. Says how many of them
    /// were not there by the books.
    pub fn departed_before(
        &mut self,
        merge: Merge,
        place: usize,
        party: StockState,
        quantity: i64,
        at: i64,
    ) -> i64 {
        let seen = self.first_count(merge.into, place, merge.at);
        let missing = self.depart((merge.into, place), StockState::Production, quantity, merge.at, seen, 0);
        let there = Account::At(place, StockState::Available);
        self.go(merge.from, PRODUCTION, there, quantity, merge.at);
        self.go(merge.from, there, Account::Party(party), quantity, at);
        missing
    }
}

pub fn other(item: usize, from: usize, into: usize) -> usize {
    if item == from { into } else { item }
}
