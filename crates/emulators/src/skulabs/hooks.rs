//! Webhooks: of statuses of orders, not signed, and tried again for more than a day
//! (<https://help.skulabs.com/en/articles/9219301-skulabs-webhooks-introduction>). What is in one is said there only as `{type, data}`; what `data` has is
//! as programs in use read it.

use std::sync::Arc;
use std::time::Duration;

use serde_json::json;

use super::SkuLabs;
use super::state::{State, instant};

/// So often one is tried: waiting twice as long each time, that is more than a day.
const TRIES: u32 = 18;
/// The first wait.
const FIRST: Duration = Duration::from_secs(1);
/// How long an answer may take.
const PATIENCE: Duration = Duration::from_secs(30);

/// Something to be told.
#[derive(Clone, Debug)]
pub(super) struct Delivery {
    url: String,
    body: String,
    delay: Duration,
}

impl State {
    /// Has it told that an order stands otherwise than before.
    pub fn announce(&mut self, now: i64, id: &str, before: &str) {
        let (Some(url), Some(body)) = (self.webhook.clone(), self.told(now, id, before)) else { return };
        if self.faults.lose_webhooks > 0 {
            self.faults.lose_webhooks -= 1;
            return;
        }
        let is_late = self.faults.reorder_webhooks && self.audit.len().is_multiple_of(2);
        let delay = if is_late { Duration::from_millis(300) } else { Duration::ZERO };
        let copies = usize::try_from(self.faults.duplicate_webhooks).unwrap_or_default() + 1;
        self.waiting.extend(vec![Delivery { url, body, delay }; copies]);
    }

    pub fn told(&self, now: i64, id: &str, before: &str) -> Option<String> {
        let order = self.orders.get(id)?;
        let data = json!({ "store_id": order.store, "order_number": order.number, "original_status": before,
            "status": order.status, "user_id": null, "time": instant(now) });
        Some(json!({ "type": "order.status", "data": data }).to_string())
    }
}

impl SkuLabs {
    /// Sends what waits to be told. Needs a runtime of tokio around it.
    pub(super) fn tell(self: &Arc<Self>, waiting: Vec<Delivery>) {
        let Ok(runtime) = tokio::runtime::Handle::try_current() else { return };
        for one in waiting {
            runtime.spawn(Self::deliver(self.clone(), one));
        }
    }

    async fn deliver(self: Arc<Self>, one: Delivery) {
        tokio::time::sleep(one.delay).await;
        for nth in 0..TRIES {
            let request = self.http.post(&one.url).timeout(PATIENCE);
            let request = request.header("content-type", "application/json").body(one.body.clone());
            if request.send().await.is_ok_and(|answer| answer.status().is_success()) {
                return;
            }
            tokio::time::sleep(FIRST * 2_u32.pow(nth)).await;
        }
        tracing::debug!(url = one.url, "nobody takes a webhook: it is given up");
    }
}
