//! The log as Parquet and as JSON lines, read back and compared with the log entry by entry.

use std::sync::Arc;

use onhand_engine::{CommitError, Ledger, ManualClock, Options, Submission};
use onhand_exchange::log::{LogReader, LogRow, LogTable, Names, write_line};
use onhand_ledger::command::{Adjust, Line, Noted, PlaceOrder, PutItem, PutLocation, Receive, TakeCount};
use onhand_ledger::{Body, Command, Entry, Instant, Invalid, Precision, Quantity, Record, Seq, TenantId};
use onhand_store::MemoryStore;
use parquet::file::reader::{FileReader, SerializedFileReader};
use parquet::record::{Field, Row};
use proptest::prelude::*;
use serde_json::Value;

const TENANT: TenantId = TenantId::DEFAULT;

fn second(number: u64) -> Instant {
    let start = Instant::parse("2026-11-23T08:00:00Z").unwrap();
    start.plus_micros(i64::try_from(number).unwrap() * 1_000_000)
}

struct Shop {
    ledger: Ledger,
    clock: Arc<ManualClock>,
    told: u64,
}

impl Shop {
    fn open() -> Self {
        let clock = Arc::new(ManualClock::at(Instant::parse("2026-11-23T08:00:00Z").unwrap()));
        let ledger = Ledger::open(Box::new(MemoryStore::default()), clock.clone(), Options::default());
        let mut shop = Self { ledger: ledger.unwrap(), clock, told: 0 };
        for sku in ["MUG", "tea, \"green\"", "Täßchen"] {
            let put = PutItem { sku: sku.to_owned(), precision: Precision::new(6), ..PutItem::default() };
            shop.tell(Body::PutItem(put));
        }
        for code in ["LONDON", "PARIS"] {
            shop.tell(Body::PutLocation(PutLocation { code: code.to_owned(), ..PutLocation::default() }));
        }
        shop
    }

    fn tell(&mut self, body: Body) {
        self.told += 1;
        self.clock.set(second(self.told));
        let key = self.told.is_multiple_of(3).then(|| format!("key-{}", self.told));
        let command = Some(Command::keyed(key, format!("actor {}", self.told % 4), body));
        let submission = Submission { tenant: TENANT, command, notes: Vec::new() };
        for result in self.ledger.commit(vec![submission]) {
            // The largest quantities do not add up for ever.
            assert!(matches!(result, Ok(_) | Err(CommitError::Invalid(Invalid::Overflow(_)))), "{result:?}");
        }
    }

    fn records(&self) -> Vec<(Seq, Record)> {
        self.ledger.read(TENANT, |view| view.records_after(0, usize::MAX)).unwrap()
    }

    /// The rows of a part of the log, and the file they are in.
    fn table(&self, from: Option<Seq>, to: Option<Seq>) -> (Vec<LogRow>, Vec<u8>) {
        self.table_of(LogTable::new().unwrap(), from, to)
    }

    fn table_of(&self, mut table: LogTable, from: Option<Seq>, to: Option<Seq>) -> (Vec<LogRow>, Vec<u8>) {
        let mut reader = self.ledger.read(TENANT, |view| LogReader::begin(view, from, to)).unwrap();
        let mut names = Names::default();
        let (mut all, mut file) = (Vec::new(), Vec::new());
        let mut parts = 0;
        while !reader.is_done() {
            let rows = self.ledger.read(TENANT, |view| {
                let mut rows = Vec::new();
                for (first, record) in reader.next(view)? {
                    names.rows(view, first, &record, &mut rows)?;
                }
                Ok(rows)
            });
            let mut rows = rows.unwrap();
            rows.retain(|row| row.seq >= from.unwrap_or(1) && reader.has(row.seq));
            all.extend(rows.iter().cloned());
            table.add(rows).unwrap();
            let part = table.take().unwrap();
            parts += usize::from(!part.is_empty());
            file.extend(part);
        }
        assert!(all.len() < 5_000 || parts > 1, "it is handed out while it is made");
        file.extend(table.finish().unwrap());
        (all, file)
    }
}

fn read(file: Vec<u8>) -> Vec<Row> {
    let reader = SerializedFileReader::new(bytes(file)).unwrap();
    reader.get_row_iter(None).unwrap().map(Result::unwrap).collect()
}

fn bytes(file: Vec<u8>) -> std::fs::File {
    use std::io::{Seek as _, Write as _};
    let mut written = tempfile::tempfile().unwrap();
    written.write_all(&file).unwrap();
    written.rewind().unwrap();
    written
}

fn field<'r>(row: &'r Row, name: &str) -> &'r Field {
    row.get_column_iter().find(|(other, _)| *other == name).map(|(_, field)| field).unwrap()
}

/// The field as text, a decimal as its exact unscaled value; none where it is null.
fn shown(row: &Row, name: &str) -> Option<String> {
    match field(row, name) {
        Field::Null => None,
        Field::Str(text) => Some(text.clone()),
        Field::Long(number) | Field::TimestampMicros(number) => Some(number.to_string()),
        Field::Decimal(decimal) => {
            assert_eq!((decimal.precision(), decimal.scale()), (19, 6));
            let negative = decimal.data().first().is_some_and(|byte| byte & 0x80 != 0);
            let start = if negative { -1_i128 } else { 0 };
            let value = decimal.data().iter().fold(start, |value, byte| (value << 8) | i128::from(*byte));
            Some(value.to_string())
        }
        Field::Bytes(bytes) => Some(String::from_utf8(bytes.data().to_vec()).unwrap()),
        other => panic!("{name} is {other:?}"),
    }
}

/// What a row must say, from the log alone.
fn expected(shop: &Shop, seq: Seq, first: Seq, record: &Record, entry: &Entry, name: &str) -> Option<String> {
    let json = serde_json::to_value(entry).unwrap();
    let movement = match entry {
        Entry::Movement(movement) => Some(movement),
        _ => None,
    };
    let micros = |quantity: Quantity| quantity.micros().to_string();
    let code = |location| {
        let known = shop.ledger.read(TENANT, |view| view.location(location)).unwrap();
        known.map(|location| location.code)
    };
    match name {
        "seq" => Some(seq.to_string()),
        "record_seq" => Some(first.to_string()),
        "recorded_at" => Some(record.recorded_at.micros().to_string()),
        "occurred_at" => match entry {
            Entry::Movement(movement) => Some(movement.occurred_at.micros().to_string()),
            Entry::Count(_, count) => Some(count.as_of.micros().to_string()),
            _ => None,
        },
        "actor" => Some(record.actor.clone()),
        "key" => record.key.clone(),
        "reference" => record.reference.clone(),
        "note" => record.note.clone(),
        "kind" => match json {
            Value::String(kind) => Some(kind),
            Value::Object(object) => object.keys().next().cloned(),
            _ => None,
        },
        "from_location" => code(movement?.from.location),
        "to_location" => code(movement?.to.location),
        "from_state" => Some(movement?.from.state.name().to_owned()),
        "to_state" => Some(movement?.to.state.name().to_owned()),
        "from_balance" => Some(micros(movement?.from.balance)),
        "to_balance" => Some(micros(movement?.to.balance)),
        "quantity" => Some(micros(movement?.quantity)),
        "reason" => Some(movement?.reason.clone()),
        "corrects" => movement?.corrects.map(|seq| seq.to_string()),
        "entry" => Some(serde_json::to_string(entry).unwrap()),
        "sku" if movement.is_some() => {
            let item = shop.ledger.read(TENANT, |view| view.item(movement.unwrap().item)).unwrap();
            item.map(|item| item.sku)
        }
        "item_id" if movement.is_some() => movement.map(|movement| movement.item.0.to_string()),
        _ => panic!("{name}"),
    }
}

const CHECKED: [&str; 19] = [
    "seq",
    "record_seq",
    "recorded_at",
    "occurred_at",
    "actor",
    "key",
    "reference",
    "note",
    "kind",
    "from_location",
    "to_location",
    "from_state",
    "to_state",
    "from_balance",
    "to_balance",
    "quantity",
    "reason",
    "corrects",
    "entry",
];

fn is_as_the_log(shop: &Shop, rows: &[Row]) {
    let mut rows = rows.iter();
    for (first, record) in shop.records() {
        for (seq, entry) in (first..).zip(&record.entries) {
            let row = rows.next().expect("a row for each entry");
            for name in CHECKED {
                let expected = expected(shop, seq, first, &record, entry, name);
                assert_eq!(shown(row, name), expected, "{name} of entry {seq}");
            }
            if matches!(entry, Entry::Movement(_)) {
                for name in ["sku", "item_id"] {
                    assert_eq!(shown(row, name), expected(shop, seq, first, &record, entry, name));
                }
            }
        }
    }
    assert!(rows.next().is_none(), "no row more");
}

fn act() -> impl Strategy<Value = Body> {
    let sku = prop::sample::select(vec!["MUG", "tea, \"green\"", "Täßchen"]);
    let place = prop::sample::select(vec!["LONDON", "PARIS"]);
    // Up to the largest that is taken, and to the smallest part.
    let quantity = prop_oneof![1..50_000_000_i64, Just(1), Just(Quantity::MAX_INPUT.micros())];
    (sku, place, quantity, 0..5_u8).prop_map(|(sku, place, micros, what)| {
        let quantity = Quantity::from_micros(micros);
        let (location, lines) = (place.to_owned(), vec![Line::new(sku, quantity)]);
        let receive = |lines| Receive { location: location.clone(), lines, occurred_at: None, reason: None };
        match what {
            0 => Body::Receive(receive(lines)),
            1 => Body::Noted(Box::new(Noted {
                reference: Some("DN-7".to_owned()),
                note: Some("wet, \"as told\"".to_owned()),
                body: Body::Receive(receive(lines)),
            })),
            2 => Body::Count(TakeCount {
                location,
                lines,
                as_of: None,
                inside: false,
                system: None,
                net: false,
            }),
            3 => Body::PlaceOrder(PlaceOrder { lines, ..PlaceOrder::default() }),
            _ => Body::Adjust(Adjust {
                lines: vec![Line::new(sku, -quantity)],
                location,
                occurred_at: None,
                reason: "shrinkage".to_owned(),
            }),
        }
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn every_row_of_the_table_is_an_entry_of_the_log(acts in prop::collection::vec(act(), 0..40)) {
        let mut shop = Shop::open();
        for body in acts {
            shop.tell(body);
        }
        is_as_the_log(&shop, &read(shop.table(None, None).1));
        // A part of it is those rows of the whole.
        let whole = shop.table(None, None).0;
        let head = whole.len() as u64;
        let (part, file) = shop.table(Some(3), Some(head - 1));
        prop_assert_eq!(&part[..], &whole[2..whole.len() - 1]);
        prop_assert_eq!(read(file).len(), part.len());
        prop_assert!(shop.table(Some(head + 1), None).0.is_empty());
    }
}

#[test]
fn a_log_of_many_groups_is_one_table_and_is_handed_out_while_it_is_made() {
    let mut shop = Shop::open();
    for _ in 0..20 {
        let lines = (0..300).map(|_| Line::new("MUG", Quantity::from_micros(1_000_001))).collect();
        let receive = Receive { location: "LONDON".to_owned(), lines, occurred_at: None, reason: None };
        shop.tell(Body::Receive(receive));
    }
    let (rows, file) = shop.table_of(LogTable::in_groups_of(1_000).unwrap(), None, None);
    let reader = SerializedFileReader::new(bytes(file.clone())).unwrap();
    assert_eq!((rows.len(), reader.metadata().num_row_groups()), (6_005, 7));
    is_as_the_log(&shop, &read(file.clone()));
    if let Ok(path) = std::env::var("ONHAND_KEEP_PARQUET") {
        std::fs::write(path, &file).unwrap();
    }
}

#[test]
fn a_line_of_json_is_a_record() {
    let mut shop = Shop::open();
    let lines = vec![Line::new("MUG", Quantity::from_micros(500_000))];
    shop.tell(Body::Receive(Receive {
        location: "LONDON".to_owned(),
        lines,
        occurred_at: None,
        reason: None,
    }));
    let mut out = Vec::new();
    for (first, record) in shop.records() {
        write_line(&mut out, first, &record).unwrap();
    }
    let lines: Vec<Value> =
        String::from_utf8(out).unwrap().lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let records = shop.records();
    assert_eq!(lines.len(), records.len());
    for (line, (first, record)) in lines.iter().zip(&records) {
        assert_eq!(line["seq"], *first);
        let entries: Vec<Entry> = serde_json::from_value(line["entries"].clone()).unwrap();
        assert_eq!(entries, record.entries);
    }
}
