//! The engine over a disk that fails, in this process: faults where a server seldom comes, as while tables are written
//! behind the log, while a checkpoint is made, and while the file is opened.

use std::collections::HashSet;

use anyhow::{Context as _, Result, bail, ensure};
use onhand_engine::{CommitError, Ledger, verify};
use onhand_ledger::Command;

use crate::fault::{EIO, ENOSPC, Fault, Faults, Operation};
use crate::random::Random;
use crate::workload::{DATABASE, Day, TENANT, Told, open};

/// What came of it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Faulty {
    /// Faults that were told.
    pub told: u64,
    /// Those that met something.
    pub met: u64,
    /// Commands that were not committed for it, and were when sent again.
    pub failed: u64,
}

/// Lets so many faults happen, one after the other, to one ledger. The shim stands before this process's libc already.
pub fn run(faults: &Faults, seed: u64, cases: u64) -> Result<Faulty> {
    let directory = faults.database().parent().context("it is in a folder")?.to_owned();
    ensure!(faults.database().ends_with(DATABASE), "the database is called {DATABASE}");
    let mut day = Day::new(seed)?;
    let mut random = Random::of(seed, 1);
    let mut ledger = open(&directory, day.clock())?;
    let setting = day.setting()?;
    let told = day.commit(&ledger, setting);
    let mut done = Faulty::default();
    let mut answered: HashSet<String> = told.into_iter().filter_map(|told| told.command.key).collect();
    for case in 0..cases {
        let upto = if random.percent(50) { 6 } else { 60 };
        let fault = Fault {
            operation: Operation::ALL[random.index(Operation::ALL.len())],
            after: i64::try_from(random.below(upto))?,
            for_good: random.percent(50),
            errno: [ENOSPC, EIO][random.index(2)],
        };
        one(&ledger, &mut day, faults, fault, &mut random, &mut answered, &mut done)
            .with_context(|| format!("case {case}: {fault:?}"))?;
        if random.percent(15) {
            // Closed and opened while it lasts: it opens or says why, and harms nothing.
            faults.begin(fault)?;
            drop(ledger);
            drop(open(&directory, day.clock()));
            faults.end()?;
            ledger = open(&directory, day.clock())
                .with_context(|| format!("case {case}: opened after {fault:?}"))?;
        }
        let violation =
            if random.percent(10) { verify(&ledger, TENANT, &mut |_| {})?.violation } else { None };
        if let Some(violation) = violation {
            bail!("case {case}: after {fault:?} it does not verify: {violation}");
        }
    }
    Ok(done)
}

fn one(
    ledger: &Ledger,
    day: &mut Day,
    faults: &Faults,
    fault: Fault,
    random: &mut Random,
    answered: &mut HashSet<String>,
    done: &mut Faulty,
) -> Result<()> {
    faults.begin(fault)?;
    let mut told: Vec<Told> = Vec::new();
    for _ in 0..=random.below(6) {
        day.pass();
        let commands = day.commands()?;
        told.extend(day.commit(ledger, commands));
        if random.percent(20) {
            checkpoint(faults);
        }
    }
    done.told += 1;
    done.met += u64::from(faults.failed()? > 0);
    faults.end()?;
    let ok = told.iter().filter(|told| told.result.is_ok());
    answered.extend(ok.filter_map(|told| told.command.key.clone()));
    for Told { command, result, .. } in told {
        match result {
            Ok(before) if command.key.is_some() => {
                let now = again(day, ledger, command.clone())?;
                ensure!(
                    now.0 && now.1 == before.answer,
                    "{command:?} was answered {:?}, now {now:?}",
                    before.answer
                );
            }
            Err(CommitError::Store(_)) => {
                done.failed += 1;
                let new = command.key.clone().is_some_and(|key| answered.insert(key));
                let (replayed, _) = again(day, ledger, command.clone())?;
                ensure!(!(new && replayed), "{command:?} was not done, and was answered before");
            }
            Err(CommitError::Bug) => bail!("a bug in deciding {command:?}"),
            _ => {}
        }
    }
    Ok(())
}

/// Was it answered before, and what is the answer?
fn again(day: &mut Day, ledger: &Ledger, command: Command) -> Result<(bool, onhand_ledger::Answer)> {
    let told = day.commit(ledger, vec![command]).pop().context("one answer")?;
    match told.result {
        Ok(committed) => Ok((committed.replayed, committed.answer)),
        // It may have become one that is none: what it names is gone.
        Err(CommitError::Invalid(invalid)) => {
            Ok((false, onhand_ledger::Answer::Waiting(onhand_ledger::DiscrepancyId(0), invalid.to_string())))
        }
        Err(error) => bail!("the fault has ended, and {:?} is still not done: {error}", told.command),
    }
}

/// By a connection of its own; whether it succeeds does not matter.
fn checkpoint(faults: &Faults) {
    if let Ok(connection) = rusqlite::Connection::open(faults.database()) {
        let _ = connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()));
    }
}
