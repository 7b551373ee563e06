//! Purchase orders: what suppliers shall deliver, and what has come of it; and what can be promised by a day.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use onhand_engine::View;
use onhand_ledger::answer::PurchaseLineAnswer;
use onhand_ledger::command::{
    AmendPurchase, AmendedLine, DeliveredLine, EndPurchase, PlacePurchase, PurchaseOrderLine, ReceivePurchase,
};
use onhand_ledger::model::Purchase;
use onhand_ledger::{Answer, Body, Key, Money, PurchaseId, Seq, Value};
use onhand_store::StoreError;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::answers::{MovedBody, PriceBody, PriceInput};
use super::ask::{Ask, date, instant, noted, read, reply};
use super::orders::ReturnState;
use super::page::{Page, PageQuery};
use super::systems::sent::{MasterDocumentBody, sent_to_masters};
use crate::App;
use crate::auth::Caller;
use crate::body::only_objects;
use crate::decimal::Decimal;
use crate::error::Problem;
use crate::extract::{Id, Path, Query};

pub(super) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(place, list))
        .routes(routes!(show))
        .routes(routes!(amend))
        .routes(routes!(receive))
        .routes(routes!(close))
        .routes(routes!(cancel))
        .routes(routes!(show_available))
}

/// One line, as answered.
#[derive(Debug, Serialize, ToSchema)]
struct PurchaseLineState {
    /// Its name.
    line: String,
    sku: String,
    /// How much is ordered.
    quantity: Decimal,
    /// How much has come.
    received: Decimal,
    /// How much is still expected.
    open: Decimal,
    /// How much came beyond what is ordered.
    over: Decimal,
}

impl From<PurchaseLineAnswer> for PurchaseLineState {
    fn from(line: PurchaseLineAnswer) -> Self {
        Self {
            line: line.line,
            sku: line.sku,
            quantity: line.quantity.into(),
            received: line.received.into(),
            open: line.open.into(),
            over: line.over.into(),
        }
    }
}

/// A purchase order, as answered to who placed or changed it.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct PurchaseAnswer {
    id: u64,
    /// Its lines as they are now.
    lines: Vec<PurchaseLineState>,
    /// What moved.
    movements: Vec<MovedBody>,
    /// What came up and waits in the inbox.
    discrepancies: Vec<u64>,
}

impl PurchaseAnswer {
    pub(super) fn of(answer: Answer) -> Self {
        match answer {
            Answer::Purchase { id, lines, moved, discrepancies } => Self {
                id: id.0,
                lines: lines.into_iter().map(PurchaseLineState::from).collect(),
                movements: moved.into_iter().map(MovedBody::from).collect(),
                discrepancies: discrepancies.iter().map(|found| found.0).collect(),
            },
            _ => Self { id: 0, lines: Vec::new(), movements: Vec::new(), discrepancies: Vec::new() },
        }
    }
}

/// What is ordered of an item.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(remote = "Self", deny_unknown_fields)]
struct PurchaseLineInput {
    sku: String,
    /// How much; of packs, where one is named.
    quantity: Decimal,
    /// One of the item's packs, such as `case`, which `quantity` counts then; single units where left out.
    pack: Option<String>,
    /// The day it is expected on; that of the purchase order unless told.
    expected_on: Option<String>,
    unit_cost: Option<PriceInput>,
}

/// What a supplier shall deliver.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(remote = "Self", deny_unknown_fields)]
struct PlacePurchaseBody {
    /// The supplier's name.
    supplier: String,
    /// Your name for it, unique among purchase orders. Receipts that other systems tell of name it.
    reference: Option<String>,
    /// Where it is expected.
    location: String,
    /// The day it is expected on, such as 2026-12-01.
    expected_on: Option<String>,
    /// At most 1,000; they are named 1, 2, 3, …
    lines: Vec<PurchaseLineInput>,
}

fn cost(given: Option<&PriceInput>) -> Option<Money> {
    given.map(PriceInput::money)
}

/// Expects goods from a supplier: they are `incoming`, and no stock, until they come.
#[utoipa::path(post, path = "/purchase-orders", tag = "purchase_orders", request_body = PlacePurchaseBody,
    responses((status = 201, body = PurchaseAnswer)))]
async fn place(State(app): State<App>, ask: Ask<PlacePurchaseBody>) -> Result<Response, Problem> {
    let line = |line: &PurchaseLineInput| {
        Ok(PurchaseOrderLine {
            sku: line.sku.clone(),
            quantity: line.quantity.0,
            pack: line.pack.clone(),
            expected_on: date("expected_on", line.expected_on.as_deref())?,
            unit_cost: cost(line.unit_cost.as_ref()),
        })
    };
    let body = Body::PlacePurchase(PlacePurchase {
        supplier: ask.body.supplier.clone(),
        reference: ask.body.reference.clone(),
        location: ask.body.location.clone(),
        expected_on: date("expected_on", ask.body.expected_on.as_deref())?,
        lines: ask.body.lines.iter().map(line).collect::<Result<_, Problem>>()?,
    });
    let committed = ask.submit(&app, body).await?;
    Ok(reply(StatusCode::CREATED, &committed, PurchaseAnswer::of(committed.answer.clone())))
}

/// What changes of a line; without `line`, a new one.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(remote = "Self", deny_unknown_fields)]
struct AmendedInput {
    /// The line's name; a new line unless told.
    line: Option<String>,
    /// What, for a new line.
    sku: Option<String>,
    /// How much is ordered in all; not less than has come. Of packs, where one is named.
    quantity: Option<Decimal>,
    /// One of the item's packs, which `quantity` counts then; single units where left out.
    pack: Option<String>,
    /// The day it is expected on.
    expected_on: Option<String>,
    unit_cost: Option<PriceInput>,
}

/// What changes.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(remote = "Self", deny_unknown_fields)]
struct AmendPurchaseBody {
    lines: Vec<AmendedInput>,
}

/// Changes quantities, days and costs of a purchase order, or adds lines to it.
#[utoipa::path(post, path = "/purchase-orders/{id}/amend", tag = "purchase_orders", params(("id" = u64, Path)),
    request_body = AmendPurchaseBody, responses((status = 200, body = PurchaseAnswer)))]
async fn amend(State(app): State<App>, Id(id): Id, ask: Ask<AmendPurchaseBody>) -> Result<Response, Problem> {
    let line = |line: &AmendedInput| {
        Ok(AmendedLine {
            line: line.line.clone(),
            sku: line.sku.clone(),
            quantity: line.quantity.map(|quantity| quantity.0),
            pack: line.pack.clone(),
            expected_on: date("expected_on", line.expected_on.as_deref())?,
            unit_cost: cost(line.unit_cost.as_ref()),
        })
    };
    let lines = ask.body.lines.iter().map(line).collect::<Result<_, Problem>>()?;
    let body = Body::AmendPurchase(AmendPurchase { purchase: PurchaseId(id), lines });
    let committed = ask.submit(&app, body).await?;
    Ok(reply(StatusCode::OK, &committed, PurchaseAnswer::of(committed.answer.clone())))
}

/// What came of a line.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(remote = "Self", deny_unknown_fields)]
struct DeliveredInput {
    /// The line's name.
    line: String,
    /// How much; more than is ordered is taken too, and said. Of packs, where one is named.
    quantity: Decimal,
    /// One of the item's packs, which `quantity` counts then; single units where left out.
    pack: Option<String>,
    /// Of which lot, where the item is tracked by lots.
    lot: Option<String>,
    /// The last day the lot or serials may be sold on; only where they are told for the first time.
    expires: Option<String>,
    /// Which pieces, where the item is tracked by serials: as many as `quantity` says.
    serials: Option<Vec<String>>,
    /// What one unit did cost; as ordered unless told.
    unit_cost: Option<PriceInput>,
}

/// What came.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(remote = "Self", deny_unknown_fields)]
struct ReceivePurchaseBody {
    /// All that is expected unless told.
    lines: Option<Vec<DeliveredInput>>,
    /// Where; where it is expected unless told.
    location: Option<String>,
    /// `available` unless told.
    #[serde(default)]
    into: ReturnState,
    /// When; now unless told.
    occurred_at: Option<String>,
    /// The delivery note.
    reference: Option<String>,
    /// Free words.
    note: Option<String>,
}

/// Goods of a purchase order came. A wrong receipt is reversed as any movement, and is expected again.
#[utoipa::path(post, path = "/purchase-orders/{id}/receive", tag = "purchase_orders", params(("id" = u64, Path)),
    request_body = ReceivePurchaseBody, responses((status = 200, body = PurchaseAnswer)))]
async fn receive(
    State(app): State<App>,
    Id(id): Id,
    ask: Ask<ReceivePurchaseBody>,
) -> Result<Response, Problem> {
    let line = |line: &DeliveredInput| {
        Ok(DeliveredLine {
            line: line.line.clone(),
            quantity: line.quantity.0,
            pack: line.pack.clone(),
            lot: line.lot.clone(),
            expires: date("expires", line.expires.as_deref())?,
            serials: line.serials.clone(),
            unit_cost: cost(line.unit_cost.as_ref()),
        })
    };
    let lines = ask.body.lines.as_ref();
    let lines = lines.map(|lines| lines.iter().map(line).collect::<Result<_, Problem>>()).transpose()?;
    let body = Body::ReceivePurchase(ReceivePurchase {
        purchase: PurchaseId(id),
        lines,
        location: ask.body.location.clone(),
        into: ask.body.into.into(),
        occurred_at: instant("occurred_at", ask.body.occurred_at.as_deref())?,
    });
    let body = noted(body, ask.body.reference.as_ref(), ask.body.note.as_ref());
    let committed = ask.submit(&app, body).await?;
    Ok(reply(StatusCode::OK, &committed, PurchaseAnswer::of(committed.answer.clone())))
}

/// Nothing.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(remote = "Self", deny_unknown_fields)]
struct EndPurchaseBody {}

/// The rest of a purchase order will not come.
#[utoipa::path(post, path = "/purchase-orders/{id}/close", tag = "purchase_orders", params(("id" = u64, Path)),
    request_body = EndPurchaseBody, responses((status = 200, body = PurchaseAnswer)))]
async fn close(State(app): State<App>, Id(id): Id, ask: Ask<EndPurchaseBody>) -> Result<Response, Problem> {
    let body = Body::EndPurchase(EndPurchase { purchase: PurchaseId(id), cancel: false });
    let committed = ask.submit(&app, body).await?;
    Ok(reply(StatusCode::OK, &committed, PurchaseAnswer::of(committed.answer.clone())))
}

/// Cancels a purchase order of which nothing has come.
#[utoipa::path(post, path = "/purchase-orders/{id}/cancel", tag = "purchase_orders", params(("id" = u64, Path)),
    request_body = EndPurchaseBody, responses((status = 200, body = PurchaseAnswer)))]
async fn cancel(State(app): State<App>, Id(id): Id, ask: Ask<EndPurchaseBody>) -> Result<Response, Problem> {
    let body = Body::EndPurchase(EndPurchase { purchase: PurchaseId(id), cancel: true });
    let committed = ask.submit(&app, body).await?;
    Ok(reply(StatusCode::OK, &committed, PurchaseAnswer::of(committed.answer.clone())))
}

/// What one movement brought.
#[derive(Debug, Serialize, ToSchema)]
struct ReceiptBody {
    /// The movement's entry in the log.
    seq: u64,
    /// How much, less what was reversed of it.
    quantity: Decimal,
}

/// One line, in full.
#[derive(Debug, Serialize, ToSchema)]
struct PurchaseLineBody {
    line: String,
    sku: String,
    quantity: Decimal,
    received: Decimal,
    /// How much is still expected.
    open: Decimal,
    /// How much came beyond what is ordered.
    over: Decimal,
    /// The day it is expected on.
    expected_on: Option<String>,
    unit_cost: Option<PriceBody>,
    /// What came, movement by movement.
    receipts: Vec<ReceiptBody>,
}

/// A purchase order, in full.
#[derive(Debug, Serialize, ToSchema)]
struct PurchaseBody {
    id: u64,
    supplier: String,
    reference: Option<String>,
    location: String,
    /// `open`, `received` (nothing more is expected, though it may come), `closed` or `cancelled`.
    state: &'static str,
    placed_at: String,
    lines: Vec<PurchaseLineBody>,
    /// Where it was announced, to the system that is master there, and what that answered; only where it is looked at by itself.
    #[serde(skip_serializing_if = "Option::is_none")]
    sent: Option<Vec<MasterDocumentBody>>,
}

fn purchase_body(view: &mut View<'_>, id: u64, known: &Purchase) -> Result<PurchaseBody, StoreError> {
    let location = view.location(known.location)?.map_or_else(String::new, |location| location.code);
    let mut lines = Vec::new();
    for line in &known.lines {
        let receipts = line.receipts.iter();
        lines.push(PurchaseLineBody {
            line: line.line.clone(),
            sku: view.item(line.item)?.map_or_else(String::new, |item| item.sku),
            quantity: line.wanted.into(),
            received: line.received.into(),
            open: known.open(line).into(),
            over: (line.received - line.wanted).max(onhand_ledger::Quantity::ZERO).into(),
            expected_on: line.expected_on.map(|day| day.to_string()),
            unit_cost: line.unit_cost.clone().map(PriceBody::from),
            receipts: receipts
                .map(|part| ReceiptBody { seq: part.seq, quantity: part.quantity.into() })
                .collect(),
        });
    }
    Ok(PurchaseBody {
        id,
        supplier: known.supplier.clone(),
        reference: known.reference.clone(),
        location,
        state: known.state_name(),
        placed_at: known.placed_at.to_string(),
        lines,
        sent: None,
    })
}

/// All purchase orders, the oldest first.
#[utoipa::path(get, path = "/purchase-orders", tag = "purchase_orders", params(PageQuery),
    responses((status = 200, body = Page<PurchaseBody>)))]
async fn list(
    State(app): State<App>,
    caller: Caller,
    Query(page): Query<PageQuery>,
) -> Result<Json<Page<PurchaseBody>>, Problem> {
    let (limit, after) = (page.limit()?, page.after("purchase_orders")?);
    let found = read(&app, &caller, |view| {
        let (from, to) = (Key::Purchase(PurchaseId(after + 1)), Key::Purchase(PurchaseId(Seq::MAX >> 1)));
        let mut rows = Vec::new();
        for (key, value) in view.range(&from, &to, false, limit + 1)? {
            if let (Key::Purchase(id), Value::Purchase(known)) = (key, value) {
                rows.push((id.0, purchase_body(view, id.0, &known)?));
            }
        }
        Ok(Page::new("purchase_orders", rows, limit, view.seq()))
    });
    found.await.map(Json)
}

/// A purchase order.
#[utoipa::path(get, path = "/purchase-orders/{id}", tag = "purchase_orders", params(("id" = u64, Path)),
    responses((status = 200, body = PurchaseBody)))]
async fn show(State(app): State<App>, caller: Caller, Id(id): Id) -> Result<Json<PurchaseBody>, Problem> {
    let found = read(&app, &caller, |view| match view.get(&Key::Purchase(PurchaseId(id)))? {
        Some(Value::Purchase(known)) => {
            let sent = Some(sent_to_masters(view, id)?);
            Ok(Some(PurchaseBody { sent, ..purchase_body(view, id, &known)? }))
        }
        _ => Ok(None),
    });
    found.await?.map(Json).ok_or_else(|| Problem::unknown("purchase order", id))
}

/// Where, and by when.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
struct AvailableQuery {
    /// Only at this location; all that sell unless told.
    location: Option<String>,
    /// The day, such as 2026-12-01; today (UTC) unless told.
    by: Option<String>,
}

/// What can be promised of an item by a day, taken apart.
#[derive(Debug, Serialize, ToSchema)]
struct AvailableBody {
    sku: String,
    location: Option<String>,
    /// The day it is about.
    by: String,
    /// Available now.
    available: Decimal,
    /// Expected from suppliers up to that day.
    incoming_purchases: Decimal,
    /// On its way from other locations, expected up to that day.
    incoming_transfers: Decimal,
    /// Expected later, or nobody knows when: promised by no day.
    incoming_later: Decimal,
    /// Of `available` and `incoming_transfers`: of lots whose last day is over by then, or that were called back.
    ended: Decimal,
    /// Wanted by orders and covered by nothing, at all locations together: served before anything new.
    short: Decimal,
    /// `available` + `incoming_purchases` + `incoming_transfers` − `ended` − `short`, and not less than 0. What is expected
    /// of the components of a kit does not count for the kit.
    available_to_promise: Decimal,
    /// The last entry of the log that this sees.
    seq: u64,
}

/// What can be promised of an item by a day: available, and expected by then, less what is short.
#[utoipa::path(get, path = "/items/{sku}/available", tag = "items", params(("sku" = String, Path), AvailableQuery),
    responses((status = 200, body = AvailableBody)))]
async fn show_available(
    State(app): State<App>,
    caller: Caller,
    Path(sku): Path<String>,
    Query(query): Query<AvailableQuery>,
) -> Result<Json<AvailableBody>, Problem> {
    let by = date("by", query.by.as_deref())?;
    let found = read(&app, &caller, |view| {
        let by = by.unwrap_or(view.now.day());
        let Some((item, _)) = view.item_by_sku(&sku)? else {
            return Ok(Err(Problem::unknown("item with the SKU", &sku)));
        };
        let place = match &query.location {
            None => None,
            Some(code) => match view.location_by_code(code)? {
                Some((place, _)) => Some(place),
                None => return Ok(Err(onhand_ledger::Invalid::UnknownLocation(code.clone()).into())),
            },
        };
        let sum = view.promisable(item, place, by)?;
        Ok(Ok(AvailableBody {
            sku: sku.clone(),
            location: query.location.clone(),
            by: by.to_string(),
            available: sum.available.into(),
            incoming_purchases: sum.purchases.into(),
            incoming_transfers: sum.transfers.into(),
            incoming_later: sum.later.into(),
            ended: sum.ended.into(),
            short: sum.short.into(),
            available_to_promise: sum.promisable.into(),
            seq: view.seq(),
        }))
    });
    found.await?.map(Json)
}

only_objects!(
    PurchaseLineInput,
    PlacePurchaseBody,
    AmendedInput,
    AmendPurchaseBody,
    DeliveredInput,
    ReceivePurchaseBody,
    EndPurchaseBody
);
