//! A disk that outlives the process, and sometimes fails it.

use std::sync::Arc;

use onhand_ledger::state::{CellSlot, Slot, TrailRow};
use onhand_ledger::{CellKey, Instant, ItemId, Key, Seq, TenantId};
use onhand_store::{Batch, Chunk, Head, KeyAt, MemoryStore, Note, Reader, Store, StoreError};
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

impl Reader for Disk {
    fn tenants(&mut self) -> Result<Vec<TenantId>, StoreError> {
        self.store.tenants()
    }

    fn head(&mut self, tenant: TenantId) -> Result<Head, StoreError> {
        self.store.head(tenant)
    }

    fn cell(&mut self, tenant: TenantId, key: &CellKey) -> Result<CellSlot, StoreError> {
        self.store.cell(tenant, key)
    }

    fn cells_of(&mut self, tenant: TenantId, item: ItemId) -> Result<Vec<(CellKey, CellSlot)>, StoreError> {
        self.store.cells_of(tenant, item)
    }

    fn cells_after(
        &mut self,
        tenant: TenantId,
        after: Option<CellKey>,
        limit: usize,
    ) -> Result<Vec<(CellKey, CellSlot)>, StoreError> {
        self.store.cells_after(tenant, after, limit)
    }

    fn object(&mut self, tenant: TenantId, key: &Key) -> Result<Slot, StoreError> {
        self.store.object(tenant, key)
    }

    fn range(
        &mut self,
        tenant: TenantId,
        from: &Key,
        to: &Key,
        reverse: bool,
        limit: usize,
    ) -> Result<Vec<(Key, Slot)>, StoreError> {
        self.store.range(tenant, from, to, reverse, limit)
    }

    fn objects_after(
        &mut self,
        tenant: TenantId,
        after: Option<&Key>,
        limit: usize,
    ) -> Result<Vec<(Key, Slot)>, StoreError> {
        self.store.objects_after(tenant, after, limit)
    }

    fn keys_after(
        &mut self,
        tenant: TenantId,
        after: Option<KeyAt>,
        limit: usize,
    ) -> Result<Vec<KeyAt>, StoreError> {
        self.store.keys_after(tenant, after, limit)
    }

    fn keys_like(&mut self, tenant: TenantId, hash: u64) -> Result<Vec<Seq>, StoreError> {
        self.store.keys_like(tenant, hash)
    }

    fn chunk_of(&mut self, tenant: TenantId, seq: Seq) -> Result<Option<Chunk>, StoreError> {
        self.store.chunk_of(tenant, seq)
    }

    fn chunks_after(&mut self, tenant: TenantId, seq: Seq, limit: usize) -> Result<Vec<Chunk>, StoreError> {
        self.store.chunks_after(tenant, seq, limit)
    }

    fn trail_before(
        &mut self,
        tenant: TenantId,
        cell: &CellKey,
        at: Instant,
        known: Seq,
    ) -> Result<Option<TrailRow>, StoreError> {
        self.store.trail_before(tenant, cell, at, known)
    }

    fn trail(
        &mut self,
        tenant: TenantId,
        cell: &CellKey,
        before: Seq,
        limit: usize,
    ) -> Result<Vec<TrailRow>, StoreError> {
        self.store.trail(tenant, cell, before, limit)
    }

    fn note(&mut self, tenant: TenantId, space: &str, key: &str) -> Result<Option<String>, StoreError> {
        self.store.note(tenant, space, key)
    }

    fn notes(
        &mut self,
        tenant: TenantId,
        space: &str,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Vec<(String, String)>, StoreError> {
        self.store.notes(tenant, space, after, limit)
    }

    fn notes_after(
        &mut self,
        tenant: TenantId,
        after: Option<(&str, &str)>,
        limit: usize,
    ) -> Result<Vec<Note>, StoreError> {
        self.store.notes_after(tenant, after, limit)
    }
}
