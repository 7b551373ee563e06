//! The sentences in which Onhand says why a system shows what it shows. The same in API, terminal and pages.

use onhand_ledger::{Instant, Quantity};
use serde::{Deserialize, Serialize};

use crate::desired::{Halt, Shown};

/// Why nothing is sent for a listing.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Stop {
    /// The system refuses what we send.
    Refused,
    /// Another program writes the number that we write.
    SecondMaster,
    /// The system does not track stock of it.
    Untracked,
    /// The system has no such listing any more.
    Missing,
    /// An order of it could not be taken: what it sold is not known here.
    Untaken,
    /// Somebody changed it over there, and a person is asked what shall become of that.
    Asked,
    /// It would fall to zero with many others, by no order: a person is asked.
    Held,
}

impl Stop {
    /// Does only a person end it (or what it asks about being over)?
    pub const fn waits_for_person(self) -> bool {
        matches!(self, Self::SecondMaster | Self::Untaken | Self::Asked | Self::Held)
    }
}

/// What our books make of the number of a system that tells us.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub enum Books {
    /// Nothing: it is not master of what it shows.
    #[default]
    Apart,
    /// They follow it.
    Follow,
    /// They follow it once its orders leave it a pause.
    Lag {
        /// Since when they left it none.
        since: Instant,
    },
    /// They should, and do not.
    Differ {
        /// Does that wait for a person?
        needs_somebody: bool,
        /// Why, as a sentence.
        sentence: String,
    },
}

/// What a change over there that nothing explains may be, other than somebody's.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Doubt {
    /// A write of ours that arrived late.
    LateWrite,
    /// A part of what an order did.
    PartOfOrder,
    /// It is a change, of which nobody can say by how much: what was sold around a write of ours may be overwritten.
    Amount,
}

impl Doubt {
    /// What else explains it, in words.
    const fn words(self) -> Option<&'static str> {
        match self {
            Self::LateWrite => Some("a number that we sent before and whose answer was lost"),
            Self::PartOfOrder => Some("an order that changed several times"),
            Self::Amount => None,
        }
    }
}

/// What is known of a listing at a remote location.
#[expect(clippy::struct_excessive_bools, reason = "facts that are independent of each other")]
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Status {
    /// What it shows now as far as is known: what was acknowledged, and what was done over there since.
    pub acknowledged: Option<Quantity>,
    /// What was last read, and when.
    pub observed: Option<(Quantity, Instant)>,
    /// What was sent and is not answered, and when.
    pub unanswered: Option<(Quantity, Instant)>,
    /// Why nothing is sent, and what the system said.
    pub stopped: Option<(Stop, String)>,
    /// It was held, and somebody rejected that it falls to zero.
    pub zero_rejected: bool,
    /// Nothing is pushed to the system: somebody paused it.
    pub paused: bool,
    /// Nothing is pushed to any system.
    pub all_stopped: bool,
    /// The system tells us its numbers; none are sent.
    pub one_way_in: bool,
    /// What was sent last is 0.
    pub zero_was_sent: bool,
    /// What our books make of its number, where it tells us.
    pub books: Books,
    /// When the next batch goes, where numbers go in batches.
    pub next_batch: Option<Instant>,
    /// When the last one went.
    pub last_batch: Option<Instant>,
    /// When it goes, where it waits for what else changes.
    pub goes_at: Option<Instant>,
    /// Nothing is pushed to it yet: it is only compared.
    pub watched: bool,
    /// What the system as a whole fails with.
    pub trouble: Option<String>,
    /// Can only a person end that?
    pub needs_somebody: bool,
    /// A number that was read and that nothing explains yet, and when it was first: it is looked at again before it is believed.
    pub suspected: Option<(Quantity, Instant)>,
    /// The system did something to it by itself that is not known to be in what was read.
    pub did_by_itself: bool,
    /// What somebody over there changed, where nothing explains it and no push of ours has answered it: from, to, and when that was read.
    pub drift: Option<(Quantity, Quantity, Instant)>,
    /// What else that may be.
    pub doubt: Option<Doubt>,
    /// How long it usually takes from a change to its acknowledgement, in milliseconds; none where that is not known.
    pub usual_lag: Option<u32>,
    /// … and one time in twenty.
    pub slow_lag: Option<u32>,
}

impl Status {
    /// The number it shows, as far as is known.
    pub fn shows(&self) -> Option<Quantity> {
        self.observed.map(|(quantity, _)| quantity).or(self.acknowledged)
    }

    /// By what is known of it, does it show what it should?
    fn is_in_step(&self, shown: &Shown) -> bool {
        self.shows() == Some(shown.quantity) && self.unanswered.is_none() && self.suspected.is_none()
    }

    /// When it goes, where that is not now, and how.
    fn goes(&self, now: Instant) -> Option<(String, &'static str)> {
        match (self.next_batch, self.goes_at.filter(|at| *at > now)) {
            (Some(at), _) => Some((format!("with the batch of {at}"), "")),
            (None, Some(at)) => Some((format!("at {at}"), ", with what else changes until then")),
            (None, None) => None,
        }
    }

    fn is_held(&self) -> bool {
        matches!(self.stopped, Some((Stop::Held, _)))
    }

    fn fails_for_good(&self) -> bool {
        self.needs_somebody && self.trouble.is_some()
    }

    /// What it fails with, and who ends that.
    fn trouble(&self) -> Option<String> {
        // What a system answers may be a sentence already.
        let trouble = self.trouble.as_ref()?.trim_end_matches('.');
        let end =
            if self.needs_somebody { "Somebody must see to that" } else { "It is tried again by itself" };
        Some(format!("{trouble}. {end}."))
    }
}

/// How a number stands, for a sign and a word.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Standing {
    /// It shows what it should.
    InStep,
    /// It differs, and lag explains it.
    OnItsWay,
    /// It differs longer than its usual lag.
    Behind,
    /// Somebody paused it.
    Paused,
    /// It waits for a person.
    NeedsYou,
    /// A rule leaves the number to the system.
    LeftToIt,
}

/// Where no lag is known yet, what differs for so long is behind, in milliseconds.
const LAG_UNLESS_KNOWN: i64 = 60_000;
/// What differs for less than this is on its way, however quick it usually is, in milliseconds.
const LEAST_LAG: i64 = 1_000;

/// What was read longer ago than this, in seconds, is told with its time, where nobody else keeps the number as it is.
const READ_LATELY: i64 = 300;

impl Standing {
    /// Of a number that should have been what it should be since an instant.
    pub fn of(status: &Status, shown: &Shown, since: Option<Instant>, now: Instant) -> Self {
        if shown.is_skipped && !status.one_way_in {
            return Self::LeftToIt;
        }
        if status.zero_rejected && status.is_held() {
            return Self::Paused;
        }
        if status.stopped.is_some() || status.fails_for_good() {
            return Self::NeedsYou;
        }
        if let Books::Differ { needs_somebody, .. } = status.books {
            return if needs_somebody { Self::NeedsYou } else { Self::Paused };
        }
        if matches!(status.books, Books::Lag { .. }) {
            return Self::Behind;
        }
        // Its number is its own where it tells us.
        if status.one_way_in || status.is_in_step(shown) {
            return match &status.trouble {
                None => Self::InStep,
                Some(_) if status.paused || status.all_stopped => Self::Paused,
                // It did when it was last read; nobody can tell whether it still does.
                Some(_) => Self::Behind,
            };
        }
        if status.paused || status.all_stopped {
            return Self::Paused;
        }
        let usual = status.slow_lag.map_or(LAG_UNLESS_KNOWN, |slow| (2 * i64::from(slow)).max(LEAST_LAG));
        let since = status.suspected.map(|(_, at)| at).or(since);
        // What came after the last batch waits for the next.
        let waits = |since: Instant| status.last_batch.is_none_or(|last| last < since);
        let since = since.map(|since| status.next_batch.filter(|_| waits(since)).unwrap_or(since));
        // And what is gathered before it goes is due when it goes.
        let since = since.map(|since| status.goes_at.map_or(since, |at| at.max(since)));
        let differs = since.map_or(0, |since| (now.micros() - since.micros()) / 1_000);
        if differs > usual { Self::Behind } else { Self::OnItsWay }
    }

    /// Its sign: shape and word say the same, so that colour need not.
    pub const fn sign(self) -> char {
        match self {
            Self::InStep => '●',
            Self::OnItsWay => '◐',
            Self::Behind => '▲',
            Self::Paused => '■',
            Self::NeedsYou => '✕',
            Self::LeftToIt => '○',
        }
    }

    /// Its name in JSON.
    pub const fn name(self) -> &'static str {
        match self {
            Self::InStep => "in_step",
            Self::OnItsWay => "on_its_way",
            Self::Behind => "behind",
            Self::Paused => "paused",
            Self::NeedsYou => "needs_you",
            Self::LeftToIt => "left_to_it",
        }
    }

    /// Its sign, by its name in JSON; none where there is no such name.
    pub fn sign_of(name: &str) -> Option<char> {
        let all = [Self::InStep, Self::OnItsWay, Self::Behind, Self::Paused, Self::NeedsYou, Self::LeftToIt];
        all.into_iter().find(|standing| standing.name() == name).map(Self::sign)
    }

    /// Its word.
    pub const fn word(self) -> &'static str {
        match self {
            Self::InStep => "in step",
            Self::OnItsWay => "on its way",
            Self::Behind => "behind",
            Self::Paused => "paused",
            Self::NeedsYou => "needs you",
            Self::LeftToIt => "left to it",
        }
    }
}

/// One or two plain sentences: what it shows, what it should, and why it does not.
pub fn explain(system: &str, status: &Status, shown: &Shown, now: Instant) -> String {
    let halted = shown.halt.as_ref().map(|halt| {
        let Halt { what, by, at, reason, .. } = halt;
        format!(" Selling of {what} was stopped by {by} at {at}: {reason}.")
    });
    if shown.is_masters {
        let its = "is master of what it sells from: the number is its own, and nothing is sent";
        let mut sentence = match status.shows() {
            Some(shows) => format!("{system} shows {shows}. It {its}."),
            None => format!("{system} {its}."),
        };
        if let Some(halted) = halted {
            sentence.push_str(&halted);
            sentence.push_str(" It has to be stopped over there too.");
        }
        return sentence;
    }
    if shown.is_skipped && !status.one_way_in {
        let rule = shown.rule.map(|rule| format!(" by rule {rule}")).unwrap_or_default();
        return match status.shows() {
            Some(shows) if status.zero_was_sent && shows.is_zero() => format!(
                "{system} shows 0; the number is left to it{rule}. 0 is what was sent while its selling was stopped: set it over there to \
                 sell it again."
            ),
            Some(shows) => {
                let is = format!("{system} shows {shows}; the number is left to it{rule}.");
                match (status.trouble(), status.observed) {
                    (Some(trouble), Some((_, at))) => format!("{is} It was last heard of at {at}: {trouble}"),
                    _ => is,
                }
            }
            None => format!("What {system} shows is left to it{rule}."),
        };
    }
    let mut sentence = explain_number(system, status, shown, now);
    if let Some(halted) = halted {
        sentence.push_str(&halted);
        if status.one_way_in {
            sentence.push_str(" It has to be stopped over there too.");
        }
    }
    sentence
}

fn explain_number(system: &str, status: &Status, shown: &Shown, now: Instant) -> String {
    let desired = shown.quantity;
    if status.one_way_in && status.shows().is_none() {
        let it_is = format!("{system} is one-way in: it tells us, and nothing is sent to it.");
        return match &status.books {
            Books::Differ { sentence, .. } => format!("{it_is} It is master of that stock. {sentence}"),
            Books::Apart | Books::Follow | Books::Lag { .. } => it_is,
        };
    }
    let Some(shows) = status.shows() else {
        return match status.trouble() {
            Some(trouble) => format!("{system} should show {desired}; it has not been read yet: {trouble}"),
            None => format!("{system} should show {desired}; it has not been read yet."),
        };
    };
    if status.one_way_in {
        let it_shows = match (status.trouble(), status.observed) {
            (Some(trouble), Some((_, at))) => {
                format!(
                    "{system} showed {shows} when it was last heard of, at {at}; nobody can tell whether it still does: {trouble}"
                )
            }
            (None, Some((_, at))) if at.plus_seconds(READ_LATELY) < now => {
                format!("{system} showed {shows} when it was last read, at {at}.")
            }
            _ => format!("{system} shows {shows}."),
        };
        let it_shows = format!("{it_shows} It is one-way in: it tells us, and nothing is sent to it.");
        return match &status.books {
            Books::Apart => it_shows,
            Books::Follow => {
                format!(
                    "{it_shows} It is master of that stock: our books follow it, once its orders up to then are known."
                )
            }
            Books::Lag { since } => format!(
                "{it_shows} It is master of that stock. Since {since} it has sold so often that nobody can tell which of its orders that \
                 number has in it: our books have its orders, and follow its number again once it is read with none just before or after."
            ),
            Books::Differ { sentence, .. } => format!("{it_shows} It is master of that stock. {sentence}"),
        };
    }
    let both = format!("{system} shows {shows} and should show {desired}.");
    match &status.stopped {
        Some((Stop::Refused, reason)) => {
            return format!("{both} It refuses the change: {}.", reason.trim_end_matches('.'));
        }
        Some((Stop::Asked, reason)) => return format!("{both} {reason}"),
        Some((Stop::Held, _)) if status.zero_rejected => {
            return format!(
                "{both} It was one of many that would fall to zero at once, and somebody rejected that: it stays until what made \
                 it zero is undone, or a sync of {system} asks again."
            );
        }
        Some((Stop::Held, _)) => {
            return format!(
                "{both} It is one of many that would fall to zero at once, by no order: it is held until somebody approves."
            );
        }
        Some((Stop::Untaken, reason)) => return format!("{both} Nothing is sent: {reason}"),
        Some((Stop::SecondMaster, reason)) => return format!("{both} We stopped sending: {reason}."),
        Some((Stop::Untracked, _)) => {
            return format!(
                "{system} does not track stock of this product: it shows {shows} and sells it without end. \
                 It should show {desired}; let {system} track its inventory."
            );
        }
        Some((Stop::Missing, _)) => {
            return format!("{system} has no such listing any more; it should show {desired}.");
        }
        None => {}
    }
    if let (Some((seen, at)), None) = (status.suspected, &status.trouble) {
        let why = if status.did_by_itself {
            "What it did by itself may explain that"
        } else {
            "Nothing explains that yet"
        };
        return format!(
            "{system} showed {seen} at {at} and should show {desired}. {why}: it is looked at again before it is believed."
        );
    }
    let is_set_back = !status.paused && !status.all_stopped && !status.watched && status.trouble.is_none();
    if let Some((from, to, at)) =
        status.drift.filter(|(_, to, _)| shows == *to && shows != desired && is_set_back)
    {
        let changed = match status.doubt.map(Doubt::words) {
            None => format!(
                "Somebody changed it in {system} before {at}, from {from} to {to}; no sale or push of ours explains it."
            ),
            Some(None) => format!(
                "Somebody changed it in {system} before {at}, to {to}; from how many is not sure, for it sold some just as we wrote its number."
            ),
            Some(Some(other)) => format!(
                "It changed in {system} before {at}, from {from} to {to}: somebody changed it, or {other} explains it."
            ),
        };
        return match status.goes(now) {
            Some((when, _)) => format!("{changed} It is set to {desired} {when}."),
            None => format!("{changed} It is being set to {desired}."),
        };
    }
    if status.is_in_step(shown) {
        if let Some(trouble) = status.trouble() {
            let read = status.observed.map_or(String::new(), |(_, at)| format!(", at {at}"));
            return format!(
                "{system} showed {shows} when it was last heard of{read}, as it should; nobody can tell whether it still \
                 does: {trouble}"
            );
        }
        let (available, because) = (shown.available, shown.because());
        return match (shown.rule, because.is_empty()) {
            _ if shown.halt.is_some() => {
                format!("{system} shows {shows}, as it should: {available} available.")
            }
            (Some(rule), false) => {
                format!("{system} shows {shows}: {available} available, {because} (rule {rule}).")
            }
            (None, false) => format!("{system} shows {shows}: {available} available, {because}."),
            _ => format!("{system} shows {shows}, as it should."),
        };
    }
    if status.all_stopped {
        return format!("{both} All pushing is stopped: nothing is sent to any system.");
    }
    if status.paused {
        return format!("{both} It is paused: nothing is sent.");
    }
    if status.watched {
        return format!("{both} It is only compared: nothing is sent until {system} goes live.");
    }
    if let Some(trouble) = status.trouble() {
        let Some((sent, sent_at)) = status.unanswered else { return format!("{both} {trouble}") };
        return format!(
            "{system} showed {shows} before {sent_at}, when it was sent {sent}, and has not answered: nobody can tell which of them it shows. It \
             should show {desired}. {trouble}"
        );
    }
    match status.unanswered {
        Some((sent, at)) => {
            let ago = crate::in_words((now.micros() - at.micros()) / 1_000);
            let usual = status.usual_lag.map_or(String::new(), |usual| {
                format!("; its usual lag is {}", crate::in_words(i64::from(usual)))
            });
            format!("{both} Sent {sent} {ago} ago, not yet acknowledged{usual}.")
        }
        None if status.acknowledged == Some(desired) => {
            format!("{both} By what it did since it was read, it does by now; it is read again in a moment.")
        }
        None => match status.goes(now) {
            Some((when, with)) => format!("{both} It goes {when}{with}."),
            None => format!("{both} It is about to be sent."),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::desired::Step;
    use onhand_ledger::RuleId;

    fn shown(quantity: i64) -> Shown {
        Shown {
            quantity: Quantity::units(quantity),
            available: Quantity::units(quantity),
            ..Shown::default()
        }
    }

    #[test]
    fn what_differs_is_on_its_way_until_its_lag_is_over() {
        let now = Instant::from_micros(600_000_000);
        let read =
            |quantity| Status { observed: Some((Quantity::units(quantity), now)), ..Status::default() };
        let of = |status: &Status, seconds: i64| {
            Standing::of(status, &shown(96), Some(now.plus_seconds(-seconds)), now)
        };
        assert_eq!(of(&read(96), 1), Standing::InStep);
        assert_eq!((of(&read(92), 60), of(&read(92), 61)), (Standing::OnItsWay, Standing::Behind));
        let quick = Status { slow_lag: Some(2_000), ..read(92) };
        assert_eq!((of(&quick, 4), of(&quick, 5)), (Standing::OnItsWay, Standing::Behind));
        let paused = Status { paused: true, ..read(92) };
        assert_eq!(
            (of(&paused, 61), of(&Status { paused: true, ..read(96) }, 61)),
            (Standing::Paused, Standing::InStep)
        );
        let stopped = Status { stopped: Some((Stop::SecondMaster, String::new())), ..paused };
        assert_eq!(of(&stopped, 1), Standing::NeedsYou);
        let unanswered = Status { unanswered: Some((Quantity::units(96), now)), ..read(96) };
        assert_eq!(of(&unanswered, 1), Standing::OnItsWay);
    }

    #[test]
    fn a_standing_has_its_sign_its_name_and_its_word() {
        for (standing, sign, name, word) in [
            (Standing::InStep, '●', "in_step", "in step"),
            (Standing::OnItsWay, '◐', "on_its_way", "on its way"),
            (Standing::Behind, '▲', "behind", "behind"),
            (Standing::Paused, '■', "paused", "paused"),
            (Standing::NeedsYou, '✕', "needs_you", "needs you"),
            (Standing::LeftToIt, '○', "left_to_it", "left to it"),
        ] {
            assert_eq!((standing.sign(), standing.name(), standing.word()), (sign, name, word));
            assert_eq!(Standing::sign_of(name), Some(sign));
        }
        assert_eq!(Standing::sign_of("in step"), None);
    }

    #[test]
    fn what_a_person_decided_to_stop_or_is_asked_about_only_a_person_ends() {
        let waits = [Stop::SecondMaster, Stop::Untaken, Stop::Asked, Stop::Held];
        assert!(waits.into_iter().all(Stop::waits_for_person));
        let ends_by_itself = [Stop::Refused, Stop::Untracked, Stop::Missing];
        assert!(!ends_by_itself.into_iter().any(Stop::waits_for_person));
    }

    #[test]
    fn what_somebody_changed_over_there_is_said_while_it_is_being_set_back() {
        let now = Instant::from_micros(60_000_000);
        let units = Quantity::units;
        let drifted = |shows| Status {
            observed: Some((units(shows), now)),
            drift: Some((units(101), units(97), now)),
            ..Status::default()
        };
        let said = |status: &Status| explain("Woo", status, &shown(101), now);
        assert_eq!(
            said(&drifted(97)),
            "Somebody changed it in Woo before 1970-01-01T00:01:00Z, from 101 to 97; no sale or push of ours explains \
             it. It is being set to 101."
        );
        let later = now.plus_seconds(60);
        let waits = Status { goes_at: Some(later), ..drifted(97) };
        assert!(said(&waits).ends_with("It is set to 101 at 1970-01-01T00:02:00Z."), "{}", said(&waits));
        let batch = Status { next_batch: Some(later), ..drifted(97) };
        let when = "It is set to 101 with the batch of 1970-01-01T00:02:00Z.";
        assert!(said(&batch).ends_with(when), "{}", said(&batch));
        let doubted = |doubt| said(&Status { doubt: Some(doubt), ..drifted(97) });
        for (doubt, what) in [
            (Doubt::LateWrite, "a number that we sent before and whose answer was lost"),
            (Doubt::PartOfOrder, "an order that changed several times"),
        ] {
            assert_eq!(
                doubted(doubt),
                format!(
                    "It changed in Woo before 1970-01-01T00:01:00Z, from 101 to 97: somebody changed it, or {what} explains it. It is being \
                     set to 101."
                )
            );
        }
        let amount = said(&Status { doubt: Some(Doubt::Amount), ..drifted(97) });
        assert!(amount.contains("to 97; from how many is not sure, for it sold some"), "{amount}");
        assert_eq!(said(&drifted(101)), "Woo shows 101, as it should.");
        // What was set back before is no cause of what differs by now.
        assert_eq!(said(&drifted(99)), "Woo shows 99 and should show 101. It is about to be sent.");
        let held = Status { stopped: Some((Stop::Held, String::new())), ..drifted(9) };
        assert!(said(&held).ends_with("it is held until somebody approves."), "{}", said(&held));
        let rejected = Status { zero_rejected: true, ..held };
        assert!(
            said(&rejected)
                .ends_with("it stays until what made it zero is undone, or a sync of Woo asks again."),
            "{}",
            said(&rejected)
        );
        let of = |status: &Status| Standing::of(status, &shown(101), None, now);
        assert_eq!(
            (of(&rejected), of(&Status { zero_rejected: false, ..rejected.clone() })),
            (Standing::Paused, Standing::NeedsYou)
        );
        let refused = Status { stopped: Some((Stop::Refused, "it is locked.".to_owned())), ..drifted(9) };
        assert!(said(&refused).ends_with("It refuses the change: it is locked."), "{}", said(&refused));
        for (status, why) in [
            (Status { paused: true, ..drifted(97) }, "It is paused: nothing is sent."),
            (
                Status { all_stopped: true, ..drifted(97) },
                "All pushing is stopped: nothing is sent to any system.",
            ),
            (
                Status { watched: true, ..drifted(97) },
                "It is only compared: nothing is sent until Woo goes live.",
            ),
        ] {
            assert_eq!(said(&status), format!("Woo shows 97 and should show 101. {why}"));
        }
    }

    #[test]
    fn sentences() {
        let now = Instant::from_micros(60_000_000);
        let plain = |quantity| Shown {
            quantity: Quantity::units(quantity),
            available: Quantity::units(101),
            ..Shown::default()
        };
        let read =
            |quantity| Status { observed: Some((Quantity::units(quantity), now)), ..Status::default() };
        assert_eq!(explain("Shopify", &read(101), &plain(101), now), "Shopify shows 101, as it should.");
        let ruled =
            Shown { rule: Some(RuleId(7)), steps: vec![Step::KeptBack(Quantity::units(5))], ..plain(96) };
        assert_eq!(
            explain("Amazon", &read(96), &ruled, now),
            "Amazon shows 96: 101 available, 5 kept back (rule 7)."
        );
        let sent = Status { unanswered: Some((Quantity::units(101), now.plus_seconds(-2))), ..read(97) };
        assert_eq!(
            explain("Woo", &sent, &plain(101), now),
            "Woo shows 97 and should show 101. Sent 101 2 s ago, not yet acknowledged."
        );
        let usual = Status { usual_lag: Some(3_000), ..sent.clone() };
        assert_eq!(
            explain("Woo", &usual, &plain(101), now),
            "Woo shows 97 and should show 101. Sent 101 2 s ago, not yet acknowledged; its usual lag is 3 s."
        );
        let packed = Shown { steps: vec![Step::Packs(6)], ..plain(16) };
        assert_eq!(explain("Woo", &read(16), &packed, now), "Woo shows 16: 101 available, in packs of 6.");
        let sold = Status { acknowledged: Some(Quantity::units(101)), ..read(97) };
        assert_eq!(
            explain("Woo", &sold, &plain(101), now),
            "Woo shows 97 and should show 101. By what it did since it was read, it does by now; it is read again in a \
             moment."
        );
        let masters = Shown { is_skipped: true, is_masters: true, ..plain(96) };
        let own = "is master of what it sells from: the number is its own, and nothing is sent.";
        assert_eq!(explain("Till", &read(3), &masters, now), format!("Till shows 3. It {own}"));
        assert_eq!(explain("Till", &Status::default(), &masters, now), format!("Till {own}"));
        let left = Shown { is_skipped: true, ..ruled };
        assert_eq!(
            explain("Amazon", &read(3), &left, now),
            "Amazon shows 3; the number is left to it by rule 7."
        );
        let halt = Halt {
            rule: RuleId(9),
            what: "MUG".into(),
            reason: "the glaze has lead in it".into(),
            by: "Ada".into(),
            at: Instant::from_micros(0),
        };
        let stopped = Shown { halt: Some(halt), ..plain(0) };
        let why = "Selling of MUG was stopped by Ada at 1970-01-01T00:00:00Z: the glaze has lead in it.";
        assert_eq!(
            explain("Woo", &read(0), &stopped, now),
            format!("Woo shows 0, as it should: 101 available. {why}")
        );
        assert_eq!(
            explain("Woo", &read(5), &stopped, now),
            format!("Woo shows 5 and should show 0. It is about to be sent. {why}")
        );
        let masters = Shown { is_masters: true, is_skipped: true, ..stopped.clone() };
        assert_eq!(
            explain("Till", &read(3), &masters, now),
            format!("Till shows 3. It {own} {why} It has to be stopped over there too.")
        );
        let waits = |at| Status { goes_at: Some(at), ..read(97) };
        assert_eq!(
            explain("Woo", &waits(now.plus_seconds(30)), &plain(101), now),
            "Woo shows 97 and should show 101. It goes at 1970-01-01T00:01:30Z, with what else changes until then."
        );
        assert_eq!(
            explain("Woo", &waits(now), &plain(101), now),
            "Woo shows 97 and should show 101. It is about to be sent."
        );
        let batch = Status { next_batch: Some(now), ..read(97) };
        // It came after the last batch, or was left behind by it.
        let stands = |last: i64| {
            let batch = Status {
                next_batch: Some(now.plus_seconds(600)),
                last_batch: Some(now.plus_seconds(last)),
                ..read(97)
            };
            Standing::of(&batch, &plain(101), Some(now.plus_seconds(-900)), now)
        };
        assert_eq!((stands(-1_200), stands(-600)), (Standing::OnItsWay, Standing::Behind));
        assert_eq!(
            explain("Woo", &batch, &plain(101), now),
            "Woo shows 97 and should show 101. It goes with the batch of 1970-01-01T00:01:00Z."
        );
        let all_stopped = Status { all_stopped: true, ..batch };
        assert!(explain("Woo", &all_stopped, &plain(101), now).contains("All pushing is stopped"));
        let inward = Status { one_way_in: true, ..read(97) };
        assert_eq!(
            explain("Berlin", &inward, &plain(101), now),
            "Berlin shows 97. It is one-way in: it tells us, and nothing is sent to it."
        );
        let halt =
            Halt { rule: RuleId(3), what: "MUG".into(), by: "ann".into(), at: now, reason: "recall".into() };
        let halted = Shown { halt: Some(halt), ..plain(0) };
        let said = explain("Berlin", &inward, &halted, now);
        assert!(said.ends_with("recall. It has to be stopped over there too."), "{said}");
        let sold = Status { books: Books::Lag { since: now }, ..inward };
        let said = explain("Berlin", &sold, &plain(101), now);
        assert!(said.contains("Since 1970-01-01T00:01:00Z it has sold so often"), "{said}");
        let left = Shown { is_skipped: true, ..plain(5) };
        let zeroed = Status { zero_was_sent: true, ..read(0) };
        assert!(explain("Woo", &zeroed, &left, now).ends_with("set it over there to sell it again."));
        assert_eq!(explain("Woo", &read(0), &left, now), "Woo shows 0; the number is left to it.");
        let untracked = Status { stopped: Some((Stop::Untracked, String::new())), ..read(97) };
        assert!(explain("Woo", &untracked, &plain(97), now).contains("sells it without end"));
        let down = Status { trouble: Some("Woo cannot be reached: no route".into()), ..read(97) };
        assert_eq!(
            explain("Woo", &down, &plain(101), now),
            "Woo shows 97 and should show 101. Woo cannot be reached: no route. It is tried again by itself."
        );
    }

    #[test]
    fn of_what_cannot_be_read_nobody_says_that_it_is_as_it_should_be() {
        let now = Instant::from_micros(60_000_000);
        let read = |quantity| Status {
            observed: Some((Quantity::units(quantity), now)),
            trouble: Some("Woo cannot be reached: no route.".into()),
            ..Status::default()
        };
        let of = |status: &Status| Standing::of(status, &shown(96), Some(now), now);
        let said = |status: &Status| explain("Woo", status, &shown(96), now);
        assert_eq!((of(&read(96)), of(&read(92))), (Standing::Behind, Standing::OnItsWay));
        assert_eq!(
            said(&read(96)),
            "Woo showed 96 when it was last heard of, at 1970-01-01T00:01:00Z, as it should; nobody can tell whether it \
             still does: Woo cannot be reached: no route. It is tried again by itself."
        );
        let paused = Status { paused: true, ..read(96) };
        let all_stopped = Status { all_stopped: true, ..read(96) };
        assert_eq!((of(&paused), of(&all_stopped)), (Standing::Paused, Standing::Paused));
        let inward = Status { one_way_in: true, ..read(92) };
        assert!(
            said(&inward).starts_with("Woo showed 92 when it was last heard of, at 1970"),
            "{}",
            said(&inward)
        );
        let refused = Status { needs_somebody: true, ..read(96) };
        assert_eq!((of(&inward), of(&refused)), (Standing::Behind, Standing::NeedsYou));
        assert!(said(&refused).ends_with("no route. Somebody must see to that."), "{}", said(&refused));
        let over = Status { trouble: None, ..refused };
        assert_eq!((of(&over), said(&over).as_str()), (Standing::InStep, "Woo shows 96, as it should."));
        let changed = Status { drift: Some((Quantity::units(96), Quantity::units(92), now)), ..read(92) };
        assert!(said(&changed).ends_with("no route. It is tried again by itself."), "{}", said(&changed));
        let suspected = Status { suspected: Some((Quantity::units(50), now)), ..read(96) };
        assert!(said(&suspected).contains("no route"), "{}", said(&suspected));
    }

    #[test]
    fn what_nothing_explains_yet_is_looked_at_again_and_not_in_step() {
        let seen = Instant::from_micros(60_000_000);
        let suspected = Status {
            observed: Some((Quantity::units(96), seen)),
            suspected: Some((Quantity::units(92), seen)),
            ..Status::default()
        };
        let of = |seconds| {
            Standing::of(&suspected, &shown(96), Some(seen.plus_seconds(-900)), seen.plus_seconds(seconds))
        };
        assert_eq!((of(60), of(61)), (Standing::OnItsWay, Standing::Behind));
        assert_eq!(
            explain("Woo", &suspected, &shown(96), seen),
            "Woo showed 92 at 1970-01-01T00:01:00Z and should show 96. Nothing explains that yet: it is looked at again \
             before it is believed."
        );
        let sold = Status { did_by_itself: true, ..suspected };
        assert_eq!(
            explain("Woo", &sold, &shown(96), seen),
            "Woo showed 92 at 1970-01-01T00:01:00Z and should show 96. What it did by itself may explain that: it is \
             looked at again before it is believed."
        );
    }
}
