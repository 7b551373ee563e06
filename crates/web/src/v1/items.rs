//! Items and their stock.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use onhand_engine::View;
use onhand_ledger::command::{Line, PutItem};
use onhand_ledger::model::{Item, Pack, Tracking};
use onhand_ledger::{Body, Instant, ItemId, Key, Precision, Seq, Value, gtin};
use onhand_store::StoreError;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::answers::ItemMade;
use super::ask::{Ask, instant, read, reply};
use super::page::{Page, PageQuery};
use super::stock::{ItemStock, item_stock};
use crate::App;
use crate::auth::Caller;
use crate::body::only_objects;
use crate::decimal::Decimal;
use crate::error::Problem;
use crate::extract::{Path, Query};

pub(super) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(put, list)).routes(routes!(show)).routes(routes!(show_stock))
}

/// An item to make or change. What is left out stays as it is.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(remote = "Self", deny_unknown_fields)]
struct PutItemBody {
    /// 1 to 100 characters, exact, case included.
    sku: String,
    /// For people; the SKU unless told.
    name: Option<String>,
    /// `each` unless told.
    unit: Option<String>,
    /// Decimals that are accepted, 0 to 6; 0 unless told.
    precision: Option<u8>,
    /// Codes on the goods.
    barcodes: Option<Vec<String>>,
    /// Groups for rules.
    tags: Option<Vec<String>>,
    /// Other names that it is found by, all of them: what is not there is one no longer.
    aliases: Option<Vec<String>>,
    /// How it is packed, all of it.
    packs: Option<Vec<PackBody>>,
    /// Low at or below so much at any site that sells it. `POST /v1/items/{sku}/low-stock` takes it away again.
    low_stock: Option<Decimal>,
    /// No longer bought or sold: nothing new is received, held or ordered of it.
    archived: Option<bool>,
    /// What one is built of, where it is a kit; none where empty. Orders take assembled ones first, then components.
    kit: Option<Vec<ComponentInput>>,
    /// Which parts of its stock are told apart: `none`, `lots` or `serials`. Fixed once it has moved.
    tracking: Option<TrackingBody>,
    /// How much may be short of it, in all orders together, before an order is refused; 0 unless told.
    backorder_limit: Option<Decimal>,
    /// The same before `available_from`; 0 unless told.
    preorder_limit: Option<Decimal>,
    /// From when it is there (RFC 3339): what waits before it is a preorder. An instant of the past: it is there.
    available_from: Option<String>,
}
/// How an item is packed.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct PackBody {
    /// `case`, `pallet`, …; a line may say `"pack":"case"`.
    name: String,
    /// How much of the item is in one.
    quantity: Decimal,
    /// The code on it, if it has one.
    barcode: Option<String>,
}

/// When an item is low.
#[derive(Debug, Serialize, ToSchema)]
struct LowStockBody {
    /// At any site that sells it.
    level: Option<Decimal>,
    /// At these locations, whatever the level is elsewhere.
    locations: Vec<LevelBody>,
}

/// The level of a location.
#[derive(Debug, Serialize, ToSchema)]
struct LevelBody {
    location: String,
    level: Decimal,
}

/// Which parts of an item's stock are told apart.
#[derive(Debug, Clone, Copy, Deserialize, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
enum TrackingBody {
    None,
    Lots,
    Serials,
}

/// A component of a kit.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(remote = "Self", deny_unknown_fields)]
struct ComponentInput {
    /// What; it may be a kit itself.
    sku: String,
    /// How much of it in one kit; of packs, where one is named.
    quantity: Decimal,
    /// One of its packs, which `quantity` counts then.
    pack: Option<String>,
}

/// A component of a kit.
#[derive(Debug, Serialize, ToSchema)]
struct ComponentBody {
    sku: String,
    /// How much of it in one kit.
    quantity: Decimal,
}

/// An item.
#[derive(Debug, Serialize, ToSchema)]
struct ItemBody {
    id: u64,
    sku: String,
    name: String,
    unit: String,
    precision: u8,
    /// Codes on the goods. One that looks like a GTIN (8, 12, 13 or 14 digits) has the right check digit.
    barcodes: Vec<String>,
    tags: Vec<String>,
    /// What one is built of, where it is a kit.
    kit: Vec<ComponentBody>,
    tracking: TrackingBody,
    /// Other names that it is found by.
    aliases: Vec<String>,
    packs: Vec<PackBody>,
    low_stock: LowStockBody,
    archived: bool,
    /// The pack that the barcode is on, where it was looked for by one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pack: Option<String>,
    /// How much may be short of it, in all orders together, before an order is refused.
    backorder_limit: Decimal,
    /// The same before `available_from`.
    preorder_limit: Decimal,
    /// From when it is there.
    available_from: Option<String>,
}

impl ItemBody {
    fn new(view: &mut View<'_>, id: ItemId, item: Item) -> Result<Self, StoreError> {
        let mut locations = Vec::new();
        for (location, level) in item.low_stock.at {
            let code =
                view.location(location)?.map_or_else(|| location.to_string(), |location| location.code);
            locations.push(LevelBody { location: code, level: level.into() });
        }
        let pack =
            |pack: Pack| PackBody { name: pack.name, quantity: pack.quantity.into(), barcode: pack.barcode };
        let mut kit = Vec::with_capacity(item.kit.len());
        for component in item.kit {
            let sku = view.item(component.item)?.map_or_else(String::new, |item| item.sku);
            kit.push(ComponentBody { sku, quantity: component.quantity.into() });
        }
        let tracking = match item.tracking {
            Tracking::None => TrackingBody::None,
            Tracking::Lots => TrackingBody::Lots,
            Tracking::Serials => TrackingBody::Serials,
        };
        Ok(Self {
            kit,
            tracking,
            backorder_limit: item.beyond.backorder_limit.into(),
            preorder_limit: item.beyond.preorder_limit.into(),
            available_from: item.beyond.available_from.map(|at| at.to_string()),
            id: id.0,
            sku: item.sku,
            name: item.name,
            unit: item.unit,
            precision: item.precision.decimals(),
            barcodes: item.barcodes,
            tags: item.tags,
            aliases: item.aliases,
            packs: item.packs.into_iter().map(pack).collect(),
            low_stock: LowStockBody { level: item.low_stock.level.map(Decimal::from), locations },
            archived: item.archived,
            pack: None,
        })
    }
}

/// Makes an item, or changes the one of that SKU.
#[utoipa::path(post, path = "/items", tag = "items", request_body = PutItemBody,
    responses((status = 200, body = ItemMade)))]
async fn put(State(app): State<App>, ask: Ask<PutItemBody>) -> Result<Response, Problem> {
    let body = &ask.body;
    let precision = body.precision.map(|decimals| {
        Precision::new(decimals).ok_or_else(|| {
            Problem::of_field("precision", format!("precision is {decimals}; it must be 0 to 6"))
        })
    });
    let pack = |pack: &PackBody| Pack {
        name: pack.name.clone(),
        quantity: pack.quantity.0,
        barcode: pack.barcode.clone(),
    };
    let put = PutItem {
        sku: body.sku.clone(),
        name: body.name.clone(),
        unit: body.unit.clone(),
        precision: precision.transpose()?,
        barcodes: body.barcodes.clone(),
        tags: body.tags.clone(),
        aliases: body.aliases.clone(),
        packs: body.packs.as_ref().map(|packs| packs.iter().map(pack).collect()),
        low_stock: body.low_stock.map(|level| level.0),
        archived: body.archived,
        kit: body.kit.as_ref().map(|kit| {
            let line = |part: &ComponentInput| Line {
                pack: part.pack.clone(),
                ..Line::new(part.sku.clone(), part.quantity.0)
            };
            kit.iter().map(line).collect()
        }),
        tracking: body.tracking.map(|tracking| match tracking {
            TrackingBody::None => Tracking::None,
            TrackingBody::Lots => Tracking::Lots,
            TrackingBody::Serials => Tracking::Serials,
        }),
        backorder_limit: body.backorder_limit.map(|limit| limit.0),
        preorder_limit: body.preorder_limit.map(|limit| limit.0),
        available_from: instant("available_from", body.available_from.as_deref())?,
    };
    let committed = ask.submit(&app, Body::PutItem(put)).await?;
    Ok(reply(StatusCode::OK, &committed, ItemMade::of(Some(&body.sku), &committed.answer)))
}

/// Which items.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
struct ItemsQuery {
    /// How many at most: 1 to 100; 50 unless told.
    #[param(minimum = 1, maximum = 100)]
    limit: Option<usize>,
    /// `next_cursor` of the page before.
    cursor: Option<String>,
    /// Only the one that this code is on, or on a pack of it. A GTIN is found in any of its lengths.
    barcode: Option<String>,
}

/// All items, the oldest first; or the one that a barcode is on. Items that were merged into another are not among them.
#[utoipa::path(get, path = "/items", tag = "items", params(ItemsQuery),
    responses((status = 200, body = Page<ItemBody>)))]
async fn list(
    State(app): State<App>,
    caller: Caller,
    Query(query): Query<ItemsQuery>,
) -> Result<Json<Page<ItemBody>>, Problem> {
    let page = PageQuery { limit: query.limit, cursor: query.cursor };
    let (limit, after) = (page.limit()?, page.after("items")?);
    if let Some(barcode) = &query.barcode {
        if let Some(right) = gtin::right_check_digit(barcode) {
            let detail = format!("`{barcode}` was misread or mistyped: its check digit would be {right}");
            return Err(Problem::of_field("barcode", detail));
        }
        let found = read(&app, &caller, |view| {
            let mut data = Vec::new();
            if let Some((id, item, pack)) = view.item_by_barcode(barcode)?.filter(|(id, ..)| id.0 > after) {
                let body = ItemBody::new(view, id, item)?;
                data.push((id.0, ItemBody { pack: pack.map(|pack| pack.name), ..body }));
            }
            Ok(Page::new("items", data, limit, view.seq()))
        });
        return found.await.map(Json);
    }
    let page = read(&app, &caller, |view| {
        let to = Key::Item(ItemId(Seq::MAX >> 1));
        let mut items = Vec::new();
        let mut next = after;
        // Those that were merged leave gaps.
        while items.len() <= limit {
            let found = view.range(&Key::Item(ItemId(next + 1)), &to, false, limit + 1)?;
            let is_end = found.len() <= limit;
            for (key, value) in found {
                let (Key::Item(id), Value::Item(item)) = (key, value) else { continue };
                next = id.0;
                if item.merged_into.is_none() {
                    items.push((id.0, ItemBody::new(view, id, *item)?));
                }
            }
            if is_end {
                break;
            }
        }
        Ok(Page::new("items", items, limit, view.seq()))
    });
    page.await.map(Json)
}

/// An item.
#[utoipa::path(get, path = "/items/{sku}", tag = "items", params(("sku" = String, Path)),
    responses((status = 200, body = ItemBody)))]
async fn show(
    State(app): State<App>,
    caller: Caller,
    Path(sku): Path<String>,
) -> Result<Json<ItemBody>, Problem> {
    let found = read(&app, &caller, |view| match view.item_by_sku(&sku)? {
        Some((id, item)) => ItemBody::new(view, id, item).map(Some),
        None => Ok(None),
    });
    found.await?.map(Json).ok_or_else(|| Problem::unknown("item with the SKU", &sku))
}

/// Which moment.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct Moment {
    /// Stock at this instant (RFC 3339), by what happened. `at` is read too.
    #[serde(alias = "at")]
    pub as_of: Option<String>,
    /// … as it was known at this instant; as known now unless told.
    pub known_at: Option<String>,
}

/// An item's stock by location and state, now or at any past instant. A SKU that was merged into another since is the
/// item it was then.
#[utoipa::path(get, path = "/items/{sku}/stock", tag = "items", params(("sku" = String, Path), Moment),
    responses((status = 200, body = ItemStock)))]
async fn show_stock(
    State(app): State<App>,
    caller: Caller,
    Path(sku): Path<String>,
    Query(moment): Query<Moment>,
) -> Result<Json<ItemStock>, Problem> {
    let as_of = instant("as_of", moment.as_of.as_deref())?;
    let known_at = instant("known_at", moment.known_at.as_deref())?;
    // What was known before a merge is known of the item that was merged.
    let meant = as_of.unwrap_or(Instant::MAX).min(known_at.unwrap_or(Instant::MAX));
    let found = read(&app, &caller, |view| match view.item_meant(&sku, meant)? {
        Some((id, item)) => item_stock(view, id, &item, as_of, known_at, None).map(Some),
        None => Ok(None),
    });
    found.await?.map(Json).ok_or_else(|| Problem::unknown("item with the SKU", &sku))
}

only_objects!(ComponentInput, PutItemBody);
