//! A clear error that says what would be right; nothing changed.

use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use crate::server::{Server, onhand, text};

#[tokio::test]
async fn each_refusal_names_the_field_and_what_would_be_right_and_moves_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(&folder.path().join("bad.db"));
    server.stocked("MUG", 5).await;
    let (_, before) = server.get("/v1/changes?limit=100").await;
    let order = |sku: &str, quantity: Value| json!({ "lines": [{ "sku": sku, "quantity": quantity }] });
    let cases = [
        ("/v1/orders", order("CUP", json!(1)), 422, "sku", "no item has the SKU `CUP`"),
        ("/v1/orders", order("MUG", json!(-1)), 422, "quantity", "more than 0, not -1"),
        ("/v1/orders", order("MUG", json!(0)), 422, "quantity", "more than 0"),
        ("/v1/orders", order("MUG", json!("0.5")), 422, "quantity", "at most 0 decimals"),
        ("/v1/orders", json!({ "lines": [] }), 422, "lines", "at least one line"),
        ("/v1/orders", order("MUG", json!(6)), 409, "", "cannot take 6 of `MUG`: 5 available"),
        ("/v1/orders", order("MUG", json!("many")), 422, "quantity", "`many` is not a number"),
        ("/v1/orders", order("MUG", json!("0.0000001")), 422, "quantity", "at most 6 decimals"),
        ("/v1/orders", json!({ "line": [] }), 422, "line", "unknown field `line`"),
        (
            "/v1/movements/receive",
            json!({ "location": "PARIS", "lines": [{ "sku": "MUG", "quantity": 1 }] }),
            422,
            "location",
            "no location has the code `PARIS`",
        ),
        (
            "/v1/movements/receive",
            json!({ "location": "LONDON", "lines": [{ "sku": "MUG", "quantity": 1 }], "occurred_at": "yesterday" }),
            422,
            "occurred_at",
            "not an instant such as",
        ),
        (
            "/v1/movements/receive",
            json!({ "location": "LONDON", "lines": [{ "sku": "MUG", "quantity": 1 }], "occurred_at": "2999-01-01T00:00:00Z" }),
            422,
            "occurred_at",
            "more than 5 minutes ahead",
        ),
        ("/v1/items", json!({ "sku": " MUG" }), 422, "sku", "has spaces around it"),
        ("/v1/items", json!({ "sku": "X", "precision": 7 }), 422, "precision", "0 to 6"),
    ];
    for (path, body, status, field, says) in cases {
        let (got, problem) = server.post(path, body.clone()).await;
        assert_eq!(got.as_u16(), status, "{body}: {problem}");
        let detail = problem["detail"].as_str().unwrap_or_default();
        assert!(detail.contains(says), "{body}: {problem}");
        assert_eq!(problem["field"].as_str().unwrap_or_default(), field, "{body}: {problem}");
        assert_eq!(problem["status"], status);
    }
    let (_, after) = server.get("/v1/changes?limit=100").await;
    assert_eq!(before, after, "nothing was added to the log");
    // A keyed refusal adds its own entry, and nothing else.
    let (status, _) = server.call(Method::POST, "/v1/orders", Some("k"), &order("MUG", json!(6))).await;
    assert_eq!(status, StatusCode::CONFLICT);
    let (_, last) = server.get("/v1/changes?limit=100").await;
    let added = last["data"].as_array().unwrap().last().unwrap()["entries"].clone();
    assert_eq!(added, json!(["Refused"]));
    assert_eq!(server.stock("MUG").await, (5, 0));
}

#[tokio::test]
async fn a_body_that_is_no_json_and_a_key_that_is_none() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(&folder.path().join("bad.db"));
    let url = format!("{}/v1/orders", server.base);
    let broken = server.http.post(&url).bearer_auth(&server.key).body("{\"lines\": [").send().await.unwrap();
    assert_eq!(broken.status(), StatusCode::UNPROCESSABLE_ENTITY);
    assert!(broken.text().await.unwrap().contains("EOF while parsing"));
    let long = server.http.post(&url).bearer_auth(&server.key).header("idempotency-key", "k".repeat(256));
    assert_eq!(long.json(&json!({ "lines": [] })).send().await.unwrap().status(), StatusCode::BAD_REQUEST);
    // A body that is too large is answered before it is read: the answer may be lost in what is still being sent.
    let large =
        server.http.post(&url).bearer_auth(&server.key).body("x".repeat(9 * 1024 * 1024)).send().await;
    assert!(large.is_err() || large.is_ok_and(|answer| answer.status() == StatusCode::PAYLOAD_TOO_LARGE));
    let no_key = server.http.post(&url).json(&json!({ "lines": [] })).send().await.unwrap();
    assert_eq!(no_key.status(), StatusCode::UNAUTHORIZED);
    let wrong =
        server.http.get(&url).bearer_auth("ohk_1_0123456789012345678901234567890123456789").send().await;
    assert_eq!(wrong.unwrap().status(), StatusCode::UNAUTHORIZED);
    let (status, problem) = server.get("/v1/nothing").await;
    assert_eq!(status, StatusCode::NOT_FOUND);
    assert!(problem["detail"].as_str().unwrap().contains("see /docs"), "{problem}");
}

#[tokio::test]
async fn a_key_of_another_tenant_sees_nothing_of_this_one() {
    let folder = tempfile::tempdir().unwrap();
    let database = folder.path().join("tenants.db");
    let made = onhand(&database, &["key", "create", "--tenant", "2", "--json"]);
    let made: Value = serde_json::from_slice(&made.stdout).unwrap();
    let other = made["key"].as_str().unwrap().to_owned();
    let mut server = Server::start(&database);
    server.stocked("MUG", 5).await;
    let ours = std::mem::replace(&mut server.key, other);
    assert_eq!(server.get("/v1/items/MUG").await.0, StatusCode::NOT_FOUND);
    assert_eq!(server.get("/v1/items").await.1["data"], json!([]));
    assert_eq!(server.get("/v1/changes").await.1["data"], json!([]));
    let order = json!({ "lines": [{ "sku": "MUG", "quantity": 1 }] });
    assert_eq!(server.post("/v1/orders", order).await.0, StatusCode::UNPROCESSABLE_ENTITY);
    // Another tenant's number before the same secret is no key at all.
    server.key = server.key.replacen("ohk_2_", "ohk_1_", 1);
    assert_eq!(server.get("/v1/items/MUG").await.0, StatusCode::UNAUTHORIZED);
    server.key = ours;
    assert_eq!(server.stock("MUG").await, (5, 0));
}

#[tokio::test]
async fn a_fact_for_more_than_there_is_is_recorded_and_short() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(&folder.path().join("bad.db"));
    server.stocked("MUG", 2).await;
    server.post("/v1/systems", json!({ "name": "WEB", "kind": "shop" })).await;
    let order = json!({ "lines": [{ "line": "1", "sku": "MUG", "quantity": 3 }] });
    let document = json!({ "system": "WEB", "document": "8841", "version": 1, "order": order });
    let (status, answer) = server.post("/v1/documents", document).await;
    assert_eq!(status, StatusCode::OK);
    assert_eq!((&answer["lines"][0]["allocated"], &answer["lines"][0]["short"]), (&json!(2), &json!(1)));
    assert_eq!(server.stock("MUG").await, (0, 2));
    let (_, inbox) = server.inbox().await;
    assert!(inbox["data"][0]["sentence"].as_str().unwrap().contains("1 is short"), "{inbox}");
}

#[test]
fn a_file_that_is_not_ours_is_newer_or_is_damaged() {
    let folder = tempfile::tempdir().unwrap();
    let refused = |name: &str, says: &str| {
        let output = onhand(&folder.path().join(name), &["verify"]);
        assert_eq!(output.status.code(), Some(1), "{name}");
        assert!(text(&output.stderr).contains(says), "{name}: {}", text(&output.stderr));
    };
    std::fs::write(folder.path().join("letter.txt"), "Dear Sir or Madam, this is a letter and no database.")
        .unwrap();
    refused("letter.txt", "it is no SQLite file");
    assert!(onhand(&folder.path().join("newer.db"), &["key", "create"]).status.success());
    let mut bytes = std::fs::read(folder.path().join("newer.db")).unwrap();
    bytes[60..64].copy_from_slice(&99_u32.to_be_bytes());
    std::fs::write(folder.path().join("newer.db"), &bytes).unwrap();
    refused("newer.db", "written by a newer Onhand (schema 99, this one knows 1)");
    bytes[60..64].copy_from_slice(&1_u32.to_be_bytes());
    bytes[68..72].copy_from_slice(b"Word");
    std::fs::write(folder.path().join("other.db"), &bytes).unwrap();
    refused("other.db", "another program made it");
}

#[test]
fn a_changed_byte_of_the_log_is_found() {
    let folder = tempfile::tempdir().unwrap();
    let database = folder.path().join("changed.db");
    let file = folder.path().join("items.csv");
    std::fs::write(&file, "sku,name\nMUG,Blue mug of a name that can be found again\n").unwrap();
    let imported = onhand(&database, &["import", "items", file.to_str().unwrap()]);
    assert!(imported.status.success(), "{}", text(&imported.stderr));
    let mut bytes = std::fs::read(&database).unwrap();
    let name = b"Blue mug of a name";
    let places: Vec<usize> =
        (0..bytes.len() - name.len()).filter(|at| bytes[*at..].starts_with(name)).collect();
    for at in places {
        bytes[at] = b'G';
    }
    std::fs::write(&database, bytes).unwrap();
    let output = onhand(&database, &["verify"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(text(&output.stdout).contains("the log at entry 1 was changed"), "{}", text(&output.stdout));
}

#[test]
fn what_only_reads_makes_no_database() {
    let folder = tempfile::tempdir().unwrap();
    let commands = [&["verify"][..], &["explain", "MUG"], &["export", "log"], &["system", "list"]];
    for arguments in commands {
        let output = onhand(&folder.path().join("none.db"), arguments);
        assert_eq!(output.status.code(), Some(1), "{arguments:?}");
        let says = text(&output.stderr);
        assert!(says.contains("there is no database at") && says.contains("onhand serve"), "{says}");
    }
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
    std::fs::write(folder.path().join("empty.db"), "").unwrap();
    for arguments in commands {
        let output = onhand(&folder.path().join("empty.db"), arguments);
        assert_eq!(output.status.code(), Some(1), "{arguments:?}");
        assert!(text(&output.stderr).contains("empty.db is empty"), "{}", text(&output.stderr));
    }
    assert_eq!(std::fs::metadata(folder.path().join("empty.db")).unwrap().len(), 0);
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
}

#[test]
fn a_file_that_the_ledger_would_refuse_is_refused_before_anything_is_written() {
    let folder = tempfile::tempdir().unwrap();
    let database = folder.path().join("import.db");
    let import = |content: &str, more: &[&str]| {
        let file = folder.path().join("items.csv");
        std::fs::write(&file, content).unwrap();
        onhand(&database, &[&["import", "items", file.to_str().unwrap()], more].concat())
    };
    let long = "x".repeat(101);
    for (row, says) in [
        (format!("{long},a,"), "sku: has more than 100 characters"),
        (format!("B,{},", "x".repeat(501)), "name: has more than 500 characters"),
        ("B,b,a thing of many words that is long".to_owned(), "unit: has more than 20 characters"),
        ("B,a\u{7}b,".to_owned(), "name: has control characters"),
        ("..,a,".to_owned(), "sku: `..` has dots only"),
    ] {
        let output = import(&format!("sku,name,unit\nA,a,\n{row}\n"), &[]);
        assert!(!output.status.success(), "{row}");
        assert!(text(&output.stderr).contains(&format!("line 3: {says}")), "{}", text(&output.stderr));
        assert!(!database.exists(), "{row}");
    }
    let output = import("sku\nA\n", &["--stock-at", " bad "]);
    assert!(text(&output.stderr).contains("` bad ` has spaces around it"), "{}", text(&output.stderr));
    assert!(!database.exists());
    let output = import(&format!("sku\nA\n{long}\n"), &["--skip-bad-rows"]);
    assert!(output.status.success(), "{}", text(&output.stderr));
    assert_eq!(text(&output.stdout), "1 item imported, 0 counted, 1 row left out.\n");
}

#[test]
fn a_replay_of_a_broken_file_is_an_error_and_makes_no_database() {
    const HEADER: &str =
        "InvoiceNo,StockCode,Description,Quantity,InvoiceDate,UnitPrice,CustomerID,Country\n";
    let folder = tempfile::tempdir().unwrap();
    let database = folder.path().join("replay.db");
    let zipped = |content: &[u8]| {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        std::io::Write::write_all(&mut encoder, content).unwrap();
        encoder.finish().unwrap()
    };
    let line = |fields: &str| format!("{HEADER}{fields}\n").into_bytes();
    let good = line("1,85123A,MUG,6,2010-12-01 08:26:00,2.55,17850,United Kingdom");
    let mut endless = good.clone();
    endless.extend_from_slice(b"2,\"");
    endless.resize(64 * 1024 * 1024, b'x');
    let endless = zipped(&endless);
    assert!(endless.len() < 1024 * 1024, "a small archive of a long line");
    let mut cut = zipped(&good);
    cut.truncate(cut.len() - 12);
    let cases: Vec<(Vec<u8>, &str)> = vec![
        (endless, "line 3 is longer than 1048576 bytes"),
        (cut, "the file is broken"),
        (vec![0x1f, 0x8b], "the file cannot be read"),
        (b"\x1f\x8b\x08\x00garbage that is no archive".to_vec(), "the file cannot be read"),
        (Vec::new(), "is not the Online Retail file"),
        (vec![0xff; 4_000], "cannot be read"),
        (b"a,b\n".to_vec(), "is not the Online Retail file"),
        (line("1,A,MUG,6"), "the file is broken"),
        (line("1,A,MUG,six,2010-12-01 08:26:00,1,1,UK"), "line 2: Quantity must be a whole number"),
        (line("1,A,MUG,-9223372036854775808,2010-12-01 08:26:00,1,1,UK"), "line 2: Quantity must be"),
        (line("1,A,MUG,6,yesterday,1,1,UK"), "line 2: InvoiceDate must be a time such as"),
        (line("1,A,MUG,6,9999-12-31 23:59:59,1,1,UK"), "line 2: InvoiceDate"),
        (line(",A,MUG,6,2010-12-01 08:26:00,1,1,UK"), "line 2: InvoiceNo must be 1 to 255 characters"),
        (line("1,,MUG,6,2010-12-01 08:26:00,1,1,UK"), "the item `` cannot be made: sku: must not be empty"),
        (line("1,..,MUG,6,2010-12-01 08:26:00,1,1,UK"), "dots only"),
    ];
    let file = folder.path().join("invoices");
    for (content, says) in cases {
        std::fs::write(&file, content).unwrap();
        let output = onhand(&database, &["replay", file.to_str().unwrap()]);
        let told = text(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{says}: {told}");
        assert!(told.contains(says) && !told.contains("backtrace"), "{says}: {told}");
        assert!(!database.exists(), "{says}");
    }
    std::fs::write(&file, good).unwrap();
    assert!(onhand(&database, &["replay", file.to_str().unwrap()]).status.success());
}

#[tokio::test]
async fn a_name_of_dots_finds_nothing_else_through_a_server() {
    let folder = tempfile::tempdir().unwrap();
    let database = folder.path().join("dots.db");
    let server = Server::start(&database);
    server.stocked("explain", 1).await;
    for dots in [".", ".."] {
        let (status, problem) = server.post("/v1/items", json!({ "sku": dots })).await;
        assert_eq!(status, StatusCode::UNPROCESSABLE_ENTITY);
        assert!(problem["detail"].as_str().unwrap().contains("dots only"), "{problem}");
        let output = onhand(&database, &["explain", dots]);
        assert_eq!(output.status.code(), Some(1));
        assert!(text(&output.stderr).contains("cannot be part of an address"), "{}", text(&output.stderr));
    }
}
