//! The floor's pages: what each scan comes to, as a browser without script posts it and as the script does.

#[path = "support/mod.rs"]
mod support;

use std::sync::Arc;

use axum::http::{StatusCode, header};
use onhand_ledger::{Instant, TenantId};
use onhand_web::{Role, Sessions, auth};
use serde_json::{Value, json};
use support::browser::{Browser, signed_in, stranger};
use support::{Shop, time};

const MUG: &str = "4006381333931";
const CASE: &str = "10614141000415";

/// London with a dock, two shelves and a blind spot; Berlin; mugs by the piece and by the case, tea in lots, spoons.
async fn warehouse() -> Shop {
    // A clerk who comes back hours later goes on.
    let shop = Shop::open_with(Arc::new(Sessions::new(24 * 60, 100))).await;
    for (code, name, parent) in [
        ("BERLIN", "Berlin", None),
        ("DOCK", "Dock of London", Some("LONDON")),
        ("A-01", "Shelf by the door", Some("LONDON")),
        ("A-02", "Shelf by the window", Some("LONDON")),
    ] {
        shop.accepted("/v1/locations", json!({ "code": code, "name": name, "parent": parent })).await;
    }
    let case = json!([{ "name": "case", "quantity": 6, "barcode": CASE }]);
    for item in [
        json!({ "sku": "MUG", "name": "Blue mug", "barcodes": [MUG], "packs": case, "aliases": ["mug-old"] }),
        json!({ "sku": "SPOON", "name": "Tea spoon" }),
        json!({ "sku": "TEA", "name": "Green tea", "tracking": "lots" }),
    ] {
        shop.accepted("/v1/items", item).await;
    }
    shop
}

/// A clerk with a scanner, at one page.
struct Clerk<'a> {
    browser: Browser<'a>,
    task: &'static str,
    /// Where the clerk stands, as the page's address has it.
    standing: String,
    scans: u32,
}

/// What a page says.
struct Heard {
    status: StatusCode,
    fate: String,
    said: String,
    page: String,
}

fn between<'t>(text: &'t str, before: &str, after: &str) -> Option<&'t str> {
    text.split_once(before)?.1.split_once(after).map(|(found, _)| found)
}

impl<'a> Clerk<'a> {
    async fn at(shop: &'a Shop, task: &'static str, standing: &str) -> Clerk<'a> {
        let grant = auth::Grant { role: Role::Clerk, rights: &[], rate: None };
        let key = match auth::create_key_as(&shop.handle, TenantId::DEFAULT, "Ann", grant).await {
            Ok(key) => key,
            Err(error) => panic!("{error:?}"),
        };
        let mut browser = stranger(shop);
        browser.sign_in(&key).await;
        Clerk { browser, task, standing: standing.to_owned(), scans: 0 }
    }

    fn goes_to(&mut self, task: &'static str, standing: &str) {
        (self.task, self.standing) = (task, standing.to_owned());
    }

    /// A form of the page: what is said in it goes before what it has from the page.
    fn form(&self, fields: &str) -> String {
        let said: Vec<_> = fields.split('&').filter_map(|field| field.split_once('=')).collect();
        let is_said = |field: &str| said.iter().any(|(name, _)| field.split('=').next() == Some(name));
        let standing = self.standing.split('&').filter(|field| !is_said(field));
        standing.chain(fields.split('&')).collect::<Vec<_>>().join("&")
    }

    /// Sends a scan with the next key.
    async fn says(&mut self, fields: &str) -> Heard {
        self.scans += 1;
        let key = self.scans;
        self.sends(&format!("key=floor-{key}&{fields}")).await
    }

    async fn scans(&mut self, code: &str) -> Heard {
        self.says(&format!("code={code}")).await
    }

    /// Sends a scan as it is, and stands where the page says afterwards.
    async fn sends(&mut self, fields: &str) -> Heard {
        let form = self.form(fields);
        self.posts(&format!("/floor/{}", self.task), &form).await
    }

    async fn posts(&mut self, path: &str, form: &str) -> Heard {
        let (status, page) = self.browser.scan(path, form).await;
        let said = between(&page, "<div id=\"said\"", "</div>").unwrap_or_default().to_owned();
        let href = between(&page, "data-href=\"", "\"").map(|href| href.replace("&#38;", "&"));
        if let Some(href) = href {
            self.standing = href.split_once('?').map_or_else(String::new, |(_, query)| query.to_owned());
        }
        let fate = between(&said, "data-fate=\"", "\"").unwrap_or_default().to_owned();
        Heard { status, fate, said, page }
    }

    /// Takes back the newest of the last scans.
    async fn undoes(&mut self, key: &str) -> Heard {
        let newest = between(&format!("{}&", self.standing), "scans=", "&").unwrap_or_default().to_owned();
        let newest = newest.split("%2C").next().unwrap().to_owned();
        let form = self.form(&format!("key={key}&seq={newest}"));
        self.posts(&format!("/floor/{}/undo", self.task), &form).await
    }
}

impl Heard {
    #[track_caller]
    fn is(&self, fate: &str, said: &str) -> &Self {
        assert!(
            self.fate == fate && self.said.contains(said),
            "{} {}: {}",
            self.status,
            self.fate,
            self.said
        );
        self
    }
}

async fn on_hand(shop: &Shop, sku: &str, location: &str) -> Value {
    let stock = shop.get(&format!("/v1/items/{sku}/stock")).await;
    let places = stock["locations"].as_array().unwrap();
    places
        .iter()
        .find(|place| place["location"] == location)
        .map_or(json!(0), |place| place["on_hand"].clone())
}

async fn movements(shop: &Shop, sku: &str) -> usize {
    shop.get(&format!("/v1/items/{sku}/history?limit=100")).await["data"].as_array().unwrap().len()
}

fn seq(shop: &Shop) -> u64 {
    shop.handle.ledger().read(TenantId::DEFAULT, |view| Ok(view.seq())).unwrap()
}

fn clock(shop: &Shop, at: &str) {
    shop.clock.set(Instant::parse(&time(at)).unwrap());
}

#[tokio::test(flavor = "multi_thread")]
async fn without_script_a_form_is_a_scan_and_sent_again_it_is_one() {
    let shop = warehouse().await;
    let clerk = Clerk::at(&shop, "receive", "at=DOCK").await;
    let page = clerk.browser.page("/floor/receive?at=DOCK").await;
    let key = between(&page, "name=\"key\" value=\"", "\"").unwrap();
    assert!(page.contains("autofocus") && key.starts_with("page-"), "{page}");
    let form = format!("key={key}&at=DOCK&quantity=2&code={MUG}");
    let mut there = Vec::new();
    for _ in 0..3 {
        let (status, headers, text) = clerk.browser.post("/floor/receive", &form, "same-origin").await;
        assert_eq!(status, StatusCode::SEE_OTHER, "{text}");
        there.push(headers[header::LOCATION].to_str().unwrap().to_owned());
    }
    assert!(there.iter().all(|address| *address == there[0]), "{there:?}");
    assert_eq!(on_hand(&shop, "MUG", "DOCK").await, json!(2));
    let page = clerk.browser.page(&there[0]).await;
    for said in ["Your last scans", "2 ×", "received at DOCK", "Blue mug", "Undo 2 × MUG"] {
        assert!(page.contains(said), "{said}: {page}");
    }
    // What is not known is told on the very page, whose field awaits the next.
    let form = "key=floor-x&at=DOCK&code=4006381333932";
    let (status, _, page) = clerk.browser.post("/floor/receive", form, "same-origin").await;
    assert_eq!(status, StatusCode::NOT_FOUND);
    assert!(page.contains("one was misread") && page.contains("id=\"code\""), "{page}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_code_is_an_item_a_pack_of_it_a_location_or_plainly_nothing() {
    let shop = warehouse().await;
    let mut clerk = Clerk::at(&shop, "receive", "at=DOCK").await;
    for (code, units) in [(MUG, 1), ("MUG", 2), ("mug-old", 3), (CASE, 9), ("0004006381333931", 9)] {
        clerk.scans(code).await;
        assert_eq!(on_hand(&shop, "MUG", "DOCK").await, json!(units), "{code}");
    }
    clerk
        .says(&format!("code={CASE}&quantity=2"))
        .await
        .is("known", "12 × MUG received at DOCK; 21 free at DOCK now");
    let before = seq(&shop);
    for (code, said) in [
        ("4006381333932", "was misread. Scan it again"),
        ("96385074", "have its barcode added"),
        ("WHAT", "no item and no location"),
        ("%20", "Nothing was scanned"),
    ] {
        let heard = clerk.scans(code).await;
        heard.is("unknown", said);
        assert_eq!(heard.status, StatusCode::NOT_FOUND, "{code}");
    }
    clerk.says(&format!("code={MUG}&quantity=-1")).await.is("wrong", "is not more than 0");
    assert_eq!(seq(&shop), before, "nothing was done");
    // A location by its code, and by its name in any case.
    clerk.scans("A-01").await.is("known", "comes in at A-01");
    clerk.scans("SHELF%20by%20the%20Window").await.is("known", "comes in at A-02");
    clerk.scans(MUG).await.is("known", "received at A-02");
    assert!(clerk.standing.contains("at=A-02"), "{}", clerk.standing);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_last_five_scans_are_there_and_each_is_taken_back_once() {
    let shop = warehouse().await;
    let mut clerk = Clerk::at(&shop, "receive", "at=DOCK").await;
    for _ in 0..6 {
        clerk.scans(MUG).await;
    }
    let heard = clerk.scans("SPOON").await;
    assert_eq!(heard.page.matches(">Undo</button>").count(), 5, "{}", heard.page);
    let standing = clerk.standing.clone();
    for _ in 0..2 {
        clerk.standing.clone_from(&standing);
        clerk.undoes("floor-undo").await.is("known", "Taken back");
    }
    assert_eq!(on_hand(&shop, "SPOON", "DOCK").await, json!(0));
    let history = shop.get("/v1/items/SPOON/history").await;
    let rows = history["data"].as_array().unwrap();
    assert_eq!(rows.len(), 2, "{history}");
    assert_eq!((&rows[0]["corrects"], &rows[0]["actor"]), (&rows[1]["seq"], &json!("Ann")), "{history}");
    let heard = clerk.undoes("floor-undo-again").await;
    assert!(heard.fate == "wrong" && heard.page.contains("taken back"), "{}", heard.said);
    // Another's scans, and what is no scan, are not taken back.
    let bob = signed_in(&shop).await;
    for seq in [rows[1]["seq"].to_string(), "1".to_owned(), "x".to_owned(), "99999".to_owned()] {
        let form = format!("key=floor-bob-{seq}&at=DOCK&seq={seq}");
        let (status, text) = bob.scan("/floor/receive/undo", &form).await;
        assert!(status == StatusCode::CONFLICT && text.contains("none of your scans"), "{seq}: {text}");
    }
    clerk.scans("SPOON").await;
    clock(&shop, "19:59");
    clerk.undoes("floor-undo-evening").await.is("known", "Taken back");
    assert_eq!((movements(&shop, "SPOON").await, on_hand(&shop, "MUG", "DOCK").await), (4, json!(6)));
}

#[tokio::test(flavor = "multi_thread")]
async fn goods_of_an_order_are_accepted_rejected_or_all_received() {
    let shop = warehouse().await;
    let lines = json!([{ "sku": "MUG", "quantity": 10 }, { "sku": "SPOON", "quantity": 4 }]);
    let order = json!({ "supplier": "Pottery", "reference": "PO-7", "location": "LONDON", "lines": lines });
    let id = shop.accepted("/v1/purchase-orders", order).await["id"].as_u64().unwrap();
    let mut clerk = Clerk::at(&shop, "receive", "at=LONDON").await;
    let page = clerk.browser.page("/floor/receive?at=DOCK").await;
    assert!(page.contains("PO-7 of Pottery") && page.contains("14 left"), "{page}");
    clerk.goes_to("receive", &format!("at=DOCK&of=purchase-{id}"));
    clerk.scans(CASE).await.is("known", "6 × MUG received at DOCK");
    clerk.says(&format!("code={MUG}&into=damaged")).await.is("known", "1 × MUG received at DOCK, damaged");
    clerk.says(&format!("code={MUG}&into=")).await.is("known", "1 × MUG received at DOCK");
    clerk.says("code=TEA").await.is("known", "Now scan the lot of TEA");
    clerk.scans("L-1").await.is("wrong", "TEA is not expected with PO-7 of Pottery");
    clerk.scans("BERLIN").await.is("wrong", "BERLIN is the wrong place");
    let stock = shop.get("/v1/items/MUG/stock").await;
    assert_eq!((&stock["total"]["available"], &stock["total"]["damaged"]), (&json!(7), &json!(1)));
    let heard = clerk.says("all=yes").await;
    heard.is("known", "and 1 other line");
    assert!(heard.page.contains("all of it is done"), "{}", heard.page);
    let purchase = shop.get(&format!("/v1/purchase-orders/{id}")).await;
    assert_eq!(purchase["state"], "received", "{purchase}");
    // Taken back it is expected again, all that came by it.
    clerk.undoes("floor-undo").await.is("known", "Taken back");
    let purchase = shop.get(&format!("/v1/purchase-orders/{id}")).await;
    let open: Vec<_> = purchase["lines"].as_array().unwrap().iter().map(|line| &line["open"]).collect();
    assert_eq!(open, [&json!(2), &json!(4)], "{purchase}");
    // More than was ordered came: it is there, and taken in.
    clerk.says(&format!("code={MUG}&quantity=3")).await.is("known", "3 × MUG");
    assert_eq!(on_hand(&shop, "MUG", "DOCK").await, json!(11));
}

#[tokio::test(flavor = "multi_thread")]
async fn lots_are_asked_for_where_they_are_told_apart() {
    let shop = warehouse().await;
    let mut clerk = Clerk::at(&shop, "receive", "at=DOCK").await;
    clerk.says("code=TEA&quantity=3").await.is("known", "Now scan the lot of TEA");
    clerk.scans("L-1").await.is("known", "3 × TEA received at DOCK");
    clerk.goes_to("put-away", "at=DOCK&to=A-01");
    clerk.scans("TEA").await.is("known", "Now scan the lot of TEA");
    clerk.scans("L-1").await.is("known", "1 × TEA from DOCK to A-01");
    clerk.scans("TEA").await;
    clerk.scans("L-9").await.is("wrong", "L-9");
    let lots = shop.get("/v1/items/TEA/lots").await;
    let places: Vec<_> =
        lots[0]["places"].as_array().unwrap().iter().map(|place| &place["quantity"]).collect();
    assert_eq!((lots.as_array().unwrap().len(), places), (1, vec![&json!(2), &json!(1)]), "{lots}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_came_in_is_put_away_on_shelves_of_its_site_alone() {
    let shop = warehouse().await;
    let mut clerk = Clerk::at(&shop, "receive", "at=DOCK").await;
    clerk.scans(CASE).await;
    clerk.goes_to("put-away", "");
    clerk.scans("DOCK").await.is("known", "The goods are at DOCK. Scan where they go.");
    clerk.scans(MUG).await.is("wrong", "scan where it goes first");
    clerk.scans("BERLIN").await.is("wrong", "BERLIN is the wrong place");
    clerk.scans("DOCK").await.is("wrong", "is where the goods are now");
    clerk.scans("A-01").await.is("known", "A-01 it is");
    clerk.scans(MUG).await.is("known", "1 × MUG from DOCK to A-01; 1 free at A-01 now");
    clerk.says(&format!("code={MUG}&quantity=3")).await.is("known", "3 × MUG");
    clerk.scans("A-02").await;
    clerk.scans(MUG).await.is("known", "to A-02");
    let heard = clerk.scans(CASE).await;
    heard.is("wrong", "Cannot take 6 of MUG at DOCK: 1 available.");
    assert_eq!(heard.status, StatusCode::CONFLICT);
    for (place, there) in [("DOCK", 1), ("A-01", 4), ("A-02", 1)] {
        assert_eq!(on_hand(&shop, "MUG", place).await, json!(there), "{place}");
    }
    clerk.undoes("floor-undo").await.is("known", "Taken back");
    assert_eq!(on_hand(&shop, "MUG", "DOCK").await, json!(2));
}

#[tokio::test(flavor = "multi_thread")]
async fn goods_go_to_another_location_at_once_or_as_a_transfer_says() {
    let shop = warehouse().await;
    let mut clerk = Clerk::at(&shop, "receive", "at=LONDON").await;
    clerk.says(&format!("code={CASE}&quantity=2")).await;
    clerk.goes_to("transfer", "at=LONDON");
    clerk.scans("BERLIN").await.is("known", "BERLIN it is");
    clerk.scans(MUG).await.is("known", "1 × MUG from LONDON to BERLIN");
    let lines = json!([{ "sku": "MUG", "quantity": 2 }]);
    let plan = json!({ "reference": "T-1", "from": "LONDON", "to": "BERLIN", "lines": lines });
    let id = shop.accepted("/v1/transfers", plan).await["id"].as_u64().unwrap();
    assert!(clerk.browser.page("/floor/transfer?at=LONDON").await.contains("transfer T-1"));
    clerk.goes_to("transfer", &format!("at=LONDON&of=transfer-{id}"));
    clerk.scans("SPOON").await.is("wrong", "SPOON is not in transfer T-1");
    clerk.scans("A-01").await.is("wrong", "A-01 is the wrong place");
    for _ in 0..2 {
        let heard = clerk.scans(MUG).await;
        heard.is("known", "1 × MUG left LONDON for BERLIN");
        assert!(!heard.page.contains(">Undo</button>"), "a transfer is corrected where it comes in");
    }
    assert!(clerk.browser.page("/floor/receive?at=BERLIN").await.contains("transfer T-1"));
    clerk.goes_to("receive", &format!("at=BERLIN&of=transfer-{id}"));
    clerk.scans("LONDON").await.is("wrong", "LONDON is the wrong place");
    clerk.scans(MUG).await.is("known", "1 × MUG came in at BERLIN");
    clerk.says("all=yes").await.is("known", "1 × MUG came in at BERLIN");
    assert_eq!(shop.get(&format!("/v1/transfers/{id}")).await["state"], "transferred");
    assert_eq!(
        (on_hand(&shop, "MUG", "LONDON").await, on_hand(&shop, "MUG", "BERLIN").await),
        (json!(9), json!(3))
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_count_is_a_blank_sheet_and_asks_again_where_stock_moved_meanwhile() {
    let shop = warehouse().await;
    let mut clerk = Clerk::at(&shop, "receive", "at=A-01").await;
    clerk.says(&format!("code={CASE}&quantity=2")).await;
    clerk.says("code=SPOON&quantity=5").await;
    clerk.goes_to("count", "");
    clerk.scans("A-01").await.is("known", "You count at A-01");
    clerk.scans(MUG).await.is("wrong", "start a count first");
    clerk.says("sheet=blind").await.is("known", "is open. Scan the first thing you see");
    clock(&shop, "09:00");
    // By the piece and by the case, until something else is scanned.
    clerk.scans(MUG).await.is("known", "MUG: 1");
    clerk.scans(CASE).await.is("known", "MUG: 7");
    clerk.scans("WHAT").await.is("unknown", "no item");
    clerk.scans("DOCK").await.is("wrong", "this count is of A-01");
    clerk.scans(MUG).await.is("known", "MUG: 8");
    let heard = clerk.scans("SPOON").await;
    heard.is("known", "MUG: 8 counted");
    assert!(!heard.page.contains("should be"), "it is blind: {}", heard.page);
    // Sold between the look and its being told: whoever looked is asked to look again, for the number differs.
    let sold =
        json!({ "location": "A-01", "reason": "shrinkage", "lines": [{ "sku": "SPOON", "quantity": -1 }] });
    clock(&shop, "09:05");
    shop.accepted("/v1/movements/adjust", sold).await;
    let heard = clerk.says("number=3&ago=60000").await;
    heard.is("again", "Count SPOON again: its stock moved meanwhile");
    assert!(heard.status == StatusCode::OK && heard.page.contains("1 to look at again"), "{}", heard.page);
    let session = between(&format!("{}&", clerk.standing), "of=", "&").unwrap().to_owned();
    // Not by whoever counts; and not before somebody has looked again.
    let form = clerk.form("key=floor-book");
    let heard = clerk.posts("/floor/count/book", &form).await;
    assert_eq!(heard.status, StatusCode::FORBIDDEN);
    let boss = signed_in(&shop).await;
    let (status, text) = boss.scan("/floor/count/book", &format!("key=floor-book-1&of={session}")).await;
    assert!(status == StatusCode::CONFLICT && text.contains("SPOON"), "{status} {text}");
    clerk.goes_to("count", &format!("at=A-01&of={session}"));
    clerk.scans("SPOON").await.is("known", "SPOON: 1");
    clerk.scans("4").await.is("known", "SPOON: 4 counted");
    assert_eq!(on_hand(&shop, "MUG", "A-01").await, json!(12), "nothing is booked before");
    let (status, text) = boss.scan("/floor/count/book", &format!("key=floor-book-2&of={session}")).await;
    assert!(status == StatusCode::OK && text.contains("is booked"), "{status} {text}");
    assert_eq!(
        (on_hand(&shop, "MUG", "A-01").await, on_hand(&shop, "SPOON", "A-01").await),
        (json!(8), json!(4))
    );
    clerk.scans(MUG).await.is("wrong", "has ended");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_open_count_shows_what_should_be_there_and_numbers_are_said_in_three_ways() {
    let shop = warehouse().await;
    shop.accepted("/v1/items", json!({ "sku": "12", "name": "A dozen" })).await;
    let mut clerk = Clerk::at(&shop, "receive", "at=A-01").await;
    clerk.says("code=SPOON&quantity=5").await;
    clerk.goes_to("count", "at=A-01");
    clerk.says("sheet=open").await;
    let heard = clerk.scans("SPOON").await;
    assert!(heard.page.contains("should be 5"), "{}", heard.page);
    clerk.scans("%3D12").await.is("known", "SPOON: 12 counted");
    clerk.scans("SPOON").await;
    clerk.says("number=7").await.is("known", "SPOON: 7 counted");
    clerk.scans("SPOON").await;
    clerk.says("code=").await.is("known", "SPOON: 1 counted");
    // A number that is the name of something is that.
    clerk.scans("SPOON").await;
    let heard = clerk.scans("12").await;
    heard.is("known", "SPOON: 1 counted");
    assert!(clerk.standing.contains("item=12"), "{}", clerk.standing);
    clerk.says("number=-1").await.is("wrong", "0 or more");
    clerk.scans("many").await.is("unknown", "no item");
    clerk.says("number=0").await.is("known", "12: 0 counted");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_scan_that_waited_happened_when_it_was_made() {
    let shop = warehouse().await;
    let mut clerk = Clerk::at(&shop, "receive", "at=DOCK").await;
    clock(&shop, "10:00");
    // Counted at 9:58 with what was received at 9:55, of which we hear at 10:00: it is in that count.
    let count =
        json!({ "location": "DOCK", "as_of": time("09:58"), "lines": [{ "sku": "MUG", "quantity": 1 }] });
    shop.accepted("/v1/counts", count).await;
    let scan = format!("key=floor-1&ago=300000&code={MUG}");
    clerk.sends(&scan).await.is("known", "1 × MUG received at DOCK");
    assert_eq!(on_hand(&shop, "MUG", "DOCK").await, json!(1));
    // The answer was lost: a minute later the same scan is the same, where its maker stood then.
    clock(&shop, "10:01");
    let before = seq(&shop);
    clerk.goes_to("receive", "at=DOCK");
    clerk.sends(&scan.replace("300000", "360000")).await.is("known", "1 × MUG received at DOCK");
    assert_eq!(seq(&shop), before);
    // Another scan under the same key is refused.
    clerk.sends("key=floor-1&code=SPOON").await.is("wrong", "key");
    assert_eq!(seq(&shop), before);
}

/// Whatever is sent again, and however often: each scan is done once, in its order.
#[tokio::test(flavor = "multi_thread")]
async fn scans_that_are_sent_again_at_random_are_each_done_once() {
    let shop = warehouse().await;
    let mut clerk = Clerk::at(&shop, "receive", "at=DOCK").await;
    let (mut dice, mut mugs, mut spoons) = (7_u64, 0, 0);
    for scan in 0..60 {
        dice = dice.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let (code, units) = [(MUG, 1), (CASE, 6), ("SPOON", 1)][(dice >> 33) as usize % 3];
        let before = clerk.standing.clone();
        for copy in 0..=(dice >> 40) % 3 {
            clerk.standing.clone_from(&before);
            let form = format!("key=floor-{scan}&ago={}&code={code}", copy * 700);
            clerk.sends(&form).await.is("known", "received at DOCK");
        }
        if code == "SPOON" { spoons += units } else { mugs += units }
    }
    assert_eq!(
        (on_hand(&shop, "MUG", "DOCK").await, on_hand(&shop, "SPOON", "DOCK").await),
        (json!(mugs), json!(spoons))
    );
    assert_eq!(movements(&shop, "MUG").await + movements(&shop, "SPOON").await, 60);
}

#[tokio::test(flavor = "multi_thread")]
async fn viewers_look_up_and_scan_nothing_in_and_no_other_site_or_tenant_does() {
    let shop = warehouse().await;
    let mut clerk = Clerk::at(&shop, "receive", "at=DOCK").await;
    clerk.scans(CASE).await;
    let before = seq(&shop);
    let grant = auth::Grant { role: Role::Viewer, rights: &[], rate: None };
    let key = auth::create_key_as(&shop.handle, TenantId::DEFAULT, "Vic", grant).await.unwrap();
    let mut viewer = stranger(&shop);
    viewer.sign_in(&key).await;
    for task in ["receive", "put-away", "count", "transfer"] {
        let page = viewer.page(&format!("/floor/{task}?at=DOCK")).await;
        assert!(!page.contains("id=\"code\""), "{task}");
        for path in [format!("/floor/{task}"), format!("/floor/{task}/undo")] {
            let (status, text) = viewer.scan(&path, &format!("key=floor-v&at=DOCK&code={MUG}")).await;
            assert!(status == StatusCode::FORBIDDEN && text.contains("this needs a clerk"), "{path} {text}");
        }
    }
    let (status, text) = viewer.scan("/floor/look-up", &format!("code={CASE}")).await;
    assert!(status == StatusCode::OK && text.contains("a pack of 6") && text.contains("DOCK"), "{text}");
    let (_, text) = viewer.scan("/floor/look-up", "code=A-01").await;
    assert!(text.contains("in LONDON") && text.contains("/stock?location=A-01"), "{text}");
    let form = format!("key=floor-s&at=DOCK&code={MUG}");
    for site in ["cross-site", "same-site"] {
        let (status, ..) = clerk.browser.post("/floor/receive", &form, site).await;
        assert_eq!(status, StatusCode::FORBIDDEN, "{site}");
    }
    assert_eq!(stranger(&shop).post("/floor/receive", &form, "same-origin").await.0, StatusCode::SEE_OTHER);
    assert_eq!(clerk.browser.get("/floor/juggle").await.0, StatusCode::NOT_FOUND);
    // Another tenant has neither our places nor our items.
    let key = auth::create_key(&shop.handle, TenantId(7), "other").await.unwrap();
    let mut other = stranger(&shop);
    other.sign_in(&key).await;
    for code in [MUG, "MUG", "DOCK"] {
        let (status, text) = other.scan("/floor/look-up", &format!("code={code}")).await;
        assert!(status == StatusCode::NOT_FOUND && !text.contains("Blue mug"), "{code}: {text}");
    }
    assert_eq!(seq(&shop), before);
}
