//! Transfers as documents: planned, dispatched into transit, received, cancelled.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use onhand_engine::View;
use onhand_ledger::answer::TransferLineAnswer;
use onhand_ledger::command::{
    AmendTransfer, ArrivedLine, CancelTransfer, DispatchTransfer, PlanTransfer, ReadyTransfer,
    ReceiveTransfer,
};
use onhand_ledger::model::{TransferDocument, TransferLine};
use onhand_ledger::{Answer, Body, Key, Seq, TransferId, Value};
use onhand_store::StoreError;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::answers::MovedBody;
use super::ask::{Ask, date, instant, noted, read, reply};
use super::movements::{LineInput, lines};
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
        .routes(routes!(plan, list))
        .routes(routes!(show))
        .routes(routes!(amend))
        .routes(routes!(ready))
        .routes(routes!(dispatch))
        .routes(routes!(receive))
        .routes(routes!(cancel))
}

/// One line of a transfer.
#[derive(Debug, Serialize, ToSchema)]
struct TransferLineBody {
    /// Its name.
    line: String,
    sku: String,
    /// How much shall go.
    quantity: Decimal,
    /// How much is kept for it where it leaves from.
    reserved: Decimal,
    /// How much has left.
    dispatched: Decimal,
    /// How much is on its way.
    in_transit: Decimal,
    /// How much of what left has come in.
    received: Decimal,
    /// How much of it was lost on the way.
    lost: Decimal,
    /// How much of it came back.
    returned: Decimal,
    /// How much came in beyond what was on its way.
    over: Decimal,
}

impl From<TransferLineAnswer> for TransferLineBody {
    fn from(line: TransferLineAnswer) -> Self {
        Self {
            line: line.line,
            sku: line.sku,
            quantity: line.quantity.into(),
            reserved: line.reserved.into(),
            dispatched: line.dispatched.into(),
            in_transit: line.in_transit.into(),
            received: line.received.into(),
            lost: line.lost.into(),
            returned: line.returned.into(),
            over: line.over.into(),
        }
    }
}

impl TransferLineBody {
    fn new(view: &mut View<'_>, line: TransferLine) -> Result<Self, StoreError> {
        Ok(Self {
            sku: view.item(line.item)?.map_or_else(String::new, |item| item.sku),
            quantity: line.wanted.into(),
            reserved: line.reserved.into(),
            dispatched: line.dispatched.into(),
            in_transit: line.in_transit().into(),
            received: line.received.into(),
            lost: line.lost.into(),
            returned: line.returned.into(),
            over: line.over.into(),
            line: line.line,
        })
    }
}

/// A transfer, as answered to who made or changed it.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct TransferAnswer {
    id: u64,
    /// Its lines as they are now.
    lines: Vec<TransferLineBody>,
    /// What moved.
    movements: Vec<MovedBody>,
    /// What came up and waits in the inbox.
    discrepancies: Vec<u64>,
}

impl TransferAnswer {
    pub(super) fn of(answer: Answer) -> Self {
        match answer {
            Answer::Transfer { id, lines, moved, discrepancies } => Self {
                id: id.0,
                lines: lines.into_iter().map(TransferLineBody::from).collect(),
                movements: moved.into_iter().map(MovedBody::from).collect(),
                discrepancies: discrepancies.iter().map(|found| found.0).collect(),
            },
            _ => Self { id: 0, lines: Vec::new(), movements: Vec::new(), discrepancies: Vec::new() },
        }
    }
}

/// What shall go.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(remote = "Self", deny_unknown_fields)]
struct PlanTransferBody {
    /// Your name for it, unique among transfers.
    reference: Option<String>,
    from: String,
    to: String,
    /// At most 1,000; they are named 1, 2, 3, …
    lines: Vec<LineInput>,
    /// The day it is expected on, such as 2026-12-01.
    expected_on: Option<String>,
}

/// Plans a transfer: a draft, which keeps nothing.
#[utoipa::path(post, path = "/transfers", tag = "transfers", request_body = PlanTransferBody,
    responses((status = 201, body = TransferAnswer)))]
async fn plan(State(app): State<App>, ask: Ask<PlanTransferBody>) -> Result<Response, Problem> {
    let body = Body::PlanTransfer(PlanTransfer {
        reference: ask.body.reference.clone(),
        from: ask.body.from.clone(),
        to: ask.body.to.clone(),
        lines: lines(&ask.body.lines)?,
        expected_on: date("expected_on", ask.body.expected_on.as_deref())?,
    });
    let committed = ask.submit(&app, body).await?;
    Ok(reply(StatusCode::CREATED, &committed, TransferAnswer::of(committed.answer.clone())))
}

/// What changes.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(remote = "Self", deny_unknown_fields)]
struct AmendTransferBody {
    /// How much of these shall go in all; not less than has left.
    #[serde(default)]
    lines: Vec<LineQuantityInput>,
    /// The day it is expected on.
    expected_on: Option<String>,
}

/// Changes how much shall go, or when it is expected. Of one that is ready more is kept, or less.
#[utoipa::path(post, path = "/transfers/{id}/amend", tag = "transfers", params(("id" = u64, Path)),
    request_body = AmendTransferBody, responses((status = 200, body = TransferAnswer)))]
async fn amend(State(app): State<App>, Id(id): Id, ask: Ask<AmendTransferBody>) -> Result<Response, Problem> {
    let body = Body::AmendTransfer(AmendTransfer {
        transfer: TransferId(id),
        lines: quantities(&ask.body.lines),
        expected_on: date("expected_on", ask.body.expected_on.as_deref())?,
    });
    let committed = ask.submit(&app, body).await?;
    Ok(reply(StatusCode::OK, &committed, TransferAnswer::of(committed.answer.clone())))
}

/// Nothing more is told.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(remote = "Self", deny_unknown_fields)]
struct ReadyTransferBody {}

/// A transfer is ready to ship: what has not left of it is reserved where it leaves from, so that nobody else gets it, and
/// is incoming where it goes. Only what is available is kept, all of it or nothing. Asked again it keeps what is lacking.
#[utoipa::path(post, path = "/transfers/{id}/ready", tag = "transfers", params(("id" = u64, Path)),
    request_body = ReadyTransferBody, responses((status = 200, body = TransferAnswer)))]
async fn ready(State(app): State<App>, Id(id): Id, ask: Ask<ReadyTransferBody>) -> Result<Response, Problem> {
    let body = Body::ReadyTransfer(ReadyTransfer { transfer: TransferId(id) });
    let committed = ask.submit(&app, body).await?;
    Ok(reply(StatusCode::OK, &committed, TransferAnswer::of(committed.answer.clone())))
}

/// What left.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(remote = "Self", deny_unknown_fields)]
struct DispatchTransferBody {
    /// All that has not left yet unless told.
    lines: Option<Vec<LineQuantityInput>>,
    /// When; now unless told.
    occurred_at: Option<String>,
    /// The paper it was done by, such as a waybill.
    reference: Option<String>,
    /// Free words.
    note: Option<String>,
}

/// Goods left: they are in transit, outside of on hand at both ends. What is reserved for it is sent first, and then only
/// what is available.
#[utoipa::path(post, path = "/transfers/{id}/dispatch", tag = "transfers", params(("id" = u64, Path)),
    request_body = DispatchTransferBody, responses((status = 200, body = TransferAnswer)))]
async fn dispatch(
    State(app): State<App>,
    Id(id): Id,
    ask: Ask<DispatchTransferBody>,
) -> Result<Response, Problem> {
    let body = Body::DispatchTransfer(DispatchTransfer {
        transfer: TransferId(id),
        lines: ask.body.lines.as_deref().map(quantities),
        occurred_at: instant("occurred_at", ask.body.occurred_at.as_deref())?,
    });
    let body = noted(body, ask.body.reference.as_ref(), ask.body.note.as_ref());
    let committed = ask.submit(&app, body).await?;
    Ok(reply(StatusCode::OK, &committed, TransferAnswer::of(committed.answer.clone())))
}

/// What came in of a line.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(remote = "Self", deny_unknown_fields)]
struct ArrivedInput {
    /// The line's name.
    line: String,
    /// How much came in; more than was on its way is taken too, and said.
    quantity: Decimal,
    /// How much was lost on the way.
    lost: Option<Decimal>,
}

/// What came in.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(remote = "Self", deny_unknown_fields)]
struct ReceiveTransferBody {
    /// All that is on its way unless told.
    lines: Option<Vec<ArrivedInput>>,
    /// `available` unless told.
    #[serde(default)]
    into: ReturnState,
    /// When; now unless told. Not before it left.
    occurred_at: Option<String>,
    /// The paper it was done by, such as a waybill.
    reference: Option<String>,
    /// Free words.
    note: Option<String>,
}

/// Goods came in, or were lost on the way. What is not told of stays in transit.
#[utoipa::path(post, path = "/transfers/{id}/receive", tag = "transfers", params(("id" = u64, Path)),
    request_body = ReceiveTransferBody, responses((status = 200, body = TransferAnswer)))]
async fn receive(
    State(app): State<App>,
    Id(id): Id,
    ask: Ask<ReceiveTransferBody>,
) -> Result<Response, Problem> {
    let arrived = |line: &ArrivedInput| ArrivedLine {
        line: line.line.clone(),
        quantity: line.quantity.0,
        lost: line.lost.map(|lost| lost.0),
    };
    let body = Body::ReceiveTransfer(ReceiveTransfer {
        transfer: TransferId(id),
        lines: ask.body.lines.as_ref().map(|lines| lines.iter().map(arrived).collect()),
        into: ask.body.into.into(),
        occurred_at: instant("occurred_at", ask.body.occurred_at.as_deref())?,
    });
    let body = noted(body, ask.body.reference.as_ref(), ask.body.note.as_ref());
    let committed = ask.submit(&app, body).await?;
    Ok(reply(StatusCode::OK, &committed, TransferAnswer::of(committed.answer.clone())))
}

/// When it ended.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(remote = "Self", deny_unknown_fields)]
struct CancelTransferBody {
    /// When what was on its way came back; now unless told.
    occurred_at: Option<String>,
}

/// Ends a transfer: what is on its way goes back to where it left from, what has not left stays and is kept no longer.
#[utoipa::path(post, path = "/transfers/{id}/cancel", tag = "transfers", params(("id" = u64, Path)),
    request_body = CancelTransferBody, responses((status = 200, body = TransferAnswer)))]
async fn cancel(
    State(app): State<App>,
    Id(id): Id,
    ask: Ask<CancelTransferBody>,
) -> Result<Response, Problem> {
    let body = Body::CancelTransfer(CancelTransfer {
        transfer: TransferId(id),
        occurred_at: instant("occurred_at", ask.body.occurred_at.as_deref())?,
    });
    let committed = ask.submit(&app, body).await?;
    Ok(reply(StatusCode::OK, &committed, TransferAnswer::of(committed.answer.clone())))
}

/// A transfer, in full.
#[derive(Debug, Serialize, ToSchema)]
struct TransferInFull {
    id: u64,
    reference: Option<String>,
    from: String,
    to: String,
    /// `draft`, `ready_to_ship`, `in_progress`, `transferred` or `cancelled`.
    state: &'static str,
    made_at: String,
    /// When the first of it left.
    dispatched_at: Option<String>,
    /// The day it is expected on.
    expected_on: Option<String>,
    lines: Vec<TransferLineBody>,
    /// Where it was sent, to the systems that are master where it leaves from or goes to, and what they answered; only where it is
    /// looked at by itself.
    #[serde(skip_serializing_if = "Option::is_none")]
    sent: Option<Vec<MasterDocumentBody>>,
}

fn transfer_body(
    view: &mut View<'_>,
    id: u64,
    known: TransferDocument,
) -> Result<TransferInFull, StoreError> {
    let mut code = |id| Ok(view.location(id)?.map_or_else(String::new, |location| location.code));
    let (from, to) = (code(known.from)?, code(known.to)?);
    let lines = known.lines.into_iter().map(|line| TransferLineBody::new(view, line));
    let lines = lines.collect::<Result<_, StoreError>>()?;
    Ok(TransferInFull {
        id,
        reference: known.reference,
        from,
        to,
        state: known.state.name(),
        made_at: known.made_at.to_string(),
        dispatched_at: known.dispatched_at.map(|at| at.to_string()),
        expected_on: known.expected_on.map(|day| day.to_string()),
        lines,
        sent: None,
    })
}

/// All transfers, the oldest first.
#[utoipa::path(get, path = "/transfers", tag = "transfers", params(PageQuery),
    responses((status = 200, body = Page<TransferInFull>)))]
async fn list(
    State(app): State<App>,
    caller: Caller,
    Query(page): Query<PageQuery>,
) -> Result<Json<Page<TransferInFull>>, Problem> {
    let (limit, after) = (page.limit()?, page.after("transfers")?);
    let found = read(&app, &caller, |view| {
        let (from, to) = (Key::Transfer(TransferId(after + 1)), Key::Transfer(TransferId(Seq::MAX >> 1)));
        let mut rows = Vec::new();
        for (key, value) in view.range(&from, &to, false, limit + 1)? {
            if let (Key::Transfer(id), Value::Transfer(known)) = (key, value) {
                rows.push((id.0, transfer_body(view, id.0, *known)?));
            }
        }
        Ok(Page::new("transfers", rows, limit, view.seq()))
    });
    found.await.map(Json)
}

/// A transfer.
#[utoipa::path(get, path = "/transfers/{id}", tag = "transfers", params(("id" = u64, Path)),
    responses((status = 200, body = TransferInFull)))]
async fn show(State(app): State<App>, caller: Caller, Id(id): Id) -> Result<Json<TransferInFull>, Problem> {
    let found = read(&app, &caller, |view| match view.get(&Key::Transfer(TransferId(id)))? {
        Some(Value::Transfer(known)) => {
            let sent = Some(sent_to_masters(view, id)?);
            Ok(Some(TransferInFull { sent, ..transfer_body(view, id, *known)? }))
        }
        _ => Ok(None),
    });
    found.await?.map(Json).ok_or_else(|| Problem::unknown("transfer", id))
}

only_objects!(
    PlanTransferBody,
    AmendTransferBody,
    ReadyTransferBody,
    DispatchTransferBody,
    ArrivedInput,
    ReceiveTransferBody,
    CancelTransferBody
);
