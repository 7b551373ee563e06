//! PostgreSQL: as many nodes as there are, each with a store of its own over one database.
//!
//! The database arbitrates: whoever commits takes the tenant's row of `head` first, and writes nothing unless it is as the batch
//! was decided on. Every table's key begins with the tenant, every statement names exactly one, and nothing else is used that would
//! tie tenants together (no sequences, advisory locks, notifications, or serializable transactions), so that tables can
//! be distributed by it. Memory is only a cache here: every commit should write all that is dirty.
//!
//! What is not its business: when a batch is decided anew because another node was quicker.

mod kept;
mod nodes;
mod read;
mod schema;
mod url;
mod wire;
mod write;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use onhand_ledger::state::{CellSlot, Slot, TrailRow};
use onhand_ledger::{CellKey, Instant, ItemId, Key, Seq, TenantId};

pub use self::url::PostgresUrl;

use self::kept::{Epoch, KeptRows};
use self::read::{PostgresReader, Seat};
use self::wire::{Connection, Failure, Wire};
use self::write::Prepared;
use crate::rows::signed;
use crate::{Batch, Chunk, Given, Head, KeyAt, Note, Presence, Reader, Shown, Store, StoreError, Work};

/// How many connections all readers share.
const READERS: usize = 4;
/// How many tenants' batches are written at the same time, by each committer.
const WRITERS: usize = 3;

/// How long a commit waits for a server that went away, unless told.
const PATIENCE: Duration = Duration::from_secs(20);

/// A database on a PostgreSQL server.
pub struct PostgresStore {
    wire: Arc<Wire>,
    /// The committer's own.
    reading: PostgresReader,
    readers: Arc<[Arc<Seat>]>,
    next_reader: Arc<AtomicUsize>,
    writers: Vec<Arc<Seat>>,
    kept: KeptRows,
}

impl PostgresStore {
    /// Connects, and makes the tables where they are not there. Fails where nobody answers, where we are not let in, and where
    /// the tables need a newer version.
    pub fn open(url: &PostgresUrl) -> Result<Self, StoreError> {
        Self::open_with(url, PATIENCE)
    }

    /// As [`PostgresStore::open`]; a commit waits as long as `patience` for a server that went away.
    pub fn open_with(url: &PostgresUrl, patience: Duration) -> Result<Self, StoreError> {
        let wire = Arc::new(Wire::new(url.clone(), patience)?);
        let seat = Arc::new(Seat::default());
        let (connecting, first) = (wire.clone(), seat.clone());
        wire.wait(async move {
            let opened = async {
                let connection = first.connection(&connecting).await?;
                schema::prepare(&connection, &connecting.url).await
            };
            opened.await.map_err(|failure| failure.told("opened", &connecting.url))
        })?;
        Ok(Self {
            reading: PostgresReader::new(wire.clone(), seat),
            wire,
            readers: seats(READERS).into(),
            next_reader: Arc::default(),
            writers: seats(WRITERS),
            kept: KeptRows::default(),
        })
    }

    /// Is there a database of ours at this address? Nothing is made.
    pub fn is_there(url: &PostgresUrl) -> Result<bool, StoreError> {
        let wire = Arc::new(Wire::new(url.clone(), PATIENCE)?);
        let (connecting, seat) = (wire.clone(), Seat::default());
        wire.wait(async move {
            let looked = async {
                let connection = seat.connection(&connecting).await?;
                Ok(schema::found(&connection).await?.is_some())
            };
            looked.await.map_err(|failure: Failure| failure.told("opened", &connecting.url))
        })
    }

    /// Does something on the committer's connection that may be done twice.
    fn on_connection<T: Send + 'static>(
        &self,
        doing: &'static str,
        work: impl AsyncConnectionWork<T>,
    ) -> Result<T, StoreError> {
        let (wire, seat) = (self.wire.clone(), self.reading.seat.clone());
        self.wire.wait(async move {
            let done = async {
                let connection = seat.connection(&wire).await?;
                match work.on(connection.clone()).await {
                    Err(Failure::Lost(_)) => {
                        seat.leave(&connection).await;
                        work.on(seat.connection(&wire).await?).await
                    }
                    done => done,
                }
            };
            done.await.map_err(|failure| failure.told(doing, &wire.url))
        })
    }
}

fn seats(many: usize) -> Vec<Arc<Seat>> {
    (0..many).map(|_| Arc::default()).collect()
}

/// Work that needs a connection.
trait AsyncConnectionWork<T>: Send + Sync + 'static {
    fn on(&self, connection: Arc<Connection>) -> impl Future<Output = Result<T, Failure>> + Send;
}

impl<T, W, F> AsyncConnectionWork<T> for W
where
    W: Fn(Arc<Connection>) -> F + Send + Sync + 'static,
    F: Future<Output = Result<T, Failure>> + Send,
{
    fn on(&self, connection: Arc<Connection>) -> impl Future<Output = Result<T, Failure>> + Send {
        self(connection)
    }
}

/// Everything a [`Reader`] does, done by the committer's own connection.
macro_rules! read_through {
    ($($name:ident($($argument:ident: $type:ty),*) -> $answer:ty;)*) => {
        impl Reader for PostgresStore {
            $(fn $name(&mut self, $($argument: $type),*) -> Result<$answer, StoreError> {
                self.reading.$name($($argument),*)
            })*
        }
    };
}

read_through! {
    tenants() -> Vec<TenantId>;
    tenants_at(work: Work) -> Vec<TenantId>;
    due_first(limit: usize) -> Vec<(TenantId, Instant)>;
    head(tenant: TenantId) -> Head;
    cell(tenant: TenantId, key: &CellKey) -> CellSlot;
    cells(tenant: TenantId, keys: &[CellKey]) -> Vec<CellSlot>;
    objects(tenant: TenantId, keys: &[Key]) -> Vec<Slot>;
    cells_of(tenant: TenantId, item: ItemId) -> Vec<(CellKey, CellSlot)>;
    cells_after(tenant: TenantId, after: Option<CellKey>, limit: usize) -> Vec<(CellKey, CellSlot)>;
    object(tenant: TenantId, key: &Key) -> Slot;
    range(tenant: TenantId, from: &Key, to: &Key, reverse: bool, limit: usize) -> Vec<(Key, Slot)>;
    objects_after(tenant: TenantId, after: Option<&Key>, limit: usize) -> Vec<(Key, Slot)>;
    keys_after(tenant: TenantId, after: Option<KeyAt>, limit: usize) -> Vec<KeyAt>;
    keys_like(tenant: TenantId, hash: u64) -> Vec<Seq>;
    keys_among(tenant: TenantId, hashes: &[u64]) -> Vec<KeyAt>;
    keys_among_each(asked: &[(TenantId, Vec<u64>)]) -> Vec<Vec<KeyAt>>;
    begin() -> ();
    end() -> ();
    check() -> Option<String>;
    chunk_of(tenant: TenantId, seq: Seq) -> Option<Chunk>;
    chunks_after(tenant: TenantId, seq: Seq, limit: usize) -> Vec<Chunk>;
    trail_before(tenant: TenantId, cell: &CellKey, at: Instant, known: Seq) -> Option<TrailRow>;
    trail(tenant: TenantId, cell: &CellKey, before: Seq, limit: usize) -> Vec<TrailRow>;
    note(tenant: TenantId, space: &str, key: &str) -> Option<String>;
    notes(tenant: TenantId, space: &str, after: Option<&str>, limit: usize) -> Vec<(String, String)>;
    notes_after(tenant: TenantId, after: Option<(&str, &str)>, limit: usize) -> Vec<Note>;
    shown_since(tenant: TenantId, version: Option<i64>) -> Option<Shown>;
}

impl Store for PostgresStore {
    fn is_shared(&self) -> bool {
        true
    }

    fn heads_now(&mut self, tenants: &[TenantId]) -> Result<(Instant, Vec<Head>), StoreError> {
        let tenants = tenants.to_vec();
        self.on_connection("read", move |connection: Arc<Connection>| {
            let tenants = tenants.clone();
            async move { read::heads_now(&connection, &tenants).await }
        })
    }

    fn ends(&mut self, tenants: &[TenantId]) -> Result<(Instant, Vec<Seq>), StoreError> {
        let tenants: Vec<i64> = tenants.iter().map(|tenant| signed(tenant.0)).collect();
        self.on_connection("read", move |connection: Arc<Connection>| {
            let tenants = tenants.clone();
            async move { read::ends(&connection, tenants).await }
        })
    }

    fn identity(&mut self) -> Result<Option<String>, StoreError> {
        self.on_connection("read", |connection: Arc<Connection>| async move {
            // A server that starts does so at a microsecond of its own.
            let asked = "SELECT current_database() || ' of ' || pg_postmaster_start_time()";
            let row = connection.first(asked).await?;
            row.map(|row| row.try_get(0)).transpose().map_err(Failure::from)
        })
    }

    fn stay(&mut self, node: &str, presence: Presence) -> Result<Vec<String>, StoreError> {
        let node = node.to_owned();
        self.on_connection("written", move |connection: Arc<Connection>| {
            let node = node.clone();
            async move { nodes::stay(&connection, &node, presence).await }
        })
    }

    fn given(&mut self) -> Result<Vec<Given>, StoreError> {
        self.on_connection(
            "read",
            |connection: Arc<Connection>| async move { nodes::given(&connection).await },
        )
    }

    fn give(&mut self, now: &Given, to: Option<&str>) -> Result<bool, StoreError> {
        let (now, to) = (now.clone(), to.map(ToOwned::to_owned));
        self.on_connection("written", move |connection: Arc<Connection>| {
            let (now, to) = (now.clone(), to.clone());
            async move { nodes::give(&connection, &now, to.as_deref()).await }
        })
    }

    fn commit(&mut self, batches: &[(TenantId, Batch)]) -> Result<(), StoreError> {
        let prepare = |(tenant, batch): &(TenantId, Batch)| Prepared::new(*tenant, batch, |_| None);
        let prepared: Vec<Prepared> = batches.iter().map(prepare).collect::<Result<_, _>>()?;
        for (tenant, _) in batches {
            self.kept.forget(*tenant);
        }
        let (wire, seat) = (self.wire.clone(), self.reading.seat.clone());
        self.wire.wait(async move { write::commit(&wire, &seat, &prepared).await.map(drop) })
    }

    fn commit_each(&mut self, batches: &[(TenantId, Batch)]) -> Vec<Result<(), StoreError>> {
        let mut results: Vec<Result<(), StoreError>> = batches.iter().map(|_| Ok(())).collect();
        let mut shares: Vec<Vec<(usize, Epoch, Prepared)>> =
            self.writers.iter().map(|_| Vec::new()).collect();
        for (number, (tenant, batch)) in batches.iter().enumerate() {
            let epoch = self.kept.at(*tenant, &batch.after);
            match Prepared::new(*tenant, batch, |key| self.kept.get(epoch, key)) {
                Ok(prepared) => shares[number % WRITERS].push((number, epoch, prepared)),
                Err(error) => results[number] = Err(error),
            }
        }
        let begin = |(seat, share): (&Arc<Seat>, Vec<(usize, Epoch, Prepared)>)| {
            let (wire, seat) = (self.wire.clone(), seat.clone());
            let numbers: Vec<usize> = share.iter().map(|(number, ..)| *number).collect();
            let begun = self.wire.begin(async move {
                let mut written = Vec::with_capacity(share.len());
                for (_, epoch, prepared) in share {
                    let rows = write::commit(&wire, &seat, std::slice::from_ref(&prepared)).await;
                    written.push(rows.map(|rows| (epoch, prepared.head, rows)));
                }
                Ok(written)
            });
            (numbers, begun)
        };
        let shares = self.writers.iter().zip(shares).filter(|(_, share)| !share.is_empty());
        let begun: Vec<_> = shares.map(begin).collect();
        for (numbers, begun) in begun {
            let written = match wire::end(&begun) {
                Ok(written) => written,
                Err(error) => numbers.iter().map(|_| Err(error.clone())).collect(),
            };
            for (number, written) in numbers.into_iter().zip(written) {
                let (tenant, _) = batches[number];
                results[number] = written.map(|(epoch, head, rows)| match rows {
                    Some(rows) => self.kept.wrote(tenant, epoch, &head, rows.into_iter().flatten()),
                    None => self.kept.forget(tenant),
                });
                if results[number].is_err() {
                    self.kept.forget(tenant);
                }
            }
        }
        results
    }

    fn remember_keys(&mut self, tenant: TenantId, keys: &[KeyAt]) -> Result<(), StoreError> {
        if keys.is_empty() {
            return Ok(());
        }
        let keys: Arc<[KeyAt]> = keys.into();
        self.on_connection("written", move |connection: Arc<Connection>| {
            let keys = keys.clone();
            async move { write::remember(&connection, tenant, &keys).await }
        })
    }

    fn try_writing(&mut self) -> Result<(), StoreError> {
        self.on_connection("written", |connection: Arc<Connection>| async move {
            write::try_writing(&connection).await
        })
    }

    fn beside(&self) -> Result<Option<Box<dyn Store>>, StoreError> {
        Ok(Some(Box::new(Self {
            reading: PostgresReader::new(self.wire.clone(), Arc::default()),
            wire: self.wire.clone(),
            readers: self.readers.clone(),
            next_reader: self.next_reader.clone(),
            writers: seats(WRITERS),
            kept: KeptRows::default(),
        })))
    }

    fn reader(&self) -> Result<Box<dyn Reader>, StoreError> {
        let number = self.next_reader.fetch_add(1, Ordering::Relaxed) % READERS;
        Ok(Box::new(PostgresReader::new(self.wire.clone(), self.readers[number].clone())))
    }

    fn clear_projections(&mut self) -> Result<(), StoreError> {
        self.kept.clear();
        for tenant in self.tenants()? {
            self.on_connection("written", move |connection: Arc<Connection>| async move {
                write::clear(&connection, tenant).await
            })?;
        }
        Ok(())
    }
}
