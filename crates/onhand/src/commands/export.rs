//! `onhand export`: items and stock as CSV, the log as JSON lines.

use indicatif::ProgressBar;
use serde_json::{Value, json};

use crate::cli::ExportWhat;
use crate::link::Link;

pub(crate) async fn run(link: &Link, what: ExportWhat, json: bool) -> anyhow::Result<()> {
    match what {
        ExportWhat::Log => log(link, &super::progress(json)).await,
        ExportWhat::Items | ExportWhat::Stock => table(link, what, json, &super::progress(json)).await,
    }
}

async fn log(link: &Link, progress: &ProgressBar) -> anyhow::Result<()> {
    let mut after = 0;
    progress.set_length(link.get("/v1/items?limit=1").await?["seq"].as_u64().unwrap_or(0));
    loop {
        let page = link.get(&format!("/v1/changes?limit=100&after={after}")).await?;
        for change in page["data"].as_array().into_iter().flatten() {
            println!("{change}");
        }
        after = page["next_after"].as_u64().unwrap_or(after);
        progress.set_position(after);
        if page["has_more"] != true {
            break;
        }
    }
    // The head's hash goes with the export, so that a cut tail is found.
    let verified = link.verify(&ProgressBar::hidden()).await?;
    progress.finish_and_clear();
    println!("{}", json!({ "head": { "seq": after, "hash": verified["hash"] } }));
    Ok(())
}

fn joined(value: &Value) -> String {
    let entries = value.as_array().into_iter().flatten().filter_map(Value::as_str);
    entries.collect::<Vec<_>>().join("|")
}

async fn table(link: &Link, what: ExportWhat, json: bool, progress: &ProgressBar) -> anyhow::Result<()> {
    const STATES: [&str; 7] =
        ["available", "reserved", "committed", "damaged", "quality_control", "safety_stock", "on_hand"];
    let mut out = csv::Writer::from_writer(std::io::stdout());
    let mut rows = Vec::new();
    let path = if what == ExportWhat::Items { "/v1/items" } else { "/v1/stock" };
    if !json {
        if what == ExportWhat::Items {
            out.write_record(["sku", "name", "unit", "precision", "barcodes", "tags"])?;
        } else {
            out.write_record(["sku", "location"].into_iter().chain(STATES))?;
        }
    }
    let mut cursor = String::new();
    loop {
        let page = link.get(&format!("{path}?limit=100{cursor}")).await?;
        for row in page["data"].as_array().into_iter().flatten() {
            if json {
                rows.push(row.clone());
                continue;
            }
            let text = |field: &str| row[field].as_str().unwrap_or_default().to_owned();
            if what == ExportWhat::Items {
                let precision = row["precision"].to_string();
                let (barcodes, tags) = (joined(&row["barcodes"]), joined(&row["tags"]));
                out.write_record([text("sku"), text("name"), text("unit"), precision, barcodes, tags])?;
            } else {
                for place in row["locations"].as_array().into_iter().flatten() {
                    let mut record =
                        vec![text("sku"), place["location"].as_str().unwrap_or_default().to_owned()];
                    record.extend(STATES.iter().map(|state| place[*state].to_string()));
                    out.write_record(record)?;
                }
            }
        }
        progress.inc(page["data"].as_array().map_or(0, Vec::len) as u64);
        match page["next_cursor"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => break,
        }
    }
    progress.finish_and_clear();
    if json {
        println!("{}", json!({ "data": rows }));
    }
    out.flush()?;
    Ok(())
}
