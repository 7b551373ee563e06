//! What systems shall show and who is master of what: looked at first, saved as it was shown, by whoever may.

use axum::http::{StatusCode, header};
use onhand_ledger::TenantId;
use onhand_web::Role;
use onhand_web::auth::{self, Grant};
use serde_json::{Value, json};

use crate::support::Shop;
use crate::{Browser, signed_in, stranger};

/// 20 mugs and 8 cups in London, on sale on SHOP.
async fn shop() -> Shop {
    let shop = Shop::open().await;
    let put = json!({ "put_system": { "name": "SHOP", "kind": "test", "locations": [["here", "LONDON"]] } });
    let made = shop.accepted("/v1/commands", json!({ "body": put })).await;
    assert!(made["error"].is_null(), "{made}");
    shop.accepted("/v1/items", json!({ "sku": "CUP", "tags": ["glass"] })).await;
    for (remote, sku, quantity) in [("1", "MUG", 20), ("2", "CUP", 8)] {
        let listing = json!({ "remote_id": remote, "sku": sku });
        shop.accepted("/v1/systems/SHOP/listings", listing).await;
        let lines = json!([{ "sku": sku, "quantity": quantity }]);
        shop.accepted("/v1/movements/receive", json!({ "location": "LONDON", "lines": lines })).await;
    }
    shop
}

pub async fn with_role(shop: &Shop, role: Role) -> Browser<'_> {
    let grant = Grant { role, rights: &[], rate: None };
    let key = auth::create_key_as(&shop.handle, TenantId::DEFAULT, role.name(), grant).await.unwrap();
    let mut browser = stranger(shop);
    browser.sign_in(&key).await;
    browser
}

/// What the button carries that saves what a page shows.
fn button(page: &str) -> Option<&str> {
    page.split("name=\"save\" value=\"").nth(1)?.split('"').next()
}

/// A page's text without its tags.
fn text(page: &str) -> String {
    let parts = page.split('<').filter_map(|part| part.split_once('>').map(|(_, text)| text));
    parts.collect::<Vec<_>>().join(" ").split_whitespace().collect::<Vec<_>>().join(" ")
}

async fn rules(shop: &Shop, kind: &str) -> Value {
    shop.get(&format!("/v1/{kind}")).await["data"].clone()
}

/// Looks at what a form would do at an address, and saves that.
async fn saved(browser: &Browser<'_>, home: &str, form: &str) -> (StatusCode, String) {
    let page = browser.page(&format!("{home}/change?{form}")).await;
    let button = button(&page).unwrap_or_else(|| panic!("nothing to save: {}", text(&page)));
    let (status, headers, page) = browser.post(home, &format!("{form}&save={button}"), "same-origin").await;
    let led = headers.get(header::LOCATION).map(|led| led.to_str().unwrap().to_owned());
    (status, led.unwrap_or(page))
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_saved_shows_what_was_said_it_would() {
    let shop = shop().await;
    let browser = signed_in(&shop).await;
    for (form, mug) in [
        ("of=sku&name=MUG&buffer=5", "15"),
        ("system=SHOP&cap=6&percentage=50", "15"),
        ("system=SHOP&of=listing&name=1&percentage=50&cap=7", "7"),
        ("of=sku&name=MUG&system=SHOP&stop_at=20", "7"),
        ("system=SHOP&of=listing&name=1&formula=available%20-%203", "17"),
        ("system=SHOP&of=listing&name=1&counts=at%3ALONDON&buffer=1", "19"),
    ] {
        let form = if form.contains("formula") { form.to_owned() } else { format!("{form}&formula=") };
        let before = rules(&shop, "publication").await;
        let page = browser.page(&format!("/rules/change?{form}")).await;
        let seen = shop.get("/v1/systems/SHOP").await["seq"].clone();
        assert_eq!(rules(&shop, "publication").await, before, "looking changes nothing: {form}");
        let told = page.split("aria-label=\"What would change\"").nth(1).map(text).unwrap_or_default();
        let (status, led) = saved(&browser, "/rules", &form).await;
        assert_eq!(status, StatusCode::SEE_OTHER, "{led} {seen}");
        let listings = browser.page("/systems/SHOP").await;
        let should = text(listings.split("href=\"/items/MUG\"").nth(1).unwrap());
        assert!(should.contains(&format!(" – {mug} ")), "{form}: {mug}: {should}");
        if told.contains("MUG") {
            assert!(told.contains(&format!(" {mug} ")), "{form}: {told}");
        }
        let row = led.split_once('#').unwrap().1;
        assert!(browser.page("/rules").await.contains(&format!("id=\"{row}\"")), "{led}");
    }
    // The most specific is first, and says what it does.
    let page = text(&browser.page("/rules?system=SHOP").await);
    let at = |said: &str| page.find(said).unwrap_or_else(|| panic!("{said}: {page}"));
    assert!(at("the listing 1") < at("the item MUG") && at("the item MUG") < at("every item"));
    assert!(page.contains("Counts what is at LONDON, keeps 1 back."), "{page}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_typed_badly_is_told_at_its_field_and_kept() {
    let shop = shop().await;
    let browser = signed_in(&shop).await;
    for (form, field, why) in [
        ("formula=available%20%2B%20nothing", "formula", "nothing"),
        ("buffer=lots&formula=", "buffer", ""),
        ("buffer=-1&formula=", "buffer", "must not be negative"),
        ("percentage=101&formula=", "percentage", "must be 0 to 100"),
        ("percentage=half&formula=", "percentage", "a whole number of 0 to 100"),
        ("of=sku&name=NONE&formula=", "name", "no item has the SKU"),
        ("of=tag&formula=", "name", "say of which one"),
        ("name=MUG&formula=", "name", "say of what this is"),
        ("of=listing&name=1&formula=", "system", "needs its system"),
        ("system=SHOP&remote_location=there&formula=", "remote_location", "`here` are"),
        ("system=NONE&formula=", "system", "NONE"),
        ("counts=group%3ANONE&formula=", "counts", "no location is in the group"),
        ("incoming_days=3&incoming_until=2026-12-05&formula=", "incoming_until", "not both"),
        ("skip=on&cap=3&formula=", "skip", "left to the system"),
        ("of=all&name=MUG&formula=", "name", "choose one"),
        ("counts=LONDON&formula=", "counts", "choose one"),
    ] {
        let form = format!("note=1&buffer_at_most=&{form}");
        let page = browser.page(&format!("/rules/change?{form}")).await;
        let wrong = page.split(&format!("id=\"wrong-{field}\">")).nth(1).unwrap().split('<').next().unwrap();
        assert!(wrong.starts_with('✕') && wrong.contains(why), "{form}: {wrong}: {}", text(&page));
        assert_eq!(button(&page), None, "{form}");
        let (status, _, again) = browser.post("/rules", &form, "same-origin").await;
        assert_eq!(status, StatusCode::UNPROCESSABLE_ENTITY, "{form}");
        for page in [page, again] {
            for part in form.split('&').filter(|part| !part.starts_with("note")) {
                let (name, value) = part.split_once('=').unwrap();
                let value = value.replace("%20", " ").replace("%2B", "+").replace("%3A", ":");
                let is_select = ["of", "system"].contains(&name);
                let kept = match name {
                    "formula" => {
                        page.contains(&format!(">{}</textarea>", value.replace('+', "&#43;")))
                            || page.contains(&format!(">{value}</textarea>"))
                    }
                    "skip" | "counts" => true,
                    _ if is_select => {
                        ["NONE", "all"].contains(&value.as_str())
                            || page.contains(&format!("value=\"{value}\" selected"))
                    }
                    _ => page.contains(&format!("name=\"{name}\" value=\"{value}\"")),
                };
                assert!(kept, "{name} of {form} is kept: {page}");
            }
        }
    }
    assert_eq!(rules(&shop, "publication").await, json!([]));
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_saved_but_what_was_shown_by_who_may_from_our_own_pages() {
    let shop = shop().await;
    let operator = with_role(&shop, Role::Operator).await;
    for (home, form, other, kind) in [
        ("/rules", "of=sku&name=MUG&buffer=5&formula=", "of=sku&name=MUG&buffer=6&formula=", "publication"),
        ("/ownership", "place=at%3ALONDON&master=WMS", "place=at%3ALONDON&master=WEB", "ownership"),
    ] {
        let page = operator.page(&format!("{home}/change?{form}")).await;
        let pressed = button(&page).unwrap();
        // Something else than what was shown, or nothing was shown at all.
        for not_seen in [format!("{other}&save={pressed}"), form.to_owned(), format!("{form}&save=page-1.0")]
        {
            let (status, _, page) = operator.post(home, &not_seen, "same-origin").await;
            assert_eq!(status, StatusCode::OK, "{not_seen}");
            assert!(page.contains("Nothing is saved yet") && button(&page).is_some(), "{page}");
        }
        let form = format!("{form}&save={pressed}");
        for site in ["cross-site", "same-site"] {
            assert_eq!(operator.post(home, &form, site).await.0, StatusCode::FORBIDDEN);
        }
        assert_eq!(rules(&shop, kind).await, json!([]));
        for _ in 0..2 {
            assert_eq!(operator.post(home, &form, "same-origin").await.0, StatusCode::SEE_OTHER);
        }
        assert_eq!(rules(&shop, kind).await.as_array().unwrap().len(), 1, "pressed twice, done once");
    }
    let before = (rules(&shop, "publication").await, rules(&shop, "ownership").await);
    for role in [Role::Viewer, Role::Clerk] {
        let browser = with_role(&shop, role).await;
        for (home, rule) in [("/rules", &before.0[0]["id"]), ("/ownership", &before.1[0]["id"])] {
            let page = browser.page(home).await;
            assert!(page.contains(&format!("id=\"r{rule}\"")), "{home}: {page}");
            assert!(!page.contains(&format!("{home}/change")) && !page.contains("/end"), "{home}: {page}");
            for form in ["formula=&buffer=3", "master=WEB"] {
                let page = browser.page(&format!("{home}/change?{form}")).await;
                assert_eq!(button(&page), None, "{home}");
                assert_eq!(browser.post(home, form, "same-origin").await.0, StatusCode::FORBIDDEN);
            }
            let ending = format!("{home}/{rule}/end");
            assert_eq!(button(&browser.page(&ending).await), None);
            assert_eq!(browser.post(&ending, "", "same-origin").await.0, StatusCode::FORBIDDEN);
        }
    }
    assert_eq!((rules(&shop, "publication").await, rules(&shop, "ownership").await), before);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rule_ends_after_it_was_said_what_follows() {
    let shop = shop().await;
    let browser = signed_in(&shop).await;
    for (home, form, kind, follows) in [
        (
            "/rules",
            "of=tag&name=glass&buffer=5&formula=",
            "publication",
            ["1 of 2 numbers", "all that is available"],
        ),
        (
            "/ownership",
            "master=WMS&of=tag&name=glass",
            "ownership",
            ["CUP", "snapshots and counts of what is tagged glass"],
        ),
    ] {
        assert_eq!(saved(&browser, home, form).await.0, StatusCode::SEE_OTHER);
        let rule = rules(&shop, kind).await[0]["id"].clone();
        let ending = format!("{home}/{rule}/end");
        let page = browser.page(&ending).await;
        assert!(follows.iter().all(|said| text(&page).contains(said)), "{}", text(&page));
        let (status, headers, _) = browser.post(&ending, "save=page-1.0", "same-origin").await;
        assert_eq!((status, headers[header::LOCATION].to_str().unwrap()), (StatusCode::SEE_OTHER, &*ending));
        assert_eq!(rules(&shop, kind).await.as_array().unwrap().len(), 1);
        let form = format!("save={}", button(&page).unwrap());
        for _ in 0..2 {
            let (status, headers, _) = browser.post(&ending, &form, "same-origin").await;
            assert_eq!((status, headers[header::LOCATION].to_str().unwrap()), (StatusCode::SEE_OTHER, home));
        }
        assert_eq!(rules(&shop, kind).await, json!([]));
        assert_eq!(browser.get(&ending).await.0, StatusCode::NOT_FOUND);
    }
    assert_eq!(browser.get("/rules/change?id=99").await.0, StatusCode::NOT_FOUND);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rule_is_in_the_form_as_it_is_and_saved_again_it_is_the_same() {
    let shop = shop().await;
    let browser = signed_in(&shop).await;
    let rule = json!({ "system": "SHOP", "remote_location": "here", "sku": "MUG", "locations": ["LONDON"], "buffer": "1.5",
        "risk_one_in": 1000, "buffer_at_most": 9, "cap": 40, "percentage": 80, "stop_at": 3, "incoming_until": "2026-12-05" });
    shop.accepted("/v1/publication", rule).await;
    let before = rules(&shop, "publication").await;
    let page = browser.page(&format!("/rules/change?id={}", before[0]["id"])).await;
    let mut form = Vec::new();
    for input in page.split("<form class=\"editor\"").nth(1).unwrap().split('<').skip(1) {
        let of = |name: &str| input.split(&format!(" {name}=\"")).nth(1)?.split('"').next();
        let is_checked = !input.contains("checkbox") || input.contains(" checked");
        if let (true, true, Some(name), Some(value)) =
            (input.starts_with("input"), is_checked, of("name"), of("value"))
        {
            form.push(format!("{name}={value}"));
        }
    }
    form.extend(["system=SHOP", "of=sku", "formula="].map(str::to_owned));
    assert!(page.contains("value=\"SHOP\" selected") && page.contains("value=\"sku\" selected"));
    let (status, led) = saved(&browser, "/rules", &form.join("&")).await;
    assert_eq!(status, StatusCode::SEE_OTHER, "{led}");
    assert_eq!(rules(&shop, "publication").await, before);
}

#[tokio::test(flavor = "multi_thread")]
async fn masters_are_in_a_matrix_and_a_rule_says_first_which_stock_it_hands_over() {
    let shop = shop().await;
    let browser = signed_in(&shop).await;
    for (code, groups, parent) in
        [("PARIS", json!(["EU", "COLD"]), json!(null)), ("BIN-1", json!([]), json!("LONDON"))]
    {
        let mut place = json!({ "code": code, "groups": groups });
        if !parent.is_null() {
            place["parent"] = parent;
        }
        shop.accepted("/v1/locations", place).await;
    }
    let page = text(&browser.page("/ownership").await);
    for said in ["Everywhere", "group EU 1 location", "LONDON Onhand no rule: Onhand", "PARIS"] {
        assert!(page.contains(said), "{said}: {page}");
    }
    assert!(!page.contains("BIN-1"), "of what is inside a site those are shown that a rule names: {page}");
    // The stock that is there is named, with how much there is of it; nothing is changed by looking.
    let form = "place=at%3ALONDON&of=&name=&master=WMS";
    let page = text(&browser.page(&format!("/ownership/change?{form}")).await);
    for said in
        ["2 parts would have another master", "2 stock levels", "MUG LONDON 20 Onhand WMS", "CUP LONDON 8"]
    {
        assert!(page.contains(said), "{said}: {page}");
    }
    assert!(page.contains("LONDON: Onhand recommends Onhand"), "it says what speaks against it: {page}");
    assert_eq!(rules(&shop, "ownership").await, json!([]));
    assert!(!page.contains("BIN-1: "), "once for a site and what is inside it: {page}");
    assert_eq!(saved(&browser, "/ownership", form).await.0, StatusCode::SEE_OTHER);
    assert!(!text(&browser.page("/ownership").await).contains("BIN-1"));
    let of = |sku| format!("/v1/ownership/master?sku={sku}&location=LONDON");
    assert_eq!(shop.get(&of("MUG")).await["master"], "WMS");
    // A narrower one, and one of a bin, are listed below their place.
    let glass = "place=at%3ALONDON&of=tag&name=glass&master=WEB";
    let page = text(&browser.page(&format!("/ownership/change?{glass}")).await);
    assert!(page.contains("CUP LONDON 8 WMS WEB") && !page.contains("MUG LONDON"), "{page}");
    assert_eq!(saved(&browser, "/ownership", glass).await.0, StatusCode::SEE_OTHER);
    assert_eq!(shop.get(&of("CUP")).await["master"], "WEB");
    assert_eq!(
        saved(&browser, "/ownership", "place=at%3ABIN-1&master=onhand").await.0,
        StatusCode::SEE_OTHER
    );
    let page = text(&browser.page("/ownership").await);
    let at = |said: &str| page.find(said).unwrap_or_else(|| panic!("{said}: {page}"));
    assert!(at("LONDON WMS its own rule") < at("items tagged glass at site LONDON WEB"));
    assert!(at("items tagged glass") < at("BIN-1 Onhand its own rule") && at("BIN-1") < at("PARIS"));
    // Two groups of one location: told before it is saved, and not to be saved.
    assert_eq!(saved(&browser, "/ownership", "place=group%3AEU&master=WMS").await.0, StatusCode::SEE_OTHER);
    assert!(text(&browser.page("/ownership").await).contains("PARIS WMS the rule of the group EU"));
    let tie = "place=group%3ACOLD&master=WEB";
    let page = browser.page(&format!("/ownership/change?{tie}")).await;
    assert!(text(&page).contains("would both name a master") && button(&page).is_none(), "{}", text(&page));
    let before = rules(&shop, "ownership").await;
    assert_eq!(browser.post("/ownership", tie, "same-origin").await.0, StatusCode::CONFLICT);
    for (form, field, why) in [
        ("place=at%3ANONE&master=WMS", "place", "no location has the code"),
        ("place=LONDON&master=WMS", "place", "choose one"),
        ("of=sku&name=NONE&master=WMS", "name", "no item has the SKU"),
        ("of=sku&name=&master=WMS", "name", "say of which one"),
        ("master=NONE", "master", "NONE"),
        ("master=", "master", "say who"),
    ] {
        let (status, _, page) = browser.post("/ownership", form, "same-origin").await;
        let wrong = page.split(&format!("id=\"wrong-{field}\">")).nth(1).unwrap().split('<').next().unwrap();
        assert!(status.is_client_error() && wrong.contains(why), "{form}: {status} {wrong}: {}", text(&page));
    }
    assert_eq!(rules(&shop, "ownership").await, before);
}

#[tokio::test(flavor = "multi_thread")]
async fn with_nothing_there_it_is_said_what_comes_first() {
    let shop = Shop::open().await;
    let key = auth::create_key(&shop.handle, TenantId(7), "other").await.unwrap();
    let mut other = stranger(&shop);
    other.sign_in(&key).await;
    assert!(other.page("/rules").await.contains("href=\"/systems/connect\""));
    assert!(text(&other.page("/ownership").await).contains("onhand location add"));
    assert_eq!(other.get("/rules?system=WEB").await.0, StatusCode::NOT_FOUND, "it is another tenant's");
    let browser = signed_in(&shop).await;
    assert!(text(&browser.page("/rules?system=WEB").await).contains("There is no rule that speaks of WEB"));
    let page = text(&browser.page("/rules/change?formula=").await);
    assert!(page.contains("No listing is linked to an item"), "{page}");
}
