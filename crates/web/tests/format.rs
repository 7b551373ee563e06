//! The log of a shop that did everything once, as it was written when the log got its present format: it must be read for good.
//!
//! A type of the ledger that changes so that this test fails changes what is in people's files. Then either it must be read as
//! before (new kinds come last, and nothing is added inside what there is), or the format gets a new number
//! (`store/src/records.rs`), and the old one is read too.

mod support;

use std::collections::HashSet;
use std::fmt::Write as _;

use axum::body::Body as HttpBody;
use axum::http::{Request, header};
use http_body_util::BodyExt as _;
use onhand_ledger::{Instant, Record, Seq, TenantId};
use onhand_store::{Chunk, decode_records, encode_records};
use serde_json::{Value, json};
use support::Shop;

/// A line for each chunk: its first entry, how many there are, when the last was recorded, and its bytes in hex.
const KEPT: &str = include_str!("log-3.txt");

fn kept() -> Vec<Chunk> {
    let chunk = |line: &str| {
        let mut words = line.split(' ');
        let mut number = || words.next().unwrap().parse::<u64>().unwrap();
        let (first_seq, entries, at) = (number(), number(), number());
        let hex = words.next().unwrap().as_bytes();
        let byte = |pair: &[u8]| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap();
        let body = hex.chunks(2).map(byte).collect();
        let recorded_at = Instant::from_micros(i64::try_from(at).unwrap());
        Chunk { first_seq, entries, recorded_at, body, hash: [0; 32] }
    };
    KEPT.lines().map(chunk).collect()
}

#[test]
fn what_was_written_in_this_format_is_read_for_good() {
    let mut kinds = HashSet::new();
    for chunk in kept() {
        let records: Vec<(Seq, Record)> =
            decode_records(&chunk).expect("the log's format has changed: see above");
        let again = encode_records(chunk.first_seq, records.iter().map(|(_, record)| record));
        assert!(again == chunk.body, "the chunk at entry {} would be written otherwise now", chunk.first_seq);
        kinds.extend(records.iter().flat_map(|(_, record)| &record.entries).map(std::mem::discriminant));
    }
    assert!(kinds.len() >= 25, "{} kinds of entries", kinds.len());
}

/// `cargo nextest run --workspace --test format --run-ignored only` writes it anew: for a new format alone.
#[tokio::test]
#[ignore = "writes what the other reads"]
async fn write_what_is_kept() {
    let shop = Shop::open().await;
    let page = include_str!("../../../docs/commands.md");
    let (_, rest) = page.split_once("```ndjson\n").unwrap();
    let request = Request::post("/v1/commands")
        .header(header::AUTHORIZATION, format!("Bearer {}", shop.key))
        .body(HttpBody::from(rest.split_once("```").unwrap().0.to_owned()));
    let told = shop.send(request.unwrap()).await.into_body().collect().await.unwrap().to_bytes();
    assert!(!String::from_utf8_lossy(&told).contains("\"error\""), "{}", String::from_utf8_lossy(&told));
    do_everything(&shop).await;
    let ledger = shop.handle.ledger();
    let chunks = ledger.read(TenantId::DEFAULT, |view| view.chunks_after(0, usize::MAX)).unwrap();
    let mut text = String::new();
    for chunk in chunks {
        let hex: String = chunk.body.iter().map(|byte| format!("{byte:02x}")).collect();
        let at = chunk.recorded_at.micros();
        writeln!(text, "{} {} {at} {hex}", chunk.first_seq, chunk.entries).unwrap();
    }
    std::fs::write(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/log-3.txt"), text).unwrap();
}

/// What a page of bulk commands cannot do, since it needs ids.
async fn do_everything(shop: &Shop) {
    let make = async |path: &str, body: Value| shop.accepted(path, body).await;
    let mugs = |quantity: i64| json!([{ "sku": "MUG", "quantity": quantity }]);
    make("/v1/locations", json!({ "code": "ROME" })).await;
    let put = json!({ "location": "LONDON", "lines": mugs(100) });
    make("/v1/movements/receive", put).await;
    let order = make("/v1/orders", json!({ "lines": mugs(4) })).await["id"].clone();
    make(&format!("/v1/orders/{order}/fulfil"), json!({ "lines": [{ "line": "1", "quantity": 3 }] })).await;
    let back = json!({ "into": "damaged", "lines": [{ "line": "1", "quantity": 1 }] });
    make(&format!("/v1/orders/{order}/return"), back).await;
    make(&format!("/v1/orders/{order}/cancel"), json!({})).await;
    let hold = json!({ "expires_at": "2026-11-24T00:00:00Z", "lines": mugs(2) });
    let hold = make("/v1/holds", hold).await["id"].clone();
    make(&format!("/v1/holds/{hold}/convert"), json!({})).await;
    let plan = json!({ "from": "LONDON", "to": "ROME", "lines": mugs(5) });
    let transfer = make("/v1/transfers", plan).await["id"].clone();
    make(&format!("/v1/transfers/{transfer}/dispatch"), json!({})).await;
    make(&format!("/v1/transfers/{transfer}/receive"), json!({})).await;
    let buy = json!({ "supplier": "Potters", "location": "LONDON", "lines": mugs(7) });
    let purchase = make("/v1/purchase-orders", buy).await["id"].clone();
    make(&format!("/v1/purchase-orders/{purchase}/receive"), json!({})).await;
    let session = make("/v1/count-sessions", json!({ "location": "ROME" })).await["id"].clone();
    make(&format!("/v1/count-sessions/{session}/counts"), json!({ "lines": mugs(4) })).await;
    make(&format!("/v1/count-sessions/{session}/counts"), json!({ "lines": mugs(4) })).await;
    make(&format!("/v1/count-sessions/{session}/apply"), json!({})).await;
    let document = |name: &str, what: Value| {
        let mut told = json!({ "system": "WEB", "document": name, "version": 1 });
        told.as_object_mut().unwrap().extend(what.as_object().unwrap().clone());
        told
    };
    let lines = json!([{ "line": "1", "sku": "MUG", "quantity": 900, "shipped": 2, "returned": 1 }]);
    make("/v1/documents", document("1044", json!({ "order": { "lines": lines } }))).await;
    let parcel = json!({ "order": "1044", "location": "LONDON", "lines": mugs(3) });
    make("/v1/documents", document("S1", json!({ "shipment": parcel }))).await;
    let came = json!({ "location": "LONDON", "lines": mugs(3) });
    make("/v1/documents", document("R1", json!({ "receipt": came }))).await;
    let sold = json!([{ "line": "1", "sku": "MUG", "location": "ROME", "what": "sold", "quantity": 99 }]);
    make("/v1/documents", document("till", json!({ "movements": sold }))).await;
    let lines = json!([{ "line": "1", "sku": "NOBODY", "quantity": 2 }]);
    make("/v1/documents", document("1045", json!({ "order": { "lines": lines } }))).await;
    make("/v1/ownership", json!({ "location": "ROME", "master": "WMS" })).await;
}
