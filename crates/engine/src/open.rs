//! What is open of a tenant: discrepancies, and orders that are to leave by a time. Read whole once, then followed along the log, so that
//! whoever looks often does not read what ended long ago.

use std::collections::BTreeMap;

use onhand_ledger::model::{Cause, Discrepancy, Order};
use onhand_ledger::{DiscrepancyId, Entry, Instant, Key, OrderId, Quantity, Seq, TenantId, Value};
use onhand_store::StoreError;

use crate::commit::Ledger;

/// So much is looked at in one read.
const PAGE: usize = 500;

/// Orders that are to leave by a time and have not, and discrepancies that are open.
#[derive(Debug, Default)]
pub struct Open {
    /// All that came before is known.
    seq: Seq,
    orders: BTreeMap<OrderId, Instant>,
    discrepancies: BTreeMap<DiscrepancyId, Cause>,
}

impl Open {
    /// All there are.
    pub fn all(ledger: &Ledger, tenant: TenantId) -> Result<Self, StoreError> {
        let seq = ledger.read(tenant, |view| Ok::<_, StoreError>(view.seq()))?;
        let mut open = Self { seq, ..Self::default() };
        let last = Seq::MAX >> 1;
        for (mut from, to) in [
            (Key::Order(OrderId(0)), Key::Order(OrderId(last))),
            (Key::Discrepancy(DiscrepancyId(0)), Key::Discrepancy(DiscrepancyId(last))),
        ] {
            loop {
                let page = ledger.read(tenant, |view| view.range(&from, &to, false, PAGE))?;
                let more = page.len() >= PAGE;
                for (key, value) in page {
                    match (key, value) {
                        (Key::Order(id), Value::Order(order)) => {
                            from = Key::Order(OrderId(id.0 + 1));
                            open.note_order(id, &order);
                        }
                        (Key::Discrepancy(id), Value::Discrepancy(known)) => {
                            from = Key::Discrepancy(DiscrepancyId(id.0 + 1));
                            open.note_discrepancy(id, &known);
                        }
                        _ => {}
                    }
                }
                if !more {
                    break;
                }
            }
        }
        Ok(open)
    }

    /// Learns what changed since the last look.
    pub fn follow(&mut self, ledger: &Ledger, tenant: TenantId) -> Result<(), StoreError> {
        loop {
            let records = ledger.read(tenant, |view| view.records_after(self.seq, PAGE))?;
            let Some((first, last)) = records.last() else { return Ok(()) };
            self.seq = first + last.entries.len() as Seq - 1;
            for entry in records.iter().flat_map(|(_, record)| &record.entries) {
                match entry {
                    Entry::Order(id, order) => self.note_order(*id, order),
                    Entry::Discrepancy(id, known) => self.note_discrepancy(*id, known),
                    _ => {}
                }
            }
        }
    }

    fn note_order(&mut self, id: OrderId, order: &Order) {
        match order.ship_by.filter(|_| open_of(order).is_positive()) {
            Some(ship_by) => self.orders.insert(id, ship_by),
            None => self.orders.remove(&id),
        };
    }

    fn note_discrepancy(&mut self, id: DiscrepancyId, known: &Discrepancy) {
        if known.resolved_at.is_none() {
            self.discrepancies.insert(id, known.cause);
        } else {
            self.discrepancies.remove(&id);
        }
    }

    /// Orders that should have left by now.
    pub fn late(&self, now: Instant) -> Vec<OrderId> {
        self.orders.iter().filter(|(_, ship_by)| **ship_by <= now).map(|(id, _)| *id).collect()
    }

    /// Discrepancies that are open, the oldest first, and why each came up.
    pub fn discrepancies(&self) -> &BTreeMap<DiscrepancyId, Cause> {
        &self.discrepancies
    }

    /// How many orders are short: each has a discrepancy.
    pub fn short(&self) -> usize {
        self.discrepancies.values().filter(|cause| **cause == Cause::Short).count()
    }

    /// The last entry that is known.
    pub fn seq(&self) -> Seq {
        self.seq
    }
}

/// How much of an order has not left.
pub(crate) fn open_of(order: &Order) -> Quantity {
    if order.cancelled {
        return Quantity::ZERO;
    }
    order.lines.iter().map(|line| (line.wanted - line.shipped_total()).max(Quantity::ZERO)).sum()
}
