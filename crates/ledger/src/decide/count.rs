//! Counts: what somebody saw, and when. Each is an anchor for what is heard of later (law 11).

use std::collections::{BTreeMap, BTreeSet};

use crate::answer::{Answer, Counted, Invalid, Refusal};
use crate::command::TakeCount;
use crate::entry::Entry;
use crate::key::{CellKey, Key, StockState};
use crate::model::{Cause, Count, Tracking};
use crate::{CountId, Instant, ItemId, LocationId, Quantity, SystemId};

use super::stock::{self, Change, Named, Resolved};
use super::tx::{Found, Stop, Tx};
use super::{item, lines, lots, masters, order};

pub(super) fn take(tx: &mut Tx<'_>, count: &TakeCount) -> Result<Answer, Stop> {
    let location = tx.location_id(&count.location)?;
    let teller = count.system.as_deref().map_or(Ok(SystemId::ONHAND), |name| tx.system_id(name))?;
    let lines = resolve(tx, count)?;
    let as_of = match tx.past("as_of", count.as_of) {
        Ok(as_of) => as_of,
        // What a system tells has happened; its clock is wrong, which a person must look at.
        Err(Stop::Invalid(invalid @ Invalid::TooFarAhead { .. })) if teller != SystemId::ONHAND => {
            return evidence(tx, count, teller, location, Cause::ClockAhead, invalid.to_string());
        }
        Err(stop) => return Err(stop),
    };
    let nodes = nodes(tx, location, count.inside)?;
    for (item, node) in lines.iter().flat_map(|(item, _)| nodes.iter().map(move |node| (*item, *node))) {
        let master = masters::master(tx, item, node)?;
        if master == teller {
            continue;
        }
        let (sku, code, name) = (tx.sku(item)?, tx.location_code(node)?, tx.system_name(master)?);
        if teller == SystemId::ONHAND {
            return Err(Refusal::NotMaster { sku, location: code, master: name }.into());
        }
        let teller_name = tx.system_name(teller)?;
        let sentence = format!(
            "{teller_name} told how much of {sku} there is at {code}, but the master there is {name}: \
             nothing was changed. Count it in {name}, or make {teller_name} its master."
        );
        return evidence(tx, count, teller, location, Cause::NotMaster, sentence);
    }
    let lines = lots::counted(tx, &lines)?;
    let seen = lines.into_iter().map(|line| (line, as_of)).collect();
    book_all(tx, teller, location, count.inside, seen).map(|(_, answer)| answer)
}

/// A location, with all that is inside it where that is counted too.
pub(super) fn nodes(tx: &Tx<'_>, location: LocationId, inside: bool) -> Result<Vec<LocationId>, Stop> {
    if inside { Ok(tx.sites()?.below(location, false)) } else { Ok(vec![location]) }
}

/// What a physical count of something at some places sees.
pub(super) fn cells(line: &Resolved, nodes: &[LocationId]) -> Vec<CellKey> {
    let (item, lot) = (line.item, line.lot.unwrap_or_default());
    let of = |node: LocationId| StockState::PHYSICAL.map(|state| CellKey::of(item, node, lot, state));
    nodes.iter().flat_map(|node| of(*node)).collect()
}

/// Books what was seen, each as of when it was; says which counts it became.
pub(super) fn book_all(
    tx: &mut Tx<'_>,
    teller: SystemId,
    location: LocationId,
    inside: bool,
    seen: Vec<(Resolved, Instant)>,
) -> Result<(Vec<CountId>, Answer), Stop> {
    let nodes = nodes(tx, location, inside)?;
    let inside = nodes.len() > 1;
    let cells = |line: &Resolved| cells(line, &nodes);
    tx.want_past(seen.iter().flat_map(|(line, as_of)| cells(line).into_iter().map(|cell| (cell, *as_of))))?;
    let changes = seen.iter().map(|(line, as_of)| (line.item, location, as_of.plus_micros(1)));
    tx.want(seen.iter().map(|(line, _)| Key::Counted(line.item, location)))?;
    stock::prefetch(tx, &[StockState::Adjustment], changes)?;
    let mut booked = Vec::new();
    for (line, as_of) in seen {
        let Resolved { item, lot, quantity: counted } = line;
        let lot = lot.unwrap_or_default();
        let found: Quantity = cells(&line).iter().map(|cell| tx.as_of(*cell, as_of)).sum::<Result<_, _>>()?;
        let is_found = tx.item(item)?.tracking == Tracking::Serials && counted > found;
        if is_found {
            lots::seen_where_it_was_not(tx, item, lot)?;
        }
        let id = book(tx, Count { system: teller, item, location, lot, inside, as_of, counted, found })?;
        if is_found {
            lots::must_be_one(tx, item, lot)?;
        }
        booked.push((id, item, counted, found));
    }
    order::settle(tx)?;
    let ids = booked.iter().map(|(id, ..)| *id).collect();
    let answers = booked.into_iter().map(|(id, item, counted, found)| {
        Ok(Counted {
            id,
            sku: tx.sku(item)?,
            counted,
            found,
            difference: counted - found,
            available: lines::lies_free(tx, item, location)?,
        })
    });
    let counted = answers.collect::<Result<_, Stop>>()?;
    Ok((ids, Answer::Counted(counted, tx.discrepancies.clone())))
}

/// Writes the count, and books its difference at the time it was seen.
fn book(tx: &mut Tx<'_>, count: Count) -> Result<CountId, Stop> {
    let id = CountId(tx.next_seq());
    let Count { item, location, lot, inside, as_of, counted, found, .. } = count;
    tx.emit(Entry::Count(id, Box::new(count)))?;
    let difference = counted - found;
    let change = Change {
        item,
        location,
        lot,
        quantity: difference.abs(),
        inside,
        party: StockState::Adjustment,
        occurred_at: as_of,
        reason: "counted",
        corrects: Some(id.0),
        // A later word about the same instant stands: only counts of a later instant saw this difference.
        seen_from: as_of.plus_micros(1),
    };
    if difference.is_positive() {
        stock::put_in(tx, change, StockState::Available)?;
    } else if difference.is_negative() {
        stock::take_out(tx, change, None)?;
    }
    Ok(id)
}

/// The lines of a count by item, or by lot or piece where it is tracked. Two cases and three single ones are one count.
fn resolve<'c>(tx: &Tx<'_>, count: &'c TakeCount) -> Result<Vec<Named<'c>>, Stop> {
    let mut seen = BTreeSet::new();
    for line in &count.lines {
        if line.quantity.is_negative() {
            let problem = format!("{} of `{}` cannot be counted; 0 or more can", line.quantity, line.sku);
            return Err(Invalid::Field { field: "quantity", problem }.into());
        }
        if !seen.insert((&line.sku, &line.pack, &line.lot, &line.serials)) {
            return Err(Invalid::Twice { field: "sku", value: line.sku.clone() }.into());
        }
    }
    stock::no_cost(&count.lines)?;
    let mut named = stock::resolve(tx, "a count", &count.lines, |quantity| !quantity.is_negative())?;
    item::as_meant(tx, &mut named, count.as_of.map_or(tx.now, |as_of| as_of.min(tx.now)))?;
    let mut packs = BTreeSet::new();
    let mut places = BTreeMap::<ItemId, usize>::new();
    let mut lines: Vec<Named<'c>> = Vec::with_capacity(named.len());
    for ((item, line), told) in named.into_iter().zip(&count.lines) {
        if tx.item(item)?.tracking != Tracking::None {
            lines.push((item, line));
            continue;
        }
        // A SKU may have other names too.
        if !packs.insert((item, &told.pack)) {
            return Err(Invalid::Twice { field: "sku", value: told.sku.clone() }.into());
        }
        match places.get(&item) {
            Some(place) => {
                let sum = &mut lines[*place].1.to_mut().quantity;
                *sum += line.quantity;
                tx.check_quantity(item, *sum)?;
            }
            None => {
                places.insert(item, lines.len());
                lines.push((item, line));
            }
        }
    }
    Ok(lines)
}

/// An absolute that is not stock: it is kept for a person and moves nothing.
fn evidence(
    tx: &mut Tx<'_>,
    count: &TakeCount,
    teller: SystemId,
    location: LocationId,
    cause: Cause,
    sentence: String,
) -> Result<Answer, Stop> {
    let item = count.lines.first().map(|line| tx.item_id(&line.sku)).transpose()?;
    let told: Vec<String> =
        count.lines.iter().map(|line| format!("{} {}", line.sku, line.quantity)).collect();
    let at = count.as_of.map_or_else(String::new, |at: Instant| format!(" as of {at}"));
    let found = Found {
        item,
        location: Some(location),
        system: teller,
        quantity: count.lines.first().map_or(Quantity::ZERO, |line| line.quantity),
        evidence: Some(format!("{}{at}", told.join(", "))),
        ..Found::new(cause, sentence.clone())
    };
    let id = tx.discrepancy(found)?;
    Ok(Answer::Waiting(id, sentence))
}
