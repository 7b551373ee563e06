//! What becomes of a number that somebody changed over there: through the worker, on simulated systems and a clock that stands still
//! until it is set.

#[path = "support/simulated.rs"]
#[expect(dead_code, reason = "the examples use the rest")]
mod simulated;

use onhand_engine::policies::unadoptable;
use onhand_ledger::Body;
use onhand_ledger::command::{PutListing, PutMode, PutSystem, SetOwnership};
use onhand_ledger::model::{Cause, Choice, Policy};
use rstest::rstest;
use simulated::Kept::{self, File, Memory, Postgres};
use simulated::{Simulated, TENANT, World, policy};

/// SHOP shows 100 of MUG, as it should, since 10:00.
async fn shop_of_100(kept: Kept, mode: PutMode) -> (World, std::sync::Arc<Simulated>) {
    let mut world = World::new(kept).await;
    world.item("MUG", 100).await;
    let shop = world.connect("SHOP", &[("MUG", 100)], mode).await;
    world.until("10:01").await;
    (world, shop)
}

#[rstest]
#[tokio::test(flavor = "multi_thread")]
async fn asked_about_and_set_back(#[values(Memory, File, Postgres)] kept: Kept) {
    let (mut world, shop) = shop_of_100(kept, policy(Policy::Ask)).await;
    shop.set("MUG", 97);
    world.until("10:05").await;
    let open = world.open();
    assert_eq!(open.len(), 1, "{open:#?}");
    let (id, found) = &open[0];
    assert_eq!((found.cause, found.quantity.whole_units()), (Cause::ManualEdit, -3));
    assert_eq!(found.choices, [Choice::SetBack, Choice::Adopt]);
    // Nothing is sent for it until then, whatever changes; sales go on being heard of.
    world.adjust("MUG", -10).await;
    shop.sell("MUG", 1);
    world.until("10:10").await;
    assert_eq!((shop.shows("MUG"), shop.pushed("MUG"), world.available("MUG")), (96, vec![], 89));
    world.answer(*id, Choice::SetBack).await;
    world.until("10:12").await;
    assert_eq!((shop.shows("MUG"), world.available("MUG"), world.open().len()), (89, 89, 0));
}

#[rstest]
#[tokio::test(flavor = "multi_thread")]
async fn asked_about_and_adopted(#[values(Memory, File, Postgres)] kept: Kept) {
    let (mut world, shop) = shop_of_100(kept, policy(Policy::Ask)).await;
    shop.set("MUG", 97);
    world.until("10:05").await;
    // Changed once more before the answer: it is one question, of both.
    shop.set("MUG", 95);
    world.until("10:10").await;
    let open = world.open();
    assert_eq!(open.len(), 1, "{open:#?}");
    assert_eq!(open[0].1.quantity.whole_units(), -5);
    world.restart("SHOP");
    world.until("10:11").await;
    world.answer(open[0].0, Choice::Adopt).await;
    world.until("10:15").await;
    assert_eq!((world.available("MUG"), shop.shows("MUG"), shop.pushed("MUG")), (95, 95, vec![]));
    assert_eq!((world.adopted().len(), world.open().len()), (1, 0));
}

#[rstest]
#[tokio::test(flavor = "multi_thread")]
async fn an_answer_that_came_while_nobody_worked_is_heard_of(#[values(Memory, File, Postgres)] kept: Kept) {
    for choice in [Choice::Adopt, Choice::SetBack] {
        let (mut world, shop) = shop_of_100(kept, policy(Policy::Ask)).await;
        shop.set("MUG", 97);
        world.until("10:05").await;
        let (id, _) = world.open()[0].clone();
        world.answer(id, choice).await;
        world.restart("SHOP");
        world.until("10:10").await;
        let number = if choice == Choice::Adopt { 97 } else { 100 };
        assert_eq!((world.available("MUG"), shop.shows("MUG")), (number, number));
    }
}

#[rstest]
#[tokio::test(flavor = "multi_thread")]
async fn a_question_is_over_once_it_is_changed_back_or_counted_here(
    #[values(Memory, File, Postgres)] kept: Kept,
) {
    let (mut world, shop) = shop_of_100(kept, policy(Policy::Ask)).await;
    shop.set("MUG", 97);
    world.until("10:05").await;
    assert_eq!(world.open().len(), 1);
    shop.set("MUG", 100);
    world.until("10:10").await;
    assert_eq!((world.open(), shop.pushed("MUG")), (vec![], vec![]));
    shop.set("MUG", 97);
    world.until("10:20").await;
    assert_eq!(world.open().len(), 1);
    world.adjust("MUG", -3).await;
    world.until("10:25").await;
    assert_eq!((world.open(), shop.pushed("MUG"), world.available("MUG")), (vec![], vec![], 97));
}

#[rstest]
#[tokio::test(flavor = "multi_thread")]
async fn a_rule_that_comes_later_keeps_from_adopting_and_is_told(
    #[values(Memory, File, Postgres)] kept: Kept,
) {
    let (mut world, shop) = shop_of_100(kept, policy(Policy::Adopt)).await;
    let cap = world.publication_of("SHOP", |rule| rule.cap = Some(onhand_ledger::Quantity::units(500))).await;
    world.until("10:02").await;
    let open = world.open();
    assert_eq!(open.len(), 1, "{open:#?}");
    assert_eq!(open[0].1.cause, Cause::CannotAdopt);
    assert!(open[0].1.sentence.contains("no cap, percentage or stop"), "{}", open[0].1.sentence);
    shop.set("MUG", 97);
    world.until("10:06").await;
    let asked: Vec<_> =
        world.open().into_iter().filter(|(_, found)| found.cause == Cause::ManualEdit).collect();
    assert_eq!(asked.len(), 1);
    assert_eq!(asked[0].1.choices, [Choice::SetBack], "asked about, and not to be adopted");
    assert_eq!(world.available("MUG"), 100);
    world.answer(asked[0].0, Choice::SetBack).await;
    world.tell(Body::EndRule(cap)).await;
    world.until("10:10").await;
    assert_eq!((shop.shows("MUG"), world.open().len()), (100, 0), "told no longer");
    shop.set("MUG", 97);
    world.until("10:20").await;
    assert_eq!((world.available("MUG"), shop.shows("MUG")), (97, 97));
}

#[rstest]
#[tokio::test(flavor = "multi_thread")]
async fn where_another_is_master_an_edit_is_proposed_to_it_and_never_adopted(
    #[values(Memory, File, Postgres)] kept: Kept,
) {
    let (mut world, shop) = shop_of_100(kept, policy(Policy::Adopt)).await;
    let wms = PutSystem { name: "WMS".to_owned(), kind: "test".to_owned(), ..PutSystem::default() };
    world.tell(Body::PutSystem(wms)).await;
    let set = SetOwnership {
        location: Some("LONDON".to_owned()),
        group: None,
        sku: None,
        tag: None,
        master: "WMS".to_owned(),
    };
    world.tell(Body::SetOwnership(set)).await;
    shop.set("MUG", 97);
    world.until("10:06").await;
    assert_eq!((world.available("MUG"), shop.shows("MUG"), world.adopted().len()), (100, 100, 0));
    let found = world.discrepancies();
    assert_eq!(found.len(), 1, "{found:#?}");
    assert_eq!(found[0].1.cause, Cause::NotMaster);
    assert!(found[0].1.sentence.contains("proposed to WMS"), "{}", found[0].1.sentence);
}

#[rstest]
#[tokio::test(flavor = "multi_thread")]
async fn more_than_there_is_cannot_be_adopted(#[values(Memory, File, Postgres)] kept: Kept) {
    let (mut world, shop) = shop_of_100(kept, policy(Policy::Adopt)).await;
    shop.inside.lock().compares = true;
    shop.set("MUG", 50);
    world.adjust("MUG", -98).await;
    world.until("10:05").await;
    let open = world.open();
    assert_eq!(open.len(), 1, "{open:#?}");
    assert_eq!((open[0].1.cause, open[0].1.choices.clone()), (Cause::ManualEdit, vec![Choice::SetBack]));
    assert_eq!((world.available("MUG"), shop.shows("MUG")), (2, 50));
    world.answer(open[0].0, Choice::SetBack).await;
    world.until("10:07").await;
    assert_eq!((shop.shows("MUG"), world.open().len()), (2, 0));
}

#[rstest]
#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_adopted_is_found_when_it_is_saved(#[values(Memory, File, Postgres)] kept: Kept) {
    let (world, _) = shop_of_100(kept, PutMode::default()).await;
    let found = || {
        world.handle.ledger().read(TENANT, |view| {
            let (id, system) = view.system_by_name("SHOP")?.unwrap();
            unadoptable(view, id, &system)
        })
    };
    assert_eq!(found().unwrap(), None);
    world.kit("SET", "MUG").await;
    let listing = PutListing {
        system: "SHOP".to_owned(),
        remote_id: "SET".to_owned(),
        remote_sku: None,
        sku: Some("SET".to_owned()),
        multiplier: 1,
        found: false,
    };
    world.tell(Body::PutListing(listing)).await;
    let kit = found().unwrap().unwrap();
    assert_eq!((kit.listings, kit.listing.as_str()), (1, "SET"));
    assert!(kit.barrier.to_string().contains("it is a kit"));
    world.publication("SHOP", None).await;
    world.publication_of("SHOP", |rule| rule.percentage = Some(50)).await;
    let both = found().unwrap().unwrap();
    assert_eq!(both.listings, 2);
}

/// What differs is written, and a write that was lost and sent again arrives after all: its difference is taken off twice.
#[rstest]
#[tokio::test(flavor = "multi_thread")]
async fn a_difference_that_arrives_late_is_adopted_by_nobody(
    #[values(Memory, File, Postgres)] kept: Kept,
    #[values(Policy::Adopt, Policy::MasterWins)] which: Policy,
    #[values(false, true)] stopped_meanwhile: bool,
) {
    let mut world = World::new(kept).await;
    world.item("MUG", 100).await;
    let shop = world.connect("SHOP", &[("MUG", 100)], policy(which)).await;
    shop.inside.lock().differences = true;
    world.until("10:01").await;
    shop.inside.lock().loses_pushes = 1;
    world.adjust("MUG", -10).await;
    if stopped_meanwhile {
        world.until("10:01:01").await;
        world.restart("SHOP");
    }
    world.until("10:03").await;
    assert_eq!((shop.shows("MUG"), world.open().len()), (90, 0));
    shop.set("MUG", 80);
    world.until("10:08").await;
    let told = world.discrepancies();
    assert_eq!(
        told.iter().map(|(_, found)| found.cause).collect::<Vec<_>>(),
        [Cause::Unexplained],
        "{told:#?}"
    );
    for (asked, _) in world.open().into_iter().filter(|(_, found)| !found.choices.is_empty()) {
        world.answer(asked, Choice::SetBack).await;
    }
    world.until("10:12").await;
    assert_eq!((world.available("MUG"), world.adopted().len(), shop.shows("MUG")), (90, 0, 90));
}
