//! Stores around a store.

/// Implements [`onhand_store::Reader`]: the store in a field does everything but what follows in braces, which is at least
/// `notes_after`.
macro_rules! read_through {
    ($around:ty, $store:tt, { $($own:tt)* }) => {
        $crate::through::read_through! {
            @ $around, $store, { $($own)* }
            tenants() -> Vec<TenantId>;
            head(tenant: TenantId) -> Head;
            cell(tenant: TenantId, key: &CellKey) -> CellSlot;
            cells_of(tenant: TenantId, item: ItemId) -> Vec<(CellKey, CellSlot)>;
            cells_after(tenant: TenantId, after: Option<CellKey>, limit: usize) -> Vec<(CellKey, CellSlot)>;
            object(tenant: TenantId, key: &Key) -> Slot;
            range(tenant: TenantId, from: &Key, to: &Key, reverse: bool, limit: usize) -> Vec<(Key, Slot)>;
            objects_after(tenant: TenantId, after: Option<&Key>, limit: usize) -> Vec<(Key, Slot)>;
            keys_after(tenant: TenantId, after: Option<KeyAt>, limit: usize) -> Vec<KeyAt>;
            keys_like(tenant: TenantId, hash: u64) -> Vec<Seq>;
            chunk_of(tenant: TenantId, seq: Seq) -> Option<Chunk>;
            chunks_after(tenant: TenantId, seq: Seq, limit: usize) -> Vec<Chunk>;
            trail_before(tenant: TenantId, cell: &CellKey, at: Instant, known: Seq) -> Option<TrailRow>;
            trail(tenant: TenantId, cell: &CellKey, before: Seq, limit: usize) -> Vec<TrailRow>;
            note(tenant: TenantId, space: &str, key: &str) -> Option<String>;
            notes(tenant: TenantId, space: &str, after: Option<&str>, limit: usize) -> Vec<(String, String)>;
        }
    };
    (@ $around:ty, $store:tt, { $($own:tt)* }
        $($name:ident($($argument:ident: $type:ty),*) -> $answer:ty;)*) => {
        impl Reader for $around {
            $(fn $name(&mut self, $($argument: $type),*) -> Result<$answer, StoreError> {
                self.$store.$name($($argument),*)
            })*
            $($own)*
        }
    };
}
pub(crate) use read_through;
