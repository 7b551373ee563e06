//! What shall come in where a system is master: purchase orders and transfers that go there; and what shall be counted there.

use onhand_channels::expected::{AnnouncedLine, Announcement, Brings};
use onhand_channels::recount::{RecountLine, RecountRequest};
use onhand_ledger::model::{Cause, PurchaseLine};
use onhand_ledger::{
    Date, DiscrepancyId, ItemId, Key, LocationId, PurchaseId, Quantity, ReturnId, SystemId, TransferId, Value,
};
use onhand_store::StoreError;
use onhand_sync::sent::{Of, SentDocument};

use super::{Outbound, line_name, name_of};
use crate::view::View;

/// So much of an item at one of our locations.
pub(super) struct Part {
    pub location: LocationId,
    pub item: ItemId,
    pub quantity: Quantity,
    pub expected_on: Option<Date>,
}

/// What is still expected of a purchase order.
pub(super) fn open_of(view: &mut View<'_>, id: PurchaseId) -> Result<Vec<Part>, StoreError> {
    let Some(Value::Purchase(purchase)) = view.get(&Key::Purchase(id))? else { return Ok(Vec::new()) };
    let part = |line: &PurchaseLine| Part {
        location: purchase.location,
        item: line.item,
        quantity: purchase.open(line),
        expected_on: line.expected_on,
    };
    Ok(purchase.lines.iter().map(part).collect())
}

/// What of a transfer is on its way, or kept where it leaves from.
pub(super) fn coming_by(view: &mut View<'_>, id: TransferId) -> Result<Vec<Part>, StoreError> {
    let Some(Value::Transfer(transfer)) = view.get(&Key::Transfer(id))? else { return Ok(Vec::new()) };
    let mut parts = Vec::new();
    for line in &transfer.lines {
        let item = live(view, line.item)?;
        let (location, expected_on) = (transfer.to, transfer.expected_on);
        parts.push(Part { location, item, quantity: line.incoming(), expected_on });
    }
    Ok(parts)
}

/// What is kept for a transfer where it leaves from.
pub(super) fn kept_for(view: &mut View<'_>, id: TransferId) -> Result<Vec<Part>, StoreError> {
    let Some(Value::Transfer(transfer)) = view.get(&Key::Transfer(id))? else { return Ok(Vec::new()) };
    let mut parts = Vec::new();
    for line in &transfer.lines {
        let item = live(view, line.item)?;
        parts.push(Part { location: transfer.from, item, quantity: line.reserved, expected_on: None });
    }
    Ok(parts)
}

/// What of a return is still expected.
pub(super) fn coming_back(view: &mut View<'_>, id: ReturnId) -> Result<Vec<Part>, StoreError> {
    let Some(Value::Return(known)) = view.get(&Key::Return(id))? else { return Ok(Vec::new()) };
    let mut parts = Vec::new();
    for line in &known.lines {
        let item = live(view, line.item)?;
        let (location, expected_on) = (known.location, known.expected_on);
        parts.push(Part { location, item, quantity: known.open(line), expected_on });
    }
    Ok(parts)
}

/// What a request asks a system to count, while it stands.
pub(super) fn to_count(
    view: &mut View<'_>,
    id: SystemId,
    request: DiscrepancyId,
) -> Result<Vec<Part>, StoreError> {
    let Some(known) = view.discrepancy(request)? else { return Ok(Vec::new()) };
    let stands = known.cause == Cause::Recount && known.system == id && known.resolved_at.is_none();
    let part = |item, location| Part { location, item, quantity: Quantity::ONE, expected_on: None };
    Ok(known
        .item
        .zip(known.location)
        .filter(|_| stands)
        .map(|(item, at)| part(item, at))
        .into_iter()
        .collect())
}

/// The item that another is merged into, or itself.
fn live(view: &mut View<'_>, item: ItemId) -> Result<ItemId, StoreError> {
    let mut id = item;
    while let Some(into) = view.item(id)?.and_then(|known| known.merged_into) {
        id = into.item;
    }
    Ok(id)
}

/// An item in the words of whoever is told of it.
pub(super) struct ToldItem {
    pub line: String,
    pub listing: Option<String>,
    pub sku: String,
    pub name: String,
}

pub(super) fn told_item(
    view: &mut View<'_>,
    id: SystemId,
    item: ItemId,
) -> Result<Option<ToldItem>, StoreError> {
    let Some(known) = view.item(item)? else { return Ok(None) };
    let listings = view.listings_of(item)?.into_iter();
    let mut listings = listings.filter(|(_, listing)| listing.system == id && listing.multiplier == 1);
    let listing = listings.next().map(|(_, listing)| listing.remote_id);
    Ok(Some(ToldItem { line: line_name(item), listing, sku: known.sku, name: known.name }))
}

/// What shall come in, in the words of whoever is to expect it.
pub(super) fn announcement(
    view: &mut View<'_>,
    id: SystemId,
    sent: &SentDocument,
    location: &str,
    cancelled: bool,
) -> Result<Option<Outbound>, StoreError> {
    let (mut order, mut order_system) = (None, None);
    let (kind, reference, from) = match sent.of {
        Of::Purchase(purchase) => {
            let Some(Value::Purchase(known)) = view.get(&Key::Purchase(purchase))? else { return Ok(None) };
            let number = || format!("purchase order {purchase}");
            (Brings::Purchase, known.reference.clone().unwrap_or_else(number), Some(known.supplier.clone()))
        }
        Of::Arrival(transfer) => {
            let Some(Value::Transfer(known)) = view.get(&Key::Transfer(transfer))? else { return Ok(None) };
            let number = || format!("transfer {transfer}");
            let from = view.location(known.from)?.map(|location| location.code);
            (Brings::Transfer, known.reference.clone().unwrap_or_else(number), from)
        }
        Of::Return(id) => {
            let Some(Value::Return(known)) = view.get(&Key::Return(id))? else { return Ok(None) };
            let Some(Value::Order(found)) = view.get(&Key::Order(known.order))? else { return Ok(None) };
            let source = view.system(found.system)?;
            order = Some(found.document.clone());
            order_system = Some(source.map_or_else(|| "onhand".to_owned(), |source| source.name));
            let number = || format!("return {id}");
            (Brings::Return, known.reference.clone().unwrap_or_else(number), None)
        }
        Of::Order(_) | Of::Dispatch(_) | Of::Recount(_) => return Ok(None),
    };
    let (version, asked) = sent.newest();
    let mut lines = Vec::new();
    for (item, quantity) in asked {
        let Some(ToldItem { line, listing, sku, name }) = told_item(view, id, *item)? else { continue };
        let expected_on = sent.days.get(item).copied();
        lines.push(AnnouncedLine { line, listing, sku, name, quantity: *quantity, expected_on });
    }
    Ok(Some(Outbound::Receipt(Announcement {
        document: name_of(sent),
        version,
        location: location.to_owned(),
        kind,
        reference,
        from,
        order,
        order_system,
        expected_on: sent.days.values().min().copied(),
        cancelled,
        lines,
    })))
}

/// What shall be counted, in the words of whoever shall count it.
pub(super) fn request(
    view: &mut View<'_>,
    id: SystemId,
    sent: &SentDocument,
    location: &str,
    cancelled: bool,
) -> Result<Option<Outbound>, StoreError> {
    let Of::Recount(request) = sent.of else { return Ok(None) };
    let Some(known) = view.discrepancy(request)? else { return Ok(None) };
    let (version, asked) = sent.newest();
    let mut lines = Vec::new();
    for item in asked.keys() {
        let told = told_item(view, id, *item)?;
        lines.extend(told.map(|ToldItem { line, listing, sku, name }| RecountLine {
            line,
            listing,
            sku,
            name,
        }));
    }
    Ok(Some(Outbound::Recount(RecountRequest {
        document: name_of(sent),
        version,
        location: location.to_owned(),
        requested_at: known.opened_at,
        reason: known.evidence,
        cancelled,
        lines,
    })))
}
