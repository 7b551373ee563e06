//! Connected systems: adding one, what each of its listings should show and shows, and why.

pub mod asked;
pub mod check;
pub mod connecting;
pub mod found;
pub mod opening;

use std::collections::BTreeMap;
use std::sync::Arc;

use onhand_channels::{Channel, ChannelError, RemoteLocation, address};
use onhand_ledger::command::{Document, PutSystem};
use onhand_ledger::model::{Cause, Listing, Role, Schedule, Stage, System, Timing};
use onhand_ledger::publication::Index;
use onhand_ledger::{
    Answer, Body, Command, DiscrepancyId, Instant, ItemId, Key, ListingId, Quantity, Seq, SystemId, TenantId,
    Value,
};
use onhand_store::{Note, StoreError};
use onhand_sync::missed::Unannounced;
use onhand_sync::{
    Books, Difference, Doubt, Facts, Known, Lag, OwnChange, Shown, State, Status, Stop, Trouble, Unsent,
    may_go_at, next_batch,
};
use serde::{Deserialize, Serialize};

use crate::commit::Committed;
pub use crate::published::{desired_at, desired_by};
use crate::queue::{Handle, SubmitError};
use crate::seal::{self, ResealError, Seal, SealError, Secret};
use crate::snapshots::{self, WhyUntaken};
use crate::tallies::Sums;
use crate::view::View;

use found::Discovered;

/// The notes that connections are kept in, by system id: sealed.
pub const CONNECTION: &str = "connection";
/// The notes that a system's own state is kept in, by system id.
pub const STATUS: &str = "system_status";
/// It is remembered so long what a listing showed at most, in seconds.
const MOST_FOR: i64 = 120;

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
    /// What else its channel has to know, by name.
    #[serde(default)]
    pub settings: BTreeMap<String, String>,
}

impl Connection {
    /// Is it to the same system, and as the same user where that makes a difference?
    fn is_as(&self, other: &Self) -> bool {
        let is_same_account = address::is_of_one_shop(&self.kind) || self.username == other.username;
        self.kind == other.kind && is_same_account && address::is_same(&self.kind, &self.url, &other.url)
    }

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

/// Readings are of a while ago for up to so long, in microseconds: what nothing explains, or only what was told late, is seen for as long
/// at least. What nothing explains is seen until the orders placed or changed before have been told of, however late their system may be
/// in that ([`onhand_channels::Channel::tells_within_ms`]).
pub(crate) const STALE_FOR: i64 = 3_000_000;

/// What is known of a listing at a remote location: kept beside the ledger.
#[expect(clippy::struct_excessive_bools, reason = "facts that are independent of each other")]
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct ShownState {
    /// Of which item all of this is, and of how many of it one is; none where that was never kept.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub of: Option<(ItemId, u32)>,
    /// The newest entry when it came to be that: what was sold before was not sold as this.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub of_since: Option<Seq>,
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
    /// The most that it showed in the last minutes, and when.
    #[serde(default)]
    pub most: Option<(Quantity, Instant)>,
    /// What was sent and not answered, and when it was computed.
    pub unanswered: Option<(Quantity, Instant)>,
    /// What was sent, not answered and seen not to have arrived, and when: it may arrive late, also after what was sent
    /// and acknowledged since.
    pub lost: Vec<(Quantity, Instant)>,
    /// What the system's own orders did to its number since the first of what was sent and may still arrive was computed.
    #[serde(default)]
    pub since_sent: Vec<OwnChange>,
    /// Why nothing is sent.
    pub stopped: Option<Stopped>,
    /// A change over there that nothing explains: from, to, when it was read.
    pub drift: Option<(Quantity, Quantity, Instant)>,
    /// A number that was read and that nothing explains yet, and when it was first: it is looked at again before it is believed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub suspected: Option<(Quantity, Instant)>,
    /// It was read while this was of another item, or of another number of it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub of_another: bool,
    /// What else that may be.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub doubt: Option<Doubt>,
    /// How often such a change came after a push of ours.
    pub drifts: u32,
    /// How often of these, the last ones, it came to the same number.
    #[serde(default)]
    pub same_drifts: u32,
    /// Was it pushed since the last such change?
    pub pushed_since: bool,
    /// Where a person reads of such changes that were set back: a second master's are told as one.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub told: Vec<DiscrepancyId>,
    /// And those of them that say that it is set back once sending is resumed.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub told_until_sent: Vec<DiscrepancyId>,
    /// What it should show, as far as its worker has seen, and since when.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub wanted: Option<(Quantity, Instant)>,
    /// When the first change was recorded that it does not show.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub differs_since: Option<Instant>,
    /// By how much somebody changed it over there, where a person is asked about that.
    #[serde(default)]
    pub unexplained: Quantity,
    /// Is it uncertain whether somebody did?
    #[serde(default)]
    pub doubtful: bool,
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
    /// Our books followed its number, and may not have heard of the last of it: before another is sent, a person is told what it shows.
    #[serde(default)]
    pub followed: bool,
    /// The number that our books last followed, while it has sold nothing since.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub counted: Option<Quantity>,
    /// Since when our books should follow its number, and cannot tell what it says; and why.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unheard: Option<(Instant, Unheard)>,
}

/// Why nobody can tell what a number says of the stock that lies there.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Unheard {
    /// Its orders come too close to each of its readings: it may have them in it or not.
    Selling,
    /// The same item is sold there by another listing that shows no number.
    Beside,
    /// It shows no number, or none that can be counted.
    Untracked,
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
    /// What is known when it is judged, of all that a system did up to `known_to` that may be so many microseconds late in telling of it.
    /// `clock_within`: so far its clock may be ahead of what it is taken for.
    pub fn known(&self, known_to: Instant, told_within: i64, clock_within: Option<i64>) -> Known<'_> {
        let pushed =
            self.sent.filter(|sent| sent.acknowledged_at == self.acknowledged_at && !sent.by_reading);
        let within = |at: Instant| match pushed {
            Some(sent) => (sent.at, at),
            None => (at.plus_micros(-told_within.max(STALE_FOR)), at.plus_micros(STALE_FOR)),
        };
        Known {
            acknowledged: self.acknowledged,
            acknowledged_at: self.acknowledged_at,
            acknowledged_within: self.acknowledged_at.map(within),
            changes: &self.changes,
            may_be_overwritten: self.may_be_overwritten,
            known_to,
            unanswered: self.unanswered,
            lost: &self.lost,
            most: self.most.map(|(most, _)| most),
            told_within,
            clock_within,
        }
    }

    /// What is known of it, but for when it was last read as it is.
    pub(crate) fn but_for_times(&self) -> Self {
        let observed = self.observed.map(|(quantity, _)| (quantity, Instant::MIN));
        let most = self.most.map(|(most, _)| (most, Instant::MIN));
        Self { acknowledged_at: None, observed, most, ..self.clone() }
    }

    /// It is of that many of that item from now on: what a person was asked about another is no change of this one's stock. Says why a
    /// person was asked, where one was.
    pub(crate) fn begin_anew(&mut self, item: Option<ItemId>, multiplier: u32) -> Option<Stopped> {
        let (asked, stopped) = match self.stopped.take() {
            Some(asked) if asked.why == Stop::Asked => (Some(asked), None),
            other => (None, other),
        };
        self.stopped = stopped;
        self.of = item.map(|item| (item, multiplier));
        (self.drift, self.unexplained) = (None, Quantity::ZERO);
        (self.doubtful, self.adoptable) = (false, false);
        asked
    }

    /// It shows that, from then on, as far as we know.
    pub fn acknowledge(&mut self, quantity: Quantity, at: Instant) {
        let shown = self.acknowledged.unwrap_or(quantity).max(quantity);
        let still = self.most.filter(|(most, since)| *most >= shown && since.plus_seconds(MOST_FOR) >= at);
        self.most = Some(still.unwrap_or((shown, at)));
        (self.acknowledged, self.acknowledged_at) = (Some(quantity), Some(at));
    }

    /// Was it last observed as it should be, with nothing unanswered, and nothing that is looked into?
    pub(crate) fn is_in_step(&self, desired: Quantity) -> bool {
        self.unanswered.is_none()
            && self.stopped.is_none()
            && self.suspected.is_none()
            && self.observed.is_some_and(|(quantity, _)| quantity == desired)
    }

    /// Is there anything that was sent, not answered, and may still arrive?
    pub fn may_arrive(&self) -> bool {
        self.unanswered.is_some() || !self.lost.is_empty()
    }

    /// It was read again since, as all that are not stopped, and nothing of it was another.
    pub(crate) fn confirm(&mut self, worker: &WorkerStatus) {
        if self.stopped.is_none()
            && let (Some((_, at)), Some(confirmed_at)) = (&mut self.observed, worker.confirmed_at)
        {
            *at = confirmed_at.max(*at);
        }
    }

    /// A change over there that nothing explains, while no push of ours has answered it.
    fn unanswered_drift(&self) -> Option<(Quantity, Quantity, Instant)> {
        let answered_at = self.sent.and_then(|sent| sent.acknowledged_at);
        let is_answered =
            |at: Instant| self.pushed_since || answered_at.is_some_and(|answered| answered > at);
        self.drift.filter(|(_, _, at)| !is_answered(*at))
    }

    /// What was last read, unless what was acknowledged after that is newer.
    fn newest_observed(&self) -> Option<(Quantity, Instant)> {
        self.observed.filter(|(_, at)| self.acknowledged_at.is_none_or(|newer| newer <= *at))
    }

    /// What it shows by what was read of it, or acknowledged since.
    pub(crate) fn newest(&self) -> Option<Quantity> {
        self.newest_observed().map(|(quantity, _)| quantity).or_else(|| self.shows())
    }

    /// What it may offer: what it shows, what was just read there and is looked at again, or what was sent and may have arrived, whichever
    /// is most.
    pub(crate) fn offers(&self) -> Option<Quantity> {
        let may_show = [self.suspected, self.unanswered].into_iter().flatten();
        may_show.map(|(quantity, _)| Some(quantity)).fold(self.newest(), Option::max)
    }

    /// Does it show what was last read, not what was acknowledged since, once it is known to have been read again?
    pub(crate) fn is_unconfirmed(&self) -> bool {
        let observed = self.observed.filter(|_| self.stopped.is_none() && self.newest_observed().is_none());
        observed.is_some_and(|(quantity, _)| self.shows() != Some(quantity))
    }

    /// What it shows now, as far as we know.
    pub fn shows(&self) -> Option<Quantity> {
        onhand_sync::shows(&self.known(Instant::MIN, 0, None))
    }
}

/// How a system is doing, as its worker left it.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct WorkerStatus {
    /// What it last failed with; none while it works.
    pub trouble: Option<String>,
    /// Since when it fails.
    #[serde(default)]
    pub trouble_since: Option<Instant>,
    /// Can only a person end that?
    #[serde(default)]
    pub needs_somebody: bool,
    /// Where its orders are read from next.
    pub cursor: Option<String>,
    /// All it did up to this instant is known.
    pub orders_known_to: Option<Instant>,
    /// Each of its numbers that is not stopped was read at this instant or later, and was found to be what is kept of it.
    #[serde(default)]
    pub confirmed_at: Option<Instant>,
    /// From a change to the system's acknowledgement.
    #[serde(default)]
    pub push_lag: Lag,
    /// From an order over there, by its clock, to our hearing of it.
    #[serde(default)]
    pub order_lag: Lag,
    /// The last batch that has gone began then, or batches go since then.
    #[serde(default)]
    pub batched_at: Option<Instant>,
    /// By that schedule; none: by the one there is.
    #[serde(default)]
    pub batched_by: Option<Schedule>,
    /// Its clock is ahead of ours by at least so many microseconds, as its orders show: none was heard of before it happened.
    #[serde(default)]
    pub clock_ahead_micros: Option<i64>,
    /// And by no more than so many: what is new had not happened when all before had been heard of.
    #[serde(default)]
    pub clock_ahead_at_most_micros: Option<i64>,
    /// What was told of changes that are to be adopted and cannot be.
    #[serde(default)]
    pub cannot_adopt: Option<(DiscrepancyId, String)>,
    /// Its messages that something happened.
    #[serde(default)]
    pub hooks: Hooks,
    /// When a file of it last came, where it brings any.
    #[serde(default)]
    pub file_heard_at: Option<Instant>,
    /// Where a person reads that a file is missing.
    #[serde(default)]
    pub file_missed: Option<DiscrepancyId>,
}

impl WorkerStatus {
    /// When the next batch of a schedule is due: of one that has just been set, at its next time.
    pub(crate) fn next_batch(&self, schedule: &Schedule, now: Instant) -> Instant {
        let last = self.batched_at.filter(|_| self.is_batched_by(schedule));
        next_batch(schedule, last.unwrap_or(now))
    }

    /// Is it the schedule by which the last batch has gone?
    pub(crate) fn is_batched_by(&self, schedule: &Schedule) -> bool {
        let is_as = |by: &Schedule| (&by.cron, &by.time_zone) == (&schedule.cron, &schedule.time_zone);
        self.batched_by.as_ref().is_none_or(is_as)
    }

    /// So far, in microseconds, the system's clock may be ahead of what it is taken for. None where nothing says.
    pub fn clock_within(&self) -> Option<i64> {
        Some(self.clock_ahead_at_most_micros? - self.clock_ahead_micros?)
    }
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

/// The listing of which a note says what it shows; none of any other note.
pub(crate) fn listing_of(note: &Note) -> Option<ListingId> {
    let (listing, _) = note.key.split_once('@').filter(|_| note.space.starts_with("shown:"))?;
    listing.parse().ok().map(ListingId)
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
    /// What it shows now, as far as is known: what was read or acknowledged last, and what its own orders did since.
    pub shows: Option<Quantity>,
    /// Last observed as it should be, with nothing unanswered?
    pub in_step: bool,
    /// A rule leaves the number to the system: it is neither in step nor out of step.
    pub is_skipped: bool,
    /// The system tells us its number: it should be nothing else.
    pub one_way_in: bool,
    /// Why, in plain words.
    pub explanation: String,
}

impl ItemShown {
    /// Should it be another number than it is?
    pub const fn is_out_of_step(&self) -> bool {
        !self.in_step && !self.is_skipped && !self.one_way_in
    }
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
) -> Result<Option<(ItemShown, Shown, Status, ShownState)>, StoreError> {
    let Some(should) = desired_by(view, index, id, listing, system, remote_location)? else {
        return Ok(None);
    };
    let mut state: ShownState =
        read_note(view, &shown_space(listing.system), &shown_key(id, remote_location))?;
    state.confirm(worker);
    let in_step = !should.is_skipped && state.is_in_step(should.quantity);
    let status = Status {
        acknowledged: state.shows(),
        observed: state.newest_observed(),
        unanswered: state.unanswered,
        stopped: state.stopped.as_ref().map(|stopped| (stopped.why, stopped.reason.clone())),
        zero_rejected: state.zero_rejected,
        paused: system.paused,
        all_stopped: view.rules()?.pushing_stopped.is_some(),
        one_way_in: !system.mode.direction.sends(),
        zero_was_sent: state.sent.is_some_and(|sent| sent.quantity.is_zero()),
        books: books(view, index, listing, system, remote_location, state.unheard)?,
        next_batch: match &system.mode.timing {
            Timing::Batch(schedule) => Some(worker.next_batch(schedule, view.now)),
            Timing::NearRealTime { .. } => None,
        },
        last_batch: match &system.mode.timing {
            Timing::Batch(schedule) => worker.batched_at.filter(|_| worker.is_batched_by(schedule)),
            Timing::NearRealTime { .. } => None,
        },
        goes_at: goes_at(&system.mode.timing, &state, should.quantity),
        watched: system.stage != Stage::Live,
        trouble: worker.trouble.clone(),
        needs_somebody: worker.needs_somebody,
        suspected: state.suspected,
        did_by_itself: !state.changes.is_empty(),
        drift: state.unanswered_drift(),
        doubt: state.doubt,
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
        shows: status.shows(),
        in_step,
        is_skipped: should.is_skipped,
        one_way_in: status.one_way_in,
        explanation: onhand_sync::explain(&system.name, &status, &should, view.now),
    };
    Ok(Some((shown, should, status, state)))
}

/// When a number goes that waits for others; none where it waits for none.
fn goes_at(timing: &Timing, state: &ShownState, desired: Quantity) -> Option<Instant> {
    let difference = Difference { key: (), shows: state.shows(), desired };
    may_go_at(timing, &difference, state.differs_since).filter(|at| *at > Instant::MIN)
}

/// What our books make of a number of a system that tells us.
fn books(
    view: &mut View<'_>,
    index: &Index,
    listing: &Listing,
    system: &System,
    remote_location: &str,
    unheard: Option<(Instant, Unheard)>,
) -> Result<Books, StoreError> {
    let id = listing.system;
    if system.mode.direction.sends() || index.ownership_with(id).is_none() {
        return Ok(Books::Apart);
    }
    let ours = system.locations.iter().find(|mapping| mapping.remote_id == remote_location);
    let (Some(ours), Some(item)) = (ours.map(|mapping| mapping.location), listing.item) else {
        return Ok(Books::Apart);
    };
    let (Some(known), Some(location)) = (view.item(item)?, view.location(ours)?) else {
        return Ok(Books::Apart);
    };
    if !snapshots::is_master(view, id, (item, &known), ours)? {
        return Ok(Books::Apart);
    }
    if system.locations.iter().filter(|mapping| mapping.location == ours).count() > 1 {
        let (name, code) = (&system.name, &location.code);
        let sentence = format!(
            "Our books do not take that number: several of its locations are {code}, and none of their numbers says what lies there. \
             Map each to one of ours, or make another the master of {code} than {name}."
        );
        return Ok(Books::Differ { needs_somebody: true, sentence });
    }
    Ok(match snapshots::untaken_of(view, id, &location.code, &known.sku)? {
        Some(untaken) => Books::Differ {
            needs_somebody: !matches!(untaken.why, WhyUntaken::Rejected { .. }),
            sentence: untaken.why.sentence(&system.name),
        },
        None => match unheard {
            None => Books::Follow,
            Some((since, Unheard::Selling)) => Books::Lag { since },
            Some((_, Unheard::Beside)) => {
                let (name, sku, code) = (&system.name, &known.sku, &location.code);
                let sentence = format!(
                    "Our books do not take that number: {name} sells {sku} at {code} by another listing too, and shows no number of \
                     that. Let {name} track its stock, or unlink it."
                );
                Books::Differ { needs_somebody: true, sentence }
            }
            Some((_, Unheard::Untracked)) => {
                let (name, sku, code) = (&system.name, &known.sku, &location.code);
                let sentence = format!(
                    "Our books have what lay at {code} before: {name} shows no number of {sku} that can be counted. Let it track its \
                     stock over there, or unlink it."
                );
                Books::Differ { needs_somebody: true, sentence }
            }
        },
    })
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
    /// In which state it is.
    pub state: State,
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
    /// From a change to its acknowledgement, usually, in milliseconds; none where that is not known.
    pub usual_lag: Option<u32>,
}

/// How a system is doing.
pub fn system_status(
    view: &mut View<'_>,
    seal: &Seal,
    id: SystemId,
    system: &System,
) -> Result<SystemStatus, StoreError> {
    let worker: WorkerStatus = read_note(view, STATUS, &id.to_string())?;
    let connection = connection(view, seal, id)?;
    let connected = connection.is_some();
    let locked = connection.and_then(Result::err);
    let locked = locked.map(|error| format!("its credentials do not open: {error}"));
    let steps = connecting::sequence(view, id)?;
    let trouble = worker.trouble.clone().map(|reason| Trouble {
        reason,
        since: worker.trouble_since,
        ends_by_itself: !worker.needs_somebody,
    });
    let (sums, unsent) = if system.mode.direction.sends() {
        view.counted(|counted| (counted.of(id), counted.unsent(id)))?
    } else {
        // What a system tells us is no number of ours: it is as it should be where our books take it, or need not.
        let all = snapshots::untaken_of_all(view, id, system)?;
        let waits = |why: &WhyUntaken| !matches!(why, WhyUntaken::Rejected { .. });
        let untaken = all.iter().filter(|(_, untaken)| waits(&untaken.why)).count();
        let mut apart = 0;
        for (sku, _) in &all {
            let Some((item, _)) = view.item_by_sku(sku)? else { continue };
            apart += view.listings_of(item)?.iter().filter(|(_, listing)| listing.system == id).count();
        }
        let Sums { listings, in_step, skipped } = view.counted(|counted| counted.of(id))?;
        let in_step = (in_step + skipped).saturating_sub(apart);
        let sums = Sums { listings: listings + skipped, in_step, skipped: 0 };
        (sums, Unsent { untaken, ..Unsent::default() })
    };
    let facts = Facts {
        stage: system.stage,
        paused: system.paused,
        connected,
        locked: locked.clone(),
        trouble,
        next_step: connecting::next_step(system, &steps),
        all_stopped: system.mode.direction.sends() && view.rules()?.pushing_stopped.is_some(),
        unsent,
        one_way_in: !system.mode.direction.sends(),
        left_to_it: sums.skipped,
    };
    let trouble = locked.or(worker.trouble);
    let state = onhand_sync::state(&facts);
    let (orders_known_to, heard_at) = (worker.orders_known_to, worker.hooks.heard_at);
    let usual_lag = worker.push_lag.usual();
    let Sums { listings, in_step, skipped } = sums;
    Ok(SystemStatus { state, listings, in_step, skipped, trouble, orders_known_to, heard_at, usual_lag })
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

/// Other systems that are connected to the same: each order of theirs would count twice.
pub(crate) fn twins(
    view: &mut View<'_>,
    seal: &Seal,
    id: Option<SystemId>,
    ours: &Connection,
) -> Result<Vec<String>, StoreError> {
    // A folder may be shared by several that write files of their own.
    if ["files", "edi"].contains(&ours.kind.as_str()) {
        return Ok(Vec::new());
    }
    let all = connections(view, seal)?;
    let twin = |(other, system, theirs): (SystemId, System, Result<Connection, SealError>)| {
        let is_twin = Some(other) != id && theirs.is_ok_and(|theirs| theirs.is_as(ours));
        is_twin.then_some(system.name)
    };
    Ok(all.into_iter().filter_map(twin).collect())
}

/// Refuses to connect what is connected under another name. One that was before may be given other credentials.
fn refuse_twin(
    view: &mut View<'_>,
    seal: &Seal,
    name: &str,
    ours: &Connection,
) -> Result<Result<(), AddError>, StoreError> {
    let id = view.system_by_name(name)?.map(|(id, _)| id);
    let before = match id {
        Some(id) => connection(view, seal, id)?,
        None => None,
    };
    if matches!(before, Some(Ok(before)) if before.is_as(ours)) {
        return Ok(Ok(()));
    }
    let twin = twins(view, seal, id, ours)?.into_iter().next();
    Ok(twin.map_or(Ok(()), |other| Err(AddError::Twin { other })))
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

/// A system to be added at once.
#[derive(Clone, Debug)]
pub struct Asked<'a> {
    /// Who asks.
    pub actor: &'a str,
    /// What people call it.
    pub name: &'a str,
    /// What it is to the business.
    pub role: Option<Role>,
    /// Where its stock is.
    pub places: Places,
    /// The request's key.
    pub key: Option<String>,
    /// And its fingerprint.
    pub fingerprint: u64,
}

impl<'a> Asked<'a> {
    /// By somebody, under a name; the rest as it is usual.
    pub fn new(actor: &'a str, name: &'a str) -> Self {
        Self { actor, name, role: None, places: Places::Only(None), key: None, fingerprint: 0 }
    }
}

/// A system that was added.
#[derive(Clone, Debug)]
pub struct Added {
    /// The commit of it.
    pub committed: Committed,
    /// Its id.
    pub id: SystemId,
    /// What was found.
    pub found: Discovered,
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
    /// It has nothing at all now, which is not believed.
    #[error(
        "{system} says that it has nothing for sale, and had {}: nothing is changed; look there first", counted(*known, "listing")
    )]
    Nothing {
        /// Its name.
        system: String,
        /// How many listings it had.
        known: usize,
    },
    /// It is connected already.
    #[error(
        "{other} is connected to that address already, however it is spelt and whatever the key: each of its orders would count twice. Use \
         that one; or give another address, or another user where it has several accounts"
    )]
    Twin {
        /// Under this name.
        other: String,
    },
    /// What is kept is not as it must be.
    #[error("what is kept is damaged: {0}")]
    Damaged(String),
    /// It has several stock locations, and nobody said which of ours each is.
    #[error("it has {} stock locations: {}. Say by `locations` which of ours each is; leave out those that are not to be used", .0.len(), names_of(.0))]
    WhichLocation(Vec<RemoteLocation>),
    /// It has no such stock location.
    #[error("it has no stock location `{named}`; it has {}", names_of(there))]
    NoSuchRemote {
        /// As it was named.
        named: String,
        /// Those it has.
        there: Vec<RemoteLocation>,
    },
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

/// `1 listing`, `2 listings`.
pub(crate) fn counted(number: usize, one: &str) -> String {
    format!("{number} {one}{}", if number == 1 { "" } else { "s" })
}

fn names_of(locations: &[RemoteLocation]) -> String {
    let names = locations.iter().map(|location| format!("`{}` ({})", location.remote_id, location.name));
    names.collect::<Vec<_>>().join(", ")
}

/// Which locations of ours are behind which of a system's.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Places {
    /// Its only one is this one of ours; the first of ours unless told.
    Only(Option<String>),
    /// These: its id (or its name) and our code.
    These(Vec<(String, String)>),
}

fn places_of(
    view: &mut View<'_>,
    places: &Places,
    known: Option<&System>,
    remote: &[RemoteLocation],
) -> Result<Result<Option<Vec<(String, String)>>, AddError>, StoreError> {
    let named = match places {
        Places::These(named) => named.clone(),
        Places::Only(code) => match remote {
            [] => Vec::new(),
            [only] => vec![(only.remote_id.clone(), code.clone().unwrap_or_default())],
            // Connected again: what was mapped stays.
            _ if code.is_none() && known.is_some_and(|known| !known.locations.is_empty()) => {
                return Ok(Ok(None));
            }
            several => return Ok(Err(AddError::WhichLocation(several.to_vec()))),
        },
    };
    let mut mapped = Vec::new();
    for (theirs, ours) in named {
        let found = remote.iter().find(|remote| remote.remote_id == theirs || remote.name == theirs);
        let Some(found) = found else {
            return Ok(Err(AddError::NoSuchRemote { named: theirs, there: remote.to_vec() }));
        };
        let ours = if ours.is_empty() {
            let first = view.sites()?.all.first().copied();
            let first = first.map(|id| view.location(id)).transpose()?.flatten();
            first.map(|location| location.code).ok_or(AddError::NoLocation)
        } else {
            let known = view.location_by_code(&ours)?;
            known.map(|(_, location)| location.code).ok_or(AddError::UnknownLocation(ours))
        };
        match ours {
            Ok(ours) => mapped.push((found.remote_id.clone(), ours)),
            Err(error) => return Ok(Err(error)),
        }
    }
    Ok(Ok(Some(mapped)))
}

/// All steps at once, for scripts: signs in, discovers listings and stock locations, maps these, matches listings by SKU, keeps the
/// connection, and goes live. `key` and its fingerprint are the request's: the first of its commands has them.
pub async fn add_system(
    handle: &Handle,
    connector: &dyn Connector,
    tenant: TenantId,
    asked: Asked<'_>,
    connection: Connection,
) -> Result<Added, AddError> {
    let Asked { actor, name, role, places, key, fingerprint } = asked;
    let seal = handle.ledger().seal();
    // Before anything is changed: is there a key to keep them with?
    seal.seal(tenant, CONNECTION, "", &[])?;
    handle.ledger().read(tenant, |view| refuse_twin(view, seal, name, &connection))??;
    let channel = connector.connect(name, &connection)?;
    let remote = channel.discover().await?;
    let known = handle.ledger().read(tenant, |view| view.system_by_name(name))?.map(|(_, known)| known);
    let places = handle
        .ledger()
        .read(tenant, |view| places_of(view, &places, known.as_ref(), &remote.locations))??;
    let put = PutSystem {
        name: name.to_owned(),
        kind: connection.kind.clone(),
        locations: places,
        role,
        ..PutSystem::default()
    };
    let first = Command { key, fingerprint, ..command(actor, Body::PutSystem(put)) };
    let committed = handle.submit(tenant, first).await?;
    let Answer::System(id) = committed.answer else {
        return Err(AddError::Damaged("a system was answered with something else".to_owned()));
    };
    let found = found::discover(handle, channel.as_ref(), tenant, actor, id, true).await?;
    let mut steps = handle.ledger().read(tenant, |view| connecting::sequence(view, id))?;
    steps.tested_at = Some(handle.ledger().clock().now());
    connecting::keep_sequence(handle, tenant, id, &steps).await?;
    handle.submit_with(tenant, None, vec![connection.sealed(seal, tenant, id)?]).await?;
    // A read at its `seq` sees all of it.
    let seq = handle.ledger().read(tenant, |view| Ok::<_, StoreError>(view.seq()))?;
    Ok(Added { committed: Committed { seq: seq.max(committed.seq), ..committed }, id, found })
}

/// The connected systems that were not looked at for so long, to see what they have for sale. One that is just being connected waits
/// for whoever does that; one whose credentials do not open waits for somebody too.
pub fn due_for_discovery(
    handle: &Handle,
    tenant: TenantId,
    every_ms: i64,
) -> Result<Vec<(SystemId, System, Connection)>, StoreError> {
    let ledger = handle.ledger();
    ledger.read(tenant, |view| {
        let mut due = Vec::new();
        for (id, system, connection) in connections(view, ledger.seal())? {
            let last = connecting::sequence(view, id)?.discovered_at.unwrap_or(Instant::MIN);
            if system.stage != Stage::Connecting && last.plus_micros(every_ms * 1_000) <= view.now {
                due.extend(connection.ok().map(|connection| (id, system, connection)));
            }
        }
        Ok(due)
    })
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
    view.each_note(&space, |key, body| {
        let state = serde_json::from_str(&body)
            .map_err(|error| StoreError::Damaged(format!("note {space}/{key}: {error}")))?;
        states.insert(key, state);
        Ok(())
    })?;
    Ok(states)
}
