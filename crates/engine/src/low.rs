//! What is low: available at or below the level that was set for it.

use std::collections::BTreeMap;

use onhand_ledger::availability;
use onhand_ledger::key::StockState;
use onhand_ledger::model::Item;
use onhand_ledger::{ItemId, Key, LocationId, Quantity, Seq};
use onhand_store::StoreError;

use crate::view::View;

/// An item that is low somewhere.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct LowRow {
    /// What.
    pub item: ItemId,
    /// Its SKU.
    pub sku: String,
    /// Its name.
    pub name: String,
    /// Where; none: it never was anywhere.
    pub location: Option<LocationId>,
    /// Available there, and in all that is inside it; where nothing is sold: what would be if it were.
    pub available: Quantity,
    /// The level it is at or below.
    pub level: Quantity,
    /// Was the level set for that very location?
    pub is_of_location: bool,
}

/// A part of the list.
#[derive(Clone, Debug, Default)]
pub struct LowPage {
    /// Rows by item, the oldest first, all of an item together.
    pub rows: Vec<LowRow>,
    /// Items after this one have not been looked at; none: that was all.
    pub next: Option<ItemId>,
}

impl View<'_> {
    /// What is low of the items after one: up to `limit` items that are, of `examine` at most that are looked at.
    pub fn low_stock(&mut self, after: ItemId, limit: usize, examine: usize) -> Result<LowPage, StoreError> {
        let (from, to) = (Key::Watched(ItemId(after.0 + 1)), Key::Watched(ItemId(Seq::MAX >> 1)));
        let watched = self.range(&from, &to, false, examine + 1)?;
        let more = watched.len() > examine;
        let mut page = LowPage::default();
        let mut found = 0;
        let last = watched.len() - usize::from(more);
        for (index, (key, _)) in watched.into_iter().take(examine).enumerate() {
            let Key::Watched(id) = key else { continue };
            page.next = (more || index + 1 < last).then_some(id);
            let Some(item) = self.item(id)?.filter(|item| !item.archived) else { continue };
            let rows = self.low_places(id, &item)?;
            found += usize::from(!rows.is_empty());
            page.rows.extend(rows);
            if found == limit {
                return Ok(page);
            }
        }
        Ok(page)
    }

    /// Where an item is low: at each site that sells and ever had it, and wherever a level is set.
    fn low_places(&mut self, id: ItemId, item: &Item) -> Result<Vec<LowRow>, StoreError> {
        let sites = self.sites()?;
        let mut available = BTreeMap::<LocationId, Quantity>::new();
        for (location, shelf) in self.shelves(id, None, None)? {
            // Up to its site, as long as what it is a part of takes it from there.
            let mut here = shelf.of(StockState::Available) - shelf.ended;
            for around in sites.above(location) {
                *available.entry(around).or_default() += here;
                if !sites.sells_beside(around) {
                    here = Quantity::ZERO;
                }
            }
        }
        if !item.kit.is_empty() {
            // Where its components ever were, it could be built.
            for component in availability::flatten(self, &item.kit)? {
                for (cell, _) in self.cells_of(component.item)? {
                    let around = if cell.state.is_party() { Vec::new() } else { sites.above(cell.location) };
                    for location in around {
                        available.entry(location).or_default();
                    }
                }
            }
            let places: Vec<LocationId> = available.keys().copied().collect();
            for (location, kits) in self.buildable(id, &places, None)? {
                *available.entry(location).or_default() += kits;
            }
        }
        let row = |location, available, level, is_of_location| LowRow {
            item: id,
            sku: item.sku.clone(),
            name: item.name.clone(),
            location,
            available,
            level,
            is_of_location,
        };
        let mut rows = Vec::new();
        if let Some(level) = item.low_stock.level {
            for (location, available) in &available {
                let Some(known) = self.location(*location)? else { continue };
                let is_site = known.parent.is_none() && known.sellable;
                if is_site && item.low_stock.set_at(*location).is_none() && *available <= level {
                    rows.push(row(Some(*location), *available, level, false));
                }
            }
            if available.is_empty() && item.low_stock.at.is_empty() {
                rows.push(row(None, Quantity::ZERO, level, false));
            }
        }
        for (location, level) in &item.low_stock.at {
            let available = available.get(location).copied().unwrap_or_default();
            if available <= *level {
                rows.push(row(Some(*location), available, *level, true));
            }
        }
        rows.sort_by_key(|row| row.location);
        Ok(rows)
    }
}
