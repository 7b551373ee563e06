//! A WooCommerce shop: the part of its REST API (`wc/v3`) that keeps stock and orders, behaving as documented and as its code does.
//!
//! What moves a number, and when, is of `wc-stock-functions.php` and `wc-order-functions.php`
//! (<https://github.com/woocommerce/woocommerce/tree/trunk/plugins/woocommerce/includes>); what is asked is held against the parameters that
//! its controllers declare. Whoever does not say `dates_are_gmt` is taken for one who lives where the shop is ([`Setup::ahead_minutes`]).
//! Webhooks are signed, tried once, and disabled with the seventh failure in a row.
//!
//! `/control/…` is what no shop has: customers who buy ([`Buy`]), somebody who pays, ships, cancels, refunds and edits, and [`Faults`]. `/` is a small
//! page to see and change what there is.

mod api;
mod control;
mod hooks;
mod rows;
mod state;

use std::future::Future;
use std::sync::Arc;

use parking_lot::Mutex;
use serde::{Deserialize, Serialize};

pub use api::router;
pub use state::{Customer, Event, EventKind, Note, OrderError};

use hooks::Delivery;
use state::{Product, State};

use crate::shop::Clock;

/// How a shop is.
#[derive(Clone, Debug)]
pub struct Setup {
    /// The consumer key.
    pub key: String,
    /// Its secret.
    pub secret: String,
    /// How far its clock on the wall is ahead of UTC.
    pub ahead_minutes: i64,
}

impl Default for Setup {
    fn default() -> Self {
        Self { key: "ck_emulated".to_owned(), secret: "cs_emulated".to_owned(), ahead_minutes: 330 }
    }
}

/// What goes wrong.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[expect(clippy::struct_excessive_bools, reason = "each is a way a shop may be")]
#[serde(default)]
pub struct Faults {
    /// Every answer takes so long.
    pub latency_ms: u64,
    /// So many requests are answered 503 with a page that says it is maintained, with nothing done.
    pub fail_next: u32,
    /// So many requests are done and then answered 504, as a proxy in between would.
    pub lose_next: u32,
    /// So many requests are answered 429 with `Retry-After: 1`, as a host would.
    pub throttle_next: u32,
    /// So many requests are answered 200 with a login page, with nothing done.
    pub html_next: u32,
    /// A number higher than this is refused.
    pub refuse_above: Option<i64>,
    /// What an order takes off is taken off only so long after it is saved.
    pub reduce_lag_ms: u32,
    /// So many webhooks are never sent.
    pub lose_webhooks: u32,
    /// Each webhook is sent so many times more, all at once.
    pub duplicate_webhooks: u32,
    /// Every other webhook comes late.
    pub reorder_webhooks: bool,
    /// The key may only read.
    pub read_only: bool,
    /// So many rows may be set at once, where a plugin has lowered that.
    pub batch_limit: Option<usize>,
    /// It is older than 10.3, and lists variations of one product at a time.
    pub is_old: bool,
    /// Stock is managed nowhere in the shop.
    pub manages_nothing: bool,
    /// Its fulfilments are turned on.
    pub has_fulfillments: bool,
}

/// What somebody buys: whole units of a product, or of a variation.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Buy {
    /// The product's id, or the variation's.
    pub product: u64,
    /// How much of it.
    pub quantity: i64,
}

/// A shop.
pub struct WooShop {
    state: Mutex<State>,
    setup: Setup,
    clock: Clock,
    http: reqwest::Client,
}

impl WooShop {
    /// A shop with nothing in it.
    pub fn new(setup: Setup, clock: Clock) -> Arc<Self> {
        let http = reqwest::Client::builder().no_proxy().build().unwrap_or_default();
        let mut state = State::default();
        state.ahead = setup.ahead_minutes * 60_000_000;
        Arc::new(Self { state: Mutex::new(state), setup, clock, http })
    }

    /// Changes something, and has told whoever wants to hear of it.
    fn change<T>(self: &Arc<Self>, change: impl FnOnce(&mut State, i64) -> T) -> T {
        let now = (self.clock)();
        let (done, waiting): (T, Vec<Delivery>) = {
            let mut state = self.state.lock();
            state.settle(now);
            let done = change(&mut state, now);
            (done, std::mem::take(&mut state.waiting))
        };
        self.tell(waiting);
        done
    }

    fn list_as(&self, product: Product) -> u64 {
        let mut state = self.state.lock();
        let id = state.number();
        state.products.insert(id, product);
        id
    }

    /// Puts a product on sale, of which there are so many: its id.
    pub fn list(&self, sku: &str, name: &str, stock: i64) -> u64 {
        self.list_as(Product { stock, manages: true, ..Product::of("simple", sku, name) })
    }

    /// Puts a product with variations on sale; its stock is counted with it where it has some.
    pub fn list_variable(&self, sku: &str, name: &str, stock: Option<i64>) -> u64 {
        let (manages, stock) = (stock.is_some(), stock.unwrap_or_default());
        self.list_as(Product { stock, manages, ..Product::of("variable", sku, name) })
    }

    /// Another variation of a product; its stock is counted by itself where it has some.
    pub fn add_variation(&self, product: u64, sku: &str, option: &str, stock: Option<i64>) -> u64 {
        let (manages, stock) = (stock.is_some(), stock.unwrap_or_default());
        let parent = Some(product);
        self.list_as(Product { parent, stock, manages, ..Product::of("variation", sku, option) })
    }

    /// Puts something on sale that is sold by others or in parts: an `external` or `grouped` product.
    pub fn list_kind(&self, kind: &'static str, sku: &str, name: &str) -> u64 {
        self.list_as(Product::of(kind, sku, name))
    }

    /// Takes something off sale for good.
    pub fn unlist(&self, product: u64) {
        let mut state = self.state.lock();
        state.products.retain(|id, known| *id != product && known.parent != Some(product));
    }

    /// Counts its stock, or does not.
    pub fn set_manages(&self, product: u64, manages: bool) {
        if let Some(known) = self.state.lock().products.get_mut(&product) {
            known.manages = manages;
        }
    }

    /// Sells it below nothing, or does not.
    pub fn set_backorders(&self, product: u64, allowed: bool) {
        if let Some(known) = self.state.lock().products.get_mut(&product) {
            known.backorders = allowed;
        }
    }

    /// What can be bought, where that is counted by it.
    pub fn stock(&self, product: u64) -> Option<i64> {
        let mut state = self.state.lock();
        state.settle((self.clock)());
        state.products.get(&product).filter(|known| known.manages).map(|known| known.stock)
    }

    /// Everything that happened to its numbers, in order.
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

    /// Which webhooks there are: topic, address, status.
    pub fn webhooks(&self) -> Vec<(String, String, String)> {
        let state = self.state.lock();
        let told = |hook: &hooks::Webhook| (hook.topic.clone(), hook.url.clone(), hook.status.clone());
        state.webhooks.values().map(told).collect()
    }

    /// What a webhook to this address is signed with.
    pub fn signs_with(&self, url: &str) -> Option<String> {
        let state = self.state.lock();
        state.webhooks.values().find(|hook| hook.url == url).map(|hook| hook.secret.clone())
    }

    /// A customer buys and pays, all lines or nothing: the order's number.
    pub fn place_order(
        self: &Arc<Self>,
        buys: &[Buy],
        customer: Option<Customer>,
    ) -> Result<u64, OrderError> {
        self.change(|state, now| {
            let order = state.place(now, buys, customer)?;
            state.set_status(now, order, "processing");
            state.announce(order, "order.created");
            Ok(order)
        })
    }

    /// A customer buys and has not paid yet.
    pub fn place_unpaid(self: &Arc<Self>, buys: &[Buy]) -> Result<u64, OrderError> {
        self.change(|state, now| {
            let order = state.place(now, buys, None)?;
            state.announce(order, "order.created");
            Ok(order)
        })
    }

    /// An order stands otherwise from now on: `processing`, `on-hold`, `completed`, `cancelled`, `refunded`, `failed`, `pending`, or whatever a plugin
    /// calls it. False where there is none, or nothing changes.
    pub fn set_status(self: &Arc<Self>, order: u64, status: &str) -> bool {
        self.change(|state, now| {
            let done = state.set_status(now, order, status);
            if done {
                state.announce(order, "order.updated");
            }
            done
        })
    }

    /// It is sent.
    pub fn ship(self: &Arc<Self>, order: u64) -> bool {
        self.set_status(order, "completed")
    }

    /// Nothing of it is wanted any more.
    pub fn cancel(self: &Arc<Self>, order: u64) -> bool {
        self.set_status(order, "cancelled")
    }

    /// Money goes back for units of its nth line, which are on sale again or not.
    pub fn refund(self: &Arc<Self>, order: u64, nth: usize, quantity: i64, restock: bool) -> bool {
        self.change(|state, now| {
            let done = state.refund(now, order, nth, quantity, restock);
            if done {
                state.announce(order, "order.updated");
            }
            done
        })
    }

    /// Somebody changes how much of its nth line is wanted.
    pub fn change_line(self: &Arc<Self>, order: u64, nth: usize, quantity: i64) -> bool {
        self.change(|state, now| {
            let done = state.change_line(now, order, nth, quantity);
            if done {
                state.announce(order, "order.updated");
            }
            done
        })
    }

    /// How an order stands.
    pub fn status(&self, order: u64) -> Option<String> {
        self.state.lock().orders.get(&order).map(|order| order.status.clone())
    }

    /// What is noted on an order.
    pub fn notes(&self, order: u64) -> Vec<Note> {
        self.state.lock().orders.get(&order).map(|order| order.notes.clone()).unwrap_or_default()
    }

    /// The fulfilments of an order, as they were told.
    pub fn fulfillments(&self, order: u64) -> Vec<serde_json::Value> {
        self.state.lock().orders.get(&order).map(|order| order.fulfillments.clone()).unwrap_or_default()
    }

    /// Somebody changes the number in the shop's own admin. False where it is not counted by that.
    pub fn edit(self: &Arc<Self>, product: u64, quantity: i64) -> bool {
        self.change(|state, now| {
            let Some(known) = state.products.get(&product).filter(|known| known.manages) else {
                return false;
            };
            let change = quantity - known.stock;
            state.change(now, EventKind::Edit, product, change, "");
            true
        })
    }
}

/// Serves the shop until told to stop.
pub async fn serve(
    listener: tokio::net::TcpListener,
    shop: Arc<WooShop>,
    shutdown: impl Future<Output = ()> + Send + 'static,
) -> std::io::Result<()> {
    axum::serve(listener, router(shop)).with_graceful_shutdown(shutdown).await
}
