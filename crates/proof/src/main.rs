//! `onhand-proof`: what `cargo xtask power-loss` runs.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Result, bail};
use clap::{Parser, Subcommand};
use onhand_proof::check::Run;
use onhand_proof::disk::Lie;
use onhand_proof::fault::Faults;
use onhand_proof::record::record;
use onhand_proof::shard::{Points, Progress, beside, parse_shard};
use onhand_proof::{faulty, workload};

/// Takes the power away from a store.
#[derive(Parser)]
struct Arguments {
    #[command(subcommand)]
    what: What,
}

#[derive(Subcommand)]
enum What {
    /// Runs the workload in a directory: what is recorded
    Workload {
        #[arg(long)]
        directory: PathBuf,
        #[arg(long)]
        seed: u64,
        #[arg(long)]
        batches: u64,
    },
    /// Runs the engine while operations on its files fail, with the shim before this process's libc
    Faulty {
        #[arg(long)]
        seed: u64,
        #[arg(long)]
        cases: u64,
    },
    /// Loses power at points of one recorded run, and says what was lost
    PowerLoss {
        /// How many points in all
        #[arg(long, default_value_t = 1_000)]
        points: u64,
        /// Which share of them: 2/8 is the second of eight
        #[arg(long, default_value = "1/1", value_parser = parse_shard)]
        shard: (u64, u64),
        /// Where it is kept how far it got, to go on from there; the recorded run lies beside it
        #[arg(long)]
        resume: PathBuf,
        /// What the points and the workload are chosen by
        #[arg(long, default_value_t = 1)]
        seed: u64,
        /// How long the workload is
        #[arg(long, default_value_t = 400)]
        batches: u64,
        /// Makes the files of this one point in the folder NAME.point beside the progress, and ends
        #[arg(long)]
        make: Option<u64>,
    },
}

fn main() -> Result<ExitCode> {
    match Arguments::parse().what {
        What::Workload { directory, seed, batches } => {
            workload::run(&directory, seed, batches).map(|()| ExitCode::SUCCESS)
        }
        What::Faulty { seed, cases } => {
            let done = faulty::run(&Faults::of_this_process()?, seed, cases)?;
            println!("{}", serde_json::to_string(&done)?);
            Ok(ExitCode::SUCCESS)
        }
        What::PowerLoss { points, shard: (shard, shards), resume, seed, batches, make } => {
            let trace = beside(&resume, &format!(".{seed}-{batches}.trace"));
            if !trace.exists() {
                let unfinished = beside(&trace, ".new");
                record(&std::env::current_exe()?, seed, batches, &unfinished)?;
                std::fs::rename(unfinished, &trace)?;
            }
            let run = Run::read(&trace)?;
            let points = Points { seed, all: points, shard, shards, lie: Lie::None };
            if let Some(point) = make {
                let directory = beside(&resume, ".point");
                if directory.exists() {
                    bail!("{} is there already", directory.display());
                }
                std::fs::create_dir(&directory)?;
                let event = points.make(&run, point, &directory)?;
                println!("{}: before event {event} of {}", directory.display(), run.trace.events.len());
                return Ok(ExitCode::SUCCESS);
            }
            eprintln!("{} events, {} answers", run.trace.events.len(), run.answers());
            let progress = points.run(&run, Progress::read(&resume)?, &mut |progress| {
                eprintln!("{} of {} points, {} losses", progress.tried, points.ours(), progress.losses.len());
                progress.write(&resume)
            })?;
            println!("{}", serde_json::to_string(&progress)?);
            Ok(if progress.losses.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
        }
    }
}
