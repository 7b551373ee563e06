//! What is seen of a system when it is checked: gathered here, judged by [`onhand_sync::findings`].

use std::collections::{BTreeMap, BTreeSet};

use onhand_channels::{Channel, ChannelError, Errand};
use onhand_ledger::model::{GetsOrders, Listing, Stage, System};
use onhand_ledger::ownership::{Subject, speaking};
use onhand_ledger::{ItemId, ListingId, LocationId, SystemId, TenantId};
use onhand_store::StoreError;
use onhand_sync::{Checked, Finding, Some5, Stop, Webhooks};

use super::connecting::sequence;
use super::found::found_one;
use super::{
    AddError, Connector, Hooks, STATUS, ShownState, WorkerStatus, connection, read_note, remote_locations,
    shown_key, shown_space,
};
use crate::hooks::has_address;
use crate::queue::Handle;
use crate::sent::{open_documents, place_of};
use crate::view::View;

/// So many listings are looked at together.
const SLICE: usize = 500;
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
        let (steps, unspoken) = (sequence(view, id)?, unspoken(view, system)?);
        let orders = (unanswered(view, id)?, unsent(view, id, system)?);
        Ok::<_, StoreError>((connection, worker, steps, unspoken, has_address(view, id)?, orders))
    })?;
    let (connection, worker, steps, unspoken, has_address, (unanswered, unsent)) = seen;
    let mut seen = Checked {
        name: system.name.clone(),
        works: system.stage != Stage::Connecting,
        connected: connection.is_some(),
        has_location: !system.locations.is_empty(),
        heard_at: worker.orders_known_to,
        // Where it does not tell its clock its orders may: none is heard of before it happened.
        ahead_seconds: worker.clock_ahead_micros.map(|micros| micros.max(0) / 1_000_000),
        unspoken,
        unanswered,
        unsent,
        ..Checked::default()
    };
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
                ask(channel.as_ref(), &mut seen, handle).await;
                if system.gets_orders == GetsOrders::FromOnhand
                    && let Ok(takes) = channel.takes().await
                {
                    let lacks = Errand::ALL.into_iter().filter(|errand| !takes.contains(errand));
                    seen.not_taken = lacks.map(Errand::name).collect();
                }
                if channel.webhook().is_some() {
                    seen.webhooks = webhooks(has_address, &worker.hooks);
                }
            }
            Err(error) => seen.unreachable = Some(error.to_string()),
        },
    }
    look_through(handle, tenant, id, system, &mut seen)?;
    Ok(onhand_sync::findings(&seen, ledger.clock().now()))
}

/// What the system itself says.
async fn ask(channel: &dyn Channel, seen: &mut Checked, handle: &Handle) {
    match channel.test().await {
        Ok(()) => {}
        Err(ChannelError::Credentials { reason, .. }) => seen.refused = Some(reason),
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

/// Locations where it is master, and is to be sent orders, that it has no name of.
fn unsent(view: &mut View<'_>, id: SystemId, system: &System) -> Result<Some5, StoreError> {
    let mut found = Some5::default();
    if system.gets_orders != GetsOrders::FromOnhand {
        return Ok(found);
    }
    let (rules, sites) = (view.rules()?.ownership, view.sites()?);
    for location in sites.all.iter().filter(|location| sites.sells(**location)) {
        let rule = speaking(&rules, &sites, Subject::default(), Some(*location));
        if rule.is_some_and(|(_, rule)| rule.master == id) && place_of(&sites, system, *location).is_none() {
            let code = view.location(*location)?.map(|location| location.code).unwrap_or_default();
            found.add(|| code);
        }
    }
    Ok(found)
}

/// All of its listings, a slice at a time.
fn look_through(
    handle: &Handle,
    tenant: TenantId,
    id: SystemId,
    system: &System,
    seen: &mut Checked,
) -> Result<(), StoreError> {
    let remote = remote_locations(system);
    let (mut after, mut sold_by) = (ListingId(0), SoldBy::new());
    loop {
        let page = handle.ledger().read(tenant, |view| {
            let page = view.listings_in(id, after, SLICE)?;
            for (listing_id, listing) in &page {
                look_at(view, *listing_id, listing, &remote, &mut sold_by, seen)?;
            }
            Ok::<_, StoreError>(page)
        })?;
        match page.last() {
            Some((last, _)) => after = *last,
            None => return Ok(()),
        }
    }
}

/// How much of an item one of a system's listings sells; none once it was told that they differ.
type SoldBy = BTreeMap<ItemId, Option<u32>>;

fn look_at(
    view: &mut View<'_>,
    id: ListingId,
    listing: &Listing,
    remote: &[String],
    sold_by: &mut SoldBy,
    seen: &mut Checked,
) -> Result<(), StoreError> {
    let found = found_one(view, listing.system, &listing.remote_id)?;
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
    if is_gone {
        seen.gone.add(shown);
    } else if found.as_ref().is_some_and(|found| !found.tracked) || is_untracked(view, id, listing, remote)? {
        seen.untracked.add(shown);
    }
    let by = sold_by.entry(item).or_insert(Some(listing.multiplier));
    if let Some(other) = by.filter(|other| *other != listing.multiplier) {
        *by = None;
        let sku = view.item(item)?.map(|item| item.sku).unwrap_or_default();
        seen.doubly_mapped.add(|| format!("{sku} ({other} and {})", listing.multiplier));
    }
    Ok(())
}

/// Did its worker read lately that its stock is not tracked?
fn is_untracked(
    view: &mut View<'_>,
    id: ListingId,
    listing: &Listing,
    remote: &[String],
) -> Result<bool, StoreError> {
    let space = shown_space(listing.system);
    for remote_location in remote {
        let state: ShownState = read_note(view, &space, &shown_key(id, remote_location))?;
        if state.stopped.is_some_and(|stopped| stopped.why == Stop::Untracked) {
            return Ok(true);
        }
    }
    Ok(false)
}
