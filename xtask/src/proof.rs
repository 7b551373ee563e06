//! The long proofs: what takes hours, in shards that can be stopped and gone on with. Each has a short one in the tests.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Result;
use clap::Args;

use crate::run::{self, cargo};

#[derive(Args)]
pub struct PowerLoss {
    /// How many points in all
    #[arg(long, default_value_t = 100_000)]
    points: u64,
    /// Which share of them: 2/8 is the second of eight
    #[arg(long, default_value = "1/1")]
    shard: String,
    /// Where it is kept how far the shard got, to go on from there; the recorded run is kept beside it
    #[arg(long, value_name = "FILE")]
    resume: PathBuf,
    /// What the workload and the points are chosen by
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Makes what is left after this one point in a folder, to look at it
    #[arg(long, value_name = "POINT")]
    make: Option<u64>,
    /// Builds it optimised: quicker from some 20,000 points on
    #[arg(long)]
    release: bool,
}

pub fn power_loss(choice: &PowerLoss) -> Result<ExitCode> {
    let mut program = cargo(["run", "--quiet", "--package", "onhand-proof"]);
    if choice.release {
        program.arg("--release");
    }
    // Cargo runs it at the workspace's root: the file is named from where we are.
    let resume = std::path::absolute(&choice.resume)?;
    program.args(["--", "power-loss", "--points", &choice.points.to_string(), "--shard", &choice.shard]);
    program.args(["--seed", &choice.seed.to_string(), "--resume"]).arg(resume);
    if let Some(point) = choice.make {
        program.args(["--make", &point.to_string()]);
    }
    run::run("losses of power", &mut program)
}

#[derive(Args)]
pub struct IoErrors {
    /// Every operation up to the 400th, not a sample
    #[arg(long)]
    all: bool,
}

pub fn io_errors(choice: &IoErrors) -> Result<ExitCode> {
    let mut tests = cargo(["nextest", "run", "--package", "onhand", "--no-capture", "faults::"]);
    if choice.all {
        tests.env("ONHAND_FAULTS", "all");
    }
    run::run("errors of the disk at each operation", &mut tests)
}
