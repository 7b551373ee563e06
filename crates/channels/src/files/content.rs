//! What is in a file: stock, or orders where it has a column `reference`.
//!
//! A row that is not as it must be makes the whole file one that nothing is taken of: it may be cut off, or another file altogether.
//! Rows that are well and name something unknown are the ledger's to refuse, singly.

use std::collections::{HashMap, HashSet};
use std::fs::File;

use onhand_ledger::{Instant, Precision, Quantity};
use onhand_sheets::{Bad, FileProblem, Record, Table, check_header, read_those_there};

use super::settings::Settings;
use crate::arrived::{Brought, Problem, StockRow};
use crate::{RemoteOrder, RemoteOrderLine};

/// So many things that are wrong are told of a file at most.
const TOLD: usize = 1_000;

/// Columns of stock. Those from `serial` on are an export's, and but for `on_hand`, `damaged` and `quality_control` not read.
const STOCK: [&str; 16] = [
    "sku",
    "location",
    "quantity",
    "lot",
    "as_of",
    "serial",
    "expires",
    "counted",
    "available",
    "unsellable",
    "reserved",
    "committed",
    "damaged",
    "quality_control",
    "safety_stock",
    "on_hand",
];
/// Columns of orders. Those from `id` on are an export's, and not read.
const ORDERS: [&str; 20] = [
    "reference",
    "line",
    "sku",
    "quantity",
    "shipped",
    "returned",
    "cancelled",
    "location",
    "placed_at",
    "updated_at",
    "id",
    "system",
    "lot",
    "serial",
    "short",
    "price",
    "currency",
    "ship_by",
    "ship_to",
    "name",
];

/// Reads a file. `written_at`: what is told of no time is of then.
pub(super) fn read(file: &File, written_at: Instant, settings: &Settings) -> Result<Brought, Vec<Problem>> {
    let mut table = read_those_there(file, settings.separator, &settings.columns)
        .map_err(|problem| vec![of_file(&problem)])?;
    let mut bad = std::mem::take(&mut table.bad);
    let of = Of { table: &table, decimal: settings.decimal };
    let brought = if table.has("reference") {
        check_header(&table, &ORDERS, &["reference", "sku", "quantity"], "")
            .map(|()| Brought::Orders(of.orders(written_at, &mut bad)))
    } else {
        let quantity = of.quantity_column();
        check_header(&table, &STOCK, &["sku", quantity], "").map(|()| {
            let rows = of.stock(quantity, &mut bad);
            Brought::Stock { whole: settings.exchanging.whole, rows }
        })
    };
    let brought = brought.map_err(|problem| vec![of_file(&problem)])?;
    if bad.is_empty() {
        return Ok(brought);
    }
    bad.sort();
    let problem = |bad: Bad| Problem { line: Some(bad.line), column: bad.column, reason: bad.problem };
    Err(bad.into_iter().take(TOLD).map(problem).collect())
}

/// What is wrong with a file says where by its first words, if it is somewhere.
fn of_file(problem: &FileProblem) -> Problem {
    let FileProblem(text) = problem;
    let told = text.strip_prefix("line ").and_then(|rest| {
        let (line, reason) = rest.split_once(|letter: char| !letter.is_ascii_digit())?;
        Some((line.parse().ok()?, reason.trim_start_matches([':', ' ']).to_owned()))
    });
    let (line, reason) = told.map_or((None, text.clone()), |(line, reason)| (Some(line), reason));
    Problem { line, column: None, reason }
}

struct Of<'t> {
    table: &'t Table,
    decimal: char,
}

impl Of<'_> {
    fn quantity_column(&self) -> &'static str {
        ["quantity", "counted", "on_hand"].into_iter().find(|name| self.table.has(name)).unwrap_or("quantity")
    }

    fn quantity(&self, record: &Record<'_>, column: &str) -> Result<Quantity, Bad> {
        let text = record.field(column);
        let plain = if self.decimal == '.' { text.to_owned() } else { text.replace(self.decimal, ".") };
        let parsed = Quantity::parse(&plain, Precision::FINEST);
        let quantity =
            parsed.map_err(|error| Bad::new(record.line(), Some(column), format!("{column}: {error}")))?;
        if quantity.is_negative() {
            let problem = format!("{column} is {quantity}; it must be 0 or more");
            return Err(Bad::new(record.line(), Some(column), problem));
        }
        Ok(quantity)
    }

    /// Nothing where the field is empty, or there is no such column.
    fn or_zero(&self, record: &Record<'_>, column: &str) -> Result<Quantity, Bad> {
        if record.field(column).is_empty() { Ok(Quantity::ZERO) } else { self.quantity(record, column) }
    }

    fn stock(&self, column: &'static str, bad: &mut Vec<Bad>) -> Vec<StockRow> {
        let mut rows = Vec::with_capacity(self.table.len());
        let mut seen = HashMap::<(&str, &str, &str), u64>::with_capacity(self.table.len());
        for (_, record) in self.table.records() {
            // Of a sheet to count on: not counted.
            if column == "counted" && record.field(column).is_empty() {
                continue;
            }
            let place = (record.field("location"), record.field("sku"), record.field("lot"));
            if let Some(first) = seen.insert(place, record.line()) {
                let problem = format!("`{}` is on line {first} too; each is told once", place.1);
                bad.push(Bad::new(record.line(), Some("sku"), problem));
                continue;
            }
            match self.stock_row(&record, column) {
                Ok(row) => rows.push(row),
                Err(problem) => bad.push(problem),
            }
        }
        rows
    }

    fn stock_row(&self, record: &Record<'_>, column: &'static str) -> Result<StockRow, Bad> {
        let text = |name: &str| Some(record.field(name)).filter(|text| !text.is_empty()).map(Box::from);
        let needed = |name: &str| {
            text(name).ok_or_else(|| Bad::new(record.line(), Some(name), format!("has no {name}")))
        };
        let mut quantity = self.quantity(record, column)?;
        if column == "on_hand" {
            quantity -= self.or_zero(record, "damaged")? + self.or_zero(record, "quality_control")?;
            if quantity.is_negative() {
                let problem = "more is damaged or in quality control than is on hand".to_owned();
                return Err(Bad::new(record.line(), Some(column), problem));
            }
        }
        if !record.field("serial").is_empty() {
            let problem =
                "pieces with serial numbers are not told by files: count them, or tell them over the API";
            return Err(Bad::new(record.line(), Some("serial"), problem));
        }
        Ok(StockRow {
            line: record.line(),
            location: text("location"),
            listing: needed("sku")?,
            lot: text("lot"),
            quantity,
            as_of: instant(record, "as_of")?,
        })
    }

    fn orders(&self, written_at: Instant, bad: &mut Vec<Bad>) -> Vec<(u64, RemoteOrder)> {
        let mut orders = Vec::<(u64, RemoteOrder)>::new();
        let mut places = HashMap::<&str, usize>::new();
        let mut lines = HashSet::<(usize, String)>::new();
        for (_, record) in self.table.records() {
            let reference = record.field("reference");
            let told = if reference.is_empty() {
                Err(Bad::new(record.line(), Some("reference"), "has no reference"))
            } else {
                self.order_of(&record, reference, written_at)
            };
            let (of_row, line) = match told {
                Ok(told) => told,
                Err(problem) => {
                    bad.push(problem);
                    continue;
                }
            };
            let place = *places.entry(reference).or_insert(orders.len());
            if place == orders.len() {
                orders.push((record.line(), of_row));
            } else if let Some(column) = differs(&orders[place].1, &of_row) {
                let (begins, problem) =
                    (orders[place].0, format!("the order `{reference}` has two of `{column}`"));
                bad.push(Bad::new(
                    record.line(),
                    Some(column),
                    format!("{problem}: another is on line {begins}"),
                ));
                continue;
            }
            if !lines.insert((place, line.line.clone())) {
                let problem = format!(
                    "the order `{reference}` has `{}` twice; give its lines names in a column `line`",
                    line.line
                );
                bad.push(Bad::new(record.line(), Some("line"), problem));
                continue;
            }
            orders[place].1.lines.push(line);
        }
        orders
    }

    /// The order of a row without its lines, and its line.
    fn order_of(
        &self,
        record: &Record<'_>,
        reference: &str,
        written_at: Instant,
    ) -> Result<(RemoteOrder, RemoteOrderLine), Bad> {
        let sku = record.some("sku").ok_or_else(|| Bad::new(record.line(), Some("sku"), "has no SKU"))?;
        let quantity = self.quantity(record, "quantity")?;
        let line = RemoteOrderLine {
            line: record.some("line").unwrap_or_else(|| sku.clone()),
            listing: sku,
            quantity,
            shipped: self.or_zero(record, "shipped")?,
            returned: self.or_zero(record, "returned")?,
            withheld: Quantity::ZERO,
            places: record.some("location").map(|place| (place, quantity)).into_iter().collect(),
        };
        let updated_at = instant(record, "updated_at")?.unwrap_or(written_at);
        let placed_at = instant(record, "placed_at")?.unwrap_or(updated_at);
        let order = RemoteOrder {
            document: reference.to_owned(),
            version: u64::try_from(updated_at.micros()).unwrap_or(0),
            placed_at,
            updated_at,
            moved_at: updated_at,
            history: false,
            cancelled: truth(record, "cancelled")?,
            lines: Vec::new(),
            raw: None,
        };
        Ok((order, line))
    }
}

/// What is said once of an order, and here another time otherwise.
fn differs(one: &RemoteOrder, other: &RemoteOrder) -> Option<&'static str> {
    [
        ("updated_at", one.updated_at != other.updated_at),
        ("placed_at", one.placed_at != other.placed_at),
        ("cancelled", one.cancelled != other.cancelled),
    ]
    .into_iter()
    .find_map(|(column, differs)| differs.then_some(column))
}

fn instant(record: &Record<'_>, column: &str) -> Result<Option<Instant>, Bad> {
    let parsed = record.some(column).map(|text| Instant::parse(&text)).transpose();
    parsed.map_err(|error| Bad::new(record.line(), Some(column), format!("{column}: {error}")))
}

fn truth(record: &Record<'_>, column: &str) -> Result<bool, Bad> {
    match record.field(column) {
        "" => Ok(false),
        text if text.eq_ignore_ascii_case("true") => Ok(true),
        text if text.eq_ignore_ascii_case("false") => Ok(false),
        text => {
            let problem = format!("{column} is `{text}`; it must be true or false");
            Err(Bad::new(record.line(), Some(column), problem))
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::io::{BufWriter, Seek as _, Write as _};

    use super::*;

    const NOON: Instant = Instant::from_micros(1_764_072_000_000_000);

    fn settings(told: &[(&str, &str)]) -> Settings {
        let told: BTreeMap<String, String> =
            told.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        Settings::parse(&told).unwrap()
    }

    fn file(bytes: &[u8]) -> File {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(bytes).unwrap();
        file.rewind().unwrap();
        file
    }

    fn stock(bytes: &[u8], told: &[(&str, &str)]) -> Vec<(u64, String, Quantity)> {
        let Brought::Stock { rows, .. } = read(&file(bytes), NOON, &settings(told)).unwrap() else {
            panic!("it is stock")
        };
        rows.into_iter().map(|row| (row.line, row.listing.into_string(), row.quantity)).collect()
    }

    #[test]
    fn files_are_read_as_those_who_write_them_do() {
        let mug = vec![(2, "MUG".to_owned(), Quantity::parse("1.5", Precision::FINEST).unwrap())];
        assert_eq!(stock(b"sku,quantity\nMUG,1.5\n", &[]), mug);
        assert_eq!(stock(b"\xef\xbb\xbfsku,quantity\r\nMUG,1.5", &[]), mug);
        let german = [
            ("separator", ";"),
            ("decimal", ","),
            ("columns.sku", "Artikel"),
            ("columns.quantity", "Bestand"),
        ];
        assert_eq!(stock("Artikel;Größe;Bestand\nMUG;XL;1,5\n".as_bytes(), &german), mug);
        assert_eq!(stock(b"sku\tquantity\nMUG\t1.5\n", &[("separator", "tab")]), mug);
        // An export of ours: on hand, less what cannot be sold.
        let export =
            b"sku,location,on_hand,damaged,quality_control,as_of\nMUG,LONDON,3,1,0.5,2026-11-01T10:00:00Z\n";
        assert_eq!(stock(export, &[]), mug);
        // A sheet to count on: what is empty was not counted.
        assert_eq!(stock(b"sku,location,counted\nMUG,LONDON,1.5\nCUP,LONDON,\n", &[]), mug);
    }

    #[test]
    fn what_is_wrong_is_named_by_line_and_column_all_of_it() {
        let wrong = |bytes: &[u8]| {
            let problems = read(&file(bytes), NOON, &settings(&[])).unwrap_err();
            problems
                .into_iter()
                .map(|problem| (problem.line.unwrap_or_default(), problem.column.unwrap_or_default()))
                .collect::<Vec<_>>()
        };
        let of = |line: u64, column: &str| (line, column.to_owned());
        let stock = b"sku,quantity,as_of\nMUG,-1,\n,1,\nCUP,1,yesterday\nPOT,1\nJUG,1,\nJUG,2,\n";
        assert_eq!(wrong(stock), [of(2, "quantity"), of(3, "sku"), of(4, "as_of"), of(5, ""), of(7, "sku")]);
        let orders =
            b"reference,sku,quantity,cancelled\n,MUG,1,\nA,MUG,1,perhaps\nB,MUG,1,\nB,MUG,1,\nB,CUP,1,true\n";
        assert_eq!(
            wrong(orders),
            [of(2, "reference"), of(3, "cancelled"), of(5, "line"), of(6, "cancelled")]
        );
        assert_eq!(wrong(b"sku,quantity,colour\nMUG,1,blue\n"), [of(1, "")]);
        assert_eq!(wrong(b"sku,serial,quantity\nMUG,S1,1\n"), [of(2, "serial")]);
    }

    #[test]
    fn lines_of_one_reference_are_one_order_with_the_newest_word_of_it() {
        let text = b"reference,line,sku,quantity,shipped,updated_at\nA,1,MUG,2,1,2026-11-01T10:00:00Z\nB,1,MUG,1,,\n\
            A,2,MUG,3,0,2026-11-01T10:00:00Z\n";
        let Brought::Orders(orders) = read(&file(text), NOON, &settings(&[])).unwrap() else {
            panic!("orders")
        };
        let told: Vec<_> = orders
            .iter()
            .map(|(line, order)| (*line, order.document.as_str(), order.lines.len(), order.updated_at))
            .collect();
        let ten = Instant::parse("2026-11-01T10:00:00Z").unwrap();
        assert_eq!(told, [(2, "A", 2, ten), (3, "B", 1, NOON)]);
    }

    /// The most memory that this process had, in megabytes.
    fn most_memory() -> usize {
        let status = std::fs::read_to_string("/proc/self/status").unwrap();
        let line = status.lines().find(|line| line.starts_with("VmHWM")).unwrap();
        line.split_whitespace().nth(1).unwrap().parse::<usize>().unwrap() / 1024
    }

    #[test]
    fn a_million_rows_are_read_in_bounded_memory_and_one_more_is_refused() {
        let with = |rows: usize| {
            let mut writer = BufWriter::new(tempfile::tempfile().unwrap());
            writer.write_all(b"sku,location,quantity\n").unwrap();
            for row in 0..rows {
                writeln!(writer, "SKU-{row:07},main,{}", row % 1_000).unwrap();
            }
            let mut file = writer.into_inner().unwrap();
            file.rewind().unwrap();
            file
        };
        let before = most_memory();
        let Brought::Stock { rows, .. } = read(&with(1_000_000), NOON, &settings(&[])).unwrap() else {
            panic!("it is stock")
        };
        assert_eq!(rows.len(), 1_000_000);
        let taken = most_memory() - before;
        assert!(taken < 600, "{taken} MB");
        drop(rows);
        let problems = read(&with(1_000_001), NOON, &settings(&[])).unwrap_err();
        assert!(problems[0].reason.contains("more than 1000000 rows"), "{problems:?}");
    }
}
