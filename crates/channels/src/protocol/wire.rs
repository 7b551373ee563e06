//! The protocol's JSON, as far as it is not [`crate::outgoing`]'s.

use serde::Deserialize;

use crate::{Errand, RemoteListing};

/// Who answers.
#[derive(Deserialize)]
pub(super) struct Hello {
    /// The protocol's version: 1.
    pub protocol: u32,
    /// What it takes beside orders: `receipts`, `transfers`, `recounts`, `returns`. A later version may know more.
    #[serde(default)]
    pub takes: Vec<String>,
}

/// What a name in `takes` stands for.
pub(super) fn errand(name: &str) -> Option<Errand> {
    match name {
        "receipts" => Some(Errand::Receipts),
        "transfers" => Some(Errand::Transfers),
        "recounts" => Some(Errand::Recounts),
        "returns" => Some(Errand::Returns),
        _ => None,
    }
}

/// A part of a list.
#[derive(Deserialize)]
pub(super) struct Page<T> {
    pub data: Vec<T>,
    /// Where it goes on; none at the end.
    pub next: Option<String>,
}

#[derive(Deserialize)]
pub(super) struct Location {
    pub id: String,
    pub name: String,
}

/// Something that is stocked over there.
#[derive(Deserialize)]
pub(super) struct Item {
    id: String,
    sku: Option<String>,
    name: String,
    barcode: Option<String>,
}

impl Item {
    pub fn into_remote(self) -> RemoteListing {
        let sku = self.sku.filter(|sku| !sku.is_empty());
        RemoteListing { remote_id: self.id, sku, name: self.name, barcode: self.barcode, tracked: true }
    }
}
