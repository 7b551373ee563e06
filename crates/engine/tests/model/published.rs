//! What a system shall show, in the naive model. Of this the ledger keeps the rules; the number follows from them and
//! from stock (law 7).

use onhand_ledger::command::SetPublication;
use onhand_ledger::{Quantity, StockState};

use crate::merges::other;
use crate::naive::{Answer, Model, Said, Stop, units};

/// System, item, listing: what is none is every one.
type Scope = (Option<String>, Option<usize>, Option<String>);

#[derive(Clone, Debug)]
pub struct Publishing {
    scope: Scope,
    buffer: i64,
    cap: Option<i64>,
    percent: i64,
    stop_at: Option<i64>,
}

impl Model {
    pub fn publish(&mut self, set: &SetPublication) -> Answer {
        let item = set.sku.as_deref().map(|sku| self.sku(sku)).transpose();
        if set.sku.is_some() && set.listing.is_some() {
            return Err(Stop::Invalid);
        }
        if let Some(listing) = &set.listing {
            let system = set.system.as_ref().ok_or(Stop::Invalid)?;
            let is_it =
                |(whose, name, ..): &(String, String, String, i64)| whose == system && name == listing;
            if !self.listings.iter().any(is_it) {
                return Err(Stop::Invalid);
            }
        }
        let amounts = [set.buffer, set.cap, set.stop_at];
        let percent = i64::from(set.percentage.unwrap_or(100));
        if amounts.into_iter().flatten().any(Quantity::is_negative) || percent > 100 {
            return Err(Stop::Invalid);
        }
        let rule = Publishing {
            scope: (set.system.clone(), item?, set.listing.clone()),
            buffer: set.buffer.map_or(0, units),
            cap: set.cap.map(units),
            percent,
            stop_at: set.stop_at.map(units),
        };
        let same = |known: &Option<Publishing>| known.as_ref().is_some_and(|known| known.scope == rule.scope);
        let nth = self.published.iter().position(same).unwrap_or(self.published.len());
        self.published.truncate(self.published.len().max(nth));
        if nth == self.published.len() {
            self.published.push(None);
        }
        self.published[nth] = Some(rule);
        Ok(Said::Published(nth))
    }

    pub fn end_published(&mut self, id: u64) -> Answer {
        let nth = usize::try_from(id).unwrap();
        let known = self.published.get_mut(nth).ok_or(Stop::Invalid)?;
        known.take().map(|_| Said::Published(nth)).ok_or(Stop::Invalid)
    }

    /// Rules of the one are the other's; of two for the same the other's own stays.
    pub fn merge_published(&mut self, from: usize, into: usize) {
        let scopes: Vec<Scope> = self.published.iter().flatten().map(|rule| rule.scope.clone()).collect();
        for known in &mut self.published {
            let Some(rule) = known.as_mut().filter(|rule| rule.scope.1 == Some(from)) else { continue };
            rule.scope.1 = Some(other(from, from, into));
            if scopes.contains(&rule.scope) {
                *known = None;
            }
        }
    }

    /// How many of a listing a system shall show at one of its locations, behind which is this one of ours.
    pub fn shown(&self, listing: usize, place: usize) -> i64 {
        let (system, name, sku, multiplier) = self.listings[listing].clone();
        let item = self.sku(&sku).ok().unwrap();
        let there = self.held(item, place, StockState::Available);
        let free = if self.sites[place].sellable { there } else { 0 } - self.claimed(item);
        let speaks = |(of_system, of_item, of_listing): &Scope| {
            of_system.as_ref().is_none_or(|of| *of == system)
                && of_item.is_none_or(|of| of == item)
                && of_listing.as_ref().is_none_or(|of| *of == name)
        };
        // The more specific one: by listing, by item, then by system.
        let rule = self.published.iter().flatten().filter(|rule| speaks(&rule.scope));
        let rule =
            rule.max_by_key(|rule| (rule.scope.2.is_some(), rule.scope.1.is_some(), rule.scope.0.is_some()));
        // In hundredths, since a share need not come out even.
        let mut hundredths = free.max(0) * 100;
        if let Some(rule) = rule {
            if rule.stop_at.is_some_and(|stop_at| free <= stop_at) {
                hundredths = 0;
            }
            hundredths = (hundredths - rule.buffer * 100).max(0) / 100 * rule.percent;
            hundredths = rule.cap.map_or(hundredths, |cap| hundredths.min(cap * 100));
        }
        hundredths / (multiplier * 100)
    }
}
