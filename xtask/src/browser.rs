//! The browser that the pages are tried in: one that is on this machine, or one of its own in `target/tools`.

use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context as _, Result};

use crate::run::{is_there, root, timed};

/// Names a browser to the tests.
pub const VARIABLE: &str = "CHROME";
/// What Chromium and Chrome are called.
const NAMES: [&str; 4] = ["chromium", "chromium-browser", "google-chrome", "google-chrome-stable"];
/// The release that is installed where there is none.
const RELEASE: &str = "chrome-headless-shell@stable";

/// A browser, installed if there is none. `frontend` is where npm has installed what installs it.
pub fn found(frontend: &str) -> Result<PathBuf> {
    if let Some(told) = std::env::var_os(VARIABLE) {
        return Ok(told.into());
    }
    if let Some(name) = NAMES.into_iter().find(|name| is_there(Command::new(name).arg("--version"))) {
        return Ok(name.into());
    }
    let (tools, found) =
        (root().join("target/tools/chrome"), root().join("target/tools/chrome/installed-at"));
    if let Ok(path) = std::fs::read_to_string(&found) {
        return Ok(path.trim().into());
    }
    let browsers = root().join(frontend).join("node_modules/.bin/browsers");
    let mut install = Command::new(&browsers);
    install.args(["install", RELEASE, "--path"]).arg(&tools);
    timed(
        "install a headless Chrome into target/tools, as there is no browser on this machine",
        &mut install,
    )?;
    let list = Command::new(&browsers).args(["list", "--path"]).arg(&tools).output()?;
    let list = String::from_utf8_lossy(&list.stdout).into_owned();
    let path =
        list.split_whitespace().find(|word| word.ends_with("chrome-headless-shell") && word.starts_with('/'));
    let path = path.context("the installed browser is not found")?;
    std::fs::write(&found, path)?;
    Ok(path.into())
}
