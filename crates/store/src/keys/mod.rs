//! Request keys, kept for ever: what answers whether a key was used before, however long ago.
//!
//! A key is known by a hash of 64 bits and the first entry of the record that it was answered with; the key itself
//! is in that record, where whoever asks compares it, so that two keys of one hash both work. The young are in memory. When there are enough they are
//! written as a *run*: pages sorted by hash, with a [`Filter`] that answers for nearly every key that is not in it.
//! Runs of one size are merged into one of the next, so that there are few. Writing and merging go a slice at a time, each in the
//! transaction that commits something else; a run counts once its last row is in, which also ends those it was merged from.
//! What a crash leaves of a run that was not finished is no run, and is removed like one that was merged.
//!
//! What is not its business: where pages are kept (see `sqlite::keys`).

mod filter;
mod young;

pub(crate) use filter::{Filter, Probe};
pub(crate) use young::Young;

use onhand_ledger::Seq;

/// A key's hash, and the first entry of its record.
pub type KeyAt = (u64, Seq);

/// The hash that a key is known by: the first 64 bits of its BLAKE3, so that nobody finds two alike by chance.
pub fn key_hash(key: &str) -> u64 {
    u64::from_le_bytes(blake3::hash(key.as_bytes()).as_bytes().first_chunk().copied().unwrap_or_default())
}

/// How many keys a page of a run has, unless more have one hash: they are never parted.
pub(crate) const PAGE_KEYS: usize = 500;

/// How many runs of one size are merged into one.
pub(crate) const MERGED: usize = 4;

/// The size of a run: those of one size differ by less than four times.
pub(crate) const fn size_of_run(keys: u64) -> u32 {
    (keys | 1).ilog2() / 2
}

/// The bytes of a page.
pub(crate) fn write_page(keys: &[KeyAt]) -> Vec<u8> {
    let mut page = Vec::with_capacity(16 * keys.len());
    for (hash, seq) in keys {
        page.extend_from_slice(&hash.to_le_bytes());
        page.extend_from_slice(&seq.to_le_bytes());
    }
    page
}

/// The keys of a page; none where its length is none of a page.
pub(crate) fn read_page(page: &[u8]) -> Option<Vec<KeyAt>> {
    let (keys, rest) = page.as_chunks::<16>();
    rest.is_empty().then(|| keys.iter().map(read_key).collect())
}

/// The keys of one hash in a page, without reading the others; none where its length is none of a page.
pub(crate) fn keys_in_page(page: &[u8], hash: u64) -> Option<impl Iterator<Item = KeyAt>> {
    let (keys, rest) = page.as_chunks::<16>();
    let from = keys.partition_point(|key| read_key(key).0 < hash);
    let same = keys[from..].iter().map(read_key).take_while(move |(other, _)| *other == hash);
    rest.is_empty().then_some(same)
}

fn read_key(key: &[u8; 16]) -> KeyAt {
    let number = |bytes: &[u8]| u64::from_le_bytes(bytes.first_chunk().copied().unwrap_or_default());
    (number(&key[..8]), number(&key[8..]))
}
