//! The bounded queue before the committer. No timer and no fixed batch size: while one batch is committed, the
//! next gathers.

use std::collections::BTreeSet;
use std::sync::Arc;

use onhand_ledger::command::Document;
use onhand_ledger::{Body, Command, TenantId};
use onhand_store::Note;
use tokio::sync::{mpsc, oneshot};

use crate::commit::{CommitError, Committed, Ledger, Submission};
use crate::systems::waiting_documents;

/// How many submissions wait at most; more are turned away.
const CAPACITY: usize = 16_384;
/// How many are committed together at most: a few milliseconds of work.
const BATCH: usize = 1_024;

/// Why a submission was not taken, or not committed.
#[derive(Debug, Clone, thiserror::Error)]
pub enum SubmitError {
    /// Too much is waiting: try again in a second.
    #[error("too much is waiting to be committed; send it again in a second")]
    Busy,
    /// Onhand is stopping.
    #[error("Onhand is stopping; send it again when it is back")]
    Stopping,
    /// It was tried and not committed.
    #[error(transparent)]
    Commit(#[from] CommitError),
}

struct Job {
    submission: Submission,
    reply: oneshot::Sender<Result<Committed, CommitError>>,
}

/// Where submissions are handed in.
#[derive(Clone)]
pub struct Handle {
    jobs: mpsc::Sender<Job>,
    ledger: Arc<Ledger>,
}

/// Where they wait.
pub struct Queue {
    jobs: mpsc::Receiver<Job>,
    ledger: Arc<Ledger>,
}

/// A queue before a ledger.
pub fn queue(ledger: Arc<Ledger>) -> (Handle, Queue) {
    let (sender, receiver) = mpsc::channel(CAPACITY);
    (Handle { jobs: sender, ledger: ledger.clone() }, Queue { jobs: receiver, ledger })
}

impl Handle {
    /// Commits a command. The answer comes when it is durable.
    pub async fn submit(&self, tenant: TenantId, command: Command) -> Result<Committed, SubmitError> {
        self.submit_with(tenant, Some(command), Vec::new()).await
    }

    /// Commits a command and notes together, or notes alone.
    pub async fn submit_with(
        &self,
        tenant: TenantId,
        command: Option<Command>,
        notes: Vec<Note>,
    ) -> Result<Committed, SubmitError> {
        let (reply, answer) = oneshot::channel();
        let job = Job { submission: Submission { tenant, command, notes }, reply };
        self.jobs.try_send(job).map_err(|error| match error {
            mpsc::error::TrySendError::Full(_) => SubmitError::Busy,
            mpsc::error::TrySendError::Closed(_) => SubmitError::Stopping,
        })?;
        Reply(answer).wait().await
    }

    /// Hands something in and does not wait for its answer; waits for a place in the queue instead of being turned
    /// away. What one caller begins in order is decided in order.
    pub async fn begin(
        &self,
        tenant: TenantId,
        command: Option<Command>,
        notes: Vec<Note>,
    ) -> Result<Reply, SubmitError> {
        let (reply, answer) = oneshot::channel();
        let job = Job { submission: Submission { tenant, command, notes }, reply };
        self.jobs.send(job).await.map_err(|_| SubmitError::Stopping)?;
        Ok(Reply(answer))
    }

    /// The ledger behind the queue, for reads.
    pub fn ledger(&self) -> &Arc<Ledger> {
        &self.ledger
    }
}

/// An answer to come.
pub struct Reply(oneshot::Receiver<Result<Committed, CommitError>>);

impl Reply {
    /// Waits until it is durable.
    pub async fn wait(self) -> Result<Committed, SubmitError> {
        match self.0.await {
            Ok(result) => Ok(result?),
            Err(_) => Err(SubmitError::Stopping),
        }
    }
}

impl Queue {
    /// Commits what comes until every handle is gone, then writes what tables do not have yet. Blocks: give it a
    /// thread of its own.
    pub fn run(mut self) {
        let mut jobs = Vec::with_capacity(BATCH);
        while self.jobs.blocking_recv_many(&mut jobs, BATCH) > 0 {
            let (submissions, replies): (Vec<_>, Vec<_>) =
                jobs.drain(..).map(|job| (job.submission, job.reply)).unzip();
            let naming: BTreeSet<TenantId> =
                submissions.iter().filter(|one| names_something(one)).map(|one| one.tenant).collect();
            let results = self.ledger.commit(submissions);
            for tenant in naming {
                self.apply_waiting(tenant);
            }
            for (result, reply) in results.into_iter().zip(replies) {
                // A caller that has gone away does not need its answer; it is kept under its key.
                let _ = reply.send(result);
            }
        }
        if let Err(error) = self.ledger.flush() {
            tracing::warn!(%error, "tables are behind the log; they are folded from it at the next start");
        }
    }

    /// Documents that waited for a name are tried again before anybody hears that it is known now.
    fn apply_waiting(&self, tenant: TenantId) {
        let documents = match self.ledger.read(tenant, |view| waiting_documents(view, |_| true)) {
            Ok(documents) => documents,
            Err(error) => {
                tracing::error!(%error, "what waits for a name cannot be read; it is tried at the next name");
                return;
            }
        };
        let retry = |document: Document| {
            let actor = document.system.clone();
            let command = Command { key: None, fingerprint: 0, actor, body: Body::Record(document) };
            Submission { tenant, command: Some(command), notes: Vec::new() }
        };
        let retries: Vec<Submission> = documents.into_iter().map(retry).collect();
        if !retries.is_empty() {
            for error in self.ledger.commit(retries).into_iter().filter_map(Result::err) {
                tracing::warn!(%error, "a document that waited for a name could not be applied");
            }
        }
    }
}

fn names_something(submission: &Submission) -> bool {
    let body = submission.command.as_ref().map(|command| match &command.body {
        Body::Noted(noted) => &noted.body,
        body => body,
    });
    matches!(
        body,
        Some(Body::PutItem(_) | Body::PutLocation(_) | Body::PutListing(_) | Body::PlacePurchase(_))
    )
}
