//! What there is of everything: found by the beginning of a SKU, or a barcode; the whole of it as a file.

use askama::Template;
use axum::Router;
use axum::extract::{Query, State};
use axum::response::{IntoResponse as _, Redirect};
use axum::routing::get;
use onhand_engine::{Shelf, View};
use onhand_ledger::key::StockState;
use onhand_ledger::{ItemId, Key, Quantity, Value};
use onhand_store::StoreError;
use serde::Deserialize;

use super::frame::Frame;
use super::session::Visitor;
use super::{Shown, live, page, words};
use crate::App;
use crate::v1::ask::read;

/// How many items a page has.
const ROWS: usize = 50;
/// How many are looked at for them, each time while the committer waits, and how often.
const EXAMINED: usize = 500;
const SLICES: usize = 10;

pub(super) fn routes() -> Router<App> {
    Router::new().route("/stock", get(list)).route("/find", get(find))
}

/// An item's stock, in a row.
struct Row {
    id: ItemId,
    href: String,
    sku: String,
    name: String,
    unit: String,
    available: String,
    reserved: String,
    committed: String,
    on_hand: String,
    incoming: String,
    /// A word where something is to be said: `low`, `archived`.
    mark: Option<&'static str>,
}

/// What is looked for, and where to go on.
#[derive(Deserialize, Default)]
#[serde(default)]
struct Wanted {
    /// How the SKU begins.
    q: String,
    /// `low`, `out`: what is low, or has nothing available.
    show: String,
    /// The SKU that the page before ended with.
    after: String,
}

fn total(view: &mut View<'_>, id: ItemId) -> Result<(Shelf, Quantity), StoreError> {
    let mut total = Shelf::default();
    for shelf in view.shelves(id, None, None)?.values() {
        total.add(shelf);
    }
    let incoming = view.expected(id)?.into_iter().map(|expected| expected.incoming.quantity).sum();
    Ok((total, incoming))
}

/// A page of items, and what the next one begins after.
struct Found {
    rows: Vec<Row>,
    next: Option<String>,
}

impl Found {
    /// An item that is found by a name: by its SKU alone where nothing is looked for.
    fn look(
        &mut self,
        view: &mut View<'_>,
        wanted: &Wanted,
        id: ItemId,
        name: &str,
    ) -> Result<(), StoreError> {
        let Some(item) = view.item(id)? else { return Ok(()) };
        let is_shown = self.rows.iter().any(|row| row.sku == item.sku);
        if is_shown || wanted.q.is_empty() && name != item.sku {
            return Ok(());
        }
        let (shelf, incoming) = total(view, id)?;
        let level = item.low_stock.level;
        let is_low = level.is_some_and(|level| shelf.available() <= level);
        let is_shown = match wanted.show.as_str() {
            "low" => is_low,
            "out" => shelf.available() <= Quantity::ZERO && !item.archived,
            _ => true,
        };
        if !is_shown {
            return Ok(());
        }
        let mark = match (item.archived, is_low) {
            (true, _) => Some("archived"),
            (false, true) => Some("low"),
            _ => None,
        };
        self.rows.push(Row {
            id,
            href: format!("/items/{}", words::part(&item.sku)),
            available: words::number(shelf.available()),
            reserved: words::number(shelf.of(StockState::Reserved)),
            committed: words::number(shelf.of(StockState::Committed)),
            on_hand: words::number(shelf.on_hand()),
            incoming: words::number(incoming),
            mark,
            sku: item.sku,
            name: item.name,
            unit: item.unit,
        });
        Ok(())
    }

    /// One slice, by SKU. Where to look on; none at the end.
    fn slice(
        &mut self,
        view: &mut View<'_>,
        wanted: &Wanted,
        after: &str,
    ) -> Result<Option<String>, StoreError> {
        let from = if after.is_empty() { wanted.q.clone() } else { format!("{after}\u{0}") };
        let to = format!("{}\u{10ffff}", wanted.q);
        let examined = view.range(&Key::Sku(from), &Key::Sku(to), false, EXAMINED)?;
        let is_end = examined.len() < EXAMINED;
        let mut last = None;
        for (key, value) in examined {
            let (Key::Sku(name), Value::ItemId(id)) = (key, value) else { continue };
            self.look(view, wanted, id, &name)?;
            last = Some(name);
            if self.rows.len() == ROWS {
                return Ok(last);
            }
        }
        Ok(last.filter(|_| !is_end))
    }
}

#[derive(Template)]
#[template(path = "stock.html")]
struct Stock {
    frame: Frame,
    rows: Vec<Row>,
    next: Option<String>,
    wanted: Wanted,
    is_first: bool,
}

async fn list(State(app): State<App>, Visitor(caller): Visitor, Query(wanted): Query<Wanted>) -> Shown {
    let mut frame = Frame::of(&app, &caller, "/stock").await?;
    frame.query.clone_from(&wanted.q);
    let mut found = Found { rows: Vec::new(), next: Some(wanted.after.clone()) };
    for _ in 0..SLICES {
        let Some(after) = found.next.take() else { break };
        found.next = read(&app, &caller, |view| found.slice(view, &wanted, &after)).await?;
        if found.rows.len() == ROWS {
            break;
        }
    }
    let next = found.next.map(|after| {
        let [q, show, after] = [&wanted.q, &wanted.show, &after].map(|text| words::part(text));
        format!("/stock?q={q}&show={show}&after={after}")
    });
    frame.live = live::of_items("stock", found.rows.iter().map(|row| row.id));
    let is_first = wanted.after.is_empty();
    Ok(page(&Stock { frame, rows: found.rows, next, wanted, is_first })?)
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Sought {
    q: String,
}

/// Goes where it can only be meant: the item of that SKU or barcode, the order or discrepancy of that number; else to the stock list.
async fn find(State(app): State<App>, Visitor(caller): Visitor, Query(sought): Query<Sought>) -> Shown {
    let q = sought.q.trim().to_owned();
    let sku = read(&app, &caller, |view| {
        if let Some((_, item)) = view.item_by_sku(&q)? {
            return Ok(Some(item.sku));
        }
        Ok(view.item_by_barcode(&q)?.map(|(_, item, ..)| item.sku))
    })
    .await?;
    let there = match (sku, q.strip_prefix('#')) {
        (Some(sku), _) => format!("/items/{}", words::part(&sku)),
        (None, Some(order)) if order.parse::<u64>().is_ok() => format!("/orders/{order}"),
        _ => format!("/stock?q={}", words::part(&q)),
    };
    Ok(Redirect::to(&there).into_response())
}
