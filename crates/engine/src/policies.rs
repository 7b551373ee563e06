//! May what was changed in a system be adopted? What `onhand-sync` decides, on the ledger as it is.

use onhand_ledger::model::{Listing, Publication, System};
use onhand_ledger::publication::{Index, Subject};
use onhand_ledger::{ListingId, LocationId, RuleId, SystemId};
use onhand_store::StoreError;
use onhand_sync::{Barrier, barrier};

use crate::systems::remote_locations;
use crate::view::View;

/// So many listings are looked at together.
const PAGE: usize = 1_000;

/// The publication rule that speaks of a listing at a remote location.
pub(crate) fn rule_of<'i>(
    view: &mut View<'_>,
    index: &'i Index,
    id: ListingId,
    listing: &Listing,
    remote_location: &str,
) -> Result<Option<(RuleId, &'i Publication)>, StoreError> {
    let Some(item) = listing.item else { return Ok(None) };
    let tags = view.item(item)?.map(|item| item.tags).unwrap_or_default();
    let subject = Subject { listing: id, item, tags: &tags, system: listing.system, remote_location };
    Ok(index.speaking(subject).map(|speaking| (speaking.id, speaking.rule)))
}

/// What keeps a change of a listing's number from being adopted, whatever the number. `rule`: the publication rule that speaks of it.
pub(crate) fn barrier_of(
    view: &mut View<'_>,
    system: &System,
    listing: &Listing,
    remote_location: &str,
    rule: Option<(RuleId, &Publication)>,
) -> Result<Option<Barrier>, StoreError> {
    let Some(item) = listing.item else { return Ok(None) };
    let mappings = system.locations.iter().filter(|mapping| mapping.remote_id == remote_location);
    let behind: Vec<LocationId> = mappings.map(|mapping| mapping.location).collect();
    let mut master = None;
    for location in &behind {
        let speaking = view.ownership_of(item, *location)?;
        if let Some((_, ownership)) = speaking.filter(|(_, ownership)| ownership.master != SystemId::ONHAND) {
            master = view.system(ownership.master)?.map(|master| master.name);
        }
    }
    let is_kit = view.item(item)?.is_some_and(|item| !item.kit.is_empty());
    Ok(barrier(behind.len(), is_kit, rule, master))
}

/// The listings of a system whose changes cannot be adopted.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Unadoptable {
    /// How many.
    pub listings: usize,
    /// One of them, by its SKU over there, or its id.
    pub listing: String,
    /// Why that one cannot.
    pub barrier: Barrier,
}

/// The listings of a system whose changes cannot be adopted; none where all can. What another system is master of does not count: it is
/// proposed to that master.
pub fn unadoptable(
    view: &mut View<'_>,
    id: SystemId,
    system: &System,
) -> Result<Option<Unadoptable>, StoreError> {
    let index = view.published()?;
    let mut found: Option<Unadoptable> = None;
    let mut after = ListingId(0);
    loop {
        let page = view.listings_in(id, after, PAGE)?;
        let Some((last, _)) = page.last() else { return Ok(found) };
        after = *last;
        for (listing_id, listing) in page {
            for remote_location in remote_locations(system) {
                let rule = rule_of(view, &index, listing_id, &listing, &remote_location)?;
                match barrier_of(view, system, &listing, &remote_location, rule)? {
                    None | Some(Barrier::Master(_)) => {}
                    Some(barrier) => {
                        let shown = listing.remote_sku.clone().unwrap_or_else(|| listing.remote_id.clone());
                        let first = || Unadoptable { listings: 0, listing: shown, barrier };
                        found.get_or_insert_with(first).listings += 1;
                    }
                }
            }
        }
    }
}
