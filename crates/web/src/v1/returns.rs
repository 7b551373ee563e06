//! Returns that are expected where another system is master: announced here, sent to it, and booked by its word.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use onhand_engine::View;
use onhand_ledger::command::AnnounceReturn;
use onhand_ledger::model::ExpectedReturn;
use onhand_ledger::{Body, Key, OrderId, ReturnId, Seq, Value};
use onhand_store::StoreError;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::answers::Made;
use super::ask::{Ask, date, read, reply};
use super::orders::{LineQuantityInput, ReturnState, quantities};
use super::page::{Page, PageQuery};
use super::systems::sent::{MasterDocumentBody, sent_to_masters};
use crate::App;
use crate::auth::Caller;
use crate::body::only_objects;
use crate::decimal::Decimal;
use crate::error::Problem;
use crate::extract::{Id, Query};

pub(super) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(announce))
        .routes(routes!(list_returns))
        .routes(routes!(show_return))
        .routes(routes!(end_return))
}

/// What a customer sends back.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(remote = "Self", deny_unknown_fields)]
struct AnnounceBody {
    /// No more than has left, and is not back.
    lines: Vec<LineQuantityInput>,
    /// What the customer knows it by, such as the number of an RMA.
    reference: Option<String>,
    /// Where to: where another system is master that is sent what it shall expect; where it was shipped from unless told.
    location: Option<String>,
    /// What it comes in as where that system does not say; `available` unless told.
    #[serde(default)]
    into: ReturnState,
    /// The day it is expected on, such as 2026-12-01.
    expected_on: Option<String>,
}

/// Goods of an order will come back to a location that another system is master of. Nothing moves until it tells of them; what comes back to
/// a location of Onhand's is booked when it is there: `POST /v1/orders/{id}/return`.
#[utoipa::path(post, path = "/orders/{id}/expected-returns", tag = "orders", params(("id" = u64, Path)),
    request_body = AnnounceBody, responses((status = 201, body = Made)))]
async fn announce(State(app): State<App>, Id(id): Id, ask: Ask<AnnounceBody>) -> Result<Response, Problem> {
    let body = Body::AnnounceReturn(AnnounceReturn {
        order: OrderId(id),
        reference: ask.body.reference.clone(),
        lines: quantities(&ask.body.lines),
        location: ask.body.location.clone(),
        into: ask.body.into.into(),
        expected_on: date("expected_on", ask.body.expected_on.as_deref())?,
    });
    let committed = ask.submit(&app, body).await?;
    Ok(reply(StatusCode::CREATED, &committed, Made::of(&committed.answer)))
}

/// One line of an expected return.
#[derive(Debug, Serialize, ToSchema)]
struct ReturnLineBody {
    /// The line of the order.
    line: String,
    sku: String,
    /// How much comes back.
    quantity: Decimal,
    /// How much has.
    came: Decimal,
    /// How much is still expected.
    open: Decimal,
}

/// A return that is expected, or was.
#[derive(Debug, Serialize, ToSchema)]
struct ReturnInFull {
    id: u64,
    order: u64,
    reference: Option<String>,
    location: String,
    /// `open`, `returned` or `cancelled`.
    state: &'static str,
    announced_at: String,
    expected_on: Option<String>,
    lines: Vec<ReturnLineBody>,
    /// Where it was announced, and what was answered; only where it is looked at by itself.
    #[serde(skip_serializing_if = "Option::is_none")]
    sent: Option<Vec<MasterDocumentBody>>,
}

fn body(view: &mut View<'_>, id: u64, known: &ExpectedReturn) -> Result<ReturnInFull, StoreError> {
    let mut lines = Vec::new();
    for line in &known.lines {
        lines.push(ReturnLineBody {
            line: line.line.clone(),
            sku: view.item(line.item)?.map_or_else(String::new, |item| item.sku),
            quantity: line.wanted.into(),
            came: line.came.into(),
            open: known.open(line).into(),
        });
    }
    Ok(ReturnInFull {
        id,
        order: known.order.0,
        reference: known.reference.clone(),
        location: view.location(known.location)?.map_or_else(String::new, |location| location.code),
        state: known.state_name(),
        announced_at: known.announced_at.to_string(),
        expected_on: known.expected_on.map(|day| day.to_string()),
        lines,
        sent: None,
    })
}

/// All returns that are or were expected, the oldest first.
#[utoipa::path(get, path = "/expected-returns", tag = "orders", params(PageQuery),
    responses((status = 200, body = Page<ReturnInFull>)))]
async fn list_returns(
    State(app): State<App>,
    caller: Caller,
    Query(page): Query<PageQuery>,
) -> Result<Json<Page<ReturnInFull>>, Problem> {
    let (limit, after) = (page.limit()?, page.after("returns")?);
    let found = read(&app, &caller, |view| {
        let (from, to) = (Key::Return(ReturnId(after + 1)), Key::Return(ReturnId(Seq::MAX >> 1)));
        let mut rows = Vec::new();
        for (key, value) in view.range(&from, &to, false, limit + 1)? {
            if let (Key::Return(id), Value::Return(known)) = (key, value) {
                rows.push((id.0, body(view, id.0, &known)?));
            }
        }
        Ok(Page::new("returns", rows, limit, view.seq()))
    });
    found.await.map(Json)
}

/// A return that is or was expected, with where it was announced and what was answered.
#[utoipa::path(get, path = "/expected-returns/{id}", tag = "orders", params(("id" = u64, Path)),
    responses((status = 200, body = ReturnInFull)))]
async fn show_return(
    State(app): State<App>,
    caller: Caller,
    Id(id): Id,
) -> Result<Json<ReturnInFull>, Problem> {
    let found = read(&app, &caller, |view| match view.get(&Key::Return(ReturnId(id)))? {
        Some(Value::Return(known)) => {
            let sent = Some(sent_to_masters(view, id)?);
            Ok(Some(ReturnInFull { sent, ..body(view, id, &known)? }))
        }
        _ => Ok(None),
    });
    found.await?.map(Json).ok_or_else(|| Problem::unknown("return", id))
}

/// Nothing.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(remote = "Self", deny_unknown_fields)]
struct CancelReturnBody {}

/// Nothing more of a return is expected.
#[utoipa::path(post, path = "/expected-returns/{id}/cancel", tag = "orders", params(("id" = u64, Path)),
    request_body = CancelReturnBody, responses((status = 200, body = Made)))]
async fn end_return(
    State(app): State<App>,
    Id(id): Id,
    ask: Ask<CancelReturnBody>,
) -> Result<Response, Problem> {
    let committed = ask.submit(&app, Body::EndReturn(ReturnId(id))).await?;
    Ok(reply(StatusCode::OK, &committed, Made::of(&committed.answer)))
}

only_objects!(AnnounceBody, CancelReturnBody);
