//! Why a system shows what it shows: from the stock, by the rule, to what was sent and read back, link by link (law 12).

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};

use onhand_ledger::entry::{Account, Movement};
use onhand_ledger::key::StockState;
use onhand_ledger::model::{Listing, System};
use onhand_ledger::publication::Index;
use onhand_ledger::{Instant, ItemId, ListingId, LocationId, Quantity, RuleId, Seq, SystemId};
use onhand_store::StoreError;
use onhand_sync::{Offer, Shown, Standing, Status, Stop, exposed};

use crate::history::{HistoryFilter, LedgerRow};
use crate::published::{counted_by, offer};
use crate::systems::{ItemShown, STATUS, Sent, ShownState, WorkerStatus, read_note, remote_locations, shown};
use crate::view::View;

/// So many of the movements since a number was sent are told.
const TOLD: usize = 10;
/// So many of those before them are told together.
const TOGETHER: usize = 200;
/// So many are looked at for them.
const EXAMINED: usize = 500;

/// What of an item can be sold at one of our locations behind a listing.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Behind {
    /// Our location's code.
    pub location: String,
    /// What can be promised there.
    pub available: Quantity,
    /// Of that: sold by documents that wait in the inbox.
    pub claimed: Quantity,
}

/// Something that lies between the number that was sent and the one it should be now, or the one that is shown.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Between {
    /// When it happened.
    pub at: Instant,
    /// By how much what can be sold changed, in units of the item, or of what it is built of; of what a system did to its own number, in its units.
    pub quantity: Quantity,
    /// Our entry; none where it happened over there.
    pub seq: Option<Seq>,
    /// In plain words.
    pub sentence: String,
}

/// The whole way from the stock to the number that a system shows.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Chain {
    /// The stock behind it, location by location.
    pub stock: Vec<Behind>,
    /// What of it is available, over all of them.
    pub available: Quantity,
    /// The rule that was applied, if any.
    pub rule: Option<RuleId>,
    /// What the rule did, in words; empty where it did nothing.
    pub because: String,
    /// When the number that it should show came to be: what can be sold there changed, or a rule, an order that waits, …; none where it
    /// never did.
    pub since: Option<Instant>,
    /// What was last sent.
    pub sent: Option<Sent>,
    /// What happened since it was sent, or to the number over there, the oldest first; of much the newest, and what was
    /// before them as one.
    pub between: Vec<Between>,
}

/// A system's number of an item, explained.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Explained {
    /// The number beside what it should be, and the sentence.
    pub shown: ItemShown,
    /// How it stands.
    pub standing: Standing,
    /// Units of the item that it offers beyond what there is, beside its other locations: they can be oversold right now.
    pub exposed: Quantity,
    /// The whole way.
    pub chain: Chain,
}

/// Each system's number of an item beside what it should be, and why.
pub fn explain_item(view: &mut View<'_>, item: ItemId) -> Result<Vec<Explained>, StoreError> {
    let mut all = Vec::new();
    let index = view.published()?;
    for (id, listing) in view.listings_of(item)? {
        let Some(system) = view.system(listing.system)? else { continue };
        let worker: WorkerStatus = read_note(view, STATUS, &listing.system.to_string())?;
        for Number { remote_location, shown, should, status, state, exposed } in
            numbers_at(view, &index, id, &listing, &system, &worker)?
        {
            let behind = counted_by(view, &index, id, &listing, &system, &remote_location)?;
            let newest = newest(view, item, &behind, TOLD)?;
            let since = since(view, &newest, &should, &state)?;
            let chain = Chain {
                stock: stock_behind(view, item, &behind)?,
                available: should.available,
                rule: should.rule,
                because: should.because(),
                since,
                sent: state.sent.filter(|_| !is_refused(&state)),
                between: between(view, item, newest, &behind, &system, &state)?,
            };
            let standing = Standing::of(&status, &should, since, view.now);
            all.push(Explained { shown, standing, exposed, chain });
        }
    }
    Ok(all)
}

/// A listing's number at one of its remote locations.
struct Number {
    remote_location: String,
    shown: ItemShown,
    should: Shown,
    status: Status,
    state: ShownState,
    exposed: Quantity,
}

/// A listing's number at each of its remote locations, and what it offers beyond what there is.
fn numbers_at(
    view: &mut View<'_>,
    index: &Index,
    id: ListingId,
    listing: &Listing,
    system: &System,
    worker: &WorkerStatus,
) -> Result<Vec<Number>, StoreError> {
    let mut all = Vec::new();
    for remote_location in remote_locations(system) {
        let found = shown(view, index, id, listing, system, &remote_location, worker)?;
        let Some((shown, should, status, state)) = found else { continue };
        let exposed = Quantity::ZERO;
        all.push(Number { remote_location, shown, should, status, state, exposed });
    }
    let offers = all.iter().map(|number| offer(system, listing, number.state.offers(), &number.should));
    let each = exposed(&offers.collect::<Vec<Offer<'_>>>());
    for (number, exposed) in all.iter_mut().zip(each) {
        number.exposed = exposed;
    }
    Ok(all)
}

/// Was what was sent last refused? Then nothing is under way: what the system said is in the sentence.
fn is_refused(state: &ShownState) -> bool {
    let refused = state.stopped.as_ref().is_some_and(|stopped| stopped.why == Stop::Refused);
    refused && state.unanswered.is_none() && state.sent.is_some_and(|sent| sent.acknowledged_at.is_none())
}

/// A listing of a system, and the number it shows at one of its locations.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ListingNumber {
    /// The listing.
    pub listing: Listing,
    /// The number beside what it should be, and how it stands; none where it is not linked, or no location is.
    pub shown: Option<(ItemShown, Standing)>,
}

/// The listings of a system after one, up to `limit` of them: each once for each location over there that one of ours is behind.
pub fn numbers_of(
    view: &mut View<'_>,
    system: SystemId,
    after: ListingId,
    limit: usize,
) -> Result<Vec<(ListingId, ListingNumber)>, StoreError> {
    let listings = view.listings_in(system, after, limit)?;
    numbers(view, system, listings)
}

/// As [`numbers_of`], but only those that are not as they should be.
pub fn numbers_out_of_step(
    view: &mut View<'_>,
    system: SystemId,
    after: ListingId,
    limit: usize,
) -> Result<Vec<(ListingId, ListingNumber)>, StoreError> {
    let listings = view.counted(|counted| counted.out_of_step_after(system, after, limit))?;
    let listings = listings_with(view, listings)?;
    let mut found = numbers(view, system, listings)?;
    found.retain(|(_, number)| number.shown.as_ref().is_some_and(|(shown, _)| shown.is_out_of_step()));
    Ok(found)
}

/// As [`numbers_of`], but only listings that are no item of ours.
pub fn unlinked_of(
    view: &mut View<'_>,
    system: SystemId,
    after: ListingId,
    limit: usize,
) -> Result<Vec<(ListingId, ListingNumber)>, StoreError> {
    let listings = view.counted(|counted| counted.unlinked_after(system, after, limit))?;
    let listings = listings_with(view, listings)?;
    Ok(listings.into_iter().map(|(id, listing)| (id, ListingNumber { listing, shown: None })).collect())
}

fn listings_with(view: &mut View<'_>, ids: Vec<ListingId>) -> Result<Vec<(ListingId, Listing)>, StoreError> {
    let mut listings = Vec::with_capacity(ids.len());
    for id in ids {
        listings.extend(view.listing(id)?.map(|listing| (id, listing)));
    }
    Ok(listings)
}

fn numbers(
    view: &mut View<'_>,
    system: SystemId,
    listings: Vec<(ListingId, Listing)>,
) -> Result<Vec<(ListingId, ListingNumber)>, StoreError> {
    let Some(known) = view.system(system)? else { return Ok(Vec::new()) };
    let (index, remote) = (view.published()?, remote_locations(&known));
    let worker: WorkerStatus = read_note(view, STATUS, &system.to_string())?;
    let mut all = Vec::new();
    for (id, listing) in listings {
        let mut is_told = false;
        for place in &remote {
            let found = shown(view, &index, id, &listing, &known, place, &worker)?;
            let (Some((number, should, status, state)), Some(item)) = (found, listing.item) else { continue };
            let behind = counted_by(view, &index, id, &listing, &known, place)?;
            let newest = newest(view, item, &behind, 1)?;
            let since = since(view, &newest, &should, &state)?;
            let standing = Standing::of(&status, &should, since, view.now);
            all.push((id, ListingNumber { listing: listing.clone(), shown: Some((number, standing)) }));
            is_told = true;
        }
        if !is_told {
            all.push((id, ListingNumber { listing, shown: None }));
        }
    }
    Ok(all)
}

fn stock_behind(view: &mut View<'_>, item: ItemId, behind: &[LocationId]) -> Result<Vec<Behind>, StoreError> {
    let mut all = Vec::new();
    for location in behind {
        let code = view.location(*location)?.map_or_else(|| location.to_string(), |known| known.code);
        let available = view.available(item, *location)?;
        all.push(Behind { location: code, available, claimed: view.claimed_behind(item, *location)? });
    }
    Ok(all)
}

/// A location and all that is inside it, of each.
fn inside(view: &mut View<'_>, behind: &[LocationId]) -> Result<BTreeSet<LocationId>, StoreError> {
    let mut locations = BTreeSet::new();
    for location in behind {
        locations.extend(view.inside(*location)?);
    }
    Ok(locations)
}

/// A movement of an item, or of something that it is built of.
struct Moved {
    row: LedgerRow,
    /// What of; none: the item itself.
    part: Option<ItemId>,
}

/// The newest movements that changed what is available there of an item and of all that it is built of, the newest first.
fn newest(
    view: &mut View<'_>,
    item: ItemId,
    behind: &[LocationId],
    limit: usize,
) -> Result<Vec<Moved>, StoreError> {
    let (locations, state) = (Some(inside(view, behind)?), Some(StockState::Available));
    let filter = HistoryFilter { locations, state, ..HistoryFilter::default() };
    let mut all = Vec::new();
    for of in view.with_parts(item)? {
        let part = (of != item).then_some(of);
        let rows = view.item_history(of, &filter, Seq::MAX >> 1, limit, EXAMINED)?.rows;
        all.extend(rows.into_iter().map(|row| Moved { row, part }));
    }
    all.sort_by_key(|moved| Reverse(moved.row.seq));
    all.truncate(limit);
    Ok(all)
}

/// When the number that it should show came to be: by what moved last, by what its worker saw, or else by the rule that speaks of it.
fn since(
    view: &mut View<'_>,
    newest: &[Moved],
    should: &Shown,
    state: &ShownState,
) -> Result<Option<Instant>, StoreError> {
    let moved = newest.first().map(|moved| moved.row.record.recorded_at);
    let seen = state.wanted.map(|(_, at)| at);
    let is_seen = state.wanted.is_some_and(|(wanted, _)| wanted == should.quantity);
    let ruled = match should.rule.filter(|_| !is_seen) {
        Some(RuleId(seq)) => view.entry(seq)?.map(|(_, record, ..)| record.recorded_at),
        None => None,
    };
    let stopped = should.halt.as_ref().map(|halt| halt.at);
    Ok([moved, seen, ruled, stopped].into_iter().flatten().max())
}

/// What happened since the number was sent: here, and over there.
fn between(
    view: &mut View<'_>,
    item: ItemId,
    mut moved: Vec<Moved>,
    behind: &[LocationId],
    system: &System,
    state: &ShownState,
) -> Result<Vec<Between>, StoreError> {
    let mut all: Vec<Between> = state
        .changes
        .iter()
        .map(|change| {
            let (did, quantity) = if change.quantity.is_negative() {
                ("sold", -change.quantity)
            } else {
                ("took back", change.quantity)
            };
            let sentence = format!("{} {did} {quantity} of it by itself.", system.name);
            Between { at: change.at, quantity: change.quantity, seq: None, sentence }
        })
        .collect();
    // Of what was never sent, and was as it should be when it was read, since then.
    let is_since = |moved: &&Moved| match &state.sent {
        Some(sent) => moved.row.seq > sent.seq,
        None => state.acknowledged_at.is_some_and(|at| moved.row.record.recorded_at > at),
    };
    // Where all of these are of since then, more may be.
    if moved.len() == TOLD && moved.iter().all(|moved| is_since(&moved)) {
        moved = newest(view, item, behind, TOLD + TOGETHER)?;
    }
    let locations = inside(view, behind)?;
    for moved in moved.iter().filter(is_since) {
        all.push(told(view, moved, &locations)?);
    }
    all.sort_by_key(|one| (one.at, one.seq));
    let last = all.split_off(all.len().saturating_sub(TOLD));
    let of_one = state.changes.is_empty() && moved.iter().all(|moved| moved.part.is_none());
    Ok(together(&all, of_one).into_iter().chain(last).collect())
}

/// What happened before what is told one by one, as one; with its sum where all of it is of one thing.
fn together(earlier: &[Between], of_one: bool) -> Option<Between> {
    let last = earlier.last()?;
    let (number, sum) = (earlier.len(), earlier.iter().map(|one| one.quantity).sum::<Quantity>());
    let at_least = if number >= TOGETHER { "at least " } else { "" };
    let changes = if number == 1 { "change" } else { "changes" };
    let sum_of_them = if of_one { format!(", {} together", signed(sum)) } else { String::new() };
    let sentence = format!("Before those that follow {at_least}{number} {changes}{sum_of_them}.");
    Some(Between { at: last.at, quantity: sum, seq: None, sentence })
}

/// With its sign, as people write it.
fn signed(quantity: Quantity) -> String {
    if quantity.is_negative() { format!("\u{2212}{}", -quantity) } else { format!("+{quantity}") }
}

/// A movement in plain words, as far as it changed what is available at these locations.
fn told(
    view: &mut View<'_>,
    Moved { row, part }: &Moved,
    locations: &BTreeSet<LocationId>,
) -> Result<Between, StoreError> {
    let Movement { from, to, occurred_at, reason, .. } = &row.movement;
    let counts =
        |account: &Account| account.state == StockState::Available && locations.contains(&account.location);
    let mut quantity = Quantity::ZERO;
    let mut place = None;
    for (account, sign) in [(from, -row.movement.quantity), (to, row.movement.quantity)] {
        if counts(account) {
            quantity += sign;
            place = Some(account.location);
        }
    }
    let place = match place {
        Some(place) => view.location(place)?.map(|location| location.code),
        None => None,
    };
    let by = match &row.record.document {
        Some((_, document)) => format!("by {}, document {document}", row.record.actor),
        None => format!("by {}", row.record.actor),
    };
    let place = place.unwrap_or_default();
    let part = part.map(|part| view.item(part)).transpose()?.flatten();
    let of = part.map_or(String::new(), |part| format!(" of {}", part.sku));
    let sentence = format!("{}{of} available at {place}: {reason}, {by}.", signed(quantity));
    Ok(Between { at: *occurred_at, quantity, seq: Some(row.seq), sentence })
}

/// A listing that offers more than is available.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Exposure {
    /// The item's SKU.
    pub sku: String,
    /// The system's name.
    pub system: String,
    /// The listing's id over there.
    pub listing: String,
    /// The remote location's id.
    pub remote_location: String,
    /// What it shows, in its own units.
    pub shows: Quantity,
    /// What is available there and not sold by orders that wait, in units of the item.
    pub available: Quantity,
    /// Units of the item that can be oversold right now; of stock that several of its locations offer, what is offered more than once.
    pub exposed: Quantity,
    /// How long it usually takes until the system shows a lower number, in milliseconds; none where that is not known, or
    /// nothing is sent.
    pub for_millis: Option<u32>,
    /// How it stands.
    pub standing: Standing,
}

/// What could be oversold right now, listing by listing after one, and where to go on from: of at most `limit` listings.
pub fn exposure(
    view: &mut View<'_>,
    after: ListingId,
    limit: usize,
) -> Result<(Vec<Exposure>, Option<ListingId>), StoreError> {
    let mut listings = view.counted(|counted| counted.exposed_after(after, limit + 1))?;
    let more = listings.len() > limit;
    listings.truncate(limit);
    let mut systems = BTreeMap::new();
    for (id, system) in view.systems()? {
        let worker: WorkerStatus = read_note(view, STATUS, &id.to_string())?;
        systems.insert(id, (system, worker));
    }
    let index = view.published()?;
    let mut all = Vec::new();
    for id in &listings {
        let Some(listing) = view.listing(*id)? else { continue };
        let Some((system, worker)) = systems.get(&listing.system) else { continue };
        for number in numbers_at(view, &index, *id, &listing, system, worker)? {
            all.extend(exposed_at(view, *id, &listing, &index, (system, worker), number)?);
        }
    }
    Ok((all, listings.last().copied().filter(|_| more)))
}

fn exposed_at(
    view: &mut View<'_>,
    id: ListingId,
    listing: &Listing,
    index: &Index,
    (system, worker): (&System, &WorkerStatus),
    Number { remote_location, should, status, state, exposed, .. }: Number,
) -> Result<Option<Exposure>, StoreError> {
    let shows = state.offers().filter(|_| exposed.is_positive());
    let (Some(shows), Some(item)) = (shows, listing.item) else { return Ok(None) };
    let behind = counted_by(view, index, id, listing, system, &remote_location)?;
    let newest = newest(view, item, &behind, 1)?;
    let since = since(view, &newest, &should, &state)?;
    let standing = Standing::of(&status, &should, since, view.now);
    let is_sent = !matches!(standing, Standing::Paused | Standing::NeedsYou | Standing::LeftToIt);
    // In batches it stays so until the next one has gone, and what is gathered until it goes: its usual lag is mostly that wait.
    let goes_at = status.next_batch.or(status.goes_at.filter(|at| *at > view.now));
    let wait = goes_at.map(|at| (at.micros() - view.now.micros()).max(0) / 1_000);
    let wait = wait.map(|wait| u32::try_from(wait).unwrap_or(u32::MAX));
    let for_millis = wait.or_else(|| worker.push_lag.usual());
    Ok(Some(Exposure {
        sku: view.item(item)?.map(|item| item.sku).unwrap_or_default(),
        system: system.name.clone(),
        listing: listing.remote_id.clone(),
        remote_location,
        shows,
        available: (should.available - should.claimed).max(Quantity::ZERO),
        exposed,
        for_millis: for_millis.filter(|_| is_sent),
        standing,
    }))
}
