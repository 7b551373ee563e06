//! What a unit cost when it came in: exact, kept from the first day so that valuation can come later.
//!
//! Nothing here is reckoned with yet: amounts are read, kept and shown.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::answer::Invalid;
use crate::{Precision, Quantity};

/// An amount of money, exactly: counted in 10⁻⁶ of the currency's unit. Not negative.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Default, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Amount(i64);

impl Amount {
    /// So many millionths.
    pub const fn from_micros(micros: i64) -> Self {
        Self(micros)
    }

    /// The count of millionths.
    pub const fn micros(self) -> i64 {
        self.0
    }

    /// Reads a decimal such as `12.5`: at most 6 decimals, at most 10¹², no exponent.
    pub fn parse(text: &str) -> Result<Self, crate::QuantityError> {
        Quantity::parse(text, Precision::FINEST).map(|read| Self(read.micros()))
    }
}

impl fmt::Display for Amount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        Quantity::from_micros(self.0).fmt(f)
    }
}

/// What one unit cost.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct UnitCost {
    /// Of one unit of the item.
    pub amount: Amount,
    /// ISO 4217: three capital letters, such as `EUR`.
    pub currency: String,
}

impl UnitCost {
    /// Refuses what is no cost.
    pub fn check(&self) -> Result<(), Invalid> {
        if self.currency.len() != 3 || !self.currency.bytes().all(|byte| byte.is_ascii_uppercase()) {
            let shown: String = self.currency.chars().take(20).collect();
            let problem = format!("`{shown}` is no currency; one is three capital letters, such as `EUR`");
            return Err(Invalid::Field { field: "currency", problem });
        }
        if self.amount < Amount(0) || self.amount > Amount(Quantity::MAX_INPUT.micros()) {
            let problem = format!("{} cannot be paid; 0 to 1000000000000 can", self.amount);
            return Err(Invalid::Field { field: "unit_cost", problem });
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cost_is_exact_and_has_a_currency() {
        let cost = |amount, currency: &str| UnitCost {
            amount: Amount::from_micros(amount),
            currency: currency.to_owned(),
        };
        assert_eq!(Amount::parse("0.300001").unwrap().to_string(), "0.300001");
        assert!(Amount::parse("0.0000001").is_err() && Amount::parse("1e3").is_err());
        assert_eq!(cost(1, "EUR").check(), Ok(()));
        for wrong in [cost(1, "eur"), cost(1, "EURO"), cost(1, ""), cost(-1, "EUR"), cost(i64::MAX, "EUR")] {
            assert!(wrong.check().is_err(), "{wrong:?}");
        }
    }
}
