//! Every store answers of a trail alike: late rows, rows of one instant, rows before 1970.

use onhand_ledger::state::{CellSlot, TrailRow};
use onhand_ledger::{CellKey, Instant, ItemId, LocationId, Quantity, Seq, StockState, TenantId};
use onhand_store::{Batch, MemoryStore, PostgresStore, PostgresUrl, Reader as _, SqliteStore, Store};

/// A small generator: enough to make rows of every kind, and the same each time.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: i64) -> i64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        i64::try_from(self.0 >> 33).unwrap_or(0) % sides
    }
}

#[test]
fn a_file_and_memory_say_the_same_of_a_trail() {
    let folder = tempfile::tempdir().unwrap();
    says_the_same_as_memory(8, |round| {
        SqliteStore::open(&folder.path().join(format!("{round}.db"))).unwrap()
    });
}

#[test]
fn postgresql_and_memory_say_the_same_of_a_trail() {
    let open =
        |_| PostgresStore::open(&PostgresUrl::parse(&onhand_testpg::database(), None).unwrap()).unwrap();
    says_the_same_as_memory(2, open);
}

fn says_the_same_as_memory<S: Store>(rounds: u64, open: impl Fn(u64) -> S) {
    let key = CellKey::new(ItemId(1), LocationId(2), StockState::Available);
    let tenant = TenantId(1);
    for (round, begin) in (0..rounds).zip([0, -400, -1_000_000, 1_000].into_iter().cycle()) {
        let mut dice = Dice(round);
        let mut file = open(round);
        let mut memory = MemoryStore::default();
        let mut slot = CellSlot::default();
        let mut seq: Seq = 0;
        let mut clock = begin;
        for _ in 0..40 {
            for _ in 0..dice.roll(90) {
                seq += 1 + dice.roll(3).cast_unsigned();
                clock += dice.roll(4);
                let late = dice.roll(4) == 0;
                let occurred_at = Instant::from_micros(if late { clock - dice.roll(300) } else { clock });
                let late = slot.seq != 0 && occurred_at < slot.latest;
                if slot.pending.is_empty() {
                    slot.latest_before_pending = slot.latest;
                }
                slot.latest = if slot.seq == 0 { occurred_at } else { slot.latest.max(occurred_at) };
                slot.seq = seq;
                let balance = Quantity::units(seq.cast_signed());
                slot.quantity = balance;
                slot.pending.push(TrailRow { seq, occurred_at, balance, late });
            }
            let batch = Batch { cells: vec![(key, slot.clone())], ..Batch::default() };
            file.commit(&[(tenant, batch.clone())]).unwrap();
            memory.commit(&[(tenant, batch)]).unwrap();
            slot.pending.clear();
            slot.latest_before_pending = slot.latest;
            for _ in 0..40 {
                let at = Instant::from_micros(begin - 2 + dice.roll(clock - begin + 4));
                let known = dice.roll(seq.cast_signed() + 2).cast_unsigned();
                let by_file = file.trail_before(tenant, &key, at, known).unwrap();
                assert_eq!(by_file, memory.trail_before(tenant, &key, at, known).unwrap(), "{at} {known}");
                let limit = usize::try_from(dice.roll(200)).unwrap();
                let by_file = file.trail(tenant, &key, known, limit).unwrap();
                assert_eq!(by_file, memory.trail(tenant, &key, known, limit).unwrap());
            }
            assert_eq!(file.cell(tenant, &key).unwrap(), memory.cell(tenant, &key).unwrap());
        }
    }
}
