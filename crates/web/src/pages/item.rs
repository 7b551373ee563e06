//! One item: the truth by location and state, what each system shows beside it and why, and its ledger.

use std::collections::BTreeMap;

use askama::Template;
use axum::extract::{Path, Query, State};
use axum::response::{IntoResponse as _, Redirect};
use axum::routing::{get, post};
use axum::{Form, Router};
use onhand_engine::after::{Foreseen, after};
use onhand_engine::explain::{Explained, explain_item};
use onhand_engine::{HistoryFilter, LedgerRow, Shelf, SubmitError, View};
use onhand_ledger::command::{Adjust, Line, PlaceHold, Reverse, TakeCount, Transfer};
use onhand_ledger::key::StockState;
use onhand_ledger::{
    Body, Command, Instant, ItemId, LocationId, LotId, Precision, Quantity, Seq, may_be_reversed,
};
use onhand_store::StoreError;
use serde::Deserialize;

use super::chart::{self, Picture, SPANS};
use super::frame::Frame;
use super::session::Visitor;
use super::typed::may_change;
use super::{Shown, act, form_key, live, noting, page, system_name, words};
use crate::App;
use crate::blocking::blocking;
use crate::error::Problem;
use crate::role::Role;
use crate::v1::ask::{instant, read};

/// How many movements a page has, and how many are looked at for them while the committer waits.
const ROWS: usize = 50;
const EXAMINED: usize = 400;
/// How many lots and pieces it tells.
const LOTS: usize = 100;
/// A hold lasts a week at most, in minutes.
const LONGEST: i64 = 7 * 24 * 60;

/// A name in the address, in words, and in seconds.
type Span = (&'static str, &'static str, i64);

pub(super) fn routes() -> Router<App> {
    Router::new()
        .route("/items/{sku}", get(show))
        .route("/items/{sku}/preview/{act}", post(foresee))
        .route("/items/{sku}/{act}", post(act_on))
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
    /// It can be taken back by whoever reads it.
    may_be_undone: bool,
}

/// A lot or a piece that is there.
struct LotRow {
    code: String,
    expires: String,
    /// A word where something is to be said.
    mark: Option<&'static str>,
    held: String,
}

struct Truth {
    /// What moves its numbers: itself, what it is made of, and what it is in.
    concerned: Vec<ItemId>,
    sku: String,
    name: String,
    unit: String,
    archived: bool,
    kit: Vec<(String, String)>,
    /// The SKUs of the kits it is in.
    kits: Vec<String>,
    lots: Vec<LotRow>,
    picture: Option<Picture>,
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
    let between =
        chain.between.into_iter().map(|between| (words::Time::of(between.at, view.now), between.sentence));
    Number {
        href: format!("/systems/{}", words::part(&shown.system)),
        system: shown.system,
        sign: standing.sign(),
        word: words::plain(standing.name()),
        shows: shown.shows.map_or_else(|| "–".to_owned(), words::number),
        sentence: shown.explanation,
        between: between.collect(),
        exposed: (exposed > Quantity::ZERO).then(|| words::number(exposed)),
    }
}

fn moved(view: &mut View<'_>, row: LedgerRow) -> Result<Moved, StoreError> {
    let LedgerRow { seq, movement, record, order, changes, reversals, .. } = row;
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
        may_be_undone: reversals.quantity < movement.quantity && may_be_reversed(&record, seq, &movement),
        who: record.actor,
        document,
        changes: [of(StockState::Available), of(StockState::Reserved), of(StockState::Committed), on_hand],
        late: changes.iter().any(|change| change.late),
    })
}

/// The lots and pieces of an item that are there, by name: the first of them.
fn lots(view: &mut View<'_>, id: ItemId) -> Result<Vec<LotRow>, StoreError> {
    let mut held = BTreeMap::<LotId, BTreeMap<LocationId, Quantity>>::new();
    for (cell, slot) in view.cells_of(id)? {
        if StockState::ON_HAND.contains(&cell.state) && slot.quantity > Quantity::ZERO {
            *held.entry(cell.lot).or_default().entry(cell.location).or_default() += slot.quantity;
        }
    }
    let mut rows = Vec::new();
    for (lot, places) in held.into_iter().take(LOTS) {
        let Some(known) = view.lot(lot)? else { continue };
        let mut told = Vec::new();
        let mut has_ended = false;
        for (location, quantity) in places {
            has_ended |= view.expires(lot, location)?.is_some_and(|at| at <= view.now);
            told.push(format!("{} at {}", words::number(quantity), code(view, location)?));
        }
        let of = known.of.map(|of| view.lot(of)).transpose()?.flatten();
        let known = known.within(of.as_ref());
        rows.push(LotRow {
            expires: known.expires.map_or_else(|| "–".to_owned(), |day| day.to_string()),
            mark: match (known.recalled, has_ended) {
                (true, _) => Some("recalled"),
                (false, true) => Some("expired"),
                _ => None,
            },
            code: known.code,
            held: told.join(", "),
        });
    }
    rows.sort_by(|a, b| a.code.cmp(&b.code));
    Ok(rows)
}

fn truth(view: &mut View<'_>, sku: &str, before: Seq, span: Span) -> Result<Option<Truth>, StoreError> {
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
    let mut kits = Vec::new();
    let around = view.kits_around(id)?;
    for kit in &around {
        kits.extend(view.item(*kit)?.map(|kit| kit.sku));
    }
    let mut concerned = vec![id];
    concerned.extend(around);
    concerned.extend(item.kit.iter().map(|component| component.item));
    let sites = view.sites()?;
    let mut codes = Vec::new();
    for location in sites.all {
        codes.push(code(view, location)?);
    }
    Ok(Some(Truth {
        concerned,
        kits,
        lots: lots(view, id)?,
        picture: chart::of(view, id, span)?,
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
    /// Of its forms.
    keys: [String; 5],
    /// May whoever reads it change anything?
    may_change: bool,
    /// How long the picture is of.
    over: &'static str,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Which {
    before: Option<Seq>,
    /// One of [`SPANS`].
    over: String,
}

async fn show(
    State(app): State<App>,
    Visitor(caller): Visitor,
    Path(sku): Path<String>,
    Query(which): Query<Which>,
) -> Shown {
    let mut frame = Frame::of(&app, &caller, "/stock").await?;
    let before = which.before.unwrap_or(Seq::MAX >> 1);
    let span = SPANS.into_iter().find(|(name, ..)| *name == which.over).unwrap_or(SPANS[1]);
    let found = read(&app, &caller, |view| truth(view, &sku, before, span)).await?;
    let truth = found.ok_or_else(|| Problem::unknown("item with the SKU", &sku))?;
    let href = format!("/items/{}", words::part(&truth.sku));
    frame.live = live::of_items("items", truth.concerned.iter().copied());
    let keys = [form_key()?, form_key()?, form_key()?, form_key()?, form_key()?];
    let may_change = may_change(&caller);
    Ok(page(&Item { frame, truth, href, keys, may_change, over: span.0 })?)
}

/// What an action's form says.
#[derive(Deserialize)]
struct Acting {
    key: String,
    #[serde(default)]
    location: String,
    #[serde(default)]
    quantity: String,
    /// The movement that is taken back.
    #[serde(default)]
    seq: String,
    #[serde(default)]
    reason: String,
    #[serde(default)]
    note: String,
    /// When it was counted, where that is not now.
    #[serde(default)]
    as_of: String,
    /// Where it is carried to.
    #[serde(default)]
    to: String,
    /// For how long it is held.
    #[serde(default)]
    minutes: String,
}

impl Acting {
    fn quantity(&self) -> Result<Quantity, Problem> {
        let text = self.quantity.trim().replace('−', "-");
        Quantity::parse(&text, Precision::FINEST)
            .map_err(|error| Problem::of_field("quantity", format!("the quantity: {error}")))
    }

    /// What is asked for of an item, at a time.
    fn body(&self, act: &str, sku: &str, now: Instant) -> Result<Body, Problem> {
        if act == "undo" {
            let seq = self.seq.parse().map_err(|_| Problem::unknown("movement", &self.seq))?;
            let reverse = Reverse { seq, quantity: None, reason: "correction".to_owned() };
            return Ok(noting(&self.note, Body::Reverse(reverse)));
        }
        let lines = vec![Line::new(sku.to_owned(), self.quantity()?)];
        let location = self.location.clone();
        let body = match act {
            "adjust" => {
                Body::Adjust(Adjust { location, lines, occurred_at: None, reason: self.reason.clone() })
            }
            "count" => {
                let as_of = Some(self.as_of.trim()).filter(|text| !text.is_empty());
                let as_of = instant("as_of", as_of)?;
                Body::Count(TakeCount { location, lines, as_of, inside: false, system: None, net: false })
            }
            "transfer" => {
                Body::Transfer(Transfer { from: location, to: self.to.clone(), lines, occurred_at: None })
            }
            "hold" => {
                let minutes =
                    self.minutes.trim().parse().ok().filter(|minutes| (1..=LONGEST).contains(minutes));
                let wrong = || Problem::of_field("minutes", format!("a hold lasts 1 to {LONGEST} minutes"));
                let expires_at = now.plus_seconds(60 * minutes.ok_or_else(wrong)?);
                Body::PlaceHold(PlaceHold { lines, location: Some(location), expires_at, partial: None })
            }
            _ => return Err(Problem::unknown("action", act)),
        };
        Ok(noting(&self.note, body))
    }
}

async fn act_on(
    State(app): State<App>,
    Visitor(caller): Visitor,
    Path((sku, deed)): Path<(String, String)>,
    Form(form): Form<Acting>,
) -> Shown {
    // As at the API.
    if matches!(&*deed, "hold" | "undo") {
        caller.must_be(Role::Operator)?;
    }
    let body = form.body(&deed, &sku, app.handle.ledger().clock().now())?;
    act(&app, caller, &form.key, body).await?;
    Ok(Redirect::to(&format!("/items/{}#ledger", words::part(&sku))).into_response())
}

/// What would follow from an action.
#[derive(Template)]
#[template(path = "foreseen.html")]
struct Follows {
    frame: Frame,
    sku: String,
    href: String,
    deed: String,
    /// The form again, to do it.
    form: Acting,
    numbers: Vec<Number>,
    /// Why it cannot be done.
    problem: Option<String>,
}

/// What all systems would show after an action. Nothing is done.
async fn foresee(
    State(app): State<App>,
    Visitor(caller): Visitor,
    Path((sku, deed)): Path<(String, String)>,
    Form(form): Form<Acting>,
) -> Shown {
    let frame = Frame::of(&app, &caller, "/stock").await?;
    let ledger = app.handle.ledger();
    let found = read(&app, &caller, |view| view.item_by_sku(&sku)).await?;
    let (item, known) = found.ok_or_else(|| Problem::unknown("item with the SKU", &sku))?;
    let told = form.body(&deed, &sku, ledger.clock().now()).and_then(|body| {
        caller.may(&body)?;
        Ok(Command { key: None, fingerprint: 0, actor: caller.name.clone(), body })
    });
    let told = match told {
        Ok(command) => {
            let look = || ledger.read(caller.tenant, |view| Ok(after(view, &command, item)));
            match blocking(look).await? {
                Ok(Ok(numbers)) => Ok(numbers),
                Ok(Err(refusal)) => Err(Problem::from(refusal)),
                Err(error) => Err(SubmitError::Commit(error).into()),
            }
        }
        Err(problem) => Err(problem),
    };
    let (numbers, problem) = match told {
        Ok(numbers) => (numbers.into_iter().map(foreseen).collect(), None),
        Err(problem) => (Vec::new(), Some(problem.detail)),
    };
    let href = format!("/items/{}", words::part(&known.sku));
    Ok(page(&Follows { frame, sku: known.sku, href, deed, form, numbers, problem })?)
}

/// A number as it would be, beside what it is.
fn foreseen(foreseen: Foreseen) -> Number {
    let Foreseen { system, sku, from, to, because, .. } = foreseen;
    let told = |quantity: Option<Quantity>| quantity.map_or_else(|| "–".to_owned(), words::number);
    let sentence = match (from == to, because.is_empty()) {
        (true, _) => format!("{sku}: as it is."),
        (false, true) => format!("{sku}: instead of {}.", told(from)),
        (false, false) => format!("{sku}: instead of {}; {because}.", told(from)),
    };
    Number {
        href: format!("/systems/{}", words::part(&system)),
        system,
        sign: if from == to { '●' } else { '◐' },
        word: if from == to { "stays" } else { "changes" }.to_owned(),
        shows: told(to),
        sentence,
        between: Vec::new(),
        exposed: None,
    }
}
