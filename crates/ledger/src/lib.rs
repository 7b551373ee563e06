//! The truth: items, locations, ownership, movements, holds, orders, counts.
//!
//! `(state, command, now) → entries + answer`, with no clock, randomness or I/O. See [`decide`].
//! The state is a pure fold of the entries ([`state::State::fold`]); quantities are exact ([`Quantity`]);
//! stock only moves, from one cell or outside party to another ([`entry::Movement`]).
//!
//! What is not its business: where the log is kept (`store`), who asks (`web`), what other systems show (`sync`).

pub mod answer;
pub mod availability;
pub mod command;
mod decide;
pub mod entry;
pub mod formula;
pub mod gtin;
pub mod id;
pub mod key;
pub mod look;
pub mod model;
pub mod money;
pub mod ownership;
mod parts;
pub mod publication;
pub mod quantity;
pub mod refusals;
pub mod state;
pub mod time;

pub use answer::{Answer, Invalid, Refusal};
pub use command::{Body, Command};
pub use decide::{AHEAD_SECONDS, Decided, Outcome, Undecided, decide, may_be_reversed, warm};
pub use entry::{Entry, Movement, Record};
pub use id::*;
pub use jiff::civil::Date;
pub use key::{CellKey, Due, Key, StockState};
pub use money::Money;
pub use quantity::{Precision, Quantity, QuantityError};
pub use refusals::{CommandKind, InvalidKind, RefusalKind};
pub use state::{Given, Need, State, Value};
pub use time::{Instant, NotAnInstant};
