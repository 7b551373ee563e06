//! Moves all tenants from one store to another: the log byte for byte, the notes, and all tables folded from the log.
//!
//! The log is read from its first entry on and its chain checked, whether an entry is copied or is there already. What is not
//! there is written in slices, each durable and whole (the log, and all that follows it), so that a copy that was stopped goes on
//! where the target's log ends. A target whose log is no beginning of the source's is refused before anything is written.
//! While a copy is not whole, a note in the target says so ([`is_unfinished`]).
//!
//! What is not its business: keeping others from writing to the source meanwhile. If somebody did, the heads differ at the end, and
//! [`Copied::went_on`] says so: what is missing is copied by doing it again.

use std::collections::BTreeMap;

use onhand_ledger::state::Need;
use onhand_ledger::{Instant, Seq, State, TenantId};
use onhand_store::{
    Batch, Chunk, Head, KeyAt, Note, Reader, Store, StoreError, WriteKeys, chain, decode_records, key_hash,
};

/// How many entries a slice has unless told: some megabytes, and a second or two.
pub const SLICE: u64 = 50_000;
/// How many chunks are read at a time.
const CHUNKS: usize = 256;
/// How many notes are read at a time.
const NOTES: usize = 1_000;
/// What is written is forgotten when so much is in memory.
const CACHE: usize = 500_000;

/// The note that says that a copy is not whole: its space and key.
const UNFINISHED: (&str, &str) = ("migration", "unfinished");

/// Why nothing (more) is copied.
#[derive(Debug, thiserror::Error)]
pub enum MigrateError {
    /// There is nothing to copy.
    #[error("there is nothing in the source: it has no tenant")]
    Empty,
    /// The source is a copy that is not whole.
    #[error(
        "the source is itself a copy that is not whole: finish that one first, by the same command as before"
    )]
    Unfinished,
    /// The target has another ledger.
    #[error(
        "the target has another ledger: of tenant {tenant} it has {target} entries that are not those of the source ({source_entries}). \
         Nothing was changed. Name an empty database, or one that an earlier copy of this very ledger went to"
    )]
    AnotherLog {
        /// Whose.
        tenant: TenantId,
        /// How many entries it has in the target.
        target: Seq,
        /// And how many in the source.
        source_entries: Seq,
    },
    /// The target has a tenant that is not in the source.
    #[error(
        "the target has tenant {0}, which the source does not have. Nothing was changed. Name an empty database"
    )]
    AnotherTenant(TenantId),
    /// The target is behind its own log: its tables must be written first.
    #[error("the tables of tenant {0} in the target are behind its log; start Onhand on it once, and end it")]
    Behind(TenantId),
    /// The source's log is not whole.
    #[error(
        "law 5 (append-only): the log of tenant {tenant} in the source is not whole at entry {at}: {what}. Verify it, and restore a \
         backup if that finds it too"
    )]
    NotWhole {
        /// Whose.
        tenant: TenantId,
        /// Where.
        at: Seq,
        /// What is wrong.
        what: &'static str,
    },
    /// A store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// How far a copy is.
#[derive(Clone, Copy, Debug)]
pub struct Progress {
    /// Entries that were read and checked, over all tenants.
    pub checked: u64,
    /// Entries that there are to check.
    pub of: u64,
}

/// What was copied of a tenant.
#[derive(Clone, Debug)]
pub struct Copied {
    /// Whose.
    pub tenant: TenantId,
    /// Where its log ends now in the target, as far as the source had it when it was read.
    pub head: Head,
    /// How many entries were copied; the others were there already.
    pub entries: u64,
    /// How many notes were written or removed.
    pub notes: u64,
    /// How many entries the source has now beyond that: somebody wrote to it meanwhile.
    pub went_on: u64,
}

/// Does a store have a copy that is not whole?
pub fn is_unfinished(store: &mut dyn Reader) -> Result<bool, StoreError> {
    let (space, key) = UNFINISHED;
    // It is kept with the first tenant.
    let first = store.tenants()?.into_iter().next();
    first.map_or(Ok(false), |tenant| Ok(store.note(tenant, space, key)?.is_some()))
}

/// Copies all that is in `source` and not in `target`, `slice` entries with each transaction or a few more.
pub fn migrate(
    source: &mut dyn Reader,
    target: &mut dyn Store,
    slice: u64,
    progress: &mut dyn FnMut(Progress),
) -> Result<Vec<Copied>, MigrateError> {
    let tenants = source.tenants()?;
    if is_unfinished(source)? {
        return Err(MigrateError::Unfinished);
    }
    let Some(first) = tenants.first().copied() else { return Err(MigrateError::Empty) };
    if let Some(other) = target.tenants()?.into_iter().find(|tenant| !tenants.contains(tenant)) {
        return Err(MigrateError::AnotherTenant(other));
    }
    let mut heads = Vec::with_capacity(tenants.len());
    for tenant in &tenants {
        heads.push((*tenant, fitting(source, target, *tenant)?));
    }
    mark(target, first, true)?;
    let mut told = Progress { checked: 0, of: heads.iter().map(|(_, head)| head.seq).sum() };
    let mut copied = Vec::with_capacity(heads.len());
    for (tenant, head) in heads {
        let entries = copy_log(source, target, (tenant, head), slice, &mut |entries| {
            told.checked += entries;
            progress(told);
        })?;
        let notes = copy_notes(source, target, tenant)?;
        copied.push(Copied { tenant, head, entries, notes, went_on: 0 });
    }
    for tenant in source.tenants()?.into_iter().filter(|tenant| !tenants.contains(tenant)) {
        copied.push(Copied { tenant, head: Head::default(), entries: 0, notes: 0, went_on: 0 });
    }
    for one in &mut copied {
        one.went_on = source.head(one.tenant)?.seq.saturating_sub(one.head.seq);
    }
    if copied.iter().all(|one| one.went_on == 0) {
        mark(target, first, false)?;
    }
    Ok(copied)
}

/// The source's head of a tenant, where the target's log is a beginning of the source's.
fn fitting(source: &mut dyn Reader, target: &mut dyn Store, tenant: TenantId) -> Result<Head, MigrateError> {
    let (head, there) = (source.head(tenant)?, target.head(tenant)?);
    let is_beginning = match there.seq {
        0 => true,
        seq => source
            .chunk_of(tenant, seq)?
            .is_some_and(|chunk| chunk.first_seq + chunk.entries == seq + 1 && chunk.hash == there.hash),
    };
    if !is_beginning {
        return Err(MigrateError::AnotherLog { tenant, target: there.seq, source_entries: head.seq });
    }
    if there.flushed != there.seq || there.keyed != there.seq {
        return Err(MigrateError::Behind(tenant));
    }
    Ok(head)
}

/// Says in the target that the copy is not whole, or that it is.
fn mark(target: &mut dyn Store, tenant: TenantId, unfinished: bool) -> Result<(), StoreError> {
    let (space, key) = UNFINISHED;
    let body = unfinished.then(|| "true".to_owned());
    write_notes(target, tenant, vec![Note { space: space.to_owned(), key: key.to_owned(), body }])
}

fn write_notes(target: &mut dyn Store, tenant: TenantId, notes: Vec<Note>) -> Result<(), StoreError> {
    let head = target.head(tenant)?;
    target.commit(&[(tenant, Batch { after: head, head, notes, ..Batch::default() })])
}

/// Reads a tenant's log up to a head, checks its chain, and writes what the target does not have. How many entries that was.
fn copy_log(
    source: &mut dyn Reader,
    target: &mut dyn Store,
    (tenant, head): (TenantId, Head),
    slice: u64,
    checked: &mut dyn FnMut(u64),
) -> Result<u64, MigrateError> {
    let not_whole = |at, what| MigrateError::NotWhole { tenant, at, what };
    let mut there = target.head(tenant)?;
    let began_at = there.seq;
    let mut state = State::new(there.seq, Instant::MIN, []);
    let mut open = Vec::<Chunk>::new();
    let (mut at, mut hash) = (0, [0; 32]);
    while at < head.seq {
        let chunks = source.chunks_after(tenant, at, CHUNKS)?;
        if chunks.is_empty() {
            return Err(not_whole(at + 1, "it is missing, and its head says that it is there"));
        }
        // What came after the head was read is left to another time.
        for chunk in chunks.into_iter().take_while(|chunk| chunk.first_seq <= head.seq) {
            if chunk.first_seq != at + 1 {
                return Err(not_whole(at + 1, "it is missing"));
            }
            hash = chain(&hash, tenant, &chunk);
            if chunk.hash != hash {
                return Err(not_whole(chunk.first_seq, "the hash chain breaks"));
            }
            at += chunk.entries;
            checked(chunk.entries);
            if at <= began_at {
                continue;
            }
            open.push(chunk);
            let first = open.first().map_or(at, |chunk| chunk.first_seq);
            if at + 1 - first >= slice {
                there = write_slice(target, tenant, &mut state, there, std::mem::take(&mut open))?;
            }
        }
    }
    if (at, hash) != (head.seq, head.hash) {
        return Err(not_whole(at, "its head says another hash"));
    }
    if !open.is_empty() {
        write_slice(target, tenant, &mut state, there, open)?;
    }
    Ok(at - began_at)
}

/// Writes some chunks and all that follows from them; where the target's log ends then.
fn write_slice(
    target: &mut dyn Store,
    tenant: TenantId,
    state: &mut State,
    after: Head,
    chunks: Vec<Chunk>,
) -> Result<Head, MigrateError> {
    let mut keys = Vec::<KeyAt>::new();
    for chunk in &chunks {
        for (first_seq, record) in decode_records(chunk)? {
            if let Some(key) = record.key.as_deref() {
                keys.push((key_hash(key), first_seq));
            }
            while let Err(need) = state.fold(first_seq, &record) {
                match need {
                    Need::Cell(key) => state.provide_cell(key, target.cell(tenant, &key)?),
                    Need::Object(key) => {
                        let slot = target.object(tenant, &key)?;
                        state.provide_object(key, slot);
                    }
                    Need::Range(..)
                    | Need::AsOf(..)
                    | Need::Request(_)
                    | Need::Record(_)
                    | Need::MovedAfter(..)
                    | Need::Stocked(_) => unreachable!("folding needs cells and objects alone"),
                }
            }
        }
    }
    let Some(last) = chunks.last() else { return Ok(after) };
    let seq = last.first_seq + last.entries - 1;
    let head = Head { seq, hash: last.hash, recorded_at: last.recorded_at, flushed: seq, keyed: seq };
    let cells = state.take_dirty_cells(None, usize::MAX);
    let objects = state.take_dirty_objects(None, usize::MAX);
    // None of them is dirty any more.
    state.take_full_cells();
    let write_keys = WriteKeys { at: 0, slice: 0 };
    let batch = Batch { after, chunks, head, cells, objects, keys, write_keys, notes: Vec::new() };
    target.commit(&[(tenant, batch)])?;
    if state.cached_len() > CACHE {
        state.evict_clean();
    }
    Ok(head)
}

/// Makes the target's notes of a tenant those of the source. How many that changed.
fn copy_notes(source: &mut dyn Reader, target: &mut dyn Store, tenant: TenantId) -> Result<u64, StoreError> {
    let mut changed = 0;
    let mut after: Option<(String, String)> = None;
    loop {
        let from = after.as_ref().map(|(space, key)| (space.as_str(), key.as_str()));
        let wanted = source.notes_after(tenant, from, NOTES)?;
        let until = wanted.last().map(|note| (note.space.clone(), note.key.clone()));
        let there = notes_until(target, tenant, from, until.as_ref())?;
        let notes = differing(wanted, there);
        changed += notes.len() as u64;
        if !notes.is_empty() {
            write_notes(target, tenant, notes)?;
        }
        match until {
            Some(until) => after = Some(until),
            None => return Ok(changed),
        }
    }
}

/// Notes after one up to another, which is included; up to the end where there is none.
fn notes_until(
    store: &mut dyn Store,
    tenant: TenantId,
    after: Option<(&str, &str)>,
    until: Option<&(String, String)>,
) -> Result<Vec<Note>, StoreError> {
    let mut found = Vec::<Note>::new();
    loop {
        let from = found.last().map(|note| (note.space.as_str(), note.key.as_str())).or(after);
        let page = store.notes_after(tenant, from, NOTES)?;
        let read = page.len();
        let is_in = |note: &Note| until.is_none_or(|(space, key)| (&note.space, &note.key) <= (space, key));
        let before = found.len();
        found.extend(page.into_iter().take_while(is_in));
        if found.len() - before < read || read == 0 {
            return Ok(found);
        }
    }
}

/// What is to be written so that what is there becomes what is wanted.
fn differing(wanted: Vec<Note>, there: Vec<Note>) -> Vec<Note> {
    let by_name = |note: Note| ((note.space, note.key), note.body);
    let (wanted, mut there): (BTreeMap<_, _>, BTreeMap<_, _>) =
        (wanted.into_iter().map(by_name).collect(), there.into_iter().map(by_name).collect());
    there.remove(&(UNFINISHED.0.to_owned(), UNFINISHED.1.to_owned()));
    let gone: Vec<Note> = there
        .keys()
        .filter(|name| !wanted.contains_key(name))
        .map(|(space, key)| Note { space: space.clone(), key: key.clone(), body: None })
        .collect();
    let changed = wanted.into_iter().filter(|(name, body)| there.get(name) != Some(body));
    changed.map(|((space, key), body)| Note { space, key, body }).chain(gone).collect()
}
