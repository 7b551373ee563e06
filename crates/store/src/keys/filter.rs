//! A split-block Bloom filter: one look at 32 bytes says that a key is not in a run, nearly always.
//!
//! 16 bits a key leave about one in a thousand of those that are not there. The blocks are in the order of hashes, so
//! that a run, which is sorted, fills them from the first to the last. After
//! <https://parquet.apache.org/docs/file-format/bloomfilter/>.

/// Bits for each key.
const BITS: u64 = 16;
const BLOCK_BITS: u64 = 256;
/// One bit in each of a block's eight words, by the lower half of the hash.
const SALT: [u32; 8] =
    [0x47b6_137b, 0x4497_4d91, 0x8824_ad5b, 0xa2b7_289d, 0x7054_95c7, 0x2df1_424b, 0x9efc_4947, 0x5c6b_fb31];

#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(crate) struct Filter {
    blocks: Vec<[u32; 8]>,
}

/// A hash to look for, and its bits: what is looked for in many filters is reckoned once. Then so little is left to do for each that memory
/// is asked for many blocks at a time: a quarter of the time of reckoning anew.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Probe {
    /// The hash.
    pub hash: u64,
    bits: [u32; 8],
}

impl Probe {
    pub fn of(hash: u64) -> Self {
        Self { hash, bits: bits(hash) }
    }
}

impl Filter {
    /// Empty, for so many keys.
    pub fn for_keys(keys: u64) -> Self {
        let blocks = (keys * BITS).div_ceil(BLOCK_BITS).max(1);
        Self { blocks: vec![[0; 8]; usize::try_from(blocks).expect("a filter fits in memory")] }
    }

    pub fn insert(&mut self, hash: u64) {
        let index = self.index(hash);
        for (word, bit) in self.blocks[index].iter_mut().zip(bits(hash)) {
            *word |= bit;
        }
    }

    /// Never false for what was put in.
    pub fn may_have(&self, probe: &Probe) -> bool {
        let block = &self.blocks[self.index(probe.hash)];
        block.iter().zip(probe.bits).fold(0, |missing, (word, bit)| missing | (!word & bit)) == 0
    }

    fn index(&self, hash: u64) -> usize {
        let block = (u128::from(hash) * self.blocks.len() as u128) >> 64;
        usize::try_from(block).expect("a block's index is below their number")
    }

    /// As bytes, from a block on, at most so many blocks.
    pub fn part(&self, from: usize, blocks: usize) -> Vec<u8> {
        let part = self.blocks.iter().skip(from).take(blocks);
        part.flatten().flat_map(|word| word.to_le_bytes()).collect()
    }

    /// Adds blocks as [`Filter::part`] gave them; false where these are no blocks.
    pub fn append(&mut self, part: &[u8]) -> bool {
        let (words, rest) = part.as_chunks::<4>();
        let (blocks, odd) = words.as_chunks::<8>();
        self.blocks.extend(blocks.iter().map(|block| block.map(u32::from_le_bytes)));
        rest.is_empty() && odd.is_empty()
    }

    pub fn len(&self) -> usize {
        self.blocks.len()
    }

    /// Has it as many blocks as so many keys need?
    pub fn is_for(&self, keys: u64) -> bool {
        self.blocks.len() as u64 == (keys * BITS).div_ceil(BLOCK_BITS).max(1)
    }
}

fn bits(hash: u64) -> [u32; 8] {
    let low = u32::try_from(hash & u64::from(u32::MAX)).expect("a half of 64 bits");
    SALT.map(|salt| 1 << (low.wrapping_mul(salt) >> 27))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_that_is_in_is_missed_and_little_else_is_let_through() {
        let hash = |number: u64| crate::keys::key_hash(&format!("key {number}"));
        let mut filter = Filter::for_keys(100_000);
        (0..100_000).for_each(|number| filter.insert(hash(number)));
        assert!((0..100_000).all(|number| filter.may_have(&Probe::of(hash(number)))));
        let through = (100_000..200_000).filter(|number| filter.may_have(&Probe::of(hash(*number)))).count();
        assert!(through < 300, "{through} of 100,000 that are not there were let through");
        let mut again = Filter::default();
        for from in (0..filter.len()).step_by(1_000) {
            assert!(again.append(&filter.part(from, 1_000)));
        }
        assert_eq!(again, filter);
        assert!(again.is_for(100_000) && !again.append(&[0; 31]));
    }
}
