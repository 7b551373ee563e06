//! `onhand bench limits`: all that a system has for sale differs at once, and how much of what it lets anybody send is sent.
//!
//! Each system is emulated in this process with its vendor's own limits and reached over HTTP; all else is what a server does. Of each: the
//! numbers set there a minute, and that over what its limits allow in the same time.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use clap::ValueEnum as _;
use onhand_emulators::shopify::{self, ShopifyShop};
use onhand_emulators::skulabs::{self, SkuLabs};
use onhand_emulators::woocommerce::{self, WooShop};
use onhand_engine::systems::{Asked, Connection, Places, add_system, system_status};
use onhand_engine::worker::Pace;
use onhand_engine::{Clock as _, SystemClock};
use onhand_ledger::command::{PutItem, PutLocation, SetPublication};
use onhand_ledger::{Body, Quantity};
use serde_json::{Value, json};

use super::sync::{TENANT, all, figure, received, rounded, sku};
use super::{command, now};
use crate::cli::{self, LimitsBench};
use crate::http::listening;
use crate::output::say;
use crate::runtime::{self, Runtime};

/// What each item has, here and there.
const STOCK: i64 = 60;
/// Nothing is done by itself so soon, in milliseconds.
const NEVER_MS: i64 = 86_400_000;

/// A stand-in with so many listings, and what its vendor allows.
struct Limited {
    name: &'static str,
    connection: Connection,
    listings: usize,
    /// How many numbers were set there.
    writes: Box<dyn Fn() -> u64 + Send>,
    /// From now on its limits hold.
    begin: Box<dyn Fn() + Send>,
    /// So many numbers may be set in so many seconds.
    allowed: Box<dyn Fn(f64) -> f64 + Send>,
    /// What that follows from.
    by: &'static str,
}

pub(super) async fn run(bench: &LimitsBench, json: bool) -> anyhow::Result<()> {
    let mut figures = serde_json::Map::new();
    for system in cli::Limited::value_variants() {
        if bench.system.is_some_and(|only| only != *system) {
            continue;
        }
        let limited = match system {
            cli::Limited::Shopify => shopify(bench.listings).await?,
            cli::Limited::Woocommerce => woocommerce(bench.listings).await?,
            cli::Limited::Skulabs => skulabs(bench.listings).await?,
        };
        figures.insert(limited.name.to_owned(), measure(limited).await?);
    }
    let figures = Value::Object(figures);
    let text = if json { figures.to_string() } else { serde_json::to_string_pretty(&figures)? };
    Ok(say(text)?)
}

fn connection(kind: &str, url: String, username: &str, secret: &str) -> Connection {
    let (kind, username, secret) = (kind.to_owned(), username.to_owned(), secret.into());
    Connection { kind, url, username, secret, settings: BTreeMap::new() }
}

fn micros() -> i64 {
    SystemClock.now().micros()
}

/// A standard shop: 10 points a call of 250 numbers, 100 points a second, and those of 20 seconds saved up
/// (<https://shopify.dev/docs/api/usage/limits>).
async fn shopify(listings: usize) -> anyhow::Result<Limited> {
    const POINTS: f64 = 100.0;
    const SAVED: f64 = 2_000.0;
    let shop = ShopifyShop::new(shopify::Setup::default(), Arc::new(micros)).map_err(anyhow::Error::msg)?;
    let place = shop.add_location("London");
    for number in 0..listings {
        let item = shop.list(&sku(number), &sku(number));
        shop.stock(item, place, STOCK);
    }
    // Until all is read nothing holds it back.
    shop.set_limit(1e6, 1e7);
    let (listener, url) = listening(0).await?;
    tokio::spawn(shopify::serve(listener, shop.clone(), std::future::pending()));
    let written = shop.clone();
    Ok(Limited {
        name: "shopify",
        connection: connection("shopify", url, "client", "client-secret"),
        listings,
        writes: Box::new(move || written.writes()),
        begin: Box::new(move || shop.set_limit(POINTS, SAVED)),
        allowed: Box::new(|seconds| POINTS.mul_add(seconds, SAVED) / 10.0 * 250.0),
        by: "2,000 points saved up and 100 a second, 10 for each call of 250 numbers",
    })
}

/// A shop that answers within 200 ms, and takes 100 numbers a call
/// (<https://developer.woocommerce.com/docs/apis/rest-api/v3/products/>): it has no other limit.
async fn woocommerce(listings: usize) -> anyhow::Result<Limited> {
    const LATENCY_MS: u64 = 200;
    // Enough to see it, and over before anybody leaves.
    let listings = listings.min(20_000);
    let shop = WooShop::new(woocommerce::Setup::default(), Arc::new(micros));
    for number in 0..listings {
        shop.list(&sku(number), &sku(number), STOCK);
    }
    let (listener, url) = listening(0).await?;
    tokio::spawn(woocommerce::serve(listener, shop.clone(), std::future::pending()));
    let written = shop.clone();
    let slow = woocommerce::Faults { latency_ms: LATENCY_MS, ..woocommerce::Faults::default() };
    Ok(Limited {
        name: "woocommerce",
        connection: connection("woocommerce", url, "ck_emulated", "cs_emulated"),
        listings,
        writes: Box::new(move || written.writes()),
        begin: Box::new(move || shop.set_faults(slow.clone())),
        allowed: Box::new(|seconds| (seconds / 0.2 + 1.0) * 100.0),
        by: "calls of 100 numbers, one after the other, each answered within 200 ms",
    })
}

/// An account that may be called twice a second (<https://skulabs.mintlify.app/getting-started/rate-limits>); for so short a time its hourly limit does not
/// count.
async fn skulabs(listings: usize) -> anyhow::Result<Limited> {
    let listings = listings.min(5_000);
    let setup = skulabs::Setup { per_hour: 1_000_000, ..skulabs::Setup::default() };
    let account = SkuLabs::new(setup, Arc::new(micros));
    let (_, bin) = account.add_warehouse("Main");
    for number in 0..listings {
        let item = account.list(&sku(number), &sku(number));
        anyhow::ensure!(account.count(&item, &bin, STOCK), "it can be counted");
    }
    let (listener, url) = listening(0).await?;
    tokio::spawn(skulabs::serve(listener, account.clone(), std::future::pending()));
    Ok(Limited {
        name: "skulabs",
        connection: connection("skulabs", url, "", "emulated-key"),
        listings,
        writes: Box::new(move || account.writes()),
        begin: Box::new(|| ()),
        allowed: Box::new(|seconds| seconds.mul_add(2.0, 1.0) * 100.0),
        by: "two calls a second, of 100 numbers as we send them",
    })
}

/// Waits until something is so.
async fn until(what: &str, mut is_so: impl FnMut() -> anyhow::Result<bool>) -> anyhow::Result<()> {
    let deadline = now() + Duration::from_mins(10);
    while !is_so()? {
        anyhow::ensure!(now() < deadline, "{what}: that takes longer than ten minutes");
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    Ok(())
}

async fn measure(limited: Limited) -> anyhow::Result<Value> {
    let folder = tempfile::tempdir()?;
    let mut runtime = Runtime::open(runtime::open(&folder.path().join("bench.db"))?)?;
    let handle = runtime.handle.clone();
    let listings = limited.listings;
    let put = PutLocation { code: "LONDON".to_owned(), ..PutLocation::default() };
    all(&handle, std::iter::once(Body::PutLocation(put))).await?;
    let item = |number| Body::PutItem(PutItem { sku: sku(number), ..PutItem::default() });
    all(&handle, (0..listings).map(item)).await?;
    all(&handle, (0..listings).map(|number| received(number, STOCK))).await?;
    let asked = Asked { places: Places::Only(Some("LONDON".to_owned())), ..Asked::new("bench", "Shop") };
    let id = add_system(&handle, &*runtime.app.connector, TENANT, asked, limited.connection).await?.id;
    runtime.work(Pace { reconcile_ms: NEVER_MS, ..Pace::default() });
    let in_step = || {
        let seal = handle.ledger().seal();
        let status = handle.ledger().read(TENANT, |view| {
            let system = view.system(id)?;
            system.map(|system| system_status(view, seal, id, &system)).transpose()
        })?;
        anyhow::Ok(status.is_some_and(|status| status.in_step == listings))
    };
    until("all is read", in_step).await?;
    (limited.begin)();
    let before = (limited.writes)();
    let rule = SetPublication { buffer: Some(Quantity::units(1)), ..SetPublication::default() };
    handle.submit(TENANT, command(Body::SetPublication(rule))).await?;
    let begun = now();
    let sent = || (limited.writes)() - before;
    until("the first is sent", || Ok(sent() > 0)).await?;
    let first = now();
    until("all is sent", || Ok(sent() >= listings as u64)).await?;
    let seconds = first.elapsed().as_secs_f64();
    drop(handle);
    runtime.stop().await?;
    Ok(json!({
        "listings": listings, "seconds": rounded(seconds), "begun_after_seconds": rounded((first - begun).as_secs_f64()),
        "listings_per_minute": rounded(figure(listings) / seconds * 60.0), "allowed_per_minute": rounded((limited.allowed)(seconds) / seconds * 60.0),
        "reached": rounded(figure(listings) / (limited.allowed)(seconds)), "allowed_by": limited.by,
    }))
}
