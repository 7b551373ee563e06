//! `onhand migrate`: a ledger goes to another database, and is verified there.

use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use anyhow::bail;
use indicatif::ProgressBar;
use onhand_engine::migrate::{Copied, MigrateError, migrate};
use onhand_engine::{Clock, DatabaseClock, Ledger, Options, SystemClock};
use onhand_store::{Store, StoreError};
use serde_json::{Value, json};

use super::backup::hex;
use super::{counted, print, progress};
use crate::cli::Migrate;
use crate::database::Database;
use crate::link::audit;
use crate::output::say;

pub(crate) async fn run(asked: Migrate, json: bool) -> anyhow::Result<ExitCode> {
    let bar = progress(json);
    let shown = (asked.from.to_string(), asked.to.to_string());
    let done = tokio::task::spawn_blocking(move || run_through(&asked, &bar)).await?;
    let (copied, found) = done?;
    let went_on: u64 = copied.iter().map(|one| one.went_on).sum();
    let ok = found["ok"] == true && went_on == 0;
    let tenants = copied.iter().map(|one| {
        json!({
            "tenant": one.tenant.0, "entries": one.head.seq, "hash": hex(&one.head.hash), "copied": one.entries,
            "notes_changed": one.notes, "went_on": one.went_on
        })
    });
    let told = json!({
        "ok": ok, "from": shown.0, "to": shown.1, "tenants": tenants.collect::<Value>(), "verified": found
    });
    print(json, &told, |_| {
        let number = |of: fn(&Copied) -> u64| copied.iter().map(of).sum::<u64>();
        let (new, all) = (number(|one| one.entries), number(|one| one.head.seq));
        let tenants = counted(copied.len(), "tenant");
        say(format!("{new} of {all} entries copied from {} to {}; {tenants}", shown.0, shown.1))?;
        if went_on > 0 {
            say(format!(
                "The source has {went_on} more by now: stop whoever writes to it, and run the same again to copy the rest."
            ))?;
        }
        match found["violation"].as_str() {
            None => say(
                "Both logs end with the same hash; every balance, the chain and the tables over there hold.",
            ),
            Some(violation) => say(format!("VIOLATED over there: {violation}")),
        }
    })?;
    Ok(if ok { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn run_through(asked: &Migrate, bar: &ProgressBar) -> anyhow::Result<(Vec<Copied>, Value)> {
    let Migrate { from, to, slice } = asked;
    must_differ(from, to)?;
    from.must_be_there()?;
    let mut source = from.open()?.into_store().0;
    // Before a new file is made.
    if source.tenants()?.is_empty() {
        return Err(MigrateError::Empty.into());
    }
    let identity = source.identity()?;
    let mut copy_once = |target: &mut dyn Store| {
        migrate(source.as_mut(), target, *slice, &mut |told| {
            bar.set_length(told.of);
            bar.set_position(told.checked);
        })
    };
    // One that was killed a moment ago may have a batch under way.
    let mut copy = |target: &mut dyn Store| {
        let mut left = 10;
        loop {
            match copy_once(target) {
                Err(MigrateError::Store(StoreError::Moved { .. })) if left > 0 => {
                    left -= 1;
                    std::thread::sleep(Duration::from_millis(500));
                }
                done => return done,
            }
        }
    };
    let (mut target, mut options) = to.open()?.into_store();
    if identity.is_some_and(|one| target.identity().ok().flatten() == Some(one)) {
        bail!("{from} and {to} are the same database: name another with --to");
    }
    let copied = match copy(target.as_mut()) {
        // As a file is that was not closed: its tables are written first.
        Err(MigrateError::Behind(_)) => {
            ledger(target, options)?.flush()?;
            (target, options) = to.open()?.into_store();
            copy(target.as_mut())?
        }
        copied => copied?,
    };
    bar.reset();
    let found = audit(&ledger(target, options)?, bar)?;
    bar.finish_and_clear();
    Ok((copied, found))
}

fn ledger(store: Box<dyn Store>, options: Options) -> anyhow::Result<Ledger> {
    let clock: Arc<dyn Clock> =
        if store.is_shared() { Arc::new(DatabaseClock::default()) } else { Arc::new(SystemClock) };
    Ok(Ledger::open(store, clock, options)?)
}

fn must_differ(from: &Database, to: &Database) -> anyhow::Result<()> {
    let same = match (from, to) {
        (Database::File(one), Database::File(other)) => {
            let resolved = one.canonicalize().ok().zip(other.canonicalize().ok());
            one == other || resolved.is_some_and(|(one, other)| one == other)
        }
        _ => from.to_string() == to.to_string(),
    };
    if same {
        bail!("{from} and {to} are the same database: name another with --to");
    }
    Ok(())
}
