//! How long it usually takes: from a change to the system's acknowledgement, from an order over there to our hearing of it.

use serde::{Deserialize, Serialize};

/// So many of the last measurements are kept: enough for a median that a single slow answer does not move.
const KEPT: usize = 64;
/// Of fewer than these nothing is said to be usual.
const ENOUGH: usize = 3;

/// The last measurements of a lag, in whole milliseconds. What is kept of it decides no quantity.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct Lag {
    /// The oldest first.
    last: Vec<u32>,
}

impl Lag {
    /// Adds a measurement, in milliseconds; less than none (clocks differ) is none.
    pub fn record(&mut self, millis: i64) {
        if self.last.len() >= KEPT {
            self.last.drain(..=self.last.len() - KEPT);
        }
        self.last.push(u32::try_from(millis.max(0)).unwrap_or(u32::MAX));
    }

    /// The median of the last, in milliseconds; none where too few are known for a figure.
    pub fn usual(&self) -> Option<u32> {
        self.at(1, 2)
    }

    /// What one in twenty of the last reached or exceeded, in milliseconds; none where too few are known for a figure.
    pub fn slow(&self) -> Option<u32> {
        self.at(19, 20)
    }

    fn at(&self, numerator: usize, denominator: usize) -> Option<u32> {
        if self.last.len() < ENOUGH {
            return None;
        }
        let mut sorted = self.last.clone();
        sorted.sort_unstable();
        let rank = (sorted.len() * numerator).div_ceil(denominator);
        sorted.get(rank.saturating_sub(1)).copied()
    }
}

/// A stretch of time as people say it: `0.8 s`, `3 s`, `40 s`, `4 minutes`, `2 hours`.
pub fn in_words(millis: i64) -> String {
    let millis = millis.max(0);
    let some = |number: i64, unit: &str| format!("{number} {unit}{}", if number == 1 { "" } else { "s" });
    match millis {
        0..10_000 if millis % 1_000 >= 100 => format!("{}.{} s", millis / 1_000, millis % 1_000 / 100),
        0..120_000 => format!("{} s", millis / 1_000),
        120_000..7_200_000 => some(millis / 60_000, "minute"),
        7_200_000..172_800_000 => some(millis / 3_600_000, "hour"),
        _ => some(millis / 86_400_000, "day"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_usual_is_of_the_last_and_of_enough() {
        let mut lag = Lag::default();
        lag.record(900);
        lag.record(100);
        assert_eq!((lag.usual(), lag.slow()), (None, None));
        lag.record(-5);
        assert_eq!((lag.usual(), lag.slow()), (Some(100), Some(900)));
        for _ in 0..64 {
            lag.record(3_000);
        }
        assert_eq!((lag.usual(), lag.last.len()), (Some(3_000), KEPT));
        for _ in 0..4 {
            lag.record(60_000);
        }
        assert_eq!((lag.usual(), lag.slow()), (Some(3_000), Some(60_000)));
    }

    #[test]
    fn words() {
        let said = [0, 850, 3_000, 3_100, 40_000, 240_000, 7_200_000, 172_800_000, -1].map(in_words);
        assert_eq!(said, ["0 s", "0.8 s", "3 s", "3.1 s", "40 s", "4 minutes", "2 hours", "2 days", "0 s"]);
    }
}
