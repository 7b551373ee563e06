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
    /// Where it may be the sum of several: what is known of them.
    #[serde(default)]
    pub summed: Option<Summed>,
}

/// An order changed, perhaps several times before we heard of it: what of that came before a write of ours was overwritten.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize, Deserialize)]
pub struct Summed {
    /// None of it happened before that; by the same clock.
    pub begun_at: Instant,
    /// Nor before that, by ours: what was done before had been heard of. None where that is not known.
    #[serde(default)]
    pub not_before: Option<Instant>,
    /// We had not heard of the order before: it may have been larger at first.
    pub may_have_been_more: bool,
}

/// What we know of a listing when a reading is judged.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Known<'a> {
    /// What the system last acknowledged, or was read back and taken over; none before the first.
    pub acknowledged: Option<Quantity>,
    /// When that was.
    pub acknowledged_at: Option<Instant>,
    /// It came to be so, or was read, at the earliest and at the latest then: a number is written between sending and answer. None before
    /// the first.
    pub acknowledged_within: Option<(Instant, Instant)>,
    /// All that we heard the system did to its number since, in the order of its own clock.
    pub changes: &'a [OwnChange],
    /// May the first of `changes` have happened before what was acknowledged, which then overwrote them?
    pub may_be_overwritten: bool,
    /// All that the system did up to this instant has been heard of; by our clock.
    pub known_to: Instant,
    /// What was sent and never answered, and when it was computed: what we had heard of by then it has overwritten where it has
    /// arrived. None where every push was answered.
    pub unanswered: Option<(Quantity, Instant)>,
    /// What was sent before, never answered, and seen not to have arrived, and when that was: each may arrive late.
    pub lost: &'a [(Quantity, Instant)],
    /// The most that it showed lately: no order was for more. None where that is not known.
    pub most: Option<Quantity>,
    /// So late the system may tell of what it did, in microseconds.
    pub told_within: i64,
    /// So much earlier than told a change may have been, in microseconds, as far as that is known.
    pub clock_within: Option<i64>,
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
    /// It follows in several ways, by which of the changes that were heard of since the reading began are in the number: read it again.
    Ambiguous,
    /// A push whose answer was lost has arrived: it shows that.
    Arrived {
        /// So many of the last changes are not in the number yet.
        later: usize,
        /// Without it, it would show something else. Else it may be on its way still.
        is_certain: bool,
    },
    /// A push that was taken for lost has arrived after all, and overwritten what came since.
    ArrivedLate {
        /// So many of the last changes are not in the number yet.
        later: usize,
        /// What was sent.
        quantity: Quantity,
    },
    /// It follows only if clocks are wrong, or if what was told late was in the number that was read before, or was overwritten by what was
    /// sent before that, or by what was sent and not answered; or else it is a reading of a while ago, or somebody changed it.
    ToldLate {
        /// So many of the last changes are not in the number yet.
        later: usize,
        /// How much nothing else explains.
        otherwise: Quantity,
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

/// So much the time of a change may be wrong still, in microseconds, or by as much as the system may be late in telling: what its clock is
/// known to be wrong by is known only as well as its fastest order was heard of.
const CLOCKS_DIFFER: i64 = 12_000_000;

impl Known<'_> {
    fn clocks_differ(&self) -> i64 {
        self.told_within.max(CLOCKS_DIFFER)
    }
}

/// So many changes at either end are tried as what may be in a number, or not.
const TRIED: usize = 64;

/// Judges a reading. First the number is read, then that system's own doings up to that time must be known.
pub fn judge(observation: Observation, known: &Known<'_>) -> Verdict {
    let Some(acknowledged) = known.acknowledged else {
        return if known.unanswered.is_some_and(|(sent, _)| sent == observation.quantity) {
            Verdict::Arrived { later: known.changes.len(), is_certain: false }
        } else {
            Verdict::First
        };
    };
    if known.known_to < observation.at {
        return Verdict::Wait;
    }
    let sent_last = |at_most: fn(usize, usize) -> usize| {
        let (sent, at) = known.unanswered?;
        let heard = heard_before(at, known);
        explained_from(observation, sent, known, heard, at_most(heard, known.changes.len()))
    };
    let arrived = sent_last(usize::max);
    let as_before = explained(observation, acknowledged, known, known.may_be_overwritten);
    let late = told_late(observation, acknowledged, known);
    let expected = acknowledged + sum(&known.changes[overwritten(known)..]);
    match (arrived, as_before) {
        // Which changes are in the number differs: what is read after all of them were heard of says which it is.
        (Some(one), Some(other)) if one != other => return Verdict::Ambiguous,
        // It is what was sent if that has overwritten what we heard of since; or a reading of before that.
        (Some(later), None) if sent_last(usize::min).is_none() => {
            return Verdict::ToldLate { later, otherwise: observation.quantity - expected };
        }
        (Some(later), other) => return Verdict::Arrived { later, is_certain: other.is_none() },
        (None, Some(one)) if late.is_some_and(|other| one != other) => return Verdict::Ambiguous,
        (None, Some(_)) if is_open(observation, acknowledged, known) => return Verdict::Ambiguous,
        // No clock says so for sure: a reading of a while ago may be this one.
        (None, Some(0)) if !is_by_clock(observation, acknowledged, known) || is_heard_within(known) => {
            return Verdict::ToldLate { later: 0, otherwise: observation.quantity - expected };
        }
        (None, Some(later)) if known.unanswered.is_some() => return Verdict::Lost { later },
        (None, Some(later)) => return Verdict::Explained { later },
        (None, None) => {}
    }
    // The one that was sent last first: of two that explain it that is the likelier.
    for (lost, _) in known.lost.iter().rev() {
        if let Some(later) = explained(observation, *lost, known, true) {
            return Verdict::ArrivedLate { later, quantity: *lost };
        }
    }
    let otherwise = observation.quantity - expected;
    match late {
        Some(later) => Verdict::ToldLate { later, otherwise },
        None => Verdict::Drift(otherwise),
    }
}

/// May a drift be a part of a change that we heard of as one, though it was several over there, and that a write of ours
/// has overwritten in between? An order only ever gives back, once it is placed.
pub fn may_be_a_part(drift: Quantity, known: &Known<'_>) -> bool {
    let Some((from, to)) = known.acknowledged_within else { return false };
    // Its clock is put right by no more than it is ahead: things happened at the time that is taken for it, or before.
    let differ = known.clocks_differ();
    let late = to.plus_micros(known.clock_within.map_or(differ, |within| within.clamp(0, differ)));
    known.changes.iter().any(|change| {
        change.summed.is_some_and(|summed| {
            let is_later = summed.begun_at > late || summed.not_before.is_some_and(|at| at > to);
            let is_around = !is_later && change.at >= from;
            let is_part = drift.micros().abs() < change.quantity.micros().abs();
            // What it gave back and what it is still for were in it at first.
            let still = (-change.quantity).max(Quantity::ZERO);
            let may_be_more =
                drift.is_positive() && known.most.is_none_or(|most| drift < most && drift + still <= most);
            is_around && (is_part || (summed.may_have_been_more && may_be_more))
        })
    })
}

/// A change may have happened so much later than told, in microseconds: clocks that tell whole seconds leave out the rest.
const CUT_OFF: i64 = 1_000_000;

/// Is it open by how much somebody changed a number? What the system did around the last write of ours is overwritten by it or not, and
/// its clock does not say which it is.
pub fn is_amount_open(known: &Known<'_>) -> bool {
    let Some((from, to)) = known.acknowledged_within.filter(|_| known.may_be_overwritten) else {
        return false;
    };
    let differ = known.clocks_differ();
    let within = known.clock_within.map_or(differ, |within| within.clamp(0, differ));
    let changes = known.changes;
    // Heard of before it was sent, it was done before it was written.
    let surely_before = changes.partition_point(|change| change.at.plus_micros(CUT_OFF) < from);
    let first = surely_before.max(heard_before(from, known));
    let last = changes.partition_point(|change| change.at.plus_micros(-within) <= to);
    let told = sum(&changes[overwritten(known)..]);
    (first..=last).any(|start| sum(&changes[start..]) != told)
}

/// Where a system takes off what was set aside since a number was computed: may what it shows be one of these numbers, that
/// arrived late, less what was sold since, or a part of that? `since`: all that it did by itself since the first of them.
pub fn may_be_less_of(
    shown: Quantity,
    mut sent: impl Iterator<Item = Quantity>,
    since: &[OwnChange],
) -> bool {
    let quantities = || since.iter().map(|change| change.quantity);
    let fell: Quantity = quantities().filter(|quantity| quantity.is_negative()).sum();
    let rose: Quantity = quantities().filter(|quantity| quantity.is_positive()).sum();
    sent.any(|sent| (sent + fell..=sent + rose).contains(&shown))
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

/// How many of the first changes happened before then, as one of them or of those after it was heard of by then.
fn heard_before(at: Instant, known: &Known<'_>) -> usize {
    known.changes.iter().rposition(|change| change.heard_at < at).map_or(0, |last| last + 1)
}

/// Does a number follow from what was acknowledged, if what happened before that, and was told later, was in it?
fn told_late(observation: Observation, acknowledged: Quantity, known: &Known<'_>) -> Option<usize> {
    let last = known.acknowledged_at?.plus_micros(known.clocks_differ());
    let late = known.changes.partition_point(|change| change.at <= last);
    explained_from(observation, acknowledged, known, 0, late)
}

/// Does a number follow from one before it? Then how many of the last changes are not in it.
fn explained(
    observation: Observation,
    before: Quantity,
    known: &Known<'_>,
    may_be_overwritten: bool,
) -> Option<usize> {
    let most = if may_be_overwritten { known.changes.len() } else { 0 };
    explained_from(observation, before, known, 0, most)
}

/// Where so many of the first changes, at least and at most, may be in the number before.
fn explained_from(
    observation: Observation,
    before: Quantity,
    known: &Known<'_>,
    at_least: usize,
    at_most: usize,
) -> Option<usize> {
    ways(observation, before, known, (at_least, at_most)).next().map(|way| way.later)
}

/// Is a number what it must be by all clocks, if what came before it was acknowledged, and the last write has overwritten what may be so?
fn is_by_clock(observation: Observation, acknowledged: Quantity, known: &Known<'_>) -> bool {
    let (start, end) = (overwritten(known), by_clock(observation, known));
    start <= end && acknowledged + sum(&known.changes[start..end]) == observation.quantity
}

/// How many of the first changes are in the number that was read, by the clocks: those too that we had heard of by then.
fn by_clock(observation: Observation, known: &Known<'_>) -> usize {
    let settled = heard_before(observation.at, known);
    known.changes.partition_point(|change| change.at <= observation.at).max(settled)
}

/// Was a change heard of while what was acknowledged was read or written? It is in that, or not, whatever its system's clock says.
fn is_heard_within(known: &Known<'_>) -> bool {
    let Some(at) = known.acknowledged_at.filter(|_| known.may_be_overwritten) else { return false };
    known.changes.iter().any(|change| change.heard_at <= at)
}

/// Does what was acknowledged explain a number in several ways that leave different changes to come, and no clock says which it is? Each of
/// them may have been overwritten, or not be in the number yet.
fn is_open(observation: Observation, acknowledged: Quantity, known: &Known<'_>) -> bool {
    if !known.may_be_overwritten {
        return false;
    }
    let mut ways = ways(observation, acknowledged, known, (0, known.changes.len()));
    let Some(first) = ways.next() else { return false };
    !first.is_by_clock && ways.any(|way| way.later != first.later)
}

/// A way in which a number follows from one before it.
struct Way {
    /// So many of the last changes are not in it.
    later: usize,
    /// By all clocks it is this one.
    is_by_clock: bool,
}

/// The ways in which a number follows from one before it, the likeliest first: where so many of the first changes, at least and at most,
/// may be in the number before.
fn ways(
    observation: Observation,
    before: Quantity,
    known: &Known<'_>,
    (at_least, at_most): (usize, usize),
) -> impl Iterator<Item = Way> {
    let changes = known.changes;
    // Heard of before the reading began: in the number.
    let settled = heard_before(observation.at, known);
    let by_clock = by_clock(observation, known);
    let ends = [by_clock].into_iter().chain((settled..=changes.len()).rev().take(TRIED));
    let (first_start, last_start) = (overwritten(known), at_most.min(at_least + TRIED));
    ends.flat_map(move |end| {
        let starts = [first_start].into_iter().chain(at_least..=last_start);
        starts
            .filter(move |start| (at_least..=end).contains(start))
            .filter(move |start| before + sum(&changes[*start..end]) == observation.quantity)
            .map(move |start| Way {
                later: changes.len() - end,
                is_by_clock: (start, end) == (first_start, by_clock),
            })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: i64) -> Instant {
        Instant::from_micros(1_000_000_000).plus_seconds(seconds)
    }

    fn change(units: i64, happened: i64, heard: i64) -> OwnChange {
        OwnChange { at: at(happened), heard_at: at(heard), quantity: Quantity::units(units), summed: None }
    }

    fn known(acknowledged: i64, changes: &[OwnChange], known_to: i64) -> Known<'_> {
        Known {
            acknowledged: Some(Quantity::units(acknowledged)),
            acknowledged_at: Some(at(0)),
            acknowledged_within: Some((at(-3), at(0))),
            changes,
            may_be_overwritten: false,
            known_to: at(known_to),
            unanswered: None,
            lost: &[],
            most: None,
            told_within: 0,
            clock_within: None,
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
        for known_to in [120, 180] {
            let drift = Verdict::Drift(Quantity::units(-1));
            assert_eq!(judge(read(99, 120), &known(100, &[], known_to)), drift, "known to {known_to}");
        }
    }

    #[test]
    fn by_how_much_is_open_where_a_sale_falls_into_the_second_of_a_write() {
        let open = |happened, heard, within, overwritten| {
            let changes = [change(-2, happened, heard)];
            let known = Known {
                acknowledged_within: Some((at(0), at(0))),
                may_be_overwritten: overwritten,
                clock_within: Some(within),
                ..known(31, &changes, 180)
            };
            is_amount_open(&known)
        };
        assert!(open(0, 60, 0, true), "told to the second: before the write or after it");
        assert!(open(-1, 60, 0, true));
        assert!(!open(-2, 60, 0, true), "before it, however much the clock leaves out");
        assert!(!open(1, 60, 0, true), "after it");
        assert!(open(1, 60, 1_000_000, true), "as far as its clock may be wrong");
        assert!(!open(-1, -1, 0, true), "we had heard of it");
        assert!(!open(0, 60, 0, false), "what was read has overwritten nothing");
    }

    #[test]
    fn what_was_done_since_is_in_what_it_shows() {
        assert_eq!(shows(&known(50, &[change(-2, 60, 61)], 180)), Some(Quantity::units(48)));
    }

    #[test]
    fn what_is_heard_of_after_a_reading_may_be_to_come_or_overwritten() {
        // Seven came back at 90, as far as clocks say; 33 was written at 0, and read at 120.
        let back = [change(7, 90, 121)];
        let overwritten = Known { may_be_overwritten: true, ..known(33, &back, 180) };
        assert_eq!(judge(read(33, 120), &overwritten), Verdict::Ambiguous);
        assert_eq!(judge(read(40, 120), &overwritten), EXPLAINED, "as clocks say");
        // What is read after it was heard of decides.
        let not_by_clocks = Verdict::ToldLate { later: 0, otherwise: Quantity::units(-7) };
        assert_eq!(judge(read(33, 122), &overwritten), not_by_clocks, "it was overwritten");
        assert_eq!(judge(read(40, 122), &overwritten), EXPLAINED);
        let not = Known { may_be_overwritten: false, ..overwritten };
        assert_eq!(judge(read(33, 120), &not), Verdict::Explained { later: 1 });
        // So soon after the write that clocks may be wrong about which came first.
        let soon = [change(7, 5, 121)];
        let overwritten = Known { changes: &soon, ..overwritten };
        assert_eq!(judge(read(33, 120), &overwritten), Verdict::Ambiguous);
    }

    #[test]
    fn what_was_heard_before_the_reading_is_in_it_and_what_came_after_may_be() {
        let after = [change(-5, 90, 121)];
        assert_eq!(judge(read(95, 120), &known(100, &after, 180)), EXPLAINED);
        assert_eq!(judge(read(100, 120), &known(100, &after, 180)), Verdict::Explained { later: 1 });
        let as_it_began = [change(-5, 90, 120)];
        let to_come = Verdict::Explained { later: 1 };
        assert_eq!(judge(read(100, 120), &known(100, &as_it_began, 180)), to_come);
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
        // Its clock may be wrong by a little: the other way round is no drift either, unless it is a reading of before the write.
        let otherwise = Quantity::units(-2);
        assert_eq!(judge(read(48, 120), &overwriting), Verdict::ToldLate { later: 0, otherwise });
        // Heard of before the write was answered, it may be in that number or not, whatever its clock says.
        let heard_within = [change(-2, -1, 0)];
        let overwriting = Known { changes: &heard_within, ..overwriting };
        let otherwise = Quantity::ZERO;
        assert_eq!(judge(read(50, 120), &overwriting), Verdict::ToldLate { later: 0, otherwise });
    }

    #[test]
    fn an_order_that_was_told_late_may_be_in_the_number_already() {
        let sale = [change(-2, -1, 60)];
        let told_late = Verdict::ToldLate { later: 0, otherwise: Quantity::units(2) };
        assert_eq!(judge(read(50, 120), &known(50, &sale, 180)), told_late);
        assert_eq!(judge(read(48, 120), &known(50, &sale, 180)), EXPLAINED);
        assert_eq!(judge(read(49, 120), &known(50, &sale, 180)), Verdict::Drift(Quantity::units(1)));
    }

    #[test]
    fn two_returns_told_as_one_may_lie_on_either_side_of_a_write() {
        let summed = |units, begun, happened, may_have_been_more| {
            let summed = Some(Summed { begun_at: at(begun), not_before: None, may_have_been_more });
            [OwnChange { summed, ..change(units, happened, 60) }]
        };
        let returned = summed(2, -40, 1, false);
        let drift = Quantity::units(-1);
        assert_eq!(judge(read(51, 120), &known(50, &returned, 180)), Verdict::Drift(drift));
        for (units, changes, expected) in [
            (-1, &returned, true),
            // The half of it came after the write, and by the clocks neither did.
            (1, &returned, true),
            (-2, &returned, false),
            (3, &returned, false),
            // Wholly before the write, or after it.
            (-1, &summed(2, -40, -19, false), false),
            (-1, &summed(2, -40, -4, false), false),
            (-1, &summed(2, -40, -3, false), true),
            (-1, &summed(2, 19, 30, false), false),
            // As long after the write as clocks may be wrong by, and longer.
            (-1, &summed(2, 12, 30, false), true),
            (-1, &summed(2, 13, 30, false), false),
            // Known to be one change only.
            (-1, &[change(2, 1, 60)], false),
            // Of six, five were taken off before we heard of the order at all.
            (5, &summed(0, -3, 1, true), true),
            (-5, &summed(0, -3, 1, true), false),
        ] {
            let found = may_be_a_part(Quantity::units(units), &known(50, changes, 180));
            assert_eq!(found, expected, "{units} of {changes:?}");
        }
        // All that had been done shortly after the write had been heard of before.
        for (heard_to, expected) in [(0, true), (1, false)] {
            let mut changes = returned;
            changes[0].summed.as_mut().unwrap().not_before = Some(at(heard_to));
            assert_eq!(may_be_a_part(drift, &known(50, &changes, 180)), expected, "{heard_to}");
        }
        // How far its clock may be off is known.
        let soon = summed(2, 2, 3, false);
        let exact = Known { clock_within: Some(1_999_999), ..known(50, &soon, 180) };
        assert!(may_be_a_part(drift, &known(50, &soon, 180)) && !may_be_a_part(drift, &exact));
        // It never showed as many.
        let changes = summed(0, -3, 1, true);
        let most = Known { most: Some(Quantity::units(5)), ..known(50, &changes, 180) };
        assert!(may_be_a_part(Quantity::units(4), &most) && !may_be_a_part(Quantity::units(5), &most));
        // Two are still sold of what was five at most.
        let changes = summed(-2, -3, 1, true);
        let most = Known { changes: &changes, ..most };
        assert!(may_be_a_part(Quantity::units(3), &most) && !may_be_a_part(Quantity::units(4), &most));
    }

    #[test]
    fn a_late_write_is_less_by_what_was_sold_since_it_was_computed() {
        let since = [change(-4, 10, 11), change(1, 20, 21)];
        let may_be =
            |shown| may_be_less_of(Quantity::units(shown), [Quantity::units(30)].into_iter(), &since);
        assert_eq!([25, 26, 30, 31, 32].map(may_be), [false, true, true, true, false]);
    }

    #[test]
    fn the_answer_was_lost() {
        let unanswered = Known { unanswered: Some((Quantity::units(96), at(0))), ..known(101, &[], 180) };
        assert_eq!(judge(read(96, 120), &unanswered), Verdict::Arrived { later: 0, is_certain: true });
        // Five were sold since it was sent, which would come to the same.
        let sold = [change(-5, 100, 130)];
        let either = Known { changes: &sold, ..unanswered };
        assert_eq!(judge(read(96, 120), &either), Verdict::Arrived { later: 0, is_certain: false });
        assert_eq!(judge(read(101, 120), &unanswered), Verdict::Lost { later: 0 });
        assert_eq!(judge(read(90, 120), &unanswered), Verdict::Drift(Quantity::units(-11)));
        // Heard of since it was sent: it has overwritten that, or this is a reading of before.
        let sold = [change(-5, 100, 110)];
        let overwritten =
            Known { changes: &sold, unanswered: Some((Quantity::units(99), at(0))), ..unanswered };
        let told_late = Verdict::ToldLate { later: 0, otherwise: Quantity::units(3) };
        assert_eq!(judge(read(99, 120), &overwritten), told_late);
        assert_eq!(judge(read(94, 120), &overwritten), Verdict::Arrived { later: 0, is_certain: true });
        // A return that we had heard of before we sent is in what it showed before, and would be overwritten.
        let returned = [change(1, -2, -1)];
        let sent = Some((Quantity::units(96), at(0)));
        let unanswered = Known { unanswered: sent, ..known(96, &returned, 180) };
        assert_eq!(judge(read(97, 120), &unanswered), Verdict::Lost { later: 0 });
        let sent = [(Quantity::units(96), at(-50)), (Quantity::units(97), at(-40))];
        let late = Known { lost: &sent, ..known(101, &[], 180) };
        for units in [96, 97] {
            let quantity = Quantity::units(units);
            assert_eq!(judge(read(units, 120), &late), Verdict::ArrivedLate { later: 0, quantity });
        }
        assert_eq!(judge(read(98, 120), &late), Verdict::Drift(Quantity::units(-3)));
    }

    #[test]
    fn what_is_explained_in_two_ways_is_read_again() {
        // A write of 37 may have arrived before a sale of 2, or neither has happened yet.
        let sale = [change(-2, 121, 122)];
        let sent = Some((Quantity::units(37), at(100)));
        let unanswered = Known { unanswered: sent, ..known(35, &sale, 180) };
        assert_eq!(judge(read(35, 120), &unanswered), Verdict::Ambiguous);
        // Read after the sale was heard of, it is one or the other.
        assert_eq!(judge(read(33, 125), &unanswered), Verdict::Lost { later: 0 });
        assert_eq!(judge(read(35, 125), &unanswered), Verdict::Arrived { later: 0, is_certain: true });
        // A sale that was told late may be in the number before, and a return not yet; or both are in this one.
        let both = [change(-1, -6, 1), change(1, 121, 122)];
        let late = |known_to| known(8, &both, known_to);
        assert_eq!(judge(read(8, 120), &late(180)), Verdict::Ambiguous);
        let otherwise = Quantity::units(1);
        assert_eq!(judge(read(9, 125), &late(180)), Verdict::ToldLate { later: 0, otherwise });
        assert_eq!(judge(read(8, 125), &late(180)), EXPLAINED);
    }

    #[test]
    fn the_first_reading_is_no_drift() {
        let fresh = Known { acknowledged: None, ..known(0, &[], 0) };
        assert_eq!(judge(read(42, 1), &fresh), Verdict::First);
        // What was sent first of all, and not answered, may be what it shows.
        let sent = Known { unanswered: Some((Quantity::units(42), at(0))), ..fresh };
        assert_eq!(judge(read(42, 1), &sent), Verdict::Arrived { later: 0, is_certain: false });
        assert_eq!(judge(read(41, 1), &sent), Verdict::First);
    }
}
