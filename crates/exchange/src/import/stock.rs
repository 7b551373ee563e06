//! Stock as somebody saw it: a count sheet, or an export of stock that was edited. Each row is a count, as of the time the
//! sheet is of, so that what moved since is kept. Rows of one item at one place are one count: lots and pieces are seen
//! together.
//!
//! Others' files of stock are counts as well, and have more to say: from which level on an item is low at a location, that
//! something is a kit, or may not be sold.

use std::collections::{HashMap, HashSet};

use onhand_ledger::command::{Line, PutLocation, SetLowStock, TakeCount};
use onhand_ledger::{Body, Date, Instant, Precision, Quantity};

use super::foreign::{self, Source};
use super::{FileProblem, Found, Make, Task, catalogue};
use onhand_sheets::{Bad, Record, Table};

/// `on_hand` and the states are those of an export; what is counted is on hand less what is damaged or in quality control.
pub(super) const OWN: [&str; 15] = [
    "sku",
    "location",
    "lot",
    "serial",
    "expires",
    "counted",
    "as_of",
    "available",
    "unsellable",
    "reserved",
    "committed",
    "damaged",
    "quality_control",
    "safety_stock",
    "on_hand",
];

/// Why a kit is not counted.
pub(super) const IS_A_KIT: &str = "is a kit: what there is of it follows from its components. Where built ones lie there, count them in \
    our own columns";

/// The counts, what is wrong, and what is passed over.
pub(super) fn of(table: &Table, source: Option<Source>) -> Result<Found, FileProblem> {
    let counted = if table.has("on_hand") && !table.has("counted") { "on_hand" } else { "counted" };
    if source.is_none() {
        onhand_sheets::check_header(table, &OWN, &["sku", "location", counted], "")?;
    }
    let mut found = Found::default();
    let mut places = HashMap::<(&str, &str, &str), (usize, u64)>::new();
    let mut spelled = Spelled::default();
    for (index, record) in table.records() {
        let says = says(&record, source).and_then(|says| {
            if source.is_some() && !matches!(says, Says::Nothing | Says::PassedOver(_)) {
                spelled.check(&record)?;
            }
            Ok(says)
        });
        match says {
            Ok(Says::Nothing) => {}
            Ok(Says::PassedOver(why)) => found.skipped.push(Bad::new(record.line(), None, why)),
            Ok(Says::Something) => {
                let place = (record.field("sku"), record.field("location"), record.field("as_of"));
                let is_tracked = !record.field("lot").is_empty() || !record.field("serial").is_empty();
                match places.get(&place) {
                    Some((task, _)) if is_tracked => found.tasks[*task].make.add(index),
                    Some((_, first)) => {
                        let (sku, location, _) = place;
                        let problem = format!(
                            "`{sku}` at `{location}` is counted on line {first} too; once, or each with its own as_of"
                        );
                        found.bad.push(Bad::new(record.line(), Some("sku"), problem));
                    }
                    None => {
                        places.insert(place, (found.tasks.len(), record.line()));
                        found.tasks.push(Task::row(index));
                    }
                }
            }
            Err(problem) => found.bad.push(problem),
        }
    }
    Ok(found)
}

/// How others' SKUs and locations were written where they came first: with them, capitals do not always matter.
#[derive(Default)]
struct Spelled<'t>(HashMap<(&'static str, String), (&'t str, u64)>);

impl<'t> Spelled<'t> {
    fn check(&mut self, record: &Record<'t>) -> Result<(), Bad> {
        for column in ["sku", "location"] {
            let name = record.field(column);
            let first = self.0.entry((column, name.to_lowercase())).or_insert((name, record.line()));
            if first.0 != name {
                let (other, line) = first;
                let problem = format!(
                    "`{name}` differs from `{other}` on line {line} in capitals alone; here they would be two, so write it in one way"
                );
                return Err(Bad::new(record.line(), Some(column), problem));
            }
        }
        Ok(())
    }
}

/// What a row says.
enum Says {
    Nothing,
    Something,
    /// Nothing that can be counted, and why.
    PassedOver(String),
}

fn says(record: &Record<'_>, source: Option<Source>) -> Result<Says, Bad> {
    if source.is_some() && is_used_up(record) {
        return Ok(Says::Nothing);
    }
    if source.is_some()
        && let Some(why) = is_passed_over(record)?
    {
        return Ok(Says::PassedOver(why));
    }
    let is_counted = line(record, source)?.is_some();
    let has_level = source.is_some() && level(record)?.is_some();
    Ok(if is_counted || has_level { Says::Something } else { Says::Nothing })
}

/// A batch is listed when nothing of it is left, too. One that may not be sold then is none that somebody has to look at.
fn is_used_up(record: &Record<'_>) -> bool {
    let level = Quantity::parse(record.field("counted"), Precision::FINEST);
    !may_be_sold(record) && level.is_ok_and(|level| !level.is_positive())
}

fn may_be_sold(record: &Record<'_>) -> bool {
    let status = record.field("status");
    status.is_empty() || status.eq_ignore_ascii_case("available")
}

/// Why nothing of such a row can be counted. What a status means:
/// <https://www.linnworks.com/support/inventory/my-inventory/edit-inventory-item/inventory/batched-items>.
fn is_passed_over(record: &Record<'_>) -> Result<Option<String>, Bad> {
    if foreign::is_yes(record, "composite")? == Some(true) {
        return Ok(Some(IS_A_KIT.to_owned()));
    }
    if foreign::is_yes(record, "group")? == Some(true) {
        return Ok(Some(catalogue::IS_A_GROUP.to_owned()));
    }
    let status = record.field("status");
    Ok((!may_be_sold(record)).then(|| {
        format!("is {}, and a count is of what may be sold: receive it, and move it to damaged or quality_control", status.to_lowercase())
    }))
}

/// What was less than nothing over there, and is counted as nothing.
pub(super) fn said(record: &Record<'_>) -> Option<Bad> {
    let counted = record.field("counted");
    let level = Quantity::parse(counted, Precision::FINEST).ok()?;
    let says = || format!("there were {counted} over there, which nobody can count; taken as 0");
    level.is_negative().then(|| Bad::new(record.line(), Some("counted"), says()))
}

/// The locations that others' counts are of.
pub(super) fn places(table: &Table, tasks: &[Task]) -> Vec<String> {
    let mut seen = HashSet::new();
    let rows = tasks.iter().map(|task| table.record(task.make.rows()[0]));
    let places = rows.map(|row| row.field("location")).filter(|location| seen.insert(*location));
    places.map(str::to_owned).collect()
}

/// What rows ask for: a count, and, of others' files, levels at which the item is low there.
pub(super) fn body(table: &Table, make: &Make, source: Option<Source>) -> Result<Body, Bad> {
    let rows = make.rows();
    let first = table.record(rows[0]);
    let lines = rows.iter().map(|row| line(&table.record(*row), source));
    let lines: Vec<Line> = lines.collect::<Result<Vec<_>, _>>()?.into_iter().flatten().collect();
    let lines = if source.is_some() { summed(lines) } else { lines };
    let as_of = super::instant(&first, "as_of")?;
    let location = first.field("location").to_owned();
    let low = if source.is_some() { level(&first)? } else { None };
    let low = low.map(|level| {
        let (sku, location) = (first.field("sku").to_owned(), Some(location.clone()));
        Body::SetLowStock(SetLowStock { sku, location, level: Some(level) })
    });
    let is_counted = !lines.is_empty();
    let count = TakeCount { location, lines, as_of, inside: false, system: None, net: false };
    Ok(match low {
        None => Body::Count(count),
        Some(low) if !is_counted => low,
        Some(low) => Body::Group(vec![Body::Count(count), low]),
    })
}

/// A batch lies in several bins of a location: what there is of it there is the sum.
fn summed(lines: Vec<Line>) -> Vec<Line> {
    let mut places = HashMap::<Option<String>, usize>::new();
    let mut sums = Vec::<Line>::with_capacity(lines.len());
    for line in lines {
        let known = places.get(&line.lot).map(|place| &mut sums[*place]);
        match known.and_then(|known| Some((known.quantity.checked_add(line.quantity)?, known))) {
            Some((sum, known)) => {
                known.quantity = sum;
                known.expires = known.expires.or(line.expires);
            }
            None => {
                places.insert(line.lot.clone(), sums.len());
                sums.push(line);
            }
        }
    }
    sums
}

fn level(record: &Record<'_>) -> Result<Option<Quantity>, Bad> {
    let level = catalogue::low_stock(record)?;
    if level.is_some() {
        ["sku", "location"].into_iter().try_for_each(|column| needed(record, column).map(|_| ()))?;
    }
    Ok(level)
}

fn needed(record: &Record<'_>, column: &str) -> Result<String, Bad> {
    record.some(column).ok_or_else(|| Bad::new(record.line(), Some(column), format!("has no {column}")))
}

/// None where nothing was counted.
fn line(record: &Record<'_>, source: Option<Source>) -> Result<Option<Line>, Bad> {
    let bad = |column: &str, problem: String| Bad::new(record.line(), Some(column), problem);
    let quantity = |column: &str| match record.field(column) {
        "" => Ok(Quantity::ZERO),
        text => Quantity::parse(text, Precision::FINEST)
            .map_err(|error| bad(column, format!("{column}: {error}"))),
    };
    let counted = record.has("counted");
    let seen = if counted {
        if record.field("counted").is_empty() {
            return Ok(None);
        }
        quantity("counted")?
    } else {
        quantity("on_hand")? - quantity("damaged")? - quantity("quality_control")?
    };
    let (sku, location) = (needed(record, "sku")?, needed(record, "location")?);
    let column = if counted { "counted" } else { "on_hand" };
    // Others sell below nothing, and take it for nothing themselves where it is imported.
    let seen = if source.is_some() { seen.max(Quantity::ZERO) } else { seen };
    if seen.is_negative() {
        return Err(bad(column, format!("{seen} of `{sku}` cannot be there; 0 or more can")));
    }
    if source.is_some() {
        let put = PutLocation { code: location, ..PutLocation::default() };
        put.check().map_err(|invalid| bad("location", format!("cannot be a location's code: {invalid}")))?;
    }
    super::instant(record, "as_of").map(|_: Option<Instant>| ())?;
    let mut line = Line { expires: expires(record, source)?, ..Line::new(sku, seen) };
    super::name_lot(record, &mut line, true).map_err(|problem| bad(column, problem))?;
    Ok(Some(line))
}

/// Others' days have a time behind them, which is midnight.
fn expires(record: &Record<'_>, source: Option<Source>) -> Result<Option<Date>, Bad> {
    match record.field("expires").split_once([' ', 'T']) {
        Some((day, _)) if source.is_some() => super::day_of(record, "expires", day).map(Some),
        _ => super::day(record, "expires"),
    }
}
