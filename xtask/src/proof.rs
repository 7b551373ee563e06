//! The long proofs: what takes hours, in shards that can be stopped and gone on with. Each has a short one in the tests.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context as _, Result, ensure};
use clap::Args;

use crate::run::{self, cargo, is_there, timed};

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

#[derive(Args)]
pub struct Mutants {
    /// Which share of them: 2/200 is the second of two hundred. One that was begun goes on where it was
    #[arg(long, default_value = "1/1")]
    shard: String,
    /// Only files whose path has this in it
    #[arg(long, value_name = "PART")]
    file: Option<String>,
}

/// Where it is kept which mutants were tried; no checkout of its own knows what another found.
const MUTANTS: &str = "target/mutants";
/// How many cases a property test tries on each mutant: more takes longer than it finds.
const MUTANT_CASES: &str = "24";

pub fn mutants(choice: &Mutants) -> Result<ExitCode> {
    if !is_there(&mut cargo(["mutants", "--version"])) {
        let mut install = cargo(["install", "cargo-mutants", "--locked"]);
        timed("install cargo-mutants, which is not on this machine", &mut install)?;
    }
    let (shard, shards) = choice.shard.split_once('/').context("a shard is such as 2/200")?;
    let (shard, shards): (u32, u32) = (shard.parse()?, shards.parse()?);
    ensure!((1..=shards).contains(&shard), "a shard is such as 2/200, from 1 to the number of them");
    let output = run::root().join(MUTANTS).join(format!("{shard}-of-{shards}"));
    std::fs::create_dir_all(&output)?;
    // Those that were caught before are not tried again; theirs that were missed are, a test may have come for them.
    let mut mutants = cargo(["mutants", "--iterate", "--no-shuffle", "--sharding", "round-robin", "--shard"]);
    mutants.arg(format!("{}/{shards}", shard - 1)).args([
        "--package",
        "onhand-ledger",
        "--package",
        "onhand-store",
    ]);
    mutants.args(["--test-package", "onhand-ledger,onhand-store,onhand-engine", "--test-tool", "nextest"]);
    mutants.args(["--profile", "mutants", "--baseline", "skip", "--timeout", "180", "--output"]).arg(output);
    if let Some(part) = &choice.file {
        mutants.args(["--file", &format!("**/*{part}*")]);
    }
    mutants.env("NEXTEST_PROFILE", "mutants").env("PROPTEST_CASES", MUTANT_CASES);
    run::run("mutants", &mut mutants)
}
