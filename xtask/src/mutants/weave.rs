//! Many small changes of the code, each in a copy of its function, in one program: which copy runs is chosen when it starts.
//!
//! So a thousand changes are built once. What cannot be written so is left out, and counted as such: code outside of
//! functions, `const fn`, and functions that return `impl …`, whose copies would be of different types.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use serde::Deserialize;

/// A change that cargo-mutants thought of, as it lists them.
#[derive(Clone, Debug, Deserialize)]
pub struct Mutant {
    pub name: String,
    pub file: String,
    pub function: Option<Function>,
    pub replacement: String,
    pub span: Span,
    pub diff: String,
}

#[derive(Clone, Debug, Deserialize)]
pub struct Function {
    pub return_type: String,
    pub span: Span,
}

#[derive(Clone, Copy, Debug, Deserialize)]
pub struct Span {
    start: Point,
    end: Point,
}

/// Both from 1, in letters.
#[derive(Clone, Copy, Debug, Deserialize)]
struct Point {
    line: usize,
    column: usize,
}

impl Mutant {
    /// What it is known by while the code around it does not change, wherever it goes in its file.
    pub fn mark(&self) -> String {
        let lines = self.diff.lines().filter(|line| !line.starts_with("@@"));
        let hash = lines.flat_map(|line| line.bytes().chain([b'\n'])).fold(0xcbf2_9ce4_8422_2325, fnv);
        format!("{hash:016x}")
    }
}

/// FNV-1a: <http://www.isthe.com/chongo/tech/comp/fnv/>.
fn fnv(hash: u64, byte: u8) -> u64 {
    (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
}

/// A file with its changes in it, and between which of its lines each is.
pub struct Woven {
    pub text: String,
    pub lines: Vec<(u32, std::ops::Range<usize>)>,
}

/// Weaves changes, each with its number, into a file. `chosen` is the expression that says which one runs.
pub fn weave(text: &str, mutants: &[(u32, &Mutant)], chosen: &str) -> Woven {
    let text = Text::new(text);
    let mut bodies = BTreeMap::<(usize, std::cmp::Reverse<usize>), Vec<(u32, &Mutant)>>::new();
    for (number, mutant) in mutants {
        if let Some(body) = text.body(mutant) {
            bodies.entry((body.0, std::cmp::Reverse(body.1))).or_default().push((*number, mutant));
        }
    }
    let mut woven = Weaving { text: &text, bodies: &bodies, chosen, out: String::new(), lines: Vec::new() };
    woven.copy(0, text.letters.len(), None);
    Woven { text: woven.out, lines: woven.lines }
}

/// Can it be woven at all?
pub fn is_weavable(text: &str, mutant: &Mutant) -> bool {
    Text::new(text).body(mutant).is_some()
}

type Bodies<'m> = BTreeMap<(usize, std::cmp::Reverse<usize>), Vec<(u32, &'m Mutant)>>;

struct Weaving<'t> {
    text: &'t Text,
    bodies: &'t Bodies<'t>,
    chosen: &'t str,
    out: String,
    lines: Vec<(u32, std::ops::Range<usize>)>,
}

impl Weaving<'_> {
    fn line(&self) -> usize {
        self.out.matches('\n').count() + 1
    }

    /// Writes a part of the file, with what is woven into the functions in it; `within` is one that it is all of.
    fn copy(&mut self, from: usize, to: usize, within: Option<usize>) {
        let mut at = from;
        for ((start, std::cmp::Reverse(end)), mutants) in self.bodies {
            if *start < at || *end > to || within == Some(*start) {
                continue;
            }
            self.out.extend(&self.text.letters[at..*start]);
            let _ = writeln!(self.out, "{{ match {} {{", self.chosen);
            for (number, mutant) in mutants {
                let first = self.line();
                let (cut, on) = (self.text.at(mutant.span.start), self.text.at(mutant.span.end));
                let _ = write!(self.out, "{number} => ");
                self.out.extend(&self.text.letters[*start..cut]);
                let _ = write!(self.out, " {} ", mutant.replacement);
                self.out.extend(&self.text.letters[on..*end]);
                self.out.push('\n');
                self.lines.push((*number, first..self.line()));
            }
            self.out.push_str("_ => ");
            self.copy(*start, *end, Some(*start));
            self.out.push_str("\n} }");
            at = *end;
        }
        self.out.extend(&self.text.letters[at..to]);
    }
}

/// A file by its letters.
struct Text {
    letters: Vec<char>,
    lines: Vec<usize>,
}

impl Text {
    fn new(text: &str) -> Self {
        let letters: Vec<char> = text.chars().collect();
        let ends = letters.iter().enumerate().filter(|(_, letter)| **letter == '\n').map(|(at, _)| at + 1);
        let lines = std::iter::once(0).chain(ends).collect();
        Self { letters, lines }
    }

    fn at(&self, point: Point) -> usize {
        self.lines[point.line - 1] + point.column - 1
    }

    /// Where the body of its function is, braces and all.
    fn body(&self, mutant: &Mutant) -> Option<(usize, usize)> {
        let function = mutant.function.as_ref()?;
        let (mut at, end) = (self.at(function.span.start), self.at(function.span.end));
        let (mut depth, mut is_const) = (0, false);
        let mut word = String::new();
        while at < end {
            let letter = self.letters[at];
            let next = self.letters.get(at + 1);
            match letter {
                '/' if next == Some(&'/') => {
                    while self.letters[at] != '\n' {
                        at += 1;
                    }
                }
                '"' => {
                    at += 1;
                    while self.letters[at] != '"' {
                        at += if self.letters[at] == '\\' { 2 } else { 1 };
                    }
                }
                '(' | '[' => depth += 1,
                ')' | ']' => depth -= 1,
                '{' if depth == 0 => break,
                _ => {}
            }
            if letter.is_alphanumeric() || letter == '_' {
                word.push(letter);
            } else {
                is_const |= word == "const" && depth == 0;
                word.clear();
            }
            at += 1;
        }
        let is_opaque = function.return_type.contains("impl ");
        (at < end && !is_const && !is_opaque).then_some((at, end))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn point(text: &str, at: usize) -> Point {
        let before = &text[..at];
        let line = before.matches('\n').count() + 1;
        Point { line, column: at - before.rfind('\n').map_or(0, |end| end + 1) + 1 }
    }

    fn mutant(text: &str, function: &str, cut: &str, replacement: &str) -> Mutant {
        let span = |part: &str| {
            let start = text.find(part).unwrap();
            Span { start: point(text, start), end: point(text, start + part.len()) }
        };
        Mutant {
            name: String::new(),
            file: String::new(),
            function: Some(Function { return_type: "-> i64".to_owned(), span: span(function) }),
            replacement: replacement.to_owned(),
            span: span(cut),
            diff: String::new(),
        }
    }

    #[test]
    fn each_change_is_in_a_copy_of_its_function() {
        let text = "/// \"{\n#[x(\"{\")]\nfn f(a: [u8; 2]) -> i64 {\n    1 + 2\n}\nfn g() {}\n";
        let f = "/// \"{\n#[x(\"{\")]\nfn f(a: [u8; 2]) -> i64 {\n    1 + 2\n}";
        let (one, two) = (mutant(text, f, "+", "-"), mutant(text, f, "1 + 2", "0"));
        let woven = weave(text, &[(7, &one), (8, &two)], "chosen()");
        assert_eq!(
            woven.text,
            "/// \"{\n#[x(\"{\")]\nfn f(a: [u8; 2]) -> i64 { match chosen() {\n7 => {\n    1  -  2\n}\n8 => {\n     0 \n}\n\
             _ => {\n    1 + 2\n}\n} }\nfn g() {}\n"
        );
        assert_eq!(woven.lines, [(7, 4..7), (8, 7..10)]);
    }

    #[test]
    fn a_function_in_a_function_is_woven_in_the_unchanged_one_alone() {
        let text = "fn f() -> i64 {\n    fn g() -> i64 { 3 }\n    g() + 1\n}";
        let (one, two) = (mutant(text, text, "+", "-"), mutant(text, "fn g() -> i64 { 3 }", "3", "0"));
        let woven = weave(text, &[(1, &one), (2, &two)], "chosen()").text;
        assert_eq!(woven.matches("2 => {  0  }").count(), 1);
        assert!(woven.contains("1 => {\n    fn g() -> i64 { 3 }\n    g()  -  1\n}"), "{woven}");
    }

    #[test]
    fn what_is_known_at_compile_time_or_hides_its_type_is_not_woven() {
        let text = "pub const fn f() -> i64 { 1 }";
        assert!(!is_weavable(text, &mutant(text, text, "1", "0")));
        let text = "fn f() -> i64 { 1 }";
        let mut opaque = mutant(text, text, "1", "0");
        assert!(is_weavable(text, &opaque));
        opaque.function.as_mut().unwrap().return_type = "-> impl Iterator<Item = i64>".to_owned();
        assert!(!is_weavable(text, &opaque));
    }
}
