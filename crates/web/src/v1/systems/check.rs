//! Whether a system is set up as it should be.

use axum::Json;
use axum::extract::State;
use onhand_engine::systems::check::check;
use onhand_sync::{Finding, Severity};
use serde::Serialize;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::named;
use crate::App;
use crate::auth::Caller;
use crate::error::Problem;
use crate::extract::Path;

pub(super) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(check_system))
}

/// Something that is not set up as it should be.
#[derive(Debug, Serialize, ToSchema)]
struct FindingBody {
    /// `error`: numbers are wrong by it, or the system is not kept at all; `warning`: they may be; `info`: worth knowing.
    severity: &'static str,
    /// Which check found it.
    check: &'static str,
    /// What is so.
    sentence: String,
    /// What to do.
    advice: &'static str,
}

impl From<Finding> for FindingBody {
    fn from(finding: Finding) -> Self {
        let Finding { severity, check, sentence, advice } = finding;
        Self { severity: severity.name(), check, sentence, advice }
    }
}

/// What was found at a system.
#[derive(Debug, Serialize, ToSchema)]
struct CheckedBody {
    system: String,
    /// Is there no error?
    ok: bool,
    /// The worst first.
    findings: Vec<FindingBody>,
}

/// Checks a system, and asks it just now: its credentials, permissions and clock; stock locations and listings that are mapped to nothing, twice with
/// different amounts, gone, or not tracked; locations that are Onhand's only because no rule speaks; whether it is silent.
/// Changes nothing.
#[utoipa::path(get, path = "/systems/{name}/check", tag = "systems", params(("name" = String, Path)),
    responses((status = 200, body = CheckedBody)))]
async fn check_system(
    State(app): State<App>,
    caller: Caller,
    Path(name): Path<String>,
) -> Result<Json<CheckedBody>, Problem> {
    let (id, system) = named(&app, &caller, &name).await?;
    let found = check(&app.handle, app.connector.as_ref(), caller.tenant, id, &system).await?;
    let ok = found.iter().all(|finding| finding.severity != Severity::Error);
    let findings = found.into_iter().map(FindingBody::from).collect();
    Ok(Json(CheckedBody { system: system.name, ok, findings }))
}
