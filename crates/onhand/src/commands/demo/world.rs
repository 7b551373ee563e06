//! The demo's world: Onhand, three shops and a warehouse of somebody else, all in this process and reached over HTTP; and the people in it.

use std::collections::BTreeMap;
use std::sync::Arc;

use anyhow::Context as _;
use onhand_emulators::shop::{self, CornerShop};
use onhand_emulators::shopify::{self, EventKind, Plan, ShopifyShop};
use onhand_emulators::wms::{self, Warehouse};
use onhand_emulators::woocommerce::{self, WooShop};
use onhand_engine::explain::{Explained, explain_item, exposure};
use onhand_engine::inbox::Which;
use onhand_engine::systems::system_status;
use onhand_engine::worker::Pace;
use onhand_engine::{Clock as _, SystemClock};
use onhand_ledger::command::{self, PlaceOrder, PutItem, PutLocation, Receive};
use onhand_ledger::model::Discrepancy;
use onhand_ledger::{Body, Command, DiscrepancyId, ListingId, LocationId, Quantity, StockState, TenantId};
use onhand_store::StoreError;
use reqwest::Method;
use serde_json::{Value, json};
use tokio::sync::watch;
use tokio::task::JoinSet;

use super::oversold::{Change, Offer, What};
use crate::http::{Api, listening, until};
use crate::link::Link;
use crate::runtime::{self, Runtime};

pub(super) const TENANT: TenantId = TenantId::DEFAULT;
pub(super) const SHOPIFY: &str = "Shopify";
pub(super) const WOO: &str = "WooCommerce";
pub(super) const CORNER: &str = "Corner Shop";
/// The warehouse, which is master of what lies there.
const BERLIN: &str = "Berlin";
/// The shops, as they are drawn.
pub(super) const SHOPS: [&str; 3] = [SHOPIFY, WOO, CORNER];

/// Our locations; Shopify sells from the first two.
pub(super) const PLACES: [&str; 3] = ["LONDON", "LEEDS", "BERLIN"];

/// SKU, name, and what lies at each of [`PLACES`].
pub(super) const CATALOGUE: [(&str, &str, [i64; 3]); 14] = [
    ("MUG-BLUE", "Blue mug, 300 ml", [97, 0, 0]),
    ("MUG-RED", "Red mug, 300 ml", [25, 10, 10]),
    ("TEA-GREEN", "Green tea, 100 g", [96, 0, 0]),
    ("TEA-BLACK", "Black tea, 100 g", [60, 30, 30]),
    ("POT-SMALL", "Teapot, 0.6 l", [8, 3, 4]),
    ("POT-LARGE", "Teapot, 1.2 l", [4, 2, 3]),
    ("SPOON", "Tea spoon", [100, 40, 60]),
    ("TOWEL", "Tea towel, linen", [15, 5, 10]),
    ("HONEY", "Honey, 250 g", [20, 10, 10]),
    ("BISCUIT", "Shortbread, 200 g", [40, 15, 20]),
    ("TRAY", "Tray, birch", [6, 2, 4]),
    ("CANDLE", "Candle, beeswax", [25, 10, 15]),
    ("KETTLE", "Kettle, copper", [7, 3, 5]),
    ("LAMP", "Lamp, limited edition", [500, 0, 0]),
];

/// A small generator of numbers: the same seed gives the same customers (SplitMix64).
pub(super) struct Dice(pub u64);

impl Dice {
    pub fn roll(&mut self, sides: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % sides
    }

    fn index(&mut self, many: usize) -> usize {
        usize::try_from(self.roll(many as u64)).unwrap_or_default()
    }
}

/// An item, as each system calls it.
struct Listed {
    sku: &'static str,
    name: &'static str,
    usual: i64,
    shopify: u64,
    woo: u64,
    corner: String,
    berlin: String,
}

/// All that there is.
pub(super) struct World {
    pub runtime: Runtime,
    pub link: Link,
    pub shopify: Arc<ShopifyShop>,
    pub woo: Arc<WooShop>,
    pub corner: Arc<CornerShop>,
    berlin: Arc<Warehouse>,
    /// Shopify's locations.
    places: [u64; 2],
    items: Vec<Listed>,
    /// Where our stock lies.
    locations: Vec<LocationId>,
    pub dice: Dice,
    /// Somebody's program sets a listing of the corner shop to this whenever it is another.
    pub other_program: Option<(&'static str, i64)>,
    /// Nobody buys that for now.
    pub untouched: Option<&'static str>,
    addresses: Vec<String>,
    stop: watch::Sender<bool>,
    servers: JoinSet<()>,
    api: Option<Api>,
    _folder: tempfile::TempDir,
}

fn now_micros() -> i64 {
    SystemClock.now().micros()
}

fn ours(body: Body) -> Command {
    Command::keyed(None, "demo", body)
}

fn line(sku: &str, units: i64) -> command::Line {
    command::Line { sku: sku.to_owned(), quantity: Quantity::units(units), ..Default::default() }
}

impl World {
    /// Everything is connected, and equal.
    pub async fn open(seed: u64) -> anyhow::Result<Self> {
        let folder = tempfile::tempdir().context("cannot make a folder for the demo's database")?;
        let mut runtime = Runtime::open(runtime::open(&folder.path().join("demo.db"))?)?;
        let clock: shop::Clock = Arc::new(now_micros);
        let plus = shopify::Setup { plan: Plan::Plus, ..shopify::Setup::default() };
        let shopify = ShopifyShop::new(plus, clock.clone()).map_err(anyhow::Error::msg)?;
        let woo = WooShop::new(woocommerce::Setup::default(), clock.clone());
        let corner = CornerShop::new("demo-token", clock.clone());
        let berlin = Warehouse::new("demo-token", clock);
        let places = [shopify.add_location("London"), shopify.add_location("Leeds")];
        let mut items = Vec::new();
        for (number, (sku, name, stock)) in CATALOGUE.into_iter().enumerate() {
            let item = Listed {
                sku,
                name,
                usual: stock.iter().sum(),
                shopify: shopify.list(sku, name),
                woo: woo.list(sku, name, 0),
                corner: format!("listing-{sku}"),
                berlin: (number + 1).to_string(),
            };
            for place in places {
                shopify.stock(item.shopify, place, 0);
            }
            corner.list(&item.corner, sku, name, 0);
            berlin.stock(&item.berlin, sku, name, stock[2]);
            items.push(item);
        }
        let mut locations = Vec::new();
        for (rank, code) in (1..).zip(PLACES) {
            let put = PutLocation { code: code.to_owned(), rank: Some(rank), ..PutLocation::default() };
            let put = runtime.handle.submit(TENANT, ours(Body::PutLocation(put))).await?;
            if let onhand_ledger::Answer::Location(id) = put.answer {
                locations.push(id);
            }
        }
        let (stop, stopping) = watch::channel(false);
        let mut servers = JoinSet::new();
        let mut urls = Vec::new();
        for _ in 0..4 {
            urls.push(listening(0).await?);
        }
        let mut urls = urls.into_iter();
        let mut next = || urls.next().context("a server without an address");
        let (listener, shopify_url) = next()?;
        let serves = shopify::serve(listener, shopify.clone(), until(stopping.clone()));
        servers.spawn(async move { drop(serves.await) });
        let (listener, woo_url) = next()?;
        let serves = woocommerce::serve(listener, woo.clone(), until(stopping.clone()));
        servers.spawn(async move { drop(serves.await) });
        let (listener, corner_url) = next()?;
        let serves = shop::serve(listener, corner.clone(), until(stopping.clone()));
        servers.spawn(async move { drop(serves.await) });
        let (listener, berlin_url) = next()?;
        let serves = wms::serve(listener, berlin.clone(), until(stopping));
        servers.spawn(async move { drop(serves.await) });
        // Nobody waits here for half a minute to see that an edit is noticed.
        let pace = Pace {
            orders_ms: 100,
            read_back_ms: 100,
            reconcile_ms: 1_000,
            stock_ms: 1_000,
            ..Pace::default()
        };
        runtime.work(pace);
        let (listener, api_url) = listening(0).await?;
        let key = onhand_web::auth::create_key(&runtime.handle, TENANT, "demo").await?;
        let api = Api::start(listener, runtime.router(), None)?;
        let http = reqwest::Client::builder().no_proxy().build()?;
        let link = Link::Remote { base: api_url.clone(), key: key.clone(), http };
        let addresses = vec![
            format!("pages {api_url}"),
            format!("API   {api_url}/v1"),
            format!("docs  {api_url}/docs"),
            format!("shops {shopify_url} (Shopify)  {woo_url} (WooCommerce)  {corner_url} (Corner Shop)"),
            format!("key   {key}"),
        ];
        let world = Self {
            runtime,
            link,
            shopify,
            woo,
            corner,
            berlin,
            places,
            items,
            locations,
            dice: Dice(seed),
            other_program: None,
            untouched: None,
            addresses,
            stop,
            servers,
            api: Some(api),
            _folder: folder,
        };
        world.stock().await?;
        world.connect([&shopify_url, &woo_url, &corner_url, &berlin_url], &api_url).await?;
        Ok(world)
    }

    /// Where a person looks at it.
    pub fn addresses(&self) -> &[String] {
        &self.addresses
    }

    async fn stock(&self) -> anyhow::Result<()> {
        for (sku, name, stock) in CATALOGUE {
            let put = PutItem { sku: sku.to_owned(), name: Some(name.to_owned()), ..PutItem::default() };
            self.does(Body::PutItem(put)).await?;
            for (location, units) in PLACES.into_iter().zip(stock).filter(|(_, units)| *units > 0) {
                self.receives(location, sku, units).await?;
            }
        }
        Ok(())
    }

    /// As anybody connects them: by the API.
    async fn connect(&self, urls: [&str; 4], own: &str) -> anyhow::Result<()> {
        let [shopify, woo, corner, berlin] = urls;
        let places =
            json!([{ "remote": "London", "location": "LONDON" }, { "remote": "Leeds", "location": "LEEDS" }]);
        for system in [
            json!({ "name": SHOPIFY, "kind": "shopify", "url": shopify, "username": "client", "secret": "client-secret",
                "locations": places }),
            json!({ "name": WOO, "kind": "woocommerce", "url": woo, "username": "ck_emulated", "secret": "cs_emulated",
                "location": "LONDON" }),
            json!({ "name": CORNER, "kind": "shop", "url": corner, "secret": "demo-token", "location": "LONDON" }),
            json!({ "name": BERLIN, "kind": "protocol", "url": berlin, "secret": "demo-token", "location": "BERLIN",
                "role": "wms" }),
        ] {
            self.link.post("/v1/systems", &system).await?;
        }
        for shop in [WOO, CORNER] {
            let rule = json!({ "system": shop, "locations": PLACES });
            self.link.post("/v1/publication", &rule).await?;
        }
        for (path, body) in [
            ("/v1/systems/Berlin/mode", json!({ "direction": "one_way_in" })),
            ("/v1/ownership", json!({ "location": "BERLIN", "master": BERLIN })),
            ("/v1/systems/Berlin/orders", json!({ "gets_orders": "from_onhand" })),
            ("/v1/systems/Shopify/webhook", json!({ "base": own })),
            ("/v1/systems/WooCommerce/webhook", json!({ "base": own })),
        ] {
            self.link.post(path, &body).await?;
        }
        Ok(())
    }

    async fn does(&self, body: Body) -> anyhow::Result<()> {
        self.runtime.handle.submit(TENANT, ours(body)).await?;
        Ok(())
    }

    /// Goods come in.
    pub async fn receives(&self, location: &str, sku: &str, units: i64) -> anyhow::Result<()> {
        let lines = vec![line(sku, units)];
        let receive = Receive { location: location.to_owned(), lines, occurred_at: None, reason: None };
        self.does(Body::Receive(receive)).await
    }

    /// One thing happens somewhere: most often somebody buys.
    pub async fn goes_on(&mut self) -> anyhow::Result<()> {
        self.works_for_others();
        let nth = self.dice.index(self.items.len());
        let item = &self.items[nth];
        if Some(item.sku) == self.untouched || item.sku == "LAMP" {
            return Ok(());
        }
        let (sku, usual) = (item.sku, item.usual);
        match self.dice.roll(24) {
            0 => self.receives("LONDON", sku, usual / 3 + 1).await,
            1 => {
                let location = "LONDON".to_owned();
                let lines = vec![line(sku, -1)];
                let reason = "damaged".to_owned();
                // Refused where none is left: an answer too.
                self.does(Body::Adjust(command::Adjust { location, lines, occurred_at: None, reason })).await
            }
            2 => {
                // Sold over the counter, if there is one.
                self.does(Body::PlaceOrder(PlaceOrder { lines: vec![line(sku, 1)], ..Default::default() }))
                    .await
            }
            3 => {
                self.counts_in_berlin(nth);
                Ok(())
            }
            _ => {
                let quantity = 1 + i64::try_from(self.dice.roll(3))?;
                self.somebody_buys(sku, quantity);
                Ok(())
            }
        }
    }

    /// A customer of one of the shops wants so many; who finds it sold out goes away. Says whether it was sold.
    pub fn somebody_buys(&mut self, sku: &str, quantity: i64) -> bool {
        let shop = self.dice.index(SHOPS.len());
        let Some(item) = self.items.iter().find(|item| item.sku == sku) else { return false };
        match shop {
            0 => self.shopify.place_order(&[shopify::Buy { item: item.shopify, quantity }], None).is_ok(),
            1 => self.woo.place_order(&[woocommerce::Buy { product: item.woo, quantity }], None).is_ok(),
            _ => {
                let line = shop::Line { listing: item.corner.clone(), quantity };
                self.corner.place_order(&[line]).is_ok()
            }
        }
    }

    /// What neither we nor customers do: the warehouse ships, and somebody's program writes its number.
    pub fn works_for_others(&self) {
        for job in self.berlin.jobs().iter().filter(|job| !job.open().is_empty()) {
            self.berlin.ship_all(&job.asked.document);
        }
        if let Some((sku, number)) = self.other_program
            && self.corner_shows(sku) != Some(number)
        {
            self.edit_corner(sku, number);
        }
    }

    /// Somebody counts there, and finds one too few or one too many.
    fn counts_in_berlin(&mut self, nth: usize) {
        let off = if self.dice.roll(2) == 0 { -1 } else { 1 };
        let item = &self.items[nth];
        let lies = self.berlin.on_hand(&item.berlin).unwrap_or_default();
        if lies > 3 {
            self.berlin.stock(&item.berlin, item.sku, item.name, lies + off);
        }
    }

    fn listed(&self, sku: &str) -> Option<&Listed> {
        self.items.iter().find(|item| item.sku == sku)
    }

    /// What the corner shop sells of it.
    pub fn corner_shows(&self, sku: &str) -> Option<i64> {
        self.corner.stock_of(&self.listed(sku)?.corner)
    }

    /// Somebody changes that by hand.
    pub fn edit_corner(&self, sku: &str, number: i64) {
        if let Some(item) = self.listed(sku) {
            self.corner.edit(&item.corner, number);
        }
    }

    /// What each of [`SHOPS`] sells of an item.
    pub fn shown(&self, sku: &str) -> [i64; 3] {
        let Some(item) = self.listed(sku) else { return [0; 3] };
        let of = |place: &u64| self.shopify.available(item.shopify, *place).unwrap_or_default();
        [
            self.places.iter().map(of).sum(),
            self.woo.stock(item.woo).unwrap_or_default(),
            self.corner.stock_of(&item.corner).unwrap_or_default(),
        ]
    }

    /// What is available of an item at each of [`PLACES`].
    pub fn available(&self, sku: &str) -> Result<[i64; 3], StoreError> {
        self.runtime.handle.ledger().read(TENANT, |view| {
            let Some((id, _)) = view.item_by_sku(sku)? else { return Ok([0; 3]) };
            let mut all = [0; 3];
            for (units, location) in all.iter_mut().zip(&self.locations) {
                *units = view.held(id, *location, StockState::Available)?.whole_units();
            }
            Ok(all)
        })
    }

    /// Why each shop shows what it shows of an item.
    pub fn explained(&self, sku: &str) -> Result<Vec<Explained>, StoreError> {
        let all = self.runtime.handle.ledger().read(TENANT, |view| {
            let Some((id, _)) = view.item_by_sku(sku)? else { return Ok(Vec::new()) };
            explain_item(view, id)
        })?;
        Ok(all.into_iter().filter(|explained| SHOPS.contains(&explained.shown.system.as_str())).collect())
    }

    /// Units that could be oversold right now, by what Onhand knows.
    pub fn exposed(&self) -> Result<i64, StoreError> {
        self.runtime.handle.ledger().read(TENANT, |view| {
            let (rows, _) = exposure(view, ListingId(0), 1_000)?;
            Ok(rows.iter().map(|row| row.exposed).sum::<Quantity>().whole_units())
        })
    }

    /// How many listings there are, and how many show what they should.
    pub fn status(&self) -> Result<(usize, usize), StoreError> {
        let ledger = self.runtime.handle.ledger();
        ledger.read(TENANT, |view| {
            let mut sum = (0, 0);
            for (id, system) in view.systems()? {
                let status = system_status(view, ledger.seal(), id, &system)?;
                sum = (sum.0 + status.listings, sum.1 + status.in_step);
            }
            Ok(sum)
        })
    }

    /// Does every shop show what it should, and has Berlin what we think?
    pub fn is_equal(&self) -> Result<bool, StoreError> {
        let (listings, in_step) = self.status()?;
        Ok(listings == in_step && self.is_berlin_known()?)
    }

    fn is_berlin_known(&self) -> Result<bool, StoreError> {
        let Some(berlin) = self.locations.get(2).copied() else { return Ok(false) };
        self.runtime.handle.ledger().read(TENANT, |view| {
            for item in &self.items {
                let Some((id, _)) = view.item_by_sku(item.sku)? else { return Ok(false) };
                let known = view.held(id, berlin, StockState::Available)?
                    + view.held(id, berlin, StockState::Committed)?;
                if self.berlin.on_hand(&item.berlin) != Some(known.whole_units()) {
                    return Ok(false);
                }
            }
            Ok(true)
        })
    }

    /// What has come into the inbox since one of its matters, that one not included.
    pub fn discrepancies(
        &self,
        after: DiscrepancyId,
    ) -> Result<Vec<(DiscrepancyId, Discrepancy)>, StoreError> {
        let all = Which { cause: None, system: None, open: None };
        self.runtime.handle.ledger().read(TENANT, |view| view.discrepancies(all, after, 10_000))
    }

    /// A person says that a matter of the inbox is over.
    pub async fn resolve(&self, id: DiscrepancyId) -> anyhow::Result<Value> {
        self.link.call(Method::POST, &format!("/v1/discrepancies/{id}/resolve"), Some(&json!({}))).await
    }

    /// What each listing at each location of a shop sells from.
    pub fn offers(&self) -> BTreeMap<String, Offer> {
        let mut all = BTreeMap::new();
        for item in &self.items {
            let mut offer = |place: String, locations: &[LocationId]| {
                all.insert(place, Offer { sku: item.sku.to_owned(), locations: locations.to_vec() });
            };
            for (place, location) in self.places.iter().zip(&self.locations) {
                offer(shopify_place(item.shopify, *place), &[*location]);
            }
            offer(woo_place(item.woo), &self.locations);
            offer(item.corner.clone(), &self.locations);
        }
        all
    }

    /// All that happened to the shops' numbers, by their own records.
    pub fn changes(&self) -> Vec<Change> {
        let of_shopify = self.shopify.audit().into_iter().map(|event| {
            let seq = event.reference.rsplit('/').next().and_then(|seq| seq.parse().ok());
            let what = what(event.kind, event.change, seq);
            Change {
                at: event.at,
                place: shopify_place(event.item, event.location),
                what,
                after: event.after,
            }
        });
        let of_woo = self.woo.audit().into_iter().map(|event| {
            let what = what(event.kind, event.change, None);
            Change { at: event.at, place: woo_place(event.product), what, after: event.after }
        });
        let of_corner = self.corner.audit().into_iter().map(|event| match event {
            shop::Event::Set { at, listing, quantity, reference, .. } => {
                Change { at, place: listing, what: What::Set(Some(reference)), after: quantity }
            }
            shop::Event::Sale { at, listing, quantity, stock_after, .. } => {
                Change { at, place: listing, what: What::Sale(quantity), after: stock_after }
            }
            shop::Event::Cancel { at, listing, .. } => {
                Change { at, place: listing, what: What::Other, after: 0 }
            }
            shop::Event::Edit { at, listing, quantity, .. } => {
                Change { at, place: listing, what: What::Other, after: quantity }
            }
        });
        of_shopify.chain(of_woo).chain(of_corner).collect()
    }

    /// Ends everything.
    pub async fn close(self) -> anyhow::Result<()> {
        let Self { runtime, link, api, stop, mut servers, .. } = self;
        let _ = stop.send(true);
        // Nobody but us speaks with them for long.
        let all = async { while servers.join_next().await.is_some() {} };
        let _ = tokio::time::timeout(std::time::Duration::from_secs(1), all).await;
        servers.shutdown().await;
        drop(link);
        runtime.end_pages();
        if let Some(api) = api {
            api.close().await?;
        }
        runtime.stop().await
    }
}

fn shopify_place(item: u64, location: u64) -> String {
    format!("shopify/{item}/{location}")
}

fn woo_place(product: u64) -> String {
    format!("woocommerce/{product}")
}

fn what(kind: EventKind, change: i64, seq: Option<u64>) -> What {
    match kind {
        EventKind::Set => What::Set(seq),
        EventKind::Sale => What::Sale(-change),
        EventKind::Restock | EventKind::Edit => What::Other,
    }
}
