//! A shop in memory, and its API, without a socket.

#![allow(dead_code, reason = "each binary of tests uses its own part of it")]

pub mod browser;
pub mod document;

use std::sync::Arc;

use axum::Router;
use axum::body::Body as HttpBody;
use axum::http::{Request, StatusCode, header};
use axum::response::Response;
use http_body_util::BodyExt as _;
use onhand_channels::webhook::{Encoding, WebhookScheme};
use onhand_channels::{
    Channel, ChannelError, Discovery, Meaning, OrderPage, Push, Pushed, Reading, RemoteLocation,
};
use onhand_engine::systems::{Connection, Connector};
use onhand_engine::{Handle, Ledger, ManualClock, Options, queue};
use onhand_ledger::command::PutSystem;
use onhand_ledger::{Body, Command, Instant, TenantId};
use onhand_store::MemoryStore;
use onhand_web::{App, Metrics, Sessions, auth};
use serde_json::{Value, json};
use tokio::sync::Notify;
use tower::ServiceExt as _;

/// A shop is spoken with, and has one stock location; of what `telex` is there is no channel; nobody else answers.
struct Outside;

impl Connector for Outside {
    fn connect(&self, name: &str, connection: &Connection) -> Result<Arc<dyn Channel>, ChannelError> {
        let system = name.to_owned();
        match connection.kind.as_str() {
            "shop" => Ok(Arc::new(EmptyShop { is_away: connection.url.contains("away") })),
            "telex" => {
                let reason = "there is no channel for `telex`; there are `shop` and `none`".to_owned();
                Err(ChannelError::Unexpected { system, reason })
            }
            _ => Err(ChannelError::Unreachable { system, reason: "there is nobody".to_owned() }),
        }
    }
}

struct EmptyShop {
    /// It lets us in, and answers nothing else.
    is_away: bool,
}

#[async_trait::async_trait]
impl Channel for EmptyShop {
    fn meaning(&self) -> Meaning {
        Meaning::Shown
    }

    fn batch_size(&self) -> usize {
        1
    }

    fn webhook(&self) -> Option<WebhookScheme> {
        let (header, event) = ("x-shop-signature", Some("x-shop-event"));
        Some(WebhookScheme::HmacSha256 { header, encoding: Encoding::Hex, prefix: "sha256=", event })
    }

    async fn test(&self) -> Result<(), ChannelError> {
        Ok(())
    }

    async fn register_webhook(&self, _: &str) -> Result<bool, ChannelError> {
        if self.is_away {
            let reason = "it is away".to_owned();
            return Err(ChannelError::Unreachable { system: "shop".to_owned(), reason });
        }
        Ok(false)
    }

    async fn discover(&self) -> Result<Discovery, ChannelError> {
        if self.is_away {
            let reason = "it is away".to_owned();
            return Err(ChannelError::Unreachable { system: "shop".to_owned(), reason });
        }
        let location = RemoteLocation { remote_id: "1".to_owned(), name: "Shelf".to_owned() };
        Ok(Discovery { listings: Vec::new(), locations: vec![location] })
    }

    async fn read(&self, _: &[String]) -> Result<Vec<Reading>, ChannelError> {
        Ok(Vec::new())
    }

    async fn push(&self, _: &[Push]) -> Result<Vec<Pushed>, ChannelError> {
        Ok(Vec::new())
    }

    async fn orders(&self, _: Option<&str>) -> Result<OrderPage, ChannelError> {
        Err(ChannelError::Unreachable { system: "shop".to_owned(), reason: "it has no orders".to_owned() })
    }
}

/// 10:15 of the day, or 10:15:30.
pub fn time(text: &str) -> String {
    let seconds = if text.len() == 5 { ":00" } else { "" };
    format!("2026-11-23T{text}{seconds}Z")
}

/// All that a handler has.
pub fn app(handle: Handle) -> App {
    App {
        handle,
        keys: Arc::default(),
        connector: Arc::new(Outside),
        systems_changed: Arc::new(Notify::new()),
        fair: Arc::default(),
        teller: onhand_channels::notice::Teller::default(),
        sender: onhand_channels::signed::Sender::default(),
        watched: Arc::default(),
        sessions: Arc::default(),
        metrics: Arc::new(Metrics::default()),
    }
}

pub struct Shop {
    pub router: Router,
    pub handle: Handle,
    pub clock: Arc<ManualClock>,
    pub key: String,
    /// What the API says of itself.
    pub document: Arc<Value>,
}

impl Shop {
    /// London, with the items MUG and CUP, a web shop and a warehouse system.
    pub async fn open() -> Self {
        Self::open_with(Arc::default()).await
    }

    /// A shop whose people may be idle for so long.
    pub async fn open_with(sessions: Arc<Sessions>) -> Self {
        let clock = Arc::new(ManualClock::at(Instant::parse(&time("08:00")).unwrap()));
        let ledger =
            Ledger::open(Box::new(MemoryStore::default()), clock.clone(), Options::default()).unwrap();
        ledger.seal().make_for_this_process().unwrap();
        let (handle, queue) = queue(Arc::new(ledger));
        std::thread::spawn(move || queue.run());
        let key = auth::create_key(&handle, TenantId::DEFAULT, "test").await.unwrap();
        let router = onhand_web::router(App { sessions, ..app(handle.clone()) });
        let ask = Request::builder().uri("/openapi.json").body(HttpBody::empty()).unwrap();
        let answer = router.clone().oneshot(ask).await.unwrap();
        let document = answer.into_body().collect().await.unwrap().to_bytes();
        let document = Arc::new(serde_json::from_slice(&document).unwrap());
        let shop = Self { router, handle, clock, key, document };
        for name in ["WEB", "WMS"] {
            let put = PutSystem { name: name.to_owned(), kind: "test".to_owned(), ..PutSystem::default() };
            let command =
                Command { key: None, fingerprint: 0, actor: "test".to_owned(), body: Body::PutSystem(put) };
            shop.handle.submit(TenantId::DEFAULT, command).await.unwrap();
        }
        shop.accepted("/v1/items", json!({ "sku": "MUG" })).await;
        shop.accepted("/v1/locations", json!({ "code": "LONDON" })).await;
        shop
    }

    /// The id of a key that may do everything.
    pub async fn operator(&self) -> String {
        auth::create_key_with(&self.handle, TenantId::DEFAULT, "operator", &auth::Right::ALL, None)
            .await
            .unwrap();
        let keys = self.get("/v1/keys").await;
        let keys = keys["data"].as_array().unwrap();
        let operator = keys.iter().find(|key| key["name"] == "operator").unwrap();
        operator["id"].as_str().unwrap().to_owned()
    }

    /// Somebody who may do more than the key of the shop: `boss`.
    pub async fn boss(&self) -> String {
        let key = auth::create_key_with(&self.handle, TenantId::DEFAULT, "root", &auth::Right::ALL, None);
        let key = key.await.unwrap();
        let body = json!({ "name": "boss", "role": "admin", "rights": ["approve"] }).to_string();
        let request = Request::post("/v1/users").header(header::AUTHORIZATION, format!("Bearer {key}"));
        let answer = self.send(request.body(HttpBody::from(body)).unwrap()).await;
        assert_eq!(answer.status(), StatusCode::CREATED);
        key
    }

    /// Ends something there is.
    pub async fn delete(&self, path: &str) -> (StatusCode, Value) {
        let request = Request::delete(path).header(header::AUTHORIZATION, format!("Bearer {}", self.key));
        let answer = self.send(request.body(HttpBody::empty()).unwrap()).await;
        let status = answer.status();
        let bytes = answer.into_body().collect().await.unwrap().to_bytes();
        (status, serde_json::from_slice(&bytes).unwrap_or_default())
    }

    /// Sends a request as it is.
    pub async fn send(&self, request: Request<HttpBody>) -> Response {
        self.router.clone().oneshot(request).await.unwrap()
    }

    /// The answer, which is what the API's document says of it.
    pub async fn call(&self, path: &str, key: Option<&str>, body: Option<Value>) -> (StatusCode, Value) {
        let mut request = Request::builder()
            .uri(path)
            .method(if body.is_some() { "POST" } else { "GET" })
            .header(header::AUTHORIZATION, format!("Bearer {}", self.key))
            .header(header::CONTENT_TYPE, "application/json");
        if let Some(key) = key {
            request = request.header("idempotency-key", key);
        }
        let body = body.map_or_else(HttpBody::empty, |body| HttpBody::from(body.to_string()));
        let request = request.body(body).unwrap();
        let method = request.method().clone();
        let answer = self.send(request).await;
        let status = answer.status();
        let bytes = answer.into_body().collect().await.unwrap().to_bytes();
        let answer = serde_json::from_slice(&bytes).unwrap_or_default();
        let complaints = document::complaints(&self.document, &method, path, status, &answer);
        assert!(complaints.is_empty(), "{}", complaints.join("\n"));
        (status, answer)
    }

    pub async fn post(&self, path: &str, body: Value) -> (StatusCode, Value) {
        self.call(path, None, Some(body)).await
    }

    pub async fn accepted(&self, path: &str, body: Value) -> Value {
        let (status, answer) = self.post(path, body).await;
        assert!(status.is_success(), "{status} {answer}");
        answer
    }

    pub async fn get(&self, path: &str) -> Value {
        let (status, answer) = self.call(path, None, None).await;
        assert_eq!(status, StatusCode::OK, "{answer}");
        answer
    }
}
