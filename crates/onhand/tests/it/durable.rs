//! SIGKILL keeps what the page cache has: that an answer waits for the disk is shown by holding the disk back.

use std::process::Command;
use std::time::Duration;

use reqwest::StatusCode;
use serde_json::json;

use crate::server::Server;

/// Linux only: another system would need another way to stand before libc.
#[cfg(target_os = "linux")]
#[tokio::test(flavor = "multi_thread")]
async fn no_answer_leaves_before_the_sync_that_covers_it() {
    let folder = tempfile::tempdir().unwrap();
    let (shim, gate) = (folder.path().join("gate.so"), folder.path().join("closed"));
    let source = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/it/gate.c");
    let built =
        Command::new("cc").args(["-shared", "-fPIC", "-o"]).arg(&shim).args([source, "-ldl"]).status();
    assert!(built.unwrap().success(), "the shim is compiled");
    let environment = [("LD_PRELOAD", shim.as_os_str()), ("ONHAND_TEST_GATE", gate.as_os_str())];
    let server = Server::start_in(&folder.path().join("durable.db"), &[], &environment);
    server.stocked("MUG", 5).await;

    std::fs::write(&gate, "").unwrap();
    let (http, base, key) = (server.http.clone(), server.base.clone(), server.key.clone());
    let mut order = tokio::spawn(async move {
        let body = json!({ "lines": [{ "sku": "MUG", "quantity": 2 }] });
        http.post(format!("{base}/v1/orders")).bearer_auth(key).json(&body).send().await.unwrap().status()
    });
    let early = tokio::time::timeout(Duration::from_millis(700), &mut order).await;
    assert!(early.is_err(), "answered while the disk had not: {early:?}");
    std::fs::remove_file(&gate).unwrap();
    let status =
        tokio::time::timeout(Duration::from_secs(10), order).await.expect("the gate is open").unwrap();
    assert_eq!(status, StatusCode::CREATED);
    assert_eq!(server.stock("MUG").await, (3, 2));
}
