//! Instants, in microseconds since 1970-01-01T00:00:00Z.
//!
//! The ledger keeps no clock: every `now` is handed in.

use std::fmt;

use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// An instant: microseconds since the Unix epoch, UTC. In JSON as RFC 3339 writes it; in binary formats the count.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Default, Hash)]
pub struct Instant(i64);

/// How an instant that no calendar has is written.
const BEYOND: &str = " µs";

impl Serialize for Instant {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if serializer.is_human_readable() {
            serializer.collect_str(self)
        } else {
            serializer.serialize_i64(self.0)
        }
    }
}

impl<'de> Deserialize<'de> for Instant {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        if !deserializer.is_human_readable() {
            return i64::deserialize(deserializer).map(Self);
        }
        let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
        match text.strip_suffix(BEYOND).and_then(|micros| micros.parse().ok()) {
            Some(micros) => Ok(Self(micros)),
            None => Self::parse(&text).map_err(D::Error::custom),
        }
    }
}

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

    /// The day it is on, in UTC.
    pub fn day(self) -> jiff::civil::Date {
        // What is before or after all days of the calendar is on the first or last of them.
        let nearest = if self.0 < 0 { jiff::civil::Date::MIN } else { jiff::civil::Date::MAX };
        let at = jiff::Timestamp::from_microsecond(self.0);
        at.map_or(nearest, |at| at.to_zoned(jiff::tz::TimeZone::UTC).date())
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
            Err(_) => write!(f, "{}{BEYOND}", self.0),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_has_rfc_3339_and_binary_formats_the_count() {
        for micros in [0, 1, -1, 1_764_000_000_123_456, i64::MIN, i64::MAX] {
            let at = Instant::from_micros(micros);
            let json = serde_json::to_string(&at).unwrap();
            assert_eq!(serde_json::from_str::<Instant>(&json).unwrap(), at, "{json}");
            let bytes = postcard::to_allocvec(&at).unwrap();
            assert_eq!(bytes, postcard::to_allocvec(&micros).unwrap());
        }
        assert_eq!(
            serde_json::to_string(&Instant::from_micros(1_500_000)).unwrap(),
            "\"1970-01-01T00:00:01.5Z\""
        );
        assert!(
            serde_json::from_str::<Instant>("1500000").is_err(),
            "a count is no time that a person can check"
        );
    }

    #[test]
    fn an_instant_is_on_a_day() {
        let day = |text: &str| Instant::parse(text).unwrap().day().to_string();
        assert_eq!(day("2026-11-30T23:59:59Z"), "2026-11-30");
        assert_eq!(day("2026-12-01T00:30:00+01:00"), "2026-11-30");
        assert_eq!(
            (Instant::MIN.day(), Instant::MAX.day()),
            (jiff::civil::Date::MIN, jiff::civil::Date::MAX)
        );
    }
}
