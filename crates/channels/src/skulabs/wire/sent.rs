//! Whom orders are for, and what is sent: orders, how they shall stand, and shipments that somebody else made.

use serde::{Deserialize, Serialize};

use super::Named;
use crate::outgoing::Recipient;

/// Whom an order is for.
#[derive(Deserialize)]
pub(in crate::skulabs) struct ForWhom {
    stash: ForWhomStash,
}

#[derive(Deserialize)]
struct ForWhomStash {
    shipping_information: Address,
}

/// An address, as it tells and takes one.
#[derive(Clone, Default, Serialize, Deserialize)]
#[serde(default)]
pub(in crate::skulabs) struct Address {
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    company: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    address: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    street2: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    city: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    state: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    zip: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    country: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    phone: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    email: Option<String>,
}

impl ForWhom {
    pub fn into_recipient(self) -> Option<Recipient> {
        let told = |text: Option<String>| text.filter(|text| !text.trim().is_empty());
        let to = self.stash.shipping_information;
        let recipient = Recipient {
            name: told(to.name),
            company: told(to.company),
            address: [told(to.address), told(to.street2)].into_iter().flatten().collect(),
            city: told(to.city),
            region: told(to.state),
            postal_code: told(to.zip),
            country: told(to.country),
            phone: told(to.phone),
            email: told(to.email),
        };
        (!recipient.address.is_empty() || recipient.city.is_some()).then_some(recipient)
    }
}

impl From<&Recipient> for Address {
    fn from(to: &Recipient) -> Self {
        let rest = to.address.get(1..).unwrap_or_default().join(", ");
        Self {
            name: to.name.clone(),
            company: to.company.clone(),
            address: to.address.first().cloned(),
            street2: Some(rest).filter(|rest| !rest.is_empty()),
            city: to.city.clone(),
            state: to.region.clone(),
            zip: to.postal_code.clone(),
            country: to.country.clone(),
            phone: to.phone.clone(),
            email: to.email.clone(),
        }
    }
}

/// An order as it shall be: `order/add` and `order/override`. The second is in no list of answers; that it takes these three is known from its use.
#[derive(Serialize)]
pub(in crate::skulabs) struct PutOrder {
    pub store_id: String,
    pub order_number: String,
    pub stash: PutStash,
}

#[derive(Serialize)]
pub(in crate::skulabs) struct PutStash {
    pub store_id: String,
    #[serde(rename = "type")]
    pub kind: &'static str,
    pub id: String,
    pub alternate_order_id: String,
    pub date: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ship_by_date: Option<String>,
    pub shipping_information: Address,
    pub items: Vec<PutLine>,
    pub notes: String,
}

#[derive(Serialize)]
pub(in crate::skulabs) struct PutLine {
    #[serde(rename = "type")]
    pub kind: &'static str,
    pub id: String,
    pub line_id: String,
    pub quantity: i64,
    pub price: i64,
    #[serde(rename = "lineSku")]
    pub line_sku: String,
    #[serde(rename = "lineName")]
    pub line_name: String,
    pub fulfillment_warehouse_id: String,
}

/// `order/modify_status`.
#[derive(Serialize)]
pub(in crate::skulabs) struct PutStatus<'a> {
    #[serde(flatten)]
    pub order: &'a Named,
    pub status: &'static str,
}

/// `order/add_manual_shipment`.
#[derive(Serialize)]
pub(in crate::skulabs) struct PutShipment<'a> {
    #[serde(flatten)]
    pub order: &'a Named,
    pub carrier: &'a str,
    pub tracking_number: &'a str,
    pub order_items: Vec<PutPacked>,
    pub warehouse_id: &'a str,
    pub notes: String,
    pub force_deduction: bool,
}

#[derive(Serialize)]
pub(in crate::skulabs) struct PutPacked {
    pub item_id: String,
    pub quantity: i64,
}
