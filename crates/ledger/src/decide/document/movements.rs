//! A document whose lines move stock by themselves: sales over the counter, returns, adjustments, receipts.

use crate::answer::{Invalid, LineAnswer};
use crate::availability;
use crate::command::{Happened, MovementLine, Name};
use crate::key::{CellKey, StockState};
use crate::model::{At, Balanced, Cause, Component, ComponentAt, KnownLine, Tracking};
use crate::{DiscrepancyId, ItemId, LocationId, LotId, Quantity, SystemId};

use super::super::catalogue::end_if_open;
use super::super::stock::{self, Change};
use super::super::tx::{Found, Move, Stop, Tx};
use super::super::{merge, promise};
use super::balance::{self, unbalance};
use super::{Names, by, fingerprint, not_master};

pub(super) fn apply_movements(
    tx: &mut Tx<'_>,
    system: SystemId,
    lines: &[MovementLine],
    names: &Names,
    earlier: &[KnownLine],
    owed: &mut Vec<Balanced>,
    short_told: &mut Option<DiscrepancyId>,
) -> Result<(Vec<KnownLine>, Vec<LineAnswer>), Stop> {
    let fingerprints: Vec<u64> = lines.iter().map(fingerprint).collect();
    let unchanged = |known: &KnownLine| {
        lines
            .iter()
            .zip(&fingerprints)
            .any(|(line, print)| line.line == known.line && *print == known.fingerprint)
    };
    let gone = || earlier.iter().filter(|known| !unchanged(known));
    // What comes in is booked before what goes out, so that nothing is missing that this document itself brings.
    for known in gone().filter(|known| known.moved.is_negative()) {
        reverse(tx, owed, known)?;
    }
    let cells = |state| {
        names
            .items
            .iter()
            .zip(&names.locations)
            .map(move |((item, _), location)| CellKey::new(*item, location.unwrap_or_default(), state))
    };
    tx.want_cells(cells(StockState::SafetyStock))?;
    let changes = lines.iter().enumerate().map(|(position, line)| {
        let at = line.occurred_at.unwrap_or(tx.now).min(tx.now);
        (names.items[position].0, names.locations[position].unwrap_or_default(), at)
    });
    stock::prefetch(tx, &[StockState::Customer, StockState::Adjustment, StockState::Supplier], changes)?;
    let mut done: Vec<Option<KnownLine>> = lines
        .iter()
        .zip(&fingerprints)
        .map(|(line, print)| {
            earlier.iter().find(|known| known.line == line.line && known.fingerprint == *print).cloned()
        })
        .collect();
    for comes_in in [true, false] {
        if !comes_in {
            for known in gone().filter(|known| known.moved.is_positive()) {
                reverse(tx, owed, known)?;
            }
        }
        for (position, line) in lines.iter().enumerate() {
            if done[position].is_some() || is_incoming(line.what) != comes_in {
                continue;
            }
            let location = names.locations[position].unwrap_or_default();
            let told = names.quantity(position, line.quantity);
            let happened = happen(tx, system, line, names.items[position].0, location, told)?;
            if happened.moved.is_positive() {
                came(tx, owed, &happened)?;
            }
            done[position] = Some(KnownLine { fingerprint: fingerprints[position], ..happened });
        }
    }
    let known: Vec<KnownLine> = done.into_iter().flatten().collect();
    let mut answers = Vec::new();
    for (position, done) in known.iter().enumerate() {
        let quantity = names.quantity(position, lines[position].quantity);
        let answer = LineAnswer::of(done.line.clone(), tx.sku(done.item)?, quantity);
        answers.push(LineAnswer { shipped: done.moved.abs(), short: done.short, ..answer });
    }
    let short: Quantity = known.iter().map(|line| line.short).sum();
    let before: Quantity = earlier.iter().map(|line| line.short).sum();
    if short == before {
        return Ok((known, answers));
    }
    // One at a time: what was said before of another number is over.
    if let Some(told) = short_told.take() {
        end_if_open(tx, told)?;
    }
    if short.is_positive() {
        let name = tx.document.as_ref().map_or(String::new(), |(_, name)| name.clone());
        let sentence = format!(
            "{name} tells of sales of {short} more than were there. What was there is booked as sold; \
             count what it names."
        );
        let item = known.iter().find(|line| line.short.is_positive()).map(|line| line.item);
        let found = Found { item, quantity: short, ..Found::new(Cause::Short, sentence) };
        *short_told = Some(tx.discrepancy(found)?);
    }
    Ok((known, answers))
}

const fn is_incoming(what: Happened) -> bool {
    matches!(what, Happened::Returned | Happened::Found | Happened::Received)
}

fn reverse(tx: &mut Tx<'_>, owed: &mut Vec<Balanced>, known: &KnownLine) -> Result<(), Stop> {
    let KnownLine { item, location, moved, party, occurred_at, balanced, told_at, .. } = *known;
    if moved.is_zero() {
        return Ok(());
    }
    let back = |item, location, quantity: Quantity| {
        by(item, location, quantity.abs(), party, occurred_at, "corrected by a newer version")
    };
    let places = places_of(known);
    for ComponentAt { item, location, lot, quantity } in places.iter().copied() {
        let inside = known.pieces.is_empty();
        let change = Change { lot, inside, ..back(item, location, quantity) };
        if quantity.is_positive() {
            let looked_at =
                if party == StockState::Customer { of_no_lot(tx, &change)? } else { Quantity::ZERO };
            if looked_at.is_positive() {
                let from = (location, StockState::QualityControl);
                let to = (LocationId(0), party);
                let (occurred_at, reason) = (change.occurred_at, change.reason);
                let (promise, corrects, quantity) = (None, None, looked_at);
                tx.make(Move { item, lot, from, to, quantity, occurred_at, reason, promise, corrects })?;
            }
            if looked_at < quantity {
                balance::take_back(tx, owed, Change { quantity: quantity - looked_at, ..change })?;
            }
        } else {
            stock::put_in(tx, change, StockState::Available)?;
        }
    }
    let (item, location, lot) =
        places.last().map_or((item, location, LotId(0)), |at| (at.item, at.location, at.lot));
    unbalance(tx, (item, location, lot), balanced, told_at)?;
    if moved.is_negative() {
        came(tx, owed, known)?;
    }
    Ok(())
}

/// Of what came back of a tracked item, and nobody said of which lot: how much still lies where somebody looks at it.
fn of_no_lot(tx: &Tx<'_>, change: &Change<'_>) -> Result<Quantity, Stop> {
    let item = merge::live(tx, change.item)?;
    if item != change.item || change.lot.0 != 0 || tx.item(item)?.tracking == Tracking::None {
        return Ok(Quantity::ZERO);
    }
    let there = tx.held(CellKey::of(item, change.location, LotId(0), StockState::QualityControl))?;
    Ok(there.min(change.quantity))
}

/// Where what a customer brought back goes: of a tracked item of which nobody says of which lot it is, it may be one that
/// was called back or has ended, and somebody must look.
fn returned_into(tx: &Tx<'_>, item: ItemId) -> Result<StockState, Stop> {
    let is_tracked = tx.item(merge::live(tx, item)?)?.tracking != Tracking::None;
    Ok(if is_tracked { StockState::QualityControl } else { StockState::Available })
}

/// What a line moved, cell by cell, as far as that is known.
fn places_of(known: &KnownLine) -> Vec<ComponentAt> {
    if !known.pieces.is_empty() {
        return known.pieces.clone();
    }
    let KnownLine { item, location, moved: quantity, .. } = *known;
    vec![ComponentAt { item, location, lot: LotId(0), quantity }]
}

/// The document has brought, or brought back, what a line tells of.
fn came(tx: &mut Tx<'_>, owed: &mut Vec<Balanced>, known: &KnownLine) -> Result<(), Stop> {
    let mut balanced = known.balanced;
    // What was balanced is of the last.
    for ComponentAt { item, location, lot, quantity } in places_of(known).into_iter().rev() {
        let of_it = balanced.min(quantity.abs());
        balanced -= of_it;
        balance::brought(tx, owed, (item, location, lot), quantity.abs() - of_it)?;
    }
    Ok(())
}

fn happen(
    tx: &mut Tx<'_>,
    system: SystemId,
    line: &MovementLine,
    item: ItemId,
    location: LocationId,
    quantity: Quantity,
) -> Result<KnownLine, Stop> {
    let at = tx.past("occurred_at", line.occurred_at)?;
    let item = match &line.item {
        Name::Sku(sku) => merge::meant(tx, sku, item, at)?,
        Name::Listing(_) => item,
    };
    let (party, usual) = match line.what {
        Happened::Sold => (StockState::Customer, "sold"),
        Happened::Returned => (StockState::Customer, "returned"),
        Happened::Found => (StockState::Adjustment, "found"),
        Happened::Lost => (StockState::Adjustment, "lost"),
        Happened::Received => (StockState::Supplier, "received"),
    };
    let mut known = KnownLine {
        line: line.line.clone(),
        fingerprint: 0,
        item,
        location,
        moved: Quantity::ZERO,
        pieces: Vec::new(),
        short: Quantity::ZERO,
        balanced: Quantity::ZERO,
        told_at: tx.now,
        party,
        occurred_at: at,
    };
    if !stock::moves(tx, system, item, location)? {
        not_master(tx, system, item, location, quantity)?;
        return Ok(known);
    }
    let reason = line.reason.as_deref().unwrap_or(usual);
    let change = by(item, location, quantity, party, at, reason);
    let recipe = promise::recipe(tx, item)?;
    if !recipe.is_empty() && matches!(line.what, Happened::Sold | Happened::Returned) {
        return happen_to_kit(tx, known, line.what, change, &recipe);
    }
    match line.what {
        Happened::Returned => {
            let into = returned_into(tx, item)?;
            stock::put_in(tx, change, into)?;
            known.moved = quantity;
        }
        Happened::Found | Happened::Received => {
            stock::put_in(tx, change, StockState::Available)?;
            known.moved = quantity;
        }
        Happened::Lost => {
            let taken = stock::take_out(tx, change, None)?;
            known.balanced = taken.balanced;
            known.moved = -quantity;
            known.pieces = pieces(item, location, &taken.places);
        }
        Happened::Sold => {
            // What was sold before a merge would have gone over otherwise.
            let item = merge::live(tx, item)?;
            let there: Quantity =
                availability::spots(&mut &*tx, item, location, &FREE)?.iter().map(|spot| spot.quantity).sum();
            // What a count has seen the lack of is given back by it, all of it (law 11).
            let part = if stock::is_absorbed(tx, &change)? { quantity } else { quantity.min(there) };
            if part.is_positive() {
                let taken = stock::take_out(tx, Change { quantity: part, ..change }, None)?;
                known.balanced = taken.balanced;
                known.pieces = pieces(item, location, &taken.places);
            }
            known.moved = -part;
            known.short = quantity - part;
        }
    }
    Ok(known)
}

/// What a sale over the counter may take.
const FREE: [StockState; 2] = [StockState::Available, StockState::SafetyStock];

/// Where so much went from, where that is more than the place and the item itself say.
fn pieces(item: ItemId, location: LocationId, places: &[At]) -> Vec<ComponentAt> {
    let piece = |at: &At| ComponentAt { item, location: at.location, lot: at.lot, quantity: -at.quantity };
    let plain = places.iter().all(|at| at.location == location && at.lot.0 == 0);
    if plain { Vec::new() } else { places.iter().map(piece).collect() }
}

/// A kit was sold over the counter, or brought back: assembled ones as far as they lie there, and components beyond.
fn happen_to_kit(
    tx: &mut Tx<'_>,
    mut known: KnownLine,
    what: Happened,
    change: Change<'_>,
    recipe: &[Component],
) -> Result<KnownLine, Stop> {
    let Change { item, location, quantity, .. } = change;
    let overflow = |tx: &Tx<'_>, item| Ok::<_, Stop>(Stop::from(Invalid::Overflow(tx.sku(item)?)));
    if what == Happened::Returned {
        for component in recipe {
            let Some(back) = availability::times(component.quantity, quantity) else {
                return Err(overflow(tx, component.item)?);
            };
            let by = Change { item: component.item, quantity: back, ..change };
            let into = returned_into(tx, component.item)?;
            stock::put_in(tx, by, into)?;
            let lot = LotId(0);
            known.pieces.push(ComponentAt { item: component.item, location, lot, quantity: back });
        }
        known.moved = quantity;
        return Ok(known);
    }
    let lying = availability::spots(&mut &*tx, item, location, &FREE)?;
    let assembled = lying.iter().map(|spot| spot.quantity).sum::<Quantity>().min(quantity);
    let kits = availability::buildable(&mut &*tx, recipe, location, &FREE)?.min(quantity - assembled);
    let mut parts = vec![(item, assembled)];
    for component in recipe {
        let Some(needed) = availability::times(component.quantity, kits) else {
            return Err(overflow(tx, component.item)?);
        };
        parts.push((component.item, needed));
    }
    for (item, quantity) in parts.into_iter().filter(|(_, quantity)| quantity.is_positive()) {
        let taken = stock::take_out(tx, Change { item, quantity, ..change }, None)?;
        for At { location, lot, quantity } in taken.places {
            known.pieces.push(ComponentAt { item, location, lot, quantity: -quantity });
        }
    }
    known.moved = -(assembled + kits);
    known.short = quantity - assembled - kits;
    Ok(known)
}
