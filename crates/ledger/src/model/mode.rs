//! How a system is kept equal: which way numbers go, when, what becomes of a change that was made over there, and how many
//! zeros may go out at once. Folded here as data; `sync` gives it its meaning.

use std::fmt;
use std::str::FromStr as _;

use croner::Cron;
use serde::{Deserialize, Serialize};

use crate::Instant;

/// A change waits no longer than this to go with others, in milliseconds.
pub const DEBOUNCE_AT_MOST: u32 = 3_600_000;

/// How a system is kept equal.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct Mode {
    /// Which way numbers go.
    pub direction: Direction,
    /// When they go.
    pub timing: Timing,
    /// What becomes of a number that somebody changed over there; it counts where numbers go both ways.
    pub policy: Policy,
    /// How many listings may fall to zero at once without a person.
    pub zeros: Zeros,
}

impl Mode {
    /// Is what somebody changes over there adopted?
    pub fn adopts(&self) -> bool {
        self.direction == Direction::TwoWay && self.policy == Policy::Adopt
    }
}

/// Which way numbers go. What a system *did* (orders, shipments) is heard of in all of them: that is no number.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Direction {
    /// Ours go there. One that was changed over there is set back, whatever the policy.
    OneWayOut,
    /// Theirs come here: an outside master. Nothing is sent.
    OneWayIn,
    /// Ours go there, and what was changed over there is treated by the policy.
    #[default]
    TwoWay,
}

impl Direction {
    /// Are numbers sent?
    pub const fn sends(self) -> bool {
        !matches!(self, Self::OneWayIn)
    }
}

/// When numbers go.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Timing {
    /// As soon as they change, and what else changes within so many milliseconds goes with it; up to
    /// [`DEBOUNCE_AT_MOST`]. The first change begins the wait and later ones do not prolong it. A fall to zero does not wait.
    NearRealTime {
        /// Milliseconds.
        debounce_ms: u32,
    },
    /// At the times of a schedule, and only then: a fall to zero waits, too.
    Batch(Schedule),
}

impl Default for Timing {
    fn default() -> Self {
        Self::NearRealTime { debounce_ms: 0 }
    }
}

/// When batches go, and what is in them.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Schedule {
    /// Minute, hour, day of the month, month, day of the week, as [cron](https://man7.org/linux/man-pages/man5/crontab.5.html)
    /// has them; up to 100 characters.
    pub cron: String,
    /// The IANA time zone that it is of. Where clocks go forward, a time that is skipped comes as soon as they have; where they
    /// go back, a time that comes twice is taken once (what repeats hour by hour goes on).
    pub time_zone: String,
    /// Every number goes, also those that are as they should be. Else the changed ones only.
    pub full: bool,
}

impl Schedule {
    /// What of it is wrong: the field, and why.
    pub fn check(&self) -> Result<(), (&'static str, String)> {
        let shown: String = self.cron.chars().take(100).collect();
        let fields = self.cron.split_whitespace().count();
        let problem = match Cron::from_str(&self.cron) {
            _ if fields != 5 || self.cron.len() > 100 => {
                "it has five fields: minute, hour, day, month, weekday".to_owned()
            }
            Err(error) => error.to_string(),
            Ok(_) => String::new(),
        };
        if !problem.is_empty() {
            return Err(("cron", format!("`{shown}` is no schedule such as `0 6 * * *`: {problem}")));
        }
        if zone(&self.time_zone).is_none() {
            return Err((
                "time_zone",
                format!("`{}` is no IANA time zone such as Europe/Berlin", self.time_zone),
            ));
        }
        if self.next_after(Instant::from_micros(0)).is_none() {
            return Err((
                "cron",
                format!("`{shown}` never comes; a day that is in its month would be right"),
            ));
        }
        Ok(())
    }

    /// The first time of the schedule after an instant; none where there is none within what a calendar has.
    pub fn next_after(&self, at: Instant) -> Option<Instant> {
        let cron = Cron::from_str(&self.cron).ok()?;
        let at = jiff::Timestamp::from_microsecond(at.micros()).ok()?.to_zoned(zone(&self.time_zone)?);
        let next = cron.find_next_occurrence(&at, false).ok()?;
        Some(Instant::from_micros(next.timestamp().as_microsecond()))
    }
}

/// By the database that is built in: the same on every machine.
fn zone(name: &str) -> Option<jiff::tz::TimeZone> {
    jiff::tz::TimeZoneDatabase::bundled().get(name).ok()
}

/// What becomes of a number that somebody changed over there, where no sale, return or push of ours explains it.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Policy {
    /// It is set to what it should be.
    #[default]
    MasterWins,
    /// It becomes an adjustment by that system at our location behind it, where Onhand is master and the number says how much
    /// that is; else a person is asked.
    Adopt,
    /// A person is asked; nothing is sent for that listing until then.
    Ask,
}

/// How many listings may fall to zero at once, by what is no order, before a person is asked: more than the number *and* more than
/// the share; or four and more than half of them, unless the share is 100.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Zeros {
    /// So many listings.
    pub number: u32,
    /// Percent of the system's listings: 0 to 100; at 100 nothing is ever held.
    pub share: u8,
}

impl Default for Zeros {
    fn default() -> Self {
        Self { number: 20, share: 10 }
    }
}

/// In the trade's words: `two-way, near real-time`.
impl fmt::Display for Mode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.direction {
            Direction::OneWayOut => f.write_str("one-way out")?,
            Direction::OneWayIn => f.write_str("one-way in")?,
            Direction::TwoWay => f.write_str("two-way")?,
        }
        if self.direction == Direction::TwoWay {
            f.write_str(match self.policy {
                Policy::MasterWins => " (master wins)",
                Policy::Adopt => " (adopt)",
                Policy::Ask => " (ask)",
            })?;
        }
        match &self.timing {
            // Nothing goes out, so nothing has its time.
            _ if !self.direction.sends() => Ok(()),
            Timing::NearRealTime { debounce_ms: 0 } => f.write_str(", near real-time"),
            Timing::NearRealTime { debounce_ms } => {
                write!(f, ", near real-time (debounced by {debounce_ms} ms)")
            }
            Timing::Batch(Schedule { cron, time_zone, full }) => {
                let what = if *full { "full" } else { "changes only" };
                write!(f, ", batch ({cron} {time_zone}, {what})")
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn schedule(cron: &str, time_zone: &str) -> Schedule {
        Schedule { cron: cron.to_owned(), time_zone: time_zone.to_owned(), full: false }
    }

    fn next(cron: &str, time_zone: &str, after: &str) -> String {
        let after = Instant::parse(after).unwrap();
        schedule(cron, time_zone).next_after(after).map(|at| at.to_string()).unwrap_or_default()
    }

    #[test]
    fn a_schedule_comes_at_the_times_of_its_zone() {
        let six = |after| next("0 6 * * *", "Europe/Berlin", after);
        assert_eq!(six("2026-11-23T04:59:59Z"), "2026-11-23T05:00:00Z");
        assert_eq!(six("2026-11-23T05:00:00Z"), "2026-11-24T05:00:00Z");
        assert_eq!(six("2026-07-01T00:00:00Z"), "2026-07-01T04:00:00Z", "in summer");
        assert_eq!(next("*/15 9-17 * * MON-FRI", "UTC", "2026-11-27T17:45:00Z"), "2026-11-30T09:00:00Z");
    }

    #[test]
    fn an_hour_that_is_skipped_or_comes_twice_is_one_batch() {
        // Clocks in Berlin: 02:00 to 03:00 on 2026-03-29, and 03:00 back to 02:00 on 2026-10-25.
        let half_past_two = |after| next("30 2 * * *", "Europe/Berlin", after);
        assert_eq!(half_past_two("2026-03-28T12:00:00Z"), "2026-03-29T01:00:00Z");
        assert_eq!(half_past_two("2026-03-29T01:00:00Z"), "2026-03-30T00:30:00Z");
        let first = half_past_two("2026-10-24T12:00:00Z");
        assert_eq!(first, "2026-10-25T00:30:00Z");
        assert_eq!(half_past_two(&first), "2026-10-26T01:30:00Z");
    }

    #[test]
    fn what_is_no_schedule_is_said() {
        let wrong = |cron, zone| schedule(cron, zone).check().unwrap_err();
        assert_eq!(schedule("0 6 * * *", "Europe/Berlin").check(), Ok(()));
        for cron in ["", "6", "0 6 * *", "0 0 6 * * *", "61 6 * * *", "0 6 * * FOO", "@daily"] {
            assert_eq!(wrong(cron, "UTC").0, "cron", "{cron}");
        }
        assert_eq!(wrong("0 6 31 2 *", "UTC").0, "cron");
        assert_eq!(wrong("0 6 * * *", "Berlin").0, "time_zone");
    }

    #[test]
    fn a_mode_is_called_as_the_trade_calls_it() {
        let mut mode = Mode::default();
        assert_eq!(mode.to_string(), "two-way (master wins), near real-time");
        mode.direction = Direction::OneWayOut;
        mode.timing = Timing::Batch(schedule("0 6 * * *", "Europe/Berlin"));
        assert_eq!(mode.to_string(), "one-way out, batch (0 6 * * * Europe/Berlin, changes only)");
        mode.direction = Direction::OneWayIn;
        assert_eq!(mode.to_string(), "one-way in");
    }
}
