//! Webhooks, as typed.

use clap::{Args, Subcommand};

/// See [`super::Command::Webhook`].
#[derive(Debug, Subcommand)]
pub enum Webhook {
    /// Send webhooks to an address from now on. A new subscription says its secret, once; one of that name gets the new address.
    Add {
        /// What people call it.
        name: String,
        /// Where to: an address that begins with https:// or http://.
        url: String,
        /// Which, with commas between or told often: `stock.changed`, `discrepancy.opened`, `discrepancy.resolved`, `order.changed`.
        /// All unless told.
        #[arg(long = "events", alias = "event", value_name = "EVENT", value_delimiter = ',')]
        events: Vec<String>,
    },
    /// Who is sent what, and how that goes.
    List,
    /// The messages of a subscription, the newest first, with each attempt and what was answered.
    Messages {
        /// The subscription's name.
        name: String,
        /// How many at most: 1 to 100.
        #[arg(long)]
        limit: Option<u32>,
        /// Only those that became this: `waiting`, `given_up` or `taken`.
        #[arg(long)]
        fate: Option<String>,
    },
    /// Make a new secret. The one before signs as well for a time.
    Rotate {
        /// The subscription's name.
        name: String,
        /// So long both sign, in seconds; a day unless told.
        #[arg(long, value_name = "SECONDS")]
        keep: Option<u32>,
    },
    /// Send again to a subscription that is off: what waits first, then all that came meanwhile.
    Enable {
        /// The subscription's name.
        name: String,
    },
    /// Send a message again, under the same id.
    Resend {
        /// The subscription's name.
        name: String,
        /// The message's id: `onhand webhook messages NAME` has it.
        message: String,
    },
    /// Send again what was given up.
    Replay {
        /// The subscription's name.
        name: String,
        /// Only what was made since then, such as 2026-11-29T10:00:00Z.
        #[arg(long, value_name = "TIME")]
        since: Option<String>,
        /// Not what was given up: the stock of all items, as it is now, for a receiver that begins.
        #[arg(long, conflicts_with = "since")]
        stock: bool,
    },
    /// Send nothing to it any more.
    Remove {
        /// The subscription's name.
        name: String,
    },
}

/// See [`super::Command::Trigger`].
#[derive(Debug, Args)]
pub struct Trigger {
    /// Which event: `stock.changed`, `discrepancy.opened`, `discrepancy.resolved` or `order.changed`.
    pub event: String,
    /// Only to the subscription of this name.
    #[arg(long, value_name = "NAME")]
    pub to: Option<String>,
}

/// See [`super::Command::Listen`].
#[derive(Debug, Args)]
pub struct Listen {
    /// The port to listen on, on this machine alone; a free one unless told.
    #[arg(long, default_value_t = 0)]
    pub port: u16,
    /// Which events to be sent, with commas between; all unless told.
    #[arg(long = "events", alias = "event", value_name = "EVENT", value_delimiter = ',')]
    pub events: Vec<String>,
    /// Verify with this secret of a subscription that is there, and make none.
    #[arg(long, env = "ONHAND_WEBHOOK_SECRET", hide_env_values = true)]
    pub secret: Option<String>,
    /// What to answer, to see what becomes of it.
    #[arg(long, default_value_t = 204, value_parser = clap::value_parser!(u16).range(200..=599))]
    pub answer: u16,
}
