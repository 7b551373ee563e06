//! A person asks that a system be kept equal now: everything is discovered, read, compared and sent, whatever schedules say.
//!
//! What is asked is kept as a note that the system's worker takes up, on whichever node that is; how far it has come is a
//! note of the worker's. After a crash it begins again. Asked anew while it is under way it begins anew.

use onhand_ledger::{Instant, SystemId, TenantId};
use onhand_store::{Note, StoreError};
use serde::{Deserialize, Serialize};

use super::{counted, read_note};
use crate::queue::{Handle, SubmitError};
use crate::view::View;

/// The notes of what was asked, by system id.
const ASKED: &str = "sync_asked";
/// The notes of how far it has come, by system id.
const PROGRESS: &str = "sync_progress";

/// What was asked.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub(crate) struct Asked {
    /// When: what it is known by.
    pub at: Instant,
    /// Are all numbers sent, also those that are as they should be?
    pub full: bool,
}

/// What is being done.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Doing {
    /// Nothing: nobody asked.
    #[default]
    Never,
    /// Nothing yet: its worker has not taken it up.
    Waiting,
    /// It is looked at what there is for sale.
    Discover,
    /// Numbers are read, one for each listing at each remote location.
    Read,
    /// What was read is judged, once the system's orders up to then are known.
    Compare,
    /// What differs is sent, or everything.
    Push,
    /// All is done.
    Done,
    /// It has come to an end that it was not asked for.
    Failed,
}

impl Doing {
    /// Its name, as it is told.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Never => "never",
            Self::Waiting => "waiting",
            Self::Discover => "discover",
            Self::Read => "read",
            Self::Compare => "compare",
            Self::Push => "push",
            Self::Done => "done",
            Self::Failed => "failed",
        }
    }

    /// Does nothing come after it?
    pub const fn is_over(self) -> bool {
        matches!(self, Self::Done | Self::Failed)
    }
}

/// How far it has come.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct Progress {
    /// When it was asked.
    pub asked_at: Option<Instant>,
    /// Are all numbers sent, also those that are as they should be?
    pub full: bool,
    /// What is being done.
    pub doing: Doing,
    /// Of that so many numbers are done.
    pub done: usize,
    /// Of so many.
    pub total: usize,
    /// Listings that were found over there.
    pub found: usize,
    /// Numbers that were sent and acknowledged.
    pub sent: usize,
    /// When it ended.
    pub ended_at: Option<Instant>,
    /// Why it waits, why it failed, or why nothing was sent.
    pub because: Option<String>,
}

impl Progress {
    /// How far it has come, in a sentence.
    pub fn sentence(&self, system: &str) -> String {
        let Self { done, sent, .. } = self;
        let (found, numbers) = (counted(self.found, "listing"), counted(self.total, "number"));
        let because = self.because.as_deref().unwrap_or_default();
        match self.doing {
            Doing::Never => format!("Nobody has asked that {system} be kept equal now."),
            Doing::Waiting if because.is_empty() => format!("{system}'s worker has not taken it up yet."),
            Doing::Waiting => format!("It waits: {because}."),
            Doing::Discover => format!("Looking at what {system} has for sale."),
            Doing::Read => format!("{done} of {numbers} read; {found} found."),
            Doing::Compare => format!("{done} of {numbers} compared."),
            Doing::Push => format!("{done} of {numbers} sent."),
            Doing::Done if because.is_empty() => {
                format!("Done: {found} found, {numbers} compared, {sent} sent.")
            }
            Doing::Done => {
                format!("Done: {found} found, {numbers} compared, none sent: {because}.")
            }
            Doing::Failed => format!("It failed: {because}."),
        }
    }

    /// As it is kept.
    pub(crate) fn note(&self, system: SystemId) -> Note {
        let body = serde_json::to_string(self).expect("progress can always be written");
        Note { space: PROGRESS.to_owned(), key: system.to_string(), body: Some(body) }
    }
}

/// What was asked of a system and is not over.
pub(crate) fn open(view: &mut View<'_>, system: SystemId) -> Result<Option<Asked>, StoreError> {
    let key = system.to_string();
    let Some(asked): Option<Asked> = read_note(view, ASKED, &key)? else { return Ok(None) };
    let progress: Progress = read_note(view, PROGRESS, &key)?;
    let is_over = progress.asked_at == Some(asked.at) && progress.doing.is_over();
    Ok((!is_over).then_some(asked))
}

/// How far what was asked last has come.
pub fn progress(view: &mut View<'_>, system: SystemId) -> Result<Progress, StoreError> {
    let key = system.to_string();
    let Some(asked): Option<Asked> = read_note(view, ASKED, &key)? else {
        return Ok(Progress::default());
    };
    let progress: Progress = read_note(view, PROGRESS, &key)?;
    Ok(if progress.asked_at == Some(asked.at) { progress } else { waiting(asked) })
}

/// What was asked and is not taken up yet.
fn waiting(Asked { at, full }: Asked) -> Progress {
    Progress { asked_at: Some(at), full, doing: Doing::Waiting, ..Progress::default() }
}

/// Asks that a system be kept equal now. `full`: all its numbers are sent, also those that are as they should be.
pub async fn ask(
    handle: &Handle,
    tenant: TenantId,
    system: SystemId,
    full: bool,
) -> Result<Progress, SubmitError> {
    let asked = Asked { at: handle.ledger().clock().now(), full };
    let body = serde_json::to_string(&asked).expect("what is asked can always be written");
    let note = Note { space: ASKED.to_owned(), key: system.to_string(), body: Some(body) };
    handle.submit_with(tenant, None, vec![note]).await?;
    handle.ledger().hint(tenant, system);
    Ok(waiting(asked))
}
