//! `onhand bench ledger`: the ledger's figures, on databases of its own that are gone afterwards.
//!
//! What needs a database of 20 million movements runs in processes of its own: the first fills it and ends as a crash
//! would, the second starts on what is left. So a restart reads a tail of the log, and memory is one process's.

use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use anyhow::Context as _;
use onhand_engine::Handle;
use onhand_ledger::{CellKey, StockState, TenantId};
use serde_json::{Value, json};

use super::bulk;
use super::in_process::{Figure, Load, load, stock_up};
use super::orders::{self, Orders};
use super::{IN_FLIGHT, ITEMS, Random, ms, now, times};
use crate::cli::{LedgerBench, Part};
use crate::output::say;
use crate::runtime::{self, Runtime};

/// How many movements a figure is of.
const MOVEMENTS: u64 = 2_000_000;
/// How often what is short is measured; the median counts.
const RUNS: usize = 3;
/// The movements that are there already, and how many of them are of the hot item.
const HISTORY: u64 = 20_000_000;
const HOT_HISTORY: u64 = 1_000_000;
/// The items and locations in use beside them.
const ALL_ITEMS: u64 = 1_000_000;
const LOCATIONS: [&str; 3] = ["LONDON", "PARIS", "BERLIN"];
/// How long orders are placed for a figure.
const ORDERING: Duration = Duration::from_secs(5);

const RANDOM: Load = Load { items: ITEMS, in_flight: IN_FLIGHT, movements: MOVEMENTS };

pub(super) async fn run(bench: &LedgerBench, json: bool) -> anyhow::Result<()> {
    match (bench.part, &bench.part_of) {
        (Some(Part::Fill), Some(path)) => return fill(path).await,
        (Some(Part::Restart), Some(path)) => return restart(path).await,
        _ => {}
    }
    let mut figures = in_process().await?;
    figures["http"] = http().await?;
    let mut left_out = Vec::new();
    if bench.quick {
        left_out.extend(["in_process.at_20_million", "as_of", "restart", "memory"]);
    } else {
        let folder = tempfile::tempdir()?;
        let path = folder.path().join("history.db");
        let filled = part(Part::Fill, &path).await?;
        figures["in_process"]["at_20_million"] = filled["at_20_million"].clone();
        figures["as_of"] = filled["as_of"].clone();
        let restarted = part(Part::Restart, &path).await?;
        figures["restart"] = restarted["restart"].clone();
        figures["memory"] = restarted["memory"].clone();
    }
    if !left_out.is_empty() {
        let figures = left_out.join(", ");
        tracing::info!("--quick leaves out what takes longer than two minutes: {figures}");
        if !json {
            say(format!("left out, as they take longer than two minutes: {figures}"))?;
        }
    }
    let text = if json { figures.to_string() } else { serde_json::to_string_pretty(&figures)? };
    Ok(say(text)?)
}

fn shown(figure: Figure) -> Value {
    let p99_ms = (figure.p99_ms * 100.0).round() / 100.0;
    json!({ "movements_per_second": figure.movements_per_second.round(), "p99_ms": p99_ms })
}

async fn in_process() -> anyhow::Result<Value> {
    let loads = [
        ("random", RANDOM),
        ("in_flight_1000", Load { in_flight: 1_000, ..RANDOM }),
        ("hot", Load { items: 1, ..RANDOM }),
    ];
    let mut runs = [const { Vec::new() }; 3];
    for _ in 0..RUNS {
        // One after the other in each run, so that what else the machine does falls on all alike.
        for ((name, one), runs) in loads.iter().zip(&mut runs) {
            let folder = tempfile::tempdir()?;
            let runtime = Runtime::open(runtime::open(&folder.path().join("bench.db"))?)?;
            let handle = runtime.handle.clone();
            stock_up(&handle, ITEMS, &["LONDON"]).await?;
            runs.push(load(&handle, name, *one).await?);
            drop(handle);
            runtime.stop().await?;
        }
    }
    let figures = loads.iter().zip(runs).map(|((name, _), runs)| ((*name).to_owned(), shown(median(runs))));
    Ok(json!({ "in_process": figures.collect::<serde_json::Map<_, _>>() }))
}

fn median(mut runs: Vec<Figure>) -> Figure {
    runs.sort_by(|a, b| a.movements_per_second.total_cmp(&b.movements_per_second));
    runs[runs.len() / 2]
}

async fn http() -> anyhow::Result<Value> {
    let folder = tempfile::tempdir()?;
    let runtime = Runtime::open(runtime::open(&folder.path().join("bench.db"))?)?;
    let handle = runtime.handle.clone();
    stock_up(&handle, ITEMS, &["LONDON"]).await?;
    let key = onhand_web::auth::create_key(&handle, TenantId::DEFAULT, "bench").await?;
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    let server = tokio::spawn(std::future::IntoFuture::into_future(axum::serve(listener, runtime.router())));
    let mut rates = Vec::new();
    for run in 0..RUNS {
        rates.push(bulk::rate(address, &key, &format!("run-{run}"), 2).await?);
    }
    rates.sort_by(f64::total_cmp);
    let two_lines = Orders { clients: 64, hot: false, lines: 2, duration: ORDERING };
    let alone = orders::load(address, &key, two_lines).await?;
    let background = tokio::spawn(bulk::for_ever(address, key.clone()));
    tokio::time::sleep(Duration::from_millis(200)).await;
    let beside = orders::load(address, &key, two_lines).await?;
    anyhow::ensure!(!background.is_finished(), "the bulk load ended before the orders beside it");
    background.abort();
    let _ = background.await;
    server.abort();
    let _ = server.await;
    drop(handle);
    runtime.stop().await?;
    Ok(json!({
        "bulk": { "movements_per_second": rates[rates.len() / 2].round() },
        "orders": {
            "orders_per_second": alone.orders_per_second.round(),
            "p50_ms": alone.p50_ms,
            "p99_ms": alone.p99_ms,
        },
        "orders_under_bulk": { "p99_ms": beside.p99_ms },
    }))
}

/// Runs one part in a process of its own; what it prints last is its figures.
async fn part(part: Part, path: &Path) -> anyhow::Result<Value> {
    let program = std::env::current_exe().context("cannot find the program itself")?;
    let name = clap::ValueEnum::to_possible_value(&part).context("every part has a name")?;
    let child = tokio::process::Command::new(program)
        .args(["bench", "ledger", "--part", name.get_name(), "--part-of"])
        .arg(path)
        .stdin(Stdio::null())
        .stderr(Stdio::inherit())
        .output()
        .await?;
    let text = String::from_utf8_lossy(&child.stdout);
    let last = text.lines().last().unwrap_or_default();
    serde_json::from_str(last).with_context(|| format!("a part of the benchmark failed ({})", child.status))
}

/// Fills a database with history, moves and asks on top of it, and ends as a crash would.
async fn fill(path: &Path) -> anyhow::Result<()> {
    let runtime = Runtime::open(runtime::open(path)?)?;
    let handle = runtime.handle.clone();
    stock_up(&handle, ITEMS, &["LONDON"]).await?;
    let history = Load { movements: HISTORY - HOT_HISTORY, ..RANDOM };
    load(&handle, "history", history).await?;
    load(&handle, "hot", Load { items: 1, movements: HOT_HISTORY, ..RANDOM }).await?;
    let mut on_top = Vec::new();
    for run in 0..RUNS {
        on_top.push(load(&handle, &format!("on-top-{run}"), RANDOM).await?);
    }
    let as_of = ask(&handle)?;
    // For what comes next, a start and memory: not one in the middle of an import of all there is.
    stock_up(&handle, ALL_ITEMS, &LOCATIONS).await?;
    load(&handle, "after", RANDOM).await?;
    say(json!({ "at_20_million": shown(median(on_top)), "as_of": { "p99_ms": as_of } }))?;
    std::process::exit(0);
}

/// Asks what the hot item's cell held at random instants of its history.
fn ask(handle: &Handle) -> anyhow::Result<f64> {
    const QUESTIONS: usize = 20_000;
    let (ledger, tenant) = (handle.ledger(), TenantId::DEFAULT);
    let (cell, first, last) = ledger.read(tenant, |view| {
        let item = view.item_by_sku("ITEM-0")?.map(|(item, _)| item).unwrap_or_default();
        let location = view.location_by_code("LONDON")?.map(|(location, _)| location).unwrap_or_default();
        let created = view.records_after(item.0.saturating_sub(1), 1)?;
        let first = created.first().map_or(view.now, |(_, record)| record.recorded_at);
        Ok((CellKey::new(item, location, StockState::Available), first, view.now))
    })?;
    let span = last.micros().abs_diff(first.micros()).max(1);
    let mut random = Random::new(7);
    let mut all = times()?;
    for warm in [false, true] {
        for _ in 0..QUESTIONS {
            let at = first.plus_micros(i64::try_from(random.next() % span)?);
            let began = now();
            ledger.read(tenant, |view| view.as_of(cell, at, None))?;
            if warm {
                all.record(u64::try_from(began.elapsed().as_micros())?)?;
            }
        }
    }
    Ok(ms(&all, 0.99))
}

/// Starts on a database that was left in a crash, to the first answer; then uses all of it.
async fn restart(path: &Path) -> anyhow::Result<()> {
    let began = now();
    let runtime = Runtime::open(runtime::open(path)?)?;
    let handle = runtime.handle.clone();
    load(&handle, "first", Load { items: ITEMS, in_flight: 4, movements: 4 }).await?;
    let seconds = began.elapsed().as_secs_f64();
    load(&handle, "all", Load { items: ALL_ITEMS, in_flight: IN_FLIGHT, movements: MOVEMENTS }).await?;
    let status = std::fs::read_to_string("/proc/self/status").context("this system does not tell memory")?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).context("no VmRSS is told")?;
    let kilobytes: u64 = line.trim().trim_end_matches(" kB").parse()?;
    say(json!({ "restart": { "seconds": seconds }, "memory": { "rss_mb": kilobytes / 1_024 } }))?;
    std::process::exit(0);
}
