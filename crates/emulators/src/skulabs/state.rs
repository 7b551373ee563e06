//! What the account has, and what happens to it: goods lie in bins, open orders reserve, shipments deduct
//! (<https://www.skulabs.com/help/en/articles/14870760-a-walkthrough-of-how-skulabs-reserves-stock-against-open-orders>).

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::{Value, json};

use super::Faults;
use super::hooks::Delivery;
use crate::wire::EventKind;

/// All statuses that its schema has (<https://skulabs.mintlify.app/api-docs/order/modify-status>).
pub(super) const STATUSES: [&str; 12] = [
    "unstarted",
    "in_progress",
    "shipped",
    "cancelled",
    "cleared",
    "delayed",
    "stopped",
    "partially shipped",
    "archived",
    "awaiting fulfillment",
    "pending",
    "partially cleared",
];
/// Those in which nothing is reserved.
const OVER: [&str; 3] = ["shipped", "cancelled", "archived"];
/// So long what is reserved is cached, in microseconds (the same walkthrough).
const CACHED: i64 = 5 * 60 * 1_000_000;

/// Something that is stocked.
#[derive(Clone, Debug)]
pub(super) struct Item {
    pub sku: String,
    pub name: String,
    pub active: bool,
    /// What shops call it: store, product, variant.
    pub listings: Vec<(String, String, String)>,
}

/// What is sold together.
#[derive(Clone, Debug)]
pub(super) struct Kit {
    pub sku: String,
    pub name: String,
    pub parts: Vec<(String, i64)>,
}

/// Goods that left together.
#[derive(Clone, Debug)]
pub(super) struct Shipment {
    pub id: String,
    pub at: i64,
    pub carrier: String,
    pub tracking: String,
    pub deducted: bool,
    pub voided: bool,
    /// Item and quantity.
    pub items: Vec<(String, i64)>,
}

/// An order.
#[derive(Clone, Debug)]
pub(super) struct Order {
    pub id: String,
    pub store: String,
    pub number: String,
    pub status: String,
    pub stash: Value,
    pub log: Vec<(String, i64)>,
    pub shipments: Vec<Shipment>,
}

impl Order {
    pub fn is_open(&self) -> bool {
        !OVER.contains(&self.status.as_str())
    }

    pub fn lines(&self) -> Vec<(String, i64)> {
        let items = self.stash["items"].as_array().into_iter().flatten();
        items
            .map(|line| {
                (line["id"].as_str().unwrap_or_default().to_owned(), line["quantity"].as_i64().unwrap_or(0))
            })
            .collect()
    }

    fn left(&self, item: &str) -> i64 {
        let shipments = self.shipments.iter().filter(|one| !one.voided).flat_map(|one| &one.items);
        shipments.filter(|(other, _)| other == item).map(|(_, quantity)| quantity).sum()
    }
}

/// Something that happened to a number.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Event {
    /// When, in microseconds since 1970.
    pub at: i64,
    /// What.
    pub kind: EventKind,
    /// Of which item.
    pub item: String,
    /// In which bin; none where it was reserved, or is no more.
    pub bin: Option<String>,
    /// By how much.
    pub change: i64,
    /// What can be bought after it, in the whole account.
    pub free: i64,
    /// Of which order, where it is of one.
    pub reference: String,
}

#[derive(Default)]
pub(super) struct State {
    pub warehouses: BTreeMap<String, String>,
    /// Warehouse and name.
    pub bins: BTreeMap<String, (String, String)>,
    pub items: BTreeMap<String, Item>,
    pub kits: BTreeMap<String, Kit>,
    /// What lies in a bin, by bin and item.
    pub held: BTreeMap<(String, String), i64>,
    pub orders: BTreeMap<String, Order>,
    pub manual_store: String,
    pub webhook: Option<String>,
    pub faults: Faults,
    pub audit: Vec<Event>,
    pub writes: u64,
    pub calls: u64,
    pub waiting: Vec<Delivery>,
    pub is_locked: bool,
    cached: Option<(i64, BTreeMap<String, i64>)>,
    counter: u64,
}

impl State {
    /// An id, as its database makes them: the second, and a number that grows.
    pub fn id(&mut self, now: i64) -> String {
        self.counter += 1;
        format!("{:08x}{:016x}", now.div_euclid(1_000_000).clamp(0, i64::from(u32::MAX)), self.counter)
    }

    pub fn on_hand(&self, item: &str, warehouse: Option<&str>) -> i64 {
        let is_there =
            |bin: &str| warehouse.is_none_or(|wanted| self.bins.get(bin).is_some_and(|(of, _)| of == wanted));
        let rows = self.held.iter().filter(|((bin, of), _)| of == item && is_there(bin));
        rows.map(|(_, on_hand)| on_hand).sum()
    }

    /// What lines ask for, kits taken apart.
    fn wanted(&self, lines: &[(String, i64)]) -> Vec<(String, i64)> {
        let mut wanted = Vec::new();
        for (id, quantity) in lines {
            match self.kits.get(id) {
                Some(kit) => {
                    wanted.extend(kit.parts.iter().map(|(item, each)| (item.clone(), each * quantity)))
                }
                None => wanted.push((id.clone(), *quantity)),
            }
        }
        wanted
    }

    /// What open orders have reserved, recomputed.
    pub fn reserved(&self) -> BTreeMap<String, i64> {
        let mut reserved = BTreeMap::<String, i64>::new();
        for order in self.orders.values().filter(|order| order.is_open()) {
            let mut of_order = BTreeMap::<String, i64>::new();
            for (item, quantity) in self.wanted(&order.lines()) {
                *of_order.entry(item).or_default() += quantity;
            }
            for (item, quantity) in of_order {
                *reserved.entry(item.clone()).or_default() += (quantity - order.left(&item)).max(0);
            }
        }
        reserved
    }

    /// The same, of up to five minutes ago.
    pub fn cached_reserved(&mut self, now: i64) -> BTreeMap<String, i64> {
        match &self.cached {
            Some((at, known)) if now - at < CACHED => known.clone(),
            _ => {
                let reserved = self.reserved();
                self.cached = Some((now, reserved.clone()));
                reserved
            }
        }
    }

    pub fn free(&self, item: &str) -> i64 {
        self.on_hand(item, None) - self.reserved().get(item).copied().unwrap_or(0)
    }

    pub fn note(
        &mut self,
        at: i64,
        kind: EventKind,
        item: &str,
        bin: Option<&str>,
        change: i64,
        reference: &str,
    ) {
        let (item, bin, reference) = (item.to_owned(), bin.map(str::to_owned), reference.to_owned());
        let free = self.free(&item);
        self.audit.push(Event { at, kind, item, bin, change, free, reference });
    }

    /// What lies in a bin changes.
    pub fn change(&mut self, at: i64, kind: EventKind, bin: &str, item: &str, change: i64, reference: &str) {
        *self.held.entry((bin.to_owned(), item.to_owned())).or_default() += change;
        self.note(at, kind, item, Some(bin), change, reference);
    }

    pub fn by_name(&self, store: &str, number: &str) -> Option<String> {
        let is_it = |order: &&Order| order.store == store && order.number == number;
        self.orders.values().find(is_it).map(|order| order.id.clone())
    }

    /// A new order: what it asks for is reserved.
    pub fn place(&mut self, now: i64, store: &str, number: &str, stash: Value) -> String {
        let id = self.id(now);
        let (store, number, status) = (store.to_owned(), number.to_owned(), "unstarted".to_owned());
        let log = vec![("created".to_owned(), now)];
        let order = Order { id: id.clone(), store, number, status, stash, log, shipments: Vec::new() };
        let wanted = self.wanted(&order.lines());
        self.orders.insert(id.clone(), order);
        for (item, quantity) in wanted {
            self.note(now, EventKind::Sale, &item, None, -quantity, &id);
        }
        id
    }

    /// It stands otherwise from now on; nothing is deducted by that
    /// (<https://help.skulabs.com/en/articles/6571189-how-to-change-the-status-of-orders>). False where there is none, or nothing changes.
    pub fn set_status(&mut self, now: i64, id: &str, status: &str) -> bool {
        let Some(order) = self.orders.get_mut(id).filter(|order| order.status != status) else {
            return false;
        };
        let was_open = order.is_open();
        let before = std::mem::replace(&mut order.status, status.to_owned());
        order.log.push((format!("status: {status}"), now));
        let (is_open, lines) = (order.is_open(), order.lines());
        self.announce(now, id, &before);
        for (item, quantity) in self.wanted(&lines) {
            match (was_open, is_open) {
                (true, false) if status != "shipped" => {
                    self.note(now, EventKind::Restock, &item, None, quantity, id);
                }
                (false, true) => self.note(now, EventKind::Sale, &item, None, -quantity, id),
                _ => {}
            }
        }
        true
    }

    /// Some of it leaves, or all that has not; it is deducted from the bins that have most, unless told otherwise. False where there is nothing to leave.
    pub fn ship(
        &mut self,
        now: i64,
        id: &str,
        items: Option<&[(String, i64)]>,
        carrier: &str,
        tracking: &str,
    ) -> bool {
        let Some(order) = self.orders.get(id).filter(|order| order.is_open()) else { return false };
        let wanted = self.wanted(&order.lines());
        let open: Vec<(String, i64)> =
            wanted.into_iter().map(|(item, quantity)| (item.clone(), quantity - order.left(&item))).collect();
        let leaves: Vec<(String, i64)> = items.map_or_else(|| open.clone(), <[_]>::to_vec);
        let fits = |(item, quantity): &(String, i64)| {
            open.iter().any(|(other, left)| other == item && (1..=*left).contains(quantity))
        };
        if leaves.is_empty() || !leaves.iter().all(fits) {
            return false;
        }
        let deducted = !self.faults.deducts_nothing;
        if deducted {
            for (item, quantity) in &leaves {
                let mut bins: Vec<(String, i64)> = self
                    .held
                    .iter()
                    .filter(|((_, of), _)| of == item)
                    .map(|((bin, _), on_hand)| (bin.clone(), *on_hand))
                    .collect();
                bins.sort_by_key(|(_, on_hand)| -on_hand);
                let mut left = *quantity;
                let last = bins.len().saturating_sub(1);
                for (nth, (bin, on_hand)) in bins.into_iter().enumerate() {
                    let taken = if nth == last { left } else { left.min(on_hand.max(0)) };
                    left -= taken;
                    if taken != 0 {
                        *self.held.entry((bin, item.clone())).or_default() -= taken;
                    }
                }
            }
        }
        let is_all = open
            .iter()
            .all(|(item, left)| leaves.iter().any(|(other, quantity)| other == item && quantity == left));
        let shipment_id = self.id(now);
        let (carrier, tracking) = (carrier.to_owned(), tracking.to_owned());
        let shipment =
            Shipment { id: shipment_id, at: now, carrier, tracking, deducted, voided: false, items: leaves };
        if let Some(order) = self.orders.get_mut(id) {
            order.shipments.push(shipment);
            order.log.push(("shipped".to_owned(), now));
        }
        self.set_status(now, id, if is_all { "shipped" } else { "partially shipped" });
        true
    }
}

/// An order as its API tells it.
pub(super) fn order_json(order: &Order) -> Value {
    let log = order
        .log
        .iter()
        .map(|(action, at)| json!({ "user_id": null, "action": action, "time": instant(*at) }));
    let shipment = |one: &Shipment| {
        let items = one.items.iter().map(|(item, quantity)| json!({ "item_id": item, "quantity": quantity }));
        json!({ "_id": one.id, "time": instant(one.at), "voided": one.voided, "return_label": false, "deducted": one.deducted,
            "response": { "provider": one.carrier, "tracking_number": one.tracking },
            "request": { "order_items": items.collect::<Vec<_>>() } })
    };
    json!({ "_id": order.id, "store_id": order.store, "order_number": order.number, "status": order.status, "type": "manual",
        "stash": order.stash, "log": log.collect::<Vec<_>>(), "scans": [], "returns": [], "notes": [], "tags": [],
        "shipments": order.shipments.iter().map(shipment).collect::<Vec<_>>() })
}

/// RFC 3339, in UTC, to the millisecond as it writes them.
pub(super) fn instant(micros: i64) -> String {
    let at = jiff::Timestamp::from_microsecond(micros).unwrap_or_default();
    format!("{at:.3}")
}
