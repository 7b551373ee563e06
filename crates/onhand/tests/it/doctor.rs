//! What is not set up as it should be is found; and who should be master.

use std::sync::Arc;

use onhand_emulators::shop::{self, CornerShop};
use reqwest::StatusCode;
use serde_json::{Value, json};

use crate::server::{Server, micros, onhand, text};

fn checks(checked: &Value) -> Vec<String> {
    let findings = checked["findings"].as_array().unwrap();
    findings.iter().map(|finding| finding["check"].as_str().unwrap().to_owned()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_system_that_is_set_up_badly_is_told_of_with_what_to_do() {
    let folder = tempfile::tempdir().unwrap();
    let database = folder.path().join("doctor.db");
    let server = Server::start_with(&database, &["--no-sync"]);
    server.stocked("MUG", 5).await;
    let shop = CornerShop::new("token", Arc::new(micros));
    shop.list("1", "MUG", "Blue mug", 3);
    shop.list("2", "MUG6", "Six blue mugs", 1);
    shop.list("3", "CUP", "A cup", 8);
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(shop::serve(listener, shop.clone(), std::future::pending()));
    let add = json!({ "name": "Corner", "kind": "shop", "url": url, "secret": "token", "role": "shop" });
    assert_eq!(server.post("/v1/systems", add).await.0, StatusCode::CREATED);
    let six = json!({ "remote_id": "2", "sku": "MUG", "multiplier": 6 });
    assert_eq!(server.post("/v1/systems/Corner/listings", six).await.0, StatusCode::OK);
    let checked = server.get("/v1/systems/Corner/check").await.1;
    assert_eq!(checks(&checked), ["doubly_mapped", "unmapped", "webhooks", "ownership"], "{checked}");
    assert_eq!(checked["ok"], true);
    let sentence = checked["findings"][0]["sentence"].as_str().unwrap();
    assert!(sentence.contains("MUG (1 and 6)"), "{sentence}");
    let well = onhand(&database, &["doctor"]);
    assert!(well.status.success(), "{}", text(&well.stderr));
    assert!(text(&well.stdout).contains("A cup (CUP)"), "{}", text(&well.stdout));
    // A rule, the pack right, the cup ignored, and it is well; then its key is refused.
    let rule = json!({ "location": "LONDON", "master": "onhand" });
    assert_eq!(server.post("/v1/ownership", rule).await.0, StatusCode::OK);
    let ignore = json!({ "action": "ignore" });
    assert_eq!(server.post("/v1/systems/Corner/matches", ignore).await.0, StatusCode::OK);
    let one = json!({ "remote_id": "2", "sku": "MUG", "multiplier": 1 });
    assert_eq!(server.post("/v1/systems/Corner/listings", one).await.0, StatusCode::OK);
    let checked = server.get("/v1/systems/Corner/check").await.1;
    assert_eq!(checks(&checked), ["webhooks"], "{checked}");
    let info = (&checked["findings"][0]["severity"], checked["ok"] == true);
    assert_eq!(info, (&json!("info"), true));
    assert_eq!(server.post("/v1/systems/Corner/webhook", json!({})).await.0, StatusCode::CREATED);
    let checked = server.get("/v1/systems/Corner/check").await.1;
    let silent = checked["findings"][0]["sentence"].as_str().unwrap();
    assert!(silent.ends_with("and none ever came."), "{checked}");
    shop.change_token("tulip");
    let ill = onhand(&database, &["doctor", "Corner", "--json"]);
    assert_eq!(ill.status.code(), Some(1));
    let told: Value = serde_json::from_slice(&ill.stdout).unwrap();
    assert_eq!(checks(&told["systems"][0]), ["permissions", "webhooks"], "{told}");
    assert!(!text(&ill.stdout).contains("token\""), "no secret is told");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_master_is_recommended_and_a_rule_is_a_dry_run_first() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start_with(&folder.path().join("owners.db"), &["--no-sync"]);
    server.stocked("MUG", 5).await;
    for (name, role) in [("Berlin", "wms"), ("Books", "erp")] {
        let add = json!({ "name": name, "kind": "test", "role": role });
        assert_eq!(server.post("/v1/systems", add).await.0, StatusCode::CREATED);
    }
    let rule = json!({ "location": "LONDON", "master": "Berlin" });
    let preview = server.post("/v1/ownership/preview", rule.clone()).await.1;
    assert_eq!(preview["count"], 1, "{preview}");
    let change = &preview["changes"][0];
    assert_eq!(
        (&change["from"], &change["to"], &change["location"]),
        (&json!("onhand"), &json!("Berlin"), &json!("LONDON"))
    );
    assert_eq!(server.get("/v1/ownership").await.1["data"], json!([]), "nothing was changed");
    assert_eq!(server.post("/v1/ownership", rule).await.0, StatusCode::OK);
    // The books tell an absolute quantity: evidence, and a second one that acts as master.
    let count =
        json!({ "location": "LONDON", "system": "Books", "lines": [{ "sku": "MUG", "quantity": 4 }] });
    assert_eq!(server.post("/v1/counts", count).await.0, StatusCode::ACCEPTED);
    let told = server.get("/v1/ownership/recommended").await.1;
    let london = &told["data"][0];
    assert_eq!(
        (&london["recommended"], &london["master"], &london["by_rule"]),
        (&json!("Berlin"), &json!("Berlin"), &json!(true)),
        "{told}"
    );
    assert!(london["warning"].as_str().unwrap().contains("Books tells absolute quantities too"), "{told}");
    let back = json!({ "location": "LONDON", "master": "Books" });
    let preview = server.post("/v1/ownership/preview", back).await.1;
    assert!(
        preview["changes"][0]["refused"].as_str().unwrap().starts_with("Berlin's snapshots"),
        "{preview}"
    );
    let tagged = json!({ "sku": "MUG", "master": "onhand" });
    let preview = server.post("/v1/ownership/preview", tagged).await.1;
    assert_eq!((&preview["count"], &preview["changes"][0]["sku"]), (&json!(1), &json!("MUG")), "{preview}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_system_is_kept_equal_now_because_somebody_asks() {
    let folder = tempfile::tempdir().unwrap();
    let database = folder.path().join("now.db");
    let server = Server::start(&database);
    server.stocked("MUG", 5).await;
    let shop = CornerShop::new("token", Arc::new(micros));
    shop.list("1", "MUG", "Blue mug", 5);
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(shop::serve(listener, shop.clone(), std::future::pending()));
    let add = json!({ "name": "Corner", "kind": "shop", "url": url, "secret": "token" });
    assert_eq!(server.post("/v1/systems", add).await.0, StatusCode::CREATED);
    assert_eq!(server.get("/v1/systems/Corner/sync").await.1["step"], "never");
    // Found, matched by its SKU, read and sent, long before anybody would have looked by schedule.
    server.stocked("CUP", 8).await;
    shop.list("2", "CUP", "A cup", 3);
    let done = onhand(&database, &["sync", "Corner", "--full", "--json"]);
    assert!(done.status.success(), "{}", text(&done.stderr));
    let told: Value = serde_json::from_slice(&done.stdout).unwrap();
    let counts = (&told["step"], &told["listings"], &told["total"], &told["sent"], &told["full"]);
    assert_eq!(counts, (&json!("done"), &json!(2), &json!(2), &json!(2), &json!(true)), "{told}");
    assert_eq!(shop.stock_of("2"), Some(8));
    let previewed = onhand(&database, &["rule", "preview", "--buffer", "6"]);
    let rows = "2 of 2 numbers would change, 1 of them to 0. Nothing was changed.\n  Corner  MUG (1)  5 -> 0  (6 kept back)\n  \
                Corner  CUP (2)  8 -> 2  (6 kept back)\n";
    assert_eq!(text(&previewed.stdout), rows, "{}", text(&previewed.stderr));
    assert_eq!((shop.stock_of("1"), shop.stock_of("2")), (Some(5), Some(8)));
    shop.change_token("another");
    let failed = onhand(&database, &["sync", "Corner"]);
    assert_eq!(failed.status.code(), Some(1), "{}", text(&failed.stdout));
    assert!(text(&failed.stdout).contains("does not accept these credentials"), "{}", text(&failed.stdout));
    let unknown = onhand(&database, &["sync", "Nobody"]);
    assert!(text(&unknown.stderr).contains("Nobody"), "{}", text(&unknown.stderr));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_shop_that_is_connected_twice_or_master_and_unheard_is_found() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start_with(&folder.path().join("twice.db"), &["--no-sync"]);
    server.stocked("MUG", 5).await;
    let shop = CornerShop::new("token", Arc::new(micros));
    shop.list("1", "MUG", "Blue mug", 3);
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(shop::serve(listener, shop.clone(), std::future::pending()));
    let add = |name: &str, url: &str| json!({ "name": name, "kind": "shop", "url": url, "secret": "token" });
    assert_eq!(server.post("/v1/systems", add("Corner", &url)).await.0, StatusCode::CREATED);
    let check = async |name: &str| server.get(&format!("/v1/systems/{name}/check")).await.1;
    let before = server.get("/v1/systems").await.1;
    for spelt in [
        format!("{url}/"),
        url.replace("127.0.0.1", "localhost"),
        url.replace("127.0.0.1", "127.1"),
        url.replace("http", "HTTPS"),
    ] {
        let mut again = add("Again", &spelt);
        (again["username"], again["secret"]) = (json!("somebody"), json!("another"));
        for path in ["/v1/systems", "/v1/connect"] {
            let (status, refused) = server.post(path, again.clone()).await;
            assert_eq!(status, StatusCode::UNPROCESSABLE_ENTITY, "{spelt}: {refused}");
            assert!(
                refused["detail"]
                    .as_str()
                    .unwrap()
                    .starts_with("Corner is connected to that address already"),
                "{spelt}: {refused}"
            );
        }
    }
    assert_eq!(server.get("/v1/systems").await.1, before, "nothing is changed");
    // Itself it may be connected again.
    assert_eq!(server.post("/v1/connect", add("Corner", &url)).await.0, StatusCode::OK);
    // Master, and two-way: nothing is sent, nor heard. Then one-way in: its numbers are read.
    let rule = json!({ "location": "LONDON", "master": "Corner" });
    assert_eq!(server.post("/v1/ownership", rule).await.0, StatusCode::OK);
    assert!(checks(&check("Corner").await).contains(&"two_masters".to_owned()));
    let inward = json!({ "direction": "one_way_in" });
    assert_eq!(server.post("/v1/systems/Corner/mode", inward).await.0, StatusCode::OK);
    let found = checks(&check("Corner").await);
    assert!(
        !found.contains(&"unheard".to_owned()) && !found.contains(&"two_masters".to_owned()),
        "{found:?}"
    );
    // Of what is none of its stock locations nothing is heard.
    assert_eq!(server.post("/v1/locations", json!({ "code": "PARIS" })).await.0, StatusCode::OK);
    let rule = json!({ "location": "PARIS", "master": "Corner" });
    assert_eq!(server.post("/v1/ownership", rule).await.0, StatusCode::OK);
    let checked = check("Corner").await;
    let unheard = checked["findings"].as_array().unwrap().iter().find(|found| found["check"] == "unheard");
    assert!(unheard.unwrap()["sentence"].as_str().unwrap().contains("master of PARIS "), "{checked}");
    let outward = json!({ "direction": "two_way" });
    assert_eq!(server.post("/v1/systems/Corner/mode", outward).await.0, StatusCode::OK);
    // All pushing is stopped: that is found, too.
    assert_eq!(server.post("/v1/pushing/stop", json!({})).await.0, StatusCode::OK);
    assert!(checks(&check("Corner").await).contains(&"pushing".to_owned()));
}
