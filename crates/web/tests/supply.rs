//! Transfers, reversals, production and expected supply over the public API, on a clock of their own.

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

    async fn receive(&self, quantity: i64) -> u64 {
        let body = json!({ "location": "LONDON", "lines": [{ "sku": "MUG", "quantity": quantity }] });
        let moved = self.accepted("/v1/movements/receive", body).await;
        moved["movements"][0]["seq"].as_u64().unwrap()
    }

    /// A figure of MUG at a location, or in `total`.
    async fn stock(&self, place: &str, figure: &str) -> i64 {
        let stock = self.get("/v1/items/MUG/stock").await;
        let all = stock["locations"].as_array().unwrap().iter().chain([&stock["total"]]);
        let found = all.into_iter().find(|one| one["location"] == place);
        found.map_or(0, |one| one[figure].as_i64().unwrap())
    }

    /// What a refusal says.
    async fn refused(&self, path: &str, body: Value) -> String {
        let (status, problem) = self.post(path, body).await;
        assert_eq!(status, StatusCode::CONFLICT, "{problem}");
        problem["detail"].as_str().unwrap().to_owned()
    }

    async fn paris(&self) {
        self.accepted("/v1/locations", json!({ "code": "PARIS" })).await;
    }

    async fn plan(&self, quantity: i64) -> u64 {
        let body = json!({
            "reference": "T-1", "from": "LONDON", "to": "PARIS", "expected_on": "2026-11-25",
            "lines": [{ "sku": "MUG", "quantity": quantity }],
        });
        self.accepted("/v1/transfers", body).await["id"].as_u64().unwrap()
    }
}

#[tokio::test]
async fn a_reversal_across_a_count_is_absorbed_by_it() {
    let shop = Shop::open().await;
    shop.at("09:00").receive(40).await;
    let mistake = shop.at("10:00").receive(10).await;
    let count =
        json!({ "location": "LONDON", "lines": [{ "sku": "MUG", "quantity": 50 }], "as_of": time("11:30") });
    shop.at("11:45").accepted("/v1/counts", count).await;
    let path = format!("/v1/movements/{mistake}/reverse");
    let body = json!({ "reason": "correction", "note": "Typed twice" });
    let reversal = shop.at("12:00").accepted(&path, body.clone()).await;
    assert_eq!(shop.stock("LONDON", "available").await, 50);
    let history = shop.get("/v1/items/MUG/history").await;
    let row = |seq: u64| {
        let rows = history["data"].as_array().unwrap().iter();
        rows.into_iter().find(|row| row["seq"] == seq).unwrap_or_else(|| panic!("{seq} in {history}"))
    };
    let seq = reversal["movements"][0]["seq"].as_u64().unwrap();
    assert_eq!((&row(mistake)["reversed_by"], &row(mistake)["reversed"]), (&json!([seq]), &json!(10)));
    assert_eq!(
        (&row(seq)["corrects"], &row(seq)["occurred_at"], &row(seq)["note"]),
        (&json!(mistake), &json!(time("10:00")), &json!("Typed twice"))
    );
    assert!(shop.refused(&path, body).await.contains("0 can still be reversed"));
    let (status, problem) = shop.post("/v1/movements/1/reverse", json!({ "reason": "correction" })).await;
    assert_eq!((status, &problem["type"]), (StatusCode::NOT_FOUND, &json!("/docs/errors#unknown")));
    let (status, problem) = shop.post(&path, json!({ "reason": "Fat fingers" })).await;
    assert_eq!((status, &problem["field"]), (StatusCode::UNPROCESSABLE_ENTITY, &json!("reason")));
}

#[tokio::test]
async fn lost_on_the_way() {
    let shop = Shop::open().await;
    shop.paris().await;
    shop.at("10:00").receive(30).await;
    let id = shop.plan(10).await;
    let path = |verb: &str| format!("/v1/transfers/{id}/{verb}");
    let draft = shop.get(&format!("/v1/transfers/{id}")).await;
    assert_eq!((&draft["state"], &draft["expected_on"]), (&json!("draft"), &json!("2026-11-25")));
    assert!(shop.refused(&path("receive"), json!({})).await.contains("is a draft"));
    let sent = shop.at("10:10").accepted(&path("dispatch"), json!({})).await;
    assert_eq!(
        (&sent["lines"][0]["in_transit"], &sent["movements"][0]["difference"]),
        (&json!(10), &json!(-10))
    );
    assert_eq!((shop.stock("LONDON", "on_hand").await, shop.stock("PARIS", "in_transit").await), (20, 10));
    assert_eq!((shop.stock("PARIS", "incoming").await, shop.stock("total", "on_hand").await), (10, 20));
    let came = json!({ "lines": [{ "line": "1", "quantity": 8, "lost": 2 }] });
    let came = shop.at("11:00").accepted(&path("receive"), came).await;
    assert_eq!((&came["lines"][0]["received"], &came["lines"][0]["lost"]), (&json!(8), &json!(2)));
    assert_eq!((shop.stock("PARIS", "available").await, shop.stock("PARIS", "in_transit").await), (8, 0));
    assert_eq!((shop.stock("PARIS", "incoming").await, shop.stock("total", "on_hand").await), (0, 28));
    assert_eq!(shop.get(&format!("/v1/transfers/{id}")).await["state"], "transferred");
    let seq = came["movements"][0]["seq"].as_u64().unwrap();
    let said = shop.refused(&format!("/v1/movements/{seq}/reverse"), json!({ "reason": "correction" })).await;
    assert!(said.contains(&format!("is of transfer {id}")), "{said}");
}

#[tokio::test]
async fn transfers_are_listed_amended_and_cancelled() {
    let shop = Shop::open().await;
    shop.paris().await;
    shop.at("10:00").receive(5).await;
    let id = shop.plan(10).await;
    let path = |verb: &str| format!("/v1/transfers/{id}/{verb}");
    let again = json!({ "reference": "T-1", "from": "LONDON", "to": "PARIS", "lines": [{ "sku": "MUG", "quantity": 1 }] });
    assert!(shop.refused("/v1/transfers", again).await.contains(&format!("transfer {id} already")));
    assert!(shop.refused(&path("dispatch"), json!({})).await.contains("5 available"));
    let amended = json!({ "lines": [{ "line": "1", "quantity": 4 }], "expected_on": "2026-12-01" });
    shop.accepted(&path("amend"), amended).await;
    shop.accepted(&path("dispatch"), json!({})).await;
    let other = json!({ "from": "LONDON", "to": "PARIS", "lines": [{ "sku": "MUG", "quantity": 1 }] });
    let other = shop.accepted("/v1/transfers", other).await["id"].clone();
    let first = shop.get("/v1/transfers?limit=1").await;
    assert_eq!((&first["data"][0]["id"], &first["has_more"]), (&json!(id), &json!(true)));
    let next = first["next_cursor"].as_str().unwrap();
    let second = shop.get(&format!("/v1/transfers?limit=1&cursor={next}")).await;
    assert_eq!((&second["data"][0]["id"], &second["has_more"]), (&other, &json!(false)));
    let back = shop.accepted(&path("cancel"), json!({})).await;
    assert_eq!(back["lines"][0]["returned"], 4);
    assert_eq!((shop.stock("LONDON", "available").await, shop.stock("PARIS", "in_transit").await), (5, 0));
    assert_eq!(shop.get(&format!("/v1/transfers/{id}")).await["state"], "cancelled");
    assert!(shop.refused(&path("dispatch"), json!({})).await.contains("is cancelled"));
    let (status, _) = shop.call("/v1/transfers/999", None, None).await;
    assert_eq!(status, StatusCode::NOT_FOUND);
    let wrong = json!({ "from": "LONDON", "to": "PARIS", "expected_on": "soon", "lines": [{ "sku": "MUG", "quantity": 1 }] });
    let (status, problem) = shop.post("/v1/transfers", wrong).await;
    assert_eq!((status, &problem["type"]), (StatusCode::UNPROCESSABLE_ENTITY, &json!("/docs/errors#date")));
}

#[tokio::test]
async fn kits_are_built_and_taken_apart() {
    let shop = Shop::open().await;
    shop.accepted("/v1/items", json!({ "sku": "SET" })).await;
    shop.at("10:00").receive(5).await;
    let work = json!({
        "location": "LONDON", "sku": "SET", "quantity": 2, "components": [{ "sku": "MUG", "quantity": 2 }],
        "reference": "WO-7",
    });
    let built = shop.accepted("/v1/movements/assemble", work.clone()).await;
    assert_eq!(built["movements"].as_array().map(Vec::len), Some(2));
    assert_eq!(shop.stock("LONDON", "available").await, 1);
    assert!(shop.refused("/v1/movements/assemble", work.clone()).await.contains("1 available"));
    let history = shop.get("/v1/items/SET/history").await;
    assert_eq!(history["data"][0]["reference"], "WO-7");
    shop.accepted("/v1/movements/disassemble", work).await;
    assert_eq!(shop.stock("LONDON", "available").await, 5);
}

#[tokio::test]
async fn what_is_ordered_from_a_supplier_comes_once() {
    let shop = Shop::open().await;
    let order = json!({
        "supplier": "Potters & Sons", "reference": "PO-1", "location": "LONDON", "expected_on": "2026-12-01",
        "lines": [{ "sku": "MUG", "quantity": 10, "unit_cost": { "amount": "1.25", "currency": "EUR" } }],
    });
    let id = shop.at("10:00").accepted("/v1/purchase-orders", order.clone()).await["id"].as_u64().unwrap();
    let path = |verb: &str| format!("/v1/purchase-orders/{id}/{verb}");
    assert!(
        shop.refused("/v1/purchase-orders", order).await.contains(&format!("purchase order {id} already"))
    );
    assert_eq!((shop.stock("LONDON", "incoming").await, shop.stock("LONDON", "on_hand").await), (10, 0));
    let came = json!({ "lines": [{ "line": "1", "quantity": 4 }], "reference": "DN-9" });
    let came = shop.accepted(&path("receive"), came).await;
    assert_eq!((shop.stock("LONDON", "incoming").await, shop.stock("LONDON", "available").await), (6, 4));
    let history = shop.get("/v1/items/MUG/history").await;
    assert_eq!(
        (&history["data"][0]["unit_cost"], &history["data"][0]["reference"]),
        (&json!({ "amount": 1.25, "currency": "EUR" }), &json!("DN-9"))
    );
    let seq = came["movements"][0]["seq"].as_u64().unwrap();
    let reverse = json!({ "reason": "correction", "quantity": 1 });
    shop.accepted(&format!("/v1/movements/{seq}/reverse"), reverse).await;
    assert_eq!((shop.stock("LONDON", "incoming").await, shop.stock("LONDON", "available").await), (7, 3));
    // The warehouse tells of the same delivery and of two more, and tells it twice.
    let told = json!({ "system": "WMS", "document": "R1", "version": 1, "receipt": {
        "purchase_order": "PO-1", "location": "LONDON", "lines": [{ "sku": "MUG", "quantity": 5 }],
    }});
    for result in ["applied", "already_applied"] {
        assert_eq!(shop.accepted("/v1/documents", told.clone()).await["result"], result);
    }
    assert_eq!((shop.stock("LONDON", "incoming").await, shop.stock("LONDON", "available").await), (5, 5));
    let by = |day: &str| format!("/v1/items/MUG/available?location=LONDON&by={day}");
    assert_eq!(shop.get(&by("2026-11-30")).await["available_to_promise"], 5);
    let then = shop.get(&by("2026-12-01")).await;
    assert_eq!((&then["available_to_promise"], &then["incoming_purchases"]), (&json!(10), &json!(5)));
    let later = json!({ "lines": [{ "line": "1", "expected_on": "2026-12-24" }] });
    shop.accepted(&path("amend"), later).await;
    assert_eq!(shop.get(&by("2026-12-01")).await["available_to_promise"], 5);
    assert!(shop.refused(&path("cancel"), json!({})).await.contains("close it instead"));
    shop.accepted(&path("close"), json!({})).await;
    assert_eq!(shop.stock("LONDON", "incoming").await, 0);
    let known = shop.get(&format!("/v1/purchase-orders/{id}")).await;
    assert_eq!((&known["state"], &known["lines"][0]["receipts"][0]["seq"]), (&json!("closed"), &json!(seq)));
    let mut listed = shop.get("/v1/purchase-orders").await["data"][0].clone();
    listed["sent"] = json!([]);
    assert_eq!(listed, known, "a list does not say where each was sent");
    assert!(shop.refused(&path("receive"), json!({})).await.contains("is closed"));
    let (status, problem) = shop.call(&by("2026-12-01").replace("LONDON", "ROME"), None, None).await;
    assert_eq!((status, &problem["field"]), (StatusCode::UNPROCESSABLE_ENTITY, &json!("location")));
}

#[tokio::test]
async fn a_receipt_is_applied_once_there_is_its_purchase_order() {
    let shop = Shop::open().await;
    let told = json!({ "system": "WMS", "document": "R1", "version": 1, "receipt": {
        "purchase_order": "PO-1", "location": "LONDON", "lines": [{ "sku": "MUG", "quantity": 5 }],
    }});
    let waiting = shop.at("10:00").accepted("/v1/documents", told).await;
    assert_eq!((&waiting["result"], shop.stock("LONDON", "on_hand").await), (&json!("waiting"), 0));
    let order = json!({
        "supplier": "Potters", "reference": "PO-1", "location": "LONDON", "lines": [{ "sku": "MUG", "quantity": 9 }],
    });
    shop.accepted("/v1/purchase-orders", order).await;
    assert_eq!((shop.stock("LONDON", "incoming").await, shop.stock("LONDON", "available").await), (4, 5));
}

#[tokio::test]
async fn a_receipt_that_another_system_tells_says_of_which_lots_it_was() {
    let shop = Shop::open().await;
    shop.accepted("/v1/items", json!({ "sku": "MILK", "tracking": "lots" })).await;
    let told = |document: &str, line: serde_json::Value| {
        json!({ "system": "WMS", "document": document, "version": 1, "receipt": {
            "location": "LONDON", "lines": [line] } })
    };
    let line = json!({ "sku": "MILK", "quantity": 5, "lot": "L1", "expires": "2027-01-31" });
    shop.at("10:00").accepted("/v1/documents", told("R1", line)).await;
    let lot = shop.get("/v1/items/MILK/lots/L1").await;
    assert_eq!(
        (&lot["lot"]["expires"], &lot["lot"]["places"][0]["quantity"]),
        (&json!("2027-01-31"), &json!(5))
    );
    let wrong = json!({ "sku": "MILK", "quantity": 5, "lot": "L1", "expires": "tomorrow" });
    let (status, problem) = shop.post("/v1/documents", told("R2", wrong)).await;
    assert_eq!((status.as_u16(), problem["field"].as_str()), (422, Some("expires")));
}

#[tokio::test]
async fn what_is_ready_to_ship_is_not_sold_twice() {
    let shop = Shop::open().await;
    shop.paris().await;
    shop.at("10:00").receive(10).await;
    let id = shop.plan(7).await;
    let path = |verb: &str| format!("/v1/transfers/{id}/{verb}");
    let ready = shop.accepted(&path("ready"), json!({})).await;
    assert_eq!((&ready["lines"][0]["reserved"], &ready["movements"]), (&json!(7), &json!([])));
    let shown = shop.get(&format!("/v1/transfers/{id}")).await;
    assert_eq!((&shown["state"], &shown["lines"][0]["reserved"]), (&json!("ready_to_ship"), &json!(7)));
    assert_eq!((shop.stock("LONDON", "available").await, shop.stock("LONDON", "reserved").await), (3, 7));
    assert_eq!((shop.stock("PARIS", "incoming").await, shop.stock("PARIS", "in_transit").await), (7, 0));
    let order = json!({ "lines": [{ "sku": "MUG", "quantity": 4 }], "backorder": false });
    assert!(shop.refused("/v1/orders", order).await.contains("3 available"));
    let part = json!({ "lines": [{ "line": "1", "quantity": 5 }] });
    let sent = shop.accepted(&path("dispatch"), part).await;
    assert_eq!((&sent["lines"][0]["reserved"], &sent["lines"][0]["in_transit"]), (&json!(2), &json!(5)));
    shop.accepted(&path("cancel"), json!({})).await;
    assert_eq!((shop.stock("LONDON", "available").await, shop.stock("PARIS", "incoming").await), (10, 0));
    let (status, problem) = shop.post(&path("ready"), json!({ "lines": [] })).await;
    assert_eq!(status, StatusCode::UNPROCESSABLE_ENTITY, "{problem}");
}

#[tokio::test]
async fn one_arrival_with_two_tellers_comes_in_once() {
    let shop = Shop::open().await;
    shop.paris().await;
    let arrived = |system: &str, document: &str, version: u64, quantity: i64| {
        json!({ "system": system, "document": document, "version": version, "receipt": {
            "transfer": "T-1", "location": "PARIS", "lines": [{ "sku": "MUG", "quantity": quantity }],
        } })
    };
    let (status, waits) = shop.post("/v1/documents", arrived("onhand", "R1", 1, 4)).await;
    assert_eq!((status, &waits["result"]), (StatusCode::ACCEPTED, &json!("waiting")));
    assert!(waits["explanation"].as_str().unwrap().contains("there is no transfer `T-1`"), "{waits}");
    shop.at("10:00").receive(10).await;
    let id = shop.plan(10).await;
    shop.accepted(&format!("/v1/transfers/{id}/dispatch"), json!({})).await;
    for (document, version, quantity, now) in [
        ("R1", 1, 4, 4),
        ("R1", 1, 4, 4),
        ("R1", 3, 6, 6),
        ("R1", 2, 9, 6),
        ("R1", 4, 5, 5),
        ("R2", 1, 5, 10),
    ] {
        shop.accepted("/v1/documents", arrived("onhand", document, version, quantity)).await;
        assert_eq!(shop.stock("PARIS", "available").await, now, "{document} {version}");
        assert_eq!(shop.stock("PARIS", "incoming").await, 10 - now);
    }
    let shown = shop.get(&format!("/v1/transfers/{id}")).await;
    assert_eq!((&shown["state"], &shown["lines"][0]["received"]), (&json!("transferred"), &json!(10)));
}
