//! Answers: what the shop has, as its schema names it.
//!
//! What can be asked about a thing is built as JSON at once; lists within it are cut into pages when they are asked for.

use apollo_compiler::resolvers::{FieldError, ObjectValue, ResolveInfo, ResolvedValue};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use jiff::Timestamp;
use parking_lot::Mutex;
use serde_json::{Value, json};

use super::state::{Fulfillment, Order, State};
use super::{SCOPES, mutate, search};

/// The mark of a list that comes in pages.
const CONNECTION: &str = "__connection";

/// A time as the API writes it: whole seconds.
pub(super) fn time(micros: i64) -> String {
    let seconds = Timestamp::from_second(micros.div_euclid(1_000_000)).unwrap_or_default();
    seconds.to_string()
}

pub(super) fn gid(kind: &str, number: u64) -> String {
    format!("gid://shopify/{kind}/{number}")
}

/// The number in a name of that kind.
pub(super) fn number(kind: &str, gid: &str) -> Option<u64> {
    gid.strip_prefix("gid://shopify/")?.strip_prefix(kind)?.strip_prefix('/')?.parse().ok()
}

fn connection(kind: &str, nodes: Vec<Value>) -> Value {
    json!({ "__typename": format!("{kind}Connection"), CONNECTION: nodes })
}

/// One page of a list whose rows are in the order of their keys.
pub(super) fn page(
    kind: &str,
    rows: impl DoubleEndedIterator<Item = (String, Value)>,
    first: usize,
    after: Option<&str>,
    reverse: bool,
) -> Value {
    let after = after.and_then(|cursor| String::from_utf8(BASE64.decode(cursor).ok()?).ok());
    let rows: Box<dyn Iterator<Item = (String, Value)>> =
        if reverse { Box::new(rows.rev()) } else { Box::new(rows) };
    let is_after = |(key, _): &(String, Value)| {
        after.as_ref().is_none_or(|after| if reverse { key < after } else { key > after })
    };
    let mut rows = rows.filter(is_after);
    let mut edges = Vec::new();
    for (key, node) in rows.by_ref().take(first) {
        edges
            .push(json!({ "__typename": format!("{kind}Edge"), "cursor": BASE64.encode(key), "node": node }));
    }
    let more = rows.next().is_some();
    let nodes: Vec<Value> = edges.iter().map(|edge| edge["node"].clone()).collect();
    let cursor = |edge: Option<&Value>| edge.map_or(Value::Null, |edge| edge["cursor"].clone());
    let info = json!({
        "__typename": "PageInfo", "hasNextPage": more, "hasPreviousPage": after.is_some(),
        "startCursor": cursor(edges.first()), "endCursor": cursor(edges.last())
    });
    json!({ "__typename": format!("{kind}Connection"), "nodes": nodes, "edges": edges, "pageInfo": info })
}

/// What is asked about, as JSON that says of which type it is.
pub(super) struct Thing(pub Value);

impl ObjectValue for Thing {
    fn type_name(&self) -> &str {
        self.0["__typename"].as_str().unwrap_or("Nothing")
    }

    fn resolve_field<'a>(&'a self, info: &'a ResolveInfo<'a>) -> Result<ResolvedValue<'a>, FieldError> {
        let name = info.field_name();
        let value = self.0.get(name).ok_or_else(|| self.unknown_field_error(info))?;
        let arguments = serde_json::to_value(info.arguments()).unwrap_or_default();
        if let Some(nodes) = value.get(CONNECTION).and_then(Value::as_array) {
            let kind = value["__typename"].as_str().and_then(|name| name.strip_suffix("Connection"));
            let rows = nodes.iter().enumerate().map(|(at, node)| (format!("{at:09}"), node.clone()));
            let first = arguments["first"].as_u64().and_then(|first| usize::try_from(first).ok());
            let after = arguments["after"].as_str();
            let found = page(kind.unwrap_or_default(), rows, first.unwrap_or(usize::MAX), after, false);
            return Ok(resolved(found));
        }
        let names = arguments["names"].as_array();
        if let (Some(names), Some(several)) = (names, value.as_array()) {
            let asked = |one: &&Value| names.contains(&one["name"]);
            return Ok(resolved(several.iter().filter(asked).cloned().collect()));
        }
        if name == "inventoryLevel" {
            let level = value.as_array().and_then(|levels| {
                levels.iter().find(|level| level["location"]["id"] == arguments["locationId"])
            });
            return Ok(resolved(level.cloned().unwrap_or_default()));
        }
        Ok(resolved(value.clone()))
    }
}

/// A value as it is handed back.
pub(super) fn resolved<'a>(value: Value) -> ResolvedValue<'a> {
    match value {
        Value::Array(several) => {
            ResolvedValue::List(Box::new(several.into_iter().map(|one| Ok(resolved(one)))))
        }
        Value::Object(_) => ResolvedValue::object(Thing(value)),
        leaf => ResolvedValue::leaf(leaf),
    }
}

/// Where everything begins.
pub(super) struct Root<'s> {
    pub state: &'s Mutex<State>,
    pub now: i64,
    pub is_mutation: bool,
    /// Where files can be fetched.
    pub base: String,
    /// In a file there are no pages.
    pub whole: bool,
}

impl ObjectValue for Root<'_> {
    fn type_name(&self) -> &str {
        if self.is_mutation { "Mutation" } else { "QueryRoot" }
    }

    fn resolve_field<'a>(&'a self, info: &'a ResolveInfo<'a>) -> Result<ResolvedValue<'a>, FieldError> {
        let arguments = serde_json::to_value(info.arguments()).unwrap_or_default();
        let mut state = self.state.lock();
        let found = if self.is_mutation {
            mutate::run(&mut state, self, info.field_name(), &arguments)
        } else {
            self.query(&state, info.field_name(), &arguments)
        };
        Ok(resolved(found.map_err(|message| FieldError { message })?))
    }
}

impl Root<'_> {
    fn query(&self, state: &State, name: &str, arguments: &Value) -> Result<Value, String> {
        let first = arguments["first"].as_u64().and_then(|first| usize::try_from(first).ok());
        let first = if self.whole { usize::MAX } else { first.unwrap_or(0) };
        let (after, reverse) = (arguments["after"].as_str(), arguments["reverse"].as_bool().unwrap_or(false));
        let key = |number: &u64| format!("{number:020}");
        Ok(match name {
            "currentAppInstallation" => {
                let granted = state.faults.scopes.as_deref();
                let scopes: Vec<&str> =
                    granted.map_or(SCOPES.to_vec(), |granted| granted.split(',').collect());
                let scope = |handle: &&str| json!({ "__typename": "AccessScope", "handle": handle });
                json!({ "__typename": "AppInstallation", "id": gid("AppInstallation", 1),
                    "accessScopes": scopes.iter().map(scope).collect::<Vec<_>>() })
            }
            "locations" => {
                let all = arguments["includeInactive"].as_bool().unwrap_or(false);
                let known = state.locations.iter().filter(|(_, (_, active))| *active || all);
                let rows = known.map(|(id, _)| (key(id), location(state, *id)));
                page("Location", rows, first, after, reverse)
            }
            "productVariants" => {
                let rows = state.variants.keys().map(|item| (key(item), variant(state, *item)));
                page("ProductVariant", rows, first, after, reverse)
            }
            "productVariantsCount" => {
                json!({ "__typename": "Count", "count": state.variants.len(), "precision": "EXACT" })
            }
            "orders" => {
                let matches = search::orders(arguments["query"].as_str().unwrap_or_default())?;
                let lag = i64::from(state.faults.index_lag_ms) * 1_000;
                let is_told = |order: &&Order| order.updated_at <= self.now - lag && matches.has(order);
                let mut found: Vec<&Order> = state.orders.values().filter(is_told).collect();
                let sort = arguments["sortKey"].as_str().unwrap_or_default().to_owned();
                let sort_key = |order: &Order| match sort.as_str() {
                    "UPDATED_AT" => format!("{:020}-{:020}", order.updated_at, order.id),
                    "ID" => format!("{:020}", order.id),
                    _ => format!("{:020}-{:020}", order.created_at, order.id),
                };
                found.sort_by_key(|order| sort_key(order));
                let rows = found.into_iter().map(|known| (sort_key(known), order(state, known)));
                page("Order", rows, first, after, reverse)
            }
            "webhookSubscriptions" => {
                let topics = arguments["topics"].as_array();
                let asked = |topic: &str| topics.is_none_or(|topics| topics.iter().any(|one| one == topic));
                let known = state.subscriptions.iter().filter(|(_, one)| asked(&one.topic));
                let rows = known.map(|(id, one)| (key(id), one.json(*id)));
                page("WebhookSubscription", rows, first, after, reverse)
            }
            "bulkOperation" => {
                mutate::bulk_operation(state, self, arguments["id"].as_str().unwrap_or_default())
            }
            "nodes" => {
                let ids = arguments["ids"].as_array().into_iter().flatten();
                ids.map(|id| node(state, id.as_str().unwrap_or_default())).collect()
            }
            "node" | "order" | "inventoryItem" | "location" => {
                node(state, arguments["id"].as_str().unwrap_or_default())
            }
            other => return Err(format!("{other} is not there")),
        })
    }
}

/// A thing by its name; null where there is none.
fn node(state: &State, id: &str) -> Value {
    if let Some(item) = number("InventoryItem", id) {
        return if state.variants.contains_key(&item) { inventory_item(state, item) } else { Value::Null };
    }
    if let Some(id) = number("Order", id) {
        return state.orders.get(&id).map_or(Value::Null, |known| order(state, known));
    }
    if let Some(id) = number("Location", id) {
        return if state.locations.contains_key(&id) { location(state, id) } else { Value::Null };
    }
    for known in state.orders.values() {
        if let Some(id) = number("Fulfillment", id) {
            if let Some(sent) = known.fulfillments.iter().find(|sent| sent.id == id) {
                return fulfillment(state, known, sent);
            }
        } else if number("Refund", id).is_some() {
            let order = order(state, known);
            let refund = order["refunds"].as_array().and_then(|all| all.iter().find(|one| one["id"] == id));
            if let Some(refund) = refund {
                return refund.clone();
            }
        }
    }
    Value::Null
}

fn location(state: &State, id: u64) -> Value {
    let (name, active) = state.locations.get(&id).cloned().unwrap_or_default();
    json!({ "__typename": "Location", "id": gid("Location", id), "name": name, "isActive": active })
}

/// The variant that is of an item of stock; null where it is gone.
fn variant(state: &State, item: u64) -> Value {
    let Some(known) = state.variants.get(&item) else { return Value::Null };
    json!({ "__typename": "ProductVariant", "id": gid("ProductVariant", known.id), "displayName": known.name,
        "sku": known.sku, "barcode": known.barcode, "inventoryItem": inventory_item(state, item) })
}

fn inventory_item(state: &State, item: u64) -> Value {
    let known = state.variants.get(&item);
    let levels = state.levels.range((item, 0)..=(item, u64::MAX));
    let levels: Vec<Value> =
        levels.filter(|(_, level)| level.active).map(|(place, _)| inventory_level(state, *place)).collect();
    json!({ "__typename": "InventoryItem", "id": gid("InventoryItem", item),
        "sku": known.map(|known| &known.sku), "tracked": known.is_some_and(|known| known.tracked),
        "inventoryLevel": levels.clone(), "inventoryLevels": connection("InventoryLevel", levels) })
}

pub(super) fn inventory_level(state: &State, place: (u64, u64)) -> Value {
    let level = state.levels.get(&place).copied().unwrap_or_default();
    let quantity = |name: &str, quantity: i64| json!({ "__typename": "InventoryQuantity", "name": name, "quantity": quantity });
    json!({ "__typename": "InventoryLevel", "id": format!("{}?inventory_item_id={}", gid("InventoryLevel", place.1), place.0),
        "isActive": level.active, "location": location(state, place.1), "quantities": [
            quantity("available", level.available), quantity("committed", level.committed),
            quantity("on_hand", level.available + level.committed)
        ] })
}

fn order(state: &State, known: &Order) -> Value {
    let lines = known.lines.iter().map(|line| line_item(state, known, line.id)).collect();
    let fulfillments: Vec<Value> =
        known.fulfillments.iter().map(|sent| fulfillment(state, known, sent)).collect();
    let refunds: Vec<Value> = known
        .refunds
        .iter()
        .map(|refund| {
            let lines = refund.lines.iter().map(|(line, quantity, restock)| {
                json!({ "__typename": "RefundLineItem", "id": null, "quantity": quantity,
                    "restockType": restock.name(), "lineItem": line_item(state, known, *line) })
            });
            json!({ "__typename": "Refund", "id": gid("Refund", refund.id), "createdAt": time(refund.at),
                "refundLineItems": connection("RefundLineItem", lines.collect()) })
        })
        .collect();
    let address = known.customer.as_ref().map(|customer| {
        json!({ "__typename": "MailingAddress", "id": gid("MailingAddress", known.id), "name": customer.name,
            "company": null, "address1": customer.address, "address2": null, "city": null, "province": null,
            "zip": null, "country": null, "phone": null })
    });
    let closed = (!known.is_open()).then(|| time(known.updated_at));
    json!({ "__typename": "Order", "id": gid("Order", known.id), "name": format!("#{}", known.number),
        "createdAt": time(known.created_at), "updatedAt": time(known.updated_at),
        "cancelledAt": known.cancelled_at.map(time), "closedAt": closed,
        "email": known.customer.as_ref().map(|customer| &customer.email), "phone": null, "shippingAddress": address,
        "lineItems": connection("LineItem", lines), "fulfillments": fulfillments, "refunds": refunds,
        "fulfillmentOrders": connection("FulfillmentOrder", fulfillment_orders(state, known)) })
}

fn line_item(state: &State, known: &Order, id: u64) -> Value {
    let Some(line) = known.lines.iter().find(|line| line.id == id) else { return Value::Null };
    let variant = variant(state, line.item);
    json!({ "__typename": "LineItem", "id": gid("LineItem", id), "name": variant["displayName"].as_str().unwrap_or("gone"),
        "sku": variant["sku"], "quantity": line.quantity,
        "currentQuantity": (line.quantity - line.removed - line.refunded).max(0),
        "unfulfilledQuantity": line.unfulfilled(), "variant": variant })
}

fn fulfillment(state: &State, known: &Order, sent: &Fulfillment) -> Value {
    let lines = sent.lines.iter().map(|(line, quantity)| {
        json!({ "__typename": "FulfillmentLineItem", "id": gid("FulfillmentLineItem", sent.id * 1_000_000 + line),
            "quantity": quantity, "lineItem": line_item(state, known, *line) })
    });
    let tracking = json!([{ "__typename": "FulfillmentTrackingInfo", "company": sent.tracking.company,
        "number": sent.tracking.number, "url": sent.tracking.url }]);
    json!({ "__typename": "Fulfillment", "id": gid("Fulfillment", sent.id), "createdAt": time(sent.at),
        "updatedAt": time(sent.at), "status": if sent.cancelled { "CANCELLED" } else { "SUCCESS" },
        "fulfillmentLineItems": connection("FulfillmentLineItem", lines.collect()), "trackingInfo": tracking })
}

/// What is to be sent of an order, one part for each location; its name has the location's number.
fn fulfillment_orders(state: &State, known: &Order) -> Vec<Value> {
    let part = |location: &u64| {
        let lines = known.lines.iter().filter_map(|line| {
            let left = line.to_send.get(location)?;
            Some(json!({ "__typename": "FulfillmentOrderLineItem",
                "id": gid("FulfillmentOrderLineItem", line.id * 10_000 + location), "totalQuantity": line.placed.get(location),
                "remainingQuantity": left, "lineItem": line_item(state, known, line.id) }))
        });
        let lines: Vec<Value> = lines.collect();
        let left: i64 = lines.iter().filter_map(|line| line["remainingQuantity"].as_i64()).sum();
        if lines.is_empty() {
            return None;
        }
        let status = match (known.cancelled_at, left) {
            (Some(_), _) => "CANCELLED",
            (None, 0) => "CLOSED",
            (None, _) => "OPEN",
        };
        Some(
            json!({ "__typename": "FulfillmentOrder", "id": gid("FulfillmentOrder", known.id * 10_000 + location),
            "status": status, "lineItems": connection("FulfillmentOrderLineItem", lines),
            "assignedLocation": { "__typename": "FulfillmentOrderAssignedLocation", "name": state.locations[location].0,
                "location": self::location(state, *location) } }),
        )
    };
    state.locations.keys().filter_map(part).collect()
}
