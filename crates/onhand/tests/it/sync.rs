//! One shop kept equal, through the real server and its worker.

use std::sync::Arc;
use std::time::Duration;

use onhand_emulators::shop::{self, CornerShop, Faults, Line};
use reqwest::StatusCode;
use serde_json::{Value, json};

use crate::server::{Server, micros};

struct Connected {
    server: Server,
    shop: Arc<CornerShop>,
    connection: Value,
    folder: tempfile::TempDir,
}

async fn connected(stock: i64) -> Connected {
    connected_by(stock, Arc::new(micros)).await
}

async fn connected_by(stock: i64, clock: shop::Clock) -> Connected {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start_with(&folder.path().join("sync.db"), &["--reconcile-seconds", "2"]);
    server.stocked("MUG", stock).await;
    let shop = CornerShop::new("token", clock);
    shop.list("1", "MUG", "Blue mug", 3);
    shop.list("2", "MUG", "Blue mug, second listing", 0);
    shop.list("3", "CUP", "A cup we do not know", 8);
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(shop::serve(listener, shop.clone(), std::future::pending()));
    let add = json!({ "name": "Corner", "kind": "shop", "url": url, "secret": "token" });
    let (status, added) = server.post("/v1/systems", add.clone()).await;
    assert_eq!(status, StatusCode::CREATED, "{added}");
    assert_eq!((&added["listings"], &added["matched"]), (&json!(3), &json!(2)));
    assert_eq!(added["unmatched"], json!(["A cup we do not know (CUP)"]));
    Connected { server, shop, connection: add, folder }
}

impl Connected {
    async fn eventually(&self, what: &str, mut holds: impl FnMut(&CornerShop) -> bool) {
        for _ in 0..2_000 {
            if holds(&self.shop) {
                return;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        let explained = self.server.get("/v1/items/MUG/explain").await.1;
        panic!("never came true: {what}; {:?}; {explained}", self.shop.listings());
    }

    async fn in_step(&self) -> Value {
        for _ in 0..2_000 {
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

/// Example 27. Another program sets the number back after each push of ours.
#[tokio::test(flavor = "multi_thread")]
async fn somebody_else_writes_until_a_person_has_seen_to_it() {
    let it = connected(96).await;
    it.in_step().await;
    it.set_back_until_we_stop().await;
    assert_eq!(it.shop.stock_of("1"), Some(92), "no more writes");
    let (second_masters, edits) = (it.open("second_master").await, it.open("manual_edit").await);
    assert_eq!((second_masters.len(), edits.len()), (1, 0), "what was told of each time ends with it");
    assert_eq!(it.shop.stock_of("2"), Some(96), "the other listing is left in peace");
    // The other program is gone, and a person says so.
    let id = second_masters[0]["id"].clone();
    let (status, _) = it.server.post(&format!("/v1/discrepancies/{id}/resolve"), json!({})).await;
    assert_eq!(status, StatusCode::OK);
    it.eventually("it is sent again", |shop| shop.stock_of("1") == Some(96)).await;
    it.in_step().await;
}

/// What somebody does by hand is told although a push of ours follows at once.
#[tokio::test(flavor = "multi_thread")]
async fn a_hand_on_the_number_is_told_and_set_right() {
    let it = connected(10).await;
    it.in_step().await;
    it.shop.edit("1", 50);
    it.eventually("it is set right", |shop| shop.stock_of("1") == Some(10)).await;
    it.in_step().await;
    let (_, found) = it.server.inbox().await;
    let sentence = found["data"][0]["sentence"].as_str().unwrap();
    assert!(sentence.contains("from 10 to 50"), "{found}");
}

/// Connecting a system again finds what is new there, and leaves alone what a person mapped.
#[tokio::test(flavor = "multi_thread")]
async fn connecting_again_keeps_what_a_person_mapped() {
    let it = connected(60).await;
    let map = json!({ "remote_id": "2", "sku": "MUG", "multiplier": 6 });
    assert_eq!(it.server.post("/v1/systems/Corner/listings", map).await.0, StatusCode::OK);
    it.eventually("packs of six", |shop| shop.stock_of("2") == Some(10)).await;
    it.shop.list("4", "MUG", "One more", 0);
    let (status, added) = it.server.post("/v1/systems", it.connection.clone()).await;
    assert_eq!(status, StatusCode::CREATED, "{added}");
    it.eventually("the new one shows 60", |shop| shop.stock_of("4") == Some(60)).await;
    assert_eq!(it.shop.stock_of("2"), Some(10), "still packs of six");
}

/// Its clock is a minute slow: what is judged goes by the order of hearing, not by its clock.
#[tokio::test(flavor = "multi_thread")]
async fn a_shop_whose_clock_is_slow_is_kept_equal_all_the_same() {
    let it = connected_by(10, Arc::new(|| micros() - 60_000_000)).await;
    it.in_step().await;
    it.shop.place_order(&[Line { listing: "1".to_owned(), quantity: 2 }]).unwrap();
    it.eventually("the other listing shows 8", |shop| shop.stock_of("2") == Some(8)).await;
    it.in_step().await;
    it.shop.edit("1", 99);
    it.eventually("it is set right", |shop| shop.stock_of("1") == Some(8)).await;
    it.in_step().await;
    let (_, found) = it.server.inbox().await;
    assert_eq!(found["data"].as_array().map(Vec::len), Some(1), "the edit, and nothing else: {found}");
}

/// What somebody does while nothing is sent is no answer to anything we sent.
#[tokio::test(flavor = "multi_thread")]
async fn hands_on_the_number_while_paused_are_no_second_master() {
    let it = connected(10).await;
    it.in_step().await;
    let pause = |paused: bool| it.server.post("/v1/systems/Corner/pause", json!({ "paused": paused }));
    assert_eq!(pause(true).await.0, StatusCode::OK);
    let mut told = 0;
    for quantity in [7, 6, 5] {
        it.shop.edit("1", quantity);
        told += 1;
        for _ in 0..700 {
            let (_, found) = it.server.inbox().await;
            if found["data"].as_array().map(Vec::len) == Some(told) {
                break;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }
    let (_, found) = it.server.inbox().await;
    let causes: Vec<&str> =
        found["data"].as_array().unwrap().iter().map(|one| one["cause"].as_str().unwrap()).collect();
    assert_eq!(causes, ["manual_edit"; 3], "{found}");
    assert_eq!(it.shop.stock_of("1"), Some(5), "nothing is sent while paused");
    assert_eq!(pause(false).await.0, StatusCode::OK);
    it.eventually("it is set right", |shop| shop.stock_of("1") == Some(10)).await;
    it.in_step().await;
}

impl Connected {
    /// Another program: whenever the first listing shows 96, it writes 92.
    async fn set_back_until_we_stop(&self) {
        let mut set_back = 0;
        let mut quiet = 0;
        // What nothing explains is looked into for twelve seconds before it is set again.
        while quiet < 500 {
            if self.shop.stock_of("1") == Some(96) {
                self.shop.edit("1", 92);
                set_back += 1;
                quiet = 0;
            }
            quiet += 1;
            assert!(set_back < 10, "we never stop");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// The open discrepancies of a cause.
    async fn open(&self, cause: &str) -> Vec<Value> {
        let (_, found) = self.server.get("/v1/discrepancies?limit=100").await;
        let all = found["data"].as_array().unwrap().iter();
        all.filter(|one| one["cause"] == cause && one["resolved_at"].is_null()).cloned().collect()
    }

    async fn eventually_open(&self, cause: &str, count: usize) -> Vec<Value> {
        for _ in 0..2_000 {
            let open = self.open(cause).await;
            if open.len() == count {
                return open;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        panic!("never {count} of {cause}: {:?}", self.server.inbox().await.1);
    }

    async fn receive(&self, quantity: i64) {
        let path = if quantity < 0 { "adjust" } else { "receive" };
        let lines = json!([{ "sku": "MUG", "quantity": quantity }]);
        let body = json!({ "location": "LONDON", "lines": lines, "reason": "test" });
        let (status, answer) = self.server.post(&format!("/v1/movements/{path}"), body).await;
        assert_eq!(status, StatusCode::OK, "{answer}");
    }
}

/// A person saw to it while the worker rested, and then the process ended: it is not forgotten.
#[tokio::test(flavor = "multi_thread")]
async fn what_was_seen_to_while_nobody_followed_is_sent_again() {
    let it = connected(96).await;
    it.in_step().await;
    it.set_back_until_we_stop().await;
    let told = it.eventually_open("second_master", 1).await;
    it.shop.set_faults(Faults { fail_next: 1_000, ..Faults::default() });
    tokio::time::sleep(Duration::from_secs(3)).await;
    let resolve = format!("/v1/discrepancies/{}/resolve", told[0]["id"]);
    assert_eq!(it.server.post(&resolve, json!({})).await.0, StatusCode::OK);
    let Connected { server, shop, connection, folder } = it;
    server.kill();
    shop.set_faults(Faults::default());
    let server = Server::start_with(&folder.path().join("sync.db"), &["--reconcile-seconds", "2"]);
    let it = Connected { server, shop, connection, folder };
    it.eventually("it is sent again", |shop| shop.stock_of("1") == Some(96)).await;
    it.in_step().await;
}

/// What is refused is put off; what falls is not.
#[tokio::test(flavor = "multi_thread")]
async fn a_refusal_is_told_once_and_does_not_hold_up_a_fall() {
    let it = connected(10).await;
    it.in_step().await;
    it.shop.set_faults(Faults { refuse_above: Some(50), ..Faults::default() });
    it.receive(90).await;
    let told = it.eventually_open("push_refused", 2).await;
    assert!(told[0]["sentence"].as_str().unwrap().contains("a quantity is at most 50"), "{told:?}");
    it.receive(-100).await;
    it.eventually("nothing is on sale", |shop| {
        shop.stock_of("1") == Some(0) && shop.stock_of("2") == Some(0)
    })
    .await;
    it.in_step().await;
    assert_eq!(it.open("push_refused").await, Vec::<Value>::new(), "it is over, and nobody need look");
}

/// A listing that is gone is told, and is kept equal again when it is back.
#[tokio::test(flavor = "multi_thread")]
async fn a_listing_that_is_gone_and_back() {
    let it = connected(10).await;
    it.in_step().await;
    it.shop.unlist("2");
    it.eventually_open("push_refused", 1).await;
    it.receive(5).await;
    it.eventually("the other shows 15", |shop| shop.stock_of("1") == Some(15)).await;
    it.shop.list("2", "MUG", "Blue mug, second listing", 3);
    it.eventually("it is kept equal again", |shop| shop.stock_of("2") == Some(15)).await;
    it.eventually_open("push_refused", 0).await;
    it.in_step().await;
}

/// An order that cannot be taken holds up no other, and what it sold is not offered again.
#[tokio::test(flavor = "multi_thread")]
async fn an_order_that_cannot_be_taken() {
    let it = connected(10).await;
    it.in_step().await;
    let line = |listing: &str, quantity| Line { listing: listing.to_owned(), quantity };
    it.shop.place_odd_order(&"long".repeat(200), &[line("1", 4)]);
    it.shop.place_order(&[line("2", 1)]).unwrap();
    let told = it.eventually_open("unknown_name", 1).await;
    it.receive(2).await;
    it.eventually("the other order is heard of, and the number of its listing is 11", |shop| {
        shop.stock_of("2") == Some(11)
    })
    .await;
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(it.shop.stock_of("1"), Some(6), "what it sold is not offered again");
    assert_eq!(it.open("manual_edit").await, Vec::<Value>::new());
    // A person has booked what it sold, and says so.
    it.receive(-4).await;
    let resolve = format!("/v1/discrepancies/{}/resolve", told[0]["id"]);
    assert_eq!(it.server.post(&resolve, json!({})).await.0, StatusCode::OK);
    it.eventually("both show 7", |shop| shop.stock_of("1") == Some(7) && shop.stock_of("2") == Some(7)).await;
    it.in_step().await;
}

/// The shop announces its orders, signed; what it does not announce is read all the same.
#[tokio::test(flavor = "multi_thread")]
async fn a_shop_that_announces_its_orders_is_heard() {
    let it = connected(10).await;
    it.in_step().await;
    let (status, made) = it.server.post("/v1/systems/Corner/webhook", json!({})).await;
    assert_eq!((status, &made["scheme"]), (StatusCode::CREATED, &json!("hmac_sha256")), "{made}");
    let url = format!("{}{}", it.server.base, made["path"].as_str().unwrap());
    let heard = async || it.server.get("/v1/systems").await.1["data"][0]["webhook_heard_at"].clone();
    assert_eq!(heard().await, Value::Null);
    it.shop.set_webhook(&url, made["secret"].as_str().unwrap());
    it.shop.place_order(&[Line { listing: "1".to_owned(), quantity: 4 }]).unwrap();
    it.eventually("the other listing shows 6", |shop| shop.stock_of("2") == Some(6)).await;
    for _ in 0..2_000 {
        if heard().await != Value::Null {
            return;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    panic!("its webhook was never read");
}

impl Connected {
    /// The discrepancy of a listing that is none of our items, once the shop has been looked through.
    async fn unlinked(&self, name: &str) -> (u64, Vec<String>) {
        assert!(self.server.post("/v1/systems/Corner/discover", json!({})).await.0.is_success());
        let open = self.open("unmapped_listing").await;
        let is_it = |one: &&Value| one["sentence"].as_str().unwrap().contains(name);
        let id = open.iter().find(is_it).expect("it is told")["id"].as_u64().unwrap();
        let found = self.server.get(&format!("/v1/discrepancies/{id}")).await.1;
        let proposals = found["proposals"].as_array().unwrap().iter();
        (id, proposals.map(|one| one["name"].as_str().unwrap().to_owned()).collect())
    }

    async fn apply(&self, id: u64, body: Value) -> StatusCode {
        self.server.post(&format!("/v1/discrepancies/{id}/apply"), body).await.0
    }
}

/// What is told of a listing that is none of our items can be done where it is told.
#[tokio::test(flavor = "multi_thread")]
async fn a_listing_that_is_none_of_ours_is_linked_made_or_ignored_from_the_inbox() {
    let it = connected(10).await;
    for (id, sku, name) in [("5", "PLATE", "A plate"), ("6", "BOWL", "A bowl"), ("7", "MUG-2", "A mug again")]
    {
        it.shop.list(id, sku, name, 4);
    }
    let (plate, names) = it.unlinked("A plate").await;
    assert_eq!(names, ["link", "make_item", "ignore", "dismiss"]);
    assert_eq!(it.apply(plate, json!({ "proposal": "make_item" })).await, StatusCode::OK);
    assert_eq!(it.server.get("/v1/items/PLATE").await.0, StatusCode::OK);
    it.eventually("nothing is there of what was made", |shop| shop.stock_of("5") == Some(0)).await;
    let (mug, _) = it.unlinked("A mug again").await;
    assert_eq!(it.apply(mug, json!({ "proposal": "link" })).await, StatusCode::UNPROCESSABLE_ENTITY);
    assert_eq!(
        it.apply(mug, json!({ "proposal": "link", "sku": "NONE" })).await,
        StatusCode::UNPROCESSABLE_ENTITY
    );
    assert_eq!(it.apply(mug, json!({ "proposal": "link", "sku": "MUG" })).await, StatusCode::OK);
    it.eventually("it is one more listing of it", |shop| shop.stock_of("7") == Some(10)).await;
    let (bowl, _) = it.unlinked("A bowl").await;
    assert_eq!(it.apply(bowl, json!({ "proposal": "ignore" })).await, StatusCode::OK);
    assert!(it.server.post("/v1/systems/Corner/discover", json!({})).await.0.is_success());
    let left: Vec<Value> = it.open("unmapped_listing").await;
    assert!(left.iter().all(|one| one["sentence"].as_str().unwrap().contains("A cup")), "{left:?}");
    assert_eq!(it.shop.stock_of("6"), Some(4), "what is none of ours is left alone");
}

/// A listing that is linked by its id is none that anybody waits for, at once.
#[tokio::test(flavor = "multi_thread")]
async fn what_is_told_of_a_listing_ends_when_it_is_linked_by_hand() {
    let it = connected(10).await;
    it.shop.list("5", "PLATE", "A plate", 4);
    let (plate, _) = it.unlinked("A plate").await;
    it.put_listing("5", None).await;
    assert!(it.is_open(plate).await, "it is none of our items still");
    it.put_listing("5", Some("MUG")).await;
    assert!(!it.is_open(plate).await);
    it.eventually("it is kept equal", |shop| shop.stock_of("5") == Some(10)).await;
}

/// Of many that are told of together each is waited for, and all can be dealt with at once.
#[tokio::test(flavor = "multi_thread")]
async fn listings_that_are_told_of_together_wait_for_the_last_of_them() {
    let it = connected(10).await;
    it.list_new("A", 25);
    let (told, names) = it.unlinked("25 listings of Corner are none of our items").await;
    assert_eq!(names, ["link_proposed", "make_item", "ignore", "dismiss"]);
    it.put_listing("A-1", Some("MUG")).await;
    it.settle("ignore", 2..=2).await;
    it.settle("make", 3..=3).await;
    // The next look links one by its SKU, and misses another.
    it.server.stocked("A-4", 0).await;
    it.shop.unlist("A-5");
    let (still, _) = it.unlinked("25 listings").await;
    assert_eq!(still, told, "20 of them wait");
    let found = it.server.get(&format!("/v1/discrepancies/{told}")).await.1;
    let make = found["proposals"][1]["sentence"].as_str().unwrap();
    assert!(make.contains("all that still wait (20)"), "{make}");
    it.settle("ignore", 6..=24).await;
    assert!(it.is_open(told).await, "one waits");
    it.put_listing("A-25", Some("MUG")).await;
    assert!(!it.is_open(told).await, "none does");
    // Those of the next look at once: what none of our items is proposed for is not linked, and becomes an item.
    it.list_new("B", 22);
    let (told, _) = it.unlinked("22 listings of Corner are none of our items").await;
    let linked = it.apply(told, json!({ "proposal": "link_proposed" })).await;
    assert_eq!(linked, StatusCode::UNPROCESSABLE_ENTITY);
    assert!(it.is_open(told).await);
    assert_eq!(it.apply(told, json!({ "proposal": "make_item" })).await, StatusCode::OK);
    assert!(!it.is_open(told).await);
    assert_eq!(it.server.get("/v1/items/B-22").await.0, StatusCode::OK);
}

impl Connected {
    /// So many new listings, `A-1` and on, that are none of our items.
    fn list_new(&self, of: &str, many: usize) {
        for number in 1..=many {
            let sku = format!("{of}-{number}");
            self.shop.list(&sku, &sku, &format!("New {sku}"), 4);
        }
    }

    async fn put_listing(&self, remote_id: &str, sku: Option<&str>) {
        let listing = json!({ "remote_id": remote_id, "sku": sku });
        assert_eq!(self.server.post("/v1/systems/Corner/listings", listing).await.0, StatusCode::OK);
    }

    /// Chooses the same for some of `A-1` and on.
    async fn settle(&self, action: &str, numbers: std::ops::RangeInclusive<usize>) {
        let listings: Vec<Value> =
            numbers.map(|number| json!({ "remote_id": format!("A-{number}") })).collect();
        let chosen = json!({ "action": action, "listings": listings });
        let (status, settled) = self.server.post("/v1/systems/Corner/matches", chosen).await;
        assert_eq!((status, &settled["left"]), (StatusCode::OK, &json!(0)), "{settled}");
    }

    async fn is_open(&self, discrepancy: u64) -> bool {
        let found = self.server.get(&format!("/v1/discrepancies/{discrepancy}")).await.1;
        found["discrepancy"]["resolved_at"].is_null()
    }
}
