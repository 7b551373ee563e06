//! What is fuzzed, and what must be true of it beyond not panicking.

use onhand_ledger::entry::{Entry, Record};
use onhand_ledger::{Answer, Instant, Refusal};
use onhand_store::{Chunk, decode_records, encode_records};

/// A parser.
#[derive(Clone, Copy, PartialEq, Eq, Debug, clap::ValueEnum)]
pub enum Target {
    /// Rows of a file to import.
    Csv,
    /// Lines of commands in bulk.
    Ndjson,
    /// Chunks of the log.
    Log,
}

impl Target {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Csv, Self::Ndjson, Self::Log];

    /// Its name on the command line, and of its folder.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Csv => "csv",
            Self::Ndjson => "ndjson",
            Self::Log => "log",
        }
    }

    /// What inputs are made of.
    pub const fn words(self) -> &'static [&'static [u8]] {
        match self {
            Self::Csv => &[
                b"sku",
                b"name",
                b"precision",
                b"barcodes",
                b"tags",
                b"Handle",
                b"Variant SKU",
                b"Variant Inventory Qty",
                b"Option1 Value",
                b"Variant Barcode",
                b"location",
                b"counted",
                b"SKU,Title,Category,Location,Stock Level",
                b"SKU,Batch Number,Location,Status,Level,Expires On",
                b"Parent SKU,Child SKU,Quantity",
                b"SKU,Linked SKU Custom Label",
                b"SKU,Name,Barcode,Cost",
                b"Minimum Level",
                b"Is Composite Parent",
                b",",
                b"\"",
                b"\"\"",
                b"\r\n",
                b"\n",
                b"|",
                b";",
                b"\xef\xbb\xbf",
                b"\xff",
                b"4006381333931",
                b"0.1",
                b"-1",
                b"999999999999999999999",
                b"6",
                b"'",
            ],
            Self::Ndjson => &[
                b"{\"body\":",
                b"{\"group\":\"g\",\"body\":",
                b"{\"key\":\"k\",",
                b"\"receive\"",
                b"\"put_item\"",
                b"\"tick\"",
                b"\"group\":",
                b"\"lines\":[",
                b"\"sku\":\"MUG\"",
                b"\"quantity\":",
                b"0.000001",
                b"1e3",
                b"-0",
                b"1000000000000",
                b"\"occurred_at\":\"2026-11-24T10:15:00Z\"",
                b"null",
                b"[[",
                b"]}",
                b"}",
                b"\n",
                b"\r\n",
                b"\\u0000",
                b"\"\"",
                b"\xff",
                b"[[[[[[[[[[[[[[[[",
            ],
            Self::Log => &[
                b"\x00",
                b"\x01",
                b"\x7f",
                b"\xff\xff\xff\xff\x0f",
                b"\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01",
                b"MUG",
            ],
        }
    }

    /// Tries an input: what came of it, in words.
    ///
    /// # Panics
    ///
    /// Where it does what it must not.
    pub fn run(self, input: &[u8]) -> String {
        match self {
            Self::Csv => onhand_exchange::import::imported(input),
            Self::Ndjson => onhand_web::commands_of(input),
            Self::Log => log(input),
        }
    }
}

/// What was read can be written, and read again as the same.
fn log(body: &[u8]) -> String {
    let read = |body: &[u8], entries| {
        let (first_seq, recorded_at, body, hash) = (1, Instant::from_micros(0), body.to_vec(), [0; 32]);
        decode_records(&Chunk { first_seq, entries, recorded_at, body, hash })
    };
    // Whoever makes bytes up says also how many entries they are.
    let mut outcome = String::new();
    for entries in [0, 1, 2] {
        match read(body, entries) {
            Err(error) => outcome = error.to_string(),
            Ok(records) => {
                let records: Vec<Record> = records.into_iter().map(|(_, record)| record).collect();
                let again = read(&encode_records(1, &records), entries).expect("what was written is read");
                assert!(
                    again.into_iter().map(|(_, record)| record).eq(records.iter().cloned()),
                    "it is the same"
                );
                outcome = format!("{records:?}");
                break;
            }
        }
    }
    outcome
}

/// Good inputs, made rather than kept: the form of the log changes with the code.
pub fn seeds(target: Target) -> Vec<Vec<u8>> {
    if target != Target::Log {
        return Vec::new();
    }
    let record = |answer, entries| Record {
        recorded_at: Instant::from_micros(1),
        key: Some("k".to_owned()),
        fingerprint: 7,
        actor: "test".to_owned(),
        document: None,
        reference: None,
        note: None,
        entries,
        answer,
    };
    let refusal = Refusal::NotSellable { location: "LONDON".to_owned() };
    let in_group = Refusal::InGroup { line: 2, refusal: Box::new(refusal.clone()) };
    let group = Answer::Group(vec![Answer::Ticked(1), Answer::Item(onhand_ledger::ItemId(3))]);
    [
        vec![record(Answer::Ticked(0), vec![Entry::Nothing])],
        vec![record(Answer::Refused(refusal), vec![Entry::Refused])],
        vec![record(Answer::Refused(in_group), vec![Entry::Refused]), record(group, vec![Entry::Nothing])],
    ]
    .map(|records| encode_records(1, &records))
    .into()
}
