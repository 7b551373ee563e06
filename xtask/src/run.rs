//! Running other programs, and saying what runs and how long it took.

use std::ffi::OsStr;
use std::path::Path;
use std::process::{Command, ExitCode, ExitStatus, Stdio};
use std::time::Instant;

use anyhow::{Context, Result, bail};

/// The folder of the workspace.
pub fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("xtask is a folder of the workspace")
}

/// The same cargo that runs us, at the workspace's root.
pub fn cargo<A: AsRef<OsStr>>(arguments: impl IntoIterator<Item = A>) -> Command {
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.args(arguments).current_dir(root());
    // `cargo run` tells us about our own package. Build scripts of others that watch these variables (ring's does)
    // would run again each time cargo is started from here and then by hand.
    for (name, _) in std::env::vars_os() {
        let name = name.to_string_lossy();
        if name.starts_with("CARGO_PKG_") || name.starts_with("CARGO_MANIFEST_") {
            command.env_remove(&*name);
        }
    }
    command
}

/// Does this program run at all? Its output is thrown away.
pub fn is_there(command: &mut Command) -> bool {
    let quiet = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    quiet.status().is_ok_and(|status| status.success())
}

/// Runs a program to its end, its output ours, and passes on how it ended: what it said last stays last.
pub fn run(name: &str, command: &mut Command) -> Result<ExitCode> {
    let status = start(name, command)?;
    let code = status.code().and_then(|code| u8::try_from(code).ok());
    Ok(code.map_or(ExitCode::FAILURE, ExitCode::from))
}

/// Runs a program to its end, its output ours; says how long it took. That it failed is an error.
pub fn timed(name: &str, command: &mut Command) -> Result<()> {
    let started = now();
    let status = start(name, command)?;
    eprintln!("xtask: {name}: {:.1} s", started.elapsed().as_secs_f32());
    if !status.success() {
        bail!("{name}: failed ({status})");
    }
    Ok(())
}

fn start(name: &str, command: &mut Command) -> Result<ExitStatus> {
    eprintln!("xtask: {name}");
    let program = command.get_program().to_string_lossy().into_owned();
    command.stdin(Stdio::null()).status().with_context(|| format!("{name}: cannot start `{program}`"))
}

#[expect(clippy::disallowed_methods, reason = "tells a person how long it took; nothing is decided by it")]
fn now() -> Instant {
    Instant::now()
}
