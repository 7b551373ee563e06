//! The sentences in which Onhand says why a system shows what it shows. The same in API, terminal and pages.

use onhand_ledger::{Instant, Quantity};

use crate::desired::Shown;

/// What is known of a listing at a remote location.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Status {
    /// What was last acknowledged.
    pub acknowledged: Option<Quantity>,
    /// What was last read, and when.
    pub observed: Option<(Quantity, Instant)>,
    /// What was sent and is not answered, and when.
    pub unanswered: Option<(Quantity, Instant)>,
    /// What the system said when it refused.
    pub refused: Option<String>,
    /// Nothing is pushed to the system.
    pub paused: bool,
    /// What somebody over there changed, where nothing explains it: from, to, and when that was read.
    pub drift: Option<(Quantity, Quantity, Instant)>,
}

/// One or two plain sentences: what it shows, what it should, and why it does not.
pub fn explain(system: &str, status: &Status, shown: &Shown, now: Instant) -> String {
    let desired = shown.quantity;
    let Some(shows) = status.observed.map(|(quantity, _)| quantity).or(status.acknowledged) else {
        return format!("{system} should show {desired}; it has not been read yet.");
    };
    if let Some(reason) = &status.refused {
        return format!("{system} shows {shows} and should show {desired}. It refuses the change: {reason}.");
    }
    if let Some((from, to, at)) = status.drift.filter(|_| shows != desired) {
        return format!(
            "Somebody changed it in {system} before {at}, from {from} to {to}; no sale or push of ours explains it. \
             It is being set to {desired}."
        );
    }
    if shows == desired {
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
        return format!("{system} shows {shows} and should show {desired}. It is paused: nothing is sent.");
    }
    match status.unanswered {
        Some((sent, at)) => {
            let seconds = (now.micros() - at.micros()).max(0) / 1_000_000;
            format!(
                "{system} shows {shows} and should show {desired}. Sent {sent} {seconds} s ago, not yet acknowledged."
            )
        }
        None => format!("{system} shows {shows} and should show {desired}. It is about to be sent."),
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
    }
}
