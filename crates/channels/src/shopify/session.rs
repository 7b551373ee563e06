//! Asking Shopify: who we are, what it costs, and what its errors mean.
//!
//! Which error means what: <https://shopify.dev/docs/api/admin-graphql/2026-10#status_and_error_codes>. A call is refused as a whole
//! (`THROTTLED`) where what it may cost is not there; a throttled call costs nothing.

use std::convert::Infallible;
use std::sync::Mutex;
use std::time::Duration;

use onhand_ledger::Instant;
use reqwest::StatusCode;
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::wire;
use crate::address::is_elsewhere_by_number;
use crate::peer::{self, Peer};
use crate::{ANSWERS_WITHIN, Budget, ChannelError, locked, why_lost};

/// The version we speak (<https://shopify.dev/docs/api/usage/versioning>: each is kept for a year at least).
pub(super) const VERSION: &str = "2026-10";
/// A token is renewed so long before it ends, in seconds: one made by an app's own credentials lasts a day
/// (<https://shopify.dev/docs/apps/build/authentication-authorization/access-tokens/client-credentials-grant>).
const RENEWED_BEFORE: i64 = 300;
/// What a mutation costs (<https://shopify.dev/docs/api/usage/limits#cost-calculation>).
const MUTATION: u32 = 10;
/// How long a file that it made may take.
const FILE_WITHIN: Duration = Duration::from_mins(5);

/// A shop, and who we are there.
pub(super) struct Session {
    pub peer: Peer,
    url: String,
    /// The app's client id; none where the secret is an access token itself.
    client_id: Option<String>,
    secret: String,
    http: reqwest::Client,
    token: Mutex<Option<Held>>,
    told: Mutex<Option<wire::Cost>>,
}

#[derive(Clone)]
struct Held {
    token: String,
    ends: Option<tokio::time::Instant>,
}

/// Why a call failed, where that matters to whoever asked. What it refuses it says in an answer.
pub(super) type Failed = peer::Failed<Infallible>;

impl Session {
    pub fn new(name: &str, url: &str, client_id: &str, secret: &str, http: reqwest::Client) -> Self {
        Self {
            peer: Peer::new(name),
            url: url.trim_end_matches('/').to_owned(),
            client_id: Some(client_id.trim()).filter(|id| !id.is_empty()).map(str::to_owned),
            secret: secret.to_owned(),
            http,
            token: Mutex::default(),
            told: Mutex::default(),
        }
    }

    /// What the app's client secret is, which signs webhooks; none where we have an access token only.
    pub fn client_secret(&self) -> Option<&str> {
        self.client_id.as_ref().map(|_| self.secret.as_str())
    }

    /// What was told last of its limit.
    pub fn budget(&self) -> Option<Budget> {
        let status = (*locked(&self.told))?.throttle_status;
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "points, cut to what there can be"
        )]
        let whole = |points: f64| points.clamp(0.0, 1e9) as u32;
        Some(Budget {
            remaining: whole(status.currently_available),
            refill_per_second: whole(status.restore_rate),
            cost: MUTATION,
        })
    }

    /// What the last call may have cost at most, in points.
    pub fn last_cost(&self) -> Option<f64> {
        (*locked(&self.told)).map(|cost| cost.requested_query_cost)
    }

    /// What its clock says.
    pub async fn clock(&self) -> Option<Instant> {
        crate::date_of(&self.http, &self.url).await
    }

    /// A file it made, line by line.
    pub async fn lines<T: DeserializeOwned>(&self, url: &str) -> Result<Vec<T>, ChannelError> {
        if is_elsewhere_by_number(&self.url, url) {
            return Err(self.peer.unexpected("it leads to a file at a host that has no name"));
        }
        let answer = self.http.get(url).timeout(FILE_WITHIN).send().await;
        let answer = answer.and_then(reqwest::Response::error_for_status);
        let lost = |error| self.peer.unreachable(why_lost(error, FILE_WITHIN));
        let text = answer.map_err(lost)?.text().await.map_err(lost)?;
        let read = |line: &str| serde_json::from_str(line).map_err(|error| self.peer.unexpected(error));
        text.lines().filter(|line| !line.trim().is_empty()).map(read).collect()
    }

    /// A token that is good now; `Err` where nobody lets us in.
    async fn token(&self) -> Result<String, ChannelError> {
        let Some(client_id) = &self.client_id else { return Ok(self.secret.clone()) };
        let now = tokio::time::Instant::now();
        let held = locked(&self.token).clone();
        if let Some(held) = held.filter(|held| held.ends.is_none_or(|ends| now < ends)) {
            return Ok(held.token);
        }
        let asked =
            wire::TokenRequest { grant_type: "client_credentials", client_id, client_secret: &self.secret };
        let url = format!("{}/admin/oauth/access_token", self.url);
        let answer = self.http.post(url).form(&asked).send().await;
        let lost = |error| self.peer.unreachable(why_lost(error, ANSWERS_WITHIN));
        let answer = answer.map_err(lost)?;
        let status = answer.status();
        let text = answer.text().await.map_err(lost)?;
        if status == StatusCode::TOO_MANY_REQUESTS {
            return Err(self.peer.throttled(None));
        }
        if status.is_server_error() {
            return Err(self.peer.unreachable(status));
        }
        if !status.is_success() {
            return Err(self.peer.credentials(format!(
                "it gives no access token for this client id and secret ({status}): the app must be installed in this very shop"
            )));
        }
        let token: wire::Token = serde_json::from_str(&text).map_err(|error| self.peer.unexpected(error))?;
        let lasts = token.expires_in.map(|seconds| (seconds - RENEWED_BEFORE).max(1).unsigned_abs());
        let ends = lasts.and_then(|seconds| now.checked_add(Duration::from_secs(seconds)));
        *locked(&self.token) = Some(Held { token: token.access_token.clone(), ends });
        Ok(token.access_token)
    }

    /// Asks; a mutation whose answer was lost may have been done.
    pub async fn ask<T: DeserializeOwned>(
        &self,
        query: &str,
        variables: &impl Serialize,
    ) -> Result<T, ChannelError> {
        let done = self.try_to(query, variables).await;
        done.map_err(|failed| self.peer.failed(failed, |never| match never {}))
    }

    /// The same, where it matters whether an answer was lost. A token that is good no more is made anew, once.
    pub async fn try_to<T: DeserializeOwned>(
        &self,
        query: &str,
        variables: &impl Serialize,
    ) -> Result<T, Failed> {
        match self.ask_once(query, variables).await {
            Err(Failed::Other(ChannelError::Credentials { .. })) if locked(&self.token).take().is_some() => {
                self.ask_once(query, variables).await
            }
            done => done,
        }
    }

    async fn ask_once<T: DeserializeOwned>(
        &self,
        query: &str,
        variables: &impl Serialize,
    ) -> Result<T, Failed> {
        let token = self.token().await.map_err(Failed::Other)?;
        let request = self
            .http
            .post(format!("{}/admin/api/{VERSION}/graphql.json", self.url))
            .header("x-shopify-access-token", token)
            .json(&wire::Request { query, variables });
        let lost = |error: reqwest::Error| Failed::Lost(why_lost(error, ANSWERS_WITHIN));
        let answer = self.peer.send(request, ANSWERS_WITHIN, lost).await?;
        let status = answer.status();
        let after = answer.headers().get("retry-after").and_then(|value| value.to_str().ok());
        // Such as `2.0`.
        let after = after.and_then(|text| text.split('.').next()?.parse().ok());
        let text = answer.text().await.map_err(lost)?;
        let said = || text.chars().take(200).collect::<String>();
        match status.as_u16() {
            429 => {
                return Err(Failed::Other(self.peer.throttled(after)));
            }
            401 | 403 => {
                return Err(Failed::Other(self.peer.credentials(format!("{status}: {}", said()))));
            }
            402 | 423 => {
                return Err(Failed::Other(self.peer.credentials(format!(
                    "the shop is frozen or locked ({status}): its owner must see to it"
                ))));
            }
            404 => {
                return Err(Failed::Other(self.peer.unexpected(format!(
                    "{status}: there is no shop at this address, or it no longer speaks version {VERSION}"
                ))));
            }
            500.. => return Err(Failed::Lost(format!("{status}: {}", said()))),
            _ => {}
        }
        let body: wire::Response = serde_json::from_str(&text).map_err(|error| {
            Failed::Other(self.peer.unexpected(format!("{status}, {error}, in: {}", said())))
        })?;
        if let Some(cost) = body.extensions.cost {
            *locked(&self.told) = Some(cost);
        }
        self.answered(body).map_err(|error| match error {
            // An error of its own says nothing of what was done.
            ChannelError::Unreachable { reason, .. } => Failed::Lost(reason),
            error => Failed::Other(error),
        })
    }

    fn answered<T: DeserializeOwned>(&self, body: wire::Response) -> Result<T, ChannelError> {
        let errors = match body.errors {
            wire::Errors::Sentence(reason) => return Err(self.peer.unexpected(reason)),
            wire::Errors::Several(errors) => errors,
        };
        let has = |code: &str| errors.iter().any(|error| error.extensions.code == code);
        let said = || errors.iter().map(|error| error.message.as_str()).collect::<Vec<_>>().join("; ");
        if has("THROTTLED") {
            let lacking = body.extensions.cost.map(|cost| {
                let lacking = cost.requested_query_cost - cost.throttle_status.currently_available;
                (lacking / cost.throttle_status.restore_rate.max(1.0)).ceil().clamp(1.0, 60.0)
            });
            #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "1 to 60")]
            let retry_after_seconds = lacking.map(|seconds| seconds as u64);
            return Err(self.peer.throttled(retry_after_seconds));
        }
        let is_denied = has("ACCESS_DENIED");
        let only_denied = errors.iter().all(|error| error.extensions.code == "ACCESS_DENIED");
        if has("SHOP_INACTIVE") {
            return Err(self.peer.credentials(said()));
        }
        if has("INTERNAL_SERVER_ERROR") {
            return Err(self.peer.unreachable(said()));
        }
        // Whom an order is for is kept from some apps (<https://shopify.dev/docs/apps/launch/protected-customer-data>): it is
        // left out then, and an error says so. What we cannot do without is missing in the answer.
        if !only_denied || body.data.is_null() {
            return Err(match (is_denied, errors.is_empty()) {
                (true, _) => self.peer.credentials(said()),
                (false, true) => self.peer.unexpected("no answer to a query"),
                (false, false) => self.peer.unexpected(said()),
            });
        }
        serde_json::from_value(body.data).map_err(|error| {
            if is_denied { self.peer.credentials(said()) } else { self.peer.unexpected(error) }
        })
    }
}
