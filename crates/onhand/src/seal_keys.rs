//! Where the keys come from that seal secrets: the environment, a file that is named, or one beside a database file.
//!
//! A file beside a database of this process alone is made when it is needed first. Nodes that share a database share their
//! keys too, so that none of them makes any: whoever runs them gives the keys to all.

use std::fs;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

use onhand_engine::seal::{KeySource, Seal, SealError};

use crate::runtime::folder_of;

/// The keys themselves: stronger than any file.
const VARIABLE: &str = "ONHAND_SEAL_KEY";

/// The file that the command line or the settings name.
static NAMED: OnceLock<PathBuf> = OnceLock::new();

/// Names the file for all of this process: once, at its start.
pub(crate) fn name(file: PathBuf) {
    let _ = NAMED.set(file);
}

/// The file beside a database.
pub(crate) fn beside(database: &Path) -> PathBuf {
    let mut name = database.as_os_str().to_owned();
    name.push(".seal-key");
    PathBuf::from(name)
}

/// Gives a ledger its keys: of a database file at a path, or of one that nodes share.
pub(crate) fn provide(seal: &Seal, database: Option<&Path>) {
    if let Ok(keys) = std::env::var(VARIABLE) {
        return seal.provide(Arc::new(Given(keys)));
    }
    let Some(path) = NAMED.get().cloned().or_else(|| database.map(beside)) else { return };
    seal.provide(Arc::new(InFile { path, is_ours: database.is_some() }));
}

/// Fails where keys are told of that are none: no node begins with those. A file that is not there yet is one where this
/// process may make it.
pub(crate) fn check(is_shared: bool) -> Result<(), SealError> {
    let seal = Seal::default();
    match (std::env::var(VARIABLE), NAMED.get()) {
        (Ok(keys), _) => seal.provide(Arc::new(Given(keys))),
        (Err(_), Some(path)) if is_shared || path.exists() => {
            seal.provide(Arc::new(InFile { path: path.clone(), is_ours: !is_shared }));
        }
        _ => return Ok(()),
    }
    seal.names().map(|_| ())
}

struct Given(String);

impl KeySource for Given {
    fn read(&self) -> Result<Option<String>, String> {
        Ok(Some(self.0.clone()))
    }

    fn keep(&self, _: &str) -> Result<bool, String> {
        Ok(false)
    }
}

struct InFile {
    path: PathBuf,
    /// Has no other node the same keys?
    is_ours: bool,
}

impl KeySource for InFile {
    fn read(&self) -> Result<Option<String>, String> {
        let shown = self.path.display();
        match fs::read_to_string(&self.path) {
            Ok(keys) => Ok(Some(keys)),
            Err(error) if error.kind() == io::ErrorKind::NotFound && self.is_ours => Ok(None),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Err(format!(
                "{shown} is not there; `onhand seal new` prints a key to put there, on every node"
            )),
            Err(error) => Err(format!("{shown} cannot be read: {error}")),
        }
    }

    /// All of it or nothing, and never readable by others: temporary files are made with mode 0600.
    fn keep(&self, keys: &str) -> Result<bool, String> {
        if !self.is_ours {
            return Ok(false);
        }
        let write = || -> io::Result<()> {
            let folder = folder_of(&self.path);
            let mut file = tempfile::NamedTempFile::new_in(folder)?;
            file.write_all(keys.as_bytes())?;
            file.as_file().sync_all()?;
            file.persist(&self.path)?;
            // What is sealed with it may be on the disk before its name is.
            fs::File::open(folder)?.sync_all()
        };
        write().map_err(|error| format!("{} cannot be written: {error}", self.path.display()))?;
        Ok(true)
    }
}
