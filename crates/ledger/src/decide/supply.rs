//! Purchase orders: what suppliers shall deliver, by when; and what has come of it. Their open rest is `incoming`,
//! which is no cell: nothing moves until goods come.

use crate::answer::{Answer, Invalid, PurchaseLineAnswer, Refusal};
use crate::command::{
    AmendPurchase, EndPurchase, Line, PlacePurchase, PurchaseOrderLine, ReceivePurchase, check_name,
};
use crate::entry::Entry;
use crate::key::{Key, StockState};
use crate::model::{Purchase, PurchaseLine, PurchaseState, ReceiptPart};
use crate::state::Value;
use crate::{Date, Instant, ItemId, LocationId, LotId, Money, PurchaseId, Quantity, Seq, SystemId};

use super::item;
use super::lines::{self, Done};
use super::lots;
use super::merge;
use super::order;
use super::stock::{self, Change};
use super::transfer::check_into;
use super::tx::{Stop, Tx};

/// A purchase order, with what its lines name fetched together.
pub(super) fn load(tx: &Tx<'_>, id: PurchaseId) -> Result<Purchase, Stop> {
    let Some(Value::Purchase(purchase)) = tx.value(&Key::Purchase(id))? else {
        return Err(Invalid::Unknown { kind: "purchase order", id: id.to_string() }.into());
    };
    let place = Key::Location(purchase.location);
    tx.want(purchase.lines.iter().map(|line| Key::Item(line.item)).chain([place]))?;
    let mut purchase = *purchase.clone();
    for line in &mut purchase.lines {
        line.item = merge::live(tx, line.item)?;
    }
    Ok(purchase)
}

/// The purchase order of a reference.
pub(super) fn by_reference(tx: &Tx<'_>, reference: &str) -> Result<Option<PurchaseId>, Stop> {
    Ok(match tx.value(&Key::PurchaseReference(reference.to_owned()))? {
        Some(Value::PurchaseId(id)) => Some(*id),
        _ => None,
    })
}

fn name(id: PurchaseId) -> String {
    format!("purchase order {id}")
}

fn open(tx: &Tx<'_>, id: PurchaseId, verb: &str) -> Result<Purchase, Stop> {
    let purchase = load(tx, id)?;
    if purchase.state == PurchaseState::Open {
        return Ok(purchase);
    }
    let (document, state, verb) = (name(id), purchase.state_name().to_owned(), verb.to_owned());
    Err(Refusal::DocumentEnded { document, state, verb }.into())
}

pub(super) fn place(tx: &mut Tx<'_>, place: &PlacePurchase) -> Result<Answer, Stop> {
    check_name("supplier", &place.supplier, 200)?;
    lines::check_words(place.reference.as_deref(), None)?;
    lines::check_number(place.lines.len())?;
    if place.lines.is_empty() {
        return Err(Invalid::NoLines("a purchase order").into());
    }
    if let Some(reference) = &place.reference
        && let Some(other) = by_reference(tx, reference)?
    {
        let (reference, document) = (reference.clone(), name(other));
        return Err(Refusal::DocumentReferenceTaken { reference, document }.into());
    }
    let location = tx.location_id(&place.location)?;
    tx.want(place.lines.iter().map(|line| Key::Sku(line.sku.clone())))?;
    let items: Vec<ItemId> =
        place.lines.iter().map(|line| tx.item_id(&line.sku)).collect::<Result<_, _>>()?;
    tx.want(items.iter().map(|item| Key::Item(*item)))?;
    item::must_be_active(tx, items.iter().copied())?;
    let mut made = Vec::new();
    for (number, (line, item)) in (1..).zip(place.lines.iter().zip(items)) {
        made.push(new_line(tx, number, item, line, place.expected_on)?);
    }
    let purchase = Purchase {
        supplier: place.supplier.clone(),
        reference: place.reference.clone(),
        location,
        state: PurchaseState::Open,
        placed_at: tx.now,
        lines: made,
    };
    let id = PurchaseId(tx.next_seq());
    write(tx, id, None, purchase, &[])
}

fn new_line(
    tx: &Tx<'_>,
    number: usize,
    item: ItemId,
    line: &PurchaseOrderLine,
    expected_on: Option<Date>,
) -> Result<PurchaseLine, Stop> {
    let wanted = item::in_units(tx, item, line.quantity, line.pack.as_deref())?;
    lines::check_quantity(tx, item, wanted, false)?;
    check_cost(line.unit_cost.as_ref())?;
    Ok(PurchaseLine {
        line: number.to_string(),
        item,
        wanted,
        received: Quantity::ZERO,
        expected_on: line.expected_on.or(expected_on),
        unit_cost: line.unit_cost.clone(),
        receipts: Vec::new(),
        told: Vec::new(),
    })
}

fn check_cost(cost: Option<&Money>) -> Result<(), Invalid> {
    cost.map_or(Ok(()), Money::check).map_err(|invalid| match invalid {
        Invalid::Field { field: "price", problem } => Invalid::Field { field: "unit_cost", problem },
        other => other,
    })
}

pub(super) fn amend(tx: &mut Tx<'_>, amend: &AmendPurchase) -> Result<Answer, Stop> {
    let id = amend.purchase;
    let before = open(tx, id, "changed")?;
    let mut purchase = before.clone();
    if amend.lines.is_empty() {
        return Err(Invalid::NoLines("this").into());
    }
    lines::check_number(before.lines.len() + amend.lines.iter().filter(|line| line.line.is_none()).count())?;
    let known: Vec<&str> = before.lines.iter().map(|line| line.line.as_str()).collect();
    let named: Vec<&str> = amend.lines.iter().filter_map(|line| line.line.as_deref()).collect();
    let mut positions = match named.as_slice() {
        [] => Vec::new(),
        named => lines::positions(&name(id), &known, named.iter().copied())?,
    }
    .into_iter();
    tx.want(amend.lines.iter().filter_map(|line| Some(Key::Sku(line.sku.clone()?))))?;
    for change in &amend.lines {
        check_cost(change.unit_cost.as_ref())?;
        if change.line.is_none() {
            let (Some(sku), Some(quantity)) = (&change.sku, change.quantity) else {
                let problem =
                    "a new line needs `sku` and `quantity`; name the `line` to change one".to_owned();
                return Err(Invalid::Field { field: "lines", problem }.into());
            };
            let item = tx.item_id(sku)?;
            item::must_be_active(tx, std::iter::once(item))?;
            let line = PurchaseOrderLine {
                sku: sku.clone(),
                quantity,
                pack: change.pack.clone(),
                expected_on: change.expected_on,
                unit_cost: change.unit_cost.clone(),
            };
            purchase.lines.push(new_line(tx, purchase.lines.len() + 1, item, &line, None)?);
            continue;
        }
        let position = positions.next().expect("there is one for each line that is named");
        let line = &mut purchase.lines[position];
        if change.sku.is_some() {
            let problem = "a line keeps its item; order nothing of it and add another".to_owned();
            return Err(Invalid::Field { field: "sku", problem }.into());
        }
        if let Some(quantity) = change.quantity {
            let quantity = item::in_units(tx, line.item, quantity, change.pack.as_deref())?;
            lines::check_quantity(tx, line.item, quantity, true)?;
            let open = (line.wanted - line.received).max(Quantity::ZERO);
            lines::must_have(&name(id), &line.line, "take off", open, line.wanted - quantity)?;
            line.wanted = quantity;
        }
        line.expected_on = change.expected_on.or(line.expected_on);
        if change.unit_cost.is_some() {
            line.unit_cost.clone_from(&change.unit_cost);
        }
    }
    write(tx, id, Some(&before), purchase, &[])
}

pub(super) fn receive(tx: &mut Tx<'_>, receive: &ReceivePurchase) -> Result<Answer, Stop> {
    check_into(receive.into)?;
    let id = receive.purchase;
    let before = open(tx, id, "received")?;
    let at = tx.past("occurred_at", receive.occurred_at)?;
    let location = match &receive.location {
        Some(code) => tx.location_id(code)?,
        None => before.location,
    };
    let mut parts: Vec<(usize, Line, Option<Money>)> = Vec::new();
    match &receive.lines {
        None => {
            for (position, line) in before.lines.iter().enumerate() {
                let open = before.open(line);
                if open.is_positive() {
                    parts.push((position, Line::new(tx.sku(line.item)?, open), None));
                }
            }
        }
        Some(told) => {
            let known: Vec<&str> = before.lines.iter().map(|line| line.line.as_str()).collect();
            let named = told.iter().map(|line| line.line.as_str());
            for (position, line) in lines::positions(&name(id), &known, named)?.into_iter().zip(told) {
                let item = before.lines[position].item;
                let quantity = item::in_units(tx, item, line.quantity, line.pack.as_deref())?;
                lines::check_quantity(tx, item, quantity, false)?;
                check_cost(line.unit_cost.as_ref())?;
                let came = Line {
                    sku: tx.sku(item)?,
                    quantity,
                    lot: line.lot.clone(),
                    expires: line.expires,
                    serials: line.serials.clone(),
                    unit_cost: None,
                    pack: None,
                };
                parts.push((position, came, line.unit_cost.clone()));
            }
        }
    }
    if parts.is_empty() {
        let (document, state) = (name(id), "received in full".to_owned());
        return Err(Refusal::DocumentEnded { document, state, verb: "received".to_owned() }.into());
    }
    for (position, ..) in &parts {
        stock::must_be_ours(tx, before.lines[*position].item, location)?;
    }
    let changes = parts.iter().map(|(position, ..)| (before.lines[*position].item, location, at));
    stock::prefetch(tx, &[StockState::Supplier, StockState::Adjustment], changes)?;
    let mut purchase = before.clone();
    let mut done = Vec::new();
    for (position, came, unit_cost) in parts {
        let line = &mut purchase.lines[position];
        for part in lots::arriving(tx, &[(line.item, std::borrow::Cow::Borrowed(&came))])? {
            let (lot, quantity) = (part.lot.unwrap_or_default(), part.quantity);
            let delivery = Delivery {
                location,
                lot,
                quantity,
                into: receive.into,
                at,
                teller: SystemId::ONHAND,
                unit_cost: unit_cost.clone(),
            };
            let seq = deliver(tx, line, delivery)?;
            done.push((line.item, location, quantity, seq));
        }
    }
    write(tx, id, Some(&before), purchase, &done)
}

/// What came of one line.
#[derive(Clone, Debug)]
pub(super) struct Delivery {
    pub location: LocationId,
    /// Of which lot or serial; 0 where the item is not tracked, or nobody says.
    pub lot: LotId,
    pub quantity: Quantity,
    pub into: StockState,
    pub at: Instant,
    /// Who tells of it.
    pub teller: SystemId,
    /// What one unit did cost, if it was told.
    pub unit_cost: Option<Money>,
}

/// Goods of a line come in; the caller writes the purchase order.
pub(super) fn deliver(tx: &mut Tx<'_>, line: &mut PurchaseLine, delivery: Delivery) -> Result<Seq, Stop> {
    let Delivery { location, lot, quantity, into, at, teller, unit_cost } = delivery;
    let change = Change {
        item: line.item,
        location,
        lot,
        quantity,
        inside: false,
        unnamed: false,
        party: StockState::Supplier,
        occurred_at: at,
        reason: "received",
        corrects: None,
        seen_from: at,
    };
    let seq = stock::put_in(tx, change, into)?;
    if let Some(cost) = unit_cost.or_else(|| line.unit_cost.clone()) {
        tx.emit(Entry::Cost(seq, cost))?;
    }
    line.received = line.received.checked_add(quantity).ok_or(Invalid::Overflow(tx.sku(line.item)?))?;
    line.receipts.push(ReceiptPart { seq, lot, quantity });
    line.tell(teller, quantity);
    Ok(seq)
}

/// So much of what a movement brought did not come after all.
pub(super) fn give_back(
    tx: &mut Tx<'_>,
    id: PurchaseId,
    mut purchase: Purchase,
    seq: Seq,
    quantity: Quantity,
) -> Result<(), Stop> {
    for line in &mut purchase.lines {
        if let Some(part) = line.receipts.iter_mut().find(|part| part.seq == seq) {
            part.quantity -= quantity;
            line.received -= quantity;
            // Only what was entered here is reversed here.
            line.tell(SystemId::ONHAND, -quantity);
            line.receipts.retain(|part| !part.quantity.is_zero());
            line.told.retain(|(_, told)| !told.is_zero());
            break;
        }
    }
    tx.emit(Entry::Purchase(id, Box::new(purchase)))?;
    Ok(())
}

pub(super) fn end(tx: &mut Tx<'_>, end: &EndPurchase) -> Result<Answer, Stop> {
    let id = end.purchase;
    let before = open(tx, id, if end.cancel { "cancelled" } else { "closed" })?;
    let mut purchase = before.clone();
    if end.cancel && before.lines.iter().any(|line| line.received.is_positive()) {
        let (document, state) = (name(id), "received in part (close it instead)".to_owned());
        return Err(Refusal::DocumentEnded { document, state, verb: "cancelled".to_owned() }.into());
    }
    purchase.state = if end.cancel { PurchaseState::Cancelled } else { PurchaseState::Closed };
    write(tx, id, Some(&before), purchase, &[])
}

/// Writes it as it is now, serves who waits for what came, and answers.
fn write(
    tx: &mut Tx<'_>,
    id: PurchaseId,
    before: Option<&Purchase>,
    purchase: Purchase,
    done: &[Done],
) -> Result<Answer, Stop> {
    let answers = purchase.lines.iter().map(|line| {
        Ok(PurchaseLineAnswer {
            line: line.line.clone(),
            sku: tx.sku(line.item)?,
            quantity: line.wanted,
            received: line.received,
            open: purchase.open(line),
            over: (line.received - line.wanted).max(Quantity::ZERO),
        })
    });
    let lines = answers.collect::<Result<_, Stop>>()?;
    if before != Some(&purchase) {
        tx.emit(Entry::Purchase(id, Box::new(purchase)))?;
    }
    order::settle(tx)?;
    let moved = lines::moved_answers(tx, done)?;
    Ok(Answer::Purchase { id, lines, moved, discrepancies: tx.discrepancies.clone() })
}
