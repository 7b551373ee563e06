//! Orders: promising stock, releasing and breaking promises, and the requests about them.

use std::collections::BTreeMap;

use crate::answer::{Answer, Invalid, LineAnswer, Missing, Refusal};
use crate::command::{CancelOrder, FulfilOrder, LineQuantity, PlaceOrder, ReturnOrder};
use crate::entry::Entry;
use crate::key::{CellKey, Key, StockState};
use crate::model::{At, Became, Holder, KnownDocument, Order, OrderLine, add_at};
use crate::state::Value;
use crate::{Instant, ItemId, LocationId, LotId, OrderId, Quantity, Seq, SystemId};

use super::allocation::{self, Part, Taken};
use super::beyond;
use super::document;
use super::policy::Route;
use super::stock::{self, Change};
use super::tx::{Move, Stop, Tx};

/// Writes what was changed, and promises what has become available to short lines, the oldest order first.
pub(super) fn settle(tx: &mut Tx<'_>) -> Result<(), Stop> {
    tx.write_edits()?;
    let grown = tx.take_grown();
    tx.want(grown.iter().map(|item| Key::Demand(*item)))?;
    for item in grown {
        if tx.demand(item)?.is_positive() {
            serve_short(tx, item)?;
            tx.write_edits()?;
        }
    }
    Ok(())
}

/// Offers what there is to all short lines: a place began to sell.
pub(super) fn offer_all(tx: &mut Tx<'_>) -> Result<(), Stop> {
    let demand = tx.range(Key::Demand(ItemId(0)), Key::Demand(ItemId(Seq::MAX >> 1)))?;
    let items: Vec<ItemId> = demand
        .into_iter()
        .filter_map(|(key, value)| match (key, stock::as_quantity(&value)) {
            (Key::Demand(item), Some(quantity)) if quantity.is_positive() => Some(item),
            _ => None,
        })
        .collect();
    let sites = tx.sites()?.sellable;
    let cells =
        |item: ItemId| sites.iter().map(move |(_, site)| CellKey::new(item, *site, StockState::Available));
    tx.want_cells(items.iter().flat_map(|item| cells(*item)))?;
    tx.want_ranges(items.iter().map(|item| short_lines(*item)))?;
    for item in items {
        serve_short(tx, item)?;
        tx.write_edits()?;
    }
    Ok(())
}

/// All short lines of an item, the oldest order first.
const fn short_lines(item: ItemId) -> (Key, Key) {
    (Key::Short(item, OrderId(0), 0), Key::Short(item, OrderId(Seq::MAX), u32::MAX))
}

fn serve_short(tx: &mut Tx<'_>, item: ItemId) -> Result<(), Stop> {
    let sites = tx.sites()?;
    let cells = || sites.sellable.iter().map(|(_, site)| CellKey::new(item, *site, StockState::Available));
    tx.want_cells(cells())?;
    let (from, to) = short_lines(item);
    let waiting = tx.range(from, to)?;
    want_served(tx, item, &sites, &waiting)?;
    let mut left: Quantity = cells().map(|cell| tx.held(cell)).sum::<Result<_, _>>()?;
    for (key, value) in waiting {
        let (Key::Short(_, order, line), Some(short)) = (key, stock::as_quantity(&value)) else { continue };
        if !left.is_positive() {
            break;
        }
        let allocated = allocate(tx, order, line, short, None, false)?;
        tx.edit_order(order)?.lines[line as usize].short -= allocated;
        left -= allocated;
    }
    Ok(())
}

/// Fetches together what serving short lines will read, as far as what is available reaches.
fn want_served(
    tx: &Tx<'_>,
    item: ItemId,
    sites: &crate::model::Sites,
    waiting: &[(Key, Value)],
) -> Result<(), Stop> {
    let mut left = Quantity::ZERO;
    for (_, site) in &sites.sellable {
        left += tx.held(CellKey::new(item, *site, StockState::Available))?;
    }
    // Where a rule leaves places out, a line may be passed over that is older.
    let passes_over = tx
        .rules()?
        .is_some_and(|rules| rules.allocation.iter().any(|(_, rule)| rule.whole || rule.only_these));
    let mut orders = Vec::new();
    let mut keys = Vec::new();
    for (key, value) in waiting {
        let (Key::Short(_, order, line), Some(short)) = (key, stock::as_quantity(value)) else { continue };
        if !left.is_positive() {
            break;
        }
        if !passes_over {
            left -= short;
        }
        orders.push(*order);
        keys.push(Key::Order(*order));
        keys.extend(
            sites.sellable.iter().map(|(_, site)| Key::Promise(item, *site, order.0, *line, LotId(0))),
        );
    }
    tx.want(keys)?;
    want_told(tx, orders)
}

/// Fetches together the discrepancies that say what is short of these orders: they end with it.
fn want_told(tx: &Tx<'_>, orders: Vec<OrderId>) -> Result<(), Stop> {
    let mut told = Vec::new();
    for order in orders {
        told.extend(tx.order(order)?.short_told.map(Key::Discrepancy));
    }
    tx.want(told)
}

/// Promises up to so much to a line, at one location or by its rule; says how much. The caller books the rest.
pub(super) fn allocate(
    tx: &mut Tx<'_>,
    order: OrderId,
    line: u32,
    wanted: Quantity,
    only: Option<LocationId>,
    with_safety_stock: bool,
) -> Result<Quantity, Stop> {
    let allocated = allocate_all(tx, order, &[(line, wanted)], only, with_safety_stock)?;
    Ok(allocated.into_iter().sum())
}

/// Promises up to so much to each of these lines, divided together where the rule says so; says how much to each.
fn allocate_all(
    tx: &mut Tx<'_>,
    order: OrderId,
    wanted: &[(u32, Quantity)],
    only: Option<LocationId>,
    with_safety_stock: bool,
) -> Result<Vec<Quantity>, Stop> {
    let lines = &tx.order(order)?.lines;
    let wants: Vec<(ItemId, Quantity)> =
        wanted.iter().map(|(line, quantity)| (lines[*line as usize].item, *quantity)).collect();
    let sources: &[StockState] = if with_safety_stock {
        &[StockState::Available, StockState::SafetyStock]
    } else {
        &[StockState::Available]
    };
    let route = allocation::route_of(tx, order, only)?;
    let serving = allocation::serving(tx, order)?;
    let parts = allocation::divide(tx, &route, &serving, &wants, sources, Taken::new())?;
    let mut allocated = Vec::new();
    for ((line, _), parts) in wanted.iter().zip(parts) {
        allocated.push(commit(tx, order, *line, parts)?);
    }
    Ok(allocated)
}

/// Promises these parts to a line; says how much that is.
fn commit(tx: &mut Tx<'_>, order: OrderId, line: u32, parts: Vec<Part>) -> Result<Quantity, Stop> {
    let item = tx.order(order)?.lines[line as usize].item;
    let mut total = Quantity::ZERO;
    for (location, lot, state, quantity) in parts {
        tx.make(Move {
            item,
            lot,
            from: (location, state),
            to: (location, StockState::Committed),
            quantity,
            occurred_at: tx.now,
            reason: "allocated",
            promise: Some((Holder::Order(order), line)),
            corrects: None,
        })?;
        add_at(&mut tx.edit_order(order)?.lines[line as usize].allocated, location, lot, quantity);
        total += quantity;
    }
    Ok(total)
}

/// Gives so much of what is promised to a line back, the last place first.
pub(super) fn release(tx: &mut Tx<'_>, order: OrderId, line: u32, quantity: Quantity) -> Result<(), Stop> {
    let mut missing = quantity;
    while missing.is_positive() {
        let known = &tx.order(order)?.lines[line as usize];
        let at = *known.allocated.last().expect("no more is released than is allocated");
        let part = at.quantity.min(missing);
        release_from(tx, order, line, At { quantity: part, ..at })?;
        missing -= part;
    }
    Ok(())
}

/// Gives so much of what is promised to a line at a location back, the last lot first.
pub(super) fn release_at(
    tx: &mut Tx<'_>,
    order: OrderId,
    line: u32,
    location: LocationId,
    quantity: Quantity,
) -> Result<(), Stop> {
    let mut missing = quantity;
    while missing.is_positive() {
        let known = &tx.order(order)?.lines[line as usize];
        let there = known.allocated.iter().rev().find(|at| at.location == location);
        let at = *there.expect("no more is released than is allocated there");
        let part = at.quantity.min(missing);
        release_from(tx, order, line, At { quantity: part, ..at })?;
        missing -= part;
    }
    Ok(())
}

fn release_from(tx: &mut Tx<'_>, order: OrderId, line: u32, at: At) -> Result<(), Stop> {
    let item = tx.order(order)?.lines[line as usize].item;
    let At { location, lot, quantity } = at;
    tx.make(Move {
        item,
        lot,
        from: (location, StockState::Committed),
        to: (location, StockState::Available),
        quantity,
        occurred_at: tx.now,
        reason: "released",
        promise: Some((Holder::Order(order), line)),
        corrects: None,
    })?;
    add_at(&mut tx.edit_order(order)?.lines[line as usize].allocated, location, lot, -quantity);
    Ok(())
}

/// Frees up to so much of what is promised at a location, the youngest promises first; says how much.
pub(super) fn break_promises(
    tx: &mut Tx<'_>,
    item: ItemId,
    location: LocationId,
    wanted: Quantity,
) -> Result<Quantity, Stop> {
    let promises = promises_at(tx, item, location)?;
    // All that will be read is fetched together: one at a time, a decision would be made as often as there are promises.
    let mut reached = Quantity::ZERO;
    let mut keys = Vec::new();
    for (key, value) in promises.iter().rev() {
        let Value::Promise(promise) = value else { continue };
        keys.extend([key.clone(), holder_key(promise.holder)]);
        reached += promise.quantity;
        if reached >= wanted {
            break;
        }
    }
    tx.want(keys)?;
    let mut missing = wanted;
    for (key, value) in promises.into_iter().rev() {
        let (Key::Promise(_, _, _, line, lot), Value::Promise(promise)) = (key, value) else { continue };
        let part = promise.quantity.min(missing);
        if !part.is_positive() {
            break;
        }
        let state = match promise.holder {
            Holder::Order(_) => StockState::Committed,
            Holder::Hold(_) => StockState::Reserved,
        };
        tx.make(Move {
            item,
            lot,
            from: (location, state),
            to: (location, StockState::Available),
            quantity: part,
            occurred_at: tx.now,
            reason: "promise broken",
            promise: Some((promise.holder, line)),
            corrects: None,
        })?;
        match promise.holder {
            Holder::Order(order) => {
                let line = &mut tx.edit_order(order)?.lines[line as usize];
                add_at(&mut line.allocated, location, lot, -part);
                line.short += part;
            }
            Holder::Hold(hold) => {
                add_at(&mut tx.edit_hold(hold)?.lines[line as usize].reserved, location, lot, -part);
            }
        }
        missing -= part;
    }
    Ok(wanted - missing)
}

/// All that is promised of an item at a location, the oldest first.
fn promises_at(tx: &Tx<'_>, item: ItemId, location: LocationId) -> Result<Vec<(Key, Value)>, Stop> {
    let last = Key::Promise(item, location, Seq::MAX, u32::MAX, LotId(Seq::MAX));
    tx.range(Key::Promise(item, location, 0, 0, LotId(0)), last)
}

const fn holder_key(holder: Holder) -> Key {
    match holder {
        Holder::Order(order) => Key::Order(order),
        Holder::Hold(hold) => Key::Hold(hold),
    }
}

/// Refuses to promise from a place that does not sell. A fact may name any place: it has happened there.
pub(super) fn must_sell(tx: &Tx<'_>, only: Option<LocationId>) -> Result<(), Stop> {
    match only.map(|location| tx.location(location)).transpose()? {
        Some(location) if !location.sellable => {
            Err(Refusal::NotSellable { location: location.code.clone() }.into())
        }
        _ => Ok(()),
    }
}

/// Refuses unless all these lines together are available at these places.
pub(super) fn must_be_available(
    tx: &Tx<'_>,
    lines: &[(ItemId, Quantity)],
    places: &[LocationId],
    named: Option<LocationId>,
) -> Result<(), Stop> {
    let missing: Vec<Missing> =
        lacking(tx, lines, places, named)?.into_iter().map(|(_, missing)| missing).collect();
    if missing.is_empty() { Ok(()) } else { Err(Refusal::Insufficient(missing).into()) }
}

/// What of these lines together is not available at these places.
pub(super) fn lacking(
    tx: &Tx<'_>,
    lines: &[(ItemId, Quantity)],
    places: &[LocationId],
    named: Option<LocationId>,
) -> Result<Vec<(ItemId, Missing)>, Stop> {
    let mut wanted = BTreeMap::<ItemId, Quantity>::new();
    for (item, quantity) in lines {
        let total = wanted.entry(*item).or_default();
        *total = total.checked_add(*quantity).ok_or(Invalid::Overflow(tx.sku(*item)?))?;
    }
    let cells = |item| places.iter().map(move |site| CellKey::new(item, *site, StockState::Available));
    tx.want_cells(wanted.keys().flat_map(|item| cells(*item)))?;
    let mut missing = Vec::new();
    for (item, wanted) in wanted {
        let available: Quantity = cells(item).map(|cell| tx.held(cell)).sum::<Result<_, _>>()?;
        if available < wanted {
            let location = named.map(|location| tx.location_code(location)).transpose()?;
            let held = held(tx, item, places)?;
            let sku = tx.sku(item)?;
            missing.push((item, Missing { sku, location, wanted, available, held, beyond: None }));
        }
    }
    Ok(missing)
}

/// How much checkouts hold of an item at these places, and when the first of them ends.
fn held(tx: &Tx<'_>, item: ItemId, sites: &[LocationId]) -> Result<Option<(Quantity, Instant)>, Stop> {
    tx.want_cells(sites.iter().map(|site| CellKey::new(item, *site, StockState::Reserved)))?;
    let mut total = Quantity::ZERO;
    let mut first = Instant::MAX;
    for site in sites {
        if !tx.held(CellKey::new(item, *site, StockState::Reserved))?.is_positive() {
            continue;
        }
        let promises = promises_at(tx, item, *site)?;
        tx.want(promises.iter().filter_map(|(_, value)| match value {
            Value::Promise(promise) if matches!(promise.holder, Holder::Hold(_)) => {
                Some(holder_key(promise.holder))
            }
            _ => None,
        }))?;
        for (_, value) in promises {
            if let Value::Promise(promise) = value
                && let Holder::Hold(hold) = promise.holder
            {
                total += promise.quantity;
                first = first.min(tx.hold(hold)?.expires_at);
            }
        }
    }
    Ok(total.is_positive().then_some((total, first)))
}

/// The lines of an order, as answered.
pub(super) fn line_answers(tx: &Tx<'_>, order: OrderId) -> Result<Vec<LineAnswer>, Stop> {
    let lines = &tx.order(order)?.lines;
    lines
        .iter()
        .map(|line| {
            Ok(LineAnswer {
                line: line.line.clone(),
                sku: tx.sku(line.item)?,
                quantity: line.wanted,
                allocated: line.allocated_total(),
                shipped: line.shipped_total(),
                short: line.short,
                backordered: line.backordered,
                preordered: line.preordered,
            })
        })
        .collect()
}

fn answer(tx: &mut Tx<'_>, order: OrderId) -> Result<Answer, Stop> {
    settle(tx)?;
    Ok(Answer::Order(order, line_answers(tx, order)?))
}

/// An order of ours with all its lines allocated, once it is known that they can be.
pub(super) fn open(
    tx: &mut Tx<'_>,
    reference: Option<&str>,
    lines: &[(ItemId, Quantity)],
) -> Result<OrderId, Stop> {
    if let Some(reference) = reference {
        if reference.is_empty() || reference.len() > 255 {
            return Err(Invalid::Field {
                field: "reference",
                problem: "must have 1 to 255 characters".into(),
            }
            .into());
        }
        let (owner, name) = (SystemId::ONHAND, || reference.to_owned());
        tx.want([Key::Document(owner, name()), Key::Waiting(owner, name())])?;
        match tx.known_document(SystemId::ONHAND, reference)?.map(|known| known.became) {
            None => {}
            Some(Became::Order(order)) => {
                return Err(Refusal::ReferenceTaken { reference: reference.to_owned(), order }.into());
            }
            Some(Became::Lines(_) | Became::Shipment(_)) => {
                let problem = format!("`{reference}` is the name of another document; use a name of its own");
                return Err(Invalid::Field { field: "reference", problem }.into());
            }
        }
    }
    let document = reference.map_or_else(|| tx.next_seq().to_string(), str::to_owned);
    let placed_at = tx.now;
    let order = tx.open_order(Order {
        lines: (1..)
            .zip(lines)
            .map(|(number, (item, quantity))| OrderLine::new(number.to_string(), *item, *quantity))
            .collect(),
        ..Order::new(SystemId::ONHAND, document.clone(), 1, placed_at)
    });
    if reference.is_some() {
        let known = KnownDocument { version: 1, fingerprint: 0, seq: order.0, became: Became::Order(order) };
        tx.emit(Entry::Document(SystemId::ONHAND, document, known))?;
        document::reclaim(tx, order)?;
    }
    Ok(order)
}

pub(super) fn place(tx: &mut Tx<'_>, place: &PlaceOrder) -> Result<Answer, Stop> {
    let only = place.location.as_deref().map(|code| tx.location_id(code)).transpose()?;
    let lines = stock::resolve_lines(tx, "an order", &place.lines)?;
    check_terms(tx, place)?;
    must_sell(tx, only)?;
    let mut route = allocation::route_for(tx, SystemId::ONHAND, place.ship_to.as_deref(), only)?;
    beyond::must_be_had(tx, &lines, &mut route, only, place.backorder != Some(false))?;
    want_committed(tx, &lines, &route)?;
    let order = open(tx, place.reference.as_deref(), &lines)?;
    let edited = tx.edit_order(order)?;
    edited.ship_by = place.ship_by;
    edited.ship_to.clone_from(&place.ship_to);
    for (line, price) in edited.lines.iter_mut().zip(place.prices.iter().flatten()) {
        line.price.clone_from(price);
    }
    let parts = allocation::divide(tx, &route, &[], &lines, &[StockState::Available], Taken::new())?;
    for (index, (parts, (item, quantity))) in (0..).zip(parts.into_iter().zip(&lines)) {
        let waits = *quantity - commit(tx, order, index, parts)?;
        if waits.is_positive() {
            let preorder = beyond::is_preorder(tx, *item)?;
            let line = &mut tx.edit_order(order)?.lines[index as usize];
            line.short = waits;
            if preorder { line.preordered = waits } else { line.backordered = waits }
        }
    }
    answer(tx, order)
}

/// Fetches together the cells that a new order will fill.
fn want_committed(tx: &Tx<'_>, lines: &[(ItemId, Quantity)], route: &Route) -> Result<(), Stop> {
    let committed = |site: &LocationId| {
        let site = *site;
        lines.iter().map(move |(item, _)| CellKey::new(*item, site, StockState::Committed))
    };
    tx.want_cells(route.places.iter().flat_map(committed))
}

/// What an order says beside its lines.
fn check_terms(tx: &Tx<'_>, place: &PlaceOrder) -> Result<(), Stop> {
    if let Some(region) = &place.ship_to {
        allocation::check_region("ship_to", region)?;
    }
    check_ship_by(tx, place.ship_by)?;
    if let Some(prices) = &place.prices {
        if prices.len() != place.lines.len() {
            let problem =
                format!("{} prices for {} lines; one for each, or none", prices.len(), place.lines.len());
            return Err(Invalid::Field { field: "prices", problem }.into());
        }
        prices.iter().flatten().try_for_each(crate::Money::check)?;
    }
    Ok(())
}

/// An order is to leave in a time that people plan for.
pub(super) fn check_ship_by(tx: &Tx<'_>, ship_by: Option<Instant>) -> Result<(), Stop> {
    const TEN_YEARS: i64 = 10 * 366 * 24 * 3_600;
    match ship_by {
        Some(at) if at > tx.now.plus_seconds(TEN_YEARS) || at < tx.now.plus_seconds(-TEN_YEARS) => {
            let problem = format!("{at} is more than ten years from now");
            Err(Invalid::Field { field: "ship_by", problem }.into())
        }
        _ => Ok(()),
    }
}

/// The index of a line by its name.
fn line_index(tx: &Tx<'_>, order: OrderId, name: &str) -> Result<u32, Stop> {
    let position = tx.order(order)?.lines.iter().position(|line| line.line == name);
    let index =
        position.ok_or(Invalid::Unknown { kind: "order line", id: format!("`{name}` in order {order}") })?;
    Ok(u32::try_from(index).expect("orders have fewer than 2^32 lines"))
}

/// The lines that a request names, each once, with what it wants of each; or all, with what each has.
fn chosen_lines(
    tx: &Tx<'_>,
    order: OrderId,
    verb: &str,
    lines: Option<&[LineQuantity]>,
    has: impl Fn(&OrderLine) -> Quantity,
) -> Result<Vec<(u32, Quantity)>, Stop> {
    let known = tx.order(order)?;
    let Some(lines) = lines else {
        let all = (0..).zip(&known.lines).map(|(index, line)| (index, has(line)));
        return Ok(all.filter(|(_, quantity)| quantity.is_positive()).collect());
    };
    if lines.is_empty() {
        return Err(Invalid::NoLines("this").into());
    }
    let mut chosen = Vec::new();
    for LineQuantity { line, quantity } in lines {
        let index = line_index(tx, order, line)?;
        if chosen.iter().any(|(other, _)| *other == index) {
            return Err(Invalid::Twice { field: "line", value: line.clone() }.into());
        }
        let known = &known.lines[index as usize];
        let sku = tx.sku(known.item)?;
        if !quantity.is_positive() {
            return Err(Invalid::NotPositive { field: "quantity", sku, quantity: *quantity }.into());
        }
        tx.check_quantity(known.item, *quantity)?;
        if has(known) < *quantity {
            return Err(Refusal::LineHasLess {
                order,
                line: line.clone(),
                verb: verb.to_owned(),
                has: has(known),
                wanted: *quantity,
            }
            .into());
        }
        chosen.push((index, *quantity));
    }
    Ok(chosen)
}

/// Fetches together what changing the lines of an order will read.
pub(super) fn want_promises(tx: &Tx<'_>, order: OrderId) -> Result<(), Stop> {
    let known = tx.order(order)?;
    let mut cells = Vec::new();
    let mut keys = Vec::new();
    for (index, line) in (0..).zip(&known.lines) {
        keys.extend([Key::Item(line.item), Key::Demand(line.item)]);
        cells.push(CellKey::party(line.item, StockState::Customer));
        for place in line.allocated.iter().chain(&line.shipped) {
            keys.push(Key::Counted(line.item, place.location));
            keys.push(Key::Promise(line.item, place.location, order.0, index, place.lot));
            let cell = |state| CellKey::new(line.item, place.location, state);
            cells.extend([cell(StockState::Available), cell(StockState::Committed)]);
        }
    }
    tx.want(keys)?;
    tx.want_cells(cells)
}

pub(super) fn fulfil(tx: &mut Tx<'_>, fulfil: &FulfilOrder) -> Result<Answer, Stop> {
    let order = fulfil.order;
    let at = tx.past("occurred_at", fulfil.occurred_at)?;
    let lines = chosen_lines(tx, order, "ship", fulfil.lines.as_deref(), OrderLine::allocated_total)?;
    want_promises(tx, order)?;
    for (index, quantity) in lines {
        let mut missing = quantity;
        for place in tx.order(order)?.lines[index as usize].allocated.clone() {
            let part = place.quantity.min(missing);
            if part.is_positive() {
                let item = tx.order(order)?.lines[index as usize].item;
                stock::must_be_ours(tx, item, place.location)?;
                stock::ship(tx, order, index, place.location, part, at)?;
                missing -= part;
            }
        }
    }
    answer(tx, order)
}

pub(super) fn cancel(tx: &mut Tx<'_>, cancel: &CancelOrder) -> Result<Answer, Stop> {
    let order = cancel.order;
    let open = |line: &OrderLine| line.wanted - line.shipped_total();
    let lines = chosen_lines(tx, order, "cancel", cancel.lines.as_deref(), open)?;
    want_promises(tx, order)?;
    for (index, quantity) in lines {
        let wanted = tx.order(order)?.lines[index as usize].wanted;
        want(tx, order, index, wanted - quantity, None)?;
    }
    let edited = tx.edit_order(order)?;
    edited.cancelled = edited.lines.iter().all(|line| line.wanted.is_zero());
    document::reclaim(tx, order)?;
    answer(tx, order)
}

pub(super) fn take_back(tx: &mut Tx<'_>, back: &ReturnOrder) -> Result<Answer, Stop> {
    const INTO: [StockState; 3] = [StockState::Available, StockState::Damaged, StockState::QualityControl];
    if !INTO.contains(&back.into) {
        let problem =
            format!("`{}` takes no returns; available, damaged and quality_control do", back.into.name());
        return Err(Invalid::Field { field: "into", problem }.into());
    }
    let order = back.order;
    let at = tx.past("occurred_at", back.occurred_at)?;
    let to = back.location.as_deref().map(|code| tx.location_id(code)).transpose()?;
    let out = |line: &OrderLine| line.shipped_total() - line.returned;
    let lines = chosen_lines(tx, order, "return", Some(&back.lines), out)?;
    for (index, quantity) in lines {
        come_back(tx, order, index, quantity, to, back.into, at)?;
    }
    answer(tx, order)
}

/// So much of a line came back: where it was shipped from, unless a place is named.
pub(super) fn come_back(
    tx: &mut Tx<'_>,
    order: OrderId,
    line: u32,
    quantity: Quantity,
    to: Option<LocationId>,
    into: StockState,
    at: Instant,
) -> Result<(), Stop> {
    let known = &tx.order(order)?.lines[line as usize];
    let item = known.item;
    let shipped_from = known.shipped.last().map(|place| place.location);
    let location = to.or(shipped_from).expect("a line that has shipped has a place it shipped from");
    if tx.document.is_none() {
        stock::must_be_ours(tx, item, location)?;
    }
    let change = Change {
        item,
        location,
        lot: LotId(0),
        quantity,
        party: StockState::Customer,
        occurred_at: at,
        reason: "returned",
        corrects: None,
        seen_from: at,
    };
    stock::put_in(tx, change, into)?;
    tx.edit_order(order)?.lines[line as usize].returned += quantity;
    Ok(())
}

/// Sets how much of a line is wanted: more is allocated as far as it goes, less is released, short lines first.
/// Never less than what has shipped.
pub(super) fn want(
    tx: &mut Tx<'_>,
    order: OrderId,
    line: u32,
    wanted: Quantity,
    only: Option<LocationId>,
) -> Result<(), Stop> {
    let known = &tx.order(order)?.lines[line as usize];
    let wanted = wanted.max(known.shipped_total());
    let more = wanted - known.wanted;
    tx.edit_order(order)?.lines[line as usize].wanted = wanted;
    if more.is_positive() {
        let mut allocated = allocate(tx, order, line, more, only, true)?;
        if allocated < more && only.is_some() {
            // Short is what nothing covers: the next stock that came in anywhere would serve it from elsewhere too.
            allocated += allocate(tx, order, line, more - allocated, None, true)?;
        }
        tx.edit_order(order)?.lines[line as usize].short += more - allocated;
    } else if more.is_negative() {
        let edited = &mut tx.edit_order(order)?.lines[line as usize];
        let from_short = edited.short.min(-more);
        edited.short -= from_short;
        release(tx, order, line, -more - from_short)?;
    }
    Ok(())
}

/// Raises what is wanted of these lines: together, so that the rule can divide all of them at once.
pub(super) fn want_together(tx: &mut Tx<'_>, order: OrderId, wants: &[(u32, Quantity)]) -> Result<(), Stop> {
    let mut more = Vec::new();
    for (line, wanted) in wants {
        let edited = &mut tx.edit_order(order)?.lines[*line as usize];
        more.push((*line, *wanted - edited.wanted));
        edited.wanted = *wanted;
    }
    let allocated = allocate_all(tx, order, &more, None, true)?;
    for ((line, more), allocated) in more.into_iter().zip(allocated) {
        tx.edit_order(order)?.lines[line as usize].short += more - allocated;
    }
    Ok(())
}
