//! Hearing of orders. There is no list of what changed, and no order says when it last did.
//!
//! So all open orders are read, and the newest of any kind, so that one that was over before we looked is heard of too; what was open and is no
//! more is asked for by its name. What an order says is known by its content. The list of open ones is that which the numbers were made of, where
//! these were read just before.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::Ordering;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::SkuLabs;
use super::wire::{self, Named, Order};
use crate::{ChannelError, OrderPage, RemoteOrder, Told, locked};

/// So many of the newest orders are looked at each time, and more where all of them are new.
const NEWEST: usize = 50;
/// More new orders than these at one look are no account that we know how to follow.
const MOST_NEW: usize = 10_000;
/// So many are asked for by name in one call. How many it takes is not said.
const BY_NAME: usize = 50;
/// Open orders that were read with numbers are the ones of now for so long.
const FRESH: Duration = Duration::from_secs(10);
/// What we sent is marked so, and is none of its own orders.
pub(super) const OURS: &str = "onhand/";

/// Where orders are read from next.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
struct Cursor {
    /// The newest order when we were connected: what was there by then, and over, is history.
    since: String,
    /// The newest order known, by its id, which begins with the second that it was made in.
    newest: String,
    /// Those that are open, or among the newest, by document.
    seen: BTreeMap<String, Seen>,
}

#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
struct Seen {
    id: String,
    /// What it said, as a number.
    said: u64,
    version: u64,
    is_open: bool,
}

impl Cursor {
    fn write(&self) -> String {
        serde_json::to_string(self).expect("a cursor can always be written")
    }
}

/// What an order says, but for when: what nothing follows from is no news.
fn said(order: &RemoteOrder) -> u64 {
    let times = order.placed_at;
    let plain = RemoteOrder { version: 0, updated_at: times, moved_at: times, ..order.clone() };
    let text = serde_json::to_string(&plain).expect("an order can always be written");
    let for_whom = order.raw.as_ref().and_then(super::recipient);
    let for_whom = serde_json::to_string(&for_whom).expect("an address can always be written");
    let hash = blake3::hash(format!("{text}\n{for_whom}").as_bytes());
    u64::from_le_bytes(*hash.as_bytes().first_chunk().expect("a hash has 32 bytes"))
}

impl SkuLabs {
    pub(super) async fn orders_since(&self, cursor: Option<&str>) -> Result<OrderPage, ChannelError> {
        let known = match cursor {
            Some(cursor) => Some(
                serde_json::from_str::<Cursor>(cursor)
                    .map_err(|error| self.session.peer.unexpected(format!("our cursor: {error}")))?,
            ),
            None => None,
        };
        if let (Some(cursor), false) = (cursor, self.is_time()) {
            return Ok(OrderPage { orders: Vec::new(), cursor: cursor.to_owned(), more: false });
        }
        let is_first = known.is_none();
        let mut cursor = known.unwrap_or_default();
        let fresh = {
            let mut looked = locked(&self.looked);
            let is_fresh = looked.read_at.is_some_and(|at| at.elapsed() < FRESH);
            looked.open.take().filter(|_| is_fresh)
        };
        let open = match fresh {
            Some(open) => open,
            None => self.open_orders().await?,
        };
        let newest = self.newest(&json!({}), &cursor.newest).await?;
        let looked_through = newest.iter().map(|told| told.content.id.clone()).min().unwrap_or_default();
        let newest_id = newest.iter().map(|told| told.content.id.clone()).max().unwrap_or_default();
        // What was read later says how it is now.
        let mut all = BTreeMap::new();
        for told in open.into_iter().chain(newest) {
            all.insert(told.content.named().document(), told);
        }
        let over: Vec<Named> = cursor
            .seen
            .iter()
            .filter(|(document, seen)| seen.is_open && !all.contains_key(*document))
            .filter_map(|(document, _)| Named::of(document))
            .collect();
        for told in self.by_name(&over).await? {
            all.insert(told.content.named().document(), told);
        }
        // What is there no more is looked for no more.
        for named in &over {
            let document = named.document();
            if let (Some(seen), false) = (cursor.seen.get_mut(&document), all.contains_key(&document)) {
                seen.is_open = false;
            }
        }
        all.retain(|_, told| !told.content.is_ours());
        if is_first {
            cursor.since.clone_from(&newest_id);
        }
        cursor.newest = cursor.newest.max(newest_id);
        let orders = self.news(&mut cursor, all, is_first).await?;
        cursor.seen.retain(|_, seen| seen.is_open || seen.id >= looked_through);
        locked(&self.looked).orders_at = Some(tokio::time::Instant::now());
        self.looks_now.store(false, Ordering::Relaxed);
        Ok(OrderPage { orders, cursor: cursor.write(), more: false })
    }

    /// Are its orders to be asked for now? Each time costs calls, of which there are so many an hour.
    fn is_time(&self) -> bool {
        let last = locked(&self.looked).orders_at;
        self.looks_now.load(Ordering::Relaxed)
            || last.is_none_or(|last| last.elapsed() >= self.settings.looks_every())
    }

    /// Are all numbers in these numbers? What one of them is of must not be guessed.
    pub(super) fn are_readable<'a>(
        &self,
        orders: impl IntoIterator<Item = &'a Told<Order>>,
    ) -> Result<(), ChannelError> {
        let wrong = orders.into_iter().find_map(|told| told.content.unreadable());
        wrong.map_or(Ok(()), |wrong| Err(self.session.peer.unexpected(wrong)))
    }

    /// Of these those that say something new, the oldest change first.
    async fn news(
        &self,
        cursor: &mut Cursor,
        all: BTreeMap<String, Told<Order>>,
        is_first: bool,
    ) -> Result<Vec<RemoteOrder>, ChannelError> {
        self.are_readable(all.values())?;
        let knows = self.knowledge(all.values().map(|told| &told.content)).await?;
        let mut orders = Vec::new();
        for (document, told) in all {
            let (id, read) = (told.content.id.clone(), told.content.read(&knows));
            let is_open = read.is_open;
            let mut order = told
                .content
                .into_remote(read, told.raw)
                .map_err(|reason| self.session.peer.unexpected(reason))?;
            let said = said(&order);
            let known = cursor.seen.get(&document);
            if known.is_some_and(|seen| seen.said == said && seen.is_open == is_open) {
                continue;
            }
            order.version = order.version.max(known.map_or(0, |seen| seen.version + 1));
            order.history = !is_open && known.is_none() && id <= cursor.since;
            let version = order.version;
            cursor.seen.insert(document, Seen { id, said, version, is_open });
            if is_open || !is_first {
                orders.push(order);
            }
        }
        orders.sort_by_key(|order| order.updated_at);
        Ok(orders)
    }

    /// The newest orders of any status that a selector has, at least back to one that is known; the newest few where none is.
    pub(super) async fn newest(
        &self,
        selector: &Value,
        known: &str,
    ) -> Result<Vec<Told<Order>>, ChannelError> {
        let fields = wire::order_fields();
        let mut rows: Vec<Told<Order>> = Vec::new();
        while rows.len() < MOST_NEW {
            let page: Vec<Told<Order>> =
                self.session.page("/order/get", selector, Some(&fields), NEWEST, rows.len(), -1).await?;
            let count = page.len();
            let is_known = known.is_empty() || page.iter().any(|told| told.content.id.as_str() <= known);
            rows.extend(page);
            if count < NEWEST || is_known {
                return Ok(rows);
            }
        }
        Ok(rows)
    }

    pub(super) async fn by_name(&self, names: &[Named]) -> Result<Vec<Told<Order>>, ChannelError> {
        let wanted: BTreeSet<&Named> = names.iter().collect();
        let mut found = Vec::new();
        for part in names.chunks(BY_NAME) {
            let answers: Vec<wire::Single<Told<Order>>> =
                self.session.ask("/order/get_single_bulk", &wire::These { order: part }).await?;
            found.extend(answers.into_iter().filter_map(|answer| answer.order));
        }
        found.retain(|told| wanted.contains(&told.content.named()));
        Ok(found)
    }
}

impl Order {
    /// Did we send it?
    pub(super) fn is_ours(&self) -> bool {
        self.stash.alternate_order_id.as_deref().is_some_and(|id| id.starts_with(OURS))
    }
}
