//! The Debian package: made, and tried as a machine would: installed, run as its unit says, upgraded, removed, purged.
//!
//! It is tried with the program that the tests have built, so that it takes seconds; only a machine of nobody's is
//! changed for it: as root, without a systemd that runs, and without Onhand on it.

use std::fs;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::os::unix::fs::{PermissionsExt as _, chown};
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitCode, Stdio};
use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use clap::Args;

use crate::run::{self, cargo, is_there, timed};

/// Its lock file compiles with the Rust that we ask for.
const CARGO_DEB: &str = "3.8.0";
/// Of ten, as `systemd-analyze security` counts it, times ten: what has the network, and is in no image of its own, is at 11.
const MOST_EXPOSED: &str = "12";

const NAME: &str = "onhand";
const PROGRAM: &str = "/usr/bin/onhand";
const SETTINGS: &str = "/etc/onhand/onhand.toml";
const STATE: &str = "/var/lib/onhand";
const ENABLED: &str = "/etc/systemd/system/multi-user.target.wants/onhand.service";
/// How long anything may take that it does.
const PATIENCE: Duration = Duration::from_mins(1);

#[derive(Args)]
pub struct Making {
    /// Who gives it to others, as `Name <address>`
    #[arg(long)]
    maintainer: Option<String>,
}

/// `cargo xtask package`: the package, from an optimised build.
pub fn package(making: &Making) -> Result<ExitCode> {
    install_cargo_deb()?;
    let mut deb = Command::new(cargo_deb());
    deb.args(["--package", NAME]).current_dir(run::root());
    if let Some(maintainer) = &making.maintainer {
        deb.args(["--maintainer", maintainer]);
    }
    run::run("package", &mut deb)
}

#[derive(Args)]
pub struct Trial {
    /// Takes the program as it was built before
    #[arg(long)]
    built: bool,
    /// Takes this program, such as an optimised one
    #[arg(long, value_name = "FILE", conflicts_with = "built")]
    program: Option<PathBuf>,
}

/// `cargo xtask package-test`: builds the program, and tries its package.
pub fn test(trial: &Trial) -> Result<ExitCode> {
    if !trial.built && trial.program.is_none() {
        timed("build the program", &mut cargo(["build", "--workspace", "--bin", NAME]))?;
    }
    try_package_of(&trial.program.clone().unwrap_or_else(built))?;
    Ok(ExitCode::SUCCESS)
}

/// Tries the package of the program that the tests have built. Where it cannot be tried it says so, which is no error.
pub fn try_it() -> Result<()> {
    try_package_of(&built())
}

fn built() -> PathBuf {
    run::root().join("target/debug").join(NAME)
}

fn try_package_of(program: &Path) -> Result<()> {
    if let Some(why) = why_not() {
        eprintln!("xtask: the Debian package is not tried here: {why}");
        return Ok(());
    }
    install_cargo_deb()?;
    let version = env!("CARGO_PKG_VERSION");
    let first = build(program, &format!("{version}-1"))?;
    let second = build(program, &format!("{version}-2"))?;
    let _cleared = Cleared { had_user: user().is_ok() };
    install(&first)?;
    eprintln!("xtask: the package is installed, its unit checked, and run as its user");
    upgrade(&second, &format!("{version}-2"))?;
    remove()?;
    eprintln!(
        "xtask: the package is upgraded, removed and purged; the ledger and changed settings were kept"
    );
    Ok(())
}

fn why_not() -> Option<String> {
    let is_root = output("id", &["-u"]).is_ok_and(|id| id.trim() == "0");
    if !is_root {
        return Some("that takes root".to_owned());
    }
    for tool in ["dpkg", "dpkg-shlibdeps", "strip", "systemd-analyze", "systemd-sysusers", "setpriv"] {
        if !is_there(Command::new(tool).arg("--version")) {
            return Some(format!("there is no `{tool}`"));
        }
    }
    if Path::new("/run/systemd/system").exists() {
        return Some("this machine runs systemd, and so services of somebody's".to_owned());
    }
    let is_used = Path::new(STATE).exists() || is_there(Command::new("dpkg").args(["-s", NAME]));
    is_used.then(|| {
        format!("Onhand is, or was, on this machine: `dpkg -P {NAME}` and `rm -r {STATE}` take it away")
    })
}

fn cargo_deb() -> PathBuf {
    run::root().join("target/tools/cargo-deb/bin/cargo-deb")
}

fn install_cargo_deb() -> Result<()> {
    if output(cargo_deb(), &["--version"]).is_ok_and(|version| version.trim().ends_with(CARGO_DEB)) {
        return Ok(());
    }
    let folder = run::root().join("target/tools/cargo-deb");
    let mut install = cargo(["install", "cargo-deb", "--version", CARGO_DEB, "--locked", "--force"]);
    // It runs for a second: unoptimised it is there in half a minute.
    install.args(["--debug", "--no-default-features", "--root"]).arg(folder);
    timed("install cargo-deb into target/tools", &mut install)
}

/// A package of a program.
fn build(program: &Path, version: &str) -> Result<PathBuf> {
    let target = run::root().join("target/package-test");
    let release = target.join("release");
    fs::create_dir_all(&release)?;
    ensure!(program.exists(), "{} is not built", program.display());
    done(Command::new("strip").arg("-o").arg(release.join(NAME)).arg(program))?;
    let package = target.join(format!("{NAME}_{version}.deb"));
    let mut deb = Command::new(cargo_deb());
    deb.args(["--package", NAME, "--no-build", "--no-strip", "--fast", "--locked"]);
    deb.args(["--no-separate-debug-symbols", "--no-dbgsym"]);
    deb.args(["--deb-version", version, "--output"]).arg(&package);
    done(deb.current_dir(run::root()).env("CARGO_TARGET_DIR", target))?;
    Ok(package)
}

fn install(package: &Path) -> Result<()> {
    dpkg("-i", package)?;
    ensure!(Path::new(ENABLED).exists(), "the unit is not enabled: {ENABLED} is not there");
    ensure!(
        output("stat", &["-c", "%U:%G:%a", SETTINGS])?.trim() == "root:onhand:640",
        "others read {SETTINGS}"
    );
    let unit = unit()?;
    let path = unit.path.to_string_lossy().into_owned();
    let said = output("systemd-analyze", &["verify", &path])?;
    ensure!(said.is_empty(), "systemd-analyze verify: {said}");
    let judged = ["security", "--offline=yes", "--threshold", MOST_EXPOSED, &path];
    let said = output("systemd-analyze", &judged)?;
    ensure!(said.contains("Overall exposure level"), "systemd-analyze security: {said}");
    serve(&unit)
}

fn upgrade(package: &Path, version: &str) -> Result<()> {
    let settings = format!("{}\nrate = 77\n", fs::read_to_string(SETTINGS)?);
    fs::write(SETTINGS, &settings)?;
    dpkg("-i", package)?;
    let installed = output("dpkg-query", &["-W", "-f", "${Status} ${Version}", NAME])?;
    ensure!(installed == format!("install ok installed {version}"), "{installed}");
    ensure!(fs::read_to_string(SETTINGS)? == settings, "changed settings were lost");
    ensure!(
        output("stat", &["-c", "%U:%G:%a", SETTINGS])?.trim() == "root:onhand:640",
        "others read {SETTINGS}"
    );
    serve(&unit()?)
}

fn remove() -> Result<()> {
    let ledger = Path::new(STATE).join("onhand.db");
    dpkg("-r", NAME)?;
    ensure!(!Path::new(PROGRAM).exists(), "{PROGRAM} is still there");
    ensure!(Path::new(SETTINGS).exists(), "the settings are kept until it is purged");
    ensure!(ledger.exists(), "the ledger is kept");
    let said = dpkg("-P", NAME)?;
    ensure!(said.contains("/var/lib/onhand stays"), "it says that the ledger stays: {said}");
    ensure!(!Path::new("/etc/onhand").exists(), "the settings are gone once it is purged");
    ensure!(
        !Path::new(ENABLED).exists() && fs::symlink_metadata(ENABLED).is_err(),
        "{ENABLED} is still there"
    );
    ensure!(ledger.exists(), "the ledger is kept by a purge too");
    Ok(())
}

/// What systemd would run, as it would: as its user, in its folder, told of by its socket.
fn serve(unit: &Unit) -> Result<()> {
    let (uid, gid) = user()?;
    ensure!(
        unit.value("StateDirectory")? == NAME && unit.value("WorkingDirectory")? == STATE,
        "its folder is {STATE}"
    );
    fs::create_dir_all(STATE)?;
    fs::set_permissions(
        STATE,
        fs::Permissions::from_mode(u32::from_str_radix(unit.value("StateDirectoryMode")?, 8)?),
    )?;
    chown(STATE, Some(uid), Some(gid))?;
    // Where its user can reach it: not every checkout is.
    let socket = std::env::temp_dir().join(format!("onhand-notify-{}", std::process::id()));
    let _ = fs::remove_file(&socket);
    let manager = UnixDatagram::bind(&socket)?;
    fs::set_permissions(&socket, fs::Permissions::from_mode(0o666))?;
    manager.set_read_timeout(Some(PATIENCE))?;
    ensure!(unit.value("Type")? == "notify", "its unit waits until it says that it is ready");
    let mut words = unit.value("ExecStart")?.split_whitespace();
    let run_as = [format!("--reuid={}", unit.value("User")?), format!("--regid={}", unit.value("Group")?)];
    let mut served = Command::new("setpriv");
    served.args(run_as).args(["--init-groups", "--no-new-privs", "--bounding-set=-all", "--inh-caps=-all"]);
    served.args(words.by_ref()).current_dir(STATE).env_clear().env("PATH", "/usr/bin:/bin");
    served.env("NOTIFY_SOCKET", &socket).env("WATCHDOG_USEC", "1000000").env("ONHAND_LISTEN", "127.0.0.1:0");
    let served =
        served.stdin(Stdio::null()).stdout(Stdio::piped()).spawn().context("cannot run ExecStart")?;
    let mut served = Served(served);
    for word in ["READY=1", "WATCHDOG=1"] {
        hear(&manager, word)?;
    }
    let status = fs::read_to_string(format!("/proc/{}/status", served.0.id()))?;
    let is_its_user =
        status.lines().any(|line| line.starts_with("Uid:") && line.contains(&format!("\t{uid}\t")));
    ensure!(is_its_user, "it does not run as {NAME}: {status}");
    let mut line = String::new();
    BufReader::new(served.0.stdout.take().context("its output")?).read_line(&mut line)?;
    let address = line.trim().rsplit("http://").next().context("it says where it is")?;
    let mut client = TcpStream::connect(address).with_context(|| format!("it said {line:?}"))?;
    client.write_all(b"GET /readyz HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n")?;
    let mut answer = String::new();
    client.read_to_string(&mut answer)?;
    ensure!(answer.starts_with("HTTP/1.1 200"), "it is not ready: {answer}");
    done(Command::new("kill").args(["-s", "TERM", &served.0.id().to_string()]))?;
    hear(&manager, "STOPPING=1")?;
    let status = served.0.wait()?;
    ensure!(status.success(), "it ended with {status}");
    fs::remove_file(&socket)?;
    Ok(())
}

fn hear(manager: &UnixDatagram, wanted: &str) -> Result<()> {
    // It says twice a second that it is alive.
    for _ in 0..120 {
        let mut word = [0; 256];
        let length = manager.recv(&mut word).with_context(|| format!("it does not say {wanted}"))?;
        if String::from_utf8_lossy(&word[..length]).trim() == wanted {
            return Ok(());
        }
    }
    bail!("it does not say {wanted}")
}

/// Ended however the trial ends.
struct Served(Child);

impl Drop for Served {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

struct Unit {
    path: PathBuf,
    text: String,
}

impl Unit {
    fn value(&self, name: &str) -> Result<&str> {
        let found = self.text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix('='));
        found.with_context(|| format!("the unit does not say {name}="))
    }
}

fn unit() -> Result<Unit> {
    let files = output("dpkg", &["-L", NAME])?;
    let path =
        files.lines().find(|line| line.ends_with("/onhand.service")).context("the package has a unit")?;
    Ok(Unit { path: PathBuf::from(path), text: fs::read_to_string(path)? })
}

fn user() -> Result<(u32, u32)> {
    let id = |flag: &str| -> Result<u32> { Ok(output("id", &[flag, NAME])?.trim().parse()?) };
    Ok((id("-u")?, id("-g")?))
}

fn dpkg(what: &str, of: impl AsRef<std::ffi::OsStr>) -> Result<String> {
    let mut dpkg = Command::new("dpkg");
    done(dpkg.arg(what).arg(of).env("DEBIAN_FRONTEND", "noninteractive"))
}

/// Runs a program to its end; what it said, on either way, is the error if it failed.
fn done(command: &mut Command) -> Result<String> {
    let shown = format!("{command:?}");
    let done = command.stdin(Stdio::null()).output().with_context(|| format!("cannot start {shown}"))?;
    let said = [done.stdout, done.stderr].map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).concat();
    ensure!(done.status.success(), "{shown} failed ({}): {said}", done.status);
    Ok(said)
}

fn output(program: impl AsRef<std::ffi::OsStr>, arguments: &[&str]) -> Result<String> {
    done(Command::new(program).args(arguments))
}

/// Leaves the machine as it was, however the trial ends.
struct Cleared {
    had_user: bool,
}

impl Drop for Cleared {
    fn drop(&mut self) {
        let _ = dpkg("-P", NAME);
        let _ = fs::remove_dir_all(STATE);
        if !self.had_user {
            let _ = output("userdel", &[NAME]);
        }
    }
}
