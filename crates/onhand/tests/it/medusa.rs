//! A real Medusa kept equal, through the real server and its worker.

use std::future::Future;
use std::time::Duration;

use reqwest::StatusCode;
use serde_json::{Value, json};

use crate::medusa_server::Medusa;
use crate::server::Server;

struct Connected {
    server: Server,
    medusa: Medusa,
    _folder: tempfile::TempDir,
}

/// Onhand with so much of each of the first products, not connected yet.
async fn stocked(quantity: i64, products: usize) -> Connected {
    let medusa = Medusa::start();
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start_with(&folder.path().join("medusa.db"), &["--reconcile-seconds", "3"]);
    for number in 1..=products {
        server.stocked(&format!("MED-{number:03}"), quantity).await;
    }
    Connected { server, medusa, _folder: folder }
}

impl Connected {
    async fn add(&self, key: &str, places: Value) -> (StatusCode, Value) {
        let url = &self.medusa.url;
        let add =
            json!({ "name": "Medusa", "kind": "medusa", "url": url, "secret": key, "locations": places });
        self.server.post("/v1/systems", add).await
    }

    /// With its warehouse as London.
    async fn added(&self) -> Value {
        let places = json!([{ "remote": "Warehouse", "location": "LONDON" }]);
        let (status, added) = self.add(self.medusa.key(), places).await;
        assert_eq!(status, StatusCode::CREATED, "{added}");
        added
    }

    async fn receive(&self, sku: &str, location: &str, quantity: i64) {
        let lines = json!([{ "sku": sku, "quantity": quantity }]);
        let body = json!({ "location": location, "lines": lines });
        let (status, body) = self.server.post("/v1/movements/receive", body).await;
        assert_eq!(status, StatusCode::OK, "{body}");
    }

    async fn eventually<F: Future<Output = bool>>(&self, what: &str, holds: impl Fn() -> F) {
        for _ in 0..800 {
            if holds().await {
                return;
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        let (_, explained) = self.server.get("/v1/items/MED-001/explain").await;
        let (_, discrepancies) = self.server.inbox().await;
        let levels = self.medusa.levels("MED-001").await;
        panic!(
            "never came true: {what}; over there (stocked, reserved) {levels:?}; {explained}; {discrepancies}"
        );
    }

    async fn shows(&self, sku: &str, levels: (i64, i64)) {
        self.eventually(&format!("{sku} is (stocked, reserved) {levels:?} there"), || async {
            self.medusa.levels(sku).await == levels
        })
        .await;
    }

    async fn knows(&self, sku: &str, stock: (i64, i64)) {
        self.eventually(&format!("(available, committed) of {sku} is {stock:?}"), || async {
            self.server.stock(sku).await == stock
        })
        .await;
    }

    async fn in_step(&self) {
        self.eventually("all in step", || async {
            let (_, systems) = self.server.get("/v1/systems").await;
            systems["data"].as_array().unwrap().iter().all(|system| system["in_step"] == system["listings"])
        })
        .await;
    }

    async fn nothing_is_unexplained(&self) {
        let (_, discrepancies) = self.server.inbox().await;
        assert_eq!(discrepancies["data"], json!([]), "{discrepancies}");
    }
}

/// Placed, packed, sent: each moves what it moves, once.
#[tokio::test(flavor = "multi_thread")]
async fn medusa_sells_what_onhand_desires_and_what_it_reserved_is_not_taken_off_twice() {
    let it = stocked(90, 2).await;
    let places = json!([{ "remote": "Warehouse", "location": "LONDON" }]);
    let (status, problem) = it.add("sk_wrong", places).await;
    let detail = problem["detail"].as_str().unwrap_or_default();
    assert!(status.is_client_error() || status.is_server_error());
    assert!(detail.contains("Medusa does not accept these credentials"), "{problem}");
    let added = it.added().await;
    assert_eq!((&added["listings"], &added["matched"]), (&json!(3), &json!(2)));
    assert_eq!(added["unmatched"], json!(["Product 3 - One (MED-003)"]));
    it.shows("MED-001", (90, 0)).await;
    it.in_step().await;

    let order = it.medusa.sell("MED-001", 4).await;
    it.knows("MED-001", (86, 4)).await;
    it.in_step().await;
    assert_eq!(it.medusa.levels("MED-001").await, (90, 4), "it has reserved by itself: nothing is written");
    assert_eq!(it.medusa.buyable("MED-001").await, 86);

    // A change while the order is open.
    it.receive("MED-001", "LONDON", 10).await;
    it.shows("MED-001", (100, 4)).await;

    // Packed, it is counted off over there; here it leaves when it is sent.
    let packed = it.medusa.pack(&order, 3).await;
    it.shows("MED-001", (97, 1)).await;
    it.medusa.unpack(&order, &packed).await;
    it.shows("MED-001", (100, 4)).await;
    it.medusa.ship(&order, 3).await;
    it.knows("MED-001", (96, 1)).await;
    assert_eq!(it.server.on_hand("MED-001").await, 97);
    it.in_step().await;
    assert_eq!(it.medusa.levels("MED-001").await, (97, 1));
    it.medusa.ship(&order, 1).await;
    it.knows("MED-001", (96, 0)).await;
    // And one after it: nothing of the old order is left in the number.
    it.receive("MED-001", "LONDON", 1).await;
    it.shows("MED-001", (97, 0)).await;
    assert_eq!(it.medusa.levels("MED-003").await, (100, 0), "what is not mapped is left alone");
    it.nothing_is_unexplained().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn medusa_orders_are_followed_through_edits_cancellation_and_returns() {
    let it = stocked(20, 1).await;
    it.medusa.by_hand("MED-001", 50).await;
    // Placed before we came: one is sent, and history; the other holds stock here too.
    let old = it.medusa.sell("MED-001", 9).await;
    it.medusa.ship(&old, 9).await;
    let before = it.medusa.sell("MED-001", 2).await;
    it.added().await;
    it.knows("MED-001", (18, 2)).await;
    it.shows("MED-001", (20, 2)).await;
    it.medusa.cancel(&before).await;
    it.knows("MED-001", (20, 0)).await;
    it.shows("MED-001", (20, 0)).await;

    let order = it.medusa.sell("MED-001", 5).await;
    it.knows("MED-001", (15, 5)).await;
    it.medusa.edit(&order, 7).await;
    it.knows("MED-001", (13, 7)).await;
    it.medusa.edit(&order, 4).await;
    it.knows("MED-001", (16, 4)).await;
    it.medusa.ship(&order, 4).await;
    it.knows("MED-001", (16, 0)).await;
    it.in_step().await;
    assert_eq!(it.server.on_hand("MED-001").await, 16);
    // One comes back good and one damaged, and a push of ours is due before anybody has looked.
    it.medusa.take_back(&order, 1, 1).await;
    it.receive("MED-001", "LONDON", 1).await;
    it.knows("MED-001", (18, 0)).await;
    it.shows("MED-001", (18, 0)).await;
    it.in_step().await;
    it.nothing_is_unexplained().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn medusa_edited_by_hand_away_for_a_while_and_not_counting() {
    let it = stocked(30, 2).await;
    it.added().await;
    it.shows("MED-001", (30, 0)).await;
    it.shows("MED-002", (30, 0)).await;
    it.in_step().await;
    it.medusa.by_hand("MED-001", 99).await;
    let told = it.server.told("manual_edit").await;
    assert!(told.contains("from 30 to 99"), "{told}");
    it.shows("MED-001", (30, 0)).await;
    it.in_step().await;

    // It stands still while stock changes here.
    let order = it.medusa.sell("MED-001", 2).await;
    it.medusa.signal("STOP");
    for _ in 0..20 {
        it.receive("MED-001", "LONDON", 1).await;
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    it.medusa.signal("CONT");
    it.knows("MED-001", (48, 2)).await;
    it.shows("MED-001", (50, 2)).await;
    it.medusa.ship(&order, 2).await;
    it.knows("MED-001", (48, 0)).await;
    it.shows("MED-001", (48, 0)).await;
    it.in_step().await;

    // What is sold without end cannot be kept equal: a person hears of it.
    it.medusa.sell_without_end("MED-002").await;
    it.receive("MED-002", "LONDON", 1).await;
    let told = it.server.told("tracking_off").await;
    assert!(told.contains("does not track stock of MED-002"), "{told}");
}

#[tokio::test(flavor = "multi_thread")]
async fn medusa_of_two_locations_that_is_told_of_what_we_sent() {
    let it = stocked(30, 1).await;
    assert_eq!(it.server.post("/v1/locations", json!({ "code": "PARIS" })).await.0, StatusCode::OK);
    it.receive("MED-001", "PARIS", 12).await;
    let places = json!([
        { "remote": "Warehouse", "location": "LONDON" }, { "remote": "Store", "location": "PARIS" },
    ]);
    let (status, added) = it.add(it.medusa.key(), places).await;
    assert_eq!(status, StatusCode::CREATED, "{added}");
    it.shows("MED-001", (30, 0)).await;
    // It was stocked nowhere but in the warehouse.
    it.eventually("the store has 12", || async {
        it.medusa.levels_at("MED-001", "Store").await == Some((12, 0))
    })
    .await;
    assert_eq!(it.medusa.buyable("MED-001").await, 42);

    let order = it.medusa.sell("MED-001", 5).await;
    it.knows("MED-001", (37, 5)).await;
    it.in_step().await;
    assert_eq!(it.medusa.buyable("MED-001").await, 37);
    // It is promised where it is reserved over there.
    let (warehouse, store) =
        (it.medusa.levels("MED-001").await, it.medusa.levels_at("MED-001", "Store").await.unwrap());
    let (_, stock) = it.server.get("/v1/items/MED-001/stock").await;
    assert_eq!(warehouse.1 + store.1, 5);
    assert_eq!((warehouse.0, store.0), (30, 12), "{stock}");

    // A warehouse sends it: it is marked as sent over there, once.
    let lines = json!([{ "sku": "MED-001", "quantity": 5 }]);
    let from = if warehouse.1 > 0 { "LONDON" } else { "PARIS" };
    let content = json!({ "order": order, "order_system": "Medusa", "location": from, "lines": lines });
    let (status, _) = it.server.post("/v1/systems", json!({ "name": "WMS", "kind": "file" })).await;
    assert_eq!(status, StatusCode::CREATED);
    let document = json!({ "system": "WMS", "document": "S1", "version": 1, "shipment": content });
    let (status, body) = it.server.post("/v1/documents", document).await;
    assert!(status.is_success(), "{body}");
    it.eventually("it is marked as sent", || async {
        let order = it.medusa.order(&order).await;
        order["fulfillments"][0]["shipped_at"].is_string()
    })
    .await;
    it.knows("MED-001", (37, 0)).await;
    it.in_step().await;
    assert_eq!(it.medusa.buyable("MED-001").await, 37);
    let order = it.medusa.order(&order).await;
    assert_eq!(order["fulfillments"].as_array().unwrap().len(), 1, "{order}");
    it.nothing_is_unexplained().await;
}
