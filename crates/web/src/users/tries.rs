//! How often somebody may try to sign in: after some that failed, each waits longer.

use std::collections::HashMap;

use onhand_ledger::{Instant, TenantId};
use parking_lot::Mutex;
use tokio::sync::{MutexGuard, Semaphore, SemaphorePermit};

/// So many may fail in a row before one has to wait.
const FREE: u32 = 5;
/// The longest that one waits, in seconds.
const LONGEST: i64 = 900;
/// So many names are remembered.
const NAMES: usize = 10_000;
/// So many passwords are looked at at once: each takes 19 MiB.
const AT_ONCE: usize = 4;

/// Tries that failed, by name.
pub(crate) struct Tries {
    failed: Mutex<HashMap<(TenantId, String), Failed>>,
    places: Semaphore,
    changing: tokio::sync::Mutex<()>,
}

#[derive(Clone, Copy)]
struct Failed {
    times: u32,
    until: Instant,
}

impl Default for Tries {
    fn default() -> Self {
        Self {
            failed: Mutex::default(),
            places: Semaphore::new(AT_ONCE),
            changing: tokio::sync::Mutex::default(),
        }
    }
}

impl Tries {
    /// A place to look at a password.
    pub async fn place(&self) -> SemaphorePermit<'_> {
        self.places.acquire().await.expect("it is never closed")
    }

    /// What is kept of people is changed by one at a time: nobody writes back what another has changed.
    pub async fn changing(&self) -> MutexGuard<'_, ()> {
        self.changing.lock().await
    }

    /// How many seconds are to be waited before that name is tried again.
    pub fn wait(&self, tenant: TenantId, name: &str, now: Instant) -> Option<u32> {
        let failed = self.failed.lock();
        let until = failed.get(&(tenant, name.to_owned()))?.until;
        let micros =
            u64::try_from(until.micros().checked_sub(now.micros())?).ok().filter(|left| *left > 0)?;
        u32::try_from(micros.div_ceil(1_000_000)).ok()
    }

    /// It failed.
    pub fn failed(&self, tenant: TenantId, name: &str, now: Instant) {
        let mut failed = self.failed.lock();
        if failed.len() >= NAMES {
            failed.retain(|_, failed| failed.until.plus_seconds(LONGEST) > now);
        }
        let key = (tenant, name.to_owned());
        if failed.len() >= NAMES && !failed.contains_key(&key) {
            // Whoever tries many names makes those forgotten that failed least, and none that has to wait.
            let least = failed.iter().min_by_key(|(_, failed)| (failed.times, failed.until));
            if let Some(least) = least.map(|(least, _)| least.clone()) {
                failed.remove(&least);
            }
        }
        let entry = failed.entry(key).or_insert(Failed { times: 0, until: now });
        entry.times = entry.times.saturating_add(1);
        let doubled = entry.times.saturating_sub(FREE).min(10);
        let seconds = if entry.times <= FREE { 0 } else { (1_i64 << doubled).min(LONGEST) };
        entry.until = now.plus_seconds(seconds);
    }

    /// It did not.
    pub fn succeeded(&self, tenant: TenantId, name: &str) {
        self.failed.lock().remove(&(tenant, name.to_owned()));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_failure_after_some_waits_longer_and_not_for_ever() {
        let (tries, tenant) = (Tries::default(), TenantId(1));
        let mut now = Instant::from_micros(0);
        let mut waits = Vec::new();
        for _ in 0..20 {
            tries.failed(tenant, "ada", now);
            let wait = tries.wait(tenant, "ada", now).unwrap_or(0);
            waits.push(wait);
            now = now.plus_seconds(i64::from(wait));
            assert_eq!(tries.wait(tenant, "ada", now), None);
        }
        assert_eq!(waits[..8], [0, 0, 0, 0, 0, 2, 4, 8]);
        assert_eq!(waits[19], 900);
        assert_eq!(tries.wait(TenantId(2), "ada", Instant::from_micros(0)), None, "another tenant's");
        tries.failed(tenant, "ada", now);
        tries.succeeded(tenant, "ada");
        assert_eq!(tries.wait(tenant, "ada", now), None);
    }

    #[test]
    fn whoever_tries_very_many_names_frees_none_that_has_to_wait() {
        let (tries, tenant, now) = (Tries::default(), TenantId(1), Instant::from_micros(0));
        for _ in 0..=FREE {
            tries.failed(tenant, "ada", now);
        }
        for nth in 0..=NAMES {
            tries.failed(tenant, &format!("nobody-{nth}"), now);
        }
        assert_eq!(tries.wait(tenant, "ada", now), Some(2));
        for _ in 0..=FREE {
            tries.failed(tenant, "bob", now);
        }
        assert_eq!(tries.wait(tenant, "bob", now), Some(2), "a name that is tried later is counted too");
        assert_eq!(tries.failed.lock().len(), NAMES);
    }
}
