//! What can be asked of the ledger, or told to it.
//!
//! A *request* may be refused. A *fact* ([`Body::Record`]) has happened elsewhere and is always recorded.
//! Names are resolved inside, where they and the stock are read at one `seq`. Quantities come parsed at the
//! finest precision; the item's own is checked inside.

mod publication;
mod source;
mod supply;

use serde::{Deserialize, Serialize};

pub use self::publication::*;
pub use self::source::Source;
pub use self::supply::*;
use crate::answer::Invalid;
use crate::gtin;
use crate::key::StockState;
use crate::model::{
    Direction, GetsOrders, Inbound, Pack, Parcels, Policy, Role, Stage, Timing, Tracking, Zeros,
};
use crate::{HoldId, Instant, Money, OrderId, Precision, Quantity, ReturnId, RuleId, SessionId};

/// One command.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Command {
    /// The caller's key: 1 to 255 characters. The same key gives the same answer and no second effect.
    pub key: Option<String>,
    /// A hash of the request as it came, to tell a copy from another request under the same key.
    pub fingerprint: u64,
    /// Who asks: an API key's name, a system's, or `onhand`.
    pub actor: String,
    /// What.
    pub body: Body,
}

impl Command {
    /// A command whose key stands for its body, however it came here: in process, or as a line over HTTP.
    pub fn keyed(key: Option<String>, actor: impl Into<String>, body: Body) -> Self {
        // Without a key nobody asks whether it is a copy.
        let fingerprint = if key.is_some() { fingerprint_of(&body) } else { 0 };
        Self { key, fingerprint, actor: actor.into(), body }
    }
}

/// The fingerprint of a body: over its bytes as the log would have them, so that neither spaces nor the order of fields count.
pub fn fingerprint_of(body: &Body) -> u64 {
    let written = postcard::to_stdvec(body).expect("a body can always be written");
    u64::from_be_bytes(blake3::hash(&written).as_bytes().first_chunk().copied().unwrap_or_default())
}

/// What is asked or told.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Body {
    /// Makes an item, or changes the one of that SKU.
    PutItem(PutItem),
    /// Makes a location, or changes the one of that code.
    PutLocation(PutLocation),
    /// Makes a system, or changes the one of that name.
    PutSystem(PutSystem),
    /// Makes a listing, or maps the one of that remote id.
    PutListing(PutListing),
    /// Says who is master of some stock.
    SetOwnership(SetOwnership),
    /// Says how a number follows from stock.
    SetPublication(SetPublication),
    /// Ends an ownership, publication or allocation rule.
    EndRule(RuleId),
    /// Goods came in from outside.
    Receive(Receive),
    /// Stock is more or less than the books say.
    Adjust(Adjust),
    /// Goods go from one location to another, at once.
    Transfer(Transfer),
    /// Stock changes its state where it is.
    Move(MoveState),
    /// Somebody saw how much there is.
    Count(TakeCount),
    /// Keep stock for a while.
    PlaceHold(PlaceHold),
    /// Let a hold go.
    ReleaseHold(HoldId),
    /// Make an order of a hold.
    ConvertHold(ConvertHold),
    /// An order that may be refused.
    PlaceOrder(PlaceOrder),
    /// Goods of an order left.
    FulfilOrder(FulfilOrder),
    /// An order, or some of it, is no longer wanted.
    CancelOrder(CancelOrder),
    /// Goods of an order came back.
    ReturnOrder(ReturnOrder),
    /// An outside document, in the state it is in now.
    Record(Document),
    /// Ends a discrepancy, saying why; or notes one that came up outside the ledger (see `engine`).
    Resolve(Resolve),
    /// A discrepancy found by comparing what a system shows with what it should.
    Note(Note),
    /// Nothing but the passing of time: lapses what is due.
    Tick,
    /// Gives an item another SKU.
    RenameItem(RenameItem),
    /// Gives an item further names, or takes some away.
    ChangeAliases(ChangeAliases),
    /// Makes one item of two.
    MergeItems(MergeItems),
    /// Says when an item is low.
    SetLowStock(SetLowStock),
    /// Anything else here, with the paper it was done by and free words, which the record keeps. A group is noted as a
    /// whole.
    Noted(Box<Noted>),
    /// A movement was wrong: takes it back, as of when it happened.
    Reverse(Reverse),
    /// Plans to send goods from one location to another: a draft, which keeps nothing.
    PlanTransfer(PlanTransfer),
    /// Changes how much shall go, or when it is expected.
    AmendTransfer(AmendTransfer),
    /// Goods of a transfer left: they are in transit.
    DispatchTransfer(DispatchTransfer),
    /// Goods of a transfer came in, or were lost on the way.
    ReceiveTransfer(ReceiveTransfer),
    /// Ends a transfer: what is on its way goes back to where it left from.
    CancelTransfer(CancelTransfer),
    /// Components become a kit.
    Assemble(Assemble),
    /// A kit becomes its components again.
    Disassemble(Assemble),
    /// Expects goods from a supplier.
    PlacePurchase(PlacePurchase),
    /// Changes what is expected of a purchase order, and when.
    AmendPurchase(AmendPurchase),
    /// Goods of a purchase order came.
    ReceivePurchase(ReceivePurchase),
    /// Nothing more is expected of a purchase order.
    EndPurchase(EndPurchase),
    /// Gives a hold another time to end.
    ExtendHold(ExtendHold),
    /// Lets some lines of a hold go.
    ReleaseLines(ReleaseLines),
    /// Says which locations orders are allocated from.
    SetAllocation(SetAllocation),
    /// Moves what is promised to an order to better places.
    Reallocate(Reallocate),
    /// Opens a session of counting at a location.
    OpenSession(OpenSession),
    /// A counter tells what was seen.
    Sight(Sight),
    /// Books what a session has counted.
    ApplySession(ApplySession),
    /// Ends a session that shall book nothing.
    CancelSession(SessionId),
    /// Makes a lot or serial, or changes the one of that name.
    PutLot(PutLot),
    /// All of these or none, in order, 1 to 1,000 of them: a later one sees what the earlier ones did. Documents are facts
    /// and come by themselves.
    Group(Vec<Body>),
    /// A transfer is ready to ship: what has not left of it is kept where it leaves from.
    ReadyTransfer(ReadyTransfer),
    /// Sells no more of an item, or of those with a tag: every listing of it shows 0 until that is lifted.
    StopSelling(StopSelling),
    /// Lifts that.
    ResumeSelling(ResumeSelling),
    /// Nothing is pushed to any system from here on.
    StopPushing,
    /// Ends [`Body::StopPushing`].
    ResumePushing,
    /// Says how much an adaptive rule keeps back at a listing, and what was measured.
    SizeBuffer(SizeBuffer),
    /// Asks the system that is master of an item somewhere to count it there.
    AskRecount(AskRecount),
    /// Goods of an order will come back, to where another system is master.
    AnnounceReturn(AnnounceReturn),
    /// Nothing more of an announced return is expected.
    EndReturn(ReturnId),
}

impl Body {
    /// How much work it is, roughly, in lines; at least 1.
    pub fn work(&self) -> usize {
        let lines = match self {
            Self::Receive(Receive { lines, .. })
            | Self::Adjust(Adjust { lines, .. })
            | Self::Transfer(Transfer { lines, .. })
            | Self::Move(MoveState { lines, .. })
            | Self::Count(TakeCount { lines, .. })
            | Self::PlaceHold(PlaceHold { lines, .. })
            | Self::PlaceOrder(PlaceOrder { lines, .. }) => lines.len(),
            Self::Record(document) => match &document.content {
                Content::Order(order) => order.lines.len(),
                Content::Shipment(shipment) => shipment.lines.len(),
                Content::Receipt(receipt) => receipt.lines.len(),
                Content::Movements(lines) => lines.len(),
                Content::Reply(reply) => reply.lines.len(),
                Content::Followed(followed) => followed.lines.len(),
            },
            Self::PlanTransfer(PlanTransfer { lines, .. }) => lines.len(),
            Self::PlacePurchase(PlacePurchase { lines, .. }) => lines.len(),
            Self::Noted(noted) => noted.body.work(),
            Self::Sight(sight) => sight.lines.len(),
            Self::Group(bodies) => bodies.iter().map(Self::work).sum(),
            _ => 1,
        };
        lines.max(1)
    }

    /// May a document that waits for a name be applied once this is done?
    pub fn names_something(&self) -> bool {
        match self {
            Self::PutItem(_)
            | Self::PutLocation(_)
            | Self::PutListing(_)
            | Self::PutLot(_)
            | Self::RenameItem(_)
            | Self::ChangeAliases(_)
            | Self::PlacePurchase(_) => true,
            Self::Noted(noted) => noted.body.names_something(),
            Self::Receive(Receive { lines, .. }) | Self::Count(TakeCount { lines, .. }) => {
                lines.iter().any(|line| line.lot.is_some() || line.serials.is_some())
            }
            Self::Record(Document { content: Content::Receipt(receipt), .. }) => {
                receipt.lines.iter().any(|line| line.lot.is_some() || line.serials.is_some())
            }
            Self::Record(Document { content: Content::Followed(followed), .. }) => {
                followed.lines.iter().any(|line| line.lot.is_some())
            }
            Self::ReceivePurchase(ReceivePurchase { lines: Some(lines), .. }) => {
                lines.iter().any(|line| line.lot.is_some() || line.serials.is_some())
            }
            Self::Group(bodies) => bodies.iter().any(Self::names_something),
            _ => false,
        }
    }
}

/// See [`Body::PutItem`]. What is `None` stays as it is, or takes its default.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct PutItem {
    /// 1 to 100 characters without control characters or spaces around.
    pub sku: String,
    /// Up to 500 characters. Default: the SKU.
    pub name: Option<String>,
    /// Up to 20 characters. Default: `each`.
    pub unit: Option<String>,
    /// Default: whole units. Cannot become coarser once there is stock history; refused then.
    pub precision: Option<Precision>,
    /// Up to 50 codes.
    pub barcodes: Option<Vec<String>>,
    /// Up to 100 tags.
    pub tags: Option<Vec<String>>,
    /// Up to 100 other names, each as a SKU is.
    pub aliases: Option<Vec<String>>,
    /// Up to 50 packs, each with a name and, perhaps, a barcode of its own.
    pub packs: Option<Vec<Pack>>,
    /// Low at or below so much at any site that sells it; not negative. [`SetLowStock`] takes it away again.
    pub low_stock: Option<Quantity>,
    /// No longer bought or sold? Default: false.
    pub archived: Option<bool>,
    /// How much may be short of it, in all orders together, before a request is refused. Default 0: no backorders.
    pub backorder_limit: Option<Quantity>,
    /// The same before `available_from`. Default 0: no preorders.
    pub preorder_limit: Option<Quantity>,
    /// From when it is there; requests before it are preorders. Now or an instant of the past: it is there.
    pub available_from: Option<Instant>,
    /// What one is built of: makes it a kit, or changes what later orders are built of; empty: it is none. Up to 100 lines,
    /// each SKU once; a component may be a kit itself. No kit is inside itself, and what it takes in all comes out even.
    pub kit: Option<Vec<Line>>,
    /// Which parts of its stock are told apart. Fixed once the item has moved.
    pub tracking: Option<Tracking>,
}

/// See [`Body::PutLot`].
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct PutLot {
    /// Of which item: one that is tracked.
    pub sku: String,
    /// The lot's or serial's name on the goods: 1 to 100 characters.
    pub lot: String,
    /// The last day it may be sold on, where it lies.
    pub expires: Option<jiff::civil::Date>,
    /// Called back: none of it is sold while true.
    pub recalled: Option<bool>,
}

impl PutItem {
    /// What can be said of it without looking at the ledger.
    pub fn check(&self) -> Result<(), Invalid> {
        check_address("sku", &self.sku)?;
        if let Some(name) = &self.name {
            check_name("name", name, 500)?;
        }
        if let Some(unit) = &self.unit {
            check_name("unit", unit, 20)?;
        }
        check_list("barcodes", self.barcodes.as_deref().unwrap_or_default(), 50)?;
        for (field, limit) in
            [("backorder_limit", self.backorder_limit), ("preorder_limit", self.preorder_limit)]
        {
            if limit.is_some_and(|limit| limit.is_negative() || limit > Quantity::MAX_INPUT) {
                let problem = "must be 0 to 1000000000000".to_owned();
                return Err(Invalid::Field { field, problem });
            }
        }
        check_list("tags", self.tags.as_deref().unwrap_or_default(), 100)?;
        check_list("aliases", self.aliases.as_deref().unwrap_or_default(), 100)?;
        self.aliases.iter().flatten().try_for_each(|alias| check_address("aliases", alias))?;
        check_packs(self.packs.as_deref().unwrap_or_default())?;
        let barcodes = self.barcodes.iter().flatten().map(|code| ("barcodes", code));
        let of_packs = self.packs.iter().flatten().filter_map(|pack| Some(("packs", pack.barcode.as_ref()?)));
        barcodes.chain(of_packs).try_for_each(|(field, code)| check_barcode(field, code))
    }
}

fn check_packs(packs: &[Pack]) -> Result<(), Invalid> {
    let field = "packs";
    if packs.len() > 50 {
        return Err(Invalid::Field { field, problem: "has more than 50 entries".to_owned() });
    }
    for (index, pack) in packs.iter().enumerate() {
        check_name(field, &pack.name, 50)?;
        pack.barcode.iter().try_for_each(|code| check_name(field, code, 100))?;
        if !pack.quantity.is_positive() {
            let problem = format!("a `{}` must have more than 0 in it, not {}", pack.name, pack.quantity);
            return Err(Invalid::Field { field, problem });
        }
        if packs[..index].iter().any(|other| other.name == pack.name) {
            return Err(Invalid::Twice { field, value: pack.name.clone() });
        }
    }
    Ok(())
}

/// A code that looks like a GTIN ends with the check digit that belongs there.
fn check_barcode(field: &'static str, code: &str) -> Result<(), Invalid> {
    let Some(right) = gtin::right_check_digit(code) else { return Ok(()) };
    let problem = format!(
        "`{code}` looks like a GTIN of {} digits, but its check digit is not {right}: a digit is mistyped, or it should \
         end with {right}",
        code.len()
    );
    Err(Invalid::Field { field, problem })
}

/// See [`Body::RenameItem`].
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct RenameItem {
    /// A name it has.
    pub sku: String,
    /// Its SKU from now on: nobody else's name.
    pub to: String,
    /// Forget the old SKU, instead of keeping it as an alias.
    #[serde(default)]
    pub forget_old: bool,
}

/// See [`Body::ChangeAliases`].
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct ChangeAliases {
    /// A name it has.
    pub sku: String,
    /// Names it has from now on too: nobody else's.
    #[serde(default)]
    pub add: Vec<String>,
    /// Aliases it has no longer.
    #[serde(default)]
    pub remove: Vec<String>,
}

/// See [`Body::MergeItems`].
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct MergeItems {
    /// The item that ends; its names become aliases of the other.
    pub from: String,
    /// The item that goes on.
    pub into: String,
}

/// See [`Body::SetLowStock`].
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct SetLowStock {
    /// Of which item.
    pub sku: String,
    /// Only at this location (and what is inside it); none: at each site that sells the item.
    pub location: Option<String>,
    /// Low at or below so much; not negative. None: there is no such level any more.
    pub level: Option<Quantity>,
}

/// See [`Body::PutLocation`].
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct PutLocation {
    /// 1 to 100 characters.
    pub code: String,
    /// Default: the code.
    pub name: Option<String>,
    /// Default: true.
    pub sellable: Option<bool>,
    /// Default: 100. The lowest is allocated from first.
    pub rank: Option<u32>,
    /// The code of the location it is a part of; empty: of none. Default: none.
    pub parent: Option<String>,
    /// Its IANA time zone, such as `Europe/Berlin`; empty: its parent's, and UTC at the top. Days end by it.
    pub time_zone: Option<String>,
    /// All groups it is in, for rules: up to 50, each named by 1 to 100 characters.
    pub groups: Option<Vec<String>>,
}

impl PutLocation {
    /// What can be said of it without looking at the ledger.
    pub fn check(&self) -> Result<(), Invalid> {
        check_address("code", &self.code)?;
        check_list("groups", self.groups.as_deref().unwrap_or_default(), 50)?;
        self.name.as_ref().map_or(Ok(()), |name| check_name("name", name, 500))
    }
}

/// See [`Body::PutSystem`].
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct PutSystem {
    /// 1 to 100 characters.
    pub name: String,
    /// Which channel speaks with it.
    pub kind: String,
    /// Remote location id and our location's code.
    pub locations: Option<Vec<(String, String)>>,
    /// Default: false.
    pub paused: Option<bool>,
    /// How the snapshots it tells are taken. Default: [`Inbound::default`].
    pub inbound: Option<Inbound>,
    /// What of its mode changes; none: nothing.
    pub mode: Option<PutMode>,
    /// What it is to the business.
    #[serde(default)]
    pub role: Option<Role>,
    /// How far it is connected. Default: live.
    #[serde(default)]
    pub stage: Option<Stage>,
    /// Who gives it the orders that it ships. Default: nobody here.
    #[serde(default)]
    pub gets_orders: Option<GetsOrders>,
}

/// What of a system's mode changes; none: unchanged. Before anything is told it is [`Mode::default`](crate::model::Mode).
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct PutMode {
    /// Which way numbers go.
    pub direction: Option<Direction>,
    /// When they go.
    pub timing: Option<Timing>,
    /// What becomes of a number that somebody changed over there.
    pub policy: Option<Policy>,
    /// How many may fall to zero at once.
    pub zeros: Option<Zeros>,
}

/// See [`Body::PutListing`].
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct PutListing {
    /// The system's name.
    pub system: String,
    /// Its id over there.
    pub remote_id: String,
    /// Its SKU over there.
    pub remote_sku: Option<String>,
    /// Our SKU; none: unmapped.
    pub sku: Option<String>,
    /// Units of the item in one of the listing, at least 1.
    pub multiplier: u32,
    /// It was found over there, and nobody says what it is: a listing that is mapped by now stays as it is mapped.
    #[serde(default)]
    pub found: bool,
}

/// See [`Body::SetOwnership`].
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct SetOwnership {
    /// A location's code; none: everywhere (or in the locations of `group`).
    pub location: Option<String>,
    /// A group of locations, where no location is named. One is in it by now.
    pub group: Option<String>,
    /// A SKU; none: every item (or those of `tag`).
    pub sku: Option<String>,
    /// A tag, where no SKU is named.
    pub tag: Option<String>,
    /// The master's name; `onhand` for ourselves.
    pub master: String,
}

/// So much of a SKU.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct Line {
    /// What.
    pub sku: String,
    /// How much; more than nothing. Of packs, where one is named.
    pub quantity: Quantity,
    /// Of which lot, where the item is tracked by lots; of which lot the serials are, where it is tracked by these.
    pub lot: Option<String>,
    /// The last day the lot or the serials may be sold on; only where they are told for the first time.
    pub expires: Option<jiff::civil::Date>,
    /// Which pieces, where the item is tracked by serials: as many as `quantity` says, each once.
    pub serials: Option<Vec<String>>,
    /// One of the item's packs, which `quantity` counts then; none: single units.
    #[serde(default)]
    pub pack: Option<String>,
    /// What one unit did cost; only where goods come in from outside ([`Receive`]).
    pub unit_cost: Option<Money>,
}

impl Line {
    /// So much of what is not tracked.
    pub fn new(sku: impl Into<String>, quantity: Quantity) -> Self {
        Self { sku: sku.into(), quantity, ..Self::default() }
    }
}

/// See [`Body::Receive`].
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Receive {
    /// Where.
    pub location: String,
    /// What.
    pub lines: Vec<Line>,
    /// When; default now.
    pub occurred_at: Option<Instant>,
    /// Why; default `received`.
    pub reason: Option<String>,
}

/// See [`Body::Adjust`].
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Adjust {
    /// Where.
    pub location: String,
    /// What; quantities here are differences: not zero, may be negative.
    pub lines: Vec<Line>,
    /// When; default now.
    pub occurred_at: Option<Instant>,
    /// Why: one of [`REASONS`], or a code of one's own: up to 40 small letters, digits and `_`.
    pub reason: String,
}

/// See [`Body::Transfer`].
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Transfer {
    /// Out of.
    pub from: String,
    /// Into.
    pub to: String,
    /// What.
    pub lines: Vec<Line>,
    /// When; default now.
    pub occurred_at: Option<Instant>,
}

/// See [`Body::Move`].
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct MoveState {
    /// Where.
    pub location: String,
    /// What.
    pub lines: Vec<Line>,
    /// One of `available`, `damaged`, `quality_control`, `safety_stock`.
    pub from: StockState,
    /// Another of these.
    pub to: StockState,
    /// Why: a reason as in [`Adjust`].
    pub reason: String,
    /// When; default now.
    pub occurred_at: Option<Instant>,
}

/// See [`Body::Count`].
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct TakeCount {
    /// Where.
    pub location: String,
    /// What was seen; zero is a count too. Each SKU once.
    pub lines: Vec<Line>,
    /// When it was seen; default now.
    pub as_of: Option<Instant>,
    /// Was everything inside the location seen too? Default: the place alone.
    #[serde(default)]
    pub inside: bool,
    /// Which system says so; none: a person, in Onhand's name.
    pub system: Option<String>,
    /// Are the quantities less what that system's own orders had set aside then? Needs `system`. Default: they are what lay
    /// there.
    #[serde(default)]
    pub net: bool,
}

/// See [`Body::AskRecount`]. It is a discrepancy until that system has counted.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct AskRecount {
    /// The master's name: one that gets its orders from Onhand.
    pub system: String,
    /// What.
    pub sku: String,
    /// Where.
    pub location: String,
    /// Why: up to 500 characters.
    pub reason: Option<String>,
}

/// See [`Body::PlaceHold`].
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct PlaceHold {
    /// What.
    pub lines: Vec<Line>,
    /// Only from this location; none: by the allocation rule.
    pub location: Option<String>,
    /// From this instant on it keeps nothing.
    pub expires_at: Instant,
    /// As much as possible, the first line first; else all of it or nothing. Default: false.
    pub partial: Option<bool>,
}

/// See [`Body::ExtendHold`].
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct ExtendHold {
    /// Which; an active one.
    pub hold: HoldId,
    /// When it ends now; later than now, and earlier or later than before.
    pub expires_at: Instant,
}

/// See [`Body::ReleaseLines`].
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct ReleaseLines {
    /// Which; an active one.
    pub hold: HoldId,
    /// Which lines, each once. A hold that keeps nothing more is released.
    pub lines: Vec<LinePart>,
}

/// A line, or so much of it.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct LinePart {
    /// The line's name; those of a hold are `1`, `2`, … in the order they were asked in.
    pub line: String,
    /// How much; none: all of it.
    pub quantity: Option<Quantity>,
}

/// See [`Body::ConvertHold`].
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct ConvertHold {
    /// Which.
    pub hold: HoldId,
    /// The order's name; none: one is made of its id.
    pub reference: Option<String>,
}

/// See [`Body::PlaceOrder`].
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct PlaceOrder {
    /// The caller's name for it; unique among orders placed with us. None: one is made of its id.
    pub reference: Option<String>,
    /// What: all of it or nothing. What is not there may be backordered or preordered, as far as its item allows.
    pub lines: Vec<Line>,
    /// Only from this location; none: by the allocation rule.
    pub location: Option<String>,
    /// When it must have left.
    pub ship_by: Option<Instant>,
    /// The region it goes to: `DE`, or `DE-HE`. Nothing about a person.
    pub ship_to: Option<String>,
    /// What one unit of each line costs, in the order of the lines; none, or one for each line (and each serial of one).
    pub prices: Option<Vec<Option<Money>>>,
    /// May it be accepted beyond what is available, where the item allows it? Default: true. Never with a location named.
    pub backorder: Option<bool>,
}

/// See [`Body::SetAllocation`]. One rule for each system, and one for all that have none.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct SetAllocation {
    /// For the orders of this system (`onhand`: those placed with us); none: for all without a rule of their own.
    pub system: Option<String>,
    /// Locations' codes and groups in the order they are asked; none: all that sell, by rank.
    pub locations: Option<Vec<Source>>,
    /// The same for orders that go to a region, the nearest first: `DE`, or `DE-HE`.
    pub regions: Option<Vec<(String, Vec<Source>)>>,
    /// Do the other locations that sell come after those named? Default: true.
    pub others: Option<bool>,
    /// How parcels are made. Default: `whole_lines`.
    pub parcels: Option<Parcels>,
    /// May an order leave from more than one location? Default: true.
    pub split: Option<bool>,
}

/// See [`Body::Reallocate`].
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Reallocate {
    /// Which.
    pub order: OrderId,
    /// Away from this location, as far as others have it; none: to wherever the allocation rule would have it now.
    pub away_from: Option<String>,
}

/// How much of a difference there may be: both bounds hold, where both are there.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct Threshold {
    /// At most so many units.
    pub units: Option<Quantity>,
    /// At most so many per cent of what was expected.
    pub percent: Option<u16>,
}

/// See [`Body::OpenSession`].
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct OpenSession {
    /// Where is counted.
    pub location: String,
    /// And everything inside it? Default: false.
    pub inside: Option<bool>,
    /// What; none: whatever is found there. At most 2,000.
    pub skus: Option<Vec<String>>,
    /// Counters do not see what is expected. Default: true.
    pub blind: Option<bool>,
    /// A difference beyond it must be counted twice. Default: none must.
    pub recount_over: Option<Threshold>,
    /// A difference beyond it is booked only with approval. Default: none needs it.
    pub approve_over: Option<Threshold>,
}

/// See [`Body::Sight`]. The counter is who sends it.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Sight {
    /// Which session.
    pub session: SessionId,
    /// What was seen, each SKU (of each lot) once; zero is a count too.
    pub lines: Vec<Sighting>,
}

/// What a counter saw of an item.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Sighting {
    /// What.
    pub sku: String,
    /// How much.
    pub quantity: Quantity,
    /// Of which lot, where the item is tracked by lots; the serial, where it is tracked by these and one was seen, or was
    /// looked for and not found (0).
    pub lot: Option<String>,
    /// Which pieces, where the item is tracked by serials. A piece that should be there and that nobody in the session
    /// has seen is missing, once any of its item was looked for.
    #[serde(default)]
    pub serials: Option<Vec<String>>,
    /// When it was seen; default now.
    pub seen_at: Option<Instant>,
}

/// See [`Body::ApplySession`].
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct ApplySession {
    /// Which.
    pub session: SessionId,
    /// Are differences beyond the session's threshold approved? Only who may approve may say so.
    pub approve: Option<bool>,
}

/// So much of an order's line.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct LineQuantity {
    /// The line's name in the order.
    pub line: String,
    /// How much; more than nothing.
    pub quantity: Quantity,
    /// Of which lot, or which piece, where the item is tracked; whichever is promised (or was shipped last) unless told.
    #[serde(default)]
    pub lot: Option<String>,
}

/// See [`Body::FulfilOrder`].
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct FulfilOrder {
    /// Which.
    pub order: OrderId,
    /// What left; none: all that is allocated.
    pub lines: Option<Vec<LineQuantity>>,
    /// When; default now.
    pub occurred_at: Option<Instant>,
}

/// See [`Body::CancelOrder`].
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct CancelOrder {
    /// Which.
    pub order: OrderId,
    /// What is no longer wanted; none: all that has not left.
    pub lines: Option<Vec<LineQuantity>>,
}

/// See [`Body::ReturnOrder`].
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct ReturnOrder {
    /// Which.
    pub order: OrderId,
    /// What came back.
    pub lines: Vec<LineQuantity>,
    /// Where to; none: where it was shipped from.
    pub location: Option<String>,
    /// One of `available`, `damaged`, `quality_control`.
    pub into: StockState,
    /// When; default now.
    pub occurred_at: Option<Instant>,
}

/// See [`Body::Resolve`].
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Resolve {
    /// Which.
    pub discrepancy: crate::DiscrepancyId,
    /// What of its choices; none where it has none, or what it asked about is over.
    #[serde(default)]
    pub choice: Option<crate::model::Choice>,
}

/// See [`Body::Note`].
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Note {
    /// The system it is about.
    pub system: String,
    /// The item, by its SKU.
    pub sku: Option<String>,
    /// Why.
    pub cause: crate::model::Cause,
    /// How much.
    pub quantity: Quantity,
    /// What a person reads.
    pub sentence: String,
    /// What was read and sent.
    pub evidence: Option<String>,
    /// What a person may choose of; empty where it is no question.
    #[serde(default)]
    pub choices: Vec<crate::model::Choice>,
}

/// An outside document, in the state it is in now.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Document {
    /// The system's name; `onhand` for documents of our own.
    pub system: String,
    /// Its name over there: stable for ever, 1 to 255 characters.
    pub document: String,
    /// Grows with each change over there; at least 1.
    pub version: u64,
    /// What it says.
    pub content: Content,
}

/// What a document says.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Content {
    /// An order.
    Order(OrderContent),
    /// Goods left.
    Shipment(ShipmentContent),
    /// Sales over the counter, returns and adjustments: each line moves stock by itself.
    Movements(Vec<MovementLine>),
    /// Goods came in for a purchase order.
    Receipt(ReceiptContent),
    /// A warehouse answers to an order that was sent to it.
    Reply(ReplyContent),
    /// A warehouse did some of what else it was sent.
    Followed(FollowedContent),
}

/// What a warehouse will ship of an order that was sent to it. What has left by now is told by shipments, before this.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct ReplyContent {
    /// Which order.
    pub order: OrderId,
    /// Where it shall leave from.
    pub location: String,
    /// Which version of what was sent this answers; a later one is answered anew.
    pub sent_version: u64,
    /// What it says for itself.
    pub reason: Option<String>,
    /// What it will not ship it looked for and did not find, rather than refused.
    #[serde(default)]
    pub not_found: bool,
    /// Line by line, each item once.
    pub lines: Vec<ReplyLine>,
}

/// One line of a [`ReplyContent`].
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct ReplyLine {
    /// What.
    pub item: Name,
    /// How much of what that version asks for it will never ship. Not negative.
    pub declined: Quantity,
    /// How much it still will ship: has taken on, and not shipped. Not negative.
    pub open: Quantity,
}

/// How a document names what it is about.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Name {
    /// By our SKU.
    Sku(String),
    /// By the system's own listing.
    Listing(String),
}

/// An order in the state it is in now.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct OrderContent {
    /// When it was placed.
    pub placed_at: Option<Instant>,
    /// When the state that this version tells came about: dates what shipped or came back since the last one.
    pub changed_at: Option<Instant>,
    /// All of it cancelled?
    pub cancelled: bool,
    /// When it must have left.
    pub ship_by: Option<Instant>,
    /// The region it goes to: `DE`, or `DE-HE`. Nothing about a person.
    pub ship_to: Option<String>,
    /// Its lines; a line that was there in an older version and is not here is no longer wanted.
    pub lines: Vec<OrderContentLine>,
}

/// One line of an order as told.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct OrderContentLine {
    /// Its name in the document, each once.
    pub line: String,
    /// What.
    pub item: Name,
    /// How much is wanted now: ordered, less what was cancelled. Not negative.
    pub quantity: Quantity,
    /// How much has left so far.
    pub shipped: Quantity,
    /// How much came back so far.
    pub returned: Quantity,
    /// Where it was promised from, if the document says so.
    pub location: Option<String>,
    /// What one unit costs.
    pub price: Option<Money>,
}

/// Goods that left.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct ShipmentContent {
    /// The order they left for, by its name in `order_system` (default: the teller); none: nobody says.
    pub order: Option<String>,
    /// Whose order that is.
    pub order_system: Option<String>,
    /// Where from.
    pub location: String,
    /// When.
    pub occurred_at: Option<Instant>,
    /// What.
    pub lines: Vec<ShipmentLine>,
}

/// One line of a shipment.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct ShipmentLine {
    /// What.
    pub item: Name,
    /// How much; more than nothing.
    pub quantity: Quantity,
    /// Of which lot, or which piece, where the item is tracked and the teller knows.
    #[serde(default)]
    pub lot: Option<String>,
}

/// A line that moves stock by itself.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct MovementLine {
    /// Its name in the document, each once.
    pub line: String,
    /// What.
    pub item: Name,
    /// Where.
    pub location: String,
    /// What happened.
    pub what: Happened,
    /// How much; more than nothing.
    pub quantity: Quantity,
    /// When; default now.
    pub occurred_at: Option<Instant>,
    /// Why.
    pub reason: Option<String>,
}

/// What a [`MovementLine`] tells.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Happened {
    /// Sold: what is free ships at once and the line is closed; the rest is short and never allocated.
    Sold,
    /// A customer brought it back.
    Returned,
    /// More was found than the books said.
    Found,
    /// Less was found than the books said.
    Lost,
    /// Came in from a supplier.
    Received,
}

/// Why stock is changed by hand, as people know it: the reasons of Shopify's `InventoryAdjustQuantitiesInput`
/// (<https://shopify.dev/docs/apps/build/orders-fulfillment/inventory-management-apps/manage-quantities-states>), with
/// `cycle_count` for its `cycle_count_available`, and `found` beside `shrinkage`.
pub const REASONS: [&str; 11] = [
    "correction",
    "cycle_count",
    "received",
    "restock",
    "damaged",
    "shrinkage",
    "found",
    "promotion",
    "quality_control",
    "safety_stock",
    "other",
];

/// A name that people and machines can type again: not empty, not padded, no control characters.
pub(crate) fn check_name(field: &'static str, name: &str, longest: usize) -> Result<(), Invalid> {
    let problem = if name.is_empty() {
        "must not be empty".to_owned()
    } else if name.chars().count() > longest {
        format!("has more than {longest} characters")
    } else if name.trim() != name {
        format!("`{name}` has spaces around it; take them off")
    } else if name.chars().any(char::is_control) {
        "has control characters in it; take them out".to_owned()
    } else {
        return Ok(());
    };
    Err(Invalid::Field { field, problem })
}

/// A name that a thing is found by, also in a URL. Dots mean a folder there, however they are written:
/// <https://url.spec.whatwg.org/#double-dot-path-segment>.
pub(crate) fn check_address(field: &'static str, name: &str) -> Result<(), Invalid> {
    check_name(field, name, 100)?;
    if name.bytes().all(|byte| byte == b'.') {
        let problem =
            format!("`{name}` has dots only and cannot be part of an address; add a letter or digit");
        return Err(Invalid::Field { field, problem });
    }
    Ok(())
}

fn check_list(field: &'static str, list: &[String], most: usize) -> Result<(), Invalid> {
    if list.len() > most {
        return Err(Invalid::Field { field, problem: format!("has more than {most} entries") });
    }
    list.iter().try_for_each(|entry| check_name(field, entry, 100))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_keyed_body_is_known_again_however_it_was_written() {
        let typed = r#"{ "put_item": { "name": "Blue mug", "sku": "MUG", "unit": null,
            "precision": null, "barcodes": null, "tags": null } }"#;
        let body: Body = serde_json::from_str(typed).unwrap();
        let again: Body = serde_json::from_str(&serde_json::to_string(&body).unwrap()).unwrap();
        assert_eq!(fingerprint_of(&body), fingerprint_of(&again));
        assert_ne!(fingerprint_of(&body), fingerprint_of(&Body::Tick));
        assert_eq!(Command::keyed(None, "test", body).fingerprint, 0);
    }

    #[test]
    fn a_name_of_dots_only_finds_nothing_in_a_url() {
        let sku = |sku: &str| PutItem { sku: sku.to_owned(), ..PutItem::default() }.check();
        for dots in [".", "..", "..."] {
            assert!(sku(dots).unwrap_err().to_string().contains("dots only"), "{dots}");
        }
        assert_eq!((sku("..A"), sku("1.5")), (Ok(()), Ok(())));
    }
}
