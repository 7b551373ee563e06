//! `cargo xtask fuzz TARGET --seconds N`: rounds of mutated inputs, each in a process of its own, so that one that dies
//! takes nothing with it.

use std::io::Write as _;
use std::path::PathBuf;
use std::process::{Command, ExitCode};
use std::time::{Duration, Instant};

use anyhow::Context as _;
use clap::Parser;
use onhand_fuzz::targets::Target;
use onhand_fuzz::{ROUND, round};

/// Fuzzes a parser.
#[derive(Parser)]
struct Fuzz {
    /// Which.
    #[arg(value_enum)]
    target: Target,
    /// For how long.
    #[arg(long, default_value_t = 60)]
    seconds: u64,
    /// Where to begin; another seed tries other inputs.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Of ourselves alone: one round; with a file, each input is written there before it is tried.
    #[arg(long, hide = true, num_args = 0..=1)]
    #[expect(clippy::option_option, reason = "not given, given alone, or given with a path")]
    one_round: Option<Option<PathBuf>>,
}

fn main() -> anyhow::Result<ExitCode> {
    let fuzz = Fuzz::parse();
    if let Some(trace) = &fuzz.one_round {
        return one_round(&fuzz, trace.as_ref());
    }
    let ends = now() + Duration::from_secs(fuzz.seconds);
    let mut tried = 0;
    let mut seed = fuzz.seed;
    while now() < ends {
        let mut status = again(&fuzz, seed).arg("--one-round").status()?;
        if !status.success() {
            // What a round finds it finds again; a machine that stood still for a while did not do so twice.
            status = again(&fuzz, seed).arg("--one-round").status()?;
        }
        if !status.success() {
            let died = std::env::temp_dir().join(format!("onhand-fuzz-{}-{seed}", fuzz.target.name()));
            if status.code() != Some(1) {
                // It did not live to say on which input.
                again(&fuzz, seed).arg("--one-round").arg(&died).status()?;
                println!("it died ({status}) on the input in {}", died.display());
            }
            println!("seed {seed} failed; keep the input in crates/fuzz/inputs/{}", fuzz.target.name());
            return Ok(ExitCode::FAILURE);
        }
        tried += ROUND;
        seed += 1;
    }
    println!("{}: {tried} inputs, seeds {} to {}: nothing found", fuzz.target.name(), fuzz.seed, seed - 1);
    Ok(ExitCode::SUCCESS)
}

fn again(fuzz: &Fuzz, seed: u64) -> Command {
    let mut command = Command::new(std::env::current_exe().expect("this program is somewhere"));
    command.arg(fuzz.target.name()).arg("--seed").arg(seed.to_string());
    command
}

fn one_round(fuzz: &Fuzz, trace: Option<&PathBuf>) -> anyhow::Result<ExitCode> {
    std::panic::set_hook(Box::new(|_| {}));
    let mut slowest = Duration::ZERO;
    let mut began = now();
    let done = round(fuzz.target, fuzz.seed, |input| {
        slowest = slowest.max(began.elapsed());
        began = now();
        if let Some(path) = trace {
            let mut file = std::fs::File::create(path).expect("a file can be made");
            file.write_all(input).expect("it can be written");
        }
    })?;
    if slowest > Duration::from_secs(2) {
        println!("seed {}: one input took {slowest:?}", fuzz.seed);
        return Ok(ExitCode::FAILURE);
    }
    if let Some((input, said)) = done.failed {
        let name = format!("crates/fuzz/inputs/{}/found-{}", fuzz.target.name(), fuzz.seed);
        std::fs::write(&name, input).with_context(|| format!("cannot write {name}"))?;
        println!("{said}\nthe input is in {name}");
        return Ok(ExitCode::FAILURE);
    }
    Ok(ExitCode::SUCCESS)
}

#[expect(clippy::disallowed_methods, reason = "how long it may take is no decision about stock")]
fn now() -> Instant {
    Instant::now()
}
