//! `onhand bench`: figures of this machine, each the median of several runs.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant as Stopwatch};

use anyhow::Context as _;
use hdrhistogram::Histogram;
use onhand_channels::Channel;
use onhand_engine::Handle;
use onhand_engine::systems::{Connection, add_system};
use onhand_engine::worker::Pace;
use onhand_ledger::command::{Line, PutItem, PutLocation, Receive};
use onhand_ledger::{Body, Command, Quantity, TenantId};
use serde_json::json;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::cli::Bench;
use crate::output::say;
use crate::runtime::{self, Runtime};

const ITEMS: u64 = 10_000;

fn command(body: Body) -> Command {
    Command::keyed(None, "bench", body)
}

struct Figure {
    orders_per_second: f64,
    p50_ms: f64,
    p99_ms: f64,
}

pub(crate) async fn run(bench: &Bench, json: bool) -> anyhow::Result<()> {
    match bench {
        Bench::Orders { seconds, runs } => orders_over_http(*seconds, *runs, json).await,
        Bench::System { kind, url, username, secret, changes } => {
            let (kind, url) = (kind.clone(), url.clone());
            let connection = Connection { kind, url, username: username.clone(), secret: secret.clone() };
            until_shown(connection, *changes, json).await
        }
    }
}

/// From a change in Onhand until a system shows it: read back by a session of its own, as fast as it answers.
async fn until_shown(connection: Connection, changes: usize, json: bool) -> anyhow::Result<()> {
    const LISTINGS: usize = 20;
    let folder = tempfile::tempdir()?;
    let mut runtime = Runtime::open(runtime::open(&folder.path().join("bench.db"))?)?;
    let tenant = TenantId::DEFAULT;
    let handle = runtime.handle.clone();
    let put = PutLocation { code: "LONDON".to_owned(), ..PutLocation::default() };
    handle.submit(tenant, command(Body::PutLocation(put))).await?;
    let eyes = runtime.app.connector.connect("the system", &connection)?;
    let found = eyes.discover().await?;
    let place = found.locations.first().context("the system has no stock location")?.remote_id.clone();
    let listings: Vec<(String, String)> = found
        .listings
        .into_iter()
        .filter_map(|listing| Some((listing.remote_id, listing.sku?)))
        .take(LISTINGS)
        .collect();
    anyhow::ensure!(!listings.is_empty(), "the system has nothing with a SKU for sale");
    for (_, sku) in &listings {
        let put = PutItem { sku: sku.clone(), ..PutItem::default() };
        handle.submit(tenant, command(Body::PutItem(put))).await?;
        receive(&handle, sku, 50).await?;
    }
    add_system(&handle, &*runtime.app.connector, tenant, "bench", "System", connection, None).await?;
    runtime.work(Pace::default());
    let deadline = now() + Duration::from_mins(1);
    for (remote_id, _) in &listings {
        wait_for(&*eyes, remote_id, &place, 50, deadline).await?;
    }
    let mut all = Histogram::<u64>::new_with_bounds(1, 60_000_000, 3)?;
    for change in 0..changes {
        let (remote_id, sku) = &listings[change % listings.len()];
        let began = now();
        receive(&handle, sku, 1).await?;
        let units = i64::try_from(51 + change / listings.len())?;
        wait_for(&*eyes, remote_id, &place, units, began + Duration::from_secs(10)).await?;
        all.record(u64::try_from(began.elapsed().as_micros())?)?;
    }
    drop(handle);
    runtime.stop().await?;
    let ms = |quantile| Duration::from_micros(all.value_at_quantile(quantile)).as_secs_f64() * 1_000.0;
    let (p50, p99, max) = (ms(0.5), ms(0.99), ms(1.0));
    if json {
        say(json!({ "changes": changes, "p50_ms": p50, "p99_ms": p99, "max_ms": max }))?;
    } else {
        say(format!(
            "{changes} changes: seen over there after {p50:.1} ms (p50), {p99:.1} ms (p99), {max:.1} ms (longest)"
        ))?;
    }
    Ok(())
}

async fn receive(handle: &Handle, sku: &str, units: i64) -> anyhow::Result<()> {
    let lines = vec![Line { sku: sku.to_owned(), quantity: Quantity::units(units), ..Default::default() }];
    let receive = Receive { location: "LONDON".to_owned(), lines, occurred_at: None, reason: None };
    handle.submit(TenantId::DEFAULT, command(Body::Receive(receive))).await?;
    Ok(())
}

async fn wait_for(
    eyes: &dyn Channel,
    listing: &str,
    place: &str,
    units: i64,
    deadline: Stopwatch,
) -> anyhow::Result<()> {
    let listings = [listing.to_owned()];
    loop {
        let readings = eyes.read(&listings).await?;
        let shown = readings.iter().find(|reading| reading.location == place).map(|reading| reading.quantity);
        if shown == Some(Quantity::units(units)) {
            return Ok(());
        }
        anyhow::ensure!(now() < deadline, "{listing} never showed {units}: it shows {shown:?}");
    }
}

async fn orders_over_http(seconds: u64, runs: usize, json: bool) -> anyhow::Result<()> {
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
        let mut figures = Vec::new();
        for _ in 0..runs {
            figures.push(load(address, &key, clients, hot, Duration::from_secs(seconds)).await?);
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
async fn load(
    address: std::net::SocketAddr,
    key: &str,
    clients: u64,
    hot: bool,
    duration: Duration,
) -> anyhow::Result<Figure> {
    let stop = Arc::new(AtomicBool::new(false));
    let began = now();
    let mut tasks = tokio::task::JoinSet::new();
    for client in 0..clients {
        tasks.spawn(orders(address, key.to_owned(), client, hot, stop.clone()));
    }
    tokio::time::sleep(duration).await;
    stop.store(true, Ordering::Relaxed);
    let mut all = Histogram::<u64>::new_with_bounds(1, 60_000_000, 3)?;
    while let Some(done) = tasks.join_next().await {
        all.add(done??)?;
    }
    let seconds = began.elapsed().as_secs_f64();
    let ms =
        |quantile| std::time::Duration::from_micros(all.value_at_quantile(quantile)).as_secs_f64() * 1_000.0;
    #[expect(clippy::cast_precision_loss, reason = "a rate for people")]
    let orders_per_second = all.len() as f64 / seconds;
    Ok(Figure { orders_per_second, p50_ms: ms(0.5), p99_ms: ms(0.99) })
}

#[expect(clippy::disallowed_methods, reason = "a benchmark measures real time")]
fn now() -> Stopwatch {
    Stopwatch::now()
}

/// A plain HTTP/1.1 client, so that the client costs little beside the server it measures.
async fn orders(
    address: std::net::SocketAddr,
    key: String,
    client: u64,
    hot: bool,
    stop: Arc<AtomicBool>,
) -> anyhow::Result<Histogram<u64>> {
    let mut stream = TcpStream::connect(address).await?;
    stream.set_nodelay(true)?;
    let mut histogram = Histogram::new_with_bounds(1, 60_000_000, 3)?;
    let mut random = client.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut buffer = vec![0; 16 * 1024];
    while !stop.load(Ordering::Relaxed) {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        let number = if hot { 0 } else { random % ITEMS };
        let body = format!(r#"{{"lines":[{{"sku":"ITEM-{number}","quantity":1}}]}}"#);
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
