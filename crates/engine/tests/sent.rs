//! Orders that are sent to a warehouse that somebody else runs, and what becomes of them.

#[path = "support/cases.rs"]
mod cases;
#[path = "support/yard.rs"]
#[expect(dead_code, reason = "what is not an order is tried elsewhere")]
mod yard;

use onhand_engine::Options;
use onhand_ledger::command::{Line, Reallocate, Receive, TakeCount};
use onhand_ledger::model::Cause;
use onhand_ledger::{Body, OrderId, Quantity, StockState};
use onhand_store::{MemoryStore, PostgresStore, PostgresUrl, SqliteStore, Store};
use proptest::prelude::*;
use yard::{Yard, time};

/// Every way a ledger is kept, with everything cached and with nothing.
fn stores() -> Vec<(Box<dyn Store>, Options, Option<tempfile::TempDir>)> {
    let evicting = Options { flush_at: 0, slice: 1, cache: 0 };
    let mut all: Vec<(Box<dyn Store>, Options, Option<tempfile::TempDir>)> =
        vec![(Box::new(MemoryStore::default()), Options::default(), None)];
    for options in [Options::default(), evicting] {
        let folder = tempfile::tempdir().unwrap();
        let store = SqliteStore::open(&folder.path().join("test.db")).unwrap();
        all.push((Box::new(store), options, Some(folder)));
    }
    if std::env::var_os("ONHAND_WITHOUT_POSTGRESQL").is_none() {
        let address = PostgresUrl::parse(&onhand_testpg::database(), None).unwrap();
        let store = PostgresStore::open(&address).unwrap();
        all.push((Box::new(store), Options { flush_at: 0, ..Options::default() }, None));
    }
    all
}

async fn yard(berlin: i64, paris: i64) -> Yard {
    Yard::over(Box::new(MemoryStore::default()), Options::default(), berlin, paris).await
}

/// The name and the one line of what is open over there.
fn only_open(yard: &Yard) -> (String, String, i64) {
    let open = yard.warehouse.open();
    assert_eq!(open.len(), 1, "{open:?}");
    let (name, lines) = &open[0];
    (name.clone(), lines[0].0.clone(), lines[0].1)
}

#[tokio::test(flavor = "multi_thread")]
async fn an_order_is_sent_to_the_master_of_its_stock_and_ships_once_by_its_word() {
    for (store, options, _folder) in stores() {
        let mut yard = Yard::over(store, options, 10, 10).await;
        let order = yard.order("1044", 3).await;
        yard.work().await;
        assert_eq!((yard.says(order), yard.warehouse.inside.lock().calls), ("accepted", 1));
        let (name, line, units) = only_open(&yard);
        assert_eq!(units, 3);
        {
            let inside = yard.warehouse.inside.lock();
            let asked = &inside.jobs[&name].asked;
            assert_eq!((asked.location.as_str(), asked.order.as_str()), ("yard", "1044"));
            assert_eq!((asked.order_system.as_str(), asked.lines[0].sku.as_str()), ("SHOP", "MUG"));
        }
        yard.warehouse.ship(&name, &line, 1);
        yard.work().await;
        assert_eq!((yard.says(order), yard.stands(order)), ("part_shipped", (2, 0, 0, 1)));
        yard.warehouse.ship_all(&name);
        yard.work().await;
        assert_eq!((yard.says(order), yard.stands(order)), ("shipped", (0, 0, 0, 3)));
        let shown = yard.sent(order);
        assert_eq!(shown[0].parcels[1].0.tracking.as_deref(), Some("T2"));
        assert_eq!((yard.on_hand("BERLIN"), yard.on_hand("PARIS")), (7, 10));
        assert_eq!(yard.warehouse.inside.lock().calls, 1, "nothing more was to be said");
        assert_eq!(yard.open(), []);
        yard.must_be_sound();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_amendment_and_a_cancellation_are_the_same_document_with_another_version() {
    let mut yard = yard(10, 10).await;
    let order = yard.order("1044", 3).await;
    yard.work().await;
    yard.order("1044", 5).await;
    yard.work().await;
    assert_eq!((only_open(&yard).2, yard.says(order)), (5, "accepted"));
    yard.order("1044", 2).await;
    yard.work().await;
    assert_eq!(only_open(&yard).2, 2);
    yard.order("1044", 0).await;
    yard.work().await;
    assert_eq!((yard.warehouse.open(), yard.says(order)), (vec![], "cancelled"));
    let (jobs, calls) = {
        let inside = yard.warehouse.inside.lock();
        (inside.jobs.len(), inside.calls)
    };
    assert_eq!((jobs, calls), (1, 4));
    assert_eq!(yard.held("BERLIN", StockState::Available), 10);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_refused_is_promised_elsewhere_and_not_there_again() {
    for (store, options, _folder) in stores() {
        let mut yard = Yard::over(store, options, 10, 2).await;
        yard.warehouse.inside.lock().refuses = true;
        let order = yard.order("1044", 3).await;
        yard.work().await;
        assert_eq!((yard.says(order), yard.stands(order)), ("refused", (0, 2, 1, 0)));
        assert_eq!(yard.sent(order)[0].reason.as_deref(), Some("not today"));
        let short = yard.open();
        assert_eq!((short.len(), short[0].cause), (1, Cause::Short));
        assert!(
            short[0]
                .sentence
                .starts_with("WMS does not ship 3 of MUG from BERLIN (not today). Order 1044 wants"),
            "{}",
            short[0].sentence
        );
        // Berlin has ten, and is not asked again: not by another order's end, nor by time.
        let other = yard.order("1045", 1).await;
        yard.work().await;
        yard.order("1045", 0).await;
        yard.later(600).await;
        assert_eq!((yard.stands(order), yard.stands(other)), ((0, 2, 1, 0), (0, 0, 0, 0)));
        assert!(yard.warehouse.inside.lock().calls <= 3, "it is not asked for ever");
        // It is where goods come in: here elsewhere, which ends what was short.
        let lines = vec![Line { sku: "MUG".to_owned(), quantity: Quantity::units(1), ..Line::default() }];
        let location = "PARIS".to_owned();
        yard.tell(Body::Receive(Receive { location, lines, occurred_at: None, reason: None })).await;
        assert_eq!((yard.stands(order), yard.open().len()), ((0, 3, 0, 0), 0));
        yard.must_be_sound();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_place_that_declined_is_asked_again_once_goods_come_in_there_or_somebody_says_so() {
    let mut yard = yard(10, 1).await;
    yard.warehouse.inside.lock().refuses = true;
    let order = yard.order("1044", 3).await;
    yard.work().await;
    assert_eq!(yard.stands(order), (0, 1, 2, 0));
    // The master counts more than we knew.
    let lines = vec![Line { sku: "MUG".to_owned(), quantity: Quantity::units(12), ..Line::default() }];
    let (location, system) = ("BERLIN".to_owned(), Some("WMS".to_owned()));
    let count = |lines| TakeCount {
        location: location.clone(),
        lines,
        as_of: None,
        inside: false,
        system: system.clone(),
        net: false,
    };
    yard.tell(Body::Count(count(lines))).await;
    yard.work().await;
    assert_eq!(yard.stands(order), (0, 1, 2, 0), "asked once more, and refused");
    let jobs = yard.warehouse.inside.lock().jobs.len();
    assert_eq!(jobs, 2, "what is over is not opened again");
    yard.warehouse.inside.lock().refuses = false;
    yard.tell(Body::Reallocate(Reallocate { order, away_from: None })).await;
    yard.work().await;
    assert_eq!(yard.stands(order), (3, 0, 0, 0));
    assert_eq!((only_open(&yard).2, yard.warehouse.inside.lock().jobs.len()), (3, 3));
    assert_eq!(yard.open(), []);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_found_is_promised_elsewhere_and_the_rest_ships() {
    for (store, options, _folder) in stores() {
        let mut yard = Yard::over(store, options, 10, 10).await;
        let order = yard.order("1044", 5).await;
        yard.work().await;
        let (name, line, _) = only_open(&yard);
        yard.warehouse.lack(&name, &line, 2);
        yard.work().await;
        assert_eq!(yard.stands(order), (3, 2, 0, 0));
        assert_eq!(only_open(&yard).2, 3, "and is told that this is right");
        yard.warehouse.ship_all(&name);
        yard.work().await;
        assert_eq!((yard.stands(order), yard.says(order)), ((0, 2, 0, 3), "shipped"));
        assert_eq!(yard.on_hand("BERLIN"), 7);
        let found = yard.open();
        assert_eq!(
            (found.len(), found[0].cause, found[0].quantity),
            (1, Cause::NotFound, Quantity::units(2))
        );
        let sentence =
            "2 of MUG for order 1044 were not found at BERLIN (not found). By the books they are still there";
        assert!(found[0].sentence.starts_with(sentence), "{}", found[0].sentence);
        yard.must_be_sound();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_found_twice_counts_once_and_what_is_found_after_all_may_leave() {
    let mut yard = yard(10, 1).await;
    let order = yard.order("1044", 5).await;
    yard.work().await;
    let (name, line, _) = only_open(&yard);
    // Nothing that we send arrives meanwhile: it goes on answering to the first version.
    yard.warehouse.inside.lock().loses_sent = 1_000;
    yard.warehouse.lack(&name, &line, 1);
    yard.work().await;
    assert_eq!(yard.stands(order), (4, 1, 0, 0));
    yard.warehouse.ship(&name, &line, 1);
    yard.work().await;
    assert_eq!(yard.stands(order), (3, 1, 0, 1), "the one that lacks is told of again");
    yard.warehouse.lack(&name, &line, 1);
    yard.work().await;
    assert_eq!(yard.stands(order), (2, 1, 1, 1));
    yard.warehouse.find(&name);
    yard.work().await;
    assert_eq!(yard.stands(order), (3, 1, 0, 1), "what is short is promised there again");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_to_an_older_version_takes_nothing_from_a_newer_one() {
    let mut yard = yard(10, 10).await;
    let order = yard.order("1044", 5).await;
    yard.work().await;
    let (name, line, _) = only_open(&yard);
    yard.warehouse.inside.lock().loses_sent = 1_000;
    yard.order("1044", 3).await;
    yard.work().await;
    // Of the five that it knows of it finds three: that is all that is wanted.
    yard.warehouse.lack(&name, &line, 2);
    yard.work().await;
    assert_eq!(yard.stands(order), (3, 0, 0, 0));
    assert!(yard.sent(order)[0].is_pending);
    yard.warehouse.inside.lock().loses_sent = 0;
    yard.later(600).await;
    assert_eq!((only_open(&yard).2, yard.stands(order)), (3, (3, 0, 0, 0)));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lost_answer_is_asked_for_by_the_same_name_and_never_doubled() {
    let mut yard = yard(10, 10).await;
    yard.warehouse.inside.lock().loses_answers = 2;
    yard.warehouse.inside.lock().is_quiet = true;
    let order = yard.order("1044", 3).await;
    yard.worker.step().await;
    assert_eq!(yard.warehouse.inside.lock().jobs.len(), 1);
    yard.later(60).await;
    assert_eq!((yard.warehouse.inside.lock().jobs.len(), yard.says(order)), (1, "accepted"));
    assert_eq!(only_open(&yard).2, 3);
    // What never arrived is sent until it does, however long that takes.
    yard.warehouse.inside.lock().loses_sent = 5;
    let other = yard.order("1045", 2).await;
    yard.later(5).await;
    assert_eq!(
        (yard.says(other), yard.sent(other)[0].trouble.as_deref()),
        ("unknown", Some("the line broke"))
    );
    yard.later(600).await;
    assert_eq!(yard.says(other), "accepted");
    assert_eq!(yard.warehouse.open().len(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_left_before_the_cancellation_came_is_said_and_moved_once() {
    let mut yard = yard(10, 10).await;
    let order = yard.order("1044", 3).await;
    yard.work().await;
    let (name, ..) = only_open(&yard);
    yard.warehouse.ship_all(&name);
    yard.order("1044", 0).await;
    yard.work().await;
    assert_eq!((yard.on_hand("BERLIN"), yard.says(order)), (7, "shipped"));
    assert_eq!(yard.held("BERLIN", StockState::Available), 7);
    assert_eq!(yard.open().iter().map(|found| found.cause).collect::<Vec<_>>(), [Cause::MoreThanOrdered]);
    yard.must_be_sound();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_paused_system_is_sent_nothing_and_one_that_gets_its_orders_itself_never() {
    use onhand_ledger::command::PutSystem;
    use onhand_ledger::model::GetsOrders;
    let mut yard = yard(10, 10).await;
    let put = || PutSystem { name: "WMS".to_owned(), kind: "yard".to_owned(), ..PutSystem::default() };
    yard.tell(Body::PutSystem(PutSystem { paused: Some(true), ..put() })).await;
    let order = yard.order("1044", 3).await;
    yard.work().await;
    assert_eq!(yard.says(order), "nothing");
    yard.tell(Body::PutSystem(PutSystem { paused: Some(false), ..put() })).await;
    yard.work().await;
    assert_eq!(yard.says(order), "accepted");
    // What it has of ours is taken back once others send it its orders.
    let itself = Some(GetsOrders::ByItself);
    yard.tell(Body::PutSystem(PutSystem { gets_orders: itself, ..put() })).await;
    yard.order("1045", 1).await;
    yard.work().await;
    assert_eq!((yard.warehouse.open(), yard.says(order)), (vec![], "cancelled"));
    assert_eq!(yard.stands(order), (3, 0, 0, 0), "it is promised there all the same");
}

/// Stopped at each place where it waits for something, nothing is sent as another document, and nothing ships twice.
#[tokio::test(flavor = "multi_thread")]
async fn a_worker_that_is_stopped_anywhere_sends_and_hears_all_once() {
    for stop_at in 1..200 {
        // It waits less often where what it hands in is committed before it looks: each place is tried several times.
        let mut ended = true;
        for _ in 0..4 {
            let mut yard = yard(20, 20).await;
            yard.worker.step().await;
            let first = yard.order("1", 3).await;
            yard.work().await;
            let (name, line, _) = only_open(&yard);
            yard.warehouse.ship(&name, &line, 1);
            yard.warehouse.lack(&name, &line, 1);
            let second = yard.order("2", 2).await;
            yard.order("3", 4).await;
            yard.clock.set(time("10:01"));
            ended &= yard.stopped_at(stop_at).await;
            yard.later(30).await;
            assert_eq!((yard.stands(first), yard.stands(second)), ((1, 1, 0, 1), (2, 0, 0, 0)), "{stop_at}");
            assert_eq!(yard.warehouse.inside.lock().jobs.len(), 3, "{stop_at}");
            let open: i64 =
                yard.warehouse.open().iter().flat_map(|(_, lines)| lines).map(|(_, units)| units).sum();
            assert_eq!((open, yard.on_hand("BERLIN")), (1 + 2 + 4, 19), "{stop_at}");
            yard.must_be_sound();
        }
        if ended {
            assert!(stop_at > 5, "it waits several times: {stop_at}");
            return;
        }
    }
    panic!("it never ended");
}

#[derive(Clone, Debug)]
enum Act {
    Order(usize, i64),
    Ship(usize, i64),
    ShipAll(usize),
    Lack(usize, i64),
    Find(usize),
    Refuse(usize),
    LoseAnswers(u32),
    LoseSent(u32),
    Quiet(bool),
    Refusing(bool),
    Muddled(bool),
    Down(bool),
    Receive(i64),
    Reallocate(usize),
    Step,
    Stop(usize),
    Later(i64),
}

fn act() -> impl Strategy<Value = Act> {
    prop_oneof![
        6 => (0..6_usize, 0..5_i64).prop_map(|(order, units)| Act::Order(order, units)),
        4 => (0..6_usize, 1..3_i64).prop_map(|(job, units)| Act::Ship(job, units)),
        2 => (0..6_usize).prop_map(Act::ShipAll),
        3 => (0..6_usize, 1..3_i64).prop_map(|(job, units)| Act::Lack(job, units)),
        1 => (0..6_usize).prop_map(Act::Find),
        1 => (0..6_usize).prop_map(Act::Refuse),
        1 => (1..3_u32).prop_map(Act::LoseAnswers),
        1 => (1..3_u32).prop_map(Act::LoseSent),
        1 => any::<bool>().prop_map(Act::Quiet),
        1 => any::<bool>().prop_map(Act::Refusing),
        1 => any::<bool>().prop_map(Act::Muddled),
        1 => any::<bool>().prop_map(Act::Down),
        1 => (1..4_i64).prop_map(Act::Receive),
        1 => (0..6_usize).prop_map(Act::Reallocate),
        8 => Just(Act::Step),
        2 => (1..12_usize).prop_map(Act::Stop),
        3 => (1..400_i64).prop_map(Act::Later),
    ]
}

/// The so-many-eth of what is open over there.
fn nth_open(yard: &Yard, nth: usize) -> Option<(String, String, i64)> {
    let open = yard.warehouse.open();
    let (name, lines) = open.get(nth % open.len().max(1))?;
    Some((name.clone(), lines[0].0.clone(), lines[0].1))
}

async fn play(yard: &mut Yard, act: &Act) {
    match act {
        Act::Order(order, units) => drop(yard.order(&format!("{order}"), *units).await),
        Act::Ship(nth, units) => {
            if let Some((name, line, open)) = nth_open(yard, *nth) {
                yard.warehouse.ship(&name, &line, open.min(*units));
            }
        }
        Act::ShipAll(nth) => {
            if let Some((name, ..)) = nth_open(yard, *nth) {
                yard.warehouse.ship_all(&name);
            }
        }
        Act::Lack(nth, units) => {
            if let Some((name, line, open)) = nth_open(yard, *nth) {
                yard.warehouse.lack(&name, &line, open.min(*units));
            }
        }
        Act::Find(nth) => {
            if let Some((name, ..)) = nth_open(yard, *nth) {
                yard.warehouse.find(&name);
            }
        }
        Act::Refuse(nth) => {
            if let Some((name, ..)) = nth_open(yard, *nth) {
                yard.warehouse.refuse(&name);
            }
        }
        Act::LoseAnswers(times) => yard.warehouse.inside.lock().loses_answers = *times,
        Act::LoseSent(times) => yard.warehouse.inside.lock().loses_sent = *times,
        Act::Quiet(is) => yard.warehouse.inside.lock().is_quiet = *is,
        Act::Refusing(is) => yard.warehouse.inside.lock().refuses = *is,
        Act::Muddled(is) => yard.warehouse.inside.lock().is_muddled = *is,
        Act::Down(is) => yard.warehouse.inside.lock().is_down = *is,
        Act::Receive(units) => {
            let lines =
                vec![Line { sku: "MUG".to_owned(), quantity: Quantity::units(*units), ..Line::default() }];
            let location = "PARIS".to_owned();
            yard.tell(Body::Receive(Receive { location, lines, occurred_at: None, reason: None })).await;
        }
        Act::Reallocate(nth) => {
            let known = orders(yard);
            if let Some(order) = known.get(nth % known.len().max(1)) {
                yard.tell(Body::Reallocate(Reallocate { order: *order, away_from: None })).await;
            }
        }
        Act::Step => {
            let next = yard.clock.now_or(1);
            yard.clock.set(next);
            yard.worker.step().await;
        }
        Act::Stop(stop_at) => drop(yard.stopped_at(*stop_at).await),
        Act::Later(seconds) => yard.later(*seconds).await,
    }
}

trait Forward {
    fn now_or(&self, seconds: i64) -> onhand_ledger::Instant;
}

impl Forward for onhand_engine::ManualClock {
    fn now_or(&self, seconds: i64) -> onhand_ledger::Instant {
        use onhand_engine::Clock as _;
        self.now().plus_seconds(seconds)
    }
}

fn orders(yard: &Yard) -> Vec<OrderId> {
    use onhand_ledger::{Key, Seq, Value};
    let (from, to) = (Key::Order(OrderId(0)), Key::Order(OrderId(Seq::MAX >> 1)));
    let found = yard.handle.ledger().read(yard::TENANT, |view| view.range(&from, &to, false, 1_000)).unwrap();
    let of = |(key, value)| match (key, value) {
        (Key::Order(id), Value::Order(_)) => Some(id),
        _ => None,
    };
    found.into_iter().filter_map(of).collect()
}

/// Once everybody can be reached again: what is promised over there is asked for over there, unit by unit, by documents that are
/// open; what has left over there has left our books, once.
async fn must_agree(yard: &mut Yard, berlin: i64) {
    {
        let mut inside = yard.warehouse.inside.lock();
        (inside.loses_answers, inside.loses_sent) = (0, 0);
        (inside.is_quiet, inside.refuses, inside.is_down) = (false, false, false);
    }
    yard.later(3_600).await;
    yard.work().await;
    yard.must_be_sound();
    assert_eq!(yard.on_hand("BERLIN"), berlin - yard.warehouse.shipped(), "what has left has left once");
    for order in orders(yard) {
        let (promised, ..) = yard.stands(order);
        let prefix = format!("onhand-{order}-");
        let inside = yard.warehouse.inside.lock();
        let jobs: Vec<_> = inside.jobs.iter().filter(|(name, _)| name.starts_with(&prefix)).collect();
        let open: i64 = jobs.iter().flat_map(|(_, job)| job.open()).map(|(_, units)| units).sum();
        assert_eq!(open, promised, "{order}: {jobs:?}");
        let lines = &yard.known(order).lines[0];
        let sum = lines.allocated_total() + lines.short + lines.shipped_total();
        assert_eq!(sum, lines.wanted);
    }
}

proptest! {
    #![proptest_config(cases::config(40, 400))]

    #[test]
    fn whatever_happens_what_is_promised_is_asked_for_and_what_left_has_left_once(
        acts in proptest::collection::vec(act(), 1..60)
    ) {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        runtime.block_on(async {
            let mut yard = yard(12, 4).await;
            for act in &acts {
                play(&mut yard, act).await;
            }
            must_agree(&mut yard, 12).await;
        });
    }
}
