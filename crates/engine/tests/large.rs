//! Large batches, which threads beside the committer write down and answer, say what small ones say.

use std::sync::Arc;

use onhand_engine::{CommitError, Committed, Ledger, ManualClock, Options, Submission, queue, verify};
use onhand_ledger::command::{Adjust, PlaceOrder, PutItem, PutLocation, Receive, Reverse};
use onhand_ledger::{
    Answer, Body, CellKey, Command, Instant, ItemId, LocationId, Quantity, Record, Seq, StockState, TenantId,
};
use onhand_store::{MemoryStore, PostgresStore, PostgresUrl, SqliteStore, Store};
use proptest::prelude::*;

use crate::shop::{time, units};

#[expect(dead_code, reason = "shared with tests that tell it more")]
#[path = "support/shop.rs"]
mod shop;

#[path = "support/cases.rs"]
mod cases;

const TENANT: TenantId = TenantId::DEFAULT;

fn asked(key: Option<String>, body: Body) -> Submission {
    Submission { tenant: TENANT, command: Some(Command::keyed(key, "test", body)), notes: Vec::new() }
}

fn begin() -> Vec<Submission> {
    let items =
        ["MUG", "A", "B"].map(|sku| Body::PutItem(PutItem { sku: sku.to_owned(), ..PutItem::default() }));
    let places = ["LONDON", "PARIS"]
        .map(|code| Body::PutLocation(PutLocation { code: code.to_owned(), ..PutLocation::default() }));
    items.into_iter().chain(places).map(|body| asked(None, body)).collect()
}

fn receive(sku: &str, quantity: i64, location: &str) -> Body {
    let (location, lines) = (location.to_owned(), units(sku, quantity));
    Body::Receive(Receive { location, lines, occurred_at: None, reason: None })
}

/// Commands as they come: mostly plain movements, some under keys that were used before in the same batch, some that are
/// refused, invalid, or about an entry of the same batch.
fn command() -> impl Strategy<Value = (Option<u32>, Body)> {
    let sku = || proptest::sample::select(vec!["MUG", "A", "B", "NOBODY"]);
    let place = || proptest::sample::select(vec!["LONDON", "PARIS"]);
    let body = prop_oneof![
        8 => (sku(), 1i64..5, place()).prop_map(|(sku, quantity, place)| receive(sku, quantity, place)),
        6 => (sku(), -4i64..4, place()).prop_map(|(sku, quantity, place)| {
            let (location, lines) = (place.to_owned(), units(sku, quantity));
            Body::Adjust(Adjust { location, lines, occurred_at: None, reason: "found".to_owned() })
        }),
        2 => (sku(), sku(), 1i64..4).prop_map(|(one, other, quantity)| {
            let lines = [units(one, quantity), units(other, 1)].concat();
            Body::Receive(Receive { location: "LONDON".to_owned(), lines, occurred_at: None, reason: None })
        }),
        1 => (6u64..700).prop_map(|seq| Body::Reverse(Reverse { seq, quantity: None, reason: "wrong".to_owned() })),
    ];
    (proptest::option::of(0u32..400), body)
}

/// What was answered, without what names a seq that depends on nothing here.
fn told(results: Vec<Result<Committed, CommitError>>) -> Vec<Result<Committed, String>> {
    results.into_iter().map(|result| result.map_err(|error| error.to_string())).collect()
}

fn records(ledger: &Ledger) -> Vec<(Seq, Record)> {
    ledger.read(TENANT, |view| view.records_after(0, usize::MAX)).unwrap()
}

fn verified(ledger: &Ledger) {
    let found = verify(ledger, TENANT, &mut |_| {}).unwrap();
    assert_eq!(found.violation, None);
}

fn stores(folder: &tempfile::TempDir) -> Vec<Box<dyn Store>> {
    let file = SqliteStore::open(&folder.path().join("test.db")).unwrap();
    let url = PostgresUrl::parse(&onhand_testpg::database(), None).unwrap();
    let server = PostgresStore::open(&url).unwrap();
    vec![Box::new(MemoryStore::default()), Box::new(file), Box::new(server)]
}

proptest! {
    #![proptest_config(cases::config(12, 200))]

    #[test]
    fn one_batch_of_many_commands_is_as_many_batches_of_one(commands in proptest::collection::vec(command(), 257..900)) {
        // Some come twice, the second time while the first is not yet written down, or just is.
        let mut commands = commands;
        for index in (40..commands.len()).step_by(5) {
            let earlier = commands[index - if index % 2 == 0 { 2 } else { 39 }].clone();
            commands.insert(index, earlier);
        }
        let bodies: Vec<Submission> = begin()
            .into_iter()
            .chain(commands.into_iter().map(|(key, body)| asked(key.map(|key| format!("key {key}")), body)))
            .collect();
        let clock = Arc::new(ManualClock::at(time("08:00")));
        let single = Ledger::open(Box::new(MemoryStore::default()), clock.clone(), Options::default()).unwrap();
        let one_by_one =
            told(bodies.iter().flat_map(|body| single.commit(vec![body.clone()])).collect());
        let answered = one_by_one.iter().flatten().filter(|one| one.replayed).count();
        prop_assert!(answered > 0, "some keys came twice");
        let each = records(&single);
        let twice = told(single.commit(bodies.clone()));
        let folder = tempfile::tempdir().unwrap();
        for store in stores(&folder) {
            let together = Ledger::open(store, clock.clone(), Options::default()).unwrap();
            prop_assert_eq!(&told(together.commit(bodies.clone())), &one_by_one);
            let all = records(&together);
            prop_assert_eq!(all.len(), each.len());
            for (one, other) in all.iter().zip(&each) {
                prop_assert_eq!(one, other);
            }
            verified(&together);
            // And again: everything with a key is known.
            let again = told(together.commit(bodies.clone()));
            prop_assert_eq!(&again, &twice);
            for ((first, again), body) in one_by_one.iter().zip(&again).zip(&bodies) {
                let has_key = body.command.as_ref().is_some_and(|command| command.key.is_some());
                if let (true, Ok(first), Ok(again)) = (has_key, first, again) {
                    prop_assert!(again.replayed && again.answer == first.answer);
                }
            }
        }
    }
}

proptest! {
    #![proptest_config(cases::config(12, 200))]

    #[test]
    fn batches_that_are_each_decided_while_one_is_written_say_what_batches_of_one_say(
        commands in proptest::collection::vec(command(), 100..700),
        sizes in proptest::collection::vec(prop_oneof![1usize..30, 200usize..400], 1..20),
        options in proptest::sample::select(vec![
            Options::default(),
            Options { flush_at: 0, slice: 0, cache: 0 },
            Options { flush_at: 5, slice: 3, cache: 8 },
        ]),
    ) {
        let bodies: Vec<Submission> = begin()
            .into_iter()
            .chain(commands.into_iter().map(|(key, body)| asked(key.map(|key| format!("key {}", key % 100)), body)))
            .collect();
        let clock = Arc::new(ManualClock::at(time("08:00")));
        let single = Ledger::open(Box::new(MemoryStore::default()), clock.clone(), Options::default()).unwrap();
        let one_by_one = told(bodies.iter().flat_map(|body| single.commit(vec![body.clone()])).collect());
        let mut batches = Vec::new();
        let mut left = bodies.as_slice();
        for size in sizes.iter().cycle() {
            if left.is_empty() {
                break;
            }
            let (batch, after) = left.split_at((*size).min(left.len()));
            batches.push(batch.to_vec());
            left = after;
        }
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("test.db");
        let beside = Ledger::open(Box::new(SqliteStore::open(&path).unwrap()), clock.clone(), options).unwrap();
        let results = beside.commit_beside(batches.clone()).into_iter().flatten().collect();
        prop_assert_eq!(&told(results), &one_by_one);
        prop_assert_eq!(records(&beside), records(&single));
        verified(&beside);
        // As after a crash: what is there is what was answered, and every key is known.
        drop(beside);
        let again = Ledger::open(Box::new(SqliteStore::open(&path).unwrap()), clock, options).unwrap();
        let twice = told(single.commit(bodies));
        prop_assert_eq!(told(again.commit_beside(batches).into_iter().flatten().collect()), twice);
        verified(&again);
    }
}

#[test]
fn a_hot_item_is_written_before_its_turn_and_remembers_every_instant() {
    const MOVEMENTS: i64 = 9_000;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("test.db");
    let clock = Arc::new(ManualClock::at(time("08:00")));
    let open = || {
        let store = SqliteStore::open(&path).unwrap();
        Ledger::open(Box::new(store), clock.clone(), Options::default()).unwrap()
    };
    let start = time("09:00");
    let at = |minute: i64| start.plus_seconds(60 * minute);
    let ledger = open();
    assert!(ledger.commit(begin()).iter().all(Result::is_ok));
    let mut moved = 0;
    while moved < MOVEMENTS {
        clock.set(at(moved));
        let batch = (0..300).map(|_| asked(None, receive("MUG", 1, "LONDON"))).collect();
        assert!(ledger.commit(batch).iter().all(Result::is_ok));
        moved += 300;
    }
    let cell = ledger
        .read(TENANT, |view| {
            let item = view.item_by_sku("MUG")?.map_or(ItemId(0), |(item, _)| item);
            let place = view.location_by_code("LONDON")?.map_or(LocationId(0), |(place, _)| place);
            Ok(CellKey::new(item, place, StockState::Available))
        })
        .unwrap();
    let as_of = |ledger: &Ledger, at: Instant| {
        let found = ledger.read(TENANT, |view| view.as_of(cell, at, None)).unwrap();
        found.whole_units()
    };
    let is_right = |ledger: &Ledger| {
        for batch in (0..MOVEMENTS / 300).step_by(3) {
            // The last of a batch's instants is some microseconds later than its clock.
            let after = as_of(ledger, at(300 * batch).plus_seconds(1));
            assert_eq!(after, 300 * (batch + 1), "after batch {batch}");
            assert_eq!(as_of(ledger, at(300 * batch).plus_micros(-1)), 300 * batch, "before batch {batch}");
        }
        verified(ledger);
    };
    // Tables have most of it before its turn, and the log has the rest after a crash.
    let rows: i64 = rusqlite::Connection::open(&path)
        .unwrap()
        .query_row("SELECT count(*) FROM trail", [], |row| row.get(0))
        .unwrap();
    assert!(rows > 80, "{rows} blocks of the trail were written");
    drop(ledger);
    let ledger = open();
    is_right(&ledger);
    ledger.flush().unwrap();
    ledger.evict().unwrap();
    is_right(&ledger);
}

#[tokio::test(flavor = "multi_thread")]
async fn everybody_hears_the_answer_to_what_they_asked() {
    let folder = tempfile::tempdir().unwrap();
    for store in stores(&folder) {
        let clock = Arc::new(ManualClock::at(time("08:00")));
        let ledger = Arc::new(Ledger::open(store, clock, Options::default()).unwrap());
        assert!(ledger.commit(begin()).iter().all(Result::is_ok));
        let (handle, waiting) = queue(ledger);
        let mut replies = Vec::new();
        let mut blocks = Vec::new();
        for number in 0..6_000i64 {
            let body = match number % 3 {
                0 => receive("MUG", 1 + number, "LONDON"),
                1 => receive("NOBODY", 1, "LONDON"),
                _ => Body::PlaceOrder(PlaceOrder {
                    lines: units("MUG", 1 + number % 2),
                    ..PlaceOrder::default()
                }),
            };
            let command = Command::keyed(Some(format!("key {number}")), "test", body);
            replies.push((number, handle.begin(TENANT, Some(command), Vec::new()).await.unwrap()));
            if number % 1_000 == 0 {
                let block = (0..50)
                    .map(|line| Command::keyed(None, "test", receive("A", 1 + line, "PARIS")))
                    .collect();
                blocks.push(handle.begin_bulk(TENANT, block).await.unwrap());
            }
        }
        // Nothing is taken out of the queue before all of it is in.
        let committer = std::thread::spawn(move || waiting.run());
        for (number, reply) in replies {
            match (number % 3, reply.wait().await) {
                (0, Ok(Committed { answer: Answer::Moved(moved, _), .. })) => {
                    assert_eq!(moved[0].difference, Quantity::units(1 + number));
                }
                (1, Err(error)) => assert!(error.to_string().contains("NOBODY"), "{error}"),
                (2, Ok(Committed { answer: Answer::Order(_, lines), .. })) => {
                    assert_eq!(lines[0].quantity, Quantity::units(1 + number % 2));
                }
                (_, other) => panic!("command {number} was answered {other:?}"),
            }
        }
        for block in blocks {
            let answers = block.wait().await.unwrap();
            let of = |answer: &Result<Committed, CommitError>| match answer {
                Ok(Committed { answer: Answer::Moved(moved, _), .. }) => moved[0].difference.whole_units(),
                other => panic!("a line was answered {other:?}"),
            };
            assert_eq!(answers.iter().map(of).collect::<Vec<_>>(), (1..=50).collect::<Vec<_>>());
        }
        drop(handle);
        tokio::task::spawn_blocking(move || committer.join()).await.unwrap().unwrap();
    }
}
