//! Orders: what is promised, short, late, shipped; one in full, with what can be done about it.

use std::collections::BTreeSet;

use askama::Template;
use axum::extract::{Path, Query, State};
use axum::response::{IntoResponse as _, Redirect};
use axum::routing::{get, post};
use axum::{Form, Router};
use onhand_engine::View;
use onhand_ledger::command::{CancelOrder, Reallocate};
use onhand_ledger::model::{At, Order, OrderLine};
use onhand_ledger::{Body, Instant, ItemId, Key, OrderId, Quantity, Seq, Value};
use onhand_store::StoreError;
use serde::Deserialize;

use super::frame::Frame;
use super::session::Visitor;
use super::{Shown, act, form_key, page, system_name, words};
use crate::App;
use crate::error::Problem;
use crate::v1::ask::read;

/// How many orders a page has, how many are looked at for them while the committer waits, and how often.
const ROWS: usize = 50;
const EXAMINED: usize = 500;
const SLICES: usize = 10;
/// So many short lines are looked through for their orders.
const SHORT: usize = 5_000;

pub(super) fn routes() -> Router<App> {
    Router::new()
        .route("/orders", get(list))
        .route("/orders/{id}", get(show))
        .route("/orders/{id}/cancel", post(cancel))
        .route("/orders/{id}/reallocate", post(reallocate))
}

/// How an order stands, in a sign and a word.
fn standing(order: &Order, now: Instant) -> (&'static str, &'static str) {
    let sum = |of: fn(&OrderLine) -> Quantity| order.lines.iter().map(of).sum::<Quantity>();
    let (wanted, short) = (sum(|line| line.wanted), sum(|line| line.short));
    let shipped = sum(OrderLine::shipped_total);
    if order.cancelled {
        return ("○", "cancelled");
    }
    if shipped >= wanted {
        return ("●", "shipped");
    }
    if order.ship_by.is_some_and(|by| by <= now) {
        return ("✕", "late");
    }
    match (short > Quantity::ZERO, shipped > Quantity::ZERO) {
        (true, _) => ("▲", "short"),
        (false, true) => ("◐", "part shipped"),
        (false, false) => ("◐", "allocated"),
    }
}

/// An order, in a row.
struct Row {
    id: u64,
    system: String,
    document: String,
    placed: words::Time,
    ship_by: Option<words::Time>,
    sign: &'static str,
    word: &'static str,
    what: String,
}

fn row(view: &mut View<'_>, id: OrderId, order: &Order) -> Result<Row, StoreError> {
    let (sign, word) = standing(order, view.now);
    let mut what = Vec::new();
    for line in order.lines.iter().take(3) {
        let sku = view.item(line.item)?.map_or_else(String::new, |item| item.sku);
        what.push(format!("{} × {sku}", words::number(line.wanted)));
    }
    if order.lines.len() > 3 {
        what.push(format!("and {} more", words::count(order.lines.len() - 3)));
    }
    Ok(Row {
        id: id.0,
        system: system_name(view, order.system)?,
        document: order.document.clone(),
        placed: words::Time::of(order.placed_at, view.now),
        ship_by: order.ship_by.map(|by| words::Time::of(by, view.now)),
        sign,
        word,
        what: what.join(", "),
    })
}

/// Which orders.
#[derive(Deserialize, Default)]
#[serde(default)]
struct Wanted {
    /// `open`, `short`, `late`; all where it is none of these.
    show: String,
    /// Those placed with us before this one.
    before: Option<u64>,
}

#[derive(Template)]
#[template(path = "orders.html")]
struct Orders {
    frame: Frame,
    rows: Vec<Row>,
    next: Option<String>,
    show: String,
    is_first: bool,
}

/// The orders before one that something is short in, the newest first: none where there are so many short lines that looking through the
/// orders finds some sooner.
fn short(view: &mut View<'_>, end: Seq) -> Result<Option<Vec<OrderId>>, StoreError> {
    let first = Key::Short(ItemId(0), OrderId(0), 0);
    let last = Key::Short(ItemId(Seq::MAX), OrderId(Seq::MAX), u32::MAX);
    let lines = view.range(&first, &last, false, SHORT)?;
    if lines.len() == SHORT {
        return Ok(None);
    }
    let of = |(key, _)| if let Key::Short(_, order, _) = key { Some(order) } else { None };
    let orders: BTreeSet<OrderId> = lines.into_iter().filter_map(of).filter(|order| order.0 < end).collect();
    Ok(Some(orders.into_iter().rev().collect()))
}

/// The page of the orders that something is short in, and where the next one begins.
fn short_rows(view: &mut View<'_>, end: Seq) -> Result<Option<(Vec<Row>, Option<Seq>)>, StoreError> {
    let Some(orders) = short(view, end)? else { return Ok(None) };
    let mut rows = Vec::new();
    for id in orders {
        if rows.len() == ROWS {
            return Ok(Some((rows, Some(id.0 + 1))));
        }
        if let Some(Value::Order(order)) = view.get(&Key::Order(id))? {
            rows.push(row(view, id, &order)?);
        }
    }
    Ok(Some((rows, None)))
}

async fn list(State(app): State<App>, Visitor(caller): Visitor, Query(wanted): Query<Wanted>) -> Shown {
    let frame = Frame::of(&app, &caller, "/orders").await?;
    let (mut rows, mut before) = (Vec::new(), Some(wanted.before.unwrap_or(Seq::MAX >> 1)));
    if let ("short", Some(end)) = (wanted.show.as_str(), before)
        && let Some(found) = read(&app, &caller, |view| short_rows(view, end)).await?
    {
        let (rows, next) = found;
        let next = next.map(|before| format!("/orders?show=short&before={before}"));
        return Ok(page(&Orders {
            frame,
            rows,
            next,
            is_first: wanted.before.is_none(),
            show: wanted.show,
        })?);
    }
    // Where all are shown no more are read than that.
    let most = if matches!(wanted.show.as_str(), "open" | "short" | "late") { EXAMINED } else { ROWS };
    for _ in 0..SLICES {
        let Some(end) = before.take().filter(|end| *end > 0) else { break };
        before = read(&app, &caller, |view| {
            let (from, to) = (Key::Order(OrderId(0)), Key::Order(OrderId(end - 1)));
            let examined = view.range(&from, &to, true, most)?;
            let is_end = examined.len() < most;
            let mut last = None;
            for (key, value) in examined {
                let (Key::Order(id), Value::Order(order)) = (key, value) else { continue };
                last = Some(id.0);
                let (_, word) = standing(&order, view.now);
                let is_shown = match wanted.show.as_str() {
                    "open" => !matches!(word, "shipped" | "cancelled"),
                    "short" => order.lines.iter().any(|line| line.short > Quantity::ZERO) && !order.cancelled,
                    "late" => word == "late",
                    _ => true,
                };
                if is_shown {
                    rows.push(row(view, id, &order)?);
                    if rows.len() == ROWS {
                        return Ok(last);
                    }
                }
            }
            Ok(last.filter(|_| !is_end))
        })
        .await?;
        if rows.len() == ROWS {
            break;
        }
    }
    let show = wanted.show;
    let next = before.map(|before| format!("/orders?show={}&before={before}", words::part(&show)));
    Ok(page(&Orders { frame, rows, next, is_first: wanted.before.is_none(), show })?)
}

/// A line of an order.
struct Line {
    sku: String,
    href: String,
    wanted: String,
    allocated: String,
    short: String,
    shipped: String,
    returned: String,
}

struct Full {
    row: Row,
    version: u64,
    ship_to: Option<String>,
    short_told: Option<u64>,
    is_open: bool,
    lines: Vec<Line>,
}

fn places(view: &mut View<'_>, all: &[At]) -> Result<String, StoreError> {
    let mut told = Vec::new();
    for at in all.iter().filter(|at| at.quantity > Quantity::ZERO) {
        let code = view.location(at.location)?.map_or_else(|| at.location.to_string(), |known| known.code);
        told.push(format!("{} at {code}", words::number(at.quantity)));
    }
    Ok(if told.is_empty() { "–".to_owned() } else { told.join(", ") })
}

fn full(view: &mut View<'_>, id: OrderId, order: &Order) -> Result<Full, StoreError> {
    let some = |quantity: Quantity| {
        if quantity > Quantity::ZERO { words::number(quantity) } else { "–".to_owned() }
    };
    let mut lines = Vec::new();
    for line in &order.lines {
        let sku = view.item(line.item)?.map_or_else(String::new, |item| item.sku);
        let mut short = some(line.short);
        if line.backordered > Quantity::ZERO {
            short = format!("{short} ({} backordered)", words::number(line.backordered));
        }
        if line.preordered > Quantity::ZERO {
            short = format!("{short} ({} preordered)", words::number(line.preordered));
        }
        lines.push(Line {
            href: format!("/items/{}", words::part(&sku)),
            sku,
            wanted: words::number(line.wanted),
            allocated: places(view, &line.allocated)?,
            short,
            shipped: places(view, &line.shipped)?,
            returned: some(line.returned),
        });
    }
    let row = row(view, id, order)?;
    let is_open = !matches!(row.word, "shipped" | "cancelled");
    let (version, ship_to) = (order.version, order.ship_to.clone());
    let short_told = order.short_told.map(|told| told.0);
    Ok(Full { row, version, ship_to, short_told, is_open, lines })
}

#[derive(Template)]
#[template(path = "order.html")]
struct Shows {
    frame: Frame,
    order: Full,
    keys: [String; 2],
}

async fn show(State(app): State<App>, Visitor(caller): Visitor, Path(id): Path<u64>) -> Shown {
    let frame = Frame::of(&app, &caller, "/orders").await?;
    let found = read(&app, &caller, |view| match view.get(&Key::Order(OrderId(id)))? {
        Some(Value::Order(order)) => full(view, OrderId(id), &order).map(Some),
        _ => Ok(None),
    });
    let order = found.await?.ok_or_else(|| Problem::unknown("order", id))?;
    Ok(page(&Shows { frame, order, keys: [form_key()?, form_key()?] })?)
}

#[derive(Deserialize)]
struct Acting {
    key: String,
}

async fn cancel(
    State(app): State<App>,
    Visitor(caller): Visitor,
    Path(id): Path<u64>,
    Form(form): Form<Acting>,
) -> Shown {
    act(&app, caller, &form.key, Body::CancelOrder(CancelOrder { order: OrderId(id), lines: None })).await?;
    Ok(Redirect::to(&format!("/orders/{id}")).into_response())
}

async fn reallocate(
    State(app): State<App>,
    Visitor(caller): Visitor,
    Path(id): Path<u64>,
    Form(form): Form<Acting>,
) -> Shown {
    let body = Body::Reallocate(Reallocate { order: OrderId(id), away_from: None });
    act(&app, caller, &form.key, body).await?;
    Ok(Redirect::to(&format!("/orders/{id}")).into_response())
}
