//! What is kept of people: read for whoever sends them goods, and erased when they ask.

use axum::Json;
use axum::extract::State;
use onhand_engine::raw::{self, Of, Whom};
use onhand_store::StoreError;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::ask::{Ask, read};
use super::systems::unsealed;
use crate::App;
use crate::auth::{Caller, Right};
use crate::body::only_objects;
use crate::error::Problem;
use crate::extract::Path;

pub(super) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(erase)).routes(routes!(get_raw))
}

/// Of whom. Either `email`, or `system` and `document`.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(remote = "Self", deny_unknown_fields)]
struct EraseInput {
    /// Whose raw documents have this address in them, anywhere.
    email: Option<String>,
    /// Whose order it is: the system.
    system: Option<String>,
    /// And its document.
    document: Option<String>,
    /// Says what would be erased, and erases nothing.
    dry_run: Option<bool>,
}

/// A raw document.
#[derive(Debug, Serialize, ToSchema)]
struct ErasedBody {
    system: String,
    document: String,
    /// When it was last told; none where it does not open.
    told_at: Option<String>,
}

/// What was erased, or would be.
#[derive(Debug, Serialize, ToSchema)]
struct EraseAnswer {
    dry_run: bool,
    /// Gone, and not to be kept again.
    erased: Vec<ErasedBody>,
    /// So many were looked at.
    looked_at: usize,
    /// So many do not open, so that nobody knows whose they are: give back the key that sealed them and erase again.
    locked: usize,
    /// Where else a person may be, which this does not reach.
    not_reached: &'static str,
}

const NOT_REACHED: &str = "Notes and references that people typed are in the ledger, which forgets nothing. Dumps of PostgreSQL \
    made before, logs of proxies, and the connected systems have their own copies.";

/// Erases the raw documents of a person, or of an order; stock and the ledger are as they were. Needs the right `people`.
#[utoipa::path(post, path = "/erase", tag = "people", operation_id = "erase", request_body = EraseInput,
    responses((status = 200, body = EraseAnswer)))]
async fn erase(State(app): State<App>, ask: Ask<EraseInput>) -> Result<Json<EraseAnswer>, Problem> {
    let dry_run = ask.body.dry_run.unwrap_or_default();
    let EraseInput { email, system, document, .. } = &ask.body;
    let told = (email.as_deref(), system.as_deref(), document.as_deref());
    let whom = whom(&app, &ask.caller, told).await?;
    ask.caller.must_have(Right::People)?;
    let report = raw::erase(&app.handle, ask.caller.tenant, &whom, dry_run).await?;
    let erased = read(&app, &ask.caller, |view| {
        let mut erased = Vec::new();
        for one in &report.erased {
            let system = view.system(one.of.system)?.map(|system| system.name).unwrap_or_default();
            let told_at = one.told_at.map(|at| at.to_string());
            erased.push(ErasedBody { system, document: one.of.document.clone(), told_at });
        }
        Ok::<_, StoreError>(erased)
    });
    Ok(Json(EraseAnswer {
        dry_run,
        erased: erased.await?,
        looked_at: report.looked_at,
        locked: report.locked,
        not_reached: NOT_REACHED,
    }))
}

/// Whose documents are meant: whoever has an address, or the order of a system.
pub(crate) async fn whom(
    app: &App,
    caller: &Caller,
    (email, system, document): (Option<&str>, Option<&str>, Option<&str>),
) -> Result<Whom, Problem> {
    match (email, system, document) {
        (Some(email), None, None) if email.trim().contains('@') => Ok(Whom::Email(email.trim().to_owned())),
        (Some(_), None, None) => Err(Problem::of_field("email", "email must be an address of e-mail")),
        (None, Some(system), Some(document)) => {
            let found = read(app, caller, |view| view.system_by_name(system)).await?;
            let unknown = || Problem::of_field("system", format!("there is no system `{system}`"));
            let (id, _) = found.ok_or_else(unknown)?;
            Ok(Whom::Order(Of { system: id, document: document.to_owned() }))
        }
        _ => Err(Problem::of_field("email", "tell either `email`, or `system` and `document`")),
    }
}

/// A raw document, as its system told it last.
#[derive(Debug, Serialize, ToSchema)]
struct RawBody {
    /// Any JSON: names and addresses are where that system has them.
    #[schema(value_type = Object)]
    raw: Value,
}

/// The raw document of an order, while it is kept: whom to send the goods to. Needs the right `people`.
#[utoipa::path(get, path = "/systems/{name}/raw/{document}", tag = "people", operation_id = "get_raw_document",
    params(("name" = String, Path), ("document" = String, Path)), responses((status = 200, body = RawBody)))]
async fn get_raw(
    State(app): State<App>,
    caller: Caller,
    Path((name, document)): Path<(String, String)>,
) -> Result<Json<RawBody>, Problem> {
    caller.must_have(Right::People)?;
    let ledger = app.handle.ledger().clone();
    let found = read(&app, &caller, |view| {
        let Some((system, _)) = view.system_by_name(&name)? else { return Ok(None) };
        raw::read(view, &ledger, &Of { system, document: document.clone() })
    });
    let found =
        found.await?.ok_or_else(|| Problem::unknown("raw document kept of", format!("{name}/{document}")))?;
    let raw = found.map_err(|error| unsealed(&error))?;
    let raw = serde_json::from_str(raw.reveal()).unwrap_or_else(|_| Value::String(raw.reveal().to_owned()));
    Ok(Json(RawBody { raw }))
}

only_objects!(EraseInput);
