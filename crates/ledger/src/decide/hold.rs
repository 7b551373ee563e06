//! Holds: reservations with an expiry.

use crate::answer::{Answer, HeldLine, Invalid, Refusal};
use crate::command::{ConvertHold, ExtendHold, LinePart, PlaceHold, ReleaseLines};
use crate::key::{CellKey, Key, StockState};
use crate::model::{At, Hold, HoldLine, HoldState, Holder, add_at};
use crate::{Due, HoldId, Instant, ItemId, OrderId, Quantity, SystemId};

use super::allocation::{self, Part, Taken};
use super::beyond;
use super::order;
use super::stock;
use super::tx::{Move, Stop, Tx};

pub(super) fn place(tx: &mut Tx<'_>, place: &PlaceHold) -> Result<Answer, Stop> {
    let only = place.location.as_deref().map(|code| tx.location_id(code)).transpose()?;
    let lines = stock::resolve_lines(tx, "a hold", &place.lines)?;
    check_expiry(tx, place.expires_at)?;
    order::must_sell(tx, only)?;
    let mut route = allocation::route_for(tx, SystemId::ONHAND, None, only)?;
    let partial = place.partial == Some(true);
    if !partial {
        beyond::must_be_had(tx, &lines, &mut route, only, false)?;
    }
    let divided = allocation::divide(tx, &route, &[], &lines, &[StockState::Available], Taken::new())?;
    if divided.iter().all(Vec::is_empty) {
        // A hold that keeps nothing is none.
        order::must_be_available(tx, &lines, &route.places, only)?;
    }
    let total = |parts: &[Part]| parts.iter().map(|(.., quantity)| *quantity).sum::<Quantity>();
    let hold = tx.open_hold(Hold {
        state: HoldState::Active,
        expires_at: place.expires_at,
        extended_from: None,
        lines: lines
            .iter()
            .zip(&divided)
            .map(|((item, _), parts)| HoldLine { item: *item, quantity: total(parts), reserved: Vec::new() })
            .collect(),
        order: None,
    });
    for (index, ((item, _), parts)) in (0..).zip(lines.iter().zip(divided)) {
        for (location, lot, _, part) in parts {
            tx.make(Move {
                item: *item,
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
    let asked: Vec<Quantity> = lines.iter().map(|(_, quantity)| *quantity).collect();
    answer(tx, hold, &asked)
}

/// What a hold keeps, line by line; `asked` says what was asked for, where that may be more than it shall keep.
fn answer(tx: &Tx<'_>, id: HoldId, asked: &[Quantity]) -> Result<Answer, Stop> {
    let known = tx.hold(id)?;
    let lines = known.lines.iter().enumerate().map(|(index, line)| {
        Ok(HeldLine {
            line: (index + 1).to_string(),
            sku: tx.sku(line.item)?,
            quantity: asked.get(index).copied().unwrap_or(line.quantity),
            kept: line.reserved.iter().map(|at| at.quantity).sum(),
        })
    });
    Ok(Answer::Hold(id, known.expires_at, lines.collect::<Result<_, Stop>>()?))
}

fn check_expiry(tx: &Tx<'_>, expires_at: Instant) -> Result<(), Stop> {
    if expires_at > tx.now {
        return Ok(());
    }
    let problem = format!("{expires_at} is not after now ({})", tx.now);
    Err(Invalid::Field { field: "expires_at", problem }.into())
}

pub(super) fn extend(tx: &mut Tx<'_>, extend: &ExtendHold) -> Result<Answer, Stop> {
    active(tx, extend.hold)?;
    check_expiry(tx, extend.expires_at)?;
    let edited = tx.edit_hold(extend.hold)?;
    if edited.expires_at != extend.expires_at {
        edited.extended_from = Some(edited.expires_at);
        edited.expires_at = extend.expires_at;
    }
    let items = edited.lines.iter().map(|line| Key::Item(line.item)).collect::<Vec<_>>();
    tx.want(items)?;
    answer(tx, extend.hold, &[])
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
    answer(tx, id, &[])
}

/// Lets some lines, or so much of them, go. What a line keeps beyond what it shall keep goes; a count may have found
/// fewer.
pub(super) fn release_lines(tx: &mut Tx<'_>, release: &ReleaseLines) -> Result<Answer, Stop> {
    let id = release.hold;
    active(tx, id)?;
    if release.lines.is_empty() {
        return Err(Invalid::NoLines("this").into());
    }
    let lines = tx.hold(id)?.lines.clone();
    tx.want(lines.iter().map(|line| Key::Item(line.item)))?;
    let mut chosen: Vec<(u32, Quantity)> = Vec::new();
    for LinePart { line: name, quantity } in &release.lines {
        let index = (0..).zip(&lines).find(|(index, _)| (index + 1_u32).to_string() == *name);
        let Some((index, line)) = index else {
            let id = format!("`{name}` in hold {id}");
            return Err(Invalid::Unknown { kind: "line", id }.into());
        };
        if chosen.iter().any(|(other, _)| *other == index) {
            return Err(Invalid::Twice { field: "line", value: name.clone() }.into());
        }
        let quantity = quantity.unwrap_or(line.quantity);
        tx.check_quantity(line.item, quantity)?;
        if quantity.is_negative() || (quantity.is_zero() && !line.quantity.is_zero()) {
            let sku = tx.sku(line.item)?;
            return Err(Invalid::NotPositive { field: "quantity", sku, quantity }.into());
        }
        if quantity > line.quantity {
            let (line, has, wanted) = (name.clone(), line.quantity, quantity);
            return Err(Refusal::HoldHasLess { hold: id, line, has, wanted }.into());
        }
        chosen.push((index, quantity));
    }
    let now = tx.now;
    for (index, quantity) in chosen {
        let line = &mut tx.edit_hold(id)?.lines[index as usize];
        line.quantity -= quantity;
        let (item, shall, places) = (line.item, line.quantity, line.reserved.clone());
        let mut more = places.iter().map(|at| at.quantity).sum::<Quantity>() - shall;
        for at in places.into_iter().rev() {
            let part = at.quantity.min(more);
            if part.is_positive() {
                free(tx, id, index, item, At { quantity: part, ..at }, now, "hold released")?;
                more -= part;
            }
        }
    }
    let edited = tx.edit_hold(id)?;
    if edited.lines.iter().all(|line| line.quantity.is_zero()) {
        edited.state = HoldState::Released;
    }
    order::settle(tx)?;
    answer(tx, id, &[])
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
    // A count may have found fewer than were held; a line that shall keep nothing is no line of the order.
    let lines: Vec<(u32, HoldLine)> =
        (0..).zip(tx.hold(id)?.lines.clone()).filter(|(_, line)| line.quantity.is_positive()).collect();
    let wanted: Vec<(ItemId, Quantity)> = lines.iter().map(|(_, line)| (line.item, line.quantity)).collect();
    if wanted.is_empty() {
        return Err(Invalid::NoLines("a hold").into());
    }
    let order: OrderId = order::open(tx, convert.reference.as_deref(), &wanted)?;
    let now = tx.now;
    for (index, (held, HoldLine { item, quantity, reserved })) in (0..).zip(lines) {
        let mut missing = quantity;
        for place in reserved {
            free(tx, id, held, item, place, now, "hold became an order")?;
            commit(tx, order, index, item, place)?;
            missing -= place.quantity;
        }
        let more = order::allocate(tx, order, index, missing, None, false)?;
        tx.edit_order(order)?.lines[index as usize].short += missing - more;
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
