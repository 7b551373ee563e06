//! Orders that are sent to a system which ships them, and what it answers.
//!
//! An order is sent as a document in the state it is in now: sent again, or changed, it is the same document with a higher version,
//! and what a version says replaces what the one before said. The system answers the same way, with a revision of its own. So
//! neither a copy nor one that comes late does any harm.

use onhand_ledger::{Instant, Quantity};
use serde::{Deserialize, Serialize};

use crate::{Raw, medusa, skulabs, vendure, woocommerce};

/// What of an order one place shall ship, all in all.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Outgoing {
    /// Its name: stable for ever, unique in all that we send, 1 to 60 characters without spaces or slashes.
    pub document: String,
    /// Grows with every change; not by one.
    pub version: u64,
    /// The system's id of the location it shall leave from.
    pub location: String,
    /// What its customer knows the order by.
    pub order: String,
    /// The name of the system that the order came from; `onhand` for one that was placed here.
    pub order_system: String,
    /// When it was placed.
    pub placed_at: Instant,
    /// When it must have left.
    pub ship_by: Option<Instant>,
    /// The region it goes to: `DE`, or `DE-HE`.
    pub ship_to: Option<String>,
    /// Our code of the location it goes to, where it is a transfer between two locations of ours; none: it goes to a customer.
    #[serde(default)]
    pub transfer_to: Option<String>,
    /// Nothing more of it shall leave.
    pub cancelled: bool,
    /// What shall leave. A line that was there before is there for ever, with 0 where nothing of it is wanted any more.
    pub lines: Vec<OutgoingLine>,
    /// Whom it goes to, where that is known; told to nobody else.
    #[serde(default)]
    pub recipient: Option<Recipient>,
}

/// One line of an [`Outgoing`]: each item once.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct OutgoingLine {
    /// Its name in the document.
    pub line: String,
    /// The system's own id of the item, where one is mapped to single units of it.
    pub listing: Option<String>,
    /// Our SKU of the item.
    pub sku: String,
    /// Its name, for people.
    pub name: String,
    /// How much shall leave in all, what has left by now included.
    pub quantity: Quantity,
    /// Lots or serials that the order asks for by name; empty: any will do.
    pub lots: Vec<String>,
}

/// Whom goods go to. All of it is told as it was told to us.
#[derive(Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Recipient {
    /// Who.
    pub name: Option<String>,
    /// Of which company.
    pub company: Option<String>,
    /// Street, house, floor: one to four lines.
    pub address: Vec<String>,
    /// Town.
    pub city: Option<String>,
    /// State, province or county.
    pub region: Option<String>,
    /// Post code.
    pub postal_code: Option<String>,
    /// The country: its name, or its ISO 3166-1 code.
    pub country: Option<String>,
    /// For the carrier.
    pub phone: Option<String>,
    /// For the carrier.
    pub email: Option<String>,
}

/// A raw document that somebody posted.
#[derive(Deserialize)]
struct Posted {
    recipient: Recipient,
}

impl Recipient {
    /// Whom a raw document of a system of such a kind is for: as Medusa, SKULabs, Vendure or WooCommerce tells it, or else as `recipient`, with our own names, of
    /// whatever was posted. None where it does not say.
    pub fn of(kind: &str, raw: &Raw) -> Option<Self> {
        match kind {
            "medusa" => return medusa::recipient(raw),
            "skulabs" => return skulabs::recipient(raw),
            "vendure" => return vendure::recipient(raw),
            "woocommerce" => return woocommerce::recipient(raw),
            _ => {}
        }
        let posted: Posted = serde_json::from_str(raw.reveal()).ok()?;
        Some(posted.recipient).filter(|recipient| *recipient != Self::default())
    }
}

impl std::fmt::Debug for Recipient {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Recipient(…)")
    }
}

/// How sending one document ended; of an order, unless it is of something else.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Sent<T = Followed> {
    /// It has it, and says how it stands.
    Answered(Box<T>),
    /// It has it, and will say how it stands.
    Received,
    /// Nothing may be known of it: the answer was lost. It is sent again under the same name and version.
    Unknown {
        /// What happened, for a person.
        reason: String,
    },
}

/// How a document that was sent stands.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Progress {
    /// It is worked on.
    Accepted,
    /// It will not be: nothing (more) of it leaves.
    Refused,
    /// It is done: nothing more of it leaves.
    Shipped,
    /// It was cancelled, by us or over there: nothing more of it leaves.
    Cancelled,
}

/// What a system says of a document that was sent to it, in the state it is in now.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Followed {
    /// Which: [`Outgoing::document`].
    pub document: String,
    /// The newest version of it that this answers; at least 1.
    pub version: u64,
    /// Grows with every change of it over there, and never changes without; at least 1.
    pub revision: u64,
    /// When it last changed over there.
    pub updated_at: Instant,
    /// How it stands.
    pub progress: Progress,
    /// Why, where something of it does not leave.
    pub reason: Option<String>,
    /// What leaves, where it is not all that was asked for. Of a line that is not here all of it does.
    #[serde(default)]
    pub lines: Vec<FollowedLine>,
    /// What has left by now: all parcels, not only the new ones.
    #[serde(default)]
    pub parcels: Vec<Parcel>,
}

/// One line of a [`Followed`].
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct FollowedLine {
    /// Which: [`OutgoingLine::line`].
    pub line: String,
    /// How much of it leaves in all: what has left, and what still will.
    pub quantity: Quantity,
}

/// Goods of a document that left together.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Parcel {
    /// Its name: stable, unique in its document, 1 to 100 characters.
    pub parcel: String,
    /// When it left.
    pub shipped_at: Instant,
    /// Who carries it.
    pub carrier: Option<String>,
    /// The carrier's name for it.
    pub tracking: Option<String>,
    /// What is in it.
    pub lines: Vec<ParcelLine>,
}

/// Some of a line in a [`Parcel`].
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct ParcelLine {
    /// Which: [`OutgoingLine::line`].
    pub line: String,
    /// How much; more than nothing.
    pub quantity: Quantity,
    /// Of which lot, or which piece, where these are told apart.
    #[serde(default)]
    pub lot: Option<String>,
}

/// Documents that changed over there since a cursor.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct FollowedPage {
    /// The oldest change first.
    #[serde(rename = "orders")]
    pub followed: Vec<Followed>,
    /// Where to go on from; opaque to everyone but the channel.
    pub cursor: String,
    /// Is there more right now?
    #[serde(default)]
    pub more: bool,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whom_it_is_for_is_in_the_raw_document() {
        let of = |kind: &str, text: &str| Recipient::of(kind, &Raw::from(text.to_owned()));
        let vendure = r#"{"id":"1","customer":{"emailAddress":"ada@example.com","firstName":"Ada","lastName":"L"},
            "shippingAddress":{"fullName":"","company":null,"streetLine1":"1 Mill Road","streetLine2":"","city":"Ely",
            "province":null,"postalCode":"CB7","country":"United Kingdom","phoneNumber":null}}"#;
        let found = of("vendure", vendure).unwrap();
        assert_eq!(found.name.as_deref(), Some("Ada L"));
        assert_eq!(found.address, ["1 Mill Road"]);
        assert_eq!((found.city.as_deref(), found.email.as_deref()), (Some("Ely"), Some("ada@example.com")));
        assert_eq!(format!("{found:?}"), "Recipient(…)");
        let medusa = r#"{"id":"order_1","email":"ada@example.com","shipping_address":{"first_name":"Ada","last_name":"L",
            "company":null,"address_1":"1 Mill Road","address_2":"","city":"Ely","postal_code":"CB7","country_code":"gb"}}"#;
        let found = of("medusa", medusa).unwrap();
        assert_eq!((found.name.as_deref(), found.country.as_deref()), (Some("Ada L"), Some("GB")));
        assert_eq!(found.address, ["1 Mill Road"]);
        assert_eq!(of("medusa", r#"{"email":"ada@example.com","shipping_address":null}"#), None);
        let posted = r#"{"recipient":{"name":"Ada","address":["1 Mill Road"],"country":"GB"},"more":1}"#;
        assert_eq!(of("file", posted).unwrap().country.as_deref(), Some("GB"));
        assert_eq!(of("file", r#"{"email":"ada@example.com"}"#), None);
        assert_eq!(of("vendure", r#"{"id":"1"}"#), None);
    }
}
