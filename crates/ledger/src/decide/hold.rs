//! Holds: reservations with an expiry.

use crate::answer::{Answer, Invalid, Refusal};
use crate::command::{ConvertHold, PlaceHold};
use crate::key::{CellKey, Key, StockState};
use crate::model::{At, Hold, HoldLine, HoldState, Holder, add_at};
use crate::{Due, HoldId, Instant, ItemId, OrderId, Quantity};

use super::tx::{Move, Stop, Tx};
use super::{item, merge, order, stock};

pub(super) fn place(tx: &mut Tx<'_>, place: &PlaceHold) -> Result<Answer, Stop> {
    let only = place.location.as_deref().map(|code| tx.location_id(code)).transpose()?;
    let lines = stock::resolve_lines(tx, "a hold", &place.lines)?;
    item::must_be_active(tx, lines.iter().map(|(item, _)| *item))?;
    if place.expires_at <= tx.now {
        let problem = format!("{} is not after now ({})", place.expires_at, tx.now);
        return Err(Invalid::Field { field: "expires_at", problem }.into());
    }
    order::must_sell(tx, only)?;
    order::must_be_available(tx, &lines, only)?;
    let hold = tx.open_hold(Hold {
        state: HoldState::Active,
        expires_at: place.expires_at,
        lines: lines
            .iter()
            .map(|(item, quantity)| HoldLine { item: *item, quantity: *quantity, reserved: Vec::new() })
            .collect(),
        order: None,
    });
    for (index, (item, quantity)) in (0..).zip(lines) {
        for (location, lot, _, part) in order::choose(tx, item, quantity, only, &[StockState::Available])? {
            tx.make(Move {
                item,
                lot,
                from: (location, StockState::Available),
                to: (location, StockState::Reserved),
                quantity: part,
                occurred_at: tx.now,
                reason: "held",
                promise: Some((Holder::Hold(hold), index)),
                corrects: None,
            })?;
            add_at(&mut tx.edit_hold(hold)?.lines[index as usize].reserved, location, lot, part);
        }
    }
    Ok(Answer::Hold(hold))
}

/// An active hold, or the refusal that says why it is none.
fn active(tx: &Tx<'_>, id: HoldId) -> Result<(), Stop> {
    let state = match tx.hold(id)?.state {
        HoldState::Active => return Ok(()),
        HoldState::Lapsed => "lapsed",
        HoldState::Released => "been released",
        HoldState::Converted => "become an order",
    };
    Err(Refusal::HoldEnded { hold: id, state: state.to_owned() }.into())
}

pub(super) fn release(tx: &mut Tx<'_>, id: HoldId) -> Result<Answer, Stop> {
    active(tx, id)?;
    let now = tx.now;
    end(tx, id, HoldState::Released, now, "hold released")?;
    Ok(Answer::Hold(id))
}

/// Fetches together what the holds that are due by now will read.
pub(super) fn want_due(tx: &Tx<'_>) -> Result<(), Stop> {
    let holds = |due| if let Due::Hold(hold) = due { Some(hold) } else { None };
    let due: Vec<HoldId> = tx.due().filter_map(holds).collect();
    tx.want(due.iter().map(|hold| Key::Hold(*hold)))?;
    let mut cells = Vec::new();
    let mut keys = Vec::new();
    for id in due {
        for (index, line) in (0..).zip(&tx.hold(id)?.lines) {
            keys.push(Key::Demand(line.item));
            for place in &line.reserved {
                keys.push(Key::Promise(line.item, place.location, id.0, index, place.lot));
                let cell =
                    |state| CellKey { lot: place.lot, ..CellKey::new(line.item, place.location, state) };
                cells.extend([cell(StockState::Available), cell(StockState::Reserved)]);
            }
        }
    }
    tx.want(keys)?;
    tx.want_cells(cells)
}

/// Its time has come: from `at` on it keeps nothing, whenever that is noticed.
pub(super) fn lapse(tx: &mut Tx<'_>, id: HoldId, at: Instant) -> Result<(), Stop> {
    tx.mark_passed(Due::Hold(id));
    end(tx, id, HoldState::Lapsed, at, "hold lapsed")
}

fn end(tx: &mut Tx<'_>, id: HoldId, state: HoldState, at: Instant, reason: &str) -> Result<(), Stop> {
    let kept: Vec<(u32, ItemId, Vec<At>)> = (0..)
        .zip(&tx.hold(id)?.lines)
        .map(|(index, line)| (index, line.item, line.reserved.clone()))
        .collect();
    for (index, item, places) in kept {
        for place in places {
            free(tx, id, index, item, place, at, reason)?;
        }
    }
    tx.edit_hold(id)?.state = state;
    tx.write_edits()
}

fn free(
    tx: &mut Tx<'_>,
    id: HoldId,
    line: u32,
    item: ItemId,
    place: At,
    at: Instant,
    reason: &str,
) -> Result<(), Stop> {
    let At { location, lot, quantity } = place;
    tx.make(Move {
        item,
        lot,
        from: (location, StockState::Reserved),
        to: (location, StockState::Available),
        quantity,
        occurred_at: at,
        reason,
        promise: Some((Holder::Hold(id), line)),
        corrects: None,
    })?;
    add_at(&mut tx.edit_hold(id)?.lines[line as usize].reserved, location, lot, -quantity);
    Ok(())
}

pub(super) fn convert(tx: &mut Tx<'_>, convert: &ConvertHold) -> Result<Answer, Stop> {
    let id = convert.hold;
    active(tx, id)?;
    let mut lines = tx.hold(id)?.lines.clone();
    tx.want(lines.iter().map(|line| Key::Item(line.item)))?;
    for line in &mut lines {
        line.item = merge::live(tx, line.item)?;
    }
    // A count may have found fewer than were held: the order is for what is still kept.
    let kept: Vec<(ItemId, Quantity, Vec<At>)> = lines
        .iter()
        .map(|line| (line.item, line.reserved.iter().map(|at| at.quantity).sum(), line.reserved.clone()))
        .collect();
    let wanted: Vec<(ItemId, Quantity)> = lines.iter().map(|line| (line.item, line.quantity)).collect();
    if wanted.is_empty() {
        return Err(Invalid::NoLines("a hold").into());
    }
    let order: OrderId = order::open(tx, convert.reference.as_deref(), &wanted)?;
    let now = tx.now;
    for (index, ((item, quantity, places), (_, asked))) in (0..).zip(kept.into_iter().zip(wanted)) {
        for place in places {
            free(tx, id, index, item, place, now, "hold became an order")?;
            commit(tx, order, index, item, place)?;
        }
        let more = order::allocate(tx, order, index, asked - quantity, None, false)?;
        tx.edit_order(order)?.lines[index as usize].short += asked - quantity - more;
    }
    let edited = tx.edit_hold(id)?;
    edited.state = HoldState::Converted;
    edited.order = Some(order);
    order::settle(tx)?;
    Ok(Answer::Order(order, order::line_answers(tx, order)?))
}

fn commit(
    tx: &mut Tx<'_>,
    order: OrderId,
    line: u32,
    item: ItemId,
    At { location, lot, quantity }: At,
) -> Result<(), Stop> {
    tx.make(Move {
        item,
        lot,
        from: (location, StockState::Available),
        to: (location, StockState::Committed),
        quantity,
        occurred_at: tx.now,
        reason: "hold became an order",
        promise: Some((Holder::Order(order), line)),
        corrects: None,
    })?;
    add_at(&mut tx.edit_order(order)?.lines[line as usize].allocated, location, lot, quantity);
    Ok(())
}
