//! Webhooks on their way: what is made of the log, what waits, what is tried when, on a clock that stands still until it is set.

#[path = "support/simulated.rs"]
#[expect(dead_code, reason = "the examples use the rest")]
mod simulated;

use std::collections::BTreeSet;

use onhand_channels::signed::Answered;
use onhand_engine::subscriptions::{
    Ask, Event, Fate, Message, Outbox, Secret, Sendable, Standing, Subscription, ask, forget, keep, messages,
    standing,
};
use onhand_ledger::command::PutLocation;
use onhand_ledger::{Body, Instant, TenantId};
use onhand_store::StoreError;
use onhand_sync::webhooks::DELAYS;
use rstest::rstest;
use serde_json::Value;
use simulated::Kept::{self, File, Memory, Postgres};
use simulated::{World, time};

const TENANT: TenantId = TenantId::DEFAULT;

/// A world with a subscriber, and the node that sends.
struct Sent {
    world: World,
    outbox: Outbox,
    /// What is answered to a body.
    answer: fn(&str) -> u16,
    retry_after: Option<u64>,
    /// All that was sent: id, body, and what was answered.
    all: Vec<(String, String, u16)>,
    asked: u32,
}

impl Sent {
    async fn new(kept: Kept, events: &[Event]) -> Self {
        let world = World::new(kept).await;
        world.handle.ledger().seal().make_for_this_process().unwrap();
        let sent = Self {
            world,
            outbox: Outbox::default(),
            answer: |_| 204,
            retry_after: None,
            all: Vec::new(),
            asked: 0,
        };
        sent.subscribe("erp", events).await;
        sent
    }

    async fn subscribe(&self, name: &str, events: &[Event]) {
        let subscription = Subscription {
            id: format!("id-{name}"),
            name: name.to_owned(),
            url: "https://erp.example.com/stock".to_owned(),
            events: events.to_vec(),
            secrets: vec![Secret { text: "whsec_AAAA".to_owned(), until: None }],
            made_at: self.now(),
        };
        keep(&self.world.handle, TENANT, &subscription, true).await.unwrap();
    }

    fn now(&self) -> Instant {
        self.world.handle.ledger().clock().now()
    }

    async fn commit(&self, notes: Vec<onhand_store::Note>) {
        if !notes.is_empty() {
            self.world.handle.submit_with(TENANT, None, notes).await.unwrap();
        }
    }

    /// Looks at all there is to look at.
    async fn look(&mut self) {
        loop {
            let looked = self.outbox.look(self.world.handle.ledger(), TENANT).unwrap();
            self.commit(looked.notes).await;
            if !looked.more {
                return;
            }
        }
    }

    async fn answered(&mut self, sent: Sendable) {
        let status = (self.answer)(&sent.body);
        let answered =
            Answered { status: Some(status), retry_after: self.retry_after, said: "as was said".to_owned() };
        let now = self.now();
        let notes = self.outbox.answered(&sent, &answered, (now, now), &DELAYS, 7);
        self.all.push((sent.message, sent.body, status));
        self.commit(notes).await;
    }

    /// Looks and sends until nothing is due now.
    async fn round(&mut self) {
        loop {
            self.look().await;
            let due = self.outbox.due(self.now());
            if due.is_empty() {
                return;
            }
            for sent in due {
                self.answered(sent).await;
            }
        }
    }

    /// Time goes on from one attempt to the next, until nothing waits, or for so many hours.
    async fn for_hours(&mut self, hours: i64) {
        let end = self.now().plus_seconds(hours * 3_600);
        self.round().await;
        while let Some(next) = self.outbox.next_due().filter(|next| *next <= end) {
            self.world.clock.set(next.max(self.now()));
            self.round().await;
        }
        self.world.clock.set(end);
    }

    async fn ask(&mut self, asked: &Ask) {
        self.asked += 1;
        ask(&self.world.handle, TENANT, "id-erp", asked, &self.asked.to_string()).await.unwrap();
    }

    fn standing(&self) -> Standing {
        self.world.handle.ledger().read(TENANT, |view| standing(view, "id-erp")).unwrap()
    }

    fn messages(&self) -> Vec<Message> {
        self.world.handle.ledger().read(TENANT, |view| messages(view, "id-erp")).unwrap()
    }

    /// What was said of an item that was taken, by `seq`: what is available.
    fn told(&self, sku: &str) -> Vec<(u64, i64)> {
        let of = |(_, body, status): &(String, String, u16)| {
            let data: Value = serde_json::from_str::<Value>(body).unwrap()["data"].clone();
            let is_it = data["sku"] == sku && *status == 204;
            is_it.then(|| (data["seq"].as_u64().unwrap(), data["available"].as_i64().unwrap()))
        };
        let mut told: Vec<(u64, i64)> = self.all.iter().filter_map(of).collect();
        told.sort_unstable();
        told
    }

    /// The last that was said of an item.
    fn last(&self, sku: &str) -> Option<i64> {
        self.told(sku).last().map(|(_, available)| *available)
    }
}

#[rstest]
#[tokio::test(flavor = "multi_thread")]
async fn of_many_changes_the_last_comes_and_one_message_waits(#[values(Memory, File, Postgres)] kept: Kept) {
    let mut sent = Sent::new(kept, &[Event::StockChanged]).await;
    sent.world.item("MUG", 100).await;
    sent.round().await;
    assert_eq!(sent.last("MUG"), Some(100));
    sent.answer = |_| 500;
    for _ in 0..20 {
        sent.world.adjust("MUG", -1).await;
        sent.round().await;
        let waiting = sent.messages().iter().filter(|message| message.fate == Fate::Waiting).count();
        assert_eq!(waiting, 1);
    }
    sent.answer = |_| 204;
    sent.for_hours(1).await;
    assert_eq!(sent.last("MUG"), Some(80));
    let Standing { waiting, given_up, failing_since, seq, .. } = sent.standing();
    assert_eq!((waiting, given_up, failing_since, seq), (0, 0, None, sent.world.head()));
    // One id, one body.
    let pairs: BTreeSet<(&String, &String)> = sent.all.iter().map(|(id, body, _)| (id, body)).collect();
    let ids: BTreeSet<&String> = sent.all.iter().map(|(id, ..)| id).collect();
    assert_eq!(pairs.len(), ids.len());
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_there_for_days_is_tried_ten_times_and_loses_nothing() {
    let mut sent = Sent::new(File, &[Event::StockChanged]).await;
    sent.answer = |_| 503;
    let began = sent.now();
    sent.world.item("MUG", 5).await;
    sent.for_hours(70).await;
    assert!(sent.standing().off.is_none(), "it is tried for three days");
    sent.for_hours(20).await;
    assert_eq!(sent.all.len(), 10);
    let off = sent.standing().off.expect("it is said that it ended");
    assert!(off.why.contains("nothing was taken since 2026-11-23T10:00:00Z, in 10 attempts"), "{off:?}");
    let hours = (off.at.micros() - began.micros()) / 3_600_000_000;
    assert!((75..=84).contains(&hours), "{hours}");
    let message = sent.messages()[0].clone();
    assert_eq!((message.fate, message.attempts.len()), (Fate::GivenUp, 10));
    assert_eq!(message.attempts[0].said, "as was said");
    // Off, it costs nothing, and the log keeps what comes.
    let cursor = sent.standing().seq;
    for number in 0..30 {
        sent.world.item(&format!("ITEM-{number}"), number + 1).await;
    }
    sent.for_hours(500).await;
    assert_eq!((sent.all.len(), sent.messages().len(), sent.standing().seq), (10, 1, cursor));
    sent.answer = |_| 204;
    sent.ask(&Ask::Enable).await;
    sent.for_hours(1).await;
    assert_eq!(sent.last("MUG"), Some(5));
    for number in 0..30 {
        assert_eq!(sent.last(&format!("ITEM-{number}")), Some(number + 1));
    }
    assert_eq!(sent.standing().off, None);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_waits_is_bounded_and_the_log_is_the_queue() {
    const ITEMS: i64 = 1_500;
    let mut sent = Sent::new(File, &[Event::StockChanged]).await;
    sent.answer = |_| 500;
    for number in 0..ITEMS {
        sent.world.item(&format!("ITEM-{number}"), number + 1).await;
    }
    sent.for_hours(3).await;
    let waiting = sent.messages().len();
    assert!((500..=700).contains(&waiting), "{waiting}");
    assert!(sent.standing().seq < sent.world.head(), "the cursor waits");
    // Whoever is down is not overrun.
    assert!(sent.all.len() < 50, "{}", sent.all.len());
    sent.answer = |_| 204;
    sent.for_hours(30).await;
    for number in 0..ITEMS {
        assert_eq!(sent.last(&format!("ITEM-{number}")), Some(number + 1), "{number}");
    }
    assert_eq!((sent.standing().waiting, sent.messages().len()), (0, 200), "the last taken are kept");
}

#[rstest]
#[tokio::test(flavor = "multi_thread")]
async fn whoever_goes_on_sends_what_was_kept_under_the_same_id(#[values(Memory, File, Postgres)] kept: Kept) {
    let mut sent = Sent::new(kept, &[]).await;
    sent.world.item("MUG", 5).await;
    sent.look().await;
    let lost = sent.outbox.due(sent.now());
    assert_eq!(lost.len(), 1);
    // It ended while one was under way: nobody knows whether it arrived.
    sent.outbox = Outbox::default();
    sent.round().await;
    assert_eq!((&sent.all[0].0, &sent.all[0].1), (&lost[0].message, &lost[0].body));
    // An answer that comes too late changes nothing.
    let now = sent.now();
    let late = Answered { status: Some(500), ..Answered::default() };
    assert_eq!(sent.outbox.answered(&lost[0], &late, (now, now), &DELAYS, 0), []);
    // What was made and not committed is made again: nothing was told of it.
    sent.world.adjust("MUG", -2).await;
    drop(sent.outbox.look(sent.world.handle.ledger(), TENANT).unwrap());
    sent.outbox = Outbox::default();
    sent.round().await;
    assert_eq!(sent.last("MUG"), Some(3));
}

#[tokio::test(flavor = "multi_thread")]
async fn one_that_is_never_taken_keeps_no_other_waiting_and_is_sent_again_by_hand() {
    let mut sent = Sent::new(File, &[Event::StockChanged]).await;
    sent.answer = |body| if body.contains("POISON") { 500 } else { 204 };
    sent.world.item("POISON", 1).await;
    for number in 1..=100 {
        sent.world.item("MUG", number).await;
        sent.for_hours(1).await;
    }
    assert_eq!(sent.last("MUG"), Some(5_050));
    let Standing { off, given_up, given_up_at, .. } = sent.standing();
    assert_eq!((off, given_up, given_up_at.is_some()), (None, 1, true));
    sent.answer = |_| 204;
    let since = Some(time("10:30"));
    sent.ask(&Ask::Replay { since }).await;
    sent.round().await;
    assert_eq!(sent.last("POISON"), None, "it was made before");
    sent.ask(&Ask::Replay { since: None }).await;
    sent.round().await;
    assert_eq!((sent.last("POISON"), sent.standing().given_up), (Some(1), 0));
    // And once more, though it was taken.
    let taken = sent.messages().into_iter().find(|message| message.body.contains("POISON")).unwrap();
    sent.ask(&Ask::Resend { message: taken.id.clone() }).await;
    sent.round().await;
    assert_eq!(sent.told("POISON").len(), 2);
    assert_eq!(sent.messages().iter().filter(|message| message.id == taken.id).count(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn who_is_gone_or_asks_for_rest_is_left_alone() {
    let mut sent = Sent::new(File, &[Event::StockChanged]).await;
    sent.answer = |_| 429;
    sent.retry_after = Some(600);
    sent.world.item("MUG", 5).await;
    sent.world.item("CUP", 5).await;
    sent.round().await;
    let tried = sent.all.len();
    sent.world.clock.set(sent.now().plus_seconds(599));
    sent.round().await;
    assert_eq!(sent.all.len(), tried);
    sent.answer = |_| 410;
    sent.retry_after = None;
    sent.world.clock.set(sent.now().plus_seconds(10));
    sent.round().await;
    assert!(sent.standing().off.is_some_and(|off| off.why.contains("410 Gone")));
    let tried = sent.all.len();
    sent.for_hours(100).await;
    assert_eq!(sent.all.len(), tried);
}

#[tokio::test(flavor = "multi_thread")]
async fn those_under_way_together_fail_once() {
    let mut sent = Sent::new(File, &[Event::StockChanged]).await;
    for sku in ["A", "B", "C", "D", "E", "F", "G", "H"] {
        sent.world.item(sku, 5).await;
    }
    sent.look().await;
    let failed = Answered { status: Some(503), retry_after: None, said: String::new() };
    for times in 1..=2 {
        let begun = sent.now();
        let due = sent.outbox.due(begun);
        assert_eq!(due.len(), 4);
        for one in due {
            // They end one after the other.
            sent.world.clock.set(sent.now().plus_micros(10_000));
            let notes = sent.outbox.answered(&one, &failed, (begun, sent.now()), &DELAYS, 7);
            sent.commit(notes).await;
        }
        assert_eq!(sent.standing().failures, times, "four that were under way together");
        sent.world.clock.set(sent.now().plus_seconds(1));
    }
    // One second without an answer is no reason to rest a minute.
    sent.answer = |_| 204;
    sent.world.clock.set(sent.now().plus_seconds(8));
    sent.round().await;
    assert_eq!((sent.told("A").len(), sent.told("H").len()), (1, 1));
}

#[tokio::test(flavor = "multi_thread")]
async fn kits_are_told_with_what_they_are_built_of_and_tests_say_so() {
    let mut sent = Sent::new(File, &[Event::StockChanged, Event::OrderChanged]).await;
    sent.world.item("POT", 8).await;
    sent.world.kit("SET", "POT").await;
    sent.round().await;
    sent.world.adjust("POT", -3).await;
    sent.round().await;
    assert_eq!((sent.last("POT"), sent.last("SET")), (Some(5), Some(5)));
    sent.world.adjust("POT", -5).await;
    sent.round().await;
    assert_eq!(
        (sent.last("POT"), sent.last("SET")),
        (Some(0), Some(0)),
        "none can be built, and that is told"
    );
    for event in Event::ALL {
        sent.ask(&Ask::Test { event, message: format!("msg_{}", event.name()) }).await;
        sent.round().await;
        let (id, body, _) = sent.all.last().unwrap();
        let payload: Value = serde_json::from_str(body).unwrap();
        assert_eq!((&payload["type"], &payload["data"]["test"]), (&event.name().into(), &true.into()));
        assert_eq!(*id, format!("msg_{}", event.name()));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn where_nothing_is_sold_any_more_all_that_lies_there_is_told_and_all_stock_when_asked() {
    let mut sent = Sent::new(File, &[Event::StockChanged]).await;
    for number in 0..250 {
        sent.world.item(&format!("ITEM-{number}"), number + 1).await;
    }
    sent.round().await;
    let closed = |sellable| {
        Body::PutLocation(PutLocation {
            code: "LONDON".to_owned(),
            sellable: Some(sellable),
            ..PutLocation::default()
        })
    };
    sent.world.tell(closed(false)).await;
    sent.round().await;
    for number in 0..250 {
        assert_eq!(sent.last(&format!("ITEM-{number}")), Some(0), "{number}");
    }
    sent.world.tell(closed(true)).await;
    // Stopped in the middle of it, whoever goes on tells the rest.
    let looked = sent.outbox.look(sent.world.handle.ledger(), TENANT).unwrap();
    sent.commit(looked.notes).await;
    sent.outbox = Outbox::default();
    sent.round().await;
    for number in 0..250 {
        assert_eq!(sent.last(&format!("ITEM-{number}")), Some(number + 1), "{number}");
    }
    let before = sent.all.len();
    sent.ask(&Ask::Stock).await;
    sent.round().await;
    assert_eq!(sent.all.len(), before + 250);
    assert_eq!(sent.standing().sweep, None);
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_left_of_who_is_forgotten() {
    let mut sent = Sent::new(File, &[]).await;
    sent.world.item("MUG", 5).await;
    sent.round().await;
    sent.answer = |_| 500;
    sent.world.item("CUP", 5).await;
    sent.round().await;
    let kept = |sent: &Sent| {
        let read = |view: &mut onhand_engine::View<'_>| view.notes_after(None, 10_000);
        let notes = sent.world.handle.ledger().read(TENANT, read).unwrap();
        notes.iter().filter(|note| note.space.starts_with("subscription")).count()
    };
    assert!(kept(&sent) >= 4);
    assert!(forget(&sent.world.handle, TENANT, "erp").await.unwrap());
    assert!(!forget(&sent.world.handle, TENANT, "erp").await.unwrap());
    // Also where nobody sent when it was forgotten.
    sent.outbox = Outbox::default();
    sent.look().await;
    assert_eq!(kept(&sent), 0);
    assert!(sent.outbox.is_empty());
    sent.subscribe("erp", &[]).await;
    sent.answer = |_| 204;
    let before = sent.all.len();
    sent.round().await;
    assert_eq!(sent.all.len(), before, "a new one is told what comes from now on");
    let seq = sent.world.handle.ledger().read(TENANT, |view| Ok::<_, StoreError>(view.seq())).unwrap();
    assert_eq!(sent.standing().seq, seq);
}
