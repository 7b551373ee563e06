//! The numbers of a system that is one-way in. What it shows is read and kept, so that it can be said; where it is master, and cannot be
//! asked for all that lies there at one instant, its stock is taken from them.
//!
//! A number has in it what the system's own orders took off. It is counted once all orders up to the end of its reading are known, and
//! only where none of them fell into the reading: else nobody could tell whether it is in the number. A number that waits for that is
//! not forgotten for newer ones, or a system that is read often would never be heard.

use std::collections::{BTreeMap, BTreeSet};

use onhand_channels::Reading;
use onhand_ledger::command::Name;
use onhand_ledger::model::Meaning;
use onhand_ledger::{Instant, ItemId, Quantity, SystemId};
use onhand_store::{Note, StoreError};
use onhand_sync::OwnChange;

use super::read::KEPT_AGAIN;
use super::{PART, Worker, WorkerError};
use crate::snapshots::{self, Beside, Row, Snapshot};
use crate::systems::{STALE_FOR, Unheard};
use crate::view::View;

/// What numbers change is counted together for so long, in seconds.
const LATELY: i64 = 3_600;

/// What cannot be compared for so long is said, in seconds.
const UNHEARD_FOR: i64 = 60;

/// It is looked so often whether what is not taken is still to be taken, in seconds.
const TIDIED: i64 = 60;

/// A number that was read.
#[derive(Clone, Copy)]
struct Number {
    quantity: Quantity,
    /// When it began to be read.
    at: Instant,
    /// By when it had been.
    until: Instant,
}

/// The numbers that were read of a listing, and not compared with our books yet.
#[derive(Clone, Copy)]
struct Waiting {
    /// The first, whose turn it is.
    first: Number,
    /// The last after it, whose turn is next.
    last: Option<Number>,
}

/// What was changed, by place over there and SKU: when, by how much.
type Changes = BTreeMap<(String, String), Vec<(Instant, Quantity)>>;

/// Between a place over there and a SKU.
const OF: char = '\u{1f}';

/// The notes of what was changed lately.
fn changed_space(system: SystemId) -> String {
    format!("heard:{system}")
}

fn changed_note(system: SystemId, (place, sku): &(String, String), changes: &[(Instant, Quantity)]) -> Note {
    let body = (!changes.is_empty())
        .then(|| serde_json::to_string(changes).expect("quantities and times can always be written"));
    Note { space: changed_space(system), key: format!("{place}{OF}{sku}"), body }
}

/// What is heard of the numbers of a system that is one-way in.
#[derive(Default)]
pub(super) struct Heard {
    /// Since when it is heard what its orders do to its numbers.
    since: Option<Instant>,
    numbers: BTreeMap<String, Waiting>,
    /// What was changed lately, by place over there and SKU; none: it is to be read.
    changed: Option<Changes>,
    /// What its own orders did to a number.
    sold: BTreeMap<String, BTreeSet<Sold>>,
    /// Since when nobody can tell what a number says.
    unheard: BTreeMap<String, Instant>,
}

/// What an order did to a number.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
struct Sold {
    /// Not before that, by our clock.
    earliest: Instant,
    /// Not after that.
    latest: Instant,
    /// When the ledger has it placed; none where an order was changed, which it knows at once and a number from before does not.
    placed: Option<Instant>,
}

impl Sold {
    /// May it be in a number that was read from `since` until then while the ledger takes it for one that is not, or the other way?
    fn spoils(&self, since: Instant, until: Instant) -> bool {
        let is_in = self.latest < since.plus_micros(-STALE_FOR);
        let is_after = self.earliest > until;
        match self.placed {
            Some(placed) => !(is_in || is_after) || (placed <= since) != is_in,
            None => !is_in,
        }
    }
}

impl Heard {
    fn read(&mut self, key: &str, number: Number) {
        match self.numbers.get_mut(key) {
            Some(waiting) => waiting.last = Some(number),
            None => {
                self.numbers.insert(key.to_owned(), Waiting { first: number, last: None });
            }
        }
    }

    /// The number whose turn it is, where all is known up to the end of its reading.
    fn ready(&self, key: &str, heard_to: Instant) -> Option<Number> {
        self.numbers.get(key).map(|waiting| waiting.first).filter(|number| number.until <= heard_to)
    }

    /// The first number of a listing was compared, or says nothing: it is the next one's turn.
    fn go_on(&mut self, key: &str) {
        let last = self.numbers.remove(key).and_then(|waiting| waiting.last);
        self.numbers.extend(last.map(|last| (key.to_owned(), Waiting { first: last, last: None })));
    }

    /// Forgets the orders that changed numbers before all that will be read or waits.
    fn forget_sold(&mut self, heard_to: Instant) {
        let oldest = self.numbers.values().map(|waiting| waiting.first.at).fold(heard_to, Instant::min);
        self.sold.retain(|_, sold| {
            sold.retain(|one| one.spoils(oldest, oldest));
            !sold.is_empty()
        });
    }
}

impl Worker {
    /// Is what it shows read?
    pub(super) fn reads(&self) -> bool {
        self.system.mode.direction.sends() || self.channel.shows_stock()
    }

    /// An order of its own, placed at an instant by its clock, changed this number.
    pub(super) fn was_sold(&mut self, key: &str, placed_at: Instant, changes: &[OwnChange]) {
        if self.system.mode.direction.sends() {
            self.heard = Heard::default();
            return;
        }
        // Where its clock is not known, it was not later than it was heard of.
        let within = self.status.clock_within();
        let told_within = self.told_within();
        let sold = changes.iter().map(|change| {
            let latest = within.map_or(change.heard_at, |_| change.at);
            let earliest = match within {
                Some(within) => change.at.plus_micros(-within),
                None => change.heard_at.plus_micros(-told_within),
            };
            let placed = change.summed.is_none().then(|| placed_at.min(change.heard_at));
            Sold { earliest, latest, placed }
        });
        self.heard.sold.entry(key.to_owned()).or_default().extend(sold);
    }

    /// These numbers were read, beginning at an instant.
    pub(super) async fn hear_numbers(
        &mut self,
        keys: &[String],
        readings: &[Reading],
        at: Instant,
    ) -> Result<(), WorkerError> {
        let until = self.now();
        // Of orders before that nobody knows here whether they are in a number that was read just after.
        let within = self.status.clock_within().unwrap_or_default();
        let unsure = STALE_FOR + within + self.status.clock_ahead_micros.unwrap_or_default().max(0);
        let is_heard = at >= self.heard.since.get_or_insert(until).plus_micros(unsure);
        let follows = self.index.ownership_with(self.id).is_some();
        let place = |reading: &Reading| (reading.listing.clone(), reading.location.clone());
        let read: BTreeMap<(String, String), &Reading> =
            readings.iter().map(|reading| (place(reading), reading)).collect();
        let (mut news, mut silent) = (Vec::new(), Vec::new());
        for key in keys {
            let Some(mut line) = self.lines.get_mut(key) else { continue };
            let here = (line.listing.remote_id.clone(), line.remote_location.clone());
            // What is not tracked, or not there, says nothing of what lies there.
            let Some(reading) = read.get(&here).filter(|reading| reading.tracked) else {
                if line.state.observed.take().is_some() {
                    news.push(key.clone());
                }
                line.state.counted = None;
                self.heard.numbers.remove(key);
                silent.extend(follows.then(|| (key.clone(), Some(Unheard::Untracked))));
                continue;
            };
            let quantity = reading.quantity;
            let is_news = line.state.observed.is_none_or(|(known, _)| known != quantity)
                || std::mem::replace(&mut line.state.followed, follows) != follows
                || line.kept_at.plus_seconds(KEPT_AGAIN) <= until;
            line.state.observed = Some((quantity, at));
            // What it did before is in the number.
            if line.state.acknowledged.is_none() {
                line.state.changes.retain(|change| change.heard_at >= at.plus_micros(-STALE_FOR));
            }
            if is_news {
                news.push(key.clone());
            }
            if is_heard {
                self.heard.read(key, Number { quantity, at, until });
            }
        }
        self.keep(&news).await?;
        self.keep_unheard(silent).await
    }

    /// Takes what was read as what lies there, where it is master, as far as its orders are known.
    pub(super) async fn take_heard(&mut self) -> Result<(), WorkerError> {
        self.tidy_untaken().await?;
        let Some(heard_to) = self.all_heard_to() else { return Ok(()) };
        self.confirm(self.now());
        if self.index.ownership_with(self.id).is_none() {
            self.heard = Heard::default();
            let unheard = self.lines.iter().filter(|(_, line)| line.state.unheard.is_some());
            let over = unheard.map(|(key, _)| (key.clone(), None)).collect();
            return self.keep_unheard(over).await;
        }
        let numbers = self.heard.numbers.keys();
        let ready: BTreeSet<String> =
            numbers.filter(|key| self.heard.ready(key, heard_to).is_some()).take(PART).cloned().collect();
        if ready.is_empty() {
            return Ok(());
        }
        let mut places = BTreeMap::<String, (Instant, Vec<Row>)>::new();
        let mut done = BTreeSet::new();
        let mut again = BTreeSet::new();
        let (mut told, mut counted) = (Vec::new(), Vec::new());
        for (place, keys) in self.sold_together(&ready) {
            // All that it sells of an item at one place is what lies there of it: each is read, or none is taken.
            let is_missing = |key: &String| !self.heard.numbers.contains_key(key);
            if keys.iter().any(is_missing) {
                let is_shown =
                    |key: &String| self.lines.get(key).is_some_and(|line| line.state.observed.is_some());
                if keys.iter().all(is_shown) {
                    again.extend(keys.iter().cloned());
                } else {
                    let beside = keys.iter().filter(|key| is_shown(key));
                    told.extend(beside.map(|key| (key.clone(), Some(Unheard::Beside))));
                }
                done.extend(keys);
                continue;
            }
            let numbers: Option<Vec<Number>> =
                keys.iter().map(|key| self.heard.ready(key, heard_to)).collect();
            let Some(numbers) = numbers else { continue };
            let since = numbers.iter().map(|number| number.at).fold(heard_to, Instant::min);
            let until = numbers.iter().map(|number| number.until).fold(since, Instant::max);
            done.extend(keys.iter().cloned());
            let sold = keys.iter().filter_map(|key| self.heard.sold.get(key)).flatten();
            if sold.into_iter().any(|sold| sold.spoils(since, until)) {
                told.extend(keys.iter().map(|key| (key.clone(), Some(Unheard::Selling))));
                again.extend(keys);
                continue;
            }
            told.extend(keys.iter().map(|key| (key.clone(), None)));
            for (key, number) in keys.iter().zip(&numbers) {
                // What it sold after that is in no number that our books followed.
                let sold = self.heard.sold.get(key).into_iter().flatten();
                let is_last = sold.into_iter().all(|sold| sold.latest <= number.until);
                counted.push((key.clone(), is_last.then_some(number.quantity)));
            }
            let (as_of, rows) = places.entry(place).or_insert((since, Vec::new()));
            *as_of = since.min(*as_of);
            for (key, number) in keys.iter().zip(numbers) {
                let Some(line) = self.lines.get(key) else { continue };
                let item = Name::Listing(line.listing.remote_id.clone());
                rows.push(Row { item, quantity: number.quantity, lot: None, serials: None });
            }
        }
        // What was read since is looked at next, and nothing needs to be read for it.
        again.retain(|key| self.heard.numbers.get(key).is_none_or(|waiting| waiting.last.is_none()));
        for key in &done {
            self.heard.go_on(key);
        }
        self.heard.forget_sold(heard_to);
        self.keep_unheard(told).await?;
        if !again.is_empty() {
            let soon = self.now().plus_micros(STALE_FOR);
            self.next_read = if self.read_back.is_empty() { soon } else { self.next_read.min(soon) };
            self.read_back.extend(again);
        }
        for (place, (as_of, rows)) in places {
            self.take_numbers(place, as_of, rows, heard_to).await?;
        }
        let mut changed = Vec::new();
        for (key, number) in counted {
            let Some(mut line) = self.lines.get_mut(&key) else { continue };
            if std::mem::replace(&mut line.state.counted, number) != number {
                drop(line);
                changed.push(key);
            }
        }
        self.keep(&changed).await
    }

    /// Keeps of which numbers nobody can tell what they say, and why, where that lasts.
    async fn keep_unheard(&mut self, told: Vec<(String, Option<Unheard>)>) -> Result<(), WorkerError> {
        let now = self.now();
        let mut changed = Vec::new();
        for (key, why) in told {
            let since = match why {
                Some(_) => Some(*self.heard.unheard.entry(key.clone()).or_insert(now)),
                None => {
                    self.heard.unheard.remove(&key);
                    None
                }
            };
            let Some(mut line) = self.lines.get_mut(&key) else { continue };
            let lasting = since.filter(|since| since.plus_seconds(UNHEARD_FOR) <= now);
            let known = line.state.unheard;
            let unheard = match (known, lasting.zip(why)) {
                // Before a restart it was so already.
                (Some((before, _)), Some((since, why))) => Some((before.min(since), why)),
                (Some(_), None) if why.is_some() => known,
                (_, unheard) => unheard,
            };
            if known != unheard {
                line.state.unheard = unheard;
                drop(line);
                changed.push(key);
            }
        }
        self.keep(&changed).await
    }

    /// What our books do not take of its numbers, and why, ends with what it is of: a listing, a name, being master, being one-way in.
    pub(super) async fn tidy_untaken(&mut self) -> Result<(), WorkerError> {
        if self.now() < self.next_tidy {
            return Ok(());
        }
        self.next_tidy = self.now().plus_seconds(TIDIED);
        let is_heard = !self.system.mode.direction.sends();
        let items: BTreeSet<ItemId> =
            if is_heard { self.by_item.keys().copied().collect() } else { BTreeSet::new() };
        match snapshots::tidy_untaken(&self.handle, self.tenant, self.id, &items).await {
            Ok(()) => Ok(()),
            Err(error) => self.not_told(error).await,
        }
    }

    /// The lines of the items of these, by item and place over there, with the place.
    fn sold_together(&self, keys: &BTreeSet<String>) -> Vec<(String, Vec<String>)> {
        let items: BTreeSet<ItemId> =
            keys.iter().filter_map(|key| self.lines.get(key)?.listing.item).collect();
        let mut all = Vec::new();
        for item in items {
            let mut at = BTreeMap::<String, Vec<String>>::new();
            for key in self.by_item.get(&item).map(|kept| kept.keys.clone()).unwrap_or_default() {
                let place = self.lines.get(&key).map(|line| line.remote_location.clone());
                at.entry(place.unwrap_or_default()).or_default().push(key);
            }
            all.extend(at.into_iter().filter(|(_, together)| together.iter().any(|key| keys.contains(key))));
        }
        all
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
            held_by: None,
        };
        let changed = self.changed_lately(&place).await?;
        let beside = Beside {
            changed,
            shown: || {
                let here = self.lines.iter().filter(|(_, line)| line.remote_location == place);
                let shown = here.filter_map(|(_, line)| {
                    let units =
                        line.state.observed?.0.micros().saturating_mul(i64::from(line.listing.multiplier));
                    Some(Quantity::from_micros(units.max(0)))
                });
                shown.sum()
            },
        };
        match snapshots::hear(&self.handle, self.tenant, self.id, snapshot, beside).await {
            Ok(changed) => {
                let (id, now) = (self.id, self.now());
                let mut notes = Vec::new();
                for (sku, difference) in changed {
                    let of = (place.clone(), sku);
                    let changes = self.heard.changed.get_or_insert_default().entry(of.clone()).or_default();
                    changes.push((now, difference));
                    notes.push(changed_note(id, &of, changes));
                }
                self.keep_changed(notes).await
            }
            Err(error) => self.not_told(error).await,
        }
    }

    /// What was added at a place lately, less what was taken, by SKU. What is longer ago is forgotten.
    async fn changed_lately(&mut self, place: &str) -> Result<BTreeMap<String, Quantity>, WorkerError> {
        let (id, now) = (self.id, self.now());
        let changed = match &mut self.heard.changed {
            Some(changed) => changed,
            none => none.insert(self.handle.ledger().read(self.tenant, |view| changes_kept(view, id))?),
        };
        let mut over = Vec::new();
        changed.retain(|of, changes| {
            let known = changes.len();
            changes.retain(|(at, _)| at.plus_seconds(LATELY) > now);
            if changes.len() < known {
                over.push(changed_note(id, of, changes));
            }
            !changes.is_empty()
        });
        let here = changed.iter().filter(|((at, _), _)| at == place);
        let sums = here.map(|((_, sku), changes)| (sku.clone(), changes.iter().map(|(_, net)| *net).sum()));
        let sums = sums.collect();
        self.keep_changed(over).await?;
        Ok(sums)
    }

    async fn keep_changed(&self, notes: Vec<Note>) -> Result<(), WorkerError> {
        if !notes.is_empty() {
            self.handle.submit_with(self.tenant, None, notes).await?;
        }
        Ok(())
    }
}

/// What was changed lately, as it is kept.
fn changes_kept(view: &mut View<'_>, id: SystemId) -> Result<Changes, StoreError> {
    let space = changed_space(id);
    let mut all = Changes::new();
    view.each_note(&space, |key, body| {
        let damaged =
            |error: &dyn std::fmt::Display| StoreError::Damaged(format!("note {space}/{key}: {error}"));
        let (place, sku) = key.split_once(OF).ok_or_else(|| damaged(&"it names no place"))?;
        let changes = serde_json::from_str(&body).map_err(|error| damaged(&error))?;
        all.insert((place.to_owned(), sku.to_owned()), changes);
        Ok(())
    })?;
    Ok(all)
}
