//! Second step: what a system has for sale and where its stock is. It may be looked at again at any time.

use askama::Template;
use axum::Router;
use axum::extract::{Path, State};
use axum::response::Response;
use axum::routing::get;
use onhand_engine::systems::connecting::{Tally, count_after};
use onhand_engine::systems::found::Discovered;

use super::{At, Standing, Steps, answered, told};
use crate::App;
use crate::auth::Caller;
use crate::error::Problem;
use crate::pages::frame::Frame;
use crate::pages::session::Visitor;
use crate::pages::typed::may_change;
use crate::pages::{Shown, page, words};
use crate::v1::ask::read;
use crate::v1::systems::steps::looked;

/// So many listings are counted in one read.
const SLICE: usize = 1_000;
/// So many of what is new of a look are named.
const NAMED: usize = 10;

pub(super) fn routes() -> Router<App> {
    Router::new().route("/systems/{name}/connect/found", get(show).post(look))
}

/// How many listings became what.
pub(super) async fn counted(app: &App, caller: &Caller, standing: &Standing) -> Result<Tally, Problem> {
    let (mut tally, mut after) = (Tally::default(), None::<String>);
    loop {
        let id = standing.id;
        let next =
            read(app, caller, |view| count_after(view, id, after.as_deref(), SLICE, &mut tally)).await?;
        let Some(next) = next else { return Ok(tally) };
        after = Some(next);
    }
}

#[derive(Template)]
#[template(path = "connect_found.html")]
struct Found {
    frame: Frame,
    steps: Steps,
    action: String,
    next: String,
    key: String,
    has_key: bool,
    /// When it was last looked at; none: never.
    looked: Option<words::Time>,
    counts: Vec<(&'static str, String)>,
    /// It has nothing for sale.
    is_empty: bool,
    locations: Vec<(String, String)>,
    /// What this look came to, where it was one.
    news: Vec<String>,
    wrong: String,
    may_change: bool,
}

/// What a look found that was not known before, in words.
fn news(found: &Discovered) -> Vec<String> {
    let mut news = vec![format!("It has {}.", words::many(found.listings, "listing"))];
    if found.new > 0 {
        news.push(format!("{} of them never seen before.", words::count(found.new)));
    }
    if found.back > 0 {
        news.push(format!("{} there again.", words::count(found.back)));
    }
    let named = |all: &[String]| all.iter().take(NAMED).cloned().collect::<Vec<_>>().join(", ");
    if !found.renamed.is_empty() {
        let renamed: Vec<String> =
            found.renamed.iter().map(|(from, to)| format!("{from} is {to} now")).collect();
        news.push(format!("Another SKU: {}.", named(&renamed)));
    }
    if !found.gone.is_empty() {
        news.push(format!("No longer there: {}.", named(&found.gone)));
    }
    news
}

async fn shown(
    app: &App,
    caller: &Caller,
    name: &str,
    news: Vec<String>,
    problem: Option<&Problem>,
) -> Result<Response, Problem> {
    let frame = Frame::still(app, caller, "/systems").await?;
    let standing = Standing::of(app, caller, name).await?;
    let Tally { linked, waiting, ignored, gone } = counted(app, caller, &standing).await?;
    let all = linked + waiting + ignored;
    let mut counts = vec![("listings", all), ("linked to items", linked), ("waiting for you", waiting)];
    counts
        .extend([("ignored", ignored), ("no longer there", gone)].into_iter().filter(|(_, many)| *many > 0));
    let remote = standing.sequence.locations.iter();
    let response = page(&Found {
        frame,
        steps: Steps::at(At::Found, Some(&standing)),
        action: At::Found.address(name),
        next: At::Locations.address(name),
        key: At::Key.address(name),
        has_key: standing.has_key,
        looked: standing.sequence.discovered_at.map(|at| words::Time::of(at, standing.now)),
        counts: counts.into_iter().map(|(what, many)| (what, words::count(many))).collect(),
        is_empty: all == 0,
        locations: remote.map(|remote| (remote.remote_id.clone(), remote.name.clone())).collect(),
        news,
        wrong: told(problem),
        may_change: may_change(caller),
    })?;
    Ok(answered(response, problem))
}

async fn show(State(app): State<App>, Visitor(caller): Visitor, Path(name): Path<String>) -> Shown {
    Ok(shown(&app, &caller, &name, Vec::new(), None).await?)
}

async fn look(State(app): State<App>, Visitor(caller): Visitor, Path(name): Path<String>) -> Shown {
    match looked(&app, &caller, &name).await {
        Ok(found) => Ok(shown(&app, &caller, &name, news(&found), None).await?),
        Err(problem) => Ok(shown(&app, &caller, &name, Vec::new(), Some(&problem)).await?),
    }
}
