//! A corner shop: a small online shop of one location that sells what it shows and never less than nothing.
//!
//! Its number means what its customers can still buy: an order takes its lines off at once, all or nothing.
//! Every set, sale, shipment, cancellation and manual edit is recorded in order ([`CornerShop::audit`]).
//! Faults are injected over [`Faults`]: slow or refused answers, and answers lost after the work is done.

use std::collections::BTreeMap;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::{Path, Query, Request, State};
use axum::http::{StatusCode, header};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};

use crate::wire::signature;

/// Microseconds since 1970.
pub type Clock = Arc<dyn Fn() -> i64 + Send + Sync>;

/// How many listings one call reads or sets at most.
pub const BATCH: usize = 100;

/// Something on sale.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Listing {
    /// The shop's id of it.
    pub id: String,
    /// Its SKU.
    pub sku: String,
    /// Its name.
    pub name: String,
    /// What customers can buy.
    pub stock: i64,
}

/// One line of an order.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Line {
    /// The listing's id.
    pub listing: String,
    /// Whole units.
    pub quantity: i64,
}

/// An order, in the state it is in now.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Order {
    /// Its name.
    pub id: String,
    /// Grows with every change of any order.
    pub change: u64,
    /// When it was placed.
    pub placed_at: i64,
    /// When it last changed.
    pub updated_at: i64,
    /// No longer wanted.
    pub cancelled: bool,
    /// Has left.
    pub shipped: bool,
    /// What.
    pub lines: Vec<Line>,
    /// For whom, where the customer said so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub customer: Option<Customer>,
}

/// Who buys.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Customer {
    /// Their name.
    pub name: String,
    /// Where they are written to.
    pub email: String,
    /// Where it goes.
    pub address: String,
}

/// Something that happened to a number.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "kind")]
pub enum Event {
    /// Somebody set it over the API.
    Set {
        /// When.
        at: i64,
        /// The listing.
        listing: String,
        /// To what.
        quantity: i64,
        /// From what.
        previous: i64,
        /// What the caller named as its reason: Onhand's `seq`.
        reference: u64,
    },
    /// A customer bought.
    Sale {
        /// When.
        at: i64,
        /// The order.
        order: String,
        /// The listing.
        listing: String,
        /// How much.
        quantity: i64,
        /// What is left.
        stock_after: i64,
    },
    /// An order was cancelled, and its units can be bought again.
    Cancel {
        /// When.
        at: i64,
        /// The order.
        order: String,
        /// The listing.
        listing: String,
        /// How much.
        quantity: i64,
    },
    /// Somebody changed the number in the shop's own admin.
    Edit {
        /// When.
        at: i64,
        /// The listing.
        listing: String,
        /// To what.
        quantity: i64,
        /// From what.
        previous: i64,
    },
}

/// What goes wrong.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Faults {
    /// Every answer takes so long.
    pub latency_ms: u64,
    /// So many requests are answered 503, with nothing done.
    pub fail_next: u32,
    /// So many requests are done and then answered 504, as a proxy in between would.
    pub lose_next: u32,
    /// So many requests are answered 429 with `Retry-After: 1`.
    pub throttle_next: u32,
    /// A number higher than this is refused.
    pub refuse_above: Option<i64>,
}

#[derive(Default)]
struct Shop {
    listings: BTreeMap<String, Listing>,
    orders: BTreeMap<u64, Order>,
    changes: u64,
    audit: Vec<Event>,
    faults: Faults,
    webhook: Option<Webhook>,
}

/// Where changes of orders are announced.
#[derive(Clone)]
struct Webhook {
    url: String,
    secret: String,
    http: reqwest::Client,
}

impl Webhook {
    /// Says that an order has changed: once, whatever becomes of it.
    async fn announce(self, order: String, change: u64) {
        let body = serde_json::json!({ "topic": "order", "order": order }).to_string();
        let signature = signature(self.secret.as_bytes(), &body);
        let request = self.http.post(&self.url).header("x-shop-signature", signature);
        let sent = request.header("x-shop-event", format!("{order}-{change}")).body(body).send().await;
        if let Err(error) = sent {
            tracing::debug!(%error, "a webhook did not arrive");
        }
    }
}

/// A corner shop.
pub struct CornerShop {
    shop: Mutex<Shop>,
    token: Mutex<String>,
    clock: Clock,
}

/// Why a customer goes away.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum OrderError {
    /// Not enough of it.
    #[error("only {left} of {listing} left")]
    SoldOut {
        /// The listing.
        listing: String,
        /// What is left.
        left: i64,
    },
    /// Nothing of that id, or a quantity below 1.
    #[error("{0} cannot be ordered")]
    Unknown(String),
}

impl CornerShop {
    /// A shop with nothing in it, whose API takes that bearer token.
    pub fn new(token: &str, clock: Clock) -> Arc<Self> {
        Arc::new(Self { shop: Mutex::default(), token: Mutex::new(token.to_owned()), clock })
    }

    /// Puts something on sale.
    pub fn list(&self, id: &str, sku: &str, name: &str, stock: i64) {
        let listing = Listing { id: id.to_owned(), sku: sku.to_owned(), name: name.to_owned(), stock };
        self.shop.lock().listings.insert(id.to_owned(), listing);
    }

    /// Takes something off sale: what it showed, if it was there.
    pub fn unlist(&self, id: &str) -> Option<i64> {
        self.shop.lock().listings.remove(id).map(|listing| listing.stock)
    }

    /// An order as no shop should have one: whatever its id and lines are, what it sells is sold.
    pub fn place_odd_order(&self, id: &str, lines: &[Line]) {
        let at = (self.clock)();
        let mut shop = self.shop.lock();
        shop.changes += 1;
        let (change, number) = (shop.changes, 1_001 + shop.orders.len() as u64);
        for line in lines {
            if let Some(listing) = shop.listings.get_mut(&line.listing) {
                listing.stock -= line.quantity.max(0);
            }
        }
        let (id, lines) = (id.to_owned(), lines.to_vec());
        let order = Order {
            id,
            change,
            placed_at: at,
            updated_at: at,
            cancelled: false,
            shipped: false,
            lines,
            customer: None,
        };
        shop.orders.insert(number, order);
    }

    /// What customers can buy of a listing.
    pub fn stock_of(&self, id: &str) -> Option<i64> {
        self.shop.lock().listings.get(id).map(|listing| listing.stock)
    }

    /// All that is on sale.
    pub fn listings(&self) -> Vec<Listing> {
        self.shop.lock().listings.values().cloned().collect()
    }

    /// Everything that happened, in order.
    pub fn audit(&self) -> Vec<Event> {
        self.shop.lock().audit.clone()
    }

    /// Announces each change of an order there from now on, signed (HMAC-SHA256 of the body, base64) with that secret. Needs a
    /// runtime of tokio around whoever changes an order.
    pub fn set_webhook(&self, url: &str, secret: &str) {
        let http = reqwest::Client::builder().no_proxy().build().unwrap_or_default();
        self.shop.lock().webhook = Some(Webhook { url: url.to_owned(), secret: secret.to_owned(), http });
    }

    /// Takes another bearer token from now on, and no longer the one before.
    pub fn change_token(&self, token: &str) {
        token.clone_into(&mut self.token.lock());
    }

    /// What goes wrong from now on.
    pub fn set_faults(&self, faults: Faults) {
        self.shop.lock().faults = faults;
    }

    /// A customer buys: all lines or nothing.
    pub fn place_order(&self, lines: &[Line]) -> Result<Order, OrderError> {
        self.place_order_of(None, lines)
    }

    /// As [`CornerShop::place_order`], by somebody who says who they are.
    pub fn place_order_of(&self, customer: Option<Customer>, lines: &[Line]) -> Result<Order, OrderError> {
        let at = (self.clock)();
        let mut shop = self.shop.lock();
        let mut wanted = BTreeMap::<&str, i64>::new();
        for line in lines {
            if line.quantity < 1 {
                return Err(OrderError::Unknown(line.listing.clone()));
            }
            *wanted.entry(&line.listing).or_default() += line.quantity;
        }
        for (id, quantity) in wanted {
            let listing = shop.listings.get(id).ok_or_else(|| OrderError::Unknown(id.to_owned()))?;
            if listing.stock < quantity {
                return Err(OrderError::SoldOut { listing: id.to_owned(), left: listing.stock });
            }
        }
        shop.changes += 1;
        let number = 1_001 + shop.orders.len() as u64;
        let order = Order {
            id: number.to_string(),
            change: shop.changes,
            placed_at: at,
            updated_at: at,
            cancelled: false,
            shipped: false,
            lines: lines.to_vec(),
            customer,
        };
        for line in lines {
            let Some(listing) = shop.listings.get_mut(&line.listing) else { continue };
            listing.stock -= line.quantity;
            let stock_after = listing.stock;
            let (order, listing, quantity) = (order.id.clone(), line.listing.clone(), line.quantity);
            shop.audit.push(Event::Sale { at, order, listing, quantity, stock_after });
        }
        shop.orders.insert(number, order.clone());
        announce(&shop, &order.id, order.change);
        Ok(order)
    }

    /// The goods left. False where there is no such open order.
    pub fn ship(&self, order: &str) -> bool {
        self.change(order, |order| order.shipped = true)
    }

    /// The customer changed their mind. False where there is no such open order.
    pub fn cancel(&self, order: &str) -> bool {
        let lines = self.order(order).map(|order| order.lines).unwrap_or_default();
        if !self.change(order, |order| order.cancelled = true) {
            return false;
        }
        let at = (self.clock)();
        let mut shop = self.shop.lock();
        for Line { listing, quantity } in lines {
            if let Some(known) = shop.listings.get_mut(&listing) {
                known.stock += quantity;
            }
            shop.audit.push(Event::Cancel { at, order: order.to_owned(), listing, quantity });
        }
        true
    }

    /// An order.
    pub fn order(&self, id: &str) -> Option<Order> {
        self.shop.lock().orders.get(&id.parse().ok()?).cloned()
    }

    fn change(&self, id: &str, to: impl FnOnce(&mut Order)) -> bool {
        let at = (self.clock)();
        let mut shop = self.shop.lock();
        let change = shop.changes + 1;
        let Some(order) = id.parse().ok().and_then(|number| shop.orders.get_mut(&number)) else {
            return false;
        };
        if order.cancelled || order.shipped {
            return false;
        }
        to(order);
        order.change = change;
        order.updated_at = at;
        shop.changes = change;
        announce(&shop, id, change);
        true
    }

    /// Somebody changes the number in the shop's own admin. False where there is no such listing.
    pub fn edit(&self, id: &str, quantity: i64) -> bool {
        let at = (self.clock)();
        let mut shop = self.shop.lock();
        let Some(listing) = shop.listings.get_mut(id) else { return false };
        let previous = std::mem::replace(&mut listing.stock, quantity);
        shop.audit.push(Event::Edit { at, listing: id.to_owned(), quantity, previous });
        true
    }
}

fn announce(shop: &Shop, order: &str, change: u64) {
    if let (Some(webhook), Ok(runtime)) = (shop.webhook.clone(), tokio::runtime::Handle::try_current()) {
        runtime.spawn(webhook.announce(order.to_owned(), change));
    }
}

/// The shop's API.
pub fn router(shop: Arc<CornerShop>) -> Router {
    let api = Router::new()
        .route("/api/listings", get(listings))
        .route(
            "/api/locations",
            get(|| async { Json([serde_json::json!({"id": "main", "name": "Shop floor"})]) }),
        )
        .route("/api/stock/read", post(read_stock))
        .route("/api/stock/set", post(set_stock))
        .route("/api/orders", get(orders).post(place_order))
        .route("/api/orders/{id}/ship", post(ship))
        .route("/api/orders/{id}/cancel", post(cancel))
        .route("/api/audit", get(|State(shop): State<Arc<CornerShop>>| async move { Json(shop.audit()) }))
        .layer(from_fn_with_state(shop.clone(), misbehave))
        .layer(from_fn_with_state(shop.clone(), require_token));
    let control = Router::new().route("/control/faults", post(faults)).route("/control/edit", post(edit));
    api.merge(control).with_state(shop)
}

/// Serves the shop until told to stop.
pub async fn serve(
    listener: tokio::net::TcpListener,
    shop: Arc<CornerShop>,
    shutdown: impl Future<Output = ()> + Send + 'static,
) -> std::io::Result<()> {
    axum::serve(listener, router(shop)).with_graceful_shutdown(shutdown).await
}

async fn require_token(State(shop): State<Arc<CornerShop>>, request: Request, next: Next) -> Response {
    let token = request.headers().get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
    if token.and_then(|value| value.strip_prefix("Bearer ")) == Some(shop.token.lock().as_str()) {
        next.run(request).await
    } else {
        (StatusCode::UNAUTHORIZED, "wrong token").into_response()
    }
}

async fn misbehave(State(shop): State<Arc<CornerShop>>, request: Request, next: Next) -> Response {
    let faults = {
        let mut shop = shop.shop.lock();
        let faults = shop.faults;
        let now = &mut shop.faults;
        if faults.throttle_next > 0 {
            now.throttle_next -= 1;
        } else if faults.fail_next > 0 {
            now.fail_next -= 1;
        } else if faults.lose_next > 0 {
            now.lose_next -= 1;
        }
        faults
    };
    if faults.latency_ms > 0 {
        tokio::time::sleep(Duration::from_millis(faults.latency_ms)).await;
    }
    if faults.throttle_next > 0 {
        return (StatusCode::TOO_MANY_REQUESTS, [(header::RETRY_AFTER, "1")], "slow down").into_response();
    }
    if faults.fail_next > 0 {
        return (StatusCode::SERVICE_UNAVAILABLE, "closed for a moment").into_response();
    }
    let response = next.run(request).await;
    if faults.lose_next > 0 {
        return (StatusCode::GATEWAY_TIMEOUT, "the answer was lost").into_response();
    }
    response
}

#[derive(Deserialize)]
struct After {
    #[serde(default)]
    after: String,
}

async fn listings(State(shop): State<Arc<CornerShop>>, Query(after): Query<After>) -> Json<Vec<Listing>> {
    let listings = shop.listings();
    Json(listings.into_iter().filter(|listing| listing.id > after.after).take(BATCH).collect())
}

#[derive(Deserialize)]
struct ReadStock {
    listings: Vec<String>,
}

#[derive(Serialize)]
struct StockRow {
    listing: String,
    quantity: i64,
}

async fn read_stock(State(shop): State<Arc<CornerShop>>, Json(read): Json<ReadStock>) -> Response {
    if read.listings.len() > BATCH {
        return (StatusCode::BAD_REQUEST, format!("at most {BATCH} listings a call")).into_response();
    }
    let shop = shop.shop.lock();
    let rows = read.listings.into_iter().filter_map(|listing| {
        let quantity = shop.listings.get(&listing)?.stock;
        Some(StockRow { listing, quantity })
    });
    Json(rows.collect::<Vec<_>>()).into_response()
}

#[derive(Deserialize)]
struct Update {
    listing: String,
    quantity: i64,
    reference: u64,
}

#[derive(Deserialize)]
struct SetStock {
    updates: Vec<Update>,
}

#[derive(Serialize)]
struct SetResult {
    listing: String,
    error: Option<String>,
}

async fn set_stock(State(shop): State<Arc<CornerShop>>, Json(set): Json<SetStock>) -> Response {
    if set.updates.len() > BATCH {
        return (StatusCode::BAD_REQUEST, format!("at most {BATCH} listings a call")).into_response();
    }
    let at = (shop.clock)();
    let mut shop = shop.shop.lock();
    let most = shop.faults.refuse_above;
    let mut results = Vec::new();
    for Update { listing, quantity, reference } in set.updates {
        let error = match shop.listings.get_mut(&listing) {
            None => Some("no such listing".to_owned()),
            Some(_) if quantity < 0 => Some("a quantity is 0 or more".to_owned()),
            Some(_) if most.is_some_and(|most| quantity > most) => {
                Some(format!("a quantity is at most {}", most.unwrap_or_default()))
            }
            Some(known) => {
                let previous = std::mem::replace(&mut known.stock, quantity);
                shop.audit.push(Event::Set { at, listing: listing.clone(), quantity, previous, reference });
                None
            }
        };
        results.push(SetResult { listing, error });
    }
    Json(results).into_response()
}

#[derive(Deserialize)]
struct PlaceOrder {
    lines: Vec<Line>,
}

async fn place_order(State(shop): State<Arc<CornerShop>>, Json(order): Json<PlaceOrder>) -> Response {
    match shop.place_order(&order.lines) {
        Ok(order) => (StatusCode::CREATED, Json(order)).into_response(),
        Err(error @ OrderError::SoldOut { .. }) => (StatusCode::CONFLICT, error.to_string()).into_response(),
        Err(error) => (StatusCode::NOT_FOUND, error.to_string()).into_response(),
    }
}

#[derive(Deserialize)]
struct Since {
    #[serde(default)]
    since: u64,
    limit: Option<usize>,
}

#[derive(Serialize)]
struct Orders {
    orders: Vec<Order>,
    more: bool,
}

/// Orders whose last change came after `since`, in the order of their changes.
async fn orders(State(shop): State<Arc<CornerShop>>, Query(query): Query<Since>) -> Json<Orders> {
    let limit = query.limit.unwrap_or(BATCH).clamp(1, BATCH);
    let mut orders: Vec<Order> =
        shop.shop.lock().orders.values().rev().filter(|order| order.change > query.since).cloned().collect();
    orders.sort_by_key(|order| order.change);
    let more = orders.len() > limit;
    orders.truncate(limit);
    Json(Orders { orders, more })
}

async fn ship(State(shop): State<Arc<CornerShop>>, Path(id): Path<String>) -> StatusCode {
    if shop.ship(&id) { StatusCode::OK } else { StatusCode::CONFLICT }
}

async fn cancel(State(shop): State<Arc<CornerShop>>, Path(id): Path<String>) -> StatusCode {
    if shop.cancel(&id) { StatusCode::OK } else { StatusCode::CONFLICT }
}

async fn faults(State(shop): State<Arc<CornerShop>>, Json(faults): Json<Faults>) -> StatusCode {
    shop.set_faults(faults);
    StatusCode::OK
}

#[derive(Deserialize)]
struct Edit {
    listing: String,
    quantity: i64,
}

async fn edit(State(shop): State<Arc<CornerShop>>, Json(edit): Json<Edit>) -> StatusCode {
    if shop.edit(&edit.listing, edit.quantity) { StatusCode::OK } else { StatusCode::NOT_FOUND }
}
