//! Runs the workload in a process whose libc is watched.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, ensure};

const SOURCE: &str = include_str!("record.c");

/// Runs `program workload …` in an empty directory, and writes down what it does there. Linux only, and needs `cc`.
pub fn record(program: &Path, seed: u64, batches: u64, trace: &Path) -> Result<()> {
    let folder = tempfile::tempdir()?;
    let shim = compile(folder.path())?;
    let watched = folder.path().join("watched");
    std::fs::create_dir(&watched)?;
    let status = Command::new(program)
        .args(["workload", "--seed", &seed.to_string(), "--batches", &batches.to_string(), "--directory"])
        .arg(&watched)
        .env("LD_PRELOAD", shim)
        .env("ONHAND_RECORD_DIR", &watched)
        .env("ONHAND_RECORD_TO", trace)
        .status()
        .with_context(|| format!("cannot start {}", program.display()))?;
    ensure!(status.success(), "the workload ended with {status}");
    Ok(())
}

fn compile(folder: &Path) -> Result<PathBuf> {
    let (source, shim) = (folder.join("record.c"), folder.join("record.so"));
    std::fs::write(&source, SOURCE)?;
    let built = Command::new("cc")
        .args(["-shared", "-fPIC", "-O1", "-o"])
        .args([&shim, &source])
        .arg("-ldl")
        .status();
    ensure!(
        built.context("cannot start `cc`: a C compiler is needed")?.success(),
        "record.c is not compiled"
    );
    Ok(shim)
}
