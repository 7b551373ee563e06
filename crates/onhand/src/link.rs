//! How a command reaches the ledger: over HTTP where a server holds the file, in process where none does.

use std::path::Path;

use anyhow::{Context as _, anyhow, bail};
use axum::Router;
use axum::body::Body;
use axum::http::{Method, Request, header};
use http_body_util::BodyExt as _;
use indicatif::ProgressBar;
use onhand_engine::{Ledger, Verified};
use onhand_ledger::{Answer, Command, Entry, Quantity, Seq, TenantId};
use onhand_store::StoreError;
use onhand_web::VerifyBody;
use onhand_web::auth::{Caller, Right};
use onhand_web::{Cause, Role};
use serde::Deserialize;
use serde_json::{Value, json};
use tower::ServiceExt as _;

use crate::database::Database;
use crate::runtime::Runtime;
use crate::tls;

/// A way to the API.
pub(crate) enum Link {
    /// Of this process.
    Local { runtime: Box<Runtime>, router: Router },
    /// Of the server that holds the file.
    Remote { base: String, key: String, http: reqwest::Client },
}

/// What came of one command.
#[derive(Debug, Default)]
pub(crate) struct LineResult {
    /// Why it was not done: no command, or refused.
    pub error: Option<String>,
    /// It was told before.
    pub already_applied: bool,
    /// Of a document: how much its lines are short of.
    pub short: Quantity,
}

impl LineResult {
    fn failed(error: impl ToString) -> Self {
        Self { error: Some(error.to_string()), ..Self::default() }
    }
}

/// A result as the API gives it: what is needed of it.
#[derive(Deserialize)]
struct RemoteResult {
    #[serde(default)]
    answer: RemoteAnswer,
    error: Option<RemoteProblem>,
}

#[derive(Default, Deserialize)]
struct RemoteAnswer {
    result: Option<String>,
    explanation: Option<String>,
    #[serde(default)]
    lines: Vec<RemoteLine>,
}

#[derive(Deserialize)]
struct RemoteLine {
    #[serde(default)]
    short: Quantity,
}

#[derive(Deserialize)]
struct RemoteProblem {
    detail: String,
}

impl From<RemoteResult> for LineResult {
    fn from(told: RemoteResult) -> Self {
        match (told.error, told.answer) {
            (Some(problem), _) => Self::failed(problem.detail),
            (None, answer) if answer.result.as_deref() == Some("waiting") => {
                Self::failed(answer.explanation.unwrap_or_default())
            }
            (None, answer) => Self {
                error: None,
                already_applied: answer.result.as_deref() == Some("already_applied"),
                short: answer.lines.iter().map(|line| line.short).sum(),
            },
        }
    }
}

impl From<Answer> for LineResult {
    fn from(answer: Answer) -> Self {
        match answer {
            Answer::Refused(refusal) => Self::failed(refusal),
            Answer::Waiting(_, sentence) => Self::failed(sentence),
            Answer::AlreadyApplied { .. } => Self { already_applied: true, ..Self::default() },
            Answer::Recorded { lines, .. } => {
                Self { short: lines.iter().map(|line| line.short).sum(), ..Self::default() }
            }
            _ => Self::default(),
        }
    }
}

/// A page of the change feed: what is needed of it.
#[derive(Deserialize)]
struct Changes {
    data: Vec<Change>,
    has_more: bool,
    next_after: Seq,
}

#[derive(Deserialize)]
struct Change {
    document: Option<String>,
    entries: Vec<Entry>,
}

fn caller(tenant: TenantId) -> Caller {
    Caller { tenant, name: "operator".to_owned(), rights: Right::ALL.to_vec(), rate: None, role: Role::Admin }
}

impl Link {
    /// To the ledger of a database.
    pub fn open(database: &Database) -> anyhow::Result<Self> {
        match database.open() {
            Ok(store) => {
                let runtime = Box::new(Runtime::open(store)?);
                let router = runtime.router();
                Ok(Self::Local { runtime, router })
            }
            Err(StoreError::InUse { holder: Some(holder), .. }) => {
                let mut lines = holder.lines().map(ToOwned::to_owned);
                let base = lines.next().unwrap_or_default();
                let key = match std::env::var("ONHAND_KEY") {
                    Ok(key) => key,
                    Err(_) => std::fs::read_to_string(database.key_file()).with_context(|| {
                        format!(
                            "{database} is served at {base}: set ONHAND_KEY to an API key (none is in {})",
                            database.key_file().display()
                        )
                    })?,
                };
                let client = reqwest::Client::builder().no_proxy();
                // Who holds the file is a process of this machine, and said in the file's lock which certificate it has: of whatever name
                // others know it by, but that one.
                let client = match lines.next() {
                    Some(file) => client.use_preconfigured_tls(tls::trusting_that(Path::new(&file))?),
                    None => client,
                };
                let http = client.build()?;
                Ok(Self::Remote { base, key: key.trim().to_owned(), http })
            }
            Err(error) => Err(error.into()),
        }
    }

    /// To the ledger of a database that is there: what only reads makes none.
    pub fn open_existing(database: &Database) -> anyhow::Result<Self> {
        database.must_be_there()?;
        Self::open(database)
    }

    async fn send(
        &self,
        tenant: TenantId,
        method: Method,
        path: &str,
        body: Option<Vec<u8>>,
    ) -> anyhow::Result<(u16, Vec<u8>)> {
        match self {
            Self::Local { router, .. } => {
                let mut request = Request::builder()
                    .method(method)
                    .uri(path)
                    .header(header::CONTENT_TYPE, "application/json")
                    .body(body.map_or_else(Body::empty, Body::from))?;
                request.extensions_mut().insert(caller(tenant));
                let response = router.clone().oneshot(request).await.map_err(|never| match never {})?;
                // Whoever is here has the database in hand: its own words are for them.
                if let Some(Cause(why)) = response.extensions().get() {
                    bail!("{why}");
                }
                let status = response.status().as_u16();
                Ok((status, response.into_body().collect().await?.to_bytes().to_vec()))
            }
            Self::Remote { .. } if tenant != TenantId::DEFAULT => {
                bail!(
                    "a server has the database: set ONHAND_KEY to a key of that tenant, and leave the tenant out"
                )
            }
            Self::Remote { base, key, http } => {
                let mut request = http.request(method, format!("{base}{path}")).bearer_auth(key);
                if let Some(body) = body {
                    request = request.header(header::CONTENT_TYPE, "application/json").body(body);
                }
                let answered = request.send().await.map_err(|error| {
                    if tls::is_of_another(&error) {
                        return anyhow!(
                            "the server at {base} shows another certificate than the one in its file (--tls-cert). Where that was just renewed, try \
                             again in ten seconds; else it is not the server, and was told nothing"
                        );
                    }
                    anyhow::Error::from(error).context(format!("the server at {base} does not answer"))
                });
                let response = answered?;
                Ok((response.status().as_u16(), response.bytes().await?.to_vec()))
            }
        }
    }

    /// Calls the API. A problem's detail becomes the error.
    pub async fn call(&self, method: Method, path: &str, body: Option<&Value>) -> anyhow::Result<Value> {
        self.call_for(TenantId::DEFAULT, method, path, body).await
    }

    /// As [`Link::call`], for another tenant than the first: where no server has the database.
    pub async fn call_for(
        &self,
        tenant: TenantId,
        method: Method,
        path: &str,
        body: Option<&Value>,
    ) -> anyhow::Result<Value> {
        let body = body.map(serde_json::to_vec).transpose()?;
        let (status, bytes) = self.send(tenant, method, path, body).await?;
        let value: Value = serde_json::from_slice(&bytes)
            .with_context(|| format!("the server answered {status} with something that is no JSON"))?;
        if status >= 400 {
            match value.get("detail").and_then(Value::as_str) {
                Some(detail) => bail!("{detail}"),
                None => bail!("the server answered {status}: {value}"),
            }
        }
        Ok(value)
    }

    /// Reads.
    pub async fn get(&self, path: &str) -> anyhow::Result<Value> {
        self.call(Method::GET, path, None).await
    }

    /// Changes something.
    pub async fn post(&self, path: &str, body: &Value) -> anyhow::Result<Value> {
        self.call(Method::POST, path, Some(body)).await
    }

    /// Ends something.
    pub async fn delete(&self, path: &str) -> anyhow::Result<Value> {
        self.call(Method::DELETE, path, Some(&serde_json::json!({}))).await
    }

    /// Reads something long, part by part as it comes.
    pub async fn stream(
        &self,
        path: &str,
        mut part: impl FnMut(&[u8]) -> std::io::Result<()>,
    ) -> anyhow::Result<()> {
        let told = |status: u16, bytes: &[u8]| {
            let problem: Value = serde_json::from_slice(bytes).unwrap_or_default();
            match problem.get("detail").and_then(Value::as_str) {
                Some(detail) => anyhow::anyhow!("{detail}"),
                None => anyhow::anyhow!("the server answered {status}"),
            }
        };
        match self {
            Self::Local { router, .. } => {
                let mut request = Request::builder().uri(path).body(Body::empty())?;
                request.extensions_mut().insert(caller(TenantId::DEFAULT));
                let response = router.clone().oneshot(request).await.map_err(|never| match never {})?;
                let status = response.status().as_u16();
                let mut body = response.into_body();
                if status >= 400 {
                    return Err(told(status, &body.collect().await?.to_bytes()));
                }
                while let Some(frame) = body.frame().await {
                    if let Ok(bytes) = frame?.into_data() {
                        part(&bytes)?;
                    }
                }
            }
            Self::Remote { base, key, http } => {
                let request = http.get(format!("{base}{path}")).bearer_auth(key);
                let mut response =
                    request.send().await.with_context(|| format!("the server at {base} does not answer"))?;
                let status = response.status().as_u16();
                if status >= 400 {
                    return Err(told(status, &response.bytes().await?));
                }
                while let Some(bytes) = response.chunk().await.context("the answer ended before its end")? {
                    part(&bytes)?;
                }
            }
        }
        Ok(())
    }

    /// Sends a file, and reads what is answered line by line as it comes.
    pub async fn send_file(
        &self,
        path: &str,
        file: std::fs::File,
        key: Option<&str>,
        mut line: impl FnMut(&[u8]) -> anyhow::Result<()>,
    ) -> anyhow::Result<()> {
        let body = reqwest::Body::from(tokio::fs::File::from_std(file));
        let problem = |status: u16, bytes: &[u8]| {
            let told: Value = serde_json::from_slice(bytes).unwrap_or_default();
            match told.get("detail").and_then(Value::as_str) {
                Some(detail) => anyhow::anyhow!("{detail}"),
                None => anyhow::anyhow!("the server answered {status}"),
            }
        };
        let mut lines = Lines::default();
        match self {
            Self::Local { router, .. } => {
                let request = Request::post(path).header(header::CONTENT_TYPE, "application/octet-stream");
                let request = match key {
                    Some(key) => request.header("idempotency-key", key),
                    None => request,
                };
                let mut request = request.body(Body::new(body))?;
                request.extensions_mut().insert(caller(TenantId::DEFAULT));
                let response = router.clone().oneshot(request).await.map_err(|never| match never {})?;
                let status = response.status().as_u16();
                let mut body = response.into_body();
                if status >= 400 {
                    return Err(problem(status, &body.collect().await?.to_bytes()));
                }
                while let Some(frame) = body.frame().await {
                    if let Ok(bytes) = frame?.into_data() {
                        lines.add(&bytes, &mut line)?;
                    }
                }
            }
            Self::Remote { base, key: own, http } => {
                let mut request = http.post(format!("{base}{path}")).bearer_auth(own).body(body);
                request = request.header(header::CONTENT_TYPE, "application/octet-stream");
                if let Some(key) = key {
                    request = request.header("idempotency-key", key);
                }
                let response =
                    request.send().await.with_context(|| format!("the server at {base} does not answer"))?;
                let status = response.status().as_u16();
                if status >= 400 {
                    return Err(problem(status, &response.bytes().await?));
                }
                let mut response = response;
                while let Some(bytes) = response.chunk().await.context("the answer ended before its end")? {
                    lines.add(&bytes, &mut line)?;
                }
            }
        }
        Ok(())
    }

    /// Runs commands in order; one result for each.
    pub async fn commands(&self, commands: Vec<Command>) -> anyhow::Result<Vec<LineResult>> {
        if let Self::Local { runtime, .. } = self {
            let ledger = runtime.handle.ledger().clone();
            let submissions = commands.into_iter().map(|command| onhand_engine::Submission {
                tenant: TenantId::DEFAULT,
                command: Some(command),
                notes: Vec::new(),
            });
            let submissions: Vec<_> = submissions.collect();
            let results = tokio::task::spawn_blocking(move || ledger.commit(submissions)).await?;
            return results
                .into_iter()
                .map(|result| match result {
                    Ok(committed) => Ok(committed.answer.into()),
                    Err(onhand_engine::CommitError::Invalid(invalid)) => Ok(LineResult::failed(invalid)),
                    Err(error) => Err(error.into()),
                })
                .collect();
        }
        let mut body = Vec::new();
        for command in &commands {
            let line = serde_json::json!({ "key": command.key, "body": command.body });
            serde_json::to_writer(&mut body, &line)?;
            body.push(b'\n');
        }
        let (status, bytes) = self.send(TenantId::DEFAULT, Method::POST, "/v1/commands", Some(body)).await?;
        if status >= 400 {
            bail!("the server answered {status}: {}", String::from_utf8_lossy(&bytes));
        }
        let results = bytes.split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
        let results: Vec<LineResult> = results
            .map(|line| serde_json::from_slice::<RemoteResult>(line).map(LineResult::from))
            .collect::<Result<_, _>>()
            .context("the server answered with something that is no result")?;
        if results.len() != commands.len() {
            bail!("the server answered {} of {} commands; run it again", results.len(), commands.len());
        }
        Ok(results)
    }

    /// Shows every record after an entry, as the change feed tells it: the outside document it comes from, if any, and
    /// its entries.
    pub async fn changes(
        &self,
        mut after: Seq,
        mut seen: impl FnMut(Option<&str>, &[Entry]),
    ) -> anyhow::Result<()> {
        if let Self::Local { runtime, .. } = self {
            let ledger = runtime.handle.ledger();
            loop {
                let records = ledger.read(TenantId::DEFAULT, |view| view.records_after(after, 1_000))?;
                for (first, record) in &records {
                    seen(record.document.as_ref().map(|(_, name)| name.as_str()), &record.entries);
                    after = first + record.entries.len() as Seq - 1;
                }
                if records.is_empty() {
                    return Ok(());
                }
            }
        }
        loop {
            let path = format!("/v1/changes?limit=100&after={after}");
            let (status, bytes) = self.send(TenantId::DEFAULT, Method::GET, &path, None).await?;
            if status >= 400 {
                bail!("the server answered {status}: {}", String::from_utf8_lossy(&bytes));
            }
            let page: Changes = serde_json::from_slice(&bytes)?;
            for change in &page.data {
                seen(change.document.as_deref(), &change.entries);
            }
            if !page.has_more {
                return Ok(());
            }
            after = page.next_after;
        }
    }

    /// The ledger's audit of itself; `progress` shows how far it is where it runs in this process.
    pub async fn verify(&self, progress: &ProgressBar) -> anyhow::Result<Value> {
        let Self::Local { runtime, .. } = self else {
            return self.post("/v1/verify", &json!({})).await;
        };
        let ledger = runtime.handle.ledger().clone();
        let bar = progress.clone();
        let found = tokio::task::spawn_blocking(move || audit(&ledger, &bar)).await??;
        progress.finish_and_clear();
        Ok(found)
    }

    /// Ends it cleanly: tables are written.
    pub async fn close(self) -> anyhow::Result<()> {
        match self {
            Self::Local { runtime, router } => {
                drop(router);
                runtime.stop().await
            }
            Self::Remote { .. } => Ok(()),
        }
    }
}

/// The audit of all tenants: figures added up, the head's hash of the first, and the first violation.
pub(crate) fn audit(ledger: &Ledger, progress: &ProgressBar) -> Result<Value, StoreError> {
    let mut tenants = ledger.all_tenants()?;
    if tenants.is_empty() {
        tenants.push(TenantId::DEFAULT);
    }
    let mut all = None::<Verified>;
    for tenant in &tenants {
        let before = progress.position();
        progress.set_length(before + ledger.read(*tenant, |view| Ok(view.seq()))?);
        let found =
            onhand_engine::verify(ledger, *tenant, &mut |entries| progress.set_position(before + entries))?;
        let known = match all {
            None => found,
            Some(all) => Verified {
                entries: all.entries + found.entries,
                movements: all.movements + found.movements,
                cells: all.cells + found.cells,
                objects: all.objects + found.objects,
                keys: all.keys + found.keys,
                head_hash: all.head_hash,
                violation: found.violation,
            },
        };
        let is_violated = known.violation.is_some();
        all = Some(known);
        if is_violated {
            let mut told = serde_json::to_value(all.map(VerifyBody::from)).unwrap_or_default();
            if tenants.len() > 1 {
                let violation = told["violation"].as_str().unwrap_or_default();
                told["violation"] = json!(format!("tenant {tenant}: {violation}"));
            }
            return Ok(told);
        }
    }
    let mut told = serde_json::to_value(all.map(VerifyBody::from)).unwrap_or_default();
    told["tenants"] = json!(tenants.len());
    Ok(told)
}

/// Lines of what comes in parts.
#[derive(Default)]
struct Lines(Vec<u8>);

impl Lines {
    fn add(
        &mut self,
        bytes: &[u8],
        line: &mut impl FnMut(&[u8]) -> anyhow::Result<()>,
    ) -> anyhow::Result<()> {
        self.0.extend_from_slice(bytes);
        let mut start = 0;
        while let Some(length) = self.0[start..].iter().position(|byte| *byte == b'\n') {
            line(&self.0[start..start + length])?;
            start += length + 1;
        }
        self.0.drain(..start);
        Ok(())
    }
}

/// A path segment, percent-encoded. Dots alone mean a folder, encoded or not, and would lead to another page.
pub(crate) fn segment(text: &str) -> anyhow::Result<String> {
    if text.bytes().all(|byte| byte == b'.') {
        bail!("`{text}` is no name: one of dots only (or of nothing) cannot be part of an address");
    }
    Ok(encoded(text))
}

/// Text as a part of an address, percent-encoded.
pub(crate) fn encoded(text: &str) -> String {
    let keep = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.~".contains(&byte);
    let encoded = text
        .bytes()
        .map(|byte| if keep(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") });
    encoded.collect()
}
