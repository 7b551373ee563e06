//! A system that shows what it is told, and a worker that tells it.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use onhand_channels::{Channel, ChannelError, Discovery, Meaning, OrderPage, Push, Pushed, Reading};
use onhand_engine::worker::{Pace, Worker};
use onhand_engine::{Handle, Ledger, ManualClock, Options, queue};
use onhand_ledger::command::{PutItem, PutListing, PutLocation, PutSystem, Receive};
use onhand_ledger::{Answer, Body, Command, Instant, Quantity, SystemId, TenantId};
use onhand_store::MemoryStore;

use crate::shop::{time, units};

const TENANT: TenantId = TenantId::DEFAULT;

/// What it shows, by listing, at its one location `here`; and every push it ever got.
#[derive(Default)]
pub struct Mirror {
    pub shows: Mutex<BTreeMap<String, i64>>,
    pub pushed: Mutex<Vec<(String, i64)>>,
}

#[async_trait::async_trait]
impl Channel for Mirror {
    fn meaning(&self) -> Meaning {
        Meaning::Shown
    }

    fn batch_size(&self) -> usize {
        10
    }

    async fn discover(&self) -> Result<Discovery, ChannelError> {
        Ok(Discovery { listings: Vec::new(), locations: Vec::new() })
    }

    async fn read(&self, listings: &[String]) -> Result<Vec<Reading>, ChannelError> {
        let shows = self.shows.lock().unwrap();
        let reading = |listing: &String| Reading {
            listing: listing.clone(),
            location: "here".to_owned(),
            quantity: Quantity::units(shows.get(listing).copied().unwrap_or(0)),
            on_hand: None,
            allocated: None,
            tracked: true,
        };
        Ok(listings.iter().map(reading).collect())
    }

    async fn push(&self, pushes: &[Push]) -> Result<Vec<Pushed>, ChannelError> {
        for push in pushes {
            let quantity = push.quantity.whole_units();
            self.shows.lock().unwrap().insert(push.listing.clone(), quantity);
            self.pushed.lock().unwrap().push((push.listing.clone(), quantity));
        }
        Ok(pushes.iter().map(|_| Pushed::Acknowledged).collect())
    }

    async fn orders(&self, _cursor: Option<&str>) -> Result<OrderPage, ChannelError> {
        Ok(OrderPage { orders: Vec::new(), cursor: "1".to_owned(), more: false })
    }
}

/// A ledger with one such system, `SHOP`, whose location `here` is our `LONDON`, and its worker.
pub struct Mirrored {
    pub handle: Handle,
    pub clock: Arc<ManualClock>,
    pub mirror: Arc<Mirror>,
    pub worker: Worker,
}

impl Mirrored {
    /// At 10:00, with so many of these items, each in a listing of its name.
    pub async fn with(stock: &[(&str, i64)]) -> Self {
        let clock = Arc::new(ManualClock::at(time("10:00")));
        let ledger = Ledger::open(Box::<MemoryStore>::default(), clock.clone(), Options::default()).unwrap();
        let (handle, waiting) = queue(Arc::new(ledger));
        std::thread::spawn(move || waiting.run());
        let mirror = Arc::new(Mirror::default());
        let location = Body::PutLocation(PutLocation { code: "LONDON".to_owned(), ..PutLocation::default() });
        let system = Body::PutSystem(PutSystem {
            name: "SHOP".to_owned(),
            kind: "test".to_owned(),
            locations: Some(vec![("here".to_owned(), "LONDON".to_owned())]),
            ..PutSystem::default()
        });
        tell(&handle, location).await;
        let Answer::System(id) = tell(&handle, system).await else { panic!("a system") };
        for (sku, quantity) in stock {
            tell(&handle, Body::PutItem(PutItem { sku: (*sku).to_owned(), ..PutItem::default() })).await;
            let listing = PutListing {
                system: "SHOP".to_owned(),
                remote_id: (*sku).to_owned(),
                remote_sku: None,
                sku: Some((*sku).to_owned()),
                multiplier: 1,
                found: false,
            };
            tell(&handle, Body::PutListing(listing)).await;
            if *quantity > 0 {
                receive(&handle, sku, *quantity).await;
            }
        }
        let system = handle.ledger().read(TENANT, |view| view.system(id)).unwrap().unwrap();
        let worker =
            Worker::new(handle.clone(), TENANT, id, system, mirror.clone(), Pace::default()).unwrap();
        let mut mirrored = Self { handle, clock, mirror, worker };
        mirrored.settle().await;
        mirrored
    }

    pub async fn tell(&self, body: Body) -> Answer {
        tell(&self.handle, body).await
    }

    /// Lets the worker do what is due until it has nothing more to do for a second; the clock moves on by that.
    pub async fn settle(&mut self) {
        let end = self.clock_now().plus_seconds(1);
        while self.clock_now() < end {
            let next = self.worker.step().await;
            self.clock.set(next.max(self.clock_now().plus_micros(1_000)).min(end));
        }
    }

    /// Lets the time pass and the worker do what is due, with nobody else calling.
    pub async fn until(&mut self, end: Instant) {
        while self.clock_now() < end {
            let next = self.worker.step().await;
            self.clock.set(next.max(self.clock_now().plus_micros(1_000)).min(end));
        }
        self.settle().await;
    }

    pub fn shows(&self, listing: &str) -> i64 {
        self.mirror.shows.lock().unwrap().get(listing).copied().unwrap_or(0)
    }

    fn clock_now(&self) -> Instant {
        self.handle.ledger().clock().now()
    }
}

/// The system `SHOP` of a ledger.
pub fn shop_of(ledger: &Ledger) -> SystemId {
    ledger.read(TENANT, |view| Ok(view.system_by_name("SHOP")?.expect("it is there").0)).unwrap()
}

async fn tell(handle: &Handle, body: Body) -> Answer {
    let command = Command { key: None, fingerprint: 0, actor: "Ada".to_owned(), body };
    handle.submit(TENANT, command).await.unwrap().answer
}

async fn receive(handle: &Handle, sku: &str, quantity: i64) {
    let lines = units(sku, quantity);
    let (location, occurred_at, reason) = ("LONDON".to_owned(), None, None);
    tell(handle, Body::Receive(Receive { location, lines, occurred_at, reason })).await;
}
