//! The log as rows, one for each entry, with what it names told by name.

use std::collections::HashMap;
use std::sync::Arc;

use onhand_engine::View;
use onhand_ledger::entry::Account;
use onhand_ledger::{Entry, ItemId, LocationId, LotId, Quantity, Record, Seq, SystemId};
use onhand_store::StoreError;

/// So many names are kept at a time.
const NAMES: usize = 100_000;

/// One side of a movement.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Side {
    /// The location's code; none for an outside party.
    pub location: Option<Arc<str>>,
    /// In what state, or whose account.
    pub state: &'static str,
    /// Of which lot or serial.
    pub lot: Option<Arc<str>>,
    /// Whose goods; none: the tenant's.
    pub consignor: Option<u64>,
    /// What it holds after the movement.
    pub balance: Quantity,
}

/// One entry of the log. Names are those that things have now.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct LogRow {
    /// Its number.
    pub seq: Seq,
    /// That of the first entry of what the same command did.
    pub record_seq: Seq,
    /// When it was known, in microseconds since 1970.
    pub recorded_at: i64,
    /// When what it tells happened (a movement) or was seen (a count).
    pub occurred_at: Option<i64>,
    /// Who asked.
    pub actor: Arc<str>,
    /// The request's key.
    pub key: Option<Arc<str>>,
    /// The system that told the document.
    pub system: Option<Arc<str>>,
    /// The outside document.
    pub document: Option<Arc<str>>,
    /// Its kind, as the change feed calls it.
    pub kind: String,
    /// The item it is about.
    pub item: Option<(u64, Arc<str>)>,
    /// Out of.
    pub from: Option<Side>,
    /// Into.
    pub to: Option<Side>,
    /// How much moved.
    pub quantity: Option<Quantity>,
    /// Why it moved.
    pub reason: Option<String>,
    /// The paper that whoever asked named.
    pub reference: Option<Arc<str>>,
    /// What whoever asked said.
    pub note: Option<Arc<str>>,
    /// The count or movement that it corrects or explains.
    pub corrects: Option<Seq>,
    /// All of it, as the change feed tells it.
    pub entry: String,
}

/// What things are called, as far as it was asked for lately.
#[derive(Debug, Default)]
pub struct Names {
    items: HashMap<ItemId, Arc<str>>,
    locations: HashMap<LocationId, Arc<str>>,
    lots: HashMap<LotId, Arc<str>>,
    systems: HashMap<SystemId, Arc<str>>,
}

fn named<K: std::hash::Hash + Eq + Copy>(
    known: &mut HashMap<K, Arc<str>>,
    id: K,
    name: impl FnOnce() -> Result<String, StoreError>,
) -> Result<Arc<str>, StoreError> {
    if let Some(name) = known.get(&id) {
        return Ok(name.clone());
    }
    let name: Arc<str> = name()?.into();
    if known.len() >= NAMES {
        known.clear();
    }
    known.insert(id, name.clone());
    Ok(name)
}

impl Names {
    fn item(&mut self, view: &mut View<'_>, id: ItemId) -> Result<(u64, Arc<str>), StoreError> {
        let name = || Ok(view.item(id)?.map_or_else(|| id.to_string(), |item| item.sku));
        Ok((id.0, named(&mut self.items, id, name)?))
    }

    fn side(&mut self, view: &mut View<'_>, account: &Account) -> Result<Side, StoreError> {
        let Account { location, state, lot, consignor, balance, .. } = *account;
        let code = || Ok(view.location(location)?.map_or_else(|| location.to_string(), |known| known.code));
        let place = (location.0 != 0).then(|| named(&mut self.locations, location, code)).transpose()?;
        let code = || Ok(view.lot(lot)?.map_or_else(|| lot.to_string(), |known| known.code));
        let lot = (lot.0 != 0).then(|| named(&mut self.lots, lot, code)).transpose()?;
        let consignor = (consignor.0 != 0).then_some(consignor.0);
        Ok(Side { location: place, state: state.name(), lot, consignor, balance })
    }

    /// The rows of a record.
    pub fn rows(
        &mut self,
        view: &mut View<'_>,
        first: Seq,
        record: &Record,
        rows: &mut Vec<LogRow>,
    ) -> Result<(), StoreError> {
        let shared = |text: &Option<String>| text.as_deref().map(Arc::<str>::from);
        let (system, document) = match &record.document {
            None => (None, None),
            Some((id, document)) => {
                let name = || Ok(view.system(*id)?.map_or_else(|| "onhand".to_owned(), |system| system.name));
                (Some(named(&mut self.systems, *id, name)?), Some(Arc::<str>::from(document.as_str())))
            }
        };
        let actor: Arc<str> = record.actor.as_str().into();
        let (key, reference, note) = (shared(&record.key), shared(&record.reference), shared(&record.note));
        for (seq, entry) in (first..).zip(&record.entries) {
            let json = serde_json::to_string(entry)
                .map_err(|error| StoreError::Damaged(format!("entry {seq} cannot be told: {error}")))?;
            let item = about(entry).filter(|item| item.0 != 0);
            let mut row = LogRow {
                seq,
                record_seq: first,
                recorded_at: record.recorded_at.micros(),
                occurred_at: None,
                actor: actor.clone(),
                key: key.clone(),
                system: system.clone(),
                document: document.clone(),
                kind: kind(&json),
                item: item.map(|item| self.item(view, item)).transpose()?,
                from: None,
                to: None,
                quantity: None,
                reason: None,
                reference: reference.clone(),
                note: note.clone(),
                corrects: None,
                entry: json,
            };
            match entry {
                Entry::Movement(movement) => {
                    row.occurred_at = Some(movement.occurred_at.micros());
                    row.from = Some(self.side(view, &movement.from)?);
                    row.to = Some(self.side(view, &movement.to)?);
                    row.quantity = Some(movement.quantity);
                    row.reason = Some(movement.reason.clone());
                    row.corrects = movement.corrects;
                }
                Entry::Count(_, count) => row.occurred_at = Some(count.as_of.micros()),
                _ => {}
            }
            rows.push(row);
        }
        Ok(())
    }
}

/// The item that an entry is about, where it is about one.
fn about(entry: &Entry) -> Option<ItemId> {
    match entry {
        Entry::Item(item, _) | Entry::Seen(_, item, ..) => Some(*item),
        Entry::Buffer(_, item, _) | Entry::Meant { item, .. } => Some(*item),
        Entry::Short { item, .. } | Entry::Claimed { item, .. } => Some(*item),
        Entry::Movement(movement) => Some(movement.item),
        Entry::Count(_, count) => Some(count.item),
        Entry::Lot(_, lot) => Some(lot.item),
        Entry::Listing(_, listing, _) => listing.item,
        Entry::Discrepancy(_, discrepancy) => discrepancy.item,
        _ => None,
    }
}

/// An entry's JSON is an object with one member, named for its kind, or that name alone.
fn kind(json: &str) -> String {
    json.split('"').nth(1).unwrap_or_default().to_owned()
}
