//! What is seen of a system when it is checked: gathered here, judged by [`onhand_sync::findings`].

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use onhand_channels::{Channel, ChannelError, Errand};
use onhand_ledger::model::{GetsOrders, Listing, LocationMapping, Stage, System};
use onhand_ledger::ownership::{Subject, speaking};
use onhand_ledger::publication::Index;
use onhand_ledger::{ItemId, ListingId, LocationId, SystemId, TenantId};
use onhand_store::StoreError;
use onhand_sync::{Checked, Finding, Some5, Step, Stop, Webhooks};

use super::connecting::sequence;
use super::found::found_one;
use super::{
    AddError, Connection, Connector, Hooks, STATUS, ShownState, WorkerStatus, connection, desired_by,
    read_note, remote_locations, shown_key, shown_space, twins,
};
use crate::hooks::has_address;
use crate::queue::Handle;
use crate::seal::{Seal, SealError};
use crate::sent::{open_documents, place_of};
use crate::snapshots;
use crate::view::View;

/// So many listings are looked at together.
const SLICE: usize = 500;
/// What a system is asked may take so long: of one that hangs that is told.
const PATIENCE: Duration = Duration::from_secs(10);
/// Whether stock is tracked is asked anew in so many calls at most.
const READ_CALLS: usize = 10;
/// An order that was sent more often than this is not answered: that takes a minute.
const OFTEN: u32 = 5;
/// Or one that was sent so long ago, in seconds.
const LATE_SECONDS: i64 = 900;

/// Checks a system: what the ledger knows of it, and what it says itself just now. Changes nothing.
pub async fn check(
    handle: &Handle,
    connector: &dyn Connector,
    tenant: TenantId,
    id: SystemId,
    system: &System,
) -> Result<Vec<Finding>, AddError> {
    let ledger = handle.ledger();
    let seen = ledger.read(tenant, |view| {
        let connection = connection(view, ledger.seal(), id)?;
        let worker: WorkerStatus = read_note(view, STATUS, &id.to_string())?;
        let (steps, unspoken) = (sequence(view, id)?, (unspoken(view, system)?, shared(view, system)?));
        let orders = (unanswered(view, id)?, mastered(view, id, system)?);
        let same_as = twins_of(view, ledger.seal(), id, connection.as_ref())?;
        let all_stopped = view.rules()?.pushing_stopped.map(|stopped| stopped.since);
        let untaken = (untaken(view, id, system)?, rejected(view, id)?);
        let known = (has_address(view, id)?, all_stopped, same_as, untaken);
        Ok::<_, StoreError>((connection, worker, steps, unspoken, orders, known))
    })?;
    let (connection, worker, steps, unspoken, (unanswered, mastered), known) = seen;
    let (has_address, all_stopped, same_as, (untaken, rejected)) = known;
    let (unspoken, shared) = unspoken;
    let sends = system.mode.direction.sends();
    let mut seen = Checked {
        name: system.name.clone(),
        works: system.stage != Stage::Connecting,
        connected: connection.is_some(),
        has_location: !system.locations.is_empty(),
        heard_at: worker.orders_known_to,
        // Where it does not tell its clock its orders may: none is heard of before it happened.
        ahead_seconds: worker.clock_ahead_micros.map(|micros| micros.max(0) / 1_000_000),
        unspoken,
        shared,
        unanswered,
        unsent: mastered.unsent,
        own_stock: mastered.own_stock,
        by_itself: mastered.by_itself,
        all_stopped: all_stopped.filter(|_| sends),
        paused: system.paused && sends,
        same_as,
        untaken,
        rejected,
        ..Checked::default()
    };
    let mut tracked = BTreeMap::new();
    for remote in &steps.locations {
        if !system.locations.iter().any(|mapping| mapping.remote_id == remote.remote_id) {
            seen.unmapped_locations.add(|| remote.name.clone());
        }
    }
    match connection {
        None => {}
        Some(Err(locked)) => seen.locked = Some(locked.to_string()),
        Some(Ok(connection)) => match connector.connect(&system.name, &connection) {
            Ok(channel) => {
                if tokio::time::timeout(PATIENCE, ask(channel.as_ref(), &mut seen, handle)).await.is_err() {
                    seen.unreachable =
                        Some(format!("{} does not answer within {} s", system.name, PATIENCE.as_secs()));
                }
                if system.gets_orders == GetsOrders::FromOnhand
                    && seen.unreachable.is_none()
                    && let Ok(Ok(takes)) = tokio::time::timeout(PATIENCE, channel.takes()).await
                {
                    let lacks = Errand::ALL.into_iter().filter(|errand| !takes.contains(errand));
                    seen.not_taken = lacks.map(Errand::name).collect();
                }
                if channel.webhook().is_some() {
                    seen.webhooks = webhooks(has_address, &worker.hooks);
                }
                // It can be asked what it shows, and not what lies there: of its stock it is to tell.
                if !sends && channel.shows_stock() {
                    seen.unheard = mastered.apart;
                } else if !sends && channel.shows_back() && !channel.tells_stock() {
                    seen.unheard = mastered.all;
                }
                let may_be_looked_at =
                    seen.unreachable.is_none() && seen.refused.is_none() && !seen.throttled;
                if may_be_looked_at && channel.shows_back() {
                    let looked = tracked_now(handle, tenant, id, channel.as_ref());
                    tracked = tokio::time::timeout(PATIENCE, looked).await.unwrap_or(Ok(BTreeMap::new()))?;
                }
            }
            Err(error) => seen.unreachable = Some(error.to_string()),
        },
    }
    look_through(handle, tenant, id, system, &tracked, &mut seen)?;
    Ok(onhand_sync::findings(&seen, ledger.clock().now()))
}

/// What the system itself says.
async fn ask(channel: &dyn Channel, seen: &mut Checked, handle: &Handle) {
    match channel.test().await {
        Ok(()) => {}
        Err(ChannelError::Credentials { reason, .. }) => seen.refused = Some(reason),
        Err(ChannelError::Throttled { .. }) => seen.throttled = true,
        Err(error) => seen.unreachable = Some(error.to_string()),
    }
    let asked_at = handle.ledger().clock().now();
    if let Ok(Some(theirs)) = channel.clock().await {
        let answered_at = handle.ledger().clock().now();
        // It was read at some time in between: only what is surely off counts.
        let ahead = (theirs.micros() - answered_at.micros()) / 1_000_000;
        let behind = (theirs.micros() - asked_at.micros()) / 1_000_000;
        seen.ahead_seconds = Some(if ahead > 0 { ahead } else { behind.min(0) });
    }
}

/// How the webhooks of a system that can send some are doing.
fn webhooks(has_address: bool, hooks: &Hooks) -> Webhooks {
    match (has_address, hooks.heard_at, hooks.told) {
        (false, ..) => Webhooks::NoAddress,
        (true, None, _) => Webhooks::Silent,
        (true, Some(_), Some(_)) => Webhooks::Missed,
        (true, Some(_), None) => Webhooks::Well,
    }
}

/// Locations of ours behind a system that no ownership rule speaks of.
fn unspoken(view: &mut View<'_>, system: &System) -> Result<Some5, StoreError> {
    let (rules, sites) = (view.rules()?.ownership, view.sites()?);
    let ours: BTreeSet<LocationId> = system.locations.iter().map(|mapping| mapping.location).collect();
    let mut unspoken = Some5::default();
    for location in ours {
        if speaking(&rules, &sites, Subject::default(), Some(location)).is_none() {
            let code = view.location(location)?.map(|location| location.code).unwrap_or_default();
            unspoken.add(|| code);
        }
    }
    Ok(unspoken)
}

/// Locations of ours that several of a system's are, where it is sent numbers.
fn shared(view: &mut View<'_>, system: &System) -> Result<Some5, StoreError> {
    let mut theirs = BTreeMap::<LocationId, BTreeSet<&str>>::new();
    for mapping in system.locations.iter().filter(|_| system.mode.direction.sends()) {
        theirs.entry(mapping.location).or_default().insert(&mapping.remote_id);
    }
    let mut shared = Some5::default();
    for (ours, _) in theirs.into_iter().filter(|(_, theirs)| theirs.len() > 1) {
        let code = view.location(ours)?.map(|location| location.code).unwrap_or_default();
        shared.add(|| code);
    }
    Ok(shared)
}

/// What it is master of and shows, and our books do not take.
fn untaken(view: &mut View<'_>, id: SystemId, system: &System) -> Result<Some5, StoreError> {
    let mut found = Some5::default();
    for (sku, _) in snapshots::untaken_of_all(view, id, system)? {
        found.add(|| sku);
    }
    Ok(found)
}

/// What somebody rejected to fall to zero over there.
fn rejected(view: &mut View<'_>, id: SystemId) -> Result<Some5, StoreError> {
    let mut found = Some5::default();
    for listing in view.counted(|counted| counted.rejected(id))? {
        let Some(known) = view.listing(listing)? else { continue };
        found.add(|| known.remote_sku.unwrap_or(known.remote_id));
    }
    Ok(found)
}

/// Orders that were sent to it often, or long ago, and that it does not answer.
fn unanswered(view: &mut View<'_>, id: SystemId) -> Result<Some5, StoreError> {
    let mut found = Some5::default();
    for sent in open_documents(view, id)? {
        let newest = sent.newest().0;
        let is_answered = sent.reply.as_ref().is_some_and(|reply| reply.version >= newest);
        let is_late = sent.tries > OFTEN || sent.sent_at.plus_seconds(LATE_SECONDS) < view.now;
        if !is_answered && is_late {
            found.add(|| sent.of.seq().to_string());
        }
    }
    Ok(found)
}

/// What is to be said of the locations where it is master.
#[derive(Default)]
struct Mastered {
    /// It is to be sent orders, and has no name of these.
    unsent: Some5,
    /// It is sent no orders of these, and some are allocated there.
    by_itself: Some5,
    /// It would be sent the numbers of these.
    own_stock: Some5,
    /// Of these no number over there speaks alone.
    apart: Some5,
    /// All of them.
    all: Some5,
}

fn twins_of(
    view: &mut View<'_>,
    seal: &Seal,
    id: SystemId,
    connection: Option<&Result<Connection, SealError>>,
) -> Result<Some5, StoreError> {
    let mut found = Some5::default();
    if let Some(Ok(ours)) = connection {
        for name in twins(view, seal, Some(id), ours)? {
            found.add(|| name);
        }
    }
    Ok(found)
}

fn mastered(view: &mut View<'_>, id: SystemId, system: &System) -> Result<Mastered, StoreError> {
    let mut found = Mastered::default();
    let (rules, sites) = (view.rules()?.ownership, view.sites()?);
    let gets = system.gets_orders == GetsOrders::FromOnhand;
    for location in sites.all.iter().copied() {
        let rule = speaking(&rules, &sites, Subject::default(), Some(location));
        if rule.is_none_or(|(_, rule)| rule.master != id) {
            continue;
        }
        let code = view.location(location)?.map(|location| location.code).unwrap_or_default();
        let is_sold = sites.sells(location);
        found.all.add(|| code.clone());
        let place = place_of(&sites, system, location);
        let shares = |place: &LocationMapping| {
            system.locations.iter().filter(|mapping| mapping.location == place.location).count() > 1
        };
        if place.is_none_or(shares) {
            found.apart.add(|| code.clone());
        }
        if gets && is_sold && place.is_none() {
            found.unsent.add(|| code.clone());
        }
        if !gets && is_sold {
            found.by_itself.add(|| code.clone());
        }
        let is_mapped = || system.locations.iter().any(|mapping| mapping.location == location);
        if system.mode.direction.sends() && is_mapped() {
            found.own_stock.add(|| code);
        }
    }
    Ok(found)
}

/// Of its first mapped listings, as many as a few calls read: does it track their stock now? What cannot be read says nothing.
async fn tracked_now(
    handle: &Handle,
    tenant: TenantId,
    id: SystemId,
    channel: &dyn Channel,
) -> Result<BTreeMap<String, bool>, StoreError> {
    let together = channel.batch_size().max(1);
    let mapped = handle.ledger().read(tenant, |view| {
        let all = view.listings_in(id, ListingId(0), READ_CALLS * together)?.into_iter();
        let mapped = all.filter(|(_, listing)| listing.item.is_some()).map(|(_, listing)| listing.remote_id);
        Ok::<Vec<String>, StoreError>(mapped.collect())
    })?;
    let mut tracked = BTreeMap::new();
    for part in mapped.chunks(together) {
        let Ok(readings) = channel.read(part).await else { break };
        for reading in readings {
            *tracked.entry(reading.listing).or_insert(true) &= reading.tracked;
        }
    }
    Ok(tracked)
}

/// What its listings are looked at with.
struct Looking<'a> {
    id: SystemId,
    system: &'a System,
    remote: Vec<String>,
    /// Those that were asked just now: is their stock tracked?
    tracked: &'a BTreeMap<String, bool>,
    /// How much of an item one of its listings sells; none once it was told that they differ.
    sold_by: BTreeMap<ItemId, Option<u32>>,
    /// The publication rules, where a formula is among them.
    formulas: Option<Index>,
}

/// All of its listings, a slice at a time.
fn look_through(
    handle: &Handle,
    tenant: TenantId,
    id: SystemId,
    system: &System,
    tracked: &BTreeMap<String, bool>,
    seen: &mut Checked,
) -> Result<(), StoreError> {
    let formulas = handle.ledger().read(tenant, |view| {
        let index = view.published()?;
        Ok::<_, StoreError>(Some(index).filter(Index::has_formulas))
    })?;
    let formulas = formulas.filter(|_| system.mode.direction.sends());
    let remote = remote_locations(system);
    let mut looking = Looking { id, system, remote, tracked, sold_by: BTreeMap::new(), formulas };
    let mut after = ListingId(0);
    loop {
        let page = handle.ledger().read(tenant, |view| {
            let page = view.listings_in(id, after, SLICE)?;
            for (listing_id, listing) in &page {
                looking.look_at(view, *listing_id, listing, seen)?;
            }
            Ok::<_, StoreError>(page)
        })?;
        match page.last() {
            Some((last, _)) => after = *last,
            None => return Ok(()),
        }
    }
}

impl Looking<'_> {
    fn look_at(
        &mut self,
        view: &mut View<'_>,
        id: ListingId,
        listing: &Listing,
        seen: &mut Checked,
    ) -> Result<(), StoreError> {
        let found = found_one(view, self.id, &listing.remote_id)?;
        let shown = || match (&found, &listing.remote_sku) {
            (Some(found), _) => found.shown(),
            (None, Some(sku)) => sku.clone(),
            (None, None) => listing.remote_id.clone(),
        };
        let is_gone = found.as_ref().is_some_and(|found| found.gone_since.is_some());
        let Some(item) = listing.item else {
            if !is_gone && !found.as_ref().is_some_and(|found| found.ignored) {
                seen.unmapped.add(shown);
            }
            return Ok(());
        };
        let stops = self.stops(view, id)?;
        let was_untracked =
            found.as_ref().is_some_and(|found| !found.tracked) || stops.contains(&Stop::Untracked);
        if is_gone {
            seen.gone.add(shown);
        } else if !self.tracked.get(&listing.remote_id).copied().unwrap_or(!was_untracked) {
            seen.untracked.add(shown);
        }
        if stops.contains(&Stop::Refused) {
            seen.push_refused.add(shown);
        }
        if stops.iter().any(|stop| stop.waits_for_person()) {
            seen.waiting.add(shown);
        }
        if self.has_no_number(view, id, listing)? {
            seen.no_number.add(shown);
        }
        let by = self.sold_by.entry(item).or_insert(Some(listing.multiplier));
        if let Some(other) = by.filter(|other| *other != listing.multiplier) {
            *by = None;
            let sku = view.item(item)?.map(|item| item.sku).unwrap_or_default();
            seen.doubly_mapped.add(|| format!("{sku} ({other} and {})", listing.multiplier));
        }
        Ok(())
    }

    /// Why its worker sends nothing for a listing, wherever that is so.
    fn stops(&self, view: &mut View<'_>, id: ListingId) -> Result<Vec<Stop>, StoreError> {
        let (space, mut stops) = (shown_space(self.id), Vec::new());
        for remote_location in &self.remote {
            let state: ShownState = read_note(view, &space, &shown_key(id, remote_location))?;
            // What was rejected waits for nobody.
            let stopped = state.stopped.filter(|stopped| stopped.why != Stop::Held || !state.zero_rejected);
            stops.extend(stopped.map(|stopped| stopped.why));
        }
        Ok(stops)
    }

    /// Does the formula of its rule give no number for its stock somewhere?
    fn has_no_number(
        &self,
        view: &mut View<'_>,
        id: ListingId,
        listing: &Listing,
    ) -> Result<bool, StoreError> {
        let Some(index) = &self.formulas else { return Ok(false) };
        for remote_location in &self.remote {
            let shown = desired_by(view, index, id, listing, self.system, remote_location)?;
            let is_none = |step: &Step| matches!(step, Step::NoNumber(_));
            if shown.is_some_and(|shown| !shown.is_skipped && shown.steps.iter().any(is_none)) {
                return Ok(true);
            }
        }
        Ok(false)
    }
}
