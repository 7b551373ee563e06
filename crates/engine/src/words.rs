//! What a key or a difference is called in front of a person: `order 12: lines.1.wanted 3, by the log 2`.

use std::collections::HashMap;

use onhand_ledger::key::Due;
use onhand_ledger::state::Slot;
use onhand_ledger::{CellKey, ItemId, Key, LocationId};
use serde_json::Value as Json;

/// How many differences are told of one object.
const MOST: usize = 3;

/// The names of things, as the log gives them.
#[derive(Default)]
pub(crate) struct Names {
    pub skus: HashMap<ItemId, String>,
    pub codes: HashMap<LocationId, String>,
}

impl Names {
    pub fn sku(&self, item: ItemId) -> String {
        self.skus.get(&item).map_or_else(|| format!("item {item}"), |sku| format!("`{sku}`"))
    }

    pub fn code(&self, location: LocationId) -> String {
        self.codes.get(&location).map_or_else(|| format!("location {location}"), |code| format!("`{code}`"))
    }

    /// A cell: available of `MUG` at `LONDON`.
    pub fn cell(&self, cell: &CellKey) -> String {
        let (state, sku) = (cell.state.name(), self.sku(cell.item));
        let lot = if cell.lot.0 == 0 { String::new() } else { format!(", lot {}", cell.lot) };
        match self.codes.get(&cell.location) {
            Some(code) => format!("{state} of {sku}{lot} at `{code}`"),
            None => format!("{state} of {sku}{lot}"),
        }
    }

    /// An object.
    pub fn key(&self, key: &Key) -> String {
        match key {
            Key::Item(id) => format!("item {id} ({})", self.sku(*id)),
            Key::Sku(sku) => format!("the SKU `{sku}`"),
            Key::Location(id) => format!("location {id} ({})", self.code(*id)),
            Key::LocationCode(code) => format!("the location code `{code}`"),
            Key::System(id) => format!("system {id}"),
            Key::SystemName(name) => format!("the system name `{name}`"),
            Key::Listing(id) => format!("listing {id}"),
            Key::RemoteListing(system, remote) => format!("the listing `{remote}` of system {system}"),
            Key::ListingOf(item, listing) => format!("listing {listing} of {}", self.sku(*item)),
            Key::Order(id) => format!("order {id}"),
            Key::Document(system, name) => format!("the document `{name}` of system {system}"),
            Key::Waiting(system, name) => format!("the waiting document `{name}` of system {system}"),
            Key::Hold(id) => format!("hold {id}"),
            Key::Due(at, Due::Hold(hold)) => format!("the end of hold {hold} at {at}"),
            Key::Promise(item, location, holder, line, _) => {
                let (sku, code) = (self.sku(*item), self.code(*location));
                format!("the promise of {sku} at {code} to line {line} of what entry {holder} made")
            }
            Key::Demand(item) => format!("what is short of {}", self.sku(*item)),
            Key::Short(item, order, line) => {
                format!("what is short of {} in line {line} of order {order}", self.sku(*item))
            }
            Key::Count(item, location, at, id) => {
                format!("count {id} of {} at {}, taken at {at}", self.sku(*item), self.code(*location))
            }
            Key::Counted(item, location) => {
                format!("the last count of {} at {}", self.sku(*item), self.code(*location))
            }
            Key::Claimed(item, system, name) => {
                format!("what the waiting document `{name}` of system {system} wants of {}", self.sku(*item))
            }
            Key::Tagged(tag, item) => format!("the tag `{tag}` of {}", self.sku(*item)),
            Key::Late(cell, seq) => format!("the late movement {seq} of {}", self.cell(cell)),
            Key::Balanced(cell, seq) => format!("what movement {seq} balances of {}", self.cell(cell)),
            Key::Discrepancy(id) => format!("discrepancy {id}"),
            Key::Transfer(id) => format!("transfer {id}"),
            Key::TransferReference(name) => format!("the transfer called `{name}`"),
            Key::Purchase(id) => format!("purchase order {id}"),
            Key::Return(id) => format!("return {id}"),
            Key::PurchaseReference(name) => format!("the purchase order called `{name}`"),
            Key::Incoming(item, location, document, line) => {
                let (sku, code) = (self.sku(*item), self.code(*location));
                format!("what line {line} of what entry {document} made brings of {sku} to {code}")
            }
            Key::Reversed(seq) => format!("what was taken back of movement {seq}"),
            Key::Lot(id) => format!("lot or serial {id}"),
            Key::LotCode(item, code) => format!("the lot or serial `{code}` of {}", self.sku(*item)),
            Key::Expires(location, lot) => format!("the end of lot {lot} at {}", self.code(*location)),
            Key::KitOf(part, kit) => format!("the part {} of the kit {}", self.sku(*part), self.sku(*kit)),
            Key::Due(at, Due::Lot(lot, location)) => {
                format!("the end of lot {lot} at {}, due at {at}", self.code(*location))
            }
            // `Sites`, `Rules`, and kinds that came later: `docs/storage.md` names them.
            other => format!("the object of kind {}", other.kind()),
        }
    }
}

/// How an object differs between its table and the log: what the one says, and what the other.
pub(crate) fn differ(table: Option<&Slot>, log: Option<&Slot>) -> (String, String) {
    let json = |slot: Option<&Slot>| {
        slot.and_then(|slot| slot.value.as_ref()).and_then(|value| serde_json::to_value(value).ok())
    };
    let (Some(table_says), Some(log_says)) = (json(table), json(log)) else {
        let there = |slot: Option<&Slot>| {
            if slot.is_some_and(|slot| slot.value.is_some()) { "that it is there" } else { "nothing" }
        };
        return (there(table).to_owned(), there(log).to_owned());
    };
    let mut found = Vec::new();
    walk("", &table_says, &log_says, &mut found);
    if found.is_empty() {
        let seq = |slot: Option<&Slot>| format!("entry {} as its last", slot.map_or(0, |slot| slot.seq));
        return (seq(table), seq(log));
    }
    let side = |pick: fn(&(String, String, String)) -> &String| {
        let told: Vec<String> = found
            .iter()
            .take(MOST)
            .map(|difference| format!("{} {}", difference.0, pick(difference)))
            .collect();
        let more = if found.len() > MOST { ", and more" } else { "" };
        told.join(", ") + more
    };
    (side(|difference| &difference.1), side(|difference| &difference.2))
}

/// Every place where two values differ: its path without the names of types, and both sides.
fn walk(path: &str, table: &Json, log: &Json, found: &mut Vec<(String, String, String)>) {
    if table == log {
        return;
    }
    let inside = |name: &str| if path.is_empty() { name.to_owned() } else { format!("{path}.{name}") };
    match (table, log) {
        (Json::Object(one), Json::Object(other)) => {
            let names: std::collections::BTreeSet<&String> = one.keys().chain(other.keys()).collect();
            for name in names {
                let (one, other) =
                    (one.get(name).unwrap_or(&Json::Null), other.get(name).unwrap_or(&Json::Null));
                walk(&inside(name), one, other, found);
            }
        }
        (Json::Array(one), Json::Array(other)) if one.len() == other.len() => {
            for (index, (one, other)) in (1_u32..).zip(one.iter().zip(other)) {
                walk(&inside(&index.to_string()), one, other, found);
            }
        }
        _ => found.push((path.to_owned(), short(table), short(log))),
    }
}

fn short(value: &Json) -> String {
    match value {
        Json::Null => "nothing".to_owned(),
        other => other.to_string().chars().take(80).collect(),
    }
}

#[cfg(test)]
mod tests {
    use onhand_ledger::{Instant, Quantity, Value};

    use super::*;

    #[test]
    fn a_difference_names_what_differs_and_no_types() {
        let slot = |value: Value, seq| Slot { value: Some(value), seq };
        let say = |one: Option<&Slot>, other: Option<&Slot>| differ(one, other);
        let (five, six) =
            (slot(Value::Quantity(Quantity::units(5)), 1), slot(Value::Quantity(Quantity::units(6)), 1));
        assert_eq!(say(Some(&five), Some(&six)), ("quantity 5".to_owned(), "quantity 6".to_owned()));
        let later = Slot { seq: 2, ..five.clone() };
        assert_eq!(
            say(Some(&later), Some(&five)),
            ("entry 2 as its last".to_owned(), "entry 1 as its last".to_owned())
        );
        assert_eq!(say(None, Some(&five)), ("nothing".to_owned(), "that it is there".to_owned()));
    }

    #[test]
    fn an_object_is_called_as_a_person_calls_it() {
        let mut names = Names::default();
        names.skus.insert(ItemId(1), "MUG".to_owned());
        names.codes.insert(LocationId(2), "LONDON".to_owned());
        let at = Instant::from_micros(0);
        assert_eq!(
            names.key(&Key::Count(ItemId(1), LocationId(2), at, onhand_ledger::CountId(7))),
            "count 7 of `MUG` at `LONDON`, taken at 1970-01-01T00:00:00Z"
        );
        assert_eq!(names.key(&Key::Order(onhand_ledger::OrderId(9))), "order 9");
    }
}
