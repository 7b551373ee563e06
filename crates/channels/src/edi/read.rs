//! What an interchange brings, in Onhand's words.
//!
//! What is remembered of documents is brought up to date here, before what it means is booked: read again after a crash, it comes to the
//! same. What is well formed and means nothing here (an item nobody knows, a document that was never sent) is told, and the rest taken.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use jiff::civil::{Date, Time};
use onhand_edi::edifact::{self, Action, HeldKind, StockReport};
use onhand_edi::x12::{
    self, Acknowledgment, Adjusted, Condition as Came944, Inventory, InventoryReport, PurchaseOrder, Shipped,
    Status, StockKind, Verdict, Why,
};
use onhand_edi::{ItemIds, Place};
use onhand_ledger::{Instant, Quantity};
use serde_json::json;

use super::sent::{Closed, Sent, What};
use super::settings::Named;
use super::{Edi, Numbered, Taken};
use crate::arrived::{Brought, ChangeRow, Changes, Problem, StockRow};
use crate::expected::{Condition, DeliveredLine, Delivery};
use crate::outgoing::{Parcel, ParcelLine};
use crate::{ChannelError, Raw, RemoteOrder, RemoteOrderLine};

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

    async fn shipped(&mut self, place: &Place, shipped: &Shipped) -> Result<(), ChannelError> {
        let document = shipped.document.clone().unwrap_or_default();
        let Some(sent) = self.sent(&document, What::Order).await?.cloned() else {
            self.refuse(
                place,
                format!("the 945 is of `{document}`, which was never sent as a 940: nothing of it is booked"),
            );
            return Ok(());
        };
        let at = self.moment(shipped.shipped_on.unwrap_or(self.head.made.0), None);
        let base = shipped.shipment.clone().unwrap_or_else(|| self.part_name(place));
        let (mut parcels, mut closed) = (Vec::new(), Vec::new());
        for (index, package) in shipped.packages.iter().enumerate() {
            let mut lines = Vec::<ParcelLine>::new();
            for line in &package.lines {
                let ordered = self.listing(line.instead_of.as_ref().unwrap_or(&line.item));
                let Some(name) = sent.line_of(&ordered).map(str::to_owned) else {
                    self.refuse(
                        place,
                        format!(
                            "`{ordered}` is no item of {document}: {} of it are not booked",
                            line.shipped
                        ),
                    );
                    continue;
                };
                closed.extend(closes(&line.status).map(|why| (name.clone(), why)));
                if line.status == Status::Substitute {
                    let instead = self.listing(&line.item);
                    self.refuse(
                        place,
                        format!(
                            "{} of `{instead}` left instead of `{ordered}`: they are not booked",
                            line.shipped
                        ),
                    );
                    continue;
                }
                match self.edi.settings.pieces(line.shipped, line.unit.as_deref()) {
                    Ok(quantity) if quantity.is_positive() => {
                        add(&mut lines, name, quantity, line.lot.clone())
                    }
                    Ok(_) => {}
                    Err(reason) => self.refuse(place, format!("`{ordered}` of {document}: {reason}")),
                }
            }
            if lines.is_empty() {
                continue;
            }
            let number = package
                .number
                .map_or_else(|| index + 1, |number| usize::try_from(number).unwrap_or(index + 1));
            let parcel = if shipped.packages.len() == 1 { base.clone() } else { format!("{base}.{number}") };
            let carrier = shipped.carrier().map(str::to_owned);
            let tracking = package.tracking().map(str::to_owned);
            parcels.push(Parcel { parcel, shipped_at: at, carrier, tracking, lines });
        }
        if !self.edi.settings.in_parts {
            closed.extend(sent.lines().map(|line| (line.to_owned(), Closed::Done)));
            // What a line says of itself is known better.
            closed.sort_by_key(|(_, why)| *why == Closed::Done);
            let mut seen = BTreeSet::new();
            closed.retain(|(line, _)| seen.insert(line.clone()));
        }
        let written_at = self.written_at;
        let differ = match self.known.get_mut(&document) {
            Some(sent) => sent.ship(parcels, closed, written_at),
            None => Vec::new(),
        };
        for parcel in differ {
            self.refuse(place, format!("shipment {parcel} of {document} was told before, and otherwise: it stays as it was told first"));
        }
        Ok(())
    }

    async fn received(&mut self, place: &Place, received: &x12::Received) -> Result<(), ChannelError> {
        let document = received.document.clone().or_else(|| received.shipment.clone()).unwrap_or_default();
        let Some(sent) = self.sent(&document, What::Announcement).await?.cloned() else {
            self.refuse(
                place,
                format!(
                    "the 944 is of `{document}`, which was never announced as a 943: receipt {} is not booked, receive it by hand",
                    received.receipt
                ),
            );
            return Ok(());
        };
        let mut lines = Vec::new();
        for line in &received.lines {
            let listing = self.listing(&line.item);
            let Some(name) = sent.line_of(&listing).map(str::to_owned) else {
                self.refuse(
                    place,
                    format!(
                        "`{listing}` was not announced in {document}: {} of it are not booked",
                        line.quantity
                    ),
                );
                continue;
            };
            match self.came(&name, line) {
                Ok(came) => lines.extend(came),
                Err(reason) => self.refuse(place, format!("`{listing}` of {document}: {reason}")),
            }
        }
        let (at, written_at) = (self.moment(received.received_on, None), self.written_at);
        let delivery = Delivery { delivery: received.receipt.clone(), received_at: at, lines };
        let is_last = !self.edi.settings.in_parts;
        let is_as_told = match self.known.get_mut(&document) {
            Some(_) if delivery.lines.is_empty() && !is_last => true,
            Some(sent) => sent.receive(delivery, is_last, written_at),
            None => true,
        };
        if !is_as_told {
            self.refuse(
                place,
                format!(
                    "receipt {} of {document} was told before, and otherwise: it stays as it was told first",
                    received.receipt
                ),
            );
        }
        Ok(())
    }

    /// What came of a line, by the state that it came in.
    fn came(&self, name: &str, line: &x12::ReceivedLine) -> Result<Vec<DeliveredLine>, String> {
        let settings = &self.edi.settings;
        let mut rest = settings.pieces(line.quantity, Some(&line.unit))?;
        let of = |quantity: Quantity, condition: Condition, lot: Option<String>| DeliveredLine {
            line: name.to_owned(),
            quantity,
            lot,
            expires: None,
            condition: Some(condition),
        };
        let mut came = Vec::new();
        for exception in &line.exceptions {
            let condition = match exception.condition {
                Came944::Damaged => Condition::Damaged,
                Came944::Quality | Came944::Held => Condition::QualityControl,
                _ => continue,
            };
            let quantity = settings.pieces(exception.quantity, Some(&exception.unit))?;
            rest -= quantity;
            if rest.is_negative() {
                return Err("more of it is told to be damaged or held than came".to_owned());
            }
            let lot = exception.lot.clone().or_else(|| line.lot.clone());
            came.extend(quantity.is_positive().then(|| of(quantity, condition, lot)));
        }
        came.extend(rest.is_positive().then(|| of(rest, Condition::Available, line.lot.clone())));
        Ok(came)
    }

    async fn adjusted(&mut self, place: &Place, adjusted: &Adjusted) -> Result<(), ChannelError> {
        let mut rows = Vec::new();
        for (number, line) in (1..).zip(&adjusted.lines) {
            let listing = self.listing(&line.item);
            match self.edi.settings.pieces(line.change, Some(&line.unit)) {
                Ok(change) => {
                    let listing = listing.into_boxed_str();
                    rows.push(ChangeRow { line: number, listing, change, reason: reason(&line.why) });
                }
                Err(reason) => self.refuse(place, format!("`{listing}`: {reason}")),
            }
        }
        let number = adjusted.warehouse_number.clone().unwrap_or_else(|| self.part_name(place));
        let document = format!("947-{number}");
        // Told again in another interchange, it is of when it was told first.
        let name = format!("adjusted/{number}");
        let told_first: Option<Instant> = self.edi.recall(&name).await?;
        let occurred_at = told_first.unwrap_or_else(|| self.moment(adjusted.date, None));
        self.kept.push(self.edi.kept(name, &occurred_at)?);
        let location = location(&adjusted.parties);
        self.brought.push(Brought::Changes(Changes { document, location, occurred_at, rows }));
        Ok(())
    }

    fn inventory(&mut self, place: &Place, inventory: &Inventory) {
        if inventory.report == InventoryReport::Inquiry {
            self.refuse(place, "the 846 asks what there is (PI): that is not answered");
            return;
        }
        self.has_stock.get_or_insert(true);
        let as_of = self.moment(inventory.date, inventory.time);
        let at = location(&inventory.parties);
        for (number, line) in (1..).zip(&inventory.lines) {
            let listing = self.listing(&line.item);
            let of = |kind: &StockKind| line.stocks.iter().find(|stock| stock.kind == *kind);
            let pieces = |stock: &x12::Stock| self.edi.settings.pieces(stock.quantity, stock.unit.as_deref());
            let found = match (of(&StockKind::OnHand), of(&StockKind::Available)) {
                (Some(there), _) => pieces(there).and_then(|there| {
                    let unusable = of(&StockKind::Unusable).map(pieces).transpose()?;
                    Ok(there - unusable.unwrap_or_default())
                }),
                (None, Some(available)) => pieces(available),
                (None, None) => {
                    Err("says neither what is on hand (17) nor what is available (33)".to_owned())
                }
            };
            self.row(place, number, &listing, at.clone(), as_of, found);
        }
    }

    fn report(&mut self, place: &Place, report: &StockReport) {
        if report.is_of_movements {
            self.refuse(place, "the INVRPT tells movements (78): what there is (35) is taken");
            return;
        }
        self.has_stock.get_or_insert(true);
        for (number, line) in (1..).zip(&report.lines) {
            let listing = self.listing(&line.item);
            let mut places = BTreeMap::<Option<&str>, (Result<Quantity, String>, Option<Date>)>::new();
            let mut counted = BTreeSet::new();
            for held in &line.held {
                let sign = match held.kind {
                    HeldKind::Actual | HeldKind::OnHand => 1,
                    HeldKind::QualityControl | HeldKind::QualityFailed | HeldKind::Damaged => -1,
                    HeldKind::Committed | HeldKind::InTransit | HeldKind::Other(_) => continue,
                };
                let at = held.location.as_deref();
                let (sum, as_of) = places.entry(at).or_insert((Ok(Quantity::ZERO), None));
                if sign > 0 {
                    counted.insert(at);
                    *as_of = held.as_of;
                }
                let pieces = self.edi.settings.pieces(held.quantity, held.unit.as_deref());
                *sum = pieces.and_then(|pieces| {
                    let sum = sum.clone()?;
                    Ok(if sign > 0 { sum + pieces } else { sum - pieces })
                });
            }
            if counted.is_empty() {
                let found = Err("says neither what there is (145) nor what is on hand (17)".to_owned());
                self.row(place, number, &listing, None, self.written_at, found);
            }
            for (at, (found, as_of)) in places.into_iter().filter(|(at, _)| counted.contains(at)) {
                let as_of = match as_of {
                    Some(date) => self.moment(date, None),
                    None => self.moment(report.made_on, report.made_at),
                };
                self.row(place, number, &listing, at.map(Box::from), as_of, found);
            }
        }
    }

    /// So much of an item somewhere: added to what the same interchange has told of it.
    fn row(
        &mut self,
        place: &Place,
        line: u64,
        listing: &str,
        location: Option<Box<str>>,
        as_of: Instant,
        found: Result<Quantity, String>,
    ) {
        let quantity = match found {
            Ok(quantity) if quantity.is_negative() => Err("more is unusable than is on hand".to_owned()),
            found => found,
        };
        let quantity = match quantity {
            Ok(quantity) => quantity,
            Err(reason) => {
                self.has_stock = Some(false);
                return self.refuse(place, format!("`{listing}` {reason}"));
            }
        };
        let at = (location.clone(), Box::from(listing));
        if let Some(row) = self.places.get(&at).and_then(|index| self.stock.get_mut(*index)) {
            row.quantity += quantity;
            return;
        }
        self.places.insert(at, self.stock.len());
        let listing = Box::from(listing);
        self.stock.push(StockRow { line, location, listing, lot: None, quantity, as_of: Some(as_of) });
    }

    fn purchase_order(&mut self, place: &Place, order: &PurchaseOrder) {
        let placed_at = self.edi.settings.instant(order.placed_on, Time::midnight());
        let at = placed_at.map_or(self.written_at, |at| at.min(self.written_at));
        let mut lines = Vec::new();
        for (index, line) in order.lines.iter().enumerate() {
            let listing = self.listing(&line.item);
            let quantity = match self.edi.settings.pieces(line.quantity, line.unit.as_deref()) {
                Ok(quantity) => quantity,
                // An order is taken as a whole.
                Err(reason) => {
                    self.refuse(
                        place,
                        format!("order {} is not taken: `{listing}`: {reason}", order.reference),
                    );
                    return;
                }
            };
            lines.push(RemoteOrderLine {
                line: line.line.clone().unwrap_or_else(|| (index + 1).to_string()),
                listing,
                quantity,
                shipped: Quantity::ZERO,
                returned: Quantity::ZERO,
                withheld: Quantity::ZERO,
                places: Vec::new(),
            });
        }
        let number = u64::try_from(self.orders.len() + 1).unwrap_or(u64::MAX);
        let order = RemoteOrder {
            document: order.reference.clone(),
            // Only original orders are read, so that there is one version.
            version: 1,
            placed_at: at,
            updated_at: at,
            moved_at: at,
            history: false,
            cancelled: false,
            lines,
            raw: recipient(order),
        };
        self.orders.push((number, order));
    }

    /// What was sent under a control number.
    async fn numbered(&self, control: &str) -> Result<Option<Numbered>, ChannelError> {
        self.edi.recall(&format!("number/{control}")).await
    }

    async fn acknowledged(&mut self, place: &Place, told: &Acknowledgment) -> Result<(), ChannelError> {
        let control = format!("{:04}", told.control);
        let set = told.sets.iter().find(|set| set.control == control);
        let is_taken = match set.map_or(told.verdict, |set| set.verdict) {
            Verdict::Accepted | Verdict::AcceptedWithErrors => true,
            Verdict::Partly => told.accepted > 0,
            Verdict::Rejected | Verdict::NotTrusted => false,
        };
        let mut reasons: Vec<String> = Vec::new();
        for note in set.iter().flat_map(|set| &set.notes) {
            let at = format!("segment {} {}", note.position, note.id);
            reasons.extend(note.code.as_ref().map(|code| format!("{at}: error {code}")));
            reasons.extend(note.elements.iter().map(|element| {
                let value = element.value.as_ref().map_or(String::new(), |value| format!(" (`{value}`)"));
                format!("{at}, element {}: error {}{value}", element.element, element.code)
            }));
        }
        let codes = set.iter().flat_map(|set| &set.codes).chain(&told.codes);
        reasons.extend(codes.map(|code| format!("error {code}")));
        let name = format!("997 of group {}", told.control);
        self.answered(place, &name, &told.control.to_string(), is_taken.then_some(()).ok_or(reasons)).await
    }

    async fn controlled(&mut self, place: &Place, control: &edifact::Control) -> Result<(), ChannelError> {
        let message = control.messages.first();
        let is_taken = control.action != Action::Rejected
            && message.is_none_or(|message| message.action != Action::Rejected);
        let mut reasons: Vec<String> = Vec::new();
        let errors = control.error.iter().chain(message.iter().filter_map(|message| message.error.as_ref()));
        reasons.extend(errors.map(|error| match &error.tag {
            Some(tag) => format!("segment {tag}: error {}", error.code),
            None => format!("error {}", error.code),
        }));
        for segment in message.iter().flat_map(|message| &message.segments) {
            let at = format!("segment {}", segment.position);
            reasons.extend(segment.code.as_ref().map(|code| format!("{at}: error {code}")));
            let of = |element: &edifact::ElementError| {
                format!("{at}, element {}: error {}", element.element, element.code)
            };
            reasons.extend(segment.elements.iter().map(of));
        }
        let name = format!("CONTRL of interchange {}", control.interchange);
        self.answered(place, &name, &control.interchange, is_taken.then_some(()).ok_or(reasons)).await
    }

    /// What was sent under that number was taken, or was not for these reasons.
    async fn answered(
        &mut self,
        place: &Place,
        name: &str,
        control: &str,
        is_taken: Result<(), Vec<String>>,
    ) -> Result<(), ChannelError> {
        let (system, written_at) = (self.edi.name.clone(), self.written_at);
        let why = is_taken.err().map(|reasons| {
            let reasons = if reasons.is_empty() { "it says not why".to_owned() } else { reasons.join("; ") };
            format!("{system}'s {name} rejects it: {reasons}")
        });
        match (self.numbered(control).await?, why) {
            (None, _) => self.refuse(place, format!("the {name} is of nothing that was sent")),
            (Some(Numbered::Stock), None) => {}
            (Some(Numbered::Stock), Some(why)) => {
                let sentence = format!(
                    "The numbers that {system} was told as interchange {control} were not taken: {why}."
                );
                self.brought.push(Brought::Rejected(sentence));
            }
            (Some(Numbered::Document { document, version }), why) => {
                let what = match self.edi.recall::<Sent>(&format!("sent/{document}")).await? {
                    Some(known) => known.what,
                    None => return Ok(()),
                };
                let Some(sent) = self.sent(&document, what).await? else { return Ok(()) };
                let Some(why) = why else {
                    sent.accept(version, written_at);
                    return Ok(());
                };
                if !sent.reject(version, why.clone(), written_at) {
                    let sentence = format!(
                        "What has changed of {document} was not taken by {system}, and what was sent of it before stands there: {why}."
                    );
                    self.brought.push(Brought::Rejected(sentence));
                }
            }
        }
        Ok(())
    }
}

/// Is nothing more told of a line of that status, and why?
fn closes(status: &Status) -> Option<Closed> {
    match status {
        Status::Complete | Status::PartialRestDropped => Some(Closed::Done),
        Status::Cancelled => Some(Closed::Cancelled),
        Status::OutOfStock => Some(Closed::OutOfStock),
        Status::Substitute => Some(Closed::Substituted),
        Status::PartialRestLater | Status::Partial | Status::Later | Status::Other(_) => None,
    }
}

fn add(lines: &mut Vec<ParcelLine>, line: String, quantity: Quantity, lot: Option<String>) {
    match lines.iter_mut().find(|known| known.line == line && known.lot == lot) {
        Some(known) => known.quantity += quantity,
        None => lines.push(ParcelLine { line, quantity, lot }),
    }
}

/// The warehouse that a document names by a code.
fn location(parties: &[x12::Party]) -> Option<Box<str>> {
    let warehouse = parties.iter().find(|party| party.role == "WH")?;
    warehouse.code.as_ref().map(|named| named.code.as_str().into())
}

/// Why stock changed, in the words that people change it by.
fn reason(why: &Why) -> &'static str {
    match why {
        Why::Counted => "cycle_count",
        Why::Located => "found",
        Why::DamagedHere | Why::DamagedInTransit | Why::Repaired => "damaged",
        Why::Held | Why::Released | Why::Recalled => "quality_control",
        Why::Destroyed | Why::Expired => "shrinkage",
        Why::ReceiptError | Why::ShipmentError => "correction",
        Why::Other(_) => "other",
    }
}

/// Whom an order is for, as whoever ships it is told.
fn recipient(order: &PurchaseOrder) -> Option<Raw> {
    let party = order.recipient()?;
    let recipient = json!({
        "name": party.name,
        "address": party.address,
        "city": party.city,
        "region": party.region,
        "postal_code": party.postal_code,
        "country": party.country,
    });
    Some(Raw::from(json!({ "recipient": recipient }).to_string()))
}
