//! The guard of what goes out: a wave of zeros waits for a person, unless it follows from orders or from time.

use onhand_ledger::model::Zeros;

/// What a fall to zero follows from.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Fall {
    /// Orders, holds, what was shipped, or time: it is never held.
    Prompt,
    /// A count, a snapshot, an adjustment, a rule, a mapping, an import: held where there are many.
    Guarded,
}

/// What a fall to zero follows from. `fell_now`: it is by what has just been committed that it should show 0, and whether orders
/// or time were in that. `nothing_free`: nothing is left of it that a rule could hide, and whether it was an order or time that took the
/// last. `known`: as it was seen before.
pub fn fall(fell_now: Option<bool>, nothing_free: Option<bool>, known: Option<Fall>) -> Fall {
    if fell_now == Some(true) || nothing_free == Some(true) {
        return Fall::Prompt;
    }
    known.filter(|_| fell_now.is_none()).unwrap_or(Fall::Guarded)
}

/// From so many on, more than half of all listings are a wave of themselves.
const HALF_FROM: u128 = 4;

/// Are so many guarded zeros of so many listings a wave: those that fall at once, and those that have fallen lately? Of a small system
/// most of it may be less than the number.
pub fn is_wave(at_once: usize, lately: usize, listings: usize, most: Zeros) -> bool {
    let (at_once, zeros, listings) = (at_once as u128, (at_once + lately) as u128, listings as u128);
    let is_most_of_it = at_once >= HALF_FROM && at_once * 2 > listings;
    let is_many = zeros > u128::from(most.number) && zeros * 100 > u128::from(most.share) * listings;
    (is_many || is_most_of_it) && most.share < 100
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wave_is_many_and_a_large_share() {
        let most = Zeros { number: 20, share: 10 };
        assert!(is_wave(300, 0, 1_000, most));
        assert!(!is_wave(100, 0, 1_000, most), "the share itself is not more than it");
        assert!(is_wave(101, 0, 1_000, most));
        assert!(!is_wave(20, 0, 40, most), "few");
        assert!(is_wave(21, 0, 40, most));
        assert!(is_wave(4, 0, 7, most), "most of a small one");
        assert!(!is_wave(4, 0, 8, most), "half of it is not most of it");
        assert!(!is_wave(3, 0, 3, most), "a few may be all that there is");
        assert!(!is_wave(3, 9, 14, most), "one after the other they are no wave of a small one");
        assert!(is_wave(1, 20, 40, most), "but many are one");
        assert!(is_wave(300, 0, 500, Zeros { number: 1_000, share: 10 }), "most of it, whatever the number");
        assert!(!is_wave(1_000, 0, 1_000, Zeros { number: 0, share: 100 }), "never");
        assert!(!is_wave(3, 0, 2, Zeros { number: 0, share: 100 }), "nor where one fell twice");
        assert!(is_wave(1, 0, 1_000, Zeros { number: 0, share: 0 }), "always");
    }

    #[test]
    fn what_the_last_unit_went_to_decides() {
        assert_eq!(
            fall(Some(true), None, None),
            Fall::Prompt,
            "an order has just taken the last that was shown"
        );
        assert_eq!(fall(Some(false), Some(false), None), Fall::Guarded, "a count has");
        assert_eq!(
            fall(Some(false), None, Some(Fall::Prompt)),
            Fall::Guarded,
            "a rule, of something that was sold out once"
        );
        assert_eq!(fall(None, None, Some(Fall::Prompt)), Fall::Prompt, "it stays what it was");
        assert_eq!(fall(None, Some(true), Some(Fall::Guarded)), Fall::Prompt, "held, and sold out meanwhile");
        assert_eq!(fall(None, None, None), Fall::Guarded, "nobody knows");
    }
}
