//! The corner shop of the demo (see `onhand-emulators`), spoken to over its HTTP API.
//!
//! Its number means what customers can still buy: its own orders lower it at once. It offers no compare-and-set:
//! an order placed between our reading of stock and our write is overwritten there, and mended at the next push.

mod wire;

use onhand_ledger::{Instant, Quantity};
use reqwest::{Response, StatusCode};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::webhook::{Encoding, WebhookScheme};
use crate::{
    ANSWERS_WITHIN, Channel, ChannelError, Discovery, Meaning, OrderPage, Push, Pushed, Reading,
    RemoteLocation, date_of, why_lost,
};

/// How many listings one call takes.
const BATCH: usize = 100;

/// A corner shop.
pub struct CornerShop {
    name: String,
    url: String,
    token: String,
    http: reqwest::Client,
}

impl CornerShop {
    /// A shop at a base address, such as `http://127.0.0.1:8080`, that takes a bearer token.
    pub fn new(name: &str, url: &str, token: &str, http: reqwest::Client) -> Self {
        let url = url.trim_end_matches('/').to_owned();
        Self { name: name.to_owned(), url, token: token.to_owned(), http }
    }

    fn unreachable(&self, error: reqwest::Error) -> ChannelError {
        ChannelError::Unreachable { system: self.name.clone(), reason: why_lost(error, ANSWERS_WITHIN) }
    }

    async fn get<T: DeserializeOwned>(
        &self,
        path: &str,
        query: &[(&str, String)],
    ) -> Result<T, ChannelError> {
        let request = self.http.get(format!("{}{path}", self.url)).query(query).bearer_auth(&self.token);
        self.read_answer(request.send().await.map_err(|error| self.unreachable(error))?).await
    }

    async fn post<T: DeserializeOwned>(&self, path: &str, body: &impl Serialize) -> Result<T, ChannelError> {
        let request = self.http.post(format!("{}{path}", self.url)).json(body).bearer_auth(&self.token);
        self.read_answer(request.send().await.map_err(|error| self.unreachable(error))?).await
    }

    async fn read_answer<T: DeserializeOwned>(&self, response: Response) -> Result<T, ChannelError> {
        let status = response.status();
        let retry_after_seconds =
            response.headers().get("retry-after").and_then(|value| value.to_str().ok()?.parse().ok());
        let text = response.text().await.map_err(|error| self.unreachable(error))?;
        let system = self.name.clone();
        let reason: String = text.chars().take(200).collect();
        match status {
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => {
                Err(ChannelError::Credentials { system, reason })
            }
            StatusCode::TOO_MANY_REQUESTS => Err(ChannelError::Throttled { system, retry_after_seconds }),
            status if status.is_server_error() => {
                Err(ChannelError::Unreachable { system, reason: format!("{status}: {reason}") })
            }
            status if !status.is_success() => {
                Err(ChannelError::Unexpected { system, reason: format!("{status}: {reason}") })
            }
            _ => serde_json::from_str(&text)
                .map_err(|error| ChannelError::Unexpected { system, reason: format!("{error} in {reason}") }),
        }
    }
}

#[async_trait::async_trait]
impl Channel for CornerShop {
    fn meaning(&self) -> Meaning {
        Meaning::SellableNetOfOwnOrders
    }

    fn batch_size(&self) -> usize {
        BATCH
    }

    fn webhook(&self) -> Option<WebhookScheme> {
        let (header, event) = ("x-shop-signature", Some("x-shop-event"));
        Some(WebhookScheme::HmacSha256 { header, encoding: Encoding::Base64, prefix: "", event })
    }

    /// An order and the number that it lowers change together, under one lock (see `onhand-emulators`).
    fn tells_within_ms(&self) -> i64 {
        0
    }

    async fn clock(&self) -> Result<Option<Instant>, ChannelError> {
        Ok(date_of(&self.http, &self.url).await)
    }

    async fn discover(&self) -> Result<Discovery, ChannelError> {
        let locations: Vec<wire::Location> = self.get("/api/locations", &[]).await?;
        let mut listings = Vec::new();
        let mut after = String::new();
        loop {
            let page: Vec<wire::Listing> = self.get("/api/listings", &[("after", after.clone())]).await?;
            let Some(last) = page.last() else { break };
            after.clone_from(&last.id);
            listings.extend(page.into_iter().map(wire::Listing::into_remote));
        }
        let locations = locations
            .into_iter()
            .map(|location| RemoteLocation { remote_id: location.id, name: location.name });
        Ok(Discovery { listings, locations: locations.collect() })
    }

    async fn read(&self, listings: &[String]) -> Result<Vec<Reading>, ChannelError> {
        let rows: Vec<wire::Stock> = self.post("/api/stock/read", &wire::ReadStock { listings }).await?;
        let reading = |row: wire::Stock| Reading {
            listing: row.listing,
            location: "main".to_owned(),
            quantity: Quantity::units(row.quantity),
            on_hand: None,
            allocated: None,
            tracked: true,
        };
        Ok(rows.into_iter().map(reading).collect())
    }

    async fn push(&self, pushes: &[Push]) -> Result<Vec<Pushed>, ChannelError> {
        let updates = pushes.iter().map(|push| wire::Update {
            listing: &push.listing,
            quantity: push.quantity.whole_units(),
            reference: push.seq,
        });
        let body = wire::SetStock { updates: updates.collect() };
        let results: Vec<wire::SetResult> = match self.post("/api/stock/set", &body).await {
            Ok(results) => results,
            // Whether it was done is not known: a request that was sent may have been.
            Err(ChannelError::Unreachable { reason, .. }) => {
                return Ok(pushes.iter().map(|_| Pushed::Unknown { reason: reason.clone() }).collect());
            }
            Err(error) => return Err(error),
        };
        if results.len() != pushes.len() {
            let reason = format!("{} results for {} updates", results.len(), pushes.len());
            return Err(ChannelError::Unexpected { system: self.name.clone(), reason });
        }
        let outcome = |result: wire::SetResult| match result.error {
            None => Pushed::Acknowledged,
            Some(reason) => Pushed::Refused { reason },
        };
        Ok(results.into_iter().map(outcome).collect())
    }

    async fn orders(&self, cursor: Option<&str>) -> Result<OrderPage, ChannelError> {
        let since = cursor.unwrap_or("0").to_owned();
        let page: wire::Orders = self.get("/api/orders", &[("since", since.clone())]).await?;
        Ok(page.into_page(since))
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[tokio::test]
    async fn of_a_shop_that_hangs_it_is_told_how_long_it_was_waited_for() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let hasty = reqwest::Client::builder().timeout(Duration::from_millis(50)).build().unwrap();
        let told = CornerShop::new("Corner", &url, "token", hasty).test().await.unwrap_err();
        assert_eq!(told.to_string(), "Corner cannot be reached: it did not answer within 15 s");
    }
}
