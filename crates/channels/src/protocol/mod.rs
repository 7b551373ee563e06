//! The Onhand channel protocol: what a warehouse system that we do not know speaks with us, over HTTP and JSON. Whoever runs it writes
//! a few small endpoints; `docs/channels/protocol.md` says which.
//!
//! Its numbers are goods on the shelf, and its own: it is sent none. It is sent the orders that it shall ship, the goods that it shall expect
//! and requests to count ([`crate::outgoing`], [`crate::expected`] and [`crate::recount`] have the bodies, which are the types there), one by one
//! under their names, so that a copy of one does no harm.

pub mod check;
mod wire;

use std::collections::BTreeMap;

use onhand_ledger::{Instant, Quantity};
use reqwest::{RequestBuilder, StatusCode};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::expected::{Announcement, Received, ReceivedPage};
use crate::outgoing::{Followed, FollowedPage, Outgoing, Sent};
use crate::recount::{RecountRequest, Recounted, RecountedPage};
use crate::webhook::WebhookScheme;
use crate::{
    ANSWERS_WITHIN, Channel, ChannelError, Discovery, Errand, Meaning, OrderPage, Push, Pushed, Reading,
    RemoteLocation, RemoteStock, date_of, why_lost,
};

/// How many orders are sent between two looks at the time, and items read at once.
const BATCH: usize = 20;
/// More pages than these of one list are a list without an end.
const PAGES: usize = 10_000;

/// A warehouse system that speaks the protocol.
pub struct Protocol {
    name: String,
    url: String,
    token: String,
    http: reqwest::Client,
}

impl Protocol {
    /// A system at a base address, such as `https://wms.example.com/onhand`, that takes a bearer token.
    pub fn new(name: &str, url: &str, token: &str, http: reqwest::Client) -> Self {
        let url = url.trim_end_matches('/').to_owned();
        Self { name: name.to_owned(), url, token: token.to_owned(), http }
    }

    fn unexpected(&self, reason: String) -> ChannelError {
        ChannelError::Unexpected { system: self.name.clone(), reason }
    }

    fn at(&self, path: &str) -> String {
        format!("{}{path}", self.url)
    }

    async fn get<T: DeserializeOwned>(&self, path: &str, query: &[(&str, &str)]) -> Result<T, ChannelError> {
        self.answer(self.http.get(self.at(path)).query(query)).await
    }

    async fn answer<T: DeserializeOwned>(&self, request: RequestBuilder) -> Result<T, ChannelError> {
        let system = || self.name.clone();
        let unreachable = |error: reqwest::Error| ChannelError::Unreachable {
            system: system(),
            reason: why_lost(error, ANSWERS_WITHIN),
        };
        let response = request.bearer_auth(&self.token).send().await.map_err(unreachable)?;
        let status = response.status();
        let retry_after_seconds =
            response.headers().get("retry-after").and_then(|value| value.to_str().ok()?.parse().ok());
        let text = response.text().await.map_err(unreachable)?;
        let reason: String = text.chars().take(200).collect();
        match status {
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => {
                Err(ChannelError::Credentials { system: system(), reason })
            }
            StatusCode::TOO_MANY_REQUESTS => {
                Err(ChannelError::Throttled { system: system(), retry_after_seconds })
            }
            status if status.is_server_error() => {
                Err(ChannelError::Unreachable { system: system(), reason: format!("{status}: {reason}") })
            }
            status if !status.is_success() => Err(self.unexpected(format!("{status}: {reason}"))),
            _ => serde_json::from_str(&text).map_err(|error| self.unexpected(format!("{error} in {reason}"))),
        }
    }

    /// Sends a document under its name. Where nothing was answered, or trouble, whether it was done is not known: it may have arrived.
    async fn put<T: DeserializeOwned>(
        &self,
        path: &str,
        document: &str,
        body: &(impl Serialize + Sync),
        of: impl Fn(&T) -> &str + Send,
    ) -> Result<Sent<T>, ChannelError> {
        let request = self.http.put(self.at(&format!("{path}/{document}"))).json(body);
        match self.answer::<T>(request).await {
            Ok(told) if of(&told) == document => Ok(Sent::Answered(Box::new(told))),
            Ok(told) => Err(self.unexpected(format!("it answers for `{}`", of(&told)))),
            Err(ChannelError::Unreachable { reason, .. } | ChannelError::Unexpected { reason, .. }) => {
                Ok(Sent::Unknown { reason })
            }
            Err(error) => Err(error),
        }
    }

    /// What has changed of documents since a cursor.
    async fn changed<T: DeserializeOwned>(
        &self,
        path: &str,
        cursor: Option<&str>,
    ) -> Result<T, ChannelError> {
        let query: &[(&str, &str)] = match &cursor {
            Some(cursor) => &[("since", cursor)],
            None => &[],
        };
        self.get(path, query).await
    }

    /// Everything of a list that comes in pages.
    async fn all<T: DeserializeOwned>(&self, path: &str) -> Result<Vec<T>, ChannelError> {
        let (mut after, mut all) = (String::new(), Vec::new());
        for _ in 0..PAGES {
            let query: &[(&str, &str)] = if after.is_empty() { &[] } else { &[("after", &after)] };
            let page: wire::Page<T> = self.get(path, query).await?;
            all.extend(page.data);
            match page.next {
                Some(next) if next != after && !next.is_empty() => after = next,
                _ => return Ok(all),
            }
        }
        Err(self.unexpected(format!("{path} has no end")))
    }
}

#[async_trait::async_trait]
impl Channel for Protocol {
    fn meaning(&self) -> Meaning {
        Meaning::PhysicalOnHand
    }

    fn batch_size(&self) -> usize {
        BATCH
    }

    fn webhook(&self) -> Option<WebhookScheme> {
        Some(WebhookScheme::StandardWebhooks)
    }

    async fn test(&self) -> Result<(), ChannelError> {
        let hello: wire::Hello = self.get("/", &[]).await?;
        match hello.protocol {
            1 => Ok(()),
            other => {
                Err(self.unexpected(format!("it speaks version {other} of the protocol, and this speaks 1")))
            }
        }
    }

    async fn clock(&self) -> Result<Option<Instant>, ChannelError> {
        Ok(date_of(&self.http, &self.at("/")).await)
    }

    async fn discover(&self) -> Result<Discovery, ChannelError> {
        let locations: Vec<wire::Location> = self.all("/locations").await?;
        let listings: Vec<wire::Item> = self.all("/items").await?;
        let locations = locations.into_iter();
        let locations =
            locations.map(|location| RemoteLocation { remote_id: location.id, name: location.name });
        Ok(Discovery {
            listings: listings.into_iter().map(wire::Item::into_remote).collect(),
            locations: locations.collect(),
        })
    }

    async fn read(&self, listings: &[String]) -> Result<Vec<Reading>, ChannelError> {
        let locations: Vec<wire::Location> = self.all("/locations").await?;
        let mut readings = Vec::new();
        for location in locations {
            let stock = self.stock(&location.id).await?;
            // Its lots together.
            let mut sums = BTreeMap::<String, Quantity>::new();
            for row in stock.rows.into_iter().filter(|row| listings.contains(&row.listing)) {
                *sums.entry(row.listing).or_default() += row.quantity;
            }
            for (listing, quantity) in sums {
                readings.push(Reading {
                    listing,
                    location: location.id.clone(),
                    quantity,
                    on_hand: Some(quantity),
                    allocated: None,
                    tracked: true,
                });
            }
        }
        Ok(readings)
    }

    async fn push(&self, pushes: &[Push]) -> Result<Vec<Pushed>, ChannelError> {
        let reason = || "its stock is its own; set it one-way in".to_owned();
        Ok(pushes.iter().map(|_| Pushed::Refused { reason: reason() }).collect())
    }

    /// It has no orders but those that it is sent.
    async fn orders(&self, cursor: Option<&str>) -> Result<OrderPage, ChannelError> {
        Ok(OrderPage { orders: Vec::new(), cursor: cursor.unwrap_or_default().to_owned(), more: false })
    }

    fn tells_stock(&self) -> bool {
        true
    }

    async fn stock(&self, location: &str) -> Result<RemoteStock, ChannelError> {
        self.get("/stock", &[("location", location)]).await
    }

    fn takes_orders(&self) -> bool {
        true
    }

    async fn send(&self, orders: &[Outgoing]) -> Result<Vec<Sent>, ChannelError> {
        let mut results = Vec::new();
        for order in orders {
            results
                .push(self.put("/orders", &order.document, order, |told: &Followed| &told.document).await?);
        }
        Ok(results)
    }

    async fn followed(&self, cursor: Option<&str>) -> Result<FollowedPage, ChannelError> {
        self.changed("/orders", cursor).await
    }

    async fn takes(&self) -> Result<Vec<Errand>, ChannelError> {
        let hello: wire::Hello = self.get("/", &[]).await?;
        Ok(hello.takes.iter().filter_map(|name| wire::errand(name)).collect())
    }

    async fn announce(&self, announcements: &[Announcement]) -> Result<Vec<Sent<Received>>, ChannelError> {
        let mut results = Vec::new();
        for told in announcements {
            results
                .push(self.put("/receipts", &told.document, told, |told: &Received| &told.document).await?);
        }
        Ok(results)
    }

    async fn received(&self, cursor: Option<&str>) -> Result<ReceivedPage, ChannelError> {
        self.changed("/receipts", cursor).await
    }

    async fn ask_recounts(&self, requests: &[RecountRequest]) -> Result<Vec<Sent<Recounted>>, ChannelError> {
        let mut results = Vec::new();
        for asked in requests {
            results.push(
                self.put("/recounts", &asked.document, asked, |told: &Recounted| &told.document).await?,
            );
        }
        Ok(results)
    }

    async fn recounted(&self, cursor: Option<&str>) -> Result<RecountedPage, ChannelError> {
        self.changed("/recounts", cursor).await
    }
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;

    const PAGE: &str = include_str!("../../../../docs/channels/protocol.md");
    const API: &str = include_str!("../../../../docs/channels/protocol.openapi.json");

    /// What the page shows as JSON, in its order.
    fn shown() -> Vec<&'static str> {
        PAGE.split("```json\n").skip(1).filter_map(|rest| rest.split("```").next()).collect()
    }

    /// The members that a schema of the document names.
    fn members(schema: &str) -> Vec<String> {
        let api: Value = serde_json::from_str(API).unwrap();
        let members = api["components"]["schemas"][schema]["properties"].as_object().unwrap();
        members.keys().cloned().collect()
    }

    fn names(value: &impl serde::Serialize) -> Vec<String> {
        let value = serde_json::to_value(value).unwrap();
        value.as_object().unwrap().keys().cloned().collect()
    }

    #[test]
    fn the_page_and_its_openapi_say_what_is_sent_and_read() {
        let [order, state, announced, received, request, recounted] = shown().try_into().unwrap();
        let order: Outgoing = serde_json::from_str(order).unwrap();
        assert_eq!(order.recipient.as_ref().unwrap().city.as_deref(), Some("Ely"));
        let state: Followed = serde_json::from_str(state).unwrap();
        assert_eq!(state.parcels[0].lines[0].line, order.lines[0].line);
        let announced: Announcement = serde_json::from_str(announced).unwrap();
        let received: Received = serde_json::from_str(received).unwrap();
        assert_eq!(received.deliveries[0].lines[0].line, announced.lines[0].line);
        let request: RecountRequest = serde_json::from_str(request).unwrap();
        let recounted: Recounted = serde_json::from_str(recounted).unwrap();
        assert_eq!(recounted.lines[0].line, request.lines[0].line);
        let mut all = [
            (names(&order), members("Order")),
            (names(&state), members("State")),
            (names(&announced), members("Announcement")),
            (names(&received), members("Received")),
            (names(&request), members("RecountRequest")),
            (names(&recounted), members("Recounted")),
        ];
        for (names, members) in &mut all {
            names.sort();
            members.sort();
            assert_eq!(names, members);
        }
    }
}
