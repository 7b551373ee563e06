//! `onhand bench pages`: how soon pages are there, how large they are, and how soon an open one hears of a change.
//!
//! Each page is asked for as a browser does that is signed in, one after the other on one connection of this machine: what is measured is
//! the server's time and what the loopback takes. Sizes are of what goes over the line, compressed.

use std::collections::BTreeSet;
use std::time::Duration;

use anyhow::{Context as _, ensure};
use onhand_engine::Handle;
use onhand_ledger::command::{Line, PlaceOrder, PutItem, PutLocation, Receive, TakeCount};
use onhand_ledger::{Body, Quantity};
use reqwest::{Client, Response, header};
use serde_json::{Map, Value, json};

use super::in_process::{Load, load};
use super::store::empty;
use super::sync::{TENANT, all, connected, listed, sku};
use super::{IN_FLIGHT, Random, ms, now, times};
use crate::cli::PagesBench;
use crate::database::Database;
use crate::http::{Api, listening};
use crate::output::say;
use crate::runtime::Runtime;

/// What things are called, so that words are found in many items and in few.
const SORTS: [&str; 8] = ["Mug", "Lamp", "Chair", "Pen", "Bowl", "Shelf", "Towel", "Clock"];
const COLOURS: [&str; 5] = ["white", "blue", "oak", "black", "red"];
const PLACES: [&str; 3] = ["LONDON", "PARIS", "BERLIN"];
/// Each of so many of the items is listed by a shop, and ordered now and then.
const LISTED: usize = 10;
const ORDERS: usize = 20_000;
/// What waits for a person.
const DISCREPANCIES: usize = 1_000;
/// How often a change is made to see when an open page hears of it.
const CHANGES: usize = 40;
/// A page rests so long between two tellings.
const REST: Duration = Duration::from_millis(300);

pub(super) async fn run(bench: &PagesBench, database: &Database, json: bool) -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let runtime = Runtime::open(empty(database, folder.path())?)?;
    let handle = runtime.handle.clone();
    fill(&handle, bench).await?;
    let key = onhand_web::auth::create_key(&handle, TENANT, "bench").await?;
    let (listener, base) = listening(0).await?;
    let api = Api::start(listener, runtime.router(), None)?;
    let browser = Browser::signed_in(base, &key).await?;
    let mut pages = Map::new();
    let mut slowest = 0.0_f64;
    let mut addresses = addresses(bench.items);
    for (name, list, link) in
        [("order", "/orders", "/orders/"), ("discrepancy", "/discrepancies", "/discrepancies/")]
    {
        addresses.push((name, browser.first_link(list, link).await?));
    }
    for (name, address) in addresses {
        let (figures, p99_ms) = browser.asked_often(&address, bench.requests).await?;
        slowest = slowest.max(p99_ms);
        if !json {
            say(format!("{name}: {figures}"))?;
        }
        pages.insert(name.to_owned(), figures);
    }
    let figures = json!({
        "items": bench.items,
        "movements": bench.movements,
        "pages": pages,
        "slowest_p99_ms": slowest,
        "first_screen_kb": browser.first_screen().await?,
        "heard_ms": browser.heard(&handle, bench.items).await?,
    });
    api.close().await?;
    drop(handle);
    runtime.stop().await?;
    let text = if json { figures.to_string() } else { serde_json::to_string_pretty(&figures)? };
    Ok(say(text)?)
}

/// Items with names and stock at three places, a shop that lists some, orders, and movements.
async fn fill(handle: &Handle, bench: &PagesBench) -> anyhow::Result<()> {
    let put = |code: &str| Body::PutLocation(PutLocation { code: code.to_owned(), ..PutLocation::default() });
    all(handle, PLACES.into_iter().map(put)).await?;
    let put = connected("Corner");
    all(handle, std::iter::once(Body::PutSystem(put))).await?;
    let item = |number: usize| {
        let (sort, colour) = (SORTS[number % SORTS.len()], COLOURS[number / 7 % COLOURS.len()]);
        let tags = (number.is_multiple_of(100)).then(|| vec!["season".to_owned()]);
        let low_stock = (number.is_multiple_of(50)).then(|| Quantity::units(1_000));
        let name = Some(format!("{sort}, {colour}, no. {number}"));
        let backorder_limit = Some(Quantity::units(1_000_000));
        let named = PutItem { sku: sku(number), name, ..PutItem::default() };
        Body::PutItem(PutItem { tags, low_stock, backorder_limit, ..named })
    };
    all(handle, (0..bench.items).map(item)).await?;
    let stock = |first: usize| {
        PLACES.into_iter().map(move |code| {
            let last = bench.items.min(first + 500);
            let line = |number| Line { sku: sku(number), quantity: Quantity::units(500), ..Line::default() };
            let lines = (first..last).map(line).collect();
            Body::Receive(Receive { location: code.to_owned(), lines, occurred_at: None, reason: None })
        })
    };
    all(handle, (0..bench.items).step_by(500).flat_map(stock)).await?;
    all(handle, (0..bench.items).step_by(LISTED).map(|number| listed("Corner", number))).await?;
    let mut random = Random::new(3);
    let order = |number: usize| {
        let mut line = || {
            let chosen = usize::try_from(random.next()).unwrap_or_default() % (bench.items / LISTED) * LISTED;
            // Some want more than there is.
            let units = if number.is_multiple_of(100) { 2_000 } else { 1 };
            Line { sku: sku(chosen), quantity: Quantity::units(units), ..Line::default() }
        };
        let lines = vec![line(), line()];
        Body::PlaceOrder(PlaceOrder { lines, backorder: Some(true), ..PlaceOrder::default() })
    };
    all(handle, (0..ORDERS).map(order)).await?;
    // Counts by one who is not master are evidence.
    let counted = |number: usize| {
        let lines = vec![Line { sku: sku(number), quantity: Quantity::ONE, ..Line::default() }];
        let (location, system) = ("PARIS".to_owned(), Some("Corner".to_owned()));
        Body::Count(TakeCount { location, lines, as_of: None, inside: false, system, net: false })
    };
    all(handle, (0..DISCREPANCIES).map(counted)).await?;
    let movements =
        Load { items: u64::try_from(bench.items)?, in_flight: IN_FLIGHT, movements: bench.movements };
    load(handle, "pages", movements).await.map(drop)
}

/// What is asked for, by what it is called.
fn addresses(items: usize) -> Vec<(&'static str, String)> {
    let far = format!("/stock?q=no.+{}", items - 1);
    let item = format!("/items/{}", sku(items / 2 / LISTED * LISTED));
    [
        ("overview", "/"),
        ("stock", "/stock"),
        ("search by SKU", "/stock?q=ITEM-7777"),
        ("search by a word of many", "/stock?q=lamp"),
        ("search by words of one", &far),
        ("search by nothing there is", "/stock?q=zzzz"),
        ("stock that is low", "/stock?show=low"),
        ("stock of a tag", "/stock?tag=season"),
        ("stock at a place", "/stock?location=PARIS"),
        ("item", &item),
        ("systems", "/systems"),
        ("system", "/systems/Corner"),
        ("rules", "/rules"),
        ("ownership", "/ownership"),
        ("discrepancies", "/discrepancies"),
        ("orders", "/orders"),
        ("orders that are short", "/orders?show=short"),
        ("activity", "/activity"),
        ("floor", "/floor"),
        ("floor look-up", "/floor/look-up?code=ITEM-7777"),
        ("settings", "/settings"),
    ]
    .into_iter()
    .map(|(name, address)| (name, address.to_owned()))
    .collect()
}

/// Somebody who is signed in.
struct Browser {
    client: Client,
    base: String,
    cookie: String,
}

impl Browser {
    async fn signed_in(base: String, key: &str) -> anyhow::Result<Self> {
        let client = Client::builder().no_proxy().redirect(reqwest::redirect::Policy::none()).build()?;
        let form = format!("key={key}&next=%2F");
        let sent = client
            .post(format!("{base}/sign-in"))
            .header(header::CONTENT_TYPE, "application/x-www-form-urlencoded")
            .header(header::ORIGIN, &base)
            .body(form);
        let answer = sent.send().await?;
        let cookie = answer.headers().get(header::SET_COOKIE).and_then(|cookie| cookie.to_str().ok());
        let cookie = cookie.and_then(|cookie| cookie.split(';').next());
        let cookie = cookie.with_context(|| format!("nobody is signed in: {}", answer.status()))?.to_owned();
        Ok(Self { client, base, cookie })
    }

    async fn ask(&self, address: &str, packed: bool) -> anyhow::Result<Response> {
        let asked = self.client.get(format!("{}{address}", self.base)).header(header::COOKIE, &self.cookie);
        let asked = if packed { asked.header(header::ACCEPT_ENCODING, "gzip") } else { asked };
        let answer = asked.send().await?;
        ensure!(answer.status() == 200, "{address} answers {}", answer.status());
        Ok(answer)
    }

    /// Where the first link of a kind on a page leads.
    async fn first_link(&self, address: &str, kind: &str) -> anyhow::Result<String> {
        let page = self.ask(address, false).await?.text().await?;
        let links = page.split("href=\"").filter_map(|rest| rest.split(['"', '?', '#']).next());
        let mut links =
            links.filter(|link| link.strip_prefix(kind).is_some_and(|id| id.parse::<u64>().is_ok()));
        links.next().map(str::to_owned).with_context(|| format!("{address} has no link to {kind}…"))
    }

    /// How soon a page is there, and its size; and the slowest of a hundred.
    async fn asked_often(&self, address: &str, requests: usize) -> anyhow::Result<(Value, f64)> {
        let mut all = times()?;
        let mut size = 0;
        for number in 0..=requests {
            let began = now();
            size = self.ask(address, true).await?.bytes().await?.len();
            // The first is what a page costs that nobody has looked at yet.
            if number > 0 {
                all.record(u64::try_from(began.elapsed().as_micros())?)?;
            }
        }
        Ok((
            json!({ "p50_ms": ms(&all, 0.5), "p99_ms": ms(&all, 0.99), "kb": size.div_ceil(1_000) }),
            ms(&all, 0.99),
        ))
    }

    /// What the overview takes with all that it loads, in thousands of bytes.
    async fn first_screen(&self) -> anyhow::Result<usize> {
        let page = self.ask("/", false).await?.text().await?;
        let loaded = page.split(['"', '\'']).filter(|part| part.starts_with("/assets/"));
        let loaded: BTreeSet<&str> = loaded.collect();
        let mut bytes = self.ask("/", true).await?.bytes().await?.len();
        for asset in loaded {
            bytes += self.ask(asset, true).await?.bytes().await?.len();
        }
        Ok(bytes.div_ceil(1_000))
    }

    /// From a movement until the item's open page has heard of it and has been loaded again.
    async fn heard(&self, handle: &Handle, items: usize) -> anyhow::Result<Value> {
        let item = sku(items / 2 / LISTED * LISTED);
        let address = format!("/items/{item}");
        let page = self.ask(&address, false).await?.text().await?;
        let live = page.split("data-live=\"").nth(1).and_then(|rest| rest.split('"').next());
        let live = live.context("the page of an item follows nothing")?.replace("&#38;", "&");
        let since = *handle.ledger().feed().borrow();
        let mut events = self.ask(&format!("{live}&since={since}"), false).await?;
        events.chunk().await?.context("nothing is told")?;
        let mut all = times()?;
        for _ in 0..CHANGES {
            tokio::time::sleep(REST).await;
            let lines = vec![Line { sku: item.clone(), quantity: Quantity::ONE, ..Line::default() }];
            let location = "LONDON".to_owned();
            let began = now();
            let receive = Receive { location, lines, occurred_at: None, reason: None };
            handle.submit(TENANT, super::command(Body::Receive(receive))).await?;
            events.chunk().await?.context("nothing is told any more")?;
            self.ask(&address, true).await?.bytes().await?;
            all.record(u64::try_from(began.elapsed().as_micros())?)?;
        }
        Ok(json!({ "p50": ms(&all, 0.5), "p99": ms(&all, 0.99) }))
    }
}
