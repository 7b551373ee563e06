//! A system's worker: pushes what differs, danger first; reads orders and numbers back; judges what it read.
//!
//! Level-triggered: there is no queue of old values. What to push is computed as the last step before sending, at
//! the newest `seq`; a crash loses nothing, because the difference is still there afterwards. Has no timer of its
//! own: [`Worker::step`] does what is due and says when to call again.
//!
//! `push` sends, `read` reads back and judges, `orders` hears of what the system did by itself.

mod orders;
mod push;
mod read;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

use onhand_channels::{Channel, ChannelError};
use onhand_ledger::command::{Note as NoteCommand, Resolve};
use onhand_ledger::model::{Cause, Listing, System};
use onhand_ledger::publication::Index;
use onhand_ledger::{
    Answer, Body, Command, DiscrepancyId, Entry, Instant, ItemId, Key, ListingId, LotId, Quantity, Seq,
    SystemId, TenantId, Value,
};
use onhand_store::{Note, StoreError};
use onhand_sync::{Observation, Stop};

use crate::queue::{Handle, SubmitError};
use crate::systems::{
    STATUS, ShownState, Stopped, WorkerStatus, desired_by, load_shown, remote_locations, shown_key,
    shown_space,
};

/// How often things are done.
#[derive(Clone, Copy, Debug)]
pub struct Pace {
    /// Orders are asked for this often, in milliseconds.
    pub orders_ms: i64,
    /// What was pushed or sold is read back after this long, in milliseconds.
    pub read_back_ms: i64,
    /// Everything is read this often, in milliseconds.
    pub reconcile_ms: i64,
}

impl Default for Pace {
    fn default() -> Self {
        Self { orders_ms: 500, read_back_ms: 250, reconcile_ms: 30_000 }
    }
}

/// Why a step failed.
#[derive(Debug, thiserror::Error)]
pub enum WorkerError {
    /// The system.
    #[error(transparent)]
    Channel(#[from] ChannelError),
    /// The ledger.
    #[error(transparent)]
    Submit(#[from] SubmitError),
    /// The store.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl WorkerError {
    /// How long to rest after the n-th failure in a row, in milliseconds.
    fn rest_ms(&self, failures: u32) -> i64 {
        let doubled = 125_i64 << failures.min(7);
        match self {
            Self::Channel(ChannelError::Throttled { retry_after_seconds: Some(seconds), .. }) => {
                i64::try_from(*seconds).unwrap_or(300).clamp(1, 300) * 1_000
            }
            // A person must act, and too many attempts may lock the account.
            Self::Channel(ChannelError::Credentials { .. }) => (doubled * 80).min(300_000),
            _ => doubled,
        }
    }
}

/// How long a number that nothing explains may go on changing before it is called a drift all the same.
const SUSPECTED_AT_MOST: u32 = 4;
/// The status is kept at least this often, in seconds, while nothing else changes of it.
const STATUS_SECONDS: i64 = 5;

/// A push that was acknowledged: for figures.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Acknowledged {
    /// The newest entry that the number was computed at.
    pub seq: Seq,
    /// When the oldest change in it was recorded.
    pub changed_at: Instant,
    /// When the system acknowledged it.
    pub at: Instant,
}

/// A change over there that nothing explains, to be told.
#[derive(Clone)]
struct Found {
    key: String,
    from: Quantity,
    to: Quantity,
    at: Instant,
    times: u32,
}

struct Line {
    listing: Listing,
    id: ListingId,
    remote_location: String,
    state: ShownState,
    /// What it should show, at `seq` of the worker.
    desired: Quantity,
    /// A rule leaves the number to the system.
    is_skipped: bool,
    /// When the change was recorded that made it differ; none where it is as it should be.
    changed_at: Option<Instant>,
    /// Read, not yet judged.
    reading: Option<Observation>,
    /// The drift that the last judged readings showed, and how many they were. Nothing is sent meanwhile, so that
    /// what somebody did over there is not overwritten unseen.
    suspected: Option<(Quantity, u32)>,
}

/// A system's worker.
pub struct Worker {
    handle: Handle,
    tenant: TenantId,
    id: SystemId,
    system: System,
    channel: Arc<dyn Channel>,
    pace: Pace,
    lines: BTreeMap<String, Line>,
    by_item: BTreeMap<ItemId, Vec<String>>,
    status: WorkerStatus,
    status_kept_at: Instant,
    seq: Seq,
    stale: bool,
    read_back: BTreeSet<String>,
    next_orders: Instant,
    next_read: Instant,
    next_reconcile: Instant,
    failures: u32,
    /// After a failure nothing is tried before this, whoever calls.
    rest_until: Instant,
    /// Rounds of pushes in a row whose answers were lost.
    lost_rounds: u32,
    next_push: Instant,
    /// Changes that nothing explains and nobody was told of yet.
    untold: VecDeque<Found>,
    /// Acknowledged pushes since this was last taken.
    pub acknowledged: Vec<Acknowledged>,
}

/// The state of a listing, to be kept.
fn shown_note(system: SystemId, key: &str, state: &ShownState) -> Note {
    let body = serde_json::to_string(state).expect("a state can always be written");
    Note { space: shown_space(system), key: key.to_owned(), body: Some(body) }
}

impl Worker {
    /// A worker of a connected system, as it was left.
    pub fn new(
        handle: Handle,
        tenant: TenantId,
        id: SystemId,
        system: System,
        channel: Arc<dyn Channel>,
        pace: Pace,
    ) -> Result<Self, StoreError> {
        let now = handle.ledger().clock().now();
        let mut worker = Self {
            handle,
            tenant,
            id,
            system,
            channel,
            pace,
            lines: BTreeMap::new(),
            by_item: BTreeMap::new(),
            status: WorkerStatus::default(),
            status_kept_at: now,
            seq: 0,
            stale: true,
            read_back: BTreeSet::new(),
            next_orders: now,
            next_read: now,
            next_reconcile: now,
            failures: 0,
            rest_until: now,
            lost_rounds: 0,
            next_push: now,
            untold: VecDeque::new(),
            acknowledged: Vec::new(),
        };
        let known = worker.handle.ledger().read(tenant, |view| view.note(STATUS, &id.to_string()))?;
        if let Some(body) = known {
            worker.status = serde_json::from_str(&body)
                .map_err(|error| StoreError::Damaged(format!("the status of system {id}: {error}")))?;
        }
        Ok(worker)
    }

    fn now(&self) -> Instant {
        self.handle.ledger().clock().now()
    }

    /// Does what is due. Says when to call again; call earlier when the feed has something new.
    pub async fn step(&mut self) -> Instant {
        if self.failures > 0 && self.now() < self.rest_until {
            return self.rest_until;
        }
        let done = self.work().await;
        let now = self.now();
        let trouble = match &done {
            Err(error) => Some(error.to_string()),
            Ok(()) if self.lost_rounds > 2 => {
                Some(format!("{}'s answers to what we send are lost", self.system.name))
            }
            Ok(()) => None,
        };
        if trouble != self.status.trouble {
            if let Some(trouble) = &trouble {
                tracing::warn!(
                    system = self.system.name,
                    trouble,
                    "a system is in trouble; it is tried again"
                );
            }
            self.status.trouble = trouble;
            if let Err(error) = self.keep_status().await {
                tracing::warn!(%error, "the status of a system could not be kept");
            }
        }
        if let Err(error) = done {
            self.failures += 1;
            self.rest_until = now.plus_micros(error.rest_ms(self.failures) * 1_000);
            return self.rest_until;
        }
        self.failures = 0;
        let reading = if self.read_back.is_empty() { self.next_reconcile } else { self.next_read };
        let mut next = self.next_orders.min(reading).min(self.next_reconcile);
        if self.next_push > now && !self.differences(now).is_empty() {
            next = next.min(self.next_push);
        }
        next
    }

    async fn work(&mut self) -> Result<(), WorkerError> {
        self.refresh().await?;
        self.push().await?;
        if self.now() >= self.next_reconcile {
            let all: Vec<String> = self.lines.keys().cloned().collect();
            self.read_back.extend(all);
            self.next_reconcile = self.now().plus_micros(self.pace.reconcile_ms * 1_000);
            self.next_read = self.now();
        }
        if !self.read_back.is_empty() && self.now() >= self.next_read {
            // What is read for the first time has in it all that was sold before: that is heard of first.
            if self.lines.values().any(|line| line.state.acknowledged.is_none()) {
                self.orders().await?;
            }
            self.read().await?;
            // What was read can only be judged once the orders up to then are known.
            self.next_orders = self.now();
        }
        if self.now() >= self.next_orders {
            self.orders().await?;
            self.next_orders = self.now().plus_micros(self.pace.orders_ms * 1_000);
            self.judge().await?;
            self.refresh().await?;
            self.push().await?;
        }
        Ok(())
    }

    /// Follows the feed: recomputes what listings should show that an entry touched.
    async fn refresh(&mut self) -> Result<(), WorkerError> {
        let ledger = self.handle.ledger().clone();
        let (tenant, id) = (self.tenant, self.id);
        let mut let_go = BTreeSet::new();
        let mut unmapped = Vec::new();
        ledger.read(tenant, |view| {
            let head = view.seq();
            if head == self.seq && !self.stale {
                return Ok(());
            }
            let mut touched = BTreeMap::<ItemId, Instant>::new();
            let mut ended = BTreeMap::<LotId, Instant>::new();
            while !self.stale && self.seq < head {
                let records = view.records_after(self.seq, 4_096)?;
                let Some((first, last)) = records.last() else { break };
                self.seq = first + last.entries.len() as Seq - 1;
                for (_, record) in &records {
                    for entry in &record.entries {
                        match entry {
                            Entry::Movement(movement) => {
                                touched.entry(movement.item).or_insert(record.recorded_at);
                            }
                            Entry::Claimed { item, .. } | Entry::Item(item, _) => {
                                touched.entry(*item).or_insert(record.recorded_at);
                            }
                            Entry::Lot(_, lot) => {
                                touched.entry(lot.item).or_insert(record.recorded_at);
                            }
                            Entry::Expires { lot, .. } => {
                                ended.insert(*lot, record.recorded_at);
                            }
                            Entry::Listing(..)
                            | Entry::System(..)
                            | Entry::Location(..)
                            | Entry::Publication(..)
                            | Entry::SellingStop(..) => self.stale = true,
                            // A person has seen to what stopped a listing.
                            Entry::Discrepancy(discrepancy, known)
                                if known.resolved_at.is_some() && known.system == id =>
                            {
                                let_go.insert(*discrepancy);
                            }
                            _ => {}
                        }
                    }
                }
            }
            if self.stale {
                if let Some(system) = view.system(id)? {
                    self.system = system;
                }
                unmapped = self.load(view)?;
                // Who saw to it while nobody followed the feed.
                for line in self.lines.values() {
                    let about = line.state.stopped.as_ref().and_then(|stopped| stopped.discrepancy);
                    if let Some(discrepancy) = about
                        && let Some(Value::Discrepancy(known)) = view.get(&Key::Discrepancy(discrepancy))?
                        && known.resolved_at.is_some()
                    {
                        let_go.insert(discrepancy);
                    }
                }
                self.seq = head;
                self.stale = false;
                touched = self.by_item.keys().map(|item| (*item, view.now)).collect();
            }
            for (lot, at) in ended {
                if let Some(lot) = view.lot(lot)? {
                    touched.entry(lot.item).or_insert(at);
                }
            }
            // What of a kit is sold, or lies assembled, is not to be built of its components, or is.
            for (item, at) in touched.clone() {
                for part in view.parts_of(item)? {
                    touched.entry(part).or_insert(at);
                }
            }
            // What a kit shows follows from what it is built of.
            for (item, at) in touched.clone() {
                for kit in view.kits_around(item)? {
                    touched.entry(kit).or_insert(at);
                }
            }
            let index = if touched.is_empty() { Index::default() } else { view.published()? };
            for (item, changed_at) in touched {
                for key in self.by_item.get(&item).map(Vec::as_slice).unwrap_or_default() {
                    let Some(line) = self.lines.get_mut(key) else { continue };
                    let (listing, at) = (&line.listing, &line.remote_location);
                    let should = desired_by(view, &index, line.id, listing, &self.system, at)?;
                    let Some(should) = should else { continue };
                    line.desired = should.quantity;
                    line.is_skipped = should.is_skipped;
                    if line.is_skipped || line.state.shows() == Some(line.desired) {
                        line.changed_at = None;
                    } else {
                        line.changed_at.get_or_insert(changed_at);
                    }
                }
            }
            Ok(())
        })?;
        for discrepancy in unmapped {
            self.resolve(discrepancy).await?;
        }
        self.let_go(&let_go).await
    }

    /// Takes the listings as they are mapped now; what is known of those that stay, stays. Says what was told of those
    /// that are no longer mapped.
    fn load(&mut self, view: &mut crate::View<'_>) -> Result<Vec<DiscrepancyId>, StoreError> {
        let mut known = load_shown(view, self.id)?;
        let mut before = std::mem::take(&mut self.lines);
        self.by_item.clear();
        for (listing_id, listing) in view.listings_in(self.id, ListingId(0), usize::MAX)? {
            let Some(item) = listing.item else { continue };
            for remote_location in remote_locations(&self.system) {
                let key = shown_key(listing_id, &remote_location);
                let line = match before.remove(&key) {
                    Some(line) => Line { listing: listing.clone(), ..line },
                    None => Line {
                        listing: listing.clone(),
                        id: listing_id,
                        remote_location,
                        state: known.remove(&key).unwrap_or_default(),
                        desired: Quantity::ZERO,
                        is_skipped: false,
                        changed_at: None,
                        reading: None,
                        suspected: None,
                    },
                };
                if line.state.observed.is_none() || line.state.unanswered.is_some() {
                    self.read_back.insert(key.clone());
                }
                self.by_item.entry(item).or_default().push(key.clone());
                self.lines.insert(key, line);
            }
        }
        let told = |line: Line| line.state.stopped.and_then(|stopped| stopped.discrepancy);
        Ok(before.into_values().filter_map(told).collect())
    }

    /// What stopped these listings was seen to by a person: they are sent again.
    async fn let_go(&mut self, seen_to: &BTreeSet<DiscrepancyId>) -> Result<(), WorkerError> {
        let mut changed = Vec::new();
        for (key, line) in &mut self.lines {
            let about = line.state.stopped.as_ref().and_then(|stopped| stopped.discrepancy);
            if about.is_some_and(|discrepancy| seen_to.contains(&discrepancy)) {
                line.state.stopped = None;
                line.state.drift = None;
                line.state.drifts = 0;
                changed.push(key.clone());
            }
        }
        self.read_back.extend(changed.iter().cloned());
        self.keep(&changed).await
    }

    /// Nothing is sent for a listing any more, for now or until a person acts: told once, until it ends.
    async fn stop(
        &mut self,
        key: &str,
        why: Stop,
        reason: String,
        retry: Option<(Instant, Quantity)>,
    ) -> Result<(), WorkerError> {
        let Some(line) = self.lines.get_mut(key) else { return Ok(()) };
        let (before, other) = match line.state.stopped.take() {
            Some(before) if before.why == why => (Some(before), None),
            // What waits for a person goes on waiting.
            Some(before) if matches!(before.why, Stop::SecondMaster | Stop::Untaken) => {
                line.state.stopped = Some(before);
                return Ok(());
            }
            other => (None, other),
        };
        let told = before.as_ref().and_then(|before| before.discrepancy);
        let times = before.as_ref().map_or(1, |before| before.times + 1);
        let (listing, desired, shows) = (line.listing.clone(), line.desired, line.state.observed);
        let (retry_at, number) = (retry.map(|(at, _)| at), retry.map(|(_, number)| number));
        let stopped = Stopped { why, reason: reason.clone(), times, retry_at, number, discrepancy: told };
        line.state.stopped = Some(stopped);
        if told.is_none() {
            let name = self.system.name.clone();
            let shown = listing.remote_sku.as_deref().unwrap_or(&listing.remote_id).to_owned();
            let number =
                shows.map_or_else(|| "nothing known".to_owned(), |(quantity, _)| quantity.to_string());
            let (cause, sentence) = match why {
                Stop::Refused => (
                    Cause::PushRefused,
                    format!(
                        "{name} refuses to show {desired} for {shown}: {reason}. Mend it there; it is tried again."
                    ),
                ),
                Stop::SecondMaster => (Cause::SecondMaster, reason),
                Stop::Untaken => (Cause::UnknownName, reason),
                Stop::Untracked => (
                    Cause::TrackingOff,
                    format!(
                        "{name} does not track stock of {shown}: it sells it without end, whatever the number \
                         ({number}). Let it track inventory there."
                    ),
                ),
                Stop::Missing => (
                    Cause::PushRefused,
                    format!(
                        "{name} has no listing {shown} any more. Take its mapping off, or list it there again."
                    ),
                ),
            };
            let discrepancy = self.note(cause, &listing, desired, sentence).await?;
            if let Some(stopped) = self.lines.get_mut(key).and_then(|line| line.state.stopped.as_mut()) {
                stopped.discrepancy = discrepancy;
            }
        }
        self.keep(&[key.to_owned()]).await?;
        // What stopped it before does no longer.
        match other.and_then(|other| other.discrepancy) {
            Some(discrepancy) => self.resolve(discrepancy).await,
            None => Ok(()),
        }
    }

    async fn resolve(&self, discrepancy: DiscrepancyId) -> Result<(), WorkerError> {
        let resolve = self.command(Body::Resolve(Resolve { discrepancy }));
        // Whoever resolved it before us is right too.
        self.handle.submit(self.tenant, resolve).await?;
        Ok(())
    }

    /// What stopped a listing is over: its discrepancy ends by itself.
    async fn resume(&mut self, key: &str) -> Result<(), WorkerError> {
        let Some(line) = self.lines.get_mut(key) else { return Ok(()) };
        let Some(stopped) = line.state.stopped.take() else { return Ok(()) };
        line.state.drifts = 0;
        self.keep(&[key.to_owned()]).await?;
        match stopped.discrepancy {
            Some(discrepancy) => self.resolve(discrepancy).await,
            None => Ok(()),
        }
    }

    async fn note(
        &self,
        cause: Cause,
        listing: &Listing,
        quantity: Quantity,
        sentence: String,
    ) -> Result<Option<DiscrepancyId>, WorkerError> {
        let sku = match listing.item {
            Some(item) => {
                self.handle.ledger().read(self.tenant, |view| view.item(item))?.map(|item| item.sku)
            }
            None => None,
        };
        let system = self.system.name.clone();
        let note = NoteCommand { system, sku, cause, quantity, sentence, evidence: None };
        let committed = self.handle.submit(self.tenant, self.command(Body::Note(note))).await?;
        Ok(match committed.answer {
            Answer::Discrepancy(id) => Some(id),
            _ => None,
        })
    }

    fn command(&self, body: Body) -> Command {
        Command { key: None, fingerprint: 0, actor: self.system.name.clone(), body }
    }

    async fn keep_status(&mut self) -> Result<(), WorkerError> {
        self.status_kept_at = self.now();
        let body = serde_json::to_string(&self.status).expect("a status can always be written");
        let note = Note { space: STATUS.to_owned(), key: self.id.to_string(), body: Some(body) };
        self.handle.submit_with(self.tenant, None, vec![note]).await?;
        Ok(())
    }

    /// Keeps the state of these listings.
    async fn keep(&self, keys: &[String]) -> Result<(), WorkerError> {
        let note = |key: &String| Some(shown_note(self.id, key, &self.lines.get(key)?.state));
        let notes: Vec<Note> = keys.iter().filter_map(note).collect();
        if !notes.is_empty() {
            self.handle.submit_with(self.tenant, None, notes).await?;
        }
        Ok(())
    }

    /// The remote ids of these lines' listings, each once.
    fn listings_of(&self, keys: &[String]) -> Vec<String> {
        let listings: BTreeSet<&String> =
            keys.iter().filter_map(|key| Some(&self.lines.get(key)?.listing.remote_id)).collect();
        listings.into_iter().cloned().collect()
    }
}
