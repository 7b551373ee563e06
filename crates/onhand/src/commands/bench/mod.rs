//! `onhand bench`: figures of this machine, each the median of several runs.

mod bulk;
mod compare;
mod in_process;
mod ledger;
mod limits;
mod orders;
mod pages;
mod store;
mod sync;
mod system;

use std::collections::BTreeMap;
use std::time::{Duration, Instant as Stopwatch};

use hdrhistogram::{CreationError, Histogram};
use onhand_engine::systems::Connection;
use onhand_ledger::{Body, Command};

use crate::cli::Bench;
use crate::database::Database;

/// How many items are moved at random.
const ITEMS: u64 = 10_000;
/// Commands without an answer yet, over all callers.
const IN_FLIGHT: usize = 8_000;

pub(crate) async fn run(bench: &Bench, db: &Database, json: bool) -> anyhow::Result<()> {
    match bench {
        Bench::Ledger(bench) => ledger::run(bench, json).await,
        Bench::Compare { seconds } => compare::run(*seconds, json).await,
        Bench::Store { movements } => store::run(db, *movements, json).await,
        Bench::Sync(bench) => sync::run(bench, json).await,
        Bench::Limits(bench) => limits::run(bench, json).await,
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

/// For times in microseconds, up to a minute.
fn times() -> Result<Histogram<u64>, CreationError> {
    Histogram::new_with_bounds(1, 60_000_000, 3)
}

/// What this part of them took at most, in milliseconds.
fn ms(times: &Histogram<u64>, part: f64) -> f64 {
    Duration::from_micros(times.value_at_quantile(part)).as_secs_f64() * 1_000.0
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
