//! Facts: outside documents, each in the state it is in now. Their key is (system, document, version).

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use onhand_channels::Raw;
use onhand_engine::raw::Of;
use onhand_ledger::command::{
    Content, Document, Happened, MovementLine, Name, OrderContent, OrderContentLine, ReceiptContent,
    ReceiptLine, ShipmentContent, ShipmentLine,
};
use onhand_ledger::{Answer, Body, Quantity};
use onhand_store::Note;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::answers::{LineBody, PriceInput};
use super::ask::{Ask, date, instant, reply};
use crate::App;
use crate::blocking::blocking;
use crate::body::only_objects;
use crate::decimal::Decimal;
use crate::error::Problem;

pub(super) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(record))
}

/// An outside document. Exactly one of `order`, `shipment`, `movements` and `receipt`.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(remote = "Self", deny_unknown_fields)]
struct DocumentBody {
    /// The system whose document it is; `onhand` for your own.
    system: String,
    /// Its name there, stable for ever.
    document: String,
    /// Grows with each change over there; at least 1.
    version: u64,
    /// An order, in the state it is in now.
    order: Option<OrderInput>,
    /// Goods that left.
    shipment: Option<ShipmentInput>,
    /// Sales over the counter, returns, adjustments: each line moves stock by itself.
    movements: Option<Vec<MovementInput>>,
    /// Goods that came in for a purchase order or a transfer.
    receipt: Option<ReceiptInput>,
    /// The document as its system has it, names and addresses and all: any JSON. It is no part of the ledger; it is kept sealed until the
    /// order is closed and 30 days more.
    raw: Option<serde_json::Value>,
}

/// Goods that came in for a purchase order or a transfer. That of a transfer takes newer versions.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(remote = "Self", deny_unknown_fields)]
struct ReceiptInput {
    /// The purchase order they came for, by its reference. One that is not known yet is waited for.
    purchase_order: Option<String>,
    /// The transfer they came by, by its reference; not beside `purchase_order`. One that is not known yet is waited for.
    transfer: Option<String>,
    location: String,
    occurred_at: Option<String>,
    lines: Vec<ReceiptLineInput>,
}

/// A line of it. `sku` or `listing`.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(remote = "Self", deny_unknown_fields)]
struct ReceiptLineInput {
    sku: Option<String>,
    listing: Option<String>,
    quantity: Decimal,
    /// What one unit did cost; as ordered unless told.
    unit_cost: Option<PriceInput>,
    /// Of which lot, where the item is tracked by these and the teller knows. One that is not known yet comes to be.
    lot: Option<String>,
    /// The last day it may be sold on: `2027-01-31`.
    expires: Option<String>,
    /// Which pieces, where the item is tracked by serials: as many as the quantity says.
    serials: Option<Vec<String>>,
}

/// An order in the state it is in now.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(remote = "Self", deny_unknown_fields)]
struct OrderInput {
    placed_at: Option<String>,
    /// When this state came about.
    changed_at: Option<String>,
    #[serde(default)]
    cancelled: bool,
    /// When it must have left.
    ship_by: Option<String>,
    /// The region it goes to, such as `DE` or `DE-HE`. Nothing about a person.
    ship_to: Option<String>,
    lines: Vec<DocumentLineInput>,
}

/// A line of it. `sku` or `listing`.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(remote = "Self", deny_unknown_fields)]
struct DocumentLineInput {
    line: String,
    sku: Option<String>,
    listing: Option<String>,
    /// Wanted now.
    quantity: Decimal,
    /// Has left so far.
    shipped: Option<Decimal>,
    /// Came back so far.
    returned: Option<Decimal>,
    location: Option<String>,
    /// What one unit costs.
    price: Option<PriceInput>,
}

/// Goods that left.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(remote = "Self", deny_unknown_fields)]
struct ShipmentInput {
    /// The order they left for.
    order: Option<String>,
    /// Whose order that is; the teller's unless told.
    order_system: Option<String>,
    location: String,
    occurred_at: Option<String>,
    lines: Vec<ShipmentLineInput>,
}

/// A line of it. `sku` or `listing`.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(remote = "Self", deny_unknown_fields)]
struct ShipmentLineInput {
    sku: Option<String>,
    listing: Option<String>,
    quantity: Decimal,
    /// Of which lot, or which piece, where the item is tracked and you know.
    lot: Option<String>,
}

/// What happened.
#[derive(Debug, Clone, Copy, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
enum What {
    Sold,
    Returned,
    Found,
    Lost,
    Received,
}

/// A line that moves stock by itself. `sku` or `listing`.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(remote = "Self", deny_unknown_fields)]
struct MovementInput {
    line: String,
    sku: Option<String>,
    listing: Option<String>,
    location: String,
    what: What,
    quantity: Decimal,
    occurred_at: Option<String>,
    reason: Option<String>,
}

/// What the document came to.
#[derive(Debug, Serialize, ToSchema)]
struct RecordedAnswer {
    /// `applied`, `already_applied` or `waiting`.
    result: &'static str,
    /// The order it is about.
    order: Option<u64>,
    lines: Vec<LineBody>,
    /// What came up, or what it waits for.
    discrepancies: Vec<u64>,
    /// Why it waits.
    explanation: Option<String>,
}

fn name(sku: Option<&String>, listing: Option<&String>) -> Result<Name, Problem> {
    match (sku, listing) {
        (Some(sku), None) => Ok(Name::Sku(sku.clone())),
        (None, Some(listing)) => Ok(Name::Listing(listing.clone())),
        _ => Err(Problem::of_field("sku", "each line names either `sku` or `listing`")),
    }
}

fn content(body: &DocumentBody) -> Result<Content, Problem> {
    match (&body.order, &body.shipment, &body.movements, &body.receipt) {
        (Some(order), None, None, None) => {
            let lines = order.lines.iter().map(|line| {
                Ok(OrderContentLine {
                    line: line.line.clone(),
                    item: name(line.sku.as_ref(), line.listing.as_ref())?,
                    quantity: line.quantity.0,
                    shipped: line.shipped.map_or(Quantity::ZERO, |shipped| shipped.0),
                    returned: line.returned.map_or(Quantity::ZERO, |returned| returned.0),
                    location: line.location.clone(),
                    price: line.price.as_ref().map(PriceInput::money),
                })
            });
            Ok(Content::Order(OrderContent {
                placed_at: instant("placed_at", order.placed_at.as_deref())?,
                changed_at: instant("changed_at", order.changed_at.as_deref())?,
                cancelled: order.cancelled,
                ship_by: instant("ship_by", order.ship_by.as_deref())?,
                ship_to: order.ship_to.clone(),
                lines: lines.collect::<Result<_, Problem>>()?,
            }))
        }
        (None, Some(shipment), None, None) => {
            let lines = shipment.lines.iter().map(|line| {
                let item = name(line.sku.as_ref(), line.listing.as_ref())?;
                Ok(ShipmentLine { item, quantity: line.quantity.0, lot: line.lot.clone() })
            });
            Ok(Content::Shipment(ShipmentContent {
                order: shipment.order.clone(),
                order_system: shipment.order_system.clone(),
                location: shipment.location.clone(),
                occurred_at: instant("occurred_at", shipment.occurred_at.as_deref())?,
                lines: lines.collect::<Result<_, Problem>>()?,
            }))
        }
        (None, None, Some(movements), None) => {
            let lines = movements.iter().map(|line| {
                Ok(MovementLine {
                    line: line.line.clone(),
                    item: name(line.sku.as_ref(), line.listing.as_ref())?,
                    location: line.location.clone(),
                    what: match line.what {
                        What::Sold => Happened::Sold,
                        What::Returned => Happened::Returned,
                        What::Found => Happened::Found,
                        What::Lost => Happened::Lost,
                        What::Received => Happened::Received,
                    },
                    quantity: line.quantity.0,
                    occurred_at: instant("occurred_at", line.occurred_at.as_deref())?,
                    reason: line.reason.clone(),
                })
            });
            Ok(Content::Movements(lines.collect::<Result<_, Problem>>()?))
        }
        (None, None, None, Some(receipt)) => {
            let lines = receipt.lines.iter().map(|line| {
                Ok(ReceiptLine {
                    item: name(line.sku.as_ref(), line.listing.as_ref())?,
                    quantity: line.quantity.0,
                    unit_cost: line.unit_cost.as_ref().map(PriceInput::money),
                    lot: line.lot.clone(),
                    expires: date("expires", line.expires.as_deref())?,
                    serials: line.serials.clone(),
                })
            });
            Ok(Content::Receipt(ReceiptContent {
                purchase: receipt.purchase_order.clone(),
                transfer: receipt.transfer.clone(),
                location: receipt.location.clone(),
                occurred_at: instant("occurred_at", receipt.occurred_at.as_deref())?,
                lines: lines.collect::<Result<_, Problem>>()?,
            }))
        }
        _ => Err(Problem::of_field(
            "order",
            "a document is exactly one of `order`, `shipment`, `movements` and `receipt`",
        )),
    }
}

/// What keeps the raw document with it. Of a system that there is not nothing is kept: the ledger will say so.
async fn raw_notes(app: &App, ask: &Ask<DocumentBody>) -> Result<Vec<Note>, Problem> {
    let Some(raw) = &ask.body.raw else { return Ok(Vec::new()) };
    let ledger = app.handle.ledger();
    let found = blocking(|| {
        let system = ledger.read(ask.caller.tenant, |view| view.system_by_name(&ask.body.system))?;
        let Some((system, _)) = system else { return Ok(Vec::new()) };
        let of = Of { system, document: ask.body.document.clone() };
        onhand_engine::raw::notes(ledger, ask.caller.tenant, &of, &Raw::from(raw.to_string()))
    });
    found.await.map_err(Problem::from)
}

/// Tells what has happened elsewhere. Always recorded: what stock cannot cover is short, what names unknown things
/// waits in the inbox (202) and is applied once they are known.
#[utoipa::path(post, path = "/documents", tag = "documents", request_body = DocumentBody,
    responses((status = 200, body = RecordedAnswer), (status = 202, body = RecordedAnswer)))]
async fn record(State(app): State<App>, ask: Ask<DocumentBody>) -> Result<Response, Problem> {
    let body = Body::Record(Document {
        system: ask.body.system.clone(),
        document: ask.body.document.clone(),
        version: ask.body.version,
        content: content(&ask.body)?,
    });
    let notes = raw_notes(&app, &ask).await?;
    let committed = ask.submit_noting(&app, body, None, notes).await?;
    let nothing = |result| RecordedAnswer {
        result,
        order: None,
        lines: Vec::new(),
        discrepancies: Vec::new(),
        explanation: None,
    };
    let (status, answer) = match committed.answer.clone() {
        Answer::Recorded { order, lines, discrepancies } => (
            StatusCode::OK,
            RecordedAnswer {
                order: order.map(|order| order.0),
                lines: lines.into_iter().map(LineBody::from).collect(),
                discrepancies: discrepancies.into_iter().map(|id| id.0).collect(),
                ..nothing("applied")
            },
        ),
        Answer::Waiting(id, sentence) => (
            StatusCode::ACCEPTED,
            RecordedAnswer { discrepancies: vec![id.0], explanation: Some(sentence), ..nothing("waiting") },
        ),
        _ => (StatusCode::OK, nothing("already_applied")),
    };
    Ok(reply(status, &committed, answer))
}

only_objects!(
    DocumentBody,
    OrderInput,
    DocumentLineInput,
    ShipmentInput,
    ShipmentLineInput,
    MovementInput,
    ReceiptInput,
    ReceiptLineInput
);
