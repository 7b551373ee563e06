//! Writing a batch: the log first, then what follows it.

use onhand_ledger::state::CellSlot;
use onhand_ledger::{CellKey, Seq, TenantId};
use rusqlite::{Connection, OptionalExtension as _, params};

use super::failed;
use super::keys::Index;
use crate::rows::{CellRow, TrailBlock, cell_numbers, head_sum, log_sum, note_sum, object_sum, signed};
use crate::{Batch, Head, StoreError};

/// Notes of these spaces have secrets, or speak of people.
const WIPED: [&str; 5] = ["connection", "raw", "alert_target", "hook_secret", "subscription"];

/// Writes all of a batch. What is wrong with what is there already is an error of its own.
pub(super) fn write_batch(
    transaction: &Connection,
    tenant: TenantId,
    batch: &Batch,
    index: &mut Index,
) -> Result<(), StoreError> {
    must_go_on(transaction, tenant, batch)?;
    index.remember(&batch.keys);
    index.work(transaction, tenant, batch.write_keys, batch.head.seq)?;
    write_cells(transaction, tenant, &batch.cells)?;
    let keyed = index.keyed();
    write_rows(transaction, signed(tenant.0), batch, keyed).map_err(|error| failed("written", &error))
}

/// A batch goes on where the log ends. Whoever got past the lock on the file, and wrote since, is not written over.
fn must_go_on(transaction: &Connection, tenant: TenantId, batch: &Batch) -> Result<(), StoreError> {
    let seq = || {
        let mut head = transaction.prepare_cached("SELECT seq FROM head WHERE tenant_id = ?1")?;
        head.query_row([signed(tenant.0)], |row| row.get::<_, i64>(0)).optional()
    };
    let there = seq().map_err(|error| failed("read", &error))?;
    if there.unwrap_or(0) == signed(batch.after.seq) { Ok(()) } else { Err(StoreError::Moved { tenant }) }
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
    // What was a connection's secret, once in clear, or speaks of a person, is not left behind in what SQLite calls free
    // (<https://sqlite.org/pragma.html#pragma_secure_delete>).
    let wipes = batch.notes.iter().any(|note| WIPED.contains(&note.space.as_str()));
    if wipes {
        wipe(transaction, true)?;
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
    if wipes { wipe(transaction, false) } else { Ok(()) }
}

fn wipe(transaction: &Connection, on: bool) -> rusqlite::Result<()> {
    transaction.pragma_update_and_check(None, "secure_delete", on, |_| Ok(()))
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

pub(super) const CELL_ROW: &str = "quantity, seq, latest, latest_before, recent, sum";

/// Reads [`CELL_ROW`] from a column on.
pub(super) fn read_cell(row: &rusqlite::Row<'_>, from: usize) -> rusqlite::Result<CellRow> {
    Ok(CellRow {
        quantity: row.get(from)?,
        seq: row.get(from + 1)?,
        latest: row.get(from + 2)?,
        latest_before: row.get(from + 3)?,
        recent: row.get(from + 4)?,
        sum: row.get(from + 5)?,
    })
}

fn write_cells(
    transaction: &Connection,
    tenant_id: TenantId,
    cells: &[(CellKey, CellSlot)],
) -> Result<(), StoreError> {
    if cells.is_empty() {
        return Ok(());
    }
    let tenant = signed(tenant_id.0);
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
            .query_row(params![tenant, item, location, state, lot, consignor], |row| read_cell(row, 0))
            .optional()
            .map_err(failed)?;
        let (row, blocks) = CellRow::after(before, tenant_id, key, slot)?;
        write_trail(transaction, tenant, key, &blocks)?;
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
            row.sum
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
    blocks: &[TrailBlock],
) -> Result<(), StoreError> {
    if blocks.is_empty() {
        return Ok(());
    }
    let [item, location, state, lot, consignor] = cell_numbers(key);
    let failed = |error: rusqlite::Error| failed("written", &error);
    let mut trail = transaction
        .prepare_cached(
            "INSERT INTO trail(tenant_id, item_id, location_id, state, lot_id, consignor_id, first_at, first_seq, \
             body, sum) VALUES(?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)",
        )
        .map_err(failed)?;
    for TrailBlock { first_at, first_seq, body, sum } in blocks {
        trail
            .execute(params![tenant, item, location, state, lot, consignor, first_at, first_seq, body, sum])
            .map_err(failed)?;
    }
    Ok(())
}
