//! Holds in parts, orders that are divided by rules, wait and are moved, and counting in sessions, over the public API.

mod support;

use axum::http::StatusCode;
use onhand_ledger::{Instant, TenantId};
use onhand_web::auth::{self, Right};
use serde_json::{Value, json};
use support::{Shop, time};

impl Shop {
    fn at(&self, clock: &str) -> &Self {
        self.clock.set(Instant::parse(&time(clock)).unwrap());
        self
    }

    async fn receive(&self, location: &str, sku: &str, quantity: i64) {
        let body = json!({ "location": location, "lines": [{ "sku": sku, "quantity": quantity }] });
        self.accepted("/v1/movements/receive", body).await;
    }

    async fn kind(&self, path: &str, body: Value) -> (u16, String) {
        let (status, problem) = self.post(path, body).await;
        let kind = problem["type"].as_str().unwrap_or_default().replace("/docs/errors#", "");
        (status.as_u16(), kind)
    }

    /// The same shop with another key.
    async fn with_key(&self, name: &str, rights: &[Right]) -> Self {
        let key = auth::create_key_with(&self.handle, TenantId::DEFAULT, name, rights, None).await.unwrap();
        let (router, handle, clock) = (self.router.clone(), self.handle.clone(), self.clock.clone());
        Self { router, handle, clock, key, document: self.document.clone() }
    }
}

fn line(sku: &str, quantity: i64) -> Value {
    json!({ "sku": sku, "quantity": quantity })
}

#[tokio::test]
async fn a_hold_is_kept_in_part_extended_and_let_go_line_by_line() {
    let shop = Shop::open().await;
    shop.at("10:00").receive("LONDON", "MUG", 3).await;
    let hold =
        json!({ "lines": [line("MUG", 2), line("MUG", 2)], "expires_at": time("10:10"), "partial": true });
    let hold = shop.accepted("/v1/holds", hold).await;
    assert_eq!(hold["lines"][1], json!({ "line": "2", "sku": "MUG", "quantity": 2, "kept": 1 }));
    let path = |verb: &str| format!("/v1/holds/{}/{verb}", hold["id"]);
    let longer = shop.accepted(&path("extend"), json!({ "expires_at": time("10:30") })).await;
    assert_eq!(longer["expires_at"], time("10:30"));
    let part = json!({ "lines": [{ "line": "1", "quantity": 1 }] });
    let left = shop.at("10:20").accepted(&path("release"), part).await;
    assert_eq!((&left["lines"][0]["kept"], &left["lines"][1]["kept"]), (&json!(1), &json!(1)));
    let more = json!({ "lines": [{ "line": "1", "quantity": 2 }] });
    assert_eq!(shop.kind(&path("release"), more).await, (409, "line_has_less".to_owned()));
    let late = shop.at("10:30").kind(&path("extend"), json!({ "seconds": 60 })).await;
    assert_eq!(late, (409, "hold_ended".to_owned()));
}

#[tokio::test]
async fn an_order_says_when_it_must_leave_what_it_costs_and_how_it_waits() {
    let shop = Shop::open().await;
    shop.accepted("/v1/items", json!({ "sku": "MUG", "backorder_limit": 2 })).await;
    shop.at("10:00").receive("LONDON", "MUG", 1).await;
    let price = json!({ "amount": "12.50", "currency": "EUR" });
    let order = |quantity: i64| {
        json!({ "ship_by": time("18:00"), "ship_to": "DE-HE",
            "lines": [{ "sku": "MUG", "quantity": quantity, "price": price }] })
    };
    let (status, problem) = shop.post("/v1/orders", order(4)).await;
    assert_eq!((status, &problem["missing"][0]["may_wait"]), (StatusCode::CONFLICT, &json!(2)), "{problem}");
    let placed = shop.accepted("/v1/orders", order(2)).await;
    let said = &placed["lines"][0];
    assert_eq!(
        (&said["is"], &said["backordered"], &said["short"]),
        (&json!("backordered"), &json!(1), &json!(1))
    );
    let shown = shop.get(&format!("/v1/orders/{}", placed["id"])).await;
    assert_eq!((&shown["ship_by"], &shown["ship_to"]), (&json!(time("18:00")), &json!("DE-HE")));
    assert_eq!(shown["lines"][0]["price"].to_string(), r#"{"amount":12.5,"currency":"EUR"}"#);
    let euro =
        json!({ "lines": [{ "sku": "MUG", "quantity": 1, "price": { "amount": 1, "currency": "euro" } }] });
    let street = json!({ "ship_to": "Main Street 1", "lines": [line("MUG", 1)] });
    for wrong in [euro, street] {
        assert_eq!(shop.kind("/v1/orders", wrong).await, (422, "field".to_owned()));
    }
    let item = shop.get("/v1/items/MUG").await;
    assert_eq!(item["backorder_limit"], 2);
}

#[tokio::test]
async fn a_rule_says_where_orders_are_allocated_and_promises_are_moved() {
    let shop = Shop::open().await;
    for code in ["PARIS", "BERLIN"] {
        shop.accepted("/v1/locations", json!({ "code": code })).await;
    }
    let rule = json!({ "regions": [{ "region": "DE", "locations": ["BERLIN"] }], "parcels": "fewest", "split": false });
    let rule = shop.accepted("/v1/allocation", rule).await;
    let listed = shop.get("/v1/allocation").await;
    assert_eq!(listed["data"][0]["regions"][0], json!({ "region": "DE", "locations": ["BERLIN"] }));
    assert_eq!(
        (&listed["data"][0]["split"], &listed["data"][0]["parcels"]),
        (&json!(false), &json!("fewest"))
    );
    for code in ["LONDON", "PARIS", "BERLIN"] {
        shop.receive(code, "MUG", 2).await;
    }
    let order = |quantity: i64, to: &str| json!({ "ship_to": to, "lines": [line("MUG", quantity)] });
    assert_eq!(shop.kind("/v1/orders", order(3, "DE")).await, (409, "not_in_one_place".to_owned()));
    let placed = shop.accepted("/v1/orders", order(2, "DE")).await;
    let allocated =
        || async { shop.get(&format!("/v1/orders/{}", placed["id"])).await["lines"][0]["allocated"].clone() };
    assert_eq!(allocated().await, json!([{ "location": "BERLIN", "quantity": 2 }]));
    let move_it = format!("/v1/orders/{}/reallocate", placed["id"]);
    shop.accepted(&move_it, json!({ "away_from": "BERLIN" })).await;
    assert_eq!(allocated().await, json!([{ "location": "LONDON", "quantity": 2 }]));
    shop.accepted(&move_it, json!({})).await;
    assert_eq!(allocated().await, json!([{ "location": "BERLIN", "quantity": 2 }]));
    assert_eq!(
        shop.kind(&move_it, json!({ "away_from": "ROME" })).await,
        (422, "unknown_location".to_owned())
    );
    let request = axum::http::Request::builder()
        .method("DELETE")
        .uri(format!("/v1/rules/{}", rule["id"]))
        .header("authorization", format!("Bearer {}", shop.key))
        .body(axum::body::Body::empty());
    assert_eq!(shop.send(request.unwrap()).await.status(), StatusCode::OK);
    shop.accepted("/v1/orders", order(3, "DE")).await;
}

#[tokio::test]
async fn counters_count_and_who_may_approves() {
    let shop = Shop::open().await;
    shop.at("10:00").receive("LONDON", "MUG", 10).await;
    let (ann, bob) = (shop.with_key("ann", &[]).await, shop.with_key("bob", &[]).await);
    let boss = shop.with_key("boss", &[Right::Approve]).await;
    let session = json!({ "location": "LONDON", "skus": ["MUG"], "approve_over": { "units": 1 } });
    let session = shop.accepted("/v1/count-sessions", session).await;
    let path = |verb: &str| format!("/v1/count-sessions/{}{verb}", session["id"]);
    let saw = |quantity: i64| json!({ "lines": [{ "sku": "MUG", "quantity": quantity, "seen_at": time("10:05") }] });
    shop.at("10:10");
    assert_eq!(ann.accepted(&path("/counts"), saw(8)).await["lines"][0]["recount"], Value::Null);
    assert_eq!(bob.accepted(&path("/counts"), saw(7)).await["lines"][0]["recount"], "disagree");
    // It is blind: counters do not see what is expected.
    let report = ann.get(&path("")).await;
    assert_eq!(
        (&report["lines"][0]["looks"][0]["expected"], &report["state"]),
        (&Value::Null, &json!("open"))
    );
    assert_eq!(boss.get(&path("")).await["lines"][0]["looks"][1]["variance"], -3);
    assert_eq!(shop.kind(&path("/apply"), json!({})).await, (409, "recount_needed".to_owned()));
    bob.accepted(&path("/counts"), saw(8)).await;
    assert_eq!(ann.kind(&path("/apply"), json!({})).await, (403, "approval_needed".to_owned()));
    assert_eq!(ann.kind(&path("/apply"), json!({ "approve": true })).await, (403, "forbidden".to_owned()));
    // Neither as a line of many commands, nor by a key it makes itself.
    let many = format!(r#"{{"body":{{"apply_session":{{"session":{},"approve":true}}}}}}"#, session["id"]);
    let request = axum::http::Request::builder()
        .method("POST")
        .uri("/v1/commands")
        .header("authorization", format!("Bearer {}", ann.key))
        .header("content-type", "application/x-ndjson")
        .body(axum::body::Body::from(many));
    let answer = shop.send(request.unwrap()).await.into_body();
    let answer = http_body_util::BodyExt::collect(answer).await.unwrap().to_bytes();
    assert!(String::from_utf8_lossy(&answer).contains("/docs/errors#forbidden"), "{answer:?}");
    let key = json!({ "name": "ann's other", "rights": ["approve"] });
    assert_eq!(ann.kind("/v1/keys", key.clone()).await, (403, "forbidden".to_owned()));
    boss.accepted("/v1/keys", key).await;
    let counted = boss.accepted(&path("/apply"), json!({ "approve": true })).await;
    assert_eq!(
        (&counted["counts"][0]["difference"], &counted["counts"][0]["available"]),
        (&json!(-2), &json!(8))
    );
    let report = ann.get(&path("")).await;
    assert_eq!((&report["state"], &report["ended_by"]), (&json!("applied"), &json!("boss")));
    assert_eq!(report["lines"][0]["count"], counted["counts"][0]["id"]);
    assert_eq!(shop.kind(&path("/cancel"), json!({})).await, (409, "session_ended".to_owned()));
    assert_eq!(shop.get("/v1/count-sessions").await["data"][0]["state"], "applied");
}

// ---- the worked examples ---------------------------------------------------------------------------------------

#[tokio::test]
async fn lines_of_one_order_are_checked_together() {
    let shop = Shop::open().await;
    for sku in ["A", "B"] {
        shop.accepted("/v1/items", json!({ "sku": sku })).await;
    }
    shop.accepted("/v1/items", json!({ "sku": "KIT", "kit": [line("A", 2), line("B", 1)] })).await;
    shop.receive("LONDON", "A", 5).await;
    shop.receive("LONDON", "B", 1).await;
    let seq = shop.get("/v1/items/A/stock").await["seq"].clone();
    let (status, refused) = shop.post("/v1/orders", json!({ "lines": [line("KIT", 1), line("A", 4)] })).await;
    assert_eq!(status, StatusCode::CONFLICT);
    assert_eq!(refused["detail"], "cannot take 6 of `A`: 5 available");
    let stock = shop.get("/v1/items/A/stock").await;
    assert_eq!((&stock["seq"], &stock["total"]["available"]), (&seq, &json!(5)), "nothing changes");
}

#[tokio::test]
async fn one_parcel_two_tellers() {
    for shop_first in [true, false] {
        let shop = Shop::open().await;
        shop.accepted("/v1/locations", json!({ "code": "BERLIN" })).await;
        shop.accepted("/v1/ownership", json!({ "location": "BERLIN", "master": "WMS" })).await;
        let arrived = json!({ "system": "WMS", "document": "R1", "version": 1, "movements": [
            { "line": "1", "sku": "MUG", "location": "BERLIN", "what": "received", "quantity": 5 }] });
        shop.accepted("/v1/documents", arrived).await;
        let order = |version: u64, shipped: i64| {
            json!({ "system": "WEB", "document": "T", "version": version, "order": { "lines": [
                { "line": "1", "sku": "MUG", "quantity": 2, "shipped": shipped, "location": "BERLIN" }] } })
        };
        let parcel = json!({ "system": "WMS", "document": "S1", "version": 1, "shipment": {
            "order": "T", "order_system": "WEB", "location": "BERLIN", "lines": [line("MUG", 2)] } });
        shop.accepted("/v1/documents", order(1, 0)).await;
        let on_hand = || async { shop.get("/v1/items/MUG/stock").await["total"]["on_hand"].clone() };
        if shop_first {
            shop.accepted("/v1/documents", order(2, 2)).await;
            assert_eq!(on_hand().await, 5, "it is the warehouse's to say");
            shop.accepted("/v1/documents", parcel).await;
        } else {
            shop.accepted("/v1/documents", parcel).await;
            assert_eq!(on_hand().await, 3);
            shop.accepted("/v1/documents", order(2, 2)).await;
        }
        assert_eq!(on_hand().await, 3, "once");
        let orders = shop.get("/v1/orders").await;
        assert_eq!(
            orders["data"][0]["lines"][0]["shipped"],
            json!([{ "location": "BERLIN", "quantity": 2 }])
        );
    }
}

#[tokio::test]
async fn a_piece_that_is_seen_is_there_and_one_that_is_not_is_missing() {
    let shop = Shop::open().await;
    shop.accepted("/v1/items", json!({ "sku": "PHONE", "tracking": "serials" })).await;
    let lines = json!([{ "sku": "PHONE", "quantity": 3, "serials": ["S1", "S2", "S3"] }]);
    shop.accepted("/v1/movements/receive", json!({ "location": "LONDON", "lines": lines })).await;
    let session = shop.accepted("/v1/count-sessions", json!({ "location": "LONDON", "blind": false })).await;
    let session = format!("/v1/count-sessions/{}", session["id"]);
    let seen = json!({ "lines": [{ "sku": "PHONE", "quantity": 2, "serials": ["S1", "S3"] }] });
    shop.accepted(&format!("{session}/counts"), seen).await;
    let short = json!({ "lines": [{ "sku": "PHONE", "quantity": 2, "serials": ["S1"] }] });
    assert_eq!(shop.kind(&format!("{session}/counts"), short).await, (422, "field".to_owned()));
    assert_eq!(shop.get(&session).await["missing"], json!([{ "sku": "PHONE", "lot": "S2" }]));
    shop.accepted(&format!("{session}/apply"), json!({})).await;
    assert_eq!(shop.get("/v1/items/PHONE/stock").await["total"]["on_hand"], 2);
    let report = shop.get(&session).await;
    assert_eq!((report["lines"].as_array().unwrap().len(), &report["missing"]), (3, &json!([])));
}
