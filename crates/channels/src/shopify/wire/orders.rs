//! What Shopify says of orders, and what of them is still to be sent.

use std::collections::BTreeMap;

use onhand_ledger::{Instant, Quantity};
use serde::{Deserialize, Serialize};

use super::{Id, Page, UserError, number};
use crate::{Raw, RemoteOrder, RemoteOrderLine};

#[derive(Serialize)]
pub(in crate::shopify) struct ChangedAfter<'a> {
    pub query: &'a str,
    pub after: Option<&'a str>,
}

#[derive(Deserialize)]
pub(in crate::shopify) struct ChangedOrders {
    pub orders: Page<Changed>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(in crate::shopify) struct Changed {
    pub id: String,
    pub updated_at: String,
}

#[derive(Serialize)]
pub(in crate::shopify) struct Ids<'a> {
    pub ids: &'a [String],
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(in crate::shopify) struct Order {
    pub id: String,
    name: String,
    created_at: String,
    pub updated_at: String,
    cancelled_at: Option<String>,
    pub line_items: Page<Line>,
    pub fulfillments: Vec<Fulfillment>,
    pub refunds: Vec<Refund>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(in crate::shopify) struct Line {
    id: String,
    quantity: i64,
    current_quantity: i64,
    unfulfilled_quantity: i64,
    variant: Option<LineVariant>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct LineVariant {
    inventory_item: Id,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(in crate::shopify) struct Fulfillment {
    pub id: String,
    status: String,
    created_at: String,
    pub fulfillment_line_items: Page<FulfilledLine>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(in crate::shopify) struct FulfilledLine {
    quantity: Option<i64>,
    line_item: Id,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(in crate::shopify) struct Refund {
    pub id: String,
    created_at: Option<String>,
    pub refund_line_items: Page<RefundedLine>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(in crate::shopify) struct RefundedLine {
    quantity: i64,
    restock_type: Restock,
    line_item: Id,
}

/// What became of refunded goods (<https://shopify.dev/docs/api/admin-graphql/2026-10/enums/RefundLineItemRestockType>).
#[derive(Clone, Copy, PartialEq, Eq, Deserialize)]
enum Restock {
    /// They had not left, and can be sold again.
    #[serde(rename = "CANCEL")]
    Cancelled,
    /// They had left, came back, and can be sold again.
    #[serde(rename = "RETURN")]
    Returned,
    /// They are on sale again, whatever they were before.
    #[serde(rename = "LEGACY_RESTOCK")]
    Somehow,
    /// Nothing was put on sale again.
    #[serde(rename = "NO_RESTOCK")]
    Nothing,
}

#[derive(Serialize)]
pub(in crate::shopify) struct MoreOf<'a> {
    pub id: &'a str,
    pub after: &'a str,
}

#[derive(Deserialize)]
pub(in crate::shopify) struct More {
    pub node: Option<MoreLines>,
}

/// One of these, by what was asked about.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(in crate::shopify) struct MoreLines {
    pub line_items: Option<Page<Line>>,
    pub fulfillment_line_items: Option<Page<FulfilledLine>>,
    pub refund_line_items: Option<Page<RefundedLine>>,
}

/// What happened to one line, in units.
#[derive(Default)]
struct Happened {
    shipped: i64,
    cancelled: i64,
    returned: i64,
    restocked: i64,
    not_restocked: i64,
}

impl Order {
    /// The order as it is now, or what is wrong with it.
    pub fn into_remote(self, raw: Raw) -> Result<RemoteOrder, String> {
        let instant =
            |text: &str| Instant::parse(text).map_err(|error| format!("order {}: {error}", self.name));
        let placed_at = instant(&self.created_at)?;
        let updated_at = instant(&self.updated_at)?.max(placed_at);
        let mut of = BTreeMap::<&str, Happened>::new();
        let mut moved_at = None;
        // Grows with all that happens: its times are of whole seconds, and two changes may come in one.
        let mut progress = i64::from(self.cancelled_at.is_some());
        for fulfillment in &self.fulfillments {
            let has_left = fulfillment.status == "SUCCESS";
            let is_over = matches!(fulfillment.status.as_str(), "CANCELLED" | "ERROR" | "FAILURE");
            if has_left {
                moved_at = moved_at.max(Some(instant(&fulfillment.created_at)?));
            }
            for line in &fulfillment.fulfillment_line_items.nodes {
                let quantity = line.quantity.unwrap_or_default();
                progress += quantity * (i64::from(has_left) + 2 * i64::from(is_over));
                if has_left {
                    of.entry(&line.line_item.id).or_default().shipped += quantity;
                }
            }
        }
        for refund in &self.refunds {
            for line in &refund.refund_line_items.nodes {
                progress += line.quantity;
                let happened = of.entry(&line.line_item.id).or_default();
                match line.restock_type {
                    Restock::Cancelled => happened.cancelled += line.quantity,
                    Restock::Returned => happened.returned += line.quantity,
                    Restock::Somehow => happened.restocked += line.quantity,
                    Restock::Nothing => happened.not_restocked += line.quantity,
                }
                if matches!(line.restock_type, Restock::Returned | Restock::Somehow)
                    && let Some(at) = &refund.created_at
                {
                    moved_at = moved_at.max(Some(instant(at)?));
                }
            }
        }
        let mut lines = Vec::new();
        for line in self.line_items.nodes {
            progress += line.quantity + (line.quantity - line.current_quantity).max(0);
            let happened = of.remove(line.id.as_str()).unwrap_or_default();
            // What was deleted from the catalogue, or never was in it, is of no stock of ours.
            let Some(variant) = &line.variant else { continue };
            lines.push(line.with(&happened, number(&variant.inventory_item.id)));
        }
        let version = updated_at.plus_micros(progress.min(999_999)).micros().unsigned_abs();
        let cancelled = self.cancelled_at.is_some() && lines.iter().all(|line| line.shipped.is_zero());
        Ok(RemoteOrder {
            document: number(&self.id),
            version,
            placed_at,
            updated_at,
            moved_at: moved_at.unwrap_or(updated_at),
            history: false,
            cancelled,
            lines,
            raw: Some(raw),
        })
    }
}

impl Line {
    /// A refund that put nothing on sale again does not say whether its goods had left. What is left to send does, as far as it can be so.
    fn with(&self, happened: &Happened, listing: String) -> RemoteOrderLine {
        let Happened { shipped, cancelled, returned, restocked, not_restocked } = *happened;
        let returned_there = (returned + restocked).min(shipped);
        let cancelled = cancelled + (returned + restocked - returned_there);
        let refunded = cancelled + returned_there + not_restocked;
        // An edit of the order takes goods off it too, and puts them on sale again.
        let removed = (self.quantity - self.current_quantity - refunded).max(0);
        let left = (self.quantity - shipped - cancelled - removed).max(0);
        let least = (not_restocked - (shipped - returned_there)).clamp(0, left);
        let most = not_restocked.min(left);
        let withheld = (left - self.unfulfilled_quantity).clamp(least, most.max(least));
        RemoteOrderLine {
            line: number(&self.id),
            listing,
            quantity: Quantity::units(shipped + left - withheld),
            shipped: Quantity::units(shipped),
            returned: Quantity::units(returned_there),
            withheld: Quantity::units(withheld),
            places: Vec::new(),
        }
    }
}

/// At which locations what of each line is, by the parts an order is sent in: line, location, units.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(in crate::shopify) struct Placed {
    pub id: String,
    fulfillment_orders: Page<Part>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Part {
    status: String,
    assigned_location: Assigned,
    line_items: Page<PartLine>,
}

#[derive(Deserialize)]
struct Assigned {
    location: Option<Id>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct PartLine {
    total_quantity: i64,
    line_item: Id,
}

impl Placed {
    /// Says of each line where its units are. Of an order in more parts than are told nothing is said.
    pub fn place(&self, order: &mut RemoteOrder) {
        let mut at = BTreeMap::<String, BTreeMap<String, i64>>::new();
        let parts = &self.fulfillment_orders;
        if parts.page_info.has_next_page
            || parts.nodes.iter().any(|part| part.line_items.page_info.has_next_page)
        {
            return;
        }
        for part in parts.nodes.iter().filter(|part| part.status != "CANCELLED") {
            let Some(location) = &part.assigned_location.location else { continue };
            for line in &part.line_items.nodes {
                let lines = at.entry(number(&line.line_item.id)).or_default();
                *lines.entry(number(&location.id)).or_default() += line.total_quantity;
            }
        }
        for line in &mut order.lines {
            let Some(places) = at.remove(&line.line) else { continue };
            let wanted = if order.cancelled { Quantity::ZERO } else { line.quantity - line.returned };
            // What came back, or never left, is no longer in all of these parts: the first bear the difference.
            let mut differs = places.values().sum::<i64>() - (wanted + line.withheld).whole_units();
            let last = places.keys().next_back().cloned();
            for (place, quantity) in places {
                let taken = if differs < 0 && Some(&place) == last.as_ref() {
                    differs
                } else {
                    differs.clamp(0, quantity)
                };
                differs -= taken;
                line.places.push((place, Quantity::units(quantity - taken)));
            }
        }
    }
}

#[derive(Deserialize)]
pub(in crate::shopify) struct ToFulfil {
    pub order: Option<OpenOrder>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(in crate::shopify) struct OpenOrder {
    pub fulfillments: Vec<Tracked>,
    pub fulfillment_orders: Page<FulfillmentOrder>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(in crate::shopify) struct Tracked {
    pub status: String,
    pub tracking_info: Vec<Tracking>,
}

#[derive(Deserialize)]
pub(in crate::shopify) struct Tracking {
    pub number: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(in crate::shopify) struct FulfillmentOrder {
    pub id: String,
    pub status: String,
    pub line_items: Page<FulfillmentOrderLine>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(in crate::shopify) struct FulfillmentOrderLine {
    pub id: String,
    pub remaining_quantity: i64,
    pub line_item: Id,
}

#[derive(Serialize)]
pub(in crate::shopify) struct Fulfil {
    pub fulfillment: FulfillmentInput,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(in crate::shopify) struct FulfillmentInput {
    pub line_items_by_fulfillment_order: Vec<OfFulfillmentOrder>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tracking_info: Option<TrackingInput>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(in crate::shopify) struct OfFulfillmentOrder {
    pub fulfillment_order_id: String,
    pub fulfillment_order_line_items: Vec<OfLine>,
}

#[derive(Serialize)]
pub(in crate::shopify) struct OfLine {
    pub id: String,
    pub quantity: i64,
}

#[derive(Serialize)]
pub(in crate::shopify) struct TrackingInput {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub company: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub number: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(in crate::shopify) struct Fulfilled {
    pub fulfillment_create: Option<FulfilResult>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(in crate::shopify) struct FulfilResult {
    pub fulfillment: Option<Id>,
    pub user_errors: Vec<UserError>,
}
