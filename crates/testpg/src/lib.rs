//! A throw-away PostgreSQL server for tests, from the binaries that Debian has.
//!
//! `cargo xtask test` starts one for the whole run and says where it is (`ONHAND_TEST_POSTGRES`). A test that is run by itself starts
//! one of its own, which ends with the process, however that ends. Each store gets a database of its own.

use std::io::Write as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use anyhow::{Context as _, bail};

/// Where a server of the whole run is: `postgres://USER@FOLDER` percent-encoded, without a database.
pub const VARIABLE: &str = "ONHAND_TEST_POSTGRES";

/// Who we are there.
const USER: &str = "onhand";

/// What a test that is not about durability does without.
const QUICK: &str = "-c fsync=off -c synchronous_commit=on -c full_page_writes=off";

/// Settings with which a server archives its write-ahead log, beside its data.
pub const ARCHIVING: &str = "-c fsync=off -c wal_level=replica -c archive_mode=on \
    -c archive_command='mkdir -p ../archive && cp %p ../archive/%f'";

/// How long a server may take to start, and how often it is asked meanwhile.
const PATIENCE_MS: u64 = 60_000;
const PAUSE_MS: u64 = 20;

/// A server, which ends and leaves nothing when it is dropped, or when this process ends.
pub struct Server {
    folder: tempfile::TempDir,
    programs: PathBuf,
    port: u16,
    // None only once it was stopped.
    shell: Option<(Child, ChildStdin)>,
    /// Its data is on a disk of its own.
    disk: bool,
}

impl Server {
    /// Starts one that listens on a Unix socket alone, and forgets the last second where the power goes.
    pub fn start() -> anyhow::Result<Self> {
        Self::start_with(QUICK, false)
    }

    /// Starts one with other settings (`-c NAME=VALUE …`), that listens on 127.0.0.1 too if told to.
    pub fn start_with(settings: &str, tcp: bool) -> anyhow::Result<Self> {
        let mut server = Self::place(tcp)?;
        server.init(&[])?;
        server.begin(settings, tcp)?;
        Ok(server)
    }

    /// As [`Server::start_with`], listening on 127.0.0.1, on a disk of its own of so many MiB where we may make one.
    pub fn start_on_disk(settings: &str, disk_mib: u32) -> anyhow::Result<Self> {
        let mut server = Self::place(true)?;
        server.make_disk(disk_mib)?;
        server.init(&["--wal-segsize=1"])?;
        server.begin(settings, true)?;
        Ok(server)
    }

    /// Starts one that follows another, listening on 127.0.0.1, on a disk as large; it calls itself `name`.
    pub fn start_standby(of: &Self, name: &str, settings: &str, disk_mib: u32) -> anyhow::Result<Self> {
        let mut server = Self::place(true)?;
        server.make_disk(disk_mib)?;
        let mut copy = server.command("pg_basebackup");
        copy.args([
            "--write-recovery-conf",
            "--wal-method=stream",
            "--checkpoint=fast",
            "--no-sync",
            "-U",
            USER,
            "-h",
        ])
        .arg(of.folder())
        .args(["-p", &of.port.to_string(), "-D"])
        .arg(server.data());
        let copied = copy.output().context("cannot run pg_basebackup")?;
        if !copied.status.success() {
            bail!("pg_basebackup failed: {}", String::from_utf8_lossy(&copied.stderr).trim());
        }
        // It names itself to the primary by that.
        server.begin(&format!("{settings} -c cluster_name={name}"), true)?;
        Ok(server)
    }

    /// A place for a server.
    fn place(tcp: bool) -> anyhow::Result<Self> {
        let programs = programs()?;
        let folder = tempfile::Builder::new().prefix("onhand-pg-").tempdir()?;
        if is_root() {
            let owned = Command::new("chown").arg("postgres").arg(folder.path()).status()?;
            anyhow::ensure!(
                owned.success(),
                "PostgreSQL does not run as root, and there is no user `postgres`"
            );
        }
        let port = if tcp { free_port()? } else { 5432 };
        Ok(Self { folder, programs, port, shell: None, disk: false })
    }

    fn init(&self, more: &[&str]) -> anyhow::Result<()> {
        let mut initdb = self.command("initdb");
        initdb
            .args(["-U", USER, "--auth=trust", "--no-sync", "--encoding=UTF8", "--locale=C", "-D"])
            .arg(self.data())
            .args(more);
        let made = initdb.output().context("cannot run initdb")?;
        if !made.status.success() {
            bail!("initdb failed: {}", String::from_utf8_lossy(&made.stderr).trim());
        }
        Ok(())
    }

    /// Only root may mount one.
    fn make_disk(&mut self, mib: u32) -> anyhow::Result<()> {
        std::fs::create_dir(self.data())?;
        if is_root() {
            let options = format!("size={mib}m,mode=0700");
            let mount = ["-t", "tmpfs", "-o", &options, "tmpfs"];
            let mounted =
                Command::new("mount").args(mount).arg(self.data()).stderr(Stdio::null()).status()?;
            self.disk = mounted.success();
            Command::new("chown").arg("postgres").arg(self.data()).status()?;
        }
        std::fs::set_permissions(self.data(), std::fs::Permissions::from_mode(0o700))?;
        Ok(())
    }

    /// Fills its disk to the last byte. False where it has none of its own.
    pub fn fill_disk(&self) -> anyhow::Result<bool> {
        if self.disk {
            // It ends with an error once there is no room.
            let fill = Command::new("dd").args(["if=/dev/zero", "bs=64k"]).arg(self.filler()).output()?;
            anyhow::ensure!(!fill.status.success(), "the disk is not full");
        }
        Ok(self.disk)
    }

    /// Takes away what filled its disk.
    pub fn free_disk(&self) -> anyhow::Result<()> {
        Ok(std::fs::remove_file(self.data().join("filler"))?)
    }

    fn filler(&self) -> String {
        format!("of={}", self.data().join("filler").display())
    }

    /// Starts it, or starts it again.
    pub fn begin(&mut self, settings: &str, tcp: bool) -> anyhow::Result<()> {
        let folder = self.folder.path().display();
        let listen = if tcp { "127.0.0.1" } else { "" };
        // The shell ends the server when this process is gone: its end of the pipe closes then, whatever the reason.
        let serve = format!(
            "\"$0\" -D {folder}/data -k {folder} -p {} -c listen_addresses='{listen}' -c max_connections=300 {settings} \
             >>{folder}/log 2>&1 </dev/null & server=$!; read -r word; kill -QUIT $server; wait $server; [ \"$word\" = keep ] || rm -rf {folder}",
            self.port
        );
        let program = self.programs.join("postgres");
        let mut shell = if is_root() {
            let mut command = Command::new("runuser");
            command.args(["-u", "postgres", "--", "sh", "-c", &serve]).arg(program);
            command
        } else {
            let mut command = Command::new("sh");
            command.args(["-c", &serve]).arg(program);
            command
        };
        let shell = shell.current_dir(self.folder.path()).stdin(Stdio::piped());
        let mut child =
            shell.stdout(Stdio::null()).stderr(Stdio::null()).spawn().context("cannot run postgres")?;
        let stdin = child.stdin.take().context("the shell has no standard input")?;
        self.shell = Some((child, stdin));
        if self.is_ready_within(PATIENCE_MS)? {
            return Ok(());
        }
        bail!("PostgreSQL did not start: {}", self.log());
    }

    /// Lets it anybody in, within so many milliseconds?
    pub fn is_ready_within(&self, patience_ms: u64) -> anyhow::Result<bool> {
        for _ in 0..=patience_ms / PAUSE_MS {
            let mut ready = self.command("pg_isready");
            ready.args(["-q", "-U", USER, "-p", &self.port.to_string(), "-h"]).arg(self.folder.path());
            if ready.status().context("cannot run pg_isready")?.success() {
                return Ok(true);
            }
            std::thread::sleep(Duration::from_millis(PAUSE_MS));
        }
        Ok(false)
    }

    /// A base backup of it, as the beginning of another server. It must run with [`ARCHIVING`].
    pub fn base_backup(&self) -> anyhow::Result<Self> {
        let folder = tempfile::Builder::new().prefix("onhand-pg-").tempdir()?;
        if is_root() {
            let owned = Command::new("chown").arg("postgres").arg(folder.path()).status()?;
            anyhow::ensure!(owned.success(), "the folder cannot be given to `postgres`");
        }
        let other = Self { folder, programs: self.programs.clone(), port: 5432, shell: None, disk: false };
        let mut backup = other.command("pg_basebackup");
        backup.args(["-U", USER, "-p", &self.port.to_string(), "--wal-method=none", "--checkpoint=fast"]);
        let done = backup.arg("-h").arg(self.folder()).arg("-D").arg(other.data()).output()?;
        anyhow::ensure!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr).trim());
        Ok(other)
    }

    /// Starts what a base backup made, with the log that its origin archived, as it was at a time (`YYYY-MM-DD HH:MM:SS.ffffff+00`).
    pub fn recover(&mut self, origin: &Self, until: &str) -> anyhow::Result<()> {
        std::fs::write(self.data().join("recovery.signal"), "")?;
        let archive = origin.folder().join("archive");
        let settings = format!(
            "{QUICK} -c restore_command='cp {}/%f %p' -c recovery_target_time='{until}' -c recovery_target_action=promote",
            archive.display()
        );
        self.begin(&settings, false)?;
        let address = format!("{}/postgres", self.address());
        wait_until(|| run_sql(&address, "SELECT pg_is_in_recovery()") == "f")
            .with_context(|| format!("the recovery does not end: {}", self.log()))
    }

    /// Waits until all that was written so far is archived.
    pub fn archive(&self) -> anyhow::Result<()> {
        let address = format!("{}/postgres", self.address());
        let last = run_sql(&address, "SELECT pg_walfile_name(pg_switch_wal())");
        let asked = format!("SELECT last_archived_wal >= '{last}' FROM pg_stat_archiver");
        wait_until(|| run_sql(&address, &asked) == "t").context("the write-ahead log is not archived")
    }

    /// Ends it at once, as a loss of power would but for what the disk has.
    pub fn kill(&mut self) {
        if let Some((mut shell, mut stdin)) = self.shell.take() {
            // Its folder goes with this process, or with what was started from it anew.
            let _ = stdin.write_all(b"keep\n");
            drop(stdin);
            let _ = shell.wait();
        }
    }

    /// What the server has said.
    pub fn log(&self) -> String {
        std::fs::read_to_string(self.folder.path().join("log")).unwrap_or_default()
    }

    /// The folder its socket is in.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Its port on 127.0.0.1.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Where it is: for [`VARIABLE`].
    pub fn address(&self) -> String {
        let folder = self.folder.path().display().to_string().replace('/', "%2F");
        format!("postgres://{USER}@{folder}:{}", self.port)
    }

    fn data(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    /// One of PostgreSQL's programs, as whoever may run the server.
    fn command(&self, program: &str) -> Command {
        let path = self.programs.join(program);
        let mut command = if is_root() {
            let mut command = Command::new("runuser");
            command.args(["-u", "postgres", "--"]).arg(path);
            command
        } else {
            Command::new(path)
        };
        command.current_dir(self.folder.path());
        command
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.kill();
        if self.disk {
            let _ = Command::new("umount").arg("-l").arg(self.data()).status();
        }
    }
}

/// A new database on the server of this run: its address. It goes with the server.
///
/// # Panics
///
/// Where PostgreSQL is not installed: its tests must run.
pub fn database() -> String {
    database_on(&shared())
}

/// A new database on a server at an address.
///
/// # Panics
///
/// Where it cannot be made.
pub fn database_on(address: &str) -> String {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    let name = format!("t{}_{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
    run_sql(&format!("{address}/postgres"), &format!("CREATE DATABASE {name}"));
    format!("{address}/{name}")
}

/// Runs SQL as an onlooker; what it printed, unaligned.
///
/// # Panics
///
/// Where the server does not do it.
pub fn run_sql(database: &str, sql: &str) -> String {
    let psql = programs().expect("PostgreSQL is installed").join("psql");
    let done = Command::new(psql)
        .args(["-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1", "-c", sql, database])
        .output()
        .expect("psql runs");
    assert!(done.status.success(), "{sql}: {}", String::from_utf8_lossy(&done.stderr));
    String::from_utf8_lossy(&done.stdout).trim().to_owned()
}

/// One of PostgreSQL's programs, such as `pg_dump`.
///
/// # Panics
///
/// Where PostgreSQL is not installed.
pub fn program(name: &str) -> PathBuf {
    programs().expect("PostgreSQL is installed").join(name)
}

fn shared() -> String {
    static OWN: OnceLock<Server> = OnceLock::new();
    match std::env::var(VARIABLE) {
        Ok(address) => address,
        Err(_) => OWN.get_or_init(|| Server::start().expect("PostgreSQL is needed by its tests")).address(),
    }
}

fn wait_until(mut it_is_so: impl FnMut() -> bool) -> anyhow::Result<()> {
    for _ in 0..PATIENCE_MS / PAUSE_MS {
        if it_is_so() {
            return Ok(());
        }
        std::thread::sleep(Duration::from_millis(PAUSE_MS));
    }
    bail!("it took more than {PATIENCE_MS} ms")
}

fn free_port() -> anyhow::Result<u16> {
    Ok(std::net::TcpListener::bind("127.0.0.1:0")?.local_addr()?.port())
}

/// Where PostgreSQL's programs are: as Debian keeps them, newest first, or wherever the path leads.
fn programs() -> anyhow::Result<PathBuf> {
    let mut versions: Vec<(u32, PathBuf)> = std::fs::read_dir("/usr/lib/postgresql")
        .into_iter()
        .flatten()
        .filter_map(|version| {
            let path = version.ok()?.path();
            Some((path.file_name()?.to_str()?.parse().ok()?, path.join("bin")))
        })
        .collect();
    versions.sort_unstable_by(|a, b| b.cmp(a));
    let path = std::env::var_os("PATH").unwrap_or_default();
    let mut folders = versions.into_iter().map(|(_, folder)| folder).chain(std::env::split_paths(&path));
    let has_all =
        |folder: &PathBuf| ["initdb", "postgres", "psql"].iter().all(|it| folder.join(it).is_file());
    folders.find(has_all).context(
        "PostgreSQL is not installed here: initdb, postgres and psql are needed. \
         On Debian or Ubuntu: apt-get install postgresql",
    )
}

fn is_root() -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    status.lines().any(|line| line.starts_with("Uid:") && line.split_whitespace().nth(2) == Some("0"))
}
