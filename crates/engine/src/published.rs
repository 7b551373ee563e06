//! What listings shall show: the rules that speak of each, and the stock they ask for. What follows from both is `sync`'s.

use onhand_ledger::model::{Listing, Publication, SellingStop, Sites, Source, System};
use onhand_ledger::publication::{Index, Subject};
use onhand_ledger::{ItemId, ListingId, LocationId, RuleId};
use onhand_store::StoreError;
use onhand_sync::{Halt, Shown, Stock, desired};

use crate::view::View;

impl View<'_> {
    /// All that publication rules say now, ready to be asked for many listings.
    pub fn published(&mut self) -> Result<Index, StoreError> {
        self.rules().map(Index::new)
    }

    /// How much of an item counts at the locations that a rule names, or behind a remote location.
    fn stock_for(
        &mut self,
        item: ItemId,
        system: &System,
        remote_location: &str,
        rule: Option<&Publication>,
    ) -> Result<Stock, StoreError> {
        let mut stock = Stock { claimed: self.claimed_anywhere(item)?, ..Stock::default() };
        for location in self.counting(system, remote_location, rule)? {
            stock.available += self.available(item, location)?;
            stock.claimed += self.claimed_of_parts(item, location)?;
        }
        Ok(stock)
    }

    /// The locations that count, each with all that is inside it, and nothing twice.
    fn counting(
        &mut self,
        system: &System,
        remote_location: &str,
        rule: Option<&Publication>,
    ) -> Result<Vec<LocationId>, StoreError> {
        match rule.map(|rule| rule.counts.as_slice()).filter(|counts| !counts.is_empty()) {
            Some(counts) => Ok(outermost(&self.sites()?, counts)),
            None => {
                let behind = system.locations.iter().filter(|mapping| mapping.remote_id == remote_location);
                Ok(behind.map(|mapping| mapping.location).collect())
            }
        }
    }

    /// Was the selling of an item stopped, or that of something it is built of?
    fn halt(&mut self, index: &Index, item: ItemId, tags: &[String]) -> Result<Option<Halt>, StoreError> {
        if index.stops_nothing() {
            return Ok(None);
        }
        if let Some(stop) = index.stop(item, tags) {
            return self.told(stop, item).map(Some);
        }
        for part in self.parts_of(item)? {
            let tags = self.item(part)?.map(|item| item.tags).unwrap_or_default();
            if let Some(stop) = index.stop(part, &tags) {
                return self.told(stop, part).map(Some);
            }
        }
        Ok(None)
    }

    fn told(&mut self, (rule, stop): &(RuleId, SellingStop), item: ItemId) -> Result<Halt, StoreError> {
        let sku = self.item(item)?.map(|item| item.sku).unwrap_or_default();
        let what = stop.tag.as_ref().map_or(sku, |tag| format!("what is tagged {tag}"));
        Ok(Halt { rule: *rule, what, reason: stop.reason.clone(), by: stop.by.clone(), at: stop.at })
    }
}

/// The locations that are meant, without those inside another of them.
fn outermost(sites: &Sites, counts: &[Source]) -> Vec<LocationId> {
    let mut meant: Vec<LocationId> = Vec::new();
    for source in counts {
        match source {
            Source::Location(location) => meant.push(*location),
            Source::Group(group) => meant.extend(sites.members(group)),
        }
    }
    meant.sort_unstable();
    meant.dedup();
    let is_inside = |location: LocationId| {
        sites.above(location).iter().skip(1).any(|above| meant.binary_search(above).is_ok())
    };
    meant.iter().copied().filter(|location| !is_inside(*location)).collect()
}

/// The locations of ours that count for a listing at a remote location.
pub(crate) fn counted_by(
    view: &mut View<'_>,
    index: &Index,
    id: ListingId,
    listing: &Listing,
    system: &System,
    remote_location: &str,
) -> Result<Vec<LocationId>, StoreError> {
    let Some(item) = listing.item else { return Ok(Vec::new()) };
    let tags = view.item(item)?.map(|item| item.tags).unwrap_or_default();
    let subject = Subject { listing: id, item, tags: &tags, system: listing.system, remote_location };
    view.counting(system, remote_location, index.speaking(subject).map(|(_, rule)| rule))
}

/// What a listing should show at a remote location, by the most specific rule; none while it is mapped to nothing.
pub fn desired_by(
    view: &mut View<'_>,
    index: &Index,
    id: ListingId,
    listing: &Listing,
    system: &System,
    remote_location: &str,
) -> Result<Option<Shown>, StoreError> {
    let Some(item) = listing.item else { return Ok(None) };
    let tags = view.item(item)?.map(|item| item.tags).unwrap_or_default();
    let subject = Subject { listing: id, item, tags: &tags, system: listing.system, remote_location };
    let rule = index.speaking(subject);
    let stock = view.stock_for(item, system, remote_location, rule.map(|(_, rule)| rule))?;
    let halt = view.halt(index, item, &tags)?;
    Ok(Some(desired(&stock, listing.multiplier, rule, halt)))
}

/// As [`desired_by`], for one listing alone.
pub fn desired_at(
    view: &mut View<'_>,
    id: ListingId,
    listing: &Listing,
    system: &System,
    remote_location: &str,
) -> Result<Option<Shown>, StoreError> {
    let index = view.published()?;
    desired_by(view, &index, id, listing, system, remote_location)
}
