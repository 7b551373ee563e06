//! The stock of an outside master, read from it now and then: a snapshot, as if it had told it by itself.

use std::collections::{BTreeMap, BTreeSet};

use onhand_ledger::command::Name;
use onhand_ledger::model::Cause;
use onhand_ledger::{Instant, Quantity};
use onhand_store::StoreError;

use super::{Worker, WorkerError};
use crate::snapshots::{Row, Snapshot, SnapshotError, is_held_or_rejected, tell};

impl Worker {
    /// Reads what lies at each place of which the system is master, where it can be asked and it is time.
    pub(super) async fn read_stock(&mut self) -> Result<(), WorkerError> {
        if !self.channel.tells_stock() || self.system.mode.direction.sends() || self.now() < self.next_stock {
            return Ok(());
        }
        let (id, locations) = (self.id, self.system.locations.clone());
        let rules = self.handle.ledger().read(self.tenant, |view| {
            let all = view.rules()?;
            Ok::<_, StoreError>(all.ownership)
        })?;
        if !rules.iter().any(|(_, rule)| rule.master == id) {
            return Ok(());
        }
        for place in locations {
            let told = self.channel.stock(&place.remote_id).await?;
            self.keep_to_budget();
            // What is mapped to nothing is told of when it is discovered.
            let rows = self.handle.ledger().read(self.tenant, |view| {
                let mut rows = Vec::new();
                for row in told.rows {
                    if view.is_mapped(id, &row.listing)? {
                        let item = Name::Listing(row.listing);
                        rows.push(Row { item, quantity: row.quantity, lot: row.lot, serials: None });
                    }
                }
                Ok::<_, StoreError>(rows)
            })?;
            let rows = self.tell_below_nothing(&place.remote_id, told.as_of, rows).await?;
            let snapshot = Snapshot {
                document: None,
                location: Some(place.remote_id.clone()),
                as_of: told.as_of,
                whole: told.is_whole,
                declared_rows: None,
                documents_known_to: None,
                rows,
                meaning: None,
                agrees: Quantity::ZERO,
                held_by: None,
            };
            self.see(&place.remote_id, &snapshot).await?;
            // What it says again waits for a person, or one has rejected it.
            let is_known = self.handle.ledger().read(self.tenant, |view| {
                let code = view.location(place.location)?.map(|location| location.code).unwrap_or_default();
                is_held_or_rejected(view, id, &code, &snapshot.rows)
            })?;
            if is_known {
                continue;
            }
            if let Err(error) = tell(&self.handle, self.tenant, &self.system.name, snapshot).await {
                self.not_told(error).await?;
            }
        }
        self.next_stock = self.now().plus_micros(self.pace.stock_ms * 1_000);
        Ok(())
    }

    /// What it says that lies at one of its locations is what it shows there.
    pub(super) async fn see(&mut self, place: &str, snapshot: &Snapshot) -> Result<(), WorkerError> {
        let mut sums = BTreeMap::<&str, Quantity>::new();
        for row in &snapshot.rows {
            if let Name::Listing(listing) = &row.item {
                *sums.entry(listing).or_default() += row.quantity;
            }
        }
        let here = self.lines.iter().filter(|(_, line)| line.remote_location == place);
        let keys: Vec<String> = here
            .filter(|(_, line)| sums.contains_key(line.listing.remote_id.as_str()))
            .map(|(key, _)| key.clone())
            .collect();
        for key in &keys {
            let Some(mut line) = self.lines.get_mut(key) else { continue };
            let quantity = sums.get(line.listing.remote_id.as_str()).copied();
            line.state.observed = quantity.map(|quantity| (quantity, snapshot.as_of));
        }
        self.keep(&keys).await
    }

    /// What lies there cannot be less than nothing: a person is told of such a row, once while it stays so, and the others count.
    async fn tell_below_nothing(
        &mut self,
        place: &str,
        as_of: Instant,
        rows: Vec<Row>,
    ) -> Result<Vec<Row>, WorkerError> {
        let (below, rows): (Vec<Row>, Vec<Row>) =
            rows.into_iter().partition(|row| row.quantity.is_negative());
        let mut known = BTreeSet::new();
        for row in below {
            let (Name::Sku(name) | Name::Listing(name)) = &row.item;
            let (system, quantity) = (&self.system.name, row.quantity);
            let sentence = format!(
                "{system} says that {quantity} of `{name}` lie at {place}: less than nothing cannot. That row was not counted; the \
                 others were. Have it counted over there."
            );
            let is_told = self.impossible.contains(&sentence);
            if !is_told {
                let key = format!("below-nothing/{}/{name}/{quantity}/{}", self.id, as_of.micros());
                let note = self.note_of(Cause::Impossible, quantity, sentence.clone());
                self.submit_note(Some(key), note).await?;
            }
            known.insert(sentence);
        }
        let others: Vec<String> = self
            .impossible
            .iter()
            .filter(|told| !told.contains(&format!(" lie at {place}: ")))
            .cloned()
            .collect();
        self.impossible = known.into_iter().chain(others).collect();
        Ok(rows)
    }

    /// What of an error with a snapshot ends a step: the rest comes again, what waits is shown, and what is none is told to a person once.
    pub(super) async fn not_told(&mut self, error: SnapshotError) -> Result<(), WorkerError> {
        match error {
            SnapshotError::Submit(error) => Err(error.into()),
            SnapshotError::Store(error) => Err(error.into()),
            SnapshotError::Invalid(invalid) => {
                let sentence = format!("{}'s stock cannot be taken: {invalid}.", self.system.name);
                if self.impossible.insert(sentence.clone()) {
                    self.note_of_system(Cause::Impossible, sentence).await?;
                }
                Ok(())
            }
            error => {
                tracing::warn!(system = self.system.name, %error, "a system's stock was not taken");
                Ok(())
            }
        }
    }
}
