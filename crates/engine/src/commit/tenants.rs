//! The tenants in memory, and which of them were not asked of for longest.
//!
//! Where one node writes all, a tenant that has a log is always in memory, and only some of its cells and objects are forgotten. On a
//! shared store memory is a cache, and a tenant can be forgotten whole at any moment between two batches.

use std::collections::BTreeMap;
use std::ops::Bound;

use onhand_ledger::TenantId;

use super::Tenant;

/// So many parts of what a tenant has in memory are looked through before a batch at most, to make room.
const EVICTED: usize = 2;
/// So many tenants are looked at for that.
const LOOKED_AT: usize = 8;

#[derive(Default)]
pub(super) struct Tenants {
    all: BTreeMap<TenantId, Kept>,
    /// By the turn they were used in last.
    by_turn: BTreeMap<u64, TenantId>,
    turn: u64,
    /// How much is in memory of all of them, as it was counted when each was used last.
    counted: usize,
    /// Who was looked at last to make room.
    hand: Option<TenantId>,
}

struct Kept {
    tenant: Tenant,
    turn: u64,
    counted: usize,
}

impl Tenants {
    pub fn get(&self, id: TenantId) -> Option<&Tenant> {
        self.all.get(&id).map(|kept| &kept.tenant)
    }

    pub fn get_mut(&mut self, id: TenantId) -> Option<&mut Tenant> {
        self.all.get_mut(&id).map(|kept| &mut kept.tenant)
    }

    pub fn contains(&self, id: TenantId) -> bool {
        self.all.contains_key(&id)
    }

    pub fn iter(&self) -> impl Iterator<Item = (TenantId, &Tenant)> {
        self.all.iter().map(|(id, kept)| (*id, &kept.tenant))
    }

    pub fn iter_mut(&mut self) -> impl Iterator<Item = (TenantId, &mut Tenant)> {
        self.all.iter_mut().map(|(id, kept)| (*id, &mut kept.tenant))
    }

    pub fn insert(&mut self, id: TenantId, tenant: Tenant) {
        self.remove(id);
        self.all.insert(id, Kept { tenant, turn: 0, counted: 0 });
        self.used(id);
    }

    /// Something was asked of it: it is the last to be forgotten, and what it has in memory is counted.
    pub fn used(&mut self, id: TenantId) {
        let Some(kept) = self.all.get_mut(&id) else { return };
        self.by_turn.remove(&kept.turn);
        self.turn += 1;
        kept.turn = self.turn;
        self.by_turn.insert(self.turn, id);
        let now = kept.tenant.state.cached_len();
        self.counted = self.counted - kept.counted + now;
        kept.counted = now;
    }

    pub fn remove(&mut self, id: TenantId) {
        if let Some(gone) = self.all.remove(&id) {
            self.by_turn.remove(&gone.turn);
            self.counted -= gone.counted;
        }
    }

    pub fn clear(&mut self) {
        let turn = self.turn;
        *self = Self { turn, ..Self::default() };
    }

    /// Forgets whom nobody asked of for longest, while there are more than `most` or more is in memory than `cache`: only where nothing
    /// is in memory alone.
    pub fn forget(&mut self, most: usize, cache: usize) {
        while self.all.len() > most.max(1) || (self.counted > cache && self.all.len() > 1) {
            let Some((_, id)) = self.by_turn.first_key_value() else { return };
            self.remove(*id);
        }
    }

    /// Forgets some of what tables have too, where more is in memory than `cache`; 0: all of it. No more than takes a few
    /// milliseconds, another few tenants each time. What is dirty stays.
    pub fn make_room(&mut self, cache: usize) {
        if cache == 0 {
            self.all.values_mut().for_each(|kept| kept.tenant.state.evict_clean());
            return;
        }
        for _ in 0..LOOKED_AT.min(self.all.len()) {
            if self.counted <= cache {
                return;
            }
            let after = (self.hand.map_or(Bound::Unbounded, Bound::Excluded), Bound::Unbounded);
            let next = self.all.range(after).next().or_else(|| self.all.first_key_value());
            let Some(id) = next.map(|(id, _)| *id) else { return };
            self.hand = Some(id);
            let Some(kept) = self.all.get_mut(&id) else { return };
            (0..EVICTED).for_each(|_| kept.tenant.state.evict_some());
            let now = kept.tenant.state.cached_len();
            self.counted = self.counted - kept.counted + now;
            kept.counted = now;
        }
    }
}

#[cfg(test)]
mod tests {
    use onhand_ledger::state::CellSlot;
    use onhand_ledger::{CellKey, Instant, ItemId, LocationId, State, StockState};
    use onhand_store::Head;

    use super::*;

    /// With so many cells in memory, none of them dirty.
    fn tenant(cells: u64) -> Tenant {
        let mut state = State::new(0, Instant::MIN, Vec::new());
        for item in 1..=cells {
            let key = CellKey::new(ItemId(item), LocationId(1), StockState::Available);
            state.provide_cell(key, CellSlot::default());
        }
        Tenant { state, head: Head::default(), sweep: None, due_known_to: None }
    }

    fn three() -> Tenants {
        let mut tenants = Tenants::default();
        (1..=3).for_each(|id| tenants.insert(TenantId(id), tenant(100)));
        tenants
    }

    fn ids(tenants: &Tenants) -> Vec<u64> {
        tenants.iter().map(|(id, _)| id.0).collect()
    }

    #[test]
    fn who_was_not_asked_of_for_longest_is_forgotten_first() {
        let mut tenants = three();
        tenants.used(TenantId(1));
        tenants.forget(2, usize::MAX);
        assert_eq!(ids(&tenants), [1, 3]);
        tenants.forget(usize::MAX, 199);
        assert_eq!(ids(&tenants), [1], "200 were in memory");
        // The last one keeps its place: what is too much of it goes part by part.
        tenants.forget(0, 0);
        assert_eq!(ids(&tenants), [1]);
        // One that was removed and comes again is as new.
        tenants.remove(TenantId(1));
        tenants.insert(TenantId(2), tenant(5));
        tenants.insert(TenantId(1), tenant(5));
        tenants.forget(1, usize::MAX);
        assert_eq!((ids(&tenants), tenants.counted, tenants.by_turn.len()), (vec![1], 5, 1));
    }

    #[test]
    fn room_is_made_of_all_tenants_together_a_few_at_a_time() {
        let mut tenants = three();
        assert_eq!(tenants.counted, 300);
        tenants.make_room(300);
        assert_eq!(tenants.counted, 300, "as much as may be");
        // What was read since is counted when the tenant was used.
        let key = CellKey::new(ItemId(1_000), LocationId(1), StockState::Available);
        tenants.get_mut(TenantId(2)).unwrap().state.provide_cell(key, CellSlot::default());
        tenants.used(TenantId(2));
        assert_eq!(tenants.counted, 301);
        for _ in 0..1_000 {
            tenants.make_room(50);
        }
        assert!(tenants.counted <= 50, "{}", tenants.counted);
        let there: usize = tenants.iter().map(|(_, tenant)| tenant.state.cached_len()).sum();
        assert_eq!(there, tenants.counted);
        tenants.make_room(0);
        assert!(tenants.iter().all(|(_, tenant)| tenant.state.cached_len() == 0));
    }
}
