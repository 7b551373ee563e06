//! The API, resource by resource.

use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use crate::server::Server;

#[tokio::test]
async fn an_order_from_placing_to_return() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(&folder.path().join("api.db"));
    server.stocked("MUG", 10).await;
    let (status, order) =
        server.post("/v1/orders", json!({ "lines": [{ "sku": "MUG", "quantity": 4 }] })).await;
    assert_eq!(status, StatusCode::CREATED);
    let id = order["id"].as_u64().unwrap();
    assert_eq!(order["lines"][0]["allocated"], 4);
    let cancel = json!({ "lines": [{ "line": "1", "quantity": 1 }] });
    let (_, order) = server.post(&format!("/v1/orders/{id}/cancel"), cancel).await;
    assert_eq!(order["lines"][0]["quantity"], 3);
    let (_, order) = server.post(&format!("/v1/orders/{id}/fulfil"), json!({})).await;
    assert_eq!(order["lines"][0]["shipped"], 3);
    assert_eq!(server.stock("MUG").await, (7, 0));
    let back = json!({ "lines": [{ "line": "1", "quantity": 2 }] });
    assert_eq!(server.post(&format!("/v1/orders/{id}/return"), back.clone()).await.0, StatusCode::OK);
    assert_eq!(server.stock("MUG").await, (9, 0));
    let (status, problem) = server.post(&format!("/v1/orders/{id}/return"), back).await;
    assert_eq!(status, StatusCode::CONFLICT);
    assert!(problem["detail"].as_str().unwrap().contains("has 1 to return, not 2"), "{problem}");
    let (_, history) = server.get("/v1/items/MUG/history?limit=2").await;
    assert_eq!(history["data"][0]["reason"], "returned");
    assert_eq!(history["has_more"], true);
}

#[tokio::test]
async fn a_copy_is_answered_the_same_and_says_so() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(&folder.path().join("api.db"));
    server.stocked("MUG", 10).await;
    let body = json!({ "lines": [{ "sku": "MUG", "quantity": 4 }] });
    let send = |body: Value| {
        let url = format!("{}/v1/orders", server.base);
        server.http.post(url).bearer_auth(&server.key).header("idempotency-key", "k").json(&body).send()
    };
    let first = send(body.clone()).await.unwrap();
    assert!(first.headers().get("idempotent-replayed").is_none());
    let first: Value = first.json().await.unwrap();
    let copy = send(body).await.unwrap();
    assert_eq!(copy.headers()["idempotent-replayed"], "true");
    assert_eq!(copy.json::<Value>().await.unwrap(), first);
    let other = send(json!({ "lines": [{ "sku": "MUG", "quantity": 5 }] })).await.unwrap();
    assert_eq!(other.status(), StatusCode::CONFLICT);
    assert_eq!(other.headers()["content-type"], "application/problem+json");
    assert_eq!(server.stock("MUG").await, (6, 4));
}

#[tokio::test]
async fn a_hold_lapses_by_itself_and_the_feed_hears_of_it() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(&folder.path().join("api.db"));
    server.stocked("MUG", 1).await;
    let (status, hold) =
        server.post("/v1/holds", json!({ "lines": [{ "sku": "MUG", "quantity": 1 }], "seconds": 1 })).await;
    assert_eq!(status, StatusCode::CREATED);
    assert_eq!(server.stock("MUG").await, (0, 0));
    let (_, feed) = server.get("/v1/changes?limit=100").await;
    let seen = feed["next_after"].as_u64().unwrap();
    tokio::time::sleep(std::time::Duration::from_millis(1_600)).await;
    let (_, feed) = server.get(&format!("/v1/changes?after={seen}")).await;
    assert_eq!(feed["data"].as_array().unwrap().len(), 1, "the lapse is in the feed: {feed}");
    assert_eq!(server.stock("MUG").await, (1, 0));
    let id = hold["id"].as_u64().unwrap();
    let (status, _) = server.post(&format!("/v1/holds/{id}/convert"), json!({})).await;
    assert_eq!(status, StatusCode::CONFLICT);
}

#[tokio::test]
async fn past_stock_as_known_now_and_then() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(&folder.path().join("api.db"));
    server.stocked("MUG", 0).await;
    let receive = |quantity: i64, at: &str| json!({ "location": "LONDON", "lines": [{ "sku": "MUG", "quantity": quantity }], "occurred_at": at });
    server.post("/v1/movements/receive", receive(5, "2026-01-02T10:00:00Z")).await;
    server.post("/v1/movements/receive", receive(3, "2026-01-01T10:00:00Z")).await;
    let at = |time: &str| format!("/v1/items/MUG/stock?as_of={time}");
    let total = |body: &Value| body["total"]["on_hand"].as_i64().unwrap();
    assert_eq!(total(&server.get(&at("2026-01-01T12:00:00Z")).await.1), 3);
    assert_eq!(total(&server.get(&at("2026-01-02T12:00:00Z")).await.1), 8);
    assert_eq!(total(&server.get(&at("2025-12-31T12:00:00Z")).await.1), 0);
    let never = format!("{}&known_at=2026-01-03T00:00:00Z", at("2026-01-02T12:00:00Z"));
    assert_eq!(total(&server.get(&never).await.1), 0, "nothing was known then");
}

#[tokio::test]
async fn the_documentation_and_the_probes_need_no_key() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(&folder.path().join("api.db"));
    let get = |path: &str| server.http.get(format!("{}{path}", server.base)).send();
    assert_eq!(get("/livez").await.unwrap().text().await.unwrap(), "ok\n");
    let ready = get("/readyz?verbose").await.unwrap().text().await.unwrap();
    assert!(ready.contains("[+]database ok"), "{ready}");
    let metrics = get("/metrics").await.unwrap().text().await.unwrap();
    assert!(metrics.contains("onhand_http_request_duration_seconds"), "{metrics}");
    let document: Value = get("/openapi.json").await.unwrap().json().await.unwrap();
    assert!(document["openapi"].as_str().unwrap().starts_with("3.1"));
    assert!(document["paths"]["/v1/orders"]["post"].is_object());
    let page = get("/docs/").await.unwrap();
    assert_eq!(page.status(), StatusCode::OK);
    assert!(!page.text().await.unwrap().contains("https://"), "the viewer asks nobody outside");
}

#[tokio::test]
async fn lists_go_on_where_they_ended() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(&folder.path().join("api.db"));
    for number in 0..7 {
        server.post("/v1/items", json!({ "sku": format!("ITEM-{number}") })).await;
    }
    let mut seen = Vec::new();
    let mut cursor = String::new();
    loop {
        let (_, page) = server.get(&format!("/v1/items?limit=3{cursor}")).await;
        seen.extend(
            page["data"].as_array().unwrap().iter().map(|item| item["sku"].as_str().unwrap().to_owned()),
        );
        match page["next_cursor"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => break,
        }
    }
    assert_eq!(seen, (0..7).map(|number| format!("ITEM-{number}")).collect::<Vec<_>>());
    assert_eq!(
        server.call(Method::GET, "/v1/items?limit=101", None, &Value::Null).await.0,
        StatusCode::BAD_REQUEST
    );
}
