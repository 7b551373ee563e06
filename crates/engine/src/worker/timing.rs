//! When what differs may go: near real-time, or in batches by a schedule.
//!
//! A batch is the listings that differed (or all) when its time came. It is over once each of them was acknowledged, is as it
//! should be, waits for a person or is left to its system; what changes meanwhile goes with the next one. After a crash it begins again.

use std::collections::BTreeSet;

use onhand_ledger::Instant;
use onhand_ledger::model::Timing;
use onhand_sync::{Difference, may_go_at};

use super::{Line, Worker, WorkerError};

/// A batch on its way.
pub(super) struct Batch {
    pub began_at: Instant,
    /// Those of it that are not acknowledged yet.
    pub left: BTreeSet<String>,
    /// Of all listings, also those that are as they should be.
    pub full: bool,
    /// A person asked for it: it is none of the schedule's.
    pub asked: bool,
}

impl Worker {
    fn may_go_at(&self, key: &str, line: &Line) -> Option<Instant> {
        let difference = Difference { key, shows: line.state.shows(), desired: line.desired };
        may_go_at(&self.system.mode.timing, &difference, line.changed_at)
    }

    /// Does a listing's number go now?
    pub(super) fn is_due(&self, key: &str, line: &Line, now: Instant) -> bool {
        let with_batch = self.batch.as_ref().is_some_and(|batch| {
            batch.left.contains(key) && !line.is_skipped && (batch.full || line.differs())
        });
        with_batch || (line.differs() && self.may_go_at(key, line).is_some_and(|at| at <= now))
    }

    /// When something goes next by itself.
    pub(super) fn next_due(&self, now: Instant) -> Option<Instant> {
        if !self.system.mode.direction.sends() {
            return None;
        }
        match &self.system.mode.timing {
            Timing::Batch(_) if self.batch.is_some() => None,
            Timing::Batch(schedule) => Some(self.status.next_batch(schedule, now)),
            Timing::NearRealTime { debounce_ms: 0 } => None,
            Timing::NearRealTime { .. } => {
                let differing = self.lines.open();
                differing.filter_map(|(key, line)| self.may_go_at(key, line)).filter(|at| *at > now).min()
            }
        }
    }

    /// Begins a batch whose time has come.
    pub(super) async fn begin_batch(&mut self) -> Result<(), WorkerError> {
        if self.batch.as_ref().is_some_and(|batch| batch.asked) {
            return Ok(());
        }
        let Timing::Batch(schedule) = &self.system.mode.timing else {
            self.batch = None;
            self.status.batched_by = None;
            if self.status.batched_at.take().is_some() {
                self.keep_status().await?;
            }
            return Ok(());
        };
        let now = self.now();
        let full = schedule.full;
        if self.batch.is_some() {
            return Ok(());
        }
        // What was missed of another schedule is not sent by this one.
        if self.status.batched_at.is_none() || !self.status.is_batched_by(schedule) {
            (self.status.batched_at, self.status.batched_by) = (Some(now), Some(schedule.clone()));
            return self.keep_status().await;
        }
        if self.status.batched_by.is_none() {
            self.status.batched_by = Some(schedule.clone());
        }
        if self.status.next_batch(schedule, now) > now {
            return Ok(());
        }
        let of_it = self.lines.iter().filter(|(_, line)| full || line.differs());
        let left = of_it.map(|(key, _)| key.clone()).collect();
        self.batch = Some(Batch { began_at: now, left, full, asked: false });
        Ok(())
    }

    /// Ends the batch once nothing of it can go by itself.
    pub(super) async fn end_batch(&mut self) -> Result<(), WorkerError> {
        let Some(batch) = &mut self.batch else { return Ok(()) };
        let lines = &self.lines;
        batch.left.retain(|key| {
            lines.get(key).is_some_and(|line| {
                let may_go = line.state.stopped.is_none() && !line.is_skipped;
                let is_suspected = line.suspected.is_some();
                may_go && (batch.full || is_suspected || line.differs() || line.state.unanswered.is_some())
            })
        });
        if batch.left.is_empty() && !batch.asked {
            self.status.batched_at = Some(batch.began_at);
            self.batch = None;
            self.keep_status().await?;
        }
        Ok(())
    }
}
