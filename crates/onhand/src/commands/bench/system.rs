//! `onhand bench system`: from a change in Onhand until a connected system shows it.

use std::time::{Duration, Instant as Stopwatch};

use anyhow::Context as _;
use onhand_channels::Channel;
use onhand_engine::Handle;
use onhand_engine::systems::{Asked, Connection, add_system};
use onhand_engine::worker::Pace;
use onhand_ledger::command::{Line, PutItem, PutLocation, Receive};
use onhand_ledger::{Body, Quantity, TenantId};
use serde_json::json;

use super::{command, ms, now, times};
use crate::output::say;
use crate::runtime::{self, Runtime};

/// From a change in Onhand until a system shows it: read back by a session of its own, as fast as it answers.
pub(super) async fn until_shown(connection: Connection, changes: usize, json: bool) -> anyhow::Result<()> {
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
    add_system(&handle, &*runtime.app.connector, tenant, Asked::new("bench", "System"), connection).await?;
    runtime.work(Pace::default());
    let deadline = now() + Duration::from_mins(1);
    for (remote_id, _) in &listings {
        wait_for(&*eyes, remote_id, &place, 50, deadline).await?;
    }
    let mut all = times()?;
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
    let [p50, p99, max] = [0.5, 0.99, 1.0].map(|part| ms(&all, part));
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
