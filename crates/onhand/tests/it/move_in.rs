//! Moving in from Linnworks and from SKULabs at a shell, with and without a server.

use std::path::Path;

use serde_json::Value;

use crate::server::{Server, onhand, text};

fn json(bytes: &[u8]) -> Value {
    serde_json::from_str(text(bytes).lines().last().unwrap_or_default()).expect("one JSON object last")
}

fn said(database: &Path, arguments: &[&str]) -> String {
    let output = onhand(database, arguments);
    assert!(output.status.success(), "{arguments:?}: {}{}", text(&output.stdout), text(&output.stderr));
    text(&output.stdout)
}

/// On hand by SKU, location and lot.
fn stock(database: &Path) -> Vec<String> {
    let stock = said(database, &["export", "stock"]);
    let rows = stock.lines().skip(1).map(|line| {
        let fields: Vec<&str> = line.split(',').collect();
        format!("{} {} {}{}", fields[0], fields[1], fields[2], fields[12])
    });
    rows.collect()
}

const INVENTORY: &str = "\u{feff}SKU,Item Title,Category,Barcode Number,Is Archived,Is Variation Parent,Retail Price,Stock Location,\
    Stock level at location,Stock minimum level at location,Bin Rack\r\n\
    MUG,\"Mug, blue\",Kitchen,4006381333931,False,False,4.50,Default,12,3,A1\r\n\
    MUG,\"Mug, blue\",Kitchen,4006381333931,False,False,4.50,Outlet,-2,0,\r\n\
    TEA,Tea,Food,0123,False,False,,Default,30,0,B2\r\n\
    BOX,Gift box,Gifts,,False,False,14,Default,6,-1,\r\n\
    SHIRTS,All shirts,Wear,,False,True,,Default,0,0,\r\n";
const COMPOSITIONS: &str = "Parent SKU,Child SKU,Quantity\r\nBOX,MUG,1\r\nBOX,TEA,2\r\n";
const LINKS: &str = "Source,Subsource,Linked SKU Custom Label,SKU\r\nEBAY,E1,MUG-EBAY,MUG\r\n";

#[tokio::test]
async fn a_business_moves_in_from_linnworks() {
    for served in [false, true] {
        let folder = tempfile::tempdir().unwrap();
        let database = folder.path().join("linnworks.db");
        let at = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
        let file = |name: &str, text: &str| {
            std::fs::write(at(name), text).unwrap();
            at(name)
        };
        let (inventory, kits) = (file("inventory.csv", INVENTORY), file("kits.csv", COMPOSITIONS));
        let links = file("links.csv", LINKS);
        // A file that nobody knows makes no database, nor does one that has a bad row.
        let notes = file("notes.csv", "What,When\nx,y\n");
        let refused = onhand(&database, &["move-in", &inventory, &notes]);
        assert!(
            !refused.status.success() && text(&refused.stderr).contains("--map"),
            "{}",
            text(&refused.stderr)
        );
        let bad = file("bad.csv", &format!("{COMPOSITIONS}BOX,,1\r\n"));
        let refused = onhand(&database, &["move-in", &inventory, &bad]);
        assert!(!refused.status.success(), "{}", text(&refused.stdout));
        assert!(text(&refused.stdout).contains("line 4: names no component"), "{}", text(&refused.stdout));
        assert!(
            text(&refused.stdout).contains("Nothing was imported: 3 rows cannot be"),
            "{}",
            text(&refused.stdout)
        );
        assert!(!database.exists());

        let server = served.then(|| Server::start(&database));
        let files = ["move-in", &kits, &links, &inventory];
        let dry = said(&database, &[&files[..], &["--dry-run"]].concat());
        assert!(dry.contains("3 items and 3 counts would be imported"), "{dry}");
        assert_eq!(said(&database, &["export", "items"]).lines().count(), 1, "a dry run does nothing");
        // What only the ledger knows to be wrong keeps all of it out, too.
        let unknown = file("unknown.csv", &format!("{COMPOSITIONS}NONE,MUG,1\r\n"));
        let refused = onhand(&database, &["move-in", &inventory, &unknown]);
        assert!(!refused.status.success() && text(&refused.stdout).contains("no item has the SKU `NONE`"));
        assert_eq!(said(&database, &["export", "items"]).lines().count(), 1);

        let report = at("report.ndjson");
        let moved = said(&database, &[&files[..], &["--report", &report]].concat());
        for says in [
            "inventory.csv: Linnworks' inventory\n  3 items and 3 counts imported\n",
            "  Locations, made where they are not there: Default, Outlet\n",
            "  1 row not taken, line 5: is a kit",
            "  1 row not taken, line 6: is a group of variations",
            "  line 3: there were -2 over there, which nobody can count; taken as 0\n",
            "  No place in Onhand: Retail Price (3 rows), Bin Rack (2 rows)\n",
            "kits.csv: Linnworks' compositions\n  1 kit imported\n",
            "links.csv: Linnworks' links to channels\n  1 item imported\n  No place in Onhand: Source (1 row), Subsource (1 row)\n",
        ] {
            assert!(moved.contains(says), "{says}: {moved}");
        }
        assert_eq!(stock(&database), ["MUG Default 12", "TEA Default 30"]);
        let items = said(&database, &["export", "items"]);
        assert!(items.contains("BOX,Gift box,each,0,,Gifts,,,,,MUG=1|TEA=2,"), "{items}");
        assert!(
            items.contains("MUG,\"Mug, blue\",each,0,4006381333931,Kitchen,MUG-EBAY,,,Default=3,"),
            "{items}"
        );
        assert!(said(&database, &["export", "locations"]).contains("\nOutlet,"));
        let rows = std::fs::read_to_string(&report).unwrap();
        let first: Value = serde_json::from_str(rows.lines().next().unwrap()).unwrap();
        assert_eq!((first["file"].as_str(), first["what"].as_str()), (Some("inventory.csv"), Some("items")));

        // Once more does nothing, whatever was sold meanwhile, unless it shall.
        let count = file("count.csv", "sku,location,counted\nMUG,Default,11\n");
        said(&database, &["import", "stock", &count]);
        let again = json(&onhand(&database, &["move-in", &inventory, &links, &kits, "--json"]).stdout);
        assert_eq!(again["files"][0]["parts"][0]["already_there"], 3, "{again}");
        assert_eq!(stock(&database)[0], "MUG Default 11");
        said(&database, &[&files[..], &["--key", "again"]].concat());
        assert_eq!(stock(&database)[0], "MUG Default 12");
        drop(server);
    }
}

#[test]
fn a_business_moves_in_from_skulabs() {
    let folder = tempfile::tempdir().unwrap();
    let database = folder.path().join("skulabs.db");
    let file = |name: &str, text: &str| {
        let path = folder.path().join(name);
        std::fs::write(&path, text).unwrap();
        path.to_str().unwrap().to_owned()
    };
    let details = "Barcode,SKU,Name,Unit,Weight,Cost,Serial #\n\"4006381333931,MUG-1\",MUG,Mug,each,300,2.10,\n0123,TEA,Tea,box,,,\n\
        ,PAIR,Two mugs,each,,,\n";
    let details = file("details.csv", details);
    // The columns of its other files are not public: they are said once, or renamed.
    let kits = file("kits.csv", "kit,component,quantity\nPAIR,MUG,2\n");
    let places = file("places.csv", "code\nMain\n");
    let moved = json(&onhand(&database, &["move-in", &kits, &places, &details, "--json"]).stdout);
    assert_eq!(moved["nothing_imported"], false, "{moved}");
    let of = |name: &str| {
        let files = moved["files"].as_array().unwrap();
        files.iter().find(|file| file["file"] == name).unwrap_or_else(|| panic!("{moved}")).clone()
    };
    assert_eq!(of("details.csv")["kind"], "SKULabs' item details");
    assert_eq!(of("details.csv")["parts"][0]["imported"], 3);
    assert_eq!(of("details.csv")["no_place"][0], serde_json::json!({ "column": "Weight", "rows": 1 }));
    let levels = file("levels.csv", "Item,Warehouse,Qty\nMUG,Main,9\nTEA,Main,4\n");
    let mapped = [
        "import",
        "stock",
        &levels,
        "--map",
        "sku=Item",
        "--map",
        "location=Warehouse",
        "--map",
        "counted=Qty",
    ];
    said(&database, &mapped);
    assert_eq!(stock(&database), ["MUG Main 9", "TEA Main 4"]);
    let items = said(&database, &["export", "items"]);
    assert!(items.contains("MUG,Mug,each,0,4006381333931|MUG-1,"), "{items}");
    assert!(items.contains("PAIR,Two mugs,each,0,,,,,,,MUG=2,"), "{items}");
}
