//! Sending what differs.

use std::collections::{BTreeMap, HashSet};

use onhand_channels::{Budget, Push, Pushed, Reading};
use onhand_ledger::{Instant, Quantity};
use onhand_sync::{Allowance, Fall, Stop, may_call_at};

use super::{Acknowledged, Line, Worker, WorkerError};
use crate::figures::Outcome;
use crate::systems::Sent;

/// What is refused is tried again after this long, and ever longer, in seconds.
const RETRY_SECONDS: i64 = 30;
/// And at least this often, in seconds.
const RETRY_AT_LEAST: i64 = 3_600;

impl Worker {
    /// What differs and may be sent now, the most dangerous first: at most so many.
    pub(super) fn differences(&self, now: Instant, limit: usize) -> Vec<String> {
        if !self.may_send() {
            return Vec::new();
        }
        let is_due = |(key, line): &(&String, &Line)| self.may_go(key, line, now);
        let mut due: Vec<String> =
            self.lines.open().filter(is_due).take(limit).map(|(key, _)| key.clone()).collect();
        // In a batch of all of them also what is as it should be goes, once what differs has gone.
        if let Some(batch) = self.batch.as_ref().filter(|batch| batch.full && due.len() < limit) {
            let lines = batch.left.iter().filter_map(|key| Some((key, self.lines.get(key)?)));
            let same = lines.filter(|(_, line)| !line.differs()).filter(is_due);
            due.extend(same.take(limit - due.len()).map(|(key, _)| key.clone()));
        }
        due
    }

    /// May a line be sent now?
    fn may_go(&self, key: &str, line: &Line, now: Instant) -> bool {
        line.may_be_sent_at(now) && self.is_due(key, line, now)
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
            debug_assert!(self.lines.len() > 1_000 || self.lines.are_sorted(), "a line was not sorted anew");
            self.guard_zeros().await?;
            let now = self.now();
            if now < self.next_push || now < self.next_call {
                return Ok(());
            }
            let keys = self.differences(now, self.channel.batch_size());
            if keys.is_empty() {
                return Ok(());
            }
            let read_at = self.now();
            let before = self.before_push(&keys).await?;
            self.send(keys, before, read_at).await?;
            self.refresh().await?;
            if self.now() >= self.next_orders {
                return Ok(());
            }
        }
    }

    /// Calls no faster than the system says it may be called.
    pub(super) fn keep_to_budget(&mut self) {
        if let Some(Budget { remaining, refill_per_second, cost }) = self.channel.budget() {
            let allowance = Allowance { remaining, refill_per_second, cost };
            self.next_call = may_call_at(allowance, self.now());
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

    /// What all others show and go on showing, where a push replaces all there is.
    fn beside(&self, chosen: &[String]) -> Vec<(String, String, Quantity)> {
        if !self.channel.pushes_whole() {
            return Vec::new();
        }
        let chosen: HashSet<&String> = chosen.iter().collect();
        let others = self.lines.iter().filter(|(key, line)| !chosen.contains(key) && !line.is_skipped);
        let shows = |line: &Line| line.state.shows().unwrap_or_default();
        others
            .map(|(_, line)| (line.listing.remote_id.clone(), line.remote_location.clone(), shows(line)))
            .collect()
    }

    fn count(&self, outcome: Outcome, many: usize) {
        self.figures(|figures| *figures.pushes.entry(outcome).or_default() += many as u64);
    }

    fn count_results(&self, results: &[Pushed]) {
        for result in results {
            let outcome = match result {
                Pushed::Acknowledged => Outcome::Acknowledged,
                Pushed::Unknown { .. } => Outcome::Unanswered,
                Pushed::Stale { .. } => Outcome::Stale,
                Pushed::Refused { .. } => Outcome::Refused,
            };
            self.count(outcome, 1);
        }
    }

    async fn send(
        &mut self,
        keys: Vec<String>,
        mut before: BTreeMap<(String, String), Reading>,
        read_at: Instant,
    ) -> Result<(), WorkerError> {
        // The last step: what should they show now, at the newest entry there is.
        self.refresh().await?;
        let now = self.now();
        let still = |key: &String| self.lines.get(key).is_some_and(|line| self.may_go(key, line, now));
        let keys: Vec<String> =
            if self.may_send() { keys.into_iter().filter(still).collect() } else { Vec::new() };
        let reads_first = self.channel.reads_before_push();
        let compares = self.channel.compares();
        let mut chosen = Vec::new();
        let mut pushes = Vec::new();
        for key in keys {
            let Some(mut line) = self.lines.get_mut(&key) else { continue };
            let expected = line.state.shows().filter(|_| compares);
            if !line.state.may_arrive() {
                let heard_since = line.state.changes.iter().filter(|change| change.heard_at >= read_at);
                line.state.since_sent = heard_since.copied().collect();
            }
            // What is set aside after it was read comes off it.
            line.state.unanswered = Some((line.desired, if reads_first { read_at } else { now }));
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
            drop(line);
            chosen.push(key);
        }
        if pushes.is_empty() {
            return Ok(());
        }
        // A crash from here on leaves it known that these may have arrived.
        self.keep(&chosen).await?;
        let beside = self.beside(&chosen);
        let results = match self.channel.push_beside(&pushes, &beside).await {
            Ok(results) => {
                self.keep_to_budget();
                self.called = true;
                results
            }
            Err(error) => {
                // Nothing was taken, as far as the channel knows: it is read again to be sure.
                self.read_back.extend(chosen);
                self.next_read = self.now();
                self.count(Outcome::Failed, pushes.len());
                return Err(error.into());
            }
        };
        let at = self.now();
        let mut refused = Vec::new();
        let mut over = Vec::new();
        let mut told = Vec::new();
        let (mut any_lost, mut any_stale) = (false, false);
        self.count_results(&results);
        for ((key, push), result) in chosen.iter().zip(&pushes).zip(results) {
            let Some(mut line) = self.lines.get_mut(key) else { continue };
            let is_acknowledged = matches!(result, Pushed::Acknowledged);
            match result {
                Pushed::Acknowledged => {
                    line.state.acknowledge(push.quantity, at);
                    // What was set aside since the numbers were read came off what was sent, or did not.
                    line.state.changes.retain(|change| reads_first && change.heard_at >= read_at);
                    line.state.may_be_overwritten =
                        !(reads_first || compares) || !line.state.changes.is_empty();
                    line.state.unanswered = None;
                    line.state.pushed_since = true;
                    self.seen.remove(key);
                    told.append(&mut line.state.told_until_sent);
                    line.state.sent = line.state.sent.map(|sent| Sent { acknowledged_at: Some(at), ..sent });
                    let is_guarded = line.fall == Some(Fall::Guarded) && !line.state.zero_allowed;
                    if push.quantity.is_zero() && is_guarded {
                        self.zeros_sent.insert(key.clone(), at);
                    }
                    if let Some(batch) = &mut self.batch
                        && batch.left.remove(key)
                        && let Some(now) = self.asked.as_mut().filter(|_| batch.asked)
                    {
                        now.was_sent();
                    }
                    if line.state.stopped.is_some() {
                        over.push(key.clone());
                    }
                    if let Some(changed_at) = line.changed_at.take() {
                        if self.kept_back_at.is_none_or(|kept| kept < changed_at) {
                            self.status.push_lag.record((at.micros() - changed_at.micros()) / 1_000);
                        }
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
            if is_acknowledged {
                self.read_later.insert(key.clone());
            } else {
                self.read_back.insert(key.clone());
            }
        }
        self.lost_rounds = if any_lost { self.lost_rounds + 1 } else { 0 };
        if any_lost {
            self.next_push = self.next_push.max(at.plus_micros(125_000_i64 << self.lost_rounds.min(7)));
        }
        self.next_read = if any_stale { at } else { at.plus_micros(self.pace.read_back_ms * 1_000) };
        // That it would be set back once sending is resumed is over: it was.
        for discrepancy in told {
            self.resolve(discrepancy).await?;
        }
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
