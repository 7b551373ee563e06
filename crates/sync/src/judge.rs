//! Is what a system shows as it should be? The three-way merge of (acknowledged, observed, done over there since).

use onhand_ledger::{Instant, Quantity};

/// What was read back of a listing.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Observation {
    /// The number it shows.
    pub quantity: Quantity,
    /// When it was read, by our clock.
    pub at: Instant,
}

/// What we know of a listing when a reading is judged.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Known {
    /// What the system last acknowledged, or was read back and taken over; none before the first.
    pub acknowledged: Option<Quantity>,
    /// How its number changed by its own doing since then (sales are negative), as far as we know.
    pub own_changes: Quantity,
    /// All that the system did up to this instant is in `own_changes`; by our clock.
    pub known_to: Instant,
    /// What was sent and never answered; none where every push was.
    pub unanswered: Option<Quantity>,
}

/// What follows from a reading.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Verdict {
    /// It shows what it must, by what was acknowledged and done over there since.
    Explained,
    /// What was done over there up to the reading is not known yet: no verdict.
    Wait,
    /// A push whose answer was lost has arrived: it shows that.
    Arrived,
    /// A push whose answer was lost has not arrived: send again.
    Lost,
    /// Nothing was acknowledged before: this is the first we see of it.
    First,
    /// Nothing explains so much of it: somebody changed it over there.
    Drift(Quantity),
}

/// Judges a reading. First the number is read, then that system's own doings up to that time must be known.
pub fn judge(observation: Observation, known: &Known) -> Verdict {
    let Some(acknowledged) = known.acknowledged else {
        return if known.unanswered == Some(observation.quantity) {
            Verdict::Arrived
        } else {
            Verdict::First
        };
    };
    if known.known_to < observation.at {
        return Verdict::Wait;
    }
    let expected = acknowledged + known.own_changes;
    if let Some(sent) = known.unanswered {
        return match observation.quantity {
            shown if shown == sent + known.own_changes || shown == sent => Verdict::Arrived,
            shown if shown == expected => Verdict::Lost,
            shown => Verdict::Drift(shown - expected),
        };
    }
    let unexplained = observation.quantity - expected;
    if unexplained.is_zero() { Verdict::Explained } else { Verdict::Drift(unexplained) }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEN: i64 = 1_000_000_000;

    fn at(seconds: i64) -> Instant {
        Instant::from_micros(TEN).plus_seconds(seconds)
    }

    fn known(acknowledged: i64, own_changes: i64, known_to: i64) -> Known {
        Known {
            acknowledged: Some(Quantity::units(acknowledged)),
            own_changes: Quantity::units(own_changes),
            known_to: at(known_to),
            unanswered: None,
        }
    }

    fn read(quantity: i64, seconds: i64) -> Observation {
        Observation { quantity: Quantity::units(quantity), at: at(seconds) }
    }

    #[test]
    fn sold_since_is_not_drift() {
        assert_eq!(judge(read(99, 120), &known(100, -1, 180)), Verdict::Explained);
    }

    #[test]
    fn not_known_yet_is_not_drift() {
        assert_eq!(judge(read(99, 120), &known(100, 0, 0)), Verdict::Wait);
        assert_eq!(judge(read(99, 120), &known(100, 0, 180)), Verdict::Drift(Quantity::units(-1)));
    }

    #[test]
    fn the_answer_was_lost() {
        let unanswered = Known { unanswered: Some(Quantity::units(96)), ..known(101, 0, 180) };
        assert_eq!(judge(read(96, 120), &unanswered), Verdict::Arrived);
        assert_eq!(judge(read(101, 120), &unanswered), Verdict::Lost);
        assert_eq!(judge(read(90, 120), &unanswered), Verdict::Drift(Quantity::units(-11)));
    }

    #[test]
    fn the_first_reading_is_no_drift() {
        let fresh = Known { acknowledged: None, ..known(0, 0, 0) };
        assert_eq!(judge(read(42, 1), &fresh), Verdict::First);
    }
}
