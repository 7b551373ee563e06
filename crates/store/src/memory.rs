//! Memory: the same interface without a file, for tests. Not durable.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;
use std::sync::{Arc, Mutex, PoisonError};

use onhand_ledger::state::{CellSlot, Slot, TrailRow};
use onhand_ledger::{CellKey, Instant, ItemId, Key, LocationId, Seq, StockState, TenantId};

use crate::{Batch, Chunk, Head, KeyAt, Note, Reader, Store, StoreError};

#[derive(Default)]
struct Tenant {
    head: Head,
    log: BTreeMap<Seq, Chunk>,
    cells: BTreeMap<CellKey, CellSlot>,
    trails: BTreeMap<CellKey, Vec<TrailRow>>,
    objects: BTreeMap<Key, Slot>,
    keys: BTreeSet<KeyAt>,
    notes: BTreeMap<(String, String), String>,
}

/// A store in memory. Clones and readers see the same data.
#[derive(Clone, Default)]
pub struct MemoryStore(Arc<Mutex<BTreeMap<TenantId, Tenant>>>);

impl MemoryStore {
    fn with<T>(&self, tenant: TenantId, read: impl FnOnce(&mut Tenant) -> T) -> T {
        read(self.0.lock().unwrap_or_else(PoisonError::into_inner).entry(tenant).or_default())
    }
}

impl Reader for MemoryStore {
    fn tenants(&mut self) -> Result<Vec<TenantId>, StoreError> {
        let tenants = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        Ok(tenants.iter().filter(|(_, tenant)| tenant.head.seq > 0).map(|(id, _)| *id).collect())
    }

    fn head(&mut self, tenant: TenantId) -> Result<Head, StoreError> {
        Ok(self.with(tenant, |tenant| tenant.head))
    }

    fn cell(&mut self, tenant: TenantId, key: &CellKey) -> Result<CellSlot, StoreError> {
        Ok(self.with(tenant, |tenant| tenant.cells.get(key).cloned().unwrap_or_default()))
    }

    fn cells_of(&mut self, tenant: TenantId, item: ItemId) -> Result<Vec<(CellKey, CellSlot)>, StoreError> {
        let from = CellKey::new(item, LocationId(0), StockState::Available);
        Ok(self.with(tenant, |tenant| {
            let range = tenant.cells.range(from..).take_while(|(key, _)| key.item == item);
            range.map(|(key, slot)| (*key, slot.clone())).collect()
        }))
    }

    fn cells_after(
        &mut self,
        tenant: TenantId,
        after: Option<CellKey>,
        limit: usize,
    ) -> Result<Vec<(CellKey, CellSlot)>, StoreError> {
        Ok(self.with(tenant, |tenant| {
            let cells = tenant.cells.iter().filter(|(key, _)| after.is_none_or(|after| **key > after));
            cells.take(limit).map(|(key, slot)| (*key, slot.clone())).collect()
        }))
    }

    fn object(&mut self, tenant: TenantId, key: &Key) -> Result<Slot, StoreError> {
        Ok(self.with(tenant, |tenant| tenant.objects.get(key).cloned().unwrap_or_default()))
    }

    fn range(
        &mut self,
        tenant: TenantId,
        from: &Key,
        to: &Key,
        reverse: bool,
        limit: usize,
    ) -> Result<Vec<(Key, Slot)>, StoreError> {
        Ok(self.with(tenant, |tenant| {
            let found = tenant
                .objects
                .range(from.clone()..=to.clone())
                .map(|(key, slot)| (key.clone(), slot.clone()));
            if reverse { found.rev().take(limit).collect() } else { found.take(limit).collect() }
        }))
    }

    fn objects_after(
        &mut self,
        tenant: TenantId,
        after: Option<&Key>,
        limit: usize,
    ) -> Result<Vec<(Key, Slot)>, StoreError> {
        let from = after.map_or(Bound::Unbounded, Bound::Excluded);
        Ok(self.with(tenant, |known| {
            let objects =
                known.objects.range((from, Bound::Unbounded)).filter(|(_, slot)| slot.value.is_some());
            objects.take(limit).map(|(key, slot)| (key.clone(), slot.clone())).collect()
        }))
    }

    fn keys_after(
        &mut self,
        tenant: TenantId,
        after: Option<KeyAt>,
        limit: usize,
    ) -> Result<Vec<KeyAt>, StoreError> {
        let from = after.map_or(Bound::Unbounded, Bound::Excluded);
        Ok(self
            .with(tenant, |known| known.keys.range((from, Bound::Unbounded)).take(limit).copied().collect()))
    }

    fn keys_like(&mut self, tenant: TenantId, hash: u64) -> Result<Vec<Seq>, StoreError> {
        let of_it = (hash, 0)..=(hash, Seq::MAX);
        Ok(self.with(tenant, |tenant| tenant.keys.range(of_it).map(|(_, seq)| *seq).collect()))
    }

    fn chunk_of(&mut self, tenant: TenantId, seq: Seq) -> Result<Option<Chunk>, StoreError> {
        Ok(self.with(tenant, |tenant| {
            let (_, chunk) = tenant.log.range(..=seq).next_back()?;
            (seq < chunk.first_seq + chunk.entries).then(|| chunk.clone())
        }))
    }

    fn chunks_after(&mut self, tenant: TenantId, seq: Seq, limit: usize) -> Result<Vec<Chunk>, StoreError> {
        Ok(self.with(tenant, |tenant| {
            let after = tenant.log.values().filter(|chunk| chunk.first_seq + chunk.entries > seq + 1);
            after.take(limit).cloned().collect()
        }))
    }

    fn trail_before(
        &mut self,
        tenant: TenantId,
        cell: &CellKey,
        at: Instant,
        known: Seq,
    ) -> Result<Option<TrailRow>, StoreError> {
        Ok(self.with(tenant, |tenant| {
            let rows = tenant.trails.get(cell)?;
            rows.iter().rev().find(|row| !row.late && row.occurred_at <= at && row.seq <= known).copied()
        }))
    }

    fn trail(
        &mut self,
        tenant: TenantId,
        cell: &CellKey,
        before: Seq,
        limit: usize,
    ) -> Result<Vec<TrailRow>, StoreError> {
        Ok(self.with(tenant, |tenant| {
            let rows = tenant.trails.get(cell).map(Vec::as_slice).unwrap_or_default();
            rows.iter().rev().filter(|row| row.seq < before).take(limit).copied().collect()
        }))
    }

    fn note(&mut self, tenant: TenantId, space: &str, key: &str) -> Result<Option<String>, StoreError> {
        Ok(self.with(tenant, |tenant| tenant.notes.get(&(space.to_owned(), key.to_owned())).cloned()))
    }

    fn notes(
        &mut self,
        tenant: TenantId,
        space: &str,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Vec<(String, String)>, StoreError> {
        Ok(self.with(tenant, |tenant| {
            let in_space = tenant
                .notes
                .iter()
                .filter(|((other, key), _)| other == space && after.is_none_or(|after| key.as_str() > after));
            in_space.take(limit).map(|((_, key), body)| (key.clone(), body.clone())).collect()
        }))
    }

    fn notes_after(
        &mut self,
        tenant: TenantId,
        after: Option<(&str, &str)>,
        limit: usize,
    ) -> Result<Vec<Note>, StoreError> {
        let is_after = |space: &str, key: &str| after.is_none_or(|after| (space, key) > after);
        Ok(self.with(tenant, |tenant| {
            let notes = tenant.notes.iter().filter(|((space, key), _)| is_after(space, key)).take(limit);
            notes
                .map(|((space, key), body)| Note {
                    space: space.clone(),
                    key: key.clone(),
                    body: Some(body.clone()),
                })
                .collect()
        }))
    }
}

impl Store for MemoryStore {
    fn commit(&mut self, batches: &[(TenantId, Batch)]) -> Result<(), StoreError> {
        for (tenant, batch) in batches {
            self.with(*tenant, |tenant| write(tenant, batch));
        }
        Ok(())
    }

    fn reader(&self) -> Result<Box<dyn Reader>, StoreError> {
        Ok(Box::new(self.clone()))
    }

    fn remember_keys(&mut self, tenant: TenantId, keys: &[KeyAt]) -> Result<(), StoreError> {
        self.with(tenant, |tenant| tenant.keys.extend(keys));
        Ok(())
    }

    fn clear_projections(&mut self) -> Result<(), StoreError> {
        for tenant in self.0.lock().unwrap_or_else(PoisonError::into_inner).values_mut() {
            tenant.head.flushed = 0;
            tenant.cells.clear();
            tenant.trails.clear();
            tenant.objects.clear();
            tenant.keys.clear();
            tenant.head.keyed = 0;
        }
        Ok(())
    }
}

fn write(tenant: &mut Tenant, batch: &Batch) {
    tenant.head = Head { keyed: batch.head.seq, ..batch.head };
    tenant.log.extend(batch.chunks.iter().map(|chunk| (chunk.first_seq, chunk.clone())));
    for (key, slot) in &batch.cells {
        // What was folded again at a start may be written already.
        let written = tenant.cells.get(key).map_or(0, |cell| cell.seq);
        let rows = slot.pending.iter().filter(|row| row.seq > written);
        tenant.trails.entry(*key).or_default().extend(rows);
        let written = CellSlot { pending: Vec::new(), latest_before_pending: slot.latest, ..*slot };
        tenant.cells.insert(*key, written);
    }
    for (key, slot) in &batch.objects {
        match slot.value {
            Some(_) => tenant.objects.insert(key.clone(), slot.clone()),
            None => tenant.objects.remove(key),
        };
    }
    tenant.keys.extend(&batch.keys);
    for note in &batch.notes {
        let key = (note.space.clone(), note.key.clone());
        match &note.body {
            Some(body) => tenant.notes.insert(key, body.clone()),
            None => tenant.notes.remove(&key),
        };
    }
}
