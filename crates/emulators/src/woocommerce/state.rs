//! What the shop has, and what happens to it, as its own functions do it: an order's units are taken off once it is paid for, on hold or sent
//! (`wc_maybe_reduce_stock_levels`), are back once it is cancelled or pending (`wc_maybe_increase_stock_levels`), and some of them once they
//! are refunded and restocked (`wc_restock_refunded_items`). What was taken off for a line is written on it.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::hooks::{Delivery, Webhook};
use super::{Buy, Faults};

/// Something on sale.
#[derive(Clone, Debug)]
pub(super) struct Product {
    /// `simple`, `variable`, `variation`, `grouped` or `external`.
    pub kind: &'static str,
    pub parent: Option<u64>,
    pub sku: String,
    pub name: String,
    pub manages: bool,
    pub stock: i64,
    pub backorders: bool,
}

impl Product {
    pub fn of(kind: &'static str, sku: &str, name: &str) -> Self {
        let (sku, name) = (sku.to_owned(), name.to_owned());
        Self { kind, parent: None, sku, name, manages: false, stock: 0, backorders: false }
    }
}

/// A line of an order.
#[derive(Clone, Debug)]
pub(super) struct Line {
    pub id: u64,
    pub product: u64,
    pub variation: u64,
    pub quantity: i64,
    /// What it took off, as its metadata says.
    pub reduced: Option<i64>,
    /// What refunds put back.
    pub restocked: i64,
}

impl Line {
    /// What was bought: the variation, where there is one.
    fn bought(&self) -> u64 {
        if self.variation == 0 { self.product } else { self.variation }
    }
}

/// Money that went back.
#[derive(Clone, Debug)]
pub(super) struct Refund {
    pub id: u64,
    pub at: i64,
    /// Line and quantity.
    pub lines: Vec<(u64, i64)>,
}

/// Something said about an order.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Note {
    /// Its id.
    pub id: u64,
    /// What.
    pub note: String,
    /// Is its customer told?
    pub customer_note: bool,
}

/// Who buys.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Customer {
    /// Their first name.
    pub first_name: String,
    /// And the other.
    pub last_name: String,
    /// Where they are written to.
    pub email: String,
    /// Street and house.
    pub address: String,
    /// Town.
    pub city: String,
}

/// An order.
#[derive(Clone, Debug)]
pub(super) struct Order {
    pub id: u64,
    pub status: String,
    pub created_at: i64,
    pub modified_at: i64,
    pub paid_at: Option<i64>,
    pub completed_at: Option<i64>,
    pub customer: Option<Customer>,
    pub lines: Vec<Line>,
    pub refunds: Vec<Refund>,
    pub notes: Vec<Note>,
    pub meta: BTreeMap<String, Value>,
    pub fulfillments: Vec<Value>,
    /// Was stock taken off for it (`order_stock_reduced`)?
    pub is_reduced: bool,
}

/// Something that happened to a number.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Event {
    /// When, in microseconds since 1970.
    pub at: i64,
    /// What.
    pub kind: EventKind,
    /// Of which product or variation.
    pub product: u64,
    /// By how much.
    pub change: i64,
    /// What can be bought after it.
    pub after: i64,
    /// Of which order, where it is of one.
    pub reference: String,
}

/// What can happen.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum EventKind {
    /// Set over the API.
    Set,
    /// Bought.
    Sale,
    /// Wanted no more, and on sale again.
    Restock,
    /// Changed in the shop's own admin.
    Edit,
}

/// Why a customer goes away.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum OrderError {
    /// Not enough of it.
    #[error("only {left} of {product} left")]
    SoldOut {
        /// The product.
        product: u64,
        /// What is left.
        left: i64,
    },
    /// Nothing of that id is sold, or a quantity below 1.
    #[error("{0} cannot be ordered")]
    Unknown(u64),
}

#[derive(Default)]
pub(super) struct State {
    numbers: u64,
    /// How far its clock on the wall is ahead of UTC, in microseconds.
    pub ahead: i64,
    pub products: BTreeMap<u64, Product>,
    pub orders: BTreeMap<u64, Order>,
    pub webhooks: BTreeMap<u64, Webhook>,
    pub audit: Vec<Event>,
    pub faults: Faults,
    pub writes: u64,
    pub calls: u64,
    /// What waits to be told.
    pub waiting: Vec<Delivery>,
    /// Orders whose units are taken off later, and when.
    later: Vec<(i64, u64)>,
}

/// Statuses in which units are taken off.
const TAKES: [&str; 3] = ["processing", "completed", "on-hold"];
/// And in which they are put back.
const GIVES: [&str; 2] = ["cancelled", "pending"];

impl State {
    pub fn number(&mut self) -> u64 {
        self.numbers += 1;
        1_000 + self.numbers
    }

    /// By which product something is counted, if it is.
    pub fn counted_by(&self, id: u64) -> Option<u64> {
        if self.faults.manages_nothing {
            return None;
        }
        let known = self.products.get(&id)?;
        if known.manages {
            return Some(id);
        }
        known.parent.filter(|parent| self.products.get(parent).is_some_and(|parent| parent.manages))
    }

    /// A number changes by so much.
    pub fn change(&mut self, now: i64, kind: EventKind, product: u64, change: i64, reference: &str) {
        let Some(known) = self.products.get_mut(&product) else { return };
        known.stock += change;
        let (after, reference) = (known.stock, reference.to_owned());
        self.audit.push(Event { at: now, kind, product, change, after, reference });
    }

    /// What was put off until now happens.
    pub fn settle(&mut self, now: i64) {
        let due: Vec<u64> = self.later.iter().filter(|(at, _)| *at <= now).map(|(_, order)| *order).collect();
        self.later.retain(|(at, _)| *at > now);
        for order in due {
            self.reduce(now, order);
        }
    }

    /// An order that is not paid for. Its lines are checked against what there is, less what others hold who are about to pay.
    pub fn place(&mut self, now: i64, buys: &[Buy], customer: Option<Customer>) -> Result<u64, OrderError> {
        let mut wanted = BTreeMap::<u64, i64>::new();
        for buy in buys {
            let known = self
                .products
                .get(&buy.product)
                .filter(|known| matches!(known.kind, "simple" | "variation") && buy.quantity > 0);
            let backorders = known.ok_or(OrderError::Unknown(buy.product))?.backorders;
            if let Some(by) = self.counted_by(buy.product).filter(|_| !backorders) {
                *wanted.entry(by).or_default() += buy.quantity;
            }
        }
        for (product, quantity) in wanted {
            let left = self.products[&product].stock - self.held(product);
            if left < quantity {
                return Err(OrderError::SoldOut { product, left });
            }
        }
        let id = self.number();
        let mut lines = Vec::new();
        for buy in buys {
            let parent = self.products[&buy.product].parent;
            lines.push(Line {
                id: self.number(),
                product: parent.unwrap_or(buy.product),
                variation: parent.map_or(0, |_| buy.product),
                quantity: buy.quantity,
                reduced: None,
                restocked: 0,
            });
        }
        let order = Order {
            id,
            status: "pending".to_owned(),
            created_at: now,
            modified_at: now,
            paid_at: None,
            completed_at: None,
            customer,
            lines,
            refunds: Vec::new(),
            notes: Vec::new(),
            meta: BTreeMap::new(),
            fulfillments: Vec::new(),
            is_reduced: false,
        };
        self.orders.insert(id, order);
        Ok(id)
    }

    /// What orders hold that are not paid for yet.
    fn held(&self, product: u64) -> i64 {
        let unpaid = self.orders.values().filter(|order| order.status == "pending");
        let lines = unpaid.flat_map(|order| &order.lines);
        let of_it = lines.filter(|line| self.counted_by(line.bought()) == Some(product));
        of_it.map(|line| line.quantity).sum()
    }

    /// False where nothing changes.
    pub fn set_status(&mut self, now: i64, id: u64, status: &str) -> bool {
        let lag = i64::from(self.faults.reduce_lag_ms) * 1_000;
        let Some(order) = self.orders.get_mut(&id).filter(|order| order.status != status) else {
            return false;
        };
        status.clone_into(&mut order.status);
        order.modified_at = now;
        if matches!(status, "processing" | "completed") {
            order.paid_at.get_or_insert(now);
        }
        if status == "completed" {
            order.completed_at = Some(now);
        }
        if TAKES.contains(&status) && !order.is_reduced {
            order.is_reduced = true;
            if lag == 0 {
                self.reduce(now, id);
            } else {
                self.later.push((now + lag, id));
            }
        } else if GIVES.contains(&status) && order.is_reduced {
            order.is_reduced = false;
            self.restore(now, id);
        } else if status == "refunded" && order.refunds.is_empty() {
            // All its money, and none of its lines.
            let refund = Refund { id: self.number(), at: now, lines: Vec::new() };
            if let Some(order) = self.orders.get_mut(&id) {
                order.refunds.push(refund);
            }
        }
        true
    }

    fn each_line(&mut self, id: u64, mut each: impl FnMut(&mut Self, &mut Line, Option<u64>)) {
        let Some(mut lines) = self.orders.get(&id).map(|order| order.lines.clone()) else { return };
        for line in &mut lines {
            let by = self.counted_by(line.bought());
            each(self, line, by);
        }
        if let Some(order) = self.orders.get_mut(&id) {
            order.lines = lines;
        }
    }

    fn reduce(&mut self, now: i64, id: u64) {
        self.each_line(id, |state, line, by| {
            if let (Some(by), None | Some(0)) = (by, line.reduced) {
                state.change(now, EventKind::Sale, by, -line.quantity, &id.to_string());
                line.reduced = Some(line.quantity);
            }
        });
    }

    fn restore(&mut self, now: i64, id: u64) {
        self.each_line(id, |state, line, by| {
            if let (Some(by), Some(reduced)) = (by, line.reduced.filter(|reduced| *reduced != 0)) {
                state.change(now, EventKind::Restock, by, reduced, &id.to_string());
                line.reduced = None;
            }
        });
    }

    pub fn refund(&mut self, now: i64, id: u64, nth: usize, quantity: i64, restock: bool) -> bool {
        let Some(order) = self.orders.get(&id) else { return false };
        let Some(line) = order.lines.get(nth).map(|line| line.id) else { return false };
        let refunded = |line: u64| -> i64 {
            let lines = order.refunds.iter().flat_map(|refund| &refund.lines);
            lines.filter(|(of, _)| *of == line).map(|(_, quantity)| *quantity).sum()
        };
        let left: i64 = order.lines.iter().map(|line| line.quantity - refunded(line.id)).sum();
        if quantity < 1 || order.lines[nth].quantity - refunded(line) < quantity {
            return false;
        }
        let refund = Refund { id: self.number(), at: now, lines: vec![(line, quantity)] };
        if restock {
            self.each_line(id, |state, other, by| {
                let Some(reduced) = other.reduced.filter(|reduced| *reduced != 0 && other.id == line) else {
                    return;
                };
                let Some(by) = by else { return };
                state.change(now, EventKind::Restock, by, quantity, &id.to_string());
                other.reduced = Some(reduced - quantity);
                other.restocked += quantity;
            });
        }
        if let Some(order) = self.orders.get_mut(&id) {
            order.refunds.push(refund);
            order.modified_at = now;
        }
        if left == quantity {
            self.set_status(now, id, "refunded");
        }
        true
    }

    pub fn change_line(&mut self, now: i64, id: u64, nth: usize, quantity: i64) -> bool {
        let Some(order) = self.orders.get_mut(&id) else { return false };
        let is_taken = TAKES.contains(&order.status.as_str());
        let Some(line) = order.lines.get_mut(nth).filter(|_| quantity > 0) else { return false };
        line.quantity = quantity;
        let of = line.id;
        order.modified_at = now;
        if is_taken {
            self.each_line(id, |state, line, by| {
                let (Some(by), true) = (by, line.id == of) else { return };
                let change = line.quantity - line.restocked - line.reduced.unwrap_or_default();
                if change != 0 {
                    let kind = if change > 0 { EventKind::Sale } else { EventKind::Restock };
                    state.change(now, kind, by, -change, &id.to_string());
                    line.reduced = Some(line.quantity - line.restocked);
                }
            });
        }
        true
    }
}
