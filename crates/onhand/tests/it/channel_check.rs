//! `onhand channel check`: a warehouse that keeps the protocol passes, and one that breaks a rule is told which.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::Request;
use axum::http::{HeaderValue, Method, StatusCode, header};
use axum::middleware::{Next, from_fn};
use axum::response::Response;
use onhand_emulators::wms::{self, Warehouse};
use serde_json::{Value, json};

use crate::server::{micros, onhand};

/// A request, and what is answered to it.
struct Turn {
    method: Method,
    path: String,
    query: String,
    asked: Value,
    /// So many came before.
    nth: u64,
    status: StatusCode,
    date: Option<&'static str>,
    answer: Value,
}

impl Turn {
    fn is_put(&self, list: &str) -> bool {
        self.method == Method::PUT && self.path.starts_with(&format!("/{list}/"))
    }

    fn is_get(&self, path: &str) -> bool {
        self.method == Method::GET && self.path == path
    }
}

/// What is wrong with a warehouse.
type Wrong = fn(&mut Turn);

/// Its answers after something was done to them.
async fn warehouse(wrong: Option<Wrong>, lets_all_in: bool) -> String {
    let warehouse = Warehouse::new("token", Arc::new(micros));
    warehouse.stock("77", "MUG", "Blue mug", 5);
    warehouse.stock("78", "POT", "Red pot", 0);
    let count = Arc::new(AtomicU64::new(0));
    let changed = move |request: Request, next: Next| {
        let nth = count.fetch_add(1, Ordering::SeqCst);
        async move { turn(wrong, lets_all_in, nth, request, next).await }
    };
    let router: Router = wms::router(warehouse).layer(from_fn(changed));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move { axum::serve(listener, router).await });
    url
}

async fn turn(wrong: Option<Wrong>, lets_all_in: bool, nth: u64, request: Request, next: Next) -> Response {
    let (mut head, body) = request.into_parts();
    if lets_all_in {
        head.headers.insert(header::AUTHORIZATION, HeaderValue::from_static("Bearer token"));
    }
    let body = to_bytes(body, 1 << 20).await.unwrap();
    let (method, path) = (head.method.clone(), head.uri.path().to_owned());
    let query = head.uri.query().unwrap_or_default().to_owned();
    let asked = serde_json::from_slice(&body).unwrap_or_default();
    let response = next.run(Request::from_parts(head, Body::from(body))).await;
    let status = response.status();
    let text = to_bytes(response.into_body(), 1 << 20).await.unwrap();
    let Some(wrong) = wrong else {
        return Response::builder().status(status).body(Body::from(text)).unwrap();
    };
    let answer = serde_json::from_slice(&text).unwrap_or_default();
    let mut turn = Turn { method, path, query, asked, nth, status, date: None, answer };
    wrong(&mut turn);
    let mut response = Response::builder().status(turn.status);
    if let Some(date) = turn.date {
        response = response.header(header::DATE, date);
    }
    response.body(Body::from(turn.answer.to_string())).unwrap()
}

async fn check(url: &str, places_orders: bool) -> (bool, Value) {
    let url = url.to_owned();
    let output = tokio::task::spawn_blocking(move || {
        let mut words = vec!["channel", "check", &url, "--secret", "token", "--json"];
        if places_orders {
            words.push("--place-orders");
        }
        onhand(Path::new("nobody-opens.db"), &words)
    });
    let output = output.await.unwrap();
    (output.status.success(), serde_json::from_slice(&output.stdout).unwrap())
}

fn failed(told: &Value) -> Vec<String> {
    let rules = told["rules"].as_array().unwrap();
    rules
        .iter()
        .filter(|rule| rule["result"] == "failed")
        .map(|rule| rule["rule"].as_str().unwrap().to_owned())
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_warehouse_that_keeps_the_protocol_passes() {
    let url = warehouse(None, false).await;
    let (is_well, told) = check(&url, false).await;
    assert!(is_well, "{told:#}");
    assert_eq!((&told["ok"], &told["failed"], &told["left_out"]), (&json!(true), &json!(0), &json!(3)));
    let (is_well, told) = check(&url, true).await;
    assert!(is_well, "{told:#}");
    assert_eq!((&told["passed"], &told["left_out"]), (&json!(25), &json!(0)), "{told:#}");
}

/// Of each rule, how it is broken.
const BROKEN: &[(&str, Wrong)] = &[
    ("lets_in", |turn| {
        if turn.is_get("/") {
            turn.answer["protocol"] = json!(2);
        }
    }),
    ("clock", |turn| turn.date = Some("Tue, 24 Nov 2020 10:00:00 GMT")),
    ("locations", |turn| {
        if turn.is_get("/locations") {
            turn.answer["data"] = json!([{ "id": "main", "name": "A" }, { "id": "main", "name": "B" }]);
        }
    }),
    ("items", |turn| {
        if turn.is_get("/items") {
            turn.answer["next"] = json!("77");
        }
    }),
    ("stock", |turn| {
        if turn.is_get("/stock") && turn.status.is_success() {
            turn.answer["rows"][0]["quantity"] = json!(-1);
        }
    }),
    ("stock", |turn| {
        if turn.is_get("/stock") && turn.status.is_success() {
            turn.answer["as_of"] = json!(if turn.nth.is_multiple_of(2) {
                "2026-01-01T00:00:00Z"
            } else {
                "2025-01-01T00:00:00Z"
            });
        }
    }),
    ("stock", |turn| {
        if turn.is_get("/stock") && turn.status.is_success() {
            turn.answer["rows"][0]["item"] = json!("79");
        }
    }),
    ("stock_of_nowhere", |turn| {
        if turn.is_get("/stock") && turn.query.contains("nowhere") {
            (turn.status, turn.answer) =
                (StatusCode::OK, json!({ "as_of": "2026-01-01T00:00:00Z", "rows": [] }));
        }
    }),
    ("orders_cancelled", |turn| {
        if turn.is_put("orders") && turn.status.is_success() {
            turn.answer["parcels"] =
                json!([{ "parcel": "P1", "shipped_at": "2026-01-01T00:00:00Z", "lines": [] }]);
        }
    }),
    ("orders_copy", |turn| {
        if turn.is_put("orders") && turn.path.ends_with("-1") {
            turn.answer["revision"] = json!(turn.nth);
        }
    }),
    ("orders_older_version", |turn| {
        if turn.is_put("orders") {
            turn.answer["version"] = turn.asked["version"].clone();
        }
    }),
    ("orders_listed", |turn| {
        if turn.is_get("/orders") && turn.status.is_success() {
            turn.answer["orders"] = json!([]);
        }
    }),
    ("orders_at_once", |turn| {
        if turn.is_put("orders") && turn.path.ends_with("-2") {
            turn.answer["revision"] = json!(turn.nth);
        }
    }),
    ("receipts_copy", |turn| {
        if turn.is_put("receipts") && turn.path.ends_with("-1") {
            turn.answer["revision"] = json!(turn.nth);
        }
    }),
    ("receipts_listed", |turn| {
        if turn.is_get("/receipts") && turn.status.is_success() {
            turn.answer["cursor"] = json!("0");
        }
    }),
    ("recounts_older_version", |turn| {
        if turn.is_put("recounts") {
            turn.answer["version"] = turn.asked["version"].clone();
        }
    }),
    ("order_unknown_item", |turn| {
        if turn.is_put("orders") && turn.path.ends_with("-unknown") {
            turn.status = StatusCode::UNPROCESSABLE_ENTITY;
        }
    }),
    ("order_amended", |turn| {
        if turn.is_put("orders") && turn.path.ends_with("-3") && turn.answer["progress"] == "accepted" {
            turn.answer["revision"] = json!(1);
        }
    }),
    ("order_over", |turn| {
        if turn.is_put("orders") && turn.path.ends_with("-3") && turn.asked["version"] == 103 {
            turn.answer["progress"] = json!("accepted");
        }
    }),
];

#[tokio::test(flavor = "multi_thread")]
async fn a_warehouse_that_breaks_a_rule_is_told_which() {
    for (rule, wrong) in BROKEN {
        let url = warehouse(Some(*wrong), false).await;
        let (is_well, told) = check(&url, true).await;
        assert!(!is_well, "{rule}: {told:#}");
        assert!(failed(&told).iter().any(|failed| failed == rule), "{rule}: {told:#}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_warehouse_that_lets_all_in_is_told_so() {
    let url = warehouse(None, true).await;
    let (_, told) = check(&url, false).await;
    assert_eq!(failed(&told), ["keeps_out"], "{told:#}");
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_does_not_answer_is_said_not_to() {
    let (is_well, told) = check("http://127.0.0.1:1", false).await;
    assert!(!is_well);
    assert_eq!(failed(&told), ["lets_in"]);
    assert!(told["rules"][0]["why"].as_str().unwrap().contains("is not answered"), "{told:#}");
}
