//! What an item is called and found by: names, barcodes, packs, near-twins; when it is low; whether it is archived.

use std::collections::BTreeSet;

use crate::answer::{Answer, Invalid, ItemNotes, Refusal, Remains};
use crate::command::{ChangeAliases, Line, RenameItem, SetLowStock, check_address};
use crate::entry::Entry;
use crate::gtin;
use crate::key::{Key, StockState};
use crate::look::look;
use crate::model::Item;
use crate::state::Value;
use crate::{Instant, ItemId, Quantity, Seq};

use super::merge;
use super::stock::Named;
use super::tx::{Stop, Tx};

/// How many other names an item has at most.
const MOST_ALIASES: usize = 100;

/// Writes an item as it is now, if that is not how it was, and what it is found by; says what is worth a look.
pub(super) fn write(
    tx: &mut Tx<'_>,
    known: Option<ItemId>,
    before: Option<&Item>,
    mut item: Item,
) -> Result<Answer, Stop> {
    let id = known.unwrap_or(ItemId(tx.next_seq()));
    item.aliases.retain(|alias| *alias != item.sku);
    if before == Some(&item) {
        return Ok(Answer::Item(id));
    }
    check_quantities(&item)?;
    let names = changed(before.into_iter().flat_map(Item::names), item.names());
    must_be_free(tx, id, &names.added, &item)?;
    let codes = changed_codes(before, &item)?;
    must_be_nobodys(tx, id, &codes.added, &item)?;
    let looks: BTreeSet<String> = names.added.iter().chain(&names.gone).map(|name| look(name)).collect();
    tx.want_ranges(looks.iter().map(|look| looking_like(look)))?;
    let mut notes = ItemNotes::default();
    if item.archived && before.is_some_and(|before| !before.archived) {
        notes.remains = remains(tx, id)?;
    }
    for name in names.gone {
        tx.emit(Entry::SkuFreed(name))?;
    }
    for code in codes.gone {
        tx.emit(Entry::BarcodeFreed(code))?;
    }
    // A new item is known by the entry that makes it: nothing has gone of one that was not there.
    debug_assert!(known.is_some() || id.0 == tx.next_seq(), "an item's id is its entry's");
    tx.emit(Entry::Item(id, Box::new(item)))?;
    for look in &looks {
        notes
            .twins
            .extend(tell_twins(tx, look)?.into_iter().filter(|(twin, _)| *twin != id).map(|(_, sku)| sku));
    }
    notes.twins.sort_unstable();
    notes.twins.dedup();
    Ok(if notes == ItemNotes::default() { Answer::Item(id) } else { Answer::ItemNoted(id, notes) })
}

/// What is there now and was not before, and the other way round.
struct Changed {
    added: Vec<String>,
    gone: Vec<String>,
}

fn changed<'a>(before: impl Iterator<Item = &'a str>, now: impl Iterator<Item = &'a str>) -> Changed {
    let (before, now): (BTreeSet<&str>, BTreeSet<&str>) = (before.collect(), now.collect());
    let owned = |names: Vec<&&str>| names.into_iter().map(|name| (*name).to_owned()).collect();
    Changed {
        added: owned(now.difference(&before).collect()),
        gone: owned(before.difference(&now).collect()),
    }
}

fn changed_codes(before: Option<&Item>, item: &Item) -> Result<Changed, Stop> {
    let mut now = BTreeSet::new();
    for code in item.codes() {
        if !now.insert(gtin::canonical(code)) {
            return Err(Invalid::Twice { field: "barcodes", value: code.to_owned() }.into());
        }
    }
    let before: BTreeSet<String> = before.into_iter().flat_map(Item::codes).map(gtin::canonical).collect();
    Ok(changed(before.iter().map(String::as_str), now.iter().map(String::as_str)))
}

/// What is told of packs and levels is as precise as the item.
fn check_quantities(item: &Item) -> Result<(), Stop> {
    let packs = item.packs.iter().map(|pack| ("packs", pack.quantity));
    let levels = item.low_stock.level.into_iter().chain(item.low_stock.at.iter().map(|(_, level)| *level));
    for (field, quantity) in packs.chain(levels.map(|level| ("low_stock", level))) {
        if quantity.is_negative() {
            return Err(Invalid::Field { field, problem: "must not be negative".into() }.into());
        }
        if !quantity.is_acceptable() {
            return Err(Invalid::TooLarge { sku: item.sku.clone(), quantity }.into());
        }
        if !quantity.fits(item.precision) {
            let (sku, decimals) = (item.sku.clone(), item.precision.decimals());
            return Err(Invalid::TooPrecise { sku, quantity, decimals }.into());
        }
    }
    Ok(())
}

fn must_be_free(tx: &Tx<'_>, id: ItemId, names: &[String], item: &Item) -> Result<(), Stop> {
    if item.aliases.len() > MOST_ALIASES {
        let problem = format!("`{}` would have more than {MOST_ALIASES}", item.sku);
        return Err(Invalid::Field { field: "aliases", problem }.into());
    }
    tx.want(names.iter().map(|name| Key::Sku(name.clone())))?;
    for name in names {
        if let Some(Value::ItemId(other)) = tx.value(&Key::Sku(name.clone()))?
            && *other != id
        {
            return Err(Refusal::SkuTaken { name: name.clone(), sku: tx.sku(*other)? }.into());
        }
    }
    Ok(())
}

fn must_be_nobodys(tx: &Tx<'_>, id: ItemId, codes: &[String], item: &Item) -> Result<(), Stop> {
    tx.want(codes.iter().map(|code| Key::Barcode(code.clone())))?;
    for code in codes {
        if let Some(Value::ItemId(other)) = tx.value(&Key::Barcode(code.clone()))?
            && *other != id
        {
            let as_sent = item.codes().find(|sent| gtin::canonical(sent) == *code).unwrap_or(code);
            return Err(Refusal::BarcodeTaken { barcode: as_sent.to_owned(), sku: tx.sku(*other)? }.into());
        }
    }
    Ok(())
}

/// What there still is of an item, if anything.
fn remains(tx: &Tx<'_>, id: ItemId) -> Result<Option<Remains>, Stop> {
    let mut remains = Remains { short: tx.demand(id)?, ..Remains::default() };
    for (cell, quantity) in tx.stocked(id)? {
        match cell.state {
            StockState::InTransit => remains.in_transit += quantity,
            StockState::Reserved => remains.reserved += quantity,
            StockState::Committed => remains.committed += quantity,
            _ => {}
        }
        if StockState::ON_HAND.contains(&cell.state) {
            remains.on_hand += quantity;
        }
    }
    Ok((remains != Remains::default()).then_some(remains))
}

// ---- near-twins ----------------------------------------------------------------------------------------------

/// All items that have, or had, a name that looks like this.
fn looking_like(look: &str) -> (Key, Key) {
    (Key::Look(look.to_owned(), ItemId(0)), Key::Look(look.to_owned(), ItemId(Seq::MAX >> 1)))
}

/// The items of which a name looks like this, as they are in this decision; written where they are several, or were.
fn tell_twins(tx: &mut Tx<'_>, looks: &str) -> Result<Vec<(ItemId, String)>, Stop> {
    let (from, to) = looking_like(looks);
    let found: Vec<ItemId> = tx
        .range(from, to)?
        .into_iter()
        .filter_map(|(key, _)| match key {
            Key::Look(_, item) => Some(item),
            _ => None,
        })
        .collect();
    tx.want(found.iter().map(|item| Key::Item(*item)))?;
    let mut twins = Vec::new();
    for id in &found {
        let item = tx.item(*id)?;
        if item.merged_into.is_none() && item.names().any(|name| look(name) == looks) {
            twins.push((*id, item.sku.clone()));
        }
    }
    if twins.len() < 2 {
        twins.clear();
    }
    // One that was always alone was never written.
    if found.len() > 1 {
        let known = match tx.value(&Key::Twins(looks.to_owned()))? {
            Some(Value::Items(items)) => items.clone(),
            _ => Vec::new(),
        };
        let items: Vec<ItemId> = twins.iter().map(|(id, _)| *id).collect();
        if items != known {
            tx.emit(Entry::Twins(looks.to_owned(), items))?;
        }
    }
    Ok(twins)
}

/// Writes anew which items look like this one by any of its names.
pub(super) fn tell_twins_of(tx: &mut Tx<'_>, item: &Item) -> Result<(), Stop> {
    let looks: BTreeSet<String> = item.names().map(look).collect();
    tx.want_ranges(looks.iter().map(|look| looking_like(look)))?;
    looks.iter().try_for_each(|look| tell_twins(tx, look).map(|_| ()))
}

// ---- commands ------------------------------------------------------------------------------------------------

pub(super) fn rename(tx: &mut Tx<'_>, rename: &RenameItem) -> Result<Answer, Stop> {
    check_address("to", &rename.to)?;
    let id = tx.item_id(&rename.sku)?;
    let before = tx.item(id)?.clone();
    let mut item = before.clone();
    let old = std::mem::replace(&mut item.sku, rename.to.clone());
    if !rename.forget_old && old != item.sku {
        item.aliases.push(old);
    }
    write(tx, Some(id), Some(&before), item)
}

pub(super) fn change_aliases(tx: &mut Tx<'_>, change: &ChangeAliases) -> Result<Answer, Stop> {
    let id = tx.item_id(&change.sku)?;
    let before = tx.item(id)?.clone();
    let mut item = before.clone();
    for alias in &change.remove {
        if !item.aliases.contains(alias) {
            let what = if *alias == item.sku { "is its SKU; rename it instead" } else { "is no alias of it" };
            let problem = format!("`{alias}` of `{}` cannot be removed: it {what}", item.sku);
            return Err(Invalid::Field { field: "remove", problem }.into());
        }
        item.aliases.retain(|other| other != alias);
    }
    for alias in &change.add {
        check_address("add", alias)?;
        if !item.names().any(|name| name == alias) {
            item.aliases.push(alias.clone());
        }
    }
    write(tx, Some(id), Some(&before), item)
}

pub(super) fn set_low_stock(tx: &mut Tx<'_>, set: &SetLowStock) -> Result<Answer, Stop> {
    let id = tx.item_id(&set.sku)?;
    let location = set.location.as_deref().map(|code| tx.location_id(code)).transpose()?;
    let before = tx.item(id)?.clone();
    let mut item = before.clone();
    match location {
        None => item.low_stock.level = set.level,
        Some(location) => {
            item.low_stock.at.retain(|(other, _)| *other != location);
            item.low_stock.at.extend(set.level.map(|level| (location, level)));
            item.low_stock.at.sort_unstable();
        }
    }
    write(tx, Some(id), Some(&before), item)
}

// ---- for other commands --------------------------------------------------------------------------------------

/// How much a line is of its item in single units.
pub(super) fn unpacked(tx: &Tx<'_>, item: ItemId, line: &Line) -> Result<Quantity, Stop> {
    in_units(tx, item, line.quantity, line.pack.as_deref())
}

/// How much so many packs of an item are in single units; so much where none is named.
pub(super) fn in_units(
    tx: &Tx<'_>,
    item: ItemId,
    quantity: Quantity,
    pack: Option<&str>,
) -> Result<Quantity, Stop> {
    let Some(name) = pack else { return Ok(quantity) };
    let known = tx.item(item)?;
    let sku = || known.sku.clone();
    let Some(pack) = known.pack(name) else {
        let names = known.packs.iter().map(|pack| pack.name.clone()).collect();
        return Err(Invalid::UnknownPack { sku: sku(), pack: name.to_owned(), known: names }.into());
    };
    let micros = i128::from(quantity.micros()) * i128::from(pack.quantity.micros());
    let one = i128::from(Quantity::ONE.micros());
    let too_large = || Invalid::TooLarge { sku: sku(), quantity };
    if micros % one != 0 {
        let decimals = known.precision.decimals();
        return Err(Invalid::TooPrecise { sku: sku(), quantity, decimals }.into());
    }
    i64::try_from(micros / one).map(Quantity::from_micros).map_err(|_| too_large().into())
}

/// Refuses what is new of an archived item: stock that was asked for, and promises. Facts have happened.
pub(super) fn must_be_active(tx: &Tx<'_>, mut items: impl Iterator<Item = ItemId>) -> Result<(), Stop> {
    items.try_for_each(|id| match tx.item(id)? {
        item if item.archived => Err(Refusal::Archived { sku: item.sku.clone() }.into()),
        _ => Ok(()),
    })
}

/// Lines that speak of the past mean the items that were called so then.
pub(super) fn as_meant(tx: &Tx<'_>, lines: &mut [Named<'_>], at: Instant) -> Result<(), Stop> {
    for (item, line) in lines {
        *item = merge::meant(tx, &line.sku, *item, at)?;
    }
    Ok(())
}
