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
}
