//! `onhand bench orders`: orders over HTTP by keep-alive clients.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::Context as _;
use hdrhistogram::Histogram;
use onhand_ledger::command::{Line, PutItem, PutLocation, Receive};
use onhand_ledger::{Body, Quantity, TenantId};
use serde_json::json;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use super::{ITEMS, command, ms, now, times};
use crate::output::say;
use crate::runtime::{self, Runtime};

/// How many, and how long one waited for its answer.
pub(super) struct Figure {
    pub orders_per_second: f64,
    pub p50_ms: f64,
    pub p99_ms: f64,
}

/// Who orders what, how long.
#[derive(Clone, Copy)]
pub(super) struct Orders {
    pub clients: u64,
    /// All of them the same item.
    pub hot: bool,
    pub lines: usize,
    pub duration: Duration,
}

pub(super) async fn orders_over_http(seconds: u64, runs: usize, json: bool) -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let runtime = Runtime::open(runtime::open(&folder.path().join("bench.db"))?)?;
    let tenant = TenantId::DEFAULT;
    let handle = runtime.handle.clone();
    let put = PutLocation { code: "LONDON".to_owned(), ..PutLocation::default() };
    handle.submit(tenant, command(Body::PutLocation(put))).await?;
    for first in (0..ITEMS).step_by(1_000) {
        let skus: Vec<String> = (first..first + 1_000).map(|number| format!("ITEM-{number}")).collect();
        let mut replies = Vec::new();
        for sku in &skus {
            let put = PutItem { sku: sku.clone(), ..PutItem::default() };
            replies.push(handle.begin(tenant, Some(command(Body::PutItem(put))), Vec::new()).await?);
        }
        let lines = skus.into_iter().map(|sku| Line {
            sku,
            quantity: Quantity::units(1_000_000_000),
            ..Line::default()
        });
        let (location, lines) = ("LONDON".to_owned(), lines.collect());
        let receive = Receive { location, lines, occurred_at: None, reason: None };
        replies.push(handle.begin(tenant, Some(command(Body::Receive(receive))), Vec::new()).await?);
        for reply in replies {
            reply.wait().await?;
        }
    }
    let key = onhand_web::auth::create_key(&handle, tenant, "bench").await?;
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    let server = tokio::spawn(std::future::IntoFuture::into_future(axum::serve(listener, runtime.router())));
    let mut rows = serde_json::Map::new();
    for (name, clients, hot) in
        [("random_16", 16, false), ("random_64", 64, false), ("hot_16", 16, true), ("hot_64", 64, true)]
    {
        let orders = Orders { clients, hot, lines: 1, duration: Duration::from_secs(seconds) };
        let mut figures = Vec::new();
        for _ in 0..runs {
            figures.push(load(address, &key, orders).await?);
        }
        figures.sort_by(|a, b| a.orders_per_second.total_cmp(&b.orders_per_second));
        let middle = &figures[figures.len() / 2];
        let row = json!({
            "orders_per_second": middle.orders_per_second.round(),
            "p50_ms": middle.p50_ms,
            "p99_ms": middle.p99_ms,
        });
        if !json {
            say(format!("{name}: {row}"))?;
        }
        rows.insert(name.to_owned(), row);
    }
    server.abort();
    let _ = server.await;
    drop(handle);
    if json {
        say(serde_json::Value::Object(rows))?;
    }
    runtime.stop().await
}

/// Keep-alive clients, each with one order under way.
pub(super) async fn load(address: std::net::SocketAddr, key: &str, by: Orders) -> anyhow::Result<Figure> {
    let stop = Arc::new(AtomicBool::new(false));
    let began = now();
    let mut tasks = tokio::task::JoinSet::new();
    for client in 0..by.clients {
        tasks.spawn(orders(address, key.to_owned(), client, by, stop.clone()));
    }
    tokio::time::sleep(by.duration).await;
    stop.store(true, Ordering::Relaxed);
    let mut all = times()?;
    while let Some(done) = tasks.join_next().await {
        all.add(done??)?;
    }
    let seconds = began.elapsed().as_secs_f64();
    #[expect(clippy::cast_precision_loss, reason = "a rate for people")]
    let orders_per_second = all.len() as f64 / seconds;
    Ok(Figure { orders_per_second, p50_ms: ms(&all, 0.5), p99_ms: ms(&all, 0.99) })
}

/// A plain HTTP/1.1 client, so that the client costs little beside the server it measures.
async fn orders(
    address: std::net::SocketAddr,
    key: String,
    client: u64,
    by: Orders,
    stop: Arc<AtomicBool>,
) -> anyhow::Result<Histogram<u64>> {
    let mut stream = TcpStream::connect(address).await?;
    stream.set_nodelay(true)?;
    let mut histogram = times()?;
    let mut random = super::Random::new(client);
    let mut buffer = vec![0; 16 * 1024];
    while !stop.load(Ordering::Relaxed) {
        let mut line = || {
            let number = if by.hot { 0 } else { random.next() % ITEMS };
            format!(r#"{{"sku":"ITEM-{number}","quantity":1}}"#)
        };
        let lines: Vec<String> = (0..by.lines).map(|_| line()).collect();
        let body = format!(r#"{{"lines":[{}]}}"#, lines.join(","));
        let request = format!(
            "POST /v1/orders HTTP/1.1\r\nhost: bench\r\nauthorization: Bearer {key}\r\n\
             content-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
            body.len()
        );
        let began = now();
        stream.write_all(request.as_bytes()).await?;
        let mut filled = 0;
        loop {
            let read = stream.read(&mut buffer[filled..]).await?;
            anyhow::ensure!(read > 0, "the server closed the connection");
            filled += read;
            if let Some(length) = answer_length(&buffer[..filled])? {
                anyhow::ensure!(
                    length <= buffer.len(),
                    "an answer of {length} bytes is longer than expected"
                );
                if filled >= length {
                    break;
                }
            }
        }
        anyhow::ensure!(
            buffer.starts_with(b"HTTP/1.1 201"),
            "an order was not accepted: {}",
            String::from_utf8_lossy(&buffer[..filled])
        );
        histogram.record(u64::try_from(began.elapsed().as_micros())?)?;
    }
    Ok(histogram)
}

/// How long an answer is, head and body, once its head is there.
fn answer_length(bytes: &[u8]) -> anyhow::Result<Option<usize>> {
    let Some(end) = bytes.windows(4).position(|window| window == b"\r\n\r\n") else { return Ok(None) };
    let head = std::str::from_utf8(&bytes[..end])?.to_ascii_lowercase();
    let length = head.lines().find_map(|line| line.strip_prefix("content-length:"));
    let length: usize = length.context("the answer has no length")?.trim().parse()?;
    Ok(Some(end + 4 + length))
}
