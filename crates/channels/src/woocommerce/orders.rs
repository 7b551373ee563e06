//! Hearing of orders: what changed since, in the order of its changes.
//!
//! Its times are of whole seconds, and an order is saved before its lines say what was taken off for them: so we look again at what changed up to a
//! minute before the newest change we know, and know by its content what we have heard. A page is asked for by the time of the last row of the one
//! before, not by its number: what changes meanwhile moves to the end, and would push others off the page.

use std::collections::{BTreeMap, BTreeSet};

use onhand_ledger::Instant;
use serde::{Deserialize, Serialize};

use super::wire::{self, Standing, Stocked};
use super::{MOST, WooCommerce};
use crate::{ChannelError, OrderPage, RemoteOrder, Told};

/// How far behind the newest change known we look for changes that are told late, in seconds.
const OVERLAP: i64 = 60;
/// As many seconds a page goes back, so that what shares its last second is in the next.
const SECOND: i64 = 1;

/// Where orders are read from next.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
struct Cursor {
    /// What is still to be read of what was open when we were connected; none once that is done.
    first: Option<First>,
    /// Changes after this instant, by its clock.
    after: String,
    /// How many rows of those are left out, where more of one second do not fit a page.
    skip: usize,
    /// The newest change known.
    newest: String,
    /// Those changes that are known, by order.
    seen: BTreeMap<u64, Seen>,
    /// What was placed before and was done with by then is history.
    since: Option<Instant>,
    /// Orders of the minute before that were done with when we were connected.
    closed: BTreeSet<u64>,
}

/// The open orders, read in the order they were placed.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
struct First {
    statuses: String,
    after: String,
    skip: usize,
}

#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
struct Seen {
    at: String,
    /// What it said, as a number.
    said: u64,
    version: u64,
}

impl Cursor {
    fn write(&self) -> String {
        serde_json::to_string(self).expect("a cursor can always be written")
    }
}

/// What of a page of a list comes next: after which time, and how many rows of that on.
fn next(after: &str, skip: usize, rows: usize, last: &str) -> Result<(String, usize), String> {
    let back = wire::written(wire::instant(last)?.plus_seconds(-SECOND));
    Ok(if back.as_str() > after { (back, 0) } else { (after.to_owned(), skip + rows) })
}

type Rows = Vec<Told<wire::Order>>;

impl WooCommerce {
    pub(super) async fn orders_since(&self, cursor: Option<&str>) -> Result<OrderPage, ChannelError> {
        let mut cursor = match cursor {
            Some(cursor) => serde_json::from_str(cursor)
                .map_err(|error| self.session.peer.unexpected(format!("our cursor: {error}")))?,
            None => self.begin().await?,
        };
        if let Some(first) = cursor.first.take() {
            return self.open_orders(cursor, first).await;
        }
        let asked = self.session.rows();
        let rows = self.changed(&cursor.after, cursor.skip, asked).await?;
        let (count, last) = (rows.len(), rows.last().map(|told| told.content.date_modified_gmt.clone()));
        if let Some(last) = last.as_ref().filter(|last| **last > cursor.newest) {
            cursor.newest.clone_from(last);
        }
        let mut orders = Vec::new();
        for (id, at, said, told) in self.news(&cursor, rows).await? {
            let known = cursor.seen.get(&id);
            let mut order = told.order;
            order.version = order.version.max(known.map_or(0, |seen| seen.version + 1));
            let is_open = told.standing == Standing::Open;
            let is_old = cursor.since.is_some_and(|since| {
                order.placed_at <= since && !is_open && told.paid_at.is_none_or(|paid_at| paid_at <= since)
            });
            order.history = !told.counts || is_old || (cursor.closed.contains(&id) && !is_open);
            cursor.seen.insert(id, Seen { at, said, version: order.version });
            orders.push(order);
        }
        let more = count >= asked;
        match last.filter(|_| more) {
            Some(last) => {
                let (after, skip) = next(&cursor.after, cursor.skip, count, &last)
                    .map_err(|error| self.session.peer.unexpected(error))?;
                (cursor.after, cursor.skip) = (after, skip);
            }
            None => {
                cursor.after = cursor.after.max(self.before(&cursor.newest, OVERLAP)?);
                cursor.skip = 0;
            }
        }
        cursor.seen.retain(|_, seen| seen.at >= cursor.after);
        Ok(OrderPage { orders, cursor: cursor.write(), more })
    }

    /// Of these rows those that say something new, each with its id, when it changed, what it says as a number, and what we make of it.
    async fn news(
        &self,
        cursor: &Cursor,
        rows: Rows,
    ) -> Result<Vec<(u64, String, u64, wire::Told)>, ChannelError> {
        let said = |told: &Told<wire::Order>| {
            let hash = blake3::hash(told.raw.reveal().as_bytes());
            u64::from_le_bytes(*hash.as_bytes().first_chunk().expect("a hash has 32 bytes"))
        };
        let is_news = |told: &Told<wire::Order>| {
            cursor.seen.get(&told.content.id).is_none_or(|seen| seen.said != said(told))
        };
        let news: Rows = rows.into_iter().filter(is_news).collect();
        let variations: Vec<Stocked> = news
            .iter()
            .flat_map(|told| &told.content.line_items)
            .filter(|line| line.variation_id > 0)
            .map(|line| Stocked { product: line.product_id, variation: Some(line.variation_id) })
            .collect();
        let shared = self.which_share(&variations).await?;
        let mut all = Vec::new();
        for told in news {
            let said = said(&told);
            let Told { content: order, raw } = told;
            let refunds = if order.refunds.is_empty() { Vec::new() } else { self.refunds(order.id).await? };
            let (id, at) = (order.id, order.date_modified_gmt.clone());
            let told = order.into_told(&refunds, |id| shared.contains(&id), raw);
            all.push((id, at, said, told.map_err(|reason| self.session.peer.unexpected(reason))?));
        }
        Ok(all)
    }

    pub(super) async fn refunds(&self, order: u64) -> Result<Vec<wire::Refund>, ChannelError> {
        let mut refunds = Vec::new();
        loop {
            let query = [
                ("per_page", MOST.to_string()),
                ("offset", refunds.len().to_string()),
                ("orderby", "id".to_owned()),
                ("order", "asc".to_owned()),
                ("_fields", wire::REFUND_FIELDS.to_owned()),
            ];
            let page: Vec<wire::Refund> =
                self.session.get(&format!("/orders/{order}/refunds"), &query).await?;
            let is_last = page.len() < MOST;
            refunds.extend(page);
            if is_last {
                return Ok(refunds);
            }
        }
    }

    /// The first time: what is open, whatever plugins call that. Newer changes are read from then on.
    async fn begin(&self) -> Result<Cursor, ChannelError> {
        let query = [
            ("orderby", "modified".to_owned()),
            ("order", "desc".to_owned()),
            ("per_page", "1".to_owned()),
            ("_fields", "id,date_modified_gmt".to_owned()),
        ];
        let newest: Vec<wire::Changed> = self.session.get("/orders", &query).await?;
        let begun = wire::written(Instant::from_micros(0));
        let mut cursor = Cursor { after: begun.clone(), newest: begun.clone(), ..Cursor::default() };
        if let Some(newest) = newest.first() {
            cursor.newest.clone_from(&newest.date_modified_gmt);
            cursor.after = self.before(&cursor.newest, OVERLAP)?;
            let since = wire::instant(&cursor.after).map_err(|error| self.session.peer.unexpected(error))?;
            cursor.since = Some(since);
        }
        let statuses: Vec<wire::StatusTotal> = self.session.get("/reports/orders/totals", &[]).await?;
        let is_any = |status: &wire::StatusTotal| status.total.as_i64().is_none_or(|total| total > 0);
        let open =
            statuses.iter().filter(|status| Standing::of(&status.slug) == Standing::Open && is_any(status));
        let open: Vec<&str> = open.map(|status| status.slug.as_str()).collect();
        let statuses = if open.is_empty() { "on-hold,processing".to_owned() } else { open.join(",") };
        cursor.first = Some(First { statuses, after: begun, skip: 0 });
        Ok(cursor)
    }

    async fn open_orders(&self, mut cursor: Cursor, mut first: First) -> Result<OrderPage, ChannelError> {
        let asked = self.session.rows();
        let query = [
            ("status", first.statuses.clone()),
            ("after", first.after.clone()),
            ("orderby", "date".to_owned()),
        ];
        let rows = self.listed(&query, first.skip, asked).await?;
        let (count, last) = (rows.len(), rows.last().map(|told| told.content.date_created_gmt.clone()));
        let mut orders: Vec<RemoteOrder> = Vec::new();
        for (id, at, said, told) in self.news(&cursor, rows).await? {
            let is_open = told.order.lines.iter().any(|line| line.quantity > line.shipped);
            let version = told.order.version;
            cursor.seen.insert(id, Seen { at, said, version });
            orders.extend((told.standing == Standing::Open && is_open).then_some(told.order));
        }
        match last.filter(|_| count >= asked) {
            Some(last) => {
                let (after, skip) = next(&first.after, first.skip, count, &last)
                    .map_err(|error| self.session.peer.unexpected(error))?;
                (first.after, first.skip) = (after, skip);
                cursor.first = Some(first);
            }
            None => self.end_first(&mut cursor).await?,
        }
        Ok(OrderPage { orders, cursor: cursor.write(), more: true })
    }

    /// What was done with before we came is none of ours, even if it changed a moment ago.
    async fn end_first(&self, cursor: &mut Cursor) -> Result<(), ChannelError> {
        let (mut after, mut skip) = (cursor.after.clone(), 0);
        loop {
            let asked = self.session.rows();
            let rows = self.changed(&after, skip, asked).await?;
            let (count, last) = (rows.len(), rows.last().map(|told| told.content.date_modified_gmt.clone()));
            // What changed after we began to look is read as any other change.
            let before = rows.iter().filter(|told| told.content.date_modified_gmt <= cursor.newest);
            let is_closed = |order: &&wire::Order| {
                !matches!(Standing::of(&order.status), Standing::Open | Standing::Unpaid)
            };
            let closed = before.map(|told| &told.content).filter(is_closed).map(|order| order.id);
            cursor.closed.extend(closed);
            let Some(last) = last.filter(|_| count >= asked) else { break };
            (after, skip) =
                next(&after, skip, count, &last).map_err(|error| self.session.peer.unexpected(error))?;
        }
        cursor.seen.retain(|_, seen| seen.at >= cursor.after);
        Ok(())
    }

    async fn changed(&self, after: &str, skip: usize, rows: usize) -> Result<Rows, ChannelError> {
        let query = [("modified_after", after.to_owned()), ("orderby", "modified".to_owned())];
        self.listed(&query, skip, rows).await
    }

    async fn listed(
        &self,
        query: &[(&'static str, String)],
        skip: usize,
        rows: usize,
    ) -> Result<Rows, ChannelError> {
        let mut query = query.to_vec();
        query.extend([
            ("order", "asc".to_owned()),
            // Or its times are those of wherever the shop is.
            ("dates_are_gmt", "true".to_owned()),
            ("per_page", rows.to_string()),
            ("offset", skip.to_string()),
            ("_fields", wire::ORDER_FIELDS.to_owned()),
        ]);
        self.session.get("/orders", &query).await
    }

    fn before(&self, instant: &str, seconds: i64) -> Result<String, ChannelError> {
        let instant = wire::instant(instant).map_err(|error| self.session.peer.unexpected(error))?;
        Ok(wire::written(instant.plus_seconds(-seconds)))
    }
}

#[cfg(test)]
mod tests {
    use super::next;

    #[test]
    fn a_page_goes_on_at_the_second_it_ended_or_further_into_it() {
        let after = "2026-03-01T10:00:00";
        for (last, skip, expected) in [
            ("2026-03-01T10:00:05", 0, ("2026-03-01T10:00:04", 0)),
            ("2026-03-01T10:00:05", 100, ("2026-03-01T10:00:04", 0)),
            ("2026-03-01T10:00:01", 0, (after, 100)),
            ("2026-03-01T10:00:01", 100, (after, 200)),
        ] {
            let found = next(after, skip, 100, last).unwrap();
            assert_eq!((found.0.as_str(), found.1), expected, "{last} {skip}");
        }
        assert!(next(after, 0, 100, "yesterday").is_err());
    }
}
