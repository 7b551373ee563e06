//! Reading: every statement names one tenant.

use std::collections::BTreeMap;
use std::sync::{Arc, LazyLock};

use onhand_ledger::state::{CellSlot, Slot, TrailRow};
use onhand_ledger::{
    CellKey, ConsignorId, Instant, ItemId, Key, LocationId, LotId, Seq, StockState, TenantId,
};
use tokio_postgres::Row;

use super::wire::{Ask, Connection, Failure, Parameter, Wire, parameters};
use crate::rows::{
    CellRow, HEADLESS, ObjectRow, cell_numbers, head_sum, orphaned, signed, trail_sum, whole_chunk,
    whole_note,
};
use crate::{Chunk, Head, KeyAt, Note, Reader, Shown, StoreError, Work, trail};

/// See [`orphaned`].
static ORPHANED: LazyLock<String> =
    LazyLock::new(|| orphaned(&["cell", "object", "trail", "note", "request_key"]));

/// Whoever reads, on a connection that it may share.
pub(super) struct PostgresReader {
    wire: Arc<Wire>,
    pub seat: Arc<Seat>,
    /// While all is read as it was at one instant.
    snapshot: Option<Snapshot>,
}

/// A transaction that only reads, and the turn to have one on a connection.
struct Snapshot {
    connection: Arc<Connection>,
    _turn: tokio::sync::OwnedMutexGuard<()>,
}

/// Where a connection is kept: made when it is first needed, and anew once it is gone.
#[derive(Default)]
pub(super) struct Seat {
    connection: tokio::sync::Mutex<Option<Arc<Connection>>>,
    /// Whose it is alone for a while.
    turn: Arc<tokio::sync::Mutex<()>>,
}

impl Seat {
    pub async fn connection(&self, wire: &Wire) -> Result<Arc<Connection>, Failure> {
        let mut seat = self.connection.lock().await;
        if let Some(connection) = seat.as_ref().filter(|connection| !connection.is_gone()) {
            return Ok(connection.clone());
        }
        let connection = wire.connect().await?;
        *seat = Some(connection.clone());
        Ok(connection)
    }

    /// It is of no use any more.
    pub async fn leave(&self, gone: &Arc<Connection>) {
        let mut seat = self.connection.lock().await;
        if seat.as_ref().is_some_and(|connection| Arc::ptr_eq(connection, gone)) {
            *seat = None;
        }
    }
}

pub(super) const HEAD: &str =
    "SELECT seq, hash, recorded_at, flushed, keyed, sum FROM head WHERE tenant_id = $1";
const TENANTS: &str = "SELECT tenant_id FROM head ORDER BY tenant_id";
/// Of those whose systems a node speaks with: each of some tenants' heads by its key.
const ENDS: &str = "SELECT tenant_id, seq FROM head WHERE tenant_id = ANY($1)";
/// The kind of keys of due times, and of documents that wait (14): statements and indexes have them too.
const DUE_KIND: u8 = 16;
/// These name no tenant: each reads an index of its own, made for it.
const DUE_FIRST: &str = "SELECT tenant_id, key FROM object WHERE kind = 16 ORDER BY key, tenant_id LIMIT $1";
const CONNECTED: &str = "SELECT DISTINCT tenant_id FROM note WHERE space = 'connection' ORDER BY tenant_id";
const INBOUND: &str = "SELECT DISTINCT tenant_id FROM note WHERE space = 'inbound' ORDER BY tenant_id";
const ALERTING: &str = "SELECT DISTINCT tenant_id FROM note WHERE space = 'alert_target' ORDER BY tenant_id";
const SUBSCRIBED: &str =
    "SELECT DISTINCT tenant_id FROM note WHERE space = 'subscription' ORDER BY tenant_id";
const RAW: &str = "SELECT DISTINCT tenant_id FROM note WHERE space = 'raw' ORDER BY tenant_id";
const WAITING: &str = "SELECT DISTINCT tenant_id FROM object WHERE kind = 14 ORDER BY tenant_id";
const CELL: &str = "SELECT quantity, seq, latest, latest_before, recent, sum FROM cell WHERE tenant_id = $1 \
    AND item_id = $2 AND location_id = $3 AND state = $4 AND lot_id = $5 AND consignor_id = $6";
const CELLS_OF: &str = "SELECT item_id, location_id, state, lot_id, consignor_id, quantity, seq, latest, latest_before, \
    recent, sum FROM cell WHERE tenant_id = $1 AND item_id = $2 ORDER BY location_id, state, lot_id, consignor_id";
const CELLS_AFTER: &str = "SELECT item_id, location_id, state, lot_id, consignor_id, quantity, seq, latest, \
    latest_before, recent, sum FROM cell WHERE tenant_id = $1 \
    AND (item_id, location_id, state, lot_id, consignor_id) > ($2, $3, $4, $5, $6) \
    ORDER BY item_id, location_id, state, lot_id, consignor_id LIMIT $7";
const OBJECT: &str = "SELECT key, seq, body, sum FROM object WHERE tenant_id = $1 AND kind = $2 AND key = $3";
const OBJECTS: &str = "SELECT o.key, o.seq, o.body, o.sum, k.kind FROM unnest($2::bigint[], $3::bytea[]) AS k(kind, key) \
    CROSS JOIN LATERAL (SELECT * FROM object WHERE object.tenant_id = $1 AND object.kind = k.kind \
    AND object.key = k.key LIMIT 1) o";
/// Whoever reads sees one instant, and cannot write.
const BEGIN_READING: &str = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY";
pub(super) const CLOCK: &str = "SELECT (extract(epoch FROM clock_timestamp()) * 1000000)::bigint";
const RANGE: &str = "SELECT key, seq, body, sum FROM object WHERE tenant_id = $1 AND kind = $2 \
    AND key BETWEEN $3 AND $4 ORDER BY key LIMIT $5";
const RANGE_BACK: &str = "SELECT key, seq, body, sum FROM object WHERE tenant_id = $1 AND kind = $2 \
    AND key BETWEEN $3 AND $4 ORDER BY key DESC LIMIT $5";
const OBJECTS_AFTER: &str = "SELECT key, seq, body, sum, kind FROM object WHERE tenant_id = $1 \
    AND (kind, key) > ($2, $3) ORDER BY kind, key LIMIT $4";
const KEYS_AFTER: &str = "SELECT hash, seq FROM request_key WHERE tenant_id = $1 AND (hash, seq) > ($2, $3) \
    ORDER BY hash, seq LIMIT $4";
const KEYS_AMONG: &str = "SELECT hash, seq FROM request_key WHERE tenant_id = $1 AND hash = ANY($2)";
const CHUNK_OF: &str = "SELECT first_seq, entries, recorded_at, hash, body, sum FROM log WHERE tenant_id = $1 \
    AND first_seq <= $2 ORDER BY first_seq DESC LIMIT 1";
const CHUNKS_FROM: &str = "SELECT first_seq, entries, recorded_at, hash, body, sum FROM log WHERE tenant_id = $1 \
    AND first_seq >= $2 ORDER BY first_seq LIMIT $3";
const TRAIL_BY_TIME: &str = "SELECT body, first_at, first_seq, sum FROM trail WHERE tenant_id = $1 AND item_id = $2 \
    AND location_id = $3 AND state = $4 AND lot_id = $5 AND consignor_id = $6 AND first_at <= $7 AND first_seq <= $8 \
    AND (first_at, first_seq) < ($9, $10) ORDER BY first_at DESC, first_seq DESC LIMIT $11";
const TRAIL_BY_SEQ: &str = "SELECT body, first_at, first_seq, sum FROM trail WHERE tenant_id = $1 AND item_id = $2 \
    AND location_id = $3 AND state = $4 AND lot_id = $5 AND consignor_id = $6 AND $7::bigint <= 0 AND first_seq < $8 \
    AND (first_at, first_seq) < ($9, $10) ORDER BY first_at DESC, first_seq DESC LIMIT $11";
const NOTE: &str = "SELECT body, sum FROM note WHERE tenant_id = $1 AND space = $2 AND key = $3";
const NOTES: &str = "SELECT key, body, sum FROM note WHERE tenant_id = $1 AND space = $2 AND key > $3 \
    ORDER BY key LIMIT $4";
const FIRST_NOTES: &str =
    "SELECT key, body, sum FROM note WHERE tenant_id = $1 AND space = $2 ORDER BY key LIMIT $3";
const NOTES_AFTER: &str = "SELECT space, key, body, sum FROM note WHERE tenant_id = $1 AND (space, key) > ($2, $3) \
    ORDER BY space, key LIMIT $4";
const SHOWN_VERSION: &str =
    "SELECT coalesce(max(version), 0) FROM note WHERE tenant_id = $1 AND starts_with(space, 'shown:')";
const SHOWN_SINCE: &str =
    "SELECT space, key FROM note WHERE tenant_id = $1 AND starts_with(space, 'shown:') AND version > $2";
/// How many notes are checked at a time.
const NOTES_AT_ONCE: usize = 1_000;

/// How many blocks of a trail are read at first: one answers nearly always. Each further time twice as many are.
const BLOCKS: i64 = 4;
const MOST_BLOCKS: i64 = 256;

/// A hash as its column has it: signed, in the same order.
pub(super) fn signed_hash(hash: u64) -> i64 {
    (hash ^ (1 << 63)).cast_signed()
}

fn hash_of(signed: i64) -> u64 {
    signed.cast_unsigned() ^ (1 << 63)
}

fn limited(limit: usize) -> i64 {
    i64::try_from(limit).unwrap_or(i64::MAX)
}

/// A column that is what it must be.
pub(super) fn get<'r, T: tokio_postgres::types::FromSql<'r>>(
    row: &'r Row,
    column: usize,
) -> Result<T, StoreError> {
    row.try_get(column).map_err(|error| StoreError::Damaged(format!("a column cannot be read: {error}")))
}

fn unsigned(row: &Row, column: usize) -> Result<u64, StoreError> {
    let number: i64 = get(row, column)?;
    u64::try_from(number)
        .map_err(|_| StoreError::Damaged(format!("{number} is where an id or a seq must be")))
}

fn hash(row: &Row, column: usize) -> Result<[u8; 32], StoreError> {
    let bytes: &[u8] = get(row, column)?;
    bytes.try_into().map_err(|_| StoreError::Damaged(format!("a hash has {} bytes", bytes.len())))
}

/// The head of a row, checked.
pub(super) fn read_head(tenant: TenantId, row: &Row) -> Result<Head, StoreError> {
    let head = Head {
        seq: unsigned(row, 0)?,
        hash: hash(row, 1)?,
        recorded_at: Instant::from_micros(get(row, 2)?),
        flushed: unsigned(row, 3)?,
        keyed: unsigned(row, 4)?,
    };
    head_sum(signed(tenant.0), &head).must_be(get(row, 5)?, || format!("the head of tenant {tenant}"))?;
    Ok(head)
}

pub(super) fn read_cell_key(row: &Row) -> Result<CellKey, StoreError> {
    let code: i64 = get(row, 2)?;
    let state = u8::try_from(code).ok().and_then(StockState::from_code);
    Ok(CellKey {
        item: ItemId(unsigned(row, 0)?),
        location: LocationId(unsigned(row, 1)?),
        state: state
            .ok_or_else(|| StoreError::Damaged(format!("{code} is where a state of stock must be")))?,
        lot: LotId(unsigned(row, 3)?),
        consignor: ConsignorId(unsigned(row, 4)?),
    })
}

/// A cell's row, from a column on.
pub(super) fn read_cell(row: &Row, from: usize) -> Result<CellRow, StoreError> {
    Ok(CellRow {
        quantity: get(row, from)?,
        seq: get(row, from + 1)?,
        latest: get(row, from + 2)?,
        latest_before: get(row, from + 3)?,
        recent: get(row, from + 4)?,
        sum: get(row, from + 5)?,
    })
}

fn read_chunk(tenant: TenantId, row: &Row) -> Result<Chunk, StoreError> {
    let chunk = Chunk {
        first_seq: unsigned(row, 0)?,
        entries: unsigned(row, 1)?,
        recorded_at: Instant::from_micros(get(row, 2)?),
        hash: hash(row, 3)?,
        body: get(row, 4)?,
    };
    whole_chunk(tenant, chunk, get(row, 5)?)
}

fn read_object(tenant: TenantId, kind: u8, row: &Row) -> Result<(Key, Slot), StoreError> {
    let object = ObjectRow { bytes: get(row, 0)?, seq: get(row, 1)?, body: get(row, 2)?, sum: get(row, 3)? };
    object.whole(tenant, kind)
}

fn read_note(tenant: TenantId, space: &str, row: &Row, from: usize) -> Result<(String, String), StoreError> {
    let key = String::from_utf8(get(row, from)?)
        .map_err(|_| StoreError::Damaged(format!("the key of a note of {space} is no text")))?;
    let body = whole_note(tenant, space, &key, get(row, from + 1)?, get(row, from + 2)?)?;
    Ok((key, body))
}

/// The server's clock, and the heads of some tenants: one round trip.
pub(super) async fn heads_now(
    connection: &Connection,
    tenants: &[TenantId],
) -> Result<(Instant, Vec<Head>), Failure> {
    let head = |tenant: &TenantId| Ask { sql: HEAD, parameters: parameters![signed(tenant.0)] };
    let mut asks = vec![Ask { sql: CLOCK, parameters: Vec::new() }];
    asks.extend(tenants.iter().map(head));
    let answers = connection.ask_all(&asks, None).await?;
    let now = answers.first().and_then(|rows| rows.first()).map(|row| get::<i64>(row, 0)).transpose()?;
    let heads = tenants.iter().zip(answers.iter().skip(1));
    let head = |(tenant, rows): (&TenantId, &Vec<Row>)| {
        rows.first().map_or_else(|| Ok(Head::default()), |row| read_head(*tenant, row))
    };
    Ok((Instant::from_micros(now.unwrap_or_default()), heads.map(head).collect::<Result<_, StoreError>>()?))
}

/// The server's clock, and where the logs of some tenants end: one round trip, and one statement for all of them.
pub(super) async fn ends(connection: &Connection, tenants: Vec<i64>) -> Result<(Instant, Vec<Seq>), Failure> {
    let asks =
        [Ask { sql: CLOCK, parameters: Vec::new() }, Ask { sql: ENDS, parameters: parameters![tenants] }];
    let answers = connection.ask_all(&asks, None).await?;
    let now = answers.first().and_then(|rows| rows.first()).map(|row| get::<i64>(row, 0)).transpose()?;
    let ends = answers.iter().skip(1).flatten().map(|row| unsigned(row, 1)).collect::<Result<_, _>>()?;
    Ok((Instant::from_micros(now.unwrap_or_default()), ends))
}

impl PostgresReader {
    pub fn new(wire: Arc<Wire>, seat: Arc<Seat>) -> Self {
        Self { wire, seat, snapshot: None }
    }

    fn rows(&self, sql: &'static str, parameters: Vec<Parameter>) -> Result<Vec<Row>, StoreError> {
        Ok(self.rows_of_all(vec![Ask { sql, parameters }])?.into_iter().flatten().collect())
    }

    /// Asks all of these in one round trip, once more over a new connection where the old one is gone: reading changes nothing.
    fn rows_of_all(&self, asks: Vec<Ask>) -> Result<Vec<Vec<Row>>, StoreError> {
        let (wire, seat) = (self.wire.clone(), self.seat.clone());
        let snapshot = self.snapshot.as_ref().map(|snapshot| snapshot.connection.clone());
        self.wire.wait(async move {
            if let Some(connection) = snapshot {
                // Another connection would see another instant.
                let asked = connection.ask_all(&asks, None).await.map_err(Failure::from);
                return asked.map_err(|failure| failure.told("read", &wire.url));
            }
            let mut again = true;
            loop {
                let connection = match seat.connection(&wire).await {
                    Ok(connection) => connection,
                    Err(failure) => return Err(failure.told("read", &wire.url)),
                };
                match connection.ask_all(&asks, None).await.map_err(Failure::from) {
                    Ok(rows) => return Ok(rows),
                    Err(Failure::Lost(_) | Failure::Crossed(_)) if again => {
                        again = false;
                        seat.leave(&connection).await;
                    }
                    Err(failure) => return Err(failure.told("read", &wire.url)),
                }
            }
        })
    }

    fn row(&self, sql: &'static str, parameters: Vec<Parameter>) -> Result<Option<Row>, StoreError> {
        Ok(self.rows(sql, parameters)?.into_iter().next())
    }

    fn trail_blocks(
        &self,
        tenant: TenantId,
        cell: &CellKey,
        sql: &'static str,
        bounds: (i64, i64),
        mut visit: impl FnMut(Vec<TrailRow>) -> bool,
    ) -> Result<(), StoreError> {
        let damaged = || StoreError::Damaged(format!("the trail of {cell:?} cannot be read"));
        let [item, location, state, lot, consignor] = cell_numbers(cell);
        let id = signed(tenant.0);
        let row = self.row(CELL, parameters![id, item, location, state, lot, consignor])?;
        let Some(row) = row else { return Ok(()) };
        let row = read_cell(&row, 0)?;
        row.check(tenant, cell)?;
        let recent = trail::decode(&row.recent).ok_or_else(damaged)?;
        if !recent.is_empty() && !visit(recent) {
            return Ok(());
        }
        let (mut before, mut blocks) = ((i64::MAX, i64::MAX), BLOCKS);
        loop {
            let key = parameters![id, item, location, state, lot, consignor];
            let from = parameters![bounds.0, bounds.1, before.0, before.1, blocks];
            let rows = self.rows(sql, key.into_iter().chain(from).collect())?;
            for row in &rows {
                let (body, first_at, first_seq): (&[u8], i64, i64) =
                    (get(row, 0)?, get(row, 1)?, get(row, 2)?);
                let name = || format!("the row at entry {first_seq} of the trail of {cell:?}");
                trail_sum(id, cell, first_at, first_seq, body).must_be(get(row, 3)?, name)?;
                if !visit(trail::decode(body).ok_or_else(damaged)?) {
                    return Ok(());
                }
                before = (first_at, first_seq);
            }
            if limited(rows.len()) < blocks {
                return Ok(());
            }
            blocks = MOST_BLOCKS.min(2 * blocks);
        }
    }

    /// Nobody else reads all notes: the log says nothing of them.
    fn check_notes(&mut self, tenant: TenantId) -> Result<(), StoreError> {
        let mut after: Option<(String, String)> = None;
        loop {
            let from = after.as_ref().map(|(space, key)| (space.as_str(), key.as_str()));
            let Some(last) = self.notes_after(tenant, from, NOTES_AT_ONCE)?.pop() else { return Ok(()) };
            after = Some((last.space, last.key));
        }
    }
}

impl Reader for PostgresReader {
    fn tenants(&mut self) -> Result<Vec<TenantId>, StoreError> {
        self.rows(TENANTS, Vec::new())?.iter().map(|row| unsigned(row, 0).map(TenantId)).collect()
    }

    fn headless(&mut self) -> Result<Option<TenantId>, StoreError> {
        let rows = self.rows(HEADLESS, Vec::new())?;
        let tenant = rows.first().map(|row| get::<Option<i64>>(row, 0)).transpose()?.flatten();
        Ok(tenant.map(|tenant| TenantId(tenant.unsigned_abs())))
    }

    fn tenants_at(&mut self, work: Work) -> Result<Vec<TenantId>, StoreError> {
        let sql = match work {
            Work::Connected => CONNECTED,
            Work::Waiting => WAITING,
            Work::Inbound => INBOUND,
            Work::Alerting => ALERTING,
            Work::Subscribed => SUBSCRIBED,
            Work::Raw => RAW,
        };
        self.rows(sql, Vec::new())?.iter().map(|row| unsigned(row, 0).map(TenantId)).collect()
    }

    fn due_first(&mut self, limit: usize) -> Result<Vec<(TenantId, Instant)>, StoreError> {
        let read = |row: &Row| match Key::from_bytes(DUE_KIND, get(row, 1)?) {
            Some(Key::Due(at, _)) => Ok((TenantId(unsigned(row, 0)?), at)),
            _ => Err(StoreError::Damaged("the key of a due time cannot be read".to_owned())),
        };
        self.rows(DUE_FIRST, parameters![limited(limit)])?.iter().map(read).collect()
    }

    fn head(&mut self, tenant: TenantId) -> Result<Head, StoreError> {
        let row = self.row(HEAD, parameters![signed(tenant.0)])?;
        row.map_or_else(|| Ok(Head::default()), |row| read_head(tenant, &row))
    }

    fn cell(&mut self, tenant: TenantId, key: &CellKey) -> Result<CellSlot, StoreError> {
        let [item, location, state, lot, consignor] = cell_numbers(key);
        let row = self.row(CELL, parameters![signed(tenant.0), item, location, state, lot, consignor])?;
        row.map_or_else(|| Ok(CellSlot::default()), |row| read_cell(&row, 0)?.whole(tenant, key))
    }

    fn cells(&mut self, tenant: TenantId, keys: &[CellKey]) -> Result<Vec<CellSlot>, StoreError> {
        let mut columns: [Vec<i64>; 5] = Default::default();
        for key in keys {
            for (column, number) in columns.iter_mut().zip(cell_numbers(key)) {
                column.push(number);
            }
        }
        let [items, locations, states, lots, consignors] = columns;
        let parameters = parameters![signed(tenant.0), items, locations, states, lots, consignors];
        let rows = self.rows(super::write::CELLS, parameters)?;
        let mut found: BTreeMap<CellKey, CellSlot> =
            rows.iter().map(|row| whole_cell(tenant, row)).collect::<Result<_, _>>()?;
        Ok(keys.iter().map(|key| found.remove(key).unwrap_or_default()).collect())
    }

    fn objects(&mut self, tenant: TenantId, keys: &[Key]) -> Result<Vec<Slot>, StoreError> {
        let (kinds, bytes): (Vec<i64>, Vec<Vec<u8>>) =
            keys.iter().map(|key| (i64::from(key.kind()), key.bytes())).unzip();
        let rows = self.rows(OBJECTS, parameters![signed(tenant.0), kinds, bytes])?;
        let mut found = BTreeMap::<Key, Slot>::new();
        for row in &rows {
            let kind: i64 = get(row, 4)?;
            let kind =
                u8::try_from(kind).map_err(|_| StoreError::Damaged(format!("an object has kind {kind}")))?;
            found.extend([read_object(tenant, kind, row)?]);
        }
        Ok(keys.iter().map(|key| found.remove(key).unwrap_or_default()).collect())
    }

    fn begin(&mut self) -> Result<(), StoreError> {
        self.end()?;
        let (wire, seat) = (self.wire.clone(), self.seat.clone());
        let begun = self.wire.wait(async move {
            let turn = seat.turn.clone().lock_owned().await;
            let mut again = true;
            loop {
                let begun = async {
                    let connection = seat.connection(&wire).await?;
                    match connection.run(BEGIN_READING).await {
                        Ok(()) => Ok(connection),
                        Err(error) => {
                            seat.leave(&connection).await;
                            Err(Failure::from(error))
                        }
                    }
                };
                match begun.await {
                    Ok(connection) => return Ok(Snapshot { connection, _turn: turn }),
                    Err(Failure::Lost(_) | Failure::Crossed(_)) if again => again = false,
                    Err(failure) => return Err(failure.told("read", &wire.url)),
                }
            }
        });
        self.snapshot = Some(begun?);
        Ok(())
    }

    fn end(&mut self) -> Result<(), StoreError> {
        if let Some(snapshot) = self.snapshot.take() {
            let seat = self.seat.clone();
            self.wire.wait(async move {
                // It has read all it wanted: a connection that cannot end that is of no use any more, and nothing else is lost.
                if snapshot.connection.run("COMMIT").await.is_err() {
                    seat.leave(&snapshot.connection).await;
                }
                Ok(())
            })?;
        }
        Ok(())
    }

    fn cells_of(&mut self, tenant: TenantId, item: ItemId) -> Result<Vec<(CellKey, CellSlot)>, StoreError> {
        let rows = self.rows(CELLS_OF, parameters![signed(tenant.0), signed(item.0)])?;
        rows.iter().map(|row| whole_cell(tenant, row)).collect()
    }

    fn cells_after(
        &mut self,
        tenant: TenantId,
        after: Option<CellKey>,
        limit: usize,
    ) -> Result<Vec<(CellKey, CellSlot)>, StoreError> {
        let key = after.unwrap_or(CellKey::new(ItemId(0), LocationId(0), StockState::Available));
        let [item, location, state, lot, consignor] = cell_numbers(&key);
        let parameters = parameters![signed(tenant.0), item, location, state, lot, consignor, limited(limit)];
        self.rows(CELLS_AFTER, parameters)?.iter().map(|row| whole_cell(tenant, row)).collect()
    }

    fn object(&mut self, tenant: TenantId, key: &Key) -> Result<Slot, StoreError> {
        let row = self.row(OBJECT, parameters![signed(tenant.0), i64::from(key.kind()), key.bytes()])?;
        row.map_or_else(|| Ok(Slot::default()), |row| Ok(read_object(tenant, key.kind(), &row)?.1))
    }

    fn range(
        &mut self,
        tenant: TenantId,
        from: &Key,
        to: &Key,
        reverse: bool,
        limit: usize,
    ) -> Result<Vec<(Key, Slot)>, StoreError> {
        let kind = from.kind();
        let parameters =
            parameters![signed(tenant.0), i64::from(kind), from.bytes(), to.bytes(), limited(limit)];
        let rows = self.rows(if reverse { RANGE_BACK } else { RANGE }, parameters)?;
        rows.iter().map(|row| read_object(tenant, kind, row)).collect()
    }

    fn objects_after(
        &mut self,
        tenant: TenantId,
        after: Option<&Key>,
        limit: usize,
    ) -> Result<Vec<(Key, Slot)>, StoreError> {
        let (kind, bytes) = after.map_or((0, Vec::new()), |key| (key.kind(), key.bytes()));
        let parameters = parameters![signed(tenant.0), i64::from(kind), bytes, limited(limit)];
        let rows = self.rows(OBJECTS_AFTER, parameters)?;
        let read = |row: &Row| {
            let kind: i64 = get(row, 4)?;
            let kind =
                u8::try_from(kind).map_err(|_| StoreError::Damaged(format!("an object has kind {kind}")))?;
            read_object(tenant, kind, row)
        };
        rows.iter().map(read).collect()
    }

    fn keys_after(
        &mut self,
        tenant: TenantId,
        after: Option<KeyAt>,
        limit: usize,
    ) -> Result<Vec<KeyAt>, StoreError> {
        let (hash, seq) = after.map_or((i64::MIN, -1), |(hash, seq)| (signed_hash(hash), signed(seq)));
        let rows = self.rows(KEYS_AFTER, parameters![signed(tenant.0), hash, seq, limited(limit)])?;
        rows.iter().map(read_key).collect()
    }

    fn check(&mut self) -> Result<Option<String>, StoreError> {
        let rows = self.rows(&ORPHANED, Vec::new())?;
        if let Some(tenant) = rows.first().map(|row| get::<Option<i64>>(row, 0)).transpose()?.flatten() {
            return Ok(Some(format!("there are rows of tenant {tenant}, and its head is missing")));
        }
        for tenant in self.tenants()? {
            match self.check_notes(tenant) {
                Ok(()) => {}
                Err(StoreError::Damaged(found)) => return Ok(Some(found)),
                Err(error) => return Err(error),
            }
        }
        Ok(None)
    }

    fn keys_like(&mut self, tenant: TenantId, hash: u64) -> Result<Vec<Seq>, StoreError> {
        Ok(self.keys_among(tenant, &[hash])?.into_iter().map(|(_, seq)| seq).collect())
    }

    fn keys_among(&mut self, tenant: TenantId, hashes: &[u64]) -> Result<Vec<KeyAt>, StoreError> {
        Ok(self.keys_among_each(&[(tenant, hashes.to_vec())])?.into_iter().flatten().collect())
    }

    fn keys_among_each(&mut self, asked: &[(TenantId, Vec<u64>)]) -> Result<Vec<Vec<KeyAt>>, StoreError> {
        let ask = |(tenant, hashes): &(TenantId, Vec<u64>)| {
            let mut hashes: Vec<i64> = hashes.iter().copied().map(signed_hash).collect();
            hashes.sort_unstable();
            hashes.dedup();
            Ask { sql: KEYS_AMONG, parameters: parameters![signed(tenant.0), hashes] }
        };
        let found = self.rows_of_all(asked.iter().map(ask).collect())?;
        found.iter().map(|rows| rows.iter().map(read_key).collect()).collect()
    }

    fn chunk_of(&mut self, tenant: TenantId, seq: Seq) -> Result<Option<Chunk>, StoreError> {
        let row = self.row(CHUNK_OF, parameters![signed(tenant.0), signed(seq)])?;
        let chunk = row.map(|row| read_chunk(tenant, &row)).transpose()?;
        Ok(chunk.filter(|chunk| seq < chunk.first_seq + chunk.entries))
    }

    fn chunks_after(&mut self, tenant: TenantId, seq: Seq, limit: usize) -> Result<Vec<Chunk>, StoreError> {
        let first = self.chunk_of(tenant, seq + 1)?.map_or(seq + 1, |chunk| chunk.first_seq);
        let rows = self.rows(CHUNKS_FROM, parameters![signed(tenant.0), signed(first), limited(limit)])?;
        rows.iter().map(|row| read_chunk(tenant, row)).collect()
    }

    fn trail_before(
        &mut self,
        tenant: TenantId,
        cell: &CellKey,
        at: Instant,
        known: Seq,
    ) -> Result<Option<TrailRow>, StoreError> {
        let mut found = None;
        let known_by = i64::try_from(known).unwrap_or(i64::MAX);
        self.trail_blocks(tenant, cell, TRAIL_BY_TIME, (at.micros(), known_by), |block| {
            found =
                block.into_iter().rev().find(|row| !row.late && row.occurred_at <= at && row.seq <= known);
            found.is_none()
        })?;
        Ok(found)
    }

    fn trail(
        &mut self,
        tenant: TenantId,
        cell: &CellKey,
        before: Seq,
        limit: usize,
    ) -> Result<Vec<TrailRow>, StoreError> {
        let mut rows = Vec::new();
        let bound = i64::try_from(before).unwrap_or(i64::MAX);
        self.trail_blocks(tenant, cell, TRAIL_BY_SEQ, (0, bound), |block| {
            rows.extend(block.into_iter().rev().filter(|row| row.seq < before).take(limit - rows.len()));
            rows.len() < limit
        })?;
        Ok(rows)
    }

    fn note(&mut self, tenant: TenantId, space: &str, key: &str) -> Result<Option<String>, StoreError> {
        if space.contains('\0') {
            return Ok(None);
        }
        let row = self.row(NOTE, parameters![signed(tenant.0), space.to_owned(), key.as_bytes().to_vec()])?;
        let read = |row: Row| whole_note(tenant, space, key, get(&row, 0)?, get(&row, 1)?);
        row.map(read).transpose()
    }

    fn notes(
        &mut self,
        tenant: TenantId,
        space: &str,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Vec<(String, String)>, StoreError> {
        let (id, space_text) = (signed(tenant.0), space.to_owned());
        let rows = match after {
            None => self.rows(FIRST_NOTES, parameters![id, space_text, limited(limit)])?,
            Some(key) => {
                self.rows(NOTES, parameters![id, space_text, key.as_bytes().to_vec(), limited(limit)])?
            }
        };
        rows.iter().map(|row| read_note(tenant, space, row, 0)).collect()
    }

    fn notes_after(
        &mut self,
        tenant: TenantId,
        after: Option<(&str, &str)>,
        limit: usize,
    ) -> Result<Vec<Note>, StoreError> {
        let (space, key) = after.unwrap_or_default();
        let (space, key) = (space.to_owned(), key.as_bytes().to_vec());
        let rows = self.rows(NOTES_AFTER, parameters![signed(tenant.0), space, key, limited(limit)])?;
        let read = |row: &Row| {
            let space: String = get(row, 0)?;
            let (key, body) = read_note(tenant, &space, row, 1)?;
            Ok(Note { space, key, body: Some(body) })
        };
        rows.iter().map(read).collect()
    }

    fn shown_since(&mut self, tenant: TenantId, version: Option<i64>) -> Result<Option<Shown>, StoreError> {
        let id = signed(tenant.0);
        let newest = self.row(SHOWN_VERSION, parameters![id])?.map_or(Ok(0), |row| get(&row, 0))?;
        let mut shown = Shown { version: newest, notes: Vec::new() };
        let Some(version) = version.filter(|version| *version < newest) else { return Ok(Some(shown)) };
        for row in self.rows(SHOWN_SINCE, parameters![id, version])? {
            let (space, key): (String, Vec<u8>) = (get(&row, 0)?, get(&row, 1)?);
            let key = String::from_utf8(key)
                .map_err(|_| StoreError::Damaged(format!("the key of a note of {space} is no text")))?;
            shown.notes.push((space, key));
        }
        Ok(Some(shown))
    }
}

impl Drop for PostgresReader {
    fn drop(&mut self) {
        // Whoever uses the connection next must find it free.
        let _ = self.end();
    }
}

fn whole_cell(tenant: TenantId, row: &Row) -> Result<(CellKey, CellSlot), StoreError> {
    let key = read_cell_key(row)?;
    Ok((key, read_cell(row, 5)?.whole(tenant, &key)?))
}

fn read_key(row: &Row) -> Result<KeyAt, StoreError> {
    Ok((hash_of(get(row, 0)?), unsigned(row, 1)?))
}
