//! A receipt's document: goods came in, for a purchase order or for nobody says which (for a transfer: [`super::arrivals`]).
//! Told once; the same delivery
//! told by another system comes in once.

use std::borrow::Cow;

use crate::answer::Invalid;
use crate::command::{Line, ReceiptContent, ReceiptLine};
use crate::entry::Entry;
use crate::key::StockState;
use crate::model::{Became, Cause, Purchase};
use crate::{Instant, ItemId, LocationId, LotId, Money, PurchaseId, Quantity, SystemId};

use super::super::stock::{self, Change};
use super::super::supply::{self, Delivery};
use super::super::tx::{Found, Stop, Tx};
use super::super::{lots, masters};
use super::shipments::{Applied, Went};
use super::{Names, by, not_master};

/// The purchase order that a receipt names. One that is not known yet is waited for.
pub(super) fn purchase_of(tx: &Tx<'_>, content: &ReceiptContent) -> Result<Option<PurchaseId>, Stop> {
    let Some(reference) = &content.purchase else { return Ok(None) };
    match supply::by_reference(tx, reference)? {
        Some(id) => Ok(Some(id)),
        None => Err(Invalid::Unknown { kind: "purchase order", id: format!("`{reference}`") }.into()),
    }
}

/// `into` says in what state each line comes in: available where it says nothing.
pub(super) fn apply_receipt(
    tx: &mut Tx<'_>,
    system: SystemId,
    id: Option<PurchaseId>,
    content: &ReceiptContent,
    names: &Names,
    into: &[StockState],
) -> Result<Applied, Stop> {
    let at = tx.past("occurred_at", content.occurred_at)?;
    let location = tx.location_id(&content.location)?;
    let before = id.map(|id| supply::load(tx, id)).transpose()?;
    let mut purchase = before.clone();
    let changes = names.items.iter().map(|(item, _)| (*item, location, at));
    stock::prefetch(tx, &[StockState::Supplier, StockState::Adjustment], changes)?;
    let mut known = Vec::new();
    let mut answers = Vec::new();
    for (position, line) in content.lines.iter().enumerate() {
        let item = names.items[position].0;
        let quantity = names.quantity(position, line.quantity);
        let moved = if stock::moves(tx, system, item, location)? {
            let mut moved = Quantity::ZERO;
            for (lot, quantity) in pieces(tx, item, quantity, line)? {
                let unit_cost = line.unit_cost.clone();
                let into = into.get(position).copied().unwrap_or(StockState::Available);
                let arrival = Arrival { system, item, location, lot, quantity, into, at, unit_cost };
                moved += arrive(tx, id, purchase.as_mut(), arrival)?;
            }
            moved
        } else {
            not_master(tx, system, item, location, quantity)?;
            Quantity::ZERO
        };
        let went = Went { item, location, quantity, moved, party: StockState::Supplier, at };
        let (kept, answer) = went.told(tx, position)?;
        known.push(kept);
        answers.push(answer);
    }
    if let (Some(id), Some(purchase)) = (id, purchase)
        && before.as_ref() != Some(&purchase)
    {
        tx.emit(Entry::Purchase(id, Box::new(purchase)))?;
    }
    Ok((Became::Receipt(known), None, answers))
}

/// The lots or pieces that a line names, with how much of each came; of no lot where the teller does not say.
pub(super) fn pieces(
    tx: &mut Tx<'_>,
    item: ItemId,
    quantity: Quantity,
    line: &ReceiptLine,
) -> Result<Vec<(LotId, Quantity)>, Stop> {
    if line.lot.is_none() && line.serials.is_none() && line.expires.is_none() {
        return Ok(vec![(LotId(0), quantity)]);
    }
    let (lot, expires, serials) = (line.lot.clone(), line.expires, line.serials.clone());
    let named = Line { lot, expires, serials, ..Line::new(tx.sku(item)?, quantity) };
    let pieces = lots::arriving(tx, &[(item, Cow::Owned(named))])?;
    Ok(pieces.into_iter().map(|piece| (piece.lot.unwrap_or_default(), piece.quantity)).collect())
}

/// What one line of a receipt tells.
struct Arrival {
    system: SystemId,
    item: ItemId,
    location: LocationId,
    lot: LotId,
    quantity: Quantity,
    into: StockState,
    at: Instant,
    unit_cost: Option<Money>,
}

/// Goods came in: for the lines of that item, those with something open first; beyond them all the same. Says how
/// much moved: not what another system has told before.
fn arrive(
    tx: &mut Tx<'_>,
    id: Option<PurchaseId>,
    purchase: Option<&mut Purchase>,
    arrival: Arrival,
) -> Result<Quantity, Stop> {
    let Arrival { system, item, location, lot, quantity, into, at, unit_cost } = arrival;
    let mut missing = quantity;
    let mut moved = Quantity::ZERO;
    if let (Some(id), Some(purchase)) = (id, purchase) {
        // Where an outside system is master nobody else's word has moved anything.
        let masters = system != SystemId::ONHAND && masters::master(tx, item, location)? == system;
        for line in purchase.lines.iter_mut().filter(|line| line.item == item && !masters) {
            let told_before = (line.received - line.told_by(system)).min(missing);
            if told_before.is_positive() {
                line.tell(system, told_before);
                missing -= told_before;
            }
        }
        let open: Vec<Quantity> = purchase.lines.iter().map(|line| purchase.open(line)).collect();
        let delivery = |quantity| Delivery {
            location,
            lot,
            quantity,
            into,
            at,
            teller: system,
            unit_cost: unit_cost.clone(),
        };
        for (line, open) in purchase.lines.iter_mut().zip(open).filter(|(line, _)| line.item == item) {
            let part = open.min(missing);
            if part.is_positive() {
                supply::deliver(tx, line, delivery(part))?;
                missing -= part;
                moved += part;
            }
        }
        if missing.is_positive() {
            let sku = tx.sku(item)?;
            let sentence = format!(
                "{missing} more of {sku} came for purchase order {id} than is expected of it. They are booked; \
                 amend the purchase order, or send them back."
            );
            tx.discrepancy(Found::new(Cause::MoreThanOrdered, sentence).stock(
                item,
                Some(location),
                missing,
            ))?;
            if let Some(line) = purchase.lines.iter_mut().find(|line| line.item == item) {
                supply::deliver(tx, line, delivery(missing))?;
                return Ok(moved + missing);
            }
        }
    }
    if missing.is_positive() {
        let change = by(item, location, missing, StockState::Supplier, at, "received");
        let seq = stock::put_in(tx, Change { lot, ..change }, into)?;
        if let Some(cost) = unit_cost {
            tx.emit(Entry::Cost(seq, cost))?;
        }
    }
    Ok(moved + missing)
}
