//! Items: Onhand's own columns, or a Shopify product export.
//!
//! Shopify's columns: <https://help.shopify.com/en/manual/products/import-export/using-csv>.

use std::collections::BTreeMap;

use anyhow::bail;
use onhand_ledger::command::PutItem;
use onhand_ledger::{Precision, Quantity};

use super::table::{Bad, Record, Table};

pub(super) const OWN: [&str; 6] = ["sku", "name", "unit", "precision", "barcodes", "tags"];

/// A row that was read.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(super) struct Row {
    pub line: u64,
    pub item: PutItem,
    /// Of a Shopify export: whole units seen there.
    pub quantity: Option<i64>,
    /// A readable SKU made of handle and options, for rows that have none.
    pub made_sku: Option<String>,
}

/// What a file has.
#[derive(Debug, Default)]
pub(super) struct Rows {
    pub rows: Vec<Row>,
    pub bad: Vec<Bad>,
    pub shopify: bool,
}

/// Reads a file of either kind. An error of the whole file is an error; an error of a row is in [`Rows::bad`].
pub(super) fn of(table: Table) -> anyhow::Result<Rows> {
    let has = |name: &str| table.header.iter().any(|other| other == name);
    let shopify = !table.mapped && has("Handle") && has("Variant SKU");
    if !shopify {
        super::check_header(
            &table,
            &OWN,
            &["sku"],
            "; a Shopify product export has `Handle` and `Variant SKU`",
        )?;
    }
    let mut rows = Rows { shopify, bad: table.bad, rows: Vec::new() };
    if shopify {
        shopify_rows(&table.records, &mut rows);
    } else {
        for record in &table.records {
            match own_row(record) {
                Ok(row) => rows.rows.push(row),
                Err(bad) => rows.bad.push(bad),
            }
        }
    }
    let mut skus = BTreeMap::<String, u64>::new();
    let mut kept = Vec::new();
    for row in std::mem::take(&mut rows.rows) {
        if let Some(first) = skus.get(&row.item.sku).filter(|_| !row.item.sku.is_empty()) {
            let problem = format!("the SKU `{}` is on line {first} too; each once", row.item.sku);
            rows.bad.push(Bad::new(row.line, Some("sku"), problem));
        } else {
            skus.insert(row.item.sku.clone(), row.line);
            kept.push(row);
        }
    }
    rows.rows = kept;
    rows.bad.sort();
    if rows.rows.is_empty() && rows.bad.is_empty() && table.header.iter().all(String::is_empty) {
        bail!("the file is empty");
    }
    Ok(rows)
}

/// GS1's modulo-10 check digit: <https://www.gs1.org/services/how-calculate-check-digit-manually>.
fn check_digit_is_right(digits: &str) -> bool {
    let sum: u32 = digits
        .bytes()
        .rev()
        .enumerate()
        .map(|(place, byte)| u32::from(byte - b'0') * if place % 2 == 1 { 3 } else { 1 })
        .sum();
    sum.is_multiple_of(10)
}

fn check_barcode(code: &str) -> Result<(), String> {
    let is_gtin = matches!(code.len(), 8 | 12 | 13 | 14) && code.bytes().all(|byte| byte.is_ascii_digit());
    if is_gtin && !check_digit_is_right(code) {
        return Err(format!("the barcode `{code}` has a wrong check digit: a digit is mistyped"));
    }
    Ok(())
}

/// A number in a sheet has lost its leading zeros: where zeros make a barcode of it that checks, it had them.
fn check_zeros(code: &str) -> Result<(), String> {
    let lengths = [8, 12, 13, 14];
    // A short number is a code of the house's own.
    if code.len() < 7 || lengths.contains(&code.len()) || !code.bytes().all(|byte| byte.is_ascii_digit()) {
        return Ok(());
    }
    let padded =
        lengths.into_iter().filter(|length| *length > code.len()).map(|length| format!("{code:0>length$}"));
    match padded.into_iter().find(|padded| check_digit_is_right(padded)) {
        Some(padded) => Err(format!(
            "the barcode `{code}` is a number in the sheet and has lost its leading zeros: it is `{padded}`; write it as \
             text, with ' before it"
        )),
        None => Ok(()),
    }
}

fn list(field: &str, by: &[char]) -> Option<Vec<String>> {
    let entries: Vec<String> =
        field.split(by).map(str::trim).filter(|entry| !entry.is_empty()).map(str::to_owned).collect();
    (!entries.is_empty()).then_some(entries)
}

fn own_row(record: &Record) -> Result<Row, Bad> {
    let bad = |column: &str, problem: String| Bad::new(record.line, Some(column), problem);
    if record.field("sku").is_empty() {
        return Err(bad("sku", "has no SKU".to_owned()));
    }
    let precision = match record.field("precision") {
        "" => None,
        text => {
            let known = text.parse().ok().and_then(Precision::new);
            Some(known.ok_or_else(|| bad("precision", format!("precision is `{text}`; it must be 0 to 6")))?)
        }
    };
    if record.numbers.contains("barcodes") {
        check_zeros(record.field("barcodes")).map_err(|problem| bad("barcodes", problem))?;
    }
    let barcodes = list(record.field("barcodes"), &[' ', '|']);
    let checked = barcodes.iter().flatten().try_for_each(|code| check_barcode(code));
    checked.map_err(|problem| bad("barcodes", problem))?;
    let item = PutItem {
        sku: record.field("sku").to_owned(),
        name: record.some("name"),
        unit: record.some("unit"),
        precision,
        barcodes,
        tags: list(record.field("tags"), &['|']),
        ..PutItem::default()
    };
    Ok(Row { line: record.line, item, ..Row::default() })
}

/// A product's first row has its title and the names of its options; later rows of the handle are variants, or only
/// images.
fn shopify_rows(records: &[Record], rows: &mut Rows) {
    let mut products = BTreeMap::<&str, (&str, &str)>::new();
    let mut made = BTreeMap::<String, u32>::new();
    for record in records {
        let (line, field) = (record.line, |name: &str| record.field(name));
        let handle = field("Handle");
        if handle.is_empty() {
            rows.bad.push(Bad::new(line, Some("Handle"), "has no handle"));
            continue;
        }
        let (title, tags) = *products.entry(handle).or_insert((record.field("Title"), record.field("Tags")));
        let values = ["Option1 Value", "Option2 Value", "Option3 Value"].map(field);
        let options: Vec<&str> =
            values.into_iter().filter(|value| !value.is_empty() && *value != "Default Title").collect();
        if values.iter().all(|value| value.is_empty()) && field("Variant Price").is_empty() {
            continue; // a further image of the product
        }
        let quantity = match field("Variant Inventory Qty") {
            "" => None,
            text => match text.parse::<i64>() {
                Ok(quantity) if quantity <= Quantity::MAX_INPUT.whole_units() => Some(quantity),
                _ => {
                    let most = Quantity::MAX_INPUT;
                    let problem =
                        format!("the quantity is `{text}`; it must be a whole number, at most {most}");
                    rows.bad.push(Bad::new(line, Some("Variant Inventory Qty"), problem));
                    continue;
                }
            },
        };
        let barcode = field("Variant Barcode").trim_start_matches('\'');
        if let Err(problem) = check_barcode(barcode) {
            rows.bad.push(Bad::new(line, Some("Variant Barcode"), problem));
            continue;
        }
        let name = if options.is_empty() {
            title.to_owned()
        } else {
            format!("{title} – {}", options.join(" / "))
        };
        let sku = readable_sku(handle, &options);
        let times = made.entry(sku.clone()).or_default();
        *times += 1;
        let made_sku = if *times == 1 { sku } else { format!("{sku}-{times}") };
        let item = PutItem {
            sku: field("Variant SKU").trim_start_matches('\'').to_owned(),
            name: Some(name).filter(|name| !name.is_empty()),
            barcodes: list(barcode, &[' ']),
            tags: list(tags, &[',']),
            ..PutItem::default()
        };
        rows.rows.push(Row { line, item, quantity, made_sku: Some(made_sku) });
    }
}

/// `classic-varsity-top` and `Small` make `classic-varsity-top-small`: lower case, digits and single dashes.
fn readable_sku(handle: &str, options: &[&str]) -> String {
    let mut sku = String::new();
    for part in std::iter::once(&handle).chain(options) {
        for letter in part.chars().flat_map(char::to_lowercase) {
            if letter.is_alphanumeric() {
                sku.push(letter);
            } else if !sku.ends_with('-') && !sku.is_empty() {
                sku.push('-');
            }
        }
        if !sku.ends_with('-') {
            sku.push('-');
        }
    }
    sku.trim_end_matches('-').chars().take(90).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mistyped_barcode_is_found() {
        assert!(check_barcode("4006381333931").is_ok());
        assert!(check_barcode("4006381333932").is_err());
        assert!(check_barcode("SHELF-12").is_ok());
        assert!(check_zeros("36000291452").unwrap_err().contains("it is `036000291452`"));
        assert!(check_zeros("4006381333931").is_ok() && check_zeros("17").is_ok());
    }
}
