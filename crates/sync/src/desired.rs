//! What number a listing shall show: a formula over stock (law 7).

use onhand_ledger::model::Publication;
use onhand_ledger::{Instant, Quantity, RuleId};

/// What of an item there is at the locations that count, as far as a rule asks for it.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Stock {
    /// What can be promised.
    pub available: Quantity,
    /// What documents that wait have sold of it.
    pub claimed: Quantity,
}

/// Somebody stopped the selling of an item.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Halt {
    /// The stop, by its id.
    pub rule: RuleId,
    /// What was stopped: `MUG`, `what is tagged glass`.
    pub what: String,
    /// Why.
    pub reason: String,
    /// Who stopped it.
    pub by: String,
    /// When.
    pub at: Instant,
}

/// One thing that is done to the number on its way.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Step {
    /// So much was sold by orders that wait in the inbox.
    Claimed(Quantity),
    /// It is shown as nothing at or below this much.
    StopsAt(Quantity),
    /// So much is kept back.
    KeptBack(Quantity),
    /// So many hundredths of it are shown.
    Share(u8),
    /// No more than this is shown.
    AtMost(Quantity),
    /// It is sold in packs of so many.
    Packs(u32),
}

/// What a listing shall show, and how that follows.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Shown {
    /// A whole number of packs, 0 or more. Where it is left to the system: nothing is to be made of it.
    pub quantity: Quantity,
    /// What was available of the item, over the locations that count.
    pub available: Quantity,
    /// What documents that wait have sold of it.
    pub claimed: Quantity,
    /// The rule that was applied, if any.
    pub rule: Option<RuleId>,
    /// What was done to the number, in order.
    pub steps: Vec<Step>,
    /// The rule leaves the number to the system: nothing is sent, and what it shows is not judged.
    pub is_skipped: bool,
    /// Whatever the rule says, it shows 0: its selling was stopped.
    pub halt: Option<Halt>,
}

impl Shown {
    /// What was done to the number, in words; empty where that is nothing.
    pub fn because(&self) -> String {
        let words: Vec<String> = self.steps.iter().map(Step::to_string).collect();
        words.join(", ")
    }
}

impl std::fmt::Display for Step {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Claimed(claimed) => write!(f, "{claimed} sold by orders that wait in the inbox"),
            Self::StopsAt(stop_at) => write!(f, "stops at {stop_at}"),
            Self::KeptBack(buffer) => write!(f, "{buffer} kept back"),
            Self::Share(percentage) => write!(f, "{percentage} % of it"),
            Self::AtMost(cap) => write!(f, "at most {cap}"),
            Self::Packs(of) => write!(f, "in packs of {of}"),
        }
    }
}

/// What a listing of `multiplier` units shall show of the stock that counts, less what documents that wait have sold of it:
/// stop-at, buffer, percentage, cap, packs. All in units of the item; exact, rounded down where a share does not come out
/// even. Nothing where its selling was stopped.
pub fn desired(
    stock: &Stock,
    multiplier: u32,
    rule: Option<&(RuleId, Publication)>,
    halt: Option<Halt>,
) -> Shown {
    let free = stock.available - stock.claimed;
    let mut left = free.max(Quantity::ZERO);
    let mut steps = Vec::new();
    if stock.claimed.is_positive() {
        steps.push(Step::Claimed(stock.claimed));
    }
    if let Some((_, rule)) = rule {
        left = ruled(free, rule, &mut steps);
    }
    let pack = i64::from(multiplier.max(1)) * Quantity::ONE.micros();
    let packs = left.micros() / pack;
    if multiplier > 1 {
        steps.push(Step::Packs(multiplier));
    }
    Shown {
        quantity: if halt.is_some() { Quantity::ZERO } else { Quantity::units(packs) },
        available: stock.available,
        claimed: stock.claimed,
        rule: rule.map(|(id, _)| *id),
        steps,
        // What is not to be sold anywhere is not left to anybody.
        is_skipped: halt.is_none() && rule.is_some_and(|(_, rule)| rule.skip),
        halt,
    }
}

/// What a rule makes of what is free, which may be less than nothing.
fn ruled(free: Quantity, rule: &Publication, steps: &mut Vec<Step>) -> Quantity {
    let mut left = free.max(Quantity::ZERO);
    if let Some(stop_at) = rule.stop_at.filter(|stop_at| free <= *stop_at) {
        left = Quantity::ZERO;
        steps.push(Step::StopsAt(stop_at));
    }
    if rule.buffer.is_positive() {
        left = (left - rule.buffer).max(Quantity::ZERO);
        steps.push(Step::KeptBack(rule.buffer));
    }
    if rule.percentage < 100 {
        left = share(left, rule.percentage);
        steps.push(Step::Share(rule.percentage));
    }
    if let Some(cap) = rule.cap.filter(|cap| *cap < left) {
        left = cap;
        steps.push(Step::AtMost(cap));
    }
    left
}

fn share(quantity: Quantity, percentage: u8) -> Quantity {
    let micros = i128::from(quantity.micros()) * i128::from(percentage) / 100;
    Quantity::from_micros(i64::try_from(micros).unwrap_or(i64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn there_is(available: i64) -> Stock {
        Stock { available: Quantity::units(available), ..Stock::default() }
    }

    fn shown(available: i64, multiplier: u32, rule: Publication) -> i64 {
        desired(&there_is(available), multiplier, Some(&(RuleId(1), rule)), None).quantity.whole_units()
    }

    /// Example 21.
    #[test]
    fn rules() {
        let rule = Publication::default;
        let buffer = |units| Publication { buffer: Quantity::units(units), ..rule() };
        assert_eq!(shown(101, 1, buffer(5)), 96);
        assert_eq!(shown(101, 1, Publication { cap: Some(Quantity::units(10)), ..rule() }), 10);
        assert_eq!(shown(101, 1, Publication { percentage: 50, ..rule() }), 50);
        let stop = Publication { stop_at: Some(Quantity::units(3)), ..rule() };
        assert_eq!((shown(3, 1, stop.clone()), shown(4, 1, stop)), (0, 4));
        assert_eq!(shown(101, 6, rule()), 16);
        assert_eq!(shown(101, 6, buffer(5)), 16);
        assert_eq!(shown(101, 1, buffer(200)), 0);
        let waiting = Stock { claimed: Quantity::units(40), ..there_is(100) };
        assert_eq!(desired(&waiting, 1, None, None).quantity, Quantity::units(60));
    }

    #[test]
    fn what_was_stopped_shows_nothing_whatever_its_rule_says() {
        let halt = Halt {
            rule: RuleId(2),
            what: "MUG".to_owned(),
            reason: "recalled".to_owned(),
            by: "Ada".to_owned(),
            at: Instant::MIN,
        };
        let left_to_the_shop = (RuleId(1), Publication { skip: true, ..Publication::default() });
        let skipped = desired(&there_is(9), 1, Some(&left_to_the_shop), None);
        assert!(skipped.is_skipped);
        let stopped = desired(&there_is(9), 1, Some(&left_to_the_shop), Some(halt.clone()));
        assert_eq!((stopped.quantity, stopped.is_skipped, stopped.halt), (Quantity::ZERO, false, Some(halt)));
    }
}
