//! An order's document: what it wants, and what of it has left or come back by its own word.

use std::collections::BTreeSet;

use crate::answer::Invalid;
use crate::command::{Document, OrderContent};
use crate::key::StockState;
use crate::model::{Balanced, Became, Cause, KnownDocument, Order};
use crate::{Instant, OrderId, Quantity, SystemId};

use super::super::catalogue::end_if_open;
use super::super::stock;
use super::super::tx::{Found, Stop, Tx};
use super::super::{allocation, merge, order};
use super::balance::brought;
use super::undo::Told;
use super::{Names, leaving, meant, naming, parts, undo};

pub(super) fn apply_order(
    tx: &mut Tx<'_>,
    system: SystemId,
    document: &Document,
    content: &OrderContent,
    names: &Names,
    known: Option<&KnownDocument>,
    owed: &mut Vec<Balanced>,
) -> Result<OrderId, Stop> {
    let at = tx.past("changed_at", content.changed_at)?;
    let placed_at = tx.past("placed_at", content.placed_at)?;
    let order = match known.map(|known| &known.became) {
        Some(Became::Order(order)) => {
            merge::renew_lines(tx, *order)?;
            order::want_promises(tx, *order)?;
            *order
        }
        Some(
            Became::Lines(_)
            | Became::Shipment(_)
            | Became::Receipt(_)
            | Became::Arrived(_)
            | Became::Reply(_),
        ) => {
            let problem = format!("`{}` is known as another kind of document", document.document);
            return Err(Invalid::Field { field: "document", problem }.into());
        }
        None => tx.open_order(Order::new(system, document.document.clone(), 0, placed_at)),
    };
    let short_before: Quantity = tx.order(order)?.lines.iter().map(|line| line.short).sum();
    let edited = tx.edit_order(order)?;
    edited.version = document.version;
    edited.cancelled = content.cancelled;
    edited.ship_by = content.ship_by;
    edited.ship_to.clone_from(&content.ship_to);
    edited.placed_at = placed_at.min(edited.placed_at);
    let mut told = BTreeSet::new();
    // Lines are found first and wanted afterwards, so that a shipment's nameless line is claimed before it is dropped.
    let mut indexes = Vec::new();
    for (position, line) in content.lines.iter().enumerate() {
        let item = names.items[position].0;
        let shipped = names.quantity(position, line.quantity.max(line.shipped));
        let last = !names.items[position + 1..].iter().any(|(other, _)| *other == item);
        let index = naming::find_or_add(tx, order, &line.line, item, (!last).then_some(shipped))?;
        tx.edit_order(order)?.lines[index as usize].price.clone_from(&line.price);
        told.insert(index);
        indexes.push(index);
    }
    let called = content.lines.iter().zip(&indexes).zip(&names.items);
    let called: Vec<_> = called.map(|((line, index), meant)| (*index, &line.item, *meant)).collect();
    meant::keep(tx, system, order, &called)?;
    let lines = u32::try_from(tx.order(order)?.lines.len()).expect("orders have fewer than 2^32 lines");
    let is_gone = |line: u32| !told.contains(&line);
    for (position, line) in content.lines.iter().enumerate() {
        let quantity = names.quantity(position, line.quantity.max(line.shipped));
        naming::inherit(tx, order, indexes[position], quantity, is_gone)?;
        parts::claim(tx, order, indexes[position], quantity)?;
    }
    let now_told = content.lines.iter().enumerate().map(|(position, line)| Told {
        line: indexes[position],
        shipped: names.quantity(position, line.shipped),
        returned: names.quantity(position, line.returned),
    });
    let now_told: Vec<Told> = now_told.collect();
    let nothing = |line| Told { line, shipped: Quantity::ZERO, returned: Quantity::ZERO };
    let gone = (0..lines).filter(|line| is_gone(*line)).map(nothing);
    let all: Vec<Told> = gone.chain(now_told.iter().copied()).collect();
    undo::take_back_all(tx, order, &all, is_gone, owed)?;
    let together = allocation::route_of(tx, order, None)?.is_of_the_order();
    let mut grown = Vec::new();
    // What is given back comes first, then what is taken.
    for pass in [false, true] {
        for (position, line) in content.lines.iter().enumerate() {
            let shipped = names.quantity(position, line.shipped);
            let wanted = if content.cancelled {
                shipped
            } else {
                names.quantity(position, line.quantity).max(shipped)
            };
            let more = wanted > tx.order(order)?.lines[indexes[position] as usize].wanted;
            if more == pass && more && together && names.locations[position].is_none() {
                grown.push((indexes[position], wanted));
            } else if more == pass {
                order::want(tx, order, indexes[position], wanted, names.locations[position])?;
            }
        }
    }
    order::want_together(tx, order, &grown)?;
    for index in &indexes {
        // Where the last of its parts left from.
        if let Some(part) = tx.order(order)?.lines[*index as usize].build.begun.last().copied() {
            parts::complete(tx, order, *index, part.location)?;
        }
    }
    // What came back of what had left before is there for what leaves now.
    for told in &now_told {
        bring_back(tx, system, order, *told, at, owed)?;
    }
    for (told, location) in now_told.iter().zip(&names.locations) {
        leaving::tell_shipped(tx, system, order, (told.line, told.shipped), *location, at)?;
    }
    for told in now_told {
        tell_returned(tx, system, order, told, at, owed)?;
    }
    report_short(tx, order, short_before, "")?;
    Ok(order)
}

/// The system says that so much of a line came back so far: of what left, and where this system's word moves stock.
fn tell_returned(
    tx: &mut Tx<'_>,
    system: SystemId,
    order: OrderId,
    told: Told,
    at: Instant,
    owed: &mut Vec<Balanced>,
) -> Result<(), Stop> {
    let known = tx.order(order)?.lines[told.line as usize].clone();
    tx.edit_order(order)?.lines[told.line as usize].told_returned = told.returned;
    let (returned, left) = (told.returned, known.left_by_any_word());
    if returned > left.max(known.told_returned) {
        let (name, sku) = (tx.order(order)?.document.clone(), tx.sku(known.item)?);
        let sentence = format!(
            "Order {name} says that {returned} of {sku} came back, and {left} have left. Check the return."
        );
        // One at a time: what was said before of fewer is over.
        if let Some(earlier) = known.over_returned {
            end_if_open(tx, earlier)?;
        }
        let found = Found::new(Cause::MoreThanOrdered, sentence).stock(known.item, None, returned - left);
        let found = tx.discrepancy(found)?;
        tx.edit_order(order)?.lines[told.line as usize].over_returned = Some(found);
    }
    bring_back(tx, system, order, told, at, owed)
}

/// As much as is told to have come back, and has left by our books, comes in.
fn bring_back(
    tx: &mut Tx<'_>,
    system: SystemId,
    order: OrderId,
    told: Told,
    at: Instant,
    owed: &mut Vec<Balanced>,
) -> Result<(), Stop> {
    let known = &tx.order(order)?.lines[told.line as usize];
    let possible = told.returned.min(known.shipped_total()) - known.returned;
    let Some(place) = known.shipped.last().filter(|_| possible.is_positive()) else { return Ok(()) };
    let (item, location) = (known.item, place.location);
    if !stock::moves(tx, system, item, location)? {
        return Ok(());
    }
    let back = order::come_back(tx, order, told.line, possible, None, None, StockState::Available, at)?;
    for at in &back.whole {
        brought(tx, owed, (item, at.location, at.lot), at.quantity)?;
    }
    for at in &back.components {
        brought(tx, owed, (at.item, at.location, at.lot), at.quantity)?;
    }
    tx.edit_order(order)?.lines[told.line as usize].returned_by_document.push(back);
    Ok(())
}

/// One discrepancy for a document that wants more than there is; what it came from is told before it.
pub(super) fn report_short(
    tx: &mut Tx<'_>,
    order: OrderId,
    before: Quantity,
    because: &str,
) -> Result<(), Stop> {
    let known = tx.order(order)?.clone();
    let short: Quantity = known.lines.iter().map(|line| line.short).sum();
    if short <= before {
        return Ok(());
    }
    let parts: Vec<String> = known
        .lines
        .iter()
        .filter(|line| line.short.is_positive())
        .map(|line| {
            let (wanted, allocated) = (line.wanted, line.allocated_total() + line.shipped_total());
            Ok(format!("{wanted} of {}: {allocated} are there, {} is short", tx.sku(line.item)?, line.short))
        })
        .collect::<Result<_, Stop>>()?;
    let sentence = format!(
        "{because}Order {} wants {}. It is allocated when stock comes in.",
        known.document,
        parts.join("; ")
    );
    let item = known.lines.iter().find(|line| line.short.is_positive()).map(|line| line.item);
    // One at a time: what was said before of less is over.
    if let Some(told) = known.short_told {
        end_if_open(tx, told)?;
    }
    let found = Found { item, quantity: short, ..Found::new(Cause::Short, sentence) };
    let told = tx.discrepancy(found)?;
    tx.edit_order(order)?.short_told = Some(told);
    Ok(())
}
