//! Holds: reservations with an expiry.

use crate::answer::{Answer, Invalid, Refusal};
use crate::command::{ConvertHold, PlaceHold};
use crate::key::{CellKey, Key, StockState};
use crate::model::{Build, Hold, HoldLine, HoldState, Holder};
use crate::{Due, HoldId, Instant, OrderId, Quantity};

use super::order;
use super::promise;
use super::stock::{self, Resolved};
use super::tx::{Stop, Tx};

pub(super) fn place(tx: &mut Tx<'_>, place: &PlaceHold) -> Result<Answer, Stop> {
    let only = place.location.as_deref().map(|code| tx.location_id(code)).transpose()?;
    let lines = stock::resolve_lines(tx, "a hold", &place.lines)?;
    if place.expires_at <= tx.now {
        let problem = format!("{} is not after now ({})", place.expires_at, tx.now);
        return Err(Invalid::Field { field: "expires_at", problem }.into());
    }
    order::must_sell(tx, only)?;
    order::must_be_available(tx, &lines, only)?;
    let mut kept = Vec::with_capacity(lines.len());
    for line in &lines {
        let build = Build { recipe: promise::recipe(tx, line.item)?, ..Build::default() };
        let Resolved { item, quantity, lot } = *line;
        kept.push(HoldLine { item, quantity, reserved: Vec::new(), lot, build });
    }
    let hold = tx.open_hold(Hold {
        state: HoldState::Active,
        expires_at: place.expires_at,
        lines: kept,
        order: None,
    });
    for (index, line) in order::kits_first(tx, &lines)? {
        let holder = Holder::Hold(hold);
        let passes: &[&[StockState]] = &[&[StockState::Available]];
        let promised = order::promise_up_to(tx, holder, index, line.quantity, only, passes, "held")?;
        order::must_be_whole(tx, &line, promised, only)?;
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
    let lines = tx.hold(id)?.lines.clone();
    let wanted: Vec<Resolved> = lines
        .iter()
        .map(|line| Resolved { item: line.item, lot: line.lot, quantity: line.quantity })
        .collect();
    if wanted.is_empty() {
        return Err(Invalid::NoLines("a hold").into());
    }
    let order: OrderId = order::open(tx, convert.reference.as_deref(), &wanted)?;
    for (index, line) in (0..).zip(&lines) {
        // A count may have found fewer than were held: what is still kept goes over, the rest is allocated if it can be.
        promise::hand_over(tx, id, order, index, "hold became an order")?;
        let kept: Quantity = line.reserved.iter().chain(&line.build.built).map(|at| at.quantity).sum();
        let more = order::allocate(tx, order, index, line.quantity - kept, None, false)?;
        tx.edit_order(order)?.lines[index as usize].short += line.quantity - kept - more;
    }
    let edited = tx.edit_hold(id)?;
    edited.state = HoldState::Converted;
    edited.order = Some(order);
    order::settle(tx)?;
    Ok(Answer::Order(order, order::line_answers(tx, order)?))
}
