//! People who sign in at the pages.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use onhand_ledger::Instant;
use onhand_store::Note;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::ask::{Ask, read};
use crate::App;
use crate::auth::{Caller, Right, shown};
use crate::blocking::blocking;
use crate::body::only_objects;
use crate::error::Problem;
use crate::extract::Path;
use crate::role::Role;
use crate::users::{self, Secret, User};

pub(super) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(make_user, list_users))
        .routes(routes!(remove_user))
        .routes(routes!(amend_user))
        .routes(routes!(give_password))
}

/// Somebody who shall sign in.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(remote = "Self", deny_unknown_fields)]
pub(crate) struct UserInput {
    /// What they sign in as, and are called in history: 1 to 100 letters, digits and `. - _ @ +`; small and capital letters are not told apart.
    pub name: String,
    /// What they may do.
    pub role: Role,
    /// And beyond that; nothing unless told. Only who has a right can give it.
    pub rights: Option<Vec<Right>>,
}

/// Somebody who signs in; never their password.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct UserBody {
    pub name: String,
    pub role: Role,
    pub rights: Vec<Right>,
    /// A code of their phone is asked for.
    pub two_factor: bool,
    /// They may not sign in for now.
    pub is_off: bool,
    /// Their password was made by somebody else, and is to be changed first.
    pub must_change: bool,
    pub created_at: String,
    /// None: never yet.
    pub signed_in_at: Option<String>,
}

impl From<User> for UserBody {
    fn from(user: User) -> Self {
        let User { name, role, rights, has_code, is_off, must_change, created_at, signed_in_at, .. } = user;
        let time = |micros| Instant::from_micros(micros).to_string();
        let (created_at, signed_in_at) = (time(created_at), signed_in_at.map(time));
        Self { name, role, rights, two_factor: has_code, is_off, must_change, created_at, signed_in_at }
    }
}

/// Somebody and a password to begin with.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct GivenBody {
    pub user: UserBody,
    /// Shown once: it is to be changed when they sign in first.
    pub password: String,
}

/// Everybody, by their names.
#[derive(Debug, Serialize, ToSchema)]
struct UsersBody {
    data: Vec<UserBody>,
}

/// Makes somebody who signs in at the pages, with a password by chance that is to be changed first.
#[utoipa::path(post, path = "/users", tag = "admin", request_body = UserInput,
    responses((status = 201, body = GivenBody)))]
async fn make_user(State(app): State<App>, ask: Ask<UserInput>) -> Result<Response, Problem> {
    no_key(ask.key.as_deref())?;
    Ok((StatusCode::CREATED, Json(make(&app, &ask.caller, &ask.body).await?)).into_response())
}

/// As [`make_user`].
pub(crate) async fn make(app: &App, caller: &Caller, input: &UserInput) -> Result<GivenBody, Problem> {
    let UserInput { name, role, rights } = input;
    if let Err(problem) = users::check_name(name) {
        return Err(Problem::of_field("name", format!("name {problem}")));
    }
    let rights = rights.clone().unwrap_or_default();
    rights.iter().try_for_each(|right| caller.must_have(*right))?;
    let _one_at_a_time = app.watched.tries.changing().await;
    let (known, keys) = read(app, caller, |view| Ok((users::found(view, name)?, shown(view)?))).await?;
    let folded = users::folded(name);
    if known.is_some() || keys.iter().any(|key| users::folded(&key.record.name) == folded) {
        let detail = format!(
            "`{name}` is somebody's or an API key's name, and history tells who did what by names; use another"
        );
        return Err(Problem::of_field("name", detail));
    }
    let now = app.handle.ledger().clock().now().micros();
    let mut user = User::new(name, *role, rights, now);
    let password = given(&mut user, now).await?;
    keep(app, caller, vec![user.note()]).await?;
    tracing::info!(user = user.name, role = user.role.name(), by = caller.name, "somebody may sign in");
    Ok(GivenBody { user: user.into(), password })
}

/// People who sign in at the pages.
#[utoipa::path(get, path = "/users", tag = "admin", responses((status = 200, body = UsersBody)))]
async fn list_users(State(app): State<App>, caller: Caller) -> Result<Json<UsersBody>, Problem> {
    let all = read(&app, &caller, users::all).await?;
    Ok(Json(UsersBody { data: all.into_iter().map(UserBody::from).collect() }))
}

/// What changes of somebody. What is left out stays as it is.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(remote = "Self", deny_unknown_fields)]
pub(crate) struct AmendUser {
    /// What they may do.
    pub role: Option<Role>,
    /// And beyond that: all of it. Only who has a right can give it or take it.
    pub rights: Option<Vec<Right>>,
    /// They may not sign in: whoever is, is not any more, and signs in again once they may.
    pub is_off: Option<bool>,
    /// `false`: no code is asked for any more, because the phone is lost. They set it up anew themselves.
    pub two_factor: Option<bool>,
}

/// Changes what somebody may do, or lets them sign in or not. It holds from their next click on.
#[utoipa::path(post, path = "/users/{name}/amend", tag = "admin", params(("name" = String, Path)),
    request_body = AmendUser, responses((status = 200, body = UserBody)))]
async fn amend_user(
    State(app): State<App>,
    Path(name): Path<String>,
    ask: Ask<AmendUser>,
) -> Result<Json<UserBody>, Problem> {
    no_key(ask.key.as_deref())?;
    amend(&app, &ask.caller, &name, &ask.body).await.map(Json)
}

/// As [`amend_user`].
pub(crate) async fn amend(
    app: &App,
    caller: &Caller,
    name: &str,
    change: &AmendUser,
) -> Result<UserBody, Problem> {
    let _one_at_a_time = app.watched.tries.changing().await;
    let mut user = theirs(app, caller, name).await?;
    if change.two_factor == Some(true) {
        let detail = "two_factor can only be taken away here: whoever has the phone sets it up, at /account";
        return Err(Problem::of_field("two_factor", detail));
    }
    let is_self = users::folded(&user.name) == users::folded(&caller.name);
    if is_self && (change.is_off == Some(true) || change.role.is_some_and(|role| role < Role::Admin)) {
        let detail = "nobody shuts themselves out: another admin does that";
        return Err(Problem::of_field(if change.is_off.is_some() { "is_off" } else { "role" }, detail));
    }
    user.role = change.role.unwrap_or(user.role);
    user.is_off = change.is_off.unwrap_or(user.is_off);
    if change.is_off == Some(true) || change.two_factor == Some(false) {
        user.password_at = user.set_after(app.handle.ledger().clock().now().micros());
    }
    if let Some(rights) = &change.rights {
        rights.iter().try_for_each(|right| caller.must_have(*right))?;
        user.rights.clone_from(rights);
    }
    let mut notes = Vec::new();
    if change.two_factor == Some(false) {
        (user.has_code, user.last_step) = (false, 0);
        notes.push(Secret::gone(&user.name));
    }
    notes.push(user.note());
    keep(app, caller, notes).await?;
    tracing::info!(
        user = user.name,
        role = user.role.name(),
        off = user.is_off,
        by = caller.name,
        "a user was changed"
    );
    Ok(user.into())
}

/// Gives somebody another password by chance, which is to be changed first. Whoever is signed in by the old one is not any more.
#[utoipa::path(post, path = "/users/{name}/password", tag = "admin", params(("name" = String, Path)),
    responses((status = 200, body = GivenBody)))]
async fn give_password(
    State(app): State<App>,
    Path(name): Path<String>,
    caller: Caller,
) -> Result<Json<GivenBody>, Problem> {
    give(&app, &caller, &name).await.map(Json)
}

/// As [`give_password`].
pub(crate) async fn give(app: &App, caller: &Caller, name: &str) -> Result<GivenBody, Problem> {
    let _one_at_a_time = app.watched.tries.changing().await;
    let mut user = theirs(app, caller, name).await?;
    let password = given(&mut user, app.handle.ledger().clock().now().micros()).await?;
    keep(app, caller, vec![user.note()]).await?;
    // Somebody else may have kept the name waiting.
    app.watched.tries.succeeded(caller.tenant, &users::folded(&user.name));
    tracing::info!(user = user.name, by = caller.name, "a password was given anew");
    Ok(GivenBody { user: user.into(), password })
}

/// Removes somebody: they are not signed in any more. What they did stays theirs in history.
#[utoipa::path(delete, path = "/users/{name}", tag = "admin", params(("name" = String, Path)),
    responses((status = 200, body = UserBody)))]
async fn remove_user(
    State(app): State<App>,
    Path(name): Path<String>,
    caller: Caller,
) -> Result<Json<UserBody>, Problem> {
    remove(&app, &caller, &name).await.map(Json)
}

/// As [`remove_user`].
pub(crate) async fn remove(app: &App, caller: &Caller, name: &str) -> Result<UserBody, Problem> {
    let _one_at_a_time = app.watched.tries.changing().await;
    let user = theirs(app, caller, name).await?;
    let gone = Note { body: None, ..user.note() };
    keep(app, caller, vec![gone, Secret::gone(&user.name)]).await?;
    tracing::info!(user = user.name, by = caller.name, "a user was removed");
    Ok(user.into())
}

/// Somebody whom the caller may change: whoever has a right that the caller has not is out of reach.
pub(super) async fn theirs(app: &App, caller: &Caller, name: &str) -> Result<User, Problem> {
    let found = read(app, caller, |view| users::found(view, name)).await?;
    let user = found.ok_or_else(|| Problem::unknown("user called", name))?;
    user.rights.iter().try_for_each(|right| caller.must_have_to_revoke(*right))?;
    Ok(user)
}

/// A password by chance.
async fn given(user: &mut User, now: i64) -> Result<String, Problem> {
    let password = users::made_up()?;
    user.password = blocking(|| users::hash(&password)).await?;
    user.must_change = true;
    user.password_at = user.set_after(now);
    Ok(password)
}

async fn keep(app: &App, caller: &Caller, notes: Vec<Note>) -> Result<(), Problem> {
    app.handle.submit_with(caller.tenant, None, notes).await?;
    Ok(())
}

fn no_key(key: Option<&str>) -> Result<(), Problem> {
    if key.is_none() {
        return Ok(());
    }
    let detail = "a password is shown once and not kept: it could not be shown again to a copy of this request. \
                  Leave the `Idempotency-Key` out";
    Err(Problem::of_field("Idempotency-Key", detail))
}

only_objects!(UserInput, AmendUser);
