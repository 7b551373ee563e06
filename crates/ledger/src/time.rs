//! Instants, in microseconds since 1970-01-01T00:00:00Z.
//!
//! The ledger keeps no clock: every `now` is handed in.

use std::fmt;

use serde::{Deserialize, Serialize};

/// An instant: microseconds since the Unix epoch, UTC.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Default, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Instant(i64);

/// The text is no RFC 3339 instant.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("`{0}` is not an instant such as 2026-11-23T10:15:00Z")]
pub struct NotAnInstant(String);

impl Instant {
    /// Before everything.
    pub const MIN: Self = Self(i64::MIN);
    /// After everything.
    pub const MAX: Self = Self(i64::MAX);

    /// So many microseconds since the epoch.
    pub const fn from_micros(micros: i64) -> Self {
        Self(micros)
    }

    /// Microseconds since the epoch.
    pub const fn micros(self) -> i64 {
        self.0
    }

    /// This many microseconds later (or earlier, where negative).
    #[must_use]
    pub const fn plus_micros(self, micros: i64) -> Self {
        Self(self.0.saturating_add(micros))
    }

    /// This many seconds later (or earlier, where negative).
    #[must_use]
    pub const fn plus_seconds(self, seconds: i64) -> Self {
        self.plus_micros(seconds.saturating_mul(1_000_000))
    }

    /// Reads an RFC 3339 instant with its offset.
    pub fn parse(text: &str) -> Result<Self, NotAnInstant> {
        let timestamp: jiff::Timestamp =
            text.trim().parse().map_err(|_| NotAnInstant(text.chars().take(60).collect()))?;
        Ok(Self(timestamp.as_microsecond()))
    }
}

impl fmt::Display for Instant {
    /// RFC 3339 in UTC, with as many decimals of a second as needed.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match jiff::Timestamp::from_microsecond(self.0) {
            Ok(timestamp) => write!(f, "{timestamp}"),
            Err(_) => write!(f, "{} µs", self.0),
        }
    }
}

/// A day of the calendar, wherever it is read: days since 1970-01-01.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Default, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Date(i32);

/// The text is no ISO 8601 date.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("`{0}` is not a date such as 2026-12-01")]
pub struct NotADate(String);

impl Date {
    /// Before every other.
    pub const MIN: Self = Self(i32::MIN);
    /// After every other.
    pub const MAX: Self = Self(i32::MAX);

    /// Reads `2026-12-01`.
    pub fn parse(text: &str) -> Result<Self, NotADate> {
        let wrong = || NotADate(text.chars().take(60).collect());
        let date: jiff::civil::Date = text.trim().parse().map_err(|_| wrong())?;
        // A longer text is an instant, whose day depends on where one is.
        if date.to_string() != text.trim() {
            return Err(wrong());
        }
        let epoch = jiff::civil::date(1970, 1, 1);
        let days = date.since(epoch).map_err(|_| wrong())?.get_days();
        Ok(Self(days))
    }

    /// The day of an instant in UTC.
    pub const fn of(at: Instant) -> Self {
        let days = at.micros().div_euclid(86_400_000_000);
        #[expect(clippy::cast_possible_truncation, reason = "64 bits of microseconds are 107 million days")]
        Self(days as i32)
    }
}

impl fmt::Display for Date {
    /// ISO 8601: `2026-12-01`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let since = jiff::Span::new().try_days(self.0);
        match since.and_then(|days| jiff::civil::date(1970, 1, 1).checked_add(days)) {
            Ok(day) => write!(f, "{day}"),
            Err(_) => write!(f, "day {}", self.0),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_date_reads_back_and_an_instant_is_none() {
        for text in ["2026-12-01", "1969-12-31", "2028-02-29"] {
            assert_eq!(Date::parse(text).unwrap().to_string(), text);
        }
        for text in ["2026-12-01T10:00:00Z", "2026-13-01", "20261201", "soon", ""] {
            assert!(Date::parse(text).is_err(), "{text}");
        }
        assert_eq!(
            Date::of(Instant::parse("2026-11-30T23:59:59Z").unwrap()),
            Date::parse("2026-11-30").unwrap()
        );
        assert_eq!(Date::of(Instant::from_micros(-1)), Date::parse("1969-12-31").unwrap());
        assert!(!Date::MAX.to_string().is_empty() && !Date::MIN.to_string().is_empty());
    }
}
