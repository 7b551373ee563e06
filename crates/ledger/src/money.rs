//! Prices: exact decimals with their currency. Kept from the first day, so that valuation can come later.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::answer::Invalid;
use crate::{Precision, Quantity};

/// So much money, exactly.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Money {
    /// In units of the currency, with up to six decimals.
    pub amount: Quantity,
    /// Its ISO 4217 code: three capital letters, such as `EUR`.
    pub currency: String,
}

impl Money {
    /// Reads an amount such as `12.50`, with at most 6 decimals.
    pub fn parse(amount: &str, currency: &str) -> Result<Self, Invalid> {
        let amount = Quantity::parse(amount, Precision::FINEST)
            .map_err(|error| Invalid::Field { field: "price", problem: error.to_string() })?;
        let money = Self { amount, currency: currency.to_owned() };
        money.check()?;
        Ok(money)
    }

    /// Not negative, no more than 10¹², in a currency that has a code's form.
    pub fn check(&self) -> Result<(), Invalid> {
        let field = |field, problem: String| Err(Invalid::Field { field, problem });
        if self.currency.len() != 3 || !self.currency.bytes().all(|byte| byte.is_ascii_uppercase()) {
            let problem =
                format!("`{}` is no ISO 4217 code; one is three capital letters, such as EUR", self.currency);
            return field("currency", problem);
        }
        if !(Quantity::ZERO..=Quantity::MAX_INPUT).contains(&self.amount) {
            return field("price", format!("{self} is not possible; 0 to 1000000000000 is"));
        }
        Ok(())
    }
}

impl fmt::Display for Money {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.amount, self.currency)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_price_is_exact_and_has_a_currency() {
        assert_eq!(Money::parse("0.1", "EUR").unwrap().amount, Quantity::from_micros(100_000));
        assert_eq!(Money::parse("12.50", "GBP").unwrap().to_string(), "12.5 GBP");
        for (amount, currency) in [("1", "eur"), ("1", "EURO"), ("-1", "EUR"), ("0.0000001", "EUR")] {
            assert!(Money::parse(amount, currency).is_err(), "{amount} {currency}");
        }
    }
}
