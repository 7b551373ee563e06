//! The stock of an outside master, read from it now and then: a snapshot, as if it had told it by itself.

use onhand_ledger::command::Name;
use onhand_ledger::{Key, Value};
use onhand_store::StoreError;

use super::{Worker, WorkerError};
use crate::queue::SubmitError;
use crate::snapshots::{Row, Snapshot, SnapshotError, tell};

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
                    let listing = view.get(&Key::RemoteListing(id, row.listing.clone()))?;
                    let Some(Value::ListingId(listing)) = listing else { continue };
                    if view.listing(listing)?.is_some_and(|listing| listing.item.is_some()) {
                        let item = Name::Listing(row.listing);
                        rows.push(Row { item, quantity: row.quantity, lot: row.lot, serials: None });
                    }
                }
                Ok::<_, StoreError>(rows)
            })?;
            let snapshot = Snapshot {
                document: None,
                location: Some(place.remote_id),
                as_of: told.as_of,
                whole: true,
                declared_rows: None,
                documents_known_to: None,
                rows,
            };
            match tell(&self.handle, self.tenant, &self.system.name, snapshot).await {
                Ok(_) => {}
                Err(SnapshotError::Submit(error)) => return Err(error.into()),
                Err(SnapshotError::Store(error)) => return Err(error.into()),
                Err(SnapshotError::Invalid(invalid)) => {
                    return Err(SubmitError::Commit(invalid.into()).into());
                }
                // It comes again, and what waits is shown.
                Err(error) => {
                    tracing::warn!(system = self.system.name, %error, "a system's stock was not taken");
                }
            }
        }
        self.next_stock = self.now().plus_micros(self.pace.stock_ms * 1_000);
        Ok(())
    }
}
