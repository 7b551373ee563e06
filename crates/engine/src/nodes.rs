//! Which connected systems a node speaks with, of several nodes on one database: what is decided by [`onhand_sync::shares`], carried
//! out. Each system's worker runs on one node at a time; when that is gone another takes it over.
//!
//! What is not its business: how often a node says that it is there, and that its workers end where it could not.

use onhand_ledger::{SystemId, TenantId};
use onhand_store::{Given, Presence, StoreError};
use onhand_sync::shares::{self, Share, shares};

use crate::commit::Ledger;

/// A connected system of some tenant.
pub type Connected = (TenantId, SystemId);

impl Ledger {
    /// Says how a node is there. Is it, by the database's own clock? One that was not heard of for too long never comes back under
    /// that name. Says which nodes are there, in order.
    pub fn stay(&self, node: &str, presence: Presence) -> Result<Vec<String>, StoreError> {
        self.with_store(|store| store.stay(node, presence))
    }

    /// Has a node take its share of all connected systems, of those that nobody who is `there` speaks with; lets go what is
    /// more than its share, once `end` has ended the workers of it. Says which are its now.
    pub fn take_share(
        &self,
        node: &str,
        there: &[String],
        end: impl FnOnce(&[Connected]),
    ) -> Result<Vec<Connected>, StoreError> {
        let given = self.with_store(|store| store.given())?;
        let work = |one: &Given| shares::Given { work: one.clone(), node: one.node.clone() };
        let all: Vec<shares::Given<Given>> = given.iter().map(work).collect();
        let mine = given.iter().filter(|one| one.node.as_deref() == Some(node));
        let mut mine: Vec<Connected> = mine.map(connected).collect::<Result<_, _>>()?;
        let (mut over, mut taken) = (Vec::new(), Vec::new());
        for share in shares(node, there, &all) {
            match share {
                Share::LetGo(one) => over.push(one),
                Share::Take(one) => taken.push(one),
            }
        }
        let ended: Vec<Connected> = over.iter().map(connected).collect::<Result<_, _>>()?;
        mine.retain(|one| !ended.contains(one));
        if !ended.is_empty() {
            end(&ended);
        }
        self.with_store(|store| {
            for one in &over {
                store.give(one, None)?;
            }
            for one in &taken {
                if store.give(one, Some(node))? {
                    mine.push(connected(one)?);
                }
            }
            Ok(mine)
        })
    }
}

fn connected(given: &Given) -> Result<Connected, StoreError> {
    let system = given.key.parse().map(SystemId).map_err(|_| {
        StoreError::Damaged(format!("`{}`, the key of a connection, is no system's id", given.key))
    })?;
    Ok((given.tenant, system))
}
