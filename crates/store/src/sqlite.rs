//! SQLite: one file, nothing to install.
//!
//! WAL, `synchronous=FULL`: a commit is durable when it returns. The file is guarded by an exclusive lock on a file
//! beside it (`NAME.lock`), never on the database itself, so that backup tools can follow it.

use std::fs::File;
use std::io::{Read as _, Seek as _, Write as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use onhand_ledger::state::{CellSlot, Slot, TrailRow};
use onhand_ledger::{
    CellKey, ConsignorId, Instant, ItemId, Key, LocationId, LotId, Quantity, Seq, StockState, TenantId, Value,
};
use rusqlite::config::DbConfig;
use rusqlite::{Connection, OpenFlags, OptionalExtension as _, Row, params};

use crate::{Batch, Chunk, Head, Reader, Store, StoreError};

/// `PRAGMA application_id`: "Onhd".
const APPLICATION_ID: i64 = 0x4f6e_6864;
/// `PRAGMA user_version`: grows with the schema.
const SCHEMA_VERSION: u32 = 1;
/// The trail of a cell is kept with the cell until it has so many bytes, some 30 movements: a row of its own for each
/// few would be written to another page each time.
const RECENT_BYTES: i64 = 512;
/// Older libraries can lose commits when the WAL is reset: <https://sqlite.org/wal.html#walresetbug>.
const OLDEST_SQLITE: i32 = 3_051_003;

/// The schema. See `docs/storage.md` for what each table means.
const SCHEMA: &str = "
CREATE TABLE head(tenant_id INTEGER PRIMARY KEY, seq INTEGER NOT NULL, hash BLOB NOT NULL,
  recorded_at INTEGER NOT NULL, flushed INTEGER NOT NULL);
CREATE TABLE log(tenant_id INTEGER NOT NULL, first_seq INTEGER NOT NULL, entries INTEGER NOT NULL,
  recorded_at INTEGER NOT NULL, hash BLOB NOT NULL, body BLOB NOT NULL,
  PRIMARY KEY(tenant_id, first_seq)) WITHOUT ROWID;
CREATE TABLE cell(tenant_id INTEGER NOT NULL, item_id INTEGER NOT NULL, location_id INTEGER NOT NULL,
  state INTEGER NOT NULL, lot_id INTEGER NOT NULL, consignor_id INTEGER NOT NULL,
  quantity INTEGER NOT NULL, seq INTEGER NOT NULL, latest INTEGER NOT NULL,
  latest_before INTEGER NOT NULL, recent BLOB NOT NULL,
  PRIMARY KEY(tenant_id, item_id, location_id, state, lot_id, consignor_id)) WITHOUT ROWID;
CREATE TABLE trail(tenant_id INTEGER NOT NULL, item_id INTEGER NOT NULL, location_id INTEGER NOT NULL,
  state INTEGER NOT NULL, lot_id INTEGER NOT NULL, consignor_id INTEGER NOT NULL,
  first_at INTEGER NOT NULL, first_seq INTEGER NOT NULL, body BLOB NOT NULL,
  PRIMARY KEY(tenant_id, item_id, location_id, state, lot_id, consignor_id, first_at, first_seq)) WITHOUT ROWID;
CREATE TABLE object(tenant_id INTEGER NOT NULL, kind INTEGER NOT NULL, key BLOB NOT NULL,
  seq INTEGER NOT NULL, body TEXT NOT NULL,
  PRIMARY KEY(tenant_id, kind, key)) WITHOUT ROWID;
CREATE TABLE request(tenant_id INTEGER NOT NULL, key TEXT NOT NULL, seq INTEGER NOT NULL,
  PRIMARY KEY(tenant_id, key)) WITHOUT ROWID;
CREATE TABLE note(tenant_id INTEGER NOT NULL, space TEXT NOT NULL, key TEXT NOT NULL, body TEXT NOT NULL,
  PRIMARY KEY(tenant_id, space, key)) WITHOUT ROWID;
";

/// A database file, and the lock that makes this process its only writer.
pub struct SqliteStore {
    reading: SqliteReader,
    lock: Arc<Lock>,
}

struct Lock {
    file: File,
    path: PathBuf,
}

impl Drop for Lock {
    fn drop(&mut self) {
        // Leaves the file: removing it would let two processes lock two files of one name.
        let _ = self.file.set_len(0);
    }
}

/// A reading connection.
struct SqliteReader {
    connection: Connection,
    path: PathBuf,
}

impl SqliteStore {
    /// Opens a database file, or makes one. Fails if another process has it, or if it is not ours, newer or damaged.
    pub fn open(path: &Path) -> Result<Self, StoreError> {
        if rusqlite::version_number() < OLDEST_SQLITE {
            return Err(StoreError::Io {
                doing: "opened",
                reason: format!("SQLite {} can lose commits; 3.51.3 or newer is needed", rusqlite::version()),
            });
        }
        refuse_foreign(path)?;
        let lock = Arc::new(lock(path)?);
        let fresh = std::fs::metadata(path).map_or(true, |metadata| metadata.len() == 0);
        let connection = Connection::open(path).map_err(|error| failed("opened", &error))?;
        let mut store = Self { reading: SqliteReader { connection, path: path.to_owned() }, lock };
        store.prepare(fresh)?;
        Ok(store)
    }

    /// Writes where this process can be reached into the lock file, for commands that find the file in use.
    pub fn announce(&self, address: &str) -> Result<(), StoreError> {
        let write = || -> std::io::Result<()> {
            let mut file = &self.lock.file;
            file.set_len(0)?;
            file.rewind()?;
            file.write_all(address.as_bytes())
        };
        write().map_err(|error| StoreError::Io {
            doing: "written",
            reason: format!("{}: {error}", self.lock.path.display()),
        })
    }

    fn prepare(&mut self, fresh: bool) -> Result<(), StoreError> {
        let connection = &mut self.reading.connection;
        let configure = |connection: &Connection| -> rusqlite::Result<()> {
            connection.busy_timeout(std::time::Duration::from_secs(5))?;
            connection.pragma_update(None, "journal_mode", "WAL")?;
            connection.pragma_update(None, "synchronous", "FULL")?;
            connection.pragma_update(None, "temp_store", "MEMORY")?;
            connection.pragma_update(None, "cache_size", -65_536)?;
            connection.pragma_update(None, "wal_autocheckpoint", 16_384)?;
            connection.set_prepared_statement_cache_capacity(64);
            keep_plans(connection)
        };
        configure(connection).map_err(|error| open_failed(&self.reading.path, &error))?;
        if fresh {
            let create = |connection: &mut Connection| -> rusqlite::Result<()> {
                let transaction = connection.transaction()?;
                transaction.execute_batch(SCHEMA)?;
                transaction.pragma_update(None, "application_id", APPLICATION_ID)?;
                transaction.pragma_update(None, "user_version", SCHEMA_VERSION)?;
                transaction.commit()
            };
            create(connection).map_err(|error| open_failed(&self.reading.path, &error))?;
        }
        let read = |name: &str| connection.pragma_query_value(None, name, |row| row.get::<_, i64>(0));
        let path = self.reading.path.display().to_string();
        let application = read("application_id").map_err(|error| open_failed(&self.reading.path, &error))?;
        if application != APPLICATION_ID {
            return Err(StoreError::NotOurs { path, reason: "another program made it".to_owned() });
        }
        let version = read("user_version").map_err(|error| open_failed(&self.reading.path, &error))?;
        let found = u32::try_from(version).unwrap_or(u32::MAX);
        if found > SCHEMA_VERSION {
            return Err(StoreError::Newer { path, found, known: SCHEMA_VERSION });
        }
        Ok(())
    }
}

/// Else each bound value of a range has its statement planned anew:
/// <https://sqlite.org/c3ref/c_dbconfig_defensive.html#sqlitedbconfigenableqpsg>.
fn keep_plans(connection: &Connection) -> rusqlite::Result<()> {
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true)?;
    Ok(())
}

/// A file that is there must begin as SQLite's do, and carry our mark; looked at before anything is written.
fn refuse_foreign(path: &Path) -> Result<(), StoreError> {
    let shown = path.display().to_string();
    if path.is_dir() {
        return Err(StoreError::NotOurs { path: shown, reason: "it is a directory".to_owned() });
    }
    let Ok(file) = File::open(path) else { return Ok(()) };
    let mut header = Vec::new();
    file.take(100)
        .read_to_end(&mut header)
        .map_err(|error| StoreError::Io { doing: "opened", reason: error.to_string() })?;
    if header.is_empty() {
        return Ok(());
    }
    if header.len() < 100 || !header.starts_with(b"SQLite format 3\0") {
        return Err(StoreError::NotOurs { path: shown, reason: "it is no SQLite file".to_owned() });
    }
    let application = i64::from(u32::from_be_bytes([header[68], header[69], header[70], header[71]]));
    // A fresh file whose first transaction is still in its WAL has no mark yet: SQLite is asked then.
    if application != APPLICATION_ID && application != 0 {
        return Err(StoreError::NotOurs { path: shown, reason: "another program made it".to_owned() });
    }
    Ok(())
}

fn lock(path: &Path) -> Result<Lock, StoreError> {
    let mut name = path.as_os_str().to_owned();
    name.push(".lock");
    let lock_path = PathBuf::from(name);
    let failed = |error: std::io::Error| StoreError::Io {
        doing: "opened",
        reason: format!("{}: {error}", lock_path.display()),
    };
    let mut file = File::options()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .open(&lock_path)
        .map_err(failed)?;
    match file.try_lock() {
        Ok(()) => Ok(Lock { file, path: lock_path }),
        Err(std::fs::TryLockError::WouldBlock) => {
            let mut holder = String::new();
            let _ = file.read_to_string(&mut holder);
            let holder = Some(holder.trim().to_owned()).filter(|holder| !holder.is_empty());
            Err(StoreError::InUse { path: path.display().to_string(), holder })
        }
        Err(std::fs::TryLockError::Error(error)) => Err(failed(error)),
    }
}

fn failed(doing: &'static str, error: &rusqlite::Error) -> StoreError {
    match error.sqlite_error_code() {
        Some(rusqlite::ErrorCode::DatabaseCorrupt | rusqlite::ErrorCode::NotADatabase) => {
            StoreError::Damaged(error.to_string())
        }
        _ => StoreError::Io { doing, reason: error.to_string() },
    }
}

fn open_failed(path: &Path, error: &rusqlite::Error) -> StoreError {
    match error.sqlite_error_code() {
        Some(rusqlite::ErrorCode::NotADatabase) => StoreError::NotOurs {
            path: path.display().to_string(),
            reason: "it is no SQLite file".to_owned(),
        },
        _ => failed("opened", error),
    }
}

/// SQLite's integers are signed; ids and seqs fit them.
fn signed(number: u64) -> i64 {
    i64::try_from(number).expect("ids and seqs stay below 2^63")
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
    fn run(&self, sql: &str) -> Result<(), StoreError> {
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
        rows.into_iter()
            .map(|(bytes, seq, body)| {
                let key = Key::from_bytes(from.kind(), &bytes).ok_or_else(|| {
                    StoreError::Damaged(format!("a key of kind {} cannot be read", from.kind()))
                })?;
                let value = Some(read_value(&key, &body)?);
                Ok((key, Slot { value, seq }))
            })
            .collect()
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

fn read_value(key: &Key, body: &str) -> Result<Value, StoreError> {
    serde_json::from_str(body)
        .map_err(|error| StoreError::Damaged(format!("{key:?} cannot be read: {error}")))
}

/// Everything a [`Reader`] does, done by the writer's own connection.
macro_rules! read_through {
    ($($name:ident($($argument:ident: $type:ty),*) -> $answer:ty;)*) => {
        impl Reader for SqliteStore {
            $(fn $name(&mut self, $($argument: $type),*) -> Result<$answer, StoreError> {
                self.reading.$name($($argument),*)
            })*
        }
    };
}

read_through! {
    tenants() -> Vec<TenantId>;
    head(tenant: TenantId) -> Head;
    cell(tenant: TenantId, key: &CellKey) -> CellSlot;
    cells_of(tenant: TenantId, item: ItemId) -> Vec<(CellKey, CellSlot)>;
    cells_after(tenant: TenantId, after: Option<CellKey>, limit: usize) -> Vec<(CellKey, CellSlot)>;
    object(tenant: TenantId, key: &Key) -> Slot;
    range(tenant: TenantId, from: &Key, to: &Key, reverse: bool, limit: usize) -> Vec<(Key, Slot)>;
    request(tenant: TenantId, key: &str) -> Option<Seq>;
    chunk_of(tenant: TenantId, seq: Seq) -> Option<Chunk>;
    chunks_after(tenant: TenantId, seq: Seq, limit: usize) -> Vec<Chunk>;
    trail_before(tenant: TenantId, cell: &CellKey, at: Instant, known: Seq) -> Option<TrailRow>;
    trail(tenant: TenantId, cell: &CellKey, before: Seq, limit: usize) -> Vec<TrailRow>;
    note(tenant: TenantId, space: &str, key: &str) -> Option<String>;
    notes(tenant: TenantId, space: &str, after: Option<&str>, limit: usize) -> Vec<(String, String)>;
}

impl Store for SqliteStore {
    fn commit(&mut self, batches: &[(TenantId, Batch)]) -> Result<(), StoreError> {
        let mut write = || -> rusqlite::Result<()> {
            let transaction = self
                .reading
                .connection
                .transaction_with_behavior(rusqlite::TransactionBehavior::Immediate)?;
            for (tenant, batch) in batches {
                write_batch(&transaction, *tenant, batch)?;
            }
            transaction.commit()
        };
        write().map_err(|error| failed("written", &error))
    }

    fn begin_reading(&mut self) -> Result<(), StoreError> {
        self.end_reading()?;
        self.reading.run("BEGIN")
    }

    fn end_reading(&mut self) -> Result<(), StoreError> {
        // Some errors end a transaction by themselves.
        if self.reading.connection.is_autocommit() { Ok(()) } else { self.reading.run("COMMIT") }
    }

    fn reader(&self) -> Result<Box<dyn Reader>, StoreError> {
        let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let open = || -> rusqlite::Result<Connection> {
            let connection = Connection::open_with_flags(&self.reading.path, flags)?;
            connection.busy_timeout(std::time::Duration::from_secs(5))?;
            connection.pragma_update(None, "cache_size", -16_384)?;
            connection.set_prepared_statement_cache_capacity(64);
            keep_plans(&connection)?;
            Ok(connection)
        };
        let connection = open().map_err(|error| failed("opened", &error))?;
        Ok(Box::new(SqliteReader { connection, path: self.reading.path.clone() }))
    }

    fn clear_projections(&mut self) -> Result<(), StoreError> {
        let clear = "DELETE FROM cell; DELETE FROM trail; DELETE FROM object; DELETE FROM request; \
                     UPDATE head SET flushed = 0;";
        // Rolled back where it fails halfway: a transaction left open would fail every later one.
        let mut write = || -> rusqlite::Result<()> {
            let transaction = self
                .reading
                .connection
                .transaction_with_behavior(rusqlite::TransactionBehavior::Immediate)?;
            transaction.execute_batch(clear)?;
            transaction.commit()
        };
        write().map_err(|error| failed("written", &error))
    }
}

fn write_batch(transaction: &Connection, tenant: TenantId, batch: &Batch) -> rusqlite::Result<()> {
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
fn read_recent(mut bytes: &[u8]) -> Result<Vec<TrailRow>, postcard::Error> {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_trail_is_read_alike_with_its_cell_and_in_blocks() {
        let folder = tempfile::tempdir().unwrap();
        let mut store = SqliteStore::open(&folder.path().join("test.db")).unwrap();
        let key = CellKey::new(ItemId(1), LocationId(2), StockState::Available);
        let row = |seq: Seq| TrailRow {
            seq,
            occurred_at: Instant::from_micros(1_000_000_000 * i64::try_from(seq).unwrap()),
            balance: Quantity::units(i64::try_from(seq).unwrap()),
            late: false,
        };
        let mut latest = Instant::from_micros(0);
        for first in (1..400).step_by(7) {
            let pending: Vec<TrailRow> = (first..first + 7).map(row).collect();
            let last = *pending.last().unwrap();
            let slot = CellSlot {
                quantity: last.balance,
                seq: last.seq,
                latest: last.occurred_at,
                latest_before_pending: latest,
                pending,
            };
            latest = last.occurred_at;
            let batch = Batch { cells: vec![(key, slot)], ..Batch::default() };
            store.commit(&[(TenantId(1), batch)]).unwrap();
            let all: Vec<Seq> = store
                .trail(TenantId(1), &key, Seq::MAX >> 1, 1_000)
                .unwrap()
                .iter()
                .map(|row| row.seq)
                .collect();
            assert_eq!(all, (1..first + 7).rev().collect::<Vec<_>>());
        }
        let blocks: i64 =
            store.reading.connection.query_row("SELECT count(*) FROM trail", [], |row| row.get(0)).unwrap();
        assert!(blocks > 3, "blocks were made: {blocks}");
        for seq in 1..399 {
            let found = store.trail_before(TenantId(1), &key, row(seq).occurred_at, Seq::MAX >> 1).unwrap();
            assert_eq!(found, Some(row(seq)));
        }
    }

    #[test]
    fn a_commit_is_synced_before_it_returns() {
        let folder = tempfile::tempdir().unwrap();
        let store = SqliteStore::open(&folder.path().join("test.db")).unwrap();
        let pragma = |name: &str| -> String {
            let connection = &store.reading.connection;
            connection
                .pragma_query_value(None, name, |row| row.get::<_, rusqlite::types::Value>(0))
                .map(|value| format!("{value:?}"))
                .unwrap()
        };
        assert_eq!(pragma("journal_mode"), r#"Text("wal")"#);
        assert_eq!(pragma("synchronous"), "Integer(2)", "FULL");
    }

    #[test]
    fn one_process_writes_a_file_and_says_where_it_is() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("test.db");
        let store = SqliteStore::open(&path).unwrap();
        store.announce("http://127.0.0.1:1").unwrap();
        match SqliteStore::open(&path).err() {
            Some(StoreError::InUse { holder, .. }) => {
                assert_eq!(holder.as_deref(), Some("http://127.0.0.1:1"))
            }
            other => panic!("the file was opened twice: {other:?}"),
        }
        drop(store);
        assert!(SqliteStore::open(&path).is_ok());
    }
}
