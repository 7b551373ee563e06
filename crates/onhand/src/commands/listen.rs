//! `onhand listen`: receives webhooks on this machine, verifies each and prints it, for whoever builds a receiver.

use std::sync::Arc;

use anyhow::{Context as _, bail};
use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use onhand_channels::webhook::{Delivery, WebhookScheme};
use onhand_engine::{Clock as _, SystemClock};
use serde_json::{Value, json};

use super::item::text;
use crate::cli::Listen;
use crate::http::interrupted;
use crate::link::{Link, segment};
use crate::output::say;

/// What each webhook is held against.
struct Receiver {
    secret: String,
    answer: StatusCode,
    json: bool,
}

/// Subscribes, unless a secret is told, and receives until Ctrl-C.
pub(super) async fn run(link: Option<&Link>, asked: &Listen, json: bool) -> anyhow::Result<()> {
    let stopped = interrupted();
    let listener = tokio::net::TcpListener::bind(("127.0.0.1", asked.port)).await;
    let listener = listener.with_context(|| format!("cannot listen on port {}", asked.port))?;
    let address = listener.local_addr()?;
    let url = format!("http://{address}/");
    let (secret, name) = match (&asked.secret, link) {
        (Some(secret), _) => (secret.clone(), None),
        (None, Some(link)) => {
            let name = format!("listen-{}", address.port());
            (subscribe(link, &name, &url, &asked.events).await?, Some(name))
        }
        (None, None) => bail!("tell the secret that webhooks are signed with"),
    };
    if json {
        say(json!({ "url": url, "subscription": name, "secret": secret }))?;
    } else {
        say(format!("Listening at {url}; webhooks are verified with {secret}. Ctrl-C ends it."))?;
        if name.is_some() {
            say("See one: onhand trigger stock.changed")?;
        }
    }
    let answer = StatusCode::from_u16(asked.answer)?;
    let receiver = Arc::new(Receiver { secret, answer, json });
    let router = Router::new().fallback(receive).with_state(receiver);
    let served = axum::serve(listener, router).with_graceful_shutdown(stopped).await;
    if let (Some(name), Some(link)) = (name, link) {
        link.delete(&format!("/v1/subscriptions/{}", segment(&name)?)).await?;
    }
    Ok(served?)
}

/// Its secret.
async fn subscribe(link: &Link, name: &str, url: &str, events: &[String]) -> anyhow::Result<String> {
    if matches!(link, Link::Local { .. }) {
        bail!(
            "no server runs on this database, so nothing would be sent: start `onhand serve --webhook-private`"
        );
    }
    // One that ended without its leave is in the way: its secret would not be told again.
    let known = link.get("/v1/subscriptions").await?;
    let is_there = known["data"].as_array().into_iter().flatten().any(|one| text(one, "name") == name);
    if is_there {
        link.delete(&format!("/v1/subscriptions/{}", segment(name)?)).await?;
    }
    let made = link.post("/v1/subscriptions", &json!({ "name": name, "url": url, "events": events })).await?;
    Ok(text(&made, "secret").to_owned())
}

async fn receive(State(receiver): State<Arc<Receiver>>, headers: HeaderMap, body: Bytes) -> StatusCode {
    let header = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    let delivery = Delivery { header: &header, body: &body };
    let now = SystemClock.now();
    let verified = WebhookScheme::StandardWebhooks.verify(&receiver.secret, &delivery, now);
    let id = header("webhook-id").unwrap_or_default();
    let payload: Option<Value> = serde_json::from_slice(&body).ok();
    let wrong = verified.err().map(|error| error.to_string());
    let status = if wrong.is_some() { StatusCode::UNAUTHORIZED } else { receiver.answer };
    let line = if receiver.json {
        let answered = status.as_u16();
        json!({ "at": now.to_string(), "id": id, "verified": wrong.is_none(), "why": wrong, "answered": answered,
            "payload": payload })
        .to_string()
    } else {
        let event = payload.as_ref().map_or("no JSON", |payload| text(payload, "type"));
        let verdict = wrong.map_or("verified".to_owned(), |why| format!("NOT VERIFIED: {why}"));
        let shown = String::from_utf8_lossy(&body);
        // What anybody sends must not draw on the terminal.
        let shown: String = shown.chars().filter(|letter| !letter.is_control()).collect();
        format!("{now}  {event}  {}  {verdict}, answered {status}\n  {shown}", id.escape_debug())
    };
    // Whoever reads may be gone; who sends is answered all the same.
    let _ = say(line);
    status
}
