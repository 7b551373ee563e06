//! Corrections of movements that were entered by themselves.

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use onhand_ledger::Body;
use onhand_ledger::command::Reverse;
use serde::Deserialize;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::answers::MovedAnswer;
use super::ask::{Ask, noted, reply};
use crate::App;
use crate::body::only_objects;
use crate::decimal::Decimal;
use crate::error::Problem;
use crate::extract::Id;

pub(super) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(reverse))
}

/// What was wrong.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(remote = "Self", deny_unknown_fields)]
struct ReverseBody {
    /// How much of it; all that is not reversed yet unless told.
    quantity: Option<Decimal>,
    /// `correction`, or another code: see `/v1/movements/adjust`.
    reason: String,
    /// The paper it was done by, such as a delivery note.
    reference: Option<String>,
    /// Free words.
    note: Option<String>,
}

/// A movement was wrong: takes it back as of when it happened, so that a count taken since stands. What an order,
/// hold, count, transfer or outside document moved is corrected there; the refusal says how.
#[utoipa::path(post, path = "/movements/{seq}/reverse", tag = "movements", params(("seq" = u64, Path)),
    request_body = ReverseBody, responses((status = 200, body = MovedAnswer)))]
async fn reverse(State(app): State<App>, Id(seq): Id, ask: Ask<ReverseBody>) -> Result<Response, Problem> {
    let body = Body::Reverse(Reverse {
        seq,
        quantity: ask.body.quantity.map(|quantity| quantity.0),
        reason: ask.body.reason.clone(),
    });
    let body = noted(body, ask.body.reference.as_ref(), ask.body.note.as_ref());
    let committed = ask.submit(&app, body).await?;
    Ok(reply(StatusCode::OK, &committed, MovedAnswer::of(committed.answer.clone())))
}

only_objects!(ReverseBody);
