//! Last step: what would change over there, and then whether it is watched or goes live.

use askama::Template;
use axum::extract::{Path, State};
use axum::response::{IntoResponse as _, Redirect, Response};
use axum::routing::{get, post};
use axum::{Form, Router};
use onhand_engine::systems::connecting::Rehearsed;
use onhand_engine::systems::opening::Change as WouldChange;
use onhand_ledger::model::Stage;
use serde::Deserialize;

use super::{At, Standing, Steps, answered, told};
use crate::App;
use crate::auth::Caller;
use crate::error::Problem;
use crate::pages::frame::Frame;
use crate::pages::session::Visitor;
use crate::pages::typed::may_change;
use crate::pages::{Shown, act, page, words};
use crate::v1::systems::steps::{coming_to, rehearsed};

/// So many changes are shown.
const ROWS: usize = 100;

pub(super) fn routes() -> Router<App> {
    Router::new()
        .route("/systems/{name}/connect/dry-run", get(show).post(run))
        .route("/systems/{name}/connect/stage", post(stage))
}

/// A number that would be another.
struct Change {
    listing: String,
    sku: String,
    href: String,
    location: String,
    from: String,
    to: String,
    because: String,
}

impl From<WouldChange> for Change {
    fn from(change: WouldChange) -> Self {
        let WouldChange { listing, remote_sku, sku, location, from, to, because } = change;
        Self {
            listing: remote_sku.unwrap_or(listing),
            href: format!("/items/{}", words::part(&sku)),
            sku,
            location,
            from: words::number(from),
            to: words::number(to),
            because,
        }
    }
}

#[expect(clippy::struct_excessive_bools, reason = "facts that are independent of each other")]
#[derive(Template)]
#[template(path = "connect_dry_run.html")]
struct DryRun {
    frame: Frame,
    steps: Steps,
    action: String,
    /// Where it is said to be watched or to go live.
    stage: String,
    locations: String,
    /// When it was last done; none: never.
    at: Option<words::Time>,
    /// What it came to, in sentences.
    told: Vec<String>,
    /// Of this very run; those of one before are not kept.
    changes: Vec<Change>,
    more: Option<String>,
    /// One of its locations is ours, so that it can be watched or go live.
    is_ready: bool,
    is_watching: bool,
    is_live: bool,
    /// That listings still wait, where any do.
    waiting: Option<String>,
    matches: String,
    wrong: String,
    may_change: bool,
}

/// What a dry run came to, in sentences.
fn sentences(name: &str, done: &Rehearsed) -> Vec<String> {
    let Rehearsed { compared, changes, zeros, missing, untracked, .. } = *done;
    let all = words::many(compared, "number");
    let zeros = if zeros == 0 { "none".to_owned() } else { words::count(zeros) };
    let mut told = vec![match (compared, changes, missing) {
        (0, _, 0) => "No number was compared: no listing is linked to an item yet.".to_owned(),
        (0, ..) => "No number could be compared.".to_owned(),
        (_, 0, _) => format!("None of {all} would change: {name} shows what it should."),
        _ => format!("{} of {all} would change, {zeros} of them to 0.", words::count(changes)),
    }];
    if missing > 0 {
        told.push(format!("Of {} it has no number.", words::many(missing, "linked listing")));
    }
    if untracked > 0 {
        let listings = words::many(untracked, "listing");
        told.push(format!(
            "It does not track stock of {listings}: it sells them without end, whatever the number."
        ));
    }
    told
}

async fn shown(
    app: &App,
    caller: &Caller,
    name: &str,
    ran: Result<Vec<WouldChange>, Option<Problem>>,
) -> Result<Response, Problem> {
    let frame = Frame::still(app, caller, "/systems").await?;
    let standing = Standing::of(app, caller, name).await?;
    let last = standing.sequence.rehearsed.as_ref();
    let (changes, more, problem) = match ran {
        Ok(changes) => {
            let more = last.map_or(0, |done| done.changes).saturating_sub(changes.len());
            (changes, more, None)
        }
        Err(problem) => (Vec::new(), 0, problem),
    };
    let waiting = standing.sequence.waiting;
    let response = page(&DryRun {
        frame,
        steps: Steps::at(At::DryRun, Some(&standing)),
        action: At::DryRun.address(name),
        stage: format!("/systems/{}/connect/stage", words::part(name)),
        locations: At::Locations.address(name),
        at: last.map(|done| words::Time::of(done.at, standing.now)),
        told: last.map(|done| sentences(name, done)).unwrap_or_default(),
        changes: changes.into_iter().map(Change::from).collect(),
        more: (more > 0).then(|| words::count(more)),
        is_ready: !standing.system.locations.is_empty(),
        is_watching: standing.system.stage == Stage::Watching,
        is_live: standing.system.stage == Stage::Live,
        waiting: match waiting {
            0 => None,
            1 => Some("1 listing still waits for a match, and is left out.".to_owned()),
            more => {
                Some(format!("{} listings still wait for a match, and are left out.", words::count(more)))
            }
        },
        matches: At::Matches.address(name),
        wrong: told(problem.as_ref()),
        may_change: may_change(caller),
    })?;
    Ok(answered(response, problem.as_ref()))
}

async fn show(State(app): State<App>, Visitor(caller): Visitor, Path(name): Path<String>) -> Shown {
    Ok(shown(&app, &caller, &name, Err(None)).await?)
}

async fn run(State(app): State<App>, Visitor(caller): Visitor, Path(name): Path<String>) -> Shown {
    let ran = rehearsed(&app, &caller, &name, ROWS).await;
    Ok(shown(&app, &caller, &name, ran.map(|(_, first)| first).map_err(Some)).await?)
}

#[derive(Deserialize)]
struct Coming {
    to: String,
}

/// Has it watched or kept equal. Sent again it comes to the same.
async fn stage(
    State(app): State<App>,
    Visitor(caller): Visitor,
    Path(name): Path<String>,
    Form(Coming { to }): Form<Coming>,
) -> Shown {
    let stage = match to.as_str() {
        "watching" => Stage::Watching,
        "live" => Stage::Live,
        _ => return Err(Problem::of_field("to", "say whether to watch it or to go live").into()),
    };
    let standing = Standing::of(&app, &caller, &name).await?;
    act(&app, caller, "", coming_to(&standing.system, stage)?).await?;
    app.systems_changed.notify_waiters();
    Ok(Redirect::to(&format!("/systems/{}", words::part(&name))).into_response())
}
