//! Stock as somebody saw it: a count sheet, or an export of stock that was edited. Each row is a count, as of the time the
//! sheet is of, so that what moved since is kept.

use onhand_ledger::command::{Line, TakeCount};
use onhand_ledger::{Body, Instant, Precision, Quantity};

use super::Task;
use super::table::{Bad, Record, Table};

/// `on_hand` and the states are those of an export; what is counted is on hand less what is damaged or in quality control.
const OWN: [&str; 13] = [
    "sku",
    "location",
    "counted",
    "as_of",
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

pub(super) fn of(table: Table) -> anyhow::Result<(Vec<Task>, Vec<Bad>)> {
    let counted = table.header.iter().any(|name| name == "counted");
    super::check_header(&table, &OWN, &["sku", "location", if counted { "counted" } else { "on_hand" }], "")?;
    let (mut tasks, mut bad) = (Vec::new(), table.bad);
    for record in &table.records {
        match row(record, counted) {
            Ok(task) => tasks.extend(task),
            Err(problem) => bad.push(problem),
        }
    }
    Ok((tasks, bad))
}

/// None where nothing was counted.
fn row(record: &Record, counted: bool) -> Result<Option<Task>, Bad> {
    let bad = |column: &str, problem: String| Bad::new(record.line, Some(column), problem);
    let quantity = |column: &str| match record.field(column) {
        "" => Ok(Quantity::ZERO),
        text => Quantity::parse(text, Precision::FINEST)
            .map_err(|error| bad(column, format!("{column}: {error}"))),
    };
    let seen = if counted {
        if record.field("counted").is_empty() {
            return Ok(None);
        }
        quantity("counted")?
    } else {
        quantity("on_hand")? - quantity("damaged")? - quantity("quality_control")?
    };
    let needed = |column: &str| record.some(column).ok_or_else(|| bad(column, format!("has no {column}")));
    let (sku, location) = (needed("sku")?, needed("location")?);
    if seen.is_negative() {
        let column = if counted { "counted" } else { "on_hand" };
        return Err(bad(column, format!("{seen} of `{sku}` cannot be there; 0 or more can")));
    }
    let as_of = record.some("as_of").map(|text| Instant::parse(&text)).transpose();
    let as_of = as_of.map_err(|error| bad("as_of", format!("as_of: {error}")))?;
    let lines = vec![Line::new(sku.clone(), seen)];
    let skus = vec![(record.line, sku)];
    let body =
        Body::Count(TakeCount { location: location.clone(), lines, as_of, inside: false, system: None });
    Ok(Some(Task { lines: vec![record.line], skus, location: Some(location), body }))
}
