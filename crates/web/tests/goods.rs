//! Kits, lots, serials and places inside places over the public API: the worked examples by their names, and a piece's way.

mod support;

use axum::http::StatusCode;
use onhand_ledger::Instant;
use serde_json::{Value, json};
use support::Shop;

impl Shop {
    fn on(&self, now: &str) {
        self.clock.set(Instant::parse(now).unwrap());
    }

    async fn put(&self, item: Value) {
        self.accepted("/v1/items", item).await;
    }

    async fn receive(&self, location: &str, lines: Value) {
        self.accepted("/v1/movements/receive", json!({ "location": location, "lines": lines })).await;
    }

    async fn available(&self, sku: &str, location: &str) -> i64 {
        let found = self.get(&format!("/v1/items/{sku}/available?location={location}")).await;
        found["available"].as_i64().unwrap()
    }

    async fn total(&self, sku: &str, state: &str) -> i64 {
        self.get(&format!("/v1/items/{sku}/stock")).await["total"][state].as_i64().unwrap()
    }
}

#[tokio::test]
async fn kits_are_built_in_one_place() {
    let shop = Shop::open().await;
    shop.accepted("/v1/locations", json!({ "code": "PARIS" })).await;
    for sku in ["A", "B"] {
        shop.put(json!({ "sku": sku })).await;
    }
    shop.put(json!({ "sku": "KIT", "kit": [{ "sku": "A", "quantity": 2 }, { "sku": "B", "quantity": 1 }] }))
        .await;
    shop.put(
        json!({ "sku": "BOX", "kit": [{ "sku": "KIT", "quantity": 1 }, { "sku": "A", "quantity": 1 }] }),
    )
    .await;
    shop.receive("LONDON", json!([{ "sku": "A", "quantity": 5 }, { "sku": "B", "quantity": 1 }])).await;
    shop.receive("PARIS", json!([{ "sku": "A", "quantity": 1 }, { "sku": "B", "quantity": 4 }])).await;
    assert_eq!((shop.available("KIT", "LONDON").await, shop.available("KIT", "PARIS").await), (1, 0));
    assert_eq!((shop.available("BOX", "LONDON").await, shop.available("BOX", "PARIS").await), (1, 0));
    let two = json!({ "lines": [{ "sku": "KIT", "quantity": 2 }] });
    let (status, refused) = shop.post("/v1/orders", two).await;
    assert_eq!((status, refused["missing"][0]["sku"].as_str()), (StatusCode::CONFLICT, Some("KIT")));
    // Where it would be inside itself it is no kit.
    let (status, problem) =
        shop.post("/v1/items", json!({ "sku": "KIT", "kit": [{ "sku": "BOX", "quantity": 1 }] })).await;
    assert_eq!((status, problem["field"].as_str()), (StatusCode::UNPROCESSABLE_ENTITY, Some("kit")));
}

#[tokio::test]
async fn lots_end_with_their_day_where_they_lie() {
    let shop = Shop::open().await;
    shop.accepted("/v1/locations", json!({ "code": "HAMBURG", "time_zone": "Europe/Berlin" })).await;
    shop.put(json!({ "sku": "MILK", "tracking": "lots" })).await;
    let lots = json!([
        { "sku": "MILK", "quantity": 10, "lot": "L2", "expires": "2027-01-31" },
        { "sku": "MILK", "quantity": 5, "lot": "L1", "expires": "2026-11-30" },
    ]);
    shop.receive("HAMBURG", lots).await;
    shop.on("2026-11-30T10:00:00Z");
    let order = shop.accepted("/v1/orders", json!({ "lines": [{ "sku": "MILK", "quantity": 6 }] })).await;
    let order = shop.get(&format!("/v1/orders/{}", order["id"])).await;
    let taken: Vec<(&str, i64)> = order["lines"][0]["allocated"]
        .as_array()
        .unwrap()
        .iter()
        .map(|at| (at["lot"].as_str().unwrap(), at["quantity"].as_i64().unwrap()))
        .collect();
    assert_eq!(taken, [("L1", 5), ("L2", 1)]);
    shop.on("2026-11-30T23:00:00Z");
    assert_eq!(shop.available("MILK", "HAMBURG").await, 4);
    assert_eq!((shop.total("MILK", "quality_control").await, shop.total("MILK", "committed").await), (5, 6));
}

#[tokio::test]
async fn a_piece_is_followed_from_the_supplier_to_the_customer_and_back() {
    let shop = Shop::open().await;
    shop.put(json!({ "sku": "PHONE", "tracking": "serials" })).await;
    shop.receive("LONDON", json!([{ "sku": "PHONE", "quantity": 2, "serials": ["S1", "S2"] }])).await;
    let order = shop
        .accepted("/v1/orders", json!({ "reference": "O-1", "lines": [{ "sku": "PHONE", "quantity": 1 }] }))
        .await;
    // S1 was promised, and S2 is what the packer took.
    let left = json!({ "lines": [{ "line": "1", "quantity": 1, "lot": "S2" }] });
    shop.accepted(&format!("/v1/orders/{}/fulfil", order["id"]), left.clone()).await;
    shop.accepted(&format!("/v1/orders/{}/return", order["id"]), left).await;
    let trace = shop.get("/v1/items/PHONE/lots/S2").await;
    let steps = trace["steps"].as_array().unwrap();
    let way: Vec<(&str, &str)> =
        steps.iter().map(|step| (step["from"].as_str().unwrap(), step["to"].as_str().unwrap())).collect();
    assert_eq!(
        way,
        [
            ("supplier", "LONDON available"),
            ("LONDON available", "customer"),
            ("customer", "LONDON available")
        ]
    );
    assert_eq!(trace["lot"]["places"][0]["quantity"], 1);
    let again =
        json!({ "location": "LONDON", "lines": [{ "sku": "PHONE", "quantity": 1, "serials": ["S2"] }] });
    let (status, problem) = shop.post("/v1/movements/receive", again).await;
    assert_eq!(
        (status, problem["type"].as_str()),
        (StatusCode::CONFLICT, Some("/docs/errors#serial_elsewhere"))
    );
}

#[tokio::test]
async fn a_lot_lay_where_it_did_at_any_past_instant_as_known_now_or_then() {
    let shop = Shop::open().await;
    shop.put(json!({ "sku": "MILK", "tracking": "lots" })).await;
    shop.on("2026-11-24T10:00:00Z");
    shop.receive("LONDON", json!([{ "sku": "MILK", "quantity": 9, "lot": "L1" }])).await;
    shop.on("2026-11-26T10:00:00Z");
    // Heard of on the 26th, and done on the 25th.
    let less = json!({ "location": "LONDON", "reason": "damaged", "occurred_at": "2026-11-25T10:00:00Z",
        "lines": [{ "sku": "MILK", "quantity": -2, "lot": "L1" }] });
    shop.accepted("/v1/movements/adjust", less).await;
    let lay = async |asked: &str| {
        let (of_all, alone) =
            (format!("/v1/items/MILK/lots?{asked}"), format!("/v1/items/MILK/lots/L1?{asked}"));
        let (of_all, alone) = (shop.get(&of_all).await[0]["places"].clone(), shop.get(&alone).await);
        assert_eq!(of_all, alone["lot"]["places"]);
        assert_eq!(alone["steps"].as_array().unwrap().len(), 2);
        of_all[0]["quantity"].as_i64()
    };
    assert_eq!(lay("").await, Some(7));
    assert_eq!(lay("as_of=2026-11-23T00:00:00Z").await, None);
    assert_eq!(lay("as_of=2026-11-24T12:00:00Z").await, Some(9));
    assert_eq!(lay("as_of=2026-11-25T12:00:00Z").await, Some(7));
    assert_eq!(lay("as_of=2026-11-25T12:00:00Z&known_at=2026-11-25T12:00:00Z").await, Some(9));
    assert_eq!(lay("known_at=2026-11-25T12:00:00Z").await, Some(9));
}

#[tokio::test]
async fn stock_says_what_an_order_could_get_and_no_more() {
    let shop = Shop::open().await;
    shop.accepted("/v1/locations", json!({ "code": "BACK", "sellable": false })).await;
    shop.put(json!({ "sku": "MILK", "tracking": "lots", "low_stock": 100 })).await;
    shop.put(json!({ "sku": "HAMPER", "kit": [{ "sku": "MILK", "quantity": 2 }] })).await;
    let lots = json!([
        { "sku": "MILK", "quantity": 5, "lot": "L1", "expires": "2026-11-23" },
        { "sku": "MILK", "quantity": 7, "lot": "L2" },
        { "sku": "MILK", "quantity": 3, "lot": "L3" },
    ]);
    shop.receive("LONDON", lots).await;
    shop.receive("BACK", json!([{ "sku": "MILK", "quantity": 4, "lot": "L4" }])).await;
    let figures = async |path: &str| {
        let found = shop.get(path).await;
        let of = |name: &str| found["total"][name].as_i64().unwrap();
        (of("available"), of("unsellable"), of("on_hand"), of("buildable"))
    };
    assert_eq!(figures("/v1/items/MILK/stock").await, (15, 4, 19, 0));
    assert_eq!(figures("/v1/items/HAMPER/stock").await, (7, 0, 0, 7));
    // L3 is called back, and the day of L1 ends with nobody doing anything.
    shop.on("2026-11-23T12:00:00Z");
    shop.accepted("/v1/lots", json!({ "sku": "MILK", "lot": "L3", "recalled": true })).await;
    shop.on("2026-11-24T00:00:00Z");
    assert_eq!(figures("/v1/items/MILK/stock").await, (7, 12, 19, 0));
    assert_eq!(figures("/v1/items/HAMPER/stock").await, (3, 0, 0, 3));
    assert_eq!(shop.get("/v1/items/MILK/available").await["available"], 7);
    assert_eq!(shop.available("MILK", "LONDON").await, 7);
    assert_eq!(shop.available("MILK", "BACK").await, 0);
    assert_eq!(shop.get("/v1/items/HAMPER/available").await["available"], 3);
    let low = shop.get("/v1/stock/low").await;
    assert_eq!((&low["data"][0]["location"], &low["data"][0]["available"]), (&json!("LONDON"), &json!(7)));
    // As it was an hour before the recall, and an hour after.
    assert_eq!(figures("/v1/items/MILK/stock?as_of=2026-11-23T11:00:00Z").await, (15, 4, 19, 0));
    assert_eq!(figures("/v1/items/MILK/stock?as_of=2026-11-23T13:00:00Z").await, (12, 7, 19, 0));
    assert_eq!(figures("/v1/items/HAMPER/stock?as_of=2026-11-23T13:00:00Z").await, (6, 0, 0, 6));
    let report = async |query: &str| {
        let request = axum::http::Request::builder()
            .uri(format!("/v1/stock/report?format=ndjson{query}"))
            .header("authorization", format!("Bearer {}", shop.key))
            .body(axum::body::Body::empty())
            .unwrap();
        let answer = shop.send(request).await;
        let bytes = http_body_util::BodyExt::collect(answer.into_body()).await.unwrap().to_bytes();
        let text = String::from_utf8(bytes.to_vec()).unwrap();
        let lines = text.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
        let row = |line: Value| {
            let of = |name: &str| line[name].as_i64().unwrap();
            let (sku, place) = (line["sku"].as_str().unwrap(), line["location"].as_str().unwrap());
            format!(
                "{sku} {place} {} {} {} {}",
                of("available"),
                of("unsellable"),
                of("on_hand"),
                of("buildable")
            )
        };
        lines.map(row).collect::<Vec<_>>()
    };
    assert_eq!(report("").await, ["MILK LONDON 7 8 15 0", "MILK BACK 0 4 4 0", "HAMPER LONDON 3 0 0 3"]);
    let then = report("&at=2026-11-23T11:00:00Z").await;
    assert_eq!(then, ["MILK LONDON 15 0 15 0", "MILK BACK 0 4 4 0", "HAMPER LONDON 7 0 0 7"]);
    // And that is what an order gets.
    let order = |quantity: i64| json!({ "lines": [{ "sku": "MILK", "quantity": quantity }] });
    let (status, refused) = shop.post("/v1/orders", order(8)).await;
    assert_eq!((status, &refused["missing"][0]["available"]), (StatusCode::CONFLICT, &json!(7)));
    shop.accepted("/v1/orders", order(7)).await;
    assert_eq!(figures("/v1/items/MILK/stock").await, (0, 12, 19, 0));
}

#[tokio::test]
async fn a_warehouse_that_knows_no_kits_ships_what_it_packed() {
    let shop = Shop::open().await;
    for sku in ["A", "B"] {
        shop.put(json!({ "sku": sku })).await;
    }
    shop.put(json!({ "sku": "KIT", "kit": [{ "sku": "A", "quantity": 2 }, { "sku": "B", "quantity": 1 }] }))
        .await;
    shop.receive("LONDON", json!([{ "sku": "A", "quantity": 5 }, { "sku": "B", "quantity": 2 }])).await;
    let order = json!({ "system": "WEB", "document": "1044", "version": 1, "order": { "lines": [
        { "line": "1", "sku": "KIT", "quantity": 2 }] } });
    let order = shop.accepted("/v1/documents", order).await["order"].clone();
    let parcel = async |document: &str, lines: Value| {
        let told = json!({ "system": "WMS", "document": document, "version": 1, "shipment": {
            "order": "1044", "order_system": "WEB", "location": "LONDON", "lines": lines } });
        shop.accepted("/v1/documents", told).await;
        let order = shop.get(&format!("/v1/orders/{order}")).await;
        order["lines"][0].clone()
    };
    let line = parcel("S1", json!([{ "sku": "A", "quantity": 3 }, { "sku": "B", "quantity": 1 }])).await;
    assert_eq!(line["shipped"], json!([{ "location": "LONDON", "quantity": 1 }]));
    assert_eq!(line["begun"], json!([{ "sku": "A", "location": "LONDON", "quantity": 1 }]));
    assert_eq!((shop.total("A", "committed").await, shop.total("A", "available").await), (1, 1));
    let line = parcel("S2", json!([{ "sku": "B", "quantity": 1 }, { "sku": "A", "quantity": 1 }])).await;
    assert_eq!(line["shipped"], json!([{ "location": "LONDON", "quantity": 2 }]));
    assert_eq!((&line["begun"], &line["short"]), (&Value::Null, &json!(0)));
    assert_eq!(shop.get("/v1/discrepancies").await["data"], json!([]));
}

#[tokio::test]
async fn away_from_a_bin_is_not_away_from_its_site() {
    let shop = Shop::open().await;
    shop.accepted("/v1/locations", json!({ "code": "PARIS", "rank": 900 })).await;
    for bin in ["BIN-1", "BIN-2"] {
        shop.accepted("/v1/locations", json!({ "code": bin, "parent": "LONDON" })).await;
    }
    for place in ["BIN-1", "BIN-2", "PARIS"] {
        shop.receive(place, json!([{ "sku": "MUG", "quantity": 3 }])).await;
    }
    let order = shop.accepted("/v1/orders", json!({ "lines": [{ "sku": "MUG", "quantity": 3 }] })).await;
    let lies =
        async || shop.get(&format!("/v1/orders/{}", order["id"])).await["lines"][0]["allocated"].clone();
    assert_eq!(lies().await, json!([{ "location": "BIN-1", "quantity": 3 }]));
    let reallocate = format!("/v1/orders/{}/reallocate", order["id"]);
    shop.accepted(&reallocate, json!({ "away_from": "BIN-1" })).await;
    assert_eq!(lies().await, json!([{ "location": "BIN-2", "quantity": 3 }]));
    let before = shop.get("/v1/changes?limit=100").await["next_after"].clone();
    shop.accepted(&reallocate, json!({ "away_from": "BIN-1" })).await;
    assert_eq!(shop.get("/v1/changes?limit=100").await["next_after"], before, "it is away already");
}

#[tokio::test]
async fn what_was_less_than_nothing_for_a_time_names_the_late_fact() {
    let shop = Shop::open().await;
    shop.on("2026-11-23T12:00:00Z");
    let mugs = |quantity: i64| json!([{ "sku": "MUG", "quantity": quantity }]);
    let receive = json!({ "location": "LONDON", "occurred_at": "2026-11-23T10:00:00Z", "lines": mugs(10) });
    shop.accepted("/v1/movements/receive", receive).await;
    let lost = json!({ "location": "LONDON", "reason": "shrinkage", "occurred_at": "2026-11-23T09:00:00Z",
        "lines": mugs(-1) });
    let seq = shop.accepted("/v1/movements/adjust", lost).await["movements"][0]["seq"].clone();
    let at = async |time: &str| {
        shop.get(&format!("/v1/items/MUG/stock?as_of={time}")).await["locations"][0].clone()
    };
    let then = at("2026-11-23T09:30:00Z").await;
    assert_eq!((&then["available"], &then["late_fact"]["seq"]), (&json!(-1), &seq));
    let sentence = then["late_fact"]["sentence"].as_str().unwrap();
    assert!(sentence.contains("took 1 at 2026-11-23T09:00:00Z"), "{sentence}");
    assert_eq!(at("2026-11-23T10:00:00Z").await.get("late_fact"), None, "nothing is less than nothing");
}

#[tokio::test]
async fn an_order_is_found_by_its_name_and_its_ledger_says_whose_it_is() {
    let shop = Shop::open().await;
    shop.put(json!({ "sku": "KIT", "kit": [{ "sku": "MUG", "quantity": 2 }] })).await;
    shop.receive("LONDON", json!([{ "sku": "MUG", "quantity": 9 }])).await;
    let lines = json!({ "lines": [{ "sku": "KIT", "quantity": 1 }, { "sku": "MUG", "quantity": 3 }] });
    let order = shop.accepted("/v1/orders", lines).await["id"].clone();
    let told = json!({ "system": "WEB", "document": "1044", "version": 1, "order": { "lines": [
        { "line": "1", "sku": "MUG", "quantity": 1 }] } });
    let other = shop.accepted("/v1/documents", told).await["order"].clone();
    let found = async |name: &str| shop.get(&format!("/v1/orders?document={name}")).await["data"].clone();
    assert_eq!(found("1044").await[0]["id"], other);
    assert_eq!(found(&order.to_string()).await[0]["id"], order);
    assert_eq!(found("none").await, json!([]));
    let recipe = found(&order.to_string()).await[0]["lines"][0]["recipe"].clone();
    assert_eq!(recipe, json!([{ "sku": "MUG", "quantity": 2 }]));
    shop.accepted(&format!("/v1/orders/{order}/fulfil"), json!({})).await;
    let back = json!({ "into": "available", "lines": [{ "line": "2", "quantity": 1 }] });
    shop.accepted(&format!("/v1/orders/{order}/return"), back).await;
    let moved = shop.get("/v1/items/MUG/history").await["data"].clone();
    let of = |reason: &str| {
        let found = moved.as_array().unwrap().iter().find(|row| row["reason"] == reason).unwrap();
        (found["order"].clone(), found["order_name"].clone())
    };
    for reason in ["allocated", "shipped", "returned"] {
        let expected =
            if reason == "allocated" { (&other, json!("1044")) } else { (&order, json!(order.to_string())) };
        assert_eq!((&of(reason).0, of(reason).1), expected, "{reason}");
    }
    assert_eq!(of("received").0, Value::Null);
    // A line of a hold has the name that lets it go.
    let hold = json!({ "expires_at": "2026-11-24T00:00:00Z", "lines": [{ "sku": "MUG", "quantity": 1 }] });
    let hold = shop.accepted("/v1/holds", hold).await["id"].clone();
    assert_eq!(shop.get(&format!("/v1/holds/{hold}")).await["lines"][0]["line"], "1");
}

#[tokio::test]
async fn a_parcel_that_another_system_told_of_is_evidence_and_nothing_is_short() {
    let shop = Shop::open().await;
    shop.receive("LONDON", json!([{ "sku": "MUG", "quantity": 5 }])).await;
    let order = json!({ "system": "WEB", "document": "1044", "version": 1, "order": { "lines": [
        { "line": "1", "sku": "MUG", "quantity": 2 }] } });
    shop.accepted("/v1/documents", order).await;
    let parcel = |system: &str, document: &str| {
        json!({ "system": system, "document": document, "version": 1, "shipment": {
            "order": "1044", "order_system": "WEB", "location": "LONDON", "lines": [{ "sku": "MUG", "quantity": 2 }] } })
    };
    let told = shop.accepted("/v1/documents", parcel("WMS", "S1")).await["lines"][0].clone();
    assert_eq!((&told["shipped"], &told["is"]), (&json!(2), &json!("shipped")));
    let again = shop.accepted("/v1/documents", parcel("WEB", "F1")).await["lines"][0].clone();
    let is = (&again["shipped"], &again["short"], &again["is"]);
    assert_eq!(is, (&json!(0), &json!(0), &json!("evidence")));
    assert_eq!(shop.total("MUG", "on_hand").await, 3);
}
