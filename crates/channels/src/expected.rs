//! Goods that a system shall expect where it is master, and what it tells of their coming.
//!
//! As [orders](crate::outgoing) are: a document in the state it is in now, sent again under its name with a higher version when it
//! changes, and answered in the same way with a revision of the system's own. What it is about comes in by the system's word alone.

use onhand_ledger::{Date, Instant, Quantity, StockState};
use serde::{Deserialize, Serialize};

/// What brings goods.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Brings {
    /// A supplier, by a purchase order.
    Purchase,
    /// A transfer from another location of ours.
    Transfer,
    /// A customer, who sends back what an order brought.
    Return,
}

/// What shall come in at one place, all in all.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Announcement {
    /// Its name: stable for ever, unique in all that we send, 1 to 60 characters without spaces or slashes.
    pub document: String,
    /// Grows with every change; not by one.
    pub version: u64,
    /// The system's id of the location it comes to.
    pub location: String,
    /// What brings it.
    pub kind: Brings,
    /// What people know it by: the purchase order's, the transfer's or the return's reference, or its number.
    pub reference: String,
    /// Who sends it: the supplier, or our code of the other location; none for a return.
    pub from: Option<String>,
    /// Of a return: what its customer knows the order by.
    #[serde(default)]
    pub order: Option<String>,
    /// Of a return: the name of the system that the order came from; `onhand` for one that was placed here.
    #[serde(default)]
    pub order_system: Option<String>,
    /// The first day that some of it is expected on.
    pub expected_on: Option<Date>,
    /// Nothing more of it comes.
    pub cancelled: bool,
    /// What comes. A line that was there before is there for ever, with what has come of it where no more is expected.
    pub lines: Vec<AnnouncedLine>,
}

/// One line of an [`Announcement`]: each item once.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct AnnouncedLine {
    /// Its name in the document.
    pub line: String,
    /// The system's own id of the item, where one is mapped to single units of it.
    pub listing: Option<String>,
    /// Our SKU of the item.
    pub sku: String,
    /// Its name, for people.
    pub name: String,
    /// How much comes in all, what has come by now included.
    pub quantity: Quantity,
    /// The first day that some of it is expected on.
    pub expected_on: Option<Date>,
}

/// How an announcement stands over there.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Receiving {
    /// It is expected.
    Accepted,
    /// It is not, and will not be taken in.
    Refused,
    /// It is done: nothing more is booked for it, whether all has come or not.
    Received,
    /// It was cancelled, by us or over there.
    Cancelled,
}

/// What a system says of an announcement, in the state it is in now.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Received {
    /// Which: [`Announcement::document`].
    pub document: String,
    /// The newest version of it that this answers; at least 1.
    pub version: u64,
    /// Grows with every change of it over there, and never changes without; at least 1.
    pub revision: u64,
    /// When it last changed over there.
    pub updated_at: Instant,
    /// How it stands.
    pub progress: Receiving,
    /// Why, where something of it is not taken in.
    pub reason: Option<String>,
    /// What has come by now: all deliveries, not only the new ones.
    #[serde(default)]
    pub deliveries: Vec<Delivery>,
}

/// Goods of an announcement that came in together.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Delivery {
    /// Its name: stable, unique in its document, 1 to 100 characters.
    pub delivery: String,
    /// When it came in.
    pub received_at: Instant,
    /// What came.
    pub lines: Vec<DeliveredLine>,
}

/// In what state goods came in.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Condition {
    /// Fit to be sold.
    Available,
    /// Broken.
    Damaged,
    /// To be looked at first.
    QualityControl,
}

impl From<Condition> for StockState {
    fn from(condition: Condition) -> Self {
        match condition {
            Condition::Available => Self::Available,
            Condition::Damaged => Self::Damaged,
            Condition::QualityControl => Self::QualityControl,
        }
    }
}

/// Some of a line in a [`Delivery`].
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct DeliveredLine {
    /// Which: [`AnnouncedLine::line`].
    pub line: String,
    /// How much; more than nothing. It may be more than was announced.
    pub quantity: Quantity,
    /// Of which lot, or which piece, where these are told apart.
    #[serde(default)]
    pub lot: Option<String>,
    /// The last day it may be sold on; only where the lot is new.
    #[serde(default)]
    pub expires: Option<Date>,
    /// In what state; unless told fit to be sold, or of a return as it was announced to us.
    #[serde(default)]
    pub condition: Option<Condition>,
}

/// Announcements that changed over there since a cursor.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct ReceivedPage {
    /// The oldest change first.
    pub receipts: Vec<Received>,
    /// Where to go on from; opaque to everyone but the channel.
    pub cursor: String,
    /// Is there more right now?
    #[serde(default)]
    pub more: bool,
}
