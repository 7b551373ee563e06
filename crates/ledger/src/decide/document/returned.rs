//! What came in of a return that a master was told to expect: it is a return of its order, once. What comes back beyond what has left of the
//! order is booked all the same, and said.

use crate::command::FollowedContent;
use crate::entry::Entry;
use crate::key::StockState;
use crate::model::{Became, Cause, ExpectedReturn};
use crate::{Instant, ItemId, LocationId, LotId, OrderId, Quantity, ReturnId, SystemId};

use super::super::stock::{self, Change};
use super::super::tx::{Found, Stop, Tx};
use super::super::{merge, order, returns};
use super::shipments::{Applied, Went};
use super::{Names, by, not_master};

pub(super) fn apply_returned(
    tx: &mut Tx<'_>,
    system: SystemId,
    id: ReturnId,
    content: &FollowedContent,
    names: &Names,
) -> Result<Applied, Stop> {
    let location = tx.location_id(&content.location)?;
    let at = tx.past("occurred_at", content.occurred_at)?;
    let mut expected = returns::load(tx, id)?;
    merge::renew_lines(tx, expected.order)?;
    for line in &mut expected.lines {
        line.item = merge::live(tx, line.item)?;
    }
    let (mut known, mut answers) = (Vec::new(), Vec::new());
    for (position, line) in content.lines.iter().enumerate() {
        let item = names.items[position].0;
        let quantity = names.quantity(position, line.quantity);
        let moved = if stock::moves(tx, system, item, location)? {
            let lot = Some(names.lots[position]).filter(|lot| lot.0 != 0);
            let into = line.into.unwrap_or(expected.into);
            come(tx, id, &mut expected, Came { item, lot, quantity, location, into, at })?;
            quantity
        } else {
            not_master(tx, system, item, location, quantity)?;
            Quantity::ZERO
        };
        let went = Went { item, location, quantity, moved, party: StockState::Customer, at };
        let (kept, answer) = went.told(tx, position)?;
        known.push(kept);
        answers.push(answer);
    }
    tx.emit(Entry::Return(id, Box::new(expected)))?;
    Ok((Became::Receipt(known), None, answers))
}

struct Came {
    item: ItemId,
    lot: Option<LotId>,
    quantity: Quantity,
    location: LocationId,
    into: StockState,
    at: Instant,
}

/// Goods came back: for the lines that are expected first.
fn come(tx: &mut Tx<'_>, id: ReturnId, expected: &mut ExpectedReturn, came: Came) -> Result<(), Stop> {
    let Came { item, lot, quantity, location, into, at } = came;
    let mut missing = quantity;
    for position in 0..expected.lines.len() {
        let line = &expected.lines[position];
        let Some(index) = index_of(tx, expected.order, &line.line)?.filter(|_| line.item == item) else {
            continue;
        };
        let known = &tx.order(expected.order)?.lines[index as usize];
        let part = expected.open(line).min(known.shipped_total() - known.returned).min(missing);
        if part.is_positive() {
            order::come_back(tx, expected.order, index, part, lot, Some(location), into, at)?;
            expected.lines[position].came += part;
            missing -= part;
        }
    }
    if missing.is_positive() {
        let sku = tx.sku(item)?;
        let sentence = format!(
            "{missing} more of {sku} came back by return {id} than is expected of it, or has left and is not back. They are booked \
             as returned by nobody we know; check the return."
        );
        tx.discrepancy(Found::new(Cause::MoreThanOrdered, sentence).stock(item, Some(location), missing))?;
        let back = by(item, location, missing, StockState::Customer, at, "returned");
        stock::put_in(tx, Change { lot: lot.unwrap_or_default(), inside: false, ..back }, into)?;
        if let Some(line) = expected.lines.iter_mut().find(|line| line.item == item) {
            line.came += missing;
        }
    }
    Ok(())
}

fn index_of(tx: &Tx<'_>, order: OrderId, line: &str) -> Result<Option<u32>, Stop> {
    let found = (0..).zip(&tx.order(order)?.lines).find(|(_, known)| known.line == line);
    Ok(found.map(|(index, _)| index))
}
