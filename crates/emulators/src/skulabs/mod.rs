//! An account at SKULabs: the part of its API that keeps items, bins, stock and orders, behaving as its pages say
//! (<https://skulabs.mintlify.app/getting-started/rate-limits> and what is there beside it).
//!
//! What goods do is in `state.rs`: they lie in bins, open orders reserve, shipments deduct. A key may be used so often a second, an account so often an
//! hour; what is over is refused with the seconds to wait. A call that sets many numbers locks the account. Webhooks tell of statuses, are not
//! signed, and are tried again for a day. What can be bought by its own word (`calculate_free_map`) may be five minutes old.
//!
//! Where its pages say nothing, this is as strict as it can be: a bulk call of which one row cannot be done does nothing.
//!
//! `/control/…` is what no account has: customers who buy, people who ship, cancel and count, and [`Faults`]. `/` is a small page to see and change
//! what there is.

mod api;
mod control;
mod hooks;
mod state;

use std::future::Future;
use std::sync::Arc;

use parking_lot::Mutex;
use serde::{Deserialize, Serialize};
use serde_json::json;

pub use crate::wire::EventKind;
pub use api::router;
pub use state::Event;

use api::Calls;
use hooks::Delivery;
use state::{Item, Kit, State, instant};

use crate::shop::Clock;

/// How an account is.
#[derive(Clone, Debug)]
pub struct Setup {
    /// Its key.
    pub key: String,
    /// So often the key may be used in a second.
    pub per_second: u32,
    /// So often the account may be called in an hour, by its plan.
    pub per_hour: u32,
}

impl Default for Setup {
    /// As documented, and with a Premium plan.
    fn default() -> Self {
        Self { key: "emulated-key".to_owned(), per_second: 2, per_hour: 4_166 }
    }
}

/// What goes wrong.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Faults {
    /// Every answer takes so long.
    pub latency_ms: u64,
    /// So many requests are answered 502, with nothing done.
    pub fail_next: u32,
    /// So many requests are done and then answered 504.
    pub lose_next: u32,
    /// So many requests are answered 429 with a second to wait.
    pub throttle_next: u32,
    /// So many calls that set many numbers find the account locked.
    pub locked_next: u32,
    /// A call after which more than this can be bought of something is refused.
    pub refuse_above: Option<i64>,
    /// Shipments deduct nothing.
    pub deducts_nothing: bool,
    /// The key may only read.
    pub read_only: bool,
    /// So many webhooks are never sent.
    pub lose_webhooks: u32,
    /// Each webhook is sent so many times more, all at once.
    pub duplicate_webhooks: u32,
    /// Every other webhook comes late.
    pub reorder_webhooks: bool,
}

/// What somebody buys: whole units of an item, or of a kit.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Buy {
    /// Its id.
    pub item: String,
    /// How much of it.
    pub quantity: i64,
}

/// An account.
pub struct SkuLabs {
    state: Mutex<State>,
    calls: Mutex<Calls>,
    setup: Setup,
    clock: Clock,
    http: reqwest::Client,
}

impl SkuLabs {
    /// An account with a manual store and nothing else in it.
    pub fn new(setup: Setup, clock: Clock) -> Arc<Self> {
        let http = reqwest::Client::builder().no_proxy().build().unwrap_or_default();
        let mut state = State::default();
        state.manual_store = state.id(clock());
        Arc::new(Self { state: Mutex::new(state), calls: Mutex::default(), setup, clock, http })
    }

    /// Changes something, and has told whoever wants to hear of it.
    fn change<T>(self: &Arc<Self>, change: impl FnOnce(&mut State, i64) -> T) -> T {
        let now = (self.clock)();
        let (done, waiting): (T, Vec<Delivery>) = {
            let mut state = self.state.lock();
            let done = change(&mut state, now);
            (done, std::mem::take(&mut state.waiting))
        };
        self.tell(waiting);
        done
    }

    /// The store that orders are made in by hand.
    pub fn manual_store(&self) -> String {
        self.state.lock().manual_store.clone()
    }

    /// Another warehouse, with a bin in it: the ids of both.
    pub fn add_warehouse(&self, name: &str) -> (String, String) {
        let now = (self.clock)();
        let warehouse = {
            let mut state = self.state.lock();
            let warehouse = state.id(now);
            state.warehouses.insert(warehouse.clone(), name.to_owned());
            warehouse
        };
        let bin = self.add_bin(&warehouse, "Default");
        (warehouse, bin)
    }

    /// Another bin of a warehouse: its id.
    pub fn add_bin(&self, warehouse: &str, name: &str) -> String {
        let mut state = self.state.lock();
        let bin = state.id((self.clock)());
        state.bins.insert(bin.clone(), (warehouse.to_owned(), name.to_owned()));
        bin
    }

    /// Another item, of which nothing lies anywhere: its id.
    pub fn list(&self, sku: &str, name: &str) -> String {
        let mut state = self.state.lock();
        let id = state.id((self.clock)());
        let item = Item { sku: sku.to_owned(), name: name.to_owned(), active: true, listings: Vec::new() };
        state.items.insert(id.clone(), item);
        id
    }

    /// A shop calls an item so.
    pub fn link(&self, item: &str, store: &str, product: &str, variant: &str) {
        if let Some(item) = self.state.lock().items.get_mut(item) {
            item.listings.push((store.to_owned(), product.to_owned(), variant.to_owned()));
        }
    }

    /// Another kit: its id.
    pub fn add_kit(&self, sku: &str, name: &str, parts: &[(&str, i64)]) -> String {
        let mut state = self.state.lock();
        let id = state.id((self.clock)());
        let parts = parts.iter().map(|(item, each)| ((*item).to_owned(), *each)).collect();
        state.kits.insert(id.clone(), Kit { sku: sku.to_owned(), name: name.to_owned(), parts });
        id
    }

    /// An item is there no more.
    pub fn unlist(&self, item: &str) {
        let mut state = self.state.lock();
        state.items.remove(item);
        state.held.retain(|(_, of), _| of != item);
    }

    /// Somebody counts what lies in a bin. False where there is no such bin or item.
    pub fn count(self: &Arc<Self>, item: &str, bin: &str, on_hand: i64) -> bool {
        self.change(|state, now| {
            if !state.bins.contains_key(bin) || !state.items.contains_key(item) {
                return false;
            }
            let before = state.held.get(&(bin.to_owned(), item.to_owned())).copied().unwrap_or(0);
            state.change(now, EventKind::Edit, bin, item, on_hand - before, "");
            true
        })
    }

    /// What lies of an item at a warehouse, or anywhere.
    pub fn on_hand(&self, item: &str, warehouse: Option<&str>) -> i64 {
        self.state.lock().on_hand(item, warehouse)
    }

    /// What can be bought of an item: what lies there, less what is reserved.
    pub fn free(&self, item: &str) -> i64 {
        self.state.lock().free(item)
    }

    /// How many numbers were set over the API.
    pub fn writes(&self) -> u64 {
        self.state.lock().writes
    }

    /// How many calls there were.
    pub fn calls(&self) -> u64 {
        self.state.lock().calls
    }

    /// Everything that happened to its numbers, in order.
    pub fn audit(&self) -> Vec<Event> {
        self.state.lock().audit.clone()
    }

    /// What goes wrong from now on.
    pub fn set_faults(&self, faults: Faults) {
        self.state.lock().faults = faults;
    }

    /// Statuses of orders are told to this address from now on.
    pub fn set_webhook(&self, url: &str) {
        self.state.lock().webhook = Some(url.to_owned());
    }

    /// A webhook of an order as it would be sent now.
    pub fn webhook_of(&self, order: &str) -> Option<String> {
        self.state.lock().told((self.clock)(), order, "unstarted")
    }

    /// A customer of its manual store buys: the order's id.
    pub fn buy(self: &Arc<Self>, buys: &[Buy]) -> String {
        self.change(|state, now| {
            let lines = buys.iter().enumerate().map(|(nth, buy)| {
                json!({ "type": "item", "id": buy.item, "line_id": format!("L{nth}"), "quantity": buy.quantity, "price": 1 })
            });
            let lines: Vec<_> = lines.collect();
            let (store, number) = (state.manual_store.clone(), format!("{}", 1_001 + state.orders.len()));
            let stash = json!({ "store_id": store, "id": number, "type": "manual", "date": instant(now), "items": lines,
                "shipping_information": { "name": "Ada L", "address": "1 Mill Road", "city": "Ely", "zip": "CB7", "country": "GB" } });
            state.place(now, &store, &number, stash)
        })
    }

    /// An order with whatever is in its stash: its id.
    pub fn place(self: &Arc<Self>, store: &str, number: &str, stash: serde_json::Value) -> String {
        self.change(|state, now| state.place(now, store, number, stash))
    }

    /// All that has not left of an order leaves.
    pub fn ship(self: &Arc<Self>, order: &str) -> bool {
        self.change(|state, now| state.ship(now, order, None, "usps", &format!("T{now}")))
    }

    /// Some of an order leaves.
    pub fn ship_some(self: &Arc<Self>, order: &str, item: &str, quantity: i64) -> bool {
        let items = [(item.to_owned(), quantity)];
        self.change(|state, now| state.ship(now, order, Some(&items), "usps", &format!("T{now}")))
    }

    /// An order stands otherwise: nothing is deducted by that.
    pub fn set_status(self: &Arc<Self>, order: &str, status: &str) -> bool {
        self.change(|state, now| state.set_status(now, order, status))
    }

    /// How an order stands: its status, and carrier and tracking number of each shipment.
    pub fn status(&self, order: &str) -> Option<(String, Vec<(String, String)>)> {
        let state = self.state.lock();
        let order = state.orders.get(order)?;
        let shipments = order.shipments.iter().map(|one| (one.carrier.clone(), one.tracking.clone()));
        Some((order.status.clone(), shipments.collect()))
    }

    /// The orders of its manual store: id, number, and what of each item.
    pub fn orders(&self) -> Vec<(String, String, Vec<(String, i64)>)> {
        let state = self.state.lock();
        let told = |order: &state::Order| (order.id.clone(), order.number.clone(), order.lines());
        state.orders.values().map(told).collect()
    }
}

/// Serves the account until told to stop.
pub async fn serve(
    listener: tokio::net::TcpListener,
    account: Arc<SkuLabs>,
    shutdown: impl Future<Output = ()> + Send + 'static,
) -> std::io::Result<()> {
    axum::serve(listener, router(account)).with_graceful_shutdown(shutdown).await
}
