//! `onhand bench`: figures of this machine, each the median of several runs.

mod bulk;
mod compare;
mod in_process;
mod ledger;
mod orders;
mod pages;
mod store;
mod sync;
mod system;

use std::collections::BTreeMap;
use std::time::Instant as Stopwatch;

use onhand_engine::systems::Connection;
use onhand_ledger::{Body, Command};

use crate::cli::Bench;
use crate::database::Database;

/// How many items are moved at random.
const ITEMS: u64 = 10_000;

pub(crate) async fn run(bench: &Bench, db: &Database, json: bool) -> anyhow::Result<()> {
    match bench {
        Bench::Ledger(bench) => ledger::run(bench, json).await,
        Bench::Compare { seconds } => compare::run(*seconds, json).await,
        Bench::Store { movements } => store::run(db, *movements, json).await,
        Bench::Sync(bench) => sync::run(bench, json).await,
        Bench::Pages(bench) => pages::run(bench, db, json).await,
        Bench::Orders { seconds, runs } => orders::orders_over_http(*seconds, *runs, json).await,
        Bench::System { kind, url, username, secret, changes } => {
            let (kind, url) = (kind.clone(), url.clone());
            let connection = Connection {
                kind,
                url,
                username: username.clone(),
                secret: secret.as_str().into(),
                settings: BTreeMap::new(),
            };
            system::until_shown(connection, *changes, json).await
        }
    }
}

fn command(body: Body) -> Command {
    Command::keyed(None, "bench", body)
}

#[expect(clippy::disallowed_methods, reason = "a benchmark measures real time")]
fn now() -> Stopwatch {
    Stopwatch::now()
}

/// Numbers enough to choose items by, the same each time (xorshift).
struct Random(u64);

impl Random {
    const fn new(seed: u64) -> Self {
        Self((seed + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    const fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }
}
