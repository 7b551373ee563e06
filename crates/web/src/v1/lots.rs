//! Lots and serials: what is told apart of an item, where it lies, and its way from supplier to customer.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use onhand_engine::{Past, View};
use onhand_ledger::command::PutLot;
use onhand_ledger::model::Lot;
use onhand_ledger::state::CellSlot;
use onhand_ledger::{Body, CellKey, Entry, LotId, Quantity, Seq};
use onhand_store::StoreError;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::answers::Made;
use super::ask::{Ask, instant, read, reply};
use super::history::order_name;
use super::movements::day;
use super::stock::past_of;
use crate::App;
use crate::auth::Caller;
use crate::body::only_objects;
use crate::decimal::Decimal;
use crate::error::Problem;
use crate::extract::{Path, Query};

pub(super) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(put_lot)).routes(routes!(list_lots)).routes(routes!(trace_lot))
}

/// A lot or serial to make or change. What is left out stays as it is.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(remote = "Self", deny_unknown_fields)]
struct PutLotBody {
    /// Of which item: one that is tracked.
    sku: String,
    /// Its name on the goods, exact, case included.
    lot: String,
    /// The last day it may be sold on, such as 2026-11-30; it ends with that day where it lies.
    expires: Option<String>,
    /// Called back: none of it is sold, and what is promised of it is set aside.
    recalled: Option<bool>,
}

/// Makes a lot or serial, or changes the one of that name: its last day, or that it is called back.
#[utoipa::path(post, path = "/lots", tag = "items", request_body = PutLotBody,
    responses((status = 200, body = Made)))]
async fn put_lot(State(app): State<App>, ask: Ask<PutLotBody>) -> Result<Response, Problem> {
    let PutLotBody { sku, lot, expires, recalled } = &ask.body;
    let put = PutLot {
        sku: sku.clone(),
        lot: lot.clone(),
        expires: expires.as_deref().map(day).transpose()?,
        recalled: *recalled,
    };
    let committed = ask.submit(&app, Body::PutLot(put)).await?;
    Ok(reply(StatusCode::OK, &committed, Made::of(&committed.answer)))
}

/// Some of a lot at a location.
#[derive(Debug, Serialize, ToSchema)]
struct LotPlace {
    location: String,
    /// Which piece of the lot it is, where it has serials.
    serial: Option<String>,
    /// `available`, `committed`, …
    state: String,
    quantity: Decimal,
    /// From this instant on it may not be sold there, as is known now.
    expires_at: Option<String>,
}

/// A lot or serial.
#[derive(Debug, Serialize, ToSchema)]
struct LotBody {
    id: u64,
    lot: String,
    /// The last day it may be sold on.
    expires: Option<String>,
    recalled: bool,
    /// The lot that a serial is of.
    of: Option<String>,
    /// Where some of it lies, or lay then.
    places: Vec<LotPlace>,
}

/// The serial of what is a piece of that lot.
fn piece_of(view: &mut View<'_>, lot: LotId, of: LotId) -> Result<Option<String>, StoreError> {
    if lot == of {
        return Ok(None);
    }
    Ok(view.lot(lot)?.map(|piece| piece.code))
}

fn body(
    view: &mut View<'_>,
    cells: &[(CellKey, CellSlot)],
    past: Option<Past>,
    (id, lot): (LotId, Lot),
) -> Result<LotBody, StoreError> {
    let mut places = Vec::new();
    for (cell, slot) in cells {
        if cell.state.is_party() || !view.is_of_lot(cell.lot, id)? {
            continue;
        }
        let quantity = match past {
            None => slot.quantity,
            Some(past) => view.as_of_seq(*cell, past.at, past.known)?,
        };
        if quantity.is_zero() {
            continue;
        }
        places.push(LotPlace {
            location: view.location(cell.location)?.map_or_else(String::new, |location| location.code),
            serial: piece_of(view, cell.lot, id)?,
            state: cell.state.name().to_owned(),
            quantity: quantity.into(),
            expires_at: view.expires(cell.lot, cell.location)?.map(|at| at.to_string()),
        });
    }
    let of = match lot.of {
        Some(of) => view.lot(of)?.map(|of| of.code),
        None => None,
    };
    let (expires, recalled) = (lot.expires.map(|day| day.to_string()), lot.recalled);
    Ok(LotBody { id: id.0, lot: lot.code, expires, recalled, of, places })
}

/// Which lots.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
struct LotsQuery {
    /// How many at most: 1 to 100; 50 unless told.
    #[param(minimum = 1, maximum = 100)]
    limit: Option<usize>,
    /// Only those whose name comes after this one.
    after: Option<String>,
    /// Where they lay at this instant (RFC 3339), by what happened.
    as_of: Option<String>,
    /// … as it was known at this instant.
    known_at: Option<String>,
}

/// An item's lots and serials, in the order of their names.
#[utoipa::path(get, path = "/items/{sku}/lots", tag = "items", params(("sku" = String, Path), LotsQuery),
    responses((status = 200, body = Vec<LotBody>)))]
async fn list_lots(
    State(app): State<App>,
    caller: Caller,
    Path(sku): Path<String>,
    Query(query): Query<LotsQuery>,
) -> Result<Json<Vec<LotBody>>, Problem> {
    let limit = super::page::PageQuery { limit: query.limit, cursor: None }.limit()?;
    let as_of = instant("as_of", query.as_of.as_deref())?;
    let known_at = instant("known_at", query.known_at.as_deref())?;
    let found = read(&app, &caller, |view| {
        let Some((item, _)) = view.item_by_sku(&sku)? else { return Ok(None) };
        let past = past_of(view, as_of, known_at)?;
        let (mut lots, cells) = (Vec::new(), view.cells_of(item)?);
        for lot in view.lots_of(item, query.after.as_deref().unwrap_or_default(), limit)? {
            lots.push(body(view, &cells, past, lot)?);
        }
        Ok(Some(lots))
    });
    found.await?.map(Json).ok_or_else(|| Problem::unknown("item with the SKU", &sku))
}

/// A step on a lot's way.
#[derive(Debug, Serialize, ToSchema)]
struct Step {
    /// The movement's entry in the log.
    seq: u64,
    /// Which piece of the lot it moved, where it has serials.
    serial: Option<String>,
    occurred_at: String,
    recorded_at: String,
    /// A location's code and a state, or an outside party: `supplier`, `customer`, `adjustment`, `production`.
    from: String,
    to: String,
    quantity: Decimal,
    reason: String,
    /// Who did it.
    actor: String,
    /// The outside document it comes from, with its system.
    document: Option<String>,
    /// The order it was promised to, or left for.
    order: Option<String>,
}

/// A lot's or serial's way, from supplier to customer and back.
#[derive(Debug, Serialize, ToSchema)]
struct Trace {
    lot: LotBody,
    /// The oldest step first.
    steps: Vec<Step>,
    /// There is more: ask again with the last step's `seq` as `after`.
    has_more: bool,
}

/// Which part of the way.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
struct TraceQuery {
    /// How many steps at most: 1 to 100; 50 unless told.
    #[param(minimum = 1, maximum = 100)]
    limit: Option<usize>,
    /// Only steps after this entry of the log.
    after: Option<u64>,
    /// Where it lay at this instant (RFC 3339), by what happened; the steps are all there are.
    as_of: Option<String>,
    /// … as it was known at this instant.
    known_at: Option<String>,
}

/// The way of a lot or serial: every movement of it, with who, why, and for which order.
#[utoipa::path(get, path = "/items/{sku}/lots/{lot}", tag = "items",
    params(("sku" = String, Path), ("lot" = String, Path), TraceQuery),
    responses((status = 200, body = Trace)))]
async fn trace_lot(
    State(app): State<App>,
    caller: Caller,
    Path((sku, code)): Path<(String, String)>,
    Query(query): Query<TraceQuery>,
) -> Result<Json<Trace>, Problem> {
    let limit = super::page::PageQuery { limit: query.limit, cursor: None }.limit()?;
    let after: Seq = query.after.unwrap_or_default();
    let as_of = instant("as_of", query.as_of.as_deref())?;
    let known_at = instant("known_at", query.known_at.as_deref())?;
    let found = read(&app, &caller, |view| {
        let Some((item, _)) = view.item_by_sku(&sku)? else { return Ok(None) };
        let Some((id, lot)) = view.lot_by_code(item, &code)? else { return Ok(None) };
        let mut steps = Vec::new();
        for row in view.way_of(item, id, after, limit + 1)? {
            let Entry::Movement(movement) = &row.entry else { continue };
            let mut name = |account: onhand_ledger::entry::Account| -> Result<String, StoreError> {
                let place = view.location(account.location)?.map(|location| format!("{} ", location.code));
                Ok(format!("{}{}", place.unwrap_or_default(), account.state.name()))
            };
            let (from, to) = (name(movement.from)?, name(movement.to)?);
            let system = match &row.record.document {
                Some((system, document)) => {
                    let system =
                        view.system(*system)?.map_or_else(|| "onhand".to_owned(), |known| known.name);
                    Some(format!("{system} {document}"))
                }
                None => None,
            };
            steps.push(Step {
                seq: row.seq,
                serial: piece_of(view, movement.from.lot.max(movement.to.lot), id)?,
                occurred_at: movement.occurred_at.to_string(),
                recorded_at: row.record.recorded_at.to_string(),
                from,
                to,
                quantity: Quantity::into(movement.quantity),
                reason: movement.reason.clone(),
                actor: row.record.actor.clone(),
                document: system,
                order: row.order.map(|order| order_name(view, order)).transpose()?.flatten(),
            });
        }
        let has_more = steps.len() > limit;
        steps.truncate(limit);
        let (cells, past) = (view.cells_of(item)?, past_of(view, as_of, known_at)?);
        Ok(Some(Trace { lot: body(view, &cells, past, (id, lot))?, steps, has_more }))
    });
    found.await?.map(Json).ok_or_else(|| Problem::unknown(&format!("lot or serial of `{sku}` called"), &code))
}

only_objects!(PutLotBody);
