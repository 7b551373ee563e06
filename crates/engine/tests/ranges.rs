//! What is read from one key to another is the same however much of it is written, in memory alone, or gone from memory and not yet
//! from tables.

#[path = "support/cases.rs"]
mod cases;
#[path = "support/kept.rs"]
mod kept;
#[path = "support/shop.rs"]
#[expect(dead_code, reason = "the examples use the rest")]
mod shop;

use std::collections::BTreeSet;

use kept::Kept;
use onhand_ledger::command::PutItem;
use onhand_ledger::{Body, Key, TenantId};
use proptest::prelude::*;
use shop::Shop;

/// So many items have a barcode, or have it no longer.
const ITEMS: usize = 24;

#[derive(Clone, Debug)]
enum Step {
    /// An item has its barcode, or has it no longer.
    Has(usize, bool),
    /// Those that have theirs are asked for, from one to another.
    Ask { from: usize, to: usize, reverse: bool, limit: usize },
}

fn step() -> impl Strategy<Value = Step> {
    let ask =
        (0..=ITEMS, 0..=ITEMS, any::<bool>(), prop_oneof![0..5_usize, Just(1_000), Just(usize::MAX >> 1)]);
    prop_oneof![
        3 => (0..ITEMS, any::<bool>()).prop_map(|(item, has)| Step::Has(item, has)),
        2 => ask.prop_map(|(from, to, reverse, limit)| Step::Ask { from, to, reverse, limit }),
    ]
}

fn code(nth: usize) -> String {
    format!("CODE-{nth:02}")
}

fn same_however_it_is_kept(kept: Kept, steps: Vec<Step>) {
    let place = kept.place();
    let shop = Shop::over(place.store(), place.options());
    let mut there = BTreeSet::new();
    for step in steps {
        match step {
            Step::Has(nth, has) => {
                let barcodes = Some(if has { vec![code(nth)] } else { Vec::new() });
                let put = PutItem { sku: format!("ITEM-{nth}"), barcodes, ..PutItem::default() };
                shop.tell(Body::PutItem(put));
                if has {
                    there.insert(nth)
                } else {
                    there.remove(&nth)
                };
            }
            Step::Ask { from, to, reverse, limit } => {
                let (from, to) = (from.min(to), from.max(to));
                let mut expected: Vec<usize> = there.range(from..=to).copied().collect();
                if reverse {
                    expected.reverse();
                }
                expected.truncate(limit);
                let key = |nth| Key::Barcode(code(nth));
                let read = shop
                    .ledger
                    .read(TenantId::DEFAULT, |view| view.range(&key(from), &key(to), reverse, limit));
                let found: Vec<Key> = read.unwrap().into_iter().map(|(key, _)| key).collect();
                assert_eq!(found, expected.into_iter().map(key).collect::<Vec<_>>(), "{kept:?}");
            }
        }
    }
}

proptest! {
    #![proptest_config(cases::config(60, 2_000))]

    #[test]
    fn in_memory(steps in prop::collection::vec(step(), 1..120)) {
        same_however_it_is_kept(Kept::Memory, steps);
    }

    #[test]
    fn in_a_file(steps in prop::collection::vec(step(), 1..120)) {
        same_however_it_is_kept(Kept::File, steps);
    }
}

proptest! {
    #![proptest_config(cases::config(4, 50))]

    #[test]
    fn in_a_database_of_postgresql(steps in prop::collection::vec(step(), 1..80)) {
        same_however_it_is_kept(Kept::Postgres, steps);
    }
}
