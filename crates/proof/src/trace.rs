//! What `record.c` wrote down, read back.

use std::path::Path;

use anyhow::{Context as _, Result, bail};

/// The file that the workload writes its answers to; no part of the store.
pub const ANSWERS: &str = "answers";

/// A file of the directory, not a name: what is made anew under an old name is another.
pub type File = u32;

/// The directory itself.
pub const DIRECTORY: File = 0;

/// One thing that was done.
#[derive(Clone, Debug)]
pub enum Event {
    /// A file was made under a name.
    Created(File, String),
    /// Bytes were written from an offset on.
    Written(File, u64, Vec<u8>),
    /// A file was cut, or made longer by zeros.
    Truncated(File, u64),
    /// A sync began. What was done to the file before is durable once it has ended.
    SyncBegun(File, u64),
    /// It ended, and said that all was well.
    SyncEnded(File, u64),
    /// A name is gone.
    Unlinked(String),
}

/// All that was done in one directory, in order.
#[derive(Debug)]
pub struct Trace {
    /// What was done.
    pub events: Vec<Event>,
    /// The file that has the answers.
    pub answers: File,
}

impl Trace {
    /// Reads a trace. Fails where it is cut or of another format.
    pub fn read(path: &Path) -> Result<Self> {
        let bytes = std::fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
        let mut rest = bytes.as_slice();
        let mut events = Vec::new();
        let mut answers = None;
        while !rest.is_empty() {
            let event = event(&mut rest).with_context(|| format!("{} is cut", path.display()))??;
            if let Event::Created(file, name) = &event
                && name == ANSWERS
            {
                answers = Some(*file);
            }
            events.push(event);
        }
        Ok(Self { events, answers: answers.context("the workload wrote no answers")? })
    }

    /// The answers that had been given before an event, as lines.
    pub fn answered_before(&self, point: usize) -> Vec<u8> {
        let mut answered = Vec::new();
        for event in &self.events[..point] {
            if let Event::Written(file, _, bytes) = event
                && *file == self.answers
            {
                answered.extend_from_slice(bytes);
            }
        }
        answered
    }
}

fn take<const N: usize>(rest: &mut &[u8]) -> Option<[u8; N]> {
    let (head, tail) = rest.split_first_chunk()?;
    *rest = tail;
    Some(*head)
}

fn event(rest: &mut &[u8]) -> Option<Result<Event>> {
    let [kind] = take(rest)?;
    let file = u32::from_le_bytes(take(rest)?);
    let number = u64::from_le_bytes(take(rest)?);
    let length = usize::try_from(u32::from_le_bytes(take(rest)?)).ok()?;
    let (bytes, tail) = rest.split_at_checked(length)?;
    *rest = tail;
    let name = || String::from_utf8_lossy(bytes).into_owned();
    Some(Ok(match kind {
        1 => Event::Created(file, name()),
        2 => Event::Written(file, number, bytes.to_vec()),
        3 => Event::Truncated(file, number),
        4 => Event::SyncBegun(file, number),
        5 => Event::SyncEnded(file, number),
        6 => Event::Unlinked(name()),
        other => return Some((|| bail!("the trace has an event of kind {other}, which is none"))()),
    }))
}
