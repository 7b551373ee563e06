//! Goods coming in, going out, found and lost: the physical side of stock.
//!
//! [`put_in`] and [`take_out`] are the only two ways a physical quantity changes. Both know the counts: a change
//! that happened before a count and is heard of after it is given back by that count (law 11). [`take_out`] never
//! fails: what physically left is taken in the order of law 2.

use std::borrow::Cow;
use std::collections::BTreeMap;

use crate::answer::{Answer, Invalid, Missing, OutOf, Refusal};
use crate::availability;
use crate::command::{Adjust, Line, MoveState, Receive, Transfer};
use crate::entry::{BALANCED, Entry};
use crate::key::{CellKey, Key, StockState};
use crate::model::{At, Cause, ComponentAt, Holder, Tracking, add_at};
use crate::state::Value;
use crate::{CountId, Instant, ItemId, LocationId, LotId, Money, Quantity, Seq, SystemId};

use super::shift;
use super::tx::{Found, Move, Stop, Tx};
use super::{item, lines, lots, masters, merge, order, promise};

/// A physical change.
#[derive(Clone, Copy, Debug)]
pub(super) struct Change<'a> {
    pub item: ItemId,
    pub location: LocationId,
    /// Of which lot or serial; 0 where the item is not tracked, or where nobody says.
    pub lot: LotId,
    /// More than nothing.
    pub quantity: Quantity,
    /// What is gone may have lain anywhere inside the location.
    pub inside: bool,
    /// What is gone is of a tracked item and lay there without a name, rather than of whichever lot.
    pub unnamed: bool,
    /// Where it comes from or goes to.
    pub party: StockState,
    pub occurred_at: Instant,
    pub reason: &'a str,
    pub corrects: Option<Seq>,
    /// Only counts that saw stock at or after this instant absorb it: `occurred_at`, or just after it for a count.
    pub seen_from: Instant,
}

/// What [`take_out`] had to do beyond taking what was free.
#[derive(Clone, Debug, Default)]
pub(super) struct Taken {
    /// The last movement.
    pub seq: Seq,
    /// Taken from promises, which are short of it now.
    pub broken: Quantity,
    /// Taken from what was damaged or in quality control.
    pub set_aside: Quantity,
    /// There was that much less than what left.
    pub balanced: Quantity,
    /// Where it was taken from, beside what was promised to the line itself.
    pub places: Vec<At>,
}

/// The first count that saw, after `seen_from`, the stock that a change is about: at its place, or around it.
fn anchor(tx: &Tx<'_>, change: &Change<'_>) -> Result<Option<(CountId, Instant)>, Stop> {
    let all = anchors(tx, change)?;
    Ok(all.first().map(|(as_of, id, _)| (*id, *as_of)))
}

/// All counts that saw it, in the order of what they saw, each with the location it counted.
pub(super) fn anchors(tx: &Tx<'_>, change: &Change<'_>) -> Result<Vec<(Instant, CountId, LocationId)>, Stop> {
    // Counts are of the past: nothing that happens now can come before one.
    if change.seen_from >= tx.now {
        return Ok(Vec::new());
    }
    let Change { item, location, lot, seen_from, .. } = *change;
    let around = around(tx, location)?;
    tx.want(around.iter().map(|location| Key::Counted(item, *location)))?;
    let mut ranges = Vec::new();
    for place in around {
        if tx.counted_until(item, place)?.is_some_and(|latest| latest >= seen_from) {
            ranges.push(counts_from(item, place, seen_from));
        }
    }
    tx.want_ranges(ranges.iter().cloned())?;
    let mut found = Vec::new();
    for (from, to) in ranges {
        for (key, value) in tx.range(from, to)? {
            let (Key::Count(_, place, as_of, id), Value::Count(count)) = (key, value) else { continue };
            if count.lot == lot && (place == location || count.inside) {
                found.push((as_of, id, place));
            }
        }
    }
    found.sort_unstable();
    Ok(found)
}

/// A location and what it is inside of.
fn around(tx: &Tx<'_>, location: LocationId) -> Result<Vec<LocationId>, Stop> {
    let sites = tx.sites()?;
    Ok(if sites.parts.is_empty() { vec![location] } else { sites.above(location) })
}

/// Has a count seen, after it happened, what this change is about: of its item, or of the one that was merged into?
pub(super) fn is_absorbed(tx: &Tx<'_>, change: &Change<'_>) -> Result<bool, Stop> {
    if is_absorbed_itself(tx, change)? {
        return Ok(true);
    }
    let Some(merged) = tx.item(change.item)?.merged_into else { return Ok(false) };
    let at = change.occurred_at.max(merged.at);
    is_absorbed(tx, &Change { item: merged.item, occurred_at: at, seen_from: at, ..*change })
}

/// As [`is_absorbed`], by counts of this very item, merged or not.
pub(super) fn is_absorbed_itself(tx: &Tx<'_>, change: &Change<'_>) -> Result<bool, Stop> {
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
    let mut late = Vec::new();
    for (item, location, at) in changes.filter(|(_, _, at)| *at < tx.now) {
        late.extend(around(tx, location)?.into_iter().map(|place| (item, place, at)));
    }
    tx.want(late.iter().map(|(item, location, _)| Key::Counted(*item, *location)))?;
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
    if change.lot.0 != 0 {
        lots::must_not_be_twice(tx, change.item, change.lot)?;
    }
    let absorbed_by = if state.is_physical() { anchor(tx, &change)? } else { None };
    let Change { item, location, lot, quantity, occurred_at, .. } = change;
    if state == StockState::Available {
        tx.replenished.insert((item, location));
    }
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
    if let Some(count) = absorbed_by {
        let outside = (LocationId(0), StockState::Adjustment);
        tx.make(explained((item, lot), (location, state), outside, quantity, count))?;
    }
    Ok(seq)
}

/// Goods are gone, whatever the books say. `own` is what of it the books had promised to that very order line, place by
/// place.
pub(super) fn take_out(
    tx: &mut Tx<'_>,
    change: Change<'_>,
    own: Option<(Holder, u32, Vec<At>)>,
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
    own: Option<(Holder, u32, Vec<At>)>,
) -> Result<Taken, Stop> {
    let Change { item, quantity, party, occurred_at, reason, corrects, .. } = change;
    let out = |from: StockState, at: At, promise| Move {
        item,
        lot: at.lot,
        from: (at.location, from),
        to: (LocationId(0), party),
        quantity: at.quantity,
        occurred_at,
        reason,
        promise,
        corrects,
    };
    let mut taken = Taken::default();
    let mut rest = quantity;
    if let Some((holder, line, places)) = own {
        for at in places {
            rest -= at.quantity;
            give_back(tx, &change, at)?;
            taken.seq = tx.make(out(promise::state_of(holder), at, Some((holder, line))))?;
        }
    }
    if rest.is_positive() {
        for at in pieces(tx, &change, rest)? {
            give_back(tx, &change, at)?;
            free(tx, item, at, &mut taken)?;
            taken.seq = tx.make(out(StockState::Available, at, None))?;
            add_at(&mut taken.places, at.location, at.lot, at.quantity);
        }
    }
    if taken.broken.is_positive() || taken.set_aside.is_positive() || taken.balanced.is_positive() {
        report(tx, &change, &taken)?;
    }
    Ok(taken)
}

/// Where a count has seen that these goods were gone already, it gives them back first, so that no cell is negative.
fn give_back(tx: &mut Tx<'_>, change: &Change<'_>, at: At) -> Result<(), Stop> {
    let here = Change { location: at.location, lot: at.lot, ..*change };
    let Some(count) = anchor(tx, &here)? else { return Ok(()) };
    let outside = (LocationId(0), StockState::Adjustment);
    let into = (at.location, StockState::Available);
    tx.make(explained((change.item, at.lot), outside, into, at.quantity, count))?;
    Ok(())
}

/// What a count gives back, or takes back, of its difference: a movement that it had seen and we had not heard of explains
/// so much of it (law 11).
pub(super) const fn explained(
    (item, lot): (ItemId, LotId),
    from: (LocationId, StockState),
    to: (LocationId, StockState),
    quantity: Quantity,
    (count, as_of): (CountId, Instant),
) -> Move<'static> {
    Move {
        item,
        lot,
        from,
        to,
        quantity,
        occurred_at: as_of,
        reason: "explained by a late movement",
        promise: None,
        corrects: Some(count.0),
    }
}

/// What goods that are gone are taken from, in the order of law 2.
pub(super) const FREED: [StockState; 6] = [
    StockState::Available,
    StockState::SafetyStock,
    StockState::Reserved,
    StockState::Committed,
    StockState::QualityControl,
    StockState::Damaged,
];

/// Where so much that is gone has lain: at the place itself, unless its item is tracked and nobody says of which lot it
/// was, or it may have lain anywhere inside. Then it is looked for in the order of law 2, what expires first before the
/// rest; what is nowhere has lain at the place itself.
fn pieces(tx: &Tx<'_>, change: &Change<'_>, quantity: Quantity) -> Result<Vec<At>, Stop> {
    let Change { item, location, lot, inside, unnamed, .. } = *change;
    let at = |quantity| At { location, lot, quantity };
    let sites = tx.sites()?;
    let only_here = !inside || sites.inside(location).is_empty();
    let lot_is_known = lot.0 != 0 || unnamed || tx.item(item)?.tracking == Tracking::None;
    if only_here && lot_is_known {
        return Ok(vec![at(quantity)]);
    }
    // What sells is looked through before what does not.
    let mut nodes = if only_here { vec![location] } else { sites.below(location, true) };
    if !only_here {
        nodes.extend(sites.below(location, false));
    }
    let cells: Vec<(CellKey, Quantity)> = tx
        .stocked(item)?
        .into_iter()
        .filter(|(cell, _)| nodes.contains(&cell.location) && ((lot.0 == 0 && !unnamed) || cell.lot == lot))
        .collect();
    let lots = cells.iter().filter(|(cell, _)| cell.lot.0 != 0);
    tx.want_lots(lots.map(|(cell, _)| (cell.lot, cell.location)))?;
    let mut missing = quantity;
    let mut pieces = Vec::new();
    for state in FREED {
        let mut there = Vec::new();
        for (cell, held) in cells.iter().filter(|(cell, _)| cell.state == state) {
            let (mut is_sold, mut expires) = (false, Instant::MAX);
            if cell.lot.0 != 0 {
                let ends = tx.expires(cell.lot, cell.location)?;
                is_sold = !availability::is_sellable(&tx.lot_in_effect(cell.lot)?, ends, tx.now);
                expires = ends.unwrap_or(Instant::MAX);
            }
            let node = nodes.iter().position(|node| *node == cell.location);
            there.push(((is_sold, expires, cell.lot.0 == 0, node, cell.lot), cell, *held));
        }
        there.sort_by_key(|(order, ..)| *order);
        for (_, cell, held) in there {
            let part = held.min(missing);
            if part.is_positive() {
                add_at(&mut pieces, cell.location, cell.lot, part);
                missing -= part;
            }
        }
    }
    if missing.is_positive() {
        add_at(&mut pieces, location, lot, missing);
    }
    Ok(pieces)
}

/// Makes so much available at a place, by law 2: each step is a move dated now.
fn free(tx: &mut Tx<'_>, item: ItemId, at: At, taken: &mut Taken) -> Result<(), Stop> {
    let now = tx.now;
    let At { location, lot, quantity: wanted } = at;
    let cell = |state| CellKey::of(item, location, lot, state);
    let available = cell(StockState::Available);
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
        let is_meant = |_, other| other == lot;
        let freed = promise::break_promises(tx, item, &[location], is_meant, missing, "promise broken")?;
        let broken = freed.iter().map(|at| at.quantity).sum::<Quantity>().min(missing);
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
            ..state_move(StockState::Available, missing, BALANCED)
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

/// Does this system's word about goods at a location move stock? The master's does; where that is Onhand,
/// whoever tells it first.
pub(super) fn moves(tx: &Tx<'_>, teller: SystemId, item: ItemId, location: LocationId) -> Result<bool, Stop> {
    let master = masters::master(tx, item, location)?;
    Ok(master == SystemId::ONHAND || master == teller)
}

/// A physical change entered here is refused where another system is master.
pub(super) fn must_be_ours(tx: &Tx<'_>, item: ItemId, location: LocationId) -> Result<(), Stop> {
    let master = masters::master(tx, item, location)?;
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

/// A line as the ledger knows it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Resolved {
    pub item: ItemId,
    /// The lot or serial it names.
    pub lot: Option<LotId>,
    pub quantity: Quantity,
}

/// Lines with their items: known, positive, not too precise. Of what is tracked, a lot or serials may be named.
pub(super) fn resolve_lines(tx: &Tx<'_>, what: &'static str, lines: &[Line]) -> Result<Vec<Resolved>, Stop> {
    no_cost(lines)?;
    lots::named(tx, &resolve(tx, what, lines, Quantity::is_positive)?)
}

/// Refuses a cost where nothing comes in from outside.
pub(super) fn no_cost(lines: &[Line]) -> Result<(), Invalid> {
    match lines.iter().find(|line| line.unit_cost.is_some()) {
        None => Ok(()),
        Some(line) => {
            let problem =
                format!("`{}` has a cost only where it comes in from outside; leave it out", line.sku);
            Err(Invalid::Field { field: "unit_cost", problem })
        }
    }
}

/// As [`resolve_lines`], where it must be said which of a tracked item is meant. Each piece with a serial number is a
/// line of its own.
pub(super) fn resolve_each(
    tx: &Tx<'_>,
    what: &'static str,
    lines: &[Line],
    accepts: impl Fn(Quantity) -> bool,
) -> Result<Vec<Resolved>, Stop> {
    no_cost(lines)?;
    let resolved = lots::named(tx, &resolve(tx, what, lines, accepts)?)?;
    resolved.iter().try_for_each(|line| lots::must_be_named(tx, line))?;
    Ok(resolved)
}

/// A line and the item it names. Its quantity is in single units, whatever pack it names.
pub(super) type Named<'l> = (ItemId, Cow<'l, Line>);

/// Lines with their items.
pub(super) fn resolve<'l>(
    tx: &Tx<'_>,
    what: &'static str,
    lines: &'l [Line],
    accepts: impl Fn(Quantity) -> bool,
) -> Result<Vec<Named<'l>>, Stop> {
    if lines.is_empty() {
        return Err(Invalid::NoLines(what).into());
    }
    tx.want(lines.iter().map(|line| Key::Sku(line.sku.clone())))?;
    let items: Vec<ItemId> = lines.iter().map(|line| tx.item_id(&line.sku)).collect::<Result<_, _>>()?;
    tx.want(items.iter().map(|item| Key::Item(*item)))?;
    let mut named = Vec::with_capacity(lines.len());
    for (line, item) in lines.iter().zip(items) {
        if !accepts(line.quantity) {
            return Err(Invalid::NotPositive {
                field: "quantity",
                sku: line.sku.clone(),
                quantity: line.quantity,
            }
            .into());
        }
        let quantity = item::unpacked(tx, item, line)?;
        tx.check_quantity(item, quantity)?;
        named.push(match line.pack {
            None => (item, Cow::Borrowed(line)),
            Some(_) => (item, Cow::Owned(Line { quantity, pack: None, ..line.clone() })),
        });
    }
    Ok(named)
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
        inside: false,
        unnamed: false,
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
    Ok(Answer::Moved(lines::moved_answers(tx, moved)?, tx.discrepancies.clone()))
}

pub(super) fn receive(tx: &mut Tx<'_>, receive: &Receive) -> Result<Answer, Stop> {
    let location = tx.location_id(&receive.location)?;
    let mut lines = resolve(tx, "a receipt", &receive.lines, Quantity::is_positive)?;
    item::must_be_active(tx, lines.iter().map(|(item, _)| *item))?;
    let at = tx.past("occurred_at", receive.occurred_at)?;
    item::as_meant(tx, &mut lines, at)?;
    let reason = receive.reason.as_deref().unwrap_or("received");
    prefetch(tx, &[StockState::Supplier], lines.iter().map(|(item, _)| (*item, location, at)))?;
    for (item, _) in &lines {
        must_be_ours(tx, *item, location)?;
    }
    lines.iter().filter_map(|(_, line)| line.unit_cost.as_ref()).try_for_each(Money::check)?;
    let mut moved = Vec::new();
    // Each piece with a serial number is a line of its own.
    let pieces = |line: &Line| line.serials.as_ref().map_or(1, Vec::len);
    let costs = lines.iter().flat_map(|(_, line)| std::iter::repeat_n(&line.unit_cost, pieces(line)));
    for (Resolved { item, lot, quantity }, cost) in lots::arriving(tx, &lines)?.into_iter().zip(costs) {
        let lot = lot.unwrap_or_default();
        let by = Change { lot, reason, ..change(item, location, quantity, StockState::Supplier, at) };
        let seq = put_in(tx, by, StockState::Available)?;
        if let Some(cost) = cost {
            tx.emit(Entry::Cost(seq, cost.clone()))?;
        }
        moved.push((item, location, quantity, seq));
    }
    answer(tx, &moved)
}

pub(super) fn adjust(tx: &mut Tx<'_>, adjust: &Adjust) -> Result<Answer, Stop> {
    check_reason(&adjust.reason)?;
    let location = tx.location_id(&adjust.location)?;
    let mut lines = resolve(tx, "an adjustment", &adjust.lines, |_| true)?;
    no_cost(&adjust.lines)?;
    if let Some((_, line)) = lines.iter().find(|(_, line)| line.quantity.is_zero()) {
        let problem = format!("must not be 0 (`{}`)", line.sku);
        return Err(Invalid::Field { field: "quantity", problem }.into());
    }
    let at = tx.past("occurred_at", adjust.occurred_at)?;
    item::as_meant(tx, &mut lines, at)?;
    let reason = adjust.reason.as_str();
    prefetch(tx, &[StockState::Adjustment], lines.iter().map(|(item, _)| (*item, location, at)))?;
    for (item, _) in &lines {
        must_be_ours(tx, *item, location)?;
    }
    let lines = lots::arriving(tx, &lines)?;
    must_be_there(tx, &lines, location, at)?;
    let mut moved = Vec::new();
    for Resolved { item, lot, quantity: difference } in lines {
        let unnamed = lot.is_none() && tx.item(item)?.tracking != Tracking::None;
        let lot = lot.unwrap_or_default();
        let of_it = change(item, location, difference.abs(), StockState::Adjustment, at);
        let by = Change { lot, unnamed, reason, ..of_it };
        let seq = if difference.is_positive() {
            put_in(tx, by, StockState::Available)?
        } else {
            take_out(tx, by, None)?.seq
        };
        moved.push((item, location, difference, seq));
    }
    answer(tx, &moved)
}

/// Why stock was changed by hand: a code. The usual ones are those of [`crate::command::REASONS`]; whoever has others
/// uses them as they are.
pub(super) fn check_reason(reason: &str) -> Result<(), Invalid> {
    let is_code = |byte: u8| byte == b'_' || byte.is_ascii_lowercase() || byte.is_ascii_digit();
    if (1..=40).contains(&reason.len()) && reason.bytes().all(is_code) {
        return Ok(());
    }
    let shown: String = reason.chars().take(60).collect();
    let problem = format!(
        "`{shown}` is no reason code: one of {}, or one of your own of up to 40 small letters, digits and `_`; \
         free words go into `note`",
        crate::command::REASONS.join(", ")
    );
    Err(Invalid::Field { field: "reason", problem })
}

/// Refuses to take more of an item out of a place, in all lines together, than is there in all states. What a count
/// has seen the lack of is given back by it.
pub(super) fn must_be_there(
    tx: &Tx<'_>,
    lines: &[Resolved],
    location: LocationId,
    at: Instant,
) -> Result<(), Stop> {
    let mut wanted = BTreeMap::<(ItemId, LotId), Quantity>::new();
    for line in lines.iter().filter(|line| line.quantity.is_negative()) {
        let lot = line.lot.unwrap_or_default();
        let by = change(line.item, location, -line.quantity, StockState::Adjustment, at);
        if is_absorbed(tx, &Change { lot, ..by })? {
            continue;
        }
        // What was merged lies with the other.
        let total = wanted.entry((merge::live(tx, line.item)?, lot)).or_default();
        *total = total.checked_add(-line.quantity).ok_or(Invalid::Overflow(tx.sku(line.item)?))?;
    }
    let cells = |(item, lot): (ItemId, LotId)| {
        StockState::ON_HAND.map(|state| CellKey::of(item, location, lot, state))
    };
    tx.want_cells(wanted.keys().flat_map(|key| cells(*key)))?;
    let mut missing = Vec::new();
    for (key, wanted) in wanted {
        let there: Quantity = cells(key).into_iter().map(|cell| tx.held(cell)).sum::<Result<_, _>>()?;
        if there >= wanted {
            continue;
        }
        missing.push(Missing {
            sku: tx.sku(key.0)?,
            location: Some(tx.location_code(location)?),
            out_of: OutOf::OnHand,
            wanted,
            available: there,
            held: None,
            beyond: None,
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
    let lines = resolve_each(tx, "a transfer", &transfer.lines, Quantity::is_positive)?;
    let at = tx.past("occurred_at", transfer.occurred_at)?;
    for line in &lines {
        must_be_ours(tx, line.item, from)?;
        must_be_ours(tx, line.item, to)?;
    }
    must_lie(tx, &lines, (from, StockState::Available))?;
    let mut moved = Vec::new();
    for Resolved { item, lot, quantity } in lines {
        let lot = lot.unwrap_or_default();
        let by = change(item, from, quantity, StockState::Production, at);
        let seq = carry(tx, Change { reason: "transferred", lot, ..by }, to)?;
        moved.push((item, from, -quantity, seq));
        moved.push((item, to, quantity, seq));
    }
    answer(tx, &moved)
}

/// Carries what lies free at one place to another: one movement, unless a count in between saw one of its ends and not
/// the other.
pub(super) fn carry(tx: &mut Tx<'_>, leg: Change<'_>, to: LocationId) -> Result<Seq, Stop> {
    let out = anchors(tx, &leg)?;
    let back = anchors(tx, &Change { location: to, ..leg })?;
    if out != back {
        take_out(tx, leg, None)?;
        return put_in(tx, Change { location: to, ..leg }, StockState::Available);
    }
    tx.make(Move {
        item: leg.item,
        lot: leg.lot,
        from: (leg.location, StockState::Available),
        to: (to, StockState::Available),
        quantity: leg.quantity,
        occurred_at: leg.occurred_at,
        reason: leg.reason,
        promise: None,
        corrects: leg.corrects,
    })
}

/// Refuses unless all these lines together lie in one cell each: of the lot they name, at the very place.
pub(super) fn must_lie(
    tx: &Tx<'_>,
    lines: &[Resolved],
    (location, state): (LocationId, StockState),
) -> Result<(), Stop> {
    let mut wanted = BTreeMap::<(ItemId, LotId), Quantity>::new();
    for line in lines {
        let total = wanted.entry((line.item, line.lot.unwrap_or_default())).or_default();
        *total = total.checked_add(line.quantity).ok_or(Invalid::Overflow(tx.sku(line.item)?))?;
    }
    let cell = |(item, lot): (ItemId, LotId)| CellKey::of(item, location, lot, state);
    tx.want_cells(wanted.keys().map(|key| cell(*key)))?;
    let mut missing = Vec::new();
    for (key, wanted) in wanted {
        let there = tx.held(cell(key))?;
        if there < wanted {
            let held =
                if state == StockState::Available { order::held(tx, key.0, &[location])? } else { None };
            missing.push(Missing {
                sku: tx.sku(key.0)?,
                location: Some(tx.location_code(location)?),
                out_of: OutOf::State(state),
                wanted,
                available: there,
                held,
                beyond: None,
            });
        }
    }
    if missing.is_empty() { Ok(()) } else { Err(Refusal::Insufficient(missing).into()) }
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
    let lines = resolve_each(tx, "a move", &step.lines, Quantity::is_positive)?;
    for line in &lines {
        must_be_ours(tx, line.item, location)?;
    }
    check_reason(&step.reason)?;
    let at = tx.past("occurred_at", step.occurred_at)?;
    prefetch(tx, &[StockState::Adjustment], lines.iter().map(|line| (line.item, location, at)))?;
    let shifts = lines.iter().map(|line| Move {
        promise: None,
        item: line.item,
        lot: line.lot.unwrap_or_default(),
        from: (location, step.from),
        to: (location, step.to),
        quantity: line.quantity,
        occurred_at: at,
        reason: &step.reason,
        corrects: None,
    });
    let shifts: Vec<Move<'_>> = shifts.collect();
    shift::must_be_free(tx, &shifts)?;
    let mut moved = Vec::new();
    for step in shifts {
        moved.push((step.item, location, Quantity::ZERO, shift::shift(tx, step)?));
    }
    answer(tx, &moved)
}

/// So much of an order's line has left from a location or from inside it: what is promised to the line there first. A kit
/// leaves as it was promised: assembled, or as its components.
pub(super) fn ship(
    tx: &mut Tx<'_>,
    order: crate::OrderId,
    line: u32,
    location: LocationId,
    quantity: Quantity,
    at: Instant,
) -> Result<Shipped, Stop> {
    ship_lot(tx, order, line, (location, LotId(0)), quantity, at)
}

/// As [`ship`], of one lot or piece; of whichever where 0.
pub(super) fn ship_lot(
    tx: &mut Tx<'_>,
    order: crate::OrderId,
    line: u32,
    (location, lot): (LocationId, LotId),
    quantity: Quantity,
    at: Instant,
) -> Result<Shipped, Stop> {
    let sites = tx.sites()?;
    let known = &tx.order(order)?.lines[line as usize];
    let (item, is_kit) = (known.item, !known.build.recipe.is_empty());
    let mut missing = quantity;
    let mut part_of = |at: &At| {
        let is_here = sites.is_in(at.location, location) && (lot.0 == 0 || lot == at.lot);
        let part = if is_here { at.quantity.min(missing) } else { Quantity::ZERO };
        missing -= part;
        part.is_positive().then_some(At { quantity: part, ..*at })
    };
    let own: Vec<At> = known.allocated.iter().filter_map(&mut part_of).collect();
    let built: Vec<At> = known.build.built.iter().filter_map(part_of).collect();
    let by = |item, quantity| Change {
        lot,
        inside: true,
        reason: "shipped",
        ..change(item, location, quantity, StockState::Customer, at)
    };
    // First what was promised leaves the books of the line, so that breaking promises cannot touch it.
    let mut components = Vec::new();
    for place in &built {
        let known = &tx.order(order)?.lines[line as usize];
        let parts = promise::components_of(tx, &known.build, place.location, place.quantity, None)?;
        let build = &mut tx.edit_order(order)?.lines[line as usize].build;
        // What has left of these kits before is promised no more.
        for component in build.recipe.clone() {
            let of_it = parts.iter().filter(|part| part.item == component.item);
            let parts: Quantity = of_it.map(|part| part.quantity).sum();
            build.absorb(component.item, build.needs(component.item, place.quantity) - parts);
        }
        for part in parts {
            ComponentAt::add(&mut build.components, ComponentAt { quantity: -part.quantity, ..part });
            ComponentAt::add(&mut components, part);
        }
        add_at(&mut build.built, place.location, place.lot, -place.quantity);
    }
    let edited = &mut tx.edit_order(order)?.lines[line as usize];
    for place in &own {
        add_at(&mut edited.allocated, place.location, place.lot, -place.quantity);
    }
    let short = edited.short.min(missing);
    edited.short -= short;
    // Of what is neither promised here nor short, the line has something promised elsewhere.
    let elsewhere = missing - short;
    for place in own.iter().chain(&built) {
        add_at(&mut edited.shipped, place.location, place.lot, place.quantity);
    }
    order::release(tx, order, line, elsewhere)?;
    let promised = |places: Vec<At>| Some((Holder::Order(order), line, places));
    // What was not promised of a kit leaves assembled as far as it lies there so, and as components beyond.
    let assembled = if is_kit && missing.is_positive() {
        let states = [StockState::Available, StockState::SafetyStock];
        let spots = availability::spots(&mut &*tx, item, location, &states)?;
        spots.iter().map(|spot| spot.quantity).sum::<Quantity>().min(missing)
    } else {
        missing
    };
    let mut shipped = Shipped::default();
    let whole = own.iter().map(|at| at.quantity).sum::<Quantity>() + assembled;
    if whole.is_positive() {
        let taken = take_out(tx, by(item, whole), promised(own.clone()))?;
        let edited = &mut tx.edit_order(order)?.lines[line as usize];
        for place in &taken.places {
            add_at(&mut edited.shipped, place.location, place.lot, place.quantity);
        }
        shipped.balanced = taken.balanced;
        shipped.pieces = own;
        shipped.pieces.extend(taken.places);
    }
    shipped.kits = built.iter().map(|at| at.quantity).sum::<Quantity>() + missing - assembled;
    let kits = missing - assembled;
    if kits.is_positive() {
        let edited = &mut tx.edit_order(order)?.lines[line as usize];
        add_at(&mut edited.shipped, location, LotId(0), kits);
    }
    let recipe = tx.order(order)?.lines[line as usize].build.recipe.clone();
    for component in recipe {
        let (of_it, rest): (Vec<_>, Vec<_>) =
            components.into_iter().partition(|part| part.item == component.item);
        components = rest;
        let own: Vec<At> = of_it
            .iter()
            .map(|part| At { location: part.location, lot: part.lot, quantity: part.quantity })
            .collect();
        let more = availability::times(component.quantity, kits)
            .ok_or(Invalid::Overflow(tx.sku(component.item)?))?;
        // What has left before of more kits than are open yet has left of these.
        let known = &mut tx.edit_order(order)?.lines[line as usize];
        let open = known.build.needs(component.item, known.wanted - known.shipped_total());
        let before = (known.build.begun_of(component.item) - open).max(Quantity::ZERO).min(more);
        known.build.absorb(component.item, before);
        let more = more - before;
        let total = own.iter().map(|at| at.quantity).sum::<Quantity>() + more;
        if !total.is_positive() {
            continue;
        }
        let out = take_out(tx, by(component.item, total), promised(own))?;
        let more = out.places.into_iter().map(|At { location, lot, quantity }| ComponentAt {
            item: component.item,
            location,
            lot,
            quantity,
        });
        let mut balanced = out.balanced;
        let left = &mut tx.edit_order(order)?.lines[line as usize].build.left;
        // What was not there is of what was not promised, which comes last.
        for part in of_it.into_iter().chain(more).rev() {
            ComponentAt::add(left, part);
            let of_part = balanced.min(part.quantity);
            balanced -= of_part;
            shipped.components.push((part, of_part));
        }
    }
    Ok(shipped)
}

/// How a line has left.
#[derive(Clone, Debug, Default)]
pub(super) struct Shipped {
    /// The line's own item, place by place.
    pub pieces: Vec<At>,
    /// How much of that was not there, and was balanced.
    pub balanced: Quantity,
    /// Kits that left as their components.
    pub kits: Quantity,
    /// These, and how much of each was balanced.
    pub components: Vec<(ComponentAt, Quantity)>,
}

/// The value of a key if it is an item, for callers that only compare.
pub(super) const fn as_quantity(value: &Value) -> Option<Quantity> {
    match value {
        Value::Quantity(quantity) => Some(*quantity),
        _ => None,
    }
}
