//! A system's worker: pushes what differs, danger first; reads orders and numbers back; judges what it read.
//!
//! Level-triggered: there is no queue of old values. What to push is computed as the last step before sending, at
//! the newest `seq`; a crash loses nothing, because the difference is still there afterwards. Has no timer of its
//! own: [`Worker::step`] does what is due and says when to call again.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use onhand_channels::{Channel, ChannelError, Push, Pushed, Reading, RemoteOrder};
use onhand_ledger::command::{Content, Document, Name, Note as NoteCommand, OrderContent, OrderContentLine};
use onhand_ledger::model::{Cause, Listing, System};
use onhand_ledger::{
    Answer, Body, Command, Entry, Instant, Invalid, ItemId, ListingId, Quantity, Seq, SystemId, TenantId,
};
use onhand_store::{Note, StoreError};
use onhand_sync::{Difference, Known, Observation, Verdict, danger_first, judge};

use crate::commit::CommitError;
use crate::queue::{Handle, SubmitError};
use crate::systems::{STATUS, ShownState, WorkerStatus, desired_at, load_shown, shown_key, shown_space};

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

/// How many times somebody may set a number back before we stop writing it.
const SECOND_MASTER: u32 = 3;

/// So many of the changes since the last reading are tried as what is in a number, or not yet.
const CHANGES_TRIED: usize = 64;

/// A system's clock is not ours, and may tick in whole seconds: what it did about the time of a push or a reading may
/// be in the number, or not yet. Is there a moment for each that explains it? Then which changes come after both.
fn explained_by_other_times(
    state: &ShownState,
    observation: Observation,
    known: Known,
) -> Option<(Verdict, Vec<(Instant, Quantity)>)> {
    let mut changes = state.changes.clone();
    changes.sort();
    let count = changes.len().min(CHANGES_TRIED);
    for first in 0..=count {
        for end in (first..=changes.len()).rev().take(CHANGES_TRIED) {
            let own_changes = changes[first..end].iter().map(|(_, change)| *change).sum();
            let verdict = judge(observation, &Known { own_changes, ..known });
            if !matches!(verdict, Verdict::Drift(_)) {
                return Some((verdict, changes.split_off(end)));
            }
        }
    }
    None
}

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

struct Line {
    listing: Listing,
    id: ListingId,
    remote_location: String,
    state: ShownState,
    /// What it should show, at `seq` of the worker.
    desired: Quantity,
    /// When the change was recorded that made it differ; none where it is as it should be.
    changed_at: Option<Instant>,
    /// Read, not yet judged.
    reading: Option<Observation>,
    /// The drift that the last judged reading showed.
    suspected: Option<Quantity>,
    /// Was its last push put off, to look into a number that nothing explained?
    held: bool,
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
    seq: Seq,
    stale: bool,
    read_back: BTreeSet<String>,
    next_orders: Instant,
    next_read: Instant,
    next_reconcile: Instant,
    failures: u32,
    /// After a failure nothing is tried before this, whoever calls.
    rest_until: Instant,
    /// Acknowledged pushes since this was last taken.
    pub acknowledged: Vec<Acknowledged>,
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
            seq: 0,
            stale: true,
            read_back: BTreeSet::new(),
            next_orders: now,
            next_read: now,
            next_reconcile: now,
            failures: 0,
            rest_until: now,
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
            Ok(()) => None,
            Err(error) => Some(error.to_string()),
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
            let note = self.status_note();
            if let Err(error) = self.handle.submit_with(self.tenant, None, vec![note]).await {
                tracing::warn!(%error, "the status of a system could not be kept");
            }
        }
        if let Err(error) = done {
            self.failures = (self.failures + 1).min(6);
            let wait = match error {
                WorkerError::Channel(ChannelError::Throttled {
                    retry_after_seconds: Some(seconds), ..
                }) => i64::try_from(seconds).unwrap_or(30).min(300) * 1_000,
                _ => 250 << self.failures,
            };
            self.rest_until = now.plus_micros(wait * 1_000);
            return self.rest_until;
        }
        self.failures = 0;
        let reading = if self.read_back.is_empty() { self.next_reconcile } else { self.next_read };
        self.next_orders.min(reading).min(self.next_reconcile)
    }

    async fn work(&mut self) -> Result<(), WorkerError> {
        self.refresh()?;
        self.push().await?;
        if self.now() >= self.next_reconcile {
            let all: Vec<String> = self.lines.keys().cloned().collect();
            self.read_back.extend(all);
            self.next_reconcile = self.now().plus_micros(self.pace.reconcile_ms * 1_000);
            self.next_read = self.now();
        }
        if !self.read_back.is_empty() && self.now() >= self.next_read {
            self.read().await?;
            // What was read can only be judged once the orders up to then are known.
            self.next_orders = self.now();
        }
        if self.now() >= self.next_orders {
            self.orders().await?;
            self.next_orders = self.now().plus_micros(self.pace.orders_ms * 1_000);
            self.judge().await?;
            self.refresh()?;
            self.push().await?;
        }
        Ok(())
    }

    /// Follows the feed: recomputes what listings should show that an entry touched.
    fn refresh(&mut self) -> Result<(), WorkerError> {
        let ledger = self.handle.ledger().clone();
        let (tenant, id) = (self.tenant, self.id);
        ledger.read(tenant, |view| {
            let head = view.seq();
            if head == self.seq && !self.stale {
                return Ok(());
            }
            let mut touched = BTreeMap::<ItemId, Instant>::new();
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
                            Entry::Listing(..) | Entry::System(..) | Entry::Publication(..) => {
                                self.stale = true
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
                let mut known = load_shown(view, id)?;
                let mut before = std::mem::take(&mut self.lines);
                self.by_item.clear();
                for (listing_id, listing) in view.listings_in(id, ListingId(0), usize::MAX)? {
                    let Some(item) = listing.item else { continue };
                    for mapping in &self.system.locations {
                        let key = shown_key(listing_id, &mapping.remote_id);
                        let (state, reading, suspected, changed_at) = match before.remove(&key) {
                            Some(line) => (line.state, line.reading, line.suspected, line.changed_at),
                            None => (known.remove(&key).unwrap_or_default(), None, None, None),
                        };
                        if state.observed.is_none() || state.unanswered.is_some() {
                            self.read_back.insert(key.clone());
                        }
                        let line = Line {
                            listing: listing.clone(),
                            id: listing_id,
                            remote_location: mapping.remote_id.clone(),
                            state,
                            desired: Quantity::ZERO,
                            changed_at,
                            reading,
                            suspected,
                            held: false,
                        };
                        self.by_item.entry(item).or_default().push(key.clone());
                        self.lines.insert(key, line);
                    }
                }
                self.seq = head;
                self.stale = false;
                touched = self.by_item.keys().map(|item| (*item, view.now)).collect();
            }
            for (item, changed_at) in touched {
                for key in self.by_item.get(&item).map(Vec::as_slice).unwrap_or_default() {
                    let Some(line) = self.lines.get_mut(key) else { continue };
                    let should =
                        desired_at(view, line.id, &line.listing, &self.system, &line.remote_location)?;
                    let Some(should) = should else { continue };
                    line.desired = should.quantity;
                    if line.state.shows() == Some(line.desired) {
                        line.changed_at = None;
                    } else {
                        line.changed_at.get_or_insert(changed_at);
                    }
                }
            }
            Ok(())
        })?;
        Ok(())
    }

    /// Sends what differs, the most dangerous first, until nothing does, the system says no, or orders are due: what
    /// changes faster than it can be sent must not keep us from hearing what is sold over there.
    async fn push(&mut self) -> Result<(), WorkerError> {
        if self.system.paused {
            return Ok(());
        }
        loop {
            let mut differences: Vec<Difference<String>> = self
                .lines
                .iter()
                .filter(|(_, line)| {
                    let state = &line.state;
                    // What was never read, or may be on its way, is read first.
                    state.acknowledged.is_some() && state.unanswered.is_none() && state.refused.is_none()
                })
                .filter(|(_, line)| line.state.shows() != Some(line.desired))
                .map(|(key, line)| Difference {
                    key: key.clone(),
                    shows: line.state.shows(),
                    desired: line.desired,
                })
                .collect();
            if differences.is_empty() {
                return Ok(());
            }
            danger_first(&mut differences);
            differences.truncate(self.channel.batch_size());
            let mut keys: Vec<String> = differences.into_iter().map(|difference| difference.key).collect();
            let before = self.before_push(&mut keys).await?;
            if keys.is_empty() {
                return Ok(());
            }
            self.send(keys, before).await?;
            self.refresh()?;
            if self.now() >= self.next_orders {
                return Ok(());
            }
        }
    }

    /// The numbers just before a push, and all orders up to then, where the channel needs them.
    ///
    /// A number that nothing explains is looked into before it is overwritten, and its line taken off `keys`: once,
    /// so that what is sold faster than it can be read still gets its number.
    async fn before_push(
        &mut self,
        keys: &mut Vec<String>,
    ) -> Result<BTreeMap<(String, String), Reading>, WorkerError> {
        if !self.channel.reads_before_push() {
            return Ok(BTreeMap::new());
        }
        let readings = self.channel.read(&self.listings_of(keys)).await?;
        self.orders().await?;
        let mut unexplained = Vec::new();
        for reading in &readings {
            for key in &*keys {
                if let Some(line) = self.lines.get_mut(key)
                    && line.listing.remote_id == reading.listing
                    && line.remote_location == reading.location
                {
                    let explained = line.state.shows() == Some(reading.quantity);
                    if explained || line.held {
                        line.held = false;
                    } else {
                        line.held = true;
                        unexplained.push(key.clone());
                    }
                }
            }
        }
        self.look_behind(&self.listings_of(&unexplained)).await?;
        keys.retain(|key| !unexplained.contains(key));
        self.read_back.extend(unexplained);
        self.next_read = self.now();
        let place = |reading: Reading| ((reading.listing.clone(), reading.location.clone()), reading);
        Ok(readings.into_iter().map(place).collect())
    }

    /// Hears of orders that may explain the numbers of these listings.
    async fn look_behind(&mut self, listings: &[String]) -> Result<(), WorkerError> {
        for listing in listings {
            for order in self.channel.orders_behind(listing).await? {
                self.order(&order, false).await?;
            }
        }
        Ok(())
    }

    /// The remote ids of these lines' listings, each once.
    fn listings_of(&self, keys: &[String]) -> Vec<String> {
        let listings: BTreeSet<&String> =
            keys.iter().filter_map(|key| Some(&self.lines.get(key)?.listing.remote_id)).collect();
        listings.into_iter().cloned().collect()
    }

    async fn send(
        &mut self,
        keys: Vec<String>,
        mut before: BTreeMap<(String, String), Reading>,
    ) -> Result<(), WorkerError> {
        let now = self.now();
        // The last step: what should they show now, at the newest entry there is.
        self.refresh()?;
        let mut chosen = Vec::new();
        let mut pushes = Vec::new();
        for key in keys {
            let Some(line) = self.lines.get_mut(&key) else { continue };
            if line.state.shows() == Some(line.desired) {
                continue;
            }
            line.state.unanswered = Some((line.desired, now));
            pushes.push(Push {
                listing: line.listing.remote_id.clone(),
                location: line.remote_location.clone(),
                quantity: line.desired,
                seq: self.seq,
                before: before.remove(&(line.listing.remote_id.clone(), line.remote_location.clone())),
            });
            chosen.push(key);
        }
        if pushes.is_empty() {
            return Ok(());
        }
        // A crash from here on leaves it known that these may have arrived.
        self.keep(&chosen, Vec::new()).await?;
        let results = match self.channel.push(&pushes).await {
            Ok(results) => results,
            Err(error) => {
                // Nothing was taken, as far as the channel knows: it is read again to be sure.
                self.read_back.extend(chosen);
                self.next_read = self.now();
                return Err(error.into());
            }
        };
        let at = self.now();
        let mut refused = Vec::new();
        for ((key, push), result) in chosen.iter().zip(&pushes).zip(results) {
            let Some(line) = self.lines.get_mut(key) else { continue };
            match result {
                Pushed::Acknowledged => {
                    line.state.acknowledged = Some(push.quantity);
                    line.state.acknowledged_at = Some(at);
                    line.state.changes.clear();
                    line.state.unanswered = None;
                    if let Some(changed_at) = line.changed_at.take() {
                        self.acknowledged.push(Acknowledged { seq: push.seq, changed_at, at });
                    }
                }
                Pushed::Unknown { reason } => {
                    tracing::info!(
                        system = self.system.name,
                        listing = push.listing,
                        reason,
                        "an answer was lost"
                    );
                }
                Pushed::Refused { reason } => {
                    line.state.unanswered = None;
                    line.state.refused = Some(reason.clone());
                    refused.push((line.listing.clone(), push.quantity, reason));
                }
            }
            self.read_back.insert(key.clone());
        }
        self.next_read = at.plus_micros(self.pace.read_back_ms * 1_000);
        self.keep(&chosen, Vec::new()).await?;
        for (listing, quantity, reason) in refused {
            let name = &self.system.name;
            let shown = listing.remote_sku.as_deref().unwrap_or(&listing.remote_id);
            let sentence = format!("{name} refuses to show {quantity} for {shown}: {reason}. Mend it there.");
            self.note(Cause::PushRefused, &listing, quantity, sentence).await?;
        }
        Ok(())
    }

    /// Reads numbers back, for judging once the orders are known.
    async fn read(&mut self) -> Result<(), WorkerError> {
        let keys: Vec<String> = std::mem::take(&mut self.read_back).into_iter().collect();
        let listings = self.listings_of(&keys);
        let by_remote: BTreeMap<(String, String), String> = self
            .lines
            .iter()
            .map(|(key, line)| ((line.listing.remote_id.clone(), line.remote_location.clone()), key.clone()))
            .collect();
        for batch in listings.chunks(self.channel.batch_size().max(1)) {
            let at = self.now();
            let readings = match self.channel.read(batch).await {
                Ok(readings) => readings,
                Err(error) => {
                    self.read_back.extend(keys);
                    return Err(error.into());
                }
            };
            for reading in readings {
                let Some(key) = by_remote.get(&(reading.listing, reading.location)) else { continue };
                if let Some(line) = self.lines.get_mut(key) {
                    line.reading = Some(Observation { quantity: reading.quantity, at });
                }
            }
        }
        Ok(())
    }

    /// Hears of orders that changed over there; each is a fact, committed with the cursor behind it.
    async fn orders(&mut self) -> Result<(), WorkerError> {
        loop {
            let asked_at = self.now();
            let page = self.channel.orders(self.status.cursor.as_deref()).await?;
            for order in &page.orders {
                self.order(order, true).await?;
            }
            let moved = self.status.cursor.as_deref() != Some(page.cursor.as_str());
            self.status.cursor = Some(page.cursor);
            if !page.more {
                self.status.orders_known_to = Some(page.known_to.unwrap_or(asked_at));
            }
            if moved {
                let note = self.status_note();
                self.handle.submit_with(self.tenant, None, vec![note]).await?;
            }
            if !page.more {
                return Ok(());
            }
        }
    }

    /// Records one order as it is now, and what the system did to its own numbers by it.
    ///
    /// `told`: by the system's own list of changes, rather than found behind a number.
    async fn order(&mut self, order: &RemoteOrder, told: bool) -> Result<(), WorkerError> {
        let space = format!("order:{}", self.id);
        let ledger = self.handle.ledger().clone();
        let location = match self.system.locations.as_slice() {
            [only] => ledger.read(self.tenant, |view| view.location(only.location))?.map(|known| known.code),
            _ => None,
        };
        let wanted_before: BTreeMap<String, Quantity> =
            match ledger.read(self.tenant, |view| view.note(&space, &order.document))? {
                Some(body) => serde_json::from_str(&body).unwrap_or_default(),
                None => BTreeMap::new(),
            };
        let mut wanted_now = BTreeMap::<String, Quantity>::new();
        for line in order.lines.iter().filter(|_| !order.cancelled) {
            *wanted_now.entry(line.listing.clone()).or_default() += line.quantity - line.returned;
        }
        let lines = order.lines.iter().map(|line| OrderContentLine {
            line: line.line.clone(),
            item: Name::Listing(line.listing.clone()),
            quantity: line.quantity,
            shipped: line.shipped,
            returned: line.returned,
            location: location.clone(),
        });
        let document = Document {
            system: self.system.name.clone(),
            document: order.document.clone(),
            version: order.version,
            content: Content::Order(OrderContent {
                placed_at: Some(order.placed_at),
                changed_at: Some(order.updated_at),
                cancelled: order.cancelled,
                lines: lines.collect(),
            }),
        };
        let body = serde_json::to_string(&wanted_now).expect("quantities by listing can always be written");
        let note = Note { space, key: order.document.clone(), body: Some(body) };
        let command = self.command(Body::Record(document));
        let committed = match self.handle.submit_with(self.tenant, Some(command), vec![note]).await {
            Ok(committed) => committed,
            Err(SubmitError::Commit(CommitError::Invalid(invalid))) => {
                return self.not_taken(order, &invalid).await;
            }
            Err(error) => return Err(error.into()),
        };
        if matches!(committed.answer, Answer::AlreadyApplied { .. }) {
            return Ok(());
        }
        // What the system did to its own number by this. Where all orders are heard of before a push, one that we
        // hear of now came after the last; elsewhere the times must tell.
        let came_after = told && self.channel.reads_before_push();
        let mut changed = Vec::new();
        for (key, line) in &mut self.lines {
            let quantity = |wanted: &BTreeMap<String, Quantity>| {
                wanted.get(&line.listing.remote_id).copied().unwrap_or_default()
            };
            let change = quantity(&wanted_before) - quantity(&wanted_now);
            let since =
                came_after || !told || line.state.acknowledged_at.is_none_or(|at| order.updated_at > at);
            if !change.is_zero() {
                if since {
                    line.state.changes.push((order.updated_at, change));
                }
                changed.push(key.clone());
            }
        }
        self.read_back.extend(changed.iter().cloned());
        self.next_read = self.next_read.max(self.now().plus_micros(self.pace.read_back_ms * 500));
        self.keep(&changed, Vec::new()).await
    }

    /// A document that cannot be taken at all still reaches a person, once.
    async fn not_taken(&mut self, order: &RemoteOrder, invalid: &Invalid) -> Result<(), WorkerError> {
        let name = self.system.name.clone();
        let sentence = format!("Order {} of {name} could not be taken: {invalid}.", order.document);
        let evidence = serde_json::to_string(order).ok();
        let note = NoteCommand {
            system: name.clone(),
            sku: None,
            cause: Cause::UnknownName,
            quantity: Quantity::ZERO,
            sentence,
            evidence,
        };
        let mut command = self.command(Body::Note(note));
        command.key = Some(format!("not-taken/{name}/{}/{}", order.document, order.version));
        self.handle.submit(self.tenant, command).await?;
        Ok(())
    }

    /// Judges what was read, as far as the orders are known.
    async fn judge(&mut self) -> Result<(), WorkerError> {
        let Some(known_to) = self.status.orders_known_to else { return Ok(()) };
        let mut judged = Vec::new();
        let mut found = Vec::new();
        let mut suspected = Vec::new();
        for (key, line) in &mut self.lines {
            let Some(observation) = line.reading else { continue };
            let state = &mut line.state;
            let changes =
                state.changes.iter().filter(|(at, _)| *at <= observation.at).map(|(_, change)| *change);
            let known = Known {
                acknowledged: state.acknowledged,
                own_changes: changes.sum(),
                known_to,
                unanswered: state.unanswered.map(|(quantity, _)| quantity),
            };
            let mut verdict = judge(observation, &known);
            let mut later: Vec<(Instant, Quantity)> =
                state.changes.iter().copied().filter(|(at, _)| *at > observation.at).collect();
            if matches!(verdict, Verdict::Drift(_))
                && let Some(explained) = explained_by_other_times(state, observation, known)
            {
                (verdict, later) = explained;
            }
            // A push that began after the reading says nothing about it: read again.
            let overtaken = state.acknowledged_at.is_some_and(|at| at >= observation.at);
            if verdict != Verdict::Wait {
                line.reading = None;
            }
            if overtaken && !matches!(verdict, Verdict::Explained | Verdict::Wait) {
                self.read_back.insert(key.clone());
                continue;
            }
            match verdict {
                Verdict::Wait => continue,
                Verdict::Explained => {
                    state.observed = Some((observation.quantity, observation.at));
                    state.acknowledged = Some(observation.quantity);
                    state.acknowledged_at = state.acknowledged_at.max(Some(observation.at));
                    state.changes = later;
                    line.suspected = None;
                    // Left alone for longer than a second master would: what it did before is over.
                    if state.drift.is_some_and(|(_, _, at)| at.plus_seconds(300) < observation.at) {
                        state.drift = None;
                        state.drifts = 0;
                    }
                    // The refusal of before may be over: what it shows is what it should.
                    if state.refused.is_some()
                        && state.drifts < SECOND_MASTER
                        && observation.quantity == line.desired
                    {
                        state.refused = None;
                    }
                }
                Verdict::First | Verdict::Arrived => {
                    state.observed = Some((observation.quantity, observation.at));
                    state.acknowledged = Some(observation.quantity);
                    state.acknowledged_at = Some(observation.at);
                    state.changes = later;
                    state.unanswered = None;
                }
                Verdict::Lost => {
                    state.observed = Some((observation.quantity, observation.at));
                    state.unanswered = None;
                }
                Verdict::Drift(drift) if line.suspected != Some(drift) => {
                    // Seen once: an order may be on its way to us. Seen twice, nothing explains it.
                    line.suspected = Some(drift);
                    self.read_back.insert(key.clone());
                    suspected.push(line.listing.remote_id.clone());
                    continue;
                }
                Verdict::Drift(drift) => {
                    let from = observation.quantity - drift;
                    line.suspected = None;
                    state.observed = Some((observation.quantity, observation.at));
                    state.drift = Some((from, observation.quantity, observation.at));
                    state.drifts += 1;
                    state.acknowledged = Some(observation.quantity);
                    state.acknowledged_at = Some(observation.at);
                    state.changes.retain(|(at, _)| *at > observation.at);
                    state.unanswered = None;
                    line.changed_at.get_or_insert(observation.at);
                    found.push((line.listing.clone(), from, observation, state.drifts));
                    if state.drifts >= SECOND_MASTER {
                        let times = state.drifts;
                        state.refused =
                            Some(format!("another program set it {times} times after us; we stopped"));
                    }
                }
            }
            judged.push(key.clone());
        }
        self.keep(&judged, Vec::new()).await?;
        self.look_behind(&suspected).await?;
        for (listing, from, observation, times) in found {
            let name = &self.system.name;
            let shown = listing.remote_sku.as_deref().unwrap_or(&listing.remote_id);
            let (to, at) = (observation.quantity, observation.at);
            let (cause, sentence) = if times >= SECOND_MASTER {
                let sentence = format!(
                    "Each time we send {from} for {shown}, {name} shows {to} again ({times} times). \
                     Another program writes this number; we stopped sending."
                );
                (Cause::SecondMaster, sentence)
            } else {
                let sentence = format!(
                    "Somebody changed {shown} in {name} before {at}, from {from} to {to}; no sale, return or push of \
                     ours explains it. It is set to what it should be."
                );
                (Cause::ManualEdit, sentence)
            };
            self.note(cause, &listing, to - from, sentence).await?;
        }
        Ok(())
    }

    async fn note(
        &self,
        cause: Cause,
        listing: &Listing,
        quantity: Quantity,
        sentence: String,
    ) -> Result<(), WorkerError> {
        let sku = match listing.item {
            Some(item) => {
                self.handle.ledger().read(self.tenant, |view| view.item(item))?.map(|item| item.sku)
            }
            None => None,
        };
        let system = self.system.name.clone();
        let note = NoteCommand { system, sku, cause, quantity, sentence, evidence: None };
        self.handle.submit(self.tenant, self.command(Body::Note(note))).await?;
        Ok(())
    }

    fn command(&self, body: Body) -> Command {
        Command { key: None, fingerprint: 0, actor: self.system.name.clone(), body }
    }

    fn status_note(&self) -> Note {
        let body = serde_json::to_string(&self.status).expect("a status can always be written");
        Note { space: STATUS.to_owned(), key: self.id.to_string(), body: Some(body) }
    }

    /// Keeps the state of these listings.
    async fn keep(&self, keys: &[String], mut notes: Vec<Note>) -> Result<(), WorkerError> {
        let space = shown_space(self.id);
        for key in keys {
            if let Some(line) = self.lines.get(key) {
                let body = serde_json::to_string(&line.state).expect("a state can always be written");
                notes.push(Note { space: space.clone(), key: key.clone(), body: Some(body) });
            }
        }
        if !notes.is_empty() {
            self.handle.submit_with(self.tenant, None, notes).await?;
        }
        Ok(())
    }
}
