//! A real `onhand serve` on a database of its own.

use std::ffi::OsStr;
use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::time::Duration;

use reqwest::{Client, Method, StatusCode};
use serde_json::{Value, json};

pub const ONHAND: &str = env!("CARGO_BIN_EXE_onhand");

/// A server, killed when dropped.
pub struct Server {
    child: Child,
    pub base: String,
    pub key: String,
    pub http: Client,
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Server {
    /// Starts on a free port.
    pub fn start(database: &Path) -> Self {
        Self::start_with(database, &[])
    }

    /// Starts on a free port, with more arguments.
    pub fn start_with(database: &Path, more: &[&str]) -> Self {
        Self::start_in(database, more, &[])
    }

    /// Starts on a free port, with more arguments and in an environment.
    pub fn start_in(database: &Path, more: &[&str], environment: &[(&str, &OsStr)]) -> Self {
        Self::start_program(ONHAND, database, more, environment)
    }

    /// As [`Server::start_in`], of any build of the program.
    pub fn start_program(
        program: &str,
        database: &Path,
        more: &[&str],
        environment: &[(&str, &OsStr)],
    ) -> Self {
        let mut command = Command::new(program);
        command.arg("serve").args(more).env("ONHAND_LOG", "error").envs(environment.iter().copied());
        Self::spawn(command, database)
    }

    /// Starts on a free port, and logs into a file.
    pub fn logging(database: &Path, log: &Path, filter: &str) -> Self {
        let mut command = Command::new(ONHAND);
        command.arg("serve").env("ONHAND_LOG", filter).stderr(std::fs::File::create(log).unwrap());
        Self::spawn(command, database)
    }

    /// Starts what the command says on a free port.
    pub fn spawn(mut command: Command, database: &Path) -> Self {
        let mut child = command
            .args(["--listen", "127.0.0.1:0", "--json", "--db"])
            .arg(database)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let started: Value = serde_json::from_str(&line).expect("the server says where it is");
        let base = started["address"].as_str().unwrap().to_owned();
        let key = std::fs::read_to_string(started["key_file"].as_str().unwrap()).unwrap();
        Self { child, base, key, http: Client::builder().no_proxy().build().unwrap() }
    }

    /// Its process.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// SIGKILL: nothing is said goodbye to.
    pub fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Sends a signal by name, as a service manager does.
    pub fn signal(&self, name: &str) {
        let sent = Command::new("kill").args(["-s", name, &self.child.id().to_string()]).status().unwrap();
        assert!(sent.success());
    }

    /// The exit code, once it has ended by itself; none where that takes longer.
    pub async fn ended_within(&mut self, seconds: u64) -> Option<i32> {
        for _ in 0..seconds * 20 {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status.code();
            }
            tokio::time::sleep(std::time::Duration::from_millis(50)).await;
        }
        None
    }

    pub async fn call(
        &self,
        method: Method,
        path: &str,
        key: Option<&str>,
        body: &Value,
    ) -> (StatusCode, Value) {
        let mut request =
            self.http.request(method, format!("{}{path}", self.base)).bearer_auth(&self.key).json(body);
        if let Some(key) = key {
            request = request.header("idempotency-key", key);
        }
        let response = request.send().await.unwrap();
        let status = response.status();
        (status, response.json().await.unwrap_or(Value::Null))
    }

    pub async fn post(&self, path: &str, body: Value) -> (StatusCode, Value) {
        self.call(Method::POST, path, None, &body).await
    }

    /// What is in the inbox, but for listings that are none of our items: the shops of tests have some.
    pub async fn inbox(&self) -> (StatusCode, Value) {
        let (status, mut found) = self.get("/v1/discrepancies").await;
        if let Some(all) = found["data"].as_array_mut() {
            all.retain(|one| one["cause"] != "unmapped_listing");
        }
        (status, found)
    }

    pub async fn get(&self, path: &str) -> (StatusCode, Value) {
        self.call(Method::GET, path, None, &Value::Null).await
    }

    /// London, with so much of an item.
    pub async fn stocked(&self, sku: &str, quantity: i64) {
        assert_eq!(self.post("/v1/items", json!({ "sku": sku })).await.0, StatusCode::OK);
        assert_eq!(self.post("/v1/locations", json!({ "code": "LONDON" })).await.0, StatusCode::OK);
        if quantity > 0 {
            let lines = json!([{ "sku": sku, "quantity": quantity }]);
            let (status, body) =
                self.post("/v1/movements/receive", json!({ "location": "LONDON", "lines": lines })).await;
            assert_eq!(status, StatusCode::OK, "{body}");
        }
    }

    /// What the inbox says, cause by cause.
    pub async fn troubles(&self) -> Vec<String> {
        let found = self.inbox().await.1;
        let rows = found["data"].as_array().unwrap().iter();
        rows.map(|one| format!("{}: {}", one["cause"], one["sentence"])).collect()
    }

    /// What the inbox says of a cause, once it does.
    pub async fn told(&self, cause: &str) -> String {
        let mut told = String::new();
        let is_told = comes_true(async || {
            let found = self.troubles().await;
            told = found.into_iter().find(|one| one.contains(cause)).unwrap_or_default();
            !told.is_empty()
        })
        .await;
        assert!(is_told, "nobody was told of {cause}: {:?}", self.troubles().await);
        told
    }

    /// On hand in total: neither promises nor their end change it.
    pub async fn on_hand(&self, sku: &str) -> i64 {
        let (_, body) = self.get(&format!("/v1/items/{sku}/stock")).await;
        body["total"]["on_hand"].as_i64().unwrap()
    }

    /// Available and committed in total.
    pub async fn stock(&self, sku: &str) -> (i64, i64) {
        let (_, body) = self.get(&format!("/v1/items/{sku}/stock")).await;
        (body["total"]["available"].as_i64().unwrap(), body["total"]["committed"].as_i64().unwrap())
    }
}

/// Runs the command to its end.
/// Does it become true within a minute?
pub async fn comes_true(mut holds: impl AsyncFnMut() -> bool) -> bool {
    for _ in 0..1_200 {
        if holds().await {
            return true;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    false
}

/// What a stand-in listens with, and its address.
pub async fn listening() -> (tokio::net::TcpListener, String) {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    (listener, url)
}

#[expect(clippy::disallowed_methods, reason = "a stand-in's own clock is the machine's")]
pub fn micros() -> i64 {
    jiff::Timestamp::now().as_microsecond()
}

pub fn onhand(database: &Path, arguments: &[&str]) -> Output {
    Command::new(ONHAND)
        .args(arguments)
        .arg("--db")
        .arg(database)
        .env("ONHAND_LOG", "error")
        .output()
        .unwrap()
}

pub fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}
