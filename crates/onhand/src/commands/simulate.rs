//! `onhand simulate`: see `onhand-simulator`.

use std::process::ExitCode;

use onhand_simulator::seeds::{Failure, Progress, seeds};

use crate::cli::Simulate;
use crate::output::say;

pub(crate) fn run(asked: &Simulate, json: bool) -> anyhow::Result<ExitCode> {
    let first = asked.first_seed;
    let begun = match &asked.resume {
        Some(file) => Progress::read(file, first)?,
        None => Progress { first, ..Progress::default() },
    };
    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZeroUsize::get);
    let threads = asked.threads.unwrap_or(cores);
    // What panics is told as what it is; the panic's own message would come between.
    std::panic::set_hook(Box::new(|_| {}));
    let mut report = |progress: &Progress, failures: &[Failure]| {
        for failure in failures {
            eprintln!("seed {}:\n{}", failure.seed, failure.told);
            eprintln!("again: onhand simulate --seeds 1 --first-seed {}", failure.seed);
        }
        eprintln!("{} of {} seeds, {} failed", progress.report.seeds, asked.seeds, progress.failed.len());
        asked.resume.as_ref().map_or(Ok(()), |file| progress.write(file))
    };
    // A story has a time and tasks of its own: it is not played where the program's runtime is.
    let done = std::thread::scope(|scope| {
        let playing = scope.spawn(|| seeds(asked.seeds, threads, begun, &mut report));
        playing.join().unwrap_or_else(|_| Err(anyhow::anyhow!("the player of stories panicked")))
    })?;
    if json {
        say(serde_json::to_string(&done.report)?)?;
    } else {
        let report = &done.report;
        let faults: u64 = report.faults.values().sum();
        say(format_args!(
            "{} seeds, {} events, {faults} faults of {} kinds: {} seeds broke a law; causes told: {} right, {} wrong, {} unsure",
            report.seeds,
            report.events,
            report.faults.len(),
            report.violations,
            report.causes.right,
            report.causes.wrong,
            report.causes.unsure
        ))?;
    }
    Ok(ExitCode::from(u8::from(done.report.violations > 0 || done.report.causes.wrong > 0)))
}
