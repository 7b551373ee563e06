//! Products and their variations, and how many of each there are.
//!
//! Stock is kept of whatever manages it: a product, a variation, or for a variation that does not its product (`manage_stock` is `parent` then). So what
//! has a number of its own is a listing, and variations that share their product's are that product.

use std::fmt;
use std::str::FromStr;

use onhand_ledger::Quantity;
use serde::{Deserialize, Serialize};

use super::amount;
use crate::{Reading, RemoteListing, told};

/// There is one place of stock: the shop (no location is in <https://developer.woocommerce.com/docs/apis/rest-api/v3/products/>).
pub(in crate::woocommerce) const STORE: &str = "store";

/// What has a number of its own: a product, or a variation of one. Written `12`, or `12:34`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub(in crate::woocommerce) struct Stocked {
    pub product: u64,
    pub variation: Option<u64>,
}

impl fmt::Display for Stocked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.product)?;
        self.variation.map_or(Ok(()), |variation| write!(f, ":{variation}"))
    }
}

impl FromStr for Stocked {
    type Err = std::num::ParseIntError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (product, variation) = match text.split_once(':') {
            Some((product, variation)) => (product, Some(variation.parse()?)),
            None => (text, None),
        };
        Ok(Self { product: product.parse()?, variation })
    }
}

/// Is its stock counted, and where?
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Deserialize)]
#[serde(from = "serde_json::Value")]
pub(in crate::woocommerce) enum Managed {
    /// Nowhere: it is sold without end, or not at all.
    #[default]
    Not,
    /// By itself.
    Itself,
    /// By its product.
    Product,
}

impl From<serde_json::Value> for Managed {
    fn from(value: serde_json::Value) -> Self {
        match value {
            serde_json::Value::Bool(true) => Self::Itself,
            serde_json::Value::String(text) if text == "parent" => Self::Product,
            _ => Self::Not,
        }
    }
}

/// What we ask of a product that is looked for.
pub(in crate::woocommerce) const PRODUCT_FIELDS: &str =
    "id,name,type,sku,global_unique_id,manage_stock,variations";
/// And of a variation.
pub(in crate::woocommerce) const VARIATION_FIELDS: &str =
    "id,parent_id,name,sku,global_unique_id,manage_stock,attributes";
/// What we ask of either, for its number.
pub(in crate::woocommerce) const LEVEL_FIELDS: &str = "id,parent_id,type,manage_stock,stock_quantity";

/// A product.
#[derive(Deserialize)]
pub(in crate::woocommerce) struct Product {
    pub id: u64,
    #[serde(default)]
    pub name: String,
    #[serde(default, rename = "type")]
    kind: String,
    sku: Option<String>,
    global_unique_id: Option<String>,
    #[serde(default)]
    manage_stock: Managed,
    #[serde(default)]
    variations: Vec<u64>,
}

/// A variation of a product.
#[derive(Deserialize)]
pub(in crate::woocommerce) struct Variation {
    pub id: u64,
    pub parent_id: Option<u64>,
    name: Option<String>,
    sku: Option<String>,
    global_unique_id: Option<String>,
    #[serde(default)]
    pub manage_stock: Managed,
    #[serde(default)]
    attributes: Vec<Attribute>,
}

#[derive(Deserialize)]
struct Attribute {
    #[serde(default)]
    option: String,
}

impl Product {
    /// Are its variations what is sold?
    pub fn has_variations(&self) -> bool {
        self.kind.starts_with("variable") || !self.variations.is_empty()
    }

    /// Is it sold here? A group is sold by its parts, and an external product elsewhere
    /// (<https://developer.woocommerce.com/docs/apis/rest-api/v3/products/>: `type`).
    pub fn is_sold(&self) -> bool {
        !matches!(self.kind.as_str(), "grouped" | "external")
    }

    pub fn into_listing(self) -> RemoteListing {
        RemoteListing {
            remote_id: Stocked { product: self.id, variation: None }.to_string(),
            sku: told(self.sku),
            name: self.name,
            barcode: told(self.global_unique_id),
            tracked: self.manage_stock == Managed::Itself,
        }
    }
}

impl Variation {
    /// With the name of its product.
    pub fn into_listing(self, product: u64, name: &str) -> RemoteListing {
        let options: Vec<String> =
            self.attributes.into_iter().filter_map(|one| told(Some(one.option))).collect();
        let name = match (options.is_empty(), told(self.name)) {
            (false, _) if !name.is_empty() => format!("{name} - {}", options.join(", ")),
            (_, Some(own)) => own,
            _ => name.to_owned(),
        };
        RemoteListing {
            remote_id: Stocked { product, variation: Some(self.id) }.to_string(),
            sku: told(self.sku),
            name,
            barcode: told(self.global_unique_id),
            tracked: self.manage_stock == Managed::Itself,
        }
    }
}

/// How many there are of a product or a variation.
#[derive(Deserialize)]
pub(in crate::woocommerce) struct Level {
    pub id: u64,
    pub parent_id: Option<u64>,
    #[serde(default)]
    pub manage_stock: Managed,
    /// None where it is not counted.
    #[serde(default)]
    stock_quantity: serde_json::Value,
}

impl Level {
    /// None where it is no number that can be counted.
    pub fn quantity(&self) -> Option<Quantity> {
        if self.stock_quantity.is_null() { Some(Quantity::ZERO) } else { amount(&self.stock_quantity) }
    }

    /// What is more than can be counted is sold without end, as what is not tracked: it is no number of ours, and above all not 0.
    pub fn into_reading(self, of: Stocked) -> Reading {
        let quantity = self.quantity().filter(|_| self.manage_stock == Managed::Itself);
        Reading {
            listing: of.to_string(),
            location: STORE.to_owned(),
            quantity: quantity.unwrap_or_default(),
            on_hand: None,
            allocated: None,
            tracked: quantity.is_some(),
        }
    }
}

/// Numbers to be set.
#[derive(Serialize)]
pub(in crate::woocommerce) struct Batch {
    pub update: Vec<SetLevel>,
}

#[derive(Clone, Copy, Serialize)]
pub(in crate::woocommerce) struct SetLevel {
    pub id: u64,
    pub stock_quantity: i64,
}

/// What became of them, one by one, in a 200.
#[derive(Deserialize)]
pub(in crate::woocommerce) struct BatchDone {
    #[serde(default)]
    pub update: Vec<SetDone>,
}

#[derive(Deserialize)]
pub(in crate::woocommerce) struct SetDone {
    pub id: u64,
    pub error: Option<super::Refusal>,
    #[serde(default)]
    pub manage_stock: Managed,
    #[serde(default)]
    stock_quantity: serde_json::Value,
}

impl SetDone {
    pub fn quantity(&self) -> Option<Quantity> {
        amount(&self.stock_quantity)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_has_a_number_is_named_by_its_ids() {
        for (text, stocked) in [
            ("12", Some(Stocked { product: 12, variation: None })),
            ("12:34", Some(Stocked { product: 12, variation: Some(34) })),
            ("12:", None),
            ("", None),
            ("mug", None),
        ] {
            assert_eq!(text.parse().ok(), stocked);
            assert!(stocked.is_none_or(|stocked| stocked.to_string() == text));
        }
    }

    #[test]
    fn stock_is_counted_by_a_thing_itself_its_product_or_nobody() {
        for (told, managed, quantity) in [
            (json!({ "id": 1, "manage_stock": true, "stock_quantity": 5 }), Managed::Itself, 5),
            (json!({ "id": 1, "manage_stock": true, "stock_quantity": -2 }), Managed::Itself, -2),
            (json!({ "id": 1, "manage_stock": true, "stock_quantity": null }), Managed::Itself, 0),
            (json!({ "id": 1, "manage_stock": "parent", "stock_quantity": 7 }), Managed::Product, 7),
            (json!({ "id": 1, "manage_stock": false, "stock_quantity": null }), Managed::Not, 0),
            (json!({ "id": 1 }), Managed::Not, 0),
        ] {
            let level: Level = serde_json::from_value(told).unwrap();
            assert_eq!((level.manage_stock, level.quantity()), (managed, Some(Quantity::units(quantity))));
        }
    }

    #[test]
    fn a_number_that_cannot_be_counted_is_not_0() {
        let read = |text: &str| {
            let told = format!(r#"{{ "id": 1, "manage_stock": true, "stock_quantity": {text} }}"#);
            let level: Level = serde_json::from_str(&told).unwrap();
            let reading = level.into_reading("1".parse().unwrap());
            reading.tracked.then_some(reading.quantity.micros())
        };
        assert_eq!(read("19.799999999999997"), Some(19_800_000), "PHP's noise");
        assert_eq!(read("\"12.5\""), Some(12_500_000));
        assert_eq!(read("-0.30000000000000004"), Some(-300_000));
        for endless in ["9000000000000", "1e300", "\"many\"", "true"] {
            assert_eq!(read(endless), None, "{endless}");
        }
    }

    #[test]
    fn a_variation_is_called_by_its_product_and_what_it_is() {
        let told = json!({ "id": 34, "sku": "TEE-S", "manage_stock": true, "name": "Small",
            "attributes": [{ "id": 1, "name": "Size", "option": "S" }, { "id": 2, "name": "Colour", "option": "Red" }] });
        let variation: Variation = serde_json::from_value(told).unwrap();
        let listing = variation.into_listing(12, "Tee");
        assert_eq!((listing.remote_id.as_str(), listing.name.as_str()), ("12:34", "Tee - S, Red"));
        assert!(listing.tracked);
    }
}
