//! What is said of a number, and of its system: never more than is known. Through the worker, on simulated systems and a clock that
//! stands still until it is set.

#[path = "support/simulated.rs"]
#[expect(dead_code, reason = "the examples use the rest")]
mod simulated;

use std::sync::Arc;

use onhand_engine::explain::{Explained, explain_item, exposure};
use onhand_engine::systems::asked::{Doing, ask, progress};
use onhand_engine::systems::opening::{Change, rehearse};
use onhand_engine::systems::{SystemStatus, system_status};
use onhand_ledger::command::{Adjust, Line, PutLocation, PutMode, PutSystem, SetOwnership, SetPublication};
use onhand_ledger::model::{Cause, Choice, Policy, Schedule, Stage, Timing};
use onhand_ledger::{Answer, Body, ListingId, Quantity, SystemId};
use onhand_sync::Standing;
use simulated::Kept::File;
use simulated::{Simulated, TENANT, World, policy, time, timing};

/// SHOP shows 100 of MUG, as it should, since 10:00.
async fn shop_of_100() -> (World, Arc<Simulated>) {
    let mut world = World::new(File).await;
    world.item("MUG", 100).await;
    let shop = world.connect("SHOP", &[("MUG", 100)], PutMode::default()).await;
    world.until("10:01").await;
    (world, shop)
}

fn all_told(world: &World, sku: &str) -> Vec<Explained> {
    let all = world.handle.ledger().read(TENANT, |view| {
        let (item, _) = view.item_by_sku(sku)?.expect("it is there");
        explain_item(view, item)
    });
    all.unwrap()
}

fn told(world: &World) -> Explained {
    all_told(world, "MUG").remove(0)
}

/// What changes waits a minute for what else changes.
fn a_minute() -> PutMode {
    timing(Timing::NearRealTime { debounce_ms: 60_000 })
}

fn said(world: &World) -> (Standing, String) {
    let Explained { shown, standing, .. } = told(world);
    (standing, shown.explanation)
}

fn shop_id(world: &World) -> SystemId {
    world.systems[0].1
}

fn status(world: &World) -> SystemStatus {
    let (ledger, id) = (world.handle.ledger(), shop_id(world));
    let read = ledger.read(TENANT, |view| {
        let system = view.system(id)?.expect("it is there");
        system_status(view, ledger.seal(), id, &system)
    });
    read.unwrap()
}

async fn asked(world: &World) {
    ask(&world.handle, TENANT, shop_id(world), false).await.unwrap();
}

fn came(world: &World) -> (Doing, String) {
    let id = shop_id(world);
    let came = world.handle.ledger().read(TENANT, |view| progress(view, id)).unwrap();
    (came.doing, came.sentence("SHOP"))
}

#[tokio::test(flavor = "multi_thread")]
async fn of_a_number_that_cannot_be_read_it_is_said_when_it_was() {
    let (mut world, shop) = shop_of_100().await;
    world.until("10:08").await;
    assert_eq!(said(&world), (Standing::InStep, "SHOP shows 100, as it should.".to_owned()));
    let (_, read_at) = told(&world).shown.observed.unwrap();
    assert!(
        read_at > time("10:07"),
        "that is known of each number, although nothing of it changed: {read_at}"
    );
    shop.inside.lock().down = true;
    world.until("10:09").await;
    let (standing, sentence) = said(&world);
    assert_eq!(standing, Standing::Behind);
    assert!(
        sentence.starts_with("SHOP showed 100 when it was last heard of, at 2026-11-23T10:0"),
        "{sentence}"
    );
    assert!(sentence.contains("no route"), "{sentence}");
    shop.inside.lock().down = false;
    world.until("10:20").await;
    assert_eq!(said(&world).0, Standing::InStep);
}

#[tokio::test(flavor = "multi_thread")]
async fn who_asks_for_it_now_is_answered_at_once_while_it_is_down() {
    let (mut world, shop) = shop_of_100().await;
    shop.inside.lock().down = true;
    world.until("11:00").await;
    asked(&world).await;
    world.until("11:00:03").await;
    let (doing, sentence) = came(&world);
    assert_eq!(doing, Doing::Failed, "{sentence}");
    assert!(sentence.contains("no route"), "{sentence}");
    shop.inside.lock().down = false;
    asked(&world).await;
    world.until("11:00:20").await;
    assert_eq!(came(&world).0, Doing::Done, "it is tried at once, however long it would have rested");
    // What it asked for itself is kept, and said.
    shop.inside.lock().throttles = u32::MAX;
    world.until("11:01").await;
    asked(&world).await;
    let calls = shop.inside.lock().calls;
    world.until("11:01:02").await;
    let (doing, sentence) = came(&world);
    assert!(doing == Doing::Waiting && sentence.contains("it asked for that rest"), "{sentence}");
    assert!(shop.inside.lock().calls <= calls + 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_nothing_explains_is_said_while_it_is_looked_at_again() {
    let (mut world, shop) = shop_of_100().await;
    shop.set("MUG", 97);
    asked(&world).await;
    world.until("10:01:02").await;
    let (standing, sentence) = said(&world);
    assert_eq!(standing, Standing::OnItsWay, "{sentence}");
    assert!(sentence.starts_with("SHOP showed 97 at 2026-11-23T10:01:0"), "{sentence}");
    assert_eq!(came(&world).0, Doing::Push, "it is not done with before that is over");
    assert_eq!((status(&world).in_step, status(&world).listings), (0, 1));
    world.until("10:02").await;
    assert_eq!(came(&world), (Doing::Done, "Done: 0 listings found, 1 number compared, 1 sent.".to_owned()));
    assert_eq!((shop.shows("MUG"), said(&world).0), (100, Standing::InStep));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_state_of_a_system_says_what_keeps_it_from_being_sent() {
    let (mut world, shop) = shop_of_100().await;
    assert_eq!(status(&world).state.name(), "live");
    world.tell(Body::StopPushing).await;
    let stopped = status(&world).state;
    assert_eq!((stopped.name(), stopped.sign(false)), ("paused", ("■", "paused")));
    assert!(stopped.sentence("SHOP").contains("All pushing is stopped"), "{stopped:?}");
    world.tell(Body::ResumePushing).await;
    world.mode("SHOP", policy(Policy::Ask)).await;
    shop.set("MUG", 97);
    world.until("10:03").await;
    let sentence = status(&world).state.sentence("SHOP");
    assert!(sentence.contains("1 of its 1 numbers waits for an answer in the inbox"), "{sentence}");
    world.answer(world.open()[0].0, Choice::SetBack).await;
    world.until("10:04").await;
    assert_eq!(status(&world).state.name(), "live");
    shop.inside.lock().refuses = true;
    world.adjust("MUG", -1).await;
    world.until("10:05").await;
    let sentence = status(&world).state.sentence("SHOP");
    assert!(sentence.contains("it refuses 1 of its 1 numbers, such as: it is locked"), "{sentence}");
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_tells_the_master_of_some_stock_its_own_number() {
    let (mut world, shop) = shop_of_100().await;
    let master = |master: &str| {
        let (location, master) = (Some("LONDON".to_owned()), master.to_owned());
        Body::SetOwnership(SetOwnership { location, master, ..SetOwnership::default() })
    };
    world.tell(master("SHOP")).await;
    world.until("10:02").await;
    let pushed = shop.pushed("MUG").len();
    shop.set("MUG", 42);
    world.until("10:05").await;
    assert_eq!((shop.shows("MUG"), shop.pushed("MUG").len(), world.open().len()), (42, pushed, 0));
    let (standing, sentence) = said(&world);
    assert_eq!(standing, Standing::LeftToIt);
    assert!(sentence.contains("is master of what it sells from: the number is its own"), "{sentence}");
    assert_eq!((status(&world).listings, status(&world).skipped), (0, 1));
    // Onhand is again.
    world.tell(master("onhand")).await;
    world.until("10:08").await;
    assert_eq!((shop.shows("MUG"), said(&world).0), (100, Standing::InStep));
}

#[tokio::test(flavor = "multi_thread")]
async fn most_of_a_small_shop_does_not_fall_to_zero_unseen() {
    let mut world = World::new(File).await;
    let all: Vec<(String, i64)> = (1..=6).map(|number| (format!("ITEM-{number}"), 10 * number)).collect();
    for (sku, quantity) in &all {
        world.item(sku, *quantity).await;
    }
    let shows: Vec<(&str, i64)> = all.iter().map(|(sku, quantity)| (sku.as_str(), *quantity)).collect();
    let shop = world.connect("SHOP", &shows, PutMode::default()).await;
    world.until("10:01").await;
    world.publication("SHOP", Some(45)).await;
    world.until("10:02").await;
    assert!(
        shows.iter().all(|(sku, quantity)| *quantity > 45 || shop.shows(sku) == *quantity),
        "held as they are"
    );
    let open = world.open();
    assert_eq!((open.len(), open[0].1.cause), (1, Cause::ZerosHeld), "{open:#?}");
    assert!(open[0].1.sentence.starts_with("4 of 6 listings"), "{}", open[0].1.sentence);
    assert_eq!((shop.shows("ITEM-5"), shop.shows("ITEM-6")), (5, 15), "what is left is sent");
}

/// What is linked by hand comes one by one, and is a wave all the same: none of it goes before that is seen.
#[tokio::test(flavor = "multi_thread")]
async fn what_is_linked_one_by_one_and_has_no_stock_is_held_together() {
    let mut world = World::new(File).await;
    let shop = world.connect("SHOP", &[], PutMode::default()).await;
    let all: Vec<String> = (1..=6).map(|number| format!("ITEM-{number}")).collect();
    shop.inside.lock().numbers.extend(all.iter().map(|sku| (sku.clone(), 10)));
    world.until("10:01").await;
    for (second, sku) in all.iter().enumerate() {
        world.item(sku, 0).await;
        world.listing("SHOP", sku, sku, 1).await;
        world.until(&format!("10:01:{:02}", second + 1)).await;
    }
    world.until("10:03").await;
    let open: Vec<Cause> = world.open().iter().map(|(_, open)| open.cause).collect();
    assert_eq!((open, shop.inside.lock().pushes.len()), (vec![Cause::ZerosHeld], 0));
    // One alone is none, and goes.
    let mut world = World::new(File).await;
    world.item("MUG", 0).await;
    let shop = world.connect("SHOP", &[("MUG", 10)], PutMode::default()).await;
    world.until("10:01").await;
    assert_eq!((shop.shows("MUG"), world.open().len()), (0, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_master_is_told_as_one() {
    let (mut world, shop) = shop_of_100().await;
    shop.inside.lock().second_master = Some(92);
    shop.set("MUG", 92);
    world.until("10:10").await;
    let open: Vec<Cause> = world.open().iter().map(|(_, open)| open.cause).collect();
    assert_eq!(open, [Cause::SecondMaster], "what was told of each time ends with it");
    let sentence = &world.open()[0].1.sentence;
    assert!(
        sentence.starts_with("whatever we send for MUG, 100 the last time, SHOP shows 92 again"),
        "{sentence}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_formula_that_never_gives_a_number_is_refused_when_it_is_saved() {
    let (world, _) = shop_of_100().await;
    let set = |formula: &str| {
        let formula = Some(formula.to_owned());
        Body::SetPublication(SetPublication {
            system: Some("SHOP".to_owned()),
            formula,
            ..Default::default()
        })
    };
    for formula in
        ["1 / 0", "available / (available - available)", "available * 9223372036854775807", "1000000000001"]
    {
        let refused =
            world.handle.submit(TENANT, World::command(set(formula))).await.unwrap_err().to_string();
        assert!(refused.contains("it gives no number, whatever stock was tried"), "{formula}: {refused}");
    }
    for formula in ["100 / (available - 7)", "available > 0 ? 100 / available : 1 / 0", "0 - 5", "min(1, 0)"]
    {
        let answer = world.tell(set(formula)).await;
        assert!(matches!(answer, Answer::Rule(_)), "{formula}: {answer:?}");
    }
    assert_eq!(Quantity::MAX_INPUT.whole_units(), 1_000_000_000_000);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_set_back_is_no_cause_of_what_differs_since() {
    let (mut world, shop) = shop_of_100().await;
    shop.set("MUG", 97);
    world.until("10:02").await;
    assert_eq!((shop.shows("MUG"), said(&world).0), (100, Standing::InStep));
    shop.inside.lock().loses_pushes = u32::MAX;
    world.adjust("MUG", -1).await;
    world.until("10:02:02").await;
    let sentence = said(&world).1;
    assert!(sentence.starts_with("SHOP shows 100 and should show 99."), "{sentence}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_rejected_waits_for_nobody() {
    let mut world = World::new(File).await;
    let all: Vec<String> = (1..=6).map(|number| format!("ITEM-{number}")).collect();
    for sku in &all {
        world.item(sku, 10).await;
    }
    world.item("MUG", 10).await;
    let shows: Vec<(&str, i64)> =
        all.iter().map(|sku| (sku.as_str(), 10)).chain(std::iter::once(("MUG", 10))).collect();
    let shop = world.connect("SHOP", &shows, PutMode::default()).await;
    world.until("10:01").await;
    world.publication("SHOP", Some(45)).await;
    world.until("10:02").await;
    assert!(status(&world).state.sentence("SHOP").contains("7 of its 7 numbers wait"));
    world.answer(world.open()[0].0, Choice::Reject).await;
    world.until("10:03").await;
    assert_eq!((status(&world).state.name(), world.open().len(), shop.shows("MUG")), ("live", 0, 10));
    let (standing, sentence) = said(&world);
    assert_eq!(standing, Standing::Paused);
    assert!(
        sentence.ends_with(
            "rejected that: it stays until what made it zero is undone, or a sync of SHOP asks again."
        ),
        "{sentence}"
    );
    // Whoever has thought better of it asks for all to be made equal, and is asked again.
    let id = world.systems[0].1;
    ask(&world.handle, TENANT, id, false).await.unwrap();
    world.until("10:04").await;
    let open = world.open();
    assert_eq!((open.len(), open[0].1.cause, shop.shows("MUG")), (1, Cause::ZerosHeld, 10));
    world.answer(open[0].0, Choice::Approve).await;
    world.until("10:05").await;
    assert_eq!((world.open().len(), shop.shows("MUG")), (0, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_waits_for_a_batch_can_be_oversold_until_that_has_gone() {
    let (mut world, _) = shop_of_100().await;
    world.adjust("MUG", -1).await;
    world.until("10:02").await;
    let daily =
        Timing::Batch(Schedule { cron: "0 11 * * *".to_owned(), time_zone: "UTC".to_owned(), full: false });
    world.mode("SHOP", timing(daily)).await;
    world.until("10:10").await;
    world.adjust("MUG", -2).await;
    world.until("10:30").await;
    let read = world.handle.ledger().read(TENANT, |view| exposure(view, ListingId(0), 10));
    let (exposed, _) = read.unwrap();
    assert_eq!((exposed.len(), exposed[0].exposed), (1, Quantity::units(2)));
    let millis = exposed[0].for_millis.unwrap();
    assert!((1_800_000..1_900_000).contains(&millis), "half an hour and what a push takes: {millis}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_number_should_be_what_it_should_since_that_came_to_be_whatever_made_it() {
    let (mut world, _) = shop_of_100().await;
    world.mode("SHOP", a_minute()).await;
    world.until("10:20").await;
    let rule = world.publication("SHOP", Some(5)).await;
    world.until("10:20:02").await;
    let since = |world: &World| (told(world).standing, told(world).chain.since);
    assert_eq!(since(&world), (Standing::OnItsWay, Some(time("10:20"))));
    assert_eq!(
        said(&world).1,
        "SHOP shows 100 and should show 95. It goes at 2026-11-23T10:21:00Z, with what else changes until then."
    );
    world.restart("SHOP");
    world.until("10:20:10").await;
    assert_eq!(since(&world), (Standing::OnItsWay, Some(time("10:20"))), "a restart makes it no newer");
    // The worker that begun anew waits a minute again.
    world.until("10:22").await;
    assert_eq!(said(&world).0, Standing::InStep);
    world.waits("SHOP", "MUG", "LONDON", 18).await;
    world.until("10:22:02").await;
    assert_eq!(since(&world), (Standing::OnItsWay, Some(time("10:22"))));
    world.until("10:40").await;
    world.tell(Body::EndRule(rule)).await;
    world.until("10:40:02").await;
    assert_eq!(since(&world), (Standing::OnItsWay, Some(time("10:40"))));
}

#[tokio::test(flavor = "multi_thread")]
async fn of_a_kit_what_it_is_built_of_says_why_and_since_when() {
    let mut world = World::new(File).await;
    world.item("MUG", 20).await;
    world.kit("SET", "MUG").await;
    world.kit("CRATE", "SET").await;
    let shop = world.connect("SHOP", &[("CRATE", 19)], PutMode::default()).await;
    world.until("10:01").await;
    assert_eq!(shop.shows("CRATE"), 20);
    shop.inside.lock().down = true;
    world.until("10:10").await;
    world.adjust("MUG", -3).await;
    world.until("10:10:02").await;
    let crates = |world: &World| all_told(world, "CRATE").remove(0);
    let Explained { standing, chain, .. } = crates(&world);
    assert_eq!((standing, chain.since), (Standing::OnItsWay, Some(time("10:10"))));
    let between: Vec<&str> = chain.between.iter().map(|one| one.sentence.as_str()).collect();
    assert_eq!(between, ["\u{2212}3 of MUG available at LONDON: correction, by test."]);
    world.until("10:12").await;
    assert_eq!(crates(&world).standing, Standing::Behind);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_we_sent_since_is_no_change_of_somebody() {
    let (mut world, shop) = shop_of_100().await;
    shop.set("MUG", 95);
    world.until("10:02").await;
    assert_eq!(shop.shows("MUG"), 100);
    world.adjust("MUG", -5).await;
    world.until("10:03").await;
    assert_eq!(shop.shows("MUG"), 95);
    world.mode("SHOP", a_minute()).await;
    world.until("10:04").await;
    world.adjust("MUG", -2).await;
    world.until("10:04:02").await;
    assert_eq!(
        said(&world).1,
        "SHOP shows 95 and should show 93. It goes at 2026-11-23T10:05:00Z, with what else changes until then."
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn another_schedule_sends_at_its_own_times_and_not_at_once() {
    let (mut world, shop) = shop_of_100().await;
    let at = |cron: &str| {
        let (cron, time_zone) = (cron.to_owned(), "UTC".to_owned());
        timing(Timing::Batch(Schedule { cron, time_zone, full: false }))
    };
    world.mode("SHOP", at("0 12 * * *")).await;
    world.until("10:40").await;
    world.adjust("MUG", -2).await;
    world.mode("SHOP", at("30 * * * *")).await;
    world.until("10:45").await;
    assert_eq!(shop.shows("MUG"), 100, "its time was before it was set");
    assert_eq!(
        said(&world).1,
        "SHOP shows 100 and should show 98. It goes with the batch of 2026-11-23T11:30:00Z."
    );
    world.restart("SHOP");
    world.until("11:29").await;
    assert_eq!(shop.shows("MUG"), 100);
    world.until("11:31").await;
    assert_eq!(shop.shows("MUG"), 98);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_set_back_once_sending_is_resumed_is_over_once_it_was() {
    let (mut world, shop) = shop_of_100().await;
    world.tell(Body::StopPushing).await;
    shop.set("MUG", 97);
    world.until("10:03").await;
    let open = world.open();
    assert_eq!(open.len(), 1);
    assert!(open[0].1.sentence.ends_with("once sending is resumed."), "{}", open[0].1.sentence);
    world.tell(Body::ResumePushing).await;
    world.until("10:05").await;
    assert_eq!((shop.shows("MUG"), world.open().len()), (100, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_order_that_waits_and_names_a_place_takes_from_no_other() {
    let (mut world, _) = shop_of_100().await;
    world.tell(Body::PutLocation(PutLocation { code: "PARIS".to_owned(), ..Default::default() })).await;
    world.shows_at("SHOP", "MUG", &[("1", "LONDON", 100), ("2", "PARIS", 0)]).await;
    world.waits("SHOP", "MUG", "LONDON", 18).await;
    let all = all_told(&world, "MUG");
    let claimed: Vec<(&str, i64)> = all
        .iter()
        .flat_map(|one| &one.chain.stock)
        .map(|behind| (behind.location.as_str(), behind.claimed.whole_units()))
        .collect();
    assert_eq!(claimed, [("LONDON", 18), ("PARIS", 0)]);
}

/// What a dry run of SHOP would change, as one that is being connected: which listing, where, from, to.
async fn rehearsed(world: &World, shop: &Simulated) -> Vec<(String, String, i64, i64)> {
    let id = shop_id(world);
    let mut system = world.handle.ledger().read(TENANT, |view| view.system(id)).unwrap().unwrap();
    system.stage = Stage::Connecting;
    let (rows, mut changes) = tokio::sync::mpsc::channel(100);
    rehearse(&world.handle, shop, TENANT, id, &system, rows).await.unwrap();
    let mut all = Vec::new();
    while let Some(Change { listing, location, from, to, .. }) = changes.recv().await {
        all.push((listing, location, from.whole_units(), to.whole_units()));
    }
    all
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dry_run_takes_open_orders_off_where_they_are_and_before_packs() {
    let mut world = World::new(File).await;
    world.item("PEN", 22).await;
    let shop = world.connect("SHOP", &[("PEN", 19)], PutMode::default()).await;
    world.listing("SHOP", "BOX", "PEN", 6).await;
    shop.inside.lock().numbers.insert("BOX".to_owned(), 22);
    shop.sell("PEN", 3);
    shop.inside.lock().numbers.insert("PEN".to_owned(), 19);
    assert_eq!(rehearsed(&world, &shop).await, [("BOX".to_owned(), "here".to_owned(), 22, 3)], "19 are left");

    let mut world = World::new(File).await;
    world.tell(Body::PutLocation(PutLocation { code: "PARIS".to_owned(), ..Default::default() })).await;
    world.item("MUG", 20).await;
    let shop = world.connect("SHOP", &[("MUG", 17)], PutMode::default()).await;
    let locations = [("here", "LONDON"), ("there", "PARIS")];
    let locations = locations.map(|(theirs, ours)| (theirs.to_owned(), ours.to_owned())).to_vec();
    let (name, kind) = ("SHOP".to_owned(), "test".to_owned());
    world
        .tell(Body::PutSystem(PutSystem { name, kind, locations: Some(locations), ..Default::default() }))
        .await;
    shop.sell("MUG", 3);
    {
        let mut inside = shop.inside.lock();
        inside.numbers.insert("MUG".to_owned(), 17);
        inside.there.insert("MUG".to_owned(), 5);
        inside.orders[0].lines[0].places = vec![("here".to_owned(), Quantity::units(3))];
    }
    adjust_in_paris(&world, 5).await;
    assert_eq!(rehearsed(&world, &shop).await, [], "PARIS keeps its 5");
    // Nobody says where: it may be at each.
    shop.inside.lock().orders[0].lines[0].places.clear();
    let there = [("MUG".to_owned(), "there".to_owned(), 5, 2)];
    assert_eq!(rehearsed(&world, &shop).await, there);
}

async fn adjust_in_paris(world: &World, units: i64) {
    let lines = vec![Line { sku: "MUG".to_owned(), quantity: Quantity::units(units), ..Line::default() }];
    let (location, reason) = ("PARIS".to_owned(), "found".to_owned());
    world.tell(Body::Adjust(Adjust { location, lines, occurred_at: None, reason })).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn of_much_that_lies_between_nothing_is_left_out() {
    let mut world = World::new(File).await;
    world.item("MUG", 100).await;
    let shop = world.connect("SHOP", &[("MUG", 100)], PutMode::default()).await;
    world.until("10:01").await;
    shop.inside.lock().down = true;
    world.until("10:10").await;
    for _ in 0..15 {
        world.adjust("MUG", -3).await;
    }
    world.until("10:12").await;
    let Explained { shown, chain, .. } = all_told(&world, "MUG").remove(0);
    assert_eq!((chain.between.len(), shown.desired), (11, Quantity::units(55)));
    assert_eq!(chain.between[0].sentence, "Before those that follow 5 changes, \u{2212}15 together.");
    assert_eq!(chain.between.iter().map(|one| one.quantity).sum::<Quantity>(), Quantity::units(-45));
}
