//! Items, locations, systems, listings: the things stock is told about. And the inbox's own commands.

use crate::answer::{Answer, Invalid, Refusal};
use crate::command::{
    Note, PutItem, PutListing, PutLocation, PutMode, PutSystem, Resolve, check_address, check_name,
};
use crate::entry::Entry;
use crate::key::{CellKey, Key, StockState};
use crate::model::{
    Choice, DEBOUNCE_AT_MOST, GetsOrders, Item, Listing, Location, LocationMapping, Meaning, Mode, System,
    Timing, Tracking,
};
use crate::state::Value;
use crate::{DiscrepancyId, ItemId, ListingId, LocationId, OrderId, Precision, SystemId};

use super::tx::{Found, Stop, Tx};
use super::{allocation, item, kits, lots, masters, rules};

/// How deep locations are inside each other.
const DEEPEST: usize = 10;

pub(super) fn put_item(tx: &mut Tx<'_>, put: &PutItem) -> Result<Answer, Stop> {
    put.check()?;
    let known = match tx.value(&Key::Sku(put.sku.clone()))? {
        Some(Value::ItemId(id)) => Some(*id),
        _ => None,
    };
    let before = known.map(|id| tx.item(id).cloned()).transpose()?;
    let mut item = before.clone().unwrap_or_else(|| Item::new(&put.sku));
    if let Some(precision) = put.precision {
        if before.is_some() && precision < item.precision {
            let decimals = item.precision.decimals();
            return Err(Refusal::PrecisionInUse { sku: put.sku.clone(), decimals }.into());
        }
        item.precision = precision;
    }
    let fields = [(&mut item.name, &put.name), (&mut item.unit, &put.unit)];
    for (field, given) in fields {
        if let Some(given) = given {
            field.clone_from(given);
        }
    }
    let lists =
        [(&mut item.barcodes, &put.barcodes), (&mut item.tags, &put.tags), (&mut item.aliases, &put.aliases)];
    for (field, given) in lists {
        if let Some(given) = given {
            field.clone_from(given);
        }
    }
    if let Some(packs) = &put.packs {
        item.packs.clone_from(packs);
    }
    item.low_stock.level = put.low_stock.or(item.low_stock.level);
    item.archived = put.archived.unwrap_or(item.archived);
    let limits = [
        (&mut item.beyond.backorder_limit, put.backorder_limit),
        (&mut item.beyond.preorder_limit, put.preorder_limit),
    ];
    for (field, given) in limits {
        if let Some(limit) = given {
            *field = limit;
        }
    }
    if let Some(from) = put.available_from {
        item.beyond.available_from = Some(from).filter(|from| *from > tx.now);
    }
    if let Some(kit) = &put.kit {
        item.kit = kits::resolve(tx, kit)?;
    }
    if let Some(tracking) = put.tracking.filter(|tracking| *tracking != item.tracking) {
        if let Some(id) = known {
            must_not_have_moved(tx, id, "how it is tracked")?;
        }
        item.tracking = tracking;
    }
    if item.tracking == Tracking::Serials && item.precision != Precision::WHOLE {
        let problem = format!("`{}` is tracked by serials, and pieces are whole", put.sku);
        return Err(Invalid::Field { field: "precision", problem }.into());
    }
    let id = known.unwrap_or(ItemId(tx.next_seq()));
    if before.as_ref().is_none_or(|before| before.tags != item.tags) {
        masters::tagged_must_not_tie(tx, id, &item)?;
        rules::tagged_must_not_tie(tx, id, &item)?;
    }
    let is_kit = put.kit.is_some();
    let answer = item::write(tx, known, before.as_ref(), item)?;
    if is_kit {
        kits::must_be_possible(tx, id)?;
    }
    Ok(answer)
}

/// Has any of an item ever moved?
fn must_not_have_moved(tx: &Tx<'_>, item: ItemId, what: &str) -> Result<(), Stop> {
    let parties = StockState::ALL.into_iter().filter(|state| state.is_party());
    let cells: Vec<CellKey> = parties.map(|party| CellKey::party(item, party)).collect();
    tx.want_cells(cells.iter().copied())?;
    let lots =
        tx.range(Key::LotCode(item, String::new()), Key::LotCode(ItemId(item.0 + 1), String::new()))?;
    let moved = cells.into_iter().map(|cell| tx.has_moved(cell)).collect::<Result<Vec<_>, Stop>>()?;
    if lots.is_empty() && !moved.contains(&true) {
        return Ok(());
    }
    Err(Refusal::ItemInUse { sku: tx.sku(item)?, what: what.to_owned() }.into())
}

pub(super) fn put_location(tx: &mut Tx<'_>, put: &PutLocation) -> Result<Answer, Stop> {
    put.check()?;
    let known = match tx.value(&Key::LocationCode(put.code.clone()))? {
        Some(Value::LocationId(id)) => Some(*id),
        _ => None,
    };
    let before = known.map(|id| tx.location(id).cloned()).transpose()?;
    let base = before.clone().unwrap_or_else(|| Location::new(&put.code));
    let mut groups = put.groups.clone().unwrap_or(base.groups);
    groups.sort_unstable();
    groups.dedup();
    let location = Location {
        code: base.code,
        name: put.name.clone().unwrap_or(base.name),
        sellable: put.sellable.unwrap_or(base.sellable),
        rank: put.rank.unwrap_or(base.rank),
        parent: match put.parent.as_deref() {
            None => base.parent,
            Some("") => None,
            Some(code) => Some(tx.location_id(code)?),
        },
        time_zone: match put.time_zone.as_deref() {
            None => base.time_zone,
            Some("") => None,
            Some(name) => {
                lots::zone_of(name)?;
                Some(name.to_owned())
            }
        },
        groups,
    };
    let id = known.unwrap_or(LocationId(tx.next_seq()));
    if let Some(parent) = location.parent {
        let above = tx.sites()?.above(parent);
        let problem = if above.contains(&id) {
            format!("`{}` would be inside itself", put.code)
        } else if above.len() >= DEEPEST {
            format!("`{}` would be more than {DEEPEST} deep", put.code)
        } else {
            String::new()
        };
        if !problem.is_empty() {
            return Err(Invalid::Field { field: "parent", problem }.into());
        }
    }
    let begins_to_sell = before
        .as_ref()
        .is_some_and(|before| location.sellable && (!before.sellable || location.parent != before.parent));
    let days_end_otherwise = before
        .as_ref()
        .is_some_and(|before| (&before.time_zone, before.parent) != (&location.time_zone, location.parent));
    let is_moved = before.as_ref().is_some_and(|before| before.parent != location.parent);
    let groups_before = before.as_ref().map(|before| before.groups.clone()).unwrap_or_default();
    let is_regrouped = groups_before != location.groups;
    let serves_others = before.is_some() && allocation::ask_for_one_of(tx, &groups_before, &location.groups)?;
    if before.as_ref() != Some(&location) {
        tx.emit(Entry::Location(id, Box::new(location)))?;
    }
    if is_moved || is_regrouped {
        masters::moved_must_not_tie(tx, id)?;
    }
    if days_end_otherwise {
        lots::register_all(tx, id)?;
    }
    if begins_to_sell || serves_others {
        super::order::offer_all(tx)?;
    }
    Ok(Answer::Location(id))
}

pub(super) fn put_system(tx: &mut Tx<'_>, put: &PutSystem) -> Result<Answer, Stop> {
    check_address("name", &put.name)?;
    check_name("kind", &put.kind, 100)?;
    if put.name == "onhand" {
        return Err(Invalid::Field { field: "name", problem: "`onhand` is Onhand itself".into() }.into());
    }
    let known = match tx.value(&Key::SystemName(put.name.clone()))? {
        Some(Value::SystemId(id)) => Some(*id),
        _ => None,
    };
    let before = known.map(|id| tx.system(id).cloned()).transpose()?;
    if let Some(before) = before.as_ref().filter(|before| before.kind != put.kind) {
        let problem =
            format!("`{}` is of kind `{}`; remove it first, or use another name", put.name, before.kind);
        return Err(Invalid::Field { field: "kind", problem }.into());
    }
    let locations = match &put.locations {
        None => before.as_ref().map(|before| before.locations.clone()).unwrap_or_default(),
        Some(pairs) => {
            let mut mapped: Vec<LocationMapping> = Vec::new();
            for (remote_id, code) in pairs {
                let location = tx.location_id(code)?;
                if mapped.iter().any(|mapping| mapping.remote_id == *remote_id) {
                    return Err(Invalid::Twice { field: "locations", value: remote_id.clone() }.into());
                }
                mapped.push(LocationMapping { remote_id: remote_id.clone(), location });
            }
            mapped
        }
    };
    let system = System {
        name: put.name.clone(),
        kind: put.kind.clone(),
        locations,
        paused: put.paused.unwrap_or(before.as_ref().is_some_and(|before| before.paused)),
        mode: mode(before.as_ref().map(|before| &before.mode), put.mode.as_ref())?,
        inbound: put.inbound.or_else(|| before.as_ref().map(|before| before.inbound)).unwrap_or_default(),
        role: put.role.or(before.as_ref().and_then(|before| before.role)),
        stage: put.stage.or(before.as_ref().map(|before| before.stage)).unwrap_or_default(),
        gets_orders: put.gets_orders.or(before.as_ref().map(|before| before.gets_orders)).unwrap_or_default(),
    };
    if system.gets_orders == GetsOrders::FromOnhand && system.inbound.meaning == Meaning::NetOfOwnOrders {
        let problem = format!(
            "`{}` gets its orders from Onhand: what it tells of its stock must be what lies there (`physical`), not net of orders",
            put.name
        );
        return Err(Invalid::Field { field: "meaning", problem }.into());
    }
    for (field, percent) in [
        ("hold_above_percent", system.inbound.hold_above_percent),
        ("hold_below_rows_percent", system.inbound.hold_below_rows_percent),
    ] {
        if percent > 100 {
            return Err(Invalid::Field { field, problem: format!("must be 0 to 100, not {percent}") }.into());
        }
    }
    let id = known.unwrap_or(SystemId(tx.next_seq()));
    if before.as_ref() != Some(&system) {
        tx.emit(Entry::System(id, Box::new(system)))?;
    }
    Ok(Answer::System(id))
}

/// A mode with what is told of it changed.
fn mode(before: Option<&Mode>, put: Option<&PutMode>) -> Result<Mode, Invalid> {
    let before = before.cloned().unwrap_or_default();
    let Some(PutMode { direction, timing, policy, zeros }) = put else { return Ok(before) };
    let mode = Mode {
        direction: direction.unwrap_or(before.direction),
        timing: timing.clone().unwrap_or(before.timing),
        policy: policy.unwrap_or(before.policy),
        zeros: zeros.unwrap_or(before.zeros),
    };
    match &mode.timing {
        Timing::NearRealTime { debounce_ms } if *debounce_ms > DEBOUNCE_AT_MOST => {
            let problem =
                format!("must be at most {DEBOUNCE_AT_MOST}, which is an hour; beyond that a batch is right");
            return Err(Invalid::Field { field: "debounce_ms", problem });
        }
        Timing::NearRealTime { .. } => {}
        Timing::Batch(schedule) => {
            schedule.check().map_err(|(field, problem)| Invalid::Field { field, problem })?;
        }
    }
    if mode.zeros.share > 100 {
        return Err(Invalid::Field { field: "share", problem: "must be 0 to 100".into() });
    }
    Ok(mode)
}

pub(super) fn put_listing(tx: &mut Tx<'_>, put: &PutListing) -> Result<Answer, Stop> {
    check_name("remote_id", &put.remote_id, 255)?;
    if put.multiplier == 0 {
        return Err(Invalid::Field { field: "multiplier", problem: "must be at least 1".into() }.into());
    }
    let system = tx.system_id(&put.system)?;
    let item = put.sku.as_deref().map(|sku| tx.item_id(sku)).transpose()?;
    let known = tx.listing_id(system, &put.remote_id)?;
    let before = match known {
        Some(_) => tx.listing(system, &put.remote_id)?.cloned(),
        None => None,
    };
    // Somebody may have mapped it since it was looked at.
    let (item, multiplier) = match before.as_ref().filter(|before| put.found && before.item.is_some()) {
        Some(before) => (before.item, before.multiplier),
        None => (item, put.multiplier),
    };
    let listing = Listing {
        system,
        remote_id: put.remote_id.clone(),
        remote_sku: put
            .remote_sku
            .clone()
            .or_else(|| before.as_ref().and_then(|before| before.remote_sku.clone())),
        item,
        multiplier,
        // What was measured of another item says nothing of this one.
        buffer: before.as_ref().filter(|before| before.item == item).and_then(|before| before.buffer.clone()),
    };
    let id = known.unwrap_or(ListingId(tx.next_seq()));
    if let Some(before) = &before
        && let Some(was) = before.item.filter(|was| (Some(*was), before.multiplier) != (item, multiplier))
        && tx.value(&Key::Meant(OrderId(0), 0, id))?.is_none()
    {
        tx.emit(Entry::Meant { listing: id, line: None, item: was, units: before.multiplier })?;
    }
    if before.as_ref() != Some(&listing) {
        tx.emit(Entry::Listing(id, Box::new(listing), before.and_then(|before| before.item)))?;
    }
    Ok(Answer::Listing(id))
}

pub(super) fn resolve(tx: &mut Tx<'_>, resolve: &Resolve) -> Result<Answer, Stop> {
    end_as(tx, resolve.discrepancy, resolve.choice)?;
    Ok(Answer::Discrepancy(resolve.discrepancy))
}

/// Ends a discrepancy that is open.
pub(super) fn end_discrepancy(tx: &mut Tx<'_>, id: DiscrepancyId) -> Result<(), Stop> {
    end_as(tx, id, None)
}

/// Ends a discrepancy that is open, with what was chosen.
fn end_as(tx: &mut Tx<'_>, id: DiscrepancyId, choice: Option<Choice>) -> Result<(), Stop> {
    let mut known = match tx.value(&Key::Discrepancy(id))? {
        Some(Value::Discrepancy(known)) => known.clone(),
        _ => return Err(Invalid::Unknown { kind: "discrepancy", id: id.to_string() }.into()),
    };
    if known.resolved_at.is_some() {
        return Err(Refusal::AlreadyResolved { discrepancy: id }.into());
    }
    if let Some(choice) = choice.filter(|choice| !known.choices.contains(choice)) {
        let names: Vec<&str> = known.choices.iter().map(|choice| choice.name()).collect();
        let problem = match names.as_slice() {
            [] => {
                format!(
                    "`{}` is no choice here: it is no question, and is resolved without. What is held with it is decided where it is: \
                     a snapshot by `onhand snapshot approve` or `reject`, or by what the inbox proposes",
                    choice.name()
                )
            }
            names => format!("`{}` is no choice here; right is {}", choice.name(), names.join(" or ")),
        };
        return Err(Invalid::Field { field: "choice", problem }.into());
    }
    (known.resolved_at, known.chosen) = (Some(tx.now), choice);
    tx.emit(Entry::Discrepancy(id, known))?;
    Ok(())
}

/// Ends a discrepancy whose cause is over, unless a person did before.
pub(super) fn end_if_open(tx: &mut Tx<'_>, id: DiscrepancyId) -> Result<(), Stop> {
    match end_discrepancy(tx, id) {
        Err(Stop::Refused(refusal)) if matches!(*refusal, Refusal::AlreadyResolved { .. }) => Ok(()),
        ended => ended,
    }
}

pub(super) fn note(tx: &mut Tx<'_>, note: &Note) -> Result<Answer, Stop> {
    let system = tx.system_id(&note.system)?;
    let item = note.sku.as_deref().map(|sku| tx.item_id(sku)).transpose()?;
    let id = tx.discrepancy(Found {
        item,
        system,
        quantity: note.quantity,
        evidence: note.evidence.clone(),
        choices: note.choices.clone(),
        ..Found::new(note.cause, note.sentence.clone())
    })?;
    Ok(Answer::Discrepancy(id))
}
