//! A worker that hears of orders: by messages, by reading what no message spoke of, and stopped anywhere.

#[path = "support/kept.rs"]
mod kept;

#[path = "support/shop.rs"]
#[expect(dead_code, reason = "the examples use the rest")]
mod shop;

use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, Waker};

use kept::Kept::{self, File, Memory, Postgres};
use kept::Place;
use onhand_channels::webhook::WebhookScheme;
use onhand_channels::{
    Channel, ChannelError, Discovery, Meaning, OrderPage, Push, Pushed, Reading, RemoteOrder, RemoteOrderLine,
};
use onhand_engine::hooks::{Heard, hear};
use onhand_engine::systems::{STATUS, WorkerStatus};
use onhand_engine::worker::{Pace, Worker};
use onhand_engine::{Handle, Ledger, ManualClock, Queue, queue};
use onhand_ledger::command::{PutItem, PutListing, PutLocation, PutSystem, Receive};
use onhand_ledger::model::{Cause, Discrepancy};
use onhand_ledger::{
    Answer, Body, Command, DiscrepancyId, Instant, Key, Quantity, Seq, StockState, SystemId, TenantId, Value,
};
use parking_lot::Mutex;
use rstest::rstest;
use shop::{time, units};

const TENANT: TenantId = TenantId::DEFAULT;
/// So many orders are told at a time.
const PAGE: usize = 2;

/// Sells one listing. Its orders are told in the order of their changes.
#[derive(Default)]
struct Till {
    orders: Mutex<Vec<RemoteOrder>>,
    asked: AtomicUsize,
}

impl Till {
    fn sell(&self, quantity: i64, at: Instant) {
        let mut orders = self.orders.lock();
        let version = orders.len() as u64 + 1;
        let line = RemoteOrderLine {
            line: "1".to_owned(),
            listing: "1".to_owned(),
            quantity: Quantity::units(quantity),
            shipped: Quantity::ZERO,
            returned: Quantity::ZERO,
            withheld: Quantity::ZERO,
            places: Vec::new(),
        };
        orders.push(RemoteOrder {
            raw: None,
            document: format!("{}", 1_000 + version),
            version,
            placed_at: at,
            updated_at: at,
            moved_at: at,
            history: false,
            cancelled: false,
            lines: vec![line],
        });
    }
}

#[async_trait::async_trait]
impl Channel for Till {
    fn meaning(&self) -> Meaning {
        Meaning::SellableNetOfOwnOrders
    }

    fn batch_size(&self) -> usize {
        10
    }

    fn webhook(&self) -> Option<WebhookScheme> {
        Some(WebhookScheme::SecretPath)
    }

    async fn discover(&self) -> Result<Discovery, ChannelError> {
        Ok(Discovery::default())
    }

    async fn read(&self, listings: &[String]) -> Result<Vec<Reading>, ChannelError> {
        let sold: Quantity = self.orders.lock().iter().map(|order| order.lines[0].quantity).sum();
        let reading = |listing: &String| Reading {
            listing: listing.clone(),
            location: "here".to_owned(),
            quantity: Quantity::units(100) - sold,
            on_hand: None,
            allocated: None,
            tracked: true,
        };
        Ok(listings.iter().map(reading).collect())
    }

    async fn push(&self, pushes: &[Push]) -> Result<Vec<Pushed>, ChannelError> {
        Ok(pushes.iter().map(|_| Pushed::Acknowledged).collect())
    }

    async fn orders(&self, cursor: Option<&str>) -> Result<OrderPage, ChannelError> {
        self.asked.fetch_add(1, Ordering::SeqCst);
        let since: u64 = cursor.map_or(0, |cursor| cursor.parse().unwrap());
        let mut orders = self.orders.lock().clone();
        orders.retain(|order| order.version > since);
        let more = orders.len() > PAGE;
        orders.truncate(PAGE);
        let cursor = orders.last().map_or(since, |order| order.version).to_string();
        Ok(OrderPage { orders, cursor, more })
    }
}

struct House {
    handle: Handle,
    clock: Arc<ManualClock>,
    till: Arc<Till>,
    system: SystemId,
    _place: Place,
}

/// What waits for the committer alone, with a turn of it each time that it waits.
fn drive<T>(queue: &mut Queue, future: impl Future<Output = T>) -> T {
    let mut future = pin!(future);
    let mut context = Context::from_waker(Waker::noop());
    loop {
        match future.as_mut().poll(&mut context) {
            Poll::Ready(done) => return done,
            Poll::Pending => queue.turn(),
        }
    }
}

impl House {
    /// With a committer that works by itself.
    fn open(kept: Kept) -> Self {
        let (house, waiting) = Self::still(kept);
        std::thread::spawn(move || waiting.run());
        house
    }

    /// With a committer that works when it is told to.
    fn still(kept: Kept) -> (Self, Queue) {
        let clock = Arc::new(ManualClock::at(time("10:00")));
        let place = kept.place();
        let ledger = Ledger::open(place.store(), clock.clone(), place.options()).unwrap();
        let ledger = Arc::new(ledger);
        let (handle, mut waiting) = queue(ledger);
        let mut system = SystemId(0);
        for body in [
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
            Body::Receive(Receive {
                location: "LONDON".to_owned(),
                lines: units("MUG", 100),
                occurred_at: None,
                reason: None,
            }),
        ] {
            let command = Command { key: None, fingerprint: 0, actor: "test".to_owned(), body };
            if let Answer::System(made) = drive(&mut waiting, handle.submit(TENANT, command)).unwrap().answer
            {
                system = made;
            }
        }
        (Self { handle, clock, till: Arc::default(), system, _place: place }, waiting)
    }

    /// A worker, as it was left.
    fn worker(&self) -> Worker {
        let known = self.handle.ledger().read(TENANT, |view| view.system(self.system)).unwrap().unwrap();
        let pace = Pace {
            orders_ms: 3_600_000,
            read_back_ms: 3_600_000,
            reconcile_ms: 36_000_000,
            ..Pace::default()
        };
        Worker::new(self.handle.clone(), TENANT, self.system, known, self.till.clone(), pace).unwrap()
    }

    fn at(&self, now: &str) -> &Self {
        self.clock.set(time(now));
        self
    }

    fn status(&self) -> WorkerStatus {
        let note = self.handle.ledger().read(TENANT, |view| view.note(STATUS, &self.system.to_string()));
        note.unwrap().map(|body| serde_json::from_str(&body).unwrap()).unwrap_or_default()
    }

    fn committed(&self) -> i64 {
        let held = self.handle.ledger().read(TENANT, |view| {
            let (item, _) = view.item_by_sku("MUG")?.expect("the item is there");
            let (london, _) = view.location_by_code("LONDON")?.expect("London is there");
            view.held(item, london, StockState::Committed)
        });
        held.unwrap().whole_units()
    }

    /// Is the document of an order applied?
    fn is_applied(&self, document: &str) -> bool {
        let key = Key::Document(self.system, document.to_owned());
        self.handle.ledger().read(TENANT, |view| view.get(&key)).unwrap().is_some()
    }

    fn waiting(&self) -> usize {
        let space = format!("hook_event:{}", self.system);
        self.handle.ledger().read(TENANT, |view| view.notes(&space, None, 100)).unwrap().len()
    }

    fn missed(&self) -> Vec<Discrepancy> {
        let (from, to) = (Key::Discrepancy(DiscrepancyId(0)), Key::Discrepancy(DiscrepancyId(Seq::MAX >> 1)));
        let found = self.handle.ledger().read(TENANT, |view| view.range(&from, &to, false, 1_000)).unwrap();
        let told = found.into_iter().filter_map(|(_, value)| match value {
            Value::Discrepancy(told) if told.cause == Cause::MissedEvent => Some(*told),
            _ => None,
        });
        told.collect()
    }
}

#[rstest]
#[tokio::test(flavor = "multi_thread")]
async fn a_message_has_the_orders_read_at_once_and_copies_change_nothing(
    #[values(Memory, File, Postgres)] kept: Kept,
) {
    let house = House::open(kept);
    let mut worker = house.worker();
    worker.step().await;
    house.at("10:01").till.sell(2, time("10:01"));
    worker.step().await;
    assert_eq!(house.committed(), 0, "its time has not come");
    for _ in 0..3 {
        let heard = hear(&house.handle, TENANT, house.system, "e1").await.unwrap();
        assert!(heard != Heard::Full);
    }
    assert_eq!(house.waiting(), 1);
    worker.step().await;
    assert_eq!((house.committed(), house.waiting()), (2, 0));
    assert_eq!((house.status().hooks.read, house.status().hooks.heard_at), (1, Some(time("10:01"))));
    // The same again, and one of long ago: read again, and nothing new.
    let head = house.handle.ledger().read(TENANT, |view| Ok(view.seq())).unwrap();
    for event in ["e1", "e0"] {
        hear(&house.handle, TENANT, house.system, event).await.unwrap();
    }
    worker.step().await;
    assert_eq!((house.committed(), house.waiting()), (2, 0));
    assert_eq!(house.handle.ledger().read(TENANT, |view| Ok(view.seq())).unwrap(), head);
}

#[rstest]
#[tokio::test(flavor = "multi_thread")]
async fn what_no_message_spoke_of_is_told_once_and_is_over_when_they_come_again(
    #[values(Memory, File, Postgres)] kept: Kept,
) {
    let house = House::open(kept);
    let mut worker = house.worker();
    let step = async |worker: &mut Worker, now: &str| {
        house.at(now);
        house.handle.ledger().hint(TENANT, house.system);
        worker.step().await;
    };
    hear(&house.handle, TENANT, house.system, "e1").await.unwrap();
    step(&mut worker, "10:00:10").await;
    house.till.sell(2, time("10:01"));
    step(&mut worker, "10:01:30").await;
    assert_eq!((house.committed(), house.missed().len()), (2, 0), "it may still come");
    step(&mut worker, "10:02:31").await;
    let missed = house.missed();
    assert_eq!(missed.len(), 1);
    assert!(
        missed[0].sentence.starts_with(
            "SHOP sold 2 at 2026-11-23T10:01:00Z (order 1001) and its message never came; found by reading its orders \
             at 2026-11-23T10:01:30Z."
        ),
        "{}",
        missed[0].sentence
    );
    // More of the same is the same trouble.
    house.till.sell(1, time("10:03"));
    step(&mut worker, "10:03:30").await;
    step(&mut worker, "10:05").await;
    assert_eq!(house.missed().len(), 1);
    hear(&house.handle, TENANT, house.system, "e2").await.unwrap();
    step(&mut worker, "10:06").await;
    assert!(house.missed()[0].resolved_at.is_some());
    // What a message spoke of is not missed.
    house.till.sell(1, time("10:07"));
    house.at("10:07:02");
    hear(&house.handle, TENANT, house.system, "e3").await.unwrap();
    step(&mut worker, "10:07:03").await;
    step(&mut worker, "10:10").await;
    assert_eq!(house.missed().len(), 1);
}

/// Stopped at each place where it waits for something, it goes on with nothing lost and nothing twice; and the place to go
/// on from is never ahead of what is applied.
#[rstest]
fn a_worker_that_is_stopped_anywhere_reads_on_from_what_is_applied(
    #[values(Memory, File, Postgres)] kept: Kept,
) {
    let mut places = 0;
    for stop_at in 1..200 {
        let (house, mut waiting) = House::still(kept);
        drive(&mut waiting, house.worker().step());
        for _ in 0..5 {
            house.till.sell(1, time("10:01"));
        }
        house.at("10:02");
        let mut worker = house.worker();
        let ended = {
            let mut step = pin!(worker.step());
            let mut context = Context::from_waker(Waker::noop());
            let mut waited = 0;
            loop {
                if step.as_mut().poll(&mut context) != Poll::Pending {
                    break true;
                }
                waited += 1;
                if waited == stop_at {
                    // What was handed in is committed all the same.
                    waiting.turn();
                    break false;
                }
                waiting.turn();
            }
        };
        drop(worker);
        let cursor: u64 = house.status().cursor.map_or(0, |cursor| cursor.parse().unwrap());
        for version in 1..=cursor {
            assert!(house.is_applied(&format!("{}", 1_000 + version)), "{version} of {cursor}, {stop_at}");
        }
        house.at("10:03");
        drive(&mut waiting, house.worker().step());
        assert_eq!((house.committed(), house.status().cursor.as_deref()), (5, Some("5")), "{stop_at}");
        if ended {
            places = stop_at;
            break;
        }
    }
    assert!(places > 2, "it waits several times: {places}");
}
