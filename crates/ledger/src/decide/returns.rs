//! Returns that are expected where another system is master: nothing moves until that tells of them (`document/returned.rs`). What comes
//! back to a location of our own is booked when it is there, and needs no announcement.

use crate::answer::{Answer, Invalid, Refusal};
use crate::command::AnnounceReturn;
use crate::entry::Entry;
use crate::key::Key;
use crate::model::{ExpectedReturn, GetsOrders, OrderLine, ReturnLine};
use crate::state::Value;
use crate::{ItemId, LocationId, ReturnId, SystemId};

use super::transfer::check_into;
use super::tx::{Stop, Tx};
use super::{lines, masters, merge, order, stock};

/// A return that is expected, or was.
pub(super) fn load(tx: &Tx<'_>, id: ReturnId) -> Result<ExpectedReturn, Stop> {
    match tx.value(&Key::Return(id))? {
        Some(Value::Return(known)) => Ok(*known.clone()),
        _ => Err(Invalid::Unknown { kind: "return", id: id.to_string() }.into()),
    }
}

pub(super) fn announce(tx: &mut Tx<'_>, announce: &AnnounceReturn) -> Result<Answer, Stop> {
    check_into(announce.into)?;
    lines::check_words(announce.reference.as_deref(), None)?;
    let id = announce.order;
    let to = announce.location.as_deref().map(|code| tx.location_id(code)).transpose()?;
    merge::renew_lines(tx, id)?;
    let out = |line: &OrderLine| line.shipped_total() - line.returned;
    let chosen = order::chosen_lines(tx, id, "return", Some(&announce.lines), out)?;
    let known = tx.order(id)?.clone();
    let mut made: Vec<ReturnLine> = Vec::new();
    let mut location = to;
    for (index, _, quantity) in chosen {
        let line = &known.lines[index as usize];
        let place = line.shipped.last().map(|at| at.location);
        let place = *location.get_or_insert(place.unwrap_or_default());
        must_be_told(tx, line.item, place)?;
        match made.iter_mut().find(|other| other.line == line.line) {
            Some(other) => other.wanted += quantity,
            None => made.push(ReturnLine {
                line: line.line.clone(),
                item: line.item,
                wanted: quantity,
                came: crate::Quantity::ZERO,
            }),
        }
    }
    let expected = ExpectedReturn {
        order: id,
        reference: announce.reference.clone(),
        location: location.unwrap_or_default(),
        into: announce.into,
        expected_on: announce.expected_on,
        announced_at: tx.now,
        ended: false,
        lines: made,
    };
    let id = ReturnId(tx.next_seq());
    tx.emit(Entry::Return(id, Box::new(expected)))?;
    Ok(Answer::Return(id))
}

/// Only where another system is master that is sent what it shall expect is a return announced.
fn must_be_told(tx: &Tx<'_>, item: ItemId, location: LocationId) -> Result<(), Stop> {
    let master = masters::master(tx, item, location)?;
    if master == SystemId::ONHAND {
        let (sku, code) = (tx.sku(item)?, tx.location_code(location)?);
        let problem = format!("{sku} is Onhand's at {code}: book the return when it is there");
        return Err(Invalid::Field { field: "location", problem }.into());
    }
    if tx.system(master)?.gets_orders == GetsOrders::FromOnhand {
        return Ok(());
    }
    stock::must_be_ours(tx, item, location)
}

pub(super) fn end(tx: &mut Tx<'_>, id: ReturnId) -> Result<Answer, Stop> {
    let mut known = load(tx, id)?;
    if known.lines.iter().all(|line| known.open(line).is_zero()) {
        let (document, state) = (format!("return {id}"), known.state_name().to_owned());
        return Err(Refusal::DocumentEnded { document, state, verb: "cancelled".to_owned() }.into());
    }
    known.ended = true;
    tx.emit(Entry::Return(id, Box::new(known)))?;
    Ok(Answer::Return(id))
}
