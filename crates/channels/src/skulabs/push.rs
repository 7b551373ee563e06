//! Setting numbers, as differences to what was there a moment ago (<https://skulabs.mintlify.app/api-docs/inventory/bulk-reconciliation>).
//!
//! What comes on top goes into the bin that has most of it; what is taken off is taken from those that have most. An item that lies nowhere in a
//! warehouse is put into its oldest bin (`location/add_item`).
//!
//! Whether a call that is refused has done a part of it is not said: where there were several, none is known of, each is read again, and goes
//! alone next time.

use std::collections::BTreeMap;

use onhand_ledger::Quantity;
use reqwest::Method;

use super::SkuLabs;
use super::catalogue::Places;
use super::session::Failed;
use super::wire::{self, Held, Row, Way};
use crate::{ChannelError, Push, Pushed, locked};

/// As many units as its number may hold: a number of JavaScript holds more.
const MOST_UNITS: i64 = i32::MAX as i64;

/// So many numbers are set in one call. How many it takes is not said.
const TOGETHER: usize = 100;

/// What one push asks for.
#[derive(Clone, PartialEq, Eq, Debug)]
enum Change {
    Nothing,
    /// Rows of one kind.
    Rows(Way, Vec<Row>),
    /// It is put into a bin where it was not.
    Into(Row),
    Refused(String),
}

/// The bins of a warehouse that have some of an item, those with most first.
fn bins_with(held: &[Held], places: &Places, item: &str, warehouse: &str) -> Vec<(String, i64)> {
    let is_there = |row: &&Held| {
        row.item_id == item && places.bins.get(&row.location_id).is_some_and(|of| of == warehouse)
    };
    let mut sums = BTreeMap::<&str, Quantity>::new();
    for row in held.iter().filter(is_there) {
        *sums.entry(&row.location_id).or_default() += wire::amount(&row.on_hand).unwrap_or_default();
    }
    let mut bins: Vec<(String, i64)> =
        sums.into_iter().map(|(bin, quantity)| (bin.to_owned(), quantity.whole_units())).collect();
    bins.sort_by(|(one, many), (other, few)| few.cmp(many).then_with(|| one.cmp(other)));
    bins
}

/// What is to be done for one number.
fn change(push: &Push, held: &[Held], places: &Places) -> Change {
    let Some(before) = &push.before else {
        return Change::Refused("it has no such item any more".to_owned());
    };
    let wanted = push.quantity.whole_units();
    if wanted > MOST_UNITS {
        return Change::Refused("that is more than it can hold".to_owned());
    }
    let more = wanted - before.quantity.whole_units();
    let bins = bins_with(held, places, &push.listing, &push.location);
    let row = |location_id: String, quantity| Row { location_id, item_id: push.listing.clone(), quantity };
    if more == 0 {
        return Change::Nothing;
    }
    if more > 0 {
        if let Some((bin, _)) = bins.into_iter().next() {
            return Change::Rows(Way::Increase, vec![row(bin, more)]);
        }
        let oldest = places.bins.iter().find(|(_, of)| **of == push.location);
        return match oldest {
            Some((bin, _)) => Change::Into(row(bin.clone(), more)),
            None => Change::Refused("its warehouse has no location to put it in: make one there".to_owned()),
        };
    }
    let (mut left, mut rows) = (-more, Vec::new());
    for (bin, there) in bins {
        let taken = left.min(there).max(0);
        if taken > 0 {
            rows.push(row(bin, taken));
            left -= taken;
        }
    }
    if left > 0 {
        return Change::Refused(format!("{left} more would have to come off than lie there"));
    }
    Change::Rows(Way::Decrease, rows)
}

/// What is done in one call: of which pushes, and how.
struct Call {
    of: Vec<usize>,
    what: Change,
}

impl SkuLabs {
    pub(super) async fn push_all(&self, pushes: &[Push]) -> Result<Vec<Pushed>, ChannelError> {
        let held = locked(&self.looked).held.clone();
        let places = self.places(&held).await?;
        let changes: Vec<Change> = pushes.iter().map(|push| change(push, &held, &places)).collect();
        let mut results: Vec<Option<Pushed>> = vec![None; pushes.len()];
        for (at, change) in changes.iter().enumerate() {
            results[at] = match change {
                Change::Nothing => Some(Pushed::Acknowledged),
                Change::Refused(reason) => Some(Pushed::Refused { reason: reason.clone() }),
                Change::Rows(..) | Change::Into(_) => None,
            };
        }
        let mut is_any_done = results.iter().any(Option::is_some);
        for call in self.calls(pushes, &changes) {
            let done = match &call.what {
                Change::Rows(kind, rows) => self.reconcile(*kind, rows).await,
                Change::Into(row) => self.put_into(row).await,
                Change::Nothing | Change::Refused(_) => continue,
            };
            let together = call.of.len();
            let result = match done {
                Ok(()) => Pushed::Acknowledged,
                Err(Failed::Lost(reason)) => Pushed::Unknown { reason },
                Err(Failed::Refused(reason)) if together > 1 => {
                    Pushed::Unknown { reason: format!("{together} were refused together: {reason}") }
                }
                Err(Failed::Refused(reason)) => Pushed::Refused { reason },
                Err(Failed::Other(error)) if !is_any_done => return Err(error),
                Err(Failed::Other(error)) => {
                    let lost = || Pushed::Unknown { reason: error.to_string() };
                    return Ok(results.into_iter().map(|result| result.unwrap_or_else(lost)).collect());
                }
            };
            is_any_done = true;
            let mut alone = locked(&self.alone);
            for at in call.of {
                match &result {
                    Pushed::Acknowledged => drop(alone.remove(&pushes[at].listing)),
                    Pushed::Unknown { .. } if together == 1 => {}
                    _ => drop(alone.insert(pushes[at].listing.clone())),
                }
                results[at] = Some(result.clone());
            }
        }
        let lost = || Pushed::Unknown { reason: "it was not sent".to_owned() };
        Ok(results.into_iter().map(|result| result.unwrap_or_else(lost)).collect())
    }

    /// The calls to make: what is taken off first, so that nothing is for sale twice in between.
    fn calls(&self, pushes: &[Push], changes: &[Change]) -> Vec<Call> {
        let alone = locked(&self.alone).clone();
        let mut calls = Vec::new();
        for way in [Way::Decrease, Way::Increase] {
            let of_way = |(at, change): (usize, &'_ Change)| match change {
                Change::Rows(kind, rows) if *kind == way => Some((at, rows.clone())),
                _ => None,
            };
            let of_it = changes.iter().enumerate().filter_map(of_way);
            let (apart, together): (Vec<_>, Vec<_>) =
                of_it.partition(|(at, _)| alone.contains(&pushes[*at].listing));
            for part in apart.chunks(1).chain(together.chunks(TOGETHER)) {
                let rows = part.iter().flat_map(|(_, rows)| rows.iter().cloned()).collect();
                let of = part.iter().map(|(at, _)| *at).collect();
                calls.push(Call { of, what: Change::Rows(way, rows) });
            }
        }
        let into = changes.iter().enumerate().filter(|(_, change)| matches!(change, Change::Into(_)));
        calls.extend(into.map(|(at, change)| Call { of: vec![at], what: change.clone() }));
        calls
    }

    async fn reconcile(&self, kind: Way, rows: &[Row]) -> Result<(), Failed> {
        let notes = "kept equal by Onhand".to_owned();
        let body = wire::Reconciliation { kind, rows, reason: "Onhand", notes };
        self.session.change(Method::POST, "/inventory/bulk_reconciliation", &body).await
    }

    async fn put_into(&self, row: &Row) -> Result<(), Failed> {
        let body = wire::AddItem { id: &row.location_id, item_id: &row.item_id, on_hand: row.quantity };
        self.session.change(Method::POST, "/location/add_item", &body).await
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::Reading;

    fn change_of(before: Option<i64>, wanted: i64, lies: &[(&str, i64)]) -> Change {
        let bins = [("a", "w"), ("b", "w"), ("c", "w"), ("x", "other")];
        let bins = bins.map(|(bin, of)| (bin.to_owned(), of.to_owned())).into();
        let places = Places::with(bins);
        let held = lies.iter().map(|(bin, on_hand)| Held {
            location_id: (*bin).to_owned(),
            item_id: "mug".to_owned(),
            on_hand: json!(on_hand),
        });
        let reading = |free| Reading {
            listing: "mug".to_owned(),
            location: "w".to_owned(),
            quantity: Quantity::units(free),
            on_hand: None,
            allocated: None,
            tracked: true,
        };
        let push = Push {
            listing: "mug".to_owned(),
            location: "w".to_owned(),
            quantity: Quantity::units(wanted),
            seq: 1,
            before: before.map(reading),
            expected: None,
        };
        change(&push, &held.collect::<Vec<_>>(), &places)
    }

    #[test]
    fn a_number_is_set_by_what_it_lacks() {
        let rows = |kind, rows: &[(&str, i64)]| {
            let row = |(bin, quantity): &(&str, i64)| Row {
                location_id: (*bin).to_owned(),
                item_id: "mug".to_owned(),
                quantity: *quantity,
            };
            Change::Rows(kind, rows.iter().map(row).collect())
        };
        let lies = [("a", 2), ("b", 6), ("x", 50)];
        assert_eq!(change_of(Some(5), 5, &lies), Change::Nothing);
        assert_eq!(change_of(Some(5), 9, &lies), rows(Way::Increase, &[("b", 4)]));
        assert_eq!(change_of(Some(5), 2, &lies), rows(Way::Decrease, &[("b", 3)]));
        assert_eq!(change_of(Some(8), 1, &lies), rows(Way::Decrease, &[("b", 6), ("a", 1)]));
        let Change::Into(row) = change_of(Some(0), 4, &[("x", 50)]) else { panic!() };
        assert_eq!((row.location_id.as_str(), row.quantity), ("a", 4));
        assert!(matches!(change_of(Some(20), 0, &lies), Change::Refused(_)));
        assert!(matches!(change_of(None, 4, &lies), Change::Refused(_)));
    }
}
