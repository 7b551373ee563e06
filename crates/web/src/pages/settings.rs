//! Who may what: people who sign in and what is asked of them, and API keys; and what is kept of whoever is sent goods.
//!
//! What is shown once (a password, a key) is in the answer to the form that made it: in no address, and in no page after it.

use askama::Template;
use axum::extract::{Path, State};
use axum::response::{IntoResponse as _, Redirect};
use axum::routing::{get, post};
use axum::{Form, Router};
use onhand_engine::View;
use onhand_engine::raw::{self, KEPT_DAYS, Report};
use onhand_ledger::Instant;
use onhand_store::StoreError;
use serde::Deserialize;

use super::frame::Frame;
use super::session::{Known, Visitor};
use super::typed::Typed;
use super::{Shown, page, words};
use crate::App;
use crate::auth::{self, Caller, Grant, Right};
use crate::error::Problem;
use crate::role::Role;
use crate::sign_on::{Provider, provider};
use crate::users::{self, Policy, User};
use crate::v1::admin::{end_key, new_key};
use crate::v1::ask::read;
use crate::v1::people::whom;
use crate::v1::sign_in_policy::keep;
use crate::v1::user_sessions::end_all;
use crate::v1::users::{AmendUser, UserInput, amend, give, make, remove};

pub(super) fn routes() -> Router<App> {
    Router::new()
        .route("/settings", get(show))
        .route("/settings/two-factor", post(set_two_factor))
        .route("/settings/users", post(add))
        .route("/settings/users/{name}", post(change))
        .route("/settings/keys", post(add_key))
        .route("/settings/keys/{id}/revoke", post(revoke))
        .route("/settings/people", post(erase))
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

/// The provider of identities that people sign in by too. Nothing secret.
struct SignOn {
    issuer: String,
    client_id: String,
    comes_back_to: String,
    /// What somebody may do whom nobody here knows yet; none: they are not let in.
    newcomers: Option<&'static str>,
}

impl SignOn {
    fn of(provider: Provider) -> Self {
        Self {
            comes_back_to: provider.comes_back_to(),
            newcomers: provider.newcomers.map(Role::name),
            issuer: provider.issuer,
            client_id: provider.client_id,
        }
    }
}

/// A document that was erased, or would be.
struct Gone {
    system: String,
    document: String,
    /// When it was last told; none where it does not open.
    told: Option<words::Time>,
}

/// What was erased of somebody, or would be.
struct Erasing {
    /// It is only said.
    is_asked: bool,
    email: String,
    system: String,
    document: String,
    all: Vec<Gone>,
    /// How many were looked at.
    looked_at: String,
    /// How many do not open; none where all do.
    locked: Option<String>,
}

impl Erasing {
    /// Is there anything to be done? Of an order also that nothing is kept when it is told later.
    fn may_be_done(&self) -> bool {
        self.is_asked && (!self.all.is_empty() || !self.document.is_empty())
    }
}

/// What the answer to a form shows, and no page after it.
#[derive(Default)]
struct Told {
    /// A password to hand to somebody.
    given: Option<(String, String)>,
    /// A new key, by its name.
    key: Option<(String, String)>,
    erasing: Option<Erasing>,
}

impl Told {
    fn is_any(&self) -> bool {
        self.given.is_some() || self.key.is_some() || self.erasing.is_some()
    }
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
    /// What a new key may be given beyond its role: who has a right gives it.
    gives: Vec<Right>,
    sign_on: Option<SignOn>,
    /// Why the provider that is set cannot be shown; empty where it can.
    sign_on_locked: String,
    systems: Vec<String>,
    /// So long documents are kept once their order is closed.
    kept_days: i64,
    may_erase: bool,
    told: Told,
}

async fn show(State(app): State<App>, Visitor(caller): Visitor) -> Shown {
    settings(&app, &caller, Told::default()).await
}

async fn settings(app: &App, caller: &Caller, told: Told) -> Shown {
    let mut frame = Frame::of(app, caller, "/settings").await?;
    if told.is_any() {
        // It is shown once: nothing is swapped over it.
        frame.live.clear();
    }
    let ledger = app.handle.ledger().clone();
    let (people, keys, policy, sign_on, systems, now) = read(app, caller, |view| {
        let (people, keys, policy) = (users::all(view)?, auth::shown(view)?, Policy::kept(view)?);
        Ok((people, keys, policy, provider(view, ledger.seal())?, view.systems()?, view.now))
    })
    .await?;
    let (sign_on, sign_on_locked) = match sign_on {
        None => (None, String::new()),
        Some(Ok(known)) => (Some(SignOn::of(known)), String::new()),
        Some(Err(why)) => (None, why.to_string()),
    };
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
    Ok(page(&Settings {
        frame,
        people,
        keys,
        roles: Role::ALL,
        two_factor,
        without,
        gives: caller.rights.clone(),
        sign_on,
        sign_on_locked,
        systems: systems.into_iter().map(|(_, system)| system.name).collect(),
        kept_days: KEPT_DAYS,
        may_erase: caller.rights.contains(&Right::People),
        told,
    })?)
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
    let given = Some((made.user.name, made.password));
    settings(&app, &caller, Told { given, ..Told::default() }).await
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
            let given = Some((given.user.name, given.password));
            return settings(&app, &caller, Told { given, ..Told::default() }).await;
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

async fn add_key(
    State(app): State<App>,
    Visitor(caller): Visitor,
    Form(fields): Form<Vec<(String, String)>>,
) -> Shown {
    let typed = Typed::new(fields);
    let name = typed.get("name");
    let role = typed.get("role").parse::<Role>().map_err(|why| Problem::of_field("role", why))?;
    let rights = typed.all("right").map(str::parse::<Right>).collect::<Result<Vec<Right>, String>>();
    let rights = rights.map_err(|why| Problem::of_field("right", why))?;
    let grant = Grant { role, rights: &rights, rate: caller.rate };
    let key = new_key(&app, &caller, name, grant).await?;
    let key = Some((name.to_owned(), key));
    settings(&app, &caller, Told { key, ..Told::default() }).await
}

/// Says what would be erased of somebody, and erases it (`sure`) once that was asked for.
async fn erase(
    State(app): State<App>,
    Visitor(caller): Visitor,
    Form(fields): Form<Vec<(String, String)>>,
) -> Shown {
    caller.must_have(Right::People)?;
    let typed = Typed::new(fields);
    let [email, system, document] = ["email", "system", "document"].map(|field| typed.text(field));
    let whom = whom(&app, &caller, (email.as_deref(), system.as_deref(), document.as_deref())).await?;
    let is_asked = typed.get("sure") != "true";
    let report = raw::erase(&app.handle, caller.tenant, &whom, is_asked).await?;
    let all = read(&app, &caller, |view| gone(view, &report)).await?;
    let erasing = Erasing {
        is_asked,
        email: typed.get("email").to_owned(),
        system: typed.get("system").to_owned(),
        document: typed.get("document").to_owned(),
        all,
        looked_at: words::many(report.looked_at, "document"),
        locked: (report.locked > 0).then(|| words::count(report.locked)),
    };
    settings(&app, &caller, Told { erasing: Some(erasing), ..Told::default() }).await
}

fn gone(view: &mut View<'_>, report: &Report) -> Result<Vec<Gone>, StoreError> {
    let mut all = Vec::new();
    for one in &report.erased {
        all.push(Gone {
            system: super::system_name(view, one.of.system)?,
            document: one.of.document.clone(),
            told: one.told_at.map(|at| words::Time::of(at, view.now)),
        });
    }
    Ok(all)
}
