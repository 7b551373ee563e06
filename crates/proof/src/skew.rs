//! A process whose machine's clock is wrong, and jumps.

use std::ffi::OsString;
use std::fs::File;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};

use anyhow::Result;

use crate::record::compile;

/// A clock that can be set wrong while it is used.
pub struct Skew {
    shim: PathBuf,
    path: PathBuf,
    tell: File,
}

impl Skew {
    /// Compiles the shim into a folder. The clock is right.
    pub fn new(folder: &Path) -> Result<Self> {
        let shim = compile(folder, "skew", include_str!("skew.c"))?;
        let path = folder.join("skew.tell");
        let tell = File::options().read(true).write(true).create(true).truncate(true).open(&path)?;
        tell.set_len(8)?;
        Ok(Self { shim, path, tell })
    }

    /// From now on it is off by so many seconds.
    pub fn set(&self, seconds: i64) -> Result<()> {
        Ok(self.tell.write_all_at(&seconds.to_ne_bytes(), 0)?)
    }

    /// What the process needs in its environment.
    pub fn environment(&self) -> [(&'static str, OsString); 2] {
        [("LD_PRELOAD", self.shim.clone().into()), ("ONHAND_SKEW", self.path.clone().into())]
    }
}
