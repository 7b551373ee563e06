//! Secrets: sealed where they are kept, and seen nowhere.

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use onhand_engine::systems::{CONNECTION, seal_connections};
use onhand_engine::{Ledger, Options, SystemClock, queue};
use onhand_ledger::TenantId;
use onhand_store::{Note, SqliteStore};
use reqwest::StatusCode;
use serde_json::{Value, json};

use crate::server::{Server, onhand, text};

const SECRET: &str = "hunter2-correct-horse";

/// A shop that takes that token, at its address.
async fn shop() -> String {
    let shop = onhand_emulators::shop::CornerShop::new(SECRET, Arc::new(|| 1_800_000_000_000_000));
    shop.list("1", "MUG", "Blue mug", 3);
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(onhand_emulators::shop::serve(listener, shop, std::future::pending()));
    url
}

/// Every file of a folder that has the secret in it.
fn files_with_the_secret(folder: &Path) -> Vec<String> {
    let files = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let has = |path: &std::path::PathBuf| {
        let bytes = std::fs::read(path).unwrap();
        bytes.windows(SECRET.len()).any(|window| window == SECRET.as_bytes())
    };
    files.filter(has).map(|path| path.display().to_string()).collect()
}

async fn status(server: &Server) -> Value {
    server.get("/v1/systems").await.1["data"][0].clone()
}

async fn until(what: &str, server: &Server, holds: impl Fn(&Value) -> bool) {
    for _ in 0..600 {
        if holds(&status(server).await) {
            return;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("{what}: {}", status(server).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_secret_is_in_no_file_no_log_no_answer_and_no_backup() {
    let folder = tempfile::tempdir().unwrap();
    let (database, log) = (folder.path().join("seal.db"), folder.path().join("log.txt"));
    let url = shop().await;
    let mut server = Server::logging(&database, &log, "trace");
    server.stocked("MUG", 5).await;
    let add = json!({ "name": "Corner", "kind": "shop", "url": url, "secret": SECRET });
    let (made, added) = server.post("/v1/systems", add.clone()).await;
    assert_eq!(made, StatusCode::CREATED, "{added}");
    // What is refused is not repeated either.
    let wrong = json!({ "name": "Corner", "kind": "shop", "url": "no", "secret": SECRET });
    let (_, refused) = server.post("/v1/systems", wrong).await;
    let with_name =
        json!({ "name": "Corner", "kind": "shop", "url": format!("http://a:{SECRET}@127.0.0.1:1") });
    let (made, of_url) = server.post("/v1/systems", with_name).await;
    assert_eq!(made, StatusCode::UNPROCESSABLE_ENTITY);
    assert!(of_url["detail"].as_str().unwrap().contains("`username`"), "{of_url}");
    until("in step", &server, |system| system["in_step"] == 1).await;
    let mut said = vec![added, refused, of_url];
    for path in ["/v1/systems", "/v1/systems/Corner/listings", "/v1/items/MUG/explain", "/v1/changes"] {
        said.push(server.get(path).await.1);
    }
    assert!(!said.iter().any(|answer| answer.to_string().contains(SECRET)), "{said:?}");
    let backups = tempfile::tempdir().unwrap();
    let to = backups.path().to_str().unwrap();
    let done = onhand(&database, &["backup", "--to", to]);
    assert!(done.status.success(), "{}", text(&done.stderr));
    server.signal("TERM");
    assert_eq!(server.ended_within(30).await, Some(0));
    assert!(text(&std::fs::read(&log).unwrap()).contains("Corner"), "it does log");
    for folder in [folder.path(), backups.path()] {
        assert_eq!(files_with_the_secret(folder), Vec::<String>::new());
    }
    let keys = folder.path().join("seal.db.seal-key");
    assert_eq!(std::fs::metadata(&keys).unwrap().permissions().mode() & 0o777, 0o600);
}

/// As connections were kept before there was a seal.
async fn plant_in_clear(database: &Path, url: &str) {
    let store = Box::new(SqliteStore::open(database).unwrap());
    let ledger = Ledger::open(store, Arc::new(SystemClock), Options::default()).unwrap();
    let (handle, queue) = queue(Arc::new(ledger));
    let committer = std::thread::spawn(move || queue.run());
    let body = json!({ "kind": "shop", "url": url, "username": "", "secret": SECRET }).to_string();
    let note = Note { space: CONNECTION.to_owned(), key: "1".to_owned(), body: Some(body) };
    handle.submit_with(TenantId::DEFAULT, None, vec![note]).await.unwrap();
    // Without a key it stays, and is told to be so.
    let error = seal_connections(&handle, TenantId::DEFAULT).await.unwrap_err();
    assert!(error.to_string().contains("ONHAND_SEAL_KEY"), "{error}");
    drop(handle);
    committer.join().unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_kept_in_clear_is_sealed_at_the_first_start_and_wiped() {
    let folder = tempfile::tempdir().unwrap();
    let database = folder.path().join("old.db");
    let url = shop().await;
    let mut server = Server::start(&database);
    server.stocked("MUG", 5).await;
    let add = json!({ "name": "Corner", "kind": "shop", "url": url, "secret": SECRET });
    assert_eq!(server.post("/v1/systems", add).await.0, StatusCode::CREATED);
    server.signal("TERM");
    assert_eq!(server.ended_within(30).await, Some(0));
    plant_in_clear(&database, &url).await;
    assert_eq!(files_with_the_secret(folder.path()).len(), 1, "the search finds it where it is");
    let mut server = Server::start(&database);
    until("in step", &server, |system| system["in_step"] == 1).await;
    server.signal("TERM");
    assert_eq!(server.ended_within(30).await, Some(0));
    assert_eq!(files_with_the_secret(folder.path()), Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lacking_key_is_named_and_the_ledger_works_on_until_it_is_back() {
    let folder = tempfile::tempdir().unwrap();
    let (database, keys) = (folder.path().join("lost.db"), folder.path().join("lost.db.seal-key"));
    let url = shop().await;
    let mut server = Server::start(&database);
    server.stocked("MUG", 5).await;
    let add = json!({ "name": "Corner", "kind": "shop", "url": url, "secret": SECRET });
    assert_eq!(server.post("/v1/systems", add).await.0, StatusCode::CREATED);
    server.signal("TERM");
    assert_eq!(server.ended_within(30).await, Some(0));
    let kept = std::fs::read_to_string(&keys).unwrap();
    let id = kept.lines().find_map(|line| line.strip_prefix('k')?.split_once(':')).unwrap().0.to_owned();
    std::fs::remove_file(&keys).unwrap();
    let server = Server::start(&database);
    let trouble = status(&server).await["trouble"].as_str().unwrap().to_owned();
    assert!(trouble.contains(&format!("`k{id}`")), "{trouble}");
    server.stocked("MUG", 2).await;
    assert_eq!(server.on_hand("MUG").await, 7, "the ledger works on");
    // The key is put back while it runs.
    std::fs::write(&keys, kept).unwrap();
    until("in step", &server, |system| system["in_step"] == 1).await;
    assert_eq!(status(&server).await["trouble"], Value::Null);
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_rotate_while_it_runs() {
    let folder = tempfile::tempdir().unwrap();
    let (database, keys) = (folder.path().join("turn.db"), folder.path().join("turn.db.seal-key"));
    let url = shop().await;
    let server = Server::start(&database);
    server.stocked("MUG", 5).await;
    let add = json!({ "name": "Corner", "kind": "shop", "url": url, "secret": SECRET });
    assert_eq!(server.post("/v1/systems", add).await.0, StatusCode::CREATED);
    let before = std::fs::read_to_string(&keys).unwrap();
    let done = onhand(&database, &["seal", "rotate", "--json"]);
    assert!(done.status.success(), "{}", text(&done.stderr));
    let told: Value = serde_json::from_slice(&done.stdout).unwrap();
    assert_eq!((&told["resealed"], told["keys"].as_array().unwrap().len()), (&json!(1), 2), "{told}");
    let after = std::fs::read_to_string(&keys).unwrap();
    assert!(before.lines().all(|line| after.contains(line)), "older backups need the older key");
    // Without the older key all opens.
    let newest: Vec<&str> = after.lines().filter(|line| !before.contains(line)).collect();
    std::fs::write(&keys, newest.join("\n")).unwrap();
    server.kill();
    let server = Server::start(&database);
    until("in step", &server, |system| system["in_step"] == 1).await;
    // Who may not, does not.
    let (_, made) = server.post("/v1/keys", json!({ "name": "till" })).await;
    let till = server.http.post(format!("{}/v1/seal/rotate", server.base));
    let till = till.bearer_auth(made["key"].as_str().unwrap()).json(&json!({})).send().await.unwrap();
    assert_eq!(till.status(), StatusCode::FORBIDDEN);
}

#[test]
fn a_new_key_is_printed_without_a_database() {
    let folder = tempfile::tempdir().unwrap();
    let database = folder.path().join("none.db");
    let done = onhand(&database, &["seal", "new"]);
    assert!(done.status.success() && !database.exists());
    let line = text(&done.stdout);
    let (name, digits) = line.trim().split_once(':').unwrap();
    assert!(name.starts_with('k') && digits.len() == 64, "{line}");
}
