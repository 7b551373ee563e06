//! What becomes of a number that somebody changed over there, where nothing explains it.

use std::fmt;

use onhand_ledger::model::{Direction, Mode, Policy, Publication};
use onhand_ledger::{Quantity, RuleId};

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

/// What keeps a change from a number from being adopted.
pub fn barrier_from(from: Quantity, rule: Option<(RuleId, &Publication)>) -> Option<Barrier> {
    let keeps = rule.filter(|(_, rule)| from.is_zero() && rule.buffer.is_positive());
    keeps.map(|(id, _)| Barrier::KeptBack(id))
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
        (_, Policy::Adopt, None) => Reaction::Adopt,
        (_, Policy::Adopt | Policy::Ask, _) => Reaction::Ask,
    }
}

#[cfg(test)]
mod tests {
    use onhand_ledger::{ItemId, ListingId, SystemId};

    use super::*;

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
        assert_eq!(barrier_from(Quantity::ZERO, speaking), Some(Barrier::KeptBack(RuleId(7))));
        assert_eq!(barrier_from(Quantity::ONE, speaking), None);
        assert_eq!(barrier_from(Quantity::ZERO, None), None);
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
