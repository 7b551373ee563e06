//! `onhand item`, `history` and `report`, as typed; near-twins of the real catalogue.

use std::collections::BTreeSet;
use std::path::Path;

use serde_json::Value;

use crate::server::{Server, onhand, text};

fn json(bytes: &[u8]) -> Value {
    serde_json::from_str(text(bytes).lines().last().unwrap_or_default()).expect("one JSON object last")
}

fn said(database: &Path, arguments: &[&str]) -> String {
    let output = onhand(database, arguments);
    assert!(output.status.success(), "{arguments:?}: {}", text(&output.stderr));
    text(&output.stdout)
}

/// Every stock code of the real invoices, once each.
fn real_codes() -> BTreeSet<String> {
    let file =
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/data/online-retail/online-retail.csv.gz");
    let whole = flate2::read::GzDecoder::new(std::fs::File::open(file).unwrap());
    let mut reader = csv::ReaderBuilder::new().flexible(true).from_reader(whole);
    let column = reader.headers().unwrap().iter().position(|name| name == "StockCode").unwrap();
    let codes = reader.records().map(|record| record.unwrap()[column].trim().to_owned());
    codes.filter(|code| !code.is_empty()).collect()
}

#[test]
fn the_twins_of_the_real_catalogue_are_found_and_made_one() {
    let folder = tempfile::tempdir().unwrap();
    let database = folder.path().join("twins.db");
    let codes = real_codes();
    assert!(codes.contains("85123A") && codes.contains("85123a"));
    let file = folder.path().join("items.csv");
    let rows: String = codes.iter().map(|code| format!("{code}\n")).collect();
    std::fs::write(&file, format!("sku\n{rows}")).unwrap();
    said(&database, &["import", "items", file.to_str().unwrap()]);
    let groups = json(&onhand(&database, &["item", "twins", "--json"]).stdout);
    let groups = groups["data"].as_array().unwrap().clone();
    let skus = |group: &Value| -> Vec<String> {
        let items = group["items"].as_array().unwrap().iter();
        items.map(|item| item["sku"].as_str().unwrap().to_owned()).collect()
    };
    let hearts = groups.iter().find(|group| skus(group).contains(&"85123a".to_owned())).unwrap();
    assert_eq!(skus(hearts), ["85123A", "85123a"]);
    // Those that differ in case alone, counted apart.
    let folded: BTreeSet<String> = codes.iter().map(|code| code.to_lowercase()).collect();
    let told: usize = groups.iter().map(|group| skus(group).len() - 1).sum();
    assert!(told >= codes.len() - folded.len(), "{told} of at least {}", codes.len() - folded.len());
    let offered = said(&database, &["item", "twins"]);
    assert!(offered.contains("onhand item merge '85123a' '85123A'"), "{offered}");
    said(&database, &["item", "merge", "85123a", "85123A"]);
    let left = json(&onhand(&database, &["item", "twins", "--json"]).stdout);
    assert_eq!(left["data"].as_array().unwrap().len(), groups.len() - 1);
    assert!(onhand(&database, &["verify"]).status.success());
}

#[tokio::test]
async fn items_are_seen_to_from_the_command_line_with_and_without_a_server() {
    for served in [false, true] {
        let folder = tempfile::tempdir().unwrap();
        let database = folder.path().join("items.db");
        let file = folder.path().join("items.csv");
        std::fs::write(&file, "sku,name,barcodes\nMUG,Blue mug,4006381333931\nCUP,Cup,\n").unwrap();
        said(&database, &["import", "items", file.to_str().unwrap()]);
        let server = served.then(|| Server::start(&database));
        let shown = said(&database, &["item", "show", "--barcode", "4006381333931"]);
        assert!(shown.starts_with("MUG  Blue mug\n"), "{shown}");
        let unknown = onhand(&database, &["item", "show", "--barcode", "NONE"]);
        assert!(text(&unknown.stderr).contains("no item has the barcode `NONE`"));
        let misread = onhand(&database, &["item", "show", "--barcode", "4006381333932"]);
        assert!(text(&misread.stderr).contains("its check digit would be 1"));
        said(&database, &["item", "rename", "MUG", "MUG-BLUE"]);
        said(&database, &["item", "low", "MUG", "5"]);
        assert_eq!(
            said(&database, &["item", "low"]).trim(),
            "MUG-BLUE  nowhere yet  0 available, low at 5  Blue mug"
        );
        said(&database, &["item", "low", "MUG", "none"]);
        assert_eq!(said(&database, &["item", "low"]).trim(), "Nothing is low.");
        said(&database, &["item", "archive", "CUP"]);
        assert!(said(&database, &["item", "show", "CUP"]).contains("archived"));
        let nobody = onhand(&database, &["item", "archive", "NOBODY"]);
        assert!(!nobody.status.success(), "archiving makes no item");
        said(&database, &["item", "unarchive", "CUP"]);
        let merged = said(&database, &["item", "merge", "CUP", "MUG"]);
        assert!(merged.starts_with("CUP is MUG-BLUE now"), "{merged}");
        let report = said(&database, &["report", "stock"]);
        assert_eq!(report.lines().count(), 1, "nothing is anywhere: {report}");
        let history = said(&database, &["history", "MUG"]);
        assert_eq!(history.lines().count(), 1, "and never was: {history}");
        let wrong = onhand(&database, &["report", "stock", "--at", "noon"]);
        assert!(!wrong.status.success() && text(&wrong.stderr).contains("noon"), "{}", text(&wrong.stderr));
        drop(server);
        assert!(onhand(&database, &["verify"]).status.success());
    }
}

#[test]
fn a_report_and_a_ledger_of_the_demo_data_add_up() {
    let folder = tempfile::tempdir().unwrap();
    let database = folder.path().join("shopify.db");
    let file = folder.path().join("products.csv");
    let head = "Handle,Title,Option1 Name,Option1 Value,Variant SKU,Variant Inventory Qty,Variant Price";
    std::fs::write(&file, format!("{head}\nmug,Mug,Title,Default Title,MUG,12,5.00\n")).unwrap();
    let import = ["import", "items", file.to_str().unwrap(), "--stock-at", "LONDON"];
    said(&database, &import);
    let report = said(&database, &["report", "stock"]);
    assert!(report.ends_with("MUG,Mug,LONDON,12,0,0,0,0,0,0,12,0,0\n"), "{report}");
    let lines = said(&database, &["report", "stock", "--json"]);
    assert_eq!(json(lines.as_bytes())["on_hand"], 12);
    let before = said(&database, &["report", "stock", "--at", "2001-01-01T00:00:00Z"]);
    assert_eq!(before.lines().count(), 1);
    let history = said(&database, &["history", "MUG"]);
    assert!(history.contains("+12 → 12") && history.contains("counted: 12 from adjustment"), "{history}");
    assert_eq!(said(&database, &["history", "--location", "LONDON"]).lines().count(), 2);
}

#[tokio::test]
async fn locations_and_their_groups_are_seen_to_from_the_command_line_with_and_without_a_server() {
    for served in [false, true] {
        let folder = tempfile::tempdir().unwrap();
        let database = folder.path().join("locations.db");
        let file = folder.path().join("locations.csv");
        std::fs::write(&file, "code,rank\nLONDON,1\n").unwrap();
        said(&database, &["import", "locations", file.to_str().unwrap()]);
        let server = served.then(|| Server::start(&database));
        let added = said(&database, &["location", "add", "BIN", "--parent", "LONDON", "--sellable", "false"]);
        assert_eq!(added.trim(), "BIN  rank 100  not sellable  in LONDON");
        let set = ["location", "set", "LONDON", "--group", "UK", "--group", "EU", "--name", "Shop"];
        assert_eq!(said(&database, &set).trim(), "LONDON  Shop  rank 1  groups EU, UK");
        let all = ["location", "set", "LONDON", "--group", "EU", "--rank", "2"];
        assert_eq!(said(&database, &all).trim(), "LONDON  Shop  rank 2  groups EU");
        let other = ["location", "set", "LONDON", "--time-zone", "Europe/London"];
        let told = "LONDON  Shop  rank 2  time zone Europe/London  groups EU";
        assert_eq!(said(&database, &other).trim(), told, "what is not told stays");
        assert_eq!(
            said(&database, &["location", "set", "LONDON", "--no-groups", "--time-zone", ""]).trim(),
            "LONDON  Shop  rank 2"
        );
        said(&database, &["location", "set", "BIN", "--parent", ""]);
        assert_eq!(
            said(&database, &["location", "list"]).trim(),
            "LONDON  Shop  rank 2\nBIN  rank 100  not sellable"
        );
        let listed = json(&onhand(&database, &["location", "list", "--json"]).stdout);
        assert_eq!(listed["data"][0]["groups"], serde_json::json!([]));
        for (mistyped, would_be_right) in [
            (["location", "set", "LODNON"], "`onhand location add` makes one"),
            (["location", "add", "LONDON"], "`onhand location set` changes it"),
        ] {
            let output = onhand(&database, &mistyped);
            assert!(!output.status.success() && text(&output.stderr).contains(would_be_right));
        }
        let both = onhand(&database, &["location", "set", "LONDON", "--group", "EU", "--no-groups"]);
        assert!(!both.status.success(), "in a group and in none");
        drop(server);
        assert!(onhand(&database, &["verify"]).status.success());
    }
}
