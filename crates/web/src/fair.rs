//! Fairness between tenants: what one of them can have under way at a time, so that the others find places free.
//!
//! A tenant has so many places of each kind; who finds none free waits behind others of the same tenant, in order, and in
//! nobody else's way. How fast a tenant alone can go is not bounded by it: the places suffice to fill every batch.

use std::collections::HashMap;
use std::sync::Arc;

use onhand_engine::SubmitError;
use onhand_ledger::TenantId;
use parking_lot::RwLock;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, SemaphorePermit};

/// Half of those who may read at a time (`blocking.rs`).
const READS: usize = 16;
/// A sixteenth of what waits to be committed at most, and half of what is committed together.
const ASKED: usize = 1_024;
/// Whoever comes while so many wait for a place is turned away: what waits is kept in memory.
const WAITING: usize = 8_192;
/// A quarter of the blocks that wait in bulk at most.
const BLOCKS: usize = 16;
/// Half of the files that are in memory at a time (`v1/import.rs`); each has up to 8 blocks under way.
const IMPORTS: usize = 1;

/// Files of a tenant that are being made at a time, and those of all of them.
const EXPORTS: usize = 4;
const ALL_EXPORTS: usize = 16;

/// The places of all tenants.
pub struct Fair {
    tenants: RwLock<HashMap<TenantId, Arc<Places>>>,
    exports: Arc<Semaphore>,
    /// An audit reads all of a log, and takes all of a processor while it does.
    audits: Arc<Semaphore>,
}

impl Default for Fair {
    fn default() -> Self {
        let (exports, audits) = (Semaphore::new(ALL_EXPORTS), Semaphore::new(1));
        Self { tenants: RwLock::default(), exports: Arc::new(exports), audits: Arc::new(audits) }
    }
}

/// A place of one's own, and one of all.
pub(crate) struct Both {
    _own: OwnedSemaphorePermit,
    _of_all: OwnedSemaphorePermit,
}

impl Fair {
    /// To make a file, until all of it is read.
    pub(crate) async fn to_export(&self, tenant: TenantId) -> Both {
        let own = owned(&self.of(tenant).exports).await;
        Both { _own: own, _of_all: owned(&self.exports).await }
    }

    /// To audit a ledger, until that is done.
    pub(crate) async fn to_audit(&self, tenant: TenantId) -> Both {
        let own = owned(&self.of(tenant).audits).await;
        Both { _own: own, _of_all: owned(&self.audits).await }
    }

    pub(crate) fn of(&self, tenant: TenantId) -> Arc<Places> {
        if let Some(places) = self.tenants.read().get(&tenant) {
            return places.clone();
        }
        self.tenants.write().entry(tenant).or_default().clone()
    }
}

/// What a tenant can have under way.
pub(crate) struct Places {
    reads: Semaphore,
    asked: Semaphore,
    waiting: Semaphore,
    blocks: Arc<Semaphore>,
    imports: Arc<Semaphore>,
    exports: Arc<Semaphore>,
    audits: Arc<Semaphore>,
}

impl Default for Places {
    fn default() -> Self {
        Self {
            reads: Semaphore::new(READS),
            asked: Semaphore::new(ASKED),
            waiting: Semaphore::new(WAITING),
            blocks: Arc::new(Semaphore::new(BLOCKS)),
            imports: Arc::new(Semaphore::new(IMPORTS)),
            exports: Arc::new(Semaphore::new(EXPORTS)),
            audits: Arc::new(Semaphore::new(1)),
        }
    }
}

impl Places {
    /// To read the ledger once.
    pub async fn to_read(&self) -> SemaphorePermit<'_> {
        free(&self.reads).await
    }

    /// To ask for one thing, until it is durable.
    pub async fn to_ask(&self) -> Result<SemaphorePermit<'_>, SubmitError> {
        if let Ok(place) = self.asked.try_acquire() {
            return Ok(place);
        }
        let _waits = self.waiting.try_acquire().map_err(|_| SubmitError::Busy)?;
        Ok(free(&self.asked).await)
    }

    /// To hand in a block in bulk, until it is durable.
    pub async fn to_hand_in(&self) -> OwnedSemaphorePermit {
        owned(&self.blocks).await
    }

    /// To import a file, until all of it is.
    pub async fn to_import(&self) -> OwnedSemaphorePermit {
        owned(&self.imports).await
    }
}

async fn owned(places: &Arc<Semaphore>) -> OwnedSemaphorePermit {
    places.clone().acquire_owned().await.expect("it is never closed")
}

async fn free(places: &Semaphore) -> SemaphorePermit<'_> {
    places.acquire().await.expect("it is never closed")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn one_tenant_fills_its_own_places_and_no_others() {
        let fair = Fair::default();
        let (one, two) = (fair.of(TenantId(1)), fair.of(TenantId(2)));
        let mut held = Vec::new();
        for _ in 0..ASKED {
            held.push(one.to_ask().await.unwrap());
        }
        assert!(one.asked.try_acquire().is_err());
        drop(two.to_ask().await.unwrap());
        // One waits, and comes in once a place is free.
        let waiting = fair.of(TenantId(1));
        let waits = tokio::spawn(async move { waiting.to_ask().await.is_ok() });
        while one.waiting.available_permits() == WAITING {
            tokio::task::yield_now().await;
        }
        held.pop();
        assert!(waits.await.unwrap());
        assert_eq!(one.waiting.available_permits(), WAITING);
        // More than may wait are turned away.
        let all = one.waiting.try_acquire_many(u32::try_from(WAITING).unwrap()).unwrap();
        held.push(one.to_ask().await.unwrap());
        assert!(matches!(one.to_ask().await, Err(SubmitError::Busy)));
        drop(all);
    }
}
