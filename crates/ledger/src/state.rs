//! The state: a pure fold of the entries, kept as cells and objects, each true at its own `seq`.
//!
//! A [`State`] is a partial cache. What it does not have it does not guess: reading it gives a [`Need`], which the
//! committer fetches and provides. What has changed since it was last written to tables is *dirty* and never
//! leaves the cache; it is written in key order, a slice at a time, behind the log.
//! An entry at or below a thing's own `seq` is folded into it already and is skipped.

use std::collections::hash_map::Entry as Place;
use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;

use foldhash::HashMap;
use serde::{Deserialize, Serialize};

use crate::answer::Answer;
use crate::entry::{Entry, Movement, PromiseChange, Record};
use crate::key::{CellKey, Key, StockState};
use crate::model::{
    Count, Discrepancy, ExpectedReturn, Hold, HoldState, Incoming, Item, KnownDocument, Listing, Location,
    Lot, Order, Promise, Purchase, Reversals, Rules, Seen, Session, Sites, Supply, System, TransferDocument,
    Waiting,
};
use crate::parts::{PARTS, Parts};
use crate::{
    Due, Instant, ItemId, ListingId, LocationId, LotId, OrderId, PurchaseId, Quantity, Seq, SystemId,
    TransferId,
};
use crate::{gtin, look};

/// A cell with so many movements that no table has is written before its turn.
const FULL_CELL: usize = 2_048;

/// The value behind a [`Key`].
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[expect(missing_docs, reason = "each variant is documented at the type it holds")]
pub enum Value {
    Item(Box<Item>),
    ItemId(ItemId),
    Location(Box<Location>),
    LocationId(LocationId),
    Sites(Box<Sites>),
    System(Box<System>),
    SystemId(SystemId),
    Listing(Box<Listing>),
    ListingId(ListingId),
    Rules(Box<Rules>),
    Order(Box<Order>),
    Document(Box<KnownDocument>),
    Waiting(Box<Waiting>),
    Hold(Box<Hold>),
    /// Present, and nothing more to say.
    Present,
    Promise(Promise),
    Quantity(Quantity),
    Count(Box<Count>),
    /// A late movement of a cell: when it happened, and how the cell changed.
    Late(Instant, Quantity),
    /// What balances a cell: since when, and how much more of it.
    Balanced(Instant, Quantity),
    Discrepancy(Box<Discrepancy>),
    Instant(Instant),
    Items(Vec<ItemId>),
    Transfer(Box<TransferDocument>),
    TransferId(TransferId),
    Purchase(Box<Purchase>),
    PurchaseId(PurchaseId),
    Incoming(Incoming),
    Reversals(Reversals),
    Session(Box<Session>),
    Seen(Box<Seen>),
    Lot(Box<Lot>),
    LotId(LotId),
    Return(Box<ExpectedReturn>),
    /// An item, and how many of it are in one of what is named.
    Meant(ItemId, u32),
}

/// A movement of a cell, as kept for questions about the past.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct TrailRow {
    /// The movement.
    pub seq: Seq,
    /// When it happened.
    pub occurred_at: Instant,
    /// What the cell held after it.
    pub balance: Quantity,
    /// Did it happen before one that we knew already?
    pub late: bool,
}

/// A cell and what is not yet written of it.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct CellSlot {
    /// What it holds. Only an outside party's may be negative.
    pub quantity: Quantity,
    /// The last movement folded in; 0 for a cell that never moved.
    pub seq: Seq,
    /// The latest time at which a movement of it happened; meaningless while `seq` is 0.
    pub latest: Instant,
    /// `latest` as it was before the first of `pending`.
    pub latest_before_pending: Instant,
    /// Movements since it was last written to tables, oldest first. None for outside parties.
    pub pending: Vec<TrailRow>,
}

/// An object and the `seq` it is true at.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Slot {
    /// The object; none where there is none.
    pub value: Option<Value>,
    /// The last entry folded in.
    pub seq: Seq,
}

/// What must be fetched before a command can be decided.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Need {
    /// A cell.
    Cell(CellKey),
    /// An object.
    Object(Key),
    /// All objects from the first key to the second, both included, as tables have them.
    Range(Key, Key),
    /// What a cell held at an instant, by what happened, as known now.
    AsOf(CellKey, Instant),
    /// What was answered to the command's key.
    Request(String),
    /// The record that has an entry.
    Record(Seq),
    /// All cells of an item at places of ours that hold something.
    Stocked(ItemId),
    /// Which entries moved a cell after an instant, by when it happened.
    MovedAfter(CellKey, Instant),
}

/// What was answered to a key.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Answered {
    /// The hash of the request's body.
    pub fingerprint: u64,
    /// The answer.
    pub answer: Answer,
    /// The record's first entry.
    pub seq: Seq,
}

/// What is known of a command's key.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub enum Earlier {
    /// Nobody has looked yet.
    #[default]
    Unknown,
    /// It was never used.
    Free,
    /// It was answered.
    Answered(Box<Answered>),
}

/// What was fetched for one command: valid until anything is committed.
#[derive(Clone, Debug, Default)]
pub struct Given {
    /// Ranges, as tables have them (without what is dirty).
    pub ranges: HashMap<(Key, Key), Vec<(Key, Value)>>,
    /// Past quantities.
    pub as_of: HashMap<(CellKey, Instant), Quantity>,
    /// What its key was answered with before.
    pub earlier: Earlier,
    /// Records with their first entry, by the entry they were asked for by; none where the log has none of it.
    pub records: HashMap<Seq, Option<(Seq, Record)>>,
    /// Entries that moved a cell after an instant.
    pub moved_after: HashMap<(CellKey, Instant), Vec<Seq>>,
}

impl Given {
    /// Nothing is given any more; its room is kept for the next command.
    pub fn clear(&mut self) {
        let Self { ranges, as_of, earlier, records, moved_after } = self;
        ranges.clear();
        as_of.clear();
        *earlier = Earlier::Unknown;
        records.clear();
        moved_after.clear();
    }
}

/// Where entries are folded into.
pub trait Sink {
    /// The cell, to be changed by a movement, late or not. One that is not late needs nothing of what was before it.
    fn cell(&mut self, key: CellKey, late: bool) -> Result<&mut CellSlot, Need>;
    /// The object as it is, and its `seq`.
    fn object(&mut self, key: &Key) -> Result<Slot, Need>;
    /// The object as it is from now on.
    fn put(&mut self, key: Key, slot: Slot);
    /// Something is due at that time (or no longer is).
    fn due(&mut self, at: Instant, due: Due, present: bool);
}

/// One tenant's state, as far as it is in memory.
#[derive(Clone, Debug, Default)]
pub struct State {
    /// The last entry folded in.
    pub head: Seq,
    /// When it was recorded. The next record is later.
    pub recorded_at: Instant,
    cells: Parts<CellKey, Kept<CellSlot>>,
    dirty_cells: BTreeSet<CellKey>,
    /// Dirty cells with more movements than are left to wait.
    full_cells: Vec<CellKey>,
    objects: Parts<Key, Kept<Slot>>,
    dirty_objects: BTreeSet<Key>,
    due: BTreeSet<(Instant, Due)>,
    /// Of some items, all cells at places of ours that hold something.
    stocked: HashMap<ItemId, BTreeSet<CellKey>>,
    /// What plain commands ask of items and places, by their names as given.
    cards: Cards,
    /// The part of `cells` and `objects` that was looked through last, to make room.
    evicted: usize,
}

/// What the short way of deciding asks of names, so that it asks once: it follows from objects, and is as good as gone when
/// any of those kinds changes.
#[derive(Clone, Debug, Default)]
struct Cards {
    items: HashMap<String, (u64, ItemCard)>,
    /// The last place asked for, by its name as given.
    place: Option<(String, u64, PlaceCard)>,
    /// How often one of the objects was put that these follow from.
    changes: u64,
}

impl Cards {
    /// How many items are kept at most.
    const MOST: usize = 100_000;
}

/// An item of which nothing needs a second look: it is neither archived nor merged, tracked nor a kit, and nowhere short.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct ItemCard {
    pub item: ItemId,
    /// Its own name, which may be another than it was asked for by.
    pub sku: String,
    pub precision: crate::Precision,
}

/// A place where we are master of everything.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct PlaceCard {
    pub location: LocationId,
    pub code: String,
}

/// What is in memory, and whether it is in the set of what is dirty too: the set is asked only when that changes.
#[derive(Clone, Debug, Default)]
struct Kept<T> {
    thing: T,
    is_dirty: bool,
}

impl<T> Kept<T> {
    const fn clean(thing: T) -> Self {
        Self { thing, is_dirty: false }
    }
}

impl State {
    /// The state before the first entry. `due` must be provided by the store for any other.
    pub fn new(head: Seq, recorded_at: Instant, due: impl IntoIterator<Item = (Instant, Due)>) -> Self {
        Self { head, recorded_at, due: due.into_iter().collect(), ..Self::default() }
    }

    /// The cell, if it is in memory.
    pub fn cell(&self, key: &CellKey) -> Option<&CellSlot> {
        self.cells.get(key).map(|kept| &kept.thing)
    }

    /// The object, if it is in memory; `Some(Slot { value: None, .. })` is known to be absent.
    pub fn object(&self, key: &Key) -> Option<&Slot> {
        self.objects.get(key).map(|kept| &kept.thing)
    }

    /// Takes a cell as a table has it. What is dirty is newer and stays.
    pub fn provide_cell(&mut self, key: CellKey, slot: CellSlot) {
        self.cells.entry(key).or_insert(Kept::clean(slot));
    }

    /// Takes an object as a table has it. What is dirty is newer and stays.
    pub fn provide_object(&mut self, key: Key, slot: Slot) {
        self.objects.entry(key).or_insert(Kept::clean(slot));
    }

    /// The dirty objects from `from` to `to`, both included, in order; absent ones too.
    pub fn dirty_range<'a>(
        &'a self,
        from: &Key,
        to: &Key,
    ) -> impl DoubleEndedIterator<Item = (&'a Key, &'a Slot)> + use<'a> {
        self.dirty_objects
            .range((Bound::Included(from.clone()), Bound::Included(to.clone())))
            .filter_map(|key| self.objects.get_key_value(key).map(|(key, kept)| (key, &kept.thing)))
    }

    /// The dirty cells of an item, in order.
    pub fn dirty_cells_of(&self, item: ItemId) -> impl Iterator<Item = (&CellKey, &CellSlot)> {
        let from = CellKey::new(item, LocationId(0), StockState::Available);
        self.dirty_cells
            .range(from..)
            .take_while(move |key| key.item == item)
            .filter_map(|key| self.cells.get_key_value(key).map(|(key, kept)| (key, &kept.thing)))
    }

    /// All cells of an item at places of ours that hold something, if they are known.
    pub fn stocked(&self, item: ItemId) -> Option<&BTreeSet<CellKey>> {
        self.stocked.get(&item)
    }

    /// Takes all cells of an item at places of ours that hold something, as tables have them. What is dirty is newer.
    pub fn provide_stocked(&mut self, item: ItemId, cells: impl IntoIterator<Item = (CellKey, CellSlot)>) {
        let mut keys: BTreeSet<CellKey> = BTreeSet::new();
        for (key, slot) in cells {
            self.provide_cell(key, slot);
            keys.insert(key);
        }
        keys.extend(self.dirty_cells_of(item).map(|(key, _)| *key));
        keys.retain(|key| holds(key, Self::cell(self, key)));
        self.stocked.insert(item, keys);
    }

    fn note_stocked(&mut self, key: CellKey) {
        if self.stocked.is_empty() {
            return;
        }
        let Some(known) = self.stocked.get_mut(&key.item) else { return };
        if holds(&key, self.cells.get(&key).map(|kept| &kept.thing)) {
            known.insert(key);
        } else {
            known.remove(&key);
        }
    }

    /// The dirty cells after a key, in order.
    pub fn dirty_cells_after(&self, after: Option<CellKey>) -> impl Iterator<Item = (&CellKey, &CellSlot)> {
        let from = after.map_or(Bound::Unbounded, Bound::Excluded);
        let dirty = self.dirty_cells.range((from, Bound::Unbounded));
        dirty.filter_map(|key| self.cells.get_key_value(key).map(|(key, kept)| (key, &kept.thing)))
    }

    /// Every dirty cell key.
    pub fn dirty_cells(&self) -> impl Iterator<Item = &CellKey> {
        self.dirty_cells.iter()
    }

    /// The card of an item's name.
    pub(crate) fn item_card(&self, name: &str) -> Option<&ItemCard> {
        let (changes, card) = self.cards.items.get(name)?;
        (*changes == self.cards.changes).then_some(card)
    }

    /// The card of a place's name.
    pub(crate) fn place_card(&self, name: &str) -> Option<&PlaceCard> {
        let (known, changes, card) = self.cards.place.as_ref()?;
        (*changes == self.cards.changes && known == name).then_some(card)
    }

    /// Keeps cards that follow from this state as it is.
    pub(crate) fn keep_cards(
        &mut self,
        item: Option<(String, ItemCard)>,
        place: Option<(String, PlaceCard)>,
    ) {
        let cards = &mut self.cards;
        if let Some((name, card)) = item {
            if cards.items.len() >= Cards::MOST {
                cards.items.clear();
            }
            cards.items.insert(name, (cards.changes, card));
        }
        if let Some((name, card)) = place {
            cards.place = Some((name, cards.changes, card));
        }
    }

    /// What is due first, and when.
    pub fn next_due(&self) -> Option<(Instant, Due)> {
        self.due.first().copied()
    }

    /// What is due at or before an instant, oldest first.
    pub fn due_until(&self, now: Instant) -> impl Iterator<Item = (Instant, Due)> {
        self.due.iter().copied().take_while(move |(at, _)| *at <= now)
    }

    /// How much is not yet in tables: cells and objects.
    pub fn dirty_len(&self) -> usize {
        self.dirty_cells.len() + self.dirty_objects.len()
    }

    /// How much is in memory in all.
    pub fn cached_len(&self) -> usize {
        self.cells.len() + self.objects.len()
    }

    /// Forgets what tables have too.
    pub fn evict_clean(&mut self) {
        (0..PARTS).for_each(|_| self.evict_some());
    }

    /// Forgets some of what tables have too, another part each time.
    pub fn evict_some(&mut self) {
        self.evicted = (self.evicted + 1) % PARTS;
        self.cells.retain_in(self.evicted, |kept| kept.is_dirty);
        self.objects.retain_in(self.evicted, |kept| kept.is_dirty);
        self.stocked.clear();
    }

    /// The dirty cells from `after` on (not included), at most `limit`, to be written to tables now.
    /// They count as written: the caller must commit them, or drop this state.
    pub fn take_dirty_cells(&mut self, after: Option<CellKey>, limit: usize) -> Vec<(CellKey, CellSlot)> {
        let from = after.map_or(Bound::Unbounded, Bound::Excluded);
        let keys: Vec<CellKey> =
            self.dirty_cells.range((from, Bound::Unbounded)).take(limit).copied().collect();
        keys.into_iter().filter_map(|key| self.take_dirty_cell(key)).collect()
    }

    /// Dirty cells with so many movements that they are better written before their turn. As [`State::take_dirty_cells`], they count
    /// as written.
    pub fn take_full_cells(&mut self) -> Vec<(CellKey, CellSlot)> {
        let full = std::mem::take(&mut self.full_cells);
        full.into_iter().filter_map(|key| self.take_dirty_cell(key)).collect()
    }

    fn take_dirty_cell(&mut self, key: CellKey) -> Option<(CellKey, CellSlot)> {
        if !self.dirty_cells.remove(&key) {
            return None;
        }
        let kept = self.cells.get_mut(&key)?;
        kept.is_dirty = false;
        let slot = &mut kept.thing;
        let written = CellSlot { pending: std::mem::take(&mut slot.pending), ..*slot };
        slot.latest_before_pending = slot.latest;
        Some((key, written))
    }

    /// As [`State::take_dirty_cells`], for objects.
    pub fn take_dirty_objects(&mut self, after: Option<&Key>, limit: usize) -> Vec<(Key, Slot)> {
        let from = after.map_or(Bound::Unbounded, Bound::Excluded);
        let keys: Vec<Key> =
            self.dirty_objects.range((from, Bound::Unbounded)).take(limit).cloned().collect();
        keys.into_iter()
            .filter_map(|key| {
                self.dirty_objects.remove(&key);
                let kept = self.objects.get_mut(&key)?;
                kept.is_dirty = false;
                let slot = kept.thing.clone();
                Some((key, slot))
            })
            .collect()
    }

    /// Folds a record that is durable but not (wholly) in this state. May be called again after providing a need:
    /// what is folded already is skipped.
    pub fn fold(&mut self, first_seq: Seq, record: &Record) -> Result<(), Need> {
        for (seq, entry) in (first_seq..).zip(&record.entries) {
            fold(entry, seq, self)?;
            if let Entry::Movement(movement) = entry {
                self.note_stocked(movement.from_cell());
                self.note_stocked(movement.to_cell());
            }
        }
        self.note(first_seq, record);
        Ok(())
    }

    /// Takes over what a decision changed. Only after [`crate::decide`] on exactly this state.
    pub(crate) fn absorb(&mut self, overlay: Overlay, first_seq: Seq, record: &Record) {
        debug_assert_eq!(first_seq, self.head + 1, "a decision belongs to the state it was made on");
        for (key, changed) in overlay.cells {
            if !changed.touched {
                continue;
            }
            let kept = self.cells.entry(key).or_default();
            if !kept.is_dirty {
                kept.is_dirty = true;
                self.dirty_cells.insert(key);
            }
            let slot = &mut kept.thing;
            if slot.pending.is_empty() {
                slot.latest_before_pending = slot.latest;
            }
            slot.quantity = changed.slot.quantity;
            slot.seq = changed.slot.seq;
            slot.latest = changed.slot.latest;
            slot.pending.extend(changed.slot.pending);
            if slot.pending.len() >= FULL_CELL {
                self.full_cells.push(key);
            }
            self.note_stocked(key);
        }
        for (key, slot) in overlay.objects {
            self.put(key, slot);
        }
        for (at, due, present) in overlay.due {
            self.due(at, due, present);
        }
        self.note(first_seq, record);
    }

    fn note(&mut self, first_seq: Seq, record: &Record) {
        self.head = self.head.max(first_seq + record.entries.len() as Seq - 1);
        self.recorded_at = self.recorded_at.max(record.recorded_at);
    }
}

/// Is it a cell at a place of ours that holds something?
fn holds(key: &CellKey, slot: Option<&CellSlot>) -> bool {
    !key.state.is_party() && slot.is_some_and(|slot| !slot.quantity.is_zero())
}

impl Sink for State {
    fn cell(&mut self, key: CellKey, late: bool) -> Result<&mut CellSlot, Need> {
        let kept = match self.cells.entry(key) {
            Place::Occupied(kept) => kept.into_mut(),
            Place::Vacant(_) if late => return Err(Need::Cell(key)),
            Place::Vacant(free) => free.insert(Kept::default()),
        };
        if !kept.is_dirty {
            kept.is_dirty = true;
            self.dirty_cells.insert(key);
        }
        if kept.thing.pending.len() == FULL_CELL {
            self.full_cells.push(key);
        }
        Ok(&mut kept.thing)
    }

    fn object(&mut self, key: &Key) -> Result<Slot, Need> {
        State::object(self, key).cloned().ok_or_else(|| Need::Object(key.clone()))
    }

    fn put(&mut self, key: Key, slot: Slot) {
        if key.is_on_cards() {
            self.cards.changes += 1;
        }
        match self.objects.entry(key) {
            Place::Occupied(mut kept) if kept.get().is_dirty => kept.get_mut().thing = slot,
            kept => {
                self.dirty_objects.insert(kept.key().clone());
                kept.insert_entry(Kept { thing: slot, is_dirty: true });
            }
        }
    }

    fn due(&mut self, at: Instant, due: Due, present: bool) {
        if present {
            self.due.insert((at, due));
        } else {
            self.due.remove(&(at, due));
        }
    }
}

/// A cell as a decision changes it.
#[derive(Clone, Debug, Default)]
pub(crate) struct OverlayCell {
    pub slot: CellSlot,
    pub touched: bool,
}

/// What a decision changes, beside the state.
#[derive(Clone, Debug, Default)]
pub(crate) struct Overlay {
    pub cells: HashMap<CellKey, OverlayCell>,
    pub objects: BTreeMap<Key, Slot>,
    pub due: Vec<(Instant, Due, bool)>,
}

/// Folds one entry. Each thing is folded by itself, from the entry and its own value alone.
pub(crate) fn fold(entry: &Entry, seq: Seq, sink: &mut impl Sink) -> Result<(), Need> {
    match entry {
        Entry::Item(id, item) => {
            // What was merged into another has no names and no codes of its own any more.
            if item.merged_into.is_none() {
                fold_names(*id, item, seq, sink);
            }
            let watched = item.low_stock.is_set().then_some(Value::Present);
            sink.put(Key::Watched(*id), Slot { value: watched, seq });
            for tag in &item.tags {
                sink.put(Key::Tagged(tag.clone(), *id), Slot { value: Some(Value::Present), seq });
            }
            for component in &item.kit {
                sink.put(Key::KitOf(component.item, *id), Slot { value: Some(Value::Present), seq });
            }
            sink.put(Key::Item(*id), Slot { value: Some(Value::Item(item.clone())), seq });
        }
        Entry::Location(id, location) => {
            sink.put(
                Key::LocationCode(location.code.clone()),
                Slot { value: Some(Value::LocationId(*id)), seq },
            );
            sink.put(Key::Location(*id), Slot { value: Some(Value::Location(location.clone())), seq });
            change(sink, Key::Sites, seq, |value| {
                let mut sites = match value {
                    Some(Value::Sites(sites)) => sites,
                    _ => Box::new(Sites::default()),
                };
                sites.put(*id, location);
                Some(Value::Sites(sites))
            })?;
        }
        Entry::System(id, system) => {
            sink.put(Key::SystemName(system.name.clone()), Slot { value: Some(Value::SystemId(*id)), seq });
            sink.put(Key::System(*id), Slot { value: Some(Value::System(system.clone())), seq });
        }
        Entry::Listing(id, listing, before) => {
            let remote = Key::RemoteListing(listing.system, listing.remote_id.clone());
            sink.put(remote, Slot { value: Some(Value::ListingId(*id)), seq });
            if let Some(item) = before.filter(|item| Some(*item) != listing.item) {
                sink.put(Key::ListingOf(item, *id), Slot { value: None, seq });
            }
            if let Some(item) = listing.item {
                sink.put(Key::ListingOf(item, *id), Slot { value: Some(Value::Present), seq });
            }
            sink.put(Key::Listing(*id), Slot { value: Some(Value::Listing(listing.clone())), seq });
        }
        Entry::Meant { listing, line, item, units } => {
            let (order, line) = line.unwrap_or((OrderId(0), 0));
            let slot = Slot { value: Some(Value::Meant(*item, *units)), seq };
            sink.put(Key::Meant(order, line, *listing), slot);
        }
        Entry::Buffer(id, _, size) => change(sink, Key::Listing(*id), seq, |value| match value {
            Some(Value::Listing(mut listing)) => {
                listing.buffer = Some(size.clone());
                Some(Value::Listing(listing))
            }
            other => other,
        })?,
        Entry::Ownership(id, rule) => {
            change_rules(sink, seq, |rules| set_rule(&mut rules.ownership, *id, rule.as_ref()))?
        }
        Entry::Publication(id, rule) => {
            change_rules(sink, seq, |rules| set_rule(&mut rules.publication, *id, rule.as_ref()))?
        }
        Entry::Allocation(id, rule) => {
            change_rules(sink, seq, |rules| set_rule(&mut rules.allocation, *id, rule.as_ref()))?
        }
        Entry::SellingStop(id, stop) => {
            change_rules(sink, seq, |rules| set_rule(&mut rules.stopped, *id, stop.as_deref()))?
        }
        Entry::Pushing(stopped) => change_rules(sink, seq, |rules| rules.pushing_stopped = *stopped)?,
        Entry::Movement(movement) => fold_movement(movement, seq, sink)?,
        Entry::Order(id, order) => {
            let known = Slot { value: Some(Value::Order(order.clone())), seq };
            sink.put(Key::Order(*id), known);
        }
        Entry::Hold(id, hold) => {
            let active = hold.state == HoldState::Active;
            let ends = crate::Due::Hold(*id);
            if let Some(before) = hold.extended_from.filter(|before| *before != hold.expires_at) {
                sink.due(before, ends, false);
                sink.put(Key::Due(before, ends), Slot { value: None, seq });
            }
            sink.due(hold.expires_at, ends, active);
            let due = Slot { value: active.then_some(Value::Present), seq };
            sink.put(Key::Due(hold.expires_at, ends), due);
            sink.put(Key::Hold(*id), Slot { value: Some(Value::Hold(hold.clone())), seq });
        }
        Entry::Short { item, order, line, quantity, item_total } => {
            let value = (!quantity.is_zero()).then_some(Value::Quantity(*quantity));
            sink.put(Key::Short(*item, *order, *line), Slot { value, seq });
            sink.put(Key::Demand(*item), Slot { value: Some(Value::Quantity(*item_total)), seq });
        }
        Entry::Count(id, count) => {
            let key = Key::Count(count.item, count.location, count.as_of, *id);
            sink.put(key, Slot { value: Some(Value::Count(count.clone())), seq });
            change(sink, Key::Counted(count.item, count.location), seq, |value| match value {
                Some(Value::Instant(latest)) => Some(Value::Instant(latest.max(count.as_of))),
                _ => Some(Value::Instant(count.as_of)),
            })?;
        }
        Entry::Document(system, name, document) => {
            let known = Slot { value: Some(Value::Document(document.clone())), seq };
            sink.put(Key::Document(*system, name.clone()), known);
        }
        Entry::Waiting(system, name, waiting) => {
            let slot = Slot { value: waiting.clone().map(Value::Waiting), seq };
            sink.put(Key::Waiting(*system, name.clone()), slot);
        }
        Entry::Claimed { item, system, document, quantity } => {
            let value = (!quantity.is_zero()).then_some(Value::Quantity(*quantity));
            sink.put(Key::Claimed(*item, *system, document.clone()), Slot { value, seq });
        }
        Entry::Discrepancy(id, discrepancy) => {
            let slot = Slot { value: Some(Value::Discrepancy(discrepancy.clone())), seq };
            sink.put(Key::Discrepancy(*id), slot);
        }
        Entry::SkuFreed(sku) => sink.put(Key::Sku(sku.clone()), Slot { value: None, seq }),
        Entry::BarcodeFreed(barcode) => sink.put(Key::Barcode(barcode.clone()), Slot { value: None, seq }),
        Entry::Twins(look, items) => {
            let value = (!items.is_empty()).then(|| Value::Items(items.clone()));
            sink.put(Key::Twins(look.clone()), Slot { value, seq });
        }
        Entry::Transfer(id, transfer) => {
            if let Some(reference) = &transfer.reference {
                let named = Slot { value: Some(Value::TransferId(*id)), seq };
                sink.put(Key::TransferReference(reference.clone()), named);
            }
            for (index, line) in (0..).zip(&transfer.lines) {
                let incoming = Incoming {
                    supply: Supply::Transfer,
                    quantity: line.incoming(),
                    expected_on: transfer.expected_on,
                };
                fold_incoming(Key::Incoming(line.item, transfer.to, id.0, index), incoming, seq, sink);
            }
            sink.put(Key::Transfer(*id), Slot { value: Some(Value::Transfer(transfer.clone())), seq });
        }
        Entry::Purchase(id, purchase) => {
            if let Some(reference) = &purchase.reference {
                let named = Slot { value: Some(Value::PurchaseId(*id)), seq };
                sink.put(Key::PurchaseReference(reference.clone()), named);
            }
            for (index, line) in (0..).zip(&purchase.lines) {
                let incoming = Incoming {
                    supply: Supply::Purchase,
                    quantity: purchase.open(line),
                    expected_on: line.expected_on,
                };
                fold_incoming(Key::Incoming(line.item, purchase.location, id.0, index), incoming, seq, sink);
            }
            sink.put(Key::Purchase(*id), Slot { value: Some(Value::Purchase(purchase.clone())), seq });
        }
        Entry::Return(id, expected) => {
            sink.put(Key::Return(*id), Slot { value: Some(Value::Return(expected.clone())), seq });
        }
        Entry::Reversed(movement, reversals) => {
            let slot = Slot { value: Some(Value::Reversals(reversals.clone())), seq };
            sink.put(Key::Reversed(*movement), slot);
        }
        Entry::Session(id, session) => {
            let slot = Slot { value: Some(Value::Session(session.clone())), seq };
            sink.put(Key::Session(*id), slot);
        }
        Entry::Seen(session, item, lot, seen) => {
            let slot = Slot { value: Some(Value::Seen(seen.clone())), seq };
            sink.put(Key::Seen(*session, *item, *lot), slot);
        }
        Entry::Lot(id, lot) => {
            let code = Key::LotCode(lot.item, lot.code.clone());
            sink.put(code, Slot { value: Some(Value::LotId(*id)), seq });
            sink.put(Key::Lot(*id), Slot { value: Some(Value::Lot(lot.clone())), seq });
        }
        Entry::Expires { lot, location, at, before, passed } => {
            let due = Due::Lot(*lot, *location);
            if let Some(before) = before.filter(|before| Some(*before) != *at || *passed) {
                sink.due(before, due, false);
                sink.put(Key::Due(before, due), Slot { value: None, seq });
            }
            if let Some(at) = at.filter(|_| !*passed) {
                sink.due(at, due, true);
                sink.put(Key::Due(at, due), Slot { value: Some(Value::Present), seq });
            }
            sink.put(Key::Expires(*location, *lot), Slot { value: at.map(Value::Instant), seq });
        }
        Entry::Refused | Entry::Nothing | Entry::Cost(..) => {}
    }
    Ok(())
}

/// What an item is found by.
fn fold_names(id: ItemId, item: &Item, seq: Seq, sink: &mut impl Sink) {
    for sku in item.names() {
        sink.put(Key::Sku(sku.to_owned()), Slot { value: Some(Value::ItemId(id)), seq });
        sink.put(Key::Look(look::look(sku), id), Slot { value: Some(Value::Present), seq });
    }
    for barcode in item.codes() {
        sink.put(Key::Barcode(gtin::canonical(barcode)), Slot { value: Some(Value::ItemId(id)), seq });
    }
}

/// What is expected no more is in no index.
fn fold_incoming(key: Key, incoming: Incoming, seq: Seq, sink: &mut impl Sink) {
    let value = incoming.quantity.is_positive().then_some(Value::Incoming(incoming));
    sink.put(key, Slot { value, seq });
}

fn fold_movement(movement: &Movement, seq: Seq, sink: &mut impl Sink) -> Result<(), Need> {
    let sides = [
        (movement.from_cell(), movement.from, -movement.quantity),
        (movement.to_cell(), movement.to, movement.quantity),
    ];
    for (key, account, change) in sides {
        let slot = sink.cell(key, account.late)?;
        if slot.seq >= seq {
            continue;
        }
        // What was before it may be in tables alone.
        debug_assert!(
            slot.seq == 0 || slot.quantity + change == account.balance,
            "a movement's balance is its cell's"
        );
        if slot.pending.is_empty() {
            slot.latest_before_pending = slot.latest;
        }
        slot.latest =
            if slot.seq == 0 { movement.occurred_at } else { slot.latest.max(movement.occurred_at) };
        slot.quantity = account.balance;
        slot.seq = seq;
        if !account.state.is_party() {
            slot.pending.push(TrailRow {
                seq,
                occurred_at: movement.occurred_at,
                balance: account.balance,
                late: account.late,
            });
        }
    }
    for (key, account, change) in sides {
        if account.late && !account.state.is_party() {
            sink.put(
                Key::Late(key, seq),
                Slot { value: Some(Value::Late(movement.occurred_at, change)), seq },
            );
        }
    }
    if let Some((cell, change)) = movement.balances() {
        let value = Some(Value::Balanced(movement.occurred_at, change));
        sink.put(Key::Balanced(cell, seq), Slot { value, seq });
    }
    if let Some(corrected) = movement.corrects {
        sink.put(Key::CorrectedBy(corrected, seq), Slot { value: Some(Value::Present), seq });
    }
    if let Some(PromiseChange { holder, line, after }) = movement.promise {
        let promised = sides
            .iter()
            .find(|(_, account, _)| matches!(account.state, StockState::Reserved | StockState::Committed));
        if let Some((cell, _, _)) = promised {
            let promise = Promise { holder, quantity: after };
            let value = (!after.is_zero()).then_some(Value::Promise(promise));
            let key = Key::Promise(cell.item, cell.location, holder.seq(), line, cell.lot);
            sink.put(key, Slot { value, seq });
        }
    }
    Ok(())
}

/// Changes an object, unless the entry is folded into it already.
fn change(
    sink: &mut impl Sink,
    key: Key,
    seq: Seq,
    to: impl FnOnce(Option<Value>) -> Option<Value>,
) -> Result<(), Need> {
    let before = sink.object(&key)?;
    if before.seq < seq {
        sink.put(key, Slot { value: to(before.value), seq });
    }
    Ok(())
}

fn change_rules(sink: &mut impl Sink, seq: Seq, to: impl FnOnce(&mut Rules)) -> Result<(), Need> {
    change(sink, Key::Rules, seq, |value| {
        let mut rules = match value {
            Some(Value::Rules(rules)) => rules,
            _ => Box::new(Rules::default()),
        };
        to(&mut rules);
        Some(Value::Rules(rules))
    })
}

fn set_rule<R: Clone>(rules: &mut Vec<(crate::RuleId, R)>, id: crate::RuleId, rule: Option<&R>) {
    rules.retain(|(other, _)| *other != id);
    if let Some(rule) = rule {
        rules.push((id, rule.clone()));
    }
}
