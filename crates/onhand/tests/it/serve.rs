//! How `onhand serve` begins and ends.

use std::os::unix::fs::PermissionsExt as _;

use serde_json::{Value, json};
use tokio::io::AsyncWriteExt as _;

use crate::server::{Server, onhand, text};

#[tokio::test]
async fn an_unfinished_request_does_not_hold_the_server_when_it_is_told_to_end() {
    let folder = tempfile::tempdir().unwrap();
    let database = folder.path().join("end.db");
    let mut server = Server::start(&database);
    server.stocked("MUG", 3).await;
    let mut client = tokio::net::TcpStream::connect(server.base.trim_start_matches("http://")).await.unwrap();
    let head = format!(
        "POST /v1/orders HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {}\r\ncontent-length: 99\r\n\r\n{{",
        server.key
    );
    client.write_all(head.as_bytes()).await.unwrap();
    tokio::time::sleep(std::time::Duration::from_millis(200)).await;
    server.signal("TERM");
    assert_eq!(server.ended_within(1).await, None, "a request under way has a while to end");
    assert_eq!(server.ended_within(9).await, Some(0));
    assert!(onhand(&database, &["verify"]).status.success());
}

#[tokio::test]
async fn asked_twice_it_ends_at_once_and_asked_once_soon_where_nothing_is_under_way() {
    let folder = tempfile::tempdir().unwrap();
    let database = folder.path().join("end.db");
    let mut server = Server::start(&database);
    server.signal("INT");
    assert_eq!(server.ended_within(4).await, Some(0));
    let mut server = Server::start(&database);
    let mut client = tokio::net::TcpStream::connect(server.base.trim_start_matches("http://")).await.unwrap();
    client.write_all(b"GET /livez HTTP/1.1\r\n").await.unwrap();
    tokio::time::sleep(std::time::Duration::from_millis(200)).await;
    server.signal("INT");
    tokio::time::sleep(std::time::Duration::from_millis(300)).await;
    server.signal("INT");
    assert_eq!(server.ended_within(2).await, Some(130));
}

#[tokio::test]
async fn a_key_file_of_another_database_is_replaced_and_a_good_one_kept() {
    let folder = tempfile::tempdir().unwrap();
    let database = folder.path().join("keys.db");
    let key_file = folder.path().join("keys.db.key");
    let first = Server::start(&database).key.clone();
    assert_eq!(Server::start(&database).key, first, "a known key stays");
    for stale in ["ohk_1_0123456789012345678901234567890123456789", "", "ohk_x_1"] {
        std::fs::write(&key_file, stale).unwrap();
        std::fs::set_permissions(&key_file, std::fs::Permissions::from_mode(0o644)).unwrap();
        let server = Server::start(&database);
        assert_ne!(server.key, stale);
        server.stocked("MUG", 0).await;
        let mode = std::fs::metadata(&key_file).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "only its owner reads it");
    }
    // A key of another tenant is one of this database.
    let made = onhand(&database, &["key", "create", "--tenant", "2", "--json"]);
    let made: Value = serde_json::from_slice(&made.stdout).unwrap();
    std::fs::write(&key_file, made["key"].as_str().unwrap()).unwrap();
    assert_eq!(json!(Server::start(&database).key), made["key"]);
}

#[test]
fn a_file_that_is_no_key_file_is_left_as_it_is() {
    let folder = tempfile::tempdir().unwrap();
    let (database, precious) = (folder.path().join("keys.db"), folder.path().join("server.pem"));
    for content in ["-----BEGIN PRIVATE KEY-----\n", "\u{fffd}"] {
        std::fs::write(&precious, content).unwrap();
        let arguments = ["serve", "--listen", "127.0.0.1:0", "--key-file", precious.to_str().unwrap()];
        let output = onhand(&database, &arguments);
        assert_eq!(output.status.code(), Some(1));
        let says = text(&output.stderr);
        assert!(says.contains("something else than an API key"), "{says}");
        assert_eq!(std::fs::read_to_string(&precious).unwrap(), content);
    }
}

/// One file, whatever it is called: two writers of it would lose what they acknowledged.
#[tokio::test]
async fn a_database_that_is_opened_by_a_link_is_one_database() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    std::fs::create_dir(&data).unwrap();
    let (real, link) = (data.join("s.db"), folder.path().join("s.db"));
    // To a file that is not there yet, too.
    std::os::unix::fs::symlink("data/s.db", &link).unwrap();
    let server = Server::start(&link);
    server.stocked("MUG", 3).await;
    assert!(data.join("s.db.key").exists() && !folder.path().join("s.db.key").exists(), "beside the file");
    for name in [&real, &link] {
        let output = onhand(name, &["serve", "--listen", "127.0.0.1:0"]);
        assert!(
            text(&output.stderr).contains("is in use by another Onhand process"),
            "{}",
            text(&output.stderr)
        );
        assert!(onhand(name, &["verify"]).status.success(), "by the server that has it");
    }
    server.kill();
    let (other, database) = (folder.path().join("other.db"), Server::start(&real));
    assert_eq!(database.stock("MUG").await, (3, 0));
    database.kill();
    std::fs::hard_link(&real, &other).unwrap();
    let says = text(&onhand(&other, &["verify"]).stderr);
    assert!(says.contains("has 2 names (hard links)"), "{says}");
    std::fs::remove_file(&other).unwrap();
    assert!(onhand(&real, &["verify"]).status.success());
}

#[test]
fn a_port_that_is_taken_makes_no_database() {
    let folder = tempfile::tempdir().unwrap();
    let database = folder.path().join("none.db");
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let output = onhand(&database, &["serve", "--listen", &address]);
    assert_eq!(output.status.code(), Some(1));
    assert!(text(&output.stderr).contains("choose another with --listen"), "{}", text(&output.stderr));
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
}

#[test]
fn a_folder_that_is_not_there_or_not_ours_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let serve = |name: &str| onhand(&folder.path().join(name), &["serve", "--listen", "127.0.0.1:0"]);
    let missing = serve("missing/x.db");
    assert_eq!(missing.status.code(), Some(1));
    let says = text(&missing.stderr);
    assert!(says.contains("missing is not there; make it, or name another file"), "{says}");
    assert!(!says.contains('\u{1b}'), "no colours where nobody looks: {says}");
    std::fs::write(folder.path().join("file"), "").unwrap();
    let says = text(&serve("file/x.db").stderr);
    assert!(says.contains("file is not there; make it"), "{says}");
    let locked = folder.path().join("locked");
    std::fs::create_dir(&locked).unwrap();
    std::fs::set_permissions(&locked, std::fs::Permissions::from_mode(0o555)).unwrap();
    // Root may write anywhere: there is nothing to see then.
    if std::fs::write(locked.join("probe"), "").is_err() {
        let says = text(&serve("locked/x.db").stderr);
        assert!(says.contains("cannot be written by this user"), "{says}");
        let database = folder.path().join("mine.db");
        assert!(onhand(&database, &["key", "create"]).status.success());
        std::fs::set_permissions(&database, std::fs::Permissions::from_mode(0o444)).unwrap();
        let says = text(&onhand(&database, &["verify"]).stderr);
        assert!(says.contains("mine.db cannot be written by this user"), "{says}");
    }
}
