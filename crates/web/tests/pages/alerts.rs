//! Whom alerts are told: said at the page as over the API, with nothing secret in any page.

use axum::http::{StatusCode, header};
use onhand_engine::alerts::Alerts;
use onhand_ledger::{Instant, TenantId};
use onhand_web::Role;
use serde_json::json;

use crate::rules::with_role;
use crate::signed_in;
use crate::support::{Shop, time};

/// A webhook whose address and token are secret.
const HOOK: &str = "way=webhook&name=desk&url=http%3A%2F%2Fnobody.invalid%2Fh00k&secret=t0ken&kinds=low_stock&kinds=lag&lag_seconds=60";

/// What is due is tried, and goes so.
async fn told(shop: &Shop, how: Result<(), &str>) {
    let ledger = shop.handle.ledger().clone();
    for due in Alerts::default().look(&ledger, TenantId::DEFAULT).unwrap() {
        shop.handle.submit_with(TenantId::DEFAULT, None, due.notes(how)).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn somebody_to_tell_is_added_changed_and_removed_and_nothing_secret_is_shown() {
    let shop = Shop::open().await;
    let browser = with_role(&shop, Role::Operator).await;
    let page = browser.page("/alerts").await;
    assert!(page.contains("Nobody is told yet") && page.contains("Tell somebody else"), "{page}");
    assert_eq!(browser.post("/alerts", HOOK, "cross-site").await.0, StatusCode::FORBIDDEN);
    let (status, headers, page) = browser.post("/alerts", HOOK, "same-origin").await;
    assert_eq!(status, StatusCode::SEE_OTHER, "{page}");
    assert_eq!(headers[header::LOCATION], "/alerts");
    let desk = || async { shop.get("/v1/alerts").await["data"][0].clone() };
    let made = desk().await;
    assert_eq!(
        (&made["name"], &made["way"], &made["to"], &made["kinds"], &made["lag_seconds"]),
        (
            &json!("desk"),
            &json!("webhook"),
            &json!(["nobody.invalid"]),
            &json!(["low_stock", "lag"]),
            &json!(60)
        )
    );
    // A second of that name would take the place of the first.
    let (status, _, page) = browser.post("/alerts", HOOK, "same-origin").await;
    assert!(status == StatusCode::UNPROCESSABLE_ENTITY && page.contains("is told already"), "{page}");
    // The address that is left empty stays.
    let change = "changes=1&way=webhook&name=desk&url=&secret=&kinds=exposure&lag_seconds=90";
    assert_eq!(browser.post("/alerts", change, "same-origin").await.0, StatusCode::SEE_OTHER);
    let changed = desk().await;
    assert_eq!(
        (&changed["to"], &changed["kinds"], &changed["lag_seconds"]),
        (&json!(["nobody.invalid"]), &json!(["exposure"]), &json!(90))
    );
    // What does not arrive is said.
    let (status, _, page) = browser.post("/alerts/desk/test", "", "same-origin").await;
    assert!(status == StatusCode::BAD_GATEWAY && page.contains("could not be told"), "{page}");
    assert!(!page.contains("h00k") && !page.contains("t0ken"), "{page}");
    let admin = signed_in(&shop).await;
    for path in ["/alerts", "/alerts?reached=desk", "/settings", "/activity", "/more"] {
        let page = admin.page(path).await;
        assert!(!page.contains("h00k") && !page.contains("t0ken"), "{path}: {page}");
    }
    assert!(admin.page("/more").await.contains("href=\"/alerts\""));
    assert!(!admin.page("/alerts?reached=nobody").await.contains("A test reached"));
    assert_eq!(browser.post("/alerts/desk/remove", "", "same-origin").await.0, StatusCode::SEE_OTHER);
    assert_eq!(shop.get("/v1/alerts").await["data"], json!([]));
    for path in ["/alerts/desk/remove", "/alerts/desk/test"] {
        assert_eq!(browser.post(path, "", "same-origin").await.0, StatusCode::NOT_FOUND, "{path}");
    }
    assert_eq!(browser.post("/alerts", change, "same-origin").await.0, StatusCode::NOT_FOUND);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_is_said_and_not_kept() {
    let shop = Shop::open().await;
    let browser = with_role(&shop, Role::Operator).await;
    let mail = "way=email&name=desk&security=tls&host=smtp.invalid&from=stock%40example.com";
    for (form, said) in [
        ("way=pigeon&name=desk".to_owned(), "way must be"),
        ("way=slack&name=&url=https%3A%2F%2Fchat.invalid%2F".to_owned(), "name must have"),
        ("way=slack&name=desk&url=".to_owned(), "url must be"),
        ("way=slack&name=desk&url=http%3A%2F%2F127.0.0.1%2F".to_owned(), "a private one"),
        ("way=slack&name=desk&url=https%3A%2F%2Fchat.invalid%2F&kinds=rain".to_owned(), "choose of these"),
        ("way=slack&name=desk&url=https%3A%2F%2Fchat.invalid%2F&lag_seconds=soon".to_owned(), "whole number"),
        (format!("{mail}&to="), "to must be"),
        (format!("{mail}&to=nobody"), "to must be"),
        (format!("{mail}&to=ada%40example.com&port=99999"), "a port"),
    ] {
        let (status, _, page) = browser.post("/alerts", &form, "same-origin").await;
        assert!(status == StatusCode::UNPROCESSABLE_ENTITY && page.contains(said), "{form}: {page}");
    }
    assert_eq!(shop.get("/v1/alerts").await["data"], json!([]));
    let form = format!("{mail}&to=ada%40example.com%0D%0Abob%40example.com&username=stock&secret=s3same");
    assert_eq!(browser.post("/alerts", &form, "same-origin").await.0, StatusCode::SEE_OTHER);
    let made = shop.get("/v1/alerts").await["data"][0].clone();
    assert_eq!(made["to"], json!(["ada@example.com", "bob@example.com"]));
    assert_eq!(made["kinds"].as_array().unwrap().len(), 8, "of all, where none is marked");
    assert!(!browser.page("/alerts").await.contains("s3same"));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_wrong_is_shown_with_when_it_was_told() {
    let shop = Shop::open().await;
    let slack = json!({ "url": "https://chat.invalid/h00k" });
    shop.accepted("/v1/alerts", json!({ "name": "chat", "slack": slack, "kinds": ["low_stock"] })).await;
    shop.accepted("/v1/items", json!({ "sku": "TEA", "low_stock": 10 })).await;
    let viewer = with_role(&shop, Role::Viewer).await;
    let page = viewer.page("/alerts").await;
    assert!(page.contains("Told nothing yet") && page.contains("No trouble is on."), "{page}");
    told(&shop, Err("it answered 500")).await;
    let page = viewer.page("/alerts").await;
    assert!(page.contains("Word does not arrive since") && page.contains("it answered 500"), "{page}");
    shop.clock.set(Instant::parse(&time("08:05")).unwrap());
    told(&shop, Ok(())).await;
    let page = viewer.page("/alerts").await;
    assert!(page.contains("Word arrives") && page.contains("TEA is low"), "{page}");
    assert!(page.contains("chat.invalid") && !page.contains("h00k"), "{page}");
    // Who may only look is offered nothing, and does nothing.
    assert!(!page.contains("action=\"/alerts"), "{page}");
    for role in [Role::Clerk, Role::Admin] {
        let may = role == Role::Admin;
        let browser = with_role(&shop, role).await;
        assert_eq!(browser.page("/alerts").await.contains("action=\"/alerts"), may);
        let (status, ..) = browser.post("/alerts/chat/remove", "", "same-origin").await;
        assert_eq!(status == StatusCode::SEE_OTHER, may, "{status}");
    }
    assert_eq!(viewer.post("/alerts", HOOK, "same-origin").await.0, StatusCode::FORBIDDEN);
}
