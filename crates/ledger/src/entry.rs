//! The entries of the log. Everything that decides a quantity is one.
//!
//! A record is what one command did: its entries, and the answer it was given. Records are written with
//! `postcard`; a variant once released is never changed, a new shape is a new variant at the end.

use serde::{Deserialize, Serialize};

use crate::answer::Answer;
use crate::key::{CellKey, StockState};
use crate::model::{
    Allocation, BufferSize, Count, Discrepancy, ExpectedReturn, Hold, Holder, Item, KnownDocument, Listing,
    Location, Lot, Order, Ownership, Publication, Purchase, PushingStopped, Reversals, Seen, SellingStop,
    Session, System, TransferDocument, Waiting,
};
use crate::{
    ConsignorId, CountId, DiscrepancyId, HoldId, Instant, ItemId, ListingId, LocationId, LotId, Money,
    OrderId, PurchaseId, Quantity, ReturnId, RuleId, Seq, SessionId, SystemId, TransferId,
};

/// What one command did. Its entries have the `seq`s from that of the first on, without gaps.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Record {
    /// When we knew it. Grows strictly from record to record.
    pub recorded_at: Instant,
    /// The request's key, if it had one.
    pub key: Option<String>,
    /// A hash of the request's body, to tell a copy from another request under the same key.
    pub fingerprint: u64,
    /// Who asked: an API key's name, a system's, or `onhand` itself.
    pub actor: String,
    /// The outside document it comes from: the system and its name for it.
    pub document: Option<(SystemId, String)>,
    /// The paper that whoever asked names for it: a delivery note, a work order.
    pub reference: Option<String>,
    /// What whoever asked wants to say of it.
    pub note: Option<String>,
    /// At least one.
    pub entries: Vec<Entry>,
    /// What the caller was told; a copy of the request is told the same.
    pub answer: Answer,
}

/// One entry. Those that put a value carry the whole of it, so that each thing folds by itself.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum Entry {
    /// An item came to be, or changed.
    Item(ItemId, Box<Item>),
    /// A location came to be, or changed.
    Location(LocationId, Box<Location>),
    /// A system came to be, or changed.
    System(SystemId, Box<System>),
    /// A listing came to be, or is mapped otherwise; with the item it was mapped to before.
    Listing(ListingId, Box<Listing>, Option<ItemId>),
    /// An ownership rule was set, or ended (none).
    Ownership(RuleId, Option<Ownership>),
    /// A publication rule was set, or ended (none).
    Publication(RuleId, Option<Publication>),
    /// Stock moved.
    Movement(Movement),
    /// An order came to be, or changed.
    Order(OrderId, Box<Order>),
    /// A hold came to be, or changed.
    Hold(HoldId, Box<Hold>),
    /// So much of an order's line is short now; and how much more of the item that is than before.
    Short {
        /// Of what.
        item: ItemId,
        /// Whose.
        order: OrderId,
        /// The line's index.
        line: u32,
        /// Short now; none left where zero.
        quantity: Quantity,
        /// Short now of the item in all orders.
        item_total: Quantity,
    },
    /// A count was taken.
    Count(CountId, Box<Count>),
    /// What became of an outside document.
    Document(SystemId, String, Box<KnownDocument>),
    /// A document waits for something (or no longer does).
    Waiting(SystemId, String, Option<Box<Waiting>>),
    /// A document that waits wants so much of an item: it is sold over there, whatever the document waits for. None
    /// where zero.
    Claimed {
        /// Of what.
        item: ItemId,
        /// Whose document.
        system: SystemId,
        /// Its name over there.
        document: String,
        /// How much.
        quantity: Quantity,
    },
    /// A discrepancy came up, or was resolved.
    Discrepancy(DiscrepancyId, Box<Discrepancy>),
    /// A lot or serial came to be, or changed.
    Lot(LotId, Box<Lot>),
    /// A lot ends at that instant where it lies.
    Expires {
        /// Which.
        lot: LotId,
        /// Where.
        location: LocationId,
        /// The first instant at which it may not be sold; none: it does not end.
        at: Option<Instant>,
        /// As it was told before.
        before: Option<Instant>,
        /// It has ended, and what was promised of it is promised no more.
        passed: bool,
    },
    /// A keyed request was refused. The answer says why; nothing moved.
    Refused,
    /// A keyed request found everything as it asks already; it is kept for its key.
    Nothing,
    /// A name of an item is nobody's any more.
    SkuFreed(String),
    /// A barcode (a GTIN in 14 digits) is nobody's any more.
    BarcodeFreed(String),
    /// All items with names that look like this, where they are several; none where they no longer are.
    Twins(String, Vec<ItemId>),
    /// A transfer came to be, or changed.
    Transfer(TransferId, Box<TransferDocument>),
    /// A purchase order came to be, or changed.
    Purchase(PurchaseId, Box<Purchase>),
    /// What of a movement is taken back by now.
    Reversed(Seq, Reversals),
    /// What one unit of what a movement brought did cost.
    Cost(Seq, Money),
    /// An allocation rule was set, or ended (none).
    Allocation(RuleId, Option<Allocation>),
    /// A session of counting was opened, or ended.
    Session(SessionId, Box<Session>),
    /// Somebody saw an item in a session, or what was seen became a count.
    Seen(SessionId, ItemId, LotId, Box<Seen>),
    /// Some items are sold no more, or again (none).
    SellingStop(RuleId, Option<Box<SellingStop>>),
    /// All pushing was stopped, or goes on (none).
    Pushing(Option<PushingStopped>),
    /// What an adaptive rule keeps back of an item at a listing.
    Buffer(ListingId, ItemId, Box<BufferSize>),
    /// A return is expected, or what is expected of one has changed.
    Return(ReturnId, Box<ExpectedReturn>),
    /// An order's line is of that item, and so many of it in one, by its listing: a pack, or one that was linked otherwise before; or that is
    /// what all lines of its orders are of that this was never said of. Whatever it is linked to later, they go on being of it.
    Meant {
        /// Which listing.
        listing: ListingId,
        /// Whose line, and its index; none: every other's.
        line: Option<(OrderId, u32)>,
        /// Of what.
        item: ItemId,
        /// How many of it in one of the listing.
        units: u32,
    },
}

/// One side of a movement.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Account {
    /// Where; 0 for an outside party.
    pub location: LocationId,
    /// In what state, or whose account.
    pub state: StockState,
    /// Of which lot or serial; 0 where unused.
    pub lot: LotId,
    /// Whose goods; 0 the tenant's.
    pub consignor: ConsignorId,
    /// What it holds after the movement.
    pub balance: Quantity,
    /// Did the movement happen before one of this cell that we knew already?
    pub late: bool,
}

/// A promise at the movement's `reserved` or `committed` side.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct PromiseChange {
    /// Whose.
    pub holder: Holder,
    /// The index of its line.
    pub line: u32,
    /// How much is promised to that line there after the movement.
    pub after: Quantity,
}

/// Stock going from one cell or outside party to another: the only way stock changes.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Movement {
    /// Of what.
    pub item: ItemId,
    /// Out of.
    pub from: Account,
    /// Into.
    pub to: Account,
    /// How much; more than nothing.
    pub quantity: Quantity,
    /// When it happened.
    pub occurred_at: Instant,
    /// Why.
    pub reason: String,
    /// Whose promise grows (stock goes to `reserved` or `committed`) or shrinks (it leaves).
    pub promise: Option<PromiseChange>,
    /// The count or movement that this one corrects or explains.
    pub corrects: Option<Seq>,
}

/// Why a movement balances a cell: goods left that were not there, by the books.
pub(crate) const BALANCED: &str = "more left than there was";
/// Why that is taken back: they did not leave, by a later word of who said so.
pub(crate) const NOT_LEFT: &str = "did not leave after all";
/// Why that is taken back: they were there, by a count.
pub(crate) const WAS_THERE: &str = "was there after all";

impl Movement {
    /// The cell that it balances, and by how much; or takes that back from.
    pub(crate) fn balances(&self) -> Option<(CellKey, Quantity)> {
        match self.reason.as_str() {
            BALANCED if self.from.state == StockState::Adjustment => Some((self.to_cell(), self.quantity)),
            NOT_LEFT | WAS_THERE if self.to.state == StockState::Adjustment => {
                Some((self.from_cell(), -self.quantity))
            }
            _ => None,
        }
    }

    /// The cell it takes from.
    pub const fn from_cell(&self) -> CellKey {
        cell(self.item, self.from)
    }

    /// The cell it gives to.
    pub const fn to_cell(&self) -> CellKey {
        cell(self.item, self.to)
    }
}

const fn cell(item: ItemId, account: Account) -> CellKey {
    CellKey {
        item,
        location: account.location,
        state: account.state,
        lot: account.lot,
        consignor: account.consignor,
    }
}
