//! Which line of an order a line of its document is.
//!
//! A line is known by its name and item. What a shipment told of before anybody told of lines has no name yet; what a newer
//! version no longer names is gone, and what has left of it is of the lines that have come in its place.

use crate::availability;
use crate::model::{At, Build, ComponentAt, OrderLine, add_at};
use crate::{ItemId, OrderId, Quantity};

use super::super::promise;
use super::super::tx::{Stop, Tx};

/// The line of that name, or what was shipped before anybody told of lines: `at_most` so much of it, where other lines
/// of the item follow.
pub(super) fn find_or_add(
    tx: &mut Tx<'_>,
    order: OrderId,
    name: &str,
    item: ItemId,
    at_most: Option<Quantity>,
) -> Result<u32, Stop> {
    let recipe = promise::recipe(tx, item)?;
    let lines = &mut tx.edit_order(order)?.lines;
    let by_name = lines.iter().position(|line| line.line == name && line.item == item);
    let nameless = lines.iter().position(|line| line.line.is_empty() && line.item == item);
    let index = match (by_name, nameless) {
        (Some(index), _) => index,
        (None, Some(index)) if at_most.is_none_or(|most| lines[index].shipped_total() <= most) => index,
        (None, nameless) => {
            let mut line = OrderLine::new(String::new(), item, Quantity::ZERO);
            line.build.recipe = recipe;
            if let Some((nameless, most)) = nameless.zip(at_most) {
                let places = first_of(&lines[nameless].shipped, most);
                share_shipped(&mut lines[nameless], &mut line, &places);
            }
            lines.push(line);
            lines.len() - 1
        }
    };
    name.clone_into(&mut lines[index].line);
    Ok(u32::try_from(index).expect("orders have fewer than 2^32 lines"))
}

/// Up to so much of what lies at these places, the first first.
fn first_of(places: &[At], most: Quantity) -> Vec<At> {
    let mut left = most;
    let part = |at: &At| {
        let quantity = at.quantity.min(left);
        left -= quantity;
        quantity.is_positive().then_some(At { quantity, ..*at })
    };
    places.iter().filter_map(part).collect()
}

/// Gives what one line has shipped from these places to another, and what was said of it.
fn share_shipped(from: &mut OrderLine, to: &mut OrderLine, places: &[At]) {
    for at in places {
        add_at(&mut from.shipped, at.location, at.lot, -at.quantity);
        add_at(&mut to.shipped, at.location, at.lot, at.quantity);
    }
    let given: Quantity = places.iter().map(|at| at.quantity).sum();
    from.wanted -= given;
    to.wanted += given;
    share_left(&mut from.build, &mut to.build, given);
    let returned = from.returned.min(given);
    from.returned -= returned;
    to.returned += returned;
    for (system, told) in &mut from.told {
        let part = (*told).min(given);
        *told -= part;
        to.tell(*system, part);
    }
}

/// What has left of lines of the item that the document no longer names has left of this one, as far as this one is of more.
pub(super) fn inherit(
    tx: &mut Tx<'_>,
    order: OrderId,
    line: u32,
    quantity: Quantity,
    is_gone: impl Fn(u32) -> bool,
) -> Result<(), Stop> {
    let lines = &tx.order(order)?.lines;
    let (item, mut missing) = (lines[line as usize].item, quantity - lines[line as usize].shipped_total());
    let has_left = |line: &OrderLine| line.item == item && !line.shipped.is_empty();
    let sources: Vec<u32> = (0..)
        .zip(lines)
        .filter(|(index, line)| is_gone(*index) && has_left(line))
        .map(|(index, _)| index)
        .collect();
    for source in sources {
        let lines = &mut tx.edit_order(order)?.lines;
        let mut from = lines[source as usize].clone();
        let most = from.shipped_total().min(missing);
        if !most.is_positive() {
            continue;
        }
        missing -= most;
        share_told(&mut from, &mut lines[line as usize], most);
        lines[source as usize] = from;
    }
    Ok(())
}

/// As [`share_shipped`], of a line that its document has told of: what moved by its word first, with that word.
fn share_told(from: &mut OrderLine, to: &mut OrderLine, most: Quantity) {
    let recipe = from.build.recipe.clone();
    let (mut rest, mut places, mut missing) = (from.shipped.clone(), Vec::new(), most);
    while let Some(first) = from.by_document.first_mut().filter(|_| missing.is_positive()) {
        let part = first.take(&recipe, first.quantity.min(missing));
        if first.quantity.is_zero() {
            from.by_document.remove(0);
        }
        missing -= part.quantity;
        let is_there = |at: &&At| (at.location, at.lot) == (part.location, part.lot);
        if let Some(there) = rest.iter().find(is_there).copied() {
            let quantity = there.quantity.min(part.quantity);
            add_at(&mut rest, there.location, there.lot, -quantity);
            places.push(At { quantity, ..there });
        }
        to.by_document.push(part);
    }
    let more = most - places.iter().map(|at| at.quantity).sum::<Quantity>();
    places.extend(first_of(&rest, more));
    let told = from.told_shipped.min(most);
    from.told_shipped -= told;
    to.told_shipped += told;
    let mut returned = from.returned.min(most);
    let told = from.told_returned.min(returned);
    from.told_returned -= told;
    to.told_returned += told;
    let mut of_lots = returned;
    for (lot, back) in &mut from.returned_lots {
        let part = (*back).min(of_lots);
        *back -= part;
        of_lots -= part;
        to.returned_lots.push((*lot, part));
    }
    while let Some(last) = from.returned_by_document.last_mut().filter(|_| returned.is_positive()) {
        let part = last.take(&recipe, last.quantity.min(returned));
        if last.quantity.is_zero() {
            from.returned_by_document.pop();
        }
        returned -= part.quantity;
        to.returned_by_document.push(part);
    }
    from.returned_lots.retain(|(_, back)| back.is_positive());
    to.returned_lots.retain(|(_, back)| back.is_positive());
    share_shipped(from, to, &places);
}

/// Gives the components that left with so many kits of one line to another.
fn share_left(from: &mut Build, to: &mut Build, kits: Quantity) {
    for component in &from.recipe {
        let mut missing = availability::times(component.quantity, kits).unwrap_or_default();
        for part in from.left.clone().into_iter().filter(|part| part.item == component.item) {
            let quantity = part.quantity.min(missing);
            if quantity.is_positive() {
                ComponentAt::add(&mut from.left, ComponentAt { quantity: -quantity, ..part });
                ComponentAt::add(&mut to.left, ComponentAt { quantity, ..part });
                missing -= quantity;
            }
        }
    }
}
