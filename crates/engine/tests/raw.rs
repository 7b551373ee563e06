//! Raw documents of orders: kept until the order is closed and thirty days more, and no longer.

#[path = "support/simulated.rs"]
#[expect(dead_code, reason = "the examples use the rest")]
mod simulated;

use onhand_channels::Raw;
use onhand_engine::raw::{self, Of, Whom};
use onhand_ledger::command::{Content, Document, Name, OrderContent, OrderContentLine, PutMode};
use onhand_ledger::{Body, Quantity, TenantId};
use rstest::rstest;
use simulated::Kept::{self, File, Memory, Postgres};
use simulated::World;

const TENANT: TenantId = TenantId::DEFAULT;

/// A world with a shop that tells of orders.
struct Told(World);

impl Told {
    async fn new(kept: Kept) -> Self {
        let mut world = World::new(kept).await;
        world.item("MUG", 10).await;
        world.connect("SHOP", &[("MUG", 10)], PutMode::default()).await;
        world.handle.ledger().seal().make_for_this_process().unwrap();
        Self(world)
    }

    fn of(&self, document: &str) -> Of {
        Of { system: self.0.systems[0].1, document: document.to_owned() }
    }

    /// An order of one, shipped or not, with whom it is for.
    async fn order(&self, document: &str, version: u64, shipped: i64) {
        let raw = Raw::from(r#"{"email":"ada@example.com"}"#.to_owned());
        let notes = raw::notes(self.0.handle.ledger(), TENANT, &self.of(document), &raw).unwrap();
        let line = OrderContentLine {
            line: "1".to_owned(),
            item: Name::Sku("MUG".to_owned()),
            quantity: Quantity::units(1),
            shipped: Quantity::units(shipped),
            returned: Quantity::ZERO,
            location: None,
            price: None,
        };
        let content = OrderContent { lines: vec![line], ..OrderContent::default() };
        let document = Document {
            system: "SHOP".to_owned(),
            document: document.to_owned(),
            version,
            content: Content::Order(content),
        };
        let command = World::command(Body::Record(document));
        self.0.handle.submit_with(TENANT, Some(command), notes).await.unwrap();
    }

    fn is_kept(&self, document: &str) -> bool {
        let ledger = self.0.handle.ledger();
        let found = ledger.read(TENANT, |view| raw::read(view, ledger, &self.of(document))).unwrap();
        found.is_some_and(|opened| opened.unwrap().reveal().contains("ada"))
    }

    /// So many days later, looked at then.
    async fn days_later(&self, days: i64) -> usize {
        let now = self.0.handle.ledger().clock().now();
        self.0.clock.set(now.plus_seconds(days * 86_400));
        raw::sweep(&self.0.handle, TENANT).await.unwrap()
    }
}

#[rstest]
#[tokio::test(flavor = "multi_thread")]
async fn it_is_kept_until_its_order_is_closed_and_thirty_days_more(
    #[values(Memory, File, Postgres)] kept: Kept,
) {
    let told = Told::new(kept).await;
    told.order("1", 1, 0).await;
    told.order("2", 1, 0).await;
    assert_eq!(told.days_later(100).await, 0, "an open order needs it");
    told.order("1", 2, 1).await;
    assert_eq!((told.days_later(0).await, told.days_later(29).await), (0, 0));
    assert!(told.is_kept("1"));
    assert_eq!(told.days_later(1).await, 1);
    assert!(!told.is_kept("1") && told.is_kept("2"));
    // It is told once more, as a poll with its overlap does: its time is over.
    told.order("1", 2, 1).await;
    told.order("1", 3, 1).await;
    assert!(!told.is_kept("1"));
    // One that has left before anybody heard of it has its time too.
    told.order("3", 1, 1).await;
    assert!(told.is_kept("3"));
    assert_eq!((told.days_later(0).await, told.days_later(30).await), (0, 1));
    assert!(!told.is_kept("3"));
}

#[rstest]
#[tokio::test(flavor = "multi_thread")]
async fn without_a_key_nothing_is_kept_and_the_order_is_all_the_same(
    #[values(Memory, File, Postgres)] kept: Kept,
) {
    let mut world = World::new(kept).await;
    world.item("MUG", 10).await;
    world.connect("SHOP", &[("MUG", 10)], PutMode::default()).await;
    let told = Told(world);
    told.order("1", 1, 0).await;
    assert!(!told.is_kept("1"));
    assert_eq!(told.0.available("MUG"), 9);
}

#[rstest]
#[tokio::test(flavor = "multi_thread")]
async fn an_erased_order_is_not_kept_again_also_where_it_is_heard_of_later(
    #[values(Memory, File, Postgres)] kept: Kept,
) {
    let told = Told::new(kept).await;
    told.order("1", 1, 0).await;
    let whom = Whom::Email("ADA@example.com".to_owned());
    let dry = raw::erase(&told.0.handle, TENANT, &whom, true).await.unwrap();
    assert!(dry.erased.len() == 1 && told.is_kept("1"));
    let done = raw::erase(&told.0.handle, TENANT, &whom, false).await.unwrap();
    assert_eq!((done.erased, done.looked_at, done.locked), (dry.erased, 1, 0));
    told.order("1", 2, 0).await;
    assert!(!told.is_kept("1"));
    let later = Whom::Order(told.of("9"));
    assert_eq!(raw::erase(&told.0.handle, TENANT, &later, false).await.unwrap().erased, []);
    told.order("9", 1, 0).await;
    assert!(!told.is_kept("9"));
    told.order("10", 1, 0).await;
    assert!(told.is_kept("10"), "another order of theirs is another matter");
}
