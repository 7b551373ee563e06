//! Writing: one transaction in two round trips. The first takes the tenant's head, so that nobody else writes it meanwhile, and
//! reads the cells that grow and are not kept in memory; the second writes all of it and commits.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use onhand_ledger::state::CellSlot;
use onhand_ledger::{CellKey, TenantId};
use tokio::time::Instant;
use tokio_postgres::Row;

use super::read::{Seat, get, read_cell, read_cell_key, read_head, signed_hash};
use super::schema;
use super::wire::{Ask, Connection, Failure, Wire, parameters, plain};
use crate::rows::{CellRow, cell_numbers, head_sum, log_sum, note_sum, object_sum, signed};
use crate::{Batch, Chunk, Head, KeyAt, StoreError};

const PAUSE: Duration = Duration::from_millis(50);

/// Two first batches of a tenant wait for one another as any two do, though there is no row yet.
const MAKE_HEAD: &str = "INSERT INTO head(tenant_id, seq, hash, recorded_at, flushed, keyed, sum) \
    VALUES($1, 0, $2, 0, 0, 0, $3) ON CONFLICT (tenant_id) DO NOTHING";
const TAKE_HEAD: &str = "SELECT seq, hash, recorded_at, flushed, keyed, sum, (SELECT max(min_compatible) FROM schema_version) \
    FROM head WHERE tenant_id = $1 FOR UPDATE OF head";
/// The least version whose nodes may write.
const LEAST: &str = "SELECT max(min_compatible) FROM schema_version";
/// Each looked up by its whole key: as a join, a plan made while the table was small reads all of the tenant for each.
pub(super) const CELLS: &str = "SELECT k.item_id, k.location_id, k.state, k.lot_id, k.consignor_id, c.quantity, c.seq, c.latest, \
    c.latest_before, c.recent, c.sum FROM unnest($2::bigint[], $3::bigint[], $4::bigint[], $5::bigint[], $6::bigint[]) \
    AS k(item_id, location_id, state, lot_id, consignor_id) CROSS JOIN LATERAL (SELECT * FROM cell \
    WHERE cell.tenant_id = $1 AND cell.item_id = k.item_id AND cell.location_id = k.location_id \
    AND cell.state = k.state AND cell.lot_id = k.lot_id AND cell.consignor_id = k.consignor_id LIMIT 1) c";
const PUT_HEAD: &str = "UPDATE head SET seq = $2, hash = $3, recorded_at = $4, flushed = $5, keyed = $6, sum = $7 \
    WHERE tenant_id = $1";
const PUT_LOG: &str = "INSERT INTO log(tenant_id, first_seq, entries, recorded_at, hash, body, sum) SELECT $1, * \
    FROM unnest($2::bigint[], $3::bigint[], $4::bigint[], $5::bytea[], $6::bytea[], $7::bigint[])";
const PUT_CELLS: &str = "INSERT INTO cell(tenant_id, item_id, location_id, state, lot_id, consignor_id, quantity, seq, \
    latest, latest_before, recent, sum) SELECT $1, * FROM unnest($2::bigint[], $3::bigint[], $4::bigint[], \
    $5::bigint[], $6::bigint[], $7::bigint[], $8::bigint[], $9::bigint[], $10::bigint[], $11::bytea[], $12::bigint[]) \
    ON CONFLICT (tenant_id, item_id, location_id, state, lot_id, consignor_id) DO UPDATE SET \
    quantity = excluded.quantity, seq = excluded.seq, latest = excluded.latest, \
    latest_before = excluded.latest_before, recent = excluded.recent, sum = excluded.sum";
const PUT_TRAIL: &str = "INSERT INTO trail(tenant_id, item_id, location_id, state, lot_id, consignor_id, first_at, \
    first_seq, body, sum) SELECT $1, * FROM unnest($2::bigint[], $3::bigint[], $4::bigint[], $5::bigint[], \
    $6::bigint[], $7::bigint[], $8::bigint[], $9::bytea[], $10::bigint[])";
const PUT_OBJECTS: &str = "INSERT INTO object(tenant_id, kind, key, seq, body, sum) SELECT $1, * \
    FROM unnest($2::bigint[], $3::bytea[], $4::bigint[], $5::text[], $6::bigint[]) \
    ON CONFLICT (tenant_id, kind, key) DO UPDATE SET seq = excluded.seq, body = excluded.body, sum = excluded.sum";
/// One by one, in one round trip: joined with a list of them, a table that was small when this was planned is read from end to end.
const DROP_OBJECT: &str = "DELETE FROM object WHERE tenant_id = $1 AND kind = $2 AND key = $3";
/// Those of a batch: what follows the head is new, as the log is.
const PUT_NEW_KEYS: &str = "INSERT INTO request_key(tenant_id, hash, seq) SELECT $1, * \
    FROM unnest($2::bigint[], $3::bigint[])";
pub(super) const PUT_KEYS: &str = "INSERT INTO request_key(tenant_id, hash, seq) SELECT $1, * \
    FROM unnest($2::bigint[], $3::bigint[]) ON CONFLICT (tenant_id, hash, seq) DO NOTHING";
const PUT_NOTES: &str = "INSERT INTO note(tenant_id, space, key, body, sum) SELECT $1, * \
    FROM unnest($2::text[], $3::bytea[], $4::text[], $5::bigint[]) \
    ON CONFLICT (tenant_id, space, key) DO UPDATE SET body = excluded.body, sum = excluded.sum";
const DROP_NOTES: &str = "DELETE FROM note n USING unnest($2::text[], $3::bytea[]) AS k(space, key) \
    WHERE n.tenant_id = $1 AND n.space = k.space AND n.key = k.key";
const IS_IN_LOG: &str = "SELECT hash FROM log WHERE tenant_id = $1 AND first_seq = $2";
const CLEAR: [&str; 4] = [
    "DELETE FROM cell WHERE tenant_id = $1",
    "DELETE FROM trail WHERE tenant_id = $1",
    "DELETE FROM object WHERE tenant_id = $1",
    "DELETE FROM request_key WHERE tenant_id = $1",
];
const TRY: [&str; 4] = [
    "INSERT INTO log(tenant_id, first_seq, entries, recorded_at, hash, body, sum) \
     VALUES($1, 0, 0, 0, '', convert_to(repeat('.', 8192), 'UTF8'), 0)",
    "DELETE FROM log WHERE tenant_id = $1",
    "INSERT INTO note(tenant_id, space, key, body, sum) VALUES($1, 'probe', '', '', 0)",
    "DELETE FROM note WHERE tenant_id = $1",
];

/// A batch as it is written, on its own: it may be written more than once.
pub(super) struct Prepared {
    pub tenant: TenantId,
    after: Head,
    pub head: Head,
    /// What is known of the cells' rows, if the head is as it should be.
    kept: BTreeMap<CellKey, CellRow>,
    chunks: Vec<Chunk>,
    cells: Vec<(CellKey, CellSlot)>,
    objects: Vec<Object>,
    keys: Vec<KeyAt>,
    notes: BTreeMap<(String, String), Option<String>>,
}

/// Cells' rows as they were written.
pub(super) type Rows = Vec<(CellKey, CellRow)>;

/// An object's kind, key, `seq` and body; no body: it is gone.
type Object = (u8, Vec<u8>, i64, Option<String>);

impl Prepared {
    pub fn new(
        tenant: TenantId,
        batch: &Batch,
        mut kept: impl FnMut(&CellKey) -> Option<CellRow>,
    ) -> Result<Self, StoreError> {
        let Batch { after, chunks, head, cells, objects, keys, write_keys: _, notes } = batch;
        let object = |(key, slot): &(onhand_ledger::Key, onhand_ledger::state::Slot)| {
            let body = slot.value.as_ref().map(serde_json::to_string).transpose();
            let body = body.map_err(|error| StoreError::Io {
                doing: "written",
                reason: format!("{key:?} cannot be written as JSON: {error}"),
            })?;
            Ok((key.kind(), key.bytes(), signed(slot.seq), body))
        };
        let mut keys = keys.clone();
        keys.sort_unstable();
        keys.dedup();
        // Of several of one key the last counts.
        let notes = notes.iter().map(|note| ((note.space.clone(), note.key.clone()), note.body.clone()));
        Ok(Self {
            tenant,
            after: *after,
            head: Head { keyed: head.seq, ..*head },
            kept: cells.iter().filter_map(|(key, _)| Some((*key, kept(key)?))).collect(),
            chunks: chunks.clone(),
            cells: cells.clone(),
            objects: objects.iter().map(object).collect::<Result<_, StoreError>>()?,
            keys,
            notes: notes.collect(),
        })
    }

    fn id(&self) -> i64 {
        signed(self.tenant.0)
    }

    /// Takes the head, and reads the cells that grow.
    fn first(&self) -> Vec<Ask> {
        let mut asks = take_head(self.tenant, self.after.seq == 0);
        let unknown = || self.cells.iter().map(|(key, _)| key).filter(|key| !self.kept.contains_key(*key));
        if unknown().next().is_some() {
            let mut columns: [Vec<i64>; 5] = Default::default();
            for key in unknown() {
                for (column, number) in columns.iter_mut().zip(cell_numbers(key)) {
                    column.push(number);
                }
            }
            let [items, locations, states, lots, consignors] = columns;
            let parameters = parameters![self.id(), items, locations, states, lots, consignors];
            asks.push(Ask { sql: CELLS, parameters });
        }
        asks
    }

    /// All that is written, on what [`Prepared::first`] found; and the cells' rows after it.
    fn second(&self, found: &[Vec<Row>]) -> Result<(Vec<Ask>, Rows), StoreError> {
        let moved = || StoreError::Moved { tenant: self.tenant };
        let mut found = found.iter().skip(usize::from(self.after.seq == 0));
        let head = found.next().and_then(|rows| rows.first()).ok_or_else(moved)?;
        must_be_new_enough(head, 6)?;
        let head = read_head(self.tenant, head)?;
        // Fewer rows in tables than we knew: another node makes them anew.
        if (head.seq, head.hash) != (self.after.seq, self.after.hash) || head.flushed < self.after.flushed {
            return Err(moved());
        }
        let mut asks = vec![self.put_head()];
        if !self.chunks.is_empty() {
            asks.push(self.put_log());
        }
        let mut written = Rows::new();
        if !self.cells.is_empty() {
            let mut rows = BTreeMap::new();
            for row in found.next().into_iter().flatten() {
                rows.insert(read_cell_key(row)?, read_cell(row, 5)?);
            }
            let (puts, rows) = self.put_cells(rows)?;
            asks.extend(puts);
            written = rows;
        }
        asks.extend(self.put_objects());
        if !self.keys.is_empty() {
            asks.push(put_keys(PUT_NEW_KEYS, self.tenant, &self.keys));
        }
        asks.extend(self.put_notes());
        Ok((asks, written))
    }

    fn put_head(&self) -> Ask {
        put_head(self.tenant, &self.head)
    }

    fn put_log(&self) -> Ask {
        let [mut first, mut entries, mut at, mut sums] = [const { Vec::new() }; 4];
        let (mut hashes, mut bodies) = (Vec::new(), Vec::new());
        for chunk in &self.chunks {
            first.push(signed(chunk.first_seq));
            entries.push(signed(chunk.entries));
            at.push(chunk.recorded_at.micros());
            hashes.push(chunk.hash.to_vec());
            bodies.push(chunk.body.clone());
            sums.push(log_sum(self.id(), chunk).get());
        }
        Ask { sql: PUT_LOG, parameters: parameters![self.id(), first, entries, at, hashes, bodies, sums] }
    }

    fn put_cells(&self, mut found: BTreeMap<CellKey, CellRow>) -> Result<(Vec<Ask>, Rows), StoreError> {
        let mut written = Rows::with_capacity(self.cells.len());
        let mut cells: [Vec<i64>; 10] = Default::default();
        let mut recent = Vec::new();
        let mut trail: [Vec<i64>; 8] = Default::default();
        let mut bodies = Vec::new();
        // In the order of their keys, as any other node locks them.
        let mut sorted: Vec<&(CellKey, CellSlot)> = self.cells.iter().collect();
        sorted.sort_unstable_by_key(|(key, _)| *key);
        for (key, slot) in sorted {
            let numbers = cell_numbers(key);
            let before = found.remove(key).or_else(|| self.kept.get(key).cloned());
            let (row, blocks) = CellRow::after(before, self.tenant, key, slot)?;
            written.push((*key, row.clone()));
            let CellRow { quantity, seq, latest, latest_before, recent: bytes, sum } = row;
            let columns = numbers.into_iter().chain([quantity, seq, latest, latest_before, sum]);
            for (column, number) in cells.iter_mut().zip(columns) {
                column.push(number);
            }
            recent.push(bytes);
            for block in blocks {
                let columns = numbers.into_iter().chain([block.first_at, block.first_seq, block.sum]);
                for (column, number) in trail.iter_mut().zip(columns) {
                    column.push(number);
                }
                bodies.push(block.body);
            }
        }
        let [item, location, state, lot, consignor, quantity, seq, latest, before, sum] = cells;
        let parameters = parameters![
            self.id(),
            item,
            location,
            state,
            lot,
            consignor,
            quantity,
            seq,
            latest,
            before,
            recent,
            sum
        ];
        let mut asks = vec![Ask { sql: PUT_CELLS, parameters }];
        if !bodies.is_empty() {
            let [item, location, state, lot, consignor, first_at, first_seq, sum] = trail;
            let parameters = parameters![
                self.id(),
                item,
                location,
                state,
                lot,
                consignor,
                first_at,
                first_seq,
                bodies,
                sum
            ];
            asks.push(Ask { sql: PUT_TRAIL, parameters });
        }
        Ok((asks, written))
    }

    fn put_objects(&self) -> Vec<Ask> {
        let (mut gone_kinds, mut gone) = (Vec::new(), Vec::new());
        let [mut kinds, mut seqs, mut sums] = [const { Vec::new() }; 3];
        let (mut keys, mut bodies) = (Vec::new(), Vec::new());
        for (kind, key, seq, body) in &self.objects {
            match body {
                None => {
                    gone_kinds.push(i64::from(*kind));
                    gone.push(key.clone());
                }
                Some(body) => {
                    kinds.push(i64::from(*kind));
                    sums.push(object_sum(self.id(), *kind, key, *seq, body).get());
                    keys.push(key.clone());
                    seqs.push(*seq);
                    bodies.push(body.clone());
                }
            }
        }
        let mut asks = Vec::new();
        if !kinds.is_empty() {
            let parameters = parameters![self.id(), kinds, keys, seqs, bodies, sums];
            asks.push(Ask { sql: PUT_OBJECTS, parameters });
        }
        let drop = |(kind, key)| Ask { sql: DROP_OBJECT, parameters: parameters![self.id(), kind, key] };
        asks.extend(gone_kinds.into_iter().zip(gone).map(drop));
        asks
    }

    fn put_notes(&self) -> Vec<Ask> {
        let [mut spaces, mut gone_spaces, mut bodies] = [const { Vec::new() }; 3];
        let (mut keys, mut gone, mut sums) = (Vec::new(), Vec::new(), Vec::new());
        for ((space, key), body) in &self.notes {
            match body {
                Some(body) => {
                    spaces.push(space.clone());
                    keys.push(key.as_bytes().to_vec());
                    bodies.push(body.clone());
                    sums.push(note_sum(self.id(), space, key, body).get());
                }
                None => {
                    gone_spaces.push(space.clone());
                    gone.push(key.as_bytes().to_vec());
                }
            }
        }
        let mut asks = Vec::new();
        if !keys.is_empty() {
            asks.push(Ask { sql: PUT_NOTES, parameters: parameters![self.id(), spaces, keys, bodies, sums] });
        }
        if !gone.is_empty() {
            asks.push(Ask { sql: DROP_NOTES, parameters: parameters![self.id(), gone_spaces, gone] });
        }
        asks
    }
}

fn take_head(tenant: TenantId, may_be_new: bool) -> Vec<Ask> {
    let id = signed(tenant.0);
    let mut asks = Vec::new();
    if may_be_new {
        let nothing = Head::default();
        let sum = head_sum(id, &nothing).get();
        asks.push(Ask { sql: MAKE_HEAD, parameters: parameters![id, nothing.hash.to_vec(), sum] });
    }
    asks.push(Ask { sql: TAKE_HEAD, parameters: parameters![id] });
    asks
}

/// A newer node may have changed the tables since this one started, so that it may use them no more.
fn must_be_new_enough(found: &Row, column: usize) -> Result<(), StoreError> {
    let least = get::<Option<i64>>(found, column)?;
    least.map_or(Ok(()), |least| schema::fits("the database", least))
}

fn put_head(tenant: TenantId, head: &Head) -> Ask {
    let id = signed(tenant.0);
    let Head { seq, hash, recorded_at, flushed, keyed } = *head;
    let sum = head_sum(id, head).get();
    let parameters = parameters![
        id,
        signed(seq),
        hash.to_vec(),
        recorded_at.micros(),
        signed(flushed),
        signed(keyed),
        sum
    ];
    Ask { sql: PUT_HEAD, parameters }
}

fn put_keys(sql: &'static str, tenant: TenantId, keys: &[KeyAt]) -> Ask {
    let (hashes, seqs): (Vec<i64>, Vec<i64>) =
        keys.iter().map(|(hash, seq)| (signed_hash(*hash), signed(*seq))).unzip();
    Ask { sql, parameters: parameters![signed(tenant.0), hashes, seqs] }
}

/// Writes all of these in one transaction, or nothing. What the rows of each batch's cells are then, where that is known.
pub(super) async fn commit(
    wire: &Wire,
    seat: &Seat,
    batches: &[Prepared],
) -> Result<Option<Vec<Rows>>, StoreError> {
    let began = Instant::now();
    loop {
        let connection = match seat.connection(wire).await {
            Ok(connection) => connection,
            Err(Failure::Lost(_) | Failure::Silent(_)) if began.elapsed() < wire.patience => {
                tokio::time::sleep(PAUSE).await;
                continue;
            }
            Err(failure) => return Err(failure.told("written", &wire.url)),
        };
        let failure = match attempt(&connection, batches).await {
            Ok(rows) => return Ok(Some(rows)),
            Err(Attempt::NotWritten(failure)) => failure,
            Err(Attempt::Unclear(error)) => {
                seat.leave(&connection).await;
                // The transaction had the heads when it was lost: whoever takes them now finds what became of it.
                match resolve(wire, seat, batches, began).await {
                    Some(true) => return Ok(None),
                    Some(false) => Failure::Lost(error),
                    None => return Err(StoreError::Unclear { reason: plain(&error) }),
                }
            }
        };
        match failure {
            Failure::Lost(_) | Failure::Silent(_) | Failure::Crossed(_)
                if began.elapsed() < wire.patience =>
            {
                if matches!(failure, Failure::Lost(_)) {
                    seat.leave(&connection).await;
                }
                tokio::time::sleep(PAUSE).await;
            }
            failure => return Err(failure.told("written", &wire.url)),
        }
    }
}

enum Attempt {
    NotWritten(Failure),
    /// The connection was lost after `COMMIT` was sent.
    Unclear(tokio_postgres::Error),
}

async fn attempt(connection: &Arc<Connection>, batches: &[Prepared]) -> Result<Vec<Rows>, Attempt> {
    let not_written = Attempt::NotWritten;
    let (asks, rows) = match first(connection, batches).await {
        Ok(both) => both,
        Err(failure) => {
            // If even that fails the connection is gone, and the transaction with it.
            let _ = connection.run("ROLLBACK").await;
            return Err(not_written(failure));
        }
    };
    match connection.ask_all(&asks, Some("COMMIT")).await {
        Ok(_) => Ok(rows),
        // Where a statement failed, the COMMIT behind it took all of it back.
        Err(error) => match Failure::from(error) {
            Failure::Lost(error) => Err(Attempt::Unclear(error)),
            failure => Err(not_written(failure)),
        },
    }
}

/// Begins the transaction; what is to be written in it, and the rows of each batch's cells after it.
async fn first(connection: &Arc<Connection>, batches: &[Prepared]) -> Result<(Vec<Ask>, Vec<Rows>), Failure> {
    let (begin, found) = tokio::join!(connection.run("BEGIN"), async {
        let mut found = Vec::new();
        for batch in batches {
            found.push(connection.ask_all(&batch.first(), None).await?);
        }
        Ok::<_, tokio_postgres::Error>(found)
    });
    begin?;
    let (mut asks, mut rows) = (Vec::new(), Vec::new());
    for (batch, found) in batches.iter().zip(found?) {
        let (more, written) = batch.second(&found)?;
        asks.extend(more);
        rows.push(written);
    }
    // Known before anything of it is sent: else some of it would wait for that.
    connection.prepare(&asks.iter().map(|ask| ask.sql).collect::<Vec<_>>()).await?;
    Ok((asks, rows))
}

/// Was it written? None: the server did not say in time.
async fn resolve(wire: &Wire, seat: &Seat, batches: &[Prepared], began: Instant) -> Option<bool> {
    // Notes and tables are written as they are, so that to write them again does no harm.
    let Some((batch, last)) = batches.iter().find_map(|batch| Some((batch, batch.chunks.last()?))) else {
        return Some(false);
    };
    let asks = || {
        let mut asks = take_head(batch.tenant, batch.after.seq == 0);
        asks.push(Ask { sql: IS_IN_LOG, parameters: parameters![batch.id(), signed(last.first_seq)] });
        asks
    };
    loop {
        let asked = async {
            let connection = seat.connection(wire).await?;
            connection.run("BEGIN").await?;
            let found = connection.ask_all(&asks(), None).await;
            let _ = connection.run("ROLLBACK").await;
            let found = found.inspect_err(|_| drop(connection))?;
            Ok::<_, Failure>(found)
        };
        match asked.await {
            Ok(found) => {
                let hash = found.last().and_then(|rows| rows.first());
                let hash = hash.and_then(|row| row.try_get::<_, Vec<u8>>(0).ok());
                return Some(hash.as_deref() == Some(last.hash.as_slice()));
            }
            Err(Failure::Lost(_) | Failure::Silent(_) | Failure::Crossed(_))
                if began.elapsed() < 2 * wire.patience =>
            {
                tokio::time::sleep(PAUSE).await;
            }
            Err(_) => return None,
        }
    }
}

/// Keys that are in the log already.
pub(super) async fn remember(
    connection: &Arc<Connection>,
    tenant: TenantId,
    keys: &[KeyAt],
) -> Result<(), Failure> {
    for keys in keys.chunks(10_000) {
        connection.ask(&put_keys(PUT_KEYS, tenant, keys)).await?;
    }
    Ok(())
}

/// Empties a tenant's tables but for the log and the notes.
pub(super) async fn clear(connection: &Arc<Connection>, tenant: TenantId) -> Result<(), Failure> {
    let cleared = async {
        connection.run("BEGIN").await?;
        let found = connection.ask_all(&take_head(tenant, false), None).await?;
        let Some(head) = found.first().and_then(|rows| rows.first()) else {
            connection.run("COMMIT").await?;
            return Ok(());
        };
        let head = Head { flushed: 0, keyed: 0, ..read_head(tenant, head)? };
        let mut asks: Vec<Ask> =
            CLEAR.iter().map(|sql| Ask { sql, parameters: parameters![signed(tenant.0)] }).collect();
        asks.push(put_head(tenant, &head));
        connection.ask_all_however_long(&asks, Some("COMMIT")).await?;
        Ok::<_, Failure>(())
    };
    let cleared = cleared.await;
    if cleared.is_err() {
        let _ = connection.run("ROLLBACK").await;
    }
    cleared
}

/// Writes and takes back, for a tenant that cannot be.
pub(super) async fn try_writing(connection: &Arc<Connection>) -> Result<(), Failure> {
    let mut asks: Vec<Ask> = TRY.iter().map(|sql| Ask { sql, parameters: parameters![-1_i64] }).collect();
    asks.push(Ask { sql: LEAST, parameters: parameters![] });
    let tried = async {
        connection.run("BEGIN").await?;
        connection.ask_all(&asks, Some("COMMIT")).await
    };
    let tried = tried.await;
    if tried.is_err() {
        let _ = connection.run("ROLLBACK").await;
    }
    // What commits would be refused for: a newer node made the tables such as this one does not know.
    match tried?.last().and_then(|rows| rows.first()) {
        Some(row) => Ok(must_be_new_enough(row, 0)?),
        None => Ok(()),
    }
}
