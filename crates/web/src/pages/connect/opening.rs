//! Fifth step: with how much stock Onhand begins at each location, from what the system shows; or as it is.

use askama::Template;
use axum::extract::{Path, State};
use axum::response::Response;
use axum::routing::get;
use axum::{Form, Router};
use onhand_engine::systems::opening::Opening;
use serde::Deserialize;

use super::{At, Standing, Steps, answered, told};
use crate::App;
use crate::auth::Caller;
use crate::error::Problem;
use crate::pages::frame::Frame;
use crate::pages::session::Visitor;
use crate::pages::typed::may_change;
use crate::pages::{Shown, page, words};
use crate::v1::systems::steps::opened;

pub(super) fn routes() -> Router<App> {
    Router::new().route("/systems/{name}/connect/opening", get(show).post(take))
}

/// Opening stock that was taken, as it is told.
struct Taken {
    source: String,
    by: String,
    as_of: words::Time,
    items: String,
    left_out: Vec<String>,
    /// It stopped in between: it may be taken again from the same source.
    is_begun: bool,
}

/// One of our locations.
struct Row {
    code: String,
    taken: Option<Taken>,
    /// It may be taken from this system.
    is_open: bool,
}

#[derive(Template)]
#[template(path = "connect_opening.html")]
struct Openings {
    frame: Frame,
    steps: Steps,
    action: String,
    locations: String,
    next: String,
    rows: Vec<Row>,
    /// Some location's stock may still be taken.
    is_open: bool,
    wrong: String,
    may_change: bool,
}

fn row(standing: &Standing, code: &str, opening: Option<&Opening>) -> Row {
    let system = &standing.system.name;
    let is_open = opening.is_none_or(|opening| !opening.finished && opening.source == *system);
    let taken = opening.map(|opening| Taken {
        source: opening.source.clone(),
        by: opening.by.clone(),
        as_of: words::Time::of(opening.as_of, standing.now),
        items: words::many(opening.items, "item"),
        left_out: opening.left_out.clone(),
        is_begun: !opening.finished,
    });
    Row { code: code.to_owned(), taken, is_open }
}

async fn shown(
    app: &App,
    caller: &Caller,
    name: &str,
    problem: Option<&Problem>,
) -> Result<Response, Problem> {
    let frame = Frame::still(app, caller, "/systems").await?;
    let standing = Standing::of(app, caller, name).await?;
    let rows: Vec<Row> =
        standing.places.iter().map(|(code, opening)| row(&standing, code, opening.as_ref())).collect();
    let response = page(&Openings {
        frame,
        steps: Steps::at(At::Opening, Some(&standing)),
        action: At::Opening.address(name),
        locations: At::Locations.address(name),
        next: At::DryRun.address(name),
        is_open: rows.iter().any(|row| row.is_open),
        rows,
        wrong: told(problem),
        may_change: may_change(caller),
    })?;
    Ok(answered(response, problem))
}

async fn show(State(app): State<App>, Visitor(caller): Visitor, Path(name): Path<String>) -> Shown {
    Ok(shown(&app, &caller, &name, None).await?)
}

#[derive(Deserialize)]
struct Taking {
    location: String,
}

async fn take(
    State(app): State<App>,
    Visitor(caller): Visitor,
    Path(name): Path<String>,
    Form(Taking { location }): Form<Taking>,
) -> Shown {
    let standing = Standing::of(&app, &caller, &name).await?;
    // Sent twice: it is taken from here, as was asked.
    let is_taken = standing.places.iter().any(|(code, opening)| {
        *code == location && opening.as_ref().is_some_and(|taken| taken.finished && taken.source == name)
    });
    let done = if is_taken { Ok(()) } else { opened(&app, &caller, &name, &location).await.map(|_| ()) };
    match done {
        Ok(()) => Ok(At::Opening.redirect(&name)),
        Err(problem) => Ok(shown(&app, &caller, &name, Some(&problem)).await?),
    }
}
