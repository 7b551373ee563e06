//! Alerts, as typed.

use clap::{ArgGroup, Args, Subcommand};

/// See [`super::Command::Alert`].
#[derive(Debug, Subcommand)]
pub enum Alert {
    /// Tell somebody of troubles: once each, and again when it is over. The target of that name is replaced.
    Add(Box<AlertTarget>),
    /// Who is told, of what, and whether word arrives.
    List,
    /// Send something now, to see that it arrives.
    Test {
        /// The target's name.
        name: String,
    },
    /// What a target was told and is not over, and what it is told of soon.
    Troubles {
        /// The target's name.
        name: String,
    },
    /// Tell them nothing any more.
    Remove {
        /// The target's name.
        name: String,
    },
}

/// Whom to tell, and of what.
#[derive(Debug, Args)]
#[command(group = ArgGroup::new("way").args(["email", "webhook", "slack"]).required(true))]
pub struct AlertTarget {
    /// What people call it.
    pub name: String,
    /// By e-mail, to this address; may be told often.
    #[arg(long, value_name = "ADDRESS", requires = "smtp", requires = "from")]
    pub email: Vec<String>,
    /// The server that takes mail, such as smtp.example.com or smtp.example.com:465.
    #[arg(long, value_name = "HOST[:PORT]")]
    pub smtp: Option<String>,
    /// How the way to it is secured: `start_tls` unless told, `tls`, or `none`.
    #[arg(long, value_name = "HOW", requires = "smtp")]
    pub security: Option<String>,
    /// Who we are there.
    #[arg(long, requires = "smtp")]
    pub username: Option<String>,
    /// From whom, such as "Onhand <stock@example.com>".
    #[arg(long, requires = "smtp")]
    pub from: Option<String>,
    /// To a webhook: the address is in `ONHAND_ALERT_URL`.
    #[arg(long)]
    pub webhook: bool,
    /// To a chat that takes what Slack's incoming webhooks take: the address is in `ONHAND_ALERT_URL`.
    #[arg(long)]
    pub slack: bool,
    /// The address of a webhook or chat: whoever knows it may write there, so it is better not typed.
    #[arg(long, env = "ONHAND_ALERT_URL", hide_env_values = true)]
    pub url: Option<String>,
    /// The mail server's password, or what a webhook gets as `Authorization: Bearer`.
    #[arg(long, env = "ONHAND_ALERT_SECRET", hide_env_values = true)]
    pub secret: Option<String>,
    /// Of what: `silent_system`, `lag`, `exposure`, `low_stock`, `short_order`, `past_ship_by`, `stale_discrepancy`, `unreached`; may
    /// be told often. Of all unless told.
    #[arg(long = "kind", value_name = "KIND")]
    pub kinds: Vec<String>,
    /// So long a system may be silent, in seconds.
    #[arg(long, value_name = "SECONDS")]
    pub silent: Option<u32>,
    /// So long a system may show what it should not, in seconds.
    #[arg(long, value_name = "SECONDS")]
    pub lag: Option<u32>,
    /// So long a system may offer more than there is, in seconds.
    #[arg(long, value_name = "SECONDS")]
    pub exposure: Option<u32>,
    /// So long a discrepancy may wait, in seconds.
    #[arg(long, value_name = "SECONDS")]
    pub stale: Option<u32>,
    /// So long a trouble must be gone to be over, in seconds.
    #[arg(long, value_name = "SECONDS")]
    pub calm: Option<u32>,
}
