//! Rules for what other systems show, as typed.

use clap::{Args, Subcommand};

/// See [`super::Command::Rule`].
#[derive(Debug, Subcommand)]
pub enum Rule {
    /// All rules, and what is not sold at all.
    List,
    /// Make a rule, or change the one for the same things at the same place.
    Set(Box<RuleFields>),
    /// What a rule would change, on the stock there is now: which listings would show what instead of what. Nothing is written.
    Preview(Box<RuleFields>),
    /// End a rule.
    End {
        /// Its id.
        id: u64,
    },
    /// Sell no more of an item, or of those with a tag: every listing of it shows 0 until selling is resumed.
    StopSelling {
        /// Of what.
        #[command(flatten)]
        what: What,
        /// Why.
        #[arg(long, value_name = "WORDS")]
        reason: String,
    },
    /// Sell again what was stopped.
    ResumeSelling {
        /// Of what.
        #[command(flatten)]
        what: What,
    },
}

/// An item, or those with a tag.
#[derive(Debug, Args)]
#[group(required = true, multiple = false)]
pub struct What {
    /// An item's SKU.
    #[arg(long)]
    pub sku: Option<String>,
    /// Or the items with this tag.
    #[arg(long)]
    pub tag: Option<String>,
}

/// What a rule speaks of, and what it says.
#[derive(Debug, Args)]
pub struct RuleFields {
    /// The system; every one unless told.
    #[arg(long)]
    pub system: Option<String>,
    /// Of that system one location, by its id over there.
    #[arg(long, value_name = "ID", requires = "system")]
    pub remote_location: Option<String>,
    /// The item; every one unless told.
    #[arg(long)]
    pub sku: Option<String>,
    /// Or the items with this tag.
    #[arg(long, conflicts_with = "sku")]
    pub tag: Option<String>,
    /// Or one listing, by its id in that system.
    #[arg(long, value_name = "ID", requires = "system", conflicts_with_all = ["sku", "tag"])]
    pub listing: Option<String>,
    /// One of our locations that count: those behind the remote location unless told.
    #[arg(long = "location", value_name = "CODE")]
    pub locations: Vec<String>,
    /// Or all of a group.
    #[arg(long = "group", value_name = "NAME")]
    pub groups: Vec<String>,
    /// Keep so much back.
    #[arg(long, allow_negative_numbers = true)]
    pub buffer: Option<String>,
    /// Keep back what is measured to be enough but for one time in so many, such as 1000; at least the buffer.
    #[arg(long, value_name = "N")]
    pub risk_one_in: Option<u32>,
    /// And no more than this.
    #[arg(long, value_name = "QUANTITY", requires = "risk_one_in", allow_negative_numbers = true)]
    pub buffer_at_most: Option<String>,
    /// Never show more than this.
    #[arg(long, allow_negative_numbers = true)]
    pub cap: Option<String>,
    /// Show this share of it, 0 to 100.
    #[arg(long, allow_negative_numbers = true)]
    pub percentage: Option<u8>,
    /// Show 0 at or below this much.
    #[arg(long, allow_negative_numbers = true)]
    pub stop_at: Option<String>,
    /// Count what is expected up to so many days after today.
    #[arg(long, value_name = "DAYS", allow_negative_numbers = true)]
    pub incoming_days: Option<u16>,
    /// Or up to this day, such as 2026-12-05.
    #[arg(long, value_name = "DAY", conflicts_with = "incoming_days")]
    pub incoming_until: Option<String>,
    /// A formula in CEL in place of buffer, cap, percentage and stop-at, such as "available - safety_stock".
    #[arg(long, value_name = "CEL", conflicts_with_all = ["buffer", "risk_one_in", "cap", "percentage", "stop_at"])]
    pub formula: Option<String>,
    /// Leave the number to the system: nothing is sent.
    #[arg(long)]
    pub skip: bool,
}
