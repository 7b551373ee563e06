//! Publication rules, folded here as data: `sync` gives them their meaning. And the end of rules of every kind.

use crate::answer::{Answer, Invalid};
use crate::command::SetPublication;
use crate::entry::Entry;
use crate::key::Key;
use crate::model::{Publication, Rules};
use crate::state::Value;
use crate::{Quantity, RuleId};

use super::masters;
use super::tx::{Stop, Tx};

fn rules(tx: &Tx<'_>) -> Result<Rules, Stop> {
    Ok(tx.rules()?.cloned().unwrap_or_default())
}

/// One rule for each scope: setting it again changes it.
pub(super) fn set_publication(tx: &mut Tx<'_>, set: &SetPublication) -> Result<Answer, Stop> {
    let system = set.system.as_deref().map(|name| tx.system_id(name)).transpose()?;
    let listing = match (&set.listing, system) {
        (None, _) => None,
        (Some(_), None) => {
            let problem = "a listing needs its system beside it".to_owned();
            return Err(Invalid::Field { field: "system", problem }.into());
        }
        (Some(remote_id), Some(system)) => match tx.value(&Key::RemoteListing(system, remote_id.clone()))? {
            Some(Value::ListingId(id)) => Some(*id),
            _ => {
                let problem =
                    format!("`{remote_id}` is no listing that is known of that system; make it first");
                return Err(Invalid::Field { field: "listing", problem }.into());
            }
        },
    };
    for (field, quantity) in [("buffer", set.buffer), ("cap", set.cap), ("stop_at", set.stop_at)] {
        if quantity.is_some_and(Quantity::is_negative) {
            return Err(Invalid::Field { field, problem: "must not be negative".into() }.into());
        }
    }
    let percentage = set.percentage.unwrap_or(100);
    if percentage > 100 {
        return Err(Invalid::Field { field: "percentage", problem: "must be 0 to 100".into() }.into());
    }
    let rule = Publication {
        system,
        item: set.sku.as_deref().map(|sku| tx.item_id(sku)).transpose()?,
        listing,
        buffer: set.buffer.unwrap_or_default(),
        cap: set.cap,
        percentage,
        stop_at: set.stop_at,
    };
    let scope = |rule: &Publication| (rule.system, rule.item, rule.listing);
    let known = rules(tx)?.publication.into_iter().find(|(_, other)| scope(other) == scope(&rule));
    let id = known.as_ref().map_or(RuleId(tx.next_seq()), |(id, _)| *id);
    if known.is_none_or(|(_, before)| before != rule) {
        tx.emit(Entry::Publication(id, Some(rule)))?;
    }
    Ok(Answer::Rule(id))
}

pub(super) fn end_rule(tx: &mut Tx<'_>, id: RuleId) -> Result<Answer, Stop> {
    let known = rules(tx)?;
    if known.ownership.iter().any(|(other, _)| *other == id) {
        masters::end(tx, id)?;
    } else if known.publication.iter().any(|(other, _)| *other == id) {
        tx.emit(Entry::Publication(id, None))?;
    } else if known.allocation.iter().any(|(other, _)| *other == id) {
        tx.emit(Entry::Allocation(id, None))?;
        super::order::offer_all(tx)?;
    } else {
        return Err(Invalid::Unknown { kind: "rule", id: id.to_string() }.into());
    }
    Ok(Answer::Rule(id))
}
