//! Runs the workload in a process whose libc is watched.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, ensure};

/// Runs `program workload …` in an empty directory, and writes down what it does there. Linux only, and needs `cc`.
pub fn record(program: &Path, seed: u64, batches: u64, trace: &Path) -> Result<()> {
    let folder = tempfile::tempdir()?;
    let shim = compile(folder.path(), "record", include_str!("record.c"))?;
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

/// Compiles a shim that stands before libc.
pub(crate) fn compile(folder: &Path, name: &str, text: &str) -> Result<PathBuf> {
    let (source, shim) = (folder.join(format!("{name}.c")), folder.join(format!("{name}.so")));
    std::fs::write(&source, text)?;
    let built = Command::new("cc")
        .args(["-shared", "-fPIC", "-O1", "-o"])
        .args([&shim, &source])
        .arg("-ldl")
        .status();
    ensure!(
        built.context("cannot start `cc`: a C compiler is needed")?.success(),
        "{name}.c is not compiled"
    );
    Ok(shim)
}
