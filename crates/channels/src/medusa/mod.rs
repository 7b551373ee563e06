//! Medusa 2, spoken to over its admin API (tried with 2.21.2).
//!
//! - What its customers can buy of an inventory item is `stocked_quantity` − `reserved_quantity`, added up over the locations of their sales
//!   channel (<https://docs.medusajs.com/resources/commerce-modules/inventory/reservations-lifecycle>). Medusa reserves by itself, so a number is sent as
//!   *desired + reserved*, with what is reserved read just before and again in the answer: an order placed in between only lowers what can be
//!   bought; one fulfilled in between would raise it, and is put right at once. [`MOVED_BY`] is what moves either.
//! - `reserved_quantity` is a counter that Medusa keeps beside its reservations, and they can differ (<https://github.com/medusajs/medusa/issues/16338>,
//!   <https://github.com/medusajs/medusa/issues/12401>): what can be bought goes by the counter, and so do we.
//! - Only `stocked_quantity` can be written, by `/admin/inventory-items/location-levels/batch`, all of a call or nothing of it
//!   (<https://docs.medusajs.com/api/admin/inventory-items>); there is no compare-and-set.
//! - An order's `updated_at` moves with whatever happens to it: placed, edited, fulfilled, shipped, delivered, cancelled, a return asked for or
//!   received (tried). Medusa sends no webhooks: what listens to its events is code in the server itself
//!   (<https://docs.medusajs.com/learn/fundamentals/events-and-subscribers>).
//! - A secret key lets us in, which is as its user, or as anybody where roles are not turned on
//!   (<https://docs.medusajs.com/user-guide/settings/developer/secret-api-keys>). It says nothing of how often it may be asked; whoever hosts it may (429).
//!
//! When a server is first connected, the orders not sent in full are heard of; older ones are history, also when they change afterwards.

mod fulfil;
mod orders;
mod push;
#[cfg(test)]
mod recorded;
mod session;
mod wire;

use std::collections::BTreeSet;
use std::sync::Mutex;
use std::time::Duration;

use onhand_ledger::Instant;
use serde::de::{DeserializeOwned, IgnoredAny};

use session::Session;

use crate::outgoing::Recipient;
use crate::{
    Channel, ChannelError, Discovery, Meaning, OrderPage, Parcel, ParcelTold, Push, Pushed, Raw, Reading,
    locked,
};

/// How many rows one call asks for, and sets. Medusa has no bound of its own; so many ids fit the first line of a request (16 KB with its
/// headers, <https://nodejs.org/api/http.html#httpmaxheadersize>).
const PAGE: usize = 100;
/// How long what is known of its locations is good.
const LOCATIONS_KNOWN: Duration = Duration::from_mins(10);

/// What moves `stocked_quantity` and `reserved_quantity` over there by itself, and what that does to what can be bought
/// (<https://docs.medusajs.com/resources/commerce-modules/inventory/reservations-lifecycle>,
/// <https://docs.medusajs.com/resources/commerce-modules/inventory/inventory-in-flows>; all tried).
pub const MOVED_BY: [(&str, &str); 10] = [
    ("an order is placed", "reserved rises: it falls by what was ordered"),
    ("an order is edited", "reserved rises or falls: it falls or rises as much"),
    ("an order is fulfilled, that is packed", "stocked and reserved fall alike: it stays"),
    ("a fulfilment is shipped or delivered", "nothing: it stays"),
    ("a fulfilment is cancelled, before it is shipped", "stocked and reserved rise alike: it stays"),
    ("an order is cancelled", "reserved falls: it rises by what was reserved"),
    ("what comes back is received", "stocked rises: it rises"),
    ("what comes back is damaged", "nothing: it stays"),
    ("somebody reserves, or ends a reservation", "reserved rises or falls: a change by hand"),
    ("somebody changes what is stocked", "stocked rises or falls: a change by hand"),
];

/// A Medusa server.
pub struct Medusa {
    session: Session,
    /// Its locations, as far as that was read, and when.
    locations: Mutex<Option<(Vec<String>, tokio::time::Instant)>>,
}

impl Medusa {
    /// A server at its address, such as `http://127.0.0.1:9000`, with a secret key.
    pub fn new(name: &str, url: &str, key: &str, http: reqwest::Client) -> Self {
        Self { session: Session::new(name, url, key, http), locations: Mutex::default() }
    }

    /// What we must be allowed is tried before anything relies on it: a batch of nothing changes nothing.
    async fn check_rights(&self) -> Result<(), ChannelError> {
        let one = [("limit", "1".to_owned()), ("fields", "id".to_owned())];
        let may = |what: &str, error: ChannelError| {
            match error {
            ChannelError::Credentials { reason, .. } => self.session.peer.credentials(format!(
                "this key may not {what} ({reason}): give a secret key of somebody who may read products, stock locations and orders, and \
                 change inventory"
            )),
            error => error,
        }
        };
        for (path, what) in [
            ("/inventory-items", "read inventory"),
            ("/stock-locations", "read stock locations"),
            ("/orders", "read orders"),
            ("/reservations", "read reservations"),
        ] {
            let _: IgnoredAny = self.session.get(path, &one).await.map_err(|error| may(what, error))?;
        }
        let done: Result<IgnoredAny, _> = self.session.change(push::BATCH, &wire::SetLevels::default()).await;
        done.map(drop).map_err(|failed| may("change inventory", self.session.failed(failed)))
    }

    /// All of a list, in the order of its ids, of each page so many rows.
    async fn all<L: DeserializeOwned, T>(
        &self,
        path: &str,
        query: &[(&'static str, String)],
        rows: impl Fn(L) -> Vec<T>,
    ) -> Result<Vec<T>, ChannelError> {
        let mut all = Vec::new();
        loop {
            let mut query = query.to_vec();
            query.extend([
                ("limit", PAGE.to_string()),
                ("offset", all.len().to_string()),
                ("order", "id".to_owned()),
            ]);
            let page = rows(self.session.get(path, &query).await?);
            let is_last = page.len() < PAGE;
            all.extend(page);
            if is_last {
                return Ok(all);
            }
        }
    }

    async fn find_locations(&self) -> Result<Vec<wire::Location>, ChannelError> {
        let fields = [("fields", "id,name".to_owned())];
        let found =
            self.all("/stock-locations", &fields, |page: wire::Locations| page.stock_locations).await?;
        let ids = found.iter().map(|location| location.id.clone()).collect();
        *locked(&self.locations) = Some((ids, tokio::time::Instant::now()));
        Ok(found)
    }

    /// The ids of its locations, as known a while ago at most.
    async fn locations(&self) -> Result<Vec<String>, ChannelError> {
        let known = locked(&self.locations).clone();
        if let Some((known, _)) = known.filter(|(_, at)| at.elapsed() < LOCATIONS_KNOWN) {
            return Ok(known);
        }
        Ok(self.find_locations().await?.into_iter().map(|location| location.id).collect())
    }

    /// The numbers of these listings at all locations.
    async fn levels(&self, listings: &[String]) -> Result<Vec<Reading>, ChannelError> {
        let locations = self.locations().await?;
        let mut readings = Vec::new();
        for part in listings.chunks(PAGE) {
            let items: wire::Items =
                self.session.get("/inventory-items", &asked(part, wire::LEVEL_FIELDS)).await?;
            let found: BTreeSet<&str> = items.inventory_items.iter().map(|item| item.id.as_str()).collect();
            let others: Vec<String> =
                part.iter().filter(|id| !found.contains(id.as_str())).cloned().collect();
            readings.extend(items.inventory_items.iter().flat_map(|item| item.readings(&locations)));
            if !others.is_empty() {
                // A variant that has an inventory item by now is that item.
                let variants: wire::Variants =
                    self.session.get("/product-variants", &asked(&others, wire::VARIANT_FIELDS)).await?;
                let uncounted = variants.variants.iter().filter(|variant| variant.inventory_items.is_empty());
                readings.extend(uncounted.flat_map(|variant| variant.readings(&locations)));
            }
        }
        Ok(readings)
    }
}

/// What has these ids.
fn asked(ids: &[String], fields: &str) -> Vec<(&'static str, String)> {
    let mut query: Vec<(&'static str, String)> = ids.iter().map(|id| ("id[]", id.clone())).collect();
    query.extend([("limit", ids.len().to_string()), ("fields", fields.to_owned())]);
    query
}

/// Whom an order is for, by its raw document.
pub(crate) fn recipient(raw: &Raw) -> Option<Recipient> {
    let told: wire::ForWhom = serde_json::from_str(raw.reveal()).ok()?;
    told.into_recipient()
}

#[async_trait::async_trait]
impl Channel for Medusa {
    fn meaning(&self) -> Meaning {
        Meaning::SellableNetOfOwnOrders
    }

    fn batch_size(&self) -> usize {
        PAGE
    }

    fn reads_before_push(&self) -> bool {
        true
    }

    async fn test(&self) -> Result<(), ChannelError> {
        self.check_rights().await
    }

    async fn clock(&self) -> Result<Option<Instant>, ChannelError> {
        Ok(self.session.clock().await)
    }

    async fn discover(&self) -> Result<Discovery, ChannelError> {
        self.check_rights().await?;
        let fields = [("fields", wire::ITEM_FIELDS.to_owned())];
        let items = self.all("/inventory-items", &fields, |page: wire::Items| page.inventory_items).await?;
        let uncounted =
            [("fields", wire::VARIANT_FIELDS.to_owned()), ("manage_inventory", "false".to_owned())];
        let variants =
            self.all("/product-variants", &uncounted, |page: wire::Variants| page.variants).await?;
        let uncounted = variants.into_iter().filter(|variant| variant.inventory_items.is_empty());
        let listings = items.into_iter().filter(wire::Item::is_sold).map(wire::Item::into_listing);
        let listings = listings.chain(uncounted.map(wire::Variant::into_listing)).collect();
        let locations = self.find_locations().await?.into_iter().map(wire::Location::into_remote).collect();
        Ok(Discovery { listings, locations })
    }

    async fn read(&self, listings: &[String]) -> Result<Vec<Reading>, ChannelError> {
        self.levels(listings).await
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
}
