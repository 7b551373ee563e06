//! Holds: reservations with an expiry.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use onhand_ledger::command::{ConvertHold, PlaceHold};
use onhand_ledger::{Body, HoldId, Key, Value};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::answers::{AtBody, Made, OrderAnswer, places};
use super::ask::{Ask, instant, read, reply};
use super::movements::{LineInput, lines};
use crate::App;
use crate::auth::Caller;
use crate::body::only_objects;
use crate::decimal::Decimal;
use crate::error::Problem;
use crate::extract::Id;

pub(super) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(place))
        .routes(routes!(show))
        .routes(routes!(release))
        .routes(routes!(convert))
}

/// What to keep, and until when.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(remote = "Self", deny_unknown_fields)]
struct HoldInput {
    lines: Vec<LineInput>,
    /// Only from this location.
    location: Option<String>,
    /// From this instant (RFC 3339) on it keeps nothing.
    expires_at: Option<String>,
    /// Or: for so many seconds.
    seconds: Option<u32>,
}

/// Keeps stock for a while: all of it, or it is refused with what is available.
#[utoipa::path(post, path = "/holds", tag = "holds", request_body = HoldInput,
    responses((status = 201, body = Made)))]
async fn place(State(app): State<App>, ask: Ask<HoldInput>) -> Result<Response, Problem> {
    let told = instant("expires_at", ask.body.expires_at.as_deref())?;
    let expires_at = match (told, ask.body.seconds) {
        (Some(at), None) => at,
        (None, Some(seconds)) => app.handle.ledger().clock().now().plus_seconds(i64::from(seconds)),
        _ => return Err(Problem::of_field("expires_at", "tell either expires_at or seconds")),
    };
    let body = Body::PlaceHold(PlaceHold {
        lines: lines(&ask.body.lines)?,
        location: ask.body.location.clone(),
        expires_at,
    });
    let committed = ask.submit(&app, body).await?;
    Ok(reply(StatusCode::CREATED, &committed, Made::of(&committed.answer)))
}

/// A line of a hold.
#[derive(Debug, Serialize, ToSchema)]
struct HoldLineBody {
    sku: String,
    quantity: Decimal,
    reserved: Vec<AtBody>,
}

/// A hold.
#[derive(Debug, Serialize, ToSchema)]
struct HoldBody {
    id: u64,
    /// `active`, `lapsed`, `released` or `converted`.
    state: String,
    expires_at: String,
    lines: Vec<HoldLineBody>,
    order: Option<u64>,
}

/// A hold.
#[utoipa::path(get, path = "/holds/{id}", tag = "holds", params(("id" = u64, Path)),
    responses((status = 200, body = HoldBody)))]
async fn show(State(app): State<App>, caller: Caller, Id(id): Id) -> Result<Json<HoldBody>, Problem> {
    let found = read(&app, &caller, |view| {
        let Some(Value::Hold(hold)) = view.get(&Key::Hold(HoldId(id)))? else { return Ok(None) };
        let mut lines = Vec::new();
        for line in &hold.lines {
            let sku = view.item(line.item)?.map_or_else(String::new, |item| item.sku);
            lines.push(HoldLineBody {
                sku,
                quantity: line.quantity.into(),
                reserved: places(view, &line.reserved)?,
            });
        }
        let state = format!("{:?}", hold.state).to_lowercase();
        let (expires_at, order) = (hold.expires_at.to_string(), hold.order.map(|order| order.0));
        Ok(Some(HoldBody { id, state, expires_at, lines, order }))
    });
    found.await?.map(Json).ok_or_else(|| Problem::unknown("hold", id))
}

/// Nothing.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(remote = "Self", deny_unknown_fields)]
struct Nothing {}

/// Lets a hold go.
#[utoipa::path(post, path = "/holds/{id}/release", tag = "holds", params(("id" = u64, Path)),
    responses((status = 200, body = Made)))]
async fn release(State(app): State<App>, Id(id): Id, ask: Ask<Nothing>) -> Result<Response, Problem> {
    let Nothing {} = ask.body;
    let committed = ask.submit(&app, Body::ReleaseHold(HoldId(id))).await?;
    Ok(reply(StatusCode::OK, &committed, Made::of(&committed.answer)))
}

/// How the order is called.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(remote = "Self", deny_unknown_fields)]
struct ConvertInput {
    /// Your name for it; one is made unless told.
    reference: Option<String>,
}

/// Makes an order of a hold.
#[utoipa::path(post, path = "/holds/{id}/convert", tag = "holds", params(("id" = u64, Path)),
    request_body = ConvertInput,
    responses((status = 201, body = OrderAnswer)))]
async fn convert(State(app): State<App>, Id(id): Id, ask: Ask<ConvertInput>) -> Result<Response, Problem> {
    let convert = ConvertHold { hold: HoldId(id), reference: ask.body.reference.clone() };
    let committed = ask.submit(&app, Body::ConvertHold(convert)).await?;
    Ok(reply(StatusCode::CREATED, &committed, OrderAnswer::of(committed.answer.clone())))
}

only_objects!(HoldInput, Nothing, ConvertInput);
