//! Asking Medusa: where its admin API is, who we are there, and what its answers mean.
//!
//! A secret key goes as the name of HTTP basic, with nothing as the password (<https://docs.medusajs.com/api/admin>). An error is JSON
//! with a type and a message (<https://docs.medusajs.com/learn/fundamentals/api-routes/errors>). What is not JSON at all is a page of
//! something in between, whatever its status says.

use onhand_ledger::Instant;
use reqwest::{Method, StatusCode};
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::wire;
use crate::address::without_api;
use crate::peer::{self, Peer, retry_after};
use crate::{ANSWERS_WITHIN, ChannelError, why_lost};

/// Where its admin API is, below its address (<https://docs.medusajs.com/api/admin>).
const API: &str = "/admin";

/// A Medusa server, and who we are there.
pub(super) struct Session {
    pub peer: Peer,
    url: String,
    key: String,
    http: reqwest::Client,
}

/// Why a call failed, where that matters to whoever asked.
pub(super) type Failed = peer::Failed<wire::Refusal>;

impl Session {
    pub fn new(name: &str, url: &str, key: &str, http: reqwest::Client) -> Self {
        Self {
            peer: Peer::new(name),
            url: format!("{}{API}", without_api("medusa", url)),
            key: key.trim().to_owned(),
            http,
        }
    }

    /// What its clock says.
    pub async fn clock(&self) -> Option<Instant> {
        crate::date_of(&self.http, &self.url).await
    }

    /// What is at a path.
    pub async fn get<T: DeserializeOwned>(
        &self,
        path: &str,
        query: &[(&str, String)],
    ) -> Result<T, ChannelError> {
        self.try_get(path, query).await.map_err(|failed| self.failed(failed))
    }

    /// The same, where a refusal is something to go on with.
    pub async fn try_get<T: DeserializeOwned>(
        &self,
        path: &str,
        query: &[(&str, String)],
    ) -> Result<T, Failed> {
        self.call(Method::GET, path, query, None::<&()>).await
    }

    /// A call that changes something: an answer that is lost says nothing of what was done.
    pub async fn change<T: DeserializeOwned>(&self, path: &str, body: &impl Serialize) -> Result<T, Failed> {
        self.call(Method::POST, path, &[], Some(body)).await
    }

    /// What a failure means where there is nothing else to try.
    pub fn failed(&self, failed: Failed) -> ChannelError {
        self.peer.failed(failed, |refusal| self.peer.unexpected(refusal.message))
    }

    async fn call<T: DeserializeOwned>(
        &self,
        method: Method,
        path: &str,
        query: &[(&str, String)],
        body: Option<&impl Serialize>,
    ) -> Result<T, Failed> {
        let mut request = self.http.request(method, format!("{}{path}", self.url)).query(query);
        request = request.basic_auth(&self.key, Some(""));
        if let Some(body) = body {
            request = request.json(body);
        }
        let lost = |error| Failed::Lost(why_lost(error, ANSWERS_WITHIN));
        let answer = self.peer.send(request, ANSWERS_WITHIN, lost).await?;
        let (status, after) = (answer.status(), retry_after(answer.headers()));
        let text = answer.text().await.map_err(lost)?;
        self.read(status, after, &text)
    }

    /// What an answer means.
    fn read<T: DeserializeOwned>(
        &self,
        status: StatusCode,
        retry_after_seconds: Option<u64>,
        text: &str,
    ) -> Result<T, Failed> {
        if status.is_success() {
            return serde_json::from_str(text).map_err(|error| {
                Failed::Other(self.peer.unexpected(format!("{status}, {error}, in: {}", first(text))))
            });
        }
        let refusal: Option<wire::Refusal> = serde_json::from_str(text).ok();
        let said = match &refusal {
            Some(refusal) => format!("{status}: {}", first(&refusal.message)),
            None => format!("{status}, with something else where JSON should be: {}", first(text)),
        };
        Err(match (status.as_u16(), refusal) {
            (429, _) => Failed::Other(self.peer.throttled(retry_after_seconds)),
            (401 | 403, _) => Failed::Other(self.peer.credentials(said)),
            // Another request was at the same thing: it may be asked again.
            (408 | 409 | 500.., _) => Failed::Lost(said),
            (_, Some(refusal)) => Failed::Refused(refusal),
            (404, None) => {
                Failed::Other(self.peer.unexpected(format!("{said} (is this the server's own address?)")))
            }
            (_, None) => Failed::Other(self.peer.unexpected(said)),
        })
    }
}

impl Failed {
    /// Is there nothing of that id?
    pub fn is_missing(&self) -> bool {
        matches!(self, Self::Refused(refusal) if refusal.kind == wire::NOT_FOUND)
    }
}

/// As much of a text as a person reads.
fn first(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ").chars().take(200).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;

    fn read(status: u16, text: &str) -> Result<Value, Failed> {
        let session = Session::new("Shop", "https://shop.example.com/app/", "sk_1", reqwest::Client::new());
        assert_eq!(session.url, "https://shop.example.com/admin");
        session.read(StatusCode::from_u16(status).unwrap(), Some(7), text)
    }

    /// The texts are what a server of version 2.21.2 answered, but for the last five.
    #[test]
    fn what_an_answer_means() {
        let of = |status, text| match read(status, text).map_err(|failed| (failed.is_missing(), failed)) {
            Ok(value) => format!("{value}"),
            Err((true, Failed::Refused(refusal))) => format!("missing: {}", refusal.message),
            Err((_, Failed::Refused(refusal))) => format!("refused: {}", refusal.message),
            Err((_, Failed::Lost(reason))) => format!("lost: {reason}"),
            Err((_, Failed::Other(error))) => error.to_string(),
        };
        for (status, text, meaning) in [
            (200, "{\"updated\":[]}", "{\"updated\":[]}"),
            (
                401,
                "{\"message\":\"Unauthorized\"}",
                "Shop does not accept these credentials: 401 Unauthorized: Unauthorized",
            ),
            (
                404,
                "{\"type\":\"not_found\",\"message\":\"Item iitem_x is not stocked at location sloc_x\"}",
                "missing: Item iitem_x is not stocked at location sloc_x",
            ),
            (
                400,
                "{\"type\":\"not_allowed\",\"message\":\"All fulfillments must be canceled before canceling an order\"}",
                "refused: All fulfillments must be canceled before canceling an order",
            ),
            (
                404,
                "<!DOCTYPE html>\n<pre>Cannot GET /admin/x</pre>",
                "Shop answered something unexpected: 404 Not Found, with something else where JSON should be: \
                 <!DOCTYPE html> <pre>Cannot GET /admin/x</pre> (is this the server's own address?)",
            ),
            (
                403,
                "{\"type\":\"forbidden\",\"message\":\"no\"}",
                "Shop does not accept these credentials: 403 Forbidden: no",
            ),
            (429, "slow down", "Shop asks us to slow down: wait 7 s"),
            (
                409,
                "{\"code\":\"invalid_state_error\",\"message\":\"The request conflicted with another request.\"}",
                "lost: 409 Conflict: The request conflicted with another request.",
            ),
            (
                502,
                "<html>Bad gateway</html>",
                "lost: 502 Bad Gateway, with something else where JSON should be: <html>Bad gateway</html>",
            ),
            (
                200,
                "<html>",
                "Shop answered something unexpected: 200 OK, expected value at line 1 column 1, in: <html>",
            ),
        ] {
            assert_eq!(of(status, text), meaning);
        }
    }
}
