//! Marking goods as sent that somebody else sent: a fulfilment, which takes them off `stocked_quantity` and `reserved_quantity`, and a shipment of it
//! (<https://docs.medusajs.com/api/admin/orders/create-fulfillment>).
//!
//! A fulfilment is made where its goods are reserved: at any other location Medusa counts them off the wrong one
//! (<https://github.com/medusajs/medusa/issues/16338>). What needs shipping and what does not are never in one. Each part of a parcel has a mark, which is kept with its fulfilment and looked for
//! first: neither call can be told apart from a copy of it.

use std::collections::BTreeMap;

use onhand_ledger::Quantity;
use serde::de::IgnoredAny;

use super::session::Failed;
use super::{Medusa, wire};
use crate::{ChannelError, Parcel, ParcelTold};

/// The mark of a part of a parcel.
const MARK: &str = "onhand_parcel";
/// Who carries it: there is no other place for that.
const CARRIER: &str = "carrier";

/// Of what goes out together, each line and how much of it: by location, and whether it needs shipping.
type Parts = BTreeMap<(Option<String>, bool), Vec<wire::OfLine>>;

fn refused(reason: impl Into<String>) -> ParcelTold {
    ParcelTold::Refused { reason: reason.into() }
}

/// What a part of a parcel is known by.
fn mark(parcel: &Parcel, part: usize) -> String {
    let named = format!("{}/{}", parcel.document, parcel.name);
    format!("{}-{part}", &blake3::hash(named.as_bytes()).to_hex()[..12])
}

impl Medusa {
    pub(super) async fn fulfil(&self, parcel: &Parcel) -> Result<ParcelTold, ChannelError> {
        let path = format!("/orders/{}", parcel.document);
        let fields = [("fields", wire::TO_SHIP_FIELDS.to_owned())];
        let order: wire::ToShip = match self.session.try_get::<wire::OneOrder<_>>(&path, &fields).await {
            Ok(found) => found.order,
            Err(failed) if failed.is_missing() => return Ok(refused("it has no such order")),
            Err(failed) => return Err(self.session.failed(failed)),
        };
        if order.status == wire::CANCELED {
            return Ok(refused("the order is cancelled over there"));
        }
        // Somebody else told of it already. Of ours each part is looked for by its mark.
        let is_known =
            |one: &wire::Parcelled| one.mark().is_none() && one.has_left() && one.has_number(parcel);
        if order.fulfillments.iter().any(is_known) {
            return Ok(ParcelTold::Told);
        }
        let wanted = wanted(parcel, &order);
        if wanted.is_empty() {
            return Ok(refused("nothing of these lines is in that order"));
        }
        // Somebody packed just that over there already: it is sent.
        let packed = order.fulfillments.iter().find(|one| one.is_packed() && one.holds(&wanted, &order));
        if let Some(packed) = packed.filter(|packed| packed.mark().is_none()) {
            return self.ship(&path, &packed.id, &wanted, parcel).await;
        }
        for (number, ((location, _), lines)) in self.parts(wanted, &order).await?.into_iter().enumerate() {
            let mark = mark(parcel, number);
            let known = order.fulfillments.iter().find(|one| one.is_live() && one.mark() == Some(&mark));
            let id = match known {
                Some(known) if known.has_left() => continue,
                Some(known) => known.id.clone(),
                None => match self.pack(&path, &lines, location.as_deref(), &mark, parcel).await? {
                    Ok(id) => id,
                    Err(told) => return Ok(told),
                },
            };
            let told = self.ship(&path, &id, &lines, parcel).await?;
            if told != ParcelTold::Told {
                return Ok(told);
            }
        }
        Ok(ParcelTold::Told)
    }

    /// These lines by where they are reserved, and whether they need shipping.
    async fn parts(&self, wanted: Vec<wire::OfLine>, order: &wire::ToShip) -> Result<Parts, ChannelError> {
        let ids: Vec<String> = wanted.iter().map(|line| line.id.clone()).collect();
        let reserved = self.reservations(&ids).await?;
        let mut parts = Parts::new();
        for line in wanted {
            let at = reserved.iter().find(|one| one.line_item_id.as_ref() == Some(&line.id));
            let needs = order.items.iter().any(|item| item.id == line.id && item.requires_shipping);
            parts.entry((at.map(|one| one.location_id.clone()), needs)).or_default().push(line);
        }
        Ok(parts)
    }

    /// Has a fulfilment made: its id, or why there is none.
    async fn pack(
        &self,
        path: &str,
        items: &[wire::OfLine],
        location_id: Option<&str>,
        mark: &str,
        parcel: &Parcel,
    ) -> Result<Result<String, ParcelTold>, ChannelError> {
        let mut metadata = BTreeMap::from([(MARK, mark)]);
        metadata.extend(parcel.carrier.as_deref().map(|carrier| (CARRIER, carrier)));
        let fulfil = wire::Fulfil { items, location_id, metadata };
        if let Some(told) = not_done(self.session.change(&format!("{path}/fulfillments"), &fulfil).await)? {
            return Ok(Err(told));
        }
        let fields = [("fields", wire::TO_SHIP_FIELDS.to_owned())];
        let order: wire::OneOrder<wire::ToShip> = self.session.get(path, &fields).await?;
        let made = order.order.fulfillments.into_iter().find(|one| one.is_live() && one.mark() == Some(mark));
        let lost = || ParcelTold::Unknown { reason: "it says nothing of what was packed".to_owned() };
        Ok(made.map(|made| made.id).ok_or_else(lost))
    }

    async fn ship(
        &self,
        path: &str,
        id: &str,
        items: &[wire::OfLine],
        parcel: &Parcel,
    ) -> Result<ParcelTold, ChannelError> {
        let label = wire::Label {
            tracking_number: parcel.number.as_deref().unwrap_or_default(),
            tracking_url: parcel.url.as_deref().unwrap_or_default(),
            label_url: "",
        };
        let is_said = parcel.number.is_some() || parcel.url.is_some();
        let ship = wire::Ship { items, labels: is_said.then_some(label).into_iter().collect() };
        let done = self.session.change(&format!("{path}/fulfillments/{id}/shipments"), &ship).await;
        Ok(not_done(done)?.unwrap_or(ParcelTold::Told))
    }
}

/// What a call that changes something came to, where that is not what was asked.
fn not_done(done: Result<IgnoredAny, Failed>) -> Result<Option<ParcelTold>, ChannelError> {
    match done {
        Ok(_) => Ok(None),
        Err(Failed::Lost(reason)) => Ok(Some(ParcelTold::Unknown { reason })),
        Err(Failed::Refused(refusal)) => Ok(Some(refused(refusal.message))),
        Err(Failed::Other(error)) => Err(error),
    }
}

/// What of an order's lines is in a parcel. Of a line of several inventory items as many as can be made of what was sent of each.
fn wanted(parcel: &Parcel, order: &wire::ToShip) -> Vec<wire::OfLine> {
    let mut of = BTreeMap::<&str, Quantity>::new();
    for sent in &parcel.lines {
        let (id, item) = wire::parted(&sent.line);
        let Some(line) = order.items.iter().find(|line| line.id == id) else { continue };
        let needed = line.required(item);
        let whole = Quantity::from_micros(sent.quantity.micros() / needed.max(1));
        of.entry(&line.id).and_modify(|known| *known = whole.min(*known)).or_insert(whole);
    }
    let lines = of.into_iter().filter(|(_, quantity)| quantity.is_positive());
    lines.map(|(id, quantity)| wire::OfLine { id: id.to_owned(), quantity: wire::Amount(quantity) }).collect()
}

impl wire::ToShipLine {
    /// How many of an inventory item one of it needs; of its only one where none is named.
    fn required(&self, item: Option<&str>) -> i64 {
        let mut needed = self.variant.iter().flat_map(|variant| &variant.inventory_items);
        let found = needed.find(|one| item.is_none_or(|item| one.inventory_item_id == item));
        found.map_or(1, |one| one.required_quantity)
    }
}

impl wire::Parcelled {
    fn is_live(&self) -> bool {
        self.canceled_at.is_none()
    }

    fn has_left(&self) -> bool {
        self.is_live() && (self.shipped_at.is_some() || self.delivered_at.is_some())
    }

    fn is_packed(&self) -> bool {
        self.is_live() && !self.has_left()
    }

    fn mark(&self) -> Option<&str> {
        self.metadata.as_ref()?.get(MARK)?.as_str()
    }

    fn has_number(&self, parcel: &Parcel) -> bool {
        parcel
            .number
            .as_ref()
            .is_some_and(|number| self.labels.iter().any(|one| one.tracking_number == *number))
    }

    /// Is it these lines, and nothing else?
    fn holds(&self, wanted: &[wire::OfLine], order: &wire::ToShip) -> bool {
        let mut packed = BTreeMap::<&str, Quantity>::new();
        for held in &self.items {
            let id = held.line_item_id.as_deref().unwrap_or_default();
            let line = order.items.iter().find(|line| line.id == id);
            let needed = line.map_or(1, |line| line.required(held.inventory_item_id.as_deref()));
            packed.insert(id, Quantity::from_micros(held.quantity().micros() / needed.max(1)));
        }
        let wanted: BTreeMap<&str, Quantity> =
            wanted.iter().map(|line| (line.id.as_str(), line.quantity.0)).collect();
        packed == wanted
    }
}
