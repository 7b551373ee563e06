//! ANSI ASC X12: interchanges, and the documents of a depositor.
//!
//! An interchange (ISA to IEA) has functional groups (GS to GE), a group has transaction sets (ST to SE), a set has segments. Each trailer
//! repeats its header's control number and counts what is between: <https://dewanamit.blogspot.com/2011/05/isa-interchange-control-header-isa.html>,
//! <https://pyx12.sourceforge.net/doc/maps/997.seg.html>.
//!
//! X12 has no release character: a value with a separator in it is not written, unless other separators are chosen
//! ([`Separators::fitting`]).

mod acknowledge;
mod acknowledgment;
mod adjusted;
mod draft;
mod expected;
mod header;
mod inventory;
mod party;
mod purchase_order;
mod read;
mod receive;
mod received;
mod separators;
mod shipped;
mod shipping_order;
pub(crate) mod specs;
mod write;

use jiff::civil::{Date, Time};

pub use acknowledgment::{Acknowledgment, ElementNote, SegmentNote, SetAnswer, Verdict};
pub use adjusted::{Adjusted, AdjustedLine, Why};
pub use expected::{Expected, ExpectedLine};
pub use inventory::{Inventory, InventoryLine, InventoryReport, Stock, StockKind};
pub use party::{Carriage, Party, PartyCode};
pub use purchase_order::{OrderLine, PurchaseOrder};
pub use read::{Reading, read};
pub use receive::{Document, Receipt, receive};
pub use received::{Condition, Exception, Received, ReceivedLine};
pub use separators::Separators;
pub use shipped::{Mark, Package, Shipped, ShippedLine, Status};
pub use shipping_order::{OrderState, ShippingOrder, ShippingOrderLine};

pub use crate::segment::{Element, Segment};

/// An interchange: what one partner sends another at a time.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Interchange {
    /// What separates its segments, elements, components and repetitions.
    pub separators: Separators,
    /// ISA01 and ISA02: `00`, and nothing, where none is agreed on.
    pub authorization: Partner,
    /// ISA03 and ISA04: `00`, and nothing, where none is agreed on.
    pub security: Partner,
    /// Who sends it.
    pub sender: Partner,
    /// Whom it is for.
    pub receiver: Partner,
    /// When it was made, by the sender's clock. Two digits tell the year, and are of this century.
    pub date: Date,
    /// When it was made, to the minute.
    pub time: Time,
    /// The version of the envelope: `00401`. From `00402` on elements may be repeated.
    pub version: String,
    /// Its control number: at most nine digits.
    pub control: u32,
    /// Is an acknowledgment of the interchange itself (TA1) asked for?
    pub acknowledge: bool,
    /// Is it real, or a test?
    pub usage: Usage,
    /// Segments about other interchanges (TA1), before the groups. They are kept, and not read.
    pub notes: Vec<Segment>,
    /// Its functional groups.
    pub groups: Vec<Group>,
}

/// A partner's id and what kind of id it is; in ISA01 to ISA04 what authorizes.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Partner {
    /// Two characters: `ZZ` where it is mutually defined.
    pub qualifier: String,
    /// The id, without spaces at its end.
    pub id: String,
}

impl Partner {
    /// A partner that is called so, by that kind of id.
    pub fn new(qualifier: &str, id: &str) -> Self {
        Self { qualifier: qualifier.to_owned(), id: id.to_owned() }
    }

    /// Nothing: `00`.
    pub fn none() -> Self {
        Self::new("00", "")
    }
}

/// ISA15.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Usage {
    /// `P`: it counts.
    Production,
    /// `T`: it does not.
    Test,
}

/// A functional group: transaction sets of one kind.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Group {
    /// What kind: `OW` has 940s.
    pub functional: String,
    /// The application that sends it.
    pub sender: String,
    /// The application that it is for.
    pub receiver: String,
    /// When it was made.
    pub date: Date,
    /// When it was made.
    pub time: Time,
    /// Its control number: at most nine digits.
    pub control: u32,
    /// Who is responsible for the standard: `X` for X12.
    pub agency: String,
    /// The release of what is in it: `004010`.
    pub version: String,
    /// Its transaction sets.
    pub sets: Vec<TransactionSet>,
}

/// A transaction set: one document.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct TransactionSet {
    /// What it is: `940`.
    pub kind: String,
    /// Its control number: 4 to 9 characters, unique in its group.
    pub control: String,
    /// Elements of its header behind the control number; from 005010 on there may be one.
    pub more: Vec<Element>,
    /// Its segments, without header and trailer.
    pub segments: Vec<Segment>,
}

impl TransactionSet {
    /// A set of that kind with these segments; the control number has four digits at least.
    pub fn new(kind: &str, control: u32, segments: Vec<Segment>) -> Self {
        Self { kind: kind.to_owned(), control: format!("{control:04}"), more: Vec::new(), segments }
    }
}
