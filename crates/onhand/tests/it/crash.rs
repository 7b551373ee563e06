//! What was acknowledged survives `kill -9`, once and wholly (laws 2, 3 and 4).

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use reqwest::Method;
use serde_json::{Value, json};

use crate::server::{Server, onhand, text};

const CLIENTS: u64 = 6;

/// What clients were told under each key: the status and the body.
type Told = Arc<Mutex<BTreeMap<String, (u16, Value)>>>;

async fn load(base: String, api_key: String, client: u64, round: u64, stop: Arc<AtomicBool>, told: Told) {
    let http = reqwest::Client::builder().no_proxy().timeout(Duration::from_secs(5)).build().unwrap();
    let mut number = 0;
    while !stop.load(Ordering::Relaxed) {
        number += 1;
        let key = format!("{round}-{client}-{number}");
        let (path, body) = match number % 4 {
            0 => (
                "/v1/movements/receive",
                json!({ "location": "LONDON", "lines": [{ "sku": "MUG", "quantity": 2 }] }),
            ),
            1 => {
                let document = format!("{client}-{}", number / 8);
                let lines = json!([{ "line": "1", "sku": "MUG", "quantity": number % 3 }]);
                let order = json!({ "lines": lines });
                (
                    "/v1/documents",
                    json!({ "system": "WEB", "document": document, "version": number, "order": order }),
                )
            }
            2 => ("/v1/holds", json!({ "lines": [{ "sku": "MUG", "quantity": 1 }], "seconds": 1 })),
            _ => (
                "/v1/orders",
                json!({ "lines": [{ "sku": "MUG", "quantity": 1 }, { "sku": "MUG", "quantity": 1 }] }),
            ),
        };
        let request =
            http.post(format!("{base}{path}")).bearer_auth(&api_key).header("idempotency-key", &key);
        let Ok(response) = request.json(&body).send().await else { return };
        let status = response.status().as_u16();
        let Ok(answer) = response.json::<Value>().await else { return };
        let mut told = told.lock();
        told.insert(format!("{key} {path} {body}"), (status, answer));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn crash_after_crash_nothing_acknowledged_is_lost_or_doubled() {
    let folder = tempfile::tempdir().unwrap();
    crash_after_crash(&folder.path().join("crash.db"), &folder.path().join("key"), 50).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn crash_after_crash_nothing_acknowledged_is_lost_or_doubled_in_postgresql() {
    let folder = tempfile::tempdir().unwrap();
    crash_after_crash(Path::new(&onhand_testpg::database()), &folder.path().join("key"), 10).await;
}

async fn crash_after_crash(database: &Path, key_file: &Path, rounds: u64) {
    let key_file = key_file.to_str().unwrap();
    let told: Told = Arc::default();
    let mut milliseconds = 7_u64;
    for round in 0..rounds {
        let server = Server::start_with(database, &["--key-file", key_file]);
        if round == 0 {
            server.stocked("MUG", 100).await;
            server.post("/v1/systems", json!({ "name": "WEB", "kind": "test" })).await;
        }
        // What earlier rounds were told is told again, word for word, and has no second effect.
        let sample: Vec<(String, (u16, Value))> = told
            .lock()
            .iter()
            .rev()
            .take(12)
            .map(|(asked, answer)| (asked.clone(), answer.clone()))
            .collect();
        let before = server.on_hand("MUG").await;
        for (asked, (status, answer)) in sample {
            let mut parts = asked.splitn(3, ' ');
            let (key, path, body) = (parts.next().unwrap(), parts.next().unwrap(), parts.next().unwrap());
            let body: Value = serde_json::from_str(body).unwrap();
            let (again, copy) = server.call(Method::POST, path, Some(key), &body).await;
            if path == "/v1/documents" {
                // A fact's key is its document: a newer version may be applied by now, an older one is nothing.
                assert_eq!(again.as_u16(), 200, "{copy}");
            } else {
                assert_eq!((again.as_u16(), &copy), (status, &answer), "{asked}");
            }
        }
        let after = server.on_hand("MUG").await;
        assert_eq!(before, after, "copies have no effect");
        let stop = Arc::new(AtomicBool::new(false));
        let mut clients = tokio::task::JoinSet::new();
        for client in 0..CLIENTS {
            let (base, key) = (server.base.clone(), server.key.clone());
            clients.spawn(load(base, key, client, round, stop.clone(), told.clone()));
        }
        milliseconds = (milliseconds * 31 + 17) % 193;
        tokio::time::sleep(Duration::from_millis(20 + milliseconds)).await;
        server.kill();
        stop.store(true, Ordering::Relaxed);
        clients.join_all().await;
        if round % 10 == 9 {
            let verified = onhand(database, &["verify", "--json"]);
            assert!(verified.status.success(), "{}{}", text(&verified.stdout), text(&verified.stderr));
        }
    }
    assert!(told.lock().len() as u64 > 10 * rounds, "the clients were told {} answers", told.lock().len());
}
