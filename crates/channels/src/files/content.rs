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
const STOCK: [&str; 15] = [
    "sku", "location", "quantity", "lot", "as_of", "serial", "expires", "counted", "available", "reserved", "committed",
    "damaged", "quality_control", "safety_stock", "on_hand",
];
/// Columns of orders. Those from `id` on are an export's, and not read.
const ORDERS: [&str; 20] = [
    "reference", "line", "sku", "quantity", "shipped", "returned", "cancelled", "location", "placed_at", "updated_at", "id",
    "system", "lot", "serial", "short", "price", "currency", "ship_by", "ship_to", "name",
];

/// Reads a file. `written_at`: what is told of no time is of then.
pub(super) fn read(file: &File, written_at: Instant, settings: &Settings) -> Result<Brought, Vec<Problem>> {
    let mut table =
        read_those_there(file, settings.separator, &settings.columns).map_err(|problem| vec![of_file(&problem)])?;
    let mut bad = std::mem::take(&mut table.bad);
    let of = Of { table: &table, decimal: settings.decimal };
    let brought = if table.has("reference") {
        check_header(&table, &ORDERS, &["reference", "sku", "quantity"], "")
            .map(|()| Brought::Orders(of.orders(written_at, &mut bad)))
    } else {
        let quantity = of.quantity_column();
        check_header(&table, &STOCK, &["sku", quantity], "").map(|()| {
            let rows = of.stock(quantity, &mut bad);
            Brought::Stock { whole: settings.whole, rows }
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
        let needed = |name: &str| text(name).ok_or_else(|| Bad::new(record.line(), Some(name), format!("has no {name}")));
        let mut quantity = self.quantity(record, column)?;
        if column == "on_hand" {
            quantity -= self.or_zero(record, "damaged")? + self.or_zero(record, "quality_control")?;
            if quantity.is_negative() {
                let problem = "more is damaged or in quality control than is on hand".to_owned();
                return Err(Bad::new(record.line(), Some(column), problem));
            }
        }
        if !record.field("serial").is_empty() {
            let problem = "pieces with serial numbers are not told by files: count them, or tell them over the API";
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
                let (begins, problem) = (orders[place].0, format!("the order `{reference}` has two of `{column}`"));
                bad.push(Bad::new(record.line(), Some(column), format!("{problem}: another is on line {begins}")));
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
