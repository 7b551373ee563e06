//! The shop over HTTP: its API, where a token is had, its files, what no shop has, and a small page.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::Arc;
use std::time::Duration;

use apollo_compiler::executable::Selection;
use apollo_compiler::resolvers::Execution;
use apollo_compiler::response::JsonMap;
use apollo_compiler::validation::Valid;
use apollo_compiler::{ExecutableDocument, Schema};
use axum::extract::{Form, Path, Request, State as Shared};
use axum::http::{HeaderMap, StatusCode, header};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{Html, IntoResponse, Redirect, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use parking_lot::Mutex;
use serde::Deserialize;
use serde_json::{Value, json};

use super::resolve::Root;
use super::state::{Answered, Customer, State};
use super::{Buy, Faults, Restock, SCHEMA, ShopifyShop, VERSION, cost};
use crate::wire::escaped;

/// An answer is given again under its key for so long, in microseconds
/// (<https://shopify.dev/docs/api/usage/implementing-idempotency>: 24 hours).
const REMEMBERED: i64 = 24 * 3_600 * 1_000_000;
/// What must have a key.
const KEYED: [&str; 2] = ["inventorySetQuantities", "inventoryActivate"];

type Shop = Shared<Arc<ShopifyShop>>;

/// What documents are checked against.
pub(super) struct Schemas {
    own: Valid<Schema>,
    vendor: Option<Valid<Schema>>,
}

fn parsed(sdl: &str) -> Result<Valid<Schema>, String> {
    Schema::parse_and_validate(sdl, "schema.graphql").map_err(|errors| errors.errors.to_string())
}

impl Schemas {
    pub fn new(vendor: Option<&str>) -> Result<Self, String> {
        Ok(Self { own: parsed(SCHEMA)?, vendor: vendor.map(parsed).transpose()? })
    }

    /// A document that both know, or what is wrong with it.
    fn document(&self, query: &str) -> Result<Valid<ExecutableDocument>, Vec<Value>> {
        let checked = |schema: &Valid<Schema>| {
            ExecutableDocument::parse_and_validate(schema, query, "query.graphql").map_err(|wrong| {
                let errors = wrong.errors.iter().map(|error| {
                    let told = serde_json::to_value(error.to_json()).unwrap_or_default();
                    json!({ "message": told["message"], "locations": told["locations"] })
                });
                errors.collect::<Vec<Value>>()
            })
        };
        if let Some(vendor) = &self.vendor {
            checked(vendor)?;
        }
        checked(&self.own)
    }
}

/// The shop's API, its files, its control and its page.
pub fn router(shop: Arc<ShopifyShop>) -> Router {
    let api = Router::new()
        .route("/admin/api/{version}/graphql.json", post(graphql))
        .layer(from_fn_with_state(shop.clone(), misbehave));
    let control = Router::new()
        .route("/control/faults", post(faults))
        .route("/control/edit", post(edit))
        .route("/control/orders", post(buy))
        .route("/control/orders/{id}/{what}", post(change_order))
        .route("/control/audit", get(|Shared(shop): Shop| async move { Json(shop.audit()) }))
        .route("/", get(page))
        .route("/edit", post(edit_by_form));
    Router::new()
        .route("/admin/oauth/access_token", post(token))
        .route("/files/{name}", get(file))
        .merge(api)
        .merge(control)
        .with_state(shop)
}

#[derive(Deserialize)]
struct TokenRequest {
    grant_type: String,
    client_id: String,
    client_secret: String,
}

/// <https://shopify.dev/docs/apps/build/authentication-authorization/access-tokens/client-credentials-grant>
async fn token(Shared(shop): Shop, Form(asked): Form<TokenRequest>) -> Response {
    let (id, secret) = (&shop.setup.client_id, &shop.setup.client_secret);
    if asked.grant_type != "client_credentials" || (&asked.client_id, &asked.client_secret) != (id, secret) {
        return (StatusCode::BAD_REQUEST, Json(json!({ "error": "invalid_client" }))).into_response();
    }
    let token = granted(&shop);
    Json(json!({ "access_token": token, "scope": super::SCOPES.join(","), "expires_in": 86_399 }))
        .into_response()
}

fn granted(shop: &ShopifyShop) -> String {
    format!("shpat_{}", shop.setup.client_id)
}

async fn misbehave(Shared(shop): Shop, request: Request, next: Next) -> Response {
    let faults = {
        let mut state = shop.state.lock();
        state.calls += 1;
        let faults = state.faults.clone();
        let now = &mut state.faults;
        if faults.throttle_next > 0 {
            now.throttle_next -= 1;
        } else if faults.fail_next > 0 {
            now.fail_next -= 1;
        } else if faults.lose_next > 0 {
            now.lose_next -= 1;
        }
        faults
    };
    tokio::time::sleep(Duration::from_millis(faults.latency_ms)).await;
    if faults.throttle_next > 0 {
        return (StatusCode::TOO_MANY_REQUESTS, [(header::RETRY_AFTER, "1.0")], "slow down").into_response();
    }
    if faults.fail_next > 0 {
        return (StatusCode::SERVICE_UNAVAILABLE, "closed").into_response();
    }
    let answer = next.run(request).await;
    if faults.lose_next > 0 {
        return (StatusCode::GATEWAY_TIMEOUT, "lost").into_response();
    }
    answer
}

#[derive(Deserialize)]
struct Asked {
    query: String,
    #[serde(default)]
    variables: Option<Value>,
}

async fn graphql(
    Shared(shop): Shop,
    Path(version): Path<String>,
    headers: HeaderMap,
    Json(asked): Json<Asked>,
) -> Response {
    if version != VERSION {
        return (StatusCode::NOT_FOUND, Json(json!({ "errors": "Not Found" }))).into_response();
    }
    let token = headers.get("x-shopify-access-token").and_then(|value| value.to_str().ok());
    let is_let_in = token
        .is_some_and(|token| token == granted(&shop) || shop.setup.access_token.as_deref() == Some(token));
    if !is_let_in {
        let said = "[API] Invalid API key or access token (unrecognized login or wrong password)";
        return (StatusCode::UNAUTHORIZED, Json(json!({ "errors": said }))).into_response();
    }
    let host = headers.get(header::HOST).and_then(|value| value.to_str().ok()).unwrap_or("127.0.0.1");
    let base = format!("http://{host}");
    // What is asked is worked out apart from what serves others.
    let worker = shop.clone();
    let answered = tokio::task::spawn_blocking(move || answer(&worker, &asked, base)).await;
    let waiting = std::mem::take(&mut shop.state.lock().waiting);
    shop.tell(waiting);
    match answered {
        Ok(answered) => Json(answered).into_response(),
        Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, error.to_string()).into_response(),
    }
}

fn errors(errors: Vec<Value>) -> Value {
    json!({ "errors": errors })
}

fn error(message: &str, code: &str) -> Value {
    json!({ "message": message, "extensions": { "code": code } })
}

fn answer(shop: &ShopifyShop, asked: &Asked, base: String) -> Value {
    let document = match shop.schema.document(&asked.query) {
        Ok(document) => document,
        Err(wrong) => return errors(wrong),
    };
    let Ok(operation) = document.operations.get(None) else {
        return errors(vec![error("there must be one operation", "BAD_REQUEST")]);
    };
    let schema = &shop.schema.own;
    let given: JsonMap = asked
        .variables
        .clone()
        .and_then(|variables| serde_json::from_value(variables).ok())
        .unwrap_or_default();
    let variables = match apollo_compiler::request::coerce_variable_values(schema, operation, &given) {
        Ok(variables) => variables,
        Err(wrong) => return errors(vec![error(&wrong.message().to_string(), "INVALID_VARIABLE")]),
    };
    let set = &operation.selection_set;
    let requested = match cost::requested(&document, set, &variables) {
        Ok(requested) => requested,
        Err(message) => return errors(vec![error(&message, "BAD_REQUEST")]),
    };
    let now = (shop.clock)();
    if requested > cost::MOST {
        let message = format!(
            "Query cost is {requested}, which exceeds the single query max cost limit ({}).",
            cost::MOST
        );
        return errors(vec![error(&message, "MAX_COST_EXCEEDED")]);
    }
    let extensions = |state: &mut State, actual: Option<f64>| {
        let Some(bucket) = &mut state.bucket else { return Value::Null };
        json!({ "cost": { "requestedQueryCost": requested, "actualQueryCost": actual, "throttleStatus": {
            "maximumAvailable": bucket.maximum, "currentlyAvailable": bucket.available((shop.clock)()).floor(),
            "restoreRate": bucket.restore_rate } } })
    };
    {
        let mut state = shop.state.lock();
        let available = state.bucket.as_mut().map_or(f64::MAX, |bucket| bucket.available(now));
        if requested > available {
            let extensions = extensions(&mut state, None);
            return json!({ "errors": [error("Throttled", "THROTTLED")], "extensions": extensions });
        }
        if let Some(bucket) = &mut state.bucket {
            bucket.take(requested);
        }
    }
    let key = match key_of(&document, &variables) {
        Ok(key) => key,
        Err(message) => return errors(vec![error(&message, "BAD_REQUEST")]),
    };
    // Written down without its key, which is the same for a copy.
    let said = {
        let mut variables = serde_json::to_value(&*variables).unwrap_or_default();
        if let Some(variables) = variables.as_object_mut() {
            variables.remove("key");
        }
        format!("{} {variables}", asked.query)
    };
    let known = key.as_ref().and_then(|key| remembered(&mut shop.state.lock(), key, now));
    if let Some(known) = known {
        let mut state = shop.state.lock();
        let extensions = extensions(&mut state, Some(requested));
        return if known.asked == said {
            json!({ "data": known.data, "extensions": extensions })
        } else {
            let message = "The same idempotency key cannot be used with different operation parameters.";
            json!({ "errors": [error(message, "IDEMPOTENCY_KEY_PARAMETER_MISMATCH")], "extensions": extensions })
        };
    }
    let root = Root { state: &shop.state, now, is_mutation: operation.is_mutation(), base, whole: false };
    let execution = Execution::new(schema, &document).coerced_variable_values(&variables);
    let done = match execution.execute_sync(&root) {
        Ok(done) => done,
        Err(wrong) => return errors(vec![error(&wrong.message().to_string(), "INTERNAL_SERVER_ERROR")]),
    };
    let data = serde_json::to_value(&done.data).unwrap_or_default();
    let actual = cost::actual(&document, set, &variables, &data);
    let mut state = shop.state.lock();
    if let Some(bucket) = &mut state.bucket {
        bucket.take(actual - requested);
    }
    let extensions = extensions(&mut state, Some(actual));
    if !done.errors.is_empty() {
        let wrong: Vec<Value> =
            done.errors.iter().map(|wrong| error(&wrong.message, "BAD_REQUEST")).collect();
        return json!({ "errors": wrong, "data": data, "extensions": extensions });
    }
    if let Some(key) = key {
        state.answered.insert(key, Answered { asked: said, at: now, data: data.clone() });
    }
    json!({ "data": data, "extensions": extensions })
}

/// The key of what must have one.
fn key_of(document: &ExecutableDocument, variables: &JsonMap) -> Result<Option<String>, String> {
    let Ok(operation) = document.operations.get(None) else { return Ok(None) };
    for selection in &operation.selection_set.selections {
        let Selection::Field(field) = selection else { continue };
        if !operation.is_mutation() || !KEYED.contains(&field.name.as_str()) {
            continue;
        }
        let directive = field.directives.get("idempotent");
        let value = directive.and_then(|directive| directive.specified_argument_by_name("key"));
        let value = value.map(|value| match value.as_variable() {
            Some(variable) => variables.get(variable.as_str()).and_then(|value| value.as_str()),
            None => value.as_str(),
        });
        return match value.flatten().map(str::trim).filter(|key| !key.is_empty()) {
            Some(key) => Ok(Some(key.to_owned())),
            None => {
                Err(format!("The @idempotent directive is required for {} and was not provided.", field.name))
            }
        };
    }
    Ok(None)
}

fn remembered(state: &mut State, key: &str, now: i64) -> Option<Answered> {
    state.answered.retain(|_, known| known.at + REMEMBERED > now);
    state.answered.get(key).cloned()
}

/// All that a query without pages finds, a line for each row of its first list, and how many there are.
pub(super) fn whole(state: &mut State, now: i64, query: &str) -> Result<(u64, String), String> {
    let schema = parsed(SCHEMA)?;
    let document = ExecutableDocument::parse_and_validate(&schema, query, "bulk.graphql")
        .map_err(|wrong| wrong.errors.to_string())?;
    let shared = Mutex::new(std::mem::take(state));
    let root = Root { state: &shared, now, is_mutation: false, base: String::new(), whole: true };
    let done = Execution::new(&schema, &document).execute_sync(&root);
    *state = shared.into_inner();
    let data = serde_json::to_value(done.map_err(|wrong| wrong.message().to_string())?.data);
    let data = data.map_err(|error| error.to_string())?;
    let lists = data.as_object().into_iter().flatten().filter_map(|(_, list)| list["edges"].as_array());
    let (mut rows, mut text) = (0, String::new());
    for edge in lists.flatten() {
        rows += 1;
        let _ = writeln!(text, "{}", edge["node"]);
    }
    Ok((rows, text))
}

async fn file(Shared(shop): Shop, Path(name): Path<String>) -> Response {
    let state = shop.state.lock();
    let number = name.strip_suffix(".jsonl").and_then(|number| number.parse().ok());
    match number.and_then(|number: u64| state.files.get(&number)) {
        Some(file) => file.text.clone().into_response(),
        None => StatusCode::NOT_FOUND.into_response(),
    }
}

async fn faults(Shared(shop): Shop, Json(faults): Json<Faults>) -> StatusCode {
    shop.set_faults(faults);
    StatusCode::OK
}

#[derive(Deserialize)]
struct Edit {
    item: u64,
    location: u64,
    quantity: i64,
}

async fn edit(Shared(shop): Shop, Json(edit): Json<Edit>) -> StatusCode {
    if shop.edit(edit.item, edit.location, edit.quantity) { StatusCode::OK } else { StatusCode::NOT_FOUND }
}

async fn edit_by_form(Shared(shop): Shop, Form(edit): Form<Edit>) -> Redirect {
    shop.edit(edit.item, edit.location, edit.quantity);
    Redirect::to("/")
}

#[derive(Deserialize)]
struct PlaceOrder {
    lines: Vec<Buy>,
    #[serde(default)]
    customer: Option<Customer>,
}

async fn buy(Shared(shop): Shop, Json(order): Json<PlaceOrder>) -> Response {
    match shop.place_order(&order.lines, order.customer) {
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
    restock: Option<Restock>,
}

async fn change_order(
    Shared(shop): Shop,
    Path((order, what)): Path<(u64, String)>,
    how: Option<Json<How>>,
) -> StatusCode {
    let How { line, quantity, restock } = how.map(|Json(how)| how).unwrap_or_default();
    let done = match what.as_str() {
        "ship" => shop.ship(order),
        "unship" => shop.unship(order),
        "cancel" => shop.cancel(order, restock != Some(Restock::NoRestock)),
        "refund" => shop.refund(order, line, quantity, restock.unwrap_or(Restock::NoRestock)),
        "remove" => shop.remove(order, line, quantity),
        _ => return StatusCode::NOT_FOUND,
    };
    if done { StatusCode::OK } else { StatusCode::CONFLICT }
}

/// What there is, and a form for each number.
async fn page(Shared(shop): Shop) -> Html<String> {
    let state = shop.state.lock();
    let names: BTreeMap<u64, String> =
        state.locations.iter().map(|(id, (name, _))| (*id, name.clone())).collect();
    let mut rows = String::new();
    for (item, variant) in &state.variants {
        let levels = state.levels.range((*item, 0)..=(*item, u64::MAX));
        for ((item, location), level) in levels.filter(|(_, level)| level.active) {
            let name = names.get(location).map(String::as_str).unwrap_or_default();
            let _ = write!(
                rows,
                "<tr><td>{}<td>{}<td>{}<td>{}<td>{}<td><form method=post action=/edit><input type=hidden name=item value={item}>\
                 <input type=hidden name=location value={location}><label>Available <input type=number name=quantity value={}></label>\
                 <button>Save</button></form>",
                escaped(&variant.sku),
                escaped(&variant.name),
                escaped(name),
                level.committed,
                level.available + level.committed,
                level.available
            );
        }
    }
    let open = state.orders.values().filter(|order| order.is_open()).count();
    Html(format!(
        "<!doctype html><html lang=en><meta charset=utf-8><title>Emulated Shopify</title><h1>Emulated Shopify</h1>\
         <p>{} orders, {open} open.</p><table><thead><tr><th>SKU<th>Name<th>Location<th>Committed<th>On hand<th>Available\
         <tbody>{rows}</table></html>",
        state.orders.len()
    ))
}
