//! A warehouse and a customer who speak EDI, through the real server and its worker: what everybody who exchanged interchanges has been
//! burnt by. What they write is made here, by hand, and what they are sent is taken apart here.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use reqwest::StatusCode;
use serde_json::{Value, json};

use crate::server::{Server, comes_true, micros, onhand, text};
use crate::sftp_server;

/// An interchange that somebody was sent: its segments, each with its elements, the id first.
#[derive(Clone, Debug)]
struct Sent {
    control: u32,
    segments: Vec<Vec<String>>,
}

impl Sent {
    fn x12(text: &str) -> Self {
        let (element, segment) = (char::from(text.as_bytes()[3]), char::from(text.as_bytes()[105]));
        let segments = text.split(segment).map(str::trim).filter(|one| !one.is_empty());
        let segments: Vec<Vec<String>> =
            segments.map(|one| one.split(element).map(str::to_owned).collect()).collect();
        let control = segments[0][13].parse().unwrap();
        // Each trailer says what its header says.
        let of = |id: &str, at: usize| segments.iter().find(|one| one[0] == id).unwrap()[at].clone();
        assert_eq!((of("ISA", 13), of("GS", 6), of("ST", 2)), (of("IEA", 2), of("GE", 2), of("SE", 2)));
        Self { control, segments }
    }

    fn all(&self, id: &str) -> Vec<&[String]> {
        self.segments.iter().filter(|one| one[0] == id).map(Vec::as_slice).collect()
    }

    /// The elements of the first segment of that id, as one text.
    fn first(&self, id: &str) -> String {
        self.all(id).first().unwrap_or_else(|| panic!("no {id}: {:?}", self.segments)).join("*")
    }
}

/// A partner, with the folder that both see.
struct Partner {
    root: PathBuf,
    id: &'static str,
    _folder: tempfile::TempDir,
}

impl Partner {
    fn new(id: &'static str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        Self { root: folder.path().to_owned(), id, _folder: folder }
    }

    fn settings(&self, more: &Value) -> Value {
        let mut all = json!({
            "our_id": "DEPOSITOR", "their_id": self.id, "stable_seconds": "0", "poll_seconds": "0", "taken_over_seconds": "0"
        });
        for (name, value) in more.as_object().unwrap() {
            all[name] = value.clone();
        }
        all
    }

    /// An interchange of theirs with one group.
    fn x12(&self, control: u32, functional: &str, sets: &[(&str, Vec<String>)]) -> String {
        let (date, time) = today();
        let mut text = format!(
            "ISA*00*          *00*          *ZZ*{:<15}*ZZ*DEPOSITOR      *{}*{time}*U*00401*{control:09}*0*P*>~\n",
            self.id,
            &date[2..]
        );
        writeln!(text, "GS*{functional}*{}*DEPOSITOR*{date}*{time}*{control}*X*004010~", self.id).unwrap();
        for (index, (kind, segments)) in sets.iter().enumerate() {
            let set = format!("{:04}", index + 1);
            writeln!(text, "ST*{kind}*{set}~").unwrap();
            for segment in segments {
                writeln!(text, "{segment}~").unwrap();
            }
            writeln!(text, "SE*{}*{set}~", segments.len() + 2).unwrap();
        }
        text + &format!("GE*{}*{control}~\nIEA*1*{control:09}~\n", sets.len())
    }

    /// That a group of ours was read so: `A`, or `R`.
    fn acknowledgment(&self, control: u32, functional: &str, of: &Sent, verdict: &str) -> String {
        let kind = of.first("ST").split('*').nth(1).unwrap().to_owned();
        let number = of.control;
        let accepted = u32::from(verdict == "A");
        let mut segments = vec![format!("AK1*{functional}*{number}"), format!("AK2*{kind}*{number:04}")];
        if verdict == "R" {
            segments.extend(["AK3*W01*6**8".to_owned(), "AK4*2*355*7*EA".to_owned()]);
        }
        segments.push(if verdict == "R" { "AK5*R*5".to_owned() } else { "AK5*A".to_owned() });
        segments.push(format!("AK9*{verdict}*1*1*{accepted}"));
        self.x12(control, "FA", &[("997", segments)])
    }

    /// Hands in a file as it should be: under another name first.
    fn hand_in(&self, name: &str, text: impl AsRef<[u8]>) {
        let part = self.root.join(format!("in/{name}.part"));
        fs::write(&part, text).unwrap();
        fs::rename(&part, self.root.join("in").join(name)).unwrap();
    }

    fn names(&self, folder: &str) -> Vec<String> {
        let Ok(found) = fs::read_dir(self.root.join(folder)) else { return Vec::new() };
        let names = found.map(|one| one.unwrap().file_name().into_string().unwrap());
        let mut names: Vec<String> = names.filter(|name| !name.starts_with('.')).collect();
        names.sort();
        names
    }

    fn texts(&self, kind: &str) -> Vec<String> {
        let names = self.names("out").into_iter().filter(|name| name.starts_with(&format!("{kind}-")));
        names.map(|name| fs::read_to_string(self.root.join("out").join(name)).unwrap()).collect()
    }

    /// What they were sent of that kind, in the order of its numbers.
    fn got(&self, kind: &str) -> Vec<Sent> {
        self.texts(kind).iter().map(|text| Sent::x12(text)).collect()
    }

    /// The how-many-eth of that kind, once it is there.
    async fn nth(&self, kind: &str, number: usize) -> Sent {
        let there = comes_true(async || self.texts(kind).len() >= number).await;
        assert!(there, "{number} of {kind} were never sent: {:?}", self.names("out"));
        self.got(kind).remove(number - 1)
    }

    /// What became of a file, once that is said.
    async fn result(&self, folder: &str, name: &str) -> String {
        let ending = format!("-{name}.result.csv");
        let mut found = String::new();
        let there = comes_true(async || {
            let Some(result) = self.names(folder).into_iter().rev().find(|one| one.ends_with(&ending)) else {
                return false;
            };
            found = fs::read_to_string(self.root.join(folder).join(result)).unwrap();
            !self.root.join("in").join(name).exists() && self.names("working").is_empty()
        })
        .await;
        assert!(there, "no result of {name} in {folder}: {:?} {:?}", self.names(folder), self.names("in"));
        found
    }

    /// The control numbers that they were given, each once.
    fn controls(&self) -> BTreeSet<u32> {
        let names = self.names("out");
        let numbers: BTreeSet<u32> =
            names.iter().map(|name| name[name.len() - 13..name.len() - 4].parse().unwrap()).collect();
        assert_eq!(numbers.len(), names.len(), "a number was given twice: {names:?}");
        numbers
    }
}

/// Today and now, as an envelope says it.
fn today() -> (String, String) {
    let now = onhand_ledger::Instant::from_micros(micros()).to_string();
    let digits: String = now.chars().filter(char::is_ascii_digit).collect();
    (digits[..8].to_owned(), digits[8..12].to_owned())
}

fn segments(of: &[&str]) -> Vec<String> {
    of.iter().map(|one| (*one).to_owned()).collect()
}

struct Yard {
    server: Server,
    partner: Partner,
    database: PathBuf,
    _folder: tempfile::TempDir,
}

fn start(database: &Path) -> Server {
    Server::start_with(database, &["--reconcile-seconds", "2", "--files-in", "/"])
}

impl Yard {
    /// A warehouse that is master in BERLIN and is sent what it shall do there; LONDON is ours. Ten of MUG in Berlin, five in London.
    async fn new(more: Value) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let database = folder.path().join("yard.db");
        let (server, partner) = (start(&database), Partner::new("WAREHOUSE"));
        server.stocked("MUG", 5).await;
        let berlin = json!({ "code": "BERLIN", "rank": 1 });
        assert!(server.post("/v1/locations", berlin).await.0.is_success());
        let lines = json!([{ "sku": "MUG", "quantity": 10 }]);
        let there = json!({ "location": "BERLIN", "lines": lines });
        assert!(server.post("/v1/movements/receive", there).await.0.is_success());
        let mut settings = partner.settings(&more);
        settings["locations"] = json!("BLN1");
        let add = json!({
            "name": "Berlin", "kind": "edi", "url": partner.root.to_str().unwrap(), "location": "BERLIN", "role": "3pl",
            "settings": settings
        });
        let (status, added) = server.post("/v1/systems", add).await;
        assert_eq!(status, StatusCode::CREATED, "{added}");
        let mode = json!({ "direction": "one_way_in" });
        assert!(server.post("/v1/systems/Berlin/mode", mode).await.0.is_success());
        let owner = json!({ "location": "BERLIN", "master": "Berlin" });
        assert!(server.post("/v1/ownership", owner).await.0.is_success());
        let gets = json!({ "gets_orders": "from_onhand" });
        let (status, set) = server.post("/v1/systems/Berlin/orders", gets).await;
        assert!(status.is_success(), "{set}");
        Self { server, partner, database, _folder: folder }
    }

    fn restarted(self) -> Self {
        self.server.kill();
        Self { server: start(&self.database), ..self }
    }

    async fn order(&self, quantity: i64) -> u64 {
        let lines = json!([{ "sku": "MUG", "quantity": quantity }]);
        let (status, placed) = self.server.post("/v1/orders", json!({ "lines": lines })).await;
        assert_eq!(status, StatusCode::CREATED, "{placed}");
        placed["order"].as_u64().or(placed["id"].as_u64()).unwrap()
    }

    /// What is at an address, once what was last sent of it stands so.
    async fn stands(&self, path: &str, state: &str) -> Value {
        let mut found = Value::Null;
        let stands = comes_true(async || {
            found = self.server.get(path).await.1;
            let last = found["sent"].as_array().and_then(|sent| sent.last());
            last.is_some_and(|sent| sent["state"] == state)
        })
        .await;
        assert!(stands, "it never was {state}: {found}; {:?}", self.server.troubles().await);
        found
    }

    /// On hand in Berlin.
    async fn berlin(&self, quantity: i64) {
        let mut found = Value::Null;
        let has = comes_true(async || {
            found = self.server.get("/v1/items/MUG/stock").await.1;
            let rows = found["locations"].as_array().unwrap();
            rows.iter().any(|row| row["location"] == "BERLIN" && row["on_hand"] == quantity)
        })
        .await;
        assert!(has, "never {quantity} in Berlin: {found}; {:?}", self.server.troubles().await);
    }
}

/// What left of an order: so many of MUG, of so many, with that status.
fn shipped(document: &str, shipment: &str, left: i64, of: i64, status: &str) -> Vec<String> {
    let date = today().0;
    vec![
        format!("W06*F*{document}*{date}*{shipment}"),
        format!("G62*11*{date}"),
        "W27*M*UPSN".to_owned(),
        "LX*1".to_owned(),
        format!("MAN*CP*1Z{shipment}"),
        format!("W12*{status}*{of}*{left}*{}*EA**SK*MUG", of - left),
        format!("W03*{left}"),
    ]
}

fn document_of(sent: &Sent) -> String {
    sent.first("W05").split('*').nth(2).unwrap().to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_order_goes_out_as_a_940_is_acknowledged_and_comes_back_as_a_945() {
    let yard = Yard::new(json!({})).await;
    let order = yard.order(4).await;
    let path = format!("/v1/orders/{order}");
    let sent = yard.partner.nth("940", 1).await;
    let document = document_of(&sent);
    assert_eq!(sent.first("W05"), format!("W05*N*{document}*{}", sent.all("W05")[0][3]));
    assert!(sent.first("ISA").contains("*ZZ*DEPOSITOR      *ZZ*WAREHOUSE      *"), "{sent:?}");
    assert!(sent.first("N1").starts_with("N1*WH") && sent.first("N1").ends_with("*BLN1"), "{sent:?}");
    assert_eq!((sent.first("W01"), sent.first("W76")), ("W01*4*EA**SK*MUG".to_owned(), "W76*4".to_owned()));
    // Nobody knows yet that it has come.
    let shown = yard.stands(&path, "unknown").await;
    let reason = shown["sent"][0]["trouble"].as_str().unwrap_or_default();
    assert!(reason.contains("its 997 has not come yet"), "{shown}");
    yard.partner.hand_in("997.edi", yard.partner.acknowledgment(1, "OW", &sent, "A"));
    yard.stands(&path, "accepted").await;
    // Three of four are found; the rest leaves from London.
    let advice = yard.partner.x12(2, "SW", &[("945", shipped(&document, "S1", 3, 4, "CP"))]);
    yard.partner.hand_in("945.edi", &advice);
    let shown = yard.stands(&path, "short_picked").await;
    let parcel = &shown["sent"][0]["parcels"][0];
    assert_eq!((&parcel["carrier"], &parcel["tracking"]), (&json!("UPSN"), &json!("1ZS1")), "{shown}");
    yard.berlin(7).await;
    let moved = comes_true(async || {
        yard.server.get(&path).await.1["lines"][0]["allocated"][0]["location"] == "LONDON"
    });
    assert!(moved.await, "{}", yard.server.get(&path).await.1);
    let answer = yard.partner.nth("997", 1).await;
    assert_eq!((answer.first("AK1"), answer.first("AK9")), ("AK1*SW*2".to_owned(), "AK9*A*1*1*1".to_owned()));
    assert_eq!(yard.partner.got("997").len(), 1, "an acknowledgment is not acknowledged");
    assert_eq!(yard.partner.got("940").len(), 1, "it was sent once");
    yard.partner.controls();
    let told = onhand(&yard.database, &["order", "show", &order.to_string()]);
    assert!(text(&told.stdout).contains("parcel S1"), "{}", text(&told.stdout));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_comes_twice_late_or_in_another_order_comes_to_the_same() {
    let yard = Yard::new(json!({})).await;
    let order = yard.order(4).await;
    let sent = yard.partner.nth("940", 1).await;
    let document = document_of(&sent);
    // The goods are told of before the order is acknowledged.
    let advice = yard.partner.x12(2, "SW", &[("945", shipped(&document, "S1", 4, 4, "CC"))]);
    yard.partner.hand_in("945.edi", &advice);
    yard.stands(&format!("/v1/orders/{order}"), "shipped").await;
    yard.berlin(6).await;
    yard.partner.hand_in("late.edi", yard.partner.acknowledgment(1, "OW", &sent, "A"));
    yard.partner.result("archive", "late.edi").await;
    // The very same bytes, then the same interchange with other line ends, then the same shipment in another interchange.
    yard.partner.hand_in("again.edi", &advice);
    let result = yard.partner.result("archive", "again.edi").await;
    assert!(result.contains("nothing of it is booked again"), "{result}");
    yard.partner.hand_in("wrapped.edi", advice.replace('\n', ""));
    let result = yard.partner.result("archive", "wrapped.edi").await;
    assert!(result.contains("interchange 000000002 came again"), "{result}");
    let copy = yard.partner.x12(3, "SW", &[("945", shipped(&document, "S1", 4, 4, "CC"))]);
    yard.partner.hand_in("copy.edi", copy);
    let result = yard.partner.result("archive", "copy.edi").await;
    assert!(!result.contains("refused"), "{result}");
    let shown = yard.stands(&format!("/v1/orders/{order}"), "shipped").await;
    assert_eq!(shown["sent"][0]["parcels"].as_array().unwrap().len(), 1, "{shown}");
    yard.berlin(6).await;
    assert!(yard.server.told("repeated_file").await.contains("again"));
    // The answer to the same bytes is the same one; the two interchanges have one each.
    let answers = yard.partner.got("997");
    let of: Vec<String> = answers.iter().map(|answer| answer.first("AK1")).collect();
    assert_eq!(of, ["AK1*SW*2", "AK1*SW*3"]);
    // A shipment that is told otherwise under its name stays as it was.
    let otherwise = yard.partner.x12(4, "SW", &[("945", shipped(&document, "S1", 3, 4, "CP"))]);
    yard.partner.hand_in("otherwise.edi", otherwise);
    let result = yard.partner.result("archive", "otherwise.edi").await;
    assert!(result.contains("shipment S1 of") && result.contains("told before, and otherwise"), "{result}");
    yard.berlin(6).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_malformed_changes_nothing_is_named_by_position_and_is_answered() {
    let yard = Yard::new(json!({})).await;
    yard.order(4).await;
    let document = document_of(&yard.partner.nth("940", 1).await);
    let good = shipped(&document, "S1", 4, 4, "CC");
    let bad: Vec<String> = good.iter().map(|one| one.replace("*4*4*0*EA", "*4*3*0*EA")).collect();
    let advice = |control: u32, sets: &[(&str, Vec<String>)]| yard.partner.x12(control, "SW", sets);
    yard.partner.hand_in("bad.edi", advice(1, &[("945", bad.clone())]));
    let result = yard.partner.result("failed", "bad.edi").await;
    assert!(result.starts_with("line,column,result,reason\n,,not_taken,"), "{result}");
    let place = "interchange 000000001, group 1, set 0001, segment 7 W12, element 4";
    assert!(result.contains(place), "{result}");
    let answer = yard.partner.nth("997", 1).await;
    assert_eq!(
        (answer.first("AK3"), answer.first("AK9")),
        ("AK3*W12*7**8".to_owned(), "AK9*R*1*1*0".to_owned())
    );
    assert!(yard.server.told("malformed_file").await.contains(place));
    // Cut off in the middle: what its envelope says is answered, and nothing is taken.
    let whole = advice(2, &[("945", good.clone())]);
    yard.partner.hand_in("cut.edi", &whole[..whole.find("W03").unwrap()]);
    let result = yard.partner.result("failed", "cut.edi").await;
    assert!(result.contains("not_taken"), "{result}");
    assert_eq!(yard.partner.nth("997", 2).await.first("AK9").split('*').nth(1), Some("R"));
    // Somebody else's, a test, and no EDI at all: nobody is answered.
    let other = advice(3, &[("945", good.clone())]);
    for (name, text, says) in [
        ("other.edi", other.replace("ZZ*WAREHOUSE ", "ZZ*SOMEBODY  "), "this partner is `WAREHOUSE`"),
        ("ours.edi", other.replace("ZZ*DEPOSITOR ", "ZZ*ANOTHER   "), "we are `DEPOSITOR`"),
        ("test.edi", other.replace("*0*P*>", "*0*T*>"), "is a test, and the setting `usage` is `production`"),
        ("words.edi", "Dear partner, four mugs have left.".to_owned(), "begins with ISA"),
        ("empty.edi", String::new(), "begins with ISA"),
    ] {
        let text = text
            .replace("ZZ*SOMEBODY        *", "ZZ*SOMEBODY       *")
            .replace("ZZ*ANOTHER          *", "ZZ*ANOTHER        *");
        yard.partner.hand_in(name, text);
        let result = yard.partner.result("failed", name).await;
        assert!(result.contains(says), "{name}: {result}");
    }
    assert_eq!(yard.partner.got("997").len(), 2);
    yard.berlin(10).await;
    // Of two sets one is bad: the other is taken, and the answer says which.
    yard.partner.hand_in("both.edi", advice(4, &[("945", bad), ("945", good)]));
    let result = yard.partner.result("archive", "both.edi").await;
    assert!(result.contains("refused,\"interchange 000000004, group 4, set 0001, segment 7 W12"), "{result}");
    assert_eq!(yard.partner.nth("997", 3).await.first("AK9"), "AK9*P*2*2*1");
    yard.berlin(6).await;
    // A rejected interchange may come again under its number, once it is right.
    let another = yard.order(1).await;
    let document = document_of(&yard.partner.nth("940", 2).await);
    yard.partner.hand_in("mended.edi", advice(1, &[("945", shipped(&document, "S2", 1, 1, "CC"))]));
    yard.stands(&format!("/v1/orders/{another}"), "shipped").await;
    yard.berlin(5).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn half_of_an_interchange_is_not_read() {
    let yard = Yard::new(json!({ "stable_seconds": "2" })).await;
    yard.order(4).await;
    let document = document_of(&yard.partner.nth("940", 1).await);
    let advice = yard.partner.x12(1, "SW", &[("945", shipped(&document, "S1", 4, 4, "CC"))]);
    let path = yard.partner.root.join("in/945.edi");
    for part in 1..=4 {
        fs::write(&path, &advice[..advice.len() * part / 5]).unwrap();
        tokio::time::sleep(Duration::from_secs(1)).await;
        assert_eq!(yard.partner.names("failed"), Vec::<String>::new(), "half of it was read");
    }
    fs::write(yard.partner.root.join("in/other.edi.part"), &advice[..200]).unwrap();
    fs::write(&path, &advice).unwrap();
    yard.berlin(6).await;
    assert!(yard.partner.root.join("in/other.edi.part").exists(), "what is being written is nobody's yet");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rejected_order_is_refused_and_one_that_is_not_acknowledged_says_so() {
    let yard = Yard::new(json!({ "acknowledged_within_seconds": "1" })).await;
    let order = yard.order(4).await;
    let path = format!("/v1/orders/{order}");
    let sent = yard.partner.nth("940", 1).await;
    let mut shown = Value::Null;
    let said = comes_true(async || {
        shown = yard.server.get(&path).await.1;
        shown["sent"][0]["trouble"]
            .as_str()
            .is_some_and(|why| why.contains("no 997 has come within 1 seconds"))
    });
    assert!(said.await, "{shown}");
    yard.partner.hand_in("997.edi", yard.partner.acknowledgment(1, "OW", &sent, "R"));
    let shown = yard.stands(&path, "refused").await;
    let why = shown["sent"][0]["reason"].as_str().unwrap_or_default();
    assert!(why.contains("segment 6 W01, element 2: error 7 (`EA`)"), "{shown}");
    // It leaves from elsewhere, as far as there is any.
    let moved = comes_true(async || {
        yard.server.get(&path).await.1["lines"][0]["allocated"][0]["location"] == "LONDON"
    });
    assert!(moved.await, "{}", yard.server.get(&path).await.1);
    // What answers nothing of ours is told.
    let nobodys = Sent { control: 77, ..sent };
    yard.partner.hand_in("nobodys.edi", yard.partner.acknowledgment(2, "OW", &nobodys, "A"));
    let result = yard.partner.result("archive", "nobodys.edi").await;
    assert!(result.contains("the 997 of group 77 is of nothing that was sent"), "{result}");
    assert_eq!(yard.partner.got("940").len(), 1, "it was sent once");
}

#[tokio::test(flavor = "multi_thread")]
async fn numbers_go_on_after_a_crash_and_an_order_is_changed_and_cancelled() {
    let mut yard = Yard::new(json!({ "control_from": "500" })).await;
    for round in 1..=3 {
        let order = yard.order(1).await;
        let sent = yard.partner.nth("940", round).await;
        let control = 10 + u32::try_from(round).unwrap();
        yard.partner.hand_in(&format!("{round}.edi"), yard.partner.acknowledgment(control, "OW", &sent, "A"));
        yard = yard.restarted();
        yard.stands(&format!("/v1/orders/{order}"), "accepted").await;
    }
    assert_eq!(yard.partner.controls(), BTreeSet::from([500, 501, 502]));
    let order = yard.order(3).await;
    let first = yard.partner.nth("940", 4).await;
    yard.partner.hand_in("new.edi", yard.partner.acknowledgment(21, "OW", &first, "A"));
    let path = format!("/v1/orders/{order}");
    yard.stands(&path, "accepted").await;
    let cancelled = yard.server.post(&format!("{path}/cancel"), json!({})).await;
    assert!(cancelled.0.is_success(), "{}", cancelled.1);
    let last = yard.partner.nth("940", 5).await;
    assert_eq!(document_of(&last), document_of(&first));
    assert!(last.first("W05").starts_with("W05*F*"), "{last:?}");
    yard.partner.hand_in("off.edi", yard.partner.acknowledgment(22, "OW", &last, "A"));
    yard.stands(&path, "cancelled").await;
    assert_eq!(yard.partner.controls(), BTreeSet::from([500, 501, 502, 503, 504]));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_comes_in_is_announced_and_told_and_what_is_found_otherwise_is_adjusted() {
    let yard = Yard::new(json!({ "units.CA": "5" })).await;
    let order = json!({
        "supplier": "Potter", "reference": "PO-7", "location": "BERLIN", "expected_on": "2027-01-15",
        "lines": [{ "sku": "MUG", "quantity": 20 }]
    });
    let (status, placed) = yard.server.post("/v1/purchase-orders", order).await;
    assert_eq!(status, StatusCode::CREATED, "{placed}");
    let path = format!("/v1/purchase-orders/{}", placed["id"]);
    let sent = yard.partner.nth("943", 1).await;
    let document = sent.first("W06").split('*').nth(2).unwrap().to_owned();
    assert_eq!(sent.first("W06"), format!("W06*F*{document}****PO-7"));
    assert_eq!(
        (sent.first("W04"), sent.first("G62")),
        ("W04*20*EA**SK*MUG".to_owned(), "G62*17*20270115".to_owned())
    );
    yard.partner.hand_in("997.edi", yard.partner.acknowledgment(1, "AR", &sent, "A"));
    yard.stands(&path, "accepted").await;
    // Three cases of five, two pieces of them damaged.
    let date = today().0;
    let receipt = |number: &str, quantity: &str, more: &[&str]| {
        let mut of = vec![format!("W17*F*{date}*{number}*{document}"), format!("W07*{quantity}**SK*MUG")];
        of.extend(segments(more));
        of.push("W14*0".to_owned());
        of
    };
    let first = receipt("R1", "3*CA", &["W13*2*EA*01**01"]);
    yard.partner.hand_in("944.edi", yard.partner.x12(2, "RE", &[("944", first)]));
    yard.stands(&path, "part_received").await;
    yard.berlin(25).await;
    let stock = yard.server.get("/v1/items/MUG/stock").await.1;
    assert_eq!(stock["total"]["damaged"], 2, "{stock}");
    yard.partner.hand_in("rest.edi", yard.partner.x12(3, "RE", &[("944", receipt("R2", "5*EA", &[]))]));
    let shown = yard.stands(&path, "received").await;
    assert_eq!(
        (&shown["state"], &shown["lines"][0]["received"]),
        (&json!("received"), &json!(20)),
        "{shown}"
    );
    yard.berlin(30).await;
    // What nobody announced is told, and not booked.
    let strange = segments(&[&format!("W17*F*{date}*R3*NOBODYS"), "W07*9*EA**SK*MUG", "W14*9"]);
    yard.partner.hand_in("strange.edi", yard.partner.x12(4, "RE", &[("944", strange)]));
    let result = yard.partner.result("archive", "strange.edi").await;
    assert!(
        result.contains("`NOBODYS`, which was never announced as a 943: receipt R3 is not booked"),
        "{result}"
    );
    // Two were broken and one was found; told twice, it is so once.
    let adjusted = segments(&[
        &format!("W15*{date}*A1"),
        "N1*WH**ZZ*BLN1",
        "W19*AU*-2*EA**SK*MUG",
        "W19*51*1*EA**SK*MUG",
    ]);
    yard.partner.hand_in("947.edi", yard.partner.x12(5, "AW", &[("947", adjusted.clone())]));
    yard.berlin(29).await;
    yard.partner.hand_in("copy.edi", yard.partner.x12(6, "AW", &[("947", adjusted)]));
    let result = yard.partner.result("archive", "copy.edi").await;
    assert!(result.contains("947-A1 known"), "{result}");
    yard.berlin(29).await;
    let answered: Vec<String> = yard.partner.got("997").iter().map(|answer| answer.first("AK1")).collect();
    assert_eq!(answered, ["AK1*RE*2", "AK1*RE*3", "AK1*RE*4", "AK1*AW*5", "AK1*AW*6"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_lies_there_is_a_snapshot_that_is_held_where_it_looks_like_a_fault() {
    let yard = Yard::new(json!({})).await;
    let (date, time) = today();
    let inventory = |quantity: &str| {
        let line = format!("QTY*17*{quantity}*EA");
        segments(&[&format!("BIA*00*SI*1*{date}*{time}"), "N1*WH**ZZ*BLN1", "LIN*1*SK*MUG", &line, "CTT*1"])
    };
    yard.partner.hand_in("846.edi", yard.partner.x12(1, "IB", &[("846", inventory("9"))]));
    yard.berlin(9).await;
    yard.partner.hand_in("little.edi", yard.partner.x12(2, "IB", &[("846", inventory("1"))]));
    yard.server.told("guard").await;
    yard.berlin(9).await;
    // What could not be read is not taken for none.
    let unit = inventory("7").into_iter().map(|one| one.replace("*EA", "*PL")).collect();
    yard.partner.hand_in("pallets.edi", yard.partner.x12(3, "IB", &[("846", unit)]));
    let result = yard.partner.result("archive", "pallets.edi").await;
    assert!(result.contains("the setting `units.PL` says how many pieces that is"), "{result}");
    yard.berlin(9).await;
}

/// A customer who orders by EDI and is told what there is, in a folder of this machine.
async fn customer(id: &'static str, more: Value) -> (Server, Partner, tempfile::TempDir) {
    let partner = Partner::new(id);
    let at = json!({ "url": partner.root.to_str().unwrap() });
    customer_at(partner, at, more).await
}

/// A customer whose folder is reached as that says.
async fn customer_at(partner: Partner, at: Value, more: Value) -> (Server, Partner, tempfile::TempDir) {
    let folder = tempfile::tempdir().unwrap();
    let server = start(&folder.path().join("customer.db"));
    server.stocked("MUG", 10).await;
    let mut add = at;
    for (name, value) in [
        ("name", json!("Grocer")),
        ("kind", json!("edi")),
        ("location", json!("LONDON")),
        ("settings", partner.settings(&more)),
    ] {
        add[name] = value;
    }
    let (status, added) = server.post("/v1/systems", add).await;
    assert_eq!(status, StatusCode::CREATED, "{added}");
    (server, partner, folder)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_customer_orders_by_850_and_is_told_by_846() {
    orders_by_850_and_is_told_by_846(customer("GROCER", json!({ "out": "full", "item": "VN" })).await).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn over_sftp_a_customer_orders_by_850_and_is_told_by_846() {
    let partner = Partner::new("GROCER");
    let served = sftp_server::serve(&partner.root, true).await;
    let at = json!({ "url": served.url, "username": "partner", "secret": "secret" });
    let more = json!({ "out": "full", "item": "VN", "host_key": served.fingerprint });
    orders_by_850_and_is_told_by_846(customer_at(partner, at, more).await).await;
}

async fn orders_by_850_and_is_told_by_846(connected: (Server, Partner, tempfile::TempDir)) {
    let (server, partner, _folder) = connected;
    let first = partner.nth("846", 1).await;
    assert_eq!(
        (first.first("LIN"), first.first("QTY")),
        ("LIN*1*VN*MUG".to_owned(), "QTY*33*10*EA".to_owned())
    );
    let date = today().0;
    let order = segments(&[
        &format!("BEG*00*NE*4711**{date}"),
        "N1*ST*Ada Lovelace",
        "N3*1 Mill Road",
        "N4*Ely*NY*10001*US",
        "PO1*1*4*EA*9.50*PE*VN*MUG",
        "CTT*1",
    ]);
    partner.hand_in("850.edi", partner.x12(1, "PO", &[("850", order.clone())]));
    let ordered = comes_true(async || server.stock("MUG").await == (6, 4)).await;
    assert!(ordered, "{:?} {:?}", server.stock("MUG").await, server.troubles().await);
    let shows = async || partner.got("846").last().is_some_and(|last| last.first("QTY") == "QTY*33*6*EA");
    assert!(comes_true(shows).await, "{:?}", partner.got("846"));
    assert_eq!(partner.nth("997", 1).await.first("AK9"), "AK9*A*1*1*1");
    // The same order in another interchange is the same order.
    partner.hand_in("again.edi", partner.x12(2, "PO", &[("850", order)]));
    let result = partner.result("archive", "again.edi").await;
    assert!(result.contains("0 orders booked, 1 known"), "{result}");
    assert_eq!(server.stock("MUG").await, (6, 4));
    let last = partner.got("846").pop().unwrap();
    partner.hand_in("bad.edi", partner.acknowledgment(3, "IB", &last, "R"));
    let told =
        comes_true(async || server.troubles().await.iter().any(|one| one.contains("push_refused"))).await;
    assert!(told, "{:?}", server.troubles().await);
    partner.controls();
}

#[tokio::test(flavor = "multi_thread")]
async fn edifact_tells_numbers_both_ways_and_is_answered_by_contrl() {
    let set = json!({ "standard": "edifact", "our_id": "4000001000005", "our_qualifier": "14", "their_qualifier": "14", "out": "full" });
    let (server, partner, _folder) = customer("4000002000004", set).await;
    assert!(comes_true(async || !partner.texts("INVRPT").is_empty()).await, "{:?}", partner.names("out"));
    let sent = partner.texts("INVRPT").remove(0);
    assert!(sent.contains("UNB+UNOC:3+4000001000005:14+4000002000004:14+"), "{sent}");
    assert!(sent.contains("PIA+5+MUG:SA'") && sent.contains("QTY+145:10:PCE'"), "{sent}");
    let (date, time) = today();
    let report = |reference: &str, quantity: &str| {
        format!(
            "UNB+UNOC:3+4000002000004:14+4000001000005:14+{}:{time}+{reference}'\nUNH+1+INVRPT:D:96A:UN'\nBGM+35+{reference}+9'\n\
             DTM+137:{date}{time}:203'\nLIN+1'\nPIA+5+MUG:SA'\nQTY+145:{quantity}:PCE'\nLOC+18+main'\nUNT+8+1'\nUNZ+1+{reference}'\n",
            &date[2..]
        )
    };
    partner.hand_in("theirs.edi", report("A1", "10"));
    let result = partner.result("archive", "theirs.edi").await;
    assert!(result.contains("1 number compared"), "{result}");
    assert!(comes_true(async || !partner.texts("CONTRL").is_empty()).await, "{:?}", partner.names("out"));
    assert!(
        partner.texts("CONTRL")[0].contains("UCI+A1+4000002000004:14+4000001000005:14+7'"),
        "{:?}",
        partner.texts("CONTRL")
    );
    partner.hand_in("bad.edi", report("A2", "many"));
    let result = partner.result("failed", "bad.edi").await;
    assert!(result.contains("interchange A2, segment") || result.contains("segment 6 QTY"), "{result}");
    assert!(comes_true(async || partner.texts("CONTRL").len() == 2).await);
    let answer = partner.texts("CONTRL").remove(1);
    assert!(
        answer.contains("UCI+A2") && answer.contains("UCM+1+INVRPT:D:96A:UN+4'") && answer.contains("UCS+6'"),
        "{answer}"
    );
    // Ours was not understood there.
    let reference =
        sent[sent.find("UNB").unwrap()..].split('+').nth(5).unwrap().split('\'').next().unwrap().to_owned();
    let control = format!(
        "UNB+UNOC:3+4000002000004:14+4000001000005:14+{}:{time}+A3'\nUNH+1+CONTRL:4:1:UN'\n\
         UCI+{reference}+4000001000005:14+4000002000004:14+4+18'\nUNT+3+1'\nUNZ+1+A3'\n",
        &date[2..]
    );
    partner.hand_in("contrl.edi", control);
    let told =
        comes_true(async || server.troubles().await.iter().any(|one| one.contains("push_refused"))).await;
    assert!(told, "{:?} {:?}", server.troubles().await, partner.names("failed"));
    partner.controls();
}

#[tokio::test(flavor = "multi_thread")]
async fn settings_are_checked_when_they_are_given() {
    let folder = tempfile::tempdir().unwrap();
    let (server, partner) = (start(&folder.path().join("settings.db")), Partner::new("WAREHOUSE"));
    server.stocked("MUG", 1).await;
    let add = |settings: Value| json!({ "name": "Berlin", "kind": "edi", "url": partner.root.to_str().unwrap(), "settings": settings });
    for (settings, says) in [
        (json!({}), "`our_id` is missing"),
        (json!({ "our_id": "DEPOSITOR" }), "`their_id` is missing"),
        (partner.settings(&json!({ "version": "3040" })), "from `004010` on"),
        (partner.settings(&json!({ "usage": "real" })), "`production` or `test`"),
        (partner.settings(&json!({ "colour": "blue" })), "there is no setting `colour`"),
    ] {
        let (status, problem) = server.post("/v1/systems", add(settings)).await;
        assert_eq!(status, StatusCode::UNPROCESSABLE_ENTITY, "{problem}");
        assert!(problem.to_string().contains(says), "{says}: {problem}");
    }
    assert_eq!(server.get("/v1/systems").await.1["data"], json!([]));
    assert_eq!(partner.names("in"), Vec::<String>::new());
    let (status, added) = server.post("/v1/systems", add(partner.settings(&json!({})))).await;
    assert_eq!(status, StatusCode::CREATED, "{added}");
    // Who is told no numbers is sent nothing by being added.
    assert!(comes_true(async || partner.root.join("in").exists()).await);
    assert_eq!(partner.names("out"), Vec::<String>::new());
}
