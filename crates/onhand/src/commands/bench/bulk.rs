//! Movements in bulk over HTTP: `POST /v1/commands` with lines of JSON, answers read while lines are sent.

use std::fmt::Write as _;
use std::net::SocketAddr;

use anyhow::Context as _;

use super::{ITEMS, Random, now};

/// How many lines a request has: as many as it may.
const LINES: u64 = 100_000;

/// Movements a second over so many requests at a time.
pub(super) async fn rate(address: SocketAddr, key: &str, name: &str, requests: u64) -> anyhow::Result<f64> {
    let bodies: Vec<String> =
        (0..requests).map(|request| body(&format!("{name}-{request}"), request)).collect();
    let began = now();
    let mut sent = tokio::task::JoinSet::new();
    for body in bodies {
        sent.spawn(send(address, key.to_owned(), body));
    }
    while let Some(done) = sent.join_next().await {
        done??;
    }
    #[expect(clippy::cast_precision_loss, reason = "a rate for people")]
    Ok((requests * LINES) as f64 / began.elapsed().as_secs_f64())
}

/// One request after the other, until it is aborted.
pub(super) async fn for_ever(address: SocketAddr, key: String) -> anyhow::Result<()> {
    for request in 0.. {
        send(address, key.clone(), body(&format!("beside-{request}"), request)).await?;
    }
    Ok(())
}

fn body(name: &str, seed: u64) -> String {
    let mut random = Random::new(seed);
    let mut body = String::with_capacity(16 << 20);
    for number in 0..LINES {
        let item = random.next() % ITEMS;
        let line = format!(r#"[{{"sku":"ITEM-{item}","quantity":1}}]"#);
        let _ = writeln!(
            body,
            r#"{{"key":"{name}-{number}","body":{{"receive":{{"location":"LONDON","lines":{line}}}}}}}"#
        );
    }
    body
}

async fn send(address: SocketAddr, key: String, body: String) -> anyhow::Result<()> {
    let request = reqwest::Client::new()
        .post(format!("http://{address}/v1/commands"))
        .bearer_auth(key)
        .header("content-type", "application/x-ndjson")
        .body(body);
    let mut answer = request.send().await?.error_for_status()?;
    let (mut lines, mut last) = (0, Vec::new());
    while let Some(part) = answer.chunk().await? {
        lines += part.split(|byte| *byte == b'\n').count() as u64 - 1;
        last = part.to_vec();
    }
    let last = String::from_utf8_lossy(&last);
    let end = last.lines().last().context("nothing was answered")?;
    anyhow::ensure!(lines == LINES && !end.contains("\"error\""), "{lines} answers, the last: {end}");
    Ok(())
}
