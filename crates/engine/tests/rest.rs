//! A worker among failures and floods.

#[path = "support/kept.rs"]
mod kept;

#[path = "support/shop.rs"]
#[expect(dead_code, reason = "the examples use the rest")]
mod shop;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use kept::Kept::{self, File, Memory, Postgres};
use kept::Place;
use onhand_channels::{
    Channel, ChannelError, Discovery, Meaning, OrderPage, Push, Pushed, Reading, RemoteListing,
};
use onhand_engine::explain::{Explained, explain_item, exposure};
use onhand_engine::worker::{Pace, Worker};
use onhand_engine::{Clock, Handle, Ledger, ManualClock, View, queue};
use onhand_ledger::command::{Adjust, Line, PutItem, PutListing, PutLocation, PutSystem, Receive};
use onhand_ledger::model::System;
use onhand_ledger::{Answer, Body, Command, ListingId, Quantity, SystemId, TenantId};
use onhand_store::StoreError;
use onhand_sync::Standing;
use rstest::rstest;
use shop::{time, units};

const TENANT: TenantId = TenantId::DEFAULT;

/// One listing. Says that it is asked too often, or changes our stock with each push.
struct Fake {
    handle: Handle,
    clock: Arc<ManualClock>,
    throttles: bool,
    pushes: AtomicUsize,
    asked: AtomicUsize,
}

fn command(body: Body) -> Command {
    Command { key: None, fingerprint: 0, actor: "test".to_owned(), body }
}

fn receive() -> Command {
    command(Body::Receive(Receive {
        location: "LONDON".to_owned(),
        lines: units("MUG", 1),
        occurred_at: None,
        reason: None,
    }))
}

#[async_trait::async_trait]
impl Channel for Fake {
    fn meaning(&self) -> Meaning {
        Meaning::Shown
    }

    fn batch_size(&self) -> usize {
        10
    }

    async fn discover(&self) -> Result<Discovery, ChannelError> {
        let listing = RemoteListing {
            remote_id: "1".to_owned(),
            sku: None,
            name: String::new(),
            barcode: None,
            tracked: true,
        };
        Ok(Discovery { listings: vec![listing], locations: Vec::new() })
    }

    async fn read(&self, listings: &[String]) -> Result<Vec<Reading>, ChannelError> {
        let reading = |listing: &String| Reading {
            listing: listing.clone(),
            location: "here".to_owned(),
            quantity: Quantity::ZERO,
            on_hand: None,
            allocated: None,
            tracked: true,
        };
        Ok(listings.iter().map(reading).collect())
    }

    async fn push(&self, pushes: &[Push]) -> Result<Vec<Pushed>, ChannelError> {
        self.pushes.fetch_add(1, Ordering::SeqCst);
        let now = self.handle.ledger().clock().now();
        self.clock.set(now.plus_micros(100_000));
        self.handle.submit(TENANT, receive()).await.unwrap();
        Ok(pushes.iter().map(|_| Pushed::Acknowledged).collect())
    }

    async fn orders(&self, _cursor: Option<&str>) -> Result<OrderPage, ChannelError> {
        self.asked.fetch_add(1, Ordering::SeqCst);
        if self.throttles {
            let system = "SHOP".to_owned();
            return Err(ChannelError::Throttled { system, retry_after_seconds: Some(60) });
        }
        Ok(OrderPage { orders: Vec::new(), cursor: "1".to_owned(), more: false })
    }
}

async fn worker(place: &Place, throttles: bool) -> (Worker, Arc<Fake>) {
    let clock = Arc::new(ManualClock::at(time("10:00")));
    let ledger = Ledger::open(place.store(), clock.clone(), place.options()).unwrap();
    let (handle, waiting) = queue(Arc::new(ledger));
    std::thread::spawn(move || waiting.run());
    let bodies = [
        Body::PutItem(PutItem { sku: "MUG".to_owned(), ..PutItem::default() }),
        Body::PutLocation(PutLocation { code: "LONDON".to_owned(), ..PutLocation::default() }),
        Body::PutSystem(PutSystem {
            name: "SHOP".to_owned(),
            kind: "test".to_owned(),
            locations: Some(vec![("here".to_owned(), "LONDON".to_owned())]),
            ..PutSystem::default()
        }),
        Body::PutListing(PutListing {
            system: "SHOP".to_owned(),
            remote_id: "1".to_owned(),
            remote_sku: None,
            sku: Some("MUG".to_owned()),
            multiplier: 1,
            found: false,
        }),
    ];
    let mut id = SystemId(0);
    for body in bodies {
        if let Answer::System(made) = handle.submit(TENANT, command(body)).await.unwrap().answer {
            id = made;
        }
    }
    let system: System = handle.ledger().read(TENANT, |view| view.system(id)).unwrap().unwrap();
    let (pushes, asked) = (AtomicUsize::new(0), AtomicUsize::new(0));
    let fake = Arc::new(Fake { handle: handle.clone(), clock, throttles, pushes, asked });
    let worker = Worker::new(handle, TENANT, id, system, fake.clone(), Pace::default()).unwrap();
    (worker, fake)
}

#[rstest]
#[tokio::test(flavor = "multi_thread")]
async fn a_system_that_asks_us_to_wait_is_left_alone_whatever_the_feed_brings(
    #[values(Memory, File, Postgres)] kept: Kept,
) {
    let place = kept.place();
    let (mut worker, fake) = worker(&place, true).await;
    for _ in 0..20 {
        fake.handle.submit(TENANT, receive()).await.unwrap();
        worker.step().await;
    }
    assert_eq!(fake.asked.load(Ordering::SeqCst), 1);
    fake.clock.set(time("10:01:01"));
    worker.step().await;
    assert_eq!(fake.asked.load(Ordering::SeqCst), 2);
}

#[rstest]
#[tokio::test(flavor = "multi_thread")]
async fn orders_are_heard_of_while_stock_never_stands_still(#[values(Memory, File, Postgres)] kept: Kept) {
    let place = kept.place();
    let (mut worker, fake) = worker(&place, false).await;
    worker.step().await;
    fake.handle.submit(TENANT, receive()).await.unwrap();
    let before = fake.asked.load(Ordering::SeqCst);
    let done = tokio::time::timeout(Duration::from_secs(5), async {
        for _ in 0..3 {
            worker.step().await;
        }
    });
    done.await.expect("a step ends");
    assert!(fake.asked.load(Ordering::SeqCst) > before);
    assert!(fake.pushes.load(Ordering::SeqCst) > 3, "and it still pushes");
}

#[rstest]
#[tokio::test(flavor = "multi_thread")]
async fn each_number_is_explained_from_the_stock_to_what_was_sent(
    #[values(Memory, File, Postgres)] kept: Kept,
) {
    let place = kept.place();
    let (mut worker, fake) = worker(&place, false).await;
    worker.step().await;
    fake.handle.submit(TENANT, receive()).await.unwrap();
    worker.step().await;
    let ledger = fake.handle.ledger();
    let explained = ledger.read(TENANT, explain_of_mug).unwrap();
    let [one] = explained.as_slice() else { panic!("{explained:#?}") };
    let sent = one.chain.sent.expect("something was sent");
    assert!(sent.acknowledged_at.is_some_and(|at| at > sent.at) && !sent.by_reading, "{sent:?}");
    // Each push of this fake brings one more unit, which was not sent yet.
    assert_eq!(one.chain.available, sent.quantity + Quantity::ONE);
    assert_eq!((one.chain.stock.len(), one.chain.stock[0].location.as_str()), (1, "LONDON"));
    let told: Vec<&str> = one.chain.between.iter().map(|between| between.sentence.as_str()).collect();
    assert_eq!(told, ["+1 available at LONDON: received, by test."]);
    assert_eq!((one.standing, one.exposed), (Standing::OnItsWay, Quantity::ZERO));

    // All of it is lost: what is still offered can be oversold.
    let gone = Adjust {
        location: "LONDON".to_owned(),
        lines: vec![Line {
            sku: "MUG".to_owned(),
            quantity: -one.chain.available,
            ..units("MUG", 1).remove(0)
        }],
        reason: "shrinkage".to_owned(),
        occurred_at: None,
    };
    fake.handle.submit(TENANT, command(Body::Adjust(gone))).await.unwrap();
    let (exposed, next) = ledger.read(TENANT, |view| exposure(view, ListingId(0), 10)).unwrap();
    let found: Vec<_> = exposed.iter().map(|one| (one.sku.as_str(), one.shows, one.exposed)).collect();
    assert_eq!((found, next), (vec![("MUG", sent.quantity, sent.quantity)], None));
    assert_eq!(exposed[0].for_millis, None, "too few pushes to say what is usual");
    fake.clock.set(fake.clock.now().plus_seconds(61));
    let later = ledger.read(TENANT, explain_of_mug).unwrap();
    assert_eq!(later[0].standing, Standing::Behind);
}

fn explain_of_mug(view: &mut View<'_>) -> Result<Vec<Explained>, StoreError> {
    let (mug, _) = view.item_by_sku("MUG")?.expect("it was made");
    explain_item(view, mug)
}
