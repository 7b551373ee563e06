//! The tables of cases, as text.
//!
//! ```text
//! line {"put_item":{"sku":"CUP"}}                  what there is from the first
//! let half = 0.5                                   a word that stands for more
//! define draft                                     steps with a name
//!   POST /v1/transfers {…} => transfer /id         what is answered there is `$transfer` from then on
//!
//! POST /v1/transfers/$transfer/amend -> too_precise: MUG
//!   given draft                                    named steps, or one step
//!   at 10:00                                       what the clock says from here on
//!   {"lines":[{"line":"1","quantity":$half}]}      what is asked
//! ```
//!
//! `->` is followed by the kind of problem and what its sentence must name. `-> edge` is one that comes before the ledger
//! is asked, and has no line. `LINE command` is a line of `POST /v1/commands` alone.

use std::collections::BTreeMap;
use std::fmt::Write as _;

/// What every case may use.
const WORLD: &str = include_str!("world.txt");

#[derive(Clone, Debug)]
pub enum Step {
    /// What the clock says.
    At(String),
    /// A request, and what is kept of its answer: a name and where.
    Post { path: String, body: String, keep: Option<(String, String)> },
}

#[derive(Clone, Debug)]
pub struct Case {
    pub number: usize,
    pub method: String,
    pub path: String,
    pub edge: bool,
    pub kind: String,
    /// What the sentence must have in it.
    pub names: String,
    pub given: Vec<Step>,
    pub body: String,
}

impl Case {
    pub fn header(&self) -> String {
        format!("{} {} -> {}: {}", self.method, self.path, self.kind, self.names)
    }

    /// The status that a problem of its kind has.
    pub fn status(&self) -> u16 {
        match self.kind.as_str() {
            "key" | "path" => 400,
            "approval_needed" | "forbidden" => 403,
            "not_held" => 409,
            "unknown" => 404,
            "channel" => 502,
            kind if is_refusal(kind) || ["key_reused", "opening_taken"].contains(&kind) => 409,
            _ => 422,
        }
    }
}

/// Does the business say no so?
pub fn is_refusal(kind: &str) -> bool {
    onhand_ledger::RefusalKind::ALL.iter().any(|known| known.name() == kind)
}

/// A text with what its words stand for, the longest first.
pub fn fill(words: &BTreeMap<String, String>, text: &str) -> String {
    let mut words: Vec<(&String, &String)> = words.iter().collect();
    words.sort_by_key(|(word, _)| std::cmp::Reverse(word.len()));
    let mut text = text.to_owned();
    loop {
        let before = text.clone();
        for (word, means) in &words {
            text = text.replace(&format!("${word}"), means);
        }
        if text == before {
            return text;
        }
    }
}

pub struct Table {
    pub cases: Vec<Case>,
    words: BTreeMap<String, String>,
}

impl Table {
    /// The words that stand for more.
    pub fn words(&self) -> BTreeMap<String, String> {
        self.words.clone()
    }
}

#[derive(Default)]
struct Reading {
    cases: Vec<Case>,
    words: BTreeMap<String, String>,
    named: BTreeMap<String, Vec<Step>>,
    /// The name of the steps that are being read.
    naming: Option<String>,
}

impl Reading {
    fn steps(&self, text: &str) -> Vec<Step> {
        if let Some(steps) = self.named.get(text) {
            return steps.clone();
        }
        let (request, keep) = match text.split_once(" => ") {
            Some((request, keep)) => {
                let (name, pointer) = keep.split_once(' ').unwrap_or((keep, "/id"));
                (request, Some((name.to_owned(), pointer.to_owned())))
            }
            None => (text, None),
        };
        let request = request.strip_prefix("POST ").unwrap_or_else(|| panic!("`{text}` is no step"));
        let (path, body) = request.split_once(' ').unwrap_or((request, "{}"));
        vec![Step::Post { path: path.to_owned(), body: body.to_owned(), keep }]
    }

    fn read(&mut self, text: &str) {
        for (number, line) in (1..).zip(text.lines()) {
            let inside = line.starts_with(' ');
            let line = line.trim();
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            if let Some(line) = line.strip_prefix("line ") {
                let world = self.words.entry("world".to_owned()).or_default();
                writeln!(world, "{{\"body\":{line}}}").expect("text takes what is written");
            } else if let Some(word) = line.strip_prefix("let ") {
                let (word, means) = word.split_once(" = ").expect("let word = meaning");
                self.words.insert(word.to_owned(), means.to_owned());
            } else if let Some(name) = line.strip_prefix("define ") {
                self.named.insert(name.to_owned(), Vec::new());
                self.naming = Some(name.to_owned());
            } else if !inside {
                self.naming = None;
                self.begin(number, line);
            } else if let Some(name) = self.naming.clone() {
                let steps = self.inside(line).expect("only steps have a name");
                self.named.get_mut(&name).expect("it is defined").extend(steps);
            } else {
                match self.inside(line) {
                    Some(steps) => self.cases.last_mut().expect("a case").given.extend(steps),
                    None => line.clone_into(&mut self.cases.last_mut().expect("a case").body),
                }
            }
        }
    }

    /// The steps of a line; none where it is what is asked.
    fn inside(&self, line: &str) -> Option<Vec<Step>> {
        if let Some(time) = line.strip_prefix("at ") {
            return Some(vec![Step::At(time.to_owned())]);
        }
        match line.strip_prefix("given ") {
            Some(step) => Some(self.steps(step)),
            None if line.starts_with("POST ") || self.named.contains_key(line) => Some(self.steps(line)),
            None => None,
        }
    }

    fn begin(&mut self, number: usize, line: &str) {
        let (request, problem) = line.split_once(" -> ").unwrap_or_else(|| panic!("{number}: `{line}`"));
        let (method, path) = request.split_once(' ').unwrap_or_else(|| panic!("{number}: `{line}`"));
        let (kind, names) = problem.split_once(": ").unwrap_or_else(|| panic!("{number}: `{line}`"));
        let (edge, kind) = match kind.strip_prefix("edge ") {
            Some(kind) => (true, kind),
            None => (false, kind),
        };
        self.cases.push(Case {
            number,
            method: method.to_owned(),
            path: path.to_owned(),
            edge,
            kind: kind.to_owned(),
            names: names.to_owned(),
            given: Vec::new(),
            body: "{}".to_owned(),
        });
    }
}

/// Reads a table, after what every case may use.
pub fn read(name: &str) -> Table {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/refusals");
    let text = std::fs::read_to_string(format!("{folder}/{name}.txt")).expect("each table is a file");
    let mut reading = Reading::default();
    reading.read(WORLD);
    assert!(reading.cases.is_empty(), "the world has no cases");
    reading.read(&text);
    let mut words = reading.words;
    // More lines than a session may have.
    for (word, from) in [("lots_of_one_telling", 0), ("lots_of_another", 1_001)] {
        let line = |lot: u32| format!(r#"{{"sku":"LOT","quantity":1,"lot":"many {lot}"}}"#);
        words.insert(word.to_owned(), (from..from + 1_001).map(line).collect::<Vec<_>>().join(","));
    }
    Table { cases: reading.cases, words }
}
