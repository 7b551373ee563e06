//! Reading numbers back, and judging them.

use std::collections::BTreeSet;

use onhand_channels::Reading;
use onhand_ledger::model::Cause;
use onhand_sync::{Observation, Stop, Verdict, judge};

use super::{Found, SUSPECTED_AT_MOST, Worker, WorkerError};
use crate::systems::Sent;

/// How many times somebody may set a number back before we stop writing it.
const SECOND_MASTER: u32 = 3;
/// Left alone for so long, what a second master did before is over, in seconds.
const LEFT_ALONE: i64 = 300;
/// A write of ours whose answer was lost is looked for in what is read for so long, in seconds.
const MAY_ARRIVE: i64 = 600;

impl Worker {
    /// Reads numbers back, for judging once the orders are known.
    pub(super) async fn read(&mut self) -> Result<(), WorkerError> {
        let keys: Vec<String> = std::mem::take(&mut self.read_back).into_iter().collect();
        for part in keys.chunks(self.channel.batch_size().max(1)) {
            if let Err(error) = self.read_lines(part).await {
                self.read_back.extend(keys);
                return Err(error);
            }
        }
        Ok(())
    }

    /// Reads these lines' numbers. What is not tracked or not there any more stops; what is again goes on.
    pub(super) async fn read_lines(&mut self, keys: &[String]) -> Result<Vec<Reading>, WorkerError> {
        let at = self.now();
        let readings = self.channel.read(&self.listings_of(keys)).await?;
        let mut stops = Vec::new();
        let mut over = Vec::new();
        for key in keys {
            let Some(line) = self.lines.get_mut(key) else { continue };
            let reading = readings.iter().find(|reading| {
                reading.listing == line.listing.remote_id && reading.location == line.remote_location
            });
            let why = match reading {
                // Its number is its own.
                _ if line.is_skipped => None,
                None => Some(Stop::Missing),
                Some(reading) if !reading.tracked => Some(Stop::Untracked),
                Some(_) => None,
            };
            if let Some(reading) = reading {
                line.reading = Some(Observation { quantity: reading.quantity, at });
            }
            let stopped = line.state.stopped.as_ref().map(|stopped| stopped.why);
            match why {
                // What waits for a person goes on waiting.
                Some(_) if matches!(stopped, Some(Stop::SecondMaster | Stop::Untaken)) => {}
                Some(why) if stopped != Some(why) => stops.push((key.clone(), why)),
                None if matches!(stopped, Some(Stop::Missing | Stop::Untracked)) => over.push(key.clone()),
                _ => {}
            }
        }
        for (key, why) in stops {
            self.stop(&key, why, String::new(), None).await?;
        }
        for key in over {
            self.resume(&key).await?;
        }
        Ok(readings)
    }

    /// Judges what was read, as far as the orders are known.
    pub(super) async fn judge(&mut self) -> Result<(), WorkerError> {
        let Some(known_to) = self.status.orders_known_to else { return Ok(()) };
        let mut judged = Vec::new();
        let mut over = Vec::new();
        let mut again = BTreeSet::new();
        for (key, line) in &mut self.lines {
            let Some(observation) = line.reading else { continue };
            let state = &mut line.state;
            if state.lost.is_some_and(|(_, at)| at.plus_seconds(MAY_ARRIVE) < observation.at) {
                state.lost = None;
            }
            // A push that began after the reading began says nothing about it: read again.
            if state.acknowledged_at.is_some_and(|at| at >= observation.at) {
                line.reading = None;
                again.insert(key.clone());
                continue;
            }
            let verdict = judge(observation, &state.known(known_to));
            if verdict == Verdict::Wait {
                continue;
            }
            line.reading = None;
            line.read_first = false;
            let heard_since = state.changes.iter().filter(|change| change.heard_at >= observation.at).count();
            // Nothing tells whether what was heard of since is in the first number that we see.
            if verdict == Verdict::First && heard_since > 0 {
                again.insert(key.clone());
                continue;
            }
            let drift = match verdict {
                Verdict::Drift(drift) if !line.is_skipped => Some(drift),
                _ => None,
            };
            // Seen once, an order may be on its way to us. Seen twice, nothing explains it.
            let times = line.suspected.map_or(0, |(_, times)| times) + 1;
            let is_new = drift.is_some_and(|drift| {
                line.suspected.is_none_or(|(before, _)| before != drift) && times < SUSPECTED_AT_MOST
            });
            if is_new {
                line.suspected = drift.map(|drift| (drift, times));
                again.insert(key.clone());
                continue;
            }
            line.suspected = None;
            let later = match verdict {
                Verdict::Explained { later } | Verdict::Arrived { later } | Verdict::Lost { later } => later,
                // What was heard of since the reading began may come on top.
                _ => heard_since,
            };
            state.observed = Some((observation.quantity, observation.at));
            state.acknowledged = Some(observation.quantity);
            state.acknowledged_at = Some(observation.at);
            state.may_be_overwritten = false;
            state.changes = state.changes.split_off(state.changes.len() - later);
            if later > 0 {
                again.insert(key.clone());
            }
            match verdict {
                Verdict::Lost { .. } => {
                    state.lost = state.unanswered.take().map(|(quantity, _)| (quantity, observation.at));
                }
                Verdict::Arrived { .. } => {
                    state.lost = None;
                    state.unanswered = None;
                    state.sent = state.sent.map(|sent| Sent {
                        acknowledged_at: Some(observation.at),
                        by_reading: true,
                        ..sent
                    });
                }
                _ => state.unanswered = None,
            }
            if let Some(drift) = drift {
                let from = observation.quantity - drift;
                state.drift = Some((from, observation.quantity, observation.at));
                // Only what comes after a push of ours answers it.
                state.drifts = if state.pushed_since { state.drifts + 1 } else { state.drifts.max(1) };
                state.pushed_since = false;
                line.changed_at.get_or_insert(observation.at);
                let (to, at, times) = (observation.quantity, observation.at, state.drifts);
                // A second master has been told of.
                if state.stopped.as_ref().is_none_or(|stopped| stopped.why != Stop::SecondMaster) {
                    self.untold.push_back(Found { key: key.clone(), from, to, at, times });
                }
            } else if state.drift.is_some_and(|(_, _, at)| at.plus_seconds(LEFT_ALONE) < observation.at) {
                state.drift = None;
                state.drifts = 0;
            }
            // What was refused may be over: it shows what it should.
            if state.stopped.as_ref().is_some_and(|stopped| stopped.why == Stop::Refused)
                && (line.is_skipped || observation.quantity == line.desired)
                && drift.is_none()
            {
                over.push(key.clone());
            }
            judged.push(key.clone());
        }
        if !again.is_empty() {
            let soon = self.now().plus_micros(self.pace.read_back_ms * 1_000);
            self.next_read = if self.read_back.is_empty() { soon } else { self.next_read.min(soon) };
            self.read_back.extend(again);
        }
        self.tell().await?;
        self.keep(&judged).await?;
        for key in over {
            self.resume(&key).await?;
        }
        Ok(())
    }

    /// Tells a person of changes that nothing explains. Where another program keeps making them, we stop.
    async fn tell(&mut self) -> Result<(), WorkerError> {
        while let Some(found) = self.untold.front().cloned() {
            self.tell_of(found).await?;
            self.untold.pop_front();
        }
        Ok(())
    }

    async fn tell_of(&mut self, found: Found) -> Result<(), WorkerError> {
        let Found { key, from, to, at, times } = found;
        let Some(line) = self.lines.get(&key) else { return Ok(()) };
        let listing = line.listing.clone();
        let name = self.system.name.clone();
        let shown = listing.remote_sku.clone().unwrap_or_else(|| listing.remote_id.clone());
        if times >= SECOND_MASTER {
            let reason = format!(
                "each time we send {from} for {shown}, {name} shows {to} again ({times} times); another program \
                 writes this number. Stop it there, then resolve this"
            );
            return self.stop(&key, Stop::SecondMaster, reason, None).await;
        }
        let sentence = format!(
            "Somebody changed {shown} in {name} before {at}, from {from} to {to}; no sale, return or push of \
             ours explains it. It is set to what it should be{}.",
            if self.system.is_sent_to() { "" } else { " once sending is resumed" }
        );
        self.note(Cause::ManualEdit, &listing, to - from, sentence).await?;
        Ok(())
    }
}
