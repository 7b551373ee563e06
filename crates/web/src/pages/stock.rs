//! What there is of everything: found by any part of its names, filtered, in the columns that are wanted; the same as a file. Every view
//! is an address.

mod edit;

use std::collections::{BTreeMap, BTreeSet};

use askama::Template;
use axum::Router;
use axum::extract::{Query, State};
use axum::response::{IntoResponse as _, Redirect};
use axum::routing::get;
use onhand_engine::explain::explain_item;
use onhand_engine::find::{Fits, Hit, Sought};
use onhand_engine::open::Open;
use onhand_engine::{Shelf, View};
use onhand_exchange::export::{CsvRows, Export, What};
use onhand_ledger::key::StockState;
use onhand_ledger::model::{Became, Cause, Item};
use onhand_ledger::{DiscrepancyId, ItemId, Key, LocationId, Quantity, Seq, Value};
use onhand_store::StoreError;
use parking_lot::Mutex;
use serde::Deserialize;

use super::frame::Frame;
use super::session::Visitor;
use super::typed::may_change;
use super::{Shown, live, page, words};
use crate::App;
use crate::auth::Caller;
use crate::error::Problem;
use crate::v1::ask::read;
use crate::v1::export::{AsyncRun, Parts, Stop, hand_on, streamed};

/// How many items a page has.
const ROWS: usize = 50;
/// How many are looked at for them, each time while the committer waits, and how often.
const EXAMINED: usize = 250;
const SLICES: usize = 20;
/// So many locations are offered to choose from.
const LOCATIONS: usize = 500;

pub(super) fn routes() -> Router<App> {
    let list_and_file = Router::new().route("/stock", get(list)).route("/stock.csv", get(file));
    list_and_file.route("/find", get(find)).merge(edit::routes())
}

/// A column: its name in the address, its head, whether it is shown where nothing else is wanted, and whether it has numbers.
type Column = (&'static str, &'static str, bool, bool);

const COLUMNS: [Column; 12] = [
    ("name", "Name", true, false),
    ("available", "Available", true, true),
    ("reserved", "Reserved", true, true),
    ("committed", "Committed", true, true),
    ("on_hand", "On hand", true, true),
    ("incoming", "Incoming", true, true),
    ("damaged", "Damaged", false, true),
    ("quality_control", "Quality control", false, true),
    ("safety_stock", "Kept back", false, true),
    ("unit", "Unit", true, false),
    ("barcodes", "Barcodes", false, false),
    ("tags", "Tags", false, false),
];

/// What may be asked for: `show` in the address, and in words.
const SHOWS: [(&str, &str); 6] = [
    ("", "all"),
    ("low", "low"),
    ("out", "nothing available"),
    ("short", "short in orders"),
    ("behind", "out of step"),
    ("archived", "archived"),
];

/// What is looked for, and where to go on.
#[derive(Clone, Default)]
struct Wanted {
    q: String,
    /// One of [`SHOWS`].
    show: String,
    /// A location's code: stock there alone, and what is inside it.
    location: String,
    tag: String,
    /// None: those that are shown where nothing else is wanted.
    columns: Option<BTreeSet<String>>,
    /// The last item of the page before.
    after: Option<Hit>,
}

impl Wanted {
    /// From an address, in which a column is named each by itself.
    fn of(asked: Vec<(String, String)>) -> Self {
        let mut wanted = Self::default();
        for (name, value) in asked {
            match name.as_str() {
                "q" => wanted.q = value,
                "show" => wanted.show = value,
                "location" => wanted.location = value,
                "tag" => wanted.tag = value,
                "c" => _ = wanted.columns.get_or_insert_default().insert(value),
                "after" => wanted.after = hit(&value),
                _ => {}
            }
        }
        wanted
    }

    /// The part of an address that asks for it, without where to go on.
    fn query(&self) -> String {
        let mut parts = Vec::new();
        for (name, value) in
            [("q", &self.q), ("show", &self.show), ("location", &self.location), ("tag", &self.tag)]
        {
            if !value.is_empty() {
                parts.push(format!("{name}={}", words::part(value)));
            }
        }
        parts.extend(self.columns.iter().flatten().map(|column| format!("c={}", words::part(column))));
        parts.join("&")
    }

    fn sought(&self) -> Sought {
        let mut sought = Sought::typed(&self.q);
        if !self.tag.trim().is_empty() {
            sought = sought.tagged(self.tag.trim());
        }
        match self.show.as_str() {
            "low" => sought.watched().archived(false),
            "out" => sought.archived(false),
            "archived" => sought.archived(true),
            _ => sought,
        }
    }

    fn has(&self, column: &Column) -> bool {
        self.columns.as_ref().map_or(column.2, |columns| columns.contains(column.0))
    }

    fn is_plain(&self) -> bool {
        self.after.is_none() && Self { columns: None, ..self.clone() }.query().is_empty()
    }
}

/// Where to go on, as an address has it.
fn position(hit: &Hit) -> String {
    let fits = if hit.fits == Fits::Begins { 'b' } else { 'h' };
    format!("{fits}.{}.{}", hit.item, hit.key)
}

fn hit(text: &str) -> Option<Hit> {
    let mut parts = text.splitn(3, '.');
    let fits = match parts.next()? {
        "b" => Fits::Begins,
        "h" => Fits::Has,
        _ => return None,
    };
    let item = ItemId(parts.next()?.parse().ok()?);
    Some(Hit { fits, item, key: parts.next()?.to_owned() })
}

/// An item's stock, in a row.
struct Row {
    id: ItemId,
    href: String,
    sku: String,
    /// Of each column that is wanted.
    cells: Vec<Cell>,
    /// A word where something is to be said: `low`, `archived`.
    mark: Option<&'static str>,
}

struct Cell {
    text: String,
    is_number: bool,
    is_strong: bool,
    is_name: bool,
}

/// What is looked for, of what there is now.
struct Search {
    wanted: Wanted,
    sought: Sought,
    location: Option<LocationId>,
    /// The items that are short, where these are wanted.
    short: Option<BTreeSet<ItemId>>,
    /// The last that was looked at; none before the first.
    last: Option<Hit>,
    is_end: bool,
    /// Items that were looked at and are not low, as of a `seq` at least.
    enough: Mutex<(Seq, Vec<ItemId>)>,
}

impl Search {
    /// Are items wanted that are low, wherever they are?
    fn is_low_anywhere(&self) -> bool {
        self.wanted.show == "low" && self.location.is_none()
    }

    fn saw_enough(&self, view: &View<'_>, id: ItemId) {
        let mut enough = self.enough.lock();
        enough.0 = if enough.1.is_empty() { view.seq() } else { enough.0.min(view.seq()) };
        enough.1.push(id);
    }

    /// Of what is not low nobody needs to look at again before something touches it.
    async fn remember(&self, app: &App, caller: &Caller) -> Result<(), Problem> {
        let (seq, enough) = std::mem::take(&mut *self.enough.lock());
        if enough.is_empty() {
            return Ok(());
        }
        app.watched.names(app, caller.tenant, |names| names.have_enough(seq, &enough)).await
    }

    async fn begin(app: &App, caller: &Caller, wanted: Wanted) -> Result<Self, Problem> {
        let location = Some(wanted.location.trim()).filter(|code| !code.is_empty());
        let found = match location {
            Some(code) => {
                let found = read(app, caller, |view| view.location_by_code(code)).await?;
                Some(found.ok_or_else(|| Problem::unknown("location", code))?.0)
            }
            None => None,
        };
        let short = if wanted.show == "short" { Some(short(app, caller).await?) } else { None };
        let (sought, last) = (wanted.sought(), wanted.after.clone());
        Ok(Self { wanted, sought, location: found, short, last, is_end: false, enough: Mutex::default() })
    }

    /// The next items that may be shown, by their names alone.
    async fn candidates(&mut self, app: &App, caller: &Caller) -> Result<Vec<Hit>, Problem> {
        self.remember(app, caller).await?;
        let (sought, mut last, short) = (&self.sought, self.last.clone(), &self.short);
        let is_low = self.is_low_anywhere();
        let found = app.watched.names(app, caller.tenant, |names| {
            let mut found = Vec::new();
            loop {
                let hits = names.find(sought, last.as_ref(), EXAMINED);
                let is_end = hits.len() < EXAMINED;
                last = hits.last().cloned().or(last.take());
                found.extend(
                    hits.into_iter()
                        .filter(|hit| short.as_ref().is_none_or(|short| short.contains(&hit.item)))
                        .filter(|hit| !(is_low && names.has_enough(hit.item))),
                );
                if is_end || !found.is_empty() {
                    return (found, last, is_end);
                }
            }
        });
        let (found, last, is_end) = found.await?;
        (self.last, self.is_end) = (last, is_end);
        Ok(found)
    }

    /// An item, if it is to be shown: with its stock over all that is wanted of it.
    fn look(&self, view: &mut View<'_>, id: ItemId) -> Result<Option<(Item, Shelf, bool)>, StoreError> {
        let Some(item) = view.item(id)?.filter(|item| item.merged_into.is_none()) else { return Ok(None) };
        let shelves = view.shelves(id, self.location, None)?;
        if self.location.is_some() && shelves.is_empty() {
            return Ok(None);
        }
        let mut shelf = Shelf::default();
        for one in shelves.values() {
            shelf.add(one);
        }
        let level = item.low_stock.level;
        let is_low = level.is_some_and(|level| shelf.available() <= level);
        // What a kit can be built of is touched without it.
        if self.is_low_anywhere() && !is_low && item.kit.is_empty() {
            self.saw_enough(view, id);
        }
        let is_shown = match self.wanted.show.as_str() {
            "low" => is_low,
            "out" => shelf.available() <= Quantity::ZERO,
            "behind" => {
                let all = explain_item(view, id)?;
                all.iter().any(|one| one.shown.is_out_of_step())
            }
            _ => true,
        };
        Ok(is_shown.then_some((item, shelf, is_low)))
    }

    fn row(&self, view: &mut View<'_>, id: ItemId) -> Result<Option<Row>, StoreError> {
        let Some((item, shelf, is_low)) = self.look(view, id)? else { return Ok(None) };
        let mut incoming = Quantity::ZERO;
        for expected in view.expected(id)? {
            if self.location.is_none_or(|location| expected.location == location) {
                incoming += expected.incoming.quantity;
            }
        }
        let numbers = BTreeMap::from([
            ("available", shelf.available()),
            ("reserved", shelf.of(StockState::Reserved)),
            ("committed", shelf.of(StockState::Committed)),
            ("on_hand", shelf.on_hand()),
            ("incoming", incoming),
            ("damaged", shelf.of(StockState::Damaged)),
            ("quality_control", shelf.of(StockState::QualityControl)),
            ("safety_stock", shelf.of(StockState::SafetyStock)),
        ]);
        let cells = COLUMNS.iter().filter(|column| self.wanted.has(column)).map(|column| Cell {
            text: match column.0 {
                "name" => item.name.clone(),
                "unit" => item.unit.clone(),
                "barcodes" => item.barcodes.join(", "),
                "tags" => item.tags.join(", "),
                name => numbers.get(name).copied().map(words::number).unwrap_or_default(),
            },
            is_number: column.3,
            is_strong: column.0 == "available",
            is_name: column.0 == "name",
        });
        let mark = match (item.archived, is_low) {
            (true, _) => Some("archived"),
            (false, true) => Some("low"),
            _ => None,
        };
        Ok(Some(Row {
            id,
            href: format!("/items/{}", words::part(&item.sku)),
            cells: cells.collect(),
            mark,
            sku: item.sku,
        }))
    }
}

/// The items that are short in orders.
async fn short(app: &App, caller: &Caller) -> Result<BTreeSet<ItemId>, Problem> {
    let tell = |open: &Open, _| {
        let short = open.discrepancies().iter().filter(|(_, cause)| **cause == Cause::Short);
        short.map(|(id, _)| *id).collect::<Vec<DiscrepancyId>>()
    };
    let all = app.watched.look(app, caller.tenant, tell).await?;
    let mut items = BTreeSet::new();
    for some in all.chunks(EXAMINED) {
        let found = read(app, caller, |view| {
            let mut items = Vec::new();
            for id in some {
                items.extend(view.discrepancy(*id)?.and_then(|known| known.item));
            }
            Ok(items)
        });
        items.extend(found.await?);
    }
    Ok(items)
}

/// One that may be chosen.
struct Choice {
    value: String,
    label: String,
    is_chosen: bool,
}

#[derive(Template)]
#[template(path = "stock.html")]
struct Stock {
    frame: Frame,
    rows: Vec<Row>,
    next: Option<String>,
    wanted: Wanted,
    heads: Vec<&'static Column>,
    shows: Vec<Choice>,
    locations: Vec<Choice>,
    columns: Vec<Choice>,
    /// The address of the file, of the beginning, and of where all of it is edited; empty for who may not.
    file: String,
    edit: String,
    first: String,
}

async fn list(
    State(app): State<App>,
    Visitor(caller): Visitor,
    Query(asked): Query<Vec<(String, String)>>,
) -> Shown {
    let wanted = Wanted::of(asked);
    let mut frame = Frame::of(&app, &caller, "/stock").await?;
    let mut search = Search::begin(&app, &caller, wanted.clone()).await?;
    let mut rows = Vec::new();
    let mut last_shown = None;
    for _ in 0..SLICES {
        let hits = search.candidates(&app, &caller).await?;
        let found = read(&app, &caller, |view| {
            for hit in hits {
                if let Some(row) = search.row(view, hit.item)? {
                    rows.push(row);
                }
                if rows.len() == ROWS {
                    last_shown = Some(hit);
                    break;
                }
            }
            Ok(())
        });
        found.await?;
        if rows.len() == ROWS || search.is_end {
            break;
        }
    }
    search.remember(&app, &caller).await?;
    let go_on = last_shown.or_else(|| search.last.clone().filter(|_| !search.is_end));
    let codes = read(&app, &caller, |view| {
        let mut codes = Vec::new();
        for location in view.sites()?.all.into_iter().take(LOCATIONS) {
            codes.extend(view.location(location)?.map(|location| location.code));
        }
        Ok(codes)
    })
    .await?;
    let query = wanted.query();
    let next = go_on.map(|last| format!("/stock?{query}&after={}", words::part(&position(&last))));
    frame.live = live::of_items("stock", rows.iter().map(|row| row.id));
    let choice = |value: &str, label: &str, is_chosen| Choice {
        value: value.to_owned(),
        label: label.to_owned(),
        is_chosen,
    };
    Ok(page(&Stock {
        frame,
        rows,
        next,
        heads: COLUMNS.iter().filter(|column| wanted.has(column)).collect(),
        shows: SHOWS.iter().map(|(value, label)| choice(value, label, *value == wanted.show)).collect(),
        locations: codes.iter().map(|code| choice(code, code, *code == wanted.location)).collect(),
        columns: COLUMNS.iter().map(|column| choice(column.0, column.1, wanted.has(column))).collect(),
        file: format!("/stock.csv?{query}"),
        edit: if may_change(&caller) { format!("/stock/edit?{query}") } else { String::new() },
        first: format!("/stock?{query}"),
        wanted,
    })?)
}

/// All that a view shows, over all its pages, as a file: the rows of an export of stock, which an import of stock takes.
struct FileRun {
    app: App,
    caller: Caller,
    search: Search,
    export: Export,
}

impl AsyncRun for FileRun {
    async fn run(mut self, parts: Parts) -> Result<(), Stop> {
        let mut rows = CsvRows::new(What::Stock.columns());
        while !self.search.is_end {
            let hits = self.search.candidates(&self.app, &self.caller).await?;
            let found = read(&self.app, &self.caller, |view| {
                let places = self.search.location.map(|location| view.inside(location)).transpose()?;
                let mut found = Vec::new();
                for hit in hits {
                    if let Some((item, ..)) = self.search.look(view, hit.item)? {
                        self.export.stock_of(view, hit.item, &item, places.as_ref(), &mut found)?;
                    }
                }
                Ok(found)
            });
            rows.add(&found.await?);
            hand_on(&parts, rows.take()).await?;
        }
        hand_on(&parts, rows.take()).await
    }
}

async fn file(
    State(app): State<App>,
    Visitor(caller): Visitor,
    Query(asked): Query<Vec<(String, String)>>,
) -> Shown {
    let wanted = Wanted { after: None, ..Wanted::of(asked) };
    let place = app.fair.to_export(caller.tenant).await;
    let search = Search::begin(&app, &caller, wanted).await?;
    let export = read(&app, &caller, |view| Export::begin(view, What::Stock)).await?;
    let run = FileRun { app, caller, search, export };
    Ok(streamed("text/csv; charset=utf-8", "stock.csv".to_owned(), place, run))
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Asked {
    q: String,
}

/// The order that a system calls so: the newest, where several do.
fn order_named(view: &mut View<'_>, name: &str) -> Result<Option<u64>, StoreError> {
    let mut newest = None;
    for (system, _) in view.systems()? {
        if let Some(Value::Document(known)) = view.get(&Key::Document(system, name.to_owned()))?
            && let Became::Order(order) = known.became
        {
            newest = newest.max(Some(order.0));
        }
    }
    Ok(newest)
}

/// Goes where it can only be meant: the item of that SKU or barcode, the order that its system calls so, or of that number; else to the
/// stock list.
async fn find(State(app): State<App>, Visitor(caller): Visitor, Query(asked): Query<Asked>) -> Shown {
    let q = asked.q.trim().to_owned();
    let sku = read(&app, &caller, |view| {
        if let Some((_, item)) = view.item_by_sku(&q)? {
            return Ok(Some(item.sku));
        }
        Ok(view.item_by_barcode(&q)?.map(|(_, item, ..)| item.sku))
    })
    .await?;
    let named = q.strip_prefix('#');
    let order = match named.filter(|_| sku.is_none()) {
        Some(name) => read(&app, &caller, |view| order_named(view, name)).await?,
        None => None,
    };
    let there = match (sku, order, named) {
        (Some(sku), ..) => format!("/items/{}", words::part(&sku)),
        // The name by which its system lists it comes before our own number.
        (None, Some(order), _) => format!("/orders/{order}"),
        (None, None, Some(order)) if order.parse::<u64>().is_ok() => format!("/orders/{order}"),
        _ => format!("/stock?q={}", words::part(&q)),
    };
    Ok(Redirect::to(&there).into_response())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_view_is_an_address_and_back() {
        let all = [
            ("q", "a b&c"),
            ("show", "low"),
            ("location", "LÖN"),
            ("tag", "x"),
            ("c", "name"),
            ("c", "unit"),
        ];
        let asked = all.map(|(name, value)| (name.to_owned(), value.to_owned())).to_vec();
        let query = Wanted::of(asked).query();
        assert_eq!(query, "q=a%20b%26c&show=low&location=L%C3%96N&tag=x&c=name&c=unit");
        let last = Hit { fits: Fits::Has, key: "a.b-1".to_owned(), item: ItemId(7) };
        assert_eq!(hit(&position(&last)), Some(last));
        assert_eq!((hit("x.1.a"), hit("b.one.a"), hit("")), (None, None, None));
    }
}
