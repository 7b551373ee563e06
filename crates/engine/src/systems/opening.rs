//! Before a system goes live: the opening stock, and what would change.
//!
//! Opening stock is taken once for a location, from one source, as the count of whoever asked for it; the ledger's own keys see
//! to that, whoever asks at the same time, and a crash in between is gone on from. What a system shows that is net of its own
//! orders lacks what these still keep on the shelf: open orders are added, or they would be taken off twice.

use std::collections::{BTreeMap, BTreeSet};

use onhand_channels::{Channel, ChannelError, Meaning, Reading, RemoteOrderLine};
use onhand_ledger::command::{Line, Noted, TakeCount};
use onhand_ledger::model::{Listing, Stage, System};
use onhand_ledger::{
    Answer, Body, Command, Instant, Invalid, ItemId, ListingId, LocationId, Quantity, SystemId, TenantId,
};
use onhand_store::{Note, StoreError};
use serde::{Deserialize, Serialize};
use tokio::sync::mpsc;

use super::connecting::{Rehearsed, keep_sequence, mapped_after, sequence};
use super::{AddError, read_note, remote_locations};
use crate::commit::CommitError;
use crate::published::{counted_by, desired_after};
use crate::queue::{Handle, SubmitError};
use crate::view::View;

/// The notes that say from where a location's opening stock was taken, by the location's id.
pub const OPENING: &str = "opening";
/// So many listings are looked at together.
const SLICE: usize = 200;
/// So many of what was not taken are named.
const NAMED: usize = 100;

/// From where opening stock was taken.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct Opening {
    /// The location's code.
    pub location: String,
    /// A system's name, or what a person called the file or the count.
    pub source: String,
    /// Who asked for it.
    pub by: String,
    /// When it was seen.
    pub as_of: Instant,
    /// Items that were counted.
    pub items: usize,
    /// What was not taken, and why; up to 100.
    pub left_out: Vec<String>,
    /// Is all of it taken?
    pub finished: bool,
}

/// Why a location's opening stock is not taken.
#[derive(Debug, thiserror::Error)]
pub enum OpeningError {
    /// It was taken before.
    #[error(
        "the opening stock of `{}` was taken from {} by {}; what is wrong by now is counted: POST /v1/counts",
        .0.location, .0.source, .0.by
    )]
    Taken(Box<Opening>),
    /// Another is master there.
    #[error(
        "Onhand is master of nothing at `{0}` that is to be counted there: its stock is told by its own master"
    )]
    NotOurs(String),
    /// There is nothing to take.
    #[error("there is nothing to take for `{0}`: {1}")]
    Nothing(String, String),
    /// Anything else.
    #[error(transparent)]
    Add(#[from] AddError),
}

macro_rules! from {
    ($($cause:ty),+) => { $(impl From<$cause> for OpeningError {
        fn from(error: $cause) -> Self {
            Self::Add(error.into())
        }
    })+ };
}
from!(SubmitError, StoreError, ChannelError);

/// What a system's own orders still keep of each listing, in the listing's units: at which of its locations, none where that is not told.
#[derive(Debug, Default)]
struct OpenOrders(BTreeMap<String, BTreeMap<Option<String>, Quantity>>);

impl OpenOrders {
    fn add(&mut self, Open { listing, place, quantity }: Open) {
        *self.0.entry(listing).or_default().entry(place).or_default() += quantity;
    }

    fn of(&self, listing: &str) -> impl Iterator<Item = (Option<&str>, Quantity)> {
        let places = self.0.get(listing).into_iter().flatten();
        places.map(|(place, quantity)| (place.as_deref(), *quantity))
    }

    /// What they keep of a listing at one of so many locations; none where some do not say at which.
    fn kept_at(&self, listing: &str, place: &str, places: usize) -> Option<Quantity> {
        let is_told = places < 2 || self.of(listing).all(|(at, _)| at.is_some());
        let here = self.of(listing).filter(|(at, _)| at.is_none_or(|at| at == place));
        is_told.then(|| here.map(|(_, quantity)| quantity).sum())
    }
}

/// A part of what an order keeps.
struct Open {
    listing: String,
    place: Option<String>,
    quantity: Quantity,
}

/// What a line of an order still keeps, and where.
fn kept_by(line: &RemoteOrderLine) -> Vec<Open> {
    let open = |place: Option<&String>, quantity: Quantity| Open {
        listing: line.listing.clone(),
        place: place.cloned(),
        quantity,
    };
    let left = (line.quantity - line.shipped).max(Quantity::ZERO);
    let all = match line.places.as_slice() {
        [] => vec![open(None, left)],
        [(only, _)] => vec![open(Some(only), left)],
        several => several.iter().map(|(place, quantity)| open(Some(place), *quantity)).collect(),
    };
    all.into_iter().filter(|open| left.is_positive() && open.quantity.is_positive()).collect()
}

async fn open_orders(channel: &dyn Channel) -> Result<OpenOrders, ChannelError> {
    let mut documents = BTreeMap::<String, Vec<Open>>::new();
    let mut cursor: Option<String> = None;
    loop {
        let page = channel.orders(cursor.as_deref()).await?;
        for order in page.orders {
            let counts = !order.cancelled && !order.history;
            let open: Vec<Open> = order.lines.iter().filter(|_| counts).flat_map(kept_by).collect();
            if open.is_empty() {
                documents.remove(&order.document);
            } else {
                documents.insert(order.document, open);
            }
        }
        let moved = cursor.as_deref() != Some(page.cursor.as_str());
        cursor = Some(page.cursor);
        if !page.more || !moved {
            break;
        }
    }
    let mut sums = OpenOrders::default();
    documents.into_values().flatten().for_each(|open| sums.add(open));
    Ok(sums)
}

/// Goods on the shelf by one reading, in the listing's units; none where it does not say.
fn on_the_shelf(meaning: Meaning, reading: &Reading, open: &OpenOrders, places: usize) -> Option<Quantity> {
    match (reading.on_hand, meaning) {
        (Some(on_hand), _) => Some(on_hand),
        (None, Meaning::PhysicalOnHand | Meaning::Shown) => Some(reading.quantity),
        (None, Meaning::SellableNetOfOwnOrders) => {
            let kept = open.kept_at(&reading.listing, &reading.location, places)?;
            Some(reading.quantity + kept)
        }
    }
}

/// Takes a location's opening stock from what a system shows there.
pub async fn open_from_system(
    handle: &Handle,
    channel: &dyn Channel,
    tenant: TenantId,
    actor: &str,
    id: SystemId,
    system: &System,
    location: LocationId,
) -> Result<Opening, OpeningError> {
    let as_of = handle.ledger().clock().now();
    let code = handle.ledger().read(tenant, |view| view.location(location))?;
    let code = code.map(|location| location.code).unwrap_or_default();
    let mapped = system.locations.iter().filter(|mapping| mapping.location == location);
    let remote: BTreeSet<String> = mapped.map(|mapping| mapping.remote_id.clone()).collect();
    if remote.is_empty() {
        let why = format!("no location of {} is mapped to it", system.name);
        return Err(OpeningError::Nothing(code, why));
    }
    let begun = begun(handle, tenant, location, &system.name)?;
    let mut taking = Taking::begin(
        handle,
        tenant,
        actor,
        location,
        begun.unwrap_or_else(|| Opening {
            location: code.clone(),
            source: system.name.clone(),
            by: actor.to_owned(),
            as_of,
            ..Opening::default()
        }),
    );
    let open = open_orders(channel).await?;
    let places = remote_locations(system).len();
    let mut after = ListingId(0);
    loop {
        let page = handle.ledger().read(tenant, |view| {
            let page = mapped_after(view, id, after, SLICE)?;
            let mut first = Vec::new();
            for (listing_id, listing) in &page {
                // All listings of an item are looked at together, at the first of them.
                let Some(item) = listing.item else { continue };
                let mut of_item = view.listings_of(item)?;
                of_item.retain(|(_, other)| other.system == id);
                if of_item.iter().all(|(other, _)| other >= listing_id) {
                    first.push((item, of_item.into_iter().map(|(_, listing)| listing).collect::<Vec<_>>()));
                }
            }
            Ok::<_, StoreError>((page.last().map(|(id, _)| *id), first))
        })?;
        let (Some(last), items) = page else { break };
        after = last;
        let ids: Vec<String> = items
            .iter()
            .flat_map(|(_, listings)| listings)
            .map(|listing| listing.remote_id.clone())
            .collect();
        let mut shelf = BTreeMap::<String, Option<Quantity>>::new();
        for batch in ids.chunks(channel.batch_size().max(1)) {
            for reading in channel.read(batch).await? {
                if remote.contains(&reading.location) {
                    let here = on_the_shelf(channel.meaning(), &reading, &open, places);
                    let sum = shelf.entry(reading.listing).or_insert(Some(Quantity::ZERO));
                    *sum = sum.zip(here).map(|(sum, here)| sum + here);
                }
            }
        }
        for (item, listings) in items {
            match agreed(&listings, &shelf) {
                Ok(quantity) => taking.count(item, quantity).await?,
                Err(why) => taking.leave_out(item, &why)?,
            }
        }
    }
    taking.end().await
}

/// How much of an item there is by its listings' numbers; single ones before packs.
fn agreed(listings: &[Listing], shelf: &BTreeMap<String, Option<Quantity>>) -> Result<Quantity, String> {
    let fewest = listings.iter().map(|listing| listing.multiplier).min().unwrap_or(1);
    let mut numbers = BTreeSet::new();
    for listing in listings.iter().filter(|listing| listing.multiplier == fewest) {
        match shelf.get(&listing.remote_id) {
            Some(Some(quantity)) => {
                let units = quantity.whole_units().checked_mul(i64::from(listing.multiplier));
                numbers.insert(Quantity::units(units.ok_or_else(|| "its number is too large".to_owned())?));
            }
            Some(None) => return Err("its orders do not say from which of its locations".to_owned()),
            None => {}
        }
    }
    match numbers.iter().collect::<Vec<_>>().as_slice() {
        [only] => Ok((**only).max(Quantity::ZERO)),
        [] => Err("it says no number of it".to_owned()),
        several => {
            let several: Vec<String> = several.iter().map(ToString::to_string).collect();
            Err(format!("its listings disagree: {}", several.join(", ")))
        }
    }
}

/// Takes a location's opening stock from a count or a file: what a person saw, under the name they give it.
pub async fn open_from_lines(
    handle: &Handle,
    tenant: TenantId,
    actor: &str,
    location: LocationId,
    source: &str,
    as_of: Option<Instant>,
    lines: &[(ItemId, Quantity)],
) -> Result<Opening, OpeningError> {
    let code = handle.ledger().read(tenant, |view| view.location(location))?;
    let begun = begun(handle, tenant, location, source)?;
    let mut taking = Taking::begin(
        handle,
        tenant,
        actor,
        location,
        begun.unwrap_or_else(|| Opening {
            location: code.map(|location| location.code).unwrap_or_default(),
            source: source.to_owned(),
            by: actor.to_owned(),
            as_of: as_of.unwrap_or_else(|| handle.ledger().clock().now()),
            ..Opening::default()
        }),
    );
    for (item, quantity) in lines {
        taking.count(*item, *quantity).await?;
    }
    taking.end().await
}

/// From where a location's opening stock was taken, if it was.
pub fn opening_of(view: &mut View<'_>, location: LocationId) -> Result<Option<Opening>, StoreError> {
    let opening: Opening = read_note(view, OPENING, &location.to_string())?;
    Ok((!opening.source.is_empty()).then_some(opening))
}

/// An opening from the same source that was not finished. Any other one stands.
fn begun(
    handle: &Handle,
    tenant: TenantId,
    location: LocationId,
    source: &str,
) -> Result<Option<Opening>, OpeningError> {
    match handle.ledger().read(tenant, |view| opening_of(view, location))? {
        Some(known) if known.finished || known.source != source => Err(OpeningError::Taken(Box::new(known))),
        known => Ok(known.map(|known| Opening { items: 0, left_out: Vec::new(), ..known })),
    }
}

/// An opening that is being taken.
struct Taking<'h> {
    handle: &'h Handle,
    tenant: TenantId,
    actor: &'h str,
    at: LocationId,
    opening: Opening,
    not_ours: usize,
}

impl<'h> Taking<'h> {
    fn begin(handle: &'h Handle, tenant: TenantId, actor: &'h str, at: LocationId, opening: Opening) -> Self {
        Self { handle, tenant, actor, at, opening, not_ours: 0 }
    }

    fn leave_out(&mut self, item: ItemId, why: &str) -> Result<(), StoreError> {
        if self.opening.left_out.len() < NAMED {
            let item = self.handle.ledger().read(self.tenant, |view| view.item(item))?;
            let sku = item.map(|item| item.sku).unwrap_or_default();
            self.opening.left_out.push(format!("{sku}: {why}"));
        }
        Ok(())
    }

    async fn count(&mut self, item: ItemId, quantity: Quantity) -> Result<(), OpeningError> {
        let (at, source) = (self.at, self.opening.source.clone());
        let found = self.handle.ledger().read(self.tenant, |view| {
            let is_ours =
                view.ownership_of(item, at)?.is_none_or(|(_, rule)| rule.master == SystemId::ONHAND);
            Ok::<_, StoreError>((view.item(item)?, is_ours))
        })?;
        let (Some(item_now), is_ours) = found else { return Ok(()) };
        if !is_ours {
            self.not_ours += 1;
            return Ok(self.leave_out(item, "another system is master of it there")?);
        }
        if self.opening.items == 0 {
            self.keep().await?;
            // Whoever commits the first count of a location has it: the key is of that source for ever.
            let claim = self.claim(item_now.sku.clone(), quantity);
            return self.submit(item, claim).await;
        }
        let key = format!("opening/{at}/{item}");
        let command = self.counted(key, &source, item_now.sku, quantity);
        self.submit(item, command).await
    }

    fn claim(&self, sku: String, quantity: Quantity) -> Command {
        self.counted(format!("opening/{}", self.at), &self.opening.source, sku, quantity)
    }

    fn counted(&self, key: String, source: &str, sku: String, quantity: Quantity) -> Command {
        let count = TakeCount {
            net: false,
            location: self.opening.location.clone(),
            lines: vec![Line::new(sku, quantity)],
            as_of: Some(self.opening.as_of),
            inside: false,
            system: None,
        };
        let noted = Noted {
            reference: None,
            note: Some(format!("opening stock, from {source}")),
            body: Body::Count(count),
        };
        let hash = blake3::hash(source.as_bytes());
        let head = hash.as_bytes().first_chunk::<8>().copied().unwrap_or_default();
        let fingerprint = u64::from_be_bytes(head);
        let (actor, body) = (self.actor.to_owned(), Body::Noted(Box::new(noted)));
        Command { key: Some(key), fingerprint, actor, body }
    }

    async fn submit(&mut self, item: ItemId, command: Command) -> Result<(), OpeningError> {
        match self.handle.submit(self.tenant, command).await {
            Ok(committed) => match committed.answer {
                Answer::Refused(refusal) => Ok(self.leave_out(item, &refusal.to_string())?),
                _ => {
                    self.opening.items += 1;
                    Ok(())
                }
            },
            Err(SubmitError::Commit(CommitError::Invalid(Invalid::KeyReused(_)))) => {
                // Another source was quicker.
                let known = self.handle.ledger().read(self.tenant, |view| opening_of(view, self.at))?;
                Err(OpeningError::Taken(Box::new(known.unwrap_or_else(|| self.opening.clone()))))
            }
            Err(SubmitError::Commit(CommitError::Invalid(invalid))) => {
                Ok(self.leave_out(item, &invalid.to_string())?)
            }
            Err(error) => Err(error.into()),
        }
    }

    async fn keep(&self) -> Result<(), SubmitError> {
        let body = serde_json::to_string(&self.opening).expect("an opening can always be written");
        let note = Note { space: OPENING.to_owned(), key: self.at.to_string(), body: Some(body) };
        self.handle.submit_with(self.tenant, None, vec![note]).await?;
        Ok(())
    }

    async fn end(mut self) -> Result<Opening, OpeningError> {
        let code = self.opening.location.clone();
        if self.opening.items == 0 {
            return Err(match (self.not_ours, self.opening.left_out.first()) {
                (1.., _) => OpeningError::NotOurs(code),
                (0, Some(first)) => OpeningError::Nothing(code, first.clone()),
                (0, None) => {
                    OpeningError::Nothing(code, "none of its listings is mapped to an item".to_owned())
                }
            });
        }
        self.opening.finished = true;
        self.keep().await?;
        Ok(self.opening)
    }
}

/// A number that would change.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Change {
    /// The listing's id over there.
    pub listing: String,
    /// Its SKU over there.
    pub remote_sku: Option<String>,
    /// Our SKU.
    pub sku: String,
    /// The remote location's id.
    pub location: String,
    /// What it shows now.
    pub from: Quantity,
    /// What it would show.
    pub to: Quantity,
    /// Why so much, in words; empty where it is all that is available.
    pub because: String,
}

/// Compares every number of a system with what it should be, changes nothing, and hands each that would change to `rows`; what
/// nobody takes is counted all the same. Bounded memory: a slice of listings at a time, and the open orders of the system
/// while it is being connected, which are not in the ledger yet.
pub async fn rehearse(
    handle: &Handle,
    channel: &dyn Channel,
    tenant: TenantId,
    id: SystemId,
    system: &System,
    rows: mpsc::Sender<Change>,
) -> Result<Rehearsed, AddError> {
    let mut done = Rehearsed::default();
    let open = match system.stage {
        Stage::Connecting => open_orders(channel).await?,
        Stage::Watching | Stage::Live => OpenOrders::default(),
    };
    let mut after = ListingId(0);
    loop {
        let page = handle.ledger().read(tenant, |view| mapped_after(view, id, after, SLICE))?;
        let Some((last, _)) = page.last() else { break };
        after = *last;
        let mapped: Vec<_> = page.into_iter().filter(|(_, listing)| listing.item.is_some()).collect();
        for batch in mapped.chunks(channel.batch_size().max(1)) {
            let ids: Vec<String> = batch.iter().map(|(_, listing)| listing.remote_id.clone()).collect();
            let readings = channel.read(&ids).await?;
            let by_place: BTreeMap<(&str, &str), &Reading> = readings
                .iter()
                .map(|reading| ((reading.listing.as_str(), reading.location.as_str()), reading))
                .collect();
            let changes = handle.ledger().read(tenant, |view| {
                let mut changes = Vec::new();
                for (listing_id, listing) in batch {
                    for place in remote_locations(system) {
                        let found = by_place.get(&(listing.remote_id.as_str(), place.as_str()));
                        let place_of = (*listing_id, listing);
                        let promised = promised_at(view, id, place_of, system, &place, &open)?;
                        let should = desired_after(view, place_of, system, &place, promised)?;
                        let Some(should) = should.filter(|should| !should.is_skipped) else { continue };
                        let Some(reading) = found else {
                            done.missing += 1;
                            continue;
                        };
                        done.compared += 1;
                        done.untracked += usize::from(!reading.tracked);
                        let to = should.quantity;
                        // What it tells us is never set.
                        if to == reading.quantity || !system.mode.direction.sends() {
                            continue;
                        }
                        let sku = match listing.item {
                            Some(item) => view.item(item)?.map(|item| item.sku).unwrap_or_default(),
                            None => String::new(),
                        };
                        changes.push(Change {
                            listing: listing.remote_id.clone(),
                            remote_sku: listing.remote_sku.clone(),
                            sku,
                            location: place.clone(),
                            from: reading.quantity,
                            to,
                            because: should.because(),
                        });
                    }
                }
                Ok::<_, StoreError>(changes)
            })?;
            for change in changes {
                done.changes += 1;
                done.zeros += usize::from(change.to.is_zero());
                // Nobody takes it: it is counted.
                let _ = rows.send(change).await;
            }
        }
    }
    done.at = handle.ledger().clock().now();
    let mut kept = handle.ledger().read(tenant, |view| sequence(view, id))?;
    kept.rehearsed = Some(done.clone());
    keep_sequence(handle, tenant, id, &kept).await?;
    Ok(done)
}

/// What of an item the system's open orders will take of the stock behind a listing's number at one of its locations, in units of the
/// item. One that does not say from where may take it from there.
fn promised_at(
    view: &mut View<'_>,
    id: SystemId,
    (listing_id, listing): (ListingId, &Listing),
    system: &System,
    place: &str,
    open: &OpenOrders,
) -> Result<Quantity, StoreError> {
    let Some(item) = listing.item.filter(|_| !open.0.is_empty()) else { return Ok(Quantity::ZERO) };
    let index = view.published()?;
    let (behind, sites) = (counted_by(view, &index, listing_id, listing, system, place)?, view.sites()?);
    let takes = |at: &str| {
        let mut mapped = system.locations.iter().filter(|mapping| mapping.remote_id == at);
        mapped.any(|mapping| behind.iter().any(|location| sites.is_in(mapping.location, *location)))
    };
    let mut promised = 0_i64;
    for (_, other) in view.listings_of(item)? {
        if other.system == id {
            let here = open.of(&other.remote_id).filter(|(at, _)| at.is_none_or(takes));
            let sold: Quantity = here.map(|(_, quantity)| quantity).sum();
            promised = promised.saturating_add(sold.micros().saturating_mul(i64::from(other.multiplier)));
        }
    }
    Ok(Quantity::from_micros(promised))
}
