//! Reading: one connection, one tenant at a time.

use std::path::PathBuf;

use onhand_ledger::state::{CellSlot, Slot, TrailRow};
use onhand_ledger::{
    CellKey, ConsignorId, Instant, ItemId, Key, LocationId, LotId, Quantity, Seq, StockState, TenantId, Value,
};
use rusqlite::{Connection, OptionalExtension as _, Row, params};

use super::write::read_recent;
use super::{failed, signed};
use crate::{Chunk, Head, Reader, StoreError};

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

fn read_cell(row: &Row<'_>, from: usize) -> rusqlite::Result<CellSlot> {
    let latest = Instant::from_micros(row.get(from + 2)?);
    Ok(CellSlot {
        quantity: Quantity::from_micros(row.get(from)?),
        seq: unsigned(row, from + 1)?,
        latest,
        latest_before_pending: latest,
        pending: Vec::new(),
    })
}

fn read_chunk(row: &Row<'_>) -> rusqlite::Result<Chunk> {
    Ok(Chunk {
        first_seq: unsigned(row, 0)?,
        entries: unsigned(row, 1)?,
        recorded_at: Instant::from_micros(row.get(2)?),
        hash: hash(row, 3)?,
        body: row.get(4)?,
    })
}

const CELL_COLUMNS: &str = "item_id, location_id, state, lot_id, consignor_id, quantity, seq, latest";
const CHUNK_COLUMNS: &str = "first_seq, entries, recorded_at, hash, body";

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
        let recent: Option<Vec<u8>> = self.row(
            "SELECT recent FROM cell WHERE tenant_id = ?1 AND item_id = ?2 AND location_id = ?3 AND state = ?4 \
             AND lot_id = ?5 AND consignor_id = ?6",
            params![
                signed(tenant.0),
                signed(cell.item.0),
                signed(cell.location.0),
                cell.state as u8,
                signed(cell.lot.0),
                signed(cell.consignor.0),
            ],
            |row| row.get(0),
        )?;
        let recent = read_recent(&recent.unwrap_or_default()).map_err(|_| damaged())?;
        if !recent.is_empty() && !visit(recent) {
            return Ok(());
        }
        let sql = format!(
            "SELECT body FROM trail WHERE tenant_id = ?1 AND item_id = ?2 AND location_id = ?3 AND state = ?4 \
             AND lot_id = ?5 AND consignor_id = ?6 AND {condition} ORDER BY first_at DESC, first_seq DESC"
        );
        let mut run = || -> rusqlite::Result<Vec<Vec<u8>>> {
            let mut statement = self.connection.prepare_cached(&sql)?;
            let mut rows = statement.query(params![
                signed(tenant.0),
                signed(cell.item.0),
                signed(cell.location.0),
                cell.state as u8,
                signed(cell.lot.0),
                signed(cell.consignor.0),
                bounds.0,
                bounds.1,
            ])?;
            let mut undecoded = Vec::new();
            while let Some(row) = rows.next()? {
                let body: Vec<u8> = row.get(0)?;
                match postcard::from_bytes(&body) {
                    Ok(block) => {
                        if !visit(block) {
                            break;
                        }
                    }
                    Err(_) => undecoded.push(body),
                }
            }
            Ok(undecoded)
        };
        if run().map_err(|error| failed("read", &error))?.is_empty() { Ok(()) } else { Err(damaged()) }
    }
}

impl Reader for SqliteReader {
    fn tenants(&mut self) -> Result<Vec<TenantId>, StoreError> {
        self.rows("SELECT tenant_id FROM head ORDER BY tenant_id", [], |row| unsigned(row, 0).map(TenantId))
    }

    fn head(&mut self, tenant: TenantId) -> Result<Head, StoreError> {
        let head = self.row(
            "SELECT seq, hash, recorded_at, flushed FROM head WHERE tenant_id = ?1",
            params![signed(tenant.0)],
            |row| {
                Ok(Head {
                    seq: unsigned(row, 0)?,
                    hash: hash(row, 1)?,
                    recorded_at: Instant::from_micros(row.get(2)?),
                    flushed: unsigned(row, 3)?,
                })
            },
        )?;
        Ok(head.unwrap_or_default())
    }

    fn cell(&mut self, tenant: TenantId, key: &CellKey) -> Result<CellSlot, StoreError> {
        let slot = self.row(
            "SELECT quantity, seq, latest FROM cell WHERE tenant_id = ?1 AND item_id = ?2 AND location_id = ?3 \
             AND state = ?4 AND lot_id = ?5 AND consignor_id = ?6",
            params![
                signed(tenant.0),
                signed(key.item.0),
                signed(key.location.0),
                key.state as u8,
                signed(key.lot.0),
                signed(key.consignor.0)
            ],
            |row| read_cell(row, 0),
        )?;
        Ok(slot.unwrap_or_default())
    }

    fn cells_of(&mut self, tenant: TenantId, item: ItemId) -> Result<Vec<(CellKey, CellSlot)>, StoreError> {
        let sql = format!(
            "SELECT {CELL_COLUMNS} FROM cell WHERE tenant_id = ?1 AND item_id = ?2 \
             ORDER BY location_id, state, lot_id, consignor_id"
        );
        self.rows(&sql, params![signed(tenant.0), signed(item.0)], |row| {
            Ok((read_cell_key(row)?, read_cell(row, 5)?))
        })
    }

    fn cells_after(
        &mut self,
        tenant: TenantId,
        after: Option<CellKey>,
        limit: usize,
    ) -> Result<Vec<(CellKey, CellSlot)>, StoreError> {
        let sql = format!(
            "SELECT {CELL_COLUMNS} FROM cell WHERE tenant_id = ?1 AND \
             (item_id, location_id, state, lot_id, consignor_id) > (?2, ?3, ?4, ?5, ?6) \
             ORDER BY item_id, location_id, state, lot_id, consignor_id LIMIT ?7"
        );
        let key = after.unwrap_or(CellKey::new(ItemId(0), LocationId(0), StockState::Available));
        self.rows(
            &sql,
            params![
                signed(tenant.0),
                signed(key.item.0),
                signed(key.location.0),
                key.state as u8,
                signed(key.lot.0),
                signed(key.consignor.0),
                signed(limit as u64)
            ],
            |row| Ok((read_cell_key(row)?, read_cell(row, 5)?)),
        )
    }

    fn object(&mut self, tenant: TenantId, key: &Key) -> Result<Slot, StoreError> {
        let found = self.row(
            "SELECT seq, body FROM object WHERE tenant_id = ?1 AND kind = ?2 AND key = ?3",
            params![signed(tenant.0), key.kind(), key.bytes()],
            |row| Ok((unsigned(row, 0)?, row.get::<_, String>(1)?)),
        )?;
        match found {
            None => Ok(Slot::default()),
            Some((seq, body)) => Ok(Slot { value: Some(read_value(key, &body)?), seq }),
        }
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
            "SELECT key, seq, body FROM object WHERE tenant_id = ?1 AND kind = ?2 AND key BETWEEN ?3 AND ?4 \
             ORDER BY key {order} LIMIT ?5"
        );
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        let rows = self.rows(
            &sql,
            params![signed(tenant.0), from.kind(), from.bytes(), to.bytes(), limit],
            |row| Ok((row.get::<_, Vec<u8>>(0)?, unsigned(row, 1)?, row.get::<_, String>(2)?)),
        )?;
        rows.into_iter().map(|(bytes, seq, body)| read_object(from.kind(), &bytes, seq, &body)).collect()
    }

    fn objects_after(
        &mut self,
        tenant: TenantId,
        after: Option<&Key>,
        limit: usize,
    ) -> Result<Vec<(Key, Slot)>, StoreError> {
        let (kind, bytes) = after.map_or((0, Vec::new()), |key| (key.kind(), key.bytes()));
        let rows = self.rows(
            "SELECT kind, key, seq, body FROM object WHERE tenant_id = ?1 AND (kind, key) > (?2, ?3) \
             ORDER BY kind, key LIMIT ?4",
            params![signed(tenant.0), kind, bytes, signed(limit as u64)],
            |row| {
                Ok((
                    row.get::<_, u8>(0)?,
                    row.get::<_, Vec<u8>>(1)?,
                    unsigned(row, 2)?,
                    row.get::<_, String>(3)?,
                ))
            },
        )?;
        rows.into_iter().map(|(kind, bytes, seq, body)| read_object(kind, &bytes, seq, &body)).collect()
    }

    fn requests_after(
        &mut self,
        tenant: TenantId,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Vec<(String, Seq)>, StoreError> {
        self.rows(
            "SELECT key, seq FROM request WHERE tenant_id = ?1 AND (?2 IS NULL OR key > ?2) ORDER BY key LIMIT ?3",
            params![signed(tenant.0), after, signed(limit as u64)],
            |row| Ok((row.get(0)?, unsigned(row, 1)?)),
        )
    }

    fn check(&mut self) -> Result<Option<String>, StoreError> {
        let found: Option<String> = self.row("PRAGMA integrity_check(1)", [], |row| row.get(0))?;
        Ok(found.filter(|found| found != "ok"))
    }

    fn request(&mut self, tenant: TenantId, key: &str) -> Result<Option<Seq>, StoreError> {
        self.row(
            "SELECT seq FROM request WHERE tenant_id = ?1 AND key = ?2",
            params![signed(tenant.0), key],
            |row| unsigned(row, 0),
        )
    }

    fn chunk_of(&mut self, tenant: TenantId, seq: Seq) -> Result<Option<Chunk>, StoreError> {
        let sql = format!(
            "SELECT {CHUNK_COLUMNS} FROM log WHERE tenant_id = ?1 AND first_seq <= ?2 ORDER BY first_seq DESC LIMIT 1"
        );
        let chunk = self.row(&sql, params![signed(tenant.0), signed(seq)], read_chunk)?;
        Ok(chunk.filter(|chunk| seq < chunk.first_seq + chunk.entries))
    }

    fn chunks_after(&mut self, tenant: TenantId, seq: Seq, limit: usize) -> Result<Vec<Chunk>, StoreError> {
        let first = self.chunk_of(tenant, seq + 1)?.map_or(seq + 1, |chunk| chunk.first_seq);
        let sql = format!(
            "SELECT {CHUNK_COLUMNS} FROM log WHERE tenant_id = ?1 AND first_seq >= ?2 ORDER BY first_seq LIMIT ?3"
        );
        self.rows(&sql, params![signed(tenant.0), signed(first), signed(limit as u64)], read_chunk)
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
        self.row(
            "SELECT body FROM note WHERE tenant_id = ?1 AND space = ?2 AND key = ?3",
            params![signed(tenant.0), space, key],
            |row| row.get(0),
        )
    }

    fn notes(
        &mut self,
        tenant: TenantId,
        space: &str,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Vec<(String, String)>, StoreError> {
        self.rows(
            "SELECT key, body FROM note WHERE tenant_id = ?1 AND space = ?2 AND (?3 IS NULL OR key > ?3) \
             ORDER BY key LIMIT ?4",
            params![signed(tenant.0), space, after, i64::try_from(limit).unwrap_or(i64::MAX)],
            |row| Ok((row.get(0)?, row.get(1)?)),
        )
    }
}

fn read_object(kind: u8, bytes: &[u8], seq: Seq, body: &str) -> Result<(Key, Slot), StoreError> {
    let key = Key::from_bytes(kind, bytes)
        .ok_or_else(|| StoreError::Damaged(format!("a key of kind {kind} cannot be read")))?;
    let value = Some(read_value(&key, body)?);
    Ok((key, Slot { value, seq }))
}

fn read_value(key: &Key, body: &str) -> Result<Value, StoreError> {
    serde_json::from_str(body)
        .map_err(|error| StoreError::Damaged(format!("{key:?} cannot be read: {error}")))
}
