//! `onhand verify` finds every single bit that is flipped in any value of any row.

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::Arc;

use onhand_engine::{Ledger, ManualClock, verify};
use onhand_ledger::Instant;
use onhand_proof::check::place;
use onhand_proof::flip::{Flip, flip};
use onhand_proof::random::Random;
use onhand_proof::workload::{self, DATABASE, TENANT, open};

const FLIPS: u64 = 1_000;

/// What verifying says: nothing where all is well.
fn found(directory: &Path) -> Option<String> {
    let look = || -> anyhow::Result<Option<String>> {
        let ledger: Ledger = open(directory, Arc::new(ManualClock::at(Instant::MIN)))?;
        Ok(verify(&ledger, TENANT, &mut |_| {})?.violation.map(|violation| violation.to_string()))
    };
    let looked = catch_unwind(AssertUnwindSafe(look)).expect("a flipped bit is no reason to panic");
    looked.unwrap_or_else(|error| Some(format!("{error:#}")))
}

/// A database with something in every table, closed cleanly.
fn populated() -> Vec<u8> {
    let folder = place().unwrap();
    workload::run(folder.path(), 7, 90).unwrap();
    let ledger = open(folder.path(), Arc::new(ManualClock::at(Instant::MIN))).unwrap();
    ledger.flush().unwrap();
    drop(ledger);
    assert_eq!(found(folder.path()), None, "all is well before");
    std::fs::read(folder.path().join(DATABASE)).unwrap()
}

#[test]
fn faults_of_a_single_bit_in_any_row_are_found() {
    let database = populated();
    let one = |case: u64| -> Option<(Flip, Option<String>)> {
        let mut random = Random::of(11, case);
        let folder = place().unwrap();
        let path = folder.path().join(DATABASE);
        std::fs::write(&path, &database).unwrap();
        flip(&path, &mut random).unwrap().map(|flip| (flip, found(folder.path())))
    };
    let half = |first: u64| (first..FLIPS * 13 / 10).step_by(2).filter_map(one).collect::<Vec<_>>();
    let (mut flips, others) = std::thread::scope(|scope| {
        let other = scope.spawn(|| half(1));
        (half(0), other.join().unwrap())
    });
    flips.extend(others);
    assert!(flips.len() as u64 >= FLIPS, "{} bits were flipped", flips.len());
    let mut tables = BTreeMap::<&str, u32>::new();
    for (flip, _) in &flips {
        *tables.entry(&flip.table).or_default() += 1;
    }
    println!("{tables:?}");
    let missed: Vec<&Flip> =
        flips.iter().filter(|(_, found)| found.is_none()).map(|(flip, _)| flip).collect();
    assert!(
        missed.is_empty(),
        "{} of {} are not found: {:#?}",
        missed.len(),
        flips.len(),
        &missed[..missed.len().min(60)]
    );
    // What was compared is told in words; what cannot even be read is not known by name.
    for (flip, found) in &flips {
        let said = found.as_deref().unwrap_or_default();
        let in_code = said.starts_with("law") && (said.contains("Id(") || said.contains(" { "));
        assert!(!in_code, "{flip:?}: no words for people: {said}");
    }
}
