//! Reading: one connection, one tenant at a time.

use std::path::PathBuf;

use onhand_ledger::state::{CellSlot, Slot, TrailRow};
use onhand_ledger::{
    CellKey, ConsignorId, Instant, ItemId, Key, LocationId, LotId, Seq, StockState, TenantId,
};
use rusqlite::{Connection, OptionalExtension as _, Row, params};

use super::failed;
use super::write::{CELL_ROW, read_cell};
use crate::rows::{
    CellRow, ObjectRow, cell_numbers, head_sum, note_sum, orphaned, signed, trail_sum, whole_chunk,
    whole_note,
};
use crate::{Chunk, Head, KeyAt, Note, Reader, StoreError, trail};

/// A reading connection.
pub(super) struct SqliteReader {
    pub connection: Connection,
    pub path: PathBuf,
}

fn unsigned(row: &Row<'_>, column: usize) -> rusqlite::Result<u64> {
    let number: i64 = row.get(column)?;
    u64::try_from(number).map_err(|_| rusqlite::Error::IntegralValueOutOfRange(column, number))
}

fn hash(row: &Row<'_>, column: usize) -> rusqlite::Result<[u8; 32]> {
    row.get(column)
}

fn read_cell_key(row: &Row<'_>) -> rusqlite::Result<CellKey> {
    let code: u8 = row.get(2)?;
    let state =
        StockState::from_code(code).ok_or(rusqlite::Error::IntegralValueOutOfRange(2, i64::from(code)))?;
    Ok(CellKey {
        item: ItemId(unsigned(row, 0)?),
        location: LocationId(unsigned(row, 1)?),
        state,
        lot: LotId(unsigned(row, 3)?),
        consignor: ConsignorId(unsigned(row, 4)?),
    })
}

fn read_chunk(row: &Row<'_>) -> rusqlite::Result<(Chunk, i64)> {
    let chunk = Chunk {
        first_seq: unsigned(row, 0)?,
        entries: unsigned(row, 1)?,
        recorded_at: Instant::from_micros(row.get(2)?),
        hash: hash(row, 3)?,
        body: row.get(4)?,
    };
    Ok((chunk, row.get(5)?))
}

const CHUNK_COLUMNS: &str = "first_seq, entries, recorded_at, hash, body, sum";

impl SqliteReader {
    pub fn run(&self, sql: &str) -> Result<(), StoreError> {
        let run = || self.connection.prepare_cached(sql)?.execute([]);
        run().map(|_| ()).map_err(|error| failed("read", &error))
    }

    fn rows<T>(
        &self,
        sql: &str,
        parameters: impl rusqlite::Params,
        read: impl FnMut(&Row<'_>) -> rusqlite::Result<T>,
    ) -> Result<Vec<T>, StoreError> {
        let run = || -> rusqlite::Result<Vec<T>> {
            let mut statement = self.connection.prepare_cached(sql)?;
            statement.query_map(parameters, read)?.collect()
        };
        run().map_err(|error| failed("read", &error))
    }

    fn row<T>(
        &self,
        sql: &str,
        parameters: impl rusqlite::Params,
        read: impl FnOnce(&Row<'_>) -> rusqlite::Result<T>,
    ) -> Result<Option<T>, StoreError> {
        let run = || -> rusqlite::Result<Option<T>> {
            let mut statement = self.connection.prepare_cached(sql)?;
            statement.query_row(parameters, read).optional()
        };
        run().map_err(|error| failed("read", &error))
    }

    fn trail_blocks(
        &self,
        tenant: TenantId,
        cell: &CellKey,
        condition: &str,
        bounds: (i64, i64),
        mut visit: impl FnMut(Vec<TrailRow>) -> bool,
    ) -> Result<(), StoreError> {
        let damaged = || StoreError::Damaged(format!("the trail of {cell:?} cannot be read"));
        let row = self.row(
            "SELECT quantity, seq, latest, latest_before, recent, sum FROM cell WHERE tenant_id = ?1 AND item_id = ?2 AND location_id = ?3 AND state = ?4 \
             AND lot_id = ?5 AND consignor_id = ?6",
            params![
                signed(tenant.0),
                signed(cell.item.0),
                signed(cell.location.0),
                cell.state as u8,
                signed(cell.lot.0),
                signed(cell.consignor.0),
            ],
            |row| read_cell(row, 0),
        )?;
        let Some(row) = row else { return Ok(()) };
        row.check(tenant, cell)?;
        let recent = trail::decode(&row.recent).ok_or_else(damaged)?;
        if !recent.is_empty() && !visit(recent) {
            return Ok(());
        }
        let sql = format!(
            "SELECT body, first_at, first_seq, sum FROM trail WHERE tenant_id = ?1 AND item_id = ?2 AND location_id = ?3 AND state = ?4 \
             AND lot_id = ?5 AND consignor_id = ?6 AND {condition} ORDER BY first_at DESC, first_seq DESC"
        );
        let failed = |error: rusqlite::Error| failed("read", &error);
        let mut statement = self.connection.prepare_cached(&sql).map_err(failed)?;
        let [item, location, state, lot, consignor] = cell_numbers(cell);
        let mut rows = statement
            .query(params![signed(tenant.0), item, location, state, lot, consignor, bounds.0, bounds.1])
            .map_err(failed)?;
        while let Some(row) = rows.next().map_err(failed)? {
            let get = || -> rusqlite::Result<(Vec<u8>, [i64; 3])> {
                Ok((row.get(0)?, [row.get(1)?, row.get(2)?, row.get(3)?]))
            };
            let (body, [first_at, first_seq, sum]) = get().map_err(failed)?;
            let name = || format!("the row at entry {first_seq} of the trail of {cell:?}");
            trail_sum(signed(tenant.0), cell, first_at, first_seq, &body).must_be(sum, name)?;
            if !visit(trail::decode(&body).ok_or_else(damaged)?) {
                break;
            }
        }
        Ok(())
    }
}

impl Reader for SqliteReader {
    fn tenants(&mut self) -> Result<Vec<TenantId>, StoreError> {
        self.rows("SELECT tenant_id FROM head ORDER BY tenant_id", [], |row| unsigned(row, 0).map(TenantId))
    }

    fn head(&mut self, tenant: TenantId) -> Result<Head, StoreError> {
        let head = self.row(
            "SELECT seq, hash, recorded_at, flushed, keyed, sum FROM head WHERE tenant_id = ?1",
            params![signed(tenant.0)],
            |row| {
                let head = Head {
                    seq: unsigned(row, 0)?,
                    hash: hash(row, 1)?,
                    recorded_at: Instant::from_micros(row.get(2)?),
                    flushed: unsigned(row, 3)?,
                    keyed: unsigned(row, 4)?,
                };
                Ok((head, row.get(5)?))
            },
        )?;
        let Some((head, sum)) = head else { return Ok(Head::default()) };
        head_sum(signed(tenant.0), &head).must_be(sum, || format!("the head of tenant {tenant}"))?;
        Ok(head)
    }

    fn cell(&mut self, tenant: TenantId, key: &CellKey) -> Result<CellSlot, StoreError> {
        let [item, location, state, lot, consignor] = cell_numbers(key);
        let row = self.row(
            "SELECT quantity, seq, latest, latest_before, recent, sum FROM cell WHERE tenant_id = ?1 \
             AND item_id = ?2 AND location_id = ?3 AND state = ?4 AND lot_id = ?5 AND consignor_id = ?6",
            params![signed(tenant.0), item, location, state, lot, consignor],
            |row| read_cell(row, 0),
        )?;
        row.map_or_else(|| Ok(CellSlot::default()), |row| row.whole(tenant, key))
    }

    fn cells_of(&mut self, tenant: TenantId, item: ItemId) -> Result<Vec<(CellKey, CellSlot)>, StoreError> {
        let sql = format!(
            "SELECT item_id, location_id, state, lot_id, consignor_id, {CELL_ROW} FROM cell WHERE tenant_id = ?1 AND item_id = ?2 \
             ORDER BY location_id, state, lot_id, consignor_id"
        );
        let rows = self.rows(&sql, params![signed(tenant.0), signed(item.0)], read_cell_row)?;
        rows.into_iter().map(|(key, row)| Ok((key, row.whole(tenant, &key)?))).collect()
    }

    fn cells_after(
        &mut self,
        tenant: TenantId,
        after: Option<CellKey>,
        limit: usize,
    ) -> Result<Vec<(CellKey, CellSlot)>, StoreError> {
        let sql = format!(
            "SELECT item_id, location_id, state, lot_id, consignor_id, {CELL_ROW} FROM cell WHERE tenant_id = ?1 AND \
             (item_id, location_id, state, lot_id, consignor_id) > (?2, ?3, ?4, ?5, ?6) \
             ORDER BY item_id, location_id, state, lot_id, consignor_id LIMIT ?7"
        );
        let key = after.unwrap_or(CellKey::new(ItemId(0), LocationId(0), StockState::Available));
        let [item, location, state, lot, consignor] = cell_numbers(&key);
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        let rows = self.rows(
            &sql,
            params![signed(tenant.0), item, location, state, lot, consignor, limit],
            read_cell_row,
        )?;
        rows.into_iter().map(|(key, row)| Ok((key, row.whole(tenant, &key)?))).collect()
    }

    fn object(&mut self, tenant: TenantId, key: &Key) -> Result<Slot, StoreError> {
        let found = self.row(
            "SELECT key, seq, body, sum FROM object WHERE tenant_id = ?1 AND kind = ?2 AND key = ?3",
            params![signed(tenant.0), key.kind(), key.bytes()],
            |row| read_object(row, 0),
        )?;
        found.map_or_else(|| Ok(Slot::default()), |row| Ok(row.whole(tenant, key.kind())?.1))
    }

    fn range(
        &mut self,
        tenant: TenantId,
        from: &Key,
        to: &Key,
        reverse: bool,
        limit: usize,
    ) -> Result<Vec<(Key, Slot)>, StoreError> {
        let order = if reverse { "DESC" } else { "ASC" };
        let sql = format!(
            "SELECT key, seq, body, sum FROM object WHERE tenant_id = ?1 AND kind = ?2 AND key BETWEEN ?3 AND ?4 \
             ORDER BY key {order} LIMIT ?5"
        );
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        let rows = self.rows(
            &sql,
            params![signed(tenant.0), from.kind(), from.bytes(), to.bytes(), limit],
            |row| read_object(row, 0),
        )?;
        rows.into_iter().map(|row| row.whole(tenant, from.kind())).collect()
    }

    fn objects_after(
        &mut self,
        tenant: TenantId,
        after: Option<&Key>,
        limit: usize,
    ) -> Result<Vec<(Key, Slot)>, StoreError> {
        let (kind, bytes) = after.map_or((0, Vec::new()), |key| (key.kind(), key.bytes()));
        let rows = self.rows(
            "SELECT kind, key, seq, body, sum FROM object WHERE tenant_id = ?1 AND (kind, key) > (?2, ?3) \
             ORDER BY kind, key LIMIT ?4",
            params![signed(tenant.0), kind, bytes, signed(limit as u64)],
            |row| Ok((row.get::<_, u8>(0)?, read_object(row, 1)?)),
        )?;
        rows.into_iter().map(|(kind, row)| row.whole(tenant, kind)).collect()
    }

    fn keys_after(
        &mut self,
        tenant: TenantId,
        after: Option<KeyAt>,
        limit: usize,
    ) -> Result<Vec<KeyAt>, StoreError> {
        super::keys::keys_after(&self.connection, tenant, after, limit)
    }

    fn check(&mut self) -> Result<Option<String>, StoreError> {
        let found: Option<String> = self.row("PRAGMA integrity_check(1)", [], |row| row.get(0))?;
        if let Some(found) = found.filter(|found| found != "ok") {
            return Ok(Some(found));
        }
        if let Some(found) = super::shape::check(&self.connection).map_err(|error| failed("read", &error))? {
            return Ok(Some(found));
        }
        let orphaned = orphaned(&["cell", "object", "trail", "note", "key_run"]);
        if let Some(Some(tenant)) = self.row(&orphaned, [], |row| row.get::<_, Option<i64>>(0))? {
            return Ok(Some(format!("there are rows of tenant {tenant}, and its head is missing")));
        }
        for tenant in self.tenants()? {
            match super::keys::check(&self.connection, tenant) {
                Ok(()) => {}
                Err(StoreError::Damaged(found)) => return Ok(Some(found)),
                Err(error) => return Err(error),
            }
        }
        self.check_notes()
    }

    fn keys_like(&mut self, tenant: TenantId, hash: u64) -> Result<Vec<Seq>, StoreError> {
        super::keys::find(&self.connection, tenant, hash)
    }

    fn chunk_of(&mut self, tenant: TenantId, seq: Seq) -> Result<Option<Chunk>, StoreError> {
        let sql = format!(
            "SELECT {CHUNK_COLUMNS} FROM log WHERE tenant_id = ?1 AND first_seq <= ?2 ORDER BY first_seq DESC LIMIT 1"
        );
        let chunk = self.row(&sql, params![signed(tenant.0), signed(seq)], read_chunk)?;
        let chunk = chunk.map(|(chunk, sum)| whole_chunk(tenant, chunk, sum)).transpose()?;
        Ok(chunk.filter(|chunk| seq < chunk.first_seq + chunk.entries))
    }

    fn chunks_after(&mut self, tenant: TenantId, seq: Seq, limit: usize) -> Result<Vec<Chunk>, StoreError> {
        let first = self.chunk_of(tenant, seq + 1)?.map_or(seq + 1, |chunk| chunk.first_seq);
        let sql = format!(
            "SELECT {CHUNK_COLUMNS} FROM log WHERE tenant_id = ?1 AND first_seq >= ?2 ORDER BY first_seq LIMIT ?3"
        );
        let rows =
            self.rows(&sql, params![signed(tenant.0), signed(first), signed(limit as u64)], read_chunk)?;
        rows.into_iter().map(|(chunk, sum)| whole_chunk(tenant, chunk, sum)).collect()
    }

    fn trail_before(
        &mut self,
        tenant: TenantId,
        cell: &CellKey,
        at: Instant,
        known: Seq,
    ) -> Result<Option<TrailRow>, StoreError> {
        let mut found = None;
        self.trail_blocks(
            tenant,
            cell,
            "first_at <= ?7 AND first_seq <= ?8",
            (at.micros(), signed(known)),
            |block| {
                found = block
                    .into_iter()
                    .rev()
                    .find(|row| !row.late && row.occurred_at <= at && row.seq <= known);
                found.is_none()
            },
        )?;
        Ok(found)
    }

    fn trail(
        &mut self,
        tenant: TenantId,
        cell: &CellKey,
        before: Seq,
        limit: usize,
    ) -> Result<Vec<TrailRow>, StoreError> {
        let mut rows = Vec::new();
        self.trail_blocks(tenant, cell, "?7 <= 0 AND first_seq < ?8", (0, signed(before)), |block| {
            rows.extend(block.into_iter().rev().filter(|row| row.seq < before).take(limit - rows.len()));
            rows.len() < limit
        })?;
        Ok(rows)
    }

    fn note(&mut self, tenant: TenantId, space: &str, key: &str) -> Result<Option<String>, StoreError> {
        let row = self.row(
            "SELECT body, sum FROM note WHERE tenant_id = ?1 AND space = ?2 AND key = ?3",
            params![signed(tenant.0), space, key],
            |row| Ok((row.get(0)?, row.get(1)?)),
        )?;
        row.map(|(body, sum)| whole_note(tenant, space, key, body, sum)).transpose()
    }

    fn notes(
        &mut self,
        tenant: TenantId,
        space: &str,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Vec<(String, String)>, StoreError> {
        let rows = self.rows(
            "SELECT key, body, sum FROM note WHERE tenant_id = ?1 AND space = ?2 AND (?3 IS NULL OR key > ?3) \
             ORDER BY key LIMIT ?4",
            params![signed(tenant.0), space, after, i64::try_from(limit).unwrap_or(i64::MAX)],
            |row| Ok((row.get::<_, String>(0)?, row.get(1)?, row.get(2)?)),
        )?;
        let whole = |(key, body, sum): (String, String, i64)| {
            let body = whole_note(tenant, space, &key, body, sum)?;
            Ok((key, body))
        };
        rows.into_iter().map(whole).collect()
    }

    fn notes_after(
        &mut self,
        tenant: TenantId,
        after: Option<(&str, &str)>,
        limit: usize,
    ) -> Result<Vec<Note>, StoreError> {
        let (space, key) = after.unzip();
        let rows = self.rows(
            "SELECT space, key, body, sum FROM note WHERE tenant_id = ?1 \
             AND (?2 IS NULL OR (space, key) > (?2, ?3)) ORDER BY space, key LIMIT ?4",
            params![signed(tenant.0), space, key, i64::try_from(limit).unwrap_or(i64::MAX)],
            |row| Ok((row.get::<_, String>(0)?, row.get::<_, String>(1)?, row.get(2)?, row.get(3)?)),
        )?;
        let whole = |(space, key, body, sum): (String, String, String, i64)| {
            let body = Some(whole_note(tenant, &space, &key, body, sum)?);
            Ok(Note { space, key, body })
        };
        rows.into_iter().map(whole).collect()
    }
}

impl SqliteReader {
    /// Nobody else reads all notes: the log says nothing of them.
    fn check_notes(&self) -> Result<Option<String>, StoreError> {
        let run = || -> rusqlite::Result<Option<String>> {
            let mut statement =
                self.connection.prepare_cached("SELECT tenant_id, space, key, body, sum FROM note")?;
            let mut rows = statement.query([])?;
            while let Some(row) = rows.next()? {
                let tenant: i64 = row.get(0)?;
                // What cannot even be text was changed.
                let texts = (row.get::<_, String>(1), row.get::<_, String>(2), row.get::<_, String>(3));
                let (Ok(space), Ok(key), Ok(body)) = texts else {
                    return Ok(Some(format!("a note of tenant {tenant} was changed: it is no text")));
                };
                let what = || format!("the note `{key}` of {space}");
                if let Err(error) = note_sum(tenant, &space, &key, &body).must_be(row.get(4)?, what) {
                    return Ok(Some(match error {
                        StoreError::Damaged(found) => found,
                        other => other.to_string(),
                    }));
                }
            }
            Ok(None)
        };
        run().map_err(|error| failed("read", &error))
    }
}

fn read_object(row: &Row<'_>, from: usize) -> rusqlite::Result<ObjectRow> {
    Ok(ObjectRow {
        bytes: row.get(from)?,
        seq: row.get(from + 1)?,
        body: row.get(from + 2)?,
        sum: row.get(from + 3)?,
    })
}

fn read_cell_row(row: &Row<'_>) -> rusqlite::Result<(CellKey, CellRow)> {
    Ok((read_cell_key(row)?, read_cell(row, 5)?))
}
