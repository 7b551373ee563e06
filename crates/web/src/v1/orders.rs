//! Orders placed with us; amended, shipped, cancelled and returned. Orders of other systems come as documents.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use onhand_engine::View;
use onhand_ledger::command::{
    CancelOrder, FulfilOrder, Line, LineQuantity, PlaceOrder, Reallocate, ReturnOrder,
};
use onhand_ledger::model::Became;
use onhand_ledger::{Body, Key, Money, OrderId, Seq, StockState, SystemId, Value};
use onhand_store::StoreError;
use serde::Deserialize;
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::answers::{OrderAnswer, OrderBody, PriceInput, order_body};
use super::ask::{Ask, instant, read, reply};
use super::page::{Page, PageQuery};
use super::systems::sent::sent_bodies;
use crate::App;
use crate::auth::Caller;
use crate::body::only_objects;
use crate::decimal::Decimal;
use crate::error::Problem;
use crate::extract::{Id, Query};

pub(super) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(place, list))
        .routes(routes!(show))
        .routes(routes!(fulfil))
        .routes(routes!(cancel))
        .routes(routes!(return_order))
        .routes(routes!(reallocate))
}

/// An order that may be refused.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(remote = "Self", deny_unknown_fields)]
struct PlaceBody {
    /// Your name for it, unique among yours; one is made unless told.
    reference: Option<String>,
    lines: Vec<OrderLineInput>,
    /// Only from this location.
    location: Option<String>,
    /// When it must have left (RFC 3339).
    ship_by: Option<String>,
    /// The region it goes to, such as `DE` or `DE-HE`, for rules of allocation. Nothing about a person.
    ship_to: Option<String>,
    /// May it be accepted beyond what is available, within its items' limits? True unless told, or a location is named.
    backorder: Option<bool>,
}

/// A line of it.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(remote = "Self", deny_unknown_fields)]
struct OrderLineInput {
    sku: String,
    /// How much; of packs, where one is named.
    quantity: Decimal,
    /// One of the item's packs, such as `case`, which `quantity` counts then; single units where left out.
    pack: Option<String>,
    /// Only of this lot, where the item is tracked by lots.
    lot: Option<String>,
    /// Only these pieces, where the item is tracked by serials.
    serials: Option<Vec<String>>,
    /// What one unit costs, not one pack.
    price: Option<PriceInput>,
}

/// Places an order: all of it is allocated, or waits as a backorder or preorder within its items' limits, or it is refused
/// with what is available.
#[utoipa::path(post, path = "/orders", tag = "orders", request_body = PlaceBody,
    responses((status = 201, body = OrderAnswer)))]
async fn place(State(app): State<App>, ask: Ask<PlaceBody>) -> Result<Response, Problem> {
    let body = Body::PlaceOrder(PlaceOrder {
        reference: ask.body.reference.clone(),
        lines: ask.body.lines.iter().map(line).collect(),
        location: ask.body.location.clone(),
        ship_by: instant("ship_by", ask.body.ship_by.as_deref())?,
        ship_to: ask.body.ship_to.clone(),
        prices: prices(&ask.body.lines),
        backorder: ask.body.backorder,
    });
    let committed = ask.submit(&app, body).await?;
    Ok(reply(StatusCode::CREATED, &committed, OrderAnswer::of(committed.answer.clone())))
}

fn line(line: &OrderLineInput) -> Line {
    let OrderLineInput { sku, quantity, pack, lot, serials, .. } = line;
    Line {
        sku: sku.clone(),
        quantity: quantity.0,
        pack: pack.clone(),
        lot: lot.clone(),
        serials: serials.clone(),
        ..Line::default()
    }
}

/// One for each line, and for each piece of one; none where no line has one.
fn prices(lines: &[OrderLineInput]) -> Option<Vec<Option<Money>>> {
    let pieces = |line: &OrderLineInput| line.serials.as_ref().map_or(1, |serials| serials.len().max(1));
    let price = |line: &OrderLineInput| line.price.as_ref().map(PriceInput::money);
    let all = lines.iter().flat_map(|line| std::iter::repeat_n(price(line), pieces(line)));
    lines.iter().any(|line| line.price.is_some()).then(|| all.collect())
}

/// Which orders.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
struct OrdersQuery {
    /// How many at most: 1 to 100; 50 unless told.
    #[param(minimum = 1, maximum = 100)]
    limit: Option<usize>,
    /// `next_cursor` of the page before.
    cursor: Option<String>,
    /// Only those that a system calls so: a reference, or the number in a shop.
    document: Option<String>,
}

/// What the systems call so, of every system the order of that name.
fn called(view: &mut View<'_>, name: &str) -> Result<Vec<OrderId>, StoreError> {
    let mut found = Vec::new();
    let systems: Vec<SystemId> = view.systems()?.into_iter().map(|(system, _)| system).collect();
    for system in [SystemId::ONHAND].into_iter().chain(systems) {
        if let Some(Value::Document(known)) = view.get(&Key::Document(system, name.to_owned()))?
            && let Became::Order(order) = known.became
            && !found.contains(&order)
        {
            found.push(order);
        }
    }
    // One that was placed here without a reference is called by its id.
    if let Some(id) = name.parse().ok().map(OrderId)
        && let Some(Value::Order(order)) = view.get(&Key::Order(id))?
        && order.system == SystemId::ONHAND
        && order.document == name
        && !found.contains(&id)
    {
        found.push(id);
    }
    found.sort_unstable();
    Ok(found)
}

/// All orders, the oldest first.
#[utoipa::path(get, path = "/orders", tag = "orders", params(OrdersQuery),
    responses((status = 200, body = Page<OrderBody>)))]
async fn list(
    State(app): State<App>,
    caller: Caller,
    Query(query): Query<OrdersQuery>,
) -> Result<Json<Page<OrderBody>>, Problem> {
    let OrdersQuery { limit, cursor, document } = query;
    let page = PageQuery { limit, cursor };
    let (limit, after) = (page.limit()?, page.after("orders")?);
    let found = read(&app, &caller, |view| {
        if let Some(name) = &document {
            let mut rows = Vec::new();
            for id in called(view, name)?.into_iter().filter(|id| id.0 > after).take(limit + 1) {
                if let Some(Value::Order(order)) = view.get(&Key::Order(id))? {
                    rows.push((id.0, order_body(view, id, *order)?));
                }
            }
            return Ok(Page::new("orders", rows, limit, view.seq()));
        }
        let (from, to) = (Key::Order(OrderId(after + 1)), Key::Order(OrderId(Seq::MAX >> 1)));
        let mut rows = Vec::new();
        for (key, value) in view.range(&from, &to, false, limit + 1)? {
            if let (Key::Order(id), Value::Order(order)) = (key, value) {
                rows.push((id.0, order_body(view, id, *order)?));
            }
        }
        Ok(Page::new("orders", rows, limit, view.seq()))
    });
    found.await.map(Json)
}

/// An order, with what of it was sent to systems that ship it.
#[utoipa::path(get, path = "/orders/{id}", tag = "orders", params(("id" = u64, Path)),
    responses((status = 200, body = OrderBody)))]
async fn show(State(app): State<App>, caller: Caller, Id(id): Id) -> Result<Json<OrderBody>, Problem> {
    let found = read(&app, &caller, |view| match view.get(&Key::Order(OrderId(id)))? {
        Some(Value::Order(order)) => {
            let body = order_body(view, OrderId(id), *order)?;
            let sent = sent_bodies(view, OrderId(id))?;
            Ok(Some(OrderBody { sent: Some(sent), ..body }))
        }
        _ => Ok(None),
    });
    found.await?.map(Json).ok_or_else(|| Problem::unknown("order", id))
}

/// So much of a line.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(remote = "Self", deny_unknown_fields)]
pub(super) struct LineQuantityInput {
    /// The line's name.
    line: String,
    /// How much.
    quantity: Decimal,
    /// Of which lot, or which piece, where the item is tracked: a line for each. Whichever is promised (or was shipped last)
    /// unless told.
    lot: Option<String>,
}

pub(super) fn quantities(lines: &[LineQuantityInput]) -> Vec<LineQuantity> {
    let line = |line: &LineQuantityInput| LineQuantity {
        line: line.line.clone(),
        quantity: line.quantity.0,
        lot: line.lot.clone(),
    };
    lines.iter().map(line).collect()
}

/// What left.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(remote = "Self", deny_unknown_fields)]
struct FulfilBody {
    /// All that is allocated unless told.
    lines: Option<Vec<LineQuantityInput>>,
    /// When; now unless told.
    occurred_at: Option<String>,
}

/// Goods of an order left.
#[utoipa::path(post, path = "/orders/{id}/fulfil", tag = "orders", params(("id" = u64, Path)),
    request_body = FulfilBody,
    responses((status = 200, body = OrderAnswer)))]
async fn fulfil(State(app): State<App>, Id(id): Id, ask: Ask<FulfilBody>) -> Result<Response, Problem> {
    let body = Body::FulfilOrder(FulfilOrder {
        order: OrderId(id),
        lines: ask.body.lines.as_deref().map(quantities),
        occurred_at: instant("occurred_at", ask.body.occurred_at.as_deref())?,
    });
    let committed = ask.submit(&app, body).await?;
    Ok(reply(StatusCode::OK, &committed, OrderAnswer::of(committed.answer.clone())))
}

/// What is no longer wanted.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(remote = "Self", deny_unknown_fields)]
struct CancelBody {
    /// All that has not left unless told.
    lines: Option<Vec<LineQuantityInput>>,
}

/// An order, or some of it, is no longer wanted.
#[utoipa::path(post, path = "/orders/{id}/cancel", tag = "orders", params(("id" = u64, Path)),
    request_body = CancelBody,
    responses((status = 200, body = OrderAnswer)))]
async fn cancel(State(app): State<App>, Id(id): Id, ask: Ask<CancelBody>) -> Result<Response, Problem> {
    let lines = ask.body.lines.as_deref().map(quantities);
    let committed = ask.submit(&app, Body::CancelOrder(CancelOrder { order: OrderId(id), lines })).await?;
    Ok(reply(StatusCode::OK, &committed, OrderAnswer::of(committed.answer.clone())))
}

/// A state that takes what comes in.
#[derive(Debug, Clone, Copy, Default, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(super) enum ReturnState {
    #[default]
    Available,
    Damaged,
    QualityControl,
}

impl From<ReturnState> for StockState {
    fn from(state: ReturnState) -> Self {
        match state {
            ReturnState::Available => Self::Available,
            ReturnState::Damaged => Self::Damaged,
            ReturnState::QualityControl => Self::QualityControl,
        }
    }
}

/// What came back.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(remote = "Self", deny_unknown_fields)]
struct ReturnBody {
    lines: Vec<LineQuantityInput>,
    /// Where to; where it was shipped from unless told.
    location: Option<String>,
    /// `available` unless told.
    #[serde(default)]
    into: ReturnState,
    /// When; now unless told.
    occurred_at: Option<String>,
}

/// Goods of an order came back.
#[utoipa::path(post, path = "/orders/{id}/return", tag = "orders", params(("id" = u64, Path)),
    request_body = ReturnBody,
    responses((status = 200, body = OrderAnswer)))]
async fn return_order(State(app): State<App>, Id(id): Id, ask: Ask<ReturnBody>) -> Result<Response, Problem> {
    let body = Body::ReturnOrder(ReturnOrder {
        order: OrderId(id),
        lines: quantities(&ask.body.lines),
        location: ask.body.location.clone(),
        into: ask.body.into.into(),
        occurred_at: instant("occurred_at", ask.body.occurred_at.as_deref())?,
    });
    let committed = ask.submit(&app, body).await?;
    Ok(reply(StatusCode::OK, &committed, OrderAnswer::of(committed.answer.clone())))
}

/// Where to.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(remote = "Self", deny_unknown_fields)]
struct ReallocateBody {
    /// Away from this location, as far as others have it; to wherever the allocation rule would have it now, unless told.
    away_from: Option<String>,
}

/// Moves what is promised to an order to better places. Nothing that was promised is lost by it: what is not to be had
/// elsewhere stays where it is.
#[utoipa::path(post, path = "/orders/{id}/reallocate", tag = "orders", params(("id" = u64, Path)),
    request_body = ReallocateBody,
    responses((status = 200, body = OrderAnswer)))]
async fn reallocate(
    State(app): State<App>,
    Id(id): Id,
    ask: Ask<ReallocateBody>,
) -> Result<Response, Problem> {
    let away_from = ask.body.away_from.clone();
    let body = Body::Reallocate(Reallocate { order: OrderId(id), away_from });
    let committed = ask.submit(&app, body).await?;
    Ok(reply(StatusCode::OK, &committed, OrderAnswer::of(committed.answer.clone())))
}

only_objects!(
    ReallocateBody,
    OrderLineInput,
    PlaceBody,
    LineQuantityInput,
    FulfilBody,
    CancelBody,
    ReturnBody
);
