//! Keeping a system equal now, because somebody asks.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use onhand_engine::systems::asked::{Progress, ask, progress};
use onhand_engine::systems::connection;
use onhand_ledger::model::Stage;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::named;
use crate::App;
use crate::auth::Caller;
use crate::body::only_objects;
use crate::error::Problem;
use crate::extract::Path;
use crate::v1::ask::{Ask, read};

pub(super) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(sync_system, show_sync))
}

/// What is asked for.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(remote = "Self", deny_unknown_fields)]
struct SyncInput {
    /// Send all numbers, also those that are as they should be. Else only what differs.
    full: Option<bool>,
}

/// How far it has come.
#[derive(Debug, Serialize, ToSchema)]
struct SyncBody {
    system: String,
    /// When it was asked for.
    asked_at: Option<String>,
    full: bool,
    /// `never` (nobody asked), `waiting` (its worker has not taken it up), `discover`, `read`, `compare`, `push`, `done` or `failed`.
    step: &'static str,
    /// Of that step so many numbers are done,
    done: usize,
    /// of so many.
    total: usize,
    /// Listings that were found over there.
    listings: usize,
    /// Numbers that were sent and acknowledged.
    sent: usize,
    /// When it ended.
    ended_at: Option<String>,
    /// Why it waits, why it failed, or why nothing was sent.
    because: Option<String>,
    /// How far it has come, in plain words.
    explanation: String,
}

impl SyncBody {
    fn of(system: String, progress: &Progress) -> Self {
        Self {
            explanation: progress.sentence(&system),
            system,
            asked_at: progress.asked_at.map(|at| at.to_string()),
            full: progress.full,
            step: progress.doing.name(),
            done: progress.done,
            total: progress.total,
            listings: progress.found,
            sent: progress.sent,
            ended_at: progress.ended_at.map(|at| at.to_string()),
            because: progress.because.clone(),
        }
    }
}

/// Asks that a system be kept equal now, whatever its schedule says: what it has for sale is looked at, every number is read and
/// compared, and what differs is sent (`full`: everything is). Its worker does it, by the limits and guards it always keeps to; asked anew it begins
/// anew. How far it has come is at the same address.
#[utoipa::path(post, path = "/systems/{name}/sync", tag = "systems", params(("name" = String, Path)),
    request_body = SyncInput, responses((status = 202, body = SyncBody)))]
async fn sync_system(
    State(app): State<App>,
    Path(name): Path<String>,
    asked: Ask<SyncInput>,
) -> Result<Response, Problem> {
    let (id, system) = named(&app, &asked.caller, &name).await?;
    let ledger = app.handle.ledger().clone();
    let connection = read(&app, &asked.caller, |view| connection(view, ledger.seal(), id)).await?;
    let Some(connection) = connection else {
        let detail = format!("`{name}` is not spoken with: it tells us documents by itself");
        return Err(Problem::of_field("name", detail));
    };
    if let Err(locked) = connection {
        let detail = format!("`{name}` cannot be spoken with: its credentials do not open: {locked}");
        return Err(Problem::of_field("name", detail));
    }
    if system.stage == Stage::Connecting {
        let detail = format!("`{name}` is being connected: watch it first, POST /v1/systems/{name}/stage");
        return Err(Problem::of_field("name", detail));
    }
    let full = asked.body.full == Some(true);
    let progress = ask(&app.handle, asked.caller.tenant, id, full).await?;
    Ok((StatusCode::ACCEPTED, Json(SyncBody::of(system.name, &progress))).into_response())
}

/// How far keeping a system equal, as it was asked for last, has come.
#[utoipa::path(get, path = "/systems/{name}/sync", tag = "systems", params(("name" = String, Path)),
    responses((status = 200, body = SyncBody)))]
async fn show_sync(
    State(app): State<App>,
    caller: Caller,
    Path(name): Path<String>,
) -> Result<Json<SyncBody>, Problem> {
    let (id, system) = named(&app, &caller, &name).await?;
    let known = read(&app, &caller, |view| progress(view, id)).await?;
    Ok(Json(SyncBody::of(system.name, &known)))
}

only_objects!(SyncInput);
