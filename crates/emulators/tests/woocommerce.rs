//! The channel to WooCommerce against a shop that behaves as documented.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use onhand_channels::woocommerce::WooCommerce;
use onhand_channels::{
    Channel, ChannelError, OrderPage, Parcel, ParcelLine, ParcelTold, Push, Pushed, RemoteOrder,
};
use onhand_emulators::woocommerce::{self, Buy, Customer, Faults, Setup, WooShop};
use onhand_ledger::Quantity;

struct Stand {
    shop: Arc<WooShop>,
    channel: WooCommerce,
    url: String,
    clock: Arc<AtomicI64>,
}

#[expect(clippy::disallowed_methods, reason = "the shop's own clock is the machine's")]
fn now() -> i64 {
    jiff::Timestamp::now().as_microsecond()
}

fn client() -> reqwest::Client {
    reqwest::Client::builder().no_proxy().build().unwrap()
}

async fn stand() -> Stand {
    let clock = Arc::new(AtomicI64::new(now()));
    let told = clock.clone();
    let shop = WooShop::new(Setup::default(), Arc::new(move || told.load(Ordering::SeqCst)));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(woocommerce::serve(listener, shop.clone(), std::future::pending()));
    let channel = WooCommerce::new("Shop", &url, "ck_emulated", "cs_emulated", client()).unwrap();
    Stand { shop, channel, url, clock }
}

impl Stand {
    fn pass(&self, seconds: i64) {
        self.clock.fetch_add(seconds * 1_000_000, Ordering::SeqCst);
    }

    async fn all_orders(&self, cursor: Option<String>) -> (Vec<RemoteOrder>, String) {
        let (mut cursor, mut orders) = (cursor, Vec::new());
        loop {
            let page: OrderPage = self.channel.orders(cursor.as_deref()).await.unwrap();
            orders.extend(page.orders);
            cursor = Some(page.cursor.clone());
            if !page.more {
                return (orders, page.cursor);
            }
        }
    }

    async fn numbers(&self, listings: &[String]) -> Vec<(String, i64, bool)> {
        let readings = self.channel.read(listings).await.unwrap();
        readings.into_iter().map(|one| (one.listing, one.quantity.whole_units(), one.tracked)).collect()
    }
}

fn push(listing: impl ToString, quantity: i64) -> Push {
    Push {
        listing: listing.to_string(),
        location: "store".to_owned(),
        quantity: Quantity::units(quantity),
        seq: 42,
        before: None,
        expected: None,
    }
}

fn buy(product: u64, quantity: i64) -> Vec<Buy> {
    vec![Buy { product, quantity }]
}

fn refusal(result: &Pushed) -> &str {
    let Pushed::Refused { reason } = result else { panic!("{result:?}") };
    reason
}

/// Wanted, shipped, returned and withheld of the only line, and what its number fell by.
fn line(order: &RemoteOrder) -> (i64, i64, i64, i64, Option<i64>) {
    let [line] = order.lines.as_slice() else { panic!("{order:?}") };
    let units = Quantity::whole_units;
    let fell = line.places.first().map(|(_, quantity)| units(*quantity));
    (units(line.quantity), units(line.shipped), units(line.returned), units(line.withheld), fell)
}

#[tokio::test]
async fn who_may_not_is_told_what_is_missing() {
    let it = stand().await;
    it.channel.test().await.unwrap();
    it.shop.set_faults(Faults { read_only: true, ..Faults::default() });
    let Err(ChannelError::Credentials { reason, .. }) = it.channel.test().await else { panic!() };
    assert!(reason.contains("change products") && reason.contains("write permissions"), "{reason}");
    for (key, secret) in [("ck_emulated", "cs_other"), ("ck_other", "cs_emulated")] {
        let wrong = WooCommerce::new("Shop", &it.url, key, secret, client()).unwrap();
        assert!(matches!(wrong.test().await, Err(ChannelError::Credentials { .. })));
    }
    let other = WooCommerce::new("Shop", &format!("{}/blog", it.url), "ck", "cs", client()).unwrap();
    let error = other.test().await.unwrap_err().to_string();
    assert!(error.contains("is this the shop's address?"), "{error}");
    let plain = WooCommerce::new("Shop", "http://shop.example.com", "ck", "cs", client());
    assert!(matches!(plain, Err(ChannelError::Address { .. })));
}

#[tokio::test]
async fn what_has_a_number_of_its_own_is_a_listing() {
    let it = stand().await;
    let mug = it.shop.list("MUG", "Blue mug", 7);
    let free = it.shop.list("PDF", "Manual", 0);
    it.shop.set_manages(free, false);
    let tee = it.shop.list_variable("TEE", "Tee", None);
    let small = it.shop.add_variation(tee, "TEE-S", "S", Some(3));
    let gift = it.shop.add_variation(tee, "TEE-X", "X", None);
    let cap = it.shop.list_variable("CAP", "Cap", Some(9));
    let red = it.shop.add_variation(cap, "CAP-R", "Red", None);
    let own = it.shop.add_variation(cap, "CAP-B", "Blue", Some(2));
    it.shop.list_kind("external", "EXT", "Elsewhere");
    it.shop.list_kind("grouped", "GRP", "Set");
    for is_old in [false, true] {
        it.shop.set_faults(Faults { is_old, ..Faults::default() });
        let channel = WooCommerce::new("Shop", &it.url, "ck_emulated", "cs_emulated", client()).unwrap();
        let found = channel.discover().await.unwrap();
        let mut listings: Vec<_> = found
            .listings
            .iter()
            .map(|one| (one.remote_id.clone(), one.sku.clone().unwrap(), one.name.clone(), one.tracked))
            .collect();
        listings.sort();
        let listing =
            |id: String, sku: &str, name: &str, tracked| (id, sku.to_owned(), name.to_owned(), tracked);
        let mut expected = vec![
            listing(mug.to_string(), "MUG", "Blue mug", true),
            listing(free.to_string(), "PDF", "Manual", false),
            listing(format!("{tee}:{small}"), "TEE-S", "Tee - S", true),
            listing(format!("{tee}:{gift}"), "TEE-X", "Tee - X", false),
            listing(cap.to_string(), "CAP", "Cap", true),
            listing(format!("{cap}:{own}"), "CAP-B", "Cap - Blue", true),
        ];
        expected.sort();
        assert_eq!(listings, expected);
        assert_eq!(found.locations.len(), 1);
        let ids: Vec<String> = expected.into_iter().map(|one| one.0).collect();
        let mut read = channel.read(&ids).await.unwrap();
        read.sort_by(|one, other| one.listing.cmp(&other.listing));
        assert_eq!(read.iter().map(|one| one.listing.clone()).collect::<Vec<_>>(), ids);
        let of = |id: String| read.iter().find(|one| one.listing == id).unwrap().quantity.whole_units();
        assert_eq!((of(mug.to_string()), of(format!("{tee}:{small}")), of(cap.to_string())), (7, 3, 9));
        // What shares its product's number has none; what is gone is left out.
        let shared = format!("{cap}:{red}");
        let read = channel
            .read(&[shared, "9999".to_owned(), format!("{tee}:9999"), "mug".to_owned()])
            .await
            .unwrap();
        assert_eq!(read.len(), 1);
        assert!(!read[0].tracked);
    }
}

#[tokio::test]
async fn a_catalogue_is_read_page_by_page() {
    let it = stand().await;
    for nth in 0..250 {
        it.shop.list(&format!("SKU-{nth}"), "Thing", 1);
    }
    let found = it.channel.discover().await.unwrap();
    assert_eq!(found.listings.len(), 250);
    let ids: Vec<String> = found.listings.into_iter().map(|listing| listing.remote_id).collect();
    let before = it.shop.calls();
    assert_eq!(it.channel.read(&ids[..100]).await.unwrap().len(), 100);
    assert_eq!(it.shop.calls() - before, 1);
}

#[tokio::test]
async fn each_number_is_set_or_refused_by_itself() {
    let it = stand().await;
    let (mug, pan, gone) =
        (it.shop.list("MUG", "Mug", 1), it.shop.list("PAN", "Pan", 1), it.shop.list("OLD", "Old", 1));
    let free = it.shop.list("PDF", "Manual", 0);
    it.shop.set_manages(free, false);
    let tee = it.shop.list_variable("TEE", "Tee", Some(5));
    let shared = it.shop.add_variation(tee, "TEE-S", "S", None);
    let own = it.shop.add_variation(tee, "TEE-L", "L", Some(1));
    it.shop.unlist(gone);
    let pushes = [
        push(mug, 12),
        push(gone, 3),
        push(free, 3),
        push(format!("{tee}:{own}"), 8),
        push(format!("{tee}:{shared}"), 8),
        push(tee, 6),
        push("mug", 1),
        push(pan, i64::from(i32::MAX) + 1),
    ];
    let results = it.channel.push(&pushes).await.unwrap();
    for nth in [0, 3, 5] {
        assert_eq!(results[nth], Pushed::Acknowledged, "{nth}");
    }
    for (nth, said) in [
        (1, "no such product any more"),
        (2, "does not track"),
        (4, "counted with its product"),
        (6, "no such product"),
        (7, "more than it can hold"),
    ] {
        assert!(refusal(&results[nth]).contains(said), "{nth}: {:?}", results[nth]);
    }
    assert_eq!((it.shop.stock(mug), it.shop.stock(own), it.shop.stock(tee)), (Some(12), Some(8), Some(6)));
    assert_eq!(it.shop.stock(free), None, "its stock is counted by nobody still");
    // Managed nowhere in the shop: no number of it says anything.
    it.shop.set_faults(Faults { manages_nothing: true, ..Faults::default() });
    let results = it.channel.push(&[push(mug, 1)]).await.unwrap();
    assert!(refusal(&results[0]).contains("does not track"));
    assert_eq!(it.numbers(&[mug.to_string()]).await, [(mug.to_string(), 0, false)]);
    it.shop.set_faults(Faults { refuse_above: Some(10), ..Faults::default() });
    let results = it.channel.push(&[push(mug, 11), push(pan, 10)]).await.unwrap();
    assert!(refusal(&results[0]).contains("A plugin"));
    assert_eq!(results[1], Pushed::Acknowledged);
}

#[tokio::test]
async fn what_is_too_much_at_once_is_sent_in_halves() {
    let it = stand().await;
    let products: Vec<u64> = (0..100).map(|nth| it.shop.list(&format!("S-{nth}"), "Thing", 1)).collect();
    it.shop.set_faults(Faults { batch_limit: Some(30), ..Faults::default() });
    let pushes: Vec<Push> = products.iter().map(|product| push(product, 5)).collect();
    let results = it.channel.push(&pushes).await.unwrap();
    assert!(results.iter().all(|result| *result == Pushed::Acknowledged), "{results:?}");
    assert!(products.iter().all(|product| it.shop.stock(*product) == Some(5)));
}

#[tokio::test]
async fn what_goes_wrong_has_a_name() {
    let it = stand().await;
    let mug = it.shop.list("MUG", "Mug", 1);
    let ids = [mug.to_string()];
    it.shop.set_faults(Faults { throttle_next: 1, ..Faults::default() });
    let error = it.channel.read(&ids).await.unwrap_err();
    assert!(matches!(error, ChannelError::Throttled { retry_after_seconds: Some(1), .. }), "{error}");
    it.shop.set_faults(Faults { fail_next: 1, ..Faults::default() });
    let error = it.channel.read(&ids).await.unwrap_err();
    assert!(
        matches!(&error, ChannelError::Unreachable { reason, .. } if reason.contains("Briefly unavailable")),
        "{error}"
    );
    it.shop.set_faults(Faults { html_next: 1, ..Faults::default() });
    let error = it.channel.read(&ids).await.unwrap_err();
    assert!(error.to_string().contains("an HTML page where JSON should be: Log In Password"), "{error}");
    // Whether a number was set is not known where its answer is lost, or is a page.
    for faults in [
        Faults { lose_next: 1, ..Faults::default() },
        Faults { html_next: 1, ..Faults::default() },
        Faults { fail_next: 1, ..Faults::default() },
    ] {
        it.shop.set_faults(faults);
        let results = it.channel.push(&[push(mug, 9)]).await.unwrap();
        assert!(matches!(results[0], Pushed::Unknown { .. }), "{results:?}");
    }
    it.shop.set_faults(Faults { throttle_next: 1, ..Faults::default() });
    assert!(matches!(it.channel.push(&[push(mug, 9)]).await, Err(ChannelError::Throttled { .. })));
    it.shop.set_faults(Faults { read_only: true, ..Faults::default() });
    assert!(matches!(it.channel.push(&[push(mug, 9)]).await, Err(ChannelError::Credentials { .. })));
    let nobody = WooCommerce::new("Shop", "http://127.0.0.1:9", "ck", "cs", client()).unwrap();
    assert!(matches!(nobody.push(&[push(mug, 9)]).await, Err(ChannelError::Unreachable { .. })));
    assert!(it.channel.clock().await.is_ok(), "its answers are dated by whatever serves it");
}

#[tokio::test]
async fn an_order_is_followed_from_its_payment_to_its_return() {
    let it = stand().await;
    let mug = it.shop.list("MUG", "Mug", 20);
    let (orders, cursor) = it.all_orders(None).await;
    assert_eq!(orders, []);
    // Not paid for: nothing is taken off, and it is no order yet.
    let order = it.shop.place_unpaid(&buy(mug, 5)).unwrap();
    let (orders, cursor) = it.all_orders(Some(cursor)).await;
    assert!(orders.iter().all(|order| order.history && order.cancelled), "{orders:?}");
    assert_eq!(it.shop.stock(mug), Some(20));
    let mut versions = vec![orders[0].version];
    let mut cursor = cursor;
    let mut told = async |expected, stock| {
        let (orders, next) = it.all_orders(Some(cursor.clone())).await;
        cursor = next;
        let [order] = orders.as_slice() else { panic!("{orders:?}") };
        assert_eq!(line(order), expected);
        assert!(!order.history);
        assert_eq!(it.shop.stock(mug), Some(stock));
        assert!(versions.last().is_some_and(|last| *last < order.version), "{versions:?}");
        versions.push(order.version);
        order.clone()
    };
    // All of it within a second.
    assert!(it.shop.set_status(order, "processing"));
    told((5, 0, 0, 0, Some(5)), 15).await;
    assert!(it.shop.refund(order, 0, 1, true));
    told((4, 0, 0, 0, Some(4)), 16).await;
    assert!(it.shop.refund(order, 0, 1, false));
    told((3, 0, 0, 1, Some(4)), 16).await;
    assert!(it.shop.ship(order));
    told((3, 3, 0, 0, Some(4)), 16).await;
    it.pass(5);
    assert!(it.shop.refund(order, 0, 1, true));
    let returned = told((3, 3, 1, 0, Some(3)), 17).await;
    assert!(returned.moved_at > returned.placed_at && !returned.cancelled);
    // Nothing is told twice.
    let (orders, _) = it.all_orders(Some(cursor)).await;
    assert_eq!(orders, []);
}

#[tokio::test]
async fn what_a_shop_does_to_its_number_is_on_the_line() {
    let it = stand().await;
    let mug = it.shop.list("MUG", "Mug", 20);
    let cap = it.shop.list_variable("CAP", "Cap", Some(9));
    let red = it.shop.add_variation(cap, "CAP-R", "Red", None);
    let (_, cursor) = it.all_orders(None).await;
    let (failed, edited) =
        (it.shop.place_order(&buy(mug, 2), None).unwrap(), it.shop.place_order(&buy(mug, 2), None).unwrap());
    let (cancelled, shared) =
        (it.shop.place_order(&buy(mug, 2), None).unwrap(), it.shop.place_order(&buy(red, 2), None).unwrap());
    it.shop.set_status(failed, "failed");
    it.shop.change_line(edited, 0, 3);
    it.shop.cancel(cancelled);
    let (orders, cursor) = it.all_orders(Some(cursor)).await;
    let of = |id: u64| orders.iter().find(|order| order.document == id.to_string()).unwrap();
    // It fails, and what was taken off is not back.
    assert_eq!((line(of(failed)), of(failed).cancelled), ((2, 0, 0, 0, Some(2)), true));
    assert_eq!(line(of(edited)), (3, 0, 0, 0, Some(3)));
    // Both happened before we heard of it.
    assert_eq!((line(of(cancelled)), of(cancelled).cancelled), ((2, 0, 0, 0, None), true));
    assert_eq!(of(shared).lines[0].listing, cap.to_string());
    assert_eq!((it.shop.stock(mug), it.shop.stock(cap)), (Some(15), Some(7)));
    // A status of a plugin's is one of an order that is still to be sent; what is taken off comes late.
    it.shop.set_faults(Faults { reduce_lag_ms: 3_000, ..Faults::default() });
    let late = it.shop.place_order(&buy(mug, 1), None).unwrap();
    it.shop.set_status(late, "packed");
    let (orders, cursor) = it.all_orders(Some(cursor)).await;
    assert_eq!(line(&orders[0]), (1, 0, 0, 0, None));
    it.pass(3);
    let (orders, _) = it.all_orders(Some(cursor)).await;
    assert_eq!(line(&orders[0]), (1, 0, 0, 0, Some(1)));
}

#[tokio::test]
async fn what_was_done_with_before_is_history_and_what_is_open_is_not() {
    let it = stand().await;
    let mug = it.shop.list("MUG", "Mug", 1_000);
    let mut placed = Vec::new();
    for nth in 0..230 {
        placed.push(it.shop.place_order(&buy(mug, 1), None).unwrap());
        if nth % 100 == 99 {
            it.pass(1);
        }
    }
    let (done, unpaid) = (placed[0], it.shop.place_unpaid(&buy(mug, 1)).unwrap());
    assert!(it.shop.ship(done) && it.shop.cancel(placed[1]) && it.shop.set_status(placed[2], "packed"));
    let (orders, cursor) = it.all_orders(None).await;
    let open = orders.iter().filter(|order| !order.history);
    let documents: Vec<&str> = open.map(|order| order.document.as_str()).collect();
    let once: std::collections::BTreeSet<&str> = documents.iter().copied().collect();
    assert_eq!((documents.len(), once.len()), (228, 228));
    // Changed a moment before we came.
    assert_eq!(orders.len(), 231);
    assert!(once.contains(placed[2].to_string().as_str()), "packed is open");
    it.pass(300);
    // Refunded now, and was sent before we came.
    assert!(it.shop.refund(done, 0, 1, true));
    assert!(it.shop.set_status(unpaid, "processing"));
    assert!(it.shop.ship(placed[5]));
    let (orders, cursor) = it.all_orders(Some(cursor)).await;
    let of = |id: u64| orders.iter().find(|order| order.document == id.to_string()).unwrap();
    assert!(of(done).history);
    assert!(!of(unpaid).history && !of(placed[5]).history);
    assert_eq!(orders.len(), 3);
    let (orders, _) = it.all_orders(Some(cursor)).await;
    assert_eq!(orders, []);
}

#[tokio::test]
async fn more_of_one_second_than_fits_a_page_is_heard_of() {
    let it = stand().await;
    let mug = it.shop.list("MUG", "Mug", 1_000);
    let (_, cursor) = it.all_orders(None).await;
    for _ in 0..350 {
        it.shop.place_order(&buy(mug, 1), None).unwrap();
    }
    let (orders, cursor) = it.all_orders(Some(cursor)).await;
    let documents: std::collections::BTreeSet<String> =
        orders.iter().map(|order| order.document.clone()).collect();
    assert_eq!((orders.len(), documents.len()), (350, 350));
    it.pass(100);
    it.shop.place_order(&buy(mug, 1), None).unwrap();
    assert_eq!(it.all_orders(Some(cursor)).await.0.len(), 1);
}

#[tokio::test]
async fn whom_an_order_is_for_is_in_its_raw_document() {
    let it = stand().await;
    let mug = it.shop.list("MUG", "Mug", 20);
    let text = |text: &str| text.to_owned();
    let ada = Customer {
        first_name: text("Ada"),
        last_name: text("L"),
        email: text("ada@example.com"),
        address: text("1 Mill Road"),
        city: text("Ely"),
    };
    it.shop.place_order(&buy(mug, 1), Some(ada)).unwrap();
    let (orders, _) = it.all_orders(None).await;
    let raw = orders[0].raw.clone().unwrap();
    let found = onhand_channels::outgoing::Recipient::of("woocommerce", &raw).unwrap();
    assert_eq!((found.name.as_deref(), found.city.as_deref()), (Some("Ada L"), Some("Ely")));
    assert!(!format!("{orders:?}").contains("Ely"));
}

#[tokio::test]
async fn webhooks_are_asked_for_once_and_revived() {
    let it = stand().await;
    let mug = it.shop.list("MUG", "Mug", 100);
    let one = "http://127.0.0.1:9/hooks/ohh_1_one";
    for _ in 0..2 {
        assert!(it.channel.register_webhook(one).await.unwrap());
        assert_eq!(it.shop.webhooks().len(), 4);
    }
    assert_eq!(it.shop.signs_with(one).as_deref(), it.channel.signing_secret());
    assert!(!it.channel.signing_secret().unwrap().contains("cs_emulated"));
    let two = "http://127.0.0.1:9/hooks/ohh_1_two";
    assert!(it.channel.register_webhook(two).await.unwrap());
    assert!(it.shop.webhooks().iter().all(|(_, url, _)| url == two));
    assert!(it.channel.register_webhook("ftp://example.com/hooks/ohh_1_three").await.is_err());
    // Nobody is there: with the seventh failure in a row it is disabled.
    let active = || it.shop.webhooks().iter().filter(|(_, _, status)| status == "active").count();
    for expected in [4, 3] {
        for _ in 0..if expected == 4 { 6 } else { 1 } {
            it.shop.place_order(&buy(mug, 1), None).unwrap();
            tokio::time::sleep(std::time::Duration::from_millis(50)).await;
        }
        assert_eq!(active(), expected);
    }
    assert_eq!(it.channel.revive_webhooks().await.unwrap(), ["order.created"]);
    assert_eq!(active(), 4);
    assert_eq!(it.channel.revive_webhooks().await.unwrap(), Vec::<String>::new());
}

fn parcel(order: u64, lines: &[(String, i64)], number: Option<&str>) -> Parcel {
    let line = |(line, quantity): &(String, i64)| ParcelLine {
        line: line.clone(),
        quantity: Quantity::units(*quantity),
    };
    Parcel {
        name: format!("{number:?} {lines:?}"),
        document: order.to_string(),
        lines: lines.iter().map(line).collect(),
        carrier: Some("Post".to_owned()),
        number: number.map(str::to_owned),
        url: None,
    }
}

#[tokio::test]
async fn an_order_is_marked_as_shipped_once_and_completed_with_its_last_parcel() {
    for has_fulfillments in [false, true] {
        let it = stand().await;
        let mug = it.shop.list("MUG", "Mug", 20);
        let order = it.shop.place_order(&buy(mug, 5), None).unwrap();
        it.shop.refund(order, 0, 1, true);
        let (orders, _) = it.all_orders(None).await;
        let of = orders[0].lines[0].line.clone();
        let none = Faults { has_fulfillments, ..Faults::default() };
        it.shop.set_faults(none.clone());
        let told = async |parcel: &Parcel| it.channel.mark_shipped(parcel).await.unwrap();
        let count = || it.shop.notes(order).len().max(it.shop.fulfillments(order).len());
        let first = parcel(order, &[(of.clone(), 1)], Some("T1"));
        assert_eq!(told(&first).await, ParcelTold::Told);
        assert_eq!((count(), it.shop.status(order).as_deref()), (1, Some("processing")));
        // Told again, it is one.
        assert_eq!(told(&first).await, ParcelTold::Told);
        assert_eq!(count(), 1);
        // Whichever answer is lost: told again until it is known, it is one.
        let second = parcel(order, &[(of.clone(), 3)], None);
        for _ in 0..5 {
            it.shop.set_faults(Faults { lose_next: 1, ..none.clone() });
            let _ = it.channel.mark_shipped(&second).await;
            it.shop.set_faults(none.clone());
        }
        assert_eq!(told(&second).await, ParcelTold::Told);
        assert_eq!((count(), it.shop.status(order).as_deref()), (2, Some("completed")));
        if has_fulfillments {
            assert!(it.shop.notes(order).is_empty());
            assert!(it.shop.fulfillments(order)[0].to_string().contains("T1"));
        } else {
            let notes = it.shop.notes(order);
            assert!(
                notes[0].note.contains("Post, tracking number T1") && notes[0].customer_note,
                "{notes:?}"
            );
        }
        let other = it.shop.place_order(&buy(mug, 1), None).unwrap();
        it.shop.cancel(other);
        for (wrong, said) in [
            (parcel(other, &[(of.clone(), 1)], None), "cancelled"),
            (parcel(9_999, &[(of.clone(), 1)], None), "no such order"),
            (parcel(order, &[("1".to_owned(), 1)], None), "nothing of these lines"),
        ] {
            let ParcelTold::Refused { reason } = told(&wrong).await else { panic!() };
            assert!(reason.contains(said), "{reason}");
        }
    }
}

#[tokio::test]
async fn what_its_schema_refuses_is_refused() {
    let it = stand().await;
    let ask = async |path: &str| {
        let request = client().get(format!("{}/wp-json/wc/v3{path}", it.url));
        let answer = request.basic_auth("ck_emulated", Some("cs_emulated")).send().await.unwrap();
        let status = answer.status().as_u16();
        let body: serde_json::Value = answer.json().await.unwrap();
        (status, body["code"].as_str().unwrap_or_default().to_owned())
    };
    for path in [
        "/products?per_page=101",
        "/products?per_page=0",
        "/products?order=up",
        "/orders?orderby=total",
        "/orders?status=shipped",
        "/orders?modified_after=yesterday",
        "/orders?dates_are_gmt=maybe",
        "/webhooks?status=gone",
    ] {
        assert_eq!(ask(path).await, (400, "rest_invalid_param".to_owned()), "{path}");
    }
    assert_eq!(ask("/inventory").await, (404, "rest_no_route".to_owned()));
    assert_eq!(ask("/orders/1/fulfillments").await, (404, "rest_no_route".to_owned()));
    assert_eq!(ask("/orders/1").await.0, 404);
}
