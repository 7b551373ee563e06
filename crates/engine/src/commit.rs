//! The committer: takes what is waiting, decides it, writes it in one transaction, then answers.
//!
//! While a batch is being committed nobody reads the state, so that no read sees what is not durable.
//! If the store fails, the state is dropped and read again: it may have what the store has not.

mod shared;
mod tenants;

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use foldhash::{HashMap, HashMapExt as _, HashSet};
use onhand_ledger::state::{Answered, Earlier, Need};
use onhand_ledger::{
    Answer, CellKey, Command, Due, Entry, Given, HoldId, Instant, Invalid, Key, LocationId, LotId, Outcome,
    Quantity, Record, Seq, State, SystemId, TenantId, Value, decide,
};
use onhand_store::{
    Batch, Chunk, Head, KeyAt, Note, Reader, Store, StoreError, Work, WriteKeys, decode_records, key_hash,
};
use parking_lot::{Mutex, RwLock, RwLockUpgradableReadGuard, RwLockWriteGuard};
use tokio::sync::{broadcast, watch};

use self::tenants::Tenants;
use crate::clock::Clock;
use crate::figures::Figures;
use crate::scribe::{Records, Scribe, all_chunks};
use crate::seal::Seal;
use crate::tallies::Tallies;
use crate::view::View;
use crate::writer::{Writer, Writes};

/// So many committers share a store that other nodes write to, each with some of the tenants: while one waits for the database another
/// decides.
const COMMITTERS: usize = 4;
/// A node of such a store keeps so many tenants in mind, the others being read anew when something is asked of them.
const TENANTS: usize = 20_000;
/// So many commands are looked at together before they are decided one by one.
const WARMED: usize = 16;
/// In a batch of more commands than that a thread beside the committer writes down what is decided.
const SCRIBE_FROM: usize = 256;
/// How many chunks are folded at a time when the tail of the log is read again.
const TAIL_CHUNKS: usize = 256;
/// So many batches are written each beside the next before whoever waits has a turn.
const BESIDE: usize = 16;
/// Writing begins when tables are so many entries behind the log: a start folds it from there.
const MAX_BEHIND: Seq = 2_000_000;

/// Once much is dirty, all of it is written while so many entries come in.
const FLUSH_SPAN: usize = 400_000;
/// Where little is dirty, and tables are just far behind: the same few cells are written again and again, so seldom.
const CALM_SPAN: usize = 1_000_000;

/// Of a tenant of a shared store so many due times are read at once.
const DUE_AT_ONCE: usize = 256;
/// What is due so soon must be in memory; of the rest at most as much as was read with it.
const DUE_AHEAD_MICROS: i64 = 60_000_000;

/// How much is kept in memory before it is written behind the log, and how much in all.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// Writing begins when so many cells and objects are dirty, or so many keys in memory alone. 0: with every commit.
    pub flush_at: usize,
    /// How many of them a transaction writes at least once writing has begun.
    pub slice: usize,
    /// What tables have too is forgotten when so much is in memory. 0: before every batch.
    pub cache: usize,
}

impl Default for Options {
    fn default() -> Self {
        Self { flush_at: 200_000, slice: 256, cache: 1_750_000 }
    }
}

/// Something to commit: a command, notes beside it, or both. The notes are written if the command is not invalid.
#[derive(Clone, Debug)]
pub struct Submission {
    /// Whose.
    pub tenant: TenantId,
    /// What to decide.
    pub command: Option<Command>,
    /// What to write beside it, in the same transaction.
    pub notes: Vec<Note>,
}

/// What was committed.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Committed {
    /// The answer; `Ticked(0)` where there was no command.
    pub answer: Answer,
    /// The last entry there is now: a read at or after it sees this.
    pub seq: Seq,
    /// Was this answer given before?
    pub replayed: bool,
}

/// Why nothing was committed.
#[derive(Debug, Clone, thiserror::Error)]
pub enum CommitError {
    /// It is no command; its key stays free.
    #[error(transparent)]
    Invalid(#[from] Invalid),
    /// Deciding this command hit a bug of ours. It changed nothing, and its key stays free.
    #[error("something went wrong on our side; nothing was changed")]
    Bug,
    /// The store failed. Nothing of the batch was written, unless it is [`StoreError::Unclear`]; the same key may be sent again.
    #[error("{what}{0}", what = prefix(.0))]
    Store(Arc<StoreError>),
}

/// What is known of a batch that the store did not say it wrote.
fn prefix(error: &StoreError) -> &'static str {
    if matches!(error, StoreError::Unclear { .. }) { "" } else { "nothing was changed: " }
}

impl From<StoreError> for CommitError {
    fn from(error: StoreError) -> Self {
        Self::Store(Arc::new(error))
    }
}

/// So many tenants of whom something was noted are remembered for whoever listens and is slow: it is told that it missed some.
const NOTED: usize = 256;

/// The ledger at work: the state in memory over a store.
pub struct Ledger {
    // Dropped before the store: the last connection that closes tidies up, and a reader may not.
    readers: Mutex<Vec<Box<dyn Reader>>>,
    /// One for each committer: it has some of the tenants.
    shares: Vec<RwLock<Inner>>,
    /// A store that no committer waits for, where others write too: for whoever only looks.
    beside: Option<Mutex<Box<dyn Store>>>,
    clock: Arc<dyn Clock>,
    /// Do other nodes write to the store too?
    shared: bool,
    key_hash: fn(&str) -> u64,
    feed: watch::Sender<Seq>,
    noted: broadcast::Sender<TenantId>,
    trouble: Mutex<Option<String>>,
    /// How many wait to read.
    readers_waiting: AtomicUsize,
    /// The ends of all logs that were last looked at, added up.
    looked_at: Mutex<Seq>,
    seal: Seal,
    /// Snapshots are taken by one at a time.
    pub(crate) snapshots: tokio::sync::Mutex<()>,
    /// What is kept of found listings is read and written by one at a time.
    pub(crate) found: tokio::sync::Mutex<()>,
    /// The systems that are being looked at for what they have, each once for whoever does.
    pub(crate) discovering: Mutex<Vec<(TenantId, SystemId)>>,
    /// Systems that a message has come of, since their workers looked.
    hints: Mutex<std::collections::BTreeSet<(TenantId, SystemId)>>,
    figures: Figures,
    tallies: Tallies,
}

struct Inner {
    /// Locked only to make a reader; whoever may write has it without locking.
    store: Mutex<Writer>,
    tenants: Tenants,
    options: Options,
    /// Do other nodes write to the store too?
    shared: bool,
    key_hash: fn(&str) -> u64,
    /// As `store`: only to be shared.
    scribe: Mutex<Option<Scribe>>,
    /// The keys of the batch that is being written beside this one.
    away: BTreeMap<TenantId, HashSet<u64>>,
}

/// A submission, and the hash of its command's key: reckoned by whoever hands it in.
pub(crate) struct Asked {
    pub submission: Submission,
    key_hash: Option<u64>,
}

/// What a batch will write for one tenant.
#[derive(Default)]
struct Pending {
    records: Records,
    keys: Vec<KeyAt>,
    /// Those of `keys`.
    hashes: HashSet<u64>,
    notes: Vec<Note>,
}

impl Pending {
    fn with_room_for(commands: usize) -> Self {
        let mut pending = Self::default();
        pending.keys.reserve(commands);
        pending.hashes.reserve(commands);
        pending
    }
}

/// The entries of keys that were used before, by their hash; there may be several of one hash.
type UsedKeys = HashMap<(TenantId, u64), Vec<Seq>>;

/// What was decided on a submission.
enum Decision {
    /// The tenant's next record of the batch has the answer.
    Recorded(Seq, bool),
    Told(Box<Committed>),
}

/// A batch that is decided, and not written yet. The state has it already.
pub(crate) struct Decided {
    decisions: Vec<(TenantId, Result<Decision, Box<CommitError>>)>,
    batches: BTreeMap<TenantId, Pending>,
    /// The last entry, of whichever tenant.
    newest: Option<Seq>,
    /// What is to be written; or why it cannot be.
    writes: Result<Writes, Arc<StoreError>>,
}

/// What became of a batch, in order. Taking it apart is work that needs no lock.
pub(crate) struct Outcomes {
    decisions: std::vec::IntoIter<(TenantId, Result<Decision, Box<CommitError>>)>,
    records: BTreeMap<TenantId, Box<dyn Iterator<Item = Box<Record>> + Send>>,
    /// Whose commands were not written, and why.
    failed: BTreeMap<TenantId, Arc<StoreError>>,
}

impl Iterator for Outcomes {
    type Item = Result<Committed, CommitError>;

    fn next(&mut self) -> Option<Self::Item> {
        let (tenant, decision) = self.decisions.next()?;
        let mut recorded = |seq, replayed| {
            let record = self.records.get_mut(&tenant).and_then(Iterator::next);
            let answer = record.map(|record| record.answer).ok_or(CommitError::Bug)?;
            Ok(Committed { answer, seq, replayed })
        };
        Some(match (decision.map_err(|error| *error), self.failed.get(&tenant)) {
            (Err(error @ (CommitError::Invalid(_) | CommitError::Bug)), _) => Err(error),
            (_, Some(error)) => Err(CommitError::Store(error.clone())),
            (Ok(Decision::Recorded(seq, replayed)), None) => recorded(seq, replayed),
            (Ok(Decision::Told(committed)), None) => Ok(*committed),
            (Err(error), None) => Err(error),
        })
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        self.decisions.size_hint()
    }
}

struct Tenant {
    state: State,
    head: Head,
    sweep: Option<Sweep>,
    /// Of what is due at this instant or later not all is in memory.
    due_known_to: Option<Instant>,
}

impl Tenant {
    /// Is in memory what may be due while something is decided now?
    fn knows_what_is_due(&self, now: Instant) -> bool {
        self.due_known_to.is_none_or(|to| to > now.plus_micros(DUE_AHEAD_MICROS / 2))
    }
}

/// A pass over all that was dirty when it began, in key order. When it is through, tables have all up to `until`.
struct Sweep {
    until: Seq,
    /// It takes so many entries.
    span: usize,
    cells_after: Option<CellKey>,
    cells_done: bool,
    objects_after: Option<Key>,
}

impl Ledger {
    /// Opens the ledger of a store: what tables do not have yet is folded from the log.
    pub fn open(store: Box<dyn Store>, clock: Arc<dyn Clock>, options: Options) -> Result<Self, StoreError> {
        Self::open_hashing(store, clock, options, key_hash)
    }

    /// As [`Ledger::open`], with another hash of keys than [`key_hash`]: for tests of keys that have the same.
    #[doc(hidden)]
    pub fn open_hashing(
        store: Box<dyn Store>,
        clock: Arc<dyn Clock>,
        options: Options,
        key_hash: fn(&str) -> u64,
    ) -> Result<Self, StoreError> {
        let shared = store.is_shared();
        let beside = store.beside()?;
        let mut stores = vec![store];
        // Whoever cannot look beside its committer has one.
        while beside.is_some() && stores.len() < COMMITTERS {
            stores.extend(stores[0].beside()?);
        }
        let cache = options.cache.div_ceil(stores.len());
        let options = Options { cache, ..options };
        let mut shares: Vec<Inner> =
            stores.into_iter().map(|store| Inner::new(store, options, shared, key_hash)).collect();
        let mut newest = 0;
        let first = &mut shares[0];
        if shared {
            // A tenant is read when something is asked of it, and then just what that needs.
            clock.tell(first.store()?.heads_now(&[])?.0);
        } else {
            for tenant in first.store()?.tenants()? {
                newest = newest.max(first.tenant(tenant, clock.now())?.state.head);
            }
        }
        let (feed, _) = watch::channel(newest);
        let (noted, _) = broadcast::channel(NOTED);
        let (shares, beside) = (shares.into_iter().map(RwLock::new).collect(), beside.map(Mutex::new));
        let (readers, trouble) = (Mutex::default(), Mutex::default());
        let (readers_waiting, looked_at) = (AtomicUsize::new(0), Mutex::default());
        let (snapshots, hints) = (tokio::sync::Mutex::default(), Mutex::default());
        Ok(Self {
            readers,
            shares,
            beside,
            clock,
            shared,
            key_hash,
            feed,
            noted,
            trouble,
            readers_waiting,
            looked_at,
            seal: Seal::default(),
            snapshots,
            found: tokio::sync::Mutex::default(),
            discovering: Mutex::default(),
            hints,
            figures: Figures::default(),
            tallies: Tallies::new(shared),
        })
    }

    /// How many commit side by side, each for some of the tenants.
    pub(crate) const fn committers(&self) -> usize {
        self.shares.len()
    }

    /// Which of them commits for a tenant.
    pub(crate) fn committer_of(&self, tenant: TenantId) -> usize {
        usize::try_from(tenant.0 % self.shares.len() as u64).unwrap_or(0)
    }

    fn share_of(&self, tenant: TenantId) -> &RwLock<Inner> {
        &self.shares[self.committer_of(tenant)]
    }

    /// Tells of every entry: the newest over all tenants.
    pub fn feed(&self) -> watch::Receiver<Seq> {
        self.feed.subscribe()
    }

    /// Tells of tenants of whom something was noted on this node, such as what a system shows, which no entry tells of.
    pub fn noted(&self) -> broadcast::Receiver<TenantId> {
        self.noted.subscribe()
    }

    /// What is known of listings follows what will be noted of them with this. Nobody reads until it is committed, or cannot be.
    fn see_noted(&self, asked: &[&mut Asked]) {
        for Asked { submission, .. } in asked.iter().map(|one| &**one) {
            self.tallies.see(submission.tenant, &submission.notes);
        }
    }

    /// Something of a tenant was noted.
    pub(crate) fn tell_noted(&self, tenant: TenantId) {
        // Nobody may be listening.
        let _ = self.noted.send(tenant);
    }

    /// What seals secrets. Has no keys until it is told where they are.
    pub fn seal(&self) -> &Seal {
        &self.seal
    }

    /// The clock that everything here goes by.
    pub fn clock(&self) -> &Arc<dyn Clock> {
        &self.clock
    }

    /// Why the last commit failed; none where it did not.
    pub fn trouble(&self) -> Option<String> {
        self.trouble.lock().clone()
    }

    /// Can a commit be written now? After one that failed this says whether it would again, and changes nothing: nobody may
    /// send any while we are not ready.
    pub fn try_writing(&self) -> Result<(), StoreError> {
        let tried = match &self.beside {
            Some(store) => store.lock().try_writing(),
            None => self.shares[0].write().store().and_then(Store::try_writing),
        };
        *self.trouble.lock() = tried.as_ref().err().map(ToString::to_string);
        tried
    }

    /// Decides and writes all of these in one transaction, in order; one result for each.
    pub fn commit(&self, submissions: Vec<Submission>) -> Vec<Result<Committed, CommitError>> {
        let mut asked: Vec<Asked> = submissions.into_iter().map(|one| self.asked(one)).collect();
        self.commit_asked(asked.iter_mut()).collect()
    }

    /// Batches one after the other, each written while the next is decided, as the queue does it where much waits: for tests.
    #[doc(hidden)]
    pub fn commit_beside(&self, batches: Vec<Vec<Submission>>) -> Vec<Vec<Result<Committed, CommitError>>> {
        let asked = |batch: Vec<Submission>| batch.into_iter().map(|one| self.asked(one)).collect();
        let mut batches: Vec<Vec<Asked>> = batches.into_iter().map(asked).collect();
        let mut results = Vec::new();
        let mut run = self.run();
        let mut open: Option<Decided> = None;
        for batch in &mut batches {
            let next: Vec<&mut Asked> = batch.iter_mut().collect();
            open = Some(match open.take() {
                Some(decided) => {
                    let (outcomes, decided) = run.write_beside(decided, next);
                    results.push(outcomes.collect());
                    decided
                }
                None => run.decide(next),
            });
        }
        results.extend(open.map(|decided| run.write(decided).collect()));
        results
    }

    /// A submission with what can be reckoned before its turn.
    pub(crate) fn asked(&self, submission: Submission) -> Asked {
        let key = submission.command.as_ref().and_then(|command| command.key.as_deref());
        let key_hash = key.map(self.key_hash);
        Asked { submission, key_hash }
    }

    /// As [`Ledger::commit`]. Their notes are taken.
    pub(crate) fn commit_asked<'a>(&self, asked: impl Iterator<Item = &'a mut Asked>) -> Outcomes {
        let asked: Vec<&mut Asked> = asked.collect();
        if self.shared {
            return self.commit_shared(asked);
        }
        let mut run = self.run();
        let decided = run.decide(asked);
        run.write(decided)
    }

    fn commit_shared(&self, asked: Vec<&mut Asked>) -> Outcomes {
        let mut shares = BTreeMap::<usize, (Vec<usize>, Vec<&mut Asked>)>::new();
        for (place, one) in asked.into_iter().enumerate() {
            let share = shares.entry(self.committer_of(one.submission.tenant)).or_default();
            share.0.push(place);
            share.1.push(one);
        }
        let mut decisions = BTreeMap::new();
        let (mut records, mut failed) = (BTreeMap::new(), BTreeMap::new());
        for (share, (places, asked)) in shares {
            let mut inner = self.shares[share].write();
            let (outcomes, newest) = inner.commit_shared(asked, self.clock.as_ref());
            self.tell(&outcomes, newest);
            drop(inner);
            decisions.extend(places.into_iter().zip(outcomes.decisions));
            records.extend(outcomes.records);
            failed.extend(outcomes.failed);
        }
        let decisions = decisions.into_values().collect::<Vec<_>>().into_iter();
        Outcomes { decisions, records, failed }
    }

    /// Tells of new entries, of whichever tenant, and of trouble. Notes are no news: who keeps one must not wake itself.
    fn tell(&self, outcomes: &Outcomes, newest: Option<Seq>) {
        *self.trouble.lock() = outcomes.failed.values().next().map(ToString::to_string);
        if let Some(newest) = newest {
            self.feed.send_modify(|seq| *seq = newest.max(*seq));
        }
    }

    /// Batches one after the other, of which one may be written while the next is decided. Nobody reads before it ends. Only where nobody
    /// else writes, and all tenants have one committer.
    pub(crate) fn run(&self) -> Run<'_> {
        Run { ledger: self, inner: self.shares[0].write(), batches: 0 }
    }

    /// Writes everything that tables do not have yet. For a clean end, and for tests.
    pub fn flush(&self) -> Result<(), StoreError> {
        self.shares.iter().try_for_each(|share| share.write().flush_all())
    }

    /// Forgets everything that tables have too, after writing what they do not.
    pub fn evict(&self) -> Result<(), StoreError> {
        self.shares.iter().try_for_each(|share| {
            let mut inner = share.write();
            inner.flush_all()?;
            inner.tenants.make_room(0);
            Ok(())
        })
    }

    /// Forgets all state, and all tables but the log, and folds the log again. Nobody else may write meanwhile.
    pub fn rebuild(&self) -> Result<(), StoreError> {
        let mut shares: Vec<_> = self.shares.iter().map(RwLock::write).collect();
        shares[0].store()?.clear_projections()?;
        let tenants = shares[0].store()?.tenants()?;
        for inner in &mut shares {
            inner.tenants.clear();
        }
        let now = self.clock.now();
        tenants
            .into_iter()
            .try_for_each(|tenant| shares[self.committer_of(tenant)].tenant(tenant, now).map(|_| ()))
    }

    /// Reads at one `seq`: nothing is committed meanwhile. What is due by now is counted: the caller has it
    /// committed first where [`View::overdue`] says so.
    pub fn read<T>(
        &self,
        tenant: TenantId,
        read: impl FnOnce(&mut View<'_>) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        if self.shared {
            return self.read_shared(tenant, read);
        }
        self.readers_waiting.fetch_add(1, Ordering::Relaxed);
        let mut inner = self.shares[0].upgradable_read();
        self.readers_waiting.fetch_sub(1, Ordering::Relaxed);
        if !inner.tenants.contains(tenant) {
            let now = self.clock.now();
            inner.with_upgraded(|inner| inner.tenant_with_a_log(tenant, now))?;
        }
        let pooled = self.readers.lock().pop();
        let mut reader = match pooled {
            Some(reader) => reader,
            None => inner.store.lock().here()?.reader()?,
        };
        let inner = RwLockUpgradableReadGuard::downgrade(inner);
        // Whoever asks for a tenant that there is not makes none.
        let nothing = State::default();
        let state = inner.tenants.get(tenant).map_or(&nothing, |known| &known.state);
        let view = View::new(tenant, state, reader.as_mut(), self.clock.now());
        let answer = read(&mut view.knowing(&self.tallies));
        self.readers.lock().push(reader);
        answer
    }

    /// Reads what there is at one instant. What is in memory is used where it is of that instant and nobody commits just now; else what
    /// is needed is read from the store, and no lock is held meanwhile.
    fn read_shared<T>(
        &self,
        tenant: TenantId,
        read: impl FnOnce(&mut View<'_>) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        let share = self.share_of(tenant);
        self.with_reader(|reader| {
            reader.begin()?;
            let head = reader.head(tenant)?;
            let now = self.clock.now();
            let is_good = |known: &Tenant| shared::is_at(&known.head, &head) && known.knows_what_is_due(now);
            let inner = share.try_read();
            let known = inner.as_ref().and_then(|inner| inner.tenants.get(tenant));
            let answer = if let Some(known) = known.filter(|known| is_good(known)) {
                let answer = read(&mut View::new(tenant, &known.state, reader, now).knowing(&self.tallies));
                drop(inner);
                answer
            } else {
                drop(inner);
                let (fresh, _) = fold_tail(reader, tenant, self.key_hash, Some(now))?;
                let answer = read(&mut View::new(tenant, &fresh.state, reader, now).knowing(&self.tallies));
                // Whoever asks for a tenant that there is not makes none.
                if head.seq > 0
                    && let Some(mut inner) = share.try_write()
                {
                    inner.learn(tenant, fresh);
                }
                answer
            };
            reader.end()?;
            answer
        })
    }

    /// Looks whether other nodes have written to some tenants: those whose systems this node speaks with. The feed tells of it.
    /// Nothing to do where nobody else writes.
    pub fn look(&self, tenants: &[TenantId]) -> Result<(), StoreError> {
        if self.is_shared() {
            let (now, ends) = self.with_store(|store| store.ends(tenants))?;
            self.clock.tell(now);
            // Whichever of them went on: each has a log of its own.
            let all = ends.iter().fold(0, |all: Seq, seq| all.wrapping_add(*seq));
            if std::mem::replace(&mut *self.looked_at.lock(), all) != all {
                let newest = ends.into_iter().max().unwrap_or(0);
                self.feed.send_modify(|seq| *seq = newest.max(*seq));
            }
        }
        Ok(())
    }

    /// Does something beside the log on a shared store, and keeps no committer waiting where it has a store of its own for that.
    pub(crate) fn with_store<T>(
        &self,
        does: impl FnOnce(&mut dyn Store) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        match &self.beside {
            Some(store) => does(store.lock().as_mut()),
            None => does(self.shares[0].read().store.lock().here()?),
        }
    }

    /// How each connected system is doing, in figures.
    pub const fn figures(&self) -> &Figures {
        &self.figures
    }

    /// A message has come that something happened at a system: its worker looks at once. Where that works on another node, it
    /// looks when its time comes.
    pub fn hint(&self, tenant: TenantId, system: SystemId) {
        self.hints.lock().insert((tenant, system));
        self.feed.send_modify(|_| {});
    }

    /// Has such a message come since this was asked last?
    pub(crate) fn take_hint(&self, tenant: TenantId, system: SystemId) -> bool {
        self.hints.lock().remove(&(tenant, system))
    }

    /// Do other nodes write to the same store?
    pub const fn is_shared(&self) -> bool {
        self.shared
    }

    /// What is due first over all tenants, the earliest first, at most `limit`: those of tenants that this node never met too.
    pub fn due_first(&self, limit: usize) -> Result<Vec<(TenantId, Instant)>, StoreError> {
        if self.is_shared() {
            return self.with_reader(|reader| reader.due_first(limit));
        }
        let inner = self.shares[0].read();
        let due =
            inner.tenants.iter().filter_map(|(tenant, known)| Some((tenant, known.state.next_due()?.0)));
        let mut due: Vec<(TenantId, Instant)> = due.collect();
        due.sort_unstable_by_key(|(tenant, at)| (*at, *tenant));
        due.truncate(limit);
        Ok(due)
    }

    /// The tenants that have such work, of all there are.
    pub fn tenants_at(&self, work: Work) -> Result<Vec<TenantId>, StoreError> {
        if self.is_shared() {
            return self.with_reader(|reader| reader.tenants_at(work));
        }
        Ok(self.tenants())
    }

    /// Looks at the store alone, and keeps nobody waiting.
    fn with_reader<T>(
        &self,
        read: impl FnOnce(&mut dyn Reader) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        let pooled = self.readers.lock().pop();
        let mut reader = match (pooled, &self.beside) {
            (Some(reader), _) => reader,
            (None, Some(store)) => store.lock().reader()?,
            (None, None) => self.shares[0].read().store.lock().here()?.reader()?,
        };
        let answer = read(reader.as_mut())?;
        self.readers.lock().push(reader);
        Ok(answer)
    }

    /// All tenants there are, in memory or not; fails where one has a log and no head.
    pub fn all_tenants(&self) -> Result<Vec<TenantId>, StoreError> {
        if !self.is_shared() {
            return Ok(self.tenants());
        }
        self.with_reader(|reader| match reader.headless()? {
            Some(tenant) => Err(StoreError::Damaged(format!(
                "the log of tenant {tenant} has entries, and its head is missing"
            ))),
            None => reader.tenants(),
        })
    }

    /// The tenants in memory: where nobody else writes, all that have a log.
    pub fn tenants(&self) -> Vec<TenantId> {
        let of = |share: &RwLock<Inner>| -> Vec<TenantId> {
            share.read().tenants.iter().map(|(tenant, _)| tenant).collect()
        };
        let mut all: Vec<TenantId> = self.shares.iter().flat_map(of).collect();
        all.sort_unstable();
        all
    }
}

/// See [`Ledger::run`].
pub(crate) struct Run<'l> {
    ledger: &'l Ledger,
    inner: RwLockWriteGuard<'l, Inner>,
    /// So many were written beside another.
    batches: usize,
}

impl Run<'_> {
    /// Decides a batch, which must be written next.
    pub fn decide(&mut self, asked: Vec<&mut Asked>) -> Decided {
        self.ledger.see_noted(&asked);
        let now = self.ledger.clock.now();
        let used = self.inner.used_keys(asked.iter().map(|one| &**one), now);
        self.inner.decide_all(asked, used, now)
    }

    /// May a batch be written beside the next one? Not where others write too, or somebody waits to read.
    pub fn may_write_beside(&self, decided: &Decided) -> bool {
        let is_wanted = self.ledger.readers_waiting.load(Ordering::Relaxed) > 0;
        !self.ledger.shared && !is_wanted && self.batches < BESIDE && decided.writes.is_ok()
    }

    /// Writes a batch; nothing was decided after it.
    pub fn write(&mut self, mut decided: Decided) -> Outcomes {
        let written = match std::mem::replace(&mut decided.writes, Ok(Vec::new())) {
            Ok(writes) => self.inner.write(&writes).map_err(Arc::new),
            Err(error) => Err(error),
        };
        self.end(decided, written)
    }

    /// Writes a batch while the next one is decided.
    pub fn write_beside(&mut self, mut decided: Decided, next: Vec<&mut Asked>) -> (Outcomes, Decided) {
        self.batches += 1;
        self.ledger.see_noted(&next);
        // Before the store is away: it has all keys but those of the batch.
        let now = self.ledger.clock.now();
        let used = self.inner.used_keys(next.iter().map(|one| &**one), now);
        let hashes = |(id, pending): (&TenantId, &mut Pending)| (*id, std::mem::take(&mut pending.hashes));
        self.inner.away = decided.batches.iter_mut().map(hashes).collect();
        let writes = std::mem::replace(&mut decided.writes, Ok(Vec::new())).unwrap_or_default();
        let given = self.inner.store.get_mut().give(writes);
        let mut written = given.map_or_else(|writes| self.inner.write(&writes), |()| Ok(()));
        let mut next = self.inner.decide_all(next, used, now);
        written = written.and(self.inner.store.get_mut().wait());
        self.inner.away.clear();
        let written = written.map_err(Arc::new);
        if let Err(error) = &written {
            // It was decided on what was never written.
            next.writes = Err(error.clone());
        }
        (self.end(decided, written), next)
    }

    /// What a batch came to, once it is written or cannot be.
    fn end(&mut self, decided: Decided, written: Result<(), Arc<StoreError>>) -> Outcomes {
        let Decided { decisions, batches, newest, writes: _ } = decided;
        if written.is_err() {
            // The state may hold what was never written.
            self.inner.tenants.clear();
        }
        let records = batches.into_iter().map(|(id, pending)| {
            let records: Box<dyn Iterator<Item = Box<Record>> + Send> = Box::new(pending.records.into_all());
            (id, records)
        });
        let failed = match written {
            Ok(()) => BTreeMap::new(),
            Err(error) => decisions.iter().map(|(tenant, _)| (*tenant, error.clone())).collect(),
        };
        let outcomes = Outcomes { decisions: decisions.into_iter(), records: records.collect(), failed };
        self.ledger.tell(&outcomes, newest.filter(|_| outcomes.failed.is_empty()));
        outcomes
    }
}

impl Inner {
    fn new(store: Box<dyn Store>, options: Options, shared: bool, key_hash: fn(&str) -> u64) -> Self {
        let (store, scribe) = (Mutex::new(Writer::new(store)), Mutex::new(None));
        let (tenants, away) = (Tenants::default(), BTreeMap::new());
        Self { store, tenants, options, shared, key_hash, scribe, away }
    }

    /// Keeps a tenant that was read, unless more of it is known already.
    fn learn(&mut self, id: TenantId, fresh: Tenant) {
        if self.tenants.get(id).is_none_or(|known| known.head.seq <= fresh.head.seq) {
            self.tenants.insert(id, fresh);
        }
    }

    /// The store; waited for where a batch is being written.
    fn store(&mut self) -> Result<&mut dyn Store, StoreError> {
        self.store.get_mut().here()
    }

    /// Loads a tenant, if it has a log.
    fn tenant_with_a_log(&mut self, id: TenantId, now: Instant) -> Result<(), StoreError> {
        if self.store()?.head(id)?.seq > 0 {
            self.tenant(id, now)?;
        }
        Ok(())
    }

    fn tenant(&mut self, id: TenantId, now: Instant) -> Result<&mut Tenant, StoreError> {
        if !self.tenants.contains(id) {
            let now = self.shared.then_some(now);
            let tenant = load(self.store.get_mut().here()?, id, self.key_hash, now)?;
            self.tenants.insert(id, tenant);
        }
        Ok(self.tenants.get_mut(id).expect("it was put there"))
    }

    /// Decides all of a batch; what is to be written of it is taken from the state, which has it then.
    fn decide_all(
        &mut self,
        asked: Vec<&mut Asked>,
        used: Result<UsedKeys, StoreError>,
        now: Instant,
    ) -> Decided {
        let many = asked.len();
        let mut batches = BTreeMap::<TenantId, Pending>::new();
        let mut decisions = Vec::with_capacity(many);
        let mut given = Given::default();
        let mut broken = self.begin_reading().err().map(Arc::new);
        if many > SCRIBE_FROM {
            let scribe = self.scribe.get_mut();
            *scribe = scribe.take().or_else(Scribe::spawn);
        }
        self.make_room();
        let used = used.unwrap_or_else(|error| {
            broken.get_or_insert(Arc::new(error));
            UsedKeys::new()
        });
        let mut asked = asked.into_iter();
        while !asked.as_slice().is_empty() {
            self.warm(asked.as_slice().iter().take(WARMED).map(|one| &one.submission));
            for one in asked.by_ref().take(WARMED) {
                let tenant = one.submission.tenant;
                let pending = batches.entry(tenant).or_insert_with(|| Pending::with_room_for(many));
                let decision =
                    self.decide(one, now, many > SCRIBE_FROM, pending, &used, &mut given).map_err(Box::new);
                if decision.is_ok() {
                    pending.notes.append(&mut one.submission.notes);
                }
                if let Err(error) = &decision
                    && let CommitError::Store(error) = error.as_ref()
                {
                    broken = Some(error.clone());
                }
                decisions.push((tenant, decision));
            }
        }
        if let Err(error) = self.end_reading() {
            broken.get_or_insert(Arc::new(error));
        }
        // Also where nothing is written: the scribe shall have nothing left of this batch.
        let before = |id: &TenantId| self.tenants.get(*id).map_or([0; 32], |tenant| tenant.head.hash);
        let records = batches.iter_mut().map(|(id, pending)| (*id, before(id), &mut pending.records));
        let chunks = all_chunks(self.scribe.get_mut(), records);
        let writes = match broken {
            Some(error) => Err(error),
            None => Ok(self.assemble(&mut batches, chunks)),
        };
        let newest = writes.iter().flatten().filter_map(last_entry).max();
        Decided { decisions, batches, newest, writes }
    }

    /// What is read of the store is read together, where it is here.
    fn begin_reading(&mut self) -> Result<(), StoreError> {
        let writer = self.store.get_mut();
        if writer.is_here() { writer.here()?.begin_reading() } else { Ok(()) }
    }

    /// See [`Inner::begin_reading`].
    fn end_reading(&mut self) -> Result<(), StoreError> {
        let writer = self.store.get_mut();
        if writer.is_here() { writer.here()?.end_reading() } else { Ok(()) }
    }

    /// Forgets some of what tables have too, where too much is in memory.
    fn make_room(&mut self) {
        let cache = self.options.cache;
        if self.shared && cache > 0 {
            self.tenants.forget(TENANTS / COMMITTERS, cache);
        }
        self.tenants.make_room(cache);
    }

    /// Which of these keys, or others of their hashes, were used before this batch. Nearly none: so all are looked for
    /// together, where each would wait for memory by itself.
    fn used_keys<'s>(
        &mut self,
        asked: impl Iterator<Item = &'s Asked>,
        now: Instant,
    ) -> Result<UsedKeys, StoreError> {
        let mut hashes = BTreeMap::<TenantId, Vec<u64>>::new();
        for one in asked {
            if let Some(hash) = one.key_hash {
                hashes.entry(one.submission.tenant).or_default().push(hash);
            }
        }
        let asked: Vec<(TenantId, Vec<u64>)> = hashes.into_iter().collect();
        for (id, _) in &asked {
            // It tells the store of the keys that are in the log alone.
            self.tenant(*id, now)?;
        }
        let mut used = UsedKeys::default();
        let found = self.store()?.keys_among_each(&asked)?;
        for ((id, _), found) in asked.iter().zip(found) {
            for (hash, seq) in found {
                used.entry((*id, hash)).or_default().push(seq);
            }
        }
        Ok(used)
    }

    /// Has memory bring what some commands will be decided on, all of it at once.
    fn warm<'s>(&self, submissions: impl Iterator<Item = &'s Submission>) {
        let read = submissions.filter_map(|one| {
            let tenant = self.tenants.get(one.tenant)?;
            Some(onhand_ledger::warm(&tenant.state, one.command.as_ref()?))
        });
        std::hint::black_box(read.fold(0, u64::wrapping_add));
    }

    /// Decides one command on the state, and takes the decision over. What is `pending` is not in the store yet; it is written
    /// down `beside` this, or at the end.
    fn decide(
        &mut self,
        asked: &Asked,
        now: Instant,
        beside: bool,
        pending: &mut Pending,
        used: &UsedKeys,
        given: &mut Given,
    ) -> Result<Decision, CommitError> {
        let Asked { submission, key_hash: hash } = asked;
        let (id, hash) = (submission.tenant, *hash);
        self.tenant(id, now)?;
        let Self { store, tenants, scribe, away, .. } = self;
        let store = store.get_mut();
        let tenant = tenants.get_mut(id).expect("it was loaded above");
        let Some(command) = &submission.command else {
            let committed = Committed { answer: Answer::Ticked(0), seq: tenant.state.head, replayed: false };
            return Ok(Decision::Told(Box::new(committed)));
        };
        given.clear();
        if let Some((key, hash)) = command.key.as_deref().zip(hash) {
            let is_away = away.get(&id).is_some_and(|hashes| hashes.contains(&hash));
            let seqs = if is_away { Some(store.here()?.keys_like(id, hash)?) } else { None };
            let seqs = seqs.as_deref().or_else(|| used.get(&(id, hash)).map(Vec::as_slice));
            given.earlier = earlier(store, id, pending, seqs.unwrap_or_default(), key, hash)?;
        }
        loop {
            // Deciding changes nothing, so that a bug in it costs one command and not the ledger.
            let (state, given_now) = (&tenant.state, &*given);
            let decided = catch_unwind(AssertUnwindSafe(|| decide(state, given_now, command, now)));
            let decided = decided.map_err(|_| {
                tracing::error!(?command, "a command could not be decided: this is a bug");
                CommitError::Bug
            })?;
            match decided {
                Ok(decided) => {
                    let (first_seq, replayed) = (decided.first_seq(), decided.replayed());
                    let outcome = decided.absorb_into(&mut tenant.state);
                    let seq = tenant.state.head;
                    let record = match outcome {
                        Outcome::New(record) => record,
                        Outcome::Told(answer) => {
                            let committed = Committed { answer, seq, replayed };
                            return Ok(Decision::Told(Box::new(committed)));
                        }
                    };
                    if let Some(hash) = hash {
                        pending.keys.push((hash, first_seq));
                        pending.hashes.insert(hash);
                    }
                    if let Some(block) = pending.records.push(first_seq, record)
                        && let Some(scribe) = scribe.get_mut().as_mut().filter(|_| beside)
                    {
                        scribe.give(id, tenant.head.hash, block);
                    }
                    return Ok(Decision::Recorded(seq, replayed));
                }
                Err(onhand_ledger::Undecided::Invalid(invalid)) => return Err(invalid.into()),
                Err(onhand_ledger::Undecided::Needs(needs)) => {
                    for need in needs {
                        if let Need::Record(seq) = need
                            && let Some((first, record)) = pending.records.of(seq)
                        {
                            given.records.insert(seq, Some((first, record.clone())));
                            continue;
                        }
                        provide(store.here()?, id, &mut tenant.state, given, need)?;
                    }
                }
            }
        }
    }

    fn write(&mut self, writes: &Writes) -> Result<(), StoreError> {
        if writes.is_empty() { Ok(()) } else { self.store()?.commit(writes) }
    }

    /// What is to be written, of each tenant that has something.
    fn assemble(
        &mut self,
        batches: &mut BTreeMap<TenantId, Pending>,
        mut chunks: BTreeMap<TenantId, Vec<Chunk>>,
    ) -> Writes {
        let options = self.options;
        let mut writes = Vec::new();
        for (id, Pending { records, keys, notes, .. }) in batches {
            let (id, keys, notes) = (*id, std::mem::take(keys), std::mem::take(notes));
            self.tenants.used(id);
            let tenant = self.tenants.get_mut(id).expect("it was decided on");
            let touched = records.entries();
            let chunks = chunks.remove(&id).unwrap_or_default();
            // Each key is written and merged a few times: as much of that as comes in, or more would be left each time.
            let write_keys = WriteKeys { at: options.flush_at, slice: 6 * keys.len() };
            let after = tenant.head;
            let mut batch = Batch { after, chunks, keys, notes, write_keys, ..Batch::default() };
            if let Some(last) = batch.chunks.last() {
                tenant.head.hash = last.hash;
                tenant.head.seq = last.first_seq + last.entries - 1;
                tenant.head.recorded_at = last.recorded_at;
            }
            if options.flush_at == 0 {
                sweep_all(tenant, &mut batch);
            } else {
                let dirty = tenant.state.dirty_len();
                let behind = tenant.head.seq - tenant.head.flushed;
                if tenant.sweep.is_some() || dirty >= options.flush_at || behind > MAX_BEHIND {
                    sweep_some(tenant, &mut batch, touched, options);
                }
                // A hot item's cell would otherwise have a million movements to write in one commit.
                batch.cells.extend(tenant.state.take_full_cells());
            }
            batch.head = tenant.head;
            // Whatever was taken from the state counts as written: it must be.
            if !batch.is_empty() {
                writes.push((id, batch));
            }
        }
        writes
    }

    fn flush_all(&mut self) -> Result<(), StoreError> {
        let mut writes = Vec::new();
        for (id, tenant) in self.tenants.iter_mut() {
            let write_keys = WriteKeys { at: 0, slice: 0 };
            let mut batch = Batch { after: tenant.head, write_keys, ..Batch::default() };
            sweep_all(tenant, &mut batch);
            batch.head = tenant.head;
            // Another node may have written since: where there is nothing to write, that is none of our business.
            if !self.shared || !batch.is_empty() || batch.head != batch.after {
                writes.push((id, batch));
            }
        }
        let written = self.store().and_then(|store| store.commit(&writes));
        if written.is_err() {
            self.tenants.clear();
        }
        written
    }
}

/// The last entry that is written with a batch.
fn last_entry((_, batch): &(TenantId, Batch)) -> Option<Seq> {
    batch.chunks.last().map(|chunk| chunk.first_seq + chunk.entries - 1)
}

/// A tenant as its store has it.
fn load(
    store: &mut dyn Store,
    id: TenantId,
    key_hash: fn(&str) -> u64,
    now: Option<Instant>,
) -> Result<Tenant, StoreError> {
    store.begin_reading()?;
    let folded = fold_tail(store, id, key_hash, now);
    store.end_reading()?;
    let (tenant, keys) = folded?;
    store.remember_keys(id, &keys)?;
    Ok(tenant)
}

/// What is due, and from when on not all of it is known. All of it, or what is due soon after `now`, and some more.
fn due_of(
    store: &mut dyn Reader,
    id: TenantId,
    now: Option<Instant>,
) -> Result<(Vec<(Instant, Due)>, Option<Instant>), StoreError> {
    let limit = if now.is_some() { DUE_AT_ONCE } else { usize::MAX };
    let to = Key::Due(Instant::MAX, Due::Lot(LotId(Seq::MAX), LocationId(Seq::MAX)));
    let mut from = Key::Due(Instant::MIN, Due::Hold(HoldId(0)));
    let mut all = Vec::new();
    loop {
        let found = store.range(id, &from, &to, false, limit)?;
        let many = found.len();
        all.extend(found.into_iter().filter_map(|(key, _)| match key {
            Key::Due(at, due) => Some((at, due)),
            _ => None,
        }));
        match (now, all.last().copied()) {
            (Some(now), Some((last, due))) if many == limit => {
                if last > now.plus_micros(DUE_AHEAD_MICROS) {
                    return Ok((all, Some(last)));
                }
                // It is read once more, and is one of a set.
                from = Key::Due(last, due);
            }
            _ => return Ok((all, None)),
        }
    }
}

/// A tenant as tables and the log have it, and the keys that the log has and tables have not. On a store that others write to,
/// `now`: not all that will be due is read.
fn fold_tail(
    store: &mut dyn Reader,
    id: TenantId,
    key_hash: fn(&str) -> u64,
    now: Option<Instant>,
) -> Result<(Tenant, Vec<KeyAt>), StoreError> {
    let head = store.head(id)?;
    if head.flushed > head.seq {
        let (flushed, seq) = (head.flushed, head.seq);
        return Err(StoreError::Damaged(format!(
            "tables are at entry {flushed}, and the log ends at entry {seq}"
        )));
    }
    let (due, due_known_to) = due_of(store, id, now)?;
    let mut state = State::new(head.flushed, Instant::MIN, due);
    let mut keys = Vec::new();
    let mut after = head.flushed.min(head.keyed);
    while after < head.seq {
        let chunks = store.chunks_after(id, after, TAIL_CHUNKS)?;
        if chunks.is_empty() {
            return Err(StoreError::Damaged(format!(
                "the log ends at entry {after}, its head is {}",
                head.seq
            )));
        }
        let mut records = Vec::new();
        for chunk in &chunks {
            records.extend(decode_records(chunk)?);
        }
        fetch_cells(store, id, &mut state, &records, head.flushed)?;
        for (first_seq, record) in records {
            after = first_seq + record.entries.len() as Seq - 1;
            if let Some(key) = record.key.as_deref().filter(|_| first_seq > head.keyed) {
                keys.push((key_hash(key), first_seq));
            }
            if after <= head.flushed {
                continue;
            }
            while let Err(need) = state.fold(first_seq, &record) {
                provide(store, id, &mut state, &mut Given::default(), need)?;
            }
        }
    }
    state.head = head.seq;
    state.recorded_at = state.recorded_at.max(head.recorded_at);
    Ok((Tenant { state, head, sweep: None, due_known_to }, keys))
}

/// Fetches the cells that some records move and that are not in memory, all together.
fn fetch_cells(
    store: &mut dyn Reader,
    id: TenantId,
    state: &mut State,
    records: &[(Seq, Record)],
    flushed: Seq,
) -> Result<(), StoreError> {
    let new = records.iter().filter(|(first, record)| first + record.entries.len() as Seq > flushed + 1);
    let moved = new.flat_map(|(_, record)| &record.entries).filter_map(|entry| match entry {
        Entry::Movement(movement) => Some([movement.from_cell(), movement.to_cell()]),
        _ => None,
    });
    let mut cells: Vec<CellKey> = moved.flatten().filter(|key| state.cell(key).is_none()).collect();
    cells.sort_unstable();
    cells.dedup();
    for (key, slot) in cells.iter().zip(store.cells(id, &cells)?) {
        state.provide_cell(*key, slot);
    }
    Ok(())
}

/// Fetches what a decision needs.
fn provide(
    store: &mut dyn Reader,
    id: TenantId,
    state: &mut State,
    given: &mut Given,
    need: Need,
) -> Result<(), StoreError> {
    match need {
        Need::Cell(key) => state.provide_cell(key, store.cell(id, &key)?),
        Need::Object(key) => {
            let slot = store.object(id, &key)?;
            state.provide_object(key, slot);
        }
        Need::Range(from, to) => {
            let found = store.range(id, &from, &to, false, usize::MAX)?;
            let values = found.into_iter().filter_map(|(key, slot)| Some((key, slot.value?))).collect();
            given.ranges.insert((from, to), values);
        }
        Need::AsOf(cell, at) => {
            let quantity = as_of(state, store, id, cell, at, Seq::MAX)?;
            given.as_of.insert((cell, at), quantity);
        }
        Need::Stocked(item) => {
            let held = store.cells_of(id, item)?.into_iter();
            let held = held.filter(|(key, slot)| !key.state.is_party() && !slot.quantity.is_zero());
            state.provide_stocked(item, held);
        }
        Need::MovedAfter(cell, at) => {
            let seqs = moved_after(state, store, id, cell, at)?;
            given.moved_after.insert((cell, at), seqs);
        }
        Need::Request(_) => unreachable!("what is known of a command's key is given with it"),
        Need::Record(seq) => {
            let records = match store.chunk_of(id, seq)? {
                Some(chunk) => decode_records(&chunk)?,
                None => Vec::new(),
            };
            given.records.insert(seq, record_of(&records, seq).cloned());
        }
    }
    Ok(())
}

/// The entries that moved a cell after an instant, by when it happened; the oldest first.
pub(crate) fn moved_after(
    state: &State,
    store: &mut (impl Reader + ?Sized),
    id: TenantId,
    cell: CellKey,
    at: Instant,
) -> Result<Vec<Seq>, StoreError> {
    let slot = match state.cell(&cell) {
        Some(slot) => slot.clone(),
        None => store.cell(id, &cell)?,
    };
    // Nearly always nothing has.
    if slot.seq == 0 || slot.latest <= at {
        return Ok(Vec::new());
    }
    let mut rows = slot.pending.clone();
    let mut before = rows.first().map_or(Seq::MAX >> 1, |row| row.seq);
    loop {
        let written = store.trail(id, &cell, before, TRAIL_PAGE)?;
        // What is not late happened after all that was known before it.
        let ends = written.iter().any(|row| !row.late && row.occurred_at <= at);
        before = written.last().map_or(0, |row| row.seq);
        let is_last = written.len() < TRAIL_PAGE;
        rows.extend(written);
        if ends || is_last {
            break;
        }
    }
    let mut seqs: Vec<Seq> = rows.iter().filter(|row| row.occurred_at > at).map(|row| row.seq).collect();
    seqs.sort_unstable();
    Ok(seqs)
}

/// So many rows of a trail are read at a time.
const TRAIL_PAGE: usize = 64;

/// The one of some records that has an entry.
fn record_of(records: &[(Seq, Record)], seq: Seq) -> Option<&(Seq, Record)> {
    let found = records.iter().rev().find(|(first, _)| *first <= seq);
    found.filter(|(first, record)| seq - first < record.entries.len() as Seq)
}

/// What was answered to a key: earlier in this batch, or whenever it was.
fn earlier(
    store: &mut Writer,
    id: TenantId,
    pending: &Pending,
    used: &[Seq],
    key: &str,
    hash: u64,
) -> Result<Earlier, StoreError> {
    if pending.hashes.contains(&hash) {
        for (_, seq) in pending.keys.iter().filter(|(other, _)| *other == hash) {
            let record = pending.records.of(*seq).filter(|(first, _)| first == seq).map(|(_, record)| record);
            if let Some(record) = record.filter(|record| record.key.as_deref() == Some(key)) {
                return Ok(answered(record.clone(), *seq));
            }
        }
    }
    for seq in used.iter().copied() {
        let missing = || StoreError::Damaged(format!("a key points at entry {seq}, where no record begins"));
        let chunk = store.here()?.chunk_of(id, seq)?.ok_or_else(missing)?;
        let mut records = decode_records(&chunk)?.into_iter();
        let (_, record) = records.find(|(first, _)| *first == seq).ok_or_else(missing)?;
        // Else it is another key of the same hash.
        if record.key.as_deref() == Some(key) {
            return Ok(answered(record, seq));
        }
    }
    Ok(Earlier::Free)
}

fn answered(record: Record, seq: Seq) -> Earlier {
    let Record { fingerprint, answer, .. } = record;
    Earlier::Answered(Box::new(Answered { fingerprint, answer, seq }))
}

/// What a cell held at an instant, by what happened, as known at a `seq`: the last movement in its order at or
/// before that instant, and the late ones that were heard of after it.
pub(crate) fn as_of(
    state: &State,
    store: &mut (impl Reader + ?Sized),
    id: TenantId,
    cell: CellKey,
    at: Instant,
    known: Seq,
) -> Result<Quantity, StoreError> {
    let known = known.min(state.head);
    let pending = state.cell(&cell).map(|slot| slot.pending.as_slice()).unwrap_or_default();
    let base =
        pending.iter().rev().find(|row| !row.late && row.occurred_at <= at && row.seq <= known).copied();
    let base = match base {
        Some(row) => Some(row),
        None => store.trail_before(id, &cell, at, known)?,
    };
    let (from, mut quantity) = base.map_or((0, Quantity::ZERO), |row| (row.seq, row.balance));
    let (first, last) = (Key::Late(cell, from + 1), Key::Late(cell, known));
    if known > from {
        let mut late: BTreeMap<Key, Option<Value>> = store
            .range(id, &first, &last, false, usize::MAX)?
            .into_iter()
            .map(|(key, slot)| (key, slot.value))
            .collect();
        late.extend(state.dirty_range(&first, &last).map(|(key, slot)| (key.clone(), slot.value.clone())));
        for value in late.into_values().flatten() {
            if let Value::Late(occurred_at, change) = value
                && occurred_at <= at
            {
                quantity += change;
            }
        }
    }
    Ok(quantity)
}

fn sweep_all(tenant: &mut Tenant, batch: &mut Batch) {
    batch.cells = tenant.state.take_dirty_cells(None, usize::MAX);
    batch.objects = tenant.state.take_dirty_objects(None, usize::MAX);
    // None of them is dirty any more.
    let full = tenant.state.take_full_cells();
    debug_assert!(full.is_empty(), "all cells are written");
    tenant.head.flushed = tenant.state.head;
    tenant.sweep = None;
}

/// Writes a slice of what is dirty, in key order; what became dirty behind the slice waits for the next pass.
fn sweep_some(tenant: &mut Tenant, batch: &mut Batch, touched: usize, options: Options) {
    let state = &mut tenant.state;
    let dirty = state.dirty_len();
    let much = FLUSH_SPAN.min(2 * options.flush_at);
    let sweep = tenant.sweep.get_or_insert(Sweep {
        until: state.head,
        span: if dirty < options.flush_at { CALM_SPAN } else { much },
        cells_after: None,
        cells_done: false,
        objects_after: None,
    });
    // All that is dirty is written by the time that so many entries have come.
    let slice = options.slice.max((dirty * touched / sweep.span).min(8 * touched));
    if !sweep.cells_done {
        batch.cells = state.take_dirty_cells(sweep.cells_after, slice);
        match batch.cells.last() {
            Some((key, _)) if batch.cells.len() == slice => sweep.cells_after = Some(*key),
            _ => sweep.cells_done = true,
        }
        return;
    }
    batch.objects = state.take_dirty_objects(sweep.objects_after.as_ref(), slice);
    match batch.objects.last() {
        Some((key, _)) if batch.objects.len() == slice => sweep.objects_after = Some(key.clone()),
        _ => {
            tenant.head.flushed = sweep.until;
            tenant.sweep = None;
        }
    }
}
