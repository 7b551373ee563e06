//! Transfers, purchase orders and counting sessions at a shell; files with keys, and the log as a table.

use serde_json::Value;

use crate::server::{Server, onhand, text};

fn json(bytes: &[u8]) -> Value {
    serde_json::from_str(text(bytes).lines().last().unwrap_or_default()).expect("one JSON object last")
}

fn said(database: &std::path::Path, arguments: &[&str]) -> String {
    let output = onhand(database, arguments);
    assert!(output.status.success(), "{arguments:?}: {}", text(&output.stderr));
    text(&output.stdout)
}

/// The number of what was made: the first word.
fn number(told: &str) -> String {
    told.split_whitespace().next().unwrap().to_owned()
}

#[tokio::test]
async fn goods_are_ordered_sent_and_counted_from_the_command_line() {
    for served in [false, true] {
        let folder = tempfile::tempdir().unwrap();
        let database = folder.path().join("goods.db");
        let file = |name: &str, text: &str| {
            let path = folder.path().join(name);
            std::fs::write(&path, text).unwrap();
            path.to_str().unwrap().to_owned()
        };
        said(&database, &["import", "locations", &file("places.csv", "code\nLONDON\nPARIS\n")]);
        said(&database, &["import", "items", &file("items.csv", "sku\nMUG\nA=B\n")]);
        let server = served.then(|| Server::start(&database));
        assert_eq!(said(&database, &["transfer", "list"]), "None.\n");
        let placed = said(
            &database,
            &[
                "purchase",
                "place",
                "ACME",
                "LONDON",
                "MUG=10@2.50",
                "A=B=2",
                "--reference",
                "PO-1",
                "--expected-on",
                "2026-12-01",
            ],
        );
        assert!(placed.contains("  open  ACME → LONDON  PO-1\n"), "{placed}");
        assert!(placed.contains("  1: 10 MUG, 10 open, expected 2026-12-01\n"), "{placed}");
        let order = number(&placed);
        let came = said(&database, &["purchase", "receive", &order, "1=4"]);
        assert!(came.contains("  1: 10 MUG, 4 received, 6 open"), "{came}");
        said(&database, &["purchase", "receive", &order]);
        assert!(said(&database, &["purchase", "list"]).contains("  received  ACME"));
        said(&database, &["purchase", "close", &order]);
        let shown = json(&onhand(&database, &["purchase", "show", &order, "--json"]).stdout);
        assert_eq!(shown["lines"][0]["unit_cost"]["amount"], 2.5);
        let planned = said(&database, &["transfer", "plan", "LONDON", "PARIS", "MUG=5"]);
        assert!(planned.contains("  draft  LONDON → PARIS\n  1: 5 MUG\n"), "{planned}");
        let transfer = number(&planned);
        let ready = said(&database, &["transfer", "ready", &transfer]);
        assert!(ready.contains("  ready_to_ship  LONDON → PARIS\n  1: 5 MUG, 5 reserved\n"), "{ready}");
        let sent = said(&database, &["transfer", "dispatch", &transfer]);
        assert!(sent.contains("  in_progress  ") && sent.contains("5 dispatched, 5 in transit"), "{sent}");
        let came = said(&database, &["transfer", "receive", &transfer, "1=3", "--lost", "1=2"]);
        assert!(came.contains("  transferred  ") && came.contains("3 received, 2 lost"), "{came}");
        let refused = onhand(&database, &["transfer", "cancel", &transfer]);
        assert!(!refused.status.success(), "{}", text(&refused.stdout));
        let wrong = onhand(&database, &["transfer", "plan", "LONDON", "PARIS", "MUG"]);
        assert!(text(&wrong.stderr).contains("a name and a quantity"), "{}", text(&wrong.stderr));
        let opened = said(&database, &["count-session", "open", "PARIS", "--sku", "MUG", "--not-blind"]);
        let session = number(&opened);
        assert!(opened.contains("MUG: not counted yet"), "{opened}");
        let seen = said(&database, &["count-session", "count", &session, "MUG=2"]);
        assert!(seen.contains("  MUG: 2 seen by ") && seen.contains("3 expected, -1 off"), "{seen}");
        let applied = said(&database, &["count-session", "apply", &session]);
        assert!(applied.contains(&format!("{session}  applied  PARIS")), "{applied}");
        let stock = said(&database, &["export", "stock"]);
        assert!(stock.contains("\nMUG,PARIS,,,,2,") && stock.contains("\nMUG,LONDON,,,,5,"), "{stock}");
        drop(server);
        assert!(onhand(&database, &["verify"]).status.success());
    }
}

#[test]
fn a_file_under_a_key_counts_once_and_the_log_is_a_table() {
    let folder = tempfile::tempdir().unwrap();
    let database = folder.path().join("files.db");
    let at = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    std::fs::write(at("places.csv"), "code\nLONDON\n").unwrap();
    std::fs::write(at("items.csv"), "sku\nMUG\n").unwrap();
    std::fs::write(at("came.csv"), "sku,location,quantity\nMUG,LONDON,5\n").unwrap();
    std::fs::write(at("orders.csv"), "reference,sku,quantity\nA-1,MUG,3\nA-2,MUG,3\n").unwrap();
    said(&database, &["import", "locations", &at("places.csv")]);
    said(&database, &["import", "items", &at("items.csv")]);
    let receipts = ["import", "receipts", &at("came.csv"), "--key", "delivery-7"];
    assert_eq!(said(&database, &receipts), "1 receipt imported, 0 rows left out.\n");
    assert_eq!(said(&database, &receipts), "0 receipts imported, 1 there already, 0 rows left out.\n");
    // What only the ledger refuses is foreseen.
    let report = at("report.ndjson");
    let orders = ["import", "orders", &at("orders.csv"), "--dry-run", "--report", &report];
    let dry = onhand(&database, &orders);
    assert!(!dry.status.success() && text(&dry.stderr).contains("line 3: "), "{}", text(&dry.stderr));
    let told = std::fs::read_to_string(&report).unwrap();
    assert!(told.starts_with("{\"line\":2,\"result\":\"not_imported\"}\n"), "{told}");
    let dry = said(&database, &[&orders[..], &["--skip-bad-rows"]].concat());
    assert_eq!(dry, "1 order would be imported, 1 row left out; nothing was done.\n");
    said(&database, &["export", "log", "--to", &at("log.parquet")]);
    let table = std::fs::read(at("log.parquet")).unwrap();
    assert!(table.starts_with(b"PAR1") && table.ends_with(b"PAR1"));
    let log = said(&database, &["export", "log", "--from-seq", "2"]);
    assert!(
        log.starts_with("{\"seq\":2,") && log.trim_end().lines().last().unwrap().starts_with("{\"head\":"),
        "{log}"
    );
    for (arguments, says) in [
        (&["export", "log", "--format", "csv"][..], "the log is no sheet"),
        (&["export", "items", "--format", "parquet"], "items are written as CSV"),
        (&["export", "items", "--from-seq", "1"], "are of the log"),
        (&["export", "items", "--to", "/nowhere/items.csv"], "cannot write /nowhere/items.csv"),
    ] {
        let refused = onhand(&database, arguments);
        assert!(
            !refused.status.success() && text(&refused.stderr).contains(says),
            "{}",
            text(&refused.stderr)
        );
    }
}
