//! Moving in: others' exports are known by their headers, what has a place here goes in, what has none is said, and files that
//! belong together are one import.

use std::io::Cursor;
use std::sync::Arc;

use onhand_engine::{Handle, Ledger, ManualClock, Options, queue};
use onhand_exchange::export::{Export, What as Exported};
use onhand_exchange::import::move_in::{self, MoveIn};
use onhand_exchange::import::{self, Asked, Outcome, Plan, Reading, RowResult, Summary, What};
use onhand_ledger::{Instant, Seq, TenantId};
use onhand_store::MemoryStore;
use tokio::sync::mpsc;

const TENANT: TenantId = TenantId::DEFAULT;
const SKIPPING: fn() -> Asked = || Asked { skip_bad_rows: true, ..Asked::default() };

struct Shop {
    handle: Handle,
    runtime: tokio::runtime::Runtime,
}

type Told = Vec<(String, &'static str, RowResult)>;

impl Shop {
    fn empty() -> Self {
        let clock = Arc::new(ManualClock::at(Instant::parse("2026-11-23T08:00:00Z").unwrap()));
        let ledger = Ledger::open(Box::new(MemoryStore::default()), clock, Options::default()).unwrap();
        let (handle, queue) = queue(Arc::new(ledger));
        std::thread::spawn(move || queue.run());
        Self { handle, runtime: tokio::runtime::Builder::new_current_thread().build().unwrap() }
    }

    fn run(&self, plans: &[Plan], asked: &Asked) -> (Vec<(usize, RowResult)>, Vec<Summary>) {
        self.runtime.block_on(async {
            let (report, mut rows) = mpsc::channel(4);
            let listen = async {
                let mut all = Vec::new();
                while let Some(row) = rows.recv().await {
                    all.push(row);
                }
                all
            };
            let run = import::run(&self.handle, TENANT, "test", plans, asked, report);
            let (summaries, rows) = tokio::join!(run, listen);
            (rows, summaries.unwrap())
        })
    }

    /// Imports one file, its good rows alone.
    fn import(&self, what: What, file: &str) -> Vec<RowResult> {
        let plan = plan(what, file).unwrap();
        self.run(&[plan], &SKIPPING()).0.into_iter().map(|(_, row)| row).collect()
    }

    fn move_in(&self, files: &[(&str, &str)], asked: &Asked) -> (Told, Summary) {
        let move_in = read(files).unwrap();
        let (rows, summaries) = self.run(move_in.plans(), asked);
        let told = rows.into_iter().map(|(place, row)| {
            let name = move_in.files()[move_in.file_of(place)].name.clone();
            (name, move_in.plans()[place].what().name(), row)
        });
        (told.collect(), summaries.into_iter().sum())
    }

    fn all(&self, what: Exported) -> Vec<Vec<String>> {
        let ledger = self.handle.ledger();
        let mut export = ledger.read(TENANT, |view| Export::begin(view, what)).unwrap();
        let mut rows = Vec::new();
        while !export.is_done() {
            rows.extend(ledger.read(TENANT, |view| export.next(view, 100)).unwrap());
        }
        rows
    }

    /// Some columns of an export.
    fn rows(&self, what: Exported, columns: &[&str]) -> Vec<String> {
        let place = |column: &&str| what.columns().iter().position(|(name, _)| name == column).unwrap();
        let places: Vec<usize> = columns.iter().map(place).collect();
        let of =
            |row: &Vec<String>| places.iter().map(|place| row[*place].as_str()).collect::<Vec<_>>().join(" ");
        self.all(what).iter().map(of).collect()
    }

    fn stock(&self) -> Vec<String> {
        self.rows(Exported::Stock, &["sku", "location", "lot", "on_hand"])
    }

    fn head(&self) -> Seq {
        self.handle.ledger().read(TENANT, |view| Ok(view.seq())).unwrap()
    }
}

fn plan(what: What, file: &str) -> Result<Plan, import::FileProblem> {
    import::read(what, Cursor::new(file), &Reading::default())
}

fn read(files: &[(&str, &str)]) -> Result<MoveIn, import::FileProblem> {
    move_in::read(files.iter().map(|(name, text)| ((*name).to_owned(), Cursor::new(*text))).collect())
}

fn told(rows: &[RowResult]) -> Vec<(u64, Outcome, Option<&str>)> {
    rows.iter().map(|row| (row.line, row.outcome, row.column.as_deref())).collect()
}

fn says(rows: &[RowResult], line: u64) -> &str {
    rows.iter().find(|row| row.line == line).and_then(|row| row.problem.as_deref()).unwrap_or_default()
}

// ---- headers -----------------------------------------------------------------------------------------------------

#[test]
fn a_file_is_known_by_its_header_whatever_its_order_and_case() {
    let (inventory, levels) = ("Linnworks' inventory", "Linnworks' stock levels");
    for (header, kind) in [
        ("SKU,Title,Barcode Number,Retail Price", Some(inventory)),
        (
            "retail price,BARCODE NUMBER,item title,Stock Location,Stock level at location,sku",
            Some(inventory),
        ),
        ("\u{feff}Item Number,Title,Category", Some(inventory)),
        ("SKU,Stock Level,Location,Minimum Level", Some(levels)),
        ("SKU,Title,Location,Quantity,BinRack,Stock Value,In Order Book,Is Composite Parent", Some(levels)),
        ("SKU,Batch Number,Location,Bin / Rack,Status,Level", Some("Linnworks' stock levels by batch")),
        ("Child SKU,Quantity,Parent SKU", Some("Linnworks' compositions")),
        ("Source,Subsource,Linked SKU Custom Label,SKU", Some("Linnworks' links to channels")),
        ("SKU,Name,Barcode,Unit,Cost", Some("SKULabs' item details")),
        ("serial #,BARCODE,name,sku", Some("SKULabs' item details")),
        ("sku,name,unit,precision,barcodes,tags", Some("items, in our columns")),
        ("sku,location,counted", Some("stock, in our columns")),
        ("kit,component,quantity", Some("kits, in our columns")),
        ("code,name", Some("locations, in our columns")),
        ("sku,location,quantity,unit_cost,currency", None),
        ("SKU,Name", None),
        ("sku,name,barcode", None),
    ] {
        let known = read(&[("a.csv", &format!("{header}\n"))]).ok();
        assert_eq!(known.map(|move_in| move_in.files()[0].kind), kind, "{header}");
    }
}

// ---- one file ---------------------------------------------------------------------------------------------------

/// As an export of Linnworks': a row for each item and location, with what Windows puts around it.
const INVENTORY: &str = "\u{feff}SKU,Item Title,Category,Barcode Number,Is Archived,Is Variation Parent,Retail Price,Stock Location,\
    Stock level at location,Stock minimum level at location,Bin Rack\r\n\
    MUG,\"Mug, blue\",Kitchen,0036000291452,False,False,4.50,Default,12,3,A1\r\n\
    MUG,\"Mug, blue\",Kitchen,0036000291452,False,False,4.50,Outlet,-2,-1,\r\n\
    007,Tea,Food,,True,False,,Default,0,0,B2\r\n\
    SHIRTS,All shirts,Wear,,False,True,,Default,0,0,\r\n\
    mug,Another mug,Kitchen,,False,False,,Default,1,0,\r\n\
    ,No name,Kitchen,,False,False,,Default,1,0,\r\n\
    CAP,Cap,Wear,4006381333932,False,False,,Default,1,0,\r\n\
    HAT,Hat,Wear,4.00638E+12,False,False,,Default,1,0,\r\n\
    BAG,Bag,Wear,,maybe,False,,Default,many,0,\r\n";

#[test]
fn an_item_of_an_inventory_is_made_once_however_many_locations_it_has() {
    let shop = Shop::empty();
    let rows = shop.import(What::Items, INVENTORY);
    let expected = [
        (2, Outcome::Imported, None),
        (3, Outcome::Imported, None),
        (4, Outcome::Imported, None),
        (5, Outcome::Skipped, None),
        (6, Outcome::LeftOut, Some("sku")),
        (7, Outcome::LeftOut, Some("sku")),
        (8, Outcome::LeftOut, Some("barcodes")),
        (9, Outcome::LeftOut, Some("barcodes")),
        (10, Outcome::LeftOut, Some("archived")),
    ];
    assert_eq!(told(&rows), expected, "{rows:#?}");
    assert!(says(&rows, 6).contains("`mug` differs from `MUG` on line 2 in capitals alone"), "{rows:#?}");
    assert!(says(&rows, 9).contains("rounded by a spreadsheet"), "{rows:#?}");
    let items = shop.rows(Exported::Items, &["sku", "name", "barcodes", "tags", "archived"]);
    assert_eq!(
        items,
        ["MUG Mug, blue 0036000291452 Kitchen false", "007 Tea  Food true"],
        "leading zeros stay"
    );
    let left: Vec<_> = plan(What::Items, INVENTORY)
        .unwrap()
        .left()
        .iter()
        .map(|left| (left.column.clone(), left.rows))
        .collect();
    assert_eq!(left, [("Retail Price".to_owned(), 2), ("Bin Rack".to_owned(), 2)]);
}

#[test]
fn an_inventory_has_stock_too_and_locations_are_made_for_it() {
    let shop = Shop::empty();
    shop.import(What::Items, INVENTORY);
    let rows = shop.import(What::Stock, INVENTORY);
    assert_eq!(
        told(&rows)[..4],
        [
            (2, Outcome::Imported, None),
            (3, Outcome::Imported, Some("counted")),
            (4, Outcome::Imported, None),
            (5, Outcome::Skipped, None)
        ],
        "{rows:#?}"
    );
    assert!(says(&rows, 3).contains("-2 over there"), "{rows:#?}");
    assert!(says(&rows, 6).contains("in capitals alone"), "{rows:#?}");
    assert_eq!(shop.rows(Exported::Locations, &["code"]), ["Default", "Outlet"]);
    assert_eq!(shop.stock()[0], "MUG Default  12");
    let levels = shop.rows(Exported::Items, &["sku", "low_stock_at"]);
    assert!(levels.contains(&"MUG Default=3".to_owned()), "-1 is no level: {levels:?}");
    // A level without a location is one at each site.
    let everywhere = "sku,title,category,minimum level\nPEN,Pen,Office,5\n";
    assert_eq!(shop.import(What::Items, everywhere)[0].outcome, Outcome::Imported);
    assert!(shop.rows(Exported::Items, &["sku", "low_stock"]).contains(&"PEN 5".to_owned()));
}

#[test]
fn item_details_of_skulabs_have_several_barcodes_in_a_field() {
    let shop = Shop::empty();
    let file = "name,Unit,BARCODE,Sku,Weight,Cost,Serial #\n\
        Mug,each,\"4006381333931, MUG-1,MUG-1\",MUG,300,2.10,\n\
        Tea,box,'0123,TEA,,,\n\
        Tea again,box,,TEA,,,\n";
    let rows = shop.import(What::Items, file);
    let expected =
        [(2, Outcome::Imported, None), (3, Outcome::Imported, None), (4, Outcome::LeftOut, Some("sku"))];
    assert_eq!(told(&rows), expected, "{rows:#?}");
    let items = shop.rows(Exported::Items, &["sku", "unit", "barcodes"]);
    assert_eq!(items, ["MUG each 4006381333931|MUG-1", "TEA box 0123"]);
    let problem = plan(What::Stock, file).unwrap_err().0;
    assert!(problem.contains("this is SKULabs' item details, and there are no stock in it"), "{problem}");
}

#[test]
fn a_kit_is_set_as_a_whole_and_of_what_is_there() {
    let shop = Shop::empty();
    shop.import(What::Items, "sku\nMUG\nTEA\nBOX\nCRATE\nTIN\nJAR\n");
    let file = "Quantity,Parent SKU,Child SKU\n1,CRATE,BOX\n2,BOX,MUG\n1,BOX,TEA\n1,NONE,MUG\n1,TIN,NOTHING\n1,TIN,MUG\n\
        1,JAR,MUG\n0,JAR,TEA\n1,MUG,MUG\n1,TEA,MUG\n2,TEA,MUG\n1,,MUG\n";
    let rows = shop.import(What::Kits, file);
    let expected = [
        (2, Outcome::Imported, None),
        (3, Outcome::Imported, None),
        (4, Outcome::Imported, None),
        (5, Outcome::LeftOut, Some("kit")),
        (6, Outcome::LeftOut, Some("component")),
        (7, Outcome::LeftOut, None),
        (8, Outcome::LeftOut, None),
        (9, Outcome::LeftOut, Some("quantity")),
        (10, Outcome::LeftOut, Some("component")),
        (11, Outcome::LeftOut, None),
        (12, Outcome::LeftOut, Some("component")),
        (13, Outcome::LeftOut, Some("kit")),
    ];
    assert_eq!(told(&rows), expected, "{rows:#?}");
    assert!(says(&rows, 5).contains("no item has the SKU `NONE`"), "{rows:#?}");
    let kits = shop.rows(Exported::Items, &["sku", "kit"]);
    assert!(
        kits.contains(&"BOX MUG=2|TEA=1".to_owned()) && kits.contains(&"CRATE BOX=1".to_owned()),
        "{kits:?}"
    );
    assert!(!kits.iter().any(|kit| kit.starts_with("NONE")), "{kits:?}");
}

#[test]
fn a_kit_is_not_counted_for_others() {
    let shop = Shop::empty();
    shop.import(What::Items, "sku,kit\nMUG,\nBOX,MUG=2\n");
    let levels = "SKU,Stock Level,Location\nMUG,9,Default\nBOX,4,Default\n";
    let export =
        "SKU,Location,Quantity,BinRack,Is Composite Parent\nMUG,Default,7,,False\nNEW,Default,3,,True\n";
    let rows = shop.import(What::Stock, levels);
    assert_eq!(told(&rows), [(2, Outcome::Imported, None), (3, Outcome::Skipped, None)]);
    assert!(says(&rows, 3).starts_with("is a kit"), "{rows:#?}");
    assert_eq!(
        told(&shop.import(What::Stock, export)),
        [(2, Outcome::Imported, None), (3, Outcome::Skipped, None)]
    );
    assert_eq!(shop.stock(), ["MUG Default  7"]);
    // In our own columns it is: built kits lie there.
    shop.import(What::Stock, "sku,location,counted\nBOX,Default,1\n");
    assert!(shop.stock().contains(&"BOX Default  1".to_owned()), "{:?}", shop.stock());
}

#[test]
fn what_channels_call_an_item_is_another_name_of_it() {
    let shop = Shop::empty();
    shop.import(What::Items, "sku\nMUG\nTEA\n");
    let links = "Source,Subsource,Linked SKU Custom Label,SKU\nEBAY,E1,MUG-E,MUG\nAMAZON,A1,MUG,MUG\nEBAY,E1,TEA,MUG\n\
        EBAY,E1,LOOSE,\nEBAY,E1,CAP-E,CAP\n";
    let rows = shop.import(What::Items, links);
    let outcomes: Vec<_> = rows.iter().map(|row| row.outcome).collect();
    let expected =
        [Outcome::Imported, Outcome::Imported, Outcome::LeftOut, Outcome::Skipped, Outcome::LeftOut];
    assert_eq!(outcomes, expected, "{rows:#?}");
    assert_eq!(shop.rows(Exported::Items, &["sku", "aliases"]), ["MUG MUG-E", "TEA "]);
}

// ---- several ----------------------------------------------------------------------------------------------------

const CATALOGUE: &str = "SKU,Title,Barcode Number,Category,Retail Price\nMUG,Mug,,Kitchen,4.50\nTEA,Tea,,Food,\n\
    HONEY,Honey,,Food,\nBOX,Gift box,,Gifts,9\n";
const COMPOSITIONS: &str = "Parent SKU,Child SKU,Quantity\nBOX,MUG,1\nBOX,TEA,2\n";
const LEVELS: &str =
    "SKU,Location,Stock Level\nMUG,Default,5\nTEA,Default,8\nBOX,Default,4\nHONEY,Default,7\n";
const BATCHES: &str = "SKU,Batch Number,Location,Bin / Rack,Status,Level,Expires On\n\
    HONEY,H-1,Default,A1,Available,1,2027-01-31 00:00:00\nHONEY,H-1,Default,A7,Available,3,\nHONEY,H-2,Default,A2,Available,3,\n\
    HONEY,H-3,Default,A3,Damaged,2,\nHONEY,H-4,Default,A3,Damaged,0,\n";

#[test]
fn files_that_belong_together_are_one_import_in_whatever_order_they_come() {
    let files = [
        ("stock.csv", LEVELS),
        ("kits.csv", COMPOSITIONS),
        ("batches.csv", BATCHES),
        ("items.csv", CATALOGUE),
    ];
    let mut others = files;
    others.reverse();
    for files in [files, others] {
        let shop = Shop::empty();
        let keyed = Asked { key: Some("move".to_owned()), ..Asked::default() };
        let dry = Asked { dry_run: true, ..keyed.clone() };
        let (foreseen, would_be) = shop.move_in(&files, &dry);
        assert_eq!(shop.all(Exported::Items).len(), 0, "a dry run does nothing");
        let (rows, summary) = shop.move_in(&files, &keyed);
        assert_eq!((&foreseen, would_be), (&rows, summary));
        assert!(summary.left_out == 0 && !summary.nothing, "{rows:#?}");
        assert_eq!(summary.imported, 4 + 1 + 1 + 2, "items, a kit, a count of two lots, counts: {rows:#?}");
        assert_eq!(shop.rows(Exported::Items, &["sku", "kit", "tracking"])[3], "BOX MUG=1|TEA=2 none");
        assert_eq!(
            shop.stock(),
            ["MUG Default  5", "TEA Default  8", "HONEY Default H-1 4", "HONEY Default H-2 3"]
        );
        let expires = shop.rows(Exported::Stock, &["lot", "expires"]);
        assert_eq!(expires[2..], ["H-1 2027-01-31", "H-2 "]);
        let skipped: Vec<_> = rows.iter().filter(|(_, _, row)| row.outcome == Outcome::Skipped).collect();
        let why = |name: &str, line: u64| {
            let found = skipped.iter().find(|(file, _, row)| file == name && row.line == line);
            found.and_then(|(_, _, row)| row.problem.clone()).unwrap_or_default()
        };
        assert!(why("stock.csv", 4).starts_with("is a kit"), "{skipped:#?}");
        assert!(why("stock.csv", 5).contains("counted by lot, in batches.csv"), "{skipped:#?}");
        assert!(why("batches.csv", 5).starts_with("is damaged"), "{skipped:#?}");
        // The same files again do nothing.
        let head = shop.head();
        let (_, again) = shop.move_in(&files, &keyed);
        assert_eq!((again.imported, again.already_there, shop.head()), (0, summary.imported, head));
    }
}

#[test]
fn one_bad_row_keeps_all_files_out_or_itself_alone() {
    let kits = format!("{COMPOSITIONS}NONE,MUG,1\n");
    let files = [("kits.csv", kits.as_str()), ("items.csv", CATALOGUE)];
    let shop = Shop::empty();
    let (rows, summary) = shop.move_in(&files, &Asked::default());
    assert!(summary.nothing && summary.left_out == 1 && shop.all(Exported::Items).is_empty());
    assert!(
        rows.iter().any(|(file, what, row)| file == "kits.csv"
            && *what == "kits"
            && row.line == 4
            && row.outcome == Outcome::LeftOut),
        "{rows:#?}"
    );
    let (_, summary) = shop.move_in(&files, &SKIPPING());
    assert_eq!((summary.imported, summary.left_out, summary.nothing), (5, 1, false));
}

#[test]
fn stock_that_two_files_tell_is_counted_once_and_refused_where_they_differ() {
    let inventory = "SKU,Title,Category,Location,Stock Level\nMUG,Mug,,Default,1\nTEA,Tea,,Default,2\n";
    let levels = "SKU,Location,Stock Level\nMUG,Default,5\n";
    let move_in = read(&[("a.csv", inventory), ("b.csv", levels)]).unwrap();
    assert_eq!(move_in.bad(), 0);
    let shop = Shop::empty();
    shop.move_in(&[("a.csv", inventory), ("b.csv", levels)], &Asked::default());
    assert_eq!(shop.stock(), ["MUG Default  5", "TEA Default  2"], "a file of nothing else knows better");
    let own = "sku,location,counted\nMUG,Default,6\n";
    let move_in = read(&[("a.csv", inventory), ("b.csv", levels), ("own.csv", own)]).unwrap();
    assert_eq!(move_in.bad(), 1, "neither of two is known to be right");
    let same = own.replace('6', "5");
    assert_eq!(read(&[("a.csv", inventory), ("b.csv", levels), ("own.csv", &same)]).unwrap().bad(), 0);
    let two = read(&[("a.csv", CATALOGUE), ("b.csv", CATALOGUE)]).unwrap();
    assert_eq!(two.bad(), 4, "an item has one catalogue");
}

#[test]
fn our_own_columns_are_moved_in_too_and_what_nobody_knows_is_refused() {
    let shop = Shop::empty();
    let details = "SKU,Name,Barcode,Unit,Cost\nMUG,Mug,,each,2\nBOX,Box,,each,\n";
    let files = [
        ("stock.csv", "sku,location,counted\nMUG,MAIN,5\n"),
        ("places.csv", "code,name\nMAIN,Main warehouse\n"),
        ("kits.csv", "kit,component,quantity\nBOX,MUG,2\n"),
        ("details.csv", details),
    ];
    let (rows, summary) = shop.move_in(&files, &Asked::default());
    assert_eq!((summary.imported, summary.left_out), (5, 0), "{rows:#?}");
    assert_eq!(shop.stock(), ["MUG MAIN  5"]);
    let kinds: Vec<_> = read(&files).unwrap().files().iter().map(|file| file.kind).collect();
    assert_eq!(kinds[0], "stock, in our columns");
    assert_eq!(kinds[3], "SKULabs' item details");
    for (file, says) in [
        ("Article,Amount\nMUG,1\n", "new.csv: line 1: no export of Linnworks' or SKULabs' is known"),
        ("", "new.csv: line 1"),
        ("sku\n\"open", "new.csv: line 2: a quote is opened"),
    ] {
        let problem = read(&[("details.csv", details), ("new.csv", file)]).unwrap_err().0;
        assert!(problem.contains(says), "{problem}");
    }
    let twice = read(&[("a.csv", details), ("a.csv", details)]).unwrap_err().0;
    assert!(twice.contains("two files are called a.csv"), "{twice}");
}

#[test]
fn an_archive_is_unpacked_within_bounds() {
    let packed = |files: Vec<(String, &[u8])>| {
        let mut out = Cursor::new(Vec::new());
        move_in::pack(files, &mut out).unwrap();
        out.into_inner()
    };
    let good = packed(vec![("a.csv".to_owned(), b"sku\nA\n"), ("b.csv".to_owned(), b"")]);
    let files = move_in::unpack(Cursor::new(&good)).unwrap();
    assert_eq!(
        files.iter().map(|(name, bytes)| (name.as_str(), bytes.get_ref().len())).collect::<Vec<_>>(),
        [("a.csv", 6), ("b.csv", 0)]
    );
    let many = packed((0..=move_in::MOST_FILES).map(|number| (number.to_string(), &b"x"[..])).collect());
    let problem = |bytes: &[u8]| move_in::unpack(Cursor::new(bytes)).unwrap_err().0;
    assert!(problem(&many).contains("at most 50 are moved in together"), "{}", problem(&many));
    assert!(problem(b"sku\nA\n").contains("no ZIP archive"));
    assert!(problem(&good[..good.len() / 2]).contains("no ZIP archive"));
    let zeros = vec![0; 70 * 1024 * 1024];
    let bomb = packed(vec![("a".to_owned(), &zeros[..]), ("b".to_owned(), &zeros[..])]);
    assert!(bomb.len() < 1024 * 1024 && problem(&bomb).contains("134217728 bytes in all"), "{}", bomb.len());
}
