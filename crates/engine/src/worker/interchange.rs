//! What files bring beside orders and stock: how documents that were sent to the system stand, what changed there for reasons of its own, and
//! what it did not understand. Each is booked by the doors that it comes by otherwise too.

use std::sync::Arc;

use onhand_channels::ChannelError;
use onhand_channels::arrived::{Arrived, Changes, Problem};
use onhand_channels::expected::Received;
use onhand_channels::files::first_of;
use onhand_channels::host::Host;
use onhand_channels::outgoing::Followed;
use onhand_ledger::command::{Content, Document, Happened, MovementLine, Name};
use onhand_ledger::model::Cause;
use onhand_ledger::{Answer, Body, Instant, Quantity, SystemId, TenantId};
use onhand_store::Note;

use super::files::{Came, remote_of};
use super::{Worker, WorkerError};
use crate::commit::CommitError;
use crate::queue::{Handle, SubmitError};

impl Worker {
    /// How an order that was sent stands.
    pub(super) async fn take_followed(&mut self, told: &Followed) -> Result<Came, WorkerError> {
        self.hear_of_sent_order(told).await?;
        Ok(said(format!("{} heard.", told.document)))
    }

    /// How an announcement stands.
    pub(super) async fn take_received(&mut self, told: &Received) -> Result<Came, WorkerError> {
        self.hear_of_announcement(told).await?;
        Ok(said(format!("{} heard.", told.document)))
    }

    /// What changed, as a document of its own.
    pub(super) async fn take_changes(&mut self, changes: &Changes) -> Result<Came, WorkerError> {
        let codes = self.codes()?;
        let mut came = Came::default();
        let location = match remote_of(&codes, changes.location.as_deref()) {
            Ok(remote) => codes.iter().find(|(id, _)| *id == remote).map(|(_, code)| code.clone()),
            Err(reason) => {
                came.refuse(None, Some("location"), format!("{}: {reason}", changes.document));
                None
            }
        };
        let Some(location) = location else { return Ok(came) };
        let lines = changes.rows.iter().map(|row| MovementLine {
            line: row.line.to_string(),
            item: Name::Listing(row.listing.to_string()),
            location: location.clone(),
            what: if row.change.is_negative() { Happened::Lost } else { Happened::Found },
            quantity: row.change.abs(),
            occurred_at: Some(changes.occurred_at),
            reason: Some(row.reason.to_owned()),
        });
        let document = Document {
            system: self.system.name.clone(),
            document: changes.document.clone(),
            version: 1,
            content: Content::Movements(lines.collect()),
        };
        match self.handle.submit(self.tenant, self.command(Body::Record(document))).await {
            Ok(committed) => match committed.answer {
                Answer::Recorded { .. } => came.told.push(format!("{} booked.", changes.document)),
                Answer::Waiting(_, sentence) => came.refuse(None, None, sentence),
                _ => came.told.push(format!("{} known.", changes.document)),
            },
            Err(SubmitError::Commit(CommitError::Invalid(invalid))) => {
                let reason = format!("{} could not be taken: {invalid}", changes.document);
                let note = self.note_of(
                    Cause::UnknownName,
                    Quantity::ZERO,
                    format!("{}'s {reason}.", self.system.name),
                );
                self.submit_note(Some(format!("changes/{}/{}", self.id, changes.document)), note).await?;
                came.refuse(None, None, reason);
            }
            Err(error) => return Err(error.into()),
        }
        Ok(came)
    }

    /// Something that a person is told, once for each file.
    pub(super) async fn take_word(
        &self,
        file: &Arrived,
        cause: Cause,
        sentence: &str,
    ) -> Result<Came, WorkerError> {
        let about = blake3::hash(sentence.as_bytes());
        let note = self.note_of(cause, Quantity::ZERO, sentence.to_owned());
        self.submit_note(Some(format!("file/{}/{}/{}", self.id, file.hash, about.to_hex())), note).await?;
        Ok(said(sentence.to_owned()))
    }

    /// What of a file could not be taken, where the rest can, is told together.
    pub(super) async fn tell_refused(&self, file: &Arrived) -> Result<(), WorkerError> {
        let problems: &[Problem] = &file.refused;
        if problems.is_empty() {
            return Ok(());
        }
        let sentence = format!(
            "Not all of {}'s file {} could be taken: {}. All of it is in the result that lies beside it, {}.",
            self.system.name,
            file.name,
            first_of(problems),
            file.claim
        );
        let note = self.note_of(Cause::MalformedFile, Quantity::ZERO, sentence);
        self.tell_of_file(&format!("file/{}/{}/refused", self.id, file.hash), note).await
    }
}

fn said(sentence: String) -> Came {
    let mut came = Came::default();
    came.told.push(sentence);
    came
}

/// What a channel remembers is kept with the ledger, as notes of its system.
pub(super) struct Notes {
    handle: Handle,
    tenant: TenantId,
    system: SystemId,
    name: String,
}

impl Notes {
    pub fn of(handle: &Handle, tenant: TenantId, system: SystemId, name: &str) -> Arc<Self> {
        Arc::new(Self { handle: handle.clone(), tenant, system, name: name.to_owned() })
    }

    fn space(&self) -> String {
        format!("channel:{}", self.system)
    }

    fn trouble(&self, error: impl std::fmt::Display) -> ChannelError {
        let reason = format!("what is remembered of it: {error}");
        ChannelError::Unexpected { system: self.name.clone(), reason }
    }
}

#[async_trait::async_trait]
impl Host for Notes {
    fn now(&self) -> Instant {
        self.handle.ledger().clock().now()
    }

    async fn recall(&self, name: &str) -> Result<Option<String>, ChannelError> {
        let found = self.handle.ledger().read(self.tenant, |view| view.note(&self.space(), name));
        found.map_err(|error| self.trouble(error))
    }

    async fn keep(&self, texts: Vec<(String, String)>) -> Result<(), ChannelError> {
        let note = |(key, text)| Note { space: self.space(), key, body: Some(text) };
        let kept = self.handle.submit_with(self.tenant, None, texts.into_iter().map(note).collect()).await;
        kept.map(drop).map_err(|error| self.trouble(error))
    }
}
