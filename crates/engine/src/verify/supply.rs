//! Transfers, purchase orders and reversals, recomputed from the log apart from the fold.
//!
//! What is in transit to a place is what its transfers say is on its way; a purchase order's line has received what
//! came from suppliers beside it; a movement is reversed by as much as its reversals moved; and the index of what is
//! incoming has the open rest of all documents, and nothing else.

use std::collections::{BTreeMap, HashMap};

use onhand_ledger::key::StockState;
use onhand_ledger::model::{Incoming, Purchase, Reversals, Supply, TransferDocument};
use onhand_ledger::{CellKey, Entry, ItemId, Key, PurchaseId, Quantity, Seq, TransferId};

use super::Violation;

/// What the documents of the log say by now.
#[derive(Default)]
pub(super) struct SupplyAudit {
    transfers: BTreeMap<TransferId, TransferDocument>,
    purchases: BTreeMap<PurchaseId, Purchase>,
    reversed: BTreeMap<Seq, Quantity>,
}

fn differs(what: String, said: Quantity, is: Quantity) -> Violation {
    Violation::Supply { what, said, is }
}

impl SupplyAudit {
    /// Takes one record's entries into account.
    pub fn record(&mut self, entries: &[Entry]) -> Result<(), Violation> {
        for entry in entries {
            match entry {
                Entry::Transfer(id, transfer) => {
                    self.transfers.insert(*id, transfer.clone());
                }
                Entry::Purchase(id, purchase) => self.purchase(*id, purchase, entries)?,
                Entry::Reversed(seq, reversals) => self.reversal(*seq, reversals, entries)?,
                _ => {}
            }
        }
        Ok(())
    }

    /// What a purchase order's lines received more than before is what came from suppliers in this record.
    fn purchase(&mut self, id: PurchaseId, purchase: &Purchase, entries: &[Entry]) -> Result<(), Violation> {
        let before = self.purchases.insert(id, purchase.clone());
        let mut more = BTreeMap::<ItemId, Quantity>::new();
        for (index, line) in purchase.lines.iter().enumerate() {
            let earlier = before.as_ref().and_then(|before| before.lines.get(index));
            let earlier = earlier.map_or(Quantity::ZERO, |line| line.received);
            *more.entry(line.item).or_default() += line.received - earlier;
            let parts: Quantity = line.receipts.iter().map(|part| part.quantity).sum();
            if parts != line.received {
                return Err(differs(
                    format!("line `{}` of purchase order {id}", line.line),
                    line.received,
                    parts,
                ));
            }
        }
        for (item, said) in more {
            let is = entries.iter().filter_map(|entry| supplied(entry, item)).sum();
            if said != is {
                return Err(differs(format!("item {item} of purchase order {id}"), said, is));
            }
        }
        Ok(())
    }

    /// A movement is reversed by as much as what names it moved.
    fn reversal(&mut self, seq: Seq, said: &Reversals, entries: &[Entry]) -> Result<(), Violation> {
        let moved: Quantity = entries
            .iter()
            .filter_map(|entry| match entry {
                Entry::Movement(movement) if movement.corrects == Some(seq) => Some(movement.quantity),
                _ => None,
            })
            .sum();
        let total = self.reversed.entry(seq).or_default();
        *total += moved;
        if *total == said.quantity {
            return Ok(());
        }
        Err(differs(format!("what is reversed of movement {seq}"), said.quantity, *total))
    }

    /// What is in transit by the documents is what the cells hold.
    pub fn in_transit(&self, balances: &HashMap<CellKey, Quantity>) -> Result<(), Violation> {
        let mut said = BTreeMap::<CellKey, Quantity>::new();
        for transfer in self.transfers.values() {
            for line in &transfer.lines {
                let cell = CellKey::of(line.item, transfer.to, line.lot, StockState::InTransit);
                *said.entry(cell).or_default() += line.in_transit();
            }
        }
        let held = balances.iter().filter(|(cell, _)| cell.state == StockState::InTransit);
        let held: BTreeMap<CellKey, Quantity> = held.map(|(cell, quantity)| (*cell, *quantity)).collect();
        for cell in said.keys().chain(held.keys()) {
            let of = |map: &BTreeMap<CellKey, Quantity>| map.get(cell).copied().unwrap_or_default();
            if of(&said) != of(&held) {
                let what = format!("what is in transit of item {} to location {}", cell.item, cell.location);
                return Err(differs(what, of(&said), of(&held)));
            }
        }
        Ok(())
    }

    /// All that is incoming, by its key.
    pub fn incoming(&self) -> BTreeMap<Key, Incoming> {
        let mut open = BTreeMap::new();
        for (id, transfer) in &self.transfers {
            for (index, line) in (0..).zip(&transfer.lines) {
                let incoming = Incoming {
                    supply: Supply::Transfer,
                    quantity: line.dispatched - line.received - line.lost - line.returned,
                    expected_on: transfer.expected_on,
                };
                open.insert(Key::Incoming(line.item, transfer.to, id.0, index), incoming);
            }
        }
        for (id, purchase) in &self.purchases {
            for (index, line) in (0..).zip(&purchase.lines) {
                let incoming = Incoming {
                    supply: Supply::Purchase,
                    quantity: purchase.open(line),
                    expected_on: line.expected_on,
                };
                open.insert(Key::Incoming(line.item, purchase.location, id.0, index), incoming);
            }
        }
        open.retain(|_, incoming| incoming.quantity.is_positive());
        open
    }
}

/// How much of an item an entry brought from a supplier; negative where it took it back.
fn supplied(entry: &Entry, item: ItemId) -> Option<Quantity> {
    match entry {
        Entry::Movement(movement) if movement.item == item => {
            if movement.from.state == StockState::Supplier {
                Some(movement.quantity)
            } else if movement.to.state == StockState::Supplier {
                Some(-movement.quantity)
            } else {
                None
            }
        }
        _ => None,
    }
}
