//! Onhand as an operator runs it: settings, logs, TLS, a service manager, traces.

use std::ffi::OsStr;
use std::io::{BufRead as _, BufReader};
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Bytes;
use axum::routing::post;
use onhand_emulators::shop::{self, CornerShop};
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::trace::v1::Span;
use parking_lot::Mutex;
use prost::Message as _;
use reqwest::{Certificate, Client, StatusCode};
use serde_json::{Value, json};

use crate::server::{ONHAND, Server, onhand, text};

/// Asks again and again, up to half a minute.
async fn soon<T>(what: &str, mut ask: impl AsyncFnMut() -> Option<T>) -> T {
    for _ in 0..600 {
        if let Some(found) = ask().await {
            return found;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("{what}: not within 30 s");
}

fn check(folder: &Path, file: &str, environment: &[(&str, &str)]) -> Output {
    let path = folder.join("onhand.toml");
    std::fs::write(&path, file).unwrap();
    let mut command = Command::new(ONHAND);
    command.args(["serve", "--check", "--json", "--config"]).arg(&path).current_dir(folder);
    command.envs(environment.iter().copied()).output().unwrap()
}

#[test]
fn settings_are_checked_without_serving_and_say_where_they_come_from() {
    let folder = tempfile::tempdir().unwrap();
    let file = "listen = \"127.0.0.1:1\"\nrate = 7\ndatabase = \"postgres://u:secret@h/d\"\n";
    let environment = [("ONHAND_LISTEN", "127.0.0.1:2"), ("ONHAND_LISEN", "x"), ("ONHAND_KEY", "k")];
    let output = check(folder.path(), file, &environment);
    assert!(output.status.success(), "{}", text(&output.stderr));
    let told: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert!(told["unknown_variables"].as_array().unwrap().contains(&json!("ONHAND_LISEN")), "{told}");
    assert!(!told["unknown_variables"].as_array().unwrap().contains(&json!("ONHAND_KEY")), "{told}");
    let told = &told["settings"];
    assert_eq!(told["listen"], json!({ "value": "127.0.0.1:2", "source": "environment" }));
    assert_eq!(told["rate"], json!({ "value": "7", "source": "file" }));
    assert_eq!(told["reconcile_seconds"], json!({ "value": "30", "source": "default" }));
    assert!(!text(&output.stdout).contains("secret"), "{told}");
    let wrong = check(folder.path(), file, &[("ONHAND_RATE", "many")]);
    assert_eq!(wrong.status.code(), Some(2));
    assert!(text(&wrong.stderr).contains("'--rate <REQUESTS>'"), "{}", text(&wrong.stderr));
    let wrong = check(folder.path(), "lisen = \"127.0.0.1:1\"", &[]);
    assert_eq!(wrong.status.code(), Some(1));
    assert!(
        text(&wrong.stderr)
            .contains("onhand.toml, line 1: there is no setting `lisen`; there are `database`")
    );
    let said: Value = serde_json::from_slice(&wrong.stdout).unwrap();
    assert!(said["error"].as_str().unwrap().contains("`lisen`"), "an error is an object too");
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1, "no database was made");
}

#[test]
fn a_check_refuses_what_a_start_would() {
    let folder = tempfile::tempdir().unwrap();
    for (file, environment, says) in [
        ("database = \"\"", &[][..], "the database has no name"),
        ("database = \"mysql://u:s3cret@h/x\"", &[], "`mysql://…` is no database that Onhand knows"),
        ("database = \"postgres://u:s3cret@h:99999/x\"", &[], "the database's address cannot be used"),
        ("database = \"postgres://u:s3cret@h/x\"\nseal_key_file = \"/nope\"", &[], "/nope is not there"),
        ("database = \"x.db\"", &[("ONHAND_SEAL_KEY", "bad")], "key"),
    ] {
        let output = check(folder.path(), file, environment);
        let said = text(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{file}: {}{said}", text(&output.stdout));
        assert!(said.contains(says) && !said.contains("s3cret"), "{file}: {said}");
    }
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1, "no database was made");
}

/// Every setting is in the operator's book, by each of its names, with its usual value.
#[test]
fn the_book_has_every_setting() {
    let book = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/operate.md");
    let book = std::fs::read_to_string(book).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let output = check(folder.path(), "", &[]);
    let told: Value = serde_json::from_slice(&output.stdout).unwrap();
    let settings = told["settings"].as_object().unwrap();
    assert!(settings.len() > 10, "{told}");
    for (name, setting) in settings {
        let row = book.lines().find(|line| line.starts_with(&format!("| `{name}` |")));
        let row = row.unwrap_or_else(|| panic!("`{name}` is in docs/operate.md"));
        let usual = setting["value"].as_str().filter(|value| *value != "false");
        assert!(row.contains(&usual.map_or("| – |".to_owned(), |usual| format!("| `{usual}` |"))), "{row}");
    }
}

/// A certificate for this machine, and its key.
struct Pair {
    certificate: String,
    key: String,
}

impl Pair {
    fn new() -> Self {
        let names = vec!["127.0.0.1".to_owned(), "localhost".to_owned()];
        let made = rcgen::generate_simple_self_signed(names).unwrap();
        Self { certificate: made.cert.pem(), key: made.signing_key.serialize_pem() }
    }

    fn write(&self, folder: &Path) -> [PathBuf; 2] {
        let files = [folder.join("cert.pem"), folder.join("key.pem")];
        std::fs::write(&files[0], &self.certificate).unwrap();
        std::fs::write(&files[1], &self.key).unwrap();
        files
    }

    /// A client that trusts this one and no other. It keeps no connection: each request shows the certificate anew.
    fn trusting(&self) -> Client {
        let root = Certificate::from_pem(self.certificate.as_bytes()).unwrap();
        let client = Client::builder().no_proxy().tls_built_in_root_certs(false).pool_max_idle_per_host(0);
        client.add_root_certificate(root).build().unwrap()
    }
}

fn with_tls([certificate, key]: &[PathBuf; 2]) -> [&str; 4] {
    ["--tls-cert", certificate.to_str().unwrap(), "--tls-key", key.to_str().unwrap()]
}

#[tokio::test]
async fn it_speaks_tls_by_itself_and_takes_a_new_certificate_while_it_runs() {
    let folder = tempfile::tempdir().unwrap();
    let database = folder.path().join("tls.db");
    let (first, second) = (Pair::new(), Pair::new());
    let files = first.write(folder.path());
    let mut server = Server::start_with(&database, &with_tls(&files));
    assert!(server.base.starts_with("https://127.0.0.1:"), "{}", server.base);
    server.http = first.trusting();
    server.stocked("MUG", 3).await;
    assert_eq!(server.on_hand("MUG").await, 3);
    let live = format!("{}/livez", server.base);
    let plain = Client::builder().no_proxy().build().unwrap();
    assert!(plain.get(live.replace("https:", "http:")).send().await.is_err(), "plain HTTP is not answered");
    assert!(second.trusting().get(&live).send().await.is_err());
    // Who never finishes a handshake keeps nobody waiting.
    let silent = tokio::net::TcpStream::connect(server.base.trim_start_matches("https://")).await.unwrap();
    assert!(first.trusting().get(&live).send().await.unwrap().status().is_success());
    // The commands go through the server, whatever name its certificate is for.
    let made = onhand(&database, &["key", "create", "--json"]);
    assert!(made.status.success(), "{}", text(&made.stderr));
    // What is none leaves the one in use. A command trusts what is in the file, and no server that shows another.
    std::fs::write(&files[0], &second.certificate).unwrap();
    server.signal("HUP");
    let made = onhand(&database, &["key", "create", "--json"]);
    let said = text(&made.stderr);
    assert!(
        !made.status.success() && said.contains("shows another certificate than the one in its file"),
        "{said}"
    );
    assert!(first.trusting().get(&live).send().await.unwrap().status().is_success());
    second.write(folder.path());
    server.signal("HUP");
    let answers = async || second.trusting().get(&live).send().await.ok();
    assert_eq!(soon("the new certificate", answers).await.status(), StatusCode::OK);
    assert!(first.trusting().get(&live).send().await.is_err(), "the old one is gone");
    // Nobody need say so: it is seen.
    first.write(folder.path());
    let answers = async || first.trusting().get(&live).send().await.ok();
    soon("the first certificate again", answers).await;
    drop(silent);
    server.signal("TERM");
    assert_eq!(server.ended_within(9).await, Some(0));
}

#[test]
fn a_certificate_that_cannot_be_used_is_refused_with_what_would_be_right() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    Pair::new().write(folder.path());
    let other = Pair::new();
    std::fs::write(path("other.pem"), &other.key).unwrap();
    std::fs::write(path("text.pem"), "hello").unwrap();
    std::fs::write(path("broken.pem"), "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n")
        .unwrap();
    let database = folder.path().join("none.db");
    let refused = |arguments: &[&str], expected: &str| {
        let mut all = vec!["serve", "--listen", "127.0.0.1:0"];
        all.extend(arguments);
        let output = onhand(&database, &all);
        let says = text(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{says}");
        assert!(says.contains(expected), "{says}");
        assert!(!database.exists(), "no database is made");
    };
    let (cert, key) = (path("cert.pem"), path("key.pem"));
    refused(&["--tls-cert", &cert], "`tls_cert` is set, `tls_key` is not; set both or neither");
    refused(&["--tls-key", &key], "`tls_key` is set, `tls_cert` is not; set both or neither");
    refused(&["--tls-cert", &path("no.pem"), "--tls-key", &key], "no.pem cannot be read");
    refused(&["--tls-cert", &cert, "--tls-key", &path("no.pem")], "no.pem cannot be read");
    refused(
        &["--tls-cert", &path("text.pem"), "--tls-key", &key],
        "text.pem has no certificate in it: it must be PEM",
    );
    refused(&["--tls-cert", &key, "--tls-key", &cert], "key.pem has no certificate in it");
    refused(&["--tls-cert", &cert, "--tls-key", &cert], "cert.pem has no private key in it");
    refused(&["--tls-cert", &path("broken.pem"), "--tls-key", &key], "broken.pem and ");
    refused(
        &["--tls-cert", &cert, "--tls-key", &path("other.pem")],
        "other.pem is none of the certificate in ",
    );
}

#[tokio::test]
async fn a_service_manager_hears_that_it_is_ready_alive_and_ending() {
    let folder = tempfile::tempdir().unwrap();
    let socket = folder.path().join("notify");
    let manager = UnixDatagram::bind(&socket).unwrap();
    manager.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
    let hear = || {
        let mut word = [0; 256];
        let length = manager.recv(&mut word).unwrap();
        String::from_utf8_lossy(&word[..length]).trim().to_owned()
    };
    let environment = [("NOTIFY_SOCKET", socket.as_os_str()), ("WATCHDOG_USEC", OsStr::new("200000"))];
    let mut server = Server::start_in(&folder.path().join("x.db"), &[], &environment);
    let mut heard = Vec::new();
    while heard.iter().filter(|word| *word == "WATCHDOG=1").count() < 3
        || !heard.contains(&"READY=1".to_owned())
    {
        heard.push(hear());
        assert!(heard.len() < 100, "{heard:?}");
    }
    // A service manager that asks it to read again does not end it.
    server.signal("HUP");
    server.stocked("MUG", 1).await;
    server.signal("TERM");
    while hear() != "STOPPING=1" {}
    assert_eq!(server.ended_within(9).await, Some(0));
}

#[tokio::test]
async fn logs_are_objects_with_fields_and_have_no_secret_in_them() {
    let folder = tempfile::tempdir().unwrap();
    logs_are_as_they_must_be(folder.path(), folder.path().join("log.db").as_os_str()).await;
}

/// What a driver would say of a statement's parameters is cut off.
#[tokio::test]
async fn logs_have_no_secret_in_them_on_postgres_either() {
    let folder = tempfile::tempdir().unwrap();
    logs_are_as_they_must_be(folder.path(), OsStr::new(&onhand_testpg::database())).await;
}

async fn logs_are_as_they_must_be(folder: &Path, database: &OsStr) {
    let mut child = Command::new(ONHAND)
        .args([
            "serve",
            "--listen",
            "127.0.0.1:0",
            "--json",
            "--log-format",
            "json",
            "--log",
            "trace",
            "--db",
        ])
        .arg(database)
        // What nodes share is never made by one of them.
        .env("ONHAND_SEAL_KEY", format!("test:{}", "5e".repeat(32)))
        .current_dir(folder)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let errors = child.stderr.take().unwrap();
    let read = move || BufReader::new(errors).lines().map(Result::unwrap).collect::<Vec<_>>();
    let lines = std::thread::spawn(read);
    let mut line = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
    let started: Value = serde_json::from_str(&line).unwrap();
    let base = started["address"].as_str().unwrap();
    let key = std::fs::read_to_string(folder.join(started["key_file"].as_str().unwrap())).unwrap();
    let http = Client::builder().no_proxy().build().unwrap();
    let strange = "ohk_1_00000000000000000000000000000000deadbeef";
    for token in [key.as_str(), strange] {
        let asked = http.get(format!("{base}/v1/items?sku=query-of-mine")).bearer_auth(token);
        asked.send().await.unwrap();
    }
    let place = http.post(format!("{base}/v1/locations")).bearer_auth(&key);
    place.json(&json!({ "code": "LONDON" })).send().await.unwrap();
    let shop = CornerShop::new("pass-of-the-shop", Arc::new(|| 0));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(shop::serve(listener, shop, std::future::pending()));
    let system = json!({ "name": "S", "kind": "shop", "url": url, "secret": "pass-of-the-shop" });
    http.post(format!("{base}/v1/systems")).bearer_auth(&key).json(&system).send().await.unwrap();
    Command::new("kill").args(["-s", "TERM", &child.id().to_string()]).status().unwrap();
    assert!(child.wait().unwrap().success());
    let lines = lines.join().unwrap();
    let objects: Vec<Value> = lines.iter().map(|line| serde_json::from_str(line).expect(line)).collect();
    let access: Vec<_> = objects.iter().filter(|object| object["target"] == "onhand::access").collect();
    let statuses: Vec<_> = access.iter().map(|line| line["status"].as_u64().unwrap()).collect();
    assert_eq!(statuses, [400, 401, 200, 201]);
    let first = &access[0];
    assert_eq!((&first["level"], &first["message"]), (&json!("DEBUG"), &json!("answered")), "{first}");
    assert_eq!(
        (&first["span"]["method"], &first["span"]["path"]),
        (&json!("GET"), &json!("/v1/items")),
        "{first}"
    );
    assert!(
        first["span"]["id"].is_string() && first["took_us"].is_u64() && first["timestamp"].is_string(),
        "{first}"
    );
    for secret in [&key[6..], &strange[6..], "query-of-mine", "pass-of-the-shop"] {
        let told: Vec<_> = lines.iter().filter(|line| line.contains(secret)).collect();
        assert!(told.is_empty(), "{told:#?}");
    }
}

#[test]
fn a_filter_that_is_none_is_refused() {
    let output = onhand(Path::new("none.db"), &["verify", "--log", "onhand=loud"]);
    assert_eq!(output.status.code(), Some(2));
    assert!(text(&output.stderr).contains("right are `info`"), "{}", text(&output.stderr));
}

/// Keeps what it is sent.
async fn collector() -> (String, Arc<Mutex<Vec<Span>>>) {
    let spans = Arc::<Mutex<Vec<Span>>>::default();
    let kept = spans.clone();
    let take = async move |body: Bytes| {
        let sent = ExportTraceServiceRequest::decode(body).unwrap();
        let of_resource = sent.resource_spans.into_iter().flat_map(|one| {
            let resource = one.resource.unwrap_or_default().attributes;
            let names = resource.iter().find(|pair| pair.key == "service.name");
            assert!(format!("{names:?}").contains("\"onhand\""), "{resource:?}");
            one.scope_spans
        });
        kept.lock().extend(of_resource.flat_map(|scope| scope.spans));
    };
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(axum::serve(listener, Router::new().route("/v1/traces", post(take))).into_future());
    (address, spans)
}

fn value(span: &Span, key: &str) -> String {
    use opentelemetry_proto::tonic::common::v1::any_value::Value as Any;
    let found = span.attributes.iter().find(|pair| pair.key == key);
    match found.and_then(|pair| pair.value.as_ref()?.value.clone()) {
        Some(Any::StringValue(text)) => text,
        Some(Any::IntValue(number)) => number.to_string(),
        other => format!("{other:?}"),
    }
}

#[tokio::test]
async fn traces_of_requests_go_to_the_collector_that_is_named() {
    let (collector, spans) = collector().await;
    let folder = tempfile::tempdir().unwrap();
    let often = [("OTEL_BSP_SCHEDULE_DELAY", OsStr::new("100"))];
    let server = Server::start_in(&folder.path().join("t.db"), &["--otlp-endpoint", &collector], &often);
    server.stocked("MUG", 3).await;
    let trace = "0af7651916cd43dd8448eb211c80319c";
    let lines = json!([{ "sku": "MUG", "quantity": 1 }]);
    let order = server.http.post(format!("{}/v1/orders", server.base)).bearer_auth(&server.key);
    let order = order.header("traceparent", format!("00-{trace}-b7ad6b7169203331-01"));
    let answer = order.json(&json!({ "lines": lines })).send().await.unwrap();
    let seq = answer.headers()["onhand-seq"].to_str().unwrap().to_owned();
    let id = answer.headers()["request-id"].to_str().unwrap().to_owned();
    assert_eq!(answer.status(), StatusCode::CREATED);
    let hex = |bytes: &[u8]| bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    let of_trace = async || {
        let spans = spans.lock();
        let of: Vec<Span> = spans.iter().filter(|span| hex(&span.trace_id) == trace).cloned().collect();
        (of.len() >= 2).then_some(of)
    };
    let of_trace = soon("spans of the order", of_trace).await;
    let request = of_trace.iter().find(|span| span.name == "POST /v1/orders").expect("named for its route");
    assert_eq!(hex(&request.parent_span_id), "b7ad6b7169203331", "it belongs to the caller's span");
    assert_eq!(request.kind, 2, "a server's");
    let expected = [
        ("http.route", "/v1/orders"),
        ("http.request.method", "POST"),
        ("http.response.status_code", "201"),
        ("tenant", "1"),
        ("seq", &seq),
        ("request_id", &id),
    ];
    for (key, expected) in expected {
        assert_eq!(value(request, key), expected, "{key}: {:?}", request.attributes);
    }
    let commit =
        of_trace.iter().find(|span| span.name == "commit").expect("how long it waited to be durable");
    assert_eq!(commit.parent_span_id, request.span_id);
    let all = format!("{:?}", spans.lock());
    assert!(!all.contains(&server.key), "no key is in a trace");
}

#[tokio::test]
async fn a_collector_that_is_away_keeps_nobody_waiting() {
    let folder = tempfile::tempdir().unwrap();
    let mut server =
        Server::start_with(&folder.path().join("t.db"), &["--otlp-endpoint", "http://127.0.0.1:9"]);
    server.stocked("MUG", 3).await;
    server.signal("TERM");
    assert_eq!(server.ended_within(15).await, Some(0));
}
