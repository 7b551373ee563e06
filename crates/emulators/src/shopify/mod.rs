//! A Shopify shop: the part of its Admin API (2026-10) that keeps stock and orders, behaving as documented.
//!
//! What a document may say is checked against [`SCHEMA`], a part of the vendor's schema, and against all of it where that file is given
//! ([`Setup::vendor_schema`]). Both `@idempotent` and `changeFromQuantity` are optional in the schema and must be there when it runs. What is
//! asked costs points, by the vendor's arithmetic. Webhooks are signed, and tried again.
//!
//! `/control/…` is what no shop has: customers who buy ([`Buy`]), somebody who ships, cancels, refunds and edits, and [`Faults`]. `/` is a small
//! page to see and change what there is.

mod api;
mod cost;
mod hooks;
mod introspection;
mod mutate;
mod resolve;
mod search;
mod state;

use std::future::Future;
use std::sync::Arc;

use parking_lot::Mutex;
use serde::{Deserialize, Serialize};

pub use crate::wire::EventKind;
pub use api::router;
pub use cost::Plan;
pub use introspection::to_sdl;
pub use state::{Customer, Event, OrderError, Restock, Tracking};

use cost::Bucket;
use hooks::Announcement;
use state::{Level, State, Variant};

use crate::shop::Clock;

/// What of the vendor's schema there is.
pub const SCHEMA: &str = include_str!("schema.graphql");
/// The version it speaks.
pub const VERSION: &str = "2026-10";
/// What an app may do there, unless a fault takes some of it.
const SCOPES: [&str; 6] = [
    "read_locations",
    "read_orders",
    "read_products",
    "write_inventory",
    "write_merchant_managed_fulfillment_orders",
    "write_products",
];

/// How a shop is.
#[derive(Clone, Debug)]
pub struct Setup {
    /// The app's client id.
    pub client_id: String,
    /// Its secret, which signs webhooks too.
    pub client_secret: String,
    /// An access token that is let in besides.
    pub access_token: Option<String>,
    /// What it pays for, and so how much may be asked of it.
    pub plan: Plan,
    /// The vendor's own schema, in SDL (see [`to_sdl`]): what it refuses is refused.
    pub vendor_schema: Option<String>,
}

impl Default for Setup {
    fn default() -> Self {
        Self {
            client_id: "client".to_owned(),
            client_secret: "client-secret".to_owned(),
            access_token: Some("shpat_token".to_owned()),
            plan: Plan::Standard,
            vendor_schema: None,
        }
    }
}

/// What goes wrong.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(default)]
pub struct Faults {
    /// Every answer takes so long.
    pub latency_ms: u64,
    /// So many requests are answered 503, with nothing done.
    pub fail_next: u32,
    /// So many requests are done and then answered 504, as a proxy in between would.
    pub lose_next: u32,
    /// So many requests are answered 429 with `Retry-After: 1.0`.
    pub throttle_next: u32,
    /// A number higher than this is refused.
    pub refuse_above: Option<i64>,
    /// Lists of orders tell of a change only so long after it.
    pub index_lag_ms: u32,
    /// So many webhooks are never sent.
    pub lose_webhooks: u32,
    /// Each webhook is sent so many times more, all at once.
    pub duplicate_webhooks: u32,
    /// Every other webhook comes late.
    pub reorder_webhooks: bool,
    /// How long until a webhook nobody took is tried again at first; each time it is doubled.
    pub retry_ms: u64,
    /// How long a file takes.
    pub bulk_ms: u32,
    /// What the app may do instead, with commas.
    pub scopes: Option<String>,
}

impl Default for Faults {
    fn default() -> Self {
        Self {
            latency_ms: 0,
            fail_next: 0,
            lose_next: 0,
            throttle_next: 0,
            refuse_above: None,
            index_lag_ms: 0,
            lose_webhooks: 0,
            duplicate_webhooks: 0,
            reorder_webhooks: false,
            retry_ms: 50,
            bulk_ms: 100,
            scopes: None,
        }
    }
}

/// What somebody buys: whole units of items.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Buy {
    /// The item.
    pub item: u64,
    /// How much of it.
    pub quantity: i64,
}

/// A shop.
pub struct ShopifyShop {
    state: Mutex<State>,
    setup: Setup,
    schema: api::Schemas,
    clock: Clock,
    http: reqwest::Client,
}

impl ShopifyShop {
    /// A shop with nothing in it; an error says what is wrong with the vendor's schema that was given.
    pub fn new(setup: Setup, clock: Clock) -> Result<Arc<Self>, String> {
        let schema = api::Schemas::new(setup.vendor_schema.as_deref())?;
        let mut state = State::default();
        state.bucket = Some(Bucket::of(setup.plan, clock()));
        let http = reqwest::Client::builder().no_proxy().build().unwrap_or_default();
        Ok(Arc::new(Self { state: Mutex::new(state), setup, schema, clock, http }))
    }

    fn change<T>(self: &Arc<Self>, change: impl FnOnce(&mut State, i64) -> T) -> T {
        let now = (self.clock)();
        let (done, waiting): (T, Vec<Announcement>) = {
            let mut state = self.state.lock();
            let done = change(&mut state, now);
            (done, std::mem::take(&mut state.waiting))
        };
        self.tell(waiting);
        done
    }

    /// Another location: its number.
    pub fn add_location(&self, name: &str) -> u64 {
        let mut state = self.state.lock();
        let id = state.locations.len() as u64 + 1;
        state.locations.insert(id, (name.to_owned(), true));
        id
    }

    /// Puts something on sale, stocked nowhere yet: its item's number.
    pub fn list(&self, sku: &str, name: &str) -> u64 {
        let mut state = self.state.lock();
        let (id, item) = (state.number(), state.number());
        let (sku, name) = (sku.to_owned(), name.to_owned());
        state.variants.insert(item, Variant { id, sku, barcode: None, name, tracked: true });
        item
    }

    /// Takes something off sale for good.
    pub fn unlist(&self, item: u64) {
        let mut state = self.state.lock();
        state.variants.remove(&item);
        state.levels.retain(|(of, _), _| *of != item);
    }

    /// Stocks an item at a location, with its number.
    pub fn stock(&self, item: u64, location: u64, available: i64) {
        self.state.lock().levels.insert((item, location), Level { available, committed: 0, active: true });
    }

    /// Tracks its stock, or sells it without end.
    pub fn set_tracked(&self, item: u64, tracked: bool) {
        if let Some(variant) = self.state.lock().variants.get_mut(&item) {
            variant.tracked = tracked;
        }
    }

    /// What can be bought of an item at a location; none where it is not stocked.
    pub fn available(&self, item: u64, location: u64) -> Option<i64> {
        let state = self.state.lock();
        state.levels.get(&(item, location)).filter(|level| level.active).map(|level| level.available)
    }

    /// What of an item is set aside for orders at a location.
    pub fn committed(&self, item: u64, location: u64) -> i64 {
        self.state.lock().levels.get(&(item, location)).map_or(0, |level| level.committed)
    }

    /// The items, each with its SKU.
    pub fn items(&self) -> Vec<(u64, String)> {
        self.state.lock().variants.iter().map(|(item, variant)| (*item, variant.sku.clone())).collect()
    }

    /// Everything that happened to what can be bought, in order.
    pub fn audit(&self) -> Vec<Event> {
        self.state.lock().audit.clone()
    }

    /// How many numbers were set over the API.
    pub fn writes(&self) -> u64 {
        self.state.lock().writes
    }

    /// How many calls there were.
    pub fn calls(&self) -> u64 {
        self.state.lock().calls
    }

    /// What goes wrong from now on.
    pub fn set_faults(&self, faults: Faults) {
        self.state.lock().faults = faults;
    }

    /// What may be asked of it from now on: so many points come back each second, and so many there are at most.
    pub fn set_limit(&self, points_per_second: f64, maximum: f64) {
        self.state.lock().bucket = Some(Bucket::new(points_per_second, maximum, (self.clock)()));
    }

    /// Which webhooks somebody wants: topic and address.
    pub fn subscriptions(&self) -> Vec<(String, String)> {
        let state = self.state.lock();
        state.subscriptions.values().map(|known| (known.topic.clone(), known.uri.clone())).collect()
    }

    /// A customer buys, all lines or nothing: the order's number.
    pub fn place_order(
        self: &Arc<Self>,
        buys: &[Buy],
        customer: Option<Customer>,
    ) -> Result<u64, OrderError> {
        let wanted: Vec<(u64, i64)> = buys.iter().map(|buy| (buy.item, buy.quantity)).collect();
        self.change(|state, now| {
            let order = state.place(now, &wanted, customer)?;
            state.announce(now, order, &["ORDERS_CREATE", "ORDERS_UPDATED"]);
            Ok(order)
        })
    }

    /// All that is left of an order is sent. False where nothing is.
    pub fn ship(self: &Arc<Self>, order: u64) -> bool {
        self.change(|state, now| {
            let known = state.orders.get(&order).map(|order| order.lines.clone()).unwrap_or_default();
            let locations: Vec<u64> = state.locations.keys().copied().collect();
            let mut any = false;
            for location in locations {
                let left = known.iter().filter_map(|line| Some((line.id, *line.to_send.get(&location)?)));
                let lines: Vec<(u64, i64)> = left.filter(|(_, left)| *left > 0).collect();
                any |= state.fulfil(now, order, location, &lines, Tracking::default()).is_some();
            }
            if any {
                state.announce(now, order, &["FULFILLMENTS_CREATE", "ORDERS_FULFILLED", "ORDERS_UPDATED"]);
            }
            any
        })
    }

    /// What was marked as sent last has not been.
    pub fn unship(self: &Arc<Self>, order: u64) -> bool {
        self.change(|state, now| {
            let sent = state.orders.get(&order).and_then(|order| {
                order.fulfillments.iter().rev().find(|sent| !sent.cancelled).map(|sent| sent.id)
            });
            let done = sent.is_some_and(|sent| state.unfulfil(now, order, sent));
            if done {
                state.announce(now, order, &["FULFILLMENTS_UPDATE", "ORDERS_UPDATED"]);
            }
            done
        })
    }

    /// Nothing of it is wanted any more; its goods are on sale again, or not. False where some have left.
    pub fn cancel(self: &Arc<Self>, order: u64, restock: bool) -> bool {
        self.change(|state, now| {
            let done = state.cancel(now, order, restock);
            if done {
                state.announce(now, order, &["ORDERS_CANCELLED", "REFUNDS_CREATE", "ORDERS_UPDATED"]);
            }
            done
        })
    }

    /// Money goes back for units of its nth line.
    pub fn refund(self: &Arc<Self>, order: u64, nth: usize, quantity: i64, restock: Restock) -> bool {
        self.change(|state, now| {
            let line = state.orders.get(&order).and_then(|order| Some(order.lines.get(nth)?.id));
            let done = line.is_some_and(|line| state.refund(now, order, &[(line, quantity, restock)]));
            if done {
                state.announce(now, order, &["REFUNDS_CREATE", "ORDERS_UPDATED"]);
            }
            done
        })
    }

    /// An edit of the order takes units off its nth line.
    pub fn remove(self: &Arc<Self>, order: u64, nth: usize, quantity: i64) -> bool {
        self.change(|state, now| {
            let line = state.orders.get(&order).and_then(|order| Some(order.lines.get(nth)?.id));
            let done = line.is_some_and(|line| state.remove(now, order, line, quantity));
            if done {
                state.announce(now, order, &["ORDERS_EDITED", "ORDERS_UPDATED"]);
            }
            done
        })
    }

    /// The numbers and carriers of what was sent of an order.
    pub fn tracking(&self, order: u64) -> Vec<Tracking> {
        let state = self.state.lock();
        let sent =
            state.orders.get(&order).map(|order| order.fulfillments.iter().filter(|sent| !sent.cancelled));
        sent.into_iter().flatten().map(|sent| sent.tracking.clone()).collect()
    }

    /// Somebody changes the number in the shop's own admin. False where the item is not stocked there.
    pub fn edit(self: &Arc<Self>, item: u64, location: u64, quantity: i64) -> bool {
        self.change(|state, now| {
            let Some(level) = state.levels.get(&(item, location)) else { return false };
            let change = quantity - level.available;
            state.change(now, EventKind::Edit, (item, location), change, "");
            true
        })
    }
}

/// Serves the shop until told to stop.
pub async fn serve(
    listener: tokio::net::TcpListener,
    shop: Arc<ShopifyShop>,
    shutdown: impl Future<Output = ()> + Send + 'static,
) -> std::io::Result<()> {
    axum::serve(listener, router(shop)).with_graceful_shutdown(shutdown).await
}
