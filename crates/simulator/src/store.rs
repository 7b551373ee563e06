//! A disk that outlives the process, and sometimes fails it.

use std::sync::Arc;

use onhand_ledger::TenantId;
use onhand_store::{Batch, KeyAt, MemoryStore, Note, Reader, Store, StoreError};
use parking_lot::Mutex;

/// How the next commit fails.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Fails {
    /// Nothing is written.
    Before,
    /// It is written, and nobody can say so.
    After,
}

/// A store in memory. Clones see the same data.
#[derive(Clone, Default)]
pub struct Disk {
    store: MemoryStore,
    /// What becomes of the next commit.
    pub fails: Arc<Mutex<Option<Fails>>>,
}

impl Store for Disk {
    fn commit(&mut self, batches: &[(TenantId, Batch)]) -> Result<(), StoreError> {
        let reason = "simulated".to_owned();
        match self.fails.lock().take() {
            None => self.store.commit(batches),
            Some(Fails::Before) => Err(StoreError::Io { doing: "written", reason }),
            Some(Fails::After) => {
                self.store.commit(batches)?;
                Err(StoreError::Unclear { reason })
            }
        }
    }

    fn reader(&self) -> Result<Box<dyn Reader>, StoreError> {
        self.store.reader()
    }

    fn remember_keys(&mut self, tenant: TenantId, keys: &[KeyAt]) -> Result<(), StoreError> {
        self.store.remember_keys(tenant, keys)
    }

    fn clear_projections(&mut self) -> Result<(), StoreError> {
        self.store.clear_projections()
    }
}

onhand_store::read_through!(Disk, store, {
    fn notes_after(
        &mut self,
        tenant: TenantId,
        after: Option<(&str, &str)>,
        limit: usize,
    ) -> Result<Vec<Note>, StoreError> {
        self.store.notes_after(tenant, after, limit)
    }
});
