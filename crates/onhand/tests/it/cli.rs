//! The commands, as typed.

use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::server::{Server, onhand, text};

fn data(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/data").join(name)
}

fn json(bytes: &[u8]) -> Value {
    serde_json::from_str(text(bytes).lines().last().unwrap_or_default()).expect("one JSON object last")
}

#[test]
fn a_replay_is_applied_once_and_adds_up() {
    let folder = tempfile::tempdir().unwrap();
    let database = folder.path().join("replay.db");
    let file = data("online-retail/online-retail.csv.gz");
    let replay = |more: &[&str]| {
        let arguments = ["replay", file.to_str().unwrap(), "--limit", "3000", "--json"];
        onhand(&database, &[&arguments[..], more].concat())
    };
    let first = json(&replay(&[]).stdout);
    let number = |result: &Value, field: &str| result[field].as_u64().unwrap();
    let set_aside: u64 =
        first["set_aside"].as_object().unwrap().values().map(|count| count.as_u64().unwrap()).sum();
    assert_eq!(
        number(&first, "applied") + number(&first, "already_applied") + set_aside,
        number(&first, "lines")
    );
    assert_eq!(number(&first, "short_units"), 0, "the exact opening leaves nothing short");
    assert!(number(&first, "applied") > 1_500);
    let second = json(&replay(&[]).stdout);
    assert_eq!((number(&second, "applied"), number(&second, "movements")), (0, 0));
    assert_eq!(number(&second, "already_applied"), number(&first, "applied"));
    let other = replay(&["--opening", "5"]);
    assert!(
        !other.status.success() && text(&other.stderr).contains("another opening"),
        "{}",
        text(&other.stderr)
    );
    assert!(onhand(&database, &["verify"]).status.success());
}

#[test]
fn the_demo_runs_unattended_and_prints_one_object_last() {
    let folder = tempfile::tempdir().unwrap();
    let output = onhand(
        &folder.path().join("unused.db"),
        &["demo", "--headless", "--seconds", "3", "--seed", "7", "--json"],
    );
    assert!(output.status.success(), "{}", text(&output.stderr));
    let result = json(&output.stdout);
    assert_eq!(result["oversold_by_us"], 0);
    assert_eq!(result["converged"], true);
    assert_eq!(result["in_step"], result["listings"]);
    assert!(result["orders"].as_u64().unwrap() > 10, "{result}");
    assert!(result["sync_latency_ms"]["p99"].as_f64().unwrap() > 0.0, "{result}");
}

#[test]
fn a_shopify_export_without_skus_is_offered_readable_ones() {
    let folder = tempfile::tempdir().unwrap();
    let database = folder.path().join("import.db");
    let file = data("shopify-products/apparel.csv");
    let refused = onhand(&database, &["import", "items", file.to_str().unwrap()]);
    assert!(!refused.status.success());
    assert!(text(&refused.stderr).contains("--sku-from handle"), "{}", text(&refused.stderr));
    let arguments =
        ["import", "items", file.to_str().unwrap(), "--sku-from", "handle", "--stock-at", "LONDON"];
    let imported = onhand(&database, &arguments);
    assert!(imported.status.success(), "{}", text(&imported.stderr));
    let printed = text(&imported.stdout);
    assert!(printed.starts_with("ocean-blue-shirt  Ocean Blue Shirt\n"), "{printed}");
    assert!(printed.contains("22 items imported, 22 counted"), "{printed}");
    let explained = onhand(&database, &["explain", "ocean-blue-shirt"]);
    assert!(text(&explained.stdout).contains("LONDON"), "{}", text(&explained.stdout));
    // An export of items is a valid import.
    let exported = onhand(&database, &["export", "items"]);
    let again = folder.path().join("again.csv");
    std::fs::write(&again, &exported.stdout).unwrap();
    let imported =
        onhand(&folder.path().join("other.db"), &["import", "items", again.to_str().unwrap(), "--json"]);
    assert_eq!(json(&imported.stdout)["imported"], 22);
}

#[test]
fn a_bad_row_imports_nothing_or_exactly_the_good_rows() {
    let folder = tempfile::tempdir().unwrap();
    let database = folder.path().join("import.db");
    let file = folder.path().join("items.csv");
    std::fs::write(&file, "sku,name,precision\nA,a,0\nB,b,x\nC,c,2\n").unwrap();
    let nothing = onhand(&database, &["import", "items", file.to_str().unwrap()]);
    assert!(!nothing.status.success());
    assert!(text(&nothing.stderr).contains("line 3: precision is `x`"), "{}", text(&nothing.stderr));
    assert!(!text(&onhand(&database, &["export", "items"]).stdout).contains("A,a"));
    let good = onhand(&database, &["import", "items", file.to_str().unwrap(), "--skip-bad-rows"]);
    assert!(good.status.success(), "{}", text(&good.stderr));
    let items = text(&onhand(&database, &["export", "items"]).stdout);
    assert!(
        items.contains("A,a,each,0") && items.contains("C,c,each,2") && !items.contains("B,b"),
        "{items}"
    );
}

#[tokio::test]
async fn commands_go_through_the_server_that_holds_the_file() {
    let folder = tempfile::tempdir().unwrap();
    let database = folder.path().join("held.db");
    let server = Server::start(&database);
    let file = folder.path().join("items.csv");
    std::fs::write(&file, "sku,name\nMUG,Blue mug\n").unwrap();
    let imported = onhand(&database, &["import", "items", file.to_str().unwrap()]);
    assert!(imported.status.success(), "{}", text(&imported.stderr));
    assert_eq!(server.get("/v1/items/MUG").await.1["name"], "Blue mug");
    assert!(onhand(&database, &["verify"]).status.success());
    let second = onhand(&database, &["serve", "--listen", "127.0.0.1:0"]);
    assert!(text(&second.stderr).contains("is in use by another Onhand process"), "{}", text(&second.stderr));
}
