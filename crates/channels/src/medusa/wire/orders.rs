//! What Medusa says of orders, and what of them is still to be sent.
//!
//! How much of a line its numbers fell by stands in what is reserved for it and in what was fulfilled of it, each at its location
//! (<https://docs.medusajs.com/resources/commerce-modules/inventory/reservations-lifecycle>); what was received of a return, and was not damaged, is back at that return's location
//! (<https://docs.medusajs.com/resources/commerce-modules/inventory/inventory-in-flows>). That is read, and nothing is guessed from an order's status.

use std::collections::BTreeMap;

use onhand_ledger::{Instant, Quantity};
use serde::Deserialize;

use super::{Amount, Needed, rows};
use crate::{Raw, RemoteOrder, RemoteOrderLine};

/// What we ask of an order; whom it is for goes into its raw document alone.
pub(in crate::medusa) const ORDER_FIELDS: &str = "id,status,created_at,updated_at,items.id,items.quantity,items.variant_id,items.detail.return_received_quantity,\
     items.variant.manage_inventory,items.variant.inventory_items.inventory_item_id,\
     items.variant.inventory_items.required_quantity,\
     fulfillments.location_id,fulfillments.shipped_at,fulfillments.delivered_at,fulfillments.canceled_at,\
     fulfillments.items.line_item_id,fulfillments.items.inventory_item_id,fulfillments.items.quantity,\
     returns.location_id,returns.received_at,returns.items.*,\
     email,shipping_address.first_name,shipping_address.last_name,shipping_address.company,\
     shipping_address.address_1,shipping_address.address_2,shipping_address.city,shipping_address.province,\
     shipping_address.postal_code,shipping_address.country_code,shipping_address.phone";
/// What we ask of a reservation.
pub(in crate::medusa) const RESERVATION_FIELDS: &str =
    "id,line_item_id,inventory_item_id,location_id,quantity";

/// An order is cancelled as a whole, or not at all
/// (<https://docs.medusajs.com/resources/references/order/models/Order>).
pub(in crate::medusa) const CANCELED: &str = "canceled";
/// Of these nothing is to be sent any more, or not yet.
pub(in crate::medusa) const NOT_OPEN: [&str; 3] = [CANCELED, "archived", "draft"];

#[derive(Deserialize)]
pub(in crate::medusa) struct Orders<T> {
    pub orders: Vec<T>,
}

#[derive(Deserialize)]
pub(in crate::medusa) struct OneOrder<T> {
    pub order: T,
}

#[derive(Deserialize)]
pub(in crate::medusa) struct Changed {
    pub updated_at: Instant,
}

#[derive(Deserialize)]
pub(in crate::medusa) struct Reservations {
    #[serde(deserialize_with = "rows")]
    pub reservations: Vec<Reservation>,
}

/// So much of an inventory item is set aside at a location, for a line of an order or for whatever somebody wants.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug, Deserialize)]
pub(in crate::medusa) struct Reservation {
    pub line_item_id: Option<String>,
    pub inventory_item_id: String,
    pub location_id: String,
    quantity: Micros,
}

/// A quantity that can be put in order.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Deserialize)]
#[serde(from = "Amount")]
struct Micros(i64);

impl From<Amount> for Micros {
    fn from(amount: Amount) -> Self {
        Self(amount.0.micros())
    }
}

#[derive(Deserialize)]
pub(in crate::medusa) struct Order {
    pub id: String,
    pub status: String,
    pub created_at: Instant,
    pub updated_at: Instant,
    #[serde(default, deserialize_with = "rows")]
    pub items: Vec<Line>,
    #[serde(default, deserialize_with = "rows")]
    fulfillments: Vec<Fulfillment>,
    #[serde(default, deserialize_with = "rows")]
    returns: Vec<Return>,
}

#[derive(Deserialize)]
pub(in crate::medusa) struct Line {
    pub id: String,
    quantity: Amount,
    variant_id: Option<String>,
    detail: Option<Detail>,
    variant: Option<LineVariant>,
}

#[derive(Deserialize)]
struct Detail {
    #[serde(default)]
    return_received_quantity: Amount,
}

#[derive(Deserialize)]
pub(in crate::medusa) struct LineVariant {
    #[serde(default)]
    manage_inventory: bool,
    #[serde(default, deserialize_with = "rows")]
    pub inventory_items: Vec<Needed>,
}

#[derive(Deserialize)]
struct Fulfillment {
    location_id: Option<String>,
    shipped_at: Option<Instant>,
    delivered_at: Option<Instant>,
    canceled_at: Option<Instant>,
    #[serde(default, deserialize_with = "rows")]
    items: Vec<Fulfilled>,
}

#[derive(Deserialize)]
pub(in crate::medusa) struct Fulfilled {
    pub line_item_id: Option<String>,
    /// None where nothing is counted of its variant.
    pub inventory_item_id: Option<String>,
    quantity: Amount,
}

impl Fulfilled {
    pub fn quantity(&self) -> Quantity {
        self.quantity.0
    }
}

#[derive(Deserialize)]
struct Return {
    location_id: Option<String>,
    received_at: Option<Instant>,
    #[serde(default, deserialize_with = "rows")]
    items: Vec<ReturnedLine>,
}

#[derive(Deserialize)]
struct ReturnedLine {
    item_id: String,
    /// Damaged goods included.
    #[serde(default)]
    received_quantity: Amount,
    #[serde(default)]
    damaged_quantity: Amount,
}

/// What an order did to the number of one inventory item by one of its lines; or by none, of a line of which nothing is counted.
#[derive(Default)]
struct Effect {
    /// Its number fell by so much at each location.
    places: BTreeMap<String, Quantity>,
    shipped: Quantity,
}

/// By line, and inventory item.
type Effects = BTreeMap<(String, Option<String>), Effect>;

fn times(quantity: Quantity, required: i64) -> Quantity {
    Quantity::from_micros(quantity.micros().saturating_mul(required))
}

impl Order {
    /// Is anything of it still to be sent?
    pub fn is_open(&self, told: &RemoteOrder) -> bool {
        !NOT_OPEN.contains(&self.status.as_str())
            && told.lines.iter().any(|line| line.quantity > line.shipped)
    }

    /// The order as it is now, with what is reserved for it. A line by which no number fell is named at each of these locations, with nothing.
    pub fn to_remote(&self, reserved: &[Reservation], locations: &[String], raw: Option<Raw>) -> RemoteOrder {
        let mut effects = self.effects(reserved);
        let is_canceled = self.status == CANCELED;
        let mut lines = Vec::new();
        for line in &self.items {
            let parts = line.parts(&effects);
            let uncounted = effects.remove(&(line.id.clone(), None)).unwrap_or_default().shipped;
            let named = parts.len() > 1;
            for part in parts {
                let of = (line.id.clone(), Some(part.inventory_item_id.clone()));
                let effect = effects.remove(&of).unwrap_or_default();
                let shipped = effect.shipped + times(uncounted, part.required_quantity);
                let returned = line.detail.as_ref().map(|detail| detail.return_received_quantity.0);
                let returned = times(returned.unwrap_or_default(), part.required_quantity);
                let mut places: Vec<(String, Quantity)> = effect.places.into_iter().collect();
                if places.is_empty() && !is_canceled {
                    places = locations.iter().map(|place| (place.clone(), Quantity::ZERO)).collect();
                }
                lines.push(RemoteOrderLine {
                    line: if named { part_name(&line.id, &part.inventory_item_id) } else { line.id.clone() },
                    quantity: times(line.quantity.0, part.required_quantity).max(shipped),
                    shipped,
                    returned: returned.min(shipped),
                    withheld: Quantity::ZERO,
                    places,
                    listing: part.inventory_item_id,
                });
            }
        }
        let updated_at = self.updated_at.max(self.created_at);
        RemoteOrder {
            document: self.id.clone(),
            version: updated_at.micros().unsigned_abs(),
            placed_at: self.created_at,
            updated_at,
            moved_at: self.moved_at().unwrap_or(updated_at),
            history: false,
            cancelled: is_canceled && lines.iter().all(|line| line.shipped.is_zero()),
            lines,
            raw,
        }
    }

    fn effects(&self, reserved: &[Reservation]) -> Effects {
        let mut effects = Effects::new();
        for one in reserved {
            let Some(line) = self.items.iter().find(|line| one.line_item_id.as_ref() == Some(&line.id))
            else {
                continue;
            };
            let of = (line.id.clone(), Some(one.inventory_item_id.clone()));
            let effect = effects.entry(of).or_default();
            *effect.places.entry(one.location_id.clone()).or_default() +=
                Quantity::from_micros(one.quantity.0);
        }
        for fulfillment in self.fulfillments.iter().filter(|one| one.canceled_at.is_none()) {
            for fulfilled in &fulfillment.items {
                let Some(line) = &fulfilled.line_item_id else { continue };
                let of = (line.clone(), fulfilled.inventory_item_id.clone());
                let effect = effects.entry(of).or_default();
                if fulfillment.left_at().is_some() {
                    effect.shipped += fulfilled.quantity.0;
                }
                if let (Some(place), Some(_)) = (&fulfillment.location_id, &fulfilled.inventory_item_id) {
                    *effect.places.entry(place.clone()).or_default() += fulfilled.quantity.0;
                }
            }
        }
        for back in &self.returns {
            let Some(place) = &back.location_id else { continue };
            for returned in &back.items {
                let line = self.items.iter().find(|line| line.id == returned.item_id);
                let restocked = returned.received_quantity.0 - returned.damaged_quantity.0;
                let Some(variant) = line.and_then(|line| line.variant.as_ref()) else { continue };
                if !variant.manage_inventory || restocked.is_zero() {
                    continue;
                }
                for needed in &variant.inventory_items {
                    let of = (returned.item_id.clone(), Some(needed.inventory_item_id.clone()));
                    let places = &mut effects.entry(of).or_default().places;
                    *places.entry(place.clone()).or_default() -= times(restocked, needed.required_quantity);
                }
            }
        }
        effects
    }

    /// When the newest of what has left or come back did so.
    fn moved_at(&self) -> Option<Instant> {
        let live = self.fulfillments.iter().filter(|one| one.canceled_at.is_none());
        let left = live.filter_map(Fulfillment::left_at);
        left.chain(self.returns.iter().filter_map(|back| back.received_at)).max()
    }
}

impl Fulfillment {
    /// One that is packed has not left yet; one that needs no shipping is delivered without ever being shipped.
    fn left_at(&self) -> Option<Instant> {
        self.shipped_at.or(self.delivered_at)
    }
}

impl Line {
    /// The inventory items it is of. Where its variant is gone, what was set aside for it says so; a line that never was in the catalogue is of none.
    fn parts(&self, effects: &Effects) -> Vec<Needed> {
        let needed = |item: &str| Needed { inventory_item_id: item.to_owned(), required_quantity: 1 };
        if let Some(variant) = self.variant.as_ref().filter(|variant| !variant.inventory_items.is_empty()) {
            return variant.inventory_items.clone();
        }
        let known =
            effects.keys().filter(|(line, _)| *line == self.id).filter_map(|(_, item)| item.as_deref());
        let known: Vec<Needed> = known.map(needed).collect();
        if known.is_empty() { self.variant_id.iter().map(|id| needed(id)).collect() } else { known }
    }
}

/// How a part of a line is named that is of several inventory items.
fn part_name(line: &str, item: &str) -> String {
    format!("{line}/{item}")
}

/// The line that a name stands for, and the inventory item where it is of several.
pub(in crate::medusa) fn parted(name: &str) -> (&str, Option<&str>) {
    name.split_once('/').map_or((name, None), |(line, item)| (line, Some(item)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Told;
    use crate::medusa::recorded;

    const WAREHOUSE: &str = "sloc_01M8PC6D1QCD0BNCVP0SPGTSGS";

    /// What was told of orders, each as it is understood.
    fn told() -> Vec<RemoteOrder> {
        let orders: Orders<Told<Order>> = recorded::read(recorded::ORDERS);
        let reserved: Reservations = recorded::read(recorded::ORDERS);
        let locations = [WAREHOUSE.to_owned(), "sloc_store".to_owned()];
        let remote = |told: Told<Order>| {
            let order = told.content.to_remote(&reserved.reservations, &locations, Some(told.raw));
            assert_eq!(told.content.is_open(&order), !order.cancelled);
            order
        };
        orders.orders.into_iter().map(remote).collect()
    }

    fn units(quantity: Quantity) -> i64 {
        quantity.whole_units()
    }

    /// 5 were ordered; 2 of them left, of which one came back and one came back damaged; one was packed and unpacked.
    #[test]
    fn what_a_number_fell_by_is_what_is_reserved_and_fulfilled_less_what_is_back() {
        let order = &told()[0];
        let [line] = order.lines.as_slice() else { panic!("{order:?}") };
        assert_eq!((units(line.quantity), units(line.shipped), units(line.returned)), (5, 2, 1));
        assert_eq!(line.places, [(WAREHOUSE.to_owned(), Quantity::units(4))]);
        assert_eq!(order.moved_at, Instant::parse("2026-11-30T14:03:12.722Z").unwrap(), "when it came back");
        assert!(!order.cancelled);
    }

    /// Two unicycles, each of a wheel and three of something else, one of them sent; a bicycle of two wheels; a voucher, sent, of which nothing is counted; and
    /// one of another.
    #[test]
    fn a_line_of_several_items_is_a_line_of_each() {
        let order = &told()[1];
        let lines: Vec<_> = order
            .lines
            .iter()
            .map(|line| {
                let listing = &line.listing[line.listing.len() - 4..];
                let places: Vec<i64> = line.places.iter().map(|(_, quantity)| units(*quantity)).collect();
                (listing, line.line.contains('/'), units(line.quantity), units(line.shipped), places)
            })
            .collect();
        assert_eq!(
            lines,
            [
                // No number fell by it, anywhere.
                ("8VD1", false, 1, 1, vec![0, 0]),
                ("85CB", false, 1, 0, vec![1]),
                ("D673", false, 2, 0, vec![2]),
                ("7JAK", true, 6, 3, vec![6]),
                ("D673", true, 2, 1, vec![2]),
            ]
        );
        let name = &order.lines[3].line;
        assert_eq!(parted(name), (name.split('/').next().unwrap(), Some(order.lines[3].listing.as_str())));
    }

    #[test]
    fn of_a_cancelled_order_nothing_is_wanted() {
        let order = &told()[2];
        assert!(order.cancelled);
        assert!(order.lines[0].places.is_empty(), "{order:?}");
    }

    /// Not recorded: its variant is deleted, and what was set aside for it still says what it was.
    #[test]
    fn what_is_gone_from_the_catalogue_is_known_by_what_was_set_aside() {
        let order = r#"{"id":"o","status":"pending","created_at":"2026-11-30T14:00:00Z","updated_at":"2026-11-30T14:00:00Z",
            "items":[{"id":"l","quantity":3,"variant_id":null,"variant":null,"detail":null},
                     {"id":"gift wrap","quantity":1,"variant_id":null,"variant":null,"detail":null}],
            "fulfillments":[null],"returns":null}"#;
        let order: Order = serde_json::from_str(order).unwrap();
        let reserved = r#"{"reservations":[
            {"line_item_id":"l","inventory_item_id":"iitem_1","location_id":"s","quantity":3},
            {"line_item_id":null,"inventory_item_id":"iitem_1","location_id":"s","quantity":9}]}"#;
        let reserved: Reservations = serde_json::from_str(reserved).unwrap();
        let found = order.to_remote(&reserved.reservations, &[], None);
        let [line] = found.lines.as_slice() else { panic!("{found:?}") };
        assert_eq!((line.listing.as_str(), units(line.quantity)), ("iitem_1", 3));
        assert_eq!(line.places, [("s".to_owned(), Quantity::units(3))]);
    }
}
