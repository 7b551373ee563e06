//! Locations. One that is a part of another may come before it in the file: it is put there last.

use std::collections::HashMap;

use onhand_ledger::Body;
use onhand_ledger::command::PutLocation;

use super::{FileProblem, Make, Task};
use crate::lists;
use onhand_sheets::{Bad, Record, Table};

pub(super) const OWN: [&str; 7] = ["code", "name", "sellable", "rank", "parent", "time_zone", "groups"];

pub(super) fn of(table: &Table) -> Result<(Vec<Task>, Vec<Bad>), FileProblem> {
    onhand_sheets::check_header(table, &OWN, &["code"], "")?;
    let (mut tasks, mut bad) = (Vec::new(), Vec::new());
    let mut codes = HashMap::<&str, (u64, u32)>::new();
    for (index, record) in table.records() {
        if let Err(problem) = row(&record) {
            bad.push(problem);
        } else if let Some((first, _)) = codes.get(record.field("code")) {
            let problem = format!("the code `{}` is on line {first} too; each once", record.field("code"));
            bad.push(Bad::new(record.line(), Some("code"), problem));
        } else {
            codes.insert(record.field("code"), (record.line(), index));
            tasks.push(Task::row(index));
        }
    }
    let mut later = Vec::new();
    for task in &mut tasks {
        let Make::Row(index) = task.make else { continue };
        if codes.get(table.record(index).field("parent")).is_some_and(|(_, at)| *at > index) {
            task.make = Make::First(index);
            later.push(Task { make: Make::Second(index) });
        }
    }
    tasks.extend(later);
    Ok((tasks, bad))
}

/// The location that a row is; without what it is a part of where it is made `First`, and without its groups: what it is a
/// part of may decide who is master there.
pub(super) fn body(table: &Table, make: &Make) -> Result<Body, Bad> {
    let mut put = row(&table.record(make.rows()[0]))?;
    match make {
        Make::First(_) => (put.parent, put.groups) = (None, None),
        Make::Second(_) => {
            let PutLocation { code, parent, groups, .. } = put;
            put = PutLocation { code, parent, groups, ..PutLocation::default() };
        }
        _ => {}
    }
    Ok(Body::PutLocation(put))
}

fn row(row: &Record<'_>) -> Result<PutLocation, Bad> {
    let bad = |column: &str, problem: String| Bad::new(row.line(), Some(column), problem);
    let rank = row.some("rank").map(|rank| {
        rank.parse()
            .map_err(|_| bad("rank", format!("rank is `{rank}`; it must be a whole number, 0 or more")))
    });
    let put = PutLocation {
        code: row.some("code").ok_or_else(|| bad("code", "has no code".to_owned()))?,
        name: row.some("name"),
        sellable: super::truth(row, "sellable")?,
        rank: rank.transpose()?,
        parent: row.some("parent"),
        time_zone: row.some("time_zone"),
        groups: lists::split(row.field("groups")),
    };
    put.check().map_err(|invalid| Bad::new(row.line(), None, invalid.to_string()))?;
    Ok(put)
}
