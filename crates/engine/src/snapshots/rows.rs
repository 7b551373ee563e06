//! The rows of a snapshot in our own names: what can be counted, and what cannot.

use std::collections::BTreeMap;

use onhand_ledger::command::{Line, Name};
use onhand_ledger::model::{Item, Tracking};
use onhand_ledger::ownership::{self, Subject};
use onhand_ledger::{Instant, ItemId, Key, LocationId, Quantity, Seq, StockState, SystemId, Value};
use onhand_store::StoreError;

use super::Row;
use crate::view::View;

/// So many items are looked through at a time.
const ITEMS: usize = 500;

/// Rows in our own names.
#[derive(Debug, Default)]
pub(super) struct Named {
    /// What can be counted: each item or lot once, in the order of the first row that names it.
    pub lines: Vec<Line>,
    /// What names something we do not know, and why.
    pub unknown: Vec<String>,
    /// What another is master of.
    pub foreign: Vec<String>,
}

/// Is a system master of an item at a location?
pub(crate) fn is_master(
    view: &mut View<'_>,
    system: SystemId,
    (id, item): (ItemId, &Item),
    location: LocationId,
) -> Result<bool, StoreError> {
    let (rules, sites) = (view.rules()?.ownership, view.sites()?);
    let subject = Subject { item: Some(id), tags: &item.tags };
    let speaking = ownership::speaking(&rules, &sites, subject, Some(location));
    Ok(speaking.is_some_and(|(_, rule)| rule.master == system))
}

/// What a row is about, and how many of it one is.
fn item_of(
    view: &mut View<'_>,
    system: SystemId,
    name: &Name,
) -> Result<Result<(ItemId, Item, u32), String>, StoreError> {
    let (found, multiplier) = match name {
        Name::Sku(sku) => (view.item_by_sku(sku)?, 1),
        Name::Listing(remote) => match view.listing_by_remote(system, remote)? {
            Some((_, listing)) => match listing.item {
                Some(item) => (view.item(item)?.map(|known| (item, known)), listing.multiplier),
                None => (None, 1),
            },
            None => (None, 1),
        },
    };
    Ok(match (found, name) {
        (Some((id, item)), _) => Ok((id, item, multiplier)),
        (None, Name::Sku(sku)) => Err(format!("no item has the SKU `{sku}`")),
        (None, Name::Listing(remote)) => Err(format!("the listing `{remote}` is mapped to no item")),
    })
}

/// Rows in our own names. Rows of one item are added up, as two packs of it are.
pub(super) fn named(
    view: &mut View<'_>,
    system: SystemId,
    location: LocationId,
    rows: &[Row],
) -> Result<Named, StoreError> {
    let mut named = Named::default();
    let mut places = BTreeMap::<(String, Option<String>), usize>::new();
    for row in rows {
        let (id, item, units) = match item_of(view, system, &row.item)? {
            Ok(known) => known,
            Err(why) => {
                named.unknown.push(format!("{} ({why})", row.quantity));
                continue;
            }
        };
        if !is_master(view, system, (id, &item), location)? {
            named.foreign.push(format!("{} {}", item.sku, row.quantity));
            continue;
        }
        let told = row.quantity.micros().saturating_mul(i64::from(units));
        let quantity = clamped(told);
        // The lot of a piece with a serial number is an attribute of the piece.
        let key = (item.sku.clone(), row.lot.clone());
        if let Some(place) = places.get(&key) {
            let line: &mut Line = &mut named.lines[*place];
            line.quantity = clamped(line.quantity.micros().saturating_add(quantity.micros()));
            if let Some(more) = &row.serials {
                line.serials.get_or_insert_default().extend(more.iter().cloned());
            }
            continue;
        }
        places.insert(key, named.lines.len());
        let (lot, serials) = (row.lot.clone(), row.serials.clone());
        named.lines.push(Line { sku: item.sku, quantity, lot, serials, ..Line::default() });
    }
    Ok(named)
}

fn clamped(micros: i64) -> Quantity {
    let most = Quantity::MAX_INPUT.micros();
    Quantity::from_micros(micros.clamp(-most, most))
}

/// What a whole snapshot does not name and says by that there is none of: of so many items after one, and the item to go on
/// after; none where these were the last. Pieces with serial numbers are looked for, not left out: of them nothing is said.
pub(super) fn absent(
    view: &mut View<'_>,
    system: SystemId,
    location: LocationId,
    as_of: Instant,
    named: &[Line],
    after: Seq,
) -> Result<(Vec<Line>, Option<Seq>), StoreError> {
    let is_named: std::collections::BTreeSet<(&str, Option<&str>)> =
        named.iter().map(|line| (line.sku.as_str(), line.lot.as_deref())).collect();
    let within = view.sites()?.below(location, false);
    let page = view.range(&Key::Item(ItemId(after + 1)), &Key::Item(ItemId(Seq::MAX >> 1)), false, ITEMS)?;
    let next = match page.last() {
        Some((Key::Item(id), _)) if page.len() == ITEMS => Some(id.0),
        _ => None,
    };
    let mut lines = Vec::new();
    for (key, value) in page {
        let (Key::Item(id), Value::Item(item)) = (key, value) else { continue };
        if item.merged_into.is_some()
            || item.tracking == Tracking::Serials
            || !is_master(view, system, (id, &item), location)?
        {
            continue;
        }
        let mut lots = std::collections::BTreeSet::new();
        for (cell, slot) in view.cells_of(id)? {
            // What lies there, and what left since.
            let was_there = !slot.quantity.is_zero() || (slot.seq > 0 && slot.latest > as_of);
            if StockState::is_physical(cell.state) && within.contains(&cell.location) && was_there {
                lots.insert(cell.lot);
            }
        }
        for lot in lots {
            let code = if lot.0 == 0 { None } else { view.lot(lot)?.map(|lot| lot.code) };
            if !is_named.contains(&(item.sku.as_str(), code.as_deref())) {
                lines.push(Line { lot: code, ..Line::new(item.sku.clone(), Quantity::ZERO) });
            }
        }
    }
    Ok((lines, next))
}

/// How the location of a snapshot is known.
pub(super) fn place(view: &mut View<'_>, code: &str) -> Result<Option<LocationId>, StoreError> {
    Ok(view.location_by_code(code)?.map(|(id, _)| id))
}
