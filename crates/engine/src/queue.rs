//! The bounded queue before the committers. No timer and no fixed batch size: while one batch is committed, the
//! next gathers.
//!
//! It has two lanes. People come first; what comes in bulk fills a batch up to a bound of *work*, so that an order placed
//! meanwhile waits for one short commit and never for a file. In each lane tenants take turns. A store that others write to has
//! several committers, each with lanes of its own for some of the tenants: while one waits for the database another decides.

use std::collections::BTreeSet;
use std::sync::Arc;

use onhand_ledger::command::Document;
use onhand_ledger::{Body, Command, TenantId};
use onhand_store::Note;
use tokio::sync::oneshot;

use crate::commit::{Asked, CommitError, Committed, Ledger, Outcomes, Submission};
use crate::lanes::{Gone, NoPlace, Room};
use crate::systems::waiting_documents;

/// How many submissions wait for a committer at most; more are turned away. One tenant's fill half of it.
const PEOPLE: Room = Room { all: 16_384, each: 8_192, own: 64 };
/// How many are committed together at most: a few milliseconds of work.
const BATCH: usize = 2_048;

/// How much of what came in bulk is committed together at most, as [`Body::work`] counts it: a few milliseconds.
const BULK_WORK: usize = 2_048;
/// And beside people, who wait for all of the batch that they are in.
const BULK_BESIDE_PEOPLE: usize = 1_024;
/// Where more submissions than that wait, they are decided while the batch before is written.
const WRITTEN_BESIDE: usize = 256;
/// Batches of more submissions than that are answered by a thread of its own.
const ANSWERED_BESIDE: usize = 256;
/// So many batches may wait for that thread.
const ANSWERED_BEHIND: usize = 2;
/// How many blocks wait in bulk at most; whoever sends more waits for a place.
const BULK: Room = Room { all: 64, each: 64, own: 4 };

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

/// Boxed on its way, as it is handed on a few times.
struct Job {
    asked: Asked,
    reply: oneshot::Sender<Result<Committed, CommitError>>,
}

/// Commands that one caller sent one after the other, answered together.
struct Block {
    asked: Vec<Asked>,
    reply: oneshot::Sender<Vec<Result<Committed, CommitError>>>,
}

type Lanes = crate::lanes::Lanes<Box<Job>, Block>;

/// Where submissions are handed in.
#[derive(Clone)]
pub struct Handle {
    doors: Arc<Doors>,
    ledger: Arc<Ledger>,
}

/// The lanes of each committer. They close with the last handle.
struct Doors(Arc<[Arc<Lanes>]>);

impl Drop for Doors {
    fn drop(&mut self) {
        self.0.iter().for_each(|lanes| lanes.close());
    }
}

/// Where they wait, and who commits them.
pub struct Queue {
    committers: Vec<Committer>,
}

/// Commits what waits in its lanes.
struct Committer {
    lanes: Arc<Lanes>,
    /// Those of the others too.
    all: Arc<[Arc<Lanes>]>,
    ledger: Arc<Ledger>,
}

impl Drop for Committer {
    fn drop(&mut self) {
        self.lanes.leave();
        if std::thread::panicking() {
            // The others end too, and whoever waits for all of them hears of it.
            self.all.iter().for_each(|lanes| lanes.leave());
        }
    }
}

/// A queue before a ledger.
pub fn queue(ledger: Arc<Ledger>) -> (Handle, Queue) {
    let lanes = || Arc::new(Lanes::new(PEOPLE, BULK));
    let all: Arc<[Arc<Lanes>]> = (0..ledger.committers()).map(|_| lanes()).collect();
    let committer =
        |lanes: &Arc<Lanes>| Committer { lanes: lanes.clone(), all: all.clone(), ledger: ledger.clone() };
    let committers = all.iter().map(committer).collect();
    (Handle { doors: Arc::new(Doors(all)), ledger }, Queue { committers })
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
        let noted = self.noted(tenant, &notes);
        let asked = self.ledger.asked(Submission { tenant, command, notes });
        let job = Box::new(Job { asked, reply });
        self.lanes_of(tenant).ask(tenant, job).map_err(|error| match error {
            NoPlace::Full(_) => SubmitError::Busy,
            NoPlace::Gone => SubmitError::Stopping,
        })?;
        Reply { answer, noted }.wait().await
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
        let noted = self.noted(tenant, &notes);
        let asked = self.ledger.asked(Submission { tenant, command, notes });
        let job = Box::new(Job { asked, reply });
        self.lanes_of(tenant).ask_in_time(tenant, job).await.map_err(|Gone| SubmitError::Stopping)?;
        Ok(Reply { answer, noted })
    }

    /// Whom to tell of notes, once they are durable.
    fn noted(&self, tenant: TenantId, notes: &[Note]) -> Option<(Arc<Ledger>, TenantId)> {
        (!notes.is_empty()).then(|| (self.ledger.clone(), tenant))
    }

    /// Hands in a block of commands behind everything that people ask for, and waits for a place. Blocks of one caller
    /// are decided in order, and the commands in a block too, though not always in one batch with other blocks. A block
    /// is committed at once: keep its [work](Body::work) at a few hundred.
    pub async fn begin_bulk(
        &self,
        tenant: TenantId,
        commands: Vec<Command>,
    ) -> Result<BulkReply, SubmitError> {
        let (reply, answers) = oneshot::channel();
        let submission = |command| Submission { tenant, command: Some(command), notes: Vec::new() };
        let asked = commands.into_iter().map(|command| self.ledger.asked(submission(command))).collect();
        let block = Block { asked, reply };
        self.lanes_of(tenant).ask_in_bulk(tenant, block).await.map_err(|Gone| SubmitError::Stopping)?;
        Ok(BulkReply(answers))
    }

    fn lanes_of(&self, tenant: TenantId) -> &Lanes {
        &self.doors.0[self.ledger.committer_of(tenant)]
    }

    /// The ledger behind the queue, for reads.
    pub fn ledger(&self) -> &Arc<Ledger> {
        &self.ledger
    }
}

/// An answer to come.
pub struct Reply {
    answer: oneshot::Receiver<Result<Committed, CommitError>>,
    noted: Option<(Arc<Ledger>, TenantId)>,
}

impl Reply {
    /// Waits until it is durable.
    pub async fn wait(self) -> Result<Committed, SubmitError> {
        let committed = self.answer.await.map_err(|_| SubmitError::Stopping)??;
        if let Some((ledger, tenant)) = self.noted {
            ledger.tell_noted(tenant);
        }
        Ok(committed)
    }
}

/// The answers to a block to come, one for each of its commands.
pub struct BulkReply(oneshot::Receiver<Vec<Result<Committed, CommitError>>>);

impl BulkReply {
    /// Waits until all of it is durable.
    pub async fn wait(self) -> Result<Vec<Result<Committed, CommitError>>, SubmitError> {
        self.0.await.map_err(|_| SubmitError::Stopping)
    }
}

impl Queue {
    /// Commits what comes until every handle is gone, then writes what tables do not have yet. Blocks: give it a
    /// thread of its own. Every committer but one has another.
    pub fn run(self) {
        let mut committers = self.committers;
        let Some(first) = committers.pop() else { return };
        let ledger = first.ledger.clone();
        std::thread::scope(|scope| {
            for other in committers {
                let named = std::thread::Builder::new().name("committer".to_owned());
                let begun = named.spawn_scoped(scope, move || other.run());
                begun.expect("at the start the system has threads for all committers");
            }
            first.run();
        });
        if let Err(error) = ledger.flush() {
            tracing::warn!(%error, "tables are behind the log; they are folded from it at the next start");
        }
    }
}

impl Queue {
    /// Does anything wait to be committed?
    pub fn is_waiting(&self) -> bool {
        self.committers.iter().any(|committer| committer.lanes.is_waiting())
    }

    /// Commits what waits, one batch of each committer, and answers it; without a thread or a wait, for whoever decides when
    /// (a simulation).
    pub fn turn(&mut self) {
        for committer in &mut self.committers {
            let mut taken = Taken::default();
            committer.fill(&mut taken);
            while !taken.is_empty() {
                taken = committer.commit(taken, Done::answer);
            }
        }
    }
}

impl Committer {
    fn run(mut self) {
        let answerer = Answerer::spawn();
        let mut taken = Taken::default();
        loop {
            if taken.is_empty() {
                self.lanes.wait();
            }
            self.fill(&mut taken);
            if taken.is_empty() {
                break;
            }
            taken = self.commit(taken, |done| match &answerer {
                Some(answerer) if done.taken.many() > ANSWERED_BESIDE => answerer.give(done),
                _ => done.answer(),
            });
        }
    }

    /// Takes what there is: people first, and bulk up to its bound.
    fn fill(&mut self, taken: &mut Taken) {
        self.lanes.take_people(BATCH.saturating_sub(taken.people.len()), &mut taken.people);
        let work_of = |block: &Block| -> usize { block.asked.iter().map(work).sum() };
        let mut work: usize = taken.bulk.iter().map(work_of).sum();
        let bound = if taken.people.is_empty() { BULK_WORK } else { BULK_BESIDE_PEOPLE };
        while work < bound
            && let Some(block) = self.lanes.take_bulk()
        {
            work += work_of(&block);
            taken.bulk.push(block);
        }
    }

    /// Commits a batch, and as long as much waits, the next ones: each is decided while the one before is written. What was taken
    /// and is too little for that comes back.
    fn commit(&mut self, mut taken: Taken, answer: impl Fn(Done)) -> Taken {
        let ledger = self.ledger.clone();
        if ledger.is_shared() {
            let outcomes = ledger.commit_asked(taken.asked());
            self.apply_all_waiting(taken.naming());
            answer(Done { taken, outcomes });
            return Taken::default();
        }
        let mut run = ledger.run();
        let mut decided = run.decide(taken.asked().collect());
        loop {
            let naming = taken.naming();
            let mut next = Taken::default();
            if naming.is_empty() && run.may_write_beside(&decided) {
                self.fill(&mut next);
            }
            if next.many() <= WRITTEN_BESIDE {
                let outcomes = run.write(decided);
                drop(run);
                self.apply_all_waiting(naming);
                answer(Done { taken, outcomes });
                return next;
            }
            let (outcomes, decided_next) = run.write_beside(decided, next.asked().collect());
            answer(Done { taken, outcomes });
            (taken, decided) = (next, decided_next);
        }
    }

    fn apply_all_waiting(&self, tenants: BTreeSet<TenantId>) {
        for tenant in tenants {
            self.apply_waiting(tenant);
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

/// What was taken from both lanes to be committed together.
#[derive(Default)]
struct Taken {
    #[expect(clippy::vec_box, reason = "they come boxed from the lane")]
    people: Vec<Box<Job>>,
    bulk: Vec<Block>,
}

impl Taken {
    fn is_empty(&self) -> bool {
        self.people.is_empty() && self.bulk.is_empty()
    }

    fn many(&self) -> usize {
        self.people.len() + self.bulk.iter().map(|block| block.asked.len()).sum::<usize>()
    }

    fn asked(&mut self) -> impl Iterator<Item = &mut Asked> {
        let people = self.people.iter_mut().map(|job| &mut job.asked);
        people.chain(self.bulk.iter_mut().flat_map(|block| &mut block.asked))
    }

    /// The tenants for whom something gets a name.
    fn naming(&self) -> BTreeSet<TenantId> {
        let all = self.people.iter().map(|job| &job.asked);
        let all = all.chain(self.bulk.iter().flat_map(|block| &block.asked)).map(|asked| &asked.submission);
        all.filter(|one| names_something(one)).map(|one| one.tenant).collect()
    }
}

/// A batch that is durable, or failed, and was not answered yet.
struct Done {
    taken: Taken,
    outcomes: Outcomes,
}

impl Done {
    /// Tells everybody. A caller that has gone away does not need its answer; it is kept under its key.
    fn answer(self) {
        let Self { taken: Taken { people, bulk }, mut outcomes } = self;
        for job in people {
            let Some(result) = outcomes.next() else { return };
            let _ = job.reply.send(result);
        }
        for block in bulk {
            let _ = block.reply.send(outcomes.by_ref().take(block.asked.len()).collect());
        }
    }
}

/// A thread that answers large batches while the next one is decided.
struct Answerer {
    done: Option<std::sync::mpsc::SyncSender<Done>>,
    thread: Option<std::thread::JoinHandle<()>>,
}

impl Answerer {
    /// None where the system has no thread to give.
    fn spawn() -> Option<Self> {
        let (done, waiting) = std::sync::mpsc::sync_channel::<Done>(ANSWERED_BEHIND);
        let answer = move || waiting.into_iter().for_each(Done::answer);
        let thread = std::thread::Builder::new().name("answerer".to_owned()).spawn(answer).ok()?;
        Some(Self { done: Some(done), thread: Some(thread) })
    }

    /// Waits where too many batches wait for it.
    fn give(&self, done: Done) {
        let unsent = match &self.done {
            Some(sender) => sender.send(done).err().map(|unsent| unsent.0),
            None => Some(done),
        };
        if let Some(done) = unsent {
            done.answer();
        }
    }
}

impl Drop for Answerer {
    fn drop(&mut self) {
        // Whoever waits for the end of the queue has every answer then.
        self.done = None;
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn work(asked: &Asked) -> usize {
    asked.submission.command.as_ref().map_or(1, |command| command.body.work())
}

fn names_something(submission: &Submission) -> bool {
    submission.command.as_ref().is_some_and(|command| command.body.names_something())
}
