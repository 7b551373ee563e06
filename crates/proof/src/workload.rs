//! A shop's day in short: commands of every kind through the real engine over the real store, tables written often,
//! checkpoints made at any time, the file closed and opened again. Each answer is written down as soon as it is given.
//!
//! Commands are made as JSON, as their users write them, so that a field that comes to be does not matter here.

use std::fs::File;
use std::io::Write as _;
use std::path::Path;
use std::sync::Arc;

use anyhow::{Context as _, Result};
use onhand_engine::{Clock as _, CommitError, Committed, Ledger, ManualClock, Options, Submission};
use onhand_ledger::{Answer, Body, Command, HoldId, Instant, OrderId, Seq, TenantId};
use onhand_store::{Note, SqliteStore};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::random::Random;
use crate::trace::ANSWERS;

/// The database's name in its directory.
pub const DATABASE: &str = "power.db";
/// Whose ledger it is.
pub const TENANT: TenantId = TenantId::DEFAULT;
/// Tables are written all the time, and little is remembered.
pub const OPTIONS: Options = Options { flush_at: 24, slice: 5, cache: 150 };

/// Where the last number written beside a command is kept.
pub const NOTE: (&str, &str) = ("proof", "last");

const ITEMS: u64 = 30;
const PLACES: u64 = 4;
const UNIT: i64 = 1_000_000;

/// A command that was answered: from then on its answer may not be lost.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Answered {
    /// What was asked.
    pub command: Command,
    /// What was answered.
    pub answer: Answer,
    /// The last entry there was then.
    pub seq: Seq,
    /// The number that was noted in the same transaction, if one was.
    pub noted: Option<u64>,
}

/// Opens the database of a directory as the workload does.
pub fn open(directory: &Path, clock: Arc<ManualClock>) -> Result<Ledger> {
    let store = SqliteStore::open(&directory.join(DATABASE))?;
    Ok(Ledger::open(Box::new(store), clock, OPTIONS)?)
}

/// Runs it in an empty directory.
pub fn run(directory: &Path, seed: u64, batches: u64) -> Result<()> {
    let mut day = Day::new(seed)?;
    let clock = day.clock.clone();
    let mut answers = File::create(directory.join(ANSWERS))?;
    let mut ledger = Some(open(directory, clock.clone())?);
    let mut beside = None;
    let setting = day.setting()?;
    write_answers(day.commit(ledger.as_ref().context("it is open")?, setting), &mut answers)?;
    for batch in 0..batches {
        day.pass();
        let commands = day.commands()?;
        let open_now = ledger.as_ref().context("it is open")?;
        write_answers(day.commit(open_now, commands), &mut answers)?;
        if day.random.percent(4) {
            let mode = ["PASSIVE", "FULL", "RESTART", "TRUNCATE"][day.random.index(4)];
            let connection = match beside.take() {
                Some(connection) => connection,
                None => rusqlite::Connection::open(directory.join(DATABASE))?,
            };
            connection.query_row(&format!("PRAGMA wal_checkpoint({mode})"), [], |_| Ok(()))?;
            beside = Some(connection);
        }
        if batch % 97 == 96 {
            if day.random.percent(50) {
                open_now.flush()?;
            }
            // Whoever closes last unlinks the WAL: now the store, now the connection beside it.
            if day.random.percent(50) {
                drop(beside.take());
                drop(ledger.take());
            } else {
                drop(ledger.take());
                drop(beside.take());
            }
            ledger = Some(open(directory, clock.clone())?);
        }
    }
    Ok(())
}

/// Somebody's day: makes commands, and remembers what they made.
#[derive(Default)]
pub struct Day {
    random: Random,
    clock: Arc<ManualClock>,
    now: Instant,
    number: u64,
    noted: u64,
    orders: Vec<OrderId>,
    holds: Vec<HoldId>,
    asked: Vec<Command>,
}

impl Day {
    /// A day that begins at eight.
    pub fn new(seed: u64) -> Result<Self> {
        let clock = Arc::new(ManualClock::at(Instant::parse("2026-11-23T08:00:00Z")?));
        Ok(Self { random: Random::of(seed, 0), clock, ..Self::default() })
    }

    /// The clock that stands where the day is.
    pub fn clock(&self) -> Arc<ManualClock> {
        self.clock.clone()
    }

    /// Lets some seconds pass.
    pub fn pass(&mut self) {
        self.now = self.now.max(self.clock.now());
        let seconds = i64::try_from(self.random.below(40)).unwrap_or(0);
        self.now = self.now.plus_seconds(seconds);
        self.clock.set(self.now);
    }

    /// Items, places and a system, to begin with.
    pub fn setting(&mut self) -> Result<Vec<Command>> {
        let mut bodies: Vec<Value> =
            (0..ITEMS).map(|item| json!({ "put_item": { "sku": sku(item) } })).collect();
        bodies.extend((0..PLACES).map(|place| json!({ "put_location": { "code": code(place) } })));
        bodies.push(json!({ "put_item": { "sku": "LOTS", "tracking": "lots" } }));
        bodies.push(json!({ "put_item": { "sku": "SERIALS", "tracking": "serials" } }));
        let parts = json!([{ "sku": sku(1), "quantity": UNIT }, { "sku": sku(2), "quantity": 2 * UNIT }]);
        bodies.push(json!({ "put_item": { "sku": "KIT", "kit": parts } }));
        bodies.push(json!({ "put_system": { "name": "WEB", "kind": "test" } }));
        bodies.into_iter().map(|body| self.keyed(body)).collect()
    }

    fn keyed(&mut self, body: Value) -> Result<Command> {
        self.number += 1;
        let body: Body = serde_json::from_value(body.clone()).with_context(|| body.to_string())?;
        let key = (!self.number.is_multiple_of(9)).then(|| format!("key-{}", self.number));
        Ok(Command::keyed(key, "proof", body))
    }

    /// Some commands that come together.
    pub fn commands(&mut self) -> Result<Vec<Command>> {
        let size = if self.random.percent(10) { 40 } else { 1 + self.random.below(6) };
        (0..size).map(|_| self.command()).collect()
    }

    fn command(&mut self) -> Result<Command> {
        if self.random.percent(5) && !self.asked.is_empty() {
            let index = self.random.index(self.asked.len());
            return Ok(self.asked[index].clone());
        }
        let body = self.body();
        self.keyed(body)
    }

    fn body(&mut self) -> Value {
        // One cell is busier than all others: its past is long.
        let busy = self.random.percent(30);
        let (item, place) = if busy { (0, 0) } else { (self.random.below(ITEMS), self.random.below(PLACES)) };
        let units = self.units(9);
        let line = json!([{ "sku": sku(item), "quantity": units }]);
        let document = self.random.below(40);
        let before = match self.random.below(4) {
            0 => json!(self.now.plus_seconds(-60 * i64::try_from(self.random.below(90)).unwrap_or(0))),
            _ => Value::Null,
        };
        let order = nth(&mut self.random, &self.orders);
        let hold = nth(&mut self.random, &self.holds);
        if self.random.percent(12) {
            return self.tracked(place, &before);
        }
        match (self.random.below(20), order, hold) {
            (0..4, ..) => {
                json!({ "receive": { "location": code(place), "lines": line, "occurred_at": before } })
            }
            (4, ..) => {
                json!({ "adjust": { "location": code(place), "lines": line, "occurred_at": before, "reason": "found" } })
            }
            (5, ..) => {
                json!({ "transfer": { "from": code(place), "to": code((place + 1) % PLACES), "lines": line } })
            }
            (6, ..) => {
                json!({ "move": { "location": code(place), "lines": line, "from": "available", "to": "damaged", "reason": "fell" } })
            }
            (7..9, ..) => {
                json!({ "count": { "location": code(place), "lines": line, "as_of": before } })
            }
            (9, ..) | (10, _, None) => {
                let seconds = 60 + i64::try_from(self.random.below(900)).unwrap_or(0);
                json!({ "place_hold": { "lines": line, "expires_at": self.now.plus_seconds(seconds) } })
            }
            (10, _, Some(hold)) => match self.random.below(2) {
                0 => json!({ "release_hold": hold }),
                _ => json!({ "convert_hold": { "hold": hold } }),
            },
            (14, Some(order), _) => json!({ "fulfil_order": { "order": order, "occurred_at": before } }),
            (15, Some(order), _) => json!({ "cancel_order": { "order": order } }),
            (16, Some(order), _) => json!({ "return_order": { "order": order, "into": "available",
                "lines": [{ "line": "1", "quantity": UNIT }] } }),
            (11..17, ..) => json!({ "place_order": { "lines": line } }),
            (17..19, ..) => {
                let lines = json!([{ "line": "1", "item": { "sku": sku(document % ITEMS) }, "quantity": self.units(5),
                    "shipped": self.units(2), "returned": 0 }]);
                let order = json!({ "cancelled": self.random.percent(15), "lines": lines });
                self.document(&format!("W{document}"), json!({ "order": order }))
            }
            _ => {
                let lines = json!([{ "line": "1", "item": { "sku": sku(item) }, "location": code(place),
                    "what": "sold", "quantity": units, "occurred_at": before }]);
                self.document(&format!("M{document}"), json!({ "movements": lines }))
            }
        }
    }

    /// Lots, serials and kits.
    fn tracked(&mut self, place: u64, before: &Value) -> Value {
        let (lot, units) = (format!("L{}", self.random.below(6)), self.units(9));
        let location = code(place);
        match self.random.below(8) {
            0..3 => {
                let expires = format!("2026-11-{}", 24 + self.random.below(6));
                let line = json!([{ "sku": "LOTS", "quantity": units, "lot": lot, "expires": expires }]);
                json!({ "receive": { "location": location, "lines": line, "occurred_at": before } })
            }
            3 => {
                let line =
                    json!([{ "sku": "SERIALS", "quantity": UNIT, "serials": [format!("S{}", self.number)] }]);
                json!({ "receive": { "location": location, "lines": line } })
            }
            4 => json!({ "put_lot": { "sku": "LOTS", "lot": lot, "recalled": self.random.percent(50) } }),
            5 => {
                let line = json!([{ "sku": "LOTS", "quantity": units, "lot": lot }]);
                json!({ "count": { "location": location, "lines": line } })
            }
            6 => json!({ "place_order": { "lines": [{ "sku": "KIT", "quantity": UNIT }] } }),
            _ => json!({ "place_order": { "lines": [{ "sku": "LOTS", "quantity": UNIT }] } }),
        }
    }

    fn document(&mut self, name: &str, content: Value) -> Value {
        json!({ "record": { "system": "WEB", "document": name, "version": self.number, "content": content } })
    }

    fn units(&mut self, most: u64) -> i64 {
        UNIT * (1 + i64::try_from(self.random.below(most)).unwrap_or(0))
    }

    /// Commits them together, a number noted beside some.
    pub fn commit(&mut self, ledger: &Ledger, commands: Vec<Command>) -> Vec<Told> {
        let mut noted = Vec::new();
        let mut submissions = Vec::new();
        for command in &commands {
            let note = self.random.percent(20).then(|| {
                self.noted += 1;
                self.noted
            });
            noted.push(note);
            let notes = note.map(|number| Note {
                space: NOTE.0.to_owned(),
                key: NOTE.1.to_owned(),
                body: Some(number.to_string()),
            });
            let notes = notes.into_iter().collect();
            submissions.push(Submission { tenant: TENANT, command: Some(command.clone()), notes });
        }
        let results = ledger.commit(submissions);
        for (command, result) in commands.iter().zip(&results) {
            let Ok(committed) = result else { continue };
            match &committed.answer {
                Answer::Order(id, _) if !committed.replayed => self.orders.push(*id),
                Answer::Hold(id, ..) if !committed.replayed => self.holds.push(*id),
                _ => {}
            }
            if command.key.is_some() {
                self.asked.push(command.clone());
            }
        }
        let told = commands.into_iter().zip(results).zip(noted);
        told.map(|((command, result), noted)| Told { command, result, noted }).collect()
    }
}

/// What came of a command.
#[derive(Debug)]
pub struct Told {
    /// What was asked.
    pub command: Command,
    /// What came of it.
    pub result: std::result::Result<Committed, CommitError>,
    /// The number that was noted in the same transaction, if one was.
    pub noted: Option<u64>,
}

/// One write of whole lines: from here on they count as acknowledged.
fn write_answers(told: Vec<Told>, answers: &mut File) -> Result<()> {
    let mut lines = Vec::new();
    for Told { command, result, noted } in told {
        let Ok(committed) = result else { continue };
        let answered = Answered { command, answer: committed.answer, seq: committed.seq, noted };
        serde_json::to_writer(&mut lines, &answered)?;
        lines.push(b'\n');
    }
    Ok(answers.write_all(&lines)?)
}

/// The last more often than others.
fn nth<T: Copy>(random: &mut Random, all: &[T]) -> Option<T> {
    if all.is_empty() || random.percent(60) {
        all.last().copied()
    } else {
        Some(all[random.index(all.len())])
    }
}

fn sku(item: u64) -> String {
    format!("ITEM-{item}")
}

fn code(place: u64) -> String {
    format!("PLACE-{place}")
}
