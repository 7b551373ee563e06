//! One shop kept equal, through the real server and its worker.

use std::sync::Arc;
use std::time::Duration;

use onhand_emulators::shop::{self, CornerShop, Faults, Line};
use reqwest::StatusCode;
use serde_json::{Value, json};

use crate::server::Server;

struct Connected {
    server: Server,
    shop: Arc<CornerShop>,
    _folder: tempfile::TempDir,
}

#[expect(clippy::disallowed_methods, reason = "the shop's own clock is the machine's")]
fn micros() -> i64 {
    jiff::Timestamp::now().as_microsecond()
}

async fn connected(stock: i64) -> Connected {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(&folder.path().join("sync.db"));
    server.stocked("MUG", stock).await;
    let shop = CornerShop::new("token", Arc::new(micros));
    shop.list("1", "MUG", "Blue mug", 3);
    shop.list("2", "MUG", "Blue mug, second listing", 0);
    shop.list("3", "CUP", "A cup we do not know", 8);
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(shop::serve(listener, shop.clone(), std::future::pending()));
    let add = json!({ "name": "Corner", "kind": "shop", "url": url, "secret": "token" });
    let (status, added) = server.post("/v1/systems", add).await;
    assert_eq!(status, StatusCode::CREATED, "{added}");
    assert_eq!((&added["listings"], &added["matched"]), (&json!(3), &json!(2)));
    assert_eq!(added["unmatched"], json!(["A cup we do not know (CUP)"]));
    Connected { server, shop, _folder: folder }
}

impl Connected {
    async fn eventually(&self, what: &str, mut holds: impl FnMut(&CornerShop) -> bool) {
        for _ in 0..300 {
            if holds(&self.shop) {
                return;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        let explained = self.server.get("/v1/items/MUG/explain").await.1;
        panic!("never came true: {what}; {:?}; {explained}", self.shop.listings());
    }

    async fn in_step(&self) -> Value {
        for _ in 0..300 {
            let (_, systems) = self.server.get("/v1/systems").await;
            let system = systems["data"][0].clone();
            if system["in_step"] == system["listings"] && system["listings"] != 0 {
                return system;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        panic!("never in step: {}", self.server.get("/v1/items/MUG/explain").await.1);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_change_here_is_there_and_an_order_there_lowers_every_other_listing() {
    let it = connected(10).await;
    it.eventually("both listings show 10", |shop| {
        shop.stock_of("1") == Some(10) && shop.stock_of("2") == Some(10)
    })
    .await;
    assert_eq!(it.shop.stock_of("3"), Some(8), "what is not mapped is left alone");
    let lines = json!([{ "sku": "MUG", "quantity": 5 }]);
    it.server.post("/v1/movements/receive", json!({ "location": "LONDON", "lines": lines })).await;
    it.eventually("both show 15", |shop| shop.stock_of("1") == Some(15) && shop.stock_of("2") == Some(15))
        .await;
    let order = it.shop.place_order(&[Line { listing: "1".to_owned(), quantity: 4 }]).unwrap();
    it.eventually("the other listing shows 11", |shop| shop.stock_of("2") == Some(11)).await;
    assert_eq!(it.shop.stock_of("1"), Some(11), "the shop took its own order off once");
    assert_eq!(it.server.stock("MUG").await, (11, 4));
    it.shop.ship(&order.id);
    it.in_step().await;
    for _ in 0..200 {
        if it.server.stock("MUG").await == (11, 0) {
            break;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert_eq!(it.server.stock("MUG").await, (11, 0), "the shipment took the committed units");
    let explained = it.server.get("/v1/items/MUG/explain").await.1;
    assert_eq!(explained["shown"][0]["explanation"], "Corner shows 11, as it should.");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lost_answer_and_a_closed_shop_are_mended() {
    let it = connected(10).await;
    it.in_step().await;
    it.shop.set_faults(Faults { lose_next: 1, ..Faults::default() });
    let lines = json!([{ "sku": "MUG", "quantity": 1 }]);
    it.server.post("/v1/movements/receive", json!({ "location": "LONDON", "lines": lines.clone() })).await;
    it.eventually("both show 11", |shop| shop.stock_of("1") == Some(11) && shop.stock_of("2") == Some(11))
        .await;
    it.in_step().await;
    it.shop.set_faults(Faults { fail_next: 3, throttle_next: 1, ..Faults::default() });
    it.server.post("/v1/movements/receive", json!({ "location": "LONDON", "lines": lines })).await;
    it.eventually("both show 12", |shop| shop.stock_of("1") == Some(12) && shop.stock_of("2") == Some(12))
        .await;
    it.in_step().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn when_changes_stop_so_do_writes() {
    let it = connected(10).await;
    it.in_step().await;
    tokio::time::sleep(Duration::from_millis(500)).await;
    let writes = it.shop.audit().len();
    tokio::time::sleep(Duration::from_millis(1_500)).await;
    assert_eq!(it.shop.audit().len(), writes, "no echo");
}
