//! Why nothing is sent for a listing, told to a person once, until it ends.

use std::collections::BTreeMap;

use onhand_ledger::command::{Note as NoteCommand, Resolve};
use onhand_ledger::model::{Cause, Choice, Listing};
use onhand_ledger::{Answer, Body, Command, DiscrepancyId, Instant, Quantity};
use onhand_sync::Stop;

use super::{Worker, WorkerError};
use crate::systems::Stopped;

impl Worker {
    /// What stopped these listings was seen to by a person: they are sent again, unless the answer is another.
    pub(super) async fn let_go(
        &mut self,
        seen_to: &BTreeMap<DiscrepancyId, Option<Choice>>,
    ) -> Result<(), WorkerError> {
        let now = self.now();
        let (mut changed, mut adopted) = (Vec::new(), Vec::new());
        if seen_to.is_empty() {
            return Ok(());
        }
        let stopped = self.lines.iter().filter(|(_, line)| line.state.stopped.is_some());
        let stopped: Vec<String> = stopped.map(|(key, _)| key.clone()).collect();
        for key in &stopped {
            let Some(mut line) = self.lines.get_mut(key) else { continue };
            let state = &mut line.state;
            let Some(stopped) = &mut state.stopped else { continue };
            let Some(about) = stopped.discrepancy else { continue };
            let Some(chosen) = seen_to.get(&about) else { continue };
            match (stopped.why, chosen) {
                (Stop::Held, Some(Choice::Reject)) => {
                    state.zero_rejected = true;
                    stopped.discrepancy = None;
                }
                // Nobody has said what shall become of it: it is told again.
                (Stop::Held, None) => {
                    state.held_at = Some(now);
                    stopped.discrepancy = None;
                }
                (why, _) => {
                    if (why, *chosen) == (Stop::Asked, Some(Choice::Adopt)) {
                        adopted.push((key.clone(), about));
                    } else {
                        state.unexplained = Quantity::ZERO;
                    }
                    state.zero_allowed |= why == Stop::Held;
                    state.stopped = None;
                    state.drift = None;
                    (state.drifts, state.same_drifts) = (0, 0);
                }
            }
            changed.push(key.clone());
        }
        self.read_back.extend(changed.iter().cloned());
        // What is adopted is kept with its adjustment: a crash in between asks for it again.
        for (key, discrepancy) in &adopted {
            self.adopt_asked(key, *discrepancy).await?;
        }
        self.keep(&changed).await
    }

    /// Nothing is sent for a listing any more, for now or until a person acts: told once, until it ends.
    pub(super) async fn stop(
        &mut self,
        key: &str,
        why: Stop,
        reason: String,
        retry: Option<(Instant, Quantity)>,
    ) -> Result<(), WorkerError> {
        let now = self.now();
        let Some(mut line) = self.lines.get_mut(key) else { return Ok(()) };
        let (before, other) = match line.state.stopped.take() {
            Some(before) if before.why == why => (Some(before), None),
            // What waits for a person goes on waiting.
            Some(before) if before.why.waits_for_person() => {
                line.state.stopped = Some(before);
                return Ok(());
            }
            other => (None, other),
        };
        let told = before.as_ref().and_then(|before| before.discrepancy);
        // Another number that is refused before its time makes nobody wait longer: in a busy minute there may be many.
        let is_early =
            before.as_ref().and_then(|before| before.retry_at).is_some_and(|retry_at| retry_at > now);
        let times = before.as_ref().map_or(1, |before| before.times + u32::from(!is_early));
        let since = before.as_ref().map_or(now, |before| before.since);
        let (retry_at, number) = (retry.map(|(at, _)| at), retry.map(|(_, number)| number));
        let stopped = Stopped { why, reason, since, times, retry_at, number, discrepancy: told };
        line.state.stopped = Some(stopped);
        drop(line);
        // What stopped it before does no longer. That is said first: a crash in between leaves nothing open.
        if let Some(discrepancy) = other.and_then(|other| other.discrepancy) {
            self.resolve(discrepancy).await?;
        }
        // It is kept before it is told: what was told and is not known of would stay in the inbox for ever.
        if told.is_none() {
            self.untold_stops.insert(key.to_owned());
        }
        self.keep(&[key.to_owned()]).await?;
        self.tell_stop(key).await
    }

    /// Tells why nothing is sent for a listing, once: told again under its key, after a crash, it is the same discrepancy.
    pub(super) async fn tell_stop(&mut self, key: &str) -> Result<(), WorkerError> {
        let Some(line) = self.lines.get(key) else { return Ok(()) };
        let untold = line.state.stopped.clone().filter(|stopped| stopped.discrepancy.is_none());
        // What is held is told all together.
        let Some(stopped) = untold.filter(|stopped| stopped.why != Stop::Held) else {
            self.untold_stops.remove(key);
            return Ok(());
        };
        let (listing, desired) = (line.listing.clone(), line.desired);
        let (unexplained, adoptable) = (line.state.unexplained, line.state.adoptable);
        let name = self.system.name.clone();
        let shown = listing.remote_sku.as_deref().unwrap_or(&listing.remote_id).to_owned();
        let number = line
            .state
            .observed
            .map_or_else(|| "nothing known".to_owned(), |(quantity, _)| quantity.to_string());
        let reason = stopped.reason;
        let (cause, sentence) = match stopped.why {
            Stop::Refused => (
                Cause::PushRefused,
                format!(
                    "{name} refuses to show {desired} for {shown}: {}. Mend it there; it is tried again.",
                    reason.trim_end_matches('.')
                ),
            ),
            Stop::SecondMaster => (Cause::SecondMaster, reason),
            Stop::Untaken => (Cause::UnknownName, reason),
            Stop::Asked if line.state.doubtful => (Cause::Unexplained, reason),
            Stop::Asked => (Cause::ManualEdit, reason),
            Stop::Held => (Cause::ZerosHeld, reason),
            Stop::Untracked => (
                Cause::TrackingOff,
                format!(
                    "{name} does not track stock of {shown}: it sells it without end, whatever the number \
                     ({number}). Let it track inventory there."
                ),
            ),
            Stop::Missing => (
                Cause::PushRefused,
                format!(
                    "{name} has no listing {shown} any more. Take its mapping off, or list it there again."
                ),
            ),
        };
        let told_as = format!("stopped/{}/{key}/{}", self.id, stopped.since.micros());
        let (quantity, choices) = match (stopped.why, adoptable) {
            (Stop::Asked, true) => (unexplained, vec![Choice::SetBack, Choice::Adopt]),
            (Stop::Asked, false) => (unexplained, vec![Choice::SetBack]),
            _ => (desired, Vec::new()),
        };
        let told_as = Some(told_as);
        let discrepancy = self.note_with(told_as, cause, &listing, quantity, sentence, choices).await?;
        if let Some(mut line) = self.lines.get_mut(key)
            && let Some(stopped) = line.state.stopped.as_mut()
        {
            stopped.discrepancy = discrepancy;
        }
        self.untold_stops.remove(key);
        self.keep(&[key.to_owned()]).await
    }

    pub(super) async fn resolve(&self, discrepancy: DiscrepancyId) -> Result<(), WorkerError> {
        let resolve = self.command(Body::Resolve(Resolve { discrepancy, choice: None }));
        // Whoever resolved it before us is right too.
        self.handle.submit(self.tenant, resolve).await?;
        Ok(())
    }

    /// What stopped a listing is over: its discrepancy ends by itself.
    pub(super) async fn resume(&mut self, key: &str) -> Result<(), WorkerError> {
        if self.untold_stops.contains(key) {
            self.tell_stop(key).await?;
        }
        let stopped = self.lines.get(key).and_then(|line| line.state.stopped.as_ref());
        if let Some(discrepancy) = stopped.and_then(|stopped| stopped.discrepancy) {
            self.resolve(discrepancy).await?;
        }
        if let Some(mut line) = self.lines.get_mut(key) {
            let stopped = line.state.stopped.take().map(|stopped| stopped.why);
            (line.state.drifts, line.state.same_drifts) = (0, 0);
            // What was tracked by nobody meanwhile is seen anew.
            if stopped == Some(Stop::Untracked) {
                (line.state.acknowledged, line.state.acknowledged_at) = (None, None);
                line.state.changes.clear();
                (line.suspected, line.state.suspected, line.state.of_another) = (None, None, false);
            }
        }
        self.keep(&[key.to_owned()]).await
    }

    /// Tells a person, under a key where it may be told again, and what there is to choose of.
    pub(super) async fn note_with(
        &self,
        told_as: Option<String>,
        cause: Cause,
        listing: &Listing,
        quantity: Quantity,
        sentence: String,
        choices: Vec<Choice>,
    ) -> Result<Option<DiscrepancyId>, WorkerError> {
        let sku = match listing.item {
            Some(item) => {
                self.handle.ledger().read(self.tenant, |view| view.item(item))?.map(|item| item.sku)
            }
            None => None,
        };
        self.submit_note(told_as, NoteCommand { sku, choices, ..self.note_of(cause, quantity, sentence) })
            .await
    }

    /// Tells a person of the system as a whole.
    pub(super) async fn note_of_system(
        &self,
        cause: Cause,
        sentence: String,
    ) -> Result<Option<DiscrepancyId>, WorkerError> {
        self.submit_note(None, self.note_of(cause, Quantity::ZERO, sentence)).await
    }

    /// Something for a person, about the system as a whole.
    pub(super) fn note_of(&self, cause: Cause, quantity: Quantity, sentence: String) -> NoteCommand {
        let system = self.system.name.clone();
        NoteCommand { system, sku: None, cause, quantity, sentence, evidence: None, choices: Vec::new() }
    }

    /// Tells it, under this key once.
    pub(super) async fn submit_note(
        &self,
        told_as: Option<String>,
        note: NoteCommand,
    ) -> Result<Option<DiscrepancyId>, WorkerError> {
        let command = Command { key: told_as, ..self.command(Body::Note(note)) };
        let committed = self.handle.submit(self.tenant, command).await?;
        Ok(match committed.answer {
            Answer::Discrepancy(id) => Some(id),
            _ => None,
        })
    }
}
