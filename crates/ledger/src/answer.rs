//! What the ledger answers, and why it refuses.

use serde::{Deserialize, Serialize};

use crate::model::Recount;
use crate::{
    CountId, DiscrepancyId, HoldId, Instant, ItemId, ListingId, LocationId, LotId, OrderId, PurchaseId,
    Quantity, ReturnId, RuleId, Seq, SessionId, StockState, SystemId, TransferId,
};

/// What a caller is told. A copy of the request is told the same, word for word.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum Answer {
    /// An item is as asked.
    Item(ItemId),
    /// A location is as asked.
    Location(LocationId),
    /// A system is as asked.
    System(SystemId),
    /// A listing is as asked.
    Listing(ListingId),
    /// A rule is as asked, or ended.
    Rule(RuleId),
    /// Stock moved; and what came up.
    Moved(Vec<Moved>, Vec<DiscrepancyId>),
    /// What was counted, and what there was; and what came up.
    Counted(Vec<Counted>, Vec<DiscrepancyId>),
    /// A hold is as asked: its id, until when, and its lines.
    Hold(HoldId, Instant, Vec<HeldLine>),
    /// An order is as asked: its id and its lines.
    Order(OrderId, Vec<LineAnswer>),
    /// A document was applied, line by line.
    Recorded {
        /// The order it is about, if it is about one.
        order: Option<OrderId>,
        /// What each line came to.
        lines: Vec<LineAnswer>,
        /// What came up.
        discrepancies: Vec<DiscrepancyId>,
    },
    /// The document, or a newer version of it, is applied already; nothing moved.
    AlreadyApplied {
        /// The version that is applied.
        version: u64,
    },
    /// It waits in the inbox and moved nothing.
    Waiting(DiscrepancyId, String),
    /// A discrepancy was noted or resolved.
    Discrepancy(DiscrepancyId),
    /// Time passed; so many holds lapsed.
    Ticked(u32),
    /// A lot or serial is as asked.
    Lot(LotId),
    /// The business says no. Nothing moved.
    Refused(Refusal),
    /// An item is as asked, and something about it is worth a look.
    ItemNoted(ItemId, ItemNotes),
    /// Two items are one.
    Merged(Merged),
    /// A transfer is as asked.
    Transfer {
        /// Which.
        id: TransferId,
        /// Its lines as they are now.
        lines: Vec<TransferLineAnswer>,
        /// What moved.
        moved: Vec<Moved>,
        /// What came up.
        discrepancies: Vec<DiscrepancyId>,
    },
    /// A purchase order is as asked.
    Purchase {
        /// Which.
        id: PurchaseId,
        /// Its lines as they are now.
        lines: Vec<PurchaseLineAnswer>,
        /// What moved.
        moved: Vec<Moved>,
        /// What came up.
        discrepancies: Vec<DiscrepancyId>,
    },
    /// A session of counting is as asked.
    Session(SessionId),
    /// What was seen is kept, line by line.
    Sighted(SessionId, Vec<SightedLine>),
    /// What each command of a group was answered, in order. No group is in a group.
    Group(#[serde(deserialize_with = "not_nested")] Vec<Answer>),
    /// A return is expected as asked, or no more.
    Return(ReturnId),
}

/// Reads what has a group's answers or refusal in it, and no deeper: bytes that somebody made up would lead down until the
/// stack ends.
fn not_nested<'de, T: Deserialize<'de>, D: serde::Deserializer<'de>>(deserializer: D) -> Result<T, D::Error> {
    thread_local! {
        static INSIDE: std::cell::Cell<bool> = const { std::cell::Cell::new(false) };
    }
    if INSIDE.replace(true) {
        return Err(serde::de::Error::custom("a group is in a group"));
    }
    let read = T::deserialize(deserializer);
    INSIDE.set(false);
    read
}

/// What is worth a look about an item that was made or changed.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct ItemNotes {
    /// Other items whose names look the same: one of them may be the other misspelt. They can be merged.
    pub twins: Vec<String>,
    /// What there still is of an item that is archived now.
    pub remains: Option<Remains>,
}

/// What there still is of an archived item.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct Remains {
    /// In all states, at all locations.
    pub on_hand: Quantity,
    /// Of it, held by checkouts.
    pub reserved: Quantity,
    /// Of it, promised to orders.
    pub committed: Quantity,
    /// On its way.
    pub in_transit: Quantity,
    /// Wanted by orders and covered by nothing.
    pub short: Quantity,
}

/// What a merge did.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Merged {
    /// The item that goes on.
    pub item: ItemId,
    /// Its SKU.
    pub sku: String,
    /// The item that ended.
    pub from: ItemId,
    /// What it gained, by location.
    pub moved: Vec<Moved>,
    /// Orders that have lines of it now.
    pub orders: u32,
    /// Holds that have lines of it now.
    pub holds: u32,
    /// Listings that are mapped to it now.
    pub listings: u32,
}

/// One line of a transfer, as answered.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct TransferLineAnswer {
    /// Its name.
    pub line: String,
    /// What.
    pub sku: String,
    /// How much shall go.
    pub quantity: Quantity,
    /// How much is kept for it where it leaves from.
    pub reserved: Quantity,
    /// How much has left.
    pub dispatched: Quantity,
    /// How much is on its way.
    pub in_transit: Quantity,
    /// How much of what left has come in.
    pub received: Quantity,
    /// How much of it was lost on the way.
    pub lost: Quantity,
    /// How much of it came back.
    pub returned: Quantity,
    /// How much came in beyond what was on its way.
    pub over: Quantity,
}

/// One line of a purchase order, as answered.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct PurchaseLineAnswer {
    /// Its name.
    pub line: String,
    /// What.
    pub sku: String,
    /// How much is ordered.
    pub quantity: Quantity,
    /// How much has come.
    pub received: Quantity,
    /// How much is still expected.
    pub open: Quantity,
    /// How much came beyond what is ordered.
    pub over: Quantity,
}

/// One line of a hold, as answered.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct HeldLine {
    /// Its name: `1`, `2`, … in the order they were asked in.
    pub line: String,
    /// What.
    pub sku: String,
    /// How much was asked for.
    pub quantity: Quantity,
    /// How much it keeps.
    pub kept: Quantity,
}

/// What was seen of an item, as answered to the counter. What was expected is not said.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct SightedLine {
    /// What.
    pub sku: String,
    /// How much was seen.
    pub quantity: Quantity,
    /// Must somebody look again?
    pub recount: Option<Recount>,
}

/// One movement, as answered.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Moved {
    /// What.
    pub sku: String,
    /// Where.
    pub location: String,
    /// How `on_hand` there changed.
    pub difference: Quantity,
    /// What lies free at that very place afterwards, without lots that ended or were called back.
    pub available: Quantity,
    /// The movement's entry.
    pub seq: Seq,
}

/// One count, as answered.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Counted {
    /// The count.
    pub id: CountId,
    /// What.
    pub sku: String,
    /// How much was seen.
    pub counted: Quantity,
    /// How much there was at that time, by what we knew.
    pub found: Quantity,
    /// What was booked: counted − found.
    pub difference: Quantity,
    /// What lies free at that very place afterwards, without lots that ended or were called back.
    pub available: Quantity,
}

/// One line of an order or document, as answered.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct LineAnswer {
    /// Its name.
    pub line: String,
    /// What.
    pub sku: String,
    /// Wanted.
    pub quantity: Quantity,
    /// Promised and still there.
    pub allocated: Quantity,
    /// Has left.
    pub shipped: Quantity,
    /// Covered by nothing.
    pub short: Quantity,
    /// Of `short`: accepted as a backorder.
    pub backordered: Quantity,
    /// Of `short`: accepted as a preorder.
    pub preordered: Quantity,
}

impl LineAnswer {
    /// Of a line of which nothing is promised, has left or is missing.
    pub(crate) const fn of(line: String, sku: String, quantity: Quantity) -> Self {
        Self {
            line,
            sku,
            quantity,
            allocated: Quantity::ZERO,
            shipped: Quantity::ZERO,
            short: Quantity::ZERO,
            backordered: Quantity::ZERO,
            preordered: Quantity::ZERO,
        }
    }

    /// What the line is, in a word: `short` where it is (also in part), else how it waits, else `allocated` or `shipped`;
    /// `evidence` where it moves nothing: another system told of it before, or is master there.
    pub fn is(&self) -> &'static str {
        if self.short > self.backordered + self.preordered {
            "short"
        } else if self.preordered.is_positive() {
            "preordered"
        } else if self.backordered.is_positive() {
            "backordered"
        } else if self.allocated.is_positive() {
            "allocated"
        } else if self.shipped.is_positive() {
            "shipped"
        } else if self.quantity.is_positive() {
            "evidence"
        } else {
            "cancelled"
        }
    }
}

/// What was to be taken out of.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum OutOf {
    /// One state.
    State(StockState),
    /// All that lies there.
    OnHand,
}

impl OutOf {
    /// What is available.
    pub const AVAILABLE: Self = Self::State(StockState::Available);
}

/// How much is missing of what, where.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Missing {
    /// What.
    pub sku: String,
    /// Where, if one place was named.
    pub location: Option<String>,
    /// Out of which states.
    pub out_of: OutOf,
    /// How much was asked for, in all lines together.
    pub wanted: Quantity,
    /// How much is there.
    pub available: Quantity,
    /// How much is held by checkouts, and until when the first of them.
    pub held: Option<(Quantity, Instant)>,
    /// How much more may be backordered, or preordered until the instant it is there; none: it takes neither.
    pub beyond: Option<(Quantity, Option<Instant>)>,
}

/// Of what two rules would name two masters.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum Tied {
    /// Of the item of a SKU.
    Item(String),
    /// Of items with a tag.
    Tag(String),
    /// Of whatever no rule for an item or a tag speaks of.
    All,
}

/// Why the business says no. Kept under the request's key: a copy hears the same, whatever changed since.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, thiserror::Error)]
pub enum Refusal {
    /// More is wanted than there is.
    #[error("{}", insufficient(.0))]
    Insufficient(Vec<Missing>),
    /// Another system is master there.
    #[error(
        "cannot change the stock of `{sku}` at `{location}` here: its master is `{master}`; change it there"
    )]
    NotMaster {
        /// What.
        sku: String,
        /// Where.
        location: String,
        /// Who is master.
        master: String,
    },
    /// Nothing is sold from there.
    #[error("`{location}` does not sell; name another location, or none")]
    NotSellable {
        /// Where.
        location: String,
    },
    /// The hold keeps nothing any more.
    #[error("hold {hold} has {state}: it keeps nothing any more; place another")]
    HoldEnded {
        /// Which.
        hold: HoldId,
        /// `lapsed`, `been released` or `become an order`.
        state: String,
    },
    /// The hold's line keeps less than that.
    #[error("line `{line}` of hold {hold} keeps {has}, not {wanted}")]
    HoldHasLess {
        /// Which hold.
        hold: HoldId,
        /// Which line.
        line: String,
        /// How much it shall keep.
        has: Quantity,
        /// How much was asked to be let go.
        wanted: Quantity,
    },
    /// The order's line has less than that.
    #[error("line `{line}` of order {order} has {has} to {verb}, not {wanted}")]
    LineHasLess {
        /// Which order.
        order: OrderId,
        /// Which line.
        line: String,
        /// `ship`, `cancel` or `return`.
        verb: String,
        /// How much it has.
        has: Quantity,
        /// How much was asked.
        wanted: Quantity,
    },
    /// An order of that reference exists.
    #[error(
        "order `{reference}` exists already (order {order}); an amendment is a newer version of its document"
    )]
    ReferenceTaken {
        /// The reference.
        reference: String,
        /// The order that has it.
        order: OrderId,
    },
    /// A finer quantity was booked before.
    #[error(
        "the precision of `{sku}` cannot become coarser than {decimals} decimals: finer quantities may be booked"
    )]
    PrecisionInUse {
        /// What.
        sku: String,
        /// As it is.
        decimals: u8,
    },
    /// Two rules of one specificity would name two masters of the same stock.
    #[error("{}", tied(of, at.as_deref(), *rule, *other))]
    RuleTie {
        /// What.
        of: Tied,
        /// Where; none: at every location that no rule names.
        at: Option<String>,
        /// One.
        rule: RuleId,
        /// And the other.
        other: RuleId,
    },
    /// Two publication rules of one specificity would say different things of the same listings.
    #[error("{}", tied_publication(of, at.as_deref(), *rule, *other))]
    PublicationTie {
        /// Of what: an item.
        of: Tied,
        /// Where: a system's name, or such as `WEB, at main`; none: at every one.
        at: Option<String>,
        /// One.
        rule: RuleId,
        /// And the other.
        other: RuleId,
    },
    /// The document has ended.
    #[error("{document} is {state}: nothing more can be {verb}")]
    DocumentEnded {
        /// Such as `transfer 57`.
        document: String,
        /// `transferred`, `closed`, …
        state: String,
        /// `dispatched`, `received`, …
        verb: String,
    },
    /// The document's line has less than that.
    #[error("line `{line}` of {document} has {has} to {verb}, not {wanted}")]
    DocumentHasLess {
        /// Such as `transfer 57`.
        document: String,
        /// Which line.
        line: String,
        /// `dispatch`, `lose`, …
        verb: String,
        /// How much it has.
        has: Quantity,
        /// How much was asked.
        wanted: Quantity,
    },
    /// A document of that kind and reference exists.
    #[error("`{reference}` is the reference of {document} already; use another, or change that one")]
    DocumentReferenceTaken {
        /// The reference.
        reference: String,
        /// The one that has it, such as `transfer 57`.
        document: String,
    },
    /// The movement belongs to something that is corrected in its own way.
    #[error("the movement {seq} {belongs}; {instead}")]
    NotReversible {
        /// The movement.
        seq: Seq,
        /// What it belongs to, such as `is of an order`.
        belongs: String,
        /// What to do instead.
        instead: String,
    },
    /// More than is left of a movement would be taken back.
    #[error("of the {moved} that movement {seq} moved, {left} can still be reversed, not {wanted}")]
    ReversedAlready {
        /// The movement.
        seq: Seq,
        /// How much it moved.
        moved: Quantity,
        /// How much of it is not taken back yet.
        left: Quantity,
        /// How much was asked.
        wanted: Quantity,
    },
    /// No location has all of an order that may not be divided.
    #[error(
        "no location has all of {}, and an order may not leave from more than one: order less, or let the allocation rule \
         split",
        listed(.skus)
    )]
    NotInOnePlace {
        /// Of what it wants.
        skus: Vec<String>,
    },
    /// The session of counting has ended.
    #[error("the counting session {session} is {state}: open another")]
    SessionEnded {
        /// Which.
        session: SessionId,
        /// `applied` or `cancelled`.
        state: String,
    },
    /// Somebody must look again before a session is booked.
    #[error("the counting session {session} cannot be applied: {} must be counted again", listed(.skus))]
    RecountNeeded {
        /// Which.
        session: SessionId,
        /// Of what.
        skus: Vec<String>,
    },
    /// Differences are beyond what is booked without approval.
    #[error(
        "the counting session {session} needs approval: the difference of {} is beyond its threshold; apply it with \
         `approve`, with a key that has that right",
        listed(.skus)
    )]
    ApprovalNeeded {
        /// Which.
        session: SessionId,
        /// Of what.
        skus: Vec<String>,
    },
    /// A piece is where it was told to be, or elsewhere.
    #[error(
        "the serial `{serial}` of `{sku}` is at `{location}` by our books; it cannot come in a second time: check the number, \
         or transfer the piece"
    )]
    SerialElsewhere {
        /// What.
        sku: String,
        /// Which.
        serial: String,
        /// Where.
        location: String,
    },
    /// How an item is tracked, or that it is a kit, cannot change once it has moved.
    #[error(
        "`{sku}` has moved already: {what} cannot change any more; make another item, and merge or assemble"
    )]
    ItemInUse {
        /// What.
        sku: String,
        /// `how it is tracked`.
        what: String,
    },
    /// It was resolved before.
    #[error("the discrepancy {discrepancy} is resolved already; there is nothing left to do about it")]
    AlreadyResolved {
        /// Which.
        discrepancy: DiscrepancyId,
    },
    /// The barcode is another item's.
    #[error("the barcode `{barcode}` is on `{sku}` already; take it off there, or send another")]
    BarcodeTaken {
        /// The code as it was sent.
        barcode: String,
        /// Whose it is.
        sku: String,
    },
    /// The name is another item's.
    #[error("`{name}` is a name of the item `{sku}` already; merge the two, or use another name")]
    SkuTaken {
        /// The name.
        name: String,
        /// Whose it is.
        sku: String,
    },
    /// The item takes no new stock and no new promises.
    #[error(
        "`{sku}` is archived: nothing new is received, held or ordered of it; unarchive it first (archived: false)"
    )]
    Archived {
        /// What.
        sku: String,
    },
    /// The two cannot be one.
    #[error("cannot merge `{from}` into `{into}`: {reason}")]
    CannotMerge {
        /// What would end.
        from: String,
        /// What would go on.
        into: String,
        /// Why, and what would make it possible.
        reason: String,
    },
    /// A command of a group was refused, and all of the group with it.
    #[error("line {line} of the group: {refusal}; nothing of the group was done")]
    InGroup {
        /// Which, from 1 on.
        line: u32,
        /// Why.
        #[serde(deserialize_with = "not_nested")]
        refusal: Box<Refusal>,
    },
}

/// The first few by name, and how many more there are.
fn listed(skus: &[String]) -> String {
    const SHOWN: usize = 5;
    let named: Vec<String> = skus.iter().take(SHOWN).map(|sku| format!("`{sku}`")).collect();
    let more = skus.len().saturating_sub(SHOWN);
    let more = if more == 0 { String::new() } else { format!(" and {more} more") };
    format!("{}{more}", named.join(", "))
}

fn tied(of: &Tied, at: Option<&str>, rule: RuleId, other: RuleId) -> String {
    let there = at.map_or_else(String::new, |at| format!(" at `{at}`"));
    let (what, decides) = match of {
        Tied::Item(sku) => (format!("`{sku}`"), format!("make a rule for `{sku}` itself{there}")),
        Tied::Tag(tag) => {
            (format!("what is tagged `{tag}`"), format!("make a rule for `{tag}`{there} itself"))
        }
        Tied::All => ("what has no rule of its own".to_owned(), format!("make a rule for all{there} itself")),
    };
    format!(
        "the rules {rule} and {other} would both name a master of {what}{there}, and neither is more specific: \
         {decides}, or end one of them"
    )
}

fn tied_publication(of: &Tied, at: Option<&str>, rule: RuleId, other: RuleId) -> String {
    let there = at.map_or_else(String::new, |at| format!(" at `{at}`"));
    let what = match of {
        Tied::Item(sku) => format!("`{sku}`"),
        Tied::Tag(tag) => format!("what is tagged `{tag}`"),
        Tied::All => "anything".to_owned(),
    };
    format!(
        "the rules {rule} and {other} would both say what is shown of {what}{there}, and neither is more specific: \
         make a rule for {what} itself{there}, or end one of them"
    )
}

fn insufficient(missing: &[Missing]) -> String {
    let sentences: Vec<String> = missing
        .iter()
        .map(|Missing { sku, location, out_of, wanted, available, held, beyond }| {
            let place = location.as_ref().map_or(String::new(), |location| format!(" at `{location}`"));
            match out_of {
                OutOf::State(StockState::Available) => {}
                OutOf::State(state) => {
                    let state = state.name();
                    return format!(
                        "cannot take {wanted} of `{sku}`{place} out of `{state}`: {available} there"
                    );
                }
                OutOf::OnHand => {
                    return format!("cannot take {wanted} of `{sku}`{place}: {available} on hand");
                }
            }
            let held = held.map_or(String::new(), |(held, until)| format!(", {held} held until {until}"));
            let beyond = match beyond {
                None => String::new(),
                Some((left, None)) => format!(", {left} more may be backordered"),
                Some((left, Some(from))) => format!(", {left} more may be preordered (there from {from})"),
            };
            format!("cannot take {wanted} of `{sku}`{place}: {available} available{held}{beyond}")
        })
        .collect();
    sentences.join("; ")
}

fn known_packs(known: &[String]) -> String {
    if known.is_empty() { "; it has none".to_owned() } else { format!("; it has {}", known.join(", ")) }
}

/// The first few lines that there are.
fn known_lines(known: &[String]) -> String {
    if known.is_empty() { String::new() } else { format!("; it has {}", listed(known)) }
}

/// Why a command is not one. It is not kept, and its key stays free.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum Invalid {
    /// No item of that SKU (or listing).
    #[error("no item has the SKU `{0}`; create it, or check case and spaces")]
    UnknownSku(String),
    /// No location of that code.
    #[error("no location has the code `{0}`; create it, or check case and spaces")]
    UnknownLocation(String),
    /// No lot or serial of that name.
    #[error("`{sku}` has no lot or serial `{lot}`; check case and spaces")]
    UnknownLot {
        /// What.
        sku: String,
        /// As given.
        lot: String,
    },
    /// No system of that name.
    #[error("no system is called `{0}`")]
    UnknownSystem(String),
    /// A document names a listing that no item is behind.
    #[error("the listing `{listing}`{} is mapped to no item; map it", sku.as_ref().map_or(String::new(), |sku| format!(" (SKU `{sku}`)")))]
    UnmappedListing {
        /// Its id over there.
        listing: String,
        /// Its SKU over there, where it has one.
        sku: Option<String>,
    },
    /// No such order, hold, rule or discrepancy.
    #[error("there is no {kind} {id}")]
    Unknown {
        /// `order`, `hold`, `rule`, `discrepancy`.
        kind: &'static str,
        /// Its id.
        id: String,
    },
    /// Zero or negative where more than nothing is meant.
    #[error("{field} of `{sku}` must be more than 0, not {quantity}")]
    NotPositive {
        /// The field.
        field: &'static str,
        /// What.
        sku: String,
        /// As given.
        quantity: Quantity,
    },
    /// More decimals than the item has.
    #[error("{quantity} of `{sku}` is too precise: at most {decimals} decimals")]
    TooPrecise {
        /// What.
        sku: String,
        /// As given.
        quantity: Quantity,
        /// The item's precision.
        decimals: u8,
    },
    /// Nothing in it.
    #[error("{0} needs at least one line")]
    NoLines(&'static str),
    /// The same thing twice.
    #[error("{field} `{value}` is there twice; each once")]
    Twice {
        /// The field.
        field: &'static str,
        /// The value.
        value: String,
    },
    /// A field is out of bounds.
    #[error("{field}: {problem}")]
    Field {
        /// The field.
        field: &'static str,
        /// What is wrong, and what would be right.
        problem: String,
    },
    /// A time too far ahead of ours.
    #[error(
        "{field} {at} is more than 5 minutes ahead of our clock ({now}); check that clock, or leave it out"
    )]
    TooFarAhead {
        /// The field.
        field: &'static str,
        /// As given.
        at: Instant,
        /// Our clock.
        now: Instant,
    },
    /// The key was used for something else.
    #[error("the key `{0}` was used for another request; use a new key, or send the same body")]
    KeyReused(String),
    /// More than is accepted from outside.
    #[error("{quantity} of `{sku}` is too large: at most 1000000000000 units")]
    TooLarge {
        /// What.
        sku: String,
        /// As given.
        quantity: Quantity,
    },
    /// The item has no such pack.
    #[error("`{sku}` has no pack `{pack}`{}", known_packs(.known))]
    UnknownPack {
        /// What.
        sku: String,
        /// As given.
        pack: String,
        /// Those it has.
        known: Vec<String>,
    },
    /// A sum would leave 64 bits.
    #[error("the figures of `{0}` would exceed what can be counted (2305843009213 units)")]
    Overflow(String),
    /// What is named has no such line.
    #[error("{of} has no line `{line}`{}", known_lines(.known))]
    UnknownLine {
        /// What has lines, such as `order 57`.
        of: String,
        /// As given.
        line: String,
        /// The first of those it has.
        known: Vec<String>,
    },
    /// A command of a group is none.
    #[error("line {line} of the group: {invalid}; nothing of the group was done")]
    InGroup {
        /// Which, from 1 on.
        line: u32,
        /// Why.
        invalid: Box<Invalid>,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_group_is_read_and_none_that_is_in_another() {
        let refusal = Refusal::NotSellable { location: "LONDON".to_owned() };
        let refused = Answer::Refused(Refusal::InGroup { line: 2, refusal: Box::new(refusal) });
        let group = Answer::Group(vec![Answer::Ticked(1), Answer::Ticked(2)]);
        for answer in [&group, &refused, &group] {
            let bytes = postcard::to_allocvec(answer).unwrap();
            assert_eq!(&postcard::from_bytes::<Answer>(&bytes).unwrap(), answer);
        }
        let [tag, ..] = postcard::to_allocvec(&group).unwrap()[..] else { panic!("it has bytes") };
        let made_up = [tag, 1].repeat(1_000_000);
        assert!(postcard::from_bytes::<Answer>(&made_up).is_err());
        let bytes = postcard::to_allocvec(&group).unwrap();
        assert_eq!(postcard::from_bytes::<Answer>(&bytes).unwrap(), group, "after an error too");
    }
}
