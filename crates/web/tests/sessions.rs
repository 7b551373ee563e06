//! Sessions at the pages: how they end by themselves, who sees and ends them, how often whoever is in one may ask, and what is asked of
//! who opens one.

mod support;

use std::net::SocketAddr;
use std::sync::Arc;

use axum::body::Body as HttpBody;
use axum::extract::ConnectInfo;
use axum::http::{Request, StatusCode, header};
use onhand_engine::Clock as _;
use onhand_ledger::TenantId;
use onhand_web::{App, Sessions, auth};
use serde_json::{Value, json};
use support::Shop;
use support::browser::{Browser, signed_in, stranger};
use totp_rs::{Builder, Secret};

const RIGHT: &str = "correct horse battery staple";
const FIREFOX: &str = "Mozilla/5.0 (X11; Linux x86_64; rv:144.0) Gecko/20100101 Firefox/144.0";
const PHONE: &str = "Mozilla/5.0 (Linux; Android 10; K) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/142.0.0.0 Mobile Safari/537.36";

fn encoded(text: &str) -> String {
    text.bytes().map(|byte| format!("%{byte:02X}")).collect()
}

fn led(headers: &axum::http::HeaderMap) -> &str {
    headers.get(header::LOCATION).map_or("", |led| led.to_str().unwrap())
}

fn kept(headers: &axum::http::HeaderMap) -> Option<String> {
    let set = headers.get(header::SET_COOKIE)?.to_str().unwrap();
    set.split(';').next().map(str::to_owned)
}

/// Signs in by name, with that browser at that address.
async fn by_name<'s>(
    shop: &'s Shop,
    name: &str,
    password: &str,
    (agent, from): (&str, [u8; 4]),
) -> Browser<'s> {
    let mut request = Request::post("/sign-in")
        .header(header::HOST, "127.0.0.1:7171")
        .header(header::USER_AGENT, agent)
        .header(header::CONTENT_TYPE, "application/x-www-form-urlencoded")
        .body(HttpBody::from(format!("name={name}&password={}", encoded(password))))
        .unwrap();
    request.extensions_mut().insert(ConnectInfo(SocketAddr::from((from, 1_024))));
    let mut browser = stranger(shop);
    let (status, headers, text) = browser.ask(request).await;
    assert_eq!(status, StatusCode::SEE_OTHER, "{text}");
    browser.cookie = kept(&headers);
    browser
}

/// Somebody who has chosen a password, signed in with Firefox at 192.0.2.1.
async fn settled<'s>(shop: &'s Shop, name: &str, role: &str) -> Browser<'s> {
    let (status, given) = shop.post("/v1/users", json!({ "name": name, "role": role })).await;
    assert_eq!(status, StatusCode::CREATED, "{given}");
    let given = given["password"].as_str().unwrap();
    let first = by_name(shop, name, given, (FIREFOX, [192, 0, 2, 1])).await;
    let form = format!("now={}&password={new}&again={new}", encoded(given), new = encoded(RIGHT));
    assert_eq!(first.post("/account/password", &form, "same-origin").await.0, StatusCode::SEE_OTHER);
    by_name(shop, name, RIGHT, (FIREFOX, [192, 0, 2, 1])).await
}

fn later(shop: &Shop, seconds: i64) {
    shop.clock.set(shop.clock.now().plus_seconds(seconds));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_ends_when_nobody_is_there_and_leads_back() {
    let shop = Shop::open().await;
    let browser = signed_in(&shop).await;
    for _ in 0..3 {
        later(&shop, 59 * 60);
        browser.page("/stock").await;
    }
    // An open page hears what moves and asks for itself again, and nobody need be there for it.
    for _ in 0..3 {
        later(&shop, 14 * 60);
        let by_itself = Request::get("/stock")
            .header(header::HOST, "127.0.0.1:7171")
            .header(header::COOKIE, browser.cookie.as_ref().unwrap())
            .header("onhand-again", "1");
        assert_eq!(browser.ask(by_itself.body(HttpBody::empty()).unwrap()).await.0, StatusCode::OK);
        let hears = Request::get("/live?of=all")
            .header(header::HOST, "127.0.0.1:7171")
            .header(header::COOKIE, browser.cookie.as_ref().unwrap());
        // It never ends, so its head alone is looked at.
        assert_eq!(shop.send(hears.body(HttpBody::empty()).unwrap()).await.status(), StatusCode::OK);
    }
    later(&shop, 18 * 60 + 1);
    let (status, headers, _) = browser.get("/items/MUG?x=1").await;
    assert_eq!(
        (status, led(&headers)),
        (StatusCode::SEE_OTHER, "/sign-in?next=%2Fitems%2FMUG%3Fx%3D1&why=idle")
    );
    let told = browser.page(led(&headers)).await;
    assert!(told.contains("Nobody was here for 60 minutes, so you were signed out."), "{told}");
    assert!(told.contains("name=\"next\" value=\"/items/MUG?x=1\""), "it leads back: {told}");
    // A form leads back to the page that it is on, and nothing of it is done.
    let form = Request::post("/items/MUG/count")
        .header(header::HOST, "127.0.0.1:7171")
        .header(header::COOKIE, browser.cookie.as_ref().unwrap())
        .header(header::REFERER, "http://127.0.0.1:7171/items/MUG")
        .header("sec-fetch-site", "same-origin")
        .header(header::CONTENT_TYPE, "application/x-www-form-urlencoded")
        .body(HttpBody::from("key=page-1&location=LONDON&quantity=72"));
    let (status, headers, _) = browser.ask(form.unwrap()).await;
    assert_eq!((status, led(&headers)), (StatusCode::SEE_OTHER, "/sign-in?next=%2Fitems%2FMUG&why=idle"));
    assert_eq!(shop.get("/v1/items/MUG/stock").await["total"]["on_hand"], json!(0));
    assert_eq!(browser.get("/stock").await.0, StatusCode::SEE_OTHER, "it stays ended");
    let again = signed_in(&shop).await;
    later(&shop, 59 * 60);
    again.page("/stock").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn people_see_where_they_are_signed_in_and_end_it_with_their_password() {
    let shop = Shop::open().await;
    let here = settled(&shop, "ada", "viewer").await;
    let bob = settled(&shop, "bob", "viewer").await;
    later(&shop, 300);
    let phone = by_name(&shop, "ada", RIGHT, (PHONE, [198, 51, 100, 7])).await;
    let tablet = by_name(&shop, "ada", RIGHT, (PHONE, [198, 51, 100, 8])).await;
    let page = here.page("/account").await;
    for shown in ["Firefox on Linux", "192.0.2.1", "Chrome on Android", "198.51.100.7", "198.51.100.8"] {
        assert!(page.contains(shown), "{shown}: {page}");
    }
    let rows = page.split("places-heading").nth(2).unwrap().matches("<tr>").count();
    // The one that set the password is one, too: it was renewed.
    assert_eq!(rows, 1 + 4, "a head, and one for each: {page}");
    let mine = page.split("<tr>").find(|row| row.contains(">here<")).unwrap();
    assert!(mine.contains("Firefox on Linux"), "{mine}");
    let id = page.split("<option value=\"").skip(1).find(|option| option.contains("Chrome on Android"));
    let id = id.unwrap().split('"').next().unwrap();
    let form = |session: &str, password: &str| format!("session={session}&now={}", encoded(password));
    let (status, _, text) = here.post("/account/sessions/end", &form(id, "another one"), "same-origin").await;
    assert!(status == StatusCode::UNPROCESSABLE_ENTITY && text.contains("is another"), "{text}");
    assert_eq!(phone.get("/stock").await.0, StatusCode::OK);
    assert_eq!(
        here.post("/account/sessions/end", &form(id, RIGHT), "cross-site").await.0,
        StatusCode::FORBIDDEN
    );
    let (status, headers, _) = here.post("/account/sessions/end", &form(id, RIGHT), "same-origin").await;
    assert_eq!((status, led(&headers)), (StatusCode::SEE_OTHER, "/account?done=ended"));
    let (one, other) = (phone.get("/stock").await.0, tablet.get("/stock").await.0);
    assert!(one != other && [one, other].contains(&StatusCode::OK), "one of them: {one} {other}");
    // Nobody ends another's, whatever its id; and all others end at once.
    let theirs = bob.page("/account").await;
    assert!(!theirs.contains("198.51.100.7"), "{theirs}");
    let told = shop.get("/v1/users/ada/sessions").await;
    let id = told["data"][0]["id"].as_str().unwrap();
    bob.post("/account/sessions/end", &form(id, RIGHT), "same-origin").await;
    assert_eq!(shop.get("/v1/users/ada/sessions").await, told);
    assert_eq!(
        here.post("/account/sessions/end", &form("others", RIGHT), "same-origin").await.0,
        StatusCode::SEE_OTHER
    );
    for ended in [&phone, &tablet] {
        assert_eq!(ended.get("/stock").await.0, StatusCode::SEE_OTHER);
    }
    assert!(here.page("/account").await.contains("Nowhere else."));
    assert_eq!(bob.get("/stock").await.0, StatusCode::OK);
}

#[tokio::test(flavor = "multi_thread")]
async fn who_is_there_with_a_key_ends_its_other_sessions_with_it() {
    let shop = Shop::open().await;
    let (here, there) = (signed_in(&shop).await, signed_in(&shop).await);
    let (status, _, text) =
        here.post("/account/sessions/end", "session=others&now=ohk_1_no", "same-origin").await;
    assert!(status == StatusCode::UNPROCESSABLE_ENTITY && text.contains("is not the key"), "{text}");
    assert_eq!(there.get("/stock").await.0, StatusCode::OK);
    let form = format!("session=others&now={}", shop.key);
    assert_eq!(here.post("/account/sessions/end", &form, "same-origin").await.0, StatusCode::SEE_OTHER);
    assert_eq!(there.get("/stock").await.0, StatusCode::SEE_OTHER);
    assert_eq!(here.get("/stock").await.0, StatusCode::OK);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_admin_signs_somebody_out_everywhere() {
    let shop = Shop::open().await;
    let (ada, boss) = (settled(&shop, "ada", "viewer").await, settled(&shop, "boss", "admin").await);
    let told = shop.get("/v1/users/ada/sessions").await;
    // Beside the one in which the password was chosen, at the same instant.
    let is_it =
        |one: &Value| (&one["browser"], &one["from"]) == (&json!("Firefox on Linux"), &json!("192.0.2.1"));
    assert!(told["data"].as_array().unwrap().iter().any(is_it), "{told}");
    let (status, ended) = shop.post("/v1/users/ada/sign-out", json!({})).await;
    assert_eq!((status, ended), (StatusCode::OK, told));
    assert_eq!(ada.get("/stock").await.0, StatusCode::SEE_OTHER);
    assert_eq!(boss.get("/stock").await.0, StatusCode::OK);
    // The same at the pages; and they may sign in again.
    let ada = by_name(&shop, "ada", RIGHT, (PHONE, [198, 51, 100, 7])).await;
    assert_eq!(
        boss.post("/settings/users/ada", "to=signed_out", "same-origin").await.0,
        StatusCode::SEE_OTHER
    );
    assert_eq!(ada.get("/stock").await.0, StatusCode::SEE_OTHER);
    assert_eq!(shop.get("/v1/users/ada/sessions").await["data"], json!([]));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_person_who_asks_too_often_is_told_when_to_come_again() {
    let mut shop = Shop::open().await;
    let app = App { sessions: Arc::new(Sessions::new(60, 5)), ..support::app(shop.handle.clone()) };
    shop.router = onhand_web::router(app);
    let (ada, bob) = (settled(&shop, "ada", "viewer").await, settled(&shop, "bob", "viewer").await);
    let elsewhere = by_name(&shop, "ada", RIGHT, (PHONE, [198, 51, 100, 7])).await;
    let mut refused = None;
    for nth in 0..200 {
        let browser = if nth % 2 == 0 { &ada } else { &elsewhere };
        let (status, headers, text) = browser.get("/account").await;
        if status != StatusCode::OK {
            refused = Some((status, headers, text));
            break;
        }
    }
    let (status, headers, text) = refused.expect("it is too often at some time");
    assert_eq!(
        (status, &headers[header::RETRY_AFTER]),
        (StatusCode::TOO_MANY_REQUESTS, &"1".parse().unwrap())
    );
    assert!(
        text.contains("you may ask 5 times a second, in all windows together; nothing was done"),
        "{text}"
    );
    assert_eq!(bob.get("/account").await.0, StatusCode::OK, "it is theirs alone");
}

/// Sets codes up, and answers what makes them.
async fn set_up(shop: &Shop, browser: &mut Browser<'_>) -> String {
    let page = browser.page("/account").await;
    let secret = page.split("name=\"secret\" value=\"").nth(1).unwrap().split('"').next().unwrap().to_owned();
    let form = format!("now={}&secret={secret}&code={}", encoded(RIGHT), code(shop, &secret));
    let (status, headers, text) = browser.post("/account/two-factor", &form, "same-origin").await;
    assert_eq!(status, StatusCode::SEE_OTHER, "{text}");
    browser.cookie = kept(&headers);
    secret
}

fn code(shop: &Shop, secret: &str) -> String {
    let now = u64::try_from(shop.clock.now().micros() / 1_000_000).unwrap();
    let secret = Secret::try_from_base32(secret).unwrap();
    Builder::new().with_secret(secret).build().unwrap().generate(now).to_string()
}

#[tokio::test(flavor = "multi_thread")]
async fn where_codes_are_asked_of_everybody_who_has_none_sets_them_up_before_anything_else() {
    let shop = Shop::open().await;
    let (mut ada, mut boss) = (settled(&shop, "ada", "viewer").await, settled(&shop, "boss", "admin").await);
    let by_key = signed_in(&shop).await;
    assert_eq!(shop.get("/v1/sign-in-policy").await, json!({ "two_factor": false }));
    // Nobody shuts themselves out.
    for browser in [&by_key, &boss] {
        let (status, ..) = browser.post("/settings/two-factor", "two_factor=true", "same-origin").await;
        assert_eq!(status, StatusCode::UNPROCESSABLE_ENTITY);
    }
    assert_eq!(
        ada.post("/settings/two-factor", "two_factor=true", "same-origin").await.0,
        StatusCode::FORBIDDEN
    );
    set_up(&shop, &mut boss).await;
    let (status, ..) = boss.post("/settings/two-factor", "two_factor=true", "same-origin").await;
    assert_eq!(status, StatusCode::SEE_OTHER);
    let told = boss.page("/settings").await;
    assert!(told.contains("Asked of everybody") && told.contains("1 of 2 have not yet"), "{told}");
    assert_eq!(shop.get("/v1/sign-in-policy").await, json!({ "two_factor": true }));
    // Whoever has none is led to where they are set up, from wherever they are.
    for page in ["/", "/stock", "/systems", "/floor", "/live?of=all"] {
        let (status, headers, _) = ada.get(page).await;
        assert_eq!((status, led(&headers)), (StatusCode::SEE_OTHER, "/account"), "{page}");
    }
    assert!(ada.page("/account").await.contains("A code of your phone is asked of everybody here."));
    let secret = set_up(&shop, &mut ada).await;
    ada.page("/stock").await;
    let off = format!("now={}", encoded(RIGHT));
    let (status, _, text) = ada.post("/account/two-factor/off", &off, "same-origin").await;
    assert!(status == StatusCode::UNPROCESSABLE_ENTITY && text.contains("asked of everybody here"), "{text}");
    // A key is one factor: it signs nobody in, is signed in no more, and is a program's as before.
    assert_eq!(by_key.get("/stock").await.0, StatusCode::SEE_OTHER);
    let (status, _, text) = by_key.post("/sign-in", &format!("key={}", shop.key), "same-origin").await;
    assert!(status == StatusCode::UNAUTHORIZED && text.contains("Two factors are asked for here"), "{text}");
    shop.get("/v1/stock").await;
    // Both factors do; another tenant asks what it asks.
    later(&shop, 30);
    let form = format!("name=ada&password={}&code={}", encoded(RIGHT), code(&shop, &secret));
    assert_eq!(stranger(&shop).post("/sign-in", &form, "same-origin").await.0, StatusCode::SEE_OTHER);
    let other = auth::create_key(&shop.handle, TenantId(7), "other").await.unwrap();
    stranger(&shop).sign_in(&other).await;
    // The phone is lost: an admin takes the codes away, and they are set up anew.
    assert_eq!(shop.post("/v1/users/ada/amend", json!({ "two_factor": false })).await.0, StatusCode::OK);
    let ada = by_name(&shop, "ada", RIGHT, (FIREFOX, [192, 0, 2, 1])).await;
    assert_eq!(led(&ada.get("/stock").await.1), "/account");
    assert_eq!(shop.post("/v1/sign-in-policy", json!({ "two_factor": false })).await.0, StatusCode::OK);
    ada.page("/stock").await;
}
