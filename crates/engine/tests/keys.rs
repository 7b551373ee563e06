//! Law 4 where the table of keys is at its edges: two keys of one hash, copies in one batch, restarts.

use std::sync::Arc;

use onhand_engine::{CommitError, Committed, Ledger, ManualClock, Options, Submission};
use onhand_ledger::command::{Line, PutItem, PutLocation, Receive};
use onhand_ledger::{Body, Command, Instant, Quantity, TenantId};
use onhand_store::{MemoryStore, PostgresStore, PostgresUrl, SqliteStore, Store};

const EVICTING: Options = Options { flush_at: 0, slice: 1, cache: 0 };
const SLICING: Options = Options { flush_at: 4, slice: 2, cache: 8 };

/// Every key has the hash of every other.
fn open(store: Box<dyn Store>, options: Options) -> Ledger {
    let clock = Arc::new(ManualClock::at(Instant::parse("2026-11-23T10:00:00Z").unwrap()));
    Ledger::open_hashing(store, clock, options, |_| 7).unwrap()
}

fn submission(key: Option<&str>, body: Body) -> Submission {
    let command = Command::keyed(key.map(str::to_owned), "test", body);
    Submission { tenant: TenantId::DEFAULT, command: Some(command), notes: Vec::new() }
}

fn receive(key: &str, units: i64) -> Submission {
    let lines = vec![Line { sku: "MUG".to_owned(), quantity: Quantity::units(units), ..Line::default() }];
    let receive = Receive { location: "LONDON".to_owned(), lines, occurred_at: None, reason: None };
    submission(Some(key), Body::Receive(receive))
}

fn one(ledger: &Ledger, submission: Submission) -> Result<Committed, CommitError> {
    ledger.commit(vec![submission]).pop().unwrap()
}

fn put_names(ledger: &Ledger) {
    let put = PutItem { sku: "MUG".to_owned(), ..PutItem::default() };
    one(ledger, submission(None, Body::PutItem(put))).unwrap();
    let put = PutLocation { code: "LONDON".to_owned(), ..PutLocation::default() };
    one(ledger, submission(None, Body::PutLocation(put))).unwrap();
}

#[test]
fn two_keys_of_one_hash_both_work() {
    for options in [Options::default(), EVICTING, SLICING] {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("keys.db");
        let memory = MemoryStore::default();
        let address = onhand_testpg::database();
        for kept in 0..3 {
            let store = || -> Box<dyn Store> {
                match kept {
                    0 => Box::new(SqliteStore::open(&path).unwrap()),
                    1 => Box::new(memory.clone()),
                    _ => Box::new(PostgresStore::open(&PostgresUrl::parse(&address, None).unwrap()).unwrap()),
                }
            };
            let mut ledger = open(store(), options);
            put_names(&ledger);
            let mut told = Vec::new();
            for number in 1..=12 {
                let committed = one(&ledger, receive(&format!("key {number}"), number)).unwrap();
                assert!(!committed.replayed, "key {number} is not one of the keys before");
                told.push(committed.answer);
            }
            for round in 0..2 {
                for (number, told) in (1..).zip(&told) {
                    let again = one(&ledger, receive(&format!("key {number}"), number)).unwrap();
                    assert!(again.replayed && again.answer == *told, "round {round}: {again:?}");
                    let other = one(&ledger, receive(&format!("key {number}"), number + 1));
                    assert!(matches!(other, Err(CommitError::Invalid(_))), "{other:?}");
                }
                // As a crash leaves it.
                drop(ledger);
                ledger = open(store(), options);
            }
        }
    }
}

#[test]
fn a_copy_in_the_same_batch_gets_the_same_answer() {
    for options in [Options::default(), EVICTING] {
        let folder = tempfile::tempdir().unwrap();
        let ledger = open(Box::new(SqliteStore::open(&folder.path().join("keys.db")).unwrap()), options);
        put_names(&ledger);
        let batch = vec![receive("a", 1), receive("b", 2), receive("a", 1), receive("b", 1), receive("b", 2)];
        let results = ledger.commit(batch);
        let [first, second, copy, reused, again] = results.as_slice() else { panic!("{results:?}") };
        let answer = |result: &Result<Committed, CommitError>| result.as_ref().unwrap().answer.clone();
        assert_eq!(answer(copy), answer(first));
        assert_eq!(answer(again), answer(second));
        assert_ne!(answer(first), answer(second));
        assert!(matches!(reused, Err(CommitError::Invalid(_))), "{reused:?}");
        assert!(copy.as_ref().is_ok_and(|copy| copy.replayed));
    }
}
