//! Orders, as typed.

use clap::{Subcommand, ValueEnum};

use super::LineArg;

/// See [`super::Command::Order`].
#[derive(Debug, Subcommand)]
pub enum Order {
    /// All orders, the oldest first.
    List,
    /// One of them: what is promised, short and shipped; where it was sent, and what was answered.
    Show {
        /// Its number.
        id: u64,
    },
    /// Goods of an order will come back to a location that another system is master of: announce it there.
    ExpectReturn {
        /// The order's number.
        id: u64,
        /// What: `LINE=QUANTITY`.
        #[arg(required = true)]
        lines: Vec<LineArg>,
        /// Where to: where it was shipped from unless told.
        #[arg(long)]
        location: Option<String>,
        /// What the customer knows it by, such as the number of an RMA.
        #[arg(long)]
        reference: Option<String>,
        /// The day it is expected on, such as 2026-12-01.
        #[arg(long)]
        expected_on: Option<String>,
    },
    /// A return that is expected: what has come of it, where it was announced, and what was answered.
    Return {
        /// Its number.
        id: u64,
    },
    /// Nothing more of an expected return comes.
    CancelReturn {
        /// Its number.
        id: u64,
    },
}

/// See [`super::System::Orders`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Giver {
    /// Onhand sends them, and follows what becomes of each.
    Onhand,
    /// Somebody else does, or it asks for them.
    Itself,
}
