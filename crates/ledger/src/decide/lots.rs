//! Lots and serials: which of an item's stock is meant, when it may no longer be sold, and what happens then.
//!
//! A lot is sellable as long as now is before the end of its last day where it lies, and nobody called it back: that is a
//! function of now and changes no cell. What was promised of it by then becomes `quality_control`, and its orders are
//! served from other lots or are short.

use std::collections::BTreeSet;

use crate::answer::{Answer, Invalid, Refusal};
use crate::command::{Line, PutLot, check_name};
use crate::entry::Entry;
use crate::key::{CellKey, Due, Key, StockState};
use crate::model::{Lot, Tracking};
use crate::{Instant, ItemId, LocationId, LotId, Quantity};

use super::order;
use super::promise;
use super::stock::{self, Change, Named, Resolved};
use super::tx::{Move, Stop, Tx};

/// Lines with the lots they name, each piece with a serial number by itself. What is named must be known.
pub(super) fn named(tx: &Tx<'_>, lines: &[Named<'_>]) -> Result<Vec<Resolved>, Stop> {
    check(tx, lines)?;
    let mut resolved = Vec::with_capacity(lines.len());
    for (item, line) in lines {
        let item = *item;
        let sign = if line.quantity.is_negative() { -1 } else { 1 };
        let known = |code: &str| known(tx, item, code);
        match (&line.serials, &line.lot) {
            (Some(serials), _) => {
                for serial in serials {
                    let (lot, quantity) = (Some(known(serial)?), Quantity::units(sign));
                    resolved.push(Resolved { item, lot, quantity });
                }
            }
            (None, Some(code)) => {
                resolved.push(Resolved { item, lot: Some(known(code)?), quantity: line.quantity });
            }
            (None, None) => resolved.push(Resolved { item, lot: None, quantity: line.quantity }),
        }
    }
    Ok(resolved)
}

/// As [`named`], of goods that come in (or are counted): what is tracked must be named, and what is named for the first
/// time comes to be.
pub(super) fn arriving(tx: &mut Tx<'_>, lines: &[Named<'_>]) -> Result<Vec<Resolved>, Stop> {
    arriving_at(tx, lines, false)
}

fn arriving_at(tx: &mut Tx<'_>, lines: &[Named<'_>], is_count: bool) -> Result<Vec<Resolved>, Stop> {
    check(tx, lines)?;
    let mut resolved = Vec::with_capacity(lines.len());
    for (item, line) in lines {
        let item = *item;
        let tracking = tx.item(item)?.tracking;
        let (codes, each): (&[String], Quantity) = match (tracking, &line.lot, &line.serials) {
            (Tracking::None, ..) => {
                resolved.push(Resolved { item, lot: None, quantity: line.quantity });
                continue;
            }
            (Tracking::Lots, Some(code), _) => (std::slice::from_ref(code), line.quantity),
            (Tracking::Serials, Some(code), None) if is_count && line.quantity.is_zero() => {
                (std::slice::from_ref(code), Quantity::ZERO)
            }
            (Tracking::Serials, _, Some(serials)) => {
                let sign = if line.quantity.is_negative() { -1 } else { 1 };
                (serials, Quantity::units(sign))
            }
            (_, None, None) if may_be_unnamed(tx, item, line, is_count)? => {
                resolved.push(Resolved { item, lot: None, quantity: line.quantity });
                continue;
            }
            _ => return Err(unnamed(tx, item)?),
        };
        let of = match (&line.lot, tracking) {
            (Some(code), Tracking::Serials) if line.serials.is_some() => {
                Some(find_or_make(tx, item, line, code, None, Some(false))?)
            }
            _ => None,
        };
        let is_piece = (tracking == Tracking::Serials && line.serials.is_some()).then_some(true);
        for code in codes {
            let lot = find_or_make(tx, item, line, code, of, is_piece)?;
            resolved.push(Resolved { item, lot: Some(lot), quantity: each });
        }
    }
    Ok(resolved)
}

/// As [`arriving`], of what was counted: a lot or a piece that was seen comes to be, whether it is somewhere else or not.
/// A serial that is counted as none is named with a quantity of 0 and the serial as its lot.
pub(super) fn counted(tx: &mut Tx<'_>, lines: &[Named<'_>]) -> Result<Vec<Resolved>, Stop> {
    arriving_at(tx, lines, true)
}

/// What can be said of the lots and serials of lines before any is looked up; fetches them together.
fn check(tx: &Tx<'_>, lines: &[Named<'_>]) -> Result<(), Stop> {
    let mut keys = Vec::new();
    let mut seen = BTreeSet::new();
    for (item, line) in lines {
        let known = tx.item(*item)?;
        let field = |field, problem| Err(Invalid::Field { field, problem }.into());
        let sku = &line.sku;
        match known.tracking {
            Tracking::None if line.lot.is_some() || line.serials.is_some() || line.expires.is_some() => {
                return field("lot", format!("`{sku}` is not tracked by lots or serials; leave them out"));
            }
            Tracking::Lots if line.serials.is_some() => {
                return field("serials", format!("`{sku}` is tracked by lots, not by serials; name its lot"));
            }
            _ => {}
        }
        if let Some(code) = &line.lot {
            check_name("lot", code, 100)?;
            keys.push(Key::LotCode(*item, code.clone()));
        }
        if let Some(serials) = &line.serials {
            let count = Quantity::units(i64::try_from(serials.len()).unwrap_or(i64::MAX / 1_000_000));
            if line.quantity.abs() != count {
                let quantity = line.quantity;
                let problem = format!("{} serials for a quantity of {quantity} of `{sku}`", serials.len());
                return field("serials", problem);
            }
            for serial in serials {
                check_name("serials", serial, 100)?;
                if !seen.insert((*item, serial)) {
                    return Err(Invalid::Twice { field: "serials", value: serial.clone() }.into());
                }
                keys.push(Key::LotCode(*item, serial.clone()));
            }
        }
    }
    tx.want(keys)
}

/// The lot or serial of a name, which must be known.
pub(super) fn known(tx: &Tx<'_>, item: ItemId, code: &str) -> Result<LotId, Stop> {
    match tx.lot_id(item, code)? {
        Some(lot) => Ok(lot),
        None => Err(Invalid::UnknownLot { sku: tx.sku(item)?, lot: code.to_owned() }.into()),
    }
}

/// Where some of a lot lies: at one of these places, or else the first there is; refused where it is nowhere.
pub(super) fn lies(
    tx: &Tx<'_>,
    item: ItemId,
    lot: LotId,
    places: impl Iterator<Item = LocationId>,
) -> Result<LocationId, Stop> {
    let stocked = tx.stocked(item)?;
    let there: Vec<LocationId> =
        stocked.iter().filter(|(cell, _)| cell.lot == lot).map(|(cell, _)| cell.location).collect();
    let first = places.into_iter().find(|place| there.contains(place)).or(there.first().copied());
    first.ok_or_else(|| {
        let problem = "is nowhere in stock by our books; count it where it is first".to_owned();
        Invalid::Field { field: "lot", problem }.into()
    })
}

/// May a line mean what lies without a name? A document may have brought goods of a tracked item and not have said of which
/// lot; where there are such, they are counted, and taken out, as what they are.
fn may_be_unnamed(tx: &Tx<'_>, item: ItemId, line: &Line, is_count: bool) -> Result<bool, Stop> {
    let is_asked = line.expires.is_none() && (is_count || line.quantity.is_negative());
    Ok(is_asked && has_unnamed(tx, item)?)
}

/// Does anything of a tracked item lie anywhere without a name?
pub(super) fn has_unnamed(tx: &Tx<'_>, item: ItemId) -> Result<bool, Stop> {
    Ok(tx.stocked(item)?.iter().any(|(cell, _)| cell.lot.0 == 0))
}

/// Refuses a line that does not say which of a tracked item is meant; where some of it lies without a name, that is meant.
pub(super) fn must_be_named(tx: &Tx<'_>, line: &Resolved) -> Result<(), Stop> {
    if line.lot.is_some() || tx.item(line.item)?.tracking == Tracking::None || has_unnamed(tx, line.item)? {
        return Ok(());
    }
    Err(unnamed(tx, line.item)?)
}

fn unnamed(tx: &Tx<'_>, item: ItemId) -> Result<Stop, Stop> {
    let known = tx.item(item)?;
    let (field, by) = match known.tracking {
        Tracking::Serials => ("serials", "serials: name each piece"),
        Tracking::None | Tracking::Lots => ("lot", "lots: name one"),
    };
    let problem = format!("`{}` is tracked by {by}", known.sku);
    Ok(Invalid::Field { field, problem }.into())
}

fn find_or_make(
    tx: &mut Tx<'_>,
    item: ItemId,
    line: &Line,
    code: &str,
    of: Option<LotId>,
    is_piece: Option<bool>,
) -> Result<LotId, Stop> {
    let Some(id) = tx.lot_id(item, code)? else {
        if let Some(of) = of {
            must_be_a_lot(tx, of, &line.sku)?;
        }
        // A piece of a lot ends with it.
        let expires = if of.is_some() { None } else { line.expires };
        let id = LotId(tx.next_seq());
        let code = code.to_owned();
        let lot = Lot { item, code, expires, recalled: false, recalled_at: None, of, is_piece };
        tx.emit(Entry::Lot(id, Box::new(lot)))?;
        return Ok(id);
    };
    if let Some(of) = of {
        must_be_of(tx, id, of, &line.sku)?;
    }
    let mut known = tx.lot(id)?.clone();
    if let Some(is_piece) = is_piece {
        must_be_such(&known, is_piece, &line.sku)?;
        if known.is_piece.is_none() {
            known.is_piece = Some(is_piece);
            change(tx, id, known.clone())?;
        }
    }
    match (line.expires, tx.lot_in_effect(id)?.expires) {
        (Some(told), Some(day)) if told != day => {
            let problem = format!(
                "`{code}` of `{}` expires on {day} by our books, not {told}; change the lot first",
                line.sku
            );
            return Err(Invalid::Field { field: "expires", problem }.into());
        }
        (Some(told), None) => change(tx, id, Lot { expires: Some(told), ..known })?,
        _ => {}
    }
    Ok(id)
}

/// Pieces are of a lot, and not of one another.
fn must_be_a_lot(tx: &Tx<'_>, of: LotId, sku: &str) -> Result<(), Stop> {
    must_be_such(tx.lot(of)?, false, sku)
}

/// What is a piece is no lot, and what pieces are of is no piece.
fn must_be_such(lot: &Lot, is_piece: bool, sku: &str) -> Result<(), Stop> {
    let is_one = lot.of.is_some() || lot.is_piece == Some(true);
    let code = &lot.code;
    let (field, problem) = if is_one && !is_piece {
        ("lot", format!("`{code}` of `{sku}` is a piece, not a lot; name the lot that the pieces are of"))
    } else if is_piece && lot.is_piece == Some(false) {
        ("serials", format!("`{code}` of `{sku}` is a lot, not a piece; name each piece by its own serial"))
    } else {
        return Ok(());
    };
    Err(Invalid::Field { field, problem }.into())
}

/// A piece is of one lot for good; of one that is told later, where none was told before.
fn must_be_of(tx: &mut Tx<'_>, piece: LotId, of: LotId, sku: &str) -> Result<(), Stop> {
    let (known, lot) = (tx.lot(piece)?.clone(), tx.lot(of)?.clone());
    let problem = match known.of {
        Some(known) if known == of => return Ok(()),
        Some(other) => {
            let other = &tx.lot(other)?.code;
            format!("`{}` of `{sku}` is of the lot `{other}` by our books, not of `{}`", known.code, lot.code)
        }
        None if piece == of || lot.of.is_some() || lot.is_piece == Some(true) => {
            format!("`{}` of `{sku}` is a piece, not a lot; name the lot that the pieces are of", lot.code)
        }
        None => return change(tx, piece, Lot { of: Some(of), ..known }),
    };
    Err(Invalid::Field { field: "lot", problem }.into())
}

/// A piece is in one place: it does not come in while it is somewhere.
fn must_be_nowhere(tx: &Tx<'_>, item: ItemId, lot: LotId) -> Result<(), Stop> {
    let stocked = tx.stocked(item)?;
    let Some((cell, _)) = stocked.iter().find(|(cell, _)| cell.lot == lot) else { return Ok(()) };
    let (sku, location) = (tx.sku(item)?, tx.location_code(cell.location)?);
    Err(Refusal::SerialElsewhere { sku, serial: tx.lot(lot)?.code.clone(), location }.into())
}

/// A piece comes in that is somewhere by our books: a request is refused; a fact is believed, and the books corrected.
pub(super) fn must_not_be_twice(tx: &mut Tx<'_>, item: ItemId, lot: LotId) -> Result<(), Stop> {
    if tx.item(item)?.tracking != Tracking::Serials {
        return Ok(());
    }
    if tx.document.is_none() {
        return must_be_nowhere(tx, item, lot);
    }
    seen_where_it_was_not(tx, item, lot)
}

/// A piece was seen where it was not by our books: wherever it is by them now, it is there no more.
pub(super) fn seen_where_it_was_not(tx: &mut Tx<'_>, item: ItemId, lot: LotId) -> Result<(), Stop> {
    take_all_but(tx, item, lot, Quantity::ZERO)
}

/// A piece left a place: wherever else it is by our books, it is there no more.
pub(super) fn must_be_in(tx: &mut Tx<'_>, item: ItemId, lot: LotId, place: LocationId) -> Result<(), Stop> {
    if lot.0 == 0 || tx.item(item)?.tracking != Tracking::Serials {
        return Ok(());
    }
    let sites = tx.sites()?;
    let stocked = tx.stocked(item)?;
    let mut there = stocked.iter().filter(|(cell, _)| cell.lot == lot).peekable();
    if there.peek().is_none() || there.any(|(cell, _)| sites.is_in(cell.location, place)) {
        return Ok(());
    }
    seen_where_it_was_not(tx, item, lot)
}

/// What a count books of a piece may be more than one: one that left before it came, by what happened, was short of
/// two. One of them is the piece.
pub(super) fn must_be_one(tx: &mut Tx<'_>, item: ItemId, lot: LotId) -> Result<(), Stop> {
    take_all_but(tx, item, lot, Quantity::ONE)
}

/// Takes out of the books what they have of a piece beyond so much.
fn take_all_but(tx: &mut Tx<'_>, item: ItemId, lot: LotId, keep: Quantity) -> Result<(), Stop> {
    let stocked = tx.stocked(item)?.into_iter().filter(|(cell, _)| cell.lot == lot);
    let stocked: Vec<(CellKey, Quantity)> = stocked.collect();
    let mut excess = stocked.iter().map(|(_, quantity)| *quantity).sum::<Quantity>() - keep;
    for (CellKey { location, .. }, held) in stocked {
        let quantity = held.min(excess);
        if !quantity.is_positive() {
            break;
        }
        excess -= quantity;
        let now = tx.now;
        let gone = Change {
            item,
            location,
            lot,
            quantity,
            inside: false,
            unnamed: false,
            party: StockState::Adjustment,
            occurred_at: now,
            reason: "seen elsewhere",
            corrects: None,
            seen_from: now,
        };
        stock::take_out(tx, gone, None)?;
    }
    Ok(())
}

pub(super) fn put(tx: &mut Tx<'_>, put: &PutLot) -> Result<Answer, Stop> {
    check_name("lot", &put.lot, 100)?;
    let item = tx.item_id(&put.sku)?;
    if tx.item(item)?.tracking == Tracking::None {
        let problem = format!("`{}` is not tracked by lots or serials", put.sku);
        return Err(Invalid::Field { field: "sku", problem }.into());
    }
    let Some(id) = tx.lot_id(item, &put.lot)? else {
        let id = LotId(tx.next_seq());
        let recalled = put.recalled.unwrap_or(false);
        let recalled_at = recalled.then_some(tx.now);
        let (code, expires) = (put.lot.clone(), put.expires);
        let lot = Lot { item, code, expires, recalled, recalled_at, of: None, is_piece: None };
        tx.emit(Entry::Lot(id, Box::new(lot)))?;
        return Ok(Answer::Lot(id));
    };
    let known = tx.lot(id)?.clone();
    let recalled = put.recalled.unwrap_or(known.recalled);
    let recalled_at = if recalled { known.recalled_at.or(Some(tx.now)) } else { None };
    let lot = Lot { expires: put.expires.or(known.expires), recalled, recalled_at, ..known };
    change(tx, id, lot)?;
    order::settle(tx)?;
    Ok(Answer::Lot(id))
}

/// Writes what is new of a lot, and what follows where it lies: it, or pieces of it.
fn change(tx: &mut Tx<'_>, id: LotId, lot: Lot) -> Result<(), Stop> {
    if *tx.lot(id)? == lot {
        return Ok(());
    }
    let item = lot.item;
    tx.emit(Entry::Lot(id, Box::new(lot)))?;
    let stocked: BTreeSet<(LotId, LocationId)> =
        tx.stocked(item)?.into_iter().map(|(cell, _)| (cell.lot, cell.location)).collect();
    let stocked: Vec<_> = stocked.into_iter().filter(|(lot, _)| lot.0 != 0).collect();
    let in_pieces = tx.item(item)?.tracking == Tracking::Serials;
    if in_pieces {
        tx.want(stocked.iter().map(|(lot, _)| Key::Lot(*lot)))?;
    }
    let mut lies = Vec::new();
    for (lot, location) in stocked {
        if lot == id || (in_pieces && tx.lot(lot)?.of == Some(id)) {
            lies.push((lot, location));
        }
    }
    tx.want_lots(lies.iter().copied())?;
    for (lot, location) in lies {
        register(tx, lot, location)?;
        let recalled = tx.lot_in_effect(lot)?.recalled;
        let over = tx.expires(lot, location)?.is_some_and(|at| at <= tx.now);
        if recalled || over {
            set_aside(tx, item, lot, location, if recalled { "recalled" } else { "expired" })?;
        }
    }
    // Stock that may be sold again serves who waits.
    tx.grew(item);
    Ok(())
}

/// Notes when a lot ends at a location, where that is not noted as it is.
pub(super) fn register(tx: &mut Tx<'_>, lot: LotId, location: LocationId) -> Result<(), Stop> {
    let at = match tx.lot_in_effect(lot)?.expires {
        Some(day) => Some(end_of(tx, day, location)?),
        None => None,
    };
    let before = tx.expires(lot, location)?;
    if at != before {
        let passed = at.is_some_and(|at| at <= tx.now);
        tx.emit(Entry::Expires { lot, location, at, before, passed })?;
    }
    Ok(())
}

/// Notes anew when lots end at a location and inside it: its days end otherwise now.
pub(super) fn register_all(tx: &mut Tx<'_>, location: LocationId) -> Result<(), Stop> {
    let nodes = tx.sites()?.below(location, false);
    let range =
        |node: &LocationId| (Key::Expires(*node, LotId(0)), Key::Expires(*node, LotId(crate::Seq::MAX >> 1)));
    tx.want_ranges(nodes.iter().map(range))?;
    for node in &nodes {
        let (from, to) = range(node);
        let lots: Vec<LotId> = tx
            .range(from, to)?
            .into_iter()
            .filter_map(|(key, _)| if let Key::Expires(_, lot) = key { Some(lot) } else { None })
            .collect();
        tx.want(lots.iter().map(|lot| Key::Lot(*lot)))?;
        for lot in lots {
            // A day that is over stays over.
            if tx.expires(lot, *node)?.is_some_and(|at| at <= tx.now) {
                continue;
            }
            register(tx, lot, *node)?;
            if tx.expires(lot, *node)?.is_some_and(|at| at <= tx.now) {
                let item = tx.lot(lot)?.item;
                set_aside(tx, item, lot, *node, "expired")?;
                tx.grew(item);
            }
        }
    }
    Ok(())
}

/// The first instant after a day, where something lies.
fn end_of(tx: &Tx<'_>, day: jiff::civil::Date, location: LocationId) -> Result<Instant, Stop> {
    let mut zone = jiff::tz::TimeZone::UTC;
    let mut next = Some(location);
    while let Some(here) = next {
        let known = tx.location(here)?;
        if let Some(name) = &known.time_zone {
            zone = zone_of(name)?;
            break;
        }
        next = known.parent;
    }
    let end = day.tomorrow().and_then(|next| next.to_zoned(zone));
    Ok(end.map_or(Instant::MAX, |end| Instant::from_micros(end.timestamp().as_microsecond())))
}

/// The time zone of a name, by the database that is built in: the same on every machine.
pub(super) fn zone_of(name: &str) -> Result<jiff::tz::TimeZone, Stop> {
    jiff::tz::TimeZoneDatabase::bundled().get(name).map_err(|_| {
        let problem = format!("`{name}` is no IANA time zone such as Europe/Berlin");
        Invalid::Field { field: "time_zone", problem }.into()
    })
}

/// A lot's last day is over where it lies.
pub(super) fn end(tx: &mut Tx<'_>, lot: LotId, location: LocationId, at: Instant) -> Result<(), Stop> {
    tx.mark_passed(Due::Lot(lot, location));
    let item = tx.lot(lot)?.item;
    tx.emit(Entry::Expires { lot, location, at: Some(at), before: Some(at), passed: true })?;
    set_aside(tx, item, lot, location, "expired")?;
    tx.grew(item);
    tx.write_edits()
}

/// What is promised of a lot at a location is promised no more, and goes where somebody looks at it.
fn set_aside(
    tx: &mut Tx<'_>,
    item: ItemId,
    lot: LotId,
    location: LocationId,
    reason: &str,
) -> Result<(), Stop> {
    let cell = |state| CellKey::of(item, location, lot, state);
    tx.want_cells([
        cell(StockState::Reserved),
        cell(StockState::Committed),
        cell(StockState::QualityControl),
    ])?;
    let promised = tx.held(cell(StockState::Reserved))? + tx.held(cell(StockState::Committed))?;
    if !promised.is_positive() {
        return Ok(());
    }
    let is_meant = |_, other| other == lot;
    let freed = promise::break_promises(tx, item, &[location], is_meant, promised, reason)?;
    for at in freed {
        tx.make(Move {
            item,
            lot,
            from: (location, StockState::Available),
            to: (location, StockState::QualityControl),
            quantity: at.quantity,
            occurred_at: tx.now,
            reason,
            promise: None,
            corrects: None,
        })?;
    }
    Ok(())
}
