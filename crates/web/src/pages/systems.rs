//! Connected systems: how each does, its listings beside our items, and the switches that stop what is sent.

use askama::Template;
use axum::extract::{Path, Query, State};
use axum::response::{IntoResponse as _, Redirect};
use axum::routing::{get, post};
use axum::{Form, Router};
use onhand_engine::View;
use onhand_engine::explain::{ListingNumber, numbers_of, numbers_out_of_step, unlinked_of};
use onhand_ledger::command::PutSystem;
use onhand_ledger::{Body, ListingId};
use onhand_store::StoreError;
use serde::Deserialize;

use super::frame::Frame;
use super::overview::{Line, line};
use super::session::Visitor;
use super::typed::may_change;
use super::{Shown, act, form_key, noting, page, words};
use crate::App;
use crate::error::Problem;
use crate::v1::ask::{count, read};

/// How many listings a page has.
const ROWS: usize = 50;

pub(super) fn routes() -> Router<App> {
    Router::new()
        .route("/systems", get(list))
        .route("/systems/{name}", get(show))
        .route("/systems/{name}/pause", post(pause))
        .route("/pushing", post(pushing))
}

#[derive(Template)]
#[template(path = "systems.html")]
struct Systems {
    frame: Frame,
    systems: Vec<Line>,
    may_change: bool,
    key: String,
}

async fn list(State(app): State<App>, Visitor(caller): Visitor) -> Shown {
    let frame = Frame::of(&app, &caller, "/systems").await?;
    count(&app, &caller).await?;
    let systems = read(&app, &caller, |view| super::overview::lines(view, &app)).await?;
    Ok(page(&Systems { frame, systems, may_change: may_change(&caller), key: form_key()? })?)
}

/// A listing beside what it is linked to.
struct Row {
    remote: String,
    sku: Option<String>,
    href: String,
    pack: Option<String>,
    sign: char,
    word: String,
    shows: String,
    desired: String,
    sentence: String,
}

/// Which listings.
#[derive(Deserialize, Default)]
#[serde(default)]
struct Wanted {
    /// `unlinked`, `out`: without an item, or not in step.
    show: String,
    after: u64,
}

#[derive(Template)]
#[template(path = "system.html")]
struct Shows {
    frame: Frame,
    system: Line,
    kind: String,
    stage: &'static str,
    paused: bool,
    may_change: bool,
    locations: Vec<(String, String)>,
    rows: Vec<Row>,
    next: Option<String>,
    show: String,
    key: String,
}

fn row(view: &mut View<'_>, number: ListingNumber) -> Result<Row, StoreError> {
    let ListingNumber { listing, shown } = number;
    let sku = match listing.item {
        Some(item) => view.item(item)?.map(|item| item.sku),
        None => None,
    };
    let name = listing.remote_sku.clone().unwrap_or_else(|| listing.remote_id.clone());
    let (mut row, href) = (
        Row {
            remote: name,
            href: String::new(),
            pack: (listing.multiplier > 1).then(|| format!("packs of {}", listing.multiplier)),
            sign: '○',
            word: "not linked".to_owned(),
            shows: "–".to_owned(),
            desired: "–".to_owned(),
            sentence: String::new(),
            sku: None,
        },
        sku.as_deref().map(|sku| format!("/items/{}", words::part(sku))),
    );
    row.sku = sku;
    row.href = href.unwrap_or_default();
    if let Some((shown, standing)) = shown {
        row.sign = standing.sign();
        row.word = words::plain(standing.name());
        row.shows = shown.shows.map_or_else(|| "–".to_owned(), words::number);
        let is_its_own = shown.is_skipped || shown.one_way_in;
        row.desired = if is_its_own { "–".to_owned() } else { words::number(shown.desired) };
        row.sentence = shown.explanation;
    }
    Ok(row)
}

async fn show(
    State(app): State<App>,
    Visitor(caller): Visitor,
    Path(name): Path<String>,
    Query(wanted): Query<Wanted>,
) -> Shown {
    let frame = Frame::of(&app, &caller, "/systems").await?;
    count(&app, &caller).await?;
    let found = read(&app, &caller, |view| {
        let Some((id, system)) = view.system_by_name(&name)? else { return Ok(None) };
        let line = line(view, &app, id, system.clone())?;
        let mut locations = Vec::new();
        for mapping in &system.locations {
            let ours = view.location(mapping.location)?;
            let code = ours.map_or_else(|| mapping.location.to_string(), |location| location.code);
            locations.push((mapping.remote_id.clone(), code));
        }
        let (mut rows, mut last) = (Vec::new(), wanted.after);
        let mut is_end = false;
        while rows.len() < ROWS && !is_end {
            let numbers = match wanted.show.as_str() {
                "out" => numbers_out_of_step(view, id, ListingId(last), ROWS)?,
                "unlinked" => unlinked_of(view, id, ListingId(last), ROWS)?,
                _ => numbers_of(view, id, ListingId(last), ROWS)?,
            };
            is_end = numbers.is_empty();
            for (listing, number) in numbers {
                last = listing.0;
                rows.push(row(view, number)?);
            }
        }
        Ok(Some((line, system, locations, rows, (!is_end).then_some(last))))
    });
    let (line, system, locations, rows, next) =
        found.await?.ok_or_else(|| Problem::unknown("system", &name))?;
    let (part, show) = (words::part(&name), wanted.show);
    let next = next.map(|after| format!("/systems/{part}?show={}&after={after}", words::part(&show)));
    Ok(page(&Shows {
        frame,
        system: line,
        kind: system.kind,
        stage: match system.stage {
            onhand_ledger::model::Stage::Connecting => "connecting",
            onhand_ledger::model::Stage::Watching => "watching",
            onhand_ledger::model::Stage::Live => "live",
        },
        paused: system.paused,
        may_change: may_change(&caller),
        locations,
        rows,
        next,
        show,
        key: form_key()?,
    })?)
}

#[derive(Deserialize)]
struct Switch {
    key: String,
    /// What is wanted: `stop` or `resume`.
    to: String,
    #[serde(default)]
    note: String,
}

async fn pause(
    State(app): State<App>,
    Visitor(caller): Visitor,
    Path(name): Path<String>,
    Form(form): Form<Switch>,
) -> Shown {
    let found = read(&app, &caller, |view| view.system_by_name(&name)).await?;
    let kind = found.ok_or_else(|| Problem::unknown("system", &name))?.1.kind;
    let put = PutSystem { name: name.clone(), kind, paused: Some(form.to == "stop"), ..PutSystem::default() };
    act(&app, caller, &form.key, noting(&form.note, Body::PutSystem(put))).await?;
    Ok(Redirect::to(&format!("/systems/{}", words::part(&name))).into_response())
}

async fn pushing(State(app): State<App>, Visitor(caller): Visitor, Form(form): Form<Switch>) -> Shown {
    let body = if form.to == "stop" { Body::StopPushing } else { Body::ResumePushing };
    act(&app, caller, &form.key, noting(&form.note, body)).await?;
    Ok(Redirect::to("/systems").into_response())
}
