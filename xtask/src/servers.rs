//! What the tests have from npm: the real servers they talk to (every folder of `tests-servers/` with a `package.json` is one), and what
//! checks the pages.
//!
//! `npm ci` installs each from its lock file. A folder that was installed from this very lock file by a Node of
//! this ABI is left as it is; `node_modules/.installed-from` says so, and npm removes it with everything else
//! when an install begins, so that half an install never counts as one.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};

use crate::run::{root, timed};

/// What the servers need: Vendure 3 and Medusa 2 ask for 20.
const NODE_AT_LEAST: u32 = 20;

const SERVERS: &str = "tests-servers";
/// What moves on the pages, and what checks it.
pub const FRONTEND: &str = "crates/web/frontend";
const INSTALLED_FROM: &str = "node_modules/.installed-from";

/// Installs what is missing, and says so.
pub fn install() -> Result<()> {
    let node = Node::found()?;
    for server in servers()? {
        install_from_npm(&server, &node)?;
    }
    let frontend = root().join(FRONTEND);
    install_from_npm(&frontend, &node)?;
    timed("types of the pages' script", Command::new("npm").args(["run", "check"]).current_dir(frontend))
}

fn install_from_npm(server: &Path, node: &Node) -> Result<()> {
    let name = server.strip_prefix(root()).unwrap_or(server).display().to_string();
    let lock = fs::read_to_string(server.join("package-lock.json")).with_context(|| {
        format!("{name} has no readable package-lock.json: `npm install --package-lock-only` there makes one")
    })?;
    let wanted = format!("node abi {}\n{lock}", node.abi);
    if fs::read_to_string(server.join(INSTALLED_FROM)).is_ok_and(|installed| installed == wanted) {
        eprintln!("xtask: {name} is installed");
        return Ok(());
    }
    let mut npm = Command::new("npm");
    npm.args(["ci", "--no-audit", "--no-fund"]).current_dir(server);
    if let Some(headers) = &node.headers {
        // Native modules (better-sqlite3) are compiled where no built one can be had: node-gyp takes the headers
        // from here and need not fetch them.
        npm.env("npm_config_nodedir", headers);
    }
    timed(&format!("npm ci in {name}, which was not installed from its package-lock.json"), &mut npm)?;
    fs::write(server.join(INSTALLED_FROM), wanted)
        .with_context(|| format!("cannot write {name}/{INSTALLED_FROM}"))
}

fn servers() -> Result<Vec<PathBuf>> {
    let folder = root().join(SERVERS);
    if !folder.is_dir() {
        return Ok(Vec::new());
    }
    let mut servers = Vec::new();
    for entry in fs::read_dir(&folder).with_context(|| format!("cannot read {}", folder.display()))? {
        let path = entry?.path();
        if path.join("package.json").is_file() {
            servers.push(path);
        }
    }
    servers.sort();
    Ok(servers)
}

struct Node {
    /// The number of its binary interface: a native module compiled for another does not load.
    abi: String,
    /// Where its C headers are (the folder with `include/node` in it), if they are on the machine and npm has not
    /// been told so by its own settings.
    headers: Option<PathBuf>,
}

impl Node {
    fn found() -> Result<Self> {
        let told =
            ask("node", &["-p", "[process.version, process.versions.modules, process.execPath].join('\\n')"])
                .with_context(|| {
                    format!("Node.js {NODE_AT_LEAST} or newer is needed: the tests run real shop servers, and the pages are built with it")
                })?;
        let mut told = told.lines();
        let (version, abi, program) = (told.next(), told.next(), told.next());
        let (Some(version), Some(abi), Some(program)) = (version, abi, program) else {
            bail!("`node` does not say its version, ABI and path");
        };
        match major(version) {
            Some(major) if major >= NODE_AT_LEAST => {}
            _ => bail!("Node.js {NODE_AT_LEAST} or newer is needed, and `node` is {version}"),
        }
        Ok(Self { abi: abi.to_owned(), headers: headers(Path::new(program)) })
    }
}

fn headers(program: &Path) -> Option<PathBuf> {
    let configured = ask("npm", &["config", "get", "nodedir"]).is_ok_and(|nodedir| nodedir != "undefined");
    let beside = program.parent()?.parent()?;
    (!configured && beside.join("include/node/node_version.h").is_file()).then(|| beside.to_path_buf())
}

/// The major version in `v20.20.2`.
fn major(version: &str) -> Option<u32> {
    version.trim().strip_prefix('v')?.split('.').next()?.parse().ok()
}

fn ask(program: &str, arguments: &[&str]) -> Result<String> {
    let output = Command::new(program)
        .args(arguments)
        .stdin(Stdio::null())
        .stderr(Stdio::null())
        .output()
        .with_context(|| format!("cannot start `{program}`"))?;
    if !output.status.success() {
        bail!("`{program}` failed ({})", output.status);
    }
    Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::major;

    #[test]
    fn the_major_version_is_read_from_what_node_says() {
        assert_eq!(major("v20.20.2"), Some(20));
        assert_eq!(major("v8.0.0\n"), Some(8));
        assert_eq!(major("20.20.2"), None);
        assert_eq!(major("vnext"), None);
    }
}
