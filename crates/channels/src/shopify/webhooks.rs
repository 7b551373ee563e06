//! Asking for webhooks, each once. After 8 tries in 4 hours that nobody takes, Shopify ends them
//! (<https://shopify.dev/docs/apps/build/webhooks/troubleshooting-webhooks>): asked again, they come again.

use super::{Shopify, documents, wire};
use crate::ChannelError;

/// What we ask to hear of. What a push of ours does is not among it.
const TOPICS: [&str; 6] = [
    "ORDERS_CREATE",
    "ORDERS_UPDATED",
    "ORDERS_CANCELLED",
    "REFUNDS_CREATE",
    "FULFILLMENTS_CREATE",
    "FULFILLMENTS_UPDATE",
];
/// What our addresses have in common.
const HOOKS: &str = "/hooks/";

impl Shopify {
    /// Has all of them sent to this address, and none to one that we had before.
    pub(super) async fn register(&self, address: &str) -> Result<(), ChannelError> {
        let known = self.all(documents::WEBHOOKS, |list: wire::Webhooks| list.webhook_subscriptions).await?;
        let base = address.rfind(HOOKS).map(|at| &address[..at + HOOKS.len()]);
        for topic in TOPICS {
            if known.iter().any(|one| one.topic == topic && one.uri == address) {
                continue;
            }
            let asked = wire::Subscribe { topic, uri: address };
            let done: wire::Subscribed = self.session.ask(documents::SUBSCRIBE, &asked).await?;
            let refused = done.webhook_subscription_create.map(|done| done.user_errors);
            if let Some(error) = refused.iter().flatten().next() {
                let said = format!("it does not send {topic} to this address: {}", error.message);
                return Err(self.session.peer.unexpected(said));
            }
        }
        let is_over = |one: &&wire::Subscription| {
            one.uri != address && base.is_some_and(|base| one.uri.starts_with(base))
        };
        for old in known.iter().filter(is_over) {
            let _: wire::Unsubscribed =
                self.session.ask(documents::UNSUBSCRIBE, &wire::OfId { id: &old.id }).await?;
        }
        Ok(())
    }
}
