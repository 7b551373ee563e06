//! What browsers are told, how sessions go there and back, what is logged of who comes; and that the book says so truly.

mod support;

use std::collections::BTreeSet;
use std::io::Write;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::{Arc, LazyLock, Mutex};

use axum::body::Body as HttpBody;
use axum::extract::ConnectInfo;
use axum::http::{HeaderMap, Request, StatusCode, header};
use axum::response::Response;
use http_body_util::BodyExt as _;
use onhand_ledger::TenantId;
use onhand_web::Role;
use onhand_web::auth::{self, Grant};
use support::Shop;

const ELSEWHERE: &str = "stock.example.com";

fn told<'h>(headers: &'h HeaderMap, name: &str) -> &'h str {
    headers.get(name).map_or("", |value| value.to_str().unwrap())
}

/// What a browser at that host asks, with what headers.
async fn asked(shop: &Shop, host: &str, line: (&str, &str), with: &[(&str, &str)], body: &str) -> Response {
    let (method, path) = line;
    let mut request = Request::builder().method(method).uri(path).header(header::HOST, host);
    for (name, value) in with {
        request = request.header(*name, *value);
    }
    let mut request = request.body(HttpBody::from(body.to_owned())).unwrap();
    request.extensions_mut().insert(ConnectInfo(SocketAddr::from(([203, 0, 113, 9], 1_024))));
    shop.send(request).await
}

const FORM: (&str, &str) = ("content-type", "application/x-www-form-urlencoded");

#[tokio::test(flavor = "multi_thread")]
async fn every_answer_says_what_a_browser_may_do_with_it() {
    let shop = Shop::open().await;
    let key = format!("Bearer {}", shop.key);
    let page = asked(&shop, "127.0.0.1", ("GET", "/sign-in"), &[], "").await;
    let text = page.into_body().collect().await.unwrap().to_bytes();
    let text = String::from_utf8_lossy(&text).into_owned();
    let style =
        text.split("href=\"").find_map(|part| part.split('"').next().filter(|at| at.contains(".css")));
    for (line, status) in [
        (("GET", "/"), 303),
        (("GET", "/sign-in"), 200),
        (("GET", style.unwrap()), 200),
        (("GET", "/nowhere"), 404),
        (("POST", "/sign-in"), 415),
        (("GET", "/v1/items"), 200),
        (("GET", "/v1/export/items"), 200),
        (("GET", "/v1/items/NONE"), 404),
        (("POST", "/v1/items"), 422),
        (("TRACE", "/v1/items"), 405),
        (("TRACE", "/sign-in"), 405),
        (("GET", "/openapi.json"), 200),
        (("GET", "/docs/"), 200),
        (("GET", "/docs/errors"), 200),
        (("GET", "/assets/"), 404),
        (("GET", "/.git/config"), 404),
        (("GET", "/livez"), 200),
        (("GET", "/metrics"), 200),
        (("POST", "/hooks/ohh_1_no"), 404),
    ] {
        let json = ("content-type", "application/json");
        let answer = asked(&shop, ELSEWHERE, line, &[("authorization", &key), json], "{}").await;
        assert_eq!(answer.status().as_u16(), status, "{line:?}");
        let headers = answer.headers();
        assert_eq!(told(headers, "x-content-type-options"), "nosniff", "{line:?}");
        assert_eq!(told(headers, "referrer-policy"), "same-origin", "{line:?}");
        assert_eq!(told(headers, "cross-origin-opener-policy"), "same-origin", "{line:?}");
        assert!(headers.get("access-control-allow-origin").is_none(), "{line:?}");
        let content = told(headers, "content-security-policy");
        for part in ["default-src 'none'", "frame-ancestors 'none'", "base-uri 'none'"] {
            assert!(content.contains(part), "{line:?}: {content}");
        }
        assert!(!content.contains("script-src 'unsafe") && !content.contains("eval"), "{line:?}: {content}");
        let kept = told(headers, "cache-control");
        let is_style = line.1 == style.unwrap();
        assert_eq!(kept.contains("immutable"), is_style, "{line:?}: {kept}");
        assert_eq!(kept == "no-store", !is_style, "{line:?}: {kept}");
        let kind = told(headers, "content-type");
        let is_text = kind.starts_with("text/") || kind.contains("xml");
        assert!(!is_text || kind.contains("charset=utf-8"), "{line:?}: {kind}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_password_is_masked_and_a_password_manager_may_fill_it_in() {
    let shop = Shop::open().await;
    let page = asked(&shop, ELSEWHERE, ("GET", "/sign-in"), &[], "").await;
    let text = page.into_body().collect().await.unwrap().to_bytes();
    let text = String::from_utf8_lossy(&text).into_owned();
    for (name, filled) in [("password", "current-password"), ("key", "off")] {
        let field = text.split("<input ").find(|field| field.contains(&format!("name=\"{name}\""))).unwrap();
        assert!(field.contains("type=\"password\""), "{field}");
        assert!(
            field.contains(&format!("autocomplete=\"{filled}\"")) && !field.contains("maxlength"),
            "{field}"
        );
    }
    assert!(!text.contains("onpaste"), "{text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn who_came_by_tls_is_told_to_come_by_nothing_else() {
    let mut shop = Shop::open().await;
    let plain = asked(&shop, ELSEWHERE, ("GET", "/livez"), &[], "").await;
    assert!(plain.headers().get(header::STRICT_TRANSPORT_SECURITY).is_none());
    shop.router = onhand_web::over_tls(shop.router.clone());
    for path in ["/livez", "/sign-in", "/v1/items", "/nowhere"] {
        let answer = asked(&shop, ELSEWHERE, ("GET", path), &[], "").await;
        let said = told(answer.headers(), "strict-transport-security");
        assert_eq!(said, "max-age=31536000; includeSubDomains", "{path}");
        let here = asked(&shop, "localhost:7171", ("GET", path), &[], "").await;
        assert_eq!(told(here.headers(), "strict-transport-security"), "", "others serve on this machine too");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_is_of_one_host_alone() {
    let shop = Shop::open().await;
    let form = format!("key={}", shop.key);
    let answer = asked(&shop, ELSEWHERE, ("POST", "/sign-in"), &[FORM], &form).await;
    assert_eq!(answer.status(), StatusCode::SEE_OTHER);
    let set = told(answer.headers(), "set-cookie").to_owned();
    let (cookie, rest) = set.split_once(';').unwrap();
    assert!(cookie.starts_with("__Host-onhand_session=1."), "{set}");
    for part in [" Path=/", " HttpOnly", " SameSite=Lax", " Secure"] {
        assert!(rest.split(';').any(|one| one == part), "{part}: {set}");
    }
    assert!(!rest.contains("Domain"), "{set}");
    let secret = cookie.rsplit('.').next().unwrap();
    assert!(secret.len() == 40 && secret.bytes().all(|byte| byte.is_ascii_hexdigit()), "160 bits: {set}");
    let seen = async |cookie: &str| {
        asked(&shop, ELSEWHERE, ("GET", "/stock"), &[("cookie", cookie)], "").await.status()
    };
    assert_eq!(seen(cookie).await, StatusCode::OK);
    assert_eq!(
        seen(cookie.trim_start_matches("__Host-")).await,
        StatusCode::SEE_OTHER,
        "anybody may set that"
    );
    let out = asked(&shop, ELSEWHERE, ("POST", "/sign-out"), &[FORM, ("cookie", cookie)], "").await;
    let set = told(out.headers(), "set-cookie");
    assert!(
        set.starts_with("__Host-onhand_session=; ") && set.contains("Max-Age=0") && set.contains("Secure"),
        "{set}"
    );
    assert_eq!(seen(cookie).await, StatusCode::SEE_OTHER);
}

/// What was logged.
#[derive(Clone, Default)]
struct Lines(Arc<Mutex<Vec<u8>>>);

impl Write for Lines {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// All that this process logs.
fn logged() -> &'static Lines {
    static ALL: LazyLock<Lines> = LazyLock::new(|| {
        let lines = Lines::default();
        let into = lines.clone();
        let subscriber = tracing_subscriber::fmt().json().with_writer(move || into.clone()).finish();
        tracing::subscriber::set_global_default(subscriber).unwrap();
        lines
    });
    &ALL
}

#[tokio::test(flavor = "multi_thread")]
async fn who_comes_and_who_is_refused_is_logged_and_no_secret() {
    let lines = logged();
    let shop = Shop::open().await;
    let grant = Grant { role: Role::Viewer, rights: &[], rate: None };
    let viewer = auth::create_key_as(&shop.handle, TenantId::DEFAULT, "watcher", grant).await.unwrap();
    let strange = format!("ohk_1_{}", "0".repeat(40));
    let bearer = |key: &str| format!("Bearer {key}");
    let json = ("content-type", "application/json");
    let by_key = async |line: (&'static str, &'static str), key: &str, body: &str| {
        asked(&shop, "127.0.0.1", line, &[("authorization", &bearer(key)), json], body).await.status()
    };
    assert_eq!(by_key(("GET", "/v1/items?sku=of-mine"), &strange, "").await, StatusCode::UNAUTHORIZED);
    assert_eq!(by_key(("GET", "/v1/keys"), &viewer, "").await, StatusCode::FORBIDDEN);
    let erase = r#"{"email":"ada@example.com"}"#;
    assert_eq!(by_key(("POST", "/v1/erase"), &shop.key, erase).await, StatusCode::FORBIDDEN);
    assert_eq!(by_key(("POST", "/v1/keys"), &shop.key, r#"{"name":"till"}"#).await, StatusCode::CREATED);
    let sign_in =
        async |form: &str| asked(&shop, "127.0.0.1", ("POST", "/sign-in"), &[FORM], form).await.status();
    assert_eq!(sign_in(&format!("key={strange}")).await, StatusCode::UNAUTHORIZED);
    assert_eq!(sign_in("name=hunter2hunter2&password=hunter2hunter2").await, StatusCode::UNAUTHORIZED);
    assert_eq!(sign_in(&format!("key={}", shop.key)).await, StatusCode::SEE_OTHER);
    let site = ("sec-fetch-site", "cross-site");
    let forged = asked(&shop, "127.0.0.1", ("POST", "/pushing"), &[FORM, site], "to=stop").await;
    assert_eq!(forged.status(), StatusCode::FORBIDDEN);
    let address = format!("/hooks/ohh_1_{}", "e".repeat(40));
    asked(&shop, "127.0.0.1", ("POST", &address), &[], "{}").await;
    tracing::info!("done");
    let told = String::from_utf8(lines.0.lock().unwrap().clone()).unwrap();
    for said in [
        "a request with an API key that is none was refused",
        "somebody was refused: the role",
        "somebody was refused: a right",
        "an API key was made",
        "a sign-in failed",
        "somebody signed in",
        "what another site asked was refused",
    ] {
        let line = told.lines().find(|line| line.contains(said));
        let line: serde_json::Value =
            serde_json::from_str(line.unwrap_or_else(|| panic!("{said}: {told}"))).unwrap();
        assert!(line["timestamp"].as_str().unwrap().ends_with('Z'), "{line}");
        let request = &line["spans"][0];
        assert!(request["id"].is_string() && request["path"].is_string(), "{line}");
        assert_eq!(request["client"], "203.0.113.9", "{line}");
    }
    for secret in [&shop.key[6..], &viewer[6..], &strange[6..], "hunter2", "of-mine", "ada@", &"e".repeat(40)]
    {
        assert!(!told.contains(secret), "{secret}: {told}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn who_tries_to_get_around_is_logged_and_fills_no_log() {
    let lines = logged();
    let shop = Shop::open().await;
    let key = async |name: &str, rate| {
        let grant = Grant { role: Role::Operator, rights: &[], rate };
        auth::create_key_as(&shop.handle, TenantId::DEFAULT, name, grant).await.unwrap()
    };
    let (eager, clumsy) = (key("eager", Some(2)).await, key("clumsy", None).await);
    let json = ("content-type", "application/json");
    let by_key = async |key: &str, body: &str| {
        let bearer = format!("Bearer {key}");
        let with = [("authorization", bearer.as_str()), json];
        asked(&shop, "127.0.0.1", ("POST", "/v1/locations"), &with, body).await.status()
    };
    for _ in 0..50 {
        by_key(&eager, r#"{"code":"PARIS"}"#).await;
        assert_eq!(
            by_key(&clumsy, r#"{"code":"PARIS","hunter2hunter2":1}"#).await,
            StatusCode::UNPROCESSABLE_ENTITY
        );
        let site = ("sec-fetch-site", "cross-site");
        asked(&shop, "127.0.0.1", ("POST", "/sign-out"), &[FORM, site], "to=hunter2hunter2").await;
    }
    let told = String::from_utf8(lines.0.lock().unwrap().clone()).unwrap();
    for (said, path, who) in [
        ("who asks too often was refused", "/v1/locations", Some("eager")),
        ("somebody asks again and again for what cannot be", "/v1/locations", Some("clumsy")),
        ("what another site asked was refused", "/sign-out", None),
    ] {
        let lines =
            told.lines().filter(|line| line.contains(said)).map(|line| serde_json::from_str(line).unwrap());
        let mut lines: Vec<serde_json::Value> = lines.collect();
        lines.retain(|line| line["spans"][0]["path"] == path);
        assert_eq!(lines.len(), 1, "{said}: {told}");
        let line = &lines[0];
        assert_eq!((&line["level"], line["fields"]["caller"].as_str()), (&"WARN".into(), who), "{line}");
        assert!(line["fields"]["times"].is_number(), "{line}");
        assert_eq!(line["spans"][0]["client"], "203.0.113.9", "{line}");
    }
    for secret in [&eager[6..], &clumsy[6..], "hunter2hunter2"] {
        assert!(!told.contains(secret), "{secret}: {told}");
    }
}

/// A row of the book's tables.
struct Row {
    number: String,
    how: String,
}

/// In which ways a requirement is seen to.
const WAYS: [&str; 6] =
    ["Test:", "Documented:", "By construction:", "Does not apply:", "Whoever runs it:", "Not met:"];

/// The requirements of levels 1 and 2 of OWASP ASVS 5.0.0: of each section, up to which number. Those of level 3
/// come after them.
const SECTIONS: &[(&str, u32)] = &[
    ("1.1", 2),
    ("1.2", 9),
    ("1.3", 11),
    ("1.4", 3),
    ("1.5", 2),
    ("2.1", 3),
    ("2.2", 3),
    ("2.3", 4),
    ("2.4", 1),
    ("3.2", 2),
    ("3.3", 4),
    ("3.4", 6),
    ("3.5", 5),
    ("3.7", 2),
    ("4.1", 3),
    ("4.2", 1),
    ("4.3", 2),
    ("4.4", 4),
    ("5.1", 1),
    ("5.2", 3),
    ("5.3", 2),
    ("5.4", 3),
    ("6.1", 3),
    ("6.2", 12),
    ("6.3", 4),
    ("6.4", 4),
    ("6.5", 5),
    ("6.6", 3),
    ("6.8", 4),
    ("7.1", 3),
    ("7.2", 4),
    ("7.3", 2),
    ("7.4", 5),
    ("7.5", 2),
    ("7.6", 2),
    ("8.1", 2),
    ("8.2", 3),
    ("8.3", 1),
    ("8.4", 1),
    ("9.1", 3),
    ("9.2", 4),
    ("10.1", 2),
    ("10.2", 2),
    ("10.3", 4),
    ("10.4", 11),
    ("10.5", 5),
    ("10.6", 2),
    ("10.7", 3),
    ("11.1", 2),
    ("11.2", 3),
    ("11.3", 3),
    ("11.4", 4),
    ("11.5", 1),
    ("11.6", 1),
    ("12.1", 3),
    ("12.2", 2),
    ("12.3", 4),
    ("13.1", 1),
    ("13.2", 5),
    ("13.3", 2),
    ("13.4", 5),
    ("14.1", 2),
    ("14.2", 4),
    ("14.3", 3),
    ("15.1", 3),
    ("15.2", 3),
    ("15.3", 7),
    ("16.1", 1),
    ("16.2", 5),
    ("16.3", 4),
    ("16.4", 3),
    ("16.5", 3),
    ("17.1", 1),
    ("17.2", 4),
    ("17.3", 2),
];

#[test]
fn the_book_goes_through_every_requirement_and_each_test_it_names_is_there() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let book = std::fs::read_to_string(root.join("docs/security.md")).unwrap();
    let rows: Vec<Row> = book.lines().filter_map(row).collect();
    let numbers: Vec<&str> = rows.iter().map(|row| row.number.as_str()).collect();
    let expected: Vec<String> = SECTIONS
        .iter()
        .flat_map(|(section, last)| (1..=*last).map(move |nth| format!("{section}.{nth}")))
        .collect();
    assert_eq!(expected.len(), 253);
    assert_eq!(numbers, expected, "each once, in order");
    let mut named = BTreeSet::new();
    for Row { number, how } in &rows {
        assert!(WAYS.iter().any(|way| how.starts_with(way)), "{number}: {how}");
        let tests: Vec<&str> = how.split('`').skip(1).step_by(2).filter(|name| name.contains("::")).collect();
        assert_eq!(
            how.starts_with("Test:"),
            !tests.is_empty(),
            "{number} names tests, or says why there are none"
        );
        named.extend(tests);
    }
    for name in named {
        assert!(is_a_test(&root, name), "there is no test `{name}`");
    }
    let not_met: BTreeSet<&str> =
        rows.iter().filter(|row| row.how.starts_with("Not met:")).map(|row| row.number.as_str()).collect();
    let list = book.split("\n## Not met\n").nth(1).unwrap().split("\n## ").next().unwrap();
    let listed: BTreeSet<&str> =
        list.split("**").skip(1).step_by(2).flat_map(|numbers| numbers.split(", ")).collect();
    assert_eq!(listed, not_met, "the list at the top is of those that the tables call so");
}

/// `| 1.2.3 | what | how |`.
fn row(line: &str) -> Option<Row> {
    let mut cells = line.strip_prefix("| ")?.strip_suffix(" |")?.splitn(3, " | ");
    let (number, _, how) = (cells.next()?, cells.next()?, cells.next()?);
    let is_number =
        number.split('.').count() == 3 && number.split('.').all(|part| part.parse::<u32>().is_ok());
    is_number.then(|| Row { number: number.to_owned(), how: how.to_owned() })
}

/// `crate::file::test`: a test of that name in `tests/` of the crate, in `tests/it/`, or beside the code.
fn is_a_test(root: &Path, name: &str) -> bool {
    let parts: Vec<&str> = name.split("::").collect();
    let [of, file @ .., test] = parts.as_slice() else { return false };
    let (home, file) = (root.join("crates").join(of), file.iter().collect::<PathBuf>());
    let at = |folder: &str, end: &str| home.join(folder).join(format!("{}{end}", file.display()));
    let places = [at("tests", ".rs"), at("tests/it", ".rs"), at("src", ".rs"), at("src", "/mod.rs")];
    places.iter().any(|place| std::fs::read_to_string(place).is_ok_and(|text| has_test(&text, test)))
}

fn has_test(text: &str, test: &str) -> bool {
    let lines: Vec<&str> = text.lines().map(str::trim).collect();
    let is_here = |line: &str| {
        let line = line.trim_start_matches("async ");
        line.strip_prefix("fn ")
            .and_then(|rest| rest.strip_prefix(test))
            .is_some_and(|rest| rest.starts_with(['(', '<']))
    };
    let is_marked = |at: usize| {
        let mut above = lines[..at].iter().rev().take_while(|line| line.starts_with("#["));
        above.any(|line| line.contains("test"))
    };
    lines.iter().position(|line| is_here(line)).is_some_and(is_marked)
}
