//! Orders as SKULabs tells them.
//!
//! What an order does to what can be bought, by its own words
//! (<https://www.skulabs.com/help/en/articles/14870760-a-walkthrough-of-how-skulabs-reserves-stock-against-open-orders>): while it is open its lines are
//! reserved, *free = on hand − reserved*; a shipment (or a scan, where an account deducts by scans,
//! <https://help.skulabs.com/en/articles/3975127-per-scan-vs-per-shipment-stock-deduction>) takes its units off on hand; what is shipped, cancelled or
//! archived is reserved no more. Whether a shipment or a scan has taken something off stands in it (`deducted`): that is read, not guessed.

use std::collections::BTreeMap;

use onhand_ledger::{Instant, Quantity};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{amount, id, or_nothing};
use crate::{Raw, RemoteOrder, RemoteOrderLine};

/// The statuses in which it reserves: all that its schema has but `shipped`, `cancelled` and `archived`
/// (<https://skulabs.mintlify.app/api-docs/order/status>). *Assumed* of `pending`, of which its walkthrough says nothing: an order that reserves
/// nothing there would show as a number that is higher than we make it, by as much as it has.
pub(in crate::skulabs) const OPEN: [&str; 9] = [
    "unstarted",
    "in_progress",
    "cleared",
    "delayed",
    "stopped",
    "partially shipped",
    "awaiting fulfillment",
    "pending",
    "partially cleared",
];

/// What we ask of an order.
pub(in crate::skulabs) fn order_fields() -> Value {
    serde_json::json!({ "store_id": 1, "order_number": 1, "status": 1, "warehouse_id": 1, "stash": 1, "log": 1, "shipments": 1, "scans": 1 })
}

/// Which order.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize, Deserialize)]
pub(in crate::skulabs) struct Named {
    pub order_number: String,
    pub store_id: String,
}

impl Named {
    /// The name of its document.
    pub fn document(&self) -> String {
        format!("{}:{}", self.store_id, self.order_number)
    }

    /// The order of a document.
    pub fn of(document: &str) -> Option<Self> {
        let (store_id, order_number) = document.split_once(':')?;
        Some(Self { order_number: order_number.to_owned(), store_id: store_id.to_owned() })
    }
}

/// The question of `order/get_single_bulk`.
#[derive(Serialize)]
pub(in crate::skulabs) struct These<'a> {
    pub order: &'a [Named],
}

/// An answer of `order/get_single`, and each of `order/get_single_bulk`. *Assumed*: nothing, or null, where there is no such order.
#[derive(Deserialize)]
pub(in crate::skulabs) struct Single<T> {
    #[serde(default = "Option::default")]
    pub order: Option<T>,
}

/// An order.
#[derive(Clone, Deserialize)]
pub(in crate::skulabs) struct Order {
    #[serde(rename = "_id")]
    pub id: String,
    #[serde(default)]
    pub store_id: String,
    #[serde(default)]
    pub order_number: Value,
    #[serde(default, deserialize_with = "or_nothing")]
    pub status: String,
    #[serde(default)]
    warehouse_id: Option<String>,
    #[serde(default, deserialize_with = "or_nothing")]
    pub stash: Stash,
    #[serde(default, deserialize_with = "or_nothing")]
    log: Vec<Logged>,
    #[serde(default, deserialize_with = "or_nothing")]
    pub shipments: Vec<Shipment>,
    #[serde(default, deserialize_with = "or_nothing")]
    scans: Vec<Scan>,
}

/// What was ordered (<https://help.skulabs.com/en/articles/4151609-creating-orders-by-api>).
#[derive(Clone, Default, Deserialize)]
#[serde(default)]
pub(in crate::skulabs) struct Stash {
    date: Option<String>,
    #[serde(deserialize_with = "or_nothing")]
    pub items: Vec<Ordered>,
    pub alternate_order_id: Option<String>,
}

/// A line of what was ordered.
#[derive(Clone, Default, Deserialize)]
#[serde(default)]
pub(in crate::skulabs) struct Ordered {
    /// Its own item or kit, of a manual order; the shop's product of any other.
    id: Value,
    variant_id: Value,
    line_id: Value,
    quantity: Value,
    sku: Option<String>,
    #[serde(rename = "lineSku")]
    line_sku: Option<String>,
    /// The shop's supplier sends it: nothing of it lies here.
    #[serde(deserialize_with = "or_nothing")]
    dropshipped: bool,
    /// Where it leaves from, where an account reserves by warehouse. *Assumed* to be called so: its walkthrough has "the line item's fulfillment warehouse id".
    fulfillment_warehouse_id: Option<String>,
}

#[derive(Clone, Default, Deserialize)]
#[serde(default)]
struct Logged {
    time: Option<String>,
}

/// Goods that left together.
#[derive(Clone, Default, Deserialize)]
#[serde(default)]
pub(in crate::skulabs) struct Shipment {
    #[serde(rename = "_id")]
    id: String,
    time: Option<String>,
    #[serde(deserialize_with = "or_nothing")]
    voided: bool,
    #[serde(deserialize_with = "or_nothing")]
    return_label: bool,
    #[serde(deserialize_with = "or_nothing")]
    deducted: bool,
    #[serde(deserialize_with = "or_nothing")]
    response: Label,
    #[serde(deserialize_with = "or_nothing")]
    request: Asked,
}

#[derive(Clone, Default, Deserialize)]
#[serde(default)]
struct Label {
    provider: Option<String>,
    tracking_number: Option<String>,
}

#[derive(Clone, Default, Deserialize)]
#[serde(default)]
struct Asked {
    #[serde(deserialize_with = "or_nothing")]
    order_items: Vec<Packed>,
}

#[derive(Clone, Default, Deserialize)]
#[serde(default)]
struct Packed {
    item_id: Value,
    quantity: Value,
}

#[derive(Clone, Default, Deserialize)]
#[serde(default)]
struct Scan {
    item_id: Value,
    quantity: Value,
    time: Option<String>,
    #[serde(deserialize_with = "or_nothing")]
    deducted: bool,
}

impl Shipment {
    /// Did it leave, and is that still so?
    pub fn has_left(&self) -> bool {
        !self.voided && !self.return_label
    }

    pub fn tracking_number(&self) -> Option<&str> {
        self.response.tracking_number.as_deref()
    }
}

/// So much of an item, in a line of an order, in its shares.
#[derive(Clone, Debug)]
pub(in crate::skulabs) struct Line {
    /// Its name in the document.
    pub line: String,
    /// The item, or what the shop calls it where nobody knows the item.
    pub listing: String,
    /// The kit that it came with.
    kit: Option<String>,
    /// Ordered.
    pub quantity: Quantity,
    /// Sent.
    pub shipped: Quantity,
    /// Off on hand.
    deducted: Quantity,
    /// The warehouse it is reserved in.
    pub place: String,
}

impl Line {
    /// What is reserved for it, in an order that is open.
    pub fn reserved(&self) -> Quantity {
        (self.quantity - self.shipped.max(self.deducted)).max(Quantity::ZERO)
    }
}

/// What a line of an order is about.
pub(in crate::skulabs) enum About {
    Item(String),
    /// A kit, and so much of each item in it.
    Kit(String, Vec<(String, Quantity)>),
    Unknown,
}

/// What knows of items, kits and warehouses.
pub(in crate::skulabs) trait Knows {
    fn about(&self, store: &str, id: &str, variant: &str, sku: Option<&str>) -> About;
    /// Where a line that names no warehouse is reserved.
    fn first_warehouse(&self) -> Option<&str>;
}

/// What became of an order all in all.
pub(in crate::skulabs) struct Read {
    pub is_open: bool,
    pub lines: Vec<Line>,
    /// Is there something in it that nobody knows?
    pub is_unknown: bool,
}

impl Order {
    pub fn named(&self) -> Named {
        Named { order_number: id(&self.order_number), store_id: self.store_id.clone() }
    }

    pub fn is_open(&self) -> bool {
        OPEN.contains(&self.status.as_str())
    }

    /// A number in it that is none, in words: how much it is of nobody knows then.
    pub fn unreadable(&self) -> Option<String> {
        let ordered = self.stash.items.iter().filter(|one| !one.dropshipped).map(|one| &one.quantity);
        let scanned = self.scans.iter().map(|one| &one.quantity);
        let packed = self.shipments.iter().flat_map(|one| &one.request.order_items).map(|one| &one.quantity);
        // *Assumed*: where a scan or a parcel has no number at all it is of nothing.
        let gone = scanned.chain(packed).filter(|number| !number.is_null());
        let wrong = ordered.chain(gone).find(|number| amount(number).is_none())?;
        Some(format!("order {} has the quantity {wrong}, which is no number", self.named().document()))
    }

    /// Its lines by item, kits taken apart. Of an order that is readable: see [`Self::unreadable`].
    pub fn read(&self, knows: &impl Knows) -> Read {
        let (mut lines, mut is_unknown) = (Vec::new(), false);
        for (nth, ordered) in self.stash.items.iter().enumerate() {
            let quantity = amount(&ordered.quantity).unwrap_or_default();
            if ordered.dropshipped || !quantity.is_positive() {
                continue;
            }
            let named = id(&ordered.line_id);
            let line = if named.is_empty() { format!("#{nth}") } else { named };
            let (of, variant) = (id(&ordered.id), id(&ordered.variant_id));
            let sku = ordered.line_sku.as_deref().or(ordered.sku.as_deref()).filter(|sku| !sku.is_empty());
            let place = ordered.fulfillment_warehouse_id.as_deref().or(self.warehouse_id.as_deref());
            let place = place.filter(|id| !id.is_empty()).or(knows.first_warehouse()).unwrap_or_default();
            let one = |line: String, listing: String, kit: Option<&String>, quantity| Line {
                line,
                listing,
                kit: kit.cloned(),
                quantity,
                shipped: Quantity::ZERO,
                deducted: Quantity::ZERO,
                place: place.to_owned(),
            };
            match knows.about(&self.store_id, &of, &variant, sku) {
                About::Item(item) => lines.push(one(line, item, None, quantity)),
                About::Kit(kit, parts) => {
                    let whole = quantity.whole_units();
                    lines.extend(parts.into_iter().map(|(item, each)| {
                        let quantity = Quantity::from_micros(each.micros().saturating_mul(whole));
                        one(format!("{line}/{item}"), item, Some(&kit), quantity)
                    }));
                }
                About::Unknown => {
                    is_unknown = true;
                    let listing =
                        sku.map_or_else(|| format!("{}/{of}/{variant}", self.store_id), str::to_owned);
                    lines.push(one(line, listing, None, quantity));
                }
            }
        }
        self.share(&mut lines);
        Read { is_open: self.is_open(), lines, is_unknown }
    }

    /// What of each line has left, and is off on hand.
    fn share(&self, lines: &mut [Line]) {
        let left: Vec<&Shipment> = self.shipments.iter().filter(|one| one.has_left()).collect();
        let deducted: Vec<&Shipment> = left.iter().copied().filter(|one| one.deducted).collect();
        give(lines, &packed(&left), |line| &mut line.shipped);
        give(lines, &packed(&deducted), |line| &mut line.deducted);
        // A shipment that names no items is of all there is. *Assumed*: one that is of a part would be told with its items.
        for line in lines.iter_mut() {
            let all = |of: &[&Shipment]| of.iter().any(|one| one.request.order_items.is_empty());
            if self.status == "shipped" || all(&left) {
                line.shipped = line.quantity;
            }
            if all(&deducted) {
                line.deducted = line.quantity;
            }
        }
        let mut scanned = BTreeMap::<String, Quantity>::new();
        for scan in self.scans.iter().filter(|scan| scan.deducted) {
            *scanned.entry(id(&scan.item_id)).or_default() += amount(&scan.quantity).unwrap_or_default();
        }
        let mut by_scans = lines.to_vec();
        for line in &mut by_scans {
            line.deducted = Quantity::ZERO;
        }
        give(&mut by_scans, &scanned, |line| &mut line.deducted);
        for (line, by_scan) in lines.iter_mut().zip(by_scans) {
            line.deducted = line.deducted.max(by_scan.deducted);
        }
    }

    /// The times that it tells, the earliest and the newest.
    fn times(&self) -> Option<(Instant, Instant)> {
        let logged = self.log.iter().filter_map(|one| one.time.as_deref());
        let shipped = self.shipments.iter().filter_map(|one| one.time.as_deref());
        let scanned = self.scans.iter().filter_map(|one| one.time.as_deref());
        let times = logged.chain(shipped).chain(scanned).filter_map(|text| Instant::parse(text).ok());
        times.fold(None, |found, at| {
            let (first, last) = found.unwrap_or((at, at));
            Some((first.min(at), last.max(at)))
        })
    }

    /// When it was made over there: from then on it reserves. Its id begins with the second
    /// (<https://www.mongodb.com/docs/manual/reference/bson-types/#objectid>); what it logs first may tell that more exactly.
    pub fn made_at(&self) -> Result<Instant, String> {
        let second = self.id.get(..8).and_then(|text| i64::from_str_radix(text, 16).ok());
        let first = self.times().map(|(first, _)| first);
        let made = second.map(|second| Instant::from_micros(second * 1_000_000));
        let dated = || self.stash.date.as_deref().and_then(|text| Instant::parse(text).ok());
        match (made, first) {
            (Some(made), Some(first)) if first >= made && first <= made.plus_seconds(60) => Ok(first),
            (Some(made), _) => Ok(made),
            (None, first) => {
                dated().or(first).ok_or_else(|| format!("order {} says no time", self.named().document()))
            }
        }
    }

    /// When it last changed, by all that it tells: there is no such time of its own.
    pub fn changed_at(&self, made_at: Instant) -> Instant {
        self.times().map_or(made_at, |(_, last)| last.max(made_at))
    }

    /// The order as it is now.
    pub fn into_remote(self, read: Read, raw: Raw) -> Result<RemoteOrder, String> {
        let placed_at = self.made_at()?;
        let updated_at = self.changed_at(placed_at);
        let left = self.shipments.iter().filter(|one| one.has_left()).filter_map(|one| one.time.as_deref());
        let moved_at = left.filter_map(|text| Instant::parse(text).ok()).max().unwrap_or(updated_at);
        let is_over = !read.is_open && self.status != "shipped";
        let any_left = read.lines.iter().any(|line| line.shipped.is_positive());
        let lines = read.lines.iter().map(|line| {
            // What is wanted no more is not wanted; what has left was.
            let quantity = if is_over && any_left { line.shipped } else { line.quantity };
            let reserved = if read.is_open { line.reserved() } else { Quantity::ZERO };
            RemoteOrderLine {
                line: line.line.clone(),
                listing: line.listing.clone(),
                quantity,
                shipped: line.shipped,
                returned: Quantity::ZERO,
                withheld: Quantity::ZERO,
                places: vec![(line.place.clone(), reserved + line.deducted)],
            }
        });
        Ok(RemoteOrder {
            document: self.named().document(),
            version: updated_at.micros().unsigned_abs(),
            placed_at,
            updated_at,
            moved_at,
            history: false,
            cancelled: is_over && !any_left,
            lines: lines.collect(),
            raw: Some(raw),
        })
    }

    /// Its parcels.
    pub fn parcels(&self) -> impl Iterator<Item = Left> {
        self.shipments.iter().filter(|one| one.has_left()).enumerate().map(|(nth, one)| Left {
            name: if one.id.is_empty() { format!("P{nth}") } else { one.id.clone() },
            at: one.time.as_deref().and_then(|text| Instant::parse(text).ok()),
            carrier: one.response.provider.clone(),
            tracking: one.response.tracking_number.clone(),
            packed: packed(&[one]),
        })
    }
}

/// A parcel, as its shipment tells it.
pub(in crate::skulabs) struct Left {
    pub name: String,
    pub at: Option<Instant>,
    pub carrier: Option<String>,
    pub tracking: Option<String>,
    /// How much of each item; nothing where it does not say.
    pub packed: BTreeMap<String, Quantity>,
}

/// How much of each item, or kit, is in these.
fn packed(shipments: &[&Shipment]) -> BTreeMap<String, Quantity> {
    let mut of = BTreeMap::<String, Quantity>::new();
    for packed in shipments.iter().flat_map(|one| &one.request.order_items) {
        *of.entry(id(&packed.item_id)).or_default() += amount(&packed.quantity).unwrap_or_default();
    }
    of
}

/// Gives so much of each item to the lines that want some of it, the first first; of a kit so much of each of its parts.
fn give(lines: &mut [Line], of: &BTreeMap<String, Quantity>, share: impl Fn(&mut Line) -> &mut Quantity) {
    for (item, quantity) in of {
        let mut left = *quantity;
        for line in lines.iter_mut().filter(|line| line.listing == *item) {
            let wanted = line.quantity;
            let share = share(line);
            let more = (wanted - *share).min(left).max(Quantity::ZERO);
            *share += more;
            left -= more;
        }
        // *Assumed*: a kit is packed under its own id, whole; some of a kit counts as all of its line.
        for line in lines.iter_mut().filter(|line| line.kit.as_ref() == Some(item)) {
            let wanted = line.quantity;
            *share(line) = wanted;
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn order(quantity: &Value, packed: &Value) -> Order {
        let item = json!({ "id": "i1", "quantity": quantity });
        let shipment = json!({ "request": { "order_items": [{ "item_id": "i1", "quantity": packed }] } });
        let told = json!({ "_id": "65f0", "store_id": "s", "order_number": 7, "stash": { "items": [item] }, "shipments": [shipment] });
        serde_json::from_value(told).unwrap()
    }

    #[test]
    fn a_number_that_is_none_is_not_taken_for_nothing() {
        for (quantity, packed) in [
            (json!(2), json!("2")),
            (json!("3"), Value::Null),
            (json!("1.5"), json!(1)),
            (json!(0), json!(0)),
        ] {
            assert_eq!(order(&quantity, &packed).unreadable(), None, "{quantity} {packed}");
        }
        for (quantity, packed) in [
            (json!("two"), json!(1)),
            (Value::Null, json!(1)),
            (json!(1e30), json!(1)),
            (json!(1), json!({})),
        ] {
            let told = order(&quantity, &packed).unreadable().unwrap_or_default();
            assert!(told.starts_with("order s:7 has the quantity "), "{quantity} {packed}: {told}");
        }
    }
}
