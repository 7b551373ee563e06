//! Marking goods as sent that somebody else sent: its customer is told, and its `committed` falls.

use std::collections::BTreeMap;

use super::session::Failed;
use super::{Shopify, documents, wire};
use crate::{ChannelError, Parcel, ParcelTold};

impl Shopify {
    /// What of these lines is still to be sent over there is; of a parcel whose number it knows, nothing more.
    pub(super) async fn fulfil(&self, parcel: &Parcel) -> Result<ParcelTold, ChannelError> {
        let id = wire::gid("Order", &parcel.document);
        let found: wire::ToFulfil = self.session.ask(documents::TO_FULFIL, &wire::OfId { id: &id }).await?;
        let Some(order) = found.order else {
            return Ok(ParcelTold::Refused { reason: "it has no such order".to_owned() });
        };
        let is_known = |fulfillment: &wire::Tracked| {
            let mut numbers = fulfillment.tracking_info.iter().filter_map(|one| one.number.as_ref());
            fulfillment.status != "CANCELLED" && numbers.any(|number| Some(number) == parcel.number.as_ref())
        };
        if order.fulfillments.iter().any(is_known) {
            return Ok(ParcelTold::Told);
        }
        let has_more = |order: &wire::FulfillmentOrder| order.line_items.page_info.has_next_page;
        if order.fulfillment_orders.page_info.has_next_page
            || order.fulfillment_orders.nodes.iter().any(has_more)
        {
            let reason = "it is in more parts than can be told of: mark it as sent over there".to_owned();
            return Ok(ParcelTold::Refused { reason });
        }
        let mut wanted = BTreeMap::<&str, i64>::new();
        for line in &parcel.lines {
            *wanted.entry(&line.line).or_default() += line.quantity.whole_units();
        }
        let mut parts = Vec::new();
        let is_open =
            |order: &&wire::FulfillmentOrder| matches!(order.status.as_str(), "OPEN" | "IN_PROGRESS");
        for part in order.fulfillment_orders.nodes.iter().filter(is_open) {
            let mut lines = Vec::new();
            for line in &part.line_items.nodes {
                let number = wire::number(&line.line_item.id);
                let Some(left) = wanted.get_mut(number.as_str()) else { continue };
                let quantity = line.remaining_quantity.min(*left);
                if quantity > 0 {
                    *left -= quantity;
                    lines.push(wire::OfLine { id: line.id.clone(), quantity });
                }
            }
            if !lines.is_empty() {
                parts.push(wire::OfFulfillmentOrder {
                    fulfillment_order_id: part.id.clone(),
                    fulfillment_order_line_items: lines,
                });
            }
        }
        if parts.is_empty() {
            let reason = "nothing of these lines is left to be sent there".to_owned();
            return Ok(ParcelTold::Refused { reason });
        }
        // One fulfilment is of one location (<https://shopify.dev/docs/api/admin-graphql/2026-10/mutations/fulfillmentCreate>).
        for part in parts {
            let tracking = wire::TrackingInput {
                company: parcel.carrier.clone(),
                number: parcel.number.clone(),
                url: parcel.url.clone(),
            };
            let is_said = parcel.carrier.is_some() || parcel.number.is_some() || parcel.url.is_some();
            let fulfillment = wire::FulfillmentInput {
                line_items_by_fulfillment_order: vec![part],
                tracking_info: is_said.then_some(tracking),
            };
            let done = self.session.try_to(documents::FULFIL, &wire::Fulfil { fulfillment }).await;
            let done: wire::Fulfilled = match done {
                Ok(done) => done,
                Err(Failed::Lost(reason)) => return Ok(ParcelTold::Unknown { reason }),
                Err(Failed::Other(error)) => return Err(error),
            };
            let Some(done) = done.fulfillment_create else {
                return Ok(ParcelTold::Unknown { reason: "it says nothing of what was sent".to_owned() });
            };
            if done.fulfillment.is_none() {
                let said: Vec<String> = done.user_errors.into_iter().map(|error| error.message).collect();
                return Ok(ParcelTold::Refused { reason: said.join("; ") });
            }
        }
        Ok(ParcelTold::Told)
    }
}
