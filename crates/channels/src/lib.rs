//! Outside systems, one module each behind one small trait.
//!
//! A channel only speaks the system's language: it decides nothing about stock. Wire types and conversions live
//! in a file apart from the logic; limits and quirks are data with the vendor's page as their source.
//! What is not its business: retries across calls, schedules, and judging differences (see `engine`, `sync`).

pub mod address;
pub mod arrived;
pub mod edi;
pub mod expected;
pub mod files;
pub mod host;
pub mod medusa;
pub mod notice;
pub mod outgoing;
mod peer;
pub mod protocol;
mod reach;
pub mod recount;
pub mod shop;
pub mod shopify;
pub mod signed;
pub mod skulabs;
pub mod systems_at;
pub mod vendure;
pub mod webhook;
pub mod woocommerce;

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use onhand_ledger::{Instant, Quantity};
use serde::de::{DeserializeOwned, Error as _};
use serde::{Deserialize, Deserializer, Serialize};

use arrived::{Arrived, Settled};
use expected::{Announcement, Received, ReceivedPage};
use host::Host;
use outgoing::{FollowedPage, Outgoing, Sent};
use recount::{RecountRequest, Recounted, RecountedPage};
use webhook::WebhookScheme;

/// What the number that a system shows for a listing means.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Meaning {
    /// Goods on the shelf, whatever was ordered.
    PhysicalOnHand,
    /// What its customers can still buy: the system has taken off the orders it knows by itself.
    SellableNetOfOwnOrders,
    /// Simply what it was last told, lowered by nothing.
    Shown,
}

/// Something sellable as the system knows it.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct RemoteListing {
    /// The system's own id of it, stable for ever.
    pub remote_id: String,
    /// Its SKU over there, if it has one.
    pub sku: Option<String>,
    /// A name a person recognises.
    pub name: String,
    /// Its barcode, where the system tells.
    pub barcode: Option<String>,
    /// Does the system track stock of it? If not, it sells it without end.
    pub tracked: bool,
}

/// A place of stock as the system knows it.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct RemoteLocation {
    /// The system's own id of it.
    pub remote_id: String,
    /// A name a person recognises.
    pub name: String,
}

/// What was found at a system.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct Discovery {
    /// All listings.
    pub listings: Vec<RemoteListing>,
    /// All stock locations.
    pub locations: Vec<RemoteLocation>,
}

/// The number of one listing at one remote location, as read back.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Reading {
    /// The listing's remote id.
    pub listing: String,
    /// The remote location's id.
    pub location: String,
    /// What customers can buy (for [`Meaning::SellableNetOfOwnOrders`]), or the number shown.
    pub quantity: Quantity,
    /// Goods on the shelf as that system has it, where it tells.
    pub on_hand: Option<Quantity>,
    /// What that system has set aside for orders it has not shipped, where it tells.
    pub allocated: Option<Quantity>,
    /// Does it track stock of the listing? If not, it sells it without end, whatever the number.
    pub tracked: bool,
}

/// All that lies at a location, at one instant, as its master has it.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct RemoteStock {
    /// When that was so, by the master's clock.
    pub as_of: Instant,
    /// What lies there.
    pub rows: Vec<RemoteRow>,
    /// Is it all that lies there? What it leaves out is not gone where it is not.
    #[serde(skip, default = "yes")]
    pub is_whole: bool,
}

const fn yes() -> bool {
    true
}

/// So much of something at a location.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct RemoteRow {
    /// The listing's remote id.
    #[serde(rename = "item")]
    pub listing: String,
    /// How much.
    pub quantity: Quantity,
    /// Of which lot, where these are told apart.
    #[serde(default)]
    pub lot: Option<String>,
}

/// What a listing shall show at a remote location from now on.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Push {
    /// The listing's remote id.
    pub listing: String,
    /// The remote location's id.
    pub location: String,
    /// What customers shall be able to buy (see [`Reading::quantity`]). Never negative.
    pub quantity: Quantity,
    /// The newest `seq` of our log that had been committed when `quantity` was read.
    pub seq: u64,
    /// Its number just before, where the channel asks for it ([`Channel::reads_before_push`]) and the listing is
    /// still there. All orders that the system had by then are in `quantity`.
    pub before: Option<Reading>,
    /// What it shows by what we know, where the channel compares ([`Channel::compares`]): set only if it does.
    pub expected: Option<Quantity>,
}

/// How one push ended.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "result")]
pub enum Pushed {
    /// The system has said that it shows the number.
    Acknowledged,
    /// Nothing may be known of it: the answer was lost. Read it again before judging.
    Unknown {
        /// What happened, for a person.
        reason: String,
    },
    /// It does not show what we expected: nothing was set. It is read and judged first.
    Stale {
        /// What it shows.
        shows: Quantity,
    },
    /// The system refused, and will again until somebody acts.
    Refused {
        /// What it said, for a person.
        reason: String,
    },
}

/// One line of an order over there.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct RemoteOrderLine {
    /// The system's own id of the line.
    pub line: String,
    /// The listing's remote id.
    pub listing: String,
    /// How much is wanted now: ordered, less what was cancelled.
    pub quantity: Quantity,
    /// How much of it has left, by that system's word.
    pub shipped: Quantity,
    /// How much came back, by that system's word.
    pub returned: Quantity,
    /// How much is wanted no more and was not put on sale again over there: its number did not rise by it.
    #[serde(default)]
    pub withheld: Quantity,
    /// At which of its locations its number fell by this line, and by how much it still does; empty where it does not say: then at any.
    #[serde(default)]
    pub places: Vec<(String, Quantity)>,
}

/// A document as its system tells it, names and addresses and all, as JSON. It goes where it is sealed and nowhere else: it is
/// part of no `Debug` and of no evidence.
#[derive(Clone, PartialEq, Eq)]
pub struct Raw(String);

impl Raw {
    /// The text itself: for whoever seals it, or needs whom to send goods to.
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl From<String> for Raw {
    fn from(text: String) -> Self {
        Self(text)
    }
}

impl fmt::Debug for Raw {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Raw(…)")
    }
}

/// What we read of something, with all that was told of it.
struct Told<T> {
    content: T,
    raw: Raw,
}

impl<'de, T: DeserializeOwned> Deserialize<'de> for Told<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let value = serde_json::Value::deserialize(deserializer)?;
        let raw = Raw(value.to_string());
        Ok(Self { content: serde_json::from_value(value).map_err(D::Error::custom)?, raw })
    }
}

/// An order over there, in the state it is in now.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct RemoteOrder {
    /// The document's name: stable for ever, unique in the system.
    pub document: String,
    /// Grows with every change of the document over there (microseconds of its last update do).
    pub version: u64,
    /// When it was placed.
    pub placed_at: Instant,
    /// When it last changed over there.
    pub updated_at: Instant,
    /// When the newest of what has left or come back did so.
    pub moved_at: Instant,
    /// Was it placed before we were connected, and done with by then? It is nothing new then, unless it is known.
    pub history: bool,
    /// All of it cancelled?
    pub cancelled: bool,
    /// Its lines.
    pub lines: Vec<RemoteOrderLine>,
    /// All that its system tells of it, where it tells whom it is for.
    #[serde(skip)]
    pub raw: Option<Raw>,
}

/// Goods of an order over there that were sent by somebody else.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Parcel {
    /// Its name: the same whenever it is told, and no other parcel's of that order.
    pub name: String,
    /// The order's name ([`RemoteOrder::document`]).
    pub document: String,
    /// What was sent.
    pub lines: Vec<ParcelLine>,
    /// Who carries it.
    pub carrier: Option<String>,
    /// Its number with whoever carries it.
    pub number: Option<String>,
    /// Where it can be followed.
    pub url: Option<String>,
}

/// A part of a line that was sent.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct ParcelLine {
    /// The line's id ([`RemoteOrderLine::line`]).
    pub line: String,
    /// How much of it.
    pub quantity: Quantity,
}

/// How telling of a parcel ended.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "result")]
pub enum ParcelTold {
    /// The system has it as sent.
    Told,
    /// Nothing may be known of it: the answer was lost. It can be told again, once the system's own word of the order was heard.
    Unknown {
        /// What happened, for a person.
        reason: String,
    },
    /// The system refused, and will again until somebody acts.
    Refused {
        /// What it said, for a person.
        reason: String,
    },
}

/// Orders that changed since a cursor.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct OrderPage {
    /// The orders, oldest change first.
    pub orders: Vec<RemoteOrder>,
    /// Where to go on from; opaque to everyone but the channel.
    pub cursor: String,
    /// Is there more right now?
    pub more: bool,
}

/// Why a call to a system failed as a whole.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum ChannelError {
    /// It did not answer, or not in time, or with an error of its own: worth trying again.
    #[error("{system} cannot be reached: {reason}")]
    Unreachable {
        /// Which system.
        system: String,
        /// What happened.
        reason: String,
    },
    /// It asks us to wait.
    #[error("{system} asks us to slow down{}", retry_after_seconds.map_or(String::new(), |s| format!(": wait {s} s")))]
    Throttled {
        /// Which system.
        system: String,
        /// Seconds to wait, where it says so.
        retry_after_seconds: Option<u64>,
    },
    /// Our credentials are not accepted: a person must act.
    #[error("{system} does not accept these credentials: {reason}")]
    Credentials {
        /// Which system.
        system: String,
        /// What it said.
        reason: String,
    },
    /// It may not be called at that address: a person must give another.
    #[error("{system} cannot be called at this address: {reason}")]
    Address {
        /// Which system.
        system: String,
        /// Why, and what would be right.
        reason: String,
    },
    /// A setting of it is not as it must be: a person must give another.
    #[error("{system} cannot be connected: {reason}")]
    Settings {
        /// Which system.
        system: String,
        /// Which setting, and what would be right.
        reason: String,
    },
    /// It answered something this channel does not understand.
    #[error("{system} answered something unexpected: {reason}")]
    Unexpected {
        /// Which system.
        system: String,
        /// What it said, cut to a few hundred characters.
        reason: String,
    },
}

/// What a system said last of its own limit, in units of its own (points of a GraphQL cost, calls): data, as the channel read it
/// from the last answer.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Budget {
    /// Left after that answer.
    pub remaining: u32,
    /// Comes back each second.
    pub refill_per_second: u32,
    /// What one [`Channel::push`] of a whole batch costs.
    pub cost: u32,
}

/// What the clock of an HTTP server says, by the `Date` of whatever it answers at an address
/// (<https://www.rfc-editor.org/rfc/rfc9110#name-date>); to the second, rounded down.
pub(crate) async fn date_of(http: &reqwest::Client, url: &str) -> Option<Instant> {
    date_in(http.get(url).send().await.ok()?.headers())
}

impl ChannelError {
    /// An answer that is not understood; of what it said, as much as a person reads.
    pub(crate) fn unexpected(system: &str, reason: impl ToString) -> Self {
        let reason = reason.to_string().chars().take(300).collect();
        Self::Unexpected { system: system.to_owned(), reason }
    }
}

/// What a mutex keeps, whoever panicked with it: nothing that is kept so is ever half changed.
pub(crate) fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What a text says, where it says anything.
pub(crate) fn told(text: Option<String>) -> Option<String> {
    text.map(|text| text.trim().to_owned()).filter(|text| !text.is_empty())
}

/// How long a connection to an outside system may take.
pub const CONNECTS_WITHIN: Duration = Duration::from_secs(5);
/// How long its answer may take, where its channel says nothing else.
pub const ANSWERS_WITHIN: Duration = Duration::from_secs(15);

/// Why a call came to nothing; of a system that hangs, how long it was waited for.
pub(crate) fn why_lost(error: reqwest::Error, longest: Duration) -> String {
    let waited = if error.is_connect() { CONNECTS_WITHIN.min(longest) } else { longest };
    if error.is_timeout() {
        return format!("it did not answer within {} s", waited.as_secs());
    }
    let error = error.without_url();
    // That it came to nothing is said already: what kept it from that is at the end of the causes.
    let mut cause: &dyn std::error::Error = &error;
    while let Some(next) = cause.source() {
        cause = next;
    }
    cause.to_string()
}

/// The `Date` of an answer.
pub(crate) fn date_in(headers: &reqwest::header::HeaderMap) -> Option<Instant> {
    let date = headers.get(reqwest::header::DATE)?.to_str().ok()?;
    let date = jiff::fmt::rfc2822::DateTimeParser::new().parse_timestamp(date).ok()?;
    Some(Instant::from_micros(date.as_microsecond()))
}

/// How late a system of which nothing better is known may tell of its orders, in milliseconds. Chosen, not measured: a list that is fed from
/// an index of its own leaves a new order out for seconds, and what somebody changed by hand can wait as long.
pub const TELLS_WITHIN_MS: i64 = 12_000;

/// What a system may take from us where it is master, beside orders.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Errand {
    /// What suppliers shall deliver there, to be expected.
    Receipts,
    /// Transfers: out of there as orders to ship, into it to be expected.
    Transfers,
    /// Requests to count again.
    Recounts,
    /// What customers send back there, to be expected.
    Returns,
}

impl Errand {
    /// All there are.
    pub const ALL: [Self; 4] = [Self::Receipts, Self::Transfers, Self::Recounts, Self::Returns];

    /// As people call it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Receipts => "expected receipts",
            Self::Transfers => "transfers",
            Self::Recounts => "requests for a recount",
            Self::Returns => "expected returns",
        }
    }
}

/// One outside system, spoken to over its own API.
#[async_trait::async_trait]
pub trait Channel: Send + Sync {
    /// What its numbers mean.
    fn meaning(&self) -> Meaning;

    /// It is run by this one from now on. Only a channel that has something to remember wants to know.
    fn run_by(&self, _host: Arc<dyn Host>) {}

    /// How many listings one [`Channel::push`] or [`Channel::read`] call takes at most.
    fn batch_size(&self) -> usize;

    /// Must the numbers be read, and the orders up to then be heard of, before a push? So where a push is computed
    /// from what the system has set aside for its own orders.
    fn reads_before_push(&self) -> bool {
        false
    }

    /// Is what it is written a difference to what is there, rather than a number? Then what arrives late makes any number.
    fn writes_differences(&self) -> bool {
        false
    }

    /// How its webhooks are verified; none: it sends none. What one says is a hint to look at its orders and numbers now.
    fn webhook(&self) -> Option<WebhookScheme> {
        None
    }

    /// How late it may tell of what it did by itself, in milliseconds: an order that moved a number is in [`Channel::orders`] so long after
    /// that at the latest. For as long a number that nothing explains is looked at, before it is called somebody's change; at least
    /// for as long as a reading may be of a while ago. A channel that knows better than [`TELLS_WITHIN_MS`] says so, with its source.
    fn tells_within_ms(&self) -> i64 {
        TELLS_WITHIN_MS
    }

    /// What it signs its webhooks with, where that is a part of what lets us in.
    fn signing_secret(&self) -> Option<&str> {
        None
    }

    /// Has its webhooks sent to this address from now on, and to no earlier one of ours. False where somebody must do that over there.
    async fn register_webhook(&self, _address: &str) -> Result<bool, ChannelError> {
        Ok(false)
    }

    /// Those of our webhooks that it ended by itself are on again: their topics. None where it ends none, or takes no word of it.
    async fn revive_webhooks(&self) -> Result<Vec<String>, ChannelError> {
        Ok(Vec::new())
    }

    /// Has it compare-and-set: is a number set only where it shows [`Push::expected`]?
    fn compares(&self) -> bool {
        false
    }

    /// What it said last of its own limit; none where it says nothing, and the worker goes by its refusals alone.
    fn budget(&self) -> Option<Budget> {
        None
    }

    /// Are we let in, and may we do what we must? Changes nothing.
    async fn test(&self) -> Result<(), ChannelError> {
        self.discover().await.map(drop)
    }

    /// What its clock says; none where it does not tell.
    async fn clock(&self) -> Result<Option<Instant>, ChannelError> {
        Ok(None)
    }

    /// Everything sellable and every stock location.
    async fn discover(&self) -> Result<Discovery, ChannelError>;

    /// The numbers of these listings (remote ids) at all locations; listings that are gone are left out.
    async fn read(&self, listings: &[String]) -> Result<Vec<Reading>, ChannelError>;

    /// Sets numbers. One result for each push, in order.
    async fn push(&self, pushes: &[Push]) -> Result<Vec<Pushed>, ChannelError>;

    /// Can it be asked what it shows? Else it shows what it was last told, until a file of its own says otherwise.
    fn shows_back(&self) -> bool {
        true
    }

    /// Does a push replace all that it shows? Then what is not pushed goes beside it ([`Channel::push_beside`]).
    fn pushes_whole(&self) -> bool {
        false
    }

    /// Sets numbers, and says what those show that stay: listing, location, number.
    async fn push_beside(
        &self,
        pushes: &[Push],
        _beside: &[(String, String, Quantity)],
    ) -> Result<Vec<Pushed>, ChannelError> {
        self.push(pushes).await
    }

    /// Does it have whatever we have, by our SKUs? Then these are its listings, whatever it discovers.
    fn lists_ours(&self) -> bool {
        false
    }

    /// What it is told is shown by a file of its own after so long at most, in seconds: one written earlier says nothing about it.
    fn taken_over_seconds(&self) -> i64 {
        0
    }

    /// Do files come from it?
    fn brings_files(&self) -> bool {
        false
    }

    /// A file should come so often, in seconds; none: whenever it does.
    fn expected_seconds(&self) -> Option<i64> {
        None
    }

    /// The next file that came. The same again, after a crash too, until it is settled.
    async fn arrived(&self) -> Result<Option<Arrived>, ChannelError> {
        Ok(None)
    }

    /// Puts a file away, with what became of it.
    async fn settle(&self, _arrived: &Arrived, _settled: &Settled) -> Result<(), ChannelError> {
        Ok(())
    }

    /// Orders that changed since `cursor` (none: since the beginning of what counts, see the channel's page).
    async fn orders(&self, cursor: Option<&str>) -> Result<OrderPage, ChannelError>;

    /// Can it be told that goods of its orders have left?
    fn marks_shipped(&self) -> bool {
        false
    }

    /// Has it know that goods of an order of its own have left, where somebody else sent them. One that it was told before is not told again.
    async fn mark_shipped(&self, _parcel: &Parcel) -> Result<ParcelTold, ChannelError> {
        Ok(ParcelTold::Refused { reason: "it is not told of parcels".to_owned() })
    }

    /// Can it be asked for all that lies at a location, at one instant? An outside master's stock is taken from that.
    fn tells_stock(&self) -> bool {
        false
    }

    /// Is what it shows what lies there, less what its own orders have set aside? Then an outside master's stock is taken from that, where
    /// it cannot be asked for all of it at one instant.
    fn shows_stock(&self) -> bool {
        self.shows_back() && !self.tells_stock() && self.meaning() == Meaning::SellableNetOfOwnOrders
    }

    /// All that lies at a location, where it can be asked ([`Channel::tells_stock`]).
    async fn stock(&self, location: &str) -> Result<RemoteStock, ChannelError> {
        let reason = format!("it cannot be asked what lies at `{location}`");
        Err(ChannelError::Unexpected { system: String::new(), reason })
    }

    /// Does it take orders that it shall ship, and say what becomes of them? Where it does not, nothing is sent to it.
    fn takes_orders(&self) -> bool {
        false
    }

    /// Sends orders, or what has changed of them: at most [`Channel::batch_size`]. One result for each, in order.
    async fn send(&self, orders: &[Outgoing]) -> Result<Vec<Sent>, ChannelError> {
        let reason = || "this channel sends no orders".to_owned();
        Ok(orders.iter().map(|_| Sent::Unknown { reason: reason() }).collect())
    }

    /// What of the orders that were sent has changed since `cursor` (none: since the first was sent).
    async fn followed(&self, cursor: Option<&str>) -> Result<FollowedPage, ChannelError> {
        Ok(FollowedPage { cursor: cursor.unwrap_or_default().to_owned(), ..FollowedPage::default() })
    }

    /// What else it takes where it is master, and says what becomes of, by its own word now. What is not here it is never sent.
    async fn takes(&self) -> Result<Vec<Errand>, ChannelError> {
        Ok(Vec::new())
    }

    /// Sends announcements of goods, or what has changed of them: at most [`Channel::batch_size`]. One result for each, in order.
    async fn announce(&self, announcements: &[Announcement]) -> Result<Vec<Sent<Received>>, ChannelError> {
        Ok(announcements.iter().map(|_| never_sent()).collect())
    }

    /// What of the announcements has changed since `cursor` (none: since the first was sent).
    async fn received(&self, cursor: Option<&str>) -> Result<ReceivedPage, ChannelError> {
        Ok(ReceivedPage { cursor: cursor.unwrap_or_default().to_owned(), ..ReceivedPage::default() })
    }

    /// Sends requests to count again, or what has changed of them: at most [`Channel::batch_size`]. One result for each, in order.
    async fn ask_recounts(&self, requests: &[RecountRequest]) -> Result<Vec<Sent<Recounted>>, ChannelError> {
        Ok(requests.iter().map(|_| never_sent()).collect())
    }

    /// What of the requests to count again has changed since `cursor` (none: since the first was sent).
    async fn recounted(&self, cursor: Option<&str>) -> Result<RecountedPage, ChannelError> {
        Ok(RecountedPage { cursor: cursor.unwrap_or_default().to_owned(), ..RecountedPage::default() })
    }
}

/// How sending ends where [`Channel::takes`] says that nothing is sent.
fn never_sent<T>() -> Sent<T> {
    Sent::Unknown { reason: "this channel does not take it".to_owned() }
}
