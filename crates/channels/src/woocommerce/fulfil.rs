//! Marking goods as sent that somebody else sent.
//!
//! WooCommerce has fulfilments with carrier and number where that feature is turned on, which it is not by itself
//! (<https://developer.woocommerce.com/docs/apis/rest-api/v3/order-fulfillments/>). Where it is not, its customer is told in a note
//! (<https://developer.woocommerce.com/docs/apis/rest-api/v3/order-notes/>). An order is sent when its status is `completed`
//! (<https://woocommerce.com/document/managing-orders/order-statuses/>), which it is once all parcels that it was told of are all of it.
//!
//! Neither call can be told apart from a copy of it. So each parcel has a mark, made of its name, which is looked for first and written with it.

use std::collections::BTreeMap;

use onhand_ledger::Quantity;
use reqwest::Method;
use serde::de::IgnoredAny;
use serde_json::json;

use super::WooCommerce;
use super::session::Failed;
use super::wire::{self, Standing};
use crate::{ChannelError, Parcel, ParcelTold};

/// What of an order was told of so far, kept with it: for each mark, how much of each line.
const PARCELS: &str = "_onhand_parcels";
/// The mark of a fulfilment.
const PARCEL: &str = "_onhand_parcel";

type Parcels = BTreeMap<String, BTreeMap<String, Quantity>>;

/// What a parcel is known by: its order and its name.
fn mark(parcel: &Parcel) -> String {
    let named = format!("{}/{}", parcel.document, parcel.name);
    blake3::hash(named.as_bytes()).to_hex()[..12].to_owned()
}

/// What its customer reads.
fn sentence(parcel: &Parcel, mark: &str) -> String {
    let mut said = "Shipped".to_owned();
    if let Some(carrier) = &parcel.carrier {
        said += &format!(" with {carrier}");
    }
    if let Some(number) = &parcel.number {
        said += &format!(", tracking number {number}");
    }
    if let Some(url) = &parcel.url {
        said += &format!(": {url}");
    }
    format!("{said} (parcel {mark})")
}

fn refused(reason: impl Into<String>) -> ParcelTold {
    ParcelTold::Refused { reason: reason.into() }
}

impl WooCommerce {
    pub(super) async fn fulfil(&self, parcel: &Parcel) -> Result<ParcelTold, ChannelError> {
        let path = format!("/orders/{}", parcel.document);
        let fields = "id,status,line_items,refunds,meta_data".to_owned();
        let order: wire::ToShip = match self.session.try_get(&path, &[("_fields", fields)]).await {
            Ok(order) => order,
            Err(failed) if failed.is_missing() => return Ok(refused("it has no such order")),
            Err(failed) => return Err(self.session.failed(failed)),
        };
        if !matches!(Standing::of(&order.status), Standing::Open | Standing::Completed) {
            return Ok(refused(format!("the order is `{}` over there", order.status)));
        }
        let is_of_it = |id: &str| order.line_items.iter().any(|line| line.id.to_string() == id);
        if !parcel.lines.iter().any(|line| is_of_it(&line.line)) {
            return Ok(refused("nothing of these lines is in that order"));
        }
        let mark = mark(parcel);
        let kept = order.meta_data.iter().find(|meta| meta.key == PARCELS);
        let mut parcels: Parcels =
            kept.and_then(|meta| serde_json::from_value(meta.value.clone()).ok()).unwrap_or_default();
        if parcels.contains_key(&mark) {
            return Ok(ParcelTold::Told);
        }
        match self.tell(parcel, &path, &mark).await {
            Ok(()) => {}
            Err(Failed::Lost(reason)) => return Ok(ParcelTold::Unknown { reason }),
            Err(Failed::Refused(refusal)) => return Ok(refused(refusal.message)),
            Err(Failed::Other(error)) => return Err(error),
        }
        let lines = parcel.lines.iter().map(|line| (line.line.clone(), line.quantity));
        parcels.insert(mark, lines.collect());
        let refunds = if order.refunds.is_empty() { Vec::new() } else { self.refunds(order.id).await? };
        let refunded = wire::refunded(&refunds);
        let sent = |id: u64| -> Quantity {
            let lines = parcels.values().filter_map(|lines| lines.get(&id.to_string()));
            lines.copied().sum()
        };
        let is_all = order.line_items.iter().all(|line| {
            let wanted = line.quantity() - refunded.get(&line.id).copied().unwrap_or_default();
            line.product_id == 0 || sent(line.id) >= wanted
        });
        let is_open = Standing::of(&order.status) == Standing::Open;
        let put = wire::PutOrder {
            meta_data: [wire::KeptMeta { key: PARCELS, value: &parcels }],
            status: (is_all && is_open).then_some("completed"),
        };
        let done: Result<IgnoredAny, _> = self.session.change(Method::PUT, &path, &put).await;
        Ok(match done {
            Ok(_) => ParcelTold::Told,
            Err(Failed::Lost(reason)) => ParcelTold::Unknown { reason },
            Err(Failed::Refused(refusal)) => refused(refusal.message),
            Err(Failed::Other(error)) => return Err(error),
        })
    }

    /// Has a fulfilment made, or a note where there are none, unless there is one with that mark.
    async fn tell(&self, parcel: &Parcel, path: &str, mark: &str) -> Result<(), Failed> {
        let at = format!("{path}/fulfillments");
        let known: Vec<wire::Fulfillment> = match self.session.try_get(&at, &[]).await {
            Ok(known) => known,
            Err(failed) if failed.is_no_route() => return self.note(parcel, path, mark).await,
            Err(failed) => return Err(failed),
        };
        let says = |fulfillment: &wire::Fulfillment, key: &str, value: &str| {
            fulfillment.meta_data.iter().any(|meta| meta.key == key && meta.value.as_str() == Some(value))
        };
        let is_it = |one: &wire::Fulfillment| {
            let has_number =
                parcel.number.as_deref().is_some_and(|number| says(one, "_tracking_number", number));
            one.date_deleted.is_none() && one.is_fulfilled && (says(one, PARCEL, mark) || has_number)
        };
        if known.iter().any(is_it) {
            return Ok(());
        }
        let item = |line: &crate::ParcelLine| {
            Some(wire::FulfilledItem { item_id: line.line.parse().ok()?, qty: line.quantity.whole_units() })
        };
        let items: Vec<wire::FulfilledItem> = parcel.lines.iter().filter_map(item).collect();
        let mut meta_data = vec![
            wire::PutMeta { key: "_items", value: json!(items) },
            wire::PutMeta { key: PARCEL, value: json!(mark) },
        ];
        for (key, value) in [
            ("_tracking_number", &parcel.number),
            ("_shipment_provider", &parcel.carrier),
            ("_tracking_url", &parcel.url),
        ] {
            meta_data.extend(value.as_ref().map(|value| wire::PutMeta { key, value: json!(value) }));
        }
        let put = wire::PutFulfillment {
            status: "fulfilled",
            is_fulfilled: true,
            notify_customer: true,
            meta_data,
        };
        self.session.change::<IgnoredAny>(Method::POST, &at, &put).await.map(drop)
    }

    async fn note(&self, parcel: &Parcel, path: &str, mark: &str) -> Result<(), Failed> {
        let at = format!("{path}/notes");
        let known: Vec<wire::Note> = self.session.try_get(&at, &[("type", "customer".to_owned())]).await?;
        let named = format!("(parcel {mark})");
        if known.iter().any(|one| one.note.contains(&named)) {
            return Ok(());
        }
        let put = wire::PutNote { note: sentence(parcel, mark), customer_note: true };
        self.session.change::<IgnoredAny>(Method::POST, &at, &put).await.map(drop)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ParcelLine;

    #[test]
    fn a_parcel_is_known_by_its_name() {
        let parcel = |name: &str| Parcel {
            name: name.to_owned(),
            document: "1044".to_owned(),
            lines: vec![ParcelLine { line: "7".to_owned(), quantity: Quantity::units(1) }],
            carrier: Some("Post".to_owned()),
            number: Some("T1".to_owned()),
            url: None,
        };
        assert_eq!(mark(&parcel("A")), mark(&parcel("A")));
        assert_ne!(mark(&parcel("A")), mark(&parcel("B")));
        assert_eq!(sentence(&parcel("A"), "abc"), "Shipped with Post, tracking number T1 (parcel abc)");
    }
}
