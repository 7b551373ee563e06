//! Saying what other systems shall show.

use serde::{Deserialize, Serialize};

use super::Source;
use crate::{Date, Quantity};

/// See [`super::Body::SetPublication`]. There is one rule for each scope (the first five fields): setting it again changes it.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct SetPublication {
    /// A system's name; none: every one.
    pub system: Option<String>,
    /// The id over there of one of its locations that is mapped to one of ours (needs `system`); none: every one.
    pub remote_location: Option<String>,
    /// A SKU; none: every one.
    pub sku: Option<String>,
    /// Or all items with this tag.
    pub tag: Option<String>,
    /// Or one listing, by its remote id (needs `system`).
    pub listing: Option<String>,
    /// Which of our locations count; none: those behind the remote location.
    pub locations: Option<Vec<Source>>,
    /// Kept back; not negative. Default 0.
    pub buffer: Option<Quantity>,
    /// Keep back what is measured to be enough but for one time in so many, 2 to 1,000,000; at least `buffer`.
    pub risk_one_in: Option<u32>,
    /// And no more than this; needs `risk_one_in`, and is not less than `buffer`.
    pub buffer_at_most: Option<Quantity>,
    /// Never more than this; not negative.
    pub cap: Option<Quantity>,
    /// 0 to 100. Default 100.
    pub percentage: Option<u8>,
    /// 0 at or below this much.
    pub stop_at: Option<Quantity>,
    /// Count what is expected up to so many days after today, 0 to 3,650.
    pub incoming_days: Option<u16>,
    /// Or up to this day.
    pub incoming_until: Option<Date>,
    /// A formula in CEL (see [`crate::formula`]) in place of buffer, cap, percentage and stop-at.
    pub formula: Option<String>,
    /// Leave the number to the system: nothing is sent or judged. Goes with nothing but a scope.
    pub skip: Option<bool>,
}

/// See [`super::Body::SizeBuffer`].
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct SizeBuffer {
    /// A system's name.
    pub system: String,
    /// One of its listings, by its remote id.
    pub listing: String,
    /// So much of its item is kept back; not negative.
    pub quantity: Quantity,
    /// So much of the item was sold; not negative.
    pub sold: Quantity,
    /// In so many sales.
    pub sales: u32,
    /// In so many seconds.
    pub over_seconds: u32,
    /// How long the slowest other system may sell what is gone, in milliseconds.
    pub lag_ms: u64,
    /// That system's name.
    pub lagging: Option<String>,
    /// Was that measured?
    pub is_measured: bool,
    /// The risk it is for: one time in so many.
    pub one_in: u32,
}

/// See [`super::Body::StopSelling`].
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct StopSelling {
    /// A SKU.
    pub sku: Option<String>,
    /// Or all items with this tag.
    pub tag: Option<String>,
    /// Why: 1 to 500 characters.
    pub reason: String,
}

/// See [`super::Body::ResumeSelling`].
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct ResumeSelling {
    /// A SKU.
    pub sku: Option<String>,
    /// Or the tag that was stopped.
    pub tag: Option<String>,
}
