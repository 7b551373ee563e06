//! What a ledger under test is kept in, for tests that are run once with each.

use std::time::Duration;

use onhand_engine::Options;
use onhand_store::{MemoryStore, PostgresStore, PostgresUrl, SqliteStore, Store};

/// What a ledger is kept in.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kept {
    /// In memory alone.
    Memory,
    /// In an SQLite file, with little of it in memory.
    File,
    /// In a database of PostgreSQL.
    Postgres,
}

/// Where it is kept, as long as this lives.
pub enum Place {
    /// As long as its store lives.
    Memory,
    /// In a folder of its own.
    File(tempfile::TempDir),
    /// In a database of its own.
    Postgres(String),
}

impl Kept {
    /// A new place.
    pub fn place(self) -> Place {
        match self {
            Self::Memory => Place::Memory,
            Self::File => Place::File(tempfile::tempdir().unwrap()),
            // `cargo xtask mutants` tries a thousand changes: there it would take too long.
            Self::Postgres if std::env::var_os("ONHAND_WITHOUT_POSTGRESQL").is_some() => Place::Memory,
            Self::Postgres => Place::Postgres(onhand_testpg::database()),
        }
    }
}

impl Place {
    /// A store of what is there: of nothing, in memory.
    pub fn store(&self) -> Box<dyn Store> {
        match self {
            Self::Memory => Box::new(MemoryStore::default()),
            Self::File(folder) => {
                let path = folder.path().join("test.db");
                // It is free once the last of a ledger that was dropped has ended.
                for _ in 0..200 {
                    if let Ok(store) = SqliteStore::open(&path) {
                        return Box::new(store);
                    }
                    std::thread::sleep(Duration::from_millis(10));
                }
                Box::new(SqliteStore::open(&path).unwrap())
            }
            Self::Postgres(address) => {
                Box::new(PostgresStore::open(&PostgresUrl::parse(address, None).unwrap()).unwrap())
            }
        }
    }

    /// How much of it is in memory.
    pub fn options(&self) -> Options {
        match self {
            Self::Memory => Options::default(),
            Self::File(_) => Options { flush_at: 4, slice: 2, cache: 8 },
            // There all that is dirty is written with every commit: another node may read it.
            Self::Postgres(_) => Options { flush_at: 0, ..Options::default() },
        }
    }
}
