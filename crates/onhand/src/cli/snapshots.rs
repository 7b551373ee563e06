//! Snapshots, as typed.

use clap::{Args, Subcommand};

/// See [`super::Command::Snapshot`].
#[derive(Debug, Subcommand)]
pub enum Snapshot {
    /// Those of a system: what waits, what is held and why, what was taken.
    List {
        /// The system's name.
        system: String,
    },
    /// Take one that is held: it counts as of its own time.
    Approve(Which),
    /// Let one go that is held: nothing is changed by it.
    Reject(Which),
}

/// A snapshot.
#[derive(Debug, Args)]
pub struct Which {
    /// The system's name.
    pub system: String,
    /// The snapshot's name, as the list has it.
    pub document: String,
}
