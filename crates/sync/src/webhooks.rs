//! Webhooks that are sent: what an answer means, and when to try again. Pure.
//!
//! As Standard Webhooks has it
//! (<https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md>, "Deliverability and
//! reliability", "Delivery success and failure"): 2xx is success, 410 ends it, whatever else is a failure, 3xx too; what failed
//! is tried again for days, less and less often, with some jitter, and no sooner than `Retry-After` says.

use onhand_ledger::Instant;

use crate::alerts::pause_seconds;

/// How long after a failure the next attempt is made, in seconds, one after the other: the example of the specification. Ten
/// attempts in 75 hours.
pub const DELAYS: [u32; 9] = [5, 300, 1_800, 7_200, 18_000, 36_000, 50_400, 72_000, 86_400];

/// Whoever says how long to wait is believed up to this, in seconds.
const RETRY_AFTER_AT_MOST: i64 = 86_400;
/// An attempt comes later than it should by up to one in so many parts of its delay.
const JITTER: i64 = 10;
/// After so many failures in a row, of whatever was sent, one attempt at a time tries whether anybody is there.
pub const ALONE_AFTER: u32 = 5;

/// What an answer means.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Verdict {
    /// It was taken.
    Taken,
    /// Nobody there wants any: nothing is sent any more.
    Gone,
    /// It is tried again.
    Failed,
}

/// What an answer of this status means.
pub const fn verdict(status: u16) -> Verdict {
    match status {
        200..=299 => Verdict::Taken,
        410 => Verdict::Gone,
        _ => Verdict::Failed,
    }
}

/// When what has failed so many times (1 or more) is tried again; none: it was tried often enough. `random` spreads those that
/// wait.
pub fn next_attempt(
    delays: &[u32],
    failures: u32,
    retry_after: Option<u64>,
    now: Instant,
    random: u64,
) -> Option<Instant> {
    let index = usize::try_from(failures.checked_sub(1)?).ok()?;
    let delay = i64::from(*delays.get(index)?) * 1_000_000;
    let spread = delay / JITTER + 1;
    let jitter = i64::try_from(random % spread.unsigned_abs()).unwrap_or(0);
    let told = i64::try_from(retry_after.unwrap_or(0)).unwrap_or(RETRY_AFTER_AT_MOST);
    let told = told.min(RETRY_AFTER_AT_MOST) * 1_000_000;
    Some(now.plus_micros(delay.max(told) + jitter))
}

/// Until when nothing at all is sent there, after so many failures in a row, of which the last was this. Whoever is down, or
/// asks for rest, is not overrun by what waits.
pub fn rests_until(failures: u32, status: Option<u16>, retry_after: Option<u64>, now: Instant) -> Instant {
    let mut seconds = match failures.checked_sub(ALONE_AFTER) {
        Some(more) => i64::from(pause_seconds(more + 1)),
        None => 0,
    };
    // Too many requests, or overloaded.
    if matches!(status, Some(429 | 502..=504)) {
        let told = retry_after.map_or(1, |told| i64::try_from(told).unwrap_or(RETRY_AFTER_AT_MOST));
        seconds = seconds.max(told.min(RETRY_AFTER_AT_MOST));
    }
    now.plus_seconds(seconds)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::retry::next_random;

    const NOW: Instant = Instant::from_micros(0);

    #[test]
    fn what_an_answer_means() {
        for (status, expected) in [
            (199, Verdict::Failed),
            (200, Verdict::Taken),
            (204, Verdict::Taken),
            (299, Verdict::Taken),
            (301, Verdict::Failed),
            (302, Verdict::Failed),
            (404, Verdict::Failed),
            (410, Verdict::Gone),
            (429, Verdict::Failed),
            (500, Verdict::Failed),
        ] {
            assert_eq!(verdict(status), expected, "{status}");
        }
    }

    #[test]
    fn ten_attempts_in_more_than_three_days_each_a_little_later_than_it_should() {
        for seed in 1..500 {
            let (mut at, mut attempts) = (NOW, 1);
            while let Some(next) = next_attempt(&DELAYS, attempts, None, at, next_random(seed)) {
                let (least, waited) =
                    (i64::from(DELAYS[attempts as usize - 1]) * 1_000_000, next.micros() - at.micros());
                assert!((least..=least + least / 10).contains(&waited), "{attempts}: {waited}");
                (at, attempts) = (next, attempts + 1);
            }
            assert_eq!(attempts, 10);
            let hours = at.micros() / 3_600_000_000;
            assert!((75..=84).contains(&hours), "{hours}");
        }
        let drawn: std::collections::BTreeSet<_> =
            (1..500).map(|seed| next_attempt(&DELAYS, 5, None, NOW, next_random(seed))).collect();
        assert!(drawn.len() > 400, "not all at once");
    }

    #[test]
    fn an_attempt_comes_at_most_a_tenth_later_than_it_should() {
        let waited = |random| next_attempt(&DELAYS, 1, None, NOW, random).unwrap().micros();
        assert_eq!([0, 1, 500_000, 500_001].map(waited), [5_000_000, 5_000_001, 5_500_000, 5_000_000]);
    }

    #[test]
    fn who_says_how_long_to_wait_is_left_alone_so_long() {
        let next = |told| next_attempt(&DELAYS, 1, told, NOW, 0).unwrap();
        assert_eq!(next(None), NOW.plus_seconds(5));
        assert_eq!(next(Some(2)), NOW.plus_seconds(5), "never sooner than it would be");
        assert_eq!(next(Some(120)), NOW.plus_seconds(120));
        assert_eq!(next(Some(u64::MAX)), NOW.plus_seconds(86_400));
        assert_eq!(rests_until(1, Some(429), Some(120), NOW), NOW.plus_seconds(120));
        assert_eq!(rests_until(1, Some(503), None, NOW), NOW.plus_seconds(1));
    }

    #[test]
    fn who_is_down_is_tried_less_and_less_often() {
        let rest = |failures| rests_until(failures, Some(500), None, NOW).micros() / 1_000_000;
        assert_eq!([1, 4, 5, 6, 7, 13, 1_000].map(rest), [0, 0, 5, 10, 20, 900, 900]);
    }
}
