//! The steps of connecting a system: credentials, what it has, locations, matches, opening stock, dry run. Each may be done again.
//!
//! Where it stands is kept; which step is next follows from that and from the ledger.

use onhand_channels::RemoteLocation;
use onhand_ledger::command::{PutItem, PutListing, PutSystem};
use onhand_ledger::look::look;
use onhand_ledger::model::{Role, Stage, System};
use onhand_ledger::{Answer, Body, Instant, ItemId, Key, ListingId, Seq, SystemId, TenantId};
use onhand_store::{Note, StoreError};
use serde::{Deserialize, Serialize};

use super::found::{FoundListing, found_after, found_one, take_back};
use super::{AddError, CONNECTION, Connection, Connector, command, read_note};
use crate::commit::CommitError;
use crate::queue::{Handle, SubmitError};
use crate::view::View;

/// The notes that the steps are kept in, by system id.
pub const SEQUENCE: &str = "connecting";

/// How far a system's connecting is.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct Sequence {
    /// When its credentials were last accepted.
    pub tested_at: Option<Instant>,
    /// When it was last looked at for what it has.
    pub discovered_at: Option<Instant>,
    /// The stock locations it had then.
    pub locations: Vec<RemoteLocation>,
    /// How many listings then waited for somebody to say what they are.
    pub waiting: usize,
    /// The last dry run.
    pub rehearsed: Option<Rehearsed>,
}

/// What came of a dry run.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct Rehearsed {
    /// When it ended.
    pub at: Instant,
    /// Numbers that were compared.
    pub compared: usize,
    /// Of them would change.
    pub changes: usize,
    /// Of these would become zero.
    pub zeros: usize,
    /// Mapped listings that it has no number of.
    pub missing: usize,
    /// Listings that it does not track stock of: their numbers mean nothing over there.
    pub untracked: usize,
}

/// Where a system's connecting stands.
pub fn sequence(view: &mut View<'_>, system: SystemId) -> Result<Sequence, StoreError> {
    read_note(view, SEQUENCE, &system.to_string())
}

/// Keeps it.
pub(super) async fn keep_sequence(
    handle: &Handle,
    tenant: TenantId,
    system: SystemId,
    sequence: &Sequence,
) -> Result<(), SubmitError> {
    handle.submit_with(tenant, None, vec![sequence_note(system, sequence)]).await?;
    Ok(())
}

fn sequence_note(system: SystemId, sequence: &Sequence) -> Note {
    let body = serde_json::to_string(sequence).expect("steps can always be written");
    Note { space: SEQUENCE.to_owned(), key: system.to_string(), body: Some(body) }
}

/// A step that is still to be taken.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Step {
    /// Its credentials.
    Key,
    /// What it has.
    Found,
    /// Which of our locations its locations are.
    Locations,
    /// What its listings are.
    Matches,
    /// What would change.
    DryRun,
}

impl Step {
    /// In words: what somebody is to do.
    pub const fn sentence(self) -> &'static str {
        match self {
            Self::Key => "give its credentials",
            Self::Found => "discover what it has",
            Self::Locations => "say which of our locations its locations are",
            Self::Matches => "match its listings: link, ignore, or make items of them",
            Self::DryRun => "see what would change by a dry run",
        }
    }
}

/// The step that comes next; none once it can be watched or go live.
pub fn next(system: &System, sequence: &Sequence) -> Option<Step> {
    let is_unmapped = |remote: &RemoteLocation| {
        !system.locations.iter().any(|mapping| mapping.remote_id == remote.remote_id)
    };
    match sequence {
        Sequence { tested_at: None, .. } => Some(Step::Key),
        Sequence { discovered_at: None, .. } => Some(Step::Found),
        sequence if sequence.locations.iter().all(is_unmapped) => Some(Step::Locations),
        Sequence { waiting: 1.., .. } => Some(Step::Matches),
        Sequence { rehearsed: None, .. } => Some(Step::DryRun),
        Sequence { .. } => None,
    }
}

/// As [`next`], in words.
pub fn next_step(system: &System, sequence: &Sequence) -> Option<&'static str> {
    next(system, sequence).map(Step::sentence)
}

/// Tests credentials, and keeps them. A system that is new is then being connected; one that is known goes on as it did.
pub async fn connect(
    handle: &Handle,
    connector: &dyn Connector,
    tenant: TenantId,
    actor: &str,
    name: &str,
    connection: &Connection,
    role: Option<Role>,
) -> Result<SystemId, AddError> {
    let seal = handle.ledger().seal();
    // Before anything is changed: is there a key to keep them with?
    seal.seal(tenant, CONNECTION, "", &[])?;
    handle.ledger().read(tenant, |view| super::refuse_twin(view, seal, name, connection))??;
    connector.connect(name, connection)?.test().await?;
    let known = handle.ledger().read(tenant, |view| view.system_by_name(name))?;
    let put = PutSystem {
        name: name.to_owned(),
        kind: connection.kind.clone(),
        role,
        stage: known.is_none().then_some(Stage::Connecting),
        ..PutSystem::default()
    };
    let committed = handle.submit(tenant, command(actor, Body::PutSystem(put))).await?;
    let Answer::System(id) = committed.answer else {
        return Err(AddError::Damaged("a system was answered with something else".to_owned()));
    };
    let mut sequence = handle.ledger().read(tenant, |view| sequence(view, id))?;
    sequence.tested_at = Some(handle.ledger().clock().now());
    let notes = vec![connection.sealed(seal, tenant, id)?, sequence_note(id, &sequence)];
    handle.submit_with(tenant, None, notes).await?;
    Ok(id)
}

/// By what a listing is taken to be an item.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum By {
    /// It has the item's SKU, or one of its other names.
    Sku,
    /// It has one of the item's barcodes.
    Barcode,
    /// Its SKU looks like the item's, and like no other's.
    NearTwin,
}

/// What a listing that nobody has said anything of may be.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Proposal {
    /// Its id over there.
    pub remote_id: String,
    /// What was found of it.
    pub found: FoundListing,
    /// The item that it most likely is: its SKU, and by what.
    pub item: Option<(String, By)>,
    /// Units of the item in one of it: more than 1 where the barcode is a pack's.
    pub multiplier: u32,
}

/// Listings that wait for somebody, after one, in the order of their ids; and where to go on from.
pub fn proposals(
    view: &mut View<'_>,
    system: SystemId,
    after: Option<&str>,
    limit: usize,
) -> Result<(Vec<Proposal>, Option<String>), StoreError> {
    unlinked_after(view, system, after, limit, false)
}

/// As [`proposals`], of those that somebody chose to be none of ours.
pub fn ignored(
    view: &mut View<'_>,
    system: SystemId,
    after: Option<&str>,
    limit: usize,
) -> Result<(Vec<Proposal>, Option<String>), StoreError> {
    unlinked_after(view, system, after, limit, true)
}

fn unlinked_after(
    view: &mut View<'_>,
    system: SystemId,
    after: Option<&str>,
    limit: usize,
    ignored: bool,
) -> Result<(Vec<Proposal>, Option<String>), StoreError> {
    let mut proposals = Vec::new();
    let mut after = after.map(str::to_owned);
    loop {
        let page = found_after(view, system, after.as_deref(), 200)?;
        if page.is_empty() {
            return Ok((proposals, None));
        }
        for (remote_id, found) in page {
            if proposals.len() == limit {
                return Ok((proposals, after));
            }
            after = Some(remote_id.clone());
            if found.ignored != ignored || found.gone_since.is_some() {
                continue;
            }
            if !view.is_mapped(system, &remote_id)? {
                proposals.push(propose(view, remote_id, found)?);
            }
        }
    }
}

/// What one listing may be.
pub fn propose(view: &mut View<'_>, remote_id: String, found: FoundListing) -> Result<Proposal, StoreError> {
    let mut proposal = Proposal { remote_id, found, item: None, multiplier: 1 };
    if let Some(sku) = &proposal.found.sku
        && let Some((_, item)) = view.item_by_sku(sku)?
    {
        proposal.item = Some((item.sku, By::Sku));
    } else if let Some(barcode) = &proposal.found.barcode
        && let Some((_, item, pack)) = view.item_by_barcode(barcode)?
    {
        let units = pack.map_or(1, |pack| pack.quantity.whole_units());
        proposal.multiplier = u32::try_from(units).unwrap_or(1).max(1);
        proposal.item = Some((item.sku, By::Barcode));
    } else if let Some(sku) = &proposal.found.sku {
        let looks = look(sku);
        let (from, to) = (Key::Look(looks.clone(), ItemId(0)), Key::Look(looks, ItemId(Seq::MAX >> 1)));
        let mut twins = Vec::new();
        for (key, _) in view.range(&from, &to, false, 10)? {
            let Key::Look(_, id) = key else { continue };
            twins.extend(view.item(id)?.filter(|item| item.merged_into.is_none()));
        }
        if let [only] = twins.as_slice() {
            proposal.item = Some((only.sku.clone(), By::NearTwin));
        }
    }
    Ok(proposal)
}

/// Mapped listings of a system, a slice at a time: after one.
pub(super) fn mapped_after(
    view: &mut View<'_>,
    system: SystemId,
    after: ListingId,
    limit: usize,
) -> Result<Vec<(ListingId, onhand_ledger::model::Listing)>, StoreError> {
    view.listings_in(system, after, limit)
}

/// What becomes of a listing that waits.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Act {
    /// It is this item, so many units of it.
    Link {
        /// Our SKU.
        sku: String,
        /// Units of the item in one of the listing.
        multiplier: u32,
    },
    /// It is none of ours, and stays so.
    Ignore,
    /// It becomes an item of its own, by its SKU over there.
    Make,
}

/// Does what somebody chose for a listing. What cannot be done is said in words, and nothing is changed then.
pub async fn settle(
    handle: &Handle,
    tenant: TenantId,
    actor: &str,
    id: SystemId,
    system: &System,
    remote_id: &str,
    act: Act,
) -> Result<Result<(), String>, AddError> {
    let _alone = handle.ledger().found.lock().await;
    let found = handle.ledger().read(tenant, |view| found_one(view, id, remote_id))?;
    let Some(mut found) = found else {
        return Ok(Err(format!(
            "{} has no listing `{remote_id}` that we know; discover it first",
            system.name
        )));
    };
    let put = |sku: Option<String>, multiplier: u32| {
        Body::PutListing(PutListing {
            system: system.name.clone(),
            remote_id: remote_id.to_owned(),
            remote_sku: found.sku.clone(),
            sku,
            multiplier,
            found: false,
        })
    };
    let ignore = act == Act::Ignore;
    let bodies = match act {
        // What is none of ours is sent nothing.
        Act::Ignore => {
            let is_mapped = handle.ledger().read(tenant, |view| view.is_mapped(id, remote_id))?;
            is_mapped.then(|| put(None, 1)).into_iter().collect()
        }
        Act::Link { sku, multiplier } => vec![put(Some(sku), multiplier)],
        Act::Make => {
            let Some(sku) = found.sku.clone() else {
                return Ok(Err(format!("{} has no SKU: give it one over there, or link it", found.shown())));
            };
            let known = handle.ledger().read(tenant, |view| view.item_by_sku(&sku))?;
            let item = PutItem { sku: sku.clone(), name: Some(found.name.clone()), ..PutItem::default() };
            let make = known.is_none().then_some(Body::PutItem(item));
            make.into_iter().chain([put(Some(sku), 1)]).collect()
        }
    };
    for body in bodies {
        match handle.submit(tenant, command(actor, body)).await {
            Ok(committed) => {
                if let Answer::Refused(refusal) = committed.answer {
                    return Ok(Err(format!("{}: {refusal}", found.shown())));
                }
            }
            Err(SubmitError::Commit(CommitError::Invalid(invalid))) => {
                return Ok(Err(format!("{}: {invalid}", found.shown())));
            }
            Err(error) => return Err(error.into()),
        }
    }
    found.ignored = ignore;
    keep_chosen(handle, tenant, actor, id, remote_id, found).await?;
    Ok(Ok(()))
}

/// Somebody linked a listing by its id alone: it waits for nobody any longer.
pub async fn linked(
    handle: &Handle,
    tenant: TenantId,
    actor: &str,
    id: SystemId,
    remote_id: &str,
) -> Result<(), AddError> {
    let alone = handle.ledger().found.lock().await;
    let (found, is_connecting) = handle.ledger().read(tenant, |view| {
        let is_linked = view.is_mapped(id, remote_id)?;
        let is_connecting = view.system(id)?.is_some_and(|system| system.stage == Stage::Connecting);
        Ok::<_, StoreError>((found_one(view, id, remote_id)?.filter(|_| is_linked), is_connecting))
    })?;
    let waits =
        |found: &FoundListing| found.gone_since.is_none() && (found.ignored || found.discrepancy.is_some());
    if let Some(found) = found.filter(waits) {
        let found = FoundListing { ignored: false, ..found };
        keep_chosen(handle, tenant, actor, id, remote_id, found).await?;
    }
    drop(alone);
    if is_connecting {
        // Later its worker does.
        recount(handle, tenant, id).await?;
    }
    Ok(())
}

/// Keeps what somebody chose for a listing, and ends what they were told of it.
async fn keep_chosen(
    handle: &Handle,
    tenant: TenantId,
    actor: &str,
    id: SystemId,
    remote_id: &str,
    mut found: FoundListing,
) -> Result<(), AddError> {
    let (end, mut notes) = handle.ledger().read(tenant, |view| take_back(view, remote_id, &mut found))?;
    notes.push(found.note(id, remote_id));
    handle.submit_with(tenant, end.map(|body| command(actor, body)), notes).await?;
    Ok(())
}

/// So many listings wait by now; kept with the steps.
pub async fn recount(handle: &Handle, tenant: TenantId, id: SystemId) -> Result<usize, AddError> {
    let mut steps = handle.ledger().read(tenant, |view| sequence(view, id))?;
    let (mut waiting, mut after) = (0, None::<String>);
    loop {
        let (page, next) = handle.ledger().read(tenant, |view| proposals(view, id, after.as_deref(), 500))?;
        waiting += page.len();
        let Some(next) = next else { break };
        after = Some(next);
    }
    steps.waiting = waiting;
    keep_sequence(handle, tenant, id, &steps).await?;
    Ok(waiting)
}

/// What became of the listings that were found.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Tally {
    /// They are items of ours.
    pub linked: usize,
    /// Nobody has said yet what they are.
    pub waiting: usize,
    /// Somebody chose that they are none of ours.
    pub ignored: usize,
    /// They are no longer there.
    pub gone: usize,
}

/// Counts a slice of them, after one; and where to go on from.
pub fn count_after(
    view: &mut View<'_>,
    system: SystemId,
    after: Option<&str>,
    limit: usize,
    told: &mut Tally,
) -> Result<Option<String>, StoreError> {
    let page = found_after(view, system, after, limit)?;
    let last = page.last().map(|(remote_id, _)| remote_id.clone());
    for (remote_id, found) in page {
        let counter = match view.is_mapped(system, &remote_id)? {
            _ if found.gone_since.is_some() => &mut told.gone,
            true => &mut told.linked,
            false if found.ignored => &mut told.ignored,
            false => &mut told.waiting,
        };
        *counter += 1;
    }
    Ok(last)
}
