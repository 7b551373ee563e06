//! Several buyers get the last units at the same millisecond.

use std::sync::Arc;

use reqwest::StatusCode;
use serde_json::json;

use crate::server::Server;

#[tokio::test(flavor = "multi_thread")]
async fn race_of_400_buyers_for_200_units() {
    let folder = tempfile::tempdir().unwrap();
    let server = Arc::new(Server::start(&folder.path().join("race.db")));
    server.stocked("LAST", 200).await;
    let mut buyers = tokio::task::JoinSet::new();
    for _ in 0..400 {
        let server = server.clone();
        buyers.spawn(async move {
            server.post("/v1/orders", json!({ "lines": [{ "sku": "LAST", "quantity": 1 }] })).await.0
        });
    }
    let answers = buyers.join_all().await;
    let of = |status| answers.iter().filter(|answer| **answer == status).count();
    assert_eq!((of(StatusCode::CREATED), of(StatusCode::CONFLICT)), (200, 200));
    assert_eq!(server.stock("LAST").await, (0, 200));
}

#[tokio::test(flavor = "multi_thread")]
async fn race_of_32_copies_of_one_request() {
    let folder = tempfile::tempdir().unwrap();
    let server = Arc::new(Server::start(&folder.path().join("race.db")));
    server.stocked("MUG", 50).await;
    let mut copies = tokio::task::JoinSet::new();
    for _ in 0..32 {
        let server = server.clone();
        copies.spawn(async move {
            let body = json!({ "lines": [{ "sku": "MUG", "quantity": 3 }] });
            server.call(reqwest::Method::POST, "/v1/orders", Some("one key"), &body).await
        });
    }
    let answers = copies.join_all().await;
    assert!(answers.iter().all(|(status, body)| *status == StatusCode::CREATED && *body == answers[0].1));
    assert_eq!(server.stock("MUG").await, (47, 3));
}
