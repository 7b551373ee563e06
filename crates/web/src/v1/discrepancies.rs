//! The inbox: differences that lag does not explain, and whatever waits for a person.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use onhand_ledger::command::Resolve;
use onhand_ledger::{Body, DiscrepancyId, Key, Seq, Value};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::answers::Made;
use super::ask::{Ask, read, reply};
use super::page::{Page, PageQuery};
use crate::App;
use crate::auth::Caller;
use crate::body::only_objects;
use crate::decimal::Decimal;
use crate::error::Problem;
use crate::extract::{Id, Query};

pub(super) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(list)).routes(routes!(resolve))
}

/// A discrepancy.
#[derive(Debug, Serialize, ToSchema)]
struct DiscrepancyBody {
    id: u64,
    /// Why it came up, such as `short` or `manual_edit`.
    cause: String,
    /// What happened, and what would be right.
    sentence: String,
    sku: Option<String>,
    location: Option<String>,
    system: String,
    document: Option<String>,
    quantity: Decimal,
    /// What was told, as it was told.
    evidence: Option<String>,
    opened_at: String,
    resolved_at: Option<String>,
}

/// All discrepancies, the oldest first; resolved ones too.
#[utoipa::path(get, path = "/discrepancies", tag = "discrepancies", params(PageQuery),
    responses((status = 200, body = Page<DiscrepancyBody>)))]
async fn list(
    State(app): State<App>,
    caller: Caller,
    Query(page): Query<PageQuery>,
) -> Result<Json<Page<DiscrepancyBody>>, Problem> {
    let (limit, after) = (page.limit()?, page.after("discrepancies")?);
    let found = read(&app, &caller, |view| {
        let from = Key::Discrepancy(DiscrepancyId(after + 1));
        let to = Key::Discrepancy(DiscrepancyId(Seq::MAX >> 1));
        let mut rows = Vec::new();
        for (key, value) in view.range(&from, &to, false, limit + 1)? {
            let (Key::Discrepancy(id), Value::Discrepancy(known)) = (key, value) else { continue };
            let sku = match known.item {
                Some(item) => view.item(item)?.map(|item| item.sku),
                None => None,
            };
            let location = match known.location {
                Some(location) => view.location(location)?.map(|location| location.code),
                None => None,
            };
            let system = view.system(known.system)?.map_or_else(|| "onhand".to_owned(), |system| system.name);
            let cause = serde_json::to_value(known.cause).ok();
            rows.push((
                id.0,
                DiscrepancyBody {
                    id: id.0,
                    cause: cause.and_then(|cause| cause.as_str().map(str::to_owned)).unwrap_or_default(),
                    sentence: known.sentence,
                    sku,
                    location,
                    system,
                    document: known.document,
                    quantity: known.quantity.into(),
                    evidence: known.evidence,
                    opened_at: known.opened_at.to_string(),
                    resolved_at: known.resolved_at.map(|at| at.to_string()),
                },
            ));
        }
        Ok(Page::new("discrepancies", rows, limit, view.seq()))
    });
    found.await.map(Json)
}

/// Nothing.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(remote = "Self", deny_unknown_fields)]
struct Nothing {}

/// Ends a discrepancy.
#[utoipa::path(post, path = "/discrepancies/{id}/resolve", tag = "discrepancies", params(("id" = u64, Path)),
    responses((status = 200, body = Made)))]
async fn resolve(State(app): State<App>, Id(id): Id, ask: Ask<Nothing>) -> Result<Response, Problem> {
    let Nothing {} = ask.body;
    let body = Body::Resolve(Resolve { discrepancy: DiscrepancyId(id) });
    let committed = ask.submit(&app, body).await?;
    Ok(reply(StatusCode::OK, &committed, Made::of(&committed.answer)))
}

only_objects!(Nothing);
