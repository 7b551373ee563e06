//! A ledger goes to PostgreSQL and back, by the command, killed on its way.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use onhand_store::{PostgresStore, PostgresUrl, Reader as _};
use serde_json::Value;

use crate::server::{ONHAND, Server, onhand, text};

fn migrate(from: &Path, to: &Path, more: &[&str]) -> Command {
    let mut command = Command::new(ONHAND);
    command.arg("migrate").arg("--from").arg(from).arg("--to").arg(to).args(more).arg("--json");
    command.env("ONHAND_LOG", "error");
    command
}

/// What a run said, and whether it went well.
fn run(mut command: Command) -> (bool, Value) {
    let output = command.output().unwrap();
    let told = serde_json::from_slice(&output.stdout);
    (output.status.success(), told.unwrap_or_else(|_| panic!("{}", text(&output.stderr))))
}

fn filled(folder: &Path, items: u32) -> PathBuf {
    let database = folder.join("shop.db");
    let rows: String = (0..items).map(|number| format!("SKU-{number},Thing {number}\n")).collect();
    let file = folder.join("items.csv");
    std::fs::write(&file, format!("sku,name\n{rows}")).unwrap();
    let imported = onhand(&database, &["import", "items", file.to_str().unwrap(), "--json"]);
    assert!(imported.status.success(), "{}", text(&imported.stderr));
    database
}

#[tokio::test(flavor = "multi_thread")]
async fn a_ledger_that_is_killed_on_its_way_goes_on_to_postgres_and_comes_back() {
    let folder = tempfile::tempdir().unwrap();
    let here = filled(folder.path(), 3_000);
    let address = onhand_testpg::database();
    let there = PathBuf::from(&address);
    let server = Server::start(&here);
    server.stocked("MUG", 7).await;
    let (ok, said) = run(migrate(&here, &there, &[]));
    assert!(!ok && said["error"].as_str().unwrap().contains("in use by another Onhand process"), "{said}");
    server.kill();
    // Killed as soon as there is something.
    let mut child = migrate(&here, &there, &["--slice", "1"]).stdout(Stdio::null()).spawn().unwrap();
    let url = PostgresUrl::parse(&address, None).unwrap();
    let mut store = tokio::task::block_in_place(|| PostgresStore::open(&url)).unwrap();
    let mut copied = |enough: u64| {
        let seq = tokio::task::block_in_place(|| {
            let tenant = store.tenants().unwrap().first().copied();
            tenant.map_or(0, |tenant| store.head(tenant).unwrap().seq)
        });
        (seq >= enough).then_some(seq)
    };
    for _ in 0..12_000 {
        if copied(100).is_some() {
            break;
        }
        assert!(child.try_wait().unwrap().is_none(), "it ended before it was killed");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    child.kill().unwrap();
    child.wait().unwrap();
    let half = copied(0).unwrap();
    assert!(half >= 100, "it had begun within a minute");
    // Nobody takes half of it for the whole.
    let said = onhand(&there, &["verify"]);
    assert!(text(&said.stderr).contains("not whole yet"), "{}", text(&said.stderr));
    let (ok, said) = run(migrate(&here, &there, &[]));
    assert!(ok, "{said}");
    let tenant = &said["tenants"][0];
    let all = tenant["entries"].as_u64().unwrap();
    assert!(half < all, "it was killed on its way");
    assert!(tenant["copied"].as_u64().unwrap() <= all - half);
    assert_eq!((&said["verified"]["ok"], &said["verified"]["hash"]), (&Value::Bool(true), &tenant["hash"]));
    // The same key opens it; work goes on there, and comes back onto the file.
    let key_file = folder.path().join("shop.db.key");
    let server = Server::start_with(&there, &["--key-file", key_file.to_str().unwrap()]);
    assert_eq!(server.on_hand("MUG").await, 7);
    assert!(server.post("/v1/items", serde_json::json!({ "sku": "NEW" })).await.0.is_success());
    server.kill();
    let (ok, said) = run(migrate(&there, &here, &[]));
    assert!(ok, "{said}");
    assert!(said["tenants"][0]["copied"].as_u64().unwrap() < 10, "{said}");
    let server = Server::start(&here);
    assert_eq!(server.on_hand("NEW").await, 0);
    server.kill();
}

#[test]
fn what_cannot_be_moved_is_refused_and_changes_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let here = filled(folder.path(), 3);
    let other_folder = tempfile::tempdir().unwrap();
    let other = filled(other_folder.path(), 4);
    let head = |database: &Path| {
        let told: Value = serde_json::from_slice(&onhand(database, &["verify", "--json"]).stdout).unwrap();
        told["hash"].clone()
    };
    let before = head(&other);
    let nothing = folder.path().join("nothing.db");
    for (from, to, expected) in [
        (&here, &here, "are the same database"),
        (&nothing, &here, "there is no database at"),
        (&here, &other, "the target has another ledger"),
    ] {
        let (ok, said) = run(migrate(from, to, &[]));
        assert!(!ok && said["error"].as_str().unwrap().contains(expected), "{said}");
    }
    assert_eq!(head(&other), before);
    assert!(!nothing.exists());
}
