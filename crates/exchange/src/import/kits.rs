//! Kits: rows of one kit are its recipe, set as a whole or not at all. Kit and components are items that are there: a kit may be
//! inside another, in whatever order they come.

use std::collections::HashMap;

use onhand_ledger::command::{ChangeAliases, Line, PutItem};
use onhand_ledger::{Body, Precision, Quantity};

use super::{FileProblem, Make, Task};
use onhand_sheets::{Bad, Record, Table};

pub(super) const OWN: [&str; 3] = ["kit", "component", "quantity"];
/// How many components a kit has at most, as the ledger says.
const MOST: usize = 100;

pub(super) fn of(table: &Table) -> Result<(Vec<Task>, Vec<Bad>), FileProblem> {
    onhand_sheets::check_header(table, &OWN, &OWN, "")?;
    let (mut tasks, mut bad) = (Vec::<Task>::new(), Vec::new());
    let mut kits = HashMap::<&str, usize>::new();
    for (index, record) in table.records() {
        match record.field("kit") {
            "" => bad.push(Bad::new(record.line(), Some("kit"), "names no kit")),
            kit => match kits.get(kit) {
                Some(task) => tasks[*task].make.add(index),
                None => {
                    kits.insert(kit, tasks.len());
                    tasks.push(Task::row(index));
                }
            },
        }
    }
    tasks.retain(|task| match body(table, &task.make) {
        Ok(_) => true,
        Err(wrong) => {
            // A kit lacks no component: the others are not set without it.
            let rows = task.make.rows().iter().map(|row| table.record(*row));
            for row in rows.filter(|row| row.line() != wrong.line) {
                let problem = format!("line {} of the kit `{}` is wrong", wrong.line, row.field("kit"));
                bad.push(Bad::new(row.line(), None, problem));
            }
            bad.push(wrong);
            false
        }
    });
    Ok((tasks, bad))
}

/// The recipe that rows make.
pub(super) fn body(table: &Table, make: &Make) -> Result<Body, Bad> {
    let rows = make.rows();
    let first = table.record(rows[0]);
    if let Some(row) = rows.get(MOST) {
        let problem = format!("a kit has at most {MOST} components; make kits of some of them");
        return Err(Bad::new(table.record(*row).line(), Some("component"), problem));
    }
    let mut kit = Vec::<Line>::with_capacity(rows.len());
    for row in rows.iter().map(|row| table.record(*row)) {
        let line = component(&row)?;
        if kit.iter().any(|known| known.sku == line.sku) {
            let problem = format!("the component `{}` is in the kit twice; add the quantities up", line.sku);
            return Err(Bad::new(row.line(), Some("component"), problem));
        }
        kit.push(line);
    }
    let sku = first.field("kit").to_owned();
    let put = PutItem { sku: sku.clone(), kit: Some(kit), ..PutItem::default() };
    put.check().map_err(|invalid| Bad::new(first.line(), Some("kit"), invalid.to_string()))?;
    // Changes nothing, and is refused where there is no such item: a kit without a name is a slip.
    let is_there = Body::ChangeAliases(ChangeAliases { sku, add: Vec::new(), remove: Vec::new() });
    Ok(Body::Group(vec![is_there, Body::PutItem(put)]))
}

fn component(row: &Record<'_>) -> Result<Line, Bad> {
    let bad = |column: &str, problem: String| Bad::new(row.line(), Some(column), problem);
    let sku = row.some("component").ok_or_else(|| bad("component", "names no component".to_owned()))?;
    if sku == row.field("kit") {
        return Err(bad("component", format!("the kit `{sku}` is its own component; name what is in it")));
    }
    let quantity = Quantity::parse(row.field("quantity"), Precision::FINEST);
    let quantity = quantity.map_err(|error| bad("quantity", format!("quantity: {error}")))?;
    if !quantity.is_positive() {
        return Err(bad("quantity", format!("quantity is {quantity}; it must be more than 0")));
    }
    Ok(Line::new(sku, quantity))
}
