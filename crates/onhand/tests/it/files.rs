//! Systems that speak by files, through the real server and its worker: what everybody who exchanged files has been burnt by.

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use reqwest::StatusCode;
use russh::keys::ssh_key::LineEnding;
use serde_json::{Value, json};

use crate::server::{Server, comes_true, listening};
use crate::sftp_server;

/// Whoever we exchange files with: what it sees are files in a folder, however we get at them.
pub struct Partner {
    root: PathBuf,
    /// How it is connected, but for its name.
    pub connection: Value,
    /// Are files taken from where they come? Else they stay there.
    takes: bool,
    /// Does its clock tell seconds only?
    coarse: bool,
    _folder: tempfile::TempDir,
}

impl Partner {
    fn stock_file(&self) -> Option<String> {
        fs::read_to_string(self.root.join("out/stock.csv")).ok()
    }

    /// What the newest file says of a SKU.
    pub fn shows(&self, sku: &str) -> Option<i64> {
        let file = self.stock_file()?;
        file.lines().find_map(|line| {
            let mut fields = line.split(',');
            (fields.next() == Some(sku)).then(|| fields.nth(1)?.parse().ok()).flatten()
        })
    }

    /// When the newest file was written: microseconds of its clock.
    pub fn written(&self) -> u64 {
        let modified =
            fs::metadata(self.root.join("out/stock.csv")).and_then(|file| file.modified()).unwrap();
        modified.duration_since(std::time::UNIX_EPOCH).unwrap().as_micros().try_into().unwrap()
    }

    /// Hands in a file as it should be: under another name first.
    pub fn hand_in(&self, name: &str, text: impl AsRef<[u8]>) {
        if self.coarse {
            std::thread::sleep(Duration::from_millis(1_100));
        }
        self.put(name, text);
    }

    /// Hands in a file that none of that name was before.
    pub fn put(&self, name: &str, text: impl AsRef<[u8]>) {
        let part = self.root.join(format!("in/{name}.part"));
        fs::write(&part, text).unwrap();
        fs::rename(&part, self.root.join("in").join(name)).unwrap();
    }

    fn names(&self, folder: &str) -> Vec<String> {
        let Ok(found) = fs::read_dir(self.root.join(folder)) else { return Vec::new() };
        let mut names: Vec<String> =
            found.map(|one| one.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    /// What became of a file, once that is said.
    async fn result(&self, folder: &str, name: &str) -> String {
        let mut found = String::new();
        let there = comes_true(async || {
            let results = self.names(folder);
            let ending = format!("{name}.result.csv");
            let Some(result) = results.iter().rev().find(|one| one.ends_with(&ending)) else { return false };
            found = fs::read_to_string(self.root.join(folder).join(result)).unwrap();
            let is_gone = !self.takes || !self.root.join("in").join(name).exists();
            is_gone && self.names("working").is_empty()
        })
        .await;
        assert!(there, "no result of {name} in {folder}: {:?} {:?}", self.names(folder), self.names("in"));
        found
    }
}

struct Connected {
    server: Server,
    partner: Partner,
    database: PathBuf,
    _folder: tempfile::TempDir,
}

pub fn settings(more: Value) -> Value {
    let mut all = json!({ "stable_seconds": "0", "poll_seconds": "0", "taken_over_seconds": "0" });
    for (name, value) in more.as_object().into_iter().flatten() {
        all[name] = value.clone();
    }
    all
}

impl Connected {
    async fn new(partner: Partner, stock: i64, more: Value) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let database = folder.path().join("files.db");
        let server = start(&database);
        server.stocked("MUG", stock).await;
        let mut add = partner.connection.clone();
        add["name"] = json!("Partner");
        let mut named = settings(more);
        for (name, value) in partner.connection["settings"].as_object().into_iter().flatten() {
            named[name] = value.clone();
        }
        add["settings"] = named;
        let (status, added) = server.post("/v1/systems", add).await;
        assert_eq!(status, StatusCode::CREATED, "{added}");
        assert_eq!((&added["listings"], &added["matched"]), (&json!(1), &json!(1)), "{added}");
        Self { server, partner, database, _folder: folder }
    }

    /// As [`Self::new`], where the partner is master of what there is.
    async fn master(partner: Partner, stock: i64, more: Value) -> Self {
        let it = Self::new(partner, stock, more).await;
        let mode = json!({ "direction": "one_way_in" });
        assert!(it.server.post("/v1/systems/Partner/mode", mode).await.0.is_success());
        let owner = json!({ "location": "LONDON", "master": "Partner" });
        assert!(it.server.post("/v1/ownership", owner).await.0.is_success());
        it
    }

    /// Killed at once, and started again after something happened.
    fn crashed(self, meanwhile: impl FnOnce(&Partner)) -> Self {
        self.server.kill();
        meanwhile(&self.partner);
        Self { server: start(&self.database), ..self }
    }

    async fn shows(&self, quantity: i64) {
        let shown = comes_true(async || self.partner.shows("MUG") == Some(quantity)).await;
        assert!(
            shown,
            "never {quantity}: {:?}; {}",
            self.partner.stock_file(),
            self.server.get("/v1/items/MUG/explain").await.1
        );
    }

    async fn has(&self, stock: (i64, i64)) {
        let has = comes_true(async || self.server.stock("MUG").await == stock).await;
        let systems = self.server.get("/v1/systems").await.1;
        assert!(
            has,
            "never {stock:?}: {:?}; {:?}; {systems}",
            self.server.stock("MUG").await,
            self.server.troubles().await
        );
    }

    async fn receive(&self, quantity: i64) {
        let lines = json!([{ "sku": "MUG", "quantity": quantity }]);
        let body = json!({ "location": "LONDON", "lines": lines });
        assert_eq!(self.server.post("/v1/movements/receive", body).await.0, StatusCode::OK);
    }

    async fn orders(&self) -> usize {
        let mut all = 0;
        let mut path = "/v1/orders?limit=100".to_owned();
        loop {
            let page = self.server.get(&path).await.1;
            let rows = page["data"].as_array().unwrap();
            all += rows.len();
            match page["next_cursor"].as_str().filter(|_| page["has_more"] == true) {
                Some(next) => path = format!("/v1/orders?limit=100&cursor={next}"),
                None => return all,
            }
        }
    }
}

fn start(database: &Path) -> Server {
    Server::start_with(database, &["--reconcile-seconds", "2", "--files-in", "/"])
}

async fn stock_goes_out_and_orders_come_in(partner: Partner) {
    let it = Connected::new(partner, 10, json!({})).await;
    it.shows(10).await;
    it.receive(5).await;
    it.shows(15).await;
    let order =
        |told: &str| format!("reference,sku,quantity,shipped,cancelled,updated_at\n{told},{}\n", minutes(0));
    it.partner.hand_in("orders-1.csv", order("A-1,MUG,4,0,false"));
    it.has((11, 4)).await;
    it.shows(11).await;
    it.partner.hand_in("orders-2.csv", order("A-1,MUG,4,4,false"));
    it.has((11, 0)).await;
    it.partner.hand_in("orders-3.csv", order("A-2,MUG,2,0,false"));
    it.has((9, 2)).await;
    it.partner.hand_in("orders-4.csv", order("A-2,MUG,2,0,true"));
    it.has((11, 0)).await;
    it.shows(11).await;
    let result = it.partner.result("archive", "orders-4.csv").await;
    assert!(result.contains("taken,\"1 orders booked, 0 known as they are.\""), "{result}");
    assert_eq!(it.server.troubles().await, Vec::<String>::new());
    // What does not change is not written again.
    let before = fs::metadata(it.partner.root.join("out/stock.csv")).unwrap().modified().unwrap();
    tokio::time::sleep(Duration::from_secs(5)).await;
    let after = fs::metadata(it.partner.root.join("out/stock.csv")).unwrap().modified().unwrap();
    assert_eq!(before, after);
}

async fn a_file_is_read_once_it_is_whole(partner: Partner) {
    let it = Connected::new(partner, 10, json!({ "stable_seconds": "2" })).await;
    let path = it.partner.root.join("in/orders.csv");
    let mut text = "reference,sku,quantity,updated_at\n".to_owned();
    for number in 1..=5 {
        writeln!(text, "A-{number},MUG,1,{}", minutes(0)).unwrap();
        fs::write(&path, &text).unwrap();
        tokio::time::sleep(Duration::from_secs(1)).await;
        assert_eq!(it.server.stock("MUG").await, (10, 0), "half of it was read");
    }
    fs::write(it.partner.root.join("in/other.csv.part"), &text).unwrap();
    it.has((5, 5)).await;
    let result = it.partner.result("archive", "orders.csv").await;
    assert!(result.contains("5 orders booked"), "{result}");
    assert!(it.partner.root.join("in/other.csv.part").exists(), "what is being written is nobody's yet");
}

async fn the_same_file_again_is_told_and_not_booked(partner: Partner) {
    let it = Connected::master(partner, 10, json!({})).await;
    let monday = "sku,quantity\nMUG,9\n";
    it.partner.hand_in("monday.csv", monday);
    it.has((9, 0)).await;
    it.partner.hand_in("tuesday.csv", "sku,quantity\nMUG,8\n");
    it.has((8, 0)).await;
    it.partner.hand_in("monday-again.csv", monday);
    let told = it.server.told("repeated_file").await;
    assert!(told.contains("monday-again.csv is the same as monday.csv"), "{told}");
    let result = it.partner.result("archive", "monday-again.csv").await;
    assert!(result.contains("nothing of it is booked again"), "{result}");
    assert_eq!(it.server.stock("MUG").await, (8, 0));
    // Other bytes under a name that was there are another file.
    it.partner.hand_in("monday.csv", "sku,quantity\nMUG,7\n");
    it.has((7, 0)).await;
}

async fn what_is_older_and_comes_later_changes_nothing(partner: Partner) {
    let it = Connected::master(partner, 10, json!({})).await;
    let (earlier, later) = (minutes(-1), minutes(0));
    let order = |quantity: i64, at: &str| {
        format!("reference,sku,quantity,placed_at,updated_at\nA-1,MUG,{quantity},{earlier},{at}\n")
    };
    it.partner.hand_in("b.csv", order(3, &later));
    it.has((7, 3)).await;
    it.partner.hand_in("a.csv", order(1, &earlier));
    let result = it.partner.result("archive", "a.csv").await;
    assert!(result.contains("2,reference,refused,\"order `A-1` is known as it was at"), "{result}");
    assert_eq!(it.server.stock("MUG").await, (7, 3));
    // Counts are anchors, each of its time: the later one stands.
    let stock = |quantity: i64, at: i64| format!("sku,quantity,as_of\nMUG,{quantity},{}\n", minutes(at));
    it.partner.hand_in("noon.csv", stock(9, 0));
    it.has((6, 3)).await;
    it.partner.hand_in("morning.csv", stock(10, -60));
    it.partner.result("archive", "morning.csv").await;
    assert_eq!(it.server.stock("MUG").await, (6, 3));
}

/// So many minutes from now.
pub fn minutes(minutes: i64) -> String {
    let at = crate::server::micros() + minutes * 60_000_000;
    onhand_ledger::Instant::from_micros(at).to_string()
}

async fn a_file_that_does_not_come_is_missed(partner: Partner) {
    let it = Connected::new(partner, 10, json!({ "expected_seconds": "2" })).await;
    let told = it.server.told("missing_file").await;
    assert!(told.contains("No file of Partner has come since"), "{told}");
    it.partner
        .hand_in("orders.csv", format!("reference,sku,quantity,updated_at\nA-1,MUG,1,{}\n", minutes(0)));
    it.has((9, 1)).await;
    // The first to be told is over; another silence begins with that file.
    let over = comes_true(async || {
        let found = it.server.inbox().await.1;
        let first = found["data"].as_array().unwrap().iter().min_by_key(|one| one["id"].as_u64()).cloned();
        first.is_some_and(|first| first["resolved_at"].is_string())
    })
    .await;
    assert!(over, "{}", it.server.inbox().await.1);
}

async fn a_malformed_file_is_named_by_line_and_column_and_nothing_of_it_is_booked(partner: Partner) {
    let it = Connected::master(partner, 10, json!({})).await;
    let good = "sku,quantity\nMUG,9\n";
    for (name, text, says) in [
        ("letters.csv", b"sku,quantity\nMUG,9\nCUP,many\n".to_vec(), "line 3, column `quantity`"),
        ("bytes.csv", b"sku,quantity\nMUG,9\nT\xe4sse,1\n".to_vec(), "line 3: is not UTF-8"),
        ("short.csv", b"sku,quantity\nMUG,9\nCUP\n".to_vec(), "line 3: has 1 fields, the header has 2"),
        ("quote.csv", b"sku,quantity\nMUG,9\n\"CUP,1\n".to_vec(), "line 3: a quote is opened"),
        ("semicolons.csv", b"sku;quantity\nMUG;9\n".to_vec(), "here it is a semicolon"),
        (
            "twice.csv",
            b"sku,quantity\nMUG,9\nMUG,8\n".to_vec(),
            "line 3, column `sku`: `MUG` is on line 2 too",
        ),
        ("empty.csv", Vec::new(), "no column is called `sku`"),
        ("sheet.xlsx", b"PK\x03\x04nonsense".to_vec(), "no XLSX"),
    ] {
        it.partner.hand_in(name, text);
        let result = it.partner.result("failed", name).await;
        assert!(result.starts_with("line,column,result,reason\n,,not_taken,"), "{result}");
        assert!(result.contains(says), "{name}: {result}");
    }
    let told = it.server.told("letters.csv").await;
    assert!(told.contains("malformed_file") && told.contains("nothing of it is booked"), "{told}");
    assert_eq!(it.server.troubles().await.len(), 8);
    assert_eq!(it.server.stock("MUG").await, (10, 0));
    if it.partner.takes {
        assert_eq!(it.partner.names("failed").len(), 16);
    }
    // And it goes on.
    it.partner.hand_in("good.csv", format!("\u{feff}{good}"));
    it.has((9, 0)).await;
}

async fn rows_that_name_something_unknown_keep_no_others_back(partner: Partner) {
    let it = Connected::master(partner, 10, json!({})).await;
    it.partner.hand_in("stock.csv", "sku,location,quantity\nMUG,main,9\nKRUG,LONDON,1\nMUG,MARS,4\n");
    it.has((9, 0)).await;
    let result = it.partner.result("archive", "stock.csv").await;
    assert!(result.contains("3,sku,refused,`KRUG` is none of our items"), "{result}");
    assert!(result.contains("4,location,refused,`MARS` is no location that is mapped"), "{result}");
    let now = minutes(0);
    let orders = format!("reference,sku,quantity,updated_at\nA-1,MUG,1,{now}\nA-2,KRUG,1,{now}\n");
    it.partner.hand_in("orders.csv", orders);
    it.has((8, 1)).await;
    let result = it.partner.result("archive", "orders.csv").await;
    assert!(result.contains("1 orders booked") && result.contains("3,reference,refused,"), "{result}");
    // What is new with us is known when a file names it.
    assert!(it.server.post("/v1/items", json!({ "sku": "CUP" })).await.0.is_success());
    it.partner.hand_in("more.csv", format!("reference,sku,quantity,updated_at\nA-3,CUP,1,{now}\n"));
    let result = it.partner.result("archive", "more.csv").await;
    assert!(result.contains("1 orders booked"), "{result}");
}

async fn a_crash_between_picking_up_and_booking_books_once(partner: Partner) {
    let it = Connected::new(partner, 1_000, json!({})).await;
    it.shows(1_000).await;
    let now = minutes(0);
    let rows: String = (0..300).map(|number| format!("A-{number},MUG,1,{now}\n")).collect();
    it.partner.hand_in("orders.csv", format!("reference,sku,quantity,updated_at\n{rows}"));
    let begun = comes_true(async || it.server.stock("MUG").await.1 > 0).await;
    assert!(begun);
    let it = it.crashed(|_| {});
    it.has((700, 300)).await;
    it.partner.result("archive", "orders.csv").await;
    assert_eq!(it.orders().await, 300);
    assert_eq!(it.server.troubles().await, Vec::<String>::new());
    it.shows(700).await;
    // Picked up, and not yet looked into.
    if it.partner.takes {
        let it = it.crashed(|partner| {
            let order = format!("reference,sku,quantity,updated_at\nB-1,MUG,1,{now}\n");
            fs::write(partner.root.join("working/20261102T100000.000-late.csv"), order).unwrap();
        });
        it.has((699, 301)).await;
        it.partner.result("archive", "late.csv").await;
    }
}

async fn somebody_elses_change_over_there_is_told_and_set_right(partner: Partner) {
    let it = Connected::new(partner, 10, json!({})).await;
    it.shows(10).await;
    it.partner.hand_in("theirs.csv", "sku,quantity\nMUG,50\n");
    let told = it.server.told("manual_edit").await;
    assert!(told.contains("50"), "{told}");
    let before = fs::metadata(it.partner.root.join("out/stock.csv")).unwrap().modified().unwrap();
    assert_eq!(it.server.stock("MUG").await, (10, 0));
    it.receive(1).await;
    it.shows(11).await;
    assert!(fs::metadata(it.partner.root.join("out/stock.csv")).unwrap().modified().unwrap() >= before);
    // An export of ours, edited, is a valid import: here as it is.
    let ours = it.partner.stock_file().unwrap();
    it.partner.hand_in("ours.csv", ours);
    let result = it.partner.result("archive", "ours.csv").await;
    assert!(result.contains("1 number compared"), "{result}");
}

macro_rules! conforms {
    ($name:ident, $partner:ident) => {
        mod $name {
            conforms!(@each $partner stock_goes_out_and_orders_come_in);
            conforms!(@each $partner a_file_is_read_once_it_is_whole);
            conforms!(@each $partner the_same_file_again_is_told_and_not_booked);
            conforms!(@each $partner what_is_older_and_comes_later_changes_nothing);
            conforms!(@each $partner a_file_that_does_not_come_is_missed);
            conforms!(@each $partner a_malformed_file_is_named_by_line_and_column_and_nothing_of_it_is_booked);
            conforms!(@each $partner rows_that_name_something_unknown_keep_no_others_back);
            conforms!(@each $partner a_crash_between_picking_up_and_booking_books_once);
            conforms!(@each $partner somebody_elses_change_over_there_is_told_and_set_right);
        }
    };
    (@each $partner:ident $what:ident) => {
        #[tokio::test(flavor = "multi_thread")]
        async fn $what() {
            super::$what(super::$partner().await).await;
        }
    };
}

conforms!(in_a_folder, folder);
conforms!(over_sftp, sftp);
conforms!(over_http, http);

/// A partner with a folder of this machine.
pub async fn folder() -> Partner {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().to_owned();
    let connection = json!({ "kind": "files", "url": root.to_str().unwrap(), "role": "file" });
    Partner { root, connection, takes: true, coarse: false, _folder: folder }
}

/// A partner with an SFTP server.
async fn sftp() -> Partner {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().to_owned();
    let served = sftp_server::serve(&root, true).await;
    let connection = json!({
        "kind": "files", "url": served.url, "username": "partner", "secret": "secret",
        "settings": { "host_key": served.fingerprint }
    });
    Partner { root, connection, takes: true, coarse: true, _folder: folder }
}

/// Every name that a test hands in: over HTTP nobody lists them.
const NAMES: &str = "orders-1.csv,orders-2.csv,orders-3.csv,orders-4.csv,orders.csv,monday.csv,tuesday.csv,monday-again.csv,\
                     a.csv,b.csv,noon.csv,morning.csv,letters.csv,bytes.csv,short.csv,quote.csv,semicolons.csv,twice.csv,empty.csv,\
                     sheet.xlsx,good.csv,stock.csv,more.csv,theirs.csv,ours.csv";

/// A partner with an HTTP server.
pub async fn http() -> Partner {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().to_owned();
    for name in ["in", "out", "archive", "failed"] {
        fs::create_dir(root.join(name)).unwrap();
    }
    let (listener, url) = listening().await;
    let files = axum::Router::new().fallback(answer).with_state(root.clone());
    tokio::spawn(async move { axum::serve(listener, files).await });
    let connection = json!({
        "kind": "files", "url": url, "username": "partner", "secret": "secret", "settings": { "names": NAMES }
    });
    Partner { root, connection, takes: false, coarse: true, _folder: folder }
}

/// A plain server of files: GET, HEAD and PUT.
async fn answer(
    axum::extract::State(root): axum::extract::State<PathBuf>,
    request: axum::extract::Request,
) -> axum::response::Response {
    use axum::response::IntoResponse as _;
    // partner:secret
    let is_known =
        request.headers().get("authorization").is_some_and(|told| told == "Basic cGFydG5lcjpzZWNyZXQ=");
    if !is_known {
        return StatusCode::UNAUTHORIZED.into_response();
    }
    let path = root.join(request.uri().path().trim_start_matches('/'));
    if request.method() == "PUT" {
        let body = axum::body::to_bytes(request.into_body(), usize::MAX).await.unwrap();
        let part = path.with_extension("part");
        fs::write(&part, body).and_then(|()| fs::rename(&part, &path)).unwrap();
        return StatusCode::CREATED.into_response();
    }
    let Ok(bytes) = fs::read(&path) else { return StatusCode::NOT_FOUND.into_response() };
    let modified = fs::metadata(&path).unwrap().modified().unwrap();
    let nanos = modified.duration_since(std::time::UNIX_EPOCH).unwrap().as_nanos();
    ([("etag", format!("\"{nanos}\""))], bytes).into_response()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_with_another_key_is_not_spoken_with() {
    let folder = tempfile::tempdir().unwrap();
    let served = sftp_server::serve(folder.path(), true).await;
    let server = start(&folder.path().join("keys.db"));
    server.stocked("MUG", 3).await;
    let add = |settings: Value, secret: &str| json!({ "name": "Partner", "kind": "files", "url": served.url, "username": "partner", "secret": secret, "settings": settings });
    let (status, problem) = server.post("/v1/systems", add(json!({}), "secret")).await;
    assert_eq!(status, StatusCode::BAD_GATEWAY, "{problem}");
    let detail = problem["detail"].as_str().unwrap();
    assert!(detail.contains(&served.fingerprint) && detail.contains("set `host_key`"), "{detail}");
    let other = json!({ "host_key": "SHA256:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA" });
    let (_, problem) = server.post("/v1/systems", add(other, "secret")).await;
    assert!(problem["detail"].as_str().unwrap().contains("somebody may be in between"), "{problem}");
    let known = json!({ "host_key": served.fingerprint });
    let (_, problem) = server.post("/v1/systems", add(known.clone(), "wrong")).await;
    assert!(problem["detail"].as_str().unwrap().contains("does not let us in"), "{problem}");
    let key = sftp_server::key(2).to_openssh(LineEnding::default()).unwrap();
    let (status, added) = server.post("/v1/systems", add(known, &key)).await;
    assert_eq!(status, StatusCode::CREATED, "{added}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_cannot_replace_a_file_gets_the_new_one_too() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().to_owned();
    let served = sftp_server::serve(&root, false).await;
    let connection = json!({
        "kind": "files", "url": served.url, "username": "partner", "secret": "secret",
        "settings": { "host_key": served.fingerprint }
    });
    let partner = Partner { root, connection, takes: true, coarse: true, _folder: folder };
    let it = Connected::new(partner, 10, json!({})).await;
    it.shows(10).await;
    it.receive(1).await;
    it.shows(11).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn columns_are_called_as_the_partner_calls_them_in_and_out() {
    let more = json!({
        "columns.sku": "Artikel", "columns.quantity": "Bestand", "columns.location": "Lager", "columns.reference": "Auftrag",
        "separator": ";", "decimal": ",", "out": "changes"
    });
    let it = Connected::new(folder().await, 10, more).await;
    // What is being written is none of its files yet.
    let whole = || {
        let names = it.partner.names("out").into_iter();
        names.filter(|name| !name.starts_with('.')).collect::<Vec<String>>()
    };
    assert!(comes_true(async || !whole().is_empty()).await);
    let name = whole().remove(0);
    let text = fs::read_to_string(it.partner.root.join("out").join(&name)).unwrap();
    assert_eq!(text, "Artikel;Lager;Bestand\nMUG;main;10\n");
    it.partner.hand_in("auftrag.csv", "Auftrag;Artikel;Bestand;Kunde\r\nA-1;MUG;4,0;Müller\r\n");
    it.has((6, 4)).await;
    // Nothing was fetched yet: the next one goes beside the first, and after it.
    assert!(comes_true(async || whole().len() == 2).await, "{:?}", it.partner.names("out"));
    let names = whole();
    assert_eq!(names[0], name);
    let text = fs::read_to_string(it.partner.root.join("out").join(&names[1])).unwrap();
    assert_eq!(text, "Artikel;Lager;Bestand\nMUG;main;6\n");
}

#[tokio::test(flavor = "multi_thread")]
async fn sheets_come_and_go_and_an_export_of_ours_edited_is_an_import() {
    let it = Connected::new(folder().await, 10, json!({ "format": "xlsx" })).await;
    let path = it.partner.root.join("out/stock.xlsx");
    assert!(comes_true(async || path.exists()).await);
    let sheet = fs::read(&path).unwrap();
    let mode = json!({ "direction": "one_way_in" });
    assert!(it.server.post("/v1/systems/Partner/mode", mode).await.0.is_success());
    let owner = json!({ "location": "LONDON", "master": "Partner" });
    assert!(it.server.post("/v1/ownership", owner).await.0.is_success());
    it.partner.hand_in("sheet.xlsx", &sheet);
    let result = it.partner.result("archive", "sheet.xlsx").await;
    assert!(result.contains("1 counted, 0 of them otherwise than known"), "{result}");
    // The export of stock that people know, with one number edited.
    let request =
        it.server.http.get(format!("{}/v1/export/stock", it.server.base)).bearer_auth(&it.server.key);
    let export = request.send().await.unwrap().text().await.unwrap();
    let mut lines = export.lines();
    let header: Vec<&str> = lines.next().unwrap().split(',').collect();
    let mut row: Vec<&str> = lines.next().unwrap().split(',').collect();
    row[header.iter().position(|name| *name == "on_hand").unwrap()] = "9";
    it.partner.hand_in("export.csv", format!("{}\n{}\n", header.join(","), row.join(",")));
    it.has((9, 0)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_snapshot_cut_short_is_held_for_a_person() {
    let it = Connected::master(folder().await, 10, json!({})).await;
    it.partner.hand_in("nothing.csv", "sku,quantity\n");
    let told = it.server.told("guard").await;
    assert!(told.contains("Partner"), "{told}");
    assert_eq!(it.server.stock("MUG").await, (10, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_folder_is_named_only_where_whoever_runs_the_server_lets_it() {
    let folder = tempfile::tempdir().unwrap();
    let inside = folder.path().join("exchange");
    fs::create_dir(&inside).unwrap();
    let server = Server::start(&folder.path().join("a.db"));
    server.stocked("MUG", 1).await;
    let add = |path: &Path| json!({ "name": "Partner", "kind": "files", "url": path.to_str().unwrap() });
    let (status, problem) = server.post("/v1/systems", add(&inside)).await;
    assert_eq!(status, StatusCode::UNPROCESSABLE_ENTITY, "{problem}");
    assert!(problem["detail"].as_str().unwrap().contains("--files-in"), "{problem}");
    drop(server);
    let server = Server::start_with(&folder.path().join("b.db"), &["--files-in", inside.to_str().unwrap()]);
    server.stocked("MUG", 1).await;
    let (status, problem) = server.post("/v1/systems", add(folder.path())).await;
    assert_eq!(status, StatusCode::UNPROCESSABLE_ENTITY, "{problem}");
    let mut wrong = add(&inside);
    wrong["settings"] = json!({ "separater": ";" });
    let (status, problem) = server.post("/v1/systems", wrong).await;
    assert_eq!(status, StatusCode::UNPROCESSABLE_ENTITY, "{problem}");
    assert!(problem.to_string().contains("there is no setting `separater`"), "{problem}");
    let (status, added) = server.post("/v1/systems", add(&inside)).await;
    assert_eq!(status, StatusCode::CREATED, "{added}");
}
