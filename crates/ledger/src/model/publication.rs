//! What other systems shall show, as rules: kept here as data, to which `sync` gives its meaning.

use serde::{Deserialize, Serialize};

use super::Source;
use crate::{Date, Instant, ItemId, ListingId, Quantity, SystemId};

/// How the number of a listing follows from stock, by a formula or in this order: incoming, stop-at, buffer, percentage, cap, packs.
///
/// It speaks of one thing (a listing, an item, the items with a tag, or all) at one place (a remote location, a system,
/// or all); see [`crate::publication`] for which of several speaks.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Publication {
    /// The system it speaks of; none: every one.
    pub system: Option<SystemId>,
    /// Of that system the one location it speaks of, by its id over there; none: every one.
    pub remote_location: Option<String>,
    /// The item it speaks of; none: every one (or those of `tag`).
    pub item: Option<ItemId>,
    /// The tag it speaks of, where no item is named.
    pub tag: Option<String>,
    /// The one listing it speaks of, where neither is named.
    pub listing: Option<ListingId>,
    /// Which of our locations count; none: those behind the remote location. What is inside another counts once.
    pub counts: Vec<Source>,
    /// Kept back from what is available; where it adapts at least so much.
    pub buffer: Quantity,
    /// What is kept back adapts to what is measured: more may be sold than that one time in so many. See [`BufferSize`].
    pub risk_one_in: Option<u32>,
    /// Where it adapts no more than this.
    pub buffer_at_most: Option<Quantity>,
    /// Never show more than this.
    pub cap: Option<Quantity>,
    /// Show this share of it, 0 to 100.
    pub percentage: u8,
    /// Show 0 at or below this much.
    pub stop_at: Option<Quantity>,
    /// What is expected within this counts as if it were there.
    pub incoming: Option<Horizon>,
    /// A formula in CEL that says it all: see [`crate::formula`]. Checked when the rule was set.
    pub formula: Option<String>,
    /// The number is left to the system: nothing is sent, and what it shows is not judged.
    pub skip: bool,
}

/// How far ahead what is expected counts, by the days of the place where it is expected. What was expected on a day that is
/// over, or on no day that is known, does not.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum Horizon {
    /// Up to so many days after today.
    Days(u16),
    /// Up to this day.
    Until(Date),
}

impl Default for Publication {
    fn default() -> Self {
        Self {
            system: None,
            remote_location: None,
            item: None,
            tag: None,
            listing: None,
            counts: Vec::new(),
            buffer: Quantity::ZERO,
            risk_one_in: None,
            buffer_at_most: None,
            cap: None,
            percentage: 100,
            stop_at: None,
            incoming: None,
            formula: None,
            skip: false,
        }
    }
}

/// How much of its item an adaptive rule keeps back at a listing, and what that followed from when it was sized: so that whoever reads
/// the log comes to the same number.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct BufferSize {
    /// So much, in units of the item.
    pub quantity: Quantity,
    /// So much of the item was sold,
    pub sold: Quantity,
    /// in so many sales,
    pub sales: u32,
    /// in so many seconds.
    pub over_seconds: u32,
    /// So long the slowest other system that sells it may sell what is gone, in milliseconds.
    pub lag_ms: u64,
    /// Which one that is, by the name it had; none: no other sells it.
    pub lagging: Option<String>,
    /// Was that measured? Else it was assumed.
    pub is_measured: bool,
    /// The risk that was chosen: one time in so many more is sold.
    pub one_in: u32,
    /// When it was sized.
    pub at: Instant,
}

/// Some items are not sold anywhere until somebody lifts it: whatever rules say, every listing of them shows 0.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct SellingStop {
    /// Which item; none: those of `tag`.
    pub item: Option<ItemId>,
    /// Items with which tag, where no item is named.
    pub tag: Option<String>,
    /// Why, in the words of whoever stopped it.
    pub reason: String,
    /// Who stopped it.
    pub by: String,
    /// When.
    pub at: Instant,
}
