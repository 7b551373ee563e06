//! What a system shows of what it is master of, and our books have otherwise: kept with the reason, so that it can be said.

use std::collections::BTreeMap;

use onhand_ledger::model::System;
use onhand_ledger::{DiscrepancyId, Instant, Quantity, SystemId};
use onhand_store::{Note, StoreError};
use serde::{Deserialize, Serialize};

use super::kept::{self, parsed};
use super::{Standing, written};
use crate::view::View;

/// A number that is not taken as it is shown.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Untaken {
    /// What was shown, in units of the item.
    pub quantity: Quantity,
    /// What a count of it would add, or take.
    pub difference: Quantity,
    /// Why.
    pub why: WhyUntaken,
}

/// Why a number is not taken.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum WhyUntaken {
    /// It is held for a person.
    Held {
        /// The snapshot that it is held with.
        document: String,
    },
    /// A person rejected it.
    Rejected {
        /// Who.
        by: String,
    },
    /// It cannot be counted, or not as it is.
    Impossible {
        /// Why.
        reason: String,
        /// Where a person reads of it; none: nobody was told yet, as far as is known.
        discrepancy: Option<DiscrepancyId>,
        /// When that was first seen: it is told once of that.
        #[serde(default)]
        since: Instant,
    },
}

impl WhyUntaken {
    /// In plain words.
    pub fn sentence(&self, system: &str) -> String {
        match self {
            Self::Held { document } => format!(
                "Our books do not take that number: it looks like a fault, and is held until somebody approves it (snapshot \
                 `{document}`), or {system} shows another."
            ),
            Self::Rejected { by } => format!(
                "Our books do not take that number: {by} rejected it. They will once {system} shows another."
            ),
            Self::Impossible { reason, .. } => {
                format!("Our books cannot take that number as it is: {reason}.")
            }
        }
    }
}

fn space(system: SystemId, location: &str) -> String {
    format!("untaken:{system}:{location}")
}

pub(super) fn note(system: SystemId, location: &str, sku: &str, untaken: Option<&Untaken>) -> Note {
    let (space, key) = (space(system, location), sku.to_owned());
    match untaken {
        Some(untaken) => written(&space, key, untaken),
        None => Note { space, key, body: None },
    }
}

/// As they are kept: what a person decided since is not in them.
pub(super) fn as_kept(
    view: &mut View<'_>,
    system: SystemId,
    location: &str,
) -> Result<BTreeMap<String, Untaken>, StoreError> {
    let space = space(system, location);
    let mut all = BTreeMap::new();
    view.each_note(&space, |key, body| {
        let untaken = parsed(&space, &key, &body)?;
        all.insert(key, untaken);
        Ok(())
    })?;
    Ok(all)
}

/// What is kept, as it stands now.
pub(super) fn all_as_decided(
    view: &mut View<'_>,
    system: SystemId,
    kept: BTreeMap<String, Untaken>,
) -> Result<BTreeMap<String, Untaken>, StoreError> {
    let mut all = BTreeMap::new();
    for (sku, untaken) in kept {
        if let Some(untaken) = as_decided(view, system, untaken)? {
            all.insert(sku, untaken);
        }
    }
    Ok(all)
}

/// As it stands now; none where it is over.
fn as_decided(
    view: &mut View<'_>,
    system: SystemId,
    untaken: Untaken,
) -> Result<Option<Untaken>, StoreError> {
    let WhyUntaken::Held { document } = &untaken.why else { return Ok(Some(untaken)) };
    let why = match kept::snapshot(view, system, document)?.map(|kept| kept.state) {
        Some(Standing::Held { .. } | Standing::Waiting | Standing::Approved { .. }) => {
            return Ok(Some(untaken));
        }
        Some(Standing::Rejected { by }) => WhyUntaken::Rejected { by },
        Some(Standing::Taken(_) | Standing::Superseded) | None => return Ok(None),
    };
    Ok(Some(Untaken { why, ..untaken }))
}

/// What a system that tells us shows and our books do not take, by SKU, as it stands now.
pub(crate) fn untaken_of_all(
    view: &mut View<'_>,
    id: SystemId,
    system: &System,
) -> Result<Vec<(String, Untaken)>, StoreError> {
    let mut all = Vec::new();
    if system.mode.direction.sends() {
        return Ok(all);
    }
    for mapping in &system.locations {
        if let Some(location) = view.location(mapping.location)? {
            let kept = as_kept(view, id, &location.code)?;
            all.extend(all_as_decided(view, id, kept)?);
        }
    }
    Ok(all)
}

/// What it shows of one item there that our books do not take.
pub(crate) fn untaken_of(
    view: &mut View<'_>,
    system: SystemId,
    location: &str,
    sku: &str,
) -> Result<Option<Untaken>, StoreError> {
    let space = space(system, location);
    let Some(body) = view.note(&space, sku)? else { return Ok(None) };
    as_decided(view, system, parsed(&space, sku, &body)?)
}
