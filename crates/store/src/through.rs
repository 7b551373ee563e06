//! Stores around a store.

/// Implements [`Reader`](crate::Reader) for a store around another: the one in a field does everything but what follows in braces, which
/// is at least `notes_after`. For tools and tests that let something go wrong in between; they have `onhand-ledger` too.
#[macro_export]
macro_rules! read_through {
    ($around:ty, $store:tt, { $($own:tt)* }) => {
        $crate::read_through! {
            @ $around, $store, { $($own)* }
            tenants() -> Vec<onhand_ledger::TenantId>;
            head(tenant: onhand_ledger::TenantId) -> $crate::Head;
            cell(tenant: onhand_ledger::TenantId, key: &onhand_ledger::CellKey) -> onhand_ledger::state::CellSlot;
            cells_of(tenant: onhand_ledger::TenantId, item: onhand_ledger::ItemId) -> Vec<(onhand_ledger::CellKey, onhand_ledger::state::CellSlot)>;
            cells_after(tenant: onhand_ledger::TenantId, after: Option<onhand_ledger::CellKey>, limit: usize) -> Vec<(onhand_ledger::CellKey, onhand_ledger::state::CellSlot)>;
            object(tenant: onhand_ledger::TenantId, key: &onhand_ledger::Key) -> onhand_ledger::state::Slot;
            range(tenant: onhand_ledger::TenantId, from: &onhand_ledger::Key, to: &onhand_ledger::Key, reverse: bool, limit: usize) -> Vec<(onhand_ledger::Key, onhand_ledger::state::Slot)>;
            objects_after(tenant: onhand_ledger::TenantId, after: Option<&onhand_ledger::Key>, limit: usize) -> Vec<(onhand_ledger::Key, onhand_ledger::state::Slot)>;
            keys_after(tenant: onhand_ledger::TenantId, after: Option<$crate::KeyAt>, limit: usize) -> Vec<$crate::KeyAt>;
            keys_like(tenant: onhand_ledger::TenantId, hash: u64) -> Vec<onhand_ledger::Seq>;
            chunk_of(tenant: onhand_ledger::TenantId, seq: onhand_ledger::Seq) -> Option<$crate::Chunk>;
            chunks_after(tenant: onhand_ledger::TenantId, seq: onhand_ledger::Seq, limit: usize) -> Vec<$crate::Chunk>;
            trail_before(tenant: onhand_ledger::TenantId, cell: &onhand_ledger::CellKey, at: onhand_ledger::Instant, known: onhand_ledger::Seq) -> Option<onhand_ledger::state::TrailRow>;
            trail(tenant: onhand_ledger::TenantId, cell: &onhand_ledger::CellKey, before: onhand_ledger::Seq, limit: usize) -> Vec<onhand_ledger::state::TrailRow>;
            note(tenant: onhand_ledger::TenantId, space: &str, key: &str) -> Option<String>;
            notes(tenant: onhand_ledger::TenantId, space: &str, after: Option<&str>, limit: usize) -> Vec<(String, String)>;
        }
    };
    (@ $around:ty, $store:tt, { $($own:tt)* }
        $($name:ident($($argument:ident: $type:ty),*) -> $answer:ty;)*) => {
        impl $crate::Reader for $around {
            $(fn $name(&mut self, $($argument: $type),*) -> Result<$answer, $crate::StoreError> {
                $crate::Reader::$name(&mut self.$store, $($argument),*)
            })*
            $($own)*
        }
    };
}
