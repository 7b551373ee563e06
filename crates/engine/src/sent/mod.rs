//! Documents that are sent to the systems which are masters of what they are about: where each was sent, what was answered, and what is to
//! be sent now.
//!
//! What is kept of a document is a note, as what listings show is: it decides no quantity. What its answers decide (that something
//! has left or come, or never will) is the ledger's, by documents of its own, and what is to be sent follows from the ledger: a note
//! that is lost or late costs a copy, which does no harm.

mod orders;
mod shown;
mod supply;

use std::collections::BTreeMap;

use onhand_channels::Errand;
use onhand_channels::expected::Announcement;
use onhand_channels::outgoing::Outgoing;
use onhand_channels::recount::RecountRequest;
use onhand_ledger::model::{Became, Cause, GetsOrders, Holder, LocationMapping, Sites, Supply, System};
use onhand_ledger::{
    DiscrepancyId, Instant, ItemId, Key, LocationId, LotId, OrderId, PurchaseId, ReturnId, Seq, SystemId,
    TransferId, Value,
};
use onhand_store::{Note, StoreError};
use onhand_sync::expected::{self, next_recount};
use onhand_sync::sent::{Days, Lines, Next, Of, SentDocument, next};

pub use self::shown::{Shown, ShownLine, open_of_item, shown_of};
use crate::commit::Ledger;
use crate::inbox::Which;
use crate::view::View;

/// So many notes or promises are read at a time.
const PAGE: usize = 1_000;

/// The name of a document: of what, to a place, the how-many-eth.
pub fn name(of: Of, location: LocationId, number: u32) -> String {
    let seq = of.seq();
    match number {
        1 => format!("onhand-{seq}-{location}"),
        later => format!("onhand-{seq}-{location}-{later}"),
    }
}

/// The name of a document.
fn name_of(sent: &SentDocument) -> String {
    name(sent.of, sent.location, sent.number)
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
pub(crate) fn notes(system: SystemId, sent: &SentDocument) -> [Note; 2] {
    let key = name_of(sent);
    let body = serde_json::to_string(sent).expect("what was sent can always be written");
    let of = match sent.of {
        // As it was before there was anything else.
        Of::Order(order) => order.to_string(),
        other => serde_json::to_string(&other).expect("what it is about can always be written"),
    };
    let open = (!sent.is_over()).then_some(of);
    [
        Note { space: sent_space(system), key: key.clone(), body: Some(body) },
        Note { space: open_space(system), key, body: open },
    ]
}

fn parsed(space: &str, key: &str, body: &str) -> Result<SentDocument, StoreError> {
    serde_json::from_str(body).map_err(|error| StoreError::Damaged(format!("note {space}/{key}: {error}")))
}

/// A document that was sent to a system.
pub fn sent(view: &mut View<'_>, system: SystemId, name: &str) -> Result<Option<SentDocument>, StoreError> {
    let space = sent_space(system);
    view.note(&space, name)?.map(|body| parsed(&space, name, &body)).transpose()
}

/// The documents that were sent to a system of what an entry made (an order, a purchase order, a transfer), each with its name.
pub fn documents_of(
    view: &mut View<'_>,
    system: SystemId,
    made: Seq,
) -> Result<Vec<(String, SentDocument)>, StoreError> {
    let (space, prefix) = (sent_space(system), format!("onhand-{made}-"));
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

/// What the documents are about that are not over at a system: of orders the number alone.
pub(crate) fn open(view: &mut View<'_>, system: SystemId) -> Result<Vec<Of>, StoreError> {
    let mut found = Vec::new();
    view.each_note(&open_space(system), |_, body| {
        let order = || body.parse().ok().map(|order| Of::Order(OrderId(order)));
        found.extend(serde_json::from_str(&body).ok().or_else(order));
        Ok(())
    })?;
    Ok(found)
}

/// The documents that are not over at a system.
pub(crate) fn open_documents(view: &mut View<'_>, system: SystemId) -> Result<Vec<SentDocument>, StoreError> {
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

/// The orders and transfers that something is promised to where a system has one of its places.
pub(crate) fn promised_to(
    view: &mut View<'_>,
    system: &System,
    only: Option<ItemId>,
) -> Result<Vec<Of>, StoreError> {
    let sites = view.sites()?;
    let (first, last) = only.map_or((0, u64::MAX >> 1), |item| (item.0, item.0 + 1));
    let last = Key::Promise(ItemId(last), LocationId(0), 0, 0, LotId(0));
    let mut from = Key::Promise(ItemId(first), LocationId(0), 0, 0, LotId(0));
    let mut found = Vec::new();
    loop {
        let page = view.range(&from, &last, false, PAGE)?;
        for (key, value) in &page {
            let (Key::Promise(_, location, ..), Value::Promise(promise)) = (key, value) else { continue };
            let of = match promise.holder {
                Holder::Order(order) => Of::Order(order),
                Holder::Transfer(transfer) => Of::Dispatch(transfer),
                Holder::Hold(_) => continue,
            };
            if place_of(&sites, system, *location).is_some() {
                found.push(of);
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

/// The purchase orders and transfers that bring something to where a system has one of its places.
pub(crate) fn expected_at(
    view: &mut View<'_>,
    system: &System,
    only: Option<ItemId>,
) -> Result<Vec<Of>, StoreError> {
    let sites = view.sites()?;
    let (first, last) = only.map_or((0, u64::MAX >> 1), |item| (item.0, item.0 + 1));
    let last = Key::Incoming(ItemId(last), LocationId(0), 0, 0);
    let mut from = Key::Incoming(ItemId(first), LocationId(0), 0, 0);
    let mut found = Vec::new();
    loop {
        let page = view.range(&from, &last, false, PAGE)?;
        for (key, value) in &page {
            let (Key::Incoming(_, location, document, _), Value::Incoming(incoming)) = (key, value) else {
                continue;
            };
            if place_of(&sites, system, *location).is_some() {
                found.push(match incoming.supply {
                    Supply::Purchase => Of::Purchase(PurchaseId(*document)),
                    Supply::Transfer => Of::Arrival(TransferId(*document)),
                });
            }
        }
        match page.last() {
            Some((Key::Incoming(item, location, document, line), _)) if page.len() == PAGE => {
                from = Key::Incoming(*item, *location, *document, line + 1);
            }
            _ => break,
        }
    }
    found.sort_unstable();
    found.dedup();
    found.extend(returns_at(view, system, &sites)?);
    Ok(found)
}

/// The returns that are expected where a system has one of its places.
fn returns_at(view: &mut View<'_>, system: &System, sites: &Sites) -> Result<Vec<Of>, StoreError> {
    let last = Key::Return(ReturnId(Seq::MAX >> 1));
    let (mut from, mut found) = (Key::Return(ReturnId(0)), Vec::new());
    loop {
        let page = view.range(&from, &last, false, PAGE)?;
        for (key, value) in &page {
            let (Key::Return(id), Value::Return(known)) = (key, value) else { continue };
            let is_open = known.lines.iter().any(|line| known.open(line).is_positive());
            if is_open && place_of(sites, system, known.location).is_some() {
                found.push(Of::Return(*id));
            }
        }
        match page.last() {
            Some((Key::Return(id), _)) if page.len() == PAGE => from = Key::Return(ReturnId(id.0 + 1)),
            _ => return Ok(found),
        }
    }
}

/// The place of a system that a location of ours is, or is somewhere inside of: the innermost.
pub fn place_of<'s>(sites: &Sites, system: &'s System, location: LocationId) -> Option<&'s LocationMapping> {
    let of = |around: LocationId| system.locations.iter().find(|mapping| mapping.location == around);
    sites.above(location).into_iter().find_map(of)
}

/// Is a system master of an item there?
fn is_master(
    view: &mut View<'_>,
    id: SystemId,
    item: ItemId,
    location: LocationId,
) -> Result<bool, StoreError> {
    Ok(view.ownership_of(item, location)?.is_some_and(|(_, rule)| rule.master == id))
}

/// What has left, or come, of a document by our books: what its parcels moved, each a document of its own.
fn moved(view: &mut View<'_>, system: SystemId, name: &str) -> Result<Lines, StoreError> {
    let mut moved = Lines::new();
    // What comes right after a `/` is a `0`.
    let mut from = Key::Document(system, format!("{name}/"));
    let to = Key::Document(system, format!("{name}0"));
    loop {
        let page = view.range(&from, &to, false, PAGE)?;
        for (key, value) in &page {
            let (Key::Document(_, document), Value::Document(known)) = (key, value) else { continue };
            if !document.starts_with(&format!("{name}/")) {
                continue;
            }
            match &known.became {
                Became::Shipment(lines) | Became::Receipt(lines) => {
                    for line in lines {
                        *moved.entry(line.item).or_default() += line.moved.abs();
                    }
                }
                Became::Arrived(arrived) => {
                    for part in &arrived.parts {
                        *moved.entry(part.item).or_default() += part.quantity;
                    }
                }
                Became::Order(_) | Became::Lines(_) | Became::Reply(_) => {}
            }
        }
        match page.last() {
            Some((Key::Document(_, document), _)) if page.len() == PAGE => {
                from = Key::Document(system, format!("{document}\u{0}"));
            }
            _ => return Ok(moved),
        }
    }
}

/// A document in the words of whoever is sent it.
#[derive(Clone, Debug)]
pub(crate) enum Outbound {
    Order(Box<Outgoing>),
    Receipt(Announcement),
    Recount(RecountRequest),
}

impl Outbound {
    /// Its name, and its version.
    pub fn is(&self) -> (&str, u64) {
        match self {
            Self::Order(order) => (&order.document, order.version),
            Self::Receipt(announcement) => (&announcement.document, announcement.version),
            Self::Recount(request) => (&request.document, request.version),
        }
    }
}

/// A document that is to be sent, and what is kept of it from then on.
#[derive(Clone, Debug)]
pub(crate) struct Due {
    pub sent: SentDocument,
    pub outbound: Outbound,
}

/// What shall leave, come in or be counted at a place now, by our books.
#[derive(Default)]
struct Wanted {
    lines: Lines,
    days: Days,
}

/// What is to be sent of something to a system now; and when to look again, where something waits for an answer.
pub(crate) fn due(
    view: &mut View<'_>,
    ledger: &Ledger,
    id: SystemId,
    system: &System,
    of: Of,
) -> Result<(Vec<Due>, Option<Instant>), StoreError> {
    let mut places = BTreeMap::<LocationId, (Wanted, Option<SentDocument>)>::new();
    if system.gets_orders == GetsOrders::FromOnhand {
        for (location, wanted) in wanted_at(view, id, system, of)? {
            places.entry(location).or_default().0 = wanted;
        }
    }
    for (_, sent) in documents_of(view, id, of.seq())?.into_iter().filter(|(_, sent)| sent.of == of) {
        let newest = &mut places.entry(sent.location).or_default().1;
        if newest.as_ref().is_none_or(|other| other.number < sent.number) {
            *newest = Some(sent);
        }
    }
    let (mut due, mut again) = (Vec::new(), None::<Instant>);
    for (location, (wanted, sent)) in places {
        let moved = match &sent {
            Some(sent) => moved(view, id, &name_of(sent))?,
            None => Lines::new(),
        };
        let (seq, now) = (view.seq(), view.now);
        let next = match of {
            Of::Order(_) | Of::Dispatch(_) => next(sent.as_ref(), &wanted.lines, &moved, seq, now),
            Of::Purchase(_) | Of::Arrival(_) | Of::Return(_) => {
                expected::next(sent.as_ref(), &wanted.lines, &wanted.days, &moved, seq, now)
            }
            Of::Recount(_) => next_recount(sent.as_ref(), &wanted.lines, seq, now),
        };
        match next {
            Next::Nothing => {}
            Next::Wait(at) => again = Some(again.map_or(at, |other| other.min(at))),
            Next::Send { number, version, lines } => {
                let remote = system.locations.iter().find(|mapping| mapping.location == location);
                // A place that is no longer one of the system's has nobody to be told under which name.
                let Some(remote) = remote else { continue };
                let is_cancelled = lines
                    .iter()
                    .all(|(item, quantity)| *quantity <= moved.get(item).copied().unwrap_or_default());
                let mut kept = match sent {
                    Some(mut sent) if sent.number == number => {
                        sent.send(version, lines, now);
                        sent
                    }
                    _ => SentDocument::new(of, location, number, version, lines, now),
                };
                // What is expected no more has no day.
                kept.days.extend(wanted.days);
                kept.trouble = None;
                let made = match of {
                    Of::Order(_) | Of::Dispatch(_) => {
                        orders::outgoing(view, ledger, id, &kept, &remote.remote_id, is_cancelled)?
                    }
                    Of::Purchase(_) | Of::Arrival(_) | Of::Return(_) => {
                        supply::announcement(view, id, &kept, &remote.remote_id, is_cancelled)?
                    }
                    Of::Recount(_) => supply::request(view, id, &kept, &remote.remote_id, is_cancelled)?,
                };
                due.extend(made.map(|outbound| Due { sent: kept, outbound }));
            }
        }
    }
    Ok((due, again))
}

/// What of something shall leave, come in or be counted at each place of a system where that system is master.
fn wanted_at(
    view: &mut View<'_>,
    id: SystemId,
    system: &System,
    of: Of,
) -> Result<BTreeMap<LocationId, Wanted>, StoreError> {
    let parts = match of {
        Of::Order(order) => return orders::promised_at(view, id, system, order),
        Of::Dispatch(transfer) => supply::kept_for(view, transfer)?,
        Of::Purchase(purchase) => supply::open_of(view, purchase)?,
        Of::Arrival(transfer) => supply::coming_by(view, transfer)?,
        Of::Recount(request) => supply::to_count(view, id, request)?,
        Of::Return(expected) => supply::coming_back(view, expected)?,
    };
    let (sites, mut places) = (view.sites()?, BTreeMap::<LocationId, Wanted>::new());
    for part in parts.into_iter().filter(|part| part.quantity.is_positive()) {
        let Some(place) = place_of(&sites, system, part.location) else { continue };
        if is_master(view, id, part.item, part.location)? {
            let wanted = places.entry(place.location).or_default();
            *wanted.lines.entry(part.item).or_default() += part.quantity;
            if let Some(day) = part.expected_on {
                let first = wanted.days.entry(part.item).or_insert(day);
                *first = day.min(*first);
            }
        }
    }
    Ok(places)
}

/// The open requests to a system to count, and what else a count of its would end: what of which item where since when.
pub(crate) fn waits_for_a_count(view: &mut View<'_>, id: SystemId) -> Result<Vec<DiscrepancyId>, StoreError> {
    let mut found = Vec::new();
    for cause in [Cause::Recount, Cause::NotFound] {
        let which = Which { cause: Some(cause), system: Some(id), open: Some(true) };
        found.extend(view.discrepancies(which, DiscrepancyId(0), usize::MAX)?.into_iter().map(|(id, _)| id));
    }
    Ok(found)
}

/// Which of what a channel takes something is; none: an order, which is taken by all that are sent anything.
pub(crate) const fn errand(of: Of) -> Option<Errand> {
    match of {
        Of::Order(_) => None,
        Of::Purchase(_) => Some(Errand::Receipts),
        Of::Dispatch(_) | Of::Arrival(_) => Some(Errand::Transfers),
        Of::Recount(_) => Some(Errand::Recounts),
        Of::Return(_) => Some(Errand::Returns),
    }
}
