//! Items from other systems' catalogues, and what sales channels call them. An item is made once, however many rows it has there:
//! an inventory has one for each location.

use std::collections::HashMap;

use onhand_ledger::command::{ChangeAliases, PutItem};
use onhand_ledger::model::Tracking;
use onhand_ledger::{Body, Precision, Quantity};

use super::foreign::{self, Source};
use super::items::{self, Row};
use super::{Found, Make, Task};
use onhand_sheets::{Bad, Record, Table};

/// Why rows of a variation group are passed over: <https://www.linnworks.com/support/inventory/>.
pub(super) const IS_A_GROUP: &str = "is a group of variations and no item; its variations are";

/// The items, each with the lines of its rows, what is wrong, and what is passed over.
pub(super) fn rows(table: &Table, source: Source) -> (Vec<Row>, Vec<Bad>, Vec<Bad>) {
    let (mut rows, mut bad, mut skipped) = (Vec::<Row>::new(), Vec::new(), Vec::new());
    let mut known = HashMap::<String, usize>::new();
    for (_, record) in table.records() {
        let line = record.line();
        let row = match foreign::is_yes(&record, "group") {
            Ok(Some(true)) => {
                skipped.push(Bad::new(line, None, IS_A_GROUP));
                continue;
            }
            Ok(_) => row(&record, source),
            Err(problem) => Err(problem),
        };
        let row = match row {
            Ok(row) => row,
            Err(problem) => {
                bad.push(problem);
                continue;
            }
        };
        let look = row.item.sku.to_lowercase();
        match known.get(&look).map(|first| &mut rows[*first]) {
            None => {
                known.insert(look, rows.len());
                rows.push(row);
            }
            Some(first) if first.item == row.item => first.more.push(line),
            Some(first) => bad.push(Bad::new(line, Some("sku"), is_twice(first, &row))),
        }
    }
    (rows, bad, skipped)
}

fn is_twice(first: &Row, row: &Row) -> String {
    let (sku, line) = (&row.item.sku, first.line);
    if *sku == first.item.sku {
        return format!(
            "the SKU `{sku}` is on line {line} with other details; an item has one name, one category and so on"
        );
    }
    let other = &first.item.sku;
    format!(
        "the SKU `{sku}` differs from `{other}` on line {line} in capitals alone; here they would be two items, so write it in one way"
    )
}

fn row(record: &Record<'_>, source: Source) -> Result<Row, Bad> {
    let bad = |column: &str, problem: String| Bad::new(record.line(), Some(column), problem);
    let sku = record.some("sku").ok_or_else(|| bad("sku", "has no SKU".to_owned()))?;
    // With a location it is that location's, and taken with its stock.
    let low_stock = if record.has("location") { None } else { low_stock(record)? };
    let item = PutItem {
        sku,
        name: record.some("name"),
        unit: record.some("unit"),
        barcodes: barcodes(record, source)?,
        tags: record.some("tags").map(|category| vec![category]),
        low_stock,
        archived: foreign::is_yes(record, "archived")?,
        tracking: tracking(record)?,
        ..PutItem::default()
    };
    item.check().map_err(|invalid| Bad::new(record.line(), None, invalid.to_string()))?;
    Ok(Row { line: record.line(), item, ..Row::default() })
}

/// Several have commas between them at SKULabs; at Linnworks there is one.
fn barcodes(record: &Record<'_>, source: Source) -> Result<Option<Vec<String>>, Bad> {
    let bad = |problem: String| Bad::new(record.line(), Some("barcodes"), problem);
    let field = record.field("barcodes");
    if record.is_number("barcodes") {
        items::check_zeros(field).map_err(bad)?;
    }
    let between: &[char] = if source == Source::SkulabsItems { &[','] } else { &[] };
    let mut codes = Vec::<String>::new();
    for code in field.split(between).map(|code| code.trim().trim_start_matches('\'')) {
        if code.is_empty() || codes.iter().any(|known| known == code) {
            continue;
        }
        items::check_barcode(code).and_then(|()| check_rounded(code)).map_err(bad)?;
        codes.push(code.to_owned());
    }
    Ok((!codes.is_empty()).then_some(codes))
}

/// A spreadsheet writes long numbers as `5.01234E+12`, and the rest of the digits is gone.
fn check_rounded(code: &str) -> Result<(), String> {
    let Some((digits, power)) = code.split_once("E+") else { return Ok(()) };
    let is_number = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    if is_number(&digits.replacen('.', "", 1)) && is_number(power) {
        return Err(format!(
            "the barcode `{code}` was rounded by a spreadsheet program; take the file as it was exported, unopened"
        ));
    }
    Ok(())
}

/// A level of 0 is what everything has unless told, and -1 means that stock is not tracked there
/// (<https://help.linnworks.com/support/solutions/articles/7000058578-composite-parent-sku-stock-levels-are-wrong>): neither is one.
pub(super) fn low_stock(record: &Record<'_>) -> Result<Option<Quantity>, Bad> {
    let text = record.field("low_stock");
    if text.is_empty() {
        return Ok(None);
    }
    let level = Quantity::parse(text, Precision::FINEST)
        .map_err(|error| Bad::new(record.line(), Some("low_stock"), format!("low_stock: {error}")))?;
    Ok(Some(level).filter(|level| level.is_positive()))
}

/// Its batches are our lots.
fn tracking(record: &Record<'_>) -> Result<Option<Tracking>, Bad> {
    match record.field("tracking").to_lowercase().as_str() {
        "" | "none" => Ok(None),
        "sellby" | "priority" => Ok(Some(Tracking::Lots)),
        other => {
            let problem = format!("the batch type is `{other}`; it must be Sellby or Priority, or empty");
            Err(Bad::new(record.line(), Some("tracking"), problem))
        }
    }
}

/// What channels call items: another name of each.
pub(super) fn links(table: &Table) -> Found {
    let mut found = Found::default();
    for (index, record) in table.records() {
        let line = record.line();
        if record.field("sku").is_empty() {
            found.skipped.push(Bad::new(line, None, "is linked to no item"));
        } else if record.field("alias").is_empty() {
            found.skipped.push(Bad::new(line, None, "has no SKU over there"));
        } else {
            let names = ["sku", "alias"].map(|column| (column, record.field(column).to_owned()));
            let wrong = names.into_iter().find_map(|(column, sku)| {
                let invalid = PutItem { sku, ..PutItem::default() }.check().err()?;
                Some(Bad::new(line, Some(column), invalid.to_string()))
            });
            match wrong {
                Some(wrong) => found.bad.push(wrong),
                None => found.tasks.push(Task::row(index)),
            }
        }
    }
    found
}

pub(super) fn link(table: &Table, make: &Make) -> Body {
    let record = table.record(make.rows()[0]);
    let [sku, alias] = ["sku", "alias"].map(|column| record.field(column).to_owned());
    Body::ChangeAliases(ChangeAliases { sku, add: vec![alias], remove: Vec::new() })
}
