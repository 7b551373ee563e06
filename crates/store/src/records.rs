//! The bytes of records in the log: a format byte, then one record after the other, by `postcard`.
//!
//! Nearly every record of a busy shop is one plain movement: one item, one location, one entry, and an answer that follows from it.
//! Such a record is *packed*: what follows from something else is left out, words that come again and again are written once a chunk,
//! and quantities are in whole units where they are whole. That is less than half of what it would be, to write, to sync,
//! to hash and to read at a start. Any other record is written whole.

use onhand_ledger::answer::Moved;
use onhand_ledger::entry::{Account, Entry, Movement};
use onhand_ledger::{
    Answer, ConsignorId, Instant, ItemId, LocationId, LotId, Quantity, Record, Seq, StockState,
};
use serde::{Deserialize, Serialize};

use crate::{Chunk, StoreError};

/// The format of a chunk's body, its first byte.
const FORMAT: u8 = 3;
/// How many words a chunk keeps; a further one takes the place of the oldest.
const WORDS: usize = 8;
const UNIT: i64 = 1_000_000;

/// A record as it is written.
#[derive(Serialize)]
enum Written<'r> {
    Whole(&'r Record),
    Packed(Packed<'r>),
}

/// A record as it is read: the same bytes.
#[derive(Deserialize)]
enum Read<'b> {
    Whole(Box<Record>),
    #[serde(borrow)]
    Packed(Packed<'b>),
}

/// A word of a chunk.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
enum Word<'b> {
    /// It was written already: so many words ago, of those that are kept.
    Known(u8),
    New(&'b str),
}

/// One plain movement: untracked goods of the tenant's own, when it was recorded, for nobody's promise.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
struct Packed<'b> {
    /// In microseconds after the record before; after 0 for the first of a chunk.
    recorded_after: i64,
    key: Option<&'b str>,
    fingerprint: [u8; 8],
    actor: Word<'b>,
    item: u64,
    location: u64,
    from: StockState,
    to: StockState,
    /// Are `quantity`, `from_balance`, `to_balance` and `available` in whole units?
    whole: bool,
    quantity: i64,
    from_balance: i64,
    to_balance: i64,
    reason: Word<'b>,
    sku: &'b str,
    code: Word<'b>,
    /// What the answer says of the difference: the quantity itself, its opposite, or nothing.
    difference: Difference,
    /// What the answer says is available, where that is no balance of the movement.
    available: Option<i64>,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
enum Difference {
    None,
    More,
    Less,
}

/// The words of a chunk as far as it was written or read, the oldest first.
#[derive(Default)]
struct Words<'b>(std::collections::VecDeque<&'b str>);

impl<'b> Words<'b> {
    fn write(&mut self, word: &'b str) -> Word<'b> {
        match self.0.iter().position(|known| *known == word) {
            Some(index) => Word::Known(u8::try_from(index).unwrap_or(u8::MAX)),
            None => {
                self.keep(word);
                Word::New(word)
            }
        }
    }

    fn read(&mut self, word: Word<'b>) -> Option<&'b str> {
        match word {
            Word::Known(index) => self.0.get(usize::from(index)).copied(),
            Word::New(word) => {
                self.keep(word);
                Some(word)
            }
        }
    }

    fn keep(&mut self, word: &'b str) {
        if self.0.len() == WORDS {
            self.0.pop_front();
        }
        self.0.push_back(word);
    }
}

/// The bytes of records, of which the first entry of the first is `first_seq`.
pub fn encode_records<'r>(first_seq: Seq, records: impl IntoIterator<Item = &'r Record>) -> Vec<u8> {
    let mut body = Bytes(Vec::with_capacity(8 * 1024));
    body.0.push(FORMAT);
    let (mut words, mut seq, mut before) = (Words::default(), first_seq, Instant::from_micros(0));
    for record in records {
        let packed = pack(record, seq, before, &mut words);
        let written = packed.map_or(Written::Whole(record), Written::Packed);
        body = postcard::serialize_with_flavor(&written, body).expect("a record can always be written");
        seq += record.entries.len() as Seq;
        before = record.recorded_at;
    }
    body.0
}

/// The records of a chunk, each with its first entry's `seq`.
pub fn decode_records(chunk: &Chunk) -> Result<Vec<(Seq, Record)>, StoreError> {
    let damaged = |what: &str| StoreError::Damaged(format!("the chunk at entry {} {what}", chunk.first_seq));
    let Some((&FORMAT, mut rest)) = chunk.body.split_first() else {
        let found = chunk.body.first().copied().unwrap_or_default();
        return Err(damaged(&format!("is in format {found} of the log, and this version reads {FORMAT}")));
    };
    let mut records = Vec::new();
    let (mut words, mut seq, mut before) = (Words::default(), chunk.first_seq, Instant::from_micros(0));
    while !rest.is_empty() {
        let (read, after) = postcard::take_from_bytes::<Read<'_>>(rest)
            .map_err(|error| damaged(&format!("cannot be read ({error})")))?;
        rest = after;
        let record = match read {
            Read::Whole(record) => *record,
            Read::Packed(packed) => unpack(packed, seq, before, &mut words)
                .ok_or_else(|| damaged("has a packed record that says what cannot be"))?,
        };
        let first = seq;
        seq += record.entries.len() as Seq;
        before = record.recorded_at;
        records.push((first, record));
    }
    if seq - chunk.first_seq != chunk.entries {
        return Err(damaged("has another number of entries than it says"));
    }
    Ok(records)
}

/// The record in short, if it is one plain movement and says nothing that does not follow from that.
fn pack<'r>(record: &'r Record, seq: Seq, before: Instant, words: &mut Words<'r>) -> Option<Packed<'r>> {
    let Record {
        recorded_at,
        key,
        fingerprint,
        actor,
        document: None,
        reference: None,
        note: None,
        entries,
        answer,
    } = record
    else {
        return None;
    };
    let [Entry::Movement(movement)] = entries.as_slice() else { return None };
    let Movement { item, from, to, quantity, occurred_at, reason, promise: None, corrects: None } = movement
    else {
        return None;
    };
    let Answer::Moved(moved, discrepancies) = answer else { return None };
    let ([moved], []) = (moved.as_slice(), discrepancies.as_slice()) else { return None };
    let location = if from.state.is_party() { to.location } else { from.location };
    let numbers = [quantity.micros(), from.balance.micros(), to.balance.micros(), moved.available.micros()];
    let whole = numbers.iter().all(|number| number % UNIT == 0);
    let short = |number: Quantity| if whole { number.micros() / UNIT } else { number.micros() };
    let follows = available(from, to) == Some(moved.available);
    let difference = match moved.difference {
        difference if difference.is_zero() => Difference::None,
        difference if difference == *quantity => Difference::More,
        difference if Some(difference.micros()) == quantity.micros().checked_neg() => Difference::Less,
        _ => return None,
    };
    let is_plain = occurred_at == recorded_at
        && moved.seq == seq
        && *from == account(from.state, location, from.balance)
        && *to == account(to.state, location, to.balance);
    if !is_plain {
        return None;
    }
    Some(Packed {
        recorded_after: recorded_at.micros().checked_sub(before.micros())?,
        key: key.as_deref(),
        fingerprint: fingerprint.to_le_bytes(),
        actor: words.write(actor),
        item: item.0,
        location: location.0,
        from: from.state,
        to: to.state,
        whole,
        quantity: short(*quantity),
        from_balance: short(from.balance),
        to_balance: short(to.balance),
        reason: words.write(reason),
        sku: &moved.sku,
        code: words.write(&moved.location),
        difference,
        available: (!follows).then(|| short(moved.available)),
    })
}

/// The record of [`pack`]; none where there is none that would be packed so.
fn unpack<'b>(packed: Packed<'b>, seq: Seq, before: Instant, words: &mut Words<'b>) -> Option<Record> {
    let long = |number: i64| {
        let micros = if packed.whole { number.checked_mul(UNIT)? } else { number };
        Some(Quantity::from_micros(micros))
    };
    let recorded_at = Instant::from_micros(before.micros().checked_add(packed.recorded_after)?);
    let location = LocationId(packed.location);
    let actor = words.read(packed.actor)?.to_owned();
    let reason = words.read(packed.reason)?.to_owned();
    let code = words.read(packed.code)?.to_owned();
    let quantity = long(packed.quantity)?;
    let from = account(packed.from, location, long(packed.from_balance)?);
    let to = account(packed.to, location, long(packed.to_balance)?);
    let difference = match packed.difference {
        Difference::None => Quantity::ZERO,
        Difference::More => quantity,
        Difference::Less => Quantity::from_micros(quantity.micros().checked_neg()?),
    };
    let available = match packed.available {
        Some(available) => long(available)?,
        None => available(&from, &to)?,
    };
    let moved = Moved { sku: packed.sku.to_owned(), location: code, difference, available, seq };
    let movement = Movement {
        item: ItemId(packed.item),
        from,
        to,
        quantity,
        occurred_at: recorded_at,
        reason,
        promise: None,
        corrects: None,
    };
    Some(Record {
        recorded_at,
        key: packed.key.map(ToOwned::to_owned),
        fingerprint: u64::from_le_bytes(packed.fingerprint),
        actor,
        document: None,
        reference: None,
        note: None,
        entries: vec![Entry::Movement(movement)],
        answer: Answer::Moved(vec![moved], Vec::new()),
    })
}

/// What is available after a movement at its one location, where the movement says so.
fn available(from: &Account, to: &Account) -> Option<Quantity> {
    [from, to].into_iter().find(|side| side.state == StockState::Available).map(|side| side.balance)
}

/// A side of a plain movement.
fn account(state: StockState, location: LocationId, balance: Quantity) -> Account {
    let location = if state.is_party() { LocationId(0) } else { location };
    Account { location, state, lot: LotId(0), consignor: ConsignorId(0), balance, late: false }
}

/// Bytes that grow as `postcard` writes: its own `Extend` writes byte by byte.
struct Bytes(Vec<u8>);

impl postcard::ser_flavors::Flavor for Bytes {
    type Output = Self;

    fn try_push(&mut self, byte: u8) -> postcard::Result<()> {
        self.0.push(byte);
        Ok(())
    }

    fn try_extend(&mut self, bytes: &[u8]) -> postcard::Result<()> {
        self.0.extend_from_slice(bytes);
        Ok(())
    }

    fn finalize(self) -> postcard::Result<Self> {
        Ok(self)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use proptest::strategy::ValueTree;

    use super::*;

    fn state() -> impl Strategy<Value = StockState> {
        proptest::sample::select(StockState::ALL.to_vec())
    }

    /// Near zero, in whole units and in parts of them, and at the ends.
    fn quantity() -> impl Strategy<Value = Quantity> {
        let ends = proptest::sample::select(vec![0, 1, -1, UNIT, -UNIT, i64::MAX, i64::MIN, i64::MIN + 1]);
        prop_oneof![(-50i64..50).prop_map(|units| units * UNIT), -5_000_000i64..5_000_000, ends]
            .prop_map(Quantity::from_micros)
    }

    fn word() -> impl Strategy<Value = String> {
        prop_oneof!["[a-e]", "[a-z]{0,12}", Just("LONDON".to_owned())]
    }

    /// A plain record at a `seq` to come, with a few things about it changed, none of them in most cases.
    fn record() -> impl Strategy<Value = (Record, Vec<u8>)> {
        let numbers = (quantity(), quantity(), quantity(), quantity(), any::<i64>(), 0u64..4, 0u64..4);
        let words = (word(), word(), word(), word(), proptest::option::of(word()));
        let changes = prop_oneof![3 => Just(Vec::new()), 2 => proptest::collection::vec(0u8..16, 1..3)];
        (state(), state(), numbers, words, changes).prop_map(|(from, to, numbers, words, changes)| {
            let (quantity, from_balance, to_balance, other, at, item, location) = numbers;
            let (actor, reason, sku, code, key) = words;
            let location = LocationId(location);
            let (from, to) = (account(from, location, from_balance), account(to, location, to_balance));
            let recorded_at = Instant::from_micros(at);
            let moved = Moved {
                sku,
                location: code,
                difference: quantity,
                available: available(&from, &to).unwrap_or(other),
                seq: 0,
            };
            let movement = Movement {
                item: ItemId(item),
                from,
                to,
                quantity,
                occurred_at: recorded_at,
                reason,
                promise: None,
                corrects: None,
            };
            let record = Record {
                recorded_at,
                key,
                fingerprint: at.cast_unsigned().rotate_left(7),
                actor,
                document: None,
                reference: None,
                note: None,
                entries: vec![Entry::Movement(movement)],
                answer: Answer::Moved(vec![moved], Vec::new()),
            };
            (record, changes)
        })
    }

    /// Makes it a record at that `seq`, changed.
    fn settle(mut record: Record, changes: &[u8], seq: Seq) -> Record {
        let Answer::Moved(moved, discrepancies) = &mut record.answer else { return record };
        moved[0].seq = seq;
        let Entry::Movement(movement) = &mut record.entries[0] else { return record };
        for change in changes {
            match change {
                0 => moved[0].seq += 1,
                1 => moved[0].difference = Quantity::ZERO,
                2 => moved[0].difference = Quantity::from_micros(movement.quantity.micros().wrapping_neg()),
                3 => moved[0].difference = Quantity::from_micros(movement.quantity.micros() ^ 1),
                4 => moved[0].available = Quantity::from_micros(7),
                5 => movement.from.lot = LotId(3),
                6 => movement.to.consignor = ConsignorId(3),
                7 => movement.to.late = true,
                8 => movement.from.location = LocationId(9),
                9 => movement.occurred_at = Instant::from_micros(5),
                10 => movement.corrects = Some(1),
                11 => discrepancies.push(onhand_ledger::DiscrepancyId(4)),
                12 => record.note = Some("note".to_owned()),
                13 => record.reference = Some("paper".to_owned()),
                14 => moved.clear(),
                _ => record.document = Some((onhand_ledger::SystemId(1), "doc".to_owned())),
            }
            if moved.is_empty() {
                break;
            }
        }
        if changes.contains(&15) {
            record.entries.push(Entry::Nothing);
        }
        record
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2_000))]

        #[test]
        fn what_was_written_is_read_word_for_word(
            records in proptest::collection::vec(record(), 0..30),
            first_seq in 1u64..1_000_000,
        ) {
            let mut seq = first_seq;
            let records: Vec<Record> = records.into_iter().map(|(record, changes)| {
                let record = settle(record, &changes, seq);
                seq += record.entries.len() as Seq;
                record
            }).collect();
            let body = encode_records(first_seq, &records);
            let recorded_at = records.last().map_or(Instant::from_micros(0), |record| record.recorded_at);
            let chunk = Chunk { first_seq, entries: seq - first_seq, recorded_at, body, hash: [0; 32] };
            let again: Vec<Record> = decode_records(&chunk).unwrap().into_iter().map(|(_, record)| record).collect();
            prop_assert_eq!(again, records);
        }
    }

    #[test]
    fn a_plain_movement_is_packed_and_little_else_is() {
        let mut random = proptest::test_runner::TestRunner::deterministic();
        let mut packed = 0;
        for _ in 0..500 {
            let (record, changes) = record().new_tree(&mut random).unwrap().current();
            let record = settle(record, &changes, 5);
            let is_packed = pack(&record, 5, Instant::from_micros(0), &mut Words::default()).is_some();
            // A difference that is zero, negative or as before, and another number available, can be said in short.
            let is_plain = changes.iter().all(|change| matches!(change, 1 | 2 | 4));
            prop_assert_or(is_packed, is_plain, &record, &changes);
            packed += usize::from(is_packed);
        }
        assert!(packed > 200, "{packed} of 500");
    }

    fn prop_assert_or(is_packed: bool, is_plain: bool, record: &Record, changes: &[u8]) {
        assert!(is_packed || !is_plain, "not packed: {record:?}");
        // Changes that change nothing are no changes.
        let changed =
            changes.iter().any(|change| matches!(change, 0 | 5 | 6 | 7 | 10 | 11 | 12 | 13 | 14 | 15));
        assert!(!(is_packed && changed), "packed though changed by {changes:?}: {record:?}");
    }
}
