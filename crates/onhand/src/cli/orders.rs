//! Orders, as typed.

use clap::{Subcommand, ValueEnum};

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
}

/// See [`super::System::Orders`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Giver {
    /// Onhand sends them, and follows what becomes of each.
    Onhand,
    /// Somebody else does, or it asks for them.
    Itself,
}
