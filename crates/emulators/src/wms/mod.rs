//! A warehouse system that speaks the Onhand channel protocol: it keeps its own stock, takes the orders that it is sent, and its people
//! pick, pack, refuse and miscount them; what comes in and is counted: [`dock`].
//!
//! What is sent to it is a document in the state it shall be in, with a version: a copy or an older one changes nothing. What it answers
//! is one too, with a revision that grows with every change of anything. Its stock falls when a parcel leaves. Faults are injected
//! over [`Faults`]: refused answers, and answers lost after the work is done.

pub mod dock;

use std::collections::BTreeMap;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::{Path, Query, Request, State};
use axum::http::{StatusCode, header};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post, put};
use axum::{Json, Router};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::wire::signature;

pub use crate::shop::{Clock, Faults};

/// So many changed orders are told at a time.
const PAGE: usize = 100;

/// What is stocked.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Item {
    /// Its id here.
    pub id: String,
    /// Its SKU.
    pub sku: String,
    /// Its name.
    pub name: String,
    /// What lies on the shelf, in whole units.
    #[serde(skip)]
    pub on_hand: i64,
}

impl Item {
    /// Is it meant by its id here, where the sender knows that, or by its SKU?
    fn is_named(&self, listing: Option<&String>, sku: &str) -> bool {
        Some(&self.id) == listing || self.sku == sku
    }
}

/// One line of an order as it was sent.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Line {
    /// Its name.
    pub line: String,
    /// Our id of the item, where the sender knows it.
    pub listing: Option<String>,
    /// The sender's SKU.
    pub sku: String,
    /// How much shall leave in all.
    pub quantity: i64,
}

/// An order as it was sent.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Asked {
    /// Its name.
    pub document: String,
    /// Grows with every change.
    pub version: u64,
    /// Where it shall leave from.
    pub location: String,
    /// What its customer knows it by.
    pub order: String,
    /// Nothing more of it shall leave.
    pub cancelled: bool,
    /// What shall leave.
    pub lines: Vec<Line>,
    /// Whom it goes to.
    pub recipient: Option<Value>,
}

/// Goods that left together.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Parcel {
    /// Its name.
    pub parcel: String,
    /// When it left.
    pub shipped_at: String,
    /// Who carries it.
    pub carrier: String,
    /// The carrier's name for it.
    pub tracking: String,
    /// What is in it: line and whole units.
    pub lines: Vec<ParcelLine>,
}

/// Some of a line.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct ParcelLine {
    /// Of which line.
    pub line: String,
    /// How much.
    pub quantity: i64,
}

/// How an order stands.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Progress {
    /// It is worked on.
    Accepted,
    /// It will not be.
    Refused,
    /// It is done.
    Shipped,
    /// It was cancelled.
    Cancelled,
}

/// An order here.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Job {
    /// As it was sent last.
    pub asked: Asked,
    /// How it stands.
    pub progress: Progress,
    /// Why something does not leave.
    pub reason: Option<String>,
    /// What of each line was not found.
    pub missing: BTreeMap<String, i64>,
    /// What has left.
    pub parcels: Vec<Parcel>,
    /// Grows with every change of anything.
    pub revision: u64,
    /// When it last changed, in microseconds.
    pub updated_at: i64,
}

impl Job {
    /// How much of a line has left.
    pub fn shipped(&self, line: &str) -> i64 {
        let lines = self.parcels.iter().flat_map(|parcel| &parcel.lines);
        lines.filter(|other| other.line == line).map(|other| other.quantity).sum()
    }

    /// What still leaves, line by line.
    pub fn open(&self) -> Vec<(String, i64)> {
        let of = |line: &Line| (line.line.clone(), self.leaves(line) - self.shipped(&line.line));
        let is_open = self.progress == Progress::Accepted;
        self.asked.lines.iter().filter(|_| is_open).map(of).filter(|(_, open)| *open > 0).collect()
    }

    /// How much of a line leaves in all: has left, or still will.
    fn leaves(&self, line: &Line) -> i64 {
        let missing = self.missing.get(&line.line).copied().unwrap_or(0);
        let wanted = if self.asked.cancelled { 0 } else { line.quantity - missing };
        wanted.max(self.shipped(&line.line))
    }

    /// Done, where nothing more leaves.
    fn settle(&mut self) {
        if self.progress != Progress::Accepted || !self.open().is_empty() {
            return;
        }
        self.progress = match (self.parcels.is_empty(), self.asked.cancelled) {
            (false, _) => Progress::Shipped,
            (true, true) => Progress::Cancelled,
            (true, false) => Progress::Refused,
        };
    }

    fn told(&self) -> Value {
        let leaves = |line: &Line| json!({ "line": line.line, "quantity": self.leaves(line) });
        json!({
            "document": self.asked.document,
            "version": self.asked.version,
            "revision": self.revision,
            "updated_at": instant(self.updated_at),
            "progress": self.progress,
            "reason": self.reason,
            "lines": self.asked.lines.iter().map(leaves).collect::<Vec<_>>(),
            "parcels": self.parcels,
        })
    }
}

/// RFC 3339, in UTC.
fn instant(micros: i64) -> String {
    jiff::Timestamp::from_microsecond(micros).unwrap_or_default().to_string()
}

#[derive(Default)]
struct House {
    items: BTreeMap<String, Item>,
    jobs: BTreeMap<String, Job>,
    changes: u64,
    parcels: u64,
    faults: Faults,
    refusing: Option<String>,
    webhook: Option<(String, String, reqwest::Client)>,
    sent: u64,
    receipts: BTreeMap<String, dock::Task>,
    recounts: BTreeMap<String, dock::Task>,
    orders_only: bool,
}

/// A warehouse of one location, `main`.
pub struct Warehouse {
    house: Mutex<House>,
    token: String,
    clock: Clock,
}

impl Warehouse {
    /// A warehouse with nothing in it, whose API takes that bearer token.
    pub fn new(token: &str, clock: Clock) -> Arc<Self> {
        Arc::new(Self { house: Mutex::default(), token: token.to_owned(), clock })
    }

    /// Puts so much of something on the shelf.
    pub fn stock(&self, id: &str, sku: &str, name: &str, on_hand: i64) {
        let item = Item { id: id.to_owned(), sku: sku.to_owned(), name: name.to_owned(), on_hand };
        self.house.lock().items.insert(id.to_owned(), item);
    }

    /// What lies on the shelf.
    pub fn on_hand(&self, id: &str) -> Option<i64> {
        self.house.lock().items.get(id).map(|item| item.on_hand)
    }

    /// All orders, by their names.
    pub fn jobs(&self) -> Vec<Job> {
        self.house.lock().jobs.values().cloned().collect()
    }

    /// How often it was sent something, copies included.
    pub fn sent(&self) -> u64 {
        self.house.lock().sent
    }

    /// What goes wrong from now on.
    pub fn set_faults(&self, faults: Faults) {
        self.house.lock().faults = faults;
    }

    /// Refuses what it is sent anew, for that reason, until told otherwise.
    pub fn set_refusing(&self, reason: Option<&str>) {
        self.house.lock().refusing = reason.map(str::to_owned);
    }

    /// Announces each change of an order there from now on, by Standard Webhooks with that secret. Needs a runtime of tokio around whoever
    /// changes an order.
    pub fn set_webhook(&self, url: &str, secret: &str) {
        let http = reqwest::Client::builder().no_proxy().build().unwrap_or_default();
        self.house.lock().webhook = Some((url.to_owned(), secret.to_owned(), http));
    }

    /// So much of a line leaves, in a parcel of its own. False where that is not open, or does not lie there.
    pub fn ship(&self, document: &str, line: &str, quantity: i64) -> bool {
        let at = instant((self.clock)());
        let mut house = self.house.lock();
        let Some(job) = house.jobs.get(document) else { return false };
        let is_open = job.open().iter().any(|(other, open)| other == line && *open >= quantity);
        let known = job.asked.lines.iter().find(|other| other.line == line).cloned();
        let (Some(known), true) = (known, is_open && quantity > 0) else { return false };
        if let Some(item) =
            house.items.values_mut().find(|item| item.is_named(known.listing.as_ref(), &known.sku))
        {
            if item.on_hand < quantity {
                return false;
            }
            item.on_hand -= quantity;
        }
        house.parcels += 1;
        let number = house.parcels;
        let parcel = Parcel {
            parcel: format!("P{number}"),
            shipped_at: at,
            carrier: "Post".to_owned(),
            tracking: format!("T{number:06}"),
            lines: vec![ParcelLine { line: line.to_owned(), quantity }],
        };
        self.change(&mut house, document, |job| job.parcels.push(parcel))
    }

    /// All that is open of an order leaves, and what does not lie there is not found. False where nothing is open.
    pub fn ship_all(&self, document: &str) -> bool {
        let open = self.house.lock().jobs.get(document).map(Job::open).unwrap_or_default();
        let ships = |(line, quantity): &(String, i64)| {
            let there = self.lies_of(document, line).unwrap_or(*quantity).clamp(0, *quantity);
            let left = there == 0 || self.ship(document, line, there);
            left && (there == *quantity || self.short_pick(document, line, quantity - there))
        };
        !open.is_empty() && open.iter().all(ships)
    }

    /// What lies there of what a line is about; none where it is nothing that is kept there.
    fn lies_of(&self, document: &str, line: &str) -> Option<i64> {
        let house = self.house.lock();
        let asked = house.jobs.get(document)?.asked.lines.iter().find(|asked| asked.line == line)?;
        house
            .items
            .values()
            .find(|item| item.is_named(asked.listing.as_ref(), &asked.sku))
            .map(|item| item.on_hand)
    }

    /// So much of a line is not found. False where that is not open.
    pub fn short_pick(&self, document: &str, line: &str, quantity: i64) -> bool {
        let mut house = self.house.lock();
        let open = house.jobs.get(document).map(Job::open).unwrap_or_default();
        if !open.iter().any(|(other, open)| other == line && *open >= quantity) {
            return false;
        }
        self.change(&mut house, document, |job| {
            *job.missing.entry(line.to_owned()).or_default() += quantity;
            job.reason = Some("not found".to_owned());
        })
    }

    /// It is not worked on after all. False where it is over.
    pub fn refuse(&self, document: &str, reason: &str) -> bool {
        let mut house = self.house.lock();
        if house.jobs.get(document).is_none_or(|job| job.progress != Progress::Accepted) {
            return false;
        }
        self.change(&mut house, document, |job| {
            job.progress = Progress::Refused;
            job.reason = Some(reason.to_owned());
        })
    }

    fn change(&self, house: &mut House, document: &str, change: impl FnOnce(&mut Job)) -> bool {
        let revision = house.changes + 1;
        let Some(job) = house.jobs.get_mut(document) else { return false };
        change(job);
        job.settle();
        (job.revision, job.updated_at) = (revision, (self.clock)());
        house.changes = revision;
        self.announce_change(house, document, revision);
        true
    }

    fn announce_change(&self, house: &House, document: &str, revision: u64) {
        if let (Some(webhook), Ok(runtime)) = (house.webhook.clone(), tokio::runtime::Handle::try_current()) {
            let now = (self.clock)() / 1_000_000;
            runtime.spawn(announce(webhook, document.to_owned(), revision, now));
        }
    }

    fn take(&self, asked: Asked) -> Value {
        let mut house = self.house.lock();
        house.sent += 1;
        let document = asked.document.clone();
        match house.jobs.get(&document) {
            None => {
                let is_known = |line: &Line| {
                    house.items.values().any(|item| item.is_named(line.listing.as_ref(), &line.sku))
                };
                let unknown = asked.lines.iter().find(|line| !is_known(line));
                let unknown = unknown.map(|line| format!("no item {}", line.sku));
                let reason = unknown.or_else(|| house.refusing.clone()).filter(|_| !asked.cancelled);
                let job = Job {
                    asked,
                    progress: if reason.is_some() { Progress::Refused } else { Progress::Accepted },
                    reason,
                    missing: BTreeMap::new(),
                    parcels: Vec::new(),
                    revision: 0,
                    updated_at: 0,
                };
                house.jobs.insert(document.clone(), job);
                self.change(&mut house, &document, |_| {});
            }
            Some(job) if job.asked.version >= asked.version => {}
            // What is over stays so: it answers what it can say of what it is asked now.
            Some(job) if job.progress != Progress::Accepted => {
                self.change(&mut house, &document, |job| job.asked.version = asked.version);
            }
            Some(_) => {
                self.change(&mut house, &document, |job| {
                    job.asked = asked;
                    job.missing.clear();
                });
            }
        }
        house.jobs[&document].told()
    }
}

/// Says that an order has changed: once, whatever becomes of it
/// (<https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md>).
async fn announce(
    (url, secret, http): (String, String, reqwest::Client),
    document: String,
    revision: u64,
    now: i64,
) {
    let body = json!({ "type": "order.changed", "document": document }).to_string();
    let id = format!("msg_{document}_{revision}");
    let key = secret.strip_prefix("whsec_").and_then(|text| BASE64.decode(text).ok());
    let key = key.unwrap_or_else(|| secret.into_bytes());
    let signature = format!("v1,{}", signature(&key, &format!("{id}.{now}.{body}")));
    let request = http.post(url).header("webhook-id", id).header("webhook-timestamp", now.to_string());
    let sent = request.header("webhook-signature", signature).body(body).send().await;
    if let Err(error) = sent {
        tracing::debug!(%error, "a webhook did not arrive");
    }
}

/// The warehouse's API, and `/control` for what its people do.
pub fn router(warehouse: Arc<Warehouse>) -> Router {
    let api = Router::new()
        .route("/", get(hello))
        .route(
            "/locations",
            get(|| async { Json(json!({ "data": [{ "id": "main", "name": "Main hall" }], "next": null })) }),
        )
        .route("/items", get(items))
        .route("/stock", get(stock))
        .route("/orders", get(followed))
        .route("/orders/{document}", put(take))
        .route("/receipts", get(dock::received))
        .route("/receipts/{document}", put(dock::take_receipt))
        .route("/recounts", get(dock::recounted))
        .route("/recounts/{document}", put(dock::take_recount))
        .layer(from_fn_with_state(warehouse.clone(), misbehave))
        .layer(from_fn_with_state(warehouse.clone(), require_token));
    let control = Router::new()
        .route("/control/faults", post(faults))
        .route("/control/refusing", post(refusing))
        .route("/control/{document}/ship", post(ship))
        .route("/control/{document}/short-pick", post(short_pick))
        .route("/control/{document}/refuse", post(refuse))
        .route("/control/{document}/receive", post(receive))
        .route("/control/{document}/count", post(count));
    api.merge(control).with_state(warehouse)
}

/// Serves the warehouse until told to stop.
pub async fn serve(
    listener: tokio::net::TcpListener,
    warehouse: Arc<Warehouse>,
    shutdown: impl Future<Output = ()> + Send + 'static,
) -> std::io::Result<()> {
    axum::serve(listener, router(warehouse)).with_graceful_shutdown(shutdown).await
}

async fn require_token(State(warehouse): State<Arc<Warehouse>>, request: Request, next: Next) -> Response {
    let token = request.headers().get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
    if token.and_then(|value| value.strip_prefix("Bearer ")) == Some(warehouse.token.as_str()) {
        next.run(request).await
    } else {
        (StatusCode::UNAUTHORIZED, "wrong token").into_response()
    }
}

async fn misbehave(State(warehouse): State<Arc<Warehouse>>, request: Request, next: Next) -> Response {
    let faults = {
        let now = &mut warehouse.house.lock().faults;
        let faults = *now;
        if faults.throttle_next > 0 {
            now.throttle_next -= 1;
        } else if faults.fail_next > 0 {
            now.fail_next -= 1;
        } else if faults.lose_next > 0 {
            now.lose_next -= 1;
        }
        faults
    };
    tokio::time::sleep(Duration::from_millis(faults.latency_ms)).await;
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

async fn hello(State(warehouse): State<Arc<Warehouse>>) -> Json<Value> {
    let orders_only = warehouse.house.lock().orders_only;
    let takes: &[&str] = if orders_only { &[] } else { &["receipts", "transfers", "returns", "recounts"] };
    Json(json!({ "name": "Warehouse", "protocol": 1, "takes": takes }))
}

async fn items(State(warehouse): State<Arc<Warehouse>>) -> Json<Value> {
    let items: Vec<Item> = warehouse.house.lock().items.values().cloned().collect();
    Json(json!({ "data": items, "next": null }))
}

#[derive(Deserialize)]
struct At {
    location: String,
}

async fn stock(State(warehouse): State<Arc<Warehouse>>, Query(at): Query<At>) -> Response {
    if at.location != "main" {
        return (StatusCode::NOT_FOUND, "no such location").into_response();
    }
    let house = warehouse.house.lock();
    let rows: Vec<Value> =
        house.items.values().map(|item| json!({ "item": item.id, "quantity": item.on_hand })).collect();
    Json(json!({ "as_of": instant((warehouse.clock)()), "rows": rows })).into_response()
}

#[derive(Deserialize)]
struct Since {
    since: Option<String>,
}

/// Orders whose last change came after `since`, in the order of their changes.
async fn followed(State(warehouse): State<Arc<Warehouse>>, Query(query): Query<Since>) -> Response {
    let Ok(since) = query.since.as_deref().unwrap_or("0").parse::<u64>() else {
        return (StatusCode::BAD_REQUEST, "since is a cursor of this list").into_response();
    };
    let house = warehouse.house.lock();
    let mut changed: Vec<&Job> = house.jobs.values().filter(|job| job.revision > since).collect();
    changed.sort_by_key(|job| job.revision);
    let more = changed.len() > PAGE;
    changed.truncate(PAGE);
    let cursor = changed.last().map_or(since, |job| job.revision);
    let orders: Vec<Value> = changed.into_iter().map(Job::told).collect();
    Json(json!({ "orders": orders, "cursor": cursor.to_string(), "more": more })).into_response()
}

async fn take(
    State(warehouse): State<Arc<Warehouse>>,
    Path(document): Path<String>,
    Json(asked): Json<Asked>,
) -> Response {
    if asked.document != document || asked.location != "main" {
        return (StatusCode::BAD_REQUEST, "the order is of another name or place").into_response();
    }
    Json(warehouse.take(asked)).into_response()
}

async fn faults(State(warehouse): State<Arc<Warehouse>>, Json(faults): Json<Faults>) -> StatusCode {
    warehouse.set_faults(faults);
    StatusCode::OK
}

/// What somebody does to an order.
#[derive(Deserialize)]
struct Done {
    line: Option<String>,
    quantity: Option<i64>,
    reason: Option<String>,
}

async fn refusing(State(warehouse): State<Arc<Warehouse>>, Json(done): Json<Done>) -> StatusCode {
    warehouse.set_refusing(done.reason.as_deref());
    StatusCode::OK
}

const fn code(done: bool) -> StatusCode {
    if done { StatusCode::OK } else { StatusCode::CONFLICT }
}

/// All that is open, unless a line is named.
async fn ship(
    State(warehouse): State<Arc<Warehouse>>,
    Path(document): Path<String>,
    Json(done): Json<Done>,
) -> StatusCode {
    code(match (done.line, done.quantity) {
        (Some(line), Some(quantity)) => warehouse.ship(&document, &line, quantity),
        _ => warehouse.ship_all(&document),
    })
}

async fn short_pick(
    State(warehouse): State<Arc<Warehouse>>,
    Path(document): Path<String>,
    Json(done): Json<Done>,
) -> StatusCode {
    let (Some(line), Some(quantity)) = (done.line, done.quantity) else { return StatusCode::BAD_REQUEST };
    code(warehouse.short_pick(&document, &line, quantity))
}

async fn refuse(
    State(warehouse): State<Arc<Warehouse>>,
    Path(document): Path<String>,
    Json(done): Json<Done>,
) -> StatusCode {
    code(warehouse.refuse(&document, done.reason.as_deref().unwrap_or("refused")))
}

/// All that is expected, and that is all of it, unless a line is named.
async fn receive(
    State(warehouse): State<Arc<Warehouse>>,
    Path(document): Path<String>,
    Json(done): Json<Done>,
) -> StatusCode {
    code(match (done.line, done.quantity) {
        (Some(line), Some(quantity)) => warehouse.receive(&document, &line, quantity, false),
        _ => warehouse.receive_all(&document),
    })
}

async fn count(State(warehouse): State<Arc<Warehouse>>, Path(document): Path<String>) -> StatusCode {
    code(warehouse.count(&document))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_copy_and_an_older_version_change_nothing_and_what_is_over_stays_so() {
        let warehouse = Warehouse::new("t", Arc::new(|| 0));
        warehouse.stock("1", "MUG", "Mug", 10);
        let asked = |version, quantity| Asked {
            document: "d".to_owned(),
            version,
            location: "main".to_owned(),
            order: "1044".to_owned(),
            cancelled: quantity == 0,
            lines: vec![Line { line: "5".to_owned(), listing: None, sku: "MUG".to_owned(), quantity }],
            recipient: None,
        };
        let first = warehouse.take(asked(7, 3));
        assert_eq!(warehouse.take(asked(7, 3)), first);
        assert!(warehouse.ship("d", "5", 1));
        assert_eq!(warehouse.take(asked(6, 9))["version"], 7);
        assert!(!warehouse.ship("d", "5", 3), "two are open");
        assert_eq!(warehouse.take(asked(9, 0))["progress"], "shipped");
        assert_eq!(
            (warehouse.take(asked(11, 5))["progress"].clone(), warehouse.on_hand("1")),
            (json!("shipped"), Some(9))
        );
        // Whoever cancels need not say that nothing of a line shall leave.
        let whole = Asked { document: "e".to_owned(), cancelled: true, ..asked(1, 3) };
        let told = warehouse.take(whole);
        assert_eq!((&told["progress"], &told["lines"][0]["quantity"]), (&json!("cancelled"), &json!(0)));
    }
}
