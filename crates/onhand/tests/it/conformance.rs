//! What every channel must stand, written once: each against its stand-in, through the real server and its worker.

use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use hmac::{Hmac, KeyInit as _, Mac as _};
use onhand_emulators::shop::{self, CornerShop};
use onhand_emulators::shopify::{self, Buy, Setup, ShopifyShop};
use onhand_emulators::skulabs;
use onhand_emulators::woocommerce::{self, WooShop};
use reqwest::StatusCode;
use serde_json::{Value, json};
use sha2::Sha256;

use crate::server::{Server, comes_true, listening, micros};

/// What goes wrong over there.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Fault {
    Slow,
    Closed,
    Throttled,
    Lost,
    Refusing,
    Healed,
}

/// A system that sells one thing, `MUG`, at one location, and what can be done to it.
trait Stand: Send + Sync {
    /// How it is connected, but for its name.
    fn connection(&self) -> Value;
    /// What its customers can buy.
    fn shows(&self) -> i64;
    /// How many numbers were set over its API.
    fn writes(&self) -> u64;
    /// Somebody changes the number there.
    fn edit(&self, quantity: i64);
    /// A customer buys so many: the order's name there.
    fn buy(&self, quantity: i64) -> String;
    fn ship(&self, order: &str);
    fn cancel(&self, order: &str);
    fn fault(&self, fault: Fault);
    /// Has its webhooks sent to this address, where Onhand has not asked for that itself.
    fn announce_to(&self, url: &str, secret: Option<&str>);
    /// Does it sign its webhooks?
    fn signs(&self) -> bool {
        true
    }
    /// A webhook of an order as it sends them, once more: headers and body.
    fn delivery(&self, order: &str, secret: Option<&str>) -> (Vec<(&'static str, String)>, String);
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

    fn shows(&self) -> i64 {
        self.shop.stock_of("1").unwrap()
    }

    fn writes(&self) -> u64 {
        let set = |event: &&shop::Event| matches!(event, shop::Event::Set { .. });
        self.shop.audit().iter().filter(set).count() as u64
    }

    fn edit(&self, quantity: i64) {
        assert!(self.shop.edit("1", quantity));
    }

    fn buy(&self, quantity: i64) -> String {
        self.shop.place_order(&[shop::Line { listing: "1".to_owned(), quantity }]).unwrap().id
    }

    fn ship(&self, order: &str) {
        assert!(self.shop.ship(order));
    }

    fn cancel(&self, order: &str) {
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

    fn shows(&self) -> i64 {
        self.shop.available(self.item, self.place).unwrap()
    }

    fn writes(&self) -> u64 {
        self.shop.writes()
    }

    fn edit(&self, quantity: i64) {
        assert!(self.shop.edit(self.item, self.place, quantity));
    }

    fn buy(&self, quantity: i64) -> String {
        self.shop.place_order(&[Buy { item: self.item, quantity }], None).unwrap().to_string()
    }

    fn ship(&self, order: &str) {
        assert!(self.shop.ship(order.parse().unwrap()));
    }

    fn cancel(&self, order: &str) {
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

    fn shows(&self) -> i64 {
        self.shop.stock(self.product).unwrap()
    }

    fn writes(&self) -> u64 {
        self.shop.writes()
    }

    fn edit(&self, quantity: i64) {
        assert!(self.shop.edit(self.product, quantity));
    }

    fn buy(&self, quantity: i64) -> String {
        let buy = woocommerce::Buy { product: self.product, quantity };
        self.shop.place_order(&[buy], None).unwrap().to_string()
    }

    fn ship(&self, order: &str) {
        assert!(self.shop.ship(order.parse().unwrap()));
    }

    fn cancel(&self, order: &str) {
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

    fn shows(&self) -> i64 {
        self.account.free(&self.item)
    }

    fn writes(&self) -> u64 {
        self.account.writes()
    }

    fn edit(&self, quantity: i64) {
        assert!(self.account.count(&self.item, &self.bin, quantity));
    }

    fn buy(&self, quantity: i64) -> String {
        self.account.buy(&[skulabs::Buy { item: self.item.clone(), quantity }])
    }

    fn ship(&self, order: &str) {
        assert!(self.account.ship(order));
    }

    fn cancel(&self, order: &str) {
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

    fn signs(&self) -> bool {
        false
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

/// A server with so many mugs, and the system connected.
struct Connected<S> {
    server: Server,
    stand: S,
    _folder: tempfile::TempDir,
}

async fn connected<S: Stand>(stand: S, stock: i64) -> Connected<S> {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start_with(&folder.path().join("conformance.db"), &["--reconcile-seconds", "2"]);
    server.stocked("MUG", stock).await;
    let mut add = stand.connection();
    add["name"] = json!("Other");
    let (status, added) = server.post("/v1/systems", add).await;
    assert_eq!(status, StatusCode::CREATED, "{added}");
    assert_eq!((&added["listings"], &added["matched"]), (&json!(1), &json!(1)), "{added}");
    let it = Connected { server, stand, _folder: folder };
    it.shows(stock).await;
    it
}

impl<S: Stand> Connected<S> {
    async fn until(&self, what: &str, mut holds: impl AsyncFnMut(&Self) -> bool) {
        if comes_true(async || holds(self).await).await {
            return;
        }
        let (stock, shows) = (self.server.stock("MUG").await, self.stand.shows());
        let explained = self.server.get("/v1/items/MUG/explain").await.1;
        let systems = self.server.get("/v1/systems").await.1;
        panic!("never: {what}; here {stock:?}, there {shows}; {explained}; {systems}");
    }

    async fn shows(&self, quantity: i64) {
        self.until(&format!("it shows {quantity}"), async |it| {
            it.stand.shows() == quantity && it.in_step().await
        })
        .await;
    }

    async fn in_step(&self) -> bool {
        let system = self.server.get("/v1/systems").await.1["data"][0].clone();
        system["in_step"] == system["listings"] && system["listings"] == 1
    }

    async fn has(&self, stock: (i64, i64)) {
        self.until(&format!("{stock:?} here"), async |it| it.server.stock("MUG").await == stock).await;
    }

    async fn receive(&self, quantity: i64) {
        let lines = json!([{ "sku": "MUG", "quantity": quantity }]);
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
    let order = it.stand.buy(4);
    it.has((11, 4)).await;
    assert_eq!(it.stand.shows(), 11, "it took its own order off by itself");
    it.stand.ship(&order);
    it.has((11, 0)).await;
    let cancelled = it.stand.buy(2);
    it.has((9, 2)).await;
    it.stand.cancel(&cancelled);
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
        it.stand.buy(1);
        it.receive(2).await;
        stock += 2;
        it.until(&format!("{fault:?} is stood"), async |it| it.stand.shows() == stock).await;
        it.stand.fault(Fault::Healed);
        it.shows(stock).await;
    }
    it.has((stock, 4)).await;
    assert_eq!(it.causes().await, Vec::<String>::new(), "nothing of it is anybody's change");
    // What it refuses, it refuses until somebody has seen to it: that is told, once.
    it.stand.fault(Fault::Refusing);
    it.receive(1).await;
    it.until("a refusal is told", async |it| !it.causes().await.is_empty()).await;
    assert_eq!(it.stand.shows(), stock);
    assert_eq!(it.causes().await.len(), 1);
}

async fn tells_of_edits(stand: impl Stand) {
    let it = connected(stand, 10).await;
    it.stand.edit(50);
    it.until("a person is told", async |it| it.causes().await.contains(&"manual_edit".to_owned())).await;
    it.shows(10).await;
    assert_eq!(it.server.stock("MUG").await, (10, 0));
}

async fn is_silent_when_changes_stop(stand: impl Stand) {
    let it = connected(stand, 10).await;
    it.receive(1).await;
    it.shows(11).await;
    tokio::time::sleep(Duration::from_millis(500)).await;
    let writes = it.stand.writes();
    tokio::time::sleep(Duration::from_secs(5)).await;
    assert_eq!(it.stand.writes(), writes, "read twice meanwhile, written never");
    assert_eq!(writes, 2, "one for each number that was wanted");
}

async fn counts_each_order_once(stand: impl Stand) {
    let it = connected(stand, 100).await;
    let (url, secret) = it.announced().await;
    let order = it.stand.buy(3);
    let (headers, body) = it.stand.delivery(&order, secret.as_deref());
    // 32 at one instant, while it is told by its own webhooks and polled.
    let send = |_| {
        let request =
            headers.iter().fold(it.server.http.post(&url), |all, (name, value)| all.header(*name, value));
        tokio::spawn(request.body(body.clone()).send())
    };
    let mut statuses = Vec::new();
    for sent in (0..32).map(send).collect::<Vec<_>>() {
        statuses.push(sent.await.unwrap().unwrap().status());
    }
    // Those that come while the first is being kept may be taken for new: it is kept once, under its name.
    let is_taken = |status: &StatusCode| matches!(*status, StatusCode::ACCEPTED | StatusCode::OK);
    assert!(statuses.iter().all(is_taken), "{statuses:?}");
    // Signed, and changed afterwards; or sent by one who does not know where to.
    let (to, refused) = if it.stand.signs() {
        (url.clone(), StatusCode::UNAUTHORIZED)
    } else {
        (format!("{url}x"), StatusCode::NOT_FOUND)
    };
    let request =
        headers.iter().fold(it.server.http.post(&to), |all, (name, value)| all.header(*name, value));
    let forged = request.body(format!("{body} ")).send().await.unwrap().status();
    assert_eq!(forged, refused);
    it.has((97, 3)).await;
    // Sent again later, after what came of it.
    it.stand.ship(&order);
    it.has((97, 0)).await;
    for _ in 0..3 {
        let request =
            headers.iter().fold(it.server.http.post(&url), |all, (name, value)| all.header(*name, value));
        assert!(is_taken(&request.body(body.clone()).send().await.unwrap().status()));
    }
    // Its answers are lost while many are told at once.
    it.stand.fault(Fault::Lost);
    let many: Vec<String> = (0..10).map(|_| it.stand.buy(1)).collect();
    for order in &many {
        let (headers, body) = it.stand.delivery(order, secret.as_deref());
        let request =
            headers.iter().fold(it.server.http.post(&url), |all, (name, value)| all.header(*name, value));
        assert!(is_taken(&request.body(body).send().await.unwrap().status()));
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
conforms!(a_shopify_shop, shopify);
conforms!(a_skulabs_account, skulabs);
conforms!(a_woocommerce_shop, woocommerce);
