//! What every changing request has: a caller, perhaps a key, a body; and how it is handed to the ledger.

use axum::Json;
use axum::extract::{FromRequest, Request};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use onhand_engine::{CommitError, Committed, SubmitError, View};
use onhand_ledger::command::Noted;
use onhand_ledger::{Answer, Body, Command, Date, Instant, Invalid, Seq};
use onhand_store::{Note, StoreError};
use serde::Serialize;
use serde::de::DeserializeOwned;
use tracing::Instrument as _;

use crate::App;
use crate::auth::Caller;
use crate::blocking::blocking;
use crate::body;
use crate::error::Problem;
use crate::{seen, trace};

/// A request that changes something.
pub(crate) struct Ask<T> {
    pub caller: Caller,
    pub key: Option<String>,
    pub fingerprint: u64,
    pub body: T,
}

pub(super) fn idempotency_key(headers: &HeaderMap) -> Result<Option<String>, Problem> {
    let Some(value) = headers.get("idempotency-key") else { return Ok(None) };
    match value.to_str() {
        // A tab is no error to `to_str`, and cannot be seen.
        Ok(key) if (1..=255).contains(&key.len()) && !key.contains('\t') => Ok(Some(key.to_owned())),
        _ => {
            let detail = "Idempotency-Key must have 1 to 255 visible ASCII characters";
            let title = "The key is not as it must be";
            Err(Problem::new(StatusCode::BAD_REQUEST, "key", title, detail).field("Idempotency-Key"))
        }
    }
}

impl<T: DeserializeOwned> FromRequest<App> for Ask<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, _: &App) -> Result<Self, Problem> {
        let caller = request.extensions().get::<Caller>().cloned();
        let caller = caller.ok_or_else(|| Problem::unauthorised("send an API key"))?;
        let key = idempotency_key(request.headers())?;
        let mut hasher = blake3::Hasher::new();
        hasher.update(request.method().as_str().as_bytes());
        hasher.update(request.uri().path().as_bytes());
        let bytes = body::read(request).await?;
        hasher.update(&bytes);
        let fingerprint = hasher.finalize();
        let head = fingerprint.as_bytes().first_chunk::<8>().copied().unwrap_or_default();
        let text: &[u8] = if bytes.is_empty() { b"{}" } else { &bytes };
        let body = body::parse("the body", text)?;
        Ok(Self { caller, key, fingerprint: u64::from_be_bytes(head), body })
    }
}

impl<T> Ask<T> {
    /// Hands a command to the ledger. A refusal of the business is a problem.
    pub async fn submit(&self, app: &App, body: Body) -> Result<Committed, Problem> {
        self.submit_about(app, body, None).await
    }

    /// As [`Ask::submit`], where the address names an item by its SKU: where that is none, nothing is at the address.
    pub async fn submit_about(&self, app: &App, body: Body, sku: Option<&str>) -> Result<Committed, Problem> {
        self.submit_noting(app, body, sku, Vec::new()).await
    }

    /// As [`Ask::submit_about`], with notes that are committed with it.
    pub async fn submit_noting(
        &self,
        app: &App,
        body: Body,
        sku: Option<&str>,
        notes: Vec<Note>,
    ) -> Result<Committed, Problem> {
        self.caller.may(&body)?;
        let command = Command {
            key: self.key.clone(),
            fingerprint: self.fingerprint,
            actor: self.caller.name.clone(),
            body,
        };
        let places = app.fair.of(self.caller.tenant);
        let submitted = async {
            let _place = places.to_ask().await?;
            app.handle.submit_with(self.caller.tenant, Some(command), notes).await
        };
        let committed = submitted.instrument(trace::commit()).await.map_err(|error| match error {
            SubmitError::Commit(CommitError::Invalid(Invalid::UnknownSku(named)))
                if sku == Some(named.as_str()) =>
            {
                Problem::unknown("item with the SKU", named)
            }
            error => error.into(),
        })?;
        match committed.answer {
            Answer::Refused(refusal) => {
                let mut problem = Problem::from(refusal);
                problem.replayed = committed.replayed;
                Err(problem)
            }
            _ => Ok(committed),
        }
    }
}

/// An answer, saying whether it was given before, and the `seq` a read must have reached to see it.
pub(crate) fn reply(status: StatusCode, committed: &Committed, body: impl Serialize) -> Response {
    let mut response = (status, Json(body)).into_response();
    let headers = response.headers_mut();
    headers.insert("onhand-seq", committed.seq.into());
    if committed.replayed {
        headers.insert("idempotent-replayed", axum::http::HeaderValue::from_static("true"));
    }
    response
}

/// Reads at one `seq`, after what time has ended by now is committed; at or after the entry that the request names as `min_seq`.
pub(crate) async fn read<T>(
    app: &App,
    caller: &Caller,
    read: impl FnOnce(&mut View<'_>) -> Result<T, StoreError>,
) -> Result<T, Problem> {
    let ledger = app.handle.ledger();
    let (at_least, mut waiting) = (seen::at_least(), seen::Waiting::begin());
    let (mut read, mut may_be_overdue) = (Some(read), true);
    let places = app.fair.of(caller.tenant);
    loop {
        let look = || {
            ledger.read(caller.tenant, |view| {
                if may_be_overdue && view.overdue() {
                    return Ok(Found::Overdue);
                }
                let seq = view.seq();
                match read.take_if(|_| seq >= at_least) {
                    Some(read) => Ok(Found::Answer(seq, read(view)?)),
                    None => Ok(Found::Behind(seq)),
                }
            })
        };
        let found = async {
            let _place = places.to_read().await;
            blocking(look).await
        };
        match found.instrument(trace::read()).await? {
            Found::Answer(seq, answer) => {
                seen::saw(seq);
                return Ok(answer);
            }
            Found::Behind(seq) => waiting.look_again(at_least, seq).await?,
            Found::Overdue => {
                let tick =
                    Command { key: None, fingerprint: 0, actor: "onhand".to_owned(), body: Body::Tick };
                match app.handle.submit(caller.tenant, tick).await {
                    Ok(_) | Err(SubmitError::Busy) => may_be_overdue = false,
                    Err(error) => return Err(error.into()),
                }
            }
        }
    }
}

/// So many listings are looked at in one read.
const COUNTED: usize = 250;

/// Looks at all listings that nobody has looked at yet, some at a time, before it is asked what they come to: meanwhile others commit.
pub(crate) async fn count(app: &App, caller: &Caller) -> Result<(), Problem> {
    while !read(app, caller, |view| view.count_some(COUNTED)).await? {}
    Ok(())
}

/// What a look at the ledger found.
enum Found<T> {
    Answer(Seq, T),
    /// The log ends there, before what is asked for.
    Behind(Seq),
    /// Time has ended something that is not committed yet.
    Overdue,
}

/// A command with the paper it was done by and free words, where there are any.
pub(crate) fn noted(body: Body, reference: Option<&String>, note: Option<&String>) -> Body {
    match (reference, note) {
        (None, None) => body,
        _ => Body::Noted(Box::new(Noted { reference: reference.cloned(), note: note.cloned(), body })),
    }
}

/// An optional RFC 3339 instant.
pub(crate) fn instant(field: &str, text: Option<&str>) -> Result<Option<Instant>, Problem> {
    text.map(Instant::parse).transpose().map_err(|error| {
        let title = "A time is not as it must be";
        Problem::new(StatusCode::UNPROCESSABLE_ENTITY, "time", title, error.to_string()).field(field)
    })
}

/// An optional day of the calendar, such as 2026-12-01.
pub(crate) fn date(field: &str, text: Option<&str>) -> Result<Option<Date>, Problem> {
    let Some(text) = text else { return Ok(None) };
    // A longer text is an instant, whose day depends on where one is.
    let day = text.parse::<Date>().ok().filter(|day| day.to_string() == text);
    day.map(Some).ok_or_else(|| {
        let shown: String = text.chars().take(40).collect();
        let detail = format!("`{shown}` is not a day such as 2026-12-01");
        let title = "A day is not as it must be";
        Problem::new(StatusCode::UNPROCESSABLE_ENTITY, "date", title, detail).field(field)
    })
}
