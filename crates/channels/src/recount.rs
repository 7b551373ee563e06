//! Requests to a system to count again what it is master of, and what it answers.
//!
//! As [orders](crate::outgoing) are: a document with a version, answered with a revision. What it counted may be in the answer, or be told
//! by the stock it tells of anyway, as of a later time than the request.

use onhand_ledger::{Instant, Quantity};
use serde::{Deserialize, Serialize};

/// What one place shall count.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct RecountRequest {
    /// Its name: stable for ever, unique in all that we send, 1 to 60 characters without spaces or slashes.
    pub document: String,
    /// Grows with every change; not by one.
    pub version: u64,
    /// The system's id of the location.
    pub location: String,
    /// When it was asked for: a count counts as its answer if it is of a later time.
    pub requested_at: Instant,
    /// Why.
    pub reason: Option<String>,
    /// It needs to be counted no more.
    pub cancelled: bool,
    /// What shall be counted.
    pub lines: Vec<RecountLine>,
}

/// One item of a [`RecountRequest`].
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct RecountLine {
    /// Its name in the document.
    pub line: String,
    /// The system's own id of the item, where one is mapped to single units of it.
    pub listing: Option<String>,
    /// Our SKU of the item.
    pub sku: String,
    /// Its name, for people.
    pub name: String,
}

/// How a request stands over there.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Counting {
    /// It will be counted.
    Accepted,
    /// It will not.
    Refused,
    /// It was.
    Counted,
    /// It was cancelled, by us or over there.
    Cancelled,
}

/// What a system says of a request, in the state it is in now.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Recounted {
    /// Which: [`RecountRequest::document`].
    pub document: String,
    /// The newest version of it that this answers; at least 1.
    pub version: u64,
    /// Grows with every change of it over there, and never changes without; at least 1.
    pub revision: u64,
    /// When it last changed over there.
    pub updated_at: Instant,
    /// How it stands.
    pub progress: Counting,
    /// Why, where it is not counted.
    pub reason: Option<String>,
    /// When it was counted.
    #[serde(default)]
    pub counted_at: Option<Instant>,
    /// What was counted; empty where `GET /stock` tells it.
    #[serde(default)]
    pub lines: Vec<CountedLine>,
}

/// What was counted of a line; of each of its lots a line, where these are told apart.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct CountedLine {
    /// Which: [`RecountLine::line`].
    pub line: String,
    /// How much lay there, whatever was ordered; nothing is a count too.
    pub quantity: Quantity,
    /// Of which lot, or which piece, where these are told apart.
    #[serde(default)]
    pub lot: Option<String>,
}

/// Requests that changed over there since a cursor.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct RecountedPage {
    /// The oldest change first.
    pub recounts: Vec<Recounted>,
    /// Where to go on from; opaque to everyone but the channel.
    pub cursor: String,
    /// Is there more right now?
    #[serde(default)]
    pub more: bool,
}
