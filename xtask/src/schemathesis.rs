//! Trying the API as its own description says it may be asked, and as it may not: Schemathesis against a server of its own. Whatever is
//! asked, no answer may be our fault.

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use anyhow::{Context as _, Result, ensure};
use clap::Args;

use crate::run::{is_there, root, timed};

/// The release that is installed.
const RELEASE: &str = "schemathesis==4.32.5";
/// Not asked: what would speak with addresses that are made up, and what takes lines of JSON, which Schemathesis cannot make.
const LEFT_OUT: &str = "^/v1/(connect|systems|alerts|subscriptions|sign-on|commands)$";

#[derive(Args)]
pub struct Trial {
    /// So many requests are made up for each operation
    #[arg(long, value_name = "N", default_value_t = 10)]
    examples: u32,
    /// And each edge of each field, one by one: some minutes more
    #[arg(long)]
    coverage: bool,
    /// What chance begins with
    #[arg(long, value_name = "S", default_value_t = 1)]
    seed: u32,
}

/// As a part of a full test run.
pub fn in_short() -> Result<()> {
    schemathesis(&Trial { examples: 3, coverage: false, seed: 1 })
}

/// Builds the server and tries it.
pub fn run(trial: &Trial) -> Result<std::process::ExitCode> {
    timed("build the server", &mut crate::run::cargo(["build", "--bin", "onhand"]))?;
    schemathesis(trial)?;
    Ok(std::process::ExitCode::SUCCESS)
}

fn schemathesis(trial: &Trial) -> Result<()> {
    let tool = installed()?;
    let folder = root().join("target/schemathesis");
    let _ = fs::remove_dir_all(&folder);
    fs::create_dir_all(&folder)?;
    let mut served = Served::start(&folder.join("api.db"))?;
    let key = fs::read_to_string(folder.join("api.db.key")).context("the server's key")?;
    let phases = if trial.coverage { "examples,coverage,fuzzing" } else { "fuzzing" };
    let mut tried = Command::new(tool);
    tried
        .args(["run", &format!("{}/openapi.json", served.address), "--checks", "not_a_server_error"])
        .args(["--header", &format!("Authorization: Bearer {}", key.trim())])
        .args(["--phases", phases, "--max-examples", &trial.examples.to_string()])
        .args(["--seed", &trial.seed.to_string(), "--workers", "2", "--continue-on-failure", "--no-color"])
        .args(["--warnings", "off", "--suppress-health-check", "all", "--exclude-path-regex", LEFT_OUT])
        .current_dir(&folder);
    timed("Schemathesis: no answer of the API is our fault", &mut tried)?;
    ensure!(served.child.try_wait()?.is_none(), "the server has ended");
    Ok(())
}

/// Schemathesis, in a Python environment of its own.
fn installed() -> Result<PathBuf> {
    let (home, tool) =
        (root().join("target/tools/schemathesis"), root().join("target/tools/schemathesis/bin/st"));
    let marker = home.join("installed");
    if fs::read_to_string(&marker).is_ok_and(|release| release == RELEASE) {
        return Ok(tool);
    }
    let venv = || {
        let mut venv = Command::new("python3");
        venv.args(["-m", "venv", "--clear"]).arg(&home);
        venv
    };
    if !is_there(&mut venv()) {
        let mut install = Command::new("apt-get");
        install.args(["install", "--yes", "--no-install-recommends", "python3", "python3-venv"]);
        timed("install Python's venv, which is not on this machine", &mut install)?;
        timed("a Python environment for Schemathesis", &mut venv())?;
    }
    let mut pip = Command::new(home.join("bin/pip"));
    pip.args(["install", "--quiet", "--disable-pip-version-check", RELEASE]);
    timed(&format!("install {RELEASE} into target/tools"), &mut pip)?;
    fs::write(&marker, RELEASE)?;
    Ok(tool)
}

/// A server, ended however the trial ends.
struct Served {
    child: Child,
    address: String,
}

impl Served {
    fn start(database: &std::path::Path) -> Result<Self> {
        let mut command = Command::new(root().join("target/debug/onhand"));
        command.args(["serve", "--listen", "127.0.0.1:0", "--rate", "0", "--json", "--db"]).arg(database);
        let log = fs::File::create(database.with_extension("log"))?;
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(log);
        let child = command.spawn().context("cannot start target/debug/onhand")?;
        let mut served = Self { child, address: String::new() };
        let mut line = String::new();
        BufReader::new(served.child.stdout.take().context("its output")?).read_line(&mut line)?;
        let said: serde_json::Value = serde_json::from_str(&line).context("it says where it is")?;
        said["address"].as_str().context("it says where it is")?.clone_into(&mut served.address);
        Ok(served)
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
