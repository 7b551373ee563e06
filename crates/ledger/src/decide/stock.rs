//! Goods coming in, going out, found and lost: the physical side of stock.
//!
//! [`put_in`] and [`take_out`] are the only two ways a physical quantity changes. Both know the counts: a change
//! that happened before a count and is heard of after it is given back by that count (law 11). [`take_out`] never
//! fails: what physically left is taken in the order of law 2.

use std::collections::BTreeMap;

use crate::answer::{Answer, Invalid, Missing, Moved, Refusal};
use crate::command::{Adjust, Line, MoveState, Receive, Transfer};
use crate::key::{CellKey, Key, StockState};
use crate::model::{Cause, Holder, Ownership, add_at};
use crate::state::Value;
use crate::{CountId, Instant, ItemId, LocationId, LotId, Quantity, Seq, SystemId};

use super::tx::{Found, Move, Stop, Tx};
use super::{item, merge, order};

/// A physical change.
#[derive(Clone, Copy, Debug)]
pub(super) struct Change<'a> {
    pub item: ItemId,
    pub location: LocationId,
    /// Of which lot or serial; 0 where the item is not tracked.
    pub lot: LotId,
    /// More than nothing.
    pub quantity: Quantity,
    /// Where it comes from or goes to.
    pub party: StockState,
    pub occurred_at: Instant,
    pub reason: &'a str,
    pub corrects: Option<Seq>,
    /// Only counts that saw stock at or after this instant absorb it: `occurred_at`, or just after it for a count.
    pub seen_from: Instant,
}

/// What [`take_out`] had to do beyond taking what was free.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Taken {
    /// The last movement.
    pub seq: Seq,
    /// Taken from promises, which are short of it now.
    pub broken: Quantity,
    /// Taken from what was damaged or in quality control.
    pub set_aside: Quantity,
    /// There was that much less than what left.
    pub balanced: Quantity,
}

/// The first count that saw, after `seen_from`, the stock that a change is about.
fn anchor(tx: &Tx<'_>, change: &Change<'_>) -> Result<Option<(CountId, Instant)>, Stop> {
    // Counts are of the past: nothing that happens now can come before one.
    if change.seen_from >= tx.now {
        return Ok(None);
    }
    let Change { item, location, seen_from, .. } = *change;
    if tx.counted_until(item, location)?.is_none_or(|latest| latest < seen_from) {
        return Ok(None);
    }
    let (from, to) = counts_from(item, location, seen_from);
    let counts = tx.range(from, to)?;
    Ok(counts.into_iter().find_map(|(key, _)| match key {
        Key::Count(_, _, as_of, id) => Some((id, as_of)),
        _ => None,
    }))
}

/// Has a count seen, after it happened, what this change is about?
pub(super) fn is_absorbed(tx: &Tx<'_>, change: &Change<'_>) -> Result<bool, Stop> {
    anchor(tx, change).map(|count| count.is_some())
}

fn counts_from(item: ItemId, location: LocationId, seen_from: Instant) -> (Key, Key) {
    let first = Key::Count(item, location, seen_from, CountId(0));
    (first, Key::Count(item, location, Instant::MAX, CountId(Seq::MAX)))
}

/// Fetches together what many changes will read: item, location and when each happened.
pub(super) fn prefetch(
    tx: &Tx<'_>,
    party: &[StockState],
    changes: impl Iterator<Item = (ItemId, LocationId, Instant)> + Clone,
) -> Result<(), Stop> {
    let cells = changes.clone().flat_map(|(item, location, _)| {
        let parties = party.iter().map(move |party| CellKey::party(item, *party));
        parties.chain([CellKey::new(item, location, StockState::Available)])
    });
    tx.want_cells(cells)?;
    tx.want(changes.clone().map(|(item, ..)| Key::Demand(item)))?;
    let late = changes.filter(|(_, _, at)| *at < tx.now);
    tx.want(late.clone().map(|(item, location, _)| Key::Counted(item, location)))?;
    let mut seen = Vec::new();
    for (item, location, at) in late {
        if tx.counted_until(item, location)?.is_some_and(|latest| latest >= at) {
            seen.push(counts_from(item, location, at));
        }
    }
    tx.want_ranges(seen)
}

/// Goods come into a state.
pub(super) fn put_in(tx: &mut Tx<'_>, change: Change<'_>, state: StockState) -> Result<Seq, Stop> {
    match tx.item(change.item)?.merged_into {
        None => put_in_itself(tx, change, state),
        Some(merged) => merge::put_in(tx, change, state, merged),
    }
}

/// As [`put_in`], of this very item, merged or not.
pub(super) fn put_in_itself(tx: &mut Tx<'_>, change: Change<'_>, state: StockState) -> Result<Seq, Stop> {
    let absorbed_by = if state.is_physical() { anchor(tx, &change)? } else { None };
    let Change { item, location, lot, quantity, occurred_at, .. } = change;
    let seq = tx.make(Move {
        item,
        lot,
        from: (LocationId(0), change.party),
        to: (location, state),
        quantity,
        occurred_at,
        reason: change.reason,
        promise: None,
        corrects: change.corrects,
    })?;
    // The count saw these goods already. They come first and are given back then, so that no cell is negative.
    if let Some((count, as_of)) = absorbed_by {
        tx.make(Move {
            item,
            lot,
            from: (location, state),
            to: (LocationId(0), StockState::Adjustment),
            quantity,
            occurred_at: as_of,
            reason: "explained by a late movement",
            promise: None,
            corrects: Some(count.0),
        })?;
    }
    Ok(seq)
}

/// Goods are gone, whatever the books say. `own` is what of it the books had promised to that very order line.
pub(super) fn take_out(
    tx: &mut Tx<'_>,
    change: Change<'_>,
    own: Option<(Holder, u32, Quantity)>,
) -> Result<Taken, Stop> {
    match tx.item(change.item)?.merged_into {
        None => take_out_itself(tx, change, own),
        // Nothing is promised of what was merged.
        Some(merged) => merge::take_out(tx, change, merged),
    }
}

/// As [`take_out`], of this very item, merged or not.
pub(super) fn take_out_itself(
    tx: &mut Tx<'_>,
    change: Change<'_>,
    own: Option<(Holder, u32, Quantity)>,
) -> Result<Taken, Stop> {
    let Change { item, location, lot, quantity, party, occurred_at, reason, corrects, .. } = change;
    let out = |from: StockState, quantity: Quantity, promise| Move {
        item,
        lot,
        from: (location, from),
        to: (LocationId(0), party),
        quantity,
        occurred_at,
        reason,
        promise,
        corrects,
    };
    if let Some((count, as_of)) = anchor(tx, &change)? {
        tx.make(Move {
            item,
            lot,
            from: (LocationId(0), StockState::Adjustment),
            to: (location, StockState::Available),
            quantity,
            occurred_at: as_of,
            reason: "explained by a late movement",
            promise: None,
            corrects: Some(count.0),
        })?;
    }
    let mut taken = Taken::default();
    let own_quantity = own.map_or(Quantity::ZERO, |(_, _, quantity)| quantity);
    if let Some((holder, line, own_quantity)) = own.filter(|(_, _, own)| own.is_positive()) {
        taken.seq = tx.make(out(StockState::Committed, own_quantity, Some((holder, line))))?;
    }
    let rest = quantity - own_quantity;
    if rest.is_positive() {
        free(tx, item, location, lot, rest, &mut taken)?;
        taken.seq = tx.make(out(StockState::Available, rest, None))?;
    }
    if taken.broken.is_positive() || taken.set_aside.is_positive() || taken.balanced.is_positive() {
        report(tx, &change, &taken)?;
    }
    Ok(taken)
}

/// Makes so much available at a location, by law 2: each step is a move dated now.
fn free(
    tx: &mut Tx<'_>,
    item: ItemId,
    location: LocationId,
    lot: LotId,
    wanted: Quantity,
    taken: &mut Taken,
) -> Result<(), Stop> {
    let now = tx.now;
    let available = CellKey::new(item, location, StockState::Available);
    let cell = |state| CellKey::new(item, location, state);
    tx.want_cells([
        available,
        cell(StockState::SafetyStock),
        cell(StockState::Reserved),
        cell(StockState::Committed),
        cell(StockState::QualityControl),
        cell(StockState::Damaged),
    ])?;
    let mut missing = wanted - tx.held(available)?;
    let state_move = |from, quantity, reason| Move {
        item,
        lot,
        from: (location, from),
        to: (location, StockState::Available),
        quantity,
        occurred_at: now,
        reason,
        promise: None,
        corrects: None,
    };
    let safety = tx.held(cell(StockState::SafetyStock))?.min(missing);
    if safety.is_positive() {
        tx.make(state_move(StockState::SafetyStock, safety, "safety stock used"))?;
        missing -= safety;
    }
    let promised = tx.held(cell(StockState::Reserved))? + tx.held(cell(StockState::Committed))?;
    if missing.is_positive() && promised.is_positive() {
        let broken = order::break_promises(tx, item, location, missing)?;
        taken.broken += broken;
        missing -= broken;
    }
    for state in [StockState::QualityControl, StockState::Damaged] {
        let there = tx.held(cell(state))?.min(missing);
        if there.is_positive() {
            tx.make(state_move(state, there, "left although set aside"))?;
            taken.set_aside += there;
            missing -= there;
        }
    }
    if missing.is_positive() {
        tx.make(Move {
            from: (LocationId(0), StockState::Adjustment),
            ..state_move(StockState::Available, missing, "more left than there was")
        })?;
        taken.balanced += missing;
    }
    Ok(())
}

fn report(tx: &mut Tx<'_>, change: &Change<'_>, taken: &Taken) -> Result<(), Stop> {
    let (sku, code) = (tx.sku(change.item)?, tx.location_code(change.location)?);
    let left = change.quantity;
    let (cause, quantity, sentence) = if taken.balanced.is_positive() {
        let missing = taken.balanced;
        let sentence = format!(
            "{left} of {sku} left {code} ({}), and {missing} of them were not there by our books; \
             an adjustment balances it. Count {sku} at {code}.",
            change.reason
        );
        (Cause::MoreLeftThanThere, missing, sentence)
    } else if taken.broken.is_positive() {
        let broken = taken.broken;
        let sentence = format!(
            "{left} of {sku} left {code} ({}), and {broken} of them were promised to somebody else, \
             whose orders are short of them now. Receive more, or cancel what cannot be had.",
            change.reason
        );
        (Cause::PromiseBroken, broken, sentence)
    } else {
        let aside = taken.set_aside;
        let sentence = format!(
            "{left} of {sku} left {code} ({}), and {aside} of them were damaged or in quality control by our books. \
             Count {sku} at {code}.",
            change.reason
        );
        (Cause::MoreLeftThanThere, aside, sentence)
    };
    let found = Found::new(cause, sentence).stock(change.item, Some(change.location), quantity);
    tx.discrepancy(found)?;
    Ok(())
}

// ---- masters -------------------------------------------------------------------------------------------------

/// Who is master of an item's stock at a location: the most specific rule, by item first, then by location.
pub(super) fn master(tx: &Tx<'_>, item: ItemId, location: LocationId) -> Result<SystemId, Stop> {
    let Some(rules) = tx.rules()? else { return Ok(SystemId::ONHAND) };
    if rules.ownership.is_empty() {
        return Ok(SystemId::ONHAND);
    }
    let item = merge::live(tx, item)?;
    let tags = &tx.item(item)?.tags;
    let rank = |rule: &Ownership| {
        let by_item = match (&rule.item, &rule.tag) {
            (Some(named), _) if *named == item => 2,
            (Some(_), _) => return None,
            (None, Some(tag)) if tags.contains(tag) => 1,
            (None, Some(_)) => return None,
            (None, None) => 0,
        };
        let by_location = match rule.location {
            Some(named) if named == location => 1,
            Some(_) => return None,
            None => 0,
        };
        Some((by_item, by_location))
    };
    let best = rules
        .ownership
        .iter()
        .filter_map(|(id, rule)| Some((rank(rule)?, std::cmp::Reverse(*id), rule.master)));
    Ok(best.max_by_key(|(rank, id, _)| (*rank, *id)).map_or(SystemId::ONHAND, |(_, _, master)| master))
}

/// Does this system's word about goods at a location move stock? The master's does; where that is Onhand,
/// whoever tells it first.
pub(super) fn moves(tx: &Tx<'_>, teller: SystemId, item: ItemId, location: LocationId) -> Result<bool, Stop> {
    let master = master(tx, item, location)?;
    Ok(master == SystemId::ONHAND || master == teller)
}

/// A physical change entered here is refused where another system is master.
pub(super) fn must_be_ours(tx: &Tx<'_>, item: ItemId, location: LocationId) -> Result<(), Stop> {
    let master = master(tx, item, location)?;
    if master == SystemId::ONHAND {
        return Ok(());
    }
    Err(Refusal::NotMaster {
        sku: tx.sku(item)?,
        location: tx.location_code(location)?,
        master: tx.system_name(master)?,
    }
    .into())
}

// ---- commands ------------------------------------------------------------------------------------------------

/// Lines with their items: known, positive (unless differences), not too precise.
pub(super) fn resolve_lines(
    tx: &Tx<'_>,
    what: &'static str,
    lines: &[Line],
) -> Result<Vec<(ItemId, Quantity)>, Stop> {
    resolve(tx, what, lines, Quantity::is_positive)
}

fn resolve(
    tx: &Tx<'_>,
    what: &'static str,
    lines: &[Line],
    accepts: impl Fn(Quantity) -> bool,
) -> Result<Vec<(ItemId, Quantity)>, Stop> {
    if lines.is_empty() {
        return Err(Invalid::NoLines(what).into());
    }
    tx.want(lines.iter().map(|line| Key::Sku(line.sku.clone())))?;
    let items: Vec<ItemId> = lines.iter().map(|line| tx.item_id(&line.sku)).collect::<Result<_, _>>()?;
    tx.want(items.iter().map(|item| Key::Item(*item)))?;
    let mut quantities = Vec::with_capacity(lines.len());
    for (line, item) in lines.iter().zip(&items) {
        if !accepts(line.quantity) {
            return Err(Invalid::NotPositive {
                field: "quantity",
                sku: line.sku.clone(),
                quantity: line.quantity,
            }
            .into());
        }
        let quantity = item::unpacked(tx, *item, line)?;
        tx.check_quantity(*item, quantity)?;
        quantities.push(quantity);
    }
    Ok(items.into_iter().zip(quantities).collect())
}

fn change(
    item: ItemId,
    location: LocationId,
    quantity: Quantity,
    party: StockState,
    at: Instant,
) -> Change<'static> {
    Change {
        item,
        location,
        lot: LotId(0),
        quantity,
        party,
        occurred_at: at,
        reason: "",
        corrects: None,
        seen_from: at,
    }
}

/// What moved, with what is available there in the end.
fn answer(tx: &mut Tx<'_>, moved: &[(ItemId, LocationId, Quantity, Seq)]) -> Result<Answer, Stop> {
    order::settle(tx)?;
    let answers = moved.iter().map(|(item, location, difference, seq)| {
        Ok(Moved {
            sku: tx.sku(*item)?,
            location: tx.location_code(*location)?,
            difference: *difference,
            available: tx.held(CellKey::new(*item, *location, StockState::Available))?,
            seq: *seq,
        })
    });
    let moved = answers.collect::<Result<_, Stop>>()?;
    Ok(Answer::Moved(moved, tx.discrepancies.clone()))
}

pub(super) fn receive(tx: &mut Tx<'_>, receive: &Receive) -> Result<Answer, Stop> {
    let location = tx.location_id(&receive.location)?;
    let mut lines = resolve_lines(tx, "a receipt", &receive.lines)?;
    item::must_be_active(tx, lines.iter().map(|(item, _)| *item))?;
    let at = tx.past("occurred_at", receive.occurred_at)?;
    item::as_meant(tx, &receive.lines, &mut lines, at)?;
    let reason = receive.reason.as_deref().unwrap_or("received");
    prefetch(tx, &[StockState::Supplier], lines.iter().map(|(item, _)| (*item, location, at)))?;
    let mut moved = Vec::new();
    for (item, quantity) in lines {
        must_be_ours(tx, item, location)?;
        let seq = put_in(
            tx,
            Change { reason, ..change(item, location, quantity, StockState::Supplier, at) },
            StockState::Available,
        )?;
        moved.push((item, location, quantity, seq));
    }
    answer(tx, &moved)
}

pub(super) fn adjust(tx: &mut Tx<'_>, adjust: &Adjust) -> Result<Answer, Stop> {
    crate::command::check_name("reason", &adjust.reason, 500)?;
    let location = tx.location_id(&adjust.location)?;
    let mut lines = resolve(tx, "an adjustment", &adjust.lines, |_| true)?;
    if let Some((item, _)) = lines.iter().find(|(_, difference)| difference.is_zero()) {
        let problem = format!("must not be 0 (`{}`)", tx.sku(*item)?);
        return Err(Invalid::Field { field: "quantity", problem }.into());
    }
    let at = tx.past("occurred_at", adjust.occurred_at)?;
    item::as_meant(tx, &adjust.lines, &mut lines, at)?;
    let reason = adjust.reason.as_str();
    prefetch(tx, &[StockState::Adjustment], lines.iter().map(|(item, _)| (*item, location, at)))?;
    for (item, _) in &lines {
        must_be_ours(tx, *item, location)?;
    }
    must_be_there(tx, &lines, location, at)?;
    let mut moved = Vec::new();
    for (item, difference) in lines {
        let by = Change { reason, ..change(item, location, difference.abs(), StockState::Adjustment, at) };
        let seq = if difference.is_positive() {
            put_in(tx, by, StockState::Available)?
        } else {
            take_out(tx, by, None)?.seq
        };
        moved.push((item, location, difference, seq));
    }
    answer(tx, &moved)
}

/// Refuses to take more of an item out of a place, in all lines together, than is there in all states. What a count
/// has seen the lack of is given back by it.
fn must_be_there(
    tx: &Tx<'_>,
    lines: &[(ItemId, Quantity)],
    location: LocationId,
    at: Instant,
) -> Result<(), Stop> {
    let mut wanted = BTreeMap::<ItemId, Quantity>::new();
    for (item, difference) in lines.iter().filter(|(_, difference)| difference.is_negative()) {
        let total = wanted.entry(*item).or_default();
        *total = total.checked_add(-*difference).ok_or(Invalid::Overflow(tx.sku(*item)?))?;
    }
    let cells = |item: ItemId| StockState::ON_HAND.map(|state| CellKey::new(item, location, state));
    tx.want_cells(wanted.keys().flat_map(|item| cells(*item)))?;
    let mut missing = Vec::new();
    for (item, wanted) in wanted {
        let there: Quantity = cells(item).into_iter().map(|cell| tx.held(cell)).sum::<Result<_, _>>()?;
        if there >= wanted || is_absorbed(tx, &change(item, location, wanted, StockState::Adjustment, at))? {
            continue;
        }
        missing.push(Missing {
            sku: tx.sku(item)?,
            location: Some(format!("{} (on hand)", tx.location_code(location)?)),
            wanted,
            available: there,
            held: None,
        });
    }
    if missing.is_empty() { Ok(()) } else { Err(Refusal::Insufficient(missing).into()) }
}

pub(super) fn transfer(tx: &mut Tx<'_>, transfer: &Transfer) -> Result<Answer, Stop> {
    let (from, to) = (tx.location_id(&transfer.from)?, tx.location_id(&transfer.to)?);
    if from == to {
        return Err(
            Invalid::Field { field: "to", problem: "must be another location than `from`".into() }.into()
        );
    }
    let lines = resolve_lines(tx, "a transfer", &transfer.lines)?;
    let at = tx.past("occurred_at", transfer.occurred_at)?;
    for (item, _) in &lines {
        must_be_ours(tx, *item, from)?;
        must_be_ours(tx, *item, to)?;
    }
    order::must_be_available(tx, &lines, Some(from))?;
    let mut moved = Vec::new();
    for (item, quantity) in lines {
        let leg =
            Change { reason: "transferred", ..change(item, from, quantity, StockState::Production, at) };
        // A transfer is one movement, unless a count in between saw one of its ends.
        let crossed = anchor(tx, &leg)?.is_some() || anchor(tx, &Change { location: to, ..leg })?.is_some();
        let seq = if crossed {
            take_out(tx, leg, None)?;
            put_in(tx, Change { location: to, ..leg }, StockState::Available)?
        } else {
            tx.make(Move {
                item,
                lot: LotId(0),
                from: (from, StockState::Available),
                to: (to, StockState::Available),
                quantity,
                occurred_at: at,
                reason: leg.reason,
                promise: None,
                corrects: None,
            })?
        };
        moved.push((item, from, -quantity, seq));
        moved.push((item, to, quantity, seq));
    }
    for location in [from, to] {
        tx.want_cells(moved.iter().map(|(item, ..)| CellKey::new(*item, location, StockState::Available)))?;
    }
    answer(tx, &moved)
}

pub(super) fn move_state(tx: &mut Tx<'_>, step: &MoveState) -> Result<Answer, Stop> {
    const MOVABLE: [StockState; 4] =
        [StockState::Available, StockState::Damaged, StockState::QualityControl, StockState::SafetyStock];
    for (field, state) in [("from", step.from), ("to", step.to)] {
        if !MOVABLE.contains(&state) {
            let problem = format!(
                "`{}` is not moved by hand; one of available, damaged, quality_control, safety_stock is",
                state.name()
            );
            return Err(Invalid::Field { field, problem }.into());
        }
    }
    if step.from == step.to {
        return Err(
            Invalid::Field { field: "to", problem: "must be another state than `from`".into() }.into()
        );
    }
    let location = tx.location_id(&step.location)?;
    let lines = resolve_lines(tx, "a move", &step.lines)?;
    let code = &step.location;
    let mut wanted = BTreeMap::<ItemId, Quantity>::new();
    for (item, quantity) in &lines {
        must_be_ours(tx, *item, location)?;
        let total = wanted.entry(*item).or_default();
        *total = total.checked_add(*quantity).ok_or(Invalid::Overflow(tx.sku(*item)?))?;
    }
    for (item, quantity) in wanted {
        let there = tx.held(CellKey::new(item, location, step.from))?;
        if there < quantity {
            let missing = Missing {
                sku: tx.sku(item)?,
                location: Some(format!("{code} ({})", step.from.name())),
                wanted: quantity,
                available: there,
                held: None,
            };
            return Err(Refusal::Insufficient(vec![missing]).into());
        }
    }
    let mut moved = Vec::new();
    for (item, quantity) in lines {
        let seq = tx.make(Move {
            item,
            lot: LotId(0),
            from: (location, step.from),
            to: (location, step.to),
            quantity,
            occurred_at: tx.now,
            reason: &step.reason,
            promise: None,
            corrects: None,
        })?;
        moved.push((item, location, Quantity::ZERO, seq));
    }
    tx.want_cells(moved.iter().map(|(item, ..)| CellKey::new(*item, location, StockState::Available)))?;
    answer(tx, &moved)
}

/// What is promised to a line at a location, so that a shipment takes it first.
pub(super) fn own_promise(
    tx: &Tx<'_>,
    order: crate::OrderId,
    line: u32,
    location: LocationId,
    wanted: Quantity,
) -> Result<Quantity, Stop> {
    let lines = &tx.order(order)?.lines;
    let allocated = lines.get(line as usize).map_or(Quantity::ZERO, |line| {
        line.allocated.iter().filter(|at| at.location == location).map(|at| at.quantity).sum()
    });
    Ok(allocated.min(wanted))
}

/// So much of an order's line has left from a location: its own promise first.
pub(super) fn ship(
    tx: &mut Tx<'_>,
    order: crate::OrderId,
    line: u32,
    location: LocationId,
    quantity: Quantity,
    at: Instant,
) -> Result<Taken, Stop> {
    let own = own_promise(tx, order, line, location, quantity)?;
    let item = tx.order(order)?.lines[line as usize].item;
    let by = Change { reason: "shipped", ..change(item, location, quantity, StockState::Customer, at) };
    // First what was promised leaves the books of the line, so that breaking promises cannot touch it.
    let edited = &mut tx.edit_order(order)?.lines[line as usize];
    add_at(&mut edited.allocated, location, LotId(0), -own);
    let rest = quantity - own;
    let short = edited.short.min(rest);
    edited.short -= short;
    // Of what is neither promised here nor short, the line has something promised elsewhere.
    let elsewhere = rest - short;
    add_at(&mut edited.shipped, location, LotId(0), quantity);
    order::release(tx, order, line, elsewhere)?;
    take_out(tx, by, Some((Holder::Order(order), line, own)))
}

/// The value of a key if it is an item, for callers that only compare.
pub(super) const fn as_quantity(value: &Value) -> Option<Quantity> {
    match value {
        Value::Quantity(quantity) => Some(*quantity),
        _ => None,
    }
}
