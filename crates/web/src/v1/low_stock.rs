//! When items are low, and which are.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use onhand_ledger::command::SetLowStock;
use onhand_ledger::{Body, ItemId};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::answers::ItemMade;
use super::ask::{Ask, read, reply};
use super::page::{Page, PageQuery};
use crate::App;
use crate::auth::Caller;
use crate::body::only_objects;
use crate::decimal::Decimal;
use crate::error::Problem;
use crate::extract::{Path, Query};

/// How many items are looked at while the committer waits, and how often in one answer.
const EXAMINED: usize = 250;
const SLICES: usize = 20;

pub(super) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(set_low_stock)).routes(routes!(list_low_stock))
}

/// A level.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(remote = "Self", deny_unknown_fields)]
struct LevelInput {
    /// Only at this location, whatever the level is elsewhere; at any site that sells the item unless told.
    location: Option<String>,
    /// Low at or below so much; null or left out: there is no such level any more.
    level: Option<Decimal>,
}

/// Says at or below how much an item is low.
#[utoipa::path(post, path = "/items/{sku}/low-stock", tag = "items", params(("sku" = String, Path)),
    request_body = LevelInput, responses((status = 200, body = ItemMade)))]
async fn set_low_stock(
    State(app): State<App>,
    Path(sku): Path<String>,
    ask: Ask<LevelInput>,
) -> Result<Response, Problem> {
    let set = SetLowStock {
        sku: sku.clone(),
        location: ask.body.location.clone(),
        level: ask.body.level.map(|level| level.0),
    };
    let committed = ask.submit_about(&app, Body::SetLowStock(set), Some(&sku)).await?;
    Ok(reply(StatusCode::OK, &committed, ItemMade::of(Some(&sku), &committed.answer)))
}

/// An item that is low somewhere.
#[derive(Debug, Serialize, ToSchema)]
struct LowBody {
    sku: String,
    name: String,
    /// Where; null for an item that never was anywhere.
    location: Option<String>,
    /// Available there, and in all that is inside it; where nothing is sold: what would be if it were.
    available: Decimal,
    /// The level it is at or below.
    level: Decimal,
    /// How much is missing to be above nothing less than the level.
    missing: Decimal,
    /// Was the level set for that very location?
    of_location: bool,
}

/// What is available at or below its low-stock level, by item, the oldest first. Archived items are not told. There may
/// be fewer in a page than asked for though there are more to come: follow `next_cursor`.
#[utoipa::path(get, path = "/stock/low", tag = "stock", params(PageQuery),
    responses((status = 200, body = Page<LowBody>)))]
async fn list_low_stock(
    State(app): State<App>,
    caller: Caller,
    Query(page): Query<PageQuery>,
) -> Result<Json<Page<LowBody>>, Problem> {
    let (limit, mut after) = (page.limit()?, page.after("low stock")?);
    let mut data = Vec::new();
    let mut items = 0;
    let mut seen = 0;
    let mut next = None;
    for _ in 0..SLICES {
        let part = read(&app, &caller, |view| {
            let part = view.low_stock(ItemId(after), limit - items, EXAMINED)?;
            let mut rows = Vec::new();
            for row in part.rows {
                let code = match row.location {
                    None => None,
                    Some(id) => Some(view.location(id)?.map_or_else(|| id.to_string(), |place| place.code)),
                };
                rows.push((
                    row.item,
                    LowBody {
                        sku: row.sku,
                        name: row.name,
                        location: code,
                        available: row.available.into(),
                        level: row.level.into(),
                        missing: (row.level - row.available).into(),
                        of_location: row.is_of_location,
                    },
                ));
            }
            Ok((rows, part.next, view.seq()))
        });
        let (rows, until, seq) = part.await?;
        let found: std::collections::BTreeSet<ItemId> = rows.iter().map(|(item, _)| *item).collect();
        items += found.len();
        data.extend(rows.into_iter().map(|(_, row)| row));
        seen = if seen == 0 { seq } else { seen };
        next = until.map(|item| item.0);
        match next {
            Some(item) if items < limit => after = item,
            _ => break,
        }
    }
    Ok(Json(Page::looked_through("low stock", data, next, seen)))
}

only_objects!(LevelInput);
