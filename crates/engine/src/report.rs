//! The stock of the whole catalogue at an instant, as known now or then, in slices.
//!
//! All of it is of one `seq`: what is recorded while the report runs is left out. Between two slices the ledger goes
//! on, and no slice is longer than its caller asks, so that neither memory nor the committer's wait grows with it.

use std::collections::{BTreeMap, HashMap};

use onhand_ledger::state::CellSlot;
use onhand_ledger::{CellKey, Instant, ItemId, Key, LocationId, Seq, Value};
use onhand_store::StoreError;

use crate::stock::{Past, Shelf};
use crate::view::View;

/// A report in the making.
#[derive(Debug)]
pub struct StockReport {
    past: Past,
    root: Option<LocationId>,
    after: Option<CellKey>,
    open: Option<StockRow>,
    names: Option<Names>,
    codes: HashMap<LocationId, String>,
    sells: HashMap<LocationId, bool>,
    /// Once all cells are through: the last item that was looked at, for those that are kits.
    kits_after: Option<ItemId>,
    done: bool,
}

#[derive(Clone, Debug)]
struct Names {
    item: ItemId,
    sku: String,
    name: String,
    is_kit: bool,
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
    /// How much there is.
    pub shelf: Shelf,
}

impl StockRow {
    fn is_empty(&self) -> bool {
        self.shelf.states.is_empty() && self.shelf.buildable.is_zero()
    }
}

impl StockReport {
    /// Stock at an instant (now, unless told) by what happened, as known at another (now, unless told); at one location
    /// and inside it, or everywhere.
    pub fn begin(
        view: &mut View<'_>,
        at: Option<Instant>,
        known_at: Option<Instant>,
        root: Option<LocationId>,
    ) -> Result<Self, StoreError> {
        let known = match known_at {
            Some(known_at) => view.seq_at(known_at)?,
            None => view.seq(),
        };
        // Nothing recorded by now happens later.
        let past = Past { at: at.unwrap_or(Instant::MAX), moment: at, known };
        Ok(Self {
            past,
            root,
            after: None,
            open: None,
            names: None,
            codes: HashMap::new(),
            sells: HashMap::new(),
            kits_after: None,
            done: false,
        })
    }

    /// The last entry that it knows of.
    pub const fn known(&self) -> Seq {
        self.past.known
    }

    /// Is there nothing more to come?
    pub const fn is_done(&self) -> bool {
        self.done
    }

    /// The rows that the next so many cells complete: by item and location, the oldest first, and after all others those
    /// of kits. May be none though more come.
    pub fn next(&mut self, view: &mut View<'_>, cells: usize) -> Result<Vec<StockRow>, StoreError> {
        if let Some(after) = self.kits_after {
            return self.next_kits(view, after, cells);
        }
        let page = view.cells_page(self.after, cells)?;
        let mut rows = Vec::new();
        match page.last() {
            Some((last, _)) => self.after = Some(*last),
            None => {
                self.kits_after = Some(ItemId(0));
                rows.extend(self.open.take().filter(|row| !row.is_empty()));
            }
        }
        let inside = self.root.map(|root| view.inside(root)).transpose()?;
        for (cell, slot) in page {
            let is_meant = inside.as_ref().is_none_or(|inside| inside.contains(&cell.location));
            if cell.state.is_party() || !is_meant || self.names(view, cell.item)?.is_kit {
                continue;
            }
            let is_same = |row: &StockRow| (row.item, row.location) == (cell.item, cell.location);
            if !self.open.as_ref().is_some_and(is_same) {
                let row = self.row(view, cell.item, cell.location)?;
                rows.extend(self.open.replace(row).filter(|row| !row.is_empty()));
            }
            let Past { at, known, .. } = self.past;
            let is_settled = slot.seq <= known && slot.latest <= at;
            let quantity = if is_settled { slot.quantity } else { view.as_of_seq(cell, at, known)? };
            if quantity.is_zero() {
                continue;
            }
            let is_good = view.is_good(&cell, Some(self.past))?;
            let sells = match self.sells.get(&cell.location) {
                Some(sells) => *sells,
                None => view.sites()?.sells(cell.location),
            };
            self.sells.insert(cell.location, sells);
            if let Some(row) = &mut self.open {
                row.shelf.put(cell.state, quantity, is_good, sells);
            }
        }
        Ok(rows)
    }

    /// Those of kits: what of them can be built may be where none ever was.
    fn next_kits(
        &mut self,
        view: &mut View<'_>,
        after: ItemId,
        examined: usize,
    ) -> Result<Vec<StockRow>, StoreError> {
        let (from, to) = (Key::Item(ItemId(after.0 + 1)), Key::Item(ItemId(self.past.known)));
        let part =
            if after.0 < self.past.known { view.range(&from, &to, false, examined)? } else { Vec::new() };
        self.done = part.len() < examined;
        let mut rows = Vec::new();
        for (key, value) in part {
            let (Key::Item(id), Value::Item(item)) = (key, value) else { continue };
            self.kits_after = Some(id);
            if item.kit.is_empty() {
                continue;
            }
            for (location, mut shelf) in view.shelves(id, self.root, Some(self.past))? {
                shelf.states.retain(|_, quantity| !quantity.is_zero());
                let row = StockRow { shelf, ..self.row(view, id, location)? };
                rows.extend((!row.is_empty()).then_some(row));
            }
        }
        Ok(rows)
    }

    fn names(&mut self, view: &mut View<'_>, item: ItemId) -> Result<&Names, StoreError> {
        if self.names.as_ref().is_none_or(|names| names.item != item) {
            let known = view.item(item)?;
            let is_kit = known.as_ref().is_some_and(|item| !item.kit.is_empty());
            let (sku, name) =
                known.map_or_else(|| (item.to_string(), String::new()), |item| (item.sku, item.name));
            self.names = Some(Names { item, sku, name, is_kit });
        }
        Ok(self.names.as_ref().expect("they were just looked up"))
    }

    fn row(
        &mut self,
        view: &mut View<'_>,
        item: ItemId,
        location: LocationId,
    ) -> Result<StockRow, StoreError> {
        let code = match self.codes.get(&location) {
            Some(code) => code.clone(),
            None => {
                let code = view.location(location)?.map(|location| location.code);
                let code = code.unwrap_or_else(|| location.to_string());
                self.codes.insert(location, code.clone());
                code
            }
        };
        let Names { sku, name, .. } = self.names(view, item)?.clone();
        Ok(StockRow { item, sku, name, location, code, shelf: Shelf::default() })
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
