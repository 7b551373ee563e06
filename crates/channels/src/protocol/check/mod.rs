//! Does a system speak the protocol as `docs/channels/protocol.md` says? For whoever writes one: each rule is tried, and what is not as
//! it says is told in a sentence.
//!
//! Nothing leaves a warehouse by it: what is sent is cancelled from the start, under names of its own. Where orders may be placed, because
//! nobody works on them, more is tried.

mod ask;
mod documents;

use std::collections::BTreeSet;

use onhand_ledger::{Instant, Quantity};
use serde::Serialize;
use serde_json::Value;

use self::ask::{Answered, Ask};
use self::documents::Kind;
use super::wire;
use crate::{RemoteListing, RemoteStock};

/// Its clock may be so far from ours, in seconds.
const CLOCKS_DIFFER: i64 = 60;
/// Pages of a list are asked for so many times.
const PAGES: usize = 10_000;

/// What came of one rule.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Checked {
    /// The rule's name.
    pub rule: &'static str,
    /// What came of it.
    #[serde(flatten)]
    pub came: Came,
}

/// See [`Checked`].
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
#[serde(tag = "result", content = "why", rename_all = "snake_case")]
pub enum Came {
    /// It is kept.
    Passed,
    /// It is not, and what was seen.
    Failed(String),
    /// It was not tried, and why.
    LeftOut(String),
}

/// Tries each rule, in the order of the page.
pub struct Check {
    ask: Ask,
    clock: fn() -> Instant,
    places_orders: bool,
    /// A part of the names of all that is sent: of this time alone.
    run: String,
    checked: Vec<Checked>,
    items: Vec<RemoteListing>,
    locations: Vec<String>,
}

impl Check {
    /// Of the system at a base address that takes this bearer token, by our clock. May orders be placed that somebody could ship?
    pub fn new(
        url: &str,
        token: &str,
        http: reqwest::Client,
        places_orders: bool,
        clock: fn() -> Instant,
    ) -> Self {
        Self {
            ask: Ask::new(url, token, http),
            clock,
            places_orders,
            run: clock().micros().to_string(),
            checked: Vec::new(),
            items: Vec::new(),
            locations: Vec::new(),
        }
    }

    /// All that was found. Where nobody is let in, the rest is left out.
    pub async fn run(mut self) -> Vec<Checked> {
        let hello = self.hello().await;
        let takes = self.tell("lets_in", hello);
        let Some(takes) = takes else { return self.checked };
        let kept_out = self.keeps_out().await;
        self.tell("keeps_out", kept_out);
        let clock = self.clock().await;
        self.tell("clock", clock);
        let locations = self.list_locations().await;
        self.locations = self.tell("locations", locations).unwrap_or_default();
        let items = self.list_items().await;
        self.items = self.tell("items", items).unwrap_or_default();
        let stock = self.stock().await;
        self.tell("stock", stock);
        let unknown = self.stock_of_nowhere().await;
        self.tell("stock_of_nowhere", unknown);
        for kind in [Kind::Orders, Kind::Receipts, Kind::Recounts] {
            if kind.is_taken(&takes) {
                self.documents(kind).await;
            } else {
                let why = format!("`takes` names nothing that is sent as {}", kind.list());
                self.checked.push(Checked { rule: kind.rules().cancelled, came: Came::LeftOut(why) });
            }
        }
        self.orders_placed().await;
        self.checked
    }

    /// Keeps what came of a rule; what it found, where it is kept.
    fn tell<T>(&mut self, rule: &'static str, came: Result<T, String>) -> Option<T> {
        let (came, found) = match came {
            Ok(found) => (Came::Passed, Some(found)),
            Err(why) => (Came::Failed(why), None),
        };
        self.checked.push(Checked { rule, came });
        found
    }

    async fn hello(&self) -> Result<Vec<String>, String> {
        let answer = self.ask.get("/", &[]).await?.ok()?;
        let hello: wire::Hello = parsed(&answer, "GET /")?;
        match hello.protocol {
            1 => Ok(hello.takes),
            other => Err(format!("GET / says `protocol` {other}; this is 1")),
        }
    }

    async fn keeps_out(&self) -> Result<(), String> {
        for (token, what) in [(None, "no token"), (Some("not-the-secret"), "another token")] {
            for path in ["/", "/stock?location=x", "/orders"] {
                let status = self.ask.with_token(token).get(path, &[]).await?.status;
                if status != 401 {
                    return Err(format!("GET {path} with {what} is answered {status}; 401 is right"));
                }
            }
            let path = "/orders/onhand-check-nobody";
            let status = self.ask.with_token(token).put(path, &serde_json::json!({})).await?.status;
            if status != 401 {
                return Err(format!("PUT {path} with {what} is answered {status}; 401 is right"));
            }
        }
        Ok(())
    }

    async fn clock(&self) -> Result<(), String> {
        let before = (self.clock)().micros() / 1_000_000;
        let date = self.ask.get("/", &[]).await?.date.ok_or("GET / has no `Date` header")?;
        let after = (self.clock)().micros() / 1_000_000;
        let says = date.micros() / 1_000_000;
        let differs = (before - says).max(says - after).max(0);
        if differs > CLOCKS_DIFFER {
            return Err(format!(
                "its `Date` differs from our clock by {differs} s; let both be set by the network"
            ));
        }
        Ok(())
    }

    /// All of a list that comes in pages.
    async fn all(&self, path: &str) -> Result<Vec<Value>, String> {
        let (mut after, mut all) = (String::new(), Vec::new());
        for _ in 0..PAGES {
            let query: &[(&str, &str)] = if after.is_empty() { &[] } else { &[("after", &after)] };
            let page: wire::Page<Value> = parsed(&self.ask.get(path, query).await?.ok()?, path)?;
            all.extend(page.data);
            match page.next {
                Some(next) if next == after && !next.is_empty() => {
                    return Err(format!(
                        "GET {path}?after={next} says `next` is {next} again: it has no end"
                    ));
                }
                Some(next) if !next.is_empty() => after = next,
                _ => return Ok(all),
            }
        }
        Err(format!("GET {path} has more than {PAGES} pages"))
    }

    async fn list_locations(&self) -> Result<Vec<String>, String> {
        let mut ids = Vec::new();
        for found in self.all("/locations").await? {
            let location: wire::Location = parsed(&found, "a location of GET /locations")?;
            ids.push(location.id);
        }
        must_be_ids("/locations", &ids)?;
        Ok(ids)
    }

    async fn list_items(&self) -> Result<Vec<RemoteListing>, String> {
        let mut items = Vec::new();
        for found in self.all("/items").await? {
            let item: wire::Item = parsed(&found, "an item of GET /items")?;
            items.push(item.into_remote());
        }
        let ids: Vec<String> = items.iter().map(|item| item.remote_id.clone()).collect();
        must_be_ids("/items", &ids)?;
        match items.iter().find(|item| item.sku.is_none()) {
            Some(item) => Err(format!(
                "item `{}` of GET /items has no `sku`: nobody can tell what it is",
                item.remote_id
            )),
            None => Ok(items),
        }
    }

    async fn stock(&self) -> Result<(), String> {
        let known: BTreeSet<&str> = self.items.iter().map(|item| item.remote_id.as_str()).collect();
        for location in &self.locations {
            let path = format!("GET /stock?location={location}");
            let asked_at = (self.clock)();
            let first = self.stock_at(location, &path).await?;
            let second = self.stock_at(location, &path).await?;
            if second.as_of < first.as_of {
                return Err(format!("{path}: `as_of` goes back, from {} to {}", first.as_of, second.as_of));
            }
            if second.as_of > asked_at.plus_seconds(CLOCKS_DIFFER) {
                return Err(format!("{path}: `as_of` {} is yet to come", second.as_of));
            }
            for row in &second.rows {
                if row.quantity < Quantity::ZERO {
                    return Err(format!("{path}: {} lie there of `{}`", row.quantity, row.listing));
                }
                if !known.contains(row.listing.as_str()) && !self.items.is_empty() {
                    return Err(format!("{path}: `{}` is not among GET /items", row.listing));
                }
            }
            let mut rows = BTreeSet::new();
            if let Some(row) = second.rows.iter().find(|row| !rows.insert((&row.listing, &row.lot))) {
                return Err(format!("{path}: `{}` has two rows of one lot", row.listing));
            }
        }
        Ok(())
    }

    async fn stock_at(&self, location: &str, path: &str) -> Result<RemoteStock, String> {
        parsed(&self.ask.get("/stock", &[("location", location)]).await?.ok()?, path)
    }

    async fn stock_of_nowhere(&self) -> Result<(), String> {
        let Answered { status, .. } = self.ask.get("/stock", &[("location", "onhand-check-nowhere")]).await?;
        if (200..300).contains(&status) {
            return Err(format!(
                "GET /stock of a location that is not there is answered {status}: what is mapped wrongly would be taken for empty"
            ));
        }
        Ok(())
    }
}

/// What an answer says, or what is wrong with it.
fn parsed<T: serde::de::DeserializeOwned>(answer: &Value, of: &str) -> Result<T, String> {
    serde_json::from_value(answer.clone()).map_err(|error| {
        let said: String = answer.to_string().chars().take(200).collect();
        format!("{of}: {error} in {said}")
    })
}

fn must_be_ids(path: &str, ids: &[String]) -> Result<(), String> {
    if ids.is_empty() {
        return Err(format!("GET {path} is empty: let there be one at least to try with"));
    }
    if ids.iter().any(String::is_empty) {
        return Err(format!("GET {path} has an empty `id`"));
    }
    let mut seen = BTreeSet::new();
    match ids.iter().find(|id| !seen.insert(*id)) {
        Some(twice) => Err(format!("GET {path} has `{twice}` twice")),
        None => Ok(()),
    }
}
