//! Transfers, purchase orders and reversals, recomputed from the log apart from the fold.
//!
//! What is in transit to a place is what its transfers say is on its way, and what is kept for a transfer what its promises
//! are; a purchase order's line has received what
//! came from suppliers beside it; a movement is reversed by as much as its reversals moved; and the index of what is
//! incoming has the open rest of all documents, and nothing else.

use std::collections::{BTreeMap, HashMap};

use onhand_ledger::entry::PromiseChange;
use onhand_ledger::key::StockState;
use onhand_ledger::model::{Holder, Incoming, Purchase, Reversals, Supply, TransferDocument};
use onhand_ledger::{CellKey, Entry, ItemId, Key, PurchaseId, Quantity, Seq, TransferId};

use super::Violation;

/// What the documents of the log say by now.
#[derive(Default)]
pub(super) struct SupplyAudit {
    transfers: BTreeMap<TransferId, TransferDocument>,
    purchases: BTreeMap<PurchaseId, Purchase>,
    reversed: BTreeMap<Seq, Quantity>,
    merged: BTreeMap<ItemId, ItemId>,
    /// What movements say is kept for a transfer's line.
    kept: BTreeMap<(TransferId, u32), Quantity>,
}

fn differs(what: String, said: Quantity, is: Quantity) -> Violation {
    Violation::Supply { what, said, is }
}

impl SupplyAudit {
    /// Takes one record into account: what its documents say in its end, against what moved in it.
    pub fn record(&mut self, first: Seq, entries: &[Entry]) -> Result<(), Violation> {
        let mut purchases = BTreeMap::new();
        let mut reversals = BTreeMap::new();
        for entry in entries {
            match entry {
                Entry::Transfer(id, transfer) => {
                    self.transfers.insert(*id, *transfer.clone());
                }
                Entry::Purchase(id, purchase) => {
                    purchases.insert(*id, purchase);
                }
                Entry::Reversed(seq, reversed) => {
                    reversals.insert(*seq, reversed);
                }
                Entry::Movement(movement) => {
                    if let Some(PromiseChange { holder: Holder::Transfer(id), line, after }) =
                        movement.promise
                    {
                        self.kept.insert((id, line), after);
                    }
                }
                Entry::Item(id, item) => {
                    self.merged.extend(item.merged_into.map(|merged| (*id, merged.item)));
                }
                _ => {}
            }
        }
        for (id, purchase) in purchases {
            let before = self.purchases.insert(id, *purchase.clone());
            received(&self.merged, id, purchase, before.as_ref(), first, entries)?;
        }
        for (seq, said) in reversals {
            self.reversal(seq, said, entries)?;
        }
        Ok(())
    }

    /// A movement is reversed by as much as what names it moved.
    fn reversal(&mut self, seq: Seq, said: &Reversals, entries: &[Entry]) -> Result<(), Violation> {
        let total = self.reversed.entry(seq).or_default();
        *total += corrected(seq, entries);
        if *total == said.quantity {
            return Ok(());
        }
        Err(differs(format!("what is reversed of movement {seq}"), said.quantity, *total))
    }

    /// What is in transit by the documents is what the cells hold, and what is kept for them what was promised to them.
    pub fn in_transit(&self, balances: &HashMap<CellKey, Quantity>) -> Result<(), Violation> {
        let mut said = BTreeMap::<CellKey, Quantity>::new();
        for (id, transfer) in &self.transfers {
            for (index, line) in (0..).zip(&transfer.lines) {
                let kept = self.kept.get(&(*id, index)).copied().unwrap_or_default();
                if kept != line.reserved {
                    let what = format!("what is kept for line `{}` of transfer {id}", line.line);
                    return Err(differs(what, line.reserved, kept));
                }
            }
        }
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
                    quantity: line.reserved + line.dispatched - line.received - line.lost - line.returned,
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

/// A purchase order's lines have received what movements from suppliers brought, less what was reversed of them.
fn received(
    merged: &BTreeMap<ItemId, ItemId>,
    id: PurchaseId,
    purchase: &Purchase,
    before: Option<&Purchase>,
    first: Seq,
    entries: &[Entry],
) -> Result<(), Violation> {
    for (index, line) in purchase.lines.iter().enumerate() {
        let what = || format!("line `{}` of purchase order {id}", line.line);
        let earlier = before.and_then(|before| before.lines.get(index));
        let mut parts: BTreeMap<Seq, Quantity> = earlier
            .into_iter()
            .flat_map(|line| &line.receipts)
            .map(|part| (part.seq, part.quantity))
            .collect();
        for (seq, entry) in (first..).zip(entries) {
            if let Entry::Movement(movement) = entry
                && movement.from.state == StockState::Supplier
                // What came before a merge stays under the item it came as, and a line that was served then too.
                && goes_on_as(merged, movement.item) == goes_on_as(merged, line.item)
                && line.receipts.iter().any(|part| part.seq == seq)
            {
                parts.insert(seq, movement.quantity);
            }
        }
        for (seq, quantity) in &mut parts {
            *quantity -= sent_back(*seq, entries);
        }
        parts.retain(|_, quantity| !quantity.is_zero());
        let said: BTreeMap<Seq, Quantity> =
            line.receipts.iter().map(|part| (part.seq, part.quantity)).collect();
        let is = parts.values().copied().sum();
        if said != parts || line.received != is {
            return Err(differs(what(), line.received, is));
        }
    }
    Ok(())
}

/// What an item is by now, merged as often as it was.
fn goes_on_as(merged: &BTreeMap<ItemId, ItemId>, mut item: ItemId) -> ItemId {
    // Nothing is merged into itself, however long the way.
    for _ in 0..=merged.len() {
        match merged.get(&item) {
            Some(into) => item = *into,
            None => break,
        }
    }
    item
}

/// How much of what a supplier brought goes back by these entries. What carries a late receipt over a merge names it too, and takes
/// nothing back.
fn sent_back(seq: Seq, entries: &[Entry]) -> Quantity {
    let of = |entry: &Entry| match entry {
        Entry::Movement(movement)
            if movement.corrects == Some(seq) && movement.to.state == StockState::Supplier =>
        {
            Some(movement.quantity)
        }
        _ => None,
    };
    entries.iter().filter_map(of).sum()
}

/// How much of a movement is taken back by these entries.
fn corrected(seq: Seq, entries: &[Entry]) -> Quantity {
    let of = |entry: &Entry| match entry {
        Entry::Movement(movement) if movement.corrects == Some(seq) => Some(movement.quantity),
        _ => None,
    };
    entries.iter().filter_map(of).sum()
}
