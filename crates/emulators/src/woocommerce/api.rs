//! The shop's API over HTTP: who is let in, what may be asked, and what is answered.
//!
//! Parameters are held against what the controllers declare
//! (<https://github.com/woocommerce/woocommerce/tree/trunk/plugins/woocommerce/includes/rest-api/Controllers/Version3>): what is not as it must
//! be is refused (`rest_invalid_param`), as WordPress does, and so is what there is no such call for (`rest_no_route`).

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::{Path, Query, Request, State as Shared};
use axum::http::{HeaderMap, StatusCode, header};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{Html, IntoResponse, Response};
use axum::routing::{any, get};
use axum::{Json, Router};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde_json::{Value, json};

use super::hooks::Webhook;
use super::state::{EventKind, Note, Order, State};
use super::{WooShop, control, rows};

type Shop = Shared<Arc<WooShop>>;
type Params = Query<BTreeMap<String, String>>;

/// The statuses that WooCommerce itself has (`wc_get_order_statuses`).
const STATUSES: [&str; 8] =
    ["pending", "processing", "on-hold", "completed", "cancelled", "refunded", "failed", "checkout-draft"];
/// What a batch may have (`woocommerce_rest_batch_items_limit`).
const BATCH: usize = 100;
/// What a page may have.
const PAGE: usize = 100;

/// A refusal, as WordPress writes one.
struct Refused(StatusCode, &'static str, String);

impl IntoResponse for Refused {
    fn into_response(self) -> Response {
        let Self(status, code, message) = self;
        let body = json!({ "code": code, "message": message, "data": { "status": status.as_u16() } });
        (status, Json(body)).into_response()
    }
}

fn wrong(param: &str) -> Refused {
    Refused(StatusCode::BAD_REQUEST, "rest_invalid_param", format!("Invalid parameter(s): {param}"))
}

fn no_route() -> Refused {
    let said = "No route was found matching the URL and request method.";
    Refused(StatusCode::NOT_FOUND, "rest_no_route", said.to_owned())
}

fn no_order() -> Refused {
    Refused(StatusCode::NOT_FOUND, "woocommerce_rest_shop_order_invalid_id", "Invalid ID.".to_owned())
}

type Answer = Result<Response, Refused>;

/// The shop's API, its control and its page.
pub fn router(shop: Arc<WooShop>) -> Router {
    let api = Router::new()
        .route("/products", get(products))
        .route("/products/batch", any(batch))
        .route("/products/{id}/variations", get(variations))
        .route("/products/{id}/variations/batch", any(batch_of))
        .route("/variations", get(all_variations))
        .route("/orders", get(orders))
        .route("/orders/{id}", get(order).put(change_order))
        .route("/orders/{id}/refunds", get(refunds))
        .route("/orders/{id}/notes", get(notes).post(note))
        .route("/orders/{id}/fulfillments", get(fulfillments).post(fulfil))
        .route("/reports/orders/totals", get(totals))
        .route("/webhooks", get(webhooks).post(add_webhook))
        .route("/webhooks/{id}", any(change_webhook))
        .fallback(|| async { no_route() })
        .layer(from_fn_with_state(shop.clone(), let_in))
        .layer(from_fn_with_state(shop.clone(), misbehave));
    Router::new().nest("/wp-json/wc/v3", api).merge(control::router()).with_state(shop)
}

async fn let_in(Shared(shop): Shop, headers: HeaderMap, request: Request, next: Next) -> Response {
    let told = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
    let told = told.and_then(|value| BASE64.decode(value.strip_prefix("Basic ")?).ok());
    let told = told.and_then(|bytes| String::from_utf8(bytes).ok()).unwrap_or_default();
    let (key, secret) = told.split_once(':').unwrap_or_default();
    let failed = "woocommerce_rest_authentication_error";
    if key != shop.setup.key {
        let said = "Sorry, you cannot list resources.".to_owned();
        return Refused(StatusCode::UNAUTHORIZED, "woocommerce_rest_cannot_view", said).into_response();
    }
    if secret != shop.setup.secret {
        let said = "Consumer secret is invalid.".to_owned();
        return Refused(StatusCode::UNAUTHORIZED, failed, said).into_response();
    }
    if shop.state.lock().faults.read_only && !request.method().is_safe() {
        let said = "The API key provided does not have write permissions.".to_owned();
        return Refused(StatusCode::UNAUTHORIZED, failed, said).into_response();
    }
    next.run(request).await
}

async fn misbehave(Shared(shop): Shop, request: Request, next: Next) -> Response {
    let faults = {
        let mut state = shop.state.lock();
        state.calls += 1;
        let faults = state.faults.clone();
        let now = &mut state.faults;
        for count in [&mut now.throttle_next, &mut now.fail_next, &mut now.html_next, &mut now.lose_next] {
            if *count > 0 {
                *count -= 1;
                break;
            }
        }
        state.settle((shop.clock)());
        faults
    };
    tokio::time::sleep(Duration::from_millis(faults.latency_ms)).await;
    if faults.throttle_next > 0 {
        return (StatusCode::TOO_MANY_REQUESTS, [(header::RETRY_AFTER, "1")], "slow down").into_response();
    }
    if faults.fail_next > 0 {
        let page = "<!DOCTYPE html><html><head><title>Maintenance</title></head><body><h1>Briefly unavailable for \
                    scheduled maintenance. Check back in a minute.</h1></body></html>";
        let headers = [(header::RETRY_AFTER, "600")];
        return (StatusCode::SERVICE_UNAVAILABLE, headers, Html(page)).into_response();
    }
    if faults.html_next > 0 {
        return Html("<!DOCTYPE html><html><head><title>Log In</title></head><body><form>Password</form></body></html>")
            .into_response();
    }
    let answer = next.run(request).await;
    if faults.lose_next > 0 {
        return (StatusCode::GATEWAY_TIMEOUT, Html("<html><h1>504 Gateway Time-out</h1></html>"))
            .into_response();
    }
    answer
}

/// What a list is asked for.
struct Page {
    per_page: usize,
    offset: usize,
    include: Vec<u64>,
    order_by: String,
    is_ascending: bool,
    fields: Option<Vec<String>>,
}

fn page(params: &BTreeMap<String, String>) -> Result<Page, Refused> {
    let number = |name: &'static str| {
        params.get(name).map(|text| text.parse::<usize>().map_err(|_| wrong(name))).transpose()
    };
    let per_page = number("per_page")?.unwrap_or(10);
    if !(1..=PAGE).contains(&per_page) {
        return Err(wrong("per_page"));
    }
    let nth = number("page")?.unwrap_or(1);
    if nth == 0 {
        return Err(wrong("page"));
    }
    let order = params.get("order").map_or("desc", String::as_str);
    if !["asc", "desc"].contains(&order) {
        return Err(wrong("order"));
    }
    let order_by = params.get("orderby").map_or("date", String::as_str);
    if !["date", "id", "include", "title", "slug", "modified"].contains(&order_by) {
        return Err(wrong("orderby"));
    }
    let split = |name: &str| params.get(name).map(|text| text.split(',').map(str::trim).map(str::to_owned));
    Ok(Page {
        per_page,
        offset: number("offset")?.unwrap_or((nth - 1) * per_page),
        include: split("include")
            .map(|ids| ids.filter_map(|id| id.parse().ok()).collect())
            .unwrap_or_default(),
        order_by: order_by.to_owned(),
        is_ascending: order == "asc",
        fields: split("_fields").map(Iterator::collect),
    })
}

impl Page {
    /// The rows of this page, of all that there are in the order that was asked for.
    fn answer(&self, mut all: Vec<Value>) -> Response {
        if !self.is_ascending {
            all.reverse();
        }
        let total = all.len();
        let rows = all.into_iter().skip(self.offset).take(self.per_page);
        let rows: Vec<Value> = rows.map(|row| self.cut(row)).collect();
        let pages = total.div_ceil(self.per_page).to_string();
        ([("x-wp-total", total.to_string()), ("x-wp-totalpages", pages)], Json(rows)).into_response()
    }

    /// The fields that were asked for.
    fn cut(&self, mut row: Value) -> Value {
        if let (Some(fields), Some(object)) = (&self.fields, row.as_object_mut()) {
            object.retain(|name, _| fields.iter().any(|field| field == name));
        }
        row
    }
}

fn listed(state: &State, page: &Page, wanted: impl Fn(&super::state::Product) -> bool) -> Response {
    let is_included = |id: u64| page.include.is_empty() || page.include.contains(&id);
    let of = state.products.iter().filter(|(id, product)| wanted(product) && is_included(**id));
    page.answer(of.map(|(id, product)| rows::product(state, *id, product)).collect())
}

async fn products(Shared(shop): Shop, Query(params): Params) -> Answer {
    let page = page(&params)?;
    Ok(listed(&shop.state.lock(), &page, |product| product.kind != "variation"))
}

async fn all_variations(Shared(shop): Shop, Query(params): Params) -> Answer {
    let page = page(&params)?;
    let state = shop.state.lock();
    if state.faults.is_old {
        return Err(no_route());
    }
    Ok(listed(&state, &page, |product| product.kind == "variation"))
}

async fn variations(Shared(shop): Shop, Path(id): Path<u64>, Query(params): Params) -> Answer {
    let page = page(&params)?;
    let state = shop.state.lock();
    if !state.products.contains_key(&id) {
        let said = "Invalid ID.".to_owned();
        return Err(Refused(StatusCode::NOT_FOUND, "woocommerce_rest_product_invalid_id", said));
    }
    Ok(listed(&state, &page, |product| product.parent == Some(id)))
}

async fn batch(Shared(shop): Shop, Json(asked): Json<Value>) -> Answer {
    set_all(&shop, None, &asked)
}

async fn batch_of(Shared(shop): Shop, Path(product): Path<u64>, Json(asked): Json<Value>) -> Answer {
    set_all(&shop, Some(product), &asked)
}

fn set_all(shop: &WooShop, parent: Option<u64>, asked: &Value) -> Answer {
    let now = (shop.clock)();
    let mut state = shop.state.lock();
    let limit = state.faults.batch_limit.unwrap_or(BATCH);
    let rows = asked["update"].as_array().cloned().unwrap_or_default();
    if rows.len() > limit {
        let said = format!("Unable to accept more than {limit} items for this request.");
        let code = "woocommerce_rest_request_entity_too_large";
        return Err(Refused(StatusCode::PAYLOAD_TOO_LARGE, code, said));
    }
    let done: Vec<Value> = rows.iter().map(|row| set(&mut state, now, parent, row)).collect();
    Ok(Json(if done.is_empty() { json!([]) } else { json!({ "update": done }) }).into_response())
}

fn set(state: &mut State, now: i64, parent: Option<u64>, row: &Value) -> Value {
    let id = row["id"].as_u64().unwrap_or_default();
    let refused = |code: &str, message: &str, status: u16| json!({ "id": id, "error": { "code": code, "message": message, "data": { "status": status } } });
    let Some(product) = state.products.get(&id) else {
        let kind = if parent.is_some() { "product_variation" } else { "product" };
        return refused(&format!("woocommerce_rest_{kind}_invalid_id"), "Invalid ID.", 400);
    };
    if parent.is_none() && product.kind == "variation" {
        let said = "To manipulate product variations you should use the /products/<product_id>/variations/<id> endpoint.";
        return refused("woocommerce_rest_invalid_product_id", said, 404);
    }
    if product.parent != parent && product.kind == "variation" {
        return refused(
            "woocommerce_rest_product_variation_invalid_parent",
            "The parent is another one.",
            404,
        );
    }
    if let (Some(wanted), true) =
        (row["stock_quantity"].as_i64(), product.manages && !state.faults.manages_nothing)
    {
        if state.faults.refuse_above.is_some_and(|most| wanted > most) {
            return refused(
                "woocommerce_rest_product_not_created",
                "A plugin does not allow that stock.",
                400,
            );
        }
        let change = wanted - product.stock;
        state.writes += 1;
        state.change(now, EventKind::Set, id, change, "");
    }
    rows::product(state, id, &state.products[&id])
}

/// When, of one of its times that somebody asks by.
fn asked_time(text: &str, name: &str, ahead_micros: i64) -> Result<i64, Refused> {
    let at: jiff::civil::DateTime = text.trim_end_matches('Z').parse().map_err(|_| wrong(name))?;
    let at = at.to_zoned(jiff::tz::TimeZone::UTC).map_err(|_| wrong(name))?;
    Ok(at.timestamp().as_microsecond() - ahead_micros)
}

async fn orders(Shared(shop): Shop, Query(params): Params) -> Answer {
    let page = page(&params)?;
    let ahead = shop.state.lock().ahead;
    let are_gmt = match params.get("dates_are_gmt").map(String::as_str) {
        None | Some("false" | "0") => false,
        Some("true" | "1") => true,
        Some(_) => return Err(wrong("dates_are_gmt")),
    };
    let offset = if are_gmt { 0 } else { ahead };
    let time = |name: &str| params.get(name).map(|text| asked_time(text, name, offset)).transpose();
    let (after, modified_after) = (time("after")?, time("modified_after")?);
    let state = shop.state.lock();
    let custom = |status: &str| state.orders.values().any(|order| order.status == status);
    let statuses: Vec<&str> =
        params.get("status").map_or("any", String::as_str).split(',').map(str::trim).collect();
    if statuses.iter().any(|one| !["any", "trash"].contains(one) && !STATUSES.contains(one) && !custom(one)) {
        return Err(wrong("status"));
    }
    let second = |micros: i64| micros.div_euclid(1_000_000);
    let is_wanted = |order: &&Order| {
        (statuses.contains(&"any") && order.status != "trash" || statuses.contains(&order.status.as_str()))
            && after.is_none_or(|after| second(order.created_at) > second(after))
            && modified_after.is_none_or(|after| second(order.modified_at) > second(after))
    };
    let mut found: Vec<&Order> = state.orders.values().filter(is_wanted).collect();
    match page.order_by.as_str() {
        "modified" => found.sort_by_key(|order| (second(order.modified_at), order.id)),
        "date" => found.sort_by_key(|order| (second(order.created_at), order.id)),
        _ => {}
    }
    Ok(page.answer(found.into_iter().map(|order| rows::order(&state, order)).collect()))
}

async fn order(Shared(shop): Shop, Path(id): Path<u64>, Query(params): Params) -> Answer {
    let page = page(&params)?;
    let state = shop.state.lock();
    let order = state.orders.get(&id).ok_or_else(no_order)?;
    Ok(Json(page.cut(rows::order(&state, order))).into_response())
}

async fn change_order(Shared(shop): Shop, Path(id): Path<u64>, Json(asked): Json<Value>) -> Answer {
    let status = asked["status"].as_str();
    if status.is_some_and(|status| !STATUSES.contains(&status)) {
        return Err(wrong("status"));
    }
    let done = shop.change(|state, now| {
        let order = state.orders.get_mut(&id)?;
        for meta in asked["meta_data"].as_array().into_iter().flatten() {
            let key = meta["key"].as_str().unwrap_or_default().to_owned();
            order.meta.insert(key, meta["value"].clone());
        }
        order.modified_at = now;
        if let Some(status) = status {
            state.set_status(now, id, status);
        }
        state.announce(id, "order.updated");
        Some(rows::order(state, &state.orders[&id]))
    });
    Ok(Json(done.ok_or_else(no_order)?).into_response())
}

async fn refunds(Shared(shop): Shop, Path(id): Path<u64>, Query(params): Params) -> Answer {
    let page = page(&params)?;
    let state = shop.state.lock();
    let order = state.orders.get(&id).ok_or_else(no_order)?;
    Ok(page.answer(order.refunds.iter().map(|refund| rows::refund(order, refund)).collect()))
}

async fn notes(Shared(shop): Shop, Path(id): Path<u64>, Query(params): Params) -> Answer {
    let kind = params.get("type").map_or("any", String::as_str);
    if !["any", "customer", "internal"].contains(&kind) {
        return Err(wrong("type"));
    }
    let state = shop.state.lock();
    let order = state.orders.get(&id).ok_or_else(no_order)?;
    let wanted =
        order.notes.iter().filter(|note| kind == "any" || note.customer_note == (kind == "customer"));
    Ok(Json(wanted.collect::<Vec<&Note>>()).into_response())
}

async fn note(Shared(shop): Shop, Path(id): Path<u64>, Json(asked): Json<Value>) -> Answer {
    let Some(text) = asked["note"].as_str().filter(|text| !text.is_empty()) else {
        let said = "Missing parameter(s): note".to_owned();
        return Err(Refused(StatusCode::BAD_REQUEST, "rest_missing_callback_param", said));
    };
    let mut state = shop.state.lock();
    let number = state.number();
    let order = state.orders.get_mut(&id).ok_or_else(no_order)?;
    let customer_note = asked["customer_note"] == json!(true);
    let note = Note { id: number, note: text.to_owned(), customer_note };
    order.notes.push(note.clone());
    Ok((StatusCode::CREATED, Json(note)).into_response())
}

async fn fulfillments(Shared(shop): Shop, Path(id): Path<u64>) -> Answer {
    let state = shop.state.lock();
    if !state.faults.has_fulfillments {
        return Err(no_route());
    }
    let order = state.orders.get(&id).ok_or_else(no_order)?;
    Ok(Json(&order.fulfillments).into_response())
}

async fn fulfil(Shared(shop): Shop, Path(id): Path<u64>, Json(asked): Json<Value>) -> Answer {
    let mut state = shop.state.lock();
    if !state.faults.has_fulfillments {
        return Err(no_route());
    }
    let number = state.number();
    let order = state.orders.get_mut(&id).ok_or_else(no_order)?;
    let meta = asked["meta_data"].as_array().cloned().unwrap_or_default();
    let items = meta.iter().find(|meta| meta["key"] == "_items").and_then(|meta| meta["value"].as_array());
    let is_of_it = |item: &Value| {
        let line = order.lines.iter().find(|line| Some(line.id) == item["item_id"].as_u64());
        line.is_some_and(|line| item["qty"].as_i64().is_some_and(|qty| (1..=line.quantity).contains(&qty)))
    };
    if !items.is_some_and(|items| !items.is_empty() && items.iter().all(is_of_it)) {
        let said = "The fulfillment has no items, or others than its order.".to_owned();
        return Err(Refused(StatusCode::BAD_REQUEST, "woocommerce_fulfillment_invalid_items", said));
    }
    let made = json!({ "id": number, "entity_type": "WC_Order", "entity_id": id.to_string(), "status": asked["status"],
        "is_fulfilled": asked["is_fulfilled"], "date_updated": null, "date_deleted": null, "meta_data": meta });
    order.fulfillments.push(made.clone());
    Ok((StatusCode::CREATED, Json(made)).into_response())
}

async fn totals(Shared(shop): Shop) -> Response {
    let state = shop.state.lock();
    let mut of: BTreeMap<&str, usize> = STATUSES.iter().map(|status| (*status, 0)).collect();
    for order in state.orders.values() {
        *of.entry(&order.status).or_default() += 1;
    }
    let rows = of.into_iter().map(|(slug, total)| json!({ "slug": slug, "name": slug, "total": total }));
    Json(rows.collect::<Vec<Value>>()).into_response()
}

async fn webhooks(Shared(shop): Shop, Query(params): Params) -> Answer {
    let page = page(&params)?;
    let status = params.get("status").map_or("all", String::as_str);
    if !["all", "active", "paused", "disabled"].contains(&status) {
        return Err(wrong("status"));
    }
    let state = shop.state.lock();
    let wanted = state.webhooks.iter().filter(|(_, hook)| status == "all" || hook.status == status);
    Ok(page.answer(wanted.map(|(id, hook)| hook.json(*id)).collect()))
}

/// A topic of orders: no other is announced here.
fn is_topic(topic: &str) -> bool {
    ["order.created", "order.updated", "order.deleted", "order.restored"].contains(&topic)
}

async fn add_webhook(Shared(shop): Shop, Json(asked): Json<Value>) -> Answer {
    let text = |name: &str| asked[name].as_str().unwrap_or_default().to_owned();
    let refused = |code, said: &str| Refused(StatusCode::BAD_REQUEST, code, said.to_owned());
    if !is_topic(&text("topic")) {
        let said = "Webhook topic is required and must be valid.";
        return Err(refused("woocommerce_rest_shop_webhook_invalid_topic", said));
    }
    let url = text("delivery_url");
    if !url.starts_with("http://") && !url.starts_with("https://") {
        let said = "Webhook delivery URL must be a valid URL starting with http:// or https://.";
        return Err(refused("woocommerce_rest_shop_webhook_invalid_delivery_url", said));
    }
    let (id, made) = {
        let mut state = shop.state.lock();
        let id = state.number();
        let (name, topic, secret) = (text("name"), text("topic"), text("secret"));
        let hook =
            Webhook { name, topic, url: url.clone(), secret, status: "active".to_owned(), failures: 0 };
        let made = hook.json(id);
        state.webhooks.insert(id, hook);
        (id, made)
    };
    shop.ping(id, url);
    Ok((StatusCode::CREATED, Json(made)).into_response())
}

async fn change_webhook(
    Shared(shop): Shop,
    Path(id): Path<u64>,
    Query(params): Params,
    request: Request,
) -> Answer {
    let method = request.method().clone();
    let body = axum::body::to_bytes(request.into_body(), 100_000).await.unwrap_or_default();
    let mut state = shop.state.lock();
    let said = "ID is invalid.".to_owned();
    let missing = Refused(StatusCode::BAD_REQUEST, "woocommerce_rest_shop_webhook_invalid_id", said);
    let Some(hook) = state.webhooks.get_mut(&id) else { return Err(missing) };
    match method.as_str() {
        "GET" => {}
        "DELETE" if params.get("force").is_some_and(|force| force == "true") => {
            let gone = hook.json(id);
            state.webhooks.remove(&id);
            return Ok(Json(gone).into_response());
        }
        "DELETE" => {
            let said = "Webhooks do not support trashing.".to_owned();
            return Err(Refused(StatusCode::NOT_IMPLEMENTED, "woocommerce_rest_trash_not_supported", said));
        }
        _ => {
            let asked: Value = serde_json::from_slice(&body).map_err(|_| wrong("body"))?;
            let text = |name: &str| asked[name].as_str().filter(|text| !text.is_empty()).map(str::to_owned);
            if let Some(status) = text("status") {
                if !["active", "paused", "disabled"].contains(&status.as_str()) {
                    return Err(wrong("status"));
                }
                hook.status = status;
            }
            hook.name = text("name").unwrap_or_else(|| hook.name.clone());
            hook.secret = text("secret").unwrap_or_else(|| hook.secret.clone());
        }
    }
    Ok(Json(hook.json(id)).into_response())
}
