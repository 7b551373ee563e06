//! What shall leave: orders that are promised stock where a system is master, and transfers that are kept some there.

use std::collections::BTreeMap;

use onhand_channels::outgoing::{Outgoing, OutgoingLine, Recipient};
use onhand_ledger::model::{Order, System};
use onhand_ledger::{Instant, ItemId, Key, LocationId, LotId, OrderId, SystemId, TransferId, Value};
use onhand_store::StoreError;
use onhand_sync::sent::{Days, Of, SentDocument, promised};

use super::supply::{ToldItem, told_item};
use super::{Outbound, Wanted, is_master, name_of, place_of};
use crate::commit::Ledger;
use crate::raw;
use crate::view::View;

/// What is promised to an order at each place of a system where that system is master.
pub(super) fn promised_at(
    view: &mut View<'_>,
    id: SystemId,
    system: &System,
    order: OrderId,
) -> Result<BTreeMap<LocationId, Wanted>, StoreError> {
    let Some(Value::Order(order)) = view.get(&Key::Order(order))? else { return Ok(BTreeMap::new()) };
    let sites = view.sites()?;
    let mut found = BTreeMap::new();
    for mapping in &system.locations {
        let mut failed = None;
        let lines = promised(&order, |item, location| {
            let is_there =
                place_of(&sites, system, location).is_some_and(|place| place.location == mapping.location);
            is_there
                && match is_master(view, id, item, location) {
                    Ok(is_master) => is_master,
                    Err(error) => {
                        failed = Some(error);
                        false
                    }
                }
        });
        match failed {
            Some(error) => return Err(error),
            None if lines.is_empty() => {}
            None => drop(found.insert(mapping.location, Wanted { lines, days: Days::new() })),
        }
    }
    Ok(found)
}

/// An order or a transfer in the words of whoever is sent it, with whom it goes to where that is known.
pub(super) fn outgoing(
    view: &mut View<'_>,
    ledger: &Ledger,
    id: SystemId,
    sent: &SentDocument,
    location: &str,
    cancelled: bool,
) -> Result<Option<Outbound>, StoreError> {
    let about = match sent.of {
        Of::Order(order) => of_order(view, ledger, order, cancelled)?,
        Of::Dispatch(transfer) => of_transfer(view, transfer)?,
        Of::Purchase(_) | Of::Arrival(_) | Of::Recount(_) | Of::Return(_) => None,
    };
    let Some((about, lots)) = about else { return Ok(None) };
    let (version, lines) = sent.newest();
    let mut told = Vec::new();
    for (item, quantity) in lines {
        let Some(known) = told_item(view, id, *item)? else { continue };
        let mut codes = Vec::new();
        for (_, lot) in lots.iter().filter(|(other, _)| other == item) {
            codes.extend(view.lot(*lot)?.map(|lot| lot.code));
        }
        let ToldItem { line, listing, sku, name } = known;
        told.push(OutgoingLine { line, listing, sku, name, quantity: *quantity, lots: codes });
    }
    let (document, location) = (name_of(sent), location.to_owned());
    Ok(Some(Outbound::Order(Box::new(Outgoing {
        document,
        version,
        location,
        cancelled,
        lines: told,
        ..about
    }))))
}

/// What is told of an order but its lines; and the lots that it names.
type About = Option<(Outgoing, Vec<(ItemId, LotId)>)>;

fn of_order(view: &mut View<'_>, ledger: &Ledger, id: OrderId, cancelled: bool) -> Result<About, StoreError> {
    let Some(Value::Order(order)) = view.get(&Key::Order(id))? else { return Ok(None) };
    let source = match order.system {
        SystemId::ONHAND => None,
        other => view.system(other)?,
    };
    // Who has nothing more to send needs no address.
    let recipient = if cancelled { None } else { recipient(view, ledger, &order, source.as_ref())? };
    let lots = order.lines.iter().filter_map(|line| Some((line.item, line.lot?))).collect();
    let about = Outgoing {
        order: order.document.clone(),
        order_system: source.map_or_else(|| "onhand".to_owned(), |source| source.name),
        placed_at: order.placed_at,
        ship_by: order.ship_by,
        ship_to: order.ship_to.clone(),
        recipient,
        ..blank()
    };
    Ok(Some((about, lots)))
}

fn of_transfer(view: &mut View<'_>, id: TransferId) -> Result<About, StoreError> {
    let Some(Value::Transfer(transfer)) = view.get(&Key::Transfer(id))? else { return Ok(None) };
    let lots =
        transfer.lines.iter().filter(|line| line.lot.0 != 0).map(|line| (line.item, line.lot)).collect();
    let about = Outgoing {
        order: transfer.reference.clone().unwrap_or_else(|| format!("transfer {id}")),
        order_system: "onhand".to_owned(),
        placed_at: transfer.made_at,
        transfer_to: view.location(transfer.to)?.map(|location| location.code),
        ..blank()
    };
    Ok(Some((about, lots)))
}

const fn blank() -> Outgoing {
    Outgoing {
        document: String::new(),
        version: 0,
        location: String::new(),
        order: String::new(),
        order_system: String::new(),
        placed_at: Instant::MIN,
        ship_by: None,
        ship_to: None,
        transfer_to: None,
        cancelled: false,
        lines: Vec::new(),
        recipient: None,
    }
}

/// Whom an order goes to, by its raw document.
fn recipient(
    view: &mut View<'_>,
    ledger: &Ledger,
    order: &Order,
    source: Option<&System>,
) -> Result<Option<Recipient>, StoreError> {
    let Some(source) = source else { return Ok(None) };
    let of = raw::Of { system: order.system, document: order.document.clone() };
    Ok(match raw::read(view, ledger, &of)? {
        Some(Ok(raw)) => Recipient::of(&source.kind, &raw),
        Some(Err(error)) => {
            tracing::warn!(%error, document = order.document, "whom an order goes to cannot be read; it is sent without");
            None
        }
        None => None,
    })
}
