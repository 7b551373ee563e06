//! The pages, as a browser without script has them: signing in, what each shows, forms, and who is kept out.

#[path = "pages/alerts.rs"]
mod alerts;
#[path = "pages/connect.rs"]
mod connect;
#[path = "pages/many.rs"]
mod many;
#[path = "pages/orders.rs"]
mod orders;
#[path = "pages/rules.rs"]
mod rules;
#[path = "pages/settings.rs"]
mod settings;
#[path = "support/mod.rs"]
mod support;

use std::time::{Duration, Instant};

use axum::body::{Body as HttpBody, BodyDataStream};
use axum::http::{Request, StatusCode, header};
use onhand_channels::signed::Answered;
use onhand_engine::subscriptions::Outbox;
use onhand_ledger::TenantId;
use onhand_web::auth;
use serde_json::json;
use support::browser::{Browser, signed_in, stranger};
use support::{Shop, time};
use tokio::time::timeout;
use tokio_stream::StreamExt as _;

const PAGES: [&str; 31] = [
    "/",
    "/alerts",
    "/floor",
    "/floor/receive",
    "/floor/put-away",
    "/floor/count",
    "/floor/transfer",
    "/floor/look-up?item=MUG",
    "/more",
    "/stock",
    "/items/MUG",
    "/orders",
    "/systems",
    "/systems/WEB",
    "/systems/connect",
    "/systems/WEB/connect/key",
    "/systems/WEB/connect/found",
    "/systems/WEB/connect/locations",
    "/systems/WEB/connect/matches",
    "/systems/WEB/connect/opening",
    "/systems/WEB/connect/dry-run",
    "/discrepancies",
    "/activity",
    "/webhooks",
    "/stock?q=M&show=low",
    "/stock/edit?q=M",
    "/stock/edit?i=MUG&add=new",
    "/rules",
    "/rules/change",
    "/ownership",
    "/ownership/change?place=at%3ALONDON&master=WEB",
];

#[tokio::test(flavor = "multi_thread")]
async fn nobody_sees_anything_who_has_not_signed_in() {
    let shop = Shop::open().await;
    let nobody = stranger(&shop);
    let guest = Browser { shop: &shop, cookie: Some(format!("onhand_session=1.{}", "0".repeat(40))) };
    for browser in [&nobody, &guest] {
        for page in PAGES {
            let (status, headers, text) = browser.get(page).await;
            assert_eq!(status, StatusCode::SEE_OTHER, "{page}");
            assert!(headers[header::LOCATION].to_str().unwrap().starts_with("/sign-in?next=%2F"), "{page}");
            assert!(!text.contains("MUG"));
        }
    }
    let (status, _, text) = nobody.post("/sign-in", "key=ohk_1_no", "same-origin").await;
    assert_eq!(status, StatusCode::UNAUTHORIZED);
    assert!(text.contains("no key that is known here") && !text.contains("ohk_1_no"));
}

#[tokio::test(flavor = "multi_thread")]
async fn each_page_is_there_and_says_what_is_so() {
    let shop = Shop::open().await;
    shop.accepted(
        "/v1/movements/receive",
        json!({ "location": "LONDON", "lines": [{ "sku": "MUG", "quantity": 1204 }] }),
    )
    .await;
    let order =
        json!({ "reference": "A-<1>", "lines": [{ "sku": "MUG", "quantity": 4 }], "ship_by": time("07:00") });
    let order = shop.accepted("/v1/orders", order).await["id"].as_u64().unwrap();
    let browser = signed_in(&shop).await;
    for page in PAGES {
        let text = browser.page(page).await;
        assert!(text.contains("<main") && text.contains("aria-current=\"page\""), "{page}");
        let inline =
            text.split("<script").skip(1).any(|script| !script.starts_with(" src=\"/assets/onhand-"));
        assert!(!inline && !text.contains("style=") && !text.contains("hx-on"), "{page} has nothing inline");
    }
    let item = browser.page("/items/MUG").await;
    for said in ["1,200", "1,204", "LONDON", "received: 1,204 from supplier to available at LONDON"] {
        assert!(item.contains(said), "{said}: {item}");
    }
    let orders = browser.page("/orders?show=late").await;
    assert!(orders.contains("A-&#60;1&#62;") && orders.contains("late"), "{orders}");
    assert!(browser.page(&format!("/orders/{order}")).await.contains("4 at LONDON"));
    let overview = browser.page("/").await;
    assert!(overview.contains("Late orders"), "{overview}");
    let (status, headers, _) = browser.get("/find?q=MUG").await;
    assert_eq!((status, headers[header::LOCATION].to_str().unwrap()), (StatusCode::SEE_OTHER, "/items/MUG"));
    let (status, _, text) = browser.get("/items/NONE").await;
    assert!(status == StatusCode::NOT_FOUND && text.contains("there is no item with the SKU"), "{text}");
    let (status, _, text) = browser.get("/nowhere").await;
    assert!(status == StatusCode::NOT_FOUND && text.contains("<h1>Nothing here</h1>"), "{text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn orders_that_are_short_are_listed_from_the_newest_on_and_no_other() {
    let shop = Shop::open().await;
    shop.accepted("/v1/items", json!({ "sku": "POT", "backorder_limit": 1_000 })).await;
    let received = json!({ "location": "LONDON", "lines": [{ "sku": "MUG", "quantity": 100 }] });
    shop.accepted("/v1/movements/receive", received).await;
    for number in 0..120 {
        let sku = if number % 2 == 0 { "POT" } else { "MUG" };
        let lines = json!([{ "sku": sku, "quantity": 1 }]);
        let order = json!({ "reference": number.to_string(), "lines": lines, "backorder": true });
        shop.accepted("/v1/orders", order).await;
    }
    let browser = signed_in(&shop).await;
    let mut address = Some("/orders?show=short".to_owned());
    let mut pages = Vec::new();
    while let Some(at) = address {
        let text = browser.page(&at).await;
        let rows =
            text.split("href=\"/orders/").skip(1).filter_map(|row| row.split('"').next()?.parse().ok());
        pages.push(rows.collect::<Vec<u64>>());
        let next =
            text.split("href=\"").find(|link| link.starts_with("/orders?") && link.contains("before="));
        address = next.and_then(|link| link.split('"').next()).map(|link| link.replace("&#38;", "&"));
    }
    assert_eq!(pages.iter().map(Vec::len).collect::<Vec<_>>(), [50, 10]);
    assert!(pages.concat().is_sorted_by(|newer, older| newer > older), "{pages:?}");
}

/// Sends what is to be sent; all of it is answered so.
async fn sent(shop: &Shop, outbox: &mut Outbox, status: u16) {
    let ledger = shop.handle.ledger().clone();
    let now = ledger.clock().now();
    let mut notes = outbox.look(&ledger, TenantId::DEFAULT).unwrap().notes;
    for due in outbox.due(now) {
        let answered = Answered { status: Some(status), said: "<b>no</b>".to_owned(), retry_after: None };
        notes.extend(outbox.answered(&due, &answered, (now, now), &[60], 0));
    }
    shop.handle.submit_with(TenantId::DEFAULT, None, notes).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn webhooks_that_are_off_are_said_and_sent_again_from_their_page() {
    let shop = Shop::open().await;
    let browser = signed_in(&shop).await;
    assert!(browser.page("/webhooks").await.contains("Nobody subscribed yet"));
    let subscribed = json!({ "name": "erp", "url": "https://nobody.invalid/pa-th" });
    let made = shop.accepted("/v1/subscriptions", subscribed).await;
    assert!(browser.page("/webhooks/erp").await.contains("Nothing was sent yet"));
    let lines = json!([{ "sku": "MUG", "quantity": 5 }]);
    shop.accepted("/v1/movements/receive", json!({ "location": "LONDON", "lines": lines })).await;
    let mut outbox = Outbox::default();
    sent(&shop, &mut outbox, 410).await;
    let page = browser.page("/webhooks/erp").await;
    for said in ["■ Nothing is sent", "410 Gone", "stock.changed", "&#60;b&#62;no", "Send again"] {
        assert!(page.contains(said), "{said}: {page}");
    }
    let secret = made["secret"].as_str().unwrap();
    assert!(!page.contains(secret) && !page.contains("pa-th"), "{page}");
    let inbox = browser.page("/discrepancies").await;
    assert!(inbox.contains("are off") && !inbox.contains("Nothing waits for a person"), "{inbox}");
    assert!(browser.page("/webhooks").await.contains("■ off"));
    assert_eq!(browser.post("/webhooks/erp", "to=enable", "cross-site").await.0, StatusCode::FORBIDDEN);
    let (status, headers, text) = browser.post("/webhooks/erp", "to=enable", "same-origin").await;
    assert_eq!(
        (status, headers[header::LOCATION].to_str().unwrap()),
        (StatusCode::SEE_OTHER, "/webhooks/erp"),
        "{text}"
    );
    sent(&shop, &mut outbox, 204).await;
    let page = browser.page("/webhooks/erp").await;
    assert!(page.contains("● taken") && page.contains("● It takes what is sent"), "{page}");
    let sent = shop.get("/v1/subscriptions/erp/messages?fate=taken").await;
    let id = sent["data"][0]["id"].as_str().unwrap();
    assert_eq!(sent["data"][0]["attempts"].as_array().unwrap().len(), 2);
    let again = format!("to=resend&message={id}");
    assert_eq!(browser.post("/webhooks/erp", &again, "same-origin").await.0, StatusCode::SEE_OTHER);
    assert_eq!(browser.post("/webhooks/erp", "to=test", "same-origin").await.0, StatusCode::SEE_OTHER);
    for wrong in ["to=resend&message=msg_1", "to=burn"] {
        let (status, _, text) = browser.post("/webhooks/erp", wrong, "same-origin").await;
        assert!(status.is_client_error(), "{wrong}: {text}");
    }
    assert_eq!(browser.get("/webhooks/none").await.0, StatusCode::NOT_FOUND);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_form_does_is_done_once_by_whoever_is_at_the_screen() {
    let shop = Shop::open().await;
    let browser = signed_in(&shop).await;
    let count = "key=page-1&location=LONDON&quantity=72&note=by%20hand";
    for _ in 0..2 {
        let (status, headers, text) = browser.post("/items/MUG/count", count, "same-origin").await;
        assert_eq!(status, StatusCode::SEE_OTHER, "{text}");
        assert_eq!(headers[header::LOCATION].to_str().unwrap(), "/items/MUG#ledger");
    }
    let adjust = "key=page-2&location=LONDON&quantity=%E2%88%922&reason=shrinkage";
    assert_eq!(browser.post("/items/MUG/adjust", adjust, "same-origin").await.0, StatusCode::SEE_OTHER);
    let stock = shop.get("/v1/items/MUG/stock").await;
    assert_eq!(stock["total"]["on_hand"], json!(70));
    let history = shop.get("/v1/items/MUG/history").await;
    assert_eq!(
        (&history["data"][0]["actor"], &history["data"][0]["reason"]),
        (&json!("test"), &json!("shrinkage"))
    );
    assert_eq!(history["data"].as_array().unwrap().len(), 2);
    // What cannot be is told on a page, and changes nothing.
    let wrong = "key=page-3&location=LONDON&quantity=-99&reason=shrinkage";
    let (status, _, text) = browser.post("/items/MUG/adjust", wrong, "same-origin").await;
    assert!(status.is_client_error() && text.contains("Nothing was changed"), "{status} {text}");
    let (status, _, text) = browser.post("/pushing", "key=page-4&to=stop&note=x", "same-origin").await;
    assert_eq!(status, StatusCode::SEE_OTHER, "{text}");
    assert!(browser.page("/stock").await.contains("All pushing is stopped"));
}

#[tokio::test(flavor = "multi_thread")]
async fn another_site_changes_nothing_in_our_name() {
    let shop = Shop::open().await;
    let browser = signed_in(&shop).await;
    let form = "key=page-1&location=LONDON&quantity=72";
    for site in ["cross-site", "same-site"] {
        assert_eq!(browser.post("/items/MUG/count", form, site).await.0, StatusCode::FORBIDDEN, "{site}");
        assert_eq!(browser.post("/sign-out", "", site).await.0, StatusCode::FORBIDDEN, "{site}");
    }
    assert_eq!(shop.get("/v1/items/MUG/stock").await["total"]["on_hand"], json!(0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_ends_by_signing_out_by_evening_and_with_its_key() {
    let shop = Shop::open().await;
    let browser = signed_in(&shop).await;
    assert_eq!(browser.post("/sign-out", "", "same-origin").await.0, StatusCode::SEE_OTHER);
    assert_eq!(browser.get("/stock").await.0, StatusCode::SEE_OTHER, "the cookie alone is nothing");
    let browser = signed_in(&shop).await;
    // Somebody is there all day.
    for used in (8..20).flat_map(|hour| [29, 59].map(|minute| format!("{hour:02}:{minute}"))) {
        shop.clock.set(onhand_ledger::Instant::parse(&time(&used)).unwrap());
        browser.page("/stock").await;
    }
    shop.clock.set(onhand_ledger::Instant::parse(&time("20:01")).unwrap());
    assert_eq!(browser.get("/stock").await.0, StatusCode::SEE_OTHER);
    let key = auth::create_key(&shop.handle, TenantId::DEFAULT, "desk").await.unwrap();
    let mut browser = stranger(&shop);
    browser.sign_in(&key).await;
    browser.page("/stock").await;
    let keys = shop.get("/v1/keys").await;
    let desk = keys["data"].as_array().unwrap().iter().find(|known| known["name"] == "desk").unwrap();
    assert_eq!(shop.delete(&format!("/v1/keys/{}", desk["id"].as_str().unwrap())).await.0, StatusCode::OK);
    assert_eq!(browser.get("/stock").await.0, StatusCode::SEE_OTHER, "its key was revoked");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tenant_sees_its_own_alone() {
    let shop = Shop::open().await;
    let key = auth::create_key(&shop.handle, TenantId(7), "other").await.unwrap();
    let mut browser = stranger(&shop);
    browser.sign_in(&key).await;
    let stock = browser.page("/stock").await;
    assert!(!stock.contains("MUG") && stock.contains("There are no items yet"), "{stock}");
    assert_eq!(browser.get("/items/MUG").await.0, StatusCode::NOT_FOUND);
    assert_eq!(browser.get("/systems/WEB").await.0, StatusCode::NOT_FOUND);
    let form = "key=page-1&location=LONDON&quantity=72";
    assert!(browser.post("/items/MUG/count", form, "same-origin").await.0.is_client_error());
    assert_eq!(shop.get("/v1/items/MUG/stock").await["total"]["on_hand"], json!(0));
}

/// The address of the script on a page.
fn script_of(page: &str) -> Option<&str> {
    page.split("<script src=\"").nth(1)?.split('"').next()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_moves_is_built_in_or_said_to_be_missing() {
    let shop = Shop::open().await;
    let browser = signed_in(&shop).await;
    let page = browser.page("/stock").await;
    let Some(script) = script_of(&page) else {
        assert!(page.contains("Built without npm"), "{page}");
        return;
    };
    let (status, headers, text) = browser.get(script).await;
    let kind = headers[header::CONTENT_TYPE].to_str().unwrap();
    assert_eq!((status, kind), (StatusCode::OK, "text/javascript; charset=utf-8"));
    assert!(headers[header::CACHE_CONTROL].to_str().unwrap().contains("immutable"));
    assert!(text.contains("historyCacheSize") && text.len() < 150_000, "{} bytes", text.len());
    assert!(!page.contains("Built without npm"), "{page}");
}

#[test]
fn what_is_built_in_from_npm_is_permissive() {
    let lock: serde_json::Value =
        serde_json::from_str(include_str!("../frontend/package-lock.json")).unwrap();
    for (name, package) in lock["packages"].as_object().unwrap() {
        let licence = package["license"].as_str().unwrap_or_default();
        // What only tests take is given to nobody.
        let is_ours = package["dev"] == json!(true);
        let permissive = ["0BSD", "Apache-2.0", "BSD-3-Clause", "ISC", "MIT"];
        let mut choices = licence.trim_matches(['(', ')']).split(" OR ");
        assert!(is_ours || choices.any(|choice| permissive.contains(&choice)), "{name}: {licence:?}");
    }
}

/// What a page hears of what moves on it.
struct Hearing(BodyDataStream);

impl Hearing {
    /// As the script of a page of that address does.
    async fn on(browser: &Browser<'_>, page: &str) -> Self {
        Self::at(browser, &Self::address(&browser.page(page).await), None).await
    }

    fn address(text: &str) -> String {
        let said = |name: &str| {
            let value = text.split(&format!("{name}=\"")).nth(1).unwrap().split('"').next().unwrap();
            value.replace("&#38;", "&").replace("&amp;", "&")
        };
        format!("{}&since={}", said("data-live"), said("data-seq"))
    }

    async fn at(browser: &Browser<'_>, address: &str, last: Option<u64>) -> Self {
        let mut request = Request::get(address)
            .header(header::HOST, "127.0.0.1:7171")
            .header(header::COOKIE, browser.cookie.as_ref().unwrap());
        if let Some(last) = last {
            request = request.header("last-event-id", last);
        }
        let answer = browser.shop.send(request.body(HttpBody::empty()).unwrap()).await;
        assert_eq!(answer.status(), StatusCode::OK, "{address}");
        let mut hearing = Self(answer.into_body().into_data_stream());
        assert!(hearing.next(Duration::from_secs(5)).await.unwrap().contains("event: hello"));
        hearing
    }

    /// What is told next, if it is within that time.
    async fn next(&mut self, within: Duration) -> Option<String> {
        let told = timeout(within, self.0.next()).await.ok()??.unwrap();
        Some(String::from_utf8(told.to_vec()).unwrap())
    }

    async fn hears(&mut self) {
        let told = self.next(Duration::from_secs(5)).await;
        // A browser tells nobody of an event without data.
        let is_told =
            told.as_deref().is_some_and(|told| told.contains("event: moved") && told.contains("\ndata: "));
        assert!(is_told, "{told:?}");
    }

    async fn hears_nothing(&mut self) {
        assert_eq!(self.next(Duration::from_millis(400)).await, None);
    }
}

async fn received(shop: &Shop, quantity: u64) {
    let lines = json!({ "location": "LONDON", "lines": [{ "sku": "MUG", "quantity": quantity }] });
    shop.accepted("/v1/movements/receive", lines).await;
}

#[tokio::test(flavor = "multi_thread")]
#[expect(clippy::disallowed_methods, reason = "how long it takes is what is asked")]
async fn a_change_in_the_ledger_is_on_an_open_page_within_300_ms() {
    let shop = Shop::open().await;
    shop.accepted("/v1/items", json!({ "sku": "CUP" })).await;
    let key = auth::create_key(&shop.handle, TenantId(7), "other").await.unwrap();
    let (browser, mut other) = (signed_in(&shop).await, stranger(&shop));
    other.sign_in(&key).await;
    let mut elsewhere = [Hearing::on(&browser, "/items/CUP").await, Hearing::on(&other, "/").await];
    for (page, said) in [("/items/MUG", "1,001"), ("/stock", "2,002"), ("/", "3,003 received")] {
        let mut hearing = Hearing::on(&browser, page).await;
        let began = Instant::now();
        received(&shop, 1_001).await;
        hearing.hears().await;
        let text = browser.page(page).await;
        let took = began.elapsed();
        assert!(text.contains(said), "{page}: {text}");
        assert!(took < Duration::from_millis(300), "{page} had it after {took:?}");
    }
    // Neither is another item's page told, nor another tenant's.
    for hearing in &mut elsewhere {
        hearing.hears_nothing().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_burst_of_changes_is_told_few_times_and_its_end_always() {
    let shop = Shop::open().await;
    let browser = signed_in(&shop).await;
    let mut pages = Vec::new();
    for _ in 0..6 {
        pages.push(Hearing::on(&browser, "/items/MUG").await);
    }
    for _ in 0..50 {
        received(&shop, 1).await;
    }
    let seq = shop.handle.ledger().read(TenantId::DEFAULT, |view| Ok(view.seq())).unwrap();
    for hearing in &mut pages {
        let (mut told, mut last) = (0, String::new());
        while let Some(event) = hearing.next(Duration::from_millis(600)).await {
            (told, last) = (told + 1, event);
        }
        assert!((1..=5).contains(&told), "told {told} times");
        assert!(last.contains(&format!("id: {seq}")), "{last}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn who_was_cut_off_hears_at_once_of_what_was_missed_and_nobody_hears_who_is_not_signed_in() {
    let shop = Shop::open().await;
    let browser = signed_in(&shop).await;
    let seq = || shop.handle.ledger().read(TenantId::DEFAULT, |view| Ok(view.seq())).unwrap();
    let before = seq();
    received(&shop, 3).await;
    let address = Hearing::address(&browser.page("/items/MUG").await);
    let stale = address.split("&since").next().unwrap();
    for (since, last, is_behind) in
        [(before, None, true), (seq(), None, false), (1, Some(before), true), (1, Some(seq()), false)]
    {
        let mut hearing = Hearing::at(&browser, &format!("{stale}&since={since}"), last).await;
        if is_behind { hearing.hears().await } else { hearing.hears_nothing().await }
    }
    let (status, headers, _) = stranger(&shop).get("/live?of=all").await;
    assert_eq!(status, StatusCode::SEE_OTHER);
    assert!(headers[header::LOCATION].to_str().unwrap().starts_with("/sign-in"));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_stock_list_finds_filters_and_is_a_file_that_is_imported_when_edited() {
    let shop = Shop::open().await;
    for item in [
        json!({ "sku": "TEA-1", "name": "Green tea", "barcodes": ["4006381333931"], "tags": ["hot"], "low_stock": 10 }),
        json!({ "sku": "POT", "name": "Pot for Tea" }),
        json!({ "sku": "OLD", "name": "Old mug", "archived": true }),
    ] {
        shop.accepted("/v1/items", item).await;
    }
    shop.accepted("/v1/locations", json!({ "code": "BERLIN" })).await;
    for (location, sku, quantity) in [("LONDON", "TEA-1", 7), ("BERLIN", "POT", 5), ("LONDON", "POT", 20)] {
        let lines = json!({ "location": location, "lines": [{ "sku": sku, "quantity": quantity }] });
        shop.accepted("/v1/movements/receive", lines).await;
    }
    shop.accepted("/v1/orders", json!({ "reference": "A", "lines": [{ "sku": "POT", "quantity": 25 }] }))
        .await;
    let browser = signed_in(&shop).await;
    let skus = |text: &str| -> Vec<String> {
        let rows = text.split("href=\"/items/").skip(1);
        rows.map(|row| row.split('"').next().unwrap().to_owned()).collect()
    };
    for (query, found) in [
        ("", vec!["MUG", "OLD", "POT", "TEA-1"]),
        ("q=tea", vec!["TEA-1", "POT"]),
        ("q=GREEN", vec!["TEA-1"]),
        ("q=81333", vec!["TEA-1"]),
        ("q=mug", vec!["MUG", "OLD"]),
        ("show=low", vec!["TEA-1"]),
        ("show=archived", vec!["OLD"]),
        ("show=short", vec![]),
        ("show=behind", vec![]),
        ("show=out", vec!["MUG", "POT"]),
        ("location=BERLIN", vec!["POT"]),
        ("tag=Hot", vec!["TEA-1"]),
        ("q=tea&tag=none", vec![]),
        ("after=h.99.none", vec![]),
    ] {
        let text = browser.page(&format!("/stock?{query}")).await;
        assert_eq!(skus(&text), found, "{query}");
    }
    // What is new is found at once, what is renamed by its new name.
    shop.accepted("/v1/items", json!({ "sku": "NEW", "name": "Teaspoon" })).await;
    assert_eq!(skus(&browser.page("/stock?q=spoon").await), ["NEW"]);
    let text = browser.page("/stock?c=tags&c=on_hand&q=tea-1").await;
    assert!(text.contains("<td>hot</td>") && !text.contains(">Committed</th>"), "{text}");
    assert_eq!(browser.get("/stock?location=NOWHERE").await.0, StatusCode::NOT_FOUND);
    // The file has what the view has, and is an import when somebody has edited it.
    let (status, headers, csv) = browser.get("/stock.csv?location=LONDON&q=tea&c=tags").await;
    assert_eq!(
        (status, headers[header::CONTENT_TYPE].to_str().unwrap()),
        (StatusCode::OK, "text/csv; charset=utf-8")
    );
    let lines: Vec<&str> = csv.lines().collect();
    assert!(
        lines.len() == 3 && lines[1].starts_with("TEA-1,LONDON,") && lines[2].starts_with("POT,LONDON,"),
        "{csv}"
    );
    let edited = csv.replace("TEA-1,LONDON,,,,7,0,0,0,0,0,0,7,", "TEA-1,LONDON,,,,7,0,0,0,0,0,0,9,");
    assert_ne!(edited, csv);
    let import = Request::post("/v1/import/stock")
        .header(header::AUTHORIZATION, format!("Bearer {}", shop.key))
        .header(header::CONTENT_TYPE, "text/csv")
        .header("idempotency-key", "file-1")
        .body(HttpBody::from(edited));
    let (status, _, text) = browser.ask(import.unwrap()).await;
    assert_eq!(status, StatusCode::OK, "{text}");
    assert_eq!(shop.get("/v1/items/TEA-1/stock").await["total"]["on_hand"], json!(9));
    assert_eq!(stranger(&shop).get("/stock.csv").await.0, StatusCode::SEE_OTHER);
}

/// What is known to be enough is looked at again once anything touched it.
#[tokio::test(flavor = "multi_thread")]
async fn what_is_low_is_found_whatever_changed_since_somebody_looked() {
    let shop = Shop::open().await;
    let put = |level: u64| json!({ "sku": "MUG", "low_stock": level });
    shop.accepted("/v1/items", put(5)).await;
    received(&shop, 10).await;
    let browser = signed_in(&shop).await;
    let is_low = async |what: &str, expected: bool| {
        // The second time nobody looks at what is known.
        for _ in 0..2 {
            let list = browser.page("/stock?show=low").await;
            assert_eq!(list.contains("/items/MUG\""), expected, "{what}");
        }
    };
    is_low("10, of 5", false).await;
    let lines = |quantity: i64| json!([{ "sku": "MUG", "quantity": quantity }]);
    let adjust = |quantity| json!({ "location": "LONDON", "lines": lines(quantity), "reason": "shrinkage" });
    shop.accepted("/v1/movements/adjust", adjust(-6)).await;
    is_low("4 are left", true).await;
    shop.accepted("/v1/movements/receive", json!({ "location": "LONDON", "lines": lines(20) })).await;
    is_low("24", false).await;
    shop.accepted("/v1/items", put(30)).await;
    is_low("24, of 30", true).await;
    shop.accepted("/v1/items", put(5)).await;
    is_low("of 5 again", false).await;
    shop.accepted("/v1/holds", json!({ "lines": lines(20), "expires_at": "2026-11-24T00:00:00Z" })).await;
    is_low("20 are held", true).await;
    received(&shop, 20).await;
    is_low("20 more", false).await;
    shop.accepted("/v1/locations", json!({ "code": "LONDON", "sellable": false })).await;
    is_low("nothing is sold from there", true).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_ledger_can_undo_is_undone_from_its_row() {
    let shop = Shop::open().await;
    received(&shop, 20).await;
    let browser = signed_in(&shop).await;
    for (act, form) in [
        ("adjust", "key=u-1&location=LONDON&quantity=-3&reason=shrinkage"),
        ("count", "key=u-2&location=LONDON&quantity=16"),
    ] {
        let (status, _, text) = browser.post(&format!("/items/MUG/{act}"), form, "same-origin").await;
        assert_eq!(status, StatusCode::SEE_OTHER, "{text}");
    }
    let history = shop.get("/v1/items/MUG/history").await;
    let seq_of = |reason: &str| {
        let rows = history["data"].as_array().unwrap();
        rows.iter().find(|row| row["reason"] == reason).unwrap()["seq"].as_u64().unwrap()
    };
    let offered = |page: &str, seq: u64| page.contains(&format!("name=\"seq\" value=\"{seq}\""));
    let item = browser.page("/items/MUG").await;
    let adjusted = seq_of("shrinkage");
    // What a count found is put right by another count.
    assert_eq!((offered(&item, adjusted), offered(&item, seq_of("counted"))), (true, false));
    let viewer = rules::with_role(&shop, onhand_web::Role::Viewer).await;
    assert!(!offered(&viewer.page("/items/MUG").await, adjusted));
    let form = format!("key=u-3&seq={adjusted}");
    let (status, _, text) = browser.post("/items/MUG/preview/undo", &form, "same-origin").await;
    assert!(status == StatusCode::OK && text.contains("Nothing is done yet"), "{status} {text}");
    for _ in 0..2 {
        let (status, _, text) = browser.post("/items/MUG/undo", &form, "same-origin").await;
        assert_eq!(status, StatusCode::SEE_OTHER, "{text}");
    }
    let history = shop.get("/v1/items/MUG/history").await;
    let row = history["data"].as_array().unwrap().iter().find(|row| row["seq"] == adjusted).unwrap().clone();
    assert_eq!(row["reversed"], json!(3), "{row}");
    assert!(!offered(&browser.page("/items/MUG").await, adjusted), "once");
    let again = format!("key=u-4&seq={adjusted}");
    let (status, _, text) = browser.post("/items/MUG/undo", &again, "same-origin").await;
    assert!(status.is_client_error() && text.contains("Nothing was changed"), "{status} {text}");
    let (status, _, text) = browser.post("/items/MUG/undo", "key=u-5&seq=x", "same-origin").await;
    assert!(status == StatusCode::NOT_FOUND, "{status} {text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_item_has_a_picture_and_each_action_says_first_what_follows() {
    let shop = Shop::open().await;
    for location in ["BERLIN"] {
        shop.accepted("/v1/locations", json!({ "code": location })).await;
    }
    received(&shop, 20).await;
    let browser = signed_in(&shop).await;
    let item = browser.page("/items/MUG?over=day").await;
    for said in ["<svg", "Over the last day on hand went from", "the most 20", "1 receipt", "As a table"] {
        assert!(item.contains(said), "{said}: {item}");
    }
    let seq = || shop.handle.ledger().read(TenantId::DEFAULT, |view| Ok(view.seq())).unwrap();
    let before = seq();
    for (act, form, said) in [
        ("adjust", "quantity=-3&reason=correction", "No system would show another number"),
        ("transfer", "quantity=5&to=BERLIN", "No system would show another number"),
        ("transfer", "quantity=50&to=BERLIN", "✕"),
        ("hold", "quantity=2&minutes=0", "a hold lasts 1 to 10080 minutes"),
        ("adjust", "quantity=&reason=correction", "the quantity"),
    ] {
        let form = format!("key=page-1&location=LONDON&{form}");
        let (status, _, text) =
            browser.post(&format!("/items/MUG/preview/{act}"), &form, "same-origin").await;
        assert!(status == StatusCode::OK && text.contains(said), "{act}: {status} {text}");
    }
    assert_eq!(seq(), before, "nothing is done by looking");
    for (act, form) in [("transfer", "quantity=5&to=BERLIN"), ("hold", "quantity=2&minutes=30")] {
        let form = format!("key=page-{act}&location=LONDON&{form}");
        let (status, _, text) = browser.post(&format!("/items/MUG/{act}"), &form, "same-origin").await;
        assert_eq!(status, StatusCode::SEE_OTHER, "{text}");
    }
    let stock = shop.get("/v1/items/MUG/stock").await;
    assert_eq!((&stock["total"]["available"], &stock["total"]["reserved"]), (&json!(18), &json!(2)));
    assert_eq!(
        browser.post("/items/MUG/explode", "key=page-9&location=LONDON&quantity=1", "same-origin").await.0,
        StatusCode::NOT_FOUND
    );
}
