//! What no account has over HTTP: whoever buys, ships and counts, what goes wrong, and a small page for all of that.

use std::fmt::Write as _;
use std::sync::Arc;

use axum::extract::{Form, Path, State as Shared};
use axum::http::StatusCode;
use axum::response::{Html, IntoResponse, Redirect, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use serde::Deserialize;
use serde_json::json;

use super::{Buy, Faults, SkuLabs};
use crate::wire::escaped;

type Account = Shared<Arc<SkuLabs>>;

pub(super) fn router() -> Router<Arc<SkuLabs>> {
    Router::new()
        .route("/control/faults", post(faults))
        .route("/control/count", post(count))
        .route("/control/orders", post(buy))
        .route("/control/orders/{id}/{what}", post(change_order))
        .route("/control/webhook", post(webhook))
        .route("/control/audit", get(|Shared(account): Account| async move { Json(account.audit()) }))
        .route("/", get(page))
        .route("/count", post(count_by_form))
        .route("/orders/{id}/{what}", post(change_by_form))
}

async fn faults(Shared(account): Account, Json(faults): Json<Faults>) -> StatusCode {
    account.set_faults(faults);
    StatusCode::OK
}

#[derive(Deserialize)]
struct Webhook {
    url: String,
}

async fn webhook(Shared(account): Account, Json(asked): Json<Webhook>) -> StatusCode {
    account.set_webhook(&asked.url);
    StatusCode::OK
}

#[derive(Deserialize)]
struct Count {
    item: String,
    location: String,
    on_hand: i64,
}

async fn count(Shared(account): Account, Json(count): Json<Count>) -> StatusCode {
    let done = account.count(&count.item, &count.location, count.on_hand);
    if done { StatusCode::OK } else { StatusCode::NOT_FOUND }
}

async fn count_by_form(Shared(account): Account, Form(count): Form<Count>) -> Redirect {
    account.count(&count.item, &count.location, count.on_hand);
    Redirect::to("/")
}

#[derive(Deserialize)]
struct Bought {
    lines: Vec<Buy>,
}

async fn buy(Shared(account): Account, Json(bought): Json<Bought>) -> Response {
    let order = account.buy(&bought.lines);
    (StatusCode::CREATED, Json(json!({ "order": order }))).into_response()
}

#[derive(Deserialize, Default)]
struct How {
    #[serde(default)]
    item: String,
    #[serde(default)]
    quantity: i64,
    #[serde(default)]
    status: String,
}

fn done(account: &Arc<SkuLabs>, order: &str, what: &str, how: &How) -> Option<bool> {
    Some(match what {
        "ship" if how.item.is_empty() => account.ship(order),
        "ship" => account.ship_some(order, &how.item, how.quantity),
        "cancel" => account.set_status(order, "cancelled"),
        "archive" => account.set_status(order, "archived"),
        "status" => account.set_status(order, &how.status),
        _ => return None,
    })
}

async fn change_order(
    Shared(account): Account,
    Path((order, what)): Path<(String, String)>,
    how: Option<Json<How>>,
) -> StatusCode {
    let how = how.map(|Json(how)| how).unwrap_or_default();
    match done(&account, &order, &what, &how) {
        None => StatusCode::NOT_FOUND,
        Some(true) => StatusCode::OK,
        Some(false) => StatusCode::CONFLICT,
    }
}

async fn change_by_form(Shared(account): Account, Path((order, what)): Path<(String, String)>) -> Redirect {
    done(&account, &order, &what, &How::default());
    Redirect::to("/")
}

/// What there is, and a form for each number.
async fn page(Shared(account): Account) -> Html<String> {
    let state = account.state.lock();
    let mut rows = String::new();
    for (id, item) in &state.items {
        let (sku, name) = (escaped(&item.sku), escaped(&item.name));
        let free = state.free(id);
        let mut forms = String::new();
        for (bin, (warehouse, bin_name)) in &state.bins {
            let on_hand = state.held.get(&(bin.clone(), id.clone())).copied().unwrap_or(0);
            let warehouse = state.warehouses.get(warehouse).map(String::as_str).unwrap_or_default();
            let place = format!("{} / {}", escaped(warehouse), escaped(bin_name));
            let _ = write!(
                forms,
                "<form method=post action=/count><input type=hidden name=item value={id}><input type=hidden name=location \
                 value={bin}><label>{place} <input type=number name=on_hand value={on_hand}></label><button>Count</button></form>"
            );
        }
        let _ = write!(rows, "<tr><td>{id}<td>{sku}<td>{name}<td>{free}<td>{forms}");
    }
    let mut orders = String::new();
    for order in state.orders.values().rev().take(50) {
        let units: i64 = order.lines().iter().map(|(_, quantity)| quantity).sum();
        let _ =
            write!(orders, "<tr><td>{}<td>{}<td>{units}<td>", escaped(&order.number), escaped(&order.status));
        for what in ["ship", "cancel", "archive"].iter().filter(|_| order.is_open()) {
            let _ = write!(
                orders,
                "<form method=post action=/orders/{}/{what}><button>{what}</button></form>",
                order.id
            );
        }
    }
    Html(format!(
        "<!doctype html><html lang=en><meta charset=utf-8><title>Emulated SKULabs</title><h1>Emulated SKULabs</h1>\
         <p>Manual store {}</p><h2>Items</h2><table><thead><tr><th>Id<th>SKU<th>Name<th>Free<th>On hand<tbody>{rows}</table>\
         <h2>Orders</h2><p>{} orders.</p><table><thead><tr><th>Number<th>Status<th>Units<th>Do<tbody>{orders}</table></html>",
        state.manual_store,
        state.orders.len()
    ))
}
