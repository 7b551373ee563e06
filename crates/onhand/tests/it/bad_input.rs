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
        ("/v1/orders", order("MUG", json!("many")), 422, "", "`many` is not a number"),
        ("/v1/orders", order("MUG", json!("0.0000001")), 422, "", "at most 6 decimals"),
        ("/v1/orders", json!({ "line": [] }), 422, "", "unknown field `line`"),
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
    let (_, inbox) = server.get("/v1/discrepancies").await;
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
    assert!(onhand(&folder.path().join("newer.db"), &["verify"]).status.success());
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
    assert!(text(&output.stdout).contains("the hash chain breaks"), "{}", text(&output.stdout));
}
