//! The disk is full, or broken, at any one operation, and from then on: a clear 503, nothing half done, no wrong answer
//! under a key afterwards, and work goes on once it ends. Linux only, as what stands before libc is.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use onhand_proof::fault::{EIO, ENOSPC, Fault, Faults, Operation};
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use crate::server::{ONHAND, Server, onhand, text};

/// A real server whose disk fails when it is told to.
struct Failing {
    faults: Faults,
    database: PathBuf,
    server: Option<Server>,
    round: i64,
    folder: tempfile::TempDir,
}

/// What a round asks for: keyed, each by itself, the same stock available afterwards as before.
fn script(round: i64) -> Vec<(&'static str, Value)> {
    let line = |sku: &str, quantity: i64| json!([{ "sku": sku, "quantity": quantity }]);
    let order = json!({ "lines": [{ "line": "1", "sku": "MUG", "quantity": 1 }] });
    vec![
        ("/v1/movements/receive", json!({ "location": "LONDON", "lines": line("MUG", 5) })),
        ("/v1/orders", json!({ "lines": line("MUG", 2) })),
        ("/v1/holds", json!({ "lines": line("MUG", 1), "seconds": 86_000 })),
        (
            "/v1/movements/adjust",
            json!({ "location": "LONDON", "lines": line("MUG", -1), "reason": "shrinkage" }),
        ),
        ("/v1/counts", json!({ "location": "LONDON", "lines": line("CUP", round) })),
        (
            "/v1/documents",
            json!({ "system": "WEB", "document": format!("W{round}"), "version": 1, "order": order }),
        ),
    ]
}

impl Failing {
    async fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let database = folder.path().join("fault.db");
        let faults = Faults::new(folder.path(), &database).unwrap();
        let mut failing = Self { faults, database, server: None, round: 0, folder };
        failing.start();
        let server = failing.server();
        server.stocked("MUG", 100).await;
        server.post("/v1/items", json!({ "sku": "CUP" })).await;
        server.post("/v1/systems", json!({ "name": "WEB", "kind": "test" })).await;
        failing
    }

    fn start(&mut self) {
        let environment = self.faults.environment();
        let mut environment: Vec<(&str, &OsStr)> =
            environment.iter().map(|(name, value)| (*name, value.as_os_str())).collect();
        // It has much to say.
        environment.push(("ONHAND_LOG", OsStr::new("off")));
        self.server = Some(Server::start_in(&self.database, &[], &environment));
    }

    fn server(&self) -> &Server {
        self.server.as_ref().unwrap()
    }

    /// One round with a fault in it. Says whether anything failed.
    async fn round(&mut self, fault: Fault) -> bool {
        self.round += 1;
        let round = self.round;
        self.faults.begin(fault).unwrap();
        let mut told = BTreeMap::new();
        let mut unavailable = 0;
        for (number, (path, body)) in script(round).into_iter().enumerate() {
            let (status, answer) = self.ask(round, number, path, &body).await;
            if status == StatusCode::SERVICE_UNAVAILABLE {
                is_clear(&answer, fault);
                unavailable += 1;
            } else {
                assert!(status.is_success(), "{fault:?}: {path}: {status} {answer}");
                told.insert(number, (status, answer));
            }
        }
        for path in
            ["/v1/items/MUG/history?limit=100", "/v1/items/MUG/stock", "/v1/changes?limit=50", "/v1/orders"]
        {
            let (status, answer) = self.server().get(path).await;
            if status == StatusCode::SERVICE_UNAVAILABLE {
                is_clear(&answer, fault);
            } else {
                assert_eq!(status, StatusCode::OK, "{fault:?}: {path}: {answer}");
            }
        }
        let writes = matches!(fault.operation, Operation::Write | Operation::Sync);
        if unavailable > 0 && writes && fault.for_good {
            let (ready, why) = self.ready().await;
            assert_eq!(ready, 503, "{fault:?}: nothing can be written, and it says it is ready: {why}");
            assert!(why.contains("[-]writing"), "{why}");
        }
        let failed = self.faults.failed().unwrap() > 0;
        assert!(failed || unavailable == 0, "{fault:?}: nothing failed, and it said so");
        self.faults.end().unwrap();
        let (ready, why) = self.ready().await;
        assert_eq!(ready, 200, "{fault:?}: the fault ended: {why}");
        self.settle(round, &told).await;
        failed
    }

    /// All of a round again, once the fault has ended: what was answered is answered so again, what was not is done now.
    async fn settle(&self, round: i64, told: &BTreeMap<usize, (StatusCode, Value)>) {
        for (number, (path, body)) in script(round).into_iter().enumerate() {
            let again = self.ask(round, number, path, &body).await;
            assert!(again.0.is_success(), "after the fault: {path}: {} {}", again.0, again.1);
            match told.get(&number) {
                // A document is its own key: it is applied already.
                Some(_) if path == "/v1/documents" => {}
                Some(before) => assert_eq!(&again, before, "law 4: the same answer to {path}"),
                None => {}
            }
        }
        // Four more each round; and what is promised: two, one and one.
        assert_eq!(self.server().on_hand("MUG").await, 100 + 4 * round);
        let (available, committed) = self.server().stock("MUG").await;
        assert_eq!((available, committed), (100, 3 * round));
        assert_eq!(self.server().on_hand("CUP").await, round);
    }

    async fn ask(&self, round: i64, number: usize, path: &str, body: &Value) -> (StatusCode, Value) {
        self.server().call(Method::POST, path, Some(&format!("{round}-{number}")), body).await
    }

    async fn ready(&self) -> (u16, String) {
        let url = format!("{}/readyz?verbose", self.server().base);
        let response = self.server().http.get(url).send().await.unwrap();
        (response.status().as_u16(), response.text().await.unwrap())
    }

    /// Ends without a goodbye while the fault lasts, verifies, and starts again.
    async fn crash(&mut self, fault: Fault) {
        self.round += 1;
        let round = self.round;
        self.faults.begin(fault).unwrap();
        let mut told = BTreeMap::new();
        for (number, (path, body)) in script(round).into_iter().enumerate() {
            let (status, answer) = self.ask(round, number, path, &body).await;
            if status.is_success() {
                told.insert(number, (status, answer));
            }
        }
        self.server.take().unwrap().kill();
        self.faults.end().unwrap();
        self.verified();
        self.start();
        self.settle(round, &told).await;
    }

    fn verified(&self) {
        let verified = onhand(&self.database, &["verify", "--json"]);
        assert!(verified.status.success(), "{}{}", text(&verified.stdout), text(&verified.stderr));
    }
}

fn is_clear(problem: &Value, fault: Fault) {
    let detail = problem["detail"].as_str().unwrap_or_default();
    let says = "the database cannot be read or written, and nothing was changed. Why is in the server's log";
    assert!(
        problem["type"] == "/docs/errors#store" && detail.starts_with(says) && !detail.contains("disk"),
        "{fault:?}: {problem}"
    );
}

/// The numbers of operations to let fail: all of the first ones, then fewer and fewer; with `ONHAND_FAULTS=all` all.
fn nths(operation: Operation) -> Vec<i64> {
    let all = std::env::var_os("ONHAND_FAULTS").is_some();
    let upto = if all { 400 } else { 40 };
    let step = |nth: i64| if all || nth < 4 { 1 } else { nth / 3 };
    // Opening and cutting happen seldom.
    let upto = if matches!(operation, Operation::Open | Operation::Truncate) { upto / 10 } else { upto };
    std::iter::successors(Some(0), |nth| Some(nth + step(*nth))).take_while(|nth| *nth < upto).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn faults_of_the_disk_are_answered_with_503_and_leave_nothing_half_done() {
    let mut failing = Failing::new().await;
    for operation in Operation::ALL {
        let mut failures = 0;
        for errno in [ENOSPC, EIO] {
            for for_good in [false, true] {
                for after in nths(operation) {
                    let fault = Fault { operation, after, for_good, errno };
                    if !failing.round(fault).await {
                        // There are no more of them in a round.
                        break;
                    }
                    failures += 1;
                }
            }
        }
        println!("{operation:?}: {failures} rounds failed");
        if matches!(operation, Operation::Write | Operation::Sync | Operation::Read) {
            assert!(failures > 3, "{operation:?}: {failures} rounds failed");
        }
        for (after, errno) in [(0, EIO), (3, ENOSPC)] {
            failing.crash(Fault { operation, after, for_good: true, errno }).await;
        }
    }
    drop(failing.server.take());
    failing.verified();
    // What the test's own files are in is kept until here.
    drop(failing.folder);
}

#[tokio::test(flavor = "multi_thread")]
async fn faults_at_the_start_are_said_and_harm_nothing() {
    let mut failing = Failing::new().await;
    failing.server.take().unwrap().kill();
    let mut refused = 0;
    for operation in [Operation::Open, Operation::Read, Operation::Write, Operation::Sync] {
        for after in [0, 1, 2, 5] {
            failing.faults.begin(Fault { operation, after, for_good: true, errno: EIO }).unwrap();
            refused += u32::from(starts_or_says_why(&failing.faults, &failing.database));
            failing.faults.end().unwrap();
        }
    }
    assert!(refused > 6, "{refused} starts were refused");
    failing.verified();
    failing.start();
    failing.settle(1, &BTreeMap::new()).await;
}

/// True where it did not start.
fn starts_or_says_why(faults: &Faults, database: &Path) -> bool {
    let mut child = Command::new(ONHAND)
        .args(["serve", "--listen", "127.0.0.1:0", "--json", "--db"])
        .arg(database)
        .envs(faults.environment())
        .env("ONHAND_LOG", "error")
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut line = String::new();
    std::io::BufRead::read_line(&mut std::io::BufReader::new(child.stdout.take().unwrap()), &mut line)
        .unwrap();
    if !line.is_empty() && serde_json::from_str::<Value>(&line).is_ok_and(|said| said["address"].is_string())
    {
        child.kill().unwrap();
        child.wait().unwrap();
        return false;
    }
    let output = child.wait_with_output().unwrap();
    let said = line + &text(&output.stderr);
    assert!(!output.status.success() && said.contains("the database "), "{said}");
    assert!(!said.contains("is not an Onhand database"), "{said}");
    true
}

#[tokio::test(flavor = "multi_thread")]
async fn faults_of_the_log_alone_keep_it_from_being_ready_and_are_told_in_the_log_of_the_server() {
    let folder = tempfile::tempdir().unwrap();
    let (path, said) = (folder.path().join("fault.db"), folder.path().join("said"));
    let server = Server::logging(&path, &said, "info");
    // What the database says is in the log, under the id that whoever asked was told.
    let is_in_the_log = |id: &str| {
        let said = std::fs::read_to_string(&said).unwrap();
        said.lines().any(|line| line.contains(id) && line.contains("the log is full"))
    };
    server.stocked("MUG", 5).await;
    let beside = rusqlite::Connection::open(&path).unwrap();
    let refuse = "CREATE TRIGGER full BEFORE INSERT ON log BEGIN SELECT RAISE(ABORT, 'the log is full'); END";
    beside.execute_batch(refuse).unwrap();
    let order = json!({ "lines": [{ "sku": "MUG", "quantity": 1 }] });
    let (status, problem) = server.call(Method::POST, "/v1/orders", Some("one"), &order).await;
    assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE, "{problem}");
    assert!(!problem.to_string().contains("the log is full"), "{problem}");
    assert!(is_in_the_log(problem["request_id"].as_str().unwrap()), "{problem}");
    let ready = || async {
        let response = server.http.get(format!("{}/readyz?verbose", server.base)).send().await.unwrap();
        (response.status().as_u16(), response.text().await.unwrap())
    };
    for _ in 0..2 {
        let (status, why) = ready().await;
        assert!(status == 503 && !why.contains("the log is full"), "{status} {why}");
        let id = why.split("under the id ").nth(1).and_then(|rest| rest.lines().next()).unwrap();
        assert!(is_in_the_log(id), "{why}");
    }
    beside.execute_batch("DROP TRIGGER full").unwrap();
    let (status, why) = ready().await;
    assert!(status == 200 && why.contains("works again"), "{status} {why}");
    assert_eq!(server.call(Method::POST, "/v1/orders", Some("one"), &order).await.0, StatusCode::CREATED);
    assert_eq!(server.stock("MUG").await, (4, 1));
}
