//! Many seeds, in blocks that can be stopped and gone on with.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};

use anyhow::{Context as _, Result};
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};

use crate::causes::Causes;
use crate::run::{Outcome, play};
use crate::shrink::shrink;
use crate::story::Story;
use crate::world::Fault;

/// How many seeds are played before it is written down that they were.
const BLOCK: u64 = 200;
/// So many failing stories are made short; the rest is only named.
const SHORTENED: usize = 3;

/// What came of many seeds.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct Report {
    /// How many were played.
    pub seeds: u64,
    /// Calls, commands and steps in all of them.
    pub events: u64,
    /// How often each fault did harm.
    pub faults: BTreeMap<Fault, u64>,
    /// How well causes were told.
    pub causes: Causes,
    /// How many seeds broke a law.
    pub violations: u64,
}

/// How far it got.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Progress {
    /// The first seed: another one begins anew.
    pub first: u64,
    /// What came of those played so far.
    pub report: Report,
    /// Seeds that broke a law, or told a cause wrongly.
    pub failed: Vec<u64>,
}

/// A seed that broke a law.
#[derive(Clone, Debug)]
pub struct Failure {
    /// Which.
    pub seed: u64,
    /// What it broke, and the shortest story that does.
    pub told: String,
}

impl Progress {
    /// As a file says; none there, or of another first seed: nothing was played.
    pub fn read(path: &Path, first: u64) -> Result<Self> {
        let begun = match std::fs::read(path) {
            Ok(bytes) => serde_json::from_slice::<Self>(&bytes)
                .with_context(|| format!("{} is no progress of ours; name another file", path.display()))?,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Self::default(),
            Err(error) => return Err(error).with_context(|| format!("cannot read {}", path.display())),
        };
        Ok(if begun.first == first { begun } else { Self { first, ..Self::default() } })
    }

    /// Into a file, wholly or not at all.
    pub fn write(&self, path: &Path) -> Result<()> {
        let mut beside = path.as_os_str().to_owned();
        beside.push(".new");
        std::fs::write(&beside, serde_json::to_vec_pretty(self)?)
            .and_then(|()| std::fs::rename(&beside, path))
            .with_context(|| format!("cannot write {}", path.display()))
    }
}

/// Plays so many seeds in all, going on from where `progress` is, which is handed out after each block.
pub fn seeds(
    many: u64,
    threads: usize,
    mut progress: Progress,
    report: &mut dyn FnMut(&Progress, &[Failure]) -> Result<()>,
) -> Result<Progress> {
    while progress.report.seeds < many {
        let from = progress.first + progress.report.seeds;
        let upto = progress.first + many.min(progress.report.seeds + BLOCK);
        let room = SHORTENED.saturating_sub(progress.failed.len());
        let next = AtomicU64::new(from);
        let (sum, failures) = (Mutex::new(Report::default()), Mutex::new(Vec::new()));
        std::thread::scope(|scope| {
            for _ in 0..threads.max(1) {
                scope.spawn(|| {
                    // What goes wrong here is meant to: nobody shall read of it in a log.
                    let _silent = tracing::subscriber::set_default(tracing::subscriber::NoSubscriber::new());
                    loop {
                        let seed = next.fetch_add(1, Ordering::SeqCst);
                        if seed >= upto {
                            return;
                        }
                        let story = Story::of(seed);
                        let outcome = play_whatever(&story);
                        sum.lock().add(&outcome);
                        if !outcome.violations.is_empty() || !outcome.wrong.is_empty() {
                            failures.lock().push((seed, story, outcome));
                        }
                    }
                });
            }
        });
        progress.report.merge(&sum.into_inner());
        let mut failures = failures.into_inner();
        failures.sort_by_key(|(seed, _, _)| *seed);
        progress.failed.extend(failures.iter().map(|(seed, _, _)| *seed));
        let told = failures
            .into_iter()
            .take(room)
            .map(|(seed, story, outcome)| Failure { seed, told: shortest(story, outcome) });
        report(&progress, &told.collect::<Vec<_>>())?;
    }
    Ok(progress)
}

/// Plays a story; that it ends in a panic is what is wrong with it.
fn play_whatever(story: &Story) -> Outcome {
    std::panic::catch_unwind(|| play(story, false)).unwrap_or_else(|panic| {
        let said = panic.downcast_ref::<String>().cloned();
        let said = said.or_else(|| panic.downcast_ref::<&str>().map(|said| (*said).to_owned()));
        let violations = vec![format!("a panic: {}", said.unwrap_or_default())];
        Outcome { violations, ..Outcome::default() }
    })
}

/// The first of so many seeds that breaks a law or tells a cause wrongly, and what it did.
pub fn first_failure(many: u64, threads: usize) -> Option<(u64, Outcome)> {
    let (next, found) = (AtomicU64::new(0), Mutex::new(BTreeMap::new()));
    std::thread::scope(|scope| {
        for _ in 0..threads.max(1) {
            scope.spawn(|| {
                let _silent = tracing::subscriber::set_default(tracing::subscriber::NoSubscriber::new());
                // All before one that fails have been begun, and are played to their end.
                while found.lock().is_empty() {
                    let seed = next.fetch_add(1, Ordering::SeqCst);
                    if seed >= many {
                        return;
                    }
                    let outcome = play_whatever(&Story::of(seed));
                    if !outcome.violations.is_empty() || !outcome.wrong.is_empty() {
                        found.lock().insert(seed, outcome);
                    }
                }
            });
        }
    });
    found.into_inner().pop_first()
}

impl Report {
    fn add(&mut self, outcome: &Outcome) {
        self.seeds += 1;
        self.events += outcome.events;
        for (fault, times) in &outcome.faults {
            *self.faults.entry(*fault).or_default() += times;
        }
        self.causes += outcome.causes;
        self.violations += u64::from(!outcome.violations.is_empty());
    }

    fn merge(&mut self, other: &Self) {
        self.seeds += other.seeds;
        self.events += other.events;
        for (fault, times) in &other.faults {
            *self.faults.entry(*fault).or_default() += times;
        }
        self.causes += other.causes;
        self.violations += other.violations;
    }
}

/// The shortest story that fails like this one, for a person.
pub fn shortest(story: Story, outcome: Outcome) -> String {
    let _silent = tracing::subscriber::set_default(tracing::subscriber::NoSubscriber::new());
    let whole = story.steps.len();
    let (short, outcome) = shrink(story, outcome);
    let mut told = Vec::new();
    told.extend(outcome.violations.iter().map(|found| format!("  {found}")));
    told.extend(outcome.wrong.iter().map(|found| format!("  told wrongly: {found}")));
    told.push(format!("the shortest story that does ({} steps of {whole}):", short.steps.len()));
    for (number, system) in short.systems.iter().enumerate() {
        told.push(format!(
            "  SHOP{number} at {:?}: {:?}, {:?}",
            system.locations, system.mode, system.nature
        ));
    }
    told.extend(short.steps.iter().map(|step| format!("  {step}")));
    told.push("all that happened in it:".to_owned());
    told.extend(play(&short, true).told.into_iter().map(|line| format!("  {line}")));
    told.join("\n")
}
