//! `onhand import items`: Onhand's own columns, or a Shopify product export.
//!
//! The file is read whole and checked before anything is imported; a row that is bad is named by line.
//! Shopify's columns: <https://help.shopify.com/en/manual/products/import-export/using-csv>.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::Read;
use std::path::Path;

use anyhow::{Context as _, bail};
use onhand_ledger::command::{self, PutItem, PutLocation, TakeCount};
use onhand_ledger::{Body, Command, Precision, Quantity};
use serde_json::json;

use crate::cli::{Import, SkuFrom};
use crate::limited::Limited;
use crate::link::Link;
use crate::output::say;

use super::counted;

const OWN: [&str; 6] = ["sku", "name", "unit", "precision", "barcodes", "tags"];

/// A row that was read.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
struct Row {
    line: u64,
    item: PutItem,
    /// Of a Shopify export: whole units seen there.
    quantity: Option<i64>,
    /// A readable SKU made of handle and options, for rows that have none.
    made_sku: Option<String>,
}

/// What a file has.
#[derive(Debug, Default)]
struct Rows {
    rows: Vec<Row>,
    /// Line and what is wrong with it.
    bad: Vec<(u64, String)>,
    shopify: bool,
}

/// Reads a file of either kind. An error of the whole file is an error; an error of a row is in [`Rows::bad`].
fn parse(input: impl Read) -> anyhow::Result<Rows> {
    let mut reader = csv::ReaderBuilder::new().flexible(true).from_reader(Limited::new(input));
    let header: Vec<String> = reader
        .headers()
        .context("line 1 cannot be read")?
        .iter()
        .map(|name| name.trim_start_matches('\u{feff}').to_owned())
        .collect();
    let mut seen = BTreeSet::new();
    if let Some(twice) = header.iter().find(|name| !name.is_empty() && !seen.insert(name.as_str())) {
        bail!("line 1: the column `{twice}` is there twice");
    }
    let column = |name: &str| header.iter().position(|other| other == name);
    let shopify = column("Handle").is_some() && column("Variant SKU").is_some();
    if !shopify {
        if column("sku").is_none() {
            bail!(
                "line 1: no column is called `sku`{}. Onhand's own columns are {}; a Shopify product export has \
                 `Handle` and `Variant SKU`",
                likely_cause(&header),
                OWN.join(", ")
            );
        }
        if let Some(unknown) = header.iter().find(|name| !OWN.contains(&name.as_str())) {
            let cause = likely_cause(&header);
            bail!("line 1: the column `{unknown}` is not known{cause}; these are: {}", OWN.join(", "));
        }
    }
    let mut rows = Rows { shopify, ..Rows::default() };
    let mut records = Vec::new();
    let mut record = csv::StringRecord::new();
    loop {
        let line = reader.position().line();
        match reader.read_record(&mut record) {
            Ok(false) => break,
            Ok(true) if record.len() != header.len() => {
                let line = record.position().map_or(line, csv::Position::line);
                rows.bad
                    .push((line, format!("has {} fields, the header has {}", record.len(), header.len())));
            }
            Ok(true) => {
                let line = record.position().map_or(line, csv::Position::line);
                let fields: BTreeMap<String, String> =
                    header.iter().cloned().zip(record.iter().map(|field| field.trim().to_owned())).collect();
                records.push((line, fields));
            }
            Err(error) => match error.kind() {
                csv::ErrorKind::Utf8 { .. } => {
                    rows.bad.push((line, "is not UTF-8; save the file as UTF-8".to_owned()))
                }
                _ => bail!("line {line}: {error}"),
            },
        }
    }
    if shopify {
        shopify_rows(&records, &mut rows)
    } else {
        own_rows(&records, &mut rows)
    }
    let mut skus = BTreeMap::<String, u64>::new();
    let mut kept = Vec::new();
    for row in std::mem::take(&mut rows.rows) {
        if let Some(first) = skus.get(&row.item.sku).filter(|_| !row.item.sku.is_empty()) {
            rows.bad
                .push((row.line, format!("the SKU `{}` is on line {first} too; each once", row.item.sku)));
        } else {
            skus.insert(row.item.sku.clone(), row.line);
            kept.push(row);
        }
    }
    rows.rows = kept;
    rows.bad.sort();
    Ok(rows)
}

/// What most likely went wrong with a header; nothing where it is not known.
fn likely_cause(header: &[String]) -> String {
    let separator = [(';', "semicolon"), ('\t', "tab"), ('|', "bar")].into_iter().find(|(separator, _)| {
        matches!(header, [only] if only.split(*separator).any(|name| name.trim().eq_ignore_ascii_case("sku")))
    });
    if let Some((_, name)) = separator {
        return format!(": the separator must be a comma, and here it is a {name}");
    }
    let lower: Vec<String> = header.iter().map(|name| name.trim().to_lowercase()).collect();
    if *header != lower && lower.iter().any(|name| OWN.contains(&name.as_str())) {
        let meant: Vec<&str> = lower.iter().map(String::as_str).filter(|name| OWN.contains(name)).collect();
        return format!(": columns are lower case without spaces around: {}", meant.join(", "));
    }
    String::new()
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

fn list(field: &str, by: &[char]) -> Option<Vec<String>> {
    let entries: Vec<String> =
        field.split(by).map(str::trim).filter(|entry| !entry.is_empty()).map(str::to_owned).collect();
    (!entries.is_empty()).then_some(entries)
}

fn own_rows(records: &[(u64, BTreeMap<String, String>)], rows: &mut Rows) {
    for (line, fields) in records {
        match own_row(*line, fields) {
            Ok(row) => rows.rows.push(row),
            Err(problem) => rows.bad.push((*line, problem)),
        }
    }
}

fn own_row(line: u64, fields: &BTreeMap<String, String>) -> Result<Row, String> {
    let field = |name: &str| fields.get(name).map(String::as_str).unwrap_or_default();
    let some = |name: &str| Some(field(name).to_owned()).filter(|text| !text.is_empty());
    if field("sku").is_empty() {
        return Err("has no SKU".to_owned());
    }
    let precision = match field("precision") {
        "" => None,
        text => {
            let known = text.parse().ok().and_then(Precision::new);
            Some(known.ok_or_else(|| format!("precision is `{text}`; it must be 0 to 6"))?)
        }
    };
    let barcodes = list(field("barcodes"), &[' ', '|']);
    barcodes.iter().flatten().try_for_each(|code| check_barcode(code))?;
    let item = PutItem {
        sku: field("sku").to_owned(),
        name: some("name"),
        unit: some("unit"),
        precision,
        barcodes,
        tags: list(field("tags"), &['|']),
        ..PutItem::default()
    };
    Ok(Row { line, item, ..Row::default() })
}

/// A product's first row has its title and the names of its options; later rows of the handle are variants, or only
/// images.
fn shopify_rows(records: &[(u64, BTreeMap<String, String>)], rows: &mut Rows) {
    let mut products = BTreeMap::<&str, (&str, &str)>::new();
    let mut made = BTreeMap::<String, u32>::new();
    for (line, fields) in records {
        let field = |name: &str| fields.get(name).map(String::as_str).unwrap_or_default();
        let handle = field("Handle");
        if handle.is_empty() {
            rows.bad.push((*line, "has no handle".to_owned()));
            continue;
        }
        let (title, tags) = *products.entry(handle).or_insert((field("Title"), field("Tags")));
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
                    rows.bad.push((*line, problem));
                    continue;
                }
            },
        };
        let barcode = field("Variant Barcode").trim_start_matches('\'');
        if let Err(problem) = check_barcode(barcode) {
            rows.bad.push((*line, problem));
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
        rows.rows.push(Row { line: *line, item, quantity, made_sku: Some(made_sku) });
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

fn command(body: Body) -> Command {
    Command::keyed(None, "import", body)
}

/// What is ready to be imported.
pub(crate) struct Ready {
    rows: Rows,
    stock_at: Option<PutLocation>,
}

/// Reads a file and checks all of it, as the ledger will. Nothing is imported yet.
pub(crate) fn read(import: &Import, json: bool) -> anyhow::Result<Ready> {
    let Import::Items { file, sku_from, stock_at, skip_bad_rows } = import;
    let stock_at = stock_at.as_ref().map(|code| PutLocation { code: code.clone(), ..PutLocation::default() });
    if let Some(put) = &stock_at {
        put.check().context("--stock-at cannot be a location's code")?;
    }
    let mut rows = read_file(file)?;
    let nameless = rows.rows.iter().filter(|row| row.item.sku.is_empty()).count();
    if nameless > 0 {
        match sku_from {
            None => bail!(
                "{nameless} of {} in {} have neither SKU nor barcode to know them by. Give them SKUs in the \
                 shop, or run it again with `--sku-from handle`, which makes readable ones from handle and options, \
                 such as `{}`. Nothing was imported",
                counted(rows.rows.len(), "variant"),
                file.display(),
                rows.rows.iter().find_map(|row| row.made_sku.as_deref()).unwrap_or_default()
            ),
            Some(SkuFrom::Handle) => {
                for row in rows.rows.iter_mut().filter(|row| row.item.sku.is_empty()) {
                    row.item.sku = row.made_sku.clone().unwrap_or_default();
                    if !json {
                        say(format!("{}  {}", row.item.sku, row.item.name.as_deref().unwrap_or_default()))?;
                    }
                }
            }
        }
    }
    for row in std::mem::take(&mut rows.rows) {
        match row.item.check() {
            Ok(()) => rows.rows.push(row),
            Err(invalid) => rows.bad.push((row.line, invalid.to_string())),
        }
    }
    rows.bad.sort();
    for (line, problem) in rows.bad.iter().take(20) {
        eprintln!("line {line}: {problem}");
    }
    if !rows.bad.is_empty() && !skip_bad_rows {
        bail!(
            "{} cannot be imported (the first are named above); nothing was imported. \
             Mend the file, or import the other rows with --skip-bad-rows",
            counted(rows.bad.len(), "row")
        );
    }
    Ok(Ready { rows, stock_at })
}

pub(crate) async fn run(link: &Link, ready: &Ready, json: bool) -> anyhow::Result<()> {
    let Ready { rows, stock_at } = ready;
    let quantities = rows.rows.iter().filter(|row| row.quantity.is_some()).count();
    if rows.shopify && stock_at.is_none() && quantities > 0 && !json {
        say(format!("Quantities not taken: {quantities}. As counts they are, with `--stock-at LOCATION`."))?;
    }
    let bar = indicatif::ProgressBar::new(rows.rows.len() as u64);
    let mut refused = Vec::new();
    for part in rows.rows.chunks(500) {
        let commands = part.iter().map(|row| command(Body::PutItem(row.item.clone()))).collect();
        for (row, result) in part.iter().zip(link.commands(commands).await?) {
            if let Some(error) = result.error {
                refused.push((row.line, error));
            }
        }
        bar.inc(part.len() as u64);
    }
    bar.finish_and_clear();
    let taken = match stock_at {
        Some(location) => count(link, location, &rows.rows).await?,
        None => 0,
    };
    for (line, problem) in &refused {
        eprintln!("line {line}: {problem}");
    }
    let (imported, left_out) = (rows.rows.len() - refused.len(), rows.bad.len() + refused.len());
    if json {
        let bad: Vec<_> = rows.bad.iter().chain(&refused).collect();
        say(json!({ "imported": imported, "counted": taken, "bad": bad }))?;
    } else {
        let (items, left_out) = (counted(imported, "item"), counted(left_out, "row"));
        say(format!("{items} imported, {taken} counted, {left_out} left out."))?;
    }
    match refused.len() {
        0 => Ok(()),
        1 => bail!("1 row was refused, as named above"),
        more => bail!("{more} rows were refused, as named above"),
    }
}

fn read_file(file: &Path) -> anyhow::Result<Rows> {
    let opened = File::open(file).with_context(|| format!("cannot read {}", file.display()))?;
    parse(opened).with_context(|| format!("{} was not imported", file.display()))
}

/// Takes the quantities as counts of now. A negative one, which a shop shows when it oversold, is counted as 0.
async fn count(link: &Link, location: &PutLocation, rows: &[Row]) -> anyhow::Result<usize> {
    let mut commands = vec![command(Body::PutLocation(location.clone()))];
    let counted: Vec<&Row> = rows.iter().filter(|row| row.quantity.is_some()).collect();
    for part in counted.chunks(100) {
        let lines = part.iter().map(|row| command::Line {
            sku: row.item.sku.clone(),
            quantity: Quantity::units(row.quantity.unwrap_or(0).max(0)),
            ..command::Line::default()
        });
        let (location, lines) = (location.code.clone(), lines.collect());
        commands.push(command(Body::Count(TakeCount {
            location,
            lines,
            as_of: None,
            inside: false,
            system: None,
        })));
    }
    for result in link.commands(commands).await? {
        if let Some(error) = result.error {
            bail!("the counts were not taken: {error}");
        }
    }
    Ok(counted.len())
}

/// What a file has, in words: for fuzzing.
#[doc(hidden)]
pub fn imported(input: &[u8]) -> String {
    match parse(input) {
        Ok(rows) => {
            let lines = input.iter().filter(|byte| **byte == b'\n' || **byte == b'\r').count() as u64 + 1;
            assert!(rows.bad.iter().all(|(line, _)| (1..=lines).contains(line)), "a line that there is");
            format!("{rows:?}")
        }
        Err(error) => format!("{error:#}"),
    }
}

#[cfg(test)]
mod tests {
    use std::io;

    use super::*;

    fn data(name: &str) -> Rows {
        let path =
            Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/data/shopify-products").join(name);
        read_file(&path).unwrap()
    }

    #[test]
    fn the_three_shopify_files_have_66_variants_without_sku_or_barcode() {
        let files = ["apparel.csv", "home-and-garden.csv", "jewelery.csv"].map(data);
        let rows: Vec<&Row> = files.iter().flat_map(|file| &file.rows).collect();
        assert_eq!(rows.len(), 66);
        assert!(rows.iter().all(|row| row.item.sku.is_empty() && row.item.barcodes.is_none()));
        assert!(files.iter().all(|file| file.bad.is_empty() && file.shopify));
        let made: BTreeSet<_> = rows.iter().filter_map(|row| row.made_sku.clone()).collect();
        assert_eq!(made.len(), 66, "made SKUs are unique");
        assert!(made.contains("ocean-blue-shirt") && made.contains("classic-varsity-top-small"), "{made:?}");
    }

    #[test]
    fn a_wrong_header_says_what_would_be_right() {
        let error = parse(&b"code,name\nA,B\n"[..]).unwrap_err().to_string();
        assert!(error.contains("no column is called `sku`") && error.contains("precision"), "{error}");
        let error = parse(&b"sku,colour\nA,B\n"[..]).unwrap_err().to_string();
        assert!(error.contains("`colour` is not known"), "{error}");
        let error = parse(&b"SKU,Name\nA,B\n"[..]).unwrap_err().to_string();
        assert!(error.contains("columns are lower case without spaces around: sku, name"), "{error}");
        let error = parse(&b"sku, name\nA,B\n"[..]).unwrap_err().to_string();
        assert!(error.contains("columns are lower case"), "{error}");
        let error = parse(&b"SKU;Name\nA;B\n"[..]).unwrap_err().to_string();
        assert!(error.contains("the separator must be a comma, and here it is a semicolon"), "{error}");
        let error = parse(&b"sku,sku\nA,B\n"[..]).unwrap_err().to_string();
        assert!(error.contains("twice"), "{error}");
    }

    #[test]
    fn a_broken_line_in_the_middle_is_named_and_the_others_are_read() {
        let rows =
            parse(&b"sku,name,precision\nA,a,0\nB,b\nC,c,9\nD,\xff,0\nA,again,1\nE,e,3\n"[..]).unwrap();
        let skus: Vec<_> = rows.rows.iter().map(|row| row.item.sku.as_str()).collect();
        assert_eq!(skus, ["A", "E"]);
        let lines: Vec<_> = rows.bad.iter().map(|(line, _)| *line).collect();
        assert_eq!(lines, [3, 4, 5, 6]);
        assert!(rows.bad[0].1.contains("2 fields, the header has 3"), "{:?}", rows.bad);
        assert!(rows.bad[1].1.contains("0 to 6") && rows.bad[2].1.contains("UTF-8"), "{:?}", rows.bad);
    }

    #[test]
    fn a_line_of_two_gigabytes_is_stopped_before_it_fills_memory() {
        struct Endless(u64);
        impl Read for Endless {
            fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
                self.0 += buffer.len() as u64;
                assert!(self.0 < 8 * 1024 * 1024, "reading went on after the limit");
                buffer.fill(b'x');
                Ok(buffer.len())
            }
        }
        let error = parse((&b"sku\n\""[..]).chain(Endless(0))).unwrap_err();
        assert!(format!("{error:#}").contains("longer than 1048576 bytes"), "{error:#}");
    }

    #[test]
    fn a_mistyped_barcode_is_found() {
        assert!(check_barcode("4006381333931").is_ok());
        assert!(check_barcode("4006381333932").is_err());
        assert!(check_barcode("SHELF-12").is_ok());
    }
}
