//! Holds: reservations with an expiry.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use onhand_ledger::answer::HeldLine;
use onhand_ledger::command::{ConvertHold, ExtendHold, LinePart, PlaceHold, ReleaseLines};
use onhand_ledger::{Answer, Body, HoldId, Instant, Key, Value};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::answers::{AtBody, OrderAnswer, places};
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
        .routes(routes!(extend))
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
    /// As much as possible, the first line first; all of it or nothing unless told.
    partial: Option<bool>,
}

/// One line of a hold.
#[derive(Debug, Serialize, ToSchema)]
struct HeldLineBody {
    /// Its name: 1, 2, … in the order they were asked in.
    line: String,
    sku: String,
    /// How much was asked for, or it shall keep now.
    quantity: Decimal,
    /// How much it keeps.
    kept: Decimal,
}

/// What a hold keeps.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct HeldAnswer {
    /// Its id.
    id: u64,
    /// From this instant on it keeps nothing.
    expires_at: String,
    lines: Vec<HeldLineBody>,
}

impl HeldAnswer {
    pub fn of(answer: &Answer) -> Self {
        let Answer::Hold(id, expires_at, lines) = answer else {
            return Self { id: 0, expires_at: String::new(), lines: Vec::new() };
        };
        let line = |line: &HeldLine| HeldLineBody {
            line: line.line.clone(),
            sku: line.sku.clone(),
            quantity: line.quantity.into(),
            kept: line.kept.into(),
        };
        Self { id: id.0, expires_at: expires_at.to_string(), lines: lines.iter().map(line).collect() }
    }
}

fn expiry(app: &App, at: Option<&str>, seconds: Option<u32>) -> Result<Instant, Problem> {
    match (instant("expires_at", at)?, seconds) {
        (Some(at), None) => Ok(at),
        (None, Some(seconds)) => Ok(app.handle.ledger().clock().now().plus_seconds(i64::from(seconds))),
        _ => Err(Problem::of_field("expires_at", "tell either expires_at or seconds")),
    }
}

/// Keeps stock for a while: all of it, or it is refused with what is available; or as much as possible.
#[utoipa::path(post, path = "/holds", tag = "holds", request_body = HoldInput,
    responses((status = 201, body = HeldAnswer)))]
async fn place(State(app): State<App>, ask: Ask<HoldInput>) -> Result<Response, Problem> {
    let body = Body::PlaceHold(PlaceHold {
        lines: lines(&ask.body.lines)?,
        location: ask.body.location.clone(),
        expires_at: expiry(&app, ask.body.expires_at.as_deref(), ask.body.seconds)?,
        partial: ask.body.partial,
    });
    let committed = ask.submit(&app, body).await?;
    Ok(reply(StatusCode::CREATED, &committed, HeldAnswer::of(&committed.answer)))
}

/// When it ends now.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(remote = "Self", deny_unknown_fields)]
struct ExtendInput {
    /// From this instant (RFC 3339) on it keeps nothing.
    expires_at: Option<String>,
    /// Or: so many seconds from now.
    seconds: Option<u32>,
}

/// Gives a hold another time to end, later or earlier.
#[utoipa::path(post, path = "/holds/{id}/extend", tag = "holds", params(("id" = u64, Path)),
    request_body = ExtendInput,
    responses((status = 200, body = HeldAnswer)))]
async fn extend(State(app): State<App>, Id(id): Id, ask: Ask<ExtendInput>) -> Result<Response, Problem> {
    let expires_at = expiry(&app, ask.body.expires_at.as_deref(), ask.body.seconds)?;
    let committed = ask.submit(&app, Body::ExtendHold(ExtendHold { hold: HoldId(id), expires_at })).await?;
    Ok(reply(StatusCode::OK, &committed, HeldAnswer::of(&committed.answer)))
}

/// A line of a hold.
#[derive(Debug, Serialize, ToSchema)]
struct HoldLineBody {
    /// Its name: 1, 2, … in the order they were asked in.
    line: String,
    sku: String,
    quantity: Decimal,
    reserved: Vec<AtBody>,
    /// Kits that are kept as their components, which are reserved where these would be built.
    to_build: Vec<AtBody>,
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
        for (number, line) in (1..).zip(&hold.lines) {
            let sku = view.item(line.item)?.map_or_else(String::new, |item| item.sku);
            lines.push(HoldLineBody {
                line: i32::to_string(&number),
                sku,
                quantity: line.quantity.into(),
                reserved: places(view, &line.reserved)?,
                to_build: places(view, &line.build.built)?,
            });
        }
        let state = format!("{:?}", hold.state).to_lowercase();
        let (expires_at, order) = (hold.expires_at.to_string(), hold.order.map(|order| order.0));
        Ok(Some(HoldBody { id, state, expires_at, lines, order }))
    });
    found.await?.map(Json).ok_or_else(|| Problem::unknown("hold", id))
}

/// What to let go.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(remote = "Self", deny_unknown_fields)]
struct ReleaseInput {
    /// All of it unless told.
    lines: Option<Vec<ReleaseLineInput>>,
}

/// A line, or so much of it.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(remote = "Self", deny_unknown_fields)]
struct ReleaseLineInput {
    /// The line's name: 1, 2, … in the order they were asked in.
    line: String,
    /// All of the line unless told.
    quantity: Option<Decimal>,
}

/// Lets a hold go, or some of its lines.
#[utoipa::path(post, path = "/holds/{id}/release", tag = "holds", params(("id" = u64, Path)),
    request_body = ReleaseInput,
    responses((status = 200, body = HeldAnswer)))]
async fn release(State(app): State<App>, Id(id): Id, ask: Ask<ReleaseInput>) -> Result<Response, Problem> {
    let hold = HoldId(id);
    let part = |line: &ReleaseLineInput| LinePart {
        line: line.line.clone(),
        quantity: line.quantity.map(|quantity| quantity.0),
    };
    let body = match &ask.body.lines {
        None => Body::ReleaseHold(hold),
        Some(lines) => Body::ReleaseLines(ReleaseLines { hold, lines: lines.iter().map(part).collect() }),
    };
    let committed = ask.submit(&app, body).await?;
    Ok(reply(StatusCode::OK, &committed, HeldAnswer::of(&committed.answer)))
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

only_objects!(HoldInput, ExtendInput, ReleaseInput, ReleaseLineInput, ConvertInput);
