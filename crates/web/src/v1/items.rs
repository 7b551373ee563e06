//! Items, their stock, history and explanation.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use onhand_engine::View;
use onhand_engine::systems::explain_item;
use onhand_ledger::command::{Line, PutItem};
use onhand_ledger::model::{Item, Tracking};
use onhand_ledger::{Body, Entry, ItemId, Key, Precision, Seq, Value};
use onhand_store::StoreError;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::answers::Made;
use super::ask::{Ask, instant, read, reply};
use super::page::{Page, PageQuery};
use super::stock::{ItemStock, item_stock};
use crate::App;
use crate::auth::Caller;
use crate::body::only_objects;
use crate::cost::CostBody;
use crate::decimal::Decimal;
use crate::error::Problem;
use crate::extract::{Path, Query};

pub(super) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(put, list))
        .routes(routes!(show))
        .routes(routes!(show_stock))
        .routes(routes!(show_history))
        .routes(routes!(explain))
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
    /// How much of it in one kit.
    quantity: Decimal,
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
    barcodes: Vec<String>,
    tags: Vec<String>,
    /// What one is built of, where it is a kit.
    kit: Vec<ComponentBody>,
    tracking: TrackingBody,
    /// How much may be short of it, in all orders together, before an order is refused.
    backorder_limit: Decimal,
    /// The same before `available_from`.
    preorder_limit: Decimal,
    /// From when it is there.
    available_from: Option<String>,
}

impl ItemBody {
    fn new(view: &mut View<'_>, id: ItemId, item: Item) -> Result<Self, StoreError> {
        let Item { sku, name, unit, precision, barcodes, tags, kit, tracking, beyond } = item;
        let mut components = Vec::with_capacity(kit.len());
        for component in kit {
            let sku = view.item(component.item)?.map_or_else(String::new, |item| item.sku);
            components.push(ComponentBody { sku, quantity: component.quantity.into() });
        }
        let tracking = match tracking {
            Tracking::None => TrackingBody::None,
            Tracking::Lots => TrackingBody::Lots,
            Tracking::Serials => TrackingBody::Serials,
        };
        let precision = precision.decimals();
        Ok(Self {
            id: id.0,
            sku,
            name,
            unit,
            precision,
            barcodes,
            tags,
            kit: components,
            tracking,
            backorder_limit: beyond.backorder_limit.into(),
            preorder_limit: beyond.preorder_limit.into(),
            available_from: beyond.available_from.map(|at| at.to_string()),
        })
    }
}

/// Makes an item, or changes the one of that SKU.
#[utoipa::path(post, path = "/items", tag = "items", request_body = PutItemBody,
    responses((status = 200, body = Made)))]
async fn put(State(app): State<App>, ask: Ask<PutItemBody>) -> Result<Response, Problem> {
    let body = &ask.body;
    let precision = body.precision.map(|decimals| {
        Precision::new(decimals).ok_or_else(|| {
            Problem::of_field("precision", format!("precision is {decimals}; it must be 0 to 6"))
        })
    });
    let put = PutItem {
        sku: body.sku.clone(),
        name: body.name.clone(),
        unit: body.unit.clone(),
        precision: precision.transpose()?,
        barcodes: body.barcodes.clone(),
        tags: body.tags.clone(),
        kit: body.kit.as_ref().map(|kit| {
            let line = |part: &ComponentInput| Line::new(part.sku.clone(), part.quantity.0);
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
    Ok(reply(StatusCode::OK, &committed, Made::of(&committed.answer)))
}

/// All items, the oldest first.
#[utoipa::path(get, path = "/items", tag = "items", params(PageQuery),
    responses((status = 200, body = Page<ItemBody>)))]
async fn list(
    State(app): State<App>,
    caller: Caller,
    Query(page): Query<PageQuery>,
) -> Result<Json<Page<ItemBody>>, Problem> {
    let (limit, after) = (page.limit()?, page.after("items")?);
    let page = read(&app, &caller, |view| {
        let (from, to) = (Key::Item(ItemId(after + 1)), Key::Item(ItemId(Seq::MAX >> 1)));
        let found = view.range(&from, &to, false, limit + 1)?;
        let mut items = Vec::new();
        for (key, value) in found {
            if let (Key::Item(id), Value::Item(item)) = (key, value) {
                items.push((id.0, ItemBody::new(view, id, item)?));
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
    /// Stock at this instant (RFC 3339), by what happened.
    pub as_of: Option<String>,
    /// … as it was known at this instant; as known now unless told.
    pub known_at: Option<String>,
}

/// An item's stock by location and state, now or at any past instant.
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
    let found = read(&app, &caller, |view| match view.item_by_sku(&sku)? {
        Some((id, item)) => item_stock(view, id, &item, as_of, known_at).map(Some),
        None => Ok(None),
    });
    found.await?.map(Json).ok_or_else(|| Problem::unknown("item with the SKU", &sku))
}

/// One side of a movement.
#[derive(Debug, Serialize, ToSchema)]
struct SideBody {
    /// A location's code; none for an outside party.
    location: Option<String>,
    /// A state of stock, or an outside party.
    state: &'static str,
    /// What it holds afterwards.
    balance: Decimal,
}

/// One movement of an item.
#[derive(Debug, Serialize, ToSchema)]
struct HistoryBody {
    seq: u64,
    occurred_at: String,
    recorded_at: String,
    actor: String,
    /// The outside document it comes from.
    document: Option<String>,
    reason: String,
    quantity: Decimal,
    from: SideBody,
    to: SideBody,
    /// The entry that it corrects or explains.
    corrects: Option<u64>,
    /// The movements that take it back, if it was wrong.
    reversed_by: Vec<u64>,
    /// How much of it they take back.
    reversed: Decimal,
    /// What one unit did cost, where it was told.
    unit_cost: Option<CostBody>,
    /// The paper that whoever asked named for it.
    reference: Option<String>,
    /// What whoever asked said of it.
    note: Option<String>,
}

/// The movements of an item, the newest first.
#[utoipa::path(get, path = "/items/{sku}/history", tag = "items", params(("sku" = String, Path), PageQuery),
    responses((status = 200, body = Page<HistoryBody>)))]
async fn show_history(
    State(app): State<App>,
    caller: Caller,
    Path(sku): Path<String>,
    Query(page): Query<PageQuery>,
) -> Result<Json<Page<HistoryBody>>, Problem> {
    let limit = page.limit()?;
    let list = format!("history of {sku}");
    let before = if page.cursor.is_some() { page.after(&list)? } else { Seq::MAX >> 1 };
    let found = read(&app, &caller, |view| {
        let Some((id, _)) = view.item_by_sku(&sku)? else { return Ok(None) };
        let mut rows = Vec::new();
        for row in view.history(id, before, limit + 1)? {
            let Entry::Movement(movement) = row.entry else { continue };
            let mut side = |account: onhand_ledger::entry::Account| {
                let location = view.location(account.location)?.map(|location| location.code);
                Ok(SideBody { location, state: account.state.name(), balance: account.balance.into() })
            };
            let (from, to) = (side(movement.from)?, side(movement.to)?);
            let body = HistoryBody {
                seq: row.seq,
                occurred_at: movement.occurred_at.to_string(),
                recorded_at: row.record.recorded_at.to_string(),
                actor: row.record.actor,
                document: row.record.document.map(|(_, document)| document),
                reason: movement.reason,
                quantity: movement.quantity.into(),
                from,
                to,
                corrects: movement.corrects,
                reversed_by: row.reversals.by,
                reversed: row.reversals.quantity.into(),
                unit_cost: row.cost.as_ref().map(CostBody::from),
                reference: row.record.reference,
                note: row.record.note,
            };
            rows.push((row.seq, body));
        }
        Ok(Some(Page::new(&list, rows, limit, view.seq())))
    });
    found.await?.map(Json).ok_or_else(|| Problem::unknown("item with the SKU", &sku))
}

/// What a system shows of an item, and why.
#[derive(Debug, Serialize, ToSchema)]
struct ShownBody {
    system: String,
    listing: String,
    remote_location: String,
    /// What it should show, in its own units.
    desired: Decimal,
    /// What it last acknowledged.
    acknowledged: Option<Decimal>,
    /// What was last read back.
    observed: Option<Decimal>,
    observed_at: Option<String>,
    in_step: bool,
    /// Why, in plain words.
    explanation: String,
}

/// An item explained: its stock, and each system's number with the sentence that explains it.
#[derive(Debug, Serialize, ToSchema)]
struct Explanation {
    stock: ItemStock,
    shown: Vec<ShownBody>,
}

/// Why does a system show what it shows? The truth by location and state, and each system's number beside it.
#[utoipa::path(get, path = "/items/{sku}/explain", tag = "items", params(("sku" = String, Path)),
    responses((status = 200, body = Explanation)))]
async fn explain(
    State(app): State<App>,
    caller: Caller,
    Path(sku): Path<String>,
) -> Result<Json<Explanation>, Problem> {
    let found = read(&app, &caller, |view| {
        let Some((id, item)) = view.item_by_sku(&sku)? else { return Ok(None) };
        let stock = item_stock(view, id, &item, None, None)?;
        let shown = explain_item(view, id)?.into_iter().map(|shown| ShownBody {
            system: shown.system,
            listing: shown.listing,
            remote_location: shown.remote_location,
            desired: shown.desired.into(),
            acknowledged: shown.acknowledged.map(Decimal::from),
            observed: shown.observed.map(|(quantity, _)| quantity.into()),
            observed_at: shown.observed.map(|(_, at)| at.to_string()),
            in_step: shown.in_step,
            explanation: shown.explanation,
        });
        Ok(Some(Explanation { stock, shown: shown.collect() }))
    });
    found.await?.map(Json).ok_or_else(|| Problem::unknown("item with the SKU", &sku))
}

only_objects!(ComponentInput, PutItemBody);
