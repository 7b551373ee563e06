//! UN/EDIFACT: interchanges, inventory reports and what is answered.
//!
//! An interchange (UNB to UNZ) has messages (UNH to UNT), a message has segments. Trailers repeat their header's reference and count what is
//! between, header and trailer included in the count of segments: the service segments of syntax version 3 at
//! <https://github.com/php-edifact/edifact-mapping> (`src/Mapping/Service_V3/segments.xml`). Functional groups (UNG to UNE) are refused.

mod control;
mod inventory_report;
mod read;
mod receive;
mod separators;
mod specs;
mod write;

use jiff::civil::{Date, Time};

pub use control::{Action, Control, ElementError, MessageAnswer, SegmentError, ServiceError};
pub use inventory_report::{Directory, Held, HeldKind, Move, ReportLine, ReportParty, StockReport};
pub use read::{Reading, read};
pub use receive::{Document, Receipt, receive};
pub use separators::Separators;

pub use crate::segment::{Element, Segment};

/// An interchange: what one partner sends another at a time.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Interchange {
    /// What separates its parts.
    pub separators: Separators,
    /// Does it begin with UNA, which tells what separates? It has to where that is not as usual.
    pub has_advice: bool,
    /// The character set's name: `UNOC`.
    pub syntax: String,
    /// The version of the syntax: 1 to 3.
    pub version: u8,
    /// Who sends it.
    pub sender: Partner,
    /// Whom it is for.
    pub recipient: Partner,
    /// When it was made, by the sender's clock. Two digits tell the year, and are of this century.
    pub date: Date,
    /// When it was made, to the minute.
    pub time: Time,
    /// Its reference: 1 to 14 characters.
    pub reference: String,
    /// Elements of its header behind the reference.
    pub more: Vec<Element>,
    /// Its messages.
    pub messages: Vec<Message>,
}

/// A partner.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Partner {
    /// Its id.
    pub id: String,
    /// Whose id it is: `14` GS1's.
    pub qualifier: Option<String>,
    /// An address within.
    pub address: Option<String>,
}

impl Partner {
    /// A partner that is called so.
    pub fn new(id: &str, qualifier: Option<&str>) -> Self {
        Self { id: id.to_owned(), qualifier: qualifier.map(str::to_owned), address: None }
    }
}

/// What a message is: `INVRPT:D:96A:UN:EAN004`.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct MessageKind {
    /// Its type: `INVRPT`.
    pub kind: String,
    /// The version of the type: `D`.
    pub version: String,
    /// The release of the version: `96A`.
    pub release: String,
    /// Who controls it: `UN`.
    pub agency: String,
    /// The association that says more of it: `EAN004`.
    pub association: Option<String>,
}

impl MessageKind {
    /// A message of that type, version and release, of the United Nations.
    pub fn new(kind: &str, version: &str, release: &str) -> Self {
        let [kind, version, release] = [kind, version, release].map(str::to_owned);
        Self { kind, version, release, agency: "UN".to_owned(), association: None }
    }
}

/// A message: one document.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Message {
    /// Its reference: 1 to 14 characters, unique in its interchange.
    pub reference: String,
    /// What it is.
    pub kind: MessageKind,
    /// Elements of its header behind that.
    pub more: Vec<Element>,
    /// Its segments, without header and trailer.
    pub segments: Vec<Segment>,
}
