//! The commands, as typed.

use std::path::{Path, PathBuf};

use serde_json::{Value, json as object};

use crate::server::{ONHAND, Server, onhand, text};

fn data(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/data").join(name)
}

/// The first lines of the real invoices: fewer items to open with, and quicker to read.
fn first_invoices(folder: &Path, lines: usize) -> String {
    let whole = std::fs::File::open(data("online-retail/online-retail.csv.gz")).unwrap();
    let whole = std::io::BufReader::new(flate2::read::GzDecoder::new(whole));
    let lines = std::io::BufRead::lines(whole).take(1 + lines).map(|line| line.unwrap() + "\n");
    let file = folder.join("invoices.csv");
    std::fs::write(&file, lines.collect::<String>()).unwrap();
    file.to_str().unwrap().to_owned()
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

#[tokio::test]
async fn a_replay_begun_here_goes_on_through_a_server_and_the_other_way_round() {
    let folder = tempfile::tempdir().unwrap();
    let file = first_invoices(folder.path(), 3_000);
    let replay = |database: &Path, limit: &str| {
        let output = onhand(database, &["replay", &file, "--limit", limit, "--json"]);
        assert!(output.status.success(), "{}", text(&output.stderr));
        let result = json(&output.stdout);
        ["applied", "already_applied", "movements"].map(|field| result[field].as_u64().unwrap())
    };
    let movements = |database: &Path| {
        json(&onhand(database, &["verify", "--json"]).stdout)["movements"].as_u64().unwrap()
    };
    for server_first in [false, true] {
        let database = folder.path().join(format!("{server_first}.db"));
        let server = server_first.then(|| Server::start(&database));
        let [applied, already, moved] = replay(&database, "1000");
        assert!(applied > 500 && already == 0 && moved > applied, "the opening stock moved too");
        drop(server);
        let server = (!server_first).then(|| Server::start(&database));
        let [further, again, moved_further] = replay(&database, "2000");
        assert_eq!(again, applied);
        assert!(further > 500 && moved_further >= further);
        assert_eq!(replay(&database, "2000"), [0, applied + further, 0]);
        assert_eq!(movements(&database), moved + moved_further, "what is said is what the log has");
        drop(server);
    }
}

#[test]
fn a_replay_counts_its_movements_exactly_where_stock_is_short() {
    let folder = tempfile::tempdir().unwrap();
    let database = folder.path().join("short.db");
    let file = first_invoices(folder.path(), 3_000);
    let replay = |opening: &str| {
        let arguments = ["replay", &file, "--limit", "3000", "--json", "--opening", opening];
        onhand(&database, &arguments)
    };
    for wrong in ["-1", "1000000001", "many", "1.5", ""] {
        let refused = replay(wrong);
        assert!(!refused.status.success(), "{wrong}");
        assert!(text(&refused.stderr).contains("0 to 1000000000"), "{}", text(&refused.stderr));
        assert!(!database.exists(), "nothing is made for `{wrong}`");
    }
    let first = json(&replay("03").stdout);
    assert!(first["short_units"].as_u64().unwrap() > 0, "{first}");
    let verified = json(&onhand(&database, &["verify", "--json"]).stdout);
    assert_eq!(first["movements"], verified["movements"]);
    let again = replay("3");
    assert!(again.status.success(), "03 is 3: {}", text(&again.stderr));
    assert_eq!(json(&again.stdout)["movements"], 0);
    for other in ["0", "4", "exact"] {
        assert!(text(&replay(other).stderr).contains("another opening"), "{other}");
    }
}

#[test]
fn an_opening_of_nothing_is_one_too() {
    let folder = tempfile::tempdir().unwrap();
    let database = folder.path().join("nothing.db");
    let file = first_invoices(folder.path(), 3_000);
    let replay =
        |opening: &str| onhand(&database, &["replay", &file, "--limit", "500", "--opening", opening]);
    assert!(replay("0").status.success());
    assert!(replay("0").status.success());
    assert!(text(&replay("5").stderr).contains("another opening"));
    assert!(replay("0").status.success(), "what was refused left no mark");
}

#[tokio::test]
async fn a_replay_into_stock_of_another_master_says_so_and_can_be_done_later() {
    let folder = tempfile::tempdir().unwrap();
    let database = folder.path().join("master.db");
    let file = first_invoices(folder.path(), 3_000);
    let replay = || onhand(&database, &["replay", &file, "--limit", "500"]);
    let server = Server::start(&database);
    server.post("/v1/systems", serde_json::json!({ "name": "WMS", "kind": "shop" })).await;
    let (_, rule) = server.post("/v1/ownership", serde_json::json!({ "master": "WMS" })).await;
    let refused = replay();
    assert!(text(&refused.stderr).contains("`WMS` is master of stock at UK"), "{}", text(&refused.stderr));
    let ended = format!("/v1/rules/{}", rule["id"]);
    assert!(server.call(reqwest::Method::DELETE, &ended, None, &serde_json::json!({})).await.0.is_success());
    let done = replay();
    assert!(done.status.success(), "{}", text(&done.stderr));
}

#[tokio::test]
async fn explain_shows_all_that_on_hand_is_the_sum_of() {
    let folder = tempfile::tempdir().unwrap();
    let database = folder.path().join("explain.db");
    let server = Server::start(&database);
    server.stocked("MUG", 7).await;
    let explain = || text(&onhand(&database, &["explain", "MUG"]).stdout);
    assert!(!explain().contains("damaged"), "{}", explain());
    let broken = serde_json::json!({
        "location": "LONDON", "from": "available", "to": "damaged", "reason": "dropped", "lines": [{ "sku": "MUG", "quantity": 2 }]
    });
    assert!(server.post("/v1/movements/state", broken).await.0.is_success());
    let printed = explain();
    let rows: Vec<Vec<&str>> =
        printed.lines().skip(1).map(|line| line.split_whitespace().collect()).collect();
    assert_eq!(rows[0], ["available", "reserved", "committed", "damaged", "on", "hand"], "{printed}");
    assert_eq!(rows[1], ["LONDON", "5", "0", "0", "2", "7"], "{printed}");
    let widths: Vec<usize> = printed.lines().skip(1).take(3).map(|line| line.chars().count()).collect();
    assert!(widths.iter().all(|width| *width == widths[0]), "{printed}");
}

/// Runs a command whose reader is gone before it begins: one that leaves later may be slower than the command.
fn unread(database: &Path, arguments: &[&str]) -> std::process::Output {
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    std::process::Command::new(ONHAND)
        .args(arguments)
        .arg("--db")
        .arg(database)
        .env("ONHAND_LOG", "error")
        .stdout(writer)
        .stderr(std::process::Stdio::piped())
        .output()
        .unwrap()
}

#[test]
fn a_reader_that_goes_away_ends_a_command_quietly() {
    let folder = tempfile::tempdir().unwrap();
    let database = folder.path().join("pipe.db");
    let file = first_invoices(folder.path(), 500);
    assert!(onhand(&database, &["replay", &file, "--limit", "500"]).status.success());
    for arguments in [
        &["export", "log"][..],
        &["export", "items"],
        &["export", "stock", "--json"],
        &["verify"],
        &["completion", "bash"],
        &["demo", "--json", "--seconds", "1", "--scene", "manual-edit"],
        &["demo", "--seconds", "1", "--scene", "manual-edit"],
        &["explain", "no-such-thing", "--json"],
    ] {
        let output = unread(&database, arguments);
        let code = if arguments[0] == "explain" { 1 } else { 141 };
        assert_eq!(output.status.code(), Some(code), "{arguments:?}: {}", text(&output.stderr));
        assert!(!text(&output.stderr).contains("panicked"), "{arguments:?}: {}", text(&output.stderr));
        assert!(!text(&output.stderr).contains("nobody reads"), "{arguments:?}: {}", text(&output.stderr));
    }
    assert!(onhand(&database, &["verify"]).status.success());
}

#[test]
fn an_error_is_one_json_object_too() {
    let folder = tempfile::tempdir().unwrap();
    let database = folder.path().join("none.db");
    for (arguments, says, code) in [
        (&["verify", "--json"][..], "there is no database at", 1),
        (&["import", "items", "/nowhere.csv", "--json"], "cannot read /nowhere.csv", 1),
        (&["key", "create", "--tenant", "0", "--json"], "0 is not in 1..=9223372036854775807", 2),
        (&["system", "add", "fax", "--url", "http://127.0.0.1:1", "--json"], "no channel for systems", 1),
    ] {
        let output = onhand(&database, arguments);
        assert_eq!(output.status.code(), Some(code), "{arguments:?}");
        let error = json(&output.stdout)["error"].as_str().unwrap().to_owned();
        assert!(error.contains(says), "{arguments:?}: {error}");
        assert!(text(&output.stderr).contains(says), "{arguments:?}: {}", text(&output.stderr));
    }
}

#[test]
fn a_key_has_a_tenant_and_a_name_that_can_be_shown() {
    let folder = tempfile::tempdir().unwrap();
    let database = folder.path().join("keys.db");
    let create = |name: &str, tenant: &str| {
        onhand(&database, &["key", "create", "--name", name, "--tenant", tenant]).status.success()
    };
    let (longest, longer) = ("é".repeat(100), "é".repeat(101));
    for (name, tenant) in
        [("", "1"), ("a\nb", "1"), (longer.as_str(), "1"), ("a", "0"), ("a", "9223372036854775808")]
    {
        assert!(!create(name, tenant), "{name:?} {tenant}");
    }
    assert!(!database.exists());
    for (name, tenant) in [("Ada's till", "1"), (longest.as_str(), "2"), ("a", "9223372036854775807")] {
        assert!(create(name, tenant), "{name:?} {tenant}");
    }
}

#[test]
fn the_demo_draws_nothing_where_nobody_looks_and_tells_three_numbers() {
    let folder = tempfile::tempdir().unwrap();
    let demo = |more: &[&str]| {
        let asked = ["demo", "--seconds", "1", "--scene", "manual-edit"];
        onhand(&folder.path().join("unused.db"), &[&asked, more].concat())
    };
    let output = demo(&[]);
    let plain = text(&output.stdout);
    assert!(output.status.success(), "{plain}");
    let words: Vec<_> = plain.lines().filter_map(|line| line.split_whitespace().next()).collect();
    assert_eq!(words[..6], ["pages", "API", "docs", "shops", "key", "──"], "{plain}");
    for told in [
        "Three systems, three numbers: Shopify 100, Corner Shop 92, WooCommerce 97. Which is right, and why?",
        "● Shopify shows 100, as it should.",
        "Somebody changed MUG-BLUE in Corner Shop before",
        "● WooCommerce shows 100, as it should.",
        "● Corner Shop shows 100, as it should.",
        "0 oversold by us",
    ] {
        assert!(plain.contains(told), "`{told}` is not told:\n{plain}");
    }
    let output = demo(&["--json"]);
    assert_eq!(text(&output.stdout).lines().count(), 2, "a line for the scene, and one for all");
    assert!(text(&output.stderr).contains("key   ohk_1_"), "{}", text(&output.stderr));
    assert!(!plain.contains('\u{1b}') && !text(&output.stderr).contains('\u{1b}'));
}

#[test]
fn the_demo_plays_all_scenes_unattended_and_prints_one_object_for_each_and_one_last() {
    let folder = tempfile::tempdir().unwrap();
    let output = onhand(
        &folder.path().join("unused.db"),
        &["demo", "--headless", "--seconds", "8", "--seed", "7", "--json"],
    );
    assert!(output.status.success(), "{}\n{}", text(&output.stdout), text(&output.stderr));
    let lines: Vec<Value> =
        text(&output.stdout).lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let (result, scenes) = lines.split_last().unwrap();
    let names: Vec<&Value> = scenes.iter().map(|scene| &scene["scene"]).collect();
    assert_eq!(names, ["manual-edit", "outage", "two-masters", "flash-sale"]);
    for scene in scenes {
        assert_eq!((&scene["oversold_by_us"], &scene["converged"]), (&object!(0), &object!(true)), "{scene}");
    }
    assert_eq!(scenes[0]["discrepancies"]["manual_edit"], 1, "{}", scenes[0]);
    assert_eq!(scenes[2]["discrepancies"]["second_master"], 1, "{}", scenes[2]);
    let sale = &scenes[3];
    assert_eq!((&sale["stock"], &sale["buyers"]), (&object!(500), &object!(1_000)), "{sale}");
    assert!(
        sale["sold"].as_i64().unwrap() >= 500 && !sale["exposure"].as_array().unwrap().is_empty(),
        "{sale}"
    );
    assert_eq!((&result["oversold_by_us"], &result["converged"]), (&object!(0), &object!(true)));
    assert_eq!(result["in_step"], result["listings"]);
    assert!(result["orders"].as_u64().unwrap() > 500, "{result}");
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
    assert!(text(&nothing.stderr).contains("1 row cannot be imported"), "{}", text(&nothing.stderr));
    assert!(!database.exists(), "a bad file makes no database");
    let good = onhand(&database, &["import", "items", file.to_str().unwrap(), "--skip-bad-rows"]);
    assert!(good.status.success(), "{}", text(&good.stderr));
    let items = text(&onhand(&database, &["export", "items"]).stdout);
    assert!(
        items.contains("A,a,each,0") && items.contains("C,c,each,2") && !items.contains("B,b"),
        "{items}"
    );
}

#[test]
fn an_edited_export_of_stock_is_a_valid_import_as_csv_and_as_a_sheet() {
    let folder = tempfile::tempdir().unwrap();
    let database = folder.path().join("stock.db");
    let at = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    let run = |arguments: &[&str]| {
        let output = onhand(&database, arguments);
        assert!(output.status.success(), "{arguments:?}: {}", text(&output.stderr));
        text(&output.stdout)
    };
    let file = |name: &str, text: &str| {
        std::fs::write(at(name), text).unwrap();
        at(name)
    };
    let items = file("items.csv", "code,what\nMUG,Mug\nTEA,Tea\n");
    let mapped = ["import", "items", &items, "--map", "sku=code", "--map", "name=what"];
    let dry = run(&[&mapped[..], &["--dry-run", "--json"]].concat());
    assert_eq!(json(dry.as_bytes())["imported"], 2);
    assert_eq!(run(&["export", "items"]).lines().count(), 1, "a dry run does nothing");
    run(&mapped);
    // London is made by a count of nothing.
    let shopify = "Handle,Title,Option1 Value,Variant SKU,Variant Inventory Qty,Variant Price\nmug,Mug,Blue,MUG,7,1\ntea,Tea,Green,TEA,3,1\n";
    run(&["import", "items", &file("shop.csv", shopify), "--stock-at", "LONDON"]);
    let exported = run(&["export", "stock"]);
    assert!(exported.starts_with("sku,location,lot,serial,expires,available,unsellable,reserved,committed,damaged,quality_control,safety_stock,on_hand,as_of\nMUG,LONDON,,,,7,0,0,0,0,0,0,7,"), "{exported}");
    let edited: String = exported.replace("MUG,LONDON,,,,7,0,0,0,0,0,0,7", "MUG,LONDON,,,,7,0,0,0,0,0,0,9");
    let only_mug: String =
        edited.lines().filter(|line| !line.starts_with("TEA")).map(|line| format!("{line}\n")).collect();
    run(&["import", "stock", &file("edited.csv", &only_mug)]);
    let on_hand = |sku: &str| {
        let stock = run(&["export", "stock"]);
        let row = stock.lines().find(|line| line.starts_with(sku)).unwrap().to_owned();
        row.split(',').nth(12).unwrap().to_owned()
    };
    assert_eq!((on_hand("MUG"), on_hand("TEA")), ("9".to_owned(), "3".to_owned()));
    // There and back as a sheet.
    run(&["export", "stock", "--xlsx", &at("stock.xlsx")]);
    let again = run(&["import", "stock", &at("stock.xlsx"), "--json"]);
    assert_eq!(json(again.as_bytes())["imported"], 2, "{again}");
    assert_eq!((on_hand("MUG"), on_hand("TEA")), ("9".to_owned(), "3".to_owned()));
    run(&["export", "items", "--xlsx", &at("items.xlsx")]);
    assert_eq!(json(run(&["import", "items", &at("items.xlsx"), "--json"]).as_bytes())["imported"], 2);
    // What is wrong is named by line and column, and nothing is imported, or the good rows.
    let wrong = file(
        "wrong.csv",
        "sku,location,counted\nMUG,LONDON,5\nCAP,LONDON,1\nTEA,LONDON,many\nTEA,PARIS,1\nTEA,LONDON,\n",
    );
    let report = at("report.ndjson");
    let refused = onhand(&database, &["import", "stock", &wrong, "--report", &report]);
    assert!(
        !refused.status.success()
            && text(&refused.stderr).contains("line 4: counted: `many` is not a number"),
        "{}",
        text(&refused.stderr)
    );
    assert_eq!(on_hand("MUG"), "9");
    run(&["import", "stock", &wrong, "--skip-bad-rows", "--report", &report]);
    assert_eq!(on_hand("MUG"), "5");
    let told: Vec<_> =
        std::fs::read_to_string(&report).unwrap().lines().map(|line| json(line.as_bytes())).collect();
    let told: Vec<_> = told
        .iter()
        .map(|row| (row["line"].as_u64().unwrap(), row["result"].as_str().unwrap(), row["column"].as_str()))
        .collect();
    assert_eq!(
        told,
        [
            (2, "imported", None),
            (3, "left_out", Some("sku")),
            (4, "left_out", Some("counted")),
            (5, "left_out", Some("location"))
        ]
    );
    // Orders: rows of one reference are one order; one that is there stays as it is.
    let orders = "reference,sku,quantity\nA-1,MUG,2\nA-1,TEA,1\nA-2,MUG,1\n";
    run(&["import", "orders", &file("orders.csv", orders)]);
    let exported = run(&["export", "orders"]);
    assert_eq!(exported.lines().count(), 4, "{exported}");
    let more = format!("{exported},,A-3,,,,TEA,,,1,,,,,,,\n");
    run(&["import", "orders", &file("more.csv", &more)]);
    let exported = run(&["export", "orders"]);
    assert_eq!(exported.lines().filter(|line| line.contains("A-")).count(), 4, "{exported}");
    assert!(onhand(&database, &["verify"]).status.success());
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

#[tokio::test(flavor = "multi_thread")]
async fn verifying_is_of_all_tenants() {
    let folder = tempfile::tempdir().unwrap();
    let database = folder.path().join("tenants.db");
    let made = onhand(&database, &["key", "create", "--tenant", "7", "--json"]);
    let mut server = Server::start(&database);
    server.stocked("MUG", 7).await;
    server.key = json(&made.stdout)["key"].as_str().unwrap().to_owned();
    server.stocked("CUP", 5).await;
    server.signal("TERM");
    assert_eq!(server.ended_within(20).await, Some(0));
    let found = json(&onhand(&database, &["verify", "--json"]).stdout);
    assert_eq!((&found["ok"], &found["movements"]), (&Value::Bool(true), &Value::from(2)), "{found}");
    let connection = rusqlite::Connection::open(&database).unwrap();
    assert_eq!(connection.execute("DELETE FROM cell WHERE tenant_id = 7", []).unwrap(), 2);
    drop(connection);
    let found = onhand(&database, &["verify", "--json"]);
    assert!(!found.status.success());
    let said = json(&found.stdout)["violation"].as_str().unwrap().to_owned();
    assert!(said.starts_with("tenant 7: law 5"), "{said}");
}
