//! What the shop has, and what happens in it: to `available` and `committed` of an item at a location, as
//! <https://shopify.dev/docs/apps/build/orders-fulfillment/inventory-management-apps> says. What is on hand is their sum.

use std::collections::{BTreeMap, HashMap};

use serde::{Deserialize, Serialize};

use super::Faults;
use super::cost::Bucket;
use super::hooks::{Announcement, Subscription};
use crate::wire::EventKind;

/// Something on sale.
#[derive(Clone, Debug)]
pub(super) struct Variant {
    pub id: u64,
    pub sku: String,
    pub barcode: Option<String>,
    pub name: String,
    pub tracked: bool,
}

/// An item at a location.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Level {
    pub available: i64,
    pub committed: i64,
    /// Is it stocked there? If not it sells nothing, whatever its number.
    pub active: bool,
}

/// A line of an order.
#[derive(Clone, Debug, Default)]
pub(super) struct Line {
    pub id: u64,
    pub item: u64,
    pub quantity: i64,
    /// Taken off by an edit of the order.
    pub removed: i64,
    /// Refunded, whatever became of the goods.
    pub refunded: i64,
    /// What is still to be sent, by location.
    pub to_send: BTreeMap<u64, i64>,
    /// What is, or was, to be sent, by location.
    pub placed: BTreeMap<u64, i64>,
}

impl Line {
    pub fn unfulfilled(&self) -> i64 {
        self.to_send.values().sum()
    }
}

/// Goods that left.
#[derive(Clone, Debug)]
pub(super) struct Fulfillment {
    pub id: u64,
    pub location: u64,
    pub at: i64,
    pub cancelled: bool,
    pub lines: Vec<(u64, i64)>,
    pub tracking: Tracking,
}

/// Who carries it.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct Tracking {
    /// The carrier.
    #[serde(default)]
    pub company: Option<String>,
    /// Its number.
    #[serde(default)]
    pub number: Option<String>,
    /// Where to follow it.
    #[serde(default)]
    pub url: Option<String>,
}

/// What becomes of refunded goods.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum Restock {
    /// They had not left, and are on sale again.
    Cancel,
    /// They had left, and are on sale again.
    Return,
    /// Nothing is on sale again.
    NoRestock,
}

impl Restock {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Cancel => "CANCEL",
            Self::Return => "RETURN",
            Self::NoRestock => "NO_RESTOCK",
        }
    }
}

/// Money that went back.
#[derive(Clone, Debug)]
pub(super) struct Refund {
    pub id: u64,
    pub at: i64,
    pub lines: Vec<(u64, i64, Restock)>,
}

/// An order.
#[derive(Clone, Debug)]
pub(super) struct Order {
    pub id: u64,
    pub number: u64,
    pub created_at: i64,
    pub updated_at: i64,
    pub cancelled_at: Option<i64>,
    pub customer: Option<Customer>,
    pub lines: Vec<Line>,
    pub fulfillments: Vec<Fulfillment>,
    pub refunds: Vec<Refund>,
}

impl Order {
    pub fn is_open(&self) -> bool {
        self.cancelled_at.is_none() && self.lines.iter().any(|line| line.unfulfilled() > 0)
    }
}

/// Who buys.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Customer {
    /// Their name.
    pub name: String,
    /// Where they are written to.
    pub email: String,
    /// Where it goes.
    pub address: String,
}

/// Something that happened to `available` of an item at a location.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Event {
    /// When, in microseconds since 1970.
    pub at: i64,
    /// What.
    pub kind: EventKind,
    /// The item.
    pub item: u64,
    /// The location.
    pub location: u64,
    /// By how much.
    pub change: i64,
    /// What can be bought after it.
    pub after: i64,
    /// What was named as its reason: the URI of a set, the number of an order.
    pub reference: String,
}

/// Why a customer goes away.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum OrderError {
    /// Not enough of it.
    #[error("only {left} of {item} left")]
    SoldOut {
        /// The item.
        item: u64,
        /// What is left.
        left: i64,
    },
    /// Nothing of that id, or a quantity below 1.
    #[error("{0} cannot be ordered")]
    Unknown(u64),
}

/// An answer that is given again under its key.
#[derive(Clone)]
pub(super) struct Answered {
    pub asked: String,
    pub at: i64,
    pub data: serde_json::Value,
}

/// A file of a bulk operation.
pub(super) struct File {
    pub ready_at: i64,
    pub rows: u64,
    pub text: String,
}

#[derive(Default)]
pub(super) struct State {
    next: u64,
    pub locations: BTreeMap<u64, (String, bool)>,
    /// By the number of their item of stock.
    pub variants: BTreeMap<u64, Variant>,
    pub levels: BTreeMap<(u64, u64), Level>,
    pub orders: BTreeMap<u64, Order>,
    pub subscriptions: BTreeMap<u64, Subscription>,
    pub answered: HashMap<String, Answered>,
    pub files: BTreeMap<u64, File>,
    pub audit: Vec<Event>,
    pub faults: Faults,
    pub bucket: Option<Bucket>,
    pub waiting: Vec<Announcement>,
    pub writes: u64,
    pub calls: u64,
}

impl State {
    /// A number that nothing has yet.
    pub fn number(&mut self) -> u64 {
        self.next += 1;
        1_000 + self.next
    }

    /// How much of an item customers can buy at a location.
    fn sellable(&self, item: u64, location: u64) -> i64 {
        let is_open = self.locations.get(&location).is_some_and(|(_, active)| *active);
        let level = self.levels.get(&(item, location)).filter(|level| level.active && is_open);
        level.map_or(0, |level| level.available)
    }

    /// Changes what can be bought.
    pub fn change(&mut self, at: i64, kind: EventKind, place: (u64, u64), change: i64, reference: &str) {
        let level = self.levels.entry(place).or_default();
        level.available += change;
        let (item, location) = place;
        let (after, reference) = (level.available, reference.to_owned());
        self.audit.push(Event { at, kind, item, location, change, after, reference });
    }

    fn commit(&mut self, place: (u64, u64), change: i64) {
        self.levels.entry(place).or_default().committed += change;
    }

    /// All lines or nothing; of each as much as there is at the first location, then at the next.
    pub fn place(
        &mut self,
        at: i64,
        wanted: &[(u64, i64)],
        customer: Option<Customer>,
    ) -> Result<u64, OrderError> {
        let mut sums = BTreeMap::<u64, i64>::new();
        for (item, quantity) in wanted {
            if *quantity < 1 || !self.variants.contains_key(item) {
                return Err(OrderError::Unknown(*item));
            }
            *sums.entry(*item).or_default() += quantity;
        }
        let locations: Vec<u64> = self.locations.keys().copied().collect();
        for (item, quantity) in sums {
            let left: i64 = locations.iter().map(|location| self.sellable(item, *location).max(0)).sum();
            if self.variants.get(&item).is_some_and(|known| known.tracked) && left < quantity {
                return Err(OrderError::SoldOut { item, left });
            }
        }
        let id = self.number();
        let number = 1_001 + self.orders.len() as u64;
        let mut lines = Vec::new();
        for (item, quantity) in wanted {
            let mut line = Line { id: self.number(), item: *item, quantity: *quantity, ..Line::default() };
            let mut left = *quantity;
            for location in &locations {
                let here = self.sellable(*item, *location).clamp(0, left);
                if here > 0 {
                    self.change(at, EventKind::Sale, (*item, *location), -here, &id.to_string());
                    self.commit((*item, *location), here);
                    line.to_send.insert(*location, here);
                    left -= here;
                }
            }
            if left > 0 {
                *line.to_send.entry(locations.first().copied().unwrap_or_default()).or_default() += left;
            }
            line.placed.clone_from(&line.to_send);
            lines.push(line);
        }
        let order = Order {
            id,
            number,
            created_at: at,
            updated_at: at,
            cancelled_at: None,
            customer,
            lines,
            fulfillments: Vec::new(),
            refunds: Vec::new(),
        };
        self.orders.insert(id, order);
        Ok(id)
    }

    /// Sends these lines of an order from a location: the fulfilment's number. Nothing where there is not so much to send.
    pub fn fulfil(
        &mut self,
        at: i64,
        order: u64,
        location: u64,
        lines: &[(u64, i64)],
        tracking: Tracking,
    ) -> Option<u64> {
        let known = self.orders.get(&order).filter(|order| order.cancelled_at.is_none())?;
        let can = |(line, quantity): &(u64, i64)| {
            let line = known.lines.iter().find(|known| known.id == *line);
            line.is_some_and(|line| {
                *quantity > 0 && line.to_send.get(&location).is_some_and(|left| left >= quantity)
            })
        };
        if lines.is_empty() || !lines.iter().all(can) {
            return None;
        }
        let id = self.number();
        let mut items = Vec::new();
        let known = self.orders.get_mut(&order)?;
        for (line, quantity) in lines {
            let Some(line) = known.lines.iter_mut().find(|known| known.id == *line) else { continue };
            *line.to_send.entry(location).or_default() -= quantity;
            items.push((line.item, *quantity));
        }
        let lines = lines.to_vec();
        known.fulfillments.push(Fulfillment { id, location, at, cancelled: false, lines, tracking });
        known.updated_at = at;
        for (item, quantity) in items {
            self.commit((item, location), -quantity);
        }
        Some(id)
    }

    /// What had been marked as sent has not been.
    pub fn unfulfil(&mut self, at: i64, order: u64, fulfillment: u64) -> bool {
        let Some(known) = self.orders.get_mut(&order) else { return false };
        let Some(sent) = known.fulfillments.iter_mut().find(|sent| sent.id == fulfillment && !sent.cancelled)
        else {
            return false;
        };
        sent.cancelled = true;
        let (location, lines) = (sent.location, sent.lines.clone());
        known.updated_at = at;
        let mut items = Vec::new();
        for (id, quantity) in lines {
            if let Some(line) = known.lines.iter_mut().find(|line| line.id == id) {
                *line.to_send.entry(location).or_default() += quantity;
                items.push((line.item, quantity));
            }
        }
        for (item, quantity) in items {
            self.commit((item, location), quantity);
        }
        true
    }

    /// Nothing of it is wanted any more. Not where something has left.
    pub fn cancel(&mut self, at: i64, order: u64, restock: bool) -> bool {
        let Some(known) = self.orders.get(&order) else { return false };
        if known.cancelled_at.is_some() || known.fulfillments.iter().any(|sent| !sent.cancelled) {
            return false;
        }
        let how = if restock { Restock::Cancel } else { Restock::NoRestock };
        let lines: Vec<(u64, i64, Restock)> =
            known.lines.iter().map(|line| (line.id, line.unfulfilled(), how)).collect();
        self.refund(at, order, &lines);
        if let Some(order) = self.orders.get_mut(&order) {
            order.cancelled_at = Some(at);
        }
        true
    }

    /// Money goes back for these units. What has not left goes first.
    pub fn refund(&mut self, at: i64, order: u64, lines: &[(u64, i64, Restock)]) -> bool {
        let id = self.number();
        let Some(known) = self.orders.get_mut(&order) else { return false };
        let mut moves = Vec::new();
        let mut done = Vec::new();
        for (line, quantity, restock) in lines.iter().filter(|(_, quantity, _)| *quantity > 0) {
            let sent = known.fulfillments.iter().rev().find(|sent| !sent.cancelled);
            let back_to = sent.map(|sent| sent.location);
            let Some(line) = known.lines.iter_mut().find(|known| known.id == *line) else { return false };
            line.refunded += quantity;
            done.push((line.id, *quantity, *restock));
            let mut left = *quantity;
            if *restock != Restock::Return {
                for (location, to_send) in &mut line.to_send {
                    let here = left.min(*to_send);
                    *to_send -= here;
                    left -= here;
                    *line.placed.entry(*location).or_default() -= here;
                    moves.push(((line.item, *location), here, *restock));
                }
            } else if let Some(location) = back_to {
                moves.push(((line.item, location), left, Restock::Return));
            }
        }
        known.refunds.push(Refund { id, at, lines: done });
        known.updated_at = at;
        for (place, quantity, restock) in moves.into_iter().filter(|(_, quantity, _)| *quantity > 0) {
            if restock != Restock::Return {
                self.commit(place, -quantity);
            }
            if restock != Restock::NoRestock {
                self.change(at, EventKind::Restock, place, quantity, &order.to_string());
            }
        }
        true
    }

    /// An edit of the order takes units off it that have not left; they are on sale again.
    pub fn remove(&mut self, at: i64, order: u64, line: u64, quantity: i64) -> bool {
        let Some(known) = self.orders.get_mut(&order) else { return false };
        let Some(line) = known.lines.iter_mut().find(|known| known.id == line) else { return false };
        if quantity < 1 || line.unfulfilled() < quantity {
            return false;
        }
        line.removed += quantity;
        let (item, mut left, mut moves) = (line.item, quantity, Vec::new());
        for (location, to_send) in &mut line.to_send {
            let here = left.min(*to_send);
            *to_send -= here;
            left -= here;
            *line.placed.entry(*location).or_default() -= here;
            moves.push(((item, *location), here));
        }
        known.updated_at = at;
        for (place, quantity) in moves.into_iter().filter(|(_, quantity)| *quantity > 0) {
            self.commit(place, -quantity);
            self.change(at, EventKind::Restock, place, quantity, &order.to_string());
        }
        true
    }
}
