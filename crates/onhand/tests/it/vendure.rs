//! A real Vendure kept equal, through the real server and its worker.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use onhand_emulators::shop::{self, CornerShop};
use reqwest::StatusCode;
use serde_json::{Value, json};

use crate::server::{Server, micros};
use crate::vendure_server::Vendure;

const PLACE: &str = "LONDON";

pub struct Connected {
    pub server: Server,
    pub vendure: Vendure,
    /// Where Onhand reaches it.
    url: String,
    _folder: tempfile::TempDir,
}

pub async fn receive(server: &Server, sku: &str, quantity: i64) {
    let lines = json!([{ "sku": sku, "quantity": quantity }]);
    let (status, body) =
        server.post("/v1/movements/receive", json!({ "location": PLACE, "lines": lines })).await;
    assert_eq!(status, StatusCode::OK, "{body}");
}

/// Onhand with so much of each of the first products, not connected yet.
pub async fn stocked(quantity: i64, products: usize) -> Connected {
    let vendure = Vendure::start(3);
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start_with(&folder.path().join("vendure.db"), &["--reconcile-seconds", "3"]);
    for number in 1..=products {
        server.stocked(&format!("VEN-{number:03}"), quantity).await;
    }
    let url = vendure.url.clone();
    Connected { server, vendure, url, _folder: folder }
}

impl Connected {
    /// Reaches it over a line that ends at this port.
    pub fn through(&mut self, port: u16) {
        self.url = format!("http://127.0.0.1:{port}");
    }

    pub async fn add(&self, password: &str) -> (StatusCode, Value) {
        let url = &self.url;
        let add = json!({
            "name": "Vendure", "kind": "vendure", "url": url, "username": "superadmin", "secret": password,
        });
        self.server.post("/v1/systems", add).await
    }

    async fn eventually<F: Future<Output = bool>>(&self, what: &str, holds: impl Fn() -> F) {
        for _ in 0..800 {
            if holds().await {
                return;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        let (_, explained) = self.server.get("/v1/items/VEN-001/explain").await;
        let (_, discrepancies) = self.server.inbox().await;
        let levels = self.vendure.levels("VEN-001").await;
        panic!(
            "never came true: {what}; over there (on hand, allocated) {levels:?}; {explained}; {discrepancies}"
        );
    }

    pub async fn sells(&self, sku: &str, quantity: i64) {
        self.eventually(&format!("customers can buy {quantity} of {sku}"), || async {
            self.vendure.buyable(sku).await == quantity
        })
        .await;
    }

    pub async fn knows(&self, sku: &str, stock: (i64, i64)) {
        self.eventually(&format!("(available, committed) of {sku} is {stock:?}"), || async {
            self.server.stock(sku).await == stock
        })
        .await;
    }

    pub async fn in_step(&self) {
        self.eventually("all in step", || async {
            let (_, systems) = self.server.get("/v1/systems").await;
            systems["data"].as_array().unwrap().iter().all(|system| system["in_step"] == system["listings"])
        })
        .await;
    }

    pub async fn nothing_is_unexplained(&self) {
        let (_, discrepancies) = self.server.inbox().await;
        assert_eq!(discrepancies["data"], json!([]), "{discrepancies}");
    }
}

/// Example 24, with everything around it.
#[tokio::test(flavor = "multi_thread")]
async fn vendure_sells_what_onhand_desires_with_an_order_not_shipped_and_without() {
    let it = stocked(100, 2).await;
    let (status, added) = it.add("superadmin").await;
    assert_eq!(status, StatusCode::CREATED, "{added}");
    assert_eq!((&added["listings"], &added["matched"]), (&json!(3), &json!(2)));
    assert_eq!(added["unmatched"], json!(["Product 3 (VEN-003)"]));
    // A second shop sells the same item.
    let corner = CornerShop::new("token", Arc::new(micros));
    corner.list("1", "VEN-001", "The same, elsewhere", 0);
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(shop::serve(listener, corner.clone(), std::future::pending()));
    let add = json!({ "name": "Corner", "kind": "shop", "url": url, "secret": "token" });
    assert_eq!(it.server.post("/v1/systems", add).await.0, StatusCode::CREATED);
    it.sells("VEN-001", 100).await;

    let order = it.vendure.sell("VEN-001", 1).await;
    it.knows("VEN-001", (99, 1)).await;
    it.eventually("the other listing shows 99", || async { corner.stock_of("1") == Some(99) }).await;
    it.in_step().await;
    assert_eq!(it.vendure.levels("VEN-001").await, (100, 1), "stock on hand stays as it was");
    it.sells("VEN-001", 99).await;

    // A change while the order is open.
    receive(&it.server, "VEN-001", 10).await;
    it.sells("VEN-001", 109).await;
    assert_eq!(it.vendure.levels("VEN-001").await, (110, 1));

    it.vendure.ship(&order, 1).await;
    it.knows("VEN-001", (109, 0)).await;
    assert_eq!(it.server.on_hand("VEN-001").await, 109);
    it.in_step().await;
    it.sells("VEN-001", 109).await;
    assert_eq!(it.vendure.levels("VEN-001").await, (109, 0));

    // And one after it: nothing of the old order is left in the number.
    receive(&it.server, "VEN-001", 1).await;
    it.sells("VEN-001", 110).await;
    assert_eq!(it.vendure.levels("VEN-003").await, (100, 0), "what is not mapped is left alone");
    it.nothing_is_unexplained().await;
}

/// Partial shipments, cancellations before and after: Vendure moves an order's date for some of them only.
#[tokio::test(flavor = "multi_thread")]
async fn vendure_orders_are_followed_through_cancellation_and_return() {
    let it = stocked(20, 1).await;
    // Placed before we came, and not shipped: it holds stock here too.
    let before = it.vendure.sell("VEN-001", 2).await;
    assert_eq!(it.add("superadmin").await.0, StatusCode::CREATED);
    it.knows("VEN-001", (18, 2)).await;
    it.sells("VEN-001", 18).await;
    it.vendure.cancel(&before, 2).await;
    it.knows("VEN-001", (20, 0)).await;

    let order = it.vendure.sell("VEN-001", 5).await;
    it.knows("VEN-001", (15, 5)).await;
    // Cancelling a part moves no date of the order: the number it moved leads to it.
    it.vendure.cancel(&order, 1).await;
    it.knows("VEN-001", (16, 4)).await;
    it.vendure.ship(&order, 3).await;
    it.knows("VEN-001", (16, 1)).await;
    it.vendure.ship(&order, 1).await;
    it.knows("VEN-001", (16, 0)).await;
    assert_eq!(it.server.on_hand("VEN-001").await, 16);
    it.in_step().await;
    // One comes back, and a push of ours is due before anybody has looked: it is not overwritten unseen.
    it.vendure.cancel(&order, 1).await;
    receive(&it.server, "VEN-001", 1).await;
    it.knows("VEN-001", (18, 0)).await;
    it.sells("VEN-001", 18).await;
    assert_eq!(it.vendure.levels("VEN-001").await, (18, 0));
    it.in_step().await;
    it.nothing_is_unexplained().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn vendure_thresholds_untracked_stock_and_hands_over_there() {
    let it = stocked(30, 3).await;
    it.vendure
        .set("VEN-001", json!({ "useGlobalOutOfStockThreshold": false, "outOfStockThreshold": 7 }))
        .await;
    it.vendure.set("VEN-002", json!({ "trackInventory": "FALSE" })).await;
    assert_eq!(it.add("superadmin").await.0, StatusCode::CREATED);
    it.sells("VEN-001", 30).await;
    assert_eq!(it.vendure.levels("VEN-001").await, (37, 0), "the threshold is never sold");
    it.sells("VEN-003", 30).await;
    // What is sold without end cannot be kept equal: a person hears of it, once.
    it.eventually("a person hears of VEN-002", || async {
        let (_, found) = it.server.inbox().await;
        found["data"]
            .as_array()
            .unwrap()
            .iter()
            .any(|one| one["sentence"].as_str().unwrap().contains("does not track stock of VEN-002"))
    })
    .await;
    it.in_step_but_one().await;
    // Somebody edits the number by hand: it is found although a push of ours is due, told, and set right.
    it.vendure.set("VEN-003", json!({ "stockOnHand": 99 })).await;
    receive(&it.server, "VEN-003", 1).await;
    it.sells("VEN-003", 31).await;
    it.in_step_but_one().await;
    let (_, found) = it.server.inbox().await;
    let edits: Vec<&Value> =
        found["data"].as_array().unwrap().iter().filter(|one| one["cause"] == "manual_edit").collect();
    assert_eq!(edits.len(), 1, "{found}");
    let sentence = edits[0]["sentence"].as_str().unwrap();
    assert!(sentence.contains("from 30 to 99"), "{sentence}");
    // It tracks stock again: it is kept equal again, and nobody need look any more.
    it.vendure.set("VEN-002", json!({ "trackInventory": "TRUE" })).await;
    receive(&it.server, "VEN-002", 5).await;
    it.sells("VEN-002", 35).await;
    it.in_step().await;
    let (_, found) = it.server.inbox().await;
    let mut tracking = found["data"].as_array().unwrap().iter().filter(|one| one["cause"] == "tracking_off");
    assert!(tracking.all(|one| !one["resolved_at"].is_null()), "{found}");
}

/// What cannot be applied yet is sold all the same: it is not offered again.
#[tokio::test(flavor = "multi_thread")]
async fn vendure_does_not_sell_again_what_an_order_that_waits_has_sold() {
    let it = stocked(100, 1).await;
    assert_eq!(it.add("superadmin").await.0, StatusCode::CREATED);
    it.sells("VEN-001", 100).await;
    let customer = it.vendure.customer();
    customer.add("VEN-003", 1).await;
    customer.buy("VEN-001", 40).await;
    it.eventually("the order waits for VEN-003", || async {
        let (_, found) = it.server.inbox().await;
        found["data"][0]["sentence"].as_str().is_some_and(|sentence| sentence.contains("VEN-003"))
    })
    .await;
    receive(&it.server, "VEN-001", 1).await;
    it.sells("VEN-001", 61).await;
    it.knows("VEN-001", (101, 0)).await;
    it.in_step().await;
    let (_, explained) = it.server.get("/v1/items/VEN-001/explain").await;
    let sentence = explained["shown"][0]["explanation"].as_str().unwrap();
    assert!(sentence.contains("40 sold by orders that wait in the inbox"), "{sentence}");
    // Once VEN-003 is an item and mapped, the order is applied, and nothing changes over there.
    it.server.stocked("VEN-003", 10).await;
    let (_, listings) = it.server.get("/v1/systems/Vendure/listings").await;
    let listing = listings["data"].as_array().unwrap().iter().find(|one| one["remote_sku"] == "VEN-003");
    let map = json!({ "remote_id": listing.unwrap()["remote_id"], "sku": "VEN-003" });
    assert_eq!(it.server.post("/v1/systems/Vendure/listings", map).await.0, StatusCode::OK);
    it.knows("VEN-001", (61, 40)).await;
    it.knows("VEN-003", (9, 1)).await;
    it.sells("VEN-001", 61).await;
    it.sells("VEN-003", 9).await;
}

/// What was done with before we came is history, also when it goes on; what is taken back comes back.
#[tokio::test(flavor = "multi_thread")]
async fn vendure_fulfilments_of_before_and_those_that_are_cancelled() {
    let it = stocked(70, 1).await;
    let before = it.vendure.sell("VEN-001", 30).await;
    let parcel = it.vendure.ship(&before, 30).await;
    assert_eq!(it.add("superadmin").await.0, StatusCode::CREATED);
    it.sells("VEN-001", 70).await;
    it.vendure.fulfilment_is(&parcel, "Delivered").await;
    let order = it.vendure.sell("VEN-001", 4).await;
    it.knows("VEN-001", (66, 4)).await;
    assert_eq!(it.server.on_hand("VEN-001").await, 70, "the old parcel left before it was counted here");
    let parcel = it.vendure.ship(&order, 4).await;
    it.knows("VEN-001", (66, 0)).await;
    it.vendure.fulfilment_is(&parcel, "Cancelled").await;
    it.knows("VEN-001", (66, 4)).await;
    it.in_step().await;
    it.sells("VEN-001", 66).await;
    it.vendure.cancel(&order, 4).await;
    it.knows("VEN-001", (70, 0)).await;
    it.in_step().await;
    it.sells("VEN-001", 70).await;
    it.nothing_is_unexplained().await;
}

impl Connected {
    async fn in_step_but_one(&self) {
        self.eventually("all but VEN-002 in step", || async {
            let (_, systems) = self.server.get("/v1/systems").await;
            systems["data"][0]["in_step"] == 2
        })
        .await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn vendure_with_a_wrong_password_or_address_is_not_added() {
    let it = stocked(1, 1).await;
    let (status, problem) = it.add("wrong").await;
    assert!(status.is_client_error() || status.is_server_error());
    let detail = problem["detail"].as_str().unwrap();
    assert!(detail.contains("Vendure does not accept these credentials"), "{detail}");
    let nowhere = json!({ "name": "N", "kind": "vendure", "url": "http://127.0.0.1:9", "username": "a", "secret": "b" });
    let (_, problem) = it.server.post("/v1/systems", nowhere).await;
    assert!(problem["detail"].as_str().unwrap().contains("cannot be reached"), "{problem}");
    let ours =
        json!({ "name": "N", "kind": "vendure", "url": it.server.base, "username": "a", "secret": "b" });
    let (_, problem) = it.server.post("/v1/systems", ours).await;
    assert!(problem["detail"].as_str().unwrap().contains("something unexpected"), "{problem}");
    assert_eq!(it.server.get("/v1/systems").await.1["data"], json!([]));
}
