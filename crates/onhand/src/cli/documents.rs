//! Transfers, purchase orders and counting sessions, as typed.

use std::str::FromStr;

use clap::Subcommand;

/// So much of something: `MUG=3`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LineArg {
    /// A SKU, or a line's name.
    pub name: String,
    /// How much.
    pub quantity: String,
    /// What one costs, in the currency told beside it: `MUG=3@2.50`.
    pub cost: Option<String>,
}

impl FromStr for LineArg {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        // A SKU may have a `=` in it.
        let Some((name, rest)) = text.rsplit_once('=').filter(|(name, _)| !name.is_empty()) else {
            return Err("it must be a name and a quantity, such as MUG=3".to_owned());
        };
        let (quantity, cost) = match rest.split_once('@') {
            Some((quantity, cost)) => (quantity, Some(cost.to_owned())),
            None => (rest, None),
        };
        for number in [Some(quantity), cost.as_deref()].into_iter().flatten() {
            let finest = onhand_ledger::Precision::FINEST;
            onhand_ledger::Quantity::parse(number, finest).map_err(|error| error.to_string())?;
        }
        Ok(Self { name: name.to_owned(), quantity: quantity.to_owned(), cost })
    }
}

/// See [`super::Command::Transfer`].
#[derive(Debug, Subcommand)]
pub enum Transfer {
    /// All transfers.
    List,
    /// One of them, line by line.
    Show {
        /// Its number.
        id: u64,
    },
    /// Plan one: a draft, which keeps nothing.
    Plan {
        /// Out of which location.
        from: String,
        /// Into which.
        to: String,
        /// What: `SKU=QUANTITY`.
        #[arg(required = true)]
        lines: Vec<LineArg>,
        /// Your name for it.
        #[arg(long)]
        reference: Option<String>,
        /// The day it is expected on, such as 2026-12-01.
        #[arg(long)]
        expected_on: Option<String>,
    },
    /// It is ready to ship: what has not left is kept where it leaves from.
    Ready {
        /// Its number.
        id: u64,
    },
    /// Goods of it left: all of them, or `LINE=QUANTITY`.
    Dispatch {
        /// Its number.
        id: u64,
        /// What left.
        lines: Vec<LineArg>,
    },
    /// Goods of it came in: all that is on its way, or `LINE=QUANTITY`.
    Receive {
        /// Its number.
        id: u64,
        /// What came in.
        lines: Vec<LineArg>,
        /// What was lost on the way, `LINE=QUANTITY`; may be told often.
        #[arg(long, value_name = "LINE=QUANTITY")]
        lost: Vec<LineArg>,
    },
    /// End it: what is on its way goes back.
    Cancel {
        /// Its number.
        id: u64,
    },
}

/// See [`super::Command::Purchase`].
#[derive(Debug, Subcommand)]
pub enum Purchase {
    /// All purchase orders.
    List,
    /// One of them, line by line.
    Show {
        /// Its number.
        id: u64,
    },
    /// Expect goods from a supplier.
    Place {
        /// Who sends them.
        supplier: String,
        /// Where they come to.
        location: String,
        /// What: `SKU=QUANTITY`, or with what one costs, `SKU=QUANTITY@COST`.
        #[arg(required = true)]
        lines: Vec<LineArg>,
        /// Of costs: three capital letters.
        #[arg(long, default_value = "EUR")]
        currency: String,
        /// Your name for it.
        #[arg(long)]
        reference: Option<String>,
        /// The day they are expected on, such as 2026-12-01.
        #[arg(long)]
        expected_on: Option<String>,
    },
    /// Goods of it came: all that is expected, or `LINE=QUANTITY`.
    Receive {
        /// Its number.
        id: u64,
        /// What came.
        lines: Vec<LineArg>,
    },
    /// Nothing more comes of it.
    Close {
        /// Its number.
        id: u64,
    },
    /// Nothing comes of it at all.
    Cancel {
        /// Its number.
        id: u64,
    },
}

/// See [`super::Command::CountSession`].
#[derive(Debug, Subcommand)]
pub enum CountSession {
    /// All sessions of counting.
    List,
    /// One of them: what was seen, and what is missing.
    Show {
        /// Its number.
        id: u64,
    },
    /// Begin one at a location.
    Open {
        /// Where.
        location: String,
        /// And in everything inside it.
        #[arg(long)]
        inside: bool,
        /// Only these items; may be told often.
        #[arg(long)]
        sku: Vec<String>,
        /// Counters see what is expected.
        #[arg(long)]
        not_blind: bool,
    },
    /// Tell what was seen: `SKU=QUANTITY`.
    Count {
        /// Its number.
        id: u64,
        /// What was seen.
        #[arg(required = true)]
        lines: Vec<LineArg>,
    },
    /// Book what was counted.
    Apply {
        /// Its number.
        id: u64,
        /// Differences beyond its threshold too.
        #[arg(long)]
        approve: bool,
    },
    /// End it; it books nothing.
    Cancel {
        /// Its number.
        id: u64,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_part_is_a_name_and_a_quantity() {
        let part = |name: &str, quantity: &str, cost: Option<&str>| LineArg {
            name: name.to_owned(),
            quantity: quantity.to_owned(),
            cost: cost.map(str::to_owned),
        };
        assert_eq!("MUG=3".parse(), Ok(part("MUG", "3", None)));
        assert_eq!("A=B=0.5@2.50".parse(), Ok(part("A=B", "0.5", Some("2.50"))));
        for wrong in ["MUG", "=3", "MUG=", "MUG=many", "MUG=3@", "MUG=1e3"] {
            assert!(wrong.parse::<LineArg>().is_err(), "{wrong}");
        }
    }
}
