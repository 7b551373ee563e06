//! Which connected systems this process speaks with: all of them where it is alone, else its share, which the database gives out.
//!
//! A node says each second that it is there. Where it could not for [`OURS`], its workers end by its own clock, a second before
//! the database lets another node take them over ([`THERE_MS`]); it begins anew under another name. Of a node that died others
//! take over what it had within [`THERE_MS`] and a second.

use std::collections::BTreeSet;
use std::time::Duration;

use onhand_engine::Handle;
use onhand_engine::nodes::Connected;
use onhand_ledger::TenantId;
use onhand_store::{Presence, StoreError, Work};
use parking_lot::Mutex;
use tokio::sync::watch;
use tokio::time::Instant;

use crate::runtime::tenants_at;

/// A node is there for so long after it said so, in milliseconds, by the database's clock.
const THERE_MS: u32 = 5_000;
/// What was given to it is its own for so long after it began to say so, by its own clock.
const OURS: Duration = Duration::from_secs(4);
/// How often it says so.
const AGAIN: Duration = Duration::from_secs(1);

/// The systems whose workers run here.
#[derive(Clone, Default)]
pub(crate) struct Ours {
    systems: BTreeSet<Connected>,
    /// They are ours until then.
    until: Option<Instant>,
    /// Is no other node before us?
    is_first: bool,
}

impl Ours {
    fn has(&self, system: Connected) -> bool {
        self.until.is_some_and(|until| Instant::now() < until) && self.systems.contains(&system)
    }
}

/// This node among those of its database.
pub(crate) struct Nodes {
    handle: Handle,
    ours: watch::Sender<Ours>,
    /// Its name, once it is there.
    name: Mutex<Option<String>>,
}

impl Nodes {
    pub fn new(handle: Handle) -> Self {
        Self { handle, ours: watch::Sender::default(), name: Mutex::default() }
    }

    /// Does somebody else speak with some of the systems?
    fn is_shared(&self) -> bool {
        self.handle.ledger().is_shared()
    }

    /// Is a system's worker to run here?
    pub fn is_ours(&self, system: Connected) -> bool {
        !self.is_shared() || self.ours.borrow().has(system)
    }

    /// Does this node do what one of all nodes does?
    pub fn is_first(&self) -> bool {
        let is_first = |ours: &Ours| ours.is_first && ours.until.is_some_and(|until| Instant::now() < until);
        !self.is_shared() || is_first(&self.ours.borrow())
    }

    /// Waits until a system's worker is no longer to run here.
    pub async fn lost(&self, system: Connected) {
        if !self.is_shared() {
            return std::future::pending().await;
        }
        let mut ours = self.ours.subscribe();
        loop {
            let until = {
                let ours = ours.borrow_and_update();
                ours.until.filter(|_| ours.has(system))
            };
            let Some(until) = until else { return };
            tokio::select! {
                () = tokio::time::sleep_until(until) => {}
                changed = ours.changed() => if changed.is_err() { return },
            }
        }
    }

    /// The tenants that have systems that are ours.
    pub async fn tenants(&self) -> Vec<TenantId> {
        if !self.is_shared() {
            return tenants_at(&self.handle, Work::Connected).await;
        }
        let tenants: BTreeSet<TenantId> =
            self.ours.borrow().systems.iter().map(|(tenant, _)| *tenant).collect();
        tenants.into_iter().collect()
    }

    /// Tells of each change of what is ours.
    pub fn changes(&self) -> watch::Receiver<Ours> {
        self.ours.subscribe()
    }

    /// Says again and again that this node is there, and has its share.
    pub async fn stay(&self) {
        if !self.is_shared() {
            return;
        }
        loop {
            if let Err(error) = self.round().await {
                tracing::warn!(%error, "which systems this node speaks with cannot be seen; it is tried again");
            }
            tokio::time::sleep(AGAIN).await;
        }
    }

    async fn round(&self) -> Result<(), StoreError> {
        let known = self.name.lock().clone();
        let (name, presence) = match known {
            Some(name) => (name, Presence::Stays(THERE_MS)),
            None => (new_name()?, Presence::Enters(THERE_MS)),
        };
        let said_at = Instant::now();
        let there = self.asking(&name, move |ledger, name| ledger.stay(name, presence)).await?;
        if there.binary_search(&name).is_err() {
            if self.name.lock().take().is_some() {
                tracing::warn!("this node was not heard of for too long: others have taken over its systems");
            }
            self.ours.send_replace(Ours::default());
            return Ok(());
        }
        *self.name.lock() = Some(name.clone());
        // What is ours stays ours while it is looked what else is.
        self.ours.send_if_modified(|ours| {
            ours.until = Some(said_at + OURS);
            ours.is_first = there.first() == Some(&name);
            false
        });
        let ours = self.ours.clone();
        let taken = self.asking(&name, move |ledger, name| {
            ledger.take_share(name, &there, |ended| {
                ours.send_modify(|ours| ours.systems.retain(|system| !ended.contains(system)));
            })
        });
        let systems: BTreeSet<Connected> = taken.await?.into_iter().collect();
        self.ours.send_if_modified(|ours| {
            let changed = ours.systems != systems;
            ours.systems = systems;
            changed
        });
        Ok(())
    }

    /// Another node takes over at once.
    pub async fn leave(&self) {
        self.ours.send_replace(Ours::default());
        let Some(name) = self.name.lock().take() else { return };
        if let Err(error) = self.asking(&name, |ledger, name| ledger.stay(name, Presence::Leaves)).await {
            tracing::debug!(%error, "this node could not take its leave; its time is over by itself");
        }
    }

    async fn asking<T: Send + 'static>(
        &self,
        name: &str,
        asks: impl FnOnce(&onhand_engine::Ledger, &str) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        let (ledger, name) = (self.handle.ledger().clone(), name.to_owned());
        let asked = tokio::task::spawn_blocking(move || asks(&ledger, &name)).await;
        asked.unwrap_or_else(|_| Err(StoreError::Damaged("the node could not ask the database".to_owned())))
    }
}

/// A name that no node ever had.
fn new_name() -> Result<String, StoreError> {
    let mut bytes = [0; 16];
    getrandom::fill(&mut bytes)
        .map_err(|error| StoreError::Io { doing: "read", reason: format!("no random bytes: {error}") })?;
    Ok(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
}
