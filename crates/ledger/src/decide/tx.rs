//! A decision in the making: reads the state, collects entries, folds them into an overlay.

use std::collections::{BTreeMap, BTreeSet};

use crate::answer::{Invalid, Refusal};
use crate::availability::{self, Look};
use crate::entry::{Account, Entry, Movement, PromiseChange, Record};
use crate::key::{CellKey, Key, StockState};
use crate::model::Choice;
use crate::model::{
    Became, Cause, Component, Discrepancy, Hold, Holder, Item, KnownDocument, Listing, Location, Lot, Order,
    OrderLine, Promise, Rules, Sites, System, Tracking, TransferDocument, Waiting,
};
use crate::state::{CellSlot, Given, Need, Overlay, OverlayCell, Sink, Slot, State, Value, fold};
use crate::{
    DiscrepancyId, Due, HoldId, Instant, ItemId, ListingId, LocationId, LotId, OrderId, Quantity, Seq,
    SystemId, TransferId,
};

/// 0001-01-01T00:00:00Z: nothing that is sold is older.
const EARLIEST: Instant = Instant::from_micros(-62_135_596_800_000_000);
/// How far ahead of ours a clock may be, in seconds: a time up to so far ahead is taken for now.
pub const AHEAD_SECONDS: i64 = 5 * 60;
/// See [`Quantity::MAX_PARTY`].
const MAX_PARTY: u64 = Quantity::MAX_PARTY.micros().unsigned_abs();

/// A cell of what is made in this decision.
static NEVER_MOVED: CellSlot = CellSlot {
    quantity: Quantity::ZERO,
    seq: 0,
    latest: Instant::from_micros(0),
    latest_before_pending: Instant::from_micros(0),
    pending: Vec::new(),
};

/// Why a decision stops.
#[derive(Debug)]
pub(super) enum Stop {
    Needs(Vec<Need>),
    Refused(Box<Refusal>),
    Invalid(Invalid),
}

impl From<Need> for Stop {
    fn from(need: Need) -> Self {
        Self::Needs(vec![need])
    }
}

impl From<Refusal> for Stop {
    fn from(refusal: Refusal) -> Self {
        Self::Refused(Box::new(refusal))
    }
}

impl From<Invalid> for Stop {
    fn from(invalid: Invalid) -> Self {
        Self::Invalid(invalid)
    }
}

/// A movement to be made, before its balances are known.
#[derive(Clone, Copy, Debug)]
pub(super) struct Move<'a> {
    pub item: ItemId,
    /// Of which lot or serial; 0 where the item is not tracked.
    pub lot: LotId,
    pub from: (LocationId, StockState),
    pub to: (LocationId, StockState),
    pub quantity: Quantity,
    pub occurred_at: Instant,
    pub reason: &'a str,
    /// Whose promise grows or shrinks; a component's too is its line's.
    pub promise: Option<(Holder, u32)>,
    pub corrects: Option<Seq>,
}

#[derive(Clone)]
pub(super) struct Tx<'a> {
    state: &'a State,
    given: &'a Given,
    pub now: Instant,
    /// Who asks.
    pub actor: String,
    entries: Vec<Entry>,
    overlay: Overlay,
    /// What was due and has come to pass in this decision.
    passed: BTreeSet<Due>,
    /// Orders, holds and transfers being changed; written once, when the command is through with them.
    orders: BTreeMap<OrderId, Order>,
    holds: BTreeMap<HoldId, Hold>,
    transfers: BTreeMap<TransferId, TransferDocument>,
    /// Items whose available stock grew: short lines may be served.
    grown: BTreeSet<ItemId>,
    pub lapsed: u32,
    pub document: Option<(SystemId, String)>,
    /// See [`Record::reference`] and [`Record::note`].
    pub reference: Option<String>,
    pub note: Option<String>,
    pub discrepancies: Vec<DiscrepancyId>,
    /// Nothing is promised from these places; see [`super::allocation::reallocate`].
    pub avoided: Vec<LocationId>,
    /// What is promised now may be promised where it was declined: it stays where it is.
    pub regardless: bool,
    /// Where goods came in that can be promised.
    pub replenished: BTreeSet<(ItemId, LocationId)>,
}

impl<'a> Tx<'a> {
    pub fn new(state: &'a State, given: &'a Given, now: Instant) -> Self {
        Self {
            state,
            given,
            now,
            actor: String::new(),
            entries: Vec::new(),
            overlay: Overlay::default(),
            passed: BTreeSet::new(),
            orders: BTreeMap::new(),
            holds: BTreeMap::new(),
            transfers: BTreeMap::new(),
            grown: BTreeSet::new(),
            lapsed: 0,
            document: None,
            reference: None,
            note: None,
            discrepancies: Vec::new(),
            avoided: Vec::new(),
            regardless: false,
            replenished: BTreeSet::new(),
        }
    }

    pub fn into_parts(self) -> (Vec<Entry>, Overlay, Seq, Instant, Option<(SystemId, String)>) {
        (self.entries, self.overlay, self.state.head + 1, self.now, self.document)
    }

    /// Nothing decided yet, on the same state.
    pub fn begin_again(&self) -> Self {
        Self { actor: self.actor.clone(), ..Self::new(self.state, self.given, self.now) }
    }

    /// What whoever asks names as its paper and wants to say of it, taken out.
    pub fn take_words(&mut self) -> (Option<String>, Option<String>) {
        (self.reference.take(), self.note.take())
    }

    /// The `seq` of the next entry: the id of whatever it makes.
    pub fn next_seq(&self) -> Seq {
        self.state.head + 1 + self.entries.len() as Seq
    }

    /// Nothing to be written?
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Adds an entry that folds into nothing.
    pub fn push(&mut self, entry: Entry) -> Seq {
        let seq = self.next_seq();
        self.entries.push(entry);
        seq
    }

    /// Adds an entry and folds it into the overlay.
    pub fn emit(&mut self, entry: Entry) -> Result<Seq, Stop> {
        let seq = self.next_seq();
        fold(&entry, seq, self)?;
        self.entries.push(entry);
        Ok(seq)
    }

    // ---- reading -------------------------------------------------------------------------------------------

    pub fn value(&self, key: &Key) -> Result<Option<&Value>, Stop> {
        if let Some(slot) = self.overlay.objects.get(key) {
            return Ok(slot.value.as_ref());
        }
        match self.state.object(key) {
            Some(slot) => Ok(slot.value.as_ref()),
            None if self.is_of_now(key) => Ok(None),
            None => Err(Need::Object(key.clone()).into()),
        }
    }

    pub fn is_known(&self, key: &Key) -> bool {
        self.overlay.objects.contains_key(key) || self.state.object(key).is_some() || self.is_of_now(key)
    }

    /// About something made in this decision? Then no table has anything of it.
    fn is_of_now(&self, key: &Key) -> bool {
        key.newest() > self.state.head
    }

    fn is_cell_of_now(&self, key: &CellKey) -> bool {
        key.newest() > self.state.head
    }

    /// Stops with all of these that are not in memory, so that they are fetched together.
    pub fn want(&self, keys: impl IntoIterator<Item = Key>) -> Result<(), Stop> {
        let needs: Vec<Need> = keys.into_iter().filter(|key| !self.is_known(key)).map(Need::Object).collect();
        if needs.is_empty() { Ok(()) } else { Err(Stop::Needs(needs)) }
    }

    /// As [`Tx::want`], for cells.
    pub fn want_cells(&self, cells: impl IntoIterator<Item = CellKey>) -> Result<(), Stop> {
        let known = |key: &CellKey| {
            self.overlay.cells.contains_key(key) || self.state.cell(key).is_some() || self.is_cell_of_now(key)
        };
        let needs: Vec<Need> = cells.into_iter().filter(|key| !known(key)).map(Need::Cell).collect();
        if needs.is_empty() { Ok(()) } else { Err(Stop::Needs(needs)) }
    }

    /// Has a cell ever moved?
    pub fn has_moved(&self, key: CellKey) -> Result<bool, Stop> {
        self.slot(key).map(|slot| slot.seq != 0)
    }

    /// What a cell holds now.
    pub fn held(&self, key: CellKey) -> Result<Quantity, Stop> {
        self.slot(key).map(|slot| slot.quantity)
    }

    fn slot(&self, key: CellKey) -> Result<&CellSlot, Stop> {
        if let Some(cell) = self.overlay.cells.get(&key) {
            return Ok(&cell.slot);
        }
        match self.state.cell(&key) {
            Some(slot) => Ok(slot),
            None if self.is_cell_of_now(&key) => Ok(&NEVER_MOVED),
            None => Err(Need::Cell(key).into()),
        }
    }

    /// What a cell held at an instant, by what happened, as known in this decision.
    pub fn as_of(&self, key: CellKey, at: Instant) -> Result<Quantity, Stop> {
        let before = match self.given.as_of.get(&(key, at)) {
            Some(before) => *before,
            None if self.is_cell_of_now(&key) => Quantity::ZERO,
            None => return Err(Need::AsOf(key, at).into()),
        };
        let moved = self.entries.iter().filter_map(|entry| match entry {
            Entry::Movement(movement) if movement.occurred_at <= at => {
                let taken = (movement.from_cell() == key).then_some(-movement.quantity);
                taken.or_else(|| (movement.to_cell() == key).then_some(movement.quantity))
            }
            _ => None,
        });
        Ok(moved.fold(before, |sum, change| sum + change))
    }

    /// The record that has an entry, with its first one; none where the log has none of it.
    pub fn record(&self, seq: Seq) -> Result<Option<(Seq, Record)>, Stop> {
        if seq == 0 || seq > self.state.head {
            return Ok(None);
        }
        self.given.records.get(&seq).cloned().ok_or_else(|| Need::Record(seq).into())
    }

    /// Stops with all of these past quantities that are not given, so that they are fetched together.
    pub fn want_past(&self, cells: impl IntoIterator<Item = (CellKey, Instant)>) -> Result<(), Stop> {
        let needs: Vec<Need> = cells
            .into_iter()
            .filter(|asked| !self.given.as_of.contains_key(asked) && !self.is_cell_of_now(&asked.0))
            .map(|(key, at)| Need::AsOf(key, at))
            .collect();
        if needs.is_empty() { Ok(()) } else { Err(Stop::Needs(needs)) }
    }

    /// All movements of a cell after an instant, by when they happened, but those of this decision.
    pub fn moved_after(&self, cell: CellKey, at: Instant) -> Result<Vec<Movement>, Stop> {
        let seqs = match self.given.moved_after.get(&(cell, at)) {
            Some(seqs) => seqs.as_slice(),
            None if self.is_cell_of_now(&cell) => &[],
            None => return Err(Need::MovedAfter(cell, at).into()),
        };
        let missing: Vec<Need> = seqs
            .iter()
            .filter(|seq| !self.given.records.contains_key(seq))
            .map(|seq| Need::Record(*seq))
            .collect();
        if !missing.is_empty() {
            return Err(Stop::Needs(missing));
        }
        let movement = |seq: &Seq| {
            let (first, record) = self.given.records.get(seq)?.as_ref()?;
            match record.entries.get(usize::try_from(seq - first).ok()?)? {
                Entry::Movement(movement) => Some(movement.clone()),
                _ => None,
            }
        };
        Ok(seqs.iter().filter_map(movement).collect())
    }

    /// Stops with all of these ranges that are not given, so that they are fetched together.
    pub fn want_ranges(&self, ranges: impl IntoIterator<Item = (Key, Key)>) -> Result<(), Stop> {
        let needs: Vec<Need> = ranges
            .into_iter()
            .filter(|range| !self.given.ranges.contains_key(range) && !self.is_of_now(&range.0))
            .map(|(from, to)| Need::Range(from, to))
            .collect();
        if needs.is_empty() { Ok(()) } else { Err(Stop::Needs(needs)) }
    }

    /// All objects between two keys, both included, in order.
    pub fn range(&self, from: Key, to: Key) -> Result<Vec<(Key, Value)>, Stop> {
        let written = match self.given.ranges.get(&(from.clone(), to.clone())) {
            Some(written) => written.as_slice(),
            None if self.is_of_now(&from) => &[],
            None => return Err(Need::Range(from, to).into()),
        };
        let mut merged: std::collections::BTreeMap<&Key, Option<&Value>> =
            written.iter().map(|(key, value)| (key, Some(value))).collect();
        merged.extend(self.state.dirty_range(&from, &to).map(|(key, slot)| (key, slot.value.as_ref())));
        merged.extend(self.overlay.objects.range(&from..=&to).map(|(key, slot)| (key, slot.value.as_ref())));
        Ok(merged.into_iter().filter_map(|(key, value)| Some((key.clone(), value?.clone()))).collect())
    }

    /// What is due by now, come to pass in this decision or not.
    pub fn due(&self) -> impl Iterator<Item = Due> {
        self.state.due_until(self.now).map(|(_, due)| due)
    }

    /// The first that is due by now and has not come to pass in this decision.
    pub fn next_due(&self) -> Option<(Instant, Due)> {
        // The state's own set is not changed by a decision; what came to pass here is skipped.
        self.state.due_until(self.now).find(|(_, due)| !self.passed.contains(due))
    }

    /// It is due no more, by what this decision did before.
    pub fn mark_averted(&mut self, due: Due) {
        self.passed.insert(due);
    }

    pub fn mark_passed(&mut self, due: Due) {
        self.passed.insert(due);
        self.lapsed += 1;
    }

    // ---- names ---------------------------------------------------------------------------------------------

    pub fn item_id(&self, sku: &str) -> Result<ItemId, Stop> {
        match self.value(&Key::Sku(sku.to_owned()))? {
            Some(Value::ItemId(id)) => Ok(*id),
            _ => Err(Invalid::UnknownSku(sku.to_owned()).into()),
        }
    }

    pub fn item(&self, id: ItemId) -> Result<&Item, Stop> {
        match self.value(&Key::Item(id))? {
            Some(Value::Item(item)) => Ok(item),
            _ => Err(Invalid::Unknown { kind: "item", id: id.to_string() }.into()),
        }
    }

    pub fn sku(&self, id: ItemId) -> Result<String, Stop> {
        self.item(id).map(|item| item.sku.clone())
    }

    pub fn location_id(&self, code: &str) -> Result<LocationId, Stop> {
        match self.value(&Key::LocationCode(code.to_owned()))? {
            Some(Value::LocationId(id)) => Ok(*id),
            _ => Err(Invalid::UnknownLocation(code.to_owned()).into()),
        }
    }

    pub fn location(&self, id: LocationId) -> Result<&Location, Stop> {
        match self.value(&Key::Location(id))? {
            Some(Value::Location(location)) => Ok(location),
            _ => Err(Invalid::UnknownLocation(id.to_string()).into()),
        }
    }

    pub fn location_code(&self, id: LocationId) -> Result<String, Stop> {
        self.location(id).map(|location| location.code.clone())
    }

    /// `onhand` is ourselves.
    pub fn system_id(&self, name: &str) -> Result<SystemId, Stop> {
        if name == "onhand" {
            return Ok(SystemId::ONHAND);
        }
        match self.value(&Key::SystemName(name.to_owned()))? {
            Some(Value::SystemId(id)) => Ok(*id),
            _ => Err(Invalid::UnknownSystem(name.to_owned()).into()),
        }
    }

    pub fn system_name(&self, id: SystemId) -> Result<String, Stop> {
        if id == SystemId::ONHAND {
            return Ok("onhand".to_owned());
        }
        self.system(id).map(|system| system.name.clone())
    }

    pub fn system(&self, id: SystemId) -> Result<&System, Stop> {
        match self.value(&Key::System(id))? {
            Some(Value::System(system)) => Ok(system),
            _ => Err(Invalid::UnknownSystem(id.to_string()).into()),
        }
    }

    pub fn listing_id(&self, system: SystemId, remote_id: &str) -> Result<Option<ListingId>, Stop> {
        Ok(match self.value(&Key::RemoteListing(system, remote_id.to_owned()))? {
            Some(Value::ListingId(id)) => Some(*id),
            _ => None,
        })
    }

    pub fn listing(&self, system: SystemId, remote_id: &str) -> Result<Option<&Listing>, Stop> {
        let Some(id) = self.listing_id(system, remote_id)? else { return Ok(None) };
        Ok(match self.value(&Key::Listing(id))? {
            Some(Value::Listing(listing)) => Some(listing),
            _ => None,
        })
    }

    pub fn sites(&self) -> Result<&Sites, Stop> {
        const NONE: &Sites =
            &Sites { sellable: Vec::new(), all: Vec::new(), parts: Vec::new(), grouped: Vec::new() };
        Ok(match self.value(&Key::Sites)? {
            Some(Value::Sites(sites)) => sites,
            _ => NONE,
        })
    }

    pub fn lot(&self, id: LotId) -> Result<&Lot, Stop> {
        match self.value(&Key::Lot(id))? {
            Some(Value::Lot(lot)) => Ok(lot),
            _ => Err(Invalid::Unknown { kind: "lot", id: id.to_string() }.into()),
        }
    }

    /// A lot or serial with what holds of the lot that it is of.
    pub fn lot_in_effect(&self, id: LotId) -> Result<Lot, Stop> {
        let lot = self.lot(id)?.clone();
        let of = lot.of.map(|of| self.lot(of)).transpose()?;
        Ok(lot.within(of))
    }

    /// Fetches together what says whether these lots are sold at these places.
    pub fn want_lots(&self, at: impl IntoIterator<Item = (LotId, LocationId)>) -> Result<(), Stop> {
        let at: Vec<(LotId, LocationId)> = at.into_iter().collect();
        self.want(at.iter().flat_map(|(lot, location)| availability::lot_keys(*lot, *location)))?;
        let of = at.iter().filter_map(|(lot, _)| self.lot(*lot).ok()?.of);
        self.want(of.map(Key::Lot).collect::<BTreeSet<_>>())
    }

    /// The lot or serial of a name, if there is one.
    pub fn lot_id(&self, item: ItemId, code: &str) -> Result<Option<LotId>, Stop> {
        Ok(match self.value(&Key::LotCode(item, code.to_owned()))? {
            Some(Value::LotId(id)) => Some(*id),
            _ => None,
        })
    }

    /// When a lot expires at a location, as was told when it came there.
    pub fn expires(&self, lot: LotId, location: LocationId) -> Result<Option<Instant>, Stop> {
        Ok(match self.value(&Key::Expires(location, lot))? {
            Some(Value::Instant(at)) => Some(*at),
            _ => None,
        })
    }

    /// Stops with all of these items of which it is not known where they are, so that they are fetched together.
    pub fn want_stocked(&self, items: impl IntoIterator<Item = ItemId>) -> Result<(), Stop> {
        let is_unknown = |item: &ItemId| self.state.stocked(*item).is_none() && item.0 <= self.state.head;
        let needs: Vec<Need> = items.into_iter().filter(is_unknown).map(Need::Stocked).collect();
        if needs.is_empty() { Ok(()) } else { Err(Stop::Needs(needs)) }
    }

    /// All cells of an item at places of ours that hold something, in key order.
    pub fn stocked(&self, item: ItemId) -> Result<Vec<(CellKey, Quantity)>, Stop> {
        let mut cells = BTreeMap::new();
        let known = match self.state.stocked(item) {
            Some(known) => Some(known),
            // Made in this decision: no table has anything of it.
            None if item.0 > self.state.head => None,
            None => return Err(Need::Stocked(item).into()),
        };
        for key in known.into_iter().flatten() {
            cells.insert(*key, self.held(*key)?);
        }
        let changed = self.overlay.cells.iter().filter(|(key, _)| key.item == item && !key.state.is_party());
        cells.extend(changed.map(|(key, cell)| (*key, cell.slot.quantity)));
        Ok(cells.into_iter().filter(|(_, quantity)| !quantity.is_zero()).collect())
    }

    pub fn rules(&self) -> Result<Option<&Rules>, Stop> {
        Ok(match self.value(&Key::Rules)? {
            Some(Value::Rules(rules)) => Some(rules),
            _ => None,
        })
    }

    /// The order as it is in this decision.
    pub fn order(&self, id: OrderId) -> Result<&Order, Stop> {
        if let Some(order) = self.orders.get(&id) {
            return Ok(order);
        }
        match self.value(&Key::Order(id))? {
            Some(Value::Order(order)) => Ok(order),
            _ => Err(Invalid::Unknown { kind: "order", id: id.to_string() }.into()),
        }
    }

    /// The order, to be changed.
    pub fn edit_order(&mut self, id: OrderId) -> Result<&mut Order, Stop> {
        if !self.orders.contains_key(&id) {
            let order = self.order(id)?.clone();
            self.orders.insert(id, order);
        }
        Ok(self.orders.get_mut(&id).expect("it was put there"))
    }

    /// A new order. Its id is free, since every order moves at least the entry that writes it.
    pub fn open_order(&mut self, order: Order) -> OrderId {
        let id = OrderId(self.next_seq());
        self.orders.insert(id, order);
        id
    }

    /// The hold as it is in this decision.
    pub fn hold(&self, id: HoldId) -> Result<&Hold, Stop> {
        if let Some(hold) = self.holds.get(&id) {
            return Ok(hold);
        }
        match self.value(&Key::Hold(id))? {
            Some(Value::Hold(hold)) => Ok(hold),
            _ => Err(Invalid::Unknown { kind: "hold", id: id.to_string() }.into()),
        }
    }

    /// The hold, to be changed.
    pub fn edit_hold(&mut self, id: HoldId) -> Result<&mut Hold, Stop> {
        if !self.holds.contains_key(&id) {
            let hold = self.hold(id)?.clone();
            self.holds.insert(id, hold);
        }
        Ok(self.holds.get_mut(&id).expect("it was put there"))
    }

    /// A new hold.
    pub fn open_hold(&mut self, hold: Hold) -> HoldId {
        let id = HoldId(self.next_seq());
        self.holds.insert(id, hold);
        id
    }

    /// The transfer as it is in this decision.
    pub fn transfer(&self, id: TransferId) -> Result<&TransferDocument, Stop> {
        if let Some(transfer) = self.transfers.get(&id) {
            return Ok(transfer);
        }
        match self.value(&Key::Transfer(id))? {
            Some(Value::Transfer(transfer)) => Ok(transfer),
            _ => Err(Invalid::Unknown { kind: "transfer", id: id.to_string() }.into()),
        }
    }

    /// The transfer, to be changed.
    pub fn edit_transfer(&mut self, id: TransferId) -> Result<&mut TransferDocument, Stop> {
        if !self.transfers.contains_key(&id) {
            let transfer = self.transfer(id)?.clone();
            self.transfers.insert(id, transfer);
        }
        Ok(self.transfers.get_mut(&id).expect("it was put there"))
    }

    /// Writes what was changed of orders, holds and transfers, and what is short of them now.
    pub fn write_edits(&mut self) -> Result<(), Stop> {
        let written = |tx: &Self, id: OrderId| match tx.value(&Key::Order(id)) {
            Ok(Some(Value::Order(order))) => Some(order.clone()),
            _ => None,
        };
        self.end_told_short()?;
        for (id, mut order) in std::mem::take(&mut self.orders) {
            order.lines.iter_mut().for_each(OrderLine::clip_accepted);
            let before = written(self, id);
            if before.as_deref() == Some(&order) {
                continue;
            }
            for (index, line) in order.lines.iter().enumerate() {
                assert_eq!(
                    line.wanted,
                    line.allocated_total() + line.short + line.shipped_total(),
                    "what is wanted is allocated, short or shipped"
                );
                let line_index = u32::try_from(index).expect("orders have fewer than 2^32 lines");
                let earlier = before.as_ref().and_then(|before| before.lines.get(index));
                let mut short_before = earlier.map_or(Quantity::ZERO, |line| line.short);
                // The line's item was merged into another: what was short of it is short of that one now.
                if let Some(earlier) = earlier.filter(|earlier| earlier.item != line.item) {
                    let gone = OrderLine { short: Quantity::ZERO, ..earlier.clone() };
                    self.write_short(id, line_index, &gone, short_before, false)?;
                    short_before = Quantity::ZERO;
                }
                let wants_more = earlier.is_none_or(|earlier| line.wanted > earlier.wanted);
                self.write_short(id, line_index, line, short_before, wants_more)?;
            }
            self.emit(Entry::Order(id, Box::new(order)))?;
        }
        for (id, hold) in std::mem::take(&mut self.holds) {
            self.emit(Entry::Hold(id, Box::new(hold)))?;
        }
        for (id, transfer) in std::mem::take(&mut self.transfers) {
            let transfer = Value::Transfer(Box::new(transfer));
            if self.value(&Key::Transfer(id))? != Some(&transfer) {
                let Value::Transfer(transfer) = transfer else { unreachable!("it was made above") };
                self.emit(Entry::Transfer(id, transfer))?;
            }
        }
        Ok(())
    }

    /// Ends what says that orders are short which are so no more, or that more of them came back than has left.
    fn end_told_short(&mut self) -> Result<(), Stop> {
        let is_served = |order: &Order| order.lines.iter().all(|line| line.short.is_zero());
        let served = self.orders.values_mut().filter(|order| is_served(order));
        let mut told: Vec<DiscrepancyId> = served.filter_map(|order| order.short_told.take()).collect();
        let lines = self.orders.values_mut().flat_map(|order| &mut order.lines);
        let explained = lines.filter(|line| line.told_returned <= line.left_by_any_word());
        told.extend(explained.filter_map(|line| line.over_returned.take()));
        self.want(told.iter().copied().map(Key::Discrepancy))?;
        told.into_iter().try_for_each(|told| super::catalogue::end_if_open(self, told))
    }

    /// Writes how much of a line is short: of its item, and where that is a kit of each component too, so that whichever
    /// comes in serves it in its turn. Who wants more may not make more short than an outside party may give, so that
    /// whatever of what is promised is broken later can be short too.
    fn write_short(
        &mut self,
        order: OrderId,
        line: u32,
        known: &OrderLine,
        before: Quantity,
        wants_more: bool,
    ) -> Result<(), Stop> {
        if known.short == before {
            return Ok(());
        }
        let one = Component { item: known.item, quantity: Quantity::units(1) };
        let items: Vec<Component> = std::iter::once(one).chain(known.build.recipe.iter().copied()).collect();
        self.want(items.iter().map(|component| Key::Demand(component.item)))?;
        for Component { item, quantity } in items {
            let times = |kits| availability::times(quantity, kits).ok_or(item);
            let change = times(known.short).and_then(|now| Ok((now, times(before)?)));
            let total = change.ok().zip(Some(self.demand(item)?));
            let total =
                total.and_then(|((now, before), demand)| Some((now, demand.checked_add(now - before)?)));
            let fits = |total: Quantity| !wants_more || total <= Quantity::MAX_PARTY;
            let Some((quantity, item_total)) = total.filter(|(_, total)| fits(*total)) else {
                return Err(Invalid::Overflow(self.sku(item)?).into());
            };
            self.emit(Entry::Short { item, order, line, quantity, item_total })?;
        }
        Ok(())
    }

    /// How much of an item is short in all orders that are written.
    pub fn demand(&self, item: ItemId) -> Result<Quantity, Stop> {
        Ok(match self.value(&Key::Demand(item))? {
            Some(Value::Quantity(quantity)) => *quantity,
            _ => Quantity::ZERO,
        })
    }

    /// The latest instant that a count of an item at a location was seen at.
    pub fn counted_until(&self, item: ItemId, location: LocationId) -> Result<Option<Instant>, Stop> {
        Ok(match self.value(&Key::Counted(item, location))? {
            Some(Value::Instant(latest)) => Some(*latest),
            _ => None,
        })
    }

    pub fn known_document(&self, system: SystemId, name: &str) -> Result<Option<KnownDocument>, Stop> {
        match self.value(&Key::Document(system, name.to_owned()))? {
            Some(Value::Document(document)) => Ok(Some(*document.clone())),
            _ if system == SystemId::ONHAND => self.order_without_reference(name),
            _ => Ok(None),
        }
    }

    /// An order of ours that was placed without a reference is called by its id, which names it as a reference does.
    fn order_without_reference(&self, name: &str) -> Result<Option<KnownDocument>, Stop> {
        let Some(id) = name.parse().ok().map(OrderId) else { return Ok(None) };
        if id.0 > Seq::MAX >> 1 || id.0.to_string() != name {
            return Ok(None);
        }
        let Some(Value::Order(order)) = self.value(&Key::Order(id))? else { return Ok(None) };
        let is_meant = order.system == SystemId::ONHAND && order.document == name;
        let became = Became::Order(id);
        Ok(is_meant.then_some(KnownDocument {
            version: order.version,
            fingerprint: 0,
            seq: id.0,
            became,
            balanced: Vec::new(),
            short_told: None,
        }))
    }

    pub fn waiting(&self, system: SystemId, name: &str) -> Result<Option<Waiting>, Stop> {
        Ok(match self.value(&Key::Waiting(system, name.to_owned()))? {
            Some(Value::Waiting(waiting)) => Some(*waiting.clone()),
            _ => None,
        })
    }

    pub fn promised(
        &self,
        item: ItemId,
        location: LocationId,
        holder: Holder,
        line: u32,
        lot: LotId,
    ) -> Result<Quantity, Stop> {
        let key = Key::Promise(item, location, holder.seq(), line, lot);
        // Nothing was promised to what is made in this decision.
        if holder.seq() > self.state.head && !self.overlay.objects.contains_key(&key) {
            return Ok(Quantity::ZERO);
        }
        Ok(match self.value(&key)? {
            Some(Value::Promise(Promise { quantity, .. })) => *quantity,
            _ => Quantity::ZERO,
        })
    }

    /// Fetches together what is promised to a line at some places. Nothing was promised to what is made in this decision.
    pub fn want_promised(
        &self,
        holder: Holder,
        places: impl Iterator<Item = (ItemId, LocationId, u32, LotId)>,
    ) -> Result<(), Stop> {
        if holder.seq() > self.state.head {
            return Ok(());
        }
        self.want(
            places.map(|(item, location, line, lot)| Key::Promise(item, location, holder.seq(), line, lot)),
        )
    }

    /// A quantity that the item accepts.
    pub fn check_quantity(&self, item: ItemId, quantity: Quantity) -> Result<(), Stop> {
        let known = self.item(item)?;
        if !quantity.is_acceptable() {
            return Err(Invalid::TooLarge { sku: known.sku.clone(), quantity }.into());
        }
        if quantity.fits(known.precision) {
            return Ok(());
        }
        let (sku, decimals) = (known.sku.clone(), known.precision.decimals());
        Err(Invalid::TooPrecise { sku, quantity, decimals }.into())
    }

    /// A time given by a caller: up to 5 minutes ahead is now, further ahead is no time at all.
    pub fn past(&self, field: &'static str, at: Option<Instant>) -> Result<Instant, Stop> {
        match at {
            None => Ok(self.now),
            Some(at) if at < EARLIEST => {
                let problem = "is before the year 1".to_owned();
                Err(Invalid::Field { field, problem }.into())
            }
            Some(at) if at <= self.now => Ok(at),
            Some(at) if at <= self.now.plus_seconds(AHEAD_SECONDS) => Ok(self.now),
            Some(at) => Err(Invalid::TooFarAhead { field, at, now: self.now }.into()),
        }
    }

    // ---- writing -------------------------------------------------------------------------------------------

    /// Moves stock. The caller has made sure that a place of ours holds enough.
    pub fn make(&mut self, step: Move<'_>) -> Result<Seq, Stop> {
        assert!(step.quantity.is_positive(), "a movement moves more than nothing");
        if step.lot.0 != 0 && !step.to.1.is_party() {
            self.want([Key::Lot(step.lot), Key::Expires(step.to.0, step.lot)])?;
            super::lots::register(self, step.lot, step.to.0)?;
        }
        let from_key = CellKey { lot: step.lot, ..CellKey::new(step.item, step.from.0, step.from.1) };
        let to_key = CellKey { lot: step.lot, ..CellKey::new(step.item, step.to.0, step.to.1) };
        self.want_cells([from_key, to_key])?;
        let from = self.account(from_key, -step.quantity, step.occurred_at)?;
        let to = self.account(to_key, step.quantity, step.occurred_at)?;
        assert!(
            from.state.is_party() || !from.balance.is_negative(),
            "no cell is negative at any seq (law 2)"
        );
        let promise = match step.promise {
            None => None,
            Some((holder, line)) => {
                let into = matches!(to.state, StockState::Reserved | StockState::Committed);
                let (location, difference) =
                    if into { (to.location, step.quantity) } else { (from.location, -step.quantity) };
                let after = self.promised(step.item, location, holder, line, step.lot)? + difference;
                assert!(!after.is_negative(), "a promise is never less than nothing");
                Some(PromiseChange { holder, line, after })
            }
        };
        if to.state == StockState::Available {
            self.grown.insert(step.item);
        }
        self.emit(Entry::Movement(Movement {
            item: step.item,
            from,
            to,
            quantity: step.quantity,
            occurred_at: step.occurred_at,
            reason: step.reason.to_owned(),
            promise,
            corrects: step.corrects,
        }))
    }

    fn account(&self, key: CellKey, change: Quantity, occurred_at: Instant) -> Result<Account, Stop> {
        let slot = self.slot(key)?;
        let balance = slot.quantity.checked_add(change);
        let fits = |balance: &Quantity| !key.state.is_party() || balance.micros().unsigned_abs() <= MAX_PARTY;
        let Some(balance) = balance.filter(fits) else {
            return Err(Invalid::Overflow(self.sku(key.item)?).into());
        };
        let late = slot.seq != 0 && occurred_at < slot.latest;
        let CellKey { location, state, lot, consignor, .. } = key;
        Ok(Account { location, state, lot, consignor, balance, late })
    }

    /// More of an item may be promised than before.
    pub fn grew(&mut self, item: ItemId) {
        self.grown.insert(item);
    }

    /// The items whose available stock grew since this was last asked.
    pub fn take_grown(&mut self) -> BTreeSet<ItemId> {
        std::mem::take(&mut self.grown)
    }

    /// Puts something into the inbox.
    pub fn discrepancy(&mut self, found: Found) -> Result<DiscrepancyId, Stop> {
        let id = DiscrepancyId(self.next_seq());
        let (system, document) = match &self.document {
            Some((system, document)) => (*system, Some(document.clone())),
            None => (found.system, found.document),
        };
        self.emit(Entry::Discrepancy(
            id,
            Box::new(Discrepancy {
                cause: found.cause,
                item: found.item,
                location: found.location,
                system,
                document,
                quantity: found.quantity,
                sentence: found.sentence,
                evidence: found.evidence,
                opened_at: self.now,
                resolved_at: None,
                choices: found.choices,
                chosen: None,
            }),
        ))?;
        self.discrepancies.push(id);
        Ok(id)
    }
}

impl Look for &Tx<'_> {
    type Error = Stop;

    fn now(&self) -> Instant {
        self.now
    }

    fn facts(&mut self, item: ItemId) -> Result<(Tracking, Vec<Component>), Stop> {
        self.item(item).map(availability::facts)
    }

    fn below(&mut self, location: LocationId) -> Result<Vec<LocationId>, Stop> {
        let mut below = availability::below(self.sites()?, location);
        below.retain(|node| !self.avoided.contains(node));
        Ok(below)
    }

    fn sells(&mut self, location: LocationId) -> Result<bool, Stop> {
        self.sites().map(|sites| sites.sells(location))
    }

    fn held(&mut self, cells: &[CellKey]) -> Result<Vec<Quantity>, Stop> {
        self.want_cells(cells.iter().copied())?;
        cells.iter().map(|cell| Tx::held(self, *cell)).collect()
    }

    fn stocked(&mut self, item: ItemId) -> Result<Vec<(CellKey, Quantity)>, Stop> {
        Tx::stocked(self, item)
    }

    fn lots(&mut self, at: &[(LotId, LocationId)]) -> Result<Vec<(Lot, Option<Instant>)>, Stop> {
        self.want_lots(at.iter().copied())?;
        at.iter()
            .map(|(lot, location)| Ok((self.lot_in_effect(*lot)?, self.expires(*lot, *location)?)))
            .collect()
    }
}

/// What a discrepancy says.
#[derive(Debug)]
pub(super) struct Found {
    pub cause: Cause,
    pub item: Option<ItemId>,
    pub location: Option<LocationId>,
    pub system: SystemId,
    pub document: Option<String>,
    pub quantity: Quantity,
    pub sentence: String,
    pub evidence: Option<String>,
    pub choices: Vec<Choice>,
}

impl Found {
    pub fn new(cause: Cause, sentence: String) -> Self {
        Self {
            cause,
            item: None,
            location: None,
            system: SystemId::ONHAND,
            document: None,
            quantity: Quantity::ZERO,
            sentence,
            evidence: None,
            choices: Vec::new(),
        }
    }

    pub fn stock(mut self, item: ItemId, location: Option<LocationId>, quantity: Quantity) -> Self {
        self.item = Some(item);
        self.location = location;
        self.quantity = quantity;
        self
    }
}

impl Sink for Tx<'_> {
    fn cell(&mut self, key: CellKey, _late: bool) -> Result<&mut CellSlot, Need> {
        if !self.overlay.cells.contains_key(&key) {
            let slot = match self.state.cell(&key) {
                Some(known) => CellSlot { pending: Vec::new(), ..*known },
                None if self.is_cell_of_now(&key) => CellSlot::default(),
                None => return Err(Need::Cell(key)),
            };
            self.overlay.cells.insert(key, OverlayCell { slot, touched: false });
        }
        let cell = self.overlay.cells.get_mut(&key).expect("it was put there");
        cell.touched = true;
        Ok(&mut cell.slot)
    }

    fn object(&mut self, key: &Key) -> Result<Slot, Need> {
        if let Some(slot) = self.overlay.objects.get(key) {
            return Ok(slot.clone());
        }
        match self.state.object(key) {
            Some(slot) => Ok(slot.clone()),
            None if self.is_of_now(key) => Ok(Slot::default()),
            None => Err(Need::Object(key.clone())),
        }
    }

    fn put(&mut self, key: Key, slot: Slot) {
        self.overlay.objects.insert(key, slot);
    }

    fn due(&mut self, at: Instant, due: Due, present: bool) {
        self.overlay.due.push((at, due, present));
    }
}
