//! Items over the API: codes, packs, levels, names, twins, merging, their ledger and the report of all stock.

mod support;

use axum::body::Body as HttpBody;
use axum::http::{Request, StatusCode, header};
use http_body_util::BodyExt as _;
use onhand_ledger::Instant;
use serde_json::{Value, json};
use support::{Shop, time};

impl Shop {
    fn at(&self, clock: &str) -> &Self {
        self.clock.set(Instant::parse(&time(clock)).unwrap());
        self
    }

    async fn receive(&self, sku: &str, quantity: i64) {
        let body = json!({ "location": "LONDON", "lines": [{ "sku": sku, "quantity": quantity }] });
        self.accepted("/v1/movements/receive", body).await;
    }

    /// What kind of problem it is, its field and what it says.
    async fn problem(&self, path: &str, body: Value) -> (u16, String, String, String) {
        let (status, told) = self.post(path, body).await;
        assert!(status.is_client_error(), "{status} {told}");
        let text = |field: &str| told[field].as_str().unwrap_or_default().to_owned();
        let kind = text("type").rsplit('#').next().unwrap_or_default().to_owned();
        (status.as_u16(), kind, text("field"), text("detail"))
    }

    async fn text(&self, path: &str) -> (StatusCode, String, String) {
        let request =
            Request::builder().uri(path).header(header::AUTHORIZATION, format!("Bearer {}", self.key));
        let answer = self.send(request.body(HttpBody::empty()).unwrap()).await;
        let status = answer.status();
        let kind = answer.headers()[header::CONTENT_TYPE].to_str().unwrap().to_owned();
        let bytes = answer.into_body().collect().await.unwrap().to_bytes();
        (status, kind, String::from_utf8(bytes.to_vec()).unwrap())
    }
}

#[tokio::test]
async fn merged_not_rewritten() {
    let shop = Shop::open().await;
    shop.accepted("/v1/items", json!({ "sku": "85123A" })).await;
    let twin = shop.accepted("/v1/items", json!({ "sku": "85123a" })).await;
    assert_eq!(twin["twins"], json!(["85123A"]));
    assert!(twin["warnings"][0].as_str().unwrap().contains("`85123a` looks like `85123A`"), "{twin}");
    shop.at("10:00").receive("85123A", 6).await;
    shop.receive("85123a", 4).await;
    let groups = shop.get("/v1/items/twins").await;
    let group = &groups["data"][0];
    assert_eq!((&group["items"][0]["sku"], &group["items"][1]["sku"]), (&json!("85123A"), &json!("85123a")));
    // The merge is offered as it has to be sent.
    let offer = &group["merge"][0];
    assert_eq!(*offer, json!({ "path": "/v1/items/85123a/merge", "body": { "into": "85123A" } }));
    let path = offer["path"].as_str().unwrap();
    let told = shop.at("11:00").accepted(path, offer["body"].clone()).await;
    assert_eq!((&told["sku"], &told["movements"][0]["difference"]), (&json!("85123A"), &json!(4)));
    let available = async |sku: &str, at: &str| {
        let stock = shop.get(&format!("/v1/items/{sku}/stock?at={}", time(at))).await;
        (stock["sku"].as_str().unwrap().to_owned(), stock["total"]["available"].as_i64().unwrap())
    };
    assert_eq!(shop.get("/v1/items/85123a/stock").await["total"]["available"], 10);
    // As of before: 4 and 6, as they were.
    assert_eq!(available("85123A", "10:30").await, ("85123A".to_owned(), 6));
    assert_eq!(available("85123a", "10:30").await, ("85123a".to_owned(), 4));
    assert_eq!(available("85123a", "11:30").await, ("85123A".to_owned(), 10));
    assert_eq!(shop.get("/v1/items/twins").await["data"], json!([]));
    let items = shop.get("/v1/items").await;
    let skus: Vec<&str> =
        items["data"].as_array().unwrap().iter().map(|item| item["sku"].as_str().unwrap()).collect();
    assert_eq!(skus, ["MUG", "85123A"]);
    // History shows both.
    let history = shop.get("/v1/items/85123A/history").await;
    let told: Vec<(&str, &str)> = history["data"]
        .as_array()
        .unwrap()
        .iter()
        .map(|row| (row["sku"].as_str().unwrap(), row["reason"].as_str().unwrap()))
        .collect();
    let (one, two) = (("85123A", "merged from 85123a"), ("85123a", "merged into 85123A"));
    assert_eq!(told, [one, two, ("85123a", "received"), ("85123A", "received")]);
    let again = shop.problem(path, json!({ "into": "85123A" })).await;
    assert_eq!((again.0, again.1.as_str(), again.2.as_str()), (422, "field", "into"));
}

#[tokio::test]
async fn what_items_refuse_they_say() {
    let shop = Shop::open().await;
    let said = shop.problem("/v1/items", json!({ "sku": "MUG", "barcodes": ["4006381333932"] })).await;
    assert_eq!((said.0, said.1.as_str(), said.2.as_str()), (422, "field", "barcodes"));
    assert!(said.3.contains("should end with 1"), "{}", said.3);
    shop.accepted("/v1/items", json!({ "sku": "MUG", "barcodes": ["4006381333931"] })).await;
    shop.accepted("/v1/items", json!({ "sku": "CUP", "unit": "kg" })).await;
    let said = shop.problem("/v1/items", json!({ "sku": "CUP", "barcodes": ["4006381333931"] })).await;
    assert_eq!((said.0, said.1.as_str()), (409, "barcode_taken"));
    assert!(said.3.contains("is on `MUG` already"), "{}", said.3);
    let said = shop.problem("/v1/items/MUG/rename", json!({ "to": "CUP" })).await;
    assert_eq!((said.0, said.1.as_str()), (409, "sku_taken"));
    let said = shop.problem("/v1/items/MUG/merge", json!({ "into": "CUP" })).await;
    assert_eq!((said.0, said.1.as_str()), (409, "cannot_merge"));
    shop.accepted("/v1/items", json!({ "sku": "CUP", "archived": true })).await;
    let lines = json!([{ "sku": "CUP", "quantity": 1 }]);
    let said = shop.problem("/v1/movements/receive", json!({ "location": "LONDON", "lines": lines })).await;
    assert_eq!((said.0, said.1.as_str()), (409, "archived"));
    let lines = json!([{ "sku": "MUG", "quantity": 1, "pack": "case" }]);
    let said = shop.problem("/v1/movements/receive", json!({ "location": "LONDON", "lines": lines })).await;
    assert_eq!((said.0, said.1.as_str(), said.2.as_str()), (422, "unknown_pack", "pack"));
    for (path, body) in
        [("/v1/items/NONE/rename", json!({ "to": "X" })), ("/v1/items/NONE/merge", json!({ "into": "MUG" }))]
    {
        let said = shop.problem(path, body).await;
        assert_eq!((said.0, said.1.as_str()), (404, "unknown"), "nothing is at that address");
    }
    for path in
        ["/v1/items?barcode=4006381333932", "/v1/items/MUG/history?state=lost", "/v1/stock/report?at=noon"]
    {
        let (status, told) = shop.call(path, None, None).await;
        assert_eq!(status, StatusCode::UNPROCESSABLE_ENTITY, "{told}");
    }
    for path in [
        "/v1/items/NONE/history",
        "/v1/items/MUG/history?location=NOWHERE",
        "/v1/locations/NOWHERE/history",
        "/v1/stock?location=NOWHERE",
        "/v1/stock/report?location=NOWHERE",
        "/v1/movements/1",
        "/v1/movements/999999",
    ] {
        assert_eq!(shop.call(path, None, None).await.0, StatusCode::NOT_FOUND, "{path}");
    }
}

#[tokio::test]
async fn a_scanned_code_finds_its_item_and_its_pack() {
    let shop = Shop::open().await;
    let packs = json!([{ "name": "case", "quantity": 24, "barcode": "10614141000415" }]);
    let put = json!({ "sku": "MUG", "barcodes": ["036000291452", "SHELF/7"], "packs": packs });
    shop.accepted("/v1/items", put).await;
    let found = async |code: &str| {
        let page = shop.get(&format!("/v1/items?barcode={code}")).await;
        page["data"].as_array().unwrap().first().map(|item| (item["sku"].clone(), item["pack"].clone()))
    };
    // The scanner of another country shows one more zero.
    for code in ["036000291452", "0036000291452", "SHELF/7"] {
        assert_eq!(found(code).await, Some((json!("MUG"), Value::Null)), "{code}");
    }
    assert_eq!(found("10614141000415").await, Some((json!("MUG"), json!("case"))));
    assert_eq!(found("SHELF").await, None);
    let lines = json!([{ "sku": "MUG", "quantity": 2, "pack": "case" }]);
    let told = shop.accepted("/v1/movements/receive", json!({ "location": "LONDON", "lines": lines })).await;
    assert_eq!(told["movements"][0]["difference"], 48);
}

#[tokio::test]
async fn names_and_levels_over_http() {
    let shop = Shop::open().await;
    shop.receive("MUG", 5).await;
    shop.accepted("/v1/items/MUG/rename", json!({ "to": "MUG-BLUE" })).await;
    shop.accepted("/v1/items/MUG/aliases", json!({ "add": ["OLD"] })).await;
    let item = shop.get("/v1/items/OLD").await;
    assert_eq!((&item["sku"], &item["aliases"]), (&json!("MUG-BLUE"), &json!(["MUG", "OLD"])));
    shop.accepted("/v1/items/OLD/low-stock", json!({ "level": 5 })).await;
    let low = shop.get("/v1/stock/low").await;
    assert_eq!(low["data"][0]["sku"], "MUG-BLUE");
    assert_eq!((&low["data"][0]["available"], &low["data"][0]["level"]), (&json!(5), &json!(5)));
    shop.accepted("/v1/items/OLD/low-stock", json!({ "location": "LONDON", "level": 3 })).await;
    assert_eq!(shop.get("/v1/stock/low").await["data"], json!([]));
    let levels = json!({ "level": 5, "locations": [{ "location": "LONDON", "level": 3 }] });
    assert_eq!(shop.get("/v1/items/OLD").await["low_stock"], levels);
    shop.accepted("/v1/items/OLD/low-stock", json!({ "location": "LONDON", "level": null })).await;
    assert_eq!(shop.get("/v1/stock/low").await["data"].as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn a_ledger_shows_who_and_why_and_every_correction_both_ways() {
    let shop = Shop::open().await;
    shop.accepted("/v1/locations", json!({ "code": "PARIS" })).await;
    shop.at("10:00").receive("MUG", 100).await;
    let count =
        json!({ "location": "LONDON", "as_of": time("10:15"), "lines": [{ "sku": "MUG", "quantity": 97 }] });
    let counted = shop.at("10:20").accepted("/v1/counts", count).await;
    let id = counted["counts"][0]["id"].as_u64().or_else(|| counted["data"][0]["id"].as_u64()).unwrap();
    let shipment = json!({ "system": "WMS", "document": "S1", "version": 1, "shipment": {
        "location": "LONDON", "occurred_at": time("10:05"), "lines": [{ "sku": "MUG", "quantity": 3 }] }});
    shop.at("11:30").accepted("/v1/documents", shipment).await;
    let transfer = json!({ "from": "LONDON", "to": "PARIS", "lines": [{ "sku": "MUG", "quantity": 7 }] });
    shop.at("12:00").accepted("/v1/movements/transfer", transfer).await;
    let rows = shop.get("/v1/items/MUG/history").await["data"].as_array().unwrap().clone();
    let told: Vec<(&str, &str, i64, i64)> = rows
        .iter()
        .map(|row| {
            let london =
                row["changes"].as_array().unwrap().iter().find(|change| change["location"] == "LONDON");
            let london = london.unwrap();
            let number = |field: &str| london[field].as_i64().unwrap();
            (
                row["reason"].as_str().unwrap(),
                row["actor"].as_str().unwrap(),
                number("change"),
                number("total"),
            )
        })
        .collect();
    assert_eq!(
        told,
        [
            ("transferred", "test", -7, 90),
            ("shipped", "test", -3, 97),
            ("explained by a late movement", "test", 3, 100),
            ("counted", "test", -3, 97),
            ("received", "test", 100, 100),
        ]
    );
    assert_eq!(rows[0]["activity"], "7 from available at LONDON to available at PARIS");
    assert_eq!(
        rows[0]["changes"][1],
        json!({ "location": "PARIS", "state": "available", "change": 7, "total": 7 })
    );
    assert_eq!((&rows[1]["document"], &rows[1]["system"]), (&json!("S1"), &json!("WMS")));
    assert_eq!((&rows[1]["late"], &rows[0]["late"]), (&json!(true), &json!(false)));
    // The count and what books and explains it name each other.
    let seqs = [&rows[3], &rows[2]].map(|row| row["seq"].as_u64().unwrap());
    assert_eq!([&rows[3], &rows[2]].map(|row| row["corrects"].as_u64().unwrap()), [id, id]);
    let seen = shop.get(&format!("/v1/movements/{id}")).await;
    assert_eq!((&seen["kind"], &seen["corrected_by"]), (&json!("count"), &json!(seqs)));
    assert_eq!((&seen["counted"], &seen["found"]), (&json!(97), &json!(100)));
    let seen = shop.get(&format!("/v1/movements/{}", seqs[0])).await;
    assert_eq!((&seen["kind"], &seen["corrects"]), (&json!("movement"), &json!(id)));
    // Filters, and pages that stay as they are while more is recorded.
    let of = async |query: &str| {
        let page = shop.get(&format!("/v1/items/MUG/history?{query}")).await;
        page["data"].as_array().unwrap().iter().map(|row| row["seq"].as_u64().unwrap()).collect::<Vec<_>>()
    };
    let all: Vec<u64> = rows.iter().map(|row| row["seq"].as_u64().unwrap()).collect();
    assert_eq!(of("location=PARIS").await, all[..1]);
    assert_eq!(of("reason=counted").await, all[3..4]);
    assert_eq!(of("document=S1").await, all[1..3]);
    assert_eq!(of("actor=nobody").await, [0_u64; 0]);
    assert_eq!(of("state=committed").await, [0_u64; 0]);
    assert_eq!(of(&format!("from={}&until={}", time("10:05"), time("10:15"))).await, all[1..2]);
    let first = shop.get("/v1/items/MUG/history?limit=2").await;
    shop.receive("MUG", 1).await;
    let cursor = first["next_cursor"].as_str().unwrap();
    assert_eq!(of(&format!("limit=2&cursor={cursor}")).await, all[2..4]);
    let at_paris = shop.get("/v1/locations/PARIS/history").await;
    assert_eq!((at_paris["data"].as_array().unwrap().len(), &at_paris["has_more"]), (1, &json!(false)));
    assert_eq!(at_paris["data"][0]["seq"], all[0]);
    let here = shop.get("/v1/locations/LONDON/history?limit=4").await;
    assert_eq!((here["data"].as_array().unwrap().len(), &here["has_more"]), (4, &json!(true)));
}

#[tokio::test]
async fn the_whole_catalogue_at_any_instant_as_known_now_or_then() {
    let shop = Shop::open().await;
    shop.accepted("/v1/locations", json!({ "code": "PARIS" })).await;
    shop.accepted("/v1/items", json!({ "sku": "CUP", "name": "Cup, \"small\"", "precision": 2 })).await;
    shop.at("10:00").receive("MUG", 100).await;
    shop.at("10:10").receive("CUP", 1).await;
    let move_it = json!({ "location": "LONDON", "from": "available", "to": "damaged", "reason": "fell",
        "lines": [{ "sku": "CUP", "quantity": 0.25 }] });
    shop.at("10:20").accepted("/v1/movements/state", move_it).await;
    let late = json!({ "location": "PARIS", "occurred_at": time("10:05"), "lines": [{ "sku": "MUG", "quantity": 5 }] });
    shop.at("11:00").accepted("/v1/movements/receive", late).await;
    let header = "sku,name,location,available,unsellable,reserved,committed,damaged,quality_control,safety_stock,on_hand,buildable,in_transit\n";
    let (status, kind, now) = shop.text("/v1/stock/report").await;
    assert_eq!((status, kind.as_str()), (StatusCode::OK, "text/csv; charset=utf-8"));
    let cup = "CUP,\"Cup, \"\"small\"\"\",LONDON,0.75,0,0,0,0.25,0,0,1,0,0\n";
    let mugs = "MUG,MUG,LONDON,100,0,0,0,0,0,0,100,0,0\nMUG,MUG,PARIS,5,0,0,0,0,0,0,5,0,0\n";
    assert_eq!(now, format!("{header}{mugs}{cup}"));
    let at = async |query: &str| shop.text(&format!("/v1/stock/report?{query}")).await.2;
    let then = format!("at={}", time("10:07"));
    assert_eq!(at(&then).await, format!("{header}{mugs}"));
    let known = format!("{then}&known_at={}", time("10:30"));
    assert_eq!(at(&known).await, format!("{header}MUG,MUG,LONDON,100,0,0,0,0,0,0,100,0,0\n"));
    assert_eq!(at("location=PARIS").await, format!("{header}MUG,MUG,PARIS,5,0,0,0,0,0,0,5,0,0\n"));
    let lines = at("format=ndjson").await;
    let lines: Vec<Value> = lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(
        (lines.len(), &lines[2]["damaged"], &lines[2]["name"]),
        (3, &json!(0.25), &json!("Cup, \"small\""))
    );
    let stock = shop.get("/v1/stock?location=PARIS").await;
    assert_eq!((stock["data"].as_array().unwrap().len(), &stock["data"][0]["sku"]), (1, &json!("MUG")));
    assert_eq!(stock["data"][0]["total"]["available"], 5);
}
