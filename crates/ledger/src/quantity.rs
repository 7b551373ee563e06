//! Exact quantities: whole numbers of 10⁻⁶ units in 64 bits, for every item.
//!
//! Precision (0 to 6 decimals) belongs to the item and only says what is accepted and shown.
//! There is no floating point here, nor anywhere near stock.

use std::fmt;

use serde::de::Error as _;
use serde::ser::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::value::RawValue;

/// How much of an item, exactly: counted in 10⁻⁶ units. May be negative (a difference, an outside account).
/// In JSON it is a decimal by its text, read from a number or a string; in binary formats the count.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Default, Hash)]
pub struct Quantity(i64);

impl Serialize for Quantity {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if !serializer.is_human_readable() {
            return serializer.serialize_i64(self.0);
        }
        if self.0 % 1_000_000 == 0 {
            return serializer.serialize_i64(self.whole_units());
        }
        RawValue::from_string(self.to_string()).map_err(S::Error::custom)?.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Quantity {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        if !deserializer.is_human_readable() {
            return i64::deserialize(deserializer).map(Self);
        }
        // By its text: a number that has been a float is none of ours.
        let raw = Box::<RawValue>::deserialize(deserializer)?;
        let read = match serde_json::from_str::<String>(raw.get()) {
            Ok(text) => Self::parse_any(&text),
            Err(_) => Self::parse_any(raw.get()),
        };
        read.map_err(D::Error::custom)
    }
}

/// How many decimals of an item's quantity are accepted and shown: 0 to 6.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Default, Hash, Serialize, Deserialize)]
#[serde(try_from = "u8", into = "u8")]
pub struct Precision(u8);

/// Why a text is not a quantity.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum QuantityError {
    /// Not a decimal number.
    #[error("`{0}` is not a number such as 3 or 0.25")]
    NotANumber(String),
    /// More decimals than the item's precision accepts.
    #[error("{0} is too precise: at most {1} decimals")]
    TooPrecise(String, u8),
    /// Outside of what is accepted from outside: ±1,000,000,000,000 units.
    #[error("{0} is too large: at most 1000000000000 units")]
    TooLarge(String),
}

impl TryFrom<u8> for Precision {
    type Error = &'static str;
    fn try_from(decimals: u8) -> Result<Self, Self::Error> {
        Self::new(decimals).ok_or("a precision is 0 to 6 decimals")
    }
}

impl From<Precision> for u8 {
    fn from(precision: Precision) -> Self {
        precision.0
    }
}

impl Precision {
    /// Whole units only.
    pub const WHOLE: Self = Self(0);
    /// The most precise: six decimals.
    pub const FINEST: Self = Self(6);

    /// A precision of `decimals`, if that is at most 6.
    pub const fn new(decimals: u8) -> Option<Self> {
        if decimals <= 6 { Some(Self(decimals)) } else { None }
    }

    /// The number of decimals.
    pub const fn decimals(self) -> u8 {
        self.0
    }

    /// The smallest quantity of this precision.
    pub const fn unit(self) -> Quantity {
        Quantity(self.step())
    }

    /// The smallest quantity of this precision, in 10⁻⁶ units.
    const fn step(self) -> i64 {
        10_i64.pow(6 - self.0 as u32)
    }
}

impl Quantity {
    /// Nothing.
    pub const ZERO: Self = Self(0);
    /// One whole unit.
    pub const ONE: Self = Self(1_000_000);
    /// The largest quantity accepted from outside: 10¹² units.
    pub const MAX_INPUT: Self = Self(1_000_000_000_000_000_000);
    /// The most that may have come from, or gone to, one kind of outside party. There are four of them and no cell of
    /// ours is negative, so that the sum of any of our cells of an item fits 64 bits.
    pub const MAX_PARTY: Self = Self(i64::MAX / 4);

    /// A quantity of so many 10⁻⁶ units.
    pub const fn from_micros(micros: i64) -> Self {
        Self(micros)
    }

    /// A quantity of so many whole units; saturates far beyond what input accepts.
    pub const fn units(units: i64) -> Self {
        Self(units.saturating_mul(1_000_000))
    }

    /// The count of 10⁻⁶ units.
    pub const fn micros(self) -> i64 {
        self.0
    }

    /// Whole units, rounded towards zero.
    pub const fn whole_units(self) -> i64 {
        self.0 / 1_000_000
    }

    /// Is it nothing?
    pub const fn is_zero(self) -> bool {
        self.0 == 0
    }

    /// More than nothing?
    pub const fn is_positive(self) -> bool {
        self.0 > 0
    }

    /// Less than nothing?
    pub const fn is_negative(self) -> bool {
        self.0 < 0
    }

    /// The size without the sign.
    #[must_use]
    pub const fn abs(self) -> Self {
        Self(self.0.abs())
    }

    /// The sum, unless it leaves 64 bits.
    pub const fn checked_add(self, other: Self) -> Option<Self> {
        match self.0.checked_add(other.0) {
            Some(sum) => Some(Self(sum)),
            None => None,
        }
    }

    /// Small enough to be taken from outside?
    pub const fn is_acceptable(self) -> bool {
        self.0.unsigned_abs() <= Self::MAX_INPUT.0.unsigned_abs()
    }

    /// Does it fit an item of this precision?
    pub const fn fits(self, precision: Precision) -> bool {
        self.0 % precision.step() == 0
    }

    /// As [`Quantity::parse`] at the finest precision, also of what is beyond what is taken from outside: sums are.
    fn parse_any(text: &str) -> Result<Self, QuantityError> {
        Self::parse_within(text, Precision::FINEST, i64::MAX)
    }

    /// Reads a decimal text such as `12`, `-0.5` or `+3.250`, refusing more decimals than `precision`.
    /// Trailing zeros do not count as decimals. No exponent, no grouping.
    pub fn parse(text: &str, precision: Precision) -> Result<Self, QuantityError> {
        Self::parse_within(text, precision, Self::MAX_INPUT.0)
    }

    fn parse_within(text: &str, precision: Precision, most: i64) -> Result<Self, QuantityError> {
        let not_a_number = || QuantityError::NotANumber(text.chars().take(40).collect());
        let trimmed = text.trim();
        let (negative, digits) = match trimmed.as_bytes().first() {
            Some(b'-') => (true, &trimmed[1..]),
            Some(b'+') => (false, &trimmed[1..]),
            Some(_) => (false, trimmed),
            None => return Err(not_a_number()),
        };
        let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
        let all_digits = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit());
        if (whole.is_empty() && fraction.is_empty()) || !all_digits(whole) || !all_digits(fraction) {
            return Err(not_a_number());
        }
        let fraction = fraction.trim_end_matches('0');
        if fraction.len() > usize::from(precision.0) {
            return Err(QuantityError::TooPrecise(trimmed.chars().take(40).collect(), precision.0));
        }
        let whole = whole.trim_start_matches('0');
        if whole.len() > 13 {
            // Nor would it fit 64 bits.
            return Err(QuantityError::TooLarge(trimmed.chars().take(40).collect()));
        }
        let mut micros: i64 = 0;
        for byte in whole.bytes() {
            micros = micros * 10 + i64::from(byte - b'0');
        }
        for position in 0..6 {
            let digit = fraction.as_bytes().get(position).map_or(0, |byte| i64::from(byte - b'0'));
            // 10¹³ units × 10⁶ would leave 64 bits: caught by the bound below before it can wrap.
            micros = micros
                .checked_mul(10)
                .and_then(|value| value.checked_add(digit))
                .ok_or_else(|| QuantityError::TooLarge(trimmed.chars().take(40).collect()))?;
        }
        if micros > most {
            return Err(QuantityError::TooLarge(trimmed.chars().take(40).collect()));
        }
        Ok(Self(if negative { -micros } else { micros }))
    }
}

impl fmt::Display for Quantity {
    /// As few decimals as needed: `3`, `0.25`, `-1.5`; padded as asked, as a number is.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let magnitude = self.0.unsigned_abs();
        let (whole, fraction) = (magnitude / 1_000_000, magnitude % 1_000_000);
        if fraction == 0 {
            return f.pad_integral(self.0 >= 0, "", &whole.to_string());
        }
        let decimals = format!("{whole}.{fraction:06}");
        f.pad_integral(self.0 >= 0, "", decimals.trim_end_matches('0'))
    }
}

impl std::ops::Add for Quantity {
    type Output = Self;
    fn add(self, other: Self) -> Self {
        Self(self.0 + other.0)
    }
}

impl std::ops::Sub for Quantity {
    type Output = Self;
    fn sub(self, other: Self) -> Self {
        Self(self.0 - other.0)
    }
}

impl std::ops::Neg for Quantity {
    type Output = Self;
    fn neg(self) -> Self {
        Self(-self.0)
    }
}

impl std::ops::AddAssign for Quantity {
    fn add_assign(&mut self, other: Self) {
        self.0 += other.0;
    }
}

impl std::ops::SubAssign for Quantity {
    fn sub_assign(&mut self, other: Self) {
        self.0 -= other.0;
    }
}

impl std::iter::Sum for Quantity {
    /// Stock always fits ([`Quantity::MAX_PARTY`]); what others claim may not, over many items: that stays at the end
    /// of 64 bits.
    fn sum<I: Iterator<Item = Self>>(quantities: I) -> Self {
        quantities.fold(Self::ZERO, |sum, quantity| Self(sum.0.saturating_add(quantity.0)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const THREE: Precision = match Precision::new(3) {
        Some(precision) => precision,
        None => Precision::WHOLE,
    };

    #[test]
    fn exact_tenths_add_up() {
        let sum = Quantity::parse("0.1", THREE).unwrap() + Quantity::parse("0.2", THREE).unwrap();
        assert_eq!(sum, Quantity::parse("0.3", THREE).unwrap());
        assert_eq!(sum.micros(), 300_000);
        assert_eq!(sum.to_string(), "0.3");
    }

    #[test]
    fn json_has_decimals_by_their_text_and_binary_formats_the_count() {
        for micros in [0, 1, -1, 300_000, -1_500_000, 2_000_000, i64::MAX, -i64::MAX, i64::MAX / 4] {
            let quantity = Quantity::from_micros(micros);
            let json = serde_json::to_string(&quantity).unwrap();
            assert_eq!(json, quantity.to_string());
            assert_eq!(serde_json::from_str::<Quantity>(&json).unwrap(), quantity);
            let value: serde_json::Value = serde_json::from_str(&format!("\"{json}\"")).unwrap();
            assert_eq!(serde_json::from_value::<Quantity>(value).unwrap(), quantity);
            let bytes = postcard::to_allocvec(&quantity).unwrap();
            assert_eq!(bytes, postcard::to_allocvec(&micros).unwrap());
            assert_eq!(postcard::from_bytes::<Quantity>(&bytes).unwrap(), quantity);
        }
        for wrong in ["1e3", "0.0000001", "null", "[1]", "\"many\"", "10000000000000000000"] {
            assert!(serde_json::from_str::<Quantity>(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn columns_of_quantities_line_up() {
        let quantity = Quantity::parse("-0.250", THREE).unwrap();
        assert_eq!(
            format!("{quantity:>7}|{quantity:<7}|{:>4}|", Quantity::units(12)),
            "  -0.25|-0.25  |  12|"
        );
    }

    #[test]
    fn too_precise_is_refused_with_the_limit() {
        let error = Quantity::parse("0.0001", THREE).unwrap_err();
        assert!(error.to_string().contains("at most 3 decimals"), "{error}");
        assert_eq!(Quantity::parse("5.000000", Precision::WHOLE).unwrap(), Quantity::units(5));
    }

    #[test]
    fn only_decimal_numbers_are_read() {
        for text in ["", "-", ".", "1e3", "1,000", "abc", "0x10", "١", "1.2.3", "NaN", "--1"] {
            assert!(matches!(Quantity::parse(text, THREE), Err(QuantityError::NotANumber(_))), "{text}");
        }
        assert_eq!(Quantity::parse(" -0.5 ", THREE).unwrap().micros(), -500_000);
        assert_eq!(Quantity::parse(".5", THREE).unwrap().micros(), 500_000);
    }

    #[test]
    fn the_bound_is_exact() {
        assert_eq!(Quantity::parse("1000000000000", THREE).unwrap(), Quantity::MAX_INPUT);
        for text in ["1000000000000.001", "1000000000001", "99999999999999999999999", "9999999999999"] {
            assert!(matches!(Quantity::parse(text, THREE), Err(QuantityError::TooLarge(_))), "{text}");
        }
    }
}
