//! The committer: takes what is waiting, decides it, writes it in one transaction, then answers.
//!
//! While a batch is being committed nobody reads the state, so that no read sees what is not durable.
//! If the store fails, the state is dropped and read again: it may have what the store has not.

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use foldhash::HashSet;
use onhand_ledger::state::{Answered, Earlier, Need};
use onhand_ledger::{
    Answer, CellKey, Command, Due, Given, HoldId, Instant, Invalid, Key, LocationId, LotId, Quantity, Record,
    Seq, State, TenantId, Value, decide,
};
use onhand_store::{
    Batch, Chunk, Head, KeyAt, Note, Reader, Store, StoreError, WriteKeys, chain, decode_records,
    encode_records, key_hash,
};
use parking_lot::{Mutex, RwLock};
use tokio::sync::watch;

use crate::clock::Clock;
use crate::view::View;

/// How many entries a chunk of the log has at most before another begins.
const CHUNK_ENTRIES: usize = 72;
/// How many chunks are folded at a time when the tail of the log is read again.
const TAIL_CHUNKS: usize = 256;
/// Writing begins when tables are so many entries behind the log: a start folds it from there.
const MAX_BEHIND: Seq = 1_000_000;

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
        Self { flush_at: 200_000, slice: 256, cache: 2_000_000 }
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
    /// The store failed. Nothing of the batch was written; the same key may be sent again.
    #[error("nothing was changed: {0}")]
    Store(Arc<StoreError>),
}

impl From<StoreError> for CommitError {
    fn from(error: StoreError) -> Self {
        Self::Store(Arc::new(error))
    }
}

/// The ledger at work: the state in memory over a store.
pub struct Ledger {
    // Dropped before the store: the last connection that closes tidies up, and a reader may not.
    readers: Mutex<Vec<Box<dyn Reader>>>,
    inner: RwLock<Inner>,
    clock: Arc<dyn Clock>,
    feed: watch::Sender<Seq>,
    trouble: Mutex<Option<String>>,
}

struct Inner {
    /// Locked only to make a reader; whoever may write has it without locking.
    store: Mutex<Box<dyn Store>>,
    tenants: BTreeMap<TenantId, Tenant>,
    options: Options,
    key_hash: fn(&str) -> u64,
}

/// What a batch will write for one tenant.
#[derive(Default)]
struct Pending {
    records: Vec<(Seq, Record)>,
    keys: Vec<KeyAt>,
    /// Those of `keys`.
    hashes: HashSet<u64>,
    notes: Vec<Note>,
}

impl Pending {
    fn with_room_for(commands: usize) -> Self {
        let mut pending = Self::default();
        pending.records.reserve(commands);
        pending.keys.reserve(commands);
        pending.hashes.reserve(commands);
        pending
    }
}

struct Tenant {
    state: State,
    head: Head,
    sweep: Option<Sweep>,
}

/// A pass over all that was dirty when it began, in key order. When it is through, tables have all up to `until`.
struct Sweep {
    until: Seq,
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
        let mut inner = Inner { store: Mutex::new(store), tenants: BTreeMap::new(), options, key_hash };
        for tenant in inner.store.get_mut().tenants()? {
            inner.tenant(tenant)?;
        }
        let newest = inner.tenants.values().map(|tenant| tenant.state.head).max().unwrap_or(0);
        let (feed, _) = watch::channel(newest);
        let (inner, readers) = (RwLock::new(inner), Mutex::default());
        Ok(Self { inner, readers, clock, feed, trouble: Mutex::default() })
    }

    /// Tells of every entry: the newest over all tenants.
    pub fn feed(&self) -> watch::Receiver<Seq> {
        self.feed.subscribe()
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
        let tried = self.inner.write().store.get_mut().try_writing();
        *self.trouble.lock() = tried.as_ref().err().map(ToString::to_string);
        tried
    }

    /// Decides and writes all of these in one transaction, in order; one result for each.
    pub fn commit(&self, submissions: Vec<Submission>) -> Vec<Result<Committed, CommitError>> {
        let mut inner = self.inner.write();
        let results = inner.commit(submissions, self.clock.now());
        let newest = inner.tenants.values().map(|tenant| tenant.state.head).max().unwrap_or(0);
        drop(inner);
        let failed = results.iter().find_map(|result| match result {
            Err(CommitError::Store(error)) => Some(error.to_string()),
            _ => None,
        });
        *self.trouble.lock() = failed;
        // Notes are no news: who keeps one must not wake itself.
        self.feed.send_if_modified(|seq| std::mem::replace(seq, newest) != newest);
        results
    }

    /// Writes everything that tables do not have yet. For a clean end, and for tests.
    pub fn flush(&self) -> Result<(), StoreError> {
        self.inner.write().flush_all()
    }

    /// Forgets everything that tables have too, after writing what they do not.
    pub fn evict(&self) -> Result<(), StoreError> {
        let mut inner = self.inner.write();
        inner.flush_all()?;
        inner.tenants.values_mut().for_each(|tenant| tenant.state.evict_clean());
        Ok(())
    }

    /// Forgets all state, and all tables but the log, and folds the log again.
    pub fn rebuild(&self) -> Result<(), StoreError> {
        let mut inner = self.inner.write();
        inner.store.get_mut().clear_projections()?;
        let tenants: Vec<TenantId> = inner.tenants.keys().copied().collect();
        inner.tenants.clear();
        tenants.into_iter().try_for_each(|tenant| inner.tenant(tenant).map(|_| ()))
    }

    /// Reads at one `seq`: nothing is committed meanwhile. What is due by now is counted: the caller has it
    /// committed first where [`View::overdue`] says so.
    pub fn read<T>(
        &self,
        tenant: TenantId,
        read: impl FnOnce(&mut View<'_>) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        let mut inner = self.inner.upgradable_read();
        if !inner.tenants.contains_key(&tenant) {
            inner.with_upgraded(|inner| inner.tenant_with_a_log(tenant))?;
        }
        let inner = parking_lot::RwLockUpgradableReadGuard::downgrade(inner);
        let pooled = self.readers.lock().pop();
        let mut reader = match pooled {
            Some(reader) => reader,
            None => inner.store.lock().reader()?,
        };
        // Whoever asks for a tenant that there is not makes none.
        let nothing = State::default();
        let state = inner.tenants.get(&tenant).map_or(&nothing, |known| &known.state);
        let answer = read(&mut View::new(tenant, state, reader.as_mut(), self.clock.now()));
        self.readers.lock().push(reader);
        answer
    }

    /// When the next hold ends, over all tenants.
    pub fn next_due(&self) -> Option<(TenantId, Instant)> {
        let inner = self.inner.read();
        let due =
            inner.tenants.iter().filter_map(|(tenant, known)| Some((*tenant, known.state.next_due()?.0)));
        due.min_by_key(|(_, at)| *at)
    }

    /// All tenants that have a log.
    pub fn tenants(&self) -> Vec<TenantId> {
        self.inner.read().tenants.keys().copied().collect()
    }
}

impl Inner {
    /// Loads a tenant, if it has a log.
    fn tenant_with_a_log(&mut self, id: TenantId) -> Result<(), StoreError> {
        if self.store.get_mut().head(id)?.seq > 0 {
            self.tenant(id)?;
        }
        Ok(())
    }

    fn tenant(&mut self, id: TenantId) -> Result<&mut Tenant, StoreError> {
        if !self.tenants.contains_key(&id) {
            let tenant = load(self.store.get_mut().as_mut(), id, self.key_hash)?;
            self.tenants.insert(id, tenant);
        }
        Ok(self.tenants.get_mut(&id).expect("it was put there"))
    }

    fn commit(&mut self, submissions: Vec<Submission>, now: Instant) -> Vec<Result<Committed, CommitError>> {
        let mut batches = BTreeMap::<TenantId, Pending>::new();
        let most = submissions.len();
        let mut results = Vec::with_capacity(submissions.len());
        let mut broken = None;
        if let Err(error) = self.store.get_mut().begin_reading() {
            broken = Some(Arc::new(error));
        }
        for submission in submissions {
            let pending = batches.entry(submission.tenant).or_insert_with(|| Pending::with_room_for(most));
            let result = self.decide(&submission, now, pending);
            if result.is_ok() {
                pending.notes.extend(submission.notes);
            }
            if let Err(CommitError::Store(error)) = &result {
                broken = Some(error.clone());
            }
            results.push(result);
        }
        if let Err(error) = self.store.get_mut().end_reading() {
            broken.get_or_insert(Arc::new(error));
        }
        let written = match broken {
            Some(error) => Err(error),
            None => self.write(batches).map_err(Arc::new),
        };
        match written {
            Ok(()) => results,
            Err(error) => {
                // The state may hold what was never written.
                self.tenants.clear();
                let failed = |result: Result<Committed, CommitError>| match result {
                    Err(error @ (CommitError::Invalid(_) | CommitError::Bug)) => Err(error),
                    _ => Err(CommitError::Store(error.clone())),
                };
                results.into_iter().map(failed).collect()
            }
        }
    }

    /// Decides one command on the state, and takes the decision over. What is `pending` is not in the store yet.
    fn decide(
        &mut self,
        submission: &Submission,
        now: Instant,
        pending: &mut Pending,
    ) -> Result<Committed, CommitError> {
        let id = submission.tenant;
        let (cache, key_hash) = (self.options.cache, self.key_hash);
        self.tenant(id)?;
        let (store, tenants) = (self.store.get_mut().as_mut(), &mut self.tenants);
        let tenant = tenants.get_mut(&id).expect("it was loaded above");
        if tenant.state.cached_len() > cache {
            tenant.state.evict_clean();
        }
        let Some(command) = &submission.command else {
            let committed = Committed { answer: Answer::Ticked(0), seq: tenant.state.head, replayed: false };
            return Ok(committed);
        };
        let mut given = Given::default();
        let hash = command.key.as_deref().map(key_hash);
        if let Some((key, hash)) = command.key.as_deref().zip(hash) {
            given.earlier = earlier(store, id, pending, key, hash)?;
        }
        loop {
            // Deciding changes nothing, so that a bug in it costs one command and not the ledger.
            let (state, given_now) = (&tenant.state, &given);
            let decided = catch_unwind(AssertUnwindSafe(|| decide(state, given_now, command, now)));
            let decided = decided.map_err(|_| {
                tracing::error!(?command, "a command could not be decided: this is a bug");
                CommitError::Bug
            })?;
            match decided {
                Ok(decided) => {
                    let replayed = decided.replayed;
                    let (record, answer) = decided.absorb_into(&mut tenant.state);
                    if let Some((first_seq, record)) = record {
                        if let Some(hash) = hash {
                            pending.keys.push((hash, first_seq));
                            pending.hashes.insert(hash);
                        }
                        pending.records.push((first_seq, record));
                    }
                    return Ok(Committed { answer, seq: tenant.state.head, replayed });
                }
                Err(onhand_ledger::Undecided::Invalid(invalid)) => return Err(invalid.into()),
                Err(onhand_ledger::Undecided::Needs(needs)) => {
                    for need in needs {
                        if let Need::Record(seq) = need
                            && let Some(found) = record_of(&pending.records, seq)
                        {
                            given.records.insert(seq, Some(found.clone()));
                            continue;
                        }
                        provide(store, id, &mut tenant.state, &mut given, need)?;
                    }
                }
            }
        }
    }

    fn write(&mut self, batches: BTreeMap<TenantId, Pending>) -> Result<(), StoreError> {
        let options = self.options;
        let mut writes = Vec::new();
        for (id, Pending { records, keys, notes, .. }) in batches {
            let tenant = self.tenants.get_mut(&id).expect("it was decided on");
            let touched: usize = records.iter().map(|(_, record)| record.entries.len()).sum();
            let chunks = chunks(id, &tenant.head, &records);
            // Each key is written and merged a few times: as much of that as comes in, or more would be left each time.
            let write_keys = WriteKeys { at: options.flush_at, slice: 6 * keys.len() };
            let mut batch = Batch { chunks, keys, notes, write_keys, ..Batch::default() };
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
                    // The further it falls behind, the more at a time.
                    let slice = match dirty / options.flush_at {
                        0 => touched / 2,
                        1 => 2 * touched,
                        _ => 4 * touched,
                    };
                    sweep_some(tenant, &mut batch, options.slice.max(slice));
                }
            }
            batch.head = tenant.head;
            // Whatever was taken from the state counts as written: it must be.
            if !batch.is_empty() {
                writes.push((id, batch));
            }
        }
        if writes.is_empty() { Ok(()) } else { self.store.get_mut().commit(&writes) }
    }

    fn flush_all(&mut self) -> Result<(), StoreError> {
        let mut writes = Vec::new();
        for (id, tenant) in &mut self.tenants {
            let write_keys = WriteKeys { at: 0, slice: 0 };
            let mut batch = Batch { write_keys, ..Batch::default() };
            sweep_all(tenant, &mut batch);
            batch.head = tenant.head;
            writes.push((*id, batch));
        }
        let written = self.store.get_mut().commit(&writes);
        if written.is_err() {
            self.tenants.clear();
        }
        written
    }
}

/// A tenant as its store has it.
fn load(store: &mut dyn Store, id: TenantId, key_hash: fn(&str) -> u64) -> Result<Tenant, StoreError> {
    let head = store.head(id)?;
    if head.flushed > head.seq {
        let (flushed, seq) = (head.flushed, head.seq);
        return Err(StoreError::Damaged(format!(
            "tables are at entry {flushed}, and the log ends at entry {seq}"
        )));
    }
    let due = store.range(
        id,
        &Key::Due(Instant::MIN, Due::Hold(HoldId(0))),
        &Key::Due(Instant::MAX, Due::Lot(LotId(Seq::MAX), LocationId(Seq::MAX))),
        false,
        usize::MAX,
    )?;
    let due = due.into_iter().filter_map(|(key, _)| match key {
        Key::Due(at, due) => Some((at, due)),
        _ => None,
    });
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
        for chunk in chunks {
            for (first_seq, record) in decode_records(&chunk)? {
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
    }
    store.remember_keys(id, &keys)?;
    state.head = head.seq;
    state.recorded_at = state.recorded_at.max(head.recorded_at);
    Ok(Tenant { state, head, sweep: None })
}

/// Fetches what a decision needs.
fn provide(
    store: &mut dyn Store,
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

/// The one of some records that has an entry.
fn record_of(records: &[(Seq, Record)], seq: Seq) -> Option<&(Seq, Record)> {
    let found = records.iter().rev().find(|(first, _)| *first <= seq);
    found.filter(|(first, record)| seq - first < record.entries.len() as Seq)
}

/// What was answered to a key: earlier in this batch, or whenever it was.
fn earlier(
    store: &mut dyn Store,
    id: TenantId,
    pending: &Pending,
    key: &str,
    hash: u64,
) -> Result<Earlier, StoreError> {
    if pending.hashes.contains(&hash) {
        for (_, seq) in pending.keys.iter().filter(|(other, _)| *other == hash) {
            let index = pending.records.binary_search_by_key(seq, |(first, _)| *first);
            let record = index.ok().map(|index| &pending.records[index].1);
            if let Some(record) = record.filter(|record| record.key.as_deref() == Some(key)) {
                return Ok(answered(record.clone(), *seq));
            }
        }
    }
    for seq in store.keys_like(id, hash)? {
        let missing = || StoreError::Damaged(format!("a key points at entry {seq}, where no record begins"));
        let chunk = store.chunk_of(id, seq)?.ok_or_else(missing)?;
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

fn chunks(id: TenantId, head: &Head, records: &[(Seq, Record)]) -> Vec<Chunk> {
    let mut chunks = Vec::new();
    let mut hash = head.hash;
    let mut rest = records;
    while let Some((first_seq, first)) = rest.first() {
        let mut entries = first.entries.len();
        let more = rest[1..].iter().take_while(|(_, record)| {
            entries += record.entries.len();
            entries <= CHUNK_ENTRIES
        });
        let (together, after) = rest.split_at(1 + more.count());
        rest = after;
        let recorded_at = together.last().map_or(head.recorded_at, |(_, record)| record.recorded_at);
        let entries = together.iter().map(|(_, record)| record.entries.len() as u64).sum();
        let body = encode_records(together.iter().map(|(_, record)| record));
        let mut chunk = Chunk { first_seq: *first_seq, entries, recorded_at, body, hash };
        chunk.hash = chain(&hash, id, &chunk);
        hash = chunk.hash;
        chunks.push(chunk);
    }
    chunks
}

fn sweep_all(tenant: &mut Tenant, batch: &mut Batch) {
    batch.cells = tenant.state.take_dirty_cells(None, usize::MAX);
    batch.objects = tenant.state.take_dirty_objects(None, usize::MAX);
    tenant.head.flushed = tenant.state.head;
    tenant.sweep = None;
}

/// Writes a slice of what is dirty, in key order; what became dirty behind the slice waits for the next pass.
fn sweep_some(tenant: &mut Tenant, batch: &mut Batch, slice: usize) {
    let state = &mut tenant.state;
    let sweep = tenant.sweep.get_or_insert(Sweep {
        until: state.head,
        cells_after: None,
        cells_done: false,
        objects_after: None,
    });
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
