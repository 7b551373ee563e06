//! Hearing of orders: what changed since, in the order of its changes.
//!
//! What Medusa does about an order are steps one after another, each committed by itself (<https://docs.medusajs.com/learn/fundamentals/workflows>): an order is there a moment
//! before it is reserved for, and one whose payment fails in the end is taken away again. So we look again at what changed up to a minute before the
//! newest change we know, know by its content what we have heard, and hear of what is gone as cancelled. A page is asked for by the time of the
//! last row of the one before, not by its number: what changes meanwhile moves to the end, and would push others off the page.

use std::collections::{BTreeMap, BTreeSet};

use onhand_ledger::Instant;
use serde::{Deserialize, Serialize};

use super::{Medusa, PAGE, wire};
use crate::{ChannelError, OrderPage, RemoteOrder, Told};

/// How far behind the newest change known we look for changes that were committed late, in seconds.
const OVERLAP: i64 = 60;
/// Of so many orders one call tells.
const ORDERS: usize = 50;

/// Where orders are read from next.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Cursor {
    /// What is still to be read of what was open when we were connected; none once that is done.
    first: Option<Start>,
    /// Changes from here on, by its clock.
    changed: Start,
    /// The newest change known.
    newest: Instant,
    /// Those changes that are known, by order.
    seen: BTreeMap<String, Seen>,
    /// What was placed before and was done with by then is history.
    since: Option<Instant>,
    /// Orders of the minute before that were done with when we were connected.
    closed: BTreeSet<String>,
}

/// Start which time on, and how many rows of that are left out, where more of one instant do not fit a page.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
struct Start {
    at: Instant,
    skip: usize,
}

#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
struct Seen {
    at: Instant,
    /// What it said, as a number.
    said: u64,
    version: u64,
}

impl Cursor {
    fn write(&self) -> String {
        serde_json::to_string(self).expect("a cursor can always be written")
    }
}

impl Start {
    const fn the(at: Instant) -> Self {
        Self { at, skip: 0 }
    }

    /// What comes after a full page that ends at this time: that time again, as the next page may have more of it.
    fn after(self, last: Instant, rows: usize) -> Self {
        if last > self.at { Self::the(last) } else { Self { at: self.at, skip: self.skip + rows } }
    }
}

/// What was heard of an order.
struct Heard {
    at: Instant,
    said: u64,
    order: RemoteOrder,
    is_open: bool,
}

type Rows = Vec<Told<wire::Order>>;

impl Medusa {
    pub(super) async fn orders_since(&self, cursor: Option<&str>) -> Result<OrderPage, ChannelError> {
        let mut cursor = match cursor {
            Some(cursor) => serde_json::from_str(cursor)
                .map_err(|error| self.session.peer.unexpected(format!("our cursor: {error}")))?,
            None => self.begin().await?,
        };
        if let Some(first) = cursor.first.take() {
            return self.open_orders(cursor, first).await;
        }
        let from = cursor.changed;
        let rows = self.changed(from).await?;
        let (count, last) = (rows.len(), rows.last().map(|told| told.content.updated_at));
        let listed: BTreeSet<String> = rows.iter().map(|told| told.content.id.clone()).collect();
        cursor.newest = cursor.newest.max(last.unwrap_or(cursor.newest));
        let mut orders = Vec::new();
        for Heard { at, said, mut order, is_open } in self.news(&cursor, rows).await? {
            let id = order.document.clone();
            let known = cursor.seen.get(&id);
            order.version = order.version.max(known.map_or(0, |seen| seen.version + 1));
            // What was done with before we came is none of ours; a draft of before that is an order now is.
            let is_old = cursor.since.is_some_and(|since| order.placed_at <= since);
            order.history = !is_open && (is_old || cursor.closed.contains(&id));
            cursor.seen.insert(id, Seen { at, said, version: order.version });
            orders.push(order);
        }
        let more = count >= ORDERS;
        match last.filter(|_| more) {
            Some(last) => cursor.changed = from.after(last, count),
            None => {
                if from.skip == 0 {
                    orders.extend(self.taken_away(&mut cursor, from.at, &listed).await?);
                }
                cursor.changed = Start::the(cursor.newest.plus_seconds(-OVERLAP).max(from.at));
            }
        }
        let after = cursor.changed.at;
        cursor.seen.retain(|_, seen| seen.at >= after);
        Ok(OrderPage { orders, cursor: cursor.write(), more })
    }

    /// Orders that were there and are gone, of all that changed since: their checkout came to nothing.
    async fn taken_away(
        &self,
        cursor: &mut Cursor,
        since: Instant,
        listed: &BTreeSet<String>,
    ) -> Result<Vec<RemoteOrder>, ChannelError> {
        let is_gone = |(id, seen): &(&String, &Seen)| seen.at >= since && !listed.contains(*id);
        let gone: Vec<(String, Seen)> =
            cursor.seen.iter().filter(is_gone).map(|(id, seen)| (id.clone(), seen.clone())).collect();
        let mut orders = Vec::new();
        for (id, seen) in gone {
            let fields = [("fields", "id,updated_at".to_owned())];
            let found: Result<wire::OneOrder<wire::Changed>, _> =
                self.session.try_get(&format!("/orders/{id}"), &fields).await;
            match found {
                Err(failed) if failed.is_missing() => {}
                Err(failed) => return Err(self.session.failed(failed)),
                // It has changed since the list was read.
                Ok(_) => continue,
            }
            cursor.seen.remove(&id);
            let at = self.session.peer.date().unwrap_or(seen.at).max(seen.at);
            orders.push(RemoteOrder {
                document: id,
                version: seen.version + 1,
                placed_at: seen.at,
                updated_at: at,
                moved_at: at,
                history: false,
                cancelled: true,
                lines: Vec::new(),
                raw: None,
            });
        }
        Ok(orders)
    }

    /// Of these rows those that say something new.
    async fn news(&self, cursor: &Cursor, rows: Rows) -> Result<Vec<Heard>, ChannelError> {
        let lines: Vec<String> =
            rows.iter().flat_map(|told| &told.content.items).map(|line| line.id.clone()).collect();
        let reserved = self.reservations(&lines).await?;
        let locations = self.locations().await?;
        let mut news = Vec::new();
        for Told { content: order, raw } in rows {
            let is_of_it = |one: &&wire::Reservation| {
                order.items.iter().any(|line| one.line_item_id.as_ref() == Some(&line.id))
            };
            let reserved: Vec<wire::Reservation> = reserved.iter().filter(is_of_it).cloned().collect();
            let said = said(raw.reveal(), &reserved);
            if cursor.seen.get(&order.id).is_some_and(|seen| seen.said == said) {
                continue;
            }
            let remote = order.to_remote(&reserved, &locations, Some(raw));
            let is_open = order.is_open(&remote);
            news.push(Heard { at: order.updated_at, said, order: remote, is_open });
        }
        Ok(news)
    }

    /// What is reserved for these lines, in an order that is always the same.
    pub(super) async fn reservations(
        &self,
        lines: &[String],
    ) -> Result<Vec<wire::Reservation>, ChannelError> {
        let mut all = Vec::new();
        for part in lines.chunks(PAGE) {
            let mut query: Vec<(&'static str, String)> =
                part.iter().map(|line| ("line_item_id[]", line.clone())).collect();
            query.push(("fields", wire::RESERVATION_FIELDS.to_owned()));
            let found = self.all("/reservations", &query, |page: wire::Reservations| page.reservations);
            all.extend(found.await?);
        }
        all.sort();
        Ok(all)
    }

    /// The first time: what is open. Newer changes are read from then on.
    async fn begin(&self) -> Result<Cursor, ChannelError> {
        let query = [
            ("order", "-updated_at".to_owned()),
            ("limit", "1".to_owned()),
            ("fields", "id,updated_at".to_owned()),
        ];
        let newest: wire::Orders<wire::Changed> = self.session.get("/orders", &query).await?;
        let newest = newest.orders.first().map(|newest| newest.updated_at);
        let since = newest.map(|newest| newest.plus_seconds(-OVERLAP));
        let begun = Instant::from_micros(0);
        Ok(Cursor {
            first: Some(Start::the(begun)),
            changed: Start::the(since.unwrap_or(begun)),
            newest: newest.unwrap_or(begun),
            seen: BTreeMap::new(),
            since,
            closed: BTreeSet::new(),
        })
    }

    /// What is not sent of an order its list cannot be asked for: all that are not cancelled or put away are looked at, once.
    async fn open_orders(&self, mut cursor: Cursor, first: Start) -> Result<OrderPage, ChannelError> {
        let mut query = vec![("created_at[$gte]", first.at.to_string()), ("order", "created_at".to_owned())];
        query.extend(wire::NOT_OPEN.map(|status| ("status[$nin][]", status.to_owned())));
        let rows = self.listed(&query, first.skip).await?;
        let (count, last) = (rows.len(), rows.last().map(|told| told.content.created_at));
        let mut orders = Vec::new();
        for Heard { at, said, order, is_open } in self.news(&cursor, rows).await? {
            if is_open {
                cursor.seen.insert(order.document.clone(), Seen { at, said, version: order.version });
                orders.push(order);
            }
        }
        match last.filter(|_| count >= ORDERS) {
            Some(last) => cursor.first = Some(first.after(last, count)),
            None => self.end_first(&mut cursor).await?,
        }
        let after = cursor.changed.at;
        cursor.seen.retain(|_, seen| seen.at >= after);
        Ok(OrderPage { orders, cursor: cursor.write(), more: true })
    }

    /// What was done with before we came is none of ours, even if it changed a moment ago.
    async fn end_first(&self, cursor: &mut Cursor) -> Result<(), ChannelError> {
        let mut from = cursor.changed;
        loop {
            let rows = self.changed(from).await?;
            let (count, last) = (rows.len(), rows.last().map(|told| told.content.updated_at));
            for Told { content: order, .. } in rows {
                // What changed after we began to look is read as any other change.
                if order.updated_at <= cursor.newest && !cursor.seen.contains_key(&order.id) {
                    cursor.closed.insert(order.id);
                }
            }
            let Some(last) = last.filter(|_| count >= ORDERS) else { return Ok(()) };
            from = from.after(last, count);
        }
    }

    async fn changed(&self, from: Start) -> Result<Rows, ChannelError> {
        let query = [("updated_at[$gte]", from.at.to_string()), ("order", "updated_at".to_owned())];
        self.listed(&query, from.skip).await
    }

    async fn listed(&self, query: &[(&'static str, String)], skip: usize) -> Result<Rows, ChannelError> {
        let mut query = query.to_vec();
        query.extend([
            ("limit", ORDERS.to_string()),
            ("offset", skip.to_string()),
            ("fields", wire::ORDER_FIELDS.to_owned()),
        ]);
        let page: wire::Orders<Told<wire::Order>> = self.session.get("/orders", &query).await?;
        Ok(page.orders)
    }
}

/// What an order says, with what is reserved for it, as a number.
fn said(raw: &str, reserved: &[wire::Reservation]) -> u64 {
    let hash = blake3::hash(format!("{raw}\n{reserved:?}").as_bytes());
    u64::from_le_bytes(*hash.as_bytes().first_chunk().expect("a hash has 32 bytes"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_goes_on_at_the_time_it_ended_or_further_into_it() {
        let at = Instant::from_micros;
        let from = Start { at: at(1_000), skip: 0 };
        assert_eq!(from.after(at(5_000), 50), Start { at: at(5_000), skip: 0 });
        assert_eq!(from.after(at(1_000), 50), Start { at: at(1_000), skip: 50 });
        assert_eq!(from.after(at(1_000), 50).after(at(1_000), 50), Start { at: at(1_000), skip: 100 });
    }
}
