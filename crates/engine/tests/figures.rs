//! The figures that are told of each system, against what is found by looking at all of it.

#[path = "support/simulated.rs"]
#[expect(dead_code, reason = "other tests use the rest")]
mod simulated;

use std::collections::BTreeMap;

use onhand_engine::Clock as _;
use onhand_engine::explain::{explain_item, exposure};
use onhand_engine::figures::{OfSystem, Outcome};
use onhand_engine::systems::system_status;
use onhand_ledger::command::{PutLocation, PutMode};
use onhand_ledger::model::{Cause, Direction, Policy};
use onhand_ledger::{Body, ListingId, Quantity};
use simulated::{Kept, TENANT, World, direction, policy, time};

/// What is told of a system, which is as whoever looks at all of its listings finds it.
fn told(world: &World, name: &str) -> OfSystem {
    let ledger = world.handle.ledger();
    let (_, id, _) = world.systems.iter().find(|(system, ..)| system.name() == name).unwrap();
    let (_, figures) = ledger.figures().systems().into_iter().find(|((_, of), _)| of == id).unwrap();
    let (status, exposed) = ledger
        .read(TENANT, |view| {
            let system = view.system(*id)?.unwrap();
            let (all, _) = exposure(view, ListingId(0), 1_000)?;
            let exposed: Quantity = all.iter().filter(|one| one.system == name).map(|one| one.exposed).sum();
            Ok::<_, onhand_store::StoreError>((system_status(view, ledger.seal(), *id, &system)?, exposed))
        })
        .unwrap();
    let standing = figures.standing.unwrap();
    assert_eq!(
        (standing.listings, standing.in_step),
        (status.listings, status.in_step),
        "at {}",
        world.clock.now()
    );
    assert_eq!(standing.exposed, i128::from(exposed.micros()), "at {}", world.clock.now());
    figures
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_told_is_what_there_is() {
    let mut world = World::new(Kept::Memory).await;
    for sku in ["MUG", "CUP"] {
        world.item(sku, 100).await;
    }
    let shop = world.connect("SHOP", &[("MUG", 100), ("CUP", 90)], policy(Policy::Ask)).await;
    world.connect("TILL", &[("MUG", 100)], PutMode::default()).await;
    world.until("10:01").await;
    let figures = told(&world, "SHOP");
    assert_eq!(figures.name, "SHOP");
    assert_eq!(figures.pushes, BTreeMap::from([(Outcome::Acknowledged, 1)]), "CUP is set to 100");
    let standing = figures.standing.unwrap();
    assert_eq!((standing.listings, standing.in_step, standing.behind_since), (2, 2, None));

    // It cannot be reached while stock falls: it is behind since then, and offers what is not there.
    shop.inside.lock().down = true;
    world.until("10:02").await;
    world.adjust("MUG", -10).await;
    world.until("10:03").await;
    world.adjust("CUP", -1).await;
    world.until("10:04").await;
    let standing = told(&world, "SHOP").standing.unwrap();
    assert_eq!(standing.behind_since, Some(time("10:02")));
    assert_eq!((standing.in_step, standing.exposed), (0, 11_000_000));
    assert_eq!(told(&world, "TILL").standing.unwrap().behind_since, None, "each by itself");

    // It is back, and wants us to be slow; then an answer is lost.
    shop.inside.lock().down = false;
    shop.inside.lock().throttles = 2;
    shop.inside.lock().loses_answers = 1;
    world.until("10:10").await;
    let figures = told(&world, "SHOP");
    assert_eq!((figures.throttled, figures.pushes[&Outcome::Unanswered]), (2, 1));
    assert_eq!(figures.standing.unwrap().behind_since, None);

    // Somebody changes a number; who is asked about it keeps it from being behind.
    shop.set("MUG", 95);
    world.until("10:15").await;
    let figures = told(&world, "SHOP");
    assert_eq!(figures.drift, BTreeMap::from([(Cause::ManualEdit, 1)]));
    assert_eq!(
        (figures.standing.unwrap().behind_since, figures.standing.unwrap().exposed),
        (None, 5_000_000)
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn what_stands_in_the_inbox_and_what_was_oversold() {
    let mut world = World::new(Kept::Memory).await;
    world.item("MUG", 10).await;
    let shop = world.connect("SHOP", &[("MUG", 10)], PutMode::default()).await;
    let till = world.connect("TILL", &[("MUG", 10)], PutMode::default()).await;
    world.until("10:01").await;
    let ledger = world.handle.ledger().clone();
    let told = || {
        ledger.figures().follow(&ledger, TENANT).unwrap();
        ledger.figures().inboxes()[0].1.clone()
    };
    assert_eq!((told().open, told().oversold), (BTreeMap::new(), Quantity::ZERO));
    // Both sell nearly all of it before either is heard of.
    shop.sell("MUG", 8);
    till.sell("MUG", 7);
    world.until("10:02").await;
    let inbox = told();
    assert_eq!(inbox.oversold, Quantity::units(5));
    assert_eq!(inbox.open.len(), 1, "{inbox:?}");
    assert_eq!(inbox.open.values().sum::<u64>(), 1);
    // More comes in and serves it: it is over, and was.
    world.receive("MUG", 20).await;
    world.until("10:03").await;
    let inbox = told();
    assert_eq!((inbox.open, inbox.oversold), (BTreeMap::new(), Quantity::units(5)));
    // Whoever begins later finds what is open then, and counts what comes.
    till.sell("MUG", 40);
    world.until("10:04").await;
    ledger.figures().forget();
    let inbox = told();
    assert_eq!(inbox.open.into_iter().collect::<Vec<_>>(), [(("TILL".to_owned(), Cause::Short), 1)]);
    assert_eq!(inbox.oversold, Quantity::ZERO);
}

/// So much of MUG can be oversold, listing by listing, on the item and over all.
fn at_risk(world: &World) -> [i64; 3] {
    let read = world.handle.ledger().read(TENANT, |view| {
        let (mug, _) = view.item_by_sku("MUG")?.unwrap();
        let (rows, _) = exposure(view, ListingId(0), 100)?;
        let rows: Quantity = rows.iter().map(|one| one.exposed).sum();
        let explained: Quantity = explain_item(view, mug)?.iter().map(|one| one.exposed).sum();
        Ok::<_, onhand_store::StoreError>([rows, explained, view.at_risk()?.0].map(Quantity::whole_units))
    });
    read.unwrap()
}

/// MUG: 20 in LONDON, none in PARIS; SHOP shows so much of it at each of its locations.
async fn offered(shows: &[(&str, &str, i64)]) -> World {
    let mut world = World::new(Kept::Memory).await;
    world.tell(Body::PutLocation(PutLocation { code: "PARIS".to_owned(), ..Default::default() })).await;
    world.item("MUG", 20).await;
    world.connect("SHOP", &[("MUG", 20)], PutMode::default()).await;
    world.shows_at("SHOP", "MUG", shows).await;
    world
}

#[tokio::test(flavor = "multi_thread")]
async fn stock_behind_several_locations_of_a_shop_is_there_once() {
    let mut world = offered(&[("1", "LONDON", 20), ("2", "LONDON", 20)]).await;
    world.until("10:01").await;
    let figure = told(&world, "SHOP").standing.unwrap().exposed;
    assert_eq!((figure, at_risk(&world)), (20_000_000, [20; 3]));
    // Each by itself offers too much: that adds up.
    let mut world = offered(&[("1", "LONDON", 26), ("2", "PARIS", 6)]).await;
    world.until("10:01").await;
    let figure = told(&world, "SHOP").standing.unwrap().exposed;
    assert_eq!((figure, at_risk(&world)), (12_000_000, [12; 3]));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_orders_that_wait_have_sold_is_not_there_any_more() {
    let mut world = offered(&[("1", "LONDON", 16), ("2", "PARIS", 0)]).await;
    world.until("10:01").await;
    assert_eq!(at_risk(&world), [0; 3]);
    world.waits("SHOP", "MUG", "LONDON", 18).await;
    world.until("10:02").await;
    let figure = told(&world, "SHOP").standing.unwrap().exposed;
    assert_eq!(
        (figure, at_risk(&world)),
        (18_000_000, [18; 3]),
        "2 are left, and 20 were sent and may have arrived"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_system_tells_us_is_none_of_our_offers() {
    let mut world = offered(&[("here", "LONDON", 23)]).await;
    world.until("10:01").await;
    assert_eq!(at_risk(&world), [3; 3]);
    world.mode("SHOP", direction(Direction::OneWayIn)).await;
    assert_eq!(at_risk(&world), [0; 3]);
    world.until("10:02").await;
    assert_eq!(at_risk(&world), [0; 3]);
}
