//! Is an answer what the API's document says of it? As much of JSON Schema as the document uses.

use axum::http::{Method, StatusCode};
use serde_json::Value;

/// What is wrong with an answer, by the document of the API: nothing where it says just that.
pub fn complaints(
    document: &Value,
    method: &Method,
    path: &str,
    status: StatusCode,
    answer: &Value,
) -> Vec<String> {
    let path = path.split('?').next().unwrap_or(path);
    let method = method.as_str().to_ascii_lowercase();
    let Some(operation) = operation(document, &method, path) else { return Vec::new() };
    let Some(response) = operation["responses"].get(status.as_str()) else {
        return vec![format!("the document knows no {status} of {method} {path}: {answer}")];
    };
    let content = response["content"].as_object();
    let schema = content.and_then(|content| {
        let (_, said) = content.iter().find(|(kind, _)| kind.ends_with("json") && !kind.contains("nd"))?;
        said.get("schema")
    });
    let mut found = Vec::new();
    if let Some(schema) = schema.filter(|_| !answer.is_null()) {
        check(document, schema, answer, (&format!("{method} {path}"), true), &mut found);
    }
    found
}

/// The operation at an address: of two that fit, the one with fewer parts in braces.
fn operation<'d>(document: &'d Value, method: &str, path: &str) -> Option<&'d Value> {
    let fits = |template: &str| {
        let (parts, wanted): (Vec<&str>, Vec<&str>) =
            (path.split('/').collect(), template.split('/').collect());
        parts.len() == wanted.len()
            && parts.iter().zip(&wanted).all(|(part, want)| want.starts_with('{') || part == want)
    };
    let all = document["paths"].as_object()?.iter();
    let (_, item) = all
        .filter(|(template, _)| fits(template))
        .min_by_key(|(template, _)| template.matches('{').count())?;
    item.get(method)
}

/// `at` says where it is, and whether the schema says all that is there: one of several that are laid over each other
/// does not.
fn check(document: &Value, schema: &Value, value: &Value, at: (&str, bool), found: &mut Vec<String>) {
    let (at, says_all) = at;
    if let Some(reference) = schema["$ref"].as_str() {
        let target = document.pointer(reference.trim_start_matches('#'));
        return match target {
            Some(target) => check(document, target, value, (at, says_all), found),
            None => found.push(format!("{at}: {reference} leads nowhere")),
        };
    }
    for all in schema["allOf"].as_array().into_iter().flatten() {
        check(document, all, value, (at, false), found);
    }
    for kind in ["oneOf", "anyOf"] {
        let Some(choices) = schema[kind].as_array() else { continue };
        let complaints = choices.iter().map(|choice| {
            let mut complaints = Vec::new();
            check(document, choice, value, (at, says_all), &mut complaints);
            complaints
        });
        let best = complaints.min_by_key(Vec::len);
        found.extend(best.unwrap_or_default());
    }
    if !is_of_type(&schema["type"], value) {
        found.push(format!("{at}: {value} is no {}", schema["type"]));
    }
    if let Some(allowed) = schema["enum"].as_array()
        && !allowed.contains(value)
    {
        found.push(format!("{at}: {value} is none of {}", schema["enum"]));
    }
    if let Some(list) = value.as_array() {
        for (index, entry) in list.iter().enumerate() {
            if let Some(items) = schema.get("items") {
                check(document, items, entry, (&format!("{at}[{index}]"), true), found);
            }
        }
    }
    let Some(object) = value.as_object() else { return };
    for required in schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str) {
        if !object.contains_key(required) {
            found.push(format!("{at}: `{required}` is not there: {value}"));
        }
    }
    for (name, value) in object {
        match (schema["properties"].get(name), schema.get("additionalProperties")) {
            (Some(property), _) => check(document, property, value, (&format!("{at}.{name}"), true), found),
            (None, Some(Value::Bool(false))) => found.push(format!("{at}: `{name}` is not said")),
            // An object of which nothing is said at all is left open on purpose.
            (None, None) if says_all && schema["properties"].is_object() => {
                found.push(format!("{at}: `{name}` is not said"));
            }
            _ => {}
        }
    }
}

fn is_of_type(types: &Value, value: &Value) -> bool {
    let is = |kind: &str| match kind {
        "null" => value.is_null(),
        "boolean" => value.is_boolean(),
        "integer" => value.is_i64() || value.is_u64(),
        "number" => value.is_number(),
        "string" => value.is_string(),
        "array" => value.is_array(),
        "object" => value.is_object(),
        _ => true,
    };
    match types {
        Value::String(kind) => is(kind),
        Value::Array(kinds) => kinds.iter().filter_map(Value::as_str).any(is),
        _ => true,
    }
}
