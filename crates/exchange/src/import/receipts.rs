//! Goods that came in: each row is a receipt, with what a unit did cost where that is known.

use onhand_ledger::command::{Line, Noted, Receive};
use onhand_ledger::{Body, Precision, Quantity};

use super::{FileProblem, Task};
use onhand_sheets::{Bad, Record, Table};

const OWN: [&str; 12] = [
    "sku",
    "location",
    "quantity",
    "lot",
    "serial",
    "expires",
    "pack",
    "unit_cost",
    "currency",
    "occurred_at",
    "reason",
    "reference",
];

pub(super) fn of(table: &Table) -> Result<(Vec<Task>, Vec<Bad>), FileProblem> {
    onhand_sheets::check_header(table, &OWN, &["sku", "location", "quantity"], "")?;
    let (mut tasks, mut bad) = (Vec::new(), Vec::new());
    for (index, record) in table.records() {
        match body(&record) {
            Ok(_) => tasks.push(Task::row(index)),
            Err(problem) => bad.push(problem),
        }
    }
    Ok((tasks, bad))
}

/// The receipt that a row is.
pub(super) fn body(row: &Record<'_>) -> Result<Body, Bad> {
    let bad = |column: &str, problem: String| Bad::new(row.line(), Some(column), problem);
    let needed = |column: &str| row.some(column).ok_or_else(|| bad(column, format!("has no {column}")));
    let (sku, location) = (needed("sku")?, needed("location")?);
    let quantity = Quantity::parse(row.field("quantity"), Precision::FINEST);
    let quantity = quantity.map_err(|error| bad("quantity", format!("quantity: {error}")))?;
    if !quantity.is_positive() {
        return Err(bad("quantity", format!("quantity is {quantity}; it must be more than 0")));
    }
    let mut line = Line {
        expires: super::day(row, "expires")?,
        pack: row.some("pack"),
        unit_cost: super::orders::price(row, "unit_cost")?,
        ..Line::new(sku, quantity)
    };
    super::name_lot(row, &mut line, false).map_err(|problem| bad("quantity", problem))?;
    let occurred_at = super::instant(row, "occurred_at")?;
    let receive =
        Body::Receive(Receive { location, lines: vec![line], occurred_at, reason: row.some("reason") });
    Ok(match row.some("reference") {
        None => receive,
        reference => Body::Noted(Box::new(Noted { reference, note: None, body: receive })),
    })
}
