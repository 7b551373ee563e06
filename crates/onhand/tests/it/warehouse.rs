//! A warehouse that gets its orders from Onhand, through the real server, its worker and the protocol.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use onhand_emulators::shop::Faults;
use onhand_emulators::wms::{self, Warehouse};
use reqwest::StatusCode;
use serde_json::{Value, json};

use crate::server::{Server, micros, onhand, text};

struct Yard {
    server: Server,
    warehouse: Arc<Warehouse>,
    database: PathBuf,
    _folder: tempfile::TempDir,
}

/// BERLIN is the warehouse's, LONDON is ours; so many of MUG in each. Berlin comes first.
async fn yard(berlin: i64, london: i64) -> Yard {
    let folder = tempfile::tempdir().unwrap();
    let database = folder.path().join("yard.db");
    let server = Server::start_with(&database, &["--reconcile-seconds", "2"]);
    server.stocked("MUG", london).await;
    let place = json!({ "code": "BERLIN", "rank": 1 });
    assert!(server.post("/v1/locations", place).await.0.is_success());
    let lines = json!([{ "sku": "MUG", "quantity": berlin }]);
    assert!(
        server
            .post("/v1/movements/receive", json!({ "location": "BERLIN", "lines": lines }))
            .await
            .0
            .is_success()
    );
    let warehouse = Warehouse::new("token", Arc::new(micros));
    warehouse.stock("77", "MUG", "Blue mug", berlin);
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(wms::serve(listener, warehouse.clone(), std::future::pending()));
    let add = json!({
        "name": "Berlin", "kind": "protocol", "url": url, "secret": "token", "location": "BERLIN", "role": "wms"
    });
    let (status, added) = server.post("/v1/systems", add).await;
    assert_eq!((status, &added["matched"]), (StatusCode::CREATED, &json!(1)), "{added}");
    let mode = json!({ "direction": "one_way_in" });
    assert!(server.post("/v1/systems/Berlin/mode", mode).await.0.is_success());
    let owner = json!({ "location": "BERLIN", "master": "Berlin" });
    assert!(server.post("/v1/ownership", owner).await.0.is_success());
    let (status, set) =
        server.post("/v1/systems/Berlin/orders", json!({ "gets_orders": "from_onhand" })).await;
    assert!(status.is_success(), "{set}");
    Yard { server, warehouse, database, _folder: folder }
}

impl Yard {
    async fn order(&self, quantity: i64) -> u64 {
        let lines = json!([{ "sku": "MUG", "quantity": quantity }]);
        let (status, placed) = self.server.post("/v1/orders", json!({ "lines": lines })).await;
        assert_eq!(status, StatusCode::CREATED, "{placed}");
        placed["order"].as_u64().or(placed["id"].as_u64()).unwrap()
    }

    /// The order, once what was last sent of it stands so.
    async fn stands(&self, order: u64, state: &str) -> Value {
        let mut found = Value::Null;
        for _ in 0..600 {
            found = self.server.get(&format!("/v1/orders/{order}")).await.1;
            let last = found["sent"].as_array().and_then(|sent| sent.last());
            if last.is_some_and(|sent| sent["state"] == state && sent["pending"] == false) {
                return found;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        panic!("it never was {state}: {found}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_order_is_sent_short_picked_and_shipped_and_its_parcels_are_shown() {
    let yard = yard(10, 5).await;
    let order = yard.order(4).await;
    yard.stands(order, "accepted").await;
    let job = yard.warehouse.jobs().remove(0);
    let (document, line) = (job.asked.document.clone(), job.asked.lines[0].line.clone());
    assert_eq!((job.asked.lines[0].quantity, job.asked.lines[0].listing.as_deref()), (4, Some("77")));
    assert!(yard.warehouse.short_pick(&document, &line, 1));
    // What is missing leaves from London; Berlin is told that three are right.
    let mut shown = yard.stands(order, "accepted").await;
    for _ in 0..100 {
        if shown["lines"][0]["allocated"].as_array().unwrap().len() == 2 {
            break;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
        shown = yard.stands(order, "accepted").await;
    }
    assert_eq!(shown["lines"][0]["declined"], json!(["BERLIN"]), "{shown}");
    assert!(yard.warehouse.ship_all(&document));
    let shown = yard.stands(order, "shipped").await;
    let sent = &shown["sent"][0];
    assert_eq!((&sent["parcels"][0]["carrier"], &sent["lines"][0]["shipped"]), (&json!("Post"), &json!(3)));
    assert_eq!(shown["lines"][0]["shipped"], json!([{ "location": "BERLIN", "quantity": 3 }]));
    assert_eq!(yard.warehouse.on_hand("77"), Some(7));
    let told = onhand(&yard.database, &["order", "show", &order.to_string()]);
    let told = text(&told.stdout);
    assert!(told.contains("3 shipped from BERLIN") && told.contains("parcel P1"), "{told}");
}

#[tokio::test(flavor = "multi_thread")]
async fn lost_answers_double_nothing_and_a_cancellation_reaches_the_warehouse() {
    let yard = yard(10, 5).await;
    yard.warehouse.set_faults(Faults { lose_next: 3, ..Faults::default() });
    let order = yard.order(2).await;
    yard.stands(order, "accepted").await;
    assert_eq!(yard.warehouse.jobs().len(), 1);
    let cancelled = yard.server.post(&format!("/v1/orders/{order}/cancel"), json!({})).await;
    assert!(cancelled.0.is_success());
    yard.stands(order, "cancelled").await;
    assert!(yard.warehouse.jobs()[0].open().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_shop_is_sent_no_orders() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(&folder.path().join("shop.db"));
    assert!(server.post("/v1/systems", json!({ "name": "Till", "kind": "till" })).await.0.is_success());
    let (status, problem) =
        server.post("/v1/systems/Till/orders", json!({ "gets_orders": "from_onhand" })).await;
    assert_eq!(status, StatusCode::UNPROCESSABLE_ENTITY, "{problem}");
    assert!(problem["detail"].as_str().unwrap().contains("connect it first"), "{problem}");
}
