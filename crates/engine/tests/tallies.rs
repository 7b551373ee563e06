//! What the listings of systems come to is what whoever looks at each of them anew finds, whatever happened, here or over there.

#[path = "support/cases.rs"]
mod cases;
#[path = "support/simulated.rs"]
#[expect(dead_code, reason = "other tests use the rest")]
mod simulated;

use onhand_channels::RemoteOrderLine;
use onhand_engine::systems::{SystemStatus, system_status};
use onhand_engine::{Clock as _, View};
use onhand_ledger::command::{
    Line, PlacePurchase, PurchaseOrderLine, PutItem, PutListing, PutMode, PutSystem, ResumeSelling,
    SetOwnership, SetPublication, StopSelling,
};
use onhand_ledger::model::{Direction, Policy};
use onhand_ledger::{Answer, Body, Date, Quantity, RuleId};
use onhand_store::StoreError;
use proptest::prelude::*;
use simulated::{Kept, Simulated, TENANT, World, direction, policy, time};

const SKUS: [&str; 4] = ["MUG", "CUP", "PEN", "SET"];
/// The last has no worker.
const SYSTEMS: [&str; 3] = ["SHOP", "TILL", "OFFICE"];

type Looked = (Vec<SystemStatus>, (Quantity, usize));

fn looked(view: &mut View<'_>, world: &World) -> Result<Looked, StoreError> {
    let mut all = Vec::new();
    for (id, system) in view.systems()? {
        all.push(system_status(view, world.handle.ledger().seal(), id, &system)?);
    }
    Ok((all, view.at_risk()?))
}

/// All that is told, which is as it is found by looking at all listings anew.
fn told(world: &World) -> Looked {
    let both = world.handle.ledger().read(TENANT, |view| {
        let told = looked(view, world)?;
        view.look_anew();
        Ok::<_, StoreError>((told, looked(view, world)?))
    });
    let (told, anew) = both.unwrap();
    assert_eq!(told, anew, "at {}", world.clock.now());
    told
}

/// Looks at some listings, as whoever is about to ask does, while others commit.
fn count_some(world: &World) {
    world.handle.ledger().read(TENANT, |view| view.count_some(250)).unwrap();
}

async fn world(kept: Kept) -> World {
    let mut world = World::new(kept).await;
    for sku in ["MUG", "CUP", "PEN"] {
        world.item(sku, 20).await;
    }
    world.kit("SET", "MUG").await;
    for name in SYSTEMS {
        world.connect(name, &[("MUG", 20), ("CUP", 19), ("SET", 20)], policy(Policy::Ask)).await;
    }
    world.systems.pop();
    world
}

#[derive(Clone, Copy, Debug)]
enum Act {
    /// So much more or less of it is there.
    Adjust(usize, i64),
    /// Somebody buys it in a shop.
    Sell(usize, usize, i64),
    /// And something nobody knows with it: the order waits, and claims what it has sold.
    SellWithMore(usize, usize, i64),
    /// Somebody sets a number over there.
    Set(usize, usize, i64),
    /// It refuses all numbers, or does no more.
    Refuses(usize, bool),
    /// It cannot be reached, or can again.
    Down(usize, bool),
    /// Its next answer is lost.
    LosesAnswer(usize),
    /// A listing is linked to an item, in packs, or ignored.
    Link(usize, usize, Option<usize>, u32),
    /// A system's numbers are left to it, or those of an item; or so much is kept back of them.
    Skip(usize, Option<usize>),
    KeepBack(usize, i64),
    /// The newest rule ends.
    EndRule,
    /// A system is master of an item.
    Master(usize, usize),
    Pause(usize, bool),
    OneWayIn(usize, bool),
    StopSelling(usize),
    ResumeSelling(usize),
    /// The set is made of something else, or no kit any more.
    Recipe(Option<usize>),
    /// Its worker ends, and another begins.
    Restart(usize),
    /// Some listings are looked at.
    CountSome,
    /// So many seconds pass.
    Wait(u64),
}

fn act() -> impl Strategy<Value = Act> {
    let (sku, shop, worked) = (0..SKUS.len(), 0..SYSTEMS.len(), 0..SYSTEMS.len() - 1);
    let component = proptest::option::of(0..SKUS.len() - 1);
    prop_oneof![
        4 => (0..3_usize, -6..6_i64).prop_map(|(sku, change)| Act::Adjust(sku, change)),
        3 => (worked.clone(), sku.clone(), 1..4_i64).prop_map(|(shop, sku, many)| Act::Sell(shop, sku, many)),
        1 => (worked.clone(), sku.clone(), 1..4_i64)
            .prop_map(|(shop, sku, many)| Act::SellWithMore(shop, sku, many)),
        2 => (worked.clone(), sku.clone(), 0..30_i64).prop_map(|(shop, sku, many)| Act::Set(shop, sku, many)),
        1 => (worked.clone(), any::<bool>()).prop_map(|(shop, it)| Act::Refuses(shop, it)),
        1 => (worked.clone(), any::<bool>()).prop_map(|(shop, it)| Act::Down(shop, it)),
        1 => worked.clone().prop_map(Act::LosesAnswer),
        3 => (shop.clone(), sku.clone(), proptest::option::of(sku.clone()), 1..3_u32)
            .prop_map(|(shop, listing, sku, pack)| Act::Link(shop, listing, sku, pack)),
        1 => (shop.clone(), proptest::option::of(sku.clone())).prop_map(|(shop, sku)| Act::Skip(shop, sku)),
        1 => (shop.clone(), 0..5_i64).prop_map(|(shop, many)| Act::KeepBack(shop, many)),
        2 => Just(Act::EndRule),
        1 => (shop.clone(), sku.clone()).prop_map(|(shop, sku)| Act::Master(shop, sku)),
        1 => (shop.clone(), any::<bool>()).prop_map(|(shop, it)| Act::Pause(shop, it)),
        1 => (shop, any::<bool>()).prop_map(|(shop, it)| Act::OneWayIn(shop, it)),
        1 => sku.clone().prop_map(Act::StopSelling),
        1 => sku.prop_map(Act::ResumeSelling),
        1 => component.prop_map(Act::Recipe),
        1 => worked.prop_map(Act::Restart),
        1 => Just(Act::CountSome),
        5 => (1..40_u64).prop_map(Act::Wait),
    ]
}

fn system(shop: usize) -> PutSystem {
    PutSystem { name: SYSTEMS[shop].to_owned(), kind: "test".to_owned(), ..PutSystem::default() }
}

/// What may be refused changes nothing.
async fn tell(world: &World, body: Body) -> Option<Answer> {
    world.handle.submit(TENANT, World::command(body)).await.ok().map(|committed| committed.answer)
}

async fn set(world: &World, rules: &mut Vec<RuleId>, body: Body) {
    if let Some(Answer::Rule(rule)) = tell(world, body).await {
        rules.push(rule);
    }
}

fn sell(shop: &Simulated, listing: &str, many: i64) {
    shop.inside.lock().numbers.entry(listing.to_owned()).or_insert(5);
    shop.sell(listing, many);
}

async fn play(world: &mut World, rules: &mut Vec<RuleId>, act: Act) {
    let name = |shop: usize| Some(SYSTEMS[shop].to_owned());
    let sku_of = |sku: usize| Some(SKUS[sku].to_owned());
    match act {
        Act::Adjust(_, 0) => {}
        Act::Adjust(sku, change) => world.adjust(SKUS[sku], change).await,
        Act::Sell(shop, sku, many) => sell(&world.systems[shop].0, SKUS[sku], many),
        Act::SellWithMore(shop, sku, many) => {
            let shop = &world.systems[shop].0;
            sell(shop, SKUS[sku], many);
            if let Some(order) = shop.inside.lock().orders.last_mut() {
                let (line, listing) = ("2".to_owned(), "NOWHERE".to_owned());
                let unknown = RemoteOrderLine { line, listing, ..order.lines[0].clone() };
                order.lines.push(unknown);
            }
        }
        Act::Set(shop, sku, many) => world.systems[shop].0.set(SKUS[sku], many),
        Act::Refuses(shop, it) => world.systems[shop].0.inside.lock().refuses = it,
        Act::Down(shop, it) => world.systems[shop].0.inside.lock().down = it,
        Act::LosesAnswer(shop) => world.systems[shop].0.inside.lock().loses_answers = 1,
        Act::Link(shop, listing, sku, multiplier) => {
            if let Some((simulated, ..)) = world.systems.get(shop) {
                simulated.inside.lock().numbers.entry(SKUS[listing].to_owned()).or_insert(5);
            }
            let put = PutListing {
                system: SYSTEMS[shop].to_owned(),
                remote_id: SKUS[listing].to_owned(),
                remote_sku: None,
                sku: sku.and_then(sku_of),
                multiplier,
                found: false,
            };
            tell(world, Body::PutListing(put)).await;
        }
        Act::Skip(shop, sku) => {
            let (system, sku, skip) = (name(shop), sku.and_then(sku_of), Some(true));
            let rule = SetPublication { system, sku, skip, ..SetPublication::default() };
            set(world, rules, Body::SetPublication(rule)).await;
        }
        Act::KeepBack(shop, many) => {
            let (system, buffer) = (name(shop), Some(Quantity::units(many)));
            let rule = SetPublication { system, buffer, ..SetPublication::default() };
            set(world, rules, Body::SetPublication(rule)).await;
        }
        Act::EndRule => {
            if let Some(rule) = rules.pop() {
                tell(world, Body::EndRule(rule)).await;
            }
        }
        Act::Master(shop, sku) => {
            let (sku, master) = (sku_of(sku), SYSTEMS[shop].to_owned());
            let rule = SetOwnership { sku, master, ..SetOwnership::default() };
            set(world, rules, Body::SetOwnership(rule)).await;
        }
        Act::Pause(shop, it) => {
            tell(world, Body::PutSystem(PutSystem { paused: Some(it), ..system(shop) })).await;
        }
        Act::OneWayIn(shop, it) => {
            let mode = direction(if it { Direction::OneWayIn } else { Direction::TwoWay });
            tell(world, Body::PutSystem(PutSystem { mode: Some(mode), ..system(shop) })).await;
        }
        Act::StopSelling(sku) => {
            let (sku, tag, reason) = (sku_of(sku), None, "it broke".to_owned());
            tell(world, Body::StopSelling(StopSelling { sku, tag, reason })).await;
        }
        Act::ResumeSelling(sku) => {
            tell(world, Body::ResumeSelling(ResumeSelling { sku: sku_of(sku), tag: None })).await;
        }
        Act::Recipe(component) => {
            let line =
                |sku: usize| Line { sku: SKUS[sku].to_owned(), quantity: Quantity::ONE, ..Line::default() };
            let kit = Some(component.map(line).into_iter().collect());
            tell(world, Body::PutItem(PutItem { sku: "SET".to_owned(), kit, ..PutItem::default() })).await;
        }
        Act::Restart(shop) => world.restart(SYSTEMS[shop]),
        Act::CountSome => count_some(world),
        Act::Wait(seconds) => {
            let end = world.clock.now().plus_seconds(i64::try_from(seconds).unwrap()).to_string();
            let (_, end) = end.split_once('T').unwrap();
            world.until(&end[..8]).await;
        }
    }
}

fn story(kept: Kept, acts: &[Act]) {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    runtime.block_on(async {
        let (mut world, mut rules) = (world(kept).await, Vec::new());
        for act in acts {
            told(&world);
            play(&mut world, &mut rules, *act).await;
        }
        told(&world);
    });
}

proptest! {
    #![proptest_config(cases::config(40, 400))]

    #[test]
    fn whatever_happens_what_is_told_is_what_there_is(acts in proptest::collection::vec(act(), 1..40)) {
        story(Kept::Memory, &acts);
    }
}

proptest! {
    #![proptest_config(cases::config(2, 20))]

    #[test]
    fn beside_other_nodes_too(acts in proptest::collection::vec(act(), 20..30)) {
        story(Kept::Postgres, &acts);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn of_what_is_expected_time_alone_changes_what_is_told() {
    let mut world = World::new(Kept::Memory).await;
    world.item("MUG", 10).await;
    world.connect("SHOP", &[("MUG", 10)], PutMode::default()).await;
    world.publication_of("SHOP", |rule| rule.incoming_days = Some(1)).await;
    world.until("10:01").await;
    let line = PurchaseOrderLine {
        pack: None,
        sku: "MUG".to_owned(),
        quantity: Quantity::units(5),
        expected_on: Some(Date::new(2026, 11, 25).unwrap()),
        unit_cost: None,
    };
    let (supplier, location, lines) = ("Potter".to_owned(), "LONDON".to_owned(), vec![line]);
    let purchase = PlacePurchase { supplier, reference: None, location, expected_on: None, lines };
    world.tell(Body::PlacePurchase(purchase)).await;
    let in_step = |world: &World| told(world).0.iter().map(|status| status.in_step).sum::<usize>();
    assert_eq!(in_step(&world), 1, "tomorrow it will be expected within a day");
    // What nobody asks for in an hour is looked at anew.
    world.clock.set(time("23:59:59"));
    assert_eq!(in_step(&world), 1);
    world.clock.set(time("23:59:59").plus_seconds(2));
    assert_eq!(in_step(&world), 0, "SHOP is not told yet");
}
