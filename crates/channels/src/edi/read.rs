//! What an interchange brings, in Onhand's words.
//!
//! What is remembered of documents is brought up to date here, before what it means is booked: read again after a crash, it comes to the
//! same. What is well formed and means nothing here (an item nobody knows, a document that was never sent) is told, and the rest taken.

mod answers;
mod orders;
mod stock;
mod warehouse;

use std::collections::{BTreeMap, BTreeSet, HashMap};

use jiff::civil::{Date, Time};
use onhand_edi::x12::{self, Acknowledgment};
use onhand_edi::{ItemIds, Place, edifact};
use onhand_ledger::Instant;

use super::sent::{Sent, What};
use super::settings::Named;
use super::{Edi, Taken};
use crate::arrived::{Brought, Problem, StockRow};
use crate::{ChannelError, RemoteOrder};

/// So many things that are wrong are told of a file at most.
const TOLD: usize = 1_000;
/// The end of a day, to the minute.
const LAST_MINUTE: Time = Time::constant(23, 59, 0, 0);
/// As much of a minute as there is behind its beginning, in microseconds.
const MINUTE: i64 = 59_999_999;

/// What a file brings, and what is to be answered.
pub(super) struct Came {
    pub content: Result<Vec<Brought>, Vec<Problem>>,
    pub refused: Vec<Problem>,
    /// Which interchange it is: what is of the same is a copy of it.
    pub identity: Option<String>,
    pub answer: Option<Answer>,
}

/// What is answered.
#[derive(Clone)]
pub(super) enum Answer {
    /// A 997 for each group, in the release that the first group has.
    X12(String, Vec<Acknowledgment>),
    /// A CONTRL.
    Edifact(Box<edifact::Control>),
}

impl Answer {
    /// How many control numbers it takes.
    pub fn numbers(&self) -> u32 {
        match self {
            Self::X12(_, told) => u32::try_from(told.len()).unwrap_or(u32::MAX).max(1),
            Self::Edifact(_) => 1,
        }
    }
}

/// A document of either standard.
enum Document {
    X12(x12::Document),
    Edifact(edifact::Document),
}

/// What the envelope of an interchange says.
struct Head {
    from: (String, String),
    to: (String, String),
    is_test: bool,
    control: String,
    made: (Date, Time),
}

/// An interchange of either standard, as it was read.
struct Interchange {
    head: Option<Head>,
    documents: Vec<(Place, Document)>,
    problems: Vec<onhand_edi::Problem>,
    answer: Option<Answer>,
}

impl Interchange {
    fn read(bytes: &[u8]) -> Self {
        let begins = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes).trim_ascii_start();
        if begins.starts_with(b"UN") { Self::edifact(bytes) } else { Self::x12(bytes) }
    }

    fn x12(bytes: &[u8]) -> Self {
        let x12::Receipt { interchange, documents, problems, acknowledgments } = x12::receive(bytes);
        let release =
            interchange.as_ref().and_then(|read| read.groups.first()).map(|group| group.version.clone());
        let head = interchange.map(|read| Head {
            from: (read.sender.qualifier, read.sender.id),
            to: (read.receiver.qualifier, read.receiver.id),
            is_test: read.usage == x12::Usage::Test,
            control: format!("{:09}", read.control),
            made: (read.date, read.time),
        });
        let answer = release.filter(|_| !acknowledgments.is_empty());
        Self {
            head,
            documents: documents.into_iter().map(|(place, one)| (place, Document::X12(one))).collect(),
            problems,
            answer: answer.map(|release| Answer::X12(release, acknowledgments)),
        }
    }

    fn edifact(bytes: &[u8]) -> Self {
        let edifact::Receipt { interchange, documents, problems, control } = edifact::receive(bytes);
        let head = interchange.map(|read| Head {
            from: (read.sender.qualifier.unwrap_or_default(), read.sender.id),
            to: (read.recipient.qualifier.unwrap_or_default(), read.recipient.id),
            // UNB's 0035, the sixth element behind the reference.
            is_test: read.more.get(5).is_some_and(|test| test.component(1) == "1"),
            control: read.reference,
            made: (read.date, read.time),
        });
        Self {
            head,
            documents: documents.into_iter().map(|(place, one)| (place, Document::Edifact(one))).collect(),
            problems,
            answer: control.map(|control| Answer::Edifact(Box::new(control))),
        }
    }
}

impl Edi {
    /// What bytes bring that were written by then.
    pub(super) async fn take_in(
        &self,
        bytes: &[u8],
        hash: &str,
        written_at: Instant,
    ) -> Result<Came, ChannelError> {
        let Interchange { head, documents, problems, answer } = Interchange::read(bytes);
        let problems: Vec<Problem> =
            problems.into_iter().take(TOLD).map(|problem| told(problem.to_string())).collect();
        let Some(head) = head else {
            return Ok(Came { content: Err(problems), refused: Vec::new(), identity: None, answer: None });
        };
        if let Some(strange) = self.is_strange(&head) {
            return Ok(Came {
                content: Err(vec![told(strange)]),
                refused: Vec::new(),
                identity: None,
                answer: None,
            });
        }
        // X12.5: the number is unique among both partners, and the date tells apart where it is used again
        // (http://rfi.x12.org/Request/Details/723).
        let identity = format!("{}/{}", head.control, head.made.0);
        let before: Option<Taken> = self.recall(&format!("taken/{identity}")).await?;
        if let Some(before) = before.filter(|before| before.hash != hash) {
            let sentence = format!(
                "{}'s interchange {} came again, in other bytes: it was taken at {}, as {}, and nothing of it is booked again. If it is another, \
                 it needs a number of its own.",
                self.name, head.control, before.at, before.name
            );
            let content = Ok(vec![Brought::Again(sentence)]);
            return Ok(Came { content, refused: Vec::new(), identity: None, answer: None });
        }
        if documents.is_empty() && !problems.is_empty() {
            return Ok(Came { content: Err(problems), refused: Vec::new(), identity: None, answer });
        }
        let mut reader = Reader {
            edi: self,
            head: &head,
            written_at,
            brought: Vec::new(),
            stock: Vec::new(),
            places: HashMap::new(),
            has_stock: None,
            orders: Vec::new(),
            known: BTreeMap::new(),
            touched: BTreeSet::new(),
            kept: Vec::new(),
            refused: problems,
        };
        for (place, document) in documents {
            reader.take(&place, document).await?;
        }
        let (content, refused, kept) = reader.finish()?;
        if !kept.is_empty() {
            self.host()?.keep(kept).await?;
        }
        Ok(Came { content: Ok(content), refused, identity: Some(identity), answer })
    }

    /// Why an interchange is none of this partner's with us.
    fn is_strange(&self, head: &Head) -> Option<String> {
        let settings = &self.settings;
        let is = |named: &Named, (qualifier, id): &(String, String)| {
            named.qualifier == *qualifier && named.id == *id
        };
        let shown = |(qualifier, id): &(String, String)| {
            if qualifier.is_empty() { format!("`{id}`") } else { format!("`{id}` ({qualifier})") }
        };
        let ours = |named: &Named| shown(&(named.qualifier.clone(), named.id.clone()));
        let (from, to, control) = (&head.from, &head.to, &head.control);
        if !is(&settings.them, from) {
            let them = ours(&settings.them);
            return Some(format!("interchange {control} is of {}, and this partner is {them}", shown(from)));
        }
        if !is(&settings.us, to) {
            return Some(format!(
                "interchange {control} is for {}, and we are {}",
                shown(to),
                ours(&settings.us)
            ));
        }
        if head.is_test != settings.is_test {
            let (is, set) = if head.is_test { ("a test", "production") } else { ("no test", "test") };
            return Some(format!("interchange {control} is {is}, and the setting `usage` is `{set}`"));
        }
        None
    }
}

fn told(reason: String) -> Problem {
    Problem { line: None, column: None, reason }
}

/// Reads the documents of an interchange.
struct Reader<'a> {
    edi: &'a Edi,
    head: &'a Head,
    /// When the file was written, or now where that is later.
    written_at: Instant,
    brought: Vec<Brought>,
    stock: Vec<StockRow>,
    /// Where in these an item at a location is.
    places: HashMap<(Option<Box<str>>, Box<str>), usize>,
    /// Is stock told, and could all of it be read?
    has_stock: Option<bool>,
    orders: Vec<(u64, RemoteOrder)>,
    /// What is remembered of documents that were sent, up to date.
    known: BTreeMap<String, Sent>,
    touched: BTreeSet<String>,
    /// What else is to be remembered.
    kept: Vec<(String, String)>,
    refused: Vec<Problem>,
}

/// What was read, what of it is not taken, and what is to be remembered.
type Finished = (Vec<Brought>, Vec<Problem>, Vec<(String, String)>);

impl Reader<'_> {
    async fn take(&mut self, place: &Place, document: Document) -> Result<(), ChannelError> {
        match document {
            Document::X12(x12::Document::Inventory(inventory)) => self.inventory(place, &inventory),
            Document::X12(x12::Document::PurchaseOrder(order)) => self.purchase_order(place, &order),
            Document::X12(x12::Document::Received(received)) => self.received(place, &received).await?,
            Document::X12(x12::Document::Shipped(shipped)) => self.shipped(place, &shipped).await?,
            Document::X12(x12::Document::Adjusted(adjusted)) => self.adjusted(place, &adjusted).await?,
            Document::X12(x12::Document::Acknowledgment(told)) => self.acknowledged(place, &told).await?,
            Document::Edifact(edifact::Document::Stock(report)) => self.report(place, &report),
            Document::Edifact(edifact::Document::Control(control)) => {
                self.controlled(place, &control).await?
            }
        }
        Ok(())
    }

    fn finish(mut self) -> Result<Finished, ChannelError> {
        let mut kept = self.kept;
        for document in &self.touched {
            let Some(sent) = self.known.get(document) else { continue };
            kept.push(self.edi.kept(format!("sent/{document}"), sent)?);
            self.brought.extend(match sent.what {
                What::Order => sent.followed(document).map(|told| Brought::Followed(Box::new(told))),
                What::Announcement => sent.received(document).map(|told| Brought::Received(Box::new(told))),
            });
        }
        // What left or came in is in what lies there afterwards.
        if !self.orders.is_empty() {
            self.brought.push(Brought::Orders(self.orders));
        }
        if let Some(is_all) = self.has_stock {
            // Of what could not be read nothing is known: it is not to be taken for none.
            let whole = is_all && self.edi.settings.exchanging.whole;
            self.brought.push(Brought::Stock { whole, rows: self.stock });
        }
        self.refused.truncate(TOLD);
        Ok((self.brought, self.refused, kept))
    }

    fn refuse(&mut self, place: &Place, reason: impl std::fmt::Display) {
        self.refused.push(told(format!("{place}: {reason}")));
    }

    /// When something was by a document that tells the day, and maybe the time: to the minute mostly, so that it was in that minute. It was
    /// before the file was written, which is known better.
    fn moment(&self, date: Date, time: Option<Time>) -> Instant {
        let (made_on, made_at) = self.head.made;
        // What is told of no time was before the interchange was made, or on another day.
        let time = time.unwrap_or(if date < made_on { LAST_MINUTE } else { made_at });
        let within = if time.second() == 0 { MINUTE } else { 0 };
        let at = self.edi.settings.instant(date, time).map(|at| at.plus_micros(within));
        at.map_or(self.written_at, |at| at.min(self.written_at))
    }

    /// A name for a part that has none of its own: the same in a copy.
    fn part_name(&self, place: &Place) -> String {
        let set = place.set.as_deref().unwrap_or_default();
        format!("{}-{}-{set}", self.head.control, self.head.made.0)
    }

    /// What an item is called: by the kind of name that is set, or by the first it has.
    fn listing(&self, item: &ItemIds) -> String {
        let by_kind = item.of_kind(&self.edi.settings.item);
        let first = || item.ids.first().map(|named| named.id.as_str());
        by_kind.or_else(first).or(item.case_code.as_deref()).unwrap_or_default().to_owned()
    }

    /// What is remembered of a document that was sent, where it was.
    async fn sent(&mut self, document: &str, what: What) -> Result<Option<&mut Sent>, ChannelError> {
        if !self.known.contains_key(document) {
            let known: Option<Sent> = self.edi.recall(&format!("sent/{document}")).await?;
            let Some(known) = known else { return Ok(None) };
            self.known.insert(document.to_owned(), known);
        }
        self.touched.insert(document.to_owned());
        Ok(self.known.get_mut(document).filter(|known| known.what == what))
    }
}

/// The warehouse that a document names by a code.
fn location(parties: &[x12::Party]) -> Option<Box<str>> {
    let warehouse = parties.iter().find(|party| party.role == "WH")?;
    warehouse.code.as_ref().map(|named| named.code.as_str().into())
}
