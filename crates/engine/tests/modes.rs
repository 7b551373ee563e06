//! Which way numbers go, when, and how fast: through the worker, on simulated systems and a clock that stands still until it is set.

#[path = "support/simulated.rs"]
#[expect(dead_code, reason = "the examples use the rest")]
mod simulated;

use std::sync::Arc;

use onhand_channels::Budget;
use onhand_engine::buffers::size_all;
use onhand_engine::explain::explain_item;
use onhand_engine::snapshots::{Kept as SnapshotKept, Standing, decide, snapshots};
use onhand_engine::systems::asked::{Doing, Progress, ask, progress};
use onhand_engine::systems::system_status;
use onhand_ledger::command::{
    Content, Document, Name, OrderContent, OrderContentLine, PutListing, PutMode, SetOwnership,
    SetPublication,
};
use onhand_ledger::model::{Cause, Direction, Listing, Policy, Schedule, Timing};
use onhand_ledger::{Body, Quantity};
use onhand_sync::{Standing as Books, State};
use rstest::rstest;
use simulated::Kept::{self, File, Memory, Postgres};
use simulated::{Simulated, TENANT, World, direction, policy, time, timing};

fn batch(cron: &str, full: bool) -> PutMode {
    timing(Timing::Batch(Schedule { cron: cron.to_owned(), time_zone: "UTC".to_owned(), full }))
}

#[rstest]
#[tokio::test(flavor = "multi_thread")]
async fn one_way_in_is_sent_nothing_and_its_orders_are_heard_of(
    #[values(Memory, File, Postgres)] kept: Kept,
) {
    let mut world = World::new(kept).await;
    world.item("MUG", 100).await;
    let shop = world.connect("SHOP", &[("MUG", 40)], direction(Direction::OneWayIn)).await;
    world.until("10:05").await;
    shop.set("MUG", 39);
    shop.sell("MUG", 2);
    world.adjust("MUG", -1).await;
    world.until("10:10").await;
    assert_eq!((shop.shows("MUG"), shop.pushed("MUG")), (37, vec![]));
    assert_eq!((world.available("MUG"), world.discrepancies().len()), (97, 0), "its number is its own");
    // Once it is two-way, what it shows is first seen, and set.
    world.mode("SHOP", direction(Direction::TwoWay)).await;
    world.until("10:12").await;
    assert_eq!((shop.shows("MUG"), world.discrepancies().len()), (97, 0));
    // And back: what was sent is of no account, whatever it shows then.
    world.mode("SHOP", direction(Direction::OneWayIn)).await;
    world.until("10:13").await;
    shop.set("MUG", 5);
    world.until("10:20").await;
    world.mode("SHOP", direction(Direction::TwoWay)).await;
    world.until("10:25").await;
    assert_eq!((shop.shows("MUG"), world.discrepancies().len()), (97, 0));
}

async fn masters(world: &mut World, shows: &[(&str, i64)]) -> Arc<Simulated> {
    world.until("10:00:05").await;
    let shop = world.connect("SHOP", shows, direction(Direction::OneWayIn)).await;
    let (location, master) = (Some("LONDON".to_owned()), "SHOP".to_owned());
    world.tell(Body::SetOwnership(SetOwnership { location, master, ..SetOwnership::default() })).await;
    shop
}

fn taken(world: &World) -> Vec<SnapshotKept> {
    let id = world.systems[0].1;
    world.handle.ledger().read(TENANT, |view| snapshots(view, id)).unwrap()
}

#[rstest]
#[tokio::test(flavor = "multi_thread")]
async fn a_shop_that_is_master_is_heard_by_what_it_shows(#[values(Memory, File, Postgres)] kept: Kept) {
    let mut world = World::new(kept).await;
    world.item("MUG", 45).await;
    world.item("CUP", 9).await;
    let shop = masters(&mut world, &[("MUG", 40), ("CUP", 9)]).await;
    world.until("10:02").await;
    assert_eq!((world.available("MUG"), world.available("CUP")), (40, 9));
    shop.sell("MUG", 2);
    world.until("10:04").await;
    assert_eq!((world.available("MUG"), shop.on_hand("MUG")), (38, 40), "sold, and still there");
    // Goods came in over there.
    shop.set("MUG", 43);
    world.until("10:06").await;
    assert_eq!((world.available("MUG"), shop.pushed("MUG"), world.open().len()), (43, vec![], 0));
    let explained = world.handle.ledger().read(TENANT, |view| {
        let (item, _) = view.item_by_sku("MUG")?.expect("it is there");
        explain_item(view, item)
    });
    let said = explained.unwrap().remove(0).shown;
    assert_eq!(
        (said.observed.map(|(number, _)| number), said.explanation.as_str()),
        (
            Some(Quantity::units(43)),
            "SHOP shows 43. It is one-way in: it tells us, and nothing is sent to it. It is master of that stock: our books follow it, \
             once its orders up to then are known."
        )
    );
    // What changes nothing is not counted again and again.
    let known = taken(&world).len();
    world.until("11:06").await;
    assert_eq!(taken(&world).len(), known);
    // What looks like a fault is held, once, and taken when it is approved.
    shop.set("MUG", 400);
    world.until("11:16").await;
    assert_eq!((world.available("MUG"), world.open().len()), (43, 1));
    assert_eq!(world.open()[0].1.cause, Cause::Guard);
    let held = taken(&world).into_iter().find(|kept| kept.state.is_open()).expect("it is held");
    decide(&world.handle, TENANT, "SHOP", &held.document, true, "test").await.unwrap();
    world.until("11:20").await;
    assert_eq!((world.available("MUG"), world.available("CUP"), world.open().len()), (400, 9, 0));
    // Or rejected: nobody is asked of the same again.
    shop.set("MUG", 4);
    world.until("11:30").await;
    let held = taken(&world).into_iter().find(|kept| kept.state.is_open()).expect("it is held");
    decide(&world.handle, TENANT, "SHOP", &held.document, false, "test").await.unwrap();
    world.until("11:40").await;
    assert_eq!((world.available("MUG"), world.open().len()), (400, 0));
    shop.set("MUG", 399);
    world.until("11:42").await;
    assert_eq!((world.available("MUG"), world.open().len()), (399, 0), "what is none of it is taken");
}

/// What Onhand says of the only system's number of an item, and how it stands.
fn said(world: &World, sku: &str) -> (String, Books) {
    let explained = world.handle.ledger().read(TENANT, |view| {
        let (item, _) = view.item_by_sku(sku)?.expect("it is there");
        explain_item(view, item)
    });
    let explained = explained.unwrap().remove(0);
    (explained.shown.explanation, explained.standing)
}

fn state(world: &World) -> State {
    let ledger = world.handle.ledger();
    let id = world.systems[0].1;
    let status = ledger.read(TENANT, |view| {
        let system = view.system(id)?.expect("it is there");
        system_status(view, ledger.seal(), id, &system)
    });
    status.unwrap().state
}

/// What lies in LONDON of an item, promised or not.
fn on_hand(world: &World, sku: &str) -> i64 {
    let cells = world.handle.ledger().read(TENANT, |view| {
        let (item, _) = view.item_by_sku(sku)?.expect("it is there");
        view.cells_of(item)
    });
    let here = cells.unwrap().into_iter().filter(|(cell, _)| cell.state.is_physical());
    here.map(|(_, slot)| slot.quantity.whole_units()).sum()
}

#[rstest]
#[tokio::test(flavor = "multi_thread")]
async fn a_master_that_is_read_without_a_pause_is_heard(#[values(Memory, File, Postgres)] kept: Kept) {
    let mut world = World::new(kept).await;
    world.pace.reconcile_ms = 2_000;
    world.item("MUG", 400).await;
    let shop = masters(&mut world, &[("MUG", 400)]).await;
    world.until("10:01").await;
    shop.set("MUG", 410);
    world.until("10:01:30").await;
    assert_eq!((world.available("MUG"), world.open().len()), (410, 0));
    // Neither does one hinder it that sells without a pause.
    shop.set("MUG", 420);
    for second in (0..120).step_by(24) {
        shop.sell("MUG", 1);
        world.until(&format!("10:{:02}:{:02}", 2 + second / 60, second % 60)).await;
    }
    assert_eq!((on_hand(&world, "MUG"), world.open().len()), (420, 0));
    world.until("10:04:30").await;
    assert_eq!((on_hand(&world, "MUG"), world.available("MUG")), (420, shop.shows("MUG")));
}

#[rstest]
#[tokio::test(flavor = "multi_thread")]
async fn what_a_master_sold_beyond_our_books_was_there(#[values(Memory, File, Postgres)] kept: Kept) {
    let mut world = World::new(kept).await;
    world.item("MUG", 3).await;
    world.item("CUP", 3).await;
    // Among many, what differs is no fault.
    world.item("JUG", 90).await;
    let shop = masters(&mut world, &[("MUG", 5), ("CUP", 5), ("JUG", 90)]).await;
    shop.sell("MUG", 5);
    shop.sell("CUP", 7);
    world.until("10:03").await;
    assert_eq!((shop.shows("MUG"), on_hand(&world, "MUG"), world.available("MUG")), (0, 5, 0));
    // It sold more than it had: of these none lies there, and two are short.
    assert_eq!((shop.shows("CUP"), on_hand(&world, "CUP"), world.available("CUP")), (-2, 5, 0));
    let open: Vec<Cause> = world.open().iter().map(|(_, found)| found.cause).collect();
    assert_eq!(open, [Cause::Short]);
    // What came in since fills them.
    shop.set("CUP", 1);
    world.until("10:05").await;
    assert_eq!((on_hand(&world, "CUP"), world.available("CUP"), world.open().len()), (8, 1, 0));
}

#[rstest]
#[tokio::test(flavor = "multi_thread")]
async fn less_than_nothing_is_counted_as_nothing_and_told(#[values(Memory, File, Postgres)] kept: Kept) {
    let mut world = World::new(kept).await;
    world.item("MUG", 3).await;
    world.item("CUP", 30).await;
    let shop = masters(&mut world, &[("MUG", -2), ("CUP", 30)]).await;
    world.until("10:10").await;
    assert_eq!((world.available("MUG"), world.available("CUP")), (0, 30));
    let open = world.open();
    assert_eq!(open.len(), 1, "told once: {open:#?}");
    assert_eq!(
        open[0].1.sentence,
        "SHOP is master of MUG at LONDON, and shows -2. It cannot be counted as it is: that is less than nothing, also with what \
         its own orders have set aside (0), so that 0 is counted. Have it counted over there."
    );
    let (sentence, standing) = said(&world, "MUG");
    assert!(
        sentence.contains("Our books cannot take that number as it is: that is less than nothing"),
        "{sentence}"
    );
    assert_eq!(standing, Books::NeedsYou);
    let reason = "our books do not take 1 of the numbers that it shows as master".to_owned();
    assert_eq!(state(&world), State::NeedsAttention { since: None, reason });
    world.restart("SHOP");
    world.until("10:20").await;
    assert_eq!(world.discrepancies().len(), 1, "nor again");
    shop.set("MUG", 4);
    world.until("10:22").await;
    assert_eq!((world.available("MUG"), world.open().len()), (4, 0), "it is over by itself");
    assert_eq!((said(&world, "MUG").1, state(&world)), (Books::InStep, State::Heard));
}

#[rstest]
#[tokio::test(flavor = "multi_thread")]
async fn several_listings_of_one_item_are_heard_together(#[values(Memory, File, Postgres)] kept: Kept) {
    let mut world = World::new(kept).await;
    world.item("MUG", 25).await;
    let shop = masters(&mut world, &[("MUG", -2)]).await;
    shop.inside.lock().numbers.insert("MUG-6".to_owned(), 4);
    world.listing("SHOP", "MUG-6", "MUG", 6).await;
    world.until("10:02").await;
    assert_eq!((world.available("MUG"), world.open().len()), (22, 0));
}

/// A number that cannot be compared is said to be one.
#[tokio::test(flavor = "multi_thread")]
async fn it_is_said_where_a_master_cannot_be_heard() {
    let mut world = World::new(Memory).await;
    world.item("MUG", 400).await;
    let shop = masters(&mut world, &[("MUG", 400)]).await;
    world.until("10:02").await;
    let in_step = said(&world, "MUG");
    for second in (0..180).step_by(5) {
        shop.sell("MUG", 1);
        world.until(&format!("10:{:02}:{:02}", 3 + second / 60, second % 60)).await;
    }
    let (sentence, standing) = said(&world, "MUG");
    assert!(sentence.contains("it has sold so often that nobody can tell which of its orders"), "{sentence}");
    assert_eq!(standing, Books::Behind);
    world.restart("SHOP");
    world.until("10:08").await;
    assert_eq!(said(&world, "MUG").1, in_step.1);
    assert_eq!(world.available("MUG"), shop.shows("MUG"));
    // Of an item that is sold by two listings both numbers are needed.
    shop.inside.lock().untracked.insert("MUG-6".to_owned());
    shop.inside.lock().numbers.insert("MUG-6".to_owned(), 4);
    world.listing("SHOP", "MUG-6", "MUG", 6).await;
    world.until("10:20").await;
    let (sentence, standing) = said(&world, "MUG");
    assert!(sentence.ends_with("Let SHOP track its stock, or unlink it."), "{sentence}");
    assert_eq!(standing, Books::NeedsYou);
    // Also where it showed one before.
    shop.inside.lock().untracked.clear();
    world.until("10:40").await;
    assert_eq!(said(&world, "MUG").1, Books::InStep);
    shop.inside.lock().untracked.insert("MUG-6".to_owned());
    world.until("10:50").await;
    assert_eq!(said(&world, "MUG").1, Books::NeedsYou);
    shop.inside.lock().untracked.insert("MUG".to_owned());
    world.until("10:55").await;
    let (sentence, standing) = said(&world, "MUG");
    assert!(sentence.contains("shows no number of MUG that can be counted"), "{sentence}");
    assert_eq!(standing, Books::NeedsYou);
    shop.inside.lock().untracked.clear();
    world.until("11:00").await;
    assert_eq!(said(&world, "MUG").1, Books::InStep);
    assert_eq!(world.available("MUG"), shop.shows("MUG") + 24);
}

#[rstest]
#[tokio::test(flavor = "multi_thread")]
async fn a_number_that_is_held_holds_no_other(#[values(Memory, File, Postgres)] kept: Kept) {
    let mut world = World::new(kept).await;
    for (sku, quantity) in [("MUG", 40), ("CUP", 40), ("JUG", 0)] {
        world.item(sku, quantity).await;
    }
    let shop = masters(&mut world, &[("MUG", 40), ("CUP", 40), ("JUG", 70)]).await;
    world.until("10:02").await;
    assert_eq!((world.available("JUG"), world.open().len()), (70, 0), "where nothing is, nothing is lost");
    shop.set("MUG", 400);
    shop.set("CUP", 42);
    world.until("10:04").await;
    let held = world.open();
    assert_eq!((held.len(), world.available("CUP")), (1, 42), "{held:#?}");
    assert!(held[0].1.sentence.contains(" would change 360 of 512 units of MUG, "), "{held:#?}");
    shop.set("CUP", 44);
    shop.sell("MUG", 1);
    world.until("10:06").await;
    assert_eq!((world.available("MUG"), world.available("CUP"), world.open().len()), (39, 44, 1));
    let (sentence, standing) = said(&world, "MUG");
    assert!(sentence.contains("held until somebody approves it (snapshot `LONDON "), "{sentence}");
    assert_eq!((standing, said(&world, "CUP").1), (Books::NeedsYou, Books::InStep));
    // Another number is another question, or none.
    shop.set("MUG", 500);
    world.until("10:08").await;
    let open = world.open();
    assert_eq!((open.len(), open[0].0 == held[0].0), (1, false), "{open:#?}");
    shop.set("MUG", 41);
    world.until("10:10").await;
    assert_eq!((world.available("MUG"), world.open().len()), (41, 0));
    let states = taken(&world);
    assert_eq!(states.iter().filter(|kept| kept.state == Standing::Superseded).count(), 2, "{states:#?}");
    shop.set("MUG", 1);
    world.until("10:12").await;
    assert_eq!((world.available("MUG"), world.open().len()), (1, 0), "one among many is no fault");
}

/// One number that is read alone is compared with all that is shown there: but no stock is lost number by number either.
#[tokio::test(flavor = "multi_thread")]
async fn a_fault_that_comes_in_drops_is_held() {
    let mut world = World::new(Memory).await;
    world.pace.reconcile_ms = 3_600_000;
    let skus: Vec<String> = (0..50).map(|number| format!("I{number}")).collect();
    for sku in &skus {
        world.item(sku, 10).await;
    }
    let shows: Vec<(&str, i64)> = skus.iter().map(|sku| (sku.as_str(), 10)).collect();
    let shop = masters(&mut world, &shows).await;
    world.until("10:02").await;
    let mut minute = 2;
    for sku in &skus {
        // An order has it read, which is how each of them comes alone.
        shop.set(sku, 1);
        shop.sell(sku, 1);
        minute += 1;
        world.until(&format!("{}:{:02}", 10 + minute / 60, minute % 60)).await;
    }
    let gone = skus.iter().filter(|sku| on_hand(&world, sku) == 1).count();
    assert!((10..=17).contains(&gone), "{gone} of 50");
    let sentence = &world.open()[0].1.sentence;
    let said = " units, which is more than 30 %. Nothing was changed; approve it or wait for the next.";
    assert!(sentence.contains(" is one of several within an hour, this one of I"), "{sentence}");
    assert!(sentence.ends_with(said), "{sentence}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_master_changed_last_is_told_before_it_is_overwritten() {
    for is_first_two_way in [true, false] {
        let mut world = World::new(Memory).await;
        world.item("MUG", 50).await;
        world.item("CUP", 50).await;
        let shop = masters(&mut world, &[("MUG", 50), ("CUP", 50)]).await;
        world.until("10:02").await;
        shop.set("MUG", 40);
        world.until("10:02:03").await;
        if is_first_two_way {
            world.mode("SHOP", direction(Direction::TwoWay)).await;
            world.until("10:04").await;
        }
        let (location, master) = (Some("LONDON".to_owned()), "onhand".to_owned());
        world.tell(Body::SetOwnership(SetOwnership { location, master, ..SetOwnership::default() })).await;
        world.mode("SHOP", direction(Direction::TwoWay)).await;
        world.until("10:10").await;
        assert_eq!((shop.shows("MUG"), shop.pushed("CUP")), (50, vec![]));
        let found = world.discrepancies();
        assert_eq!(found.len(), 1, "{found:#?}");
        assert_eq!((found[0].1.cause, found[0].1.quantity.whole_units()), (Cause::ManualEdit, -10));
    }
}

/// A number that no stock is tracked for is none that somebody set.
#[tokio::test(flavor = "multi_thread")]
async fn where_no_stock_is_tracked_nothing_is_adopted() {
    for chosen in [Policy::Adopt, Policy::Ask, Policy::MasterWins] {
        let mut world = World::new(Memory).await;
        world.item("MUG", 20).await;
        let shop = world.connect("SHOP", &[("MUG", 20)], policy(chosen)).await;
        world.until("10:02").await;
        shop.inside.lock().untracked.insert("MUG".to_owned());
        let before = shop.shows("MUG");
        shop.set("MUG", 0);
        world.until("10:05").await;
        let open: Vec<Cause> = world.open().iter().map(|(_, found)| found.cause).collect();
        assert_eq!((on_hand(&world, "MUG"), open), (20, vec![Cause::TrackingOff]));
        shop.sell("MUG", 2);
        shop.set("MUG", before);
        shop.inside.lock().untracked.clear();
        world.until("10:10").await;
        assert_eq!(
            (on_hand(&world, "MUG"), shop.shows("MUG"), world.open().len()),
            (20, 18, 0),
            "{chosen:?}"
        );
    }
}

/// What a shop shows by a rule, in several listings, or beside what others sell, is no change of it.
#[tokio::test(flavor = "multi_thread")]
async fn a_master_that_is_one_no_longer_changed_only_what_it_changed() {
    for changed in [0, -7] {
        let mut world = World::new(Memory).await;
        world.item("MUG", 60).await;
        world.item("CUP", 50).await;
        let shop = masters(&mut world, &[("MUG", 30), ("CUP", 50)]).await;
        shop.inside.lock().numbers.insert("MUG-2".to_owned(), 30);
        world.listing("SHOP", "MUG-2", "MUG", 1).await;
        let other = world.connect("OTHER", &[("CUP", 50)], PutMode::default()).await;
        world.publication("SHOP", Some(5)).await;
        world.until("10:02").await;
        other.sell("CUP", 4);
        world.until("10:04").await;
        if changed != 0 {
            shop.set("MUG", 30 + changed);
            world.until("10:04:03").await;
        }
        let (location, master) = (Some("LONDON".to_owned()), "onhand".to_owned());
        world.tell(Body::SetOwnership(SetOwnership { location, master, ..SetOwnership::default() })).await;
        let mode = PutMode { policy: Some(Policy::Adopt), ..direction(Direction::TwoWay) };
        world.mode("SHOP", mode).await;
        world.until("10:10").await;
        let adopted: i64 = world.adopted().iter().map(|(_, _, units)| *units).sum();
        assert_eq!(adopted, -changed, "{:?}", world.adopted());
        assert_eq!((on_hand(&world, "MUG"), on_hand(&world, "CUP")), (60 + changed, 50));
        assert_eq!((shop.shows("MUG"), shop.shows("CUP")), (55 + changed, 41));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_question_ends_with_what_it_is_of() {
    for unlinks in [true, false] {
        let mut world = World::new(Memory).await;
        world.item("MUG", 50).await;
        let shop = masters(&mut world, &[("MUG", 500)]).await;
        world.until("10:02").await;
        assert_eq!(world.open().len(), 1);
        if unlinks {
            let put = PutListing {
                system: "SHOP".to_owned(),
                remote_id: "MUG".to_owned(),
                remote_sku: None,
                sku: None,
                multiplier: 1,
                found: false,
            };
            world.tell(Body::PutListing(put)).await;
        } else {
            let (location, master) = (Some("LONDON".to_owned()), "onhand".to_owned());
            world
                .tell(Body::SetOwnership(SetOwnership { location, master, ..SetOwnership::default() }))
                .await;
        }
        world.until("10:05").await;
        assert_eq!((world.open().len(), world.available("MUG"), shop.shows("MUG")), (0, 50, 500));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn many_numbers_that_fall_bit_by_bit_are_held() {
    let mut world = World::new(Memory).await;
    let skus: Vec<String> = (0..60).map(|number| format!("I{number}")).collect();
    for sku in &skus {
        world.item(sku, 40).await;
    }
    let shows: Vec<(&str, i64)> = skus.iter().map(|sku| (sku.as_str(), 40)).collect();
    let shop = masters(&mut world, &shows).await;
    for (minute, number) in [(2, 40), (4, 30), (6, 23), (8, 17), (10, 12)] {
        for sku in &skus {
            shop.set(sku, number);
        }
        world.until(&format!("10:{minute:02}")).await;
    }
    let left: i64 = skus.iter().map(|sku| world.available(sku)).sum();
    assert!(left >= 2_400 * 60 / 100, "{left} of 2400");
    assert_eq!(world.open().len(), 1, "one question of many");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_number_that_was_rejected_stays_so_whatever_else_changes() {
    let mut world = World::new(Memory).await;
    world.item("JUG", 70).await;
    world.item("CUP", 45).await;
    let shop = masters(&mut world, &[("JUG", 7_000), ("CUP", 45)]).await;
    world.until("10:02").await;
    let kept = taken(&world).into_iter().find(|kept| kept.state.is_open()).expect("it is held");
    decide(&world.handle, TENANT, "SHOP", &kept.document, false, "Ann").await.unwrap();
    // So often that it is forgotten that it was asked.
    for cups in 0..120 {
        shop.set("CUP", 45 + (cups + 1) % 2);
        world.until(&format!("{}:{:02}", 11 + cups / 60, cups % 60)).await;
    }
    assert_eq!((world.available("JUG"), world.open().len()), (70, 0));
    assert!(!taken(&world).iter().any(|known| known.document == kept.document), "it is forgotten");
    let (sentence, standing) = said(&world, "JUG");
    assert!(sentence.ends_with("Ann rejected it. They will once SHOP shows another."), "{sentence}");
    assert_eq!(standing, Books::Paused);
    shop.set("JUG", 72);
    world.until("13:30").await;
    assert_eq!(world.available("JUG"), 72);
}

/// A number has in it what the shop sold: that is never counted on top, however sales and counts fall together.
#[tokio::test(flavor = "multi_thread")]
async fn what_a_master_sells_while_it_is_read_counts_once() {
    for seed in 1..=24_u64 {
        let mut random = seed;
        let mut draw = move |below: i64| {
            random = onhand_sync::next_random(random);
            i64::try_from(random >> 33).unwrap() % below
        };
        let mut world = World::new(Memory).await;
        world.item("MUG", 500).await;
        let shop = masters(&mut world, &[("MUG", 500)]).await;
        // Each second one is behind with what it shows.
        shop.inside.lock().stale_ms = 2_000 * i64::try_from(seed % 2).unwrap();
        // And each third one's clock is ahead, or behind.
        shop.inside.lock().clock_ahead = 40 * (i64::try_from(seed % 3).unwrap() - 1);
        let (mut second, mut by_hand, mut moved) = (5, 0, 0);
        while second < 600 {
            second += 1 + draw(25);
            world.until(&format!("10:{:02}:{:02}", second / 60, second % 60)).await;
            match draw(40) {
                0 | 1 => world.restart("SHOP"),
                2 => _ = world.mode("SHOP", direction(Direction::TwoWay)).await,
                _ => _ = world.mode("SHOP", direction(Direction::OneWayIn)).await,
            }
            if draw(4) == 0 {
                shop.inside.lock().buys_in_read = Some(("MUG".to_owned(), 1));
            }
            if draw(12) == 0 {
                let change = draw(9) - 4;
                (by_hand, moved) = (by_hand + change, moved + change.abs());
                shop.set("MUG", shop.shows("MUG") + change);
            } else {
                shop.sell("MUG", 1 + draw(2));
            }
        }
        world.mode("SHOP", direction(Direction::OneWayIn)).await;
        world.until("10:15").await;
        assert_eq!((world.available("MUG"), world.open().len()), (shop.shows("MUG"), 0), "seed {seed}");
        let counted: i64 = taken(&world)
            .iter()
            .map(|kept| match &kept.state {
                Standing::Taken(taken) => taken.added.whole_units() - taken.taken.whole_units(),
                state => panic!("{state:?}"),
            })
            .sum();
        assert_eq!(counted, by_hand, "seed {seed}");
        let most: i64 = taken(&world)
            .iter()
            .filter_map(|kept| match &kept.state {
                Standing::Taken(taken) => Some((taken.added + taken.taken).whole_units()),
                _ => None,
            })
            .sum();
        assert!(most <= moved, "seed {seed}: {most} units counted to and fro of {moved}");
    }
}

#[rstest]
#[tokio::test(flavor = "multi_thread")]
async fn one_way_out_sets_back_what_was_changed_whatever_the_policy(
    #[values(Memory, File, Postgres)] kept: Kept,
) {
    let mut world = World::new(kept).await;
    world.item("MUG", 100).await;
    let mode =
        PutMode { policy: Some(onhand_ledger::model::Policy::Adopt), ..direction(Direction::OneWayOut) };
    let shop = world.connect("SHOP", &[("MUG", 100)], mode).await;
    world.until("10:01").await;
    shop.set("MUG", 97);
    world.until("10:05").await;
    assert_eq!((shop.shows("MUG"), world.available("MUG")), (100, 100));
    assert_eq!(world.discrepancies()[0].1.cause, Cause::ManualEdit);
}

#[rstest]
#[tokio::test(flavor = "multi_thread")]
async fn a_debounced_change_waits_for_others_and_a_fall_to_zero_does_not(
    #[values(Memory, File, Postgres)] kept: Kept,
) {
    let mut world = World::new(kept).await;
    world.item("MUG", 9).await;
    world.item("CUP", 9).await;
    let mode = timing(Timing::NearRealTime { debounce_ms: 5_000 });
    let shop = world.connect("SHOP", &[("MUG", 9), ("CUP", 9)], mode).await;
    world.until("10:01").await;
    world.adjust("MUG", -1).await;
    world.until("10:01:04").await;
    world.adjust("MUG", -1).await;
    assert_eq!(shop.pushed("MUG"), Vec::<i64>::new());
    world.until("10:01:06").await;
    assert_eq!(shop.pushed("MUG"), [7], "later changes do not prolong the wait");
    world.adjust("CUP", -9).await;
    world.until("10:01:07").await;
    assert_eq!(shop.pushed("CUP"), [0]);
}

#[rstest]
#[tokio::test(flavor = "multi_thread")]
async fn a_batch_goes_at_its_time_with_what_is_desired_then(#[values(Memory, File, Postgres)] kept: Kept) {
    let mut world = World::new(kept).await;
    world.item("MUG", 9).await;
    world.item("CUP", 9).await;
    let shop = world.connect("SHOP", &[("MUG", 9), ("CUP", 9)], batch("*/15 * * * *", false)).await;
    world.until("10:01").await;
    world.adjust("MUG", -1).await;
    world.until("10:10").await;
    world.adjust("MUG", -8).await;
    world.until("10:14:59").await;
    assert_eq!(shop.pushed("MUG"), Vec::<i64>::new(), "a fall to zero waits, too");
    world.until("10:15:05").await;
    assert_eq!((shop.pushed("MUG"), shop.pushed("CUP")), (vec![0], vec![]));
    // Full: all of them, the unchanged ones, too.
    world.mode("SHOP", batch("*/15 * * * *", true)).await;
    world.until("10:29:59").await;
    assert_eq!(shop.pushed("CUP"), Vec::<i64>::new());
    world.until("10:30:05").await;
    assert_eq!((shop.pushed("MUG"), shop.pushed("CUP")), (vec![0, 0], vec![9]));
    world.until("10:44").await;
    assert_eq!((shop.pushed("MUG"), shop.pushed("CUP")), (vec![0, 0], vec![9]), "once");
}

#[rstest]
#[tokio::test(flavor = "multi_thread")]
async fn a_batch_that_was_missed_goes_once_and_one_that_fails_goes_on(
    #[values(Memory, File, Postgres)] kept: Kept,
) {
    let mut world = World::new(kept).await;
    world.item("MUG", 9).await;
    world.item("CUP", 9).await;
    let shop = world.connect("SHOP", &[("MUG", 9), ("CUP", 9)], batch("0 * * * *", false)).await;
    shop.inside.lock().batch_size = 1;
    world.until("10:01").await;
    world.adjust("MUG", -1).await;
    world.adjust("CUP", -2).await;
    // Nobody works from 10:01 to 13:20.
    world.clock.set(time("13:20"));
    let (_, id, _) = world.systems.pop().unwrap();
    let worker = world.worker(id, &shop);
    world.systems.push((shop.clone(), id, worker));
    shop.inside.lock().loses_answers = 1;
    world.until("13:21").await;
    assert_eq!((shop.pushed("MUG").len(), shop.pushed("CUP").len()), (1, 1));
    world.adjust("MUG", -1).await;
    world.until("13:59").await;
    assert_eq!(shop.pushed("MUG"), [8], "the next goes at 14:00");
    world.until("14:01").await;
    assert_eq!(shop.pushed("MUG"), [8, 7]);
}

#[rstest]
#[tokio::test(flavor = "multi_thread")]
async fn a_batch_waits_for_no_number_that_is_left_to_its_system(
    #[values(Memory, File, Postgres)] kept: Kept,
    #[values(false, true)] full: bool,
) {
    let mut world = World::new(kept).await;
    world.item("MUG", 9).await;
    world.item("CUP", 9).await;
    let shop = world.connect("SHOP", &[("MUG", 9), ("CUP", 9)], batch("*/15 * * * *", full)).await;
    world.until("10:01").await;
    let left = |rule: &mut SetPublication| (rule.sku, rule.skip) = (Some("CUP".to_owned()), Some(true));
    world.publication_of("SHOP", left).await;
    // It differs, and will never be sent.
    world.adjust("CUP", -1).await;
    world.adjust("MUG", -1).await;
    world.until("10:15:05").await;
    world.adjust("MUG", -1).await;
    world.until("10:30:05").await;
    assert_eq!((shop.pushed("MUG"), shop.pushed("CUP")), (vec![8, 7], vec![]));
}

#[rstest]
#[tokio::test(flavor = "multi_thread")]
async fn one_switch_stops_all_pushing(#[values(Memory, File, Postgres)] kept: Kept) {
    let mut world = World::new(kept).await;
    world.item("MUG", 9).await;
    let first = world.connect("FIRST", &[("MUG", 9)], PutMode::default()).await;
    let second = world.connect("SECOND", &[("MUG", 9)], PutMode::default()).await;
    world.until("10:01").await;
    world.tell(Body::StopPushing).await;
    world.adjust("MUG", -4).await;
    first.sell("MUG", 1);
    world.until("10:10").await;
    assert_eq!(
        (first.shows("MUG"), second.shows("MUG"), world.available("MUG")),
        (8, 9, 4),
        "sales are heard of"
    );
    // Whoever begins meanwhile sends nothing either.
    let (shop, id, _) = world.systems.pop().unwrap();
    let worker = world.worker(id, &shop);
    world.systems.push((shop, id, worker));
    world.until("10:20").await;
    assert_eq!(second.shows("MUG"), 9);
    world.tell(Body::ResumePushing).await;
    world.until("10:21").await;
    assert_eq!((first.shows("MUG"), second.shows("MUG")), (4, 4));
}

#[rstest]
#[tokio::test(flavor = "multi_thread")]
async fn where_there_is_compare_and_set_a_sale_between_is_not_overwritten(
    #[values(Memory, File, Postgres)] kept: Kept,
) {
    for compares in [true, false] {
        let mut world = World::new(kept).await;
        world.item("MUG", 9).await;
        let shop = world.connect("SHOP", &[("MUG", 9)], PutMode::default()).await;
        world.until("10:01").await;
        shop.inside.lock().compares = compares;
        shop.inside.lock().buys_before_push = Some(("MUG".to_owned(), 2));
        world.adjust("MUG", -1).await;
        world.until("10:05").await;
        let expected = if compares { vec![6] } else { vec![8, 6] };
        assert_eq!((shop.pushed("MUG"), shop.shows("MUG"), world.available("MUG")), (expected, 6, 6));
        assert_eq!(world.discrepancies(), vec![], "a sale is no drift");
    }
}

#[rstest]
#[tokio::test(flavor = "multi_thread")]
async fn where_there_is_compare_and_set_an_edit_is_seen_before_it_is_overwritten(
    #[values(Memory, File, Postgres)] kept: Kept,
) {
    let mut world = World::new(kept).await;
    world.item("MUG", 9).await;
    let shop = world.connect("SHOP", &[("MUG", 9)], PutMode::default()).await;
    world.until("10:01").await;
    shop.inside.lock().compares = true;
    shop.set("MUG", 50);
    world.adjust("MUG", -1).await;
    world.until("10:05").await;
    assert_eq!((shop.pushed("MUG"), shop.shows("MUG")), (vec![8], 8));
    let found = world.discrepancies();
    assert_eq!(found.len(), 1, "{found:#?}");
    assert_eq!((found[0].1.cause, found[0].1.quantity.whole_units()), (Cause::ManualEdit, 41));
}

/// So many that they are read back in several parts: what somebody changed is found in the last of them, too.
#[rstest]
#[tokio::test(flavor = "multi_thread")]
async fn what_somebody_changed_is_found_among_many_listings(#[values(Memory, File, Postgres)] kept: Kept) {
    let mut world = World::new(kept).await;
    let skus: Vec<String> = (10_000..15_100).map(|number| format!("I{number}")).collect();
    for sku in &skus {
        world.item(sku, 0).await;
    }
    let shows: Vec<(&str, i64)> = skus.iter().map(|sku| (sku.as_str(), 0)).collect();
    let shop = world.connect("SHOP", &shows, PutMode::default()).await;
    world.until("10:00:10").await;
    let (first, last) = (&skus[0], &skus[skus.len() - 1]);
    shop.set(first, 3);
    shop.set(last, 4);
    world.until("10:01:30").await;
    assert_eq!((shop.shows(first), shop.shows(last)), (0, 0));
    let found = world.discrepancies().into_iter().map(|(_, found)| found.quantity.whole_units());
    assert_eq!(found.collect::<std::collections::BTreeSet<_>>(), [3, 4].into());
}

#[rstest]
#[tokio::test(flavor = "multi_thread")]
async fn a_system_that_says_its_limits_is_called_no_faster(#[values(Memory, File, Postgres)] kept: Kept) {
    let mut world = World::new(kept).await;
    let skus: Vec<String> = (0..40).map(|number| format!("I{number}")).collect();
    for sku in &skus {
        world.item(sku, 9).await;
    }
    let shows: Vec<(&str, i64)> = skus.iter().map(|sku| (sku.as_str(), 5)).collect();
    let shop = world.connect("SHOP", &shows, PutMode::default()).await;
    {
        let mut inside = shop.inside.lock();
        inside.batch_size = 1;
        inside.budget = Some(Budget { remaining: 0, refill_per_second: 10, cost: 20 });
    }
    world.until("10:01:00").await;
    let pushes = shop.inside.lock().pushes.clone();
    // One call each two seconds: each listing is read, sent, and read back, and orders are asked for in turn with these.
    assert!((4..=6).contains(&pushes.len()), "one each twelve seconds: {}", pushes.len());
    let gaps = pushes.windows(2).map(|pair| pair[1].0.micros() - pair[0].0.micros());
    assert!(gaps.min().unwrap() >= 2_000_000);
    shop.inside.lock().budget = None;
    world.until("10:01:10").await;
    assert_eq!(shop.inside.lock().pushes.len(), 40);
}

#[rstest]
#[tokio::test(flavor = "multi_thread")]
async fn a_system_that_is_down_is_tried_by_one_light_call_at_a_time(
    #[values(Memory, File, Postgres)] kept: Kept,
) {
    let mut world = World::new(kept).await;
    world.item("MUG", 9).await;
    let shop = world.connect("SHOP", &[("MUG", 9)], PutMode::default()).await;
    world.until("10:01").await;
    shop.inside.lock().down = true;
    world.adjust("MUG", -1).await;
    world.until("10:05").await;
    let before = shop.inside.lock().calls;
    world.until("10:35").await;
    let calls = shop.inside.lock().calls - before;
    assert!((30..=60).contains(&calls), "one each 30 to 60 seconds: {calls}");
    shop.inside.lock().down = false;
    world.until("10:37").await;
    assert_eq!(shop.shows("MUG"), 8);
}

/// How far what was asked of the first system has come.
fn how_far(world: &World) -> Progress {
    let id = world.systems[0].1;
    world.handle.ledger().read(TENANT, |view| progress(view, id)).unwrap()
}

#[rstest]
#[tokio::test(flavor = "multi_thread")]
async fn asked_for_what_differs_goes_now_and_in_full_everything_does(
    #[values(Memory, File, Postgres)] kept: Kept,
) {
    let mut world = World::new(kept).await;
    world.item("MUG", 9).await;
    world.item("CUP", 9).await;
    let shop = world.connect("SHOP", &[("MUG", 9), ("CUP", 9)], batch("0 6 * * *", false)).await;
    world.until("10:01").await;
    let id = world.systems[0].1;
    world.adjust("MUG", -2).await;
    world.until("10:02").await;
    assert_eq!(shop.pushed("MUG"), Vec::<i64>::new(), "its batch is tomorrow's");
    let asked = ask(&world.handle, TENANT, id, false).await.unwrap();
    assert_eq!((asked.doing, how_far(&world).doing), (Doing::Waiting, Doing::Waiting));
    world.until("10:03").await;
    let done = how_far(&world);
    assert_eq!((done.doing, done.total, done.sent), (Doing::Done, 2, 1), "{done:?}");
    assert_eq!(done.sentence("SHOP"), "Done: 0 listings found, 2 numbers compared, 1 sent.");
    assert_eq!((shop.pushed("MUG"), shop.pushed("CUP")), (vec![7], vec![]));
    // What changes after it waits for its batch again.
    world.adjust("MUG", -1).await;
    world.until("10:04").await;
    assert_eq!(shop.pushed("MUG"), [7]);
    ask(&world.handle, TENANT, id, true).await.unwrap();
    // A worker that begins anew goes on with what was asked.
    world.restart("SHOP");
    world.until("10:05").await;
    let done = how_far(&world);
    assert_eq!((done.doing, done.sent, done.full), (Doing::Done, 2, true), "{done:?}");
    assert_eq!((shop.pushed("MUG"), shop.pushed("CUP")), (vec![7, 6], vec![9]));
    // Where nothing may be sent it is said, and all is read and compared.
    world.tell(Body::StopPushing).await;
    ask(&world.handle, TENANT, id, true).await.unwrap();
    world.until("10:06").await;
    let done = how_far(&world);
    assert_eq!((done.doing, done.sent), (Doing::Done, 0), "{done:?}");
    assert!(
        done.sentence("SHOP").ends_with("none sent: all pushing is stopped."),
        "{}",
        done.sentence("SHOP")
    );
    // It cannot be reached, again and again: that is an end, too.
    shop.inside.lock().down = true;
    ask(&world.handle, TENANT, id, false).await.unwrap();
    world.until("10:10").await;
    let failed = how_far(&world);
    assert_eq!(failed.doing, Doing::Failed, "{failed:?}");
    assert!(failed.sentence("SHOP").contains("no route"), "{}", failed.sentence("SHOP"));
}

#[rstest]
#[tokio::test(flavor = "multi_thread")]
async fn while_what_was_asked_goes_a_fall_to_zero_elsewhere_does_not_wait(
    #[values(Memory, File, Postgres)] kept: Kept,
) {
    let mut world = World::new(kept).await;
    world.item("MUG", 9).await;
    world.item("CUP", 1).await;
    let shop = world.connect("SHOP", &[("MUG", 9), ("CUP", 1)], PutMode::default()).await;
    world.until("10:01").await;
    // MUG is looked into for three seconds: somebody changed it.
    shop.set("MUG", 5);
    ask(&world.handle, TENANT, world.systems[0].1, true).await.unwrap();
    world.until("10:01:01").await;
    assert_eq!((how_far(&world).doing, shop.pushed("CUP")), (Doing::Push, vec![1]));
    world.adjust("CUP", -1).await;
    world.until("10:01:02").await;
    assert_eq!((how_far(&world).doing, shop.pushed("CUP")), (Doing::Push, vec![1, 0]));
    world.until("10:02").await;
    assert_eq!((how_far(&world).doing, shop.pushed("MUG")), (Doing::Done, vec![9]));
}

/// Orders of three weeks that are heard of at once were sold over three weeks.
#[tokio::test(flavor = "multi_thread")]
async fn what_is_heard_of_late_was_sold_when_it_was_ordered() {
    let mut world = World::new(Memory).await;
    world.item("MUG", 5_000).await;
    world.connect("SHOP", &[("MUG", 5_000)], PutMode::default()).await;
    world.connect("WOO", &[("MUG", 5_000)], batch("*/40 * * * *", false)).await;
    world.publication_of("SHOP", |rule| rule.risk_one_in = Some(1_000)).await;
    world.until("10:01").await;
    let now = onhand_engine::Clock::now(&*world.clock);
    for number in 0..2_100_i64 {
        let line = OrderContentLine {
            line: "1".to_owned(),
            item: Name::Sku("MUG".to_owned()),
            quantity: Quantity::ONE,
            shipped: Quantity::ZERO,
            returned: Quantity::ZERO,
            location: None,
            price: None,
        };
        let placed_at = Some(now.plus_seconds((number - 2_100) * 864));
        let content =
            Content::Order(OrderContent { placed_at, lines: vec![line], ..OrderContent::default() });
        let (system, document) = ("WOO".to_owned(), number.to_string());
        world.tell(Body::Record(Document { system, document, version: 1, content })).await;
    }
    assert_eq!(size_all(&world.handle, TENANT).await.unwrap(), 1);
    let size = world.handle.ledger().read(TENANT, |view| {
        let (item, _) = view.item_by_sku("MUG")?.expect("it is there");
        Ok(view.listings_of(item)?.into_iter().find_map(|(_, listing)| listing.buffer))
    });
    let size = size.unwrap().expect("it was measured");
    let a_day = size.sold.whole_units() * 86_400 / i64::from(size.over_seconds);
    assert!((99..=101).contains(&a_day), "{size:?}");
}

#[rstest]
#[tokio::test(flavor = "multi_thread")]
async fn an_adaptive_buffer_follows_what_is_measured_and_is_kept_as_an_entry(
    #[values(Memory, File, Postgres)] kept: Kept,
) {
    let mut world = World::new(kept).await;
    world.item("MUG", 1_000).await;
    let shop = world.connect("SHOP", &[("MUG", 1_000)], PutMode::default()).await;
    let woo = world.connect("WOO", &[("MUG", 1_000)], batch("*/40 * * * *", false)).await;
    let adapts = world
        .publication_of("SHOP", |rule| {
            (rule.risk_one_in, rule.buffer_at_most) = (Some(1_000), Some(Quantity::units(50)));
        })
        .await;
    let sized = |world: &World| {
        world.handle.ledger().read(TENANT, |view| {
            let (item, _) = view.item_by_sku("MUG")?.expect("it is there");
            let of_shop =
                |(_, listing): (_, Listing)| (listing.system == world.systems[0].1).then_some(listing);
            Ok(view.listings_of(item)?.into_iter().find_map(of_shop).and_then(|listing| listing.buffer))
        })
    };
    world.until("10:01").await;
    assert_eq!(size_all(&world.handle, TENANT).await.unwrap(), 1);
    let first = sized(&world).unwrap().expect("it was measured");
    assert_eq!((first.quantity, first.sales), (Quantity::ZERO, 0), "nothing was sold yet");
    assert_eq!(first.lagging.as_deref(), Some("WOO"));
    // 12 sales, each heard of at once.
    for minute in 1..=12 {
        woo.sell("MUG", 1);
        world.until(&format!("10:{:02}", minute + 1)).await;
    }
    // While it goes on like that, forty minutes of it are more than fifty at most.
    assert_eq!(size_all(&world.handle, TENANT).await.unwrap(), 1);
    let busy = sized(&world).unwrap().expect("it was measured");
    assert!(busy.sales == 12 && (660..=720).contains(&busy.over_seconds), "{busy:?}");
    assert!((55..=65).contains(&busy.quantity.whole_units()), "{busy:?}");
    world.until("10:15").await;
    assert_eq!(shop.shows("MUG"), 1_000 - 12 - 50);
    // An hour later it is what is sold of a day.
    world.until("11:20").await;
    assert_eq!(size_all(&world.handle, TENANT).await.unwrap(), 1);
    let size = sized(&world).unwrap().expect("it was measured");
    assert_eq!((size.sales, size.sold.whole_units(), size.over_seconds), (12, 12, 86_400), "{size:?}");
    assert!(size.is_measured && (2_400_000..2_402_000).contains(&size.lag_ms), "{size:?}");
    assert_eq!(size.quantity, Quantity::units(3));
    world.until("11:22").await;
    assert_eq!(shop.shows("MUG"), 1_000 - 12 - 3);
    // What is measured again and comes to the same is no entry.
    let head = world.head();
    assert_eq!(size_all(&world.handle, TENANT).await.unwrap(), 0);
    assert_eq!(world.head(), head);
    let explained = world.handle.ledger().read(TENANT, |view| {
        let (item, _) = view.item_by_sku("MUG")?.expect("it is there");
        explain_item(view, item)
    });
    let explained = explained.unwrap().into_iter().find(|one| one.shown.system == "SHOP").unwrap();
    let because = "keeps back 3: 12 sold a day, WOO lags up to 40 minutes, risk 1 in 1,000";
    assert_eq!(explained.chain.because, because);
    let sentence = format!("SHOP shows 985: 988 available, {because} (rule {adapts}).");
    assert_eq!(explained.shown.explanation, sentence);
    // A worker that begins anew, and the log folded anew, come to the same number without measuring.
    world.restart("SHOP");
    let ledger = world.handle.ledger().clone();
    ledger.rebuild().unwrap();
    assert_eq!(sized(&world).unwrap(), Some(size));
    let verified = onhand_engine::verify(&ledger, TENANT, &mut |_| {}).unwrap();
    assert_eq!(verified.violation, None);
    world.until("11:30").await;
    assert_eq!((shop.shows("MUG"), shop.pushed("MUG").last()), (985, Some(&985)));
    // Without the rule nothing of it counts.
    world.tell(Body::EndRule(adapts)).await;
    world.until("11:31").await;
    assert_eq!(shop.shows("MUG"), 988);
    assert_eq!(size_all(&world.handle, TENANT).await.unwrap(), 0);
}
