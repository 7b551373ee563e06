//! Holds: reservations with an expiry.

use crate::answer::{Answer, HeldLine, Invalid, Refusal};
use crate::command::{ConvertHold, ExtendHold, LinePart, PlaceHold, ReleaseLines};
use crate::key::{CellKey, Key, StockState};
use crate::model::{Build, Hold, HoldLine, HoldState, Holder};
use crate::{Due, HoldId, Instant, OrderId, Quantity, SystemId};

use super::stock::{self, Resolved};
use super::tx::{Stop, Tx};
use super::{allocation, beyond, item, lines, merge, order, promise};

pub(super) fn place(tx: &mut Tx<'_>, place: &PlaceHold) -> Result<Answer, Stop> {
    let only = place.location.as_deref().map(|code| tx.location_id(code)).transpose()?;
    let lines = stock::resolve_lines(tx, "a hold", &place.lines)?;
    item::must_be_active(tx, lines.iter().map(|line| line.item))?;
    check_expiry(tx, place.expires_at)?;
    order::must_sell(tx, only)?;
    let partial = place.partial == Some(true);
    let mut route = allocation::route_for(tx, SystemId::ONHAND, None, only)?;
    if !partial {
        beyond::must_be_had(tx, &lines, &mut route, only, false)?;
    }
    let mut kept = Vec::with_capacity(lines.len());
    for line in &lines {
        let build = Build { recipe: promise::recipe(tx, line.item)?, ..Build::default() };
        let Resolved { item, quantity, lot } = *line;
        kept.push(HoldLine { item, quantity, reserved: Vec::new(), lot, build });
    }
    let hold = tx.open_hold(Hold {
        state: HoldState::Active,
        expires_at: place.expires_at,
        extended_from: None,
        lines: kept,
        order: None,
    });
    let kits_first = order::kits_first(tx, &lines)?;
    // Where a part would do the first line comes first.
    let ordered: Vec<(u32, Resolved)> =
        if partial { (0..).zip(lines.iter().copied()).collect() } else { kits_first };
    let wanted: Vec<(u32, Quantity)> = ordered.iter().map(|(index, line)| (*index, line.quantity)).collect();
    let passes: &[&[StockState]] = &[&[StockState::Available]];
    let promised = allocation::promise(tx, Holder::Hold(hold), &wanted, &route, Vec::new(), passes, "held")?;
    if promised.iter().all(|promised| promised.is_zero()) {
        // A hold that keeps nothing is none.
        order::must_be_available(tx, &lines, &route.places, only)?;
        order::must_be_whole(tx, &lines[0], Quantity::ZERO, &route.places, only)?;
    }
    for ((index, line), promised) in ordered.into_iter().zip(promised) {
        if partial {
            tx.edit_hold(hold)?.lines[index as usize].quantity = promised;
        } else {
            order::must_be_whole(tx, &line, promised, &route.places, only)?;
        }
    }
    let asked: Vec<Quantity> = lines.iter().map(|line| line.quantity).collect();
    answer(tx, hold, &asked)
}

/// What a hold keeps, line by line; `asked` says what was asked for, where that may be more than it shall keep.
fn answer(tx: &Tx<'_>, id: HoldId, asked: &[Quantity]) -> Result<Answer, Stop> {
    let known = tx.hold(id)?;
    tx.want(known.lines.iter().map(|line| Key::Item(line.item)))?;
    let lines = known.lines.iter().enumerate().map(|(index, line)| {
        Ok(HeldLine {
            line: (index + 1).to_string(),
            sku: tx.sku(line.item)?,
            quantity: asked.get(index).copied().unwrap_or(line.quantity),
            kept: line.kept(),
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

/// Lets some lines, or so much of them, go. A count may have found fewer than a line shall keep.
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
            let known: Vec<String> = (1..=lines.len()).map(|index| index.to_string()).collect();
            let known = known.iter().map(String::as_str);
            return Err(lines::unknown(&format!("hold {id}"), name, known).into());
        };
        if chosen.iter().any(|(other, _)| *other == index) {
            return Err(Invalid::Twice { field: "line", value: name.clone() }.into());
        }
        let quantity = match quantity {
            None => line.quantity,
            Some(quantity) if quantity.is_positive() => *quantity,
            Some(quantity) => {
                let (sku, quantity) = (tx.sku(line.item)?, *quantity);
                return Err(Invalid::NotPositive { field: "quantity", sku, quantity }.into());
            }
        };
        tx.check_quantity(line.item, quantity)?;
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
        let more = line.kept() - line.quantity;
        if more.is_positive() {
            promise::give_back(tx, Holder::Hold(id), index, more, now, "hold released")?;
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
            let own = line.reserved.iter().map(|at| (line.item, at.location, at.lot));
            let components = line.build.components.iter().map(|at| (at.item, at.location, at.lot));
            for (item, location, lot) in own.chain(components) {
                keys.extend([Key::Demand(item), Key::Promise(item, location, id.0, index, lot)]);
                let cell = |state| CellKey::of(item, location, lot, state);
                cells.extend([cell(StockState::Available), cell(StockState::Reserved)]);
            }
        }
    }
    tx.want(keys)?;
    tx.want_cells(cells)
}

/// Its time has come: from `at` on it keeps nothing, whenever that is noticed.
pub(super) fn lapse(tx: &mut Tx<'_>, id: HoldId, at: Instant) -> Result<(), Stop> {
    let known = tx.hold(id)?;
    if known.state != HoldState::Active || known.expires_at != at {
        tx.mark_averted(Due::Hold(id));
        return Ok(());
    }
    tx.mark_passed(Due::Hold(id));
    end(tx, id, HoldState::Lapsed, at, "hold lapsed")
}

fn end(tx: &mut Tx<'_>, id: HoldId, state: HoldState, at: Instant, reason: &str) -> Result<(), Stop> {
    let lines = u32::try_from(tx.hold(id)?.lines.len()).expect("holds have fewer than 2^32 lines");
    for line in 0..lines {
        promise::give_back_all(tx, Holder::Hold(id), line, at, reason)?;
    }
    tx.edit_hold(id)?.state = state;
    tx.write_edits()
}

pub(super) fn convert(tx: &mut Tx<'_>, convert: &ConvertHold) -> Result<Answer, Stop> {
    let id = convert.hold;
    active(tx, id)?;
    // A line that shall keep nothing is no line of the order.
    let lines: Vec<(u32, HoldLine)> =
        (0..).zip(tx.hold(id)?.lines.clone()).filter(|(_, line)| line.quantity.is_positive()).collect();
    tx.want(lines.iter().map(|(_, line)| Key::Item(line.item)))?;
    let wanted: Vec<Resolved> = lines
        .iter()
        .map(|(_, line)| {
            // A line that keeps nothing any more may be of an item that was merged meanwhile.
            Ok(Resolved { item: merge::live(tx, line.item)?, lot: line.lot, quantity: line.quantity })
        })
        .collect::<Result<_, Stop>>()?;
    if wanted.is_empty() {
        return Err(Invalid::NoLines("a hold").into());
    }
    let order: OrderId = order::open(tx, convert.reference.as_deref(), &wanted)?;
    for (index, (held, line)) in (0..).zip(&lines) {
        // A count may have found fewer than were held: what is still kept goes over, the rest is allocated if it can be.
        promise::hand_over(tx, (id, *held), (order, index), "hold became an order")?;
        let missing = line.quantity - line.kept();
        let more = order::allocate(tx, order, index, missing, None, false)?;
        tx.edit_order(order)?.lines[index as usize].short += missing - more;
    }
    let edited = tx.edit_hold(id)?;
    edited.state = HoldState::Converted;
    edited.order = Some(order);
    order::settle(tx)?;
    Ok(Answer::Order(order, order::line_answers(tx, order)?))
}
