//! The lines of a document that a request names, each once, with what it wants of each.

use crate::answer::{Invalid, Moved, Refusal};
use crate::availability;
use crate::command::LineQuantity;
use crate::key::{CellKey, StockState};
use crate::model::Tracking;
use crate::{ItemId, LocationId, Quantity, Seq};

use super::tx::{Stop, Tx};

/// How many lines a transfer or purchase order has at most.
pub(super) const MOST: usize = 1_000;

/// No more lines than a document may have.
pub(super) fn check_number(number: usize) -> Result<(), Invalid> {
    if number <= MOST {
        return Ok(());
    }
    Err(Invalid::Field { field: "lines", problem: format!("has {number} lines; at most {MOST}") })
}

/// The positions of named lines, each named once.
pub(super) fn positions<'n>(
    document: &str,
    known: &[&str],
    named: impl Iterator<Item = &'n str>,
) -> Result<Vec<usize>, Invalid> {
    let mut found = Vec::new();
    for name in named {
        let position = known.iter().position(|known| *known == name);
        let position = position.ok_or_else(|| unknown(document, name, known.iter().copied()))?;
        if found.contains(&position) {
            return Err(Invalid::Twice { field: "line", value: name.to_owned() });
        }
        found.push(position);
    }
    if found.is_empty() { Err(Invalid::NoLines("this")) } else { Ok(found) }
}

/// There is no line of that name.
pub(super) fn unknown<'n>(of: &str, name: &str, known: impl Iterator<Item = &'n str>) -> Invalid {
    let known = known.map(str::to_owned).collect();
    Invalid::UnknownLine { of: of.to_owned(), line: name.to_owned(), known }
}

/// A quantity of an item: more than nothing, or nothing too where that means something.
pub(super) fn check_quantity(
    tx: &Tx<'_>,
    item: ItemId,
    quantity: Quantity,
    or_nothing: bool,
) -> Result<(), Stop> {
    if quantity.is_positive() || (or_nothing && quantity.is_zero()) {
        return tx.check_quantity(item, quantity);
    }
    let sku = tx.sku(item)?;
    if or_nothing {
        let problem = format!("{quantity} of `{sku}` is less than 0");
        return Err(Invalid::Field { field: "quantity", problem }.into());
    }
    Err(Invalid::NotPositive { field: "quantity", sku, quantity }.into())
}

/// Refuses a lot beside the name of a line that is of one lot already.
pub(super) fn no_lot(lines: &[LineQuantity]) -> Result<(), Invalid> {
    match lines.iter().find(|line| line.lot.is_some()) {
        None => Ok(()),
        Some(line) => {
            let problem = format!("line `{}` says its lot itself; leave it out", line.line);
            Err(Invalid::Field { field: "lot", problem })
        }
    }
}

/// Refuses to take more of a line than it has.
pub(super) fn must_have(
    document: &str,
    line: &str,
    verb: &str,
    has: Quantity,
    wanted: Quantity,
) -> Result<(), Refusal> {
    if wanted <= has {
        return Ok(());
    }
    let (document, line, verb) = (document.to_owned(), line.to_owned(), verb.to_owned());
    Err(Refusal::DocumentHasLess { document, line, verb, has, wanted })
}

/// What moved: item, where, how on hand there changed, and the movement.
pub(super) type Done = (ItemId, LocationId, Quantity, Seq);

/// What moved, as answered.
pub(super) fn moved_answers(tx: &Tx<'_>, done: &[Done]) -> Result<Vec<Moved>, Stop> {
    tx.want_cells(
        done.iter().map(|(item, location, ..)| CellKey::new(*item, *location, StockState::Available)),
    )?;
    let answers = done.iter().map(|(item, location, difference, seq)| {
        Ok(Moved {
            sku: tx.sku(*item)?,
            location: tx.location_code(*location)?,
            difference: *difference,
            available: lies_free(tx, *item, *location)?,
            seq: *seq,
        })
    });
    answers.collect()
}

/// What lies free of an item at a very place, without lots that ended or were called back.
pub(super) fn lies_free(tx: &Tx<'_>, item: ItemId, location: LocationId) -> Result<Quantity, Stop> {
    if tx.item(item)?.tracking == Tracking::None {
        return tx.held(CellKey::new(item, location, StockState::Available));
    }
    let spots = availability::spots(&mut &*tx, item, location, &[StockState::Available])?;
    Ok(spots.iter().filter(|spot| spot.location == location).map(|spot| spot.quantity).sum())
}

/// What a caller may say beside a change: the paper it was done by, and free words.
pub(super) fn check_words(reference: Option<&str>, note: Option<&str>) -> Result<(), Invalid> {
    if let Some(reference) = reference {
        crate::command::check_name("reference", reference, 255)?;
    }
    note.map_or(Ok(()), |note| crate::command::check_name("note", note, 500))
}
