//! Messages of a shop that come, come twice, are lost, and find nobody: each order is heard of once.

use std::sync::Arc;
use std::time::Duration;

use onhand_emulators::shop::{self, CornerShop, Line};
use reqwest::StatusCode;
use serde_json::json;

use crate::server::{Server, micros};

/// Buys one mug; the shop's name of the order.
fn buy(shop: &CornerShop) -> String {
    shop.place_order(&[Line { listing: "1".to_owned(), quantity: 1 }]).unwrap().id
}

/// The shop's names of all orders that are known, sorted.
async fn orders(server: &Server) -> Vec<String> {
    let (status, answer) = server.get("/v1/orders?limit=100").await;
    assert_eq!(status, StatusCode::OK, "{answer}");
    let rows = answer["data"].as_array().unwrap().iter();
    let mut names: Vec<String> = rows.map(|row| row["document"].as_str().unwrap().to_owned()).collect();
    names.sort();
    names
}

async fn until_known(server: &Server, wanted: &[String]) {
    let mut known = Vec::new();
    let mut wanted = wanted.to_vec();
    wanted.sort();
    for _ in 0..600 {
        known = orders(server).await;
        if known == wanted {
            return;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("{known:?} are known, {wanted:?} were placed");
}

/// Has the shop send its messages to this server; those it sent to before find nobody.
async fn announce(shop: &CornerShop, server: &Server) {
    let made = server.post("/v1/systems/Corner/webhook", json!({})).await.1;
    let text = |field: &str| made[field].as_str().unwrap().to_owned();
    shop.set_webhook(&format!("{}{}", server.base, text("path")), &text("secret"));
}

#[tokio::test(flavor = "multi_thread")]
async fn lost_messages_and_an_outage_are_made_up_for_by_reading_and_nothing_counts_twice() {
    let folder = tempfile::tempdir().unwrap();
    let database = folder.path().join("hooks.db");
    let often = ["--reconcile-seconds", "2"];
    let server = Server::start_with(&database, &often);
    server.stocked("MUG", 100).await;
    let shop = CornerShop::new("token", Arc::new(micros));
    shop.list("1", "MUG", "Blue mug", 100);
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(shop::serve(listener, shop.clone(), std::future::pending()));
    let add = json!({ "name": "Corner", "kind": "shop", "url": url, "secret": "token" });
    assert_eq!(server.post("/v1/systems", add).await.0, StatusCode::CREATED);
    announce(&shop, &server).await;
    // A message comes for each, and the poll reads them too.
    let mut placed: Vec<String> = (0..10).map(|_| buy(&shop)).collect();
    until_known(&server, &placed).await;
    // All messages are lost.
    shop.set_webhook("http://127.0.0.1:1/hooks/nobody", "secret");
    placed.extend((0..10).map(|_| buy(&shop)));
    until_known(&server, &placed).await;
    assert_eq!(server.stock("MUG").await, (80, 20));
    // An outage of ours: killed, while the shop goes on selling, sending and cancelling.
    server.kill();
    placed.extend((0..30).map(|_| buy(&shop)));
    assert!(shop.cancel(&placed[0]) && shop.ship(&placed[1]) && shop.cancel(&placed[25]));
    let server = Server::start_with(&database, &often);
    announce(&shop, &server).await;
    until_known(&server, &placed).await;
    let mut stock = (0, 0);
    for _ in 0..600 {
        stock = server.stock("MUG").await;
        if stock == (52, 47) {
            break;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert_eq!(stock, (52, 47), "of fifty two were cancelled and one has left");
    // Read anew from the same place, nothing of it is news.
    server.kill();
    let server = Server::start_with(&database, &often);
    placed.push(buy(&shop));
    until_known(&server, &placed).await;
    assert_eq!(server.stock("MUG").await, (51, 48));
    let open = server.get("/v1/discrepancies?open=true").await.1;
    let kinds: Vec<&str> =
        open["data"].as_array().unwrap().iter().filter_map(|row| row["cause"].as_str()).collect();
    assert!(kinds.iter().all(|cause| *cause == "missed_event"), "{open}");
}
