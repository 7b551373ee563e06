//! Whole copies of a database file: made while others write to it, looked at, and put in its place.
//!
//! A copy is made over a connection that reads one snapshot from its first page to its last, by SQLite's backup interface
//! (<https://sqlite.org/backup.html>). In WAL mode a reader keeps nobody from writing; the write-ahead log only grows meanwhile. What is
//! copied needs no other file beside it: it is in no WAL mode, and is synced before it has its name.
//!
//! SQLite applies whatever write-ahead log lies beside a database, to that database or to another of its name
//! (<https://sqlite.org/howtocorrupt.html#_unlinking_or_renaming_a_database_file_while_in_use>): so a file is put in another's place
//! only after the other's log is away.

use std::ffi::OsString;
use std::fs::File;
use std::path::{Path, PathBuf};

use onhand_ledger::TenantId;
use rusqlite::backup::{Backup, StepResult};
use rusqlite::{Connection, OpenFlags};

use super::read::SqliteReader;
use super::{APPLICATION_ID, SCHEMA_VERSION, failed, lock, open_failed, refuse_foreign};
use crate::{Head, Reader as _, StoreError};

/// So many pages (of 4 KiB) are copied between two tellings of progress.
const PAGES: i32 = 2_048;

/// What a database file has.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct FileFacts {
    /// The version of its tables.
    pub schema: u32,
    /// How many bytes it has, without what is in a write-ahead log.
    pub bytes: u64,
    /// Where each tenant's log ends.
    pub heads: Vec<(TenantId, Head)>,
}

/// How far a copy is, in bytes.
#[derive(Clone, Copy, Debug)]
pub struct CopyProgress {
    /// Copied.
    pub copied: u64,
    /// There are to copy.
    pub of: u64,
}

/// Copies a database file into a folder, under the name that `name` makes of what it has; other processes may write to it
/// meanwhile. The copy is whole, checked (by SQLite's quick check, and its heads) and durable once it has its name.
pub fn backup(
    from: &Path,
    folder: &Path,
    name: impl FnOnce(&FileFacts) -> String,
    progress: &mut dyn FnMut(CopyProgress),
) -> Result<(PathBuf, FileFacts), StoreError> {
    let mut source = SqliteReader { connection: open_to_read(from)?, path: from.to_owned() };
    // All that is read from here on is read as of now.
    source.run("BEGIN")?;
    let facts = facts(&mut source)?;
    let to = folder.join(name(&facts));
    let facts = copy(&source.connection, &to, &facts, progress)?;
    Ok((to, facts))
}

/// Looks at a database file that nobody has open, as a copy is: SQLite's quick check of all of it, and its heads. A write-ahead
/// log beside it does not count.
pub fn inspect(path: &Path) -> Result<FileFacts, StoreError> {
    refuse_foreign(path)?;
    let connection = open_alone(path).map_err(|error| open_failed(path, &error))?;
    let mut reader = SqliteReader { connection, path: path.to_owned() };
    let facts = facts(&mut reader)?;
    let found = reader.connection.query_row("PRAGMA quick_check(1)", [], |row| row.get::<_, String>(0));
    match found.map_err(|error| failed("read", &error))?.as_str() {
        "ok" => Ok(facts),
        found => Err(StoreError::Damaged(format!("{}: {found}", path.display()))),
    }
}

/// Puts a database file (which must be in the same folder, and may not be in WAL mode) where another is or was. `aside` ends the
/// name that the other gets, with its write-ahead log; none: there may be no other, though a log of one that was there before is put
/// aside all the same, as `aside_log`. Says what was put aside. Fails where another process has the database.
pub fn put_in_place(
    new: &Path,
    path: &Path,
    aside: Option<&str>,
    aside_log: &str,
) -> Result<Vec<PathBuf>, StoreError> {
    let path = &super::behind_links(path);
    let _lock = lock(path)?;
    let cannot = |error: std::io::Error| StoreError::Io {
        doing: "written",
        reason: format!("{}: {error}", path.display()),
    };
    let is_there = path.metadata().is_ok_and(|metadata| metadata.len() > 0);
    let ending = match aside {
        Some(ending) => ending,
        None if is_there => {
            return Err(cannot(std::io::Error::new(
                std::io::ErrorKind::AlreadyExists,
                "there is a database already",
            )));
        }
        None => aside_log,
    };
    let mut put_aside = Vec::new();
    // The database first: without it its log means nothing to SQLite, and with it the log is whole again.
    for suffix in ["", "-wal", "-shm", "-journal"] {
        let (old, kept) = (with(path, suffix), with(&with(path, ending), suffix));
        match std::fs::rename(&old, &kept) {
            Ok(()) => put_aside.push(kept),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
            Err(error) => return Err(cannot(error)),
        }
    }
    sync_folder(path).map_err(cannot)?;
    std::fs::rename(new, path).map_err(cannot)?;
    sync_folder(path).map_err(cannot)?;
    Ok(put_aside)
}

/// Copies all that a connection sees, in the transaction it is in, into a new file, and checks that it has those facts.
pub(super) fn copy(
    source: &Connection,
    to: &Path,
    facts: &FileFacts,
    progress: &mut dyn FnMut(CopyProgress),
) -> Result<FileFacts, StoreError> {
    let part = with(to, ".part");
    let copied = copy_pages(source, &part, progress).and_then(|()| {
        let found = inspect(&part)?;
        if (found.schema, &found.heads) != (facts.schema, &facts.heads) {
            return Err(StoreError::Damaged(format!(
                "{} has other heads than what it is of",
                part.display()
            )));
        }
        std::fs::rename(&part, to).and_then(|()| sync_folder(to)).map_err(|error| cannot_write(to, error))?;
        Ok(found)
    });
    if copied.is_err() {
        let _ = std::fs::remove_file(&part);
    }
    copied
}

fn copy_pages(
    source: &Connection,
    to: &Path,
    progress: &mut dyn FnMut(CopyProgress),
) -> Result<(), StoreError> {
    // Not over anything that is there, and for whoever may read the database alone.
    let made = made_new(to).map_err(|error| cannot_write(to, error))?;
    let mut run = || -> rusqlite::Result<()> {
        let mut target = Connection::open(to)?;
        // It is of no use unless it is whole, and synced below.
        target.pragma_update(None, "synchronous", "OFF")?;
        target.pragma_update(None, "journal_mode", "OFF")?;
        let page: i64 = source.query_row("PRAGMA page_size", [], |row| row.get(0))?;
        {
            let backup = Backup::new(source, &mut target)?;
            loop {
                let step = backup.step(PAGES)?;
                let told = backup.progress();
                let pages = |number: i32| u64::try_from(i64::from(number) * page).unwrap_or(0);
                progress(CopyProgress {
                    copied: pages(told.pagecount - told.remaining),
                    of: pages(told.pagecount),
                });
                match step {
                    StepResult::Done => break,
                    StepResult::More => {}
                    // Somebody is at the very point of a checkpoint.
                    _ => std::thread::sleep(std::time::Duration::from_millis(5)),
                }
            }
        }
        forget_people(&target)?;
        // Its header says WAL, as the source's does: without that one file is all there is.
        target.pragma_update(None, "journal_mode", "DELETE")?;
        target.close().map_err(|(_, error)| error)
    };
    run().map_err(|error| match failed("written", &error) {
        StoreError::Io { doing, reason } => {
            StoreError::Io { doing, reason: format!("{}: {reason}", to.display()) }
        }
        other => other,
    })?;
    made.sync_all().map_err(|error| cannot_write(to, error))
}

/// What speaks of people is kept for a time and erased when they ask: a copy, which nobody would erase it from, has none of it.
fn forget_people(target: &Connection) -> rusqlite::Result<()> {
    target.pragma_update_and_check(None, "secure_delete", true, |_| Ok(()))?;
    target.execute("DELETE FROM note WHERE space IN ('raw', 'raw_closed')", [])?;
    Ok(())
}

/// What a database has, as a connection sees it.
pub(super) fn facts(reader: &mut SqliteReader) -> Result<FileFacts, StoreError> {
    let path = reader.path.display().to_string();
    let number = |sql: &str| {
        let found = reader.connection.query_row(sql, [], |row| row.get::<_, i64>(0));
        found.map_err(|error| open_failed(&reader.path, &error))
    };
    if number("SELECT application_id FROM pragma_application_id")? != APPLICATION_ID {
        return Err(StoreError::NotOurs {
            path,
            reason: "another program made it, or it is empty".to_owned(),
        });
    }
    let schema = number("SELECT user_version FROM pragma_user_version")?;
    let schema = u32::try_from(schema).unwrap_or(u32::MAX);
    if schema > SCHEMA_VERSION {
        return Err(StoreError::Newer { path, found: schema, known: SCHEMA_VERSION });
    }
    let bytes = number("SELECT page_count * page_size FROM pragma_page_count, pragma_page_size")?;
    let mut heads = Vec::new();
    for tenant in reader.tenants()? {
        heads.push((tenant, reader.head(tenant)?));
    }
    Ok(FileFacts { schema, bytes: bytes.cast_unsigned(), heads })
}

/// A connection that reads beside whoever writes. The file is not opened by itself: whoever closes one gives up this process's locks.
fn open_to_read(path: &Path) -> Result<Connection, StoreError> {
    let open = || -> rusqlite::Result<Connection> {
        let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let connection = Connection::open_with_flags(path, flags)?;
        connection.busy_timeout(std::time::Duration::from_secs(5))?;
        Ok(connection)
    };
    open().map_err(|error| open_failed(path, &error))
}

/// A connection to a file as it is, that makes no others beside it and minds none that are there.
fn open_alone(path: &Path) -> rusqlite::Result<Connection> {
    let flags =
        OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX | OpenFlags::SQLITE_OPEN_URI;
    let text = path.as_os_str().to_string_lossy();
    let escaped = text.replace('%', "%25").replace('?', "%3f").replace('#', "%23");
    Connection::open_with_flags(format!("file:{escaped}?immutable=1"), flags)
}

/// A name with something at its end.
pub(super) fn with(path: &Path, suffix: &str) -> PathBuf {
    let mut name: OsString = path.as_os_str().to_owned();
    name.push(suffix);
    PathBuf::from(name)
}

fn made_new(path: &Path) -> std::io::Result<File> {
    let mut options = File::options();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path)
}

fn cannot_write(path: &Path, error: std::io::Error) -> StoreError {
    StoreError::Io { doing: "written", reason: format!("{}: {error}", path.display()) }
}

/// Makes a file's name durable.
fn sync_folder(path: &Path) -> std::io::Result<()> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    File::open(folder)?.sync_all()
}

#[cfg(test)]
mod tests {
    use onhand_ledger::Instant;

    use super::*;
    use crate::{Batch, Note, SqliteStore, Store as _};

    const TENANT: TenantId = TenantId(1);

    fn write(store: &mut SqliteStore, keys: std::ops::Range<u32>) {
        let head = store.head(TENANT).unwrap();
        let at = head.recorded_at.micros() + 1;
        let after = Head { recorded_at: Instant::from_micros(at), ..head };
        let note = |key| Note { space: "s".to_owned(), key: format!("{key}"), body: Some("x".repeat(4_000)) };
        let batch = Batch { after: head, head: after, notes: keys.map(note).collect(), ..Batch::default() };
        store.commit(&[(TENANT, batch)]).unwrap();
    }

    fn notes(path: &Path) -> usize {
        SqliteStore::open(path).unwrap().notes_after(TENANT, None, 100_000).unwrap().len()
    }

    fn names(folder: &Path) -> Vec<String> {
        let entries = std::fs::read_dir(folder).unwrap();
        let mut names: Vec<String> =
            entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort_unstable();
        names
    }

    #[test]
    fn a_copy_made_while_somebody_writes_is_of_one_instant() {
        let folder = tempfile::tempdir().unwrap();
        let (path, copies) = (folder.path().join("a.db"), folder.path().join("copies"));
        std::fs::create_dir(&copies).unwrap();
        let mut store = SqliteStore::open(&path).unwrap();
        write(&mut store, 0..5_000);
        let head = store.head(TENANT).unwrap();
        let (mut told, mut last) = (0, 0);
        let name = |facts: &FileFacts| format!("{}.db", facts.heads.len());
        let (copy, facts) = backup(&path, &copies, name, &mut |progress| {
            told += 1;
            assert!(progress.copied > last, "it begins anew for nobody");
            last = progress.copied;
            // What makes SQLite begin anew: a commit of another connection, from the first page to the last.
            write(&mut store, 4_990 + told..5_000 + told);
        })
        .unwrap();
        assert!(told > 2, "it was written to {told} times meanwhile");
        assert_eq!((copy.as_path(), &facts.heads), (copies.join("1.db").as_path(), &vec![(TENANT, head)]));
        assert_eq!(names(&copies), ["1.db"], "one file is all there is");
        assert_eq!(inspect(&copy).unwrap(), facts);
        assert_eq!(notes(&copy), 5_000);
        drop(store);
        assert_eq!(notes(&path), 5_000 + usize::try_from(told).unwrap());
    }

    #[test]
    fn a_log_of_the_file_before_is_never_applied_to_the_one_put_there() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.db");
        let mut store = SqliteStore::open(&path).unwrap();
        write(&mut store, 0..1_000);
        let (copy, _) = backup(&path, folder.path(), |_| "copy.db".to_owned(), &mut |_| {}).unwrap();
        write(&mut store, 1_000..1_500);
        // As a power loss would leave it: the file, and a log with what is not in it.
        let kept = |name: &str| std::fs::read(with(&path, name)).unwrap();
        let (file, log) = (kept(""), kept("-wal"));
        drop(store);
        std::fs::write(&path, &file).unwrap();
        std::fs::write(with(&path, "-wal"), &log).unwrap();
        let refused = put_in_place(&copy, &path, None, ".stale").unwrap_err();
        assert!(refused.to_string().contains("there is a database already"), "{refused}");
        let aside = put_in_place(&copy, &path, Some(".old"), ".stale").unwrap();
        assert_eq!(
            aside.iter().map(|path| path.file_name().unwrap()).collect::<Vec<_>>(),
            ["a.db.old", "a.db.old-wal"]
        );
        assert_eq!(notes(&path), 1_000, "as it was copied");
        assert_eq!(notes(&with(&path, ".old")), 1_500, "the other is whole, with its log");
        // And where nothing but the log is left of the one before.
        std::fs::rename(&path, &copy).unwrap();
        std::fs::write(with(&path, "-wal"), &log).unwrap();
        put_in_place(&copy, &path, None, ".stale").unwrap();
        assert_eq!(notes(&path), 1_000);
        assert!(with(&path, ".stale-wal").exists());
    }

    #[test]
    fn what_is_no_whole_database_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.db");
        let mut store = SqliteStore::open(&path).unwrap();
        write(&mut store, 0..1_000);
        let (copy, facts) = backup(&path, folder.path(), |_| "copy.db".to_owned(), &mut |_| {}).unwrap();
        let bytes = std::fs::read(&copy).unwrap();
        assert_eq!(facts.bytes, bytes.len() as u64);
        std::fs::write(&copy, &bytes[..bytes.len() / 2]).unwrap();
        assert!(matches!(inspect(&copy), Err(StoreError::Damaged(_))), "cut off");
        std::fs::write(&copy, "sku,name\n").unwrap();
        assert!(matches!(inspect(&copy), Err(StoreError::NotOurs { .. })));
        let nothing = backup(&folder.path().join("b.db"), folder.path(), |_| "c.db".to_owned(), &mut |_| {});
        assert!(matches!(nothing, Err(StoreError::Io { doing: "opened", .. })), "{nothing:?}");
        // A second copy of one name does not touch the first while it is made, and leaves nothing where it cannot be.
        std::fs::create_dir(folder.path().join("d.db")).unwrap();
        assert!(backup(&path, folder.path(), |_| "d.db".to_owned(), &mut |_| {}).is_err());
        assert!(!folder.path().join("d.db.part").exists());
    }
}
