//! What has left of an order by the word of its own document.

use crate::availability;
use crate::key::StockState;
use crate::model::{At, ByDocument, add_at};
use crate::{Instant, LocationId, LotId, OrderId, Quantity, SystemId};

use super::super::tx::{Stop, Tx};
use super::super::{allocation, stock};

/// The system says that so much of a line has left so far. Only what nobody told before moves, and only where
/// this system's word moves stock.
pub(super) fn tell_shipped(
    tx: &mut Tx<'_>,
    system: SystemId,
    order: OrderId,
    (line, told): (u32, Quantity),
    location: Option<LocationId>,
    at: Instant,
) -> Result<(), Stop> {
    tx.edit_order(order)?.lines[line as usize].told_shipped = told;
    let known = tx.order(order)?.lines[line as usize].clone();
    let mut missing = told - known.shipped_total();
    for place in known.allocated.iter().chain(&known.build.built) {
        let part = place.quantity.min(missing);
        if !part.is_positive() {
            continue;
        }
        // Of what another system is master there is its word to come: it is not taken from elsewhere.
        missing -= part;
        if stock::moves(tx, system, known.item, place.location)? {
            ship_by_document(tx, order, line, place.location, part, at)?;
        }
    }
    let unpromised = missing.min(tx.order(order)?.lines[line as usize].short);
    if !unpromised.is_positive() {
        return Ok(());
    }
    let places = match location {
        Some(location) => vec![At { location, lot: LotId(0), quantity: unpromised }],
        None => left_from(tx, system, order, line, unpromised)?,
    };
    for At { location, quantity, .. } in places {
        if stock::moves(tx, system, known.item, location)? {
            ship_by_document(tx, order, line, location, quantity, at)?;
        }
    }
    Ok(())
}

/// Where so much of a line has left from that was not promised to it, where nobody says: from the locations that the system
/// itself has, as far as anything is there, then from the others; of each what is free before what has to be freed (law 2),
/// by the way of the order. What is nowhere has left from the first.
fn left_from(
    tx: &Tx<'_>,
    system: SystemId,
    order: OrderId,
    line: u32,
    quantity: Quantity,
) -> Result<Vec<At>, Stop> {
    let known = &tx.order(order)?.lines[line as usize];
    let (item, recipe) = (known.item, &known.build.recipe);
    let sites = tx.sites()?;
    let mut sellable = allocation::route_of(tx, order, None)?.places;
    let others = sites.sellable.iter().map(|(_, site)| *site);
    let others: Vec<LocationId> = others.filter(|site| !sellable.contains(site)).collect();
    sellable.extend(others);
    let mapped: Vec<LocationId> = match system {
        SystemId::ONHAND => Vec::new(),
        _ => tx.system(system)?.locations.iter().map(|mapping| mapping.location).collect(),
    };
    let is_its_own = |site: &LocationId| mapped.iter().any(|location| sites.is_in(*location, *site));
    let (own, others): (Vec<LocationId>, Vec<LocationId>) = sellable.into_iter().partition(is_its_own);
    let stocked = tx.stocked(item)?;
    let lies = |site: LocationId, states: &[StockState]| -> Result<Quantity, Stop> {
        let here = stocked
            .iter()
            .filter(|(cell, _)| states.contains(&cell.state) && sites.is_in(cell.location, site));
        let whole: Quantity = here.map(|(_, held)| *held).sum();
        let built = if recipe.is_empty() {
            Quantity::ZERO
        } else {
            availability::buildable(&mut &*tx, recipe, site, states)?
        };
        Ok(whole + built)
    };
    let mut missing = quantity;
    let mut places: Vec<At> = Vec::new();
    for sites in [&own, &others] {
        for freed in 1..=stock::FREED.len() {
            for site in sites {
                if missing.is_zero() {
                    return Ok(places);
                }
                let taken: Quantity =
                    places.iter().filter(|at| at.location == *site).map(|at| at.quantity).sum();
                let part = (lies(*site, &stock::FREED[..freed])? - taken).max(Quantity::ZERO).min(missing);
                add_at(&mut places, *site, LotId(0), part);
                missing -= part;
            }
        }
    }
    if let Some(first) = own.first().or(others.first()) {
        add_at(&mut places, *first, LotId(0), missing);
    }
    Ok(places)
}

fn ship_by_document(
    tx: &mut Tx<'_>,
    order: OrderId,
    line: u32,
    location: LocationId,
    quantity: Quantity,
    at: Instant,
) -> Result<(), Stop> {
    let stock::Shipped { pieces, mut balanced, kits, components } =
        stock::ship(tx, order, line, location, quantity, at)?;
    let told_at = tx.now;
    let item = tx.order(order)?.lines[line as usize].item;
    let by_document = &mut tx.edit_order(order)?.lines[line as usize].by_document;
    // What was not there is of what was not promised, which comes last.
    for At { location, lot, quantity } in pieces.into_iter().rev() {
        let of_it = balanced.min(quantity);
        balanced -= of_it;
        by_document.push(ByDocument {
            item,
            location,
            lot,
            quantity,
            balanced: of_it,
            told_at,
            occurred_at: at,
            components: Vec::new(),
        });
    }
    if kits.is_positive() {
        let (lot, balanced) = (LotId(0), Quantity::ZERO);
        let kits = ByDocument {
            item,
            location,
            lot,
            quantity: kits,
            balanced,
            told_at,
            occurred_at: at,
            components,
        };
        by_document.push(kits);
    }
    Ok(())
}
