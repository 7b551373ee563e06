//! A map in parts: what it is grown by, and what is taken out of it to make room, is one part at a time, so that nobody waits for
//! millions of things to be moved or looked through at once.

use std::collections::hash_map::Entry;
use std::hash::{BuildHasher as _, Hash};

use foldhash::fast::FixedState;
use foldhash::{HashMap, HashMapExt as _};

use crate::{CellKey, Key};

/// How many parts there are.
pub(crate) const PARTS: usize = 64;

/// See the module.
#[derive(Clone, Debug)]
pub(crate) struct Parts<K, V>(Vec<HashMap<K, V>>);

impl<K, V> Default for Parts<K, V> {
    fn default() -> Self {
        Self((0..PARTS).map(|_| HashMap::new()).collect())
    }
}

/// A key that is in a part: always in the same.
pub(crate) trait InPart {
    /// A number that differs from key to key; its upper bits choose the part.
    fn spread(&self) -> u64;

    /// Below [`PARTS`].
    fn part(&self) -> usize {
        usize::try_from(self.spread() >> 58).expect("six bits")
    }
}

impl InPart for CellKey {
    // Cells are looked for all the time: one multiplication does for them.
    fn spread(&self) -> u64 {
        self.item.0.wrapping_mul(0x9e37_79b9_7f4a_7c15)
    }
}

impl InPart for Key {
    fn spread(&self) -> u64 {
        FixedState::default().hash_one(self)
    }
}

impl<K: InPart + Hash + Eq, V> Parts<K, V> {
    pub fn get(&self, key: &K) -> Option<&V> {
        self.0[key.part()].get(key)
    }

    pub fn get_key_value(&self, key: &K) -> Option<(&K, &V)> {
        self.0[key.part()].get_key_value(key)
    }

    pub fn get_mut(&mut self, key: &K) -> Option<&mut V> {
        self.0[key.part()].get_mut(key)
    }

    pub fn entry(&mut self, key: K) -> Entry<'_, K, V> {
        self.0[key.part()].entry(key)
    }

    pub fn len(&self) -> usize {
        self.0.iter().map(HashMap::len).sum()
    }

    /// Takes out of one part what is not to be kept.
    pub fn retain_in(&mut self, part: usize, mut is_kept: impl FnMut(&V) -> bool) {
        let part = &mut self.0[part];
        part.retain(|_, value| is_kept(value));
        // What was there once is not what will be: most of it may be in tables for good.
        if part.len() < part.capacity() / 4 {
            part.shrink_to(2 * part.len());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{ItemId, LocationId, StockState};

    #[test]
    fn what_is_put_in_is_found_and_goes_part_by_part() {
        // One after the other, as ids are.
        holds(|number| CellKey::new(ItemId(number), LocationId(3), StockState::Available));
        holds(|number| Key::Item(ItemId(number)));
        holds(|number| Key::Sku(format!("ITEM-{number}")));
    }

    fn holds<K: InPart + Hash + Eq + std::fmt::Debug>(key: impl Fn(u64) -> K) {
        let mut parts = Parts::<K, u64>::default();
        for number in 0..10_000 {
            parts.entry(key(number)).or_insert(number * 2);
        }
        *parts.get_mut(&key(7)).unwrap() = 15;
        let found = (parts.get(&key(7)), parts.get_key_value(&key(8)), parts.get(&key(10_000)));
        assert_eq!(found, (Some(&15), Some((&key(8), &16)), None));
        for part in 0..PARTS {
            let before = parts.len();
            parts.retain_in(part, |value| *value == 15);
            assert!(before - parts.len() < 500, "{} went with part {part} of 10,000", before - parts.len());
        }
        assert_eq!((parts.len(), parts.get(&key(7)), parts.get(&key(8))), (1, Some(&15), None));
    }
}
