//! What a publication rule says, in a sentence: the same on pages and by the API.

use onhand_ledger::model::{Horizon, Publication, Source};
use onhand_store::StoreError;

use crate::view::View;

impl View<'_> {
    /// What a publication rule says of a number, whatever of: `Keeps 5 back, never shows more than 40.`
    pub fn said_by(&mut self, rule: &Publication) -> Result<String, StoreError> {
        let mut counted = Vec::new();
        for source in &rule.counts {
            counted.push(match source {
                Source::Location(id) => self.location(*id)?.map(|known| known.code).unwrap_or_default(),
                Source::Group(group) => format!("the group {group}"),
            });
        }
        Ok(sentence(rule, &counted))
    }
}

/// In the order in which it is done: incoming, stop-at, buffer, percentage, cap.
fn sentence(rule: &Publication, counted: &[String]) -> String {
    if rule.skip {
        return "The number is left to the system: nothing is sent.".to_owned();
    }
    let mut parts = Vec::new();
    if !counted.is_empty() {
        parts.push(format!("counts what is at {}", counted.join(" and ")));
    }
    match rule.incoming {
        Some(Horizon::Days(days)) => parts.push(format!("counts what is expected within {days} days too")),
        Some(Horizon::Until(day)) => parts.push(format!("counts what is expected until {day} too")),
        None => {}
    }
    if let Some(formula) = &rule.formula {
        parts.push(format!("shows {formula}"));
    }
    if let Some(stop_at) = rule.stop_at {
        parts.push(format!("shows 0 at or below {stop_at}"));
    }
    match (rule.risk_one_in, rule.buffer_at_most) {
        (Some(one_in), most) => {
            let most = most.map_or_else(String::new, |most| format!(" and {most} at most"));
            let least = rule.buffer;
            parts
                .push(format!("keeps back what suffices but for 1 time in {one_in}, {least} at least{most}"));
        }
        (None, _) if !rule.buffer.is_zero() => parts.push(format!("keeps {} back", rule.buffer)),
        (None, _) => {}
    }
    if rule.percentage < 100 {
        parts.push(format!("shows {} % of it", rule.percentage));
    }
    if let Some(cap) = rule.cap {
        parts.push(format!("never shows more than {cap}"));
    }
    if parts.is_empty() {
        return "Shows all that is available.".to_owned();
    }
    let text = parts.join(", ");
    let (first, rest) = text.split_at(1);
    format!("{}{rest}.", first.to_uppercase())
}

#[cfg(test)]
mod tests {
    use onhand_ledger::Quantity;

    use super::*;

    #[test]
    fn a_rule_is_said_in_the_order_in_which_it_is_done() {
        let units = Quantity::units;
        let all = Publication {
            buffer: units(5),
            cap: Some(units(40)),
            percentage: 80,
            stop_at: Some(units(3)),
            incoming: Some(Horizon::Days(7)),
            ..Publication::default()
        };
        let counted = ["LONDON".to_owned(), "the group EU".to_owned()];
        assert_eq!(
            sentence(&all, &counted),
            "Counts what is at LONDON and the group EU, counts what is expected within 7 days too, shows 0 at or below 3, \
             keeps 5 back, shows 80 % of it, never shows more than 40."
        );
        let adapts = Publication {
            risk_one_in: Some(1_000),
            buffer_at_most: Some(units(9)),
            ..Publication::default()
        };
        assert_eq!(
            sentence(&adapts, &[]),
            "Keeps back what suffices but for 1 time in 1000, 0 at least and 9 at most."
        );
        assert_eq!(sentence(&Publication::default(), &[]), "Shows all that is available.");
        let formula = Publication { formula: Some("max(available, 0)".to_owned()), ..Publication::default() };
        assert_eq!(sentence(&formula, &[]), "Shows max(available, 0).");
        let skip = Publication { skip: true, ..Publication::default() };
        assert!(sentence(&skip, &counted).contains("left to the system"));
    }
}
