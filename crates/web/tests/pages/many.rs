//! The same done about several: items of the stock list, and discrepancies.

use axum::http::{StatusCode, header};
use onhand_web::Role;
use serde_json::json;

use crate::rules::with_role;
use crate::signed_in;
use crate::support::Shop;

/// Three items; LONDON has some of two.
async fn shop() -> Shop {
    let shop = Shop::open().await;
    for item in [
        json!({ "sku": "TEA-1", "name": "Green tea", "tags": ["hot", "old"], "low_stock": 10 }),
        json!({ "sku": "TEA-2", "name": "Black tea" }),
        json!({ "sku": "POT", "name": "Pot" }),
    ] {
        shop.accepted("/v1/items", item).await;
    }
    let lines = json!([{ "sku": "TEA-1", "quantity": 5 }, { "sku": "POT", "quantity": 5 }]);
    shop.accepted("/v1/movements/receive", json!({ "location": "LONDON", "lines": lines })).await;
    shop
}

fn save_of(text: &str) -> Option<String> {
    let button = text.split("name=\"save\" value=\"").nth(1)?;
    button.split('"').next().map(str::to_owned)
}

#[tokio::test(flavor = "multi_thread")]
async fn many_items_are_changed_at_once_as_was_shown() {
    let shop = shop().await;
    let put = json!({ "put_system": { "name": "SHOP", "kind": "test", "locations": [["here", "LONDON"]] } });
    shop.accepted("/v1/commands", json!({ "body": put })).await;
    shop.accepted("/v1/systems/SHOP/listings", json!({ "remote_id": "1", "sku": "TEA-1" })).await;
    let browser = signed_in(&shop).await;
    let list = browser.page("/stock?q=tea").await;
    assert!(
        list.contains("href=\"/stock/edit?q=tea\"") && list.contains("name=\"i\" value=\"TEA-1\""),
        "{list}"
    );
    let asked = "add=gift%2C+new&remove=old&low=set&level=3&archive=&selling=stop&reason=recall";
    let shown = browser.page(&format!("/stock/edit?q=tea&{asked}")).await;
    for said in [
        "Edit 2 items",
        "2 of 2 items would change. 1 number that systems show would be another.",
        "<td class=\"n\">5</td><td class=\"n strong\">0</td>",
        "tags hot, gift, new; low at or below 3; sold no more",
        "tags gift, new; low at or below 3; sold no more",
        "Nothing is saved yet.",
    ] {
        assert!(shown.contains(said), "{said}: {shown}");
    }
    assert_eq!(shop.get("/v1/items/TEA-1").await["tags"], json!(["hot", "old"]), "it is only shown");
    let save = save_of(&shown).unwrap();
    // What was not shown is not saved: it is shown first.
    let (status, _, text) =
        browser.post("/stock/edit", &format!("q=tea&add=other&save={save}"), "same-origin").await;
    assert!(status == StatusCode::OK && text.contains("tags hot, old, other"), "{status} {text}");
    assert_eq!(shop.get("/v1/items/TEA-1").await["tags"], json!(["hot", "old"]));
    for _ in 0..2 {
        let form = format!("q=tea&{asked}&save={save}");
        let (status, headers, text) = browser.post("/stock/edit", &form, "same-origin").await;
        if status == StatusCode::SEE_OTHER {
            assert_eq!(headers[header::LOCATION].to_str().unwrap(), "/stock?q=tea");
        } else {
            assert!(text.contains("Nothing would change."), "sent again: {text}");
        }
    }
    let tea = shop.get("/v1/items/TEA-1").await;
    assert_eq!(
        (&tea["tags"], &tea["low_stock"]["level"]),
        (&json!(["hot", "gift", "new"]), &json!(3)),
        "{tea}"
    );
    assert_eq!(shop.get("/v1/items/TEA-2").await["tags"], json!(["gift", "new"]));
    assert_eq!(shop.get("/v1/items/POT").await["tags"], json!([]), "what was not meant is as it was");
    // Those that are marked alone; and taken back.
    let back = browser.page("/stock/edit?marked=1&i=TEA-1&i=POT&add=&low=none&selling=resume").await;
    assert!(back.contains("1 of 2 items would change."), "{back}");
    assert!(back.contains("no level of low stock; sold again"), "{back}");
    let form =
        format!("marked=1&i=TEA-1&i=POT&add=&low=none&selling=resume&save={}", save_of(&back).unwrap());
    assert_eq!(browser.post("/stock/edit", &form, "same-origin").await.0, StatusCode::SEE_OTHER);
    assert_eq!(shop.get("/v1/items/TEA-1").await["low_stock"]["level"], json!(null));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_changed_of_many_is_said_and_nothing_is() {
    let shop = shop().await;
    let browser = signed_in(&shop).await;
    for (asked, said) in [
        ("i=POT&add=&low=set", "say at or below how much it is low"),
        ("i=POT&add=&low=set&level=many", "many"),
        ("i=POT&add=&low=set&level=-1", "-1"),
        ("i=POT&add=&selling=stop", "say why nobody shall sell it"),
        ("i=POT&add=&archive=perhaps", "choose one of these"),
        ("marked=1", "None is marked, or nothing is found"),
        ("q=nothing-like-it", "None is marked, or nothing is found"),
        ("i=POT&add=", "Nothing would change."),
    ] {
        let text = browser.page(&format!("/stock/edit?{asked}")).await;
        assert!(text.contains(said) && save_of(&text).is_none(), "{asked}: {text}");
    }
    let (status, _, text) = browser.get("/stock/edit?i=NONE&add=x").await;
    assert!(status == StatusCode::NOT_FOUND && text.contains("NONE"), "{text}");
    // Of more than can be changed at once nothing is.
    let rows: String = (0..1_001).map(|number| format!("MANY-{number},Many\n")).collect();
    let import = axum::http::Request::post("/v1/import/items")
        .header(header::AUTHORIZATION, format!("Bearer {}", shop.key))
        .header(header::CONTENT_TYPE, "text/csv")
        .header("idempotency-key", "many")
        .body(axum::body::Body::from(format!("sku,name\n{rows}")));
    let (status, _, text) = browser.ask(import.unwrap()).await;
    assert_eq!(status, StatusCode::OK, "{text}");
    let text = browser.page("/stock/edit?q=many&add=x").await;
    assert!(text.contains("1,000 items are changed at once") && save_of(&text).is_none(), "{text}");
    // Who may only look is offered nothing, and does nothing.
    let clerk = with_role(&shop, Role::Clerk).await;
    assert!(!clerk.page("/stock").await.contains("/stock/edit"));
    assert!(save_of(&clerk.page("/stock/edit?i=POT&add=x").await).is_none());
    assert_eq!(clerk.post("/stock/edit", "i=POT&add=x", "same-origin").await.0, StatusCode::FORBIDDEN);
    assert_eq!(browser.post("/stock/edit", "i=POT&add=x", "cross-site").await.0, StatusCode::FORBIDDEN);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_is_done_about_several_discrepancies() {
    let shop = shop().await;
    let browser = signed_in(&shop).await;
    // Orders of what nobody knows.
    for number in 1..=5 {
        let order = json!({ "system": "WEB", "document": format!("T-{number}"), "version": 1, "order": {
            "lines": [{ "line": "1", "sku": format!("NOBODY-{number}"), "quantity": 1 }] } });
        shop.post("/v1/documents", order).await;
    }
    let address = "/discrepancies?cause=unknown_name&system=WEB";
    let inbox = browser.page(address).await;
    let ids: Vec<String> = inbox
        .split("name=\"id\" value=\"")
        .skip(1)
        .map(|rest| rest.split('"').next().unwrap().to_owned())
        .collect();
    assert_eq!(ids.len(), 5, "{inbox}");
    assert!(inbox.contains("all 5 of this kind") && inbox.contains("for 5 of the 5 shown"), "{inbox}");
    let none = browser.post("/discrepancies/apply", "of=marked&proposal=dismiss", "same-origin").await;
    assert!(none.0 == StatusCode::UNPROCESSABLE_ENTITY && none.2.contains("mark one or more"), "{}", none.2);
    let form =
        format!("cause=unknown_name&system=WEB&of=marked&id={}&id={}&proposal=dismiss", ids[0], ids[1]);
    assert_eq!(browser.post("/discrepancies/apply", &form, "cross-site").await.0, StatusCode::FORBIDDEN);
    let (status, _, text) = browser.post("/discrepancies/apply", &form, "same-origin").await;
    assert!(status == StatusCode::OK && text.contains("Dismiss: done about 2"), "{status} {text}");
    assert!(text.contains("all 3 of this kind"), "{text}");
    // What has ended meanwhile is left, and that is said; a proposal that nobody made does nothing.
    let (_, _, text) = browser.post("/discrepancies/apply", &form, "same-origin").await;
    assert!(text.contains("done about 0; 2 were left as they were, such as"), "{text}");
    let odd = "cause=unknown_name&system=WEB&of=all&proposal=explode";
    let (_, _, text) = browser.post("/discrepancies/apply", odd, "same-origin").await;
    assert!(
        text.contains("done about 0; 3 were left as they were") && text.contains("has no proposal"),
        "{text}"
    );
    let all = "cause=unknown_name&system=WEB&of=all&proposal=dismiss";
    let (_, _, text) = browser.post("/discrepancies/apply", all, "same-origin").await;
    assert!(text.contains("done about 3") && text.contains("Nothing waits for a person"), "{text}");
}
