//! Signing in by a provider of identities: one of our own, which says what it is told to say.

mod support;

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::body::Body as HttpBody;
use axum::extract::State;
use axum::http::{HeaderMap, Request, StatusCode, header};
use axum::routing::{get, post};
use axum::{Form, Json, Router};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use http_body_util::BodyExt as _;
use jsonwebtoken::{Algorithm, EncodingKey, Header, encode};
use parking_lot::Mutex;
use rcgen::{KeyPair, PublicKeyData as _};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use support::Shop;

/// A provider.
struct Provider {
    issuer: String,
    inside: Arc<Mutex<Inside>>,
}

struct Inside {
    issuer: String,
    key: KeyPair,
    /// Under what the key is published.
    key_id: &'static str,
    /// What was asked for, and what is said of who is there, by code.
    codes: BTreeMap<String, (String, String)>,
    /// It says that it is another.
    says: Option<&'static str>,
    is_down: bool,
}

type Shared = State<Arc<Mutex<Inside>>>;

impl Provider {
    async fn start() -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let issuer = format!("http://{}", listener.local_addr().unwrap());
        let inside = Arc::new(Mutex::new(Inside {
            issuer: issuer.clone(),
            key: KeyPair::generate().unwrap(),
            key_id: "k1",
            codes: BTreeMap::new(),
            says: None,
            is_down: false,
        }));
        let router = Router::new()
            .route("/.well-known/openid-configuration", get(described))
            .route("/keys", get(keys))
            .route("/token", post(token))
            .with_state(inside.clone());
        tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        Self { issuer, inside }
    }

    /// Somebody signed in there: a code for whoever asked with this challenge, and what is said of them.
    fn signed_in(&self, code: &str, challenge: &str, token: String) {
        self.inside.lock().codes.insert(code.to_owned(), (challenge.to_owned(), token));
    }

    fn signed(&self, claims: &Value) -> String {
        let inside = self.inside.lock();
        let head = Header { kid: Some("k1".to_owned()), ..Header::new(Algorithm::ES256) };
        encode(&head, claims, &EncodingKey::from_ec_der(&inside.key.serialize_der())).unwrap()
    }

    fn claims(&self, nonce: &str) -> Value {
        let now = seconds();
        json!({
            "iss": self.issuer, "aud": "onhand", "sub": "subject-1", "iat": now, "exp": now + 300, "nonce": nonce,
            "email": "ada@example.com", "email_verified": true,
        })
    }
}

async fn described(State(inside): Shared) -> (StatusCode, Json<Value>) {
    let inside = inside.lock();
    if inside.is_down {
        return (StatusCode::SERVICE_UNAVAILABLE, Json(json!("away")));
    }
    let at = &inside.issuer;
    let says = inside.says.unwrap_or(at);
    let told = json!({
        "issuer": says, "authorization_endpoint": format!("{at}/authorize"), "token_endpoint": format!("{at}/token"),
        "jwks_uri": format!("{at}/keys"), "authorization_response_iss_parameter_supported": true,
    });
    (StatusCode::OK, Json(told))
}

async fn keys(State(inside): Shared) -> Json<Value> {
    let inside = inside.lock();
    let point = inside.key.der_bytes();
    let [x, y] = [&point[1..33], &point[33..65]].map(|half| URL_SAFE_NO_PAD.encode(half));
    let key = json!({ "kty": "EC", "crv": "P-256", "use": "sig", "alg": "ES256", "kid": inside.key_id, "x": x, "y": y });
    Json(json!({ "keys": [key] }))
}

async fn token(
    State(inside): Shared,
    headers: HeaderMap,
    Form(form): Form<BTreeMap<String, String>>,
) -> (StatusCode, Json<Value>) {
    let no = |why: &str| {
        (StatusCode::BAD_REQUEST, Json(json!({ "error": "invalid_grant", "error_description": why })))
    };
    let mut inside = inside.lock();
    // Each code once.
    let Some((challenge, token)) = inside.codes.remove(&form["code"]) else { return no("no such code") };
    let verifier = URL_SAFE_NO_PAD.encode(Sha256::digest(form["code_verifier"].as_bytes()));
    let secret = format!("Basic {}", STANDARD.encode("onhand:s%2Fecret"));
    let is_ours = headers.get("authorization").is_some_and(|value| *value == *secret);
    if !is_ours || verifier != challenge || form["redirect_uri"] != "https://stock.example.com/sign-in/back" {
        return no("not who asked");
    }
    (StatusCode::OK, Json(json!({ "access_token": "a", "token_type": "Bearer", "id_token": token })))
}

/// What clock a token is looked at by.
#[expect(clippy::disallowed_methods, reason = "the time of tokens is the machine's")]
fn seconds() -> i64 {
    jiff::Timestamp::now().as_second()
}

struct Browser<'a> {
    shop: &'a Shop,
    cookies: BTreeMap<String, String>,
}

impl Browser<'_> {
    async fn get(&mut self, path: &str) -> (StatusCode, Option<String>, String) {
        let cookies: Vec<String> =
            self.cookies.iter().map(|(name, value)| format!("{name}={value}")).collect();
        let request = Request::get(path)
            .header(header::HOST, "127.0.0.1:7171")
            .header(header::ACCEPT, "text/html")
            .header(header::COOKIE, cookies.join("; "));
        let answer = self.shop.send(request.body(HttpBody::empty()).unwrap()).await;
        let (head, body) = answer.into_parts();
        for set in head.headers.get_all(header::SET_COOKIE) {
            let set = set.to_str().unwrap();
            assert!(set.contains("HttpOnly; SameSite=Lax"), "{set}");
            let (name, value) = set.split(';').next().unwrap().split_once('=').unwrap();
            self.cookies.insert(name.to_owned(), value.to_owned());
        }
        let led = head.headers.get(header::LOCATION).map(|led| led.to_str().unwrap().to_owned());
        let text = body.collect().await.unwrap().to_bytes();
        (head.status, led, String::from_utf8(text.to_vec()).unwrap())
    }
}

/// What is asked for in an address.
fn asked(address: &str) -> BTreeMap<String, String> {
    let url = reqwest::Url::parse(address).unwrap();
    url.query_pairs().map(|(name, value)| (name.into_owned(), value.into_owned())).collect()
}

fn stranger(shop: &Shop) -> Browser<'_> {
    Browser { shop, cookies: BTreeMap::new() }
}

async fn shop_with(provider: &Provider, newcomers: Option<&str>) -> Shop {
    let shop = Shop::open().await;
    let set = json!({
        "issuer": provider.issuer, "client_id": "onhand", "client_secret": "s/ecret",
        "address": "https://stock.example.com/", "newcomers": newcomers,
    });
    let (status, told) = shop.post("/v1/sign-on", set).await;
    assert_eq!(status, StatusCode::OK, "{told}");
    assert_eq!(told["comes_back_to"], "https://stock.example.com/sign-in/back");
    shop
}

/// Somebody goes there and comes back with a token, made of what would be right.
async fn came_back(
    browser: &mut Browser<'_>,
    provider: &Provider,
    token: impl FnOnce(&Provider, Value) -> String,
) -> (StatusCode, Option<String>, String) {
    let (status, led, text) = browser.get("/sign-in/with?next=%2Fstock").await;
    assert_eq!(status, StatusCode::SEE_OTHER, "{text}");
    let asked = asked(&led.unwrap());
    assert_eq!((asked["response_type"].as_str(), asked["code_challenge_method"].as_str()), ("code", "S256"));
    let token = token(provider, provider.claims(&asked["nonce"]));
    provider.signed_in("c-1", &asked["code_challenge"], token);
    let issuer = words(&provider.issuer);
    browser.get(&format!("/sign-in/back?code=c-1&state={}&iss={issuer}", asked["state"])).await
}

fn words(text: &str) -> String {
    text.bytes().map(|byte| format!("%{byte:02X}")).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_is_known_here_signs_in_by_the_provider_and_stays_who_they_are() {
    let provider = Provider::start().await;
    let shop = shop_with(&provider, None).await;
    let (status, _) = shop.post("/v1/users", json!({ "name": "Ada@example.com", "role": "operator" })).await;
    assert_eq!(status, StatusCode::CREATED);
    let mut ada = stranger(&shop);
    let (_, _, page) = ada.get("/sign-in?next=/stock").await;
    assert!(
        page.contains("href=\"/sign-in/with?tenant=1&amp;next=%2Fstock\"")
            || page.contains("/sign-in/with?tenant=1&#38;next=%2Fstock"),
        "{page}"
    );
    let (status, led, text) =
        came_back(&mut ada, &provider, |provider, claims| provider.signed(&claims)).await;
    assert_eq!((status, led.as_deref()), (StatusCode::SEE_OTHER, Some("/stock")), "{text}");
    // The password that somebody gave her is not asked for.
    assert_eq!(ada.get("/stock").await.0, StatusCode::OK);
    // From then on she is who the provider says, whatever her address.
    let (status, ..) = came_back(&mut stranger(&shop), &provider, |provider, mut claims| {
        claims["email"] = json!("ada@elsewhere.example");
        provider.signed(&claims)
    })
    .await;
    assert_eq!(status, StatusCode::SEE_OTHER);
    // And nobody else is, who was given that address.
    let (status, _, text) = came_back(&mut stranger(&shop), &provider, |provider, mut claims| {
        claims["sub"] = json!("subject-2");
        provider.signed(&claims)
    })
    .await;
    assert!(status == StatusCode::UNAUTHORIZED && text.contains("somebody else&#39;s"), "{text}");
    // Who is put off is, there too.
    assert_eq!(
        shop.post("/v1/users/ada@example.com/amend", json!({ "is_off": true })).await.0,
        StatusCode::OK
    );
    assert_eq!(ada.get("/stock").await.0, StatusCode::SEE_OTHER);
    let (status, ..) =
        came_back(&mut stranger(&shop), &provider, |provider, claims| provider.signed(&claims)).await;
    assert_eq!(status, StatusCode::UNAUTHORIZED);
}

#[tokio::test(flavor = "multi_thread")]
async fn newcomers_are_let_in_as_what_an_admin_said_or_not_at_all() {
    let provider = Provider::start().await;
    let shop = shop_with(&provider, None).await;
    let (status, _, text) =
        came_back(&mut stranger(&shop), &provider, |provider, claims| provider.signed(&claims)).await;
    assert!(
        status == StatusCode::UNAUTHORIZED && text.contains("Nobody here is called ada@example.com"),
        "{text}"
    );
    let shop = shop_with(&provider, Some("viewer")).await;
    let (status, _, text) = came_back(&mut stranger(&shop), &provider, |provider, mut claims| {
        claims["email_verified"] = json!(false);
        provider.signed(&claims)
    })
    .await;
    assert!(status == StatusCode::UNAUTHORIZED && text.contains("has not verified"), "{text}");
    let mut ada = stranger(&shop);
    assert_eq!(
        came_back(&mut ada, &provider, |provider, claims| provider.signed(&claims)).await.0,
        StatusCode::SEE_OTHER
    );
    assert_eq!(ada.get("/settings").await.0, StatusCode::FORBIDDEN, "a viewer");
    let all = shop.get("/v1/users").await;
    assert_eq!(
        (&all["data"][0]["name"], &all["data"][0]["role"]),
        (&json!("ada@example.com"), &json!("viewer"))
    );
    // Without a password nobody signs in by one.
    let (status, ..) = ada.get("/sign-in?next=/").await;
    assert_eq!(status, StatusCode::OK);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_does_not_prove_who_is_there_lets_nobody_in() {
    let provider = Provider::start().await;
    let shop = shop_with(&provider, Some("admin")).await;
    let now = seconds();
    for (field, value, why) in [
        ("nonce", json!("another"), "nobody here asked for it"),
        ("nonce", Value::Null, "nobody here asked for it"),
        ("aud", json!("another"), "for somebody else"),
        ("azp", json!("another"), "for somebody else"),
        ("iss", json!("https://evil.example"), "of another issuer"),
        ("exp", json!(now - 3_600), "not of now"),
        ("exp", Value::Null, "not as it must be"),
        ("nbf", json!(now + 3_600), "not of now"),
        ("sub", json!(""), "names nobody"),
    ] {
        let (status, _, text) = came_back(&mut stranger(&shop), &provider, |provider, mut claims| {
            claims[field] = value.clone();
            provider.signed(&claims)
        })
        .await;
        assert!(status == StatusCode::UNAUTHORIZED && text.contains(why), "{field} {value}: {text}");
    }
    // Signed by nobody, by another, or with what everybody knows.
    let encoded = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
    let unsigned =
        |_: &Provider, claims: Value| format!("{}.{}.", encoded(&json!({ "alg": "none" })), encoded(&claims));
    let (status, ..) = came_back(&mut stranger(&shop), &provider, unsigned).await;
    assert_eq!(status, StatusCode::UNAUTHORIZED);
    let with_secret = |_: &Provider, claims: Value| {
        let head = Header { kid: Some("k1".to_owned()), ..Header::new(Algorithm::HS256) };
        encode(&head, &claims, &EncodingKey::from_secret(b"s/ecret")).unwrap()
    };
    let (status, _, text) = came_back(&mut stranger(&shop), &provider, with_secret).await;
    assert!(status == StatusCode::UNAUTHORIZED && text.contains("proves nothing"), "{text}");
    let by_another = |_: &Provider, claims: Value| {
        let head = Header { kid: Some("k1".to_owned()), ..Header::new(Algorithm::ES256) };
        encode(&head, &claims, &EncodingKey::from_ec_der(&KeyPair::generate().unwrap().serialize_der()))
            .unwrap()
    };
    let (status, _, text) = came_back(&mut stranger(&shop), &provider, by_another).await;
    assert!(status == StatusCode::UNAUTHORIZED && text.contains("not signed by the provider"), "{text}");
    provider.inside.lock().key_id = "k2";
    let (status, ..) =
        came_back(&mut stranger(&shop), &provider, |provider, claims| provider.signed(&claims)).await;
    assert_eq!(status, StatusCode::UNAUTHORIZED, "its keys are others by now");
    provider.inside.lock().key_id = "k1";
    assert_eq!(shop.get("/v1/users").await["data"], json!([]), "nobody was let in");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_counts_once_and_only_in_the_browser_that_asked() {
    let provider = Provider::start().await;
    let shop = shop_with(&provider, Some("clerk")).await;
    // A link on somebody else's page signs nobody in.
    let elsewhere = Request::get("/sign-in/with?next=/stock").header("sec-fetch-site", "cross-site");
    let answer = shop.send(elsewhere.body(HttpBody::empty()).unwrap()).await;
    assert_eq!(answer.headers()[header::LOCATION], "/sign-in?tenant=1&next=%2Fstock");
    let mut ada = stranger(&shop);
    let (_, led, _) = ada.get("/sign-in/with?next=https://evil.example/").await;
    let asked = asked(&led.unwrap());
    let token = provider.signed(&provider.claims(&asked["nonce"]));
    provider.signed_in("c-9", &asked["code_challenge"], token.clone());
    let issuer = words(&provider.issuer);
    let back = |state: &str, issuer: &str| format!("/sign-in/back?code=c-9&state={state}&iss={issuer}");
    let right = back(&asked["state"], &issuer);
    // In another browser, for another asking, from another provider.
    assert_eq!(stranger(&shop).get(&right).await.0, StatusCode::BAD_REQUEST);
    let mut copy = Browser { shop: &shop, cookies: ada.cookies.clone() };
    assert_eq!(copy.get(&back("0000", &issuer)).await.0, StatusCode::BAD_REQUEST);
    let mut copy = Browser { shop: &shop, cookies: ada.cookies.clone() };
    let (status, _, text) = copy.get(&back(&asked["state"], "https%3A%2F%2Fevil.example")).await;
    assert!(status == StatusCode::UNAUTHORIZED && text.contains("is not from"), "{text}");
    let mut copy = Browser { shop: &shop, cookies: ada.cookies.clone() };
    let (status, led, text) = ada.get(&right).await;
    assert_eq!(
        (status, led.as_deref()),
        (StatusCode::SEE_OTHER, Some("/")),
        "nobody is led elsewhere: {text}"
    );
    // Once more: the cookie is gone, and where somebody kept it the code is used up.
    assert_eq!(ada.get(&right).await.0, StatusCode::BAD_REQUEST);
    let (status, _, text) = copy.get(&right).await;
    assert!(status == StatusCode::UNAUTHORIZED && text.contains("no such code"), "{text}");
    // What the provider says is shown as text.
    let (_, led, _) = copy.get("/sign-in/with").await;
    let state = self::asked(&led.unwrap())["state"].clone();
    let (status, _, text) = copy
        .get(&format!("/sign-in/back?error=access_denied&error_description=%3Cb%3Eno&state={state}"))
        .await;
    assert!(status == StatusCode::UNAUTHORIZED && text.contains("&#60;b&#62;no"), "{text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_provider_is_looked_at_before_it_is_set_and_its_secret_is_told_to_nobody() {
    let provider = Provider::start().await;
    let shop = shop_with(&provider, None).await;
    let set = |issuer: &str, secret: Option<&str>, address: &str| json!({ "issuer": issuer, "client_id": "onhand", "client_secret": secret, "address": address });
    let here = "https://stock.example.com";
    provider.inside.lock().says = Some("https://another.example");
    for (body, field, why) in [
        (set(&provider.issuer, None, here), "issuer", "is the issuer `https://another.example`"),
        (set("http://login.example.com", Some("x"), here), "issuer", "begins with https://"),
        (set("http://127.0.0.1:1", Some("x"), here), "issuer", "cannot be asked"),
        (set("http://127.0.0.1:1", None, here), "client_secret", "is missing"),
        (
            set(&provider.issuer, Some("x"), "http://stock.example.com"),
            "address",
            "https://stock.example.com",
        ),
    ] {
        let (status, problem) = shop.post("/v1/sign-on", body).await;
        let told = problem.to_string();
        assert!(
            status == StatusCode::UNPROCESSABLE_ENTITY && told.contains(why) && told.contains(field),
            "{why}: {told}"
        );
    }
    provider.inside.lock().says = None;
    // The secret stays where it is not told again, and is shown to nobody.
    let (status, told) = shop.post("/v1/sign-on", set(&provider.issuer, None, here)).await;
    assert_eq!(status, StatusCode::OK);
    let shown = shop.get("/v1/sign-on").await;
    assert_eq!(shown, told);
    assert!(!shown.to_string().contains("s/ecret"), "{shown}");
    // A provider that is away keeps nobody from signing in otherwise.
    provider.inside.lock().is_down = true;
    let (status, _, text) = stranger(&shop).get("/sign-in/with").await;
    assert!(status == StatusCode::BAD_GATEWAY && text.contains("Use your name and password"), "{text}");
    // Nor does an address that names a tenant which cannot be.
    for page in ["/sign-in", "/sign-in?tenant=0", "/sign-in?tenant=7", "/sign-in?tenant=18446744073709551615"]
    {
        assert_eq!(stranger(&shop).get(page).await.0, StatusCode::OK, "{page}");
    }
    assert_eq!(shop.post("/v1/sign-on/forget", json!({})).await.0, StatusCode::OK);
    assert_eq!(stranger(&shop).get("/sign-in/with").await.0, StatusCode::NOT_FOUND);
}
