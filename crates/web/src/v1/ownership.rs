//! Who is master of what.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use onhand_engine::View;
use onhand_ledger::command::SetOwnership;
use onhand_ledger::model::Ownership;
use onhand_ledger::{Body, RuleId, SystemId};
use onhand_store::StoreError;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
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
    OpenApiRouter::new().routes(routes!(set_ownership, list_ownership)).routes(routes!(master))
}

/// Who is master of some stock.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(remote = "Self", deny_unknown_fields)]
struct OwnershipInput {
    /// Everywhere unless told.
    location: Option<String>,
    /// Or in the locations of this group.
    group: Option<String>,
    /// Every item unless told.
    sku: Option<String>,
    /// Or the items with this tag.
    tag: Option<String>,
    /// A system's name, or `onhand`.
    master: String,
}

/// Says who is master. The most specific rule wins: by item first (SKU, tag, all), then by place: bin, zone, site, then the
/// groups of these in the same order, then everywhere. Two rules that are equally specific and name two masters of
/// anything are refused.
#[utoipa::path(post, path = "/ownership", tag = "rules", request_body = OwnershipInput,
    responses((status = 200, body = Made)))]
async fn set_ownership(State(app): State<App>, ask: Ask<OwnershipInput>) -> Result<Response, Problem> {
    let OwnershipInput { location, group, sku, tag, master } = &ask.body;
    let body = Body::SetOwnership(SetOwnership {
        location: location.clone(),
        group: group.clone(),
        sku: sku.clone(),
        tag: tag.clone(),
        master: master.clone(),
    });
    let committed = ask.submit(&app, body).await?;
    Ok(reply(StatusCode::OK, &committed, Made::of(&committed.answer)))
}

/// An ownership rule.
#[derive(Debug, Serialize, ToSchema)]
struct OwnershipBody {
    id: u64,
    location: Option<String>,
    group: Option<String>,
    sku: Option<String>,
    tag: Option<String>,
    master: String,
}

fn system(view: &mut View<'_>, system: SystemId) -> Result<String, StoreError> {
    Ok(match system {
        SystemId::ONHAND => "onhand".to_owned(),
        other => view.system(other)?.map_or_else(String::new, |system| system.name),
    })
}

fn ownership(view: &mut View<'_>, id: RuleId, rule: Ownership) -> Result<OwnershipBody, StoreError> {
    let location = match rule.location {
        Some(location) => view.location(location)?.map(|location| location.code),
        None => None,
    };
    let sku = match rule.item {
        Some(item) => view.item(item)?.map(|item| item.sku),
        None => None,
    };
    let master = system(view, rule.master)?;
    Ok(OwnershipBody { id: id.0, location, group: rule.group, sku, tag: rule.tag, master })
}

/// All ownership rules. Where none speaks, Onhand is master.
#[utoipa::path(get, path = "/ownership", tag = "rules", params(PageQuery),
    responses((status = 200, body = Page<OwnershipBody>)))]
async fn list_ownership(
    State(app): State<App>,
    caller: Caller,
    Query(page): Query<PageQuery>,
) -> Result<Json<Page<OwnershipBody>>, Problem> {
    let (mut rows, seq) = read(&app, &caller, |view| {
        let mut rows = Vec::new();
        for (id, rule) in view.rules()?.ownership {
            rows.push((id.0, ownership(view, id, rule)?));
        }
        Ok((rows, view.seq()))
    })
    .await?;
    rows.sort_by_key(|(id, _)| *id);
    Page::of_all("ownership", rows, &page, seq).map(Json)
}

#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
struct MasterQuery {
    /// Of which item.
    sku: String,
    /// Where: a location's code.
    location: String,
}

/// Who is master of an item's stock at a location, and why.
#[derive(Debug, Serialize, ToSchema)]
struct MasterBody {
    sku: String,
    location: String,
    /// A system's name, or `onhand`.
    master: String,
    /// The rule that says so; null where none speaks, and Onhand is master.
    rule: Option<OwnershipBody>,
}

/// Who is master of an item's stock at a location: the one whose word moves it. An absolute quantity from anyone else is evidence.
#[utoipa::path(get, path = "/ownership/master", tag = "rules", params(MasterQuery),
    responses((status = 200, body = MasterBody)))]
async fn master(
    State(app): State<App>,
    caller: Caller,
    Query(query): Query<MasterQuery>,
) -> Result<Json<MasterBody>, Problem> {
    let found = read(&app, &caller, move |view| {
        let Some((item, known)) = view.item_by_sku(&query.sku)? else {
            return Ok(Err(("item with the SKU", query.sku)));
        };
        let Some((location, place)) = view.location_by_code(&query.location)? else {
            return Ok(Err(("location with the code", query.location)));
        };
        let rule = match view.ownership_of(item, location)? {
            Some((id, rule)) => Some(ownership(view, id, rule)?),
            None => None,
        };
        let master = rule.as_ref().map_or_else(|| "onhand".to_owned(), |rule| rule.master.clone());
        Ok(Ok(MasterBody { sku: known.sku, location: place.code, master, rule }))
    });
    found.await?.map(Json).map_err(|(what, name)| Problem::unknown(what, name))
}

only_objects!(OwnershipInput);
