//! The corner shop's JSON, and what it means here.

use onhand_ledger::{Instant, Quantity};
use serde::{Deserialize, Serialize};

use crate::{OrderPage, Raw, RemoteListing, RemoteOrder, RemoteOrderLine, Told};

#[derive(Deserialize)]
pub(super) struct Location {
    pub id: String,
    pub name: String,
}

#[derive(Deserialize)]
pub(super) struct Listing {
    pub id: String,
    sku: String,
    name: String,
    barcode: Option<String>,
}

impl Listing {
    pub fn into_remote(self) -> RemoteListing {
        let sku = Some(self.sku).filter(|sku| !sku.is_empty());
        RemoteListing { remote_id: self.id, sku, name: self.name, barcode: self.barcode, tracked: true }
    }
}

#[derive(Serialize)]
pub(super) struct ReadStock<'a> {
    pub listings: &'a [String],
}

#[derive(Deserialize)]
pub(super) struct Stock {
    pub listing: String,
    pub quantity: i64,
}

#[derive(Serialize)]
pub(super) struct Update<'a> {
    pub listing: &'a str,
    pub quantity: i64,
    pub reference: u64,
}

#[derive(Serialize)]
pub(super) struct SetStock<'a> {
    pub updates: Vec<Update<'a>>,
}

#[derive(Deserialize)]
pub(super) struct SetResult {
    pub error: Option<String>,
}

#[derive(Deserialize)]
struct Line {
    listing: String,
    quantity: i64,
}

#[derive(Deserialize)]
struct Order {
    id: String,
    change: u64,
    placed_at: i64,
    updated_at: i64,
    cancelled: bool,
    shipped: bool,
    lines: Vec<Line>,
}

#[derive(Deserialize)]
pub(super) struct Orders {
    orders: Vec<Told<Order>>,
    more: bool,
}

impl Orders {
    pub fn into_page(self, since: String) -> OrderPage {
        let cursor = self.orders.last().map_or(since, |order| order.content.change.to_string());
        OrderPage {
            orders: self.orders.into_iter().map(|told| told.content.into_remote(told.raw)).collect(),
            cursor,
            more: self.more,
        }
    }
}

impl Order {
    fn into_remote(self, raw: Raw) -> RemoteOrder {
        let shipped = |quantity| if self.shipped { quantity } else { Quantity::ZERO };
        let line = |(number, line): (usize, &Line)| {
            let quantity = Quantity::units(line.quantity);
            RemoteOrderLine {
                line: (number + 1).to_string(),
                listing: line.listing.clone(),
                quantity,
                shipped: shipped(quantity),
                returned: Quantity::ZERO,
                withheld: Quantity::ZERO,
                places: Vec::new(),
            }
        };
        RemoteOrder {
            raw: Some(raw),
            version: self.change,
            placed_at: Instant::from_micros(self.placed_at),
            updated_at: Instant::from_micros(self.updated_at),
            moved_at: Instant::from_micros(self.updated_at),
            history: false,
            cancelled: self.cancelled,
            lines: self.lines.iter().enumerate().map(line).collect(),
            document: self.id,
        }
    }
}
