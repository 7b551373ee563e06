//! The account's API over HTTP: who is let in, how often, what may be asked, and what is answered.
//!
//! What is required, and of which type, is held against its pages (<https://skulabs.mintlify.app/api-docs/item/get> and the others there); what is
//! not as it must be is refused with 400 (<https://skulabs.mintlify.app/best-practices/handling-status-codes>).

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::{Query, Request, State as Shared};
use axum::http::{StatusCode, header};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{Html, IntoResponse, Response};
use axum::routing::{get, post, put};
use axum::{Json, Router};
use serde_json::{Value, json};

use super::state::{Order, STATUSES, State, order_json};
use super::{SkuLabs, control};
use crate::wire::EventKind;

type Account = Shared<Arc<SkuLabs>>;
type Params = Query<BTreeMap<String, String>>;
type Answer = Result<Json<Value>, Refused>;

/// A page has so many rows at most, and so many where nobody says.
const PAGE: usize = 500;

/// How often it was called: the second and the hour that are counted.
#[derive(Default)]
pub(super) struct Calls {
    second: (i64, u32),
    hour: (i64, u32),
}

impl Calls {
    /// Counts a call, or says how long to wait.
    fn take(&mut self, now: i64, per_second: u32, per_hour: u32) -> Result<(), i64> {
        let (second, hour) = (now.div_euclid(1_000_000), now.div_euclid(3_600_000_000));
        if self.second.0 != second {
            self.second = (second, 0);
        }
        if self.hour.0 != hour {
            self.hour = (hour, 0);
        }
        if self.hour.1 >= per_hour {
            return Err((hour + 1) * 3_600 - second);
        }
        if self.second.1 >= per_second {
            return Err(1);
        }
        self.second.1 += 1;
        self.hour.1 += 1;
        Ok(())
    }
}

/// A refusal.
pub(super) struct Refused(StatusCode, String, Option<i64>);

impl IntoResponse for Refused {
    fn into_response(self) -> Response {
        let Self(status, message, wait) = self;
        let mut error = json!({ "message": message });
        if let Some(wait) = wait {
            error["data"] = json!({ "wait_seconds": wait });
        }
        (status, Json(json!({ "error": error }))).into_response()
    }
}

fn wrong(message: impl Into<String>) -> Refused {
    Refused(StatusCode::BAD_REQUEST, message.into(), None)
}

fn limited(wait: i64) -> Refused {
    let said = "Rate limited. Your account may not be called so often.".to_owned();
    Refused(StatusCode::TOO_MANY_REQUESTS, said, Some(wait))
}

/// The account's API, its control and its page.
pub fn router(account: Arc<SkuLabs>) -> Router {
    let api = Router::new()
        .route("/warehouse/get", get(warehouses))
        .route("/location/get_list", get(bins))
        .route("/location/add_item", post(add_item))
        .route("/item/get", get(items))
        .route("/kit/get", get(kits))
        .route("/inventory/get_grouped_locations_map", post(grouped))
        .route("/inventory/calculate_free_map", post(free))
        .route("/inventory/bulk_reconciliation", post(reconcile))
        .route("/order/get", get(orders))
        .route("/order/get_single", get(order))
        .route("/order/get_single_bulk", post(orders_by_name))
        .route("/order/status", get(status))
        .route("/order/add", post(add_order))
        .route("/order/override", put(override_order))
        .route("/order/modify_status", put(modify_status))
        .route("/order/add_manual_shipment", post(add_shipment))
        .layer(from_fn_with_state(account.clone(), let_in))
        .layer(from_fn_with_state(account.clone(), misbehave));
    api.merge(control::router()).with_state(account)
}

async fn let_in(Shared(account): Account, request: Request, next: Next) -> Response {
    let told = request.headers().get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
    let key =
        told.and_then(|told| told.strip_prefix("Bearer ").or_else(|| told.strip_prefix("SKULabsToken ")));
    if key != Some(account.setup.key.as_str()) {
        return Refused(StatusCode::UNAUTHORIZED, "Not authorized".to_owned(), None).into_response();
    }
    let counted =
        account.calls.lock().take((account.clock)(), account.setup.per_second, account.setup.per_hour);
    if let Err(wait) = counted {
        return limited(wait).into_response();
    }
    let asks = ["get_", "calculate_"];
    let path = request.uri().path();
    let is_question = request.method().is_safe() || asks.iter().any(|asks| path.contains(asks));
    if account.state.lock().faults.read_only && !is_question {
        return Refused(StatusCode::FORBIDDEN, "Missing permissions".to_owned(), None).into_response();
    }
    next.run(request).await
}

async fn misbehave(Shared(account): Account, request: Request, next: Next) -> Response {
    let faults = {
        let mut state = account.state.lock();
        state.calls += 1;
        let faults = state.faults.clone();
        let now = &mut state.faults;
        for count in [&mut now.throttle_next, &mut now.fail_next, &mut now.lose_next] {
            if *count > 0 {
                *count -= 1;
                break;
            }
        }
        faults
    };
    tokio::time::sleep(Duration::from_millis(faults.latency_ms)).await;
    if faults.throttle_next > 0 {
        return limited(1).into_response();
    }
    if faults.fail_next > 0 {
        return (StatusCode::BAD_GATEWAY, Html("<html><h1>502 Bad Gateway</h1></html>")).into_response();
    }
    let answer = next.run(request).await;
    if faults.lose_next > 0 {
        return (StatusCode::GATEWAY_TIMEOUT, Html("<html><h1>504 Gateway Time-out</h1></html>"))
            .into_response();
    }
    answer
}

/// Does a row answer a selector? So much of its language is spoken here: equality, and `$in`.
fn answers(row: &Value, selector: &Value) -> Result<bool, Refused> {
    let Some(wanted) = selector.as_object() else { return Err(wrong("selector must be an object")) };
    let mut all = true;
    for (field, wanted) in wanted {
        let is = |value: &Value| row[field] == *value;
        all &= match wanted {
            Value::Object(ways) => {
                let only = ways.iter().next().filter(|_| ways.len() == 1);
                let Some(("$in", Value::Array(any))) = only.map(|(way, value)| (way.as_str(), value)) else {
                    return Err(wrong(format!("the stand-in knows no such selector: {wanted}")));
                };
                any.iter().any(is)
            }
            Value::Array(any) => any.iter().any(is),
            value => is(value),
        };
    }
    Ok(all)
}

/// The rows that were asked for, of all that there are in the order of their ids.
fn listed(all: Vec<Value>, params: &BTreeMap<String, String>) -> Answer {
    let read = |name: &str| {
        let text = params.get(name).map(|text| serde_json::from_str::<Value>(text));
        text.transpose().map_err(|_| wrong(format!("{name} must be JSON")))
    };
    let selector = read("selector")?.ok_or_else(|| wrong("selector is required"))?;
    let number = |name: &str| match read(name)? {
        None => Ok(None),
        Some(value) => value.as_u64().map(Some).ok_or_else(|| wrong(format!("{name} must be a number"))),
    };
    let limit = number("limit")?.and_then(|limit| usize::try_from(limit).ok()).unwrap_or(PAGE).min(PAGE);
    let skip = number("skip")?.and_then(|skip| usize::try_from(skip).ok()).unwrap_or(0);
    let mut rows = Vec::new();
    for row in all {
        if answers(&row, &selector)? {
            rows.push(row);
        }
    }
    rows.sort_by(|one, other| one["_id"].as_str().cmp(&other["_id"].as_str()));
    match read("sort")? {
        None => {}
        Some(sort) if sort == json!({ "_id": 1 }) => {}
        Some(sort) if sort == json!({ "_id": -1 }) => rows.reverse(),
        Some(sort) => return Err(wrong(format!("the stand-in sorts by _id alone: {sort}"))),
    }
    let fields = read("fields")?;
    let cut = |mut row: Value| {
        if let (Some(fields), Some(object)) = (&fields, row.as_object_mut()) {
            object.retain(|name, _| name == "_id" || fields.get(name).is_some());
        }
        row
    };
    Ok(Json(rows.into_iter().skip(skip).take(limit).map(cut).collect()))
}

async fn warehouses(Shared(account): Account, Query(params): Params) -> Answer {
    let state = account.state.lock();
    let row = |(id, name): (&String, &String)| json!({ "_id": id, "name": name });
    listed(state.warehouses.iter().map(row).collect(), &params)
}

async fn bins(Shared(account): Account, Query(params): Params) -> Answer {
    let state = account.state.lock();
    let row = |(id, (warehouse, name)): (&String, &(String, String))| json!({ "_id": id, "warehouse_id": warehouse, "name": name });
    listed(state.bins.iter().map(row).collect(), &params)
}

async fn items(Shared(account): Account, Query(params): Params) -> Answer {
    let state = account.state.lock();
    let row = |(id, item): (&String, &super::state::Item)| {
        let listings = item.listings.iter().map(|(store, product, variant)| {
            json!({ "store_id": store, "item_id": product, "variant_id": variant })
        });
        json!({ "_id": id, "sku": item.sku, "name": item.name, "active": item.active, "barcodes": [],
            "listings": listings.collect::<Vec<_>>() })
    };
    listed(state.items.iter().map(row).collect(), &params)
}

async fn kits(Shared(account): Account, Query(params): Params) -> Answer {
    let state = account.state.lock();
    let row = |(id, kit): (&String, &super::state::Kit)| {
        let parts = kit.parts.iter().map(|(item, each)| json!({ "item_id": item, "quantity": each }));
        json!({ "_id": id, "name": kit.name, "listing_sku": kit.sku, "active": true, "listings": [],
            "items": parts.collect::<Vec<_>>() })
    };
    listed(state.kits.iter().map(row).collect(), &params)
}

/// By bin, as it is unless told otherwise.
async fn grouped(Shared(account): Account, Json(asked): Json<Value>) -> Answer {
    if !asked["data"].is_object() {
        return Err(wrong("data is required"));
    }
    let state = account.state.lock();
    let mut groups = BTreeMap::<&String, Vec<Value>>::new();
    for ((bin, item), on_hand) in &state.held {
        let row = json!({ "location_id": bin, "item_id": item, "on_hand": on_hand, "alert": 0 });
        groups.entry(bin).or_default().push(row);
    }
    Ok(Json(groups.into_iter().map(|(bin, rows)| json!({ "_id": bin, "locations": rows })).collect()))
}

/// What is reserved in it may be five minutes old.
async fn free(Shared(account): Account, Json(asked): Json<Value>) -> Answer {
    let ids = asked["items_ids"].as_array().ok_or_else(|| wrong("items_ids is required"))?;
    let mut state = account.state.lock();
    let reserved = state.cached_reserved((account.clock)());
    let of = |id: &Value| {
        let id = id.as_str()?;
        Some((id.to_owned(), json!(state.on_hand(id, None) - reserved.get(id).copied().unwrap_or(0))))
    };
    Ok(Json(Value::Object(ids.iter().filter_map(of).collect())))
}

fn text<'a>(asked: &'a Value, name: &str) -> Result<&'a str, Refused> {
    asked[name].as_str().filter(|text| !text.is_empty()).ok_or_else(|| wrong(format!("{name} is required")))
}

/// Would more than that be for sale of something?
fn too_many(state: &State, item: &str, more: i64) -> bool {
    state.faults.refuse_above.is_some_and(|most| more > 0 && state.free(item) + more > most)
}

async fn add_item(Shared(account): Account, Json(asked): Json<Value>) -> Answer {
    let (bin, item) = (text(&asked, "id")?.to_owned(), text(&asked, "item_id")?.to_owned());
    let on_hand = asked["on_hand"].as_i64().ok_or_else(|| wrong("on_hand is required"))?;
    let now = (account.clock)();
    let mut state = account.state.lock();
    if !state.bins.contains_key(&bin) || !state.items.contains_key(&item) {
        return Err(wrong("No such location or item"));
    }
    if state.held.contains_key(&(bin.clone(), item.clone())) {
        return Err(wrong("The item is in that location already"));
    }
    if too_many(&state, &item, on_hand) {
        return Err(wrong("A rule of the account does not allow that"));
    }
    state.writes += 1;
    state.change(now, EventKind::Set, &bin, &item, on_hand, "");
    Ok(Json(json!({ "success": true })))
}

/// The account is locked while it is done, by whoever does it.
async fn reconcile(Shared(account): Account, Json(asked): Json<Value>) -> Answer {
    let latency = {
        let mut state = account.state.lock();
        let is_locked = state.is_locked || state.faults.locked_next > 0;
        state.faults.locked_next = state.faults.locked_next.saturating_sub(1);
        if is_locked {
            let said = "Another request of this account is being processed".to_owned();
            return Err(Refused(StatusCode::TOO_MANY_REQUESTS, said, None));
        }
        state.is_locked = true;
        state.faults.latency_ms
    };
    tokio::time::sleep(Duration::from_millis(latency)).await;
    let done = set_all(&account, &asked);
    account.state.lock().is_locked = false;
    done
}

fn set_all(account: &SkuLabs, asked: &Value) -> Answer {
    let kind = text(asked, "type")?;
    let rows = asked["rows"].as_array().ok_or_else(|| wrong("rows is required"))?;
    let now = (account.clock)();
    let mut state = account.state.lock();
    let mut changes = Vec::new();
    let mut left = state.held.clone();
    for row in rows {
        let (bin, item) = (text(row, "location_id")?.to_owned(), text(row, "item_id")?.to_owned());
        let quantity = row["quantity"].as_i64().ok_or_else(|| wrong("quantity must be a number"))?;
        let Some(there) = left.get_mut(&(bin.clone(), item.clone())) else {
            return Err(wrong(format!("Item {item} is not in location {bin}")));
        };
        let change = match kind {
            "increase" => quantity,
            "decrease" => -quantity,
            "set" | "update" => quantity - *there,
            _ => return Err(wrong("type must be increase, decrease, set or update")),
        };
        *there += change;
        if quantity < 0 || *there < 0 {
            return Err(wrong(format!("There are not so many of item {item} in location {bin}")));
        }
        if too_many(&state, &item, change) {
            return Err(wrong("A rule of the account does not allow that"));
        }
        changes.push((bin, item, change));
    }
    for (bin, item, change) in changes {
        state.writes += 1;
        state.change(now, EventKind::Set, &bin, &item, change, "");
    }
    Ok(Json(json!({ "success": true })))
}

async fn orders(Shared(account): Account, Query(params): Params) -> Answer {
    let state = account.state.lock();
    listed(state.orders.values().map(order_json).collect(), &params)
}

/// The order that a query or a body names.
fn named<'a>(state: &'a State, store: &str, number: &str) -> Result<&'a Order, Refused> {
    let id = state.by_name(store, number).ok_or_else(|| wrong("No such order"))?;
    state.orders.get(&id).ok_or_else(|| wrong("No such order"))
}

fn param<'a>(params: &'a BTreeMap<String, String>, name: &str) -> Result<&'a str, Refused> {
    params.get(name).map(String::as_str).ok_or_else(|| wrong(format!("{name} is required")))
}

async fn order(Shared(account): Account, Query(params): Params) -> Answer {
    let state = account.state.lock();
    let order = named(&state, param(&params, "store_id")?, param(&params, "order_number")?)?;
    Ok(Json(json!({ "order": order_json(order) })))
}

async fn status(Shared(account): Account, Query(params): Params) -> Answer {
    let state = account.state.lock();
    let order = named(&state, param(&params, "store_id")?, param(&params, "order_number")?)?;
    Ok(Json(json!({ "_id": order.id, "status": order.status })))
}

async fn orders_by_name(Shared(account): Account, Json(asked): Json<Value>) -> Answer {
    let names = asked["order"].as_array().ok_or_else(|| wrong("order is required"))?;
    let state = account.state.lock();
    let mut rows = Vec::new();
    for name in names {
        let order = named(&state, text(name, "store_id")?, text(name, "order_number")?);
        rows.extend(order.ok().map(|order| json!({ "order": order_json(order) })));
    }
    Ok(Json(Value::Array(rows)))
}

async fn add_order(Shared(account): Account, Json(asked): Json<Value>) -> Answer {
    let (store, number) = (text(&asked, "store_id")?.to_owned(), text(&asked, "order_number")?.to_owned());
    let stash = asked["stash"].clone();
    if !stash.is_object() {
        return Err(wrong("stash is required"));
    }
    account.change(|state, now| {
        if store != state.manual_store {
            return Err(wrong("Orders can be added to a manual store alone"));
        }
        if state.by_name(&store, &number).is_some() {
            return Err(wrong("There is an order of that number"));
        }
        state.place(now, &store, &number, stash);
        Ok(Json(json!({ "success": true, "store_id": store, "order_number": number })))
    })
}

async fn override_order(Shared(account): Account, Json(asked): Json<Value>) -> Answer {
    let (store, number) = (text(&asked, "store_id")?.to_owned(), text(&asked, "order_number")?.to_owned());
    if !asked["stash"].is_object() {
        return Err(wrong("stash is required"));
    }
    account.change(|state, now| {
        let id = state.by_name(&store, &number).ok_or_else(|| wrong("No such order"))?;
        if let Some(order) = state.orders.get_mut(&id) {
            order.stash = asked["stash"].clone();
            order.log.push(("override".to_owned(), now));
        }
        Ok(Json(json!({ "success": true })))
    })
}

async fn modify_status(Shared(account): Account, Json(asked): Json<Value>) -> Answer {
    let status = text(&asked, "status")?.to_owned();
    if !STATUSES.contains(&status.as_str()) {
        return Err(wrong("status is none that there is"));
    }
    let (store, number) = (text(&asked, "store_id")?.to_owned(), text(&asked, "order_number")?.to_owned());
    account.change(|state, now| {
        let id = state.by_name(&store, &number).ok_or_else(|| wrong("No such order"))?;
        state.set_status(now, &id, &status);
        Ok(Json(json!({ "success": true })))
    })
}

async fn add_shipment(Shared(account): Account, Json(asked): Json<Value>) -> Answer {
    let (store, number) = (text(&asked, "store_id")?.to_owned(), text(&asked, "order_number")?.to_owned());
    let (carrier, tracking) =
        (text(&asked, "carrier")?.to_owned(), text(&asked, "tracking_number")?.to_owned());
    let mut items = Vec::new();
    for row in asked["order_items"].as_array().ok_or_else(|| wrong("order_items is required"))? {
        let quantity = row["quantity"].as_i64().ok_or_else(|| wrong("quantity must be a number"))?;
        items.push((text(row, "item_id")?.to_owned(), quantity));
    }
    account.change(|state, now| {
        let id = state.by_name(&store, &number).ok_or_else(|| wrong("No such order"))?;
        if !state.ship(now, &id, Some(&items), &carrier, &tracking) {
            return Err(wrong("The order has not so many to ship"));
        }
        let shipments = order_json(&state.orders[&id])["shipments"].clone();
        Ok(Json(json!({ "shipments": shipments })))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn calls_are_counted_by_the_second_and_by_the_hour() {
        let mut calls = Calls::default();
        let second = 1_000_000;
        let mut take = |now| calls.take(now, 2, 3);
        assert_eq!([take(0), take(second / 2), take(second - 1)], [Ok(()), Ok(()), Err(1)]);
        assert_eq!([take(second), take(second + 1)], [Ok(()), Err(3_599)]);
        assert_eq!(take(3_600 * second), Ok(()));
    }
}
