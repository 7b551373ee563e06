//! The worked examples that fix what the laws mean, each by its name, over the public API, on a clock of their own.

mod support;

use axum::http::StatusCode;
use onhand_ledger::Instant;
use serde_json::{Value, json};
use support::{Shop, time};

impl Shop {
    fn at(&self, clock: &str) -> &Self {
        self.clock.set(Instant::parse(&time(clock)).unwrap());
        self
    }

    async fn receive(&self, quantity: i64) {
        let body = json!({ "location": "LONDON", "lines": [{ "sku": "MUG", "quantity": quantity }] });
        self.accepted("/v1/movements/receive", body).await;
    }

    fn count_of(quantity: i64, as_of: Option<&str>, system: Option<&str>) -> Value {
        json!({
            "location": "LONDON", "lines": [{ "sku": "MUG", "quantity": quantity }],
            "as_of": as_of.map(time), "system": system,
        })
    }

    async fn count(&self, quantity: i64, as_of: &str) {
        self.accepted("/v1/counts", Self::count_of(quantity, Some(as_of), None)).await;
    }

    /// The warehouse says that so many left.
    async fn shipment(&self, document: &str, order: Option<&str>, quantity: i64, at: Option<&str>) -> Value {
        let body = json!({ "system": "WMS", "document": document, "version": 1, "shipment": {
            "order": order, "order_system": "WEB", "location": "LONDON", "occurred_at": at.map(time),
            "lines": [{ "sku": "MUG", "quantity": quantity }],
        }});
        self.accepted("/v1/documents", body).await
    }

    /// The web shop says what an order is now.
    async fn order_fact(&self, document: &str, version: u64, quantity: i64, cancelled: bool) -> Value {
        let body = json!({ "system": "WEB", "document": document, "version": version, "order": {
            "cancelled": cancelled, "lines": [{ "line": "1", "sku": "MUG", "quantity": quantity }],
        }});
        self.accepted("/v1/documents", body).await
    }

    async fn order(&self, key: Option<&str>, quantity: i64) -> (StatusCode, Value) {
        let body = json!({ "lines": [{ "sku": "MUG", "quantity": quantity }] });
        self.call("/v1/orders", key, Some(body)).await
    }

    /// Available, reserved, committed.
    async fn stock(&self) -> (i64, i64, i64) {
        let total = self.get("/v1/items/MUG/stock").await["total"].clone();
        let units = |state: &str| total[state].as_i64().unwrap();
        (units("available"), units("reserved"), units("committed"))
    }

    async fn on_hand_at(&self, as_of: &str, known_at: Option<&str>) -> i64 {
        let known = known_at.map_or(String::new(), |known| format!("&known_at={}", time(known)));
        let stock = self.get(&format!("/v1/items/MUG/stock?as_of={}{known}", time(as_of))).await;
        stock["total"]["on_hand"].as_i64().unwrap()
    }

    /// Cause, quantity, and whether each is open.
    async fn discrepancies(&self) -> Vec<(String, i64, bool)> {
        let found = self.get("/v1/discrepancies").await;
        let found = found["data"].as_array().unwrap().iter();
        let one = |one: &Value| {
            let cause = one["cause"].as_str().unwrap().to_owned();
            (cause, one["quantity"].as_i64().unwrap(), one["resolved_at"].is_null())
        };
        found.map(one).collect()
    }

    async fn head(&self) -> u64 {
        self.get("/v1/items/MUG/stock").await["seq"].as_u64().unwrap()
    }
}

#[tokio::test]
async fn a_late_shipment_before_a_count_changes_nothing_after_it() {
    let shop = Shop::open().await;
    shop.at("10:00").receive(100).await;
    shop.at("10:20").count(97, "10:15").await;
    assert_eq!(shop.stock().await, (97, 0, 0));
    shop.at("11:30").shipment("S1", None, 3, Some("10:05")).await;
    assert_eq!(shop.stock().await, (97, 0, 0));
    assert_eq!(shop.on_hand_at("10:10", None).await, 97);
    assert_eq!(shop.on_hand_at("10:10", Some("10:30")).await, 100);
    assert_eq!(shop.on_hand_at("10:20", None).await, 97);
    assert_eq!(shop.on_hand_at("10:20", Some("10:30")).await, 97);
}

#[tokio::test]
async fn a_count_taken_in_the_morning_keeps_the_sales_made_since() {
    let shop = Shop::open().await;
    shop.at("10:00").receive(100).await;
    let (_, order) = shop.at("10:30").order(None, 8).await;
    shop.accepted(&format!("/v1/orders/{}/fulfil", order["id"]), json!({})).await;
    shop.at("11:00").count(98, "10:15").await;
    assert_eq!(shop.stock().await, (90, 0, 0));
    assert_eq!(shop.on_hand_at("10:20", None).await, 98);
}

#[tokio::test]
async fn counted_below_what_is_promised() {
    let shop = Shop::open().await;
    shop.at("10:00").receive(10).await;
    shop.at("10:10").order_fact("P", 1, 5, false).await;
    shop.at("10:20").order_fact("Q", 1, 3, false).await;
    assert_eq!(shop.stock().await, (2, 0, 8));
    let counted = shop.at("10:31").accepted("/v1/counts", Shop::count_of(5, Some("10:30"), None)).await;
    assert_eq!(
        counted["discrepancies"].as_array().map(Vec::len),
        Some(1),
        "who counts hears of it: {counted}"
    );
    assert_eq!(shop.stock().await, (0, 0, 5));
    assert_eq!(shop.discrepancies().await, [("promise_broken".to_owned(), 3, true)]);
    shop.at("11:00").receive(3).await;
    assert_eq!(shop.stock().await, (0, 0, 8));
}

#[tokio::test]
async fn shipped_for_somebody_else() {
    let shop = Shop::open().await;
    shop.at("10:00").receive(5).await;
    shop.at("10:10").order_fact("P", 1, 5, false).await;
    shop.at("10:20").shipment("S1", Some("Q"), 3, None).await;
    assert_eq!(shop.stock().await, (0, 0, 2));
    assert_eq!(shop.discrepancies().await.len(), 1);
    let orders = shop.get("/v1/orders").await;
    let short: Vec<&Value> = orders["data"].as_array().unwrap().iter().collect();
    assert_eq!(short.len(), 2, "Q is an order too: {orders}");
}

#[tokio::test]
async fn more_left_than_there_was() {
    let shop = Shop::open().await;
    shop.at("10:00").receive(2).await;
    shop.at("10:10").shipment("S1", None, 3, None).await;
    assert_eq!(shop.stock().await, (0, 0, 0));
    assert_eq!(shop.discrepancies().await, [("more_left_than_there".to_owned(), 1, true)]);
}

#[tokio::test]
async fn a_hold_ends_on_the_second_whoever_sleeps() {
    let shop = Shop::open().await;
    shop.at("10:00").receive(1).await;
    let hold = json!({ "lines": [{ "sku": "MUG", "quantity": 1 }], "expires_at": time("10:10") });
    let hold = shop.accepted("/v1/holds", hold).await;
    let (status, refused) = shop.at("10:09:59").order(None, 1).await;
    assert_eq!(status, StatusCode::CONFLICT);
    let detail = refused["detail"].as_str().unwrap();
    assert!(detail.contains("0 available, 1 held until 2026-11-23T10:10:00Z"), "{detail}");
    // Nothing sweeps here: the request itself makes the lapse an entry, dated when it was due.
    let (status, _) = shop.at("10:10:00").order(None, 1).await;
    assert_eq!(status, StatusCode::CREATED);
    let history = shop.get("/v1/items/MUG/history").await;
    let lapse = history["data"].as_array().unwrap().iter().find(|one| one["reason"] == "hold lapsed");
    assert!(
        lapse.is_some_and(|lapse| lapse["occurred_at"] == time("10:10")),
        "the lapse is dated when it was due: {history}"
    );
    let convert = format!("/v1/holds/{}/convert", hold["id"]);
    assert_eq!(shop.at("10:11").post(&convert, json!({})).await.0, StatusCode::CONFLICT);
    assert_eq!(shop.stock().await, (0, 0, 1));
}

#[tokio::test]
async fn a_document_is_a_state_not_an_event() {
    let shop = Shop::open().await;
    shop.at("10:00").receive(10).await;
    shop.order_fact("1044", 1, 3, false).await;
    shop.order_fact("1044", 2, 1, false).await;
    shop.order_fact("1044", 1, 3, false).await;
    let head = shop.head().await;
    let copies = tokio::join!(shop.order_fact("1044", 2, 1, false), shop.order_fact("1044", 2, 1, false));
    assert_eq!(
        (&copies.0["result"], &copies.1["result"]),
        (&json!("already_applied"), &json!("already_applied"))
    );
    assert_eq!((shop.stock().await, shop.head().await), ((9, 0, 1), head));
    shop.order_fact("1044", 3, 1, true).await;
    assert_eq!(shop.stock().await, (10, 0, 0));
    shop.order_fact("1044", 2, 1, false).await;
    assert_eq!(shop.stock().await, (10, 0, 0));
}

#[tokio::test]
async fn a_refusal_stands() {
    let shop = Shop::open().await;
    let first = shop.at("10:00").order(Some("k"), 1).await;
    assert_eq!(first.0, StatusCode::CONFLICT);
    shop.receive(1).await;
    assert_eq!(shop.order(Some("k"), 1).await, first, "word for word");
    assert_eq!(shop.order(Some("k2"), 1).await.0, StatusCode::CREATED);
    let (status, problem) = shop.order(Some("k2"), 2).await;
    assert_eq!(status, StatusCode::CONFLICT);
    assert!(problem["detail"].as_str().unwrap().contains("was used for another request"), "{problem}");
}

#[tokio::test]
async fn an_outsiders_absolute_is_evidence() {
    let shop = Shop::open().await;
    shop.at("10:00").accepted("/v1/ownership", json!({ "location": "LONDON", "master": "WMS" })).await;
    let (status, told) = shop.post("/v1/counts", Shop::count_of(92, None, Some("WEB"))).await;
    assert_eq!(status, StatusCode::ACCEPTED, "{told}");
    assert_eq!(shop.stock().await, (0, 0, 0));
    assert_eq!(shop.discrepancies().await[0].0, "not_master");
    let (status, refused) = shop.post("/v1/counts", Shop::count_of(5, None, None)).await;
    assert_eq!(status, StatusCode::CONFLICT);
    assert!(refused["detail"].as_str().unwrap().contains("its master is `WMS`"), "{refused}");
    shop.accepted("/v1/counts", Shop::count_of(37, None, Some("WMS"))).await;
    assert_eq!(shop.stock().await, (37, 0, 0));
}

#[tokio::test]
async fn exact() {
    let shop = Shop::open().await;
    shop.accepted("/v1/items", json!({ "sku": "TEA", "precision": 3 })).await;
    let adjust = |quantity: Value| json!({ "location": "LONDON", "lines": [{ "sku": "TEA", "quantity": quantity }], "reason": "found" });
    shop.accepted("/v1/movements/adjust", adjust(json!(0.1))).await;
    shop.accepted("/v1/movements/adjust", adjust(json!("0.2"))).await;
    let stock = shop.get("/v1/items/TEA/stock").await;
    assert_eq!(stock["total"]["available"].to_string(), "0.3");
    let (status, problem) = shop.post("/v1/movements/adjust", adjust(json!(0.0001))).await;
    assert_eq!(status, StatusCode::UNPROCESSABLE_ENTITY);
    assert!(problem["detail"].as_str().unwrap().contains("at most 3 decimals"), "{problem}");
}

#[tokio::test]
async fn a_clock_that_is_ahead() {
    let shop = Shop::open().await;
    shop.at("10:00").receive(5).await;
    shop.count(4, "10:03").await;
    let (status, problem) = shop.post("/v1/counts", Shop::count_of(3, Some("10:10"), None)).await;
    assert_eq!(status, StatusCode::UNPROCESSABLE_ENTITY, "{problem}");
    let (status, _) = shop.post("/v1/counts", Shop::count_of(3, Some("10:10"), Some("WMS"))).await;
    assert_eq!(status, StatusCode::ACCEPTED);
    assert_eq!(shop.stock().await, (4, 0, 0));
}

/// What waits for a name is applied as soon as the name is known, with nobody asking.
#[tokio::test]
async fn a_fact_that_names_an_unknown_item_is_applied_once_there_is_one() {
    let shop = Shop::open().await;
    let body = json!({ "system": "WEB", "document": "77", "version": 1, "order": {
        "lines": [{ "line": "1", "sku": "CUP", "quantity": 2 }],
    }});
    let waiting = shop.at("10:00").accepted("/v1/documents", body.clone()).await;
    assert_eq!(waiting["result"], "waiting");
    shop.accepted("/v1/items", json!({ "sku": "CUP" })).await;
    let orders = shop.get("/v1/orders").await;
    assert_eq!(orders["data"][0]["document"], "77", "{orders}");
    assert_eq!(shop.accepted("/v1/documents", body).await["result"], "already_applied");
    assert!(shop.discrepancies().await.iter().all(|(cause, _, open)| !open || cause != "unknown_name"));
}

/// Example 30, its last sentence: the policy is checked when it is saved.
#[tokio::test]
async fn adopting_cannot_be_saved_with_a_cap_and_the_message_says_why() {
    let shop = Shop::open().await;
    let here = json!([["here", "LONDON"]]);
    let put = json!({ "put_system": { "name": "SHOP", "kind": "test", "locations": here } });
    let made = shop.accepted("/v1/commands", json!({ "body": put })).await;
    assert!(made["error"].is_null(), "{made}");
    let listing = json!({ "remote_id": "1", "sku": "MUG", "multiplier": 1 });
    shop.accepted("/v1/systems/SHOP/listings", listing).await;
    let rule = shop.accepted("/v1/publication", json!({ "system": "SHOP", "sku": "MUG", "cap": 10 })).await;
    let adopt = || shop.call("/v1/systems/SHOP/mode", None, Some(json!({ "policy": "adopt" })));
    let (status, problem) = adopt().await;
    assert_eq!(
        (status, &problem["field"]),
        (StatusCode::UNPROCESSABLE_ENTITY, &json!("policy")),
        "{problem}"
    );
    let why = format!(
        "changes in SHOP cannot be adopted for 1 listing, such as 1: rule {} shows the same number for several amounts of stock \
         (a buffer alone would be right: no cap, percentage or stop)",
        rule["id"]
    );
    assert!(problem["detail"].as_str().unwrap().contains(&why), "{problem}");
    assert_eq!(shop.get("/v1/systems/SHOP").await["mode"]["policy"], "master_wins", "nothing was changed");
    // A buffer can be inverted.
    shop.accepted("/v1/publication", json!({ "system": "SHOP", "sku": "MUG", "buffer": 5 })).await;
    let (status, answer) = adopt().await;
    assert_eq!(status, StatusCode::OK, "{answer}");
    assert_eq!(shop.get("/v1/systems/SHOP").await["mode"]["policy"], "adopt");
}
