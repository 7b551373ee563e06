//! Marking goods of its own orders as sent that somebody else sent: a manual shipment with carrier and tracking number
//! (<https://skulabs.mintlify.app/api-docs/order/add-manual-shipment>).
//!
//! A shipment is known by its tracking number; one that has none is given the mark that its parcel's name makes. It is looked for before it is made.
//! It is asked to deduct: goods that left are on no shelf over there either, and a number that is lower than it should be is put right by the next push,
//! where one that is higher would be sold.

use onhand_ledger::Quantity;
use reqwest::Method;

use super::SkuLabs;
use super::session::Failed;
use super::wire::{self, Named, Shipment};
use crate::{ChannelError, Parcel, ParcelTold};

fn mark(parcel: &Parcel) -> String {
    let named = format!("{}/{}", parcel.document, parcel.name);
    format!("ONHAND-{}", &blake3::hash(named.as_bytes()).to_hex()[..12])
}

fn refused(reason: impl Into<String>) -> ParcelTold {
    ParcelTold::Refused { reason: reason.into() }
}

impl SkuLabs {
    pub(super) async fn fulfil(&self, parcel: &Parcel) -> Result<ParcelTold, ChannelError> {
        let no_order = || Ok(refused("it has no such order"));
        let Some(named) = Named::of(&parcel.document) else { return no_order() };
        let Some(order) = self.one(&named).await? else { return no_order() };
        let mark = mark(parcel);
        let number = parcel.number.as_deref().filter(|number| !number.is_empty()).unwrap_or(&mark);
        let is_it = |one: &&Shipment| one.has_left() && one.tracking_number() == Some(number);
        if order.shipments.iter().any(|one| is_it(&one)) {
            return Ok(ParcelTold::Told);
        }
        if !order.is_open() {
            return Ok(refused(format!("the order is `{}` over there", order.status)));
        }
        let knows = self.knowledge(std::iter::once(&order)).await?;
        let read = order.read(&knows);
        let of_it = |line: &crate::ParcelLine| {
            let known = read.lines.iter().find(|known| known.line == line.line)?;
            Some((known, line.quantity))
        };
        let lines: Vec<(&wire::Line, Quantity)> = parcel.lines.iter().filter_map(of_it).collect();
        let Some((first, _)) = lines.first() else {
            return Ok(refused("nothing of these lines is in that order"));
        };
        let packed = lines.iter().map(|(line, quantity)| wire::PutPacked {
            item_id: line.listing.clone(),
            quantity: quantity.whole_units(),
        });
        let put = wire::PutShipment {
            order: &named,
            carrier: parcel.carrier.as_deref().unwrap_or("other"),
            tracking_number: number,
            order_items: packed.collect(),
            warehouse_id: &first.place,
            notes: format!("shipped elsewhere, told by Onhand (parcel {mark})"),
            force_deduction: true,
        };
        match self.session.change(Method::POST, "/order/add_manual_shipment", &put).await {
            Ok(()) => Ok(ParcelTold::Told),
            Err(Failed::Lost(reason)) => Ok(ParcelTold::Unknown { reason }),
            Err(Failed::Refused(reason)) => Ok(refused(reason)),
            Err(Failed::Other(error)) => Err(error),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_parcel_without_a_number_is_known_by_its_name() {
        let parcel = |name: &str| Parcel {
            name: name.to_owned(),
            document: "s:1044".to_owned(),
            lines: Vec::new(),
            carrier: None,
            number: None,
            url: None,
        };
        assert_eq!(mark(&parcel("A")), mark(&parcel("A")));
        assert_ne!(mark(&parcel("A")), mark(&parcel("B")));
    }
}
