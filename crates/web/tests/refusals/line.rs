//! What an endpoint is asked, as the line of `POST /v1/commands` that asks the same.

use serde_json::{Map, Value, json};

/// The command, and what it is asked. Quantities are as they were written.
pub fn command_of(method: &str, path: &str, body: &str) -> (String, Value) {
    let mut body: Map<String, Value> = match serde_json::from_str(body) {
        Ok(Value::Object(body)) => body,
        // A table is looked through before its words are put in.
        _ => Map::new(),
    };
    let segments: Vec<&str> = path.trim_start_matches("/v1/").split('/').collect();
    let id = |text: &str| text.parse::<u64>().map_or(Value::Null, Value::from);
    let noted: Vec<(String, Value)> = ["reference", "note"]
        .into_iter()
        .filter(|_| {
            path.starts_with("/v1/movements")
                || path.starts_with("/v1/pushing")
                || path.ends_with("/pause")
                || path.ends_with("/dispatch")
                || path.ends_with("/receive")
        })
        .filter_map(|name| Some((name.to_owned(), body.remove(name)?)))
        .collect();
    let names_lines = body.contains_key("lines");
    let mut with = |name: &str, value: Value| {
        body.entry(name).or_insert(value);
    };
    let (command, whole) = match (method, segments.as_slice()) {
        (_, ["items"]) => ("put_item", None),
        (_, ["items", sku, what]) => {
            with(if *what == "merge" { "from" } else { "sku" }, json!(sku));
            match *what {
                "rename" => ("rename_item", None),
                "aliases" => ("change_aliases", None),
                "merge" => ("merge_items", None),
                _ => ("set_low_stock", None),
            }
        }
        (_, ["locations"]) => ("put_location", None),
        (_, ["lots"]) => ("put_lot", None),
        (_, ["movements", seq, "reverse"]) => {
            with("seq", id(seq));
            ("reverse", None)
        }
        (_, ["movements", "state"]) => ("move", None),
        (_, ["movements", "receive"]) => ("receive", None),
        (_, ["movements", "adjust"]) => ("adjust", None),
        (_, ["movements", "transfer"]) => ("transfer", None),
        (_, ["movements", "assemble"]) => ("assemble", None),
        (_, ["movements", "disassemble"]) => ("disassemble", None),
        (_, ["transfers"]) => ("plan_transfer", None),
        (_, ["transfers", transfer, what]) => {
            with("transfer", id(transfer));
            match *what {
                "amend" => {
                    with("lines", json!([]));
                    ("amend_transfer", None)
                }
                "ready" => ("ready_transfer", None),
                "dispatch" => ("dispatch_transfer", None),
                "receive" => {
                    with("into", json!("available"));
                    ("receive_transfer", None)
                }
                _ => ("cancel_transfer", None),
            }
        }
        (_, ["purchase-orders"]) => ("place_purchase", None),
        (_, ["purchase-orders", purchase, what]) => {
            with("purchase", id(purchase));
            match *what {
                "amend" => ("amend_purchase", None),
                "receive" => {
                    with("into", json!("available"));
                    ("receive_purchase", None)
                }
                what => {
                    with("cancel", json!(what == "cancel"));
                    ("end_purchase", None)
                }
            }
        }
        (_, ["counts"]) => ("count", None),
        (_, ["count-sessions"]) => ("open_session", None),
        (_, ["count-sessions", session, "cancel"]) => ("cancel_session", Some(id(session))),
        (_, ["count-sessions", session, what]) => {
            with("session", id(session));
            (if *what == "counts" { "sight" } else { "apply_session" }, None)
        }
        (_, ["orders"]) => ("place_order", None),
        (_, ["orders", order, what]) => {
            with("order", id(order));
            match *what {
                "fulfil" => ("fulfil_order", None),
                "cancel" => ("cancel_order", None),
                "return" => {
                    with("into", json!("available"));
                    ("return_order", None)
                }
                "expected-returns" => {
                    with("into", json!("available"));
                    ("announce_return", None)
                }
                _ => ("reallocate", None),
            }
        }
        (_, ["expected-returns", expected, _]) => ("end_return", Some(id(expected))),
        (_, ["holds"]) => ("place_hold", None),
        (_, ["holds", hold, "release"]) if !names_lines => ("release_hold", Some(id(hold))),
        (_, ["holds", hold, what]) => {
            with("hold", id(hold));
            match *what {
                "release" => ("release_lines", None),
                "extend" => ("extend_hold", None),
                _ => ("convert_hold", None),
            }
        }
        (_, ["documents"]) => ("record", Some(document(&body))),
        (_, ["ownership"]) => ("set_ownership", None),
        (_, ["publication"]) => ("set_publication", None),
        (_, ["selling", what]) => (if *what == "stop" { "stop_selling" } else { "resume_selling" }, None),
        (_, ["allocation"]) => {
            let pair = |region: &Value| json!([region["region"], region["locations"]]);
            if let Some(Value::Array(regions)) = body.get_mut("regions") {
                *regions = regions.iter().map(pair).collect();
            }
            ("set_allocation", None)
        }
        ("DELETE", ["rules", rule]) => ("end_rule", Some(id(rule))),
        (_, ["discrepancies", discrepancy, "resolve"]) => {
            with("discrepancy", id(discrepancy));
            ("resolve", None)
        }
        (_, ["systems"]) => ("put_system", None),
        (_, ["systems", system, "listings"]) => {
            with("system", json!(system));
            with("multiplier", json!(1));
            ("put_listing", None)
        }
        (_, ["systems", system, "pause" | "stage" | "locations" | "orders"]) => {
            with("name", json!(system));
            with("kind", json!("test"));
            ("put_system", None)
        }
        (_, ["systems", system, "mode"]) => {
            let mut mode = std::mem::take(&mut body);
            if let Some(debounce_ms) = mode.remove("debounce_ms") {
                let timing = json!({ "near_real_time": { "debounce_ms": debounce_ms } });
                mode.insert("timing".to_owned(), timing);
            }
            if let Some(mut batch) = mode.remove("batch") {
                let defaults = [("time_zone", json!("UTC")), ("full", json!(false))];
                for (name, value) in defaults {
                    batch.as_object_mut().map(|batch| batch.entry(name).or_insert(value));
                }
                mode.insert("timing".to_owned(), json!({ "batch": batch }));
            }
            if let Some(zeros) = mode.remove("hold_zeros") {
                mode.insert("zeros".to_owned(), zeros);
            }
            body = Map::from_iter([
                ("name".to_owned(), json!(system)),
                ("kind".to_owned(), json!("test")),
                ("mode".to_owned(), Value::Object(mode)),
            ]);
            ("put_system", None)
        }
        (_, ["pushing", what]) => {
            let command = if *what == "stop" { "stop_pushing" } else { "resume_pushing" };
            (command, Some(Value::Null))
        }
        (_, ["systems", system, "recounts"]) => {
            body.insert("system".to_owned(), json!(system));
            ("ask_recount", None)
        }
        (_, ["systems", system, "inbound"]) => {
            let inbound = Value::Object(std::mem::take(&mut body));
            let whole = json!({ "name": system, "kind": "test", "inbound": inbound });
            ("put_system", Some(whole))
        }
        _ => panic!("{method} {path} has no line"),
    };
    let asked = json!({ command: whole.unwrap_or(Value::Object(body)) });
    if noted.is_empty() {
        return (command.to_owned(), asked);
    }
    let mut around: Map<String, Value> = noted.into_iter().collect();
    around.insert("body".to_owned(), asked);
    (command.to_owned(), json!({ "noted": around }))
}

/// A document, as a line has it.
fn document(body: &Map<String, Value>) -> Value {
    let named = |line: &Value, defaults: &[(&str, Value)]| {
        let mut line = line.as_object().cloned().unwrap_or_default();
        for (field, default) in defaults {
            line.entry(*field).or_insert(default.clone());
        }
        for name in ["sku", "listing"] {
            if let Some(value) = line.remove(name) {
                line.insert("item".to_owned(), json!({ name: value }));
            }
        }
        Value::Object(line)
    };
    let all = |lines: &Value, defaults: &[(&str, Value)]| -> Value {
        lines.as_array().into_iter().flatten().map(|line| named(line, defaults)).collect()
    };
    let mut document = body.clone();
    let mut content = Map::new();
    if let Some(mut order) = document.remove("order") {
        order["lines"] = all(&order["lines"], &[("shipped", json!(0)), ("returned", json!(0))]);
        order.as_object_mut().expect("an order").entry("cancelled").or_insert(json!(false));
        content.insert("order".to_owned(), order);
    }
    if let Some(mut shipment) = document.remove("shipment") {
        shipment["lines"] = all(&shipment["lines"], &[]);
        content.insert("shipment".to_owned(), shipment);
    }
    if let Some(mut receipt) = document.remove("receipt") {
        receipt["lines"] = all(&receipt["lines"], &[]);
        if let Some(order) = receipt.as_object_mut().and_then(|receipt| receipt.remove("purchase_order")) {
            receipt["purchase"] = order;
        }
        content.insert("receipt".to_owned(), receipt);
    }
    if let Some(movements) = document.remove("movements") {
        content.insert("movements".to_owned(), all(&movements, &[]));
    }
    document.insert("content".to_owned(), Value::Object(content));
    Value::Object(document)
}
