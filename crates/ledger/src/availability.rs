//! How much of an item can be promised, and where it lies.
//!
//! One answer for decisions, for reads and for what other systems shall show: stock in a location and all that is
//! inside it and sells, without lots that have expired or were called back, and whole kits that can be built of it in
//! one place. Sellable is a function of now: no cell is changed by the passing of a day.

use crate::key::{CellKey, Key, StockState};
use crate::model::{Component, Item, Lot, Sites, Tracking};
use crate::{Instant, ItemId, LocationId, LotId, Quantity};

/// What availability is computed from.
pub trait Look {
    /// Why it could not be looked at.
    type Error;
    /// The time it is.
    fn now(&self) -> Instant;
    /// Which parts of an item are told apart, and what it is built of.
    fn facts(&mut self, item: ItemId) -> Result<(Tracking, Vec<Component>), Self::Error>;
    /// A location and all that is inside it and sells, in the order they are taken from.
    fn below(&mut self, location: LocationId) -> Result<Vec<LocationId>, Self::Error>;
    /// Does a location sell, and all that it is inside of?
    fn sells(&mut self, location: LocationId) -> Result<bool, Self::Error>;
    /// What cells hold.
    fn held(&mut self, cells: &[CellKey]) -> Result<Vec<Quantity>, Self::Error>;
    /// All cells of an item at places of ours that hold something, in key order.
    fn stocked(&mut self, item: ItemId) -> Result<Vec<(CellKey, Quantity)>, Self::Error>;
    /// Lots, and when each expires at a location, if it does.
    fn lots(&mut self, at: &[(LotId, LocationId)]) -> Result<Vec<(Lot, Option<Instant>)>, Self::Error>;
}

/// Some of an item in one cell.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Spot {
    /// Where.
    pub location: LocationId,
    /// Of which lot or serial.
    pub lot: LotId,
    /// In what state.
    pub state: StockState,
    /// How much.
    pub quantity: Quantity,
}

/// What of an item lies in some states at a location and inside it and can be promised, in the order it is taken: by
/// state, then what expires first, then place by place.
pub fn spots<L: Look>(
    look: &mut L,
    item: ItemId,
    location: LocationId,
    states: &[StockState],
) -> Result<Vec<Spot>, L::Error> {
    let (tracking, _) = look.facts(item)?;
    let nodes = look.below(location)?;
    if tracking == Tracking::None && nodes.len() <= 8 {
        let cells = |state: &StockState| {
            let state = *state;
            nodes.iter().map(move |node| CellKey::new(item, *node, state))
        };
        let cells: Vec<CellKey> = states.iter().flat_map(cells).collect();
        let held = look.held(&cells)?;
        let spot = |(cell, quantity): (CellKey, Quantity)| Spot {
            location: cell.location,
            lot: cell.lot,
            state: cell.state,
            quantity,
        };
        return Ok(cells
            .into_iter()
            .zip(held)
            .map(spot)
            .filter(|spot| spot.quantity.is_positive())
            .collect());
    }
    let stocked = look.stocked(item)?;
    let place = |location: LocationId| nodes.iter().position(|node| *node == location);
    let rank = |state: StockState| states.iter().position(|other| *other == state);
    let found: Vec<(usize, usize, CellKey, Quantity)> = stocked
        .into_iter()
        .filter_map(|(cell, quantity)| Some((rank(cell.state)?, place(cell.location)?, cell, quantity)))
        .collect();
    let tracked: Vec<(LotId, LocationId)> = found
        .iter()
        .filter(|(_, _, cell, _)| cell.lot.0 != 0)
        .map(|(_, _, cell, _)| (cell.lot, cell.location))
        .collect();
    let mut lots = look.lots(&tracked)?.into_iter();
    let now = look.now();
    let mut spots = Vec::new();
    for (state, place, cell, quantity) in found {
        // Of what no lot is known nothing can be said but that it is there: it goes last.
        let mut expires = Instant::MAX;
        if cell.lot.0 != 0 {
            let Some((lot, ends)) = lots.next() else { continue };
            if !is_sellable(&lot, ends, now) {
                continue;
            }
            expires = ends.unwrap_or(Instant::MAX);
        }
        let spot = Spot { location: cell.location, lot: cell.lot, state: cell.state, quantity };
        spots.push((state, expires, cell.lot.0 == 0, place, cell.lot, spot));
    }
    spots.sort_by_key(|(state, expires, unknown, place, lot, _)| (*state, *expires, *unknown, *place, *lot));
    Ok(spots.into_iter().map(|(.., spot)| spot).collect())
}

/// May a lot be sold, where it expires then?
pub fn is_sellable(lot: &Lot, expires: Option<Instant>, now: Instant) -> bool {
    !lot.recalled && expires.is_none_or(|at| now < at)
}

/// How much of an item can be promised at a location and inside it: what lies there, and the kits that can be built.
/// Nothing where the location does not sell.
pub fn available<L: Look>(look: &mut L, item: ItemId, location: LocationId) -> Result<Quantity, L::Error> {
    if !look.sells(location)? {
        return Ok(Quantity::ZERO);
    }
    let (_, kit) = look.facts(item)?;
    let own: Quantity =
        spots(look, item, location, &[StockState::Available])?.iter().map(|spot| spot.quantity).sum();
    let recipe = flatten(look, &kit)?;
    Ok(own + buildable(look, &recipe, location, &[StockState::Available])?)
}

/// The most whole kits that can be built of components that lie in some states at one location and inside it.
pub fn buildable<L: Look>(
    look: &mut L,
    recipe: &[Component],
    location: LocationId,
    states: &[StockState],
) -> Result<Quantity, L::Error> {
    let mut kits: Option<i64> = None;
    for component in recipe {
        let there: Quantity =
            spots(look, component.item, location, states)?.iter().map(|spot| spot.quantity).sum();
        let whole = there.micros() / component.quantity.micros();
        kits = Some(kits.map_or(whole, |kits| kits.min(whole)));
    }
    Ok(kits.map_or(Quantity::ZERO, Quantity::units))
}

/// What one kit is built of when its components that are kits themselves are taken apart: each item once, in order.
/// Recipes have no cycles and come out even; see [`crate::command::PutItem::kit`].
pub fn flatten<L: Look>(look: &mut L, kit: &[Component]) -> Result<Vec<Component>, L::Error> {
    let mut flat = std::collections::BTreeMap::<ItemId, Quantity>::new();
    let mut open: Vec<Component> = kit.to_vec();
    while let Some(Component { item, quantity }) = open.pop() {
        let (_, inner) = look.facts(item)?;
        if inner.is_empty() {
            let sum = flat.entry(item).or_default();
            *sum = sum.checked_add(quantity).unwrap_or(Quantity::MAX_INPUT);
        }
        for part in inner {
            let times = times(part.quantity, quantity).unwrap_or(Quantity::MAX_INPUT);
            open.push(Component { item: part.item, quantity: times });
        }
    }
    Ok(flat.into_iter().map(|(item, quantity)| Component { item, quantity }).collect())
}

/// One quantity as often as the other says; none where that does not come out even, or is too large.
pub fn times(quantity: Quantity, count: Quantity) -> Option<Quantity> {
    const ONE: i128 = 1_000_000;
    let product = i128::from(quantity.micros()) * i128::from(count.micros());
    let micros = i64::try_from(product / ONE).ok()?;
    let result = Quantity::from_micros(micros);
    (product % ONE == 0 && result <= Quantity::MAX_INPUT).then_some(result)
}

/// The facts of an item that availability asks for.
pub fn facts(item: &Item) -> (Tracking, Vec<Component>) {
    (item.tracking, item.kit.clone())
}

/// See [`Look::below`].
pub fn below(sites: &Sites, location: LocationId) -> Vec<LocationId> {
    if sites.parts.is_empty() { vec![location] } else { sites.below(location, true) }
}

/// See [`Look::lots`]: the keys that say it.
pub fn lot_keys(lot: LotId, location: LocationId) -> [Key; 2] {
    [Key::Lot(lot), Key::Expires(location, lot)]
}
