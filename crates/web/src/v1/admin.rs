//! Keys, and the ledger's audit of itself.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use onhand_engine::Verified;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::ask::Ask;
use crate::App;
use crate::auth::{Caller, create_key};
use crate::error::Problem;

pub(super) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(make_key)).routes(routes!(verify))
}

/// A key to make.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct KeyInput {
    /// What people call it: shown in history.
    name: String,
}

/// A new key.
#[derive(Debug, Serialize, ToSchema)]
struct KeyBody {
    /// Shown once; only its hash is kept.
    key: String,
}

/// Makes an API key for this tenant.
#[utoipa::path(post, path = "/keys", tag = "admin", request_body = KeyInput,
    responses((status = 201, body = KeyBody)))]
async fn make_key(State(app): State<App>, ask: Ask<KeyInput>) -> Result<Response, Problem> {
    let key = create_key(&app.handle, ask.caller.tenant, &ask.body.name).await?;
    Ok((StatusCode::CREATED, Json(KeyBody { key })).into_response())
}

/// What was found.
#[derive(Debug, Serialize, ToSchema)]
pub struct VerifyBody {
    /// Nothing wrong?
    ok: bool,
    entries: u64,
    movements: u64,
    cells: u64,
    /// The chain's hash at the head.
    hash: String,
    /// The first violation.
    violation: Option<String>,
}

impl From<Verified> for VerifyBody {
    fn from(verified: Verified) -> Self {
        Self {
            ok: verified.violation.is_none(),
            entries: verified.entries,
            movements: verified.movements,
            cells: verified.cells,
            hash: verified.head_hash.iter().map(|byte| format!("{byte:02x}")).collect(),
            violation: verified.violation.map(|violation| violation.to_string()),
        }
    }
}

/// Recomputes every balance from the log, walks the hash chain, checks the laws.
#[utoipa::path(post, path = "/verify", tag = "admin", responses((status = 200, body = VerifyBody)))]
async fn verify(State(app): State<App>, caller: Caller) -> Result<Json<VerifyBody>, Problem> {
    let ledger = app.handle.ledger().clone();
    let verified =
        tokio::task::spawn_blocking(move || onhand_engine::verify(&ledger, caller.tenant, &mut |_| {}));
    let verified = verified.await.map_err(|error| Problem::internal(&error.to_string()))??;
    Ok(Json(verified.into()))
}
