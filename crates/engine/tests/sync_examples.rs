//! The worked examples of keeping systems equal, through the worker: simulated systems, and a clock that stands still until it is set.

#[path = "support/simulated.rs"]
#[expect(dead_code, reason = "the tests of modes use the rest")]
mod simulated;

use onhand_ledger::command::{Line, PlaceOrder, PutMode, TakeCount};
use onhand_ledger::model::{Cause, Choice, Policy, Timing};
use onhand_ledger::{Body, Quantity};
use rstest::rstest;
use simulated::Kept::{self, File, Memory, Postgres};
use simulated::{World, policy, timing};

/// SHOP shows 100 of MUG, as it should, since 10:00.
async fn shop_of_100(kept: Kept) -> (World, std::sync::Arc<simulated::Simulated>) {
    let mut world = World::new(kept).await;
    world.item("MUG", 100).await;
    let shop = world.connect("SHOP", &[("MUG", 100)], PutMode::default()).await;
    world.until("10:01").await;
    assert_eq!((shop.shows("MUG"), shop.pushed("MUG")), (100, vec![]));
    (world, shop)
}

#[rstest]
#[tokio::test(flavor = "multi_thread")]
async fn example_22_sold_since_is_not_drift(#[values(Memory, File, Postgres)] kept: Kept) {
    let (mut world, shop) = shop_of_100(kept).await;
    shop.sell("MUG", 1);
    world.until("10:03").await;
    assert_eq!((shop.shows("MUG"), world.available("MUG")), (99, 99));
    assert_eq!(
        (shop.pushed("MUG"), world.discrepancies()),
        (vec![], vec![]),
        "nothing to do, nothing to adopt"
    );
}

#[rstest]
#[tokio::test(flavor = "multi_thread")]
async fn example_23_not_known_yet_is_not_drift(#[values(Memory, File, Postgres)] kept: Kept) {
    // Its orders are not known up to the reading: wait. Then known, with the sale.
    let (mut world, shop) = shop_of_100(kept).await;
    shop.inside.lock().keeps_orders = true;
    shop.sell("MUG", 1);
    world.until("10:03").await;
    assert_eq!((shop.pushed("MUG"), world.discrepancies().len()), (vec![], 0));
    shop.inside.lock().keeps_orders = false;
    world.until("10:06").await;
    assert_eq!((shop.shows("MUG"), shop.pushed("MUG"), world.discrepancies().len()), (99, vec![], 0));
    // The same number, and no sale: somebody changed it.
    let (mut world, shop) = shop_of_100(kept).await;
    shop.inside.lock().keeps_orders = true;
    shop.set("MUG", 99);
    world.until("10:03").await;
    assert_eq!((shop.pushed("MUG"), world.discrepancies().len()), (vec![], 0));
    shop.inside.lock().keeps_orders = false;
    world.until("10:06").await;
    let found = world.discrepancies();
    assert_eq!(found.len(), 1, "{found:#?}");
    assert_eq!((found[0].1.cause, found[0].1.quantity.whole_units()), (Cause::ManualEdit, -1));
    assert_eq!((shop.shows("MUG"), world.available("MUG")), (100, 100));
}

#[rstest]
#[tokio::test(flavor = "multi_thread")]
async fn example_24_what_a_number_means(#[values(Memory, File, Postgres)] kept: Kept) {
    let mut world = World::new(kept).await;
    world.item("MUG", 100).await;
    let vendure = world.connect("VENDURE", &[("MUG", 100)], PutMode::default()).await;
    vendure.inside.lock().sets_aside = true;
    world.until("10:01").await;
    // One unit is ordered there, and not shipped.
    vendure.sell("MUG", 1);
    world.until("10:03").await;
    assert_eq!((world.available("MUG"), vendure.shows("MUG"), vendure.on_hand("MUG")), (99, 99, 100));
    assert_eq!((vendure.pushed("MUG"), world.discrepancies()), (vec![], vec![]), "it is not taken off twice");
    // What comes in is on its shelf too, and what it has set aside stays set aside.
    world.receive("MUG", 5).await;
    world.until("10:05").await;
    assert_eq!((world.available("MUG"), vendure.shows("MUG"), vendure.on_hand("MUG")), (104, 104, 105));
    assert_eq!((vendure.pushed("MUG"), world.discrepancies()), (vec![104], vec![]));
}

#[rstest]
#[tokio::test(flavor = "multi_thread")]
async fn example_25_the_answer_was_lost(#[values(Memory, File, Postgres)] kept: Kept) {
    let (mut world, shop) = shop_of_100(kept).await;
    shop.inside.lock().loses_answers = 1;
    world.adjust("MUG", -4).await;
    world.until("10:03").await;
    assert_eq!((shop.shows("MUG"), shop.pushed("MUG")), (96, vec![96]), "acknowledged by reading");
    assert_eq!(world.discrepancies(), vec![]);
    // It had not arrived: sent again.
    shop.inside.lock().loses_pushes = 1;
    world.adjust("MUG", 5).await;
    world.until("10:06").await;
    assert_eq!((shop.shows("MUG"), shop.pushed("MUG")), (101, vec![96, 101]));
    assert_eq!(world.discrepancies(), vec![]);
}

#[rstest]
#[tokio::test(flavor = "multi_thread")]
async fn example_26_no_echo(#[values(Memory, File, Postgres)] kept: Kept) {
    let (mut world, shop) = shop_of_100(kept).await;
    world.adjust("MUG", -4).await;
    let head = world.head();
    world.until("10:10").await;
    assert_eq!((shop.shows("MUG"), shop.pushed("MUG")), (96, vec![96]));
    assert_eq!(world.head(), head, "what we pushed comes back as no entry");
}

#[rstest]
#[tokio::test(flavor = "multi_thread")]
async fn example_27_somebody_else_writes(#[values(Memory, File, Postgres)] kept: Kept) {
    let (mut world, shop) = shop_of_100(kept).await;
    shop.inside.lock().second_master = Some(92);
    world.adjust("MUG", -4).await;
    world.until("10:20").await;
    let pushed = shop.pushed("MUG");
    assert_eq!(pushed, [96, 96, 96], "three times, and no more");
    let open = world.open();
    let second: Vec<_> = open.iter().filter(|(_, found)| found.cause == Cause::SecondMaster).collect();
    assert_eq!(second.len(), 1, "{open:#?}");
    world.until("10:40").await;
    assert_eq!(shop.pushed("MUG"), pushed);
}

#[rstest]
#[tokio::test(flavor = "multi_thread")]
async fn example_28_danger_first(#[values(Memory, File, Postgres)] kept: Kept) {
    let mut world = World::new(kept).await;
    for (sku, quantity) in [("X", 10), ("Y", 5), ("Z", 1)] {
        world.item(sku, quantity).await;
    }
    let shop = world.connect("SHOP", &[("X", 10), ("Y", 5), ("Z", 1)], PutMode::default()).await;
    shop.inside.lock().batch_size = 1;
    world.until("10:01").await;
    // In the other order, while it cannot be reached.
    shop.inside.lock().down = true;
    for (sku, quantity) in [("Z", 49), ("Y", -2), ("X", -10)] {
        world.adjust(sku, quantity).await;
    }
    world.until("10:02").await;
    shop.inside.lock().down = false;
    world.until("10:05").await;
    let pushes = shop.inside.lock().pushes.clone();
    let order: Vec<(&str, i64)> =
        pushes.iter().map(|(_, listing, number)| (listing.as_str(), *number)).collect();
    assert_eq!(order, [("X", 0), ("Y", 3), ("Z", 50)]);
}

#[rstest]
#[tokio::test(flavor = "multi_thread")]
async fn example_29_only_now_counts(#[values(Memory, File, Postgres)] kept: Kept) {
    let mut world = World::new(kept).await;
    world.item("MUG", 5).await;
    let mode = timing(Timing::NearRealTime { debounce_ms: 2_000 });
    let shop = world.connect("SHOP", &[("MUG", 9)], mode).await;
    world.until("10:00:00").await;
    // While the worker waits: 5, 4, 3, 4.
    for by in [-1, -1, 1] {
        world.adjust("MUG", by).await;
    }
    world.until("10:01").await;
    assert_eq!((shop.shows("MUG"), shop.pushed("MUG")), (4, vec![4]), "one push, of 4");
    // What was acknowledged is desired again: none.
    world.adjust("MUG", -1).await;
    world.until("10:01:01").await;
    world.adjust("MUG", 1).await;
    world.until("10:05").await;
    assert_eq!((shop.shows("MUG"), shop.pushed("MUG")), (4, vec![4]));
}

#[rstest]
#[tokio::test(flavor = "multi_thread")]
async fn example_32_time_alone(#[values(Memory, File, Postgres)] kept: Kept) {
    use onhand_ledger::command::{Line, PlaceHold};
    let mut world = World::new(kept).await;
    world.item("MUG", 1).await;
    let first = world.connect("FIRST", &[("MUG", 1)], PutMode::default()).await;
    let second = world.connect("SECOND", &[("MUG", 1)], PutMode::default()).await;
    let line = Line { sku: "MUG".to_owned(), quantity: onhand_ledger::Quantity::ONE, ..Line::default() };
    let expires_at = simulated::time("10:10");
    world.tell(Body::PlaceHold(PlaceHold { lines: vec![line], expires_at, ..PlaceHold::default() })).await;
    world.until("10:09").await;
    assert_eq!((first.shows("MUG"), second.shows("MUG")), (0, 0));
    world.until("10:11").await;
    assert_eq!((first.shows("MUG"), second.shows("MUG")), (1, 1), "nobody called");
}

#[rstest]
#[tokio::test(flavor = "multi_thread")]
async fn example_30_adopting(#[values(Memory, File, Postgres)] kept: Kept) {
    let mut world = World::new(kept).await;
    world.item("MUG", 100).await;
    let shop = world.connect("SHOP", &[("MUG", 100)], policy(Policy::Adopt)).await;
    let other = world.connect("OTHER", &[("MUG", 100)], PutMode::default()).await;
    world.until("10:01").await;
    shop.set("MUG", 97);
    world.until("10:05").await;
    assert_eq!(world.available("MUG"), 97);
    assert_eq!((shop.shows("MUG"), shop.pushed("MUG")), (97, vec![]), "SHOP untouched");
    assert_eq!(other.shows("MUG"), 97);
    assert_eq!(world.discrepancies(), vec![]);
    let adopted = world.adopted();
    assert_eq!(adopted.len(), 1, "once: {adopted:#?}");
    let (actor, note, quantity) = &adopted[0];
    assert_eq!((actor.as_str(), *quantity), ("SHOP", 3));
    assert!(note.contains("from 100 to 97"), "{note}");
    // A worker that begins anew adopts nothing twice.
    world.restart("SHOP");
    world.until("10:10").await;
    assert_eq!((world.available("MUG"), world.adopted().len()), (97, 1));
}

/// Promises that a count breaks are no sales: what is counted empty is a wave, though each item has an order.
#[rstest]
#[tokio::test(flavor = "multi_thread")]
async fn a_count_of_nothing_is_a_wave_though_orders_are_short_by_it(
    #[values(Memory, File, Postgres)] kept: Kept,
    #[values(false, true)] sold_just_before: bool,
) {
    let mut world = World::new(kept).await;
    let skus: Vec<String> = (0..40).map(|number| format!("I{number:02}")).collect();
    for sku in &skus {
        world.item(sku, 10).await;
    }
    let shows: Vec<(&str, i64)> = skus.iter().map(|sku| (sku.as_str(), 10)).collect();
    let shop = world.connect("SHOP", &shows, PutMode::default()).await;
    world.until("10:01").await;
    let order = |sku: &str| {
        let lines = vec![Line { sku: sku.to_owned(), quantity: Quantity::units(2), ..Line::default() }];
        Body::PlaceOrder(PlaceOrder { lines, ..PlaceOrder::default() })
    };
    for sku in &skus {
        world.tell(order(sku)).await;
    }
    if !sold_just_before {
        world.until("10:05").await;
        assert_eq!(shop.shows("I00"), 8);
    }
    let lines = skus.iter().map(|sku| Line { sku: sku.clone(), ..Line::default() }).collect();
    let location = "LONDON".to_owned();
    let count = TakeCount { location, lines, as_of: None, inside: false, system: None, net: false };
    world.tell(Body::Count(count)).await;
    world.until("10:10").await;
    assert!(shop.inside.lock().pushes.iter().all(|(_, _, number)| *number != 0), "no zero went out");
    let held: Vec<_> =
        world.open().into_iter().filter(|(_, found)| found.cause == Cause::ZerosHeld).collect();
    assert_eq!(held.len(), 1, "{held:#?}");
    assert_eq!(held[0].1.quantity.whole_units(), 40);
}

/// To link many listings with what is sold out is a wave too: its orders are none of theirs.
#[rstest]
#[tokio::test(flavor = "multi_thread")]
async fn many_listings_that_are_linked_with_what_is_sold_out_are_a_wave(
    #[values(Memory, File, Postgres)] kept: Kept,
    #[values(false, true)] stopped_meanwhile: bool,
) {
    let mut world = World::new(kept).await;
    let skus: Vec<String> = (0..40).map(|number| format!("I{number:02}")).collect();
    for sku in skus.iter().chain([&"SOLD".to_owned()]) {
        world.item(sku, 10).await;
    }
    let shows: Vec<(&str, i64)> = skus.iter().map(|sku| (sku.as_str(), 10)).collect();
    let shop = world.connect("SHOP", &shows, PutMode::default()).await;
    world.until("10:01").await;
    let lines = vec![Line { sku: "SOLD".to_owned(), quantity: Quantity::units(10), ..Line::default() }];
    world.tell(Body::PlaceOrder(PlaceOrder { lines, ..PlaceOrder::default() })).await;
    for sku in &skus[..26] {
        world.listing("SHOP", sku, "SOLD", 1).await;
    }
    if stopped_meanwhile {
        world.restart("SHOP");
    }
    world.until("10:10").await;
    world.restart("SHOP");
    world.until("10:12").await;
    assert!(shop.inside.lock().pushes.iter().all(|(_, _, number)| *number != 0), "no zero went out");
    let open = world.open();
    assert_eq!(open.iter().map(|(_, found)| found.cause).collect::<Vec<_>>(), [Cause::ZerosHeld]);
    assert_eq!(open[0].1.quantity.whole_units(), 26);
    // What it comes to sell is sold out by orders of its own.
    world.receive("SOLD", 3).await;
    world.until("10:14").await;
    assert_eq!(shop.shows("I00"), 3);
    shop.sell("I00", 3);
    world.until("10:16").await;
    assert_eq!((shop.shows("I00"), shop.shows("I25")), (0, 0));
}

#[rstest]
#[tokio::test(flavor = "multi_thread")]
async fn example_31_waves(#[values(Memory, File, Postgres)] kept: Kept) {
    let mut world = World::new(kept).await;
    let skus: Vec<String> = (0..1_000).map(|number| format!("I{number:04}")).collect();
    for (number, sku) in skus.iter().enumerate() {
        // 300 of them are the last ten.
        world.item(sku, if number < 300 { 10 } else { 50 }).await;
    }
    let shows: Vec<(&str, i64)> = skus
        .iter()
        .enumerate()
        .map(|(number, sku)| (sku.as_str(), if number < 300 { 10 } else { 50 }))
        .collect();
    let shop = world.connect("SHOP", &shows, PutMode::default()).await;
    let other = world.connect("OTHER", &shows, PutMode::default()).await;
    world.until("10:00:30").await;
    // A rule change that would set 300 of 1,000 to zero is held.
    let rule = world.publication("SHOP", Some(20)).await;
    world.until("10:02").await;
    assert!(shop.inside.lock().pushes.iter().all(|(_, _, number)| *number != 0), "no zero went out");
    assert_eq!(shop.pushed("I0500"), [30], "what is no zero went");
    let open = world.open();
    assert_eq!(open.len(), 1, "{open:#?}");
    assert_eq!((open[0].1.cause, open[0].1.quantity.whole_units()), (Cause::ZerosHeld, 300));
    assert!(open[0].1.sentence.starts_with("300 of 1000 listings of SHOP"), "{}", open[0].1.sentence);
    // The last units sold on SHOP send zero elsewhere at once, and here what is held is sold out, too.
    shop.sell("I0007", 10);
    world.until("10:02:05").await;
    assert_eq!((other.shows("I0007"), shop.shows("I0007")), (0, 0));
    other.sell("I0008", 10);
    world.until("10:02:10").await;
    assert_eq!(shop.shows("I0008"), 0, "sold out elsewhere: not held any more");
    // A worker that begins anew holds them still.
    world.restart("SHOP");
    world.until("10:04").await;
    assert_eq!(shop.shows("I0001"), 10);
    // Rejected: they stay as they are, and nobody is asked again.
    let (discrepancy, _) = world.open().into_iter().next().unwrap();
    world.answer(discrepancy, Choice::Reject).await;
    world.until("10:06").await;
    assert_eq!((shop.shows("I0001"), world.open().len()), (10, 0));
    // What made them zero is undone, and done again: approved this time.
    world.tell(Body::EndRule(rule)).await;
    world.until("10:07").await;
    assert_eq!((shop.shows("I0001"), shop.shows("I0500")), (10, 50));
    world.publication("SHOP", Some(20)).await;
    world.until("10:08").await;
    let (discrepancy, found) = world.open().into_iter().next().unwrap();
    assert_eq!((found.quantity.whole_units(), shop.shows("I0001")), (298, 10));
    world.answer(discrepancy, Choice::Approve).await;
    world.until("10:09").await;
    assert_eq!((shop.shows("I0001"), shop.shows("I0299"), world.open().len()), (0, 0, 0));
    assert_eq!(other.shows("I0001"), 10, "the other is another system");
}
