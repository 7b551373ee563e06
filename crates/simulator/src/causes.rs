//! Was Onhand right about why a number differed? The world knows.

use std::collections::BTreeMap;
use std::ops::AddAssign;

use onhand_ledger::model::Cause;
use onhand_ledger::{Entry, Instant, Record, Seq, SystemId};
use serde::{Deserialize, Serialize};

use crate::books::Books;
use crate::world::{Deed, Truth, World};

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

/// What lasts may be told so much after it ended: an answer takes that long.
const TOLD_LATE: i64 = 15;
/// A change may come so long before the one that was told of before it was.
const LOOKED_INTO: i64 = 8;

/// What was told that was not right.
#[derive(Clone, Debug, Default)]
pub struct Told {
    /// As certain.
    pub wrong: Vec<String>,
    /// As what it may be.
    pub unsure: Vec<String>,
}

/// Judges all that was told of listings.
pub fn score(world: &World, books: &Books, records: &[(Seq, Record)], ids: &[SystemId]) -> (Causes, Told) {
    let (mut causes, mut not_right) = (Causes::default(), Told::default());
    // When a change of a listing was told before.
    let mut told = BTreeMap::<String, Instant>::new();
    for (at, cause, sentence) in told_of(books, records, ids, world) {
        let mut listings = world.shops.iter().flat_map(|shop| &shop.listings);
        let about = listings.find(|(id, _)| sentence.contains(id.as_str()));
        let Some((id, listed)) = about else { continue };
        let since = told.get(id).map_or(Instant::MIN, |before| before.plus_seconds(-LOOKED_INTO));
        let lasts = |truth: &Truth| truth.until.is_none_or(|until| at <= until.plus_seconds(TOLD_LATE));
        let is_it = |truth: &Truth| match (cause, truth.deed) {
            (Cause::ManualEdit, Deed::Edit | Deed::SecondMaster) => truth.at > since,
            (Cause::SecondMaster, Deed::SecondMaster) => true,
            (Cause::TrackingOff, Deed::Untracked) | (Cause::PushRefused, Deed::Refused | Deed::Vanished) => {
                lasts(truth)
            }
            _ => false,
        };
        let is_right = listed.truth.iter().any(|truth| truth.at <= at && is_it(truth));
        match cause {
            Cause::Unexplained => {
                causes.unsure += 1;
                not_right.unsure.push(format!("{at}: {sentence}"));
                continue;
            }
            Cause::ManualEdit => {
                told.insert(id.clone(), at);
            }
            Cause::SecondMaster | Cause::TrackingOff | Cause::PushRefused => {}
            _ => continue,
        }
        if is_right {
            causes.right += 1;
        } else {
            causes.wrong += 1;
            not_right.wrong.push(format!("{at}: {sentence}"));
        }
    }
    (causes, not_right)
}

/// All that was said of why numbers differ, in the order of time: to a person, or by adopting it.
fn told_of(
    books: &Books,
    records: &[(Seq, Record)],
    ids: &[SystemId],
    world: &World,
) -> Vec<(Instant, Cause, String)> {
    let discrepancies = books.discrepancies.values();
    let mut told: Vec<(Instant, Cause, String)> = discrepancies
        .map(|discrepancy| (discrepancy.opened_at, discrepancy.cause, discrepancy.sentence.clone()))
        .collect();
    for (_, record) in records {
        // adopted/SYSTEM/LISTING@LOCATION/when: an answer to what was asked was told of before, and what was refused is told of.
        let Some(key) = record.key.as_deref().and_then(|key| key.strip_prefix("adopted/")) else { continue };
        let mut parts = key.splitn(3, '/');
        let (system, listing, when) = (parts.next(), parts.next(), parts.next());
        let is_booked = record.entries.iter().any(|entry| matches!(entry, Entry::Movement(_)));
        if !is_booked || when.is_none_or(|when| when.starts_with("by answer")) {
            continue;
        }
        let id = ids.iter().position(|id| Some(id.to_string().as_str()) == system);
        let listing = listing.and_then(|listing| listing.split('@').next());
        let known = books.listings.iter().find(|(id, _)| Some(id.to_string().as_str()) == listing);
        if let (Some(shop), Some((_, known))) = (id, known) {
            let sentence = format!("{}: a change of {} is adopted", world.shops[shop].name, known.remote_id);
            told.push((record.recorded_at, Cause::ManualEdit, sentence));
        }
    }
    told.sort_by_key(|(at, ..)| *at);
    told
}
