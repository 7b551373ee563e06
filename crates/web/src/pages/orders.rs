//! Orders: what is promised, short, late, shipped; one in full, with where it was sent and what can be done about it.

use std::collections::BTreeSet;

use askama::Template;
use axum::extract::{Path, Query, State};
use axum::http::Method;
use axum::response::{IntoResponse as _, Redirect};
use axum::routing::{get, post};
use axum::{Form, Router};
use onhand_engine::View;
use onhand_engine::sent::{self, shown_of};
use onhand_ledger::command::{CancelOrder, FulfilOrder, LineQuantity, Reallocate, ReturnOrder};
use onhand_ledger::model::{At, Order, OrderLine};
use onhand_ledger::{
    Body, Instant, ItemId, Key, LocationId, LotId, OrderId, Precision, Quantity, Seq, StockState, SystemId,
    Value,
};
use onhand_store::StoreError;
use onhand_sync::sent::Stands;
use serde::Deserialize;

use super::frame::Frame;
use super::session::Visitor;
use super::typed::{Typed, may_change};
use super::{Shown, act, form_key, noting, page, system_name, words};
use crate::App;
use crate::error::Problem;
use crate::role::needed;
use crate::v1::ask::{instant, read};

/// How many orders a page has, how many are looked at for them while the committer waits, and how often.
const ROWS: usize = 50;
const EXAMINED: usize = 500;
const SLICES: usize = 10;
/// So many short lines are looked through for their orders.
const SHORT: usize = 5_000;
/// What must leave within so many seconds, and has not, is soon late: a day.
const SOON: i64 = 24 * 3_600;
/// A form asks for each lot or piece of a line by itself up to so many.
const LOTS: usize = 50;
/// The ways to see some of the orders only.
const FILTERS: [&str; 5] = ["open", "short", "backordered", "soon", "late"];
/// Where goods leave: whoever may send them may take them back.
const SHIP: &str = "/orders/{id}/ship";

/// What takes goods that come back, as a form says it, and as people do.
type Becomes = (StockState, &'static str);
const INTO: [Becomes; 3] = [
    (StockState::Available, "fit to be sold"),
    (StockState::Damaged, "damaged"),
    (StockState::QualityControl, "to be checked"),
];

pub(super) fn routes() -> Router<App> {
    Router::new()
        .route("/orders", get(list))
        .route("/orders/{id}", get(show))
        .route("/orders/{id}/cancel", post(cancel))
        .route("/orders/{id}/reallocate", post(reallocate))
        .route(SHIP, post(ship))
        .route("/orders/{id}/return", post(take_back))
}

/// Must it leave within a day? Whether it has left is not asked.
fn is_due_soon(order: &Order, now: Instant) -> bool {
    order.ship_by.is_some_and(|by| now < by && by <= now.plus_seconds(SOON))
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
    match (short > Quantity::ZERO, is_due_soon(order, now), shipped > Quantity::ZERO) {
        (true, ..) => ("▲", "short"),
        (false, true, _) => ("◔", "soon late"),
        (false, false, true) => ("◐", "part shipped"),
        (false, false, false) => ("◐", "allocated"),
    }
}

/// Is more of it to leave, where it stands so?
fn is_open(word: &str) -> bool {
    !matches!(word, "shipped" | "cancelled")
}

/// Is it one of those that are asked for?
fn is_shown(show: &str, order: &Order, now: Instant) -> bool {
    let (_, word) = standing(order, now);
    let has = |of: fn(&OrderLine) -> Quantity| {
        !order.cancelled && order.lines.iter().any(|line| of(line) > Quantity::ZERO)
    };
    match show {
        "open" => is_open(word),
        "short" => has(|line| line.short),
        "backordered" => has(|line| line.backordered),
        "soon" => is_open(word) && is_due_soon(order, now),
        "late" => word == "late",
        _ => true,
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
    /// Of the style.
    class: String,
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
        class: words::class(if word == "soon late" { "behind" } else { word }),
        what: what.join(", "),
    })
}

/// Which orders.
#[derive(Deserialize, Default)]
#[serde(default)]
struct Wanted {
    /// One of [`FILTERS`]; all where it is none of these.
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

/// The page of the orders that something is short in, or backordered, and where the next one begins.
fn short_rows(
    view: &mut View<'_>,
    show: &str,
    end: Seq,
) -> Result<Option<(Vec<Row>, Option<Seq>)>, StoreError> {
    let Some(orders) = short(view, end)? else { return Ok(None) };
    let mut rows = Vec::new();
    for (looked_at, id) in orders.into_iter().enumerate() {
        if rows.len() == ROWS || looked_at == EXAMINED {
            return Ok(Some((rows, Some(id.0 + 1))));
        }
        let Some(Value::Order(order)) = view.get(&Key::Order(id))? else { continue };
        if is_shown(show, &order, view.now) {
            rows.push(row(view, id, &order)?);
        }
    }
    Ok(Some((rows, None)))
}

async fn list(State(app): State<App>, Visitor(caller): Visitor, Query(wanted): Query<Wanted>) -> Shown {
    let frame = Frame::of(&app, &caller, "/orders").await?;
    let (mut rows, mut before) = (Vec::new(), Some(wanted.before.unwrap_or(Seq::MAX >> 1)));
    // What is backordered is short.
    if let ("short" | "backordered", Some(end)) = (wanted.show.as_str(), before)
        && let Some(found) = read(&app, &caller, |view| short_rows(view, &wanted.show, end)).await?
    {
        let (rows, next) = found;
        let next = next.map(|before| format!("/orders?show={}&before={before}", wanted.show));
        return Ok(page(&Orders {
            frame,
            rows,
            next,
            is_first: wanted.before.is_none(),
            show: wanted.show,
        })?);
    }
    // Where all are shown no more are read than that.
    let most = if FILTERS.contains(&wanted.show.as_str()) { EXAMINED } else { ROWS };
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
                if is_shown(&wanted.show, &order, view.now) {
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

/// So much of a line that leaves, or comes back: of one lot or piece, or of whichever.
struct Part {
    /// The line's name.
    line: String,
    sku: String,
    lot: Option<String>,
    /// How much of it is where.
    told: String,
    /// All of it, as it is typed.
    quantity: String,
}

/// What was sent to a system that ships it, and what that answered.
struct Sent {
    system: String,
    href: String,
    document: String,
    location: String,
    version: u64,
    sign: &'static str,
    class: &'static str,
    word: String,
    sent: words::Time,
    answered: Option<words::Time>,
    /// What is to be said of it, in sentences.
    says: Vec<String>,
    lines: Vec<String>,
    parcels: Vec<Parcel>,
}

/// Goods that left together.
struct Parcel {
    name: String,
    left: words::Time,
    what: String,
    /// Its carrier, and its number there.
    by: String,
}

struct Full {
    row: Row,
    version: u64,
    ship_to: Option<String>,
    short_told: Option<u64>,
    is_open: bool,
    lines: Vec<Line>,
    /// What is ours to ship.
    to_leave: Vec<Part>,
    /// What is promised where others are master, and who.
    elsewhere: Vec<String>,
    /// What may come back.
    to_return: Vec<Part>,
    /// Where it may come back to.
    sites: Vec<String>,
    sent: Vec<Sent>,
}

fn code(view: &mut View<'_>, location: LocationId) -> Result<String, StoreError> {
    Ok(view.location(location)?.map_or_else(|| location.to_string(), |known| known.code))
}

fn places(view: &mut View<'_>, all: &[At]) -> Result<String, StoreError> {
    let mut told = Vec::new();
    for at in all.iter().filter(|at| at.quantity > Quantity::ZERO) {
        told.push(format!("{} at {}", words::number(at.quantity), code(view, at.location)?));
    }
    Ok(if told.is_empty() { "–".to_owned() } else { told.join(", ") })
}

/// Can each lot or piece be asked for by itself?
fn is_by_lot(all: &[At]) -> bool {
    let lots: BTreeSet<LotId> = all.iter().map(|at| at.lot).collect();
    all.len() <= LOTS && lots.len() == all.len() && !lots.contains(&LotId(0))
}

/// The parts of a line that a form asks for: each lot by itself, or so much of whichever.
fn parts(
    view: &mut View<'_>,
    (line, sku): (&OrderLine, &str),
    all: &[At],
    whole: Option<Quantity>,
) -> Result<Vec<Part>, StoreError> {
    let part = |lot: Option<String>, told: String, quantity: Quantity| Part {
        line: line.line.clone(),
        sku: sku.to_owned(),
        lot,
        told,
        quantity: quantity.to_string(),
    };
    let mut parts = Vec::new();
    if let Some(whole) = whole {
        if whole.is_positive() {
            parts.push(part(None, places(view, all)?, whole));
        }
        return Ok(parts);
    }
    for at in all {
        let lot = view.lot(at.lot)?.map(|lot| lot.code);
        parts.push(part(lot, places(view, &[*at])?, at.quantity));
    }
    Ok(parts)
}

/// What of a line is ours to ship. What is promised where somebody else is master is told to `elsewhere`.
fn to_leave(
    view: &mut View<'_>,
    line: &OrderLine,
    sku: &str,
    elsewhere: &mut Vec<String>,
) -> Result<Vec<Part>, StoreError> {
    let promised: Vec<At> = line
        .allocated
        .iter()
        .chain(&line.build.built)
        .copied()
        .filter(|at| at.quantity.is_positive())
        .collect();
    let is_by_lot = is_by_lot(&promised);
    // Of whichever lot, the places are taken in their order: none is reached behind one that is not ours.
    let (mut ours, mut is_reached) = (Vec::new(), true);
    for at in promised {
        let rule = view.ownership_of(line.item, at.location)?;
        match rule.map(|(_, rule)| rule.master).filter(|master| *master != SystemId::ONHAND) {
            None if is_reached => ours.push(at),
            None => {}
            Some(master) => {
                let (quantity, code) = (words::number(at.quantity), code(view, at.location)?);
                elsewhere.push(format!("{quantity} × {sku} at {code} by {}", system_name(view, master)?));
                is_reached = is_by_lot;
            }
        }
    }
    let whole = (!is_by_lot).then(|| ours.iter().map(|at| at.quantity).sum::<Quantity>());
    parts(view, (line, sku), &ours, whole)
}

/// What of a line has left and not come back.
fn to_return(view: &mut View<'_>, line: &OrderLine, sku: &str) -> Result<Vec<Part>, StoreError> {
    let shipped: Vec<At> = line.shipped.iter().copied().filter(|at| at.quantity.is_positive()).collect();
    if !is_by_lot(&shipped) {
        let out = line.shipped_total() - line.returned;
        return parts(view, (line, sku), &shipped, Some(out));
    }
    let back = |of: LotId| {
        let known = line.returned_lots.iter().find(|(lot, _)| *lot == of);
        known.map_or(Quantity::ZERO, |(_, back)| *back)
    };
    let out: Vec<At> = shipped
        .into_iter()
        .map(|at| At { quantity: at.quantity - back(at.lot), ..at })
        .filter(|at| at.quantity.is_positive())
        .collect();
    parts(view, (line, sku), &out, None)
}

/// The locations that are in no other.
fn sites(view: &mut View<'_>) -> Result<Vec<String>, StoreError> {
    let sites = view.sites()?;
    let inside: BTreeSet<LocationId> = sites.parts.iter().map(|part| part.location).collect();
    let mut codes = Vec::new();
    for location in sites.all.into_iter().filter(|location| !inside.contains(location)) {
        codes.push(code(view, location)?);
    }
    Ok(codes)
}

/// How what was sent stands, in a sign and a class of the style.
const fn look(stands: Stands) -> (&'static str, &'static str) {
    match stands {
        Stands::Shipped | Stands::Received | Stands::Closed | Stands::Counted => ("●", "shipped"),
        Stands::Refused | Stands::ShortPicked => ("▲", "behind"),
        Stands::Cancelled => ("○", "cancelled"),
        Stands::Unknown | Stands::Sent | Stands::Accepted | Stands::PartShipped | Stands::PartReceived => {
            ("◐", "on-its-way")
        }
    }
}

fn sent_line(line: &sent::ShownLine) -> String {
    let (asked, moved) = (words::number(line.asked), words::number(line.moved));
    let mut told = format!("{asked} × {}: {moved} shipped", line.sku);
    if line.declined > Quantity::ZERO {
        told = format!("{told}, {} will not be", words::number(line.declined));
    }
    told
}

fn sent_as_read(shown: sent::Shown, now: Instant) -> Sent {
    let (sign, class) = look(shown.stands);
    let mut says = Vec::new();
    says.extend(shown.reason.map(|reason| words::sentence(&reason)));
    if shown.stands == Stands::Unknown {
        says.push("It may have arrived or not, and is sent again.".to_owned());
    }
    if shown.is_pending {
        says.push("A change is on its way.".to_owned());
    }
    says.extend(shown.trouble.map(|trouble| words::sentence(&trouble)));
    let parcel = |(parcel, lines): (onhand_sync::sent::Parcel, Vec<(String, Quantity)>)| {
        let what: Vec<String> =
            lines.iter().map(|(sku, quantity)| format!("{} × {sku}", words::number(*quantity))).collect();
        let by: Vec<String> = parcel.carrier.into_iter().chain(parcel.tracking).collect();
        Parcel {
            name: parcel.parcel,
            left: words::Time::of(parcel.shipped_at, now),
            what: what.join(", "),
            by: by.join(" "),
        }
    };
    Sent {
        href: format!("/systems/{}", words::part(&shown.system)),
        system: shown.system,
        document: shown.document,
        location: shown.location,
        version: shown.version,
        sign,
        class,
        word: words::plain(shown.stands.name()),
        sent: words::Time::of(shown.sent_at, now),
        answered: shown.answered_at.map(|at| words::Time::of(at, now)),
        says,
        lines: shown.lines.iter().map(sent_line).collect(),
        parcels: shown.parcels.into_iter().map(parcel).collect(),
    }
}

fn full(view: &mut View<'_>, id: OrderId, order: &Order) -> Result<Full, StoreError> {
    let some = |quantity: Quantity| {
        if quantity > Quantity::ZERO { words::number(quantity) } else { "–".to_owned() }
    };
    let (mut leaving, mut elsewhere, mut returning) = (Vec::new(), Vec::new(), Vec::new());
    let mut lines = Vec::new();
    for line in &order.lines {
        let sku = view.item(line.item)?.map_or_else(String::new, |item| item.sku);
        leaving.extend(to_leave(view, line, &sku, &mut elsewhere)?);
        returning.extend(to_return(view, line, &sku)?);
        let promised: Vec<At> = line.allocated.iter().chain(&line.build.built).copied().collect();
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
            allocated: places(view, &promised)?,
            short,
            shipped: places(view, &line.shipped)?,
            returned: some(line.returned),
        });
    }
    let row = row(view, id, order)?;
    let sites = if returning.is_empty() { Vec::new() } else { sites(view)? };
    let now = view.now;
    let sent = shown_of(view, id.0)?.into_iter().map(|shown| sent_as_read(shown, now)).collect();
    Ok(Full {
        is_open: is_open(row.word),
        row,
        version: order.version,
        ship_to: order.ship_to.clone(),
        short_told: order.short_told.map(|told| told.0),
        lines,
        to_leave: leaving,
        elsewhere,
        to_return: returning,
        sites,
        sent,
    })
}

#[derive(Template)]
#[template(path = "order.html")]
struct Shows {
    frame: Frame,
    order: Full,
    /// Of its forms.
    keys: [String; 4],
    /// May whoever reads it allocate it again, or cancel it?
    may_change: bool,
    /// May they ship it, or take it back?
    may_move: bool,
    into: [Becomes; 3],
}

async fn show(State(app): State<App>, Visitor(caller): Visitor, Path(id): Path<u64>) -> Shown {
    let frame = Frame::of(&app, &caller, "/orders").await?;
    let found = read(&app, &caller, |view| match view.get(&Key::Order(OrderId(id)))? {
        Some(Value::Order(order)) => full(view, OrderId(id), &order).map(Some),
        _ => Ok(None),
    });
    let order = found.await?.ok_or_else(|| Problem::unknown("order", id))?;
    let keys = [form_key()?, form_key()?, form_key()?, form_key()?];
    let (may_change, may_move) = (may_change(&caller), caller.role >= needed(&Method::POST, SHIP));
    Ok(page(&Shows { frame, order, keys, may_change, may_move, into: INTO })?)
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

/// What a form says of lines: their names, each followed by a lot where it is one's, and by how much. What is left empty, or is 0, is
/// not meant.
fn quantities(fields: &[(String, String)], none: &str) -> Result<Vec<LineQuantity>, Problem> {
    let (mut line, mut lot, mut lines) = (String::new(), None, Vec::new());
    for (name, value) in fields {
        match name.as_str() {
            "line" => (line, lot) = (value.clone(), None),
            "lot" => lot = Some(value.clone()),
            "quantity" if !value.trim().is_empty() => {
                let parsed = Quantity::parse(&value.trim().replace('−', "-"), Precision::FINEST);
                let quantity = parsed
                    .map_err(|error| Problem::of_field("quantity", format!("line `{line}`: {error}")))?;
                if !quantity.is_zero() {
                    lines.push(LineQuantity { line: line.clone(), quantity, lot: lot.clone() });
                }
            }
            _ => {}
        }
    }
    if lines.is_empty() {
        return Err(Problem::of_field("quantity", none));
    }
    Ok(lines)
}

async fn ship(
    State(app): State<App>,
    Visitor(caller): Visitor,
    Path(id): Path<u64>,
    Form(fields): Form<Vec<(String, String)>>,
) -> Shown {
    let lines = Some(quantities(&fields, "say how much of which line has left")?);
    let typed = Typed::new(fields);
    let occurred_at = instant("occurred_at", typed.text("occurred_at").as_deref())?;
    let body = Body::FulfilOrder(FulfilOrder { order: OrderId(id), lines, occurred_at });
    act(&app, caller, typed.get("key"), noting(typed.get("note"), body)).await?;
    Ok(Redirect::to(&format!("/orders/{id}")).into_response())
}

async fn take_back(
    State(app): State<App>,
    Visitor(caller): Visitor,
    Path(id): Path<u64>,
    Form(fields): Form<Vec<(String, String)>>,
) -> Shown {
    let lines = quantities(&fields, "say how much of which line came back")?;
    let typed = Typed::new(fields);
    let chosen = INTO.into_iter().find(|(state, _)| state.name() == typed.get("into"));
    let (into, _) = chosen.ok_or_else(|| Problem::of_field("into", "choose what becomes of it"))?;
    let occurred_at = instant("occurred_at", typed.text("occurred_at").as_deref())?;
    let location = typed.text("location");
    let body = Body::ReturnOrder(ReturnOrder { order: OrderId(id), lines, location, into, occurred_at });
    act(&app, caller, typed.get("key"), noting(typed.get("note"), body)).await?;
    Ok(Redirect::to(&format!("/orders/{id}")).into_response())
}
