//! A system's worker: pushes what differs, danger first; reads orders and numbers back; judges what it read.
//!
//! Level-triggered: there is no queue of old values. What to push is computed as the last step before sending, at
//! the newest `seq`; a crash loses nothing, because the difference is still there afterwards. Has no timer of its
//! own: [`Worker::step`] does what is due and says when to call again.
//!
//! `lines` has the listings and what is to be done with which, `follow` follows the feed, `timing` says when what differs may go, `push` sends it, `read` reads back and judges, `orders`
//! hears of what the system did by itself, `outbound` sends it the orders that it ships and hears what becomes of them, `parcels` tells it what of its own orders others have sent, `told` reads the stock of an outside master, `heard` the numbers of one that is one-way in, `files` books the files that one brings, `policy` does what is to be done about what somebody changed there, `zeros` holds waves of
//! zeros, `stops` tells a person why nothing is sent, `asked` does it all now.

mod asked;
mod files;
mod follow;
mod heard;
mod hooks;
mod interchange;
mod lines;
mod orders;
mod outbound;
mod parcels;
mod policy;
mod push;
mod read;
mod stops;
mod timing;
mod told;
mod zeros;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::pin::Pin;
use std::sync::Arc;

use onhand_channels::{Channel, ChannelError};
use onhand_ledger::model::{Listing, System};
use onhand_ledger::publication::Index;
use onhand_ledger::{Body, Command, Instant, ItemId, ListingId, Quantity, Seq, SystemId, TenantId};
use onhand_store::{Note, StoreError};
use onhand_sync::{Doubt, Failure, Fall, OPEN_AFTER, Observation, Stop, next_random, rest_ms};

use self::lines::{Lines, Sorted};
use crate::figures::{OfSystem, Standing};
use crate::published::{Basis, Facts};
use crate::queue::{Handle, SubmitError};
use crate::systems::found::review;
use crate::systems::{AddError, STATUS, ShownState, WorkerStatus, shown_space};

/// How often things are done.
#[derive(Clone, Copy, Debug)]
pub struct Pace {
    /// Orders are asked for this often, in milliseconds.
    pub orders_ms: i64,
    /// What was pushed or sold is read back after this long, in milliseconds.
    pub read_back_ms: i64,
    /// Everything is read this often, in milliseconds.
    pub reconcile_ms: i64,
    /// What a system has for sale is looked at this often, in milliseconds.
    pub discover_ms: i64,
    /// What lies at an outside master is read this often where it can be asked, in milliseconds.
    pub stock_ms: i64,
}

impl Default for Pace {
    fn default() -> Self {
        Self {
            orders_ms: 500,
            read_back_ms: 250,
            reconcile_ms: 30_000,
            discover_ms: 3_600_000,
            stock_ms: 3_600_000,
        }
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
    fn failure(&self) -> Failure {
        match self {
            Self::Channel(ChannelError::Throttled { retry_after_seconds, .. }) => {
                Failure::Throttled(*retry_after_seconds)
            }
            Self::Channel(ChannelError::Credentials { .. }) => Failure::Credentials,
            _ => Failure::Trouble,
        }
    }
}

/// The states of so many are kept together.
const KEPT: usize = 1_000;
/// So many lines are read together, before they are judged.
const PART: usize = 5_000;
/// While nothing is tried it is looked so often whether a person asks for it, in seconds.
const LOOK_SECONDS: i64 = 1;
/// So long after its listings were linked it is looked which of them still wait for a person, in microseconds: more may follow.
const REVIEW_AFTER: i64 = 2_000_000;
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
    times: Times,
    /// What else it may be; none: nothing.
    doubt: Option<Doubt>,
    /// It was seen while the listing was of another item, or of another number of it.
    of_another: bool,
    /// When what it was changed from was acknowledged.
    base: Option<Instant>,
}

/// How often in a row a push of ours was answered by such a change.
#[derive(Clone, Copy)]
struct Times {
    all: u32,
    /// Of them the last ones, to the same number.
    same: u32,
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
    /// What the number was computed from.
    basis: Option<Basis>,
    /// When the change was recorded that made it differ; none where it is as it should be.
    changed_at: Option<Instant>,
    /// Read, not yet judged.
    reading: Option<Observation>,
    /// The drift that the last judged readings showed.
    suspected: Option<read::Suspicion>,
    /// It did not show what we expected when we would have set it: it is read and judged first.
    read_first: bool,
    /// Where it should show 0: what that follows from.
    fall: Option<Fall>,
    /// When its number was first known, where that was not before.
    known_since: Option<Instant>,
    /// When what is known of it was kept last.
    kept_at: Instant,
    /// In which of the sets it is.
    sorted: Sorted,
}

impl Line {
    /// Does it show something else than it should?
    fn differs(&self) -> bool {
        self.state.shows() != Some(self.desired)
    }

    /// It should show that, from then on where it is we who send it. Is that another number than before? `is_known`: what it was before is.
    fn want(&mut self, quantity: Quantity, at: Option<Instant>, is_known: bool) -> bool {
        let before = match self.state.wanted {
            _ if is_known => Some(self.desired),
            // Of what it should show before that was kept, nobody knows.
            None if self.state.observed.is_some() => Some(quantity),
            kept => kept.map(|(before, _)| before),
        };
        self.desired = quantity;
        let is_other = at.is_some() && before != Some(quantity);
        if let Some(at) = at.filter(|_| is_other) {
            self.state.wanted = Some((quantity, at));
        }
        is_other
    }

    /// Is a person asked about a change of it over there?
    fn is_asked(&self) -> bool {
        self.state.stopped.as_ref().is_some_and(|stopped| stopped.why == Stop::Asked)
    }
}

/// An item's listings.
#[derive(Default)]
struct Kept {
    keys: Vec<String>,
    /// What rules ask of it, besides its stock.
    facts: Option<Facts>,
}

/// A system's worker.
#[expect(clippy::struct_excessive_bools, reason = "facts that are independent of each other")]
pub struct Worker {
    handle: Handle,
    tenant: TenantId,
    id: SystemId,
    system: System,
    channel: Arc<dyn Channel>,
    pace: Pace,
    lines: Lines,
    by_item: BTreeMap<ItemId, Kept>,
    /// What publication rules say, as of `seq`.
    index: Index,
    /// When numbers of items change by the passing of time alone.
    changing: BTreeSet<(Instant, ItemId)>,
    /// When time does something next that becomes an entry.
    next_due: Option<Instant>,
    /// There is news of our own making.
    refresh_due: bool,
    status: WorkerStatus,
    status_kept_at: Instant,
    seq: Seq,
    stale: bool,
    read_back: BTreeSet<String>,
    /// What was sent and acknowledged, to be read back once all that differs is sent.
    read_later: BTreeSet<String>,
    /// Since when there has been something to send, whenever it was looked.
    sends_since: Option<Instant>,
    /// They differ, and since when is not kept yet.
    unkept: BTreeSet<String>,
    /// Stopped, and nobody was told why yet.
    untold_stops: BTreeSet<String>,
    /// Listings that are of another item by now, or of another number of it.
    relinked: BTreeSet<String>,
    next_orders: Instant,
    next_read: Instant,
    next_reconcile: Instant,
    next_stock: Instant,
    next_revival: Instant,
    /// Everything is being read: all up to this key was.
    reconciled_to: Option<String>,
    /// Everything was read: then it is seen since when.
    confirm_at: Option<Instant>,
    failures: u32,
    /// Spreads the rests of those who wait; the same worker waits the same each time.
    random: u64,
    /// After a failure nothing is tried before this, unless a person asks.
    rest_until: Instant,
    /// It asked for that rest.
    is_throttled: bool,
    /// While it rests it is looked then whether a person asks.
    next_look: Instant,
    /// Rounds of pushes in a row whose answers were lost.
    lost_rounds: u32,
    next_push: Instant,
    /// The system may be called again from then on, by what it said of its limit.
    next_call: Instant,
    /// It was called since its orders were asked for.
    called: bool,
    /// Nothing is pushed to any system.
    pushing_stopped: bool,
    /// When nothing might be sent to this one last, for it is paused, or watched: what waited for that says nothing of its lag.
    kept_back_at: Option<Instant>,
    /// Orders that it ships.
    outbound: outbound::Outbound,
    parcels: parcels::Parcels,
    /// The numbers of a system that is one-way in.
    heard: heard::Heard,
    /// When it is looked next whether what our books do not take is still to be taken.
    next_tidy: Instant,
    /// Somebody linked its listings, or may have: when it is looked which of them still wait for a person.
    review_at: Option<Instant>,
    /// What it says of its stock that cannot be, and a person was told of.
    impossible: BTreeSet<String>,
    /// What a file of its own says that it shows, until it is judged.
    seen: BTreeMap<String, Quantity>,
    /// What a person asked for, under way.
    asked: Option<asked::Now>,
    /// The batch that is on its way.
    batch: Option<timing::Batch>,
    /// When zeros were sent that no order explains, lately: each listing once.
    zeros_sent: BTreeMap<String, Instant>,
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
        channel.run_by(interchange::Notes::of(&handle, tenant, id, &system.name));
        let mut worker = Self {
            handle,
            tenant,
            id,
            system,
            channel,
            pace,
            lines: Lines::default(),
            by_item: BTreeMap::new(),
            index: Index::default(),
            changing: BTreeSet::new(),
            next_due: None,
            refresh_due: false,
            status: WorkerStatus::default(),
            status_kept_at: now,
            seq: 0,
            stale: true,
            read_back: BTreeSet::new(),
            read_later: BTreeSet::new(),
            sends_since: None,
            unkept: BTreeSet::new(),
            untold_stops: BTreeSet::new(),
            relinked: BTreeSet::new(),
            next_orders: now,
            next_read: now,
            next_reconcile: now,
            next_stock: now,
            next_revival: now,
            reconciled_to: None,
            confirm_at: None,
            failures: 0,
            random: tenant.0.wrapping_mul(0x9E37_79B9_7F4A_7C15) ^ id.0,
            rest_until: now,
            is_throttled: false,
            next_look: now,
            lost_rounds: 0,
            next_push: now,
            next_call: now,
            called: true,
            pushing_stopped: false,
            kept_back_at: None,
            outbound: outbound::Outbound::default(),
            parcels: parcels::Parcels::default(),
            heard: heard::Heard::default(),
            impossible: BTreeSet::new(),
            next_tidy: Instant::MIN,
            review_at: Some(now.plus_micros(REVIEW_AFTER)),
            seen: BTreeMap::new(),
            asked: None,
            batch: None,
            zeros_sent: BTreeMap::new(),
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
    ///
    /// Boxed, so that it is compiled once, and not again in each program that has a worker.
    pub fn step(&mut self) -> Pin<Box<dyn Future<Output = Instant> + Send + '_>> {
        Box::pin(self.step_now())
    }

    async fn step_now(&mut self) -> Instant {
        if self.failures > 0 && self.now() < self.rest_until && !self.is_asked_anew().await {
            return self.rest_until.min(self.next_look);
        }
        let mut done = self.work().await;
        if !self.may_send() {
            self.kept_back_at = Some(self.now());
        }
        // Where nobody knows what is kept, nothing more is.
        if !matches!(done, Err(WorkerError::Submit(_)))
            && let Err(error) = self.keep_since().await
        {
            done = Err(error);
        }
        self.leave_figures(&done);
        let now = self.now();
        let trouble = match &done {
            Err(error) if self.failures + 1 >= OPEN_AFTER => {
                let times = self.failures + 1;
                Some(format!(
                    "{error}, {times} times in a row; one call at a time tries it, nothing is sent meanwhile"
                ))
            }
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
            if trouble.is_none() || self.status.trouble.is_none() {
                self.status.trouble_since = trouble.is_some().then_some(now);
            }
            self.status.needs_somebody =
                matches!(done, Err(WorkerError::Channel(ChannelError::Credentials { .. })));
            self.status.trouble = trouble;
            if let Err(error) = self.keep_status().await {
                tracing::warn!(%error, "the status of a system could not be kept");
            }
        }
        if let Err(error) = done {
            if matches!(error, WorkerError::Submit(_)) {
                self.forget();
            }
            self.failures += 1;
            self.asked_in_vain(&error, self.failures).await;
            self.random = next_random(self.random);
            let rest = rest_ms(error.failure(), self.failures, self.random);
            self.rest_until = now.plus_micros(rest * 1_000);
            self.is_throttled = matches!(error.failure(), Failure::Throttled(_));
            self.next_look = now.plus_seconds(LOOK_SECONDS);
            return self.rest_until.min(self.next_look);
        }
        self.failures = 0;
        // What time alone changes is sent in its time, whoever else calls.
        let by_time = self.changing.first().map(|(at, _)| *at);
        let orders_at = self.next_orders.max(self.next_call);
        let sent_at = self.outbound.next().map(|at| at.max(self.next_call));
        let mut next = [by_time, self.next_due, sent_at].into_iter().flatten().fold(orders_at, Instant::min);
        if std::mem::take(&mut self.refresh_due) {
            next = now;
        }
        if self.reads() {
            let is_any = !self.read_back.is_empty() || !self.read_later.is_empty();
            let reading = if is_any { self.next_read } else { self.next_reconcile };
            next = next.min(reading.max(self.next_call)).min(self.next_reconcile);
        }
        if self.reconciled_to.is_some() && self.read_back.len() < PART {
            next = next.min(self.next_call.max(now));
        }
        let may_push_at = self.next_push.max(self.next_call);
        if may_push_at > now && !self.differences(now, 1).is_empty() {
            next = next.min(may_push_at);
        }
        next.min(self.next_due(now).unwrap_or(next)).min(self.review_at.unwrap_or(next))
    }

    /// Looks which of its listings wait for a person by now.
    async fn review_listings(&mut self) -> Result<(), WorkerError> {
        self.review_at = None;
        match review(&self.handle, self.tenant, self.id).await {
            Ok(true) => {}
            Ok(false) => self.review_at = Some(self.now().plus_micros(REVIEW_AFTER)),
            Err(AddError::Submit(error)) => return Err(error.into()),
            Err(error) => {
                tracing::warn!(system = self.system.name, %error, "its listings cannot be looked at")
            }
        }
        Ok(())
    }

    /// What it comes to now, for whoever watches.
    fn leave_figures(&mut self, done: &Result<(), WorkerError>) {
        let sends = self.system.mode.direction.sends();
        let standing = if sends { self.lines.standing() } else { Standing::default() };
        self.figures(|figures| {
            figures.name.clone_from(&self.system.name);
            figures.standing = Some(standing);
            let is_throttled = matches!(done, Err(WorkerError::Channel(ChannelError::Throttled { .. })));
            figures.throttled += u64::from(is_throttled);
        });
    }

    fn figures(&self, note: impl FnOnce(&mut OfSystem)) {
        self.handle.ledger().figures().of((self.tenant, self.id), note);
    }

    /// Nobody knows whether what was to be kept is kept: what is known of its listings is what the store says, as after a crash.
    fn forget(&mut self) {
        self.lines = lines::Lines::default();
        self.untold.clear();
        self.untold_stops.clear();
        self.unkept.clear();
        self.batch = None;
        self.outbound.rescan();
        self.stale = true;
    }

    async fn work(&mut self) -> Result<(), WorkerError> {
        // What an order changes is kept of listings that are known.
        if self.stale {
            self.refresh().await?;
        }
        // The circuit is open: one light call says whether there is anybody.
        if self.failures >= OPEN_AFTER {
            // How far behind it is follows from what changes here meanwhile.
            self.refresh().await?;
            self.orders().await?;
        }
        self.refresh().await?;
        for key in self.untold_stops.clone() {
            self.tell_stop(&key).await?;
        }
        if self.review_at.is_some_and(|at| at <= self.now()) {
            self.review_listings().await?;
        }
        if self.is_hinted() {
            self.next_orders = self.now();
            // Its number may be what has changed, and nobody else tells of that.
            if !self.system.mode.direction.sends() && self.lines.len() <= PART {
                self.next_reconcile = self.now();
            }
        }
        if self.now() >= self.next_orders && self.may_call() {
            self.take_up().await?;
        }
        self.send_orders().await?;
        // Where each call counts, sending and hearing take turns.
        let orders_first = self.called && self.now() >= self.next_orders && self.channel.budget().is_some();
        if !orders_first {
            self.push().await?;
        }
        let reads = self.reads();
        let reads_wait = self.do_reads_wait();
        if !reads_wait {
            self.read_back.append(&mut self.read_later);
        }
        if reads && self.now() >= self.next_reconcile {
            self.next_reconcile = self.now().plus_micros(self.pace.reconcile_ms * 1_000);
            self.reconciled_to.get_or_insert_default();
        }
        // All of them in parts, so that there is never more in memory, and what changes meanwhile goes in between.
        let may_go_on = reads && !reads_wait && self.may_call() && self.read_back.len() < PART;
        if may_go_on && let Some(after) = self.reconciled_to.take() {
            let part = self.lines.keys_after(&after, PART);
            self.reconciled_to = part.last().filter(|_| part.len() == PART).cloned();
            if self.reconciled_to.is_none() {
                self.confirm_at = Some(self.now());
            }
            self.read_back.extend(part);
            self.next_read = self.now();
        }
        if reads
            && !orders_first
            && self.may_call()
            && !self.read_back.is_empty()
            && self.now() >= self.next_read
        {
            // What is read for the first time has in it all that was sold before: that is heard of first.
            if self.lines.has_new() && self.called {
                self.orders().await?;
            }
            // What was read can only be judged once the orders up to then are known.
            if self.read().await? {
                self.next_orders = self.now();
            }
            self.go_on().await?;
        }
        if self.now() >= self.next_orders && self.may_call() {
            self.orders().await?;
            self.next_orders = self.now().plus_micros(self.pace.orders_ms * 1_000);
            self.read_stock().await?;
            self.revive_webhooks().await?;
            self.judge().await?;
            self.refresh().await?;
            self.send_orders().await?;
            self.push().await?;
            self.tell_parcels().await?;
        }
        self.go_on().await
    }

    /// May the system be called, by what it says of its limit?
    fn may_call(&self) -> bool {
        self.now() >= self.next_call
    }

    /// May anything be sent at all?
    fn may_send(&self) -> bool {
        self.system.is_sent_to() && !self.pushing_stopped && self.system.mode.direction.sends()
    }

    fn command(&self, body: Body) -> Command {
        Command { key: None, fingerprint: 0, actor: self.system.name.clone(), body }
    }

    async fn keep_status(&mut self) -> Result<(), WorkerError> {
        self.status_kept_at = self.now();
        self.handle.submit_with(self.tenant, None, vec![self.status_note()]).await?;
        Ok(())
    }

    /// Keeps the state of these listings.
    async fn keep(&mut self, keys: &[String]) -> Result<(), WorkerError> {
        for part in keys.chunks(KEPT) {
            let sends = self.system.mode.direction.sends();
            for key in part.iter().filter(|_| sends) {
                if let Some(mut line) = self.lines.get_mut(key) {
                    line.state.differs_since = line.changed_at;
                }
            }
            let note = |key: &String| Some(shown_note(self.id, key, &self.lines.get(key)?.state));
            let notes: Vec<Note> = part.iter().filter_map(note).collect();
            if !notes.is_empty() {
                self.handle.submit_with(self.tenant, None, notes).await?;
            }
            let now = self.now();
            for key in part {
                self.unkept.remove(key);
                if let Some(mut line) = self.lines.get_mut(key) {
                    line.kept_at = now;
                }
            }
        }
        Ok(())
    }

    /// Keeps since when lines differ that were not sent at once, some at a time: whoever asks why is told.
    async fn keep_since(&mut self) -> Result<(), WorkerError> {
        let some = std::iter::from_fn(|| self.unkept.pop_first()).take(KEPT);
        let differs = |line: &Line| line.differs() && line.state.observed.is_some();
        let keys: Vec<String> = some.filter(|key| self.lines.get(key).is_some_and(differs)).collect();
        self.keep(&keys).await
    }

    /// The remote ids of these lines' listings, each once.
    fn listings_of(&self, keys: &[String]) -> Vec<String> {
        let listings: BTreeSet<&String> =
            keys.iter().filter_map(|key| Some(&self.lines.get(key)?.listing.remote_id)).collect();
        listings.into_iter().cloned().collect()
    }
}

/// What its listings came to is known to nobody here any more.
impl Drop for Worker {
    fn drop(&mut self) {
        self.figures(|figures| figures.standing = None);
    }
}
