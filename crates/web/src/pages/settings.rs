//! Who may what: people who sign in and what is asked of them, and API keys.

use askama::Template;
use axum::extract::{Path, State};
use axum::response::{IntoResponse as _, Redirect};
use axum::routing::{get, post};
use axum::{Form, Router};
use onhand_ledger::Instant;
use serde::Deserialize;

use super::frame::Frame;
use super::session::{Known, Visitor};
use super::{Shown, page, words};
use crate::App;
use crate::auth::{self, Caller, Right};
use crate::error::Problem;
use crate::role::Role;
use crate::users::{self, Policy, User};
use crate::v1::admin::end_key;
use crate::v1::ask::read;
use crate::v1::sign_in_policy::keep;
use crate::v1::user_sessions::end_all;
use crate::v1::users::{AmendUser, UserInput, amend, give, make, remove};

pub(super) fn routes() -> Router<App> {
    Router::new()
        .route("/settings", get(show))
        .route("/settings/two-factor", post(set_two_factor))
        .route("/settings/users", post(add))
        .route("/settings/users/{name}", post(change))
        .route("/settings/keys/{id}/revoke", post(revoke))
}

/// Somebody.
struct Person {
    name: String,
    /// As a part of an address.
    part: String,
    role: Role,
    rights: String,
    word: &'static str,
    sign: char,
    has_code: bool,
    is_off: bool,
    signed_in: Option<words::Time>,
}

impl Person {
    fn of(user: User, now: Instant) -> Self {
        let (sign, word) = match (user.is_off, user.must_change) {
            (true, _) => ('○', "off"),
            (false, true) => ('◐', "has a password to change"),
            (false, false) => ('●', "may sign in"),
        };
        Self {
            part: words::part(&user.name),
            role: user.role,
            rights: rights(&user.rights),
            word,
            sign,
            has_code: user.has_code,
            is_off: user.is_off,
            signed_in: user.signed_in_at.map(|at| words::Time::of(Instant::from_micros(at), now)),
            name: user.name,
        }
    }
}

/// A key.
struct ApiKey {
    id: String,
    name: String,
    role: &'static str,
    rights: String,
    made: words::Time,
}

fn rights(all: &[Right]) -> String {
    all.iter().map(|right| right.name()).collect::<Vec<_>>().join(", ")
}

#[derive(Template)]
#[template(path = "settings.html")]
struct Settings {
    frame: Frame,
    people: Vec<Person>,
    keys: Vec<ApiKey>,
    roles: [Role; 4],
    /// Codes are asked of everybody.
    two_factor: bool,
    /// How many of the people set none up yet.
    without: usize,
    /// A password to hand to somebody, shown once.
    given: Option<(String, String)>,
}

async fn show(State(app): State<App>, Visitor(caller): Visitor) -> Shown {
    settings(&app, &caller, None).await
}

async fn settings(app: &App, caller: &Caller, given: Option<(String, String)>) -> Shown {
    let frame = Frame::of(app, caller, "/settings").await?;
    let (people, keys, policy, now) =
        read(app, caller, |view| Ok((users::all(view)?, auth::shown(view)?, Policy::kept(view)?, view.now)))
            .await?;
    let without = people.iter().filter(|user| !user.has_code).count();
    let key = |key: auth::Shown| ApiKey {
        id: key.id().to_owned(),
        role: key.record.role.name(),
        rights: rights(&key.record.rights),
        made: words::Time::of(Instant::from_micros(key.record.created_at), now),
        name: key.record.name,
    };
    let people = people.into_iter().map(|user| Person::of(user, now)).collect();
    let keys = keys.into_iter().map(key).collect();
    let two_factor = policy.two_factor;
    Ok(page(&Settings { frame, people, keys, roles: Role::ALL, two_factor, without, given })?)
}

#[derive(Deserialize)]
struct TwoFactor {
    two_factor: bool,
}

/// Says whether codes are asked of everybody. Nobody shuts themselves out by it.
async fn set_two_factor(
    State(app): State<App>,
    Visitor(caller): Visitor,
    known: Known,
    Form(TwoFactor { two_factor }): Form<TwoFactor>,
) -> Shown {
    let why = match &known.user {
        None => Some(
            "you are signed in with an API key, which would be enough no more: sign in by your name, and set up codes",
        ),
        Some(user) if !user.has_code && !known.is_by_provider() => {
            Some("set up codes of your own first, at /account")
        }
        Some(_) => None,
    };
    if let Some(why) = why.filter(|_| two_factor) {
        return Err(Problem::of_field("two_factor", why).into());
    }
    keep(&app, &caller, Policy { two_factor }).await?;
    Ok(Redirect::to("/settings").into_response())
}

#[derive(Deserialize)]
struct NewUser {
    name: String,
    role: Role,
}

async fn add(State(app): State<App>, Visitor(caller): Visitor, Form(form): Form<NewUser>) -> Shown {
    let input = UserInput { name: form.name.trim().to_owned(), role: form.role, rights: None };
    let made = make(&app, &caller, &input).await?;
    settings(&app, &caller, Some((made.user.name, made.password))).await
}

#[derive(Deserialize)]
struct Change {
    to: String,
}

async fn change(
    State(app): State<App>,
    Visitor(caller): Visitor,
    Path(name): Path<String>,
    Form(form): Form<Change>,
) -> Shown {
    let change = match form.to.as_str() {
        "password" => {
            let given = give(&app, &caller, &name).await?;
            return settings(&app, &caller, Some((given.user.name, given.password))).await;
        }
        "signed_out" => {
            end_all(&app, &caller, &name).await?;
            return Ok(Redirect::to("/settings").into_response());
        }
        "removed" => {
            remove(&app, &caller, &name).await?;
            return Ok(Redirect::to("/settings").into_response());
        }
        "off" => AmendUser { is_off: Some(true), ..AmendUser::default() },
        "on" => AmendUser { is_off: Some(false), ..AmendUser::default() },
        "no_code" => AmendUser { two_factor: Some(false), ..AmendUser::default() },
        role => {
            let role = role.parse().map_err(|why: String| Problem::of_field("to", why))?;
            AmendUser { role: Some(role), ..AmendUser::default() }
        }
    };
    amend(&app, &caller, &name, &change).await?;
    Ok(Redirect::to("/settings").into_response())
}

async fn revoke(State(app): State<App>, Visitor(caller): Visitor, Path(id): Path<String>) -> Shown {
    end_key(&app, &caller, &id).await?;
    Ok(Redirect::to("/settings").into_response())
}
