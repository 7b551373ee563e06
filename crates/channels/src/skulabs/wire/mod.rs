//! What SKULabs says and is told, as JSON, and what of it is ours. All of its wire is in this folder.
//!
//! Its own words are its API pages (<https://skulabs.mintlify.app/api-docs/item/get>, …`/kit/get`, …`/inventory/get-grouped-locations-map`,
//! …`/inventory/bulk-reconciliation`, …`/order/get`, …`/order/get-single-bulk`, …`/order/add`, …`/order/modify-status`,
//! …`/order/add-manual-shipment`), and the older list of its calls without answers
//! (<https://github.com/skulabs/docs/blob/main/api-docs/openapi.json>), which is all there is of `warehouse/get`, `location/get_list` and
//! `location/add_item`. What neither says is marked *assumed* here, with what would show it wrong; `docs/channels/skulabs.md` lists it all.

mod orders;
mod sent;

pub(super) use orders::*;
pub(super) use sent::*;

use onhand_ledger::{Precision, Quantity};
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::Value;

use crate::{RemoteListing, RemoteLocation};

/// Why it refuses: `{"error": {"message", "data"}}`, as its page of limits shows it
/// (<https://skulabs.mintlify.app/getting-started/rate-limits>). *Assumed* of other refusals too: one of another form is told with its first words.
#[derive(Default, Deserialize)]
#[serde(default)]
pub(super) struct Refusal {
    pub error: Why,
}

#[derive(Default, Deserialize)]
#[serde(default)]
pub(super) struct Why {
    pub message: String,
    pub data: Wait,
}

#[derive(Default, Deserialize)]
#[serde(default)]
pub(super) struct Wait {
    /// So long to wait, where it asks us to slow down; an hour, or longer.
    pub wait_seconds: Option<f64>,
}

/// A warehouse: a place of stock, in bins. *Assumed*: that an answer names it by `_id` and `name`, as what it lists elsewhere. A
/// warehouse without them is an answer that is not understood.
#[derive(Clone, Deserialize)]
pub(super) struct Warehouse {
    #[serde(rename = "_id")]
    pub id: String,
    pub name: String,
}

impl Warehouse {
    pub fn into_remote(self) -> RemoteLocation {
        RemoteLocation { remote_id: self.id, name: self.name }
    }
}

/// A bin, which it calls a location. *Assumed*: `_id` and `warehouse_id`, by which it is asked for and made
/// (<https://github.com/skulabs/docs/blob/main/getting-started/your-first-api-call.mdx>).
#[derive(Clone, Deserialize)]
pub(super) struct Bin {
    #[serde(rename = "_id")]
    pub id: String,
    pub warehouse_id: String,
}

/// What a shop that it serves calls something.
#[derive(Clone, Debug, Deserialize)]
pub(super) struct Listed {
    #[serde(default)]
    pub store_id: String,
    #[serde(default)]
    pub item_id: Value,
    #[serde(default)]
    pub variant_id: Value,
}

/// Something that is stocked.
#[derive(Clone, Deserialize)]
pub(super) struct Item {
    #[serde(rename = "_id")]
    pub id: String,
    #[serde(default)]
    pub name: Option<String>,
    #[serde(default)]
    pub sku: Option<String>,
    #[serde(default)]
    pub upc: Option<String>,
    #[serde(default, deserialize_with = "or_nothing")]
    pub barcodes: Vec<String>,
    #[serde(default)]
    pub active: Option<bool>,
    #[serde(default, deserialize_with = "or_nothing")]
    pub listings: Vec<Listed>,
}

/// What we ask of an item.
pub(super) fn item_fields() -> Value {
    serde_json::json!({ "name": 1, "sku": 1, "upc": 1, "barcodes": 1, "active": 1, "listings": 1 })
}

impl Item {
    /// Is it one that somebody still sells?
    pub fn is_active(&self) -> bool {
        self.active != Some(false)
    }

    pub fn into_remote(self) -> RemoteListing {
        let told = |text: Option<String>| text.filter(|text| !text.trim().is_empty());
        let sku = told(self.sku);
        let name = told(self.name).or_else(|| sku.clone()).unwrap_or_else(|| self.id.clone());
        let barcode = told(self.upc).or_else(|| told(self.barcodes.into_iter().next()));
        RemoteListing { remote_id: self.id, sku, name, barcode, tracked: true }
    }
}

/// What is sold together: it lies nowhere itself, its parts do.
#[derive(Clone, Deserialize)]
pub(super) struct Kit {
    #[serde(rename = "_id")]
    pub id: String,
    #[serde(default)]
    pub listing_sku: Option<String>,
    #[serde(default, deserialize_with = "or_nothing")]
    pub items: Vec<Part>,
    #[serde(default, deserialize_with = "or_nothing")]
    pub listings: Vec<Listed>,
}

/// What we ask of a kit.
pub(super) fn kit_fields() -> Value {
    serde_json::json!({ "name": 1, "listing_sku": 1, "items": 1, "listings": 1 })
}

/// So much of an item in a kit.
#[derive(Clone, Deserialize)]
pub(super) struct Part {
    pub item_id: String,
    #[serde(default)]
    pub quantity: Value,
}

impl Part {
    /// How much of it; nothing where that is no number. *Assumed*: where none is told it is one.
    pub fn amount(&self) -> Option<Quantity> {
        if self.quantity.is_null() { Some(Quantity::units(1)) } else { amount(&self.quantity) }
    }
}

/// One answer of `inventory/get_grouped_locations_map`: whatever it is grouped by, each row names its bin and its item.
#[derive(Deserialize)]
pub(super) struct Group {
    #[serde(default, deserialize_with = "or_nothing")]
    pub locations: Vec<Held>,
}

/// What lies in a bin.
#[derive(Clone, Deserialize)]
pub(super) struct Held {
    pub location_id: String,
    pub item_id: String,
    #[serde(default)]
    pub on_hand: Value,
}

/// The question of `inventory/get_grouped_locations_map`. *Assumed*: with nothing said it is about everything, as
/// `inventory/get_items_map` with the same question is in use.
#[derive(Default, Serialize)]
pub(super) struct Everything {
    pub data: serde_json::Map<String, Value>,
}

/// `inventory/bulk_reconciliation`.
#[derive(Serialize)]
pub(super) struct Reconciliation<'a> {
    #[serde(rename = "type")]
    pub kind: Way,
    pub rows: &'a [Row],
    pub reason: &'static str,
    pub notes: String,
}

/// Which way a number goes. There is `set` and `update` too, which would undo what was sent or counted a moment ago.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Way {
    Increase,
    Decrease,
}

#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub(super) struct Row {
    pub location_id: String,
    pub item_id: String,
    pub quantity: i64,
}

/// `location/add_item`: an item is put into a bin where it was not.
#[derive(Serialize)]
pub(super) struct AddItem<'a> {
    pub id: &'a str,
    pub item_id: &'a str,
    pub on_hand: i64,
}

/// Any answer that says whether something was done.
#[derive(Deserialize)]
pub(super) struct Done {
    #[serde(default)]
    pub success: Option<bool>,
}

/// What is null is as what is not there.
pub(super) fn or_nothing<'de, D: Deserializer<'de>, T: Default + Deserialize<'de>>(
    told: D,
) -> Result<T, D::Error> {
    Ok(Option::<T>::deserialize(told)?.unwrap_or_default())
}

/// A number, which may be a text; nothing where it is none.
pub(super) fn amount(value: &Value) -> Option<Quantity> {
    let text = match value {
        Value::Number(number) => number.to_string(),
        Value::String(text) => text.trim().to_owned(),
        _ => return None,
    };
    Quantity::parse(&text, Precision::FINEST).ok()
}

/// An id, which may be a number.
pub(super) fn id(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Number(number) => number.to_string(),
        _ => String::new(),
    }
}
