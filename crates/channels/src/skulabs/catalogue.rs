//! What there is over there: items, kits and what shops call them; warehouses and their bins. Kept in memory, and read again where something
//! turns up that nobody knows.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use onhand_ledger::Quantity;
use serde_json::json;

use super::SkuLabs;
use super::wire::{self, About, Knows};
use crate::{ChannelError, locked};

/// What nobody knows is not looked for more often than this: it may be nothing that there is.
const AGAIN: Duration = Duration::from_mins(5);

/// Something that was read, and when.
pub(super) struct Kept<T> {
    pub what: Arc<T>,
    at: tokio::time::Instant,
}

impl<T> Kept<T> {
    fn now(what: T) -> Self {
        Self { what: Arc::new(what), at: tokio::time::Instant::now() }
    }
}

/// Warehouses, the oldest first, and of which each bin is.
#[derive(Default)]
pub(super) struct Places {
    pub warehouses: Vec<wire::Warehouse>,
    /// By their ids, which begin with when they were made: the first of a warehouse is its oldest.
    pub bins: BTreeMap<String, String>,
    /// Bins that were looked for in vain.
    strays: BTreeSet<String>,
}

impl Places {
    /// Bins of these that nobody knows.
    fn strange(&self, held: &[wire::Held]) -> BTreeSet<String> {
        let is_strange = |row: &&wire::Held| !self.bins.contains_key(&row.location_id);
        held.iter().filter(is_strange).map(|row| row.location_id.clone()).collect()
    }
}

/// Items and kits, and by which names orders call them.
#[derive(Default)]
pub(super) struct Catalogue {
    items: BTreeSet<String>,
    kits: BTreeMap<String, Vec<(String, Quantity)>>,
    by_shop: BTreeMap<(String, String, String), String>,
    by_sku: BTreeMap<String, String>,
}

impl Catalogue {
    pub fn of(items: &[wire::Item], kits: &[wire::Kit]) -> Self {
        let mut all = Self::default();
        let listed =
            |one: &wire::Listed| (one.store_id.clone(), wire::id(&one.item_id), wire::id(&one.variant_id));
        for item in items {
            all.items.insert(item.id.clone());
            all.by_shop.extend(item.listings.iter().map(|one| (listed(one), item.id.clone())));
            all.by_sku.extend(item.sku.clone().map(|sku| (sku, item.id.clone())));
        }
        for kit in kits {
            // Of a kit with a part of which nobody knows how much is in it nobody knows what it takes.
            let part = |part: &wire::Part| Some((part.item_id.clone(), part.amount()?));
            if let Some(parts) = kit.items.iter().map(part).collect() {
                all.kits.insert(kit.id.clone(), parts);
            }
            all.by_shop.extend(kit.listings.iter().map(|one| (listed(one), kit.id.clone())));
            if let Some(sku) = kit.listing_sku.clone() {
                all.by_sku.entry(sku).or_insert_with(|| kit.id.clone());
            }
        }
        all
    }

    fn named(&self, id: &str) -> Option<About> {
        if self.items.contains(id) {
            return Some(About::Item(id.to_owned()));
        }
        let parts = self.kits.get(id)?;
        Some(About::Kit(id.to_owned(), parts.clone()))
    }
}

/// All that orders are read by.
pub(super) struct Knowledge {
    pub places: Arc<Places>,
    pub catalogue: Arc<Catalogue>,
}

impl Knows for Knowledge {
    /// By its own id, or by what the order's shop calls it, or by its SKU.
    fn about(&self, store: &str, id: &str, variant: &str, sku: Option<&str>) -> About {
        let all = &self.catalogue;
        let by_shop = |variant: &str| {
            all.by_shop
                .get(&(store.to_owned(), id.to_owned(), variant.to_owned()))
                .and_then(|id| all.named(id))
        };
        let by_sku = || sku.and_then(|sku| all.by_sku.get(sku)).and_then(|id| all.named(id));
        all.named(id)
            .or_else(|| by_shop(variant))
            .or_else(|| by_shop(""))
            .or_else(by_sku)
            .unwrap_or(About::Unknown)
    }

    fn first_warehouse(&self) -> Option<&str> {
        self.places.warehouses.first().map(|one| one.id.as_str())
    }
}

#[cfg(test)]
impl Places {
    pub fn with(bins: BTreeMap<String, String>) -> Self {
        Self { bins, ..Self::default() }
    }
}

impl SkuLabs {
    /// Items and kits as they are now.
    pub(super) async fn read_catalogue(&self) -> Result<Vec<wire::Item>, ChannelError> {
        let all = json!({});
        let items: Vec<wire::Item> = self.session.all("/item/get", &all, Some(&wire::item_fields())).await?;
        let kits: Vec<wire::Kit> = self.session.all("/kit/get", &all, Some(&wire::kit_fields())).await?;
        *locked(&self.catalogue) = Some(Kept::now(Catalogue::of(&items, &kits)));
        Ok(items)
    }

    /// Warehouses and bins as they are now.
    pub(super) async fn read_places(&self, held: &[wire::Held]) -> Result<Arc<Places>, ChannelError> {
        let mut warehouses: Vec<wire::Warehouse> =
            self.session.all("/warehouse/get", &json!({}), None).await?;
        warehouses.sort_by(|one, other| one.id.cmp(&other.id));
        let bins: Vec<wire::Bin> = self.session.all("/location/get_list", &json!({}), None).await?;
        let bins = bins.into_iter().map(|bin| (bin.id, bin.warehouse_id)).collect();
        let mut places = Places { warehouses, bins, strays: BTreeSet::new() };
        places.strays = places.strange(held);
        let kept = Kept::now(places);
        let places = kept.what.clone();
        *locked(&self.places) = Some(kept);
        Ok(places)
    }

    /// Warehouses and bins; read anew where some of these bins are not among them.
    pub(super) async fn places(&self, held: &[wire::Held]) -> Result<Arc<Places>, ChannelError> {
        let known = locked(&self.places).as_ref().map(|kept| (kept.what.clone(), kept.at));
        match known {
            // Goods in a bin that nobody knows would be missing somewhere.
            Some((places, at)) if at.elapsed() < AGAIN && places.strange(held).is_subset(&places.strays) => {
                Ok(places)
            }
            Some((places, _)) if places.strange(held).is_empty() => Ok(places),
            _ => self.read_places(held).await,
        }
    }

    /// What these orders are read by; the catalogue is read anew where it does not know something of theirs.
    pub(super) async fn knowledge<'a>(
        &self,
        orders: impl Iterator<Item = &'a wire::Order>,
    ) -> Result<Knowledge, ChannelError> {
        let places = self.places(&[]).await?;
        let kept = || locked(&self.catalogue).as_ref().map(|kept| (kept.what.clone(), kept.at));
        if let Some((catalogue, at)) = kept() {
            let known = Knowledge { places: places.clone(), catalogue };
            if at.elapsed() < AGAIN || orders.into_iter().all(|order| !order.read(&known).is_unknown) {
                return Ok(known);
            }
        }
        self.read_catalogue().await?;
        let catalogue = kept().map(|(catalogue, _)| catalogue).unwrap_or_default();
        Ok(Knowledge { places, catalogue })
    }
}
