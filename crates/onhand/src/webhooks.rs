//! Sends webhooks to whoever subscribed: one node of all does. What is sent, when again, and what an answer means is decided by
//! [`onhand_engine::subscriptions`]; here are the timers and the calls.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use onhand_channels::signed::{Answered, Signed};
use onhand_engine::SubmitError;
use onhand_engine::subscriptions::{Outbox, Sendable};
use onhand_ledger::TenantId;
use onhand_store::{Note, Work};
use onhand_web::App;
use tokio::sync::broadcast::error::RecvError;
use tokio::task::JoinSet;
use tokio::time::Instant;

use crate::nodes::Nodes;
use crate::runtime::tenants_at;

/// What comes within it is told together.
const GATHER: Duration = Duration::from_millis(50);
/// It is looked so often where nothing says that there is something new: what other nodes write.
const LOOK: Duration = Duration::from_secs(1);

/// Once so many attempts are under way together, no more are begun.
const BESIDE: usize = 256;

/// What came of an attempt.
struct Done {
    tenant: TenantId,
    sent: Sendable,
    answered: Answered,
    /// When it was begun, and when it was answered.
    at: (onhand_ledger::Instant, onhand_ledger::Instant),
}

/// What is on its way, of each tenant.
struct Post {
    app: App,
    /// How long after each failure the next attempt is made, in seconds.
    delays: Vec<u32>,
    outboxes: BTreeMap<TenantId, Outbox>,
    under_way: JoinSet<Done>,
}

/// Sends what is to be sent, for as long as this node is the one that does.
pub(crate) async fn send(app: App, nodes: Arc<Nodes>, delays: Vec<u32>) {
    let ledger = app.handle.ledger().clone();
    let (mut feed, mut noted) = (ledger.feed(), ledger.noted());
    let mut post = Post { app, delays, outboxes: BTreeMap::new(), under_way: JoinSet::new() };
    let (mut told, mut all_at) = (BTreeSet::new(), Instant::now());
    loop {
        feed.mark_unchanged();
        let mut more = false;
        if nodes.is_first() {
            let is_all_due = all_at <= Instant::now();
            if is_all_due {
                all_at = Instant::now() + LOOK;
            }
            more = post.round(std::mem::take(&mut told), is_all_due).await;
        } else {
            // Another node goes on with what is kept.
            post.outboxes.clear();
            post.under_way.abort_all();
        }
        let follows = !post.outboxes.is_empty();
        let wait = if more { GATHER } else { post.wait(ledger.clock().now()) };
        tokio::select! {
            () = tokio::time::sleep(wait) => {}
            changed = feed.changed(), if follows => if changed.is_err() { return },
            of = noted.recv() => match of {
                Ok(tenant) => _ = told.insert(tenant),
                Err(RecvError::Lagged(_)) => all_at = Instant::now(),
                Err(RecvError::Closed) => return,
            },
            Some(done) = post.under_way.join_next() => {
                if let Ok(done) = done {
                    post.settle(done).await;
                }
            }
        }
        tokio::time::sleep(GATHER).await;
        while let Ok(tenant) = noted.try_recv() {
            told.insert(tenant);
        }
    }
}

impl Post {
    /// Looks what is new of those that are told of and those that have subscriptions, or of all, and sends what is due. Is there more
    /// to look at?
    async fn round(&mut self, mut tenants: BTreeSet<TenantId>, is_all_due: bool) -> bool {
        while let Some(done) = self.under_way.try_join_next() {
            if let Ok(done) = done {
                self.settle(done).await;
            }
        }
        tenants.extend(self.outboxes.keys());
        if is_all_due {
            tenants.extend(tenants_at(&self.app.handle, Work::Subscribed).await);
        }
        let mut more = false;
        for tenant in tenants {
            more |= self.look(tenant).await;
        }
        let now = self.app.handle.ledger().clock().now();
        for (tenant, outbox) in &mut self.outboxes {
            if self.under_way.len() >= BESIDE {
                break;
            }
            for sent in outbox.due(now) {
                self.under_way.spawn(attempt(self.app.clone(), *tenant, sent));
            }
        }
        more
    }

    async fn look(&mut self, tenant: TenantId) -> bool {
        let mut outbox = self.outboxes.remove(&tenant).unwrap_or_default();
        let ledger = self.app.handle.ledger().clone();
        let looked = tokio::task::spawn_blocking(move || {
            let looked = outbox.look(&ledger, tenant);
            (outbox, looked)
        });
        let Ok((outbox, looked)) = looked.await else { return false };
        let looked = match looked {
            Ok(looked) => looked,
            Err(error) => {
                tracing::warn!(%error, "what subscribers are to be sent cannot be seen; it is tried again");
                return false;
            }
        };
        // What is to be sent is durable before anything is sent.
        if self.keep(tenant, looked.notes).await && !outbox.is_empty() {
            self.outboxes.insert(tenant, outbox);
        }
        looked.more
    }

    /// Writes what is to be kept. Where that fails, what is in memory is thrown away: what is kept is read again.
    async fn keep(&self, tenant: TenantId, notes: Vec<Note>) -> bool {
        if notes.is_empty() {
            return true;
        }
        match self.app.handle.submit_with(tenant, None, notes).await {
            Ok(_) => true,
            Err(error) => {
                say_unkept(&error);
                false
            }
        }
    }

    async fn settle(&mut self, done: Done) {
        let Done { tenant, sent, answered, at } = done;
        let Some(outbox) = self.outboxes.get_mut(&tenant) else { return };
        let was_off = outbox.off(&sent.subscription).is_some();
        let mut random = [0; 8];
        // Without random bytes all come at the same instant, which is no reason to send nothing.
        let _ = getrandom::fill(&mut random);
        let notes = outbox.answered(&sent, &answered, at, &self.delays, u64::from_le_bytes(random));
        if let Some(off) = outbox.off(&sent.subscription).filter(|_| !was_off) {
            let (name, why) = (&sent.name, &off.why);
            tracing::error!(
                subscription = name,
                why,
                "no webhooks are sent there any more: `onhand webhook enable` once that is mended"
            );
        }
        if !self.keep(tenant, notes).await {
            self.outboxes.remove(&tenant);
        }
    }

    /// Until something is due.
    fn wait(&self, now: onhand_ledger::Instant) -> Duration {
        let next = self.outboxes.values().filter_map(Outbox::next_due).min();
        let left = next.map_or(i64::MAX, |next| next.micros() - now.micros());
        Duration::from_micros(u64::try_from(left).unwrap_or(0)).min(LOOK)
    }
}

fn say_unkept(error: &SubmitError) {
    match error {
        SubmitError::Busy => {
            tracing::debug!(
                "what was sent could not be kept just now; it may be sent again, under the same id"
            )
        }
        error => {
            tracing::warn!(%error, "what was sent could not be kept; it may be sent again, under the same id")
        }
    }
}

async fn attempt(app: App, tenant: TenantId, sent: Sendable) -> Done {
    let clock = app.handle.ledger().clock().clone();
    let at = clock.now();
    let secrets: Vec<&str> = sent.secrets.iter().map(String::as_str).collect();
    let webhook = Signed { url: &sent.url, id: &sent.message, at, body: &sent.body, secrets: &secrets };
    let answered = app.sender.send(&webhook).await;
    let (name, status, said) = (&sent.name, answered.status, &answered.said);
    tracing::debug!(subscription = name, message = sent.message, status, said, "a webhook was sent");
    Done { tenant, answered, at: (at, clock.now()), sent }
}
