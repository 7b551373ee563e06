//! SQLite: one file, nothing to install.
//!
//! WAL, `synchronous=FULL`: a commit is durable when it returns. The file is guarded by an exclusive lock on a file
//! beside it (`NAME.lock`), never on the database itself, so that backup tools can follow it.

mod backup;
mod checkpoint;
mod keys;
mod read;
mod shape;
mod upgrade;
mod write;

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{Read as _, Seek as _, Write as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use onhand_ledger::state::{CellSlot, Slot, TrailRow};
use onhand_ledger::{CellKey, Instant, ItemId, Key, Seq, TenantId};
use rusqlite::config::DbConfig;
use rusqlite::{Connection, OpenFlags};

pub use self::backup::{CopyProgress, FileFacts, backup, inspect, put_in_place};
use self::checkpoint::Checkpointer;
use self::keys::Index;
use self::read::SqliteReader;
use self::write::{write_batch, write_head};
use crate::rows::{HEADLESS, signed};
use crate::{Batch, Chunk, Head, KeyAt, Note, Reader, Store, StoreError};

/// `PRAGMA application_id`: "Onhd".
const APPLICATION_ID: i64 = 0x4f6e_6864;
/// `PRAGMA user_version`: grows with the schema.
const SCHEMA_VERSION: u32 = 1;
/// Older libraries can lose commits when the WAL is reset: <https://sqlite.org/wal.html#walresetbug>.
const OLDEST_SQLITE: i32 = 3_051_003;

/// The schema. See `docs/storage.md` for what each table means.
const SCHEMA: &str = "
CREATE TABLE head(tenant_id INTEGER PRIMARY KEY, seq INTEGER NOT NULL, hash BLOB NOT NULL,
  recorded_at INTEGER NOT NULL, flushed INTEGER NOT NULL, keyed INTEGER NOT NULL, sum INTEGER NOT NULL);
CREATE TABLE log(tenant_id INTEGER NOT NULL, first_seq INTEGER NOT NULL, entries INTEGER NOT NULL,
  recorded_at INTEGER NOT NULL, hash BLOB NOT NULL, body BLOB NOT NULL, sum INTEGER NOT NULL,
  PRIMARY KEY(tenant_id, first_seq));
CREATE TABLE cell(tenant_id INTEGER NOT NULL, item_id INTEGER NOT NULL, location_id INTEGER NOT NULL,
  state INTEGER NOT NULL, lot_id INTEGER NOT NULL, consignor_id INTEGER NOT NULL,
  quantity INTEGER NOT NULL, seq INTEGER NOT NULL, latest INTEGER NOT NULL,
  latest_before INTEGER NOT NULL, recent BLOB NOT NULL, sum INTEGER NOT NULL,
  PRIMARY KEY(tenant_id, item_id, location_id, state, lot_id, consignor_id)) WITHOUT ROWID;
CREATE TABLE trail(tenant_id INTEGER NOT NULL, item_id INTEGER NOT NULL, location_id INTEGER NOT NULL,
  state INTEGER NOT NULL, lot_id INTEGER NOT NULL, consignor_id INTEGER NOT NULL,
  first_at INTEGER NOT NULL, first_seq INTEGER NOT NULL, body BLOB NOT NULL, sum INTEGER NOT NULL,
  PRIMARY KEY(tenant_id, item_id, location_id, state, lot_id, consignor_id, first_at, first_seq)) WITHOUT ROWID;
CREATE TABLE object(tenant_id INTEGER NOT NULL, kind INTEGER NOT NULL, key BLOB NOT NULL,
  seq INTEGER NOT NULL, body TEXT NOT NULL, sum INTEGER NOT NULL,
  PRIMARY KEY(tenant_id, kind, key)) WITHOUT ROWID;
CREATE TABLE key_run(tenant_id INTEGER NOT NULL, run INTEGER NOT NULL, keys INTEGER NOT NULL,
  last_seq INTEGER NOT NULL, sum INTEGER NOT NULL, PRIMARY KEY(tenant_id, run)) WITHOUT ROWID;
CREATE TABLE key_page(tenant_id INTEGER NOT NULL, run INTEGER NOT NULL, first_hash INTEGER NOT NULL,
  body BLOB NOT NULL, sum INTEGER NOT NULL, PRIMARY KEY(tenant_id, run, first_hash));
CREATE TABLE key_filter(tenant_id INTEGER NOT NULL, run INTEGER NOT NULL, part INTEGER NOT NULL,
  body BLOB NOT NULL, sum INTEGER NOT NULL, PRIMARY KEY(tenant_id, run, part));
CREATE TABLE note(tenant_id INTEGER NOT NULL, space TEXT NOT NULL, key TEXT NOT NULL, body TEXT NOT NULL,
  sum INTEGER NOT NULL, PRIMARY KEY(tenant_id, space, key)) WITHOUT ROWID;
";

/// A database file, and the lock that makes this process its only writer.
pub struct SqliteStore {
    // Ends before the writer does: the last connection that closes tidies up. None until the file is ours.
    checkpointer: Option<Checkpointer>,
    reading: SqliteReader,
    /// By tenant; one is read when it is first asked for.
    indexes: BTreeMap<TenantId, Index>,
    lock: Arc<Lock>,
    /// The checkpointer syncs the file by this. Whoever closes a file gives up the process's locks on it
    /// (<https://sqlite.org/howtocorrupt.html#_posix_advisory_locks_canceled_by_a_separate_thread_doing_close_>), so it ends
    /// last. It is locked, for the file may have another name (a mount, or it was moved) with another lock beside it.
    synced: Arc<File>,
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

impl SqliteStore {
    /// Where the file is.
    pub fn path(&self) -> &Path {
        &self.reading.path
    }

    /// Opens a database file, or makes one. Fails if another process has it, or if it is not ours, newer or damaged.
    pub fn open(path: &Path) -> Result<Self, StoreError> {
        if rusqlite::version_number() < OLDEST_SQLITE {
            return Err(StoreError::Io {
                doing: "opened",
                reason: format!("SQLite {} can lose commits; 3.51.3 or newer is needed", rusqlite::version()),
            });
        }
        let path = &behind_links(path);
        refuse_foreign(path)?;
        let lock = Arc::new(lock(path)?);
        let connection = Connection::open(path).map_err(|error| failed("opened", &error))?;
        let opened = File::open(path).map_err(|error| StoreError::Io {
            doing: "opened",
            reason: format!("{}: {error}", path.display()),
        })?;
        hold(&opened, path)?;
        let file = Arc::new(opened);
        let mut store = Self {
            checkpointer: None,
            reading: SqliteReader { connection, path: path.to_owned() },
            indexes: BTreeMap::new(),
            lock,
            synced: file.clone(),
        };
        store.prepare()?;
        store.checkpointer = Some(Checkpointer::start(path, file)?);
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

    /// A tenant's keys.
    fn index(&mut self, tenant: TenantId) -> Result<&mut Index, StoreError> {
        if !self.indexes.contains_key(&tenant) {
            let keyed = self.reading.head(tenant)?.keyed;
            let index = Index::load(&self.reading.connection, tenant, keyed)?;
            self.indexes.insert(tenant, index);
        }
        Ok(self.indexes.get_mut(&tenant).expect("it was put there"))
    }

    /// What is written beside a file that is elsewhere by now would be missed there.
    fn must_be_there(&self) -> Result<(), StoreError> {
        if is_at(&self.synced, &self.reading.path) {
            return Ok(());
        }
        let path = self.reading.path.display();
        let reason = format!(
            "the file was moved away from {path}, or another was put there, while it was in use; what was written last is in \
             {path}-wal: stop, put the file back, and start again"
        );
        Err(StoreError::Io { doing: "written", reason })
    }

    fn write(&mut self, batches: &[(TenantId, Batch)]) -> Result<(), StoreError> {
        self.must_be_there()?;
        for (tenant, _) in batches {
            self.index(*tenant)?;
        }
        let (connection, indexes) = (&mut self.reading.connection, &mut self.indexes);
        let failed = |error: rusqlite::Error| failed("written", &error);
        let transaction =
            connection.transaction_with_behavior(rusqlite::TransactionBehavior::Immediate).map_err(failed)?;
        for (tenant, batch) in batches {
            let index = indexes.get_mut(tenant).expect("it was read above");
            write_batch(&transaction, *tenant, batch, index)?;
        }
        transaction.commit().map_err(failed)
    }

    fn prepare(&mut self) -> Result<(), StoreError> {
        let connection = &mut self.reading.connection;
        let path = self.reading.path.display().to_string();
        let waiting = connection.busy_timeout(std::time::Duration::from_secs(5));
        waiting.map_err(|error| failed("opened", &error))?;
        let read = |connection: &Connection, sql: &str| {
            let found = connection.query_row(sql, [], |row| row.get::<_, i64>(0));
            found.map_err(|error| open_failed(&self.reading.path, &error))
        };
        // An empty file, or one whose power went while it was made: SQLite's header is there, and nothing of ours.
        let fresh = match read(connection, "SELECT application_id FROM pragma_application_id")? {
            APPLICATION_ID => false,
            0 if read(connection, "SELECT count(*) FROM sqlite_schema")? == 0 => true,
            _ => return Err(StoreError::NotOurs { path, reason: "another program made it".to_owned() }),
        };
        let configure = |connection: &Connection| -> rusqlite::Result<()> {
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
            // Our mark is in the file itself from now on, whatever becomes of the WAL.
            let checkpoint = connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()));
            checkpoint.map_err(|error| failed("written", &error))?;
        }
        let version = read(connection, "SELECT user_version FROM pragma_user_version")?;
        let found = u32::try_from(version).unwrap_or(u32::MAX);
        if found > SCHEMA_VERSION {
            return Err(StoreError::Newer { path, found, known: SCHEMA_VERSION });
        }
        let headless = connection.query_row(HEADLESS, [], |row| row.get::<_, Option<i64>>(0));
        if let Some(tenant) = headless.map_err(|error| failed("read", &error))? {
            return Err(StoreError::Damaged(format!(
                "the log of tenant {tenant} has entries, and its head is missing"
            )));
        }
        upgrade::bring_up(&mut self.reading, found, &upgrade::STEPS).map(|_| ())
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
    (&file)
        .take(100)
        .read_to_end(&mut header)
        .map_err(|error| StoreError::Io { doing: "opened", reason: error.to_string() })?;
    if let Some(names) = names_of(&file).filter(|names| *names > 1) {
        // Each name would have a lock and a log of its own.
        let reason = format!(
            "the file has {names} names (hard links), and each would have another log beside it; copy it"
        );
        return Err(StoreError::NotOurs { path: shown, reason });
    }
    // Empty, or grown and not yet written when the power went: SQLite sees by its journal what to do.
    if header.iter().all(|byte| *byte == 0) {
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

/// How many names a file has, where that is known.
fn names_of(file: &File) -> Option<u64> {
    #[cfg(unix)]
    return file.metadata().ok().map(|metadata| std::os::unix::fs::MetadataExt::nlink(&metadata));
    #[cfg(not(unix))]
    return None;
}

/// The file that a name leads to: it is locked by its own name, whichever link it is opened by, and what is kept beside it
/// lies beside the file.
pub fn behind_links(path: &Path) -> PathBuf {
    // As many as Linux follows: <https://man7.org/linux/man-pages/man7/path_resolution.7.html>.
    const MOST: usize = 40;
    let mut path = path.to_owned();
    for _ in 0..MOST {
        let Ok(target) = std::fs::read_link(&path) else { break };
        path = path.parent().unwrap_or_else(|| Path::new("")).join(target);
    }
    path
}

/// Locks the file itself. SQLite's own locks are of another kind, which this does not touch
/// (<https://man7.org/linux/man-pages/man2/flock.2.html>); where they are the same, the lock beside the file has to do.
fn hold(file: &File, path: &Path) -> Result<(), StoreError> {
    match cfg!(target_os = "linux").then(|| file.try_lock()) {
        Some(Err(std::fs::TryLockError::WouldBlock)) => {
            Err(StoreError::InUse { path: path.display().to_string(), holder: None })
        }
        _ => Ok(()),
    }
}

/// Is this the file of that name? Yes, where that is not known.
fn is_at(file: &File, path: &Path) -> bool {
    #[cfg(unix)]
    {
        use std::os::unix::fs::MetadataExt as _;
        match (file.metadata(), path.metadata()) {
            (Ok(ours), Ok(there)) => (ours.dev(), ours.ino()) == (there.dev(), there.ino()),
            (_, Err(error)) => error.kind() != std::io::ErrorKind::NotFound,
            _ => true,
        }
    }
    #[cfg(not(unix))]
    {
        let _ = (file, path);
        true
    }
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
            // Some errors of the disk too: <https://sqlite.org/rescode.html#ioerr_corruptfs>.
            StoreError::Damaged(format!("{error}, or the disk could not read it (see the system's log)"))
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

/// Everything a [`Reader`] does, done by the writer's own connection.
macro_rules! read_through {
    ($($name:ident($($argument:ident: $type:ty),*) -> $answer:ty;)*) => {
        impl Reader for SqliteStore {
            $(fn $name(&mut self, $($argument: $type),*) -> Result<$answer, StoreError> {
                self.reading.$name($($argument),*)
            })*

            fn keys_like(&mut self, tenant: TenantId, hash: u64) -> Result<Vec<Seq>, StoreError> {
                Ok(self.keys_among(tenant, &[hash])?.into_iter().map(|(_, seq)| seq).collect())
            }

            fn keys_among(&mut self, tenant: TenantId, hashes: &[u64]) -> Result<Vec<KeyAt>, StoreError> {
                self.index(tenant)?;
                self.indexes[&tenant].find_all(&self.reading.connection, tenant, hashes)
            }
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
    objects_after(tenant: TenantId, after: Option<&Key>, limit: usize) -> Vec<(Key, Slot)>;
    keys_after(tenant: TenantId, after: Option<KeyAt>, limit: usize) -> Vec<KeyAt>;
    check() -> Option<String>;
    chunk_of(tenant: TenantId, seq: Seq) -> Option<Chunk>;
    chunks_after(tenant: TenantId, seq: Seq, limit: usize) -> Vec<Chunk>;
    trail_before(tenant: TenantId, cell: &CellKey, at: Instant, known: Seq) -> Option<TrailRow>;
    trail(tenant: TenantId, cell: &CellKey, before: Seq, limit: usize) -> Vec<TrailRow>;
    note(tenant: TenantId, space: &str, key: &str) -> Option<String>;
    notes(tenant: TenantId, space: &str, after: Option<&str>, limit: usize) -> Vec<(String, String)>;
    notes_after(tenant: TenantId, after: Option<(&str, &str)>, limit: usize) -> Vec<Note>;
}

impl Store for SqliteStore {
    fn commit(&mut self, batches: &[(TenantId, Batch)]) -> Result<(), StoreError> {
        let written = self.write(batches);
        if let Some(checkpointer) = self.checkpointer.as_mut().filter(|_| written.is_ok()) {
            for (_, batch) in batches {
                checkpointer.wrote(batch);
            }
        }
        if written.is_err() {
            // What was prepared in memory was not written.
            self.indexes.clear();
        }
        written
    }

    fn remember_keys(&mut self, tenant: TenantId, keys: &[KeyAt]) -> Result<(), StoreError> {
        self.index(tenant)?.remember(keys);
        Ok(())
    }

    fn try_writing(&mut self) -> Result<(), StoreError> {
        self.must_be_there()?;
        // Of a tenant that cannot be. What was inserted and deleted is written to the WAL all the same, and synced.
        let probe = "INSERT INTO log(tenant_id, first_seq, entries, recorded_at, hash, body, sum) \
                     VALUES(-1, 0, 0, 0, zeroblob(32), zeroblob(8192), 0); DELETE FROM log WHERE tenant_id = -1; \
                     INSERT INTO note(tenant_id, space, key, body, sum) VALUES(-1, 'probe', '', '', 0); \
                     DELETE FROM note WHERE tenant_id = -1; UPDATE head SET seq = seq;";
        let mut write = || -> rusqlite::Result<()> {
            let transaction = self
                .reading
                .connection
                .transaction_with_behavior(rusqlite::TransactionBehavior::Immediate)?;
            transaction.execute_batch(probe)?;
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
        let clear = "DELETE FROM cell; DELETE FROM trail; DELETE FROM object; DELETE FROM key_run; \
                     DELETE FROM key_page; DELETE FROM key_filter;";
        let heads: Vec<(TenantId, Head)> = self
            .tenants()?
            .into_iter()
            .map(|tenant| Ok((tenant, Head { flushed: 0, keyed: 0, ..self.head(tenant)? })))
            .collect::<Result<_, StoreError>>()?;
        self.indexes.clear();
        // Rolled back where it fails halfway: a transaction left open would fail every later one.
        let mut write = || -> rusqlite::Result<()> {
            let transaction = self
                .reading
                .connection
                .transaction_with_behavior(rusqlite::TransactionBehavior::Immediate)?;
            transaction.execute_batch(clear)?;
            for (tenant, head) in &heads {
                write_head(&transaction, signed(tenant.0), head)?;
            }
            transaction.commit()
        };
        write().map_err(|error| failed("written", &error))
    }
}

#[cfg(test)]
mod tests {
    use onhand_ledger::{LocationId, Quantity, StockState};

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
    fn a_commit_waits_for_the_disk_by_its_settings() {
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
    fn a_file_that_was_being_made_when_the_power_went_is_made_anew() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("test.db");
        let connection = Connection::open(&path).unwrap();
        connection.pragma_update(None, "journal_mode", "WAL").unwrap();
        drop(connection);
        assert!(std::fs::metadata(&path).unwrap().len() > 0);
        assert_eq!(SqliteStore::open(&path).unwrap().head(TenantId(1)).unwrap(), Head::default());
        let other = folder.path().join("other.db");
        Connection::open(&other).unwrap().execute_batch("CREATE TABLE theirs(id)").unwrap();
        let before = std::fs::read(&other).unwrap();
        assert!(matches!(SqliteStore::open(&other), Err(StoreError::NotOurs { .. })));
        assert_eq!(std::fs::read(&other).unwrap(), before, "another program's file is not touched");
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

    #[cfg(target_os = "linux")]
    #[test]
    fn a_file_that_was_moved_while_it_was_in_use_is_in_use_there_and_written_no_more_here() {
        let folder = tempfile::tempdir().unwrap();
        let (path, moved) = (folder.path().join("test.db"), folder.path().join("moved.db"));
        let mut store = SqliteStore::open(&path).unwrap();
        assert!(store.try_writing().is_ok());
        std::fs::rename(&path, &moved).unwrap();
        assert!(matches!(SqliteStore::open(&moved).err(), Some(StoreError::InUse { holder: None, .. })));
        for written in [store.try_writing(), store.commit(&[])] {
            assert!(written.unwrap_err().to_string().contains("was moved away"));
        }
        std::fs::rename(&moved, &path).unwrap();
        assert!(store.try_writing().is_ok() && store.commit(&[]).is_ok());
    }
}
