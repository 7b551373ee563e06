//! Writing a batch: the log first, then what follows it.

use onhand_ledger::state::{CellSlot, TrailRow};
use onhand_ledger::{CellKey, Instant, TenantId};
use rusqlite::{Connection, params};

use super::signed;
use crate::Batch;

/// The trail of a cell is kept with the cell until it has so many bytes, some 30 movements: a row of its own for each
/// few would be written to another page each time.
const RECENT_BYTES: i64 = 512;

pub(super) fn write_batch(transaction: &Connection, tenant: TenantId, batch: &Batch) -> rusqlite::Result<()> {
    let tenant = signed(tenant.0);
    let head = &batch.head;
    transaction
        .prepare_cached(
            "INSERT INTO head(tenant_id, seq, hash, recorded_at, flushed) VALUES(?1, ?2, ?3, ?4, ?5) \
             ON CONFLICT(tenant_id) DO UPDATE SET seq = excluded.seq, hash = excluded.hash, \
             recorded_at = excluded.recorded_at, flushed = excluded.flushed",
        )?
        .execute(params![
            tenant,
            signed(head.seq),
            head.hash,
            head.recorded_at.micros(),
            signed(head.flushed)
        ])?;
    let mut log = transaction.prepare_cached(
        "INSERT INTO log(tenant_id, first_seq, entries, recorded_at, hash, body) VALUES(?1, ?2, ?3, ?4, ?5, ?6)",
    )?;
    for chunk in &batch.chunks {
        log.execute(params![
            tenant,
            signed(chunk.first_seq),
            signed(chunk.entries),
            chunk.recorded_at.micros(),
            chunk.hash,
            chunk.body
        ])?;
    }
    write_cells(transaction, tenant, &batch.cells)?;
    let mut put = transaction.prepare_cached(
        "INSERT INTO object(tenant_id, kind, key, seq, body) VALUES(?1, ?2, ?3, ?4, ?5) \
         ON CONFLICT(tenant_id, kind, key) DO UPDATE SET seq = excluded.seq, body = excluded.body",
    )?;
    let mut delete =
        transaction.prepare_cached("DELETE FROM object WHERE tenant_id = ?1 AND kind = ?2 AND key = ?3")?;
    for (key, slot) in &batch.objects {
        match &slot.value {
            None => delete.execute(params![tenant, key.kind(), key.bytes()])?,
            Some(value) => {
                let body = serde_json::to_string(value)
                    .map_err(|error| rusqlite::Error::ToSqlConversionFailure(error.into()))?;
                put.execute(params![tenant, key.kind(), key.bytes(), signed(slot.seq), body])?
            }
        };
    }
    let mut request = transaction.prepare_cached(
        "INSERT INTO request(tenant_id, key, seq) VALUES(?1, ?2, ?3) ON CONFLICT DO NOTHING",
    )?;
    for (key, seq) in &batch.requests {
        request.execute(params![tenant, key, signed(*seq)])?;
    }
    let mut note = transaction.prepare_cached(
        "INSERT INTO note(tenant_id, space, key, body) VALUES(?1, ?2, ?3, ?4) \
         ON CONFLICT(tenant_id, space, key) DO UPDATE SET body = excluded.body",
    )?;
    let mut forget =
        transaction.prepare_cached("DELETE FROM note WHERE tenant_id = ?1 AND space = ?2 AND key = ?3")?;
    for entry in &batch.notes {
        match &entry.body {
            Some(body) => note.execute(params![tenant, entry.space, entry.key, body])?,
            None => forget.execute(params![tenant, entry.space, entry.key])?,
        };
    }
    Ok(())
}

/// The rows kept with a cell: one after the other, oldest first.
pub(super) fn read_recent(mut bytes: &[u8]) -> Result<Vec<TrailRow>, postcard::Error> {
    let mut rows = Vec::new();
    while !bytes.is_empty() {
        let (row, rest) = postcard::take_from_bytes(bytes)?;
        rows.push(row);
        bytes = rest;
    }
    Ok(rows)
}

fn conversion(error: postcard::Error) -> rusqlite::Error {
    rusqlite::Error::ToSqlConversionFailure(error.into())
}

fn write_cells(transaction: &Connection, tenant: i64, cells: &[(CellKey, CellSlot)]) -> rusqlite::Result<()> {
    let mut put = transaction.prepare_cached(
        "INSERT INTO cell(tenant_id, item_id, location_id, state, lot_id, consignor_id, quantity, seq, latest, \
         latest_before, recent) VALUES(?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11) \
         ON CONFLICT DO UPDATE SET quantity = excluded.quantity, seq = excluded.seq, latest = excluded.latest, \
         latest_before = iif(recent = x'', excluded.latest_before, latest_before), \
         recent = CAST(recent || excluded.recent AS BLOB) RETURNING length(recent)",
    )?;
    for (key, slot) in cells {
        let mut recent = Vec::new();
        for row in &slot.pending {
            recent = postcard::to_extend(row, recent).map_err(conversion)?;
        }
        let length: i64 = put.query_row(
            params![
                tenant,
                signed(key.item.0),
                signed(key.location.0),
                key.state as u8,
                signed(key.lot.0),
                signed(key.consignor.0),
                slot.quantity.micros(),
                signed(slot.seq),
                slot.latest.micros(),
                slot.latest_before_pending.micros(),
                recent,
            ],
            |row| row.get(0),
        )?;
        if length > RECENT_BYTES {
            write_trail(transaction, tenant, key)?;
        }
    }
    Ok(())
}

/// Moves what is kept with a cell into blocks of its own.
fn write_trail(transaction: &Connection, tenant: i64, key: &CellKey) -> rusqlite::Result<()> {
    let (item, location, lot, consignor) =
        (signed(key.item.0), signed(key.location.0), signed(key.lot.0), signed(key.consignor.0));
    let cell = params![tenant, item, location, key.state as u8, lot, consignor];
    let mut read = transaction.prepare_cached(
        "SELECT latest_before, recent FROM cell WHERE tenant_id = ?1 AND item_id = ?2 AND location_id = ?3 \
         AND state = ?4 AND lot_id = ?5 AND consignor_id = ?6",
    )?;
    let (latest_before, recent): (i64, Vec<u8>) =
        read.query_row(cell, |row| Ok((row.get(0)?, row.get(1)?)))?;
    let latest_before_pending = Instant::from_micros(latest_before);
    let pending = read_recent(&recent).map_err(conversion)?;
    let slot = CellSlot { latest_before_pending, pending, ..CellSlot::default() };
    let mut trail = transaction.prepare_cached(
        "INSERT INTO trail(tenant_id, item_id, location_id, state, lot_id, consignor_id, first_at, first_seq, body) \
         VALUES(?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)",
    )?;
    for (first_at, block) in crate::trail_blocks(&slot) {
        let body = postcard::to_stdvec(block).map_err(conversion)?;
        let first_seq = block.first().map_or(0, |row| row.seq);
        trail.execute(params![
            tenant,
            item,
            location,
            key.state as u8,
            lot,
            consignor,
            first_at.micros(),
            signed(first_seq),
            body
        ])?;
    }
    let mut clear = transaction.prepare_cached(
        "UPDATE cell SET recent = x'' WHERE tenant_id = ?1 AND item_id = ?2 AND location_id = ?3 \
         AND state = ?4 AND lot_id = ?5 AND consignor_id = ?6",
    )?;
    clear.execute(cell)?;
    Ok(())
}
