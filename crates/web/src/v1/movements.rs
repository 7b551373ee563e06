//! Movements: receive, adjust, transfer, move between states.

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use onhand_ledger::command::{Adjust, Line, MoveState, Receive, Transfer};
use onhand_ledger::{Body, StockState};
use serde::Deserialize;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::answers::{MovedAnswer, PriceInput};
use super::ask::{Ask, instant, noted, reply};
use crate::App;
use crate::body::only_objects;
use crate::decimal::Decimal;
use crate::error::Problem;

pub(super) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(receive_stock))
        .routes(routes!(adjust_stock))
        .routes(routes!(transfer_stock))
        .routes(routes!(move_state))
}

/// So much of a SKU.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(remote = "Self", deny_unknown_fields)]
pub(super) struct LineInput {
    /// What.
    pub sku: String,
    /// How much; of packs, where one is named.
    pub quantity: Decimal,
    /// Of which lot, where the item is tracked by lots; of which lot the serials are, where it is tracked by these.
    pub lot: Option<String>,
    /// The last day (such as 2026-11-30) the lot or serials may be sold on; only where they are told for the first time.
    pub expires: Option<String>,
    /// Which pieces, where the item is tracked by serials: as many as `quantity` says.
    pub serials: Option<Vec<String>>,
    /// One of the item's packs, such as `case`, which `quantity` counts then; single units where left out.
    pub pack: Option<String>,
    /// What one unit did cost; only of goods that came in from outside.
    pub unit_cost: Option<PriceInput>,
}

pub(super) fn lines(lines: &[LineInput]) -> Result<Vec<Line>, Problem> {
    let line = |line: &LineInput| {
        Ok(Line {
            sku: line.sku.clone(),
            quantity: line.quantity.0,
            lot: line.lot.clone(),
            expires: line.expires.as_deref().map(day).transpose()?,
            serials: line.serials.clone(),
            pack: line.pack.clone(),

            unit_cost: line.unit_cost.as_ref().map(PriceInput::money),
        })
    };
    lines.iter().map(line).collect()
}

/// A day, such as 2026-11-30.
pub(super) fn day(text: &str) -> Result<jiff::civil::Date, Problem> {
    text.parse()
        .map_err(|_| Problem::of_field("expires", format!("`{text}` is not a day such as 2026-11-30")))
}

/// Goods that came in.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(remote = "Self", deny_unknown_fields)]
struct ReceiveBody {
    location: String,
    lines: Vec<LineInput>,
    /// When; now unless told.
    occurred_at: Option<String>,
    /// `received` unless told.
    reason: Option<String>,
    /// The paper it was done by, such as a delivery note.
    reference: Option<String>,
    /// Free words.
    note: Option<String>,
}

/// Goods came in from outside.
#[utoipa::path(post, path = "/movements/receive", tag = "movements", request_body = ReceiveBody,
    responses((status = 200, body = MovedAnswer)))]
async fn receive_stock(State(app): State<App>, ask: Ask<ReceiveBody>) -> Result<Response, Problem> {
    let body = Body::Receive(Receive {
        location: ask.body.location.clone(),
        lines: lines(&ask.body.lines)?,
        occurred_at: instant("occurred_at", ask.body.occurred_at.as_deref())?,
        reason: ask.body.reason.clone(),
    });
    let body = noted(body, ask.body.reference.as_ref(), ask.body.note.as_ref());
    let committed = ask.submit(&app, body).await?;
    Ok(reply(StatusCode::OK, &committed, MovedAnswer::of(committed.answer.clone())))
}

/// Differences found.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(remote = "Self", deny_unknown_fields)]
struct AdjustBody {
    location: String,
    /// Quantities are differences here: negative for what is gone.
    lines: Vec<LineInput>,
    /// When; now unless told.
    occurred_at: Option<String>,
    /// `correction`, `cycle_count`, `received`, `restock`, `damaged`, `shrinkage`, `found`, `promotion`,
    /// `quality_control`, `safety_stock`, `other`; or a code of your own: up to 40 small letters, digits and `_`.
    reason: String,
    /// The paper it was done by, such as a delivery note.
    reference: Option<String>,
    /// Free words.
    note: Option<String>,
}

/// Stock is more or less than the books say.
#[utoipa::path(post, path = "/movements/adjust", tag = "movements", request_body = AdjustBody,
    responses((status = 200, body = MovedAnswer)))]
async fn adjust_stock(State(app): State<App>, ask: Ask<AdjustBody>) -> Result<Response, Problem> {
    let body = Body::Adjust(Adjust {
        location: ask.body.location.clone(),
        lines: lines(&ask.body.lines)?,
        occurred_at: instant("occurred_at", ask.body.occurred_at.as_deref())?,
        reason: ask.body.reason.clone(),
    });
    let body = noted(body, ask.body.reference.as_ref(), ask.body.note.as_ref());
    let committed = ask.submit(&app, body).await?;
    Ok(reply(StatusCode::OK, &committed, MovedAnswer::of(committed.answer.clone())))
}

/// Goods that change place.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(remote = "Self", deny_unknown_fields)]
struct TransferBody {
    from: String,
    to: String,
    lines: Vec<LineInput>,
    /// When; now unless told.
    occurred_at: Option<String>,
    /// The paper it was done by, such as a delivery note.
    reference: Option<String>,
    /// Free words.
    note: Option<String>,
}

/// Goods went from one location to another, at once.
#[utoipa::path(post, path = "/movements/transfer", tag = "movements", request_body = TransferBody,
    responses((status = 200, body = MovedAnswer)))]
async fn transfer_stock(State(app): State<App>, ask: Ask<TransferBody>) -> Result<Response, Problem> {
    let body = Body::Transfer(Transfer {
        from: ask.body.from.clone(),
        to: ask.body.to.clone(),
        lines: lines(&ask.body.lines)?,
        occurred_at: instant("occurred_at", ask.body.occurred_at.as_deref())?,
    });
    let body = noted(body, ask.body.reference.as_ref(), ask.body.note.as_ref());
    let committed = ask.submit(&app, body).await?;
    Ok(reply(StatusCode::OK, &committed, MovedAnswer::of(committed.answer.clone())))
}

/// A state that stock is moved between by hand.
#[derive(Debug, Clone, Copy, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
enum HandState {
    Available,
    Damaged,
    QualityControl,
    SafetyStock,
}

impl From<HandState> for StockState {
    fn from(state: HandState) -> Self {
        match state {
            HandState::Available => Self::Available,
            HandState::Damaged => Self::Damaged,
            HandState::QualityControl => Self::QualityControl,
            HandState::SafetyStock => Self::SafetyStock,
        }
    }
}

/// Goods that change state.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(remote = "Self", deny_unknown_fields)]
struct MoveBody {
    location: String,
    lines: Vec<LineInput>,
    from: HandState,
    to: HandState,
    /// A code, as in `/v1/movements/adjust`.
    reason: String,
    /// When; now unless told.
    occurred_at: Option<String>,
    /// The paper it was done by, such as a delivery note.
    reference: Option<String>,
    /// Free words.
    note: Option<String>,
}

/// Stock changed its state where it is: damaged, set aside, kept back, released.
#[utoipa::path(post, path = "/movements/state", tag = "movements", request_body = MoveBody,
    responses((status = 200, body = MovedAnswer)))]
async fn move_state(State(app): State<App>, ask: Ask<MoveBody>) -> Result<Response, Problem> {
    let body = Body::Move(MoveState {
        location: ask.body.location.clone(),
        lines: lines(&ask.body.lines)?,
        from: ask.body.from.into(),
        to: ask.body.to.into(),
        reason: ask.body.reason.clone(),
        occurred_at: instant("occurred_at", ask.body.occurred_at.as_deref())?,
    });
    let body = noted(body, ask.body.reference.as_ref(), ask.body.note.as_ref());
    let committed = ask.submit(&app, body).await?;
    Ok(reply(StatusCode::OK, &committed, MovedAnswer::of(committed.answer.clone())))
}

only_objects!(LineInput, ReceiveBody, AdjustBody, TransferBody, MoveBody);
