//! Asking SKULabs: who we are there, how often we may ask, and what its answers mean.
//!
//! - A key lets us in, as a bearer token (<https://skulabs.mintlify.app/getting-started/authentication>). It is ended after 30 days of not being used
//!   (<https://github.com/skulabs/docs/blob/main/best-practices/rules.mdx>).
//! - It may be used twice a second, and the account has a bucket an hour by its plan; what is over is answered 429 with the seconds to wait, which may
//!   be an hour (<https://skulabs.mintlify.app/getting-started/rate-limits>). No answer says what is left, so calls are counted out here.
//! - Calls that set many numbers lock the account: another meanwhile is refused, and is to be sent again until it is taken (the same page). By which
//!   status is not said; *assumed*: 409, 423 or 429, and anything else is told as a refusal.
//! - Statuses: <https://skulabs.mintlify.app/best-practices/handling-status-codes>.

use std::time::Duration;

use reqwest::{Method, StatusCode};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::wire;
use crate::address::without_api;
use crate::peer::{self, Peer, must_be_private};
use crate::{ANSWERS_WITHIN, ChannelError, why_lost};

/// So many rows are asked for in one call. How many it gives at most is not said: a page of fewer than [`SURELY`] is the last.
const ROWS: usize = 500;
/// So many rows its own examples ask for (`limit`, <https://skulabs.mintlify.app/api-docs/item/get>): it gives as many, if there are.
const SURELY: usize = 50;
/// More pages than these of one list are a list without an end.
const PAGES: usize = 2_000;

/// An account, and who we are there.
pub(super) struct Session {
    pub peer: Peer,
    url: String,
    key: String,
    http: reqwest::Client,
    /// A call is made no sooner than this after the one before.
    apart: Duration,
    /// When the next call may be made.
    next: tokio::sync::Mutex<Option<tokio::time::Instant>>,
}

/// Why a call failed, where that matters to whoever asked.
pub(super) type Failed = peer::Failed<String>;

impl Session {
    /// An error where the address is none that a key may be sent to.
    pub fn new(
        name: &str,
        url: &str,
        key: &str,
        per_second: u32,
        http: reqwest::Client,
    ) -> Result<Self, ChannelError> {
        must_be_private(
            name,
            url,
            "its key would be readable on the way: give the https:// address, https://api.skulabs.com (http:// is for this very machine)",
        )?;
        Ok(Self {
            peer: Peer::new(name),
            url: without_api("skulabs", url).to_owned(),
            key: key.trim().to_owned(),
            http,
            // A little more than the vendor asks for: how it counts a second is not said.
            apart: Duration::from_millis(1_020) / per_second.max(1),
            next: tokio::sync::Mutex::default(),
        })
    }

    /// What is at a path.
    pub async fn get<T: DeserializeOwned>(
        &self,
        path: &str,
        query: &[(&str, String)],
    ) -> Result<T, ChannelError> {
        self.call(Method::GET, path, query, None::<&()>).await.map_err(|failed| self.failed(failed))
    }

    /// What is answered to a question that does not fit an address.
    pub async fn ask<T: DeserializeOwned>(
        &self,
        path: &str,
        body: &impl Serialize,
    ) -> Result<T, ChannelError> {
        self.call(Method::POST, path, &[], Some(body)).await.map_err(|failed| self.failed(failed))
    }

    /// A call that changes something: an answer that is lost says nothing of what was done.
    pub async fn change(&self, method: Method, path: &str, body: &impl Serialize) -> Result<(), Failed> {
        let done: wire::Done = self.call(method, path, &[], Some(body)).await?;
        match done.success {
            Some(false) => Err(Failed::Refused("it says that it did not succeed".to_owned())),
            _ => Ok(()),
        }
    }

    /// All of a list that is asked for by a selector, in the order of its ids.
    pub async fn all<T: DeserializeOwned>(
        &self,
        path: &str,
        selector: &Value,
        fields: Option<&Value>,
    ) -> Result<Vec<T>, ChannelError> {
        let mut rows = Vec::new();
        for _ in 0..PAGES {
            let page: Vec<T> = self.page(path, selector, fields, ROWS, rows.len(), 1).await?;
            let count = page.len();
            rows.extend(page);
            if count < SURELY {
                return Ok(rows);
            }
        }
        Err(self.peer.unexpected(format!("{path} has no end")))
    }

    /// A part of such a list; `order` is 1 for the oldest first, −1 for the newest.
    pub async fn page<T: DeserializeOwned>(
        &self,
        path: &str,
        selector: &Value,
        fields: Option<&Value>,
        limit: usize,
        skip: usize,
        order: i32,
    ) -> Result<Vec<T>, ChannelError> {
        let mut query = vec![
            ("selector", selector.to_string()),
            ("limit", limit.to_string()),
            ("skip", skip.to_string()),
            ("sort", format!("{{\"_id\":{order}}}")),
        ];
        query.extend(fields.map(|fields| ("fields", fields.to_string())));
        self.get(path, &query).await
    }

    /// What a failure means where there is nothing else to try.
    pub fn failed(&self, failed: Failed) -> ChannelError {
        self.peer.failed(failed, |reason| self.peer.unexpected(reason))
    }

    /// Waits until a call may be made.
    async fn turn(&self) {
        let mut next = self.next.lock().await;
        let now = tokio::time::Instant::now();
        let at = next.map_or(now, |at| at.max(now));
        *next = Some(at + self.apart);
        drop(next);
        tokio::time::sleep_until(at).await;
    }

    async fn call<T: DeserializeOwned>(
        &self,
        method: Method,
        path: &str,
        query: &[(&str, String)],
        body: Option<&impl Serialize>,
    ) -> Result<T, Failed> {
        self.turn().await;
        let mut request = self.http.request(method, format!("{}{path}", self.url)).query(query);
        request = request.bearer_auth(&self.key);
        if let Some(body) = body {
            request = request.json(body);
        }
        let lost = |error| Failed::Lost(why_lost(error, ANSWERS_WITHIN));
        let answer = self.peer.send(request, ANSWERS_WITHIN, lost).await?;
        let status = answer.status();
        let text = answer.text().await.map_err(lost)?;
        self.judge(status, &text)
    }

    fn judge<T: DeserializeOwned>(&self, status: StatusCode, text: &str) -> Result<T, Failed> {
        let refusal: wire::Refusal = serde_json::from_str(text).unwrap_or_default();
        let said = || {
            let told = if refusal.error.message.is_empty() { text } else { &refusal.error.message };
            format!("{status}: {}", told.chars().take(200).collect::<String>())
        };
        match status.as_u16() {
            200 | 201 if refusal.error.message.is_empty() => {
                serde_json::from_str(text).map_err(|error| Failed::Other(self.peer.unexpected(error)))
            }
            200 | 201 => Err(Failed::Refused(refusal.error.message)),
            // It was taken and is done later (202), or somebody in between answers for it (203).
            202 | 203 => Err(Failed::Lost(said())),
            401 => Err(Failed::Other(self.peer.credentials(said()))),
            403 => Err(Failed::Other(self.peer.credentials(format!(
                "this key may not do that ({}): its scopes must have `platformGeneric` and `platformApi`",
                said()
            )))),
            409 | 423 | 429 => {
                #[expect(
                    clippy::cast_possible_truncation,
                    clippy::cast_sign_loss,
                    reason = "seconds up to a day"
                )]
                let wait =
                    refusal.error.data.wait_seconds.map(|seconds| seconds.clamp(1.0, 86_400.0).ceil() as u64);
                Err(Failed::Other(self.peer.throttled(wait)))
            }
            500.. => Err(Failed::Lost(said())),
            _ => Err(Failed::Refused(said())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn made(url: &str) -> Result<Session, ChannelError> {
        Session::new("Labs", url, "key", 2, reqwest::Client::new())
    }

    #[test]
    fn a_key_is_sent_over_tls_or_to_this_machine() {
        for (url, is_right) in [
            ("https://api.skulabs.com/", true),
            ("http://127.0.0.1:7275", true),
            ("http://api.skulabs.com", false),
            ("api.skulabs.com", false),
        ] {
            let found = made(url);
            assert_eq!(found.is_ok(), is_right, "{url}");
            if let Err(error) = found {
                assert!(matches!(error, ChannelError::Address { .. }), "{error}");
            }
        }
    }

    #[test]
    fn an_answer_is_told_by_its_status() {
        let session = made("https://api.skulabs.com").unwrap();
        let judged = |status: u16, text: &str| {
            let status = StatusCode::from_u16(status).unwrap();
            match session.judge::<wire::Done>(status, text) {
                Ok(_) => "done".to_owned(),
                Err(Failed::Lost(_)) => "lost".to_owned(),
                Err(Failed::Refused(reason)) => reason,
                Err(Failed::Other(error)) => error.to_string(),
            }
        };
        let slow = r#"{ "error": { "message": "Rate limited.", "data": { "wait_seconds": 8 } } }"#;
        for (status, text, expected) in [
            (200, r#"{"success":true}"#, "done"),
            (200, r#"{"error":{"message":"No such item"}}"#, "No such item"),
            (202, r#"{"success":true}"#, "lost"),
            (400, r#"{"error":{"message":"No such item"}}"#, "400 Bad Request: No such item"),
            (400, "odd", "400 Bad Request: odd"),
            (429, slow, "Labs asks us to slow down: wait 8 s"),
            (429, "busy", "Labs asks us to slow down"),
            (502, "<html>", "lost"),
        ] {
            assert_eq!(judged(status, text), expected, "{status} {text}");
        }
        assert!(judged(401, "no").contains("does not accept these credentials"));
        assert!(judged(403, "no").contains("platformApi"));
    }
}
