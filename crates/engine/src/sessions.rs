//! Sessions of counting, as they stand before they are booked.

use std::collections::{BTreeMap, BTreeSet};

use onhand_ledger::model::{Session, Tracking};
use onhand_ledger::{Instant, ItemId, Key, LotId, Quantity, Seq, SessionId, Value};
use onhand_store::StoreError;

use crate::view::View;

impl View<'_> {
    /// The pieces of items that were looked for in a session which should be there, and that nobody has seen so far.
    pub fn not_seen(
        &mut self,
        id: SessionId,
        session: &Session,
    ) -> Result<BTreeSet<(ItemId, LotId)>, StoreError> {
        let from = Key::Seen(id, ItemId(0), LotId(0));
        let to = Key::Seen(id, ItemId(Seq::MAX >> 1), LotId(0));
        let (mut told, mut looked) = (BTreeSet::new(), BTreeMap::<ItemId, (Instant, Instant)>::new());
        for (key, value) in self.range(&from, &to, false, usize::MAX)? {
            let (Key::Seen(_, item, lot), Value::Seen(seen)) = (key, value) else { continue };
            told.insert((item, lot));
            for look in seen.looks {
                let (first, last) = looked.entry(item).or_insert((look.seen_at, look.seen_at));
                (*first, *last) = ((*first).min(look.seen_at), (*last).max(look.seen_at));
            }
        }
        let nodes = self.sites()?.below(session.location, false);
        let mut missing = BTreeSet::new();
        for (item, (first, last)) in looked {
            if self.item(item)?.is_none_or(|item| item.tracking != Tracking::Serials) {
                continue;
            }
            let mut there = BTreeMap::<LotId, (Quantity, Quantity)>::new();
            for (cell, _) in self.cells_of(item)? {
                let is_inside =
                    cell.location == session.location || (session.inside && nodes.contains(&cell.location));
                if is_inside && cell.state.is_physical() && !told.contains(&(item, cell.lot)) {
                    let (then, now) = there.entry(cell.lot).or_default();
                    *then += self.as_of(cell, first, None)?;
                    *now += self.as_of(cell, last, None)?;
                }
            }
            let is_missing =
                |(_, (then, now)): &(LotId, (Quantity, Quantity))| then.is_positive() && now.is_positive();
            missing.extend(there.into_iter().filter(is_missing).map(|(lot, _)| (item, lot)));
        }
        Ok(missing)
    }
}
