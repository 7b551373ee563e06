//! What is not sold anywhere until somebody lifts it.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use onhand_ledger::Body;
use onhand_ledger::command::{ResumeSelling, StopSelling};
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
use crate::error::Problem;
use crate::extract::Query;

pub(super) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(stop)).routes(routes!(resume)).routes(routes!(list))
}

/// What is sold no more: an item, or all that have a tag.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(remote = "Self", deny_unknown_fields)]
struct StopInput {
    /// An item.
    sku: Option<String>,
    /// Or the items with this tag.
    tag: Option<String>,
    /// Why: 1 to 500 characters.
    reason: String,
}

/// Stops selling: every listing of it, and of kits that it is in, shows 0 whatever its rules say, until that is lifted.
#[utoipa::path(post, path = "/selling/stop", tag = "rules", request_body = StopInput,
    responses((status = 200, body = Made)))]
async fn stop(State(app): State<App>, ask: Ask<StopInput>) -> Result<Response, Problem> {
    let StopInput { sku, tag, reason } = &ask.body;
    let body = Body::StopSelling(StopSelling { sku: sku.clone(), tag: tag.clone(), reason: reason.clone() });
    let committed = ask.submit(&app, body).await?;
    Ok(reply(StatusCode::OK, &committed, Made::of(&committed.answer)))
}

/// What is sold again.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(remote = "Self", deny_unknown_fields)]
struct ResumeInput {
    /// An item that was stopped itself.
    sku: Option<String>,
    /// Or the tag that was stopped.
    tag: Option<String>,
}

/// Sells again what was stopped: every listing shows what its rules say.
#[utoipa::path(post, path = "/selling/resume", tag = "rules", request_body = ResumeInput,
    responses((status = 200, body = Made)))]
async fn resume(State(app): State<App>, ask: Ask<ResumeInput>) -> Result<Response, Problem> {
    let ResumeInput { sku, tag } = &ask.body;
    let body = Body::ResumeSelling(ResumeSelling { sku: sku.clone(), tag: tag.clone() });
    let committed = ask.submit(&app, body).await?;
    Ok(reply(StatusCode::OK, &committed, Made::of(&committed.answer)))
}

/// What is not sold, by whom and why.
#[derive(Debug, Serialize, ToSchema)]
struct StopBody {
    id: u64,
    sku: Option<String>,
    tag: Option<String>,
    reason: String,
    /// Who stopped it.
    by: String,
    /// When.
    at: String,
}

/// All that is not sold until somebody lifts it.
#[utoipa::path(get, path = "/selling", tag = "rules", params(PageQuery),
    responses((status = 200, body = Page<StopBody>)))]
async fn list(
    State(app): State<App>,
    caller: Caller,
    Query(page): Query<PageQuery>,
) -> Result<Json<Page<StopBody>>, Problem> {
    let (mut rows, seq) = read(&app, &caller, |view| {
        let mut rows = Vec::new();
        for (id, stop) in view.rules()?.stopped {
            let sku = match stop.item {
                Some(item) => view.item(item)?.map(|item| item.sku),
                None => None,
            };
            let (tag, reason, by, at) = (stop.tag, stop.reason, stop.by, stop.at.to_string());
            rows.push((id.0, StopBody { id: id.0, sku, tag, reason, by, at }));
        }
        Ok((rows, view.seq()))
    })
    .await?;
    rows.sort_by_key(|(id, _)| *id);
    Page::of_all("selling", rows, &page, seq).map(Json)
}

only_objects!(StopInput, ResumeInput);
