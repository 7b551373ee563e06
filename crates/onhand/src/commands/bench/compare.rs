//! `onhand bench compare`: the same movements beside a shop's own tables in PostgreSQL, in one run on one machine.
//!
//! The shop is written as any good one would be: a row of stock per item and location, taken under its row lock where
//! there is enough, and a row for each movement under the command's unique key, in one transaction; the server as it comes,
//! durable, with pgbench and prepared statements over a Unix socket.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, bail};
use serde_json::json;

use super::in_process::{Load, load, stock_up};
use super::{IN_FLIGHT, ITEMS};
use crate::output::say;
use crate::runtime::{self, Runtime};

const CLIENTS: u32 = 64;
const SCHEMA: &str = "
CREATE TABLE stock(item int NOT NULL, location int NOT NULL, quantity bigint NOT NULL CHECK (quantity >= 0),
  PRIMARY KEY(item, location));
CREATE TABLE movement(id bigserial PRIMARY KEY, key uuid NOT NULL UNIQUE, item int NOT NULL, location int NOT NULL,
  quantity bigint NOT NULL, at timestamptz NOT NULL DEFAULT now());
INSERT INTO stock SELECT item, 1, 1000000000 FROM generate_series(0, 9999) item;
VACUUM ANALYZE stock;
";

pub(super) async fn run(seconds: u64, json: bool) -> anyhow::Result<()> {
    let shop = tokio::task::spawn_blocking(move || -> anyhow::Result<_> {
        let server = Server::start()?;
        Ok((server.rate(ITEMS, seconds)?, server.rate(1, seconds)?))
    });
    let (shop_random, shop_hot) = shop.await??;
    let folder = tempfile::tempdir()?;
    let runtime = Runtime::open(runtime::open(&folder.path().join("bench.db"))?)?;
    let handle = runtime.handle.clone();
    stock_up(&handle, ITEMS, &["LONDON"]).await?;
    let random = Load { items: ITEMS, in_flight: IN_FLIGHT, movements: 200_000 * seconds };
    let of_all = load(&handle, "random", random).await?.movements_per_second;
    let of_one = load(&handle, "hot", Load { items: 1, ..random }).await?.movements_per_second;
    drop(handle);
    runtime.stop().await?;
    let row = |onhand: f64, postgresql: f64| {
        json!({
            "onhand_movements_per_second": onhand.round(),
            "postgresql_movements_per_second": postgresql.round(),
            "ratio": (onhand / postgresql * 10.0).round() / 10.0,
        })
    };
    let rows = json!({ "random": row(of_all, shop_random), "hot": row(of_one, shop_hot) });
    let text = if json { rows.to_string() } else { serde_json::to_string_pretty(&rows)? };
    Ok(say(text)?)
}

/// A PostgreSQL server of our own, in a folder that is gone with it.
struct Server {
    folder: tempfile::TempDir,
    programs: PathBuf,
}

impl Server {
    fn start() -> anyhow::Result<Self> {
        let programs = programs()?;
        let server = Self { folder: tempfile::tempdir()?, programs };
        if is_root() {
            let owned = Command::new("chown").arg("postgres").arg(server.folder.path()).status()?;
            anyhow::ensure!(
                owned.success(),
                "PostgreSQL does not run as root, and there is no user `postgres`"
            );
        }
        let data = server.data();
        server.run("initdb", [OsStr::new("-D"), data.as_os_str()], &["-U", "onhand", "--auth=trust"])?;
        let options = format!("-k {} -c listen_addresses=''", server.folder.path().display());
        let log = server.folder.path().join("log");
        let begin = [OsStr::new("-D"), data.as_os_str(), OsStr::new("-l"), log.as_os_str()];
        server.run("pg_ctl", begin, &["-w", "-o", &options, "start"])?;
        let schema = server.folder.path().join("schema.sql");
        std::fs::write(&schema, SCHEMA)?;
        server.run("psql", [OsStr::new("-f"), schema.as_os_str()], &["-q", "-v", "ON_ERROR_STOP=1"])?;
        Ok(server)
    }

    /// Movements a second over so many items.
    fn rate(&self, items: u64, seconds: u64) -> anyhow::Result<f64> {
        let script = self.folder.path().join(format!("move-{items}.sql"));
        std::fs::write(
            &script,
            format!(
                "\\set item random(0, {})\nBEGIN;\n\
                 UPDATE stock SET quantity = quantity - 1 WHERE item = :item AND location = 1 AND quantity >= 1;\n\
                 INSERT INTO movement(key, item, location, quantity) VALUES(gen_random_uuid(), :item, 1, -1);\n\
                 COMMIT;\n",
                items - 1
            ),
        )?;
        let clients = CLIENTS.to_string();
        let told = self.run(
            "pgbench",
            [OsStr::new("-f"), script.as_os_str()],
            &["-n", "-M", "prepared", "-j", "2", "-c", &clients, "-T", &seconds.to_string()],
        )?;
        let rate = told.lines().find_map(|line| line.strip_prefix("tps = "));
        let rate = rate.and_then(|rate| rate.split_whitespace().next()).context("pgbench told no rate")?;
        Ok(rate.parse()?)
    }

    fn data(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    /// Runs one of PostgreSQL's programs; what it printed.
    fn run<'a>(
        &self,
        program: &str,
        paths: impl IntoIterator<Item = &'a OsStr>,
        arguments: &[&str],
    ) -> anyhow::Result<String> {
        let path = self.programs.join(program);
        let mut command = if is_root() {
            let mut command = Command::new("runuser");
            command.args(["-u", "postgres", "--"]).arg(path);
            command
        } else {
            Command::new(path)
        };
        command
            .env("PGHOST", self.folder.path())
            .env("PGUSER", "onhand")
            .env("PGDATABASE", "postgres")
            .current_dir(self.folder.path());
        // What a server prints goes to its log: it would hold our end open.
        let done =
            command.args(paths).args(arguments).output().with_context(|| format!("cannot run {program}"))?;
        if !done.status.success() {
            bail!("{program} failed: {}", String::from_utf8_lossy(&done.stderr).trim());
        }
        Ok(String::from_utf8_lossy(&done.stdout).into_owned())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let data = self.data();
        let _ = self.run("pg_ctl", [OsStr::new("-D"), data.as_os_str()], &["-m", "immediate", "stop"]);
    }
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
    let folders = versions.into_iter().map(|(_, folder)| folder).chain(std::env::split_paths(&path));
    let has_all =
        |folder: &Path| ["initdb", "pg_ctl", "psql", "pgbench"].iter().all(|it| folder.join(it).is_file());
    folders.into_iter().find(|folder| has_all(folder)).context(
        "PostgreSQL is not installed here: initdb, pg_ctl, psql and pgbench are needed. \
         On Debian or Ubuntu: apt-get install postgresql postgresql-contrib",
    )
}

fn is_root() -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    status.lines().any(|line| line.starts_with("Uid:") && line.split_whitespace().nth(2) == Some("0"))
}
