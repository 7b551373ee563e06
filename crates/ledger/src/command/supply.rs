//! Correcting movements, transfers as documents, production, purchase orders.

use serde::{Deserialize, Serialize};

use super::{Line, LineQuantity};
use crate::key::StockState;
use crate::{Date, Instant, Money, OrderId, PurchaseId, Quantity, ReturnId, Seq, TransferId};

/// See [`Body::Noted`](super::Body::Noted).
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Noted {
    /// The paper that it was done by, such as a delivery note: up to 255 characters.
    pub reference: Option<String>,
    /// What whoever asks wants to say of it: up to 500 characters.
    pub note: Option<String>,
    /// What is asked; nothing that is noted itself.
    pub body: super::Body,
}

/// See [`Body::Reverse`](super::Body::Reverse).
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Reverse {
    /// The movement that was wrong.
    pub seq: Seq,
    /// How much of it; none: all that is not reversed yet.
    pub quantity: Option<Quantity>,
    /// Why: a reason as in [`Adjust`](super::Adjust).
    pub reason: String,
}

/// See [`Body::PlanTransfer`](super::Body::PlanTransfer).
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct PlanTransfer {
    /// The caller's name for it: unique among transfers, 1 to 255 characters.
    pub reference: Option<String>,
    /// Out of.
    pub from: String,
    /// Into.
    pub to: String,
    /// What: 1 to 1,000 lines, named 1, 2, 3, …
    pub lines: Vec<Line>,
    /// The day it is expected on.
    pub expected_on: Option<Date>,
}

/// See [`Body::AmendTransfer`](super::Body::AmendTransfer).
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct AmendTransfer {
    /// Which.
    pub transfer: TransferId,
    /// How much of these lines shall go in all: 0, or more, but not less than has left.
    pub lines: Vec<LineQuantity>,
    /// The day it is expected on; none: as it is.
    pub expected_on: Option<Date>,
}

/// See [`Body::ReadyTransfer`](super::Body::ReadyTransfer).
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct ReadyTransfer {
    /// Which.
    pub transfer: TransferId,
}

/// See [`Body::DispatchTransfer`](super::Body::DispatchTransfer).
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct DispatchTransfer {
    /// Which.
    pub transfer: TransferId,
    /// What left; none: all that has not left yet.
    pub lines: Option<Vec<LineQuantity>>,
    /// When; default now.
    pub occurred_at: Option<Instant>,
}

/// What of a transfer's line came in.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct ArrivedLine {
    /// The line's name in the transfer.
    pub line: String,
    /// How much came in; may be more than was on its way. 0 where `lost` is more than nothing.
    pub quantity: Quantity,
    /// How much was lost on the way.
    pub lost: Option<Quantity>,
}

/// See [`Body::ReceiveTransfer`](super::Body::ReceiveTransfer).
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct ReceiveTransfer {
    /// Which.
    pub transfer: TransferId,
    /// What came in; none: all that is on its way.
    pub lines: Option<Vec<ArrivedLine>>,
    /// One of `available`, `damaged`, `quality_control`.
    pub into: StockState,
    /// When; default now. Not before it left.
    pub occurred_at: Option<Instant>,
}

/// See [`Body::CancelTransfer`](super::Body::CancelTransfer).
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct CancelTransfer {
    /// Which.
    pub transfer: TransferId,
    /// When what was on its way came back; default now.
    pub occurred_at: Option<Instant>,
}

/// See [`Body::Assemble`](super::Body::Assemble) and [`Body::Disassemble`](super::Body::Disassemble).
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Assemble {
    /// Where.
    pub location: String,
    /// What is built, or taken apart.
    pub sku: String,
    /// How many.
    pub quantity: Quantity,
    /// Of which lot, or which piece, where it is tracked. With serials: one at a time.
    pub lot: Option<String>,
    /// What goes into one of it, or comes out of it; none: its recipe, of which nothing may be tracked.
    pub components: Option<Vec<Line>>,
    /// When; default now.
    pub occurred_at: Option<Instant>,
}

/// A line of a new purchase order.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct PurchaseOrderLine {
    /// What.
    pub sku: String,
    /// How much; more than nothing. Of packs, where one is named.
    pub quantity: Quantity,
    /// One of the item's packs, which `quantity` counts then; none: single units.
    pub pack: Option<String>,
    /// The day it is expected on; none: that of the purchase order.
    pub expected_on: Option<Date>,
    /// What one unit costs, not one pack.
    pub unit_cost: Option<Money>,
}

/// See [`Body::PlacePurchase`](super::Body::PlacePurchase).
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct PlacePurchase {
    /// The supplier's name: 1 to 200 characters.
    pub supplier: String,
    /// The caller's name for it: unique among purchase orders, 1 to 255 characters.
    pub reference: Option<String>,
    /// Where it is expected.
    pub location: String,
    /// The day all lines are expected on that do not say another.
    pub expected_on: Option<Date>,
    /// What: 1 to 1,000 lines, named 1, 2, 3, …
    pub lines: Vec<PurchaseOrderLine>,
}

/// What changes of a purchase order's line, or a new one.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct AmendedLine {
    /// The line's name; none: a new line, which needs `sku` and `quantity`.
    pub line: Option<String>,
    /// What, for a new line.
    pub sku: Option<String>,
    /// How much is ordered in all: 0, or more, but not less than has come. Of packs, where one is named.
    pub quantity: Option<Quantity>,
    /// One of the item's packs, which `quantity` counts then; none: single units.
    pub pack: Option<String>,
    /// The day it is expected on; none: as it is.
    pub expected_on: Option<Date>,
    /// What one unit costs; none: as it is.
    pub unit_cost: Option<Money>,
}

/// See [`Body::AmendPurchase`](super::Body::AmendPurchase).
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct AmendPurchase {
    /// Which.
    pub purchase: PurchaseId,
    /// What changes.
    pub lines: Vec<AmendedLine>,
}

/// What came of a purchase order's line.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct DeliveredLine {
    /// The line's name.
    pub line: String,
    /// How much; more than nothing, and it may be more than is ordered. Of packs, where one is named.
    pub quantity: Quantity,
    /// One of the item's packs, which `quantity` counts then; none: single units.
    pub pack: Option<String>,
    /// Of which lot, as in [`Line`].
    pub lot: Option<String>,
    /// The last day the lot or the serials may be sold on, as in [`Line`].
    pub expires: Option<Date>,
    /// Which pieces, as in [`Line`].
    pub serials: Option<Vec<String>>,
    /// What one unit did cost; none: as ordered.
    pub unit_cost: Option<Money>,
}

/// See [`Body::ReceivePurchase`](super::Body::ReceivePurchase).
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct ReceivePurchase {
    /// Which.
    pub purchase: PurchaseId,
    /// What came; none: all that is expected.
    pub lines: Option<Vec<DeliveredLine>>,
    /// Where; none: where it is expected.
    pub location: Option<String>,
    /// One of `available`, `damaged`, `quality_control`.
    pub into: StockState,
    /// When; default now.
    pub occurred_at: Option<Instant>,
}

/// See [`Body::EndPurchase`](super::Body::EndPurchase).
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct EndPurchase {
    /// Which.
    pub purchase: PurchaseId,
    /// Cancelled, which is refused once something has come; else its rest is closed.
    pub cancel: bool,
}

/// Goods that came in for a purchase order or a transfer, as a document tells of them.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct ReceiptContent {
    /// The purchase order they came for, by its reference; none: nobody says.
    pub purchase: Option<String>,
    /// The transfer they came by, by its reference. Not both.
    #[serde(default)]
    pub transfer: Option<String>,
    /// Where to.
    pub location: String,
    /// When.
    pub occurred_at: Option<Instant>,
    /// What.
    pub lines: Vec<ReceiptLine>,
}

/// One line of a receipt.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct ReceiptLine {
    /// What.
    pub item: super::Name,
    /// How much; more than nothing.
    pub quantity: Quantity,
    /// What one unit did cost; none: as ordered.
    pub unit_cost: Option<Money>,
    /// Of which lot, where the item is tracked by these and the teller knows; one that is named for the first time comes
    /// to be.
    #[serde(default)]
    pub lot: Option<String>,
    /// The last day it may be sold on.
    #[serde(default)]
    pub expires: Option<jiff::civil::Date>,
    /// Which pieces, where the item is tracked by serials: as many as the quantity says.
    #[serde(default)]
    pub serials: Option<Vec<String>>,
}

/// What a master tells of what it was sent: goods have come in that it was told to expect, or left for another location of ours. It is
/// told once.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct FollowedContent {
    /// Of what.
    pub of: FollowedOf,
    /// Where.
    pub location: String,
    /// When.
    pub occurred_at: Option<Instant>,
    /// What.
    pub lines: Vec<FollowedLine>,
}

/// What of it a master was sent.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FollowedOf {
    /// A purchase order: some of it has come in.
    Purchase(PurchaseId),
    /// A transfer: some of it has come in.
    Arrival(TransferId),
    /// A transfer: some of it has left.
    Dispatch(TransferId),
    /// An expected return: some of it has come in.
    Return(ReturnId),
}

/// One line of a [`FollowedContent`].
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct FollowedLine {
    /// What.
    pub item: super::Name,
    /// How much; more than nothing.
    pub quantity: Quantity,
    /// Of which lot, or which piece, where the item is tracked and the teller knows; one that comes in and is named for the
    /// first time comes to be.
    pub lot: Option<String>,
    /// The last day it may be sold on.
    pub expires: Option<Date>,
    /// One of `available`, `damaged`, `quality_control`, for what comes in; none: as it was announced, or available.
    pub into: Option<StockState>,
}

/// See [`Body::AnnounceReturn`](super::Body::AnnounceReturn).
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct AnnounceReturn {
    /// Of which order.
    pub order: OrderId,
    /// What the customer knows it by: 1 to 255 characters.
    pub reference: Option<String>,
    /// What comes back: no more than has left, and is not back.
    pub lines: Vec<LineQuantity>,
    /// Where to: where another system is master that gets its orders from Onhand; none: where it was shipped from.
    pub location: Option<String>,
    /// One of `available`, `damaged`, `quality_control`, where that system does not say.
    pub into: StockState,
    /// The day it is expected on.
    pub expected_on: Option<Date>,
}
