//! Items: Onhand's own columns, or a Shopify product export.
//!
//! Shopify's columns: <https://help.shopify.com/en/manual/products/import-export/using-csv>.

use std::collections::{BTreeMap, HashMap, HashSet};

use onhand_ledger::command::{Line, PutItem, SetLowStock};
use onhand_ledger::model::{Pack, Tracking};
use onhand_ledger::{Body, Precision, Quantity};

use super::{FileProblem, Make, Task};
use crate::lists;
use onhand_sheets::{Bad, Record, Table};

pub(super) const OWN: [&str; 16] = [
    "sku",
    "name",
    "unit",
    "precision",
    "barcodes",
    "tags",
    "aliases",
    "packs",
    "low_stock",
    "low_stock_at",
    "kit",
    "tracking",
    "backorder_limit",
    "preorder_limit",
    "available_from",
    "archived",
];

/// A row that was read.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(super) struct Row {
    pub line: u64,
    /// Further lines that say the same of it.
    pub more: Vec<u64>,
    pub item: PutItem,
    /// Levels at locations.
    pub low_stock_at: Vec<SetLowStock>,
    /// Of a Shopify export: whole units seen there.
    pub quantity: Option<i64>,
    /// A readable SKU made of handle and options, for rows that have none.
    pub made_sku: Option<String>,
}

/// Is it a product export of Shopify?
pub(super) fn is_shopify(table: &Table) -> bool {
    !table.mapped && table.has("Handle") && table.has("Variant SKU")
}

/// The rows of our own columns, in the order in which they can be imported.
pub(super) fn of(table: &Table) -> Result<(Vec<Task>, Vec<Bad>), FileProblem> {
    onhand_sheets::check_header(
        table,
        &OWN,
        &["sku"],
        "; a Shopify product export has `Handle` and `Variant SKU`, an inventory of Linnworks `SKU` and `Title`, item details of \
            SKULabs `SKU`, `Name` and `Barcode`",
    )?;
    let (mut tasks, mut bad) = (Vec::new(), Vec::new());
    let mut skus = HashMap::<&str, (u64, u32)>::new();
    for (index, record) in table.records() {
        let row = match own_row(&record) {
            Ok(row) => row,
            Err(problem) => {
                bad.push(problem);
                continue;
            }
        };
        if let Some((first, _)) = skus.get(record.field("sku")) {
            let problem = format!("the SKU `{}` is on line {first} too; each once", row.item.sku);
            bad.push(Bad::new(record.line(), Some("sku"), problem));
            continue;
        }
        skus.insert(record.field("sku"), (record.line(), index));
        tasks.push(Task::row(index));
    }
    // A kit is made at its place in the file, and told what it is built of once all of that is there.
    let comes_later =
        |part: &Line, index: u32| skus.get(part.sku.as_str()).is_some_and(|(_, at)| *at > index);
    let mut later = Vec::new();
    for task in &mut tasks {
        let Make::Row(index) = task.make else { continue };
        let kit = own_row(&table.record(index)).ok().and_then(|row| row.item.kit).unwrap_or_default();
        if kit.iter().any(|part| comes_later(part, index)) {
            task.make = Make::First(index);
            later.push(index);
        }
    }
    tasks.extend(in_order(table, &later).into_iter().map(|index| Task { make: Make::Second(index) }));
    Ok((tasks, bad))
}

/// Kits, each after those that are in it, as far as there is such an order.
fn in_order(table: &Table, kits: &[u32]) -> Vec<u32> {
    let rows: HashMap<&str, u32> =
        kits.iter().map(|index| (table.record(*index).field("sku"), *index)).collect();
    let (mut seen, mut order) = (HashSet::new(), Vec::with_capacity(kits.len()));
    for kit in kits {
        let mut open = vec![(*kit, false)];
        while let Some((index, is_after_its_parts)) = open.pop() {
            if is_after_its_parts {
                order.push(index);
            } else if seen.insert(index) {
                open.push((index, true));
                let parts = own_row(&table.record(index)).ok().and_then(|row| row.item.kit);
                let parts = parts.iter().flatten().filter_map(|part| rows.get(part.sku.as_str()));
                open.extend(parts.filter(|part| !seen.contains(*part)).map(|part| (*part, false)));
            }
        }
    }
    order
}

/// The item that a row is; without what it is built of where it is made `First`.
pub(super) fn body(table: &Table, make: &Make) -> Result<Body, Bad> {
    let mut row = own_row(&table.record(make.rows()[0]))?;
    match make {
        Make::First(_) => row.item.kit = None,
        Make::Second(_) => {
            let PutItem { sku, kit, .. } = row.item;
            return Ok(Body::PutItem(PutItem { sku, kit, ..PutItem::default() }));
        }
        _ => {}
    }
    if row.low_stock_at.is_empty() {
        return Ok(Body::PutItem(row.item));
    }
    let levels = row.low_stock_at.into_iter().map(Body::SetLowStock);
    Ok(Body::Group(std::iter::once(Body::PutItem(row.item)).chain(levels).collect()))
}

/// Gives rows that have no SKU the one that was made for them, if asked; each SKU once.
pub(super) fn with_skus(mut rows: Vec<Row>, make_skus: bool) -> Result<(Vec<Row>, Vec<Bad>), FileProblem> {
    let nameless = rows.iter().filter(|row| row.item.sku.is_empty()).count();
    if nameless > 0 && !make_skus {
        let of = rows.len();
        let such = rows.iter().find_map(|row| row.made_sku.as_deref()).unwrap_or_default();
        return Err(FileProblem(format!(
            "{nameless} of {of} variants have neither SKU nor barcode to know them by. Give them SKUs in the shop, or run it \
             again with `--sku-from handle` (over HTTP `sku_from=handle`), which makes readable ones from handle and options, \
             such as `{such}`. Nothing was imported"
        )));
    }
    let mut skus = BTreeMap::<String, u64>::new();
    let mut bad = Vec::new();
    rows.retain_mut(|row| {
        if row.item.sku.is_empty() {
            row.item.sku = row.made_sku.clone().unwrap_or_default();
        }
        if let Some(first) = skus.get(&row.item.sku) {
            let problem = format!("the SKU `{}` is on line {first} too; each once", row.item.sku);
            bad.push(Bad::new(row.line, Some("sku"), problem));
            return false;
        }
        skus.insert(row.item.sku.clone(), row.line);
        match row.item.check() {
            Ok(()) => true,
            Err(invalid) => {
                bad.push(Bad::new(row.line, None, invalid.to_string()));
                false
            }
        }
    });
    Ok((rows, bad))
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

pub(super) fn check_barcode(code: &str) -> Result<(), String> {
    let is_gtin = matches!(code.len(), 8 | 12 | 13 | 14) && code.bytes().all(|byte| byte.is_ascii_digit());
    if is_gtin && !check_digit_is_right(code) {
        return Err(format!("the barcode `{code}` has a wrong check digit: a digit is mistyped"));
    }
    Ok(())
}

/// A number in a sheet has lost its leading zeros: where zeros make a barcode of it that checks, it had them.
pub(super) fn check_zeros(code: &str) -> Result<(), String> {
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

fn own_row(record: &Record<'_>) -> Result<Row, Bad> {
    let bad = |column: &str, problem: String| Bad::new(record.line(), Some(column), problem);
    let sku = record.some("sku").ok_or_else(|| bad("sku", "has no SKU".to_owned()))?;
    let precision = match record.field("precision") {
        "" => None,
        text => {
            let known = text.parse().ok().and_then(Precision::new);
            Some(known.ok_or_else(|| bad("precision", format!("precision is `{text}`; it must be 0 to 6")))?)
        }
    };
    if record.is_number("barcodes") {
        check_zeros(record.field("barcodes")).map_err(|problem| bad("barcodes", problem))?;
    }
    let barcodes = lists::split(record.field("barcodes"));
    let checked = barcodes.iter().flatten().try_for_each(|code| check_barcode(code));
    checked.map_err(|problem| bad("barcodes", problem))?;
    let quantity = |column: &str| {
        let parsed = record.some(column).map(|text| Quantity::parse(&text, Precision::FINEST)).transpose();
        parsed.map_err(|error| bad(column, format!("{column}: {error}")))
    };
    let parts = |column: &str| {
        let parts = lists::split_parts(record.field(column));
        parts.map_err(|problem| bad(column, format!("{column}: {problem}")))
    };
    let without_code = |column: &str| {
        let parts = parts(column)?;
        let coded = parts.iter().flatten().find(|(_, _, code)| code.is_some());
        match coded {
            Some((name, ..)) => Err(bad(column, format!("{column}: `{name}` has a code; only packs have"))),
            None => Ok(parts),
        }
    };
    let tracking = match record.field("tracking") {
        "" => None,
        "none" => Some(Tracking::None),
        "lots" => Some(Tracking::Lots),
        "serials" => Some(Tracking::Serials),
        other => {
            let problem = format!("tracking is `{other}`; it must be none, lots or serials");
            return Err(bad("tracking", problem));
        }
    };
    let pack = |(name, quantity, barcode)| Pack { name, quantity, barcode };
    let item = PutItem {
        sku,
        name: record.some("name"),
        unit: record.some("unit"),
        precision,
        barcodes,
        tags: lists::split(record.field("tags")),
        aliases: lists::split(record.field("aliases")),
        packs: parts("packs")?.map(|packs| packs.into_iter().map(pack).collect()),
        low_stock: quantity("low_stock")?,
        archived: super::truth(record, "archived")?,
        backorder_limit: quantity("backorder_limit")?,
        preorder_limit: quantity("preorder_limit")?,
        available_from: super::instant(record, "available_from")?,
        kit: without_code("kit")?
            .map(|kit| kit.into_iter().map(|(sku, quantity, _)| Line::new(sku, quantity)).collect()),
        tracking,
    };
    item.check().map_err(|invalid| Bad::new(record.line(), None, invalid.to_string()))?;
    let levels = without_code("low_stock_at")?;
    if levels.as_ref().is_some_and(Vec::is_empty) {
        let problem = "low_stock_at sets the levels it names and takes none away; leave it empty".to_owned();
        return Err(bad("low_stock_at", problem));
    }
    let levels = levels.unwrap_or_default().into_iter();
    let level = |(location, level, _)| SetLowStock {
        sku: item.sku.clone(),
        location: Some(location),
        level: Some(level),
    };
    let low_stock_at = levels.map(level).collect();
    Ok(Row { line: record.line(), low_stock_at, item, ..Row::default() })
}

/// A product's first row has its title and the names of its options; later rows of the handle are variants, or only
/// images.
pub(super) fn shopify_rows(table: &Table) -> (Vec<Row>, Vec<Bad>) {
    let (mut rows, mut wrong) = (Vec::new(), Vec::new());
    let mut products = BTreeMap::<&str, (&str, &str)>::new();
    let mut made = BTreeMap::<String, u32>::new();
    for (_, record) in table.records() {
        let (line, field) = (record.line(), |name: &str| record.field(name));
        let handle = field("Handle");
        if handle.is_empty() {
            wrong.push(Bad::new(line, Some("Handle"), "has no handle"));
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
                    wrong.push(Bad::new(line, Some("Variant Inventory Qty"), problem));
                    continue;
                }
            },
        };
        let barcode = field("Variant Barcode").trim_start_matches('\'');
        if let Err(problem) = check_barcode(barcode) {
            wrong.push(Bad::new(line, Some("Variant Barcode"), problem));
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
        rows.push(Row { line, item, quantity, made_sku: Some(made_sku), ..Row::default() });
    }
    (rows, wrong)
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
