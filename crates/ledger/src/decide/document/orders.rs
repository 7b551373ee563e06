//! An order's document: what it wants, and what of it has left or come back by its own word.

use std::collections::BTreeSet;

use crate::answer::Invalid;
use crate::availability;
use crate::command::{Document, OrderContent};
use crate::key::StockState;
use crate::model::{
    At, Became, Build, ByDocument, Cause, ComponentAt, KnownDocument, Order, OrderLine, add_at,
};
use crate::{Instant, ItemId, LocationId, LotId, OrderId, Quantity, SystemId};

use super::super::catalogue::end_if_open;
use super::super::stock::{self, Change};
use super::super::tx::{Found, Stop, Tx};
use super::super::{allocation, merge, order, promise};
use super::movements::unbalance;
use super::{Names, by, parts};

pub(super) fn apply_order(
    tx: &mut Tx<'_>,
    system: SystemId,
    document: &Document,
    content: &OrderContent,
    names: &Names,
    known: Option<&KnownDocument>,
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
        let index = find_or_add(tx, order, &line.line, item, (!last).then_some(shipped))?;
        tx.edit_order(order)?.lines[index as usize].price.clone_from(&line.price);
        told.insert(index);
        indexes.push(index);
    }
    for (position, line) in content.lines.iter().enumerate() {
        parts::claim(
            tx,
            order,
            indexes[position],
            names.quantity(position, line.quantity.max(line.shipped)),
        )?;
    }
    let lines = u32::try_from(tx.order(order)?.lines.len()).expect("orders have fewer than 2^32 lines");
    for gone in (0..lines).filter(|index| !told.contains(index)) {
        order::want(tx, order, gone, Quantity::ZERO, None)?;
    }
    for (position, line) in content.lines.iter().enumerate() {
        take_back_returned(tx, order, indexes[position], names.quantity(position, line.returned), at)?;
        take_back_shipped(tx, order, indexes[position], names.quantity(position, line.shipped), at)?;
    }
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
    for (position, line) in content.lines.iter().enumerate() {
        let index = indexes[position];
        tell_shipped(
            tx,
            system,
            order,
            index,
            names.quantity(position, line.shipped),
            names.locations[position],
            at,
        )?;
        tell_returned(tx, system, order, index, names.quantity(position, line.returned), at)?;
    }
    report_short(tx, order, short_before, "")?;
    Ok(order)
}

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
                share_shipped(&mut lines[nameless], &mut line, most);
            }
            lines.push(line);
            lines.len() - 1
        }
    };
    name.clone_into(&mut lines[index].line);
    Ok(u32::try_from(index).expect("orders have fewer than 2^32 lines"))
}

/// Gives up to so much of what one line has shipped to another, which is new.
fn share_shipped(from: &mut OrderLine, to: &mut OrderLine, most: Quantity) {
    let mut left = most;
    for at in from.shipped.clone() {
        let part = at.quantity.min(left);
        add_at(&mut from.shipped, at.location, at.lot, -part);
        add_at(&mut to.shipped, at.location, at.lot, part);
        left -= part;
    }
    let given = most - left;
    from.wanted -= given;
    to.wanted += given;
    share_left(&mut from.build, &mut to.build, given);
    to.returned = from.returned.min(given);
    from.returned -= to.returned;
    for (system, told) in &mut from.told {
        let part = (*told).min(given);
        *told -= part;
        to.told.push((*system, part));
    }
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

/// The system says that so much of a line has left so far. Only what nobody told before moves, and only where
/// this system's word moves stock.
fn tell_shipped(
    tx: &mut Tx<'_>,
    system: SystemId,
    order: OrderId,
    line: u32,
    told: Quantity,
    location: Option<LocationId>,
    at: Instant,
) -> Result<(), Stop> {
    tx.edit_order(order)?.lines[line as usize].told_shipped = told;
    let known = tx.order(order)?.lines[line as usize].clone();
    let mut missing = told - known.shipped_total();
    for place in known.allocated.iter().chain(&known.build.built) {
        let part = place.quantity.min(missing);
        if !part.is_positive() {
            continue;
        }
        // Of what another system is master there is its word to come: it is not taken from elsewhere.
        missing -= part;
        if stock::moves(tx, system, known.item, place.location)? {
            ship_by_document(tx, order, line, place.location, part, at)?;
        }
    }
    let unpromised = missing.min(tx.order(order)?.lines[line as usize].short);
    if unpromised.is_positive() {
        let place = match location {
            Some(location) => Some(location),
            None => tx.sites()?.sellable.first().map(|(_, location)| *location),
        };
        if let Some(place) = place
            && stock::moves(tx, system, known.item, place)?
        {
            ship_by_document(tx, order, line, place, unpromised, at)?;
        }
    }
    Ok(())
}

fn ship_by_document(
    tx: &mut Tx<'_>,
    order: OrderId,
    line: u32,
    location: LocationId,
    quantity: Quantity,
    at: Instant,
) -> Result<(), Stop> {
    let stock::Shipped { pieces, mut balanced, kits, components } =
        stock::ship(tx, order, line, location, quantity, at)?;
    let told_at = tx.now;
    let by_document = &mut tx.edit_order(order)?.lines[line as usize].by_document;
    // What was not there is of what was not promised, which comes last.
    for At { location, lot, quantity } in pieces.into_iter().rev() {
        let of_it = balanced.min(quantity);
        balanced -= of_it;
        by_document.push(ByDocument {
            location,
            lot,
            quantity,
            balanced: of_it,
            told_at,
            components: Vec::new(),
        });
    }
    if kits.is_positive() {
        let (lot, balanced) = (LotId(0), Quantity::ZERO);
        by_document.push(ByDocument { location, lot, quantity: kits, balanced, told_at, components });
    }
    Ok(())
}

/// The document no longer says that so much of a line has left: what moved by its word, the last first, comes back to
/// where it left from, and is wanted again. What a warehouse said has left stays so.
fn take_back_shipped(
    tx: &mut Tx<'_>,
    order: OrderId,
    line: u32,
    told: Quantity,
    at: Instant,
) -> Result<(), Stop> {
    let known = tx.order(order)?.lines[line as usize].clone();
    let mut back = (known.told_shipped - told).min(known.shipped_total() - known.returned);
    for part in known.by_document.iter().rev() {
        let ByDocument { location, lot, told_at, .. } = *part;
        let quantity = part.quantity.min(back);
        if !quantity.is_positive() {
            break;
        }
        if !part.components.is_empty() {
            take_back_kits(tx, order, line, part, quantity, at)?;
            back -= quantity;
            continue;
        }
        let balanced = part.balanced.min(quantity);
        let edited = &mut tx.edit_order(order)?.lines[line as usize];
        add_at(&mut edited.shipped, location, lot, -quantity);
        edited.by_document.pop();
        if quantity < part.quantity {
            let (quantity, balanced) = (part.quantity - quantity, part.balanced - balanced);
            edited.by_document.push(ByDocument { quantity, balanced, ..part.clone() });
        }
        let change = by(known.item, location, quantity, StockState::Customer, at, "shipment cancelled");
        let change = Change { lot, ..change };
        stock::put_in(tx, change, StockState::Available)?;
        unbalance(tx, (known.item, location, lot), balanced, told_at)?;
        let promised = order::allocate(tx, order, line, quantity, Some(location), true)?;
        tx.edit_order(order)?.lines[line as usize].short += quantity - promised;
        back -= quantity;
    }
    Ok(())
}

/// So many kits that left as components by the word of the document come back as these, and are wanted again.
fn take_back_kits(
    tx: &mut Tx<'_>,
    order: OrderId,
    line: u32,
    part: &ByDocument,
    kits: Quantity,
    at: Instant,
) -> Result<(), Stop> {
    let location = part.location;
    let edited = &mut tx.edit_order(order)?.lines[line as usize];
    let recipe = edited.build.recipe.clone();
    edited.by_document.pop();
    let mut left = part.components.clone();
    let mut back = Vec::new();
    for component in recipe {
        let each = availability::times(component.quantity, kits);
        let mut missing = each.expect("no more comes back than has left");
        for (there, balanced) in left.iter_mut().filter(|(there, _)| there.item == component.item) {
            let quantity = there.quantity.min(missing);
            if quantity.is_positive() {
                let of_it = (*balanced).min(quantity);
                back.push((ComponentAt { quantity, ..*there }, of_it));
                there.quantity -= quantity;
                *balanced -= of_it;
                missing -= quantity;
            }
        }
    }
    left.retain(|(there, _)| there.quantity.is_positive());
    // `shipped` says where kits were promised to leave from, which may be around where the document says.
    let mut rest = kits;
    for place in edited.shipped.clone().into_iter().rev() {
        let quantity = place.quantity.min(rest);
        if quantity.is_positive() && place.lot.0 == 0 {
            add_at(&mut edited.shipped, place.location, place.lot, -quantity);
            rest -= quantity;
        }
    }
    if kits < part.quantity {
        let quantity = part.quantity - kits;
        edited.by_document.push(ByDocument { quantity, components: left, ..part.clone() });
    }
    for (there, _) in &back {
        let gone = ComponentAt { quantity: -there.quantity, ..*there };
        ComponentAt::add(&mut edited.build.left, gone);
    }
    // What a warehouse has told of before as parts stays so: the kits are begun again.
    for component in edited.build.recipe.clone() {
        let of_it = back.iter().filter(|(there, _)| there.item == component.item);
        let came: Quantity = of_it.map(|(there, _)| there.quantity).sum();
        let mut gone = edited.build.needs(component.item, kits) - came;
        for part in edited.build.left.clone().into_iter().rev().filter(|part| part.item == component.item) {
            let quantity = part.quantity.min(gone);
            if quantity.is_positive() {
                ComponentAt::add(&mut edited.build.left, ComponentAt { quantity: -quantity, ..part });
                ComponentAt::add(&mut edited.build.begun, ComponentAt { quantity, ..part });
                gone -= quantity;
            }
        }
    }
    for (ComponentAt { item, location, lot, quantity }, balanced) in back {
        let change = by(item, location, quantity, StockState::Customer, at, "shipment cancelled");
        stock::put_in(tx, Change { lot, ..change }, StockState::Available)?;
        unbalance(tx, (item, location, lot), balanced, part.told_at)?;
    }
    let promised = order::allocate(tx, order, line, kits, Some(location), true)?;
    tx.edit_order(order)?.lines[line as usize].short += kits - promised;
    Ok(())
}

/// The system says that so much of a line came back so far: of what left, and where this system's word moves stock.
fn tell_returned(
    tx: &mut Tx<'_>,
    system: SystemId,
    order: OrderId,
    line: u32,
    told: Quantity,
    at: Instant,
) -> Result<(), Stop> {
    let known = tx.order(order)?.lines[line as usize].clone();
    tx.edit_order(order)?.lines[line as usize].told_returned = told;
    let left = known.shipped_total().max(known.told_shipped);
    if told > left.max(known.told_returned) {
        let (name, sku) = (tx.order(order)?.document.clone(), tx.sku(known.item)?);
        let sentence = format!(
            "Order {name} says that {told} of {sku} came back, and {left} have left. Check the return."
        );
        tx.discrepancy(Found::new(Cause::MoreThanOrdered, sentence).stock(known.item, None, told - left))?;
    }
    let possible = told.min(known.shipped_total()) - known.returned;
    if !possible.is_positive() {
        return Ok(());
    }
    let Some(place) = known.shipped.last() else { return Ok(()) };
    if stock::moves(tx, system, known.item, place.location)? {
        let back = order::come_back(tx, order, line, possible, None, None, StockState::Available, at)?;
        tx.edit_order(order)?.lines[line as usize].returned_by_document.push(back);
    }
    Ok(())
}

/// The document no longer says that so much of a line came back: what came in by its word, the last first, is with the
/// customer as it was before. What was booked here as returned stays so.
fn take_back_returned(
    tx: &mut Tx<'_>,
    order: OrderId,
    line: u32,
    told: Quantity,
    at: Instant,
) -> Result<(), Stop> {
    let known = tx.order(order)?.lines[line as usize].clone();
    let mut missing = (known.told_returned - told).min(known.returned - told);
    while missing.is_positive() {
        let Some(mut part) = tx.edit_order(order)?.lines[line as usize].returned_by_document.pop() else {
            break;
        };
        let quantity = part.quantity.min(missing);
        missing -= quantity;
        let mut rest = quantity;
        let mut gone = Vec::new();
        for there in part.whole.iter_mut().rev() {
            let whole = there.quantity.min(rest);
            there.quantity -= whole;
            rest -= whole;
            gone.push((known.item, At { quantity: whole, ..*there }));
        }
        for component in &known.build.recipe {
            let mut missing = availability::times(component.quantity, rest).unwrap_or_default();
            for there in part.components.iter_mut().rev().filter(|there| there.item == component.item) {
                let of_it = there.quantity.min(missing);
                there.quantity -= of_it;
                missing -= of_it;
                let ComponentAt { item, location, lot, .. } = *there;
                gone.push((item, At { location, lot, quantity: of_it }));
                let left = ComponentAt { quantity: of_it, ..*there };
                ComponentAt::add(&mut tx.edit_order(order)?.lines[line as usize].build.left, left);
            }
        }
        gone.retain(|(_, at)| at.quantity.is_positive());
        let edited = &mut tx.edit_order(order)?.lines[line as usize];
        edited.returned -= quantity;
        part.quantity -= quantity;
        part.whole.retain(|there| there.quantity.is_positive());
        part.components.retain(|there| there.quantity.is_positive());
        edited.returned_by_document.extend(part.quantity.is_positive().then_some(part));
        for (item, At { lot, quantity, .. }) in gone.iter().filter(|(_, at)| at.lot.0 != 0) {
            if let Some((_, back)) =
                edited.returned_lots.iter_mut().find(|(other, _)| other == lot && *item == known.item)
            {
                *back -= *quantity;
            }
        }
        edited.returned_lots.retain(|(_, back)| back.is_positive());
        for (item, At { location, lot, quantity }) in gone {
            let change = by(item, location, quantity, StockState::Customer, at, "return cancelled");
            stock::take_out(tx, Change { lot, inside: false, ..change }, None)?;
        }
    }
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
