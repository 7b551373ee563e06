//! The vendor's schema, from what an introspection of it answered to the language schemas are written in.

use std::fmt::Write as _;

use serde_json::Value;

/// The schema that this answer describes (`{"data": {"__schema": …}}`, with `data` or without), as SDL. Descriptions are left out.
pub fn to_sdl(introspection: &Value) -> Result<String, String> {
    let schema = introspection.get("data").unwrap_or(introspection).get("__schema");
    let schema = schema.ok_or("it has no `__schema`")?;
    let mut sdl = String::from("schema {\n");
    for (operation, field) in [("query", "queryType"), ("mutation", "mutationType")] {
        if let Some(name) = schema[field]["name"].as_str() {
            let _ = writeln!(sdl, "  {operation}: {name}");
        }
    }
    sdl.push_str("}\n");
    for directive in rows(&schema["directives"]) {
        let name = text(directive, "name");
        // What every schema has.
        if ["include", "skip", "deprecated", "specifiedBy"].contains(&name) {
            continue;
        }
        let places: Vec<&str> = rows(&directive["locations"]).filter_map(Value::as_str).collect();
        let _ = writeln!(sdl, "directive @{name}{} on {}", arguments(directive)?, places.join(" | "));
    }
    for known in rows(&schema["types"]) {
        let name = text(known, "name");
        let builtin = ["String", "Int", "Float", "Boolean", "ID"].contains(&name) || name.starts_with("__");
        if !builtin {
            one(&mut sdl, known)?;
        }
    }
    Ok(sdl)
}

fn one(sdl: &mut String, known: &Value) -> Result<(), String> {
    let name = text(known, "name");
    match text(known, "kind") {
        "SCALAR" => {
            let _ = writeln!(sdl, "scalar {name}");
        }
        kind @ ("OBJECT" | "INTERFACE") => {
            let keyword = if kind == "OBJECT" { "type" } else { "interface" };
            let interfaces: Vec<&str> = rows(&known["interfaces"]).map(|one| text(one, "name")).collect();
            let implements = if interfaces.is_empty() {
                String::new()
            } else {
                format!(" implements {}", interfaces.join(" & "))
            };
            let _ = writeln!(sdl, "{keyword} {name}{implements} {{");
            for field in rows(&known["fields"]) {
                let _ = writeln!(
                    sdl,
                    "  {}{}: {}",
                    text(field, "name"),
                    arguments(field)?,
                    kind_of(&field["type"])?
                );
            }
            sdl.push_str("}\n");
        }
        "UNION" => {
            let of: Vec<&str> = rows(&known["possibleTypes"]).map(|one| text(one, "name")).collect();
            let _ = writeln!(sdl, "union {name} = {}", of.join(" | "));
        }
        "ENUM" => {
            let values: Vec<&str> = rows(&known["enumValues"]).map(|one| text(one, "name")).collect();
            let _ = writeln!(sdl, "enum {name} {{ {} }}", values.join(" "));
        }
        "INPUT_OBJECT" => {
            let one_of = if known["isOneOf"] == true { " @oneOf" } else { "" };
            let _ = writeln!(sdl, "input {name}{one_of} {{");
            for field in rows(&known["inputFields"]) {
                let _ = writeln!(sdl, "  {}", input(field)?);
            }
            sdl.push_str("}\n");
        }
        other => return Err(format!("{name} is of the unknown kind {other}")),
    }
    Ok(())
}

fn rows(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}

fn text<'v>(value: &'v Value, field: &str) -> &'v str {
    value[field].as_str().unwrap_or_default()
}

fn arguments(of: &Value) -> Result<String, String> {
    let all: Vec<String> = rows(&of["args"]).map(input).collect::<Result<_, _>>()?;
    Ok(if all.is_empty() { String::new() } else { format!("({})", all.join(", ")) })
}

fn input(field: &Value) -> Result<String, String> {
    let default = field["defaultValue"].as_str().map_or(String::new(), |value| format!(" = {value}"));
    Ok(format!("{}: {}{default}", text(field, "name"), kind_of(&field["type"])?))
}

fn kind_of(of: &Value) -> Result<String, String> {
    match text(of, "kind") {
        "NON_NULL" => Ok(format!("{}!", kind_of(&of["ofType"])?)),
        "LIST" => Ok(format!("[{}]", kind_of(&of["ofType"])?)),
        _ => of["name"].as_str().map(str::to_owned).ok_or_else(|| "a type has no name".to_owned()),
    }
}
