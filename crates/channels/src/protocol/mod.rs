//! The Onhand channel protocol: what a warehouse system that we do not know speaks with us, over HTTP and JSON. Whoever runs it writes
//! six small endpoints; `docs/channels/protocol.md` says which.
//!
//! Its numbers are goods on the shelf, and its own: it is sent none. It is sent the orders that it shall ship
//! ([`crate::outgoing`] has the bodies, which are the types there), one by one under their names, so that a copy of one does no harm.

mod wire;

use std::collections::BTreeMap;

use onhand_ledger::{Instant, Quantity};
use reqwest::{RequestBuilder, StatusCode};
use serde::de::DeserializeOwned;

use crate::outgoing::{Followed, FollowedPage, Outgoing, Sent};
use crate::webhook::WebhookScheme;
use crate::{
    Channel, ChannelError, Discovery, Meaning, OrderPage, Push, Pushed, Reading, RemoteLocation, RemoteStock,
    date_of,
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
        let unreachable =
            |error: reqwest::Error| ChannelError::Unreachable { system: system(), reason: error.to_string() };
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
            let path = format!("/orders/{}", order.document);
            let answer: Result<Followed, ChannelError> =
                self.answer(self.http.put(self.at(&path)).json(order)).await;
            results.push(match answer {
                Ok(followed) if followed.document == order.document => Sent::Answered(Box::new(followed)),
                Ok(followed) => {
                    let reason = format!("it answers for `{}`", followed.document);
                    return Err(self.unexpected(reason));
                }
                // Whether it was done is not known: what was sent may have arrived.
                Err(ChannelError::Unreachable { reason, .. } | ChannelError::Unexpected { reason, .. }) => {
                    Sent::Unknown { reason }
                }
                Err(error) => return Err(error),
            });
        }
        Ok(results)
    }

    async fn followed(&self, cursor: Option<&str>) -> Result<FollowedPage, ChannelError> {
        let query: &[(&str, &str)] = match &cursor {
            Some(cursor) => &[("since", cursor)],
            None => &[],
        };
        self.get("/orders", query).await
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
        let [order, state] = shown().try_into().unwrap();
        let order: Outgoing = serde_json::from_str(order).unwrap();
        assert_eq!(order.recipient.as_ref().unwrap().city.as_deref(), Some("Ely"));
        let state: Followed = serde_json::from_str(state).unwrap();
        assert_eq!(state.parcels[0].lines[0].line, order.lines[0].line);
        let mut all = [(names(&order), members("Order")), (names(&state), members("State"))];
        for (names, members) in &mut all {
            names.sort();
            members.sort();
            assert_eq!(names, members);
        }
    }
}
