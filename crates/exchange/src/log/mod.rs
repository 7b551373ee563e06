//! The log for other tools: a line of JSON for each record, or a row of Parquet for each entry.
//!
//! It is read in slices, between which the ledger goes on, and ends where the log ended when it began. Neither memory nor
//! the committer's wait grows with it.

mod json;
mod parquet;
mod rows;

use onhand_engine::View;
use onhand_ledger::{Record, Seq};
use onhand_store::{StoreError, decode_records};

pub use json::{LogLine, write_head, write_line};
pub use parquet::{COLUMNS, LogTable, TableError};
pub use rows::{LogRow, Names, Side};

/// How many chunks of the log are read while the committer waits: some 1,000 entries.
const SLICE: usize = 16;

/// A part of the log on its way out.
#[derive(Debug)]
pub struct LogReader {
    after: Seq,
    to: Seq,
    head: Option<(Seq, [u8; 32])>,
}

impl LogReader {
    /// The log from one entry to another, both included; from the first, and to the last there is now, unless told.
    pub fn begin(view: &mut View<'_>, from: Option<Seq>, to: Option<Seq>) -> Result<Self, StoreError> {
        let head = view.head()?;
        let to_now = to.is_none_or(|to| to >= head.seq);
        let after = from.unwrap_or(1).saturating_sub(1);
        let to = to.unwrap_or(head.seq).min(head.seq);
        Ok(Self { after, to, head: to_now.then_some((head.seq, head.hash)) })
    }

    /// Is there nothing more to come?
    pub const fn is_done(&self) -> bool {
        self.after >= self.to
    }

    /// Where the log ended when this began, and the chain's hash there, so that a cut tail is found; none where less of it
    /// was asked for.
    pub const fn head(&self) -> Option<(Seq, [u8; 32])> {
        self.head
    }

    /// Is an entry one of those asked for?
    pub const fn has(&self, seq: Seq) -> bool {
        seq <= self.to
    }

    /// The next records, each with its first entry. Of the first and the last some entries may be outside of what was
    /// asked for.
    pub fn next(&mut self, view: &mut View<'_>) -> Result<Vec<(Seq, Record)>, StoreError> {
        let mut records = Vec::new();
        if self.is_done() {
            return Ok(records);
        }
        let chunks = view.chunks_after(self.after, SLICE)?;
        if chunks.is_empty() {
            let next = self.after + 1;
            return Err(StoreError::Damaged(format!("entry {next} is missing from the log")));
        }
        for chunk in &chunks {
            for (first, record) in decode_records(chunk)? {
                let last = first + record.entries.len() as Seq - 1;
                if last > self.after && first <= self.to {
                    records.push((first, record));
                }
            }
        }
        self.after = chunks.last().map_or(self.after, |chunk| chunk.first_seq + chunk.entries - 1);
        Ok(records)
    }
}
