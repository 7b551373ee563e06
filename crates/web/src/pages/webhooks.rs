//! Webhooks that are sent: who subscribed, how that goes, and each message with its attempts; sending again.

use askama::Template;
use axum::extract::{Form, Path, State};
use axum::response::{IntoResponse as _, Redirect};
use axum::routing::get;
use axum::{Router, response};
use onhand_engine::View;
use onhand_engine::seal::Seal;
use onhand_engine::subscriptions::{
    Event, Fate, Message, SUBSCRIPTION, Standing, messages, standing, subscriptions,
};
use onhand_ledger::Instant;
use onhand_store::StoreError;
use serde::Deserialize;

use super::frame::Frame;
use super::session::Visitor;
use super::{Shown, page, words};
use crate::App;
use crate::error::Problem;
use crate::v1::ask::read;
use crate::v1::subscriptions::{Asking, do_as_asked};

/// So many messages are shown.
const ROWS: usize = 100;

pub(super) fn routes() -> Router<App> {
    Router::new().route("/webhooks", get(list)).route("/webhooks/{name}", get(show).post(act))
}

/// A subscription.
struct Row {
    name: String,
    href: String,
    events: String,
    waiting: u64,
    given_up: u64,
    taken: Option<words::Time>,
    /// How it does: `ok`, `failing` or `off`.
    mark: &'static str,
    trouble: String,
    since: Option<words::Time>,
}

/// One to which nothing is sent until a person says so.
pub(super) struct Ended {
    pub name: String,
    pub href: String,
    pub why: String,
    pub since: words::Time,
}

/// Those to which nothing is sent until a person says so.
pub(super) fn ended(view: &mut View<'_>, seal: &Seal) -> Result<Vec<Ended>, StoreError> {
    let mut all = Vec::new();
    for (name, opened) in subscriptions(view, seal)? {
        let Ok(known) = opened else { continue };
        if let Some(off) = standing(view, &known.id)?.off {
            let since = words::Time::of(off.at, view.now);
            all.push(Ended { href: href(&name), name, why: off.why, since });
        }
    }
    Ok(all)
}

fn href(name: &str) -> String {
    format!("/webhooks/{}", words::part(name))
}

fn row(name: String, events: String, standing: Standing, now: Instant) -> Row {
    let time = |at| words::Time::of(at, now);
    let (mark, trouble, since) = match (standing.off, standing.failing_since) {
        (Some(off), _) => ("off", off.why, Some(off.at)),
        (None, Some(since)) => ("failing", standing.why, Some(since)),
        (None, None) => ("ok", String::new(), None),
    };
    Row {
        href: href(&name),
        name,
        events,
        waiting: standing.waiting,
        given_up: standing.given_up,
        taken: standing.taken_at.map(time),
        mark,
        trouble,
        since: since.map(time),
    }
}

fn rows(view: &mut View<'_>, seal: &Seal) -> Result<Vec<(Row, Option<String>)>, StoreError> {
    let mut all = Vec::new();
    for (name, opened) in subscriptions(view, seal)? {
        all.push(match opened {
            Ok(known) => {
                let events = Event::ALL.into_iter().filter(|event| known.wants(*event)).map(Event::name);
                let events = events.collect::<Vec<_>>().join(", ");
                let standing = standing(view, &known.id)?;
                (row(name, events, standing, view.now), Some(known.id))
            }
            Err(error) => {
                let locked = row(name, String::new(), Standing::default(), view.now);
                (Row { mark: "off", trouble: error.to_string(), ..locked }, None)
            }
        });
    }
    Ok(all)
}

#[derive(Template)]
#[template(path = "webhooks.html")]
struct Webhooks {
    frame: Frame,
    rows: Vec<Row>,
}

async fn list(State(app): State<App>, Visitor(caller): Visitor) -> Shown {
    let frame = Frame::of(&app, &caller, "/activity").await?;
    let ledger = app.handle.ledger().clone();
    let rows = read(&app, &caller, |view| rows(view, ledger.seal())).await?;
    let rows = rows.into_iter().map(|(row, _)| row).collect();
    Ok(page(&Webhooks { frame, rows })?)
}

struct Attempt {
    at: words::Time,
    answer: String,
    took: u64,
    said: String,
}

struct Sent {
    id: String,
    event: &'static str,
    body: String,
    made: words::Time,
    fate: &'static str,
    due: Option<words::Time>,
    attempts: Vec<Attempt>,
}

fn sent(message: Message, now: Instant) -> Sent {
    let attempts = message.attempts.into_iter().rev().map(|attempt| Attempt {
        at: words::Time::of(attempt.at, now),
        answer: attempt.status.map_or("no answer".to_owned(), |status| status.to_string()),
        took: attempt.took_ms,
        said: attempt.said,
    });
    Sent {
        id: message.id,
        event: message.event.name(),
        body: message.body,
        made: words::Time::of(message.made_at, now),
        fate: match message.fate {
            Fate::Waiting => "◐ waiting",
            Fate::GivenUp => "■ given up",
            Fate::Taken => "● taken",
        },
        due: (message.fate == Fate::Waiting).then(|| words::Time::of(message.due_at, now)),
        attempts: attempts.collect(),
    }
}

#[derive(Template)]
#[template(path = "webhook.html")]
struct Webhook {
    frame: Frame,
    row: Row,
    sent: Vec<Sent>,
    more: usize,
}

async fn show(State(app): State<App>, Visitor(caller): Visitor, Path(name): Path<String>) -> Shown {
    let frame = Frame::of(&app, &caller, "/activity").await?;
    let ledger = app.handle.ledger().clone();
    let found = read(&app, &caller, |view| {
        if view.note(SUBSCRIPTION, &name)?.is_none() {
            return Ok(None);
        }
        let known = rows(view, ledger.seal())?.into_iter().find(|(row, _)| row.name == name);
        let Some((row, id)) = known else { return Ok(None) };
        let all = id.map(|id| messages(view, &id)).transpose()?.unwrap_or_default();
        let more = all.len().saturating_sub(ROWS);
        let shown = all.into_iter().take(ROWS).map(|message| sent(message, view.now)).collect();
        Ok(Some((row, shown, more)))
    });
    let found = found.await?.ok_or_else(|| Problem::unknown("subscription called", &name));
    let (row, sent, more) = found?;
    Ok(page(&Webhook { frame, row, sent, more })?)
}

#[derive(Deserialize)]
struct Acting {
    to: String,
    #[serde(default)]
    message: String,
}

async fn act(
    State(app): State<App>,
    Visitor(caller): Visitor,
    Path(name): Path<String>,
    Form(form): Form<Acting>,
) -> Result<response::Response, super::problem::Trouble> {
    let asking = match form.to.as_str() {
        "enable" => Asking::Enable,
        "replay" => Asking::Replay,
        "resend" => Asking::Resend(form.message),
        "test" => Asking::Test,
        other => {
            let detail =
                format!("`{other}` is nothing that can be done; there are enable, replay, resend and test");
            return Err(Problem::of_field("to", detail).into());
        }
    };
    do_as_asked(&app, &caller, &name, asking).await?;
    Ok(Redirect::to(&href(&name)).into_response())
}
