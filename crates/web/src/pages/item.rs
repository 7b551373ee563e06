//! One item: the truth by location and state, what each system shows beside it and why, and its ledger.

use askama::Template;
use axum::extract::{Path, Query, State};
use axum::response::{IntoResponse as _, Redirect};
use axum::routing::{get, post};
use axum::{Form, Router};
use onhand_engine::explain::{Explained, explain_item};
use onhand_engine::{HistoryFilter, LedgerRow, Shelf, View};
use onhand_ledger::command::{Adjust, Line, TakeCount};
use onhand_ledger::key::StockState;
use onhand_ledger::{Body, LocationId, Precision, Quantity, Seq};
use onhand_store::StoreError;
use serde::Deserialize;

use super::frame::Frame;
use super::session::Visitor;
use super::{Shown, act, form_key, noting, page, system_name, words};
use crate::App;
use crate::error::Problem;
use crate::v1::ask::{instant, read};

/// How many movements a page has, and how many are looked at for them while the committer waits.
const ROWS: usize = 50;
const EXAMINED: usize = 400;

pub(super) fn routes() -> Router<App> {
    Router::new()
        .route("/items/{sku}", get(show))
        .route("/items/{sku}/adjust", post(adjust))
        .route("/items/{sku}/count", post(count))
}

/// Stock at a location.
struct Place {
    location: String,
    available: String,
    reserved: String,
    committed: String,
    /// Damaged, in quality control, kept back: in words, where there is any.
    other: String,
    on_hand: String,
    incoming: String,
}

fn place(location: String, shelf: &Shelf, incoming: Quantity) -> Place {
    let mut other = Vec::new();
    for (state, word) in [
        (StockState::Damaged, "damaged"),
        (StockState::QualityControl, "in quality control"),
        (StockState::SafetyStock, "kept back"),
        (StockState::InTransit, "on its way here"),
    ] {
        if shelf.of(state) != Quantity::ZERO {
            other.push(format!("{} {word}", words::number(shelf.of(state))));
        }
    }
    if shelf.unsellable > Quantity::ZERO {
        other.push(format!("{} not to be sold", words::number(shelf.unsellable)));
    }
    if shelf.buildable > Quantity::ZERO {
        other.push(format!("{} can be built", words::number(shelf.buildable)));
    }
    Place {
        location,
        available: words::number(shelf.available()),
        reserved: words::number(shelf.of(StockState::Reserved)),
        committed: words::number(shelf.of(StockState::Committed)),
        other: other.join(", "),
        on_hand: words::number(shelf.on_hand()),
        incoming: words::number(incoming),
    }
}

/// What a system shows.
struct Number {
    href: String,
    system: String,
    sign: char,
    word: String,
    shows: String,
    sentence: String,
    /// What lies between, the oldest first.
    between: Vec<(words::Time, String)>,
    exposed: Option<String>,
}

/// A movement, in the ledger.
struct Moved {
    seq: Seq,
    at: words::Time,
    what: String,
    who: String,
    document: String,
    /// Of available, reserved, committed, on hand: the change and the new total; a dash where it did not.
    changes: [String; 4],
    late: bool,
}

struct Truth {
    sku: String,
    name: String,
    unit: String,
    archived: bool,
    kit: Vec<(String, String)>,
    places: Vec<Place>,
    total: Place,
    numbers: Vec<Number>,
    moved: Vec<Moved>,
    next: Option<Seq>,
    sites: Vec<String>,
}

fn code(view: &mut View<'_>, location: LocationId) -> Result<String, StoreError> {
    Ok(view.location(location)?.map_or_else(|| location.to_string(), |location| location.code))
}

fn number(explained: Explained, view: &View<'_>) -> Number {
    let Explained { shown, standing, exposed, chain } = explained;
    let shows = shown.observed.map(|(quantity, _)| quantity).or(shown.acknowledged);
    let between =
        chain.between.into_iter().map(|between| (words::Time::of(between.at, view.now), between.sentence));
    Number {
        href: format!("/systems/{}", words::part(&shown.system)),
        system: shown.system,
        sign: standing.sign(),
        word: words::plain(standing.name()),
        shows: shows.map_or_else(|| "–".to_owned(), words::number),
        sentence: shown.explanation,
        between: between.collect(),
        exposed: (exposed > Quantity::ZERO).then(|| words::number(exposed)),
    }
}

fn moved(view: &mut View<'_>, row: LedgerRow) -> Result<Moved, StoreError> {
    let LedgerRow { seq, movement, record, order, changes, .. } = row;
    let side = |view: &mut View<'_>, account: onhand_ledger::entry::Account| {
        let state = words::plain(account.state.name());
        Ok::<_, StoreError>(if account.state.is_party() {
            state
        } else {
            format!("{state} at {}", code(view, account.location)?)
        })
    };
    let (from, to) = (side(view, movement.from)?, side(view, movement.to)?);
    let (reason, quantity) = (words::plain(&movement.reason), words::number(movement.quantity));
    let is_within = movement.from.location == movement.to.location
        && !movement.from.state.is_party()
        && !movement.to.state.is_party();
    let from = if is_within { words::plain(movement.from.state.name()) } else { from };
    let what = format!("{reason}: {quantity} from {from} to {to}");
    let document = match &record.document {
        None => match order {
            None => record.reference.clone().unwrap_or_default(),
            Some(order) => format!("order {order}"),
        },
        Some((system, document)) => {
            let system = system_name(view, *system)?;
            format!("{system} {document}")
        }
    };
    let of = |state: StockState| {
        let mut all = changes.iter().filter(|change| change.state == state).peekable();
        if all.peek().is_none() {
            return "–".to_owned();
        }
        let told = all.map(|change| {
            let total = change.total.map_or_else(String::new, |total| format!(" ({})", words::number(total)));
            words::change(change.change) + &total
        });
        told.collect::<Vec<_>>().join(", ")
    };
    let on_hand: Quantity = changes
        .iter()
        .filter(|change| StockState::ON_HAND.contains(&change.state))
        .map(|change| change.change)
        .sum();
    let on_hand = if on_hand == Quantity::ZERO { "–".to_owned() } else { words::change(on_hand) };
    Ok(Moved {
        seq,
        at: words::Time::of(movement.occurred_at, view.now),
        what,
        who: record.actor,
        document,
        changes: [of(StockState::Available), of(StockState::Reserved), of(StockState::Committed), on_hand],
        late: changes.iter().any(|change| change.late),
    })
}

fn truth(view: &mut View<'_>, sku: &str, before: Seq) -> Result<Option<Truth>, StoreError> {
    let Some((id, item)) = view.item_by_sku(sku)? else { return Ok(None) };
    let (mut places, mut total) = (Vec::new(), Shelf::default());
    let mut shelves = view.shelves(id, None, None)?;
    let mut incoming = std::collections::BTreeMap::<LocationId, Quantity>::new();
    for expected in view.expected(id)? {
        *incoming.entry(expected.location).or_default() += expected.incoming.quantity;
        shelves.entry(expected.location).or_default();
    }
    for (location, shelf) in &shelves {
        total.add(shelf);
        let incoming = incoming.get(location).copied().unwrap_or_default();
        places.push(place(code(view, *location)?, shelf, incoming));
    }
    let explained = explain_item(view, id)?;
    let numbers = explained.into_iter().map(|explained| number(explained, view)).collect();
    let history = view.item_history(id, &HistoryFilter::default(), before, ROWS, EXAMINED)?;
    let (mut rows, mut last) = (Vec::new(), None);
    for row in history.rows {
        last = Some(row.seq);
        rows.push(moved(view, row)?);
    }
    let next = history.next.or_else(|| last.filter(|_| rows.len() == ROWS));
    let mut kit = Vec::new();
    for component in &item.kit {
        let sku = view.item(component.item)?.map_or_else(String::new, |item| item.sku);
        kit.push((words::number(component.quantity), sku));
    }
    let sites = view.sites()?;
    let mut codes = Vec::new();
    for location in sites.all {
        codes.push(code(view, location)?);
    }
    Ok(Some(Truth {
        sku: item.sku,
        name: item.name,
        unit: item.unit,
        archived: item.archived,
        kit,
        places,
        total: place("total".to_owned(), &total, incoming.values().copied().sum()),
        numbers,
        moved: rows,
        next,
        sites: codes,
    }))
}

#[derive(Template)]
#[template(path = "item.html")]
struct Item {
    frame: Frame,
    truth: Truth,
    /// The address of the item, for its forms.
    href: String,
    keys: [String; 2],
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Which {
    before: Option<Seq>,
}

async fn show(
    State(app): State<App>,
    Visitor(caller): Visitor,
    Path(sku): Path<String>,
    Query(which): Query<Which>,
) -> Shown {
    let frame = Frame::of(&app, &caller, "/stock").await?;
    let before = which.before.unwrap_or(Seq::MAX >> 1);
    let found = read(&app, &caller, |view| truth(view, &sku, before)).await?;
    let truth = found.ok_or_else(|| Problem::unknown("item with the SKU", &sku))?;
    let href = format!("/items/{}", words::part(&truth.sku));
    Ok(page(&Item { frame, truth, href, keys: [form_key()?, form_key()?] })?)
}

/// What an action's form says.
#[derive(Deserialize)]
struct Acting {
    key: String,
    location: String,
    quantity: String,
    #[serde(default)]
    reason: String,
    #[serde(default)]
    note: String,
    /// When it was counted, where that is not now.
    #[serde(default)]
    as_of: String,
}

impl Acting {
    fn quantity(&self) -> Result<Quantity, Problem> {
        let text = self.quantity.trim().replace('−', "-");
        Quantity::parse(&text, Precision::FINEST)
            .map_err(|error| Problem::of_field("quantity", format!("the quantity: {error}")))
    }
}

async fn adjust(
    State(app): State<App>,
    Visitor(caller): Visitor,
    Path(sku): Path<String>,
    Form(form): Form<Acting>,
) -> Shown {
    let lines = vec![Line::new(sku.clone(), form.quantity()?)];
    let (location, reason) = (form.location.clone(), form.reason.clone());
    let body = noting(&form.note, Body::Adjust(Adjust { location, lines, occurred_at: None, reason }));
    act(&app, caller, &form.key, body).await?;
    Ok(Redirect::to(&format!("/items/{}#ledger", words::part(&sku))).into_response())
}

async fn count(
    State(app): State<App>,
    Visitor(caller): Visitor,
    Path(sku): Path<String>,
    Form(form): Form<Acting>,
) -> Shown {
    let lines = vec![Line::new(sku.clone(), form.quantity()?)];
    let as_of = Some(form.as_of.trim()).filter(|text| !text.is_empty());
    let (location, as_of) = (form.location.clone(), instant("as_of", as_of)?);
    let body = noting(
        &form.note,
        Body::Count(TakeCount { location, lines, as_of, inside: false, system: None, net: false }),
    );
    act(&app, caller, &form.key, body).await?;
    Ok(Redirect::to(&format!("/items/{}#ledger", words::part(&sku))).into_response())
}
