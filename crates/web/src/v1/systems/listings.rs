//! A system's listings: what it sells, and of which items these are.

use std::collections::BTreeMap;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use onhand_engine::systems::connecting::linked;
use onhand_engine::systems::found::found_one;
use onhand_engine::systems::{desired_by, remote_locations};
use onhand_ledger::command::PutListing;
use onhand_ledger::{Body, ListingId};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::named;
use crate::App;
use crate::auth::Caller;
use crate::body::only_objects;
use crate::decimal::Decimal;
use crate::error::Problem;
use crate::extract::{Path, Query};
use crate::v1::answers::Made;
use crate::v1::ask::{Ask, read, reply};
use crate::v1::page::{Page, PageQuery};

pub(super) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(list_listings, put_listing))
}

/// A listing.
#[derive(Debug, Serialize, ToSchema)]
struct ListingBody {
    id: u64,
    remote_id: String,
    remote_sku: Option<String>,
    /// What it is called over there, where it was found.
    name: Option<String>,
    /// Since when it is no longer found over there.
    gone_since: Option<String>,
    /// Somebody said that it is none of ours.
    ignored: bool,
    /// Our SKU; none while unmapped.
    sku: Option<String>,
    /// Units of the item in one of the listing.
    multiplier: u32,
    /// What it should show, by remote location's id; empty while unmapped. Not where a rule leaves it to
    /// the system.
    desired: BTreeMap<String, Decimal>,
}

/// The listings of a system, the oldest first.
#[utoipa::path(get, path = "/systems/{name}/listings", tag = "systems",
    params(("name" = String, Path), PageQuery),
    responses((status = 200, body = Page<ListingBody>)))]
async fn list_listings(
    State(app): State<App>,
    caller: Caller,
    Path(name): Path<String>,
    Query(page): Query<PageQuery>,
) -> Result<Json<Page<ListingBody>>, Problem> {
    let list = format!("listings of {name}");
    let (limit, after) = (page.limit()?, page.after(&list)?);
    let found = read(&app, &caller, |view| {
        let Some((id, system)) = view.system_by_name(&name)? else { return Ok(None) };
        let mut rows = Vec::new();
        let index = view.published()?;
        for (listing_id, listing) in view.listings_in(id, ListingId(after), limit + 1)? {
            let mut desired = BTreeMap::new();
            for place in remote_locations(&system) {
                if let Some(shown) = desired_by(view, &index, listing_id, &listing, &system, &place)?
                    && !shown.is_skipped
                    && system.mode.direction.sends()
                {
                    desired.insert(place, shown.quantity.into());
                }
            }
            let sku = match listing.item {
                Some(item) => view.item(item)?.map(|item| item.sku),
                None => None,
            };
            let found = found_one(view, id, &listing.remote_id)?;
            let body = ListingBody {
                id: listing_id.0,
                name: found.as_ref().map(|found| found.name.clone()),
                gone_since: found.as_ref().and_then(|found| found.gone_since).map(|at| at.to_string()),
                ignored: found.is_some_and(|found| found.ignored),
                remote_id: listing.remote_id,
                remote_sku: listing.remote_sku,
                sku,
                multiplier: listing.multiplier,
                desired,
            };
            rows.push((listing_id.0, body));
        }
        Ok(Some(Page::new(&list, rows, limit, view.seq())))
    });
    found.await?.map(Json).ok_or_else(|| Problem::unknown("system", &name))
}

/// A listing to make or map.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(remote = "Self", deny_unknown_fields)]
struct ListingInput {
    /// Its id over there.
    remote_id: String,
    remote_sku: Option<String>,
    /// Our SKU; unmapped unless told.
    sku: Option<String>,
    /// Units of the item in one of the listing; 1 unless told.
    multiplier: Option<u32>,
}

/// Makes a listing, or maps the one of that remote id: whoever waited for that waits no longer.
#[utoipa::path(post, path = "/systems/{name}/listings", tag = "systems", params(("name" = String, Path)),
    request_body = ListingInput, responses((status = 200, body = Made)))]
async fn put_listing(
    State(app): State<App>,
    Path(name): Path<String>,
    ask: Ask<ListingInput>,
) -> Result<Response, Problem> {
    let (id, _) = named(&app, &ask.caller, &name).await?;
    let body = Body::PutListing(PutListing {
        system: name,
        remote_id: ask.body.remote_id.clone(),
        remote_sku: ask.body.remote_sku.clone(),
        sku: ask.body.sku.clone(),
        multiplier: ask.body.multiplier.unwrap_or(1),
        found: false,
    });
    let committed = ask.submit(&app, body).await?;
    let Caller { tenant, name: actor, .. } = &ask.caller;
    linked(&app.handle, *tenant, actor, id, &ask.body.remote_id).await?;
    Ok(reply(StatusCode::OK, &committed, Made::of(&committed.answer)))
}

only_objects!(ListingInput);
