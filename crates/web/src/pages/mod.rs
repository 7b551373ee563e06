//! The pages, for people: rendered here, by plain links and forms; what they show and do is what the API answers and does.
//!
//! Whoever signed in has a session (see [`session`]); what changes something comes from our own pages alone (CSRF), and nothing
//! but our own style and script runs (CSP: `guard.rs`). Numbers, sentences and decisions come from the engine: a page adds none.

mod account;
mod activity;
mod alerts;
mod assets;
mod chart;
mod connect;
mod discrepancies;
mod floor;
mod frame;
mod item;
mod live;
mod more;
mod orders;
mod overview;
mod ownership;
mod problem;
mod rules;
mod session;
mod settings;
mod sign_on;
mod stock;
mod systems;
mod typed;
mod webhooks;
mod words;

use askama::Template;
use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::response::{Html, IntoResponse as _, Response};
use onhand_engine::{Committed, View};
use onhand_ledger::{Body, SystemId};
use onhand_store::StoreError;
use tower_http::csrf::CsrfLayer;

pub use self::frame::Watched;
use self::problem::Trouble;
pub(crate) use self::problem::{is_asked_for, shown};
pub(crate) use self::session::is_this_machine;
pub(crate) use self::words::part;
use crate::App;
use crate::auth::Caller;
use crate::error::Problem;
use crate::v1::ask::{Ask, noted};

/// The longest form: 64 KiB.
const FORM_LIMIT: usize = 64 * 1024;

pub(crate) fn routes() -> Router<App> {
    Router::new()
        .merge(session::routes())
        .merge(sign_on::routes())
        .merge(overview::routes())
        .merge(stock::routes())
        .merge(item::routes())
        .merge(orders::routes())
        .merge(floor::routes())
        .merge(more::routes())
        .merge(systems::routes())
        .merge(connect::routes())
        .merge(ownership::routes())
        .merge(rules::routes())
        .merge(discrepancies::routes())
        .merge(activity::routes())
        .merge(account::routes())
        .merge(settings::routes())
        .merge(webhooks::routes())
        .merge(alerts::routes())
        .merge(live::routes())
        .layer(DefaultBodyLimit::max(FORM_LIMIT))
        .layer(CsrfLayer::new())
        .merge(assets::routes())
}

/// What a handler of pages answers: a page, or what went wrong as one.
type Shown = Result<Response, Trouble>;

/// Does what a form asks for. Its own key makes it happen once, however often it is sent.
async fn act(app: &App, caller: Caller, key: &str, body: Body) -> Result<Committed, Problem> {
    let text = serde_json::to_vec(&body).map_err(|error| Problem::internal(&error.to_string()))?;
    let fingerprint = blake3::hash(&text).as_bytes().first_chunk::<8>().copied().unwrap_or_default();
    act_as(app, caller, key, u64::from_be_bytes(fingerprint), body).await
}

/// As [`act`], where what the form said, and not what it came to, tells a copy of it from another.
async fn act_as(
    app: &App,
    caller: Caller,
    key: &str,
    fingerprint: u64,
    body: Body,
) -> Result<Committed, Problem> {
    let key = Some(key.to_owned()).filter(|key| (1..=255).contains(&key.len()));
    let ask = Ask { caller, key, fingerprint, body: () };
    ask.submit(app, body).await
}

/// A command with what a form notes of it, where it does.
fn noting(note: &str, body: Body) -> Body {
    let note = Some(note.trim().to_owned()).filter(|note| !note.is_empty());
    noted(body, None, note.as_ref())
}

/// What a system is called; `onhand` for what was told to us.
fn system_name(view: &mut View<'_>, id: SystemId) -> Result<String, StoreError> {
    Ok(view.system(id)?.map_or_else(|| "onhand".to_owned(), |system| system.name))
}

/// A key for a form.
fn form_key() -> Result<String, Problem> {
    let mut random = [0; 16];
    getrandom::fill(&mut random).map_err(|error| Problem::internal(&error.to_string()))?;
    Ok(format!("page-{:032x}", u128::from_be_bytes(random)))
}

/// A page as it is sent.
fn page(template: &impl Template) -> Result<Response, Problem> {
    let text = template.render().map_err(|error| Problem::internal(&error.to_string()))?;
    Ok(Html(text).into_response())
}
