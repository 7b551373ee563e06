//! Was Onhand right about why a number differed? The world knows.

use std::ops::AddAssign;

use onhand_ledger::model::Cause;
use serde::{Deserialize, Serialize};

use crate::books::Books;
use crate::world::{Deed, World};

/// How often a cause that was told was right.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct Causes {
    /// It was that.
    pub right: u64,
    /// It was something else, and told as certain.
    pub wrong: u64,
    /// It was told as what it may be.
    pub unsure: u64,
}

impl AddAssign for Causes {
    fn add_assign(&mut self, other: Self) {
        self.right += other.right;
        self.wrong += other.wrong;
        self.unsure += other.unsure;
    }
}

/// Judges all that was told of listings; and what was told wrongly.
pub fn score(world: &World, books: &Books) -> (Causes, Vec<String>) {
    let (mut causes, mut wrong) = (Causes::default(), Vec::new());
    for discrepancy in books.discrepancies.values() {
        let deeds: &[Deed] = match discrepancy.cause {
            Cause::ManualEdit => &[Deed::Edit, Deed::SecondMaster],
            Cause::SecondMaster => &[Deed::SecondMaster],
            Cause::TrackingOff => &[Deed::Untracked],
            Cause::PushRefused => &[Deed::Refused, Deed::Vanished],
            _ => continue,
        };
        let mut listings = world.shops.iter().flat_map(|shop| &shop.listings);
        let about = listings.find(|(id, _)| discrepancy.sentence.contains(id.as_str()));
        let is_right = about.is_some_and(|(_, listed)| {
            let mut truth = listed.truth.iter();
            truth.any(|truth| deeds.contains(&truth.deed) && truth.at <= discrepancy.opened_at)
        });
        if is_right {
            causes.right += 1;
        } else {
            causes.wrong += 1;
            wrong.push(format!("{}: {}", discrepancy.opened_at, discrepancy.sentence));
        }
    }
    (causes, wrong)
}
