//! Backups: made while a server writes, put back where they belong, and verified. On PostgreSQL with its own tools.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use onhand_ledger::TenantId;
use onhand_store::{Batch, Note, SqliteStore, Store as _};
use reqwest::StatusCode;
use serde_json::{Value, json};

use crate::s3_server::S3;
use crate::server::{ONHAND, Server, onhand, text};

/// Runs the command to its end, in an environment.
fn onhand_in(environment: &[(&str, &str)], database: &Path, arguments: &[&str]) -> Output {
    let mut command = Command::new(ONHAND);
    command.args(arguments).arg("--db").arg(database).env("ONHAND_LOG", "error");
    command.envs(environment.iter().copied()).output().unwrap()
}

/// What a command that went well said.
fn told(output: &Output) -> Value {
    assert!(output.status.success(), "{}{}", text(&output.stdout), text(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

/// What a command that went wrong said.
fn refused(output: &Output) -> String {
    assert!(!output.status.success(), "{}", text(&output.stdout));
    text(&output.stderr)
}

fn names(folder: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(folder).unwrap();
    let mut names: Vec<String> =
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort_unstable();
    names
}

fn with(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    PathBuf::from(name)
}

async fn receive(server: &Server, quantity: i64) {
    let lines = json!([{ "sku": "MUG", "quantity": quantity }]);
    let (status, body) =
        server.post("/v1/movements/receive", json!({ "location": "LONDON", "lines": lines })).await;
    assert_eq!(status, StatusCode::OK, "{body}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_is_backed_up_while_it_is_served_and_restored() {
    let folder = tempfile::tempdir().unwrap();
    let (database, backups) = (folder.path().join("shop.db"), folder.path().join("backups"));
    std::fs::create_dir(&backups).unwrap();
    let to = ["--to", backups.to_str().unwrap(), "--json"];
    let server = Server::start(&database);
    server.stocked("MUG", 7).await;
    let first = told(&onhand(&database, &[&["backup"][..], &to].concat()));
    receive(&server, 2).await;
    let second = told(&onhand(&database, &[&["backup", "--keep", "2"][..], &to].concat()));
    assert!(second["tenants"][0]["entries"].as_u64() > first["tenants"][0]["entries"].as_u64(), "{second}");
    assert_eq!(names(&backups).len(), 2, "and nothing beside them");
    receive(&server, 4).await;
    let third = told(&onhand(&database, &[&["backup", "--keep", "2"][..], &to].concat()));
    let file = |backup: &Value| PathBuf::from(backup["backup"].as_str().unwrap());
    assert_eq!(third["removed"], json!([file(&first).file_name().unwrap().to_str().unwrap()]));
    // A server that runs keeps its file; one that ended does too, unless told.
    let from = file(&second);
    let restore = ["restore", "--from", from.to_str().unwrap(), "--json"];
    let said = refused(&onhand(&database, &[&restore[..], &["--force"]].concat()));
    assert!(said.contains("in use by another Onhand process"), "{said}");
    server.kill();
    assert!(with(&database, "-wal").metadata().unwrap().len() > 0, "its log is beside it");
    assert!(refused(&onhand(&database, &restore)).contains("put it aside with --force"));
    let restored = told(&onhand(&database, &[&restore[..], &["--force"]].concat()));
    assert_eq!(restored["hash"], second["tenants"][0]["hash"]);
    assert_eq!((&restored["ok"], &restored["entries"]), (&json!(true), &second["tenants"][0]["entries"]));
    let server = Server::start(&database);
    assert_eq!(server.on_hand("MUG").await, 9, "as it was then, and the log beside it is not applied");
    server.kill();
    // What was put aside is whole, its log included.
    let aside = PathBuf::from(restored["put_aside"][0].as_str().unwrap());
    let server = Server::start(&aside);
    assert_eq!(server.on_hand("MUG").await, 13);
    server.kill();
    // And onto a new machine, where nothing is.
    let elsewhere = folder.path().join("new.db");
    assert_eq!(told(&onhand(&elsewhere, &restore))["hash"], second["tenants"][0]["hash"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_copy_by_hand_under_a_stale_log_is_found_out() {
    let folder = tempfile::tempdir().unwrap();
    let (database, backups) = (folder.path().join("shop.db"), folder.path().join("backups"));
    std::fs::create_dir(&backups).unwrap();
    let server = Server::start(&database);
    server.stocked("MUG", 7).await;
    let made = told(&onhand(&database, &["backup", "--to", backups.to_str().unwrap(), "--json"]));
    // Much comes and is in the file, and the log begins anew.
    let rows: String = (0..2_000).map(|number| format!("SKU-{number},Thing {number}\n")).collect();
    let items = folder.path().join("items.csv");
    std::fs::write(&items, format!("sku,name\n{rows}")).unwrap();
    told(&onhand(&database, &["import", "items", items.to_str().unwrap(), "--json"]));
    let connection = rusqlite::Connection::open(&database).unwrap();
    connection.query_row("PRAGMA wal_checkpoint(RESTART)", [], |_| Ok(())).unwrap();
    drop(connection);
    receive(&server, 1).await;
    server.kill();
    assert!(with(&database, "-wal").metadata().unwrap().len() > 0);
    // As somebody does who does not know of the log.
    std::fs::copy(made["backup"].as_str().unwrap(), &database).unwrap();
    let verified = onhand(&database, &["verify", "--json"]);
    assert!(!verified.status.success(), "{}", text(&verified.stdout));
    let said = text(&verified.stdout);
    assert!(said.contains("damaged") || said.contains("law 5"), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_backup_is_refused_and_changes_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let (database, backups) = (folder.path().join("shop.db"), folder.path().join("backups"));
    std::fs::create_dir(&backups).unwrap();
    let said = refused(&onhand(&database, &["backup", "--to", backups.to_str().unwrap()]));
    assert!(said.contains("there is no database at"), "{said}");
    let server = Server::start(&database);
    server.stocked("MUG", 7).await;
    let made = told(&onhand(&database, &["backup", "--to", backups.to_str().unwrap(), "--json"]));
    server.kill();
    let before = (names(folder.path()), std::fs::read(&database).unwrap());
    let text_file = folder.path().join("shop.db.key");
    let backup = made["backup"].as_str().unwrap();
    let cut = backups.join("cut.db");
    std::fs::write(&cut, &std::fs::read(backup).unwrap()[..20_000]).unwrap();
    let restore =
        |from: &Path| refused(&onhand(&database, &["restore", "--force", "--from", from.to_str().unwrap()]));
    for (from, expected) in [
        (folder.path().join("nothing.db"), "there is no backup at"),
        (backups.clone(), "the newest backup in it is"),
        (folder.path().to_owned(), "has no backup of"),
        (database.clone(), "is the database itself"),
        (text_file, "it is no SQLite file"),
        (cut, "cannot be restored"),
        (PathBuf::from("ftp://host/x"), "it must be a folder, or s3://BUCKET/PREFIX"),
    ] {
        let said = restore(&from);
        assert!(said.contains(expected), "{}: {said}", from.display());
    }
    // Half of a database, whose other half is in a log beside it.
    let half = backups.join("half.db");
    std::fs::copy(&database, &half).unwrap();
    std::fs::copy(with(&database, "-wal"), with(&half, "-wal")).unwrap();
    assert!(restore(&half).contains("is not all there is"));
    let whole = told(&onhand(&half, &["backup", "--to", backups.to_str().unwrap(), "--json"]));
    assert_eq!(whole["tenants"], made["tenants"]);
    assert_eq!((names(folder.path()), std::fs::read(&database).unwrap()), before);
    let said = refused(&onhand(&database, &["backup", "--to", "/nowhere/at/all"]));
    assert!(said.contains("there is no folder /nowhere/at/all"), "{said}");
    let said =
        refused(&onhand(Path::new("postgres://a@h/d"), &["backup", "--to", backups.to_str().unwrap()]));
    assert!(said.contains("pg_dump"), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn backups_are_kept_in_an_s3_store_too() {
    let s3 = S3::start();
    let environment = s3.environment();
    let folder = tempfile::tempdir().unwrap();
    let database = folder.path().join("shop.db");
    // More than goes in one part.
    let large = Note { space: "test".to_owned(), key: "1".to_owned(), body: Some("x".repeat(9 << 20)) };
    let batch = Batch { notes: vec![large], ..Batch::default() };
    SqliteStore::open(&database).unwrap().commit(&[(TenantId::DEFAULT, batch)]).unwrap();
    let server = Server::start(&database);
    server.stocked("MUG", 7).await;
    let backup = |more: &[&str]| {
        onhand_in(
            &environment,
            &database,
            &[&["backup", "--to", "s3://backups/shop/daily", "--json"], more].concat(),
        )
    };
    let first = told(&backup(&[]));
    assert!(first["bytes"].as_u64().unwrap() > 8 << 20, "{first}");
    receive(&server, 2).await;
    let second = told(&backup(&["--keep", "1"]));
    assert_eq!(second["removed"].as_array().unwrap().len(), 1);
    assert!(
        names(folder.path()).iter().all(|name| !name.starts_with(".onhand")),
        "nothing is left beside the file"
    );
    let elsewhere = folder.path().join("new.db");
    let restore = |from: &Value| {
        onhand_in(&environment, &elsewhere, &["restore", "--from", from.as_str().unwrap(), "--json"])
    };
    assert!(refused(&restore(&first["backup"])).contains("it is not there"));
    assert!(!elsewhere.exists());
    let restored = told(&restore(&second["backup"]));
    assert_eq!((&restored["ok"], &restored["hash"]), (&json!(true), &second["tenants"][0]["hash"]));
    // Whom the store does not know.
    let wrong = [environment[0], ("AWS_ACCESS_KEY_ID", "NOBODY"), environment[2]];
    let said = refused(&onhand_in(&wrong, &database, &["backup", "--to", "s3://backups/shop"]));
    assert!(said.contains("check AWS_ACCESS_KEY_ID"), "{said}");
    let said = refused(&onhand_in(&environment, &database, &["backup", "--to", "s3://nobodys/shop"]));
    assert!(said.contains("NoSuchBucket"), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn postgresql_is_backed_up_by_its_own_tools_while_it_is_served() {
    let folder = tempfile::tempdir().unwrap();
    let (from, to) = (onhand_testpg::database(), onhand_testpg::database());
    let key_file = folder.path().join("operator.key");
    let more = ["--key-file", key_file.to_str().unwrap()];
    let server = Server::start_with(Path::new(&from), &more);
    server.stocked("MUG", 7).await;
    let dump = folder.path().join("stock.dump");
    let run = |program: &str, arguments: &[&str]| {
        let done = Command::new(onhand_testpg::program(program)).args(arguments).output().unwrap();
        assert!(done.status.success(), "{program}: {}", text(&done.stderr));
    };
    let dump = dump.to_str().unwrap();
    run("pg_dump", &["--format=custom", "--schema=onhand", "--file", dump, &from]);
    receive(&server, 2).await;
    server.kill();
    run("pg_restore", &["--exit-on-error", "--no-owner", "--single-transaction", "--dbname", &to, dump]);
    let found = told(&onhand(Path::new(&to), &["verify", "--json"]));
    assert_eq!(found["ok"], true, "{found}");
    let server = Server::start_with(Path::new(&to), &more);
    assert_eq!(server.on_hand("MUG").await, 7, "as it was then; and the key is known there too");
    server.kill();
    // One row that is not as it was dumped.
    onhand_testpg::run_sql(&to, "UPDATE onhand.cell SET quantity = quantity + 1");
    assert!(!onhand(Path::new(&to), &["verify", "--json"]).status.success());
}

#[tokio::test(flavor = "multi_thread")]
async fn postgresql_goes_back_to_any_instant_by_a_base_backup_and_its_archive() {
    let folder = tempfile::tempdir().unwrap();
    let key_file = folder.path().join("operator.key");
    let more = ["--key-file", key_file.to_str().unwrap()];
    let origin = onhand_testpg::Server::start_with(onhand_testpg::ARCHIVING, false).unwrap();
    let address = onhand_testpg::database_on(&origin.address());
    let server = Server::start_with(Path::new(&address), &more);
    server.stocked("MUG", 7).await;
    let mut recovered = origin.base_backup().unwrap();
    receive(&server, 2).await;
    let instant = onhand_testpg::run_sql(&address, "SELECT clock_timestamp() AT TIME ZONE 'UTC'") + "+00";
    receive(&server, 4).await;
    server.kill();
    origin.archive().unwrap();
    recovered.recover(&origin, &instant).unwrap();
    let name = address.rsplit('/').next().unwrap();
    let there = format!("{}/{name}", recovered.address());
    let found = told(&onhand(Path::new(&there), &["verify", "--json"]));
    assert_eq!(found["ok"], true, "{found}");
    let server = Server::start_with(Path::new(&there), &more);
    assert_eq!(server.on_hand("MUG").await, 9, "what came after that instant is not there");
    server.kill();
}
