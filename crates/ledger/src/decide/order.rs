//! Orders: promising stock, releasing and breaking promises, and the requests about them.

use std::collections::{BTreeMap, BTreeSet};

use crate::answer::{Answer, Invalid, LineAnswer, Missing, OutOf, Refusal};
use crate::availability;
use crate::command::{CancelOrder, FulfilOrder, LineQuantity, PlaceOrder, ReturnOrder};
use crate::entry::Entry;
use crate::key::{CellKey, Key, StockState};
use crate::model::{
    Became, CameBack, ComponentAt, Holder, KnownDocument, Order, OrderLine, Tracking, add_at,
};
use crate::state::Value;
use crate::{Instant, ItemId, LocationId, LotId, OrderId, Quantity, Seq, SystemId};

use super::policy::Route;
use super::stock::{self, Change, Resolved};
use super::tx::{Stop, Tx};
use super::{allocation, beyond, document, item, lines, lots, merge, promise};

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
    let sites = sites(tx, None)?;
    let cells = |item: ItemId| sites.iter().map(move |site| CellKey::new(item, *site, StockState::Available));
    tx.want_cells(items.iter().flat_map(|item| cells(*item)))?;
    tx.want_ranges(items.iter().map(|item| short_lines(*item)))?;
    for item in items {
        serve_short(tx, item)?;
        tx.write_edits()?;
    }
    Ok(())
}

/// All short lines of an item, the oldest order first.
pub(super) const fn short_lines(item: ItemId) -> (Key, Key) {
    (Key::Short(item, OrderId(0), 0), Key::Short(item, OrderId(Seq::MAX), u32::MAX))
}

/// Promises what there is of an item to its short lines, and of kits that it is a component of to theirs.
fn serve_short(tx: &mut Tx<'_>, item: ItemId) -> Result<(), Stop> {
    let sites: Vec<LocationId> = sites(tx, None)?;
    let (from, to) = short_lines(item);
    let waiting = tx.range(from, to)?;
    want_served(tx, item, &sites, &waiting)?;
    let passes_over = passes_over(tx)?;
    for (key, value) in waiting {
        let (Key::Short(_, order, line), Some(_)) = (key, stock::as_quantity(&value)) else { continue };
        ask_again_where_goods_came(tx, item, order, line)?;
        let known = &tx.order(order)?.lines[line as usize];
        let (short, is_plain) = (known.short, known.item == item && known.lot.is_none());
        let is_plain = is_plain && known.build.recipe.is_empty() && known.declined.is_empty() && !passes_over;
        let allocated = allocate(tx, order, line, short, None, false)?;
        tx.edit_order(order)?.lines[line as usize].short -= allocated;
        // Whoever asks for one lot may go without, or a kit for want of another component, or where a rule leaves places
        // out, or a place has declined it, and others after it be served.
        if allocated < short && is_plain {
            break;
        }
    }
    Ok(())
}

/// Where goods of an item came in, a place that has declined a line is asked again.
fn ask_again_where_goods_came(tx: &mut Tx<'_>, item: ItemId, order: OrderId, line: u32) -> Result<(), Stop> {
    let declined = tx.order(order)?.lines[line as usize].declined.clone();
    if declined.is_empty() {
        return Ok(());
    }
    let sites = tx.sites()?;
    let came = |place: &LocationId| {
        tx.replenished.iter().any(|(other, at)| *other == item && sites.is_in(*at, *place))
    };
    let still: Vec<LocationId> = declined.iter().copied().filter(|place| !came(place)).collect();
    if still.len() < declined.len() {
        tx.edit_order(order)?.lines[line as usize].declined = still;
    }
    Ok(())
}

/// Fetches together what serving short lines will read, as far as what is available reaches.
fn want_served(
    tx: &Tx<'_>,
    item: ItemId,
    sites: &[LocationId],
    waiting: &[(Key, Value)],
) -> Result<(), Stop> {
    if waiting.is_empty() {
        return Ok(());
    }
    tx.want_cells(sites.iter().map(|site| CellKey::new(item, *site, StockState::Available)))?;
    let mut left = Quantity::ZERO;
    for site in sites {
        left += availability::available(&mut &*tx, item, *site)?;
    }
    let passes_over = passes_over(tx)?;
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
        keys.extend(sites.iter().map(|site| Key::Promise(item, *site, order.0, *line, LotId(0))));
    }
    tx.want(keys)?;
    // What says that they are short ends with it.
    let mut told = Vec::new();
    for order in orders {
        told.extend(tx.order(order)?.short_told.map(Key::Discrepancy));
    }
    tx.want(told)
}

/// Does a rule leave places out, so that a line may be passed over that is older?
fn passes_over(tx: &Tx<'_>) -> Result<bool, Stop> {
    let leaves_out =
        |rules: &crate::model::Rules| rules.allocation.iter().any(|(_, rule)| rule.whole || rule.only_these);
    Ok(tx.rules()?.is_some_and(leaves_out))
}

/// The places that are asked: one, or the sites by rank.
pub(super) fn sites(tx: &Tx<'_>, only: Option<LocationId>) -> Result<Vec<LocationId>, Stop> {
    match only {
        Some(location) => Ok(vec![location]),
        None => Ok(tx.sites()?.sellable.iter().map(|(_, location)| *location).collect()),
    }
}

/// Promises up to so much to an order's line, at one location or by its rule; says how much. The caller books the rest.
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
pub(super) fn allocate_all(
    tx: &mut Tx<'_>,
    order: OrderId,
    wanted: &[(u32, Quantity)],
    only: Option<LocationId>,
    with_safety_stock: bool,
) -> Result<Vec<Quantity>, Stop> {
    let passes: &[&[StockState]] = if with_safety_stock {
        &[&[StockState::Available], &[StockState::Available, StockState::SafetyStock]]
    } else {
        &[&[StockState::Available]]
    };
    let route = allocation::route_of(tx, order, only)?;
    let serving = if route.is_of_the_order() { allocation::serving(tx, order)? } else { Vec::new() };
    allocation::promise(tx, Holder::Order(order), wanted, &route, serving, passes, "allocated")
}

/// Gives so much of what is promised to an order's line back, the last place first.
pub(super) fn release(tx: &mut Tx<'_>, order: OrderId, line: u32, quantity: Quantity) -> Result<(), Stop> {
    let now = tx.now;
    promise::give_back(tx, Holder::Order(order), line, quantity, now, "released")
}

/// Refuses to promise from a place that does not sell. A fact may name any place: it has happened there.
pub(super) fn must_sell(tx: &Tx<'_>, only: Option<LocationId>) -> Result<(), Stop> {
    let Some(named) = only else { return Ok(()) };
    for around in tx.sites()?.above(named) {
        let location = tx.location(around)?;
        if !location.sellable {
            return Err(Refusal::NotSellable { location: location.code.clone() }.into());
        }
    }
    Ok(())
}

/// Refuses unless all these lines together are available at these places.
pub(super) fn must_be_available(
    tx: &Tx<'_>,
    lines: &[Resolved],
    places: &[LocationId],
    named: Option<LocationId>,
) -> Result<(), Stop> {
    let lacking = lacking(tx, lines, places, named)?;
    let missing: Vec<Missing> = lacking.into_iter().map(|(_, missing)| missing).collect();
    if missing.is_empty() { Ok(()) } else { Err(Refusal::Insufficient(missing).into()) }
}

/// What of these lines together is not available at these places. Kits are counted by what they are built of, beyond the
/// assembled ones; whether they can be built in one place shows when they are promised.
pub(super) fn lacking(
    tx: &Tx<'_>,
    lines: &[Resolved],
    sites: &[LocationId],
    only: Option<LocationId>,
) -> Result<Vec<(ItemId, Missing)>, Stop> {
    let mut wanted = BTreeMap::<(ItemId, Option<LotId>), Quantity>::new();
    let add = |wanted: &mut BTreeMap<_, Quantity>, key: (ItemId, Option<LotId>), quantity: Quantity| {
        let total = wanted.entry(key).or_default();
        match total.checked_add(quantity) {
            Some(sum) => *total = sum,
            None => return Err(Stop::from(Invalid::Overflow(tx.sku(key.0)?))),
        }
        Ok(())
    };
    for line in lines {
        add(&mut wanted, (line.item, line.lot), line.quantity)?;
    }
    let cells = |item| sites.iter().map(move |site| CellKey::new(item, *site, StockState::Available));
    tx.want_cells(wanted.keys().flat_map(|(item, _)| cells(*item)))?;
    let kits: Vec<(ItemId, Option<LotId>, Quantity)> = wanted
        .iter()
        .map(|((item, lot), quantity)| Ok((*item, *lot, *quantity, !tx.item(*item)?.kit.is_empty())))
        .collect::<Result<Vec<_>, Stop>>()?
        .into_iter()
        .filter_map(|(item, lot, quantity, is_kit)| is_kit.then_some((item, lot, quantity)))
        .collect();
    for (item, lot, quantity) in kits {
        let assembled = lying(tx, item, lot, sites)?;
        let rest = quantity - assembled.min(quantity);
        wanted.insert((item, lot), quantity - rest);
        for component in promise::recipe(tx, item)? {
            match availability::times(component.quantity, rest) {
                Some(more) => add(&mut wanted, (component.item, None), more)?,
                None => return Err(Invalid::Overflow(tx.sku(component.item)?).into()),
            }
        }
    }
    let mut missing = Vec::new();
    for ((item, lot), wanted) in wanted {
        let available = lying(tx, item, lot, sites)?;
        if available < wanted {
            missing.push((item, missing_of(tx, item, wanted, available, only, sites)?));
        }
    }
    Ok(missing)
}

fn missing_of(
    tx: &Tx<'_>,
    item: ItemId,
    wanted: Quantity,
    available: Quantity,
    only: Option<LocationId>,
    sites: &[LocationId],
) -> Result<Missing, Stop> {
    let location = only.map(|location| tx.location_code(location)).transpose()?;
    Ok(Missing {
        sku: tx.sku(item)?,
        location,
        out_of: OutOf::AVAILABLE,
        wanted,
        available,
        held: held(tx, item, sites)?,
        beyond: None,
    })
}

/// Refuses a line that was wanted whole and could not be promised whole: its kits cannot be built in one place.
pub(super) fn must_be_whole(
    tx: &Tx<'_>,
    line: &Resolved,
    promised: Quantity,
    places: &[LocationId],
    named: Option<LocationId>,
) -> Result<(), Stop> {
    if promised == line.quantity {
        return Ok(());
    }
    let missing = missing_of(tx, line.item, line.quantity, promised, named, places)?;
    Err(Refusal::Insufficient(vec![missing]).into())
}

/// The lines with the kits before the rest: they find fewer places.
pub(super) fn kits_first(tx: &Tx<'_>, lines: &[Resolved]) -> Result<Vec<(u32, Resolved)>, Stop> {
    let mut order = Vec::new();
    for (index, line) in (0..).zip(lines) {
        order.push((tx.item(line.item)?.kit.is_empty(), index, *line));
    }
    order.sort_by_key(|(plain, index, _)| (*plain, *index));
    Ok(order.into_iter().map(|(_, index, line)| (index, line)).collect())
}

/// What lies of an item at these places and can be promised.
fn lying(tx: &Tx<'_>, item: ItemId, lot: Option<LotId>, sites: &[LocationId]) -> Result<Quantity, Stop> {
    let mut total = Quantity::ZERO;
    for site in sites {
        let spots = availability::spots(&mut &*tx, item, *site, &[StockState::Available])?;
        total +=
            spots.iter().filter(|spot| lot.is_none_or(|lot| lot == spot.lot)).map(|spot| spot.quantity).sum();
    }
    Ok(total)
}

/// How much checkouts hold of an item at these places, and when the first of them ends.
pub(super) fn held(
    tx: &Tx<'_>,
    item: ItemId,
    sites: &[LocationId],
) -> Result<Option<(Quantity, Instant)>, Stop> {
    let tree = tx.sites()?;
    let nodes: Vec<LocationId> = sites.iter().flat_map(|site| availability::below(tree, *site)).collect();
    let tracked = tx.item(item)?.tracking != Tracking::None;
    let holding: Vec<LocationId> = if tracked || nodes.len() > 8 * sites.len() {
        let reserved = tx.stocked(item)?.into_iter().filter(|(cell, _)| cell.state == StockState::Reserved);
        let at: BTreeSet<LocationId> = reserved.map(|(cell, _)| cell.location).collect();
        nodes.into_iter().filter(|node| at.contains(node)).collect()
    } else {
        tx.want_cells(nodes.iter().map(|node| CellKey::new(item, *node, StockState::Reserved)))?;
        let mut holding = Vec::new();
        for node in nodes {
            if tx.held(CellKey::new(item, node, StockState::Reserved))?.is_positive() {
                holding.push(node);
            }
        }
        holding
    };
    let mut total = Quantity::ZERO;
    let mut first = Instant::MAX;
    tx.want_ranges(holding.iter().map(|node| promise::promises_range(item, *node)))?;
    for node in holding {
        let promises = promise::promises_at(tx, item, node)?;
        tx.want(promises.iter().filter_map(|(_, value)| match value {
            Value::Promise(promise) if matches!(promise.holder, Holder::Hold(_)) => {
                Some(promise::holder_key(promise.holder))
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
pub(super) fn open(tx: &mut Tx<'_>, reference: Option<&str>, lines: &[Resolved]) -> Result<OrderId, Stop> {
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
            Some(
                Became::Lines(_)
                | Became::Shipment(_)
                | Became::Receipt(_)
                | Became::Arrived(_)
                | Became::Reply(_),
            ) => {
                let problem = format!("`{reference}` is the name of another document; use a name of its own");
                return Err(Invalid::Field { field: "reference", problem }.into());
            }
        }
    }
    let document = reference.map_or_else(|| tx.next_seq().to_string(), str::to_owned);
    let placed_at = tx.now;
    let mut made = Vec::with_capacity(lines.len());
    for (number, line) in (1..).zip(lines) {
        let mut made_line = OrderLine::new(number.to_string(), line.item, line.quantity);
        made_line.lot = line.lot;
        made_line.build.recipe = promise::recipe(tx, line.item)?;
        made.push(made_line);
    }
    let order =
        tx.open_order(Order { lines: made, ..Order::new(SystemId::ONHAND, document.clone(), 1, placed_at) });
    if reference.is_some() {
        let known = KnownDocument {
            version: 1,
            fingerprint: 0,
            seq: order.0,
            became: Became::Order(order),
            balanced: Vec::new(),
            short_told: None,
        };
        tx.emit(Entry::Document(SystemId::ONHAND, document, Box::new(known)))?;
        document::reclaim(tx, order)?;
    }
    Ok(order)
}

pub(super) fn place(tx: &mut Tx<'_>, place: &PlaceOrder) -> Result<Answer, Stop> {
    let only = place.location.as_deref().map(|code| tx.location_id(code)).transpose()?;
    let lines = stock::resolve_lines(tx, "an order", &place.lines)?;
    item::must_be_active(tx, lines.iter().map(|line| line.item))?;
    check_terms(tx, place, lines.len())?;
    must_sell(tx, only)?;
    // What waits is served from wherever stock comes in: who wants it from one place alone does not wait.
    let may_wait = place.backorder != Some(false) && only.is_none();
    let mut route = allocation::route_for(tx, SystemId::ONHAND, place.ship_to.as_deref(), only)?;
    beyond::must_be_had(tx, &lines, &mut route, only, may_wait)?;
    want_committed(tx, &lines, &route)?;
    let order = open(tx, place.reference.as_deref(), &lines)?;
    let edited = tx.edit_order(order)?;
    edited.ship_by = place.ship_by;
    edited.ship_to.clone_from(&place.ship_to);
    for (line, price) in edited.lines.iter_mut().zip(place.prices.iter().flatten()) {
        line.price.clone_from(price);
    }
    let lines = kits_first(tx, &lines)?;
    let wanted: Vec<(u32, Quantity)> = lines.iter().map(|(index, line)| (*index, line.quantity)).collect();
    let passes: &[&[StockState]] = &[&[StockState::Available]];
    let holder = Holder::Order(order);
    let allocated = allocation::promise(tx, holder, &wanted, &route, Vec::new(), passes, "allocated")?;
    for ((index, line), allocated) in lines.into_iter().zip(allocated) {
        let waits = line.quantity - allocated;
        if !waits.is_positive() {
            continue;
        }
        if !may_wait || !beyond::may_wait(tx, order, line.item, waits)? {
            must_be_whole(tx, &line, allocated, &route.places, only)?;
        }
        let preorder = beyond::is_preorder(tx, line.item)?;
        let line = &mut tx.edit_order(order)?.lines[index as usize];
        line.short = waits;
        *(if preorder { &mut line.preordered } else { &mut line.backordered }) = waits;
    }
    answer(tx, order)
}

/// Fetches together the cells that a new order will fill.
fn want_committed(tx: &Tx<'_>, lines: &[Resolved], route: &Route) -> Result<(), Stop> {
    let committed = |site: &LocationId| {
        let site = *site;
        lines.iter().map(move |line| CellKey::new(line.item, site, StockState::Committed))
    };
    tx.want_cells(route.places.iter().flat_map(committed))
}

/// What an order says beside its lines.
fn check_terms(tx: &Tx<'_>, place: &PlaceOrder, lines: usize) -> Result<(), Stop> {
    if let Some(region) = &place.ship_to {
        allocation::check_region("ship_to", region)?;
    }
    allocation::check_ship_by(tx, place.ship_by)?;
    if let Some(prices) = &place.prices {
        if prices.len() != lines {
            let problem = format!("{} prices for {lines} lines; one for each, or none", prices.len());
            return Err(Invalid::Field { field: "prices", problem }.into());
        }
        prices.iter().flatten().try_for_each(crate::Money::check)?;
    }
    Ok(())
}

/// The index of a line by its name. Where a newer version of the document gave a line another item there are two of one
/// name: the first that has so much is meant, or else the last.
fn line_index(
    tx: &Tx<'_>,
    order: OrderId,
    name: &str,
    has_enough: impl Fn(&OrderLine) -> bool,
) -> Result<u32, Stop> {
    let lines = &tx.order(order)?.lines;
    let position = lines.iter().position(|line| line.line == name && has_enough(line));
    let position = position.or_else(|| lines.iter().rposition(|line| line.line == name));
    let known = || lines.iter().map(|line| line.line.as_str());
    let index = position.ok_or_else(|| lines::unknown(&format!("order {order}"), name, known()))?;
    Ok(u32::try_from(index).expect("orders have fewer than 2^32 lines"))
}

/// The lines that a request names, each once, with what it wants of each; or all, with what each has.
pub(super) fn chosen_lines(
    tx: &Tx<'_>,
    order: OrderId,
    verb: &str,
    lines: Option<&[LineQuantity]>,
    has: impl Fn(&OrderLine) -> Quantity,
) -> Result<Vec<(u32, Option<LotId>, Quantity)>, Stop> {
    let known = tx.order(order)?;
    let Some(lines) = lines else {
        let all = (0..).zip(&known.lines).map(|(index, line)| (index, None, has(line)));
        return Ok(all.filter(|(.., quantity)| quantity.is_positive()).collect());
    };
    if lines.is_empty() {
        return Err(Invalid::NoLines("this").into());
    }
    let mut chosen: Vec<(u32, Option<LotId>, Quantity)> = Vec::new();
    for LineQuantity { line, quantity, lot } in lines {
        let index = line_index(tx, order, line, |known| has(known) >= *quantity)?;
        let known = &known.lines[index as usize];
        let lot = lot.as_deref().map(|code| lots::known(tx, known.item, code)).transpose()?;
        if chosen
            .iter()
            .any(|(other, of, _)| *other == index && (of.is_none() || lot.is_none() || *of == lot))
        {
            return Err(Invalid::Twice { field: "line", value: line.clone() }.into());
        }
        let sku = tx.sku(known.item)?;
        if !quantity.is_positive() {
            return Err(Invalid::NotPositive { field: "quantity", sku, quantity: *quantity }.into());
        }
        tx.check_quantity(known.item, *quantity)?;
        let before: Quantity =
            chosen.iter().filter(|(other, ..)| *other == index).map(|(.., quantity)| *quantity).sum();
        if has(known) - before < *quantity {
            return Err(Refusal::LineHasLess {
                order,
                line: line.clone(),
                verb: verb.to_owned(),
                has: has(known) - before,
                wanted: *quantity,
            }
            .into());
        }
        chosen.push((index, lot, *quantity));
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
        let own = line.allocated.iter().chain(&line.shipped);
        let own = own.map(|at| (line.item, at.location, at.lot));
        let components = line.build.components.iter().chain(&line.build.left).chain(&line.build.begun);
        let components = components.map(|at| (at.item, at.location, at.lot));
        for (item, location, lot) in own.chain(components) {
            keys.push(Key::Counted(item, location));
            keys.push(Key::Promise(item, location, order.0, index, lot));
            let cell = |state| CellKey::of(item, location, lot, state);
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
    for (index, lot, quantity) in lines {
        let line = &tx.order(order)?.lines[index as usize];
        let (item, mut promised) = (line.item, line.allocated.clone());
        promised.extend(line.build.built.iter().copied());
        if let Some(lot) = lot {
            // What really left, whichever was promised: it lies where it lies.
            let lies = |at: &crate::model::At| at.lot == lot;
            promised.sort_by_key(|at| !lies(at));
            let place = match promised.iter().find(|at| lies(at)) {
                Some(at) => at.location,
                None => lots::lies(tx, item, lot, promised.iter().map(|at| at.location))?,
            };
            stock::must_be_ours(tx, item, place)?;
            stock::ship_lot(tx, order, index, (place, lot), quantity, at)?;
            continue;
        }
        let mut missing = quantity;
        for place in promised {
            let part = place.quantity.min(missing);
            if part.is_positive() {
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
    let open = |line: &OrderLine| line.wanted - line.shipped_total() - line.begun_kits();
    let lines = chosen_lines(tx, order, "cancel", cancel.lines.as_deref(), open)?;
    // Of what has left nothing is called off; what is cancelled already is what was asked for.
    let has_left = |line: &OrderLine| line.shipped_total().is_positive() || line.begun_kits().is_positive();
    if lines.is_empty() && tx.order(order)?.lines.iter().any(has_left) {
        let (document, state) = (format!("order {order}"), "shipped".to_owned());
        return Err(Refusal::DocumentEnded { document, state, verb: "cancelled".to_owned() }.into());
    }
    want_promises(tx, order)?;
    for (index, _, quantity) in lines {
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
    for (index, lot, quantity) in &lines {
        if let Some(lot) = lot {
            must_have_left(tx, order, *index, *lot, *quantity)?;
        }
    }
    for (index, lot, quantity) in lines {
        come_back(tx, order, index, quantity, lot, to, back.into, at)?;
    }
    answer(tx, order)
}

/// No lot or piece comes back that a line has not shipped: another one in its place is not what was returned. Of what
/// nobody said which lot it was of it may have been any.
fn must_have_left(tx: &Tx<'_>, order: OrderId, line: u32, lot: LotId, wanted: Quantity) -> Result<(), Stop> {
    let known = &tx.order(order)?.lines[line as usize];
    let may_be = known.shipped.iter().filter(|at| at.lot == lot || at.lot.0 == 0);
    let back = known.returned_lots.iter().find(|(other, _)| *other == lot).map(|(_, back)| *back);
    let has = may_be.map(|at| at.quantity).sum::<Quantity>() - back.unwrap_or_default();
    if wanted <= has {
        return Ok(());
    }
    let verb = format!("return of `{}`", tx.lot(lot)?.code);
    Err(Refusal::LineHasLess { order, line: known.line.clone(), verb, has, wanted }.into())
}

/// So much of a line came back: where it was shipped from, unless a place is named. Says where to.
pub(super) fn come_back(
    tx: &mut Tx<'_>,
    order: OrderId,
    line: u32,
    quantity: Quantity,
    lot: Option<LotId>,
    to: Option<LocationId>,
    into: StockState,
    at: Instant,
) -> Result<CameBack, Stop> {
    let known = &tx.order(order)?.lines[line as usize];
    let item = known.item;
    // What left as components comes back as these, before what left assembled.
    let kits = known.build.recipe.first().map_or(Quantity::ZERO, |component| {
        let left: Quantity =
            known.build.left.iter().filter(|at| at.item == component.item).map(|at| at.quantity).sum();
        Quantity::units(left.micros() / component.quantity.micros())
    });
    let kits = kits.min(quantity);
    let mut back: Vec<ComponentAt> = Vec::new();
    for component in &known.build.recipe {
        let mut missing = availability::times(component.quantity, kits).expect("no more than has left");
        for at in known.build.left.iter().rev().filter(|at| at.item == component.item) {
            let quantity = at.quantity.min(missing);
            if quantity.is_positive() {
                back.push(ComponentAt { quantity, ..*at });
                missing -= quantity;
            }
        }
    }
    let components = back.clone();
    let mut missing = quantity - kits;
    let tracked = known.shipped.iter().rev().filter(|at| at.lot.0 != 0);
    for at in tracked.filter(|at| lot.is_none_or(|lot| lot == at.lot)) {
        let is_lot = |(other, _): &&(LotId, Quantity)| *other == at.lot;
        let gone = known.returned_lots.iter().find(is_lot).map_or(Quantity::ZERO, |(_, back)| *back);
        let there: Quantity =
            known.shipped.iter().filter(|other| other.lot == at.lot).map(|other| other.quantity).sum();
        let part = (there - gone).min(at.quantity).min(missing);
        if part.is_positive() {
            back.push(ComponentAt { item, location: at.location, lot: at.lot, quantity: part });
            missing -= part;
        }
    }
    if missing.is_positive() {
        // Of untracked goods it does not matter which of them came back.
        let at = known.shipped.last().expect("a line that has shipped has a place it shipped from");
        back.push(ComponentAt { item, location: at.location, lot: at.lot, quantity: missing });
    }
    let mut came = CameBack { item, quantity, whole: Vec::new(), components: Vec::new(), occurred_at: at };
    for what in back {
        let location = to.unwrap_or(what.location);
        if tx.document.is_none() {
            stock::must_be_ours(tx, what.item, location)?;
        }
        let change = Change {
            item: what.item,
            location,
            lot: what.lot,
            quantity: what.quantity,
            inside: false,
            unnamed: false,
            party: StockState::Customer,
            occurred_at: at,
            reason: "returned",
            corrects: None,
            seen_from: at,
        };
        stock::put_in(tx, change, into)?;
        if what.item == item {
            add_at(&mut came.whole, location, what.lot, what.quantity);
        } else {
            came.components.push(ComponentAt { location, ..what });
        }
        if what.lot.0 != 0 && what.item == item {
            let lots = &mut tx.edit_order(order)?.lines[line as usize].returned_lots;
            match lots.iter_mut().find(|(other, _)| *other == what.lot) {
                Some((_, back)) => *back += what.quantity,
                None => lots.push((what.lot, what.quantity)),
            }
        }
    }
    let edited = &mut tx.edit_order(order)?.lines[line as usize];
    for part in components {
        ComponentAt::add(&mut edited.build.left, ComponentAt { quantity: -part.quantity, ..part });
    }
    edited.returned += quantity;
    Ok(came)
}

/// Sets how much of a line is wanted: more is allocated as far as it goes, less is released, short lines first.
/// Never less than what has shipped, kits included of which a part has left.
pub(super) fn want(
    tx: &mut Tx<'_>,
    order: OrderId,
    line: u32,
    wanted: Quantity,
    only: Option<LocationId>,
) -> Result<(), Stop> {
    let known = &tx.order(order)?.lines[line as usize];
    let wanted = wanted.max(known.shipped_total() + known.begun_kits());
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
