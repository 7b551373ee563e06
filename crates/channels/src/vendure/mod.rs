//! Vendure 3, spoken to over its admin API (GraphQL).
//!
//! - What its customers can buy is stock on hand − allocated − out-of-stock threshold
//!   (<https://docs.vendure.io/guides/core-concepts/stock-control/>). An order allocates when its payment is
//!   authorised or settled
//!   (<https://docs.vendure.io/reference/typescript-api/orders/stock-allocation-strategy/>), and takes its goods off
//!   stock on hand when it is fulfilled. So a number is sent as *desired + allocated + threshold*, with what is
//!   allocated read just before, and read again from the answer: an order placed in between only lowers what can be
//!   bought; one fulfilled in between would raise it, and is put right at once.
//! - Only stock on hand can be written (`updateProductVariants` with `stockLevels`); there is no compare-and-set.
//! - An order's `updatedAt` moves with its state, and when some of its lines are cancelled (tried with 3.7.3).
//! - Sessions are bearer tokens, given in the header `vendure-auth-token`
//!   (<https://docs.vendure.io/guides/storefront/connect-api/>). A list gives at most 1,000 rows unless a shop set
//!   another limit (`adminListQueryLimit`,
//!   <https://docs.vendure.io/reference/typescript-api/configuration/api-options/>).
//!
//! When a system is first connected, the orders that are not shipped in full are heard of; older ones are history,
//! also when they change afterwards.

mod wire;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Mutex;

use onhand_ledger::{Instant, Quantity};
use reqwest::StatusCode;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::outgoing::Recipient;
use crate::webhook::WebhookScheme;
use crate::{
    ANSWERS_WITHIN, Channel, ChannelError, Discovery, Meaning, OrderPage, Push, Pushed, Raw, Reading,
    RemoteOrder, Told, date_of, locked, why_lost,
};

/// How many rows one call asks for.
const PAGE: usize = 100;
/// The most rows a list gives, unless the shop's owner set another limit.
const MOST: usize = 1_000;
/// How far behind the newest change known we look for changes that were committed late, in seconds.
const OVERLAP: i64 = 60;
/// How often one number is written before the next attempt is left to a later push.
const ATTEMPTS: usize = 3;
/// What we must be allowed to do there beside reading the catalogue, each by any of these
/// (<https://docs.vendure.io/reference/typescript-api/common/permission/>).
const RIGHTS: [&[&str]; 2] = [&["UpdateCatalog", "UpdateProduct"], &["ReadOrder"]];
/// Its numbers are 32-bit integers (GraphQL's `Int`); half of that leaves room for what is allocated.
const MOST_UNITS: i64 = (i32::MAX / 2) as i64;

/// A Vendure server.
pub struct Vendure {
    name: String,
    url: String,
    username: String,
    password: String,
    http: reqwest::Client,
    token: Mutex<Option<String>>,
}

/// Where orders are read from next.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
struct Cursor {
    /// Changes after this instant, by the server's clock.
    after: String,
    /// Those of them that are known: order id and version.
    seen: BTreeMap<String, u64>,
    /// When we were connected, by the server's clock: what was placed before and is not known was done with by then.
    since: Option<Instant>,
    /// Orders of the minute before that were done with when we were connected.
    closed: BTreeSet<String>,
}

impl Cursor {
    fn write(&self) -> String {
        serde_json::to_string(self).expect("a cursor can always be written")
    }
}

/// Why one call failed.
enum Failed {
    /// The session is over, or this user may not do that.
    Forbidden(String),
    /// It was understood and refused.
    Refused(String),
    Other(ChannelError),
}

impl Vendure {
    /// A server at a base address such as `http://127.0.0.1:3000` (or its admin API's own address), and an
    /// administrator of it who may read the catalogue, stock locations and orders, and update the catalogue.
    pub fn new(name: &str, url: &str, username: &str, password: &str, http: reqwest::Client) -> Self {
        let url = url.trim_end_matches('/');
        let has_path = url.split_once("://").is_some_and(|(_, rest)| rest.contains('/'));
        Self {
            name: name.to_owned(),
            url: if has_path { url.to_owned() } else { format!("{url}/admin-api") },
            username: username.to_owned(),
            password: password.to_owned(),
            http,
            token: Mutex::new(None),
        }
    }

    fn token(&self) -> Option<String> {
        locked(&self.token).clone()
    }

    fn keep_token(&self, token: Option<String>) {
        *locked(&self.token) = token;
    }

    fn unexpected(&self, reason: impl ToString) -> ChannelError {
        ChannelError::unexpected(&self.name, reason)
    }

    async fn sign_in(&self) -> Result<(), ChannelError> {
        self.keep_token(None);
        let who = wire::Who { username: &self.username, password: &self.password };
        let answer: wire::Login = match self.ask_once(wire::LOGIN, &who).await {
            Ok(answer) => answer,
            Err(Failed::Forbidden(reason) | Failed::Refused(reason)) => return Err(self.credentials(reason)),
            Err(Failed::Other(error)) => return Err(error),
        };
        match answer.login {
            login if login.typename == "CurrentUser" && self.token().is_some() => Ok(()),
            login if login.typename == "CurrentUser" => Err(self.unexpected(
                "no token came with the session: add `bearer` to authOptions.tokenMethod of its configuration",
            )),
            login => Err(self.credentials(login.message.unwrap_or(login.typename))),
        }
    }

    /// What we must be allowed is looked at before anything relies on it.
    async fn check_rights(&self) -> Result<(), ChannelError> {
        let rights: wire::Rights = self.query(wire::RIGHTS, &()).await?;
        let channels = rights.me.map(|me| me.channels).unwrap_or_default();
        let has = |right: &&str| {
            channels.iter().any(|channel| channel.permissions.iter().any(|permission| permission == right))
        };
        let missing: Vec<&str> =
            RIGHTS.iter().filter(|any| !any.iter().any(has)).filter_map(|any| any.first().copied()).collect();
        if missing.is_empty() {
            return Ok(());
        }
        Err(self.credentials(format!(
            "`{}` may not {}: give its role these permissions",
            self.username,
            missing.join(", ")
        )))
    }

    fn credentials(&self, reason: String) -> ChannelError {
        ChannelError::Credentials { system: self.name.clone(), reason }
    }

    /// Asks with a session, a new one where there is none or it is over.
    async fn ask<T: DeserializeOwned>(&self, query: &str, variables: &impl Serialize) -> Result<T, Failed> {
        let fresh = self.token().is_none();
        if fresh {
            self.sign_in().await.map_err(Failed::Other)?;
        }
        match self.ask_once(query, variables).await {
            Err(Failed::Forbidden(_)) if !fresh => {
                self.sign_in().await.map_err(Failed::Other)?;
                self.ask_once(query, variables).await
            }
            done => done,
        }
    }

    /// The same, where a refusal is nothing to go on with.
    async fn query<T: DeserializeOwned>(
        &self,
        query: &str,
        variables: &impl Serialize,
    ) -> Result<T, ChannelError> {
        self.ask(query, variables).await.map_err(|failed| match failed {
            Failed::Forbidden(reason) => self.credentials(reason),
            Failed::Refused(reason) => self.unexpected(reason),
            Failed::Other(error) => error,
        })
    }

    async fn ask_once<T: DeserializeOwned>(
        &self,
        query: &str,
        variables: &impl Serialize,
    ) -> Result<T, Failed> {
        let unreachable =
            |reason: String| Failed::Other(ChannelError::Unreachable { system: self.name.clone(), reason });
        let lost = |error: reqwest::Error| unreachable(why_lost(error, ANSWERS_WITHIN));
        let mut request = self.http.post(&self.url).json(&wire::Request { query, variables });
        if let Some(token) = self.token() {
            request = request.bearer_auth(token);
        }
        let answer = request.send().await.map_err(lost)?;
        let status = answer.status();
        let header = |name: &str| Some(answer.headers().get(name)?.to_str().ok()?.to_owned());
        let retry_after_seconds = header("retry-after").and_then(|seconds| seconds.parse().ok());
        let token = header("vendure-auth-token");
        let text = answer.text().await.map_err(lost)?;
        if status == StatusCode::TOO_MANY_REQUESTS {
            let system = self.name.clone();
            return Err(Failed::Other(ChannelError::Throttled { system, retry_after_seconds }));
        }
        // A refusal is GraphQL too, whatever its status; anything else is some machine in between.
        let body: wire::Response<T> = match serde_json::from_str(&text) {
            Ok(body) => body,
            Err(_) if status.is_server_error() => {
                return Err(unreachable(format!("{status}: {}", text.chars().take(200).collect::<String>())));
            }
            Err(error) => {
                return Err(Failed::Other(self.unexpected(format!("{status}, {error}, in: {text}"))));
            }
        };
        if let Some(token) = token {
            self.keep_token(Some(token));
        }
        let mut reasons = Vec::new();
        let mut forbidden = false;
        for error in body.errors {
            forbidden |= matches!(error.extensions.code.as_str(), "FORBIDDEN" | "UNAUTHORIZED");
            reasons.push(error.message);
        }
        match (body.data, reasons.join("; ")) {
            (Some(data), reasons) if reasons.is_empty() => Ok(data),
            (_, reasons) if reasons.is_empty() => {
                Err(Failed::Other(self.unexpected(format!("{status}, no answer to a query: {text}"))))
            }
            (_, reasons) if forbidden => Err(Failed::Forbidden(reasons)),
            (_, reasons) if status.is_server_error() => Err(unreachable(format!("{status}: {reasons}"))),
            (_, reasons) => Err(Failed::Refused(reasons)),
        }
    }

    fn remote(&self, orders: Vec<Told<wire::Order>>) -> Result<Vec<RemoteOrder>, ChannelError> {
        orders
            .into_iter()
            .map(|told| told.content.into_remote(told.raw).map_err(|reason| self.unexpected(reason)))
            .collect()
    }

    /// The first time: what is not shipped in full. Newer changes are read from then on.
    async fn open_orders(&self) -> Result<OrderPage, ChannelError> {
        let newest: wire::Orders<wire::Changed> = self.query(wire::NEWEST_ORDER, &()).await?;
        let mut cursor = Cursor { after: Instant::from_micros(0).to_string(), ..Cursor::default() };
        if let Some(newest) = newest.orders.items.first() {
            cursor.after = self.before(&newest.updated_at, OVERLAP)?;
            cursor.since = Some(Instant::parse(&cursor.after).map_err(|error| self.unexpected(error))?);
        }
        let mut open = BTreeMap::new();
        loop {
            let page = wire::Page { take: PAGE, skip: open.len() };
            let page: wire::Orders = self.query(wire::OPEN_ORDERS, &page).await?;
            let (known, full) = (open.len(), page.orders.items.len() == PAGE);
            open.extend(page.orders.items.into_iter().map(|order| (order.content.id.clone(), order)));
            if !full || open.len() == known {
                break;
            }
        }
        // What was done with before we came is none of ours, even if it changed a moment ago.
        let recent: wire::Orders =
            self.query(wire::CHANGED_ORDERS, &wire::After { take: MOST, after: &cursor.after }).await?;
        for Told { content: order, raw } in recent.orders.items {
            if !open.contains_key(&order.id) {
                let id = order.id.clone();
                let order = order.into_remote(raw).map_err(|reason| self.unexpected(reason))?;
                cursor.closed.insert(id.clone());
                cursor.seen.insert(id, order.version);
            }
        }
        let orders = self.remote(open.into_values().collect())?;
        Ok(OrderPage { orders, cursor: cursor.write(), more: false })
    }

    fn before(&self, instant: &str, seconds: i64) -> Result<String, ChannelError> {
        let instant = Instant::parse(instant).map_err(|error| self.unexpected(error))?;
        Ok(instant.plus_seconds(-seconds).to_string())
    }

    /// The numbers of these variants at all locations.
    async fn levels(&self, listings: &[String]) -> Result<Vec<Reading>, ChannelError> {
        let ids = wire::Ids { ids: listings, take: listings.len().max(1) };
        let stock: wire::Stock = self.query(wire::STOCK, &ids).await?;
        Ok(stock.into_readings())
    }

    /// Writes these numbers, and again where what can be bought is more than was asked for.
    async fn set(&self, pushes: &[(&Push, &Reading)]) -> Result<Vec<Pushed>, Failed> {
        let whole = |quantity: Option<Quantity>| quantity.unwrap_or_default().whole_units();
        let threshold = |before: &Reading| {
            whole(before.on_hand) - whole(before.allocated) - before.quantity.whole_units()
        };
        let mut allocated: Vec<i64> = pushes.iter().map(|(_, before)| whole(before.allocated)).collect();
        let mut left: Vec<usize> = (0..pushes.len()).collect();
        for _ in 0..ATTEMPTS {
            // One entry a variant, whatever locations it has.
            let mut input = BTreeMap::<&str, Vec<wire::SetLevel>>::new();
            for &number in &left {
                let (push, before) = pushes[number];
                input.entry(&push.listing).or_default().push(wire::SetLevel {
                    stock_location_id: push.location.clone(),
                    stock_on_hand: push.quantity.whole_units() + allocated[number] + threshold(before),
                });
            }
            let set = |(id, stock_levels): (&str, _)| wire::SetVariant { id: id.to_owned(), stock_levels };
            let input = wire::SetStock { input: input.into_iter().map(set).collect() };
            let updated: wire::Updated = self.ask(wire::SET_STOCK, &input).await?;
            // Lower than asked for: an order came in between, and is right. Higher: one was fulfilled in between.
            left.retain(|&number| {
                let (push, before) = pushes[number];
                let Some((on_hand, now)) = updated.level(&push.listing, &push.location) else { return true };
                allocated[number] = now;
                on_hand - now - threshold(before) > push.quantity.whole_units()
            });
            if left.is_empty() {
                break;
            }
        }
        let result = |number| {
            if left.contains(&number) {
                Pushed::Unknown { reason: "its own orders moved the number at each attempt".to_owned() }
            } else {
                Pushed::Acknowledged
            }
        };
        Ok((0..pushes.len()).map(result).collect())
    }

    /// What became of a number that could not be set.
    fn not_set(&self, failed: Failed) -> Result<Pushed, ChannelError> {
        match failed {
            Failed::Refused(reason) => Ok(Pushed::Refused { reason }),
            // Whether it was done is not known: a request that was sent may have been.
            Failed::Other(ChannelError::Unreachable { reason, .. }) => Ok(Pushed::Unknown { reason }),
            Failed::Forbidden(reason) => Err(self.credentials(reason)),
            Failed::Other(error) => Err(error),
        }
    }
}

/// Whom an order is for, by its raw document.
pub(crate) fn recipient(raw: &Raw) -> Option<Recipient> {
    let told: wire::ForWhom = serde_json::from_str(raw.reveal()).ok()?;
    told.into_recipient()
}

#[async_trait::async_trait]
impl Channel for Vendure {
    /// Vendure has no webhooks of its own; the plugin of that name sends an empty request and signs nothing
    /// (<https://docs.vendure.io/plugins/webhook-plugin>).
    fn webhook(&self) -> Option<WebhookScheme> {
        Some(WebhookScheme::SecretPath)
    }

    fn meaning(&self) -> Meaning {
        Meaning::SellableNetOfOwnOrders
    }

    fn batch_size(&self) -> usize {
        PAGE
    }

    fn reads_before_push(&self) -> bool {
        true
    }

    /// An order's state and what it allocates are written in one transaction of the request that changes it: `onTransitionEnd`
    /// allocates with the same `ctx`
    /// (<https://github.com/vendure-ecommerce/vendure/blob/master/packages/core/src/config/order/default-order-process.ts>,
    /// <https://docs.vendure.io/reference/typescript-api/request/transaction-decorator>). Lists of orders are read from the same tables.
    fn tells_within_ms(&self) -> i64 {
        0
    }

    /// A session, and what it may do: nothing is looked through.
    async fn test(&self) -> Result<(), ChannelError> {
        self.sign_in().await?;
        self.check_rights().await
    }

    async fn clock(&self) -> Result<Option<Instant>, ChannelError> {
        Ok(date_of(&self.http, &self.url).await)
    }

    async fn discover(&self) -> Result<Discovery, ChannelError> {
        self.sign_in().await?;
        self.check_rights().await?;
        let mut discovery = Discovery::default();
        loop {
            let page = wire::Page { take: PAGE, skip: discovery.listings.len() };
            let page: wire::Variants = self.query(wire::VARIANTS, &page).await?;
            let (settings, variants) = (page.global_settings, page.product_variants);
            let end = variants.items.is_empty();
            discovery
                .listings
                .extend(variants.items.into_iter().map(|variant| variant.into_listing(settings)));
            if end || discovery.listings.len() >= variants.total_items {
                break;
            }
        }
        loop {
            let page = wire::Page { take: PAGE, skip: discovery.locations.len() };
            let page: wire::Locations = self.query(wire::LOCATIONS, &page).await?;
            let end = page.stock_locations.items.is_empty();
            discovery
                .locations
                .extend(page.stock_locations.items.into_iter().map(wire::Location::into_remote));
            if end || discovery.locations.len() >= page.stock_locations.total_items {
                return Ok(discovery);
            }
        }
    }

    async fn read(&self, listings: &[String]) -> Result<Vec<Reading>, ChannelError> {
        self.levels(listings).await
    }

    async fn push(&self, pushes: &[Push]) -> Result<Vec<Pushed>, ChannelError> {
        let mut results: Vec<Option<Pushed>> = Vec::new();
        let mut good = Vec::new();
        for (number, push) in pushes.iter().enumerate() {
            let refused = match &push.before {
                None => Some("it has no such variant or stock location any more"),
                Some(before) if !before.tracked => Some(
                    "it does not track this variant's stock and sells it without end: \
                     let it track inventory there",
                ),
                Some(_) if push.quantity.whole_units() > MOST_UNITS => Some("that is more than it can hold"),
                Some(before) => {
                    good.push((number, (push, before)));
                    None
                }
            };
            results.push(refused.map(|reason| Pushed::Refused { reason: reason.to_owned() }));
        }
        let pairs: Vec<_> = good.iter().map(|(_, pair)| *pair).collect();
        // All in one transaction over there; if it refuses, one by one, to know which it is.
        let set = match self.set(&pairs).await {
            Err(Failed::Refused(_)) if pairs.len() > 1 => {
                let mut set = Vec::new();
                for pair in pairs {
                    match self.set(&[pair]).await {
                        Ok(one) => set.extend(one),
                        Err(failed) => set.push(self.not_set(failed)?),
                    }
                }
                set
            }
            Ok(set) => set,
            Err(failed) => vec![self.not_set(failed)?; pairs.len()],
        };
        for ((number, _), result) in good.iter().zip(set) {
            results[*number] = Some(result);
        }
        let lost = || Pushed::Unknown { reason: "its answer left this one out".to_owned() };
        Ok(results.into_iter().map(|result| result.unwrap_or_else(lost)).collect())
    }

    async fn orders(&self, cursor: Option<&str>) -> Result<OrderPage, ChannelError> {
        let Some(cursor) = cursor else { return self.open_orders().await };
        let mut cursor: Cursor =
            serde_json::from_str(cursor).map_err(|error| self.unexpected(format!("our cursor: {error}")))?;
        let mut take = PAGE;
        let (page, full) = loop {
            let after = wire::After { take, after: &cursor.after };
            let page: wire::Orders = self.query(wire::CHANGED_ORDERS, &after).await?;
            let page = page.orders.items;
            let full = page.len() >= take;
            let updated_at = |order: &Told<wire::Order>| order.content.updated_at.clone();
            // A page of one instant leads nowhere: a larger one does.
            let stuck = full && page.first().map(updated_at) == page.last().map(updated_at);
            match stuck {
                true if take < MOST => take = MOST,
                true => return Err(self.unexpected(format!("{MOST} orders changed in one millisecond"))),
                false => break (page, full),
            }
        };
        let Some(Told { content: last, .. }) = page.last() else {
            return Ok(OrderPage { orders: Vec::new(), cursor: cursor.write(), more: false });
        };
        // Go on a millisecond before the last of a full page: more may have changed in the same.
        let next = if full {
            let last = Instant::parse(&last.updated_at).map_err(|error| self.unexpected(error))?;
            last.plus_micros(-1_000).to_string()
        } else {
            cursor.after.clone().max(self.before(&last.updated_at, OVERLAP)?)
        };
        let since = cursor.since;
        let mut seen = if full { cursor.seen.clone() } else { BTreeMap::new() };
        let mut orders = Vec::new();
        for Told { content: order, raw } in page {
            seen.remove(&order.id);
            let (id, changed) = (order.id.clone(), order.updated_at.clone());
            let mut order = order.into_remote(raw).map_err(|reason| self.unexpected(reason))?;
            order.history =
                since.is_some_and(|since| order.placed_at <= since) || cursor.closed.contains(&id);
            let known = cursor.seen.get(&id) == Some(&order.version);
            let changed = Instant::parse(&changed).map_err(|error| self.unexpected(error))?;
            if Instant::parse(&next).is_ok_and(|next| changed > next) {
                seen.insert(id, order.version);
            }
            if !known {
                orders.push(order);
            }
        }
        cursor = Cursor { after: next, seen, ..cursor };
        Ok(OrderPage { orders, cursor: cursor.write(), more: full })
    }
}
