//! What a shop is told of its orders that are shipped here or by a warehouse; and webhooks that it had ended.

#[expect(dead_code, reason = "others use more of it")]
#[path = "support/yard.rs"]
mod yard;

use std::sync::Arc;

use onhand_channels::webhook::WebhookScheme;
use onhand_channels::{
    Channel, ChannelError, Discovery, Meaning, OrderPage, Parcel, ParcelTold, Push, Pushed, Reading,
};
use onhand_engine::worker::{Pace, Worker};
use onhand_engine::{Options, hooks};
use onhand_ledger::command::{
    Content, Document, Name, OrderContent, OrderContentLine, PutItem, PutListing, ShipmentContent,
    ShipmentLine,
};
use onhand_ledger::{Body, Quantity};
use onhand_store::MemoryStore;
use parking_lot::Mutex;
use yard::{TENANT, Yard};

/// What goes wrong with the next call.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
enum Fault {
    #[default]
    None,
    /// It has arrived, and its answer is lost.
    Lost,
    Down,
    Forbidden,
    Refused,
}

/// A shop that is told of parcels.
#[derive(Default)]
struct Shop {
    told: Mutex<Vec<Parcel>>,
    calls: Mutex<usize>,
    fault: Mutex<Fault>,
    /// Webhooks that it has ended.
    ended: Mutex<Vec<String>>,
}

impl Shop {
    /// Number and units of each parcel that it has.
    fn has(&self) -> Vec<(Option<String>, i64)> {
        let units = |parcel: &Parcel| parcel.lines.iter().map(|line| line.quantity.whole_units()).sum();
        self.told.lock().iter().map(|parcel| (parcel.number.clone(), units(parcel))).collect()
    }
}

#[async_trait::async_trait]
impl Channel for Shop {
    fn meaning(&self) -> Meaning {
        Meaning::SellableNetOfOwnOrders
    }

    fn batch_size(&self) -> usize {
        10
    }

    async fn discover(&self) -> Result<Discovery, ChannelError> {
        Ok(Discovery::default())
    }

    async fn read(&self, _: &[String]) -> Result<Vec<Reading>, ChannelError> {
        Ok(Vec::new())
    }

    async fn push(&self, _: &[Push]) -> Result<Vec<Pushed>, ChannelError> {
        Ok(Vec::new())
    }

    async fn orders(&self, cursor: Option<&str>) -> Result<OrderPage, ChannelError> {
        Ok(OrderPage { orders: Vec::new(), cursor: cursor.unwrap_or("0").to_owned(), more: false })
    }

    fn webhook(&self) -> Option<WebhookScheme> {
        Some(WebhookScheme::SecretPath)
    }

    async fn revive_webhooks(&self) -> Result<Vec<String>, ChannelError> {
        Ok(std::mem::take(&mut *self.ended.lock()))
    }

    fn marks_shipped(&self) -> bool {
        true
    }

    async fn mark_shipped(&self, parcel: &Parcel) -> Result<ParcelTold, ChannelError> {
        *self.calls.lock() += 1;
        let (system, reason) = ("SHOP".to_owned(), "it says so".to_owned());
        let fault = std::mem::take(&mut *self.fault.lock());
        match fault {
            Fault::Down => return Err(ChannelError::Unreachable { system, reason }),
            Fault::Forbidden => return Err(ChannelError::Credentials { system, reason }),
            Fault::Refused => return Ok(ParcelTold::Refused { reason }),
            Fault::None | Fault::Lost => {}
        }
        let mut told = self.told.lock();
        if !told.iter().any(|known| known.document == parcel.document && known.name == parcel.name) {
            told.push(parcel.clone());
        }
        Ok(if fault == Fault::Lost { ParcelTold::Unknown { reason } } else { ParcelTold::Told })
    }
}

struct It {
    yard: Yard,
    shop: Arc<Shop>,
    worker: Worker,
}

async fn it() -> It {
    let yard = Yard::over(Box::new(MemoryStore::default()), Options::default(), 10, 10).await;
    let shop = Arc::new(Shop::default());
    let worker = worker(&yard, &shop);
    let mut it = It { yard, shop, worker };
    it.work().await;
    it
}

fn worker(yard: &Yard, shop: &Arc<Shop>) -> Worker {
    let found = yard.handle.ledger().read(TENANT, |view| view.system_by_name("SHOP"));
    let (id, system) = found.unwrap().unwrap();
    Worker::new(yard.handle.clone(), TENANT, id, system, shop.clone(), Pace::default()).unwrap()
}

impl It {
    /// Both work for two seconds.
    async fn work(&mut self) {
        for _ in 0..4 {
            self.yard.work().await;
            self.worker.step().await;
            let now = onhand_engine::Clock::now(&*self.yard.clock);
            self.yard.clock.set(now.plus_micros(500_000));
        }
    }

    async fn later(&mut self, seconds: i64) {
        let now = onhand_engine::Clock::now(&*self.yard.clock);
        self.yard.clock.set(now.plus_seconds(seconds));
        self.work().await;
    }

    /// Another process goes on.
    fn again(&mut self) {
        self.worker = worker(&self.yard, &self.shop);
    }

    /// The warehouse ships so much of the only document that is open.
    fn ship(&self, units: i64) {
        let (name, lines) = self.yard.warehouse.open().remove(0);
        self.yard.warehouse.ship(&name, &lines[0].0, units);
    }

    /// Somebody here ships so much of an order.
    async fn ship_here(&self, order: &str, document: &str, units: i64) {
        let line =
            ShipmentLine { item: Name::Sku("MUG".to_owned()), quantity: Quantity::units(units), lot: None };
        let content = ShipmentContent {
            order: Some(order.to_owned()),
            order_system: Some("SHOP".to_owned()),
            location: "PARIS".to_owned(),
            occurred_at: None,
            lines: vec![line],
        };
        let (system, document) = ("SHOP".to_owned(), document.to_owned());
        let content = Content::Shipment(content);
        self.yard.tell(Body::Record(Document { system, document, version: 1, content })).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn each_parcel_of_a_warehouse_is_told_once_with_its_number() {
    let mut it = it().await;
    it.yard.order("1044", 3).await;
    it.work().await;
    assert_eq!(it.shop.has(), []);
    it.ship(1);
    it.work().await;
    assert_eq!(it.shop.has(), [(Some("T1".to_owned()), 1)]);
    assert_eq!(it.shop.told.lock()[0].carrier.as_deref(), Some("Post"));
    it.ship(2);
    it.work().await;
    it.later(300).await;
    it.again();
    it.later(300).await;
    assert_eq!(it.shop.has(), [(Some("T1".to_owned()), 1), (Some("T2".to_owned()), 2)]);
    assert_eq!(*it.shop.calls.lock(), 2, "nothing more was to be said");
    assert_eq!(it.yard.open(), []);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_shipped_here_is_told_as_it_is() {
    let mut it = it().await;
    it.yard.order("1044", 13).await;
    it.work().await;
    it.ship_here("1044", "a", 1).await;
    it.work().await;
    it.ship_here("1044", "b", 1).await;
    it.work().await;
    assert_eq!(it.shop.has(), [(None, 1), (None, 1)]);
    it.ship(5);
    it.work().await;
    assert_eq!(it.shop.has(), [(None, 1), (None, 1), (Some("T1".to_owned()), 5)]);
}

/// It sells single ones and packs of six, and since the order was taken the pack is one of another item.
#[tokio::test(flavor = "multi_thread")]
async fn what_it_sold_in_packs_is_told_in_packs() {
    for is_linked_otherwise in [false, true] {
        let mut it = it().await;
        it.yard.tell(Body::PutItem(PutItem { sku: "CUP".to_owned(), ..PutItem::default() })).await;
        let listing = |remote_id: &str, sku: &str, multiplier| {
            let (system, remote_id, sku) = ("SHOP".to_owned(), remote_id.to_owned(), Some(sku.to_owned()));
            Body::PutListing(PutListing {
                system,
                remote_id,
                remote_sku: None,
                sku,
                multiplier,
                found: false,
            })
        };
        it.yard.tell(listing("ONE", "MUG", 1)).await;
        it.yard.tell(listing("SIX", "MUG", 6)).await;
        let line = |line: &str, listing: &str, quantity| OrderContentLine {
            line: line.to_owned(),
            item: Name::Listing(listing.to_owned()),
            quantity: Quantity::units(quantity),
            shipped: Quantity::ZERO,
            returned: Quantity::ZERO,
            location: None,
            price: None,
        };
        let lines = vec![line("1", "SIX", 3), line("2", "ONE", 1)];
        let (system, document) = ("SHOP".to_owned(), "1044".to_owned());
        let content = Content::Order(OrderContent { lines, ..OrderContent::default() });
        it.yard.tell(Body::Record(Document { system, document, version: 1, content })).await;
        if is_linked_otherwise {
            it.yard.tell(listing("SIX", "CUP", 4)).await;
        }
        it.work().await;
        it.ship_here("1044", "a", 6).await;
        it.work().await;
        let told = it.shop.told.lock().clone();
        let lines: Vec<(&str, i64)> = told
            .iter()
            .flat_map(|parcel| &parcel.lines)
            .map(|line| (line.line.as_str(), line.quantity.whole_units()))
            .collect();
        assert_eq!(lines, [("1", 1)], "{is_linked_otherwise}");
        // Packs that leave in parts are told once they are whole.
        for (document, pieces) in [("b", 4), ("c", 4)] {
            it.ship_here("1044", document, pieces).await;
            it.work().await;
        }
        it.later(300).await;
        let told: i64 = it.shop.has().iter().map(|(_, packs)| packs).sum();
        assert_eq!(told, 2, "{is_linked_otherwise}: of 14 pieces");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn whatever_goes_wrong_it_is_told_in_the_end_and_once() {
    for fault in [Fault::Lost, Fault::Down, Fault::Forbidden] {
        for is_stopped in [false, true] {
            let mut it = it().await;
            it.yard.order("1044", 3).await;
            it.work().await;
            *it.shop.fault.lock() = fault;
            it.ship(3);
            it.work().await;
            if is_stopped {
                it.again();
            }
            it.later(3_700).await;
            assert_eq!(it.shop.has(), [(Some("T1".to_owned()), 3)], "{fault:?} {is_stopped}");
            assert_eq!(*it.shop.calls.lock(), 2, "{fault:?} {is_stopped}");
            assert_eq!(it.yard.open().len(), usize::from(fault == Fault::Forbidden), "{fault:?}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_it_refuses_reaches_a_person_and_is_told_no_more() {
    let mut it = it().await;
    it.yard.order("1044", 3).await;
    it.work().await;
    *it.shop.fault.lock() = Fault::Refused;
    it.ship(3);
    it.work().await;
    it.later(3_700).await;
    assert_eq!((it.shop.has(), *it.shop.calls.lock()), (Vec::new(), 1));
    let open = it.yard.open();
    assert!(open.len() == 1 && open[0].sentence.contains("order 1044"), "{open:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_left_while_nobody_looked_is_told_and_what_left_before_is_not() {
    let mut it = it().await;
    it.yard.order("1044", 3).await;
    it.work().await;
    it.ship(1);
    it.later(120).await;
    assert_eq!(it.shop.has().len(), 1);
    // Its worker is away.
    it.ship(2);
    it.yard.work().await;
    it.again();
    it.work().await;
    assert_eq!(it.shop.has(), [(Some("T1".to_owned()), 1), (Some("T2".to_owned()), 2)]);
    // A shop that was never looked at before: what left by then is its people's.
    let mut other = Yard::over(Box::new(MemoryStore::default()), Options::default(), 10, 10).await;
    other.order("1", 1).await;
    other.work().await;
    let (name, lines) = other.warehouse.open().remove(0);
    other.warehouse.ship(&name, &lines[0].0, 1);
    other.work().await;
    let shop = Arc::new(Shop::default());
    let worker = worker(&other, &shop);
    let mut late = It { yard: other, shop, worker };
    late.later(60).await;
    assert_eq!(late.shop.has(), []);
}

#[tokio::test(flavor = "multi_thread")]
async fn webhooks_that_it_had_ended_are_on_again_and_told_of_until_one_comes() {
    let mut it = it().await;
    let ended = || vec!["order.created".to_owned(), "order.updated".to_owned()];
    *it.shop.ended.lock() = ended();
    it.later(700).await;
    assert_eq!(*it.shop.ended.lock(), ended(), "it has no address of ours");
    let (id, _) = it.yard.handle.ledger().read(TENANT, |view| view.system_by_name("SHOP")).unwrap().unwrap();
    hooks::renew(&it.yard.handle, TENANT, id, ([1; 20], [2; 32])).await.unwrap();
    it.later(700).await;
    assert_eq!(*it.shop.ended.lock(), Vec::<String>::new());
    let open = it.yard.open();
    assert!(open.len() == 1 && open[0].sentence.contains("order.created, order.updated"), "{open:?}");
    // One comes: it is over.
    hooks::hear(&it.yard.handle, TENANT, id, "event-1").await.unwrap();
    it.later(2).await;
    assert_eq!(it.yard.open(), []);
}
