//! Asking WooCommerce: where its API is, who we are there, and what its answers mean.
//!
//! An error is JSON with a code and a message (<https://developer.woocommerce.com/docs/apis/rest-api/>). What is not JSON at all is a page
//! of something in between, or of PHP itself, whatever its status says: it is told with its first words.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use reqwest::{Method, StatusCode, Url};
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::{MOST, wire};
use crate::address::without_api;
use crate::peer::{self, Peer, must_be_private, retry_after};
use crate::{ChannelError, why_lost};

/// Where the API is, below the shop's address (<https://developer.woocommerce.com/docs/apis/rest-api/v3/>).
const API: &str = "/wp-json/wc/v3";
/// How long an answer may take: PHP ends a script after so long of its own work, unless told otherwise
/// (<https://www.php.net/manual/en/info.configuration.php#ini.max-execution-time>).
const PATIENCE: Duration = Duration::from_secs(30);
/// A slow shop is asked for no fewer rows than this at once.
const FEWEST: usize = 10;
/// What a shop answers whose permalinks are plain, or where there is no such thing in its version.
const NO_ROUTE: &str = "rest_no_route";

/// A shop, and who we are there.
pub(super) struct Session {
    pub peer: Peer,
    url: String,
    key: String,
    secret: String,
    http: reqwest::Client,
    /// So many rows are asked for at once: fewer where it did not answer in time.
    rows: AtomicUsize,
}

/// Why a call failed, where that matters to whoever asked.
pub(super) type Failed = peer::Failed<wire::Refusal>;

impl Session {
    /// An error where the address is none that a secret may be sent to.
    pub fn new(
        name: &str,
        url: &str,
        key: &str,
        secret: &str,
        http: reqwest::Client,
    ) -> Result<Self, ChannelError> {
        must_be_private(
            name,
            url,
            "WooCommerce takes a key and its secret over TLS only, and they would be readable on the way: give \
             the shop's https:// address (http:// is for a shop on this very machine)",
        )?;
        let base = without_api("woocommerce", url);
        Ok(Self {
            peer: Peer::new(name),
            url: format!("{base}{API}"),
            key: key.trim().to_owned(),
            secret: secret.to_owned(),
            http,
            rows: AtomicUsize::new(MOST),
        })
    }

    /// How many rows to ask for at once.
    pub fn rows(&self) -> usize {
        self.rows.load(Ordering::Relaxed)
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
    pub async fn change<T: DeserializeOwned>(
        &self,
        method: Method,
        path: &str,
        body: &impl Serialize,
    ) -> Result<T, Failed> {
        self.call(method, path, &[], Some(body)).await
    }

    /// What is at a path is no more.
    pub async fn remove<T: DeserializeOwned>(&self, path: &str) -> Result<T, Failed> {
        self.call(Method::DELETE, path, &[("force", "true".to_owned())], None::<&()>).await
    }

    /// What a failure means where there is nothing else to try.
    pub fn failed(&self, failed: Failed) -> ChannelError {
        self.peer.failed(failed, |refusal| {
            if refusal.code == NO_ROUTE {
                return self.peer.unexpected(
                    "there is no WooCommerce REST API v3 at this address: is the plugin active, and are its permalinks other than plain?",
                );
            }
            self.peer.unexpected(refusal.message)
        })
    }

    async fn call<T: DeserializeOwned>(
        &self,
        method: Method,
        path: &str,
        query: &[(&str, String)],
        body: Option<&impl Serialize>,
    ) -> Result<T, Failed> {
        let mut request = self.http.request(method, format!("{}{path}", self.url)).query(query);
        request = request.basic_auth(&self.key, Some(&self.secret));
        if let Some(body) = body {
            request = request.json(body);
        }
        let answer = self.peer.send(request, PATIENCE, |error| self.lost(error)).await?;
        let (status, after) = (answer.status(), retry_after(answer.headers()));
        let (from, at) = (origin(&self.url), answer.url().origin().ascii_serialization());
        if from.as_ref().is_some_and(|from| *from != at) {
            let said = format!("it sends us on to {at}, where no key is sent to: connect it at that address");
            return Err(Failed::Other(self.peer.unexpected(said)));
        }
        let text = answer.text().await.map_err(|error| self.lost(error))?;
        if status == StatusCode::TOO_MANY_REQUESTS {
            return Err(Failed::Other(self.peer.throttled(after)));
        }
        if matches!(status.as_u16(), 408 | 504 | 524) {
            self.ask_for_less();
        }
        if !text.trim_start().starts_with(['{', '[']) {
            return Err(self.no_json(status, &text));
        }
        if status.is_success() {
            self.ask_for_more();
            return serde_json::from_str(&text).map_err(|error| Failed::Other(self.peer.unexpected(error)));
        }
        let refusal: wire::Refusal = serde_json::from_str(&text).unwrap_or_default();
        let said = || format!("{status}: {}", first_words(&refusal.message));
        Err(match status.as_u16() {
            401 | 403 => Failed::Other(self.peer.credentials(said())),
            500.. => Failed::Lost(said()),
            _ => Failed::Refused(wire::Refusal {
                message: first_words(&refusal.message),
                status: status.as_u16(),
                ..refusal
            }),
        })
    }

    fn lost(&self, error: reqwest::Error) -> Failed {
        if error.is_timeout() {
            self.ask_for_less();
        }
        Failed::Lost(why_lost(error, PATIENCE))
    }

    /// An answer that is a page, or nothing at all.
    fn no_json(&self, status: StatusCode, text: &str) -> Failed {
        let is_html = text.contains('<');
        let what = if is_html { "an HTML page" } else { "something else" };
        let said = format!("{status}, with {what} where JSON should be: {}", first_words(text));
        match status.as_u16() {
            401 => Failed::Other(self.peer.credentials(said)),
            403 => Failed::Other(
                self.peer.unexpected(format!("{said} (something in front of the shop keeps us out)")),
            ),
            404 => Failed::Other(self.peer.unexpected(format!("{said} (is this the shop's address?)"))),
            // Done or not, nobody says.
            _ => Failed::Lost(said),
        }
    }

    fn ask_for_less(&self) {
        self.rows.store((self.rows() / 2).max(FEWEST), Ordering::Relaxed);
    }

    fn ask_for_more(&self) {
        self.rows.store((self.rows() + 1).min(MOST), Ordering::Relaxed);
    }
}

impl Failed {
    /// Is there no such thing in its version, or is it turned off?
    pub fn is_no_route(&self) -> bool {
        matches!(self, Self::Refused(refusal) if refusal.code == NO_ROUTE)
    }

    /// Is there nothing of that id?
    pub fn is_missing(&self) -> bool {
        matches!(self, Self::Refused(refusal) if refusal.status == 404 && refusal.code != NO_ROUTE)
    }
}

fn origin(url: &str) -> Option<String> {
    Some(Url::parse(url).ok()?.origin().ascii_serialization())
}

/// What a page says first, without its marks: enough to know it by.
fn first_words(text: &str) -> String {
    let mut words = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('<') {
        words.push_str(before);
        words.push(' ');
        let hidden = ["style", "script"]
            .into_iter()
            .find(|tag| after.get(..tag.len()).is_some_and(|name| name.eq_ignore_ascii_case(tag)));
        let end = hidden.map_or(">".to_owned(), |tag| format!("</{tag}>"));
        rest = after.find(&end).map_or("", |at| &after[at + end.len()..]);
    }
    words.push_str(rest);
    let words: Vec<&str> = words.split_whitespace().collect();
    let words: String = words.join(" ").chars().take(120).collect();
    if words.is_empty() { "nothing".to_owned() } else { words }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn made(url: &str) -> Result<Session, ChannelError> {
        Session::new("Shop", url, "ck_1", "cs_1", reqwest::Client::new())
    }

    #[test]
    fn a_secret_is_sent_over_tls_or_to_this_machine() {
        for (url, api) in [
            ("https://shop.example.com/", Some("https://shop.example.com/wp-json/wc/v3")),
            ("https://example.com/shop/wp-json", Some("https://example.com/shop/wp-json/wc/v3")),
            ("https://example.com/wp-json/wc/v3/", Some("https://example.com/wp-json/wc/v3")),
            ("http://127.0.0.1:7272", Some("http://127.0.0.1:7272/wp-json/wc/v3")),
            ("http://[::1]:80", Some("http://[::1]:80/wp-json/wc/v3")),
            ("http://localhost:8080", Some("http://localhost:8080/wp-json/wc/v3")),
            ("http://shop.example.com", None),
            ("http://127.0.0.1.example.com", None),
            ("http://192.168.1.5", None),
            ("ftp://127.0.0.1", None),
            ("shop.example.com", None),
        ] {
            let found = made(url);
            assert_eq!(found.as_ref().ok().map(|made| made.url.as_str()), api, "{url}");
            if let Err(error) = found {
                assert!(matches!(error, ChannelError::Address { .. }), "{error}");
            }
        }
    }

    #[test]
    fn a_page_is_known_by_its_first_words() {
        for (page, words) in [
            (
                "<!DOCTYPE html><html><head><title>Maintenance</title><style>p { color: red }</style></head><body><p>Briefly unavailable\n for scheduled maintenance.</p>",
                "Maintenance Briefly unavailable for scheduled maintenance.",
            ),
            (
                "<br />\n<b>Warning</b>:  Undefined variable $x in <b>/x.php</b>",
                "Warning : Undefined variable $x in /x.php",
            ),
            ("Error establishing a database connection", "Error establishing a database connection"),
            ("", "nothing"),
            ("<script>alert(1)</script>", "nothing"),
            ("<unended", "nothing"),
        ] {
            assert_eq!(first_words(page), words);
        }
        assert_eq!(first_words(&"ü".repeat(500)).chars().count(), 120);
    }

    #[test]
    fn what_is_slow_is_asked_for_less() {
        let session = made("https://shop.example.com").unwrap();
        assert_eq!(session.rows(), 100);
        for _ in 0..9 {
            session.ask_for_less();
        }
        assert_eq!(session.rows(), FEWEST);
        session.ask_for_more();
        assert_eq!(session.rows(), FEWEST + 1);
    }
}
