//! A WooCommerce shop kept equal through the real server: what it does to its own numbers, its webhooks, and its variations.

use std::io::{BufRead as _, BufReader};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use onhand_emulators::woocommerce::{self, Buy, Faults, Setup, WooShop};
use reqwest::StatusCode;
use serde_json::{Value, json};

use crate::server::{ONHAND, Server, comes_true, listening, micros, onhand, text};

async fn served(shop: &Arc<WooShop>) -> String {
    let (listener, url) = listening().await;
    tokio::spawn(woocommerce::serve(listener, shop.clone(), std::future::pending()));
    url
}

fn connection(url: &str) -> Value {
    json!({ "name": "Shop", "kind": "woocommerce", "url": url, "username": "ck_emulated", "secret": "cs_emulated" })
}

struct Connected {
    server: Server,
    shop: Arc<WooShop>,
    mug: u64,
    _folder: tempfile::TempDir,
}

/// One shop that sells mugs, of which we have so many.
async fn connected(stock: i64) -> Connected {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start_with(&folder.path().join("woocommerce.db"), &["--reconcile-seconds", "2"]);
    server.stocked("MUG", stock).await;
    let shop = WooShop::new(Setup::default(), Arc::new(micros));
    let mug = shop.list("MUG", "Blue mug", 0);
    let url = served(&shop).await;
    let (status, added) = server.post("/v1/systems", connection(&url)).await;
    assert_eq!(status, StatusCode::CREATED, "{added}");
    let it = Connected { server, shop, mug, _folder: folder };
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
        panic!("never: {what}; here {stock:?}, there {:?}; {explained}", self.shop.stock(self.mug));
    }

    async fn shows(&self, quantity: i64) {
        self.until(&format!("it shows {quantity}"), async |it| {
            let system = it.server.get("/v1/systems").await.1["data"][0].clone();
            it.shop.stock(it.mug) == Some(quantity) && system["in_step"] == system["listings"]
        })
        .await;
    }

    async fn has(&self, stock: (i64, i64)) {
        self.until(&format!("{stock:?} here"), async |it| it.server.stock("MUG").await == stock).await;
    }

    fn buy(&self, quantity: i64) -> u64 {
        self.shop.place_order(&[Buy { product: self.mug, quantity }], None).unwrap()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_it_does_to_its_own_number_is_nobodys_change() {
    let it = connected(20).await;
    // Not paid for, it is no order; paid for, it is one.
    let order = it.shop.place_unpaid(&[Buy { product: it.mug, quantity: 2 }]).unwrap();
    tokio::time::sleep(Duration::from_secs(2)).await;
    it.has((20, 0)).await;
    assert_eq!(it.server.get("/v1/orders").await.1["data"], json!([]));
    assert!(it.shop.set_status(order, "processing"));
    it.has((18, 2)).await;
    // It fails: nothing of it is wanted, and its number does not rise by itself.
    assert!(it.shop.set_status(order, "failed"));
    it.has((20, 0)).await;
    it.shows(20).await;
    // Part of an order, before and after it left.
    let order = it.buy(5);
    it.has((15, 5)).await;
    assert!(it.shop.refund(order, 0, 1, true) && it.shop.refund(order, 0, 1, false));
    it.has((17, 3)).await;
    it.shows(17).await;
    assert!(it.shop.change_line(order, 0, 4));
    it.has((18, 2)).await;
    assert!(it.shop.ship(order));
    it.has((18, 0)).await;
    // Its times are of whole seconds.
    tokio::time::sleep(Duration::from_millis(1_100)).await;
    assert!(it.shop.refund(order, 0, 1, true));
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
    let none = Faults::default;
    for faults in [
        Faults { duplicate_webhooks: 3, ..none() },
        Faults { reorder_webhooks: true, duplicate_webhooks: 1, ..none() },
        Faults { lose_webhooks: 1_000, ..none() },
        Faults { reduce_lag_ms: 700, ..none() },
        Faults { html_next: 3, ..none() },
    ] {
        let (available, committed) = it.server.stock("MUG").await;
        it.shop.set_faults(faults.clone());
        let orders: Vec<u64> = (0..4).map(|_| it.buy(1)).collect();
        tokio::time::sleep(Duration::from_millis(800)).await;
        assert!(it.shop.ship(orders[0]) && it.shop.cancel(orders[1]));
        it.has((available - 3, committed + 2)).await;
        it.shop.set_faults(none());
        it.shows(available - 3).await;
    }
    let causes = it.server.troubles().await;
    assert!(causes.iter().all(|cause| cause.contains("missed_event")), "{causes:?}");
    assert!(it.shop.webhooks().iter().all(|(_, _, status)| status == "active"));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_warehouse_ships_is_marked_as_shipped_there_once() {
    let it = connected(20).await;
    let (status, _) = it.server.post("/v1/systems", json!({ "name": "WMS", "kind": "file" })).await;
    assert_eq!(status, StatusCode::CREATED);
    let order = it.buy(3);
    it.has((17, 3)).await;
    for (shipment, quantity) in [("S1", 1), ("S2", 2)] {
        let lines = json!([{ "sku": "MUG", "quantity": quantity }]);
        let content = json!({ "order": order.to_string(), "order_system": "Shop", "location": "LONDON", "lines": lines });
        let document = json!({ "system": "WMS", "document": shipment, "version": 1, "shipment": content });
        let (status, answer) = it.server.post("/v1/documents", document).await;
        assert!(status.is_success(), "{answer}");
        let wanted = if shipment == "S1" { "processing" } else { "completed" };
        let notes = if shipment == "S1" { 1 } else { 2 };
        it.until("it is marked", async |it| {
            it.shop.notes(order).len() == notes && it.shop.status(order).as_deref() == Some(wanted)
        })
        .await;
    }
    it.has((17, 0)).await;
    it.shows(17).await;
    tokio::time::sleep(Duration::from_secs(3)).await;
    assert_eq!(
        (it.shop.notes(order).len(), it.shop.stock(it.mug)),
        (2, Some(17)),
        "{:?}",
        it.shop.notes(order)
    );
    assert_eq!(it.server.stock("MUG").await, (17, 0), "the shop's own word moves nothing again");
    assert_eq!(it.server.troubles().await, Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn variations_are_kept_equal_each_or_with_their_product() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start_with(&folder.path().join("variations.db"), &["--reconcile-seconds", "2"]);
    for (sku, stock) in [("TEE-S", 7), ("CAP", 9)] {
        server.stocked(sku, stock).await;
    }
    let shop = WooShop::new(Setup::default(), Arc::new(micros));
    let tee = shop.list_variable("TEE", "Tee", None);
    let small = shop.add_variation(tee, "TEE-S", "S", Some(0));
    let cap = shop.list_variable("CAP", "Cap", Some(0));
    let red = shop.add_variation(cap, "CAP-R", "Red", None);
    let blue = shop.add_variation(cap, "CAP-B", "Blue", None);
    let url = served(&shop).await;
    let (status, added) = server.post("/v1/systems", connection(&url)).await;
    assert_eq!((status, &added["matched"]), (StatusCode::CREATED, &json!(2)), "{added}");
    let until = async |wanted: (Option<i64>, Option<i64>)| {
        for round in 0.. {
            let shown = (shop.stock(small), shop.stock(cap));
            if shown == wanted {
                return;
            }
            assert!(round < 600, "{shown:?}, not {wanted:?}: {}", server.get("/v1/systems").await.1);
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    until((Some(7), Some(9))).await;
    let buys = [(small, 2), (red, 1), (blue, 3)].map(|(product, quantity)| Buy { product, quantity });
    shop.place_order(&buys, None).unwrap();
    for round in 0.. {
        if (server.stock("TEE-S").await, server.stock("CAP").await) == ((5, 2), (5, 4)) {
            break;
        }
        assert!(round < 400, "{:?}", server.stock("CAP").await);
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let lines = json!([{ "sku": "CAP", "quantity": 1 }]);
    server.post("/v1/movements/receive", json!({ "location": "LONDON", "lines": lines })).await;
    until((Some(5), Some(6))).await;
    assert_eq!(server.inbox().await.1["data"], json!([]));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_address_that_would_show_the_secret_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(&folder.path().join("plain.db"));
    server.stocked("MUG", 1).await;
    let (status, problem) = server.post("/v1/systems", connection("http://shop.example.com")).await;
    assert!(status.is_client_error(), "{status}");
    let said = problem.to_string();
    assert!(said.contains("\"url\"") && said.contains("over TLS only"), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stand_in_is_run_from_the_command_line() {
    let mut emulator = Command::new(ONHAND)
        .args(["emulate", "woocommerce", "--port", "0", "--listings", "3", "--json"])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut line = String::new();
    BufReader::new(emulator.stdout.take().unwrap()).read_line(&mut line).unwrap();
    let told: Value = serde_json::from_str(&line).unwrap();
    let (url, key, secret) =
        (told["url"].as_str().unwrap(), told["key"].as_str().unwrap(), told["secret"].as_str().unwrap());
    let folder = tempfile::tempdir().unwrap();
    let database = folder.path().join("emulated.db");
    let server = Server::start(&database);
    server.stocked("EMU-0003-S", 5).await;
    let added = onhand(
        &database,
        &["system", "add", "woocommerce", "--url", url, "--username", key, "--secret", secret],
    );
    assert!(added.status.success(), "{}", text(&added.stderr));
    assert!(text(&added.stdout).contains("5 listings found, 1 matched"), "{}", text(&added.stdout));
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    let page = async || client.get(url).send().await.unwrap().text().await.unwrap();
    for round in 0.. {
        if page().await.contains("value=5>") {
            break;
        }
        assert!(round < 400, "{}", page().await);
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let edit = [("product", "1001"), ("quantity", "77")];
    client.post(format!("{url}/edit")).form(&edit).send().await.unwrap();
    assert!(page().await.contains("value=77>"), "{}", page().await);
    emulator.kill().unwrap();
    emulator.wait().unwrap();
}
