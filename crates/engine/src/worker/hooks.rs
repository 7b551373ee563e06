//! Messages of a system that something happened: what they speak of is read, and what none spoke of is told.

use onhand_ledger::command::Note as NoteCommand;
use onhand_ledger::model::Cause;
use onhand_ledger::{Answer, Body, Instant, Quantity, SystemId};
use onhand_store::{Note, StoreError};
use onhand_sync::missed::{REMEMBERED, Unannounced, missed, missed_sentence, revived_sentence};

use super::{Worker, WorkerError};
use crate::hooks::{Event, events_space, has_address};
use crate::systems::{STATUS, WorkerStatus};

/// So many events are read of at a time.
const EVENTS: usize = 10_000;
/// How often it is looked whether a system has ended webhooks of ours, in seconds.
const REVIVED_SECONDS: i64 = 600;

impl Worker {
    /// Has a message come since this was asked last?
    pub(super) fn is_hinted(&self) -> bool {
        self.handle.ledger().take_hint(self.tenant, self.id)
    }

    /// The messages that wait: what they speak of is found by what is read from now on.
    pub(super) fn announced(&self) -> Result<Vec<(String, Instant)>, WorkerError> {
        if self.channel.webhook().is_none() {
            return Ok(Vec::new());
        }
        let space = events_space(self.id);
        let events = self.handle.ledger().read(self.tenant, |view| view.notes(&space, None, EVENTS))?;
        let read = |(key, body): (String, String)| {
            let event: Event = serde_json::from_str(&body)
                .map_err(|error| StoreError::Damaged(format!("note {space}/{key}: {error}")))?;
            Ok((key, event.received_at))
        };
        events.into_iter().map(read).collect::<Result<_, StoreError>>().map_err(Into::into)
    }

    /// An order has changed that was found by reading: did a message say so?
    pub(super) fn found_by_reading(&mut self, document: &str, sold: Quantity, changed_at: Instant) {
        let (now, hooks) = (self.now(), &mut self.status.hooks);
        if hooks.heard_at.is_some() && hooks.unannounced.len() < REMEMBERED {
            let document = document.to_owned();
            hooks.unannounced.push(Unannounced { document, sold, changed_at, found_at: now });
        }
    }

    /// What these messages speak of is read: they are done with, in the transaction that says up to when all is read.
    pub(super) async fn are_read(&mut self, announced: Vec<(String, Instant)>) -> Result<(), WorkerError> {
        let hooks = &mut self.status.hooks;
        hooks.read += announced.len() as u64;
        hooks.heard_at = announced.iter().map(|(_, at)| *at).max().max(hooks.heard_at);
        let heard_at = hooks.heard_at;
        let (told, left) = missed(std::mem::take(&mut hooks.unannounced), heard_at, self.now());
        self.status.hooks.unannounced = left;
        let over = self.status.hooks.told.take_if(|_| !announced.is_empty());
        if self.status.hooks.told.is_none()
            && let Some(sentence) = missed_sentence(&self.system.name, &told)
        {
            let evidence = serde_json::to_string(&told).unwrap_or_default();
            let quantity = told.iter().map(|one| one.sold).sum();
            self.status.hooks.told = self.tell_missed(quantity, sentence, evidence).await?;
        }
        if !announced.is_empty() || !told.is_empty() {
            let space = events_space(self.id);
            let done = announced.into_iter().map(|(key, _)| Note { space: space.clone(), key, body: None });
            let mut notes: Vec<Note> = done.collect();
            notes.push(self.status_note());
            self.status_kept_at = self.now();
            self.handle.submit_with(self.tenant, None, notes).await?;
        }
        // Its messages come again.
        match over {
            Some(discrepancy) => self.resolve(discrepancy).await,
            None => Ok(()),
        }
    }

    /// Has webhooks sent again that the system ended by itself, and says so: it may have been silent for a while. That is over once one comes.
    pub(super) async fn revive_webhooks(&mut self) -> Result<(), WorkerError> {
        if self.channel.webhook().is_none() || self.now() < self.next_revival {
            return Ok(());
        }
        self.next_revival = self.now().plus_seconds(REVIVED_SECONDS);
        if !self.handle.ledger().read(self.tenant, |view| has_address(view, self.id))? {
            return Ok(());
        }
        let revived = match self.channel.revive_webhooks().await {
            Ok(revived) => revived,
            // What it tells is read all the same.
            Err(error) => {
                tracing::info!(system = self.system.name, %error, "its webhooks cannot be looked at");
                return Ok(());
            }
        };
        if let Some(sentence) = revived_sentence(&self.system.name, &revived) {
            tracing::warn!(system = self.system.name, ?revived, "it had ended webhooks; they are on again");
            if self.status.hooks.told.is_none() {
                let evidence = serde_json::to_string(&(self.now(), &revived)).unwrap_or_default();
                self.status.hooks.told = self.tell_missed(Quantity::ZERO, sentence, evidence).await?;
                self.keep_status().await?;
            }
        }
        Ok(())
    }

    /// Tells of it once, whatever the evidence is told for.
    async fn tell_missed(
        &self,
        quantity: Quantity,
        sentence: String,
        evidence: String,
    ) -> Result<Option<onhand_ledger::DiscrepancyId>, WorkerError> {
        let system = self.system.name.clone();
        let about = blake3::hash(evidence.as_bytes()).to_hex();
        let note = NoteCommand {
            system,
            sku: None,
            cause: Cause::MissedEvent,
            quantity,
            sentence,
            evidence: Some(evidence),
            choices: Vec::new(),
        };
        let mut command = self.command(Body::Note(note));
        command.key = Some(format!("missed/{}/{about}", self.id));
        Ok(match self.handle.submit(self.tenant, command).await?.answer {
            Answer::Discrepancy(id) => Some(id),
            _ => None,
        })
    }

    /// The status as it is now, to be kept.
    pub(super) fn status_note(&self) -> Note {
        status_note(self.id, &self.status)
    }
}

/// A status, to be kept.
pub(super) fn status_note(system: SystemId, status: &WorkerStatus) -> Note {
    let body = serde_json::to_string(status).expect("a status can always be written");
    Note { space: STATUS.to_owned(), key: system.to_string(), body: Some(body) }
}
