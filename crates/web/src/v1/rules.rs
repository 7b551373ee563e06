//! What is shown where; and the end of rules of every kind.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use onhand_ledger::command::SetPublication;
use onhand_ledger::{Body, RuleId};
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
    OpenApiRouter::new().routes(routes!(set_publication, list_publication)).routes(routes!(end))
}

/// How a number follows from stock: buffer, percentage, cap, stop-at, in that order.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(remote = "Self", deny_unknown_fields)]
struct PublicationInput {
    /// Every system unless told.
    system: Option<String>,
    /// Every item unless told.
    sku: Option<String>,
    /// A listing's id in that system.
    listing: Option<String>,
    /// Kept back.
    buffer: Option<Decimal>,
    /// Never more than this.
    cap: Option<Decimal>,
    /// 0 to 100.
    percentage: Option<u8>,
    /// 0 at or below this much.
    stop_at: Option<Decimal>,
}

/// Says how a number follows from stock. The most specific rule speaks: listing, item, all; then system, all.
#[utoipa::path(post, path = "/publication", tag = "rules", request_body = PublicationInput,
    responses((status = 200, body = Made)))]
async fn set_publication(State(app): State<App>, ask: Ask<PublicationInput>) -> Result<Response, Problem> {
    let input = &ask.body;
    let body = Body::SetPublication(SetPublication {
        system: input.system.clone(),
        sku: input.sku.clone(),
        listing: input.listing.clone(),
        buffer: input.buffer.map(|buffer| buffer.0),
        cap: input.cap.map(|cap| cap.0),
        percentage: input.percentage,
        stop_at: input.stop_at.map(|stop_at| stop_at.0),
    });
    let committed = ask.submit(&app, body).await?;
    Ok(reply(StatusCode::OK, &committed, Made::of(&committed.answer)))
}

/// A publication rule.
#[derive(Debug, Serialize, ToSchema)]
struct PublicationBody {
    id: u64,
    system: Option<String>,
    sku: Option<String>,
    listing: Option<u64>,
    buffer: Decimal,
    cap: Option<Decimal>,
    percentage: u8,
    stop_at: Option<Decimal>,
}

/// All publication rules. Where none speaks, all that is available is shown.
#[utoipa::path(get, path = "/publication", tag = "rules", params(PageQuery),
    responses((status = 200, body = Page<PublicationBody>)))]
async fn list_publication(
    State(app): State<App>,
    caller: Caller,
    Query(page): Query<PageQuery>,
) -> Result<Json<Page<PublicationBody>>, Problem> {
    let (mut rows, seq) = read(&app, &caller, |view| {
        let mut rows = Vec::new();
        for (id, rule) in view.publication()? {
            let system = match rule.system {
                Some(system) => view.system(system)?.map(|system| system.name),
                None => None,
            };
            let sku = match rule.item {
                Some(item) => view.item(item)?.map(|item| item.sku),
                None => None,
            };
            let body = PublicationBody {
                id: id.0,
                system,
                sku,
                listing: rule.listing.map(|listing| listing.0),
                buffer: rule.buffer.into(),
                cap: rule.cap.map(Decimal::from),
                percentage: rule.percentage,
                stop_at: rule.stop_at.map(Decimal::from),
            };
            rows.push((id.0, body));
        }
        Ok((rows, view.seq()))
    })
    .await?;
    rows.sort_by_key(|(id, _)| *id);
    Page::of_all("publication", rows, &page, seq).map(Json)
}

/// Nothing.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(remote = "Self", deny_unknown_fields)]
struct Nothing {}

/// Ends an ownership, publication or allocation rule.
#[utoipa::path(delete, path = "/rules/{id}", tag = "rules", params(("id" = u64, Path)),
    responses((status = 200, body = Made)))]
async fn end(State(app): State<App>, Id(id): Id, ask: Ask<Nothing>) -> Result<Response, Problem> {
    let Nothing {} = ask.body;
    let committed = ask.submit(&app, Body::EndRule(RuleId(id))).await?;
    Ok(reply(StatusCode::OK, &committed, Made::of(&committed.answer)))
}

only_objects!(PublicationInput, Nothing);
