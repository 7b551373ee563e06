//! Alerts: told once to whom they should be, by mail, webhook and chat, and again when it is over; after a restart too.

use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use reqwest::StatusCode;
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{TcpListener, TcpStream};

use crate::server::{ONHAND, Server, comes_true, onhand, text};

type Heard = Arc<Mutex<Vec<String>>>;

/// Serves each connection of a free port; says which.
async fn listen<F>(serve: impl Fn(TcpStream, Heard) -> F + Send + 'static) -> (u16, Heard)
where
    F: Future<Output = std::io::Result<()>> + Send + 'static,
{
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (port, heard) = (listener.local_addr().unwrap().port(), Heard::default());
    let kept = heard.clone();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(serve(stream, kept.clone()));
        }
    });
    (port, heard)
}

/// A server that takes mail (RFC 5321): each mail it took, with its envelope.
async fn smtp(stream: TcpStream, heard: Heard) -> std::io::Result<()> {
    let mut stream = BufReader::new(stream);
    stream.write_all(b"220 test\r\n").await?;
    let (mut mail, mut is_data) = (String::new(), false);
    loop {
        let mut line = String::new();
        if stream.read_line(&mut line).await? == 0 {
            return Ok(());
        }
        let answer = match line.trim_end() {
            "." if is_data => {
                is_data = false;
                heard.lock().push(std::mem::take(&mut mail));
                "250 taken"
            }
            _ if is_data => {
                mail.push_str(&line);
                continue;
            }
            "DATA" => {
                is_data = true;
                "354 go on"
            }
            "QUIT" => {
                stream.write_all(b"221 bye\r\n").await?;
                return Ok(());
            }
            other => {
                if other.starts_with("MAIL") || other.starts_with("RCPT") {
                    mail.push_str(&line);
                }
                "250 yes"
            }
        };
        stream.write_all(format!("{answer}\r\n").as_bytes()).await?;
    }
}

/// A server that takes a request: its head and its body.
async fn http(stream: TcpStream, heard: Heard) -> std::io::Result<()> {
    let mut stream = BufReader::new(stream);
    let (mut head, mut length) = (String::new(), 0);
    loop {
        let mut line = String::new();
        stream.read_line(&mut line).await?;
        if let Some(told) = line.to_ascii_lowercase().strip_prefix("content-length:") {
            length = told.trim().parse().unwrap_or(0);
        }
        if line.trim().is_empty() {
            break;
        }
        head.push_str(&line);
    }
    let mut body = vec![0; length];
    stream.read_exact(&mut body).await?;
    heard.lock().push(head + "\n" + &String::from_utf8_lossy(&body));
    stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\nconnection: close\r\n\r\n").await
}

async fn until(what: &str, heard: &Heard, count: usize) -> Vec<String> {
    for _ in 0..600 {
        if heard.lock().len() >= count {
            return heard.lock().clone();
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("{what}: {:?}", heard.lock());
}

async fn low(server: &Server, quantity: i64) {
    let lines = json!([{ "sku": "MUG", "quantity": quantity }]);
    let body = json!({ "location": "LONDON", "lines": lines });
    assert_eq!(server.post("/v1/counts", body).await.0, StatusCode::OK);
}

const OFTEN: &[&str] = &["--alert-seconds", "1", "--alert-private"];

#[tokio::test(flavor = "multi_thread")]
async fn a_trouble_is_told_once_to_each_and_again_when_it_is_over() {
    let folder = tempfile::tempdir().unwrap();
    let database = folder.path().join("alerts.db");
    let (mail_port, mails) = listen(smtp).await;
    let (hook_port, hooks) = listen(http).await;
    let (chat_port, chats) = listen(http).await;
    let server = Server::start_with(&database, OFTEN);
    server.stocked("MUG", 5).await;
    let hook = format!("http://127.0.0.1:{hook_port}/stock");
    let chat = format!("http://127.0.0.1:{chat_port}/T1/secret-path");
    for target in [
        json!({ "name": "desk", "calm_seconds": 0, "email": { "host": "127.0.0.1", "port": mail_port,
            "security": "none", "from": "Onhand <stock@example.com>", "to": ["ops@example.com"] } }),
        json!({ "name": "hook", "calm_seconds": 0, "kinds": ["low_stock"],
            "webhook": { "url": hook, "secret": "s3cret" } }),
        json!({ "name": "chat", "calm_seconds": 0, "kinds": ["low_stock"], "slack": { "url": chat } }),
        json!({ "name": "other", "kinds": ["lag"], "slack": { "url": chat } }),
    ] {
        let (status, answer) = server.post("/v1/alerts", target).await;
        assert_eq!(status, StatusCode::OK, "{answer}");
        assert!(
            !answer.to_string().contains("s3cret") && !answer.to_string().contains("secret-path"),
            "{answer}"
        );
    }
    assert_eq!(server.post("/v1/alerts/desk/test", json!({})).await.0, StatusCode::OK);
    assert!(until("a test arrives", &mails, 1).await[0].contains("Subject: Onhand: a test"));
    let level = json!({ "level": 8 });
    assert_eq!(server.post("/v1/items/MUG/low-stock", level).await.0, StatusCode::OK);
    let mail = until("it is low, by mail", &mails, 2).await[1].clone();
    assert!(
        mail.contains("RCPT TO:<ops@example.com>") && mail.contains("MUG is low at LONDON: 5 available"),
        "{mail}"
    );
    let told = until("it is low, by webhook", &hooks, 1).await[0].clone();
    assert!(told.to_ascii_lowercase().contains("authorization: bearer s3cret"), "{told}");
    let body: Value = serde_json::from_str(told.split_once("\n\n").unwrap().1).unwrap();
    assert_eq!(
        (&body["lines"][0]["key"], &body["lines"][0]["over"]),
        (&json!("low_stock:MUG@LONDON"), &json!(false))
    );
    let chatted = until("it is low, in the chat", &chats, 1).await[0].clone();
    assert!(chatted.contains("\"text\"") && chatted.contains("MUG is low"), "{chatted}");
    // What was told is known to be, before the server is killed: killed before that, it would tell it again.
    for target in ["desk", "hook", "chat"] {
        let is_told = async || {
            let told = server.get(&format!("/v1/alerts/{target}/troubles")).await.1["data"].clone();
            told.as_array()
                .is_some_and(|all| !all.is_empty() && all.iter().all(|told| told["told_at"].is_string()))
        };
        assert!(comes_true(is_told).await, "{target} was never told, as far as it is known");
    }
    // It is told once, also by a server that was started again.
    server.kill();
    let server = Server::start_with(&database, OFTEN);
    low(&server, 9).await;
    let over = until("it is over, by mail", &mails, 3).await;
    assert!(over[2].contains("Subject: Onhand: over: MUG is low") && over.len() == 3, "{over:?}");
    let over = until("it is over, by webhook", &hooks, 2).await;
    assert!(over[1].contains("\"over\":true") && over.len() == 2, "{over:?}");
    assert_eq!(until("it is over, in the chat", &chats, 2).await.len(), 2);
    assert_eq!(server.get("/v1/alerts/desk/troubles").await.1["data"], json!([]));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_could_not_be_told_is_told_later() {
    let folder = tempfile::tempdir().unwrap();
    let database = folder.path().join("later.db");
    let server = Server::start_with(&database, OFTEN);
    server.stocked("MUG", 5).await;
    // Nobody is there yet.
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    drop(listener);
    let url = format!("http://127.0.0.1:{port}/stock");
    let target = json!({ "name": "hook", "webhook": { "url": url } });
    assert_eq!(server.post("/v1/alerts", target).await.0, StatusCode::OK);
    assert_eq!(server.post("/v1/alerts/hook/test", json!({})).await.0, StatusCode::BAD_GATEWAY);
    assert_eq!(server.post("/v1/items/MUG/low-stock", json!({ "level": 8 })).await.0, StatusCode::OK);
    let failing = loop {
        let told = server.get("/v1/alerts").await.1["data"][0].clone();
        if !told["retry_at"].is_null() {
            break told;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    };
    assert!(failing["trouble"].as_str().unwrap().contains("refused"), "{failing}");
    assert!(failing["trouble_since"].is_string() && failing["told_at"].is_null(), "{failing}");
    let listed = onhand(&database, &["alert", "list"]);
    assert!(text(&listed.stdout).contains("does not arrive since"), "{}", text(&listed.stdout));
    let heard = Heard::default();
    let (listener, kept) = (TcpListener::bind(("127.0.0.1", port)).await.unwrap(), heard.clone());
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(http(stream, kept.clone()));
        }
    });
    let told = until("it is told once somebody listens", &heard, 1).await;
    assert!(told[0].contains("MUG is low"), "{told:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn orders_that_are_short_or_late_are_told_by_a_target_of_the_command_and_no_secret_is_anywhere() {
    let folder = tempfile::tempdir().unwrap();
    let (database, log) = (folder.path().join("orders.db"), folder.path().join("log"));
    let (port, hooks) = listen(http).await;
    let server = {
        let mut command = std::process::Command::new(ONHAND);
        let log = std::fs::File::create(&log).unwrap();
        command.arg("serve").args(OFTEN).env("ONHAND_LOG", "trace").stderr(log);
        Server::spawn(command, &database)
    };
    server.stocked("MUG", 5).await;
    let added = std::process::Command::new(ONHAND)
        .args([
            "alert",
            "add",
            "hook",
            "--webhook",
            "--kind",
            "short_order",
            "--kind",
            "past_ship_by",
            "--calm",
            "0",
        ])
        .arg("--db")
        .arg(&database)
        .env("ONHAND_ALERT_URL", format!("http://127.0.0.1:{port}/pa-th-secret"))
        .env("ONHAND_ALERT_SECRET", "to-ken-secret")
        .output()
        .unwrap();
    assert!(added.status.success(), "{}", text(&added.stderr));
    assert!(text(&added.stdout).contains("onhand alert test hook"), "{}", text(&added.stdout));
    let tried = onhand(&database, &["alert", "test", "hook"]);
    assert!(tried.status.success(), "{}", text(&tried.stderr));
    assert!(until("a test arrives", &hooks, 1).await[0].contains("alerts arrive here"));
    let system = json!({ "name": "WEB", "kind": "documents" });
    assert!(server.post("/v1/systems", system).await.0.is_success());
    let lines = json!([{ "line": "1", "sku": "MUG", "quantity": 8 }]);
    let order = json!({ "system": "WEB", "document": "1044", "version": 1, "order": { "lines": lines, "ship_by": "2026-11-20T12:00:00Z" } });
    let (status, answer) = server.post("/v1/documents", order).await;
    assert_eq!(status, StatusCode::OK, "{answer}");
    let told = until("both are told", &hooks, 2).await[1].clone();
    assert!(told.contains("past_ship_by:WEB:1044") && told.contains("\"kind\":\"short_order\""), "{told}");
    let troubles = onhand(&database, &["alert", "troubles", "hook"]);
    assert_eq!(text(&troubles.stdout).lines().count(), 2, "{}", text(&troubles.stdout));
    assert!(onhand(&database, &["alert", "remove", "hook"]).status.success());
    assert_eq!(text(&onhand(&database, &["alert", "list"]).stdout), "None.\n");
    assert_eq!(onhand(&database, &["alert", "test", "hook"]).status.code(), Some(1));
    drop(server);
    for file in ["orders.db", "orders.db-wal", "log"] {
        let bytes = std::fs::read(folder.path().join(file)).unwrap_or_default();
        let bytes = String::from_utf8_lossy(&bytes);
        assert!(!bytes.contains("pa-th-secret") && !bytes.contains("to-ken-secret"), "{file}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn private_addresses_are_not_called_unless_that_is_allowed() {
    let folder = tempfile::tempdir().unwrap();
    let (port, heard) = listen(http).await;
    let database = folder.path().join("private.db");
    let server = Server::start_with(&database, &["--alert-seconds", "1"]);
    let target = json!({ "name": "hook", "webhook": { "url": format!("http://localhost:{port}/x") } });
    let (status, problem) = server.post("/v1/alerts", target.clone()).await;
    assert_eq!((status, &problem["field"]), (StatusCode::UNPROCESSABLE_ENTITY, &json!("url")), "{problem}");
    server.kill();
    // Kept while that was allowed, it is not called when it no longer is.
    let server = Server::start_with(&database, &["--alert-private"]);
    assert_eq!(server.post("/v1/alerts", target).await.0, StatusCode::OK);
    server.kill();
    let server = Server::start_with(&database, &[]);
    let (status, problem) = server.post("/v1/alerts/hook/test", json!({})).await;
    assert_eq!(status, StatusCode::BAD_GATEWAY, "{problem}");
    assert!(problem["detail"].as_str().unwrap().contains("--alert-private"), "{problem}");
    assert!(heard.lock().is_empty());
}
