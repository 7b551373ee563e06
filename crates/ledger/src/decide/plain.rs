//! The short way for what most commands are: one line of goods that came in or were found, are gone, or change their
//! state, now, of an item that is not tracked, at a place where we are master, with all that is needed in memory.
//!
//! It says what the long way says, word for word, or nothing: then the long way is gone. Debug builds go both and
//! compare, so that every test is one of this too.

use crate::answer::{Answer, Moved};
use crate::command::{Adjust, Body, Command, Line, MoveState, Receive, check_name};
use crate::entry::{Account, Entry, Movement, Record};
use crate::key::{CellKey, Key, StockState};
use crate::model::{Item, Tracking};
use crate::state::{ItemCard, PlaceCard, State, Value};
use crate::{Instant, ItemId, LocationId, Quantity};

/// What such a command asks for, in the words of the long way.
struct Step<'a> {
    location: &'a str,
    line: &'a Line,
    from: StockState,
    to: StockState,
    reason: &'a str,
}

/// A record, and what was looked up for it that is worth keeping.
pub(super) struct Plain {
    pub record: Box<Record>,
    pub item: Option<(String, ItemCard)>,
    pub place: Option<(String, PlaceCard)>,
}

/// What a plain command comes to; none where the long way must be gone.
pub(super) fn decide(state: &State, command: &Command, now: Instant) -> Option<Plain> {
    let step = step(&command.body)?;
    let Line { sku, quantity, lot: None, expires: None, serials: None, unit_cost: None, pack: None } =
        step.line
    else {
        return None;
    };
    if state.next_due().is_some_and(|(at, _)| at <= now) {
        return None;
    }
    let (mut new_place, mut new_item) = (None, None);
    let PlaceCard { location, code } = match state.place_card(step.location) {
        Some(card) => card,
        None => &new_place.insert((step.location.to_owned(), place_of(state, step.location)?)).1,
    };
    let ItemCard { item, sku, precision } = match state.item_card(sku) {
        Some(card) => card,
        None => &new_item.insert((sku.clone(), item_of(state, sku)?)).1,
    };
    if quantity.is_zero() || !quantity.is_acceptable() || !quantity.fits(*precision) {
        return None;
    }
    let (quantity, amount) = (*quantity, quantity.abs());
    let from = account(state, cell(*item, *location, step.from), -amount, now)?;
    let to = account(state, cell(*item, *location, step.to), amount, now)?;
    let available = match (step.from, step.to) {
        (StockState::Available, _) => from.balance,
        (_, StockState::Available) => to.balance,
        _ => state.cell(&cell(*item, *location, StockState::Available))?.quantity,
    };
    let is_inside = !step.from.is_party() && !step.to.is_party();
    let moved = Moved {
        sku: sku.clone(),
        location: code.clone(),
        difference: if is_inside { Quantity::ZERO } else { quantity },
        available,
        seq: state.head + 1,
    };
    let answer = Answer::Moved(vec![moved], Vec::new());
    let movement = Movement {
        item: *item,
        from,
        to,
        quantity: amount,
        occurred_at: now,
        reason: step.reason.to_owned(),
        promise: None,
        corrects: None,
    };
    let record = Record {
        recorded_at: now,
        key: command.key.clone(),
        fingerprint: command.fingerprint,
        actor: command.actor.clone(),
        document: None,
        reference: None,
        note: None,
        entries: vec![Entry::Movement(movement)],
        answer,
    };
    Some(Plain { record: Box::new(record), item: new_item, place: new_place })
}

/// Reads what deciding a plain command will read. What comes of it means nothing: but where a few commands in a row are read
/// for, memory brings it all at once, while each decision by itself would wait for it.
pub(super) fn warm(state: &State, command: &Command) -> Option<u64> {
    let step = step(&command.body)?;
    let first = |text: &str| text.as_bytes().first().copied().map_or(0, u64::from);
    let words = first(command.key.as_deref()?) + first(&command.actor) + first(step.reason);
    let (place, item) = (state.place_card(step.location)?, state.item_card(&step.line.sku)?);
    let side = |party| state.cell(&cell(item.item, place.location, party)).map_or(0, |slot| slot.seq);
    Some(words.wrapping_add(side(step.from)).wrapping_add(side(step.to)))
}

fn step(body: &Body) -> Option<Step<'_>> {
    match body {
        Body::Receive(Receive { location, lines, occurred_at: None, reason }) => {
            let [line] = lines.as_slice() else { return None };
            let reason = reason.as_deref().unwrap_or("received");
            let (from, to) = (StockState::Supplier, StockState::Available);
            line.quantity.is_positive().then_some(Step { location, line, from, to, reason })
        }
        Body::Adjust(Adjust { location, lines, occurred_at: None, reason }) => {
            let [line] = lines.as_slice() else { return None };
            check_name("reason", reason, 500).ok()?;
            let (from, to) = if line.quantity.is_negative() {
                (StockState::Available, StockState::Adjustment)
            } else {
                (StockState::Adjustment, StockState::Available)
            };
            Some(Step { location, line, from, to, reason })
        }
        Body::Move(MoveState { location, from, to, lines, reason, occurred_at: None }) => {
            const MOVABLE: [StockState; 4] = [
                StockState::Available,
                StockState::Damaged,
                StockState::QualityControl,
                StockState::SafetyStock,
            ];
            let [line] = lines.as_slice() else { return None };
            let is_movable = MOVABLE.contains(from) && MOVABLE.contains(to) && from != to;
            (is_movable && line.quantity.is_positive()).then_some(Step {
                location,
                line,
                from: *from,
                to: *to,
                reason,
            })
        }
        _ => None,
    }
}

/// Does no rule name another master of anything?
fn owns_everything(state: &State) -> bool {
    state.object(&Key::Rules).is_some_and(|known| match &known.value {
        None => true,
        Some(Value::Rules(rules)) => rules.ownership.is_empty(),
        Some(_) => false,
    })
}

/// Nothing about it needs a second look?
fn is_plain(item: &Item) -> bool {
    let is_alive = !item.archived && item.merged_into.is_none();
    is_alive && item.tracking == Tracking::None && item.kit.is_empty()
}

fn is_short_of(state: &State, item: ItemId) -> Option<bool> {
    Some(match &state.object(&Key::Demand(item))?.value {
        Some(Value::Quantity(quantity)) => quantity.is_positive(),
        _ => false,
    })
}

/// The place of a name, if we are master of everything.
fn place_of(state: &State, name: &str) -> Option<PlaceCard> {
    let Some(Value::LocationId(location)) = &state.object(&Key::LocationCode(name.to_owned()))?.value else {
        return None;
    };
    let Some(Value::Location(place)) = &state.object(&Key::Location(*location))?.value else { return None };
    owns_everything(state).then(|| PlaceCard { location: *location, code: place.code.clone() })
}

/// The item of a name, if nothing about it needs a second look.
fn item_of(state: &State, name: &str) -> Option<ItemCard> {
    let Some(Value::ItemId(item)) = &state.object(&Key::Sku(name.to_owned()))?.value else { return None };
    let Some(Value::Item(known)) = &state.object(&Key::Item(*item))?.value else { return None };
    let is_plain = is_plain(known) && !is_short_of(state, *item)?;
    is_plain.then(|| ItemCard { item: *item, sku: known.sku.clone(), precision: known.precision })
}

fn cell(item: ItemId, location: LocationId, state: StockState) -> CellKey {
    if state.is_party() { CellKey::party(item, state) } else { CellKey::new(item, location, state) }
}

/// A side of the movement; none where there is not so much, or it is not in memory.
fn account(state: &State, key: CellKey, change: Quantity, now: Instant) -> Option<Account> {
    let slot = state.cell(&key)?;
    let balance = slot.quantity.checked_add(change)?;
    let is_possible = if key.state.is_party() {
        balance.micros().unsigned_abs() <= Quantity::MAX_PARTY.micros().unsigned_abs()
    } else {
        !balance.is_negative()
    };
    let late = slot.seq != 0 && now < slot.latest;
    let CellKey { location, state, lot, consignor, .. } = key;
    (is_possible && !late).then_some(Account { location, state, lot, consignor, balance, late })
}
