//! The ledgers of an item and of a location: what moved, when, by whom, why, and what each state held afterwards.
//!
//! Rows come in the order they were recorded, the newest first: that order never changes, so that a page is the same
//! however much is recorded meanwhile. Each call looks at a bounded part of the log, since the committer waits for
//! whoever reads.

use std::collections::{BTreeMap, BTreeSet};

use onhand_ledger::Money;
use onhand_ledger::entry::{Account, Entry, Movement};
use onhand_ledger::key::StockState;
use onhand_ledger::model::{Holder, Reversals};
use onhand_ledger::state::TrailRow;
use onhand_ledger::{
    CellKey, Instant, ItemId, Key, LocationId, LotId, OrderId, Quantity, Record, Seq, Value,
};
use onhand_store::{Chunk, StoreError, decode_records};

use crate::view::View;

/// Which movements; what is none is no condition.
#[derive(Clone, Debug, Default)]
pub struct HistoryFilter {
    /// Out of or into one of these locations.
    pub locations: Option<BTreeSet<LocationId>>,
    /// Of which this state changed.
    pub state: Option<StockState>,
    /// With exactly this reason.
    pub reason: Option<String>,
    /// Asked or told by exactly this one.
    pub actor: Option<String>,
    /// From exactly this outside document.
    pub document: Option<String>,
    /// That happened at or after this instant.
    pub from: Option<Instant>,
    /// That happened before this instant.
    pub until: Option<Instant>,
}

/// One movement, with the record it is part of.
#[derive(Clone, Debug)]
pub struct LedgerRow {
    /// The movement's entry.
    pub seq: Seq,
    /// The movement.
    pub movement: Movement,
    /// When it was recorded, by whom, from which document; its entries are left out.
    pub record: Record,
    /// The order that it was for.
    pub order: Option<OrderId>,
    /// What changed of ours: of one or two states.
    pub changes: Vec<StateChange>,
    /// The movements that correct or explain this one.
    pub corrected_by: Vec<Seq>,
    /// What of it was taken back.
    pub reversals: Reversals,
    /// What one unit of what it brought did cost, where it was told.
    pub cost: Option<Money>,
}

/// How a state of stock changed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct StateChange {
    /// Of what.
    pub item: ItemId,
    /// Where.
    pub location: LocationId,
    /// Which state.
    pub state: StockState,
    /// Of which lot or serial; 0 where the item is not tracked.
    pub lot: LotId,
    /// By how much.
    pub change: Quantity,
    /// What all lots together hold in that state there afterwards, in the order things were recorded. None in the ledger
    /// of a location where lots are told apart.
    pub total: Option<Quantity>,
    /// It happened before a movement of the same cell that was known already.
    pub late: bool,
}

/// A part of a ledger.
#[derive(Clone, Debug, Default)]
pub struct HistoryPage {
    /// The movements, the newest first.
    pub rows: Vec<LedgerRow>,
    /// Those below this entry have not been looked at; none: that was all.
    pub next: Option<Seq>,
}

impl HistoryFilter {
    fn is_at(&self, account: Account) -> bool {
        !account.state.is_party()
            && self.locations.as_ref().is_none_or(|locations| locations.contains(&account.location))
    }

    fn accepts(&self, record: &Record, movement: &Movement) -> bool {
        let is = |wanted: &Option<String>, given: &str| wanted.as_ref().is_none_or(|wanted| wanted == given);
        let document = record.document.as_ref().map_or("", |(_, document)| document.as_str());
        let sides = [movement.from, movement.to];
        let state = |state: StockState| sides.iter().any(|side| self.is_at(*side) && side.state == state);
        is(&self.reason, &movement.reason)
            && is(&self.actor, &record.actor)
            && is(&self.document, document)
            && self.state.is_none_or(state)
            && sides.into_iter().any(|side| self.is_at(side))
            && self.from.is_none_or(|from| movement.occurred_at >= from)
            && self.until.is_none_or(|until| movement.occurred_at < until)
    }

    /// Nothing that was recorded so early can have happened late enough: what happens is recorded then or later.
    fn is_over(&self, record: &Record) -> bool {
        self.from.is_some_and(|from| record.recorded_at < from)
    }
}

/// The chunk of the log that was read last.
#[derive(Default)]
struct Read(Option<(Chunk, Vec<(Seq, Record)>)>);

impl Read {
    fn record(&mut self, view: &mut View<'_>, seq: Seq) -> Result<Option<(Seq, &Record)>, StoreError> {
        let inside = |chunk: &Chunk| (chunk.first_seq..chunk.first_seq + chunk.entries).contains(&seq);
        if !self.0.as_ref().is_some_and(|(chunk, _)| inside(chunk)) {
            let chunk = view.chunk_of(seq)?;
            let records = decode_records(&chunk)?;
            self.0 = Some((chunk, records));
        }
        let records = self.0.as_ref().map(|(_, records)| records.as_slice()).unwrap_or_default();
        let found = records.iter().rev().find(|(first, _)| *first <= seq);
        Ok(found.map(|(first, record)| (*first, record)))
    }
}

fn entry_of(first: Seq, record: &Record, seq: Seq) -> Option<&Entry> {
    record.entries.get(usize::try_from(seq - first).ok()?)
}

fn cost_of(record: &Record, seq: Seq) -> Option<Money> {
    record.entries.iter().find_map(|entry| match entry {
        Entry::Cost(of, cost) if *of == seq => Some(cost.clone()),
        _ => None,
    })
}

/// The order that a movement was for: whose promise it changes, or of which something came back by the same record.
pub(crate) fn order_of(record: &Record, movement: &Movement) -> Option<OrderId> {
    if let Some(promise) = movement.promise {
        return match promise.holder {
            Holder::Order(order) => Some(order),
            _ => None,
        };
    }
    let is_customers = [movement.from, movement.to].iter().any(|side| side.state == StockState::Customer);
    let mut orders = record.entries.iter().filter_map(|entry| match entry {
        Entry::Order(order, _) => Some(*order),
        _ => None,
    });
    let first = orders.next().filter(|_| is_customers)?;
    orders.all(|other| other == first).then_some(first)
}

fn without_entries(record: &Record) -> Record {
    Record { entries: Vec::new(), ..record.clone() }
}

impl View<'_> {
    /// An entry, the record it is part of without its entries, what one unit of what it brought did cost, and the order that
    /// a movement was for.
    pub fn entry(
        &mut self,
        seq: Seq,
    ) -> Result<Option<(Entry, Record, Option<Money>, Option<OrderId>)>, StoreError> {
        if seq == 0 || seq > self.seq() {
            return Ok(None);
        }
        let mut read = Read::default();
        let Some((first, record)) = read.record(self, seq)? else { return Ok(None) };
        let cost = cost_of(record, seq);
        Ok(entry_of(first, record, seq).map(|entry| {
            let order = if let Entry::Movement(movement) = entry { order_of(record, movement) } else { None };
            (entry.clone(), without_entries(record), cost, order)
        }))
    }

    /// What of a movement was taken back.
    pub fn reversals(&mut self, seq: Seq) -> Result<Reversals, StoreError> {
        Ok(match self.get(&Key::Reversed(seq))? {
            Some(Value::Reversals(reversals)) => reversals,
            _ => Reversals::default(),
        })
    }

    /// The movements that correct or explain an entry, the oldest first.
    pub fn corrected_by(&mut self, seq: Seq) -> Result<Vec<Seq>, StoreError> {
        let found =
            self.range(&Key::CorrectedBy(seq, 0), &Key::CorrectedBy(seq, Seq::MAX >> 1), false, 1_000)?;
        let by = |key| if let Key::CorrectedBy(_, by) = key { Some(by) } else { None };
        Ok(found.into_iter().filter_map(|(key, _)| by(key)).collect())
    }

    /// A location and all that is inside it.
    pub fn inside(&mut self, location: LocationId) -> Result<BTreeSet<LocationId>, StoreError> {
        Ok(self.sites()?.below(location, false).into_iter().collect())
    }

    /// An item and all that were merged into it.
    pub fn with_merged(&mut self, item: ItemId) -> Result<Vec<ItemId>, StoreError> {
        let mut all = vec![item];
        let mut next = 0;
        while let Some(id) = all.get(next).copied() {
            let merged = self.item(id)?.map(|item| item.merged).unwrap_or_default();
            all.extend(merged.iter().map(|merged| merged.item));
            next += 1;
        }
        Ok(all)
    }

    /// The movements below a `seq` of an item and of those that were merged into it, the newest first: up to `limit`
    /// that the filter lets through, of `examine` at most that are looked at.
    pub fn item_history(
        &mut self,
        item: ItemId,
        filter: &HistoryFilter,
        before: Seq,
        limit: usize,
        examine: usize,
    ) -> Result<HistoryPage, StoreError> {
        let mut totals = BTreeMap::<(ItemId, LocationId, StockState), Quantity>::new();
        let mut seqs = BTreeSet::new();
        for item in self.with_merged(item)? {
            for (cell, _) in self.cells_of(item)? {
                let elsewhere =
                    filter.locations.as_ref().is_some_and(|locations| !locations.contains(&cell.location));
                if cell.state.is_party() || elsewhere {
                    continue;
                }
                let newest = self.trail_below(&cell, before, examine + 1)?;
                if let Some(row) = newest.first() {
                    *totals.entry((item, cell.location, cell.state)).or_default() += row.balance;
                }
                seqs.extend(newest.into_iter().map(|row| row.seq));
            }
        }
        let more = seqs.len() > examine;
        let mut page = HistoryPage::default();
        let mut read = Read::default();
        for seq in seqs.into_iter().rev().take(examine) {
            page.next = Some(seq);
            let Some((first, record)) = read.record(self, seq)? else { continue };
            let Some(Entry::Movement(movement)) = entry_of(first, record, seq) else { continue };
            let mut changes = changes(movement, filter);
            for change in &mut changes {
                let total = totals.entry((change.item, change.location, change.state)).or_default();
                change.total = Some(*total);
                *total -= change.change;
            }
            if filter.is_over(record) {
                page.next = None;
                return Ok(page);
            }
            if !filter.accepts(record, movement) {
                continue;
            }
            let (cost, order) = (cost_of(record, seq), order_of(record, movement));
            let (movement, record) = (movement.clone(), without_entries(record));
            let (corrected_by, reversals) = (self.corrected_by(seq)?, self.reversals(seq)?);
            page.rows.push(LedgerRow {
                seq,
                movement,
                record,
                order,
                changes,
                corrected_by,
                reversals,
                cost,
            });
            if page.rows.len() == limit {
                return Ok(page);
            }
        }
        if !more {
            page.next = None;
        }
        Ok(page)
    }

    /// The movements below a `seq` out of and into the filter's locations, the newest first: up to `limit` that the
    /// filter lets through, of `chunks` parts of the log at most.
    pub fn location_history(
        &mut self,
        filter: &HistoryFilter,
        before: Seq,
        limit: usize,
        chunks: usize,
    ) -> Result<HistoryPage, StoreError> {
        let mut before = before.min(self.seq() + 1);
        let mut page = HistoryPage::default();
        for _ in 0..chunks {
            if before <= 1 {
                return Ok(HistoryPage { next: None, ..page });
            }
            let chunk = self.chunk_of(before - 1)?;
            for (first, record) in decode_records(&chunk)?.iter().rev() {
                if filter.is_over(record) {
                    return Ok(HistoryPage { next: None, ..page });
                }
                for (index, entry) in record.entries.iter().enumerate().rev() {
                    let seq = first + index as Seq;
                    let Entry::Movement(movement) = entry else { continue };
                    if seq >= before || !filter.accepts(record, movement) {
                        continue;
                    }
                    let (corrected_by, reversals) = (self.corrected_by(seq)?, self.reversals(seq)?);
                    let (cost, order) = (cost_of(record, seq), order_of(record, movement));
                    let (changes, record) = (changes(movement, filter), without_entries(record));
                    page.rows.push(LedgerRow {
                        seq,
                        movement: movement.clone(),
                        record,
                        order,
                        changes,
                        corrected_by,
                        reversals,
                        cost,
                    });
                    if page.rows.len() == limit {
                        return Ok(HistoryPage { next: Some(seq), ..page });
                    }
                }
            }
            before = chunk.first_seq;
        }
        page.next = (before > 1).then_some(before);
        Ok(page)
    }

    /// A cell's movements below a `seq`, the newest first, written to tables or not yet.
    pub(crate) fn trail_below(
        &mut self,
        cell: &CellKey,
        before: Seq,
        limit: usize,
    ) -> Result<Vec<TrailRow>, StoreError> {
        let pending = self.state.cell(cell).map(|slot| slot.pending.as_slice()).unwrap_or_default();
        let mut rows: Vec<TrailRow> =
            pending.iter().rev().filter(|row| row.seq < before).take(limit).copied().collect();
        let left = limit - rows.len();
        if left > 0 {
            let oldest = rows.last().map_or(before, |row| row.seq);
            rows.extend(self.reader.trail(self.tenant, cell, oldest, left)?);
        }
        Ok(rows)
    }
}

/// What a movement changed of ours, as far as a filter's locations go.
fn changes(movement: &Movement, filter: &HistoryFilter) -> Vec<StateChange> {
    let sides = [(movement.from, -movement.quantity), (movement.to, movement.quantity)];
    let here = sides.into_iter().filter(|(account, _)| filter.is_at(*account));
    here.map(|(account, change)| StateChange {
        item: movement.item,
        location: account.location,
        state: account.state,
        lot: account.lot,
        change,
        total: (account.lot == LotId(0)).then_some(account.balance),
        late: account.late,
    })
    .collect()
}
