//! `onhand bench store`: what is durable a second, on either engine, by one node.

use std::path::Path;
use std::time::Duration;

use anyhow::bail;
use onhand_ledger::TenantId;
use onhand_store::Reader as _;
use serde_json::json;

use super::in_process::{Figure, Load, load_of, stock_up_of};
use super::orders::{self, Orders};
use super::{IN_FLIGHT, ITEMS, Random};
use crate::database::{Database, Kept};
use crate::output::say;
use crate::runtime::{self, Runtime};

const TENANTS: u64 = 32;
/// How many items each of them has.
const ITEMS_EACH: u64 = 1_000;
const CALLERS: usize = 4;
const CLIENTS: u64 = 16;
const ORDERING: Duration = Duration::from_secs(5);

/// A file in this folder, or the server's database that is named, if nothing is in it.
pub(super) fn empty(database: &Database, folder: &Path) -> anyhow::Result<Kept> {
    if let Database::File(_) = database {
        return Ok(runtime::open(&folder.join("bench.db"))?.into());
    }
    let mut kept = database.open()?;
    if let Kept::OnServer(store) = &mut kept
        && !store.tenants()?.is_empty()
    {
        bail!(
            "{database} has a ledger in it: name an empty database, for what a benchmark writes stays there"
        );
    }
    Ok(kept)
}

pub(super) async fn run(database: &Database, movements: u64, json: bool) -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let runtime = Runtime::open(empty(database, folder.path())?)?;
    let handle = runtime.handle.clone();
    let one = TenantId::DEFAULT;
    let many: Vec<TenantId> = (2..2 + TENANTS).map(TenantId).collect();
    stock_up_of(&handle, one, ITEMS, &["LONDON"]).await?;
    for tenant in &many {
        stock_up_of(&handle, *tenant, ITEMS_EACH, &["LONDON"]).await?;
    }
    let load = Load { items: ITEMS, in_flight: IN_FLIGHT, movements };
    let callers = [one; CALLERS];
    let of_one = load_of(&handle, &callers, "one", load).await?;
    let of_many = load_of(&handle, &many, "many", Load { items: ITEMS_EACH, ..load }).await?;
    let hot = load_of(&handle, &callers, "hot", Load { items: 1, ..load }).await?;
    let key = onhand_web::auth::create_key(&handle, one, &format!("bench-{}", Random::new(1).next())).await?;
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    let server = tokio::spawn(std::future::IntoFuture::into_future(axum::serve(listener, runtime.router())));
    let by = Orders { clients: CLIENTS, hot: false, lines: 1, duration: ORDERING };
    let ordered = orders::load(address, &key, by).await?;
    server.abort();
    let _ = server.await;
    drop(handle);
    runtime.stop().await?;
    let row = |figure: Figure| json!({ "movements_per_second": figure.movements_per_second.round(), "p99_ms": figure.p99_ms });
    let figures = json!({
        "one_tenant": row(of_one),
        "tenants_32": row(of_many),
        "hot": row(hot),
        "orders": { "orders_per_second": ordered.orders_per_second.round(), "p99_ms": ordered.p99_ms },
    });
    let text = if json { figures.to_string() } else { serde_json::to_string_pretty(&figures)? };
    Ok(say(text)?)
}
