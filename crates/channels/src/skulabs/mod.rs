//! SKULabs, spoken to over its public API (its pages: <https://skulabs.mintlify.app/getting-started/authentication>), in either place: as a warehouse
//! system that is master of its stock, or as one that is kept equal.
//!
//! - It counts what lies in each bin (`on_hand`), and can be asked for all of it. What can be bought is that less what its open orders have
//!   reserved. The second is kept nowhere over there: it is computed when somebody asks, and cached for 5 minutes
//!   (<https://www.skulabs.com/help/en/articles/14870760-a-walkthrough-of-how-skulabs-reserves-stock-against-open-orders>). So its own `free` may be five
//!   minutes old; here it is made of what lies there and of the open orders, in that order: goods that leave in between make it too low, never too high.
//!   [`MOVED_BY`] is what moves it.
//! - What is written is a difference (`bulk_reconciliation`, `increase` and `decrease`): goods that are picked, or counted, between our look and the write
//!   are not undone by it. A write that is lost, and arrives after it was sent again, is counted twice until the next reading.
//! - An account may reserve by itself, by warehouse or by bin. A line that names no warehouse counts at the account's first one.
//! - Orders have no time of their last change, and there is no list of what changed: all that are open are read, with the newest of any kind, and
//!   what is open no more is asked for by name.
//! - Its webhooks tell of statuses of orders and are not signed (<https://help.skulabs.com/en/articles/9219301-skulabs-webhooks-introduction>).
//!
//! When it is first connected, orders that are open are heard of; older ones are history.

mod catalogue;
mod fulfil;
mod numbers;
mod orders;
mod push;
mod send;
mod session;
mod settings;
mod wire;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Mutex;
use std::sync::atomic::AtomicBool;

use onhand_ledger::Instant;
use serde::de::IgnoredAny;
use serde_json::json;

use catalogue::{Catalogue, Kept, Places};
use numbers::Looked;
use session::Session;
use settings::Settings;

use crate::outgoing::{FollowedPage, Outgoing, Recipient, Sent};
use crate::webhook::WebhookScheme;
use crate::{
    Channel, ChannelError, Discovery, Meaning, OrderPage, Parcel, ParcelTold, Push, Pushed, Raw, Reading,
    RemoteStock,
};

/// So many numbers are read, or set, together: however few are read, all that lies there is.
const BATCH: usize = 1_000;

/// What moves what can be bought over there, and how the order that did it is told.
pub const MOVED_BY: [(&str, &str); 7] = [
    ("an order is there and open", "its lines are reserved"),
    ("a shipment or a scan of it deducts", "nothing: what was reserved is gone from the shelf"),
    (
        "it is shipped, and nothing deducts",
        "comes back: what was reserved is free, and has left all the same",
    ),
    ("it is cancelled or archived", "comes back: wanted no more"),
    ("it is open again", "its lines are reserved again"),
    ("goods are received, counted or moved by hand", "by no order: somebody's change"),
    ("a return is put on the shelf", "by no order: what its returns are made of is not said"),
];

/// An account at SKULabs.
pub struct SkuLabs {
    session: Session,
    settings: Settings,
    places: Mutex<Option<Kept<Places>>>,
    catalogue: Mutex<Option<Kept<Catalogue>>>,
    /// What was seen last, for what is done next.
    looked: Mutex<Looked>,
    /// Its orders are to be asked for now, whenever that was done last.
    looks_now: AtomicBool,
    /// Those of which one was refused together with others: they go alone.
    alone: Mutex<BTreeSet<String>>,
}

impl SkuLabs {
    /// An account by its key, at `https://api.skulabs.com` or wherever a stand-in is. An error where a setting is not as it must be, or
    /// the address is none that a key may be sent to.
    pub fn new(
        name: &str,
        url: &str,
        key: &str,
        settings: &BTreeMap<String, String>,
        http: reqwest::Client,
    ) -> Result<Self, ChannelError> {
        let settings = Settings::of(settings)
            .map_err(|reason| ChannelError::Settings { system: name.to_owned(), reason })?;
        let session = Session::new(name, url, key, settings.per_second, http)?;
        Ok(Self {
            session,
            settings,
            places: Mutex::default(),
            catalogue: Mutex::default(),
            looked: Mutex::default(),
            looks_now: AtomicBool::new(true),
            alone: Mutex::default(),
        })
    }
}

/// Whom an order is for, by its raw document.
pub(crate) fn recipient(raw: &Raw) -> Option<Recipient> {
    let told: wire::ForWhom = serde_json::from_str(raw.reveal()).ok()?;
    told.into_recipient()
}

#[async_trait::async_trait]
impl Channel for SkuLabs {
    fn meaning(&self) -> Meaning {
        Meaning::SellableNetOfOwnOrders
    }

    fn batch_size(&self) -> usize {
        BATCH
    }

    /// What is written is what is wanted less what is there.
    fn reads_before_push(&self) -> bool {
        true
    }

    fn writes_differences(&self) -> bool {
        true
    }

    /// The page of its webhooks says nothing of a signature.
    fn webhook(&self) -> Option<WebhookScheme> {
        Some(WebhookScheme::SecretPath)
    }

    /// What moved a number is an open order, and read with it; orders are asked for no more often than this by themselves.
    fn tells_within_ms(&self) -> i64 {
        i64::try_from(self.settings.looks_every().as_millis()).unwrap_or(i64::MAX)
    }

    /// Are we let in, and may we read what we must? There is no write that changes nothing to try.
    async fn test(&self) -> Result<(), ChannelError> {
        for path in ["/warehouse/get", "/item/get", "/order/get"] {
            let _: Vec<IgnoredAny> = self.session.page(path, &json!({}), None, 1, 0, 1).await?;
        }
        Ok(())
    }

    /// As its last answer said.
    async fn clock(&self) -> Result<Option<Instant>, ChannelError> {
        let _: Vec<IgnoredAny> = self.session.page("/warehouse/get", &json!({}), None, 1, 0, 1).await?;
        Ok(self.session.peer.date())
    }

    async fn discover(&self) -> Result<Discovery, ChannelError> {
        let places = self.read_places(&[]).await?;
        let items = self.read_catalogue().await?;
        let listings = items.into_iter().filter(wire::Item::is_active).map(wire::Item::into_remote).collect();
        let locations = places.warehouses.iter().cloned().map(wire::Warehouse::into_remote).collect();
        Ok(Discovery { listings, locations })
    }

    async fn read(&self, listings: &[String]) -> Result<Vec<Reading>, ChannelError> {
        self.numbers(listings).await
    }

    async fn push(&self, pushes: &[Push]) -> Result<Vec<Pushed>, ChannelError> {
        self.push_all(pushes).await
    }

    async fn orders(&self, cursor: Option<&str>) -> Result<OrderPage, ChannelError> {
        self.orders_since(cursor).await
    }

    fn marks_shipped(&self) -> bool {
        true
    }

    async fn mark_shipped(&self, parcel: &Parcel) -> Result<ParcelTold, ChannelError> {
        self.fulfil(parcel).await
    }

    fn tells_stock(&self) -> bool {
        true
    }

    async fn stock(&self, location: &str) -> Result<RemoteStock, ChannelError> {
        self.shelf(location).await
    }

    /// Where it is said to which store.
    fn takes_orders(&self) -> bool {
        self.settings.store.is_some()
    }

    async fn send(&self, orders: &[Outgoing]) -> Result<Vec<Sent>, ChannelError> {
        self.send_all(orders).await
    }

    async fn followed(&self, cursor: Option<&str>) -> Result<FollowedPage, ChannelError> {
        self.follow(cursor).await
    }
}
