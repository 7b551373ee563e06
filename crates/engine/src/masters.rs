//! Who is master of what, and by which rule.

use onhand_ledger::model::Ownership;
use onhand_ledger::ownership::{self, Subject};
use onhand_ledger::{ItemId, LocationId, RuleId};
use onhand_store::StoreError;

use crate::view::View;

impl View<'_> {
    /// The rule that says who is master of an item's stock at a location; none: Onhand is, because no rule speaks of it. Of
    /// an item that was merged, what is said of the one it was merged into.
    pub fn ownership_of(
        &mut self,
        item: ItemId,
        location: LocationId,
    ) -> Result<Option<(RuleId, Ownership)>, StoreError> {
        let (mut id, mut tags) = (item, Vec::new());
        while let Some(known) = self.item(id)? {
            tags = known.tags;
            match known.merged_into {
                Some(into) => id = into.item,
                None => break,
            }
        }
        let (rules, sites) = (self.rules()?.ownership, self.sites()?);
        let subject = Subject { item: Some(id), tags: &tags };
        Ok(ownership::speaking(&rules, &sites, subject, Some(location)).cloned())
    }
}
