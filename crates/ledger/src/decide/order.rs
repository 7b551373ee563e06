//! Orders: promising stock, releasing and breaking promises, and the requests about them.

use std::collections::BTreeMap;

use crate::answer::{Answer, Invalid, LineAnswer, Missing, Refusal};
use crate::command::{CancelOrder, FulfilOrder, LineQuantity, PlaceOrder, ReturnOrder};
use crate::entry::Entry;
use crate::key::{CellKey, Key, StockState};
use crate::model::{At, Became, Holder, KnownDocument, Order, OrderLine, add_at};
use crate::state::Value;
use crate::{Instant, ItemId, LocationId, LotId, OrderId, Quantity, Seq, SystemId};

use super::stock::{self, Change};
use super::tx::{Move, Stop, Tx};
use super::{document, item, merge};

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
    tx.want_cells(sites.sellable.iter().map(|(_, site)| CellKey::new(item, *site, StockState::Available)))?;
    let (from, to) = short_lines(item);
    let waiting = tx.range(from, to)?;
    want_served(tx, item, &sites, &waiting)?;
    for (key, value) in waiting {
        let (Key::Short(_, order, line), Some(short)) = (key, stock::as_quantity(&value)) else { continue };
        let allocated = allocate(tx, order, line, short, None, false)?;
        tx.edit_order(order)?.lines[line as usize].short -= allocated;
        if allocated < short {
            break;
        }
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
    let mut keys = Vec::new();
    for (key, value) in waiting {
        let (Key::Short(_, order, line), Some(short)) = (key, stock::as_quantity(value)) else { continue };
        if !left.is_positive() {
            break;
        }
        left -= short;
        keys.push(Key::Order(*order));
        keys.extend(
            sites.sellable.iter().map(|(_, site)| Key::Promise(item, *site, order.0, *line, LotId(0))),
        );
    }
    tx.want(keys)
}

/// Promises up to so much to a line, at one location or by rank; says how much. The caller books the rest.
pub(super) fn allocate(
    tx: &mut Tx<'_>,
    order: OrderId,
    line: u32,
    wanted: Quantity,
    only: Option<LocationId>,
    with_safety_stock: bool,
) -> Result<Quantity, Stop> {
    let item = tx.order(order)?.lines[line as usize].item;
    let sources: &[StockState] = if with_safety_stock {
        &[StockState::Available, StockState::SafetyStock]
    } else {
        &[StockState::Available]
    };
    let places = choose(tx, item, wanted, only, sources)?;
    let mut total = Quantity::ZERO;
    for (location, lot, state, quantity) in places {
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

/// Where to take so much from: the first site that has all of it, else the sites by rank; one state after another.
pub(super) fn choose(
    tx: &Tx<'_>,
    item: ItemId,
    wanted: Quantity,
    only: Option<LocationId>,
    sources: &[StockState],
) -> Result<Vec<(LocationId, LotId, StockState, Quantity)>, Stop> {
    let sites: Vec<LocationId> = match only {
        Some(location) => vec![location],
        None => tx.sites()?.sellable.into_iter().map(|(_, location)| location).collect(),
    };
    let cells = |state: StockState| sites.iter().map(move |site| CellKey::new(item, *site, state));
    tx.want_cells(sources.iter().flat_map(|state| cells(*state)))?;
    let mut chosen = Vec::new();
    let mut missing = wanted;
    for state in sources {
        let there: Vec<At> = sites
            .iter()
            .map(|site| {
                let quantity = tx.held(CellKey::new(item, *site, *state))?;
                Ok(At { location: *site, lot: LotId(0), quantity })
            })
            .collect::<Result<_, Stop>>()?;
        let whole = there.iter().find(|at| missing.is_positive() && at.quantity >= missing).copied();
        for at in whole.map_or(there, |at| vec![at]) {
            let quantity = at.quantity.min(missing);
            if quantity.is_positive() {
                chosen.push((at.location, at.lot, *state, quantity));
                missing -= quantity;
            }
        }
    }
    Ok(chosen)
}

/// Gives so much of what is promised to a line back, the last place first.
pub(super) fn release(tx: &mut Tx<'_>, order: OrderId, line: u32, quantity: Quantity) -> Result<(), Stop> {
    let mut missing = quantity;
    while missing.is_positive() {
        let known = &tx.order(order)?.lines[line as usize];
        let item = known.item;
        let at = *known.allocated.last().expect("no more is released than is allocated");
        let part = at.quantity.min(missing);
        tx.make(Move {
            item,
            lot: at.lot,
            from: (at.location, StockState::Committed),
            to: (at.location, StockState::Available),
            quantity: part,
            occurred_at: tx.now,
            reason: "released",
            promise: Some((Holder::Order(order), line)),
            corrects: None,
        })?;
        add_at(&mut tx.edit_order(order)?.lines[line as usize].allocated, at.location, at.lot, -part);
        missing -= part;
    }
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

pub(super) const fn holder_key(holder: Holder) -> Key {
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

/// Refuses unless all these lines together are available, at one place or over all that may sell.
pub(super) fn must_be_available(
    tx: &Tx<'_>,
    lines: &[(ItemId, Quantity)],
    only: Option<LocationId>,
) -> Result<(), Stop> {
    let mut wanted = BTreeMap::<ItemId, Quantity>::new();
    for (item, quantity) in lines {
        let total = wanted.entry(*item).or_default();
        *total = total.checked_add(*quantity).ok_or(Invalid::Overflow(tx.sku(*item)?))?;
    }
    let sites: Vec<LocationId> = match only {
        Some(location) => vec![location],
        None => tx.sites()?.sellable.into_iter().map(|(_, location)| location).collect(),
    };
    let cells = |item| sites.iter().map(move |site| CellKey::new(item, *site, StockState::Available));
    tx.want_cells(wanted.keys().flat_map(|item| cells(*item)))?;
    let mut missing = Vec::new();
    for (item, wanted) in wanted {
        let available: Quantity = cells(item).map(|cell| tx.held(cell)).sum::<Result<_, _>>()?;
        if available < wanted {
            missing.push(Missing {
                sku: tx.sku(item)?,
                location: only.map(|location| tx.location_code(location)).transpose()?,
                wanted,
                available,
                held: held(tx, item, &sites)?,
            });
        }
    }
    if missing.is_empty() { Ok(()) } else { Err(Refusal::Insufficient(missing).into()) }
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
        system: SystemId::ONHAND,
        document: document.clone(),
        version: 1,
        placed_at,
        cancelled: false,
        lines: (1..)
            .zip(lines)
            .map(|(number, (item, quantity))| OrderLine::new(number.to_string(), *item, *quantity))
            .collect(),
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
    item::must_be_active(tx, lines.iter().map(|(item, _)| *item))?;
    must_sell(tx, only)?;
    must_be_available(tx, &lines, only)?;
    let sites: Vec<LocationId> = match only {
        Some(location) => vec![location],
        None => tx.sites()?.sellable.into_iter().map(|(_, location)| location).collect(),
    };
    let committed = |site: &LocationId| {
        let site = *site;
        lines.iter().map(move |(item, _)| CellKey::new(*item, site, StockState::Committed))
    };
    tx.want_cells(sites.iter().flat_map(committed))?;
    let order = open(tx, place.reference.as_deref(), &lines)?;
    for (index, (_, quantity)) in (0..).zip(&lines) {
        let allocated = allocate(tx, order, index, *quantity, only, false)?;
        assert_eq!(allocated, *quantity, "all lines were available together");
    }
    answer(tx, order)
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
    merge::renew_lines(tx, order)?;
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
