//! What is remembered of a document that was sent: in which interchanges, what was said of these, and what has come of it so far.
//!
//! A partner tells parts (a 945 of one shipment, a 944 of one delivery, a 997 of one interchange), whoever sent the document wants all of
//! it at once. Parts have names, so that told twice, or in another order, they come to the same. Nothing of a person is here.

use std::collections::BTreeMap;

use onhand_ledger::{Instant, Quantity};
use serde::{Deserialize, Serialize};

use crate::expected::{Announcement, Delivery, Received, Receiving};
use crate::outgoing::{Followed, FollowedLine, Outgoing, Parcel, Progress};

/// So many versions are remembered.
const VERSIONS: usize = 30;

/// What was sent.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum What {
    /// A 940.
    Order,
    /// A 943.
    Announcement,
}

impl What {
    /// The number of its transaction set.
    pub const fn kind(self) -> &'static str {
        match self {
            Self::Order => "940",
            Self::Announcement => "943",
        }
    }
}

/// A document that was sent.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub(super) struct Sent {
    pub what: What,
    /// What was sent of it, the newest last. Never empty.
    versions: Vec<Version>,
    /// All lines it ever had, as they were sent last.
    lines: Vec<Line>,
    /// The newest version that was acknowledged; 0 while none is.
    accepted: u64,
    /// The newest version that was rejected, and why.
    rejected: Option<(u64, String)>,
    shipments: Vec<Parcel>,
    deliveries: Vec<Delivery>,
    /// Lines of which nothing more is told, and why where not all of it was done.
    closed: BTreeMap<String, Closed>,
    /// Grows with every change.
    revision: u64,
    updated_at: Instant,
}

/// One version of it.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub(super) struct Version {
    pub version: u64,
    /// The control number of its interchange, its group and its set.
    pub control: u32,
    /// When it was written; none: it may have been.
    pub written_at: Option<Instant>,
    /// It says that nothing more shall be done.
    cancels: bool,
}

/// A line, and what it is called over there.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
struct Line {
    line: String,
    listing: String,
    quantity: Quantity,
    /// What was asked for before that, and stands over there until the newest version is acknowledged.
    #[serde(default)]
    before: Quantity,
}

impl Line {
    fn of(line: &str, listing: &str, quantity: Quantity) -> Self {
        Self { line: line.to_owned(), listing: listing.to_owned(), quantity, before: Quantity::ZERO }
    }
}

/// Why nothing more is told of a line.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Closed {
    /// That was all.
    Done,
    /// There is none.
    OutOfStock,
    /// It was cancelled over there.
    Cancelled,
    /// Another item was sent instead.
    Substituted,
}

impl Closed {
    const fn reason(self) -> &'static str {
        match self {
            Self::Done => "the rest does not leave",
            Self::OutOfStock => "out of stock",
            Self::Cancelled => "cancelled",
            Self::Substituted => "another item was sent instead",
        }
    }
}

/// A document that is to be sent, as far as it matters here.
pub(super) struct Asked {
    what: What,
    version: u64,
    cancels: bool,
    lines: Vec<Line>,
}

impl Asked {
    /// What it is.
    pub const fn what(&self) -> What {
        self.what
    }
}

impl From<&Outgoing> for Asked {
    fn from(order: &Outgoing) -> Self {
        let lines = order.lines.iter();
        let lines =
            lines.map(|line| Line::of(&line.line, line.listing.as_ref().unwrap_or(&line.sku), line.quantity));
        Self { what: What::Order, version: order.version, cancels: order.cancelled, lines: lines.collect() }
    }
}

impl From<&Announcement> for Asked {
    fn from(announced: &Announcement) -> Self {
        let lines = announced.lines.iter();
        let lines =
            lines.map(|line| Line::of(&line.line, line.listing.as_ref().unwrap_or(&line.sku), line.quantity));
        let (version, cancels) = (announced.version, announced.cancelled);
        Self { what: What::Announcement, version, cancels, lines: lines.collect() }
    }
}

impl Sent {
    /// What is remembered once it is about to be sent under that control number.
    pub fn about_to_send(before: Option<Self>, asked: Asked, control: u32, now: Instant) -> Self {
        let mut sent = before.unwrap_or_else(|| Self {
            what: asked.what,
            versions: Vec::new(),
            lines: Vec::new(),
            accepted: 0,
            rejected: None,
            shipments: Vec::new(),
            deliveries: Vec::new(),
            closed: BTreeMap::new(),
            revision: 0,
            updated_at: now,
        });
        let Asked { version, cancels, lines, .. } = asked;
        let is_settled = sent.is_settled();
        sent.versions.push(Version { version, control, written_at: None, cancels });
        let spare = sent.versions.len().saturating_sub(VERSIONS);
        sent.versions.drain(..spare);
        for line in lines {
            match sent.lines.iter_mut().find(|known| known.line == line.line) {
                Some(known) => {
                    let stood = if is_settled { known.quantity } else { known.quantity.max(known.before) };
                    *known = Line { before: stood, ..line };
                }
                None => sent.lines.push(line),
            }
        }
        sent
    }

    /// What was sent as that version.
    pub fn version(&self, version: u64) -> Option<&Version> {
        self.versions.iter().find(|sent| sent.version == version)
    }

    /// It was written.
    pub fn was_written(&mut self, version: u64, at: Instant) {
        if let Some(sent) = self.versions.iter_mut().find(|sent| sent.version == version) {
            sent.written_at = Some(at);
        }
    }

    /// Is it the first that was sent, or would be?
    pub fn is_first(&self, version: u64) -> bool {
        self.versions.first().is_none_or(|first| first.version >= version)
    }

    /// Was something newer sent since?
    pub fn is_newer_than(&self, version: u64) -> bool {
        self.versions.last().is_some_and(|last| last.version > version)
    }

    /// The line that an item is called so in.
    pub fn line_of(&self, listing: &str) -> Option<&str> {
        self.lines.iter().find(|line| line.listing == listing).map(|line| line.line.as_str())
    }

    /// Why that version was rejected, where it was.
    pub fn rejected(&self, version: u64) -> Option<&str> {
        self.rejected.as_ref().filter(|(rejected, _)| *rejected == version).map(|(_, why)| why.as_str())
    }

    /// Was that version, or a newer one, acknowledged, or is something known of what became of it?
    pub fn is_answered(&self, version: u64) -> bool {
        self.accepted >= version || self.is_refused() || self.is_done()
    }

    /// Is nothing of it known over there, as the only thing said of it is that it was rejected?
    fn is_refused(&self) -> bool {
        self.rejected.is_some()
            && self.accepted == 0
            && self.shipments.is_empty()
            && self.deliveries.is_empty()
    }

    /// It was acknowledged. Says whether that is new.
    pub fn accept(&mut self, version: u64, at: Instant) -> bool {
        self.change(at, |sent| sent.accepted = sent.accepted.max(version))
    }

    /// It was rejected. Says whether it is refused as a whole by that; else what was acknowledged before still stands over there.
    pub fn reject(&mut self, version: u64, why: String, at: Instant) -> bool {
        self.change(at, |sent| {
            if version > sent.accepted && sent.rejected.as_ref().is_none_or(|(newer, _)| *newer <= version) {
                sent.rejected = Some((version, why));
            }
        });
        self.is_refused()
    }

    /// These were shipped, and of these lines nothing more will be. Gives the names of those that were told otherwise before: they stay so.
    pub fn ship(&mut self, parcels: Vec<Parcel>, closed: Vec<(String, Closed)>, at: Instant) -> Vec<String> {
        let mut differ = Vec::new();
        self.change(at, |sent| {
            for parcel in parcels {
                match sent.shipments.iter().find(|known| known.parcel == parcel.parcel) {
                    None => sent.shipments.push(parcel),
                    // Its time may be told by the interchange alone, of which this is another.
                    Some(known) if *known != (Parcel { shipped_at: known.shipped_at, ..parcel.clone() }) => {
                        differ.push(parcel.parcel);
                    }
                    Some(_) => {}
                }
            }
            sent.closed.extend(closed);
        });
        differ
    }

    /// This came in. Says whether it is as it was told before, where it was.
    pub fn receive(&mut self, delivery: Delivery, is_last: bool, at: Instant) -> bool {
        let mut is_as_told = true;
        self.change(at, |sent| {
            match sent.deliveries.iter().find(|known| known.delivery == delivery.delivery) {
                None => sent.deliveries.push(delivery),
                Some(known) => {
                    is_as_told = *known == Delivery { received_at: known.received_at, ..delivery };
                }
            }
            if is_last {
                sent.closed.extend(sent.lines.iter().map(|line| (line.line.clone(), Closed::Done)));
            }
        });
        is_as_told
    }

    /// All lines.
    pub fn lines(&self) -> impl Iterator<Item = &str> {
        self.lines.iter().map(|line| line.line.as_str())
    }

    fn change(&mut self, at: Instant, change: impl FnOnce(&mut Self)) -> bool {
        let before = self.clone();
        change(self);
        let is_changed = *self != before;
        if is_changed {
            self.revision += 1;
            self.updated_at = at.max(before.updated_at);
        }
        is_changed
    }

    /// How much of a line was shipped, or came in.
    fn moved(&self, line: &str) -> Quantity {
        let shipped = self.shipments.iter().flat_map(|parcel| &parcel.lines);
        let shipped = shipped.filter(|part| part.line == line).map(|part| part.quantity);
        let came = self.deliveries.iter().flat_map(|delivery| &delivery.lines);
        let came = came.filter(|part| part.line == line).map(|part| part.quantity);
        shipped.chain(came).sum()
    }

    /// Is the newest that was sent of it acknowledged?
    fn is_settled(&self) -> bool {
        self.versions.last().is_none_or(|newest| newest.version <= self.accepted)
    }

    /// So much of a line may leave, as far as they over there are known to have heard.
    fn asked(&self, line: &Line) -> Quantity {
        if self.is_settled() { line.quantity } else { line.quantity.max(line.before) }
    }

    fn is_done(&self) -> bool {
        let is_begun = !(self.shipments.is_empty() && self.deliveries.is_empty() && self.closed.is_empty());
        let is_over =
            |line: &Line| self.closed.contains_key(&line.line) || self.moved(&line.line) >= self.asked(line);
        is_begun && self.lines.iter().all(is_over)
    }

    fn was_cancelled(&self) -> bool {
        self.version(self.accepted).is_some_and(|version| version.cancels)
    }

    /// The version that what is said is said of: the newest that was acknowledged, or else the first, which has come if anything has.
    fn answers(&self) -> u64 {
        let first = self.versions.first().map_or(1, |version| version.version);
        if self.accepted > 0 { self.accepted } else { first }
    }

    /// Why not all of it is done.
    fn reason(&self) -> Option<String> {
        if self.is_refused() {
            return self.rejected.as_ref().map(|(_, why)| why.clone());
        }
        let lacks = |line: &&Line| self.moved(&line.line) < self.asked(line);
        let reasons = self.lines.iter().filter(lacks).filter_map(|line| {
            let why = self.closed.get(&line.line)?;
            Some(format!("{}: {}", line.listing, why.reason()))
        });
        Some(reasons.collect::<Vec<_>>().join(", ")).filter(|reasons| !reasons.is_empty())
    }

    /// How an order stands; none while nothing was said of it.
    pub fn followed(&self, document: &str) -> Option<Followed> {
        if self.revision == 0 {
            return None;
        }
        let none_left =
            self.closed.values().all(|why| *why == Closed::Cancelled) && self.shipments.is_empty();
        let progress = if self.is_refused() {
            Progress::Refused
        } else if self.is_done() && !none_left {
            Progress::Shipped
        } else if self.is_done() || self.was_cancelled() {
            Progress::Cancelled
        } else {
            Progress::Accepted
        };
        let leaves = self.lines.iter().filter(|line| self.closed.contains_key(&line.line));
        let leaves =
            leaves.map(|line| FollowedLine { line: line.line.clone(), quantity: self.moved(&line.line) });
        Some(Followed {
            document: document.to_owned(),
            version: self.answers(),
            revision: self.revision,
            updated_at: self.updated_at,
            progress,
            reason: self.reason(),
            lines: leaves.collect(),
            parcels: self.shipments.clone(),
        })
    }

    /// How an announcement stands; none while nothing was said of it.
    pub fn received(&self, document: &str) -> Option<Received> {
        if self.revision == 0 {
            return None;
        }
        let progress = if self.is_refused() {
            Receiving::Refused
        } else if self.is_done() {
            Receiving::Received
        } else if self.was_cancelled() {
            Receiving::Cancelled
        } else {
            Receiving::Accepted
        };
        Some(Received {
            document: document.to_owned(),
            version: self.answers(),
            revision: self.revision,
            updated_at: self.updated_at,
            progress,
            reason: self.reason(),
            deliveries: self.deliveries.clone(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::outgoing::ParcelLine;

    const NOON: Instant = Instant::from_micros(1_764_072_000_000_000);

    fn asked(version: u64, quantity: i64) -> Asked {
        let line = |line: &str, listing: &str| Line::of(line, listing, Quantity::units(quantity));
        let lines = vec![line("1", "MUG"), line("2", "CUP")];
        Asked { what: What::Order, version, cancels: quantity == 0, lines }
    }

    fn parcel(name: &str, line: &str, quantity: i64) -> Parcel {
        let lines =
            vec![ParcelLine { line: line.to_owned(), quantity: Quantity::units(quantity), lot: None }];
        Parcel { parcel: name.to_owned(), shipped_at: NOON, carrier: None, tracking: None, lines }
    }

    fn sent() -> Sent {
        Sent::about_to_send(None, asked(5, 3), 1, NOON)
    }

    #[test]
    fn what_was_asked_for_before_stands_until_the_change_is_acknowledged() {
        let mut sent = sent();
        sent.accept(5, NOON);
        let mut cancelled = Sent::about_to_send(Some(sent), asked(6, 0), 2, NOON);
        cancelled.ship(vec![parcel("S1", "1", 2)], Vec::new(), NOON);
        let said = cancelled.followed("onhand-1").unwrap();
        assert_eq!(
            (said.progress, said.lines.len()),
            (Progress::Accepted, 0),
            "nobody said that the rest stays"
        );
        let mut rejected = cancelled.clone();
        assert!(!rejected.reject(6, "no".to_owned(), NOON));
        assert_eq!(rejected.followed("onhand-1").unwrap().progress, Progress::Accepted);
        rejected.ship(vec![parcel("S2", "1", 1), parcel("S3", "2", 3)], Vec::new(), NOON);
        assert_eq!(rejected.followed("onhand-1").unwrap().progress, Progress::Shipped);
        cancelled.accept(6, NOON);
        assert_eq!(cancelled.followed("onhand-1").unwrap().progress, Progress::Shipped);
    }

    #[test]
    fn parts_come_to_the_same_in_any_order_and_however_often() {
        type Part = fn(&mut Sent);
        let parts: [Part; 4] = [
            |sent| {
                sent.accept(5, NOON);
            },
            |sent| drop(sent.ship(vec![parcel("A", "1", 2)], Vec::new(), NOON)),
            |sent| drop(sent.ship(vec![parcel("B", "2", 3)], Vec::new(), NOON)),
            |sent| drop(sent.ship(Vec::new(), vec![("1".to_owned(), Closed::OutOfStock)], NOON)),
        ];
        let told = |order: &[usize]| {
            let mut sent = sent();
            for part in order {
                parts[*part](&mut sent);
            }
            let mut told = sent.followed("onhand-1-2").unwrap();
            told.parcels.sort_by(|one, other| one.parcel.cmp(&other.parcel));
            told
        };
        let once = told(&[0, 1, 2, 3]);
        assert_eq!((once.progress, once.version, once.revision), (Progress::Shipped, 5, 4));
        assert_eq!(once.reason.as_deref(), Some("MUG: out of stock"));
        for order in [[3, 2, 1, 0].as_slice(), &[1, 1, 0, 3, 2, 3], &[2, 3, 0, 1, 0, 1, 2]] {
            assert_eq!(told(order), once, "{order:?}");
        }
    }

    #[test]
    fn what_is_rejected_at_first_is_refused_and_later_stays_as_it_was_acknowledged() {
        let mut at_first = sent();
        assert!(at_first.followed("d").is_none(), "nothing was said of it");
        assert!(at_first.reject(5, "bad".to_owned(), NOON));
        let told = at_first.followed("d").unwrap();
        assert_eq!((told.progress, told.reason.as_deref()), (Progress::Refused, Some("bad")));
        let mut later = sent();
        later.accept(5, NOON);
        later = Sent::about_to_send(Some(later), asked(9, 4), 2, NOON);
        assert!(!later.reject(9, "bad".to_owned(), NOON));
        let told = later.followed("d").unwrap();
        assert_eq!((told.progress, told.version), (Progress::Accepted, 5));
        assert_eq!((later.rejected(9), later.is_answered(9)), (Some("bad"), false));
    }

    #[test]
    fn a_cancellation_stands_once_it_is_acknowledged_and_what_leaves_all_the_same_is_told() {
        let mut sent = sent();
        sent.accept(5, NOON);
        sent = Sent::about_to_send(Some(sent), asked(9, 0), 2, NOON);
        assert_eq!(sent.followed("d").unwrap().progress, Progress::Accepted);
        sent.accept(9, NOON);
        assert_eq!(sent.followed("d").unwrap().progress, Progress::Cancelled);
        let before = sent.followed("d").unwrap().revision;
        sent.ship(vec![parcel("A", "1", 3)], Vec::new(), NOON);
        let told = sent.followed("d").unwrap();
        assert_eq!((told.parcels.len(), told.revision), (1, before + 1));
        let differ = sent.ship(vec![parcel("A", "1", 2)], Vec::new(), NOON);
        assert_eq!((differ, sent.followed("d").unwrap().revision), (vec!["A".to_owned()], before + 1));
    }
}
