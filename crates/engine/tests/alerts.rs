//! Troubles as they are told: gathered from a ledger and simulated systems, on a clock that stands still until it is set.

#[path = "support/simulated.rs"]
#[expect(dead_code, reason = "the examples use the rest")]
mod simulated;

use onhand_channels::notice::{Notice, Way};
use onhand_engine::alerts::{Alerts, Target, delivery, keep};
use onhand_engine::systems::CONNECTION;
use onhand_ledger::command::{PutLocation, PutMode};
use onhand_ledger::model::Direction;
use onhand_ledger::{Body, TenantId};
use onhand_store::Note;
use onhand_sync::alerts::{Kind, Patience};
use rstest::rstest;
use simulated::Kept::{self, File, Memory, Postgres};
use simulated::{World, direction, time};

const TENANT: TenantId = TenantId::DEFAULT;

/// A world with somebody to be told.
struct Told {
    world: World,
    alerts: Alerts,
    reached: Result<(), &'static str>,
}

impl Told {
    async fn new(kept: Kept) -> Self {
        let mut world = World::new(kept).await;
        world.item("MUG", 100).await;
        world.item("CUP", 100).await;
        world.connect("SHOP", &[("MUG", 100), ("CUP", 100)], PutMode::default()).await;
        world.handle.ledger().seal().make_for_this_process().unwrap();
        let told = Self { world, alerts: Alerts::default(), reached: Ok(()) };
        told.target("desk", &[]).await;
        // As if it had been connected over the API.
        let connection = r#"{"kind":"test","url":"","username":"","secret":""}"#.to_owned();
        let id = told.world.systems[0].1;
        told.keep(vec![Note { space: CONNECTION.to_owned(), key: id.to_string(), body: Some(connection) }])
            .await;
        told
    }

    async fn target(&self, name: &str, kinds: &[Kind]) {
        let way = Way::Slack { url: "https://chat.example.com/secret".to_owned() };
        let target =
            Target { name: name.to_owned(), way, kinds: kinds.to_vec(), patience: Patience::default() };
        keep(&self.world.handle, TENANT, &target).await.unwrap();
    }

    async fn keep(&self, notes: Vec<Note>) {
        self.world.handle.submit_with(TENANT, None, notes).await.unwrap();
    }

    /// What `desk` is told when it is looked now, and what the others are.
    async fn told(&mut self) -> Vec<(String, Notice)> {
        let mut all = Vec::new();
        for due in self.alerts.look(self.world.handle.ledger(), TENANT).unwrap() {
            let is_desk = due.target.name == "desk";
            let told = if is_desk { self.reached } else { Ok(()) };
            all.extend(
                due.notice.clone().filter(|_| told.is_ok()).map(|notice| (due.target.name.clone(), notice)),
            );
            let notes = due.notes(told);
            if !notes.is_empty() {
                self.keep(notes).await;
            }
        }
        all
    }

    /// The titles of what is told until a time, looked for every fifteen seconds; workers work meanwhile, or stand still.
    async fn until(&mut self, end: &str, do_work: bool) -> Vec<String> {
        let (mut all, end) = (Vec::new(), time(end));
        while self.world.clock.now_is_before(end) {
            let next = self.world.now().plus_seconds(15).min(end);
            if do_work {
                self.world.until(&next.to_string()[11..19]).await;
            }
            self.world.clock.set(next);
            all.extend(
                self.told().await.into_iter().map(|(name, notice)| format!("{name}: {}", notice.title)),
            );
        }
        all
    }
}

trait Now {
    fn now(&self) -> onhand_ledger::Instant;
}

impl Now for World {
    fn now(&self) -> onhand_ledger::Instant {
        self.handle.ledger().clock().now()
    }
}

trait Before {
    fn now_is_before(&self, end: onhand_ledger::Instant) -> bool;
}

impl Before for onhand_engine::ManualClock {
    fn now_is_before(&self, end: onhand_ledger::Instant) -> bool {
        onhand_engine::Clock::now(self) < end
    }
}

#[rstest]
#[tokio::test(flavor = "multi_thread")]
async fn lag_and_exposure_are_told_once_they_last_and_again_when_they_are_over_after_a_restart_too(
    #[values(Memory, File, Postgres)] kept: Kept,
) {
    let mut told = Told::new(kept).await;
    assert_eq!(told.until("10:05", true).await, [""; 0]);
    // Nobody sets what the shop shows.
    told.world.adjust("MUG", -4).await;
    assert_eq!(told.until("10:10", false).await, [""; 0], "it may take a while");
    assert_eq!(told.until("10:11", false).await, ["desk: Onhand: 2 troubles"]);
    // Begun anew it knows nothing of how long: nothing is told twice, and nothing is thought to be over.
    told.alerts = Alerts::default();
    assert_eq!(told.until("10:15", false).await, [""; 0]);
    assert_eq!(told.until("10:19", false).await, [""; 0]);
    let over = told.until("10:22", true).await;
    assert_eq!(over, ["desk: Onhand: 2 troubles are over"]);
    assert_eq!(told.until("10:40", true).await, [""; 0]);
}

#[rstest]
#[tokio::test(flavor = "multi_thread")]
async fn a_system_that_is_silent_is_told_with_the_reason(#[values(Memory, File, Postgres)] kept: Kept) {
    let mut told = Told::new(kept).await;
    assert_eq!(told.until("10:05", true).await, [""; 0]);
    told.world.systems[0].0.inside.lock().down = true;
    assert_eq!(told.until("10:19", true).await, [""; 0]);
    let silent = told.until("10:22", true).await;
    assert_eq!(silent.len(), 1, "{silent:?}");
    assert!(silent[0].starts_with("desk: Onhand: SHOP is silent since 2026-11-23T10:0"), "{silent:?}");
    told.world.systems[0].0.inside.lock().down = false;
    let over = told.until("10:40", true).await;
    assert!(over.len() == 1 && over[0].starts_with("desk: Onhand: over: SHOP is silent"), "{over:?}");
}

#[rstest]
#[tokio::test(flavor = "multi_thread")]
async fn who_cannot_be_reached_is_tried_less_and_less_and_others_are_told_that(
    #[values(Memory, File, Postgres)] kept: Kept,
) {
    let mut told = Told::new(kept).await;
    let kinds = [Kind::Lag, Kind::Exposure, Kind::Unreached];
    told.target("desk", &kinds).await;
    told.target("other", &kinds).await;
    assert_eq!(told.until("10:01", true).await, [""; 0]);
    told.world.adjust("MUG", -4).await;
    told.reached = Err("it answered 500");
    let others = told.until("10:10", false).await;
    assert_eq!(others.len(), 2, "{others:?}");
    assert_eq!(others[0], "other: Onhand: 2 troubles");
    assert!(others[1].starts_with("other: Onhand: Alerts do not reach `desk` since "), "{others:?}");
    let how = told.world.handle.ledger().read(TENANT, |view| delivery(view, "desk")).unwrap();
    let failing = how.failing.unwrap();
    assert!((5..9).contains(&failing.times), "{failing:?}");
    assert_eq!((failing.why.as_str(), how.told_at), ("it answered 500", None));
    // A restart does not hurry.
    told.alerts = Alerts::default();
    assert_eq!(told.until("10:10:15", false).await, [""; 0]);
    told.reached = Ok(());
    let at_last = told.until("10:20", false).await;
    assert!(at_last.len() == 2 && at_last[0] == "desk: Onhand: 2 troubles", "{at_last:?}");
    assert!(at_last[1].starts_with("other: Onhand: over: Alerts do not reach `desk` since"), "{at_last:?}");
}

#[rstest]
#[tokio::test(flavor = "multi_thread")]
async fn what_may_not_have_been_told_is_told_again_under_the_same_id(
    #[values(Memory, File, Postgres)] kept: Kept,
) {
    let mut told = Told::new(kept).await;
    assert_eq!(told.until("10:01", true).await, [""; 0]);
    told.world.adjust("MUG", -4).await;
    assert_eq!(told.until("10:06", false).await, [""; 0]);
    let ids = |alerts: &mut Alerts, world: &World| {
        let due = alerts.look(world.handle.ledger(), TENANT).unwrap();
        due.into_iter().filter_map(|due| due.notice).map(|notice| notice.id).collect::<Vec<_>>()
    };
    told.world.clock.set(time("10:06:15"));
    // It was sent, and the program ended before that was kept.
    let sent = ids(&mut told.alerts, &told.world);
    told.world.clock.set(time("10:06:20"));
    let again = ids(&mut told.alerts, &told.world);
    assert_eq!((sent.len(), &sent), (1, &again));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_offered_at_several_locations_is_told_in_all_and_of_what_tells_us_nothing() {
    let mut told = Told::new(Memory).await;
    let paris = PutLocation { code: "PARIS".to_owned(), ..PutLocation::default() };
    told.world.tell(Body::PutLocation(paris)).await;
    told.world.shows_at("SHOP", "MUG", &[("1", "LONDON", 106), ("2", "PARIS", 6)]).await;
    let mut all = Vec::new();
    for _ in 0..40 {
        told.world.clock.set(told.world.now().plus_seconds(15));
        all.extend(told.told().await.into_iter().flat_map(|(_, notice)| notice.lines));
    }
    let is_exposure = |key: &str| key == "exposure:SHOP";
    let exposed: Vec<String> =
        all.into_iter().filter(|line| is_exposure(&line.key)).map(|line| line.sentence).collect();
    assert_eq!(exposed, ["SHOP offers more than there is: 12 of MUG could be oversold."]);
    told.world.mode("SHOP", direction(Direction::OneWayIn)).await;
    let mut all = Vec::new();
    for _ in 0..40 {
        told.world.clock.set(told.world.now().plus_seconds(15));
        all.extend(told.told().await.into_iter().flat_map(|(_, notice)| notice.lines));
    }
    assert!(all.iter().any(|line| is_exposure(&line.key) && line.over), "it is over: {all:?}");
}
