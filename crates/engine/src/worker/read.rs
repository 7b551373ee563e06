//! Reading numbers back, and judging them.

use std::collections::{BTreeSet, HashMap};

use onhand_channels::Reading;
use onhand_ledger::model::Cause;
use onhand_ledger::{Instant, Quantity};
use onhand_sync::{
    Observation, OwnChange, Stop, Verdict, is_amount_open, judge, may_be_a_part, may_be_less_of,
};

use super::{Doubt, Found, PART, Times, Worker, WorkerError};
use crate::systems::{STALE_FOR, Sent};

/// How many times somebody may set a number back to what it was before we stop writing it.
const SECOND_MASTER: u32 = 3;
/// And how many times to others: so often no person would.
const CHANGED_AT_MOST: u32 = 6;
/// How often it may become another one before it is called one all the same.
const SUSPECTED_AT_MOST: u32 = 4;
/// What is read and is as it was is kept again after so long, in seconds: by then what is shown of it says when it was read.
pub(super) const KEPT_AGAIN: i64 = 600;
/// Since when everything was read is looked at again after so long where a part of it was not judged yet, in seconds.
const CONFIRMED_AGAIN: i64 = 5;
/// Left alone for so long, what a second master did before is over, in seconds.
const LEFT_ALONE: i64 = 300;
/// A write of ours whose answer was lost is looked for in what is read for so long, in seconds.
const MAY_ARRIVE: i64 = 600;

/// What was acknowledged, and what is read on schedule, waits for so long at most while there is something to send, in seconds.
const READ_AFTER: i64 = 60;
/// So long is read at most before it is looked what was sold, and what is to be sent, in microseconds.
const READ_FOR: i64 = 1_000_000;

/// A drift that is looked into. Nothing is sent meanwhile, so that what somebody did over there is not overwritten unseen.
#[derive(Clone, Copy)]
pub(super) struct Suspicion {
    drift: Quantity,
    /// By when it was seen first.
    since: Instant,
    /// How often it was another one by then.
    changed: u32,
}

impl Suspicion {
    const fn new(drift: Quantity, since: Instant) -> Self {
        Self { drift, since, changed: 0 }
    }

    /// Is it there still in a reading that began long enough after it had been seen?
    fn is_settled(&mut self, drift: Quantity, at: Instant, patience: i64, now: Instant) -> bool {
        if self.drift != drift && self.changed + 1 < SUSPECTED_AT_MOST {
            *self = Self { drift, since: now, changed: self.changed + 1 };
        }
        self.since.plus_micros(patience) <= at
    }
}

impl Worker {
    /// Does what need not be read now wait for what is to be sent? Reading as much as is sent, we would send half as much. It does not wait
    /// for ever: where there is always something to send, both take turns.
    pub(super) fn do_reads_wait(&mut self) -> bool {
        let now = self.now();
        if now < self.next_push || self.differences(now, 1).is_empty() {
            self.sends_since = None;
            return false;
        }
        self.sends_since.get_or_insert(now).plus_seconds(READ_AFTER) > now
    }

    /// Reads numbers back, of so many as are judged together and as can be read before something else is due, for judging once the orders
    /// are known. Says whether they may be judged: not where the system may not be called for a while.
    pub(super) async fn read(&mut self) -> Result<bool, WorkerError> {
        let keys: Vec<String> = std::iter::from_fn(|| self.read_back.pop_first()).take(PART).collect();
        for key in &keys {
            self.read_later.remove(key);
        }
        let until = self.now().plus_micros(READ_FOR);
        for (nth, part) in keys.chunks(self.channel.batch_size().max(1)).enumerate() {
            // What it allows is there for what we send first.
            let may_call = self.may_call();
            if !may_call || until <= self.now() {
                let left = keys.iter().skip(nth * self.channel.batch_size().max(1));
                self.read_back.extend(left.cloned());
                if !may_call {
                    self.next_read = self.next_call;
                }
                return Ok(may_call);
            }
            if let Err(error) = self.read_lines(part).await {
                self.read_back.extend(keys);
                return Err(error);
            }
            self.keep_to_budget();
            self.called = true;
            self.were_read(part).await?;
        }
        Ok(true)
    }

    /// Reads these lines' numbers. What is not tracked or not there any more stops; what is again goes on.
    pub(super) async fn read_lines(&mut self, keys: &[String]) -> Result<Vec<Reading>, WorkerError> {
        let at = self.now();
        let readings = if self.channel.shows_back() {
            self.channel.read(&self.listings_of(keys)).await?
        } else {
            self.as_told(keys)
        };
        if !self.system.mode.direction.sends() {
            // What cannot be asked tells by itself: see `see`.
            if self.channel.shows_back() {
                self.hear_numbers(keys, &readings, at).await?;
            }
            return Ok(readings);
        }
        let mut stops = Vec::new();
        let mut over = Vec::new();
        let place = |reading: &'_ Reading| (reading.listing.clone(), reading.location.clone());
        let read: HashMap<(String, String), &Reading> =
            readings.iter().map(|reading| (place(reading), reading)).collect();
        for key in keys {
            let Some(mut line) = self.lines.get_mut(key) else { continue };
            let here = (line.listing.remote_id.clone(), line.remote_location.clone());
            let reading = read.get(&here).copied();
            let why = match reading {
                // Its number is its own.
                _ if line.is_skipped => None,
                None => Some(Stop::Missing),
                Some(reading) if !reading.tracked => Some(Stop::Untracked),
                Some(_) => None,
            };
            // Where no stock is tracked the number means nothing, and is none that somebody set.
            if let Some(reading) = reading.filter(|reading| reading.tracked) {
                line.reading = Some(Observation { quantity: reading.quantity, at });
            } else {
                line.reading = None;
            }
            let stopped = line.state.stopped.as_ref().map(|stopped| stopped.why);
            match why {
                // What waits for a person goes on waiting.
                Some(_) if stopped.is_some_and(Stop::waits_for_person) => {}
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
        if !self.system.mode.direction.sends() {
            return self.take_heard().await;
        }
        self.tidy_untaken().await?;
        let Some(known_to) = self.status.orders_known_to else { return Ok(()) };
        let mut judged = Vec::new();
        let mut over = Vec::new();
        let (mut told, may_send) = (Vec::new(), self.may_send());
        let mut again = BTreeSet::new();
        let reads_first = self.channel.reads_before_push();
        let differences = self.channel.writes_differences();
        let now = self.now();
        let told_within = self.told_within();
        let clock_within = self.status.clock_within();
        for key in self.lines.read() {
            let Some(mut line) = self.lines.get_mut(&key) else { continue };
            let line = &mut *line;
            let Some(observation) = line.reading else { continue };
            let before = line.state.but_for_times();
            let state = &mut line.state;
            state.lost.retain(|(_, at)| at.plus_seconds(MAY_ARRIVE) >= observation.at);
            // A reading that began before a push did says nothing about it: read again.
            let is_sent_since =
                state.unanswered.is_some() && state.sent.is_some_and(|sent| sent.at >= observation.at);
            if is_sent_since || state.acknowledged_at.is_some_and(|at| at >= observation.at) {
                line.reading = None;
                again.insert(key.clone());
                continue;
            }
            let verdict = judge(observation, &state.known(known_to, told_within, clock_within));
            if verdict == Verdict::Wait {
                continue;
            }
            line.reading = None;
            if verdict == Verdict::Ambiguous {
                again.insert(key.clone());
                continue;
            }
            line.read_first = false;
            let heard_since = state.changes.iter().filter(|change| change.heard_at >= observation.at).count();
            // Nothing tells whether what was heard of since is in the first number that we see.
            if verdict == Verdict::First && heard_since > 0 {
                again.insert(key.clone());
                continue;
            }
            if let Some(now) = &mut self.asked {
                now.was_judged(&key);
            }
            let drift = match verdict {
                Verdict::Drift(drift) if !line.is_skipped => Some(drift),
                // What it changed since our books last followed it, they have not heard of.
                Verdict::First | Verdict::Explained { .. } if state.followed && !line.is_skipped => {
                    let counted = state.counted.map(|counted| observation.quantity - counted);
                    counted.filter(|drift| !drift.is_zero())
                }
                _ => None,
            };
            // An order may be on its way to us, or the reading be of a while ago. Seen as long as that takes, nothing
            // explains it. Of a number that is left to the system nobody is told: it must be no reading of a while ago.
            let doubted = match verdict {
                Verdict::ToldLate { otherwise, .. } => Some((otherwise, STALE_FOR)),
                Verdict::ArrivedLate { quantity, .. } => Some((quantity, STALE_FOR)),
                Verdict::Drift(drift) if line.is_skipped => Some((drift, STALE_FOR)),
                _ => drift.map(|drift| (drift, told_within.max(STALE_FOR))),
            };
            let is_new = line.suspected.is_none();
            if let Some((otherwise, patience)) = doubted
                && !line.suspected.get_or_insert_with(|| Suspicion::new(otherwise, now)).is_settled(
                    otherwise,
                    observation.at,
                    patience,
                    now,
                )
            {
                again.insert(key.clone());
                // It is told under a name that is made of what it was changed from, and when: that is kept before.
                let seen = state.suspected.filter(|(seen, _)| *seen == observation.quantity);
                if is_new || seen.is_none() {
                    state.suspected = Some(seen.unwrap_or((observation.quantity, observation.at)));
                    judged.push(key.clone());
                }
                continue;
            }
            let first_seen = state.suspected.map(|(_, at)| at);
            (line.suspected, state.suspected) = (None, None);
            let of_another = std::mem::take(&mut state.of_another);
            state.followed &= line.is_skipped;
            state.counted = state.counted.filter(|_| state.followed);
            // What is sent there comes out as less, by what was set aside since it was computed, or a part of that.
            let is_less_of = |sent: &mut dyn Iterator<Item = Quantity>, since: &[OwnChange]| {
                reads_first && may_be_less_of(observation.quantity, sent, since)
            };
            let is_pushed = state.sent.is_some_and(|sent| sent.acknowledged_at == state.acknowledged_at);
            let drift = drift
                .filter(|_| !(is_pushed && is_less_of(&mut state.acknowledged.into_iter(), &state.changes)));
            let doubt = drift.and_then(|drift| {
                let sent = state.lost.iter().chain(&state.unanswered).map(|(quantity, _)| *quantity);
                if (differences && state.may_arrive()) || is_less_of(&mut { sent }, &state.since_sent) {
                    Some(Doubt::LateWrite)
                } else {
                    let known = state.known(known_to, told_within, clock_within);
                    let is_part = may_be_a_part(drift, &known).then_some(Doubt::PartOfOrder);
                    is_part.or_else(|| is_amount_open(&known).then_some(Doubt::Amount))
                }
            });
            let later = match verdict {
                Verdict::Explained { later }
                | Verdict::ToldLate { later, .. }
                | Verdict::Arrived { later, .. }
                | Verdict::ArrivedLate { later, .. }
                | Verdict::Lost { later } => later,
                // What was heard of since the reading began may come on top.
                _ => heard_since,
            };
            let base = state.acknowledged_at.or(first_seen);
            state.observed = Some((observation.quantity, observation.at));
            state.acknowledge(observation.quantity, observation.at);
            if verdict == Verdict::First {
                line.known_since = Some(now);
                // As a reading of a while ago, it may be without what we heard of since then.
                let may_be_older = observation.at.plus_micros(-STALE_FOR);
                state.changes.retain(|change| change.heard_at >= may_be_older);
                state.may_be_overwritten = !state.changes.is_empty();
            } else {
                state.changes = state.changes.split_off(state.changes.len() - later);
                state.may_be_overwritten = false;
            }
            if !state.changes.is_empty() {
                again.insert(key.clone());
            }
            if matches!(verdict, Verdict::Arrived { .. }) {
                state.sent = state.sent.map(|sent| Sent {
                    acknowledged_at: Some(observation.at),
                    by_reading: true,
                    ..sent
                });
            }
            // What was sent and is not what is seen, or would be seen without it, may arrive yet.
            let sent = state.unanswered.take().map(|(quantity, _)| (quantity, observation.at));
            if !matches!(verdict, Verdict::Arrived { is_certain: true, .. }) {
                state.lost.extend(sent);
            }
            if !state.may_arrive() {
                state.since_sent.clear();
            }
            if let Some(drift) = drift {
                let from = observation.quantity - drift;
                let before = state.drift.replace((from, observation.quantity, observation.at));
                state.doubt = doubt;
                let is_same = before.is_some_and(|(_, to, _)| to == observation.quantity);
                // Only what comes after a push of ours answers it.
                if state.pushed_since {
                    state.drifts += 1;
                    state.same_drifts = if is_same { state.same_drifts + 1 } else { 1 };
                }
                (state.drifts, state.same_drifts) = (state.drifts.max(1), state.same_drifts.max(1));
                state.pushed_since = false;
                line.changed_at.get_or_insert(observation.at);
                let (to, at) = (observation.quantity, observation.at);
                let times = Times { all: state.drifts, same: state.same_drifts };
                // A second master has been told of.
                if state.stopped.as_ref().is_none_or(|stopped| stopped.why != Stop::SecondMaster) {
                    let key = key.clone();
                    self.untold.push_back(Found { key, from, to, at, times, doubt, of_another, base });
                }
            } else if state.drift.is_some_and(|(_, _, at)| at.plus_seconds(LEFT_ALONE) < observation.at) {
                (state.drift, state.doubt) = (None, None);
                state.told.clear();
                (state.drifts, state.same_drifts) = (0, 0);
            }
            // It is as it should be again, by whomever.
            if may_send && drift.is_none() && observation.quantity == line.desired {
                told.append(&mut state.told_until_sent);
            }
            // What was refused may be over: it shows what it should.
            if state
                .stopped
                .as_ref()
                .is_some_and(|stopped| matches!(stopped.why, Stop::Refused | Stop::Asked))
                && (line.is_skipped || observation.quantity == line.desired)
                && drift.is_none()
            {
                over.push(key.clone());
            }
            // What is as it was is kept now and then only: of a million listings that is most of the work.
            let is_news = before != line.state.but_for_times();
            if is_news || line.kept_at.plus_seconds(KEPT_AGAIN) <= now {
                judged.push(key.clone());
            }
        }
        if !again.is_empty() {
            let soon = self.now().plus_micros(self.pace.read_back_ms * 1_000);
            self.next_read = if self.read_back.is_empty() { soon } else { self.next_read.min(soon) };
            self.read_back.extend(again);
        }
        self.forget_seen();
        self.tell().await?;
        for discrepancy in told {
            self.resolve(discrepancy).await?;
        }
        self.keep(&judged).await?;
        self.confirm(now);
        for key in over {
            self.resume(&key).await?;
        }
        Ok(())
    }

    /// Since when everything was read, once it was.
    pub(super) fn confirm(&mut self, now: Instant) {
        let Some(due) = self.confirm_at.filter(|due| *due <= now) else { return };
        self.status.confirmed_at = self.status.confirmed_at.max(self.lines.read_since());
        // What was not judged yet will be in a moment.
        let is_left = !self.lines.read().is_empty() || !self.read_back.is_empty();
        self.confirm_at = is_left.then(|| due.max(now).plus_seconds(CONFIRMED_AGAIN));
    }

    /// Tells a person of changes that nothing explains. Where another program keeps making them, we stop.
    async fn tell(&mut self) -> Result<(), WorkerError> {
        while let Some(found) = self.untold.front().cloned() {
            self.tell_of(found).await?;
            self.untold.pop_front();
        }
        Ok(())
    }

    /// A change over there was found, and said to be that.
    pub(super) fn found(&self, cause: Cause) {
        self.figures(|figures| *figures.drift.entry(cause).or_default() += 1);
    }

    async fn tell_of(&mut self, found: Found) -> Result<(), WorkerError> {
        let Found { key, from, to, times, .. } = found.clone();
        let Some(line) = self.lines.get(&key) else { return Ok(()) };
        let name = &self.system.name;
        let shown = line.listing.remote_sku.as_ref().unwrap_or(&line.listing.remote_id);
        let is_set_back = times.same >= SECOND_MASTER;
        if is_set_back || times.all >= CHANGED_AT_MOST {
            self.found(Cause::SecondMaster);
            let shows = if is_set_back {
                format!("{to} again ({} times)", times.same)
            } else {
                format!("another number, {to} the last time ({} times)", times.all)
            };
            let reason = format!(
                "whatever we send for {shown}, {from} the last time, {name} shows {shows}; another program writes this number. \
                 Stop it there, then resolve this"
            );
            // What was told of each time is told by this.
            let told = self.lines.get_mut(&key).map(|mut line| std::mem::take(&mut line.state.told));
            for discrepancy in told.unwrap_or_default() {
                self.resolve(discrepancy).await?;
            }
            return self.stop(&key, Stop::SecondMaster, reason, None).await;
        }
        self.react(found).await
    }
}
