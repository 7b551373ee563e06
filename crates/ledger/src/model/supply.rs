//! Expected supply: transfers between two locations, and purchase orders; and what was reversed.

use serde::{Deserialize, Serialize};

use crate::key::StockState;
use crate::{Date, Instant, ItemId, LocationId, LotId, Money, OrderId, Quantity, Seq, SystemId, TransferId};

/// How a transfer stands.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TransferState {
    /// Planned; nothing has left, and nothing is kept for it.
    Draft,
    /// Some of it has left.
    InProgress,
    /// All of it has left and come in, was lost or came back.
    Transferred,
    /// Ended before anything came in.
    Cancelled,
    /// Nothing has left, and all that there was of it is kept where it leaves from.
    ReadyToShip,
}

impl TransferState {
    /// Its name in the API.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Draft => "draft",
            Self::InProgress => "in_progress",
            Self::Transferred => "transferred",
            Self::Cancelled => "cancelled",
            Self::ReadyToShip => "ready_to_ship",
        }
    }

    /// Can it still be dispatched, received or cancelled?
    pub const fn is_open(self) -> bool {
        matches!(self, Self::Draft | Self::ReadyToShip | Self::InProgress)
    }
}

/// Goods that go from one location to another, in the state that is in now.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct TransferDocument {
    /// The caller's name for it, unique among transfers.
    pub reference: Option<String>,
    /// Out of.
    pub from: LocationId,
    /// Into.
    pub to: LocationId,
    /// How it stands.
    pub state: TransferState,
    /// What has not left is kept for it where it leaves from, as far as it was there.
    pub ready: bool,
    /// When it was planned.
    pub made_at: Instant,
    /// When the first of it left, by what happened.
    pub dispatched_at: Option<Instant>,
    /// The day it is expected on.
    pub expected_on: Option<Date>,
    /// What goes. A line is never taken away: one that is not wanted wants nothing.
    pub lines: Vec<TransferLine>,
}

/// One line of a transfer.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct TransferLine {
    /// Its name in the transfer.
    pub line: String,
    /// What.
    pub item: ItemId,
    /// Of which lot or serial; 0 where the item is not tracked.
    pub lot: LotId,
    /// How much shall go.
    pub wanted: Quantity,
    /// How much is kept for it where it leaves from; no more than has not left. Less after goods turned out not to be
    /// there (law 2).
    pub reserved: Quantity,
    /// How much has left.
    pub dispatched: Quantity,
    /// How much of that has come in.
    pub received: Quantity,
    /// How much of that was lost on the way.
    pub lost: Quantity,
    /// How much of that came back to where it left from.
    pub returned: Quantity,
    /// How much came in beyond what was on its way.
    pub over: Quantity,
    /// How much each system has told to have come in: one delivery may be told of by several, and comes in once.
    pub told: Vec<(SystemId, Quantity)>,
}

impl TransferLine {
    /// On its way.
    pub fn in_transit(&self) -> Quantity {
        self.dispatched - self.received - self.lost - self.returned
    }

    /// Expected where it goes: on its way, or kept for it where it leaves from. What a draft plans may yet be sold.
    pub fn incoming(&self) -> Quantity {
        self.in_transit() + self.reserved
    }

    /// Has not left yet.
    pub fn to_dispatch(&self) -> Quantity {
        (self.wanted - self.dispatched).max(Quantity::ZERO)
    }

    /// All that came in.
    pub fn came(&self) -> Quantity {
        self.received + self.over
    }

    /// How much a system has told to have come in.
    pub fn told_by(&self, system: SystemId) -> Quantity {
        self.told.iter().find(|(other, _)| *other == system).map_or(Quantity::ZERO, |(_, told)| *told)
    }

    /// A system tells of so much more.
    pub fn tell(&mut self, system: SystemId, quantity: Quantity) {
        match self.told.iter_mut().find(|(other, _)| *other == system) {
            Some((_, told)) => *told += quantity,
            None if quantity.is_zero() => {}
            None => self.told.push((system, quantity)),
        }
    }
}

/// What a receipt's document has told of a transfer.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Arrived {
    /// Of which.
    pub transfer: TransferId,
    /// Where it came in.
    pub location: LocationId,
    /// When.
    pub occurred_at: Instant,
    /// What, of all that its word moves.
    pub parts: Vec<ArrivedPart>,
}

/// What came in of an item.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct ArrivedPart {
    /// What.
    pub item: ItemId,
    /// Of which lot or serial; 0 where the item is not tracked, or nobody says.
    pub lot: LotId,
    /// How much.
    pub quantity: Quantity,
}

/// How a purchase order stands.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PurchaseState {
    /// Its rest is expected.
    Open,
    /// Nothing more is expected.
    Closed,
    /// Nothing came and nothing is expected.
    Cancelled,
}

/// What a supplier shall deliver, in the state that is in now.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Purchase {
    /// The supplier's name.
    pub supplier: String,
    /// The caller's name for it, unique among purchase orders.
    pub reference: Option<String>,
    /// Where it is expected.
    pub location: LocationId,
    /// How it stands.
    pub state: PurchaseState,
    /// When it was placed.
    pub placed_at: Instant,
    /// What is ordered. A line is never taken away: one that is not wanted wants nothing.
    pub lines: Vec<PurchaseLine>,
}

impl Purchase {
    /// How much of a line is still expected.
    pub fn open(&self, line: &PurchaseLine) -> Quantity {
        match self.state {
            PurchaseState::Open => (line.wanted - line.received).max(Quantity::ZERO),
            PurchaseState::Closed | PurchaseState::Cancelled => Quantity::ZERO,
        }
    }

    /// Its state in the API: an open one of which nothing is expected any more is `received`.
    pub fn state_name(&self) -> &'static str {
        match self.state {
            PurchaseState::Open if self.lines.iter().all(|line| self.open(line).is_zero()) => "received",
            PurchaseState::Open => "open",
            PurchaseState::Closed => "closed",
            PurchaseState::Cancelled => "cancelled",
        }
    }
}

/// One line of a purchase order.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct PurchaseLine {
    /// Its name in the purchase order.
    pub line: String,
    /// What.
    pub item: ItemId,
    /// How much is ordered.
    pub wanted: Quantity,
    /// How much has come; may be more than is ordered.
    pub received: Quantity,
    /// The day it is expected on.
    pub expected_on: Option<Date>,
    /// What one unit costs.
    pub unit_cost: Option<Money>,
    /// What came, movement by movement, less what was reversed of it.
    pub receipts: Vec<ReceiptPart>,
    /// How much of it each system's receipts have told of: one delivery may be told of by several, and comes in once.
    pub told: Vec<(SystemId, Quantity)>,
}

/// What one movement brought of a purchase order's line.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct ReceiptPart {
    /// The movement.
    pub seq: Seq,
    /// Of which lot or serial; 0 where the item is not tracked.
    pub lot: LotId,
    /// How much.
    pub quantity: Quantity,
}

impl PurchaseLine {
    /// How much of it a system's receipts have told of.
    pub fn told_by(&self, system: SystemId) -> Quantity {
        self.told.iter().find(|(other, _)| *other == system).map_or(Quantity::ZERO, |(_, told)| *told)
    }

    /// A system tells of so much more.
    pub fn tell(&mut self, system: SystemId, quantity: Quantity) {
        match self.told.iter_mut().find(|(other, _)| *other == system) {
            Some((_, told)) => *told += quantity,
            None if quantity.is_zero() => {}
            None => self.told.push((system, quantity)),
        }
    }
}

/// Where expected supply comes from.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Supply {
    /// A supplier: the open rest of a purchase order.
    Purchase,
    /// Another location: what of a transfer is on its way, or kept for it there.
    Transfer,
}

/// Supply of an item that is expected at a location.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Incoming {
    /// Where from.
    pub supply: Supply,
    /// How much; more than nothing.
    pub quantity: Quantity,
    /// The day it is expected on, if one was told.
    pub expected_on: Option<Date>,
}

/// Goods of an order that its customer sends back to a location whose master takes them in. Nothing moves until that tells.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct ExpectedReturn {
    /// Of which order.
    pub order: OrderId,
    /// What the customer knows it by: the number of an RMA.
    pub reference: Option<String>,
    /// Where they come to.
    pub location: LocationId,
    /// In what state they come in, where its master does not say.
    pub into: StockState,
    /// The day they are expected on.
    pub expected_on: Option<Date>,
    /// When it was announced.
    pub announced_at: Instant,
    /// Nothing more is expected.
    pub ended: bool,
    /// What.
    pub lines: Vec<ReturnLine>,
}

/// One line of an [`ExpectedReturn`].
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct ReturnLine {
    /// The name of the order's line.
    pub line: String,
    /// What.
    pub item: ItemId,
    /// How much comes back.
    pub wanted: Quantity,
    /// How much has.
    pub came: Quantity,
}

impl ExpectedReturn {
    /// How much of a line is still expected.
    pub fn open(&self, line: &ReturnLine) -> Quantity {
        if self.ended { Quantity::ZERO } else { (line.wanted - line.came).max(Quantity::ZERO) }
    }

    /// Its state in the API.
    pub fn state_name(&self) -> &'static str {
        let came = self.lines.iter().any(|line| line.came.is_positive());
        let is_open = self.lines.iter().any(|line| self.open(line).is_positive());
        match (is_open, came) {
            (true, _) => "open",
            (false, true) => "returned",
            (false, false) => "cancelled",
        }
    }
}

/// What of a movement was taken back.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct Reversals {
    /// How much in all; at most what moved.
    pub quantity: Quantity,
    /// The movements that took it back, the oldest first.
    pub by: Vec<Seq>,
}
