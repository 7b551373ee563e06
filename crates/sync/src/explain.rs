//! The sentences in which Onhand says why a system shows what it shows. The same in API, terminal and pages.

use onhand_ledger::{Instant, Quantity};
use serde::{Deserialize, Serialize};

use crate::desired::Shown;

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
}

/// What is known of a listing at a remote location.
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
    /// Nothing is pushed to the system.
    pub paused: bool,
    /// What the system as a whole fails with.
    pub trouble: Option<String>,
    /// What somebody over there changed, where nothing explains it: from, to, and when that was read.
    pub drift: Option<(Quantity, Quantity, Instant)>,
}

/// One or two plain sentences: what it shows, what it should, and why it does not.
pub fn explain(system: &str, status: &Status, shown: &Shown, now: Instant) -> String {
    let desired = shown.quantity;
    let Some(shows) = status.observed.map(|(quantity, _)| quantity).or(status.acknowledged) else {
        return match &status.trouble {
            Some(trouble) => format!("{system} should show {desired}; it has not been read yet: {trouble}."),
            None => format!("{system} should show {desired}; it has not been read yet."),
        };
    };
    let both = format!("{system} shows {shows} and should show {desired}.");
    match &status.stopped {
        Some((Stop::Refused, reason)) => return format!("{both} It refuses the change: {reason}."),
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
    if let Some((from, to, at)) = status.drift.filter(|_| shows != desired && !status.paused) {
        return format!(
            "Somebody changed it in {system} before {at}, from {from} to {to}; no sale or push of ours explains it. \
             It is being set to {desired}."
        );
    }
    if shows == desired && status.unanswered.is_none() {
        return match (shown.rule, shown.because.is_empty()) {
            (Some(rule), false) => {
                let (available, because) = (shown.available, &shown.because);
                format!("{system} shows {shows}: {available} available, {because} (rule {rule}).")
            }
            (None, false) => {
                format!("{system} shows {shows}: {} available, {}.", shown.available, shown.because)
            }
            _ => format!("{system} shows {shows}, as it should."),
        };
    }
    if status.paused {
        return format!("{both} It is paused: nothing is sent.");
    }
    if let Some(trouble) = &status.trouble {
        return format!("{both} {trouble}. It is tried again by itself.");
    }
    match status.unanswered {
        Some((sent, at)) => {
            let seconds = (now.micros() - at.micros()).max(0) / 1_000_000;
            format!("{both} Sent {sent} {seconds} s ago, not yet acknowledged.")
        }
        None if status.acknowledged == Some(desired) => {
            format!("{both} By what it did since it was read, it does by now; it is read again in a moment.")
        }
        None => format!("{both} It is about to be sent."),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use onhand_ledger::RuleId;

    #[test]
    fn sentences() {
        let now = Instant::from_micros(60_000_000);
        let plain = |quantity| Shown {
            quantity: Quantity::units(quantity),
            available: Quantity::units(101),
            rule: None,
            because: String::new(),
        };
        let read =
            |quantity| Status { observed: Some((Quantity::units(quantity), now)), ..Status::default() };
        assert_eq!(explain("Shopify", &read(101), &plain(101), now), "Shopify shows 101, as it should.");
        let ruled = Shown { rule: Some(RuleId(7)), because: "5 kept back".into(), ..plain(96) };
        assert_eq!(
            explain("Amazon", &read(96), &ruled, now),
            "Amazon shows 96: 101 available, 5 kept back (rule 7)."
        );
        let sent = Status { unanswered: Some((Quantity::units(101), now.plus_seconds(-2))), ..read(97) };
        assert_eq!(
            explain("Woo", &sent, &plain(101), now),
            "Woo shows 97 and should show 101. Sent 101 2 s ago, not yet acknowledged."
        );
        let untracked = Status { stopped: Some((Stop::Untracked, String::new())), ..read(97) };
        assert!(explain("Woo", &untracked, &plain(97), now).contains("sells it without end"));
        let down = Status { trouble: Some("Woo cannot be reached: no route".into()), ..read(97) };
        assert_eq!(
            explain("Woo", &down, &plain(101), now),
            "Woo shows 97 and should show 101. Woo cannot be reached: no route. It is tried again by itself."
        );
    }
}
