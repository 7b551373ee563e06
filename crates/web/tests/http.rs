//! How the API speaks: its document, its errors, its bounds.

mod support;

use std::collections::BTreeSet;
use std::sync::mpsc::channel;
use std::time::Duration;

use axum::body::Body;
use axum::http::{Method, Request, StatusCode, header};
use axum::response::Response;
use http_body_util::BodyExt as _;
use onhand_ledger::TenantId;
use serde_json::{Value, json};
use support::Shop;

async fn text(answer: Response) -> String {
    let bytes = answer.into_body().collect().await.unwrap().to_bytes();
    String::from_utf8(bytes.to_vec()).unwrap()
}

impl Shop {
    async fn ask(&self, method: &str, path: &str, body: &str) -> Response {
        let request = Request::builder()
            .method(Method::from_bytes(method.as_bytes()).unwrap())
            .uri(path)
            .header(header::AUTHORIZATION, format!("Bearer {}", self.key));
        self.send(request.body(Body::from(body.to_owned())).unwrap()).await
    }

    /// The status, and the problem that must come with it.
    async fn problem(&self, method: &str, path: &str, body: &str) -> (u16, Value) {
        let answer = self.ask(method, path, body).await;
        let status = answer.status().as_u16();
        let kind = answer.headers()[header::CONTENT_TYPE].to_str().unwrap().to_owned();
        let text = text(answer).await;
        assert_eq!(kind, "application/problem+json", "{method} {path} {body}: {text}");
        (status, serde_json::from_str(&text).unwrap())
    }

    /// Status, field, and a part of the detail.
    async fn refuses(&self, request: (&str, &str, &str), status: u16, field: &str, says: &str) {
        let (got, problem) = self.problem(request.0, request.1, request.2).await;
        assert_eq!(got, status, "{request:?}: {problem}");
        assert_eq!(problem["field"].as_str().unwrap_or(""), field, "{request:?}: {problem}");
        assert!(problem["detail"].as_str().unwrap().contains(says), "{request:?}: {problem}");
    }

    async fn with_authorization(&self, value: &str) -> Response {
        let request = Request::builder().uri("/v1/items").header(header::AUTHORIZATION, value);
        self.send(request.body(Body::empty()).unwrap()).await
    }

    async fn document(&self) -> Value {
        serde_json::from_str(&text(self.ask("GET", "/openapi.json", "").await).await).unwrap()
    }
}

/// Every operation: its method, path, and what the document says of it.
fn operations(document: &Value) -> Vec<(String, String, Value)> {
    let mut all = Vec::new();
    for (path, item) in document["paths"].as_object().unwrap() {
        for (method, operation) in item.as_object().unwrap() {
            all.push((method.clone(), path.clone(), operation.clone()));
        }
    }
    all
}

/// Where `ONHAND_OPENAPI` names a file, the document is left there for other tools to check.
#[tokio::test]
async fn the_document_says_what_every_operation_takes_and_answers() {
    let document = Shop::open().await.document().await;
    if let Ok(file) = std::env::var("ONHAND_OPENAPI") {
        std::fs::write(file, document.to_string()).unwrap();
    }
    let operations = operations(&document);
    assert!(operations.len() > 35, "{}", operations.len());
    let mut ids = BTreeSet::new();
    for (method, path, operation) in operations {
        let name = format!("{method} {path}");
        assert!(ids.insert(operation["operationId"].as_str().unwrap().to_owned()), "{name}: its id is taken");
        let responses = operation["responses"].as_object().unwrap();
        if path.starts_with("/hooks/") {
            // Whoever has the address sends to it, without a key: it is none of the API's own.
            assert!(responses.contains_key("503") && !responses.contains_key("409"), "{name}");
            continue;
        }
        let mut expected = vec!["401", "429", "500", "503"];
        if method == "get" {
            expected.extend(["400", "409"]);
        }
        if path.contains('{') {
            expected.extend(["400", "404"]);
        }
        let parameters = operation["parameters"].as_array().cloned().unwrap_or_default();
        let key = json!({ "$ref": "#/components/parameters/Idempotency-Key" });
        let takes_key = parameters.contains(&key);
        if takes_key {
            expected.extend(["400", "408", "413", "422"]);
            // What comes of a file's rows is in the answer.
            expected.extend((path != "/v1/import/{what}").then_some("409"));
        }
        for status in expected {
            assert!(responses.contains_key(status), "{name} may answer {status}");
        }
        for (status, response) in responses {
            assert_ne!(response["description"].as_str().unwrap(), "", "{name} {status}");
            let headers = response["headers"].as_object().unwrap();
            assert!(headers.contains_key("Request-Id"), "{name} {status}");
            if status.as_str() >= "400" {
                let content = response["content"].as_object().unwrap();
                assert_eq!(
                    content.keys().collect::<Vec<_>>(),
                    ["application/problem+json"],
                    "{name} {status}"
                );
            }
            let replayed =
                takes_key && (status.starts_with('2') || ["403", "409"].contains(&status.as_str()));
            assert_eq!(headers.contains_key("Idempotent-Replayed"), replayed, "{name} {status}");
        }
        assert!(responses["401"]["headers"]["WWW-Authenticate"].is_object(), "{name}");
        for status in ["429", "503"] {
            assert!(responses[status]["headers"]["Retry-After"].is_object(), "{name} {status}");
        }
        let min_seq = json!({ "$ref": "#/components/parameters/min_seq" });
        assert_eq!(parameters.contains(&min_seq), method == "get", "{name}");
        if method == "get" {
            assert!(responses["200"]["headers"]["Onhand-Seq"].is_object(), "{name}");
            assert!(responses["409"]["headers"]["Retry-After"].is_object(), "{name}");
        }
        if method != "get" && !takes_key {
            let why = operation["description"].as_str().unwrap();
            assert!(why.contains("Takes no `Idempotency-Key`"), "{name}: {why}");
        }
    }
    for id in [
        "list_items",
        "show_item",
        "show_history",
        "place_order",
        "resolve_discrepancy",
        "make_key",
        "take_count",
    ] {
        assert!(ids.contains(id), "{ids:?}");
    }
    let body = |path: &str| &document["paths"][path]["post"]["requestBody"];
    assert_eq!(body("/v1/orders/{id}/fulfil")["required"], false, "an empty body is read as {{}}");
    assert_eq!(body("/v1/orders")["required"], true);
    let lists = document["paths"]["/v1/items"]["get"]["parameters"].as_array().unwrap();
    let limit = lists.iter().find(|parameter| parameter["name"] == "limit").unwrap();
    assert_eq!((&limit["schema"]["minimum"], &limit["schema"]["maximum"]), (&json!(1), &json!(100)));
    let receive = &document["components"]["schemas"]["ReceiveBody"]["properties"];
    assert_eq!(receive["occurred_at"]["format"], "date-time");
    let line = body("/v1/commands")["content"]["application/x-ndjson"]["example"].as_str().unwrap();
    assert!(line.contains("\"quantity\":3}"), "{line}");
}

/// All that is referred to in the document, at every depth.
fn references<'d>(value: &'d Value, found: &mut BTreeSet<&'d str>) {
    match value {
        Value::Object(fields) => {
            found.extend(fields.get("$ref").and_then(Value::as_str));
            fields.values().for_each(|inner| references(inner, found));
        }
        Value::Array(items) => items.iter().for_each(|inner| references(inner, found)),
        _ => {}
    }
}

#[tokio::test]
async fn every_reference_of_the_document_leads_somewhere() {
    let document = Shop::open().await.document().await;
    let mut found = BTreeSet::new();
    references(&document, &mut found);
    assert!(found.len() > 100, "{}", found.len());
    let leads_nowhere = |reference: &&str| document.pointer(reference.trim_start_matches('#')).is_none();
    assert_eq!(found.into_iter().filter(leads_nowhere).collect::<Vec<_>>(), [""; 0]);
}

#[tokio::test]
async fn the_documents_example_of_a_command_runs() {
    let shop = Shop::open().await;
    let document = shop.document().await;
    let body = &document["paths"]["/v1/commands"]["post"]["requestBody"]["content"]["application/x-ndjson"];
    let answer = shop.ask("POST", "/v1/commands", body["example"].as_str().unwrap()).await;
    let answer = text(answer).await;
    assert!(answer.contains("\"movements\":[{"), "{answer}");
    assert_eq!(shop.get("/v1/items/MUG/stock").await["total"]["available"], 3);
}

#[tokio::test]
async fn the_schema_of_quantities_is_what_is_read() {
    let document = Shop::open().await.document().await;
    let schema = &document["components"]["schemas"]["Decimal"];
    assert_eq!(schema["type"], json!(["number", "string"]));
    assert!(
        schema["pattern"].is_string() && schema["description"].as_str().unwrap().contains("1e3"),
        "{schema}"
    );
    let entry = &document["components"]["schemas"]["EntryBody"]["oneOf"];
    assert_eq!(entry[0]["enum"], json!(["Refused", "Nothing"]));
    assert_eq!((&entry[1]["minProperties"], &entry[1]["maxProperties"]), (&json!(1), &json!(1)));
}

#[tokio::test]
async fn what_is_wrong_with_an_address_is_a_problem_that_names_it() {
    let shop = Shop::open().await;
    let cases = [
        ("/v1/items?limit=abc", 400, "limit", "`limit` must be a whole number"),
        ("/v1/items?limit=-1", 400, "limit", "`limit` must be a whole number"),
        ("/v1/items?limit=0", 400, "limit", "1 to 100"),
        ("/v1/items?limit=1&limit=2", 400, "limit", "told twice"),
        ("/v1/stock?as_of=yesterday", 422, "as_of", "not an instant"),
        ("/v1/changes?after=abc", 400, "after", "`after` must be a whole number"),
        ("/v1/changes?after=9223372036854775808", 400, "after", "no entry is numbered"),
        ("/v1/orders/abc", 400, "id", "`abc` is no id"),
        ("/v1/orders/-1", 400, "id", "`-1` is no id"),
        ("/v1/orders/9223372036854775807", 404, "", "there is no order"),
        ("/v1/orders/9223372036854775808", 404, "", "9223372036854775808"),
        ("/v1/holds/99999999999999999999999", 404, "", "99999999999999999999999"),
        ("/v1/items/%FF/stock", 400, "sku", "UTF-8"),
        ("/v1/items?min_seq=", 400, "min_seq", "`min_seq` must be a whole number"),
        ("/v1/orders/7?min_seq=-1", 400, "min_seq", "`min_seq` must be a whole number"),
        ("/v1/changes?min_seq=1&min_seq=2", 400, "min_seq", "told twice"),
        ("/v1/stock?min_seq=9223372036854775807", 400, "min_seq", "no entry is numbered"),
    ];
    for (path, status, field, says) in cases {
        shop.refuses(("GET", path, ""), status, field, says).await;
    }
    shop.refuses(("DELETE", "/v1/rules/9223372036854775808", ""), 404, "", "9223372036854775808").await;
}

#[tokio::test]
async fn what_is_wrong_with_a_body_is_said_in_plain_words() {
    let shop = Shop::open().await;
    let cases = [
        ("/v1/orders", "{\"lines\": [", "", "the body is not JSON: EOF while parsing"),
        ("/v1/orders", "{\"lines\": []} x", "", "the body is not JSON: trailing characters"),
        ("/v1/orders", r#"{"line":[]}"#, "line", "the body has an unknown field `line`"),
        ("/v1/orders", "{}", "lines", "the body lacks the field `lines`"),
        ("/v1/orders", r#"{"lines":[{"sku":"MUG"}]}"#, "quantity", "the body lacks the field `quantity`"),
        ("/v1/orders", r#"{"lines":[],"lines":[]}"#, "lines", "the body has a duplicate field `lines`"),
        (
            "/v1/orders",
            r#"{"lines":[{"sku":"MUG","quantity":"many"}]}"#,
            "quantity",
            "`lines[0].quantity` of the body is not as it must be: `many` is not a number",
        ),
        ("/v1/orders", r#"{"lines":[{"sku":"MUG","quantity":1e3}]}"#, "quantity", "`1e3` is not a number"),
        ("/v1/orders", r#"{"lines":[],"location":7}"#, "location", "expected a string"),
    ];
    for (path, body, field, says) in cases {
        shop.refuses(("POST", path, body), 422, field, says).await;
    }
}

#[tokio::test]
async fn an_array_is_no_object() {
    let shop = Shop::open().await;
    let cases = [
        ("/v1/movements/receive", r#"["LONDON",[["MUG",1]],null,null]"#, ""),
        ("/v1/movements/receive", r#"{"location":"LONDON","lines":[["MUG",1]]}"#, "lines"),
        ("/v1/orders", r#"{"lines":[["MUG",1]]}"#, "lines"),
        (
            "/v1/documents",
            r#"{"system":"WEB","document":"1","version":1,"order":[null,null,false,[]]}"#,
            "order",
        ),
        (
            "/v1/documents",
            r#"{"system":"WEB","document":"1","version":1,"movements":[["1","MUG"]]}"#,
            "movements",
        ),
        ("/v1/discrepancies/1/resolve", "[]", ""),
    ];
    for (path, body, field) in cases {
        shop.refuses(("POST", path, body), 422, field, "expected a JSON object").await;
    }
    assert_eq!(shop.get("/v1/items/MUG/stock").await["total"]["on_hand"], 0);
}

#[tokio::test]
async fn a_key_is_asked_for_as_the_standard_says() {
    let shop = Shop::open().await;
    let ours = shop.key.clone();
    for good in [format!("Bearer {ours}"), format!("bearer {ours}"), format!("BEARER {ours}")] {
        assert_eq!(shop.with_authorization(&good).await.status(), StatusCode::OK, "{good}");
    }
    let secret = "0".repeat(40);
    let tenants = ["0", "9", "-1", "9223372036854775808", "18446744073709551615", "x", ""];
    let made_up = tenants.map(|tenant| format!("Bearer ohk_{tenant}_{secret}"));
    let none = ["Basic abc".to_owned(), "Bearer".to_owned(), format!("Token {ours}")];
    for bad in made_up.iter().chain(&none) {
        let answer = shop.with_authorization(bad).await;
        assert_eq!(answer.status(), StatusCode::UNAUTHORIZED, "{bad}");
        assert_eq!(answer.headers()[header::WWW_AUTHENTICATE], "Bearer", "{bad}");
    }
    assert_eq!(shop.handle.ledger().tenants(), [TenantId::DEFAULT], "nobody makes a tenant by asking");
    let second = onhand_web::auth::create_key(&shop.handle, TenantId(2), "other").await.unwrap();
    assert_eq!(shop.with_authorization(&format!("Bearer {second}")).await.status(), StatusCode::OK);
}

/// What an answer says it is true at.
fn seq_of(answer: &Response) -> Option<u64> {
    answer.headers().get("onhand-seq")?.to_str().ok()?.parse().ok()
}

#[tokio::test]
async fn every_read_names_the_entry_it_is_true_at_and_waits_for_the_one_it_is_asked_for() {
    let shop = Shop::open().await;
    let order = json!({ "lines": [{ "sku": "MUG", "quantity": 1 }] });
    let lines = json!([{ "sku": "MUG", "quantity": 5 }]);
    let received = json!({ "location": "LONDON", "lines": lines });
    let movement = seq_of(&shop.ask("POST", "/v1/movements/receive", &received.to_string()).await).unwrap();
    let placed = shop.accepted("/v1/orders", order).await["id"].as_u64().unwrap();
    let hold = json!({ "lines": [{ "sku": "MUG", "quantity": 1 }], "seconds": 600 });
    let held = shop.accepted("/v1/holds", hold).await["id"].as_u64().unwrap();
    let item = json!({ "sku": "MILK", "tracking": "lots" });
    shop.accepted("/v1/items", item).await;
    let lot = json!({ "location": "LONDON", "lines": [{ "sku": "MILK", "quantity": 5, "lot": "L1" }] });
    shop.accepted("/v1/movements/receive", lot).await;
    let transfer = json!({ "from": "LONDON", "to": "PARIS", "lines": lines });
    shop.accepted("/v1/locations", json!({ "code": "PARIS" })).await;
    let moved = shop.accepted("/v1/transfers", transfer).await["id"].as_u64().unwrap();
    let purchase = json!({ "supplier": "Potters", "location": "LONDON", "lines": lines });
    let bought = shop.accepted("/v1/purchase-orders", purchase).await["id"].as_u64().unwrap();
    let counting = shop.accepted("/v1/count-sessions", json!({ "location": "LONDON" })).await;
    let counting = counting["id"].as_u64().unwrap();
    let sold = json!([{ "line": "1", "sku": "NOPE", "quantity": 1 }]);
    let sold = json!({ "system": "WEB", "document": "W-1", "version": 1, "order": { "lines": sold } });
    let waits = shop.accepted("/v1/documents", sold).await["discrepancies"][0].as_u64().unwrap();
    let told = json!({ "name": "WEB", "slack": { "url": "https://chat.invalid/T1" } });
    shop.accepted("/v1/alerts", told).await;
    let subscribed = json!({ "name": "WEB", "url": "https://nobody.invalid/stock" });
    shop.accepted("/v1/subscriptions", subscribed).await;
    shop.accepted("/v1/users", json!({ "name": "WEB", "role": "viewer" })).await;
    let key = json!({ "sku": "MUG", "name": "Mug" });
    let changed = shop.ask("POST", "/v1/items", &key.to_string()).await;
    let seq = seq_of(&changed).expect("a change says where it is");
    for (method, path, _) in operations(&shop.document().await) {
        // A dry run speaks with a system, and raw documents need a right: each has its own test (`it/connecting.rs`, `it/people.rs`).
        // So has a return that is expected, which needs a system that is sent to (`it/warehouse.rs`).
        let is_elsewhere =
            ["/v1/systems/{name}/dry-run", "/v1/systems/{name}/raw/{document}", "/v1/expected-returns/{id}"]
                .contains(&path.as_str());
        if method != "get" || is_elsewhere {
            continue;
        }
        let id = match path.as_str() {
            "/v1/movements/{seq}" => movement,
            "/v1/holds/{id}" => held,
            "/v1/transfers/{id}" => moved,
            "/v1/purchase-orders/{id}" => bought,
            "/v1/count-sessions/{id}" => counting,
            "/v1/discrepancies/{id}" => waits,
            _ => placed,
        };
        let sku = if path.contains("{lot}") { "MILK" } else { "MUG" };
        let path = path.replace("{sku}", sku).replace("{lot}", "L1").replace("{code}", "LONDON");
        let path = path.replace("{name}", "WEB").replace("{what}", "items");
        let path = path.replace("{id}", &id.to_string()).replace("{seq}", &id.to_string());
        let more = if path == "/v1/ownership/master" { "&sku=MUG&location=LONDON" } else { "" };
        let answer = shop.ask("GET", &format!("{path}?min_seq={seq}{more}"), "").await;
        assert_eq!((answer.status().as_u16(), seq_of(&answer)), (200, Some(seq)), "{path}");
        // What is in no log of ours is not made up.
        if path == "/v1/items/MUG/stock" {
            let asked = format!("{path}?min_seq={}", seq + 1);
            shop.refuses(("GET", &asked, ""), 409, "min_seq", &format!("the log ends at entry {seq}")).await;
        }
    }
    // Who asks before it is there has the answer once it is.
    let later = format!("/v1/items/MUG/stock?min_seq={}", seq + 1);
    let (waiting, _) = tokio::join!(shop.ask("GET", &later, ""), async {
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
        let lines = json!([{ "sku": "MUG", "quantity": 2 }]);
        shop.accepted("/v1/movements/receive", json!({ "location": "LONDON", "lines": lines })).await
    });
    assert_eq!(seq_of(&waiting), Some(seq + 1));
    let stock: Value = serde_json::from_str(&text(waiting).await).unwrap();
    assert_eq!((&stock["seq"], &stock["total"]["on_hand"]), (&json!(seq + 1), &json!(7)));
}

#[tokio::test]
async fn an_idempotency_key_is_text_that_can_be_seen() {
    let shop = Shop::open().await;
    for key in ["", "a\tb", &"k".repeat(256)] {
        let (status, problem) = shop.call("/v1/items", Some(key), Some(json!({ "sku": "A" }))).await;
        assert_eq!((status.as_u16(), &problem["field"]), (400, &json!("Idempotency-Key")), "{problem}");
    }
    let longest = "k".repeat(255);
    let (status, _) = shop.call("/v1/items", Some(&longest), Some(json!({ "sku": "A" }))).await;
    assert_eq!(status, StatusCode::OK);
}

#[tokio::test]
async fn a_cursor_goes_on_in_its_own_list_alone() {
    let shop = Shop::open().await;
    for sku in ["A", "B", "C"] {
        shop.accepted("/v1/items", json!({ "sku": sku })).await;
    }
    let receive = json!({ "location": "LONDON", "lines": [{ "sku": "A", "quantity": 1 }] });
    shop.accepted("/v1/movements/receive", receive.clone()).await;
    shop.accepted("/v1/movements/receive", receive).await;
    let first = shop.get("/v1/items?limit=2").await;
    let cursor = first["next_cursor"].as_str().unwrap();
    let second = shop.get(&format!("/v1/items?limit=2&cursor={cursor}")).await;
    assert_eq!(second["data"][0]["sku"], "B", "{second}");
    let history = shop.get("/v1/items/A/history?limit=1").await;
    let past = history["next_cursor"].as_str().unwrap();
    let earlier = shop.get(&format!("/v1/items/A/history?limit=1&cursor={past}")).await;
    assert_eq!(earlier["has_more"], false, "{earlier}");
    let others = [
        format!("/v1/orders?cursor={cursor}"),
        format!("/v1/locations?cursor={cursor}"),
        format!("/v1/items/B/history?cursor={past}"),
        format!("/v1/items?cursor=%2B{cursor}"),
        format!("/v1/items?cursor=1{cursor}"),
        "/v1/items?cursor=18446744073709551615".to_owned(),
        "/v1/items?cursor=2".to_owned(),
        "/v1/items?cursor=".to_owned(),
        "/v1/items/A/history?cursor=9223372036854775808".to_owned(),
    ];
    for path in others {
        let (status, problem) = shop.problem("GET", &path, "").await;
        assert_eq!((status, &problem["type"]), (400, &json!("/docs/errors#cursor")), "{path}: {problem}");
    }
}

#[tokio::test]
async fn the_viewer_asks_nobody_outside() {
    let shop = Shop::open().await;
    let initializer = text(shop.ask("GET", "/docs/swagger-initializer.js", "").await).await;
    assert!(initializer.contains(r#""validatorUrl": "none""#), "{initializer}");
    assert!(initializer.contains("/openapi.json"), "{initializer}");
    let page = text(shop.ask("GET", "/docs/", "").await).await;
    for served in [initializer, page] {
        assert!(!served.contains("https://") && !served.contains("http://"), "{served}");
    }
}

#[tokio::test]
async fn a_key_has_a_name_and_is_shown_once() {
    let shop = Shop::open().await;
    for name in [String::new(), "x".repeat(101), "a\u{7}b".to_owned()] {
        let body = json!({ "name": name }).to_string();
        shop.refuses(("POST", "/v1/keys", &body), 422, "name", "1 to 100 characters").await;
    }
    let body = json!({ "name": "é".repeat(100) });
    let (status, problem) = shop.call("/v1/keys", Some("k"), Some(body.clone())).await;
    assert_eq!((status, &problem["field"]), (StatusCode::UNPROCESSABLE_ENTITY, &json!("Idempotency-Key")));
    assert!(problem["detail"].as_str().unwrap().contains("shown once and not kept"), "{problem}");
    assert_eq!(shop.post("/v1/keys", body).await.0, StatusCode::CREATED);
}

#[tokio::test]
async fn a_system_that_cannot_be_connected_as_asked() {
    let shop = Shop::open().await;
    let good = "http://127.0.0.1:3000";
    let cases = [
        (json!({ "name": "N", "kind": "vendure" }), 422, "url", "such as http://127.0.0.1:3000"),
        (json!({ "name": "N", "kind": "shop", "url": "127.0.0.1:3000" }), 422, "url", "such as http://"),
        (json!({ "name": "N", "kind": "shop", "url": "ftp://a/b" }), 422, "url", "such as http://"),
        (json!({ "name": "N", "kind": "shop", "url": "not a url" }), 422, "url", "such as http://"),
        (json!({ "name": "N", "kind": "telex", "url": good }), 422, "kind", "there are `shop` and `none`"),
        (json!({ "name": "N", "kind": "none", "url": good }), 502, "", "there is nobody"),
        (
            json!({ "name": "N", "kind": "shop", "url": good, "location": "PARIS" }),
            422,
            "location",
            "no location has the code `PARIS`",
        ),
    ];
    for (body, status, field, says) in cases {
        shop.refuses(("POST", "/v1/systems", &body.to_string()), status, field, says).await;
    }
    let listing = r#"{"remote_id":"1"}"#;
    shop.refuses(("POST", "/v1/systems/N/listings", listing), 404, "", "there is no system `N`").await;
    assert_eq!(
        shop.post("/v1/systems", json!({ "name": "N", "kind": "telex" })).await.0,
        StatusCode::CREATED
    );
}

#[tokio::test]
async fn methods_that_somebody_made_up_are_one_series() {
    let shop = Shop::open().await;
    for method in ["BREW", "PROPFIND", "GET"] {
        shop.ask(method, "/v1/items", "").await;
    }
    let metrics = text(shop.ask("GET", "/metrics", "").await).await;
    assert!(!metrics.contains("BREW") && !metrics.contains("PROPFIND"), "{metrics}");
    assert!(metrics.contains(r#"method="other""#) && metrics.contains(r#"method="GET""#), "{metrics}");
}

/// Reads that began before a batch keep the batch waiting, and the batch all that come after it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn it_is_alive_while_everybody_waits_for_the_ledger() {
    let shop = Shop::open().await;
    let ledger = shop.handle.ledger().clone();
    let (began, begin) = channel();
    let (end, ended) = channel::<()>();
    let slow = std::thread::spawn(move || {
        let wait = |_: &mut onhand_engine::View<'_>| {
            began.send(()).unwrap();
            // It ends by itself where nothing else can run, so that the test fails and does not hang.
            let _ = ended.recv_timeout(Duration::from_secs(2));
            Ok(())
        };
        ledger.read(TenantId::DEFAULT, wait).unwrap();
    });
    begin.recv().unwrap();
    let get = |path: &'static str| {
        let (router, key) = (shop.router.clone(), shop.key.clone());
        let request = Request::builder().uri(path).header(header::AUTHORIZATION, format!("Bearer {key}"));
        let request = request.body(Body::empty()).unwrap();
        tokio::spawn(tower::ServiceExt::oneshot(router, request))
    };
    let committer = shop.handle.ledger().clone();
    let commit = std::thread::spawn(move || committer.flush().unwrap());
    tokio::time::sleep(Duration::from_millis(100)).await;
    let mut waiting: Vec<_> = (0..40).map(|_| get("/v1/items")).collect();
    waiting.push(get("/readyz"));
    tokio::time::sleep(Duration::from_millis(100)).await;
    let alive = tokio::time::timeout(Duration::from_millis(200), get("/livez")).await;
    let nobody_was_answered = waiting.iter().all(|read| !read.is_finished());
    // Let go before anything is asserted: a test that fails must end.
    let _ = end.send(());
    slow.join().unwrap();
    commit.join().unwrap();
    assert!(nobody_was_answered, "the ledger was held");
    assert_eq!(alive.expect("it answers in time").unwrap().unwrap().status(), StatusCode::OK);
    for read in waiting {
        assert_eq!(read.await.unwrap().unwrap().status(), StatusCode::OK);
    }
}

/// Who comes when too much waits is told so at once, and when to come again; nothing of it is kept.
#[tokio::test(flavor = "multi_thread")]
async fn a_full_queue_says_when_to_come_again() {
    const MORE_THAN_WAIT: usize = 24_000;
    let shop = Shop::open().await;
    let (release, held) = channel::<()>();
    let (holds, is_held) = channel();
    let ledger = shop.handle.ledger().clone();
    // While somebody reads nobody commits.
    let reader = std::thread::spawn(move || {
        ledger.read(TenantId::DEFAULT, |_| {
            holds.send(()).unwrap();
            held.recv().unwrap();
            Ok(())
        })
    });
    is_held.recv().unwrap();
    let tick = || onhand_ledger::Command {
        key: None,
        fingerprint: 0,
        actor: "test".to_owned(),
        body: onhand_ledger::Body::Tick,
    };
    let mut waiting = Vec::new();
    for _ in 0..MORE_THAN_WAIT {
        let handle = shop.handle.clone();
        waiting.push(tokio::spawn(async move { handle.submit(TenantId::DEFAULT, tick()).await }));
    }
    let mut answer = None;
    for _ in 0..200 {
        // What was taken in waits: then the queue is not full yet.
        let asked = shop.ask("POST", "/v1/items", r#"{"sku":"LATE"}"#);
        if let Ok(response) = tokio::time::timeout(Duration::from_millis(50), asked).await {
            answer = Some(response);
            break;
        }
    }
    let answer = answer.expect("the queue is bounded");
    assert_eq!(answer.status(), StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(answer.headers()["retry-after"], "1");
    assert!(text(answer).await.contains("/docs/errors#busy"));
    release.send(()).unwrap();
    reader.join().unwrap().unwrap();
    for one in waiting {
        // Those that were turned away are as well off as those that were taken in: nothing is lost unsaid.
        let _ = one.await.unwrap();
    }
    shop.accepted("/v1/items", json!({ "sku": "LATER" })).await;
}
