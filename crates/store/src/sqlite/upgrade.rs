//! An older file is brought up to the tables of today, and a copy of it as it was is kept first.
//!
//! The copy is whole and durable (`NAME.before-schema-N`, with `.1`, `.2`, … where that is there already) before anything is
//! changed; the change is one transaction. Where either fails, the file is as it was and the copy is gone.

use std::path::{Path, PathBuf};

use rusqlite::{Connection, TransactionBehavior};

use super::backup::{copy, facts, with};
use super::read::SqliteReader;
use super::{SCHEMA_VERSION, failed};
use crate::StoreError;

/// For each version but the first: what makes it of the one before. A step may not change what a log's bytes are.
pub(super) const STEPS: [&str; SCHEMA_VERSION as usize - 1] = [];

/// Brings a file at version `found` to the version after the last of `steps`. Says where the copy is.
pub(super) fn bring_up(
    reader: &mut SqliteReader,
    found: u32,
    steps: &[&str],
) -> Result<Option<PathBuf>, StoreError> {
    let Some(done) = found.checked_sub(1) else {
        return Err(StoreError::Damaged("its schema's version is 0, which there never was".to_owned()));
    };
    let todo = steps.get(usize::try_from(done).unwrap_or(usize::MAX)..).unwrap_or_default();
    let wanted = u32::try_from(steps.len() + 1).unwrap_or(u32::MAX);
    if todo.is_empty() {
        return Ok(None);
    }
    let kept = free_name(&reader.path, wanted);
    let refused = |error: StoreError| StoreError::Io {
        doing: "brought to the tables of this version",
        reason: format!(
            "{error}. It is as it was; make room for a second one beside it, or use the version before"
        ),
    };
    // Of a copy that was not finished when the power went: nobody else may write here.
    let _ = std::fs::remove_file(with(&kept, ".part"));
    reader.run("BEGIN")?;
    let facts = facts(reader)?;
    let copied = copy(&reader.connection, &kept, &facts, &mut |_| {});
    reader.run("COMMIT")?;
    copied.map_err(refused)?;
    change(&mut reader.connection, todo, wanted).map_err(|error| {
        let _ = std::fs::remove_file(&kept);
        refused(failed("written", &error))
    })?;
    Ok(Some(kept))
}

fn change(connection: &mut Connection, steps: &[&str], version: u32) -> rusqlite::Result<()> {
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    for step in steps {
        transaction.execute_batch(step)?;
    }
    transaction.pragma_update(None, "user_version", version)?;
    transaction.commit()
}

/// A copy that is there already is kept too.
fn free_name(path: &Path, version: u32) -> PathBuf {
    let name = with(path, &format!(".before-schema-{version}"));
    let numbered = (1..).map(|number| with(&name, &format!(".{number}")));
    std::iter::once(name.clone()).chain(numbered).find(|name| !name.exists()).unwrap_or(name)
}

#[cfg(test)]
mod tests {
    use onhand_ledger::{Instant, TenantId};

    use super::*;
    use crate::{Batch, Head, Reader as _, SqliteStore, Store as _};

    /// As a later version of Onhand might have them.
    const LATER: [&str; 2] = [
        "ALTER TABLE note ADD COLUMN colour TEXT; UPDATE note SET colour = 'red';",
        "CREATE TABLE shelf(tenant_id INTEGER PRIMARY KEY) WITHOUT ROWID;",
    ];

    fn old_file(path: &Path) {
        let mut store = SqliteStore::open(path).unwrap();
        let head = Head { seq: 0, recorded_at: Instant::from_micros(5), ..Head::default() };
        let note = crate::Note { space: "s".to_owned(), key: "k".to_owned(), body: Some("{}".to_owned()) };
        let batch = Batch { after: head, head, notes: vec![note], ..Batch::default() };
        store.commit(&[(TenantId(1), batch)]).unwrap();
    }

    fn reader(path: &Path) -> SqliteReader {
        SqliteReader { connection: Connection::open(path).unwrap(), path: path.to_owned() }
    }

    fn version(path: &Path) -> u32 {
        let connection = Connection::open(path).unwrap();
        connection.query_row("PRAGMA user_version", [], |row| row.get(0)).unwrap()
    }

    fn names(folder: &Path) -> Vec<String> {
        let entries = std::fs::read_dir(folder).unwrap();
        let mut names: Vec<String> =
            entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.retain(|name| !name.ends_with("-wal") && !name.ends_with("-shm"));
        names.sort_unstable();
        names
    }

    #[test]
    fn an_older_file_is_copied_and_then_changed() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.db");
        old_file(&path);
        assert_eq!(bring_up(&mut reader(&path), 3, &LATER).unwrap(), None, "nothing to do");
        std::fs::write(folder.path().join("a.db.before-schema-3.part"), "half of it").unwrap();
        let kept = bring_up(&mut reader(&path), 1, &LATER).unwrap().unwrap();
        assert_eq!(kept, folder.path().join("a.db.before-schema-3"));
        assert_eq!((version(&path), version(&kept)), (3, 1));
        let colour = reader(&path).connection.query_row("SELECT colour FROM note", [], |row| row.get(0));
        assert_eq!(colour, Ok("red".to_owned()));
        // The copy is a database of this version, whole.
        let mut old = SqliteStore::open(&kept).unwrap();
        assert_eq!(old.note(TenantId(1), "s", "k").unwrap().as_deref(), Some("{}"));
        assert_eq!(old.check().unwrap(), None);
        // Another time another copy.
        drop(old);
        std::fs::copy(&kept, &path).unwrap();
        let again = bring_up(&mut reader(&path), 1, &LATER).unwrap().unwrap();
        assert_eq!(again, folder.path().join("a.db.before-schema-3.1"));
    }

    #[test]
    fn what_cannot_be_copied_or_changed_stays_as_it_was() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.db");
        old_file(&path);
        let before = names(folder.path());
        let wrong = bring_up(&mut reader(&path), 1, &[LATER[0], "CREATE TABLE head(x);"]).unwrap_err();
        assert!(wrong.to_string().contains("It is as it was"), "{wrong}");
        assert_eq!(
            (version(&path), names(folder.path())),
            (1, before),
            "no copy is left of what was not done"
        );
        // The disk is full, or whatever else stands in the way of a copy.
        std::fs::create_dir(folder.path().join("a.db.before-schema-3.part")).unwrap();
        let wrong = bring_up(&mut reader(&path), 1, &LATER).unwrap_err();
        assert!(wrong.to_string().contains("make room"), "{wrong}");
        assert_eq!(version(&path), 1);
        assert!(matches!(bring_up(&mut reader(&path), 0, &LATER), Err(StoreError::Damaged(_))));
    }
}
