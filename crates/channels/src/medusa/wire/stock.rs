//! Inventory items, the variants that sell them, and how many of each there are where.
//!
//! What has a number of its own is an inventory item, at each location where it is stocked (<https://docs.medusajs.com/resources/commerce-modules/inventory/concepts>):
//! that is a listing. A variant may need several of one, or several items (<https://docs.medusajs.com/resources/commerce-modules/inventory/inventory-kit>), and an item
//! may be in several variants. A variant of which nothing is counted has none: it is a listing itself, so that a person hears of it.

use onhand_ledger::Quantity;
use serde::{Deserialize, Serialize};

use super::{Amount, rows};
use crate::{Reading, RemoteListing, RemoteLocation, told};

/// What we ask of an inventory item that is looked for.
pub(in crate::medusa) const ITEM_FIELDS: &str = "id,sku,title,variants.id,variants.title,variants.sku,variants.barcode,variants.ean,variants.upc,\
     variants.manage_inventory,variants.product.title";
/// What we ask of a variant of which nothing is counted.
pub(in crate::medusa) const VARIANT_FIELDS: &str = "id,title,sku,barcode,ean,upc,manage_inventory,product.title,inventory_items.inventory_item_id,\
     inventory_items.required_quantity";
/// What we ask of an inventory item, for its numbers.
pub(in crate::medusa) const LEVEL_FIELDS: &str = "id,location_levels.location_id,location_levels.stocked_quantity,location_levels.reserved_quantity,\
     variants.id,variants.manage_inventory";

#[derive(Deserialize)]
pub(in crate::medusa) struct Items {
    #[serde(deserialize_with = "rows")]
    pub inventory_items: Vec<Item>,
}

#[derive(Deserialize)]
pub(in crate::medusa) struct Item {
    pub id: String,
    sku: Option<String>,
    title: Option<String>,
    #[serde(default, deserialize_with = "rows")]
    variants: Vec<Variant>,
    #[serde(default, deserialize_with = "rows")]
    location_levels: Vec<Level>,
}

#[derive(Deserialize)]
pub(in crate::medusa) struct Variants {
    #[serde(deserialize_with = "rows")]
    pub variants: Vec<Variant>,
}

#[derive(Deserialize)]
pub(in crate::medusa) struct Variant {
    pub id: String,
    title: Option<String>,
    sku: Option<String>,
    barcode: Option<String>,
    ean: Option<String>,
    upc: Option<String>,
    #[serde(default)]
    pub manage_inventory: bool,
    product: Option<Product>,
    #[serde(default, deserialize_with = "rows")]
    pub inventory_items: Vec<Needed>,
}

#[derive(Deserialize)]
struct Product {
    title: Option<String>,
}

/// An inventory item that a variant needs, and how many of it.
#[derive(Clone, PartialEq, Eq, Debug, Deserialize)]
pub(in crate::medusa) struct Needed {
    pub inventory_item_id: String,
    #[serde(default = "one")]
    pub required_quantity: i64,
}

fn one() -> i64 {
    1
}

/// How much of an inventory item there is at a location: `stocked_quantity` lies there, `reserved_quantity` of it is set aside
/// (<https://docs.medusajs.com/resources/commerce-modules/inventory/reservations-lifecycle>).
#[derive(Clone, Debug, Deserialize)]
pub(in crate::medusa) struct Level {
    #[serde(default)]
    pub inventory_item_id: String,
    pub location_id: String,
    pub stocked_quantity: Amount,
    pub reserved_quantity: Amount,
}

impl Level {
    /// What can be bought of it. It is told as `available_quantity` too, but by the answer to a change as it was before.
    pub fn available(&self) -> Quantity {
        self.stocked_quantity.0 - self.reserved_quantity.0
    }
}

impl Item {
    /// By the name of the variant that it is the stock of. What several variants need has a name of its own at best.
    pub fn into_listing(self) -> RemoteListing {
        let (tracked, sku) = (self.is_tracked(), told(self.sku.clone()));
        let is_its = |variant: &&Variant| match &sku {
            Some(sku) => told(variant.sku.clone()).as_ref() == Some(sku),
            None => self.variants.len() == 1,
        };
        let variant = self.variants.iter().find(is_its);
        let own = || told(self.title.clone()).or_else(|| sku.clone()).unwrap_or_else(|| self.id.clone());
        let name = variant.map_or_else(own, Variant::name);
        let barcode = variant.and_then(Variant::barcode);
        RemoteListing { remote_id: self.id.clone(), sku, name, barcode, tracked }
    }

    /// Does anything that is sold need it? One whose variant is not counted any more is left over, with its number.
    pub fn is_sold(&self) -> bool {
        !self.variants.is_empty()
    }

    /// Is it counted when somebody buys it?
    fn is_tracked(&self) -> bool {
        self.variants.iter().any(|variant| variant.manage_inventory)
    }

    /// Its number at each of these locations; where it is not stocked that is zero, and nothing is told of what lies there.
    pub fn readings(&self, locations: &[String]) -> Vec<Reading> {
        let reading = |location: &String| {
            let level = self.location_levels.iter().find(|level| level.location_id == *location);
            Reading {
                listing: self.id.clone(),
                location: location.clone(),
                quantity: level.map(Level::available).unwrap_or_default(),
                on_hand: level.map(|level| level.stocked_quantity.0),
                allocated: level.map(|level| level.reserved_quantity.0),
                tracked: self.is_tracked(),
            }
        };
        locations.iter().map(reading).collect()
    }
}

impl Variant {
    fn name(&self) -> String {
        let product = self.product.as_ref().and_then(|product| told(product.title.clone()));
        match (product, told(self.title.clone())) {
            (Some(product), Some(title)) => format!("{product} - {title}"),
            (Some(only), None) | (None, Some(only)) => only,
            (None, None) => self.id.clone(),
        }
    }

    fn barcode(&self) -> Option<String> {
        [&self.barcode, &self.ean, &self.upc].into_iter().find_map(|code| told(code.clone()))
    }

    /// As one of which nothing is counted.
    pub fn into_listing(self) -> RemoteListing {
        let (name, barcode) = (self.name(), self.barcode());
        RemoteListing { remote_id: self.id, sku: told(self.sku), name, barcode, tracked: false }
    }

    /// The same, as a number at each of these locations.
    pub fn readings(&self, locations: &[String]) -> Vec<Reading> {
        let reading = |location: &String| Reading {
            listing: self.id.clone(),
            location: location.clone(),
            quantity: Quantity::ZERO,
            on_hand: None,
            allocated: None,
            tracked: false,
        };
        locations.iter().map(reading).collect()
    }
}

#[derive(Deserialize)]
pub(in crate::medusa) struct Locations {
    #[serde(deserialize_with = "rows")]
    pub stock_locations: Vec<Location>,
}

#[derive(Deserialize)]
pub(in crate::medusa) struct Location {
    pub id: String,
    name: Option<String>,
}

impl Location {
    pub fn into_remote(self) -> RemoteLocation {
        let name = told(self.name).unwrap_or_else(|| self.id.clone());
        RemoteLocation { remote_id: self.id, name }
    }
}

/// Levels as they shall be: made where there is none yet
/// (<https://docs.medusajs.com/api/admin/inventory-items>). All of it is done, or nothing.
#[derive(Serialize, Default)]
pub(in crate::medusa) struct SetLevels<'a> {
    pub create: Vec<SetLevel<'a>>,
    pub update: Vec<SetLevel<'a>>,
}

#[derive(Serialize)]
pub(in crate::medusa) struct SetLevel<'a> {
    pub inventory_item_id: &'a str,
    pub location_id: &'a str,
    pub stocked_quantity: Amount,
}

/// Levels as they are now.
#[derive(Deserialize)]
pub(in crate::medusa) struct SetDone {
    #[serde(default, deserialize_with = "rows")]
    created: Vec<Level>,
    #[serde(default, deserialize_with = "rows")]
    updated: Vec<Level>,
}

impl SetDone {
    /// The level of an item at a location, if it is in the answer.
    pub fn level(&self, item: &str, location: &str) -> Option<&Level> {
        let mut all = self.created.iter().chain(&self.updated);
        all.find(|level| level.inventory_item_id == item && level.location_id == location)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::medusa::recorded;

    #[test]
    fn items_are_listings_and_so_are_variants_of_which_nothing_is_counted() {
        let items: Items = recorded::read(recorded::ITEMS);
        let sold = items.inventory_items.into_iter().filter(Item::is_sold);
        let listings: Vec<RemoteListing> = sold.map(Item::into_listing).collect();
        let told: Vec<_> = listings.iter().map(|one| (one.sku.as_deref(), &*one.name, one.tracked)).collect();
        assert_eq!(
            told,
            [
                (Some("MED-001"), "Product 1 - One", true),
                (Some("MED-002"), "Product 2 - One", true),
                (Some("MED-003"), "Product 3 - One", true),
                // Two variants need it.
                (Some("WHEEL"), "Wheel", true),
            ]
        );
        assert_eq!(listings[0].barcode.as_deref(), Some("5012345678900"));
        let variants: Variants = recorded::read(recorded::VARIANTS);
        let counted = |variant: &Variant| !variant.inventory_items.is_empty();
        let uncounted: Vec<RemoteListing> =
            variants.variants.into_iter().filter(|one| !counted(one)).map(Variant::into_listing).collect();
        let told: Vec<_> = uncounted.iter().map(|one| (&*one.name, one.tracked)).collect();
        // The first was counted once.
        assert_eq!(told, [("Gift - One", false), ("Voucher - One", false)]);
    }

    #[test]
    fn what_can_be_bought_is_what_lies_there_less_what_is_reserved() {
        let items: Items = recorded::read(recorded::LEVELS);
        let item = &items.inventory_items[0];
        let places = ["sloc_01M8PC6D1QCD0BNCVP0SPGTSGS".to_owned(), "sloc_nowhere".to_owned()];
        let readings = item.readings(&places);
        assert_eq!(readings[0].quantity, readings[0].on_hand.unwrap() - readings[0].allocated.unwrap());
        assert_eq!(
            (readings[0].quantity, readings[0].allocated),
            (Quantity::units(96), Some(Quantity::units(3)))
        );
        assert_eq!((readings[1].quantity, readings[1].on_hand), (Quantity::ZERO, None));
    }

    /// The answer to a change says what can be bought as it was before.
    #[test]
    fn the_answer_to_a_change_is_read_by_its_parts() {
        let done: SetDone = recorded::read(recorded::SET);
        let level = done.updated.first().unwrap();
        assert_eq!(level.available(), Quantity::units(50));
        assert!(done.level(&level.inventory_item_id, &level.location_id).is_some());
        assert!(done.level(&level.inventory_item_id, "sloc_x").is_none());
    }
}
