//! Persistence behind one interface: SQLite (the embedded default), PostgreSQL, and memory for tests.
//!
//! The log is the truth. Cells, objects, keys and trails follow it, each true at its own `seq`; `flushed` says up
//! to where all of them are. Whatever is in a [`Batch`] is written in one transaction or not at all, and is durable
//! when [`Store::commit`] returns. Every key begins with the tenant.
//!
//! What is not its business: what the entries mean.

use onhand_ledger::state::{CellSlot, Slot, TrailRow};
use onhand_ledger::{CellKey, Instant, ItemId, Key, Seq, TenantId};

/// Where a tenant's log ends.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Head {
    /// The last entry; 0 before the first.
    pub seq: Seq,
    /// The chain's hash after it; zeros before the first.
    pub hash: [u8; 32],
    /// When the last record was made.
    pub recorded_at: Instant,
    /// Cells, objects and trails have all that is up to here.
    pub flushed: Seq,
    /// The tables of keys have all that is up to here. The store's own: what a batch says of it does not count.
    pub keyed: Seq,
}

/// Some records of the log, together: the unit of the hash chain.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Chunk {
    /// The first entry.
    pub first_seq: Seq,
    /// How many entries.
    pub entries: u64,
    /// When the last record was made.
    pub recorded_at: Instant,
    /// The records, by [`encode_records`].
    pub body: Vec<u8>,
    /// [`chain`] of the chunk before and this one.
    pub hash: [u8; 32],
}

/// A row of what the engine keeps beside the ledger: sync state, cursors, API keys, connection settings.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Note {
    /// What kind of thing, such as `api_key`.
    pub space: String,
    /// Which one.
    pub key: String,
    /// Its content, JSON; none: it is gone.
    pub body: Option<String>,
}

/// What one transaction writes for one tenant.
#[derive(Clone, Debug, Default)]
pub struct Batch {
    /// The head that all of it was decided on. A store that several nodes write to writes nothing where the log has
    /// gone on since ([`StoreError::Moved`]).
    pub after: Head,
    /// New chunks, following that head without a gap.
    pub chunks: Vec<Chunk>,
    /// The head after them.
    pub head: Head,
    /// Cells as they are now, each with the trail rows since it was last written (`pending`).
    pub cells: Vec<(CellKey, CellSlot)>,
    /// Objects as they are now.
    pub objects: Vec<(Key, Slot)>,
    /// The request keys of `chunks`, by [`key_hash`].
    pub keys: Vec<KeyAt>,
    /// When keys are written to tables.
    pub write_keys: WriteKeys,
    /// Notes as they are now.
    pub notes: Vec<Note>,
}

/// When keys are written to tables, and how many at a time.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct WriteKeys {
    /// Writing begins when so many are in memory alone. 0: all are written now.
    pub at: usize,
    /// With how many keys a transaction deals, once writing has begun.
    pub slice: usize,
}

impl Default for WriteKeys {
    fn default() -> Self {
        Self { at: 500_000, slice: 0 }
    }
}

impl Batch {
    /// Nothing to write?
    pub fn is_empty(&self) -> bool {
        let Self { after: _, chunks, head: _, cells, objects, keys, write_keys: _, notes } = self;
        chunks.is_empty() && cells.is_empty() && objects.is_empty() && keys.is_empty() && notes.is_empty()
    }
}

/// Why the store cannot do it.
#[derive(Clone, Debug, thiserror::Error)]
pub enum StoreError {
    /// The file is none of ours.
    #[error("{path} is not an Onhand database: {reason}. Name another file, or none to make a new one")]
    NotOurs {
        /// The file.
        path: String,
        /// How that was seen.
        reason: String,
    },
    /// A later version has written it.
    #[error(
        "{path} was written by a newer Onhand (schema {found}, this one knows {known}). Use that version"
    )]
    Newer {
        /// The file.
        path: String,
        /// Its schema version.
        found: u32,
        /// Ours.
        known: u32,
    },
    /// Another process has it.
    #[error("{path} is in use by another Onhand process{}. Stop it, or send commands to it", holder.as_ref().and_then(|h| h.lines().next()).map_or(String::new(), |h| format!(" ({h})")))]
    InUse {
        /// The file.
        path: String,
        /// What that process wrote about itself: its API's address; and in a second line, where it speaks TLS, the file of its
        /// certificate.
        holder: Option<String>,
    },
    /// What is stored contradicts itself.
    #[error("the database is damaged: {0}. Restore a backup, and keep this file for examination")]
    Damaged(String),
    /// Reading or writing failed: nothing of the batch was written. Worth trying again.
    #[error("the database cannot be {doing}: {reason}")]
    Io {
        /// `read`, `written`, `opened`.
        doing: &'static str,
        /// What the engine said.
        reason: String,
    },
    /// The address of a database server cannot be read. It is not repeated here: it may have a password.
    #[error(
        "the database's address cannot be used: {0}. It must look like postgres://USER:PASSWORD@HOST:5432/DATABASE"
    )]
    WrongUrl(String),
    /// Another node wrote to this tenant since the batch was decided: nothing of the batch was written. What is known of
    /// the tenant must be read again.
    #[error("another node wrote to tenant {tenant} at the same time. Send it again")]
    Moved {
        /// Whose log went on.
        tenant: TenantId,
    },
    /// The server was lost while it wrote, and did not come back in time: the batch may be written or not. The key of a
    /// command tells, once the server is there again.
    #[error(
        "the database was lost while it wrote, and whether it did is not known yet: {reason}. Send the same again, under the same key"
    )]
    Unclear {
        /// What the connection said.
        reason: String,
    },
    /// What is stored needs a newer version of Onhand.
    #[error(
        "{database} needs Onhand with schema {needed} or newer, this one has {known}. Use a newer version"
    )]
    TooOld {
        /// Which database.
        database: String,
        /// The least schema version that may use it.
        needed: u32,
        /// Ours.
        known: u32,
    },
}

/// What nodes do of themselves, whoever's it is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Work {
    /// Systems are connected: there are notes of the space `connection`.
    Connected,
    /// Documents wait: for a name, or for their time.
    Waiting,
    /// Snapshots wait: there are notes of the space `inbound`.
    Inbound,
    /// Somebody is told of troubles: there are notes of the space `alert_target`.
    Alerting,
    /// Somebody is sent webhooks: there are notes of the space `subscription`.
    Subscribed,
    /// Raw documents are kept, that are let go of in time: there are notes of the space `raw`.
    Raw,
}

/// How a node is there.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Presence {
    /// It begins, under a name that no node ever had, and is there for so many milliseconds by the store's own clock.
    Enters(u32),
    /// It goes on for so many milliseconds from now, where it is still there.
    Stays(u32),
    /// It ends: what was given to it is free.
    Leaves,
}

/// A connected system, and the node that speaks with it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Given {
    /// Whose.
    pub tenant: TenantId,
    /// Which: the key of its note of the space `connection`.
    pub key: String,
    /// The node it was given to, which may be there no more.
    pub node: Option<String>,
}

/// Reads what is committed. All methods see one tenant, but for those that look for work.
pub trait Reader: Send {
    /// All tenants that have a head.
    fn tenants(&mut self) -> Result<Vec<TenantId>, StoreError>;
    /// A tenant whose log has entries and that has no head, which is damage. None where nothing is opened that has one.
    fn headless(&mut self) -> Result<Option<TenantId>, StoreError> {
        Ok(None)
    }
    /// The tenants that have such work, without looking at the others. Where one node writes all, it knows all of them anyway.
    fn tenants_at(&mut self, work: Work) -> Result<Vec<TenantId>, StoreError> {
        let _ = work;
        self.tenants()
    }
    /// What is due first over all tenants, at most `limit`, the earliest first. Only a shared store is asked: who writes alone
    /// has it in memory.
    fn due_first(&mut self, limit: usize) -> Result<Vec<(TenantId, Instant)>, StoreError> {
        let _ = limit;
        Ok(Vec::new())
    }
    /// Where the log ends; the default where there is none.
    fn head(&mut self, tenant: TenantId) -> Result<Head, StoreError>;
    /// A cell; the default where there is none. `pending` is empty.
    fn cell(&mut self, tenant: TenantId, key: &CellKey) -> Result<CellSlot, StoreError>;
    /// Some cells, in the order they are asked for.
    fn cells(&mut self, tenant: TenantId, keys: &[CellKey]) -> Result<Vec<CellSlot>, StoreError> {
        keys.iter().map(|key| self.cell(tenant, key)).collect()
    }
    /// Some objects, in the order they are asked for.
    fn objects(&mut self, tenant: TenantId, keys: &[Key]) -> Result<Vec<Slot>, StoreError> {
        keys.iter().map(|key| self.object(tenant, key)).collect()
    }
    /// Until [`Reader::end`], all that is read is as it was at one instant. Only a store that is shared need know of it: where there is one
    /// writer, whoever reads knows that it rests.
    fn begin(&mut self) -> Result<(), StoreError> {
        Ok(())
    }
    /// See [`Reader::begin`].
    fn end(&mut self) -> Result<(), StoreError> {
        Ok(())
    }
    /// All cells of an item, in key order, outside parties' included.
    fn cells_of(&mut self, tenant: TenantId, item: ItemId) -> Result<Vec<(CellKey, CellSlot)>, StoreError>;
    /// Cells after a key, in key order.
    fn cells_after(
        &mut self,
        tenant: TenantId,
        after: Option<CellKey>,
        limit: usize,
    ) -> Result<Vec<(CellKey, CellSlot)>, StoreError>;
    /// An object; `Slot::default()` where there is none.
    fn object(&mut self, tenant: TenantId, key: &Key) -> Result<Slot, StoreError>;
    /// Objects between two keys of one kind, both included, in order (or the reverse); at most `limit`.
    fn range(
        &mut self,
        tenant: TenantId,
        from: &Key,
        to: &Key,
        reverse: bool,
        limit: usize,
    ) -> Result<Vec<(Key, Slot)>, StoreError>;
    /// Objects after a key, in the order of kinds and keys: for audits.
    fn objects_after(
        &mut self,
        tenant: TenantId,
        after: Option<&Key>,
        limit: usize,
    ) -> Result<Vec<(Key, Slot)>, StoreError>;
    /// The keys that tables have after one, in order, at most `limit`: for audits.
    fn keys_after(
        &mut self,
        tenant: TenantId,
        after: Option<KeyAt>,
        limit: usize,
    ) -> Result<Vec<KeyAt>, StoreError>;
    /// Is what is stored sound by the engine's own judgement? Else what it found first.
    fn check(&mut self) -> Result<Option<String>, StoreError> {
        Ok(None)
    }
    /// The records that may have answered a request key, by their first entries: all that have a key of that hash, and
    /// nearly never another's.
    fn keys_like(&mut self, tenant: TenantId, hash: u64) -> Result<Vec<Seq>, StoreError>;
    /// All that [`Reader::keys_like`] says of these hashes, each with its hash.
    fn keys_among(&mut self, tenant: TenantId, hashes: &[u64]) -> Result<Vec<KeyAt>, StoreError> {
        let mut found = Vec::new();
        for hash in hashes {
            found.extend(self.keys_like(tenant, *hash)?.into_iter().map(|seq| (*hash, seq)));
        }
        Ok(found)
    }
    /// As [`Reader::keys_among`], for some tenants, in their order.
    fn keys_among_each(&mut self, asked: &[(TenantId, Vec<u64>)]) -> Result<Vec<Vec<KeyAt>>, StoreError> {
        asked.iter().map(|(tenant, hashes)| self.keys_among(*tenant, hashes)).collect()
    }
    /// The chunk that has an entry.
    fn chunk_of(&mut self, tenant: TenantId, seq: Seq) -> Result<Option<Chunk>, StoreError>;
    /// The chunks whose entries are (partly) after a `seq`, in order, at most `limit`.
    fn chunks_after(&mut self, tenant: TenantId, seq: Seq, limit: usize) -> Result<Vec<Chunk>, StoreError>;
    /// The last flushed row of a cell's trail that is not late, happened at or before `at`, and is known at `known`.
    fn trail_before(
        &mut self,
        tenant: TenantId,
        cell: &CellKey,
        at: Instant,
        known: Seq,
    ) -> Result<Option<TrailRow>, StoreError>;
    /// Flushed rows of a cell's trail with a `seq` below `before`, the newest first.
    fn trail(
        &mut self,
        tenant: TenantId,
        cell: &CellKey,
        before: Seq,
        limit: usize,
    ) -> Result<Vec<TrailRow>, StoreError>;
    /// A note's body.
    fn note(&mut self, tenant: TenantId, space: &str, key: &str) -> Result<Option<String>, StoreError>;
    /// The notes of a space after a key, in key order: (key, body).
    fn notes(
        &mut self,
        tenant: TenantId,
        space: &str,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Vec<(String, String)>, StoreError>;
    /// The notes of all spaces after one of a space and key, in the order of both: to copy them.
    fn notes_after(
        &mut self,
        tenant: TenantId,
        after: Option<(&str, &str)>,
        limit: usize,
    ) -> Result<Vec<Note>, StoreError>;
    /// Which notes of what systems show (those of the spaces that begin with `shown:`) were written after a version of a tenant's, and
    /// which is the newest by now; that alone where no version is told. None: the store numbers none.
    fn shown_since(&mut self, tenant: TenantId, version: Option<i64>) -> Result<Option<Shown>, StoreError> {
        let _ = (tenant, version);
        Ok(None)
    }
}

/// What was written of what systems show.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Shown {
    /// The newest version.
    pub version: i64,
    /// Space and key of the notes.
    pub notes: Vec<(String, String)>,
}

/// Writes. There is one writer at a time; readers see what was committed before they began.
pub trait Store: Reader {
    /// Writes all of it, durably, or nothing.
    fn commit(&mut self, batches: &[(TenantId, Batch)]) -> Result<(), StoreError>;
    /// Writes each tenant's batch durably, or nothing of it: one may be written where another is not. Where one engine keeps
    /// all tenants in one file, all of them share what becomes of them.
    fn commit_each(&mut self, batches: &[(TenantId, Batch)]) -> Vec<Result<(), StoreError>> {
        let written = self.commit(batches);
        batches.iter().map(|_| written.clone()).collect()
    }
    /// Do other processes write to it too? Then each commit must write all that is dirty, and may be told [`StoreError::Moved`].
    fn is_shared(&self) -> bool {
        false
    }
    /// What time the store's own clock says, and where the logs of some tenants end by now, in their order. Asked of shared stores only.
    fn heads_now(&mut self, tenants: &[TenantId]) -> Result<(Instant, Vec<Head>), StoreError> {
        let heads: Result<Vec<Head>, StoreError> = tenants.iter().map(|tenant| self.head(*tenant)).collect();
        Ok((Instant::MIN, heads?))
    }
    /// What time the store's own clock says, and where the logs of some tenants end, of those that have one: all of them asked for
    /// together. Asked of shared stores only.
    fn ends(&mut self, tenants: &[TenantId]) -> Result<(Instant, Vec<Seq>), StoreError> {
        let (now, heads) = self.heads_now(tenants)?;
        Ok((now, heads.iter().map(|head| head.seq).collect()))
    }
    /// Which database it is, where two addresses may lead to one.
    fn identity(&mut self) -> Result<Option<String>, StoreError> {
        Ok(None)
    }
    /// Says how a node is there, and which are there then, in order. One that is not among them was not heard of for too long: it
    /// never comes back under that name, and others may have been given what it had. Asked of shared stores only.
    fn stay(&mut self, node: &str, presence: Presence) -> Result<Vec<String>, StoreError> {
        Ok(if presence == Presence::Leaves { Vec::new() } else { vec![node.to_owned()] })
    }
    /// All connected systems, of all tenants, in order. Asked of shared stores only.
    fn given(&mut self) -> Result<Vec<Given>, StoreError> {
        Ok(Vec::new())
    }
    /// Gives a connected system to a node, or to none, where it is given as `now` says. Was it? Not where somebody else was
    /// quicker. Asked of shared stores only.
    fn give(&mut self, now: &Given, to: Option<&str>) -> Result<bool, StoreError> {
        let _ = (now, to);
        Ok(false)
    }
    /// Until [`Store::end_reading`], what is read is read together, which is quicker. Nothing is written meanwhile.
    fn begin_reading(&mut self) -> Result<(), StoreError> {
        Ok(())
    }
    /// See [`Store::begin_reading`].
    fn end_reading(&mut self) -> Result<(), StoreError> {
        Ok(())
    }
    /// Keeps keys in memory that are in the log after [`Head::keyed`]: a start tells of them.
    fn remember_keys(&mut self, _tenant: TenantId, _keys: &[KeyAt]) -> Result<(), StoreError> {
        Ok(())
    }
    /// Fails where a commit would now: writes what a commit writes, the log too, and leaves nothing behind.
    fn try_writing(&mut self) -> Result<(), StoreError> {
        Ok(())
    }
    /// Another store of the same data, which writes beside this one and waits for nothing that this one does: only where others write too.
    fn beside(&self) -> Result<Option<Box<dyn Store>>, StoreError> {
        Ok(None)
    }
    /// Another reader of the same data, for use beside the writer.
    fn reader(&self) -> Result<Box<dyn Reader>, StoreError>;
    /// Forgets everything but the log and the notes, so that the state is folded again from the log.
    fn clear_projections(&mut self) -> Result<(), StoreError>;
}

/// The chain's hash after a chunk: BLAKE3 over the hash before, the tenant, the chunk's figures and its body.
pub fn chain(before: &[u8; 32], tenant: TenantId, chunk: &Chunk) -> [u8; 32] {
    let mut hasher = blake3::Hasher::new();
    hasher.update(before);
    for number in [tenant.0, chunk.first_seq, chunk.entries, chunk.recorded_at.micros().cast_unsigned()] {
        hasher.update(&number.to_be_bytes());
    }
    hasher.update(&chunk.body);
    *hasher.finalize().as_bytes()
}

mod believes;
mod keys;
mod memory;
mod postgres;
mod records;
mod rows;
mod sqlite;
mod sum;
mod through;
mod trail;

pub use believes::Believes;
pub use keys::{KeyAt, key_hash};
pub use memory::MemoryStore;
pub use postgres::{PostgresStore, PostgresUrl};
pub use records::{decode_records, encode_records};
pub use sqlite::{CopyProgress, FileFacts, SqliteStore, backup, behind_links, inspect, put_in_place};

/// The blocks that a cell's rows are kept in, each with the latest time known at its first row: these times never fall
/// along `seq`, late rows or not, so that a block can be found by time. `latest_before` is the latest time before the first.
fn trail_blocks(latest_before: Instant, rows: &[TrailRow]) -> impl Iterator<Item = (Instant, &[TrailRow])> {
    // A first row that is not late is the latest there is; for a cell that never moved nothing else is known.
    let ordered = rows.first().is_some_and(|row| !row.late);
    let mut latest = if ordered { Instant::MIN } else { latest_before };
    rows.chunks(trail::BLOCK).map(move |block| {
        let first = block.first().map_or(latest, |row| row.occurred_at);
        let first_at = latest.max(first);
        latest = block.iter().fold(latest.max(first_at), |latest, row| latest.max(row.occurred_at));
        (first_at, block)
    })
}
