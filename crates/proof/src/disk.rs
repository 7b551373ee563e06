//! What a disk may hold after a loss of power.
//!
//! Durable is what was done to a file before a sync of it that has ended began, and which names a directory had when
//! a sync of it began. Of all else any part may be there: each write in pieces of a sector, each piece for itself, so
//! that a later one may be there without an earlier; a file's new length with zeros where its data should be; a name
//! made or unlinked, or not yet. Nothing that is durable changes (<https://sqlite.org/psow.html>).

use std::collections::{BTreeMap, HashMap};
use std::path::Path;

use anyhow::{Context as _, Result};

use crate::random::Random;
use crate::trace::{DIRECTORY, Event, File, Trace};

/// A disk that says "synced" and has not: shows that a test of losses can fail.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Lie {
    /// It does what it says.
    #[default]
    None,
    /// Syncs of the WAL do nothing, as with `synchronous=NORMAL`.
    Wal,
    /// Of the WAL's syncs one in so many does nothing.
    SomeOfTheWal(u64),
    /// Syncs of the database file do nothing, so that a checkpoint is not waited for.
    Database,
    /// Syncs of the directory do nothing.
    Directory,
}

impl Lie {
    fn ignores(self, name: &str, file: File, number: u64) -> bool {
        match self {
            Self::None => false,
            Self::Wal => name.ends_with("-wal"),
            Self::SomeOfTheWal(one_in) => name.ends_with("-wal") && number.is_multiple_of(one_in),
            Self::Database => file != DIRECTORY && !name.ends_with("-wal"),
            Self::Directory => file == DIRECTORY,
        }
    }
}

#[derive(Clone, Debug)]
enum Change<'a> {
    Write(u64, &'a [u8]),
    Length(u64),
}

impl Change<'_> {
    fn apply(&self, contents: &mut Vec<u8>) {
        match self {
            Self::Write(at, bytes) => put(contents, *at, bytes),
            Self::Length(length) => contents.resize(size(*length), 0),
        }
    }
}

#[derive(Clone, Debug)]
enum Naming<'a> {
    Made(&'a str, File),
    Gone(&'a str),
}

/// A disk while a trace is played on it.
#[derive(Clone, Default)]
pub struct Disk<'a> {
    lie: Lie,
    next: usize,
    names: BTreeMap<&'a str, File>,
    namings: Vec<Naming<'a>>,
    first_name: HashMap<File, &'a str>,
    durable: HashMap<File, Vec<u8>>,
    pending: HashMap<File, Vec<Change<'a>>>,
    /// The syncs under way: of which file, and how much of what is pending was there when each began.
    syncing: HashMap<u64, (File, usize)>,
}

impl<'a> Disk<'a> {
    /// An empty disk.
    pub fn new(lie: Lie) -> Self {
        Self { lie, ..Self::default() }
    }

    /// Plays a trace on, up to a point, which is not before where it is.
    pub fn play(&mut self, trace: &'a Trace, point: usize) {
        for event in &trace.events[self.next..point] {
            self.event(event);
        }
        self.next = point;
    }

    fn event(&mut self, event: &'a Event) {
        match event {
            Event::Created(file, name) => {
                self.first_name.insert(*file, name);
                self.namings.push(Naming::Made(name, *file));
            }
            Event::Unlinked(name) => self.namings.push(Naming::Gone(name)),
            Event::Written(file, at, bytes) => {
                self.pending.entry(*file).or_default().push(Change::Write(*at, bytes));
            }
            Event::Truncated(file, length) => {
                self.pending.entry(*file).or_default().push(Change::Length(*length));
            }
            Event::SyncBegun(file, number) => {
                let pending = match *file {
                    DIRECTORY => self.namings.len(),
                    file => self.pending.get(&file).map_or(0, Vec::len),
                };
                self.syncing.insert(*number, (*file, pending));
            }
            Event::SyncEnded(file, number) => {
                let (_, covered) = self.syncing.remove(number).unwrap_or_default();
                let name = self.first_name.get(file).copied().unwrap_or_default();
                if !self.lie.ignores(name, *file, *number) {
                    self.synced(*file, covered);
                }
            }
        }
    }

    fn synced(&mut self, file: File, covered: usize) {
        // Another sync of the same file covers what is left.
        for (other, under_way) in self.syncing.values_mut() {
            *under_way = if *other == file { under_way.saturating_sub(covered) } else { *under_way };
        }
        if file == DIRECTORY {
            for naming in self.namings.drain(..covered) {
                named(&mut self.names, &naming);
            }
            return;
        }
        let contents = self.durable.entry(file).or_default();
        for change in self.pending.entry(file).or_default().drain(..covered) {
            change.apply(contents);
        }
    }

    /// All of it, as if nothing had been lost.
    pub fn keep(&self, directory: &Path) -> Result<()> {
        let mut names = self.names.clone();
        self.namings.iter().for_each(|naming| named(&mut names, naming));
        for (name, file) in names {
            let mut contents = self.durable.get(&file).cloned().unwrap_or_default();
            let pending = self.pending.get(&file).map(Vec::as_slice).unwrap_or_default();
            for change in pending {
                change.apply(&mut contents);
            }
            write(directory, name, &contents)?;
        }
        Ok(())
    }

    /// What may be left of it, by these choices, as files in a directory that is empty.
    pub fn lose(&self, random: &mut Random, directory: &Path) -> Result<()> {
        let mut names = self.names.clone();
        // File systems write names down in order: some first ones are there, and now and then any of them.
        let first = random.index(self.namings.len() + 1);
        let any = random.percent(20);
        for (index, naming) in self.namings.iter().enumerate() {
            if if any { random.percent(50) } else { index < first } {
                named(&mut names, naming);
            }
        }
        for (name, file) in names {
            let contents = if name.ends_with("-shm") { junk(random) } else { self.left_of(file, random) };
            write(directory, name, &contents)?;
        }
        Ok(())
    }

    fn left_of(&self, file: File, random: &mut Random) -> Vec<u8> {
        let mut contents = self.durable.get(&file).cloned().unwrap_or_default();
        let pending = self.pending.get(&file).map(Vec::as_slice).unwrap_or_default();
        // As often as not the last things done are those that are missing.
        let upto = if random.percent(50) { pending.len() } else { random.index(pending.len() + 1) };
        let kept = [0, 3, 20, 50, 80, 97, 100][random.index(7)];
        let sector = [512, 512, 4_096, usize::MAX][random.index(4)];
        let torn_last = random.percent(50);
        for (index, change) in pending[..upto].iter().enumerate() {
            let kept = if torn_last && index + 1 == upto { 50 } else { kept };
            match change {
                Change::Write(at, bytes) => tear(&mut contents, *at, bytes, sector, kept, random),
                Change::Length(length) if random.percent(kept) => contents.resize(size(*length), 0),
                Change::Length(_) => {}
            }
        }
        contents
    }
}

/// Each piece of a write that lies in one sector is there or not; where it is not, the file may have grown all the same.
fn tear(contents: &mut Vec<u8>, at: u64, bytes: &[u8], sector: usize, kept: u64, random: &mut Random) {
    let mut from = 0;
    while from < bytes.len() {
        let place = size(at) + from;
        let room = if sector == usize::MAX { bytes.len() } else { sector - place % sector };
        let upto = bytes.len().min(from + room);
        if random.percent(kept) {
            put(contents, place as u64, &bytes[from..upto]);
        } else if random.percent(25) && contents.len() < place + (upto - from) {
            contents.resize(place + (upto - from), 0);
        }
        from = upto;
    }
}

fn write(directory: &Path, name: &str, contents: &[u8]) -> Result<()> {
    let path = directory.join(name);
    std::fs::write(&path, contents).with_context(|| format!("cannot write {}", path.display()))
}

fn put(contents: &mut Vec<u8>, at: u64, bytes: &[u8]) {
    let from = size(at);
    if contents.len() < from + bytes.len() {
        contents.resize(from + bytes.len(), 0);
    }
    contents[from..from + bytes.len()].copy_from_slice(bytes);
}

fn named<'a>(names: &mut BTreeMap<&'a str, File>, naming: &Naming<'a>) {
    match naming {
        Naming::Made(name, file) => names.insert(name, *file),
        Naming::Gone(name) => names.remove(name),
    };
}

/// What was only ever in memory may hold anything.
fn junk(random: &mut Random) -> Vec<u8> {
    let length = [0, 3, 32_768, 65_536][random.index(4)];
    (0..length).map(|_| u8::try_from(random.below(256)).unwrap_or(0)).collect()
}

fn size(number: u64) -> usize {
    usize::try_from(number).expect("files of a trace fit into memory")
}
