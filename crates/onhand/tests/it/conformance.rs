//! What every channel must stand, written once, through the real server and its worker: each against its stand-in, or against the real
//! server over a line on which things go wrong.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Json;
use axum::response::IntoResponse as _;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use hmac::{Hmac, KeyInit as _, Mac as _};
use onhand_emulators::shop::{self, CornerShop};
use onhand_emulators::shopify::{self, Buy, Setup, ShopifyShop};
use onhand_emulators::skulabs;
use onhand_emulators::woocommerce::{self, WooShop};
use reqwest::{Client, Method, RequestBuilder, StatusCode};
use serde_json::{Value, json};
use sha2::Sha256;

use crate::faulty::{self, Fault, Faulty};
use crate::files;
use crate::medusa_server::Medusa;
use crate::server::{Server, comes_true, listening, micros};
use crate::vendure_server::Vendure;

/// A system that sells one thing at one location, and what can be done to it.
trait Stand {
    /// What it sells.
    fn sku(&self) -> &'static str {
        "MUG"
    }
    /// How it is connected, but for its name.
    fn connection(&self) -> Value;
    /// What its customers can buy.
    async fn shows(&self) -> i64;
    /// How many numbers were set over its API.
    fn writes(&self) -> u64;
    /// Somebody changes the number there.
    async fn edit(&self, quantity: i64);
    /// A customer buys so many: the order's name there.
    async fn buy(&self, quantity: i64) -> String;
    async fn ship(&self, order: &str);
    async fn cancel(&self, order: &str);
    fn fault(&self, fault: Fault);
    /// Does it take its own orders off by itself? Else it shows the last number that it was told.
    fn takes_off(&self) -> bool {
        true
    }
    /// Are its numbers set one by one? Else it is told again what has not changed.
    fn is_told_singly(&self) -> bool {
        true
    }
    /// Can it be made to refuse a number?
    fn refuses(&self) -> bool {
        true
    }
    fn webhooks(&self) -> Webhooks {
        Webhooks::Signed
    }
    /// Has its webhooks sent to this address, where Onhand has not asked for that itself.
    fn announce_to(&self, _url: &str, _secret: Option<&str>) {
        unreachable!("it sends none");
    }
    /// A webhook of an order as it sends them, once more: headers and body.
    fn delivery(&self, _order: &str, _secret: Option<&str>) -> (Vec<(&'static str, String)>, String) {
        unreachable!("it sends none");
    }
    /// Where it sends no webhooks: it tells of its orders many times at one instant, if it can.
    async fn tells_at_once(&self) {}
}

/// What webhooks it sends.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Webhooks {
    None,
    /// To an address that is a secret.
    Unsigned,
    Signed,
}

fn signature(secret: &str, body: &str) -> String {
    let mut mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes()).unwrap();
    mac.update(body.as_bytes());
    BASE64.encode(mac.finalize().into_bytes())
}

struct Corner {
    shop: Arc<CornerShop>,
    url: String,
}

impl Stand for Corner {
    fn connection(&self) -> Value {
        json!({ "kind": "shop", "url": self.url, "secret": "token" })
    }

    async fn shows(&self) -> i64 {
        self.shop.stock_of("1").unwrap()
    }

    fn writes(&self) -> u64 {
        let set = |event: &&shop::Event| matches!(event, shop::Event::Set { .. });
        self.shop.audit().iter().filter(set).count() as u64
    }

    async fn edit(&self, quantity: i64) {
        assert!(self.shop.edit("1", quantity));
    }

    async fn buy(&self, quantity: i64) -> String {
        self.shop.place_order(&[shop::Line { listing: "1".to_owned(), quantity }]).unwrap().id
    }

    async fn ship(&self, order: &str) {
        assert!(self.shop.ship(order));
    }

    async fn cancel(&self, order: &str) {
        assert!(self.shop.cancel(order));
    }

    fn fault(&self, fault: Fault) {
        let none = shop::Faults::default();
        self.shop.set_faults(match fault {
            Fault::Slow => shop::Faults { latency_ms: 300, ..none },
            Fault::Closed => shop::Faults { fail_next: 4, ..none },
            Fault::Throttled => shop::Faults { throttle_next: 2, ..none },
            Fault::Lost => shop::Faults { lose_next: 4, ..none },
            Fault::Refusing => shop::Faults { refuse_above: Some(0), ..none },
            Fault::Healed => none,
        });
    }

    fn announce_to(&self, url: &str, secret: Option<&str>) {
        self.shop.set_webhook(url, secret.unwrap());
    }

    fn delivery(&self, order: &str, secret: Option<&str>) -> (Vec<(&'static str, String)>, String) {
        let body = json!({ "topic": "order", "order": order }).to_string();
        let signed = signature(secret.unwrap(), &body);
        (vec![("x-shop-signature", signed), ("x-shop-event", format!("again-{order}"))], body)
    }
}

struct Shopify {
    shop: Arc<ShopifyShop>,
    url: String,
    item: u64,
    place: u64,
}

impl Stand for Shopify {
    fn connection(&self) -> Value {
        json!({ "kind": "shopify", "url": self.url, "username": "client", "secret": "client-secret" })
    }

    async fn shows(&self) -> i64 {
        self.shop.available(self.item, self.place).unwrap()
    }

    fn writes(&self) -> u64 {
        self.shop.writes()
    }

    async fn edit(&self, quantity: i64) {
        assert!(self.shop.edit(self.item, self.place, quantity));
    }

    async fn buy(&self, quantity: i64) -> String {
        self.shop.place_order(&[Buy { item: self.item, quantity }], None).unwrap().to_string()
    }

    async fn ship(&self, order: &str) {
        assert!(self.shop.ship(order.parse().unwrap()));
    }

    async fn cancel(&self, order: &str) {
        assert!(self.shop.cancel(order.parse().unwrap(), true));
    }

    fn fault(&self, fault: Fault) {
        let none = shopify::Faults::default();
        self.shop.set_faults(match fault {
            Fault::Slow => shopify::Faults { latency_ms: 300, ..none },
            Fault::Closed => shopify::Faults { fail_next: 4, ..none },
            Fault::Throttled => shopify::Faults { throttle_next: 2, ..none },
            Fault::Lost => shopify::Faults { lose_next: 4, ..none },
            Fault::Refusing => shopify::Faults { refuse_above: Some(0), ..none },
            Fault::Healed => none,
        });
    }

    /// It was asked.
    fn announce_to(&self, url: &str, secret: Option<&str>) {
        assert_eq!(secret, None, "it signs with its app's secret");
        assert!(
            self.shop.subscriptions().iter().all(|(_, uri)| uri == url)
                && !self.shop.subscriptions().is_empty()
        );
    }

    fn delivery(&self, order: &str, _secret: Option<&str>) -> (Vec<(&'static str, String)>, String) {
        let body = json!({ "id": order }).to_string();
        let signed = signature("client-secret", &body);
        (vec![("x-shopify-hmac-sha256", signed), ("x-shopify-event-id", format!("again-{order}"))], body)
    }
}

struct WooCommerce {
    shop: Arc<WooShop>,
    url: String,
    product: u64,
}

impl Stand for WooCommerce {
    fn connection(&self) -> Value {
        json!({ "kind": "woocommerce", "url": self.url, "username": "ck_emulated", "secret": "cs_emulated" })
    }

    async fn shows(&self) -> i64 {
        self.shop.stock(self.product).unwrap()
    }

    fn writes(&self) -> u64 {
        self.shop.writes()
    }

    async fn edit(&self, quantity: i64) {
        assert!(self.shop.edit(self.product, quantity));
    }

    async fn buy(&self, quantity: i64) -> String {
        let buy = woocommerce::Buy { product: self.product, quantity };
        self.shop.place_order(&[buy], None).unwrap().to_string()
    }

    async fn ship(&self, order: &str) {
        assert!(self.shop.ship(order.parse().unwrap()));
    }

    async fn cancel(&self, order: &str) {
        assert!(self.shop.cancel(order.parse().unwrap()));
    }

    fn fault(&self, fault: Fault) {
        let none = woocommerce::Faults::default();
        self.shop.set_faults(match fault {
            Fault::Slow => woocommerce::Faults { latency_ms: 300, ..none },
            Fault::Closed => woocommerce::Faults { fail_next: 4, ..none },
            Fault::Throttled => woocommerce::Faults { throttle_next: 2, ..none },
            Fault::Lost => woocommerce::Faults { lose_next: 4, ..none },
            Fault::Refusing => woocommerce::Faults { refuse_above: Some(0), ..none },
            Fault::Healed => none,
        });
    }

    /// It was asked.
    fn announce_to(&self, url: &str, secret: Option<&str>) {
        assert_eq!(secret, None, "it was told what to sign with");
        let known = self.shop.webhooks();
        assert!(known.len() == 4 && known.iter().all(|(_, to, _)| to == url), "{known:?}");
    }

    fn delivery(&self, order: &str, _secret: Option<&str>) -> (Vec<(&'static str, String)>, String) {
        let (_, url, _) = self.shop.webhooks().swap_remove(0);
        self.shop.delivery(order.parse().unwrap(), &url).unwrap()
    }
}

struct SkuLabs {
    account: Arc<skulabs::SkuLabs>,
    url: String,
    item: String,
    bin: String,
}

impl Stand for SkuLabs {
    fn connection(&self) -> Value {
        let settings = json!({ "calls_per_second": "40", "calls_per_hour": "1000000" });
        json!({ "kind": "skulabs", "url": self.url, "secret": "emulated-key", "settings": settings })
    }

    async fn shows(&self) -> i64 {
        self.account.free(&self.item)
    }

    fn writes(&self) -> u64 {
        self.account.writes()
    }

    async fn edit(&self, quantity: i64) {
        assert!(self.account.count(&self.item, &self.bin, quantity));
    }

    async fn buy(&self, quantity: i64) -> String {
        self.account.buy(&[skulabs::Buy { item: self.item.clone(), quantity }])
    }

    async fn ship(&self, order: &str) {
        assert!(self.account.ship(order));
    }

    async fn cancel(&self, order: &str) {
        assert!(self.account.set_status(order, "cancelled"));
    }

    fn fault(&self, fault: Fault) {
        let none = skulabs::Faults::default();
        self.account.set_faults(match fault {
            Fault::Slow => skulabs::Faults { latency_ms: 300, ..none },
            Fault::Closed => skulabs::Faults { fail_next: 4, ..none },
            Fault::Throttled => skulabs::Faults { throttle_next: 2, locked_next: 1, ..none },
            Fault::Lost => skulabs::Faults { lose_next: 4, ..none },
            Fault::Refusing => skulabs::Faults { refuse_above: Some(0), ..none },
            Fault::Healed => none,
        });
    }

    fn announce_to(&self, url: &str, secret: Option<&str>) {
        assert_eq!(secret, None, "it signs nothing");
        self.account.set_webhook(url);
    }

    fn webhooks(&self) -> Webhooks {
        Webhooks::Unsigned
    }

    fn delivery(&self, order: &str, _secret: Option<&str>) -> (Vec<(&'static str, String)>, String) {
        (Vec::new(), self.account.webhook_of(order).unwrap())
    }
}

async fn corner() -> Corner {
    let shop = CornerShop::new("token", Arc::new(micros));
    shop.list("1", "MUG", "Blue mug", 3);
    let (listener, url) = listening().await;
    tokio::spawn(shop::serve(listener, shop.clone(), std::future::pending()));
    Corner { shop, url }
}

async fn shopify() -> Shopify {
    let shop = ShopifyShop::new(Setup::default(), Arc::new(micros)).unwrap();
    let (place, item) = (shop.add_location("London"), shop.list("MUG", "Blue mug"));
    shop.stock(item, place, 3);
    let (listener, url) = listening().await;
    tokio::spawn(shopify::serve(listener, shop.clone(), std::future::pending()));
    Shopify { shop, url, item, place }
}

async fn woocommerce() -> WooCommerce {
    let shop = WooShop::new(woocommerce::Setup::default(), Arc::new(micros));
    let product = shop.list("MUG", "Blue mug", 3);
    let (listener, url) = listening().await;
    tokio::spawn(woocommerce::serve(listener, shop.clone(), std::future::pending()));
    WooCommerce { shop, url, product }
}

async fn skulabs() -> SkuLabs {
    let setup = skulabs::Setup { per_second: 1_000, per_hour: 1_000_000, ..skulabs::Setup::default() };
    let account = skulabs::SkuLabs::new(setup, Arc::new(micros));
    let (_, bin) = account.add_warehouse("Main");
    let item = account.list("MUG", "Blue mug");
    assert!(account.count(&item, &bin, 3));
    let (listener, url) = listening().await;
    tokio::spawn(skulabs::serve(listener, account.clone(), std::future::pending()));
    SkuLabs { account, url, item, bin }
}

/// A partner with files, and its orders: all of them are in one file, written anew whenever one changes.
struct Files {
    partner: files::Partner,
    /// Where its server is reached, if it has one.
    way: Option<Faulty>,
    orders: Mutex<BTreeMap<String, FileOrder>>,
}

#[derive(Clone, Default)]
struct FileOrder {
    quantity: i64,
    shipped: i64,
    cancelled: bool,
    updated_at: String,
}

/// So many copies of a file of orders are handed in at one instant.
const COPIES: usize = 32;

impl Files {
    fn content(&self) -> String {
        let mut text = "reference,sku,quantity,shipped,cancelled,updated_at\n".to_owned();
        for (reference, order) in &*self.orders.lock().unwrap() {
            let FileOrder { quantity, shipped, cancelled, updated_at } = order;
            writeln!(text, "{reference},MUG,{quantity},{shipped},{cancelled},{updated_at}").unwrap();
        }
        text
    }

    fn change(&self, reference: &str, change: impl FnOnce(&mut FileOrder)) {
        let mut orders = self.orders.lock().unwrap();
        let order = orders.entry(reference.to_owned()).or_default();
        change(order);
        order.updated_at = files::minutes(0);
        drop(orders);
        self.partner.hand_in("orders.csv", self.content());
    }
}

impl Stand for Files {
    fn connection(&self) -> Value {
        let mut add = self.partner.connection.clone();
        let names: Vec<String> = (0..COPIES).map(|copy| format!("copy-{copy}.csv")).collect();
        add["settings"] = files::settings(add["settings"].clone());
        if let Some(way) = &self.way {
            add["url"] = json!(way.url);
            add["settings"]["names"] = json!(format!("orders.csv,theirs.csv,{}", names.join(",")));
        }
        add
    }

    async fn shows(&self) -> i64 {
        self.partner.shows("MUG").unwrap_or(-1)
    }

    /// When it was written last: a number that grows.
    fn writes(&self) -> u64 {
        self.partner.written()
    }

    async fn edit(&self, quantity: i64) {
        self.partner.hand_in("theirs.csv", format!("sku,quantity\nMUG,{quantity}\n"));
    }

    async fn buy(&self, quantity: i64) -> String {
        let reference = format!("A-{}", self.orders.lock().unwrap().len() + 1);
        self.change(&reference, |order| order.quantity = quantity);
        reference
    }

    async fn ship(&self, order: &str) {
        self.change(order, |order| order.shipped = order.quantity);
    }

    async fn cancel(&self, order: &str) {
        self.change(order, |order| order.cancelled = true);
    }

    fn fault(&self, fault: Fault) {
        if let Some(way) = &self.way {
            way.fault(fault);
        }
    }

    fn takes_off(&self) -> bool {
        false
    }

    fn is_told_singly(&self) -> bool {
        false
    }

    fn refuses(&self) -> bool {
        false
    }

    fn webhooks(&self) -> Webhooks {
        Webhooks::None
    }

    async fn tells_at_once(&self) {
        let content = self.content();
        for copy in 0..COPIES {
            self.partner.put(&format!("copy-{copy}.csv"), &content);
        }
    }
}

/// A real server, reached over a line on which things go wrong, and its orders with how many each is of.
struct Real<S> {
    server: S,
    way: Faulty,
    sold: Mutex<BTreeMap<String, i64>>,
}

impl<S> Real<S> {
    fn new(server: S, way: Faulty) -> Self {
        Self { server, way, sold: Mutex::default() }
    }

    fn sold(&self, order: String, quantity: i64) -> String {
        self.sold.lock().unwrap().insert(order.clone(), quantity);
        order
    }

    fn quantity_of(&self, order: &str) -> i64 {
        self.sold.lock().unwrap()[order]
    }
}

impl Stand for Real<Vendure> {
    fn sku(&self) -> &'static str {
        "VEN-001"
    }

    fn connection(&self) -> Value {
        json!({ "kind": "vendure", "url": self.way.url, "username": "superadmin", "secret": "superadmin" })
    }

    async fn shows(&self) -> i64 {
        self.server.buyable(self.sku()).await
    }

    fn writes(&self) -> u64 {
        self.way.writes()
    }

    async fn edit(&self, quantity: i64) {
        self.server.set(self.sku(), json!({ "stockOnHand": quantity })).await;
    }

    async fn buy(&self, quantity: i64) -> String {
        self.sold(self.server.sell(self.sku(), quantity).await, quantity)
    }

    async fn ship(&self, order: &str) {
        self.server.ship(order, self.quantity_of(order)).await;
    }

    async fn cancel(&self, order: &str) {
        self.server.cancel(order, self.quantity_of(order)).await;
    }

    fn fault(&self, fault: Fault) {
        self.way.fault(fault);
    }

    /// Its plugin sends empty requests, and signs none.
    fn webhooks(&self) -> Webhooks {
        Webhooks::Unsigned
    }

    fn announce_to(&self, _url: &str, _secret: Option<&str>) {}

    fn delivery(&self, _order: &str, _secret: Option<&str>) -> (Vec<(&'static str, String)>, String) {
        (Vec::new(), String::new())
    }
}

impl Stand for Real<Medusa> {
    fn sku(&self) -> &'static str {
        "MED-001"
    }

    fn connection(&self) -> Value {
        let places = json!([{ "remote": "Warehouse", "location": "LONDON" }]);
        json!({ "kind": "medusa", "url": self.way.url, "secret": self.server.key(), "locations": places })
    }

    async fn shows(&self) -> i64 {
        self.server.buyable(self.sku()).await
    }

    fn writes(&self) -> u64 {
        self.way.writes()
    }

    async fn edit(&self, quantity: i64) {
        self.server.by_hand(self.sku(), quantity).await;
    }

    async fn buy(&self, quantity: i64) -> String {
        self.sold(self.server.sell(self.sku(), quantity).await, quantity)
    }

    async fn ship(&self, order: &str) {
        self.server.ship(order, self.quantity_of(order)).await;
    }

    async fn cancel(&self, order: &str) {
        self.server.cancel(order).await;
    }

    fn fault(&self, fault: Fault) {
        self.way.fault(fault);
    }

    fn webhooks(&self) -> Webhooks {
        Webhooks::None
    }
}

async fn folder() -> Files {
    Files { partner: files::folder().await, way: None, orders: Mutex::default() }
}

/// Of a file that is put there and nothing else.
fn is_put(method: &Method, path: &str, _body: &[u8]) -> bool {
    method == Method::PUT && path.ends_with("/out/stock.csv")
}

async fn web_server() -> Files {
    let partner = files::http().await;
    let refusal = || StatusCode::FORBIDDEN.into_response();
    let way = Faulty::before(partner.connection["url"].as_str().unwrap(), is_put, refusal).await;
    Files { partner, way: Some(way), orders: Mutex::default() }
}

async fn vendure() -> Real<Vendure> {
    let server = Vendure::start(1);
    let is_write: faulty::IsWrite =
        |_, _, body| String::from_utf8_lossy(body).contains("updateProductVariants");
    // As GraphQL has it, and Vendure for input that it does not like.
    let refusal = || {
        let error = json!({ "message": "not today", "extensions": { "code": "USER_INPUT_ERROR" } });
        Json(json!({ "errors": [error], "data": null })).into_response()
    };
    let way = Faulty::before(&server.url, is_write, refusal).await;
    Real::new(server, way)
}

async fn medusa() -> Real<Medusa> {
    let server = Medusa::start();
    // It is asked what the key may do by writing nothing.
    let is_write: faulty::IsWrite = |method, path, body| {
        method == Method::POST
            && path.contains("/location-levels")
            && String::from_utf8_lossy(body).contains("stocked_quantity")
    };
    let refusal = || {
        let error = json!({ "type": "invalid_data", "message": "not today" });
        (StatusCode::BAD_REQUEST, Json(error)).into_response()
    };
    let way = Faulty::before(&server.url, is_write, refusal).await;
    Real::new(server, way)
}

/// A server with so many of the item, and the system connected.
struct Connected<S> {
    server: Server,
    stand: S,
    _folder: tempfile::TempDir,
}

async fn connected<S: Stand>(stand: S, stock: i64) -> Connected<S> {
    let folder = tempfile::tempdir().unwrap();
    let more = ["--reconcile-seconds", "2", "--files-in", "/"];
    let server = Server::start_with(&folder.path().join("conformance.db"), &more);
    server.stocked(stand.sku(), stock).await;
    let mut add = stand.connection();
    add["name"] = json!("Other");
    let (status, added) = server.post("/v1/systems", add).await;
    assert_eq!(status, StatusCode::CREATED, "{added}");
    assert_eq!(added["matched"], 1, "{added}");
    let it = Connected { server, stand, _folder: folder };
    it.shows(stock).await;
    it
}

impl<S: Stand> Connected<S> {
    async fn until(&self, what: &str, mut holds: impl AsyncFnMut(&Self) -> bool) {
        if comes_true(async || holds(self).await).await {
            return;
        }
        let sku = self.stand.sku();
        let (stock, shows) = (self.server.stock(sku).await, self.stand.shows().await);
        let explained = self.server.get(&format!("/v1/items/{sku}/explain")).await.1;
        let systems = self.server.get("/v1/systems").await.1;
        panic!("never: {what}; here {stock:?}, there {shows}; {explained}; {systems}");
    }

    async fn shows(&self, quantity: i64) {
        self.until(&format!("it shows {quantity}"), async |it| {
            it.stand.shows().await == quantity && it.in_step().await
        })
        .await;
    }

    /// Available and committed.
    async fn stock(&self) -> (i64, i64) {
        self.server.stock(self.stand.sku()).await
    }

    async fn in_step(&self) -> bool {
        let system = self.server.get("/v1/systems").await.1["data"][0].clone();
        system["in_step"] == system["listings"] && system["listings"] == 1
    }

    async fn has(&self, stock: (i64, i64)) {
        self.until(&format!("{stock:?} here"), async |it| it.stock().await == stock).await;
    }

    async fn receive(&self, quantity: i64) {
        let lines = json!([{ "sku": self.stand.sku(), "quantity": quantity }]);
        let body = json!({ "location": "LONDON", "lines": lines });
        assert_eq!(self.server.post("/v1/movements/receive", body).await.0, StatusCode::OK);
    }

    async fn causes(&self) -> Vec<String> {
        let found = self.server.inbox().await.1;
        let causes =
            found["data"].as_array().unwrap().iter().map(|one| one["cause"].as_str().unwrap().to_owned());
        causes.collect()
    }

    /// Where its webhooks go, and what they are signed with.
    async fn announced(&self) -> (String, Option<String>) {
        let base = self.server.base.clone();
        let (status, made) = self.server.post("/v1/systems/Other/webhook", json!({ "base": base })).await;
        assert_eq!(status, StatusCode::CREATED, "{made}");
        let (url, secret) =
            (format!("{base}{}", made["path"].as_str().unwrap()), made["secret"].as_str().map(str::to_owned));
        self.stand.announce_to(&url, secret.as_deref());
        (url, secret)
    }
}

async fn goes_both_ways(stand: impl Stand) {
    let it = connected(stand, 10).await;
    it.receive(5).await;
    it.shows(15).await;
    let order = it.stand.buy(4).await;
    it.has((11, 4)).await;
    if it.stand.takes_off() {
        assert_eq!(it.stand.shows().await, 11, "it took its own order off by itself");
    }
    it.shows(11).await;
    it.stand.ship(&order).await;
    it.has((11, 0)).await;
    let cancelled = it.stand.buy(2).await;
    it.has((9, 2)).await;
    it.stand.cancel(&cancelled).await;
    it.has((11, 0)).await;
    it.shows(11).await;
    assert_eq!(it.causes().await, Vec::<String>::new());
}

async fn stands_faults(stand: impl Stand) {
    let it = connected(stand, 10).await;
    let mut stock = 10;
    for fault in [Fault::Slow, Fault::Closed, Fault::Throttled, Fault::Lost] {
        it.stand.fault(fault);
        it.receive(1).await;
        it.stand.buy(1).await;
        it.receive(2).await;
        stock += 2;
        it.until(&format!("{fault:?} is stood"), async |it| it.stand.shows().await == stock).await;
        it.stand.fault(Fault::Healed);
        it.shows(stock).await;
    }
    it.has((stock, 4)).await;
    assert_eq!(it.causes().await, Vec::<String>::new(), "nothing of it is anybody's change");
    if !it.stand.refuses() {
        return;
    }
    // What it refuses, it refuses until somebody has seen to it: that is told, once.
    it.stand.fault(Fault::Refusing);
    it.receive(1).await;
    it.until("a refusal is told", async |it| !it.causes().await.is_empty()).await;
    assert_eq!(it.stand.shows().await, stock);
    assert_eq!(it.causes().await.len(), 1);
}

async fn tells_of_edits(stand: impl Stand) {
    let it = connected(stand, 10).await;
    it.stand.edit(50).await;
    it.until("a person is told", async |it| it.causes().await.contains(&"manual_edit".to_owned())).await;
    it.shows(10).await;
    assert_eq!(it.stock().await, (10, 0));
}

async fn is_silent_when_changes_stop(stand: impl Stand) {
    let it = connected(stand, 10).await;
    it.receive(1).await;
    it.shows(11).await;
    tokio::time::sleep(Duration::from_millis(500)).await;
    let writes = it.stand.writes();
    tokio::time::sleep(Duration::from_secs(5)).await;
    assert_eq!(it.stand.writes(), writes, "read twice meanwhile, written never");
    if it.stand.is_told_singly() {
        assert_eq!(writes, 2, "one for each number that was wanted");
    }
}

/// A webhook that comes again, as it comes to whoever listens.
struct Again<'a> {
    http: &'a Client,
    url: String,
    headers: Vec<(&'static str, String)>,
    body: String,
}

impl Again<'_> {
    fn request(&self, url: &str, body: String) -> RequestBuilder {
        let request =
            self.headers.iter().fold(self.http.post(url), |all, (name, value)| all.header(*name, value));
        request.body(body)
    }

    async fn is_taken(&self) -> bool {
        is_taken(self.request(&self.url, self.body.clone()).send().await.unwrap().status())
    }
}

/// Those that come while the first is being kept may be taken for new: it is kept once, under its name.
fn is_taken(status: StatusCode) -> bool {
    matches!(status, StatusCode::ACCEPTED | StatusCode::OK)
}

impl<S: Stand> Connected<S> {
    /// The webhook of an order, if it sends any.
    fn again(&self, announced: Option<&(String, Option<String>)>, order: &str) -> Option<Again<'_>> {
        let (url, secret) = announced?;
        let (headers, body) = self.stand.delivery(order, secret.as_deref());
        Some(Again { http: &self.server.http, url: url.clone(), headers, body })
    }
}

/// 32 of one webhook at one instant; and one that somebody else sends.
async fn stands_many(again: &Again<'_>, signs: bool) {
    let send = |_| tokio::spawn(again.request(&again.url, again.body.clone()).send());
    let mut statuses = Vec::new();
    for sent in (0..32).map(send).collect::<Vec<_>>() {
        statuses.push(sent.await.unwrap().unwrap().status());
    }
    assert!(statuses.iter().all(|status| is_taken(*status)), "{statuses:?}");
    // Signed, and changed afterwards; or sent by one who does not know where to.
    let (to, refused) = if signs {
        (again.url.clone(), StatusCode::UNAUTHORIZED)
    } else {
        (format!("{}x", again.url), StatusCode::NOT_FOUND)
    };
    let forged = again.request(&to, format!("{} ", again.body)).send().await.unwrap().status();
    assert_eq!(forged, refused);
}

async fn counts_each_order_once(stand: impl Stand) {
    let it = connected(stand, 100).await;
    let announced = match it.stand.webhooks() {
        Webhooks::None => None,
        _ => Some(it.announced().await),
    };
    let order = it.stand.buy(3).await;
    // Many at one instant, while it is told by its own webhooks and polled.
    if let Some(again) = it.again(announced.as_ref(), &order) {
        stands_many(&again, it.stand.webhooks() == Webhooks::Signed).await;
    } else {
        it.stand.tells_at_once().await;
    }
    it.has((97, 3)).await;
    // Sent again later, after what came of it.
    it.stand.ship(&order).await;
    it.has((97, 0)).await;
    for _ in 0..3 {
        if let Some(again) = it.again(announced.as_ref(), &order) {
            assert!(again.is_taken().await);
        }
    }
    // Its answers are lost while many are told at once.
    it.stand.fault(Fault::Lost);
    for _ in 0..10 {
        let order = it.stand.buy(1).await;
        if let Some(again) = it.again(announced.as_ref(), &order) {
            assert!(again.is_taken().await);
        }
    }
    it.has((87, 10)).await;
    it.shows(87).await;
    let orders = it.server.get("/v1/orders?limit=100").await.1;
    assert_eq!(orders["data"].as_array().unwrap().len(), 11, "{orders}");
}

macro_rules! conforms {
    ($name:ident, $stand:ident) => {
        mod $name {
            #[tokio::test(flavor = "multi_thread")]
            async fn goes_both_ways() {
                super::goes_both_ways(super::$stand().await).await;
            }

            #[tokio::test(flavor = "multi_thread")]
            async fn stands_what_goes_wrong() {
                super::stands_faults(super::$stand().await).await;
            }

            #[tokio::test(flavor = "multi_thread")]
            async fn tells_of_edits() {
                super::tells_of_edits(super::$stand().await).await;
            }

            #[tokio::test(flavor = "multi_thread")]
            async fn is_silent_when_changes_stop() {
                super::is_silent_when_changes_stop(super::$stand().await).await;
            }

            #[tokio::test(flavor = "multi_thread")]
            async fn counts_each_order_once() {
                super::counts_each_order_once(super::$stand().await).await;
            }
        }
    };
}

conforms!(a_corner_shop, corner);
conforms!(a_folder, folder);
conforms!(a_medusa_server, medusa);
conforms!(a_shopify_shop, shopify);
conforms!(a_skulabs_account, skulabs);
conforms!(a_vendure_server, vendure);
conforms!(a_web_server_of_files, web_server);
conforms!(a_woocommerce_shop, woocommerce);
