//! Hearing of orders: first which changed, then those.
//!
//! A list of orders is a search, which tells of a change a little later
//! (<https://shopify.dev/docs/api/usage/search-syntax>), and its times are of whole seconds: so we look again at what
//! changed up to a minute before the newest change we know, and read an order again whose second was not over when we read it.

use std::collections::{BTreeMap, BTreeSet};

use onhand_ledger::Instant;
use serde::{Deserialize, Serialize};

use super::{Shopify, documents, wire};
use crate::{ChannelError, OrderPage, RemoteOrder, Told};

/// How far behind the newest change known we look for changes that are told late, in seconds.
const OVERLAP: i64 = 60;
/// Of so many orders at most one call tells.
const ORDERS: usize = 25;
/// So many orders are asked for at once: each costs up to 74 points.
const AT_ONCE: usize = 5;

/// Where orders are read from next.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
struct Cursor {
    /// Are we still at what was open when we were connected?
    first: bool,
    /// Changes from this instant on, by its clock.
    after: String,
    /// The newest change known.
    newest: String,
    /// The page of the list we are at.
    page: Option<String>,
    /// Those changes that are known, by order.
    seen: BTreeMap<String, Seen>,
    /// What was placed before and is not known was done with when we were connected.
    since: Option<Instant>,
    /// Orders of the minute before that were done with by then.
    closed: BTreeSet<String>,
}

#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
struct Seen {
    at: String,
    version: u64,
    /// Was its second over when it was read?
    settled: bool,
}

impl Cursor {
    fn write(&self) -> String {
        serde_json::to_string(self).expect("a cursor can always be written")
    }

    fn query(&self) -> String {
        if self.first { "status:open".to_owned() } else { format!("updated_at:>='{}'", self.after) }
    }
}

impl Shopify {
    pub(super) async fn orders_since(&self, cursor: Option<&str>) -> Result<OrderPage, ChannelError> {
        let mut cursor = match cursor {
            Some(cursor) => serde_json::from_str(cursor)
                .map_err(|error| self.session.peer.unexpected(format!("our cursor: {error}")))?,
            None => self.begin().await?,
        };
        let page = self.changed(&cursor.query(), cursor.page.as_deref()).await?;
        let is_news = |changed: &&wire::Changed| {
            let known = cursor.seen.get(&wire::number(&changed.id));
            known.is_none_or(|seen| !seen.settled || seen.at != changed.updated_at)
        };
        let mut news: Vec<String> = page.nodes.iter().filter(is_news).map(|one| one.id.clone()).collect();
        let is_whole = news.len() <= ORDERS;
        news.truncate(ORDERS);
        let mut orders = Vec::new();
        for ids in news.chunks(AT_ONCE) {
            for (changed_at, order) in self.orders_of(ids).await? {
                orders.extend(self.judge_order(&mut cursor, changed_at, order)?);
            }
        }
        orders.sort_by_key(|order| order.updated_at);
        let newest = page.nodes.iter().map(|changed| changed.updated_at.as_str()).max();
        if !cursor.first && newest.is_some_and(|newest| newest > cursor.newest.as_str()) {
            newest.unwrap_or_default().clone_into(&mut cursor.newest);
        }
        let next = page.page_info.next();
        let more = if !is_whole {
            true
        } else if next.is_some() && next != cursor.page {
            cursor.page = next;
            true
        } else if cursor.first {
            self.end_first(&mut cursor).await?;
            true
        } else {
            cursor.page = None;
            cursor.after = cursor.after.clone().max(self.before(&cursor.newest, OVERLAP)?);
            cursor.seen.retain(|_, seen| seen.at >= cursor.after);
            false
        };
        Ok(OrderPage { orders, cursor: cursor.write(), more })
    }

    /// What of an order that was read is news.
    fn judge_order(
        &self,
        cursor: &mut Cursor,
        changed_at: String,
        mut order: RemoteOrder,
    ) -> Result<Option<RemoteOrder>, ChannelError> {
        let id = order.document.clone();
        let known = cursor.seen.get(&id);
        let is_known = known.is_some_and(|seen| seen.version == order.version);
        let second = Instant::parse(&changed_at).map_err(|error| self.session.peer.unexpected(error))?;
        let settled = match self.session.peer.date() {
            Some(date) => date > second.plus_seconds(1),
            // Nobody says what time it is: read twice.
            None => known.is_some_and(|seen| seen.at == changed_at),
        };
        let is_open = !order.cancelled && order.lines.iter().any(|line| line.quantity > line.shipped);
        if cursor.first {
            if changed_at >= cursor.after {
                cursor.seen.insert(id, Seen { at: changed_at, version: order.version, settled });
            }
            return Ok((is_open && !is_known).then_some(order));
        }
        cursor.seen.insert(id.clone(), Seen { at: changed_at, version: order.version, settled });
        order.history =
            cursor.since.is_some_and(|since| order.placed_at <= since) || cursor.closed.contains(&id);
        Ok((!is_known).then_some(order))
    }

    /// The first time: what is open. Newer changes are read from then on.
    async fn begin(&self) -> Result<Cursor, ChannelError> {
        let newest: wire::ChangedOrders = self.session.ask(documents::NEWEST, &()).await?;
        let mut cursor =
            Cursor { first: true, after: "1970-01-01T00:00:00Z".to_owned(), ..Cursor::default() };
        cursor.newest.clone_from(&cursor.after);
        if let Some(newest) = newest.orders.nodes.first() {
            cursor.after = self.before(&newest.updated_at, OVERLAP)?;
            cursor.newest.clone_from(&newest.updated_at);
            let since = Instant::parse(&cursor.after).map_err(|error| self.session.peer.unexpected(error))?;
            cursor.since = Some(since);
        }
        Ok(cursor)
    }

    /// What was done with before we came is none of ours, even if it changed a moment ago.
    async fn end_first(&self, cursor: &mut Cursor) -> Result<(), ChannelError> {
        cursor.first = false;
        cursor.page = None;
        let mut page = None;
        loop {
            let found = self.changed(&cursor.query(), page.as_deref()).await?;
            for changed in found.nodes {
                let id = wire::number(&changed.id);
                // What changed after we began to look is read as any other change.
                if !cursor.seen.contains_key(&id) && changed.updated_at <= cursor.newest {
                    cursor.closed.insert(id);
                }
            }
            let next = found.page_info.next();
            if next.is_none() || next == page {
                return Ok(());
            }
            page = next;
        }
    }

    async fn changed(
        &self,
        query: &str,
        after: Option<&str>,
    ) -> Result<wire::Page<wire::Changed>, ChannelError> {
        let asked = wire::ChangedAfter { query, after };
        let found: wire::ChangedOrders = self.session.ask(documents::CHANGED, &asked).await?;
        Ok(found.orders)
    }

    /// These orders as they are now, each with when it changed by the words of its list.
    async fn orders_of(&self, ids: &[String]) -> Result<Vec<(String, RemoteOrder)>, ChannelError> {
        let found: wire::Nodes<Told<wire::Order>> =
            self.session.ask(documents::ORDERS, &wire::Ids { ids }).await?;
        let mut orders = Vec::new();
        for Told { content: mut order, raw } in found.nodes.into_iter().flatten() {
            self.complete(&mut order).await?;
            let changed_at = order.updated_at.clone();
            let order = order.into_remote(raw).map_err(|reason| self.session.peer.unexpected(reason))?;
            orders.push((changed_at, order));
        }
        if self.locations().await?.len() > 1 && !orders.is_empty() {
            let ids: Vec<String> =
                orders.iter().map(|(_, order)| wire::gid("Order", &order.document)).collect();
            let found: wire::Nodes<wire::Placed> =
                self.session.ask(documents::PLACES, &wire::Ids { ids: &ids }).await?;
            let placed: Vec<wire::Placed> = found.nodes.into_iter().flatten().collect();
            for (_, order) in &mut orders {
                let its = placed.iter().find(|placed| wire::number(&placed.id) == order.document);
                if let Some(its) = its {
                    its.place(order);
                }
            }
        }
        Ok(orders)
    }

    /// The rest of what does not fit a page.
    async fn complete(&self, order: &mut wire::Order) -> Result<(), ChannelError> {
        let id = order.id.clone();
        self.rest_of(&id, &mut order.line_items, |more| more.line_items).await?;
        for fulfillment in &mut order.fulfillments {
            let id = fulfillment.id.clone();
            let lines = &mut fulfillment.fulfillment_line_items;
            self.rest_of(&id, lines, |more| more.fulfillment_line_items).await?;
        }
        for refund in &mut order.refunds {
            let id = refund.id.clone();
            self.rest_of(&id, &mut refund.refund_line_items, |more| more.refund_line_items).await?;
        }
        Ok(())
    }

    async fn rest_of<T>(
        &self,
        id: &str,
        page: &mut wire::Page<T>,
        rows_of: impl Fn(wire::MoreLines) -> Option<wire::Page<T>>,
    ) -> Result<(), ChannelError> {
        while page.page_info.has_next_page {
            let Some(after) = page.page_info.end_cursor.take() else { break };
            let more: wire::More =
                self.session.ask(documents::MORE, &wire::MoreOf { id, after: &after }).await?;
            let rows = more.node.and_then(&rows_of);
            let rows =
                rows.ok_or_else(|| self.session.peer.unexpected(format!("{id} is only in part there")))?;
            page.nodes.extend(rows.nodes);
            page.page_info = rows.page_info;
        }
        Ok(())
    }

    fn before(&self, instant: &str, seconds: i64) -> Result<String, ChannelError> {
        let instant = Instant::parse(instant).map_err(|error| self.session.peer.unexpected(error))?;
        // As it writes its times itself, so that they can be compared as texts.
        let whole =
            Instant::from_micros(instant.plus_seconds(-seconds).micros().max(0) / 1_000_000 * 1_000_000);
        Ok(whole.to_string())
    }
}
