//! Webhooks that are sent to whoever subscribed, by Standard Webhooks.
//!
//! What changes is found by following the log (`follow`), each subscription with a cursor of its own. A message is kept, and the
//! cursor moved past what it says, in one transaction; it is gone from there once it was taken. So a crash loses none, and
//! may send one twice, under the same id. What waits is bounded: one message for each thing it is about, the newest, and where too many
//! wait the cursor does: the log is the queue, and it is there anyway.
//!
//! One node writes all of it (`outbox`); what people ask for is left in notes for it to do. What an answer means and when to try again
//! is decided by [`onhand_sync::webhooks`].

mod follow;
mod outbox;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use onhand_ledger::{Instant, ItemId, LocationId, Seq, TenantId};
use onhand_store::{Note, StoreError};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::queue::{Handle, SubmitError};
use crate::seal::{KeepError, Seal, SealError};
use crate::systems::read_note;
use crate::view::View;

pub use outbox::{Looked, Outbox, Sendable};

/// The notes that subscriptions are kept in, by name: sealed, for they have secrets.
pub const SUBSCRIPTION: &str = "subscription";
/// The notes that say how each does, by id.
const STANDING: &str = "subscription_standing";
/// The notes of messages that wait or were given up, by the subscription's id and theirs.
const WAITING: &str = "subscription_waiting";
/// The notes of messages that were taken, the last so many of each subscription.
const SENT: &str = "subscription_sent";
/// The notes of what people ask for.
const ASKED: &str = "subscription_asked";
/// So many notes are read together.
const PAGE: usize = 500;
/// A tenant has so many subscriptions at most.
pub const MOST: usize = 20;
/// So many messages of a subscription are kept that were taken.
const RING: u64 = 200;

/// What may be told.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize, Deserialize)]
pub enum Event {
    /// An item's stock at a location is other than it was.
    #[serde(rename = "stock.changed")]
    StockChanged,
    /// A discrepancy came up.
    #[serde(rename = "discrepancy.opened")]
    DiscrepancyOpened,
    /// A discrepancy ended.
    #[serde(rename = "discrepancy.resolved")]
    DiscrepancyResolved,
    /// An order came to be, or changed.
    #[serde(rename = "order.changed")]
    OrderChanged,
}

impl Event {
    /// All of them.
    pub const ALL: [Self; 4] =
        [Self::StockChanged, Self::DiscrepancyOpened, Self::DiscrepancyResolved, Self::OrderChanged];

    /// As receivers know it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::StockChanged => "stock.changed",
            Self::DiscrepancyOpened => "discrepancy.opened",
            Self::DiscrepancyResolved => "discrepancy.resolved",
            Self::OrderChanged => "order.changed",
        }
    }

    /// The one of a name.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|event| event.name() == name)
    }
}

/// What messages are signed with.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Secret {
    /// As it was shown: `whsec_…`.
    pub text: String,
    /// It counts until then; none: until it is changed for another.
    pub until: Option<Instant>,
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Secret(until {:?})", self.until)
    }
}

/// Whom to send what.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Subscription {
    /// What nobody else ever had.
    pub id: String,
    /// What people call it: 1 to 50 characters.
    pub name: String,
    /// Where messages are sent to.
    pub url: String,
    /// Which; empty: all.
    pub events: Vec<Event>,
    /// What they are signed with, the newest first.
    pub secrets: Vec<Secret>,
    /// When it came to be.
    pub made_at: Instant,
}

impl Subscription {
    /// Is it sent these?
    pub fn wants(&self, event: Event) -> bool {
        self.events.is_empty() || self.events.contains(&event)
    }

    /// What counts at an instant.
    pub fn secrets_at(&self, now: Instant) -> Vec<String> {
        let counts = |secret: &&Secret| secret.until.is_none_or(|until| now < until);
        self.secrets.iter().filter(counts).map(|secret| secret.text.clone()).collect()
    }

    /// From now on this secret signs; those before it go on until then, and no longer than they would have.
    pub fn rotate(&mut self, text: String, until: Instant, now: Instant) {
        self.secrets.retain(|secret| secret.until.is_none_or(|until| now < until));
        for secret in &mut self.secrets {
            secret.until = Some(secret.until.map_or(until, |before| before.min(until)));
        }
        self.secrets.insert(0, Secret { text, until: None });
        // Receivers look at few.
        self.secrets.truncate(4);
    }
}

/// Why nothing is sent any more, until a person says so.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Off {
    /// Since when.
    pub at: Instant,
    /// Why.
    pub why: String,
}

/// How a subscription does.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct Standing {
    /// What the log says up to here is in messages.
    pub seq: Seq,
    /// So often attempts failed since one was taken; those that were under way together are one.
    pub failures: u32,
    /// When the last of these did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failed_at: Option<Instant>,
    /// When the first of them did.
    pub failing_since: Option<Instant>,
    /// What the last of them failed with.
    pub why: String,
    /// Nothing is sent until then.
    pub rests_until: Option<Instant>,
    /// Nothing is sent until a person says so.
    pub off: Option<Off>,
    /// When a message was last taken.
    pub taken_at: Option<Instant>,
    /// So many were.
    pub taken: u64,
    /// So many wait.
    pub waiting: u64,
    /// So many were given up.
    pub given_up: u64,
    /// When one was given up last.
    pub given_up_at: Option<Instant>,
    /// Items whose stock is still to be told, although nothing of them moved.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sweep: Option<Sweep>,
}

/// Items whose stock is told one after the other.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Sweep {
    /// At these places; none: wherever they are.
    pub places: Option<BTreeSet<LocationId>>,
    /// Up to this one they were told.
    pub after: ItemId,
}

impl Sweep {
    /// Both, from the first item on.
    pub(crate) fn and(self, other: Option<Self>) -> Self {
        let places = match (self.places, other.map(|other| other.places)) {
            (Some(places), None) => Some(places),
            (Some(places), Some(Some(others))) => Some(places.into_iter().chain(others).collect()),
            _ => None,
        };
        Self { places, after: ItemId(0) }
    }
}

/// What became of a message.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Fate {
    /// It is to be sent, or sent again.
    Waiting,
    /// It was tried as often as is tried.
    GivenUp,
    /// The receiver has it.
    Taken,
}

impl Fate {
    /// As callers know it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Waiting => "waiting",
            Self::GivenUp => "given_up",
            Self::Taken => "taken",
        }
    }
}

/// One attempt to send a message.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Attempt {
    /// When.
    pub at: Instant,
    /// How long the answer took, in milliseconds.
    pub took_ms: u64,
    /// What was answered; none: nothing was.
    pub status: Option<u16>,
    /// What it said besides, or why nothing was answered.
    pub said: String,
}

/// A message: it has the same id at each attempt.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Message {
    /// Its id.
    pub id: String,
    /// What it tells.
    pub event: Event,
    /// Of what: a newer message of the same takes its place.
    pub about: String,
    /// What it says is true at this entry.
    pub seq: Seq,
    /// When it was made.
    pub made_at: Instant,
    /// What is sent, byte for byte.
    pub body: String,
    /// What became of it.
    pub fate: Fate,
    /// When it is to be sent.
    pub due_at: Instant,
    /// So many attempts failed since it was to be sent.
    pub failures: u32,
    /// When the first of them was made.
    pub tried_at: Option<Instant>,
    /// The last attempts, the oldest first.
    pub attempts: Vec<Attempt>,
}

/// What a person asks for.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Ask {
    /// It is sent messages again, those that wait and those that were given up first.
    Enable,
    /// A message is sent again.
    Resend {
        /// Its id.
        message: String,
    },
    /// What was given up is sent again.
    Replay {
        /// What was made since then; none: all.
        since: Option<Instant>,
    },
    /// The stock of all items is told as it is now.
    Stock,
    /// A message that says that it is a test.
    Test {
        /// What it tells.
        event: Event,
        /// Its id.
        message: String,
    },
}

/// A subscription, or why it does not open.
pub type Opened = Result<Subscription, SealError>;

/// All subscriptions by name.
pub fn subscriptions(view: &mut View<'_>, seal: &Seal) -> Result<Vec<(String, Opened)>, StoreError> {
    let tenant = view.tenant();
    let open = |(name, body): (String, String)| {
        let plain = seal.open(tenant, SUBSCRIPTION, &name, &body);
        let opened = plain.and_then(|plain| serde_json::from_slice(&plain).map_err(|_| SealError::Malformed));
        (name, opened)
    };
    Ok(view.notes(SUBSCRIPTION, None, usize::MAX >> 1)?.into_iter().map(open).collect())
}

/// How a subscription does.
pub fn standing(view: &mut View<'_>, id: &str) -> Result<Standing, StoreError> {
    read_note(view, STANDING, id)
}

/// The messages of a subscription that are kept, the newest first.
pub fn messages(view: &mut View<'_>, id: &str) -> Result<Vec<Message>, StoreError> {
    // One that was taken and is sent again is in both, and perhaps twice: as it is now is what was tried last.
    let mut known = BTreeMap::<String, Message>::new();
    for space in [SENT, WAITING] {
        for (_, message) in under::<Message>(view, space, id)? {
            let before = known.get(&message.id).map_or(0, |before| before.attempts.len());
            if before <= message.attempts.len() {
                known.insert(message.id.clone(), message);
            }
        }
    }
    let mut all: Vec<Message> = known.into_values().collect();
    all.sort_by(|one, other| (other.made_at, &other.id).cmp(&(one.made_at, &one.id)));
    Ok(all)
}

/// The notes of a space that are a subscription's, by their whole key.
fn under<T: DeserializeOwned>(
    view: &mut View<'_>,
    space: &str,
    id: &str,
) -> Result<Vec<(String, T)>, StoreError> {
    let prefix = format!("{id}/");
    let (mut found, mut after) = (Vec::new(), prefix.clone());
    loop {
        let page = view.notes(space, Some(&after), PAGE)?;
        let more = page.len() >= PAGE;
        for (key, body) in page {
            if !key.starts_with(&prefix) {
                return Ok(found);
            }
            let known = serde_json::from_str(&body)
                .map_err(|error| StoreError::Damaged(format!("note {space}/{key}: {error}")))?;
            after.clone_from(&key);
            found.push((key, known));
        }
        if !more {
            return Ok(found);
        }
    }
}

fn note(space: &str, key: String, body: Option<&impl Serialize>) -> Note {
    let write = |body| serde_json::to_string(body).expect("what is kept can always be written");
    Note { space: space.to_owned(), key, body: body.map(write) }
}

fn gone(space: &str, key: String) -> Note {
    Note { space: space.to_owned(), key, body: None }
}

/// Keeps a subscription, in place of the one of that name. A new one is told what comes from now on.
pub async fn keep(
    handle: &Handle,
    tenant: TenantId,
    subscription: &Subscription,
    is_new: bool,
) -> Result<(), KeepError> {
    let plain = serde_json::to_vec(subscription).expect("a subscription can always be written");
    let body = handle.ledger().seal().seal(tenant, SUBSCRIPTION, &subscription.name, &plain)?;
    let mut notes =
        vec![Note { space: SUBSCRIPTION.to_owned(), key: subscription.name.clone(), body: Some(body) }];
    if is_new {
        let seq = handle.ledger().read(tenant, |view| Ok::<_, StoreError>(view.seq()));
        let seq = seq.map_err(|error| SubmitError::Commit(error.into()))?;
        notes.push(note(STANDING, subscription.id.clone(), Some(&Standing { seq, ..Standing::default() })));
    }
    handle.submit_with(tenant, None, notes).await?;
    Ok(())
}

/// Forgets a subscription. Says whether there was one. What waits for it is let go of by the node that sends.
pub async fn forget(handle: &Handle, tenant: TenantId, name: &str) -> Result<bool, SubmitError> {
    let is_there = handle.ledger().read(tenant, |view| Ok(view.note(SUBSCRIPTION, name)?.is_some()));
    let is_there = is_there.map_err(|error: StoreError| SubmitError::Commit(error.into()))?;
    if is_there {
        handle.submit_with(tenant, None, vec![gone(SUBSCRIPTION, name.to_owned())]).await?;
    }
    Ok(is_there)
}

/// Leaves it to the node that sends to do what a person asks for. `mark` is something that no other has.
pub async fn ask(
    handle: &Handle,
    tenant: TenantId,
    id: &str,
    asked: &Ask,
    mark: &str,
) -> Result<(), SubmitError> {
    let now = handle.ledger().clock().now().micros();
    let key = format!("{id}/{now:020}-{mark}");
    handle.submit_with(tenant, None, vec![note(ASKED, key, Some(asked))]).await?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_secrets_count_while_one_is_changed_for_another() {
        let at = |seconds: i64| Instant::from_micros(seconds * 1_000_000);
        let secret = |text: &str| Secret { text: text.to_owned(), until: None };
        let mut known = Subscription {
            id: "1".to_owned(),
            name: "erp".to_owned(),
            url: String::new(),
            events: Vec::new(),
            secrets: vec![secret("old")],
            made_at: at(0),
        };
        known.rotate("new".to_owned(), at(100), at(10));
        assert_eq!(known.secrets_at(at(99)), ["new", "old"]);
        assert_eq!(known.secrets_at(at(100)), ["new"]);
        // Changed again meanwhile: nobody's time gets longer by it.
        known.rotate("newer".to_owned(), at(150), at(50));
        assert_eq!(known.secrets_at(at(99)), ["newer", "new", "old"]);
        assert_eq!(known.secrets_at(at(149)), ["newer", "new"]);
        assert_eq!(known.secrets_at(at(150)), ["newer"]);
        assert!(!format!("{known:?}").contains("newer"));
    }

    #[test]
    fn an_event_is_found_by_its_name_and_kept_by_it() {
        for event in Event::ALL {
            assert_eq!(Event::named(event.name()), Some(event));
            assert_eq!(serde_json::to_value(event).unwrap(), event.name());
        }
        assert_eq!(Event::named("stock.gone"), None);
    }
}
