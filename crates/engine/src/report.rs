//! The stock of the whole catalogue at an instant, as known now or then, in slices.
//!
//! All of it is of one `seq`: what is recorded while the report runs is left out. Between two slices the ledger goes
//! on, and no slice is longer than its caller asks, so that neither memory nor the committer's wait grows with it.

use std::collections::{BTreeMap, HashMap};

use onhand_ledger::key::StockState;
use onhand_ledger::state::CellSlot;
use onhand_ledger::{CellKey, Instant, ItemId, LocationId, Quantity, Seq};
use onhand_store::StoreError;

use crate::view::View;

/// A report in the making.
#[derive(Debug)]
pub struct StockReport {
    at: Instant,
    known: Seq,
    after: Option<CellKey>,
    open: Option<StockRow>,
    names: Option<(ItemId, String, String)>,
    codes: HashMap<LocationId, String>,
    done: bool,
}

/// The stock of an item at a location. Such as is nothing in all states has no row.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct StockRow {
    /// Of what.
    pub item: ItemId,
    /// Its SKU; that of an item merged since is its own, for the time before.
    pub sku: String,
    /// Its name.
    pub name: String,
    /// Where.
    pub location: LocationId,
    /// Its code.
    pub code: String,
    /// How much in each state that there is something in.
    pub states: BTreeMap<StockState, Quantity>,
}

impl StockRow {
    /// How much in a state.
    pub fn of(&self, state: StockState) -> Quantity {
        self.states.get(&state).copied().unwrap_or_default()
    }

    /// The sum of the states that are on hand.
    pub fn on_hand(&self) -> Quantity {
        StockState::ON_HAND.into_iter().map(|state| self.of(state)).sum()
    }
}

impl StockReport {
    /// Stock at an instant (now, unless told) by what happened, as known at another (now, unless told).
    pub fn begin(
        view: &mut View<'_>,
        at: Option<Instant>,
        known_at: Option<Instant>,
    ) -> Result<Self, StoreError> {
        let known = match known_at {
            Some(known_at) => view.seq_at(known_at)?,
            None => view.seq(),
        };
        Ok(Self {
            // Nothing recorded by now happens later.
            at: at.unwrap_or(Instant::MAX),
            known,
            after: None,
            open: None,
            names: None,
            codes: HashMap::new(),
            done: false,
        })
    }

    /// The last entry that it knows of.
    pub const fn known(&self) -> Seq {
        self.known
    }

    /// Is there nothing more to come?
    pub const fn is_done(&self) -> bool {
        self.done
    }

    /// The rows that the next so many cells complete, by item and location, the oldest first. May be none though more
    /// come.
    pub fn next(&mut self, view: &mut View<'_>, cells: usize) -> Result<Vec<StockRow>, StoreError> {
        let page = view.cells_page(self.after, cells)?;
        let mut rows = Vec::new();
        match page.last() {
            Some((last, _)) => self.after = Some(*last),
            None => {
                self.done = true;
                rows.extend(self.open.take().filter(|row| !row.states.is_empty()));
            }
        }
        for (cell, slot) in page {
            if cell.state.is_party() {
                continue;
            }
            let is_same = |row: &StockRow| (row.item, row.location) == (cell.item, cell.location);
            if !self.open.as_ref().is_some_and(is_same) {
                let row = self.row(view, cell)?;
                rows.extend(self.open.replace(row).filter(|row| !row.states.is_empty()));
            }
            let is_settled = slot.seq <= self.known && slot.latest <= self.at;
            let quantity =
                if is_settled { slot.quantity } else { view.as_of_seq(cell, self.at, self.known)? };
            if !quantity.is_zero()
                && let Some(row) = &mut self.open
            {
                *row.states.entry(cell.state).or_default() += quantity;
            }
        }
        Ok(rows)
    }

    fn row(&mut self, view: &mut View<'_>, cell: CellKey) -> Result<StockRow, StoreError> {
        if self.names.as_ref().is_none_or(|(item, ..)| *item != cell.item) {
            let named = view.item(cell.item)?.map(|item| (item.sku, item.name));
            let (sku, name) = named.unwrap_or_else(|| (cell.item.to_string(), String::new()));
            self.names = Some((cell.item, sku, name));
        }
        let code = match self.codes.get(&cell.location) {
            Some(code) => code.clone(),
            None => {
                let code = view.location(cell.location)?.map(|location| location.code);
                let code = code.unwrap_or_else(|| cell.location.to_string());
                self.codes.insert(cell.location, code.clone());
                code
            }
        };
        let (_, sku, name) = self.names.clone().unwrap_or_default();
        let states = BTreeMap::new();
        Ok(StockRow { item: cell.item, sku, name, location: cell.location, code, states })
    }
}

impl View<'_> {
    /// Up to `limit` cells after a key, in key order, as they are now.
    fn cells_page(
        &mut self,
        after: Option<CellKey>,
        limit: usize,
    ) -> Result<Vec<(CellKey, CellSlot)>, StoreError> {
        let bare = |slot: &CellSlot| CellSlot { pending: Vec::new(), ..*slot };
        let dirty: Vec<(CellKey, CellSlot)> =
            self.state.dirty_cells_after(after).take(limit).map(|(key, slot)| (*key, bare(slot))).collect();
        let written = self.reader.cells_after(self.tenant, after, limit)?;
        // Beyond the end of a full part the other has cells that are not read yet.
        let end = [&written, &dirty]
            .into_iter()
            .filter(|part| part.len() == limit)
            .filter_map(|part| part.last().map(|(key, _)| *key))
            .min();
        let mut cells: BTreeMap<CellKey, CellSlot> = written.into_iter().collect();
        cells.extend(dirty);
        let cells = cells.into_iter();
        Ok(cells.take_while(|(key, _)| end.is_none_or(|end| *key <= end)).collect())
    }
}
