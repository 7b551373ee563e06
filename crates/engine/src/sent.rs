//! Orders that are sent to the systems which ship them: where each was sent, what was answered, and what is to be sent now.
//!
//! What is kept of a document is a note, as what listings show is: it decides no quantity. What its answers decide (that something
//! has left, or never will) is the ledger's, by documents of its own, and what is to be sent follows from the ledger: a note
//! that is lost or late costs a copy, which does no harm.

use std::collections::BTreeMap;

use onhand_channels::outgoing::{Outgoing, OutgoingLine, Recipient};
use onhand_ledger::model::{Became, GetsOrders, Holder, LocationMapping, Order, Sites, System};
use onhand_ledger::{Instant, ItemId, Key, LocationId, LotId, OrderId, Quantity, SystemId, Value};
use onhand_store::{Note, StoreError};
use onhand_sync::sent::{Lines, Next, Parcel, Reply, SentOrder, Stands, next, promised};

use crate::commit::Ledger;
use crate::raw;
use crate::view::View;

/// So many notes or promises are read at a time.
const PAGE: usize = 1_000;

/// The name of a document: of an order, to a place, the how-many-eth.
pub fn name(order: OrderId, location: LocationId, number: u32) -> String {
    match number {
        1 => format!("onhand-{order}-{location}"),
        later => format!("onhand-{order}-{location}-{later}"),
    }
}

/// The name in a document of the line of an item.
pub fn line_name(item: ItemId) -> String {
    item.to_string()
}

/// The item that a line is of.
pub fn item_of_line(line: &str) -> Option<ItemId> {
    line.parse().ok().map(ItemId)
}

/// The notes that documents are kept in that were sent to a system, by their names.
pub fn sent_space(system: SystemId) -> String {
    format!("sent:{system}")
}

/// The notes that name the documents that are not over.
fn open_space(system: SystemId) -> String {
    format!("sent_open:{system}")
}

/// The notes that keep a document as it is now.
pub(crate) fn notes(system: SystemId, sent: &SentOrder) -> [Note; 2] {
    let key = name(sent.order, sent.location, sent.number);
    let body = serde_json::to_string(sent).expect("what was sent can always be written");
    let open = (!sent.is_over()).then(|| sent.order.to_string());
    [
        Note { space: sent_space(system), key: key.clone(), body: Some(body) },
        Note { space: open_space(system), key, body: open },
    ]
}

fn parsed(space: &str, key: &str, body: &str) -> Result<SentOrder, StoreError> {
    serde_json::from_str(body).map_err(|error| StoreError::Damaged(format!("note {space}/{key}: {error}")))
}

/// A document that was sent to a system.
pub fn sent(view: &mut View<'_>, system: SystemId, name: &str) -> Result<Option<SentOrder>, StoreError> {
    let space = sent_space(system);
    view.note(&space, name)?.map(|body| parsed(&space, name, &body)).transpose()
}

/// The documents of an order that were sent to a system, each with its name.
pub fn of_order(
    view: &mut View<'_>,
    system: SystemId,
    order: OrderId,
) -> Result<Vec<(String, SentOrder)>, StoreError> {
    let (space, prefix) = (sent_space(system), format!("onhand-{order}-"));
    let (mut after, mut found) = (prefix.clone(), Vec::new());
    loop {
        let page = view.notes(&space, Some(&after), 20)?;
        let Some((last, _)) = page.last() else { return Ok(found) };
        after.clone_from(last);
        for (key, body) in &page {
            if !key.starts_with(&prefix) {
                return Ok(found);
            }
            found.push((key.clone(), parsed(&space, key, body)?));
        }
    }
}

/// The orders of the documents that are not over at a system.
pub(crate) fn open_orders(view: &mut View<'_>, system: SystemId) -> Result<Vec<OrderId>, StoreError> {
    let (space, mut after, mut found) = (open_space(system), None::<String>, Vec::new());
    loop {
        let page = view.notes(&space, after.as_deref(), PAGE)?;
        let Some((last, _)) = page.last() else { return Ok(found) };
        after = Some(last.clone());
        found.extend(page.iter().filter_map(|(_, body)| body.parse().ok().map(OrderId)));
    }
}

/// The documents that are not over at a system.
pub(crate) fn open_documents(view: &mut View<'_>, system: SystemId) -> Result<Vec<SentOrder>, StoreError> {
    let (space, mut after, mut found) = (open_space(system), None::<String>, Vec::new());
    loop {
        let page = view.notes(&space, after.as_deref(), PAGE)?;
        let Some((last, _)) = page.last() else { return Ok(found) };
        after = Some(last.clone());
        for (key, _) in &page {
            found.extend(sent(view, system, key)?);
        }
    }
}

/// The orders that something is promised to where a system has one of its places.
pub(crate) fn promised_orders(
    view: &mut View<'_>,
    system: &System,
    only: Option<ItemId>,
) -> Result<Vec<OrderId>, StoreError> {
    let sites = view.sites()?;
    let (first, last) = only.map_or((0, u64::MAX >> 1), |item| (item.0, item.0 + 1));
    let last = Key::Promise(ItemId(last), LocationId(0), 0, 0, LotId(0));
    let mut from = Key::Promise(ItemId(first), LocationId(0), 0, 0, LotId(0));
    let mut found = Vec::new();
    loop {
        let page = view.range(&from, &last, false, PAGE)?;
        for (key, value) in &page {
            if let (Key::Promise(_, location, ..), Value::Promise(promise)) = (key, value)
                && let Holder::Order(order) = promise.holder
                && place_of(&sites, system, *location).is_some()
            {
                found.push(order);
            }
        }
        match page.last() {
            Some((Key::Promise(item, location, holder, line, lot), _)) if page.len() == PAGE => {
                from = Key::Promise(*item, *location, *holder, *line, LotId(lot.0 + 1));
            }
            _ => break,
        }
    }
    found.sort_unstable();
    found.dedup();
    Ok(found)
}

/// The place of a system that a location of ours is, or is somewhere inside of: the innermost.
pub fn place_of<'s>(sites: &Sites, system: &'s System, location: LocationId) -> Option<&'s LocationMapping> {
    let of = |around: LocationId| system.locations.iter().find(|mapping| mapping.location == around);
    sites.above(location).into_iter().find_map(of)
}

/// What has left of a document by our books: what its parcels moved, each a document of its own.
fn left(view: &mut View<'_>, system: SystemId, name: &str) -> Result<Lines, StoreError> {
    let mut left = Lines::new();
    // What comes right after a `/` is a `0`.
    let mut from = Key::Document(system, format!("{name}/"));
    let to = Key::Document(system, format!("{name}0"));
    loop {
        let page = view.range(&from, &to, false, PAGE)?;
        for (key, value) in &page {
            let (Key::Document(_, document), Value::Document(known)) = (key, value) else { continue };
            let Became::Shipment(lines) = &known.became else { continue };
            for line in lines.iter().filter(|_| document.starts_with(&format!("{name}/"))) {
                *left.entry(line.item).or_default() -= line.moved;
            }
        }
        match page.last() {
            Some((Key::Document(_, document), _)) if page.len() == PAGE => {
                from = Key::Document(system, format!("{document}\u{0}"));
            }
            _ => return Ok(left),
        }
    }
}

/// A document that is to be sent, and what is kept of it from then on.
#[derive(Clone, Debug)]
pub(crate) struct Due {
    pub sent: SentOrder,
    pub outgoing: Outgoing,
}

/// What is to be sent of an order to a system now; and when to look again, where something waits for an answer.
pub(crate) fn due(
    view: &mut View<'_>,
    ledger: &Ledger,
    id: SystemId,
    system: &System,
    order_id: OrderId,
) -> Result<(Vec<Due>, Option<Instant>), StoreError> {
    let Some(Value::Order(order)) = view.get(&Key::Order(order_id))? else { return Ok((Vec::new(), None)) };
    let mut places = BTreeMap::<LocationId, (Lines, Option<SentOrder>)>::new();
    if system.gets_orders == GetsOrders::FromOnhand {
        for (location, lines) in promised_at(view, id, system, &order)? {
            places.entry(location).or_default().0 = lines;
        }
    }
    for (_, sent) in of_order(view, id, order_id)? {
        let newest = &mut places.entry(sent.location).or_default().1;
        if newest.as_ref().is_none_or(|other| other.number < sent.number) {
            *newest = Some(sent);
        }
    }
    let (mut due, mut again) = (Vec::new(), None::<Instant>);
    for (location, (promised, sent)) in places {
        let left = match &sent {
            Some(sent) => left(view, id, &name(order_id, location, sent.number))?,
            None => Lines::new(),
        };
        match next(sent.as_ref(), &promised, &left, view.seq(), view.now) {
            Next::Nothing => {}
            Next::Wait(at) => again = Some(again.map_or(at, |other| other.min(at))),
            Next::Send { number, version, lines } => {
                let remote = system.locations.iter().find(|mapping| mapping.location == location);
                // A place that is no longer one of the system's has nobody to be told under which name.
                let Some(remote) = remote else { continue };
                let is_cancelled = lines
                    .iter()
                    .all(|(item, quantity)| *quantity <= left.get(item).copied().unwrap_or_default());
                let mut kept = match sent {
                    Some(mut sent) if sent.number == number => {
                        sent.send(version, lines.clone(), view.now);
                        sent
                    }
                    _ => SentOrder {
                        order: order_id,
                        location,
                        number,
                        versions: vec![(version, lines.clone())],
                        received: 0,
                        sent_at: view.now,
                        tries: 1,
                        trouble: None,
                        reply: None,
                    },
                };
                kept.trouble = None;
                let outgoing = outgoing(view, ledger, id, &order, &kept, &remote.remote_id, is_cancelled)?;
                due.push(Due { sent: kept, outgoing });
            }
        }
    }
    Ok((due, again))
}

/// What is promised to an order at each place of a system where that system is master.
fn promised_at(
    view: &mut View<'_>,
    id: SystemId,
    system: &System,
    order: &Order,
) -> Result<BTreeMap<LocationId, Lines>, StoreError> {
    let sites = view.sites()?;
    let mut found = BTreeMap::new();
    for mapping in &system.locations {
        let mut failed = None;
        let lines = promised(order, |item, location| {
            let is_there =
                place_of(&sites, system, location).is_some_and(|place| place.location == mapping.location);
            is_there
                && match view.ownership_of(item, location) {
                    Ok(rule) => rule.is_some_and(|(_, rule)| rule.master == id),
                    Err(error) => {
                        failed = Some(error);
                        false
                    }
                }
        });
        match failed {
            Some(error) => return Err(error),
            None if lines.is_empty() => {}
            None => drop(found.insert(mapping.location, lines)),
        }
    }
    Ok(found)
}

/// A document in the words of whoever is sent it, with whom it goes to where that is known.
fn outgoing(
    view: &mut View<'_>,
    ledger: &Ledger,
    id: SystemId,
    order: &Order,
    sent: &SentOrder,
    location: &str,
    cancelled: bool,
) -> Result<Outgoing, StoreError> {
    let (version, lines) = sent.newest();
    let mut told = Vec::new();
    for (item, quantity) in lines {
        let Some(known) = view.item(*item)? else { continue };
        let listings = view.listings_of(*item)?.into_iter();
        let mut listings = listings.filter(|(_, listing)| listing.system == id && listing.multiplier == 1);
        let mut lots = Vec::new();
        for lot in order.lines.iter().filter(|line| line.item == *item).filter_map(|line| line.lot) {
            lots.extend(view.lot(lot)?.map(|lot| lot.code));
        }
        told.push(OutgoingLine {
            line: line_name(*item),
            listing: listings.next().map(|(_, listing)| listing.remote_id),
            sku: known.sku,
            name: known.name,
            quantity: *quantity,
            lots,
        });
    }
    let source = match order.system {
        SystemId::ONHAND => None,
        other => view.system(other)?,
    };
    // Who has nothing more to send needs no address.
    let recipient = if cancelled { None } else { recipient(view, ledger, order, source.as_ref())? };
    Ok(Outgoing {
        document: name(sent.order, sent.location, sent.number),
        version,
        location: location.to_owned(),
        order: order.document.clone(),
        order_system: source.map_or_else(|| "onhand".to_owned(), |source| source.name),
        placed_at: order.placed_at,
        ship_by: order.ship_by,
        ship_to: order.ship_to.clone(),
        cancelled,
        lines: told,
        recipient,
    })
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

// ---- what people read ------------------------------------------------------------------------------------------

/// A document that was sent, as people read it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Shown {
    /// To which system.
    pub system: String,
    /// Its name.
    pub document: String,
    /// Our code of the location it leaves from.
    pub location: String,
    /// The newest version that was sent.
    pub version: u64,
    /// When that was sent last.
    pub sent_at: Instant,
    /// How it stands.
    pub stands: Stands,
    /// The newest version has not been answered, or not arrived: an amendment or a cancellation is on its way.
    pub is_pending: bool,
    /// Why the last try failed.
    pub trouble: Option<String>,
    /// What the system says for itself.
    pub reason: Option<String>,
    /// When it last changed over there.
    pub answered_at: Option<Instant>,
    /// What was asked for.
    pub lines: Vec<ShownLine>,
    /// What has left.
    pub parcels: Vec<(Parcel, Vec<(String, Quantity)>)>,
}

/// A line of it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ShownLine {
    /// Of what.
    pub sku: String,
    /// How much shall leave in all.
    pub asked: Quantity,
    /// How much has left by the system's word.
    pub shipped: Quantity,
    /// How much of what it was asked for it will not ship.
    pub declined: Quantity,
}

/// What was sent of an order, to whichever system.
pub fn shown_of(view: &mut View<'_>, order: OrderId) -> Result<Vec<Shown>, StoreError> {
    let mut all = Vec::new();
    for (id, system) in view.systems()? {
        for (document, sent) in of_order(view, id, order)? {
            all.push(shown(view, &system, document, &sent)?);
        }
    }
    all.sort_by_key(|shown| shown.sent_at);
    Ok(all)
}

fn shown(
    view: &mut View<'_>,
    system: &System,
    document: String,
    sent: &SentOrder,
) -> Result<Shown, StoreError> {
    let (version, asked) = sent.newest();
    let reply = sent.reply.as_ref();
    let left = reply.map(Reply::left).unwrap_or_default();
    let declined = reply.map(|reply| sent.declined(reply)).unwrap_or_default();
    let mut sku = |item: ItemId| -> Result<String, StoreError> {
        Ok(view.item(item)?.map_or_else(|| line_name(item), |item| item.sku))
    };
    let mut lines = Vec::new();
    for (item, asked) in asked {
        let of_it = declined.iter().find(|line| line.item == *item);
        lines.push(ShownLine {
            sku: sku(*item)?,
            asked: *asked,
            shipped: left.get(item).copied().unwrap_or_default(),
            declined: of_it.map_or(Quantity::ZERO, |line| line.declined),
        });
    }
    let mut parcels = Vec::new();
    for parcel in reply.into_iter().flat_map(|reply| &reply.parcels) {
        let mut named = Vec::new();
        for (item, quantity) in &parcel.lines {
            named.push((sku(*item)?, *quantity));
        }
        parcels.push((parcel.clone(), named));
    }
    let location = view.location(sent.location)?.map(|location| location.code).unwrap_or_default();
    Ok(Shown {
        system: system.name.clone(),
        document,
        location,
        version,
        sent_at: sent.sent_at,
        stands: sent.stands(),
        is_pending: !sent.is_over() && reply.map_or(0, |reply| reply.version) < version,
        trouble: sent.trouble.clone(),
        reason: reply.and_then(|reply| reply.reason.clone()),
        answered_at: reply.map(|reply| reply.updated_at),
        lines,
        parcels,
    })
}
