//! The inbox, as typed.

use clap::Subcommand;

/// See [`super::Command::Inbox`].
#[derive(Debug, Subcommand)]
pub enum Inbox {
    /// What is open, grouped by cause and system, with what could be done about it.
    Groups,
    /// Discrepancies one by one, the oldest first: open ones, unless told otherwise.
    List {
        /// Only of this cause, such as `short`.
        #[arg(long)]
        cause: Option<String>,
        /// Only from this system.
        #[arg(long)]
        system: Option<String>,
        /// Those that have ended, too.
        #[arg(long)]
        all: bool,
    },
    /// One of them: what happened, what could be done, and what was done.
    Show {
        /// Its id.
        id: u64,
    },
    /// Do what is proposed about one.
    Apply {
        /// Its id.
        id: u64,
        /// The proposal, by its name.
        proposal: String,
        /// The SKU that it needs.
        #[arg(long)]
        sku: Option<String>,
    },
    /// Do the same about all that are alike: 1,000 at a time, until none is left that it can be done about.
    ApplyAll {
        /// Of which cause.
        cause: String,
        /// From which system.
        system: String,
        /// The proposal, by its name.
        proposal: String,
    },
}
