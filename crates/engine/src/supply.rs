//! What is expected of an item, and what of it can be promised by a day.
//!
//! Available to promise by a day = available + incoming expected up to that day − what of these has ended by then (its lot's
//! last day is over, or it was called back) − demand that is short now, and never less than nothing. Short demand has no date: all of it is served before anything is promised anew, oldest order
//! first, wherever stock comes in. Supply whose day is not known can be promised by no day.

use onhand_ledger::availability;
use onhand_ledger::key::StockState;
use onhand_ledger::model::{Incoming, Supply, Tracking};
use onhand_ledger::{Date, ItemId, Key, LocationId, LotId, Quantity, Seq, TransferId, Value};
use onhand_store::StoreError;

use crate::view::View;

/// Supply of an item that is expected at a location.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Expected {
    /// Where.
    pub location: LocationId,
    /// The purchase order's or the transfer's id, by `incoming.supply`.
    pub document: Seq,
    /// The index of its line.
    pub line: u32,
    /// How much, and when.
    pub incoming: Incoming,
}

/// What can be promised of an item by a day, taken apart.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Promisable {
    /// Available now.
    pub available: Quantity,
    /// Expected from suppliers up to that day.
    pub purchases: Quantity,
    /// On its way from other locations, expected up to that day.
    pub transfers: Quantity,
    /// Expected, but later, or nobody knows when.
    pub later: Quantity,
    /// Of what is available or expected by then: of lots that have ended by that day, or were called back.
    pub ended: Quantity,
    /// Wanted by orders and covered by nothing, at all locations together.
    pub short: Quantity,
    /// What of all this can be promised by that day.
    pub promisable: Quantity,
}

impl View<'_> {
    /// All that is expected of an item, by location.
    pub fn expected(&mut self, item: ItemId) -> Result<Vec<Expected>, StoreError> {
        let from = Key::Incoming(item, LocationId(0), 0, 0);
        let to = Key::Incoming(item, LocationId(Seq::MAX), Seq::MAX, u32::MAX);
        let found = self.range(&from, &to, false, usize::MAX)?.into_iter();
        Ok(found
            .filter_map(|(key, value)| match (key, value) {
                (Key::Incoming(_, location, document, line), Value::Incoming(incoming)) => {
                    Some(Expected { location, document, line, incoming })
                }
                _ => None,
            })
            .collect())
    }

    /// What can be promised of an item by a day, at one location and inside it, or over all that may sell. Kits that
    /// can be built are available too; what is expected of their components is not counted.
    pub fn promisable(
        &mut self,
        item: ItemId,
        location: Option<LocationId>,
        by: Date,
    ) -> Result<Promisable, StoreError> {
        let sites = self.sites()?;
        let places: Vec<LocationId> = match location {
            Some(location) => vec![location],
            None => sites.sellable.iter().map(|(_, site)| *site).collect(),
        };
        let mut sum = Promisable::default();
        let is_tracked = self.item(item)?.is_some_and(|item| item.tracking != Tracking::None);
        for place in &places {
            sum.available += self.available(item, *place)?;
            if is_tracked && sites.sells(*place) {
                for spot in availability::spots(self, item, *place, &[StockState::Available])? {
                    sum.ended += if self.has_ended(spot.lot, by)? { spot.quantity } else { Quantity::ZERO };
                }
            }
        }
        let is_here = |at| places.iter().any(|place| sites.is_in(at, *place));
        for expected in self.expected(item)?.into_iter().filter(|one| is_here(one.location)) {
            let Incoming { supply, quantity, expected_on } = expected.incoming;
            let in_time = expected_on.is_some_and(|day| day <= by);
            let part = match supply {
                _ if !in_time => &mut sum.later,
                Supply::Purchase => &mut sum.purchases,
                Supply::Transfer => &mut sum.transfers,
            };
            *part += quantity;
            if is_tracked && in_time && supply == Supply::Transfer {
                let line = usize::try_from(expected.line).unwrap_or(usize::MAX);
                let lot = match self.get(&Key::Transfer(TransferId(expected.document)))? {
                    Some(Value::Transfer(transfer)) => transfer.lines.get(line).map(|line| line.lot),
                    _ => None,
                };
                let has_ended = self.has_ended(lot.unwrap_or_default(), by)?;
                sum.ended += if has_ended { quantity } else { Quantity::ZERO };
            }
        }
        sum.short = match self.get(&Key::Demand(item))? {
            Some(Value::Quantity(short)) => short,
            _ => Quantity::ZERO,
        };
        let covered = sum.available + sum.purchases + sum.transfers - sum.ended - sum.short;
        sum.promisable = covered.max(Quantity::ZERO);
        Ok(sum)
    }

    /// Has a lot's last day passed before a day, or was it called back?
    fn has_ended(&mut self, lot: LotId, by: Date) -> Result<bool, StoreError> {
        Ok(self.lot(lot)?.is_some_and(|lot| lot.recalled || lot.expires.is_some_and(|last| last < by)))
    }
}
