//! An item's stock, location by location, now or at a past instant: the one place that every number shown comes from.
//!
//! What is `available` here is what can be promised, as `ledger::availability` has it: without lots that ended or were
//! called back, without what lies where nothing is sold, and with the kits that can be built. Whether a lot could be
//! sold at a past instant is told by its days as known now, and by when it was called back; places and recipes are those
//! of now.

use std::collections::BTreeMap;

use onhand_ledger::availability::{self, Look};
use onhand_ledger::key::StockState;
use onhand_ledger::model::{Component, Lot, Tracking};
use onhand_ledger::state::TrailRow;
use onhand_ledger::{CellKey, Instant, ItemId, LocationId, LotId, Quantity, Seq};
use onhand_store::StoreError;

use crate::view::View;

/// How many movements of a cell are looked at for a late one: whoever reads is waited for.
const LOOKS_BACK: usize = 10_000;

/// A past instant, by what happened, as known at an entry.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Past {
    /// What happened up to then counts.
    pub at: Instant,
    /// Lots have ended, or were called back, by this time; none: now.
    pub moment: Option<Instant>,
    /// What entries up to this one say.
    pub known: Seq,
}

/// An item's stock at one location, without what is inside it.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Shelf {
    /// How much in each state.
    pub states: BTreeMap<StockState, Quantity>,
    /// Of what is in the state `available`: not to be had. Its lot ended or was called back, or nothing is sold there.
    pub unsellable: Quantity,
    /// Of that: what ended or was called back.
    pub ended: Quantity,
    /// Kits that can be built there, and of what is inside it; said at sites alone, and not on hand.
    pub buildable: Quantity,
}

impl Shelf {
    /// How much in a state.
    pub fn of(&self, state: StockState) -> Quantity {
        self.states.get(&state).copied().unwrap_or_default()
    }

    /// What can be promised.
    pub fn available(&self) -> Quantity {
        self.of(StockState::Available) - self.unsellable + self.buildable
    }

    /// The sum of the states that are on hand.
    pub fn on_hand(&self) -> Quantity {
        StockState::ON_HAND.into_iter().map(|state| self.of(state)).sum()
    }

    /// Adds another location's.
    pub fn add(&mut self, other: &Self) {
        for (state, quantity) in &other.states {
            *self.states.entry(*state).or_default() += *quantity;
        }
        self.unsellable += other.unsellable;
        self.ended += other.ended;
        self.buildable += other.buildable;
    }

    /// One cell of it, of stock that [`View::is_good`] or not, where something is sold or not.
    pub(crate) fn put(&mut self, state: StockState, quantity: Quantity, is_good: bool, sells: bool) {
        *self.states.entry(state).or_default() += quantity;
        if state == StockState::Available {
            self.ended += if is_good { Quantity::ZERO } else { quantity };
            self.unsellable += if is_good && sells { Quantity::ZERO } else { quantity };
        }
    }
}

impl View<'_> {
    /// An item's stock by location, wherever it ever was and wherever kits can be built of it: at a location and all that
    /// is inside it, or everywhere.
    pub fn shelves(
        &mut self,
        item: ItemId,
        root: Option<LocationId>,
        past: Option<Past>,
    ) -> Result<BTreeMap<LocationId, Shelf>, StoreError> {
        let sites = self.sites()?;
        let inside = root.map(|root| self.inside(root)).transpose()?;
        let mut shelves = BTreeMap::<LocationId, Shelf>::new();
        let mut sells = BTreeMap::<LocationId, bool>::new();
        for (cell, slot) in self.cells_of(item)? {
            if cell.state.is_party() || inside.as_ref().is_some_and(|inside| !inside.contains(&cell.location))
            {
                continue;
            }
            let quantity = match past {
                None => slot.quantity,
                Some(past) => self.as_of_seq(cell, past.at, past.known)?,
            };
            let counts = cell.state == StockState::Available && !quantity.is_zero();
            let is_good = !counts || self.is_good(&cell, past)?;
            let sells = *sells.entry(cell.location).or_insert_with(|| sites.sells(cell.location));
            shelves.entry(cell.location).or_default().put(cell.state, quantity, is_good, sells);
        }
        let roots: Vec<LocationId> = match root {
            Some(root) => vec![root],
            None => sites.sellable.iter().map(|(_, site)| *site).collect(),
        };
        for (location, kits) in self.buildable(item, &roots, past)? {
            shelves.entry(location).or_default().buildable = kits;
        }
        Ok(shelves)
    }

    /// Where what happened, as far as it was known, was less than nothing at an instant: by which movement, the last that was
    /// recorded of those that took out of the cell until then. It was heard of late, or what it took was.
    pub fn late_facts(&mut self, item: ItemId, past: Past) -> Result<BTreeMap<LocationId, Seq>, StoreError> {
        let mut found = BTreeMap::<LocationId, Seq>::new();
        for (cell, _) in self.cells_of(item)? {
            if cell.state.is_party() || !self.as_of_seq(cell, past.at, past.known)?.is_negative() {
                continue;
            }
            let rows = self.trail_below(&cell, Seq::MAX >> 1, LOOKS_BACK)?;
            let before =
                |index: usize| rows.get(index + 1).map_or(Quantity::ZERO, |row: &TrailRow| row.balance);
            let took = |(index, row): &(usize, &TrailRow)| {
                row.seq <= past.known && row.occurred_at <= past.at && row.balance < before(*index)
            };
            if let Some((_, row)) = rows.iter().enumerate().find(took) {
                let last = found.entry(cell.location).or_default();
                *last = row.seq.max(*last);
            }
        }
        Ok(found)
    }

    /// The kits of an item that can be built at each of these locations and of what is inside it, where any can.
    pub(crate) fn buildable(
        &mut self,
        item: ItemId,
        locations: &[LocationId],
        past: Option<Past>,
    ) -> Result<Vec<(LocationId, Quantity)>, StoreError> {
        let kit = self.facts(item)?.1;
        let mut found = Vec::new();
        if kit.is_empty() {
            return Ok(found);
        }
        let recipe = availability::flatten(self, &kit)?;
        let free = [StockState::Available];
        for location in locations {
            if !self.sells(*location)? {
                continue;
            }
            let kits = match past {
                None => availability::buildable(self, &recipe, *location, &free)?,
                Some(past) => {
                    availability::buildable(&mut Then { view: self, past }, &recipe, *location, &free)?
                }
            };
            if kits.is_positive() {
                found.push((*location, kits));
            }
        }
        Ok(found)
    }

    /// May what is in a cell be sold, as far as its lot goes?
    pub fn is_good(&mut self, cell: &CellKey, past: Option<Past>) -> Result<bool, StoreError> {
        let Some(mut lot) = self.lot(cell.lot)? else { return Ok(true) };
        let moment = past.and_then(|past| past.moment);
        as_it_was(&mut lot, moment);
        let ends = self.expires(cell.lot, cell.location)?;
        Ok(availability::is_sellable(&lot, ends, moment.unwrap_or(self.now)))
    }
}

/// Before it was called back a lot was as good as any.
fn as_it_was(lot: &mut Lot, moment: Option<Instant>) {
    lot.recalled &= moment.is_none_or(|moment| lot.recalled_at.is_none_or(|at| at <= moment));
}

/// The stock of a past instant.
struct Then<'v, 'a> {
    view: &'v mut View<'a>,
    past: Past,
}

impl Look for Then<'_, '_> {
    type Error = StoreError;

    fn now(&self) -> Instant {
        self.past.moment.unwrap_or(self.view.now)
    }

    fn facts(&mut self, item: ItemId) -> Result<(Tracking, Vec<Component>), StoreError> {
        self.view.facts(item)
    }

    fn below(&mut self, location: LocationId) -> Result<Vec<LocationId>, StoreError> {
        self.view.below(location)
    }

    fn sells(&mut self, location: LocationId) -> Result<bool, StoreError> {
        self.view.sells(location)
    }

    fn held(&mut self, cells: &[CellKey]) -> Result<Vec<Quantity>, StoreError> {
        let Past { at, known, .. } = self.past;
        cells.iter().map(|cell| self.view.as_of_seq(*cell, at, known)).collect()
    }

    fn stocked(&mut self, item: ItemId) -> Result<Vec<(CellKey, Quantity)>, StoreError> {
        let Past { at, known, .. } = self.past;
        let mut stocked = Vec::new();
        for (cell, _) in self.view.cells_of(item)? {
            if !cell.state.is_party() {
                let quantity = self.view.as_of_seq(cell, at, known)?;
                stocked.extend((!quantity.is_zero()).then_some((cell, quantity)));
            }
        }
        Ok(stocked)
    }

    fn lots(&mut self, at: &[(LotId, LocationId)]) -> Result<Vec<(Lot, Option<Instant>)>, StoreError> {
        let mut lots = self.view.lots(at)?;
        for (lot, _) in &mut lots {
            as_it_was(lot, self.past.moment);
        }
        Ok(lots)
    }
}
