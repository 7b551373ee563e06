//! Is what a system shows as it should be? The three-way merge of (acknowledged, observed, done over there since).
//!
//! Clocks are not compared more than must be: what we heard of before a reading began is in the number that was
//! read. What we heard of only afterwards may be in it or not, and where no time decides, each way is tried.

use onhand_ledger::{Instant, Quantity};
use serde::{Deserialize, Serialize};

/// What was read back of a listing.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Observation {
    /// The number it shows.
    pub quantity: Quantity,
    /// When the reading began, by our clock.
    pub at: Instant,
}

/// What a system did to its own number: a sale is negative.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize, Deserialize)]
pub struct OwnChange {
    /// When, by that system's clock, put right as far as it is known to be wrong.
    pub at: Instant,
    /// When we heard of it, by ours.
    pub heard_at: Instant,
    /// By how much.
    pub quantity: Quantity,
}

/// What we know of a listing when a reading is judged.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Known<'a> {
    /// What the system last acknowledged, or was read back and taken over; none before the first.
    pub acknowledged: Option<Quantity>,
    /// When that was.
    pub acknowledged_at: Option<Instant>,
    /// All that we heard the system did to its number since, in the order of its own clock.
    pub changes: &'a [OwnChange],
    /// May the first of `changes` have happened before what was acknowledged, which then overwrote them?
    pub may_be_overwritten: bool,
    /// All that the system did up to this instant has been heard of; by our clock.
    pub known_to: Instant,
    /// What was sent and never answered; none where every push was.
    pub unanswered: Option<Quantity>,
    /// What was sent before, never answered, and seen not to have arrived, and when that was: each may arrive late.
    pub lost: &'a [(Quantity, Instant)],
}

/// What follows from a reading.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Verdict {
    /// It shows what it must, by what was acknowledged and done over there since. The last so many changes are
    /// not in the number yet.
    Explained {
        /// How many.
        later: usize,
    },
    /// What was done over there up to the reading is not known yet: no verdict.
    Wait,
    /// A push whose answer was lost has arrived: it shows that.
    Arrived {
        /// So many of the last changes are not in the number yet.
        later: usize,
    },
    /// A push that was taken for lost has arrived after all, and overwritten what came since.
    ArrivedLate {
        /// So many of the last changes are not in the number yet.
        later: usize,
        /// What was sent.
        quantity: Quantity,
    },
    /// A push whose answer was lost has not arrived: send again.
    Lost {
        /// So many of the last changes are not in the number yet.
        later: usize,
    },
    /// Nothing was acknowledged before: this is the first we see of it.
    First,
    /// Nothing explains so much of it: somebody changed it over there.
    Drift(Quantity),
}

/// So much the time of a change may be wrong still, in microseconds: what a system's clock is known to be wrong by is known
/// only as well as its fastest order was heard of.
const CLOCKS_DIFFER: i64 = 5_000_000;

/// So many changes at either end are tried as what may be in a number, or not.
const TRIED: usize = 64;

/// Judges a reading. First the number is read, then that system's own doings up to that time must be known.
pub fn judge(observation: Observation, known: &Known<'_>) -> Verdict {
    let Some(acknowledged) = known.acknowledged else {
        return if known.unanswered == Some(observation.quantity) {
            Verdict::Arrived { later: known.changes.len() }
        } else {
            Verdict::First
        };
    };
    if known.known_to < observation.at {
        return Verdict::Wait;
    }
    if let Some(sent) = known.unanswered
        && let Some(later) = explained(observation, sent, known, true)
    {
        return Verdict::Arrived { later };
    }
    if let Some(later) = explained(observation, acknowledged, known, known.may_be_overwritten) {
        return if known.unanswered.is_some() {
            Verdict::Lost { later }
        } else {
            Verdict::Explained { later }
        };
    }
    // The one that was sent last first: of two that explain it that is the likelier.
    for (lost, _) in known.lost.iter().rev() {
        if let Some(later) = explained(observation, *lost, known, true) {
            return Verdict::ArrivedLate { later, quantity: *lost };
        }
    }
    // What was told late may have been in the number that was read before, or been overwritten by what was sent before that.
    if let Some(later) = told_late(observation, acknowledged, known) {
        return if known.unanswered.is_some() {
            Verdict::Lost { later }
        } else {
            Verdict::Explained { later }
        };
    }
    let expected = acknowledged + sum(&known.changes[overwritten(known)..]);
    Verdict::Drift(observation.quantity - expected)
}

/// May a drift be a part of a change that we heard of as one, though it was several over there, and that a write of ours
/// has overwritten in between?
pub fn may_be_a_part(drift: Quantity, known: &Known<'_>) -> bool {
    let Some(acknowledged_at) = known.acknowledged_at else { return false };
    let late = acknowledged_at.plus_micros(CLOCKS_DIFFER);
    known.changes.iter().filter(|change| change.at <= late).any(|change| {
        let (drift, change) = (drift.micros(), change.quantity.micros());
        drift.signum() == -change.signum() && drift.abs() < change.abs()
    })
}

/// What it shows now, as far as is known: what was acknowledged, and what was done over there since.
pub fn shows(known: &Known<'_>) -> Option<Quantity> {
    known.acknowledged.map(|acknowledged| acknowledged + sum(&known.changes[overwritten(known)..]))
}

fn sum(changes: &[OwnChange]) -> Quantity {
    changes.iter().map(|change| change.quantity).sum()
}

/// How many of the first changes the last write has overwritten, by the clocks.
fn overwritten(known: &Known<'_>) -> usize {
    match known.acknowledged_at {
        Some(at) if known.may_be_overwritten => known.changes.partition_point(|change| change.at <= at),
        _ => 0,
    }
}

/// Does a number follow from what was acknowledged, if what happened before that, and was told later, was in it?
fn told_late(observation: Observation, acknowledged: Quantity, known: &Known<'_>) -> Option<usize> {
    let last = known.acknowledged_at?.plus_micros(CLOCKS_DIFFER);
    let late = known.changes.partition_point(|change| change.at <= last);
    explained_from(observation, acknowledged, known, late)
}

/// Does a number follow from one before it? Then how many of the last changes are not in it.
fn explained(
    observation: Observation,
    before: Quantity,
    known: &Known<'_>,
    may_be_overwritten: bool,
) -> Option<usize> {
    let first = if may_be_overwritten { known.changes.len() } else { 0 };
    explained_from(observation, before, known, first)
}

/// Where so many of the first changes may be in the number before.
fn explained_from(
    observation: Observation,
    before: Quantity,
    known: &Known<'_>,
    in_it: usize,
) -> Option<usize> {
    let changes = known.changes;
    // Heard of before the reading began: in the number.
    let settled =
        changes.iter().rposition(|change| change.heard_at < observation.at).map_or(0, |last| last + 1);
    let by_clock = changes.partition_point(|change| change.at <= observation.at).max(settled);
    let ends = [by_clock].into_iter().chain((settled..=changes.len()).rev().take(TRIED));
    let last_start = in_it.min(TRIED);
    for end in ends {
        let starts = [overwritten(known)].into_iter().chain(0..=last_start);
        for start in starts.filter(|start| *start <= end) {
            if before + sum(&changes[start..end]) == observation.quantity {
                return Some(changes.len() - end);
            }
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: i64) -> Instant {
        Instant::from_micros(1_000_000_000).plus_seconds(seconds)
    }

    fn change(units: i64, happened: i64, heard: i64) -> OwnChange {
        OwnChange { at: at(happened), heard_at: at(heard), quantity: Quantity::units(units) }
    }

    fn known(acknowledged: i64, changes: &[OwnChange], known_to: i64) -> Known<'_> {
        Known {
            acknowledged: Some(Quantity::units(acknowledged)),
            acknowledged_at: Some(at(0)),
            changes,
            may_be_overwritten: false,
            known_to: at(known_to),
            unanswered: None,
            lost: &[],
        }
    }

    fn read(quantity: i64, seconds: i64) -> Observation {
        Observation { quantity: Quantity::units(quantity), at: at(seconds) }
    }

    const EXPLAINED: Verdict = Verdict::Explained { later: 0 };

    #[test]
    fn sold_since_is_not_drift() {
        assert_eq!(judge(read(99, 120), &known(100, &[change(-1, 60, 61)], 180)), EXPLAINED);
    }

    #[test]
    fn not_known_yet_is_not_drift() {
        assert_eq!(judge(read(99, 120), &known(100, &[], 0)), Verdict::Wait);
        assert_eq!(judge(read(99, 120), &known(100, &[], 180)), Verdict::Drift(Quantity::units(-1)));
    }

    #[test]
    fn what_was_heard_before_the_reading_is_in_it_and_what_came_after_may_be() {
        let after = [change(-5, 90, 121)];
        assert_eq!(judge(read(95, 120), &known(100, &after, 180)), EXPLAINED);
        assert_eq!(judge(read(100, 120), &known(100, &after, 180)), Verdict::Explained { later: 1 });
        let before = [change(-5, 90, 119)];
        assert_eq!(judge(read(100, 120), &known(100, &before, 180)), Verdict::Drift(Quantity::units(5)));
    }

    #[test]
    fn a_sale_that_our_write_has_overwritten_is_not_in_the_number() {
        let sale = [change(-2, -1, 1)];
        let overwriting = Known { may_be_overwritten: true, ..known(50, &sale, 180) };
        assert_eq!(
            (judge(read(50, 120), &overwriting), shows(&overwriting)),
            (EXPLAINED, Some(Quantity::units(50)))
        );
        // Its clock may be wrong by a little: the other way round is no drift either.
        assert_eq!(judge(read(48, 120), &overwriting), EXPLAINED);
    }

    #[test]
    fn an_order_that_was_told_late_may_be_in_the_number_already() {
        let sale = [change(-2, -1, 60)];
        assert_eq!(judge(read(50, 120), &known(50, &sale, 180)), EXPLAINED);
        assert_eq!(judge(read(48, 120), &known(50, &sale, 180)), EXPLAINED);
        assert_eq!(judge(read(49, 120), &known(50, &sale, 180)), Verdict::Drift(Quantity::units(1)));
    }

    #[test]
    fn two_returns_told_as_one_may_lie_on_either_side_of_a_write() {
        let returned = [change(2, -1, 60)];
        let drift = Quantity::units(-1);
        assert_eq!(judge(read(51, 120), &known(50, &returned, 180)), Verdict::Drift(drift));
        assert!(may_be_a_part(drift, &known(50, &returned, 180)));
        assert!(!may_be_a_part(Quantity::units(1), &known(50, &returned, 180)));
        assert!(!may_be_a_part(Quantity::units(-3), &known(50, &returned, 180)));
        assert!(!may_be_a_part(drift, &known(50, &[change(2, 90, 100)], 180)), "long after the write");
    }

    #[test]
    fn the_answer_was_lost() {
        let unanswered = Known { unanswered: Some(Quantity::units(96)), ..known(101, &[], 180) };
        assert_eq!(judge(read(96, 120), &unanswered), Verdict::Arrived { later: 0 });
        assert_eq!(judge(read(101, 120), &unanswered), Verdict::Lost { later: 0 });
        assert_eq!(judge(read(90, 120), &unanswered), Verdict::Drift(Quantity::units(-11)));
        let sent = [(Quantity::units(96), at(-50)), (Quantity::units(97), at(-40))];
        let late = Known { lost: &sent, ..known(101, &[], 180) };
        for units in [96, 97] {
            let quantity = Quantity::units(units);
            assert_eq!(judge(read(units, 120), &late), Verdict::ArrivedLate { later: 0, quantity });
        }
        assert_eq!(judge(read(98, 120), &late), Verdict::Drift(Quantity::units(-3)));
    }

    #[test]
    fn the_first_reading_is_no_drift() {
        let fresh = Known { acknowledged: None, ..known(0, &[], 0) };
        assert_eq!(judge(read(42, 1), &fresh), Verdict::First);
    }
}
