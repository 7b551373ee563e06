//! Orders that somebody else ships, and what of that their own system is to be told.
//!
//! Level-triggered: what it is to be told follows from what has left of its order here, less what its own document says has left, or what it was told.
//! Goods whose parcel is known, with who carries it, are told parcel by parcel; others as they are, once nobody has more to say of them.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use onhand_ledger::model::{Order, OrderLine};
use onhand_ledger::{ItemId, Quantity, SystemId};
use serde::{Deserialize, Serialize};

use crate::sent::Parcel;

/// What a system was told of an order of its own.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct Marked {
    /// The parcels, by the names they were told under; those too that it did not want to know.
    pub parcels: BTreeSet<String>,
    /// How much of each line it knows to have left since then, in units of our item: with what it knew by itself.
    pub lines: BTreeMap<String, Quantity>,
}

/// A parcel by the word of whoever ships the order.
#[derive(Clone, Copy, Debug)]
pub struct Known<'a> {
    /// Who that is.
    pub by: SystemId,
    /// The document it is of.
    pub document: &'a str,
    /// The parcel.
    pub parcel: &'a Parcel,
}

/// Goods of an order that its system is to be told of.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Leaves {
    /// What it is told under: the same for the same goods.
    pub name: String,
    /// Who carries it.
    pub carrier: Option<String>,
    /// The carrier's name for it.
    pub tracking: Option<String>,
    /// How much of each line, in units of our item.
    pub lines: BTreeMap<String, Quantity>,
}

/// What is to be done about an order now.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Next {
    /// Its system knows all that has left.
    Nothing,
    /// Something has left, and whoever ships it has not said in which parcel: soon.
    Wait,
    /// This.
    Tell(Leaves),
}

/// Has anything left of an order that its own document does not say?
pub fn may_owe(order: &Order) -> bool {
    order.version > 0 && order.lines.iter().any(|line| line.shipped_total() > line.told_shipped)
}

fn owed(line: &OrderLine, marked: &Marked) -> Quantity {
    (line.shipped_total() - marked.known(line)).max(Quantity::ZERO)
}

/// What of an order its system is told next. `shippers`: those who were sent the order, each with its parcels among `parcels`.
pub fn next(order: &Order, marked: &Marked, shippers: &BTreeSet<SystemId>, parcels: &[Known<'_>]) -> Next {
    if !may_owe(order) {
        return Next::Nothing;
    }
    let mut left: Vec<Quantity> = order.lines.iter().map(|line| owed(line, marked)).collect();
    for known in parcels {
        let name = name_of(known);
        if marked.parcels.contains(&name) {
            continue;
        }
        let lines = take(order, &mut left, &known.parcel.lines);
        if !lines.is_empty() {
            let (carrier, tracking) = (known.parcel.carrier.clone(), known.parcel.tracking.clone());
            return Next::Tell(Leaves { name, carrier, tracking, lines });
        }
    }
    // What is told to have left is kept a moment before its parcel is.
    let is_untold = |by: &SystemId| {
        let mut said = BTreeMap::<ItemId, Quantity>::new();
        for (item, quantity) in
            parcels.iter().filter(|known| known.by == *by).flat_map(|known| &known.parcel.lines)
        {
            *said.entry(*item).or_default() += *quantity;
        }
        let mut told = BTreeMap::<ItemId, Quantity>::new();
        for line in &order.lines {
            *told.entry(line.item).or_default() += line.told_by(*by);
        }
        told.iter().any(|(item, told)| *told > said.get(item).copied().unwrap_or_default())
    };
    if left.iter().all(|left| left.is_zero()) {
        return Next::Nothing;
    }
    if shippers.iter().any(is_untold) {
        return Next::Wait;
    }
    let mut lines = BTreeMap::new();
    let mut name = "rest".to_owned();
    for (line, left) in order.lines.iter().zip(left).filter(|(_, left)| left.is_positive()) {
        lines.insert(line.line.clone(), left);
        // Another one, once more of it has left.
        let _ = write!(name, " {}={}", line.line, line.shipped_total());
    }
    Next::Tell(Leaves { name, carrier: None, tracking: None, lines })
}

/// What a warehouse's parcel is called.
pub fn name_of(known: &Known<'_>) -> String {
    format!("{}/{}", known.document, known.parcel.parcel)
}

/// Of which lines so much of these items is, as far as they are owed it.
fn take(order: &Order, left: &mut [Quantity], items: &[(ItemId, Quantity)]) -> BTreeMap<String, Quantity> {
    let mut lines = BTreeMap::<String, Quantity>::new();
    for (item, quantity) in items {
        let mut open = *quantity;
        for (line, left) in order.lines.iter().zip(left.iter_mut()).filter(|(line, _)| line.item == *item) {
            let now = open.min(*left);
            if now.is_positive() {
                *lines.entry(line.line.clone()).or_default() += now;
                *left -= now;
                open -= now;
            }
        }
    }
    lines
}

impl Marked {
    /// How much of a line its system knows to have left: its own word may not have what it was told.
    fn known(&self, line: &OrderLine) -> Quantity {
        self.lines.get(&line.line).copied().unwrap_or_default().max(line.told_shipped)
    }

    /// It was told of that, or does not want to know.
    pub fn tell(&mut self, order: &Order, leaves: &Leaves) {
        self.parcels.insert(leaves.name.clone());
        for line in &order.lines {
            if let Some(quantity) = leaves.lines.get(&line.line) {
                self.lines.insert(line.line.clone(), self.known(line) + *quantity);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use onhand_ledger::model::{At, Build};
    use onhand_ledger::{Instant, LocationId, LotId};

    use super::*;

    const MUG: ItemId = ItemId(7);
    const WMS: SystemId = SystemId(3);

    fn line(name: &str, wanted: i64, shipped: i64, told_shipped: i64, told_by_wms: i64) -> OrderLine {
        let units = Quantity::units;
        let at = |quantity| At { location: LocationId(1), lot: LotId(0), quantity };
        let mut line = OrderLine {
            line: name.to_owned(),
            item: MUG,
            wanted: units(wanted),
            allocated: Vec::new(),
            short: units(wanted - shipped),
            backordered: Quantity::ZERO,
            preordered: Quantity::ZERO,
            price: None,
            lot: None,
            build: Build::default(),
            shipped: vec![at(units(shipped))],
            returned: Quantity::ZERO,
            returned_lots: Vec::new(),
            told_returned: Quantity::ZERO,
            over_returned: None,
            returned_by_document: Vec::new(),
            told_shipped: units(told_shipped),
            by_document: Vec::new(),
            told: Vec::new(),
            told_parts: Vec::new(),
            declined: Vec::new(),
        };
        line.tell(WMS, units(told_by_wms));
        line
    }

    fn order(lines: Vec<OrderLine>) -> Order {
        let order = Order::new(SystemId(2), "1044".to_owned(), 1, Instant::from_micros(0));
        Order { lines, ..order }
    }

    fn parcel(name: &str, units: i64) -> Parcel {
        let (carrier, tracking) = (Some("Post".to_owned()), Some(format!("T-{name}")));
        let (shipped_at, lines) = (Instant::from_micros(0), vec![(MUG, Quantity::units(units))]);
        Parcel { parcel: name.to_owned(), shipped_at, carrier, tracking, lines }
    }

    fn steps(order: &Order, parcels: &[Parcel], is_sent: bool) -> Vec<String> {
        let known: Vec<Known<'_>> =
            parcels.iter().map(|parcel| Known { by: WMS, document: "d", parcel }).collect();
        let shippers = if is_sent { BTreeSet::from([WMS]) } else { BTreeSet::new() };
        let (mut marked, mut all) = (Marked::default(), Vec::new());
        loop {
            match next(order, &marked, &shippers, &known) {
                Next::Nothing => return all,
                Next::Wait => {
                    all.push("wait".to_owned());
                    return all;
                }
                Next::Tell(leaves) => {
                    let lines: Vec<String> =
                        leaves.lines.iter().map(|(line, quantity)| format!("{line}={quantity}")).collect();
                    all.push(format!("{}: {}", leaves.tracking.as_deref().unwrap_or("-"), lines.join(" ")));
                    marked.tell(order, &leaves);
                }
            }
        }
    }

    #[test]
    fn what_left_is_told_parcel_by_parcel_and_the_rest_as_it_is() {
        // Lines as name, wanted, shipped, said by its own document, by the warehouse; the parcels that are known; what is told.
        for (lines, parcels, is_sent, expected) in [
            (vec![line("1", 3, 0, 0, 0)], vec![], false, vec![]),
            // Somebody here shipped it.
            (vec![line("1", 3, 3, 0, 0)], vec![], false, vec!["-: 1=3"]),
            (vec![line("1", 3, 2, 1, 0)], vec![], false, vec!["-: 1=1"]),
            (vec![line("1", 3, 3, 3, 0)], vec![], false, vec![]),
            // The warehouse did, in two parcels.
            (vec![line("1", 3, 3, 0, 3)], vec![("A", 1), ("B", 2)], true, vec!["T-A: 1=1", "T-B: 1=2"]),
            // Its parcel is not known yet.
            (vec![line("1", 3, 3, 0, 3)], vec![("A", 1)], true, vec!["T-A: 1=1", "wait"]),
            // It told of its shipment without ever having been sent the order.
            (vec![line("1", 3, 3, 0, 3)], vec![], false, vec!["-: 1=3"]),
            // Two lines of one item.
            (vec![line("1", 1, 1, 0, 1), line("2", 2, 2, 0, 2)], vec![("A", 3)], true, vec!["T-A: 1=1 2=2"]),
            (
                vec![line("1", 1, 1, 0, 1), line("2", 1, 1, 0, 1)],
                vec![("A", 1), ("B", 1)],
                true,
                vec!["T-A: 1=1", "T-B: 2=1"],
            ),
            // The shop knows of one by itself.
            (vec![line("1", 3, 3, 1, 3)], vec![("A", 3)], true, vec!["T-A: 1=2"]),
            // One by the warehouse, and one by somebody here.
            (vec![line("1", 2, 2, 0, 1)], vec![("A", 1)], true, vec!["T-A: 1=1", "-: 1=1"]),
        ] {
            let case = format!("{lines:?} {parcels:?}");
            let parcels: Vec<Parcel> = parcels.into_iter().map(|(name, units)| parcel(name, units)).collect();
            assert_eq!(steps(&order(lines), &parcels, is_sent), expected, "{case}");
        }
    }

    #[test]
    fn no_more_is_told_than_has_left_however_often_a_parcel_names_the_item() {
        let twice = Parcel { lines: vec![(MUG, Quantity::ONE), (MUG, Quantity::units(2))], ..parcel("A", 0) };
        assert_eq!(steps(&order(vec![line("1", 2, 2, 0, 2)]), &[twice], true), ["T-A: 1=2"]);
    }

    #[test]
    fn it_owes_what_left_that_its_own_document_does_not_say() {
        for (shipped, told, owes) in [(0, 0, false), (3, 2, true), (3, 3, false), (2, 3, false)] {
            let found = may_owe(&order(vec![line("1", 3, shipped, told, 0)]));
            assert_eq!(found, owes, "{shipped} left, {told} told");
        }
    }

    #[test]
    fn an_order_that_no_document_has_told_of_owes_nothing() {
        let mut known = order(vec![line("1", 3, 3, 0, 0)]);
        known.version = 0;
        assert!(!may_owe(&known));
    }
}
