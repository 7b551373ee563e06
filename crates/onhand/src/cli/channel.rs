//! Writing a channel, as typed.

use clap::{Args, Subcommand};

/// See [`super::Command::Channel`].
#[derive(Debug, Subcommand)]
pub enum Channel {
    /// Try each rule of the Onhand channel protocol on a system. Nothing leaves it by that: what is sent is cancelled from the start.
    /// Exit code 1 if a rule is not kept.
    Check(ChannelCheck),
}

/// See [`Channel::Check`].
#[derive(Debug, Args)]
pub struct ChannelCheck {
    /// The address that its paths follow, such as <https://wms.example.com/onhand>
    pub url: String,
    /// The bearer token it takes.
    #[arg(long, env = "ONHAND_SYSTEM_SECRET", default_value = "", hide_env_values = true)]
    pub secret: String,
    /// Place orders too that somebody could ship, and cancel them: only for a system that nobody works with.
    #[arg(long)]
    pub place_orders: bool,
}
