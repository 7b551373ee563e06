//! What systems shall show: the publication rules in plain words, and an editor beside what each listing would show.

use askama::Template;
use axum::extract::{Path, Query, State};
use axum::routing::get;
use axum::{Form, Router};
use onhand_engine::View;
use onhand_engine::preview::{Differs, Preview};
use onhand_ledger::command::{SetPublication, Source};
use onhand_ledger::formula::Name;
use onhand_ledger::model::{Publication, System};
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
use crate::v1::allocation::SourceBody;
use crate::v1::ask::{date, read};
use crate::v1::rules::{PublicationBody, previewed, publication};

/// So many changes are shown.
const ROWS: usize = 50;

/// The fields of the form, each with what a problem may call it.
const FIELDS: &[(&str, &[&str])] = &[
    ("system", &[]),
    ("remote_location", &[]),
    ("name", &["sku", "tag", "listing"]),
    ("counts", &["location", "locations", "group"]),
    ("buffer", &[]),
    ("risk_one_in", &[]),
    ("buffer_at_most", &[]),
    ("percentage", &[]),
    ("cap", &[]),
    ("stop_at", &[]),
    ("incoming_days", &[]),
    ("incoming_until", &[]),
    ("formula", &[]),
    ("skip", &[]),
];

/// A number of the form: its field, what it is called, what is said of it, how it is typed.
type Number = (&'static str, &'static str, &'static str, &'static str);

/// In the order in which they are applied.
const NUMBERS: [Number; 7] = [
    ("incoming_days", "Or within so many days", "0: today only", "numeric"),
    ("stop_at", "Show 0 at or below", "", "decimal"),
    ("buffer", "Keep back", "", "decimal"),
    (
        "risk_one_in",
        "Or as much as suffices but for 1 time in",
        "such as 1000; measured by what is sold, and kept back beyond the above",
        "numeric",
    ),
    ("buffer_at_most", "And keep back no more than", "", "decimal"),
    ("percentage", "Show so many % of it", "100 where nothing is said", "numeric"),
    ("cap", "Never show more than", "", "decimal"),
];

/// Of what a rule may speak: as the form has it, and in words.
const OF: [(&str, &str); 4] =
    [("", "every item"), ("sku", "the item"), ("tag", "items with the tag"), ("listing", "the listing")];

pub(super) fn routes() -> Router<App> {
    Router::new()
        .route("/rules", get(list).post(save))
        .route("/rules/change", get(change))
        .route("/rules/{id}/end", get(ending).post(end))
}

/// A rule in the list.
struct Row {
    id: u64,
    /// How its subject is called before its name: `items tagged`.
    kind: &'static str,
    name: String,
    system: String,
    remote_location: String,
    says: String,
    /// The most specific first: by the thing, by the place, by name.
    order: (u8, u8, String),
}

impl Row {
    fn of(rule: PublicationBody) -> Self {
        let (rank, kind, name) = match (rule.listing_remote_id, rule.sku, rule.tag) {
            (Some(listing), ..) => (0, "the listing", listing),
            (_, Some(sku), _) => (1, "the item", sku),
            (.., Some(tag)) => (2, "items tagged", tag),
            _ => (3, "every item", String::new()),
        };
        let place = match (&rule.remote_location, &rule.system) {
            (Some(_), _) => 0,
            (None, Some(_)) => 1,
            (None, None) => 2,
        };
        let (system, remote_location) =
            (rule.system.unwrap_or_default(), rule.remote_location.unwrap_or_default());
        let order = (rank, place, format!("{name}\n{system}\n{remote_location}"));
        Self { id: rule.id, kind, name, system, remote_location, says: rule.explanation, order }
    }
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Wanted {
    /// Of this system, and of all.
    system: String,
    /// The rule that was saved just now.
    done: Option<u64>,
}

#[derive(Template)]
#[template(path = "rules.html")]
struct Rules {
    frame: Frame,
    rows: Vec<Row>,
    systems: Vec<Choice>,
    system: String,
    done: Option<u64>,
    may_change: bool,
}

async fn list(State(app): State<App>, Visitor(caller): Visitor, Query(wanted): Query<Wanted>) -> Shown {
    let mut frame = Frame::of(&app, &caller, "/systems").await?;
    live::OF_SETTINGS.clone_into(&mut frame.live);
    let Wanted { system, done } = wanted;
    let found = read(&app, &caller, |view| {
        let systems = view.systems()?;
        if !system.is_empty() && !systems.iter().any(|(_, known)| known.name == system) {
            return Ok(None);
        }
        let mut rows = Vec::new();
        for (id, rule) in view.rules()?.publication {
            rows.push(Row::of(publication(view, id, rule)?));
        }
        Ok(Some((systems, rows)))
    });
    let (systems, mut rows) = found.await?.ok_or_else(|| Problem::unknown("system", &system))?;
    rows.retain(|row| system.is_empty() || row.system.is_empty() || row.system == system);
    rows.sort_by(|one, other| one.order.cmp(&other.order));
    let systems = choices_of(systems, &system);
    Ok(page(&Rules { frame, rows, systems, system, done, may_change: may_change(&caller) })?)
}

fn choices_of(systems: Vec<(onhand_ledger::SystemId, System)>, chosen: &str) -> Vec<Choice> {
    let choice =
        |(_, system): (_, System)| Choice::new(system.name.clone(), system.name, |name| name == chosen);
    systems.into_iter().map(choice).collect()
}

/// A number that would be another.
struct Change {
    system: String,
    href: String,
    listing: String,
    remote_location: String,
    sku: String,
    item: String,
    from: String,
    to: String,
    because: String,
}

impl From<Differs> for Change {
    fn from(differs: Differs) -> Self {
        let told = |number: Option<_>| number.map_or_else(|| "left to it".to_owned(), words::number);
        Self {
            href: format!("/systems/{}", words::part(&differs.system)),
            item: format!("/items/{}", words::part(&differs.sku)),
            from: told(differs.from),
            to: told(differs.to),
            system: differs.system,
            listing: differs.listing,
            remote_location: differs.remote_location,
            sku: differs.sku,
            because: differs.because,
        }
    }
}

/// What would follow.
#[derive(Default)]
struct Follows {
    /// In a sentence.
    told: String,
    changes: Vec<Change>,
    /// How many more there are.
    more: Option<String>,
    /// What the button carries that saves just this; none where it cannot be saved, or not by whoever looks.
    save: Option<String>,
}

impl Follows {
    /// Of a command. `done`: what it does, in words, of a rule that is there or of a new one.
    async fn of(
        app: &App,
        caller: &Caller,
        body: &Body,
        done: impl Fn(Option<RuleId>) -> String,
    ) -> Result<Self, Problem> {
        let Preview { rule, compared, changes, zeros, first } =
            previewed(app, caller, body.clone(), ROWS).await?;
        let zeros = if zeros > 0 { format!(", {} of them to 0", words::count(zeros)) } else { String::new() };
        let (changed, all) = (words::count(changes), words::many(compared, "number"));
        let told = match (compared, changes) {
            (0, _) => "No listing is linked to an item on a system that is sent numbers, so none changes."
                .to_owned(),
            (_, 0) => format!("None of {all} would change."),
            _ => format!("{changed} of {all} would change{zeros}."),
        };
        let more = changes.saturating_sub(first.len());
        Ok(Self {
            told: format!("{} {told} Nothing is saved yet.", done(rule)),
            changes: first.into_iter().map(Change::from).collect(),
            more: (more > 0).then(|| words::count(more)),
            save: may_change(caller).then(|| shown_as(body)).transpose()?,
        })
    }
}

/// A number of the form, as it is shown.
struct Field {
    name: &'static str,
    label: &'static str,
    hint: &'static str,
    mode: &'static str,
    value: String,
}

/// The editor: a form beside what follows from it.
#[derive(Template)]
#[template(path = "rule.html")]
struct Editor {
    frame: Frame,
    /// The rule that is changed; none: a new one.
    id: Option<u64>,
    typed: Typed,
    of: Vec<Choice>,
    systems: Vec<Choice>,
    /// The ids of locations over there, with whose they are.
    remotes: Vec<(String, String)>,
    counts: Vec<Choice>,
    numbers: Vec<Field>,
    /// What a formula may speak of.
    names: String,
    wrong: Wrong,
    follows: Follows,
    /// Which parts of an answer are swapped beside what follows.
    swapped: String,
}

/// A rule as the form has it.
fn typed_of(rule: PublicationBody) -> Typed {
    let (of, name) = match (rule.listing_remote_id, rule.sku, rule.tag) {
        (Some(listing), ..) => ("listing", listing),
        (_, Some(sku), _) => ("sku", sku),
        (.., Some(tag)) => ("tag", tag),
        _ => ("", String::new()),
    };
    let number = |number: Option<crate::decimal::Decimal>| {
        number.map_or_else(String::new, |number| number.0.to_string())
    };
    let whole = |number: Option<u64>| number.map_or_else(String::new, |number| number.to_string());
    let buffer = Some(rule.buffer).filter(|buffer| !buffer.0.is_zero());
    let percentage = Some(u64::from(rule.percentage)).filter(|percentage| *percentage < 100);
    let typed = Typed::default()
        .with("id", rule.id.to_string())
        .with("system", rule.system.unwrap_or_default())
        .with("remote_location", rule.remote_location.unwrap_or_default())
        .with("of", of)
        .with("name", name)
        .with("buffer", number(buffer))
        .with("risk_one_in", whole(rule.risk_one_in.map(u64::from)))
        .with("buffer_at_most", number(rule.buffer_at_most))
        .with("percentage", whole(percentage))
        .with("cap", number(rule.cap))
        .with("stop_at", number(rule.stop_at))
        .with("incoming_days", whole(rule.incoming_days.map(u64::from)))
        .with("incoming_until", rule.incoming_until.unwrap_or_default())
        .with("formula", rule.formula.unwrap_or_default())
        .with("skip", if rule.skip { "on" } else { "" });
    rule.locations.into_iter().fold(typed, |typed, source| {
        let spot = match source {
            SourceBody::Location(code) => Spot::Location(code),
            SourceBody::Group { group } => Spot::Group(group),
        };
        typed.with("counts", spot.value())
    })
}

/// What the form asks for.
fn asked(typed: &Typed) -> Result<Body, Problem> {
    let of = typed.get("of");
    let name = typed.text("name");
    must_be_named(&OF, of, name.as_ref())?;
    let named = |kind: &str| if of == kind { name.clone() } else { None };
    let source = |value| {
        Ok(match Spot::of("counts", value)? {
            Spot::Location(code) => Source::Location(code),
            Spot::Group(group) => Source::Group(group),
        })
    };
    let counts = typed.all("counts").map(source).collect::<Result<Vec<Source>, Problem>>()?;
    let until = typed.text("incoming_until");
    Ok(Body::SetPublication(SetPublication {
        system: typed.text("system"),
        remote_location: typed.text("remote_location"),
        sku: named("sku"),
        tag: named("tag"),
        listing: named("listing"),
        locations: (!counts.is_empty()).then_some(counts),
        buffer: typed.quantity("buffer")?,
        risk_one_in: typed.whole("risk_one_in", "a whole number such as 1000")?,
        buffer_at_most: typed.quantity("buffer_at_most")?,
        cap: typed.quantity("cap")?,
        percentage: typed.whole("percentage", "a whole number of 0 to 100")?,
        stop_at: typed.quantity("stop_at")?,
        incoming_days: typed.whole("incoming_days", "a whole number of days")?,
        incoming_until: date("incoming_until", until.as_deref())?,
        formula: typed.text("formula"),
        skip: (typed.get("skip") == "on").then_some(true),
    }))
}

/// What would follow from what the form asks for.
async fn follows(
    app: &App,
    caller: &Caller,
    typed: &Typed,
    asked: Result<Body, Problem>,
) -> Result<Follows, Problem> {
    let done = |rule: Option<RuleId>| match (rule, typed.text("id")) {
        (Some(id), Some(begun)) if id.to_string() != begun => {
            format!("This changes rule {id}, which speaks of just this; rule {begun} stays.")
        }
        (Some(id), _) => format!("This changes rule {id}."),
        (None, Some(begun)) => format!("This is a new rule, of something else; rule {begun} stays."),
        (None, None) => "This is a new rule.".to_owned(),
    };
    Follows::of(app, caller, &asked?, done).await
}

async fn editor(app: &App, caller: &Caller, typed: Typed, told: Result<Follows, Problem>) -> Shown {
    let frame = Frame::still(app, caller, "/systems").await?;
    let (follows, wrong, status) = parted(told, FIELDS);
    let (systems, counts) = read(app, caller, |view| {
        let counts = spots(view, 0, |value| typed.all("counts").any(|chosen| chosen == value))?;
        Ok((view.systems()?, counts))
    })
    .await?;
    let remotes = systems.iter().flat_map(|(_, system)| {
        system.locations.iter().map(|mapping| (mapping.remote_id.clone(), system.name.clone()))
    });
    let numbers = NUMBERS.map(|(name, label, hint, mode)| {
        let value = typed.get(name).to_owned();
        Field { name, label, hint, mode, value }
    });
    let mut response = page(&Editor {
        frame,
        id: typed.get("id").parse().ok(),
        of: OF.map(|(value, label)| Choice::new(value, label, |value| value == typed.get("of"))).into(),
        remotes: remotes.collect(),
        systems: choices_of(systems, typed.get("system")),
        counts,
        numbers: numbers.into(),
        names: Name::ALL.iter().map(|name| name.text()).collect::<Vec<_>>().join(", "),
        wrong,
        follows,
        swapped: swapped(FIELDS),
        typed,
    })?;
    *response.status_mut() = status;
    Ok(response)
}

/// A rule, as it is told.
fn one(view: &mut View<'_>, id: u64) -> Result<Option<PublicationBody>, StoreError> {
    let known = view.rules()?.publication.into_iter().find(|(known, _)| known.0 == id);
    known.map(|(id, rule): (RuleId, Publication)| publication(view, id, rule)).transpose()
}

/// The editor, with what follows from what the address has: nothing is done.
async fn change(
    State(app): State<App>,
    Visitor(caller): Visitor,
    Query(fields): Query<Vec<(String, String)>>,
) -> Shown {
    let typed = Typed::new(fields);
    if typed.has("formula") {
        let told = follows(&app, &caller, &typed, asked(&typed)).await;
        let mut response = editor(&app, &caller, typed, told).await?;
        // Asked, and answered: what is wrong is said on the page.
        *response.status_mut() = axum::http::StatusCode::OK;
        return Ok(response);
    }
    let typed = match typed.text("id").map(|id| (id.parse().unwrap_or(0), id)) {
        None => typed,
        Some((number, id)) => {
            let rule = read(&app, &caller, |view| one(view, number)).await?;
            typed_of(rule.ok_or_else(|| Problem::unknown("publication rule", &id))?)
        }
    };
    let told = "What each system would show is said here before anything is saved.".to_owned();
    editor(&app, &caller, typed, Ok(Follows { told, ..Follows::default() })).await
}

/// Saves what was looked at; whoever did not look is shown it first.
async fn save(
    State(app): State<App>,
    Visitor(caller): Visitor,
    Form(fields): Form<Vec<(String, String)>>,
) -> Shown {
    let typed = Typed::new(fields);
    match saved(&app, &caller, &typed, asked(&typed), "/rules").await {
        Ok(response) => Ok(response),
        Err(asked) => {
            let told = follows(&app, &caller, &typed, asked).await;
            editor(&app, &caller, typed, told).await
        }
    }
}

/// A rule before it is ended, and what would follow.
#[derive(Template)]
#[template(path = "rule_end.html")]
struct Ending {
    frame: Frame,
    rule: Row,
    follows: Follows,
    wrong: String,
}

async fn ending(State(app): State<App>, Visitor(caller): Visitor, Path(id): Path<u64>) -> Shown {
    let frame = Frame::still(&app, &caller, "/systems").await?;
    let rule = read(&app, &caller, |view| one(view, id)).await?;
    let rule = Row::of(rule.ok_or_else(|| Problem::unknown("publication rule", id))?);
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
    ended(&app, caller, id, &pressed, ("/rules", is_there)).await
}
