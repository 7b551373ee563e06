//! A shop connected step by step, and all at once; found again later.

use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use onhand_emulators::shop::{self, CornerShop, Line};
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use crate::server::{ONHAND, Server, micros, onhand, text};

/// MUG 12, mug-l (a near-twin of MUG-1) 3, a cup that is none of our items 8; one mug is ordered and not shipped.
async fn a_shop() -> (Arc<CornerShop>, String) {
    let shop = CornerShop::new("token", Arc::new(micros));
    shop.list("1", "MUG", "Blue mug", 12);
    shop.list("2", "mug-l", "Small mug", 3);
    shop.list("3", "CUP", "A cup", 8);
    shop.place_order(&[Line { listing: "1".to_owned(), quantity: 1 }]).unwrap();
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(shop::serve(listener, shop.clone(), std::future::pending()));
    (shop, url)
}

async fn ours(server: &Server) {
    server.stocked("MUG", 0).await;
    server.stocked("MUG-1", 0).await;
}

async fn done(server: &Server, path: &str, body: Value) -> Value {
    let (status, answer) = server.post(path, body).await;
    assert!(status.is_success(), "{path}: {status} {answer}");
    answer
}

async fn until(what: &str, mut holds: impl AsyncFnMut() -> bool) {
    for _ in 0..600 {
        if holds().await {
            return;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("never: {what}");
}

async fn state(server: &Server) -> Value {
    server.get("/v1/systems/Corner").await.1
}

#[tokio::test(flavor = "multi_thread")]
async fn a_shop_is_connected_step_by_step_watched_and_goes_live() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start_with(&folder.path().join("steps.db"), &["--reconcile-seconds", "1"]);
    ours(&server).await;
    let (shop, url) = a_shop().await;
    // Wrong credentials make no system.
    let credentials = |secret: &str| json!({ "name": "Corner", "kind": "shop", "url": url, "secret": secret, "role": "shop" });
    assert_eq!(server.post("/v1/connect", credentials("wrong")).await.0, StatusCode::BAD_GATEWAY);
    assert_eq!(server.get("/v1/systems/Corner").await.0, StatusCode::NOT_FOUND);
    let begun = done(&server, "/v1/connect", credentials("token")).await;
    assert_eq!(
        (&begun["state"], &begun["sign"], &begun["role"]),
        (&json!("connecting"), &json!("✕"), &json!("shop"))
    );
    assert_eq!(begun["next"], "discover what it has");
    let found = done(&server, "/v1/systems/Corner/discover", json!({})).await;
    assert_eq!((&found["listings"], &found["mapped"], &found["waiting"]), (&json!(3), &json!(0), &json!(3)));
    assert_eq!(state(&server).await["next"], "say which of our locations its locations are");
    let early = server.post("/v1/systems/Corner/stage", json!({ "stage": "live" })).await;
    assert_eq!(early.0, StatusCode::UNPROCESSABLE_ENTITY, "{}", early.1);
    let remote = state(&server).await["locations"][0]["remote"].clone();
    let places = json!({ "locations": [{ "remote": remote, "location": "LONDON" }] });
    done(&server, "/v1/systems/Corner/locations", places).await;
    let proposed = server.get("/v1/systems/Corner/matches").await.1;
    let by = |index: usize| (proposed["data"][index]["sku"].clone(), proposed["data"][index]["by"].clone());
    assert_eq!(by(0), (json!("MUG"), json!("sku")), "{proposed}");
    assert_eq!(by(1), (json!("MUG-1"), json!("near_twin")));
    assert_eq!(by(2), (Value::Null, Value::Null));
    let linked = done(&server, "/v1/systems/Corner/matches", json!({ "action": "link" })).await;
    assert_eq!((&linked["done"], &linked["left"], &linked["waiting"]), (&json!(1), &json!(2), &json!(2)));
    let one = json!({ "action": "link", "listings": [{ "remote_id": "2" }, { "remote_id": "9" }] });
    let linked = done(&server, "/v1/systems/Corner/matches", one).await;
    assert_eq!((&linked["done"], &linked["left"]), (&json!(1), &json!(1)), "{linked}");
    assert!(linked["reasons"][0].as_str().unwrap().contains("`9`"), "{linked}");
    let made = done(&server, "/v1/systems/Corner/matches", json!({ "action": "make" })).await;
    assert_eq!((&made["done"], &made["waiting"]), (&json!(1), &json!(0)));
    // What is shown is net of the order: 11 to sell, 12 on the shelf.
    let opened = done(&server, "/v1/systems/Corner/opening", json!({ "location": "LONDON" })).await;
    assert_eq!(
        (&opened["items"], &opened["left_out"], &opened["source"]),
        (&json!(3), &json!([]), &json!("Corner"))
    );
    assert_eq!(server.on_hand("MUG").await, 12);
    let again = server.post("/v1/systems/Corner/opening", json!({ "location": "LONDON" })).await;
    assert_eq!(again.0, StatusCode::CONFLICT);
    assert!(again.1["detail"].as_str().unwrap().contains("was taken from Corner by operator"), "{}", again.1);
    let history = server.get("/v1/items/MUG/history").await.1.to_string();
    assert!(history.contains("opening stock, from Corner") && history.contains("operator"), "{history}");
    // Nothing would change; then somebody finds two more.
    let dry = done(&server, "/v1/systems/Corner/dry-run", json!({})).await;
    assert_eq!((&dry["compared"], &dry["changes"]), (&json!(3), &json!(0)), "{dry}");
    done(&server, "/v1/counts", json!({ "location": "LONDON", "lines": [{ "sku": "CUP", "quantity": 0 }] }))
        .await;
    let dry = done(&server, "/v1/systems/Corner/dry-run", json!({ "first": 5 })).await;
    assert_eq!((&dry["changes"], &dry["zeros"]), (&json!(1), &json!(1)), "{dry}");
    assert_eq!(
        dry["first"][0],
        json!({ "remote_id": "3", "remote_sku": "CUP", "sku": "CUP",
        "remote_location": remote, "from": 8, "to": 0, "because": dry["first"][0]["because"] })
    );
    let streamed =
        server.http.get(format!("{}/v1/systems/Corner/dry-run", server.base)).bearer_auth(&server.key);
    let streamed = streamed.send().await.unwrap().text().await.unwrap();
    let lines: Vec<Value> = streamed.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!((lines.len(), &lines[1]["done"]["changes"]), (2, &json!(1)), "{streamed}");
    assert_eq!(state(&server).await["next"], Value::Null);
    assert_eq!(shop.stock_of("3"), Some(8), "nothing was changed");
    // Watched: its order is heard, and nothing is sent.
    done(&server, "/v1/systems/Corner/stage", json!({ "stage": "watching" })).await;
    until("the order is heard", async || server.stock("MUG").await == (11, 1)).await;
    until("all is read", async || state(&server).await["in_step"] == 2).await;
    assert_eq!(state(&server).await["state"], "watching");
    let explained = server.get("/v1/items/CUP/explain").await.1.to_string();
    assert!(explained.contains("nothing is sent until Corner goes live"), "{explained}");
    assert_eq!(shop.stock_of("3"), Some(8));
    done(&server, "/v1/systems/Corner/stage", json!({ "stage": "live" })).await;
    until("it is sent", async || shop.stock_of("3") == Some(0)).await;
    until("live and in step", async || {
        let state = state(&server).await;
        state["state"] == "live" && state["sign"] == "●"
    })
    .await;
    assert_eq!((shop.stock_of("1"), shop.stock_of("2")), (Some(11), Some(3)), "they were as they should be");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_system_whose_key_is_refused_waits_for_somebody_and_one_that_is_away_does_not() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start_with(&folder.path().join("state.db"), &["--reconcile-seconds", "1"]);
    ours(&server).await;
    let (shop, url) = a_shop().await;
    let add = json!({ "name": "Corner", "kind": "shop", "url": url, "secret": "token" });
    done(&server, "/v1/systems", add).await;
    until("live", async || state(&server).await["state"] == "live").await;
    shop.set_faults(shop::Faults { fail_next: 10_000, ..shop::Faults::default() });
    until("degraded", async || state(&server).await["state"] == "degraded").await;
    let told = state(&server).await;
    assert!(told["since"].is_string() && told["sign"] == "▲", "{told}");
    assert!(told["explanation"].as_str().unwrap().contains("is tried again"), "{told}");
    shop.set_faults(shop::Faults::default());
    until("live again", async || state(&server).await["state"] == "live").await;
    shop.change_token("another");
    until("needs somebody", async || state(&server).await["state"] == "needs_attention").await;
    let told = state(&server).await;
    assert_eq!((&told["sign"], &told["word"]), (&json!("✕"), &json!("needs you")), "{told}");
    // A new key is entered, and it goes on.
    let key = json!({ "name": "Corner", "kind": "shop", "url": url, "secret": "another" });
    assert_eq!(done(&server, "/v1/connect", key).await["stage"], "live");
    until("live with the new key", async || state(&server).await["state"] == "live").await;
    done(&server, "/v1/systems/Corner/pause", json!({ "paused": true })).await;
    let told = state(&server).await;
    assert_eq!((&told["state"], &told["sign"]), (&json!("paused"), &json!("■")));
}

#[tokio::test(flavor = "multi_thread")]
async fn one_call_is_done_once_under_its_key() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(&folder.path().join("once.db"));
    ours(&server).await;
    let (shop, url) = a_shop().await;
    let add = |secret: &str, location: &str| json!({ "name": "Corner", "kind": "shop", "url": url, "secret": secret, "location": location });
    let call = async |body: Value| server.call(Method::POST, "/v1/systems", Some("k1"), &body).await;
    let (status, first) = call(add("token", "LONDON")).await;
    assert_eq!((status, &first["matched"]), (StatusCode::CREATED, &json!(1)), "{first}");
    shop.list("4", "MUG-1", "Another", 1);
    assert_eq!(call(add("token", "LONDON")).await, (StatusCode::CREATED, first), "the same answer");
    let (status, other) = call(add("token", "PARIS")).await;
    assert_eq!(
        (status, &other["type"]),
        (StatusCode::CONFLICT, &json!("/docs/errors#key_reused")),
        "{other}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_new_renamed_or_gone_over_there_is_noticed_and_said() {
    let folder = tempfile::tempdir().unwrap();
    let database = folder.path().join("again.db");
    let server = Server::start_with(&database, &["--discover-seconds", "1"]);
    ours(&server).await;
    let (shop, url) = a_shop().await;
    let add = json!({ "name": "Corner", "kind": "shop", "url": url, "secret": "token" });
    done(&server, "/v1/systems", add).await;
    let said = async |what: &str| {
        let found = server.get("/v1/discrepancies").await.1;
        found["data"].as_array().unwrap().iter().any(|one| one["sentence"].as_str().unwrap().contains(what))
    };
    until("what was none of our items is said", async || {
        said("Corner sells A cup (CUP), which is none of our items").await
    })
    .await;
    shop.list("4", "MUG-1", "New here", 1);
    until("what is new is linked by its SKU", async || {
        let listings = server.get("/v1/systems/Corner/listings").await.1;
        listings["data"]
            .as_array()
            .unwrap()
            .iter()
            .any(|one| one["remote_id"] == "4" && one["sku"] == "MUG-1")
    })
    .await;
    shop.list("1", "MUG-BLUE", "Blue mug", 12);
    until("a renamed one", async || said("calls Blue mug MUG-BLUE now, not MUG").await).await;
    shop.unlist("3");
    until("one that is gone", async || said("Corner no longer has A cup (CUP)").await).await;
    let before = server.get("/v1/systems/Corner/listings").await.1;
    let mug = before["data"].as_array().unwrap().iter().find(|one| one["remote_id"] == "1").unwrap();
    assert_eq!(
        (&mug["sku"], &mug["remote_sku"]),
        (&json!("MUG"), &json!("MUG-BLUE")),
        "it goes on selling it"
    );
    // Nothing at all is not believed.
    for listing in ["1", "2", "4"] {
        shop.unlist(listing);
    }
    let (status, told) = server.post("/v1/systems/Corner/discover", json!({})).await;
    assert_eq!(status, StatusCode::BAD_GATEWAY, "{told}");
    assert!(told["detail"].as_str().unwrap().contains("had 4 listings: nothing is changed"), "{told}");
}

/// By whatever way a listing is linked or let go, those that wait are known without asking the shop.
#[tokio::test(flavor = "multi_thread")]
async fn a_listing_that_is_linked_or_let_go_by_hand_waits_or_does_not() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(&folder.path().join("hand.db"));
    ours(&server).await;
    let (_shop, url) = a_shop().await;
    let add = json!({ "name": "Corner", "kind": "shop", "url": url, "secret": "token" });
    done(&server, "/v1/systems", add).await;
    let waiting = async |many: usize, listing: &str| {
        let told = server.get("/v1/discrepancies?open=true").await.1;
        let told = told["data"].as_array().unwrap().clone();
        let sentences = told.iter().map(|one| one["sentence"].as_str().unwrap());
        let says = sentences.filter(|sentence| sentence.contains("which is none of our items"));
        let says: Vec<&str> = says.collect();
        let is_said = listing.is_empty() || says.iter().any(|sentence| sentence.contains(listing));
        state(&server).await["waiting"] == json!(many) && says.len() == many && is_said
    };
    until("two wait", async || waiting(2, "A cup (CUP)").await).await;
    let link = json!({ "remote_id": "3", "sku": "MUG-1" });
    done(&server, "/v1/systems/Corner/listings", link).await;
    until("one is linked", async || waiting(1, "Small mug").await).await;
    let put = json!({ "system": "Corner", "remote_id": "2", "sku": "MUG-1", "multiplier": 1 });
    done(&server, "/v1/commands", json!({ "body": { "put_listing": put } })).await;
    until("none waits", async || waiting(0, "").await).await;
    done(&server, "/v1/systems/Corner/listings", json!({ "remote_id": "1" })).await;
    until("one was let go", async || waiting(1, "Blue mug (MUG)").await).await;
    // What somebody unlinked is not linked again by its SKU; and what is ignored is no item's listing.
    let linked = async |listing: &str| {
        let told = server.get("/v1/systems/Corner/listings").await.1;
        let told = told["data"].as_array().unwrap().clone();
        let found = told.into_iter().find(|one| one["remote_id"] == listing).unwrap();
        (found["sku"].clone(), found["ignored"].clone())
    };
    done(&server, "/v1/systems/Corner/discover", json!({})).await;
    assert_eq!(linked("1").await, (Value::Null, json!(false)));
    let ignore = json!({ "action": "ignore", "listings": [{ "remote_id": "3" }] });
    assert_eq!(done(&server, "/v1/systems/Corner/matches", ignore).await["done"], 1);
    assert_eq!(linked("3").await, (Value::Null, json!(true)));
    done(&server, "/v1/systems/Corner/listings", json!({ "remote_id": "1", "sku": "MUG" })).await;
    until("it is linked again", async || waiting(0, "").await).await;
    done(&server, "/v1/systems/Corner/discover", json!({})).await;
    assert_eq!(linked("1").await, (json!("MUG"), json!(false)));
}

#[tokio::test(flavor = "multi_thread")]
async fn connecting_is_walked_in_the_terminal() {
    let folder = tempfile::tempdir().unwrap();
    let database = folder.path().join("walk.db");
    let server = Server::start(&database);
    ours(&server).await;
    let (_shop, url) = a_shop().await;
    let walk = |answers: &'static str, database: std::path::PathBuf, url: String| {
        tokio::task::spawn_blocking(move || walked(&database, &url, answers))
    };
    // Location, what waits, opening stock, and last.
    let said = walk("LONDON\ntwins\nignore\nyes\nnonsense\nwatch\n", database.clone(), url).await.unwrap();
    for line in [
        "1. Corner lets us in.",
        "2. Corner has 3 listings, 0 mapped, 3 waiting.",
        "4. 1 listing linked by SKU or barcode, 2 waiting.",
        "looks like MUG-1",
        "LONDON: 2 items counted.",
        "Of 2 numbers of Corner, 0 would change, 0 of them to zero.",
        "`nonsense` is none of these.",
        "nothing is sent until it goes live.",
    ] {
        assert!(said.contains(line), "{line}: {said}");
    }
    let listed = onhand(&database, &["system", "list"]);
    assert!(text(&listed.stdout).starts_with("■ Corner  shop  watching  "), "{}", text(&listed.stdout));
}

fn walked(database: &Path, url: &str, answers: &str) -> String {
    use std::io::Write as _;
    let mut child = Command::new(ONHAND)
        .args(["system", "connect", "shop", "--name", "Corner", "--url", url, "--secret", "token", "--db"])
        .arg(database)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(answers.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success());
    text(&output.stdout)
}
