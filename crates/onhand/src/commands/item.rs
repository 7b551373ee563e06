//! `onhand item`, `onhand history` and `onhand report`: what is stocked, and what became of it.

use std::fmt::Write as _;
use std::io;

use anyhow::bail;
use serde_json::{Value, json};

use super::system::number;
use super::{counted, print};
use crate::cli::{History, Item, Report};
use crate::link::{Link, segment};
use crate::output::{say, stdout};

pub(crate) async fn run(link: &Link, item: Item, json: bool) -> anyhow::Result<()> {
    match item {
        Item::Show { sku, barcode } => show(link, sku.as_deref(), barcode.as_deref(), json).await,
        Item::Rename { sku, to, forget_old } => {
            let body = json!({ "to": to, "forget_old": forget_old });
            changed(link, &sku, "rename", &body, json, &format!("{sku} is {to} now")).await
        }
        Item::Alias { sku, add, remove } => {
            let body = json!({ "add": add, "remove": remove });
            changed(link, &sku, "aliases", &body, json, &format!("{sku}: done")).await
        }
        Item::Merge { from, into } => merge(link, &from, &into, json).await,
        Item::Archive { sku } => archive(link, &sku, true, json).await,
        Item::Unarchive { sku } => archive(link, &sku, false, json).await,
        Item::Twins => twins(link, json).await,
        Item::Low { sku: Some(sku), level: Some(level), location } => {
            let number = (level != "none").then_some(&level);
            let body = json!({ "level": number, "location": location });
            let told = match number {
                Some(level) => format!("{sku} is low at or below {level}"),
                None => format!("{sku} has no such level any more"),
            };
            changed(link, &sku, "low-stock", &body, json, &told).await
        }
        Item::Low { .. } => low(link, json).await,
    }
}

pub(super) fn text<'a>(value: &'a Value, field: &str) -> &'a str {
    value[field].as_str().unwrap_or_default()
}

pub(super) fn words(value: &Value) -> String {
    let entries = value.as_array().into_iter().flatten().filter_map(Value::as_str);
    entries.collect::<Vec<_>>().join(", ")
}

async fn show(link: &Link, sku: Option<&str>, barcode: Option<&str>, json: bool) -> anyhow::Result<()> {
    let found = match (sku, barcode) {
        (Some(sku), _) => link.get(&format!("/v1/items/{}", segment(sku)?)).await?,
        (None, barcode) => {
            let barcode = barcode.unwrap_or_default();
            let page = link.get(&format!("/v1/items?barcode={}", segment(barcode)?)).await?;
            match page["data"].get(0) {
                Some(item) => item.clone(),
                None => bail!("no item has the barcode `{barcode}`"),
            }
        }
    };
    print(json, &found, |item| {
        let archived = if item["archived"] == true { "  archived" } else { "" };
        say(format!("{}  {}{archived}", text(item, "sku"), text(item, "name")))?;
        say(format!("unit {}, {} decimals", text(item, "unit"), item["precision"]))?;
        for (what, list) in [("aliases", "aliases"), ("barcodes", "barcodes"), ("tags", "tags")] {
            if item[list].as_array().is_some_and(|list| !list.is_empty()) {
                say(format!("{what}: {}", words(&item[list])))?;
            }
        }
        if item["tracking"] != "none" {
            say(format!("tracked by {}", text(item, "tracking")))?;
        }
        let parts = item["kit"].as_array().into_iter().flatten();
        let parts: Vec<String> =
            parts.map(|part| format!("{} × {}", part["quantity"], text(part, "sku"))).collect();
        if !parts.is_empty() {
            say(format!("kit of {}", parts.join(", ")))?;
        }
        for pack in item["packs"].as_array().into_iter().flatten() {
            let scanned = if item["pack"] == pack["name"] { "  (scanned)" } else { "" };
            let (name, barcode) = (text(pack, "name"), text(pack, "barcode"));
            say(format!("{name} of {} {barcode}{scanned}", pack["quantity"]).trim_end())?;
        }
        if !item["low_stock"]["level"].is_null() {
            say(format!("low at or below {}", item["low_stock"]["level"]))?;
        }
        item["low_stock"]["locations"]
            .as_array()
            .into_iter()
            .flatten()
            .try_for_each(|at| say(format!("low at {} at or below {}", text(at, "location"), at["level"])))
    })?;
    Ok(())
}

/// Says that it is done, and what is worth a look.
fn done(json: bool, answer: &Value, told: &str) -> io::Result<()> {
    print(json, answer, |answer| {
        say(told)?;
        let warnings = answer["warnings"].as_array().into_iter().flatten().filter_map(Value::as_str);
        warnings.into_iter().try_for_each(|warning| say(format!("note: {warning}")))
    })
}

async fn changed(
    link: &Link,
    sku: &str,
    what: &str,
    body: &Value,
    json: bool,
    told: &str,
) -> anyhow::Result<()> {
    let answer = link.post(&format!("/v1/items/{}/{what}", segment(sku)?), body).await?;
    done(json, &answer, told)?;
    Ok(())
}

async fn archive(link: &Link, sku: &str, archived: bool, json: bool) -> anyhow::Result<()> {
    // Putting an item would make one.
    link.get(&format!("/v1/items/{}", segment(sku)?)).await?;
    let answer = link.post("/v1/items", &json!({ "sku": sku, "archived": archived })).await?;
    done(
        json,
        &answer,
        &format!("{sku} is {}", if archived { "archived" } else { "bought and sold again" }),
    )?;
    Ok(())
}

async fn merge(link: &Link, from: &str, into: &str, json: bool) -> anyhow::Result<()> {
    let path = format!("/v1/items/{}/merge", segment(from)?);
    let merged = link.post(&path, &json!({ "into": into })).await?;
    print(json, &merged, |merged| {
        let went = [("orders", "order"), ("holds", "hold"), ("listings", "listing")];
        let went = went.map(|(field, one)| counted(number(merged, field), one)).join(", ");
        say(format!("{from} is {} now: {went} went along", text(merged, "sku")))?;
        merged["movements"]
            .as_array()
            .into_iter()
            .flatten()
            .try_for_each(|moved| say(format!("  {}: {} more", text(moved, "location"), moved["difference"])))
    })?;
    Ok(())
}

/// All pages of a list.
pub(super) async fn all(link: &Link, path: &str) -> anyhow::Result<Vec<Value>> {
    let mut rows = Vec::new();
    let mut cursor = String::new();
    loop {
        let page = link.get(&format!("{path}?limit=100{cursor}")).await?;
        rows.extend(page["data"].as_array().into_iter().flatten().cloned());
        match page["next_cursor"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => return Ok(rows),
        }
    }
}

async fn twins(link: &Link, json: bool) -> anyhow::Result<()> {
    let groups = all(link, "/v1/items/twins").await?;
    print(json, &json!({ "data": groups }), |_| {
        if groups.is_empty() {
            say("No two items look the same.")?;
        }
        groups.iter().try_for_each(|group| {
            let items = group["items"].as_array().map(Vec::as_slice).unwrap_or_default();
            let told: Vec<String> = items
                .iter()
                .map(|item| {
                    format!("{} ({}, {} on hand)", text(item, "sku"), text(item, "name"), item["on_hand"])
                })
                .collect();
            say(told.join("  ~  "))?;
            let into = text(&group["merge"][0]["body"], "into");
            let others = items.iter().map(|item| text(item, "sku")).filter(|sku| *sku != into);
            others
                .into_iter()
                .try_for_each(|sku| say(format!("  if they are one: onhand item merge '{sku}' '{into}'")))
        })
    })?;
    Ok(())
}

async fn low(link: &Link, json: bool) -> anyhow::Result<()> {
    let rows = all(link, "/v1/stock/low").await?;
    print(json, &json!({ "data": rows }), |_| {
        if rows.is_empty() {
            say("Nothing is low.")?;
        }
        rows.iter().try_for_each(|row| {
            let place = row["location"].as_str().unwrap_or("nowhere yet");
            let (available, level) = (&row["available"], &row["level"]);
            say(format!(
                "{}  {place}  {available} available, low at {level}  {}",
                text(row, "sku"),
                text(row, "name")
            ))
        })
    })?;
    Ok(())
}

/// A query of those conditions that are set.
fn query(conditions: &[(&str, Option<&String>)]) -> String {
    let mut query = String::new();
    for (name, value) in conditions {
        if let Some(value) = value {
            let sign = if query.is_empty() { '?' } else { '&' };
            // Dots alone are a value as any other here.
            let value = segment(value).unwrap_or_else(|_| (*value).clone());
            let _ = write!(query, "{sign}{name}={value}");
        }
    }
    query
}

pub(crate) async fn history(link: &Link, asked: &History, json: bool) -> anyhow::Result<()> {
    let path = match (&asked.sku, &asked.location) {
        (Some(sku), _) => format!("/v1/items/{}/history", segment(sku)?),
        (None, location) => {
            format!("/v1/locations/{}/history", segment(location.as_deref().unwrap_or_default())?)
        }
    };
    let mut rows = Vec::new();
    let mut cursor = None;
    while (rows.len() as u64) < asked.limit {
        let limit = (asked.limit - rows.len() as u64).min(100).to_string();
        let conditions = [
            ("limit", Some(&limit)),
            ("cursor", cursor.as_ref()),
            ("location", asked.location.as_ref()),
            ("state", asked.state.as_ref()),
            ("reason", asked.reason.as_ref()),
            ("actor", asked.actor.as_ref()),
            ("document", asked.document.as_ref()),
            ("from", asked.from.as_ref()),
            ("until", asked.until.as_ref()),
        ];
        let page = link.get(&format!("{path}{}", query(&conditions))).await?;
        rows.extend(page["data"].as_array().into_iter().flatten().cloned());
        cursor = page["next_cursor"].as_str().map(str::to_owned);
        if cursor.is_none() {
            break;
        }
    }
    print(json, &json!({ "data": rows, "has_more": cursor.is_some() }), |_| {
        for line in history_table(&rows, asked.sku.is_none()) {
            say(line)?;
        }
        Ok(())
    })?;
    Ok(())
}

/// One line for each movement and location: when, where, per state the change and the new total (a dash where it was not
/// touched), what happened, by whom and why. States that nothing touched have no column.
fn history_table(rows: &[Value], with_sku: bool) -> Vec<String> {
    const STATES: [&str; 7] =
        ["available", "reserved", "committed", "damaged", "quality_control", "safety_stock", "in_transit"];
    let changes = |row: &Value| row["changes"].as_array().cloned().unwrap_or_default();
    let touched =
        |state: &&str| rows.iter().any(|row| changes(row).iter().any(|change| change["state"] == **state));
    let states: Vec<&str> = STATES.into_iter().filter(touched).collect();
    let mut head = vec!["seq".to_owned(), "happened".to_owned()];
    head.extend(with_sku.then(|| "sku".to_owned()));
    head.push("location".to_owned());
    head.extend(states.iter().map(|state| state.replace('_', " ")));
    head.push("activity".to_owned());
    let mut table = vec![head];
    for row in rows {
        let changes = changes(row);
        let mut places: Vec<&str> = changes.iter().map(|change| text(change, "location")).collect();
        places.dedup();
        for place in places {
            let late = if row["late"] == true { " (late)" } else { "" };
            let mut line = vec![row["seq"].to_string(), format!("{}{late}", text(row, "occurred_at"))];
            line.extend(with_sku.then(|| text(row, "sku").to_owned()));
            line.push(place.to_owned());
            line.extend(states.iter().map(|state| {
                let here = |change: &&Value| change["state"] == **state && text(change, "location") == place;
                changes.iter().find(here).map_or_else(
                    || "–".to_owned(),
                    |change| {
                        let by = change["change"].to_string();
                        let sign = if by.starts_with('-') { "" } else { "+" };
                        let total = &change["total"];
                        if total.is_null() {
                            format!("{sign}{by}")
                        } else {
                            format!("{sign}{by} → {total}")
                        }
                    },
                )
            }));
            line.push(activity(row));
            table.push(line);
        }
    }
    let width = |column: usize| table.iter().map(|line| line[column].chars().count()).max().unwrap_or(0);
    let last = table[0].len() - 1;
    let widths: Vec<usize> = (0..last).map(width).collect();
    let padded = |line: &Vec<String>| {
        let cells = widths.iter().enumerate().map(|(index, width)| format!("{:<width$}  ", line[index]));
        cells.collect::<String>() + &line[last]
    };
    table.iter().map(padded).collect()
}

/// What happened, by whom, why, from which document, and which corrections it has to do with.
fn activity(row: &Value) -> String {
    let mut told = format!("{}: {}, by {}", text(row, "reason"), text(row, "activity"), text(row, "actor"));
    if let Some(document) = row["document"].as_str() {
        let _ = write!(told, ", {} {document}", text(row, "system"));
    }
    if let Some(corrects) = row["corrects"].as_u64() {
        let _ = write!(told, ", corrects {corrects}");
    }
    let by = row["corrected_by"].as_array().map(Vec::as_slice).unwrap_or_default();
    if !by.is_empty() {
        let by: Vec<String> = by.iter().map(Value::to_string).collect();
        let _ = write!(told, ", corrected by {}", by.join(", "));
    }
    told
}

pub(crate) async fn report(link: &Link, report: &Report, json: bool) -> anyhow::Result<()> {
    let Report::Stock { at, known_at, location } = report;
    let format = if json { "ndjson" } else { "csv" }.to_owned();
    let conditions = [
        ("format", Some(&format)),
        ("at", at.as_ref()),
        ("known_at", known_at.as_ref()),
        ("location", location.as_ref()),
    ];
    let path = format!("/v1/stock/report{}", query(&conditions));
    let mut out = stdout();
    link.stream(&path, |part| io::Write::write_all(&mut out, part)).await?;
    io::Write::flush(&mut out)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_state_that_was_not_touched_shows_a_dash() {
        let change = |state: &str, change: i64, total: i64| json!({ "location": "LONDON", "state": state, "change": change, "total": total });
        let rows = [
            json!({ "seq": 9, "occurred_at": "2026-11-23T10:10:00Z", "reason": "allocated", "actor": "till",
                "activity": "3 from available at LONDON to committed at LONDON", "corrected_by": [12],
                "changes": [change("available", -3, 7), change("committed", 3, 3)] }),
            json!({ "seq": 8, "occurred_at": "2026-11-23T10:00:00Z", "reason": "received", "actor": "till",
                "activity": "10 from supplier to available at LONDON", "document": "PO1", "system": "ERP",
                "late": true, "changes": [change("available", 10, 10)] }),
        ];
        let table = history_table(&rows, false);
        assert_eq!(
            table,
            [
                "seq  happened                     location  available  committed  activity",
                "9    2026-11-23T10:10:00Z         LONDON    -3 → 7     +3 → 3     allocated: 3 from available at LONDON to \
             committed at LONDON, by till, corrected by 12",
                "8    2026-11-23T10:00:00Z (late)  LONDON    +10 → 10   –          received: 10 from supplier to available \
             at LONDON, by till, ERP PO1",
            ]
        );
    }
}
