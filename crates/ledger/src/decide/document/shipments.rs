//! A shipment's document: goods left, for an order or for nobody says whom.

use crate::answer::{Invalid, LineAnswer};
use crate::command::ShipmentContent;
use crate::entry::Entry;
use crate::key::StockState;
use crate::model::{Became, Cause, KnownDocument, KnownLine, Order};
use crate::{Instant, ItemId, LocationId, LotId, OrderId, Quantity, SystemId};

use super::super::tx::{Found, Stop, Tx};
use super::super::{lots, masters, merge, order, stock};
use super::naming::find_or_add;
use super::{Names, by, not_master, parts, reclaim};

pub(super) type Applied = (Became, Option<OrderId>, Vec<LineAnswer>);

/// What came or left by a line of a document.
pub(super) struct Went {
    pub item: ItemId,
    pub location: LocationId,
    /// By its word.
    pub quantity: Quantity,
    /// What really moved: into the location (positive) or out of it.
    pub moved: Quantity,
    pub party: StockState,
    pub at: Instant,
}

impl Went {
    /// What is kept of the line, and what is answered.
    pub fn told(self, tx: &Tx<'_>, position: usize) -> Result<(KnownLine, LineAnswer), Stop> {
        let Self { item, location, quantity, moved, party, at } = self;
        let kept = KnownLine {
            line: position.to_string(),
            fingerprint: 0,
            item,
            location,
            moved,
            pieces: Vec::new(),
            short: Quantity::ZERO,
            balanced: Quantity::ZERO,
            told_at: tx.now,
            party,
            occurred_at: at,
        };
        let answer = LineAnswer::of(position.to_string(), tx.sku(item)?, quantity);
        Ok((kept, LineAnswer { shipped: moved.abs(), ..answer }))
    }
}

pub(super) fn apply_shipment(
    tx: &mut Tx<'_>,
    system: SystemId,
    content: &ShipmentContent,
    names: &Names,
) -> Result<Applied, Stop> {
    let at = tx.past("occurred_at", content.occurred_at)?;
    let location = tx.location_id(&content.location)?;
    let order = match &content.order {
        None => None,
        Some(name) => Some(order_of(tx, system, content.order_system.as_deref(), name)?),
    };
    let mut known = Vec::new();
    let mut answers = Vec::new();
    for (position, line) in content.lines.iter().enumerate() {
        let item = names.items[position].0;
        let quantity = names.quantity(position, line.quantity);
        let moved = if stock::moves(tx, system, item, location)? {
            leave(tx, system, order, (item, names.lots[position]), location, quantity, at)?
        } else {
            not_master(tx, system, item, location, quantity)?;
            Quantity::ZERO
        };
        let went = Went { item, location, quantity, moved: -moved, party: StockState::Customer, at };
        let (kept, answer) = went.told(tx, position)?;
        known.push(kept);
        answers.push(answer);
    }
    // What an order wants that nobody but shipments has told of grows with them.
    if let Some(order) = order
        && tx.order(order)?.version == 0
    {
        reclaim(tx, order)?;
    }
    Ok((Became::Shipment(known), None, answers))
}

/// The order that a shipment names; opened if nobody has told us of it.
fn order_of(tx: &mut Tx<'_>, teller: SystemId, owner: Option<&str>, name: &str) -> Result<OrderId, Stop> {
    let owner = owner.map_or(Ok(teller), |name| tx.system_id(name))?;
    match tx.known_document(owner, name)?.map(|known| known.became) {
        None => {}
        Some(Became::Order(order)) => return Ok(order),
        Some(
            Became::Lines(_)
            | Became::Shipment(_)
            | Became::Receipt(_)
            | Became::Arrived(_)
            | Became::Reply(_),
        ) => {
            let problem = format!("`{name}` is known as another document, not as an order");
            return Err(Invalid::Field { field: "order", problem }.into());
        }
    }
    let placed_at = tx.now;
    let order = tx.open_order(Order::new(owner, name.to_owned(), 0, placed_at));
    let known = KnownDocument {
        version: 0,
        fingerprint: 0,
        seq: order.0,
        became: Became::Order(order),
        balanced: Vec::new(),
        short_told: None,
    };
    tx.emit(Entry::Document(owner, name.to_owned(), Box::new(known)))?;
    Ok(order)
}

/// Goods of an order left: from its lines of that item as far as they go, and beyond them all the same. Says how much
/// moved: not what another system has told before.
fn leave(
    tx: &mut Tx<'_>,
    teller: SystemId,
    order: Option<OrderId>,
    (item, lot): (ItemId, LotId),
    location: LocationId,
    quantity: Quantity,
    at: Instant,
) -> Result<Quantity, Stop> {
    let mut missing = quantity;
    let mut moved = Quantity::ZERO;
    lots::must_be_in(tx, item, lot, location)?;
    if let Some(order) = order {
        merge::renew_lines(tx, order)?;
        order::want_promises(tx, order)?;
        let known = tx.order(order)?.clone();
        let lines = || (0..).zip(&known.lines).filter(|(_, line)| line.item == item);
        // Where an outside system is master nobody else's word has moved anything.
        let masters = teller != SystemId::ONHAND && masters::master(tx, item, location)? == teller;
        for (index, line) in lines().filter(|_| !masters) {
            let told_before = (line.shipped_total() - line.told_by(teller)).min(missing);
            if told_before.is_positive() {
                tx.edit_order(order)?.lines[index as usize].tell(teller, told_before);
                missing -= told_before;
            }
        }
        for (index, line) in lines() {
            let part = (line.wanted - line.shipped_total()).min(missing);
            if part.is_positive() {
                stock::ship_lot(tx, order, index, (location, lot), part, at)?;
                tx.edit_order(order)?.lines[index as usize].tell(teller, part);
                missing -= part;
                moved += part;
            }
        }
        if missing.is_positive() {
            let part = parts::Part { item, lot, location, quantity: missing, at };
            let (told_before, left) = parts::leave(tx, teller, masters, order, part)?;
            missing -= told_before + left;
            moved += left;
        }
        if missing.is_positive() && known.version == 0 {
            // Nobody has told what this order wants: at least what has left of it.
            let index = find_or_add(tx, order, "", item, None)?;
            let line = &mut tx.edit_order(order)?.lines[index as usize];
            line.wanted += missing;
            line.short += missing;
            line.tell(teller, missing);
            stock::ship_lot(tx, order, index, (location, lot), missing, at)?;
            return Ok(moved + missing);
        }
    }
    if missing.is_positive() {
        if let Some(order) = order {
            let (name, sku) = (tx.order(order)?.document.clone(), tx.sku(item)?);
            let sentence =
                format!("{missing} more of {sku} left for order {name} than it has. Check the shipment.");
            let found = Found::new(Cause::MoreThanOrdered, sentence).stock(item, Some(location), missing);
            tx.discrepancy(found)?;
        }
        let by = by(item, location, missing, StockState::Customer, at, "shipped");
        stock::take_out(tx, stock::Change { lot, ..by }, None)?;
    }
    Ok(moved + missing)
}
