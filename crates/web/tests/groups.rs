//! Groups of locations over the public API: who is master in one, and where orders are allocated from.

mod support;

use axum::body::Body;
use axum::http::{Request, StatusCode, header};
use http_body_util::BodyExt as _;
use serde_json::{Value, json};
use support::Shop;

impl Shop {
    async fn place(&self, code: &str, rank: u32, groups: &[&str]) {
        self.accepted("/v1/locations", json!({ "code": code, "rank": rank, "groups": groups })).await;
    }

    async fn master(&self, location: &str) -> Value {
        self.get(&format!("/v1/ownership/master?sku=MUG&location={location}")).await
    }

    /// An absolute quantity of the item: what is answered.
    async fn told(&self, location: &str, quantity: i64, system: Option<&str>) -> (StatusCode, Value) {
        let mut body = json!({ "location": location, "lines": [{ "sku": "MUG", "quantity": quantity }] });
        if let Some(system) = system {
            body["system"] = system.into();
        }
        self.post("/v1/counts", body).await
    }

    async fn on_hand(&self) -> Value {
        self.get("/v1/items/MUG/stock").await["total"]["on_hand"].clone()
    }

    async fn file(&self, method: &str, path: &str, body: &str) -> String {
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header(header::AUTHORIZATION, format!("Bearer {}", self.key))
            .header(header::CONTENT_TYPE, "text/csv")
            .body(Body::from(body.to_owned()))
            .unwrap();
        let answer = self.send(request).await;
        assert_eq!(answer.status(), StatusCode::OK);
        String::from_utf8(answer.into_body().collect().await.unwrap().to_bytes().to_vec()).unwrap()
    }
}

#[tokio::test]
async fn an_outsiders_absolute_is_evidence_by_a_rule_for_a_group_too() {
    let shop = Shop::open().await;
    shop.place("LONDON", 1, &["EU-STORES", "FLAGSHIPS"]).await;
    shop.accepted("/v1/locations", json!({ "code": "BIN", "parent": "LONDON" })).await;
    assert_eq!(
        shop.master("BIN").await,
        json!({ "sku": "MUG", "location": "BIN", "master": "onhand", "rule": null })
    );
    let made = shop.accepted("/v1/ownership", json!({ "group": "EU-STORES", "master": "WMS" })).await;
    let rule = json!({ "id": made["id"], "location": null, "group": "EU-STORES", "sku": null, "tag": null, "master": "WMS" });
    assert_eq!(shop.get("/v1/ownership").await["data"], json!([rule]));
    let said = shop.master("BIN").await;
    assert_eq!((&said["master"], &said["rule"]), (&json!("WMS"), &rule));

    let (status, _) = shop.told("BIN", 92, Some("WEB")).await;
    assert_eq!((status, shop.on_hand().await), (StatusCode::ACCEPTED, json!(0)));
    assert_eq!(shop.get("/v1/discrepancies").await["data"][0]["cause"], "not_master");
    let (status, refused) = shop.told("BIN", 5, None).await;
    assert_eq!(status, StatusCode::CONFLICT);
    assert!(refused["detail"].as_str().unwrap().contains("its master is `WMS`"), "{refused}");
    let (status, _) = shop.told("BIN", 37, Some("WMS")).await;
    assert_eq!((status, shop.on_hand().await), (StatusCode::OK, json!(37)));

    // A site's own rule is more specific than one for a group.
    shop.accepted("/v1/ownership", json!({ "location": "LONDON", "master": "onhand" })).await;
    assert_eq!(shop.master("BIN").await["rule"]["location"], "LONDON");
    let (status, problem) = shop.call("/v1/ownership/master?sku=NOPE&location=BIN", None, None).await;
    assert_eq!(
        (status, &problem["detail"]),
        (StatusCode::NOT_FOUND, &json!("there is no item with the SKU `NOPE`"))
    );
    let (status, problem) = shop.call("/v1/ownership/master?sku=MUG&location=OSLO", None, None).await;
    assert_eq!(
        (status, &problem["detail"]),
        (StatusCode::NOT_FOUND, &json!("there is no location with the code `OSLO`"))
    );
}

#[tokio::test]
async fn an_order_is_allocated_from_a_group_by_rank() {
    let shop = Shop::open().await;
    for (code, rank, groups) in [("LONDON", 1, &[][..]), ("BERLIN", 3, &["EU"]), ("PARIS", 2, &["EU"])] {
        shop.place(code, rank, groups).await;
        let lines = json!([{ "sku": "MUG", "quantity": 2 }]);
        shop.accepted("/v1/movements/receive", json!({ "location": code, "lines": lines })).await;
    }
    let named = json!([{ "group": "EU" }, "LONDON"]);
    let regions = json!([{ "region": "GB", "locations": ["LONDON", { "group": "EU" }] }]);
    let rule = json!({ "locations": named, "regions": regions, "parcels": "in_order" });
    shop.accepted("/v1/allocation", rule).await;
    let known = &shop.get("/v1/allocation").await["data"][0];
    assert_eq!((&known["locations"], &known["regions"]), (&named, &regions));
    let mut from = Vec::new();
    for (quantity, ship_to) in [(3, None), (1, Some("GB"))] {
        let mut order = json!({ "lines": [{ "sku": "MUG", "quantity": quantity }] });
        if let Some(region) = ship_to {
            order["ship_to"] = region.into();
        }
        let placed = shop.accepted("/v1/orders", order).await;
        let shown = shop.get(&format!("/v1/orders/{}", placed["id"])).await;
        from.push(shown["lines"][0]["allocated"].clone());
    }
    let codes = |from: &Value| -> Vec<String> {
        from.as_array().unwrap().iter().map(|at| at["location"].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!(codes(&from[0]), ["PARIS", "BERLIN"], "{from:?}");
    assert_eq!(codes(&from[1]), ["LONDON"], "{from:?}");
}

#[tokio::test]
async fn groups_are_exported_and_imported() {
    let shop = Shop::open().await;
    shop.place("LONDON", 1, &["EU-STORES", "A|B", "EU-STORES"]).await;
    let file = shop.file("GET", "/v1/export/locations", "").await;
    assert_eq!(
        file,
        "code,name,sellable,rank,parent,time_zone,groups\nLONDON,LONDON,true,1,,,A\\|B|EU-STORES\n"
    );
    let groups = |shop: Value| shop["data"][0]["groups"].clone();
    let changed = file.replace("A\\|B|EU-STORES", "UK");
    shop.file("POST", "/v1/import/locations", &changed).await;
    assert_eq!(groups(shop.get("/v1/locations").await), json!(["UK"]));
    // A field that is left empty leaves them as they are.
    shop.file("POST", "/v1/import/locations", &changed.replace("UK", "")).await;
    assert_eq!(groups(shop.get("/v1/locations").await), json!(["UK"]));
    // A list of nothing empties them.
    shop.file("POST", "/v1/import/locations", &changed.replace("UK", "|")).await;
    assert_eq!(groups(shop.get("/v1/locations").await), json!([]));
    shop.accepted("/v1/locations", json!({ "code": "LONDON", "groups": ["UK"] })).await;
    shop.accepted("/v1/locations", json!({ "code": "LONDON", "groups": [] })).await;
    assert_eq!(groups(shop.get("/v1/locations").await), json!([]));
    // A bin that stands before its site in the file: who is master there is decided by the site.
    shop.place("LONDON", 1, &["EU", "UK"]).await;
    shop.accepted("/v1/ownership", json!({ "location": "LONDON", "master": "onhand" })).await;
    shop.accepted("/v1/ownership", json!({ "group": "EU", "master": "WMS" })).await;
    shop.accepted("/v1/ownership", json!({ "group": "UK", "master": "WEB" })).await;
    let report =
        shop.file("POST", "/v1/import/locations", "code,parent,groups\nBIN,SITE,EU|UK\nSITE,LONDON,\n").await;
    assert!(report.contains(r#""left_out":0"#), "{report}");
    assert_eq!(shop.master("BIN").await["master"], "onhand");
    let tie = shop.file("POST", "/v1/import/locations", "code,groups\nOSLO,EU|UK\n").await;
    assert!(tie.contains("/docs/errors#rule_tie"), "{tie}");
}
