//! Listings that come to be of another item, or of another number of it, while orders wait, or somebody is asked: nothing is
//! booked on the wrong stock.

#[path = "support/simulated.rs"]
#[expect(dead_code, reason = "the examples use the rest")]
mod simulated;

use onhand_engine::explain::explain_item;
use onhand_ledger::command::{
    Content, Document, MergeItems, Name, OrderContent, OrderContentLine, PutListing, ShipmentContent,
    ShipmentLine, StopSelling,
};
use onhand_ledger::model::{Cause, Choice, Policy};
use onhand_ledger::{Answer, Body, Key, Quantity, Value};
use rstest::rstest;
use simulated::Kept::{self, File, Memory, Postgres};
use simulated::{TENANT, World, policy};

/// So many of a listing, and how many of them have left.
struct Sold(&'static str, i64, i64);

async fn order(world: &World, document: &str, version: u64, lines: &[Sold]) -> Answer {
    let line = |(number, Sold(listing, quantity, shipped)): (usize, &Sold)| OrderContentLine {
        line: number.to_string(),
        item: Name::Listing((*listing).to_owned()),
        quantity: Quantity::units(*quantity),
        shipped: Quantity::units(*shipped),
        returned: Quantity::ZERO,
        location: None,
        price: None,
    };
    let lines = lines.iter().enumerate().map(line).collect();
    let content = Content::Order(OrderContent { lines, ..OrderContent::default() });
    let (system, document) = ("SHOP".to_owned(), document.to_owned());
    world.tell(Body::Record(Document { system, document, version, content })).await
}

fn on_hand(world: &World, sku: &str) -> i64 {
    let read = world.handle.ledger().read(TENANT, |view| {
        let (item, _) = view.item_by_sku(sku)?.unwrap();
        let (place, _) = view.location_by_code("LONDON")?.unwrap();
        let mut all = Quantity::ZERO;
        for state in [onhand_ledger::StockState::Available, onhand_ledger::StockState::Committed] {
            all += view.held(item, place, state)?;
        }
        Ok(all.whole_units())
    });
    read.unwrap()
}

async fn unlink(world: &World, remote_id: &str) {
    let put = PutListing {
        system: "SHOP".to_owned(),
        remote_id: remote_id.to_owned(),
        remote_sku: None,
        sku: None,
        multiplier: 1,
        found: false,
    };
    world.tell(Body::PutListing(put)).await;
}

/// What documents that wait have sold of an item.
fn claimed(world: &World, sku: &str, document: &str) -> i64 {
    let read = world.handle.ledger().read(TENANT, |view| {
        let (item, _) = view.item_by_sku(sku)?.unwrap();
        let (system, _) = view.system_by_name("SHOP")?.unwrap();
        view.get(&Key::Claimed(item, system, document.to_owned()))
    });
    match read.unwrap() {
        Some(Value::Quantity(quantity)) => quantity.whole_units(),
        None => 0,
        other => panic!("{other:?}"),
    }
}

#[rstest]
#[tokio::test(flavor = "multi_thread")]
async fn an_order_goes_on_being_of_what_it_sold(#[values(Memory, File, Postgres)] kept: Kept) {
    let mut world = World::new(kept).await;
    for sku in ["MUG", "TEA", "CUP"] {
        world.item(sku, 90).await;
    }
    world.connect("SHOP", &[("TEA", 90)], policy(Policy::MasterWins)).await;
    world.listing("SHOP", "MUG-6", "MUG", 6).await;
    order(&world, "A", 1, &[Sold("MUG-6", 2, 0)]).await;
    order(&world, "A", 2, &[Sold("MUG-6", 2, 2)]).await;
    assert_eq!(on_hand(&world, "MUG"), 78);
    order(&world, "B", 1, &[Sold("MUG-6", 1, 0), Sold("TEA", 3, 0)]).await;
    // The box becomes one of twelve, and the other listing one of another item: for what is sold from now on.
    world.listing("SHOP", "MUG-6", "MUG", 12).await;
    world.listing("SHOP", "TEA", "CUP", 1).await;
    order(&world, "A", 3, &[Sold("MUG-6", 1, 2)]).await;
    assert_eq!(on_hand(&world, "MUG"), 78, "a refund of what has left moves nothing");
    order(&world, "B", 2, &[Sold("MUG-6", 1, 1), Sold("TEA", 3, 3)]).await;
    let stock = |sku| (on_hand(&world, sku), world.available(sku));
    assert_eq!((stock("MUG"), stock("TEA"), stock("CUP")), ((72, 72), (87, 87), (90, 90)));
    order(&world, "C", 1, &[Sold("MUG-6", 1, 1), Sold("TEA", 1, 1)]).await;
    assert_eq!((on_hand(&world, "MUG"), on_hand(&world, "CUP")), (60, 89));
    // What is unlinked meanwhile does not wait either: it is known what was sold.
    order(&world, "D", 1, &[Sold("MUG-6", 1, 0)]).await;
    unlink(&world, "MUG-6").await;
    let answer = order(&world, "D", 2, &[Sold("MUG-6", 1, 1)]).await;
    assert!(matches!(answer, Answer::Recorded { .. }), "{answer:?}");
    assert_eq!((on_hand(&world, "MUG"), world.open().len()), (48, 0));
}

/// A line is of what its listing was when it was told of, however often that changes, and a parcel of the order too.
#[rstest]
#[tokio::test(flavor = "multi_thread")]
async fn a_line_is_of_what_its_listing_was_when_it_came(#[values(Memory, File, Postgres)] kept: Kept) {
    let mut world = World::new(kept).await;
    for sku in ["MUG", "TEA", "CUP", "JUG"] {
        world.item(sku, 90).await;
    }
    world.connect("SHOP", &[("TEA", 90)], policy(Policy::MasterWins)).await;
    let left = |world: &World| ["MUG", "TEA", "CUP", "JUG"].map(|sku| 90 - on_hand(world, sku));
    world.listing("SHOP", "BOX", "MUG", 6).await;
    order(&world, "A", 1, &[Sold("BOX", 1, 0)]).await;
    world.listing("SHOP", "BOX", "CUP", 2).await;
    // The first line is of mugs, the second, which comes now, of cups; the other order is of cups.
    order(&world, "A", 2, &[Sold("BOX", 1, 0), Sold("BOX", 1, 0)]).await;
    order(&world, "B", 1, &[Sold("BOX", 3, 0)]).await;
    world.listing("SHOP", "BOX", "JUG", 1).await;
    order(&world, "A", 3, &[Sold("BOX", 1, 1), Sold("BOX", 1, 1), Sold("BOX", 1, 1)]).await;
    assert_eq!(left(&world), [6, 0, 2, 1]);
    order(&world, "B", 2, &[Sold("BOX", 3, 1)]).await;
    assert_eq!(left(&world), [6, 0, 4, 1]);
    let lines =
        vec![ShipmentLine { item: Name::Listing("BOX".to_owned()), quantity: Quantity::units(2), lot: None }];
    let parcel = ShipmentContent {
        order: Some("B".to_owned()),
        order_system: None,
        location: "LONDON".to_owned(),
        lines,
        occurred_at: None,
    };
    let (system, document) = ("SHOP".to_owned(), "parcel".to_owned());
    world
        .tell(Body::Record(Document { system, document, version: 1, content: Content::Shipment(parcel) }))
        .await;
    assert_eq!((left(&world), world.open().len()), ([6, 0, 6, 1], 0));
    // Linked as it was at first, and cups that are jugs now.
    world.listing("SHOP", "BOX", "MUG", 6).await;
    let (from, into) = ("CUP".to_owned(), "JUG".to_owned());
    world.tell(Body::MergeItems(MergeItems { from, into })).await;
    order(&world, "B", 3, &[Sold("BOX", 3, 2)]).await;
    order(&world, "C", 1, &[Sold("BOX", 1, 1)]).await;
    assert_eq!((90 - on_hand(&world, "MUG"), 180 - on_hand(&world, "JUG"), world.open().len()), (12, 7, 0));
}

#[rstest]
#[tokio::test(flavor = "multi_thread")]
async fn an_order_that_waits_claims_what_it_will_take(#[values(Memory, File, Postgres)] kept: Kept) {
    let mut world = World::new(kept).await;
    world.item("MUG", 90).await;
    world.item("TEA", 90).await;
    world.connect("SHOP", &[("TEA", 90)], policy(Policy::MasterWins)).await;
    world.listing("SHOP", "MUG-6", "MUG", 6).await;
    let sold = [Sold("MUG-6", 2, 0), Sold("NEW", 1, 0)];
    order(&world, "A", 1, &sold).await;
    assert_eq!(claimed(&world, "MUG", "A"), 12);
    world.listing("SHOP", "MUG-6", "MUG", 12).await;
    order(&world, "A", 1, &sold).await;
    assert_eq!(claimed(&world, "MUG", "A"), 24);
    world.listing("SHOP", "NEW", "TEA", 1).await;
    order(&world, "A", 1, &sold).await;
    assert_eq!((claimed(&world, "MUG", "A"), world.available("MUG"), world.available("TEA")), (0, 66, 89));
    assert_eq!(world.open().len(), 0);
}

#[rstest]
#[tokio::test(flavor = "multi_thread")]
async fn a_question_about_a_listing_ends_when_it_is_of_something_else(
    #[values(Memory, File, Postgres)] kept: Kept,
    #[values(false, true)] stopped_meanwhile: bool,
) {
    let mut world = World::new(kept).await;
    world.item("MUG", 20).await;
    world.item("TEA", 55).await;
    let shop = world.connect("SHOP", &[("MUG", 20)], policy(Policy::Ask)).await;
    world.until("10:01").await;
    shop.set("MUG", 11);
    world.until("10:05").await;
    let (asked, found) = world.open()[0].clone();
    assert_eq!(found.cause, Cause::ManualEdit);
    world.listing("SHOP", "MUG", "TEA", 1).await;
    if stopped_meanwhile {
        world.restart("SHOP");
    }
    world.until("10:10").await;
    let open = world.open();
    assert!(open.iter().all(|(id, _)| *id != asked), "{open:#?}");
    assert_eq!(open.iter().map(|(_, found)| found.cause).collect::<Vec<_>>(), [Cause::CannotAdopt]);
    assert!(
        open[0].1.sentence.starts_with("What a person was asked about MUG in SHOP cannot be adopted"),
        "{}",
        open[0].1.sentence
    );
    world.answer(asked, Choice::Adopt).await;
    world.until("10:15").await;
    assert_eq!((world.available("MUG"), world.available("TEA"), world.adopted().len()), (20, 55, 0));
    assert_eq!(shop.shows("MUG"), 55);
}

fn is_looked_into(world: &World, sku: &str) -> bool {
    let explained = world.handle.ledger().read(TENANT, |view| {
        let (item, _) = view.item_by_sku(sku)?.unwrap();
        explain_item(view, item)
    });
    explained
        .unwrap()
        .iter()
        .any(|one| one.shown.explanation.contains("it is looked at again before it is believed"))
}

/// What nothing explains is looked into for a while: a listing that is linked anew meanwhile has changed while it was of another item.
#[rstest]
#[tokio::test(flavor = "multi_thread")]
async fn what_is_looked_into_while_a_listing_is_linked_anew_is_of_the_item_before(
    #[values(Memory, File, Postgres)] kept: Kept,
    #[values(Policy::Adopt, Policy::Ask)] which: Policy,
    #[values(false, true)] stopped_meanwhile: bool,
) {
    let mut world = World::new(kept).await;
    world.item("MUG", 20).await;
    world.item("TEA", 55).await;
    let shop = world.connect("SHOP", &[("MUG", 20)], policy(which)).await;
    world.until("10:01").await;
    shop.set("MUG", 11);
    // Read, and not settled: see `STALE_FOR`.
    for second in 61..300 {
        world.until(&format!("10:{:02}:{:02}", second / 60, second % 60)).await;
        if is_looked_into(&world, "MUG") {
            break;
        }
    }
    assert!(is_looked_into(&world, "MUG"));
    assert_eq!((world.open().len(), world.adopted().len()), (0, 0));
    world.listing("SHOP", "MUG", "TEA", 1).await;
    if stopped_meanwhile {
        world.restart("SHOP");
    }
    world.until("10:10").await;
    assert_eq!((world.available("MUG"), world.available("TEA"), world.adopted().len()), (20, 55, 0));
    let (asked, found) = world.open()[0].clone();
    assert_eq!(world.open().len(), 1);
    assert!(
        found.sentence.contains("It cannot be adopted: it was linked to another item since"),
        "{}",
        found.sentence
    );
    world.answer(asked, Choice::SetBack).await;
    world.until("10:15").await;
    assert_eq!((shop.shows("MUG"), world.open().len()), (55, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_asked_of_a_pack_is_what_would_be_booked() {
    let mut world = World::new(Memory).await;
    world.item("MUG", 108).await;
    let shop = world.connect("SHOP", &[("MUG", 108)], policy(Policy::Ask)).await;
    shop.inside.lock().numbers.insert("MUG-12".to_owned(), 9);
    world.listing("SHOP", "MUG-12", "MUG", 12).await;
    world.until("10:01").await;
    shop.set("MUG-12", 8);
    world.until("10:05").await;
    let (asked, found) = world.open()[0].clone();
    let told = "`adopt`: stock changes by -12 there, for it is sold by 12";
    assert!(found.sentence.contains(told), "{}", found.sentence);
    world.answer(asked, Choice::Adopt).await;
    world.until("10:10").await;
    assert_eq!((world.available("MUG"), shop.shows("MUG"), shop.shows("MUG-12")), (96, 96, 8));
}

#[rstest]
#[tokio::test(flavor = "multi_thread")]
async fn the_same_number_at_two_listings_of_an_item_is_one_change(
    #[values(Memory, File, Postgres)] kept: Kept,
    #[values(Policy::Adopt, Policy::Ask)] which: Policy,
) {
    let mut world = World::new(kept).await;
    world.item("NEW", 12).await;
    let shop = world.connect("SHOP", &[("NEW", 12)], policy(which)).await;
    shop.inside.lock().numbers.insert("NEW-2".to_owned(), 12);
    world.listing("SHOP", "NEW-2", "NEW", 1).await;
    world.until("10:01").await;
    shop.set("NEW", 9);
    shop.set("NEW-2", 9);
    world.until("10:05").await;
    for (asked, _) in world.open() {
        world.answer(asked, Choice::Adopt).await;
        world.until("10:08").await;
    }
    world.until("10:10").await;
    assert_eq!((world.available("NEW"), shop.shows("NEW"), shop.shows("NEW-2")), (9, 9, 9));
    assert_eq!(world.open().len(), 0);
}

#[rstest]
#[tokio::test(flavor = "multi_thread")]
async fn from_a_0_that_says_nothing_of_the_stock_nothing_is_adopted(
    #[values(Memory, File, Postgres)] kept: Kept,
    #[values(Policy::Adopt, Policy::Ask)] which: Policy,
) {
    let mut world = World::new(kept).await;
    world.item("MUG", 20).await;
    world.item("TEA", 40).await;
    let shop = world.connect("SHOP", &[("MUG", 20), ("TEA", 40)], policy(which)).await;
    world.until("10:01").await;
    let (sku, reason) = (Some("MUG".to_owned()), "recall".to_owned());
    world.tell(Body::StopSelling(StopSelling { sku, tag: None, reason })).await;
    order(&world, "A", 1, &[Sold("TEA", 48, 0), Sold("NOBODY-KNOWS", 1, 0)]).await;
    world.until("10:03").await;
    assert_eq!((shop.shows("MUG"), shop.shows("TEA")), (0, 0));
    shop.set("MUG", 20);
    shop.set("TEA", 10);
    world.until("10:08").await;
    assert_eq!((world.available("MUG"), world.available("TEA"), world.adopted().len()), (20, 40, 0));
    assert_eq!((shop.shows("MUG"), shop.shows("TEA")), (0, 0), "what is not to be sold is set back at once");
    let told =
        world.discrepancies().into_iter().filter(|(_, found)| found.cause == Cause::ManualEdit).count();
    assert_eq!(told, 2);
}
