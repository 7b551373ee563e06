//! The bounded queue before the committer. No timer and no fixed batch size: while one batch is committed, the
//! next gathers.

use std::sync::Arc;

use onhand_ledger::{Command, TenantId};
use onhand_store::Note;
use tokio::sync::{mpsc, oneshot};

use crate::commit::{CommitError, Committed, Ledger, Submission};

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
            for (result, reply) in self.ledger.commit(submissions).into_iter().zip(replies) {
                // A caller that has gone away does not need its answer; it is kept under its key.
                let _ = reply.send(result);
            }
        }
        if let Err(error) = self.ledger.flush() {
            tracing::warn!(%error, "tables are behind the log; they are folded from it at the next start");
        }
    }
}
