//! What changes over the API.

use serde_json::{Value, json};

use super::hooks::Subscription;
use super::resolve::{Root, gid, inventory_level, number, time};
use super::state::{State, Tracking};
use crate::wire::EventKind;

/// More of one item than this there cannot be.
const MOST_UNITS: i64 = 1_000_000_000;

pub(super) fn run(
    state: &mut State,
    root: &Root<'_>,
    name: &str,
    arguments: &Value,
) -> Result<Value, String> {
    match name {
        "inventorySetQuantities" => set_quantities(state, root.now, &arguments["input"]),
        "inventoryActivate" => Ok(activate(state, root.now, arguments)),
        "fulfillmentCreate" => Ok(fulfil(state, root.now, &arguments["fulfillment"])),
        "bulkOperationRunQuery" => {
            Ok(begin_bulk(state, root, arguments["query"].as_str().unwrap_or_default()))
        }
        "webhookSubscriptionCreate" => Ok(subscribe(state, arguments)),
        "webhookSubscriptionDelete" => {
            let id = arguments["id"].as_str().unwrap_or_default();
            let gone = number("WebhookSubscription", id).and_then(|id| state.subscriptions.remove(&id));
            let errors = if gone.is_some() { json!([]) } else { user_error(&["id"], "it does not exist") };
            Ok(json!({ "__typename": "WebhookSubscriptionDeletePayload", "userErrors": errors,
                "deletedWebhookSubscriptionId": gone.map(|_| id) }))
        }
        other => Err(format!("{other} is not there")),
    }
}

fn user_error(field: &[&str], message: &str) -> Value {
    json!([{ "__typename": "UserError", "field": field, "message": message }])
}

/// All or nothing.
fn set_quantities(state: &mut State, now: i64, input: &Value) -> Result<Value, String> {
    let quantities = input["quantities"].as_array().cloned().unwrap_or_default();
    if quantities.len() > 250 {
        return Err(format!("the input has {} quantities, and may have 250", quantities.len()));
    }
    if !quantities.iter().all(|one| one.as_object().is_some_and(|one| one.contains_key("changeFromQuantity")))
    {
        return Err("changeFromQuantity must be given: a number, or null to compare nothing".to_owned());
    }
    let mut errors = Vec::new();
    let mut error = |path: &[&str], code: &str, message: &str| {
        let field: Vec<&str> = std::iter::once("input").chain(path.iter().copied()).collect();
        errors.push(json!({ "__typename": "InventorySetQuantitiesUserError", "field": field, "code": code, "message": message }));
    };
    if input["name"] != "available" {
        error(
            &["name"],
            "INVALID_NAME",
            "The quantity name must be either 'available' or 'on_hand'. Here it is 'available'.",
        );
    }
    if input["reason"].as_str().is_none_or(|reason| !REASONS.contains(&reason)) {
        error(&["reason"], "INVALID_REASON", "The specified reason is invalid.");
    }
    if let Some(uri) = input["referenceDocumentUri"].as_str()
        && !is_document(uri)
    {
        error(
            &["referenceDocumentUri"],
            "INVALID_REFERENCE_DOCUMENT",
            "The specified reference document is invalid.",
        );
    }
    let mut changes = Vec::new();
    for (at, one) in quantities.iter().enumerate() {
        let at = at.to_string();
        let item = number("InventoryItem", one["inventoryItemId"].as_str().unwrap_or_default());
        let item = item.filter(|item| state.variants.contains_key(item));
        let location = number("Location", one["locationId"].as_str().unwrap_or_default());
        let location =
            location.filter(|location| state.locations.get(location).is_some_and(|(_, active)| *active));
        let quantity = one["quantity"].as_i64().unwrap_or_default();
        let path = |field: &'static str| ["quantities", at.as_str(), field];
        let Some(item) = item else {
            error(
                &path("inventoryItemId"),
                "INVALID_INVENTORY_ITEM",
                "The specified inventory item could not be found.",
            );
            continue;
        };
        let Some(location) = location else {
            error(&path("locationId"), "INVALID_LOCATION", "The specified location could not be found.");
            continue;
        };
        let there = state.levels.get(&(item, location)).map_or(0, |level| level.available);
        let expected = one["changeFromQuantity"].as_i64();
        if changes.iter().any(|(place, _)| *place == (item, location)) {
            let message = "The combination of inventoryItemId and locationId must be unique.";
            error(&["quantities", at.as_str()], "NO_DUPLICATE_INVENTORY_ITEM_ID_GROUP_ID_PAIR", message);
        } else if quantity > MOST_UNITS {
            error(
                &path("quantity"),
                "INVALID_QUANTITY_TOO_HIGH",
                "The total quantity can't be higher than 1,000,000,000.",
            );
        } else if state.faults.refuse_above.is_some_and(|most| quantity > most) {
            error(
                &path("inventoryItemId"),
                "NON_MUTABLE_INVENTORY_ITEM",
                "The specified inventory item is not allowed to be adjusted via API.",
            );
        } else if expected.is_some_and(|expected| expected != there) {
            error(
                &path("changeFromQuantity"),
                "CHANGE_FROM_QUANTITY_STALE",
                "The changeFromQuantity value does not match persisted value.",
            );
        } else {
            changes.push(((item, location), quantity - there));
        }
    }
    if !errors.is_empty() {
        return Ok(
            json!({ "__typename": "InventorySetQuantitiesPayload", "inventoryAdjustmentGroup": null, "userErrors": errors }),
        );
    }
    state.writes += changes.len() as u64;
    let reference = input["referenceDocumentUri"].as_str().unwrap_or_default().to_owned();
    for (place, change) in changes {
        state.change(now, EventKind::Set, place, change, &reference);
    }
    let id = state.number();
    let group = json!({ "__typename": "InventoryAdjustmentGroup", "id": gid("InventoryAdjustmentGroup", id),
        "createdAt": time(now), "reason": input["reason"], "referenceDocumentUri": input["referenceDocumentUri"] });
    Ok(
        json!({ "__typename": "InventorySetQuantitiesPayload", "inventoryAdjustmentGroup": group, "userErrors": [] }),
    )
}

/// The reasons there are
/// (<https://shopify.dev/docs/apps/build/orders-fulfillment/inventory-management-apps/manage-quantities-states#set-inventory-quantities-on-hand>).
const REASONS: [&str; 13] = [
    "correction",
    "cycle_count_available",
    "damaged",
    "movement_canceled",
    "movement_created",
    "movement_received",
    "movement_updated",
    "other",
    "promotion",
    "quality_control",
    "received",
    "reservation_created",
    "restock",
];

/// A URI with a scheme and something after it; a name of ours has an app, a kind and an id.
fn is_document(uri: &str) -> bool {
    match uri.split_once("://") {
        Some(("gid", rest)) => rest.split('/').filter(|part| !part.is_empty()).count() == 3,
        Some((scheme, rest)) => !scheme.is_empty() && !rest.is_empty(),
        None => false,
    }
}

fn activate(state: &mut State, now: i64, arguments: &Value) -> Value {
    let item = number("InventoryItem", arguments["inventoryItemId"].as_str().unwrap_or_default());
    let location = number("Location", arguments["locationId"].as_str().unwrap_or_default());
    let item = item.filter(|item| state.variants.contains_key(item));
    let location = location.filter(|location| state.locations.contains_key(location));
    let (Some(item), Some(location)) = (item, location) else {
        let errors =
            user_error(&["inventoryItemId"], "The inventory item or the location could not be found.");
        return json!({ "__typename": "InventoryActivatePayload", "inventoryLevel": null, "userErrors": errors });
    };
    let place = (item, location);
    let level = state.levels.entry(place).or_default();
    let (was_active, there) = (level.active, level.available);
    let available = arguments["available"].as_i64();
    if was_active && available.is_some() {
        let errors = user_error(
            &["available"],
            "Not allowed to set available quantity when the item is already active at the location.",
        );
        return json!({ "__typename": "InventoryActivatePayload", "inventoryLevel": null, "userErrors": errors });
    }
    level.active = true;
    if let Some(available) = available {
        state.writes += 1;
        state.change(now, EventKind::Set, place, available - there, "");
    }
    json!({ "__typename": "InventoryActivatePayload", "inventoryLevel": inventory_level(state, place), "userErrors": [] })
}

fn fulfil(state: &mut State, now: i64, input: &Value) -> Value {
    let refused = |message: &str| {
        json!({ "__typename": "FulfillmentCreatePayload", "fulfillment": null,
            "userErrors": user_error(&["fulfillment"], message) })
    };
    let parts = input["lineItemsByFulfillmentOrder"].as_array().cloned().unwrap_or_default();
    let [part] = parts.as_slice() else {
        return refused("All fulfillment orders must be of one location.");
    };
    let id = number("FulfillmentOrder", part["fulfillmentOrderId"].as_str().unwrap_or_default()).unwrap_or(0);
    let (order, location) = (id / 10_000, id % 10_000);
    let mut lines: Vec<(u64, i64)> = Vec::new();
    match part["fulfillmentOrderLineItems"].as_array().filter(|lines| !lines.is_empty()) {
        Some(asked) => {
            for line in asked {
                let id = number("FulfillmentOrderLineItem", line["id"].as_str().unwrap_or_default());
                lines.push((id.unwrap_or(0) / 10_000, line["quantity"].as_i64().unwrap_or(0)));
            }
        }
        None => {
            let known = state.orders.get(&order).map(|order| order.lines.clone()).unwrap_or_default();
            let left = known.iter().filter_map(|line| Some((line.id, *line.to_send.get(&location)?)));
            lines.extend(left.filter(|(_, left)| *left > 0));
        }
    }
    let tracking: Tracking = serde_json::from_value(input["trackingInfo"].clone()).unwrap_or_default();
    let Some(fulfillment) = state.fulfil(now, order, location, &lines, tracking) else {
        return refused(
            "The fulfillment order line items could not be fulfilled: so much is not left to be sent.",
        );
    };
    state.announce(now, order, &["FULFILLMENTS_CREATE", "ORDERS_UPDATED"]);
    json!({ "__typename": "FulfillmentCreatePayload", "userErrors": [],
        "fulfillment": { "__typename": "Fulfillment", "id": gid("Fulfillment", fulfillment), "status": "SUCCESS",
            "createdAt": time(now), "updatedAt": time(now), "trackingInfo": [] } })
}

fn subscribe(state: &mut State, arguments: &Value) -> Value {
    let input = &arguments["webhookSubscription"];
    let (topic, uri) =
        (arguments["topic"].as_str().unwrap_or_default(), input["uri"].as_str().unwrap_or_default());
    let refused = |message: &str| {
        json!({ "__typename": "WebhookSubscriptionCreatePayload", "webhookSubscription": null,
            "userErrors": user_error(&["webhookSubscription", "uri"], message) })
    };
    // A real shop takes https alone; here what runs on this machine may be told without.
    if !uri.starts_with("https://") && !uri.starts_with("http://127.0.0.1:") {
        return refused("Address protocol http:// is not supported");
    }
    if state.subscriptions.values().any(|known| known.topic == topic && known.uri == uri) {
        return refused("Address for this topic has already been taken");
    }
    let id = state.number();
    let subscription = Subscription { topic: topic.to_owned(), uri: uri.to_owned() };
    let told = subscription.json(id);
    state.subscriptions.insert(id, subscription);
    json!({ "__typename": "WebhookSubscriptionCreatePayload", "webhookSubscription": told, "userErrors": [] })
}

/// A file is made at once, and ready a moment later.
fn begin_bulk(state: &mut State, root: &Root<'_>, query: &str) -> Value {
    let answer = |operation: Value, errors: Value| json!({ "__typename": "BulkOperationRunQueryPayload", "bulkOperation": operation, "userErrors": errors });
    let error = |code: &str, message: &str| json!([{ "__typename": "BulkOperationUserError", "field": ["query"], "code": code, "message": message }]);
    let running = state.files.values().filter(|file| file.ready_at > root.now).count();
    // Five at a time (<https://shopify.dev/docs/api/usage/bulk-operations/queries>).
    if running >= 5 {
        return answer(
            Value::Null,
            error("LIMIT_REACHED", "Bulk operations limit reached. Please try again later."),
        );
    }
    let (rows, text) = match super::api::whole(state, root.now, query) {
        Ok(file) => file,
        Err(message) => return answer(Value::Null, error("INVALID", &message)),
    };
    let id = state.number();
    let ready_at = root.now + i64::from(state.faults.bulk_ms) * 1_000;
    state.files.insert(id, super::state::File { ready_at, rows, text });
    answer(bulk_operation(state, root, &gid("BulkOperation", id)), json!([]))
}

pub(super) fn bulk_operation(state: &State, root: &Root<'_>, id: &str) -> Value {
    let known = number("BulkOperation", id).and_then(|number| Some((number, state.files.get(&number)?)));
    let Some((number, file)) = known else { return Value::Null };
    let is_ready = root.now >= file.ready_at;
    let url = (is_ready && file.rows > 0).then(|| format!("{}/files/{number}.jsonl", root.base));
    json!({ "__typename": "BulkOperation", "id": id, "status": if is_ready { "COMPLETED" } else { "RUNNING" },
        "errorCode": null, "url": url, "objectCount": file.rows.to_string() })
}
