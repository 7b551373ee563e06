//! Requests to the master of some stock to count it: nothing moves by them. Each is a discrepancy, so that somebody sees that it is open,
//! and it is sent for as long as it is (`sync::expected`).

use crate::answer::{Answer, Invalid, Refusal};
use crate::command::AskRecount;
use crate::model::{Cause, GetsOrders};

use super::tx::{Found, Stop, Tx};
use super::{lines, masters};

pub(super) fn ask(tx: &mut Tx<'_>, ask: &AskRecount) -> Result<Answer, Stop> {
    lines::check_words(None, ask.reason.as_deref())?;
    let system = tx.system_id(&ask.system)?;
    let (item, location) = (tx.item_id(&ask.sku)?, tx.location_id(&ask.location)?);
    let master = masters::master(tx, item, location)?;
    if master != system {
        return Err(Refusal::NotMaster {
            sku: tx.sku(item)?,
            location: tx.location_code(location)?,
            master: tx.system_name(master)?,
        }
        .into());
    }
    if tx.system(system)?.gets_orders != GetsOrders::FromOnhand {
        let problem = format!("`{}` gets nothing from Onhand: have it count over there", ask.system);
        return Err(Invalid::Field { field: "system", problem }.into());
    }
    let (sku, code) = (tx.sku(item)?, tx.location_code(location)?);
    let why = ask.reason.as_deref().map_or(String::new(), |reason| format!(" ({reason})"));
    let sentence = format!("{} is asked to count {sku} at {code}{why}. This ends once it has.", ask.system);
    let found = Found { system, evidence: ask.reason.clone(), ..Found::new(Cause::Recount, sentence) };
    let id = tx.discrepancy(found.stock(item, Some(location), crate::Quantity::ZERO))?;
    Ok(Answer::Discrepancy(id))
}
