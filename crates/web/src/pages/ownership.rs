//! Who is master of what: locations and groups with their masters, whom Onhand recommends, and rules changed after a dry run.

use askama::Template;
use axum::extract::{Path, Query, State};
use axum::routing::get;
use axum::{Form, Router};
use onhand_engine::View;
use onhand_engine::owners::{Handed, Handovers, Mastered, Place, Recommended, matrix};
use onhand_ledger::command::SetOwnership;
use onhand_ledger::model::Ownership;
use onhand_ledger::{Body, RuleId};
use onhand_store::StoreError;
use serde::Deserialize;

use super::frame::Frame;
use super::session::Visitor;
use super::typed::{
    Choice, Pressed, Spot, Typed, Wrong, ended, may_change, must_be_named, or_why, parted, saved, shown_as,
    spots, swapped,
};
use super::{Shown, live, page, words};
use crate::App;
use crate::auth::Caller;
use crate::error::Problem;
use crate::v1::ask::read;
use crate::v1::ownership::{HandoverBody, OwnershipBody, handovers, ownership};

/// So many places are on a page.
const ROWS: usize = 100;
/// So many changes are shown.
const CHANGES: usize = 50;
/// So many zones and bins may be chosen; others where a link names them.
const INSIDE: usize = 500;
/// What Onhand is called where a rule names it.
const ONHAND: &str = "onhand";

/// The fields of the form, each with what a problem may call it.
const FIELDS: &[(&str, &[&str])] =
    &[("place", &["location", "group"]), ("name", &["sku", "tag"]), ("master", &["system"])];

/// Of what a rule may speak: as the form has it, and in words.
const OF: [(&str, &str); 3] =
    [("", "everything that no narrower rule names"), ("sku", "the item"), ("tag", "items with the tag")];

pub(super) fn routes() -> Router<App> {
    Router::new()
        .route("/ownership", get(list).post(save))
        .route("/ownership/change", get(change))
        .route("/ownership/{id}/end", get(ending).post(end))
}

/// A rule for some items.
struct Narrower {
    id: u64,
    kind: &'static str,
    name: String,
    master: String,
    change: String,
}

/// A place, and who is master there.
struct Row {
    /// `everywhere`, `group`, `site`, `inside`: what it is.
    kind: &'static str,
    name: String,
    depth: usize,
    members: Option<String>,
    /// None: each location's own.
    master: Option<String>,
    /// By which rule, in words; its number where it is one for just this place.
    by: String,
    by_name: String,
    own: Option<u64>,
    recommended: Option<Advice>,
    narrower: Vec<Narrower>,
    change: String,
}

/// Whom we would take.
struct Advice {
    master: String,
    because: String,
    warning: Option<String>,
    /// Where that is not the master by now: a dry run of taking it.
    take: Option<String>,
}

fn named(master: Option<String>) -> String {
    master.unwrap_or_else(|| ONHAND.to_owned())
}

/// A master as people read it.
fn shown(master: String) -> String {
    if master == ONHAND { "Onhand".to_owned() } else { master }
}

/// Where a rule is changed, or made.
fn change_href(place: &str, of: &str, name: &str) -> String {
    format!("/ownership/change?place={}&of={of}&name={}", words::part(place), words::part(name))
}

fn narrower(place: &str, rule: OwnershipBody) -> Narrower {
    let (of, kind, name) = match (rule.sku, rule.tag) {
        (Some(sku), _) => ("sku", "the item", sku),
        (None, tag) => ("tag", "items tagged", tag.unwrap_or_default()),
    };
    let change =
        format!("{}&master={}&id={}", change_href(place, of, &name), words::part(&rule.master), rule.id);
    Narrower { id: rule.id, kind, name, master: shown(rule.master), change }
}

fn row(view: &mut View<'_>, mastered: Mastered) -> Result<Row, StoreError> {
    let Mastered { place, master, rule, is_own, recommendation, narrower: rules } = mastered;
    let (kind, name, depth, members, spot) = match place {
        Place::Everywhere => ("everywhere", String::new(), 0, None, String::new()),
        Place::Group { name, members } => {
            let spot = Spot::Group(name.clone()).value();
            ("group", name, 0, Some(words::many(members, "location")), spot)
        }
        Place::Location { code, depth } => {
            let spot = Spot::Location(code.clone()).value();
            (if depth == 0 { "site" } else { "inside" }, code, depth, None, spot)
        }
    };
    let told = match rule {
        Some((id, rule)) => Some(ownership(view, id, rule)?),
        None => None,
    };
    let own = told.as_ref().filter(|_| is_own).map(|rule| rule.id);
    let (by, by_name) = match told {
        None if kind == "group" => ("no rule of its own", String::new()),
        None => ("no rule: Onhand", String::new()),
        Some(_) if is_own => ("its own rule", String::new()),
        Some(OwnershipBody { location: Some(code), .. }) => ("the rule of", code),
        Some(OwnershipBody { group: Some(group), .. }) => ("the rule of the group", group),
        Some(_) => ("the rule for everywhere", String::new()),
    };
    let is_said = is_own || kind != "group";
    let change = change_href(&spot, "", "");
    let take = |wanted: &str| format!("{change}&master={}", words::part(wanted));
    let now = named(master);
    let recommended = recommendation.map(|found| {
        let wanted = named(found.master);
        let take = (wanted != now).then(|| take(&wanted));
        Advice { master: shown(wanted), because: found.because, warning: found.warning, take }
    });
    let mut all = Vec::new();
    for (id, rule) in rules {
        all.push(narrower(&spot, ownership(view, id, rule)?));
    }
    Ok(Row {
        kind,
        name,
        depth: depth.min(6),
        members,
        change: own.map_or_else(|| change.clone(), |id| format!("{}&id={id}", take(&now))),
        master: is_said.then(|| shown(now)),
        by: by.to_owned(),
        by_name,
        own,
        recommended,
        narrower: all,
    })
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Wanted {
    /// So many places are before the first that is shown.
    from: usize,
    /// The rule that was saved just now.
    done: Option<u64>,
}

#[derive(Template)]
#[template(path = "ownership.html")]
struct Matrix {
    frame: Frame,
    rows: Vec<Row>,
    next: Option<usize>,
    from: usize,
    has_locations: bool,
    has_systems: bool,
    done: Option<u64>,
    may_change: bool,
}

async fn list(State(app): State<App>, Visitor(caller): Visitor, Query(wanted): Query<Wanted>) -> Shown {
    let mut frame = Frame::of(&app, &caller, "/systems").await?;
    live::OF_SETTINGS.clone_into(&mut frame.live);
    let from = wanted.from;
    let found = read(&app, &caller, |view| {
        let all = matrix(view)?;
        let next = from.saturating_add(ROWS);
        let next = (all.len() > next).then_some(next);
        let has_locations = all.iter().any(|row| matches!(row.place, Place::Location { .. }));
        let mut rows = Vec::new();
        for mastered in all.into_iter().skip(from).take(ROWS) {
            rows.push(row(view, mastered)?);
        }
        Ok((rows, next, has_locations, !view.systems()?.is_empty()))
    });
    let (rows, next, has_locations, has_systems) = found.await?;
    let (done, may_change) = (wanted.done, may_change(&caller));
    Ok(page(&Matrix { frame, rows, next, from, has_locations, has_systems, done, may_change })?)
}

/// Some stock whose master would be another.
struct Stock {
    item: String,
    sku: String,
    location: String,
    on_hand: String,
    from: String,
    to: String,
}

impl From<Handed> for Stock {
    fn from(handed: Handed) -> Self {
        Self {
            item: format!("/items/{}", words::part(&handed.sku)),
            sku: handed.sku,
            location: handed.location,
            on_hand: words::number(handed.on_hand),
            from: shown(named(handed.from)),
            to: shown(named(handed.to)),
        }
    }
}

/// What would follow.
#[derive(Default)]
struct Follows {
    /// In a sentence.
    told: String,
    changes: Vec<HandoverBody>,
    more: Option<String>,
    stock: Vec<Stock>,
    /// How much of the stock that is.
    stock_told: String,
    warnings: Vec<String>,
    /// What the button carries that saves just this; none where it cannot be saved, or not by whoever looks.
    save: Option<String>,
}

impl Follows {
    /// Of a command. `done`: what it does, in words, to a rule that is there or a new one.
    async fn of(
        app: &App,
        caller: &Caller,
        body: &Body,
        done: impl Fn(Option<RuleId>) -> String,
    ) -> Result<Self, Problem> {
        let Handovers { rule, changes, stock, warnings } = handovers(app, caller, body.clone()).await?;
        let what = match changes.len() {
            0 => "Nobody would be master of anything else.".to_owned(),
            some => format!("{} would have another master.", words::many(some, "part")),
        };
        let more = changes.len().saturating_sub(CHANGES);
        let stock_told = if changes.is_empty() {
            String::new()
        } else {
            let looked = words::many(stock.looked_at, "item");
            let among = if stock.is_all { String::new() } else { format!(" of the first {looked}") };
            format!("{}{among} would be handed over.", words::many(stock.count, "stock level"))
        };
        Ok(Self {
            told: format!("{} {what} Nothing is saved yet.", done(rule)),
            changes: changes.into_iter().take(CHANGES).map(HandoverBody::from).map(change_shown).collect(),
            more: (more > 0).then(|| words::count(more)),
            stock: stock.first.into_iter().map(Stock::from).collect(),
            stock_told,
            warnings: warnings.into_iter().map(warning).collect(),
            save: may_change(caller).then(|| shown_as(body)).transpose()?,
        })
    }
}

fn change_shown(change: HandoverBody) -> HandoverBody {
    HandoverBody { from: shown(change.from), to: shown(change.to), ..change }
}

/// What speaks against a master that a location would have.
fn warning(found: Recommended) -> String {
    let Recommended { location, recommendation, .. } = found;
    let because = &recommendation.because;
    recommendation.warning.map_or_else(
        || {
            format!(
                "{location}: Onhand recommends {}. {because}",
                shown(named(recommendation.master.clone()))
            )
        },
        |warning| format!("{location}: {warning}"),
    )
}

/// The editor: a form beside what follows from it.
#[derive(Template)]
#[template(path = "owner.html")]
struct Editor {
    frame: Frame,
    /// The rule that is changed; none: a new one.
    id: Option<u64>,
    typed: Typed,
    places: Vec<Choice>,
    of: Vec<Choice>,
    masters: Vec<Choice>,
    wrong: Wrong,
    follows: Follows,
    /// Which parts of an answer are swapped beside what follows.
    swapped: String,
}

/// What the form asks for.
fn asked(typed: &Typed) -> Result<Body, Problem> {
    let (of, name) = (typed.get("of"), typed.text("name"));
    must_be_named(&OF, of, name.as_ref())?;
    let named = |kind: &str| if of == kind { name.clone() } else { None };
    let place = typed.text("place").map(|place| Spot::of("place", &place)).transpose()?;
    let (location, group) = match place {
        Some(Spot::Location(code)) => (Some(code), None),
        Some(Spot::Group(name)) => (None, Some(name)),
        None => (None, None),
    };
    let master =
        typed.text("master").ok_or_else(|| Problem::of_field("master", "say who shall be master"))?;
    Ok(Body::SetOwnership(SetOwnership { location, group, sku: named("sku"), tag: named("tag"), master }))
}

/// What would follow from what the form asks for.
async fn follows(
    app: &App,
    caller: &Caller,
    typed: &Typed,
    asked: Result<Body, Problem>,
) -> Result<Follows, Problem> {
    let done = |rule: Option<RuleId>| match (rule, typed.text("id")) {
        (Some(id), _) => format!("This changes rule {id}."),
        (None, Some(begun)) => format!("This is a new rule, of something else; rule {begun} stays."),
        (None, None) => "This is a new rule.".to_owned(),
    };
    Follows::of(app, caller, &asked?, done).await
}

async fn editor(app: &App, caller: &Caller, typed: Typed, told: Result<Follows, Problem>) -> Shown {
    let frame = Frame::still(app, caller, "/systems").await?;
    let (follows, wrong, status) = parted(told, FIELDS);
    let (systems, mut places) = read(app, caller, |view| {
        Ok((view.systems()?, spots(view, INSIDE, |value| value == typed.get("place"))?))
    })
    .await?;
    places.insert(0, Choice::new("", "everywhere", |value| value == typed.get("place")));
    let is_master = |name: &str| name == typed.get("master");
    let mut masters = vec![Choice::new(ONHAND, "Onhand", is_master)];
    masters.extend(
        systems.into_iter().map(|(_, system)| Choice::new(system.name.clone(), system.name, is_master)),
    );
    let mut response = page(&Editor {
        frame,
        id: typed.get("id").parse().ok(),
        places,
        of: OF.map(|(value, label)| Choice::new(value, label, |value| value == typed.get("of"))).into(),
        masters,
        wrong,
        follows,
        swapped: swapped(FIELDS),
        typed,
    })?;
    *response.status_mut() = status;
    Ok(response)
}

/// The editor, with what follows from what the address has: nothing is done.
async fn change(
    State(app): State<App>,
    Visitor(caller): Visitor,
    Query(fields): Query<Vec<(String, String)>>,
) -> Shown {
    let typed = Typed::new(fields);
    if !typed.has("master") {
        let told = "What changes its master is said here before anything is saved.".to_owned();
        return editor(&app, &caller, typed, Ok(Follows { told, ..Follows::default() })).await;
    }
    let told = follows(&app, &caller, &typed, asked(&typed)).await;
    let mut response = editor(&app, &caller, typed, told).await?;
    // Asked, and answered: what is wrong is said on the page.
    *response.status_mut() = axum::http::StatusCode::OK;
    Ok(response)
}

/// Saves what was looked at; whoever did not look is shown it first.
async fn save(
    State(app): State<App>,
    Visitor(caller): Visitor,
    Form(fields): Form<Vec<(String, String)>>,
) -> Shown {
    let typed = Typed::new(fields);
    match saved(&app, &caller, &typed, asked(&typed), "/ownership").await {
        Ok(response) => Ok(response),
        Err(asked) => {
            let told = follows(&app, &caller, &typed, asked).await;
            editor(&app, &caller, typed, told).await
        }
    }
}

/// A rule before it is taken back, and what would follow.
#[derive(Template)]
#[template(path = "owner_end.html")]
struct Ending {
    frame: Frame,
    rule: OwnershipBody,
    follows: Follows,
    wrong: String,
}

/// A rule, as it is told.
fn one(view: &mut View<'_>, id: u64) -> Result<Option<OwnershipBody>, StoreError> {
    let known = view.rules()?.ownership.into_iter().find(|(known, _)| known.0 == id);
    known.map(|(id, rule): (RuleId, Ownership)| ownership(view, id, rule)).transpose()
}

async fn ending(State(app): State<App>, Visitor(caller): Visitor, Path(id): Path<u64>) -> Shown {
    let frame = Frame::still(&app, &caller, "/systems").await?;
    let rule = read(&app, &caller, |view| one(view, id)).await?;
    let rule = rule.ok_or_else(|| Problem::unknown("ownership rule", id))?;
    let rule = OwnershipBody { master: shown(rule.master), ..rule };
    let done = |_| format!("Rule {id} would end.");
    let (follows, wrong) = or_why(Follows::of(&app, &caller, &Body::EndRule(RuleId(id)), done).await);
    Ok(page(&Ending { frame, rule, follows, wrong })?)
}

async fn end(
    State(app): State<App>,
    Visitor(caller): Visitor,
    Path(id): Path<u64>,
    Form(pressed): Form<Pressed>,
) -> Shown {
    let is_there = read(&app, &caller, |view| one(view, id)).await?.is_some();
    ended(&app, caller, id, &pressed, ("/ownership", is_there)).await
}
