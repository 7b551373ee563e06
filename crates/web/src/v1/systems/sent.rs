//! What is sent to the systems which are master of what it is about: orders, expected receipts, transfers, requests to count.

use std::sync::Arc;

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use onhand_channels::{Channel, Errand};
use onhand_engine::View;
use onhand_engine::sent::{Shown, open_of_item, shown_of};
use onhand_engine::systems::connection;
use onhand_ledger::command::{AskRecount, PutSystem};
use onhand_ledger::model::GetsOrders;
use onhand_ledger::{Body, ItemId, OrderId, Seq, SystemId};
use onhand_store::StoreError;
use onhand_sync::sent::Of;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::super::answers::Made;
use super::super::ask::{Ask, read, reply};
use super::named;
use crate::App;
use crate::auth::Caller;
use crate::body::only_objects;
use crate::decimal::Decimal;
use crate::error::Problem;
use crate::extract::Path;

pub(super) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(set_orders)).routes(routes!(ask_recount))
}

/// Who gives a system the orders that it ships.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Giver {
    /// Somebody else does, or it asks for them: nothing is sent to it.
    ByItself,
    /// Onhand sends them, and follows what becomes of each.
    FromOnhand,
}

impl From<GetsOrders> for Giver {
    fn from(gets: GetsOrders) -> Self {
        match gets {
            GetsOrders::ByItself => Self::ByItself,
            GetsOrders::FromOnhand => Self::FromOnhand,
        }
    }
}

impl From<Giver> for GetsOrders {
    fn from(giver: Giver) -> Self {
        match giver {
            Giver::ByItself => Self::ByItself,
            Giver::FromOnhand => Self::FromOnhand,
        }
    }
}

/// Who gives a system its orders from now on.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(remote = "Self", deny_unknown_fields)]
struct OrdersInput {
    gets_orders: Giver,
}

/// Says whether a system gets the orders that are allocated where it is master from Onhand, or by itself. From then on they are sent to
/// it, and followed; what it has of ours when that ends is cancelled over there.
#[utoipa::path(post, path = "/systems/{name}/orders", tag = "systems", params(("name" = String, Path)),
    request_body = OrdersInput, responses((status = 200, body = Made)))]
async fn set_orders(
    State(app): State<App>,
    Path(name): Path<String>,
    ask: Ask<OrdersInput>,
) -> Result<Response, Problem> {
    let (id, system) = named(&app, &ask.caller, &name).await?;
    if ask.body.gets_orders == Giver::FromOnhand {
        let kind = &system.kind;
        let problem = match channel_of(&app, &ask.caller, &name, id).await? {
            Some(channel) if channel.takes_orders() => None,
            Some(_) => Some(format!("a `{kind}` takes no orders from Onhand; a `protocol` does")),
            None => Some(format!("`{name}` is not connected: connect it first")),
        };
        if let Some(problem) = problem {
            return Err(Problem::of_field("gets_orders", problem));
        }
    }
    let gets_orders = Some(ask.body.gets_orders.into());
    let put = PutSystem { name: system.name, kind: system.kind, gets_orders, ..PutSystem::default() };
    let committed = ask.submit(&app, Body::PutSystem(put)).await?;
    Ok(reply(StatusCode::OK, &committed, Made::of(&committed.answer)))
}

/// How to speak with a system; none where it is not connected.
async fn channel_of(
    app: &App,
    caller: &Caller,
    name: &str,
    id: SystemId,
) -> Result<Option<Arc<dyn Channel>>, Problem> {
    let seal = app.handle.ledger().seal();
    let connection = read(app, caller, |view| connection(view, seal, id)).await?.and_then(Result::ok);
    Ok(connection.and_then(|connection| app.connector.connect(name, &connection).ok()))
}

/// What shall be counted again.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(remote = "Self", deny_unknown_fields)]
struct RecountInput {
    sku: String,
    /// Ours: one that the system is master of.
    location: String,
    /// Why, for whoever counts.
    reason: Option<String>,
}

/// Asks a system to count an item where it is master. The request is a discrepancy (`recount`) until the system has counted, refuses to, or
/// somebody resolves it; `GET /v1/discrepancies/{id}` says where it was sent and what was answered.
#[utoipa::path(post, path = "/systems/{name}/recounts", tag = "systems", params(("name" = String, Path)),
    request_body = RecountInput, responses((status = 201, body = Made)))]
async fn ask_recount(
    State(app): State<App>,
    Path(name): Path<String>,
    ask: Ask<RecountInput>,
) -> Result<Response, Problem> {
    let (id, system) = named(&app, &ask.caller, &name).await?;
    if system.gets_orders == GetsOrders::FromOnhand
        && let Some(channel) = channel_of(&app, &ask.caller, &name, id).await?
    {
        let takes = channel.takes().await;
        if takes.is_ok_and(|takes| !takes.contains(&Errand::Recounts)) {
            let problem = format!("`{name}` takes no requests for a recount: have it count over there");
            return Err(Problem::of_field("system", problem));
        }
    }
    let RecountInput { sku, location, reason } = &ask.body;
    let body = Body::AskRecount(AskRecount {
        system: system.name,
        sku: sku.clone(),
        location: location.clone(),
        reason: reason.clone(),
    });
    let committed = ask.submit(&app, body).await?;
    Ok(reply(StatusCode::CREATED, &committed, Made::of(&committed.answer)))
}

/// What of an order was sent to a system that ships it, and what that answered.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct SentBody {
    /// To which system.
    system: String,
    /// What it is called there.
    document: String,
    /// Where it leaves from.
    location: String,
    /// The newest version that was sent.
    version: u64,
    /// When that was sent last.
    sent_at: String,
    /// `unknown` (it may have arrived or not, and is sent again), `sent`, `accepted`, `refused`, `part_shipped`, `short_picked`, `shipped` or
    /// `cancelled`.
    state: &'static str,
    /// The newest version is not answered yet: an amendment or a cancellation is on its way.
    pending: bool,
    /// Why the last try failed; none while it works.
    trouble: Option<String>,
    /// What the system says for itself.
    reason: Option<String>,
    /// When it last changed over there.
    answered_at: Option<String>,
    lines: Vec<SentLineBody>,
    /// What has left.
    parcels: Vec<ParcelBody>,
}

/// What of an item shall leave.
#[derive(Debug, Serialize, ToSchema)]
struct SentLineBody {
    sku: String,
    /// How much shall leave in all.
    asked: Decimal,
    /// How much has left by the system's word.
    shipped: Decimal,
    /// How much it will not ship: that is promised elsewhere, or short.
    declined: Decimal,
}

/// Goods that left together.
#[derive(Debug, Serialize, ToSchema)]
struct ParcelBody {
    /// Its name over there.
    parcel: String,
    shipped_at: String,
    carrier: Option<String>,
    tracking: Option<String>,
    lines: Vec<ParcelLineBody>,
}

/// Some of an item in it.
#[derive(Debug, Serialize, ToSchema)]
struct ParcelLineBody {
    sku: String,
    quantity: Decimal,
}

impl From<Shown> for SentBody {
    fn from(shown: Shown) -> Self {
        let line = |line: onhand_engine::sent::ShownLine| SentLineBody {
            sku: line.sku,
            asked: line.asked.into(),
            shipped: line.moved.into(),
            declined: line.declined.into(),
        };
        let parcels = shown.parcels.into_iter().map(|(parcel, lines)| ParcelBody {
            parcel: parcel.parcel,
            shipped_at: parcel.shipped_at.to_string(),
            carrier: parcel.carrier,
            tracking: parcel.tracking,
            lines: lines
                .into_iter()
                .map(|(sku, quantity)| ParcelLineBody { sku, quantity: quantity.into() })
                .collect(),
        });
        Self {
            system: shown.system,
            document: shown.document,
            location: shown.location,
            version: shown.version,
            sent_at: shown.sent_at.to_string(),
            state: shown.stands.name(),
            pending: shown.is_pending,
            trouble: shown.trouble,
            reason: shown.reason,
            answered_at: shown.answered_at.map(|at| at.to_string()),
            lines: shown.lines.into_iter().map(line).collect(),
            parcels: parcels.collect(),
        }
    }
}

/// All that was sent of an order, the oldest first.
pub(crate) fn sent_bodies(view: &mut View<'_>, order: OrderId) -> Result<Vec<SentBody>, StoreError> {
    Ok(shown_of(view, order.0)?.into_iter().map(SentBody::from).collect())
}

/// What was sent to the system that is master of what it is about, and what that answered.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct MasterDocumentBody {
    /// To which system.
    system: String,
    /// What it is called there.
    document: String,
    /// What it is: `order` (to be shipped), `expected_receipt`, `transfer_out` (an order to ship to another location of ours), `transfer_in`
    /// (an expected receipt from one), `expected_return`, or `recount`.
    kind: &'static str,
    /// The number of what it is about: of the order, the purchase order, the transfer, the return, or the discrepancy that asks for a count.
    of: u64,
    /// Where it leaves from, comes in or is counted.
    location: String,
    /// The newest version that was sent.
    version: u64,
    /// When that was sent last.
    sent_at: String,
    /// `unknown` (it may have arrived or not, and is sent again), `sent`, `accepted`, `refused` or `cancelled`; of what leaves `part_shipped`,
    /// `short_picked`, `shipped`; of what comes in `part_received`, `received`, `closed` (it is done before all has come); of a recount
    /// `counted`.
    state: &'static str,
    /// The newest version is not answered yet: an amendment or a cancellation is on its way.
    pending: bool,
    /// Why the last try failed; none while it works.
    trouble: Option<String>,
    /// What the system says for itself.
    reason: Option<String>,
    /// When it last changed over there.
    answered_at: Option<String>,
    /// What was asked for, item by item.
    lines: Vec<MasterLineBody>,
    /// What has left, or come in, by its word.
    parts: Vec<MasterPartBody>,
}

/// An item of it.
#[derive(Debug, Serialize, ToSchema)]
struct MasterLineBody {
    sku: String,
    /// How much shall leave, or come in, in all; of a recount 1 while it is wanted.
    asked: Decimal,
    /// How much has by its word.
    done: Decimal,
}

/// Goods that left, or came in, together.
#[derive(Debug, Serialize, ToSchema)]
struct MasterPartBody {
    /// Its name over there.
    name: String,
    at: String,
    lines: Vec<ParcelLineBody>,
}

impl From<Shown> for MasterDocumentBody {
    fn from(shown: Shown) -> Self {
        let kind = match shown.of {
            Of::Order(_) => "order",
            Of::Purchase(_) => "expected_receipt",
            Of::Dispatch(_) => "transfer_out",
            Of::Arrival(_) => "transfer_in",
            Of::Recount(_) => "recount",
            Of::Return(_) => "expected_return",
        };
        let line = |line: onhand_engine::sent::ShownLine| MasterLineBody {
            sku: line.sku,
            asked: line.asked.into(),
            done: line.moved.into(),
        };
        let parts = shown.parcels.into_iter().map(|(part, lines)| MasterPartBody {
            name: part.parcel,
            at: part.shipped_at.to_string(),
            lines: lines
                .into_iter()
                .map(|(sku, quantity)| ParcelLineBody { sku, quantity: quantity.into() })
                .collect(),
        });
        Self {
            system: shown.system,
            document: shown.document,
            kind,
            of: shown.of.seq(),
            location: shown.location,
            version: shown.version,
            sent_at: shown.sent_at.to_string(),
            state: shown.stands.name(),
            pending: shown.is_pending,
            trouble: shown.trouble,
            reason: shown.reason,
            answered_at: shown.answered_at.map(|at| at.to_string()),
            lines: shown.lines.into_iter().map(line).collect(),
            parts: parts.collect(),
        }
    }
}

/// All that was sent of what an entry made, the oldest first.
pub(crate) fn sent_to_masters(view: &mut View<'_>, made: Seq) -> Result<Vec<MasterDocumentBody>, StoreError> {
    Ok(shown_of(view, made)?.into_iter().map(MasterDocumentBody::from).collect())
}

/// What masters have of an item and are not done with.
pub(crate) fn open_at_masters(
    view: &mut View<'_>,
    item: ItemId,
) -> Result<Vec<MasterDocumentBody>, StoreError> {
    Ok(open_of_item(view, item)?.into_iter().map(MasterDocumentBody::from).collect())
}

only_objects!(OrdersInput, RecountInput);
