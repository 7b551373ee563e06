//! A receipt's document for a transfer: goods that another system saw come in where a transfer goes.
//!
//! It is a state as every document is: a newer version moves the difference, and what it takes back is on its way again.
//! One delivery that several systems tell of comes in once. What came in has left: of what had not by our books as much
//! leaves now, in the order of law 2. What no line of the transfer explains is found where it came in, and said.

use std::collections::BTreeMap;

use crate::answer::{Invalid, LineAnswer};
use crate::command::ReceiptContent;
use crate::key::{CellKey, Key, StockState};
use crate::model::{Arrived, ArrivedPart, At, Balanced, Became, Holder, TransferLine};
use crate::state::Value;
use crate::{Instant, ItemId, LocationId, LotId, Quantity, SystemId, TransferId};

use super::super::stock::{self, Change};
use super::super::tx::{Move, Stop, Tx};
use super::super::{masters, merge, shift, transfer};
use super::balance::{self, brought};
use super::receipts::pieces;
use super::shipments::Applied;
use super::{Names, by, not_master};

const CORRECTED: &str = "corrected by a newer version";

/// The transfer that a receipt names. One that is not known yet is waited for.
pub(super) fn transfer_of(tx: &Tx<'_>, content: &ReceiptContent) -> Result<Option<TransferId>, Stop> {
    let Some(reference) = &content.transfer else { return Ok(None) };
    match tx.value(&Key::TransferReference(reference.clone()))? {
        Some(Value::TransferId(id)) => Ok(Some(*id)),
        _ => Err(Invalid::Unknown { kind: "transfer", id: format!("`{reference}`") }.into()),
    }
}

/// What of an item came in.
#[derive(Clone, Copy, Debug)]
struct Came {
    item: ItemId,
    /// Of which lot or serial; 0 where nobody says.
    lot: LotId,
    quantity: Quantity,
    location: LocationId,
    into: StockState,
    at: Instant,
    teller: SystemId,
}

/// `into` says in what state each line comes in: available where it says nothing.
pub(super) fn apply_arrival(
    tx: &mut Tx<'_>,
    system: SystemId,
    id: TransferId,
    content: &ReceiptContent,
    names: &Names,
    earlier: Option<&Arrived>,
    owed: &mut Vec<Balanced>,
    into: &[StockState],
) -> Result<Applied, Stop> {
    let location = tx.location_id(&content.location)?;
    let at = match (content.occurred_at, earlier) {
        (None, Some(earlier)) => earlier.occurred_at,
        (told, _) => tx.past("occurred_at", told)?,
    };
    prefetch(tx, id, location, at, names)?;
    let mut answers = Vec::new();
    let mut told = Vec::new();
    for (position, line) in content.lines.iter().enumerate() {
        let item = names.items[position].0;
        let quantity = names.quantity(position, line.quantity);
        answers.push(LineAnswer::of(position.to_string(), tx.sku(item)?, quantity));
        if stock::moves(tx, system, item, location)? {
            let pieces = pieces(tx, item, quantity, line)?.into_iter();
            told.extend(pieces.map(|(lot, quantity)| (position, ArrivedPart { item, lot, quantity })));
        } else {
            not_master(tx, system, item, location, quantity)?;
        }
    }
    // What was told before is not told again; what is told no more goes back first, so that it may come in elsewhere.
    let mut before = BTreeMap::<(ItemId, LotId), Quantity>::new();
    for part in earlier.into_iter().flat_map(|earlier| &earlier.parts) {
        *before.entry((merge::live(tx, part.item)?, part.lot)).or_default() += part.quantity;
    }
    let mut more = Vec::new();
    let is_here = earlier.is_none_or(|earlier| earlier.location == location);
    for (position, ArrivedPart { item, lot, quantity }) in &told {
        let known = before.get_mut(&(*item, *lot)).filter(|_| is_here);
        let same = known.map_or(Quantity::ZERO, |known| {
            let same = (*known).min(*quantity);
            *known -= same;
            same
        });
        let into = into.get(*position).copied().unwrap_or(StockState::Available);
        let quantity = *quantity - same;
        let came = Came { item: *item, lot: *lot, quantity, location, into, at, teller: system };
        more.push((*position, came));
    }
    for ((item, lot), quantity) in before {
        if let Some(earlier) = earlier.filter(|_| quantity.is_positive()) {
            let (location, at) = (earlier.location, earlier.occurred_at);
            let into = StockState::Available;
            take_back(tx, id, Came { item, lot, quantity, location, into, at, teller: system }, owed)?;
        }
    }
    for (position, came) in more {
        if came.quantity.is_positive() {
            let moved = arrive(tx, id, came)?;
            answers[position].shipped += moved;
            brought(tx, owed, (came.item, came.location, came.lot), moved)?;
        }
    }
    let transfer = tx.edit_transfer(id)?;
    transfer.state = transfer::state_after_arrival(transfer);
    let parts = told.into_iter().map(|(_, part)| part).collect();
    Ok((Became::Arrived(Box::new(Arrived { transfer: id, location, occurred_at: at, parts })), None, answers))
}

/// Fetches together what the lines of these items will read, and calls merged items what they are by now.
pub(super) fn prefetch(
    tx: &mut Tx<'_>,
    id: TransferId,
    location: LocationId,
    at: Instant,
    names: &Names,
) -> Result<(), Stop> {
    let known = transfer::load(tx, id)?;
    let is_meant = |line: &&TransferLine| names.items.iter().any(|(item, _)| *item == line.item);
    let lines = || (0..).zip(&known.lines).filter(|(_, line)| is_meant(line));
    tx.want_cells(lines().flat_map(|(_, line)| {
        let cell = |location, state| CellKey::of(line.item, location, line.lot, state);
        [
            cell(known.to, StockState::InTransit),
            cell(location, StockState::Available),
            cell(known.from, StockState::Available),
            cell(known.from, StockState::Reserved),
        ]
    }))?;
    tx.want(lines().map(|(index, line)| Key::Promise(line.item, known.from, id.0, index, line.lot)))?;
    let places =
        names.items.iter().flat_map(|(item, _)| [location, known.from].map(|place| (*item, place, at)));
    stock::prefetch(tx, &[StockState::Production, StockState::Adjustment], places)?;
    *tx.edit_transfer(id)? = known;
    Ok(())
}

/// The lines that goods may be of, in order.
fn lines_of(tx: &Tx<'_>, id: TransferId, came: &Came) -> Result<Vec<usize>, Stop> {
    let is_meant = |line: &TransferLine| line.item == came.item && (came.lot.0 == 0 || came.lot == line.lot);
    let lines = tx.transfer(id)?.lines.iter().enumerate();
    Ok(lines.filter(|(_, line)| is_meant(line)).map(|(position, _)| position).collect())
}

/// Goods came in; says how much of them moved now: not what another system told of before.
fn arrive(tx: &mut Tx<'_>, id: TransferId, came: Came) -> Result<Quantity, Stop> {
    let Came { item, lot, quantity, location, into, at, teller } = came;
    let lines = lines_of(tx, id, &came)?;
    let mut missing = quantity;
    // Where an outside system is master nobody else's word has moved anything.
    let masters = teller != SystemId::ONHAND && masters::master(tx, item, location)? == teller;
    for position in lines.iter().filter(|_| !masters) {
        let line = &mut tx.edit_transfer(id)?.lines[*position];
        let told_before = (line.came() - line.told_by(teller)).min(missing);
        if told_before.is_positive() {
            line.tell(teller, told_before);
            missing -= told_before;
        }
    }
    let moved = missing;
    for position in &lines {
        let (from, to) = (tx.transfer(id)?.to, (location, into));
        let line = &mut tx.edit_transfer(id)?.lines[*position];
        let part = line.in_transit().min(missing);
        if part.is_positive() {
            missing -= part;
            line.received += part;
            line.tell(teller, part);
            let step = Move {
                promise: None,
                item,
                lot: line.lot,
                from: (from, StockState::InTransit),
                to,
                quantity: part,
                occurred_at: at,
                reason: "received from a transfer",
                corrects: None,
            };
            shift::shift(tx, step)?;
        }
    }
    for position in &lines {
        let known = tx.transfer(id)?;
        let part = known.lines[*position].to_dispatch().min(missing);
        if part.is_positive() && known.state.is_open() && stock::moves(tx, teller, item, known.from)? {
            missing -= part;
            leave(tx, id, *position, Came { quantity: part, ..came })?;
        }
    }
    if missing.is_positive() {
        let from = tx.transfer(id)?.from;
        if let Some(position) = lines.first() {
            let line = &mut tx.edit_transfer(id)?.lines[*position];
            line.over += missing;
            line.tell(teller, missing);
        }
        let there = by(item, location, missing, StockState::Adjustment, at, "received beyond what was sent");
        transfer::exceed(tx, id, from, Change { lot, inside: false, ..there }, into)?;
    }
    Ok(moved)
}

/// What came in had left before, whatever our books say: from what is kept for it, then in the order of law 2.
fn leave(tx: &mut Tx<'_>, id: TransferId, position: usize, came: Came) -> Result<(), Stop> {
    let Came { item, quantity, location, into, at, teller, .. } = came;
    let from = tx.transfer(id)?.from;
    let transfer = tx.edit_transfer(id)?;
    transfer.dispatched_at = Some(transfer.dispatched_at.map_or(at, |first| first.min(at)));
    let line = &mut transfer.lines[position];
    let (lot, kept) = (line.lot, line.reserved.min(quantity));
    line.reserved -= kept;
    line.dispatched += quantity;
    line.received += quantity;
    line.tell(teller, quantity);
    let own = kept.is_positive().then(|| {
        let place = At { location: from, lot, quantity: kept };
        (Holder::Transfer(id), transfer::promised_line(position), vec![place])
    });
    let left = by(item, from, quantity, StockState::Production, at, "dispatched, as its receipt says");
    stock::take_out(tx, Change { lot, ..left }, own)?;
    let here = by(item, location, quantity, StockState::Production, at, "received from a transfer");
    stock::put_in(tx, Change { lot, inside: false, ..here }, into)?;
    Ok(())
}

/// So much of what was told did not come in after all: what nobody else tells of goes back on its way, what was found
/// is found no more.
fn take_back(tx: &mut Tx<'_>, id: TransferId, gone: Came, owed: &mut Vec<Balanced>) -> Result<(), Stop> {
    let Came { item, lot, quantity, location, at, teller, .. } = gone;
    let to = tx.transfer(id)?.to;
    let out = |quantity, party, lot| Change { lot, ..by(item, location, quantity, party, at, CORRECTED) };
    let mut found = quantity;
    for position in lines_of(tx, id, &gone)?.into_iter().rev() {
        let line = &mut tx.edit_transfer(id)?.lines[position];
        let told = line.told_by(teller).min(found);
        if !told.is_positive() {
            continue;
        }
        let others = line.told.iter().filter(|(other, _)| *other != teller).map(|(_, told)| *told);
        let others = others.max().unwrap_or_default();
        let back = told.min(line.came() - others);
        line.tell(teller, -told);
        line.told.retain(|(_, told)| !told.is_zero());
        let over = line.over.min(back);
        let received = back - over;
        line.over -= over;
        line.received -= received;
        let of = line.lot;
        found -= told;
        if over.is_positive() {
            balance::take_back(tx, owed, out(over, StockState::Adjustment, lot))?;
        }
        if received.is_positive() {
            balance::take_back(tx, owed, out(received, StockState::Production, of))?;
            let on_its_way = by(item, to, received, StockState::Production, at, CORRECTED);
            let on_its_way = Change { lot: of, inside: false, ..on_its_way };
            stock::put_in(tx, on_its_way, StockState::InTransit)?;
        }
    }
    if found.is_positive() {
        balance::take_back(tx, owed, out(found, StockState::Adjustment, lot))?;
    }
    Ok(())
}
