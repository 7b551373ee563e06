//! Connected systems: adding one, what each of its listings should show and shows, and why.

use std::collections::BTreeMap;
use std::sync::Arc;

use onhand_channels::{Channel, ChannelError};
use onhand_ledger::command::{Document, PutListing, PutSystem};
use onhand_ledger::model::{Cause, Listing, System, Timing};
use onhand_ledger::publication::Index;
use onhand_ledger::{
    Answer, Body, Command, DiscrepancyId, Instant, Key, ListingId, Quantity, Seq, SystemId, TenantId, Value,
};
use onhand_store::{Note, StoreError};
use onhand_sync::missed::Unannounced;
use onhand_sync::{Known, Lag, OwnChange, Shown, Status, Stop, next_batch};
use serde::{Deserialize, Serialize};

use crate::commit::Committed;
pub use crate::published::{desired_at, desired_by};
use crate::queue::{Handle, SubmitError};
use crate::seal::{self, ResealError, Seal, SealError, Secret};
use crate::view::View;

/// The notes that connections are kept in, by system id: sealed.
pub const CONNECTION: &str = "connection";
/// The notes that a system's own state is kept in, by system id.
pub const STATUS: &str = "system_status";

/// Where a system is and who we are there.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Connection {
    /// Which channel speaks with it.
    pub kind: String,
    /// Where its API is.
    pub url: String,
    /// Who we are there.
    pub username: String,
    /// The password or token.
    pub secret: Secret,
}

impl Connection {
    /// As it is kept: sealed, with whatever tells who we are.
    fn sealed(&self, seal: &Seal, tenant: TenantId, system: SystemId) -> Result<Note, SealError> {
        let plain = serde_json::to_vec(self).expect("a connection can always be written");
        let key = system.to_string();
        let body = seal.seal(tenant, CONNECTION, &key, &plain)?;
        Ok(Note { space: CONNECTION.to_owned(), key, body: Some(body) })
    }

    /// What a note says; in clear as it was kept before there was a seal.
    fn opened(seal: &Seal, tenant: TenantId, system: SystemId, body: &str) -> Result<Self, SealError> {
        let plain = if seal::is_sealed(body) {
            seal.open(tenant, CONNECTION, &system.to_string(), body)?
        } else {
            body.as_bytes().to_vec()
        };
        serde_json::from_slice(&plain).map_err(|_| SealError::Malformed)
    }
}

/// Makes channels of connections.
pub trait Connector: Send + Sync {
    /// A channel to a system. Does not speak with it yet.
    fn connect(&self, name: &str, connection: &Connection) -> Result<Arc<dyn Channel>, ChannelError>;
}

/// What is known of a listing at a remote location: kept beside the ledger.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct ShownState {
    /// What the system last acknowledged, or was taken over from a reading.
    pub acknowledged: Option<Quantity>,
    /// When that was.
    pub acknowledged_at: Option<Instant>,
    /// Was it a push, which may have overwritten what we hear of only later? Else a reading, or the channel reads first.
    pub may_be_overwritten: bool,
    /// What the system's own orders did to its number since, in the order of its clock.
    pub changes: Vec<OwnChange>,
    /// What was last read, and when.
    pub observed: Option<(Quantity, Instant)>,
    /// What was last sent, answered or not.
    #[serde(default)]
    pub sent: Option<Sent>,
    /// What was sent and not answered, and when.
    pub unanswered: Option<(Quantity, Instant)>,
    /// What was sent, not answered and seen not to have arrived, and when: it may arrive late, also after what was sent
    /// and acknowledged since.
    pub lost: Vec<(Quantity, Instant)>,
    /// Why nothing is sent.
    pub stopped: Option<Stopped>,
    /// A change over there that nothing explains: from, to, when it was read.
    pub drift: Option<(Quantity, Quantity, Instant)>,
    /// How often such a change came after a push of ours.
    pub drifts: u32,
    /// Was it pushed since the last such change?
    pub pushed_since: bool,
    /// By how much somebody changed it over there, where a person is asked about that.
    #[serde(default)]
    pub unexplained: Quantity,
    /// Can that be adopted?
    #[serde(default)]
    pub adoptable: bool,
    /// Since when its fall to zero is held.
    #[serde(default)]
    pub held_at: Option<Instant>,
    /// Its fall to zero was approved: it is not held again until it has risen.
    #[serde(default)]
    pub zero_allowed: bool,
    /// Its fall to zero was rejected: it stays held, and nobody is asked again.
    #[serde(default)]
    pub zero_rejected: bool,
}

/// A number that was sent.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Sent {
    /// The number.
    pub quantity: Quantity,
    /// When.
    pub at: Instant,
    /// The newest entry that it was computed at.
    pub seq: Seq,
    /// When the system acknowledged it; none where it has not.
    pub acknowledged_at: Option<Instant>,
    /// It was acknowledged by reading it back: the answer was lost.
    pub by_reading: bool,
}

/// Why nothing is sent for a listing.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Stopped {
    /// Why.
    pub why: Stop,
    /// What the system said, or what was seen.
    pub reason: String,
    /// Since when.
    pub since: Instant,
    /// So many times in a row.
    pub times: u32,
    /// When it is tried again by itself; none: a person must act.
    pub retry_at: Option<Instant>,
    /// What was refused: another number, if it is lower than what is shown, is another request and is not put off.
    pub number: Option<Quantity>,
    /// Where a person reads of it.
    pub discrepancy: Option<DiscrepancyId>,
}

impl ShownState {
    /// What is known when it is judged, of all that the system did up to `known_to`.
    pub fn known(&self, known_to: Instant) -> Known<'_> {
        Known {
            acknowledged: self.acknowledged,
            acknowledged_at: self.acknowledged_at,
            changes: &self.changes,
            may_be_overwritten: self.may_be_overwritten,
            known_to,
            unanswered: self.unanswered.map(|(quantity, _)| quantity),
            lost: &self.lost,
        }
    }

    /// What it shows now, as far as we know.
    pub fn shows(&self) -> Option<Quantity> {
        onhand_sync::shows(&self.known(Instant::MIN))
    }
}

/// How a system is doing, as its worker left it.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct WorkerStatus {
    /// What it last failed with; none while it works.
    pub trouble: Option<String>,
    /// Where its orders are read from next.
    pub cursor: Option<String>,
    /// All it did up to this instant is known.
    pub orders_known_to: Option<Instant>,
    /// From a change to the system's acknowledgement.
    #[serde(default)]
    pub push_lag: Lag,
    /// From an order over there, by its clock, to our hearing of it.
    #[serde(default)]
    pub order_lag: Lag,
    /// The last batch that has gone began then, or batches go since then.
    #[serde(default)]
    pub batched_at: Option<Instant>,
    /// Its clock is ahead of ours by at least so many microseconds, as its orders show: none was heard of before it happened.
    #[serde(default)]
    pub clock_ahead_micros: Option<i64>,
    /// What was told of changes that are to be adopted and cannot be.
    #[serde(default)]
    pub cannot_adopt: Option<(DiscrepancyId, String)>,
    /// Its messages that something happened.
    #[serde(default)]
    pub hooks: Hooks,
}

/// What is known of a system's webhooks.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct Hooks {
    /// When one last came; none ever did while none.
    pub heard_at: Option<Instant>,
    /// So many came, and what they spoke of was read.
    pub read: u64,
    /// Changes that were found by reading and may still be spoken of.
    pub unannounced: Vec<Unannounced>,
    /// Where a person reads that messages are missing.
    pub told: Option<DiscrepancyId>,
}

/// The notes that a system's listings are kept in.
pub fn shown_space(system: SystemId) -> String {
    format!("shown:{system}")
}

/// The key of a listing at a remote location.
pub fn shown_key(listing: ListingId, remote_location: &str) -> String {
    format!("{listing}@{remote_location}")
}

/// A listing's number beside what it should be.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ItemShown {
    /// The system's name.
    pub system: String,
    /// The listing's id over there.
    pub listing: String,
    /// The remote location's id.
    pub remote_location: String,
    /// What it should show.
    pub desired: Quantity,
    /// What it last acknowledged.
    pub acknowledged: Option<Quantity>,
    /// What was last read, and when.
    pub observed: Option<(Quantity, Instant)>,
    /// Last observed as it should be, with nothing unanswered?
    pub in_step: bool,
    /// A rule leaves the number to the system: it is neither in step nor out of step.
    pub is_skipped: bool,
    /// Why, in plain words.
    pub explanation: String,
}

pub(crate) fn read_note<T: Default + for<'de> Deserialize<'de>>(
    view: &mut View<'_>,
    space: &str,
    key: &str,
) -> Result<T, StoreError> {
    let Some(body) = view.note(space, key)? else { return Ok(T::default()) };
    serde_json::from_str(&body).map_err(|error| StoreError::Damaged(format!("note {space}/{key}: {error}")))
}

/// A listing's number, what it should be by its rule, and what is known of it.
pub(crate) fn shown(
    view: &mut View<'_>,
    index: &Index,
    id: ListingId,
    listing: &Listing,
    system: &System,
    remote_location: &str,
    worker: &WorkerStatus,
) -> Result<Option<(ItemShown, Shown, Status)>, StoreError> {
    let Some(should) = desired_by(view, index, id, listing, system, remote_location)? else {
        return Ok(None);
    };
    let state: ShownState = read_note(view, &shown_space(listing.system), &shown_key(id, remote_location))?;
    let in_step = !should.is_skipped
        && state.unanswered.is_none()
        && state.stopped.is_none()
        && state.observed.is_some_and(|(quantity, _)| quantity == should.quantity);
    let status = Status {
        acknowledged: state.shows(),
        // What was acknowledged after it was last read is newer.
        observed: state.observed.filter(|(_, at)| state.acknowledged_at.is_none_or(|newer| newer <= *at)),
        unanswered: state.unanswered,
        stopped: state.stopped.map(|stopped| (stopped.why, stopped.reason)),
        paused: system.paused,
        all_stopped: view.rules()?.pushing_stopped.is_some(),
        one_way_in: !system.mode.direction.sends(),
        next_batch: match &system.mode.timing {
            Timing::Batch(schedule) => Some(next_batch(schedule, worker.batched_at.unwrap_or(view.now))),
            Timing::NearRealTime { .. } => None,
        },
        trouble: worker.trouble.clone(),
        drift: state.drift,
        usual_lag: worker.push_lag.usual(),
        slow_lag: worker.push_lag.slow(),
    };
    let shown = ItemShown {
        system: system.name.clone(),
        listing: listing.remote_id.clone(),
        remote_location: remote_location.to_owned(),
        desired: should.quantity,
        acknowledged: state.acknowledged,
        observed: state.observed,
        in_step,
        is_skipped: should.is_skipped,
        explanation: onhand_sync::explain(&system.name, &status, &should, view.now),
    };
    Ok(Some((shown, should, status)))
}

/// The remote locations that have one of ours behind them, each once.
pub fn remote_locations(system: &System) -> Vec<String> {
    let mut remote: Vec<String> = system.locations.iter().map(|mapping| mapping.remote_id.clone()).collect();
    remote.sort();
    remote.dedup();
    remote
}

/// How a system is doing.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SystemStatus {
    /// Mapped listings, once for each remote location, without those whose numbers are left to the system.
    pub listings: usize,
    /// Of them last observed as they should be, with nothing unanswered.
    pub in_step: usize,
    /// Mapped listings whose numbers a rule leaves to the system.
    pub skipped: usize,
    /// What it last failed with.
    pub trouble: Option<String>,
    /// All it did up to this instant is known.
    pub orders_known_to: Option<Instant>,
    /// When a webhook of it last came and was read.
    pub heard_at: Option<Instant>,
}

/// How a system is doing.
pub fn system_status(
    view: &mut View<'_>,
    seal: &Seal,
    id: SystemId,
    system: &System,
) -> Result<SystemStatus, StoreError> {
    let worker: WorkerStatus = read_note(view, STATUS, &id.to_string())?;
    let locked = connection(view, seal, id)?.and_then(Result::err);
    let trouble = match locked {
        Some(error) => Some(format!("{}'s credentials do not open: {error}", system.name)),
        None => worker.trouble.clone(),
    };
    let index = view.published()?;
    let (mut listings, mut in_step, mut skipped) = (0, 0, 0);
    // What a system tells us is no number of ours.
    if !system.mode.direction.sends() {
        let (orders_known_to, heard_at) = (worker.orders_known_to, worker.hooks.heard_at);
        return Ok(SystemStatus { listings, in_step, skipped, trouble, orders_known_to, heard_at });
    }
    for (listing_id, listing) in view.listings_in(id, ListingId(0), usize::MAX)? {
        for remote_location in remote_locations(system) {
            let found = shown(view, &index, listing_id, &listing, system, &remote_location, &worker)?;
            if let Some((shown, ..)) = found {
                listings += usize::from(!shown.is_skipped);
                skipped += usize::from(shown.is_skipped);
                in_step += usize::from(shown.in_step);
            }
        }
    }
    Ok(SystemStatus {
        listings,
        in_step,
        skipped,
        trouble,
        orders_known_to: worker.orders_known_to,
        heard_at: worker.hooks.heard_at,
    })
}

/// The connection of a system, if it has one; or why it does not open.
pub fn connection(
    view: &mut View<'_>,
    seal: &Seal,
    system: SystemId,
) -> Result<Option<Result<Connection, SealError>>, StoreError> {
    let body = view.note(CONNECTION, &system.to_string())?;
    Ok(body.map(|body| Connection::opened(seal, view.tenant(), system, &body)))
}

/// The systems of a tenant that are connected, each with its connection, or why that does not open.
pub fn connections(
    view: &mut View<'_>,
    seal: &Seal,
) -> Result<Vec<(SystemId, System, Result<Connection, SealError>)>, StoreError> {
    let mut all = Vec::new();
    for (id, system) in view.systems()? {
        if let Some(connection) = connection(view, seal, id)? {
            all.push((id, system, connection));
        }
    }
    Ok(all)
}

/// Seals the connections that are kept in clear, as they were before there was a seal. Says how many.
pub async fn seal_connections(handle: &Handle, tenant: TenantId) -> Result<usize, ResealError> {
    let ledger = handle.ledger().clone();
    let in_clear = ledger.read(tenant, |view| view.notes(CONNECTION, None, usize::MAX >> 1))?;
    let mut sealed = 0;
    for (key, body) in in_clear.into_iter().filter(|(_, body)| !seal::is_sealed(body)) {
        let body = ledger.seal().seal(tenant, CONNECTION, &key, body.as_bytes())?;
        let note = Note { space: CONNECTION.to_owned(), key, body: Some(body) };
        handle.submit_with(tenant, None, vec![note]).await?;
        sealed += 1;
    }
    Ok(sealed)
}

/// What was found at a system and matched.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Matched {
    /// Listings found.
    pub found: usize,
    /// Of them mapped to an item: to one of the same SKU, unless a person mapped them before.
    pub matched: usize,
    /// Those that were not, by name and SKU; up to 100.
    pub unmatched: Vec<String>,
    /// Stock locations found.
    pub remote_locations: Vec<String>,
}

/// A system that was added.
#[derive(Clone, Debug)]
pub struct Added {
    /// The last commit of it.
    pub committed: Committed,
    /// Its id.
    pub id: SystemId,
    /// What was found.
    pub listings: Matched,
}

/// Why a system was not added.
#[derive(Debug, thiserror::Error)]
pub enum AddError {
    /// It could not be spoken with.
    #[error(transparent)]
    Channel(#[from] ChannelError),
    /// It could not be committed.
    #[error(transparent)]
    Submit(#[from] SubmitError),
    /// It could not be read.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// Its credentials cannot be kept.
    #[error("its credentials cannot be kept: {0}")]
    Seal(#[from] SealError),
    /// There is no such location of ours.
    #[error("no location has the code `{0}`; codes are exact, case included")]
    UnknownLocation(String),
    /// There is no location of ours to map.
    #[error(
        "there is no location yet; create one first, such as with `onhand import items FILE --stock-at LONDON`"
    )]
    NoLocation,
}

fn command(actor: &str, body: Body) -> Command {
    Command { key: None, fingerprint: 0, actor: actor.to_owned(), body }
}

/// Signs in, discovers listings and stock locations, matches listings by SKU, and keeps the connection.
pub async fn add_system(
    handle: &Handle,
    connector: &dyn Connector,
    tenant: TenantId,
    actor: &str,
    name: &str,
    connection: Connection,
    location: Option<&str>,
) -> Result<Added, AddError> {
    let ours = match location {
        Some(code) => {
            let known = handle.ledger().read(tenant, |view| view.location_by_code(code))?;
            known.ok_or_else(|| AddError::UnknownLocation(code.to_owned()))?.1.code
        }
        None => {
            let first = handle.ledger().read(tenant, |view| match view.sites()?.all.first() {
                Some(id) => view.location(*id),
                None => Ok(None),
            })?;
            first.ok_or(AddError::NoLocation)?.code
        }
    };
    // Before anything is changed: is there a key to keep them with?
    handle.ledger().seal().seal(tenant, CONNECTION, "", &[])?;
    let channel = connector.connect(name, &connection)?;
    let found = channel.discover().await?;
    let locations =
        found.locations.iter().take(1).map(|remote| (remote.remote_id.clone(), ours.clone())).collect();
    let put = PutSystem {
        name: name.to_owned(),
        kind: connection.kind.clone(),
        locations: Some(locations),
        ..PutSystem::default()
    };
    let mut committed = handle.submit(tenant, command(actor, Body::PutSystem(put))).await?;
    let Answer::System(id) = committed.answer else {
        return Err(AddError::Store(StoreError::Damaged(
            "a system was answered with something else".to_owned(),
        )));
    };
    // What a person mapped stays as it is; what is not mapped is matched by its SKU.
    let mapped: Vec<(Option<String>, u32)> = handle.ledger().read(tenant, |view| {
        let known = found.listings.iter().map(|listing| {
            if let Some((_, known)) = view.listing_by_remote(id, &listing.remote_id)?
                && let Some(item) = known.item
            {
                return Ok((view.item(item)?.map(|item| item.sku), known.multiplier));
            }
            match &listing.sku {
                Some(sku) => Ok((view.item_by_sku(sku)?.map(|(_, item)| item.sku), 1)),
                None => Ok((None, 1)),
            }
        });
        known.collect()
    })?;
    let mut unmatched = Vec::new();
    let mut matched = 0;
    let mut replies = Vec::new();
    for (listing, (sku, multiplier)) in found.listings.iter().zip(mapped) {
        match &sku {
            Some(_) => matched += 1,
            None if unmatched.len() < 100 => {
                let remote_sku = listing.sku.as_deref().unwrap_or("no SKU");
                unmatched.push(format!("{} ({remote_sku})", listing.name));
            }
            None => {}
        }
        let put = PutListing {
            system: name.to_owned(),
            remote_id: listing.remote_id.clone(),
            remote_sku: listing.sku.clone(),
            sku,
            multiplier,
        };
        replies.push(handle.begin(tenant, Some(command(actor, Body::PutListing(put))), Vec::new()).await?);
    }
    for reply in replies {
        committed = reply.wait().await?;
    }
    let note = connection.sealed(handle.ledger().seal(), tenant, id)?;
    handle.submit_with(tenant, None, vec![note]).await?;
    let remote_locations = found.locations.into_iter().map(|location| location.name).collect();
    let listings = Matched { found: found.listings.len(), matched, unmatched, remote_locations };
    Ok(Added { committed, id, listings })
}

/// Tries what waits for a clock that was ahead: its time may have come.
pub async fn retry_ahead(handle: &Handle, tenant: TenantId) -> Result<(), SubmitError> {
    let documents =
        handle.ledger().read(tenant, |view| waiting_documents(view, |cause| cause == Cause::ClockAhead));
    let documents = documents.map_err(|error| SubmitError::Commit(error.into()))?;
    for document in documents {
        let actor = document.system.clone();
        handle.submit(tenant, command(&actor, Body::Record(document))).await?;
    }
    Ok(())
}

/// Documents that wait for one of these causes, as they were told.
pub(crate) fn waiting_documents(
    view: &mut View<'_>,
    of: impl Fn(Cause) -> bool,
) -> Result<Vec<Document>, StoreError> {
    let from = Key::Waiting(SystemId(0), String::new());
    let to = Key::Waiting(SystemId(u64::MAX), String::new());
    let mut documents = Vec::new();
    for (_, value) in view.range(&from, &to, false, usize::MAX)? {
        let Value::Waiting(waiting) = value else { continue };
        if let Some(Value::Discrepancy(discrepancy)) = view.get(&Key::Discrepancy(waiting.discrepancy))?
            && of(discrepancy.cause)
            && let Some(evidence) = discrepancy.evidence
            && let Ok(document) = serde_json::from_str::<Document>(&evidence)
        {
            documents.push(document);
        }
    }
    Ok(documents)
}

/// All listings of a system that are mapped, with their state, as its worker begins with them.
pub(crate) fn load_shown(
    view: &mut View<'_>,
    system: SystemId,
) -> Result<BTreeMap<String, ShownState>, StoreError> {
    let space = shown_space(system);
    let mut states = BTreeMap::new();
    let mut after: Option<String> = None;
    loop {
        let page = view.notes(&space, after.as_deref(), 1_000)?;
        let Some((last, _)) = page.last() else { return Ok(states) };
        after = Some(last.clone());
        for (key, body) in page {
            let state = serde_json::from_str(&body)
                .map_err(|error| StoreError::Damaged(format!("note {space}/{key}: {error}")))?;
            states.insert(key, state);
        }
    }
}
