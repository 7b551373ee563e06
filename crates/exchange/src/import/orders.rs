//! Orders: rows of one reference are one order, placed as a whole or not at all.

use std::collections::HashMap;

use onhand_ledger::command::{Line, PlaceOrder};
use onhand_ledger::{Body, Money, Precision, Quantity};

use super::{FileProblem, Found, Make, Task};
use onhand_sheets::{Bad, Record, Table};

/// `id`, `line`, `short`, `shipped`, `returned` and the like are those of an export, and are not read.
const OWN: [&str; 18] = [
    "reference",
    "sku",
    "quantity",
    "location",
    "lot",
    "serial",
    "price",
    "currency",
    "ship_by",
    "ship_to",
    "id",
    "system",
    "placed_at",
    "cancelled",
    "line",
    "short",
    "shipped",
    "returned",
];

/// What is said once of an order.
const OF_ALL: [&str; 3] = ["location", "ship_by", "ship_to"];

/// The orders, what is wrong, and the rows of an export that are not to be placed, with why.
pub(super) fn of(table: &Table) -> Result<Found, FileProblem> {
    onhand_sheets::check_header(table, &OWN, &["reference", "sku", "quantity"], "")?;
    let (mut tasks, mut bad, mut skipped) = (Vec::<Task>::new(), Vec::new(), Vec::new());
    let mut orders = HashMap::<&str, usize>::new();
    for (index, record) in table.records() {
        if let Some(why) = is_not_ours(&record) {
            skipped.push(Bad::new(record.line(), None, why));
            continue;
        }
        match record.field("reference") {
            "" => bad.push(Bad::new(record.line(), Some("reference"), "has no reference")),
            reference => match orders.get(reference) {
                Some(task) => tasks[*task].make.add(index),
                None => {
                    orders.insert(reference, tasks.len());
                    tasks.push(Task::row(index));
                }
            },
        }
    }
    tasks.retain(|task| match body(table, &task.make) {
        Ok(_) => true,
        Err(wrong) => {
            // An order lacks no line: the others are not imported without it.
            let rows = task.make.rows().iter().map(|row| table.record(*row));
            for row in rows.filter(|row| row.line() != wrong.line) {
                let reference = row.field("reference");
                let problem = format!("line {} of the order `{reference}` is wrong", wrong.line);
                bad.push(Bad::new(row.line(), None, problem));
            }
            bad.push(wrong);
            false
        }
    });
    Ok(Found { tasks, bad, skipped })
}

/// Rows of an export that cannot be placed with us anew.
fn is_not_ours(record: &Record<'_>) -> Option<String> {
    let system = record.field("system");
    if !system.is_empty() && system != "onhand" {
        return Some(format!("it is an order of {system}: it comes from there"));
    }
    if record.field("cancelled") == "true" {
        return Some("the order is cancelled".to_owned());
    }
    let is_exported = !record.field("id").is_empty();
    (is_exported && record.field("quantity") == "0").then(|| "nothing of the line is wanted".to_owned())
}

/// The order that rows make.
pub(super) fn body(table: &Table, make: &Make) -> Result<Body, Bad> {
    let rows = make.rows();
    let first = table.record(rows[0]);
    let reference = first.field("reference");
    let (mut lines, mut prices) = (Vec::with_capacity(rows.len()), Vec::with_capacity(rows.len()));
    for row in rows.iter().map(|row| table.record(*row)) {
        let bad = |column: &str, problem: String| Bad::new(row.line(), Some(column), problem);
        let sku = row.some("sku").ok_or_else(|| bad("sku", "has no SKU".to_owned()))?;
        let quantity = Quantity::parse(row.field("quantity"), Precision::FINEST);
        let quantity = quantity.map_err(|error| bad("quantity", format!("quantity: {error}")))?;
        if !quantity.is_positive() {
            return Err(bad("quantity", format!("quantity is {quantity}; it must be more than 0")));
        }
        if let Some(column) = OF_ALL.into_iter().find(|column| row.field(column) != first.field(column)) {
            let two =
                if column == "location" { "two locations".to_owned() } else { format!("two of `{column}`") };
            let problem = format!("the order `{reference}` names {two}; it has one, or none");
            return Err(bad(column, problem));
        }
        let mut line = Line::new(sku, quantity);
        super::name_lot(&row, &mut line, false).map_err(|problem| bad("quantity", problem))?;
        lines.push(line);
        prices.push(price(&row, "price")?);
    }
    let prices = prices.iter().any(Option::is_some).then_some(prices);
    Ok(Body::PlaceOrder(PlaceOrder {
        reference: Some(reference.to_owned()),
        lines,
        location: first.some("location"),
        ship_by: super::instant(&first, "ship_by")?,
        ship_to: first.some("ship_to"),
        prices,
        backorder: None,
    }))
}

/// An amount in a column, with its currency in `currency`.
pub(super) fn price(row: &Record<'_>, column: &'static str) -> Result<Option<Money>, Bad> {
    let bad = |column: &str, problem: String| Bad::new(row.line(), Some(column), problem);
    match (row.field(column), row.field("currency")) {
        ("", _) => Ok(None),
        (_, "") => Err(bad("currency", format!("has a {column} and no currency, such as EUR"))),
        (amount, currency) => Money::parse(amount, currency).map(Some).map_err(|error| {
            let text = error.to_string();
            bad(if text.starts_with("currency") { "currency" } else { column }, text)
        }),
    }
}
