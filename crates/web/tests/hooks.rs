//! Webhooks as they come in: verified, kept, answered at once.

mod support;

use axum::body::Body;
use axum::http::{Request, StatusCode};
use hmac::{Hmac, KeyInit as _, Mac as _};
use http_body_util::BodyExt as _;
use onhand_ledger::{SystemId, TenantId};
use serde_json::{Value, json};
use sha2::Sha256;
use support::Shop;

const BODY: &str = "{\"topic\":\"order\",\"order\":\"1044\",\"customer\":\"Ada Lovelace\"}";

struct Hooked {
    shop: Shop,
    system: u64,
    path: String,
    secret: String,
}

async fn hooked() -> Hooked {
    let shop = Shop::open().await;
    let body = json!({ "name": "CORNER", "kind": "shop", "url": "http://127.0.0.1:1" });
    let system = shop.accepted("/v1/systems", body).await["id"].as_u64().unwrap();
    let made = shop.accepted("/v1/systems/CORNER/webhook", json!({})).await;
    assert_eq!((&made["scheme"], &made["header"]), (&json!("hmac_sha256"), &json!("x-shop-signature")));
    let text = |field: &str| made[field].as_str().unwrap().to_owned();
    Hooked { shop, system, path: text("path"), secret: text("secret") }
}

fn signature(secret: &str, body: &str) -> String {
    let mut mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes()).unwrap();
    mac.update(body.as_bytes());
    mac.finalize().into_bytes().iter().map(|byte| format!("{byte:02x}")).collect()
}

impl Hooked {
    async fn send(&self, path: &str, signature: Option<&str>, event: &str) -> (StatusCode, Value) {
        let mut request = Request::builder().method("POST").uri(path).header("x-shop-event", event);
        if let Some(signature) = signature {
            request = request.header("x-shop-signature", format!("sha256={signature}"));
        }
        let answer = self.shop.send(request.body(Body::from(BODY)).unwrap()).await;
        let status = answer.status();
        let bytes = answer.into_body().collect().await.unwrap().to_bytes();
        (status, serde_json::from_slice(&bytes).unwrap_or_default())
    }

    /// The events that are kept, as they are kept.
    fn kept(&self) -> Vec<(String, String)> {
        let space = format!("hook_event:{}", SystemId(self.system));
        let ledger = self.shop.handle.ledger();
        ledger.read(TenantId::DEFAULT, |view| view.notes(&space, None, 10_000)).unwrap()
    }
}

#[tokio::test]
async fn only_what_is_signed_is_kept_and_nothing_of_a_person() {
    let hooked = hooked().await;
    let right = signature(&hooked.secret, BODY);
    let other = signature("another secret", BODY);
    for (path, signature, expected) in [
        (hooked.path.clone(), Some(other.as_str()), StatusCode::UNAUTHORIZED),
        (hooked.path.clone(), None, StatusCode::UNAUTHORIZED),
        (hooked.path.clone(), Some("zz"), StatusCode::UNAUTHORIZED),
        (format!("/hooks/ohh_1_{}", "0".repeat(40)), Some(right.as_str()), StatusCode::NOT_FOUND),
        ("/hooks/ohh_7_x".to_owned(), Some(right.as_str()), StatusCode::NOT_FOUND),
        ("/hooks/anything".to_owned(), Some(right.as_str()), StatusCode::NOT_FOUND),
    ] {
        let (status, problem) = hooked.send(&path, signature, "e1").await;
        assert_eq!(status, expected, "{path} {problem}");
        assert!(hooked.kept().is_empty());
    }
    let (status, answer) = hooked.send(&hooked.path, Some(&right), "e1").await;
    assert_eq!((status, &answer["result"]), (StatusCode::ACCEPTED, &json!("kept")), "{answer}");
    let kept = hooked.kept();
    assert_eq!((kept.len(), kept[0].0.as_str()), (1, "e1"));
    assert!(!kept[0].1.contains("Ada"), "{kept:?}");
}

#[tokio::test]
async fn a_system_that_has_a_secret_of_its_own_signs_with_it_and_no_other() {
    let hooked = hooked().await;
    let keep = |secret: Value| {
        hooked.shop.accepted("/v1/systems/CORNER/webhook/secret", json!({ "secret": secret }))
    };
    let own = "shpss_made-by-the-shop";
    assert_eq!(keep(json!(own)).await["own"], true);
    let (by_own, by_ours) = (signature(own, BODY), signature(&hooked.secret, BODY));
    assert_eq!(hooked.send(&hooked.path, Some(&by_own), "e1").await.0, StatusCode::ACCEPTED);
    assert_eq!(hooked.send(&hooked.path, Some(&by_ours), "e2").await.0, StatusCode::UNAUTHORIZED);
    let ledger = hooked.shop.handle.ledger();
    let kept = ledger.read(TenantId::DEFAULT, |view| view.notes("hook_secret", None, 10)).unwrap();
    assert!(kept.len() == 1 && !kept[0].1.contains("shpss"), "it is sealed: {kept:?}");
    // A new address is signed for with it too; and taken away, ours counts again.
    let made = hooked.shop.accepted("/v1/systems/CORNER/webhook", json!({})).await;
    assert!(made["secret"].is_null(), "{made}");
    let path = made["path"].as_str().unwrap();
    assert_eq!(hooked.send(path, Some(&by_own), "e3").await.0, StatusCode::ACCEPTED);
    assert_eq!(keep(Value::Null).await["own"], false);
    assert_eq!(hooked.send(path, Some(&by_own), "e4").await.0, StatusCode::UNAUTHORIZED);
}

#[tokio::test]
async fn the_document_says_how_webhooks_come() {
    let document = Shop::open().await.get("/openapi.json").await;
    let hook = &document["paths"]["/hooks/{address}"]["post"];
    assert_eq!((&hook["operationId"], &hook["security"]), (&json!("receive_webhook"), &json!([{}])));
    for status in ["200", "202", "401", "404", "503"] {
        assert!(hook["responses"][status].is_object(), "{status}: {hook}");
    }
}

#[tokio::test]
async fn thirty_two_copies_at_one_instant_are_one() {
    let hooked = hooked().await;
    let right = signature(&hooked.secret, BODY);
    let sent = (0..32).map(|_| hooked.send(&hooked.path, Some(&right), "e1"));
    for (status, answer) in futures_join(sent).await {
        assert!(status.is_success(), "{status} {answer}");
    }
    assert_eq!(hooked.kept().len(), 1);
    let (status, answer) = hooked.send(&hooked.path, Some(&right), "e1").await;
    assert_eq!((status, &answer["result"]), (StatusCode::OK, &json!("copy")), "{answer}");
}

/// All of them at once.
async fn futures_join<F: Future>(all: impl Iterator<Item = F>) -> Vec<F::Output> {
    let mut waiting: Vec<_> = all.map(|one| (Box::pin(one), None)).collect();
    std::future::poll_fn(|context| {
        let mut ready = true;
        for (one, done) in &mut waiting {
            if done.is_none() {
                match one.as_mut().poll(context) {
                    std::task::Poll::Ready(output) => *done = Some(output),
                    std::task::Poll::Pending => ready = false,
                }
            }
        }
        if ready { std::task::Poll::Ready(()) } else { std::task::Poll::Pending }
    })
    .await;
    waiting.into_iter().filter_map(|(_, done)| done).collect()
}

#[tokio::test]
async fn a_new_address_ends_the_one_before() {
    let hooked = hooked().await;
    let made = hooked.shop.accepted("/v1/systems/CORNER/webhook", json!({})).await;
    let (path, secret) = (made["path"].as_str().unwrap(), made["secret"].as_str().unwrap());
    let (status, _) = hooked.send(&hooked.path, Some(&signature(&hooked.secret, BODY)), "e1").await;
    assert_eq!(status, StatusCode::NOT_FOUND);
    assert_ne!(secret, hooked.secret);
    let (status, _) = hooked.send(path, Some(&signature(secret, BODY)), "e1").await;
    assert_eq!(status, StatusCode::ACCEPTED);
}

#[tokio::test]
async fn what_is_too_much_is_turned_away_and_not_lost() {
    let hooked = hooked().await;
    let right = signature(&hooked.secret, BODY);
    let space = format!("hook_event:{}", SystemId(hooked.system));
    let body = json!({ "received_at": 0 }).to_string();
    let notes = (0..2_000).map(|number| onhand_store::Note {
        space: space.clone(),
        key: format!("n{number}"),
        body: Some(body.clone()),
    });
    hooked.shop.handle.submit_with(TenantId::DEFAULT, None, notes.collect()).await.unwrap();
    let (status, problem) = hooked.send(&hooked.path, Some(&right), "e1").await;
    assert_eq!((status, &problem["type"]), (StatusCode::SERVICE_UNAVAILABLE, &json!("/docs/errors#busy")));
    let (status, _) = hooked.send(&hooked.path, Some(&right), "n7").await;
    assert_eq!(status, StatusCode::OK);
}
