//! Listings that come to be of another item, or of another number of it, while orders wait, or somebody is asked: nothing is
//! booked on the wrong stock.

#[path = "support/simulated.rs"]
#[expect(dead_code, reason = "the examples use the rest")]
mod simulated;

use onhand_engine::explain::explain_item;
use onhand_ledger::command::{Content, Document, Name, OrderContent, OrderContentLine, StopSelling};
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
