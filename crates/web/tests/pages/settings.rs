//! Keys that are made at the pages, how people sign in by a provider, and what is kept of people.

use axum::body::Body as HttpBody;
use axum::http::{Request, StatusCode, header};
use onhand_web::Role;
use serde_json::{Value, json};

use crate::rules::with_role;
use crate::support::Shop;
use crate::{Browser, signed_in, stranger};

/// What is shown once.
fn secret_of(page: &str) -> Option<&str> {
    page.split("class=\"secret\">").nth(1)?.split('<').next()
}

/// What the API answers to a key.
async fn answered(shop: &Shop, key: &str, path: &str, body: Option<Value>) -> StatusCode {
    let request = Request::builder()
        .uri(path)
        .method(if body.is_some() { "POST" } else { "GET" })
        .header(header::AUTHORIZATION, format!("Bearer {key}"))
        .header(header::CONTENT_TYPE, "application/json");
    let body = body.map_or_else(HttpBody::empty, |body| HttpBody::from(body.to_string()));
    shop.send(request.body(body).unwrap()).await.status()
}

async fn signed_in_by<'a>(shop: &'a Shop, key: &str) -> Browser<'a> {
    let mut browser = stranger(shop);
    browser.sign_in(key).await;
    browser
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_made_at_the_page_does_what_its_role_may_and_is_shown_once() {
    let shop = Shop::open().await;
    let browser = signed_in(&shop).await;
    let before = browser.page("/settings").await;
    assert!(
        before.contains("action=\"/settings/keys\"") && before.contains("Nobody signs in by one."),
        "{before}"
    );
    assert!(!before.contains("name=\"right\""), "who has no right gives none");
    let (status, headers, page) =
        browser.post("/settings/keys", "name=+till+&role=clerk", "same-origin").await;
    assert!(status == StatusCode::OK && headers[header::CACHE_CONTROL] == "no-store", "{status} {page}");
    let key = secret_of(&page).unwrap().to_owned();
    assert!(page.contains("data-live=\"\""), "nothing is swapped over what is shown once");
    assert_eq!(answered(&shop, &key, "/v1/stock", None).await, StatusCode::OK);
    let lines = json!([{ "sku": "MUG", "quantity": 1 }]);
    let received = json!({ "location": "LONDON", "lines": lines });
    assert!(answered(&shop, &key, "/v1/movements/receive", Some(received)).await.is_success());
    let item = json!({ "sku": "TEA" });
    assert_eq!(answered(&shop, &key, "/v1/items", Some(item)).await, StatusCode::FORBIDDEN);
    for path in ["/settings", "/activity", "/stock"] {
        let page = browser.page(path).await;
        assert!(!page.contains(&key), "{path}");
    }
    let again = browser.page("/settings").await;
    assert!(again.contains("<bdi>till</bdi>") && secret_of(&again).is_none(), "{again}");
    // One of each name, and as they may be called.
    for form in
        ["name=till&role=viewer", "name=&role=viewer", "name=a%0Ab&role=viewer", "name=shelf&role=king"]
    {
        let (status, _, page) = browser.post("/settings/keys", form, "same-origin").await;
        assert!(status == StatusCode::UNPROCESSABLE_ENTITY && secret_of(&page).is_none(), "{form}: {page}");
    }
    let keys = shop.get("/v1/keys").await;
    let mut names: Vec<&str> =
        keys["data"].as_array().unwrap().iter().filter_map(|key| key["name"].as_str()).collect();
    names.sort_unstable();
    assert_eq!(names, ["test", "till"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_gives_a_key_a_right_that_they_have_not() {
    let shop = Shop::open().await;
    let root = shop.boss().await;
    let test = signed_in(&shop).await;
    let form = "name=counter&role=clerk&right=approve";
    assert_eq!(test.post("/settings/keys", form, "same-origin").await.0, StatusCode::FORBIDDEN);
    let root = signed_in_by(&shop, &root).await;
    assert!(root.page("/settings").await.contains("name=\"right\" value=\"approve\""));
    assert_eq!(root.post("/settings/keys", form, "cross-site").await.0, StatusCode::FORBIDDEN);
    let odd = "name=counter&role=clerk&right=fly";
    assert_eq!(root.post("/settings/keys", odd, "same-origin").await.0, StatusCode::UNPROCESSABLE_ENTITY);
    let person = "name=boss&role=clerk";
    assert_eq!(root.post("/settings/keys", person, "same-origin").await.0, StatusCode::UNPROCESSABLE_ENTITY);
    assert_eq!(root.post("/settings/keys", form, "same-origin").await.0, StatusCode::OK);
    let keys = shop.get("/v1/keys").await;
    let made = keys["data"].as_array().unwrap().iter().find(|key| key["name"] == "counter").unwrap();
    assert_eq!((&made["role"], &made["rights"]), (&json!("clerk"), &json!(["approve"])));
}

#[tokio::test(flavor = "multi_thread")]
async fn who_is_no_admin_sees_and_does_nothing_of_it() {
    let shop = Shop::open().await;
    for role in [Role::Viewer, Role::Clerk, Role::Operator] {
        let browser = with_role(&shop, role).await;
        assert_eq!(browser.get("/settings").await.0, StatusCode::FORBIDDEN);
        for (path, form) in [
            ("/settings/keys", "name=mine&role=admin"),
            ("/settings/people", "email=ada%40example.com&sure=true"),
        ] {
            assert_eq!(browser.post(path, form, "same-origin").await.0, StatusCode::FORBIDDEN, "{path}");
        }
    }
    let keys = shop.get("/v1/keys").await;
    assert!(!keys.to_string().contains("mine"), "{keys}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_person_is_erased_once_it_was_shown_what_goes() {
    let shop = Shop::open().await;
    let root = shop.boss().await;
    let order = json!({ "system": "WEB", "document": "T-1", "version": 1,
        "order": { "lines": [{ "line": "1", "sku": "MUG", "quantity": 1 }] },
        "raw": { "to": { "email": "ada@example.com" } } });
    let lines = json!([{ "sku": "MUG", "quantity": 5 }]);
    shop.accepted("/v1/movements/receive", json!({ "location": "LONDON", "lines": lines })).await;
    shop.accepted("/v1/documents", order).await;
    let kept = "/v1/systems/WEB/raw/T-1";
    assert_eq!(answered(&shop, &root, kept, None).await, StatusCode::OK);
    let test = signed_in(&shop).await;
    assert!(!test.page("/settings").await.contains("/settings/people"), "it needs a right");
    let form = "email=ada%40example.com";
    assert_eq!(test.post("/settings/people", form, "same-origin").await.0, StatusCode::FORBIDDEN);
    let browser = signed_in_by(&shop, &root).await;
    let page = browser.page("/settings").await;
    assert!(page.contains("action=\"/settings/people\"") && page.contains("30 days"), "{page}");
    let (status, _, page) = browser.post("/settings/people", form, "same-origin").await;
    assert!(
        status == StatusCode::OK && page.contains("This would be erased of") && page.contains("T-1"),
        "{page}"
    );
    assert!(page.contains("name=\"sure\" value=\"true\""), "{page}");
    assert_eq!(answered(&shop, &root, kept, None).await, StatusCode::OK, "it is only shown");
    for odd in
        ["email=ada", "email=ada%40example.com&system=WEB&document=T-1", "system=NONE&document=T-1", ""]
    {
        let status = browser.post("/settings/people", odd, "same-origin").await.0;
        assert_eq!(status, StatusCode::UNPROCESSABLE_ENTITY, "{odd}");
    }
    let sure = format!("{form}&system=&document=&sure=true");
    assert_eq!(browser.post("/settings/people", &sure, "cross-site").await.0, StatusCode::FORBIDDEN);
    let (status, _, page) = browser.post("/settings/people", &sure, "same-origin").await;
    assert!(status == StatusCode::OK && page.contains("Erased, and not to be kept again"), "{page}");
    assert_eq!(answered(&shop, &root, kept, None).await, StatusCode::NOT_FOUND);
    let (_, _, page) = browser.post("/settings/people", "system=WEB&document=T-1", "same-origin").await;
    assert!(page.contains("Nothing that opens is kept of") && page.contains("T-1"), "{page}");
}
