//! Orders placed with us; amended, shipped, cancelled and returned. Orders of other systems come as documents.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use onhand_ledger::command::{CancelOrder, FulfilOrder, LineQuantity, PlaceOrder, ReturnOrder};
use onhand_ledger::{Body, Key, OrderId, Seq, StockState, Value};
use serde::Deserialize;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::answers::{OrderAnswer, OrderBody, order_body};
use super::ask::{Ask, instant, read, reply};
use super::movements::{LineInput, lines};
use super::page::{Page, PageQuery};
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
}

/// An order that may be refused.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(remote = "Self", deny_unknown_fields)]
struct PlaceBody {
    /// Your name for it, unique among yours; one is made unless told.
    reference: Option<String>,
    lines: Vec<LineInput>,
    /// Only from this location.
    location: Option<String>,
}

/// Places an order: all of it is allocated, or it is refused with what is available.
#[utoipa::path(post, path = "/orders", tag = "orders", request_body = PlaceBody,
    responses((status = 201, body = OrderAnswer)))]
async fn place(State(app): State<App>, ask: Ask<PlaceBody>) -> Result<Response, Problem> {
    let body = Body::PlaceOrder(PlaceOrder {
        reference: ask.body.reference.clone(),
        lines: lines(&ask.body.lines)?,
        location: ask.body.location.clone(),
    });
    let committed = ask.submit(&app, body).await?;
    Ok(reply(StatusCode::CREATED, &committed, OrderAnswer::of(committed.answer.clone())))
}

/// All orders, the oldest first.
#[utoipa::path(get, path = "/orders", tag = "orders", params(PageQuery),
    responses((status = 200, body = Page<OrderBody>)))]
async fn list(
    State(app): State<App>,
    caller: Caller,
    Query(page): Query<PageQuery>,
) -> Result<Json<Page<OrderBody>>, Problem> {
    let (limit, after) = (page.limit()?, page.after("orders")?);
    let found = read(&app, &caller, |view| {
        let (from, to) = (Key::Order(OrderId(after + 1)), Key::Order(OrderId(Seq::MAX >> 1)));
        let mut rows = Vec::new();
        for (key, value) in view.range(&from, &to, false, limit + 1)? {
            if let (Key::Order(id), Value::Order(order)) = (key, value) {
                rows.push((id.0, order_body(view, id, order)?));
            }
        }
        Ok(Page::new("orders", rows, limit, view.seq()))
    });
    found.await.map(Json)
}

/// An order.
#[utoipa::path(get, path = "/orders/{id}", tag = "orders", params(("id" = u64, Path)),
    responses((status = 200, body = OrderBody)))]
async fn show(State(app): State<App>, caller: Caller, Id(id): Id) -> Result<Json<OrderBody>, Problem> {
    let found = read(&app, &caller, |view| match view.get(&Key::Order(OrderId(id)))? {
        Some(Value::Order(order)) => order_body(view, OrderId(id), order).map(Some),
        _ => Ok(None),
    });
    found.await?.map(Json).ok_or_else(|| Problem::unknown("order", id))
}

/// So much of a line.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(remote = "Self", deny_unknown_fields)]
struct LineQuantityInput {
    /// The line's name.
    line: String,
    /// How much.
    quantity: Decimal,
}

fn quantities(lines: &[LineQuantityInput]) -> Vec<LineQuantity> {
    lines.iter().map(|line| LineQuantity { line: line.line.clone(), quantity: line.quantity.0 }).collect()
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

/// A state that takes returns.
#[derive(Debug, Clone, Copy, Default, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
enum ReturnState {
    #[default]
    Available,
    Damaged,
    QualityControl,
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
    let into = match ask.body.into {
        ReturnState::Available => StockState::Available,
        ReturnState::Damaged => StockState::Damaged,
        ReturnState::QualityControl => StockState::QualityControl,
    };
    let body = Body::ReturnOrder(ReturnOrder {
        order: OrderId(id),
        lines: quantities(&ask.body.lines),
        location: ask.body.location.clone(),
        into,
        occurred_at: instant("occurred_at", ask.body.occurred_at.as_deref())?,
    });
    let committed = ask.submit(&app, body).await?;
    Ok(reply(StatusCode::OK, &committed, OrderAnswer::of(committed.answer.clone())))
}

only_objects!(PlaceBody, LineQuantityInput, FulfilBody, CancelBody, ReturnBody);
