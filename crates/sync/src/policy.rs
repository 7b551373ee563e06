//! What becomes of a number that somebody changed over there, where nothing explains it.

use std::fmt;

use onhand_ledger::model::{Direction, Mode, Policy, Publication};
use onhand_ledger::{Quantity, RuleId};

use crate::desired::Shown;

/// Why a change over there does not say how much stock there is.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Barrier {
    /// So many locations of ours are behind the number: it does not say which of them has changed.
    Locations(usize),
    /// It is a kit: it does not say which of its components has changed.
    Kit,
    /// By this rule several amounts of stock show the same number.
    Rule(RuleId),
    /// It showed 0, and some is kept back by this rule: it does not say how much there was.
    KeptBack(RuleId),
    /// It showed 0, and so much is sold by orders that wait: it does not say how much there was.
    Sold(Quantity),
    /// Its selling is stopped: it shows 0 whatever there is.
    Stopped,
    /// It showed 0, and should show so much by now: it does not say how much there was.
    Behind(Quantity),
    /// It was of another item when it changed, or of another number of it.
    Relinked,
    /// What it was asked about before cannot be.
    Earlier,
    /// Another system is master there, by name.
    Master(String),
}

/// Ends a sentence that begins with "it cannot be adopted:".
impl fmt::Display for Barrier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Locations(number) => {
                write!(f, "{number} locations of ours are behind the number, where one would be right")
            }
            Self::Kit => write!(f, "it is a kit, and the number does not say which component has changed"),
            Self::Rule(rule) => write!(
                f,
                "rule {rule} shows the same number for several amounts of stock (a buffer alone would be right: no cap, \
                 percentage or stop)"
            ),
            Self::KeptBack(rule) => {
                write!(
                    f,
                    "it showed 0 and rule {rule} keeps some back, so it does not say how much there was"
                )
            }
            Self::Sold(sold) => write!(
                f,
                "it showed 0 and orders that wait have sold {sold}, so it does not say how much there was"
            ),
            Self::Stopped => write!(f, "its selling is stopped, so it shows 0 whatever there is"),
            Self::Behind(desired) => {
                write!(f, "it showed 0 and should show {desired}, so it does not say how much there was")
            }
            Self::Relinked => write!(
                f,
                "it was linked to another item since, or became a pack of another number, so it would be of the wrong stock"
            ),
            Self::Earlier => write!(f, "what was asked about it before cannot be, and this comes on top"),
            Self::Master(master) => write!(f, "{master} is master of that stock"),
        }
    }
}

/// Can the rule be inverted: does a change of what is shown say by how much stock changed? Whatever comes to publication rules later
/// keeps it from that too, until it is thought through here.
fn is_invertible(rule: &Publication) -> bool {
    let Publication { system, item, listing, buffer, .. } = *rule;
    let (remote_location, tag) = (rule.remote_location.clone(), rule.tag.clone());
    *rule == Publication { system, remote_location, item, tag, listing, buffer, ..Publication::default() }
}

/// What keeps a change from being adopted, whatever the number: by the locations of ours behind it, the rule that speaks of it, and
/// who is master there (none: Onhand).
pub fn barrier(
    locations: usize,
    is_kit: bool,
    rule: Option<(RuleId, &Publication)>,
    master: Option<String>,
) -> Option<Barrier> {
    if let Some(master) = master {
        return Some(Barrier::Master(master));
    }
    if locations != 1 {
        return Some(Barrier::Locations(locations));
    }
    if is_kit {
        return Some(Barrier::Kit);
    }
    rule.filter(|(_, rule)| !is_invertible(rule)).map(|(id, _)| Barrier::Rule(id))
}

/// What keeps a change from a number from being adopted, by the rule that speaks of it and what should be shown now: from 0 it says
/// how much there was only where that was nothing.
pub fn barrier_from(
    from: Quantity,
    rule: Option<(RuleId, &Publication)>,
    now: Option<&Shown>,
) -> Option<Barrier> {
    if now.is_some_and(|now| now.halt.is_some()) {
        return Some(Barrier::Stopped);
    }
    if !from.is_zero() {
        return None;
    }
    if let Some(claimed) = now.map(|now| now.claimed).filter(|claimed| claimed.is_positive()) {
        return Some(Barrier::Sold(claimed));
    }
    if let Some((id, _)) = rule.filter(|(_, rule)| rule.buffer.is_positive()) {
        return Some(Barrier::KeptBack(id));
    }
    now.map(|now| now.quantity).filter(|desired| desired.is_positive()).map(Barrier::Behind)
}

/// What is done about a change over there.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Reaction {
    /// It is set to what it should be, and told.
    SetBack,
    /// It becomes an adjustment by that system.
    Adopt,
    /// A person is asked; nothing is sent until then.
    Ask,
    /// It is set to what it should be, and proposed to the master.
    Propose,
}

/// What is done about a change over there, by the mode of its system.
pub fn react(mode: &Mode, barrier: Option<&Barrier>) -> Reaction {
    match (mode.direction, mode.policy, barrier) {
        (Direction::OneWayOut | Direction::OneWayIn, _, _) | (_, Policy::MasterWins, _) => Reaction::SetBack,
        (_, _, Some(Barrier::Master(_))) => Reaction::Propose,
        // What is not to be sold, or is sold already, must not be offered while a person thinks about it.
        (_, _, Some(Barrier::Stopped | Barrier::Sold(_))) => Reaction::SetBack,
        (_, Policy::Adopt, None) => Reaction::Adopt,
        (_, Policy::Adopt | Policy::Ask, _) => Reaction::Ask,
    }
}

#[cfg(test)]
mod tests {
    use onhand_ledger::{Instant, ItemId, ListingId, SystemId};

    use super::*;
    use crate::desired::Halt;

    const BUFFER: Quantity = Quantity::units(5);

    fn with(rule: Publication) -> Option<Barrier> {
        barrier(1, false, Some((RuleId(7), &rule)), None)
    }

    #[test]
    fn a_change_says_how_much_only_where_the_rule_can_be_inverted() {
        let rule = Publication::default;
        assert_eq!(barrier(1, false, None, None), None);
        assert_eq!(with(rule()), None);
        assert_eq!(with(Publication { buffer: BUFFER, ..rule() }), None);
        // Whatever it speaks of.
        let speaks_of = Publication {
            system: Some(SystemId(2)),
            remote_location: Some("7".to_owned()),
            item: Some(ItemId(3)),
            tag: Some("sale".to_owned()),
            listing: Some(ListingId(4)),
            ..rule()
        };
        assert_eq!(with(speaks_of), None);
        let cannot = Some(Barrier::Rule(RuleId(7)));
        assert_eq!(with(Publication { cap: Some(BUFFER), ..rule() }), cannot);
        assert_eq!(with(Publication { percentage: 50, ..rule() }), cannot);
        assert_eq!(with(Publication { stop_at: Some(BUFFER), ..rule() }), cannot);
        assert_eq!(with(Publication { formula: Some("available".to_owned()), ..rule() }), cannot);
        assert_eq!(barrier(1, true, None, None), Some(Barrier::Kit));
        assert_eq!(barrier(2, false, None, None), Some(Barrier::Locations(2)));
        assert_eq!(barrier(0, false, None, None), Some(Barrier::Locations(0)));
        let wms = || "WMS".to_owned();
        assert_eq!(barrier(2, true, None, Some(wms())), Some(Barrier::Master(wms())));
        let buffered = Publication { buffer: BUFFER, ..rule() };
        let speaking = Some((RuleId(7), &buffered));
        assert_eq!(barrier_from(Quantity::ZERO, speaking, None), Some(Barrier::KeptBack(RuleId(7))));
        assert_eq!(barrier_from(Quantity::ONE, speaking, None), None);
        assert_eq!(barrier_from(Quantity::ZERO, None, None), None);
    }

    #[test]
    fn from_0_a_change_says_how_much_only_where_there_was_nothing() {
        let now = Shown::default();
        let (zero, one) = (Quantity::ZERO, Quantity::ONE);
        assert_eq!(barrier_from(zero, None, Some(&now)), None);
        let (what, reason, by) = ("MUG".to_owned(), "recall".to_owned(), "ada".to_owned());
        let halt = Halt { rule: RuleId(9), what, reason, by, at: Instant::MIN };
        let halted = Shown { halt: Some(halt), ..now.clone() };
        assert_eq!(barrier_from(zero, None, Some(&halted)), Some(Barrier::Stopped));
        assert_eq!(barrier_from(one, None, Some(&halted)), Some(Barrier::Stopped));
        let sold = Shown { claimed: BUFFER, ..now.clone() };
        assert_eq!(barrier_from(zero, None, Some(&sold)), Some(Barrier::Sold(BUFFER)));
        assert_eq!(barrier_from(one, None, Some(&sold)), None);
        let behind = Shown { quantity: BUFFER, ..now };
        assert_eq!(barrier_from(zero, None, Some(&behind)), Some(Barrier::Behind(BUFFER)));
        for policy in [Policy::Adopt, Policy::Ask] {
            let mode = Mode { policy, direction: Direction::TwoWay, ..Mode::default() };
            for barrier in [Barrier::Stopped, Barrier::Sold(one)] {
                assert_eq!(react(&mode, Some(&barrier)), Reaction::SetBack);
            }
            assert_eq!(react(&mode, Some(&Barrier::Behind(one))), Reaction::Ask);
        }
    }

    #[test]
    fn why_it_cannot_be_adopted_ends_a_sentence() {
        for (barrier, sentence) in [
            (Barrier::Locations(2), "2 locations of ours are behind the number, where one would be right"),
            (Barrier::Kit, "it is a kit, and the number does not say which component has changed"),
            (
                Barrier::Rule(RuleId(7)),
                "rule 7 shows the same number for several amounts of stock (a buffer alone would be right: no cap, \
                 percentage or stop)",
            ),
            (
                Barrier::KeptBack(RuleId(7)),
                "it showed 0 and rule 7 keeps some back, so it does not say how much there was",
            ),
            (Barrier::Master("WMS".to_owned()), "WMS is master of that stock"),
        ] {
            assert_eq!(barrier.to_string(), sentence);
        }
    }

    #[test]
    fn each_policy_does_what_it_says() {
        let mode = |direction, policy| Mode { direction, policy, ..Mode::default() };
        let cap = Barrier::Rule(RuleId(7));
        let master = Barrier::Master("WMS".to_owned());
        let table = [
            (Direction::TwoWay, Policy::MasterWins, None, Reaction::SetBack),
            (Direction::TwoWay, Policy::MasterWins, Some(&master), Reaction::SetBack),
            (Direction::TwoWay, Policy::Adopt, None, Reaction::Adopt),
            (Direction::TwoWay, Policy::Adopt, Some(&cap), Reaction::Ask),
            (Direction::TwoWay, Policy::Adopt, Some(&master), Reaction::Propose),
            (Direction::TwoWay, Policy::Ask, None, Reaction::Ask),
            (Direction::TwoWay, Policy::Ask, Some(&cap), Reaction::Ask),
            (Direction::TwoWay, Policy::Ask, Some(&master), Reaction::Propose),
            (Direction::OneWayOut, Policy::Adopt, None, Reaction::SetBack),
            (Direction::OneWayOut, Policy::Ask, None, Reaction::SetBack),
        ];
        for (direction, policy, barrier, reaction) in table {
            assert_eq!(
                react(&mode(direction, policy), barrier),
                reaction,
                "{direction:?} {policy:?} {barrier:?}"
            );
        }
    }
}
