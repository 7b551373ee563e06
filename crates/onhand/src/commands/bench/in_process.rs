//! Movements through the committer of this process: what the ledger can do, without HTTP.
//!
//! A movement is a command of one line with a key of its own: goods received, or an adjustment that takes one out, in
//! equal parts. Each is decided, written and answered like any other; the time of each is from handing it in to its
//! answer, which comes when it is durable.

use std::collections::VecDeque;
use std::sync::Arc;

use hdrhistogram::Histogram;
use onhand_engine::{Handle, Reply};
use onhand_ledger::command::{Adjust, Line, PutItem, PutLocation, Receive};
use onhand_ledger::{Answer, Body, Command, Quantity, TenantId};

use super::{ms, now, times};

/// How many callers share what is in flight.
const CALLERS: usize = 4;
/// What each item has at each location before it is moved.
const STOCK: i64 = 1_000_000;

/// How fast, and how long one waited for its answer.
#[derive(Clone, Copy, Debug)]
pub(super) struct Figure {
    pub movements_per_second: f64,
    pub p99_ms: f64,
}

/// What is moved, how.
#[derive(Clone, Copy, Debug)]
pub(super) struct Load {
    /// So many items, at random; 1: one hot item.
    pub items: u64,
    /// Commands without an answer yet, over all callers.
    pub in_flight: usize,
    /// How many movements.
    pub movements: u64,
}

/// Items and locations, with stock.
pub(super) async fn stock_up(handle: &Handle, items: u64, locations: &[&str]) -> anyhow::Result<()> {
    stock_up_of(handle, TenantId::DEFAULT, items, locations).await
}

/// As [`stock_up`], of any tenant.
pub(super) async fn stock_up_of(
    handle: &Handle,
    tenant: TenantId,
    items: u64,
    locations: &[&str],
) -> anyhow::Result<()> {
    for code in locations {
        let put = PutLocation { code: (*code).to_owned(), ..PutLocation::default() };
        handle.submit(tenant, super::command(Body::PutLocation(put))).await?;
    }
    for first in (0..items).step_by(1_000) {
        let skus: Vec<String> =
            (first..items.min(first + 1_000)).map(|number| format!("ITEM-{number}")).collect();
        let mut replies = Vec::new();
        for sku in &skus {
            let put = Body::PutItem(PutItem { sku: sku.clone(), ..PutItem::default() });
            replies.push(handle.begin(tenant, Some(super::command(put)), Vec::new()).await?);
        }
        for code in locations {
            let lines = skus.iter().map(|sku| Line {
                sku: sku.clone(),
                quantity: Quantity::units(STOCK),
                ..Line::default()
            });
            let (location, lines) = ((*code).to_owned(), lines.collect());
            let receive = Body::Receive(Receive { location, lines, occurred_at: None, reason: None });
            replies.push(handle.begin(tenant, Some(super::command(receive)), Vec::new()).await?);
        }
        for reply in replies {
            reply.wait().await?;
        }
    }
    Ok(())
}

/// Moves stock of `LONDON` as fast as it goes. `name` makes this run's keys its own.
pub(super) async fn load(handle: &Handle, name: &str, load: Load) -> anyhow::Result<Figure> {
    load_of(handle, &[TenantId::DEFAULT; CALLERS], name, load).await
}

/// As [`load`]: each of these tenants is a caller, and has its share.
pub(super) async fn load_of(
    handle: &Handle,
    tenants: &[TenantId],
    name: &str,
    load: Load,
) -> anyhow::Result<Figure> {
    let many = tenants.len() as u64;
    let share = Load { in_flight: load.in_flight / tenants.len(), movements: load.movements / many, ..load };
    let began = now();
    let mut callers = tokio::task::JoinSet::new();
    for (caller, tenant) in (0..).zip(tenants) {
        let name = Arc::from(format!("{name}-{caller}"));
        callers.spawn(call(handle.clone(), *tenant, name, share, caller));
    }
    let mut all = times()?;
    while let Some(done) = callers.join_next().await {
        all.add(done??)?;
    }
    let seconds = began.elapsed().as_secs_f64();
    #[expect(clippy::cast_precision_loss, reason = "a rate for people")]
    let movements_per_second = all.len() as f64 / seconds;
    Ok(Figure { movements_per_second, p99_ms: ms(&all, 0.99) })
}

/// One caller, with its share in flight: for each answer that comes it hands in another command.
async fn call(
    handle: Handle,
    tenant: TenantId,
    name: Arc<str>,
    load: Load,
    seed: u64,
) -> anyhow::Result<Histogram<u64>> {
    let mut histogram = times()?;
    let mut random = super::Random::new(seed);
    let mut waiting = VecDeque::<(std::time::Instant, Reply)>::new();
    let (share, most) = (load.movements, load.in_flight);
    let mut begun = 0;
    loop {
        while begun < share && waiting.len() < most {
            let command = movement(&name, begun, load.items, random.next());
            waiting.push_back((now(), handle.begin(tenant, Some(command), Vec::new()).await?));
            begun += 1;
        }
        let Some((began, reply)) = waiting.pop_front() else { return Ok(histogram) };
        let committed = reply.wait().await?;
        anyhow::ensure!(
            matches!(committed.answer, Answer::Moved(..)) && !committed.replayed,
            "a movement was answered by {:?}",
            committed.answer
        );
        histogram.record(u64::try_from(began.elapsed().as_micros())?)?;
    }
}

fn movement(name: &str, number: u64, items: u64, random: u64) -> Command {
    let sku = format!("ITEM-{}", (random >> 8) % items);
    let location = "LONDON".to_owned();
    let body = if random & 1 == 0 {
        let lines = vec![Line { sku, quantity: Quantity::units(1), ..Line::default() }];
        Body::Receive(Receive { location, lines, occurred_at: None, reason: None })
    } else {
        let lines = vec![Line { sku, quantity: Quantity::units(-1), ..Line::default() }];
        Body::Adjust(Adjust { location, lines, occurred_at: None, reason: "shrinkage".to_owned() })
    };
    Command::keyed(Some(format!("{name}-{number}")), "bench", body)
}
