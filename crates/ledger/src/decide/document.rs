//! Facts: outside documents, each in the state it is in now.
//!
//! The ledger applies the difference to what it knew of the document. An older version, or the same again, is
//! nothing. What names things we do not know waits in the inbox under its own name, and is applied once they are.

use std::collections::{BTreeMap, BTreeSet};

use crate::answer::{Answer, Invalid, LineAnswer};
use crate::command::{Content, Document, Happened, MovementLine, Name, OrderContent, ShipmentContent};
use crate::entry::Entry;
use crate::key::{CellKey, Key, StockState};
use crate::model::{Became, ByDocument, Cause, KnownDocument, KnownLine, Order, OrderLine, Waiting, add_at};
use crate::{Instant, ItemId, LocationId, OrderId, Quantity, SystemId};

use super::order;
use super::stock::{self, Change};
use super::tx::{Found, Stop, Tx};

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
        && !takes_newer(known, &document.content)
    {
        let sentence = format!(
            "{} sent version {} of {name} as another kind of document than before, or a shipment that was told already. \
             What is applied stays; book the difference by hand.",
            document.system, document.version
        );
        return wait(tx, document, system, waiting, Cause::ContradictoryVersion, sentence);
    }
    let names = match resolve(tx, system, &document.content) {
        Ok(names) => names,
        Err(Stop::Invalid(
            invalid
            @ (Invalid::UnknownSku(_) | Invalid::UnknownLocation(_) | Invalid::UnmappedListing { .. }),
        )) => {
            let sentence = format!("{} {name} waits: {invalid}. It is applied then.", document.system);
            return wait(tx, document, system, waiting, Cause::UnknownName, sentence);
        }
        Err(stop) => return Err(stop),
    };
    if let Some(at) = latest(&document.content).filter(|at| tx.past("occurred_at", Some(*at)).is_err()) {
        let sentence = format!(
            "{} {name} waits: it tells of {at}, more than 5 minutes ahead of our clock ({}). Check that clock.",
            document.system, tx.now
        );
        return wait(tx, document, system, waiting, Cause::ClockAhead, sentence);
    }
    let (became, order, lines) = match &document.content {
        Content::Order(content) => {
            let order = apply_order(tx, system, document, content, &names, known.as_ref())?;
            (Became::Order(order), Some(order), Vec::new())
        }
        Content::Shipment(content) => apply_shipment(tx, system, content, &names)?,
        Content::Movements(content) => {
            let earlier = known.as_ref().and_then(|known| match &known.became {
                Became::Lines(lines) => Some(lines.as_slice()),
                Became::Order(_) | Became::Shipment(_) => None,
            });
            let (lines, answers) = apply_movements(tx, system, content, &names, earlier.unwrap_or_default())?;
            (Became::Lines(lines), None, answers)
        }
    };
    let seq = known.as_ref().map_or(tx.next_seq(), |known| known.seq);
    let known = KnownDocument { version: document.version, fingerprint, seq, became };
    tx.emit(Entry::Document(system, name.clone(), known))?;
    // A newer version that waits goes on waiting.
    match waiting {
        Some(waiting) if waiting.version <= document.version => {
            super::catalogue::end_if_open(tx, waiting.discrepancy)?;
            claim(tx, system, name, &waiting.sold, &[])?;
            tx.emit(Entry::Waiting(system, name.clone(), None))?;
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

/// Can a newer version of what is known be applied as a difference? A shipment is told once.
const fn takes_newer(known: &KnownDocument, content: &Content) -> bool {
    matches!(
        (&known.became, content),
        (Became::Order(_), Content::Order(_)) | (Became::Lines(_), Content::Movements(_))
    )
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
            for line in &order.lines {
                if [line.quantity, line.shipped, line.returned].iter().any(|quantity| quantity.is_negative())
                {
                    return field("quantity", "must not be negative");
                }
            }
            (order.lines.iter().map(|line| line.line.as_str()).collect(), vec![])
        }
        Content::Shipment(shipment) => (vec![], shipment.lines.iter().map(|line| line.quantity).collect()),
        Content::Movements(lines) => (
            lines.iter().map(|line| line.line.as_str()).collect(),
            lines.iter().map(|line| line.quantity).collect(),
        ),
    };
    // An order may have lost its last line.
    if names.is_empty() && quantities.is_empty() && !matches!(document.content, Content::Order(_)) {
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
        Content::Movements(lines) => lines.iter().filter_map(|line| line.occurred_at).max(),
    }
}

/// A document's lines with our own names for what they are about.
struct Names {
    /// Item and units of it in one of what the line names, line by line.
    items: Vec<(ItemId, u32)>,
    /// Location, line by line; none where the line does not say.
    locations: Vec<Option<LocationId>>,
}

impl Names {
    fn quantity(&self, line: usize, told: Quantity) -> Quantity {
        Quantity::from_micros(told.micros().saturating_mul(i64::from(self.items[line].1)))
    }
}

fn resolve(tx: &Tx<'_>, system: SystemId, content: &Content) -> Result<Names, Stop> {
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
    };
    tx.want(lines.iter().map(|(name, ..)| name_key(system, name)))?;
    let mut names = Names { items: Vec::new(), locations: Vec::new() };
    for (name, location, _) in &lines {
        names.items.push(item_of(tx, system, name)?);
        names.locations.push(location.map(|code| tx.location_id(code)).transpose()?);
    }
    tx.want(names.items.iter().map(|(item, _)| Key::Item(*item)))?;
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
        return Ok(Answer::Waiting(known.discrepancy, sentence));
    }
    let sold: Vec<(ItemId, Quantity)> = sold(tx, document, system)?.into_iter().collect();
    let before = waiting.as_ref().map(|known| known.sold.as_slice()).unwrap_or_default();
    claim(tx, system, &document.document, before, &sold)?;
    if let Some(known) = &waiting {
        super::catalogue::end_if_open(tx, known.discrepancy)?;
    }
    let evidence = serde_json::to_string(document).expect("a document can always be written");
    let found = Found { evidence: Some(evidence), ..Found::new(cause, sentence.clone()) };
    let discrepancy = tx.discrepancy(found)?;
    let kept = Waiting { discrepancy, version: document.version, sold };
    tx.emit(Entry::Waiting(system, document.document.clone(), Some(kept)))?;
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
    for line in &content.lines {
        let (item, units) = match item_of(tx, system, &line.item) {
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
fn claim(
    tx: &mut Tx<'_>,
    system: SystemId,
    document: &str,
    before: &[(ItemId, Quantity)],
    sold: &[(ItemId, Quantity)],
) -> Result<(), Stop> {
    let order = match tx.known_document(system, document)?.map(|known| known.became) {
        Some(Became::Order(order)) => Some(order),
        Some(Became::Lines(_) | Became::Shipment(_)) | None => None,
    };
    let mut claims: BTreeMap<ItemId, Quantity> =
        before.iter().map(|(item, _)| (*item, Quantity::ZERO)).collect();
    claims.extend(sold.iter().copied());
    for line in order.map(|order| tx.order(order)).transpose()?.into_iter().flat_map(|order| &order.lines) {
        if let Some(claim) = claims.get_mut(&line.item) {
            *claim = (*claim - line.wanted).max(Quantity::ZERO);
        }
    }
    for (item, quantity) in claims {
        tx.emit(Entry::Claimed { item, system, document: document.to_owned(), quantity })?;
    }
    Ok(())
}

// ---- orders --------------------------------------------------------------------------------------------------

fn apply_order(
    tx: &mut Tx<'_>,
    system: SystemId,
    document: &Document,
    content: &OrderContent,
    names: &Names,
    known: Option<&KnownDocument>,
) -> Result<OrderId, Stop> {
    let at = tx.past("changed_at", content.changed_at)?;
    let placed_at = tx.past("placed_at", content.placed_at)?;
    let order = match known.map(|known| &known.became) {
        Some(Became::Order(order)) => {
            order::want_promises(tx, *order)?;
            *order
        }
        Some(Became::Lines(_) | Became::Shipment(_)) => {
            let problem = format!("`{}` is known as another kind of document", document.document);
            return Err(Invalid::Field { field: "document", problem }.into());
        }
        None => tx.open_order(Order {
            system,
            document: document.document.clone(),
            version: 0,
            placed_at,
            cancelled: false,
            lines: Vec::new(),
        }),
    };
    let short_before: Quantity = tx.order(order)?.lines.iter().map(|line| line.short).sum();
    let edited = tx.edit_order(order)?;
    edited.version = document.version;
    edited.cancelled = content.cancelled;
    edited.placed_at = placed_at.min(edited.placed_at);
    let mut told = BTreeSet::new();
    // Lines are found first and wanted afterwards, so that a shipment's nameless line is claimed before it is dropped.
    let mut indexes = Vec::new();
    for (position, line) in content.lines.iter().enumerate() {
        let item = names.items[position].0;
        let shipped = names.quantity(position, line.quantity.max(line.shipped));
        let last = !names.items[position + 1..].iter().any(|(other, _)| *other == item);
        let index = find_or_add(tx, order, &line.line, item, (!last).then_some(shipped))?;
        told.insert(index);
        indexes.push(index);
    }
    let lines = u32::try_from(tx.order(order)?.lines.len()).expect("orders have fewer than 2^32 lines");
    for gone in (0..lines).filter(|index| !told.contains(index)) {
        order::want(tx, order, gone, Quantity::ZERO, None)?;
    }
    for (position, line) in content.lines.iter().enumerate() {
        take_back_shipped(tx, order, indexes[position], names.quantity(position, line.shipped), at)?;
    }
    // What is given back comes first, then what is taken.
    for pass in [false, true] {
        for (position, line) in content.lines.iter().enumerate() {
            let shipped = names.quantity(position, line.shipped);
            let wanted = if content.cancelled {
                shipped
            } else {
                names.quantity(position, line.quantity).max(shipped)
            };
            let more = wanted > tx.order(order)?.lines[indexes[position] as usize].wanted;
            if more == pass {
                order::want(tx, order, indexes[position], wanted, names.locations[position])?;
            }
        }
    }
    for (position, line) in content.lines.iter().enumerate() {
        let index = indexes[position];
        tell_shipped(
            tx,
            system,
            order,
            index,
            names.quantity(position, line.shipped),
            names.locations[position],
            at,
        )?;
        tell_returned(tx, system, order, index, names.quantity(position, line.returned), at)?;
    }
    report_short(tx, order, short_before)?;
    Ok(order)
}

/// The line of that name, or what was shipped before anybody told of lines: `at_most` so much of it, where other lines
/// of the item follow.
fn find_or_add(
    tx: &mut Tx<'_>,
    order: OrderId,
    name: &str,
    item: ItemId,
    at_most: Option<Quantity>,
) -> Result<u32, Stop> {
    let lines = &mut tx.edit_order(order)?.lines;
    let by_name = lines.iter().position(|line| line.line == name && line.item == item);
    let nameless = lines.iter().position(|line| line.line.is_empty() && line.item == item);
    let index = match (by_name, nameless) {
        (Some(index), _) => index,
        (None, Some(index)) if at_most.is_none_or(|most| lines[index].shipped_total() <= most) => index,
        (None, nameless) => {
            let mut line = OrderLine::new(String::new(), item, Quantity::ZERO);
            if let Some((nameless, most)) = nameless.zip(at_most) {
                share_shipped(&mut lines[nameless], &mut line, most);
            }
            lines.push(line);
            lines.len() - 1
        }
    };
    name.clone_into(&mut lines[index].line);
    Ok(u32::try_from(index).expect("orders have fewer than 2^32 lines"))
}

/// Gives up to so much of what one line has shipped to another, which is new.
fn share_shipped(from: &mut OrderLine, to: &mut OrderLine, most: Quantity) {
    let mut left = most;
    for at in from.shipped.clone() {
        let part = at.quantity.min(left);
        add_at(&mut from.shipped, at.location, -part);
        add_at(&mut to.shipped, at.location, part);
        left -= part;
    }
    let given = most - left;
    from.wanted -= given;
    to.wanted += given;
    to.returned = from.returned.min(given);
    from.returned -= to.returned;
    for (system, told) in &mut from.told {
        let part = (*told).min(given);
        *told -= part;
        to.told.push((*system, part));
    }
}

/// The system says that so much of a line has left so far. Only what nobody told before moves, and only where
/// this system's word moves stock.
fn tell_shipped(
    tx: &mut Tx<'_>,
    system: SystemId,
    order: OrderId,
    line: u32,
    told: Quantity,
    location: Option<LocationId>,
    at: Instant,
) -> Result<(), Stop> {
    tx.edit_order(order)?.lines[line as usize].told_shipped = told;
    let known = tx.order(order)?.lines[line as usize].clone();
    let mut missing = told - known.shipped_total();
    for place in &known.allocated {
        let part = place.quantity.min(missing);
        if !part.is_positive() {
            continue;
        }
        // Of what another system is master there is its word to come: it is not taken from elsewhere.
        missing -= part;
        if stock::moves(tx, system, known.item, place.location)? {
            ship_by_document(tx, order, line, place.location, part, at)?;
        }
    }
    let unpromised = missing.min(tx.order(order)?.lines[line as usize].short);
    if unpromised.is_positive() {
        let place = match location {
            Some(location) => Some(location),
            None => tx.sites()?.sellable.first().map(|(_, location)| *location),
        };
        if let Some(place) = place
            && stock::moves(tx, system, known.item, place)?
        {
            ship_by_document(tx, order, line, place, unpromised, at)?;
        }
    }
    Ok(())
}

fn ship_by_document(
    tx: &mut Tx<'_>,
    order: OrderId,
    line: u32,
    location: LocationId,
    quantity: Quantity,
    at: Instant,
) -> Result<(), Stop> {
    let balanced = stock::ship(tx, order, line, location, quantity, at)?.balanced;
    let part = ByDocument { location, quantity, balanced, told_at: tx.now };
    tx.edit_order(order)?.lines[line as usize].by_document.push(part);
    Ok(())
}

/// The document no longer says that so much of a line has left: what moved by its word, the last first, comes back to
/// where it left from, and is wanted again. What a warehouse said has left stays so.
fn take_back_shipped(
    tx: &mut Tx<'_>,
    order: OrderId,
    line: u32,
    told: Quantity,
    at: Instant,
) -> Result<(), Stop> {
    let known = tx.order(order)?.lines[line as usize].clone();
    let mut back = (known.told_shipped - told).min(known.shipped_total() - known.returned);
    for part in known.by_document.iter().rev() {
        let ByDocument { location, told_at, .. } = *part;
        let quantity = part.quantity.min(back);
        if !quantity.is_positive() {
            break;
        }
        let balanced = part.balanced.min(quantity);
        let edited = &mut tx.edit_order(order)?.lines[line as usize];
        add_at(&mut edited.shipped, location, -quantity);
        edited.by_document.pop();
        if quantity < part.quantity {
            let (quantity, balanced) = (part.quantity - quantity, part.balanced - balanced);
            edited.by_document.push(ByDocument { quantity, balanced, ..*part });
        }
        let change = by(known.item, location, quantity, StockState::Customer, at, "shipment cancelled");
        stock::put_in(tx, change, StockState::Available)?;
        unbalance(tx, known.item, location, balanced, told_at)?;
        let promised = order::allocate(tx, order, line, quantity, Some(location), true)?;
        tx.edit_order(order)?.lines[line as usize].short += quantity - promised;
        back -= quantity;
    }
    Ok(())
}

fn tell_returned(
    tx: &mut Tx<'_>,
    system: SystemId,
    order: OrderId,
    line: u32,
    told: Quantity,
    at: Instant,
) -> Result<(), Stop> {
    let known = tx.order(order)?.lines[line as usize].clone();
    let new = told - known.returned;
    let possible = new.min(known.shipped_total() - known.returned);
    if !possible.is_positive() {
        return Ok(());
    }
    let Some(place) = known.shipped.last() else { return Ok(()) };
    if stock::moves(tx, system, known.item, place.location)? {
        order::come_back(tx, order, line, possible, None, StockState::Available, at)?;
    }
    Ok(())
}

/// One discrepancy for a document that wants more than there is.
fn report_short(tx: &mut Tx<'_>, order: OrderId, before: Quantity) -> Result<(), Stop> {
    let known = tx.order(order)?.clone();
    let short: Quantity = known.lines.iter().map(|line| line.short).sum();
    if short <= before {
        return Ok(());
    }
    let parts: Vec<String> = known
        .lines
        .iter()
        .filter(|line| line.short.is_positive())
        .map(|line| {
            let (wanted, allocated) = (line.wanted, line.allocated_total() + line.shipped_total());
            Ok(format!("{wanted} of {}: {allocated} are there, {} is short", tx.sku(line.item)?, line.short))
        })
        .collect::<Result<_, Stop>>()?;
    let sentence =
        format!("Order {} wants {}. It is allocated when stock comes in.", known.document, parts.join("; "));
    let item = known.lines.iter().find(|line| line.short.is_positive()).map(|line| line.item);
    let found = Found { item, quantity: short, ..Found::new(Cause::Short, sentence) };
    tx.discrepancy(found)?;
    Ok(())
}

// ---- shipments -----------------------------------------------------------------------------------------------

type Applied = (Became, Option<OrderId>, Vec<LineAnswer>);

fn apply_shipment(
    tx: &mut Tx<'_>,
    system: SystemId,
    content: &ShipmentContent,
    names: &Names,
) -> Result<Applied, Stop> {
    let at = tx.past("occurred_at", content.occurred_at)?;
    let location = tx.location_id(&content.location)?;
    let order = match &content.order {
        None => None,
        Some(name) => Some(order_of(tx, system, content.order_system.as_deref(), name)?),
    };
    let mut known = Vec::new();
    let mut answers = Vec::new();
    for (position, line) in content.lines.iter().enumerate() {
        let item = names.items[position].0;
        let quantity = names.quantity(position, line.quantity);
        let sku = tx.sku(item)?;
        let moved = if stock::moves(tx, system, item, location)? {
            leave(tx, system, order, item, location, quantity, at)?
        } else {
            not_master(tx, system, item, location, quantity)?;
            Quantity::ZERO
        };
        known.push(KnownLine {
            line: position.to_string(),
            fingerprint: 0,
            item,
            location,
            moved: -moved,
            short: Quantity::ZERO,
            balanced: Quantity::ZERO,
            told_at: tx.now,
            party: StockState::Customer,
            occurred_at: at,
        });
        answers.push(LineAnswer {
            line: position.to_string(),
            sku,
            quantity,
            allocated: Quantity::ZERO,
            shipped: moved,
            short: quantity - moved,
        });
    }
    // What an order wants that nobody but shipments has told of grows with them.
    if let Some(order) = order
        && tx.order(order)?.version == 0
    {
        reclaim(tx, order)?;
    }
    Ok((Became::Shipment(known), None, answers))
}

/// The order that a shipment names; opened if nobody has told us of it.
fn order_of(tx: &mut Tx<'_>, teller: SystemId, owner: Option<&str>, name: &str) -> Result<OrderId, Stop> {
    let owner = owner.map_or(Ok(teller), |name| tx.system_id(name))?;
    match tx.known_document(owner, name)?.map(|known| known.became) {
        None => {}
        Some(Became::Order(order)) => return Ok(order),
        Some(Became::Lines(_) | Became::Shipment(_)) => {
            let problem = format!("`{name}` is known as another document, not as an order");
            return Err(Invalid::Field { field: "order", problem }.into());
        }
    }
    let placed_at = tx.now;
    let order = tx.open_order(Order {
        system: owner,
        document: name.to_owned(),
        version: 0,
        placed_at,
        cancelled: false,
        lines: Vec::new(),
    });
    let known = KnownDocument { version: 0, fingerprint: 0, seq: order.0, became: Became::Order(order) };
    tx.emit(Entry::Document(owner, name.to_owned(), known))?;
    Ok(order)
}

/// Goods of an order left: from its lines of that item as far as they go, and beyond them all the same. Says how much
/// moved: not what another system has told before.
fn leave(
    tx: &mut Tx<'_>,
    teller: SystemId,
    order: Option<OrderId>,
    item: ItemId,
    location: LocationId,
    quantity: Quantity,
    at: Instant,
) -> Result<Quantity, Stop> {
    let mut missing = quantity;
    let mut moved = Quantity::ZERO;
    if let Some(order) = order {
        order::want_promises(tx, order)?;
        let known = tx.order(order)?.clone();
        let lines = || (0..).zip(&known.lines).filter(|(_, line)| line.item == item);
        // Where an outside system is master nobody else's word has moved anything.
        let masters = teller != SystemId::ONHAND && stock::master(tx, item, location)? == teller;
        for (index, line) in lines().filter(|_| !masters) {
            let told_before = (line.shipped_total() - line.told_by(teller)).min(missing);
            if told_before.is_positive() {
                tx.edit_order(order)?.lines[index as usize].tell(teller, told_before);
                missing -= told_before;
            }
        }
        for (index, line) in lines() {
            let part = (line.wanted - line.shipped_total()).min(missing);
            if part.is_positive() {
                stock::ship(tx, order, index, location, part, at)?;
                tx.edit_order(order)?.lines[index as usize].tell(teller, part);
                missing -= part;
                moved += part;
            }
        }
        if missing.is_positive() && known.version == 0 {
            // Nobody has told what this order wants: at least what has left of it.
            let index = find_or_add(tx, order, "", item, None)?;
            let line = &mut tx.edit_order(order)?.lines[index as usize];
            line.wanted += missing;
            line.short += missing;
            line.tell(teller, missing);
            stock::ship(tx, order, index, location, missing, at)?;
            return Ok(moved + missing);
        }
    }
    if missing.is_positive() {
        if let Some(order) = order {
            let (name, sku) = (tx.order(order)?.document.clone(), tx.sku(item)?);
            let sentence =
                format!("{missing} more of {sku} left for order {name} than it has. Check the shipment.");
            let found = Found::new(Cause::MoreThanOrdered, sentence).stock(item, Some(location), missing);
            tx.discrepancy(found)?;
        }
        stock::take_out(tx, by(item, location, missing, StockState::Customer, at, "shipped"), None)?;
    }
    Ok(moved + missing)
}

fn not_master(
    tx: &mut Tx<'_>,
    system: SystemId,
    item: ItemId,
    location: LocationId,
    quantity: Quantity,
) -> Result<(), Stop> {
    let master = stock::master(tx, item, location)?;
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
    Change { item, location, quantity, party, occurred_at: at, reason, corrects: None, seen_from: at }
}

// ---- lines that move stock by themselves ---------------------------------------------------------------------

fn apply_movements(
    tx: &mut Tx<'_>,
    system: SystemId,
    lines: &[MovementLine],
    names: &Names,
    earlier: &[KnownLine],
) -> Result<(Vec<KnownLine>, Vec<LineAnswer>), Stop> {
    let fingerprints: Vec<u64> = lines.iter().map(fingerprint).collect();
    let unchanged = |known: &KnownLine| {
        lines
            .iter()
            .zip(&fingerprints)
            .any(|(line, print)| line.line == known.line && *print == known.fingerprint)
    };
    let gone = || earlier.iter().filter(|known| !unchanged(known));
    // What comes in is booked before what goes out, so that nothing is missing that this document itself brings.
    for known in gone().filter(|known| known.moved.is_negative()) {
        reverse(tx, known)?;
    }
    let cells = |state| {
        names
            .items
            .iter()
            .zip(&names.locations)
            .map(move |((item, _), location)| CellKey::new(*item, location.unwrap_or_default(), state))
    };
    tx.want_cells(cells(StockState::SafetyStock))?;
    let changes = lines.iter().enumerate().map(|(position, line)| {
        let at = line.occurred_at.unwrap_or(tx.now).min(tx.now);
        (names.items[position].0, names.locations[position].unwrap_or_default(), at)
    });
    stock::prefetch(tx, &[StockState::Customer, StockState::Adjustment, StockState::Supplier], changes)?;
    let mut done: Vec<Option<KnownLine>> = lines
        .iter()
        .zip(&fingerprints)
        .map(|(line, print)| {
            earlier.iter().find(|known| known.line == line.line && known.fingerprint == *print).cloned()
        })
        .collect();
    let mut short = Quantity::ZERO;
    for comes_in in [true, false] {
        if !comes_in {
            for known in gone().filter(|known| known.moved.is_positive()) {
                reverse(tx, known)?;
            }
        }
        for (position, line) in lines.iter().enumerate() {
            if done[position].is_some() || is_incoming(line.what) != comes_in {
                continue;
            }
            let location = names.locations[position].unwrap_or_default();
            let told = names.quantity(position, line.quantity);
            let happened = happen(tx, system, line, names.items[position].0, location, told)?;
            short += happened.short;
            done[position] = Some(KnownLine { fingerprint: fingerprints[position], ..happened });
        }
    }
    let known: Vec<KnownLine> = done.into_iter().flatten().collect();
    let mut answers = Vec::new();
    for (position, done) in known.iter().enumerate() {
        answers.push(LineAnswer {
            line: done.line.clone(),
            sku: tx.sku(done.item)?,
            quantity: names.quantity(position, lines[position].quantity),
            allocated: Quantity::ZERO,
            shipped: done.moved.abs(),
            short: done.short,
        });
    }
    if short.is_positive() {
        let name = tx.document.as_ref().map_or(String::new(), |(_, name)| name.clone());
        let sentence = format!(
            "{name} tells of sales of {short} more than were there. What was there is booked as sold; \
             count what it names."
        );
        let item = known.iter().find(|line| line.short.is_positive()).map(|line| line.item);
        let found = Found { item, quantity: short, ..Found::new(Cause::Short, sentence) };
        tx.discrepancy(found)?;
    }
    Ok((known, answers))
}

const fn is_incoming(what: Happened) -> bool {
    matches!(what, Happened::Returned | Happened::Found | Happened::Received)
}

fn reverse(tx: &mut Tx<'_>, known: &KnownLine) -> Result<(), Stop> {
    let KnownLine { item, location, moved, party, occurred_at, balanced, told_at, .. } = *known;
    if moved.is_zero() {
        return Ok(());
    }
    let change = by(item, location, moved.abs(), party, occurred_at, "corrected by a newer version");
    if moved.is_positive() {
        stock::take_out(tx, change, None)?;
    } else {
        stock::put_in(tx, change, StockState::Available)?;
        unbalance(tx, item, location, balanced, told_at)?;
    }
    Ok(())
}

/// What balanced goods that left and were not there goes with the word that they left: at the time it was balanced.
fn unbalance(
    tx: &mut Tx<'_>,
    item: ItemId,
    location: LocationId,
    balanced: Quantity,
    told_at: Instant,
) -> Result<(), Stop> {
    if balanced.is_positive() {
        let change = by(item, location, balanced, StockState::Adjustment, told_at, "did not leave after all");
        stock::take_out(tx, change, None)?;
    }
    Ok(())
}

fn happen(
    tx: &mut Tx<'_>,
    system: SystemId,
    line: &MovementLine,
    item: ItemId,
    location: LocationId,
    quantity: Quantity,
) -> Result<KnownLine, Stop> {
    let at = tx.past("occurred_at", line.occurred_at)?;
    let (party, usual) = match line.what {
        Happened::Sold => (StockState::Customer, "sold"),
        Happened::Returned => (StockState::Customer, "returned"),
        Happened::Found => (StockState::Adjustment, "found"),
        Happened::Lost => (StockState::Adjustment, "lost"),
        Happened::Received => (StockState::Supplier, "received"),
    };
    let mut known = KnownLine {
        line: line.line.clone(),
        fingerprint: 0,
        item,
        location,
        moved: Quantity::ZERO,
        short: Quantity::ZERO,
        balanced: Quantity::ZERO,
        told_at: tx.now,
        party,
        occurred_at: at,
    };
    if !stock::moves(tx, system, item, location)? {
        not_master(tx, system, item, location, quantity)?;
        return Ok(known);
    }
    let reason = line.reason.as_deref().unwrap_or(usual);
    let change = by(item, location, quantity, party, at, reason);
    match line.what {
        Happened::Returned | Happened::Found | Happened::Received => {
            stock::put_in(tx, change, StockState::Available)?;
            known.moved = quantity;
        }
        Happened::Lost => {
            known.balanced = stock::take_out(tx, change, None)?.balanced;
            known.moved = -quantity;
        }
        Happened::Sold => {
            let cell = |state| CellKey::new(item, location, state);
            let there = tx.held(cell(StockState::Available))? + tx.held(cell(StockState::SafetyStock))?;
            // What a count has seen the lack of is given back by it, all of it (law 11).
            let part = if stock::is_absorbed(tx, &change)? { quantity } else { quantity.min(there) };
            if part.is_positive() {
                known.balanced = stock::take_out(tx, Change { quantity: part, ..change }, None)?.balanced;
            }
            known.moved = -part;
            known.short = quantity - part;
        }
    }
    Ok(known)
}
