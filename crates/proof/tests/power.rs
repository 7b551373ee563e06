//! Law 3 without the page cache: at a thousand points of a run the power goes, and nothing that was acknowledged is lost.

use std::path::Path;
use std::sync::LazyLock;

use onhand_proof::check::{Run, place};
use onhand_proof::disk::Lie;
use onhand_proof::record::record;
use onhand_proof::shard::{Loss, Points, Progress};
use onhand_proof::trace::Event;

const SEED: u64 = 20_261_124;

static RUN: LazyLock<Run> = LazyLock::new(|| {
    let folder = place().unwrap();
    let trace = folder.path().join("trace");
    record(Path::new(env!("CARGO_BIN_EXE_onhand-proof")), SEED, 170, &trace).unwrap();
    Run::read(&trace).unwrap()
});

/// Tries so many points on two threads.
fn losses(points: u64, lie: Lie) -> Vec<Loss> {
    let run = &*RUN;
    std::thread::scope(|scope| {
        let shard = |shard| Points { seed: SEED, all: points, shard, shards: 2, lie };
        let threads = [0, 1].map(|half| {
            scope.spawn(move || shard(half).run(run, Progress::default(), &mut |_| Ok(())).unwrap().losses)
        });
        threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect()
    })
}

#[test]
fn power_goes_at_1000_points_and_nothing_acknowledged_is_lost() {
    let count = |what: fn(&Event) -> bool| RUN.trace.events.iter().filter(|event| what(event)).count();
    // Worth nothing where little happened.
    assert!(RUN.answers() > 600, "{} answers", RUN.answers());
    assert!(count(|event| matches!(event, Event::SyncEnded(..))) > 150);
    assert!(count(|event| matches!(event, Event::Unlinked(name) if name.ends_with("-wal"))) > 1);
    assert!(count(|event| matches!(event, Event::Truncated(..))) > 3);
    let losses = losses(1_000, Lie::None);
    assert!(losses.is_empty(), "{} of 1,000 points: {:#?}", losses.len(), &losses[..losses.len().min(5)]);
}

#[test]
fn power_that_goes_is_felt_where_a_disk_lies_about_its_syncs() {
    for lie in [Lie::Wal, Lie::SomeOfTheWal(10), Lie::Database, Lie::Directory] {
        let losses = losses(120, lie);
        assert!(!losses.is_empty(), "{lie:?} cost nothing");
        println!("{lie:?}: {} of 120, the first: {}", losses.len(), losses[0].found);
    }
}
