//! Asking for webhooks, each once, and for those again that were ended.
//!
//! A delivery that nobody takes is not tried again: it is a failure, and after some in a row the webhook is disabled, until it is edited: after five, by
//! its documentation (<https://developer.woocommerce.com/docs/apis/rest-api/v3/webhooks/>), and with the seventh, by its code
//! (`failed_delivery` in <https://github.com/woocommerce/woocommerce/blob/trunk/plugins/woocommerce/includes/class-wc-webhook.php>).

use reqwest::Method;
use serde::de::IgnoredAny;

use super::{MOST, WooCommerce, wire};
use crate::ChannelError;

/// What we ask to hear of. What a push of ours does is not among it.
const TOPICS: [&str; 4] = ["order.created", "order.updated", "order.deleted", "order.restored"];
/// What our addresses have in common.
const HOOKS: &str = "/hooks/ohh_";

fn base(address: &str) -> Option<&str> {
    address.rfind(HOOKS).map(|at| &address[..at + HOOKS.len()])
}

impl WooCommerce {
    /// Has all of them sent to this address, and none to one that we had before.
    pub(super) async fn register(&self, address: &str) -> Result<(), ChannelError> {
        let known = self.webhooks("all").await?;
        for topic in TOPICS {
            let mut put = wire::PutWebhook {
                name: Some("Onhand"),
                topic: Some(topic),
                delivery_url: Some(address),
                secret: Some(&self.signs_with),
                status: "active",
            };
            let same = known.iter().find(|one| one.topic == topic && one.delivery_url == address);
            let done: Result<IgnoredAny, _> = match same {
                Some(one) => {
                    (put.topic, put.delivery_url) = (None, None);
                    self.session.change(Method::PUT, &format!("/webhooks/{}", one.id), &put).await
                }
                None => self.session.change(Method::POST, "/webhooks", &put).await,
            };
            done.map_err(|failed| self.session.failed(failed))?;
        }
        let is_over = |one: &&wire::Webhook| {
            one.delivery_url != address
                && base(address).is_some_and(|base| one.delivery_url.starts_with(base))
        };
        for old in known.iter().filter(is_over) {
            let done: Result<IgnoredAny, _> = self.session.remove(&format!("/webhooks/{}", old.id)).await;
            done.map_err(|failed| self.session.failed(failed))?;
        }
        Ok(())
    }

    /// Those of ours that were disabled are on again: their topics.
    pub(super) async fn revive(&self) -> Result<Vec<String>, ChannelError> {
        let mut revived = Vec::new();
        for one in self.webhooks("disabled").await? {
            if base(&one.delivery_url).is_none() {
                continue;
            }
            let put = wire::PutWebhook {
                name: None,
                topic: None,
                delivery_url: None,
                secret: None,
                status: "active",
            };
            let path = format!("/webhooks/{}", one.id);
            let done: Result<IgnoredAny, _> = self.session.change(Method::PUT, &path, &put).await;
            done.map_err(|failed| self.session.failed(failed))?;
            revived.push(one.topic);
        }
        Ok(revived)
    }

    async fn webhooks(&self, status: &str) -> Result<Vec<wire::Webhook>, ChannelError> {
        let mut all = Vec::<wire::Webhook>::new();
        loop {
            let query = [
                ("status", status.to_owned()),
                ("per_page", MOST.to_string()),
                ("offset", all.len().to_string()),
                ("orderby", "id".to_owned()),
                ("order", "asc".to_owned()),
            ];
            let page: Vec<wire::Webhook> = self.session.get("/webhooks", &query).await?;
            let is_last = page.len() < MOST;
            all.extend(page);
            if is_last {
                return Ok(all);
            }
        }
    }
}
