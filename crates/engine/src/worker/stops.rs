//! Why nothing is sent for a listing, told to a person once, until it ends.

use std::collections::BTreeSet;

use onhand_ledger::command::{Note as NoteCommand, Resolve};
use onhand_ledger::model::{Cause, Listing};
use onhand_ledger::{Answer, Body, Command, DiscrepancyId, Instant, Quantity};
use onhand_sync::Stop;

use super::{Worker, WorkerError};
use crate::systems::Stopped;

impl Worker {
    /// What stopped these listings was seen to by a person: they are sent again.
    pub(super) async fn let_go(&mut self, seen_to: &BTreeSet<DiscrepancyId>) -> Result<(), WorkerError> {
        let mut changed = Vec::new();
        for (key, line) in &mut self.lines {
            let about = line.state.stopped.as_ref().and_then(|stopped| stopped.discrepancy);
            if about.is_some_and(|discrepancy| seen_to.contains(&discrepancy)) {
                line.state.stopped = None;
                line.state.drift = None;
                line.state.drifts = 0;
                changed.push(key.clone());
            }
        }
        self.read_back.extend(changed.iter().cloned());
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
        let Some(line) = self.lines.get_mut(key) else { return Ok(()) };
        let (before, other) = match line.state.stopped.take() {
            Some(before) if before.why == why => (Some(before), None),
            // What waits for a person goes on waiting.
            Some(before) if matches!(before.why, Stop::SecondMaster | Stop::Untaken) => {
                line.state.stopped = Some(before);
                return Ok(());
            }
            other => (None, other),
        };
        let told = before.as_ref().and_then(|before| before.discrepancy);
        let times = before.as_ref().map_or(1, |before| before.times + 1);
        let since = before.as_ref().map_or(now, |before| before.since);
        let (retry_at, number) = (retry.map(|(at, _)| at), retry.map(|(_, number)| number));
        let stopped = Stopped { why, reason, since, times, retry_at, number, discrepancy: told };
        line.state.stopped = Some(stopped);
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
        let Some(stopped) = line.state.stopped.clone().filter(|stopped| stopped.discrepancy.is_none()) else {
            self.untold_stops.remove(key);
            return Ok(());
        };
        let (listing, desired) = (line.listing.clone(), line.desired);
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
                    "{name} refuses to show {desired} for {shown}: {reason}. Mend it there; it is tried again."
                ),
            ),
            Stop::SecondMaster => (Cause::SecondMaster, reason),
            Stop::Untaken => (Cause::UnknownName, reason),
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
        let discrepancy = self.note(Some(told_as), cause, &listing, desired, sentence).await?;
        if let Some(stopped) = self.lines.get_mut(key).and_then(|line| line.state.stopped.as_mut()) {
            stopped.discrepancy = discrepancy;
        }
        self.untold_stops.remove(key);
        self.keep(&[key.to_owned()]).await
    }

    pub(super) async fn resolve(&self, discrepancy: DiscrepancyId) -> Result<(), WorkerError> {
        let resolve = self.command(Body::Resolve(Resolve { discrepancy }));
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
        if let Some(line) = self.lines.get_mut(key) {
            line.state.stopped = None;
            line.state.drifts = 0;
        }
        self.keep(&[key.to_owned()]).await
    }

    pub(super) async fn note(
        &self,
        key: Option<String>,
        cause: Cause,
        listing: &Listing,
        quantity: Quantity,
        sentence: String,
    ) -> Result<Option<DiscrepancyId>, WorkerError> {
        let sku = match listing.item {
            Some(item) => {
                self.handle.ledger().read(self.tenant, |view| view.item(item))?.map(|item| item.sku)
            }
            None => None,
        };
        let system = self.system.name.clone();
        let note = NoteCommand { system, sku, cause, quantity, sentence, evidence: None };
        let command = Command { key, ..self.command(Body::Note(note)) };
        let committed = self.handle.submit(self.tenant, command).await?;
        Ok(match committed.answer {
            Answer::Discrepancy(id) => Some(id),
            _ => None,
        })
    }
}
