//! The inbox over HTTP: what is alike together, what could be done about it, done singly and for all, and by whom.

mod support;

use serde_json::{Value, json};
use support::Shop;

impl Shop {
    /// WEB sold something: the discrepancy that came of it.
    async fn sold(&self, document: &str, version: u64, sku: &str, quantity: i64) -> u64 {
        let lines = json!([{ "line": "1", "sku": sku, "quantity": quantity }]);
        let told =
            json!({ "system": "WEB", "document": document, "version": version, "order": { "lines": lines } });
        let (_, answer) = self.post("/v1/documents", told).await;
        answer["discrepancies"][0].as_u64().unwrap_or_else(|| panic!("nothing came up: {answer}"))
    }

    async fn names(&self, id: u64) -> Vec<String> {
        let found = self.get(&format!("/v1/discrepancies/{id}")).await;
        let proposals = found["proposals"].as_array().unwrap().iter();
        proposals.map(|proposal| proposal["name"].as_str().unwrap().to_owned()).collect()
    }

    async fn waiting(&self) -> Vec<(String, u64)> {
        let inbox = self.get("/v1/inbox").await;
        let groups = inbox["groups"].as_array().unwrap().iter();
        groups
            .map(|group| (group["cause"].as_str().unwrap().to_owned(), group["open"].as_u64().unwrap()))
            .collect()
    }

    async fn committed(&self, sku: &str) -> Value {
        self.get(&format!("/v1/items/{sku}/stock")).await["total"]["committed"].clone()
    }
}

async fn stocked() -> Shop {
    let shop = Shop::open().await;
    let lines = json!([{ "sku": "MUG", "quantity": 10 }]);
    shop.accepted("/v1/movements/receive", json!({ "location": "LONDON", "lines": lines })).await;
    shop
}

#[tokio::test]
async fn what_is_alike_is_dealt_with_together() {
    let shop = stocked().await;
    for number in 1..=3 {
        shop.sold(&format!("W-{number}"), 1, "mug", 1).await;
    }
    let other = shop.sold("W-4", 1, "CUP", 2).await;
    let short = shop.sold("W-5", 1, "MUG", 12).await;
    assert_eq!(shop.waiting().await, [("unknown_name".to_owned(), 4), ("short".to_owned(), 1)]);
    assert_eq!(shop.names(short).await, ["reallocate", "cancel_short", "dismiss"]);
    // One choice for all that have it: the others are left, and say why.
    let ask = json!({ "cause": "unknown_name", "system": "WEB", "proposal": "alias" });
    let done = shop.accepted("/v1/inbox/apply", ask).await;
    // The first does it for all: what waits for the same name has ended by itself.
    assert_eq!(done["applied"].as_array().unwrap().len(), 1, "{done}");
    let left = done["left"].as_array().unwrap();
    assert!(left.iter().any(|left| left["id"] == other), "{done}");
    // All of the mugs are promised already: what was applied is short.
    assert_eq!(shop.waiting().await, [("short".to_owned(), 4), ("unknown_name".to_owned(), 1)]);
    // Another is made, and its order is applied.
    let done =
        shop.accepted(&format!("/v1/discrepancies/{other}/apply"), json!({ "proposal": "make_item" })).await;
    assert_eq!(done, json!({ "id": other, "proposal": "make_item" }));
    assert_eq!(shop.get("/v1/items/CUP").await["sku"], "CUP");
    let listed = shop.get("/v1/discrepancies?cause=short&system=WEB&open=true").await;
    assert_eq!(listed["data"].as_array().unwrap().len(), 5, "W-4 is short now: {listed}");
}

#[tokio::test]
async fn what_was_done_is_kept_with_who_did_it_and_a_copy_does_nothing() {
    let shop = stocked().await;
    let short = shop.sold("W-5", 1, "MUG", 12).await;
    let path = format!("/v1/discrepancies/{short}/apply");
    let ask = || Some(json!({ "proposal": "cancel_short" }));
    let (status, done) = shop.call(&path, Some("k-1"), ask()).await;
    assert_eq!((status.as_u16(), &done["proposal"]), (200, &json!("cancel_short")), "{done}");
    assert_eq!(shop.committed("MUG").await, 10);
    let again = shop.call(&path, Some("k-1"), ask()).await;
    assert_eq!((again.0.as_u16(), again.1), (200, done));
    let (status, problem) = shop.call(&path, Some("k-2"), ask()).await;
    assert_eq!((status.as_u16(), &problem["type"]), (409, &json!("/docs/errors#not_applied")), "{problem}");
    let found = shop.get(&format!("/v1/discrepancies/{short}")).await;
    assert_eq!(found["proposals"], json!([]));
    assert_eq!(
        (&found["done"][0]["proposal"], &found["done"][0]["actor"], found["done"].as_array().unwrap().len()),
        (&json!("cancel_short"), &json!("test"), 1)
    );
    // The log says it too, whatever becomes of notes.
    let seq = found["done"][0]["seq"].as_u64().unwrap();
    let changes = shop.get("/v1/changes?limit=100").await;
    let is_it = |change: &&Value| {
        change["reference"] == format!("discrepancy {short}") && change["note"] == "cancel_short"
    };
    let change = changes["data"].as_array().unwrap().iter().find(is_it).unwrap();
    assert!(change["seq"].as_u64().unwrap() <= seq && change["actor"] == "test", "{change}");
}

#[tokio::test]
async fn another_word_of_the_same_version_is_applied_as_the_next_one() {
    let shop = stocked().await;
    let lines = |quantity: i64| json!([{ "line": "1", "sku": "MUG", "quantity": quantity }]);
    let told = json!({ "system": "WEB", "document": "W-1", "version": 1, "order": { "lines": lines(2) } });
    shop.accepted("/v1/documents", told).await;
    let other = shop.sold("W-1", 1, "MUG", 3).await;
    assert_eq!(
        (shop.committed("MUG").await, shop.names(other).await),
        (json!(2), vec!["apply".to_owned(), "dismiss".to_owned()])
    );
    shop.accepted(&format!("/v1/discrepancies/{other}/apply"), json!({ "proposal": "apply" })).await;
    assert_eq!((shop.committed("MUG").await, shop.waiting().await), (json!(3), vec![]));
}

#[tokio::test]
async fn what_needs_a_sku_asks_for_it_and_what_is_refused_changes_nothing() {
    let shop = stocked().await;
    let waits = shop.sold("W-1", 1, "TASSE", 2).await;
    let path = format!("/v1/discrepancies/{waits}/apply");
    let (status, problem) = shop.post(&path, json!({ "proposal": "map" })).await;
    assert_eq!((status.as_u16(), &problem["field"]), (422, &json!("sku")), "{problem}");
    let (status, problem) = shop.post(&path, json!({ "proposal": "map", "sku": "NOPE" })).await;
    assert_eq!((status.as_u16(), &problem["type"]), (409, &json!("/docs/errors#not_applied")), "{problem}");
    assert_eq!(shop.waiting().await.len(), 1);
    shop.accepted(&path, json!({ "proposal": "map", "sku": "MUG" })).await;
    assert_eq!((shop.committed("MUG").await, shop.waiting().await), (json!(2), vec![]));
}
