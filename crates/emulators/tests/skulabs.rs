//! The channel to SKULabs against an account that behaves as documented.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use onhand_channels::outgoing::{Outgoing, OutgoingLine, Progress, Recipient, Sent};
use onhand_channels::skulabs::SkuLabs as Channeled;
use onhand_channels::{
    Channel, ChannelError, OrderPage, Parcel, ParcelLine, ParcelTold, Push, Pushed, Reading, RemoteOrder,
};
use onhand_emulators::skulabs::{self, Buy, Faults, Setup, SkuLabs};
use onhand_ledger::{Instant, Quantity};
use serde_json::json;

struct Stand {
    account: Arc<SkuLabs>,
    channel: Channeled,
    url: String,
    clock: Arc<AtomicI64>,
    warehouse: String,
    bin: String,
    mug: String,
}

#[expect(clippy::disallowed_methods, reason = "the account's own clock is the machine's")]
fn now() -> i64 {
    jiff::Timestamp::now().as_microsecond()
}

fn client() -> reqwest::Client {
    reqwest::Client::builder().no_proxy().build().unwrap()
}

fn settings(more: &[(&str, &str)]) -> BTreeMap<String, String> {
    let quick = [("calls_per_second", "1000"), ("calls_per_hour", "10000000")];
    quick.iter().chain(more).map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

/// An account with a warehouse of one bin, and ten mugs in it.
async fn stand_of(setup: Setup) -> Stand {
    let clock = Arc::new(AtomicI64::new(now()));
    let told = clock.clone();
    let account = SkuLabs::new(setup, Arc::new(move || told.load(Ordering::SeqCst)));
    let (warehouse, bin) = account.add_warehouse("Main");
    let mug = account.list("MUG", "Blue mug");
    assert!(account.count(&mug, &bin, 10));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(skulabs::serve(listener, account.clone(), std::future::pending()));
    let store = account.manual_store();
    let channel =
        Channeled::new("Labs", &url, "emulated-key", &settings(&[("store", &store)]), client()).unwrap();
    Stand { account, channel, url, clock, warehouse, bin, mug }
}

async fn stand() -> Stand {
    stand_of(Setup { per_second: 10_000, per_hour: 1_000_000, ..Setup::default() }).await
}

impl Stand {
    fn pass(&self, seconds: i64) {
        self.clock.fetch_add(seconds * 1_000_000, Ordering::SeqCst);
    }

    fn buy(&self, quantity: i64) -> String {
        self.pass(1);
        self.account.buy(&[Buy { item: self.mug.clone(), quantity }])
    }

    /// What is new since, once it is asked for again.
    async fn orders(&self, cursor: Option<&str>) -> (Vec<RemoteOrder>, String) {
        self.channel.read(std::slice::from_ref(&self.mug)).await.unwrap();
        let page: OrderPage = self.channel.orders(cursor).await.unwrap();
        (page.orders, page.cursor)
    }

    async fn reading(&self, item: &str, warehouse: &str) -> Reading {
        let readings = self.channel.read(&[item.to_owned()]).await.unwrap();
        readings.into_iter().find(|one| one.location == warehouse).unwrap()
    }

    async fn set(&self, item: &str, quantity: i64) -> Pushed {
        let before = self.reading(item, &self.warehouse).await;
        self.channel.push(&[push(before, quantity)]).await.unwrap().remove(0)
    }
}

fn push(before: Reading, quantity: i64) -> Push {
    Push {
        listing: before.listing.clone(),
        location: before.location.clone(),
        quantity: Quantity::units(quantity),
        seq: 42,
        before: Some(before),
        expected: None,
    }
}

/// Wanted, shipped, and what its number fell by, of the only line.
fn line(order: &RemoteOrder) -> (i64, i64, i64) {
    let [line] = order.lines.as_slice() else { panic!("{order:?}") };
    let [(_, fell)] = line.places.as_slice() else { panic!("{order:?}") };
    (line.quantity.whole_units(), line.shipped.whole_units(), fell.whole_units())
}

fn numbers(reading: &Reading) -> (i64, i64, i64) {
    let units = |quantity: Option<Quantity>| quantity.unwrap().whole_units();
    (reading.quantity.whole_units(), units(reading.on_hand), units(reading.allocated))
}

#[tokio::test]
async fn who_may_not_is_told_so() {
    let it = stand().await;
    it.channel.test().await.unwrap();
    let wrong = Channeled::new("Labs", &it.url, "other", &settings(&[]), client()).unwrap();
    assert!(matches!(wrong.test().await, Err(ChannelError::Credentials { .. })));
    it.account.set_faults(Faults { read_only: true, ..Faults::default() });
    let before = it.reading(&it.mug, &it.warehouse).await;
    let told = it.channel.push(&[push(before, 5)]).await.unwrap_err();
    assert!(told.to_string().contains("this key may not do that"), "{told}");
    let plain = Channeled::new("Labs", "http://api.skulabs.com", "key", &settings(&[]), client());
    assert!(matches!(plain, Err(ChannelError::Address { .. })));
    let odd = Channeled::new("Labs", &it.url, "key", &settings(&[("calls_per_hour", "many")]), client());
    assert!(matches!(odd, Err(ChannelError::Settings { .. })));
}

#[tokio::test]
async fn items_are_listings_and_warehouses_are_locations() {
    let it = stand().await;
    let (second, _) = it.account.add_warehouse("Second");
    it.account.add_kit("SET", "Two mugs", &[(&it.mug, 2)]);
    let found = it.channel.discover().await.unwrap();
    let listings: Vec<_> =
        found.listings.iter().map(|one| (one.remote_id.as_str(), one.sku.as_deref())).collect();
    assert_eq!(listings, [(it.mug.as_str(), Some("MUG"))], "a kit lies nowhere itself");
    let locations: Vec<_> = found.locations.iter().map(|one| one.remote_id.as_str()).collect();
    assert_eq!(locations, [it.warehouse.as_str(), second.as_str()]);
}

#[tokio::test]
async fn what_can_be_bought_is_what_lies_there_less_what_open_orders_reserve() {
    let it = stand().await;
    let shelf = it.account.add_bin(&it.warehouse, "A-1");
    it.account.count(&it.mug, &shelf, 5);
    let order = it.buy(4);
    assert_eq!(numbers(&it.reading(&it.mug, &it.warehouse).await), (11, 15, 4));
    it.account.ship_some(&order, &it.mug, 1);
    assert_eq!(numbers(&it.reading(&it.mug, &it.warehouse).await), (11, 14, 3));
    let kit = it.account.add_kit("SET", "Two mugs", &[(&it.mug, 2)]);
    it.account.buy(&[Buy { item: kit, quantity: 3 }]);
    it.channel.discover().await.unwrap();
    assert_eq!(numbers(&it.reading(&it.mug, &it.warehouse).await), (5, 14, 9));
    // Of what is not there any more nothing is said.
    it.account.unlist(&it.mug);
    assert_eq!(it.channel.read(std::slice::from_ref(&it.mug)).await.unwrap(), []);
}

#[tokio::test]
async fn a_number_is_set_by_a_difference_that_undoes_nothing() {
    let it = stand().await;
    let order = it.buy(4);
    let before = it.reading(&it.mug, &it.warehouse).await;
    // It leaves between our look and the write.
    it.account.ship(&order);
    assert_eq!(it.channel.push(&[push(before, 9)]).await.unwrap(), [Pushed::Acknowledged]);
    assert_eq!((it.account.free(&it.mug), it.account.on_hand(&it.mug, None)), (9, 9));
    assert_eq!(it.set(&it.mug, 2).await, Pushed::Acknowledged);
    assert_eq!(it.account.free(&it.mug), 2);
    assert_eq!(it.set(&it.mug, 2).await, Pushed::Acknowledged);
    assert_eq!(it.account.writes(), 2, "what is there already is not written");
    // What lies nowhere is put into the oldest bin.
    let cup = it.account.list("CUP", "Cup");
    assert_eq!(it.set(&cup, 6).await, Pushed::Acknowledged);
    assert_eq!(it.account.on_hand(&cup, Some(&it.warehouse)), 6);
}

#[tokio::test]
async fn of_what_is_refused_together_nothing_is_known_and_each_goes_alone() {
    let it = stand().await;
    let cup = it.account.list("CUP", "Cup");
    it.account.count(&cup, &it.bin, 1);
    it.account.set_faults(Faults { refuse_above: Some(20), ..Faults::default() });
    for expected in [["unknown", "unknown"], ["acknowledged", "refused"]] {
        let both = [it.mug.clone(), cup.clone()];
        let readings = it.channel.read(&both).await.unwrap();
        let pushes = readings.into_iter().zip([12, 25]).map(|(before, quantity)| push(before, quantity));
        let results = it.channel.push(&pushes.collect::<Vec<_>>()).await.unwrap();
        let results = results.iter().map(|result| match result {
            Pushed::Acknowledged => "acknowledged",
            Pushed::Unknown { .. } => "unknown",
            Pushed::Refused { .. } => "refused",
            Pushed::Stale { .. } => "stale",
        });
        assert_eq!(results.collect::<Vec<_>>(), expected);
    }
    assert_eq!((it.account.free(&it.mug), it.account.free(&cup)), (12, 1));
    // A lock is waited for; an answer that is lost says nothing.
    it.account.set_faults(Faults { locked_next: 1, ..Faults::default() });
    let before = it.reading(&it.mug, &it.warehouse).await;
    let locked = it.channel.push(&[push(before, 13)]).await.unwrap_err();
    assert!(matches!(locked, ChannelError::Throttled { retry_after_seconds: None, .. }));
    let before = it.reading(&it.mug, &it.warehouse).await;
    it.account.set_faults(Faults { lose_next: 1, ..Faults::default() });
    let lost = it.channel.push(&[push(before, 13)]).await.unwrap();
    assert!(matches!(lost.as_slice(), [Pushed::Unknown { .. }]), "{lost:?}");
    assert_eq!(it.account.free(&it.mug), 13);
}

#[tokio::test]
async fn an_order_is_told_as_it_stands_and_once() {
    let it = stand().await;
    let old = it.buy(1);
    it.account.ship(&old);
    let open = it.buy(2);
    let (first, cursor) = it.orders(None).await;
    let [told] = first.as_slice() else { panic!("{first:?}") };
    assert_eq!((line(told), told.history, told.cancelled), ((2, 0, 2), false, false));
    let (none, cursor) = it.orders(Some(&cursor)).await;
    assert_eq!(none, []);
    // One that is over before we look is heard of too.
    let quick = it.buy(3);
    it.account.ship(&quick);
    it.account.ship_some(&open, &it.mug, 1);
    let (told, cursor) = it.orders(Some(&cursor)).await;
    assert_eq!(told.iter().map(line).collect::<Vec<_>>(), [(2, 1, 2), (3, 3, 3)]);
    it.pass(1);
    it.account.set_status(&open, "cancelled");
    let (told, cursor) = it.orders(Some(&cursor)).await;
    assert_eq!((line(&told[0]), told[0].cancelled), ((1, 1, 1), false), "one of it had left");
    let never = it.buy(5);
    let (_, cursor) = it.orders(Some(&cursor)).await;
    it.account.set_status(&never, "archived");
    let (told, cursor) = it.orders(Some(&cursor)).await;
    assert_eq!((line(&told[0]), told[0].cancelled), ((5, 0, 0), true));
    let version = told[0].version;
    it.account.set_status(&never, "unstarted");
    let (told, _) = it.orders(Some(&cursor)).await;
    assert_eq!((line(&told[0]), told[0].cancelled), ((5, 0, 5), false));
    assert!(told[0].version > version, "the same instant, and later all the same");
}

#[tokio::test]
async fn what_shipped_and_deducted_nothing_still_lies_there() {
    let it = stand().await;
    let order = it.buy(4);
    let (_, cursor) = it.orders(None).await;
    it.account.set_faults(Faults { deducts_nothing: true, ..Faults::default() });
    it.account.ship(&order);
    let (told, _) = it.orders(Some(&cursor)).await;
    assert_eq!(line(&told[0]), (4, 4, 0), "it has left, and its number rose");
    assert_eq!(numbers(&it.reading(&it.mug, &it.warehouse).await), (10, 10, 0));
}

#[tokio::test]
async fn a_shops_own_names_and_kits_are_its_items() {
    let it = stand().await;
    let kit = it.account.add_kit("SET", "Two mugs", &[(&it.mug, 2)]);
    it.account.link(&it.mug, "shop", "77", "5");
    let items = json!([
        { "id": 77, "variant_id": "5", "line_id": 1, "quantity": 1 },
        { "id": "x", "lineSku": "MUG", "line_id": "b", "quantity": 2 },
        { "id": kit, "line_id": "c", "quantity": 3 },
        { "id": "y", "lineSku": "WHAT", "line_id": "d", "quantity": 1 },
        { "id": it.mug, "line_id": "e", "quantity": 9, "dropshipped": true },
    ]);
    it.account.place("shop", "A1", json!({ "items": items, "date": "2026-03-01T10:00:00.000Z" }));
    let (told, _) = it.orders(None).await;
    let [order] = told.as_slice() else { panic!("{told:?}") };
    assert_eq!(order.document, "shop:A1");
    let lines: Vec<_> = order
        .lines
        .iter()
        .map(|line| (line.line.as_str(), line.listing.as_str(), line.quantity.whole_units()))
        .collect();
    let (mug, of_kit) = (it.mug.as_str(), format!("c/{}", it.mug));
    assert_eq!(lines, [("1", mug, 1), ("b", mug, 2), (of_kit.as_str(), mug, 6), ("d", "WHAT", 1)]);
}

#[tokio::test]
async fn it_is_asked_no_more_often_than_it_allows() {
    let it = stand_of(Setup::default()).await;
    let told = BTreeMap::new();
    let polite = Channeled::new("Labs", &it.url, "emulated-key", &told, client()).unwrap();
    // The account's second stands still: a third call in it is refused.
    polite.clock().await.unwrap();
    let begun = tokio::time::Instant::now();
    polite.clock().await.unwrap();
    assert!(begun.elapsed().as_millis() >= 400, "two a second");
    let slow = polite.clock().await.unwrap_err();
    assert!(matches!(slow, ChannelError::Throttled { retry_after_seconds: Some(1), .. }), "{slow}");
    assert_eq!(polite.tells_within_ms(), 3_456);
    it.pass(1);
    let page = polite.orders(None).await;
    assert!(page.is_ok() || matches!(page, Err(ChannelError::Throttled { .. })));
}

fn outgoing(it: &Stand, version: u64, quantity: i64) -> Outgoing {
    Outgoing {
        document: "7-1".to_owned(),
        version,
        location: it.warehouse.clone(),
        order: "1044".to_owned(),
        order_system: "Shopify".to_owned(),
        placed_at: Instant::from_micros(it.clock.load(Ordering::SeqCst)),
        ship_by: None,
        ship_to: None,
        transfer_to: None,
        cancelled: quantity == 0,
        lines: vec![OutgoingLine {
            line: "1".to_owned(),
            listing: Some(it.mug.clone()),
            sku: "MUG".to_owned(),
            name: "Blue mug".to_owned(),
            quantity: Quantity::units(quantity),
            lots: Vec::new(),
        }],
        recipient: Some(Recipient { city: Some("Ely".to_owned()), ..Recipient::default() }),
    }
}

#[tokio::test]
async fn an_order_is_sent_once_changed_and_followed() {
    let it = stand().await;
    let stock = it.channel.stock(&it.warehouse).await.unwrap();
    assert_eq!(
        (stock.rows[0].listing.as_str(), stock.rows[0].quantity),
        (it.mug.as_str(), Quantity::units(10))
    );
    assert!(it.channel.stock("nowhere").await.is_err());
    let sent = it.channel.send(&[outgoing(&it, 3, 4)]).await.unwrap();
    assert_eq!(sent, [Sent::Received]);
    let sent = it.channel.send(&[outgoing(&it, 3, 4)]).await.unwrap();
    let [Sent::Answered(told)] = sent.as_slice() else { panic!("{sent:?}") };
    assert_eq!((told.version, told.progress), (3, Progress::Accepted));
    assert_eq!(it.account.orders().len(), 1, "a copy makes no second one");
    it.pass(1);
    assert_eq!(it.channel.send(&[outgoing(&it, 5, 3)]).await.unwrap(), [Sent::Received]);
    let (order, _, lines) = it.account.orders().remove(0);
    assert_eq!(lines, [(it.mug.clone(), 3)]);
    let page = it.channel.followed(None).await.unwrap();
    assert_eq!((page.followed[0].version, page.followed[0].progress), (5, Progress::Accepted));
    // It is none of its own orders.
    assert_eq!(it.orders(None).await.0, []);
    it.pass(1);
    assert!(it.account.ship_some(&order, &it.mug, 2));
    it.pass(1);
    it.account.set_status(&order, "cancelled");
    tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    let page = it.channel.followed(Some(&page.cursor)).await.unwrap();
    let told = &page.followed[0];
    assert_eq!((told.progress, told.lines[0].quantity), (Progress::Shipped, Quantity::units(2)));
    let parcel = &told.parcels[0];
    assert_eq!((parcel.lines[0].line.as_str(), parcel.lines[0].quantity), ("1", Quantity::units(2)));
    assert_eq!(parcel.carrier.as_deref(), Some("usps"));
    // One that has left before anybody looked is heard of too, once.
    let quick = Outgoing { document: "7-2".to_owned(), ..outgoing(&it, 1, 1) };
    assert_eq!(it.channel.send(&[quick]).await.unwrap(), [Sent::Received]);
    let (order, ..) = it.account.orders().into_iter().find(|(_, number, _)| number == "7-2").unwrap();
    assert!(it.account.ship(&order));
    let page = it.channel.followed(Some(&page.cursor)).await.unwrap();
    let told: Vec<_> = page.followed.iter().map(|told| (told.document.as_str(), told.progress)).collect();
    assert_eq!(told, [("7-2", Progress::Shipped)]);
    tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    assert_eq!(it.channel.followed(Some(&page.cursor)).await.unwrap().followed, []);
    // What was never sent is cancelled by itself, and what nobody knows is refused.
    let never = Outgoing { document: "8-1".to_owned(), ..outgoing(&it, 9, 0) };
    let mut unknown = Outgoing { document: "9-1".to_owned(), ..outgoing(&it, 9, 1) };
    unknown.lines[0].listing = None;
    let sent = it.channel.send(&[never, unknown]).await.unwrap();
    let progress = sent.iter().map(|sent| match sent {
        Sent::Answered(told) => told.progress,
        other => panic!("{other:?}"),
    });
    assert_eq!(progress.collect::<Vec<_>>(), [Progress::Cancelled, Progress::Refused]);
}

#[tokio::test]
async fn what_somebody_else_sent_is_marked_once() {
    let it = stand().await;
    let order = it.buy(2);
    let (told, _) = it.orders(None).await;
    let parcel = Parcel {
        name: "P1".to_owned(),
        document: told[0].document.clone(),
        lines: vec![ParcelLine { line: told[0].lines[0].line.clone(), quantity: Quantity::units(2) }],
        carrier: Some("Post".to_owned()),
        number: Some("T77".to_owned()),
        url: None,
    };
    for _ in 0..2 {
        assert_eq!(it.channel.mark_shipped(&parcel).await.unwrap(), ParcelTold::Told);
    }
    let shipped = vec![("Post".to_owned(), "T77".to_owned())];
    assert_eq!(it.account.status(&order), Some(("shipped".to_owned(), shipped)));
    assert_eq!((it.account.free(&it.mug), it.account.on_hand(&it.mug, None)), (8, 8));
    let other = Parcel { number: Some("T78".to_owned()), ..parcel };
    assert!(matches!(it.channel.mark_shipped(&other).await.unwrap(), ParcelTold::Refused { .. }));
}
