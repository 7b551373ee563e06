//! `POST /v1/commands`: many lines, each answered in its place.

#[path = "support/mod.rs"]
mod support;

use std::fmt::Write as _;
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::http::{Request, header};
use axum::response::Response;
use http_body_util::BodyExt as _;
use serde_json::{Value, json};
use support::Shop;
use tokio_stream::wrappers::ReceiverStream;

impl Shop {
    async fn load(&self, body: Body) -> Response {
        let request =
            Request::post("/v1/commands").header(header::AUTHORIZATION, format!("Bearer {}", self.key));
        self.send(request.body(body).unwrap()).await
    }

    /// Sends lines and reads what is answered.
    async fn lines(&self, lines: &str) -> Vec<Value> {
        let answer = self.load(Body::from(lines.to_owned())).await;
        assert_eq!(answer.status(), 200);
        assert_eq!(answer.headers()[header::CONTENT_TYPE], "application/x-ndjson");
        let bytes = answer.into_body().collect().await.unwrap().to_bytes();
        let lines = bytes.split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
        lines.map(|line| serde_json::from_slice(line).unwrap()).collect()
    }

    async fn available(&self, sku: &str) -> Value {
        self.get(&format!("/v1/items/{sku}/stock")).await["total"]["available"].clone()
    }
}

fn receive(quantity: &str) -> String {
    format!(r#"{{"receive":{{"location":"LONDON","lines":[{{"sku":"MUG","quantity":{quantity}}}]}}}}"#)
}

fn order(quantity: u32) -> String {
    format!(r#"{{"place_order":{{"lines":[{{"sku":"MUG","quantity":{quantity}}}]}}}}"#)
}

fn line(body: &str) -> String {
    format!("{{\"body\":{body}}}\n")
}

fn in_group(group: &str, body: &str) -> String {
    format!("{{\"group\":\"{group}\",\"body\":{body}}}\n")
}

#[tokio::test]
async fn each_line_is_answered_in_its_place_and_a_wrong_one_stops_no_other() {
    let shop = Shop::open().await;
    let item = r#"{"put_item":{"sku":"TEA","precision":3}}"#;
    let tea = |quantity: &str| receive(quantity).replace("MUG", "TEA");
    let lines = [
        line(item),
        line(&tea("0.1")),
        "not JSON\n".to_owned(),
        "\n".to_owned(),
        line(&tea("\"0.2\"")),
        line(&tea("0.0001")),
        line(&tea("1e3")),
        line(r#"{"receive":["LONDON",[["TEA",1]],null,null]}"#),
        line(r#"{"receive":{"location":"LONDON","lines":[{"sku":"TEA","quantity":1}],"ocurred_at":null}}"#),
        line(r#"{"fly":{}}"#),
        "[\"k\",\"tick\"]\n".to_owned(),
        line(
            r#"{"receive":{"location":"LONDON","lines":[{"sku":"TEA","quantity":1}],"occurred_at":1700000000000000}}"#,
        ),
        line(&order(1)),
        line(&tea("5")),
    ];
    let told = shop.lines(&lines.concat()).await;
    let numbers: Vec<_> = told.iter().map(|told| told["line"].as_u64().unwrap()).collect();
    assert_eq!(numbers, [1, 2, 3, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14]);
    let error = |line: u64| &told.iter().find(|told| told["line"] == line).unwrap()["error"];
    for (line, kind, status, field, says) in [
        (3, "body", 422, json!(null), "line 3 is not JSON"),
        (6, "too_precise", 422, json!("quantity"), "at most 3 decimals"),
        (7, "body", 422, json!("quantity"), "line 7 is not as it must be: `1e3` is not a number"),
        (
            8,
            "body",
            422,
            json!(null),
            "`receive` of line 8 is not as it must be: invalid type: sequence, expected a JSON object",
        ),
        (9, "body", 422, json!("ocurred_at"), "line 9 has an unknown field `ocurred_at`"),
        (10, "body", 422, json!(null), "line 10 is not as it must be: unknown variant `fly`"),
        (11, "body", 422, json!(null), "expected a JSON object"),
        (12, "body", 422, json!("occurred_at"), "`receive.occurred_at` of line 12 is not as it must be"),
        (13, "insufficient", 409, json!(null), "cannot take 1 of `MUG`: 0 available"),
    ] {
        let problem = error(line);
        assert_eq!(problem["type"], format!("/docs/errors#{kind}"), "{line}: {problem}");
        assert_eq!((&problem["status"], &problem["field"]), (&json!(status), &field), "{line}: {problem}");
        let detail = problem["detail"].as_str().unwrap();
        assert!(detail.contains(says) && !detail.contains("line 1 "), "{line}: {problem}");
    }
    assert_eq!(error(13)["missing"][0]["wanted"], 1);
    let done = &told[3];
    assert_eq!(
        done["answer"]["movements"][0]["available"], 0.3,
        "exact, and as the endpoint answers: {done}"
    );
    assert_eq!(shop.available("TEA").await, 5.3);
}

#[tokio::test]
async fn a_line_with_a_key_is_done_once() {
    let shop = Shop::open().await;
    let lines = format!("{{\"key\":\"d1\",\"body\":{}}}\n", receive("3"));
    let first = shop.lines(&lines.repeat(2)).await;
    assert_eq!((first[0].get("replayed"), &first[1]["replayed"]), (None, &json!(true)));
    let again = shop.lines(&lines).await;
    assert_eq!((&again[0]["answer"], &again[0]["replayed"]), (&first[0]["answer"], &json!(true)));
    let other = shop.lines(&lines.replace('3', "4")).await;
    let problem = &other[0]["error"];
    assert_eq!((&problem["type"], &problem["field"]), (&json!("/docs/errors#key_reused"), &json!("key")));
    assert_eq!(shop.available("MUG").await, 3);
}

#[tokio::test]
async fn a_group_is_done_wholly_or_not_at_all_and_the_line_that_is_refused_is_named() {
    let shop = Shop::open().await;
    let lines = [
        line(&receive("2")),
        in_group("good", &order(1)),
        in_group("good", &order(1)),
        in_group("bad", &receive("5")),
        in_group("bad", &order(6)),
        in_group("bad", &order(1)),
        line(&receive("1")),
    ];
    let told = shop.lines(&lines.concat()).await;
    assert!(told[..3].iter().all(|told| told.get("error").is_none()), "{told:?}");
    assert_eq!((&told[1]["group"], &told[1]["answer"]["lines"][0]["allocated"]), (&json!("good"), &json!(1)));
    let errors: Vec<_> = told[3..6].iter().map(|told| &told["error"]).collect();
    assert_eq!(errors[1]["type"], "/docs/errors#insufficient");
    assert_eq!(errors[1]["detail"], "cannot take 6 of `MUG`: 5 available");
    for other in [errors[0], errors[2]] {
        assert_eq!(other["type"], "/docs/errors#group");
        assert_eq!(other["detail"], "line 5 was refused, and the group `bad` is done wholly or not at all");
    }
    assert_eq!(shop.available("MUG").await, 1);
    // The group's name is its key.
    let again = shop.lines(&lines[1..3].concat()).await;
    assert!(again.iter().all(|told| told["replayed"] == true), "{again:?}");
    assert_eq!(again[1]["answer"], told[2]["answer"]);
    let other = shop.lines(&lines[1]).await;
    assert_eq!(
        (&other[0]["error"]["type"], &other[0]["error"]["field"]),
        (&json!("/docs/errors#key_reused"), &json!("group"))
    );
}

#[tokio::test]
async fn a_group_that_may_lack_a_line_is_not_done() {
    let shop = Shop::open().await;
    let keyed = format!("{{\"key\":\"k\",\"group\":\"g\",\"body\":{}}}\n", receive("1"));
    let document = r#"{"record":{"system":"WEB","document":"1","version":1,"content":{"movements":[]}}}"#;
    for (wrong, says) in [
        ("}{\n".to_owned(), "is not JSON"),
        (in_group("g", r#"{"fly":{}}"#), "unknown variant `fly`"),
        (in_group("g", &receive("1").replace("MUG", "CAP")), "no item has the SKU `CAP`"),
        (in_group("g", document), "send it by itself"),
        (in_group("g", r#"{"group":[]}"#), "a group cannot be part of a group"),
        (keyed, "a line of a group has no key of its own"),
    ] {
        let good = in_group("g", &receive("1"));
        let told = shop
            .lines(&[&good, &wrong, &good, &line(&receive("0.5")), &wrong].map(String::as_str).concat())
            .await;
        assert_eq!(told.len(), 5, "{told:?}");
        assert!(told[1]["error"]["detail"].as_str().unwrap().contains(says), "{told:?}");
        for other in [&told[0], &told[2]] {
            assert!(other["error"]["detail"].as_str().unwrap().starts_with("line 2 was refused"), "{told:?}");
        }
    }
    let most = in_group("most", &receive("1")).repeat(1_000);
    let told = shop.lines(&most).await;
    assert!(told.len() == 1_000 && told.iter().all(|told| told.get("error").is_none()));
    let told = shop.lines(&in_group("more", &receive("1")).repeat(1_001)).await;
    assert!(
        told[1_000]["error"]["detail"].as_str().unwrap().contains("at most 1000 lines"),
        "{}",
        told[1_000]
    );
    assert!(told.iter().all(|told| told["error"].is_object()));
    assert_eq!(shop.available("MUG").await, 1_000);
}

#[tokio::test]
async fn an_answer_comes_while_the_request_is_still_being_written() {
    let shop = Shop::open().await;
    let (sender, receiver) = tokio::sync::mpsc::channel::<Result<Bytes, std::io::Error>>(1);
    let answer = shop.load(Body::from_stream(ReceiverStream::new(receiver))).await;
    let mut answers = answer.into_body();
    for number in 1..4 {
        // Half a line, and the rest of it.
        let text = line(&receive("1"));
        let (head, tail) = text.split_at(20);
        sender.send(Ok(Bytes::copy_from_slice(head.as_bytes()))).await.unwrap();
        sender.send(Ok(Bytes::copy_from_slice(tail.as_bytes()))).await.unwrap();
        let frame = tokio::time::timeout(Duration::from_secs(20), answers.frame()).await.expect("it is told");
        let told: Value = serde_json::from_slice(&frame.unwrap().unwrap().into_data().unwrap()).unwrap();
        assert_eq!(
            (&told["line"], &told["answer"]["movements"][0]["available"]),
            (&json!(number), &json!(number))
        );
        assert_eq!(shop.available("MUG").await, number, "what is told is done");
    }
    // The body breaks off in the middle of a line: no line of it is run.
    sender.send(Ok(Bytes::from_static(b"{\"body\":{\"rec"))).await.unwrap();
    sender.send(Err(std::io::Error::other("the cable was pulled"))).await.unwrap();
    let rest = answers.collect().await.unwrap().to_bytes();
    let told: Value = serde_json::from_slice(&rest).unwrap();
    assert!(told["error"]["detail"].as_str().unwrap().contains("broke off after line 3"), "{told}");
    assert_eq!(shop.available("MUG").await, 3);
}

#[tokio::test]
async fn a_hundred_thousand_lines_are_run_and_one_more_is_told_so() {
    let shop = Shop::open().await;
    let mut lines = String::new();
    for number in 0..100_001 {
        let _ = writeln!(lines, r#"{{"key":"k{number}","body":"tick"}}"#);
    }
    let told = shop.lines(&(lines + &line(&receive("1")))).await;
    assert_eq!(told.len(), 100_001);
    assert!((1..).zip(&told).all(|(number, told)| told["line"] == number));
    assert!(told[..100_000].iter().all(|told| told["answer"]["lapsed"] == 0));
    let last = &told[100_000]["error"];
    assert_eq!(last["title"], "Too many lines");
    assert!(last["detail"].as_str().unwrap().contains("line 100001 and what follows it were not"), "{last}");
    assert_eq!(shop.available("MUG").await, 0);
}

#[tokio::test]
async fn a_group_that_goes_on_beyond_what_a_request_may_have_is_not_done() {
    let shop = Shop::open().await;
    let plain = |many: usize| "{\"body\":\"tick\"}\n".repeat(many);
    let grouped = |many: usize| line(&receive("1")).replacen('{', "{\"group\":\"last\",", 1).repeat(many);
    let told = shop.lines(&(plain(99_990) + &grouped(20))).await;
    assert_eq!(told.len(), 100_001);
    assert_eq!(shop.available("MUG").await, 0, "half of it would be none of it");
    assert_eq!(told[100_000]["error"]["title"], "Too many lines");
    assert!(told[99_990..].iter().all(|told| !told["error"].is_null()), "{}", told[99_990]);
    // Its name is free: sent again whole, it is done. One that ends where the bound is, is whole.
    let told = shop.lines(&(plain(99_990) + &grouped(10) + &plain(1))).await;
    assert_eq!(told[100_000]["error"]["title"], "Too many lines");
    assert_eq!(shop.available("MUG").await, 10);
}

#[tokio::test]
async fn a_line_that_is_too_long_is_one_wrong_line() {
    let shop = Shop::open().await;
    let long = format!("{{\"body\":\"{}\"}}\n", "x".repeat(1024 * 1024));
    let told = shop.lines(&[line(&receive("1")), long, line(&receive("1"))].concat()).await;
    assert_eq!(told[1]["error"]["detail"], "line 2 has more than 1 MiB");
    assert_eq!(shop.available("MUG").await, 2);
}

/// docs/commands.md shows each command, and each is as it says.
#[tokio::test]
async fn the_page_of_commands_shows_every_one_and_each_runs() {
    let page = include_str!("../../../docs/commands.md");
    let block = |name: &str| {
        let (_, rest) = page.split_once(&format!("```{name}\n")).unwrap();
        rest.split_once("```").unwrap().0
    };
    let shop = Shop::open().await;
    for told in shop.lines(block("ndjson")).await {
        assert!(told.get("error").is_none(), "{told}");
    }
    for told in shop.lines(block("ndjson-ids")).await {
        let kind = told["error"]["type"].as_str().unwrap_or_default();
        assert_ne!(kind, "/docs/errors#body", "{told}");
    }
    let told = shop.lines(&line(r#"{"fly":{}}"#)).await;
    let all =
        told[0]["error"]["detail"].as_str().unwrap().split_once("expected one of ").unwrap().1.to_owned();
    let names: Vec<&str> = all.split(", ").map(|name| name.trim_matches('`')).collect();
    assert!(names.len() > 20, "{names:?}");
    for name in names {
        assert!(page.contains(&format!(r#""{name}""#)), "docs/commands.md lacks `{name}`");
    }
}
