//! People who sign in, and what each role may do: by password and code, on every address of the API and the pages.

mod support;

use axum::body::Body as HttpBody;
use axum::http::{HeaderMap, Method, Request, StatusCode, header};
use http_body_util::BodyExt as _;
use onhand_engine::Clock as _;
use onhand_ledger::TenantId;
use onhand_web::Role;
use onhand_web::auth::{self, Grant};
use serde_json::{Value, json};
use support::Shop;
use totp_rs::{Builder, Secret};
use tower::ServiceExt as _;

const RIGHT: &str = "correct horse battery staple";

/// A browser of somebody.
struct Browser<'a> {
    shop: &'a Shop,
    cookie: Option<String>,
}

impl Browser<'_> {
    async fn ask(
        &self,
        request: axum::http::request::Builder,
        body: String,
    ) -> (StatusCode, HeaderMap, String) {
        let mut request = request.header(header::HOST, "127.0.0.1:7171").header(header::ACCEPT, "text/html");
        if let Some(cookie) = &self.cookie {
            request = request.header(header::COOKIE, cookie);
        }
        let answer = self.shop.send(request.body(HttpBody::from(body)).unwrap()).await;
        let (head, body) = answer.into_parts();
        let text = body.collect().await.unwrap().to_bytes();
        (head.status, head.headers, String::from_utf8(text.to_vec()).unwrap())
    }

    async fn get(&self, path: &str) -> (StatusCode, HeaderMap, String) {
        self.ask(Request::get(path), String::new()).await
    }

    async fn post(&self, path: &str, form: &[(&str, &str)]) -> (StatusCode, HeaderMap, String) {
        let request = Request::post(path)
            .header(header::CONTENT_TYPE, "application/x-www-form-urlencoded")
            .header("sec-fetch-site", "same-origin");
        let encoded = |text: &str| text.bytes().map(|byte| format!("%{byte:02X}")).collect::<String>();
        let form: Vec<String> =
            form.iter().map(|(name, value)| format!("{name}={}", encoded(value))).collect();
        self.ask(request, form.join("&")).await
    }

    /// Keeps the cookie where there is one.
    fn keep(&mut self, headers: &HeaderMap) {
        if let Some(set) = headers.get(header::SET_COOKIE) {
            self.cookie = set.to_str().unwrap().split(';').next().map(str::to_owned);
        }
    }

    async fn sign_in(&mut self, name: &str, password: &str, code: &str) -> (StatusCode, String) {
        let form = [("name", name), ("password", password), ("code", code)];
        let (status, headers, text) = self.post("/sign-in", &form).await;
        self.keep(&headers);
        let led = headers.get(header::LOCATION).map(|led| led.to_str().unwrap().to_owned());
        (status, led.unwrap_or(text))
    }
}

fn stranger(shop: &Shop) -> Browser<'_> {
    Browser { shop, cookie: None }
}

async fn made(shop: &Shop, name: &str, role: &str) -> String {
    let (status, given) = shop.post("/v1/users", json!({ "name": name, "role": role })).await;
    assert_eq!(status, StatusCode::CREATED, "{given}");
    given["password"].as_str().unwrap().to_owned()
}

/// Somebody who has chosen a password, signed in.
async fn settled<'a>(shop: &'a Shop, name: &str, role: &str) -> Browser<'a> {
    let given = made(shop, name, role).await;
    let mut browser = stranger(shop);
    assert_eq!(browser.sign_in(name, &given, "").await.0, StatusCode::SEE_OTHER);
    let form = [("now", given.as_str()), ("password", RIGHT), ("again", RIGHT)];
    let (status, headers, text) = browser.post("/account/password", &form).await;
    assert_eq!(status, StatusCode::SEE_OTHER, "{text}");
    browser.keep(&headers);
    browser
}

#[tokio::test(flavor = "multi_thread")]
async fn a_password_that_was_given_is_changed_before_anything_else() {
    let shop = Shop::open().await;
    let given = made(&shop, "Ada", "operator").await;
    let mut ada = stranger(&shop);
    assert_eq!(ada.sign_in("ADA", &given, "").await, (StatusCode::SEE_OTHER, "/".to_owned()));
    for page in ["/", "/stock", "/systems"] {
        let (status, headers, _) = ada.get(page).await;
        assert_eq!(
            (status, &headers[header::LOCATION]),
            (StatusCode::SEE_OTHER, &"/account".parse().unwrap())
        );
    }
    let (_, _, text) = ada.get("/account").await;
    assert!(text.contains("Somebody else made your password"), "{text}");
    for (now, new, again, why) in [
        ("wrong wrong wrong", RIGHT, RIGHT, "Your password now is another"),
        (given.as_str(), "short", "short", "12 to 128"),
        (given.as_str(), RIGHT, "another one entirely", "not the same both times"),
        (given.as_str(), &given, &given, "is the old one"),
    ] {
        let form = [("now", now), ("password", new), ("again", again)];
        let (status, _, text) = ada.post("/account/password", &form).await;
        assert_eq!(status, StatusCode::UNPROCESSABLE_ENTITY, "{text}");
        assert!(text.contains(why), "{why}: {text}");
    }
    let elsewhere = Browser { shop: &shop, cookie: ada.cookie.clone() };
    let form = [("now", given.as_str()), ("password", RIGHT), ("again", RIGHT)];
    let (status, headers, _) = ada.post("/account/password", &form).await;
    assert_eq!(status, StatusCode::SEE_OTHER);
    ada.keep(&headers);
    assert_eq!(ada.get("/stock").await.0, StatusCode::OK);
    assert_eq!(elsewhere.get("/stock").await.0, StatusCode::SEE_OTHER, "the old session is over");
    assert_eq!(stranger(&shop).sign_in("ada", &given, "").await.0, StatusCode::UNAUTHORIZED);
    let told = shop.get("/v1/users").await.to_string();
    assert!(!told.contains("argon2") && !told.contains(RIGHT), "{told}");
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_fails_waits_and_learns_nothing_of_who_there_is() {
    let shop = Shop::open().await;
    drop(settled(&shop, "ada", "viewer").await);
    let mut told = Vec::new();
    for name in ["ada", "nobody"] {
        let (status, text) = stranger(&shop).sign_in(name, "wrong wrong wrong", "").await;
        assert_eq!(status, StatusCode::UNAUTHORIZED);
        told.push(text.replace(name, "NAME"));
    }
    assert_eq!(told[0], told[1]);
    for _ in 0..5 {
        stranger(&shop).sign_in("ada", "wrong wrong wrong", "").await;
    }
    let (status, text) = stranger(&shop).sign_in("ada", RIGHT, "").await;
    assert_eq!(status, StatusCode::UNAUTHORIZED);
    assert!(text.contains("Too many tries for this name. The next may come in 2 s."), "{text}");
    assert_eq!(stranger(&shop).sign_in("nobody", RIGHT, "").await.0, StatusCode::UNAUTHORIZED);
    shop.clock.set(shop.clock.now().plus_seconds(2));
    assert_eq!(stranger(&shop).sign_in("ada", RIGHT, "").await.0, StatusCode::SEE_OTHER);
    // Whoever is given another password waits for nobody else's tries.
    for _ in 0..6 {
        stranger(&shop).sign_in("ada", "wrong wrong wrong", "").await;
    }
    let (_, given) = shop.post("/v1/users/ada/password", json!({})).await;
    let given = given["password"].as_str().unwrap();
    assert_eq!(stranger(&shop).sign_in("ada", given, "").await.0, StatusCode::SEE_OTHER);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_code_is_asked_for_and_taken_once() {
    let shop = Shop::open().await;
    let mut ada = settled(&shop, "ada", "viewer").await;
    let mut elsewhere = stranger(&shop);
    assert_eq!(elsewhere.sign_in("ada", RIGHT, "").await.0, StatusCode::SEE_OTHER);
    let (_, _, text) = ada.get("/account").await;
    let secret = text.split("name=\"secret\" value=\"").nth(1).unwrap().split('"').next().unwrap().to_owned();
    let secret_of = || Secret::try_from_base32(&secret).unwrap();
    let now = || u64::try_from(shop.clock.now().micros() / 1_000_000).unwrap();
    let code = || Builder::new().with_secret(secret_of()).build().unwrap().generate(now()).to_string();
    let wrong = if code() == "123456" { "654321" } else { "123456" };
    for (now, code, why) in [(RIGHT, wrong, "not the code"), ("another one", &code(), "is another")] {
        let form = [("now", now), ("secret", &secret), ("code", code)];
        let (status, _, text) = ada.post("/account/two-factor", &form).await;
        assert_eq!(status, StatusCode::UNPROCESSABLE_ENTITY);
        assert!(text.contains(why) && text.contains(&secret), "the same secret is offered: {text}");
    }
    let form = [("now", RIGHT), ("secret", &secret), ("code", &code())];
    let (status, headers, _) = ada.post("/account/two-factor", &form).await;
    assert_eq!(status, StatusCode::SEE_OTHER);
    ada.keep(&headers);
    assert_eq!(elsewhere.get("/stock").await.0, StatusCode::SEE_OTHER, "the other session is over");
    let (_, _, text) = ada.get("/account").await;
    assert!(!text.contains(&secret) && text.contains("A code is asked for"), "it is shown no more");
    // The code that set it up is spent; the next one is not, and then is.
    let sign_in = async |code: &str| stranger(&shop).sign_in("ada", RIGHT, code).await.0;
    assert_eq!(sign_in(&code()).await, StatusCode::UNAUTHORIZED);
    assert_eq!(sign_in("").await, StatusCode::UNAUTHORIZED);
    shop.clock.set(shop.clock.now().plus_seconds(30));
    assert_eq!(sign_in(&code()).await, StatusCode::SEE_OTHER);
    assert_eq!(sign_in(&code()).await, StatusCode::UNAUTHORIZED);
    // Another password is no way around the codes.
    let (_, given) = shop.post("/v1/users/ada/password", json!({})).await;
    let given = given["password"].as_str().unwrap();
    assert_eq!(stranger(&shop).sign_in("ada", given, "").await.0, StatusCode::UNAUTHORIZED);
    shop.clock.set(shop.clock.now().plus_seconds(30));
    assert_eq!(ada.sign_in("ada", given, &code()).await.0, StatusCode::SEE_OTHER);
    assert_eq!(ada.get("/account").await.0, StatusCode::OK);
    // The phone is lost: an admin takes the codes away, and nobody sets others up for them.
    let (status, _) = shop.post("/v1/users/ada/amend", json!({ "two_factor": false })).await;
    assert_eq!(status, StatusCode::OK);
    assert_eq!(ada.get("/account").await.0, StatusCode::SEE_OTHER, "who may have the phone is signed out");
    assert_eq!(stranger(&shop).sign_in("ada", given, "").await.0, StatusCode::SEE_OTHER);
}

#[tokio::test(flavor = "multi_thread")]
async fn who_takes_their_codes_away_says_their_password_and_is_signed_in_here_alone() {
    let shop = Shop::open().await;
    let mut ada = settled(&shop, "ada", "viewer").await;
    let mut elsewhere = stranger(&shop);
    elsewhere.sign_in("ada", RIGHT, "").await;
    let (status, _, text) = ada.post("/account/two-factor/off", &[("now", "another one")]).await;
    assert!(status == StatusCode::UNPROCESSABLE_ENTITY && text.contains("is another"), "{text}");
    assert_eq!(elsewhere.get("/stock").await.0, StatusCode::OK);
    let (status, headers, _) = ada.post("/account/two-factor/off", &[("now", RIGHT)]).await;
    assert_eq!(status, StatusCode::SEE_OTHER);
    ada.keep(&headers);
    assert_eq!(ada.get("/stock").await.0, StatusCode::OK);
    assert_eq!(elsewhere.get("/stock").await.0, StatusCode::SEE_OTHER);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_password_that_was_given_counts_for_seven_days() {
    let shop = Shop::open().await;
    let given = made(&shop, "ada", "viewer").await;
    shop.clock.set(shop.clock.now().plus_seconds(7 * 24 * 3_600 - 1));
    assert_eq!(stranger(&shop).sign_in("ada", &given, "").await.0, StatusCode::SEE_OTHER);
    shop.clock.set(shop.clock.now().plus_seconds(2));
    let (status, text) = stranger(&shop).sign_in("ada", &given, "").await;
    assert_eq!(status, StatusCode::UNAUTHORIZED);
    assert!(text.contains("given more than seven days ago"), "{text}");
    let (_, anew) = shop.post("/v1/users/ada/password", json!({})).await;
    let anew = anew["password"].as_str().unwrap();
    assert_eq!(stranger(&shop).sign_in("ada", anew, "").await.0, StatusCode::SEE_OTHER);
}

#[tokio::test(flavor = "multi_thread")]
async fn one_that_is_used_most_is_nobodys_password() {
    let shop = Shop::open().await;
    let ada = settled(&shop, "ada", "viewer").await;
    for (new, why) in [("Manchesterunited", "used most"), ("onhand-warehouse-ada", "anybody would try")] {
        let form = [("now", RIGHT), ("password", new), ("again", new)];
        let (status, _, text) = ada.post("/account/password", &form).await;
        assert!(status == StatusCode::UNPROCESSABLE_ENTITY && text.contains(why), "{new}: {text}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn many_tries_at_once_are_no_more_than_one_after_the_other() {
    let shop = Shop::open().await;
    drop(settled(&shop, "ada", "viewer").await);
    let body = "name=ada&password=wrong%20wrong%20wrong&code=";
    let tried = (0..40).map(|_| {
        let request = Request::post("/sign-in")
            .header(header::HOST, "127.0.0.1:7171")
            .header(header::CONTENT_TYPE, "application/x-www-form-urlencoded");
        let router = shop.router.clone();
        tokio::spawn(async move {
            let answer = router.oneshot(request.body(HttpBody::from(body)).unwrap()).await.unwrap();
            let text = answer.into_body().collect().await.unwrap().to_bytes();
            String::from_utf8_lossy(&text).contains("Too many tries")
        })
    });
    let mut looked_at = 0;
    for tried in tried.collect::<Vec<_>>() {
        looked_at += usize::from(!tried.await.unwrap());
    }
    // Five are free, and the sixth is the first to make others wait; four are looked at at a time.
    assert!((6..=9).contains(&looked_at), "{looked_at} passwords were looked at");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_changed_of_somebody_holds_from_their_next_click_on() {
    let shop = Shop::open().await;
    let ada = settled(&shop, "ada", "viewer").await;
    let form = [("key", "k1"), ("to", "stop"), ("note", "")];
    let (status, _, text) = ada.post("/pushing", &form).await;
    assert_eq!(status, StatusCode::FORBIDDEN);
    assert!(text.contains("a viewer, and this needs an operator"), "{text}");
    shop.post("/v1/users/ada/amend", json!({ "role": "operator" })).await;
    assert_eq!(ada.post("/pushing", &form).await.0, StatusCode::SEE_OTHER);
    let activity = ada.get("/activity").await.2;
    assert!(activity.contains("ada"), "history says who: {activity}");
    assert_eq!(ada.get("/settings").await.0, StatusCode::FORBIDDEN);
    shop.post("/v1/users/ada/amend", json!({ "is_off": true })).await;
    assert_eq!(ada.get("/stock").await.0, StatusCode::SEE_OTHER);
    assert_eq!(stranger(&shop).sign_in("ada", RIGHT, "").await.0, StatusCode::UNAUTHORIZED);
    shop.post("/v1/users/ada/amend", json!({ "is_off": false })).await;
    assert_eq!(ada.get("/stock").await.0, StatusCode::SEE_OTHER, "who was put off signs in again");
    let mut ada = stranger(&shop);
    assert_eq!(ada.sign_in("ada", RIGHT, "").await.0, StatusCode::SEE_OTHER);
    assert_eq!(ada.get("/stock").await.0, StatusCode::OK);
    let before = Browser { shop: &shop, cookie: ada.cookie.clone() };
    assert_eq!(ada.sign_in("ada", RIGHT, "").await.0, StatusCode::SEE_OTHER);
    assert_eq!(before.get("/stock").await.0, StatusCode::SEE_OTHER, "who signs in anew has one session here");
    shop.post("/v1/users/ada/password", json!({})).await;
    assert_eq!(ada.get("/stock").await.0, StatusCode::SEE_OTHER);
    assert_eq!(shop.delete("/v1/users/ada").await.0, StatusCode::OK);
    assert_eq!(shop.get("/v1/users").await["data"], json!([]));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_admin_does_at_the_pages_what_the_api_does() {
    let shop = Shop::open().await;
    let ada = settled(&shop, "ada", "admin").await;
    let (status, _, text) = ada.post("/settings/users", &[("name", "bob"), ("role", "clerk")]).await;
    assert_eq!(status, StatusCode::OK, "{text}");
    let given = text.split("class=\"secret\">").nth(1).unwrap().split('<').next().unwrap().to_owned();
    assert_eq!(stranger(&shop).sign_in("bob", &given, "").await.0, StatusCode::SEE_OTHER);
    let (_, _, text) = ada.get("/settings").await;
    assert!(
        text.contains("bob") && text.contains("has a password to change") && !text.contains(&given),
        "{text}"
    );
    for to in ["viewer", "off", "on", "removed"] {
        let (status, _, text) = ada.post("/settings/users/bob", &[("to", to)]).await;
        assert_eq!(status, StatusCode::SEE_OTHER, "{to}: {text}");
    }
    // Nobody shuts themselves out, nor makes two of one name.
    for to in ["off", "viewer"] {
        assert_eq!(ada.post("/settings/users/ada", &[("to", to)]).await.0, StatusCode::UNPROCESSABLE_ENTITY);
    }
    for name in ["ADA", "test"] {
        let (status, _, text) = ada.post("/settings/users", &[("name", name), ("role", "viewer")]).await;
        assert_eq!(status, StatusCode::UNPROCESSABLE_ENTITY, "{name}: {text}");
    }
    let key = auth::create_key(&shop.handle, TenantId::DEFAULT, "till").await.unwrap();
    let (_, _, text) = ada.get("/settings").await;
    let id = text.split_once(">till<").unwrap().1.split("/settings/keys/").nth(1).unwrap();
    let id = id.split('/').next().unwrap();
    assert_eq!(ada.post(&format!("/settings/keys/{id}/revoke"), &[]).await.0, StatusCode::SEE_OTHER);
    let request = Request::get("/v1/stock").header(header::AUTHORIZATION, format!("Bearer {key}"));
    assert_eq!(shop.send(request.body(HttpBody::empty()).unwrap()).await.status(), StatusCode::UNAUTHORIZED);
}

/// Every operation of the API: with a key of each role, of another tenant, and without one.
#[tokio::test(flavor = "multi_thread")]
async fn each_role_may_what_it_may_on_every_address_and_no_other_tenant_anything() {
    let shop = Shop::open().await;
    let mut keys = Vec::new();
    for role in Role::ALL {
        let grant = Grant { role, rights: &[], rate: None };
        let key = auth::create_key_as(&shop.handle, TenantId::DEFAULT, role.name(), grant).await.unwrap();
        keys.push((role, key));
    }
    let other = auth::create_key(&shop.handle, TenantId(7), "other").await.unwrap();
    let one = json!([{ "sku": "MUG", "quantity": 1 }]);
    shop.accepted("/v1/movements/receive", json!({ "location": "LONDON", "lines": one })).await;
    shop.accepted("/v1/orders", json!({ "reference": "SECRET-1", "lines": one })).await;
    let document = shop.get("/openapi.json").await;
    let (mut asked, mut refused) = (0, 0);
    for (path, item) in document["paths"].as_object().unwrap() {
        if !path.starts_with("/v1/") {
            continue;
        }
        for (method, operation) in item.as_object().unwrap() {
            let (method, is_safe) = (method.to_uppercase(), method == "get");
            let known = filled(path);
            let mut refusals = Vec::new();
            for (role, key) in &keys {
                let (status, problem) = sent(&shop, &method, &known, Some(key)).await;
                assert_ne!(status, StatusCode::INTERNAL_SERVER_ERROR, "{method} {path} {problem}");
                asked += 1;
                let is_refused = problem["type"] == "/docs/errors#role";
                assert!(!is_refused || status == StatusCode::FORBIDDEN);
                if is_refused {
                    refused += 1;
                    assert!(operation["responses"]["403"].is_object(), "{method} {path} declares it");
                }
                refusals.push((*role, is_refused));
            }
            // Who may less is refused where who may more is not: never the other way.
            assert!(refusals.windows(2).all(|two| two[0].1 || !two[1].1), "{method} {path}: {refusals:?}");
            assert!(!refusals[3].1, "{method} {path}: an admin may all");
            let is_asked_by_post = path.ends_with("/preview") || path.ends_with("/dry-run");
            if !is_safe && !is_asked_by_post {
                assert!(refusals[0].1, "{method} {path}: a viewer changes nothing");
            }
            let (status, _) = sent(&shop, &method, &known, None).await;
            assert_eq!(status, StatusCode::UNAUTHORIZED, "{method} {path}");
            if is_safe {
                let text = read_by(&shop, &known, &other).await;
                let told = ["MUG", "LONDON", "SECRET-1"]
                    .into_iter()
                    .find(|name| text.contains(&format!("\"{name}\"")));
                assert_eq!(told, None, "{path} tells another tenant: {text}");
            }
        }
    }
    assert!(asked > 600 && refused > 150, "{asked} {refused}");
}

/// An address with something of this tenant in it.
fn filled(path: &str) -> String {
    path.replace("{sku}", "MUG")
        .replace("{code}", "LONDON")
        .replace("{name}", "WEB")
        .replace("{what}", "items")
        .replace("{document}", "D")
        .replace("{lot}", "L")
        .replace("{id}", "1")
        .replace("{seq}", "1")
        .replace("{order}", "1")
}

/// What another tenant reads there, where it reads anything.
async fn read_by(shop: &Shop, path: &str, key: &str) -> String {
    let request = Request::get(path).header(header::AUTHORIZATION, format!("Bearer {key}"));
    let answer = shop.send(request.body(HttpBody::empty()).unwrap()).await;
    if !answer.status().is_success() {
        return String::new();
    }
    let bytes = answer.into_body().collect().await.unwrap().to_bytes();
    String::from_utf8_lossy(&bytes).into_owned()
}

async fn sent(shop: &Shop, method: &str, path: &str, key: Option<&str>) -> (StatusCode, Value) {
    let mut request = Request::builder()
        .method(Method::from_bytes(method.as_bytes()).unwrap())
        .uri(path)
        .header(header::CONTENT_TYPE, "application/json");
    if let Some(key) = key {
        request = request.header(header::AUTHORIZATION, format!("Bearer {key}"));
    }
    let body = if method == "GET" { HttpBody::empty() } else { HttpBody::from("{}") };
    let answer = shop.send(request.body(body).unwrap()).await;
    let status = answer.status();
    // What streams without end is not read.
    if status.is_success() {
        return (status, Value::Null);
    }
    let bytes = answer.into_body().collect().await.unwrap().to_bytes();
    (status, serde_json::from_slice(&bytes).unwrap_or_default())
}
