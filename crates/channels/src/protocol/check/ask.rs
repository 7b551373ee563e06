//! Requests of the protocol, as bare as they are: a status, a body, whoever asks.

use onhand_ledger::Instant;
use reqwest::header::CONTENT_TYPE;
use reqwest::{Method, RequestBuilder};
use serde_json::Value;

use crate::date_in;

/// Asks one system.
#[derive(Clone)]
pub(super) struct Ask {
    url: String,
    token: Option<String>,
    http: reqwest::Client,
}

/// What was answered.
pub(super) struct Answered {
    /// Which request it was.
    asked: String,
    pub status: u16,
    /// When, by its clock.
    pub date: Option<Instant>,
    /// What it said, as it came.
    text: String,
}

impl Answered {
    /// The JSON of an answer that says that it was done.
    pub fn ok(self) -> Result<Value, String> {
        let Self { asked, status, text, .. } = self;
        let said: String = text.chars().take(200).collect();
        if !(200..300).contains(&status) {
            return Err(format!("{asked} is answered {status}: {said}"));
        }
        serde_json::from_str(&text)
            .map_err(|error| format!("{asked} is answered {status}, and {error} in {said}"))
    }
}

impl Ask {
    pub fn new(url: &str, token: &str, http: reqwest::Client) -> Self {
        Self { url: url.trim_end_matches('/').to_owned(), token: Some(token.to_owned()), http }
    }

    /// The same system, asked by somebody else.
    pub fn with_token(&self, token: Option<&str>) -> Self {
        Self { token: token.map(str::to_owned), ..self.clone() }
    }

    pub async fn get(&self, path: &str, query: &[(&str, &str)]) -> Result<Answered, String> {
        self.send(Method::GET, path, |request| request.query(query)).await
    }

    pub async fn put(&self, path: &str, body: &Value) -> Result<Answered, String> {
        self.send(Method::PUT, path, |request| {
            request.header(CONTENT_TYPE, "application/json").body(body.to_string())
        })
        .await
    }

    async fn send(
        &self,
        method: Method,
        path: &str,
        with: impl FnOnce(RequestBuilder) -> RequestBuilder,
    ) -> Result<Answered, String> {
        let asked = format!("{method} {path}");
        let mut request = with(self.http.request(method, format!("{}{path}", self.url)));
        if let Some(token) = &self.token {
            request = request.bearer_auth(token);
        }
        let failed = |error: reqwest::Error| format!("{asked} is not answered: {error}");
        let response = request.send().await.map_err(failed)?;
        let (status, date) = (response.status().as_u16(), date_in(response.headers()));
        let text = response.text().await.map_err(failed)?;
        Ok(Answered { asked, status, date, text })
    }
}
