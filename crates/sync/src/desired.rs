//! What number a listing shall show: a formula over stock (law 7).

use onhand_ledger::formula::{Formula, Name, NoNumber, Numbers};
use onhand_ledger::model::{BufferSize, Publication};
use onhand_ledger::publication::Speaking;
use onhand_ledger::{Instant, Precision, Quantity, RuleId};

use crate::exposure::Cover;

/// What of an item there is at the locations that count, as far as a rule asks for it.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Stock {
    /// What can be promised.
    pub available: Quantity,
    /// What documents that wait have sold of it.
    pub claimed: Quantity,
    /// What is expected within the window of the rule, less what is short and will take it.
    pub incoming: Quantity,
    /// The sum of all states.
    pub on_hand: Quantity,
    /// Kept for holds.
    pub reserved: Quantity,
    /// Promised to orders.
    pub committed: Quantity,
    /// Kept back for facts.
    pub safety_stock: Quantity,
    /// Broken.
    pub damaged: Quantity,
    /// Waiting to be looked at.
    pub quality_control: Quantity,
    /// On its way from other locations.
    pub in_transit: Quantity,
}

impl Stock {
    /// For a formula: whole numbers of the item's smallest accepted unit. What is smaller than that does not count.
    fn numbers(&self, unit: i64) -> Numbers {
        let available = (self.available - self.claimed).max(Quantity::ZERO);
        let all = [
            (Name::Available, available),
            (Name::OnHand, self.on_hand),
            (Name::Reserved, self.reserved),
            (Name::Committed, self.committed),
            (Name::SafetyStock, self.safety_stock),
            (Name::Damaged, self.damaged),
            (Name::QualityControl, self.quality_control),
            (Name::InTransit, self.in_transit),
            (Name::Incoming, self.incoming),
        ];
        let with = |numbers: Numbers, (name, quantity): (Name, Quantity)| {
            numbers.with(name, quantity.micros().div_euclid(unit))
        };
        all.into_iter().fold(Numbers::default(), with)
    }
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
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Step {
    /// So much was sold by orders that wait in the inbox.
    Claimed(Quantity),
    /// So much that is expected counts too.
    Expected(Quantity),
    /// A formula makes so much of it, in units of the item.
    Formula(Quantity),
    /// A formula gives no number: nothing is shown.
    NoNumber(NoNumber),
    /// It is shown as nothing at or below this much.
    StopsAt(Quantity),
    /// So much is kept back.
    KeptBack(Quantity),
    /// So much is kept back by a rule that adapts, by what was measured.
    Adapted(Quantity, Box<BufferSize>),
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
    /// The same, location by location: what is offered must be found there.
    pub cover: Cover,
    /// The rule that was applied, if any.
    pub rule: Option<RuleId>,
    /// What was done to the number, in order.
    pub steps: Vec<Step>,
    /// The rule leaves the number to the system, or it is master of that stock: nothing is sent, and what it shows is not judged.
    pub is_skipped: bool,
    /// The system is master of all that counts: nobody tells it its own number.
    pub is_masters: bool,
    /// Whatever the rule says, it shows 0: its selling was stopped.
    pub halt: Option<Halt>,
    /// When it changes by the passing of time alone; none where only an entry changes it.
    pub changes_at: Option<Instant>,
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
            Self::Expected(expected) => write!(f, "{expected} more expected"),
            Self::Formula(number) => write!(f, "{number} by its formula"),
            Self::NoNumber(why) => write!(f, "nothing is shown: {why}"),
            Self::StopsAt(stop_at) => write!(f, "stops at {stop_at}"),
            Self::KeptBack(buffer) => write!(f, "{buffer} kept back"),
            Self::Adapted(kept, size) => {
                write!(f, "keeps back {kept}: {}", crate::buffer_because(size))?;
                if size.quantity == *kept {
                    return Ok(());
                }
                write!(f, ", which asks for {} by itself", size.quantity)
            }
            Self::Share(percentage) => write!(f, "{percentage} % of it"),
            Self::AtMost(cap) => write!(f, "at most {cap}"),
            Self::Packs(of) => write!(f, "in packs of {of}"),
        }
    }
}

/// What a listing of so many units, with what an adaptive rule keeps back at it, shall show of the stock that counts, less what documents that wait have sold of it:
/// incoming, stop-at, buffer, percentage, cap, packs; or what a formula makes of it, and packs. All in units of the item; exact,
/// rounded down where a share does not come out even. Nothing where its selling was stopped, and where a formula gives no
/// number: what cannot be computed is not promised.
pub fn desired(
    stock: &Stock,
    precision: Precision,
    listing: (u32, Option<&BufferSize>),
    rule: Option<Speaking<'_>>,
    halt: Option<Halt>,
) -> Shown {
    let (multiplier, size) = listing;
    let free = stock.available - stock.claimed;
    let mut left = free.max(Quantity::ZERO);
    let mut steps = Vec::new();
    if stock.claimed.is_positive() {
        steps.push(Step::Claimed(stock.claimed));
    }
    match rule {
        Some(Speaking { formula: Some(formula), .. }) => {
            let step = by_formula(stock, precision, formula);
            left = if let Step::Formula(quantity) = step { quantity } else { Quantity::ZERO };
            steps.push(step);
        }
        Some(Speaking { rule, .. }) => {
            if rule.incoming.is_some() && stock.incoming.is_positive() {
                steps.push(Step::Expected(stock.incoming));
            }
            left = ruled(free + stock.incoming, rule, size, &mut steps);
        }
        None => {}
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
        cover: Cover::default(),
        rule: rule.map(|speaking| speaking.id),
        steps,
        // What is not to be sold anywhere is not left to anybody.
        is_skipped: halt.is_none() && rule.is_some_and(|speaking| speaking.rule.skip),
        is_masters: false,
        halt,
        changes_at: None,
    }
}

/// What a formula makes of stock: whole units of the item's smallest, none below 0.
fn by_formula(stock: &Stock, precision: Precision, formula: &Formula) -> Step {
    let unit = precision.unit().micros();
    match formula.evaluate(&stock.numbers(unit)) {
        Err(why) => Step::NoNumber(why),
        Ok(number) => match number.max(0).checked_mul(unit).map(Quantity::from_micros) {
            Some(quantity) if quantity <= Quantity::MAX_INPUT => Step::Formula(quantity),
            _ => Step::NoNumber(NoNumber::Overflows),
        },
    }
}

/// What a rule makes of what is free, which may be less than nothing.
fn ruled(free: Quantity, rule: &Publication, size: Option<&BufferSize>, steps: &mut Vec<Step>) -> Quantity {
    let mut left = free.max(Quantity::ZERO);
    if let Some(stop_at) = rule.stop_at.filter(|stop_at| free <= *stop_at) {
        left = Quantity::ZERO;
        steps.push(Step::StopsAt(stop_at));
    }
    if let Some(size) = size.filter(|_| rule.risk_one_in.is_some()) {
        let most = rule.buffer_at_most.unwrap_or(Quantity::MAX_INPUT);
        let kept = size.quantity.min(most).max(rule.buffer);
        left = (left - kept).max(Quantity::ZERO);
        steps.push(Step::Adapted(kept, Box::new(size.clone())));
    } else if rule.buffer.is_positive() {
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

    #[expect(clippy::unnecessary_wraps, reason = "as it is asked for")]
    fn by<'a>(rule: &'a Publication, formula: Option<&'a Formula>) -> Option<Speaking<'a>> {
        Some(Speaking { id: RuleId(1), rule, formula })
    }

    fn shown(available: i64, multiplier: u32, rule: Publication) -> i64 {
        let shown =
            desired(&there_is(available), Precision::WHOLE, (multiplier, None), by(&rule, None), None);
        shown.quantity.whole_units()
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
        assert_eq!(desired(&waiting, Precision::WHOLE, (1, None), None, None).quantity, Quantity::units(60));
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
        let left_to_the_shop = Publication { skip: true, ..Publication::default() };
        let rule = by(&left_to_the_shop, None);
        assert!(desired(&there_is(9), Precision::WHOLE, (1, None), rule, None).is_skipped);
        let stopped = desired(&there_is(9), Precision::WHOLE, (1, None), rule, Some(halt.clone()));
        assert_eq!((stopped.quantity, stopped.is_skipped, stopped.halt), (Quantity::ZERO, false, Some(halt)));
    }

    #[test]
    fn a_formula_counts_in_the_smallest_unit_and_its_result_is_shown_in_whole_packs() {
        let stock = Stock { claimed: Quantity::units(1), incoming: Quantity::units(4), ..there_is(9) };
        let rule = Publication::default();
        let made = |text: &str, precision, multiplier| {
            let formula = Formula::parse(text).unwrap();
            desired(&stock, precision, (multiplier, None), by(&rule, Some(&formula)), None)
        };
        let grams = Precision::new(3).unwrap();
        assert_eq!(made("available", Precision::WHOLE, 1).quantity, Quantity::units(8));
        assert_eq!(
            made("available - 500", grams, 1).quantity,
            Quantity::units(7),
            "7.5 units are 7 packs of one"
        );
        assert_eq!(made("(available + incoming) / 2", grams, 2).quantity, Quantity::units(3));
        assert_eq!(made("available - 100", Precision::WHOLE, 1).quantity, Quantity::ZERO);
        let none = made("100 / (available - 8)", Precision::WHOLE, 1);
        assert_eq!(
            (none.quantity, none.because().as_str()),
            (
                Quantity::ZERO,
                "1 sold by orders that wait in the inbox, nothing is shown: its formula divides by 0"
            )
        );
        let too_much = made("9223372036854775807", Precision::WHOLE, 1);
        let overflows = |shown: Shown| (shown.quantity, shown.steps.last().cloned());
        let nothing = (Quantity::ZERO, Some(Step::NoNumber(NoNumber::Overflows)));
        assert_eq!(overflows(too_much), nothing);
        assert_eq!(made("1000000000000", Precision::WHOLE, 1).quantity, Quantity::MAX_INPUT);
        assert_eq!(
            overflows(made("1000000000001", Precision::WHOLE, 1)),
            nothing,
            "more than anybody may tell us"
        );
    }

    #[test]
    fn what_is_expected_counts_before_all_else() {
        let stock = Stock { incoming: Quantity::units(30), ..there_is(2) };
        let rule = Publication {
            incoming: Some(onhand_ledger::model::Horizon::Days(7)),
            buffer: Quantity::units(5),
            stop_at: Some(Quantity::units(3)),
            ..Publication::default()
        };
        let shown = desired(&stock, Precision::WHOLE, (1, None), by(&rule, None), None);
        assert_eq!(
            (shown.quantity, shown.because().as_str()),
            (Quantity::units(27), "30 more expected, 5 kept back")
        );
    }

    #[test]
    fn only_what_changes_the_number_is_said() {
        let because = |multiplier, rule: &Publication| {
            desired(&there_is(12), Precision::WHOLE, (multiplier, None), by(rule, None), None).because()
        };
        let rule = Publication::default;
        let at_most = |units| Publication { cap: Some(Quantity::units(units)), ..rule() };
        let expecting = Publication { incoming: Some(onhand_ledger::model::Horizon::Days(7)), ..rule() };
        for (multiplier, rule, said) in [
            (1, at_most(12), ""),
            (1, at_most(11), "at most 11"),
            (1, expecting, ""),
            (1, Publication { percentage: 99, ..rule() }, "99 % of it"),
            (6, rule(), "in packs of 6"),
            (1, rule(), ""),
        ] {
            assert_eq!(because(multiplier, &rule), said, "{multiplier}, {rule:?}");
        }
    }

    #[test]
    fn a_number_is_whole_packs_and_never_negative_and_more_stock_never_shows_less() {
        let mut seed = 11_u64;
        let mut next = |below: i64| {
            seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            i64::try_from(seed >> 33).unwrap() % below
        };
        for _ in 0..20_000 {
            let mut maybe = |most: i64| (next(3) == 0).then(|| Quantity::from_micros(next(most * 1_000_000)));
            let rule = Publication {
                buffer: maybe(20).unwrap_or_default(),
                cap: maybe(50),
                stop_at: maybe(10),
                percentage: u8::try_from(next(101)).unwrap(),
                ..Publication::default()
            };
            let multiplier = u32::try_from(1 + next(12)).unwrap();
            let stock = Stock {
                available: Quantity::from_micros(next(100_000_000) - 5_000_000),
                claimed: Quantity::units(next(10)),
                incoming: Quantity::units(next(10)),
                ..Stock::default()
            };
            let shown = |stock: &Stock| {
                desired(stock, Precision::WHOLE, (multiplier, None), by(&rule, None), None).quantity
            };
            let (less, more) = (
                shown(&stock),
                shown(&Stock {
                    available: stock.available + Quantity::from_micros(next(3_000_000)),
                    ..stock
                }),
            );
            assert!(
                less.micros() % 1_000_000 == 0 && !less.is_negative() && less <= more,
                "{rule:?} {stock:?}"
            );
            let packs = less.whole_units() * i64::from(multiplier);
            assert!(rule.cap.is_none_or(|cap| Quantity::units(packs) <= cap), "{rule:?} {stock:?}");
            assert!(Quantity::units(packs) <= (stock.available + stock.incoming).max(Quantity::ZERO));
        }
    }

    #[test]
    fn a_buffer_that_adapts_keeps_back_what_was_sized_between_its_bounds() {
        let sized = |units| BufferSize {
            quantity: Quantity::units(units),
            sold: Quantity::units(336),
            sales: 336,
            over_seconds: 28 * 86_400,
            lag_ms: 2_400_000,
            lagging: Some("Woo".to_owned()),
            is_measured: true,
            one_in: 1_000,
            at: Instant::MIN,
        };
        let (least, most) = (Quantity::units(1), Some(Quantity::units(5)));
        let rule = Publication {
            risk_one_in: Some(1_000),
            buffer: least,
            buffer_at_most: most,
            ..Publication::default()
        };
        let shown = |size: Option<&BufferSize>, rule: &Publication| {
            let shown = desired(&there_is(10), Precision::WHOLE, (1, size), by(rule, None), None);
            (shown.quantity.whole_units(), shown.because())
        };
        assert_eq!(shown(None, &rule), (9, "1 kept back".to_owned()), "not sized yet: the least");
        let three = "keeps back 3: 12 sold a day, Woo lags up to 40 minutes, risk 1 in 1,000";
        assert_eq!(shown(Some(&sized(3)), &rule), (7, three.to_owned()));
        let (number, because) = shown(Some(&sized(9)), &rule);
        assert_eq!(number, 5);
        assert!(
            because.starts_with("keeps back 5: ") && because.ends_with(", which asks for 9 by itself"),
            "{because}"
        );
        assert_eq!(shown(Some(&sized(0)), &rule).0, 9);
        // Another rule says nothing of what is measured.
        assert_eq!(shown(Some(&sized(3)), &Publication::default()).0, 10);
    }
}
