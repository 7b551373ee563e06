//! Where people are signed in, and an end to it.

use axum::Json;
use axum::extract::State;
use onhand_ledger::Instant;
use serde::Serialize;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::ask::read;
use super::users::theirs;
use crate::App;
use crate::auth::Caller;
use crate::error::Problem;
use crate::extract::Path;
use crate::sessions::{self, Session};
use crate::users::{self, User};

pub(super) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(list_sessions)).routes(routes!(sign_out))
}

/// A session of somebody at the pages.
#[derive(Debug, Serialize, ToSchema)]
struct UserSessionBody {
    /// What names it here.
    id: String,
    /// When they signed in.
    opened_at: String,
    /// When it was last used, to a minute or so.
    seen_at: String,
    /// When it ends, if it is used until then.
    ends_at: String,
    /// What they signed in with, such as `Firefox on Linux`; none: it did not say.
    browser: Option<String>,
    /// The address they signed in from: that of a proxy, where one is in front.
    from: Option<String>,
}

impl From<Session> for UserSessionBody {
    fn from(session: Session) -> Self {
        let time = |micros| Instant::from_micros(micros).to_string();
        Self {
            id: session.id().to_owned(),
            opened_at: time(session.kept.opened_at()),
            seen_at: time(session.seen_at),
            ends_at: time(session.kept.until),
            browser: session.kept.browser,
            from: session.kept.from,
        }
    }
}

/// Sessions of somebody, the last used first.
#[derive(Debug, Serialize, ToSchema)]
struct UserSessionsBody {
    data: Vec<UserSessionBody>,
}

impl UserSessionsBody {
    fn of(sessions: Vec<Session>) -> Self {
        Self { data: sessions.into_iter().map(UserSessionBody::from).collect() }
    }
}

/// Where somebody is signed in now.
#[utoipa::path(get, path = "/users/{name}/sessions", tag = "admin", operation_id = "list_user_sessions", params(("name" = String, Path)),
    responses((status = 200, body = UserSessionsBody)))]
async fn list_sessions(
    State(app): State<App>,
    Path(name): Path<String>,
    caller: Caller,
) -> Result<Json<UserSessionsBody>, Problem> {
    let found = read(&app, &caller, |view| users::found(view, &name)).await?;
    let user = found.ok_or_else(|| Problem::unknown("user called", name))?;
    Ok(Json(UserSessionsBody::of(of(&app, &caller, &user).await?)))
}

/// Signs somebody out wherever they are, and says where that was. They may sign in again: `is_off` keeps them from it.
#[utoipa::path(post, path = "/users/{name}/sign-out", tag = "admin", operation_id = "sign_user_out", params(("name" = String, Path)),
    responses((status = 200, body = UserSessionsBody)))]
async fn sign_out(
    State(app): State<App>,
    Path(name): Path<String>,
    caller: Caller,
) -> Result<Json<UserSessionsBody>, Problem> {
    Ok(Json(UserSessionsBody::of(end_all(&app, &caller, &name).await?)))
}

/// As [`sign_out`].
pub(crate) async fn end_all(app: &App, caller: &Caller, name: &str) -> Result<Vec<Session>, Problem> {
    let user = theirs(app, caller, name).await?;
    let there = of(app, caller, &user).await?;
    sessions::end(app, caller.tenant, &there).await?;
    tracing::info!(
        user = user.name,
        ended = there.len(),
        by = caller.name,
        "somebody was signed out everywhere"
    );
    Ok(there)
}

async fn of(app: &App, caller: &Caller, user: &User) -> Result<Vec<Session>, Problem> {
    let whose = (users::folded(&user.name), user.password_at);
    read(app, caller, |view| sessions::of_person(view, &app.sessions, (&whose.0, whose.1))).await
}
