//! What one key, and one tenant, can take of everybody's server.

mod support;

use std::sync::Arc;
use std::time::Duration;

use axum::body::Body as HttpBody;
use axum::http::{Request, StatusCode, header};
use axum::response::Response;
use http_body_util::BodyExt as _;
use onhand_engine::{Handle, Ledger, Options, Queue, SystemClock, queue};
use onhand_ledger::{Body, Command, Entry, Instant, TenantId};
use onhand_store::MemoryStore;
use onhand_web::auth;
use serde_json::{Value, json};
use tower::ServiceExt as _;

use support::Shop;

async fn told(response: Response) -> (StatusCode, Option<u64>, Value) {
    let wait =
        response.headers().get(header::RETRY_AFTER).map(|wait| wait.to_str().unwrap().parse().unwrap());
    let status = response.status();
    let body = response.into_body().collect().await.unwrap().to_bytes();
    (status, wait, serde_json::from_slice(&body).unwrap_or_default())
}

async fn look(shop: &Shop, key: &str) -> (StatusCode, Option<u64>, Value) {
    let request = Request::get("/v1/items").header(header::AUTHORIZATION, format!("Bearer {key}"));
    told(shop.send(request.body(HttpBody::empty()).unwrap()).await).await
}

async fn key_with(shop: &Shop, name: &str, rate: Option<u32>) -> String {
    auth::create_key_with(&shop.handle, TenantId::DEFAULT, name, &[], rate).await.unwrap()
}

#[tokio::test]
async fn a_key_that_sends_too_much_is_told_when_to_come_again_and_no_other_key_is() {
    let shop = Shop::open().await;
    let slow = key_with(&shop, "slow", Some(1)).await;
    let deadline = tokio::time::Instant::now() + Duration::from_secs(30);
    let (status, wait, problem) = loop {
        let answer = look(&shop, &slow).await;
        if answer.0 != StatusCode::OK {
            break answer;
        }
        assert!(tokio::time::Instant::now() < deadline, "one request a second");
    };
    assert_eq!((status, wait), (StatusCode::TOO_MANY_REQUESTS, Some(1)));
    assert_eq!(problem["type"], "/docs/errors#rate");
    assert!(problem["detail"].as_str().unwrap().contains("`slow` may send 1 requests a second"), "{problem}");
    for _ in 0..1_000 {
        assert_eq!(look(&shop, &shop.key).await.0, StatusCode::OK, "nobody limits this one");
    }
    while look(&shop, &slow).await.0 != StatusCode::OK {
        tokio::time::sleep(Duration::from_millis(50)).await;
        assert!(tokio::time::Instant::now() < deadline, "it may send again after a second");
    }
}

#[tokio::test]
async fn a_limited_key_makes_none_that_may_send_more() {
    let mut shop = Shop::open().await;
    shop.key = key_with(&shop, "till", Some(1_000)).await;
    for (nth, (asked, status)) in
        [(json!(0), 422), (json!(1_001), 422), (json!(1_000), 201), (json!(null), 201)]
            .into_iter()
            .enumerate()
    {
        let name = format!("k{nth}");
        let (answered, body) = shop.post("/v1/keys", json!({ "name": name, "rate": asked })).await;
        assert_eq!(answered.as_u16(), status, "{asked}: {body}");
        if status == 422 {
            assert_eq!(body["detail"], "rate must be 1 to 1000, as many as the key `till` has");
        }
    }
    // The one that says nothing has its maker's limit: it cannot give more either.
    let (_, made) = shop.post("/v1/keys", json!({ "name": "k" })).await;
    shop.key = made["key"].as_str().unwrap().to_owned();
    assert_eq!(shop.post("/v1/keys", json!({ "name": "k9", "rate": 0 })).await.0.as_u16(), 422);
}

#[tokio::test]
async fn a_key_that_is_revoked_is_taken_no_more() {
    let mut shop = Shop::open().await;
    let (_, made) = shop.post("/v1/keys", json!({ "name": "till" })).await;
    let keys = shop.get("/v1/keys").await;
    let till = keys["data"].as_array().unwrap().iter().find(|key| key["name"] == "till").unwrap();
    assert!(!keys.to_string().contains(made["key"].as_str().unwrap()), "a key itself is never shown");
    let first = std::mem::replace(&mut shop.key, made["key"].as_str().unwrap().to_owned());
    assert_eq!(shop.call("/v1/items/MUG", None, None).await.0, StatusCode::OK);
    let path = format!("/v1/keys/{}", till["id"].as_str().unwrap());
    let till_key = std::mem::replace(&mut shop.key, first);
    let (status, told) = shop.delete(&path).await;
    assert_eq!((status, &told["name"]), (StatusCode::OK, &json!("till")));
    assert_eq!(shop.get("/v1/keys").await["data"].as_array().unwrap().len(), 1);
    assert_eq!(shop.delete(&path).await.0, StatusCode::NOT_FOUND);
    shop.key = till_key;
    assert_eq!(shop.call("/v1/items/MUG", None, None).await.0, StatusCode::UNAUTHORIZED);
}

/// Two tenants, and a committer that has not begun.
struct Two {
    handle: Handle,
    queue: Option<Queue>,
    router: axum::Router,
    keys: [String; 2],
}

const TENANTS: [TenantId; 2] = [TenantId(1), TenantId(2)];

impl Two {
    async fn open() -> Self {
        let ledger =
            Ledger::open(Box::new(MemoryStore::default()), Arc::new(SystemClock), Options::default());
        let ledger = Arc::new(ledger.unwrap());
        let (setting_up, first) = queue(ledger.clone());
        let committer = std::thread::spawn(move || first.run());
        let mut keys = Vec::new();
        for tenant in TENANTS {
            keys.push(auth::create_key(&setting_up, tenant, "test").await.unwrap());
            for body in
                [json!({ "put_item": { "sku": "MUG" } }), json!({ "put_location": { "code": "LONDON" } })]
            {
                let body: Body = serde_json::from_value(body).unwrap();
                let command = Command { key: None, fingerprint: 0, actor: "test".to_owned(), body };
                setting_up.submit(tenant, command).await.unwrap();
            }
        }
        drop(setting_up);
        committer.join().unwrap();
        let (handle, queue) = queue(ledger);
        let app = support::app(handle.clone());
        let keys = keys.try_into().unwrap();
        Self { handle, queue: Some(queue), router: onhand_web::router(app), keys }
    }

    /// Sends without waiting for the answer, and lets it come as far as it can.
    fn send(&self, tenant: usize, path: &str, body: String) -> tokio::task::JoinHandle<StatusCode> {
        let request = Request::post(path)
            .header(header::AUTHORIZATION, format!("Bearer {}", self.keys[tenant]))
            .body(HttpBody::from(body))
            .unwrap();
        let answer = self.router.clone().oneshot(request);
        tokio::spawn(async move {
            let answer = answer.await.unwrap();
            let status = answer.status();
            answer.into_body().collect().await.unwrap();
            status
        })
    }

    /// Until nobody can go on: there is one thread, and nothing comes from outside.
    async fn settle(&self) {
        for _ in 0..20_000 {
            tokio::task::yield_now().await;
        }
    }

    fn begin(&mut self) {
        let queue = self.queue.take().unwrap();
        std::thread::spawn(move || queue.run());
    }

    /// When each record of receipts was written, the oldest first.
    fn received(&self, tenant: usize) -> Vec<Instant> {
        let records =
            self.handle.ledger().read(TENANTS[tenant], |view| view.records_after(0, 100_000)).unwrap();
        let of_receipts = records
            .into_iter()
            .filter(|(_, record)| record.entries.iter().any(|entry| matches!(entry, Entry::Movement(_))));
        of_receipts.map(|(_, record)| record.recorded_at).collect()
    }
}

fn line() -> String {
    let lines = json!([{ "sku": "MUG", "quantity": 1 }]);
    json!({ "body": { "receive": { "location": "LONDON", "lines": lines } } }).to_string() + "\n"
}

#[tokio::test]
async fn a_tenant_that_sends_much_in_bulk_keeps_no_other_waiting() {
    let mut two = Two::open().await;
    let mut sent = Vec::new();
    for _ in 0..8 {
        sent.push(two.send(0, "/v1/commands", line().repeat(16 * 256)));
    }
    two.settle().await;
    sent.push(two.send(1, "/v1/commands", line()));
    two.settle().await;
    two.begin();
    for answer in sent {
        assert_eq!(answer.await.unwrap(), StatusCode::OK);
    }
    let (much, one) = (two.received(0), two.received(1));
    assert_eq!((much.len(), one.len()), (8 * 16 * 256, 1));
    let before = much.iter().filter(|at| **at < one[0]).count();
    assert!(before <= 24 * 256, "{before} of {} came first", much.len());
}

#[tokio::test]
async fn a_tenant_that_asks_much_at_once_keeps_no_other_waiting() {
    let mut two = Two::open().await;
    let body = json!({ "location": "LONDON", "lines": [{ "sku": "MUG", "quantity": 1 }] }).to_string();
    let mut sent = Vec::new();
    // More than one batch has.
    for _ in 0..5_000 {
        sent.push(two.send(0, "/v1/movements/receive", body.clone()));
    }
    two.settle().await;
    sent.push(two.send(1, "/v1/movements/receive", body));
    two.settle().await;
    two.begin();
    for answer in sent {
        assert_eq!(answer.await.unwrap(), StatusCode::OK);
    }
    let (much, one) = (two.received(0), two.received(1));
    assert_eq!((much.len(), one.len()), (5_000, 1));
    let before = much.iter().filter(|at| **at < one[0]).count();
    assert!(before <= 1_024, "{before} of {} came first", much.len());
}
