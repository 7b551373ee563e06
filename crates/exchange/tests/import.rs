//! Files in: what is wrong is said, nothing or the good rows are imported, a rehearsal foresees what comes, and what is
//! exported is imported again.

use std::io::Cursor;
use std::sync::Arc;

use onhand_engine::{Handle, Ledger, ManualClock, Options, queue};
use onhand_exchange::export::{CsvRows, Export, What as Exported, Workbook};
use onhand_exchange::import::{self, Asked, Outcome, Reading, RowResult, Summary, What};
use onhand_ledger::command::PutLot;
use onhand_ledger::{Body, Command, Instant, Seq, TenantId};
use onhand_store::MemoryStore;
use proptest::prelude::*;
use tokio::sync::mpsc;

const TENANT: TenantId = TenantId::DEFAULT;

struct Shop {
    handle: Handle,
    runtime: tokio::runtime::Runtime,
}

impl Shop {
    fn empty() -> Self {
        let clock = Arc::new(ManualClock::at(Instant::parse("2026-11-23T08:00:00Z").unwrap()));
        let ledger = Ledger::open(Box::new(MemoryStore::default()), clock, Options::default()).unwrap();
        let (handle, queue) = queue(Arc::new(ledger));
        std::thread::spawn(move || queue.run());
        Self { handle, runtime: tokio::runtime::Builder::new_current_thread().build().unwrap() }
    }

    fn import(&self, what: What, file: &[u8], asked: &Asked) -> (Vec<RowResult>, Summary) {
        let plan = import::read(what, Cursor::new(file), &Reading::default()).unwrap();
        self.runtime.block_on(async {
            let (report, mut rows) = mpsc::channel(4);
            let listen = async {
                let mut all = Vec::new();
                while let Some((_, row)) = rows.recv().await {
                    all.push(row);
                }
                all
            };
            let run = import::run(&self.handle, TENANT, "test", std::slice::from_ref(&plan), asked, report);
            let (summaries, rows) = tokio::join!(run, listen);
            (rows, summaries.unwrap().into_iter().sum())
        })
    }

    /// Imports a file that must be good.
    fn put(&self, what: What, file: &str) {
        let (rows, summary) = self.import(what, file.as_bytes(), &Asked::default());
        assert!(summary.left_out == 0 && !summary.nothing, "{rows:#?}");
    }

    fn rows(&self, what: Exported) -> Vec<Vec<String>> {
        let ledger = self.handle.ledger();
        let mut export = ledger.read(TENANT, |view| Export::begin(view, what)).unwrap();
        let mut rows = Vec::new();
        while !export.is_done() {
            rows.extend(ledger.read(TENANT, |view| export.next(view, 2)).unwrap());
        }
        rows
    }

    fn csv(&self, what: Exported) -> String {
        let mut out = CsvRows::new(what.columns());
        out.add(&self.rows(what));
        String::from_utf8(out.take()).unwrap()
    }

    fn xlsx(&self, what: Exported) -> Vec<u8> {
        let mut book = Workbook::new(what.columns()).unwrap();
        book.add(&self.rows(what)).unwrap();
        let mut out = Cursor::new(Vec::new());
        book.finish(&mut out).unwrap();
        out.into_inner()
    }

    fn head(&self) -> Seq {
        self.handle.ledger().read(TENANT, |view| Ok(view.seq())).unwrap()
    }
}

fn outcomes(rows: &[RowResult]) -> Vec<(u64, Outcome, Option<&str>)> {
    rows.iter().map(|row| (row.line, row.outcome, row.column.as_deref())).collect()
}

/// Nor is what lies where nothing is sold.
#[test]
fn what_was_called_back_is_not_exported_as_available() {
    let shop = Shop::empty();
    shop.put(What::Locations, "code,sellable\nLONDON,true\nBACK,false\n");
    shop.put(What::Items, "sku,tracking\nHONEY,lots\nMUG,none\n");
    shop.put(What::Stock, "sku,location,lot,counted\nHONEY,LONDON,H-1,5\nHONEY,LONDON,H-2,3\nMUG,BACK,,2\n");
    let recall = PutLot { sku: "HONEY".into(), lot: "H-1".into(), expires: None, recalled: Some(true) };
    shop.runtime
        .block_on(shop.handle.submit(TENANT, Command::keyed(None, "test", Body::PutLot(recall))))
        .unwrap();
    let of = |row: &[String]| (row[2].clone(), row[5].clone(), row[6].clone(), row[12].clone());
    let rows: Vec<_> = shop.rows(Exported::Stock).iter().map(|row| of(row)).collect();
    let told = [("H-1", "0", "5", "5"), ("H-2", "3", "0", "3"), ("", "0", "2", "2")];
    assert_eq!(rows, told.map(|(lot, a, u, on_hand)| (lot.into(), a.into(), u.into(), on_hand.into())));
}

/// A program that is no spreadsheet writes formulas and not what they come to.
#[test]
fn a_formula_without_its_value_is_no_empty_cell() {
    let shop = Shop::empty();
    shop.put(What::Locations, "code\nLONDON\n");
    shop.put(What::Items, "sku\nMUG\nCUP\n");
    let mut book = rust_xlsxwriter::Workbook::new();
    let sheet = book.add_worksheet().set_formula_result_default("");
    for (column, name) in (0..).zip(["sku", "location", "counted"]) {
        sheet.write_string(0, column, name).unwrap();
    }
    for (row, sku, value) in [(1, "MUG", ""), (2, "CUP", "3")] {
        let formula = rust_xlsxwriter::Formula::new("=1+2").set_result(value);
        sheet.write_string(row, 0, sku).unwrap().write_string(row, 1, "LONDON").unwrap();
        sheet.write_formula(row, 2, formula).unwrap();
    }
    let file = book.save_to_buffer().unwrap();
    let asked = Asked { skip_bad_rows: true, ..Asked::default() };
    let (rows, _) = shop.import(What::Stock, &file, &asked);
    let bad = rows.iter().find(|row| row.line == 2).unwrap();
    let problem = bad.problem.as_deref().unwrap_or_else(|| panic!("{rows:?}"));
    assert!(problem.contains("the cell C2 has a formula without its value"), "{problem}");
    assert_eq!(bad.column.as_deref(), Some("counted"));
    assert!(rows.iter().all(|row| row.line != 3 || row.problem.is_none()), "{rows:?}");
}

#[test]
fn a_refusal_that_only_the_ledger_knows_of_keeps_all_out_or_itself_alone() {
    let shop = Shop::empty();
    shop.put(What::Locations, "code\nLONDON\n");
    shop.put(What::Items, "sku\nMUG\nTEA\n");
    shop.put(What::Receipts, "sku,location,quantity\nMUG,LONDON,5\nTEA,LONDON,5\n");
    // Each of the first two is possible by itself; both are not.
    let orders = b"reference,sku,quantity\nA-1,MUG,3\nA-2,MUG,3\nA-3,TEA,2\nA-3,NONE,1\n";
    let head = shop.head();
    for dry_run in [true, false] {
        let (rows, summary) = shop.import(What::Orders, orders, &Asked { dry_run, ..Asked::default() });
        let expected = [
            (2, Outcome::NotImported, None),
            (3, Outcome::LeftOut, Some("quantity")),
            (4, Outcome::LeftOut, None),
            (5, Outcome::LeftOut, Some("sku")),
        ];
        assert_eq!(outcomes(&rows), expected);
        assert!(rows[1].problem.as_deref().unwrap().contains("2 available"), "{rows:?}");
        assert!(rows[2].problem.as_deref().unwrap().contains("line 5 of the same order"), "{rows:?}");
        assert!(summary.nothing && summary.left_out == 3 && summary.imported == 0, "{summary:?}");
        assert_eq!(shop.head(), head, "nothing was done");
    }
    let asked = Asked { skip_bad_rows: true, ..Asked::default() };
    let (rows, summary) = shop.import(What::Orders, orders, &asked);
    assert_eq!(outcomes(&rows)[0], (2, Outcome::Imported, None));
    assert_eq!((summary.imported, summary.left_out, summary.nothing), (1, 3, false));
    let (rows, _) = shop.import(What::Orders, orders, &asked);
    assert_eq!(outcomes(&rows)[0], (2, Outcome::AlreadyThere, None));
}

#[test]
fn the_same_file_under_the_same_key_counts_once() {
    let shop = Shop::empty();
    shop.put(What::Locations, "code\nLONDON\n");
    shop.put(What::Items, "sku\nMUG\n");
    let receipts =
        b"sku,location,quantity,unit_cost,currency\nMUG,LONDON,5,2.50,EUR\nMUG,LONDON,5,2.50,EUR\n";
    let asked = Asked { key: Some("delivery-7".to_owned()), ..Asked::default() };
    let dry = Asked { dry_run: true, ..asked.clone() };
    let imported = [(2, Outcome::Imported, None), (3, Outcome::Imported, None)];
    assert_eq!(outcomes(&shop.import(What::Receipts, receipts, &dry).0), imported);
    assert_eq!(outcomes(&shop.import(What::Receipts, receipts, &asked).0), imported);
    let again = [(2, Outcome::AlreadyImported, None), (3, Outcome::AlreadyImported, None)];
    let (rows, summary) = shop.import(What::Receipts, receipts, &asked);
    assert_eq!((outcomes(&rows), summary.already_there), (again.to_vec(), 2));
    assert_eq!(outcomes(&shop.import(What::Receipts, receipts, &dry).0), again);
    assert!(shop.csv(Exported::Stock).contains("MUG,LONDON,,,,10,"), "{}", shop.csv(Exported::Stock));
    // Another file under that key is another request.
    let other = b"sku,location,quantity\nMUG,LONDON,6\n";
    let (rows, _) = shop.import(What::Receipts, other, &asked);
    assert!(
        rows[0].outcome == Outcome::LeftOut && rows[0].problem.as_deref().unwrap().contains("key"),
        "{rows:?}"
    );
}

#[test]
fn what_is_seen_of_lots_and_pieces_at_one_place_is_seen_together() {
    let shop = Shop::empty();
    shop.put(What::Locations, "code,parent\nBIN,LONDON\nLONDON,\n");
    shop.put(What::Items, "sku,tracking\nTEA,lots\nBIKE,serials\n");
    let sheet = "sku,location,lot,serial,expires,counted\nTEA,BIN,L1,,2027-01-31,5\nBIKE,BIN,,S1,,1\nTEA,BIN,L2,,,3\n\
        BIKE,BIN,F7,S2,,1\nBIKE,BIN,,S3,,\n";
    shop.put(What::Stock, sheet);
    let stock = shop.csv(Exported::Stock);
    for row in ["TEA,BIN,L1,,2027-01-31,5,", "TEA,BIN,L2,,,3,", "BIKE,BIN,,S1,,1,", "BIKE,BIN,F7,S2,,1,"] {
        assert!(stock.contains(row), "{row} of {stock}");
    }
    assert!(!stock.contains("S3"), "what was not counted is not there");
    shop.put(What::Stock, "sku,location,serial,counted\nBIKE,BIN,S1,0\n");
    assert!(!shop.csv(Exported::Stock).contains("S1"), "{}", shop.csv(Exported::Stock));
    let (rows, _) = shop.import(
        What::Stock,
        b"sku,location,lot,serial,counted\nTEA,BIN,,,1\nBIKE,BIN,,S4,2\nMUG,BIN,L1,,1\n",
        &Asked::default(),
    );
    assert!(rows.iter().all(|row| row.outcome == Outcome::LeftOut), "{rows:#?}");
}

// ---- there and back -----------------------------------------------------------------------------------------------

/// Text with what files trip over.
fn word() -> impl Strategy<Value = String> {
    "[A-Za-z0-9|=@,\";\\\\'ßé+-]{1,6}( [A-Z|=,\"]{1,3})?"
}

/// What an item has beside its SKU, by columns.
#[derive(Clone, Debug)]
struct Extra {
    name: String,
    precision: u8,
    words: Vec<String>,
    number: i64,
    tracking: u8,
    kit: Vec<(usize, u8)>,
    archived: bool,
    level_at: Option<usize>,
}

fn extra() -> impl Strategy<Value = Extra> {
    let kit = prop_oneof![3 => Just(Vec::new()), 1 => prop::collection::vec((0..8_usize, 1..4_u8), 1..3)];
    (
        word(),
        0..7_u8,
        prop::collection::vec(word(), 0..3),
        0..5_000_i64,
        0..4_u8,
        kit,
        any::<bool>(),
        prop::option::of(0..3_usize),
    )
        .prop_map(|(name, precision, words, number, tracking, kit, archived, level_at)| Extra {
            name,
            precision,
            words,
            number,
            tracking,
            kit,
            archived,
            level_at,
        })
}

fn escaped(text: &str) -> String {
    let special = |letter| matches!(letter, '\\' | '|' | '=' | '@');
    text.chars().flat_map(|letter| special(letter).then_some('\\').into_iter().chain([letter])).collect()
}

fn quoted(text: &str) -> String {
    format!("\"{}\"", text.replace('"', "\"\""))
}

fn line(fields: &[String]) -> String {
    let quoted: Vec<String> = fields.iter().map(|field| quoted(field)).collect();
    format!("{}\n", quoted.join(","))
}

fn items_file(skus: &[String], codes: &[String], extras: &[Extra]) -> String {
    let mut file = "sku,name,unit,precision,barcodes,tags,aliases,packs,low_stock,low_stock_at,kit,tracking,backorder_limit,\
        preorder_limit,available_from,archived\n"
        .to_owned();
    for (index, (sku, extra)) in skus.iter().zip(extras).enumerate() {
        // A lot or a piece is of no kit here, and no kit is inside itself: it has what comes before it alone.
        let is_kit = |index: usize| !extras[index].kit.is_empty() && index > 0;
        let kit: std::collections::BTreeMap<usize, u8> = extra
            .kit
            .iter()
            .filter(|_| index > 0)
            .map(|(part, number)| (part % index.max(1), *number))
            .collect();
        let kit: Vec<String> =
            kit.iter().map(|(part, number)| format!("{}={number}", escaped(&skus[*part]))).collect();
        let is_here_a_kit = is_kit(index);
        let tracking = match extra.tracking {
            1 if !is_here_a_kit => "lots",
            2 if !is_here_a_kit => "serials",
            _ => "none",
        };
        let precision = if tracking == "serials" || is_here_a_kit { 0 } else { extra.precision };
        let mut words: Vec<String> = extra.words.iter().map(|word| escaped(word)).collect();
        words.sort();
        words.dedup();
        // What is found by it is each item's own.
        let own: Vec<String> = words.iter().map(|word| format!("i{index}{word}")).collect();
        let packs: Vec<String> =
            own.iter().map(|word| format!("{word}={}@p{word}", extra.number + 1)).collect();
        let level_at =
            extra.level_at.map_or_else(String::new, |at| format!("{}={}", escaped(&codes[at]), extra.number));
        file.push_str(&line(&[
            sku.clone(),
            extra.name.clone(),
            "kg".to_owned(),
            precision.to_string(),
            own.iter().map(|word| format!("b{word}")).collect::<Vec<_>>().join("|"),
            words.join("|"),
            own.iter().map(|word| format!("a{word}")).collect::<Vec<_>>().join("|"),
            packs.join("|"),
            if extra.number % 2 == 0 { extra.number.to_string() } else { String::new() },
            level_at,
            kit.join("|"),
            tracking.to_owned(),
            extra.number.to_string(),
            (extra.number / 2).to_string(),
            if extra.number % 3 == 0 { "2027-01-01T00:00:00Z".to_owned() } else { String::new() },
            extra.archived.to_string(),
        ]));
    }
    file
}

/// Counts of what is no kit.
fn stock_file(skus: &[String], codes: &[String], extras: &[Extra]) -> String {
    let mut file = "sku,location,lot,serial,expires,counted\n".to_owned();
    for (index, (sku, extra)) in skus.iter().zip(extras).enumerate() {
        if index > 0 && !extra.kit.is_empty() {
            continue;
        }
        for (at, code) in codes.iter().enumerate() {
            let quantity = (extra.number % 7 + 1).to_string();
            let mut row = |lot: &str, serial: &str, expires: &str, quantity: &str| {
                let fields = [sku, code, lot, serial, expires, quantity].map(str::to_owned);
                file.push_str(&line(&fields));
            };
            match extra.tracking {
                1 => {
                    row("L1", "", "2027-01-31", &quantity);
                    row("L, \"2\"", "", "", "2");
                }
                2 => {
                    row("", &format!("S{at}"), "", "1");
                    row("F7", &format!("T{at}"), "2027-06-30", "1");
                }
                _ => row("", "", "", &quantity),
            }
        }
    }
    file
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn what_is_exported_is_imported_into_an_empty_ledger_and_exported_the_same(
        names in prop::collection::btree_set(word(), 8),
        places in prop::collection::btree_set(word(), 3),
        extras in prop::collection::vec(extra(), 8),
        order in Just((0..8_usize).collect::<Vec<_>>()).prop_shuffle(),
    ) {
        // No two of them look the same, and none is another's alias.
        let names: Vec<String> = names.iter().enumerate().map(|(index, name)| format!("{index}{name}")).collect();
        let skus: Vec<String> = order.iter().map(|index| names[*index].clone()).collect();
        let codes: Vec<String> = places.iter().enumerate().map(|(index, name)| format!("{index}{name}")).collect();
        let first = Shop::empty();
        // A part comes before the whole in the file.
        let mut locations = "code,name,sellable,rank,parent,time_zone,groups\n".to_owned();
        locations.push_str(&line(&[codes[0].clone(), "Bin".to_owned(), "true".to_owned(), "7".to_owned(), codes[1].clone(), String::new(), "EU|A\\|B".to_owned()]));
        locations.push_str(&line(&[codes[1].clone(), "Site".to_owned(), "false".to_owned(), "1".to_owned(), String::new(), "Europe/Berlin".to_owned(), "EU".to_owned()]));
        locations.push_str(&line(&[codes[2].clone(), "Other".to_owned(), "true".to_owned(), "2".to_owned(), String::new(), String::new(), String::new()]));
        first.put(What::Locations, &locations);
        first.put(What::Items, &items_file(&skus, &codes, &extras));
        first.put(What::Stock, &stock_file(&skus, &codes, &extras));
        for as_sheet in [false, true] {
            let second = Shop::empty();
            for (what, exported) in [
                (What::Locations, Exported::Locations),
                (What::Items, Exported::Items),
                (What::Stock, Exported::Stock),
            ] {
                let text = first.csv(exported);
                let file = if as_sheet { first.xlsx(exported) } else { text.clone().into_bytes() };
                let (rows, summary) = second.import(what, &file, &Asked::default());
                prop_assert!(summary.left_out == 0 && !summary.nothing, "{:#?}\n{}", rows, text);
                // Microseconds pass with each record; what is counted is as of that.
                let without_time = |csv: String| match exported {
                    Exported::Stock => csv.lines().map(|line| line.rsplit_once(',').unwrap().0.to_owned() + "\n").collect(),
                    _ => csv,
                };
                prop_assert_eq!(without_time(second.csv(exported)), without_time(text));
            }
        }
    }
}

// ---- the rehearsal ------------------------------------------------------------------------------------------------

fn some<T: Clone + std::fmt::Debug + 'static>(of: &[T]) -> impl Strategy<Value = T> + use<T> {
    prop::sample::select(of.to_vec())
}

fn row(what: What) -> BoxedStrategy<String> {
    let sku = some(&["MUG", "TEA", "BIKE", "KIT", "NONE"]);
    let place = some(&["LONDON", "LONDON", "PARIS", "MOON"]);
    let quantity = some(&["1", "2", "3", "0.5", "9", "0", "", "-1", "x"]);
    match what {
        What::Items => (
            sku,
            some(&["", "0", "3", "9"]),
            some(&["", "B1", "B2", "4006381333932"]),
            some(&["", "MUG=1", "KIT=1|TEA=2", "NONE=1", "?"]),
            some(&["", "LONDON=3", "MOON=1"]),
        )
            .prop_map(|(sku, precision, barcode, kit, level)| {
                format!("{sku},{precision},{barcode},{kit},{level}\n")
            })
            .boxed(),
        What::Kits => (some(&["KIT", "KIT", "MUG", "BOX", "NONE", ""]), sku, quantity)
            .prop_map(|(kit, component, quantity)| format!("{kit},{component},{quantity}\n"))
            .boxed(),
        What::Locations => (place, some(&["", "LONDON", "PARIS", "YORK", "NOWHERE"]), some(&["", "7", "-1"]))
            .prop_map(|(code, parent, rank)| format!("{code},{parent},{rank}\n"))
            .boxed(),
        What::Stock => (
            sku,
            place,
            some(&["", "", "L1", "L2"]),
            some(&["", "", "S1", "S2"]),
            quantity,
            some(&["", "2026-11-23T07:00:00Z", "2026-11-23T09:00:00Z"]),
        )
            .prop_map(|(sku, place, lot, serial, quantity, as_of)| {
                format!("{sku},{place},{lot},{serial},{quantity},{as_of}\n")
            })
            .boxed(),
        What::Receipts => {
            (sku, place, quantity, some(&["", "L1", "L2"]), some(&["", "S1", "S3"]), some(&["", "2.5", "-1"]))
                .prop_map(|(sku, place, quantity, lot, serial, cost)| {
                    format!("{sku},{place},{quantity},{lot},{serial},{cost},EUR\n")
                })
                .boxed()
        }
        What::Orders => (
            some(&["A", "B", "C", "D", "OLD", ""]),
            sku,
            quantity,
            some(&["", "", "LONDON", "MOON"]),
            some(&["", "1.5"]),
        )
            .prop_map(|(reference, sku, quantity, place, price)| {
                format!("{reference},{sku},{quantity},{place},{price},EUR\n")
            })
            .boxed(),
    }
}

fn header(what: What) -> &'static str {
    match what {
        What::Items => "sku,precision,barcodes,kit,low_stock_at\n",
        What::Kits => "kit,component,quantity\n",
        What::Locations => "code,parent,rank\n",
        What::Stock => "sku,location,lot,serial,counted,as_of\n",
        What::Receipts => "sku,location,quantity,lot,serial,unit_cost,currency\n",
        What::Orders => "reference,sku,quantity,location,price,currency\n",
    }
}

fn file() -> impl Strategy<Value = (What, String)> {
    let what = some(&What::ALL);
    what.prop_flat_map(|what| {
        let rows = prop::collection::vec(row(what), 1..12);
        rows.prop_map(move |rows| (what, format!("{}{}", header(what), rows.concat())))
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_dry_run_says_what_the_real_one_does(
        files in prop::collection::vec((file(), any::<bool>(), prop::option::weighted(0.3, 0..3_u8)), 1..5),
    ) {
        let shop = Shop::empty();
        shop.put(What::Locations, "code\nLONDON\nPARIS\n");
        shop.put(What::Items, "sku,tracking\nMUG,\nTEA,lots\nBIKE,serials\nBOX,\n");
        shop.put(What::Receipts, "sku,location,quantity,lot,serial\nMUG,LONDON,5,,\nTEA,PARIS,4,L1,\nBIKE,LONDON,1,,S1\n");
        shop.put(What::Orders, "reference,sku,quantity\nOLD,MUG,1\n");
        for ((what, file), skip_bad_rows, key) in files {
            let key = key.map(|key| format!("key-{key}"));
            let asked = Asked { dry_run: true, skip_bad_rows, key };
            let head = shop.head();
            let (foreseen, summary) = shop.import(what, file.as_bytes(), &asked);
            prop_assert_eq!(shop.head(), head, "a dry run does nothing");
            let (rows, real) = shop.import(what, file.as_bytes(), &Asked { dry_run: false, ..asked });
            prop_assert_eq!(&foreseen, &rows, "{}", file);
            prop_assert_eq!(summary, real);
            if real.nothing {
                prop_assert!(!skip_bad_rows && real.left_out > 0);
                prop_assert_eq!(shop.head(), head, "nothing was imported");
            }
            // Every row of the file is told of, once and in order.
            let lines: Vec<u64> = rows.iter().map(|row| row.line).collect();
            let mut sorted = lines.clone();
            sorted.sort_unstable();
            sorted.dedup();
            prop_assert_eq!(&lines, &sorted);
            if what != What::Stock {
                prop_assert_eq!(lines.len(), file.lines().count() - 1);
            }
        }
    }
}
