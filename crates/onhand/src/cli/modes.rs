//! How systems are kept equal, as typed.

use clap::{Args, Subcommand, ValueEnum};

/// What of a system's mode changes: what is not told stays as it is.
#[derive(Debug, Args)]
pub struct Mode {
    /// What it is called.
    pub name: String,
    /// Which way numbers go. Orders are heard of whichever it is.
    #[arg(long)]
    pub direction: Option<Direction>,
    /// Near real-time: a change waits so many milliseconds for others to go with it. A fall to zero does not wait.
    #[arg(long, value_name = "MILLISECONDS", conflicts_with = "batch")]
    pub debounce_ms: Option<u32>,
    /// Batches by a schedule, instead: minute, hour, day, month, weekday, such as "0 6 * * *".
    #[arg(long, value_name = "CRON")]
    pub batch: Option<String>,
    /// The IANA time zone of the schedule; UTC unless told.
    #[arg(long, value_name = "ZONE", requires = "batch")]
    pub time_zone: Option<String>,
    /// Every number goes with a batch, not only the changed ones.
    #[arg(long, requires = "batch")]
    pub full: bool,
    /// What becomes of a number that somebody changed over there: set back, adopted as an adjustment of ours, or asked about.
    #[arg(long)]
    pub policy: Option<Policy>,
    /// More listings than this (and than --hold-share) that fall to zero at once by what is no order wait for a person.
    #[arg(long, allow_negative_numbers = true, value_name = "LISTINGS", requires = "hold_share")]
    pub hold_zeros: Option<u32>,
    /// Percent of its listings; at 100 none wait.
    #[arg(long, value_name = "PERCENT", requires = "hold_zeros", allow_negative_numbers = true)]
    pub hold_share: Option<u8>,
}

/// See [`Mode::direction`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Direction {
    /// Ours go there; what is changed over there is set back.
    OneWayOut,
    /// Theirs come here; nothing is sent.
    OneWayIn,
    /// Ours go there, and what is changed over there is treated by the policy.
    TwoWay,
}

impl Direction {
    /// As the API has it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::OneWayOut => "one_way_out",
            Self::OneWayIn => "one_way_in",
            Self::TwoWay => "two_way",
        }
    }
}

/// See [`Mode::policy`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Policy {
    /// Set to what it should be.
    MasterWins,
    /// An adjustment by that system, where that is possible; else asked about.
    Adopt,
    /// A person is asked.
    Ask,
}

impl Policy {
    /// As the API has it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::MasterWins => "master_wins",
            Self::Adopt => "adopt",
            Self::Ask => "ask",
        }
    }
}

/// See [`super::Command::Push`].
#[derive(Debug, Subcommand)]
pub enum Push {
    /// Nothing is pushed to any system from here on; they are read as ever.
    Stop {
        /// Why.
        why: Option<String>,
    },
    /// Push again.
    Resume {
        /// Why.
        why: Option<String>,
    },
    /// Is it stopped, by whom and why?
    Show,
    /// Send zeros that are held.
    Approve {
        /// The discrepancy that says so.
        discrepancy: u64,
    },
    /// Leave listings whose zeros are held as they are, until what made them zero is undone.
    Reject {
        /// The discrepancy that says so.
        discrepancy: u64,
    },
}

/// See [`super::System::Answer`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Choice {
    /// The system is set to what it should show.
    SetBack,
    /// The change becomes an adjustment of ours.
    Adopt,
}
