//! Where the ledger is kept: a file of this machine, or a PostgreSQL database that several nodes share.

use std::ffi::OsString;
use std::fmt;
use std::path::{Path, PathBuf};

use onhand_engine::Options;
use onhand_store::{PostgresStore, PostgresUrl, SqliteStore, Store, StoreError, behind_links};

use crate::runtime;

/// As it is typed. A password in it is never shown.
#[derive(Clone)]
pub enum Database {
    /// A SQLite file.
    File(PathBuf),
    /// An address, `postgres://…`.
    Server(String),
}

impl From<OsString> for Database {
    fn from(typed: OsString) -> Self {
        match typed.into_string() {
            Ok(text) if PostgresUrl::is_one(&text) => Self::Server(text),
            Ok(text) => Self::File(behind_links(Path::new(&text))),
            Err(typed) => Self::File(behind_links(Path::new(&typed))),
        }
    }
}

impl fmt::Display for Database {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path) => path.display().fmt(f),
            Self::Server(address) => match PostgresUrl::parse(address, None) {
                Ok(url) => url.fmt(f),
                Err(_) => f.write_str("postgres://…"),
            },
        }
    }
}

impl fmt::Debug for Database {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl Database {
    /// Opens it, or makes it: a file for this process alone, the tables of a server for as many as come.
    pub(crate) fn open(&self) -> Result<Kept, StoreError> {
        match self {
            Self::File(path) => Ok(Kept::InFile(runtime::open(path)?)),
            Self::Server(address) => {
                let url = Self::url(address)?;
                // It waits for the network, on a thread where others wait for us.
                tokio::task::block_in_place(|| PostgresStore::open(&url)).map(Kept::OnServer)
            }
        }
    }

    /// The address of a server.
    fn url(address: &str) -> Result<PostgresUrl, StoreError> {
        PostgresUrl::parse(address, std::env::var("PGPASSWORD").ok().as_deref())
    }

    /// Fails where it cannot be one, whatever is there: an empty name, or the address of something else.
    pub(crate) fn must_be_possible(&self) -> anyhow::Result<()> {
        match self {
            Self::Server(address) => Ok(Self::url(address).map(|_| ())?),
            Self::File(file) if file.as_os_str().is_empty() => {
                anyhow::bail!("the database has no name: name a file, or postgres://USER@HOST/DATABASE")
            }
            Self::File(file) => {
                // What is before `://` alone: there may be a password behind it.
                let shown = file.to_string_lossy();
                let scheme = shown.split_once("://").map(|(scheme, _)| scheme);
                match scheme.filter(|scheme| scheme.chars().all(|c| c.is_ascii_alphanumeric() || c == '+')) {
                    Some(scheme) => anyhow::bail!(
                        "`{scheme}://…` is no database that Onhand knows: name a file, or postgres://USER@HOST/DATABASE"
                    ),
                    None => Ok(()),
                }
            }
        }
    }

    /// Fails where there is none, or a file that has nothing in it.
    pub(crate) fn must_be_there(&self) -> anyhow::Result<()> {
        self.must_be_possible()?;
        let file = match self {
            Self::File(file) => file,
            Self::Server(address) => {
                let url = Self::url(address)?;
                if tokio::task::block_in_place(|| PostgresStore::is_there(&url))? {
                    return Ok(());
                }
                anyhow::bail!("there is nothing of Onhand in {self}; `onhand serve {self}` makes it");
            }
        };
        let shown = file.display();
        let mut log = file.as_os_str().to_owned();
        log.push("-wal");
        match std::fs::metadata(file) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                anyhow::bail!("there is no database at {shown}; `onhand serve {shown}` makes one")
            }
            // What is new may be in SQLite's own log only.
            Ok(metadata) if metadata.len() == 0 && !Path::new(&log).exists() => {
                anyhow::bail!("{shown} is empty; `onhand serve {shown}` makes a database of it")
            }
            _ => Ok(()),
        }
    }

    /// The file where the operator's API key is, unless another is named: beside a database file, or else in this folder.
    pub(crate) fn key_file(&self) -> PathBuf {
        match self {
            Self::File(path) => key_file(path),
            Self::Server(_) => PathBuf::from("onhand.key"),
        }
    }

    /// Is there a file already?
    pub(crate) fn is_there(&self) -> bool {
        match self {
            Self::File(path) => path.exists(),
            Self::Server(_) => false,
        }
    }
}

/// The file beside a database that the operator's own key is in.
pub(crate) fn key_file(database: &Path) -> PathBuf {
    let mut name = database.as_os_str().to_owned();
    name.push(".key");
    PathBuf::from(name)
}

/// A database that is open.
pub(crate) enum Kept {
    InFile(SqliteStore),
    OnServer(PostgresStore),
}

impl From<SqliteStore> for Kept {
    fn from(store: SqliteStore) -> Self {
        Self::InFile(store)
    }
}

impl Kept {
    /// Says where this process can be reached, where only one may have the database.
    pub fn announce(&self, address: &str) -> Result<(), StoreError> {
        match self {
            Self::InFile(store) => store.announce(address),
            Self::OnServer(_) => Ok(()),
        }
    }

    /// The file, where it is one.
    pub fn file(&self) -> Option<&Path> {
        match self {
            Self::InFile(store) => Some(store.path()),
            Self::OnServer(_) => None,
        }
    }

    /// The store, and how the ledger uses it: what several nodes share is written with every commit.
    pub fn into_store(self) -> (Box<dyn Store>, Options) {
        match self {
            Self::InFile(store) => (Box::new(store), Options::default()),
            Self::OnServer(store) => (Box::new(store), Options { flush_at: 0, ..Options::default() }),
        }
    }
}
