//! Webhooks: signed, sent once, and disabled where nobody takes them: with the seventh failure in a row (`failed_delivery` in
//! <https://github.com/woocommerce/woocommerce/blob/trunk/plugins/woocommerce/includes/class-wc-webhook.php>), not with the fifth as
//! <https://developer.woocommerce.com/docs/apis/rest-api/v3/webhooks/> says. A new one is pinged first, with nothing signed.

use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use hmac::{Hmac, KeyInit as _, Mac as _};
use serde_json::{Value, json};
use sha2::Sha256;

use super::WooShop;
use super::rows;
use super::state::State;

/// More failures in a row than this, and the next disables it.
const FAILURES: u32 = 5;
/// How long an answer may take.
const PATIENCE: Duration = Duration::from_mins(1);

/// Who wants to hear of what.
#[derive(Clone, Debug)]
pub(super) struct Webhook {
    pub name: String,
    pub topic: String,
    pub url: String,
    pub secret: String,
    pub status: String,
    pub failures: u32,
}

impl Webhook {
    pub fn json(&self, id: u64) -> Value {
        let (resource, event) = self.topic.split_once('.').unwrap_or_default();
        json!({ "id": id, "name": self.name, "status": self.status, "topic": self.topic, "resource": resource, "event": event,
            "hooks": [], "delivery_url": self.url })
    }
}

/// Something to be told.
#[derive(Clone, Debug)]
pub(super) struct Delivery {
    webhook: u64,
    url: String,
    topic: String,
    signature: String,
    body: String,
    delay_ms: u64,
}

/// What a body is signed with, as it is sent.
pub(super) fn signature(secret: &str, body: &str) -> String {
    let mut mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes()).expect("any key will do");
    mac.update(body.as_bytes());
    BASE64.encode(mac.finalize().into_bytes())
}

impl State {
    /// Has everybody told who wants to hear of it: with the order itself.
    pub fn announce(&mut self, order: u64, topic: &str) {
        let Some(known) = self.orders.get(&order) else { return };
        let body = rows::order(self, known).to_string();
        let is_active = |hook: &Webhook| hook.status == "active" && hook.topic == topic;
        let wanted: Vec<(u64, Webhook)> = self
            .webhooks
            .iter()
            .filter(|(_, hook)| is_active(hook))
            .map(|(id, hook)| (*id, hook.clone()))
            .collect();
        for (nth, (webhook, hook)) in wanted.into_iter().enumerate() {
            if self.faults.lose_webhooks > 0 {
                self.faults.lose_webhooks -= 1;
                continue;
            }
            // What is late comes after what was said after it.
            let is_late = self.faults.reorder_webhooks && (self.orders.len() + nth).is_multiple_of(2);
            let one = Delivery {
                webhook,
                signature: signature(&hook.secret, &body),
                url: hook.url,
                topic: hook.topic,
                body: body.clone(),
                delay_ms: if is_late { 300 } else { 0 },
            };
            let copies = usize::try_from(self.faults.duplicate_webhooks).unwrap_or_default() + 1;
            self.waiting.extend(vec![one; copies]);
        }
    }
}

impl WooShop {
    /// A webhook of an order as it would be sent to this address now: its headers, and its body.
    pub fn delivery(&self, order: u64, url: &str) -> Option<(Vec<(&'static str, String)>, String)> {
        let state = self.state.lock();
        let hook = state.webhooks.values().find(|hook| hook.url == url)?;
        let body = rows::order(&state, state.orders.get(&order)?).to_string();
        let headers = vec![
            ("x-wc-webhook-signature", signature(&hook.secret, &body)),
            ("x-wc-webhook-topic", hook.topic.clone()),
        ];
        Some((headers, body))
    }

    /// Sends what waits to be told. Needs a runtime of tokio around it.
    pub(super) fn tell(self: &Arc<Self>, waiting: Vec<Delivery>) {
        let Ok(runtime) = tokio::runtime::Handle::try_current() else { return };
        for one in waiting {
            runtime.spawn(Self::deliver(self.clone(), one));
        }
    }

    /// The first word to an address.
    pub(super) fn ping(self: &Arc<Self>, webhook: u64, url: String) {
        let Ok(runtime) = tokio::runtime::Handle::try_current() else { return };
        let request = self.http.post(url).timeout(PATIENCE);
        let request = request.header("content-type", "application/x-www-form-urlencoded");
        runtime.spawn(request.body(format!("webhook_id={webhook}")).send());
    }

    async fn deliver(self: Arc<Self>, one: Delivery) {
        tokio::time::sleep(Duration::from_millis(one.delay_ms)).await;
        let (resource, event) = one.topic.split_once('.').unwrap_or_default();
        let request = self
            .http
            .post(&one.url)
            .timeout(PATIENCE)
            .header("content-type", "application/json")
            .header("x-wc-webhook-source", "http://emulated.example/")
            .header("x-wc-webhook-topic", &one.topic)
            .header("x-wc-webhook-resource", resource)
            .header("x-wc-webhook-event", event)
            .header("x-wc-webhook-signature", &one.signature)
            .header("x-wc-webhook-id", one.webhook.to_string())
            // Of the webhook and the second, as its own is.
            .header("x-wc-webhook-delivery-id", format!("{}-{}", one.webhook, (self.clock)() / 1_000_000))
            .body(one.body);
        let is_taken =
            request.send().await.is_ok_and(|answer| (200..303).contains(&answer.status().as_u16()));
        let mut state = self.state.lock();
        let Some(hook) = state.webhooks.get_mut(&one.webhook) else { return };
        if is_taken {
            hook.failures = 0;
        } else if hook.failures > FAILURES {
            hook.status = "disabled".to_owned();
            tracing::debug!(url = one.url, "nobody takes a webhook: it is disabled");
        } else {
            hook.failures += 1;
        }
    }
}
