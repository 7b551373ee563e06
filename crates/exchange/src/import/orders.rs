//! Orders: rows of one reference are one order, placed as a whole or not at all.

use std::collections::BTreeMap;

use onhand_ledger::command::{Line, PlaceOrder};
use onhand_ledger::{Body, Precision, Quantity};

use super::Task;
use super::table::{Bad, Record, Table};

/// `line`, `allocated`, `short`, `shipped` and the like are those of an export, and are not read.
const OWN: [&str; 13] = [
    "reference",
    "sku",
    "quantity",
    "location",
    "id",
    "system",
    "placed_at",
    "cancelled",
    "line",
    "allocated",
    "short",
    "shipped",
    "returned",
];

pub(super) fn of(table: Table) -> anyhow::Result<(Vec<Task>, Vec<Bad>)> {
    super::check_header(&table, &OWN, &["reference", "sku", "quantity"], "")?;
    let mut bad = table.bad;
    let mut orders: BTreeMap<&str, Vec<&Record>> = BTreeMap::new();
    let mut order_of_file = Vec::new();
    for record in &table.records {
        let reference = record.field("reference");
        if reference.is_empty() {
            bad.push(Bad::new(record.line, Some("reference"), "has no reference"));
            continue;
        }
        let known = orders.entry(reference).or_default();
        if known.is_empty() {
            order_of_file.push(reference);
        }
        known.push(record);
    }
    let mut tasks = Vec::new();
    for reference in order_of_file {
        let rows = &orders[reference];
        match order(reference, rows) {
            Ok(task) => tasks.push(task),
            Err(wrong) => {
                // An order lacks no line: the others are not imported without it.
                for row in rows.iter().filter(|row| row.line != wrong.line) {
                    let problem = format!("line {} of the order `{reference}` is wrong", wrong.line);
                    bad.push(Bad::new(row.line, None, problem));
                }
                bad.push(wrong);
            }
        }
    }
    Ok((tasks, bad))
}

fn order(reference: &str, rows: &[&Record]) -> Result<Task, Bad> {
    let location = rows.first().and_then(|row| row.some("location"));
    let (mut lines, mut skus) = (Vec::new(), Vec::new());
    for row in rows {
        let bad = |column: &str, problem: String| Bad::new(row.line, Some(column), problem);
        let sku = row.some("sku").ok_or_else(|| bad("sku", "has no SKU".to_owned()))?;
        let quantity = Quantity::parse(row.field("quantity"), Precision::FINEST);
        let quantity = quantity.map_err(|error| bad("quantity", format!("quantity: {error}")))?;
        if !quantity.is_positive() {
            return Err(bad("quantity", format!("quantity is {quantity}; it must be more than 0")));
        }
        if row.some("location") != location {
            return Err(bad(
                "location",
                format!("the order `{reference}` names two locations; it has one, or none"),
            ));
        }
        lines.push(Line::new(sku.clone(), quantity));
        skus.push((row.line, sku));
    }
    let reference = Some(reference.to_owned());
    let place = PlaceOrder { reference, lines, location: location.clone(), ..PlaceOrder::default() };
    let lines = rows.iter().map(|row| row.line).collect();
    Ok(Task { lines, skus, location, body: Body::PlaceOrder(place) })
}
