//! Webhooks: signed, tried again, and ended where nobody takes them.
//!
//! A delivery must be taken within 5 seconds; else it is tried 8 times more, ever later, over 4 hours in all
//! (<https://shopify.dev/docs/apps/build/webhooks/troubleshooting-webhooks>): here over as long as [`super::Faults::retry_ms`] says. Then the
//! subscription ends.

use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};

use super::ShopifyShop;
use super::resolve::{gid, time};
use super::state::State;
use crate::wire::signature;

/// How often it is tried again.
const RETRIES: u32 = 8;
/// How long an answer may take.
const PATIENCE: Duration = Duration::from_secs(5);

/// Who wants to hear of what.
#[derive(Clone, Debug)]
pub(super) struct Subscription {
    pub topic: String,
    pub uri: String,
}

impl Subscription {
    pub fn json(&self, id: u64) -> Value {
        json!({ "__typename": "WebhookSubscription", "id": gid("WebhookSubscription", id), "topic": self.topic,
            "uri": self.uri, "format": "JSON" })
    }
}

/// Something to be told.
#[derive(Clone, Debug)]
pub(super) struct Announcement {
    subscription: u64,
    uri: String,
    topic: String,
    event: String,
    delivery: String,
    at: i64,
    body: String,
    delay_ms: u64,
}

impl State {
    /// Has everybody told who wants to hear of it. All copies of what happened once have one event id.
    pub fn announce(&mut self, now: i64, order: u64, topics: &[&str]) {
        let event = format!("event-{}", self.number());
        let body = json!({ "id": order, "admin_graphql_api_id": gid("Order", order) }).to_string();
        let asked = |topic: &str| topics.contains(&topic);
        let wanted: Vec<(u64, String, String)> = self
            .subscriptions
            .iter()
            .filter(|(_, known)| asked(&known.topic))
            .map(|(id, known)| (*id, known.uri.clone(), known.topic.clone()))
            .collect();
        for (nth, (subscription, uri, topic)) in wanted.into_iter().enumerate() {
            if self.faults.lose_webhooks > 0 {
                self.faults.lose_webhooks -= 1;
                continue;
            }
            let delivery = format!("delivery-{}", self.number());
            // What is late comes after what was said after it.
            let is_late = self.faults.reorder_webhooks && (self.orders.len() + nth).is_multiple_of(2);
            let one = Announcement {
                subscription,
                uri,
                topic: topic.to_lowercase().replacen('_', "/", 1),
                event: event.clone(),
                delivery,
                at: now,
                body: body.clone(),
                delay_ms: if is_late { 300 } else { 0 },
            };
            let copies = usize::try_from(self.faults.duplicate_webhooks).unwrap_or_default() + 1;
            self.waiting.extend(vec![one; copies]);
        }
    }
}

impl ShopifyShop {
    /// Sends what waits to be told. Needs a runtime of tokio around it.
    pub(super) fn tell(self: &Arc<Self>, waiting: Vec<Announcement>) {
        let Ok(runtime) = tokio::runtime::Handle::try_current() else { return };
        for one in waiting {
            runtime.spawn(Self::deliver(self.clone(), one));
        }
    }

    async fn deliver(self: Arc<Self>, one: Announcement) {
        let signature = signature(self.setup.client_secret.as_bytes(), &one.body);
        tokio::time::sleep(Duration::from_millis(one.delay_ms)).await;
        for attempt in 0..=RETRIES {
            let request = self
                .http
                .post(&one.uri)
                .timeout(PATIENCE)
                .header("content-type", "application/json")
                .header("x-shopify-topic", &one.topic)
                .header("x-shopify-hmac-sha256", &signature)
                .header("x-shopify-shop-domain", "emulated.myshopify.com")
                .header("x-shopify-api-version", super::VERSION)
                .header("x-shopify-webhook-id", &one.delivery)
                .header("x-shopify-event-id", &one.event)
                .header("x-shopify-triggered-at", time(one.at))
                .body(one.body.clone());
            if request.send().await.is_ok_and(|answer| answer.status().is_success()) {
                return;
            }
            let wait = self.state.lock().faults.retry_ms.max(1) << attempt;
            tokio::time::sleep(Duration::from_millis(wait)).await;
        }
        tracing::debug!(uri = one.uri, "nobody takes a webhook: its subscription ends");
        self.state.lock().subscriptions.remove(&one.subscription);
    }
}
