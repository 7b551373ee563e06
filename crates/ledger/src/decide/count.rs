//! Counts: what somebody saw, and when. Each is an anchor for what is heard of later (law 11).

use std::collections::{BTreeMap, BTreeSet};

use crate::answer::{Answer, Counted, Invalid, Refusal};
use crate::command::TakeCount;
use crate::entry::{Entry, PromiseChange};
use crate::key::{CellKey, Key, StockState};
use crate::model::{Cause, Count, Holder, Tracking};
use crate::state::Value;
use crate::{CountId, Instant, ItemId, LocationId, LotId, Quantity, SystemId};

use super::stock::{self, Change, Named, Resolved};
use super::tx::{Found, Stop, Tx};
use super::{balances, item, lines, lots, masters, order, promise};

pub(super) fn take(tx: &mut Tx<'_>, count: &TakeCount) -> Result<Answer, Stop> {
    let location = tx.location_id(&count.location)?;
    let teller = count.system.as_deref().map_or(Ok(SystemId::ONHAND), |name| tx.system_id(name))?;
    if count.net && teller == SystemId::ONHAND {
        let problem = "quantities are net of a system's orders; name that system".to_owned();
        return Err(Invalid::Field { field: "net", problem }.into());
    }
    let lines = resolve(tx, count)?;
    let as_of = match tx.past("as_of", count.as_of) {
        Ok(as_of) => as_of,
        // What a system tells has happened; its clock is wrong, which a person must look at.
        Err(Stop::Invalid(invalid @ Invalid::TooFarAhead { .. })) if teller != SystemId::ONHAND => {
            let (name, code) = (tx.system_name(teller)?, tx.location_code(location)?);
            let sentence = format!(
                "{name} told what it counted at {code}, and {invalid}: nothing was changed. Check its clock, and have it \
                 counted again."
            );
            return evidence(tx, count, teller, location, Cause::ClockAhead, sentence);
        }
        Err(stop) => return Err(stop),
    };
    let nodes = nodes(tx, location, count.inside)?;
    for (item, node) in lines.iter().flat_map(|(item, _)| nodes.iter().map(move |node| (*item, *node))) {
        let master = masters::master(tx, item, node)?;
        if master == teller {
            continue;
        }
        let (sku, code, name) = (tx.sku(item)?, tx.location_code(node)?, tx.system_name(master)?);
        if teller == SystemId::ONHAND {
            return Err(Refusal::NotMaster { sku, location: code, master: name }.into());
        }
        let teller_name = tx.system_name(teller)?;
        let sentence = format!(
            "{teller_name} told how much of {sku} there is at {code}, but the master there is {name}: \
             nothing was changed. Count it in {name}, or make {teller_name} its master."
        );
        return evidence(tx, count, teller, location, Cause::NotMaster, sentence);
    }
    let gone = none_of_them(tx, &lines, &nodes)?;
    let mut lines = lots::counted(tx, &lines)?;
    lines.extend(gone);
    if count.net {
        add_set_aside(tx, teller, &nodes, as_of, &mut lines)?;
    }
    let seen = lines.into_iter().map(|line| (line, as_of)).collect();
    book_all(tx, teller, location, count.inside, seen).map(|(_, answer)| answer)
}

/// The pieces that lie at these places, where a line says that none does.
fn none_of_them(tx: &Tx<'_>, lines: &[Named<'_>], nodes: &[LocationId]) -> Result<Vec<Resolved>, Stop> {
    let mut gone = Vec::new();
    for (item, line) in lines.iter().filter(|(_, line)| line.serials.as_ref().is_some_and(Vec::is_empty)) {
        let pieces: BTreeSet<LotId> = tx
            .stocked(*item)?
            .into_iter()
            .filter(|(cell, _)| cell.lot.0 != 0 && cell.state.is_physical() && nodes.contains(&cell.location))
            .map(|(cell, _)| cell.lot)
            .collect();
        let none = |lot| Resolved { item: *item, lot: Some(lot), quantity: Quantity::ZERO };
        gone.extend(pieces.into_iter().map(none));
        if line.lot.is_none() && has_unnamed_at(tx, *item, nodes)? {
            gone.push(Resolved { item: *item, lot: None, quantity: Quantity::ZERO });
        }
    }
    Ok(gone)
}

fn has_unnamed_at(tx: &Tx<'_>, item: ItemId, nodes: &[LocationId]) -> Result<bool, Stop> {
    let stocked = tx.stocked(item)?;
    Ok(stocked.iter().any(|(cell, _)| cell.lot.0 == 0 && nodes.contains(&cell.location)))
}

/// Adds to each quantity what the teller's own orders had set aside of it: it has taken that off.
///
/// What an order has set aside is what it is promised now, and what has left for it since. An order that the teller had
/// by then counts, whenever we heard of it; one that was cancelled meanwhile does not. A teller that has this place alone has
/// taken off what its orders are promised elsewhere too, and what they are short of: what is free there is what it says.
fn add_set_aside(
    tx: &Tx<'_>,
    teller: SystemId,
    nodes: &[LocationId],
    as_of: Instant,
    lines: &mut [Resolved],
) -> Result<(), Stop> {
    let mapped = &tx.system(teller)?.locations;
    let is_all = !mapped.is_empty() && mapped.iter().all(|mapping| nodes.contains(&mapping.location));
    if is_all {
        tx.want_stocked(lines.iter().map(|line| line.item))?;
    }
    let mut places = Vec::new();
    for line in lines.iter() {
        let mut at: BTreeSet<LocationId> = nodes.iter().copied().collect();
        if is_all {
            let promised = tx.stocked(line.item)?.into_iter().map(|(cell, _)| cell);
            let promised = promised.filter(|cell| cell.state == StockState::Committed);
            at.extend(promised.map(|cell| cell.location));
        }
        places.push(at);
    }
    let all = || lines.iter().zip(&places).flat_map(|(line, at)| at.iter().map(move |node| (line, *node)));
    let cell = |line: &Resolved, node| {
        CellKey::of(line.item, node, line.lot.unwrap_or_default(), StockState::Committed)
    };
    tx.want_cells(all().map(|(line, node)| cell(line, node)))?;
    tx.want_ranges(all().map(|(line, node)| promise::promises_range(line.item, node)))?;
    if is_all {
        tx.want_ranges(lines.iter().map(|line| order::short_lines(line.item)))?;
    }
    let mut set_aside = Vec::new();
    for (line, at) in lines.iter().zip(&places) {
        let mut orders = Vec::new();
        for node in at {
            for (key, value) in promise::promises_at(tx, line.item, *node)? {
                if let (Key::Promise(.., lot), Value::Promise(promise)) = (key, value)
                    && let Holder::Order(order) = promise.holder
                    && lot == line.lot.unwrap_or_default()
                {
                    orders.push((order, promise.quantity));
                }
            }
            for movement in tx.moved_after(cell(line, *node), as_of)? {
                if movement.to.state == StockState::Customer
                    && let Some(PromiseChange { holder: Holder::Order(order), .. }) = movement.promise
                {
                    orders.push((order, movement.quantity));
                }
            }
        }
        if is_all && line.lot.is_none() {
            let (first, last) = order::short_lines(line.item);
            let short = tx.range(first, last)?;
            orders.extend(short.into_iter().filter_map(|(key, value)| match key {
                Key::Short(_, order, _) => Some((order, stock::as_quantity(&value)?)),
                _ => None,
            }));
        }
        tx.want(orders.iter().map(|(order, _)| Key::Order(*order)))?;
        let mut sum = Quantity::ZERO;
        for (order, quantity) in orders {
            let order = tx.order(order)?;
            if order.system == teller && order.placed_at <= as_of {
                sum += quantity;
            }
        }
        set_aside.push(sum);
    }
    for (line, set_aside) in lines.iter_mut().zip(set_aside) {
        let told = line.quantity;
        line.quantity += set_aside;
        if line.quantity.is_negative() {
            let sku = tx.sku(line.item)?;
            let problem = format!(
                "{told} of `{sku}` cannot be: with the {set_aside} that its own orders have set aside that is less than nothing"
            );
            return Err(Invalid::Field { field: "quantity", problem }.into());
        }
        tx.check_quantity(line.item, line.quantity)?;
    }
    Ok(())
}

/// A location, with all that is inside it where that is counted too.
pub(super) fn nodes(tx: &Tx<'_>, location: LocationId, inside: bool) -> Result<Vec<LocationId>, Stop> {
    if inside { Ok(tx.sites()?.below(location, false)) } else { Ok(vec![location]) }
}

/// What a physical count of something at some places sees.
pub(super) fn cells(line: &Resolved, nodes: &[LocationId]) -> Vec<CellKey> {
    let (item, lot) = (line.item, line.lot.unwrap_or_default());
    let of = |node: LocationId| StockState::PHYSICAL.map(|state| CellKey::of(item, node, lot, state));
    nodes.iter().flat_map(|node| of(*node)).collect()
}

/// Books what was seen, each as of when it was; says which counts it became.
pub(super) fn book_all(
    tx: &mut Tx<'_>,
    teller: SystemId,
    location: LocationId,
    inside: bool,
    seen: Vec<(Resolved, Instant)>,
) -> Result<(Vec<CountId>, Answer), Stop> {
    let nodes = nodes(tx, location, inside)?;
    let inside = nodes.len() > 1;
    let cells = |line: &Resolved| cells(line, &nodes);
    tx.want_past(seen.iter().flat_map(|(line, as_of)| cells(line).into_iter().map(|cell| (cell, *as_of))))?;
    let available = |line: &Resolved, node| {
        CellKey::of(line.item, node, line.lot.unwrap_or_default(), StockState::Available)
    };
    let past = seen.iter().filter(|(_, as_of)| *as_of < tx.now);
    balances::want(tx, past.flat_map(|(line, _)| nodes.iter().map(|node| available(line, *node))))?;
    let changes = seen.iter().map(|(line, as_of)| (line.item, location, as_of.plus_micros(1)));
    tx.want(seen.iter().map(|(line, _)| Key::Counted(line.item, location)))?;
    stock::prefetch(tx, &[StockState::Adjustment], changes)?;
    let mut booked = Vec::new();
    for (line, as_of) in seen {
        let Resolved { item, lot, quantity: counted } = line;
        let lot = lot.unwrap_or_default();
        let found: Quantity = cells(&line).iter().map(|cell| tx.as_of(*cell, as_of)).sum::<Result<_, _>>()?;
        let is_found = tx.item(item)?.tracking == Tracking::Serials && counted > found;
        if is_found {
            lots::seen_where_it_was_not(tx, item, lot)?;
        }
        let count = Count { system: teller, item, location, lot, inside, as_of, counted, found };
        let id = book(tx, count, &nodes)?;
        if is_found {
            lots::must_be_one(tx, item, lot)?;
        }
        booked.push((id, item, counted, found));
    }
    order::settle(tx)?;
    let ids = booked.iter().map(|(id, ..)| *id).collect();
    let answers = booked.into_iter().map(|(id, item, counted, found)| {
        Ok(Counted {
            id,
            sku: tx.sku(item)?,
            counted,
            found,
            difference: counted - found,
            available: lines::lies_free(tx, item, location)?,
        })
    });
    let counted = answers.collect::<Result<_, Stop>>()?;
    Ok((ids, Answer::Counted(counted, tx.discrepancies.clone())))
}

/// Writes the count of these places, and books its difference at the time it was seen.
fn book(tx: &mut Tx<'_>, count: Count, nodes: &[LocationId]) -> Result<CountId, Stop> {
    let id = CountId(tx.next_seq());
    let Count { item, location, lot, inside, as_of, counted, found, .. } = count;
    tx.emit(Entry::Count(id, Box::new(count)))?;
    let difference = counted - found;
    let change = Change {
        item,
        location,
        lot,
        quantity: difference.abs(),
        inside,
        unnamed: lot.0 == 0 && tx.item(item)?.tracking != Tracking::None,
        party: StockState::Adjustment,
        occurred_at: as_of,
        reason: "counted",
        corrects: Some(id.0),
        // A later word about the same instant stands: only counts of a later instant saw this difference.
        seen_from: as_of.plus_micros(1),
    };
    if difference.is_positive() {
        stock::put_in(tx, change, StockState::Available)?;
    } else if difference.is_negative() {
        stock::take_out(tx, change, None)?;
    }
    for node in nodes {
        balances::give_back(tx, &Change { location: *node, inside: false, ..change })?;
    }
    Ok(id)
}

/// The lines of a count by item, or by lot or piece where it is tracked. Two cases and three single ones are one count.
fn resolve<'c>(tx: &Tx<'_>, count: &'c TakeCount) -> Result<Vec<Named<'c>>, Stop> {
    let mut seen = BTreeSet::new();
    for line in &count.lines {
        // A system that sold more than it has says less than nothing, before its own orders are added.
        if line.quantity.is_negative() && !count.net {
            let problem = format!("{} of `{}` cannot be counted; 0 or more can", line.quantity, line.sku);
            return Err(Invalid::Field { field: "quantity", problem }.into());
        }
        if !seen.insert((&line.sku, &line.pack, &line.lot, &line.serials)) {
            return Err(Invalid::Twice { field: "sku", value: line.sku.clone() }.into());
        }
    }
    stock::no_cost(&count.lines)?;
    let mut named =
        stock::resolve(tx, "a count", &count.lines, |quantity| count.net || !quantity.is_negative())?;
    item::as_meant(tx, &mut named, count.as_of.map_or(tx.now, |as_of| as_of.min(tx.now)))?;
    let mut packs = BTreeSet::new();
    let mut places = BTreeMap::<ItemId, usize>::new();
    let mut lines: Vec<Named<'c>> = Vec::with_capacity(named.len());
    for ((item, line), told) in named.into_iter().zip(&count.lines) {
        if tx.item(item)?.tracking != Tracking::None {
            lines.push((item, line));
            continue;
        }
        // A SKU may have other names too.
        if !packs.insert((item, &told.pack)) {
            return Err(Invalid::Twice { field: "sku", value: told.sku.clone() }.into());
        }
        match places.get(&item) {
            Some(place) => {
                let sum = &mut lines[*place].1.to_mut().quantity;
                *sum += line.quantity;
                tx.check_quantity(item, *sum)?;
            }
            None => {
                places.insert(item, lines.len());
                lines.push((item, line));
            }
        }
    }
    Ok(lines)
}

/// An absolute that is not stock: it is kept for a person and moves nothing.
fn evidence(
    tx: &mut Tx<'_>,
    count: &TakeCount,
    teller: SystemId,
    location: LocationId,
    cause: Cause,
    sentence: String,
) -> Result<Answer, Stop> {
    let item = count.lines.first().map(|line| tx.item_id(&line.sku)).transpose()?;
    let told: Vec<String> =
        count.lines.iter().map(|line| format!("{} {}", line.sku, line.quantity)).collect();
    let at = count.as_of.map_or_else(String::new, |at: Instant| format!(" as of {at}"));
    let found = Found {
        item,
        location: Some(location),
        system: teller,
        quantity: count.lines.first().map_or(Quantity::ZERO, |line| line.quantity),
        evidence: Some(format!("{}{at}", told.join(", "))),
        ..Found::new(cause, sentence.clone())
    };
    let id = tx.discrepancy(found)?;
    Ok(Answer::Waiting(id, sentence))
}
