//! `onhand export`: items, stock, sheets to count on and orders as CSV or XLSX, the log as JSON lines.

use std::path::Path;

use indicatif::ProgressBar;
use onhand_engine::{Clock as _, SystemClock};
use rust_xlsxwriter::Workbook;
use serde_json::{Value, json};

use crate::cli::ExportWhat;
use crate::link::Link;
use crate::output::{say, stdout};

pub(crate) async fn run(
    link: &Link,
    what: ExportWhat,
    xlsx: Option<&Path>,
    json: bool,
) -> anyhow::Result<()> {
    match what {
        ExportWhat::Log if xlsx.is_some() => {
            anyhow::bail!("the log is no sheet: it is written as JSON lines")
        }
        ExportWhat::Log => log(link, &super::progress(json)).await,
        _ => table(link, what, xlsx, json, &super::progress(json)).await,
    }
}

async fn log(link: &Link, progress: &ProgressBar) -> anyhow::Result<()> {
    let mut after = 0;
    progress.set_length(link.get("/v1/items?limit=1").await?["seq"].as_u64().unwrap_or(0));
    loop {
        let page = link.get(&format!("/v1/changes?limit=100&after={after}")).await?;
        for change in page["data"].as_array().into_iter().flatten() {
            say(change)?;
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
    say(json!({ "head": { "seq": after, "hash": verified["hash"] } }))?;
    Ok(())
}

fn joined(value: &Value) -> String {
    let entries = value.as_array().into_iter().flatten().filter_map(Value::as_str);
    entries.collect::<Vec<_>>().join("|")
}

const STATES: [&str; 9] = [
    "available",
    "unsellable",
    "reserved",
    "committed",
    "damaged",
    "quality_control",
    "safety_stock",
    "on_hand",
    "buildable",
];

/// Where rows go.
enum Sheet {
    Csv(Box<csv::Writer<Box<dyn std::io::Write>>>),
    Xlsx(Box<Workbook>, u32),
}

impl Sheet {
    /// `numbers`: the columns that are quantities.
    fn write(&mut self, row: &[String], numbers: &[usize]) -> anyhow::Result<()> {
        match self {
            Self::Csv(out) => out.write_record(row)?,
            Self::Xlsx(book, next) => {
                let sheet = book.worksheet_from_index(0)?;
                for (column, text) in (0_u16..).zip(row) {
                    // A sheet's numbers have 15 digits: what has more stays text, and exact.
                    let digits = text.bytes().filter(u8::is_ascii_digit).count();
                    match text.parse::<f64>() {
                        Ok(number) if numbers.contains(&usize::from(column)) && digits <= 15 => {
                            sheet.write_number(*next, column, number)?
                        }
                        _ => sheet.write_string(*next, column, text)?,
                    };
                }
                *next += 1;
            }
        }
        Ok(())
    }
}

fn header(what: ExportWhat) -> (Vec<&'static str>, Vec<usize>) {
    match what {
        ExportWhat::Items | ExportWhat::Log => {
            (vec!["sku", "name", "unit", "precision", "barcodes", "tags"], vec![3])
        }
        ExportWhat::Stock => {
            let columns = ["sku", "location"].into_iter().chain(STATES).chain(["as_of"]);
            (columns.collect(), (2..11).collect())
        }
        ExportWhat::Counts => (vec!["sku", "location", "counted"], vec![2]),
        ExportWhat::Orders => {
            let columns = [
                "id",
                "system",
                "reference",
                "placed_at",
                "cancelled",
                "line",
                "sku",
                "quantity",
                "short",
                "returned",
            ];
            (columns.into(), vec![7, 8, 9])
        }
    }
}

/// The rows of one thing of a list.
fn rows(what: ExportWhat, of: &Value, as_of: &str) -> Vec<Vec<String>> {
    let text = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    let each = |list: &'static str| of[list].as_array().into_iter().flatten();
    match what {
        ExportWhat::Items | ExportWhat::Log => {
            let (barcodes, tags) = (joined(&of["barcodes"]), joined(&of["tags"]));
            vec![vec![
                text(&of["sku"]),
                text(&of["name"]),
                text(&of["unit"]),
                text(&of["precision"]),
                barcodes,
                tags,
            ]]
        }
        ExportWhat::Stock => {
            let row = |place: &Value| {
                let mut row = vec![text(&of["sku"]), text(&place["location"])];
                row.extend(STATES.iter().map(|state| text(&place[*state])));
                row.push(as_of.to_owned());
                row
            };
            each("locations").map(row).collect()
        }
        ExportWhat::Counts => {
            let row = |place: &Value| vec![text(&of["sku"]), text(&place["location"]), String::new()];
            each("locations").map(row).collect()
        }
        ExportWhat::Orders => {
            let row = |line: &Value| {
                let order =
                    ["id", "system", "document", "placed_at", "cancelled"].map(|name| text(&of[name]));
                let line = ["line", "sku", "quantity", "short", "returned"].map(|name| text(&line[name]));
                [order, line].concat()
            };
            each("lines").map(row).collect()
        }
    }
}

async fn table(
    link: &Link,
    what: ExportWhat,
    xlsx: Option<&Path>,
    json: bool,
    progress: &ProgressBar,
) -> anyhow::Result<()> {
    // All pages are of one instant, so that what is counted by them later is as of it.
    let as_of = SystemClock.now().to_string();
    let path = match what {
        ExportWhat::Items | ExportWhat::Log => "/v1/items?limit=100".to_owned(),
        ExportWhat::Stock => format!("/v1/stock?limit=100&as_of={as_of}"),
        ExportWhat::Counts => "/v1/stock?limit=100".to_owned(),
        ExportWhat::Orders => "/v1/orders?limit=100".to_owned(),
    };
    let mut sheet = if xlsx.is_some() {
        let mut book = Workbook::new();
        book.add_worksheet();
        Sheet::Xlsx(Box::new(book), 0)
    } else {
        Sheet::Csv(Box::new(csv::Writer::from_writer(Box::new(stdout()))))
    };
    let (columns, numbers) = header(what);
    if !json || xlsx.is_some() {
        sheet.write(&columns.into_iter().map(str::to_owned).collect::<Vec<_>>(), &[])?;
    }
    let mut all = Vec::new();
    let mut cursor = String::new();
    loop {
        let page = link.get(&format!("{path}{cursor}")).await?;
        for one in page["data"].as_array().into_iter().flatten() {
            if json && xlsx.is_none() {
                all.push(one.clone());
                continue;
            }
            for row in rows(what, one, &as_of) {
                sheet.write(&row, &numbers)?;
            }
        }
        progress.inc(page["data"].as_array().map_or(0, Vec::len) as u64);
        match page["next_cursor"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => break,
        }
    }
    progress.finish_and_clear();
    match (sheet, xlsx) {
        (Sheet::Xlsx(mut book, rows), Some(file)) => {
            book.save(file)?;
            let rows = rows.saturating_sub(1);
            if json {
                say(json!({ "file": file.display().to_string(), "rows": rows }))?;
            }
        }
        (Sheet::Csv(mut out), _) => {
            if json {
                say(json!({ "data": all }))?;
            }
            out.flush()?;
        }
        (Sheet::Xlsx(..), None) => {}
    }
    Ok(())
}
