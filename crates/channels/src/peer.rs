//! Another system that is asked over HTTP: what it is called, what its clock last said, and what it means that a call comes to nothing.
//!
//! What an answer says is each channel's own.

use std::sync::Mutex;
use std::time::Duration;

use onhand_ledger::Instant;
use reqwest::header::{HeaderMap, RETRY_AFTER};
use reqwest::{RequestBuilder, Response, Url};

use crate::address::is_this_machine;
use crate::{ChannelError, date_in, locked, why_lost};

/// Why a call failed, where that matters to whoever asked.
#[derive(Debug)]
pub(crate) enum Failed<R> {
    /// It may have been done all the same, or be done later: its answer is lost.
    Lost(String),
    /// It was understood and refused.
    Refused(R),
    Other(ChannelError),
}

/// A system, by the name that people call it.
pub(crate) struct Peer {
    name: String,
    date: Mutex<Option<Instant>>,
}

impl Peer {
    pub fn new(name: &str) -> Self {
        Self { name: name.to_owned(), date: Mutex::default() }
    }

    pub fn name(&self) -> &str {
        &self.name
    }

    pub fn unexpected(&self, reason: impl ToString) -> ChannelError {
        ChannelError::unexpected(&self.name, reason)
    }

    pub fn credentials(&self, reason: impl Into<String>) -> ChannelError {
        ChannelError::Credentials { system: self.name.clone(), reason: reason.into() }
    }

    pub fn unreachable(&self, reason: impl ToString) -> ChannelError {
        ChannelError::Unreachable { system: self.name.clone(), reason: reason.to_string() }
    }

    pub fn throttled(&self, retry_after_seconds: Option<u64>) -> ChannelError {
        ChannelError::Throttled { system: self.name.clone(), retry_after_seconds }
    }

    /// What a failure means where there is nothing else to try.
    pub fn failed<R>(&self, failed: Failed<R>, refused: impl FnOnce(R) -> ChannelError) -> ChannelError {
        match failed {
            Failed::Lost(reason) => self.unreachable(reason),
            Failed::Refused(refusal) => refused(refusal),
            Failed::Other(error) => error,
        }
    }

    /// What its clock said in its last answer, to the second.
    pub fn date(&self) -> Option<Instant> {
        *locked(&self.date)
    }

    /// Asks; `lost` says what it means that no answer comes of what may have been sent. What was not sent at all cannot have been done.
    pub async fn send<R>(
        &self,
        request: RequestBuilder,
        within: Duration,
        lost: impl FnOnce(reqwest::Error) -> Failed<R>,
    ) -> Result<Response, Failed<R>> {
        match request.timeout(within).send().await {
            Ok(answer) => {
                *locked(&self.date) = date_in(answer.headers());
                Ok(answer)
            }
            Err(error) if error.is_connect() => Err(Failed::Other(self.unreachable(why_lost(error, within)))),
            Err(error) => Err(lost(error)),
        }
    }
}

/// The seconds that an answer says to wait.
pub(crate) fn retry_after(headers: &HeaderMap) -> Option<u64> {
    headers.get(RETRY_AFTER)?.to_str().ok()?.trim().parse().ok()
}

/// An error where a secret would be readable on the way to an address: it is sent over TLS, or to this very machine. `why` says so.
pub(crate) fn must_be_private(name: &str, url: &str, why: &str) -> Result<(), ChannelError> {
    let wrong = |reason: &str| ChannelError::Address { system: name.to_owned(), reason: reason.to_owned() };
    let parsed = Url::parse(url).map_err(|_| wrong("it is no address that begins with https://"))?;
    let is_private = parsed.scheme() == "https" || (parsed.scheme() == "http" && is_this_machine(&parsed));
    if is_private { Ok(()) } else { Err(wrong(why)) }
}
