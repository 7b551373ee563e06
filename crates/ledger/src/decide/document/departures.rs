//! What left of a transfer, by the word of the master of where it leaves from: it is on its way. What was kept for it there leaves first, then
//! in the order of law 2. What leaves beyond what the transfer wants is on its way all the same, and said.

use crate::command::FollowedContent;
use crate::key::StockState;
use crate::model::{At, Became, Cause, Holder, TransferLine};
use crate::{Instant, ItemId, LotId, Quantity, SystemId, TransferId};

use super::super::stock::{self, Change};
use super::super::transfer;
use super::super::tx::{Found, Stop, Tx};
use super::arrivals::prefetch;
use super::shipments::{Applied, Went};
use super::{Names, by, not_master};

pub(super) fn apply_departure(
    tx: &mut Tx<'_>,
    system: SystemId,
    id: TransferId,
    content: &FollowedContent,
    names: &Names,
) -> Result<Applied, Stop> {
    let location = tx.location_id(&content.location)?;
    let at = tx.past("occurred_at", content.occurred_at)?;
    prefetch(tx, id, location, at, names)?;
    let (mut known, mut answers) = (Vec::new(), Vec::new());
    for (position, line) in content.lines.iter().enumerate() {
        let (item, lot) = (names.items[position].0, names.lots[position]);
        let quantity = names.quantity(position, line.quantity);
        let moved = if stock::moves(tx, system, item, location)? {
            depart(tx, id, (item, lot), quantity, at)?;
            quantity
        } else {
            not_master(tx, system, item, location, quantity)?;
            Quantity::ZERO
        };
        let went = Went { item, location, quantity, moved: -moved, party: StockState::Production, at };
        let (kept, answer) = went.told(tx, position)?;
        known.push(kept);
        answers.push(answer);
    }
    let transfer = tx.edit_transfer(id)?;
    transfer.state = transfer::state_after_arrival(transfer);
    Ok((Became::Shipment(known), None, answers))
}

/// Goods of an item left: those of lines that want some first.
fn depart(
    tx: &mut Tx<'_>,
    id: TransferId,
    (item, lot): (ItemId, LotId),
    quantity: Quantity,
    at: Instant,
) -> Result<(), Stop> {
    let known = tx.transfer(id)?.clone();
    let is_meant = |line: &TransferLine| line.item == item && (lot.0 == 0 || lot == line.lot);
    let lines: Vec<usize> =
        (0..known.lines.len()).filter(|position| is_meant(&known.lines[*position])).collect();
    let mut missing = quantity;
    for position in &lines {
        let part = known.lines[*position].to_dispatch().min(missing);
        if part.is_positive() && known.state.is_open() {
            missing -= part;
            leave(tx, id, *position, part, at)?;
        }
    }
    let Some(first) = lines.first().filter(|_| missing.is_positive()) else { return Ok(()) };
    let (sku, code) = (tx.sku(item)?, tx.location_code(known.from)?);
    let sentence = format!(
        "{missing} more of {sku} left {code} for transfer {id} than it wants. They are on their way all the same: receive them, or \
         what of them came back."
    );
    tx.discrepancy(Found::new(Cause::MoreThanOrdered, sentence).stock(item, Some(known.from), missing))?;
    let line = &mut tx.edit_transfer(id)?.lines[*first];
    line.wanted = line.wanted.max(line.dispatched + missing);
    leave(tx, id, *first, missing, at)
}

/// So much of a line leaves: what is kept for it first.
fn leave(
    tx: &mut Tx<'_>,
    id: TransferId,
    position: usize,
    quantity: Quantity,
    at: Instant,
) -> Result<(), Stop> {
    let transfer = tx.edit_transfer(id)?;
    transfer.dispatched_at = Some(transfer.dispatched_at.map_or(at, |first| first.min(at)));
    let (from, to) = (transfer.from, transfer.to);
    let line = &mut transfer.lines[position];
    let (item, lot, kept) = (line.item, line.lot, line.reserved.min(quantity));
    line.reserved -= kept;
    line.dispatched += quantity;
    let own = kept.is_positive().then(|| {
        let place = At { location: from, lot, quantity: kept };
        (Holder::Transfer(id), transfer::promised_line(position), vec![place])
    });
    let left = by(item, from, quantity, StockState::Production, at, "dispatched");
    stock::take_out(tx, Change { lot, ..left }, own)?;
    let on_its_way = by(item, to, quantity, StockState::Production, at, "dispatched");
    stock::put_in(tx, Change { lot, inside: false, ..on_its_way }, StockState::InTransit)?;
    Ok(())
}
