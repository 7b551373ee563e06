//! Fuzzing of the parsers: see `crates/fuzz`.

use std::process::ExitCode;

use anyhow::Result;
use clap::Args;

use crate::run::{self, cargo};

#[derive(Args)]
pub struct Fuzz {
    /// Which parser: `csv` (a file to import), `ndjson` (commands in bulk) or `log` (chunks of the log)
    target: String,
    /// For how long
    #[arg(long, default_value_t = 60)]
    seconds: u64,
    /// Where to begin; another seed tries other inputs
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Builds it optimised: quicker from some minutes on
    #[arg(long)]
    release: bool,
}

pub fn fuzz(choice: &Fuzz) -> Result<ExitCode> {
    let mut program = cargo(["run", "--quiet", "--package", "onhand-fuzz"]);
    if choice.release {
        program.arg("--release");
    }
    program.args(["--", &choice.target, "--seconds", &choice.seconds.to_string()]);
    program.args(["--seed", &choice.seed.to_string()]);
    run::run("inputs", &mut program)
}
