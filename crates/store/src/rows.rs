//! Rows as both engines have them: what their columns hold, their checksums, and how a cell's trail grows.
//!
//! What is not its business: how a row is read or written.

use onhand_ledger::state::{CellSlot, Slot};
use onhand_ledger::{CellKey, Instant, Key, Quantity, Seq, TenantId, Value};

use crate::sum::Sum;
use crate::{Chunk, Head, StoreError, trail};

/// The trail of a cell is kept with the cell until it has so many bytes, some 70 movements: a row of its own for each
/// few would be written to another page each time.
const RECENT_BYTES: usize = 512;
/// So many movements at once are more than that.
const RECENT_ROWS: usize = trail::BLOCK;

/// A tenant whose log has entries and that has no head: from tenant to tenant by the key, not through the whole log.
pub(crate) const HEADLESS: &str = "WITH RECURSIVE having_log(id) AS (SELECT min(tenant_id) FROM log UNION ALL \
    SELECT (SELECT min(tenant_id) FROM log WHERE tenant_id > id) FROM having_log WHERE id IS NOT NULL) \
    SELECT min(id) FROM having_log WHERE id IS NOT NULL AND NOT EXISTS (SELECT 1 FROM head WHERE tenant_id = id)";

/// A tenant that has rows of what follows from the log, and no head.
pub(crate) fn orphaned(tables: &[&str]) -> String {
    let of = |table: &&str| {
        format!(
            "SELECT min(id) AS id FROM (WITH RECURSIVE tenants(id) AS (SELECT min(tenant_id) FROM {table} UNION ALL \
             SELECT (SELECT min(tenant_id) FROM {table} WHERE tenant_id > id) FROM tenants WHERE id IS NOT NULL) \
             SELECT id FROM tenants) AS found WHERE id IS NOT NULL AND NOT EXISTS (SELECT 1 FROM head WHERE tenant_id = id)"
        )
    };
    let all: Vec<String> = tables.iter().map(of).collect();
    format!("SELECT min(id) FROM ({}) AS everywhere", all.join(" UNION ALL "))
}

/// Integers of both engines are signed; ids and seqs fit them.
pub(crate) fn signed(number: u64) -> i64 {
    i64::try_from(number).expect("ids and seqs stay below 2^63")
}

pub(crate) fn head_sum(tenant: i64, head: &Head) -> Sum {
    let (seq, at) = (signed(head.seq), head.recorded_at.micros());
    Sum::of("head").ints([tenant, seq, at, signed(head.flushed), signed(head.keyed)]).bytes(&head.hash)
}

pub(crate) fn log_sum(tenant: i64, chunk: &Chunk) -> Sum {
    let (first, entries) = (signed(chunk.first_seq), signed(chunk.entries));
    let sum = Sum::of("log").ints([tenant, first, entries, chunk.recorded_at.micros()]);
    sum.bytes(&chunk.hash).bytes(&chunk.body)
}

pub(crate) fn object_sum(tenant: i64, kind: u8, key: &[u8], seq: i64, body: &str) -> Sum {
    Sum::of("object").ints([tenant, i64::from(kind), seq]).bytes(key).bytes(body.as_bytes())
}

pub(crate) fn note_sum(tenant: i64, space: &str, key: &str, body: &str) -> Sum {
    Sum::of("note").int(tenant).bytes(space.as_bytes()).bytes(key.as_bytes()).bytes(body.as_bytes())
}

pub(crate) fn trail_sum(tenant: i64, key: &CellKey, first_at: i64, first_seq: i64, body: &[u8]) -> Sum {
    Sum::of("trail").int(tenant).ints(cell_numbers(key)).ints([first_at, first_seq]).bytes(body)
}

/// A chunk that is as it was written.
pub(crate) fn whole_chunk(tenant: TenantId, chunk: Chunk, sum: i64) -> Result<Chunk, StoreError> {
    let name = || format!("the chunk of the log at entry {}", chunk.first_seq);
    log_sum(signed(tenant.0), &chunk).must_be(sum, name)?;
    Ok(chunk)
}

/// The body of a note that is as it was written.
pub(crate) fn whole_note(
    tenant: TenantId,
    space: &str,
    key: &str,
    body: String,
    sum: i64,
) -> Result<String, StoreError> {
    note_sum(signed(tenant.0), space, key, &body).must_be(sum, || format!("the note `{key}` of {space}"))?;
    Ok(body)
}

/// A cell's key as the columns have it.
pub(crate) fn cell_numbers(key: &CellKey) -> [i64; 5] {
    [
        signed(key.item.0),
        signed(key.location.0),
        i64::from(key.state as u8),
        signed(key.lot.0),
        signed(key.consignor.0),
    ]
}

/// A row of `cell` as a table has it.
#[derive(Clone)]
pub(crate) struct CellRow {
    pub quantity: i64,
    pub seq: i64,
    pub latest: i64,
    pub latest_before: i64,
    pub recent: Vec<u8>,
    pub sum: i64,
}

/// A row of `trail` to be written.
pub(crate) struct TrailBlock {
    pub first_at: i64,
    pub first_seq: i64,
    pub body: Vec<u8>,
    pub sum: i64,
}

impl CellRow {
    fn reckoned(&self, tenant: i64, key: &CellKey) -> Sum {
        let sum = Sum::of("cell").int(tenant).ints(cell_numbers(key));
        sum.ints([self.quantity, self.seq, self.latest, self.latest_before]).bytes(&self.recent)
    }

    pub fn check(&self, tenant: TenantId, key: &CellKey) -> Result<(), StoreError> {
        self.reckoned(signed(tenant.0), key).must_be(self.sum, || format!("the row of {key:?}"))
    }

    fn slot(&self) -> Option<CellSlot> {
        let latest = Instant::from_micros(self.latest);
        Some(CellSlot {
            quantity: Quantity::from_micros(self.quantity),
            seq: Seq::try_from(self.seq).ok()?,
            latest,
            latest_before_pending: latest,
            pending: Vec::new(),
        })
    }

    /// The cell of a row that is as it was written.
    pub fn whole(&self, tenant: TenantId, key: &CellKey) -> Result<CellSlot, StoreError> {
        self.check(tenant, key)?;
        self.slot().ok_or_else(|| StoreError::Damaged(format!("the row of {key:?} cannot be read")))
    }

    /// The row after a cell as it is now, and what of its trail becomes rows of their own.
    pub fn after(
        before: Option<Self>,
        tenant: TenantId,
        key: &CellKey,
        slot: &CellSlot,
    ) -> Result<(Self, Vec<TrailBlock>), StoreError> {
        let mut row = Self {
            quantity: slot.quantity.micros(),
            seq: signed(slot.seq),
            latest: slot.latest.micros(),
            latest_before: slot.latest_before_pending.micros(),
            recent: Vec::new(),
            sum: 0,
        };
        let mut written = 0;
        if let Some(before) = before {
            before.check(tenant, key)?;
            written = before.seq;
            row.latest_before = if before.recent.is_empty() { before.latest } else { before.latest_before };
            row.recent = before.recent;
        }
        // What was folded again at a start may be written already.
        let from = slot.pending.partition_point(|pending| signed(pending.seq) <= written);
        let pending = &slot.pending[from..];
        let mut rows = trail::decode(&row.recent).ok_or_else(|| unreadable(key))?;
        if pending.len() <= RECENT_ROWS {
            trail::append(&mut row.recent, rows.last().copied(), pending);
        }
        let mut blocks = Vec::new();
        if row.recent.len() > RECENT_BYTES || pending.len() > RECENT_ROWS {
            rows.extend(pending);
            for (first_at, block) in crate::trail_blocks(Instant::from_micros(row.latest_before), &rows) {
                let body = trail::encode(block);
                let first_seq = signed(block.first().map_or(0, |row| row.seq));
                let first_at = first_at.micros();
                let sum = trail_sum(signed(tenant.0), key, first_at, first_seq, &body).get();
                blocks.push(TrailBlock { first_at, first_seq, body, sum });
            }
            row.recent = Vec::new();
        }
        row.sum = row.reckoned(signed(tenant.0), key).get();
        Ok((row, blocks))
    }
}

/// A row of `object` as the table has it.
pub(crate) struct ObjectRow {
    pub bytes: Vec<u8>,
    pub seq: i64,
    pub body: String,
    pub sum: i64,
}

impl ObjectRow {
    /// The object of a row that is as it was written.
    pub fn whole(self, tenant: TenantId, kind: u8) -> Result<(Key, Slot), StoreError> {
        let key = Key::from_bytes(kind, &self.bytes)
            .ok_or_else(|| StoreError::Damaged(format!("a key of kind {kind} cannot be read")))?;
        let sum = object_sum(signed(tenant.0), kind, &self.bytes, self.seq, &self.body);
        sum.must_be(self.sum, || format!("the row of {key:?}"))?;
        let value = Some(read_value(&key, &self.body)?);
        Ok((key, Slot { value, seq: self.seq.cast_unsigned() }))
    }
}

fn read_value(key: &Key, body: &str) -> Result<Value, StoreError> {
    serde_json::from_str(body)
        .map_err(|error| StoreError::Damaged(format!("{key:?} cannot be read: {error}")))
}

fn unreadable(key: &CellKey) -> StoreError {
    StoreError::Damaged(format!("the trail of {key:?} cannot be read"))
}
