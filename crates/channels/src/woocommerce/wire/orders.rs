//! Orders, what of them was refunded, and what is said of them when they leave.
//!
//! What an order took off a number stands in metadata of its line: `_reduced_stock`, written when it is taken off, less what a refund
//! put back, and gone once all of it is back; `_restock_refunded_items` is what refunds put back in all
//! (<https://github.com/woocommerce/woocommerce/blob/trunk/plugins/woocommerce/includes/wc-stock-functions.php>,
//! `wc_restock_refunded_items` in
//! <https://github.com/woocommerce/woocommerce/blob/trunk/plugins/woocommerce/includes/wc-order-functions.php>). So what a line did to its number
//! is read, not guessed from the order's status.

use std::collections::BTreeMap;

use onhand_ledger::{Instant, Quantity};
use serde::de::IgnoredAny;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{Meta, STORE, Stocked, amount, instant, line_quantity};
use crate::outgoing::Recipient;
use crate::{Raw, RemoteOrder, RemoteOrderLine};

const REDUCED: &str = "_reduced_stock";
const RESTOCKED: &str = "_restock_refunded_items";
const REFUNDED_ITEM: &str = "_refunded_item_id";

/// What we ask of an order: what happened to it, and whom it is for.
pub(in crate::woocommerce) const ORDER_FIELDS: &str = "id,number,status,date_created_gmt,date_modified_gmt,date_paid_gmt,date_completed_gmt,line_items,refunds,\
     billing,shipping,customer_note";
/// What we ask of a refund.
pub(in crate::woocommerce) const REFUND_FIELDS: &str = "id,date_created_gmt,line_items";

/// When an order last changed.
#[derive(Deserialize)]
pub(in crate::woocommerce) struct Changed {
    pub date_modified_gmt: String,
}

/// How many orders have a status, of those that plugins made too (<https://developer.woocommerce.com/docs/apis/rest-api/v3/reports/>).
#[derive(Deserialize)]
pub(in crate::woocommerce) struct StatusTotal {
    pub slug: String,
    #[serde(default)]
    pub total: Value,
}

/// How an order stands (<https://woocommerce.com/document/managing-orders/order-statuses/>).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(in crate::woocommerce) enum Standing {
    /// Not paid for: nothing is taken off yet, and it may never be.
    Unpaid,
    /// To be sent: on hold, in processing, or in a status of a plugin's own.
    Open,
    /// It was paid for no more; what was taken off stays so.
    Failed,
    /// Sent.
    Completed,
    /// All money went back; goods are on sale again only where somebody restocked them.
    Refunded,
    /// Nothing of it is wanted: what was taken off is back.
    Cancelled,
}

impl Standing {
    pub fn of(status: &str) -> Self {
        match status {
            "pending" | "checkout-draft" | "draft" | "auto-draft" | "new" => Self::Unpaid,
            "failed" => Self::Failed,
            "completed" => Self::Completed,
            "refunded" => Self::Refunded,
            "cancelled" | "trash" => Self::Cancelled,
            _ => Self::Open,
        }
    }
}

/// An order.
#[derive(Deserialize)]
pub(in crate::woocommerce) struct Order {
    pub id: u64,
    pub status: String,
    pub date_created_gmt: String,
    pub date_modified_gmt: String,
    date_paid_gmt: Option<String>,
    date_completed_gmt: Option<String>,
    #[serde(default)]
    pub line_items: Vec<Line>,
    #[serde(default)]
    pub refunds: Vec<IgnoredAny>,
}

/// A line of an order, or of a refund, where its quantity is below 0.
#[derive(Deserialize)]
pub(in crate::woocommerce) struct Line {
    pub id: u64,
    #[serde(default)]
    pub product_id: u64,
    #[serde(default)]
    pub variation_id: u64,
    #[serde(default, deserialize_with = "line_quantity")]
    quantity: Quantity,
    #[serde(default)]
    meta_data: Vec<Meta>,
}

/// Money that went back.
#[derive(Deserialize)]
pub(in crate::woocommerce) struct Refund {
    date_created_gmt: String,
    #[serde(default)]
    line_items: Vec<Line>,
}

impl Line {
    pub const fn quantity(&self) -> Quantity {
        self.quantity
    }

    fn told(&self, key: &str) -> Option<Quantity> {
        let meta = self.meta_data.iter().find(|meta| meta.key == key)?;
        Some(amount(&meta.value).unwrap_or_default())
    }

    /// Of which line of its order a line of a refund is.
    fn refunded(&self) -> Option<u64> {
        let meta = self.meta_data.iter().find(|meta| meta.key == REFUNDED_ITEM)?;
        let text =
            meta.value.as_str().map(str::to_owned).or_else(|| meta.value.as_u64().map(|id| id.to_string()));
        text?.parse().ok()
    }
}

/// How much of each line was refunded, by its id.
pub(in crate::woocommerce) fn refunded(refunds: &[Refund]) -> BTreeMap<u64, Quantity> {
    let mut of = BTreeMap::<u64, Quantity>::new();
    for line in refunds.iter().flat_map(|refund| &refund.line_items) {
        if let Some(id) = line.refunded() {
            *of.entry(id).or_default() += line.quantity().abs();
        }
    }
    of
}

/// What of an order is told, and whether it is one.
pub(in crate::woocommerce) struct Told {
    pub order: RemoteOrder,
    pub standing: Standing,
    /// Did it ever take something off, or was it paid for? An order that never was one is nothing to whoever has not heard of it.
    pub counts: bool,
    /// When it was paid for.
    pub paid_at: Option<Instant>,
}

/// How much of a line was refunded before it was sent, and after.
#[derive(Clone, Copy, Default)]
struct Parts {
    before: Quantity,
    after: Quantity,
}

impl Order {
    /// The order as it is now, or what is wrong with it. `shares_stock` says of a variation whether its product has its stock.
    pub fn into_told(
        self,
        refunds: &[Refund],
        shares_stock: impl Fn(u64) -> bool,
        raw: Raw,
    ) -> Result<Told, String> {
        let at = |text: &str| instant(text).map_err(|error| format!("order {}: {error}", self.id));
        let placed_at = at(&self.date_created_gmt)?;
        let updated_at = at(&self.date_modified_gmt)?.max(placed_at);
        let paid_at = self.date_paid_gmt.as_deref().map(at).transpose()?;
        let standing = Standing::of(&self.status);
        // It is kept when an order is opened again.
        let may_have_left = matches!(standing, Standing::Completed | Standing::Refunded);
        let left_at = self.date_completed_gmt.as_deref().filter(|_| may_have_left).map(at).transpose()?;
        let left_at = left_at.or((standing == Standing::Completed).then_some(updated_at));
        let mut parts = BTreeMap::<u64, Parts>::new();
        let mut refunded_at = None;
        for refund in refunds {
            let at = at(&refund.date_created_gmt)?;
            let is_after = left_at.is_some_and(|left_at| at > left_at);
            for line in &refund.line_items {
                let Some(of) = line.refunded() else { continue };
                let part = parts.entry(of).or_default();
                *(if is_after { &mut part.after } else { &mut part.before }) += line.quantity().abs();
                refunded_at = refunded_at.max(is_after.then_some(at));
            }
        }
        let is_unwanted = match standing {
            Standing::Unpaid | Standing::Failed | Standing::Cancelled => true,
            Standing::Refunded => left_at.is_none(),
            Standing::Open | Standing::Completed => false,
        };
        let mut lines = Vec::new();
        let (mut progress, mut is_reduced, mut has_come_back) = (Quantity::ZERO, false, false);
        for line in &self.line_items {
            let (ordered, reduced) = (line.quantity(), line.told(REDUCED));
            let restocked = line.told(RESTOCKED).unwrap_or_default();
            let part = parts.get(&line.id).copied().unwrap_or_default();
            is_reduced |= reduced.is_some() || restocked.is_positive();
            let undone =
                if is_unwanted { ordered - reduced.unwrap_or_default() } else { reduced.unwrap_or_default() };
            progress += undone + restocked + restocked + part.before + part.after;
            // What is no product any more is of no stock of ours.
            if line.product_id == 0 {
                continue;
            }
            let variation = Some(line.variation_id).filter(|id| *id > 0 && !shares_stock(*id));
            let wanted = if is_unwanted { ordered } else { (ordered - part.before).max(Quantity::ZERO) };
            let shipped = if left_at.is_some() { wanted } else { Quantity::ZERO };
            let returned = restocked.min(part.after).min(shipped);
            has_come_back |= returned.is_positive();
            let places = match reduced {
                Some(reduced) => vec![(STORE.to_owned(), reduced)],
                // It is being taken off, or nobody counts it.
                None if !is_unwanted && restocked.is_zero() => Vec::new(),
                // It was taken off, and has come back.
                None if standing == Standing::Cancelled && paid_at.is_some() => Vec::new(),
                None => vec![(STORE.to_owned(), Quantity::ZERO)],
            };
            lines.push(RemoteOrderLine {
                line: line.id.to_string(),
                listing: Stocked { product: line.product_id, variation }.to_string(),
                quantity: wanted,
                shipped,
                returned,
                withheld: if is_unwanted || left_at.is_some() {
                    Quantity::ZERO
                } else {
                    (part.before - restocked).max(Quantity::ZERO)
                },
                places,
            });
        }
        // Its times are of whole seconds, and several changes may come in one: how far it has come tells them apart.
        let rank = match standing {
            Standing::Unpaid => 0,
            Standing::Open if self.status == "on-hold" => 1,
            Standing::Open => 2,
            Standing::Failed => 3,
            Standing::Completed => 4,
            Standing::Refunded => 5,
            Standing::Cancelled => 6,
        };
        let progress = rank * 100_000 + progress.whole_units().clamp(0, 99_999);
        let version = updated_at.plus_micros(progress).micros().unsigned_abs();
        let moved_at = refunded_at.filter(|_| has_come_back).or(left_at).unwrap_or(updated_at);
        let order = RemoteOrder {
            document: self.id.to_string(),
            version,
            placed_at,
            updated_at,
            moved_at,
            history: false,
            cancelled: is_unwanted,
            lines,
            raw: Some(raw),
        };
        let is_one = matches!(standing, Standing::Open | Standing::Completed | Standing::Refunded);
        Ok(Told { order, standing, counts: is_one || is_reduced || paid_at.is_some(), paid_at })
    }
}

/// Whom an order is for, as it tells that.
#[derive(Deserialize)]
pub(in crate::woocommerce) struct ForWhom {
    billing: Option<Address>,
    shipping: Option<Address>,
}

#[derive(Clone, Deserialize, Default)]
#[serde(default)]
struct Address {
    first_name: Option<String>,
    last_name: Option<String>,
    company: Option<String>,
    address_1: Option<String>,
    address_2: Option<String>,
    city: Option<String>,
    state: Option<String>,
    postcode: Option<String>,
    country: Option<String>,
    email: Option<String>,
    phone: Option<String>,
}

impl ForWhom {
    /// Where it is shipped to, or where it is billed to where it says nothing else; none where it tells no address.
    pub fn into_recipient(self) -> Option<Recipient> {
        let told = |text: &Option<String>| text.clone().filter(|text| !text.trim().is_empty());
        let billing = self.billing.unwrap_or_default();
        let shipping = self.shipping.unwrap_or_default();
        let says = |address: &Address| told(&address.address_1).is_some() || told(&address.city).is_some();
        let to = if says(&shipping) { &shipping } else { &billing };
        let names = [told(&to.first_name), told(&to.last_name)];
        let name = names.into_iter().flatten().collect::<Vec<_>>().join(" ");
        let recipient = Recipient {
            name: told(&Some(name)),
            company: told(&to.company),
            address: [told(&to.address_1), told(&to.address_2)].into_iter().flatten().collect(),
            city: told(&to.city),
            region: told(&to.state),
            postal_code: told(&to.postcode),
            country: told(&to.country),
            phone: told(&to.phone).or_else(|| told(&billing.phone)),
            email: told(&to.email).or_else(|| told(&billing.email)),
        };
        says(to).then_some(recipient)
    }
}

/// An order that somebody else has sent something of.
#[derive(Deserialize)]
pub(in crate::woocommerce) struct ToShip {
    pub id: u64,
    pub status: String,
    #[serde(default)]
    pub line_items: Vec<Line>,
    #[serde(default)]
    pub refunds: Vec<IgnoredAny>,
    #[serde(default)]
    pub meta_data: Vec<Meta>,
}

/// A fulfilment (<https://developer.woocommerce.com/docs/apis/rest-api/v3/order-fulfillments/>).
#[derive(Deserialize)]
pub(in crate::woocommerce) struct Fulfillment {
    #[serde(default)]
    pub is_fulfilled: bool,
    pub date_deleted: Option<String>,
    #[serde(default)]
    pub meta_data: Vec<Meta>,
}

/// A fulfilment to be made.
#[derive(Serialize)]
pub(in crate::woocommerce) struct PutFulfillment {
    pub status: &'static str,
    pub is_fulfilled: bool,
    pub notify_customer: bool,
    pub meta_data: Vec<PutMeta>,
}

#[derive(Serialize)]
pub(in crate::woocommerce) struct PutMeta {
    pub key: &'static str,
    pub value: Value,
}

/// Some of a line, in a fulfilment.
#[derive(Serialize)]
pub(in crate::woocommerce) struct FulfilledItem {
    pub item_id: u64,
    pub qty: i64,
}

/// A note on an order (<https://developer.woocommerce.com/docs/apis/rest-api/v3/order-notes/>).
#[derive(Deserialize)]
pub(in crate::woocommerce) struct Note {
    pub note: String,
}

/// A note to be made: customers are told of one that is theirs.
#[derive(Serialize)]
pub(in crate::woocommerce) struct PutNote {
    pub note: String,
    pub customer_note: bool,
}

/// How an order shall stand from now on.
#[derive(Serialize)]
pub(in crate::woocommerce) struct PutOrder<'a, T> {
    pub meta_data: [super::KeptMeta<'a, T>; 1],
    #[serde(skip_serializing_if = "Option::is_none")]
    pub status: Option<&'static str>,
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    /// A line of 5 with what its metadata says, of an order in such a status; refunds of its line with their times.
    fn told(
        status: &str,
        reduced: Option<i64>,
        restocked: i64,
        completed: Option<&str>,
        refunds: &[(i64, &str)],
    ) -> Told {
        let mut meta = Vec::new();
        if let Some(reduced) = reduced {
            meta.push(json!({ "id": 1, "key": "_reduced_stock", "value": reduced.to_string() }));
        }
        if restocked > 0 {
            meta.push(json!({ "id": 2, "key": "_restock_refunded_items", "value": restocked }));
        }
        let order = json!({
            "id": 1044, "status": status, "date_created_gmt": "2026-03-01T10:00:00", "date_modified_gmt": "2026-03-01T10:05:00",
            "date_paid_gmt": null, "date_completed_gmt": completed,
            "line_items": [
                { "id": 7, "product_id": 12, "variation_id": 34, "quantity": 5, "meta_data": meta },
                { "id": 8, "product_id": 0, "variation_id": 0, "quantity": 1 },
            ],
        });
        let refunds = refunds.iter().map(|(quantity, at)| {
            let of = json!({ "id": 3, "key": "_refunded_item_id", "value": "7" });
            json!({ "id": 9, "date_created_gmt": at, "line_items": [{ "id": 10, "product_id": 12, "quantity": -quantity, "meta_data": [of] }] })
        });
        let refunds: Vec<Refund> = serde_json::from_value(refunds.collect()).unwrap();
        let order: Order = serde_json::from_value(order).unwrap();
        order.into_told(&refunds, |_| false, Raw::from(String::new())).unwrap()
    }

    #[test]
    fn an_order_says_what_is_wanted_what_left_and_what_its_number_fell_by() {
        let (before, after) = ("2026-03-01T10:01:00", "2026-03-01T10:04:00");
        let done = Some("2026-03-01T10:03:00");
        // Status, taken off, restocked, completed, refunds; cancelled, counts; wanted, shipped, returned, withheld; what its number fell by.
        for (status, reduced, restocked, completed, refunds, cancelled, counts, line, fell) in [
            ("pending", None, 0, None, vec![], true, false, (5, 0, 0, 0), Some(0)),
            ("checkout-draft", None, 0, None, vec![], true, false, (5, 0, 0, 0), Some(0)),
            // Its number falls by it in a moment.
            ("on-hold", None, 0, None, vec![], false, true, (5, 0, 0, 0), None),
            ("processing", Some(5), 0, None, vec![], false, true, (5, 0, 0, 0), Some(5)),
            ("wc-packed", Some(5), 0, None, vec![], false, true, (5, 0, 0, 0), Some(5)),
            ("processing", Some(3), 2, None, vec![(2, before)], false, true, (3, 0, 0, 0), Some(3)),
            ("processing", Some(5), 0, None, vec![(2, before)], false, true, (3, 0, 0, 2), Some(5)),
            ("processing", Some(0), 5, None, vec![(5, before)], false, true, (0, 0, 0, 0), Some(0)),
            ("completed", Some(5), 0, done, vec![], false, true, (5, 5, 0, 0), Some(5)),
            ("completed", Some(4), 1, done, vec![(1, after)], false, true, (5, 5, 1, 0), Some(4)),
            ("completed", Some(5), 0, done, vec![(1, after)], false, true, (5, 5, 0, 0), Some(5)),
            ("completed", Some(4), 1, done, vec![(1, before)], false, true, (4, 4, 0, 0), Some(4)),
            ("refunded", Some(5), 0, None, vec![], true, true, (5, 0, 0, 0), Some(5)),
            ("refunded", Some(0), 5, done, vec![(5, after)], false, true, (5, 5, 5, 0), Some(0)),
            ("failed", Some(5), 0, None, vec![], true, true, (5, 0, 0, 0), Some(5)),
            ("cancelled", None, 0, None, vec![], true, false, (5, 0, 0, 0), Some(0)),
            // Opened again after it was sent.
            ("processing", Some(5), 0, done, vec![], false, true, (5, 0, 0, 0), Some(5)),
        ] {
            let case = format!("{status} {reduced:?} {restocked} {completed:?} {refunds:?}");
            let found = told(status, reduced, restocked, completed, &refunds);
            let [found_line] = found.order.lines.as_slice() else { panic!("{case}") };
            assert_eq!((found.order.cancelled, found.counts), (cancelled, counts), "{case}");
            let units = Quantity::whole_units;
            let RemoteOrderLine { quantity, shipped, returned, withheld, .. } = *found_line;
            assert_eq!((units(quantity), units(shipped), units(returned), units(withheld)), line, "{case}");
            let places = fell.map(|fell| ("store".to_owned(), Quantity::units(fell)));
            assert_eq!(found_line.places, places.into_iter().collect::<Vec<_>>(), "{case}");
            assert_eq!(found_line.listing, "12:34");
        }
    }

    #[test]
    fn what_happens_within_a_second_is_told_apart() {
        let steps = [
            told("pending", None, 0, None, &[]),
            told("on-hold", None, 0, None, &[]),
            told("on-hold", Some(5), 0, None, &[]),
            told("processing", Some(5), 0, None, &[]),
            told("processing", Some(3), 2, None, &[(2, "2026-03-01T10:01:00")]),
            told("completed", Some(3), 2, Some("2026-03-01T10:03:00"), &[(2, "2026-03-01T10:01:00")]),
            told("cancelled", Some(5), 0, None, &[]),
            told("cancelled", None, 0, None, &[]),
        ];
        let versions: Vec<u64> = steps.iter().map(|told| told.order.version).collect();
        assert!(versions.is_sorted_by(|one, next| one < next), "{versions:?}");
        let second = 1_000_000;
        assert!(versions.iter().all(|version| version / second == versions[0] / second));
    }

    #[test]
    fn it_is_for_whom_it_is_shipped_to_or_billed_to() {
        let of = |json: Value| serde_json::from_value::<ForWhom>(json).unwrap().into_recipient();
        let billing = json!({ "first_name": "Ada", "last_name": "L", "address_1": "1 Mill Road", "address_2": "", "city": "Ely",
            "postcode": "CB7", "country": "GB", "email": "ada@example.com", "phone": "1" });
        let empty = json!({ "first_name": "", "last_name": "", "address_1": "", "city": "", "phone": "" });
        let found = of(json!({ "billing": billing, "shipping": empty })).unwrap();
        assert_eq!((found.name.as_deref(), found.city.as_deref()), (Some("Ada L"), Some("Ely")));
        let other = json!({ "first_name": "Bo", "last_name": "", "address_1": "2 High St", "city": "Ely" });
        let found = of(json!({ "billing": billing, "shipping": other })).unwrap();
        assert_eq!((found.name.as_deref(), found.email.as_deref()), (Some("Bo"), Some("ada@example.com")));
        assert_eq!(of(json!({ "billing": empty })), None);
    }
}
