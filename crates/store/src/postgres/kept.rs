//! Rows of cells as a store wrote them last: a cell that moves again need not be read again to be written.
//!
//! They hold only while the tenant's head is the one they were written with, which whoever writes checks while it has the head. Where another
//! node wrote since, or it is not known whether something was written, a tenant's rows count no more. Few are kept: those that were
//! used last.

use foldhash::{HashMap, HashMapExt as _};
use onhand_ledger::{CellKey, TenantId};

use crate::Head;
use crate::rows::CellRow;

/// When so many are young they grow old, and the old ones are forgotten: twice as many are kept, of some 600 bytes at most each.
const YOUNG: usize = 32_768;
/// Of so many tenants, then of none.
const TENANTS: usize = 10_000;

/// What a tenant's rows are kept under while its head is known.
pub(super) type Epoch = u64;

pub(super) struct KeptRows {
    tenants: HashMap<TenantId, (Head, Epoch)>,
    last: Epoch,
    young: HashMap<(Epoch, CellKey), CellRow>,
    old: HashMap<(Epoch, CellKey), CellRow>,
}

impl Default for KeptRows {
    fn default() -> Self {
        Self { tenants: HashMap::new(), last: 0, young: HashMap::new(), old: HashMap::new() }
    }
}

impl KeptRows {
    /// Under what the rows of a tenant are kept that are true at a head; none of them, where another was known.
    pub fn at(&mut self, tenant: TenantId, head: &Head) -> Epoch {
        let known = self.tenants.get(&tenant).filter(|(known, _)| is_same(known, head));
        if let Some((_, epoch)) = known {
            return *epoch;
        }
        if self.tenants.len() >= TENANTS {
            self.tenants.clear();
        }
        self.last += 1;
        self.tenants.insert(tenant, (*head, self.last));
        self.last
    }

    pub fn get(&mut self, epoch: Epoch, key: &CellKey) -> Option<CellRow> {
        let name = (epoch, *key);
        if let Some(row) = self.young.get(&name) {
            return Some(row.clone());
        }
        let row = self.old.remove(&name)?;
        self.keep(epoch, *key, row.clone());
        Some(row)
    }

    /// The head is as it was written with these rows.
    pub fn wrote(
        &mut self,
        tenant: TenantId,
        epoch: Epoch,
        head: &Head,
        rows: impl IntoIterator<Item = (CellKey, CellRow)>,
    ) {
        self.tenants.insert(tenant, (*head, epoch));
        rows.into_iter().for_each(|(key, row)| self.keep(epoch, key, row));
    }

    /// Nothing is known of its rows any more.
    pub fn forget(&mut self, tenant: TenantId) {
        self.tenants.remove(&tenant);
    }

    pub fn clear(&mut self) {
        *self = Self { last: self.last, ..Self::default() };
    }

    fn keep(&mut self, epoch: Epoch, key: CellKey, row: CellRow) {
        if self.young.len() >= YOUNG {
            self.old = std::mem::take(&mut self.young);
        }
        self.young.insert((epoch, key), row);
    }
}

/// Where tables are written anew from the log, less of it is in them than before.
fn is_same(known: &Head, head: &Head) -> bool {
    (known.seq, known.hash, known.flushed) == (head.seq, head.hash, head.flushed)
}

#[cfg(test)]
mod tests {
    use onhand_ledger::{ItemId, LocationId, StockState};

    use super::*;

    const TENANT: TenantId = TenantId(1);

    fn key(item: u64) -> CellKey {
        CellKey::new(ItemId(item), LocationId(1), StockState::Available)
    }

    fn row(quantity: i64) -> CellRow {
        CellRow { quantity, seq: 1, latest: 0, latest_before: 0, recent: Vec::new(), sum: 0 }
    }

    fn head(seq: u64) -> Head {
        Head { seq, flushed: seq, ..Head::default() }
    }

    fn quantity(kept: &mut KeptRows, at: u64, item: u64) -> Option<i64> {
        let epoch = kept.at(TENANT, &head(at));
        kept.get(epoch, &key(item)).map(|row| row.quantity)
    }

    #[test]
    fn rows_count_while_the_head_is_the_one_they_were_written_with() {
        let mut kept = KeptRows::default();
        let epoch = kept.at(TENANT, &head(1));
        kept.wrote(TENANT, epoch, &head(2), [(key(1), row(5)), (key(2), row(6))]);
        let epoch = kept.at(TENANT, &head(2));
        kept.wrote(TENANT, epoch, &head(3), [(key(1), row(7))]);
        assert_eq!((quantity(&mut kept, 3, 1), quantity(&mut kept, 3, 2)), (Some(7), Some(6)));
        // Another node wrote 4; even where the log comes back to a head that was known, nothing of it counts.
        assert_eq!((quantity(&mut kept, 4, 1), quantity(&mut kept, 3, 1)), (None, None));
        let epoch = kept.at(TENANT, &head(4));
        kept.wrote(TENANT, epoch, &head(5), [(key(1), row(8))]);
        kept.forget(TENANT);
        assert_eq!(quantity(&mut kept, 5, 1), None);
        // Tables that lack what they had are being written anew.
        let epoch = kept.at(TENANT, &head(5));
        kept.wrote(TENANT, epoch, &head(6), [(key(1), row(9))]);
        let anew = kept.at(TENANT, &Head { flushed: 2, ..head(6) });
        assert!(kept.get(anew, &key(1)).is_none());
    }

    #[test]
    fn few_are_kept_and_those_that_are_used_longest() {
        let mut kept = KeptRows::default();
        let epoch = kept.at(TENANT, &head(1));
        for item in 0..10 * YOUNG as u64 {
            kept.wrote(TENANT, epoch, &head(1), [(key(item), row(1))]);
            assert!(kept.get(epoch, &key(0)).is_some(), "it is used all the time");
        }
        assert!(kept.young.len() + kept.old.len() <= 2 * YOUNG);
        assert!(kept.get(epoch, &key(1)).is_none());
    }
}
