//! What must hold of the files after a loss.

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;

use anyhow::{Context as _, Result, bail, ensure};
use onhand_engine::{Ledger, ManualClock, Submission, verify};
use onhand_ledger::{Body, Command, Instant, Seq};

use crate::disk::{Disk, Lie};
use crate::random::Random;
use crate::trace::{Event, Trace};
use crate::workload::{Answered, DATABASE, NOTE, TENANT, open};

/// A trace, what was answered when, and the log as it was in the end.
pub struct Run {
    /// What was done.
    pub trace: Trace,
    /// What was answered, each with the event that wrote it down.
    answered: Vec<(usize, Answered)>,
    /// The chain's hash after each chunk's last entry.
    hashes: HashMap<Seq, [u8; 32]>,
    /// The first event after the database could be opened at all: before it there may be none.
    first_answer: usize,
}

/// How many answers are asked for again after a loss; the log is compared wholly.
const ASKED_AGAIN: usize = 24;

impl Run {
    /// Reads a trace, plays all of it, and takes its log for what the log must be.
    pub fn read(path: &Path) -> Result<Self> {
        let trace = Trace::read(path)?;
        let mut answered = Vec::new();
        for (index, event) in trace.events.iter().enumerate() {
            if let Event::Written(file, _, lines) = event
                && *file == trace.answers
            {
                for line in lines.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()) {
                    answered.push((index, serde_json::from_slice(line)?));
                }
            }
        }
        let folder = place()?;
        let mut disk = Disk::new(Lie::None);
        disk.play(&trace, trace.events.len());
        disk.keep(folder.path())?;
        let ledger = open(folder.path(), Arc::new(ManualClock::at(Instant::MIN)))?;
        let chunks = ledger.read(TENANT, |view| view.chunks_after(0, usize::MAX >> 1))?;
        let mut hashes: HashMap<Seq, [u8; 32]> =
            chunks.iter().map(|chunk| (chunk.first_seq + chunk.entries - 1, chunk.hash)).collect();
        hashes.insert(0, [0; 32]);
        let first_answer = answered.first().context("the workload was answered nothing")?.0;
        Ok(Self { trace, answered, hashes, first_answer })
    }

    /// How many answers the workload was given.
    pub fn answers(&self) -> usize {
        self.answered.len()
    }

    /// Opens what is left after a loss before an event, and compares it with what was answered by then.
    pub fn check(&self, point: usize, directory: &Path, random: &mut Random) -> Result<()> {
        let upto = self.answered.partition_point(|(at, _)| *at < point);
        let answered: Vec<&Answered> = self.answered[..upto].iter().map(|(_, answered)| answered).collect();
        if point <= self.first_answer && !directory.join(DATABASE).exists() {
            return Ok(());
        }
        ensure!(directory.join(DATABASE).exists(), "the database is gone");
        let clock = Arc::new(ManualClock::at(Instant::MIN));
        let ledger = open(directory, clock.clone()).context("it does not open")?;
        let (head, noted) = ledger.read(TENANT, |view| Ok((view.head()?, view.note(NOTE.0, NOTE.1)?)))?;
        let last = answered.iter().map(|answered| answered.seq).max().unwrap_or(0);
        ensure!(head.seq >= last, "entry {last} was acknowledged, the log ends at entry {}", head.seq);
        ensure!(
            self.hashes.get(&head.seq) == Some(&head.hash),
            "up to entry {} the log is another",
            head.seq
        );
        verified(&ledger)?;
        let noted = noted.map_or(Ok(0), |noted| noted.parse::<u64>())?;
        let number = answered.iter().filter_map(|answered| answered.noted).max().unwrap_or(0);
        ensure!(noted >= number, "note {number} was acknowledged, note {noted} is there");
        clock.set(head.recorded_at);
        ask_again(&ledger, &answered, random)?;
        if random.percent(12) && head.seq > 0 {
            go_on(&ledger)?;
        }
        Ok(())
    }
}

/// Where files are made and looked at: in memory, where the machine has such a place.
pub fn place() -> Result<tempfile::TempDir> {
    let memory = Path::new("/dev/shm");
    Ok(if memory.is_dir() { tempfile::tempdir_in(memory)? } else { tempfile::tempdir()? })
}

fn verified(ledger: &Ledger) -> Result<()> {
    match verify(ledger, TENANT, &mut |_| {})?.violation {
        Some(violation) => bail!("it does not verify: {violation}"),
        None => Ok(()),
    }
}

/// The same key gives the same answer: the newest ones, and some of the others.
fn ask_again(ledger: &Ledger, answered: &[&Answered], random: &mut Random) -> Result<()> {
    let keyed: Vec<&Answered> =
        answered.iter().copied().filter(|answered| answered.command.key.is_some()).collect();
    let newest = keyed.iter().rev().take(ASKED_AGAIN / 2).copied();
    let others =
        (0..if keyed.is_empty() { 0 } else { ASKED_AGAIN / 2 }).map(|_| keyed[random.index(keyed.len())]);
    let asked: Vec<&Answered> = newest.chain(others).collect();
    let submission = |answered: &&Answered| Submission {
        tenant: TENANT,
        command: Some(answered.command.clone()),
        notes: Vec::new(),
    };
    let answers = ledger.commit(asked.iter().map(submission).collect());
    for (before, now) in asked.into_iter().zip(answers) {
        let key = before.command.key.as_deref().unwrap_or_default();
        let now = now.with_context(|| format!("the key `{key}` is not answered again"))?;
        ensure!(
            now.replayed && now.answer == before.answer,
            "the key `{key}` was answered {:?}, and is answered {:?}",
            before.answer,
            now.answer
        );
    }
    Ok(())
}

/// After a loss work goes on.
fn go_on(ledger: &Ledger) -> Result<()> {
    let body: Body = serde_json::from_value(serde_json::json!({ "put_item": { "sku": "AFTER" } }))?;
    let command = Command::keyed(Some("after".to_owned()), "proof", body);
    let submission = Submission { tenant: TENANT, command: Some(command), notes: Vec::new() };
    for result in ledger.commit(vec![submission]) {
        result.context("nothing can be written after it")?;
    }
    verified(ledger).context("after one more command")
}
