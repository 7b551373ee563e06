//! Reads: a tenant's state at one `seq`, from memory where it is there and from tables where not.

use std::collections::{BTreeMap, VecDeque};

use onhand_ledger::availability::{self, Look};
use onhand_ledger::entry::Entry;
use onhand_ledger::key::StockState;
use onhand_ledger::model::{
    Component, Item, Listing, Location, Lot, Pack, Publication, Reversals, Rules, Sites, System, Tracking,
};
use onhand_ledger::state::{CellSlot, Slot, TrailRow};
use onhand_ledger::{
    CellKey, Instant, ItemId, Key, ListingId, LocationId, LotId, Money, OrderId, Quantity, Record, Seq,
    State, SystemId, TenantId, Value, gtin,
};
use onhand_store::{Chunk, Head, KeyAt, Reader, StoreError, decode_records};

use crate::history::order_of;
use crate::tallies::Tallies;

/// A tenant's state at one `seq`.
pub struct View<'a> {
    pub(crate) tenant: TenantId,
    pub(crate) state: &'a State,
    pub(crate) reader: &'a mut dyn Reader,
    /// What is known of all listings; none where what is seen is not what there is.
    pub(crate) tallies: Option<&'a Tallies>,
    /// That was brought up to what is seen here.
    pub(crate) is_counted: bool,
    /// The clock's time when the view was taken.
    pub now: Instant,
}

/// One movement of a lot or serial, with the record it is part of.
#[derive(Clone, Debug)]
pub struct HistoryRow {
    /// The movement's entry.
    pub seq: Seq,
    /// The entry.
    pub entry: Entry,
    /// What one unit of what it brought did cost, where it was told.
    pub cost: Option<Money>,
    /// What of it was taken back.
    pub reversals: Reversals,
    /// When it was recorded, by whom, from which document; its entries are left out.
    pub record: Record,
    /// The order that it was for.
    pub order: Option<OrderId>,
}

/// Of a range so many more are read at a time than are asked for.
const HIDDEN: usize = 2;
/// So many chunks of the log are read first, and then twice as many each time, up to so many: some have one record, some thousands.
const CHUNKS: usize = 4;
const MOST_CHUNKS: usize = 64;
/// So many listings are looked at together at most.
const LISTINGS: usize = 10_000;

impl<'a> View<'a> {
    pub(crate) fn new(tenant: TenantId, state: &'a State, reader: &'a mut dyn Reader, now: Instant) -> Self {
        // Another node's clock may be ahead of ours: what it wrote is not of the future.
        Self { tenant, state, reader, tallies: None, is_counted: false, now: now.max(state.recorded_at) }
    }

    pub(crate) const fn knowing(self, tallies: &'a Tallies) -> Self {
        Self { tallies: Some(tallies), ..self }
    }

    /// The last entry that this view sees.
    pub fn seq(&self) -> Seq {
        self.state.head
    }

    /// Has something ended by now that is not committed yet? Commit a [`onhand_ledger::Body::Tick`] and look again.
    pub fn overdue(&self) -> bool {
        self.state.next_due().is_some_and(|(at, _)| at <= self.now)
    }

    /// When time does something next.
    pub fn next_due(&self) -> Option<Instant> {
        self.state.next_due().map(|(at, _)| at)
    }

    /// An object.
    pub fn get(&mut self, key: &Key) -> Result<Option<Value>, StoreError> {
        match self.state.object(key) {
            Some(slot) => Ok(slot.value.clone()),
            None => Ok(self.reader.object(self.tenant, key)?.value),
        }
    }

    /// Up to `limit` objects from one key to another of its kind, both included.
    pub fn range(
        &mut self,
        from: &Key,
        to: &Key,
        reverse: bool,
        limit: usize,
    ) -> Result<Vec<(Key, Value)>, StoreError> {
        let mut dirty = self.state.dirty_range(from, to);
        let mut next_dirty = move || if reverse { dirty.next_back() } else { dirty.next() };
        let mut newer = next_dirty();
        let mut written = VecDeque::new();
        let (mut after, mut is_all) = (None::<Key>, false);
        let mut found = Vec::new();
        while found.len() < limit {
            if written.is_empty() && !is_all {
                // Beside the last of the page before, which comes again, some may be hidden by what is dirty.
                let asked = (limit - found.len()).saturating_add(HIDDEN);
                let (from, to) = match &after {
                    None => (from, to),
                    Some(last) if reverse => (from, last),
                    Some(last) => (last, to),
                };
                let page = self.reader.range(self.tenant, from, to, reverse, asked)?;
                is_all = page.len() < asked;
                let last = page.last().map(|(key, _)| key.clone());
                written.extend(page.into_iter().filter(|(key, _)| after.as_ref() != Some(key)));
                after = last.or(after);
            }
            let is_first = |key: &Key, other: &Key| if reverse { key >= other } else { key <= other };
            let older = written.front().map(|(key, _)| key);
            let Some((key, slot)) = newer.filter(|(key, _)| older.is_none_or(|older| is_first(key, older)))
            else {
                let Some((key, slot)) = written.pop_front() else { break };
                found.extend(slot.value.map(|value| (key, value)));
                continue;
            };
            // It is dirty: what was written of it is older.
            if older == Some(key) {
                written.pop_front();
            }
            found.extend(slot.value.clone().map(|value| (key.clone(), value)));
            newer = next_dirty();
        }
        Ok(found)
    }

    /// A cell; the default where there is none.
    pub fn cell(&mut self, key: &CellKey) -> Result<CellSlot, StoreError> {
        match self.state.cell(key) {
            Some(slot) => Ok(CellSlot { pending: Vec::new(), ..*slot }),
            None => self.reader.cell(self.tenant, key),
        }
    }

    /// What a cell holds.
    pub fn held(
        &mut self,
        item: ItemId,
        location: LocationId,
        state: StockState,
    ) -> Result<Quantity, StoreError> {
        self.cell(&CellKey::new(item, location, state)).map(|slot| slot.quantity)
    }

    /// All cells of an item that ever moved, outside parties' included, in key order.
    pub fn cells_of(&mut self, item: ItemId) -> Result<Vec<(CellKey, CellSlot)>, StoreError> {
        let mut cells: BTreeMap<CellKey, CellSlot> =
            self.reader.cells_of(self.tenant, item)?.into_iter().collect();
        let dirty = self.state.dirty_cells_of(item);
        cells.extend(dirty.map(|(key, slot)| (*key, CellSlot { pending: Vec::new(), ..*slot })));
        Ok(cells.into_iter().collect())
    }

    /// How much of an item can be promised at a location and inside it, kits that can be built included.
    pub fn available(&mut self, item: ItemId, location: LocationId) -> Result<Quantity, StoreError> {
        availability::available(self, item, location)
    }

    /// What a cell held at an instant by what happened, as known now, or as it was known at `known_at`.
    pub fn as_of(
        &mut self,
        cell: CellKey,
        at: Instant,
        known_at: Option<Instant>,
    ) -> Result<Quantity, StoreError> {
        let known = match known_at {
            None => Seq::MAX,
            Some(known_at) => self.seq_at(known_at)?,
        };
        crate::commit::as_of(self.state, &mut *self.reader, self.tenant, cell, at, known)
    }

    /// What a cell held at an instant by what happened, as known at an entry.
    pub fn as_of_seq(&mut self, cell: CellKey, at: Instant, known: Seq) -> Result<Quantity, StoreError> {
        crate::commit::as_of(self.state, &mut *self.reader, self.tenant, cell, at, known)
    }

    /// The last entry recorded at or before an instant.
    pub fn seq_at(&mut self, at: Instant) -> Result<Seq, StoreError> {
        // Times grow along the log: halve until one chunk is left, the first that ends later. That one alone is read record by record.
        let (mut low, mut high) = (0, self.seq());
        let mut across = None;
        while low < high {
            let chunk = self.chunk_of(low + (high - low).div_ceil(2))?;
            if chunk.recorded_at <= at {
                low = chunk.first_seq + chunk.entries - 1;
            } else {
                high = chunk.first_seq - 1;
                across = Some(chunk);
            }
        }
        let records = across.map(|chunk| decode_records(&chunk)).transpose()?.unwrap_or_default();
        let before = records.iter().filter(|(_, record)| record.recorded_at <= at);
        Ok(before.map(|(first, record)| first + record.entries.len() as Seq - 1).max().unwrap_or(low))
    }

    pub(crate) fn chunk_of(&mut self, seq: Seq) -> Result<Chunk, StoreError> {
        let chunk = self.reader.chunk_of(self.tenant, seq)?;
        chunk.ok_or_else(|| StoreError::Damaged(format!("entry {seq} is missing from the log")))
    }

    /// An entry; none where the log does not reach so far.
    pub(crate) fn entry_alone(&mut self, seq: Seq) -> Result<Option<Entry>, StoreError> {
        let records = decode_records(&self.chunk_of(seq)?)?;
        let of = |(first, record): (Seq, Record)| {
            let index = usize::try_from(seq.checked_sub(first)?).ok()?;
            record.entries.into_iter().nth(index)
        };
        Ok(records.into_iter().find_map(of))
    }

    /// Up to `limit` records after a `seq`, each with its first entry's.
    pub fn records_after(&mut self, seq: Seq, limit: usize) -> Result<Vec<(Seq, Record)>, StoreError> {
        let mut records = Vec::new();
        let (mut after, mut wanted) = (seq, CHUNKS);
        while records.len() < limit && after < self.seq() {
            let chunks = self.reader.chunks_after(self.tenant, after, wanted.min(limit))?;
            if chunks.is_empty() {
                break;
            }
            wanted = MOST_CHUNKS.min(2 * wanted);
            for chunk in chunks {
                if records.len() >= limit {
                    break;
                }
                after = chunk.first_seq + chunk.entries - 1;
                let decoded = decode_records(&chunk)?.into_iter();
                records
                    .extend(decoded.filter(|(first, record)| first + record.entries.len() as Seq - 1 > seq));
            }
        }
        records.truncate(limit);
        Ok(records)
    }

    /// The chunks after a `seq`, for exports and audits.
    pub fn chunks_after(&mut self, seq: Seq, limit: usize) -> Result<Vec<Chunk>, StoreError> {
        self.reader.chunks_after(self.tenant, seq, limit)
    }

    /// Where the log ends, as tables have it.
    pub fn head(&mut self) -> Result<Head, StoreError> {
        self.reader.head(self.tenant)
    }

    /// Cells after a key, as tables have them.
    pub fn cells_after(
        &mut self,
        after: Option<CellKey>,
        limit: usize,
    ) -> Result<Vec<(CellKey, CellSlot)>, StoreError> {
        self.reader.cells_after(self.tenant, after, limit)
    }

    /// The movements of a lot and its pieces, or of a serial, after a `seq`, the oldest first.
    pub fn way_of(
        &mut self,
        item: ItemId,
        lot: LotId,
        after: Seq,
        limit: usize,
    ) -> Result<Vec<HistoryRow>, StoreError> {
        let mut seqs = std::collections::BTreeSet::new();
        for (cell, _) in self.cells_of(item)? {
            if cell.state.is_party() || !self.is_of_lot(cell.lot, lot)? {
                continue;
            }
            let pending = self.state.cell(&cell).map(|slot| slot.pending.as_slice()).unwrap_or_default();
            seqs.extend(pending.iter().map(|row| row.seq));
            let written = self.reader.trail(self.tenant, &cell, Seq::MAX >> 1, usize::MAX)?;
            seqs.extend(written.into_iter().map(|row| row.seq));
        }
        self.rows(seqs.into_iter().filter(|seq| *seq > after).take(limit))
    }

    /// Is it that lot, or a piece of it?
    pub fn is_of_lot(&mut self, lot: LotId, of: LotId) -> Result<bool, StoreError> {
        Ok(lot == of || self.lot(lot)?.is_some_and(|lot| lot.of == Some(of)))
    }

    /// These entries of the log, each with the record it is part of.
    fn rows(&mut self, seqs: impl Iterator<Item = Seq>) -> Result<Vec<HistoryRow>, StoreError> {
        let mut rows = Vec::new();
        let mut chunk: Option<(Chunk, Vec<(Seq, Record)>)> = None;
        for seq in seqs {
            let inside = |chunk: &Chunk| (chunk.first_seq..chunk.first_seq + chunk.entries).contains(&seq);
            if !chunk.as_ref().is_some_and(|(chunk, _)| inside(chunk)) {
                let found = self.chunk_of(seq)?;
                let records = decode_records(&found)?;
                chunk = Some((found, records));
            }
            let records = chunk.as_ref().map(|(_, records)| records.as_slice()).unwrap_or_default();
            let found = records.iter().rev().find(|(first, _)| *first <= seq);
            let Some((first, record)) = found else { continue };
            let Some(entry) = usize::try_from(seq - first).ok().and_then(|index| record.entries.get(index))
            else {
                continue;
            };
            let cost = record.entries.iter().find_map(|entry| match entry {
                Entry::Cost(of, cost) if *of == seq => Some(cost.clone()),
                _ => None,
            });
            let reversals = match self.get(&Key::Reversed(seq))? {
                Some(Value::Reversals(reversals)) => reversals,
                _ => Reversals::default(),
            };
            let order = match entry {
                Entry::Movement(movement) => order_of(record, movement),
                _ => None,
            };
            rows.push(HistoryRow {
                seq,
                order,
                entry: entry.clone(),
                cost,
                reversals,
                record: Record { entries: Vec::new(), ..record.clone() },
            });
        }
        Ok(rows)
    }

    /// Objects after a key, as tables have them.
    pub(crate) fn objects_after(
        &mut self,
        after: Option<&Key>,
        limit: usize,
    ) -> Result<Vec<(Key, Slot)>, StoreError> {
        self.reader.objects_after(self.tenant, after, limit)
    }

    /// Keys after one, as tables have them.
    pub(crate) fn keys_after(
        &mut self,
        after: Option<KeyAt>,
        limit: usize,
    ) -> Result<Vec<KeyAt>, StoreError> {
        self.reader.keys_after(self.tenant, after, limit)
    }

    /// A cell's movements, the newest first, as tables have them.
    pub(crate) fn trail(&mut self, cell: &CellKey) -> Result<Vec<TrailRow>, StoreError> {
        self.reader.trail(self.tenant, cell, Seq::MAX >> 1, usize::MAX)
    }

    /// Cells after a key, in key order, each with its trail.
    pub(crate) fn trails_after(
        &mut self,
        after: Option<CellKey>,
        limit: usize,
    ) -> Result<Vec<(CellKey, CellSlot, Vec<TrailRow>)>, StoreError> {
        let cells = self.cells_after(after, limit)?;
        cells.into_iter().map(|(cell, slot)| Ok((cell, slot, self.trail(&cell)?))).collect()
    }

    /// What the database itself finds wrong.
    pub(crate) fn check(&mut self) -> Result<Option<String>, StoreError> {
        self.reader.check()
    }

    /// A note's body.
    pub fn note(&mut self, space: &str, key: &str) -> Result<Option<String>, StoreError> {
        self.reader.note(self.tenant, space, key)
    }

    /// The notes of a space after a key: (key, body).
    pub fn notes(
        &mut self,
        space: &str,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Vec<(String, String)>, StoreError> {
        self.reader.notes(self.tenant, space, after, limit)
    }

    /// Each note of a space in the order of their keys, whose key and body are told; never many of them in memory at once.
    pub fn each_note(
        &mut self,
        space: &str,
        mut tell: impl FnMut(String, String) -> Result<(), StoreError>,
    ) -> Result<(), StoreError> {
        let mut after: Option<String> = None;
        loop {
            let page = self.notes(space, after.as_deref(), 1_000)?;
            let Some((last, _)) = page.last() else { return Ok(()) };
            after = Some(last.clone());
            for (key, body) in page {
                tell(key, body)?;
            }
        }
    }

    /// Whose ledger it is.
    pub fn tenant(&self) -> TenantId {
        self.tenant
    }

    /// The notes of all spaces after one of a space and key, in the order of both.
    pub fn notes_after(
        &mut self,
        after: Option<(&str, &str)>,
        limit: usize,
    ) -> Result<Vec<onhand_store::Note>, StoreError> {
        self.reader.notes_after(self.tenant, after, limit)
    }

    /// Which notes of what systems show were written since; see [`onhand_store::Reader::shown_since`].
    pub(crate) fn shown_since(
        &mut self,
        version: Option<i64>,
    ) -> Result<Option<onhand_store::Shown>, StoreError> {
        self.reader.shown_since(self.tenant, version)
    }

    // ---- names -----------------------------------------------------------------------------------------------

    /// The item of a SKU.
    pub fn item_by_sku(&mut self, sku: &str) -> Result<Option<(ItemId, Item)>, StoreError> {
        match self.get(&Key::Sku(sku.to_owned()))? {
            Some(Value::ItemId(id)) => Ok(self.item(id)?.map(|item| (id, item))),
            _ => Ok(None),
        }
    }

    /// An item.
    pub fn item(&mut self, id: ItemId) -> Result<Option<Item>, StoreError> {
        Ok(match self.get(&Key::Item(id))? {
            Some(Value::Item(item)) => Some(*item),
            _ => None,
        })
    }

    /// The item that somebody means by a name who speaks of an instant: one that was merged into another since, if it
    /// was called so then.
    pub fn item_meant(&mut self, sku: &str, at: Instant) -> Result<Option<(ItemId, Item)>, StoreError> {
        let Some((mut id, mut item)) = self.item_by_sku(sku)? else { return Ok(None) };
        'deeper: loop {
            for merged in item.merged.clone().into_iter().filter(|merged| at < merged.at) {
                let Some(ended) = self.item(merged.item)? else { continue };
                if ended.names().any(|name| name == sku) {
                    (id, item) = (merged.item, ended);
                    continue 'deeper;
                }
            }
            return Ok(Some((id, item)));
        }
    }

    /// The item that a barcode is of, and the pack where it is on one.
    pub fn item_by_barcode(
        &mut self,
        barcode: &str,
    ) -> Result<Option<(ItemId, Item, Option<Pack>)>, StoreError> {
        let code = gtin::canonical(barcode);
        let Some(Value::ItemId(id)) = self.get(&Key::Barcode(code.clone()))? else { return Ok(None) };
        let Some(item) = self.item(id)? else { return Ok(None) };
        let is_it =
            |pack: &&Pack| pack.barcode.as_deref().is_some_and(|other| gtin::canonical(other) == code);
        let pack = item.packs.iter().find(is_it).cloned();
        Ok(Some((id, item, pack)))
    }

    /// The location of a code.
    pub fn location_by_code(&mut self, code: &str) -> Result<Option<(LocationId, Location)>, StoreError> {
        match self.get(&Key::LocationCode(code.to_owned()))? {
            Some(Value::LocationId(id)) => Ok(self.location(id)?.map(|location| (id, location))),
            _ => Ok(None),
        }
    }

    /// A location.
    pub fn location(&mut self, id: LocationId) -> Result<Option<Location>, StoreError> {
        Ok(match self.get(&Key::Location(id))? {
            Some(Value::Location(location)) => Some(*location),
            _ => None,
        })
    }

    /// The kits that an item is in, at any depth.
    pub fn kits_around(&mut self, item: ItemId) -> Result<Vec<ItemId>, StoreError> {
        let mut found = Vec::new();
        let mut open = vec![item];
        while let Some(part) = open.pop() {
            let (from, to) = (Key::KitOf(part, ItemId(0)), Key::KitOf(part, ItemId(Seq::MAX >> 1)));
            for (key, _) in self.range(&from, &to, false, usize::MAX)? {
                let Key::KitOf(_, kit) = key else { continue };
                let still = self.item(kit)?.is_some_and(|kit| kit.kit.iter().any(|of| of.item == part));
                if still && !found.contains(&kit) {
                    found.push(kit);
                    open.push(kit);
                }
            }
        }
        Ok(found)
    }

    /// The lots and serials of an item after a name, in the order of their names, at most `limit`.
    pub fn lots_of(
        &mut self,
        item: ItemId,
        after: &str,
        limit: usize,
    ) -> Result<Vec<(LotId, Lot)>, StoreError> {
        let (from, to) =
            (Key::LotCode(item, after.to_owned()), Key::LotCode(ItemId(item.0 + 1), String::new()));
        let mut lots = Vec::new();
        for (key, value) in self.range(&from, &to, false, limit.saturating_add(1))? {
            let (Key::LotCode(_, code), Value::LotId(id)) = (key, value) else { continue };
            if code.as_str() != after && lots.len() < limit {
                lots.extend(self.lot(id)?.map(|lot| (id, lot)));
            }
        }
        Ok(lots)
    }

    /// The lot or serial of a name.
    pub fn lot_by_code(&mut self, item: ItemId, code: &str) -> Result<Option<(LotId, Lot)>, StoreError> {
        match self.get(&Key::LotCode(item, code.to_owned()))? {
            Some(Value::LotId(id)) => Ok(self.lot(id)?.map(|lot| (id, lot))),
            _ => Ok(None),
        }
    }

    /// When a lot expires where it lies, if it does.
    pub fn expires(&mut self, lot: LotId, location: LocationId) -> Result<Option<Instant>, StoreError> {
        Ok(match self.get(&Key::Expires(location, lot))? {
            Some(Value::Instant(at)) => Some(at),
            _ => None,
        })
    }

    /// A lot or serial, with what holds of the lot that it is of; none for lot 0.
    pub fn lot(&mut self, id: LotId) -> Result<Option<Lot>, StoreError> {
        if id.0 == 0 {
            return Ok(None);
        }
        let Some(Value::Lot(lot)) = self.get(&Key::Lot(id))? else { return Ok(None) };
        let of = match lot.of.map(|of| self.get(&Key::Lot(of))).transpose()?.flatten() {
            Some(Value::Lot(of)) => Some(*of),
            _ => None,
        };
        Ok(Some(lot.within(of.as_ref())))
    }

    /// All locations in the order of allocation.
    pub fn sites(&mut self) -> Result<Sites, StoreError> {
        Ok(match self.get(&Key::Sites)? {
            Some(Value::Sites(sites)) => *sites,
            _ => Sites::default(),
        })
    }

    /// All rules.
    pub fn rules(&mut self) -> Result<Rules, StoreError> {
        Ok(match self.get(&Key::Rules)? {
            Some(Value::Rules(rules)) => *rules,
            _ => Rules::default(),
        })
    }

    /// The publication rules.
    pub fn publication(&mut self) -> Result<Vec<(onhand_ledger::RuleId, Publication)>, StoreError> {
        self.rules().map(|rules| rules.publication)
    }

    /// The system of a name.
    pub fn system_by_name(&mut self, name: &str) -> Result<Option<(SystemId, System)>, StoreError> {
        match self.get(&Key::SystemName(name.to_owned()))? {
            Some(Value::SystemId(id)) => Ok(self.system(id)?.map(|system| (id, system))),
            _ => Ok(None),
        }
    }

    /// A system.
    pub fn system(&mut self, id: SystemId) -> Result<Option<System>, StoreError> {
        Ok(match self.get(&Key::System(id))? {
            Some(Value::System(system)) => Some(*system),
            _ => None,
        })
    }

    /// All systems.
    pub fn systems(&mut self) -> Result<Vec<(SystemId, System)>, StoreError> {
        let all =
            self.range(&Key::System(SystemId(0)), &Key::System(SystemId(Seq::MAX)), false, usize::MAX)?;
        Ok(all
            .into_iter()
            .filter_map(|(key, value)| match (key, value) {
                (Key::System(id), Value::System(system)) => Some((id, *system)),
                _ => None,
            })
            .collect())
    }

    /// A listing.
    pub fn listing(&mut self, id: ListingId) -> Result<Option<Listing>, StoreError> {
        Ok(match self.get(&Key::Listing(id))? {
            Some(Value::Listing(listing)) => Some(*listing),
            _ => None,
        })
    }

    /// The listing of a remote id.
    pub fn listing_by_remote(
        &mut self,
        system: SystemId,
        remote_id: &str,
    ) -> Result<Option<(ListingId, Listing)>, StoreError> {
        match self.get(&Key::RemoteListing(system, remote_id.to_owned()))? {
            Some(Value::ListingId(id)) => Ok(self.listing(id)?.map(|listing| (id, listing))),
            _ => Ok(None),
        }
    }

    /// Is a system's listing one of our items?
    pub(crate) fn is_mapped(&mut self, system: SystemId, remote_id: &str) -> Result<bool, StoreError> {
        let listing = self.listing_by_remote(system, remote_id)?;
        Ok(listing.is_some_and(|(_, listing)| listing.item.is_some()))
    }

    /// All listings of an item.
    pub fn listings_of(&mut self, item: ItemId) -> Result<Vec<(ListingId, Listing)>, StoreError> {
        let from = Key::ListingOf(item, ListingId(0));
        let to = Key::ListingOf(item, ListingId(Seq::MAX));
        let mut listings = Vec::new();
        for (key, _) in self.range(&from, &to, false, usize::MAX)? {
            if let Key::ListingOf(_, id) = key
                && let Some(listing) = self.listing(id)?
            {
                listings.push((id, listing));
            }
        }
        Ok(listings)
    }

    /// The listings of a system after one, the oldest first, at most `limit`.
    pub fn listings_in(
        &mut self,
        system: SystemId,
        after: ListingId,
        limit: usize,
    ) -> Result<Vec<(ListingId, Listing)>, StoreError> {
        let (mut last, mut wanted) = (after, limit.saturating_mul(2).min(LISTINGS));
        let mut listings = Vec::new();
        while listings.len() < limit {
            let part = self.listings_after(last, wanted)?;
            let is_last = part.len() < wanted;
            last = part.last().map_or(last, |(id, _)| *id);
            let room = limit - listings.len();
            listings.extend(part.into_iter().filter(|(_, listing)| listing.system == system).take(room));
            if is_last {
                break;
            }
            wanted = LISTINGS.min(2 * wanted);
        }
        Ok(listings)
    }

    /// The listings of all systems after one, the oldest first, at most `limit`.
    pub(crate) fn listings_after(
        &mut self,
        after: ListingId,
        limit: usize,
    ) -> Result<Vec<(ListingId, Listing)>, StoreError> {
        let from = Key::Listing(ListingId(after.0.saturating_add(1)));
        let found = self.range(&from, &Key::Listing(ListingId(Seq::MAX >> 1)), false, limit)?;
        let listing = |(key, value)| match (key, value) {
            (Key::Listing(id), Value::Listing(listing)) => Some((id, *listing)),
            _ => None,
        };
        Ok(found.into_iter().filter_map(listing).collect())
    }
}

impl Look for View<'_> {
    type Error = StoreError;

    fn now(&self) -> Instant {
        self.now
    }

    fn facts(&mut self, item: ItemId) -> Result<(Tracking, Vec<Component>), StoreError> {
        Ok(self.item(item)?.as_ref().map(availability::facts).unwrap_or_default())
    }

    fn below(&mut self, location: LocationId) -> Result<Vec<LocationId>, StoreError> {
        self.sites().map(|sites| availability::below(&sites, location))
    }

    fn sells(&mut self, location: LocationId) -> Result<bool, StoreError> {
        self.sites().map(|sites| sites.sells(location))
    }

    fn held(&mut self, cells: &[CellKey]) -> Result<Vec<Quantity>, StoreError> {
        cells.iter().map(|cell| self.cell(cell).map(|slot| slot.quantity)).collect()
    }

    fn stocked(&mut self, item: ItemId) -> Result<Vec<(CellKey, Quantity)>, StoreError> {
        let holding = |(cell, slot): &(CellKey, CellSlot)| !cell.state.is_party() && !slot.quantity.is_zero();
        let cells = self.cells_of(item)?.into_iter().filter(holding);
        Ok(cells.map(|(cell, slot)| (cell, slot.quantity)).collect())
    }

    fn lots(&mut self, at: &[(LotId, LocationId)]) -> Result<Vec<(Lot, Option<Instant>)>, StoreError> {
        let mut lots = Vec::with_capacity(at.len());
        for (lot, location) in at {
            let [_, expires] = availability::lot_keys(*lot, *location);
            let ends = match self.get(&expires)? {
                Some(Value::Instant(at)) => Some(at),
                _ => None,
            };
            match self.lot(*lot)? {
                Some(known) => lots.push((known, ends)),
                None => return Err(StoreError::Damaged(format!("lot {lot} has stock and is not known"))),
            }
        }
        Ok(lots)
    }
}
