//! Writing a batch: the log first, then what follows it.

use onhand_ledger::state::{CellSlot, TrailRow};
use onhand_ledger::{CellKey, Instant, Seq, TenantId};
use rusqlite::{Connection, OptionalExtension as _, params};

use super::keys::Index;
use super::sum::Sum;
use super::{failed, signed};
use crate::{Batch, Chunk, Head, StoreError, trail};

/// The trail of a cell is kept with the cell until it has so many bytes, some 70 movements: a row of its own for each
/// few would be written to another page each time.
const RECENT_BYTES: usize = 512;
/// So many movements at once are more than that.
const RECENT_ROWS: usize = trail::BLOCK;

/// Writes all of a batch. What is wrong with what is there already is an error of its own.
pub(super) fn write_batch(
    transaction: &Connection,
    tenant: TenantId,
    batch: &Batch,
    index: &mut Index,
) -> Result<(), StoreError> {
    index.remember(&batch.keys);
    index.work(transaction, tenant, batch.write_keys, batch.head.seq)?;
    write_cells(transaction, signed(tenant.0), &batch.cells)?;
    let keyed = index.keyed();
    write_rows(transaction, signed(tenant.0), batch, keyed).map_err(|error| failed("written", &error))
}

fn write_rows(transaction: &Connection, tenant: i64, batch: &Batch, keyed: Seq) -> rusqlite::Result<()> {
    write_head(transaction, tenant, &Head { keyed, ..batch.head })?;
    let mut log = transaction.prepare_cached(
        "INSERT INTO log(tenant_id, first_seq, entries, recorded_at, hash, body, sum) \
         VALUES(?1, ?2, ?3, ?4, ?5, ?6, ?7)",
    )?;
    for chunk in &batch.chunks {
        let (first, entries, at) =
            (signed(chunk.first_seq), signed(chunk.entries), chunk.recorded_at.micros());
        let sum = log_sum(tenant, chunk).get();
        log.execute(params![tenant, first, entries, at, chunk.hash, chunk.body, sum])?;
    }
    let mut put = transaction.prepare_cached(
        "INSERT OR REPLACE INTO object(tenant_id, kind, key, seq, body, sum) VALUES(?1, ?2, ?3, ?4, ?5, ?6)",
    )?;
    let mut delete =
        transaction.prepare_cached("DELETE FROM object WHERE tenant_id = ?1 AND kind = ?2 AND key = ?3")?;
    for (key, slot) in &batch.objects {
        let bytes = key.bytes();
        match &slot.value {
            None => delete.execute(params![tenant, key.kind(), bytes])?,
            Some(value) => {
                let body = serde_json::to_string(value)
                    .map_err(|error| rusqlite::Error::ToSqlConversionFailure(error.into()))?;
                let seq = signed(slot.seq);
                let sum = object_sum(tenant, key.kind(), &bytes, seq, &body).get();
                put.execute(params![tenant, key.kind(), bytes, seq, body, sum])?
            }
        };
    }
    let mut note = transaction.prepare_cached(
        "INSERT OR REPLACE INTO note(tenant_id, space, key, body, sum) VALUES(?1, ?2, ?3, ?4, ?5)",
    )?;
    let mut forget =
        transaction.prepare_cached("DELETE FROM note WHERE tenant_id = ?1 AND space = ?2 AND key = ?3")?;
    for entry in &batch.notes {
        match &entry.body {
            Some(body) => {
                let sum = note_sum(tenant, &entry.space, &entry.key, body).get();
                note.execute(params![tenant, entry.space, entry.key, body, sum])?
            }
            None => forget.execute(params![tenant, entry.space, entry.key])?,
        };
    }
    Ok(())
}

pub(super) fn write_head(transaction: &Connection, tenant: i64, head: &Head) -> rusqlite::Result<()> {
    transaction
        .prepare_cached(
            "INSERT OR REPLACE INTO head(tenant_id, seq, hash, recorded_at, flushed, keyed, sum) \
             VALUES(?1, ?2, ?3, ?4, ?5, ?6, ?7)",
        )?
        .execute(params![
            tenant,
            signed(head.seq),
            head.hash,
            head.recorded_at.micros(),
            signed(head.flushed),
            signed(head.keyed),
            head_sum(tenant, head).get()
        ])
        .map(|_| ())
}

pub(super) fn head_sum(tenant: i64, head: &Head) -> Sum {
    let (seq, at) = (signed(head.seq), head.recorded_at.micros());
    Sum::of("head").ints([tenant, seq, at, signed(head.flushed), signed(head.keyed)]).bytes(&head.hash)
}

pub(super) fn log_sum(tenant: i64, chunk: &Chunk) -> Sum {
    let (first, entries) = (signed(chunk.first_seq), signed(chunk.entries));
    let sum = Sum::of("log").ints([tenant, first, entries, chunk.recorded_at.micros()]);
    sum.bytes(&chunk.hash).bytes(&chunk.body)
}

pub(super) fn object_sum(tenant: i64, kind: u8, key: &[u8], seq: i64, body: &str) -> Sum {
    Sum::of("object").ints([tenant, i64::from(kind), seq]).bytes(key).bytes(body.as_bytes())
}

pub(super) fn note_sum(tenant: i64, space: &str, key: &str, body: &str) -> Sum {
    Sum::of("note").int(tenant).bytes(space.as_bytes()).bytes(key.as_bytes()).bytes(body.as_bytes())
}

/// A row of `cell` as a table has it.
pub(super) struct CellRow {
    pub quantity: i64,
    pub seq: i64,
    pub latest: i64,
    pub latest_before: i64,
    pub recent: Vec<u8>,
    pub sum: i64,
}

pub(super) const CELL_ROW: &str = "quantity, seq, latest, latest_before, recent, sum";

impl CellRow {
    /// Reads [`CELL_ROW`] from a column on.
    pub fn read(row: &rusqlite::Row<'_>, from: usize) -> rusqlite::Result<Self> {
        Ok(Self {
            quantity: row.get(from)?,
            seq: row.get(from + 1)?,
            latest: row.get(from + 2)?,
            latest_before: row.get(from + 3)?,
            recent: row.get(from + 4)?,
            sum: row.get(from + 5)?,
        })
    }

    fn sum(&self, tenant: i64, key: &CellKey) -> Sum {
        let sum = Sum::of("cell").int(tenant).ints(cell_numbers(key));
        sum.ints([self.quantity, self.seq, self.latest, self.latest_before]).bytes(&self.recent)
    }

    pub fn check(&self, tenant: TenantId, key: &CellKey) -> Result<(), StoreError> {
        self.sum(signed(tenant.0), key).must_be(self.sum, || format!("the row of {key:?}"))
    }
}

/// A cell's key as the columns have it.
pub(super) fn cell_numbers(key: &CellKey) -> [i64; 5] {
    [
        signed(key.item.0),
        signed(key.location.0),
        i64::from(key.state as u8),
        signed(key.lot.0),
        signed(key.consignor.0),
    ]
}

pub(super) fn trail_sum(tenant: i64, key: &CellKey, first_at: i64, first_seq: i64, body: &[u8]) -> Sum {
    Sum::of("trail").int(tenant).ints(cell_numbers(key)).ints([first_at, first_seq]).bytes(body)
}

fn unreadable(key: &CellKey) -> StoreError {
    StoreError::Damaged(format!("the trail of {key:?} cannot be read"))
}

fn write_cells(
    transaction: &Connection,
    tenant: i64,
    cells: &[(CellKey, CellSlot)],
) -> Result<(), StoreError> {
    if cells.is_empty() {
        return Ok(());
    }
    let failed = |error: rusqlite::Error| failed("written", &error);
    let mut read = transaction
        .prepare_cached(
            "SELECT quantity, seq, latest, latest_before, recent, sum FROM cell WHERE tenant_id = ?1 \
             AND item_id = ?2 AND location_id = ?3 AND state = ?4 AND lot_id = ?5 AND consignor_id = ?6",
        )
        .map_err(failed)?;
    let mut put = transaction
        .prepare_cached(
            "INSERT OR REPLACE INTO cell(tenant_id, item_id, location_id, state, lot_id, consignor_id, quantity, \
             seq, latest, latest_before, recent, sum) \
             VALUES(?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12)",
        )
        .map_err(failed)?;
    for (key, slot) in cells {
        let [item, location, state, lot, consignor] = cell_numbers(key);
        let before = read
            .query_row(params![tenant, item, location, state, lot, consignor], |row| CellRow::read(row, 0))
            .optional()
            .map_err(failed)?;
        let mut row = CellRow {
            quantity: slot.quantity.micros(),
            seq: signed(slot.seq),
            latest: slot.latest.micros(),
            latest_before: slot.latest_before_pending.micros(),
            recent: Vec::new(),
            sum: 0,
        };
        let mut written = 0;
        if let Some(before) = before {
            before.sum(tenant, key).must_be(before.sum, || format!("the row of {key:?}"))?;
            written = before.seq;
            row.latest_before = if before.recent.is_empty() { before.latest } else { before.latest_before };
            row.recent = before.recent;
        }
        // What was folded again at a start may be written already.
        let from = slot.pending.partition_point(|pending| signed(pending.seq) <= written);
        let pending = &slot.pending[from..];
        let mut rows = trail::decode(&row.recent).ok_or_else(|| unreadable(key))?;
        if pending.len() <= RECENT_ROWS {
            trail::append(&mut row.recent, rows.last().copied(), pending);
        }
        if row.recent.len() > RECENT_BYTES || pending.len() > RECENT_ROWS {
            rows.extend(pending);
            write_trail(transaction, tenant, key, Instant::from_micros(row.latest_before), &rows)?;
            row.recent = Vec::new();
        }
        let sum = row.sum(tenant, key).get();
        put.execute(params![
            tenant,
            item,
            location,
            state,
            lot,
            consignor,
            row.quantity,
            row.seq,
            row.latest,
            row.latest_before,
            row.recent,
            sum
        ])
        .map_err(failed)?;
    }
    Ok(())
}

/// Writes what was kept with a cell in blocks of their own.
fn write_trail(
    transaction: &Connection,
    tenant: i64,
    key: &CellKey,
    latest_before: Instant,
    rows: &[TrailRow],
) -> Result<(), StoreError> {
    let [item, location, state, lot, consignor] = cell_numbers(key);
    let failed = |error: rusqlite::Error| failed("written", &error);
    let mut trail = transaction
        .prepare_cached(
            "INSERT INTO trail(tenant_id, item_id, location_id, state, lot_id, consignor_id, first_at, first_seq, \
             body, sum) VALUES(?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)",
        )
        .map_err(failed)?;
    for (first_at, block) in crate::trail_blocks(latest_before, rows) {
        let body = trail::encode(block);
        let (first_at, first_seq) = (first_at.micros(), signed(block.first().map_or(0, |row| row.seq)));
        let sum = trail_sum(tenant, key, first_at, first_seq, &body).get();
        trail
            .execute(params![tenant, item, location, state, lot, consignor, first_at, first_seq, body, sum])
            .map_err(failed)?;
    }
    Ok(())
}
