//! When a number may go: at once, with what else changes, or with a batch.

use onhand_ledger::Instant;
use onhand_ledger::model::{Schedule, Timing};

use crate::plan::Difference;

/// From when on a difference may be sent by itself; none where it goes with batches only. `changed_at`: when the change was
/// recorded that made it differ; none where it was not ours (somebody changed it over there).
///
/// A fall to zero does not wait for others: it is what keeps from overselling.
pub fn may_go_at<K>(
    timing: &Timing,
    difference: &Difference<K>,
    changed_at: Option<Instant>,
) -> Option<Instant> {
    match timing {
        Timing::NearRealTime { debounce_ms } => Some(match changed_at {
            Some(changed_at) if !difference.desired.is_zero() && *debounce_ms > 0 => {
                changed_at.plus_micros(i64::from(*debounce_ms) * 1_000)
            }
            _ => Instant::MIN,
        }),
        Timing::Batch(_) => None,
    }
}

/// When the batch after the last one is due: at once where its time passed while nobody was there. Of several that were missed
/// one goes, with what is desired then.
pub fn next_batch(schedule: &Schedule, last: Instant) -> Instant {
    // A schedule is checked when it is saved.
    schedule.next_after(last).unwrap_or(Instant::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use onhand_ledger::Quantity;

    fn difference(shows: i64, desired: i64) -> Difference<()> {
        Difference { key: (), shows: Some(Quantity::units(shows)), desired: Quantity::units(desired) }
    }

    #[test]
    fn a_change_waits_for_others_and_a_fall_to_zero_does_not() {
        let at = Instant::from_micros(1_000_000);
        let timing = Timing::NearRealTime { debounce_ms: 250 };
        let go = |shows, desired, changed_at| may_go_at(&timing, &difference(shows, desired), changed_at);
        assert_eq!(go(5, 4, Some(at)), Some(at.plus_micros(250_000)));
        assert_eq!(go(0, 4, Some(at)), Some(at.plus_micros(250_000)));
        assert_eq!(go(5, 0, Some(at)), Some(Instant::MIN));
        assert_eq!(go(5, 4, None), Some(Instant::MIN), "set back at once");
        let at_once = Timing::NearRealTime { debounce_ms: 0 };
        assert_eq!(may_go_at(&at_once, &difference(5, 4), Some(at)), Some(Instant::MIN));
    }

    #[test]
    fn a_batch_waits_for_its_time_whatever_changed() {
        let schedule = Schedule { cron: "0 6 * * *".to_owned(), time_zone: "UTC".to_owned(), full: false };
        let timing = Timing::Batch(schedule.clone());
        assert_eq!(may_go_at(&timing, &difference(5, 0), None), None);
        let last = Instant::parse("2026-11-20T06:00:00Z").unwrap();
        assert_eq!(next_batch(&schedule, last).to_string(), "2026-11-21T06:00:00Z");
    }
}
