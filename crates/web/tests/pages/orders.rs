//! Orders: shipped and taken back from their page, by whoever may; where each was sent; those that must leave soon.

use axum::http::{StatusCode, header};
use onhand_engine::sent::{name, sent_space};
use onhand_ledger::{Instant, OrderId, Quantity, TenantId};
use onhand_store::Note;
use onhand_sync::sent::{Days, Lines, Of, Parcel, Progress, Reply, SentDocument};
use onhand_web::Role;
use serde_json::{Value, json};

use crate::rules::with_role;
use crate::support::{Shop, time};
use crate::{Browser, signed_in};

/// Ten mugs in London.
async fn shop() -> Shop {
    let shop = Shop::open().await;
    let lines = json!([{ "sku": "MUG", "quantity": 10 }]);
    shop.accepted("/v1/movements/receive", json!({ "location": "LONDON", "lines": lines })).await;
    shop
}

/// An order of so many mugs, and what else is said of it.
async fn order(shop: &Shop, quantity: i64, more: Value) -> u64 {
    let mut order = json!({ "lines": [{ "sku": "MUG", "quantity": quantity }] });
    order.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    shop.accepted("/v1/orders", order).await["id"].as_u64().unwrap()
}

/// The form of a page that is sent to an address, with its fields that are filled in already.
fn form<'a>(page: &'a str, address: &str) -> Option<&'a str> {
    page.split(&format!("action=\"{address}\"")).nth(1)?.split("</form>").next()
}

fn field(form: &str, name: &str) -> Option<String> {
    let value = form.split(&format!("name=\"{name}\" value=\"")).nth(1)?;
    value.split('"').next().map(str::to_owned)
}

/// Sends a form, and is led back to the order.
async fn done(browser: &Browser<'_>, order: u64, deed: &str, form: &str) {
    let (status, headers, text) = browser.post(&format!("/orders/{order}/{deed}"), form, "same-origin").await;
    assert_eq!(status, StatusCode::SEE_OTHER, "{form}: {text}");
    assert_eq!(headers[header::LOCATION].to_str().unwrap(), format!("/orders/{order}"));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_order_is_shipped_in_part_and_taken_back_from_its_page() {
    let shop = shop().await;
    let order = order(&shop, 4, json!({ "reference": "A-1" })).await;
    let browser = signed_in(&shop).await;
    let address = format!("/orders/{order}");
    let page = browser.page(&address).await;
    let ship = form(&page, &format!("{address}/ship")).unwrap();
    assert!(ship.contains("<bdi>MUG</bdi>: 4 at LONDON") && ship.contains("value=\"4\""), "{ship}");
    assert!(form(&page, &format!("{address}/return")).is_none(), "nothing has left: {page}");
    let (key, line) = (field(ship, "key").unwrap(), field(ship, "line").unwrap());
    // Sent twice, it leaves once.
    for _ in 0..2 {
        done(&browser, order, "ship", &format!("key={key}&line={line}&quantity=3&note=van")).await;
    }
    let stock = || async { shop.get("/v1/items/MUG/stock").await["total"].clone() };
    let total = stock().await;
    assert_eq!(
        (&total["on_hand"], &total["committed"], &total["available"]),
        (&json!(7), &json!(1), &json!(6)),
        "{total}"
    );
    let page = browser.page(&address).await;
    for said in ["part shipped", "3 at LONDON", "up to 3, shipped 3 at LONDON"] {
        assert!(page.contains(said), "{said}: {page}");
    }
    let back = form(&page, &format!("{address}/return")).unwrap();
    let key = field(back, "key").unwrap();
    for _ in 0..2 {
        let said = format!("key={key}&line={line}&quantity=2&into=damaged&location=");
        done(&browser, order, "return", &said).await;
    }
    let total = stock().await;
    assert_eq!(
        (&total["on_hand"], &total["damaged"], &total["available"]),
        (&json!(9), &json!(2), &json!(6)),
        "{total}"
    );
    let known = shop.get(&format!("/v1{address}")).await;
    assert_eq!(
        (&known["lines"][0]["shipped"], &known["lines"][0]["returned"]),
        (&json!([{ "location": "LONDON", "quantity": 3 }]), &json!(2)),
        "{known}"
    );
    assert!(browser.page(&address).await.contains("up to 1, shipped"));
    // What cannot be is said, and nothing is done.
    for (index, (deed, said, wrong)) in [
        ("ship", "quantity=2", "line `1`"),
        ("ship", "quantity=many", "many"),
        ("ship", "quantity=", "say how much of which line has left"),
        ("ship", "quantity=0", "say how much of which line has left"),
        ("ship", "quantity=1&occurred_at=noon", "noon"),
        ("return", "quantity=2&into=damaged", "line `1`"),
        ("return", "quantity=1&into=customer", "choose what becomes of it"),
        ("return", "quantity=1&into=damaged&location=NOWHERE", "NOWHERE"),
    ]
    .into_iter()
    .enumerate()
    {
        let form = format!("key=wrong-{index}&line={line}&{said}");
        let (status, _, text) = browser.post(&format!("{address}/{deed}"), &form, "same-origin").await;
        assert!(status.is_client_error() && text.contains(wrong), "{deed} {said}: {status} {text}");
    }
    assert_eq!(stock().await, total);
}

#[tokio::test(flavor = "multi_thread")]
async fn pieces_leave_and_come_back_each_by_itself() {
    let shop = Shop::open().await;
    shop.accepted("/v1/items", json!({ "sku": "PHONE", "tracking": "serials" })).await;
    let lines = json!([{ "sku": "PHONE", "quantity": 2, "serials": ["S1", "S2"] }]);
    shop.accepted("/v1/movements/receive", json!({ "location": "LONDON", "lines": lines })).await;
    let placed = json!({ "lines": [{ "sku": "PHONE", "quantity": 2 }] });
    let order = shop.accepted("/v1/orders", placed).await["id"].as_u64().unwrap();
    let browser = signed_in(&shop).await;
    let address = format!("/orders/{order}");
    let page = browser.page(&address).await;
    let ship = form(&page, &format!("{address}/ship")).unwrap();
    assert!(ship.contains("value=\"S1\"") && ship.contains("value=\"S2\""), "{ship}");
    let line = field(ship, "line").unwrap();
    let said = format!("key=ship&line={line}&lot=S1&quantity=&line={line}&lot=S2&quantity=1");
    done(&browser, order, "ship", &said).await;
    let page = browser.page(&address).await;
    let (ship, back) = (
        form(&page, &format!("{address}/ship")).unwrap(),
        form(&page, &format!("{address}/return")).unwrap(),
    );
    assert!(ship.contains("value=\"S1\"") && !ship.contains("value=\"S2\""), "{ship}");
    assert!(back.contains("value=\"S2\"") && !back.contains("value=\"S1\""), "{back}");
    let said = format!("key=back&line={line}&lot=S2&quantity=1&into=quality_control");
    done(&browser, order, "return", &said).await;
    let total = shop.get("/v1/items/PHONE/stock").await["total"].clone();
    assert_eq!((&total["on_hand"], &total["quality_control"]), (&json!(2), &json!(1)), "{total}");
    assert!(form(&browser.page(&address).await, &format!("{address}/return")).is_none());
}

#[tokio::test(flavor = "multi_thread")]
async fn who_may_only_look_is_offered_nothing_and_does_nothing() {
    let shop = shop().await;
    let order = order(&shop, 4, json!({})).await;
    let address = format!("/orders/{order}");
    let viewer = with_role(&shop, Role::Viewer).await;
    let page = viewer.page(&address).await;
    assert!(!page.contains(&format!("action=\"{address}/")), "{page}");
    for deed in ["ship", "return", "cancel", "reallocate"] {
        let form = "key=k&line=1&quantity=1&into=damaged";
        let (status, ..) = viewer.post(&format!("{address}/{deed}"), form, "same-origin").await;
        assert_eq!(status, StatusCode::FORBIDDEN, "{deed}");
    }
    assert_eq!(shop.get("/v1/items/MUG/stock").await["total"]["on_hand"], 10);
    // A clerk ships, and cancels nothing.
    let clerk = with_role(&shop, Role::Clerk).await;
    let page = clerk.page(&address).await;
    assert!(form(&page, &format!("{address}/cancel")).is_none(), "{page}");
    let ship = form(&page, &format!("{address}/ship")).unwrap();
    let said =
        format!("key={}&line={}&quantity=4", field(ship, "key").unwrap(), field(ship, "line").unwrap());
    assert_eq!(clerk.post(&format!("{address}/ship"), &said, "cross-site").await.0, StatusCode::FORBIDDEN);
    done(&clerk, order, "ship", &said).await;
    assert_eq!(shop.get("/v1/items/MUG/stock").await["total"]["on_hand"], 6);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_somebody_else_is_master_of_is_theirs_to_ship() {
    let shop = shop().await;
    let order = order(&shop, 4, json!({})).await;
    let browser = signed_in(&shop).await;
    let address = format!("/orders/{order}");
    let page = browser.page(&address).await;
    let line = field(form(&page, &format!("{address}/ship")).unwrap(), "line").unwrap();
    shop.accepted("/v1/ownership", json!({ "location": "LONDON", "master": "WMS" })).await;
    let said = format!("key=k&line={line}&quantity=4");
    let (status, _, text) = browser.post(&format!("{address}/ship"), &said, "same-origin").await;
    assert!(status == StatusCode::CONFLICT && text.contains("WMS"), "{status} {text}");
    let page = browser.page(&address).await;
    assert!(form(&page, &format!("{address}/ship")).is_none(), "{page}");
    assert!(page.contains("4 × MUG at LONDON by WMS"), "{page}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_order_says_where_it_was_sent_and_what_was_answered() {
    let shop = shop().await;
    let order = order(&shop, 4, json!({})).await;
    let browser = signed_in(&shop).await;
    let address = format!("/orders/{order}");
    assert!(!browser.page(&address).await.contains("Where it was sent"));
    let (system, location, item) = shop
        .handle
        .ledger()
        .read(TenantId::DEFAULT, |view| {
            let system = view.system_by_name("WMS")?.unwrap().0;
            let location = view.location_by_code("LONDON")?.unwrap().0;
            Ok((system, location, view.item_by_sku("MUG")?.unwrap().0))
        })
        .unwrap();
    let at = Instant::parse(&time("07:30")).unwrap();
    let parcel = Parcel {
        parcel: "P-1".to_owned(),
        shipped_at: at,
        carrier: Some("UPS".to_owned()),
        tracking: Some("1Z<9>".to_owned()),
        lines: vec![(item, Quantity::units(1))],
    };
    let reply = Reply {
        version: 1,
        revision: 2,
        updated_at: at,
        progress: Progress::Accepted,
        reason: Some("one is broken".to_owned()),
        leaves: Lines::from([(item, Quantity::units(3))]),
        parcels: vec![parcel],
    };
    let sent = SentDocument {
        of: Of::Order(OrderId(order)),
        location,
        number: 1,
        versions: vec![(1, Lines::from([(item, Quantity::units(4))]))],
        received: 1,
        sent_at: at,
        tries: 0,
        trouble: None,
        reply: Some(reply),
        days: Days::new(),
    };
    let body = serde_json::to_string(&sent).unwrap();
    let key = name(sent.of, location, 1);
    let note = Note { space: sent_space(system), key: key.clone(), body: Some(body) };
    shop.handle.submit_with(TenantId::DEFAULT, None, vec![note]).await.unwrap();
    let page = browser.page(&address).await;
    for said in [
        "Where it was sent",
        "href=\"/systems/WMS\"",
        key.as_str(),
        "short picked",
        "One is broken.",
        "4 × MUG: 1 shipped, 1 will not be",
        "P-1",
        "UPS 1Z&#60;9&#62;",
        "07:30",
    ] {
        assert!(page.contains(said), "{said}: {page}");
    }
    // As the API tells it.
    let known = shop.get(&format!("/v1{address}")).await;
    assert_eq!(known["sent"][0]["state"], "short_picked", "{known}");
}

#[tokio::test(flavor = "multi_thread")]
async fn orders_that_must_leave_within_a_day_are_soon_late_until_they_have() {
    let shop = shop().await;
    shop.accepted("/v1/items", json!({ "sku": "POT", "backorder_limit": 5 })).await;
    let soon = order(&shop, 1, json!({ "reference": "SOON", "ship_by": time("18:00") })).await;
    let late = json!({ "reference": "LATE", "ship_by": time("07:00") });
    order(&shop, 1, late).await;
    let later = json!({ "reference": "LATER", "ship_by": "2026-11-25T18:00:00Z" });
    order(&shop, 1, later).await;
    order(&shop, 1, json!({ "reference": "ANY" })).await;
    let waits = json!({ "reference": "WAITS", "lines": [{ "sku": "POT", "quantity": 2 }] });
    shop.accepted("/v1/orders", waits).await;
    let browser = signed_in(&shop).await;
    let listed = |text: &str| -> Vec<&'static str> {
        let all = ["SOON", "LATE", "LATER", "ANY", "WAITS"];
        all.into_iter().filter(|name| text.contains(&format!("<bdi>{name}</bdi>"))).collect()
    };
    for (show, found) in [
        ("soon", vec!["SOON"]),
        ("late", vec!["LATE"]),
        ("backordered", vec!["WAITS"]),
        ("short", vec!["WAITS"]),
        ("open", vec!["SOON", "LATE", "LATER", "ANY", "WAITS"]),
    ] {
        let text = browser.page(&format!("/orders?show={show}")).await;
        assert_eq!(listed(&text), found, "{show}: {text}");
    }
    let text = browser.page("/orders?show=soon").await;
    assert!(
        text.contains("◔</span> soon late") && text.contains("aria-current=\"page\">Soon late"),
        "{text}"
    );
    let page = browser.page(&format!("/orders/{soon}")).await;
    assert!(page.contains("◔</span> soon late"), "{page}");
    let ship = form(&page, &format!("/orders/{soon}/ship")).unwrap();
    let said =
        format!("key={}&line={}&quantity=1", field(ship, "key").unwrap(), field(ship, "line").unwrap());
    done(&browser, soon, "ship", &said).await;
    assert!(listed(&browser.page("/orders?show=soon").await).is_empty());
}
