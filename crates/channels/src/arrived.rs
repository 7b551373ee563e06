//! Files that come by themselves: what is in them, and what became of each.
//!
//! A channel that has such picks each up once ([`crate::Channel::arrived`]), reads it, and is told what became of it
//! ([`crate::Channel::settle`]). What is booked is not its business.

use onhand_ledger::{Instant, Quantity};

use crate::RemoteOrder;

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
    /// What is in it; or why it cannot be read.
    pub content: Result<Brought, Vec<Problem>>,
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
