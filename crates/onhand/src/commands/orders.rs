//! `onhand order`: orders, and what has become of each where it was sent.

use std::fmt::Write as _;
use std::io;

use serde_json::{Value, json};

use super::item::{all, text};
use super::print;
use crate::cli::{LineArg, Order};
use crate::link::Link;
use crate::output::say;

pub(crate) async fn run(link: &Link, asked: Order, json: bool) -> anyhow::Result<()> {
    match asked {
        Order::List => {
            let orders = all(link, "/v1/orders").await?;
            print(json, &json!({ "data": orders }), |_| {
                if orders.is_empty() {
                    say("None.")?;
                }
                orders.iter().try_for_each(|order| say(row(order)))
            })?;
        }
        Order::Show { id } => {
            let order = link.get(&format!("/v1/orders/{id}")).await?;
            print(json, &order, show)?;
        }
        Order::ExpectReturn { id, lines, location, reference, expected_on } => {
            let line = |part: &LineArg| json!({ "line": part.name, "quantity": part.quantity });
            let lines: Vec<Value> = lines.iter().map(line).collect();
            let asked = json!({
                "lines": lines, "location": location, "reference": reference, "expected_on": expected_on
            });
            let made = link.post(&format!("/v1/orders/{id}/expected-returns"), &asked).await?;
            let expected = link.get(&format!("/v1/expected-returns/{}", made["id"])).await?;
            print(json, &expected, show_return)?;
        }
        Order::Return { id } => {
            let expected = link.get(&format!("/v1/expected-returns/{id}")).await?;
            print(json, &expected, show_return)?;
        }
        Order::CancelReturn { id } => {
            link.post(&format!("/v1/expected-returns/{id}/cancel"), &json!({})).await?;
            let expected = link.get(&format!("/v1/expected-returns/{id}")).await?;
            print(json, &expected, show_return)?;
        }
    }
    Ok(())
}

fn show_return(expected: &Value) -> io::Result<()> {
    let (state, location, reference) =
        (text(expected, "state"), text(expected, "location"), text(expected, "reference"));
    let row = format!("{}  {state}  order {} → {location}  {reference}", expected["id"], expected["order"]);
    say(row.trim_end())?;
    rows(expected, "lines").try_for_each(|line| {
        let (name, sku) = (text(line, "line"), text(line, "sku"));
        say(format!("  {name}: {} {sku}, {} came, {} open", line["quantity"], line["came"], line["open"]))
    })?;
    super::documents::show_sent(&expected["sent"])
}

/// What `items` of a member say, one after the other.
fn rows<'v>(value: &'v Value, field: &str) -> impl Iterator<Item = &'v Value> {
    value[field].as_array().into_iter().flatten()
}

/// Is there any of it?
fn is_some(quantity: &Value) -> bool {
    !quantity.is_null() && *quantity != 0
}

/// One line for an order.
fn row(order: &Value) -> String {
    let (system, document) = (text(order, "system"), text(order, "document"));
    let cancelled = if order["cancelled"] == true { "  cancelled" } else { "" };
    let lines = rows(order, "lines").count();
    let short = rows(order, "lines").filter(|line| is_some(&line["short"])).count();
    let short = if short > 0 { format!("  {short} short") } else { String::new() };
    format!("{}  {system} {document}  {}{short}{cancelled}", order["id"], super::counted(lines, "line"))
}

fn show(order: &Value) -> io::Result<()> {
    say(row(order))?;
    for line in rows(order, "lines") {
        say(format!("  {}: {} {}{}", text(line, "line"), line["quantity"], text(line, "sku"), stands(line)))?;
    }
    rows(order, "sent").try_for_each(show_sent)
}

/// Where a line is promised, what has shipped of it, and what is short.
fn stands(line: &Value) -> String {
    let mut told = String::new();
    for (field, verb) in
        [("allocated", "promised at"), ("to_build", "to be built at"), ("shipped", "shipped from")]
    {
        for at in rows(line, field) {
            let _ = write!(told, ", {} {verb} {}", at["quantity"], text(at, "location"));
        }
    }
    if is_some(&line["short"]) {
        let _ = write!(told, ", {} short", line["short"]);
    }
    for place in rows(line, "declined") {
        let _ = write!(told, ", not from {}", place.as_str().unwrap_or_default());
    }
    told
}

/// A document that was sent, and what was answered.
fn show_sent(sent: &Value) -> io::Result<()> {
    let state = text(sent, "state").replace('_', " ");
    let reason = sent["reason"].as_str().map_or(String::new(), |reason| format!(": {reason}"));
    let pending = if sent["pending"] == true { ", a change is on its way" } else { "" };
    say(format!(
        "sent to {} for {} as {}: {state}{reason}{pending}",
        text(sent, "system"),
        text(sent, "location"),
        text(sent, "document")
    ))?;
    if let Some(trouble) = sent["trouble"].as_str() {
        say(format!("  not answered: {trouble}"))?;
    }
    for line in rows(sent, "lines") {
        let mut told = format!("  {} {}: {} shipped", line["asked"], text(line, "sku"), line["shipped"]);
        if is_some(&line["declined"]) {
            let _ = write!(told, ", {} will not ship", line["declined"]);
        }
        say(told)?;
    }
    rows(sent, "parcels").try_for_each(|parcel| {
        let what: Vec<String> =
            rows(parcel, "lines").map(|line| format!("{} {}", line["quantity"], text(line, "sku"))).collect();
        let (carrier, tracking) = (text(parcel, "carrier"), text(parcel, "tracking"));
        let by = format!("{carrier} {tracking}");
        let told = format!(
            "  parcel {} at {}: {}",
            text(parcel, "parcel"),
            text(parcel, "shipped_at"),
            what.join(", ")
        );
        say(if by.trim().is_empty() { told } else { format!("{told}, {}", by.trim()) })
    })
}
