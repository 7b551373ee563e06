//! `onhand demo`: a sample catalogue, a small shop reached over HTTP, customers; truth and shop staying equal.
//!
//! What the shop oversold by our fault is counted here from the shop's own records and the log alone, by the
//! definition of the word, apart from `sync`: a wrong push would show.

use std::collections::BTreeMap;
use std::fmt::Display;
use std::io::{IsTerminal as _, Write as _};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use crossterm::{cursor, execute, queue, style, terminal};
use onhand_emulators::shop::{self, CornerShop, Event, Line};
use onhand_engine::systems::{Asked, Connection, add_system, system_status};
use onhand_engine::worker::Pace;
use onhand_engine::{Clock as _, Ledger, SystemClock, View};
use onhand_ledger::command::{self, PutItem, PutLocation, Receive};
use onhand_ledger::{Body, Command, Entry, ItemId, Quantity, Seq, StockState, TenantId};
use onhand_store::StoreError;
use serde_json::json;

use crate::cli::Demo;
use crate::http::{self, Api, interrupted, until};
use crate::output::{say, stdout};
use crate::runtime::{self, Runtime};

const CATALOGUE: [(&str, &str, i64); 12] = [
    ("MUG-BLUE", "Blue mug, 300 ml", 60),
    ("MUG-RED", "Red mug, 300 ml", 45),
    ("TEA-GREEN", "Green tea, 100 g", 80),
    ("TEA-BLACK", "Black tea, 100 g", 120),
    ("POT-SMALL", "Teapot, 0.6 l", 15),
    ("POT-LARGE", "Teapot, 1.2 l", 9),
    ("SPOON", "Tea spoon", 200),
    ("TOWEL", "Tea towel, linen", 30),
    ("HONEY", "Honey, 250 g", 40),
    ("BISCUIT", "Shortbread, 200 g", 75),
    ("TRAY", "Tray, birch", 12),
    ("CANDLE", "Candle, beeswax", 50),
];

/// A small generator of numbers: the same seed gives the same customers (SplitMix64).
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % sides
    }
}

fn command(body: Body) -> Command {
    Command::keyed(None, "demo", body)
}

pub(crate) async fn run(demo: &Demo, json: bool) -> anyhow::Result<ExitCode> {
    let folder = tempfile::tempdir().context("cannot make a folder for the demo's database")?;
    let mut runtime = Runtime::open(runtime::open(&folder.path().join("demo.db"))?)?;
    let handle = runtime.handle.clone();
    let tenant = TenantId::DEFAULT;
    let shop = CornerShop::new("demo-token", Arc::new(|| SystemClock.now().micros()));
    handle
        .submit(
            tenant,
            command(Body::PutLocation(PutLocation { code: "LONDON".to_owned(), ..PutLocation::default() })),
        )
        .await?;
    for (sku, name, stock) in CATALOGUE {
        let put = PutItem { sku: sku.to_owned(), name: Some(name.to_owned()), ..PutItem::default() };
        handle.submit(tenant, command(Body::PutItem(put))).await?;
        receive(&runtime, sku, stock).await?;
        shop.list(&format!("listing-{sku}"), sku, name, 0);
    }
    let shop_listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
    let shop_url = format!("http://{}", shop_listener.local_addr()?);
    let (stop, stopping) = tokio::sync::watch::channel(false);
    let shop_server = tokio::spawn(shop::serve(shop_listener, shop.clone(), until(stopping)));
    let connection = Connection {
        kind: "shop".to_owned(),
        url: shop_url.clone(),
        username: String::new(),
        secret: "demo-token".into(),
        settings: BTreeMap::new(),
    };
    let connector = runtime.app.connector.clone();
    add_system(&handle, connector.as_ref(), tenant, Asked::new("demo", "Corner Shop"), connection).await?;
    let pace = Pace { orders_ms: 100, read_back_ms: 100, reconcile_ms: 5_000, ..Pace::default() };
    runtime.work(pace);
    let api_listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
    let api_url = format!("http://{}", api_listener.local_addr()?);
    let key = onhand_web::auth::create_key(&handle, tenant, "demo").await?;
    let api = Api::start(api_listener, runtime.router(), None)?;
    settled(&runtime).await?;

    let clock = SystemClock;
    let began = clock.now();
    let seconds = demo.seconds.or(demo.headless.then_some(10));
    let ends = seconds.map(|seconds| began.plus_seconds(i64::try_from(seconds).unwrap_or(i64::MAX / 2)));
    let addresses = vec![
        format!("pages {api_url}"),
        format!("API   {api_url}/v1"),
        format!("docs  {api_url}/docs"),
        format!("shop  {shop_url}"),
        format!("key   {key}"),
    ];
    let drawn = !demo.headless && !json && std::io::stdout().is_terminal();
    if json {
        for address in &addresses {
            eprintln!("{address}");
        }
    } else if !drawn {
        addresses.iter().try_for_each(say)?;
    }
    let screen = if drawn { Some(Screen::open(addresses)?) } else { None };
    let mut dice = Dice(demo.seed);
    let mut interrupted = std::pin::pin!(interrupted());
    let mut next_draw = began;
    loop {
        tokio::select! {
            () = &mut interrupted => break,
            () = tokio::time::sleep(Duration::from_millis(10 + dice.roll(40))) => {}
        }
        if ends.is_some_and(|ends| clock.now() >= ends) {
            break;
        }
        let (sku, _, usual) = CATALOGUE[usize::try_from(dice.roll(CATALOGUE.len() as u64))?];
        match dice.roll(20) {
            0 => receive(&runtime, sku, usual / 3 + 1).await?,
            1 => {
                let lines = vec![command::Line {
                    sku: sku.to_owned(),
                    quantity: -Quantity::ONE,
                    ..Default::default()
                }];
                let (location, reason) = ("LONDON".to_owned(), "damaged".to_owned());
                let adjust = command::Adjust { location, lines, occurred_at: None, reason };
                handle.submit(tenant, command(Body::Adjust(adjust))).await?;
            }
            2 => {
                let lines = vec![command::Line {
                    sku: sku.to_owned(),
                    quantity: Quantity::ONE,
                    ..Default::default()
                }];
                let place = command::PlaceOrder { lines, ..Default::default() };
                // Sold over the counter, if there is one: refused is an answer too.
                handle.submit(tenant, command(Body::PlaceOrder(place))).await?;
            }
            _ => {
                let quantity = 1 + i64::try_from(dice.roll(3))?;
                // A customer who finds it sold out goes away.
                let _ = shop.place_order(&[Line { listing: format!("listing-{sku}"), quantity }]);
            }
        }
        if let Some(screen) = &screen
            && clock.now() >= next_draw
        {
            screen.draw(&runtime, &shop)?;
            next_draw = clock.now().plus_micros(150_000);
        }
    }
    let converged = tokio::select! {
        settled = settled(&runtime) => settled?,
        // Asked once more: it does not wait any longer.
        () = http::interrupted() => false,
    };
    drop(screen);
    let (listings, in_step) = status(&runtime)?;
    let audit = shop.audit();
    let sold = audit.iter().filter_map(|event| match event {
        Event::Sale { quantity, .. } => Some(*quantity),
        _ => None,
    });
    let units_sold: i64 = sold.sum();
    let orders = audit.iter().filter(|event| matches!(event, Event::Sale { .. })).count();
    let oversold_by_us = oversold_by_us(handle.ledger(), &audit)?;
    let mut latencies: Vec<i64> = runtime
        .acknowledged
        .lock()
        .iter()
        .map(|acknowledged| acknowledged.at.micros() - acknowledged.changed_at.micros())
        .collect();
    latencies.sort_unstable();
    let at = |percent: usize| {
        let micros = latencies.get((latencies.len() * percent / 100).min(latencies.len().saturating_sub(1)));
        micros.map_or(0.0, |micros| f64::from(i32::try_from(*micros).unwrap_or(i32::MAX)) / 1_000.0)
    };
    let result = json!({
        "orders": orders,
        "units_sold": units_sold,
        "oversold_by_us": oversold_by_us,
        "listings": listings,
        "in_step": in_step,
        "converged": converged,
        "sync_latency_ms": { "p50": at(50), "p99": at(99) },
    });
    let _ = stop.send(true);
    // Nobody but us speaks with the shop for long.
    let _ = tokio::time::timeout(Duration::from_secs(1), shop_server).await;
    runtime.end_pages();
    api.close().await?;
    drop(handle);
    drop(connector);
    runtime.stop().await?;
    if json {
        say(result)?;
    } else {
        say(format!(
            "{orders} orders, {units_sold} units sold, {oversold_by_us} oversold by us; {in_step} of {listings} in step."
        ))?;
    }
    let lawful = oversold_by_us == 0 && converged;
    Ok(if lawful { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

async fn receive(runtime: &Runtime, sku: &str, units: i64) -> anyhow::Result<()> {
    let lines =
        vec![command::Line { sku: sku.to_owned(), quantity: Quantity::units(units), ..Default::default() }];
    let receive = Receive { location: "LONDON".to_owned(), lines, occurred_at: None, reason: None };
    runtime.handle.submit(TenantId::DEFAULT, command(Body::Receive(receive))).await?;
    Ok(())
}

fn status(runtime: &Runtime) -> Result<(usize, usize), StoreError> {
    let ledger = runtime.handle.ledger();
    ledger.read(TenantId::DEFAULT, |view| {
        let mut sum = (0, 0);
        for (id, system) in view.systems()? {
            let status = system_status(view, ledger.seal(), id, &system)?;
            sum = (sum.0 + status.listings, sum.1 + status.in_step);
        }
        Ok(sum)
    })
}

/// All listings in step within 10 seconds?
async fn settled(runtime: &Runtime) -> anyhow::Result<bool> {
    let mut quiet = 0;
    for _ in 0..200 {
        let (listings, in_step) = status(runtime)?;
        // Twice in a row, so that an order that is still on its way to us shows.
        quiet = if listings == in_step { quiet + 1 } else { 0 };
        if quiet >= 8 {
            return Ok(true);
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    Ok(false)
}

/// Units that the shop sold because a push set its number above what was available at the `seq` that the push names.
fn oversold_by_us(ledger: &Ledger, audit: &[Event]) -> anyhow::Result<i64> {
    let available = available_by_seq(ledger)?;
    let at = |listing: &str, seq: Seq| -> i64 {
        let rows =
            available.get(listing.trim_start_matches("listing-")).map(Vec::as_slice).unwrap_or_default();
        let index = rows.partition_point(|(row, _)| *row <= seq);
        index
            .checked_sub(1)
            .and_then(|index| rows.get(index))
            .map_or(0, |(_, quantity)| quantity.whole_units())
    };
    // Per listing: how many units too many the last push put on sale, less those sold since the stock ran into them.
    let mut excess = BTreeMap::<&str, i64>::new();
    let mut oversold = 0;
    for event in audit {
        match event {
            Event::Set { listing, quantity, reference, .. } => {
                excess.insert(listing, (quantity - at(listing, *reference)).max(0));
            }
            Event::Sale { listing, quantity, stock_after, .. } => {
                // The last `excess` units of what it shows should not be there.
                let wrong = excess.entry(listing).or_default();
                let sold_wrongly = (*wrong - stock_after).clamp(0, *quantity);
                oversold += sold_wrongly;
                *wrong -= sold_wrongly;
            }
            Event::Cancel { .. } | Event::Edit { .. } => {}
        }
    }
    Ok(oversold)
}

/// What was available of each SKU after each entry that changed it, from the log alone.
fn available_by_seq(ledger: &Ledger) -> Result<BTreeMap<String, Vec<(Seq, Quantity)>>, StoreError> {
    let mut skus = BTreeMap::<ItemId, String>::new();
    let mut rows = BTreeMap::<String, Vec<(Seq, Quantity)>>::new();
    let mut after = 0;
    loop {
        let records =
            ledger.read(TenantId::DEFAULT, |view: &mut View<'_>| view.records_after(after, 1_000))?;
        let Some((first, last)) = records.last() else { return Ok(rows) };
        after = first + last.entries.len() as Seq - 1;
        for (first, record) in &records {
            for (seq, entry) in (*first..).zip(&record.entries) {
                match entry {
                    Entry::Item(id, item) => {
                        skus.insert(*id, item.sku.clone());
                    }
                    Entry::Movement(movement) => {
                        let sides = [(movement.from, -movement.quantity), (movement.to, movement.quantity)];
                        for (account, change) in sides {
                            if account.state == StockState::Available
                                && let Some(sku) = skus.get(&movement.item)
                            {
                                let known = rows.entry(sku.clone()).or_default();
                                let before = known.last().map_or(Quantity::ZERO, |(_, quantity)| *quantity);
                                known.push((seq, before + change));
                            }
                        }
                    }
                    _ => {}
                }
            }
        }
    }
}

/// The live table, on the terminal's other screen: what was there before comes back when it ends.
struct Screen {
    addresses: Vec<String>,
}

impl Drop for Screen {
    /// However the demo ends, the terminal is as it was.
    fn drop(&mut self) {
        let _ = execute!(stdout(), terminal::LeaveAlternateScreen, cursor::Show);
    }
}

impl Screen {
    fn open(addresses: Vec<String>) -> anyhow::Result<Self> {
        let screen = Self { addresses };
        execute!(stdout(), terminal::EnterAlternateScreen, cursor::Hide)?;
        Ok(screen)
    }

    fn draw(&self, runtime: &Runtime, shop: &CornerShop) -> anyhow::Result<()> {
        let (listings, in_step) = status(runtime)?;
        let head = row("SKU", "Item", "Truth", "Committed", "Corner Shop", "");
        let top: Vec<String> = self.addresses.iter().cloned().chain([String::new(), head]).collect();
        let mut rows = Vec::new();
        for (sku, name, _) in CATALOGUE {
            let (available, committed) = runtime.handle.ledger().read(TenantId::DEFAULT, |view| {
                let Some((id, _)) = view.item_by_sku(sku)? else {
                    return Ok((Quantity::ZERO, Quantity::ZERO));
                };
                let site = view.sites()?.all.first().copied().unwrap_or_default();
                Ok((view.held(id, site, StockState::Available)?, view.held(id, site, StockState::Committed)?))
            })?;
            let shows = shop.stock_of(&format!("listing-{sku}")).unwrap_or(0);
            let equal = Quantity::units(shows) == available;
            rows.push(row(
                sku,
                name,
                available,
                committed,
                shows,
                if equal { "● in step" } else { "◐ on its way" },
            ));
        }
        let orders = shop.audit().iter().filter(|event| matches!(event, Event::Sale { .. })).count();
        let bottom = format!("{orders} orders · {in_step} of {listings} listings in step · Ctrl-C ends it");
        let size = terminal::size().ok().filter(|(width, height)| *width > 0 && *height > 0);
        // Written at once: half a frame is never seen.
        let mut frame = Vec::new();
        for (line, text) in (0..).zip(fitted(top, rows, bottom, size.unwrap_or((80, 24)))) {
            // All below is cleared with each line, so that nothing of an older size stays.
            queue!(frame, cursor::MoveTo(0, line), terminal::Clear(terminal::ClearType::FromCursorDown))?;
            queue!(frame, style::Print(text))?;
        }
        let mut out = stdout();
        out.write_all(&frame)?;
        out.flush()?;
        Ok(())
    }
}

fn row(
    sku: &str,
    name: &str,
    truth: impl Display,
    committed: impl Display,
    shows: impl Display,
    state: &str,
) -> String {
    format!("{sku:<9} {name:<17} {truth:>6} {committed:>9} {shows:>11}  {state}").trim_end().to_owned()
}

/// The lines of a screen: never more than it has, and none longer, so that the terminal neither wraps nor scrolls.
fn fitted(
    mut lines: Vec<String>,
    mut rows: Vec<String>,
    bottom: String,
    (width, height): (u16, u16),
) -> Vec<String> {
    let room = usize::from(height).saturating_sub(lines.len() + 2);
    if rows.len() > room {
        let hidden = rows.len() - room.saturating_sub(1);
        rows.truncate(room.saturating_sub(1));
        rows.push(format!("… and {hidden} more"));
    }
    lines.append(&mut rows);
    lines.extend([String::new(), bottom]);
    lines.truncate(usize::from(height));
    lines.iter().map(|line| line.chars().take(usize::from(width)).collect()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_screen_of_any_size_is_filled_and_no_more() {
        let fit = |width, height| {
            let rows =
                CATALOGUE.iter().map(|(sku, name, stock)| row(sku, name, stock, 0, stock, "◐ on its way"));
            let top = vec!["key   ".to_owned() + &"k".repeat(46); 6];
            fitted(top, rows.collect(), "57 orders".to_owned(), (width, height))
        };
        for (width, height) in [(60, 15), (80, 24), (120, 40), (10, 3), (1, 1), (300, 100)] {
            let lines = fit(width, height);
            assert!(lines.len() <= usize::from(height), "{width}×{height}: {lines:#?}");
            assert!(lines.iter().all(|line| line.chars().count() <= usize::from(width)), "{lines:#?}");
        }
        assert_eq!(fit(60, 15)[12], "… and 6 more");
        assert_eq!(fit(60, 15).last().map(String::as_str), Some("57 orders"));
        let whole = fit(80, 24);
        assert_eq!(
            (whole.len(), whole[17].as_str()),
            (20, "CANDLE    Candle, beeswax       50         0          50  ◐ on its way")
        );
    }

    /// The checker would see a wrong push: 8 shown while 5 were there, and 7 of them sold.
    #[test]
    fn what_is_sold_beyond_what_was_there_by_a_push_of_ours_is_counted() {
        let clock = Arc::new(onhand_engine::ManualClock::at(onhand_ledger::Instant::from_micros(1)));
        let store = Box::new(onhand_store::MemoryStore::default());
        let ledger = Ledger::open(store, clock, onhand_engine::Options::default()).unwrap();
        let lines = vec![command::Line {
            sku: "MUG-BLUE".to_owned(),
            quantity: Quantity::units(5),
            ..Default::default()
        }];
        let location = "LONDON".to_owned();
        let bodies = [
            Body::PutLocation(PutLocation { code: location.clone(), ..PutLocation::default() }),
            Body::PutItem(PutItem { sku: "MUG-BLUE".to_owned(), ..PutItem::default() }),
            Body::Receive(Receive { location, lines, occurred_at: None, reason: None }),
        ];
        let submissions = bodies.map(|body| onhand_engine::Submission {
            tenant: TenantId::DEFAULT,
            command: Some(super::command(body)),
            notes: Vec::new(),
        });
        let seq = ledger.commit(submissions.into()).pop().unwrap().unwrap().seq;
        let listing = || "listing-MUG-BLUE".to_owned();
        let set = |quantity| Event::Set { at: 0, listing: listing(), quantity, previous: 0, reference: seq };
        let sale = |quantity, stock_after| {
            let order = "1001".to_owned();
            Event::Sale { at: 0, order, listing: listing(), quantity, stock_after }
        };
        assert_eq!(oversold_by_us(&ledger, &[set(8), sale(4, 4), sale(3, 1)]).unwrap(), 2);
        assert_eq!(oversold_by_us(&ledger, &[set(5), sale(5, 0)]).unwrap(), 0);
        assert_eq!(oversold_by_us(&ledger, &[set(8), sale(4, 4), set(1), sale(1, 0)]).unwrap(), 0);
    }
}
