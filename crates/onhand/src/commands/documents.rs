//! `onhand transfer`, `onhand purchase` and `onhand count-session`: what a person does with these at a shell.

use std::io;

use serde_json::{Value, json};

use super::print;
use crate::cli::{CountSession, LineArg, Purchase, Transfer};
use crate::link::Link;
use crate::output::say;

fn text<'a>(value: &'a Value, field: &str) -> &'a str {
    value[field].as_str().unwrap_or_default()
}

/// `SKU=QUANTITY` as lines of a request.
fn of_skus(parts: &[LineArg]) -> Vec<Value> {
    parts.iter().map(|part| json!({ "sku": part.name, "quantity": part.quantity })).collect()
}

/// `LINE=QUANTITY` as lines of a request; none: all there is.
fn of_lines(parts: &[LineArg]) -> Option<Vec<Value>> {
    let line = |part: &LineArg| json!({ "line": part.name, "quantity": part.quantity });
    (!parts.is_empty()).then(|| parts.iter().map(line).collect())
}

/// Without members that say nothing.
fn body(mut body: Value) -> Value {
    if let Some(members) = body.as_object_mut() {
        members.retain(|_, value| !value.is_null());
    }
    body
}

/// Says what a thing looks like after it was changed.
async fn changed(
    link: &Link,
    path: &str,
    asked: Value,
    json: bool,
    show: impl Fn(&Value) -> io::Result<()>,
) -> anyhow::Result<()> {
    let answer = link.post(path, &body(asked)).await?;
    if json {
        return Ok(say(answer)?);
    }
    let (list, id) = match path.split('/').nth(2) {
        Some(list) => (list, &answer["id"]),
        None => return Ok(()),
    };
    let found = answer["discrepancies"].as_array().map_or(0, Vec::len);
    if found > 0 {
        say(format!("note: {} came up: see /v1/discrepancies", super::counted(found, "discrepancy")))?;
    }
    Ok(show(&link.get(&format!("/v1/{list}/{id}")).await?)?)
}

async fn list(link: &Link, name: &str, json: bool, row: fn(&Value) -> String) -> anyhow::Result<()> {
    let all = super::item::all(link, &format!("/v1/{name}")).await?;
    if json {
        return Ok(say(json!({ "data": all }))?);
    }
    if all.is_empty() {
        say("None.")?;
    }
    for one in &all {
        say(row(one))?;
    }
    Ok(())
}

fn transfer_row(transfer: &Value) -> String {
    let (state, from, to) = (text(transfer, "state"), text(transfer, "from"), text(transfer, "to"));
    let row = format!("{}  {state}  {from} → {to}  {}", transfer["id"], text(transfer, "reference"));
    row.trim_end().to_owned()
}

fn show_transfer(transfer: &Value) -> io::Result<()> {
    say(transfer_row(transfer))?;
    transfer["lines"].as_array().into_iter().flatten().try_for_each(|line| {
        let (name, sku) = (text(line, "line"), text(line, "sku"));
        let told = ["reserved", "dispatched", "in_transit", "received", "lost", "returned", "over"]
            .into_iter()
            .filter(|field| line[*field] != 0)
            .map(|field| format!(", {} {}", line[field], field.replace('_', " ")));
        say(format!("  {name}: {} {sku}{}", line["quantity"], told.collect::<String>()))
    })?;
    show_sent(&transfer["sent"])
}

/// What was sent to the masters of what it is about, and what they answered.
pub(super) fn show_sent(sent: &Value) -> io::Result<()> {
    sent.as_array().into_iter().flatten().try_for_each(|sent| sent_lines(sent).into_iter().try_for_each(say))
}

/// A document that was sent to a master: how it stands, and line by line how far.
pub(super) fn sent_lines(sent: &Value) -> Vec<String> {
    let (kind, done) = match text(sent, "kind") {
        "transfer_out" => ("to be shipped", "shipped"),
        "order" => ("order", "shipped"),
        "recount" => ("recount", ""),
        _ => ("expected receipt", "received"),
    };
    let state = text(sent, "state").replace('_', " ");
    let reason = sent["reason"].as_str().map_or(String::new(), |reason| format!(" ({reason})"));
    let pending = if sent["pending"] == true { ", a change is on its way" } else { "" };
    let (system, location, document) = (text(sent, "system"), text(sent, "location"), text(sent, "document"));
    let mut lines =
        vec![format!("sent to {system} for {location} as {document}: {kind}, {state}{reason}{pending}")];
    if let Some(trouble) = sent["trouble"].as_str() {
        lines.push(format!("  not answered: {trouble}"));
    }
    for line in sent["lines"].as_array().into_iter().flatten().filter(|_| !done.is_empty()) {
        lines.push(format!("  {} {}: {} {done}", line["asked"], text(line, "sku"), line["done"]));
    }
    lines
}

pub(crate) async fn transfer(link: &Link, asked: Transfer, json: bool) -> anyhow::Result<()> {
    let at = |id: u64, what: &str| format!("/v1/transfers/{id}/{what}");
    match asked {
        Transfer::List => list(link, "transfers", json, transfer_row).await,
        Transfer::Show { id } => {
            let transfer = link.get(&format!("/v1/transfers/{id}")).await?;
            Ok(print(json, &transfer, show_transfer)?)
        }
        Transfer::Plan { from, to, lines, reference, expected_on } => {
            let asked = json!({
                "from": from, "to": to, "lines": of_skus(&lines), "reference": reference, "expected_on": expected_on
            });
            changed(link, "/v1/transfers", asked, json, show_transfer).await
        }
        Transfer::Ready { id } => changed(link, &at(id, "ready"), json!({}), json, show_transfer).await,
        Transfer::Dispatch { id, lines } => {
            let asked = json!({ "lines": of_lines(&lines) });
            changed(link, &at(id, "dispatch"), asked, json, show_transfer).await
        }
        Transfer::Receive { id, lines, lost } => {
            let mut arrived = of_lines(&lines).unwrap_or_default();
            for lost in lost {
                match arrived.iter_mut().find(|line| line["line"] == lost.name.as_str()) {
                    Some(line) => line["lost"] = json!(lost.quantity),
                    None => arrived.push(json!({ "line": lost.name, "quantity": 0, "lost": lost.quantity })),
                }
            }
            let asked = json!({ "lines": (!arrived.is_empty()).then_some(arrived) });
            changed(link, &at(id, "receive"), asked, json, show_transfer).await
        }
        Transfer::Cancel { id } => changed(link, &at(id, "cancel"), json!({}), json, show_transfer).await,
    }
}

fn purchase_row(purchase: &Value) -> String {
    let (state, supplier) = (text(purchase, "state"), text(purchase, "supplier"));
    let (location, reference) = (text(purchase, "location"), text(purchase, "reference"));
    let row = format!("{}  {state}  {supplier} → {location}  {reference}", purchase["id"]);
    row.trim_end().to_owned()
}

fn show_purchase(purchase: &Value) -> io::Result<()> {
    say(purchase_row(purchase))?;
    purchase["lines"].as_array().into_iter().flatten().try_for_each(|line| {
        let (name, sku) = (text(line, "line"), text(line, "sku"));
        let told = ["received", "open", "over"]
            .into_iter()
            .filter(|field| line[*field] != 0)
            .map(|field| format!(", {} {field}", line[field]));
        let day = line["expected_on"].as_str().map_or_else(String::new, |day| format!(", expected {day}"));
        say(format!("  {name}: {} {sku}{}{day}", line["quantity"], told.collect::<String>()))
    })?;
    show_sent(&purchase["sent"])
}

pub(crate) async fn purchase(link: &Link, asked: Purchase, json: bool) -> anyhow::Result<()> {
    let at = |id: u64, what: &str| format!("/v1/purchase-orders/{id}/{what}");
    match asked {
        Purchase::List => list(link, "purchase-orders", json, purchase_row).await,
        Purchase::Show { id } => {
            let purchase = link.get(&format!("/v1/purchase-orders/{id}")).await?;
            Ok(print(json, &purchase, show_purchase)?)
        }
        Purchase::Place { supplier, location, lines, currency, reference, expected_on } => {
            let line = |part: &LineArg| {
                let cost = part.cost.as_ref().map(|cost| json!({ "amount": cost, "currency": currency }));
                body(json!({ "sku": part.name, "quantity": part.quantity, "unit_cost": cost }))
            };
            let lines: Vec<Value> = lines.iter().map(line).collect();
            let asked = json!({
                "supplier": supplier, "location": location, "lines": lines, "reference": reference,
                "expected_on": expected_on
            });
            changed(link, "/v1/purchase-orders", asked, json, show_purchase).await
        }
        Purchase::Receive { id, lines } => {
            let asked = json!({ "lines": of_lines(&lines) });
            changed(link, &at(id, "receive"), asked, json, show_purchase).await
        }
        Purchase::Close { id } => changed(link, &at(id, "close"), json!({}), json, show_purchase).await,
        Purchase::Cancel { id } => changed(link, &at(id, "cancel"), json!({}), json, show_purchase).await,
    }
}

fn session_row(session: &Value) -> String {
    let (state, location, by) =
        (text(session, "state"), text(session, "location"), text(session, "opened_by"));
    format!("{}  {state}  {location}  opened by {by}", session["id"])
}

fn show_session(report: &Value) -> io::Result<()> {
    let session = if report["session"].is_object() { &report["session"] } else { report };
    say(session_row(session))?;
    for line in report["lines"].as_array().into_iter().flatten() {
        for look in line["looks"].as_array().into_iter().flatten() {
            let (sku, lot) = (text(line, "sku"), text(line, "lot"));
            let lot = if lot.is_empty() { String::new() } else { format!(" {lot}") };
            let variance = if look["variance"].is_null() {
                String::new()
            } else {
                format!(", {} expected, {} off", look["expected"], look["variance"])
            };
            say(format!("  {sku}{lot}: {} seen by {}{variance}", look["quantity"], text(look, "counter")))?;
        }
        if let Some(why) = line["recount"].as_str() {
            say(format!("  {}: somebody must look again ({})", text(line, "sku"), why.replace('_', " ")))?;
        }
    }
    let missing = report["not_counted"].as_array().into_iter().flatten().filter_map(Value::as_str);
    missing.into_iter().try_for_each(|sku| say(format!("  {sku}: not counted yet")))
}

pub(crate) async fn count_session(link: &Link, asked: CountSession, json: bool) -> anyhow::Result<()> {
    let at = |id: u64, what: &str| format!("/v1/count-sessions/{id}/{what}");
    // What is booked is told as counts, which have no session's number.
    let of_session = async |id: u64, path: String, asked: Value| -> anyhow::Result<()> {
        let answer = link.post(&path, &body(asked)).await?;
        if json {
            return Ok(say(answer)?);
        }
        Ok(show_session(&link.get(&format!("/v1/count-sessions/{id}")).await?)?)
    };
    match asked {
        CountSession::List => list(link, "count-sessions", json, session_row).await,
        CountSession::Show { id } => {
            let report = link.get(&format!("/v1/count-sessions/{id}")).await?;
            Ok(print(json, &report, show_session)?)
        }
        CountSession::Open { location, inside, sku, not_blind } => {
            let skus = (!sku.is_empty()).then_some(sku);
            let asked = json!({ "location": location, "inside": inside, "skus": skus, "blind": !not_blind });
            changed(link, "/v1/count-sessions", asked, json, show_session).await
        }
        CountSession::Count { id, lines } => {
            of_session(id, at(id, "counts"), json!({ "lines": of_skus(&lines) })).await
        }
        CountSession::Apply { id, approve } => {
            of_session(id, at(id, "apply"), json!({ "approve": approve.then_some(true) })).await
        }
        CountSession::Cancel { id } => of_session(id, at(id, "cancel"), json!({})).await,
    }
}
