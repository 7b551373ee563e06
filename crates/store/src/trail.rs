//! The bytes of a cell's trail: each row as its difference from the one before, in as few bytes as that takes.
//!
//! A row is three numbers of 1 to 10 bytes (seven bits each, the lowest first, the eighth set where more follow): how much the
//! `seq` grew, times four, plus two where the row is late and one where the balance changed by whole units; how much the
//! time and how much the balance changed, each in zigzag. The first row differs from zeros. Some seven bytes for a movement of a
//! few units, where the fields by themselves take twenty.

use onhand_ledger::state::TrailRow;
use onhand_ledger::{Instant, Quantity, Seq};

/// How many rows a block of a trail has at most: so that it nearly always has less than the 1,002 bytes that SQLite keeps in a
/// page of 4 KiB with a row's key, see <https://sqlite.org/fileformat2.html#cell_payload_overflow_pages>.
pub(crate) const BLOCK: usize = 96;

const LATE: u64 = 2;
const WHOLE: u64 = 1;
/// Millionths in a unit.
const UNIT: i64 = 1_000_000;
const ZERO: TrailRow =
    TrailRow { seq: 0, occurred_at: Instant::from_micros(0), balance: Quantity::ZERO, late: false };

/// The bytes of some rows.
pub(crate) fn encode(rows: &[TrailRow]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(8 * rows.len() + 16);
    append(&mut bytes, None, rows);
    bytes
}

/// The rows that [`encode`] wrote; none where the bytes are no such rows.
pub(crate) fn decode(mut bytes: &[u8]) -> Option<Vec<TrailRow>> {
    let mut rows = Vec::with_capacity(bytes.len() / 6);
    let mut before = ZERO;
    while !bytes.is_empty() {
        let (seq, at, balance) = (take(&mut bytes)?, take(&mut bytes)?, take(&mut bytes)?);
        let unit = if seq & WHOLE == 0 { 1 } else { UNIT };
        before = TrailRow {
            seq: before.seq.checked_add(seq >> 2)?,
            occurred_at: Instant::from_micros(before.occurred_at.micros().wrapping_add(unzigzag(at))),
            balance: Quantity::from_micros(
                before.balance.micros().wrapping_add(unzigzag(balance).wrapping_mul(unit)),
            ),
            late: seq & LATE != 0,
        };
        rows.push(before);
    }
    Some(rows)
}

/// Adds rows behind those that were written, of which `last` is the last.
pub(crate) fn append(bytes: &mut Vec<u8>, last: Option<TrailRow>, rows: &[TrailRow]) {
    let mut before = last.unwrap_or(ZERO);
    for row in rows {
        // Both differences may wrap, and wrap back.
        let at = row.occurred_at.micros().wrapping_sub(before.occurred_at.micros());
        let balance = row.balance.micros().wrapping_sub(before.balance.micros());
        let (balance, whole) = if balance % UNIT == 0 { (balance / UNIT, WHOLE) } else { (balance, 0) };
        let flags = whole + if row.late { LATE } else { 0 };
        put(bytes, (grown(before.seq, row.seq) << 2) | flags);
        put(bytes, zigzag(at));
        put(bytes, zigzag(balance));
        before = *row;
    }
}

fn grown(before: Seq, seq: Seq) -> u64 {
    let grown = seq.checked_sub(before).filter(|grown| grown >> 62 == 0);
    grown.expect("rows of a trail are in the order of their entries, of which there are fewer than 2^62")
}

const fn zigzag(number: i64) -> u64 {
    ((number << 1) ^ (number >> 63)).cast_unsigned()
}

const fn unzigzag(number: u64) -> i64 {
    (number >> 1).cast_signed() ^ -(number & 1).cast_signed()
}

fn put(bytes: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        bytes.push(number.to_le_bytes()[0] | 0x80);
        number >>= 7;
    }
    bytes.push(number.to_le_bytes()[0]);
}

fn take(bytes: &mut &[u8]) -> Option<u64> {
    let mut number = 0;
    for shift in (0..64).step_by(7) {
        let (byte, rest) = bytes.split_first()?;
        *bytes = rest;
        let bits = u64::from(byte & 0x7f);
        if shift == 63 && bits > 1 {
            return None;
        }
        number |= bits << shift;
        if byte & 0x80 == 0 {
            return Some(number);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn rows() -> impl Strategy<Value = Vec<TrailRow>> {
        let micros = || prop_oneof![any::<i64>(), -5_i64..5, (-5_i64..5).prop_map(|units| units * UNIT)];
        let row = (0_u64..1 << 50, micros(), micros(), any::<bool>());
        prop::collection::vec(row, 0..50).prop_map(|rows| {
            let mut seq = 0;
            let row = |(grown, at, balance, late)| {
                seq += grown;
                let (occurred_at, balance) = (Instant::from_micros(at), Quantity::from_micros(balance));
                TrailRow { seq, occurred_at, balance, late }
            };
            rows.into_iter().map(row).collect()
        })
    }

    proptest! {
        #[test]
        fn rows_are_read_as_they_were_written_in_one_go_or_in_two(rows in rows(), cut in 0_usize..50) {
            let bytes = encode(&rows);
            prop_assert_eq!(decode(&bytes), Some(rows.clone()));
            let (first, second) = rows.split_at(cut.min(rows.len()));
            let mut parts = encode(first);
            append(&mut parts, first.last().copied(), second);
            prop_assert_eq!(parts, bytes);
        }

        #[test]
        fn any_bytes_are_rows_or_none(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = decode(&bytes);
        }

        #[test]
        fn rows_that_are_cut_are_fewer_or_none(rows in rows(), cut in 1_usize..30) {
            let bytes = encode(&rows);
            let cut = &bytes[..bytes.len().saturating_sub(cut)];
            if let Some(left) = decode(cut) {
                prop_assert!(rows.is_empty() || left.len() < rows.len());
            }
        }
    }

    #[test]
    fn a_block_of_a_busy_cell_fits_beside_its_key() {
        let row = |number: u64| TrailRow {
            seq: 5_000_000_000 + number * 10_000,
            occurred_at: Instant::from_micros(
                1_800_000_000_000_000 + i64::try_from(number).unwrap() * 900_000_000,
            ),
            balance: Quantity::units(1_000 + i64::try_from(number % 7).unwrap()),
            late: false,
        };
        let rows: Vec<TrailRow> = (0..96).map(row).collect();
        assert!(encode(&rows).len() < 900, "{} bytes", encode(&rows).len());
    }
}
