//! What an order's lines are of, whatever their listings are linked to by now.
//!
//! Newer versions of an order name its lines as the first did. A listing that is linked to another item since, or has become a pack of
//! another number, makes another order of none that was taken before: what was sold stays what it was, and what has left does not come
//! back. So that nothing is kept of the many listings that are never linked otherwise, of a listing that is, it is kept once what it was of
//! before; and from then on of each line what it is of where that is something else. Of a pack it is kept of each line: whoever is told of a
//! parcel is told it in packs.

use crate::command::{Content, Name};
use crate::entry::Entry;
use crate::key::Key;
use crate::model::{Became, KnownDocument, OrderLine};
use crate::state::Value;
use crate::{ItemId, ListingId, OrderId, SystemId};

use super::super::merge;
use super::super::tx::{Stop, Tx};

/// An item, and the units of it in one of what is named.
type Meant = (ItemId, u32);

/// What each line of an order's document is of, or of a shipment's of an order, as far as that is settled already.
pub(super) fn settled(
    tx: &Tx<'_>,
    system: SystemId,
    content: &Content,
    known: Option<&KnownDocument>,
) -> Result<Vec<Option<Meant>>, Stop> {
    let order_of = |known: Option<&KnownDocument>| match known.map(|known| &known.became) {
        Some(Became::Order(order)) => Some(*order),
        _ => None,
    };
    let (order, lines): (_, Vec<(&Name, Option<&str>)>) = match content {
        Content::Order(content) => {
            let lines = content.lines.iter().map(|line| (&line.item, Some(line.line.as_str())));
            (order_of(known), lines.collect())
        }
        Content::Shipment(content) => {
            let owner = content.order_system.as_deref().map_or(Ok(system), |owner| tx.system_id(owner))?;
            let known = content.order.as_deref().map(|name| tx.known_document(owner, name)).transpose()?;
            (
                order_of(known.flatten().as_ref()),
                content.lines.iter().map(|line| (&line.item, None)).collect(),
            )
        }
        _ => return Ok(Vec::new()),
    };
    let names: Vec<&Name> = lines.iter().map(|(name, _)| *name).collect();
    want_first(tx, system, &names)?;
    let Some(order) = order else { return Ok(Vec::new()) };
    lines.into_iter().map(|(name, line)| of(tx, system, order, name, line)).collect()
}

/// What the order's line of that name is of, or any of its lines, that was told of by this listing.
fn of(
    tx: &Tx<'_>,
    system: SystemId,
    order: OrderId,
    name: &Name,
    line: Option<&str>,
) -> Result<Option<Meant>, Stop> {
    let Some((listing, first)) = linked_otherwise(tx, system, name)? else { return Ok(None) };
    let known = tx.order(order)?.lines.iter().enumerate();
    let known = known.filter(|(_, known)| line.is_none_or(|line| known.line == line));
    for (index, OrderLine { item, .. }) in known {
        let index = u32::try_from(index).expect("orders have fewer than 2^32 lines");
        let kept = meant(tx, Key::Meant(order, index, listing))?;
        let (was, units) = kept.unwrap_or(first);
        if merge::live(tx, was)? == merge::live(tx, *item)? {
            return Ok(Some((merge::live(tx, was)?, units)));
        }
    }
    Ok(None)
}

/// The listing of a name that was linked otherwise before, and what it was of first.
fn linked_otherwise(tx: &Tx<'_>, system: SystemId, name: &Name) -> Result<Option<(ListingId, Meant)>, Stop> {
    let Some(listing) = listing_of(tx, system, name)? else { return Ok(None) };
    Ok(meant(tx, Key::Meant(OrderId(0), 0, listing))?.map(|first| (listing, first)))
}

fn listing_of(tx: &Tx<'_>, system: SystemId, name: &Name) -> Result<Option<ListingId>, Stop> {
    match name {
        Name::Listing(remote_id) => tx.listing_id(system, remote_id),
        Name::Sku(_) => Ok(None),
    }
}

/// What listings were of first is fetched together.
fn want_first(tx: &Tx<'_>, system: SystemId, names: &[&Name]) -> Result<(), Stop> {
    let listings = names.iter().map(|name| listing_of(tx, system, name));
    let listings: Vec<Option<ListingId>> = listings.collect::<Result<_, Stop>>()?;
    tx.want(listings.into_iter().flatten().map(|listing| Key::Meant(OrderId(0), 0, listing)))
}

fn meant(tx: &Tx<'_>, key: Key) -> Result<Option<Meant>, Stop> {
    Ok(match tx.value(&key)? {
        Some(Value::Meant(item, units)) => Some((*item, *units)),
        _ => None,
    })
}

/// These lines are told of by those names: each stays of what it is of now.
pub(super) fn keep(
    tx: &mut Tx<'_>,
    system: SystemId,
    order: OrderId,
    lines: &[(u32, &Name, Meant)],
) -> Result<(), Stop> {
    let mut doubtful = Vec::new();
    for (line, name, now) in lines {
        let Some(listing) = listing_of(tx, system, name)? else { continue };
        let first = meant(tx, Key::Meant(OrderId(0), 0, listing))?;
        // Of what was never linked otherwise, and is no pack, nothing is kept.
        if first.is_some() || now.1 != 1 {
            doubtful.push((Key::Meant(order, *line, listing), listing, *line, first, *now));
        }
    }
    tx.want(doubtful.iter().map(|(key, ..)| key.clone()))?;
    for (key, listing, line, first, (item, units)) in doubtful {
        let is_kept = match meant(tx, key)?.or(first) {
            Some((kept, of)) => (merge::live(tx, kept)?, of) == (item, units),
            None => units == 1,
        };
        if !is_kept {
            tx.emit(Entry::Meant { listing, line: Some((order, line)), item, units })?;
        }
    }
    Ok(())
}
