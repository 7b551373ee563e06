//! Sending what differs.

use std::collections::BTreeMap;

use onhand_channels::{Budget, Push, Pushed, Reading};
use onhand_ledger::Instant;
use onhand_sync::{Allowance, Difference, Stop, danger_first, may_call_at};

use super::{Acknowledged, Worker, WorkerError};
use crate::systems::Sent;

/// What is refused is tried again after this long, and ever longer, in seconds.
const RETRY_SECONDS: i64 = 30;
/// And at least this often, in seconds.
const RETRY_AT_LEAST: i64 = 3_600;

impl Worker {
    /// What differs and may be sent now.
    pub(super) fn differences(&self, now: Instant) -> Vec<Difference<String>> {
        if !self.system.is_sent_to() || self.pushing_stopped || !self.system.mode.direction.sends() {
            return Vec::new();
        }
        let open = self.lines.iter().filter(|(_, line)| {
            let state = &line.state;
            let stopped = state.stopped.as_ref();
            let falls = state.shows().is_some_and(|shows| line.desired < shows);
            let may_retry = stopped.is_none_or(|stopped| {
                let is_another = stopped.number.is_some_and(|refused| refused != line.desired);
                stopped.retry_at.is_some_and(|at| at <= now || (falls && is_another))
            });
            // What was never read, or may be on its way, is read first; what nothing explains is looked into first.
            !line.is_skipped
                && state.acknowledged.is_some()
                && state.unanswered.is_none()
                && may_retry
                && line.suspected.is_none()
                && !line.read_first
        });
        open.filter(|(key, line)| self.is_due(key, line, now))
            .map(|(key, line)| Difference {
                key: key.clone(),
                shows: line.state.shows(),
                desired: line.desired,
            })
            .collect()
    }

    /// Sends what differs, the most dangerous first, until nothing does, the system says no, or orders are due: what
    /// changes faster than it can be sent must not keep us from hearing what is sold over there.
    pub(super) async fn push(&mut self) -> Result<(), WorkerError> {
        self.begin_batch().await?;
        self.send_all().await?;
        self.end_batch().await
    }

    async fn send_all(&mut self) -> Result<(), WorkerError> {
        loop {
            let now = self.now();
            if now < self.next_push {
                return Ok(());
            }
            let mut differences = self.differences(now);
            if differences.is_empty() {
                return Ok(());
            }
            danger_first(&mut differences);
            differences.truncate(self.channel.batch_size());
            let keys: Vec<String> = differences.into_iter().map(|difference| difference.key).collect();
            let before = self.before_push(&keys).await?;
            self.send(keys, before).await?;
            self.refresh().await?;
            if self.now() >= self.next_orders {
                return Ok(());
            }
        }
    }

    /// Sends no faster than the system says it may be called.
    fn keep_to_budget(&mut self) {
        if let Some(Budget { remaining, refill_per_second, cost }) = self.channel.budget() {
            let allowance = Allowance { remaining, refill_per_second, cost };
            self.next_push = self.next_push.max(may_call_at(allowance, self.now()));
        }
    }

    /// The numbers just before a push, and all orders up to then, where the channel needs them. What nothing explains
    /// is suspected by then, and not sent.
    async fn before_push(
        &mut self,
        keys: &[String],
    ) -> Result<BTreeMap<(String, String), Reading>, WorkerError> {
        if !self.channel.reads_before_push() {
            return Ok(BTreeMap::new());
        }
        let readings = self.read_lines(keys).await?;
        self.orders().await?;
        self.judge().await?;
        let place = |reading: Reading| ((reading.listing.clone(), reading.location.clone()), reading);
        Ok(readings.into_iter().map(place).collect())
    }

    async fn send(
        &mut self,
        keys: Vec<String>,
        mut before: BTreeMap<(String, String), Reading>,
    ) -> Result<(), WorkerError> {
        // The last step: what should they show now, at the newest entry there is.
        self.refresh().await?;
        let now = self.now();
        let still: std::collections::BTreeSet<String> =
            self.differences(now).into_iter().map(|difference| difference.key).collect();
        let reads_first = self.channel.reads_before_push();
        let compares = self.channel.compares();
        let mut chosen = Vec::new();
        let mut pushes = Vec::new();
        for key in keys.into_iter().filter(|key| still.contains(key)) {
            let Some(line) = self.lines.get_mut(&key) else { continue };
            let expected = line.state.shows().filter(|_| compares);
            line.state.unanswered = Some((line.desired, now));
            line.state.sent = Some(Sent {
                quantity: line.desired,
                at: now,
                seq: self.seq,
                acknowledged_at: None,
                by_reading: false,
            });
            pushes.push(Push {
                listing: line.listing.remote_id.clone(),
                location: line.remote_location.clone(),
                quantity: line.desired,
                seq: self.seq,
                before: before.remove(&(line.listing.remote_id.clone(), line.remote_location.clone())),
                expected,
            });
            chosen.push(key);
        }
        if pushes.is_empty() {
            return Ok(());
        }
        // A crash from here on leaves it known that these may have arrived.
        self.keep(&chosen).await?;
        let results = match self.channel.push(&pushes).await {
            Ok(results) => {
                self.keep_to_budget();
                results
            }
            Err(error) => {
                // Nothing was taken, as far as the channel knows: it is read again to be sure.
                self.read_back.extend(chosen);
                self.next_read = self.now();
                return Err(error.into());
            }
        };
        let at = self.now();
        let mut refused = Vec::new();
        let mut over = Vec::new();
        let (mut any_lost, mut any_stale) = (false, false);
        for ((key, push), result) in chosen.iter().zip(&pushes).zip(results) {
            let Some(line) = self.lines.get_mut(key) else { continue };
            match result {
                Pushed::Acknowledged => {
                    line.state.acknowledged = Some(push.quantity);
                    line.state.acknowledged_at = Some(at);
                    line.state.may_be_overwritten = !(reads_first || compares);
                    line.state.changes.clear();
                    line.state.unanswered = None;
                    line.state.lost = None;
                    line.state.pushed_since = true;
                    line.state.sent = line.state.sent.map(|sent| Sent { acknowledged_at: Some(at), ..sent });
                    if let Some(batch) = &mut self.batch {
                        batch.left.remove(key);
                    }
                    if line.state.stopped.is_some() {
                        over.push(key.clone());
                    }
                    if let Some(changed_at) = line.changed_at.take() {
                        self.status.push_lag.record((at.micros() - changed_at.micros()) / 1_000);
                        self.acknowledged.push(Acknowledged { seq: push.seq, changed_at, at });
                    }
                }
                Pushed::Unknown { reason } => {
                    any_lost = true;
                    tracing::info!(
                        system = self.system.name,
                        listing = push.listing,
                        reason,
                        "an answer was lost"
                    );
                }
                Pushed::Stale { shows } => {
                    line.state.unanswered = None;
                    line.read_first = true;
                    any_stale = true;
                    tracing::debug!(system = self.system.name, listing = push.listing, %shows, "another number");
                }
                Pushed::Refused { reason } => {
                    line.state.unanswered = None;
                    let times = line.state.stopped.as_ref().map_or(0, |stopped| stopped.times);
                    let wait = (RETRY_SECONDS << times.min(7)).min(RETRY_AT_LEAST);
                    refused.push((key.clone(), reason, at.plus_seconds(wait), push.quantity));
                }
            }
            self.read_back.insert(key.clone());
        }
        self.lost_rounds = if any_lost { self.lost_rounds + 1 } else { 0 };
        if any_lost {
            self.next_push = self.next_push.max(at.plus_micros(125_000_i64 << self.lost_rounds.min(7)));
        }
        self.next_read = if any_stale { at } else { at.plus_micros(self.pace.read_back_ms * 1_000) };
        self.keep(&chosen).await?;
        for key in over {
            self.resume(&key).await?;
        }
        for (key, reason, retry_at, number) in refused {
            self.stop(&key, Stop::Refused, reason, Some((retry_at, number))).await?;
        }
        Ok(())
    }
}
