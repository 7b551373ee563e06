//! A map in parts: what it is grown by, and what is taken out of it to make room, is one part at a time, so that nobody waits for
//! millions of things to be moved or looked through at once.

use std::collections::hash_map::Entry;
use std::hash::{BuildHasher as _, Hash};

use foldhash::fast::FixedState;
use foldhash::{HashMap, HashMapExt as _};

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

/// The part that a key is in: always the same.
pub(crate) fn part_of(key: &impl Hash) -> usize {
    usize::try_from(FixedState::default().hash_one(key) >> 58).expect("six bits")
}

impl<K: Hash + Eq, V> Parts<K, V> {
    pub fn get(&self, key: &K) -> Option<&V> {
        self.0[part_of(key)].get(key)
    }

    pub fn get_key_value(&self, key: &K) -> Option<(&K, &V)> {
        self.0[part_of(key)].get_key_value(key)
    }

    pub fn get_mut(&mut self, key: &K) -> Option<&mut V> {
        self.0[part_of(key)].get_mut(key)
    }

    pub fn entry(&mut self, key: K) -> Entry<'_, K, V> {
        self.0[part_of(&key)].entry(key)
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

    #[test]
    fn what_is_put_in_is_found_and_goes_part_by_part() {
        let mut parts = Parts::<u64, u64>::default();
        for key in 0..10_000 {
            parts.entry(key).or_insert(key * 2);
        }
        *parts.get_mut(&7).unwrap() = 15;
        assert_eq!(
            (parts.get(&7), parts.get_key_value(&8), parts.get(&10_000)),
            (Some(&15), Some((&8, &16)), None)
        );
        for part in 0..PARTS {
            let before = parts.len();
            parts.retain_in(part, |value| *value == 15);
            assert!(before - parts.len() < 500, "{} went with part {part} of 10,000", before - parts.len());
        }
        assert_eq!((parts.len(), parts.get(&7), parts.get(&8)), (1, Some(&15), None));
    }
}
