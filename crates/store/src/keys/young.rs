//! The keys in memory: found by their hash, and parted by it, so that they can be written in order without ever
//! being sorted all at once.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::hash::{BuildHasherDefault, Hasher};

use onhand_ledger::Seq;

use super::KeyAt;

/// By the first eight bits of the hash.
const PARTS: usize = 256;

/// A hash is its own hash.
#[derive(Clone, Copy, Default)]
pub(crate) struct Itself(u64);

impl Hasher for Itself {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, _: &[u8]) {
        unreachable!("only hashes of 64 bits are hashed");
    }

    fn write_u64(&mut self, hash: u64) {
        self.0 = hash;
    }
}

#[derive(Clone, Debug, Default)]
pub(crate) struct Young {
    first: HashMap<u64, Seq, BuildHasherDefault<Itself>>,
    /// What has the hash of another.
    twins: Vec<KeyAt>,
    parts: Vec<Vec<KeyAt>>,
    /// The last entry of them.
    pub last_seq: Seq,
}

impl Young {
    /// Ready for so many.
    pub fn with_room_for(keys: usize) -> Self {
        let first = HashMap::with_capacity_and_hasher(keys, BuildHasherDefault::default());
        let part = || Vec::with_capacity(keys / PARTS + keys / PARTS / 8);
        Self { first, parts: (0..PARTS).map(|_| part()).collect(), ..Self::default() }
    }

    pub fn len(&self) -> usize {
        self.first.len() + self.twins.len()
    }

    pub fn insert(&mut self, hash: u64, seq: Seq) {
        match self.first.entry(hash) {
            Entry::Vacant(free) => {
                free.insert(seq);
            }
            Entry::Occupied(taken) if *taken.get() == seq => return,
            Entry::Occupied(_) if self.twins.contains(&(hash, seq)) => return,
            Entry::Occupied(_) => self.twins.push((hash, seq)),
        }
        if self.parts.is_empty() {
            self.parts.resize(PARTS, Vec::new());
        }
        self.parts[part_of(hash)].push((hash, seq));
        self.last_seq = self.last_seq.max(seq);
    }

    pub fn has(&self, hash: u64) -> bool {
        self.first.contains_key(&hash)
    }

    /// The entries of that hash.
    pub fn find(&self, hash: u64, found: &mut Vec<Seq>) {
        if let Some(seq) = self.first.get(&hash) {
            found.push(*seq);
            found.extend(self.twins.iter().filter(|(twin, _)| *twin == hash).map(|(_, seq)| *seq));
        }
    }

    /// One part of them, in order; the parts are in the order of hashes. None after the last.
    pub fn part(&self, number: usize) -> Option<Vec<KeyAt>> {
        let mut part = self.parts.get(number)?.clone();
        part.sort_unstable();
        Some(part)
    }
}

fn part_of(hash: u64) -> usize {
    usize::try_from(hash >> 56).expect("eight bits")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_keys_of_one_hash_are_both_found_and_both_written() {
        let mut young = Young::default();
        for (hash, seq) in [(7, 1), (7, 2), (u64::MAX, 3), (0, 4), (7, 2), (7, 5)] {
            young.insert(hash, seq);
        }
        let mut found = Vec::new();
        young.find(7, &mut found);
        assert_eq!(found, [1, 2, 5]);
        let all: Vec<KeyAt> = (0..).map_while(|number| young.part(number)).flatten().collect();
        assert_eq!(all, [(0, 4), (7, 1), (7, 2), (7, 5), (u64::MAX, 3)]);
        assert_eq!((young.len(), young.last_seq), (5, 5));
    }
}
