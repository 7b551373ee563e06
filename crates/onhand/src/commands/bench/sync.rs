//! `onhand bench sync`: how soon and how fast connected systems are kept equal, without what a network takes.
//!
//! The system is one inside this process that takes what it is sent at once; where it has a limit, each call of any kind counts. All else
//! is what a server does: the committer on a database file of its own, and a worker.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::time::{Duration, Instant as Stopwatch};

use anyhow::{Context as _, bail};
use hdrhistogram::Histogram;
use onhand_channels::{Budget, Channel, ChannelError, Discovery, Meaning, OrderPage, Push, Pushed, Reading};
use onhand_engine::worker::{Pace, Worker};
use onhand_engine::{Handle, queue};
use onhand_engine::{Ledger, ManualClock, Options};
use onhand_ledger::command::{
    Line, PutItem, PutListing, PutLocation, PutMode, PutSystem, Receive, SetPublication,
};
use onhand_ledger::model::Timing;
use onhand_ledger::{Answer, Body, Instant, Quantity, Seq, SystemId, TenantId};
use parking_lot::Mutex;
use serde_json::{Value, json};

use super::{Random, command, ms, now};
use crate::cli::SyncBench;
use crate::output::say;
use crate::runtime::{self, Runtime, run_worker};

pub(super) const TENANT: TenantId = TenantId::DEFAULT;
/// What each item has; each tenth has more.
const STOCK: i64 = 60;
const MUCH_STOCK: i64 = 120;
/// How many listings changes are of at random, where it is measured how soon one is sent.
const CHANGING: usize = 1_000;
/// So many commands are handed in together to set up.
const TOGETHER: usize = 4_000;
/// Nothing is done by itself so soon, in milliseconds.
const NEVER_MS: i64 = 86_400_000;

pub(super) async fn run(bench: &SyncBench, json: bool) -> anyhow::Result<()> {
    let soon = until_sent(bench).await?;
    let fast = dirty(bench).await?;
    let (recomputed, reconciled) = many(bench).await?;
    let figures =
        json!({ "commit_to_push": soon, "dirty": fast, "recompute": recomputed, "reconcile": reconciled });
    let text = if json { figures.to_string() } else { serde_json::to_string_pretty(&figures)? };
    Ok(say(text)?)
}

/// Of what is left of a limit, thousandths of a call.
struct Left {
    thousandths: f64,
    at: Stopwatch,
}

/// A system that takes so many listings a call, and so many calls a second.
struct Quick {
    batch: usize,
    /// 0: as many as there are.
    calls_per_second: AtomicU32,
    left: Mutex<Left>,
    numbers: Mutex<HashMap<String, Quantity>>,
    /// Of each call that set numbers: when it began, and of each listing the entry it was computed at.
    sent: Mutex<Vec<(Stopwatch, Vec<(String, Seq)>)>>,
    /// Is `sent` filled?
    remembers: AtomicBool,
    set: AtomicU64,
    calls: AtomicU64,
    refused: AtomicU64,
}

/// What a limit lets through at once after a pause, in calls.
const BURST: f64 = 2.0;

impl Quick {
    fn new(batch: usize) -> Arc<Self> {
        Arc::new(Self {
            batch,
            calls_per_second: AtomicU32::new(0),
            left: Mutex::new(Left { thousandths: 1_000.0, at: now() }),
            numbers: Mutex::default(),
            sent: Mutex::default(),
            remembers: AtomicBool::new(false),
            set: AtomicU64::new(0),
            calls: AtomicU64::new(0),
            refused: AtomicU64::new(0),
        })
    }

    /// So many calls a second from now on.
    fn limit(&self, calls_per_second: u32) {
        *self.left.lock() = Left { thousandths: 1_000.0, at: now() };
        self.calls_per_second.store(calls_per_second, Ordering::Relaxed);
    }

    /// What is left by now.
    fn refilled(&self) -> Option<(f64, u32)> {
        let rate = self.calls_per_second.load(Ordering::Relaxed);
        if rate == 0 {
            return None;
        }
        let mut left = self.left.lock();
        let at = now();
        let refilled =
            left.thousandths + at.duration_since(left.at).as_secs_f64() * f64::from(rate) * 1_000.0;
        *left = Left { thousandths: refilled.min(BURST * 1_000.0), at };
        Some((left.thousandths, rate))
    }

    fn call(&self) -> Result<(), ChannelError> {
        self.calls.fetch_add(1, Ordering::Relaxed);
        if let Some((left, _)) = self.refilled() {
            if left < 1_000.0 {
                self.refused.fetch_add(1, Ordering::Relaxed);
                return Err(ChannelError::Throttled {
                    system: "Quick".to_owned(),
                    retry_after_seconds: None,
                });
            }
            self.left.lock().thousandths -= 1_000.0;
        }
        Ok(())
    }
}

#[async_trait::async_trait]
impl Channel for Quick {
    fn meaning(&self) -> Meaning {
        Meaning::SellableNetOfOwnOrders
    }

    fn batch_size(&self) -> usize {
        self.batch
    }

    fn budget(&self) -> Option<Budget> {
        let (left, rate) = self.refilled()?;
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "two thousand at most")]
        let remaining = left as u32;
        Some(Budget { remaining, refill_per_second: rate * 1_000, cost: 1_000 })
    }

    async fn discover(&self) -> Result<Discovery, ChannelError> {
        Ok(Discovery::default())
    }

    async fn read(&self, listings: &[String]) -> Result<Vec<Reading>, ChannelError> {
        self.call()?;
        let numbers = self.numbers.lock();
        let reading = |listing: &String| {
            Some(Reading {
                listing: listing.clone(),
                location: "here".to_owned(),
                quantity: *numbers.get(listing)?,
                on_hand: None,
                allocated: None,
                tracked: true,
            })
        };
        Ok(listings.iter().filter_map(reading).collect())
    }

    async fn push(&self, pushes: &[Push]) -> Result<Vec<Pushed>, ChannelError> {
        let began = now();
        self.call()?;
        if self.remembers.load(Ordering::Relaxed) {
            let sent = pushes.iter().map(|push| (push.listing.clone(), push.seq)).collect();
            self.sent.lock().push((began, sent));
        }
        let mut numbers = self.numbers.lock();
        for push in pushes {
            numbers.insert(push.listing.clone(), push.quantity);
        }
        self.set.fetch_add(pushes.len() as u64, Ordering::Relaxed);
        Ok(vec![Pushed::Acknowledged; pushes.len()])
    }

    async fn orders(&self, _: Option<&str>) -> Result<OrderPage, ChannelError> {
        self.call()?;
        Ok(OrderPage { orders: Vec::new(), cursor: "0".to_owned(), more: false })
    }
}

pub(super) fn sku(number: usize) -> String {
    format!("ITEM-{number}")
}

pub(super) fn received(number: usize, units: i64) -> Body {
    let lines = vec![Line { sku: sku(number), quantity: Quantity::units(units), ..Line::default() }];
    Body::Receive(Receive { location: "LONDON".to_owned(), lines, occurred_at: None, reason: None })
}

/// Commits many commands, some thousand at a time.
pub(super) async fn all(handle: &Handle, bodies: impl Iterator<Item = Body>) -> anyhow::Result<()> {
    let mut replies = Vec::with_capacity(TOGETHER);
    for body in bodies {
        replies.push(handle.begin(TENANT, Some(command(body)), Vec::new()).await?);
        if replies.len() == TOGETHER {
            for reply in replies.drain(..) {
                reply.wait().await?;
            }
        }
    }
    for reply in replies {
        reply.wait().await?;
    }
    Ok(())
}

/// A system that shows what is in London, as soon as it changes.
pub(super) fn connected(name: &str) -> PutSystem {
    PutSystem {
        name: name.to_owned(),
        kind: "bench".to_owned(),
        locations: Some(vec![("here".to_owned(), "LONDON".to_owned())]),
        mode: Some(PutMode { timing: Some(Timing::NearRealTime { debounce_ms: 0 }), ..PutMode::default() }),
        ..PutSystem::default()
    }
}

/// A listing there of the item of that number.
pub(super) fn listed(system: &str, number: usize) -> Body {
    Body::PutListing(PutListing {
        system: system.to_owned(),
        remote_id: number.to_string(),
        remote_sku: None,
        sku: Some(sku(number)),
        multiplier: 1,
        found: false,
    })
}

/// A system with so many listings, each of an item with stock, which shows as much of each as there is or nothing.
async fn set_up(handle: &Handle, listings: usize, quick: &Quick, shows: bool) -> anyhow::Result<SystemId> {
    let put = PutLocation { code: "LONDON".to_owned(), ..PutLocation::default() };
    all(handle, std::iter::once(Body::PutLocation(put))).await?;
    let put = connected("Quick");
    let Answer::System(system) = handle.submit(TENANT, command(Body::PutSystem(put))).await?.answer else {
        bail!("the system was not put");
    };
    let item = |number| Body::PutItem(PutItem { sku: sku(number), ..PutItem::default() });
    all(handle, (0..listings).map(item)).await?;
    let stock = |number| if number % 10 == 0 { MUCH_STOCK } else { STOCK };
    all(handle, (0..listings).map(|number| received(number, stock(number)))).await?;
    all(handle, (0..listings).map(|number| listed("Quick", number))).await?;
    let shown = |number| Quantity::units(if shows { stock(number) } else { 1 });
    let numbers = (0..listings).map(|number| (number.to_string(), shown(number)));
    quick.numbers.lock().extend(numbers);
    Ok(system)
}

fn worker(handle: &Handle, id: SystemId, quick: Arc<Quick>, pace: Pace) -> anyhow::Result<Worker> {
    let system = handle.ledger().read(TENANT, |view| view.system(id))?.context("the system is there")?;
    Ok(Worker::new(handle.clone(), TENANT, id, system, quick, pace)?)
}

/// Waits until something is so.
async fn until(what: &str, mut is_so: impl FnMut() -> bool) -> anyhow::Result<()> {
    let deadline = now() + Duration::from_mins(2);
    while !is_so() {
        anyhow::ensure!(now() < deadline, "{what}: that takes longer than two minutes");
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    Ok(())
}

/// From a commit until the call begins that sends a number computed at it or later.
async fn until_sent(bench: &SyncBench) -> anyhow::Result<Value> {
    let folder = tempfile::tempdir()?;
    let runtime = Runtime::open(runtime::open(&folder.path().join("bench.db"))?)?;
    let handle = runtime.handle.clone();
    let quick = Quick::new(100);
    let id = set_up(&handle, CHANGING, &quick, true).await?;
    let pace = Pace { reconcile_ms: NEVER_MS, ..Pace::default() };
    let worker = worker(&handle, id, quick.clone(), pace)?;
    let working = tokio::spawn(run_worker(worker, handle.clone(), Arc::default()));
    // All is read and judged by then: the first change is sent.
    all(&handle, (0..CHANGING).map(|number| received(number, 1))).await?;
    until("everything is sent once", || quick.set.load(Ordering::Relaxed) >= CHANGING as u64).await?;
    quick.remembers.store(true, Ordering::Relaxed);
    let mut random = Random::new(1);
    let (began, mut committing) = (now(), tokio::task::JoinSet::new());
    let many = bench.changes_per_second * bench.seconds;
    for number in 0..many {
        let due = began + Duration::from_nanos(number * 1_000_000_000 / bench.changes_per_second);
        tokio::time::sleep_until(due.into()).await;
        let (handle, item) = (handle.clone(), usize::try_from(random.next() >> 8)? % CHANGING);
        committing.spawn(async move {
            let committed = handle.submit(TENANT, command(received(item, 1))).await?;
            anyhow::Ok((item, committed.seq, now()))
        });
    }
    let mut changes = Vec::new();
    while let Some(done) = committing.join_next().await {
        changes.push(done??);
    }
    let took = began.elapsed();
    // The newest of them has been sent by then, or never will be.
    tokio::time::sleep(Duration::from_secs(1)).await;
    working.abort();
    let mut by_listing = HashMap::<String, Vec<(Seq, Stopwatch)>>::new();
    for (at, listings) in quick.sent.lock().drain(..) {
        for (listing, seq) in listings {
            by_listing.entry(listing).or_default().push((seq, at));
        }
    }
    let mut all = Histogram::<u64>::new_with_bounds(1, 600_000_000, 3)?;
    for (item, seq, committed_at) in &changes {
        let sent = by_listing.get(&item.to_string()).into_iter().flatten();
        let sent = sent.filter(|(computed_at, _)| computed_at >= seq).map(|(_, at)| *at).min();
        let sent = sent.with_context(|| format!("a change of {} was never sent", sku(*item)))?;
        // It may begin before whoever made the change has its answer.
        let after = sent.saturating_duration_since(*committed_at);
        all.record(u64::try_from(after.as_micros())?.max(1))?;
    }
    drop(handle);
    runtime.stop().await?;
    let ms = |part| rounded(ms(&all, part));
    Ok(json!({
        "changes": changes.len(),
        "changes_per_second": rounded(figure(changes.len()) / took.as_secs_f64()),
        "p50_ms": ms(0.5), "p99_ms": ms(0.99), "max_ms": ms(1.0),
    }))
}

/// Many listings that all differ, at a system with a limit.
async fn dirty(bench: &SyncBench) -> anyhow::Result<Value> {
    let folder = tempfile::tempdir()?;
    let runtime = Runtime::open(runtime::open(&folder.path().join("bench.db"))?)?;
    let handle = runtime.handle.clone();
    let listings = bench.dirty;
    let quick = Quick::new(bench.batch);
    let id = set_up(&handle, listings, &quick, true).await?;
    let calls_per_second = u32::try_from(5_000 / bench.batch.max(1))?.max(1);
    // All is read and kept before it is measured.
    let pace = Pace { reconcile_ms: NEVER_MS, ..Pace::default() };
    let mut worker = worker(&handle, id, quick.clone(), pace)?;
    while worker.step().await <= handle.ledger().clock().now() {}
    let everywhere = SetPublication {
        system: Some("Quick".to_owned()),
        buffer: Some(Quantity::units(1)),
        ..SetPublication::default()
    };
    handle.submit(TENANT, command(Body::SetPublication(everywhere))).await?;
    quick.limit(calls_per_second);
    let calls_before = quick.calls.load(Ordering::Relaxed);
    let began = now();
    let working = tokio::spawn(run_worker(worker, handle.clone(), Arc::default()));
    until("the first is sent", || quick.set.load(Ordering::Relaxed) > 0).await?;
    let sending = now();
    until("all is sent", || quick.set.load(Ordering::Relaxed) >= listings as u64).await?;
    let (started, took) = (sending - began, sending.elapsed());
    working.abort();
    drop(handle);
    runtime.stop().await?;
    let ideal = figure(listings) / (f64::from(calls_per_second) * figure(bench.batch));
    Ok(json!({
        "listings": listings, "batch": bench.batch, "calls_per_second": calls_per_second,
        "seconds": rounded(took.as_secs_f64()), "ideal_seconds": rounded(ideal),
        "time_to_ideal": rounded(took.as_secs_f64() / ideal),
        "worker_started_seconds": rounded(started.as_secs_f64()),
        "calls": quick.calls.load(Ordering::Relaxed) - calls_before, "refused": quick.refused.load(Ordering::Relaxed),
    }))
}

/// What a rule changes for many listings, and reading all of them back.
async fn many(bench: &SyncBench) -> anyhow::Result<(Value, Value)> {
    let folder = tempfile::tempdir()?;
    let store = Box::new(runtime::open(&folder.path().join("bench.db"))?);
    let begin = Instant::parse("2026-01-01T10:00:00Z").context("the time can be read")?;
    let clock = Arc::new(ManualClock::at(begin));
    let (handle, waiting) = queue(Arc::new(Ledger::open(store, clock.clone(), Options::default())?));
    let committer = std::thread::spawn(move || waiting.run());
    let listings = bench.listings;
    let quick = Quick::new(1_000);
    let id = set_up(&handle, listings, &quick, true).await?;
    let hour_ms = 3_600_000;
    let pace = Pace {
        orders_ms: 500,
        read_back_ms: 250,
        reconcile_ms: hour_ms,
        discover_ms: NEVER_MS,
        ..Pace::default()
    };
    let mut worker = worker(&handle, id, quick.clone(), pace)?;
    let calls = |quick: &Quick| quick.calls.load(Ordering::Relaxed);
    let mut rest = async |from: Instant| {
        // Until nothing is to be done any more; each step is a millisecond.
        let (began, mut at) = (now(), from);
        loop {
            clock.set(at);
            if worker.step().await > at {
                return began.elapsed();
            }
            at = at.plus_micros(1_000);
        }
    };
    let loaded = rest(begin).await;
    let read_before = calls(&quick);
    // The first reading keeps what it saw of each; the second finds nothing new.
    let memory_before = memory()?;
    let over = Arc::new(AtomicBool::new(false));
    let highest = watch_memory(over.clone());
    let took = rest(begin.plus_seconds(3_600)).await;
    let again = rest(begin.plus_seconds(7_200)).await;
    over.store(true, Ordering::Relaxed);
    let grown = highest
        .join()
        .map_err(|_| anyhow::anyhow!("memory could not be watched"))?
        .saturating_sub(memory_before);
    let reconciled = json!({
        "listings": listings, "seconds": rounded(took.as_secs_f64()), "seconds_with_nothing_new": rounded(again.as_secs_f64()),
        "memory_grown_mb": grown / 1_024, "memory_before_mb": memory_before / 1_024,
        "calls": calls(&quick) - read_before, "first_load_seconds": rounded(loaded.as_secs_f64()),
    });
    // Nothing is sent meanwhile, so that only what should be shown is reckoned.
    handle.submit(TENANT, command(Body::StopPushing)).await?;
    worker.step().await;
    let rule = SetPublication {
        system: Some("Quick".to_owned()),
        cap: Some(Quantity::units(MUCH_STOCK - 10)),
        ..SetPublication::default()
    };
    handle.submit(TENANT, command(Body::SetPublication(rule))).await?;
    let began = now();
    worker.step().await;
    let took = began.elapsed();
    let set_before = quick.set.load(Ordering::Relaxed);
    handle.submit(TENANT, command(Body::ResumePushing)).await?;
    let began = now();
    while quick.set.load(Ordering::Relaxed) - set_before < listings.div_ceil(10) as u64 {
        worker.step().await;
        anyhow::ensure!(began.elapsed() < Duration::from_mins(10), "what the rule changes is never sent");
    }
    let recomputed = json!({
        "listings": listings, "changed": quick.set.load(Ordering::Relaxed) - set_before,
        "seconds": rounded(took.as_secs_f64()), "sent_seconds": rounded(began.elapsed().as_secs_f64()),
    });
    drop((worker, handle));
    committer.join().map_err(|_| anyhow::anyhow!("the committer ended with a panic"))?;
    Ok((recomputed, reconciled))
}

/// What this process has in memory, in KiB.
fn memory() -> anyhow::Result<u64> {
    let status = std::fs::read_to_string("/proc/self/status").context("this system does not tell memory")?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).context("no VmRSS is told")?;
    Ok(line.trim().trim_end_matches(" kB").parse()?)
}

/// The most that it has until that is over, in KiB.
fn watch_memory(over: Arc<AtomicBool>) -> std::thread::JoinHandle<u64> {
    std::thread::spawn(move || {
        let mut highest = 0;
        while !over.load(Ordering::Relaxed) {
            highest = memory().unwrap_or(0).max(highest);
            std::thread::sleep(Duration::from_millis(5));
        }
        highest
    })
}

/// A count, as a figure for people.
#[expect(clippy::cast_precision_loss, reason = "a figure for people")]
pub(super) fn figure(count: usize) -> f64 {
    count as f64
}

pub(super) fn rounded(figure: f64) -> f64 {
    (figure * 1_000.0).round() / 1_000.0
}
