//! What a system has for sale, found and found again: new listings, renamed ones, ones that are gone.
//!
//! What was found of a listing is kept beside it ([`FoundListing`]); what it is mapped to is the ledger's. Each pass looks at
//! all of it, tells what differs from the last, and changes nothing that a person chose. A system that suddenly has nothing
//! at all is not believed.

use std::collections::{BTreeMap, BTreeSet};

use onhand_channels::{Channel, RemoteListing, RemoteLocation};
use onhand_ledger::command::{Note as NoteCommand, PutListing, Resolve};
use onhand_ledger::model::{Cause, Listing, Stage, System};
use onhand_ledger::{
    Answer, Body, Command, DiscrepancyId, Instant, ItemId, Key, Quantity, SystemId, TenantId, Value,
};
use onhand_store::{Note, StoreError};
use serde::{Deserialize, Serialize};

use super::connecting::{Sequence, keep_sequence, sequence};
use super::{AddError, command};
use crate::inbox::UnlinkedListing;
use crate::queue::{Handle, Reply};
use crate::view::View;

/// So many listings are looked at together.
const SLICE: usize = 500;
/// More that changed in one pass are told of together.
const TOLD_EACH: usize = 20;

/// The notes that found listings are kept in, by their id over there.
pub fn found_space(system: SystemId) -> String {
    format!("found:{system}")
}

/// The notes of the listings that a person was told of by a discrepancy and that are still so, by their id over there.
fn told_space(discrepancy: DiscrepancyId) -> String {
    format!("told:{discrepancy}")
}

/// The listings that a person was told of by a discrepancy and that are still so.
pub fn told_by(view: &mut View<'_>, discrepancy: DiscrepancyId) -> Result<Vec<String>, StoreError> {
    let told = view.notes(&told_space(discrepancy), None, usize::MAX >> 1)?;
    Ok(told.into_iter().map(|(remote_id, _)| remote_id).collect())
}

/// What was told of a listing is over: what ends its discrepancy, where it was the last of those told of by it, and what keeps that.
pub(super) fn take_back(
    view: &mut View<'_>,
    remote_id: &str,
    found: &mut FoundListing,
) -> Result<(Option<Body>, Vec<Note>), StoreError> {
    let Some(discrepancy) = found.discrepancy.take() else { return Ok((None, Vec::new())) };
    let space = told_space(discrepancy);
    let is_last = view.notes(&space, None, 2)?.iter().all(|(other, _)| other == remote_id);
    let is_open = view.discrepancy(discrepancy)?.is_some_and(|known| known.resolved_at.is_none());
    let end = (is_last && is_open).then_some(Body::Resolve(Resolve { discrepancy, choice: None }));
    Ok((end, vec![Note { space, key: remote_id.to_owned(), body: None }]))
}

/// What was found of a listing.
#[expect(clippy::struct_excessive_bools, reason = "facts that are independent of each other")]
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct FoundListing {
    /// What it is called over there.
    pub name: String,
    /// Its SKU over there.
    pub sku: Option<String>,
    /// Its barcode.
    pub barcode: Option<String>,
    /// Does that system track stock of it?
    pub tracked: bool,
    /// Somebody chose that it is none of ours.
    pub ignored: bool,
    /// Since when it is no longer found.
    pub gone_since: Option<Instant>,
    /// It is gone, and nobody was told yet, as far as is known.
    #[serde(default)]
    pub untold: bool,
    /// Where a person reads that it waits for them.
    pub discrepancy: Option<DiscrepancyId>,
    /// It was an item of ours when it was last looked at.
    #[serde(default)]
    pub linked: bool,
    /// Somebody unlinked it: what its SKU is links it to nothing.
    #[serde(default)]
    pub let_go: bool,
}

impl FoundListing {
    fn of(remote: &RemoteListing, before: Option<&Self>) -> Self {
        Self {
            name: remote.name.clone(),
            sku: remote.sku.clone(),
            barcode: remote.barcode.clone(),
            tracked: remote.tracked,
            ignored: before.is_some_and(|before| before.ignored),
            gone_since: None,
            untold: false,
            discrepancy: before.and_then(|before| before.discrepancy),
            linked: before.is_some_and(|before| before.linked),
            let_go: before.is_some_and(|before| before.let_go),
        }
    }

    /// It is linked now, or is not. Was that news?
    const fn see(&mut self, is_linked: bool) -> bool {
        let (was_linked, was_let_go) = (self.linked, self.let_go);
        self.let_go = !is_linked && (was_let_go || was_linked);
        self.linked = is_linked;
        self.linked != was_linked || self.let_go != was_let_go
    }

    /// What a person knows it by.
    pub fn shown(&self) -> String {
        format!("{} ({})", self.name, self.sku.as_deref().unwrap_or("no SKU"))
    }

    /// As it is kept.
    pub fn note(&self, system: SystemId, remote_id: &str) -> Note {
        let body = serde_json::to_string(self).expect("a listing can always be written");
        Note { space: found_space(system), key: remote_id.to_owned(), body: Some(body) }
    }
}

/// Found listings after an id, in the order of ids.
pub fn found_after(
    view: &mut View<'_>,
    system: SystemId,
    after: Option<&str>,
    limit: usize,
) -> Result<Vec<(String, FoundListing)>, StoreError> {
    let space = found_space(system);
    let page = view.notes(&space, after, limit)?;
    let read = page.into_iter().map(|(key, body)| {
        let found = serde_json::from_str(&body)
            .map_err(|error| StoreError::Damaged(format!("note {space}/{key}: {error}")))?;
        Ok((key, found))
    });
    read.collect()
}

/// One found listing.
pub fn found_one(
    view: &mut View<'_>,
    system: SystemId,
    remote_id: &str,
) -> Result<Option<FoundListing>, StoreError> {
    let space = found_space(system);
    let body = view.note(&space, remote_id)?;
    body.map(|body| {
        serde_json::from_str(&body)
            .map_err(|error| StoreError::Damaged(format!("note {space}/{remote_id}: {error}")))
    })
    .transpose()
}

/// What a pass found.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Discovered {
    /// Listings there are.
    pub listings: usize,
    /// Of them mapped to an item by now.
    pub mapped: usize,
    /// Those that nobody has said anything of yet, by name and SKU; up to 100.
    pub unmatched: Vec<String>,
    /// How many these are.
    pub waiting: usize,
    /// Never seen before.
    pub new: usize,
    /// That have another SKU now: from, to; up to 100.
    pub renamed: Vec<(String, String)>,
    /// That were there and are no longer, by name and SKU; up to 100.
    pub gone: Vec<String>,
    /// That are there again.
    pub back: usize,
    /// Stock locations there are.
    pub locations: Vec<RemoteLocation>,
}

/// A change that a person hears of.
struct Change {
    cause: Cause,
    sku: Option<String>,
    remote_id: String,
    found: FoundListing,
    sentence: String,
}

impl Change {
    fn unmapped(system: &str, remote_id: String, found: FoundListing) -> Self {
        let sentence = format!(
            "{system} sells {}, which is none of our items: link it, make an item of it, or ignore it.",
            found.shown()
        );
        Self { cause: Cause::UnmappedListing, sku: None, remote_id, found, sentence }
    }
}

/// That somebody is looking for what a system has; until dropped.
struct Discovering<'a> {
    handle: &'a Handle,
    of: (TenantId, SystemId),
}

impl<'a> Discovering<'a> {
    fn begin(handle: &'a Handle, tenant: TenantId, id: SystemId) -> Self {
        handle.ledger().discovering.lock().push((tenant, id));
        Self { handle, of: (tenant, id) }
    }
}

impl Drop for Discovering<'_> {
    fn drop(&mut self) {
        let mut discovering = self.handle.ledger().discovering.lock();
        if let Some(at) = discovering.iter().position(|of| *of == self.of) {
            discovering.swap_remove(at);
        }
    }
}

const SHOWN: usize = 100;

/// Finds all that a system has for sale, and its stock locations. `by_sku`: what is new is mapped to the item of its SKU at once.
/// What differs from the last pass is told once the system is no longer being connected.
pub async fn discover(
    handle: &Handle,
    channel: &dyn Channel,
    tenant: TenantId,
    actor: &str,
    id: SystemId,
    by_sku: bool,
) -> Result<Discovered, AddError> {
    let _discovering = Discovering::begin(handle, tenant, id);
    let mut remote = channel.discover().await?;
    if channel.lists_ours() {
        remote.listings.extend(handle.ledger().read(tenant, ours)?);
    }
    let now = handle.ledger().clock().now();
    let (system, mut missing) = handle.ledger().read(tenant, |view| {
        let mut known = BTreeSet::new();
        let mut after: Option<String> = None;
        loop {
            let page = found_after(view, id, after.as_deref(), SLICE)?;
            let Some((last, _)) = page.last() else { break };
            after = Some(last.clone());
            known.extend(page.into_iter().map(|(key, _)| key));
        }
        Ok::<_, StoreError>((view.system(id)?, known))
    })?;
    let system = system.ok_or_else(|| AddError::Damaged(format!("system {id} is not there")))?;
    // Whoever is connecting it, step by step, is answered all of it.
    let tells = system.stage != Stage::Connecting;
    if remote.listings.is_empty() && !missing.is_empty() {
        return Err(AddError::Nothing { system: system.name, known: missing.len() });
    }
    let mut done = Discovered {
        listings: remote.listings.len(),
        locations: remote.locations.clone(),
        ..Discovered::default()
    };
    let mut changes = Vec::new();
    for slice in remote.listings.chunks(SLICE) {
        // What a person chooses for one of them meanwhile is not written over.
        let _alone = handle.ledger().found.lock().await;
        let looked = handle.ledger().read(tenant, |view| {
            slice.iter().map(|remote| look(view, id, remote, by_sku)).collect::<Result<Vec<_>, _>>()
        })?;
        let mut replies = Vec::new();
        for (remote, looked) in slice.iter().zip(looked) {
            missing.remove(&remote.remote_id);
            settle(&mut done, &mut changes, &system, remote, &looked);
            replies.extend(commit(handle, tenant, actor, &system, id, remote, looked).await?);
        }
        for reply in replies {
            reply.wait().await?;
        }
    }
    for remote_id in missing {
        let _alone = handle.ledger().found.lock().await;
        let found = handle.ledger().read(tenant, |view| found_one(view, id, &remote_id))?;
        let Some(mut found) = found.filter(|found| found.gone_since.is_none() || found.untold) else {
            continue;
        };
        if found.gone_since.is_none() {
            (found.gone_since, found.untold) = (Some(now), tells && !found.ignored);
            if done.gone.len() < SHOWN {
                done.gone.push(found.shown());
            }
            // What is gone waits for nobody.
            let (end, mut notes) =
                handle.ledger().read(tenant, |view| take_back(view, &remote_id, &mut found))?;
            notes.push(found.note(id, &remote_id));
            // It is kept before it is told: what was told and is not known of would stay in the inbox for ever.
            handle.submit_with(tenant, end.map(|body| command(&system.name, body)), notes).await?;
        }
        if found.untold {
            let (cause, sentence) = (Cause::ListingGone, gone_sentence(&system, &found));
            changes.push(Change { cause, sku: None, remote_id, found, sentence });
        }
    }
    if tells {
        tell(handle, tenant, id, &system, changes).await?;
    }
    let mut sequence: Sequence = handle.ledger().read(tenant, |view| sequence(view, id))?;
    sequence.discovered_at = Some(now);
    sequence.locations = remote.locations;
    sequence.waiting = done.waiting;
    keep_sequence(handle, tenant, id, &sequence).await?;
    Ok(done)
}

/// Looks again at what is known of a system's listings, without asking it: of what somebody linked, by whichever way, nobody is to say
/// any more what it is; of what is linked no longer a person is told. Not while somebody is discovering it: whoever does sees to that, and
/// it is to be asked for again.
pub async fn review(handle: &Handle, tenant: TenantId, id: SystemId) -> Result<bool, AddError> {
    let is_discovering = || handle.ledger().discovering.lock().contains(&(tenant, id));
    let Some(system) = handle.ledger().read(tenant, |view| view.system(id))? else { return Ok(true) };
    let (mut waiting, mut changes, mut after) = (0, Vec::new(), None::<String>);
    loop {
        if is_discovering() {
            return Ok(false);
        }
        let _alone = handle.ledger().found.lock().await;
        let page = handle.ledger().read(tenant, |view| {
            let page = found_after(view, id, after.as_deref(), SLICE)?;
            let linked = page.into_iter().map(|(remote_id, found)| {
                let is_linked = view.is_mapped(id, &remote_id)?;
                Ok::<_, StoreError>((remote_id, found, is_linked))
            });
            linked.collect::<Result<Vec<_>, _>>()
        })?;
        let Some((last, ..)) = page.last() else { break };
        after = Some(last.clone());
        let mut seen = Vec::new();
        for (remote_id, mut found, is_linked) in page {
            if found.gone_since.is_some() {
                continue;
            }
            let is_news = found.see(is_linked);
            if is_linked && (found.ignored || found.discrepancy.is_some()) {
                found.ignored = false;
                let (end, mut notes) =
                    handle.ledger().read(tenant, |view| take_back(view, &remote_id, &mut found))?;
                notes.push(found.note(id, &remote_id));
                handle.submit_with(tenant, end.map(|body| command(&system.name, body)), notes).await?;
            } else if is_news {
                seen.push(found.note(id, &remote_id));
            }
            if !is_linked && !found.ignored {
                waiting += 1;
                if found.discrepancy.is_none() {
                    changes.push(Change::unmapped(&system.name, remote_id, found));
                }
            }
        }
        if !seen.is_empty() {
            handle.submit_with(tenant, None, seen).await?;
        }
    }
    if is_discovering() {
        return Ok(false);
    }
    // Whoever is connecting it is answered all of it.
    if system.stage != Stage::Connecting {
        tell(handle, tenant, id, &system, changes).await?;
    }
    let mut sequence = handle.ledger().read(tenant, |view| sequence(view, id))?;
    if sequence.waiting != waiting {
        sequence.waiting = waiting;
        keep_sequence(handle, tenant, id, &sequence).await?;
    }
    Ok(true)
}

/// What we have, as listings under our SKUs.
fn ours(view: &mut View<'_>) -> Result<Vec<RemoteListing>, StoreError> {
    let mut listings = Vec::new();
    let mut from = ItemId(0);
    loop {
        let page = view.range(&Key::Item(from), &Key::Item(ItemId(u64::MAX)), false, SLICE)?;
        let Some((Key::Item(last), _)) = page.last() else { return Ok(listings) };
        from = ItemId(last.0 + 1);
        for (_, value) in page {
            let Value::Item(item) = value else { continue };
            if !item.archived && item.merged_into.is_none() {
                let (remote_id, sku) = (item.sku.clone(), Some(item.sku.clone()));
                listings.push(RemoteListing {
                    remote_id,
                    sku,
                    name: item.name,
                    barcode: None,
                    tracked: true,
                });
            }
        }
    }
}

/// What is known of a listing, and what it should be mapped to.
struct Looked {
    before: Option<FoundListing>,
    listing: Option<Listing>,
    /// The SKU of the item it is mapped to, or shall be.
    sku: Option<String>,
}

fn look(
    view: &mut View<'_>,
    id: SystemId,
    remote: &RemoteListing,
    by_sku: bool,
) -> Result<Looked, StoreError> {
    let before = found_one(view, id, &remote.remote_id)?;
    let listing = view.listing_by_remote(id, &remote.remote_id)?.map(|(_, listing)| listing);
    let mapped = match listing.as_ref().and_then(|listing| listing.item) {
        Some(item) => view.item(item)?.map(|item| item.sku),
        None => None,
    };
    // What somebody unlinked stays so.
    let is_chosen = |before: &FoundListing| before.ignored || before.let_go || before.linked;
    let may_map = by_sku && !before.as_ref().is_some_and(is_chosen);
    let sku = match (mapped, &remote.sku) {
        (Some(sku), _) => Some(sku),
        (None, Some(sku)) if may_map => view.item_by_sku(sku)?.map(|(_, item)| item.sku),
        _ => None,
    };
    Ok(Looked { before, listing, sku })
}

/// Counts what was found, and notices what changed.
fn settle(
    done: &mut Discovered,
    changes: &mut Vec<Change>,
    system: &System,
    remote: &RemoteListing,
    looked: &Looked,
) {
    let Looked { before, sku, .. } = looked;
    let found = FoundListing::of(remote, before.as_ref());
    let name = &system.name;
    done.new += usize::from(before.is_none());
    done.back += usize::from(before.as_ref().is_some_and(|before| before.gone_since.is_some()));
    if sku.is_some() {
        done.mapped += 1;
    } else if !found.ignored {
        done.waiting += 1;
        if done.unmatched.len() < SHOWN {
            done.unmatched.push(found.shown());
        }
        if found.discrepancy.is_none() {
            changes.push(Change::unmapped(name, remote.remote_id.clone(), found.clone()));
        }
    }
    if let Some(before) = before
        && before.sku != remote.sku
    {
        let text = |sku: &Option<String>| sku.clone().unwrap_or_else(|| "no SKU".to_owned());
        let (from, to) = (text(&before.sku), text(&remote.sku));
        if let Some(ours) = sku {
            let sentence = format!(
                "{name} calls {} {to} now, not {from}. It goes on selling {ours}; if it sells something else, map it again.",
                found.name
            );
            let (cause, remote_id) = (Cause::ListingRenamed, remote.remote_id.clone());
            changes.push(Change { cause, sku: Some(ours.clone()), remote_id, found, sentence });
        }
        if done.renamed.len() < SHOWN {
            done.renamed.push((from, to));
        }
    }
}

/// Keeps what was found, where it is news. What a person was told and is over ends.
async fn commit(
    handle: &Handle,
    tenant: TenantId,
    actor: &str,
    system: &System,
    id: SystemId,
    remote: &RemoteListing,
    looked: Looked,
) -> Result<Vec<Reply>, AddError> {
    let Looked { before, listing, sku } = looked;
    let mut found = FoundListing::of(remote, before.as_ref());
    found.see(sku.is_some());
    let is_back = before.as_ref().is_some_and(|before| before.gone_since.is_some());
    let mut replies = Vec::new();
    if let Some(gone) = before.as_ref().filter(|before| before.untold) {
        let (key, sentence) = (gone_key(id, &remote.remote_id, gone), gone_sentence(system, gone));
        let about = About { cause: Cause::ListingGone, key, sku: None, listing: None };
        found.discrepancy = note(handle, tenant, system, about, sentence).await?;
    }
    if (sku.is_some() || is_back) && found.discrepancy.is_some() {
        let (end, notes) =
            handle.ledger().read(tenant, |view| take_back(view, &remote.remote_id, &mut found))?;
        let end = end.map(|body| command(&system.name, body));
        // Waited for: the next one has to see whether it is the last.
        handle.begin(tenant, end, notes).await?.wait().await?;
    }
    let is_known = listing.as_ref().is_some_and(|listing| {
        listing.item.is_some() == sku.is_some() && (remote.sku.is_none() || listing.remote_sku == remote.sku)
    });
    let put = PutListing {
        system: system.name.clone(),
        remote_id: remote.remote_id.clone(),
        remote_sku: remote.sku.clone(),
        sku,
        multiplier: listing.map_or(1, |listing| listing.multiplier),
        found: true,
    };
    let put = (!is_known).then(|| command(actor, Body::PutListing(put)));
    let is_news = before.as_ref() != Some(&found);
    let notes: Vec<Note> = is_news.then(|| found.note(id, &remote.remote_id)).into_iter().collect();
    if put.is_some() || is_news {
        replies.push(handle.begin(tenant, put, notes).await?);
    }
    Ok(replies)
}

/// Tells of each change; of many of a kind together.
async fn tell(
    handle: &Handle,
    tenant: TenantId,
    id: SystemId,
    system: &System,
    changes: Vec<Change>,
) -> Result<(), AddError> {
    let mut kinds = BTreeMap::<&str, Vec<Change>>::new();
    for change in changes {
        let kind = match change.cause {
            Cause::ListingGone => "are gone",
            Cause::ListingRenamed => "have another SKU",
            _ => "are none of our items",
        };
        kinds.entry(kind).or_default().push(change);
    }
    for (kind, changes) in kinds {
        if changes.len() > TOLD_EACH {
            let shown: Vec<String> = changes.iter().take(5).map(|change| change.found.shown()).collect();
            let cause = changes.first().map_or(Cause::UnmappedListing, |change| change.cause);
            let advice = match cause {
                Cause::UnmappedListing => {
                    "Link each, make an item of it, or ignore it, where its matches are; or do so with all of them here"
                }
                _ => "See its listings",
            };
            let sentence = format!(
                "{} listings of {} {kind}: {} and others. {advice}.",
                changes.len(),
                system.name,
                shown.join(", ")
            );
            let key = changes.first().and_then(|change| gone_key(id, "", &change.found));
            let about = About { cause, key, sku: None, listing: None };
            let told = note(handle, tenant, system, about, sentence).await?;
            if cause != Cause::ListingRenamed {
                let remote_ids: Vec<String> = changes.into_iter().map(|change| change.remote_id).collect();
                keep_told(handle, tenant, id, &remote_ids, told).await?;
            }
            continue;
        }
        for Change { cause, sku, remote_id, found, sentence } in changes {
            let key = gone_key(id, &remote_id, &found);
            let listing = (cause == Cause::UnmappedListing).then(|| remote_id.clone());
            let told = note(handle, tenant, system, About { cause, key, sku, listing }, sentence).await?;
            if cause != Cause::ListingRenamed {
                keep_told(handle, tenant, id, &[remote_id], told).await?;
            }
        }
    }
    Ok(())
}

/// Keeps that a person was told of listings together, whatever was chosen for them meanwhile: of one that is ignored by now there is nothing
/// to wait for.
async fn keep_told(
    handle: &Handle,
    tenant: TenantId,
    id: SystemId,
    remote_ids: &[String],
    told: Option<DiscrepancyId>,
) -> Result<(), AddError> {
    let _alone = handle.ledger().found.lock().await;
    let notes = handle.ledger().read(tenant, |view| {
        let mut notes = Vec::new();
        for remote_id in remote_ids {
            let Some(mut found) = found_one(view, id, remote_id)? else { continue };
            (found.discrepancy, found.untold) = (told.filter(|_| !found.ignored), false);
            notes.push(found.note(id, remote_id));
            notes.extend(found.discrepancy.map(|told| Note {
                space: told_space(told),
                key: remote_id.clone(),
                body: Some("true".to_owned()),
            }));
        }
        Ok::<_, StoreError>(notes)
    })?;
    handle.submit_with(tenant, None, notes).await?;
    Ok(())
}

/// Told again under its key, after a crash, it is the same discrepancy. None for what is not gone.
fn gone_key(system: SystemId, remote_id: &str, found: &FoundListing) -> Option<String> {
    found.gone_since.map(|since| format!("gone/{system}/{remote_id}/{}", since.micros()))
}

/// What a person is told of: a listing alone that is none of our items can be chosen for where it is told.
struct About {
    cause: Cause,
    key: Option<String>,
    sku: Option<String>,
    listing: Option<String>,
}

fn gone_sentence(system: &System, found: &FoundListing) -> String {
    format!("{} no longer has {}. Nothing is sent for it.", system.name, found.shown())
}

async fn note(
    handle: &Handle,
    tenant: TenantId,
    system: &System,
    About { cause, key, sku, listing }: About,
    sentence: String,
) -> Result<Option<DiscrepancyId>, AddError> {
    let name = system.name.clone();
    let evidence = listing.and_then(|listing| serde_json::to_string(&UnlinkedListing { listing }).ok());
    let note = NoteCommand {
        system: name,
        sku,
        cause,
        quantity: Quantity::ZERO,
        sentence,
        evidence,
        choices: Vec::new(),
    };
    let command = Command { key, ..command(&system.name, Body::Note(note)) };
    let committed = handle.submit(tenant, command).await?;
    Ok(match committed.answer {
        Answer::Discrepancy(discrepancy) => Some(discrepancy),
        _ => None,
    })
}
