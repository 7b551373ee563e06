//! The ledger audits itself: recomputes every balance from the log, walks the hash chain, checks laws 1, 2 and 5.
//! Written apart from the fold that it checks.

use std::collections::{BTreeMap, HashMap};

use onhand_ledger::{CellKey, Entry, Instant, ItemId, Quantity, Seq, TenantId};
use onhand_store::{StoreError, chain, decode_records};

use crate::commit::Ledger;

/// What was found wrong first.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum Violation {
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
    #[error("entry {at} was recorded before the one before it")]
    Time {
        /// The entry.
        at: Seq,
    },
    /// A movement says another balance than there is.
    #[error("law 1 (conservation): entry {at} leaves {said} in {cell:?}, the entries before it make {is}")]
    Balance {
        /// The movement.
        at: Seq,
        /// The cell.
        cell: Box<CellKey>,
        /// The balance it says.
        said: Quantity,
        /// The balance there is.
        is: Quantity,
    },
    /// A cell is negative.
    #[error("law 2 (no oversell): {cell:?} is {quantity} after entry {at}")]
    Negative {
        /// The movement.
        at: Seq,
        /// The cell.
        cell: Box<CellKey>,
        /// Its quantity.
        quantity: Quantity,
    },
    /// All accounts of an item do not add up to nothing.
    #[error("law 1 (conservation): all accounts of item {item} add up to {sum}, not 0")]
    Sum {
        /// The item.
        item: ItemId,
        /// The sum.
        sum: Quantity,
    },
    /// A table says something else than the log.
    #[error("the table says {table} for {cell:?}, the log {log}")]
    Table {
        /// The cell.
        cell: Box<CellKey>,
        /// By the table.
        table: Quantity,
        /// By the log.
        log: Quantity,
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
    /// The chain's hash after the last chunk.
    pub head_hash: [u8; 32],
    /// The first violation; none where all is well.
    pub violation: Option<Violation>,
}

#[derive(Default)]
struct Audit {
    balances: HashMap<CellKey, Quantity>,
    movements: u64,
    recorded_at: Option<Instant>,
}

/// Verifies a tenant's ledger. Tables are written first, so that all of them can be compared; `progress` hears of
/// the entries walked.
pub fn verify(
    ledger: &Ledger,
    tenant: TenantId,
    progress: &mut dyn FnMut(u64),
) -> Result<Verified, StoreError> {
    // What tables do not have yet would look like a difference.
    ledger.flush()?;
    let mut audit = Audit::default();
    let mut verified = Verified { entries: 0, movements: 0, cells: 0, head_hash: [0; 32], violation: None };
    let (head, head_hash) = ledger.read(tenant, |view| view.head().map(|head| (head.seq, head.hash)))?;
    let mut hash = [0; 32];
    let mut after = 0;
    while verified.violation.is_none() && after < head {
        let chunks = ledger.read(tenant, |view| view.chunks_after(after, 256))?;
        if chunks.is_empty() {
            break;
        }
        for chunk in chunks {
            if chunk.first_seq > head {
                after = head;
                break;
            }
            let expected = after + 1;
            if chunk.first_seq != expected {
                verified.violation = Some(Violation::Gap { expected, found: chunk.first_seq });
                break;
            }
            hash = chain(&hash, tenant, &chunk);
            if hash != chunk.hash {
                verified.violation = Some(Violation::Chain { at: chunk.first_seq });
                break;
            }
            let records = match decode_records(&chunk) {
                Ok(records) => records,
                Err(error) => {
                    verified.violation = Some(Violation::Unreadable(error.to_string()));
                    break;
                }
            };
            for (first_seq, record) in records {
                if let Err(violation) = audit.record(first_seq, record.recorded_at, &record.entries) {
                    verified.violation = Some(violation);
                    break;
                }
            }
            after = chunk.first_seq + chunk.entries - 1;
            verified.entries = after;
            progress(after);
        }
    }
    verified.movements = audit.movements;
    verified.cells = audit.balances.len() as u64;
    verified.head_hash = hash;
    if verified.violation.is_none() && (after != head || hash != head_hash) {
        verified.violation = Some(Violation::Cut { found: after, head });
    }
    if verified.violation.is_none() {
        verified.violation = audit.sums();
    }
    if verified.violation.is_none() {
        verified.violation = compare(ledger, tenant, head, &audit)?;
    }
    Ok(verified)
}

impl Audit {
    fn record(&mut self, first_seq: Seq, recorded_at: Instant, entries: &[Entry]) -> Result<(), Violation> {
        if self.recorded_at.is_some_and(|before| before >= recorded_at) {
            return Err(Violation::Time { at: first_seq });
        }
        self.recorded_at = Some(recorded_at);
        for (at, entry) in (first_seq..).zip(entries) {
            let Entry::Movement(movement) = entry else { continue };
            self.movements += 1;
            let sides = [
                (movement.from_cell(), movement.from.balance, -movement.quantity),
                (movement.to_cell(), movement.to.balance, movement.quantity),
            ];
            for (cell, said, change) in sides {
                let is = self.balances.entry(cell).or_default();
                *is += change;
                if *is != said {
                    return Err(Violation::Balance { at, cell: Box::new(cell), said, is: *is });
                }
                if is.is_negative() && !cell.state.is_party() {
                    return Err(Violation::Negative { at, cell: Box::new(cell), quantity: *is });
                }
            }
        }
        Ok(())
    }

    fn sums(&self) -> Option<Violation> {
        let mut sums = BTreeMap::<ItemId, Quantity>::new();
        for (cell, quantity) in &self.balances {
            *sums.entry(cell.item).or_default() += *quantity;
        }
        let wrong = sums.into_iter().find(|(_, sum)| !sum.is_zero());
        wrong.map(|(item, sum)| Violation::Sum { item, sum })
    }
}

/// The table of cells says what the log says. Only where nothing was committed meanwhile.
fn compare(
    ledger: &Ledger,
    tenant: TenantId,
    head: Seq,
    audit: &Audit,
) -> Result<Option<Violation>, StoreError> {
    ledger.read(tenant, |view| {
        if view.seq() != head {
            return Ok(None);
        }
        let mut after = None;
        let mut seen = 0;
        loop {
            let page = view.cells_after(after, 4_096)?;
            let Some((last, _)) = page.last() else { break };
            after = Some(*last);
            for (cell, slot) in page {
                seen += 1;
                let log = audit.balances.get(&cell).copied().unwrap_or_default();
                if log != slot.quantity {
                    return Ok(Some(Violation::Table { cell: Box::new(cell), table: slot.quantity, log }));
                }
            }
        }
        if seen >= audit.balances.len() {
            return Ok(None);
        }
        // A cell of the log is missing from the table.
        for (cell, log) in &audit.balances {
            let table = view.cell(cell)?;
            if table.seq == 0 {
                return Ok(Some(Violation::Table {
                    cell: Box::new(*cell),
                    table: table.quantity,
                    log: *log,
                }));
            }
        }
        Ok(None)
    })
}
