//! A warehouse that gets its orders from Onhand, through the real server, its worker and the protocol.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use onhand_emulators::shop::Faults;
use onhand_emulators::wms::{self, Warehouse};
use reqwest::StatusCode;
use serde_json::{Value, json};

use crate::server::{Server, comes_true, micros, onhand, text};

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

impl Yard {
    /// What is at an address, once what was last sent of it stands so.
    async fn last(&self, path: &str, state: &str) -> Value {
        let mut found = Value::Null;
        for _ in 0..600 {
            found = self.server.get(path).await.1;
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

#[tokio::test(flavor = "multi_thread")]
async fn what_a_supplier_brings_is_announced_received_and_counted_by_the_warehouse() {
    let yard = yard(10, 5).await;
    let order = json!({
        "supplier": "Potter", "reference": "PO-7", "location": "BERLIN", "expected_on": "2027-01-15",
        "lines": [{ "sku": "MUG", "quantity": 20 }]
    });
    let (status, placed) = yard.server.post("/v1/purchase-orders", order).await;
    assert_eq!(status, StatusCode::CREATED, "{placed}");
    let path = format!("/v1/purchase-orders/{}", placed["id"]);
    yard.last(&path, "accepted").await;
    let task = yard.warehouse.receipts().remove(0);
    let (document, line) = (task.asked.document.clone(), task.asked.lines[0].line.clone());
    assert_eq!((task.asked.reference.as_deref(), task.asked.lines[0].quantity), (Some("PO-7"), 20));
    assert_eq!(task.asked.expected_on.as_deref(), Some("2027-01-15"));
    assert!(yard.warehouse.receive(&document, &line, 12, false));
    let shown = yard.last(&path, "part_received").await;
    assert_eq!((&shown["lines"][0]["received"], &shown["lines"][0]["open"]), (&json!(12), &json!(8)));
    let told = onhand(&yard.database, &["purchase", "show", &placed["id"].to_string()]);
    let told = text(&told.stdout);
    assert!(told.contains("expected receipt, part received") && told.contains("12 received"), "{told}");
    let told = onhand(&yard.database, &["explain", "MUG"]);
    assert!(text(&told.stdout).contains("expected receipt, part received"), "{}", text(&told.stdout));
    assert!(yard.warehouse.receive_all(&document));
    let shown = yard.last(&path, "received").await;
    assert_eq!((&shown["state"], yard.warehouse.on_hand("77")), (&json!("received"), Some(30)));
    // It has lost two since, which nobody knows.
    yard.warehouse.stock("77", "MUG", "Blue mug", 28);
    let asked = onhand(
        &yard.database,
        &["--json", "system", "recount", "Berlin", "--item", "MUG", "--location", "BERLIN"],
    );
    let asked: Value = serde_json::from_str(&text(&asked.stdout)).unwrap();
    let path = format!("/v1/discrepancies/{}", asked["data"][0]["id"]);
    yard.last(&path, "accepted").await;
    let request = yard.warehouse.recounts().remove(0);
    assert!(yard.warehouse.count(&request.asked.document));
    let shown = yard.last(&path, "counted").await;
    assert_eq!(shown["discrepancy"]["cause"], "recount", "{shown}");
    for _ in 0..100 {
        let stock = yard.server.get("/v1/items/MUG/stock").await.1;
        let locations = stock["locations"].as_array().unwrap();
        let berlin = locations.iter().find(|row| row["location"] == "BERLIN").unwrap();
        let ended = yard.server.get(&path).await.1["discrepancy"]["resolved_at"].is_string();
        if berlin["on_hand"] == 28 && ended {
            return;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("it was not counted");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_warehouse_that_takes_orders_only_is_asked_for_nothing_else() {
    let yard = yard(10, 5).await;
    yard.warehouse.set_orders_only(true);
    let (status, problem) =
        yard.server.post("/v1/systems/Berlin/recounts", json!({ "sku": "MUG", "location": "BERLIN" })).await;
    assert_eq!(status, StatusCode::UNPROCESSABLE_ENTITY, "{problem}");
    assert!(problem["detail"].as_str().unwrap().contains("takes no requests for a recount"), "{problem}");
    let checked = yard.server.get("/v1/systems/Berlin/check").await.1;
    let told = checked.to_string();
    assert!(
        told.contains("takes no expected receipts, transfers, requests for a recount or expected returns"),
        "{told}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_transfer_leaves_the_warehouse_and_a_return_comes_back_to_it() {
    let yard = yard(10, 5).await;
    let plan = json!({ "from": "BERLIN", "to": "LONDON", "lines": [{ "sku": "MUG", "quantity": 3 }] });
    let (status, planned) = yard.server.post("/v1/transfers", plan).await;
    assert_eq!(status, StatusCode::CREATED, "{planned}");
    let path = format!("/v1/transfers/{}", planned["id"]);
    assert!(yard.server.post(&format!("{path}/ready"), json!({})).await.0.is_success());
    yard.last(&path, "accepted").await;
    let document = yard.warehouse.jobs()[0].asked.document.clone();
    assert!(yard.warehouse.ship_all(&document));
    let shown = yard.last(&path, "shipped").await;
    assert_eq!((&shown["state"], &shown["lines"][0]["in_transit"]), (&json!("in_progress"), &json!(3)));
    assert_eq!(shown["sent"][0]["kind"], "transfer_out");
    let received = yard.server.post(&format!("{path}/receive"), json!({})).await;
    assert!(received.0.is_success(), "{}", received.1);
    let told = onhand(&yard.database, &["transfer", "show", &planned["id"].to_string()]);
    assert!(text(&told.stdout).contains("to be shipped, shipped"), "{}", text(&told.stdout));
    let order = yard.order(2).await;
    yard.stands(order, "accepted").await;
    let jobs = yard.warehouse.jobs();
    let job = jobs.iter().find(|job| job.asked.document != document).unwrap();
    assert!(yard.warehouse.ship_all(&job.asked.document));
    yard.stands(order, "shipped").await;
    let announced = onhand(
        &yard.database,
        &["--json", "order", "expect-return", &order.to_string(), "1=2", "--reference", "RMA-4"],
    );
    let announced: Value = serde_json::from_str(&text(&announced.stdout)).unwrap();
    let path = format!("/v1/expected-returns/{}", announced["id"]);
    yard.last(&path, "accepted").await;
    let task = yard.warehouse.receipts().remove(0);
    assert_eq!(
        (task.asked.kind.as_deref(), task.asked.reference.as_deref()),
        (Some("return"), Some("RMA-4"))
    );
    assert!(yard.warehouse.receive_all(&task.asked.document));
    let shown = yard.last(&path, "received").await;
    assert_eq!((&shown["state"], &shown["lines"][0]["came"]), (&json!("returned"), &json!(2)));
    assert_eq!(yard.server.get(&format!("/v1/orders/{order}")).await.1["lines"][0]["returned"], 2);
    assert_eq!(yard.warehouse.on_hand("77"), Some(7));
}

/// Less than nothing cannot lie there: that is told once, and stops nothing else.
#[tokio::test(flavor = "multi_thread")]
async fn a_row_below_nothing_is_told_and_stops_nothing() {
    let yard = yard(10, 5).await;
    yard.warehouse.stock("77", "MUG", "Blue mug", -2);
    for _ in 0..2 {
        let synced = onhand(&yard.database, &["sync", "Berlin"]);
        assert!(synced.status.success(), "{}{}", text(&synced.stdout), text(&synced.stderr));
    }
    let told = yard.server.troubles().await;
    let below: Vec<&String> = told.iter().filter(|one| one.contains("less than nothing cannot")).collect();
    assert!(below.len() == 1 && below[0].contains("-2 of `77`"), "{told:?}");
    let system = yard.server.get("/v1/systems/Berlin").await.1;
    assert_eq!((&system["trouble"], &system["state"]), (&Value::Null, &json!("live")), "{system}");
    yard.warehouse.stock("77", "MUG", "Blue mug", 9);
    assert!(onhand(&yard.database, &["sync", "Berlin"]).status.success());
    let is_counted = comes_true(async || {
        let stock = yard.server.get("/v1/items/MUG/stock").await.1;
        let mut places = stock["locations"].as_array().unwrap().iter();
        places.any(|place| place["location"] == "BERLIN" && place["on_hand"] == json!(9))
    });
    assert!(is_counted.await, "what lies there is taken again");
}
