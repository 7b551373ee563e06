//! Files that come by themselves: what is in them, and what became of each.
//!
//! A channel that has such picks each up once ([`crate::Channel::arrived`]), reads it, and is told what became of it
//! ([`crate::Channel::settle`]). What is booked is not its business.

use onhand_ledger::{Instant, Quantity};

use crate::RemoteOrder;
use crate::expected::Received;
use crate::outgoing::Followed;

/// A file that was picked up.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Arrived {
    /// What it was called.
    pub name: String,
    /// What it is called while it is picked up: another file of that name has another one. The same after a crash.
    pub claim: String,
    /// A hash of its bytes.
    pub hash: String,
    /// When it was written, by the clock of where it lies.
    pub written_at: Instant,
    /// What is in it, part by part; or why it cannot be read, so that nothing of it is taken.
    pub content: Result<Vec<Brought>, Vec<Problem>>,
    /// What of it cannot be taken, where the rest can.
    pub refused: Vec<Problem>,
}

/// What a file brings.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Brought {
    /// How much there is, or is shown.
    Stock {
        /// Is it all there is at the locations that it names?
        whole: bool,
        /// Each listing (or lot of it) once at a location.
        rows: Vec<StockRow>,
    },
    /// Orders in the state they are in, each with the line that it begins on.
    Orders(Vec<(u64, RemoteOrder)>),
    /// How an order that was sent there stands.
    Followed(Box<Followed>),
    /// How an announcement that was sent there stands.
    Received(Box<Received>),
    /// What changed at a location for another reason than a shipment, a receipt or a return.
    Changes(Changes),
    /// What we sent was not understood there: a sentence that says what, and why.
    Rejected(String),
    /// It was brought before, as other bytes: a sentence that says when.
    Again(String),
}

/// What changed at a location.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Changes {
    /// Its name: told again under it, it is the same.
    pub document: String,
    /// The location's id over there, or our code of it; none: its only one.
    pub location: Option<Box<str>>,
    /// When.
    pub occurred_at: Instant,
    /// What.
    pub rows: Vec<ChangeRow>,
}

/// So much more, or less.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ChangeRow {
    /// Its line in the document.
    pub line: u64,
    /// The listing's remote id.
    pub listing: Box<str>,
    /// Never nothing.
    pub change: Quantity,
    /// Why: one of the words that people change stock by.
    pub reason: &'static str,
}

/// So much of something.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct StockRow {
    /// Its line in the file, or its row in the sheet.
    pub line: u64,
    /// The location's id over there, or our code of it; none: its only one.
    pub location: Option<Box<str>>,
    /// The listing's remote id.
    pub listing: Box<str>,
    /// Of which lot.
    pub lot: Option<Box<str>>,
    /// How much.
    pub quantity: Quantity,
    /// When that was so; none: when the file was written.
    pub as_of: Option<Instant>,
}

/// What is wrong with a file, or a row of it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Problem {
    /// Its line in the file, or its row in the sheet; none where the file as a whole cannot be read.
    pub line: Option<u64>,
    /// The column, as we call it.
    pub column: Option<String>,
    /// What is wrong, and what would be right.
    pub reason: String,
}

/// What became of a file.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Settled {
    /// Is it put with those that were taken? Else with those that could not be.
    pub is_taken: bool,
    /// What came of it as a whole, for a person.
    pub sentence: String,
    /// The rows that were not taken, and why.
    pub refused: Vec<Problem>,
}
