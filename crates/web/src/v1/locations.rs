//! Locations.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use onhand_ledger::Body;
use onhand_ledger::command::PutLocation;
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
    OpenApiRouter::new().routes(routes!(put, list))
}

/// A location to make or change. What is left out stays as it is.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(remote = "Self", deny_unknown_fields)]
struct PutLocationBody {
    /// 1 to 100 characters, exact, case included.
    code: String,
    /// For people; the code unless told.
    name: Option<String>,
    /// May orders be allocated here? True unless told.
    sellable: Option<bool>,
    /// Orders are allocated from the lowest rank up; 100 unless told.
    rank: Option<u32>,
    /// The code of the location it is a part of: a zone's is its site, a bin's its zone; empty: of none.
    parent: Option<String>,
    /// Its IANA time zone, such as `Europe/Berlin`; empty: its parent's, and UTC at the top. Lots end with their day there.
    time_zone: Option<String>,
    /// All groups it is in, for ownership and allocation rules: up to 50 names of 1 to 100 characters; empty: none. What is
    /// inside it is in them too.
    groups: Option<Vec<String>>,
}

/// A location.
#[derive(Debug, Serialize, ToSchema)]
struct LocationBody {
    id: u64,
    code: String,
    name: String,
    sellable: bool,
    rank: u32,
    /// The code of the location it is a part of.
    parent: Option<String>,
    time_zone: Option<String>,
    /// The groups it is in itself; it is in those of what it is a part of too.
    groups: Vec<String>,
}

/// Makes a location, or changes the one of that code.
#[utoipa::path(post, path = "/locations", tag = "locations", request_body = PutLocationBody,
    responses((status = 200, body = Made)))]
async fn put(State(app): State<App>, ask: Ask<PutLocationBody>) -> Result<Response, Problem> {
    let PutLocationBody { code, name, sellable, rank, parent, time_zone, groups } = &ask.body;
    let put = PutLocation {
        code: code.clone(),
        name: name.clone(),
        sellable: *sellable,
        rank: *rank,
        parent: parent.clone(),
        time_zone: time_zone.clone(),
        groups: groups.clone(),
    };
    let committed = ask.submit(&app, Body::PutLocation(put)).await?;
    Ok(reply(StatusCode::OK, &committed, Made::of(&committed.answer)))
}

/// All locations, the oldest first.
#[utoipa::path(get, path = "/locations", tag = "locations", params(PageQuery),
    responses((status = 200, body = Page<LocationBody>)))]
async fn list(
    State(app): State<App>,
    caller: Caller,
    Query(page): Query<PageQuery>,
) -> Result<Json<Page<LocationBody>>, Problem> {
    let (rows, seq) = read(&app, &caller, |view| {
        let mut rows = Vec::new();
        for id in view.sites()?.all {
            if let Some(known) = view.location(id)? {
                let (code, name) = (known.code, known.name);
                let parent = match known.parent {
                    Some(parent) => view.location(parent)?.map(|parent| parent.code),
                    None => None,
                };
                let (sellable, rank, time_zone) = (known.sellable, known.rank, known.time_zone);
                let groups = known.groups;
                let body = LocationBody { id: id.0, code, name, sellable, rank, parent, time_zone, groups };
                rows.push((id.0, body));
            }
        }
        Ok((rows, view.seq()))
    })
    .await?;
    Page::of_all("locations", rows, &page, seq).map(Json)
}

only_objects!(PutLocationBody);
