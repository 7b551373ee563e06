//! Snapshots and changes that an outside master tells, over the API, on a clock of their own.

mod support;

use axum::http::StatusCode;
use onhand_ledger::{Instant, TenantId};
use onhand_web::auth::{Right, create_key_with};
use serde_json::{Value, json};
use support::{Shop, time};

const SNAPSHOTS: &str = "/v1/systems/WMS/snapshots";

impl Shop {
    /// The same shop, asked by Ada, who may approve.
    async fn ada(&self) -> Self {
        let key = create_key_with(&self.handle, TenantId::DEFAULT, "Ada", &[Right::Approve], None);
        Self {
            router: self.router.clone(),
            handle: self.handle.clone(),
            clock: self.clock.clone(),
            key: key.await.unwrap(),
            document: self.document.clone(),
        }
    }

    fn at(&self, clock: &str) -> &Self {
        self.clock.set(Instant::parse(&time(clock)).unwrap());
        self
    }

    /// BERLIN is mastered by the WMS: 37 are free there, and 3 are promised to order S of the web shop.
    async fn berlin() -> Self {
        let shop = Self::open().await;
        shop.at("09:00").accepted("/v1/locations", json!({ "code": "BERLIN" })).await;
        let receipt = |line: &str| json!({ "line": line, "sku": "MUG", "location": "BERLIN", "what": "received", "quantity": 40 });
        shop.accepted("/v1/ownership", json!({ "location": "BERLIN", "master": "WMS" })).await;
        let body = json!({ "system": "WMS", "document": "R", "version": 1, "movements": [receipt("1")] });
        shop.accepted("/v1/documents", body).await;
        let order = json!({ "lines": [{ "line": "1", "sku": "MUG", "quantity": 3, "location": "BERLIN" }] });
        let body = json!({ "system": "WEB", "document": "S", "version": 1, "order": order });
        shop.accepted("/v1/documents", body).await;
        assert_eq!(shop.stock().await, (37, 3));
        shop
    }

    /// Available and committed.
    async fn stock(&self) -> (i64, i64) {
        let total = self.get("/v1/items/MUG/stock").await["total"].clone();
        (total["available"].as_i64().unwrap(), total["committed"].as_i64().unwrap())
    }

    async fn snapshot(&self, as_of: &str, quantity: i64, known_to: &str) -> Value {
        let body = json!({
            "location": "BERLIN", "as_of": time(as_of), "documents_known_to": time(known_to),
            "rows": [{ "sku": "MUG", "quantity": quantity }],
        });
        self.accepted(SNAPSHOTS, body).await
    }

    async fn whole(&self, document: &str, as_of: &str, rows: Value) -> Value {
        let body = json!({
            "document": document, "location": "BERLIN", "as_of": time(as_of), "whole": true,
            "documents_known_to": time(as_of), "rows": rows,
        });
        self.accepted(SNAPSHOTS, body).await
    }

    /// The warehouse ships order S, at a time.
    async fn ship(&self, at: &str) {
        let shipment = json!({
            "order": "S", "order_system": "WEB", "location": "BERLIN", "occurred_at": time(at),
            "lines": [{ "sku": "MUG", "quantity": 3 }],
        });
        let body = json!({ "system": "WMS", "document": "S1", "version": 1, "shipment": shipment });
        self.accepted("/v1/documents", body).await;
    }

    async fn settings(&self, settings: Value) {
        self.accepted("/v1/systems/WMS/inbound", settings).await;
    }

    async fn causes(&self) -> Vec<String> {
        let found = self.get("/v1/discrepancies").await;
        let open = found["data"].as_array().unwrap().iter().filter(|one| one["resolved_at"].is_null());
        open.map(|one| one["cause"].as_str().unwrap().to_owned()).collect()
    }

    async fn states(&self) -> Vec<String> {
        let all = self.get(SNAPSHOTS).await;
        all["data"].as_array().unwrap().iter().map(|one| one["state"].as_str().unwrap().to_owned()).collect()
    }
}

#[tokio::test]
async fn a_snapshot_waits_for_the_shipments_in_it() {
    let shop = Shop::berlin().await;
    let told = shop.at("10:04").snapshot("10:03", 37, "10:00").await;
    assert_eq!(told["state"], "waiting");
    assert_eq!(
        told["explanation"],
        "WMS's snapshot of 2026-11-23T10:03:00Z waits: its documents are known to 2026-11-23T10:00:00Z. It is taken \
         then, or at 2026-11-23T10:19:00Z."
    );
    assert_eq!(shop.stock().await, (37, 3));
    shop.at("10:06").ship("10:02").await;
    assert_eq!(shop.states().await, ["waiting"]);
    let known = json!({ "documents_known_to": time("10:06") });
    assert_eq!(shop.accepted("/v1/systems/WMS/documents-known", known).await["waiting"], 0);
    assert_eq!((shop.stock().await, shop.states().await), ((37, 0), vec!["taken".to_owned()]));
    let all = shop.get(SNAPSHOTS).await;
    let taken = &all["data"][0]["taken"];
    assert_eq!((&taken["counted"], &taken["different"]), (&json!(1), &json!(0)));
    assert!(shop.causes().await.is_empty());
}

#[tokio::test]
async fn or_stops_waiting_and_is_still_right() {
    let shop = Shop::berlin().await;
    shop.settings(json!({ "wait_seconds": 300 })).await;
    shop.at("10:04").snapshot("10:03", 37, "10:00").await;
    shop.at("10:08");
    onhand_engine::snapshots::settle_all(&shop.handle, TenantId::DEFAULT).await.unwrap();
    assert_eq!(shop.stock().await, (37, 3));
    shop.at("10:09");
    onhand_engine::snapshots::settle_all(&shop.handle, TenantId::DEFAULT).await.unwrap();
    assert_eq!(shop.stock().await, (34, 3));
    let all = shop.get(SNAPSHOTS).await;
    let said = all["data"][0]["explanation"].as_str().unwrap().to_owned();
    assert!(said.contains("is taken although its documents are known to 2026-11-23T10:00:00Z"), "{said}");
    // The history of the item says so too.
    let history = shop.get("/v1/items/MUG/history").await.to_string();
    assert!(history.contains("it has waited for 300 s"), "{history}");
    shop.at("10:20").ship("10:02").await;
    assert_eq!(shop.stock().await, (37, 0));
}

#[tokio::test]
async fn held_snapshots_change_nothing_until_a_person_approves_them() {
    let shop = Shop::berlin().await;
    shop.settings(json!({ "absent": "zero" })).await;
    let three = json!([
        { "sku": "MUG", "quantity": 40 }, { "sku": "CUP", "quantity": 5 }, { "sku": "JUG", "quantity": 5 },
    ]);
    for sku in ["CUP", "JUG"] {
        shop.accepted("/v1/items", json!({ "sku": sku })).await;
    }
    assert_eq!(shop.at("10:00").whole("A", "10:00", three).await["state"], "taken");
    // One row instead of three, and then none.
    let one = json!([{ "sku": "MUG", "quantity": 40 }]);
    let held = shop.at("11:00").whole("B", "11:00", one.clone()).await;
    assert_eq!(
        held["explanation"],
        "WMS's snapshot of 2026-11-23T11:00:00Z has 1 row instead of 3. Nothing was changed; approve it or wait for \
         the next."
    );
    let empty = shop.at("11:01").whole("C", "11:01", json!([])).await;
    assert_eq!((&held["state"], &empty["state"]), (&json!("held"), &json!("held")));
    // Many other numbers.
    let other = json!([
        { "sku": "MUG", "quantity": 4 }, { "sku": "CUP", "quantity": 5 }, { "sku": "JUG", "quantity": 5 },
    ]);
    let differs = shop.at("11:02").whole("D", "11:02", other.clone()).await;
    let said = differs["explanation"].as_str().unwrap();
    assert!(said.contains("would change 36 of 50 units, which is more than 30 %"), "{said}");
    // Cut short, by its own word.
    let body = json!({ "document": "E", "location": "BERLIN", "as_of": time("11:02"), "declared_rows": 9, "rows": one });
    assert_eq!(shop.accepted(SNAPSHOTS, body).await["state"], "held");
    assert_eq!(shop.stock().await, (37, 3));
    assert_eq!(shop.causes().await, ["guard"; 4]);
    // The one after them is taken, and holds up nothing.
    shop.at("11:30").whole("F", "11:30", json!([
        { "sku": "MUG", "quantity": 39 }, { "sku": "CUP", "quantity": 5 }, { "sku": "JUG", "quantity": 5 },
    ])).await;
    assert_eq!(shop.stock().await, (36, 3));
    // Who may approve approves; it counts as of its own time, and the newer one stands.
    let ada = shop.ada().await;
    let approved = ada.at("12:00").accepted(&format!("{SNAPSHOTS}/D/approve"), json!({})).await;
    assert_eq!((&approved["state"], &approved["taken"]["taken"]), (&json!("taken"), &json!(36)));
    assert_eq!(shop.stock().await, (36, 3));
    let past = shop.get(&format!("/v1/items/MUG/stock?as_of={}", time("11:10"))).await;
    assert_eq!(past["total"]["on_hand"], 4);
    let rejected = shop.accepted(&format!("{SNAPSHOTS}/B/reject"), json!({})).await;
    assert_eq!((&rejected["state"], &rejected["decided_by"]), (&json!("rejected"), &json!("test")));
    assert_eq!(shop.causes().await, ["guard"; 2]);
    // Once is enough.
    ada.accepted(&format!("{SNAPSHOTS}/D/approve"), json!({})).await;
    let (status, problem) = ada.post(&format!("{SNAPSHOTS}/B/approve"), json!({})).await;
    assert_eq!((status, &problem["type"]), (StatusCode::CONFLICT, &json!("/docs/errors#not_held")));
}

#[tokio::test]
async fn what_an_absent_row_means_is_a_setting() {
    for (absent, left) in [("zero", 0), ("unknown", 5)] {
        let shop = Shop::berlin().await;
        shop.settings(json!({ "absent": absent, "hold_below_rows_percent": 0 })).await;
        shop.accepted("/v1/items", json!({ "sku": "CUP" })).await;
        let two = json!([{ "sku": "MUG", "quantity": 40 }, { "sku": "CUP", "quantity": 5 }]);
        shop.at("10:00").whole("A", "10:00", two).await;
        shop.at("11:00").whole("B", "11:00", json!([{ "sku": "MUG", "quantity": 40 }])).await;
        assert_eq!(shop.get("/v1/items/CUP/stock").await["total"]["on_hand"], left, "{absent}");
        assert_eq!(shop.stock().await, (37, 3));
    }
}

#[tokio::test]
async fn net_of_its_own_orders_is_what_lies_there_less_what_it_has_set_aside() {
    let shop = Shop::berlin().await;
    // Two of the web shop's three are its own word; the WMS knows of an order of its own of 5 too.
    let order = json!({ "placed_at": time("09:30"), "lines": [{ "line": "1", "sku": "MUG", "quantity": 5, "location": "BERLIN" }] });
    let body = json!({ "system": "WMS", "document": "O", "version": 1, "order": order });
    shop.at("09:40").accepted("/v1/documents", body).await;
    assert_eq!(shop.stock().await, (32, 8));
    shop.settings(json!({ "meaning": "net_of_own_orders" })).await;
    // 40 lie there; of these 5 are set aside for its own order.
    let told = shop.at("10:00").snapshot("10:00", 35, "10:00").await;
    assert_eq!((&told["taken"]["different"], shop.stock().await), (&json!(0), (32, 8)));
    // What left after its time was still there then.
    let shipment = json!({
        "order": "O", "location": "BERLIN", "occurred_at": time("10:05"),
        "lines": [{ "sku": "MUG", "quantity": 5 }],
    });
    let body = json!({ "system": "WMS", "document": "O1", "version": 1, "shipment": shipment });
    shop.at("10:10").accepted("/v1/documents", body).await;
    let told = shop.at("10:11").snapshot("10:04", 34, "10:11").await;
    assert_eq!((&told["taken"]["different"], &told["taken"]["taken"]), (&json!(1), &json!(1)));
    assert_eq!(shop.stock().await, (31, 3));
    // An order that it had not yet at that time is not in its number.
    let order = json!({ "placed_at": time("10:30"), "lines": [{ "line": "1", "sku": "MUG", "quantity": 4, "location": "BERLIN" }] });
    let body = json!({ "system": "WMS", "document": "P", "version": 1, "order": order });
    shop.at("10:31").accepted("/v1/documents", body).await;
    let told = shop.at("10:32").snapshot("10:29", 34, "10:32").await;
    assert_eq!(told["taken"]["different"], 0, "{told}");
}

#[tokio::test]
async fn an_outsiders_snapshot_is_evidence_and_the_good_rows_count() {
    let shop = Shop::berlin().await;
    let body = json!({
        "location": "BERLIN", "as_of": time("09:00"), "documents_known_to": time("09:00"),
        "rows": [{ "sku": "MUG", "quantity": 92 }],
    });
    let told = shop.accepted("/v1/systems/WEB/snapshots", body).await;
    assert_eq!((&told["state"], &told["taken"]["not_counted"]), (&json!("taken"), &json!(1)));
    assert_eq!((shop.stock().await, shop.causes().await), ((37, 3), vec!["not_master".to_owned()]));
    shop.accepted("/v1/systems/WMS/listings", json!({ "remote_id": "six", "sku": "MUG", "multiplier": 6 }))
        .await;
    let body = json!({
        "location": "BERLIN", "as_of": time("10:00"), "documents_known_to": time("10:00"),
        "rows": [
            { "sku": "MUG", "quantity": 5 }, { "listing": "six", "quantity": 6 }, { "sku": "NOPE", "quantity": 1 },
            { "listing": "unmapped", "quantity": 2 },
        ],
    });
    let told = shop.at("10:00").accepted(SNAPSHOTS, body).await;
    assert_eq!((&told["taken"]["counted"], &told["taken"]["not_counted"]), (&json!(1), &json!(2)));
    assert_eq!((shop.stock().await, shop.causes().await.len()), ((38, 3), 2));
}

#[tokio::test]
async fn changes_of_a_master_are_not_made_twice() {
    let shop = Shop::berlin().await;
    let deltas = |document: &str, at: &str, change: i64| {
        json!({
            "document": document, "location": "BERLIN", "occurred_at": time(at),
            "rows": [{ "sku": "MUG", "change": change, "reason": "damaged" }],
        })
    };
    let path = "/v1/systems/WMS/deltas";
    shop.at("10:00");
    assert_eq!(shop.accepted(path, deltas("C1", "09:50", -2)).await["result"], "applied");
    assert_eq!(shop.accepted(path, deltas("C1", "09:50", -2)).await["result"], "already_applied");
    assert_eq!(shop.accepted(path, deltas("C2", "09:55", 5)).await["result"], "applied");
    assert_eq!(shop.stock().await, (40, 3));
    shop.at("10:10").snapshot("10:05", 43, "10:10").await;
    // Heard of late: the snapshot has seen it.
    shop.at("10:20").accepted(path, deltas("C3", "10:01", -4)).await;
    assert_eq!(shop.stock().await, (40, 3));
    // Another's word moves nothing.
    shop.accepted("/v1/systems/WEB/deltas", deltas("C4", "10:15", -4)).await;
    assert_eq!((shop.stock().await, shop.causes().await), ((40, 3), vec!["not_master".to_owned()]));
}

#[tokio::test]
async fn a_snapshot_told_again_is_the_same_one() {
    let shop = Shop::berlin().await;
    shop.at("10:00").snapshot("10:00", 38, "10:00").await;
    shop.snapshot("10:00", 38, "10:00").await;
    assert_eq!((shop.stock().await, shop.states().await), ((35, 3), vec!["taken".to_owned()]));
    let body =
        json!({ "location": "BERLIN", "as_of": time("10:00"), "rows": [{ "sku": "MUG", "quantity": 1 }] });
    let (status, problem) = shop.post(SNAPSHOTS, body).await;
    assert_eq!(
        (status, &problem["field"]),
        (StatusCode::UNPROCESSABLE_ENTITY, &json!("document")),
        "{problem}"
    );
}

/// What its sentence asks for can be done where it is read.
#[tokio::test]
async fn a_held_snapshot_is_approved_or_rejected_from_the_inbox() {
    let shop = Shop::berlin().await;
    shop.settings(json!({ "absent": "zero" })).await;
    let rows = |quantity: i64| json!([{ "sku": "MUG", "quantity": quantity }]);
    assert_eq!(shop.at("10:00").whole("A", "10:00", rows(40)).await["state"], "taken");
    for (document, minute) in [("B", "11:00"), ("C", "11:01")] {
        assert_eq!(shop.at(minute).whole(document, minute, rows(4)).await["state"], "held");
    }
    let open = shop.get("/v1/discrepancies?cause=guard&open=true").await;
    let ids: Vec<u64> =
        open["data"].as_array().unwrap().iter().map(|one| one["id"].as_u64().unwrap()).collect();
    let found = shop.get(&format!("/v1/discrepancies/{}", ids[0])).await;
    let names: Vec<&str> =
        found["proposals"].as_array().unwrap().iter().map(|one| one["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["approve", "reject", "dismiss"], "{found}");
    let path = |id: u64| format!("/v1/discrepancies/{id}/apply");
    // Who may not approve may not do so here either; anybody may say no.
    let ask = |proposal: &str| json!({ "proposal": proposal });
    let (status, problem) = shop.post(&path(ids[1]), ask("approve")).await;
    assert_eq!((status, problem["type"].as_str()), (StatusCode::FORBIDDEN, Some("/docs/errors#forbidden")));
    let (status, done) = shop.call(&path(ids[0]), Some("k-1"), Some(ask("reject"))).await;
    assert_eq!((status.as_u16(), &done["proposal"]), (200, &json!("reject")), "{done}");
    let again = shop.call(&path(ids[0]), Some("k-1"), Some(ask("reject"))).await;
    assert_eq!((again.0.as_u16(), again.1), (200, done), "asked again under its key it is answered again");
    let (status, _) = shop.call(&path(ids[0]), Some("k-2"), Some(ask("approve"))).await;
    assert_eq!(status, StatusCode::CONFLICT);
    let ada = shop.ada().await;
    ada.accepted(&path(ids[1]), ask("approve")).await;
    assert_eq!(shop.stock().await, (1, 3), "4 were counted, and 3 of them are promised");
    let done = shop.get(&format!("/v1/discrepancies/{}", ids[1])).await;
    assert_eq!((&done["done"][0]["actor"], &done["done"][0]["proposal"]), (&json!("Ada"), &json!("approve")));
    assert!(shop.causes().await.is_empty());
}
