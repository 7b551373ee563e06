//! Stock as somebody saw it: a count sheet, or an export of stock that was edited. Each row is a count, as of the time the
//! sheet is of, so that what moved since is kept. Rows of one item at one place are one count: lots and pieces are seen
//! together.

use std::collections::HashMap;

use onhand_ledger::command::{Line, TakeCount};
use onhand_ledger::{Body, Instant, Precision, Quantity};

use super::{FileProblem, Make, Task};
use onhand_sheets::{Bad, Record, Table};

/// `on_hand` and the states are those of an export; what is counted is on hand less what is damaged or in quality control.
const OWN: [&str; 15] = [
    "sku",
    "location",
    "lot",
    "serial",
    "expires",
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
];

pub(super) fn of(table: &Table) -> Result<(Vec<Task>, Vec<Bad>), FileProblem> {
    let counted = if table.has("on_hand") && !table.has("counted") { "on_hand" } else { "counted" };
    onhand_sheets::check_header(table, &OWN, &["sku", "location", counted], "")?;
    let (mut tasks, mut bad) = (Vec::<Task>::new(), Vec::new());
    let mut places = HashMap::<(&str, &str, &str), (usize, u64)>::new();
    for (index, record) in table.records() {
        match line(&record) {
            Ok(None) => {}
            Ok(Some(_)) => {
                let place = (record.field("sku"), record.field("location"), record.field("as_of"));
                let is_tracked = !record.field("lot").is_empty() || !record.field("serial").is_empty();
                match places.get(&place) {
                    Some((task, _)) if is_tracked => tasks[*task].make.add(index),
                    Some((_, first)) => {
                        let (sku, location, _) = place;
                        let problem = format!(
                            "`{sku}` at `{location}` is counted on line {first} too; once, or each with its own as_of"
                        );
                        bad.push(Bad::new(record.line(), Some("sku"), problem));
                    }
                    None => {
                        places.insert(place, (tasks.len(), record.line()));
                        tasks.push(Task::row(index));
                    }
                }
            }
            Err(problem) => bad.push(problem),
        }
    }
    Ok((tasks, bad))
}

/// The count that rows make.
pub(super) fn body(table: &Table, make: &Make) -> Result<Body, Bad> {
    let rows = make.rows();
    let first = table.record(rows[0]);
    let lines = rows.iter().map(|row| line(&table.record(*row)));
    let lines: Vec<Line> = lines.collect::<Result<Vec<_>, _>>()?.into_iter().flatten().collect();
    let as_of = super::instant(&first, "as_of")?;
    let location = first.field("location").to_owned();
    Ok(Body::Count(TakeCount { location, lines, as_of, inside: false, system: None, net: false }))
}

/// None where nothing was counted.
fn line(record: &Record<'_>) -> Result<Option<Line>, Bad> {
    let bad = |column: &str, problem: String| Bad::new(record.line(), Some(column), problem);
    let quantity = |column: &str| match record.field(column) {
        "" => Ok(Quantity::ZERO),
        text => Quantity::parse(text, Precision::FINEST)
            .map_err(|error| bad(column, format!("{column}: {error}"))),
    };
    let counted = record.has("counted");
    let seen = if counted {
        if record.field("counted").is_empty() {
            return Ok(None);
        }
        quantity("counted")?
    } else {
        quantity("on_hand")? - quantity("damaged")? - quantity("quality_control")?
    };
    let needed = |column: &str| record.some(column).ok_or_else(|| bad(column, format!("has no {column}")));
    let (sku, _) = (needed("sku")?, needed("location")?);
    let column = if counted { "counted" } else { "on_hand" };
    if seen.is_negative() {
        return Err(bad(column, format!("{seen} of `{sku}` cannot be there; 0 or more can")));
    }
    super::instant(record, "as_of").map(|_: Option<Instant>| ())?;
    let mut line = Line { expires: super::day(record, "expires")?, ..Line::new(sku, seen) };
    super::name_lot(record, &mut line, true).map_err(|problem| bad(column, problem))?;
    Ok(Some(line))
}
