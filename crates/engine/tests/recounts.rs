//! A warehouse that somebody else runs is asked to count.

#[path = "support/kept.rs"]
mod kept;
#[path = "support/yard.rs"]
#[expect(dead_code, reason = "orders are tried elsewhere")]
mod yard;

use kept::Kept;
use onhand_engine::inbox::Which;
use onhand_ledger::command::{AskRecount, Line, Resolve, TakeCount};
use onhand_ledger::model::Cause;
use onhand_ledger::{Answer, Body, DiscrepancyId, Quantity};
use onhand_sync::inbox::propose;
use yard::{TENANT, Yard};

async fn yard(kept: Kept) -> Yard {
    let place = kept.place();
    let yard = Yard::over(place.store(), place.options(), 10, 10).await;
    // What it is kept in lives as long as the process: the yard goes on.
    std::mem::forget(place);
    yard
}

async fn ask(yard: &Yard) -> DiscrepancyId {
    let ask = AskRecount {
        system: "WMS".to_owned(),
        sku: "MUG".to_owned(),
        location: "BERLIN".to_owned(),
        reason: Some("two lack".to_owned()),
    };
    match yard.tell(Body::AskRecount(ask)).await {
        Answer::Discrepancy(id) => id,
        other => panic!("it was not asked: {other:?}"),
    }
}

fn says(yard: &Yard, request: DiscrepancyId) -> &'static str {
    yard.sent_of(request.0).last().map_or("nothing", |shown| shown.stands.name())
}

fn causes(yard: &Yard) -> Vec<Cause> {
    yard.open().iter().map(|found| found.cause).collect()
}

async fn what_is_counted_when_asked_is_the_masters_count_and_ends_the_request(kept: Kept) {
    let mut yard = yard(kept).await;
    let request = ask(&yard).await;
    assert_eq!(causes(&yard), [Cause::Recount]);
    yard.work().await;
    assert_eq!((says(&yard, request), yard.warehouse.inside.lock().calls), ("accepted", 1));
    {
        let inside = yard.warehouse.inside.lock();
        let (asked, _) = inside.recounts.values().next().unwrap();
        assert_eq!((asked.location.as_str(), asked.lines[0].sku.as_str()), ("yard", "MUG"));
        assert_eq!(asked.reason.as_deref(), Some("two lack"));
    }
    yard.later(30).await;
    yard.warehouse.count(8);
    yard.work().await;
    assert_eq!((says(&yard, request), yard.on_hand("BERLIN"), causes(&yard)), ("counted", 8, vec![]));
    yard.again();
    yard.work().await;
    assert_eq!((yard.warehouse.inside.lock().calls, yard.on_hand("BERLIN")), (1, 8));
    yard.must_be_sound();
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_counted_when_asked_counts_in_memory() {
    what_is_counted_when_asked_is_the_masters_count_and_ends_the_request(Kept::Memory).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_counted_when_asked_counts_in_a_file() {
    what_is_counted_when_asked_is_the_masters_count_and_ends_the_request(Kept::File).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_counted_when_asked_counts_in_postgresql() {
    what_is_counted_when_asked_is_the_masters_count_and_ends_the_request(Kept::Postgres).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_not_found_proposes_to_ask_for_a_count_and_ends_with_one_of_a_later_time() {
    let mut yard = yard(Kept::Memory).await;
    let order = yard.order("1044", 5).await;
    yard.work().await;
    let (name, lines) = yard.warehouse.open().remove(0);
    yard.warehouse.lack(&name, &lines[0].0, 2);
    yard.work().await;
    assert_eq!((yard.stands(order), causes(&yard)), ((3, 2, 0, 0), vec![Cause::NotFound]));
    let proposals = yard.handle.ledger().read(TENANT, |view| {
        let which = Which { cause: Some(Cause::NotFound), system: None, open: Some(true) };
        let (id, known) = view.discrepancies(which, DiscrepancyId(0), 1)?.remove(0);
        let matter = view.matter(id, &known)?;
        Ok::<_, onhand_store::StoreError>(propose(&matter))
    });
    let proposals = proposals.unwrap();
    assert_eq!(proposals.iter().map(|proposal| proposal.name).collect::<Vec<_>>(), ["recount", "dismiss"]);
    yard.tell(proposals[0].deed.body().cloned().unwrap()).await;
    yard.work().await;
    assert_eq!((causes(&yard), yard.warehouse.inside.lock().recounts.len()), (vec![Cause::Recount], 1));
    // A count of before it was asked for does not answer it; one of later does, however it comes.
    let count = |as_of| TakeCount {
        location: "BERLIN".to_owned(),
        lines: vec![Line::new("MUG", Quantity::units(8))],
        as_of,
        inside: true,
        system: Some("WMS".to_owned()),
        net: false,
    };
    yard.tell(Body::Count(count(Some(yard::time("09:59"))))).await;
    yard.work().await;
    assert_eq!(causes(&yard), [Cause::Recount]);
    yard.later(60).await;
    yard.tell(Body::Count(count(None))).await;
    yard.work().await;
    assert_eq!(causes(&yard), []);
    let asked = yard.warehouse.inside.lock().recounts.values().next().unwrap().0.cancelled;
    assert!(asked, "it is told that it need not count");
    yard.must_be_sound();
}

#[tokio::test(flavor = "multi_thread")]
async fn who_will_not_count_says_so_and_is_not_asked_again() {
    let mut yard = yard(Kept::Memory).await;
    yard.warehouse.inside.lock().refuses = true;
    let request = ask(&yard).await;
    yard.work().await;
    assert_eq!((says(&yard, request), causes(&yard)), ("refused", vec![Cause::Declined]));
    assert!(yard.open()[0].sentence.starts_with("WMS does not count MUG at BERLIN (no hands)."));
    yard.later(3_600).await;
    assert_eq!(yard.warehouse.inside.lock().calls, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_that_is_taken_back_is_cancelled_and_lost_answers_double_nothing() {
    let mut yard = yard(Kept::Memory).await;
    yard.warehouse.inside.lock().loses_answers = 2;
    let request = ask(&yard).await;
    yard.worker.step().await;
    yard.later(60).await;
    assert_eq!((says(&yard, request), yard.warehouse.inside.lock().recounts.len()), ("accepted", 1));
    yard.tell(Body::Resolve(Resolve { discrepancy: request, choice: None })).await;
    yard.work().await;
    assert_eq!((says(&yard, request), causes(&yard)), ("cancelled", vec![]));
}

/// Stopped at each place where it waits for something, what was counted is booked once.
#[tokio::test(flavor = "multi_thread")]
async fn a_worker_that_is_stopped_anywhere_hears_of_a_count_once() {
    let mut stopped = 0;
    // How often it waits depends on how fast what it hands in is committed: each place is tried several times.
    for stop_at in (1..12).cycle().take(44) {
        let mut yard = yard(Kept::Memory).await;
        yard.worker.step().await;
        ask(&yard).await;
        yard.work().await;
        yard.later(5).await;
        yard.warehouse.count(8);
        let other = ask(&yard).await;
        let ended = yard.stopped_at(stop_at).await;
        yard.later(30).await;
        assert_eq!((yard.on_hand("BERLIN"), says(&yard, other)), (8, "accepted"), "{stop_at}");
        assert_eq!(causes(&yard), [Cause::Recount], "{stop_at}");
        yard.must_be_sound();
        stopped += usize::from(!ended);
    }
    assert!(stopped > 0, "it was never stopped");
}
