//! Webhooks that are sent: signed, again until they are taken, told where they are not, and none lost whatever is killed.

use std::collections::BTreeSet;
use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::HeaderMap;
use onhand_channels::webhook::{Delivery, Rejected, WebhookScheme};
use onhand_ledger::Instant;
use parking_lot::Mutex;
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use crate::server::{ONHAND, Server, comes_true, micros, onhand, text};

/// What came.
#[derive(Clone, Debug)]
struct Got {
    headers: HeaderMap,
    body: String,
    answered: u16,
}

impl Got {
    fn header(&self, name: &str) -> &str {
        self.headers[name].to_str().unwrap()
    }

    fn id(&self) -> &str {
        self.header("webhook-id")
    }

    fn payload(&self) -> Value {
        serde_json::from_str(&self.body).unwrap()
    }

    fn data(&self) -> Value {
        self.payload()["data"].clone()
    }

    /// Is it of who has this secret?
    fn verified(&self, secret: &str) -> Result<(), Rejected> {
        let header = |name: &str| self.headers.get(name).and_then(|value| value.to_str().ok());
        let delivery = Delivery { header: &header, body: self.body.as_bytes() };
        WebhookScheme::StandardWebhooks.verify(secret, &delivery, Instant::from_micros(micros()))
    }
}

/// What is answered to a body.
type Answer = Box<dyn Fn(&str) -> u16 + Send>;

/// Somebody who receives webhooks on a port of this machine.
struct Receiver {
    url: String,
    got: Arc<Mutex<Vec<Got>>>,
    answer: Arc<Mutex<Answer>>,
}

type Shared = (Arc<Mutex<Vec<Got>>>, Arc<Mutex<Answer>>);

impl Receiver {
    async fn start(status: u16) -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/stock?token=hidden-path", listener.local_addr().unwrap());
        let got = Arc::default();
        let answer: Arc<Mutex<Answer>> = Arc::new(Mutex::new(Box::new(move |_| status)));
        let router = Router::new().fallback(receive).with_state((Arc::clone(&got), answer.clone()));
        tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        Self { url, got, answer }
    }

    fn answers(&self, status: u16) {
        self.answers_by(move |_| status);
    }

    fn answers_by(&self, answer: impl Fn(&str) -> u16 + Send + 'static) {
        *self.answer.lock() = Box::new(answer);
    }

    fn got(&self) -> Vec<Got> {
        self.got.lock().clone()
    }

    async fn until(&self, what: &str, holds: impl Fn(&[Got]) -> bool) -> Vec<Got> {
        for _ in 0..1_200 {
            let got = self.got();
            if holds(&got) {
                return got;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        panic!("{what}: {:#?}", self.got());
    }

    /// Waits for what is said of an item that was taken; the last of it, by `seq`.
    async fn until_told(&self, sku: &str, available: i64) -> Got {
        let is_it = |got: &Got| {
            let data = got.data();
            (200..300).contains(&got.answered) && data["sku"] == sku && data["available"] == available
        };
        let got = self.until(&format!("{available} of {sku}"), |got| got.iter().any(is_it)).await;
        got.into_iter().find(is_it).unwrap()
    }
}

async fn receive(
    State((got, answer)): State<Shared>,
    headers: HeaderMap,
    body: Bytes,
) -> (axum::http::StatusCode, [(&'static str, &'static str); 1], &'static str) {
    let body = String::from_utf8(body.to_vec()).unwrap();
    let answered = answer.lock()(&body);
    got.lock().push(Got { headers, body, answered });
    let status = axum::http::StatusCode::from_u16(answered).unwrap();
    (status, [("location", "http://127.0.0.1:1/elsewhere")], "as was said")
}

const PRIVATE: &[&str] = &["--webhook-private", "--webhook-retries", "1,1,1,1,1,1,1,1,1,1,1,1"];

async fn subscribed(server: &Server, url: &str, events: Value) -> String {
    let body = json!({ "name": "erp", "url": url, "events": events });
    let (status, answer) = server.post("/v1/subscriptions", body).await;
    assert_eq!(status, StatusCode::CREATED, "{answer}");
    answer["secret"].as_str().unwrap().to_owned()
}

async fn standing(server: &Server) -> Value {
    server.get("/v1/subscriptions").await.1["data"][0].clone()
}

async fn messages(server: &Server) -> Vec<Value> {
    let (status, answer) = server.get("/v1/subscriptions/erp/messages?limit=100").await;
    assert_eq!(status, StatusCode::OK, "{answer}");
    answer["data"].as_array().unwrap().clone()
}

/// London has so much of an item, by a count.
async fn stocked(server: &Server, sku: &str, quantity: i64) {
    server.stocked(sku, 0).await;
    let lines = json!([{ "sku": sku, "quantity": quantity }]);
    let (status, answer) = server.post("/v1/counts", json!({ "location": "LONDON", "lines": lines })).await;
    assert_eq!(status, StatusCode::OK, "{answer}");
}

async fn order(server: &Server, sku: &str, quantity: i64) {
    let lines = json!([{ "sku": sku, "quantity": quantity }]);
    let (status, answer) = server.post("/v1/orders", json!({ "lines": lines })).await;
    assert_eq!(status, StatusCode::CREATED, "{answer}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_changes_is_sent_signed_and_says_what_is_so_now() {
    let folder = tempfile::tempdir().unwrap();
    let receiver = Receiver::start(204).await;
    let server = Server::start_with(&folder.path().join("sent.db"), PRIVATE);
    let secret = subscribed(&server, &receiver.url, json!([])).await;
    assert!(secret.starts_with("whsec_"), "{secret}");
    stocked(&server, "MUG", 5).await;
    let got = receiver.until_told("MUG", 5).await;
    assert_eq!(got.verified(&secret), Ok(()));
    assert_eq!(got.header("content-type"), "application/json");
    assert!(got.id().starts_with("msg_") && !got.id().contains('.'), "{}", got.id());
    let (payload, data) = (got.payload(), got.data());
    assert_eq!(payload["type"], "stock.changed");
    assert!(Instant::parse(payload["timestamp"].as_str().unwrap()).is_ok(), "{payload}");
    assert_eq!((&data["version"], &data["location"]), (&json!(1), &json!("LONDON")));
    assert_eq!((&data["on_hand"], &data["committed"]), (&json!(5), &json!(0)));
    order(&server, "MUG", 2).await;
    let after = receiver.until_told("MUG", 3).await;
    assert_eq!((&after.data()["on_hand"], &after.data()["committed"]), (&json!(5), &json!(2)));
    assert!(after.data()["seq"].as_u64() > data["seq"].as_u64(), "whoever gets it late drops the older");
    let is_order = |got: &Got| got.payload()["type"] == "order.changed" && got.data()["wanted"] == 2;
    let told = receiver.until("the order", |got| got.iter().any(is_order)).await;
    let told = told.into_iter().find(is_order).unwrap().data();
    assert_eq!(
        (&told["allocated"], &told["open"], &told["cancelled"]),
        (&json!(2), &json!(2), &json!(false))
    );
    // A discrepancy comes up: somebody sold what is not there.
    let system = json!({ "name": "WEB", "kind": "documents" });
    assert!(server.post("/v1/systems", system).await.0.is_success());
    let lines = json!([{ "line": "1", "sku": "MUG", "quantity": 9 }]);
    let sold = json!({ "system": "WEB", "document": "1044", "version": 1, "order": { "lines": lines } });
    assert_eq!(server.post("/v1/documents", sold).await.0, StatusCode::OK);
    let is_short =
        |got: &Got| got.payload()["type"] == "discrepancy.opened" && got.data()["cause"] == "short";
    let opened = receiver.until("it is short", |got| got.iter().any(is_short)).await;
    let opened = opened.into_iter().find(is_short).unwrap().data();
    assert_eq!((&opened["system"], &opened["resolved_at"]), (&json!("WEB"), &Value::Null));
    stocked(&server, "MUG", 50).await;
    let is_over =
        |got: &Got| got.payload()["type"] == "discrepancy.resolved" && got.data()["id"] == opened["id"];
    let over = receiver.until("it is over", |got| got.iter().any(is_over)).await;
    assert!(over.into_iter().find(is_over).unwrap().data()["resolved_at"].is_string());
    // Each was sent once, and nothing secret is told of any.
    assert!(comes_true(async || standing(&server).await["waiting"] == 0).await);
    let got = receiver.got();
    let ids: BTreeSet<&str> = got.iter().map(Got::id).collect();
    assert_eq!(ids.len(), got.len());
    let (known, sent) = (standing(&server).await, messages(&server).await);
    assert_eq!(sent.len(), got.len());
    let said = json!([known, sent]).to_string();
    assert!(!said.contains("whsec_") && !said.contains("hidden-path"), "{said}");
    assert!(known["to"].as_str().unwrap().starts_with("127.0.0.1:"), "{known}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_taken_is_sent_again_under_the_same_id_and_sent_on_to_nobody() {
    let folder = tempfile::tempdir().unwrap();
    let receiver = Receiver::start(500).await;
    let server = Server::start_with(&folder.path().join("again.db"), PRIVATE);
    subscribed(&server, &receiver.url, json!(["stock.changed"])).await;
    stocked(&server, "MUG", 5).await;
    let first = receiver.until("an attempt", |got| !got.is_empty()).await[0].clone();
    receiver.answers(302);
    receiver.until("another", |got| got.iter().any(|got| got.answered == 302)).await;
    assert!(comes_true(async || !standing(&server).await["trouble"].is_null()).await);
    receiver.answers(204);
    let last = receiver.until_told("MUG", 5).await;
    assert_eq!((last.id(), &last.body), (first.id(), &first.body));
    assert!(
        last.header("webhook-timestamp") > first.header("webhook-timestamp"),
        "the time is the attempt's"
    );
    assert!(comes_true(async || standing(&server).await["taken"] == 1).await);
    let message = messages(&server).await[0].clone();
    let statuses: Vec<&Value> =
        message["attempts"].as_array().unwrap().iter().map(|attempt| &attempt["status"]).collect();
    assert_eq!((statuses[0], statuses[statuses.len() - 1]), (&json!(500), &json!(204)));
    assert!(statuses.contains(&&json!(302)), "{statuses:?}");
    assert_eq!((&message["fate"], &message["attempts"][0]["said"]), (&json!("taken"), &json!("as was said")));
    assert_eq!(standing(&server).await["trouble"], Value::Null);
    // By hand, whatever became of it.
    let id = message["id"].as_str().unwrap();
    let path = format!("/v1/subscriptions/erp/messages/{id}/resend");
    assert_eq!(server.post(&path, json!({})).await.0, StatusCode::OK);
    let taken = |got: &[Got]| got.iter().filter(|got| got.answered == 204 && got.id() == id).count() == 2;
    receiver.until("it is sent again", taken).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_is_gone_is_sent_no_more_and_that_is_told_until_a_person_says_so() {
    let folder = tempfile::tempdir().unwrap();
    let (receiver, chat) = (Receiver::start(410).await, Receiver::start(200).await);
    let more = [PRIVATE, &["--alert-private", "--alert-seconds", "1"]].concat();
    let database = folder.path().join("gone.db");
    let server = Server::start_with(&database, &more);
    subscribed(&server, &receiver.url, json!(["stock.changed"])).await;
    let target = json!({ "name": "chat", "kinds": ["unreached"], "slack": { "url": chat.url } });
    assert_eq!(server.post("/v1/alerts", target).await.0, StatusCode::OK);
    stocked(&server, "MUG", 5).await;
    assert!(comes_true(async || standing(&server).await["off_at"].is_string()).await);
    let told = chat.until("that it is off", |got| !got.is_empty()).await[0].body.clone();
    assert!(told.contains("No webhooks are sent to `erp` any more") && told.contains("410 Gone"), "{told}");
    let listed = text(&onhand(&database, &["webhook", "list"]).stdout);
    assert!(listed.contains("OFF since") && listed.contains("onhand webhook enable erp"), "{listed}");
    // Nothing is sent, and nothing lost.
    let attempts = receiver.got().len();
    stocked(&server, "CUP", 7).await;
    tokio::time::sleep(Duration::from_millis(1_500)).await;
    assert_eq!(receiver.got().len(), attempts);
    receiver.answers(204);
    assert!(onhand(&database, &["webhook", "enable", "erp"]).status.success());
    receiver.until_told("MUG", 5).await;
    receiver.until_told("CUP", 7).await;
    assert!(comes_true(async || standing(&server).await["off_at"].is_null()).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_tried_often_enough_is_given_up_aloud_and_sent_again_by_hand() {
    let folder = tempfile::tempdir().unwrap();
    let receiver = Receiver::start(204).await;
    let server = Server::start_with(
        &folder.path().join("given.db"),
        &["--webhook-private", "--webhook-retries", "1,1"],
    );
    subscribed(&server, &receiver.url, json!(["stock.changed"])).await;
    // One that the receiver never takes, while it takes others: it alone is given up.
    receiver.answers_by(|body| if body.contains("POISON") { 500 } else { 204 });
    stocked(&server, "POISON", 1).await;
    for quantity in 2..60 {
        stocked(&server, "MUG", quantity).await;
        if standing(&server).await["given_up"] == 1 {
            break;
        }
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    let known = standing(&server).await;
    assert_eq!((&known["given_up"], &known["off_at"]), (&json!(1), &Value::Null), "{known}");
    let poison = messages(&server).await.into_iter().find(|message| message["fate"] == "given_up").unwrap();
    assert_eq!(poison["attempts"].as_array().unwrap().len(), 3);
    receiver.answers(204);
    let body = json!({ "since": "2026-01-01T00:00:00Z" });
    assert_eq!(server.post("/v1/subscriptions/erp/replay", body).await.0, StatusCode::OK);
    let again = receiver.until_told("POISON", 1).await;
    assert_eq!(again.id(), poison["id"].as_str().unwrap());
    // Where nothing is taken at all, it ends, and says so.
    receiver.answers(503);
    stocked(&server, "CUP", 3).await;
    assert!(comes_true(async || standing(&server).await["off_at"].is_string()).await);
    let trouble = standing(&server).await["trouble"].as_str().unwrap().to_owned();
    assert!(trouble.contains("nothing was taken since") && trouble.contains("503"), "{trouble}");
    receiver.answers(204);
    assert_eq!(server.post("/v1/subscriptions/erp/enable", json!({})).await.0, StatusCode::OK);
    receiver.until_told("CUP", 3).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_is_killed_again_and_again_loses_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let database = folder.path().join("killed.db");
    let receiver = Receiver::start(503).await;
    let mut server = Server::start_with(&database, PRIVATE);
    let secret = subscribed(&server, &receiver.url, json!(["stock.changed"])).await;
    for round in 1..=6 {
        // At one time nobody takes anything, at another some are under way.
        receiver.answers(if round % 2 == 0 { 204 } else { 503 });
        for item in 0..8 {
            stocked(&server, &format!("ITEM-{round}-{item}"), round).await;
        }
        stocked(&server, "MUG", round).await;
        tokio::time::sleep(Duration::from_millis(30 * u64::try_from(round).unwrap())).await;
        server.kill();
        server = Server::start_with(&database, PRIVATE);
    }
    receiver.answers(204);
    for round in 1..=6 {
        for item in 0..8 {
            receiver.until_told(&format!("ITEM-{round}-{item}"), round).await;
        }
    }
    receiver.until_told("MUG", 6).await;
    // Of one thing the newest was the last new one, and what was sent twice is the same.
    let got = receiver.got();
    for id in got.iter().map(Got::id).collect::<BTreeSet<_>>() {
        let bodies: BTreeSet<&str> =
            got.iter().filter(|got| got.id() == id).map(|got| got.body.as_str()).collect();
        assert_eq!(bodies.len(), 1, "{id}");
    }
    assert!(got.last().is_some_and(|got| got.verified(&secret).is_ok()));
    assert!(comes_true(async || standing(&server).await["waiting"] == 0).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn private_addresses_are_judged_at_each_attempt() {
    let folder = tempfile::tempdir().unwrap();
    let database = folder.path().join("private.db");
    let receiver = Receiver::start(204).await;
    let server = Server::start(&database);
    let body = json!({ "name": "erp", "url": receiver.url });
    let (status, refused) = server.post("/v1/subscriptions", body.clone()).await;
    assert_eq!(status, StatusCode::UNPROCESSABLE_ENTITY);
    assert!(refused["detail"].as_str().unwrap().contains("--webhook-private"), "{refused}");
    server.kill();
    let server = Server::start_with(&database, PRIVATE);
    assert_eq!(server.post("/v1/subscriptions", body).await.0, StatusCode::CREATED);
    server.kill();
    // What was allowed once is not for ever.
    let server = Server::start_with(&database, &["--webhook-retries", "1,1,1,1,1,1,1,1,1,1"]);
    stocked(&server, "MUG", 5).await;
    let refused = async || {
        let trouble = standing(&server).await["trouble"].clone();
        trouble.as_str().is_some_and(|trouble| trouble.contains("private"))
    };
    assert!(comes_true(refused).await);
    assert!(receiver.got().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn two_secrets_sign_while_one_takes_the_place_of_the_other() {
    let folder = tempfile::tempdir().unwrap();
    let receiver = Receiver::start(204).await;
    let server = Server::start_with(&folder.path().join("rotated.db"), PRIVATE);
    let old = subscribed(&server, &receiver.url, json!(["stock.changed"])).await;
    let (status, made) = server.post("/v1/subscriptions/erp/rotate-secret", json!({})).await;
    assert_eq!(status, StatusCode::OK, "{made}");
    let new = made["secret"].as_str().unwrap();
    assert!(made["old_secret_until"].is_string() && new != old);
    stocked(&server, "MUG", 5).await;
    let got = receiver.until_told("MUG", 5).await;
    assert_eq!(got.header("webhook-signature").split(' ').count(), 2);
    assert_eq!((got.verified(&old), got.verified(new)), (Ok(()), Ok(())));
    assert_eq!(standing(&server).await["old_secret_until"], made["old_secret_until"]);
    // At once: who has lost it does not want it to go on.
    let now = json!({ "keep_seconds": 0 });
    let (_, made) = server.post("/v1/subscriptions/erp/rotate-secret", now).await;
    let newest = made["secret"].as_str().unwrap();
    stocked(&server, "MUG", 6).await;
    let got = receiver.until_told("MUG", 6).await;
    assert_eq!(got.verified(newest), Ok(()));
    assert_eq!((got.verified(&old), got.verified(new)), (Err(Rejected::Signature), Err(Rejected::Signature)));
    // Told again, it keeps its secret and gets another address.
    let other = Receiver::start(204).await;
    let body = json!({ "name": "erp", "url": other.url, "events": ["stock.changed"] });
    let (status, kept) = server.post("/v1/subscriptions", body).await;
    assert_eq!((status, kept.get("secret")), (StatusCode::OK, None));
    stocked(&server, "MUG", 7).await;
    assert_eq!(other.until_told("MUG", 7).await.verified(newest), Ok(()));
}

/// Reads lines until one has this; says it.
fn line_with(lines: &mut impl Iterator<Item = std::io::Result<String>>, part: &str) -> String {
    lines
        .map(Result::unwrap)
        .find(|line| line.contains(part))
        .unwrap_or_else(|| panic!("no line with {part}"))
}

fn listening(database: &Path) -> std::process::Child {
    let mut command = Command::new(ONHAND);
    command.args(["listen", "--events", "stock.changed", "--db"]).arg(database).env("ONHAND_LOG", "error");
    command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_builds_a_receiver_listens_and_triggers() {
    let folder = tempfile::tempdir().unwrap();
    let database = folder.path().join("listen.db");
    let server = Server::start_with(&database, PRIVATE);
    let mut listener = listening(&database);
    let mut lines = BufReader::new(listener.stdout.take().unwrap()).lines();
    assert!(line_with(&mut lines, "Listening at").contains("whsec_"));
    let sent = onhand(&database, &["trigger", "stock.changed"]);
    assert!(sent.status.success(), "{}", text(&sent.stderr));
    let shown = line_with(&mut lines, "stock.changed  msg_");
    assert!(shown.contains("verified, answered 204"), "{shown}");
    assert!(line_with(&mut lines, "\"test\":true").contains("TEST"));
    stocked(&server, "MUG", 5).await;
    assert!(line_with(&mut lines, "MUG").contains("\"available\":5"));
    let refused = onhand(&database, &["trigger", "order.changed"]);
    assert!(!refused.status.success() && text(&refused.stderr).contains("onhand listen"), "{refused:?}");
    let messages = onhand(&database, &["webhook", "messages", "erp"]);
    assert!(!messages.status.success());
    let ended = Command::new("kill").args(["-INT", &listener.id().to_string()]).status().unwrap();
    assert!(ended.success());
    assert!(listener.wait().unwrap().success());
    assert_eq!(server.get("/v1/subscriptions").await.1["data"], json!([]), "it took its leave");
    // Where nobody would send, it says so.
    let gone = server.call(Method::DELETE, "/v1/subscriptions/erp", None, &Value::Null).await;
    assert_eq!(gone.0, StatusCode::NOT_FOUND);
    server.kill();
    let mut alone = listening(&database);
    assert!(!alone.wait().unwrap().success());
    let mut said = String::new();
    std::io::Read::read_to_string(alone.stderr.as_mut().unwrap(), &mut said).unwrap();
    assert!(said.contains("no server runs"), "{said}");
}
