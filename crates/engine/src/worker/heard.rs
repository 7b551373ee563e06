//! The numbers of a system that is one-way in. What it shows is read and kept, so that it can be said; where it is master, and cannot be
//! asked for all that lies there at one instant, its stock is taken from them.
//!
//! A number has in it what the system's own orders took off. It is counted once all orders up to the end of its reading are known, and
//! only where none of them fell into the reading: else nobody could tell whether it is in the number.

use std::collections::{BTreeMap, BTreeSet};

use onhand_channels::Reading;
use onhand_ledger::command::{Name, Note as NoteCommand};
use onhand_ledger::model::{Cause, Meaning};
use onhand_ledger::{Instant, ItemId, Quantity};
use onhand_sync::OwnChange;

use super::read::KEPT_AGAIN;
use super::{PART, Worker, WorkerError};
use crate::snapshots::{self, Row, Snapshot};
use crate::systems::STALE_FOR;

/// A number that was read.
#[derive(Clone, Copy)]
struct Number {
    quantity: Quantity,
    /// When it began to be read.
    at: Instant,
    /// By when it had been.
    until: Instant,
}

/// What is heard of the numbers of a system that is one-way in.
#[derive(Default)]
pub(super) struct Heard {
    /// Those that were read, and not compared with our books yet.
    numbers: BTreeMap<String, Number>,
    /// When an order of its own last changed a number, by our clock.
    sold: BTreeMap<String, Instant>,
}

impl Worker {
    /// Is what it shows read?
    pub(super) fn reads(&self) -> bool {
        self.system.mode.direction.sends() || self.channel.shows_stock()
    }

    /// Its own orders changed this number.
    pub(super) fn was_sold(&mut self, key: &str, changes: &[OwnChange]) {
        let is_told = self.status.clock_within().is_some();
        // Where its clock is not known, it was not later than it was heard of.
        let newest = changes.iter().map(|change| if is_told { change.at } else { change.heard_at }).max();
        if let Some(newest) = newest.filter(|_| !self.system.mode.direction.sends()) {
            let known = self.heard.sold.entry(key.to_owned()).or_insert(newest);
            *known = newest.max(*known);
        }
    }

    /// These numbers were read, beginning at an instant.
    pub(super) async fn hear_numbers(
        &mut self,
        keys: &[String],
        readings: &[Reading],
        at: Instant,
    ) -> Result<(), WorkerError> {
        let until = self.now();
        let place = |reading: &Reading| (reading.listing.clone(), reading.location.clone());
        let read: BTreeMap<(String, String), &Reading> =
            readings.iter().map(|reading| (place(reading), reading)).collect();
        let mut news = Vec::new();
        for key in keys {
            let Some(mut line) = self.lines.get_mut(key) else { continue };
            let here = (line.listing.remote_id.clone(), line.remote_location.clone());
            // What is not tracked, or not there, says nothing of what lies there.
            let Some(reading) = read.get(&here).filter(|reading| reading.tracked) else { continue };
            let quantity = reading.quantity;
            let is_news = line.state.observed.is_none_or(|(known, _)| known != quantity)
                || line.kept_at.plus_seconds(KEPT_AGAIN) <= until;
            line.state.observed = Some((quantity, at));
            if is_news {
                news.push(key.clone());
            }
            self.heard.numbers.insert(key.clone(), Number { quantity, at, until });
        }
        self.keep(&news).await
    }

    /// Takes what was read as what lies there, where it is master, as far as its orders are known.
    pub(super) async fn take_heard(&mut self) -> Result<(), WorkerError> {
        let Some(heard_to) = self.all_heard_to() else { return Ok(()) };
        self.confirm(self.now());
        if self.index.ownership_with(self.id).is_none() {
            self.heard = Heard::default();
            return Ok(());
        }
        let ready: Vec<String> = self
            .heard
            .numbers
            .iter()
            .filter(|(_, number)| number.until <= heard_to)
            .map(|(key, _)| key.clone())
            .take(PART)
            .collect();
        if ready.is_empty() {
            return Ok(());
        }
        let unsure = STALE_FOR + self.status.clock_within().unwrap_or_default();
        let items: BTreeSet<ItemId> =
            ready.iter().filter_map(|key| self.lines.get(key)?.listing.item).collect();
        let mut places = BTreeMap::<String, (Instant, Vec<Row>)>::new();
        let mut again = BTreeSet::new();
        for item in items {
            let keys = self.by_item.get(&item).map(|kept| kept.keys.clone()).unwrap_or_default();
            // All that it sells of an item at one place is what lies there of it: each is read, or none is taken.
            let mut at = BTreeMap::<String, Vec<String>>::new();
            for key in keys {
                let place = self.lines.get(&key).map(|line| line.remote_location.clone());
                at.entry(place.unwrap_or_default()).or_default().push(key);
            }
            for (place, keys) in at {
                if !keys.iter().any(|key| ready.contains(key)) {
                    continue;
                }
                let numbers: Vec<Option<Number>> = keys
                    .iter()
                    .map(|key| self.heard.numbers.get(key).copied().filter(|number| number.until <= heard_to))
                    .collect();
                let Some(numbers) = numbers.into_iter().collect::<Option<Vec<Number>>>() else { continue };
                let since = numbers.iter().map(|number| number.at).min().unwrap_or(heard_to);
                let is_sold = |key: &String| {
                    self.heard.sold.get(key).is_some_and(|sold| sold.plus_micros(unsure) >= since)
                };
                if keys.iter().any(is_sold) {
                    again.extend(keys.iter().cloned());
                    continue;
                }
                let (as_of, rows) = places.entry(place).or_insert((since, Vec::new()));
                *as_of = since.min(*as_of);
                for (key, number) in keys.iter().zip(numbers) {
                    let Some(line) = self.lines.get(key) else { continue };
                    let item = Name::Listing(line.listing.remote_id.clone());
                    rows.push(Row { item, quantity: number.quantity, lot: None, serials: None });
                }
            }
        }
        for key in &ready {
            self.heard.numbers.remove(key);
        }
        // What an order changed so long ago is in whatever is read from now on.
        let over = heard_to.plus_micros(-2 * unsure);
        self.heard.sold.retain(|_, sold| *sold >= over);
        if !again.is_empty() {
            let soon = self.now().plus_micros(unsure);
            self.next_read = if self.read_back.is_empty() { soon } else { self.next_read.min(soon) };
            self.read_back.extend(again);
        }
        for (place, (as_of, rows)) in places {
            self.take_numbers(place, as_of, rows, heard_to).await?;
        }
        Ok(())
    }

    /// Counts what our books have otherwise.
    async fn take_numbers(
        &mut self,
        place: String,
        as_of: Instant,
        rows: Vec<Row>,
        heard_to: Instant,
    ) -> Result<(), WorkerError> {
        let mapped = &self.system.locations;
        let ours = mapped.iter().find(|mapping| mapping.remote_id == place).map(|mapping| mapping.location);
        // Several numbers that are all of one place of ours are what lies there together, and none of them alone.
        if mapped.iter().filter(|mapping| Some(mapping.location) == ours).count() != 1 {
            return Ok(());
        }
        // It sells more than it has. What lies there cannot be less than nothing: that says nothing of it.
        let rows: Vec<Row> = rows.into_iter().filter(|row| !row.quantity.is_negative()).collect();
        if rows.is_empty() {
            return Ok(());
        }
        let snapshot = Snapshot {
            document: None,
            location: Some(place.clone()),
            as_of,
            whole: false,
            declared_rows: None,
            documents_known_to: Some(heard_to),
            rows,
            meaning: Some(Meaning::NetOfOwnOrders),
            agrees: Quantity::ZERO,
        };
        let compared = match snapshots::compare(&self.handle, self.tenant, self.id, snapshot).await {
            Ok(compared) => compared,
            Err(error) => return self.not_told(error).await,
        };
        for (sku, why) in compared.refused {
            let name = &self.system.name;
            let sentence =
                format!("{name} is master of {sku}, and what it shows of it cannot be counted: {why}.");
            let key = format!("heard/{}/{}", self.id, blake3::hash(sentence.as_bytes()).to_hex());
            let note = self.note_of(Cause::UnknownName, Quantity::ZERO, sentence);
            self.submit_note(Some(key), NoteCommand { sku: Some(sku), ..note }).await?;
        }
        let Some(mut snapshot) = compared.snapshot else { return Ok(()) };
        let names: Vec<_> = snapshot.rows.iter().map(|row| (&row.item, row.quantity)).collect();
        let said = serde_json::to_vec(&names).expect("rows can always be written");
        let said = blake3::hash(&said).to_hex();
        snapshot.document = Some(format!("{place} {as_of} {}", said.get(..8).unwrap_or_default()));
        match snapshots::tell(&self.handle, self.tenant, &self.system.name, snapshot).await {
            Ok(_) => Ok(()),
            Err(error) => self.not_told(error).await,
        }
    }
}
