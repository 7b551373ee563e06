//! Facts: outside documents, each in the state it is in now.
//!
//! The ledger applies the difference to what it knew of the document. An older version, or the same again, is
//! nothing. What names things we do not know waits in the inbox under its own name, and is applied once they are.

mod arrivals;
mod balance;
mod departures;
mod followed;
mod leaving;
mod meant;
mod movements;
mod naming;
mod orders;
mod parts;
mod receipts;
mod replies;
mod returned;
mod shipments;
mod undo;

use std::collections::{BTreeMap, BTreeSet};

use crate::answer::{Answer, Invalid};
use crate::command::{Content, Document, FollowedOf, Name, ReplyLine};
use crate::entry::Entry;
use crate::key::{Key, StockState};
use crate::model::{Became, Cause, KnownDocument, Waiting};
use crate::state::Value;
use crate::{Instant, ItemId, LocationId, LotId, Money, OrderId, Quantity, SystemId};

use self::arrivals::{apply_arrival, transfer_of};
use self::followed::{apply_followed, must_be_known};
use self::movements::apply_movements;
use self::orders::apply_order;
use self::receipts::{apply_receipt, purchase_of};
use self::replies::apply_reply;
use self::shipments::apply_shipment;
use super::stock::Change;
use super::tx::{Found, Stop, Tx};
use super::{masters, merge, order};

pub(super) fn record(tx: &mut Tx<'_>, document: &Document) -> Result<Answer, Stop> {
    check(document)?;
    let system = tx.system_id(&document.system)?;
    let name = &document.document;
    let fingerprint = fingerprint(&document.content);
    let known = tx.known_document(system, name)?;
    let waiting = tx.waiting(system, name)?;
    if let Content::Shipment(shipment) = &document.content
        && shipment.order.as_ref() == Some(name)
        && shipment.order_system.as_ref().is_none_or(|owner| *owner == document.system)
    {
        let problem = format!("`{name}` is its order; a shipment needs a name of its own");
        return Err(Invalid::Field { field: "document", problem }.into());
    }
    tx.document = Some((system, name.clone()));
    if let Some(known) = &known {
        let same = known.version == document.version && known.fingerprint == fingerprint;
        if document.version < known.version || same {
            return Ok(Answer::AlreadyApplied { version: known.version });
        }
        if document.version == known.version {
            let sentence = format!(
                "{} sent version {} of {name} again with other content. The first is applied; \
                 a newer version will be applied when it comes.",
                document.system, document.version
            );
            return wait(tx, document, system, waiting, Cause::ContradictoryVersion, sentence);
        }
    }
    if let Some(known) = &known
        && !takes_newer(tx, known, &document.content)?
    {
        let sentence = format!(
            "{} sent version {} of {name} as another kind of document than before, or a shipment or receipt that was told already. \
             What is applied stays; book the difference by hand.",
            document.system, document.version
        );
        return wait(tx, document, system, waiting, Cause::ContradictoryVersion, sentence);
    }
    if let Some(first) = &waiting
        && first.version == document.version
        && !is_what_waits(tx, first, document)?
    {
        return contradict(tx, document, system, first);
    }
    let names = match resolve(tx, system, &document.content, known.as_ref()) {
        Ok(names) => names,
        Err(Stop::Invalid(
            invalid @ (Invalid::UnknownSku(_)
            | Invalid::UnknownLocation(_)
            | Invalid::UnknownLot { .. }
            | Invalid::UnmappedListing { .. }
            | Invalid::Unknown { kind: "purchase order" | "transfer" | "return", .. }),
        )) => {
            let sentence = format!("{} {name} waits: {invalid}. It is applied then.", document.system);
            return wait(tx, document, system, waiting, Cause::UnknownName, sentence);
        }
        Err(stop) => return Err(stop),
    };
    let is_ahead =
        |at: &Instant| matches!(tx.past("", Some(*at)), Err(Stop::Invalid(Invalid::TooFarAhead { .. })));
    if let Some(at) = latest(&document.content).filter(is_ahead) {
        let sentence = format!(
            "{} {name} waits: it tells of {at}, more than 5 minutes ahead of our clock ({}). Check that clock.",
            document.system, tx.now
        );
        return wait(tx, document, system, waiting, Cause::ClockAhead, sentence);
    }
    let mut balanced = known.as_ref().map(|known| known.balanced.clone()).unwrap_or_default();
    let mut short_told = known.as_ref().and_then(|known| known.short_told);
    let (became, order, lines) = match &document.content {
        Content::Order(content) => {
            let order = apply_order(tx, system, document, content, &names, known.as_ref(), &mut balanced)?;
            (Became::Order(order), Some(order), Vec::new())
        }
        Content::Shipment(content) => apply_shipment(tx, system, content, &names)?,
        Content::Receipt(content) => match transfer_of(tx, content)? {
            Some(transfer) => {
                let earlier = known.as_ref().and_then(|known| match &known.became {
                    Became::Arrived(earlier) => Some(&**earlier),
                    _ => None,
                });
                apply_arrival(tx, system, transfer, content, &names, earlier, &mut balanced, &[])?
            }
            None => {
                let purchase = purchase_of(tx, content)?;
                apply_receipt(tx, system, purchase, content, &names, &[])?
            }
        },
        Content::Movements(content) => {
            let earlier = known.as_ref().and_then(|known| match &known.became {
                Became::Lines(lines) => Some(lines.as_slice()),
                _ => None,
            });
            let earlier = earlier.unwrap_or_default();
            let (lines, answers) =
                apply_movements(tx, system, content, &names, earlier, &mut balanced, &mut short_told)?;
            (Became::Lines(lines), None, answers)
        }
        Content::Reply(content) => {
            let earlier = known.as_ref().and_then(|known| match &known.became {
                Became::Reply(earlier) => Some(earlier),
                _ => None,
            });
            let replied = apply_reply(tx, system, content, &names, earlier)?;
            (Became::Reply(replied), Some(content.order), Vec::new())
        }
        Content::Followed(content) => apply_followed(tx, system, content, &names)?,
    };
    let seq = known.as_ref().map_or(tx.next_seq(), |known| known.seq);
    let known = KnownDocument { version: document.version, fingerprint, seq, became, balanced, short_told };
    tx.emit(Entry::Document(system, name.clone(), Box::new(known)))?;
    // A newer version that waits goes on waiting.
    match waiting {
        Some(waiting) if waiting.version <= document.version => {
            super::catalogue::end_if_open(tx, waiting.discrepancy)?;
            claim(tx, system, name, &waiting.sold, &[])?;
            let left = match waiting.contradictory {
                // What contradicts the version that is applied stays until a newer one comes.
                Some(discrepancy) if waiting.version == document.version => {
                    Some(Box::new(Waiting { discrepancy, sold: Vec::new(), contradictory: None, ..waiting }))
                }
                Some(discrepancy) => {
                    super::catalogue::end_if_open(tx, discrepancy)?;
                    None
                }
                None => None,
            };
            tx.emit(Entry::Waiting(system, name.clone(), left))?;
        }
        Some(waiting) => claim(tx, system, name, &[], &waiting.sold)?,
        None => {}
    }
    order::settle(tx)?;
    let lines = match order {
        Some(order) => order::line_answers(tx, order)?,
        None => lines,
    };
    Ok(Answer::Recorded { order, lines, discrepancies: tx.discrepancies.clone() })
}

fn fingerprint(content: &impl serde::Serialize) -> u64 {
    let bytes = postcard::to_stdvec(content).expect("content of a document can always be written");
    let hash = blake3::hash(&bytes);
    u64::from_be_bytes(*hash.as_bytes().first_chunk().expect("a hash has 32 bytes"))
}

/// Can a newer version of what is known be applied as a difference? A shipment is told once, as is a receipt but of a
/// transfer, and of that one transfer.
fn takes_newer(tx: &Tx<'_>, known: &KnownDocument, content: &Content) -> Result<bool, Stop> {
    Ok(match (&known.became, content) {
        (Became::Order(_), Content::Order(_))
        | (Became::Lines(_), Content::Movements(_))
        | (Became::Reply(_), Content::Reply(_)) => true,
        (Became::Arrived(arrived), Content::Receipt(receipt)) => match transfer_of(tx, receipt) {
            Ok(transfer) => transfer == Some(arrived.transfer),
            Err(Stop::Invalid(_)) => false,
            Err(stop) => return Err(stop),
        },
        _ => false,
    })
}

/// What no document may be.
fn check(document: &Document) -> Result<(), Stop> {
    let field = |field, problem: &str| Err(Invalid::Field { field, problem: problem.to_owned() }.into());
    if document.document.is_empty() || document.document.len() > 255 {
        return field("document", "must have 1 to 255 characters");
    }
    if document.version == 0 {
        return field("version", "must be at least 1");
    }
    let (names, quantities): (Vec<&str>, Vec<Quantity>) = match &document.content {
        Content::Order(order) => {
            if let Some(region) = &order.ship_to {
                super::allocation::check_region("ship_to", region)?;
            }
            for line in &order.lines {
                if let Some(price) = &line.price {
                    price.check()?;
                }
                if [line.quantity, line.shipped, line.returned].iter().any(|quantity| quantity.is_negative())
                {
                    return field("quantity", "must not be negative");
                }
            }
            (order.lines.iter().map(|line| line.line.as_str()).collect(), vec![])
        }
        Content::Shipment(shipment) => (vec![], shipment.lines.iter().map(|line| line.quantity).collect()),
        Content::Receipt(receipt) => {
            if receipt.purchase.is_some() && receipt.transfer.is_some() {
                return field(
                    "transfer",
                    "a receipt is for a purchase order or for a transfer, not for both",
                );
            }
            receipt.lines.iter().filter_map(|line| line.unit_cost.as_ref()).try_for_each(Money::check)?;
            (vec![], receipt.lines.iter().map(|line| line.quantity).collect())
        }
        Content::Movements(lines) => (
            lines.iter().map(|line| line.line.as_str()).collect(),
            lines.iter().map(|line| line.quantity).collect(),
        ),
        Content::Reply(reply) => {
            if reply.lines.iter().any(|line| line.declined.is_negative() || line.open.is_negative()) {
                return field("quantity", "must not be negative");
            }
            (vec![], vec![])
        }
        Content::Followed(followed) => {
            followed.lines.iter().filter_map(|line| line.into).try_for_each(super::transfer::check_into)?;
            (vec![], followed.lines.iter().map(|line| line.quantity).collect())
        }
    };
    // An order may have lost its last line, and of what a till told nothing may be left.
    if names.is_empty()
        && quantities.is_empty()
        && !matches!(document.content, Content::Order(_) | Content::Movements(_) | Content::Reply(_))
    {
        return Err(Invalid::NoLines("a document").into());
    }
    if quantities.iter().any(|quantity| !quantity.is_positive()) {
        return field("quantity", "must be more than 0");
    }
    let mut seen = BTreeSet::new();
    match names.iter().find(|name| !seen.insert(**name)) {
        Some(twice) => Err(Invalid::Twice { field: "line", value: (*twice).to_owned() }.into()),
        None => Ok(()),
    }
}

/// The latest instant a document tells of.
fn latest(content: &Content) -> Option<Instant> {
    match content {
        Content::Order(order) => order.placed_at.max(order.changed_at),
        Content::Shipment(shipment) => shipment.occurred_at,
        Content::Receipt(receipt) => receipt.occurred_at,
        Content::Movements(lines) => lines.iter().filter_map(|line| line.occurred_at).max(),
        Content::Reply(_) => None,
        Content::Followed(followed) => followed.occurred_at,
    }
}

/// A document's lines with our own names for what they are about.
struct Names {
    /// Item and units of it in one of what the line names, line by line.
    items: Vec<(ItemId, u32)>,
    /// Location, line by line; none where the line does not say.
    locations: Vec<Option<LocationId>>,
    /// Lot or serial, line by line; 0 where the line does not say.
    lots: Vec<LotId>,
}

impl Names {
    fn quantity(&self, line: usize, told: Quantity) -> Quantity {
        Quantity::from_micros(told.micros().saturating_mul(i64::from(self.items[line].1)))
    }
}

fn resolve(
    tx: &Tx<'_>,
    system: SystemId,
    content: &Content,
    known: Option<&KnownDocument>,
) -> Result<Names, Stop> {
    let lines: Vec<(&Name, Option<&str>, [Quantity; 3])> = match content {
        Content::Order(order) => order
            .lines
            .iter()
            .map(|line| (&line.item, line.location.as_deref(), [line.quantity, line.shipped, line.returned]))
            .collect(),
        Content::Shipment(shipment) => shipment
            .lines
            .iter()
            .map(|line| (&line.item, Some(shipment.location.as_str()), [line.quantity; 3]))
            .collect(),
        Content::Movements(lines) => {
            lines.iter().map(|line| (&line.item, Some(line.location.as_str()), [line.quantity; 3])).collect()
        }
        Content::Receipt(receipt) => {
            purchase_of(tx, receipt)?;
            transfer_of(tx, receipt)?;
            let location = Some(receipt.location.as_str());
            receipt.lines.iter().map(|line| (&line.item, location, [line.quantity; 3])).collect()
        }
        Content::Reply(reply) => {
            let location = Some(reply.location.as_str());
            let line = |line: &'_ ReplyLine| [line.declined, line.open, line.open];
            reply.lines.iter().map(|told| (&told.item, location, line(told))).collect()
        }
        Content::Followed(followed) => {
            must_be_known(tx, followed.of)?;
            let location = Some(followed.location.as_str());
            followed.lines.iter().map(|line| (&line.item, location, [line.quantity; 3])).collect()
        }
    };
    tx.want(lines.iter().map(|(name, ..)| name_key(system, name)))?;
    let mut names = Names { items: Vec::new(), locations: Vec::new(), lots: vec![LotId(0); lines.len()] };
    let meant = meant::settled(tx, system, content, known)?;
    for (position, (name, location, _)) in lines.iter().enumerate() {
        let settled = meant.get(position).copied().flatten();
        names.items.push(settled.map_or_else(|| item_of(tx, system, name), Ok)?);
        names.locations.push(location.map(|code| tx.location_id(code)).transpose()?);
    }
    tx.want(names.items.iter().map(|(item, _)| Key::Item(*item)))?;
    if let Content::Shipment(shipment) = content {
        let told =
            || names.items.iter().zip(&shipment.lines).map(|((item, _), line)| (*item, line.lot.as_ref()));
        tx.want(told().filter_map(|(item, lot)| Some(Key::LotCode(item, lot?.clone()))))?;
        let known = told().map(|(item, lot)| match lot {
            Some(code) => super::lots::known(tx, item, code),
            None => Ok(LotId(0)),
        });
        names.lots = known.collect::<Result<_, Stop>>()?;
    }
    if let Content::Followed(followed) = content
        && matches!(followed.of, FollowedOf::Dispatch(_) | FollowedOf::Return(_))
    {
        let told = names.items.iter().zip(&followed.lines);
        let known = told.map(|((item, _), line)| match &line.lot {
            Some(code) => super::lots::known(tx, *item, code),
            None => Ok(LotId(0)),
        });
        names.lots = known.collect::<Result<_, Stop>>()?;
    }
    for (index, (_, _, quantities)) in lines.iter().enumerate() {
        for quantity in quantities {
            let quantity = names.quantity(index, *quantity);
            if quantity > Quantity::MAX_INPUT {
                return Err(Invalid::Overflow(tx.sku(names.items[index].0)?).into());
            }
            tx.check_quantity(names.items[index].0, quantity)?;
        }
    }
    Ok(names)
}

fn name_key(system: SystemId, name: &Name) -> Key {
    match name {
        Name::Sku(sku) => Key::Sku(sku.clone()),
        Name::Listing(remote_id) => Key::RemoteListing(system, remote_id.clone()),
    }
}

/// Our item behind a name, and the units of it in one of what is named.
fn item_of(tx: &Tx<'_>, system: SystemId, name: &Name) -> Result<(ItemId, u32), Stop> {
    match name {
        Name::Sku(sku) => Ok((tx.item_id(sku)?, 1)),
        Name::Listing(remote_id) => {
            let listing = tx.listing(system, remote_id)?;
            match listing.and_then(|listing| Some((listing.item?, listing.multiplier))) {
                Some(known) => Ok(known),
                None => Err(Invalid::UnmappedListing {
                    listing: remote_id.clone(),
                    sku: listing.and_then(|listing| listing.remote_sku.clone()),
                }
                .into()),
            }
        }
    }
}

/// Keeps a document for a person, once, and moves nothing.
fn wait(
    tx: &mut Tx<'_>,
    document: &Document,
    system: SystemId,
    waiting: Option<Waiting>,
    cause: Cause,
    sentence: String,
) -> Result<Answer, Stop> {
    if let Some(known) = waiting.as_ref().filter(|known| known.version >= document.version) {
        if known.version == document.version && is_what_waits(tx, known, document)? {
            claim_anew(tx, document, system, known)?;
        }
        return Ok(Answer::Waiting(known.discrepancy, sentence));
    }
    let sold: Vec<(ItemId, Quantity)> = sold(tx, document, system)?.into_iter().collect();
    let before = waiting.as_ref().map(|known| known.sold.as_slice()).unwrap_or_default();
    claim(tx, system, &document.document, before, &sold)?;
    if let Some(known) = &waiting {
        for over in known.contradictory.into_iter().chain([known.discrepancy]) {
            super::catalogue::end_if_open(tx, over)?;
        }
    }
    let found = Found { evidence: Some(written(document)), ..Found::new(cause, sentence.clone()) };
    let discrepancy = tx.discrepancy(found)?;
    let kept = Waiting { discrepancy, version: document.version, sold, contradictory: None };
    tx.emit(Entry::Waiting(system, document.document.clone(), Some(Box::new(kept))))?;
    Ok(Answer::Waiting(discrepancy, sentence))
}

/// What it names may be of something else by now, or of more of it: it claims that instead.
fn claim_anew(tx: &mut Tx<'_>, document: &Document, system: SystemId, known: &Waiting) -> Result<(), Stop> {
    let sold: Vec<(ItemId, Quantity)> = sold(tx, document, system)?.into_iter().collect();
    if sold == known.sold {
        return Ok(());
    }
    claim(tx, system, &document.document, &known.sold, &sold)?;
    let kept = Waiting { sold, ..known.clone() };
    tx.emit(Entry::Waiting(system, document.document.clone(), Some(Box::new(kept))))?;
    Ok(())
}

fn written(document: &Document) -> String {
    serde_json::to_string(document).expect("a document can always be written")
}

/// Is this the very document that waits?
fn is_what_waits(tx: &Tx<'_>, first: &Waiting, document: &Document) -> Result<bool, Stop> {
    let evidence = match tx.value(&Key::Discrepancy(first.discrepancy))? {
        Some(Value::Discrepancy(found)) => found.evidence.clone(),
        _ => None,
    };
    Ok(evidence.is_none_or(|evidence| evidence == written(document)))
}

/// The version that waits is told with other content: the first goes on waiting, and a person is told, once.
fn contradict(
    tx: &mut Tx<'_>,
    document: &Document,
    system: SystemId,
    first: &Waiting,
) -> Result<Answer, Stop> {
    let sentence = format!(
        "{} sent version {} of {} again with other content while the first waits. The first is applied once it can be; \
         a newer version will be applied when it comes.",
        document.system, document.version, document.document
    );
    if let Some(known) = first.contradictory {
        return Ok(Answer::Waiting(known, sentence));
    }
    let evidence = Some(written(document));
    let found = Found { evidence, ..Found::new(Cause::ContradictoryVersion, sentence.clone()) };
    let discrepancy = tx.discrepancy(found)?;
    let kept = Waiting { contradictory: Some(discrepancy), ..first.clone() };
    tx.emit(Entry::Waiting(system, document.document.clone(), Some(Box::new(kept))))?;
    Ok(Answer::Waiting(discrepancy, sentence))
}

/// What an order that waits has sold of what we know: whoever shows that stock must not offer it again meanwhile.
fn sold(tx: &Tx<'_>, document: &Document, system: SystemId) -> Result<BTreeMap<ItemId, Quantity>, Stop> {
    let mut sold = BTreeMap::<ItemId, Quantity>::new();
    let Content::Order(content) = &document.content else { return Ok(sold) };
    if content.cancelled {
        return Ok(sold);
    }
    tx.want(content.lines.iter().map(|line| name_key(system, &line.item)))?;
    let known = tx.known_document(system, &document.document)?;
    let meant = meant::settled(tx, system, &document.content, known.as_ref())?;
    for (position, line) in content.lines.iter().enumerate() {
        let settled = meant.get(position).copied().flatten();
        let (item, units) = match settled.map_or_else(|| item_of(tx, system, &line.item), Ok) {
            Ok(known) => known,
            Err(Stop::Invalid(_)) => continue,
            Err(stop) => return Err(stop),
        };
        let told = line.quantity.micros().saturating_mul(i64::from(units));
        let sum = sold.entry(item).or_default();
        *sum = Quantity::from_micros(sum.micros().saturating_add(told).min(Quantity::MAX_INPUT.micros()));
    }
    Ok(sold)
}

/// Writes anew what the document of an order claims, if a version of it waits: what is wanted of the order has changed.
pub(super) fn reclaim(tx: &mut Tx<'_>, order: OrderId) -> Result<(), Stop> {
    let known = tx.order(order)?;
    let (system, name) = (known.system, known.document.clone());
    let Some(waiting) = tx.waiting(system, &name)? else { return Ok(()) };
    claim(tx, system, &name, &[], &waiting.sold)
}

/// Writes what a document claims from now on, in place of what it claimed before: what it has sold beyond what is
/// wanted of its order already.
pub(super) fn claim(
    tx: &mut Tx<'_>,
    system: SystemId,
    document: &str,
    before: &[(ItemId, Quantity)],
    sold: &[(ItemId, Quantity)],
) -> Result<(), Stop> {
    let order = match tx.known_document(system, document)?.map(|known| known.became) {
        Some(Became::Order(order)) => Some(order),
        _ => None,
    };
    tx.want(before.iter().chain(sold).map(|(item, _)| Key::Item(*item)))?;
    let mut claims = BTreeMap::<ItemId, Quantity>::new();
    for (item, quantity) in before.iter().map(|(item, _)| (*item, Quantity::ZERO)).chain(sold.iter().copied())
    {
        // What was sold of an item that was merged meanwhile is sold of the other.
        *claims.entry(merge::live(tx, item)?).or_default() += quantity;
    }
    let lines = order.map(|order| tx.order(order)).transpose()?.into_iter().flat_map(|order| &order.lines);
    let wanted: Vec<(ItemId, Quantity)> = lines.map(|line| (line.item, line.wanted)).collect();
    tx.want(wanted.iter().map(|(item, _)| Key::Item(*item)))?;
    for (item, wanted) in wanted {
        if let Some(claim) = claims.get_mut(&merge::live(tx, item)?) {
            *claim = (*claim - wanted).max(Quantity::ZERO);
        }
    }
    for (item, quantity) in claims {
        tx.emit(Entry::Claimed { item, system, document: document.to_owned(), quantity })?;
    }
    Ok(())
}

fn not_master(
    tx: &mut Tx<'_>,
    system: SystemId,
    item: ItemId,
    location: LocationId,
    quantity: Quantity,
) -> Result<(), Stop> {
    let master = masters::master(tx, item, location)?;
    let (teller, master) = (tx.system_name(system)?, tx.system_name(master)?);
    let (sku, code) = (tx.sku(item)?, tx.location_code(location)?);
    let sentence = format!(
        "{teller} tells of {quantity} of {sku} at {code}, but the master there is {master}: \
         it is kept as evidence and moves nothing."
    );
    tx.discrepancy(Found::new(Cause::NotMaster, sentence).stock(item, Some(location), quantity))?;
    Ok(())
}

const fn by(
    item: ItemId,
    location: LocationId,
    quantity: Quantity,
    party: StockState,
    at: Instant,
    reason: &str,
) -> Change<'_> {
    Change {
        item,
        location,
        lot: LotId(0),
        quantity,
        inside: true,
        unnamed: false,
        party,
        occurred_at: at,
        reason,
        corrects: None,
        seen_from: at,
    }
}
