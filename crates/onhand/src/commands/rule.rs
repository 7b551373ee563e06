//! `onhand rule`: what other systems show, and what is not sold at all.

use std::io;

use serde_json::{Value, json};

use super::item::{all, text};
use super::print;
use crate::cli::{Rule, RuleFields, What};
use crate::link::Link;
use crate::output::say;

pub(crate) async fn run(link: &Link, asked: Rule, json: bool) -> anyhow::Result<()> {
    match asked {
        Rule::List => list(link, json).await,
        Rule::Set(fields) => {
            let body = body(&fields);
            let found = link.post("/v1/publication/preview", &body).await?;
            let made = link.post("/v1/publication", &body).await?;
            Ok(print(json, &made, |made| {
                say(format!("Rule {} is in force: {}.", made["id"], changed(&found)))
            })?)
        }
        Rule::Preview(fields) => {
            let found = link.post("/v1/publication/preview", &body(&fields)).await?;
            Ok(print(json, &found, previewed)?)
        }
        Rule::End { id } => {
            let ended = link.delete(&format!("/v1/rules/{id}")).await?;
            Ok(print(json, &ended, |_| say(format!("Rule {id} has ended.")))?)
        }
        Rule::StopSelling { what, reason } => {
            let What { sku, tag } = &what;
            let body = without_nulls(json!({ "sku": sku, "tag": tag, "reason": reason }));
            let stopped = link.post("/v1/selling/stop", &body).await?;
            Ok(print(json, &stopped, |_| {
                say(format!(
                    "{} shows 0 everywhere until selling is resumed, but where the number is the system's own (one-way in, or master of it): \
                     stop it over there too.",
                    named(&what)
                ))
            })?)
        }
        Rule::ResumeSelling { what } => {
            let What { sku, tag } = &what;
            let body = without_nulls(json!({ "sku": sku, "tag": tag }));
            let resumed = link.post("/v1/selling/resume", &body).await?;
            Ok(print(json, &resumed, |_| say(format!("{} is sold again.", named(&what))))?)
        }
    }
}

/// How many numbers a rule changes, and how many of them to nothing.
fn changed(found: &Value) -> String {
    let [changes, zeros] = ["changes", "zeros"].map(|field| found[field].as_u64().unwrap_or(0));
    let changes = match changes {
        0 => return "it changes no number".to_owned(),
        1 => "it changes 1 number".to_owned(),
        changes => format!("it changes {changes} numbers"),
    };
    if zeros > 0 { format!("{changes}, {zeros} of them to 0") } else { changes }
}

/// How many numbers a rule would change, and the first of them.
fn previewed(found: &Value) -> io::Result<()> {
    let [compared, changes, zeros] =
        ["compared", "changes", "zeros"].map(|field| found[field].as_u64().unwrap_or(0));
    let to_zero = if zeros > 0 { format!(", {zeros} of them to 0") } else { String::new() };
    say(format!("{changes} of {compared} numbers would change{to_zero}. Nothing was changed."))?;
    let first = found["first"].as_array().map(Vec::as_slice).unwrap_or_default();
    for one in first {
        let number = |field: &str| match &one[field] {
            Value::Null => "left to it".to_owned(),
            number => number.to_string(),
        };
        let because = text(one, "because");
        let because = if because.is_empty() { String::new() } else { format!("  ({because})") };
        let (system, listing, sku) = (text(one, "system"), text(one, "listing"), text(one, "sku"));
        say(format!("  {system}  {sku} ({listing})  {} -> {}{because}", number("from"), number("to")))?;
    }
    let more = changes.saturating_sub(first.len() as u64);
    if more > 0 { say(format!("  and {more} more")) } else { Ok(()) }
}

fn named(what: &What) -> String {
    match (&what.sku, &what.tag) {
        (Some(sku), _) => sku.clone(),
        (None, tag) => format!("What is tagged {}", tag.as_deref().unwrap_or_default()),
    }
}

fn without_nulls(mut body: Value) -> Value {
    body.as_object_mut().into_iter().for_each(|members| members.retain(|_, value| !value.is_null()));
    body
}

/// A rule as the API takes it.
fn body(fields: &RuleFields) -> Value {
    let RuleFields { system, remote_location, sku, tag, listing, locations, groups, .. } = fields;
    let RuleFields { buffer, cap, percentage, stop_at, incoming_days, incoming_until, formula, skip, .. } =
        fields;
    let RuleFields { risk_one_in, buffer_at_most, .. } = fields;
    let groups = groups.iter().map(|group| json!({ "group": group }));
    let counts: Vec<Value> = locations.iter().map(|code| json!(code)).chain(groups).collect();
    without_nulls(json!({
        "system": system, "remote_location": remote_location, "sku": sku, "tag": tag, "listing": listing,
        "locations": (!counts.is_empty()).then_some(counts), "buffer": buffer,
        "risk_one_in": risk_one_in, "buffer_at_most": buffer_at_most, "cap": cap,
        "percentage": percentage, "stop_at": stop_at, "incoming_days": incoming_days,
        "incoming_until": incoming_until, "formula": formula, "skip": skip.then_some(true)
    }))
}

/// One line for a rule: of what, where, and what it says.
fn row(rule: &Value) -> String {
    let mut row = format!("{}", rule["id"]);
    let mut add = |what: &str, told: &str| {
        if !told.is_empty() {
            row.extend(["  ", what, told]);
        }
    };
    add("", text(rule, "sku"));
    add("tag ", text(rule, "tag"));
    add("listing ", text(rule, "listing_remote_id"));
    add("on ", text(rule, "system"));
    add("at ", text(rule, "remote_location"));
    let counts = rule["locations"].as_array().into_iter().flatten();
    let counts: Vec<&str> =
        counts.filter_map(|source| source.as_str().or_else(|| source["group"].as_str())).collect();
    add("of ", &counts.join(", "));
    let fields = [
        "buffer",
        "risk_one_in",
        "buffer_at_most",
        "cap",
        "percentage",
        "stop_at",
        "incoming_days",
        "incoming_until",
        "formula",
    ];
    for field in fields {
        let usual = match field {
            "buffer" => "0",
            "percentage" => "100",
            _ => "null",
        };
        let told = match &rule[field] {
            Value::String(told) => told.clone(),
            other => other.to_string(),
        };
        if told != usual {
            add(&format!("{} ", field.replace('_', "-")), &told);
        }
    }
    if rule["skip"] == true {
        add("", "left to the system");
    }
    row
}

async fn list(link: &Link, json: bool) -> anyhow::Result<()> {
    let (rules, stopped) = (all(link, "/v1/publication").await?, all(link, "/v1/selling").await?);
    Ok(print(json, &json!({ "data": rules, "stopped": stopped }), |_| {
        if rules.is_empty() {
            say("No rules: all that is available is shown.")?;
        }
        rules.iter().try_for_each(|rule| say(row(rule)))?;
        stopped.iter().try_for_each(|stop| {
            let tag = text(stop, "tag");
            let what =
                if tag.is_empty() { text(stop, "sku").to_owned() } else { format!("what is tagged {tag}") };
            let (by, at, reason) = (text(stop, "by"), text(stop, "at"), text(stop, "reason"));
            say(format!("{}  {what} is not sold: {reason} ({by}, {at})", stop["id"]))
        })
    })?)
}
