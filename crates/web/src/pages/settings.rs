//! Who may what: people who sign in, and API keys.

use askama::Template;
use axum::extract::{Path, State};
use axum::response::{IntoResponse as _, Redirect};
use axum::routing::{get, post};
use axum::{Form, Router};
use onhand_ledger::Instant;
use serde::Deserialize;

use super::frame::Frame;
use super::session::Visitor;
use super::{Shown, page, words};
use crate::App;
use crate::auth::{self, Caller, Right};
use crate::error::Problem;
use crate::role::Role;
use crate::users::{self, User};
use crate::v1::admin::end_key;
use crate::v1::ask::read;
use crate::v1::users::{AmendUser, UserInput, amend, give, make, remove};

pub(super) fn routes() -> Router<App> {
    Router::new()
        .route("/settings", get(show))
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
    /// A password to hand to somebody, shown once.
    given: Option<(String, String)>,
}

async fn show(State(app): State<App>, Visitor(caller): Visitor) -> Shown {
    settings(&app, &caller, None).await
}

async fn settings(app: &App, caller: &Caller, given: Option<(String, String)>) -> Shown {
    let frame = Frame::of(app, caller, "/settings").await?;
    let (people, keys, now) =
        read(app, caller, |view| Ok((users::all(view)?, auth::shown(view)?, view.now))).await?;
    let key = |key: auth::Shown| ApiKey {
        id: key.id().to_owned(),
        role: key.record.role.name(),
        rights: rights(&key.record.rights),
        made: words::Time::of(Instant::from_micros(key.record.created_at), now),
        name: key.record.name,
    };
    let people = people.into_iter().map(|user| Person::of(user, now)).collect();
    let keys = keys.into_iter().map(key).collect();
    Ok(page(&Settings { frame, people, keys, roles: Role::ALL, given })?)
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
