//! `cargo xtask test`: everything a full test run needs, in one command.
//!
//! Nextest goes last, so that the last lines are its summary. What fails before it (an example in the
//! documentation, the Debian package) still lets nextest run, and is named at the end.

use std::process::{Command, ExitCode};

use anyhow::{Context as _, Result, bail};
use clap::Args;

use crate::run::{self, cargo, is_there, timed};
use crate::{browser, package, schemathesis, servers};

/// How many cases a property test tries with `--quick`.
const QUICK_CASES: &str = "32";
/// How many stories are simulated with `--quick`.
const QUICK_SEEDS: &str = "100";

#[derive(Args)]
pub struct Choice {
    /// Leaves out the heavy tests (crash, race, vendure, medusa, browser, bench), the real servers and the documentation examples,
    /// and tries fewer cases per property
    #[arg(long)]
    quick: bool,
    /// Only tests whose name contains one of these
    #[arg(value_name = "FILTER")]
    filters: Vec<String>,
}

pub fn run(choice: &Choice) -> Result<ExitCode> {
    if let Some(empty) = choice.filters.iter().find(|filter| filter.trim().is_empty()) {
        bail!("FILTER {empty:?} is empty: give part of a test's name, or none for all tests");
    }
    install_nextest()?;
    if choice.quick { quick(choice) } else { full(choice) }
}

fn quick(choice: &Choice) -> Result<ExitCode> {
    let postgresql = postgresql()?;
    let mut nextest = nextest("quick");
    nextest.env(onhand_testpg::VARIABLE, postgresql.address());
    if std::env::var_os("PROPTEST_CASES").is_none() {
        nextest.env("PROPTEST_CASES", QUICK_CASES);
    }
    if std::env::var_os("ONHAND_SEEDS").is_none() {
        nextest.env("ONHAND_SEEDS", QUICK_SEEDS);
    }
    run::run("tests, without the heavy ones", nextest.args(&choice.filters))
}

fn full(choice: &Choice) -> Result<ExitCode> {
    servers::install()?;
    let chrome = browser::found(servers::FRONTEND)?;
    let postgresql = postgresql()?;
    timed("build tests", nextest("ci").arg("--no-run"))?;
    let examples =
        timed("documentation examples", cargo(["test", "--workspace", "--doc", "--"]).args(&choice.filters));
    let is_asked =
        choice.filters.is_empty() || choice.filters.iter().any(|filter| "package".contains(filter));
    let package = if is_asked { package::try_it().context("the Debian package") } else { Ok(()) };
    let is_asked =
        choice.filters.is_empty() || choice.filters.iter().any(|filter| "schemathesis".contains(filter));
    let api = if is_asked { schemathesis::in_short().context("the API") } else { Ok(()) };
    let mut nextest = nextest("ci");
    nextest.env(onhand_testpg::VARIABLE, postgresql.address()).env(browser::VARIABLE, chrome);
    let tests = run::run("tests", nextest.args(&choice.filters))?;
    examples?;
    package?;
    api?;
    Ok(tests)
}

/// One server for all tests that need no other: each of its own would cost a second or two a test.
fn postgresql() -> Result<onhand_testpg::Server> {
    onhand_testpg::Server::start().context("the tests run on PostgreSQL too")
}

fn nextest(profile: &str) -> Command {
    cargo(["nextest", "run", "--workspace", "--profile", profile])
}

fn install_nextest() -> Result<()> {
    if is_there(&mut cargo(["nextest", "--version"])) {
        return Ok(());
    }
    let mut install = cargo(["install", "cargo-nextest", "--locked"]);
    timed("install cargo-nextest, which is not on this machine", &mut install)
}
