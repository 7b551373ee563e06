//! Whoever is at the screen: what they may do, their password, the codes of their phone, and where else they are signed in.

use askama::Template;
use axum::extract::{Query, State};
use axum::http::HeaderMap;
use axum::response::{IntoResponse as _, Redirect};
use axum::routing::{get, post};
use axum::{Form, Router};
use onhand_ledger::{Instant, TenantId};
use serde::Deserialize;

use super::frame::Frame;
use super::session::{self, Known};
use super::{Shown, page, words};
use crate::App;
use crate::auth;
use crate::error::Problem;
use crate::sessions::{self, By, Session};
use crate::users::{self, Code, Secret, User};
use crate::v1::ask::read;
use crate::v1::unsealed;

pub(super) fn routes() -> Router<App> {
    Router::new()
        .route("/account", get(show))
        .route("/account/password", post(change_password))
        .route("/account/sessions/end", post(end_sessions))
        .route("/account/two-factor", post(set_up))
        .route("/account/two-factor/off", post(take_away))
}

/// Whoever came by a provider has signed in so short a time ago, in seconds, that they need not do so again.
const JUST_NOW: i64 = 600;

/// A session of whoever is at the screen.
struct Place {
    id: String,
    browser: String,
    /// The address, where it is known.
    from: Option<String>,
    opened: words::Time,
    seen: words::Time,
    is_here: bool,
}

impl Place {
    fn of(session: Session, here: &Session, now: Instant) -> Self {
        let time = |micros| words::Time::of(Instant::from_micros(micros), now);
        let is_here = session.key == here.key;
        Self {
            id: session.id().to_owned(),
            opened: time(session.kept.opened_at()),
            // It is written down once in a while, and used at this very moment.
            seen: if is_here { words::Time::of(now, now) } else { time(session.seen_at) },
            browser: session.kept.browser.unwrap_or_else(|| "unknown".to_owned()),
            from: session.kept.from,
            is_here,
        }
    }
}

/// How somebody shows that it is they who end sessions.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Proof {
    Password,
    Key,
    /// They have just signed in by their provider.
    JustNow,
    /// They did, and not just now.
    SignInAgain,
}

impl Proof {
    fn of(known: &Known, now: Instant) -> Self {
        let since = now.micros() - known.session.kept.opened_at();
        match (&known.user, known.is_by_provider()) {
            (None, _) => Self::Key,
            (Some(_), false) => Self::Password,
            (Some(_), true) if since < JUST_NOW * 1_000_000 => Self::JustNow,
            (Some(_), true) => Self::SignInAgain,
        }
    }

    /// What they type for it.
    fn label(self) -> Option<&'static str> {
        match self {
            Self::Password => Some("Your password"),
            Self::Key => Some("The API key"),
            Self::JustNow | Self::SignInAgain => None,
        }
    }
}

#[derive(Template)]
#[template(path = "account.html")]
struct Account {
    frame: Frame,
    /// None: signed in with an API key.
    user: Option<User>,
    /// Codes are asked of everybody.
    two_factor: bool,
    /// What an app is to be given, where codes are not asked for yet: as it is typed, and as an address.
    secret: Option<(String, String)>,
    /// Where they are signed in, here too.
    places: Vec<Place>,
    proof: Proof,
    /// How long a session may be idle, in words.
    idle: String,
    done: Option<&'static str>,
    wrong: Option<String>,
}

impl Account {
    /// Where else they are signed in.
    fn elsewhere(&self) -> impl Iterator<Item = &Place> {
        self.places.iter().filter(|place| !place.is_here)
    }
}

#[derive(Deserialize, Default)]
struct Done {
    done: Option<String>,
}

async fn show(State(app): State<App>, known: Known, Query(done): Query<Done>) -> Shown {
    let done = match done.done.as_deref() {
        Some("password") => {
            Some("Your password is changed. Whoever was signed in with the old one is not any more.")
        }
        Some("codes") => Some(
            "A code of your phone is asked for from now on. Whoever was signed in elsewhere is not any more.",
        ),
        Some("off") => {
            Some("No code is asked for any more. Whoever was signed in elsewhere is not any more.")
        }
        Some("ended") => Some("That is ended: whoever was signed in there is not any more."),
        _ => None,
    };
    account(&app, known, None, done, None).await
}

async fn account(
    app: &App,
    known: Known,
    secret: Option<Secret>,
    done: Option<&'static str>,
    wrong: Option<String>,
) -> Shown {
    // What is typed is not swapped away, nor the secret that is being set up.
    let frame = Frame::still(app, &known.caller, "/account").await?;
    let (places, now) = read(app, &known.caller, |view| {
        Ok((sessions::alike(view, &app.sessions, &known.session.kept.by)?, view.now))
    })
    .await?;
    let places = places.into_iter().map(|session| Place::of(session, &known.session, now)).collect();
    let proof = Proof::of(&known, now);
    let Known { user, policy, .. } = known;
    let secret = match (&user, secret) {
        (Some(user), secret) if !user.has_code && !user.must_change => {
            let secret = secret.map_or_else(Secret::made_up, Ok)?;
            Some((secret.text(), secret.address(&user.name)))
        }
        _ => None,
    };
    let is_wrong = wrong.is_some();
    let (two_factor, idle) = (policy.two_factor, words::minutes(app.sessions.idle_minutes()));
    let mut response = page(&Account { frame, user, two_factor, secret, places, proof, idle, done, wrong })?;
    if is_wrong {
        *response.status_mut() = axum::http::StatusCode::UNPROCESSABLE_ENTITY;
    }
    Ok(response)
}

/// Whoever has no password here has nothing to change.
fn theirs(known: &Known) -> Result<User, Problem> {
    let why = "you are signed in with an API key, which has no password and no codes";
    known.user.clone().ok_or_else(|| Problem::of_field("user", why))
}

/// What is wrong with what somebody typed as their password; none: it is theirs. What fails counts as at signing in.
async fn wrong_password(
    app: &App,
    tenant: TenantId,
    user: &User,
    typed: String,
) -> Result<Option<String>, Problem> {
    let tries = &app.watched.tries;
    let _place = tries.place().await;
    let (name, now) = (users::folded(&user.name), app.handle.ledger().clock().now());
    if let Some(seconds) = tries.wait(tenant, &name, now) {
        return Ok(Some(format!("Too many tries. The next may come in {seconds} s.")));
    }
    let kept = user.password.clone();
    let looked = tokio::task::spawn_blocking(move || users::is_right(Some(&kept), &typed));
    if looked.await.map_err(|error| Problem::internal(&error.to_string()))? {
        return Ok(None);
    }
    tries.failed(tenant, &name, now);
    tracing::warn!(%tenant, user = user.name, "a password was asked for again, and was wrong");
    Ok(Some("Your password now is another.".to_owned()))
}

#[derive(Deserialize)]
struct NewPassword {
    now: String,
    password: String,
    again: String,
}

async fn change_password(
    State(app): State<App>,
    headers: HeaderMap,
    known: Known,
    Form(form): Form<NewPassword>,
) -> Shown {
    let user = theirs(&known)?;
    let tenant = known.caller.tenant;
    let now = app.handle.ledger().clock().now();
    let wrong = wrong_password(&app, tenant, &user, form.now.clone()).await?;
    let wrong = if wrong.is_some() {
        wrong
    } else if form.password != form.again {
        Some("The new password is not the same both times.".to_owned())
    } else if form.password == form.now {
        Some("The new password is the old one.".to_owned())
    } else {
        users::check_password(&user.name, &form.password)
            .err()
            .map(|why| format!("The new password cannot be taken: {why}."))
    };
    if wrong.is_some() {
        return account(&app, known, None, None, wrong).await;
    }
    let _one_at_a_time = app.watched.tries.changing().await;
    let mut user = again(&app, &known, &user).await?;
    let hashed = tokio::task::spawn_blocking(move || users::hash(&form.password)).await;
    user.password = hashed.map_err(|error| Problem::internal(&error.to_string()))??;
    user.must_change = false;
    user.password_at = user.set_after(now.micros());
    app.handle.submit_with(tenant, None, vec![user.note()]).await?;
    tracing::info!(%tenant, user = user.name, "somebody changed their password");
    Ok(session::renewed(&app, &headers, "/account?done=password", (tenant, &user)).await?)
}

/// As they are now: somebody may have changed them meanwhile.
async fn again(app: &App, known: &Known, user: &User) -> Result<User, Problem> {
    let now = read(app, &known.caller, |view| users::found(view, &user.name)).await?;
    let is_same = |now: &User| now.password == user.password && !now.is_off;
    now.filter(is_same)
        .ok_or_else(|| Problem::of_field("user", "it was changed meanwhile; load the page again"))
}

#[derive(Deserialize)]
struct SetUp {
    now: String,
    secret: String,
    code: String,
}

async fn set_up(State(app): State<App>, headers: HeaderMap, known: Known, Form(form): Form<SetUp>) -> Shown {
    let user = theirs(&known)?;
    let Some(secret) = Secret::of_text(&form.secret).filter(|_| !user.must_change && !user.has_code) else {
        return Ok(Redirect::to("/account").into_response());
    };
    let (tenant, ledger) = (known.caller.tenant, app.handle.ledger());
    let wrong = wrong_password(&app, tenant, &user, form.now).await?;
    if wrong.is_some() {
        return account(&app, known, Some(secret), None, wrong).await;
    }
    let now = ledger.clock().now().micros();
    let Some(step) = secret.step_of(&Code(&form.code), now / 1_000_000, 0) else {
        let wrong = "This is not the code that your phone shows now. Is its clock right?".to_owned();
        return account(&app, known, Some(secret), None, Some(wrong)).await;
    };
    let _one_at_a_time = app.watched.tries.changing().await;
    let mut user = again(&app, &known, &user).await?;
    (user.has_code, user.last_step, user.password_at) = (true, step, user.set_after(now));
    let sealed = secret.note(ledger.seal(), tenant, &user.name).map_err(|error| unsealed(&error))?;
    app.handle.submit_with(tenant, None, vec![sealed, user.note()]).await?;
    tracing::info!(%tenant, user = user.name, "codes are asked of somebody from now on");
    Ok(session::renewed(&app, &headers, "/account?done=codes", (tenant, &user)).await?)
}

#[derive(Deserialize)]
struct TakeAway {
    now: String,
}

async fn take_away(
    State(app): State<App>,
    headers: HeaderMap,
    known: Known,
    Form(form): Form<TakeAway>,
) -> Shown {
    let user = theirs(&known)?;
    let tenant = known.caller.tenant;
    let wrong = if known.policy.two_factor {
        Some("Codes are asked of everybody here: an admin says so.".to_owned())
    } else {
        wrong_password(&app, tenant, &user, form.now).await?
    };
    if wrong.is_some() {
        return account(&app, known, None, None, wrong).await;
    }
    let _one_at_a_time = app.watched.tries.changing().await;
    let mut user = again(&app, &known, &user).await?;
    (user.has_code, user.password_at) = (false, user.set_after(app.handle.ledger().clock().now().micros()));
    app.handle.submit_with(tenant, None, vec![Secret::gone(&user.name), user.note()]).await?;
    tracing::info!(%tenant, user = user.name, "no code is asked of somebody any more");
    Ok(session::renewed(&app, &headers, "/account?done=off", (tenant, &user)).await?)
}

#[derive(Deserialize)]
struct EndSessions {
    /// The id of one, or `others`.
    session: String,
    #[serde(default)]
    now: String,
}

/// Ends one of the other sessions of whoever is at the screen, or all of them, once they have shown that it is they.
async fn end_sessions(State(app): State<App>, known: Known, Form(form): Form<EndSessions>) -> Shown {
    let (tenant, now) = (known.caller.tenant, app.handle.ledger().clock().now());
    let wrong = match (Proof::of(&known, now), &known.user, &known.session.kept.by) {
        (Proof::Password, Some(user), _) => wrong_password(&app, tenant, user, form.now).await?,
        (Proof::Key, _, By::Key { key }) if auth::hash(form.now.trim()) == *key => None,
        (Proof::JustNow, ..) => None,
        (Proof::SignInAgain, ..) => Some("Sign out and in again first: that was too long ago.".to_owned()),
        _ => Some("This is not the key that you are signed in with.".to_owned()),
    };
    if wrong.is_some() {
        return account(&app, known, None, None, wrong).await;
    }
    let by = &known.session.kept.by;
    let mut meant = read(&app, &known.caller, |view| sessions::alike(view, &app.sessions, by)).await?;
    meant.retain(|session| {
        session.key != known.session.key && (form.session == "others" || session.id() == form.session)
    });
    sessions::end(&app, tenant, &meant).await?;
    tracing::info!(%tenant, user = known.caller.name, ended = meant.len(), "somebody ended sessions of theirs elsewhere");
    Ok(Redirect::to("/account?done=ended").into_response())
}
