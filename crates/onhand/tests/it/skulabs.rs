//! SKULabs as a warehouse's own system, through the real server: it is sent orders, ships its own too, and its people count.

use std::sync::Arc;

use onhand_emulators::skulabs::{Buy, Setup, SkuLabs, serve};
use reqwest::StatusCode;
use serde_json::{Value, json};

use crate::server::{Server, comes_true, listening, micros};

#[tokio::test(flavor = "multi_thread")]
async fn a_master_ships_what_it_is_sent_and_what_it_sold_and_is_heard_when_it_counts() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start_with(
        &folder.path().join("labs.db"),
        &["--reconcile-seconds", "2", "--stock-seconds", "2"],
    );
    server.stocked("MUG", 5).await;
    assert!(server.post("/v1/locations", json!({ "code": "BERLIN", "rank": 1 })).await.0.is_success());
    let lines = json!([{ "sku": "MUG", "quantity": 40 }]);
    let received = json!({ "location": "BERLIN", "lines": lines });
    assert!(server.post("/v1/movements/receive", received).await.0.is_success());
    let setup = Setup { per_second: 1_000, per_hour: 1_000_000, ..Setup::default() };
    let account = SkuLabs::new(setup, Arc::new(micros));
    let (_, bin) = account.add_warehouse("Main");
    let mug = account.list("MUG", "Blue mug");
    account.count(&mug, &bin, 40);
    let (listener, url) = listening().await;
    tokio::spawn(serve(listener, account.clone(), std::future::pending()));
    let settings = json!({
        "calls_per_second": "40", "calls_per_hour": "1000000", "store": account.manual_store()
    });
    let add = json!({
        "name": "Labs", "kind": "skulabs", "url": url, "secret": "emulated-key", "location": "BERLIN", "role": "wms",
        "settings": settings
    });
    let (status, added) = server.post("/v1/systems", add).await;
    assert_eq!((status, &added["matched"]), (StatusCode::CREATED, &json!(1)), "{added}");
    let mode = json!({ "direction": "one_way_in" });
    assert!(server.post("/v1/systems/Labs/mode", mode).await.0.is_success());
    let owner = json!({ "location": "BERLIN", "master": "Labs" });
    assert!(server.post("/v1/ownership", owner).await.0.is_success());
    let (status, set) = server.post("/v1/systems/Labs/orders", json!({ "gets_orders": "from_onhand" })).await;
    assert!(status.is_success(), "{set}");
    let has = async |stock: (i64, i64)| {
        let is_so = comes_true(async || server.stock("MUG").await == stock).await;
        let systems = server.get("/v1/systems").await.1;
        let (found, told) = (server.stock("MUG").await, server.troubles().await);
        assert!(is_so, "{stock:?}, and not {found:?}: {told:?}, {systems}");
    };
    // What Onhand sells is sent there once, and leaves from there.
    let lines = json!([{ "sku": "MUG", "quantity": 4 }]);
    let (status, placed) = server.post("/v1/orders", json!({ "lines": lines })).await;
    assert_eq!(status, StatusCode::CREATED, "{placed}");
    assert!(comes_true(async || account.orders().len() == 1).await, "{:?}", server.troubles().await);
    let (order, _, lines) = account.orders().remove(0);
    assert_eq!(lines, [(mug.clone(), 4)]);
    assert!(account.ship(&order));
    has((41, 0)).await;
    let path = format!("/v1/orders/{}", placed["order"].as_u64().or(placed["id"].as_u64()).unwrap());
    let shown: Value = server.get(&path).await.1;
    assert_eq!(shown["lines"][0]["shipped"], json!([{ "location": "BERLIN", "quantity": 4 }]), "{shown}");
    assert_eq!(shown["sent"][0]["parcels"][0]["carrier"], "usps", "{shown}");
    // What it sells itself is promised, and leaves.
    let own = account.buy(&[Buy { item: mug.clone(), quantity: 2 }]);
    has((39, 2)).await;
    assert!(account.ship(&own));
    has((39, 0)).await;
    assert_eq!(account.on_hand(&mug, None), 34);
    // Its people find one more.
    assert!(account.count(&mug, &bin, 35));
    has((40, 0)).await;
}
