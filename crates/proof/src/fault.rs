//! Lets operations on a database's files fail, in a process that runs with `fault.c` before its libc.

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};

use crate::record::compile;

/// `errno` where the disk is full.
pub const ENOSPC: i64 = 28;
/// `errno` where the disk is broken.
pub const EIO: i64 = 5;

/// What can fail. Numbers as in `fault.c`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Operation {
    /// Opening a file.
    Open = 1,
    /// Reading.
    Read = 2,
    /// Writing.
    Write = 4,
    /// Syncing.
    Sync = 8,
    /// Cutting a file, or making it longer.
    Truncate = 16,
}

impl Operation {
    /// All of them.
    pub const ALL: [Self; 5] = [Self::Open, Self::Read, Self::Write, Self::Sync, Self::Truncate];
}

/// What shall fail.
#[derive(Clone, Copy, Debug)]
pub struct Fault {
    /// Operations of this kind.
    pub operation: Operation,
    /// After so many that go well.
    pub after: i64,
    /// All that follow too.
    pub for_good: bool,
    /// How.
    pub errno: i64,
}

/// The one who says what fails.
pub struct Faults {
    shim: PathBuf,
    database: PathBuf,
    path: PathBuf,
    tell: File,
}

impl Faults {
    /// Compiles the shim into a folder, for the database of this path. Nothing fails yet.
    pub fn new(folder: &Path, database: &Path) -> Result<Self> {
        let shim = compile(folder, "fault", include_str!("fault.c"))?;
        let path = folder.join("fault.tell");
        let tell = File::options().read(true).write(true).create(true).truncate(true).open(&path)?;
        tell.set_len(64)?;
        let faults = Self { shim, database: database.to_owned(), path, tell };
        faults.end()?;
        Ok(faults)
    }

    /// What the process that shall fail needs in its environment.
    pub fn environment(&self) -> [(&'static str, OsString); 3] {
        let text = |path: &Path| OsStr::new(path).to_owned();
        [
            ("LD_PRELOAD", text(&self.shim)),
            ("ONHAND_FAULT_FILES", text(&self.database)),
            ("ONHAND_FAULT_TELL", text(&self.path)),
        ]
    }

    /// The one of a process that the shim stands before already, by its environment.
    pub fn of_this_process() -> Result<Self> {
        let path = |name: &str| {
            std::env::var_os(name).map(PathBuf::from).with_context(|| format!("{name} is not set"))
        };
        let (path, database) = (path("ONHAND_FAULT_TELL")?, path("ONHAND_FAULT_FILES")?);
        let tell = File::options().read(true).write(true).open(&path)?;
        Ok(Self { shim: PathBuf::new(), database, path, tell })
    }

    /// The database that is meant.
    pub fn database(&self) -> &Path {
        &self.database
    }

    fn put(&self, index: u64, number: i64) -> Result<()> {
        self.tell.write_all_at(&number.to_ne_bytes(), index * 8).context("cannot tell what fails")
    }

    fn get(&self, index: u64) -> Result<i64> {
        let mut bytes = [0; 8];
        self.tell.read_exact_at(&mut bytes, index * 8)?;
        Ok(i64::from_ne_bytes(bytes))
    }

    /// From now on this fails.
    pub fn begin(&self, fault: Fault) -> Result<()> {
        self.end()?;
        self.put(2, i64::from(fault.for_good))?;
        self.put(3, fault.errno)?;
        self.put(4, 0)?;
        self.put(5, 0)?;
        self.put(1, fault.after)?;
        self.put(0, fault.operation as i64)
    }

    /// Nothing fails any more.
    pub fn end(&self) -> Result<()> {
        self.put(0, 0)?;
        self.put(1, -1)
    }

    /// How many operations failed since [`Faults::begin`].
    pub fn failed(&self) -> Result<i64> {
        self.get(4)
    }

    /// How many there were of that kind since then.
    pub fn met(&self) -> Result<i64> {
        self.get(5)
    }
}
