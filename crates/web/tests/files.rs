//! Files over HTTP: imported, told of row by row, exported; the log for other tools.

#[path = "support/mod.rs"]
mod support;

use axum::body::{Body, Bytes};
use axum::http::{Request, StatusCode, header};
use axum::response::Response;
use http_body_util::BodyExt as _;
use onhand_exchange::import::move_in;
use serde_json::{Value, json};
use support::Shop;

const CSV: &str = "text/csv; charset=utf-8";
const ZIP: &str = "application/zip";
const XLSX: &str = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet";

impl Shop {
    async fn sent(&self, path: &str, kind: Option<&str>, key: Option<&str>, file: Vec<u8>) -> Response {
        let mut request = Request::post(path).header(header::AUTHORIZATION, format!("Bearer {}", self.key));
        if let Some(kind) = kind {
            request = request.header(header::CONTENT_TYPE, kind);
        }
        if let Some(key) = key {
            request = request.header("idempotency-key", key);
        }
        self.send(request.body(Body::from(file)).unwrap()).await
    }

    /// The report on a file, row by row, and the summary.
    async fn import(&self, path: &str, key: Option<&str>, file: &str) -> (Vec<Value>, Value) {
        let answer = self.sent(path, Some(CSV), key, file.into()).await;
        assert_eq!(answer.status(), 200);
        assert_eq!(answer.headers()[header::CONTENT_TYPE], "application/x-ndjson");
        let bytes = answer.into_body().collect().await.unwrap().to_bytes();
        let text = String::from_utf8(bytes.to_vec()).unwrap();
        let mut lines: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        let summary = lines.pop().unwrap()["summary"].clone();
        assert!(summary.is_object(), "{text}");
        (lines, summary)
    }

    async fn problem(&self, path: &str, kind: Option<&str>, file: impl Into<Vec<u8>>) -> (StatusCode, Value) {
        let answer = self.sent(path, kind, None, file.into()).await;
        let status = answer.status();
        let bytes = answer.into_body().collect().await.unwrap().to_bytes();
        (status, serde_json::from_slice(&bytes).unwrap_or_default())
    }

    async fn file(&self, path: &str) -> (String, Bytes) {
        let request = Request::get(path).header(header::AUTHORIZATION, format!("Bearer {}", self.key));
        let answer = self.send(request.body(Body::empty()).unwrap()).await;
        assert_eq!(answer.status(), 200, "{path}");
        let kind = answer.headers()[header::CONTENT_TYPE].to_str().unwrap().to_owned();
        assert!(answer.headers()[header::CONTENT_DISPOSITION].to_str().unwrap().contains("attachment"));
        (kind, answer.into_body().collect().await.unwrap().to_bytes())
    }

    async fn text(&self, path: &str) -> String {
        String::from_utf8(self.file(path).await.1.to_vec()).unwrap()
    }

    async fn seq(&self) -> Value {
        self.get("/v1/items?limit=1").await["seq"].clone()
    }
}

#[tokio::test]
async fn a_file_is_told_of_row_by_row_before_and_after() {
    let shop = Shop::open().await;
    let file = "sku,location,counted\nMUG,LONDON,7\nNONE,LONDON,1\nMUG,PARIS,x\n";
    let before = shop.seq().await;
    let (dry, summary) = shop.import("/v1/import/counts?dry_run=true", None, file).await;
    let row = |line: u64, result: &str| json!({ "line": line, "result": result });
    assert_eq!(dry[0], row(2, "not_imported"));
    let of = |rows: &[Value], index: usize, field: &str| rows[index][field].clone();
    for (index, column, kind, says) in [
        (1, "sku", "/docs/errors#unknown_sku", "`NONE`"),
        (2, "counted", "/docs/errors#row", "`x` is not a number"),
    ] {
        assert_eq!(of(&dry, index, "result"), "left_out");
        assert_eq!(of(&dry, index, "column"), column);
        assert_eq!(of(&dry, index, "type"), kind);
        assert!(of(&dry, index, "problem").as_str().unwrap().contains(says), "{dry:?}");
    }
    assert_eq!(summary["nothing_imported"], true);
    assert_eq!((&summary["dry_run"], &summary["left_out"]), (&json!(true), &json!(2)));
    assert_eq!(shop.import("/v1/import/stock", None, file).await.0, dry);
    assert_eq!(shop.seq().await, before, "nothing was done");
    let (real, summary) = shop.import("/v1/import/stock?skip_bad_rows=true", None, file).await;
    assert_eq!((&real[0], &real[1..]), (&row(2, "imported"), &dry[1..]));
    assert_eq!((&summary["imported"], &summary["left_out"]), (&json!(1), &json!(2)));
    assert_eq!(shop.get("/v1/items/MUG/stock").await["total"]["on_hand"], 7);
}

#[tokio::test]
async fn a_file_that_is_sent_twice_counts_once() {
    let shop = Shop::open().await;
    let file = "Artikel,Ort,Menge\nMUG,LONDON,5\nMUG,LONDON,2\n";
    let path = "/v1/import/receipts?map=sku=Artikel&map=location%3DOrt&map=quantity=Menge";
    for (times, result) in [(1, "imported"), (2, "already_imported")] {
        let (rows, summary) = shop.import(path, Some("delivery-7"), file).await;
        assert!(rows.iter().all(|row| row["result"] == result), "{rows:?}");
        assert_eq!(summary["already_there"], if times == 1 { 0 } else { 2 });
        assert_eq!(shop.get("/v1/items/MUG/stock").await["total"]["on_hand"], 7);
    }
    // The same key for another file: none of it is imported, and the dry run knows it.
    let other = "Artikel,Ort,Menge\nMUG,LONDON,6\nMUG,LONDON,2\nMUG,LONDON,1\n";
    let (dry, _) = shop.import(&format!("{path}&dry_run=true"), Some("delivery-7"), other).await;
    assert_eq!(dry[0]["result"], "left_out", "{dry:?}");
    let (rows, summary) = shop.import(path, Some("delivery-7"), other).await;
    assert_eq!(
        (rows[2]["result"].as_str(), &summary["nothing_imported"]),
        (Some("not_imported"), &json!(true))
    );
    assert_eq!(shop.get("/v1/items/MUG/stock").await["total"]["on_hand"], 7);
    let (status, problem) = shop.problem(&format!("{path}&map=sku=Ort"), Some(CSV), file).await;
    assert_eq!(
        (status, &problem["detail"]),
        (StatusCode::BAD_REQUEST, &json!("`map` names `sku` twice; it is one column"))
    );
    let (rows, _) = shop.import(path, None, file).await;
    assert!(rows.iter().all(|row| row["result"] == "imported"), "without a key it is another delivery");
}

#[tokio::test]
async fn whoever_goes_away_does_not_stop_what_was_begun() {
    let shop = Shop::open().await;
    // More rows than are told ahead of who reads them.
    let file: String = (0..4_000).map(|row| format!("SKU-{row}\n")).collect();
    let answer = shop.sent("/v1/import/items", Some(CSV), None, format!("sku\n{file}").into_bytes()).await;
    assert_eq!(answer.status(), 200);
    drop(answer);
    for _ in 0..1_000 {
        if shop.call("/v1/items/SKU-3999", None, None).await.0 == StatusCode::OK {
            return;
        }
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
    panic!("it was stopped");
}

#[tokio::test]
async fn what_cannot_be_read_is_a_problem_and_imports_nothing() {
    let shop = Shop::open().await;
    let before = shop.seq().await;
    let items = "/v1/import/items";
    let long_key = "k".repeat(201);
    for (path, kind, file, status, problem, says) in [
        (items, Some(CSV), "code\nA\n", 422, "file", "no column is called `sku`"),
        (items, Some(CSV), "sku;name\nA;a\n", 422, "file", "must be a comma, and here it is a semicolon"),
        (items, Some(CSV), "sku,colour\nA,red\n", 422, "file", "`colour` is not known"),
        (items, Some(XLSX), "sku\nA\n", 422, "file", "no XLSX that can be read"),
        (items, Some("application/json"), "{}", 415, "content_type", "`application/json` is not read"),
        ("/v1/import/kittens", Some(CSV), "sku\nA\n", 404, "unknown", "`kittens` is not imported"),
        ("/v1/import/items?dry_run=maybe", Some(CSV), "sku\nA\n", 400, "query", "true or false"),
        ("/v1/import/items?dryrun=true", Some(CSV), "sku\nA\n", 400, "query", "`dryrun` is not known"),
        ("/v1/import/items?map=sku", Some(CSV), "sku\nA\n", 400, "query", "OURS=THEIRS"),
        ("/v1/import/items?map=sku=Art", Some(CSV), "sku\nA\n", 422, "file", "no column is called `Art`"),
        ("/v1/import/items?stock_at=%20x", Some(CSV), "sku\nA\n", 422, "file", "spaces around it"),
        ("/v1/import/items?sku_from=name", Some(CSV), "sku\nA\n", 400, "query", "it must be handle"),
        ("/v1/import/move-in", Some(CSV), "sku\nA\n", 415, "content_type", "moved in as an archive"),
        ("/v1/import/move-in", Some(ZIP), "sku\nA\n", 422, "file", "no ZIP archive that can be read"),
        ("/v1/import/move-in?map=sku=Art", Some(ZIP), "", 400, "query", "`map` is of one file"),
    ] {
        let (was, told) = shop.problem(path, kind, file).await;
        assert_eq!(was, status, "{path} {kind:?}: {told}");
        assert_eq!(told["type"], format!("/docs/errors#{problem}"));
        assert!(told["detail"].as_str().unwrap().contains(says), "{told}");
    }
    let answer = shop.sent(items, Some(CSV), Some(&long_key), b"sku\nA\n".to_vec()).await;
    assert_eq!(answer.status(), 400);
    let request =
        Request::post(items).header(header::CONTENT_TYPE, CSV).body(Body::from("sku\nA\n")).unwrap();
    assert_eq!(shop.send(request).await.status(), 401, "whoever has no key imports nothing");
    assert_eq!(shop.seq().await, before);
    let broken = tokio_stream::iter([Ok("sku\nA\n"), Err(std::io::Error::other("the line was cut"))]);
    let request = Request::post(items).header(header::AUTHORIZATION, format!("Bearer {}", shop.key));
    let answer = shop.send(request.body(Body::from_stream(broken)).unwrap()).await;
    assert_eq!(answer.status(), 400);
    assert_eq!(shop.seq().await, before, "of half a file nothing is imported");
}

#[tokio::test]
async fn files_in_an_archive_are_one_import() {
    let shop = Shop::open().await;
    let kits = "Parent SKU,Child SKU,Quantity\nSET,MUG,2\n";
    let items = "SKU,Title,Category,Location,Stock Level\nSET,Set,Gifts,LONDON,1\nCUP,Cup,,LONDON,4\n";
    let mut archive = std::io::Cursor::new(Vec::new());
    let files = [("kits.csv", kits), ("items.csv", items)];
    move_in::pack(files.map(|(name, text)| (name.to_owned(), text.as_bytes())), &mut archive).unwrap();
    let archive = archive.into_inner();
    for (path, result) in
        [("/v1/import/move-in?dry_run=true", "would_be_imported"), ("/v1/import/move-in", "imported")]
    {
        for kind in [Some(ZIP), None] {
            let answer = shop.sent(path, kind, Some("house"), archive.clone()).await;
            let bytes = answer.into_body().collect().await.unwrap().to_bytes();
            let text = String::from_utf8(bytes.to_vec()).unwrap();
            let lines: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
            let result = if result == "imported" && kind.is_none() { "already_imported" } else { result };
            let row = |file: &str, what: &str, line: u64, result: &str| json!({ "file": file, "what": what, "line": line, "result": result });
            assert_eq!(lines[0], row("items.csv", "items", 2, result), "{text}");
            assert_eq!(lines[2], row("kits.csv", "kits", 2, result), "{text}");
            assert_eq!(lines[3]["result"], "skipped", "{text}");
            assert_eq!(lines[4], row("items.csv", "stock", 3, result), "{text}");
            assert_eq!((&lines[5]["file"], &lines[5]["what"]), (&json!("items.csv"), &json!("items")));
            let last = lines.last().unwrap();
            assert!(last.get("file").is_none() && last["summary"]["left_out"] == 0, "{text}");
        }
    }
    assert_eq!(shop.get("/v1/items/CUP/stock").await["total"]["on_hand"], 4);
}

#[tokio::test]
async fn a_sheet_goes_there_and_back() {
    let shop = Shop::open().await;
    let items =
        "sku,name,kit,packs,low_stock_at\nCUP,Cup,,case=12@4006381333931,LONDON=3\nSET,Set,CUP=2|MUG=1,,\n";
    shop.import("/v1/import/items", None, items).await;
    let receipts = "sku,location,quantity,unit_cost,currency\nCUP,LONDON,24,1.25,EUR\n";
    shop.import("/v1/import/receipts", None, receipts).await;
    let orders = "reference,sku,quantity,price,currency,ship_by,ship_to\nA-1,CUP,2,3.5,EUR,2026-12-01T10:00:00Z,DE-HE\n";
    shop.import("/v1/import/orders", None, orders).await;
    for what in ["items", "locations", "stock", "orders"] {
        let path = format!("/v1/export/{what}");
        let text = shop.text(&path).await;
        let (kind, sheet) = shop.file(&format!("{path}?format=xlsx")).await;
        assert_eq!(kind, XLSX);
        // By its type, and by its first bytes.
        for kind in [Some(XLSX), None, Some("application/octet-stream")] {
            let answer = shop.sent(&format!("/v1/import/{what}"), kind, None, sheet.to_vec()).await;
            let bytes = answer.into_body().collect().await.unwrap().to_bytes();
            let last = bytes.split(|byte| *byte == b'\n').rfind(|line| !line.is_empty()).unwrap();
            let last: Value = serde_json::from_slice(last).unwrap();
            assert_eq!(last["summary"]["left_out"], 0, "{what}: {}", String::from_utf8_lossy(&bytes));
        }
        if what != "stock" {
            assert_eq!(shop.text(&path).await, text, "it is as it was");
        }
    }
    let order = shop.text("/v1/export/orders").await;
    assert!(
        order.contains(",A-1,") && order.contains(",CUP,,,2,0,0,0,3.5,EUR,2026-12-01T10:00:00Z,DE-HE"),
        "{order}"
    );
    let items = shop.text("/v1/export/items").await;
    assert!(items.contains("case=12@4006381333931,,LONDON=3,") && items.contains("MUG=1|CUP=2"), "{items}");
    let counts = shop.text("/v1/export/counts").await;
    assert_eq!(counts, "sku,location,lot,serial,expires,counted\nCUP,LONDON,,,,\n");
    let (status, problem) = shop.call("/v1/export/kittens", None, None).await;
    assert_eq!((status, problem["type"].as_str()), (StatusCode::NOT_FOUND, Some("/docs/errors#unknown")));
    let (status, _) = shop.call("/v1/export/items?format=pdf", None, None).await;
    assert_eq!(status, StatusCode::BAD_REQUEST);
}

#[tokio::test]
async fn the_log_is_told_as_lines_and_as_a_table() {
    let shop = Shop::open().await;
    shop.import("/v1/import/receipts", Some("k"), "sku,location,quantity\nMUG,LONDON,5\nMUG,LONDON,1\n")
        .await;
    let text = shop.text("/v1/export/log").await;
    let mut lines: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let head = lines.pop().unwrap()["head"].clone();
    let verified = shop.accepted("/v1/verify", json!({})).await;
    assert_eq!((&head["hash"], &head["seq"]), (&verified["hash"], &verified["entries"]));
    let changes = shop.get("/v1/changes?limit=100").await["data"].as_array().unwrap().clone();
    assert_eq!(lines.len(), changes.len());
    for (line, change) in lines.iter().zip(&changes) {
        for field in ["seq", "recorded_at", "actor", "document", "reference", "note", "entries"] {
            assert_eq!(line[field], change[field]);
        }
    }
    assert_eq!(lines.last().unwrap()["key"], "k:3");
    let part = shop.text("/v1/export/log?from_seq=2&to_seq=3").await;
    let seqs: Vec<u64> = part
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).unwrap()["seq"].as_u64().unwrap())
        .collect();
    assert_eq!(seqs, [2, 3], "and no head, since the rest is not there");
    let (kind, table) = shop.file("/v1/export/log?format=parquet").await;
    assert_eq!(kind, "application/vnd.apache.parquet");
    assert!(table.starts_with(b"PAR1") && table.ends_with(b"PAR1"));
    for wrong in ["format=csv", "from_seq=0", "to_seq=99999999999999999999"] {
        let (status, _) = shop.call(&format!("/v1/export/log?{wrong}"), None, None).await;
        assert_eq!(status, StatusCode::BAD_REQUEST, "{wrong}");
    }
}
