//! The one clock. Everything that needs the time is handed one of these.

use std::sync::atomic::{AtomicI64, Ordering};

use onhand_ledger::Instant;
use parking_lot::Mutex;

/// Tells the time.
pub trait Clock: Send + Sync {
    /// Now, UTC. May stand still or go back; the ledger's own time does not.
    fn now(&self) -> Instant;
    /// What time a database says it is, which several nodes share. Who goes by another clock does not listen.
    fn tell(&self, _now: Instant) {}
}

/// The machine's clock.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    #[expect(clippy::disallowed_methods, reason = "this is the one place that reads the machine's clock")]
    fn now(&self) -> Instant {
        let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
        Instant::from_micros(since.map_or(0, |since| i64::try_from(since.as_micros()).unwrap_or(i64::MAX)))
    }
}

/// The clock of a database that several nodes share: what it told last, and what has gone by since. The machine's clock counts only until
/// it has told anything, and may be wrong or jump after that.
#[derive(Debug, Default)]
pub struct DatabaseClock(Mutex<Option<(Instant, std::time::Instant)>>);

impl Clock for DatabaseClock {
    fn now(&self) -> Instant {
        match &*self.0.lock() {
            Some((told, at)) => told.plus_micros(i64::try_from(at.elapsed().as_micros()).unwrap_or(i64::MAX)),
            None => SystemClock.now(),
        }
    }

    #[expect(clippy::disallowed_methods, reason = "how much time has gone by is read here alone")]
    fn tell(&self, now: Instant) {
        *self.0.lock() = Some((now, std::time::Instant::now()));
    }
}

/// A clock that stands still until it is set: for tests and simulations.
#[derive(Debug, Default)]
pub struct ManualClock(AtomicI64);

impl ManualClock {
    /// A clock that stands at an instant.
    pub fn at(now: Instant) -> Self {
        Self(AtomicI64::new(now.micros()))
    }

    /// Sets it, forwards or back.
    pub fn set(&self, now: Instant) {
        self.0.store(now.micros(), Ordering::SeqCst);
    }
}

impl Clock for ManualClock {
    fn now(&self) -> Instant {
        Instant::from_micros(self.0.load(Ordering::SeqCst))
    }
}
