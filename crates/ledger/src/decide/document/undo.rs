//! What the document of an order said before and says no more: goods that left by its word come back, and goods that came
//! back by its word have not, at the time when they were said to.

use crate::key::StockState;
use crate::model::{Balanced, ByDocument, ComponentAt, Tracking, add_at};
use crate::{ItemId, LocationId, LotId, OrderId, Quantity};

use super::super::stock::{self, Change};
use super::super::tx::{Stop, Tx};
use super::super::{merge, order};
use super::balance::{brought, take_back, unbalance};
use super::by;

/// What a document now says of a line of its order; nothing of one that it no longer names.
#[derive(Clone, Copy, Debug)]
pub(super) struct Told {
    pub line: u32,
    pub shipped: Quantity,
    pub returned: Quantity,
}

/// Takes back what is told no more. What comes in is booked before what goes out, and what is wanted again is promised
/// once both are.
pub(super) fn take_back_all(
    tx: &mut Tx<'_>,
    order: OrderId,
    told: &[Told],
    is_gone: impl Fn(u32) -> bool,
    owed: &mut Vec<Balanced>,
) -> Result<(), Stop> {
    let mut leaving = Vec::new();
    for Told { line, returned, .. } in told {
        for change in forget_returned(tx, order, *line, *returned)? {
            // A piece is in one place: it cannot come in while it is there.
            if tx.item(merge::live(tx, change.item)?)?.tracking == Tracking::Serials {
                take_back(tx, owed, change)?;
            } else {
                leaving.push(change);
            }
        }
    }
    let mut again = Vec::new();
    for Told { line, shipped, .. } in told {
        let back = take_back_shipped(tx, order, *line, *shipped, owed)?;
        again.extend(back.into_iter().map(|(location, quantity)| (*line, location, quantity)));
    }
    for change in leaving {
        take_back(tx, owed, change)?;
    }
    for Told { line, .. } in told.iter().filter(|told| is_gone(told.line)) {
        order::want(tx, order, *line, Quantity::ZERO, None)?;
    }
    for (line, location, quantity) in again {
        let wanted = quantity.min(tx.order(order)?.lines[line as usize].short);
        let promised = order::allocate(tx, order, line, wanted, Some(location), true)?;
        tx.edit_order(order)?.lines[line as usize].short -= promised;
    }
    Ok(())
}

/// The document no longer says that so much of a line has left: what moved by its word, the last first, comes back to
/// where it left from, and is wanted again: says how much where. What a shipment told of too has left all the same.
fn take_back_shipped(
    tx: &mut Tx<'_>,
    order: OrderId,
    line: u32,
    told: Quantity,
    owed: &mut Vec<Balanced>,
) -> Result<Vec<(LocationId, Quantity)>, Stop> {
    let known = &mut tx.edit_order(order)?.lines[line as usize];
    let stays = known.returned.max(known.told_by_shipments());
    let mut back = (known.told_shipped - told).min(known.shipped_total() - stays);
    known.told_shipped = known.told_shipped.min(told);
    let mut again = Vec::new();
    while back.is_positive() {
        let known = &mut tx.edit_order(order)?.lines[line as usize];
        let Some(mut last) = known.by_document.pop() else { break };
        let part = last.take(&known.build.recipe, last.quantity.min(back));
        known.by_document.extend(last.quantity.is_positive().then_some(last));
        back -= part.quantity;
        again.push((part.location, part.quantity));
        if part.components.is_empty() {
            let ByDocument { item, location, lot, quantity, balanced, told_at, occurred_at, .. } = part;
            add_at(&mut known.shipped, location, lot, -quantity);
            known.short += quantity;
            // What came back may be of an item that this one was merged from: it may have enough of its own.
            let wanted = known.item;
            tx.grew(wanted);
            let change =
                by(item, location, quantity, StockState::Customer, occurred_at, "shipment cancelled");
            stock::put_in(tx, Change { lot, ..change }, StockState::Available)?;
            unbalance(tx, (item, location, lot), balanced, told_at)?;
            brought(tx, owed, (item, location, lot), quantity - balanced)?;
        } else {
            take_back_kits(tx, order, line, &part, owed)?;
        }
    }
    Ok(again)
}

/// So many kits that left as components by the word of the document come back as these, and are wanted again.
fn take_back_kits(
    tx: &mut Tx<'_>,
    order: OrderId,
    line: u32,
    part: &ByDocument,
    owed: &mut Vec<Balanced>,
) -> Result<(), Stop> {
    let edited = &mut tx.edit_order(order)?.lines[line as usize];
    // `shipped` says where kits were promised to leave from, which may be around where the document says.
    let mut rest = part.quantity;
    for place in edited.shipped.clone().into_iter().rev() {
        let quantity = place.quantity.min(rest);
        if quantity.is_positive() && place.lot.0 == 0 {
            add_at(&mut edited.shipped, place.location, place.lot, -quantity);
            rest -= quantity;
        }
    }
    edited.short += part.quantity;
    for (there, _) in &part.components {
        let gone = ComponentAt { quantity: -there.quantity, ..*there };
        ComponentAt::add(&mut edited.build.left, gone);
    }
    // What a warehouse has told of before as parts stays so: the kits are begun again.
    for component in edited.build.recipe.clone() {
        let of_it = part.components.iter().filter(|(there, _)| there.item == component.item);
        let came: Quantity = of_it.map(|(there, _)| there.quantity).sum();
        let mut gone = edited.build.needs(component.item, part.quantity) - came;
        for part in edited.build.left.clone().into_iter().rev().filter(|part| part.item == component.item) {
            let quantity = part.quantity.min(gone);
            if quantity.is_positive() {
                ComponentAt::add(&mut edited.build.left, ComponentAt { quantity: -quantity, ..part });
                ComponentAt::add(&mut edited.build.begun, ComponentAt { quantity, ..part });
                gone -= quantity;
            }
        }
    }
    for (ComponentAt { item, location, lot, quantity }, balanced) in part.components.iter().copied() {
        let change =
            by(item, location, quantity, StockState::Customer, part.occurred_at, "shipment cancelled");
        stock::put_in(tx, Change { lot, ..change }, StockState::Available)?;
        unbalance(tx, (item, location, lot), balanced, part.told_at)?;
        brought(tx, owed, (item, location, lot), quantity - balanced)?;
    }
    Ok(())
}

/// The document no longer says that so much of a line came back: what came in by its word, the last first, is with the
/// customer as it was before. Says what leaves therefore. What was booked here as returned stays so.
fn forget_returned(
    tx: &mut Tx<'_>,
    order: OrderId,
    line: u32,
    told: Quantity,
) -> Result<Vec<Change<'static>>, Stop> {
    let known = &mut tx.edit_order(order)?.lines[line as usize];
    let mut missing = (known.told_returned - told).min(known.returned - told);
    known.told_returned = known.told_returned.min(told);
    let mut leaving = Vec::new();
    while missing.is_positive() {
        let Some(mut last) = known.returned_by_document.pop() else { break };
        let part = last.take(&known.build.recipe, last.quantity.min(missing));
        known.returned_by_document.extend(last.quantity.is_positive().then_some(last));
        missing -= part.quantity;
        known.returned -= part.quantity;
        let mut leave = |item: ItemId, location: LocationId, lot: LotId, quantity: Quantity| {
            let change =
                by(item, location, quantity, StockState::Customer, part.occurred_at, "return cancelled");
            leaving.push(Change { lot, inside: false, ..change });
        };
        for at in &part.whole {
            if let Some((_, back)) = known.returned_lots.iter_mut().find(|(lot, _)| *lot == at.lot) {
                *back -= at.quantity;
            }
            leave(part.item, at.location, at.lot, at.quantity);
        }
        known.returned_lots.retain(|(_, back)| back.is_positive());
        for at in part.components.iter().copied() {
            ComponentAt::add(&mut known.build.left, at);
            leave(at.item, at.location, at.lot, at.quantity);
        }
    }
    Ok(leaving)
}
