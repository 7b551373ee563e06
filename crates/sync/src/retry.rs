//! How long to leave a system alone after a failure, and how fast it may be called.

use onhand_ledger::Instant;

/// After so many failures in a row a system's circuit is open: one light call at a time tries it, and nothing is sent until
/// one of them succeeds.
pub const OPEN_AFTER: u32 = 5;

/// The first rest, in milliseconds; each further one is twice as long.
const FIRST_MS: i64 = 125;
/// The longest rest while the circuit is closed, and while it is open.
const LONGEST_MS: (i64, i64) = (16_000, 60_000);
/// Whoever says how long to wait is believed up to this, in seconds.
const RETRY_AFTER_AT_MOST: i64 = 300;
/// And left alone a little longer, so that not everybody comes at the same instant, up to so many milliseconds.
const RETRY_AFTER_SPREAD: u64 = 500;

/// What a call failed with, as far as it decides when to try again.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Failure {
    /// It cannot be reached, or says nothing sensible.
    Trouble,
    /// It asks us to wait so many seconds, where it says how many.
    Throttled(Option<u64>),
    /// Our credentials are refused: a person must act, and too many attempts may lock the account.
    Credentials,
}

/// How long to rest after the n-th failure in a row (n from 1), in milliseconds. `random` spreads those who wait: the second half of
/// the rest is drawn from it ("equal jitter", <https://aws.amazon.com/blogs/architecture/exponential-backoff-and-jitter/>).
pub fn rest_ms(failure: Failure, failures: u32, random: u64) -> i64 {
    let longest = if failures >= OPEN_AFTER { LONGEST_MS.1 } else { LONGEST_MS.0 };
    let doubled = (FIRST_MS << failures.clamp(1, 16)).min(longest);
    let spread = |whole: i64| {
        let half = whole / 2;
        whole - half + below(random, half.unsigned_abs() + 1)
    };
    match failure {
        Failure::Throttled(Some(seconds)) => {
            let seconds = i64::try_from(seconds).unwrap_or(RETRY_AFTER_AT_MOST);
            seconds.clamp(1, RETRY_AFTER_AT_MOST) * 1_000 + below(random, RETRY_AFTER_SPREAD)
        }
        Failure::Credentials => spread((FIRST_MS * 80) << failures.clamp(1, 5)).min(300_000),
        Failure::Throttled(None) | Failure::Trouble => spread(doubled),
    }
}

/// A number below `end`, which is small.
fn below(random: u64, end: u64) -> i64 {
    i64::try_from(random % end.max(1)).unwrap_or(0)
}

/// The next of a row of numbers that look random (xorshift, <https://doi.org/10.18637/jss.v008.i14>). The same seed gives the same row.
pub fn next_random(seed: u64) -> u64 {
    let mut x = seed.max(1);
    x ^= x << 13;
    x ^= x >> 7;
    x ^= x << 17;
    x
}

/// What a system says of its own limit, in units of its own: so much is left of it, so much comes back each second, and so much one
/// call costs.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Allowance {
    /// Left, when it was told.
    pub remaining: u32,
    /// Comes back each second.
    pub refill_per_second: u32,
    /// What the next call costs.
    pub cost: u32,
}

/// From when on a system that says what its limit is may be called: once what one call costs is there again.
pub fn may_call_at(allowance: Allowance, told_at: Instant) -> Instant {
    let lacking = i64::from(allowance.cost.saturating_sub(allowance.remaining));
    match i64::from(allowance.refill_per_second) {
        0 => told_at.plus_seconds(i64::from(lacking > 0)),
        refill => told_at.plus_micros((lacking * 1_000_000 + refill - 1) / refill),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rests_grow_and_spread_and_end() {
        let rests = |random: fn(u32) -> u64| -> Vec<i64> {
            (1..=12).map(|failures| rest_ms(Failure::Trouble, failures, random(failures))).collect()
        };
        let shortest = rests(|_| 0);
        assert_eq!(shortest[..5], [125, 250, 500, 1_000, 2_000]);
        assert_eq!(shortest[11], 30_000);
        for seed in 1..1_000 {
            for failures in 1..12 {
                let rest = rest_ms(Failure::Trouble, failures, next_random(seed));
                let least = rest_ms(Failure::Trouble, failures, 0);
                assert!((least..=2 * least).contains(&rest), "{failures}: {rest}");
            }
        }
        let drawn: std::collections::BTreeSet<i64> =
            (1..1_000).map(|seed| rest_ms(Failure::Trouble, 12, next_random(seed))).collect();
        assert!(drawn.len() > 500, "not all at once");
        // From half of it to all of it, both included.
        let drawn = [0, 1, 125, 126].map(|random| rest_ms(Failure::Trouble, 1, random));
        assert_eq!(drawn, [125, 126, 250, 125]);
    }

    #[test]
    fn the_same_seed_gives_the_same_row() {
        let row: Vec<u64> = std::iter::successors(Some(1), |last| Some(next_random(*last))).take(4).collect();
        assert_eq!(row, [1, 1_082_269_761, 1_152_992_998_833_853_505, 11_177_516_664_432_764_457]);
        assert_eq!(next_random(0), row[1], "0 would stay so for ever");
    }

    #[test]
    fn who_says_how_long_to_wait_is_left_alone_so_long() {
        for seed in 1..1_000 {
            let rest = rest_ms(Failure::Throttled(Some(7)), 1, next_random(seed));
            assert!((7_000..7_500).contains(&rest), "{rest}");
        }
        assert_eq!(rest_ms(Failure::Throttled(Some(99_999)), 1, 0), 300_000);
        assert!(rest_ms(Failure::Credentials, 1, 0) >= 10_000);
    }

    #[test]
    fn a_call_waits_until_what_it_costs_is_there() {
        let at = Instant::from_micros(0);
        let told = |remaining, cost| Allowance { remaining, refill_per_second: 50, cost };
        assert_eq!(may_call_at(told(100, 30), at), at);
        assert_eq!(may_call_at(told(5, 30), at), at.plus_micros(500_000));
        for (remaining, wait) in [(5, 1), (29, 1), (30, 0)] {
            let empties = Allowance { refill_per_second: 0, ..told(remaining, 30) };
            assert_eq!(may_call_at(empties, at), at.plus_seconds(wait), "{remaining} left");
        }
    }
}
