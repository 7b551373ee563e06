//! How much there is, as a partner tells it: 846 and INVRPT. Lines of one item at a place are added up.

use std::collections::{BTreeMap, BTreeSet};

use jiff::civil::Date;
use onhand_edi::Place;
use onhand_edi::edifact::{HeldKind, StockReport};
use onhand_edi::x12::{self, Inventory, InventoryReport, StockKind};
use onhand_ledger::{Instant, Quantity};

use super::{Reader, location};
use crate::arrived::StockRow;

impl Reader<'_> {
    pub(super) fn inventory(&mut self, place: &Place, inventory: &Inventory) {
        if inventory.report == InventoryReport::Inquiry {
            self.refuse(place, "the 846 asks what there is (PI): that is not answered");
            return;
        }
        self.has_stock.get_or_insert(true);
        let as_of = self.moment(inventory.date, inventory.time);
        let at = location(&inventory.parties);
        for (number, line) in (1..).zip(&inventory.lines) {
            let listing = self.listing(&line.item);
            let of = |kind: &StockKind| line.stocks.iter().find(|stock| stock.kind == *kind);
            let pieces = |stock: &x12::Stock| self.edi.settings.pieces(stock.quantity, stock.unit.as_deref());
            let found = match (of(&StockKind::OnHand), of(&StockKind::Available)) {
                (Some(there), _) => pieces(there).and_then(|there| {
                    let unusable = of(&StockKind::Unusable).map(pieces).transpose()?;
                    Ok(there - unusable.unwrap_or_default())
                }),
                (None, Some(available)) => pieces(available),
                (None, None) => {
                    Err("says neither what is on hand (17) nor what is available (33)".to_owned())
                }
            };
            self.row(place, number, &listing, at.clone(), as_of, found);
        }
    }

    pub(super) fn report(&mut self, place: &Place, report: &StockReport) {
        if report.is_of_movements {
            self.refuse(place, "the INVRPT tells movements (78): what there is (35) is taken");
            return;
        }
        self.has_stock.get_or_insert(true);
        for (number, line) in (1..).zip(&report.lines) {
            let listing = self.listing(&line.item);
            let mut places = BTreeMap::<Option<&str>, (Result<Quantity, String>, Option<Date>)>::new();
            let mut counted = BTreeSet::new();
            for held in &line.held {
                let sign = match held.kind {
                    HeldKind::Actual | HeldKind::OnHand => 1,
                    HeldKind::QualityControl | HeldKind::QualityFailed | HeldKind::Damaged => -1,
                    HeldKind::Committed | HeldKind::InTransit | HeldKind::Other(_) => continue,
                };
                let at = held.location.as_deref();
                let (sum, as_of) = places.entry(at).or_insert((Ok(Quantity::ZERO), None));
                if sign > 0 {
                    counted.insert(at);
                    *as_of = held.as_of;
                }
                let pieces = self.edi.settings.pieces(held.quantity, held.unit.as_deref());
                *sum = pieces.and_then(|pieces| {
                    let sum = sum.clone()?;
                    Ok(if sign > 0 { sum + pieces } else { sum - pieces })
                });
            }
            if counted.is_empty() {
                let found = Err("says neither what there is (145) nor what is on hand (17)".to_owned());
                self.row(place, number, &listing, None, self.written_at, found);
            }
            for (at, (found, as_of)) in places.into_iter().filter(|(at, _)| counted.contains(at)) {
                let as_of = match as_of {
                    Some(date) => self.moment(date, None),
                    None => self.moment(report.made_on, report.made_at),
                };
                self.row(place, number, &listing, at.map(Box::from), as_of, found);
            }
        }
    }

    /// So much of an item somewhere: added to what the same interchange has told of it.
    fn row(
        &mut self,
        place: &Place,
        line: u64,
        listing: &str,
        location: Option<Box<str>>,
        as_of: Instant,
        found: Result<Quantity, String>,
    ) {
        let quantity = match found {
            Ok(quantity) if quantity.is_negative() => Err("more is unusable than is on hand".to_owned()),
            found => found,
        };
        let quantity = match quantity {
            Ok(quantity) => quantity,
            Err(reason) => {
                self.has_stock = Some(false);
                return self.refuse(place, format!("`{listing}` {reason}"));
            }
        };
        let at = (location.clone(), Box::from(listing));
        if let Some(row) = self.places.get(&at).and_then(|index| self.stock.get_mut(*index)) {
            row.quantity += quantity;
            return;
        }
        self.places.insert(at, self.stock.len());
        let listing = Box::from(listing);
        self.stock.push(StockRow { line, location, listing, lot: None, quantity, as_of: Some(as_of) });
    }
}
