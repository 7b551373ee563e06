//! Documents that are sent to whoever is master of the stock they are about: what is to be sent now, what an answer means, and how
//! each stands. Here: orders and transfers, which shall leave; [`crate::expected`] has what shall come in, and what shall be counted.
//!
//! Level-triggered, as numbers are: what is sent follows from what is promised at the place now and what has left of the document by
//! then, so that an amendment, a cancellation and a promise that moved elsewhere need nothing of their own. A document has a
//! name for ever and versions that grow; the newest one replaces those before it, so that a copy does no harm and what was not
//! answered is sent again. One that is over is never opened again: what is promised there later is sent as another.

use std::collections::BTreeMap;

use onhand_ledger::model::Order;
use onhand_ledger::{
    Date, DiscrepancyId, Instant, ItemId, LocationId, OrderId, PurchaseId, Quantity, ReturnId, Seq,
    TransferId,
};
use serde::{Deserialize, Serialize};

/// So many versions that may still be answered are remembered.
const VERSIONS: usize = 30;
/// What was not answered is sent again after so many seconds, then after twice that, and so on.
const AGAIN_SECONDS: i64 = 2;
/// At most so many seconds apart.
const AGAIN_AT_MOST: i64 = 300;

/// So much of each item, all in all.
pub type Lines = BTreeMap<ItemId, Quantity>;

/// The day that each item is expected on first.
pub type Days = BTreeMap<ItemId, Date>;

/// What a document is about.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Of {
    /// An order, which shall leave from there.
    Order(OrderId),
    /// A purchase order, which shall come in there.
    Purchase(PurchaseId),
    /// A transfer that shall leave from there.
    Dispatch(TransferId),
    /// A transfer that shall come in there.
    Arrival(TransferId),
    /// A request to count there, which is a discrepancy until it is done.
    Recount(DiscrepancyId),
    /// A return that shall come in there.
    Return(ReturnId),
}

impl Of {
    /// The entry that made what it is about: no two things have the same.
    pub const fn seq(self) -> Seq {
        match self {
            Self::Order(id) => id.0,
            Self::Purchase(id) => id.0,
            Self::Dispatch(id) | Self::Arrival(id) => id.0,
            Self::Recount(id) => id.0,
            Self::Return(id) => id.0,
        }
    }

    /// Does it come in there?
    pub const fn comes_in(self) -> bool {
        matches!(self, Self::Purchase(_) | Self::Arrival(_) | Self::Return(_))
    }
}

/// A document that was sent, or is being sent.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct SentDocument {
    /// Of what.
    #[serde(flatten)]
    pub of: Of,
    /// Where it shall leave from, come in or be counted.
    pub location: LocationId,
    /// The first document of it to that place is 1.
    pub number: u32,
    /// What was sent, the newest last: those versions that may still be answered. Never empty.
    pub versions: Vec<(u64, Lines)>,
    /// The newest version that is known to have arrived; 0 while none is.
    pub received: u64,
    /// When the newest version was sent last.
    pub sent_at: Instant,
    /// How often the newest version was sent.
    pub tries: u32,
    /// Why the last try failed.
    pub trouble: Option<String>,
    /// What was last answered.
    pub reply: Option<Reply>,
    /// The days that were told with the newest version.
    #[serde(default, skip_serializing_if = "Days::is_empty")]
    pub days: Days,
}

/// How a document stands, by the word of whoever ships it.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Progress {
    /// It is worked on.
    Accepted,
    /// It will not be.
    Refused,
    /// It is done.
    Shipped,
    /// It was cancelled.
    Cancelled,
    /// It is done: nothing more comes in for it.
    Received,
    /// It was counted.
    Counted,
}

/// What whoever was sent it said of a document.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Reply {
    /// The newest version that it answers.
    pub version: u64,
    /// Grows with every change over there.
    pub revision: u64,
    /// When it changed over there.
    pub updated_at: Instant,
    /// How it stands.
    pub progress: Progress,
    /// Why, where something does not leave.
    pub reason: Option<String>,
    /// How much leaves in all, of items of which not all does that was asked for.
    pub leaves: Lines,
    /// What has left, or come in.
    pub parcels: Vec<Parcel>,
}

/// Goods that left, or came in, together.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Parcel {
    /// Its name in the document.
    pub parcel: String,
    /// When it did.
    pub shipped_at: Instant,
    /// Who carries it.
    pub carrier: Option<String>,
    /// The carrier's name for it.
    pub tracking: Option<String>,
    /// What is in it.
    pub lines: Vec<(ItemId, Quantity)>,
}

impl Reply {
    /// Does nothing more of it leave, or come in?
    pub const fn is_over(&self) -> bool {
        !matches!(self.progress, Progress::Accepted)
    }

    /// What has left, or come in, by its word.
    pub fn left(&self) -> Lines {
        let mut left = Lines::new();
        for (item, quantity) in self.parcels.iter().flat_map(|parcel| &parcel.lines) {
            *left.entry(*item).or_default() += *quantity;
        }
        left
    }
}

/// How a document stands, in the field's own words.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Stands {
    /// It was sent, and nobody knows whether it arrived.
    Unknown,
    /// It has arrived; nothing was answered.
    Sent,
    /// It is worked on.
    Accepted,
    /// It is not, and will not be.
    Refused,
    /// Some of it has left.
    PartShipped,
    /// Some of it was not found, or will not leave for another reason.
    ShortPicked,
    /// All of it has left.
    Shipped,
    /// It was cancelled.
    Cancelled,
    /// Some of it has come in.
    PartReceived,
    /// All of it has come in.
    Received,
    /// It is done, and not all of it has come in.
    Closed,
    /// It was counted.
    Counted,
}

impl Stands {
    /// As callers know it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Unknown => "unknown",
            Self::Sent => "sent",
            Self::Accepted => "accepted",
            Self::Refused => "refused",
            Self::PartShipped => "part_shipped",
            Self::ShortPicked => "short_picked",
            Self::Shipped => "shipped",
            Self::Cancelled => "cancelled",
            Self::PartReceived => "part_received",
            Self::Received => "received",
            Self::Closed => "closed",
            Self::Counted => "counted",
        }
    }
}

impl SentDocument {
    /// A document that is sent for the first time now.
    pub fn new(of: Of, location: LocationId, number: u32, version: u64, lines: Lines, now: Instant) -> Self {
        Self {
            of,
            location,
            number,
            versions: vec![(version, lines)],
            received: 0,
            sent_at: now,
            tries: 1,
            trouble: None,
            reply: None,
            days: Days::new(),
        }
    }

    /// The newest version, and what it asks for.
    pub fn newest(&self) -> (u64, &Lines) {
        let (version, lines) = self.versions.last().expect("a document has a version");
        (*version, lines)
    }

    /// Is it over, by the word of whoever ships it?
    pub fn is_over(&self) -> bool {
        self.reply.as_ref().is_some_and(Reply::is_over)
    }

    /// What a version asked for; of one that is forgotten what the next older one did, or the oldest there is.
    pub(crate) fn asked(&self, version: u64) -> &Lines {
        let older = self.versions.iter().rev().find(|(other, _)| *other <= version);
        older.or(self.versions.first()).map(|(_, lines)| lines).expect("a document has a version")
    }

    /// How it stands.
    pub fn stands(&self) -> Stands {
        let Some(reply) = &self.reply else {
            return if self.received > 0 { Stands::Sent } else { Stands::Unknown };
        };
        let left = reply.left();
        let lacks = self.declined(reply).iter().any(|line| line.declined.is_positive());
        match reply.progress {
            Progress::Refused => Stands::Refused,
            Progress::Cancelled => Stands::Cancelled,
            Progress::Accepted | Progress::Shipped if lacks => Stands::ShortPicked,
            Progress::Shipped => Stands::Shipped,
            Progress::Received if lacks => Stands::Closed,
            Progress::Received => Stands::Received,
            Progress::Counted => Stands::Counted,
            Progress::Accepted
                if self.of.comes_in() && left.values().any(|quantity| quantity.is_positive()) =>
            {
                Stands::PartReceived
            }
            Progress::Accepted if left.values().any(|quantity| quantity.is_positive()) => Stands::PartShipped,
            Progress::Accepted => Stands::Accepted,
        }
    }

    /// What an answer declines of the version that it answers, line by line, and what still leaves by its word.
    pub fn declined(&self, reply: &Reply) -> Vec<Declined> {
        let left = reply.left();
        let of = |(item, asked): (&ItemId, &Quantity)| {
            let left = left.get(item).copied().unwrap_or_default();
            let told = reply.leaves.get(item).copied().unwrap_or(*asked);
            let leaves = if reply.is_over() { left } else { told.max(left) };
            let declined = (*asked - leaves).max(Quantity::ZERO);
            Declined { item: *item, declined, open: leaves - left }
        };
        self.asked(reply.version).iter().map(of).collect()
    }

    /// Takes an answer in, where it is newer than what was last answered. Says whether it was.
    pub fn hear(&mut self, reply: Reply) -> bool {
        if self.reply.as_ref().is_some_and(|known| known.revision >= reply.revision) {
            return false;
        }
        self.received = self.received.max(reply.version);
        // What is older than what was answered is answered with it.
        let answered = self.versions.iter().rposition(|(version, _)| *version <= reply.version);
        self.versions.drain(..answered.unwrap_or(0));
        if self.received >= self.newest().0 {
            (self.tries, self.trouble) = (0, None);
        }
        self.reply = Some(reply);
        true
    }

    /// It is sent now, in this version.
    pub fn send(&mut self, version: u64, lines: Lines, now: Instant) {
        if self.newest().0 == version {
            self.tries += 1;
        } else {
            self.versions.push((version, lines));
            let spare = self.versions.len().saturating_sub(VERSIONS);
            // The oldest may be the one that was answered.
            self.versions.drain(1..=spare);
            (self.tries, self.trouble) = (1, None);
        }
        self.sent_at = now;
    }

    /// The version after all that were sent or answered.
    pub(crate) fn next_version(&self, seq: Seq) -> u64 {
        let answered = self.reply.as_ref().map_or(0, |reply| reply.version);
        seq.max(self.newest().0 + 1).max(answered + 1)
    }

    /// What is to be sent of it where it says what it should: the same again, while nobody knows that it has arrived.
    pub(crate) fn as_it_is(&self, now: Instant) -> Next {
        let (newest, asked) = self.newest();
        if self.received >= newest {
            return Next::Nothing;
        }
        let doublings = self.tries.saturating_sub(1).min(10);
        let again = self.sent_at.plus_seconds((AGAIN_SECONDS << doublings).min(AGAIN_AT_MOST));
        if now < again {
            return Next::Wait(again);
        }
        Next::Send { number: self.number, version: newest, lines: asked.clone() }
    }

    /// It has arrived in this version.
    pub fn arrived(&mut self, version: u64) {
        self.received = self.received.max(version);
        if self.received >= self.newest().0 {
            (self.tries, self.trouble) = (0, None);
        }
    }
}

/// What of a line does not leave.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Declined {
    /// Of what.
    pub item: ItemId,
    /// How much of what was asked for never leaves.
    pub declined: Quantity,
    /// How much still leaves.
    pub open: Quantity,
}

/// What is promised to an order where one master ships, item by item: parts of kits that are built there as these.
pub fn promised(order: &Order, mut is_there: impl FnMut(ItemId, LocationId) -> bool) -> Lines {
    let mut lines = Lines::new();
    let mut add = |item, location, quantity| {
        if is_there(item, location) {
            *lines.entry(item).or_default() += quantity;
        }
    };
    for line in &order.lines {
        line.allocated.iter().for_each(|at| add(line.item, at.location, at.quantity));
        line.build.components.iter().for_each(|part| add(part.item, part.location, part.quantity));
    }
    lines
}

/// What is to be sent to a place now.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Next {
    /// Nothing.
    Nothing,
    /// What was not answered is sent again then.
    Wait(Instant),
    /// This.
    Send {
        /// The how-many-eth document of it to that place.
        number: u32,
        /// In which version.
        version: u64,
        /// All that shall leave.
        lines: Lines,
    },
}

/// What is to be sent of an order or a transfer to a place, of which this is promised there and this has left of the newest document by our books.
/// `seq` is the newest entry that was looked at: versions are made of it, so that of two that were sent the one that knew more counts.
pub fn next(sent: Option<&SentDocument>, promised: &Lines, left: &Lines, seq: Seq, now: Instant) -> Next {
    let Some(sent) = sent else {
        if is_nothing(promised) {
            return Next::Nothing;
        }
        return Next::Send { number: 1, version: seq, lines: promised.clone() };
    };
    let (_, asked) = sent.newest();
    let version = sent.next_version(seq);
    if let Some(reply) = sent.reply.as_ref().filter(|reply| reply.is_over()) {
        // What has left by its word and not by our books yet is still promised, and is not to leave twice.
        let told = reply.left();
        let rest = promised.iter().map(|(item, quantity)| {
            let on_its_way = (of(&told, *item) - of(left, *item)).max(Quantity::ZERO);
            (*item, (*quantity - on_its_way).max(Quantity::ZERO))
        });
        let rest: Lines = rest.filter(|(_, quantity)| quantity.is_positive()).collect();
        if rest.is_empty() {
            return Next::Nothing;
        }
        return Next::Send { number: sent.number + 1, version, lines: rest };
    }
    let items = promised.keys().chain(left.keys()).chain(asked.keys());
    let lines: Lines = items.map(|item| (*item, of(promised, *item) + of(left, *item))).collect();
    let is_as_asked = lines.iter().all(|(item, quantity)| of(asked, *item) == *quantity);
    if !is_as_asked {
        return Next::Send { number: sent.number, version, lines };
    }
    sent.as_it_is(now)
}

pub(crate) fn is_nothing(lines: &Lines) -> bool {
    lines.values().all(|quantity| !quantity.is_positive())
}

/// How much there is of an item.
pub(crate) fn of(lines: &Lines, item: ItemId) -> Quantity {
    lines.get(&item).copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use onhand_ledger::model::{At, ComponentAt, OrderLine};
    use onhand_ledger::{LotId, SystemId};

    use super::*;

    const MUG: ItemId = ItemId(5);
    const CUP: ItemId = ItemId(6);

    fn lines(told: &[(ItemId, i64)]) -> Lines {
        told.iter().map(|(item, units)| (*item, Quantity::units(*units))).collect()
    }

    fn at(seconds: i64) -> Instant {
        Instant::from_micros(seconds * 1_000_000)
    }

    fn sent(version: u64, asked: &[(ItemId, i64)]) -> SentDocument {
        SentDocument::new(Of::Order(OrderId(1)), LocationId(2), 1, version, lines(asked), at(0))
    }

    fn reply(version: u64, revision: u64, progress: Progress) -> Reply {
        let (updated_at, leaves) = (at(0), Lines::new());
        Reply { version, revision, updated_at, progress, reason: None, leaves, parcels: Vec::new() }
    }

    fn parcel(name: &str, told: &[(ItemId, i64)]) -> Parcel {
        let lines = lines(told).into_iter().collect();
        Parcel { parcel: name.to_owned(), shipped_at: at(0), carrier: None, tracking: None, lines }
    }

    /// The number, the version and the lines; none where nothing is sent.
    fn sends(
        sent: Option<&SentDocument>,
        promised: &[(ItemId, i64)],
        left: &[(ItemId, i64)],
        seq: Seq,
    ) -> Option<(u32, u64, Vec<i64>)> {
        match next(sent, &lines(promised), &lines(left), seq, at(1_000)) {
            Next::Send { number, version, lines } => {
                Some((number, version, lines.values().map(|quantity| quantity.whole_units()).collect()))
            }
            _ => None,
        }
    }

    #[test]
    fn what_is_promised_there_is_sent_and_what_has_left_counts_to_it() {
        assert_eq!(sends(None, &[], &[], 7), None);
        assert_eq!(sends(None, &[(MUG, 3)], &[], 7), Some((1, 7, vec![3])));
        let mut known = sent(7, &[(MUG, 3)]);
        known.arrived(7);
        assert_eq!(sends(Some(&known), &[(MUG, 3)], &[], 9), None);
        assert_eq!(sends(Some(&known), &[(MUG, 1)], &[(MUG, 2)], 9), None, "two have left");
        assert_eq!(sends(Some(&known), &[], &[(MUG, 3)], 9), None);
        assert_eq!(sends(Some(&known), &[(MUG, 2)], &[], 9), Some((1, 9, vec![2])), "amended");
        assert_eq!(sends(Some(&known), &[], &[(MUG, 1)], 9), Some((1, 9, vec![1])), "the rest is cancelled");
        assert_eq!(
            sends(Some(&known), &[(CUP, 1)], &[], 9),
            Some((1, 9, vec![0, 1])),
            "a line stays for ever"
        );
    }

    #[test]
    fn what_was_not_answered_is_sent_again_under_its_own_version() {
        let mut known = sent(7, &[(MUG, 3)]);
        let promised = lines(&[(MUG, 3)]);
        let again = |known: &SentDocument, now| next(Some(known), &promised, &Lines::new(), 9, at(now));
        assert_eq!(again(&known, 1), Next::Wait(at(2)));
        assert_eq!(again(&known, 2), Next::Send { number: 1, version: 7, lines: promised.clone() });
        known.send(7, promised.clone(), at(2));
        assert_eq!(again(&known, 5), Next::Wait(at(6)));
        known.arrived(7);
        assert_eq!(again(&known, 6), Next::Nothing);
        // Even what is wanted no more: it may have arrived.
        assert_eq!(sends(Some(&sent(7, &[(MUG, 3)])), &[], &[], 9), Some((1, 9, vec![0])));
        // A log that begins anew behind what was sent goes on after it.
        assert_eq!(sends(Some(&sent(70, &[(MUG, 3)])), &[], &[], 9), Some((1, 71, vec![0])));
        // And after what they answered of it.
        assert!(known.hear(reply(80, 1, Progress::Accepted)));
        assert_eq!(sends(Some(&known), &[], &[], 9), Some((1, 81, vec![0])));
    }

    #[test]
    fn an_answer_or_an_arrival_of_the_newest_version_ends_its_tries() {
        let tried = || {
            let mut known = sent(7, &[(MUG, 5)]);
            for second in [1, 2] {
                known.send(9, lines(&[(MUG, 3)]), at(second));
            }
            SentDocument { trouble: Some("it is ill".to_owned()), ..known }
        };
        for (version, tries) in [(7, 2), (9, 0), (10, 0)] {
            let (mut answered, mut arrived) = (tried(), tried());
            assert!(answered.hear(reply(version, 1, Progress::Accepted)));
            arrived.arrived(version);
            for known in [answered, arrived] {
                assert_eq!(
                    (known.tries, known.trouble.is_some()),
                    (tries, tries > 0),
                    "{version}: {known:?}"
                );
            }
        }
    }

    #[test]
    fn what_is_promised_there_is_of_all_lines_and_of_parts_of_kits() {
        let (here, elsewhere, lot) = (LocationId(2), LocationId(3), LotId(0));
        let line = |item, units, location| {
            let quantity = Quantity::units(units);
            let allocated = vec![At { location, lot, quantity }];
            OrderLine { allocated, ..OrderLine::new(String::new(), item, quantity) }
        };
        let mut kit = line(CUP, 1, here);
        let part = |location| ComponentAt { item: MUG, location, lot, quantity: Quantity::units(4) };
        kit.build.components = vec![part(here), part(elsewhere)];
        let order = Order {
            lines: vec![line(MUG, 2, here), line(MUG, 9, elsewhere), line(MUG, 3, here), kit],
            ..Order::new(SystemId(2), "1044".to_owned(), 1, at(0))
        };
        let there = promised(&order, |_, location| location == here);
        assert_eq!(there, lines(&[(MUG, 9), (CUP, 1)]));
        assert_eq!(promised(&order, |item, _| item == CUP), lines(&[(CUP, 1)]));
    }

    #[test]
    fn what_it_is_about_is_named_by_its_entry_and_goes_or_comes() {
        for (of, seq, comes_in) in [
            (Of::Order(OrderId(1)), 1, false),
            (Of::Purchase(PurchaseId(2)), 2, true),
            (Of::Dispatch(TransferId(3)), 3, false),
            (Of::Arrival(TransferId(4)), 4, true),
            (Of::Recount(DiscrepancyId(5)), 5, false),
            (Of::Return(ReturnId(6)), 6, true),
        ] {
            assert_eq!((of.seq(), of.comes_in()), (seq, comes_in), "{of:?}");
        }
    }

    #[test]
    fn what_is_over_stays_so_and_more_is_another_document() {
        let mut known = sent(7, &[(MUG, 3)]);
        let mut over = reply(7, 1, Progress::Shipped);
        over.parcels = vec![parcel("p", &[(MUG, 3)])];
        assert!(known.hear(over) && known.is_over());
        assert_eq!(sends(Some(&known), &[], &[(MUG, 3)], 9), None);
        assert_eq!(sends(Some(&known), &[(MUG, 3)], &[], 9), None, "it has left, and waits to be booked");
        assert_eq!(sends(Some(&known), &[(MUG, 2)], &[(MUG, 3)], 9), Some((2, 9, vec![2])));
        let mut refused = sent(7, &[(MUG, 3)]);
        assert!(refused.hear(reply(7, 1, Progress::Refused)));
        assert_eq!(sends(Some(&refused), &[], &[], 9), None, "there is nothing to cancel");
        assert_eq!(sends(Some(&refused), &[(MUG, 1)], &[], 9), Some((2, 9, vec![1])));
    }

    #[test]
    fn an_answer_is_of_the_version_that_it_answers() {
        let mut known = sent(7, &[(MUG, 5)]);
        known.send(9, lines(&[(MUG, 3)]), at(1));
        let mut short = reply(7, 1, Progress::Accepted);
        short.leaves = lines(&[(MUG, 3)]);
        short.parcels = vec![parcel("p", &[(MUG, 1)])];
        let of = |known: &SentDocument, reply: &Reply| {
            let line = known.declined(reply)[0];
            (line.declined.whole_units(), line.open.whole_units())
        };
        assert_eq!(of(&known, &short), (2, 2));
        short.version = 9;
        assert_eq!(of(&known, &short), (0, 2));
        // What is over leaves no more than has left, whatever it says.
        short.progress = Progress::Refused;
        assert_eq!(of(&known, &short), (2, 0));
        // It works on more than is wanted by now: nothing is declined.
        short.progress = Progress::Accepted;
        short.leaves = lines(&[(MUG, 5)]);
        assert_eq!(of(&known, &short), (0, 4));
    }

    #[test]
    fn copies_and_late_answers_are_nothing() {
        let mut known = sent(7, &[(MUG, 5)]);
        assert!(known.hear(reply(7, 4, Progress::Accepted)));
        assert!(!known.hear(reply(7, 4, Progress::Accepted)));
        assert!(!known.hear(reply(7, 3, Progress::Refused)));
        assert!(!known.is_over());
    }

    #[test]
    fn how_it_stands() {
        let mut known = sent(7, &[(MUG, 5)]);
        assert_eq!(known.stands(), Stands::Unknown);
        known.arrived(7);
        assert_eq!(known.stands(), Stands::Sent);
        let mut said = |change: &dyn Fn(&mut Reply)| {
            let mut reply = reply(7, 1, Progress::Accepted);
            change(&mut reply);
            known.reply = Some(reply);
            known.stands()
        };
        let all = || vec![parcel("p", &[(MUG, 5)])];
        let some = || vec![parcel("p", &[(MUG, 2)])];
        assert_eq!(said(&|_| {}), Stands::Accepted);
        assert_eq!(said(&|reply| reply.parcels = some()), Stands::PartShipped);
        assert_eq!(said(&|reply| reply.leaves = lines(&[(MUG, 4)])), Stands::ShortPicked);
        assert_eq!(said(&|reply| reply.progress = Progress::Refused), Stands::Refused);
        assert_eq!(said(&|reply| reply.progress = Progress::Cancelled), Stands::Cancelled);
        let over =
            |reply: &mut Reply, parcels| (reply.progress, reply.parcels) = (Progress::Shipped, parcels);
        assert_eq!(said(&|reply| over(reply, all())), Stands::Shipped);
        assert_eq!(said(&|reply| over(reply, some())), Stands::ShortPicked);
    }

    #[test]
    fn how_it_stands_where_it_comes_in_or_is_counted() {
        let purchase = Of::Purchase(PurchaseId(1));
        for (of, progress, came, stands) in [
            (purchase, Progress::Accepted, 0, Stands::Accepted),
            (purchase, Progress::Accepted, 2, Stands::PartReceived),
            (purchase, Progress::Received, 2, Stands::Closed),
            (purchase, Progress::Received, 5, Stands::Received),
            (Of::Recount(DiscrepancyId(1)), Progress::Counted, 5, Stands::Counted),
        ] {
            let parcels = vec![parcel("p", &[(MUG, came)])];
            let reply = Some(Reply { parcels, ..reply(7, 1, progress) });
            let known = SentDocument { of, reply, ..sent(7, &[(MUG, 5)]) };
            assert_eq!(known.stands(), stands, "{came} came for {of:?}: {progress:?}");
        }
    }

    #[test]
    fn how_it_stands_is_told_as_it_is_kept() {
        for stands in [
            Stands::Unknown,
            Stands::Sent,
            Stands::Accepted,
            Stands::Refused,
            Stands::PartShipped,
            Stands::ShortPicked,
            Stands::Shipped,
            Stands::Cancelled,
            Stands::PartReceived,
            Stands::Received,
            Stands::Closed,
            Stands::Counted,
        ] {
            assert_eq!(serde_json::to_value(stands).unwrap(), stands.name());
        }
    }

    #[test]
    fn only_versions_that_may_be_answered_are_remembered() {
        let mut known = sent(1, &[(MUG, 1)]);
        for version in 2..100 {
            known.send(version, lines(&[(MUG, 1)]), at(1));
        }
        assert_eq!((known.versions.len(), known.versions[0].0, known.newest().0), (VERSIONS, 1, 99));
        known.hear(reply(98, 1, Progress::Accepted));
        assert_eq!(known.versions.iter().map(|(version, _)| *version).collect::<Vec<_>>(), [98, 99]);
    }

    #[test]
    fn what_was_kept_of_orders_before_there_was_anything_else_is_read() {
        let known = sent(7, &[(MUG, 5)]);
        let kept = r#"{"order":1,"location":2,"number":1,"versions":[[7,{"5":5}]],"received":0,
            "sent_at":"1970-01-01T00:00:00Z","tries":1,"trouble":null,"reply":null}"#;
        let written = serde_json::to_value(&known).unwrap();
        let mut before: serde_json::Value = serde_json::from_str(kept).unwrap();
        // However instants and quantities are written.
        (before["versions"], before["sent_at"]) = (written["versions"].clone(), written["sent_at"].clone());
        assert_eq!(written, before);
        assert_eq!(serde_json::from_value::<SentDocument>(before).unwrap(), known);
    }
}
