//! A Shopify shop kept equal through the real server: what it does to its own numbers, its webhooks, and as fast as it allows.

use std::io::{BufRead as _, BufReader};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use onhand_emulators::shopify::{self, Buy, Faults, Restock, Setup, ShopifyShop};
use reqwest::StatusCode;
use serde_json::{Value, json};

use crate::server::{ONHAND, Server, comes_true, listening, micros, onhand, text};

async fn served(shop: &Arc<ShopifyShop>) -> String {
    let (listener, url) = listening().await;
    tokio::spawn(shopify::serve(listener, shop.clone(), std::future::pending()));
    url
}

fn connection(url: &str) -> Value {
    json!({ "name": "Shop", "kind": "shopify", "url": url, "username": "client", "secret": "client-secret" })
}

struct Connected {
    server: Server,
    shop: Arc<ShopifyShop>,
    item: u64,
    place: u64,
    _folder: tempfile::TempDir,
}

/// One shop that sells mugs in London, of which we have so many.
async fn connected(stock: i64) -> Connected {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start_with(&folder.path().join("shopify.db"), &["--reconcile-seconds", "2"]);
    server.stocked("MUG", stock).await;
    let shop = ShopifyShop::new(Setup::default(), Arc::new(micros)).unwrap();
    let (place, item) = (shop.add_location("London"), shop.list("MUG", "Blue mug"));
    shop.stock(item, place, 0);
    let url = served(&shop).await;
    let (status, added) = server.post("/v1/systems", connection(&url)).await;
    assert_eq!(status, StatusCode::CREATED, "{added}");
    let it = Connected { server, shop, item, place, _folder: folder };
    it.shows(stock).await;
    it
}

impl Connected {
    async fn until(&self, what: &str, mut holds: impl AsyncFnMut(&Self) -> bool) {
        if comes_true(async || holds(self).await).await {
            return;
        }
        let stock = self.server.stock("MUG").await;
        let explained = self.server.get("/v1/items/MUG/explain").await.1;
        panic!(
            "never: {what}; here {stock:?}, there {:?}; {explained}",
            self.shop.available(self.item, self.place)
        );
    }

    async fn shows(&self, quantity: i64) {
        self.until(&format!("it shows {quantity}"), async |it| {
            let system = it.server.get("/v1/systems").await.1["data"][0].clone();
            it.shop.available(it.item, it.place) == Some(quantity) && system["in_step"] == system["listings"]
        })
        .await;
    }

    async fn has(&self, stock: (i64, i64)) {
        self.until(&format!("{stock:?} here"), async |it| it.server.stock("MUG").await == stock).await;
    }

    fn buy(&self, quantity: i64) -> u64 {
        self.shop.place_order(&[Buy { item: self.item, quantity }], None).unwrap()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_it_does_to_its_own_number_is_nobodys_change() {
    let it = connected(20).await;
    // Cancelled with its goods restocked, and without: the second lowers what it shows, until it is set right.
    let (one, two) = (it.buy(2), it.buy(3));
    it.has((15, 5)).await;
    assert!(it.shop.cancel(one, true) && it.shop.cancel(two, false));
    it.has((20, 0)).await;
    it.shows(20).await;
    // Part of an order, before and after it left.
    let order = it.buy(5);
    it.has((15, 5)).await;
    assert!(it.shop.refund(order, 0, 1, Restock::Cancel) && it.shop.refund(order, 0, 1, Restock::NoRestock));
    it.has((17, 3)).await;
    it.shows(17).await;
    assert!(it.shop.remove(order, 0, 1));
    it.has((18, 2)).await;
    assert!(it.shop.ship(order));
    it.has((18, 0)).await;
    assert!(it.shop.refund(order, 0, 1, Restock::Return));
    it.has((19, 0)).await;
    it.shows(19).await;
    assert_eq!(it.server.troubles().await, Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn webhooks_that_come_twice_late_or_never_change_nothing_of_what_is_known() {
    let it = connected(100).await;
    let base = it.server.base.clone();
    let (status, made) = it.server.post("/v1/systems/Shop/webhook", json!({ "base": base })).await;
    assert_eq!(
        (status, &made["registered"], &made["secret"]),
        (StatusCode::CREATED, &json!(true), &Value::Null)
    );
    assert!(!it.shop.subscriptions().is_empty());
    let none = Faults::default;
    for faults in [
        Faults { duplicate_webhooks: 3, ..none() },
        Faults { reorder_webhooks: true, duplicate_webhooks: 1, ..none() },
        Faults { lose_webhooks: 1_000, ..none() },
        Faults { index_lag_ms: 700, ..none() },
    ] {
        let (available, committed) = it.server.stock("MUG").await;
        it.shop.set_faults(faults.clone());
        let orders: Vec<u64> = (0..4).map(|_| it.buy(1)).collect();
        assert!(it.shop.ship(orders[0]) && it.shop.cancel(orders[1], true));
        it.has((available - 3, committed + 2)).await;
        it.shop.set_faults(none());
        it.shows(available - 3).await;
    }
    let causes = it.server.troubles().await;
    assert!(causes.iter().all(|cause| cause.contains("missed_event")), "{causes:?}");
    // A server that is away: told again until it is back.
    let orders = it.server.get("/v1/orders?limit=100").await.1;
    assert_eq!(orders["data"].as_array().unwrap().len(), 16);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_warehouse_ships_is_marked_as_shipped_there_once() {
    let it = connected(20).await;
    let (status, _) = it.server.post("/v1/systems", json!({ "name": "WMS", "kind": "file" })).await;
    assert_eq!(status, StatusCode::CREATED);
    let order = it.buy(3);
    it.has((17, 3)).await;
    for (shipment, quantity, sent) in [("S1", 1, 1), ("S2", 2, 2)] {
        let lines = json!([{ "sku": "MUG", "quantity": quantity }]);
        let content = json!({ "order": order.to_string(), "order_system": "Shop", "location": "LONDON", "lines": lines });
        let document = json!({ "system": "WMS", "document": shipment, "version": 1, "shipment": content });
        let (status, answer) = it.server.post("/v1/documents", document).await;
        assert!(status.is_success(), "{answer}");
        it.until("it is marked", async |it| it.shop.tracking(order).len() == sent).await;
    }
    it.has((17, 0)).await;
    it.shows(17).await;
    tokio::time::sleep(Duration::from_secs(3)).await;
    assert_eq!((it.shop.tracking(order).len(), it.shop.committed(it.item, it.place)), (2, 0));
    assert_eq!(it.server.stock("MUG").await, (17, 0), "the shop's own word moves nothing again");
    assert_eq!(it.server.troubles().await, Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_item_is_sold_where_it_was_not_stocked() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start_with(&folder.path().join("places.db"), &["--reconcile-seconds", "2"]);
    server.stocked("MUG", 10).await;
    assert_eq!(server.post("/v1/locations", json!({ "code": "PARIS" })).await.0, StatusCode::OK);
    let shop = ShopifyShop::new(Setup::default(), Arc::new(micros)).unwrap();
    let (london, paris) = (shop.add_location("London"), shop.add_location("Paris"));
    let item = shop.list("MUG", "Blue mug");
    shop.stock(item, london, 0);
    let url = served(&shop).await;
    let mut add = connection(&url);
    add["locations"] = json!([
        { "remote": "London", "location": "LONDON" }, { "remote": "Paris", "location": "PARIS" }
    ]);
    let (status, added) = server.post("/v1/systems", add).await;
    assert_eq!(status, StatusCode::CREATED, "{added}");
    let until = async |wanted: (Option<i64>, Option<i64>)| {
        let mut shown = (None, None);
        for _ in 0..600 {
            shown = (shop.available(item, london), shop.available(item, paris));
            if shown == wanted {
                return;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        panic!("{shown:?} are shown, not {wanted:?}: {}", server.get("/v1/items/MUG/explain").await.1);
    };
    until((Some(10), None)).await;
    let lines = json!([{ "sku": "MUG", "quantity": 4 }]);
    server.post("/v1/movements/receive", json!({ "location": "PARIS", "lines": lines })).await;
    until((Some(10), Some(4))).await;
    // What it takes from one location is of that location, here and there.
    shop.place_order(&[Buy { item, quantity: 3 }], None).unwrap();
    shop.place_order(&[Buy { item, quantity: 9 }], None).unwrap();
    until((Some(0), Some(2))).await;
    let at = async |location: &str| {
        let stock = server.get("/v1/items/MUG/stock").await.1;
        let rows = stock["locations"].as_array().unwrap().clone();
        let row = rows.iter().find(|row| row["location"] == location).cloned().unwrap_or_default();
        (row["available"].as_i64(), row["committed"].as_i64())
    };
    for round in 0.. {
        if (at("LONDON").await, at("PARIS").await) == ((Some(0), Some(10)), (Some(2), Some(2))) {
            break;
        }
        assert!(round < 200, "{}", server.get("/v1/items/MUG/stock").await.1);
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    // So long it is looked into what nothing explains.
    tokio::time::sleep(Duration::from_secs(16)).await;
    assert_eq!((shop.available(item, london), shop.available(item, paris)), (Some(0), Some(2)));
    let found = server.inbox().await.1;
    assert_eq!(found["data"], json!([]), "{found}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stand_in_is_run_from_the_command_line() {
    let mut emulator = Command::new(ONHAND)
        .args(["emulate", "shopify", "--port", "0", "--listings", "3", "--json"])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut line = String::new();
    BufReader::new(emulator.stdout.take().unwrap()).read_line(&mut line).unwrap();
    let told: Value = serde_json::from_str(&line).unwrap();
    let url = told["url"].as_str().unwrap();
    let folder = tempfile::tempdir().unwrap();
    let database = folder.path().join("emulated.db");
    let server = Server::start(&database);
    server.stocked("EMU-0001", 5).await;
    let added = onhand(
        &database,
        &["system", "add", "shopify", "--url", url, "--username", "client", "--secret", "client-secret"],
    );
    assert!(added.status.success(), "{}", text(&added.stderr));
    assert!(text(&added.stdout).contains("3 listings found, 1 matched"), "{}", text(&added.stdout));
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    let page = async || client.get(url).send().await.unwrap().text().await.unwrap();
    for round in 0.. {
        if page().await.contains("value=5>") {
            break;
        }
        assert!(round < 400, "{}", page().await);
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let edit = [("item", "1002"), ("location", "1"), ("quantity", "77")];
    client.post(format!("{url}/edit")).form(&edit).send().await.unwrap();
    assert!(page().await.contains("value=77>"), "{}", page().await);
    emulator.kill().unwrap();
    emulator.wait().unwrap();
}
