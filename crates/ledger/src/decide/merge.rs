//! Merging one item into another: what the one has becomes the other's, now. The past stays as it was booked.
//!
//! Stock goes through `production` of each, so that conservation holds for both. A word about the merged item that
//! is heard of later and happened before the merge is booked on it, at its time, and carried over at the time of the
//! merge: as a count is an anchor, so is a merge.

use std::collections::{BTreeMap, BTreeSet};

use crate::answer::{Answer, Invalid, Merged as Answered, Moved, Refusal};
use crate::command::MergeItems;
use crate::entry::Entry;
use crate::key::{CellKey, Key, StockState};
use crate::model::{
    Holder, Item, Listing, Merged, Ownership, Promise, Publication, SellingStop, Tracking, Waiting,
};
use crate::state::Value;
use crate::{HoldId, Instant, ItemId, ListingId, LocationId, LotId, OrderId, Quantity, Seq, SystemId};

use super::stock::{self, Change, Taken};
use super::tx::{Move, Stop, Tx};
use super::{document, item, masters, order, promise};

const CARRIED: &str = "carried over by the merge";

pub(super) fn merge(tx: &mut Tx<'_>, merge: &MergeItems) -> Result<Answer, Stop> {
    tx.want([&merge.from, &merge.into].map(|sku| Key::Sku(sku.clone())))?;
    let (from, into) = (tx.item_id(&merge.from)?, tx.item_id(&merge.into)?);
    if from == into {
        let problem = format!("`{}` and `{}` are names of one item already", merge.from, merge.into);
        return Err(Invalid::Field { field: "into", problem }.into());
    }
    let what = What::of(tx, from, into)?;
    what.must_be_possible(tx)?;
    let seqs = what.move_stock(tx)?;
    let (orders, holds) = what.move_lines(tx)?;
    what.move_names(tx)?;
    what.write_items(tx)?;
    what.move_claims(tx)?;
    // What the one was short of the other may have.
    tx.grew(into);
    order::settle(tx)?;
    let mut moved = Vec::new();
    for (location, (difference, seq)) in seqs {
        let available = tx.held(CellKey::new(into, location, StockState::Available))?;
        moved.push(Moved {
            sku: tx.sku(into)?,
            location: tx.location_code(location)?,
            difference,
            available,
            seq,
        });
    }
    let listings = u32::try_from(what.listings.len()).unwrap_or(u32::MAX);
    Ok(Answer::Merged(Answered { item: into, sku: tx.sku(into)?, from, moved, orders, holds, listings }))
}

/// All that is an item's own, read together.
struct What {
    from: ItemId,
    into: ItemId,
    ending: Item,
    going_on: Item,
    cells: Vec<(CellKey, Quantity)>,
    promises: Vec<(LocationId, u32, LotId, Promise)>,
    short: Vec<(OrderId, u32)>,
    listings: Vec<(ListingId, Listing)>,
    claims: Vec<(SystemId, String)>,
}

impl What {
    fn of(tx: &Tx<'_>, from: ItemId, into: ItemId) -> Result<Self, Stop> {
        const LAST: Seq = Seq::MAX;
        tx.want([
            Key::Item(from),
            Key::Item(into),
            Key::Demand(from),
            Key::Demand(into),
            Key::Rules,
            Key::Sites,
        ])?;
        let promises = (
            Key::Promise(from, LocationId(0), 0, 0, LotId(0)),
            Key::Promise(from, LocationId(LAST), LAST, u32::MAX, LotId(LAST)),
        );
        let short = (Key::Short(from, OrderId(0), 0), Key::Short(from, OrderId(LAST), u32::MAX));
        let listings = (Key::ListingOf(from, ListingId(0)), Key::ListingOf(from, ListingId(LAST)));
        // What an order wants of the one lessens what its document claims of the other.
        let claims = [from, into].map(|item| {
            let key = |system| Key::Claimed(item, SystemId(system), String::new());
            (key(0), key(LAST))
        });
        tx.want_ranges(
            [promises.clone(), short.clone(), listings.clone()].into_iter().chain(claims.clone()),
        )?;
        let cells = tx.stocked(from)?;
        let promises: Vec<(LocationId, u32, LotId, Promise)> = tx
            .range(promises.0, promises.1)?
            .into_iter()
            .filter_map(|(key, value)| match (key, value) {
                (Key::Promise(_, location, _, line, lot), Value::Promise(promise)) => {
                    Some((location, line, lot, promise))
                }
                _ => None,
            })
            .collect();
        let short: Vec<(OrderId, u32)> = tx
            .range(short.0, short.1)?
            .into_iter()
            .filter_map(|(key, _)| match key {
                Key::Short(_, order, line) => Some((order, line)),
                _ => None,
            })
            .collect();
        let ids: Vec<ListingId> = tx
            .range(listings.0, listings.1)?
            .into_iter()
            .filter_map(|(key, _)| if let Key::ListingOf(_, listing) = key { Some(listing) } else { None })
            .collect();
        let mut claimed = BTreeSet::<(SystemId, String)>::new();
        for (first, last) in claims {
            claimed.extend(tx.range(first, last)?.into_iter().filter_map(|(key, _)| match key {
                Key::Claimed(_, system, document) => Some((system, document)),
                _ => None,
            }));
        }
        let claims: Vec<(SystemId, String)> = claimed.into_iter().collect();
        let mut keys: Vec<Key> =
            promises.iter().map(|(.., promise)| promise::holder_key(promise.holder)).collect();
        keys.extend(promises.iter().flat_map(|(location, line, lot, promise)| {
            [from, into].map(|item| Key::Promise(item, *location, promise.holder.seq(), *line, *lot))
        }));
        keys.extend(short.iter().map(|(order, _)| Key::Order(*order)));
        keys.extend(ids.iter().map(|id| Key::Listing(*id)));
        keys.extend(claims.iter().flat_map(|(system, document)| {
            [Key::Waiting(*system, document.clone()), Key::Document(*system, document.clone())]
        }));
        let sites = tx.sites()?.all.clone();
        keys.extend(sites.into_iter().map(Key::Location));
        tx.want(keys)?;
        let parties = [from, into].map(|item| CellKey::party(item, StockState::Production));
        let both = cells.iter().flat_map(|(cell, _)| [*cell, CellKey { item: into, ..*cell }]);
        let available =
            cells.iter().map(|(cell, _)| CellKey::new(into, cell.location, StockState::Available));
        tx.want_cells(both.chain(available).chain(parties))?;
        let listings = ids
            .into_iter()
            .filter_map(|id| match tx.value(&Key::Listing(id)) {
                Ok(Some(Value::Listing(listing))) => Some(Ok((id, *listing.clone()))),
                Ok(_) => None,
                Err(stop) => Some(Err(stop)),
            })
            .collect::<Result<_, Stop>>()?;
        let (ending, going_on) = (tx.item(from)?.clone(), tx.item(into)?.clone());
        Ok(Self { from, into, ending, going_on, cells, promises, short, listings, claims })
    }

    fn no<T>(&self, reason: String) -> Result<T, Stop> {
        let (from, into) = (self.ending.sku.clone(), self.going_on.sku.clone());
        Err(Refusal::CannotMerge { from, into, reason }.into())
    }

    /// Refuses what would leave something that no longer fits, saying what to do about it.
    fn must_be_possible(&self, tx: &Tx<'_>) -> Result<(), Stop> {
        let (from, into) = (&self.ending, &self.going_on);
        if from.precision > into.precision {
            return self.no(format!(
                "`{}` has {} decimals and `{}` only {}; give `{}` as many first",
                from.sku,
                from.precision.decimals(),
                into.sku,
                into.precision.decimals(),
                into.sku
            ));
        }
        if from.unit != into.unit {
            return self.no(format!(
                "one is counted in `{}`, the other in `{}`; give both the same unit first, if it is one",
                from.unit, into.unit
            ));
        }
        if let Some(tracked) = [from, into].into_iter().find(|item| item.tracking != Tracking::None) {
            return self.no(format!(
                "the lots or serials of `{}` are told apart, and each is of its item for good",
                tracked.sku
            ));
        }
        if let Some(kit) = [from, into].into_iter().find(|item| !item.kit.is_empty()) {
            return self.no(format!("`{}` is a kit; take its recipe away first", kit.sku));
        }
        if let Some((cell, quantity)) =
            self.cells.iter().find(|(cell, _)| cell.state == StockState::InTransit)
        {
            let code = tx.location_code(cell.location)?;
            return self.no(format!(
                "{quantity} of `{}` are on their way to `{code}`; receive them first",
                from.sku
            ));
        }
        if let Some((cell, _)) = self.cells.iter().find(|(cell, _)| cell.consignor.0 != 0 || cell.lot.0 != 0)
        {
            let code = tx.location_code(cell.location)?;
            return self.no(format!(
                "there are goods of somebody else's, or of a lot, of `{}` at `{code}`",
                from.sku
            ));
        }
        self.promises_must_be_its_own(tx)?;
        self.kits_must_not_need_it(tx)?;
        self.must_not_be_expected(tx)?;
        self.packs_must_agree()?;
        self.masters_must_agree(tx)
    }

    fn promises_must_be_its_own(&self, tx: &Tx<'_>) -> Result<(), Stop> {
        let promised = self.promises.iter().filter_map(|(_, line, _, promise)| match promise.holder {
            Holder::Order(order) => Some((order, *line)),
            Holder::Hold(_) | Holder::Transfer(_) => None,
        });
        let held = self.promises.iter().filter_map(|(_, line, _, promise)| match promise.holder {
            Holder::Hold(hold) => Some((hold, *line)),
            Holder::Order(_) | Holder::Transfer(_) => None,
        });
        for (hold, line) in held {
            if tx.hold(hold)?.lines.get(line as usize).is_none_or(|line| line.item != self.from) {
                return self
                    .no(format!("hold {hold} has it as a part of something else; let that end first"));
            }
        }
        for (order, line) in promised.chain(self.short.iter().copied()) {
            let known = tx.order(order)?;
            if known.lines.get(line as usize).is_none_or(|line| line.item != self.from) {
                return self.no(format!(
                    "order {} has it as a part of something else; ship or cancel that first",
                    known.document
                ));
            }
        }
        Ok(())
    }

    /// What is expected is expected by its name: by purchase orders, and transfers that are ready or on their
    /// way.
    fn must_not_be_expected(&self, tx: &Tx<'_>) -> Result<(), Stop> {
        let first = Key::Incoming(self.from, LocationId(0), 0, 0);
        let last = Key::Incoming(self.from, LocationId(Seq::MAX), Seq::MAX, u32::MAX);
        match tx.range(first, last)?.first() {
            Some((Key::Incoming(_, location, by, _), Value::Incoming(incoming))) => {
                let (code, expected) = (tx.location_code(*location)?, incoming.quantity);
                self.no(format!(
                    "{expected} of it are expected at `{code}` by document {by}; receive or end that first"
                ))
            }
            _ => Ok(()),
        }
    }

    /// What is built of it would have to be built of the other.
    fn kits_must_not_need_it(&self, tx: &Tx<'_>) -> Result<(), Stop> {
        let (first, last) = (Key::KitOf(self.from, ItemId(0)), Key::KitOf(self.from, ItemId(Seq::MAX)));
        let kits: Vec<ItemId> = tx
            .range(first, last)?
            .into_iter()
            .filter_map(|(key, _)| if let Key::KitOf(_, kit) = key { Some(kit) } else { None })
            .collect();
        tx.want(kits.iter().map(|kit| Key::Item(*kit)))?;
        for kit in kits {
            let known = tx.item(kit)?;
            if known.kit.iter().any(|component| component.item == self.from) {
                let (kit, other) = (&known.sku, &self.going_on.sku);
                return self
                    .no(format!("the kit `{kit}` is built of it; put `{other}` into its recipe first"));
            }
        }
        Ok(())
    }

    fn packs_must_agree(&self) -> Result<(), Stop> {
        for pack in &self.ending.packs {
            let Some(other) = self.going_on.pack(&pack.name) else { continue };
            if other.quantity != pack.quantity {
                return self.no(format!(
                    "a `{}` has {} of the one and {} of the other; rename one of the packs first",
                    pack.name, pack.quantity, other.quantity
                ));
            }
            if let (Some(one), Some(two)) = (&pack.barcode, &other.barcode) {
                return self.no(format!(
                    "both have a `{}`, with the barcodes {one} and {two}; rename one of the packs first",
                    pack.name
                ));
            }
        }
        let codes = self.ending.barcodes.len() + self.going_on.barcodes.len();
        if codes > 50 {
            return self.no(format!("together they have {codes} barcodes; 50 is the most"));
        }
        let names = self.ending.names().count() + self.going_on.aliases.len();
        if names > 100 {
            return self.no(format!("together they would have {names} aliases; 100 is the most"));
        }
        Ok(())
    }

    /// Stock that somebody else is master of stays that one's.
    fn masters_must_agree(&self, tx: &Tx<'_>) -> Result<(), Stop> {
        if tx.rules()?.is_none_or(|rules| rules.ownership.is_empty()) {
            return Ok(());
        }
        for location in tx.sites()?.all.clone() {
            let masters = [self.from, self.into].map(|item| masters::master(tx, item, location));
            let [one, two] = masters;
            let (one, two) = (one?, two?);
            if one != two {
                return self.no(format!(
                    "the master of the one at `{}` is `{}`, of the other `{}`; make one system master of both first",
                    tx.location_code(location)?,
                    tx.system_name(one)?,
                    tx.system_name(two)?
                ));
            }
        }
        Ok(())
    }

    /// Moves what is promised, promise by promise, then what is left; says what each location gained, and where.
    fn move_stock(&self, tx: &mut Tx<'_>) -> Result<BTreeMap<LocationId, (Quantity, Seq)>, Stop> {
        let mut gained = BTreeMap::<LocationId, (Quantity, Seq)>::new();
        let away = format!("merged into {}", self.going_on.sku);
        let here = format!("merged from {}", self.ending.sku);
        let mut step = |tx: &mut Tx<'_>, cell: CellKey, quantity, promise| -> Result<(), Stop> {
            let leg = |item, from, to, reason| Move {
                item,
                lot: LotId(0),
                from,
                to,
                quantity,
                occurred_at: tx.now,
                reason,
                promise,
                corrects: None,
            };
            let (place, production) = ((cell.location, cell.state), (LocationId(0), StockState::Production));
            let (one, two) = (
                leg(self.from, place, production, away.as_str()),
                leg(self.into, production, place, here.as_str()),
            );
            tx.make(one)?;
            let seq = tx.make(two)?;
            let known = gained.entry(cell.location).or_insert((Quantity::ZERO, seq));
            known.0 += quantity;
            known.1 = seq;
            Ok(())
        };
        for (location, line, _, promise) in &self.promises {
            let cell = CellKey::new(self.from, *location, promise::state_of(promise.holder));
            step(tx, cell, promise.quantity, Some((promise.holder, *line)))?;
        }
        for (cell, quantity) in tx.stocked(self.from)? {
            step(tx, cell, quantity, None)?;
        }
        Ok(gained)
    }

    /// Lines of orders and holds that something is promised to, or short of, are the other item's from now on.
    fn move_lines(&self, tx: &mut Tx<'_>) -> Result<(u32, u32), Stop> {
        let mut orders: BTreeSet<OrderId> = self.short.iter().map(|(order, _)| *order).collect();
        let mut holds = BTreeSet::<HoldId>::new();
        for (.., promise) in &self.promises {
            match promise.holder {
                Holder::Order(order) => orders.insert(order),
                Holder::Hold(hold) => holds.insert(hold),
                Holder::Transfer(_) => {
                    unreachable!("what is kept for a transfer is expected, and not merged")
                }
            };
        }
        for order in &orders {
            let lines = tx.edit_order(*order)?.lines.iter_mut();
            lines.filter(|line| line.item == self.from).for_each(|line| line.item = self.into);
        }
        for hold in &holds {
            let lines = tx.edit_hold(*hold)?.lines.iter_mut();
            lines.filter(|line| line.item == self.from).for_each(|line| line.item = self.into);
        }
        let count = |number: usize| u32::try_from(number).unwrap_or(u32::MAX);
        Ok((count(orders.len()), count(holds.len())))
    }

    /// Listings and rules of the one are the other's; of two rules for the same the other's own stays.
    fn move_names(&self, tx: &mut Tx<'_>) -> Result<(), Stop> {
        for (id, listing) in &self.listings {
            let listing = Listing { item: Some(self.into), ..listing.clone() };
            tx.emit(Entry::Listing(*id, Box::new(listing), Some(self.from)))?;
        }
        let rules = tx.rules()?.cloned().unwrap_or_default();
        for (id, rule) in rules.ownership.iter().filter(|(_, rule)| rule.item == Some(self.from)) {
            let moved = Ownership { item: Some(self.into), ..rule.clone() };
            let is_there = rules.ownership.iter().any(|(_, other)| other.scope() == moved.scope());
            tx.emit(Entry::Ownership(*id, (!is_there).then_some(moved)))?;
        }
        for (id, rule) in rules.publication.iter().filter(|(_, rule)| rule.item == Some(self.from)) {
            let moved = Publication { item: Some(self.into), ..rule.clone() };
            let is_there = rules.publication.iter().any(|(_, other)| other.scope() == moved.scope());
            tx.emit(Entry::Publication(*id, (!is_there).then_some(moved)))?;
        }
        for (id, stop) in rules.stopped.iter().filter(|(_, stop)| stop.item == Some(self.from)) {
            let moved = SellingStop { item: Some(self.into), ..stop.clone() };
            let is_there = rules.stopped.iter().any(|(_, other)| other.item == Some(self.into));
            tx.emit(Entry::SellingStop(*id, (!is_there).then(|| Box::new(moved))))?;
        }
        Ok(())
    }

    /// What documents that wait have sold of the one they have sold of the other.
    fn move_claims(&self, tx: &mut Tx<'_>) -> Result<(), Stop> {
        for (system, document) in &self.claims {
            let Some(waiting) = tx.waiting(*system, document)? else { continue };
            if waiting.sold.iter().any(|(item, _)| *item == self.from) {
                let (item, document) = (self.from, document.clone());
                tx.emit(Entry::Claimed { item, system: *system, document, quantity: Quantity::ZERO })?;
            }
            let mut sold = BTreeMap::<ItemId, Quantity>::new();
            for (item, quantity) in &waiting.sold {
                let item = if *item == self.from { self.into } else { *item };
                let sum = sold.entry(item).or_default();
                *sum = (*sum + *quantity).min(Quantity::MAX_INPUT);
            }
            let sold: Vec<(ItemId, Quantity)> = sold.into_iter().collect();
            document::claim(tx, *system, document, &[], &sold)?;
            tx.emit(Entry::Waiting(*system, document.clone(), Some(Box::new(Waiting { sold, ..waiting }))))?;
        }
        Ok(())
    }

    fn write_items(&self, tx: &mut Tx<'_>) -> Result<(), Stop> {
        let at = tx.now;
        let mut going_on = self.going_on.clone();
        going_on.aliases.extend(self.ending.names().map(str::to_owned));
        going_on.barcodes.extend(self.ending.barcodes.iter().cloned());
        for pack in &self.ending.packs {
            match going_on.packs.iter_mut().find(|other| other.name == pack.name) {
                Some(known) => known.barcode = known.barcode.take().or_else(|| pack.barcode.clone()),
                None => going_on.packs.push(pack.clone()),
            }
        }
        if !going_on.low_stock.is_set() {
            going_on.low_stock = self.ending.low_stock.clone();
        }
        going_on.merged.push(Merged { item: self.from, at });
        // It keeps the names it had: they say what somebody meant who speaks of the time before.
        let ended = Item {
            barcodes: Vec::new(),
            tags: Vec::new(),
            packs: Vec::new(),
            low_stock: crate::model::LowStock::default(),
            merged_into: Some(Merged { item: self.into, at }),
            ..self.ending.clone()
        };
        tx.emit(Entry::Item(self.from, Box::new(ended)))?;
        tx.emit(Entry::Item(self.into, Box::new(going_on.clone())))?;
        item::tell_twins_of(tx, &going_on)
    }
}

// ---- what is heard of later ----------------------------------------------------------------------------------

/// The item that an item is by now.
pub(super) fn live(tx: &Tx<'_>, mut item: ItemId) -> Result<ItemId, Stop> {
    while let Some(merged) = tx.item(item)?.merged_into {
        item = merged.item;
    }
    Ok(item)
}

/// The item that an item was at an instant.
pub(super) fn at(tx: &Tx<'_>, mut item: ItemId, at: Instant) -> Result<ItemId, Stop> {
    while let Some(merged) = tx.item(item)?.merged_into.filter(|merged| merged.at <= at) {
        item = merged.item;
    }
    Ok(item)
}

/// The item that somebody means by a SKU who speaks of an instant: one that was merged since, if it was called so then.
pub(super) fn meant(tx: &Tx<'_>, sku: &str, item: ItemId, at: Instant) -> Result<ItemId, Stop> {
    let mut meant = item;
    'deeper: loop {
        for merged in tx.item(meant)?.merged.iter().filter(|merged| at < merged.at) {
            if tx.item(merged.item)?.names().any(|name| name == sku) {
                meant = merged.item;
                continue 'deeper;
            }
        }
        return Ok(meant);
    }
}

/// Lines of an order that were closed when their item was merged are the other's too.
pub(super) fn renew_lines(tx: &mut Tx<'_>, order: OrderId) -> Result<(), Stop> {
    let items: Vec<ItemId> = tx.order(order)?.lines.iter().map(|line| line.item).collect();
    tx.want(items.iter().map(|item| Key::Item(*item)))?;
    for (index, item) in items.into_iter().enumerate() {
        let now = live(tx, item)?;
        if now != item {
            tx.edit_order(order)?.lines[index].item = now;
        }
    }
    Ok(())
}

/// Goods of an item that was merged came in. Before the merge they were its own, and went over with it.
pub(super) fn put_in(
    tx: &mut Tx<'_>,
    change: Change<'_>,
    state: StockState,
    merged: Merged,
) -> Result<Seq, Stop> {
    if change.occurred_at >= merged.at {
        return stock::put_in(tx, Change { item: merged.item, ..change }, state);
    }
    // What a count of it has seen was there already, and went over.
    let seen = state.is_physical() && stock::is_absorbed_itself(tx, &change)?;
    let seq = stock::put_in_itself(tx, change, state)?;
    if !seen {
        let Change { item, location, lot, quantity, .. } = change;
        tx.make(Move {
            item,
            lot,
            from: (location, state),
            to: (LocationId(0), StockState::Production),
            quantity,
            occurred_at: merged.at,
            reason: CARRIED,
            promise: None,
            corrects: Some(seq),
        })?;
        stock::put_in(tx, carried(change, merged, Some(seq)), state)?;
    }
    Ok(seq)
}

/// Goods of an item that was merged are gone. What left before the merge did not go over with it.
pub(super) fn take_out(tx: &mut Tx<'_>, change: Change<'_>, merged: Merged) -> Result<Taken, Stop> {
    if change.occurred_at >= merged.at {
        return stock::take_out(tx, Change { item: merged.item, ..change }, None);
    }
    if stock::is_absorbed_itself(tx, &change)? {
        return stock::take_out_itself(tx, change, None);
    }
    let taken = stock::take_out(tx, carried(change, merged, None), None)?;
    for at in &taken.places {
        tx.make(Move {
            item: change.item,
            lot: at.lot,
            from: (LocationId(0), StockState::Production),
            to: (at.location, StockState::Available),
            quantity: at.quantity,
            occurred_at: merged.at,
            reason: CARRIED,
            promise: None,
            corrects: Some(taken.seq),
        })?;
    }
    let seq = stock::take_out_itself(tx, change, None)?.seq;
    Ok(Taken { seq, ..taken })
}

fn carried<'a>(change: Change<'_>, merged: Merged, corrects: Option<Seq>) -> Change<'a> {
    Change {
        item: merged.item,
        party: StockState::Production,
        occurred_at: merged.at,
        seen_from: merged.at,
        reason: CARRIED,
        corrects,
        location: change.location,
        inside: change.inside,
        unnamed: change.unnamed,
        lot: change.lot,
        quantity: change.quantity,
    }
}
