//! What lies there, and what of it can be bought.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use onhand_ledger::Quantity;
use serde::Deserialize;
use serde_json::json;

use super::SkuLabs;
use super::wire::{self, Held, OPEN};
use crate::{ChannelError, Reading, RemoteRow, RemoteStock, Told, locked};

/// So many items are asked for by their ids in one call: an address has no room for more.
const ASKED: usize = 100;
/// By then the second is over in which it was read.
const UNTIL_READ_AGAIN: Duration = Duration::from_millis(1_100);

/// What was seen last.
#[derive(Default)]
pub(super) struct Looked {
    /// What lay in each bin.
    pub held: Arc<Vec<Held>>,
    /// The open orders that were read with it, until somebody takes them.
    pub open: Option<Vec<Told<wire::Order>>>,
    /// When these were read.
    pub read_at: Option<tokio::time::Instant>,
    /// When its orders were asked for last.
    pub orders_at: Option<tokio::time::Instant>,
    /// When what was sent was asked for last.
    pub followed_at: Option<tokio::time::Instant>,
}

#[derive(Deserialize)]
struct Known {
    #[serde(rename = "_id")]
    id: String,
}

/// How much there is of an item at a warehouse.
type Sums = BTreeMap<(String, String), Quantity>;

impl SkuLabs {
    async fn held(&self) -> Result<Vec<Held>, ChannelError> {
        let everything = wire::Everything::default();
        let groups: Vec<wire::Group> =
            self.session.ask("/inventory/get_grouped_locations_map", &everything).await?;
        Ok(groups.into_iter().flat_map(|group| group.locations).collect())
    }

    pub(super) async fn open_orders(&self) -> Result<Vec<Told<wire::Order>>, ChannelError> {
        let open = json!({ "status": { "$in": OPEN } });
        self.session.all("/order/get", &open, Some(&wire::order_fields())).await
    }

    /// Of these items those that are there, where nothing of them lies anywhere.
    async fn existing(&self, items: &[&String]) -> Result<BTreeSet<String>, ChannelError> {
        let mut there = BTreeSet::new();
        for part in items.chunks(ASKED) {
            let these = json!({ "_id": { "$in": part } });
            let known: Vec<Known> = self.session.all("/item/get", &these, Some(&json!({ "_id": 1 }))).await?;
            there.extend(known.into_iter().map(|one| one.id));
        }
        Ok(there)
    }

    /// What can be bought of these. What lies there is read first: what leaves in between is no longer reserved when the orders are read, and counts
    /// as neither free nor there.
    pub(super) async fn numbers(&self, listings: &[String]) -> Result<Vec<Reading>, ChannelError> {
        let held = self.held().await?;
        let open = self.open_orders().await?;
        self.are_readable(&open)?;
        let places = self.places(&held).await?;
        let known = self.knowledge(open.iter().map(|told| &told.content)).await?;
        let mut on_hand = Sums::new();
        let (mut there, mut doubtful) = (BTreeSet::new(), BTreeSet::new());
        for row in &held {
            there.insert(row.item_id.clone());
            match (places.bins.get(&row.location_id), wire::amount(&row.on_hand)) {
                (Some(warehouse), Some(some)) => {
                    *on_hand.entry((row.item_id.clone(), warehouse.clone())).or_default() += some;
                }
                (None, Some(some)) if some.is_zero() => {}
                // Nobody knows how much of it lies where: nothing is said of it.
                _ => drop(doubtful.insert(row.item_id.clone())),
            }
        }
        let mut reserved = Sums::new();
        for line in open.iter().flat_map(|told| told.content.read(&known).lines) {
            *reserved.entry((line.listing.clone(), line.place.clone())).or_default() += line.reserved();
        }
        let nowhere: Vec<&String> = listings.iter().filter(|id| !there.contains(*id)).collect();
        if !nowhere.is_empty() {
            there.extend(self.existing(&nowhere).await?);
        }
        there.retain(|item| !doubtful.contains(item));
        let mut readings = Vec::new();
        for listing in listings.iter().filter(|id| there.contains(*id)) {
            for warehouse in &places.warehouses {
                let at = (listing.clone(), warehouse.id.clone());
                let on_hand = on_hand.get(&at).copied().unwrap_or_default();
                let reserved = reserved.get(&at).copied().unwrap_or_default();
                readings.push(Reading {
                    listing: at.0,
                    location: at.1,
                    quantity: on_hand - reserved,
                    on_hand: Some(on_hand),
                    allocated: Some(reserved),
                    tracked: true,
                });
            }
        }
        let mut looked = locked(&self.looked);
        (looked.held, looked.open) = (Arc::new(held), Some(open));
        looked.read_at = Some(tokio::time::Instant::now());
        drop(looked);
        // All that moved these numbers is to be known before they are judged, or set.
        self.looks_now.store(true, Ordering::Relaxed);
        Ok(readings)
    }

    /// All that lies in the bins of a warehouse. It says no instant that this is of, and its clock (the `Date` of an answer) to the second: what
    /// left within that second would be off it twice. So it is read again once that second is over. What is the same by then was so when it
    /// ended; what is not is told next time, and without it that is not all there is.
    pub(super) async fn shelf(&self, location: &str) -> Result<RemoteStock, ChannelError> {
        let (before, _) = self.shelved(location).await?;
        let read_at =
            self.session.peer.date().ok_or_else(|| self.session.peer.unexpected("its answer has no date"))?;
        tokio::time::sleep(UNTIL_READ_AGAIN).await;
        let (mut after, is_known) = self.shelved(location).await?;
        if !is_known {
            return Err(self.session.peer.unexpected(format!("it has no warehouse `{location}`")));
        }
        let is_moved = |item: &String, quantity: &Quantity| before.get(item) != Some(quantity);
        let known = before.keys().chain(after.keys()).collect::<BTreeSet<_>>().len();
        after.retain(|item, quantity| !is_moved(item, quantity));
        let is_whole = after.len() == known;
        let row = |(item, quantity): (String, Quantity)| RemoteRow {
            listing: item,
            quantity: quantity.max(Quantity::ZERO),
            lot: None,
        };
        let as_of = read_at.plus_seconds(1);
        Ok(RemoteStock { as_of, rows: after.into_iter().map(row).collect(), is_whole })
    }

    /// What lies there now, by item; and whether there is such a warehouse.
    async fn shelved(&self, location: &str) -> Result<(BTreeMap<String, Quantity>, bool), ChannelError> {
        let held = self.held().await?;
        let places = self.places(&held).await?;
        let is_known = places.warehouses.iter().any(|one| one.id == location);
        let mut sums = BTreeMap::<String, Quantity>::new();
        for row in
            held.iter().filter(|row| places.bins.get(&row.location_id).is_some_and(|of| of == location))
        {
            let on_hand = wire::amount(&row.on_hand).ok_or_else(|| {
                self.session.peer.unexpected(format!("it says {} of item {}", row.on_hand, row.item_id))
            })?;
            *sums.entry(row.item_id.clone()).or_default() += on_hand;
        }
        Ok((sums, is_known))
    }
}
