//! Lines as commands, gathered into blocks that are handed in together. Groups are put together here.

use onhand_ledger::{Body, Command};
use serde::Deserialize;
use serde_json::value::RawValue;

use super::lines::LONGEST;
use crate::auth::Caller;
use crate::body;
use crate::error::Problem;
use crate::strict::Strict;

/// A block is handed in once it has so many lines, or so many bytes.
const BLOCK_LINES: usize = 256;
const BLOCK_BYTES: usize = LONGEST;
/// How many lines a group has at most, and how many bytes.
const GROUP_LINES: usize = 1_000;
const GROUP_BYTES: usize = 8 * LONGEST;

/// One line as it comes. What it asks is read once it is known where it belongs.
#[derive(Deserialize)]
#[serde(remote = "Self", deny_unknown_fields)]
struct LineInput<'a> {
    key: Option<String>,
    group: Option<String>,
    #[serde(borrow)]
    body: &'a RawValue,
}

impl<'de: 'a, 'a> Deserialize<'de> for LineInput<'a> {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Object;
        impl<'de> serde::de::Visitor<'de> for Object {
            type Value = LineInput<'de>;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("a JSON object")
            }

            fn visit_map<A: serde::de::MapAccess<'de>>(self, map: A) -> Result<LineInput<'de>, A::Error> {
                LineInput::deserialize(serde::de::value::MapAccessDeserializer::new(map))
            }
        }
        deserializer.deserialize_map(Object)
    }
}

/// Something that is told in its place among the answers.
#[derive(Debug)]
pub(super) enum Told {
    /// A line that is no command, or one of a group that is not done for one that is none.
    Wrong(u64, Option<String>, Box<Problem>),
    /// The next answer is this line's.
    Line(u64),
    /// The next answer is that of all these lines.
    Group(String, Vec<u64>),
}

/// Commands that are handed in together, and what is told of them in order.
#[derive(Debug, Default)]
pub(super) struct Block {
    pub told: Vec<Told>,
    pub commands: Vec<Command>,
    lines: usize,
    bytes: usize,
}

impl Block {
    /// Enough to be handed in?
    pub fn is_full(&self) -> bool {
        self.lines >= BLOCK_LINES || self.bytes >= BLOCK_BYTES
    }

    pub fn is_empty(&self) -> bool {
        self.told.is_empty()
    }
}

/// A group whose lines are still coming.
struct Gathering {
    name: String,
    lines: Vec<u64>,
    bodies: Vec<Body>,
    bytes: usize,
    /// The line because of which the group is not done, and what is wrong with it.
    wrong: Option<(u64, Box<Problem>)>,
    /// Further lines that are wrong by themselves.
    also_wrong: Vec<(u64, Box<Problem>)>,
}

impl Gathering {
    fn refuse(&mut self, line: u64, problem: Problem) {
        self.lines.push(line);
        self.bodies = Vec::new();
        match self.wrong {
            None => self.wrong = Some((line, Box::new(problem))),
            Some(_) => self.also_wrong.push((line, Box::new(problem))),
        }
    }
}

/// Makes blocks of lines.
pub(super) struct Blocks {
    caller: Caller,
    block: Block,
    group: Option<Gathering>,
}

impl Blocks {
    pub fn new(caller: Caller) -> Self {
        Self { caller, block: Block::default(), group: None }
    }

    /// Adds a line.
    pub fn add(&mut self, number: u64, text: &[u8]) {
        let what = format!("line {number}");
        self.block.bytes += text.len();
        let line = match body::parse::<LineInput<'_>>(&what, text) {
            Ok(line) => line,
            Err(mut problem) => {
                problem.detail = problem.detail.replace(" at line 1 column ", " at column ");
                return self.add_wrong(number, problem);
            }
        };
        let parsed = body::parse::<Strict<Body>>(&what, line.body.get().as_bytes()).map(|body| body.0);
        let parsed = parsed.map_err(|mut problem| {
            // It says where by the names on the way.
            if let Some(place) = problem.detail.rfind(" at line 1 column ") {
                problem.detail.truncate(place);
            }
            problem
        });
        let parsed = parsed.and_then(|body| self.caller.may(&body).map(|()| body));
        let Some(name) = line.group else {
            self.end_group();
            match parsed {
                Ok(body) => {
                    self.hand_in(Told::Line(number), Command::keyed(line.key, &*self.caller.name, body), 1)
                }
                Err(problem) => self.add_wrong(number, problem),
            }
            return;
        };
        if self.group.as_ref().is_none_or(|group| group.name != name) {
            self.end_group();
            let (lines, bodies, also_wrong) = (Vec::new(), Vec::new(), Vec::new());
            self.group = Some(Gathering { name, lines, bodies, bytes: 0, wrong: None, also_wrong });
        }
        let Some(group) = &mut self.group else { return };
        group.bytes += text.len();
        let too_much = || {
            let (lines, mebibytes) = (GROUP_LINES, GROUP_BYTES / (1024 * 1024));
            let detail =
                format!("{what}: a group has at most {lines} lines and {mebibytes} MiB; make two of it");
            Problem::of_field("group", detail)
        };
        match parsed {
            _ if line.key.is_some() => {
                let detail =
                    format!("{what}: a line of a group has no key of its own; the group's name is its key");
                group.refuse(number, Problem::of_field("key", detail));
            }
            Err(problem) => group.refuse(number, problem),
            Ok(_) if group.wrong.is_some() => group.lines.push(number),
            Ok(_) if group.lines.len() >= GROUP_LINES || group.bytes > GROUP_BYTES => {
                group.refuse(number, too_much());
            }
            Ok(body) => {
                group.lines.push(number);
                group.bodies.push(body);
            }
        }
    }

    /// May this line be one more of the group whose lines are coming?
    pub fn goes_on_with(&self, text: &[u8]) -> bool {
        self.group.as_ref().is_some_and(|group| {
            let line = body::parse::<LineInput<'_>>("a line", text);
            line.map_or(true, |line| line.group.as_ref() == Some(&group.name))
        })
    }

    /// Adds a line that cannot be read. Where a group's lines are coming it may be one of them, and the group is not done
    /// without it.
    pub fn add_wrong(&mut self, number: u64, problem: Problem) {
        match &mut self.group {
            Some(group) => group.refuse(number, problem),
            None => self.block.told.push(Told::Wrong(number, None, Box::new(problem))),
        }
        self.block.lines += 1;
    }

    /// Ends the group whose lines were coming.
    pub fn end_group(&mut self) {
        let Some(group) = self.group.take() else { return };
        let Some((first, problem)) = group.wrong else {
            let command =
                Command::keyed(Some(group.name.clone()), &*self.caller.name, Body::Group(group.bodies));
            let lines = group.lines.len();
            return self.hand_in(Told::Group(group.name, group.lines), command, lines);
        };
        let mut wrong: Vec<(u64, Box<Problem>)> = vec![(first, problem)];
        wrong.extend(group.also_wrong);
        let mut wrong = wrong.into_iter().peekable();
        for line in group.lines {
            let own = wrong.next_if(|(number, _)| *number == line).map(|(_, problem)| problem);
            let problem = own.unwrap_or_else(|| Box::new(Problem::of_group(&group.name, first)));
            self.block.told.push(Told::Wrong(line, Some(group.name.clone()), problem));
        }
        self.block.lines += 1;
    }

    fn hand_in(&mut self, told: Told, command: Command, lines: usize) {
        self.block.told.push(told);
        self.block.lines += command.body.work().max(lines);
        self.block.commands.push(command);
    }

    /// The block as it is, if it is full.
    pub fn take_full(&mut self) -> Option<Block> {
        self.block.is_full().then(|| std::mem::take(&mut self.block))
    }

    /// The block as it is.
    pub fn take(&mut self) -> Block {
        std::mem::take(&mut self.block)
    }
}
