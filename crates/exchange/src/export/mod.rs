//! What there is as rows of a file, in the columns that an import takes, read in slices between which the ledger goes on.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use onhand_engine::View;
use onhand_ledger::model::{Item, Location, Order, Tracking};
use onhand_ledger::{
    CellKey, Instant, ItemId, Key, LocationId, LotId, OrderId, Quantity, Seq, StockState, SystemId, Value,
};
use onhand_store::StoreError;

use crate::lists;

pub use onhand_sheets::{Column, CsvRows, SheetProblem, Workbook};

/// What is exported.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum What {
    /// Items.
    Items,
    /// Locations.
    Locations,
    /// Stock by item, location, lot and state.
    Stock,
    /// A sheet to count on.
    Counts,
    /// Orders, line by line.
    Orders,
}

const ITEMS: &[Column] = &[
    ("sku", false),
    ("name", false),
    ("unit", false),
    ("precision", true),
    ("barcodes", false),
    ("tags", false),
    ("aliases", false),
    ("packs", false),
    ("low_stock", true),
    ("low_stock_at", false),
    ("kit", false),
    ("tracking", false),
    ("backorder_limit", true),
    ("preorder_limit", true),
    ("available_from", false),
    ("archived", false),
];
const LOCATIONS: &[Column] = &[
    ("code", false),
    ("name", false),
    ("sellable", false),
    ("rank", true),
    ("parent", false),
    ("time_zone", false),
    ("groups", false),
];
const STOCK: &[Column] = &[
    ("sku", false),
    ("location", false),
    ("lot", false),
    ("serial", false),
    ("expires", false),
    ("available", true),
    ("unsellable", true),
    ("reserved", true),
    ("committed", true),
    ("damaged", true),
    ("quality_control", true),
    ("safety_stock", true),
    ("on_hand", true),
    ("as_of", false),
];
const COUNTS: &[Column] = &[
    ("sku", false),
    ("location", false),
    ("lot", false),
    ("serial", false),
    ("expires", false),
    ("counted", true),
];
const ORDERS: &[Column] = &[
    ("id", false),
    ("system", false),
    ("reference", false),
    ("placed_at", false),
    ("cancelled", false),
    ("line", false),
    ("sku", false),
    ("lot", false),
    ("serial", false),
    ("quantity", true),
    ("short", true),
    ("shipped", true),
    ("returned", true),
    ("price", true),
    ("currency", false),
    ("ship_by", false),
    ("ship_to", false),
];

impl What {
    /// Its columns, in order.
    pub const fn columns(self) -> &'static [Column] {
        match self {
            Self::Items => ITEMS,
            Self::Locations => LOCATIONS,
            Self::Stock => STOCK,
            Self::Counts => COUNTS,
            Self::Orders => ORDERS,
        }
    }
}

/// An export in the making.
#[derive(Debug)]
pub struct Export {
    what: What,
    /// All quantities are of this instant, as known at its beginning.
    as_of: Instant,
    known: Seq,
    after: u64,
    done: bool,
    codes: HashMap<LocationId, String>,
}

impl Export {
    /// All of it, the oldest first. Stock is that of now, however long it takes.
    pub fn begin(view: &mut View<'_>, what: What) -> Result<Self, StoreError> {
        // What was recorded within a microsecond has times a little ahead of the clock.
        let as_of = view.now.max(view.head()?.recorded_at);
        let (known, codes) = (view.seq(), HashMap::new());
        Ok(Self { what, as_of, known, after: 0, done: false, codes })
    }

    /// Is there nothing more to come?
    pub const fn is_done(&self) -> bool {
        self.done
    }

    /// The rows of the next so many things. May be none though more come.
    pub fn next(&mut self, view: &mut View<'_>, things: usize) -> Result<Vec<Vec<String>>, StoreError> {
        const LAST: Seq = Seq::MAX >> 1;
        let next = self.after + 1;
        let (from, to) = match self.what {
            What::Items | What::Stock | What::Counts => (Key::Item(ItemId(next)), Key::Item(ItemId(LAST))),
            What::Locations => (Key::Location(LocationId(next)), Key::Location(LocationId(LAST))),
            What::Orders => (Key::Order(OrderId(next)), Key::Order(OrderId(LAST))),
        };
        let found = view.range(&from, &to, false, things)?;
        self.done = found.len() < things;
        let mut rows = Vec::new();
        for (key, value) in found {
            match (key, value) {
                (Key::Item(id), Value::Item(item)) => {
                    self.after = id.0;
                    if item.merged_into.is_some() {
                        continue;
                    }
                    if self.what == What::Items {
                        rows.push(self.item(view, &item)?);
                    } else {
                        self.stock_of(view, id, &item, None, &mut rows)?;
                    }
                }
                (Key::Location(id), Value::Location(location)) => {
                    self.after = id.0;
                    rows.push(self.location(view, *location)?);
                }
                (Key::Order(id), Value::Order(order)) => {
                    self.after = id.0;
                    lines(view, id, &order, &mut rows)?;
                }
                _ => {}
            }
        }
        Ok(rows)
    }

    fn code(&mut self, view: &mut View<'_>, id: LocationId) -> Result<String, StoreError> {
        if let Some(code) = self.codes.get(&id) {
            return Ok(code.clone());
        }
        let code = view.location(id)?.map_or_else(|| id.to_string(), |location| location.code);
        self.codes.insert(id, code.clone());
        Ok(code)
    }

    fn item(&mut self, view: &mut View<'_>, item: &Item) -> Result<Vec<String>, StoreError> {
        let names = |names: &[String]| lists::join(names.iter().map(String::as_str));
        let packs = item.packs.iter().map(|pack| (&*pack.name, pack.quantity, pack.barcode.as_deref()));
        let mut levels = Vec::new();
        for (location, level) in &item.low_stock.at {
            levels.push((self.code(view, *location)?, *level));
        }
        let mut kit = Vec::new();
        for component in &item.kit {
            let sku = view.item(component.item)?.map_or_else(String::new, |item| item.sku);
            kit.push((sku, component.quantity));
        }
        let parts = |parts: &[(String, Quantity)]| {
            lists::join_parts(parts.iter().map(|(name, quantity)| (name.as_str(), *quantity, None)))
        };
        let tracking = match item.tracking {
            Tracking::None => "none",
            Tracking::Lots => "lots",
            Tracking::Serials => "serials",
        };
        let from = item.beyond.available_from.filter(|from| *from > self.as_of);
        Ok(vec![
            item.sku.clone(),
            item.name.clone(),
            item.unit.clone(),
            item.precision.decimals().to_string(),
            names(&item.barcodes),
            names(&item.tags),
            names(&item.aliases),
            lists::join_parts(packs),
            item.low_stock.level.map_or_else(String::new, |level| level.to_string()),
            parts(&levels),
            parts(&kit),
            tracking.to_owned(),
            item.beyond.backorder_limit.to_string(),
            item.beyond.preorder_limit.to_string(),
            from.map_or_else(String::new, |from| from.to_string()),
            item.archived.to_string(),
        ])
    }

    fn location(&mut self, view: &mut View<'_>, location: Location) -> Result<Vec<String>, StoreError> {
        let parent = location.parent.map(|parent| self.code(view, parent)).transpose()?;
        Ok(vec![
            location.code,
            location.name,
            location.sellable.to_string(),
            location.rank.to_string(),
            parent.unwrap_or_default(),
            location.time_zone.unwrap_or_default(),
            lists::join(location.groups.iter().map(String::as_str)),
        ])
    }

    /// The rows of an item's stock: one for each place it ever was at, and each lot or serial that is there. `within`: of these places alone.
    /// What is of a lot that has expired or was called back, or lies where nothing is sold, is `unsellable`, not `available`.
    pub fn stock_of(
        &mut self,
        view: &mut View<'_>,
        id: ItemId,
        item: &Item,
        within: Option<&BTreeSet<LocationId>>,
        rows: &mut Vec<Vec<String>>,
    ) -> Result<(), StoreError> {
        let sites = view.sites()?;
        let mut places = BTreeMap::<(LocationId, LotId), (BTreeMap<StockState, Quantity>, Quantity)>::new();
        for (cell, slot) in view.cells_of(id)? {
            let is_within = within.is_none_or(|within| within.contains(&cell.location));
            if !is_within || !StockState::ON_HAND.contains(&cell.state) {
                continue;
            }
            let is_settled = slot.seq <= self.known && slot.latest <= self.as_of;
            let quantity = if is_settled {
                slot.quantity
            } else {
                view.as_of(CellKey { ..cell }, self.as_of, Some(self.as_of))?
            };
            let counts = cell.state == StockState::Available && !quantity.is_zero();
            let is_unsellable = counts && !(view.is_good(&cell, None)? && sites.sells(cell.location));
            let (states, unsellable) = places.entry((cell.location, cell.lot)).or_default();
            *states.entry(cell.state).or_default() += quantity;
            *unsellable += if is_unsellable { quantity } else { Quantity::ZERO };
        }
        for ((location, lot), (states, unsellable)) in places {
            let is_nothing = states.values().all(|quantity| quantity.is_zero());
            if is_nothing && item.tracking != Tracking::None {
                continue;
            }
            let [lot, serial, expires] = lot_columns(view, lot)?;
            let mut row = vec![item.sku.clone(), self.code(view, location)?, lot, serial, expires];
            if self.what == What::Counts {
                row.push(String::new());
            } else {
                let of = |state| states.get(&state).copied().unwrap_or_default();
                row.extend([of(StockState::Available) - unsellable, unsellable].map(|some| some.to_string()));
                row.extend(StockState::ON_HAND[1..].iter().map(|state| of(*state).to_string()));
                row.push(StockState::ON_HAND.map(of).into_iter().sum::<Quantity>().to_string());
                row.push(self.as_of.to_string());
            }
            rows.push(row);
        }
        Ok(())
    }
}

/// `lot`, `serial` and `expires` of a lot, or of a serial and the lot it is of.
fn lot_columns(view: &mut View<'_>, id: LotId) -> Result<[String; 3], StoreError> {
    let Some(lot) = view.lot(id)? else { return Ok(Default::default()) };
    let expires = lot.expires.map_or_else(String::new, |day| day.to_string());
    let is_serial = view.item(lot.item)?.is_some_and(|item| item.tracking == Tracking::Serials);
    if !is_serial {
        return Ok([lot.code, String::new(), expires]);
    }
    let of = lot.of.map(|of| view.lot(of)).transpose()?.flatten();
    Ok([of.map_or_else(String::new, |of| of.code), lot.code, expires])
}

fn lines(
    view: &mut View<'_>,
    id: OrderId,
    order: &Order,
    rows: &mut Vec<Vec<String>>,
) -> Result<(), StoreError> {
    let system = match order.system {
        SystemId::ONHAND => "onhand".to_owned(),
        system => view.system(system)?.map_or_else(|| system.to_string(), |system| system.name),
    };
    let instant = |at: Option<Instant>| at.map_or_else(String::new, |at| at.to_string());
    for line in &order.lines {
        let sku = view.item(line.item)?.map_or_else(|| line.item.to_string(), |item| item.sku);
        let [lot, serial, _] = line.lot.map(|lot| lot_columns(view, lot)).transpose()?.unwrap_or_default();
        // A piece is named by itself.
        let lot = if serial.is_empty() { lot } else { String::new() };
        let (price, currency) = match &line.price {
            Some(price) => (price.amount.to_string(), price.currency.clone()),
            None => Default::default(),
        };
        rows.push(vec![
            id.to_string(),
            system.clone(),
            order.document.clone(),
            order.placed_at.to_string(),
            order.cancelled.to_string(),
            line.line.clone(),
            sku,
            lot,
            serial,
            line.wanted.to_string(),
            line.short.to_string(),
            line.shipped_total().to_string(),
            line.returned.to_string(),
            price,
            currency,
            instant(order.ship_by),
            order.ship_to.clone().unwrap_or_default(),
        ]);
    }
    Ok(())
}
