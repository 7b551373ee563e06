//! Connecting a system on pages: the whole walk, what is typed badly, what is not there, and who may.

use std::sync::Arc;

use axum::http::{StatusCode, header};
use onhand_channels::{
    Channel, ChannelError, Discovery, Meaning, OrderPage, Push, Pushed, Reading, RemoteListing,
    RemoteLocation,
};
use onhand_engine::systems::{Connection, Connector};
use onhand_ledger::{Quantity, TenantId};
use onhand_web::auth::{self, Grant};
use onhand_web::{App, Role};
use serde_json::{Value, json};

use crate::support::{self, Shop};
use crate::{Browser, signed_in, stranger};

const SECRET: &str = "s3cret-0f-the-shop";
/// A name from right to left, and one as long as they come.
const MUG_THERE: &str = "כוס כחולה, 300 מ״ל";

/// One shop in the street: `full`, `empty`, of many listings, or away, by its address.
struct Street;

impl Connector for Street {
    fn connect(&self, name: &str, connection: &Connection) -> Result<Arc<dyn Channel>, ChannelError> {
        let system = name.to_owned();
        if !["shop", "files"].contains(&connection.kind.as_str()) {
            let reason = format!("there is no channel for `{}`", connection.kind);
            return Err(ChannelError::Unexpected { system, reason });
        }
        if connection.settings.contains_key("colour") {
            let reason = "there is no setting `colour`".to_owned();
            return Err(ChannelError::Settings { system, reason });
        }
        let is_let_in = connection.secret.reveal() == SECRET;
        Ok(Arc::new(StreetShop { system, url: connection.url.clone(), is_let_in }))
    }
}

struct StreetShop {
    system: String,
    url: String,
    is_let_in: bool,
}

impl StreetShop {
    fn is(&self, what: &str) -> bool {
        self.url.contains(what)
    }

    fn listings(&self) -> Vec<RemoteListing> {
        let listing = |id: &str, sku: Option<&str>, name: &str, barcode: Option<&str>| RemoteListing {
            remote_id: id.to_owned(),
            sku: sku.map(str::to_owned),
            name: name.to_owned(),
            barcode: barcode.map(str::to_owned),
            tracked: true,
        };
        if self.is("many") {
            let many = (0..120).map(|number| format!("{number:03}"));
            return many.map(|id| listing(&id, Some(&format!("T-{id}")), "Tea", None)).collect();
        }
        let long = format!("<b>{}", "long ".repeat(40).trim_end());
        vec![
            listing("l1", Some("MUG"), MUG_THERE, None),
            listing("l2", None, "Six cups", Some("4006381333931")),
            listing("l3", Some("NEW-1"), &long, None),
            listing("l4", Some("GIFT"), "Gift card", None),
        ]
    }

    fn reached<T>(&self, answer: T) -> Result<T, ChannelError> {
        if self.is("away") {
            let reason = "nobody answered within 5 s".to_owned();
            return Err(ChannelError::Unreachable { system: self.system.clone(), reason });
        }
        Ok(answer)
    }
}

#[async_trait::async_trait]
impl Channel for StreetShop {
    fn meaning(&self) -> Meaning {
        Meaning::Shown
    }

    fn batch_size(&self) -> usize {
        100
    }

    async fn test(&self) -> Result<(), ChannelError> {
        self.reached(())?;
        if self.is_let_in {
            return Ok(());
        }
        let reason = "401 Unauthorized".to_owned();
        Err(ChannelError::Credentials { system: self.system.clone(), reason })
    }

    async fn discover(&self) -> Result<Discovery, ChannelError> {
        // Where it fails only once it is looked at.
        if self.is("faint") {
            let reason = "it fainted".to_owned();
            return Err(ChannelError::Unreachable { system: self.system.clone(), reason });
        }
        let place = |id: &str, name: &str| RemoteLocation { remote_id: id.to_owned(), name: name.to_owned() };
        if self.is("empty") {
            return Ok(Discovery { listings: Vec::new(), locations: Vec::new() });
        }
        let locations = vec![place("a", "London"), place("b", "Back room")];
        Ok(Discovery { listings: self.listings(), locations })
    }

    async fn read(&self, ids: &[String]) -> Result<Vec<Reading>, ChannelError> {
        let known = self.listings();
        let reading = |id: &String| Reading {
            listing: id.clone(),
            location: "a".to_owned(),
            quantity: Quantity::units(7),
            on_hand: None,
            allocated: None,
            tracked: true,
        };
        Ok(ids.iter().filter(|id| known.iter().any(|known| known.remote_id == **id)).map(reading).collect())
    }

    async fn push(&self, _: &[Push]) -> Result<Vec<Pushed>, ChannelError> {
        panic!("nothing is sent while a system is connected");
    }

    async fn orders(&self, _: Option<&str>) -> Result<OrderPage, ChannelError> {
        Ok(OrderPage { orders: Vec::new(), cursor: "end".to_owned(), more: false })
    }
}

async fn street() -> Shop {
    let mut shop = Shop::open().await;
    let app = App { connector: Arc::new(Street), ..support::app(shop.handle.clone()) };
    shop.router = onhand_web::router(app);
    let packs = json!([{ "name": "six", "quantity": 6, "barcode": "4006381333931" }]);
    shop.accepted("/v1/items", json!({ "sku": "CUP", "packs": packs })).await;
    shop
}

/// A text as a form has it.
fn typed(text: &str) -> String {
    text.bytes().map(|byte| format!("%{byte:02X}")).collect()
}

fn form(name: &str, url: &str, secret: &str) -> String {
    let [name, url] = [name, url].map(typed);
    format!("kind=shop&name={name}&url={url}&username=&secret={secret}&role=shop&settings=")
}

/// Posts, and where that leads; what is wrong else.
async fn sent(browser: &Browser<'_>, path: &str, form: &str) -> Result<String, (StatusCode, String)> {
    let (status, headers, text) = browser.post(path, form, "same-origin").await;
    match headers.get(header::LOCATION) {
        Some(led) if status == StatusCode::SEE_OTHER => Ok(led.to_str().unwrap().to_owned()),
        _ => Err((status, text)),
    }
}

/// Posts, and the page that answers it.
async fn answered(browser: &Browser<'_>, path: &str, form: &str) -> String {
    let (status, _, text) = browser.post(path, form, "same-origin").await;
    assert_eq!(status, StatusCode::OK, "{text}");
    text
}

async fn begun(browser: &Browser<'_>, name: &str, url: &str) -> String {
    sent(browser, "/systems/connect", &form(name, url, SECRET)).await.unwrap()
}

/// What is said to be wrong at a field.
fn wrong_at(page: &str, field: &str) -> String {
    let at = page.split(&format!("id=\"wrong-{field}\">")).nth(1).unwrap_or_default();
    at.split('<').next().unwrap_or_default().to_owned()
}

fn seq(shop: &Shop) -> u64 {
    shop.handle.ledger().read(TenantId::DEFAULT, |view| Ok(view.seq())).unwrap()
}

fn primaries(page: &str) -> usize {
    let main = page.split("<main").nth(1).unwrap();
    main.matches("class=\"primary\"").count() + main.matches("class=\"button primary\"").count()
}

async fn system(shop: &Shop, name: &str) -> Value {
    shop.get(&format!("/v1/systems/{name}")).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_shop_is_connected_step_by_step_and_watched() {
    let shop = street().await;
    let browser = signed_in(&shop).await;
    assert!(browser.page("/systems").await.contains("href=\"/systems/connect\""));
    let led = begun(&browser, "Corner", "http://corner.test/full").await;
    assert_eq!(led, "/systems/Corner/connect/found");
    let on = |step: &str| format!("/systems/Corner/connect/{step}");
    // Each page has one primary button, and says where it is; where it goes on is kept.
    let goes_on = async |step: &str| {
        let (status, headers, _) = browser.get("/systems/Corner/connect").await;
        assert_eq!(status, StatusCode::SEE_OTHER);
        assert_eq!(headers[header::LOCATION].to_str().unwrap(), on(step));
        let page = browser.page(&on(step)).await;
        assert_eq!(page.matches("aria-current=\"step\"").count(), 1, "{page}");
        assert_eq!(primaries(&page), 1, "{step}: {page}");
        assert!(!page.contains(SECRET));
        page
    };
    assert!(goes_on("found").await.contains("Look at what it has"));
    for _ in 0..2 {
        let page = answered(&browser, &on("found"), "").await;
        for said in ["4 listings", "Back room", "<bdi>London</bdi>", "waiting for you"] {
            assert!(page.contains(said), "{said}: {page}");
        }
    }
    let page = goes_on("locations").await;
    assert!(page.contains("proposed: the same name"), "{page}");
    let places = "remote=a&ours=LONDON&remote=b&ours=";
    assert_eq!(sent(&browser, &on("locations"), places).await, Ok(on("matches")));
    let before = seq(&shop);
    assert_eq!(sent(&browser, &on("locations"), places).await, Ok(on("matches")));
    assert_eq!(seq(&shop), before, "sent twice it comes to the same");
    assert_eq!(system(&shop, "Corner").await["locations"][1]["location"], Value::Null);

    let page = goes_on("matches").await;
    for said in [MUG_THERE, "same SKU", "same barcode", "&#60;b&#62;long", "Waiting 4", "value=\"6\""] {
        assert!(page.contains(said), "{said}: {page}");
    }
    let page = answered(&browser, &on("matches"), "act=link-all").await;
    assert!(page.contains("Done with 1 listing; 3 left") && page.contains("Linked 1"), "{page}");
    assert!(!page.contains("Link all that are proposed"), "{page}");
    let six = "remote=l2&act=link&sku=CUP&multiplier=6";
    for form in [six, six, "remote=l3&act=make", "remote=l3&act=make", "remote=l4&act=ignore"] {
        assert_eq!(sent(&browser, &on("matches"), form).await, Ok(on("matches")), "{form}");
    }
    let page = browser.page(&on("matches")).await;
    assert!(page.contains("None waits: 3 linked, 1 ignored") && primaries(&page) == 1, "{page}");
    assert!(browser.page(&format!("{}?show=ignored", on("matches"))).await.contains("Gift card"));
    let listings = shop.get("/v1/systems/Corner/listings").await;
    let cups = listings["data"].as_array().unwrap().iter().find(|row| row["remote_id"] == "l2").unwrap();
    assert_eq!((&cups["sku"], &cups["multiplier"]), (&json!("CUP"), &json!(6)));

    let page = browser.page(&on("opening")).await;
    assert!(page.contains("not taken") && primaries(&page) == 1, "{page}");
    for _ in 0..2 {
        assert_eq!(sent(&browser, &on("opening"), "location=LONDON").await, Ok(on("opening")));
    }
    let page = browser.page(&on("opening")).await;
    assert!(page.contains("taken from <bdi>Corner</bdi>") && page.contains("3 items"), "{page}");
    assert_eq!(shop.get("/v1/items/CUP/stock").await["total"]["on_hand"], json!(42));

    // Somebody receives one more, so that a number differs.
    let lines = json!({ "location": "LONDON", "lines": [{ "sku": "MUG", "quantity": 1 }] });
    shop.accepted("/v1/movements/receive", lines).await;
    assert!(goes_on("dry-run").await.contains(">Dry run</button>"));
    let page = answered(&browser, &on("dry-run"), "").await;
    for said in ["1 of 3 numbers would change, none of them to 0. Nothing was changed.", "strong\">8<"] {
        assert!(page.contains(said), "{said}: {page}");
    }
    assert_eq!(primaries(&page), 1, "{page}");
    assert!(browser.page("/systems/Corner").await.contains("Go on connecting it"));
    for (to, stage) in [("watching", "watching"), ("watching", "watching"), ("live", "live")] {
        let led = sent(&browser, &on("stage"), &format!("to={to}")).await;
        assert_eq!(led, Ok("/systems/Corner".to_owned()));
        assert_eq!(system(&shop, "Corner").await["stage"], stage);
    }
    let page = browser.page(&on("dry-run")).await;
    assert!(page.contains("is live") && page.contains("Back to watching"), "{page}");
    let history = shop.get("/v1/items/CUP/history").await;
    assert_eq!(history["data"][0]["actor"], "test", "it is whoever pressed");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_wrong_with_a_key_is_said_at_its_field_and_all_but_the_secret_stays() {
    let shop = street().await;
    let browser = signed_in(&shop).await;
    let before = seq(&shop);
    let (long, rtl) = ("n".repeat(200), "חנות הפינה");
    let at = "http://corner.test/full";
    for (form, field, why) in [
        (form(rtl, at, "wrong-s3cret"), "secret", "does not accept these credentials"),
        (form(rtl, "http://corner.test/away", SECRET), "url", "nobody answered within 5 s"),
        (form(rtl, "corner", SECRET), "url", "is no address of an API"),
        (form(rtl, "http://me:pw@corner.test", SECRET), "url", "must not have a name or password"),
        (form(&long, at, SECRET), "name", "has more than 100 characters"),
        (form("", at, SECRET), "name", "must not be empty"),
        (form("connect", at, SECRET), "name", "choose another name"),
        (form("WEB", at, SECRET), "name", "is connected already"),
        (form(rtl, at, SECRET).replace("kind=shop", "kind=telex"), "kind", "there is no channel"),
        (form(rtl, at, SECRET).replace("role=shop", "role=boss"), "role", "choose one of these"),
        (form(rtl, at, SECRET) + "colour%3Dred", "settings", "there is no setting"),
        (form(rtl, at, SECRET) + "colour", "settings", "is no setting"),
    ] {
        let (status, page) = sent(&browser, "/systems/connect", &form).await.unwrap_err();
        assert_eq!(status, StatusCode::UNPROCESSABLE_ENTITY, "{form}");
        let told = wrong_at(&page, field);
        assert!(told.contains(why), "{field}: {told:?} {page}");
        assert!(!page.contains(SECRET) && !page.contains("wrong-s3cret"), "{page}");
        assert!(
            page.contains("autocomplete=\"new-password\"") && page.contains("Nothing was changed"),
            "{page}"
        );
        if field != "name" {
            assert!(page.contains(&format!("value=\"{rtl}\"")), "what was typed stays: {page}");
        }
    }
    assert_eq!(seq(&shop), before);
}

#[tokio::test(flavor = "multi_thread")]
async fn sent_twice_it_is_one_system_and_a_key_is_replaced_on_its_own_page_alone() {
    let shop = street().await;
    let browser = signed_in(&shop).await;
    for _ in 0..2 {
        assert_eq!(
            begun(&browser, "A/B ?", "http://corner.test/full").await,
            "/systems/A%2FB%20%3F/connect/found"
        );
    }
    let systems = shop.get("/v1/systems").await;
    assert_eq!(systems["data"].as_array().unwrap().len(), 3);
    let on = |step: &str| format!("/systems/A%2FB%20%3F/connect/{step}");
    // A key that is refused leaves the one before.
    let (_, page) = sent(&browser, &on("key"), "url=http://corner.test/full&secret=no").await.unwrap_err();
    assert!(
        wrong_at(&page, "secret").contains("does not accept") && page.contains("corner.test/full"),
        "{page}"
    );
    assert!(!browser.page(&on("key")).await.contains("corner.test"), "what is kept is shown to nobody");
    answered(&browser, &on("found"), "").await;
    let again = format!("url=http://corner.test/many&secret={SECRET}");
    assert_eq!(sent(&browser, &on("key"), &again).await, Ok(on("found")));
    assert!(answered(&browser, &on("found"), "").await.contains("120 listings"));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_there_is_said_with_what_would_help() {
    let shop = street().await;
    let browser = signed_in(&shop).await;
    begun(&browser, "Bare", "http://corner.test/empty").await;
    let on = |step: &str| format!("/systems/Bare/connect/{step}");
    assert!(browser.page(&on("locations")).await.contains("Look at what it has"));
    assert!(browser.page(&on("matches")).await.contains("Look at what it has"));
    let page = answered(&browser, &on("found"), "").await;
    assert!(page.contains("has nothing for sale") && page.contains("It told us of none"), "{page}");
    assert!(browser.page(&on("matches")).await.contains("None waits"));
    assert!(browser.page(&on("opening")).await.contains("None of its locations is ours yet"));
    let page = browser.page(&on("dry-run")).await;
    assert!(page.contains("None of its locations is ours") && !page.contains("Go live"), "{page}");
    let (status, _) = sent(&browser, &on("stage"), "to=live").await.unwrap_err();
    assert_eq!(status, StatusCode::UNPROCESSABLE_ENTITY);

    // One that fails when it is looked at, and when it is read.
    begun(&browser, "Faint", "http://corner.test/faint").await;
    for step in ["found"] {
        let (status, page) = sent(&browser, &format!("/systems/Faint/connect/{step}"), "").await.unwrap_err();
        assert_eq!(status, StatusCode::UNPROCESSABLE_ENTITY);
        assert!(
            page.contains("Faint cannot be reached: it fainted") && page.contains("Look at what it has"),
            "{page}"
        );
    }
    // One that has no connection at all, and one that is not there.
    let page = browser.page("/systems/WEB/connect/found").await;
    assert!(page.contains("only tells us documents so far") && page.contains("Enter its key"), "{page}");
    let (_, page) = sent(&browser, "/systems/WEB/connect/found", "").await.unwrap_err();
    assert!(page.contains("give its credentials first") && primaries(&page) == 1, "{page}");
    for (path, form) in
        [("key", "url=http://x.test"), ("locations", "remote=a&ours=LONDON"), ("stage", "to=live")]
    {
        let (status, _) = sent(&browser, &format!("/systems/NONE/connect/{path}"), form).await.unwrap_err();
        assert_eq!(status, StatusCode::NOT_FOUND, "{path}");
    }
    assert_eq!(browser.get("/systems/NONE/connect").await.0, StatusCode::NOT_FOUND);
}

#[tokio::test(flavor = "multi_thread")]
async fn listings_come_in_pages_and_what_cannot_be_linked_stays_as_typed() {
    let shop = street().await;
    let browser = signed_in(&shop).await;
    begun(&browser, "Tea", "http://corner.test/many").await;
    let on = |step: &str| format!("/systems/Tea/connect/{step}");
    answered(&browser, &on("found"), "").await;
    let (mut address, mut pages) = (Some(on("matches")), Vec::new());
    while let Some(at) = address {
        let page = browser.page(&at).await;
        pages.push(page.matches("name=\"remote\"").count());
        let next =
            page.split("href=\"").find(|link| link.contains("&after=") || link.contains("&#38;after="));
        address = next.map(|link| link.split('"').next().unwrap().replace("&#38;", "&"));
    }
    assert_eq!(pages, [50, 50, 20]);
    for (form, why) in [
        ("remote=003&after=002&act=link&sku=NONE&multiplier=1", "no item has the SKU"),
        ("remote=003&after=002&act=link&sku=&multiplier=1", "which item it is"),
        ("remote=003&after=002&act=link&sku=MUG&multiplier=six", "a whole number of units"),
        ("remote=none&act=link&sku=MUG&multiplier=1", "has no listing"),
        ("act=link&sku=MUG", "with which listing"),
        ("remote=003&act=burn", "with which listing"),
    ] {
        let (status, page) = sent(&browser, &on("matches"), form).await.unwrap_err();
        assert_eq!(status, StatusCode::UNPROCESSABLE_ENTITY, "{form}");
        assert!(page.contains(why), "{why}: {page}");
        if form.contains("six") {
            assert!(page.contains("value=\"six\"") && page.contains("value=\"MUG\""), "{page}");
        }
    }
    let page = answered(&browser, &on("matches"), "act=make-all").await;
    assert!(page.contains("Done with 120 listings.") && page.contains("None waits"), "{page}");
    // A location of ours that is missing is made where it is missed.
    for _ in 0..2 {
        assert_eq!(sent(&browser, &on("locations"), "make=BACK").await, Ok(on("locations")));
    }
    let (_, page) = sent(&browser, &on("locations"), "remote=a&ours=NOWHERE").await.unwrap_err();
    assert!(page.contains("NOWHERE"), "{page}");
    let led = sent(&browser, &on("locations"), "remote=a&ours=&remote=b&ours=").await;
    assert_eq!(led, Ok(on("locations")), "without any it does not go on");
    assert_eq!(sent(&browser, &on("locations"), "remote=b&ours=BACK").await, Ok(on("matches")));
    let page = answered(&browser, &on("dry-run"), "").await;
    assert!(page.contains("it has no number"), "{page}");
    // Where nothing lies all that it shows would go to 0, and a hundred are shown of it.
    assert_eq!(sent(&browser, &on("locations"), "remote=a&ours=LONDON").await, Ok(on("matches")));
    let page = answered(&browser, &on("dry-run"), "").await;
    assert!(page.contains("120 of 120 numbers would change, 120 of them to 0"), "{page}");
    assert!(page.contains("And 20 more") && page.matches("n strong").count() == 100, "{page}");
}

#[tokio::test(flavor = "multi_thread")]
async fn viewers_and_clerks_look_and_other_sites_do_nothing() {
    let shop = street().await;
    let admin = signed_in(&shop).await;
    begun(&admin, "Corner", "http://corner.test/full").await;
    answered(&admin, "/systems/Corner/connect/found", "").await;
    let forms = [
        ("/systems/connect", form("Mine", "http://corner.test/full", SECRET)),
        ("/systems/Corner/connect/key", format!("url=http://corner.test/full&secret={SECRET}")),
        ("/systems/Corner/connect/found", String::new()),
        ("/systems/Corner/connect/locations", "remote=a&ours=LONDON".to_owned()),
        ("/systems/Corner/connect/locations", "make=BACK".to_owned()),
        ("/systems/Corner/connect/matches", "act=link-all".to_owned()),
        ("/systems/Corner/connect/opening", "location=LONDON".to_owned()),
        ("/systems/Corner/connect/dry-run", String::new()),
        ("/systems/Corner/connect/stage", "to=live".to_owned()),
    ];
    for role in [Role::Viewer, Role::Clerk] {
        let grant = Grant { role, rights: &[], rate: None };
        let key = auth::create_key_as(&shop.handle, TenantId::DEFAULT, role.name(), grant).await.unwrap();
        let mut browser = stranger(&shop);
        browser.sign_in(&key).await;
        let before = seq(&shop);
        for (path, form) in &forms {
            let (status, page) = sent(&browser, path, form).await.unwrap_err();
            assert_eq!(status, StatusCode::FORBIDDEN, "{path}");
            assert!(page.contains("this needs an operator"), "{path}: {page}");
            if *path != "/systems/Corner/connect/stage" {
                let page = browser.page(path).await;
                let main = page.split("<main").nth(1).unwrap();
                assert!(
                    main.contains("operators and admins connect") && !main.contains("method=\"post\""),
                    "{page}"
                );
            }
        }
        assert!(!browser.page("/systems").await.contains("href=\"/systems/connect\""));
        assert_eq!(seq(&shop), before);
    }
    let before = seq(&shop);
    for (path, form) in &forms {
        assert_eq!(admin.post(path, form, "cross-site").await.0, StatusCode::FORBIDDEN, "{path}");
    }
    assert_eq!(seq(&shop), before);
    // Another tenant's system is none here.
    let key = auth::create_key(&shop.handle, TenantId(7), "other").await.unwrap();
    let mut other = stranger(&shop);
    other.sign_in(&key).await;
    assert_eq!(other.get("/systems/Corner/connect/matches").await.0, StatusCode::NOT_FOUND);
}
