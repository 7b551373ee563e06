//! Items, kits, locations, stock, receipts and orders from CSV or XLSX, with columns named as the user says, or as the systems name
//! them that people move in from.
//!
//! The file is read and checked before anything is imported: nothing of it is, or exactly the good rows, as was chosen. What
//! the ledger would refuse is found by rehearsing it on a copy. Rows that are left out of a file stay as they are.

mod archive;
mod catalogue;
mod foreign;
mod items;
mod kits;
mod locations;
pub mod move_in;
mod orders;
mod receipts;
mod run;
mod stock;

use std::collections::BTreeMap;
use std::io::{Read, Seek};

use onhand_ledger::command::{Line, PutLocation, TakeCount};
use onhand_ledger::{Body, Date, Instant, Quantity};

pub use foreign::{Left, Source};
pub use onhand_sheets::{Bad, FileKind, FileProblem, MOST_ROWS, MOST_UNPACKED};
use onhand_sheets::{Record, Table};
pub use run::{Asked, MOST_REHEARSED, Outcome, RowResult, Summary, Why, run};

/// What is imported.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum What {
    /// Items.
    Items,
    /// What kits are built of.
    Kits,
    /// Locations.
    Locations,
    /// Stock as somebody saw it.
    Stock,
    /// Goods that came in.
    Receipts,
    /// Orders.
    Orders,
}

impl What {
    /// All there are.
    pub const ALL: [Self; 6] =
        [Self::Items, Self::Kits, Self::Locations, Self::Stock, Self::Receipts, Self::Orders];

    /// What it is called where it is asked for.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Items => "items",
            Self::Kits => "kits",
            Self::Locations => "locations",
            Self::Stock => "stock",
            Self::Receipts => "receipts",
            Self::Orders => "orders",
        }
    }

    /// One of them, in a word.
    pub const fn one(self) -> &'static str {
        match self {
            Self::Items => "item",
            Self::Kits => "kit",
            Self::Locations => "location",
            Self::Stock => "count",
            Self::Receipts => "receipt",
            Self::Orders => "order",
        }
    }
}

/// How a file is read.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Reading {
    /// What kind of file it is; its first bytes show it unless told.
    pub kind: Option<FileKind>,
    /// Which column of the file is which of ours: ours, and the file's.
    pub map: Vec<(String, String)>,
    /// Of a Shopify export: make SKUs, for variants that have none, of their handle and options.
    pub make_skus: bool,
    /// Of a Shopify export: take its quantities as counts at this location.
    pub stock_at: Option<String>,
}

/// Which rows a command is made of, and how.
#[derive(Clone, PartialEq, Eq, Debug)]
enum Make {
    /// One row.
    Row(u32),
    /// One row, without what comes later in the file.
    First(u32),
    /// That.
    Second(u32),
    /// Several rows.
    Rows(Vec<u32>),
    /// An item of another system's catalogue, by its place among those.
    Listed(u32),
}

impl Make {
    fn rows(&self) -> &[u32] {
        match self {
            Self::Row(row) | Self::First(row) | Self::Second(row) => std::slice::from_ref(row),
            Self::Rows(rows) => rows,
            Self::Listed(_) => &[],
        }
    }

    fn add(&mut self, row: u32) {
        match self {
            Self::Rows(rows) => rows.push(row),
            _ => *self = Self::Rows(self.rows().iter().copied().chain([row]).collect()),
        }
    }
}

/// What one command is made of.
#[derive(Clone, PartialEq, Eq, Debug)]
struct Task {
    make: Make,
}

impl Task {
    const fn row(row: u32) -> Self {
        Self { make: Make::Row(row) }
    }
}

/// What rows come to.
#[derive(Debug, Default)]
struct Found {
    tasks: Vec<Task>,
    /// What cannot be imported.
    bad: Vec<Bad>,
    /// What shall not be imported, with why.
    skipped: Vec<Bad>,
}

impl Found {
    /// Where nothing is passed over.
    fn all((tasks, bad): (Vec<Task>, Vec<Bad>)) -> Self {
        Self { tasks, bad, skipped: Vec::new() }
    }
}

/// A file that was read and checked, ready to be imported.
#[derive(Debug)]
pub struct Plan {
    what: What,
    table: Table,
    /// Whose file it is, where it is known by its header.
    source: Option<Source>,
    /// Its columns that have no place here.
    left: Vec<Left>,
    /// Items of another system's catalogue.
    listed: Vec<items::Row>,
    tasks: Vec<Task>,
    /// Rows that cannot be imported, by line.
    bad: Vec<Bad>,
    /// Rows that shall not be imported, with why, by line.
    skipped: Vec<Bad>,
    /// What is said of rows that are imported, by line.
    said: BTreeMap<u64, Bad>,
    stock_at: Option<String>,
    /// Locations that are made where they are not there.
    places: Vec<String>,
}

/// Reads a file and checks all that can be without the ledger.
pub fn read(what: What, input: impl Read + Seek, reading: &Reading) -> Result<Plan, FileProblem> {
    let Reading { kind, map, make_skus, stock_at } = reading;
    if let Some(code) = stock_at {
        let put = PutLocation { code: code.clone(), ..PutLocation::default() };
        put.check().map_err(|error| FileProblem(format!("`{code}` cannot be a location's code: {error}")))?;
    }
    let table = onhand_sheets::read(input, *kind, map)?;
    let source =
        foreign::recognise(&table).filter(|_| matches!(what, What::Items | What::Kits | What::Stock));
    planned(what, table, source, *make_skus, stock_at.clone())
}

/// What a file's rows come to.
fn planned(
    what: What,
    mut table: Table,
    source: Option<Source>,
    make_skus: bool,
    stock_at: Option<String>,
) -> Result<Plan, FileProblem> {
    let left = source.map(|source| source.left(&table)).unwrap_or_default();
    source.map_or(Ok(()), |source| source.take(&mut table, what))?;
    let unread = std::mem::take(&mut table.bad);
    let mut listed = Vec::new();
    let mut found = match (what, source) {
        (What::Items, None) if items::is_shopify(&table) => {
            let (rows, wrong) = items::shopify_rows(&table);
            let (rows, also_wrong) = items::with_skus(rows, make_skus)?;
            listed = rows;
            Found { bad: wrong.into_iter().chain(also_wrong).collect(), ..Found::default() }
        }
        (What::Items, None) => Found::all(items::of(&table)?),
        (What::Items, Some(Source::LinnworksLinks)) => catalogue::links(&table),
        (What::Items, Some(source)) => {
            let (rows, bad, skipped) = catalogue::rows(&table, source);
            listed = rows;
            Found { tasks: Vec::new(), bad, skipped }
        }
        (What::Kits, _) => Found::all(kits::of(&table)?),
        (What::Locations, _) => Found::all(locations::of(&table)?),
        (What::Stock, _) => stock::of(&table, source)?,
        (What::Receipts, _) => Found::all(receipts::of(&table)?),
        (What::Orders, _) => orders::of(&table)?,
    };
    found.tasks.extend((0..).zip(&listed).map(|(place, _)| Task { make: Make::Listed(place) }));
    found.bad.extend(unread);
    found.bad.sort();
    found.skipped.sort();
    let Found { tasks, bad, skipped } = found;
    let (said, places) = (BTreeMap::new(), Vec::new());
    let mut plan = Plan { what, table, source, left, listed, tasks, bad, skipped, said, stock_at, places };
    if what == What::Stock && source.is_some() {
        plan.name_places();
    }
    Ok(plan)
}

impl Plan {
    /// Rows that cannot be imported, by line.
    pub fn bad(&self) -> &[Bad] {
        &self.bad
    }

    /// What is imported.
    pub const fn what(&self) -> What {
        self.what
    }

    /// Whose file it is, where it is known by its header.
    pub const fn source(&self) -> Option<Source> {
        self.source
    }

    /// The columns of another system's file that have values and no place here.
    pub fn left(&self) -> &[Left] {
        &self.left
    }

    /// What else could be taken from another system's file.
    pub fn also(&self) -> impl Iterator<Item = What> {
        let kinds = foreign::KINDS.into_iter().filter(|what| *what != self.what);
        kinds.filter(|what| self.source.is_some_and(|source| source.offers(&self.table, *what)))
    }

    /// Locations that are made where they are not there.
    pub fn places(&self) -> &[String] {
        &self.places
    }

    /// Makes the locations that it counts at, and says what was counted as nothing.
    fn name_places(&mut self) {
        self.places = stock::places(&self.table, &self.tasks);
        let rows = self.tasks.iter().flat_map(|task| task.make.rows());
        let said = rows.filter_map(|row| stock::said(&self.table.record(*row)));
        self.said = said.map(|said| (said.line, said)).collect();
    }

    /// The SKUs that were made of a Shopify export, with the names of the items.
    pub fn made_skus(&self) -> impl Iterator<Item = (&str, &str)> {
        let made = self.listed.iter().filter(|row| row.made_sku.as_ref() == Some(&row.item.sku));
        made.map(|row| (row.item.sku.as_str(), row.item.name.as_deref().unwrap_or_default()))
    }

    /// How many quantities a Shopify export has that are not taken.
    pub fn quantities_left(&self) -> usize {
        if self.stock_at.is_some() {
            return 0;
        }
        self.listed.iter().filter(|row| row.quantity.is_some()).count()
    }

    /// What becomes of each row where bad ones keep the others out, by line.
    pub fn without_the_ledger(&self) -> Vec<RowResult> {
        run::without_the_ledger(self)
    }

    /// How many rows it has that are told of.
    pub fn rows(&self) -> u64 {
        let of_tasks: usize = self
            .tasks
            .iter()
            .filter(|task| !matches!(task.make, Make::Second(_)))
            .map(|task| self.lines(task).len())
            .sum();
        (of_tasks + self.bad.len() + self.skipped.len()) as u64
    }

    /// The lines of the file that a command is made of.
    fn lines(&self, task: &Task) -> Vec<u64> {
        match &task.make {
            Make::Listed(place) => {
                let row = &self.listed[*place as usize];
                std::iter::once(row.line).chain(row.more.iter().copied()).collect()
            }
            make => make.rows().iter().map(|row| self.table.record(*row).line()).collect(),
        }
    }

    /// The name of the order that a command places.
    fn reference(&self, task: &Task) -> Option<&str> {
        let row = task.make.rows().first().filter(|_| self.what == What::Orders)?;
        Some(self.table.record(*row).field("reference"))
    }

    /// Does the command count what a Shopify export has of the item?
    fn counts(&self, task: &Task) -> bool {
        let Make::Listed(place) = task.make else { return false };
        self.stock_at.is_some() && self.listed[place as usize].quantity.is_some()
    }

    /// The item that a command is about.
    fn sku(&self, task: &Task) -> &str {
        match &task.make {
            Make::Listed(place) => &self.listed[*place as usize].item.sku,
            make => make.rows().first().map_or("", |row| self.table.record(*row).field("sku")),
        }
    }

    /// The item that a command counts for another system, where it may turn out to be a kit.
    fn counted_for_others(&self, task: &Task) -> Option<&str> {
        (self.what == What::Stock && self.source.is_some()).then(|| self.sku(task))
    }

    /// What is asked before anything else.
    fn first(&self) -> Vec<Body> {
        let of_shop = self.stock_at.as_ref().filter(|_| self.listed.iter().any(|row| row.made_sku.is_some()));
        let codes = of_shop.into_iter().chain(&self.places);
        let put = |code: &String| PutLocation { code: code.clone(), ..PutLocation::default() };
        codes.map(|code| Body::PutLocation(put(code))).collect()
    }

    /// What a command asks.
    fn body(&self, task: &Task) -> Result<Body, Bad> {
        let table = &self.table;
        match (self.what, &task.make) {
            (_, Make::Listed(place)) => {
                let row = &self.listed[*place as usize];
                let item = Body::PutItem(row.item.clone());
                let Some((quantity, location)) = row.quantity.zip(self.stock_at.clone()) else {
                    return Ok(item);
                };
                // A shop that oversold shows less than nothing, which nobody can count.
                let lines = vec![Line::new(row.item.sku.clone(), Quantity::units(quantity.max(0)))];
                let count =
                    TakeCount { location, lines, as_of: None, inside: false, system: None, net: false };
                Ok(Body::Group(vec![item, Body::Count(count)]))
            }
            (What::Items, make) if self.source == Some(Source::LinnworksLinks) => {
                Ok(catalogue::link(table, make))
            }
            (What::Items, make) => items::body(table, make),
            (What::Kits, make) => kits::body(table, make),
            (What::Locations, make) => locations::body(table, make),
            (What::Stock, make) => stock::body(table, make, self.source),
            (What::Receipts, make) => receipts::body(&table.record(make.rows()[0])),
            (What::Orders, make) => orders::body(table, make),
        }
    }
}

/// An instant in a column, if there is one.
fn instant(record: &Record<'_>, column: &str) -> Result<Option<Instant>, Bad> {
    let parsed = record.some(column).map(|text| Instant::parse(&text)).transpose();
    parsed.map_err(|error| Bad::new(record.line(), Some(column), format!("{column}: {error}")))
}

/// A day in a column, if there is one.
fn day(record: &Record<'_>, column: &str) -> Result<Option<Date>, Bad> {
    match record.field(column) {
        "" => Ok(None),
        text => day_of(record, column, text).map(Some),
    }
}

/// A day as a row has it in a column.
fn day_of(record: &Record<'_>, column: &str, text: &str) -> Result<Date, Bad> {
    let day = text.parse::<Date>().ok().filter(|day| day.to_string() == text);
    let problem = || format!("{column}: `{text}` is not a day such as 2026-12-01");
    day.ok_or_else(|| Bad::new(record.line(), Some(column), problem()))
}

/// `true` or `false` in a column, if there is something. A sheet shows them in capitals.
fn truth(record: &Record<'_>, column: &str) -> Result<Option<bool>, Bad> {
    match record.field(column) {
        "" => Ok(None),
        text if text.eq_ignore_ascii_case("true") => Ok(Some(true)),
        text if text.eq_ignore_ascii_case("false") => Ok(Some(false)),
        text => {
            let problem = format!("{column} is `{text}`; it must be true or false");
            Err(Bad::new(record.line(), Some(column), problem))
        }
    }
}

/// Names the lot or the piece that a row is of. A row has one piece; a count may say that it is not there.
fn name_lot(record: &Record<'_>, line: &mut Line, is_count: bool) -> Result<(), String> {
    line.lot = record.some("lot");
    let Some(serial) = record.some("serial") else { return Ok(()) };
    if is_count && line.quantity.is_zero() {
        line.lot = Some(serial);
    } else if line.quantity == Quantity::units(1) {
        line.serials = Some(vec![serial]);
    } else {
        let quantity = line.quantity;
        return Err(format!("{quantity} of the piece `{serial}`: a row has one piece, so that it must be 1"));
    }
    Ok(())
}

/// What a file has, in words: for fuzzing.
///
/// # Panics
///
/// Where what is wrong is said of a line that there is not.
#[doc(hidden)]
pub fn imported(input: &[u8]) -> String {
    use std::fmt::Write as _;
    let lines = input.iter().filter(|byte| **byte == b'\n' || **byte == b'\r').count() as u64 + 1;
    let is_sheet = input.starts_with(b"PK\x03\x04");
    let mut told = String::new();
    for what in What::ALL {
        let reading = Reading { make_skus: true, stock_at: Some("LONDON".to_owned()), ..Reading::default() };
        match read(what, std::io::Cursor::new(input), &reading) {
            Ok(plan) => {
                let is_there = |bad: &Bad| is_sheet || (1..=lines).contains(&bad.line);
                assert!(plan.bad.iter().chain(&plan.skipped).all(is_there), "a line that there is");
                for task in &plan.tasks {
                    let body = plan.body(task).expect("it was read before");
                    let _ = write!(told, "{:?} {body:?}", plan.lines(task));
                }
                let _ = write!(told, "{:?} {:?}", plan.bad, plan.skipped);
            }
            Err(problem) => told.push_str(&problem.0),
        }
    }
    told.push_str(&move_in::read_in_words(input));
    told
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::fs::File;
    use std::io::Cursor;
    use std::path::Path;

    use super::*;

    fn plan(input: &[u8]) -> Result<Plan, FileProblem> {
        read(What::Items, Cursor::new(input), &Reading::default())
    }

    fn data(name: &str, make_skus: bool) -> Result<Plan, FileProblem> {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/data/shopify-products");
        let reading = Reading { make_skus, ..Reading::default() };
        read(What::Items, File::open(folder.join(name)).unwrap(), &reading)
    }

    #[test]
    fn the_three_shopify_files_have_66_variants_without_sku_or_barcode() {
        let files = ["apparel.csv", "home-and-garden.csv", "jewelery.csv"];
        for file in files {
            let problem = data(file, false).unwrap_err().0;
            assert!(problem.contains("have neither SKU nor barcode"), "{problem}");
        }
        let plans = files.map(|file| data(file, true).unwrap());
        assert!(plans.iter().all(|plan| plan.bad.is_empty()));
        let made: BTreeSet<_> =
            plans.iter().flat_map(|plan| plan.made_skus().map(|(sku, _)| sku.to_owned())).collect();
        assert_eq!(made.len(), 66, "made SKUs are unique");
        assert!(made.contains("ocean-blue-shirt") && made.contains("classic-varsity-top-small"), "{made:?}");
    }

    #[test]
    fn a_wrong_header_says_what_would_be_right() {
        for (file, says) in [
            (&b"code,name\nA,B\n"[..], &["no column is called `sku`", "precision"][..]),
            (b"sku,colour\nA,B\n", &["`colour` is not known"]),
            (b"SKU,Name\nA,B\n", &["columns are lower case without spaces around: sku, name"]),
            (b"sku, name\nA,B\n", &["columns are lower case"]),
            (b"SKU;Name\nA;B\n", &["the separator must be a comma, and here it is a semicolon"]),
            (b"sku,sku\nA,B\n", &["twice"]),
        ] {
            let problem = plan(file).unwrap_err().0;
            assert!(says.iter().all(|words| problem.contains(words)), "{problem}");
        }
    }

    #[test]
    fn a_broken_line_in_the_middle_is_named_and_the_others_are_read() {
        let plan = plan(b"sku,name,precision\nA,a,0\nB,b\nC,c,9\nD,\xff,0\nA,again,1\nE,e,3\n").unwrap();
        let lines: Vec<_> = plan.tasks.iter().flat_map(|task| plan.lines(task)).collect();
        assert_eq!(lines, [2, 7]);
        let bad: Vec<_> = plan.bad.iter().map(|bad| bad.line).collect();
        assert_eq!(bad, [3, 4, 5, 6]);
        assert!(plan.bad[0].problem.contains("2 fields, the header has 3"), "{:?}", plan.bad);
        assert!(plan.bad[1].problem.contains("0 to 6"), "{:?}", plan.bad);
        assert!(plan.bad[2].problem.contains("UTF-8"), "{:?}", plan.bad);
    }

    #[test]
    fn a_line_of_two_gigabytes_is_stopped_before_it_fills_memory() {
        struct Endless(u64);
        impl Read for Endless {
            fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
                let start = b"sku\n\"";
                let from = usize::try_from(self.0).unwrap_or(usize::MAX).min(start.len());
                self.0 += buffer.len() as u64;
                assert!(self.0 < 8 * 1024 * 1024, "reading went on after the limit");
                buffer.fill(b'x');
                let head = (start.len() - from).min(buffer.len());
                buffer[..head].copy_from_slice(&start[from..from + head]);
                Ok(buffer.len())
            }
        }
        impl Seek for Endless {
            fn seek(&mut self, _: std::io::SeekFrom) -> std::io::Result<u64> {
                self.0 = 0;
                Ok(0)
            }
        }
        let problem = read(What::Items, Endless(0), &Reading::default()).unwrap_err().0;
        assert!(problem.contains("longer than 1048576 bytes"), "{problem}");
    }

    #[test]
    fn what_an_export_has_and_nobody_shall_place_again_is_left() {
        let file =
            b"id,system,reference,cancelled,sku,quantity\n7,WEB,1044,false,MUG,1\n9,onhand,A-1,true,MUG,1\n\
            9,onhand,A-2,false,MUG,0\n,,A-3,,MUG,1\n";
        let plan = read(What::Orders, Cursor::new(&file[..]), &Reading::default()).unwrap();
        assert!(plan.bad.is_empty(), "{:?}", plan.bad);
        assert_eq!(plan.skipped.iter().map(|row| row.line).collect::<Vec<_>>(), [2, 3, 4]);
        assert_eq!(plan.tasks.iter().flat_map(|task| plan.lines(task)).collect::<Vec<_>>(), [5]);
    }

    #[test]
    fn too_much_is_imported_only_without_a_rehearsal() {
        let file =
            |rows: usize| format!("sku\n{}", (0..rows).map(|row| format!("{row}\n")).collect::<String>());
        let (most, more) = (file(MOST_REHEARSED), file(MOST_REHEARSED + 1));
        let [most, more] = [most, more].map(|file| [plan(file.as_bytes()).unwrap()]);
        let (whole, good_rows) = (Asked::default(), Asked { skip_bad_rows: true, ..Asked::default() });
        let dry = Asked { dry_run: true, ..good_rows.clone() };
        for asked in [&whole, &dry] {
            assert_eq!(asked.check(&most), Ok(()));
            assert!(asked.check(&more).unwrap_err().0.contains("at most 100000 are rehearsed together"));
        }
        assert_eq!(good_rows.check(&more), Ok(()));
    }

    #[test]
    fn kits_wait_for_what_they_are_built_of() {
        let file = b"sku,kit\nBOX,KIT=1|A=1\nKIT,A=2|B=1\nA,\nB,\n";
        let plan = plan(file).unwrap();
        let asked: Vec<(String, bool)> = plan
            .tasks
            .iter()
            .map(|task| match plan.body(task).unwrap() {
                Body::PutItem(put) => (put.sku, put.kit.is_some()),
                other => panic!("{other:?}"),
            })
            .collect();
        let expected =
            [("BOX", false), ("KIT", false), ("A", false), ("B", false), ("KIT", true), ("BOX", true)];
        assert_eq!(asked, expected.map(|(sku, kit)| (sku.to_owned(), kit)));
    }
}
