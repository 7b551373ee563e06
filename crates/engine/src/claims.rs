//! What documents that wait have sold: whoever shows that stock must not offer it again meanwhile.
//!
//! A claim is of what the document names. What it takes of other items is computed here and not written, because it
//! changes with stock and recipes: of a kit beyond the assembled ones its components are claimed too.

use onhand_ledger::availability;
use onhand_ledger::command::{Content, Document, Name};
use onhand_ledger::key::StockState;
use onhand_ledger::{ItemId, Key, LocationId, Quantity, Seq, SystemId, Value};
use onhand_store::StoreError;

use crate::view::View;

/// The keys between which an item's claims lie.
fn claims_of(item: ItemId) -> (Key, Key) {
    let key = |system| Key::Claimed(item, SystemId(system), String::new());
    (key(0), key(Seq::MAX))
}

impl View<'_> {
    /// How much of an item the documents that wait have sold, by its own name.
    pub fn claimed(&mut self, item: ItemId) -> Result<Quantity, StoreError> {
        let (from, to) = claims_of(item);
        let claims = self.range(&from, &to, false, usize::MAX)?.into_iter();
        Ok(claims
            .map(|(_, value)| if let Value::Quantity(claim) = value { claim } else { Quantity::ZERO })
            .sum())
    }

    /// How much less of an item can be sold at a location, because documents that wait have sold it, kits that it is in,
    /// or of what it is built of. Where they will be served from is not known: all of it may be there.
    pub fn claimed_at(&mut self, item: ItemId, location: LocationId) -> Result<Quantity, StoreError> {
        Ok(self.claimed_anywhere(item)? + self.claimed_of_parts(item, location)?)
    }

    /// As [`View::claimed_at`], without what documents name that were told of as lying elsewhere.
    pub(crate) fn claimed_behind(
        &mut self,
        item: ItemId,
        location: LocationId,
    ) -> Result<Quantity, StoreError> {
        let claimed = self.claimed_at(item, location)?;
        let (from, to) = claims_of(item);
        let mut elsewhere = Quantity::ZERO;
        for (key, value) in self.range(&from, &to, false, usize::MAX)? {
            let (Key::Claimed(_, system, document), Value::Quantity(claim)) = (key, value) else { continue };
            let named = self.named_places(system, document, item)?;
            let sites = self.sites()?;
            let may_be_here = |named: &Option<LocationId>| {
                named.is_none_or(|named| sites.is_in(named, location) || sites.is_in(location, named))
            };
            if !named.is_empty() && !named.iter().any(may_be_here) {
                elsewhere += claim;
            }
        }
        Ok((claimed - elsewhere).max(Quantity::ZERO))
    }

    /// Where an order that waits has an item, line by line; none where a line does not say.
    fn named_places(
        &mut self,
        system: SystemId,
        document: String,
        item: ItemId,
    ) -> Result<Vec<Option<LocationId>>, StoreError> {
        let Some(Value::Waiting(waiting)) = self.get(&Key::Waiting(system, document))? else {
            return Ok(Vec::new());
        };
        let evidence = self.discrepancy(waiting.discrepancy)?.and_then(|known| known.evidence);
        let told = evidence.and_then(|evidence| serde_json::from_str::<Document>(&evidence).ok());
        let Some(Content::Order(order)) = told.map(|told| told.content) else { return Ok(Vec::new()) };
        let mut places = Vec::new();
        for line in order.lines {
            let named = match &line.item {
                Name::Sku(sku) => self.item_by_sku(sku)?.map(|(id, _)| id),
                Name::Listing(id) => {
                    self.listing_by_remote(system, id)?.and_then(|(_, listing)| listing.item)
                }
            };
            if named == Some(item) {
                let location = line.location.map(|code| self.location_by_code(&code)).transpose()?.flatten();
                places.push(location.map(|(id, _)| id));
            }
        }
        Ok(places)
    }

    /// What of that is the item's own, wherever it lies.
    pub(crate) fn claimed_anywhere(&mut self, item: ItemId) -> Result<Quantity, StoreError> {
        self.claimed_with_kits(item, None)
    }

    /// What of that are kits that cannot be built at a location, because others have sold what they are built of.
    pub(crate) fn claimed_of_parts(
        &mut self,
        item: ItemId,
        location: LocationId,
    ) -> Result<Quantity, StoreError> {
        let kit = self.item(item)?.map(|item| item.kit).unwrap_or_default();
        if kit.is_empty() {
            return Ok(Quantity::ZERO);
        }
        // What others have sold of the components builds no kit of this; what it has sold itself is its own.
        let free = [StockState::Available];
        let recipe = availability::flatten(self, &kit)?;
        let there = availability::buildable(self, &recipe, location, &free)?;
        let mut left = there;
        for component in recipe {
            let spots = availability::spots(self, component.item, location, &free)?;
            let lies: Quantity = spots.iter().map(|spot| spot.quantity).sum();
            let others = self.claimed_with_kits(component.item, Some(item))?;
            let rest = (lies - others).max(Quantity::ZERO);
            left = left.min(Quantity::units(rest.micros() / component.quantity.micros()));
        }
        Ok(there - left)
    }

    /// How much of an item is claimed, as itself and as a component of kits but one.
    fn claimed_with_kits(&mut self, item: ItemId, but: Option<ItemId>) -> Result<Quantity, StoreError> {
        let mut claimed = self.claimed(item)?;
        for kit in self.kits_around(item)? {
            let sold = if Some(kit) == but { Quantity::ZERO } else { self.claimed(kit)? };
            if !sold.is_positive() {
                continue;
            }
            let built = (sold - self.assembled(kit)?).max(Quantity::ZERO);
            let recipe = self.item(kit)?.map(|kit| kit.kit).unwrap_or_default();
            for component in availability::flatten(self, &recipe)? {
                if component.item == item {
                    claimed += availability::times(component.quantity, built).unwrap_or(Quantity::MAX_INPUT);
                }
            }
        }
        Ok(claimed.min(Quantity::MAX_INPUT))
    }

    /// What a kit is built of, taken apart; nothing of what is none.
    pub(crate) fn parts_of(&mut self, item: ItemId) -> Result<Vec<ItemId>, StoreError> {
        let kit = self.item(item)?.map(|item| item.kit).unwrap_or_default();
        let flat = if kit.is_empty() { Vec::new() } else { availability::flatten(self, &kit)? };
        Ok(flat.into_iter().map(|component| component.item).collect())
    }

    /// An item and all that it is built of, at every level.
    pub(crate) fn with_parts(&mut self, item: ItemId) -> Result<Vec<ItemId>, StoreError> {
        let mut all = vec![item];
        let mut next = 0;
        while let Some(id) = all.get(next).copied() {
            let kit = self.item(id)?.map(|item| item.kit).unwrap_or_default();
            for component in kit {
                if !all.contains(&component.item) {
                    all.push(component.item);
                }
            }
            next += 1;
        }
        Ok(all)
    }

    /// Kits that lie assembled where something is sold.
    fn assembled(&mut self, kit: ItemId) -> Result<Quantity, StoreError> {
        let mut assembled = Quantity::ZERO;
        for (_, site) in self.sites()?.sellable {
            let spots = availability::spots(self, kit, site, &[StockState::Available])?;
            assembled += spots.iter().map(|spot| spot.quantity).sum();
        }
        Ok(assembled)
    }
}
