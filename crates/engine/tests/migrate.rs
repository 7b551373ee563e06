//! A ledger moved from one engine to another and back is the same ledger: whole, or refused, or gone on with.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::Arc;

use onhand_engine::migrate::{Copied, MigrateError, is_unfinished, migrate};
use onhand_engine::{Ledger, ManualClock, Options, Submission, verify};
use onhand_ledger::command::{PutItem, PutLocation, Receive};
use onhand_ledger::{Answer, Body, Command, TenantId};
use onhand_store::{
    Batch, MemoryStore, Note, PostgresStore, PostgresUrl, Reader, SqliteStore, Store, StoreError,
};

use crate::shop::{Shop, time, units};

#[expect(dead_code, reason = "shared with tests that tell it more")]
#[path = "support/shop.rs"]
mod shop;

const OTHER: TenantId = TenantId(7);

fn file(path: &Path) -> Box<dyn Store> {
    Box::new(SqliteStore::open(path).unwrap())
}

fn server(url: &PostgresUrl) -> Box<dyn Store> {
    Box::new(PostgresStore::open(url).unwrap())
}

fn database() -> PostgresUrl {
    PostgresUrl::parse(&onhand_testpg::database(), None).unwrap()
}

fn ledger(store: Box<dyn Store>) -> Ledger {
    let clock = Arc::new(ManualClock::at(time("18:00")));
    Ledger::open(store, clock, Options::default()).unwrap()
}

/// A day of two tenants: orders, holds, counts, what was heard of late, refusals under keys, and notes.
fn day(store: Box<dyn Store>) {
    let shop = Shop::over(store, Options::default());
    shop.at("09:00");
    shop.receive("MUG", 100);
    for number in 0..120 {
        shop.order(Some(&format!("order {number}")), "MUG", 1).unwrap();
    }
    shop.at("10:00");
    shop.order_fact("W1", 1, "MUG", 3, false);
    shop.shipment("S1", Some("W1"), "MUG", 2, Some("09:30"));
    shop.count("MUG", 90, "09:15");
    shop.receive("A", 5);
    shop.hold("A", 1, "23:00");
    shop.at("11:00").count("MUG", 40, "10:30");
    // Before both counts.
    shop.shipment("S2", None, "MUG", 1, Some("09:10"));
    let put = |body| Submission {
        tenant: OTHER,
        command: Some(Command::keyed(None, "test", body)),
        notes: vec![note("api_key", "b", "{}"), note("connection", "1", r#"{"secret":"ü"}"#)],
    };
    let item = Body::PutItem(PutItem { sku: "CUP".to_owned(), ..PutItem::default() });
    let place = Body::PutLocation(PutLocation { code: "PARIS".to_owned(), ..PutLocation::default() });
    let lines = units("CUP", 5);
    let came = Receive { location: "PARIS".to_owned(), lines, occurred_at: None, reason: None };
    for body in [item, place, Body::Receive(came)] {
        shop.ledger.commit(vec![put(body)]).pop().unwrap().unwrap();
    }
}

fn note(space: &str, key: &str, body: &str) -> Note {
    Note { space: space.to_owned(), key: key.to_owned(), body: Some(body.to_owned()) }
}

fn write_note(store: &mut dyn Store, note: Note) {
    let head = store.head(OTHER).unwrap();
    let batch = Batch { after: head, head, notes: vec![note], ..Batch::default() };
    store.commit(&[(OTHER, batch)]).unwrap();
}

/// All that must be the same after a move: heads (but what tables lag), notes.
fn kept(store: &mut dyn Store) -> Vec<(TenantId, u64, [u8; 32], Vec<Note>)> {
    let tenants = store.tenants().unwrap();
    let of = |tenant| {
        let head = store.head(tenant).unwrap();
        (tenant, head.seq, head.hash, store.notes_after(tenant, None, 10_000).unwrap())
    };
    tenants.into_iter().map(of).collect()
}

/// All that a rebuilt ledger would have, the log included.
fn sound(store: Box<dyn Store>) {
    let ledger = ledger(store);
    for tenant in ledger.tenants() {
        assert_eq!(verify(&ledger, tenant, &mut |_| {}).unwrap().violation, None);
    }
}

fn run(
    mut source: Box<dyn Store>,
    mut target: Box<dyn Store>,
    slice: u64,
) -> Result<Vec<Copied>, MigrateError> {
    let copied = migrate(source.as_mut(), target.as_mut(), slice, &mut |_| {})?;
    assert_eq!(kept(source.as_mut()), kept(target.as_mut()));
    assert!(!is_unfinished(target.as_mut())?);
    sound(target);
    Ok(copied)
}

#[test]
fn a_ledger_is_the_same_on_the_other_engine_and_back() {
    let folder = tempfile::tempdir().unwrap();
    let [here, back] = ["here.db", "back.db"].map(|name| folder.path().join(name));
    let url = database();
    day(file(&here));
    let copied = run(file(&here), server(&url), 20).unwrap();
    assert!(copied.iter().all(|one| one.entries > 0 && one.entries == one.head.seq), "{copied:?}");
    assert_eq!(copied.iter().map(|one| one.notes).collect::<Vec<_>>(), [0, 2]);
    run(server(&url), file(&back), 1_000_000).unwrap();
    // Every key is known over there, refusals included, and time goes on.
    let asked = Shop::again(file(&here));
    let moved = Shop::again(file(&back));
    for number in [0, 99, 100, 119] {
        let key = format!("order {number}");
        let (there, then) =
            (moved.order(Some(&key), "MUG", 1).unwrap(), asked.order(Some(&key), "MUG", 1).unwrap());
        assert!(there.replayed);
        assert_eq!(there, then);
    }
    assert_eq!(moved.stock("MUG"), asked.stock("MUG"));
    for at in ["09:05", "09:20", "10:45"] {
        assert_eq!(moved.on_hand_at("MUG", at, None), asked.on_hand_at("MUG", at, None));
    }
    let due = |shop: &Shop| shop.ledger.due_first(100).unwrap();
    assert_eq!(due(&moved), due(&asked));
    assert!(matches!(moved.receive("MUG", 1), Answer::Moved(..)));
}

#[test]
fn what_came_since_is_copied_and_nothing_twice() {
    let folder = tempfile::tempdir().unwrap();
    let here = folder.path().join("here.db");
    let url = database();
    day(file(&here));
    run(file(&here), server(&url), 1_000).unwrap();
    let again = run(file(&here), server(&url), 1_000).unwrap();
    assert!(again.iter().all(|one| one.entries == 0 && one.notes == 0), "{again:?}");
    // Over there work goes on; then back, onto the file it came from.
    Shop::again(server(&url)).receive("B", 9);
    let mut store = server(&url);
    write_note(store.as_mut(), Note { body: None, ..note("api_key", "b", "") });
    write_note(store.as_mut(), note("connection", "1", "changed"));
    write_note(store.as_mut(), note("shown", "9", "new"));
    drop(store);
    let behind = migrate(server(&url).as_mut(), file(&here).as_mut(), 10, &mut |_| {});
    assert!(matches!(behind, Err(MigrateError::Behind(_))), "as a file is that nobody closed");
    ledger(file(&here)).flush().unwrap();
    let back = run(server(&url), file(&here), 1_000).unwrap();
    assert_eq!(back.iter().map(|one| (one.entries, one.notes)).collect::<Vec<_>>(), [(1, 0), (0, 3)]);
}

#[test]
fn a_copy_that_was_stopped_anywhere_goes_on() {
    let folder = tempfile::tempdir().unwrap();
    let here = folder.path().join("here.db");
    day(file(&here));
    let entries = SqliteStore::open(&here).unwrap().head(TenantId::DEFAULT).unwrap().seq;
    let mut goes_on_in_the_middle = 0;
    for stop_at in (1..entries).step_by(29) {
        let url = database();
        let stopped = catch_unwind(AssertUnwindSafe(|| {
            let (mut source, mut target) = (file(&here), server(&url));
            let _ = migrate(source.as_mut(), target.as_mut(), 10, &mut |told| {
                assert!(told.checked < stop_at, "stopped");
            });
        }));
        assert!(stopped.is_err());
        let mut target = server(&url);
        assert!(is_unfinished(target.as_mut()).unwrap(), "nobody takes half a copy for a whole one");
        let half = target.head(TenantId::DEFAULT).unwrap().seq;
        goes_on_in_the_middle += u64::from(half > 0);
        assert!(half < entries);
        assert!(matches!(
            migrate(target.as_mut(), &mut MemoryStore::default(), 10, &mut |_| {}),
            Err(MigrateError::Unfinished)
        ));
        let copied = run(file(&here), target, 1_000).unwrap();
        assert_eq!(copied[0].entries, entries - half, "what was there is not copied again");
    }
    assert!(goes_on_in_the_middle > 5);
}

#[test]
fn a_target_with_another_ledger_is_left_as_it_is() {
    let folder = tempfile::tempdir().unwrap();
    let [here, there, ahead] = ["here.db", "there.db", "ahead.db"].map(|name| folder.path().join(name));
    day(file(&here));
    let refused = |source: &Path, target: &Path| {
        let before = kept(file(target).as_mut());
        let refused = migrate(file(source).as_mut(), file(target).as_mut(), 10, &mut |_| {});
        assert_eq!(kept(file(target).as_mut()), before);
        refused.unwrap_err()
    };
    let shop = Shop::over(file(&there), Options::default());
    shop.receive("MUG", 100);
    drop(shop);
    assert!(matches!(refused(&here, &there), MigrateError::AnotherLog { .. }));
    // A ledger that went on is not thrown away for its beginning.
    run(file(&here), file(&ahead), 10).unwrap();
    drop(Shop::again(file(&ahead)).receive("MUG", 1));
    assert!(matches!(refused(&here, &ahead), MigrateError::AnotherLog { .. }));
    assert!(matches!(refused(&there, &here), MigrateError::AnotherTenant(OTHER)));
    let empty = folder.path().join("empty.db");
    assert!(matches!(refused(&empty, &there), MigrateError::Empty));
}

#[test]
fn a_source_that_is_not_whole_is_not_copied_any_further() {
    let mut source = MemoryStore::default();
    day(Box::new(source.clone()));
    let chunks = source.chunks_after(TenantId::DEFAULT, 0, 1_000).unwrap();
    let mut broken = chunks[chunks.len() / 2].clone();
    broken.body[3] ^= 1;
    let head = source.head(TenantId::DEFAULT).unwrap();
    let batch = Batch { after: head, head, chunks: vec![broken.clone()], ..Batch::default() };
    source.commit(&[(TenantId::DEFAULT, batch)]).unwrap();
    let mut target = MemoryStore::default();
    match migrate(&mut source, &mut target, 10, &mut |_| {}) {
        Err(MigrateError::NotWhole { at, .. }) => assert_eq!(at, broken.first_seq),
        other => panic!("{other:?}"),
    }
    assert!(target.head(TenantId::DEFAULT).unwrap().seq < broken.first_seq);
    assert!(is_unfinished(&mut target).unwrap());
}

/// Somebody writes to it after its log was read.
struct Moving(MemoryStore, bool);

onhand_store::read_through!(Moving, 0, {
    fn notes_after(
        &mut self,
        tenant: TenantId,
        after: Option<(&str, &str)>,
        limit: usize,
    ) -> Result<Vec<Note>, StoreError> {
        if !std::mem::replace(&mut self.1, true) {
            Shop::again(Box::new(self.0.clone())).receive("B", 1);
        }
        self.0.notes_after(tenant, after, limit)
    }
});

#[test]
fn a_source_that_goes_on_meanwhile_is_noticed() {
    let source = MemoryStore::default();
    day(Box::new(source.clone()));
    let mut target = MemoryStore::default();
    let mut moving = Moving(source, false);
    let copied = migrate(&mut moving, &mut target, 1_000, &mut |_| {}).unwrap();
    assert_eq!(copied.iter().map(|one| one.went_on).collect::<Vec<_>>(), [1, 0]);
    assert!(is_unfinished(&mut target).unwrap(), "the end of it is missing");
    let copied = migrate(&mut moving, &mut target, 1_000, &mut |_| {}).unwrap();
    assert_eq!(copied[0].entries, 1);
    assert!(!is_unfinished(&mut target).unwrap());
    sound(Box::new(target));
}
