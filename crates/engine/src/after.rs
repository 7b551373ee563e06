//! What systems would show of an item after a command. Nothing is written.

use onhand_ledger::state::{CellSlot, Slot, TrailRow};
use onhand_ledger::{
    Answer, CellKey, Command, Instant, ItemId, Key, Quantity, Refusal, Seq, TenantId, Value,
};
use onhand_store::{Chunk, Head, KeyAt, Note, Reader, Shown, StoreError};

use crate::commit::CommitError;
use crate::rehearse::Rehearsal;
use crate::systems::{desired_by, remote_locations};
use crate::view::View;

/// What a listing shows, and would show.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Foreseen {
    /// The system's name.
    pub system: String,
    /// The listing's id over there.
    pub listing: String,
    /// The remote location's id.
    pub remote_location: String,
    /// What it sells: the item, or a kit with it.
    pub sku: String,
    /// What it should show now; none: it is left to the system.
    pub from: Option<Quantity>,
    /// What it should show then.
    pub to: Option<Quantity>,
    /// Why so much then; empty where it is all that is available.
    pub because: String,
}

/// What all listings of an item, and of kits with it, should show after a command; or with what it would be refused.
pub fn after(
    view: &mut View<'_>,
    command: &Command,
    item: ItemId,
) -> Result<Result<Vec<Foreseen>, Refusal>, CommitError> {
    let mut items = vec![item];
    items.extend(view.kits_around(item)?);
    let mut rehearsal = Rehearsal::begin(view);
    if let Answer::Refused(refusal) = rehearsal.decide(view, command)?.answer {
        return Ok(Err(refusal));
    }
    let mut all = numbers(view, &items)?;
    let (tenant, now) = (view.tenant, view.now);
    let mut beneath = Beneath(view);
    let mut then = View::new(tenant, rehearsal.state(), &mut beneath, now);
    for (known, would) in all.iter_mut().zip(numbers(&mut then, &items)?) {
        (known.to, known.because) = (would.to, would.because);
    }
    Ok(Ok(all))
}

/// What all listings of some items should show, as `from` and as `to`.
fn numbers(view: &mut View<'_>, items: &[ItemId]) -> Result<Vec<Foreseen>, StoreError> {
    let index = view.published()?;
    let mut all = Vec::new();
    for item in items {
        let sku = view.item(*item)?.map(|item| item.sku).unwrap_or_default();
        for (id, listing) in view.listings_of(*item)? {
            let Some(system) = view.system(listing.system)? else { continue };
            if !system.mode.direction.sends() {
                continue;
            }
            for remote_location in remote_locations(&system) {
                let found = desired_by(view, &index, id, &listing, &system, &remote_location)?;
                let Some(should) = found else { continue };
                let quantity = (!should.is_skipped).then_some(should.quantity);
                all.push(Foreseen {
                    system: system.name.clone(),
                    listing: listing.remote_id.clone(),
                    remote_location,
                    sku: sku.clone(),
                    from: quantity,
                    to: quantity,
                    because: should.because(),
                });
            }
        }
    }
    Ok(all)
}

/// A view, read as a store is: what a rehearsal has not touched is as it is now, in memory or in tables.
struct Beneath<'a, 'b>(&'a mut View<'b>);

impl Reader for Beneath<'_, '_> {
    fn tenants(&mut self) -> Result<Vec<TenantId>, StoreError> {
        self.0.reader.tenants()
    }

    fn head(&mut self, tenant: TenantId) -> Result<Head, StoreError> {
        self.0.reader.head(tenant)
    }

    fn cell(&mut self, _: TenantId, key: &CellKey) -> Result<CellSlot, StoreError> {
        self.0.cell(key)
    }

    fn cells_of(&mut self, _: TenantId, item: ItemId) -> Result<Vec<(CellKey, CellSlot)>, StoreError> {
        self.0.cells_of(item)
    }

    fn cells_after(
        &mut self,
        tenant: TenantId,
        after: Option<CellKey>,
        limit: usize,
    ) -> Result<Vec<(CellKey, CellSlot)>, StoreError> {
        self.0.reader.cells_after(tenant, after, limit)
    }

    fn object(&mut self, _: TenantId, key: &Key) -> Result<Slot, StoreError> {
        Ok(slot(self.0.get(key)?))
    }

    fn range(
        &mut self,
        _: TenantId,
        from: &Key,
        to: &Key,
        reverse: bool,
        limit: usize,
    ) -> Result<Vec<(Key, Slot)>, StoreError> {
        let found = self.0.range(from, to, reverse, limit)?;
        Ok(found.into_iter().map(|(key, value)| (key, slot(Some(value)))).collect())
    }

    fn objects_after(
        &mut self,
        tenant: TenantId,
        after: Option<&Key>,
        limit: usize,
    ) -> Result<Vec<(Key, Slot)>, StoreError> {
        self.0.reader.objects_after(tenant, after, limit)
    }

    fn keys_after(
        &mut self,
        tenant: TenantId,
        after: Option<KeyAt>,
        limit: usize,
    ) -> Result<Vec<KeyAt>, StoreError> {
        self.0.reader.keys_after(tenant, after, limit)
    }

    fn keys_like(&mut self, tenant: TenantId, hash: u64) -> Result<Vec<Seq>, StoreError> {
        self.0.reader.keys_like(tenant, hash)
    }

    fn chunk_of(&mut self, tenant: TenantId, seq: Seq) -> Result<Option<Chunk>, StoreError> {
        self.0.reader.chunk_of(tenant, seq)
    }

    fn chunks_after(&mut self, tenant: TenantId, seq: Seq, limit: usize) -> Result<Vec<Chunk>, StoreError> {
        self.0.reader.chunks_after(tenant, seq, limit)
    }

    fn trail_before(
        &mut self,
        tenant: TenantId,
        cell: &CellKey,
        at: Instant,
        known: Seq,
    ) -> Result<Option<TrailRow>, StoreError> {
        self.0.reader.trail_before(tenant, cell, at, known)
    }

    fn trail(
        &mut self,
        tenant: TenantId,
        cell: &CellKey,
        before: Seq,
        limit: usize,
    ) -> Result<Vec<TrailRow>, StoreError> {
        self.0.reader.trail(tenant, cell, before, limit)
    }

    fn note(&mut self, tenant: TenantId, space: &str, key: &str) -> Result<Option<String>, StoreError> {
        self.0.reader.note(tenant, space, key)
    }

    fn notes(
        &mut self,
        tenant: TenantId,
        space: &str,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Vec<(String, String)>, StoreError> {
        self.0.reader.notes(tenant, space, after, limit)
    }

    fn notes_after(
        &mut self,
        tenant: TenantId,
        after: Option<(&str, &str)>,
        limit: usize,
    ) -> Result<Vec<Note>, StoreError> {
        self.0.reader.notes_after(tenant, after, limit)
    }

    fn shown_since(&mut self, tenant: TenantId, version: Option<i64>) -> Result<Option<Shown>, StoreError> {
        self.0.reader.shown_since(tenant, version)
    }
}

fn slot(value: Option<Value>) -> Slot {
    Slot { value, seq: 0 }
}
