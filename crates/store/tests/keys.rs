//! Request keys: found young, in runs and in merged runs, after every restart and every crash between two slices.

use std::path::Path;

use onhand_ledger::{Seq, TenantId};
use onhand_store::{
    Batch, Head, KeyAt, PostgresStore, PostgresUrl, Reader as _, SqliteStore, Store, WriteKeys,
};

const TENANT: TenantId = TenantId(1);

/// Writes keys of the seqs from `first` to `last`, as a commit of so many does.
fn commit(store: &mut impl Store, keys: &[KeyAt], write_keys: WriteKeys) {
    let seq = keys.last().map_or_else(|| store.head(TENANT).unwrap().seq, |(_, seq)| *seq);
    let after = store.head(TENANT).unwrap();
    let head = Head { seq, ..Head::default() };
    let batch = Batch { after, head, keys: keys.to_vec(), write_keys, ..Batch::default() };
    store.commit(&[(TENANT, batch)]).unwrap();
}

/// Opens it as the engine does: what is in the log and not in tables is told again.
fn open(path: &Path, all: &[KeyAt]) -> SqliteStore {
    let mut store = SqliteStore::open(path).unwrap();
    let keyed = store.head(TENANT).unwrap().keyed;
    let tail: Vec<KeyAt> = all.iter().filter(|(_, seq)| *seq > keyed).copied().collect();
    store.remember_keys(TENANT, &tail).unwrap();
    store
}

/// A hash for each number, spread as those of keys are; some have the one of the number before.
fn hash(number: u64) -> u64 {
    let number = if number.is_multiple_of(97) { number.saturating_sub(1) } else { number };
    onhand_store::key_hash(&number.to_string())
}

fn all_are_found(store: &mut impl Store, all: &[KeyAt], step: usize) {
    for (hash, seq) in all.iter().step_by(step) {
        let found = store.keys_like(TENANT, *hash).unwrap();
        assert!(found.contains(seq), "the key of entry {seq} was lost: {found:?}");
    }
}

fn count(path: &Path, sql: &str) -> i64 {
    let connection = rusqlite::Connection::open(path).unwrap();
    connection.query_row(sql, [], |row| row.get(0)).unwrap()
}

const ROWS_OF_NO_RUN: &str = "SELECT (SELECT count(*) FROM key_page WHERE run NOT IN (SELECT run FROM key_run)) + \
                              (SELECT count(*) FROM key_filter WHERE run NOT IN (SELECT run FROM key_run))";

#[test]
fn keys_are_found_whatever_is_written_and_wherever_it_crashes() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("keys.db");
    let how = WriteKeys { at: 900, slice: 0 };
    let mut all: Vec<KeyAt> = Vec::new();
    let mut store = open(&path, &all);
    let mut seen_unfinished = false;
    for round in 1..=120_u64 {
        let first = all.len() as Seq + 1;
        let new: Vec<KeyAt> = (first..first + 150).map(|seq| (hash(seq), seq)).collect();
        commit(&mut store, &new, how);
        all.extend(new);
        if round % 5 == 0 {
            // Nothing is written at the end: as a crash leaves it.
            drop(store);
            seen_unfinished |= count(&path, ROWS_OF_NO_RUN) > 0;
            store = open(&path, &all);
        }
        all_are_found(&mut store, &all, 37);
    }
    assert!(seen_unfinished, "no crash fell between two slices");
    all_are_found(&mut store, &all, 1);
    for number in 1_000_000..1_010_000 {
        assert_eq!(store.keys_like(TENANT, hash(number)).unwrap(), [0; 0], "{number} was never used");
    }
    commit(&mut store, &[], WriteKeys { at: 0, slice: 0 });
    assert_eq!(store.check().unwrap(), None);
    let mut expected = all.clone();
    expected.sort_unstable();
    let mut reader = store.reader().unwrap();
    let mut listed = Vec::new();
    while let page = reader.keys_after(TENANT, listed.last().copied(), 1_100).unwrap()
        && !page.is_empty()
    {
        listed.extend(page);
    }
    assert_eq!(listed, expected);
    for (hash, seq) in all.iter().step_by(501) {
        assert!(reader.keys_like(TENANT, *hash).unwrap().contains(seq));
    }
    drop(reader);
    drop(store);
    assert_eq!(count(&path, ROWS_OF_NO_RUN), 0, "what is no run is removed");
    assert!(count(&path, "SELECT count(*) FROM key_run") < 12, "runs are merged");
    let mut store = open(&path, &[]);
    assert_eq!(store.head(TENANT).unwrap().keyed, all.len() as Seq, "all are in runs");
    all_are_found(&mut store, &all, 1);
}

#[test]
fn more_keys_of_one_hash_than_fit_on_a_page_are_all_found() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("keys.db");
    let mut store = open(&path, &[]);
    for first in (1..=6_000).step_by(1_000) {
        let new: Vec<KeyAt> =
            (first..first + 1_000).map(|seq| (if seq % 2 == 0 { 7 << 60 } else { hash(seq) }, seq)).collect();
        commit(&mut store, &new, WriteKeys { at: 0, slice: 0 });
    }
    drop(store);
    let mut store = open(&path, &[]);
    let mut found = store.keys_like(TENANT, 7 << 60).unwrap();
    found.sort_unstable();
    assert_eq!(found, (1..=3_000).map(|number| 2 * number).collect::<Vec<Seq>>());
    assert_eq!(store.check().unwrap(), None);
}

#[test]
fn a_million_keys_are_found_after_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("keys.db");
    let mut store = open(&path, &[]);
    let all: Vec<KeyAt> = (1..=1_000_000).map(|seq| (hash(seq), seq)).collect();
    for new in all.chunks(10_000) {
        commit(&mut store, new, WriteKeys { at: 60_000, slice: 60_000 });
    }
    all_are_found(&mut store, &all, 1_009);
    drop(store);
    let mut store = open(&path, &all);
    all_are_found(&mut store, &all, 101);
    for number in 2_000_000..2_020_000 {
        assert_eq!(store.keys_like(TENANT, hash(number)).unwrap(), [0; 0]);
    }
}

#[test]
fn keys_in_postgresql_are_found_and_listed_in_order() {
    let url = PostgresUrl::parse(&onhand_testpg::database(), None).unwrap();
    let mut store = PostgresStore::open(&url).unwrap();
    let mut all: Vec<KeyAt> = Vec::new();
    for first in (1..=3_000).step_by(150) {
        let new: Vec<KeyAt> =
            (first..first + 150).map(|seq| (if seq % 200 == 0 { 7 << 60 } else { hash(seq) }, seq)).collect();
        commit(&mut store, &new, WriteKeys::default());
        all.extend(new);
    }
    all_are_found(&mut store, &all, 7);
    let among = store.keys_among(TENANT, &[hash(1), hash(1_000_000), 7 << 60, hash(2)]).unwrap();
    assert_eq!(among.len(), 2 + 15, "{among:?}");
    assert_eq!(store.keys_like(TENANT, hash(1_000_000)).unwrap(), [0; 0], "it was never used");
    assert_eq!(store.keys_like(TenantId(2), hash(1)).unwrap(), [0; 0], "it is another's");
    assert_eq!(store.head(TENANT).unwrap().keyed, 3_000);
    drop(store);
    let mut expected = all.clone();
    expected.sort_unstable();
    let mut reader = PostgresStore::open(&url).unwrap().reader().unwrap();
    let mut listed = Vec::new();
    while let page = reader.keys_after(TENANT, listed.last().copied(), 1_100).unwrap()
        && !page.is_empty()
    {
        listed.extend(page);
    }
    assert_eq!(listed, expected);
}
