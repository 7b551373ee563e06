//! The ledger audits itself: recomputes every balance from the log, walks the hash chain, checks laws 1, 2, 5 and 6, and
//! compares every table with what the log says.
//!
//! Balances are recomputed apart from the fold that they check. Everything else that tables have (orders, holds,
//! documents, counts, keys, trails, …) is folded from the first entry on and compared, value by value. What was
//! committed while the audit ran is left out of the comparison, so that it can run beside a busy server.

use std::collections::{BTreeMap, HashMap};

use onhand_ledger::state::{CellSlot, Need, Slot, TrailRow};
use onhand_ledger::{
    CellKey, Entry, Instant, ItemId, Key, LotId, Quantity, RuleId, Seq, State, TenantId, Value,
};
use onhand_store::{Head, KeyAt, StoreError, chain, decode_records, key_hash};

mod masters;
mod supply;

use self::masters::MasterAudit;
use self::supply::SupplyAudit;
use crate::commit::Ledger;
use crate::words::{Names, differ};

/// How many rows are read at a time.
const PAGE: usize = 4_096;
/// Cells come with their trails, and nothing is committed while they are read: a few milliseconds. One by one each would cost a
/// transaction of its own where the store is a server.
const TRAILS: usize = 256;

/// What was found wrong first.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum Violation {
    /// The database engine itself finds its file damaged.
    #[error("the database is damaged: {0}")]
    File(String),
    /// A chunk is missing, doubled or out of order.
    #[error("law 5 (append-only): entry {expected} should follow, entry {found} does")]
    Gap {
        /// The entry that should be there.
        expected: Seq,
        /// The one that is.
        found: Seq,
    },
    /// A byte of the log was changed, or a chunk was exchanged.
    #[error("law 5 (append-only): the hash chain breaks at the chunk of entry {at}")]
    Chain {
        /// The chunk's first entry.
        at: Seq,
    },
    /// The log was cut, or the head exchanged.
    #[error("law 5 (append-only): the log ends at entry {found}, its head says {head}")]
    Cut {
        /// The last entry there is.
        found: Seq,
        /// The last entry by the head.
        head: Seq,
    },
    /// A chunk cannot be read.
    #[error("law 5 (append-only): {0}")]
    Unreadable(String),
    /// Time went back along the log.
    #[error("law 5 (append-only): entry {at} was recorded before the one before it")]
    Time {
        /// The entry.
        at: Seq,
    },
    /// A movement says another balance than there is.
    #[error("law 1 (conservation): entry {at} leaves {said} in {cell}, the entries before it make {is}")]
    Balance {
        /// The movement.
        at: Seq,
        /// The cell, in words.
        cell: String,
        /// The balance it says.
        said: Quantity,
        /// The balance there is.
        is: Quantity,
    },
    /// A cell is negative.
    #[error("law 2 (no oversell): {cell} is {quantity} after entry {at}")]
    Negative {
        /// The movement.
        at: Seq,
        /// The cell, in words.
        cell: String,
        /// Its quantity.
        quantity: Quantity,
    },
    /// All accounts of an item do not add up to nothing.
    #[error("law 1 (conservation): all accounts of {sku} add up to {sum}, not 0")]
    Sum {
        /// The item, in words.
        sku: String,
        /// The sum.
        sum: Quantity,
    },
    /// A transfer, a purchase order or a reversal says something else than what moved.
    #[error("law 1 (conservation): {what} is {said} by its documents, {is} by what moved")]
    Supply {
        /// What it is about, in words.
        what: String,
        /// By the documents.
        said: Quantity,
        /// By the movements.
        is: Quantity,
    },
    /// Two rules that are equally specific name two masters.
    #[error("law 6 (one master): the rules {rule} and {other} both name a master of {what}")]
    Masters {
        /// Of what and where, in words.
        what: String,
        /// The one.
        rule: RuleId,
        /// The other.
        other: RuleId,
    },
    /// A table says something else than the log.
    #[error("law 5 (append-only): the table says {table} for {what}, the log {log}")]
    Table {
        /// What it is about, in words.
        what: String,
        /// By the table.
        table: String,
        /// By the log.
        log: String,
    },
}

/// What was verified.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Verified {
    /// Entries walked.
    pub entries: u64,
    /// Movements among them.
    pub movements: u64,
    /// Cells recomputed.
    pub cells: u64,
    /// Objects compared: items, orders, holds, documents, counts, …
    pub objects: u64,
    /// Request keys compared.
    pub keys: u64,
    /// The chain's hash after the last chunk.
    pub head_hash: [u8; 32],
    /// The first violation; none where all is well.
    pub violation: Option<Violation>,
}

/// Verifies a tenant's ledger. Tables are written first, so that all of them can be compared; `progress` hears of
/// the entries walked. Needs memory for all cells, objects and keys of the tenant.
pub fn verify(
    ledger: &Ledger,
    tenant: TenantId,
    progress: &mut dyn FnMut(u64),
) -> Result<Verified, StoreError> {
    let mut audit = Audit::default();
    let violation = match run(&mut audit, ledger, tenant, progress) {
        Ok(()) => None,
        Err(Stop::Found(violation)) => Some(violation),
        // A row that does not match its checksum is a finding like any other.
        Err(Stop::Store(StoreError::Damaged(found))) => Some(Violation::File(found)),
        Err(Stop::Store(error)) => return Err(error),
    };
    Ok(Verified {
        entries: audit.entries,
        movements: audit.movements,
        cells: audit.balances.len() as u64,
        objects: audit.objects,
        keys: audit.keys,
        head_hash: audit.hash,
        violation,
    })
}

enum Stop {
    Found(Violation),
    Store(StoreError),
}

impl From<Violation> for Stop {
    fn from(violation: Violation) -> Self {
        Self::Found(violation)
    }
}

impl From<StoreError> for Stop {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

#[expect(
    clippy::redundant_closure_for_method_calls,
    reason = "a method of `View` is not general enough over its lifetime"
)]
fn run(
    audit: &mut Audit,
    ledger: &Ledger,
    tenant: TenantId,
    progress: &mut dyn FnMut(u64),
) -> Result<(), Stop> {
    // Before anything is written to a file that may be damaged.
    if let Some(found) = ledger.read(tenant, |view| view.check())? {
        return Err(Violation::File(found).into());
    }
    // What tables do not have yet would look like a difference.
    ledger.flush()?;
    let head = ledger.read(tenant, |view| view.head())?;
    audit.walk(ledger, tenant, &head, progress)?;
    if audit.entries != head.seq
        || audit.hash != head.hash
        || audit.recorded_at.is_some_and(|at| at != head.recorded_at)
    {
        return Err(Violation::Cut { found: audit.entries, head: head.seq }.into());
    }
    audit.sums()?;
    audit.supply.in_transit(&audit.balances)?;
    audit.masters.two(&audit.names)?;
    audit.compare_cells(ledger, tenant, head.flushed)?;
    audit.compare_objects(ledger, tenant, head.flushed)?;
    audit.compare_keys(ledger, tenant, head.keyed)
}

#[derive(Default)]
struct Audit {
    entries: u64,
    movements: u64,
    objects: u64,
    keys: u64,
    hash: [u8; 32],
    recorded_at: Option<Instant>,
    balances: HashMap<CellKey, Quantity>,
    names: Names,
    /// The keys of the log as far as tables have them.
    hashes: Vec<KeyAt>,
    supply: SupplyAudit,
    masters: MasterAudit,
    /// All of it, folded from the first entry to where tables are.
    state: State,
}

impl Audit {
    /// Walks the log to its head; folds it as far as tables are.
    fn walk(
        &mut self,
        ledger: &Ledger,
        tenant: TenantId,
        head: &Head,
        progress: &mut dyn FnMut(u64),
    ) -> Result<(), Stop> {
        while self.entries < head.seq {
            let chunks = ledger.read(tenant, |view| view.chunks_after(self.entries, 256))?;
            if chunks.is_empty() {
                return Ok(());
            }
            for chunk in chunks {
                if chunk.first_seq > head.seq {
                    return Ok(());
                }
                let expected = self.entries + 1;
                if chunk.first_seq != expected {
                    return Err(Violation::Gap { expected, found: chunk.first_seq }.into());
                }
                self.hash = chain(&self.hash, tenant, &chunk);
                if self.hash != chunk.hash {
                    return Err(Violation::Chain { at: chunk.first_seq }.into());
                }
                let records =
                    decode_records(&chunk).map_err(|error| Violation::Unreadable(error.to_string()))?;
                for (first_seq, record) in records {
                    self.record(first_seq, record.recorded_at, &record.entries)?;
                    if let Some(key) = record.key.as_deref().filter(|_| first_seq <= head.keyed) {
                        self.hashes.push((key_hash(key), first_seq));
                    }
                    if first_seq <= head.flushed {
                        fold(&mut self.state, first_seq, &record);
                    }
                }
                self.entries = chunk.first_seq + chunk.entries - 1;
                progress(self.entries);
            }
        }
        Ok(())
    }

    fn record(&mut self, first_seq: Seq, recorded_at: Instant, entries: &[Entry]) -> Result<(), Violation> {
        if self.recorded_at.is_some_and(|before| before >= recorded_at) {
            return Err(Violation::Time { at: first_seq });
        }
        self.recorded_at = Some(recorded_at);
        for (at, entry) in (first_seq..).zip(entries) {
            let movement = match entry {
                Entry::Item(id, item) => {
                    self.names.skus.insert(*id, item.sku.clone());
                    continue;
                }
                Entry::Location(id, location) => {
                    self.names.codes.insert(*id, location.code.clone());
                    continue;
                }
                Entry::Movement(movement) => movement,
                _ => continue,
            };
            self.movements += 1;
            let sides = [
                (movement.from_cell(), movement.from.balance, -movement.quantity),
                (movement.to_cell(), movement.to.balance, movement.quantity),
            ];
            for (cell, said, change) in sides {
                let balance = self.balances.entry(cell).or_default();
                *balance += change;
                let is = *balance;
                if is != said {
                    return Err(Violation::Balance { at, cell: self.names.cell(&cell), said, is });
                }
                if is.is_negative() && !cell.state.is_party() {
                    return Err(Violation::Negative { at, cell: self.names.cell(&cell), quantity: is });
                }
            }
        }
        self.masters.record(entries);
        self.supply.record(first_seq, entries)
    }

    /// Each item's accounts add up to nothing, and those of each of its lots do.
    fn sums(&self) -> Result<(), Violation> {
        let mut sums = BTreeMap::<(ItemId, LotId), Quantity>::new();
        for (cell, quantity) in &self.balances {
            *sums.entry((cell.item, cell.lot)).or_default() += *quantity;
        }
        let wrong = sums.into_iter().find(|(_, sum)| !sum.is_zero());
        wrong.map_or(Ok(()), |((item, lot), sum)| {
            let of_lot = if lot == LotId(0) { String::new() } else { format!(", lot {lot},") };
            Err(Violation::Sum { sku: self.names.sku(item) + &of_lot, sum })
        })
    }

    fn compare_cells(&mut self, ledger: &Ledger, tenant: TenantId, flushed: Seq) -> Result<(), Stop> {
        let mut left: BTreeMap<CellKey, CellSlot> =
            self.state.take_dirty_cells(None, usize::MAX).into_iter().collect();
        let mut after = None;
        loop {
            let page = ledger.read(tenant, |view| view.trails_after(after, TRAILS))?;
            let Some((last, ..)) = page.last() else { break };
            after = Some(*last);
            for (cell, table, mut trail) in page {
                let log = left.remove(&cell);
                if table.seq > flushed {
                    let what = || self.names.cell(&cell);
                    known_by_now(ledger, tenant, table.seq, what)?;
                    continue;
                }
                let (log, differs) = match log {
                    Some(log) => {
                        let differs = log.quantity != table.quantity
                            || log.seq != table.seq
                            || log.latest != table.latest;
                        (log, differs)
                    }
                    None => (CellSlot::default(), true),
                };
                // Balances are known apart from the fold too.
                let apart = self.balances.get(&cell).copied().unwrap_or_default();
                if differs || (flushed == self.entries && apart != table.quantity) {
                    let say = |slot: &CellSlot| match slot.seq {
                        0 => "nothing".to_owned(),
                        seq => format!("{} at entry {seq}, the last of {}", slot.quantity, slot.latest),
                    };
                    return Err(table_differs(self.names.cell(&cell), say(&table), say(&log)));
                }
                trail.retain(|row| row.seq <= flushed);
                trail.reverse();
                if let Some((table, log)) = rows_differ(&trail, &log.pending) {
                    let what = format!("the movements of {}", self.names.cell(&cell));
                    return Err(table_differs(what, table, log));
                }
            }
        }
        match left.first_key_value() {
            Some((cell, log)) if self.is_still(ledger, tenant)? => {
                Err(table_differs(self.names.cell(cell), "nothing".to_owned(), log.quantity.to_string()))
            }
            _ => Ok(()),
        }
    }

    fn compare_objects(&mut self, ledger: &Ledger, tenant: TenantId, flushed: Seq) -> Result<(), Stop> {
        let folded = self.state.take_dirty_objects(None, usize::MAX).into_iter();
        let mut left: BTreeMap<Key, Slot> = folded.filter(|(_, slot)| slot.value.is_some()).collect();
        // What is incoming is known apart from the fold too.
        let mut incoming = self.supply.incoming();
        let is_all = flushed == self.entries;
        let mut after: Option<Key> = None;
        loop {
            let page = ledger.read(tenant, |view| view.objects_after(after.as_ref(), PAGE))?;
            let Some((last, _)) = page.last() else { break };
            after = Some(last.clone());
            for (key, table) in page {
                let log = left.remove(&key);
                if table.seq > flushed {
                    known_by_now(ledger, tenant, table.seq, || self.names.key(&key))?;
                    continue;
                }
                self.objects += 1;
                if let (true, Key::Incoming(..)) = (is_all, &key)
                    && incoming.remove(&key).map(Value::Incoming) != table.value
                {
                    let (said, _) = differ(Some(&table), None);
                    return Err(table_differs(self.names.key(&key), said, "another rest".to_owned()));
                }
                if log.as_ref() != Some(&table) {
                    let (table, log) = differ(Some(&table), log.as_ref());
                    return Err(table_differs(self.names.key(&key), table, log));
                }
            }
        }
        let lacking = left.keys().next().or(incoming.keys().next().filter(|_| is_all));
        match lacking {
            Some(key) if self.is_still(ledger, tenant)? => {
                Err(table_differs(self.names.key(key), "nothing".to_owned(), "that it is there".to_owned()))
            }
            _ => Ok(()),
        }
    }

    fn compare_keys(&mut self, ledger: &Ledger, tenant: TenantId, keyed: Seq) -> Result<(), Stop> {
        const PAGE: usize = 100_000;
        self.hashes.sort_unstable();
        let mut log = std::mem::take(&mut self.hashes).into_iter().peekable();
        let say = |key: Option<&KeyAt>| {
            key.map_or_else(|| "nothing".to_owned(), |(hash, seq)| format!("entry {seq} at {hash:016x}"))
        };
        let mut after = None;
        loop {
            let page = ledger.read(tenant, |view| view.keys_after(after, PAGE))?;
            let Some(last) = page.last() else { break };
            after = Some(*last);
            for key in page.into_iter().filter(|(_, seq)| *seq <= keyed) {
                self.keys += 1;
                if log.peek() != Some(&key) {
                    return Err(table_differs("keys".to_owned(), say(Some(&key)), say(log.peek())));
                }
                log.next();
            }
        }
        match log.peek() {
            Some(key) => Err(table_differs("keys".to_owned(), say(None), say(Some(key)))),
            None => Ok(()),
        }
    }

    /// Was nothing committed since the log was walked? Else what tables lack may be gone by right.
    fn is_still(&self, ledger: &Ledger, tenant: TenantId) -> Result<bool, StoreError> {
        ledger.read(tenant, |view| Ok(view.seq() == self.entries))
    }
}

/// What was written while the audit ran is left out of the comparison; an entry that is not there yet nothing can have.
fn known_by_now(
    ledger: &Ledger,
    tenant: TenantId,
    seq: Seq,
    what: impl FnOnce() -> String,
) -> Result<(), Stop> {
    let head = ledger.read(tenant, |view| Ok(view.seq()))?;
    if seq <= head {
        return Ok(());
    }
    Err(table_differs(
        what(),
        format!("entry {seq} as its last"),
        format!("entry {head} is the last there is"),
    ))
}

/// Folds a record into a state that has all that came before: what it lacks was never there.
fn fold(state: &mut State, first_seq: Seq, record: &onhand_ledger::Record) {
    while let Err(need) = state.fold(first_seq, record) {
        match need {
            Need::Cell(cell) => state.provide_cell(cell, CellSlot::default()),
            Need::Object(key) => state.provide_object(key, Slot::default()),
            Need::Range(..)
            | Need::AsOf(..)
            | Need::Request(_)
            | Need::Record(_)
            | Need::MovedAfter(..)
            | Need::Stocked(_) => unreachable!("folding needs cells and objects alone"),
        }
    }
}

/// The first movement in which a cell's rows differ: by the table, and by the log.
fn rows_differ(table: &[TrailRow], log: &[TrailRow]) -> Option<(String, String)> {
    let same = table.iter().zip(log).take_while(|(table, log)| table == log).count();
    let say = |row: Option<&TrailRow>| match row {
        Some(row) => {
            let late = if row.late { ", late" } else { "" };
            format!("{} after entry {} of {}{late}", row.balance, row.seq, row.occurred_at)
        }
        None => "no more".to_owned(),
    };
    (table != log).then(|| (say(table.get(same)), say(log.get(same))))
}

fn table_differs(what: String, table: String, log: String) -> Stop {
    Violation::Table { what, table, log }.into()
}
