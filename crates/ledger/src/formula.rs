//! Formulas of publication rules: expressions in CEL (the Common Expression Language, <https://github.com/google/cel-spec>) over
//! whole numbers of an item's smallest accepted unit.
//!
//! What may be written is the part of CEL that is whole numbers and truths: literals, the names of [`Name`], `+ - * / %`,
//! comparisons, `&& || !`, `a ? b : c`, and the functions `min` and `max`. It means what CEL means by it: division goes towards
//! zero, what overflows is an error, and `&&` and `||` do not fail where one side decides. All else is refused when a rule is
//! saved, with its place in the text: `double`s (no floating point near stock), unknown names, and whatever could loop. So each
//! formula costs at most as many steps as it has characters.

use std::collections::HashMap;
use std::sync::{Arc, LazyLock, Mutex, PoisonError};

use cel::common::ast::{CallExpr, Expr, IdedExpr, LiteralValue, SourceInfo, operators as op};
use cel::parser::Parser;

use crate::Quantity;

/// A formula has at most so many characters.
pub const LONGEST: usize = 1_000;
/// And its parts are at most so deep inside each other.
const DEEPEST: u16 = 40;

macro_rules! names {
    ($($(#[$doc:meta])* $name:ident = $text:literal),+ $(,)?) => {
        /// What a formula can speak of, summed over the locations that count.
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
        pub enum Name {
            $($(#[$doc])* $name,)+
        }

        impl Name {
            /// All of them.
            pub const ALL: &'static [Self] = &[$(Self::$name),+];

            /// As it is written.
            pub const fn text(self) -> &'static str {
                match self {
                    $(Self::$name => $text,)+
                }
            }
        }
    };
}

names! {
    /// What can be promised, less what orders that wait in the inbox have sold of it; never below 0.
    Available = "available",
    /// The sum of all states.
    OnHand = "on_hand",
    /// Kept for holds.
    Reserved = "reserved",
    /// Promised to orders.
    Committed = "committed",
    /// Kept back for facts.
    SafetyStock = "safety_stock",
    /// Broken.
    Damaged = "damaged",
    /// Waiting to be looked at.
    QualityControl = "quality_control",
    /// On its way from other locations; not on hand.
    InTransit = "in_transit",
    /// Expected within the window that the rule names.
    Incoming = "incoming",
}

/// What a formula is computed from: a number for each [`Name`], in the item's smallest accepted unit.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Numbers([i64; Name::ALL.len()]);

impl Numbers {
    /// With this number for a name.
    #[must_use]
    pub const fn with(mut self, name: Name, number: i64) -> Self {
        self.0[name as usize] = number;
        self
    }
}

/// Why a formula is none.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("{problem}{}", place(*.at))]
pub struct NotAFormula {
    /// What is wrong, and what would be right.
    pub problem: String,
    /// At which character, from 1 on, where that is known.
    pub at: Option<u32>,
}

fn place(at: Option<u32>) -> String {
    at.map_or_else(String::new, |at| format!(" (at character {at})"))
}

/// Why a formula gives no number for some stock.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum NoNumber {
    /// It divides by 0.
    #[error("its formula divides by 0")]
    DividesByZero,
    /// It leaves 64 bits.
    #[error("its formula leaves the numbers that can be counted")]
    Overflows,
}

/// A formula that was checked.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Formula(Number);

#[derive(Clone, PartialEq, Eq, Debug)]
enum Number {
    Literal(i64),
    Name(Name),
    Negative(Box<Number>),
    Of(Arithmetic, Box<[Number; 2]>),
    Least(Vec<Number>),
    Greatest(Vec<Number>),
    If(Box<(Truth, Number, Number)>),
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Arithmetic {
    Add,
    Subtract,
    Multiply,
    Divide,
    Remainder,
}

#[derive(Clone, PartialEq, Eq, Debug)]
enum Truth {
    Literal(bool),
    Not(Box<Truth>),
    And(Box<[Truth; 2]>),
    Or(Box<[Truth; 2]>),
    Compares(Comparison, Box<[Number; 2]>),
    Same(bool, Box<[Truth; 2]>),
    If(Box<[Truth; 3]>),
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Comparison {
    Equals,
    Differs,
    Less,
    AtMost,
    More,
    AtLeast,
}

/// What a part of a formula is.
enum Part {
    Number(Number),
    Truth(Truth),
}

impl Formula {
    /// Reads a formula and checks it.
    pub fn parse(text: &str) -> Result<Self, NotAFormula> {
        let wrong = |problem: String| NotAFormula { problem, at: None };
        if text.trim().is_empty() {
            return Err(wrong("an empty formula gives no number; such as `available - 5`".to_owned()));
        }
        if text.chars().count() > LONGEST {
            return Err(wrong(format!("a formula has at most {LONGEST} characters")));
        }
        let (parsed, source) = Parser::new()
            .max_recursion_depth(DEEPEST)
            .error_recovery_limit(1)
            .parse_with_source_info(text)
            .map_err(|errors| not_parsed(text, &errors))?;
        let reader = Reader { source };
        match reader.part(&parsed)? {
            Part::Number(number) => Ok(Self(number)),
            Part::Truth(_) => {
                Err(wrong("it gives true or false; a number is wanted: write `… ? … : 0`".to_owned()))
            }
        }
    }

    /// As [`Formula::parse`], of a text that is asked for again and again: it is read once.
    pub fn known(text: &str) -> Result<Arc<Self>, NotAFormula> {
        /// What is kept at most; then it is begun anew.
        const MOST: usize = 10_000;
        static KNOWN: LazyLock<Mutex<HashMap<String, Arc<Formula>>>> = LazyLock::new(Mutex::default);
        let mut known = KNOWN.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(formula) = known.get(text) {
            return Ok(Arc::clone(formula));
        }
        let formula = Arc::new(Self::parse(text)?);
        if known.len() >= MOST {
            known.clear();
        }
        known.insert(text.to_owned(), Arc::clone(&formula));
        Ok(formula)
    }

    /// Why it never gives a number that could be shown, as far as trying tells: it gives none of some stock, some of everything and much of
    /// everything, where each name has a number of its own.
    pub fn gives_none(&self) -> Option<NoNumber> {
        let tried = [7, 101, 10_007].map(|least| {
            let each = Name::ALL.iter().zip(0_i64..);
            let numbers = each.fold(Numbers::default(), |numbers, (name, nth)| {
                numbers.with(*name, least * (nth + 1) + nth)
            });
            match self.evaluate(&numbers) {
                Ok(number) if number > Quantity::MAX_INPUT.whole_units() => Err(NoNumber::Overflows),
                tried => tried,
            }
        });
        tried.iter().all(Result::is_err).then(|| tried[0].err()).flatten()
    }

    /// Does it speak of this?
    pub fn names(&self, name: Name) -> bool {
        self.0.names(name)
    }

    /// The number it gives.
    pub fn evaluate(&self, numbers: &Numbers) -> Result<i64, NoNumber> {
        self.0.evaluate(numbers)
    }
}

fn not_parsed(text: &str, errors: &cel::ParseErrors) -> NotAFormula {
    let Some(first) = errors.errors.first() else {
        return NotAFormula { problem: "it cannot be read".to_owned(), at: None };
    };
    // What is told is a line from 1 on, and a column.
    let (line, column) = first.pos;
    let lines = usize::try_from(line - 1).unwrap_or_default();
    let before: usize = text.lines().take(lines).map(|line| line.chars().count() + 1).sum();
    let at =
        u32::try_from(before).ok().zip(u32::try_from(column).ok()).map(|(before, at)| before + at.max(1));
    let problem = first.msg.split('\n').next().unwrap_or_default().to_owned();
    NotAFormula { problem: format!("it is no CEL: {problem}"), at }
}

struct Reader {
    source: SourceInfo,
}

impl Reader {
    fn wrong<T>(&self, of: &IdedExpr, problem: impl Into<String>) -> Result<T, NotAFormula> {
        let at = self.source.offset_for(of.id).map(|(start, _)| start + 1);
        Err(NotAFormula { problem: problem.into(), at })
    }

    fn part(&self, of: &IdedExpr) -> Result<Part, NotAFormula> {
        match &of.expr {
            Expr::Literal(literal) => self.literal(of, literal),
            Expr::Ident(text) => match Name::ALL.iter().find(|name| name.text() == text) {
                Some(name) => Ok(Part::Number(Number::Name(*name))),
                None => {
                    let known: Vec<&str> = Name::ALL.iter().map(|name| name.text()).collect();
                    self.wrong(of, format!("`{text}` is not known; there are {}", known.join(", ")))
                }
            },
            Expr::Call(call) => self.call(of, call),
            Expr::Comprehension(_) => self.wrong(of, "what goes over lists cannot be used here"),
            Expr::List(_) | Expr::Map(_) | Expr::Struct(_) | Expr::Select(_) | Expr::Unspecified => {
                self.wrong(of, "only whole numbers, and comparisons of them, can be used here")
            }
        }
    }

    fn literal(&self, of: &IdedExpr, literal: &LiteralValue) -> Result<Part, NotAFormula> {
        match literal {
            LiteralValue::Int(number) => Ok(Part::Number(Number::Literal(*number.inner()))),
            LiteralValue::Boolean(truth) => Ok(Part::Truth(Truth::Literal(*truth.inner()))),
            LiteralValue::Double(_) => self.wrong(
                of,
                "a number with a point is a double, which is not exact; write whole numbers of the item's smallest unit, \
                 and a share as `available * 3 / 4`",
            ),
            LiteralValue::UInt(_) => self.wrong(of, "write the number without `u`"),
            LiteralValue::String(_) | LiteralValue::Bytes(_) | LiteralValue::Null => {
                self.wrong(of, "only whole numbers, and comparisons of them, can be used here")
            }
        }
    }

    fn number(&self, of: &IdedExpr) -> Result<Number, NotAFormula> {
        match self.part(of)? {
            Part::Number(number) => Ok(number),
            Part::Truth(_) => self.wrong(of, "this is true or false where a number is wanted"),
        }
    }

    fn truth(&self, of: &IdedExpr) -> Result<Truth, NotAFormula> {
        match self.part(of)? {
            Part::Truth(truth) => Ok(truth),
            Part::Number(_) => self.wrong(of, "this is a number where true or false is wanted"),
        }
    }

    fn numbers(&self, [one, other]: [&IdedExpr; 2]) -> Result<Box<[Number; 2]>, NotAFormula> {
        Ok(Box::new([self.number(one)?, self.number(other)?]))
    }

    fn truths(&self, [one, other]: [&IdedExpr; 2]) -> Result<Box<[Truth; 2]>, NotAFormula> {
        Ok(Box::new([self.truth(one)?, self.truth(other)?]))
    }

    fn call(&self, of: &IdedExpr, call: &CallExpr) -> Result<Part, NotAFormula> {
        let CallExpr { func_name, target: None, args } = call else {
            return self.wrong(of, format!("`.{}` cannot be used here", call.func_name));
        };
        let both = |[one, other]: [&IdedExpr; 2], what| {
            Ok(Part::Number(Number::Of(what, self.numbers([one, other])?)))
        };
        let compares = |pair: [&IdedExpr; 2], how| Ok(Part::Truth(Truth::Compares(how, self.numbers(pair)?)));
        match (func_name.as_str(), args.as_slice()) {
            (op::ADD, [one, other]) => both([one, other], Arithmetic::Add),
            (op::SUBSTRACT, [one, other]) => both([one, other], Arithmetic::Subtract),
            (op::MULTIPLY, [one, other]) => both([one, other], Arithmetic::Multiply),
            (op::DIVIDE, [one, other]) => both([one, other], Arithmetic::Divide),
            (op::MODULO, [one, other]) => both([one, other], Arithmetic::Remainder),
            (op::NEGATE, [one]) => Ok(Part::Number(Number::Negative(Box::new(self.number(one)?)))),
            (op::LESS, [one, other]) => compares([one, other], Comparison::Less),
            (op::LESS_EQUALS, [one, other]) => compares([one, other], Comparison::AtMost),
            (op::GREATER, [one, other]) => compares([one, other], Comparison::More),
            (op::GREATER_EQUALS, [one, other]) => compares([one, other], Comparison::AtLeast),
            (op::EQUALS, [one, other]) => self.same(true, one, other),
            (op::NOT_EQUALS, [one, other]) => self.same(false, one, other),
            (op::LOGICAL_NOT, [one]) => Ok(Part::Truth(Truth::Not(Box::new(self.truth(one)?)))),
            (op::LOGICAL_AND, [one, other]) => Ok(Part::Truth(Truth::And(self.truths([one, other])?))),
            (op::LOGICAL_OR, [one, other]) => Ok(Part::Truth(Truth::Or(self.truths([one, other])?))),
            (op::CONDITIONAL, [is_so, then, otherwise]) => self.conditional(is_so, then, otherwise),
            ("min", [_, ..]) => Ok(Part::Number(Number::Least(self.all(args)?))),
            ("max", [_, ..]) => Ok(Part::Number(Number::Greatest(self.all(args)?))),
            (name, _) => {
                let name = name.trim_matches(['_', '@']);
                self.wrong(of, format!("`{name}` cannot be used so here; there are + - * / %, comparisons, && || !, ? :, min and max"))
            }
        }
    }

    fn all(&self, args: &[IdedExpr]) -> Result<Vec<Number>, NotAFormula> {
        args.iter().map(|arg| self.number(arg)).collect()
    }

    fn same(&self, is_same: bool, one: &IdedExpr, other: &IdedExpr) -> Result<Part, NotAFormula> {
        let truth = match self.part(one)? {
            Part::Number(number) => {
                let how = if is_same { Comparison::Equals } else { Comparison::Differs };
                Truth::Compares(how, Box::new([number, self.number(other)?]))
            }
            Part::Truth(truth) => Truth::Same(is_same, Box::new([truth, self.truth(other)?])),
        };
        Ok(Part::Truth(truth))
    }

    fn conditional(
        &self,
        is_so: &IdedExpr,
        then: &IdedExpr,
        otherwise: &IdedExpr,
    ) -> Result<Part, NotAFormula> {
        let is_so = self.truth(is_so)?;
        Ok(match self.part(then)? {
            Part::Number(then) => Part::Number(Number::If(Box::new((is_so, then, self.number(otherwise)?)))),
            Part::Truth(then) => Part::Truth(Truth::If(Box::new([is_so, then, self.truth(otherwise)?]))),
        })
    }
}

impl Number {
    fn evaluate(&self, numbers: &Numbers) -> Result<i64, NoNumber> {
        match self {
            Self::Literal(number) => Ok(*number),
            Self::Name(name) => Ok(numbers.0[*name as usize]),
            Self::Negative(number) => number.evaluate(numbers)?.checked_neg().ok_or(NoNumber::Overflows),
            Self::Of(what, both) => {
                let [one, other] = [both[0].evaluate(numbers)?, both[1].evaluate(numbers)?];
                let result = match what {
                    Arithmetic::Add => one.checked_add(other),
                    Arithmetic::Subtract => one.checked_sub(other),
                    Arithmetic::Multiply => one.checked_mul(other),
                    Arithmetic::Divide | Arithmetic::Remainder if other == 0 => {
                        return Err(NoNumber::DividesByZero);
                    }
                    Arithmetic::Divide => one.checked_div(other),
                    Arithmetic::Remainder => one.checked_rem(other),
                };
                result.ok_or(NoNumber::Overflows)
            }
            Self::Least(all) => Self::fold(all, numbers, i64::min),
            Self::Greatest(all) => Self::fold(all, numbers, i64::max),
            Self::If(parts) => {
                let (is_so, then, otherwise) = &**parts;
                if is_so.evaluate(numbers)? { then.evaluate(numbers) } else { otherwise.evaluate(numbers) }
            }
        }
    }

    fn fold(all: &[Self], numbers: &Numbers, with: fn(i64, i64) -> i64) -> Result<i64, NoNumber> {
        let mut found = all[0].evaluate(numbers)?;
        for other in &all[1..] {
            found = with(found, other.evaluate(numbers)?);
        }
        Ok(found)
    }

    fn names(&self, name: Name) -> bool {
        match self {
            Self::Literal(_) => false,
            Self::Name(other) => *other == name,
            Self::Negative(number) => number.names(name),
            Self::Of(_, both) => both.iter().any(|number| number.names(name)),
            Self::Least(all) | Self::Greatest(all) => all.iter().any(|number| number.names(name)),
            Self::If(parts) => parts.0.names(name) || parts.1.names(name) || parts.2.names(name),
        }
    }
}

impl Truth {
    fn evaluate(&self, numbers: &Numbers) -> Result<bool, NoNumber> {
        match self {
            Self::Literal(truth) => Ok(*truth),
            Self::Not(truth) => truth.evaluate(numbers).map(|truth| !truth),
            Self::And(both) => Self::decided(both, numbers, false),
            Self::Or(both) => Self::decided(both, numbers, true),
            Self::Compares(how, both) => {
                let [one, other] = [both[0].evaluate(numbers)?, both[1].evaluate(numbers)?];
                Ok(match how {
                    Comparison::Equals => one == other,
                    Comparison::Differs => one != other,
                    Comparison::Less => one < other,
                    Comparison::AtMost => one <= other,
                    Comparison::More => one > other,
                    Comparison::AtLeast => one >= other,
                })
            }
            Self::Same(is_same, both) => {
                Ok((both[0].evaluate(numbers)? == both[1].evaluate(numbers)?) == *is_same)
            }
            Self::If(parts) => {
                if parts[0].evaluate(numbers)? {
                    parts[1].evaluate(numbers)
                } else {
                    parts[2].evaluate(numbers)
                }
            }
        }
    }

    /// One side that is `by` decides, whatever becomes of the other.
    fn decided(both: &[Self; 2], numbers: &Numbers, by: bool) -> Result<bool, NoNumber> {
        match both[0].evaluate(numbers) {
            Ok(truth) if truth == by => Ok(by),
            Ok(_) => both[1].evaluate(numbers),
            Err(error) => match both[1].evaluate(numbers) {
                Ok(truth) if truth == by => Ok(by),
                _ => Err(error),
            },
        }
    }

    fn names(&self, name: Name) -> bool {
        match self {
            Self::Literal(_) => false,
            Self::Not(truth) => truth.names(name),
            Self::And(both) | Self::Or(both) | Self::Same(_, both) => {
                both.iter().any(|truth| truth.names(name))
            }
            Self::Compares(_, both) => both.iter().any(|number| number.names(name)),
            Self::If(parts) => parts.iter().any(|truth| truth.names(name)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const STOCK: Numbers = Numbers([101, 130, 3, 9, 2, 5, 10, 4, 40]);

    fn number(text: &str) -> Result<i64, String> {
        let formula = Formula::parse(text).map_err(|error| error.to_string())?;
        formula.evaluate(&STOCK).map_err(|error| error.to_string())
    }

    #[test]
    fn numbers_follow_from_stock() {
        for (text, gives) in [
            ("available", 101),
            ("available - 5", 96),
            ("on_hand - committed - reserved", 118),
            ("(available + incoming) * 3 / 4", 105),
            ("available > 100 && damaged == 5 ? 10 : available", 10),
            ("min(available, 20) + max(1, 2, 3)", 23),
            ("-7 / 2", -3),
            ("-7 % 2", -1),
            ("true || 1 / 0 > 0 ? 1 : 2", 1),
            ("1 / 0 > 0 && false ? 1 : 2", 2),
            ("(safety_stock > 0) == (quality_control > 0) ? in_transit : 0", 4),
            ("!(available < 5) ? 1\n : 0", 1),
        ] {
            assert_eq!(number(text), Ok(gives), "{text}");
        }
        assert!(Formula::parse("available > 1 ? incoming : 0").unwrap().names(Name::Incoming));
        assert!(!Formula::parse("available").unwrap().names(Name::Incoming));
    }

    #[test]
    fn what_is_no_formula_is_refused_with_its_place() {
        for (text, problem) in [
            ("", "such as `available - 5`"),
            ("available * 0.5", "is a double, which is not exact"),
            ("available * 0.5", "(at character 13)"),
            ("available + stock", "`stock` is not known; there are available, on_hand,"),
            ("available + stock", "(at character 13)"),
            ("available > 5", "it gives true or false; a number is wanted"),
            ("available ? 1 : 2", "this is a number where true or false is wanted"),
            ("1 + (available > 1)", "this is true or false where a number is wanted"),
            ("double(available)", "`double` cannot be used so here"),
            ("[1, 2].all(x, x > 0) ? 1 : 0", "what goes over lists cannot be used here"),
            ("[1, 2].map(x, x)[0]", "cannot be used"),
            ("'5'", "only whole numbers"),
            ("available.size()", "`.size` cannot be used here"),
            ("available.total", "only whole numbers"),
            ("5u", "write the number without `u`"),
            ("available -", "it is no CEL"),
            ("available - ) + 1", "(at character 13)"),
            ("99999999999999999999", "it is no CEL"),
        ] {
            let said = Formula::parse(text).map(|_| ()).unwrap_err().to_string();
            assert!(said.contains(problem), "{text}: {said}");
        }
        let long = format!("available{}", " + 1".repeat(250));
        assert!(Formula::parse(&long).unwrap_err().to_string().contains("at most 1000 characters"));
        let deep = format!("{}available{}", "(".repeat(300), ")".repeat(300));
        assert!(Formula::parse(&deep).is_err());
    }

    #[test]
    fn what_gives_no_number_says_why() {
        assert_eq!(number("100 / (damaged - 5)"), Err(NoNumber::DividesByZero.to_string()));
        assert_eq!(number("available % 0"), Err(NoNumber::DividesByZero.to_string()));
        assert_eq!(number("9223372036854775807 + available"), Err(NoNumber::Overflows.to_string()));
        assert_eq!(number("-(-9223372036854775807 - 1)"), Err(NoNumber::Overflows.to_string()));
        assert_eq!(number("(-9223372036854775807 - 1) / -1"), Err(NoNumber::Overflows.to_string()));
    }

    /// Formulas of every shape mean what the crate's own interpreter says that they mean.
    #[test]
    fn a_formula_means_what_cel_means_by_it() {
        let mut seed = 7_u64;
        let mut next = |below: usize| {
            seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            usize::try_from(seed >> 33).unwrap() % below
        };
        let mut context = cel::Context::default();
        for name in Name::ALL {
            context.add_variable_from_value(name.text(), STOCK.0[*name as usize]);
        }
        let mut given = 0;
        for _ in 0..3_000 {
            let text = any_number(&mut next, 4);
            let ours = Formula::parse(&text).unwrap_or_else(|error| panic!("{text}: {error}"));
            let theirs = cel::Program::compile(&text).unwrap().execute(&context);
            match (ours.evaluate(&STOCK), theirs) {
                (Ok(number), Ok(theirs)) => {
                    assert_eq!(theirs, cel::Value::Int(number), "{text}");
                    given += 1;
                }
                (Err(_), Err(_)) => {}
                (ours, theirs) => panic!("{text}: {ours:?}, {theirs:?}"),
            }
        }
        assert!(given > 1_000, "{given} gave a number");
    }

    fn any_number(next: &mut dyn FnMut(usize) -> usize, depth: usize) -> String {
        if depth == 0 || next(6) == 0 {
            return match next(4) {
                0 => ["0", "1", "7", "9223372036854775807"][next(4)].to_owned(),
                _ => Name::ALL[next(Name::ALL.len())].text().to_owned(),
            };
        }
        let how = next(4);
        let (one, other) = (any_number(next, depth - 1), any_number(next, depth - 1));
        match how {
            0 => format!("({} ? {one} : {other})", any_truth(next, depth - 1)),
            1 => format!("(-{one})"),
            _ => format!("({one} {} {other})", ["+", "-", "*", "/", "%"][next(5)]),
        }
    }

    fn any_truth(next: &mut dyn FnMut(usize) -> usize, depth: usize) -> String {
        if depth == 0 {
            return ["true", "false"][next(2)].to_owned();
        }
        match next(4) {
            0 => format!("!{}", any_truth(next, depth - 1)),
            1 => {
                let (one, other) = (any_truth(next, depth - 1), any_truth(next, depth - 1));
                format!("({one} {} {other})", ["&&", "||", "==", "!="][next(4)])
            }
            _ => {
                let (one, other) = (any_number(next, depth - 1), any_number(next, depth - 1));
                format!("({one} {} {other})", ["<", "<=", ">", ">=", "==", "!="][next(6)])
            }
        }
    }
}
