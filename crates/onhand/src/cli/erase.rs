//! Erasing a person, as typed.

use clap::{ArgGroup, Args};

/// See [`super::Command::Erase`].
#[derive(Debug, Args)]
#[command(group = ArgGroup::new("whom").args(["email", "order"]).required(true))]
pub struct Erase {
    /// Whoever's documents have this e-mail address in them, anywhere.
    #[arg(long, value_name = "ADDRESS")]
    pub email: Option<String>,
    /// Whose order this is, such as `Vendure/T4Z9` (for your own `onhand/REFERENCE`).
    #[arg(long, value_name = "SYSTEM/DOCUMENT")]
    pub order: Option<String>,
    /// Whose business, where the file has several: the API key says it where a server runs.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u64).range(1..=i64::MAX.unsigned_abs()))]
    pub tenant: u64,
    /// Say what would be erased, and erase nothing.
    #[arg(long)]
    pub dry_run: bool,
}
