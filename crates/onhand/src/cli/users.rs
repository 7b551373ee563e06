//! People who sign in, as typed.

use clap::Subcommand;
use onhand_web::Role;
use onhand_web::auth::Right;

/// See [`super::Command::User`].
#[derive(Debug, Subcommand)]
pub enum User {
    /// Let somebody sign in. Their first password is made by chance and shown once; they change it when they sign in.
    Add {
        /// What they sign in as: letters, digits and `. - _ @ +`.
        name: String,
        /// What they may do: `viewer` looks, `clerk` works in the warehouse, `operator` runs orders, rules and systems, `admin` says who may what.
        #[arg(long, default_value = "clerk")]
        role: Role,
        /// What they may do beyond that: `approve`, `people`, `secrets`. Can be told again.
        #[arg(long = "right", value_name = "RIGHT")]
        rights: Vec<Right>,
    },
    /// Show everybody: role, state, when they last signed in.
    List,
    /// Change what somebody may do.
    Role {
        /// Who.
        name: String,
        /// `viewer`, `clerk`, `operator` or `admin`.
        role: Role,
    },
    /// Give somebody another password, shown once: they forgot theirs.
    Reset {
        /// Who.
        name: String,
        /// Their phone is lost too: ask for no codes.
        #[arg(long)]
        no_codes: bool,
    },
    /// Let somebody not sign in, at once.
    Off {
        /// Who.
        name: String,
    },
    /// Let them sign in again.
    On {
        /// Who.
        name: String,
    },
    /// Remove somebody. What they did stays theirs in history.
    Remove {
        /// Who.
        name: String,
    },
    /// Show where somebody is signed in now.
    Sessions {
        /// Who.
        name: String,
    },
    /// Sign somebody out wherever they are. They may sign in again.
    SignOut {
        /// Who.
        name: String,
    },
    /// Ask everybody who signs in at the pages for a code of their phone, or leave it to each; shows which it is unless told. Where it is
    /// asked of everybody, no API key signs in at the pages.
    TwoFactor {
        /// Which.
        asked: Option<TwoFactor>,
    },
    /// Have people sign in by a provider of identities too (OpenID Connect), such as a company's own.
    SignOn {
        /// What to do.
        #[command(subcommand)]
        asked: SignOn,
    },
}

/// Whom codes of a phone are asked of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum TwoFactor {
    /// Everybody.
    Everybody,
    /// Whoever set them up.
    Each,
}

/// Signing in by a provider of identities.
#[derive(Debug, Subcommand)]
pub enum SignOn {
    /// Set the provider. It is asked what it says of itself first; what it needs to know of us is said then.
    Set {
        /// What it calls itself, letter by letter: `https://login.example.com`.
        #[arg(long, value_name = "URL")]
        issuer: String,
        /// What it calls us.
        #[arg(long, value_name = "ID")]
        client_id: String,
        /// What proves that we are that; the one that is kept unless told.
        #[arg(long, value_name = "SECRET", env = "ONHAND_CLIENT_SECRET", hide_env_values = true)]
        client_secret: Option<String>,
        /// Where people reach this server: `https://stock.example.com`.
        #[arg(long, value_name = "URL")]
        address: String,
        /// What somebody may do whom nobody here knows yet; unless told they are not let in.
        #[arg(long, value_name = "ROLE")]
        newcomers: Option<Role>,
    },
    /// Show which it is.
    Show,
    /// Have nobody sign in that way any more.
    Forget,
}
