//! What is kept of people: sealed, for whoever sends them goods; gone when they ask, and when its time is over. Stock stays.

use std::path::Path;

use onhand_ledger::TenantId;
use onhand_store::{SqliteStore, Store as _};
use reqwest::StatusCode;
use serde_json::{Value, json};

use crate::server::{Server, onhand, text};

const ADA: &str = "ada.l@example.com";

/// An order of one mug by somebody, as a shop tells it.
fn order(document: &str, version: u64, email: &str, name: &str) -> Value {
    let lines = json!([{ "line": "1", "sku": "MUG", "quantity": 1 }]);
    let raw = json!({ "code": document, "customer": { "emailAddress": email, "fullName": name } });
    json!({ "system": "WEB", "document": document, "version": version, "order": { "lines": lines }, "raw": raw })
}

async fn told(server: &Server, order: Value) {
    let (status, answer) = server.post("/v1/documents", order).await;
    assert_eq!(status, StatusCode::OK, "{answer}");
}

async fn raw(server: &Server, document: &str) -> (StatusCode, Value) {
    let (status, answer) = server.get(&format!("/v1/systems/WEB/raw/{document}")).await;
    (status, answer["raw"].clone())
}

/// What is kept of each order, as it lies in the database.
fn sealed(database: &Path) -> Vec<String> {
    let store = SqliteStore::open(database).unwrap();
    store
        .reader()
        .unwrap()
        .notes(TenantId(1), "raw", None, 100)
        .unwrap()
        .into_iter()
        .map(|(_, body)| body)
        .collect()
}

/// Is this text in a file, or in what lies beside it?
fn is_in(database: &Path, what: &str) -> bool {
    ["", "-wal"].iter().any(|suffix| {
        let mut name = database.as_os_str().to_owned();
        name.push(suffix);
        let bytes = std::fs::read(&name).unwrap_or_default();
        bytes.windows(what.len()).any(|window| window == what.as_bytes())
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn a_person_is_erased_and_stock_stays() {
    let folder = tempfile::tempdir().unwrap();
    let (database, log) = (folder.path().join("people.db"), folder.path().join("log"));
    let server = Server::start(&database);
    server.stocked("MUG", 50).await;
    let system = json!({ "name": "WEB", "kind": "documents" });
    assert!(server.post("/v1/systems", system).await.0.is_success());
    told(&server, order("1", 1, "Ada.L@Example.com", "Ada Lovelace")).await;
    told(&server, order("2", 1, "bob@example.com", "Bob")).await;
    assert_eq!(raw(&server, "1").await.1["customer"]["fullName"], "Ada Lovelace");
    let stock = server.stock("MUG").await;
    server.kill();
    let kept = sealed(&database);
    assert_eq!(kept.len(), 2, "{kept:?}");
    assert!(kept.iter().all(|kept| is_in(&database, kept)), "this test sees what lies there");
    assert!(!is_in(&database, "Lovelace") && !is_in(&database, "Ada.L"), "it is sealed");

    // A copy has nothing of it: nobody would erase it there.
    let server = Server::logging(&database, &log, "trace");
    let backups = folder.path().join("backups");
    std::fs::create_dir(&backups).unwrap();
    let made = onhand(&database, &["backup", "--to", backups.to_str().unwrap(), "--json"]);
    assert!(made.status.success(), "{}", text(&made.stderr));
    let copy = std::fs::read_dir(&backups).unwrap().next().unwrap().unwrap().path();
    assert!(kept.iter().all(|kept| !is_in(&copy, kept)), "backups have none of it");

    let dry = onhand(&database, &["erase", "--email", ADA, "--dry-run"]);
    assert!(dry.status.success(), "{}", text(&dry.stderr));
    let said = text(&dry.stdout);
    assert!(said.contains("WEB/1, told ") && said.contains("1 raw document would be erased."), "{said}");
    assert_eq!(raw(&server, "1").await.0, StatusCode::OK, "nothing was done");
    let done = onhand(&database, &["erase", "--email", ADA]);
    assert!(text(&done.stdout).contains("1 raw document erased."), "{}", text(&done.stdout));
    assert_eq!(raw(&server, "1").await.0, StatusCode::NOT_FOUND);
    assert_eq!(raw(&server, "2").await.1["customer"]["fullName"], "Bob");
    // Their shop tells of the order again, as it must: nothing of them is kept.
    told(&server, order("1", 2, ADA, "Ada Lovelace")).await;
    assert_eq!(raw(&server, "1").await.0, StatusCode::NOT_FOUND);
    assert_eq!(server.stock("MUG").await, stock);
    assert!(onhand(&database, &["verify"]).status.success());
    server.signal("TERM");
    let mut server = server;
    assert_eq!(server.ended_within(20).await, Some(0));
    let left = sealed(&database);
    assert_eq!(left.len(), 1, "{left:?}");
    let (gone, stays): (Vec<&String>, Vec<&String>) = kept.iter().partition(|kept| !left.contains(kept));
    assert!(!is_in(&database, gone[0]), "what was sealed is overwritten");
    assert!(is_in(&database, stays[0]));
    let log = std::fs::read_to_string(&log).unwrap();
    assert!(!log.contains("Lovelace") && !log.to_lowercase().contains(ADA), "no log has it");

    // By its order, with nobody serving; and what is not there is said to be none.
    let done = onhand(&database, &["erase", "--order", "WEB/2", "--json"]);
    let report: Value = serde_json::from_slice(&done.stdout).unwrap();
    assert_eq!(
        (&report["erased"][0]["document"], &report["dry_run"]),
        (&json!("2"), &json!(false)),
        "{report}"
    );
    assert_eq!(sealed(&database), [""; 0]);
    let none = onhand(&database, &["erase", "--email", ADA]);
    assert!(text(&none.stdout).contains("0 raw documents erased."), "{}", text(&none.stdout));
    let unknown = onhand(&database, &["erase", "--order", "NOBODY/2"]);
    assert!(text(&unknown.stderr).contains("there is no system `NOBODY`"), "{}", text(&unknown.stderr));
}

#[tokio::test(flavor = "multi_thread")]
async fn who_reads_of_people_needs_a_right() {
    let folder = tempfile::tempdir().unwrap();
    let database = folder.path().join("right.db");
    let mut server = Server::start(&database);
    server.stocked("MUG", 5).await;
    let system = json!({ "name": "WEB", "kind": "documents" });
    assert!(server.post("/v1/systems", system).await.0.is_success());
    told(&server, order("1", 1, ADA, "Ada Lovelace")).await;
    let operator = server.key.clone();
    let made = server.post("/v1/keys", json!({ "name": "till" })).await.1;
    server.key = made["key"].as_str().unwrap().to_owned();
    assert_eq!(raw(&server, "1").await.0, StatusCode::FORBIDDEN);
    let made = onhand(&database, &["key", "create", "--name", "office", "--right", "people", "--json"]);
    let made: Value = serde_json::from_slice(&made.stdout).unwrap();
    server.key = made["key"].as_str().unwrap().to_owned();
    assert_eq!(raw(&server, "1").await.0, StatusCode::OK);
    // It is in no list of what happened.
    server.key = operator;
    for path in ["/v1/changes", "/v1/orders/1", "/v1/items/MUG/history", "/v1/discrepancies"] {
        let (status, answer) = server.get(path).await;
        assert!(!answer.to_string().contains("Lovelace"), "{path} {status}: {answer}");
    }
}
