//! Kits built into stock, and taken apart.

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use onhand_ledger::Body;
use onhand_ledger::command::Assemble;
use serde::Deserialize;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::answers::MovedAnswer;
use super::ask::{Ask, instant, noted, reply};
use super::movements::{LineInput, lines};
use crate::App;
use crate::body::only_objects;
use crate::decimal::Decimal;
use crate::error::Problem;

pub(super) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(assemble_kits)).routes(routes!(disassemble_kits))
}

/// What is built, or taken apart.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(remote = "Self", deny_unknown_fields)]
struct WorkBody {
    location: String,
    sku: String,
    /// How many.
    quantity: Decimal,
    /// Of which lot, or which piece, where it is tracked; with serials one at a time.
    lot: Option<String>,
    /// What goes into one of it, or comes out of one; its recipe unless told.
    components: Option<Vec<LineInput>>,
    /// When; now unless told.
    occurred_at: Option<String>,
    /// The paper it was done by.
    reference: Option<String>,
    /// Free words.
    note: Option<String>,
}

fn work(body: &WorkBody) -> Result<Assemble, Problem> {
    Ok(Assemble {
        location: body.location.clone(),
        sku: body.sku.clone(),
        quantity: body.quantity.0,
        lot: body.lot.clone(),
        components: body.components.as_deref().map(lines).transpose()?,
        occurred_at: instant("occurred_at", body.occurred_at.as_deref())?,
    })
}

/// Components that are available become kits.
#[utoipa::path(post, path = "/movements/assemble", tag = "movements", request_body = WorkBody,
    responses((status = 200, body = MovedAnswer)))]
async fn assemble_kits(State(app): State<App>, ask: Ask<WorkBody>) -> Result<Response, Problem> {
    let body = noted(Body::Assemble(work(&ask.body)?), ask.body.reference.as_ref(), ask.body.note.as_ref());
    let committed = ask.submit(&app, body).await?;
    Ok(reply(StatusCode::OK, &committed, MovedAnswer::of(committed.answer.clone())))
}

/// Kits that are available become their components again.
#[utoipa::path(post, path = "/movements/disassemble", tag = "movements", request_body = WorkBody,
    responses((status = 200, body = MovedAnswer)))]
async fn disassemble_kits(State(app): State<App>, ask: Ask<WorkBody>) -> Result<Response, Problem> {
    let body =
        noted(Body::Disassemble(work(&ask.body)?), ask.body.reference.as_ref(), ask.body.note.as_ref());
    let committed = ask.submit(&app, body).await?;
    Ok(reply(StatusCode::OK, &committed, MovedAnswer::of(committed.answer.clone())))
}

only_objects!(WorkBody);
