//! Tries a case.

use std::collections::{BTreeMap, BTreeSet};

use axum::body::Body;
use axum::http::{Request, header};
use axum::response::Response;
use http_body_util::BodyExt as _;
use onhand_ledger::{Instant, TenantId};
use serde_json::{Value, json};

use super::line;
use super::support::{Shop, time};
use super::table::{Case, Step, Table, fill, is_refusal};

/// A key that was used for something else.
const USED: &str = "used before";

/// A request.
#[derive(Clone, Copy)]
pub struct Asked<'a> {
    pub method: &'a str,
    pub path: &'a str,
    pub key: Option<&'a str>,
    pub body: &'a str,
}

impl Asked<'_> {
    async fn answer(&self, shop: &Shop, token: &str) -> Response {
        let mut request = Request::builder()
            .method(self.method)
            .uri(self.path)
            .header(header::AUTHORIZATION, format!("Bearer {token}"));
        if let Some(key) = self.key {
            request = request.header("idempotency-key", key);
        }
        shop.send(request.body(Body::from(self.body.to_owned())).unwrap()).await
    }

    pub async fn send_as(&self, shop: &Shop, token: &str) -> (u16, Value) {
        let answer = self.answer(shop, token).await;
        (answer.status().as_u16(), serde_json::from_str(&text(answer).await).unwrap_or_default())
    }

    pub async fn send(&self, shop: &Shop) -> (u16, Value) {
        self.send_as(shop, &shop.key).await
    }
}

async fn text(answer: Response) -> String {
    let bytes = answer.into_body().collect().await.unwrap().to_bytes();
    String::from_utf8(bytes.to_vec()).unwrap()
}

/// The kind of a problem, by its `type`.
pub fn kind(problem: &Value) -> &str {
    problem["type"].as_str().and_then(|kind| kind.strip_prefix("/docs/errors#")).unwrap_or("none")
}

/// The operation of the document that a case is of.
pub fn template(declared: &BTreeSet<(String, String, u16, String)>, case: &Case) -> String {
    let is_at = |template: &str| {
        let (ours, theirs): (Vec<&str>, Vec<&str>) =
            (case.path.split('/').collect(), template.split('/').collect());
        let same = |(ours, theirs): (&&str, &&str)| ours == theirs || theirs.starts_with('{');
        ours.len() == theirs.len() && ours.iter().zip(&theirs).all(same)
    };
    // `/v1/items/twins` is no item's.
    let mut found: Vec<&String> = declared
        .iter()
        .filter(|(method, template, ..)| *method == case.method && is_at(template))
        .map(|(_, template, ..)| template)
        .collect();
    found.sort_by_key(|template| template.matches('{').count());
    match found.first() {
        Some(template) => (*template).clone(),
        None => panic!("{} is declared", case.header()),
    }
}

/// A case in a shop of its own.
pub struct Trial<'c> {
    pub case: &'c Case,
    pub shop: Shop,
    words: BTreeMap<String, String>,
}

/// What is not as it should be.
type Wrong = String;

fn must(is: bool, what: impl FnOnce() -> String) -> Result<(), Wrong> {
    if is { Ok(()) } else { Err(what()) }
}

impl<'c> Trial<'c> {
    pub async fn begin(table: &Table, case: &'c Case) -> Self {
        let mut trial = Self { case, shop: Shop::open().await, words: table.words() };
        if case.path.contains("/users/boss") {
            trial.shop.boss().await;
        }
        if case.path.contains("$operator") {
            let operator = trial.shop.operator().await;
            trial.words.insert("operator".to_owned(), operator);
        }
        let world = trial.filled("$world");
        for answer in trial.lines(&world.lines().map(str::to_owned).collect::<Vec<_>>()).await {
            assert!(answer["error"].is_null(), "the world: {answer}");
        }
        for step in &case.given {
            trial.step(step).await;
        }
        trial
    }

    /// With what its words stand for.
    pub fn filled(&self, text: &str) -> String {
        let filled = fill(&self.words, text);
        assert!(!filled.contains('$'), "{}: a word of `{filled}` stands for nothing", self.case.header());
        filled
    }

    async fn step(&mut self, step: &Step) {
        match step {
            Step::At(at) => self.shop.clock.set(Instant::parse(&time(at)).unwrap()),
            Step::Post { path, body, keep } => {
                let (path, body) = (self.filled(path), self.filled(body));
                let asked = Asked { method: "POST", path: &path, key: None, body: &body };
                let (status, answer) = asked.send(&self.shop).await;
                assert!(
                    (200..300).contains(&status),
                    "{}: given {path} {body}: {answer}",
                    self.case.header()
                );
                if let Some((name, pointer)) = keep {
                    let kept = answer.pointer(pointer).unwrap_or_else(|| panic!("{pointer} of {answer}"));
                    self.words.insert(name.clone(), kept.to_string());
                }
            }
        }
    }

    /// What lines are answered.
    pub async fn lines(&self, lines: &[String]) -> Vec<Value> {
        let body = lines.join("\n");
        let asked = Asked { method: "POST", path: "/v1/commands", key: None, body: &body };
        let answer = text(asked.answer(&self.shop, &self.shop.key).await).await;
        answer.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    /// The last entry of the log, and all stock.
    async fn is(&self) -> (u64, String) {
        let asked = Asked { method: "GET", path: "/v1/stock/report", key: None, body: "" };
        let stock = text(asked.answer(&self.shop, &self.shop.key).await).await;
        assert!(stock.contains("MUG,"), "{stock}");
        let ledger = self.shop.handle.ledger();
        (ledger.read(TenantId::DEFAULT, |view| Ok(view.seq())).unwrap(), stock)
    }

    /// The problem that it should be?
    fn check(&self, (status, problem): &(u16, Value)) -> Result<(), Wrong> {
        let case = self.case;
        let names = self.filled(&case.names);
        must((*status, kind(problem)) == (case.status(), &case.kind), || format!("{status} {problem}"))?;
        must(problem["status"] == *status, || format!("its status: {problem}"))?;
        let detail = problem["detail"].as_str().unwrap_or_default();
        must(!names.trim().is_empty() && detail.contains(&names), || {
            format!("does not name `{names}`: {detail}")
        })?;
        must(detail.len() > 12 && problem["title"] != "", || format!("says nothing: {problem}"))
    }

    pub async fn run(self) -> Result<(), Wrong> {
        match self.case.method.as_str() {
            "LINE" => self.as_line(&self.filled(&self.case.body)).await,
            _ => self.at_endpoint().await,
        }
    }

    async fn at_endpoint(&self) -> Result<(), Wrong> {
        let case = self.case;
        let (path, body) = (self.filled(&case.path), self.filled(&case.body));
        let asked = Asked { method: &case.method, path: &path, key: None, body: &body };
        self.shop.accepted_with(USED).await;
        let before = self.is().await;
        if case.kind == "key_reused" {
            return self.check(&Asked { key: Some(USED), ..asked }.send(&self.shop).await);
        }
        self.check(&asked.send(&self.shop).await)?;
        must(self.is().await == before, || "something has changed".to_owned())?;
        // These take no key.
        if ["/v1/keys", "/v1/sign-on"].contains(&case.path.as_str()) || case.path.starts_with("/v1/users") {
            return Ok(());
        }
        if !case.edge {
            let (status, problem) = Asked { key: Some(USED), ..asked }.send(&self.shop).await;
            must((status, kind(&problem)) == (409, "key_reused"), || {
                format!("a used key: {status} {problem}")
            })?;
            let (_, command) = line::command_of(&case.method, &path, &body);
            self.as_line(&command.to_string()).await?;
        }
        let before = self.is().await;
        let key = Some("a key");
        let first = Asked { key, ..asked }.send(&self.shop).await;
        self.check(&first)?;
        // A dry run keeps nothing.
        let stands = is_refusal(&case.kind) && !case.path.ends_with("/preview");
        let kept = u64::from(stands);
        let (seq, stock) = self.is().await;
        must(stock == before.1, || "stock has changed".to_owned())?;
        must(seq == before.0 + kept, || format!("{} entries, not {kept}", seq - before.0))?;
        if stands {
            // It stands: word for word, and says so.
            let again = Asked { key, ..asked }.answer(&self.shop, &self.shop.key).await;
            must(again.headers().get("idempotent-replayed").is_some(), || "it is not told again".to_owned())?;
            let again: Value = serde_json::from_str(&text(again).await).unwrap();
            must(again == first.1, || format!("another answer: {again}"))?;
            must(self.is().await == (seq, stock), || "told again it changed something".to_owned())
        } else {
            // Its key stays free.
            let other = Asked { method: "POST", path: "/v1/locations", key, body: r#"{"code":"FREE"}"# };
            let (status, answer) = other.send(&self.shop).await;
            must(status == 200, || format!("its key is taken: {answer}"))
        }
    }

    /// A line says the same as the endpoint, by itself and in a group.
    async fn as_line(&self, command: &str) -> Result<(), Wrong> {
        let before = self.is().await;
        let alone = self.lines(&[format!(r#"{{"body":{command}}}"#)]).await;
        let [alone] = alone.as_slice() else { return Err(format!("{} answers to a line", alone.len())) };
        let status = alone["error"]["status"].as_u64().and_then(|status| u16::try_from(status).ok());
        self.check(&(status.unwrap_or_default(), alone["error"].clone()))
            .map_err(|why| format!("as a line {command}: {why}"))?;
        // What has happened is in no group; what is noted or a group itself neither.
        if !["record", "noted", "group"].iter().any(|not| command.starts_with(&format!("{{\"{not}\""))) {
            must(self.is().await == before, || "a line has changed something".to_owned())?;
            let lines = [r#""tick""#, command].map(|body| format!(r#"{{"group":"g","body":{body}}}"#));
            let told = self.lines(&lines).await;
            let kinds: Vec<&str> = told.iter().map(|told| kind(&told["error"])).collect();
            must(kinds == ["group", &self.case.kind], || format!("in a group: {told:?}"))?;
            // The group has a key: its name.
            let kept = u64::from(is_refusal(&self.case.kind));
            let (seq, stock) = self.is().await;
            must((seq - kept, stock) == before, || "a group has changed something".to_owned())?;
        }
        Ok(())
    }
}

impl Shop {
    /// Uses a key for something.
    async fn accepted_with(&self, key: &str) {
        let (status, answer) = self.call("/v1/locations", Some(key), Some(json!({ "code": "USED" }))).await;
        assert!(status.is_success(), "{answer}");
    }
}
