//! What no shop has over HTTP: whoever buys, pays, sends and edits, what goes wrong, and a small page for all of that.

use std::fmt::Write as _;
use std::sync::Arc;

use axum::extract::{Form, Path, State as Shared};
use axum::http::StatusCode;
use axum::response::{Html, IntoResponse, Redirect, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use serde::Deserialize;
use serde_json::json;

use super::state::Customer;
use super::{Buy, Faults, WooShop};

type Shop = Shared<Arc<WooShop>>;

pub(super) fn router() -> Router<Arc<WooShop>> {
    Router::new()
        .route("/control/faults", post(faults))
        .route("/control/edit", post(edit))
        .route("/control/orders", post(buy))
        .route("/control/orders/{id}/{what}", post(change_order))
        .route("/control/audit", get(|Shared(shop): Shop| async move { Json(shop.audit()) }))
        .route("/", get(page))
        .route("/edit", post(edit_by_form))
        .route("/orders/{id}/{what}", post(change_by_form))
}

async fn faults(Shared(shop): Shop, Json(faults): Json<Faults>) -> StatusCode {
    shop.set_faults(faults);
    StatusCode::OK
}

#[derive(Deserialize)]
struct Edit {
    product: u64,
    quantity: i64,
}

async fn edit(Shared(shop): Shop, Json(edit): Json<Edit>) -> StatusCode {
    if shop.edit(edit.product, edit.quantity) { StatusCode::OK } else { StatusCode::NOT_FOUND }
}

async fn edit_by_form(Shared(shop): Shop, Form(edit): Form<Edit>) -> Redirect {
    shop.edit(edit.product, edit.quantity);
    Redirect::to("/")
}

#[derive(Deserialize)]
struct PlaceOrder {
    lines: Vec<Buy>,
    #[serde(default)]
    unpaid: bool,
    #[serde(default)]
    customer: Option<Customer>,
}

async fn buy(Shared(shop): Shop, Json(order): Json<PlaceOrder>) -> Response {
    let placed = if order.unpaid {
        shop.place_unpaid(&order.lines)
    } else {
        shop.place_order(&order.lines, order.customer)
    };
    match placed {
        Ok(order) => (StatusCode::CREATED, Json(json!({ "order": order }))).into_response(),
        Err(error) => (StatusCode::CONFLICT, error.to_string()).into_response(),
    }
}

#[derive(Deserialize, Default)]
struct How {
    #[serde(default)]
    line: usize,
    #[serde(default)]
    quantity: i64,
    #[serde(default)]
    restock: bool,
    #[serde(default)]
    status: String,
}

async fn change_order(
    Shared(shop): Shop,
    Path((order, what)): Path<(u64, String)>,
    how: Option<Json<How>>,
) -> StatusCode {
    let how = how.map(|Json(how)| how).unwrap_or_default();
    let done = match what.as_str() {
        "pay" => shop.set_status(order, "processing"),
        "ship" => shop.ship(order),
        "cancel" => shop.cancel(order),
        "status" => shop.set_status(order, &how.status),
        "refund" => shop.refund(order, how.line, how.quantity, how.restock),
        "line" => shop.change_line(order, how.line, how.quantity),
        _ => return StatusCode::NOT_FOUND,
    };
    if done { StatusCode::OK } else { StatusCode::CONFLICT }
}

async fn change_by_form(Shared(shop): Shop, Path((order, what)): Path<(u64, String)>) -> Redirect {
    shop.set_status(order, &what);
    Redirect::to("/")
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

/// What there is, and a form for each number.
async fn page(Shared(shop): Shop) -> Html<String> {
    let state = shop.state.lock();
    let mut rows = String::new();
    for (id, product) in &state.products {
        let parent = product.parent.and_then(|parent| state.products.get(&parent));
        let name =
            parent.map_or(product.name.clone(), |parent| format!("{} - {}", parent.name, product.name));
        let number = if product.manages {
            format!(
                "<form method=post action=/edit><input type=hidden name=product value={id}><label>Stock \
                 <input type=number name=quantity value={}></label><button>Update</button></form>",
                product.stock
            )
        } else if parent.is_some_and(|parent| parent.manages) {
            "counted with its product".to_owned()
        } else {
            "not managed".to_owned()
        };
        let _ = write!(
            rows,
            "<tr><td>{id}<td>{}<td>{}<td>{}<td>{number}",
            escaped(&product.sku),
            escaped(&name),
            if product.backorders { "allowed" } else { "no" }
        );
    }
    let mut orders = String::new();
    for order in state.orders.values().rev().take(50) {
        let units: i64 = order.lines.iter().map(|line| line.quantity).sum();
        let _ = write!(orders, "<tr><td>{}<td>{}<td>{units}<td>", order.id, escaped(&order.status));
        for status in ["processing", "completed", "cancelled"].iter().filter(|one| **one != order.status) {
            let _ = write!(
                orders,
                "<form method=post action=/orders/{}/{status}><button>{status}</button></form>",
                order.id
            );
        }
    }
    Html(format!(
        "<!doctype html><html lang=en><meta charset=utf-8><title>Emulated WooCommerce</title><h1>Emulated WooCommerce</h1>\
         <h2>Products</h2><table><thead><tr><th>Id<th>SKU<th>Name<th>Backorders<th>Stock<tbody>{rows}</table>\
         <h2>Orders</h2><p>{} orders.</p><table><thead><tr><th>Number<th>Status<th>Units<th>Change to<tbody>{orders}</table></html>",
        state.orders.len()
    ))
}
