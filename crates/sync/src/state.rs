//! In which state a connected system is, and the sentence that says so.
//!
//! Follows from what is known of it at one instant, so that it is never kept and never stale. What a person must see to comes
//! first; then what somebody chose; then how it works.

use onhand_ledger::Instant;
use onhand_ledger::model::Stage;

use crate::Stop;

/// What is known of a system.
#[expect(clippy::struct_excessive_bools, reason = "facts that are independent of each other")]
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Facts {
    /// How far it is connected.
    pub stage: Stage,
    /// Did somebody pause it?
    pub paused: bool,
    /// Do we speak with it? Else it only tells us documents.
    pub connected: bool,
    /// Why its credentials do not open, where they do not.
    pub locked: Option<String>,
    /// What it last failed with, since when, and whether only a person can help.
    pub trouble: Option<Trouble>,
    /// The step of connecting it that comes next; none once all are done.
    pub next_step: Option<&'static str>,
    /// Nothing is pushed to any system.
    pub all_stopped: bool,
    /// Its numbers that nothing is sent for.
    pub unsent: Unsent,
    /// Does it tell us its numbers, and is sent none?
    pub one_way_in: bool,
    /// So many of its numbers are its own, by a rule or because it is master.
    pub left_to_it: usize,
}

/// Of a system's numbers, those that nothing is sent for by something that a person may have to see to.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Unsent {
    /// So many numbers it has.
    pub of: usize,
    /// So many wait for somebody's answer.
    pub waiting: usize,
    /// It refuses so many,
    pub refused: usize,
    /// the last of them for this reason.
    pub refusal: String,
    /// It tracks no stock of so many.
    pub untracked: usize,
    /// So many are not there any more.
    pub gone: usize,
    /// So many it shows as master, and our books do not take them.
    pub untaken: usize,
    /// So many would fall to zero, and somebody rejected that: nobody has to see to them any more.
    pub rejected: usize,
}

impl Unsent {
    /// One more that is stopped, and what the system said.
    pub fn add(&mut self, why: Stop, reason: &str) {
        match why {
            Stop::Refused => {
                self.refused += 1;
                reason.clone_into(&mut self.refusal);
            }
            Stop::Untracked => self.untracked += 1,
            Stop::Missing => self.gone += 1,
            _ => self.waiting += 1,
        }
    }

    /// What a person should know; none where nothing is.
    pub fn reason(&self) -> Option<String> {
        let Self { of, waiting, refused, refusal, untracked, gone, untaken, rejected: _ } = self;
        let mut all = Vec::new();
        let verb =
            |count: &usize, one: &'static str, several: &'static str| if *count == 1 { one } else { several };
        if *waiting > 0 {
            let wait = verb(waiting, "waits", "wait");
            all.push(format!("{waiting} of its {of} numbers {wait} for an answer in the inbox"));
        }
        if *refused > 0 {
            let refusal = refusal.trim_end_matches('.');
            all.push(format!("it refuses {refused} of its {of} numbers, such as: {refusal}"));
        }
        if *untracked > 0 {
            all.push(format!("it does not track stock of {untracked} of its {of} numbers"));
        }
        if *gone > 0 {
            let are = verb(gone, "is", "are");
            all.push(format!("{gone} of its {of} numbers {are} not there any more"));
        }
        if *untaken > 0 {
            all.push(format!("our books do not take {untaken} of the numbers that it shows as master"));
        }
        (!all.is_empty()).then(|| all.join("; "))
    }
}

/// What a system fails with.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Trouble {
    /// What happened, for a person.
    pub reason: String,
    /// Since when; none where that is not known.
    pub since: Option<Instant>,
    /// Will it go on by itself?
    pub ends_by_itself: bool,
}

/// In which state a system is.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum State {
    /// It is being connected: neither read nor written.
    Connecting {
        /// The step that comes next; none: to watch it, or go live.
        next: Option<&'static str>,
    },
    /// It is read and compared, and nothing is sent.
    Watching,
    /// It is kept equal.
    Live,
    /// It tells us its numbers.
    Heard,
    /// All its numbers are its own, so many.
    LeftToIt {
        /// How many.
        numbers: usize,
    },
    /// It is kept equal, but for what somebody chose to leave as it is.
    LeftAsItIs {
        /// How many numbers.
        numbers: usize,
    },
    /// Somebody paused it: it is read, and nothing is sent.
    Paused,
    /// Somebody stopped all pushing: it is read, and nothing is sent.
    AllStopped,
    /// It fails, and is tried again.
    Degraded {
        /// Since when, where that is known.
        since: Option<Instant>,
        /// With what.
        reason: String,
    },
    /// A person must act.
    NeedsAttention {
        /// Since when, where that is known.
        since: Option<Instant>,
        /// What for.
        reason: String,
    },
}

impl State {
    /// Its name, as it is told.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Connecting { .. } => "connecting",
            Self::Watching => "watching",
            Self::Live | Self::Heard | Self::LeftToIt { .. } | Self::LeftAsItIs { .. } => "live",
            Self::Paused | Self::AllStopped => "paused",
            Self::Degraded { .. } => "degraded",
            Self::NeedsAttention { .. } => "needs_attention",
        }
    }

    /// The sign and the word that stand for it: never a colour alone. `in_step`: does all show what it should?
    pub const fn sign(&self, in_step: bool) -> (&'static str, &'static str) {
        match self {
            Self::Live | Self::Heard if in_step => ("●", "in step"),
            Self::Live | Self::Heard => ("◐", "on its way"),
            Self::LeftToIt { .. } => ("○", "left to it"),
            Self::LeftAsItIs { .. } => ("■", "paused"),
            Self::Degraded { .. } => ("▲", "behind"),
            Self::Paused | Self::AllStopped => ("■", "paused"),
            Self::Watching => ("■", "watching"),
            Self::Connecting { .. } => ("✕", "needs you"),
            Self::NeedsAttention { .. } => ("✕", "needs you"),
        }
    }

    /// What is so, for a person: what happened first, what to do last.
    pub fn sentence(&self, system: &str) -> String {
        let since = |since: &Option<Instant>| since.map_or(String::new(), |at| format!(" since {at}"));
        match self {
            Self::Connecting { next: Some(next) } => format!("{system} is being connected. Next: {next}."),
            Self::Connecting { next: None } => {
                format!("{system} is ready: see what would change by a dry run, then watch it or go live.")
            }
            Self::Watching => format!("{system} is read and compared; nothing is sent until it goes live."),
            Self::Live => format!("{system} is kept equal."),
            Self::Heard => {
                format!("{system} tells us its numbers: where it is master our books follow them.")
            }
            Self::LeftToIt { numbers: 1 } => {
                format!("The one number of {system} is left to it: nothing is sent.")
            }
            Self::LeftToIt { numbers } => {
                format!("All {numbers} numbers of {system} are left to it: nothing is sent.")
            }
            Self::LeftAsItIs { numbers } => {
                let (number, stay) = if *numbers == 1 { ("number", "stays") } else { ("numbers", "stay") };
                format!(
                    "{system} is kept equal, but for {numbers} {number} that would fall to zero and {stay}: somebody rejected that. A sync \
                     of {system} asks again."
                )
            }
            Self::Paused => format!("{system} is paused: it is read, and nothing is sent."),
            Self::AllStopped => {
                format!("All pushing is stopped: {system} is read, and nothing is sent to any system.")
            }
            Self::Degraded { since: at, reason } => {
                format!("{system} fails{}, and is tried again: {reason}.", since(at))
            }
            Self::NeedsAttention { since: at, reason } => {
                format!("{system} waits for somebody{}: {reason}.", since(at))
            }
        }
    }
}

/// The state that these facts make.
pub fn state(facts: &Facts) -> State {
    if let Some(reason) = &facts.locked {
        return State::NeedsAttention { since: None, reason: reason.clone() };
    }
    let trouble = facts.trouble.clone().filter(|_| facts.connected);
    if let Some(Trouble { reason, since, .. }) = trouble.clone().filter(|trouble| !trouble.ends_by_itself) {
        return State::NeedsAttention { since, reason };
    }
    if facts.stage == Stage::Connecting {
        return State::Connecting { next: facts.next_step };
    }
    // That nothing is sent was chosen; that it cannot be read is still worth knowing, and is told beside it.
    if facts.paused {
        return State::Paused;
    }
    if facts.all_stopped && facts.stage == Stage::Live {
        return State::AllStopped;
    }
    match (trouble, facts.stage, facts.unsent.reason()) {
        (Some(Trouble { reason, since, .. }), ..) => State::Degraded { since, reason },
        (None, Stage::Watching, _) => State::Watching,
        (None, _, Some(reason)) => State::NeedsAttention { since: None, reason },
        (None, ..) if facts.one_way_in => State::Heard,
        (None, ..) if facts.unsent.rejected > 0 => State::LeftAsItIs { numbers: facts.unsent.rejected },
        (None, ..) if facts.unsent.of == 0 && facts.left_to_it > 0 => {
            State::LeftToIt { numbers: facts.left_to_it }
        }
        (None, ..) => State::Live,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn facts() -> Facts {
        Facts { stage: Stage::Live, connected: true, ..Facts::default() }
    }

    #[expect(clippy::unnecessary_wraps, reason = "as it is asked for")]
    fn trouble(ends_by_itself: bool) -> Option<Trouble> {
        Some(Trouble { reason: "it is ill".to_owned(), since: None, ends_by_itself })
    }

    #[test]
    fn what_a_person_must_do_comes_first_then_what_somebody_chose_then_how_it_works() {
        let key = Some("no key".to_owned());
        let (ill, refused) = (trouble(true), trouble(false));
        let at = |stage| Facts { stage, ..facts() };
        let paused = |facts: Facts| Facts { paused: true, ..facts };
        let all_stopped = |facts: Facts| Facts { all_stopped: true, ..facts };
        let unsent = Unsent { of: 3, waiting: 1, ..Unsent::default() };
        let waits = |facts: Facts| Facts { unsent: unsent.clone(), ..facts };
        let cases = [
            (facts(), "live"),
            (at(Stage::Watching), "watching"),
            (all_stopped(facts()), "paused"),
            (all_stopped(at(Stage::Watching)), "watching"),
            (waits(facts()), "needs_attention"),
            (waits(at(Stage::Watching)), "watching"),
            (waits(paused(facts())), "paused"),
            (waits(all_stopped(facts())), "paused"),
            (waits(Facts { trouble: ill.clone(), ..facts() }), "degraded"),
            (at(Stage::Connecting), "connecting"),
            (paused(facts()), "paused"),
            (paused(at(Stage::Watching)), "paused"),
            (paused(at(Stage::Connecting)), "connecting"),
            (Facts { trouble: ill.clone(), ..facts() }, "degraded"),
            (Facts { trouble: ill.clone(), ..at(Stage::Watching) }, "degraded"),
            (Facts { trouble: ill.clone(), ..at(Stage::Connecting) }, "connecting"),
            (paused(Facts { trouble: ill.clone(), ..facts() }), "paused"),
            (Facts { trouble: ill, connected: false, ..facts() }, "live"),
            (Facts { trouble: refused.clone(), ..facts() }, "needs_attention"),
            (paused(Facts { trouble: refused.clone(), ..facts() }), "needs_attention"),
            (Facts { trouble: refused, ..at(Stage::Connecting) }, "needs_attention"),
            (paused(Facts { locked: key, ..at(Stage::Connecting) }), "needs_attention"),
        ];
        for (facts, expected) in cases {
            assert_eq!(state(&facts).name(), expected, "{facts:?}");
        }
    }

    #[test]
    fn what_nothing_is_sent_for_is_said_by_what_keeps_it() {
        let mut unsent = Unsent { of: 9, ..Unsent::default() };
        assert_eq!(unsent.reason(), None);
        unsent.add(Stop::Held, "");
        assert_eq!(unsent.reason().unwrap(), "1 of its 9 numbers waits for an answer in the inbox");
        for why in [Stop::Asked, Stop::SecondMaster, Stop::Untaken] {
            unsent.add(why, "");
        }
        unsent.add(Stop::Refused, "no");
        unsent.add(Stop::Refused, "it is locked.");
        unsent.add(Stop::Untracked, "");
        unsent.add(Stop::Missing, "");
        assert_eq!(
            unsent.reason().unwrap(),
            "4 of its 9 numbers wait for an answer in the inbox; it refuses 2 of its 9 numbers, such as: it is locked; it does \
             not track stock of 1 of its 9 numbers; 1 of its 9 numbers is not there any more"
        );
        unsent.add(Stop::Missing, "");
        assert!(unsent.reason().unwrap().ends_with("2 of its 9 numbers are not there any more"));
    }

    #[test]
    fn what_is_live_and_sent_nothing_is_not_kept_equal() {
        let of = |of, rejected| Unsent { of, rejected, ..Unsent::default() };
        assert_eq!(state(&Facts { one_way_in: true, left_to_it: 3, ..facts() }), State::Heard);
        assert_eq!(state(&Facts { left_to_it: 3, ..facts() }), State::LeftToIt { numbers: 3 });
        assert_eq!(state(&Facts { left_to_it: 3, unsent: of(1, 0), ..facts() }), State::Live);
        assert_eq!(state(&Facts { unsent: of(9, 2), ..facts() }), State::LeftAsItIs { numbers: 2 });
        assert_eq!(state(&Facts { unsent: of(9, 2), paused: true, ..facts() }), State::Paused);
    }

    #[test]
    fn each_state_has_a_sign_with_a_word_and_a_sentence() {
        let since = Some(Instant::parse("2026-11-23T13:20:00Z").unwrap());
        let reason = "its key was refused".to_owned();
        let all = [
            (State::Live, "● in step", "Shop is kept equal."),
            (
                State::Heard,
                "● in step",
                "Shop tells us its numbers: where it is master our books follow them.",
            ),
            (
                State::LeftToIt { numbers: 20 },
                "○ left to it",
                "All 20 numbers of Shop are left to it: nothing is sent.",
            ),
            (
                State::LeftAsItIs { numbers: 1 },
                "■ paused",
                "Shop is kept equal, but for 1 number that would fall to zero and stays: somebody rejected that.",
            ),
            (State::Paused, "■ paused", "Shop is paused: it is read, and nothing is sent."),
            (
                State::AllStopped,
                "■ paused",
                "All pushing is stopped: Shop is read, and nothing is sent to any system.",
            ),
            (State::Watching, "■ watching", "Shop is read and compared; nothing is sent until it goes live."),
            (
                State::Connecting { next: Some("map its locations") },
                "✕ needs you",
                "Next: map its locations.",
            ),
            (State::Connecting { next: None }, "✕ needs you", "Shop is ready"),
            (
                State::Degraded { since, reason: reason.clone() },
                "▲ behind",
                "Shop fails since 2026-11-23T13:20:00Z, and is tried again: its key was refused.",
            ),
            (
                State::NeedsAttention { since: None, reason },
                "✕ needs you",
                "Shop waits for somebody: its key",
            ),
        ];
        for (state, sign, sentence) in all {
            let (shown, word) = state.sign(true);
            assert_eq!(format!("{shown} {word}"), sign);
            assert!(state.sentence("Shop").contains(sentence), "{}", state.sentence("Shop"));
        }
        assert_eq!(State::Live.sign(false), ("◐", "on its way"));
    }
}
