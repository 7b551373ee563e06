//! Locations, as typed.

use clap::{Args, Subcommand};

/// See [`super::Command::Location`].
#[derive(Debug, Subcommand)]
pub enum Location {
    /// All locations.
    List,
    /// Make one.
    Add {
        /// Its code, which no other has.
        code: String,
        /// What it is.
        #[command(flatten)]
        fields: LocationFields,
    },
    /// Change one: what is not told stays as it is.
    Set {
        /// Its code.
        code: String,
        /// What it is from now on.
        #[command(flatten)]
        fields: LocationFields,
    },
}

/// What a location is.
#[derive(Debug, Args)]
pub struct LocationFields {
    /// What people call it.
    #[arg(long)]
    pub name: Option<String>,
    /// May orders be allocated here?
    #[arg(long, value_name = "true|false")]
    pub sellable: Option<bool>,
    /// Orders are allocated from the lowest rank up.
    #[arg(long)]
    pub rank: Option<u32>,
    /// The code of the location it is a part of; "" for none.
    #[arg(long, value_name = "CODE")]
    pub parent: Option<String>,
    /// Its IANA time zone, such as Europe/Berlin; "" for its parent's.
    #[arg(long)]
    pub time_zone: Option<String>,
    /// A group it is in, for ownership and allocation rules. Tell all of them: it is in no others.
    #[arg(long = "group", value_name = "NAME")]
    pub groups: Vec<String>,
    /// It is in no group.
    #[arg(long, conflicts_with = "groups")]
    pub no_groups: bool,
}
