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
    /// Kept back from what is available.
    pub buffer: Quantity,
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
            cap: None,
            percentage: 100,
            stop_at: None,
            incoming: None,
            formula: None,
            skip: false,
        }
    }
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
