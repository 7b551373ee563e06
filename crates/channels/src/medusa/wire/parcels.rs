//! What Medusa is told of goods that were sent, and whom an order is for.

use std::collections::BTreeMap;

use onhand_ledger::Instant;
use serde::{Deserialize, Serialize};

use super::{Amount, Fulfilled, LineVariant, rows};
use crate::outgoing::Recipient;
use crate::told;

/// What we ask of an order of which goods were sent.
pub(in crate::medusa) const TO_SHIP_FIELDS: &str = "id,status,items.id,items.requires_shipping,items.variant.inventory_items.inventory_item_id,\
     items.variant.inventory_items.required_quantity,fulfillments.id,fulfillments.metadata,\
     fulfillments.shipped_at,fulfillments.delivered_at,fulfillments.canceled_at,\
     fulfillments.items.line_item_id,fulfillments.items.inventory_item_id,fulfillments.items.quantity,\
     fulfillments.labels.tracking_number";
/// An order of which goods were sent.
#[derive(Deserialize)]
pub(in crate::medusa) struct ToShip {
    pub status: String,
    #[serde(default, deserialize_with = "rows")]
    pub items: Vec<ToShipLine>,
    #[serde(default, deserialize_with = "rows")]
    pub fulfillments: Vec<Parcelled>,
}

#[derive(Deserialize)]
pub(in crate::medusa) struct ToShipLine {
    pub id: String,
    #[serde(default)]
    pub requires_shipping: bool,
    pub variant: Option<LineVariant>,
}

#[derive(Deserialize)]
pub(in crate::medusa) struct Parcelled {
    pub id: String,
    pub metadata: Option<serde_json::Value>,
    pub shipped_at: Option<Instant>,
    pub delivered_at: Option<Instant>,
    pub canceled_at: Option<Instant>,
    #[serde(default, deserialize_with = "rows")]
    pub items: Vec<Fulfilled>,
    #[serde(default, deserialize_with = "rows")]
    pub labels: Vec<KnownLabel>,
}

#[derive(Deserialize)]
pub(in crate::medusa) struct KnownLabel {
    #[serde(default)]
    pub tracking_number: String,
}

/// So much of a line.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub(in crate::medusa) struct OfLine {
    pub id: String,
    pub quantity: Amount,
}

/// A fulfilment to make (<https://docs.medusajs.com/api/admin/orders/create-fulfillment>).
#[derive(Serialize)]
pub(in crate::medusa) struct Fulfil<'a> {
    pub items: &'a [OfLine],
    #[serde(skip_serializing_if = "Option::is_none")]
    pub location_id: Option<&'a str>,
    pub metadata: BTreeMap<&'static str, &'a str>,
}

/// What becomes of it (<https://docs.medusajs.com/api/admin/orders/create-shipment>).
#[derive(Serialize)]
pub(in crate::medusa) struct Ship<'a> {
    pub items: &'a [OfLine],
    pub labels: Vec<Label<'a>>,
}

#[derive(Serialize)]
pub(in crate::medusa) struct Label<'a> {
    pub tracking_number: &'a str,
    pub tracking_url: &'a str,
    pub label_url: &'a str,
}

/// Whom an order is for, as [`ORDER_FIELDS`] asks for it.
#[derive(Deserialize)]
pub(in crate::medusa) struct ForWhom {
    email: Option<String>,
    shipping_address: Option<Address>,
}

#[derive(Deserialize)]
struct Address {
    first_name: Option<String>,
    last_name: Option<String>,
    company: Option<String>,
    address_1: Option<String>,
    address_2: Option<String>,
    city: Option<String>,
    province: Option<String>,
    postal_code: Option<String>,
    country_code: Option<String>,
    phone: Option<String>,
}

impl ForWhom {
    /// None where no address is told.
    pub fn into_recipient(self) -> Option<Recipient> {
        let address = self.shipping_address?;
        let names = [told(address.first_name), told(address.last_name)];
        let recipient = Recipient {
            name: told(Some(names.into_iter().flatten().collect::<Vec<_>>().join(" "))),
            company: told(address.company),
            address: [told(address.address_1), told(address.address_2)].into_iter().flatten().collect(),
            city: told(address.city),
            region: told(address.province),
            postal_code: told(address.postal_code),
            country: told(address.country_code).map(|code| code.to_uppercase()),
            phone: told(address.phone),
            email: told(self.email),
        };
        (!recipient.address.is_empty() || recipient.city.is_some()).then_some(recipient)
    }
}
