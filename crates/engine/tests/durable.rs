//! No answer leaves before the store has said that what it tells of is durable, and none that it could not write.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use onhand_engine::{CommitError, Ledger, ManualClock, Options, Reply, SubmitError, queue};
use onhand_ledger::command::{Line, PutItem, PutLocation, Receive};
use onhand_ledger::{Body, Command, Instant, Quantity, TenantId};
use onhand_store::{Batch, MemoryStore, Note, Reader, Store, StoreError};

/// A store whose commits begin at once and end when the test lets them.
struct Gated {
    store: MemoryStore,
    begun: Mutex<Sender<()>>,
    may_end: Mutex<Receiver<()>>,
    broken: Arc<AtomicBool>,
}

onhand_store::read_through!(Gated, store, {
    fn notes_after(
        &mut self,
        tenant: TenantId,
        after: Option<(&str, &str)>,
        limit: usize,
    ) -> Result<Vec<Note>, StoreError> {
        self.store.notes_after(tenant, after, limit)
    }
});

impl Store for Gated {
    fn commit(&mut self, batches: &[(TenantId, Batch)]) -> Result<(), StoreError> {
        self.begun.lock().unwrap().send(()).unwrap();
        self.may_end.lock().unwrap().recv().unwrap();
        if self.broken.load(Ordering::SeqCst) {
            return Err(StoreError::Io { doing: "written", reason: "no space left on device".to_owned() });
        }
        self.store.commit(batches)
    }

    fn reader(&self) -> Result<Box<dyn Reader>, StoreError> {
        self.store.reader()
    }

    fn clear_projections(&mut self) -> Result<(), StoreError> {
        self.store.clear_projections()
    }
}

fn put(sku: &str) -> Command {
    let body = Body::PutItem(PutItem { sku: sku.to_owned(), ..PutItem::default() });
    Command { key: Some(sku.to_owned()), fingerprint: 1, actor: "test".to_owned(), body }
}

/// A movement under a key of its own.
fn receive(number: usize) -> Command {
    let lines = vec![Line { sku: "MUG".to_owned(), quantity: Quantity::units(1), ..Line::default() }];
    let receive = Receive { location: "LONDON".to_owned(), lines, occurred_at: None, reason: None };
    Command::keyed(Some(format!("movement {number}")), "test", Body::Receive(receive))
}

struct Gate {
    handle: onhand_engine::Handle,
    has_begun: Receiver<()>,
    end: Sender<()>,
    broken: Arc<AtomicBool>,
}

fn gate() -> Gate {
    let (begun, has_begun) = channel();
    let (end, may_end) = channel();
    let broken = Arc::new(AtomicBool::new(false));
    let gated = Gated {
        store: MemoryStore::default(),
        begun: Mutex::new(begun),
        may_end: Mutex::new(may_end),
        broken: broken.clone(),
    };
    let clock = Arc::new(ManualClock::at(Instant::from_micros(1)));
    let ledger = Arc::new(Ledger::open(Box::new(gated), clock, Options::default()).unwrap());
    let (handle, waiting) = queue(ledger);
    std::thread::spawn(move || waiting.run());
    Gate { handle, has_begun, end, broken }
}

#[tokio::test(flavor = "multi_thread")]
async fn one_command_of_a_tenant_waits_for_one_batch_of_anothers_flood_and_no_more() {
    let Gate { handle, has_begun, end, .. } = gate();
    // As much as a tenant may have waiting, in four batches; the first of it is being committed.
    let mut flood = Vec::new();
    for number in 0..8_000 {
        flood.push(handle.begin(TenantId(7), Some(put(&format!("F-{number}"))), Vec::new()).await.unwrap());
    }
    has_begun.recv().unwrap();
    let mug = handle.begin(TenantId(8), Some(put("MUG")), Vec::new()).await.unwrap();
    end.send(()).unwrap();
    has_begun.recv().unwrap();
    end.send(()).unwrap();
    // The second commit has it: no other can end now, and most of the flood waits still.
    let mug = tokio::time::timeout(Duration::from_secs(30), mug.wait()).await;
    assert_eq!(mug.expect("it is not in the second commit").unwrap().seq, 1);
    let ending = std::thread::spawn(move || while end.send(()).is_ok() {});
    let mut seqs = Vec::new();
    for reply in flood {
        seqs.push(reply.wait().await.unwrap().seq);
    }
    assert!(seqs.is_sorted() && seqs.len() == 8_000);
    drop((handle, has_begun));
    ending.join().unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn an_order_waits_for_one_batch_of_a_bulk_load_and_no_more() {
    let Gate { handle, has_begun, end, .. } = gate();
    // Twenty thousand commands come in bulk; the first of them are being committed.
    let blocks = (0..40).map(|block| (0..500).map(|n| put(&format!("B-{block}-{n}"))).collect());
    let mut bulk = Vec::new();
    for block in blocks {
        bulk.push(handle.begin_bulk(TenantId::DEFAULT, block).await.unwrap());
    }
    has_begun.recv().unwrap();
    let mug = handle.begin(TenantId::DEFAULT, Some(put("MUG")), Vec::new()).await.unwrap();
    end.send(()).unwrap();
    has_begun.recv().unwrap();
    end.send(()).unwrap();
    // The second commit has it: before it came no more than two batches of bulk, each its bound and one block.
    let seq = mug.wait().await.unwrap().seq;
    assert!(seq <= 2 * (2_048 + 500) + 1, "{seq}");
    // All of the load is done, in order. Nobody reads while a commit waits to end.
    let ending = std::thread::spawn(move || while end.send(()).is_ok() {});
    let there = handle.ledger().read(TenantId::DEFAULT, |view| view.item_by_sku("MUG")).unwrap();
    assert!(there.is_some());
    let mut seqs = Vec::new();
    for reply in bulk {
        seqs.extend(reply.wait().await.unwrap().into_iter().map(|result| result.unwrap().seq));
    }
    assert_eq!(seqs.len(), 20_000);
    assert!(seqs.is_sorted());
    drop((handle, has_begun));
    ending.join().unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn no_answer_leaves_before_the_commit_that_covers_it() {
    let Gate { handle, has_begun, end, broken } = gate();
    let mut answer = {
        let handle = handle.clone();
        tokio::spawn(async move { handle.submit(TenantId::DEFAULT, put("MUG")).await })
    };
    has_begun.recv().unwrap();
    let early = tokio::time::timeout(Duration::from_millis(100), &mut answer).await;
    assert!(early.is_err(), "answered before it was durable: {early:?}");
    end.send(()).unwrap();
    assert!(answer.await.unwrap().is_ok());

    // What the disk would not take is not answered as done, and is not there afterwards.
    broken.store(true, Ordering::SeqCst);
    end.send(()).unwrap();
    let refused = handle.submit(TenantId::DEFAULT, put("CUP")).await.unwrap_err();
    assert!(matches!(refused, SubmitError::Commit(CommitError::Store(_))), "{refused}");
    assert!(
        refused.to_string().contains("nothing was changed") && refused.to_string().contains("no space"),
        "{refused}"
    );
    let known = handle.ledger().read(TenantId::DEFAULT, |view| view.item_by_sku("CUP")).unwrap();
    assert_eq!(known, None);
    // Its key stayed free: the same request is accepted once the disk is well again.
    broken.store(false, Ordering::SeqCst);
    end.send(()).unwrap();
    let again = handle.submit(TenantId::DEFAULT, put("CUP")).await.unwrap();
    assert!(!again.replayed);
    assert!(handle.ledger().read(TenantId::DEFAULT, |view| view.item_by_sku("CUP")).unwrap().is_some());
    drop(end);
}

/// More movements than a batch takes: what is left of them is decided while the first are written.
const TWO_BATCHES: usize = 3_000;

async fn begin_two_batches(gate: &Gate) -> Vec<Reply> {
    let london = PutLocation { code: "LONDON".to_owned(), ..PutLocation::default() };
    let london = Command::keyed(None, "test", Body::PutLocation(london));
    for command in [put("MUG"), london] {
        gate.end.send(()).unwrap();
        gate.handle.submit(TenantId::DEFAULT, command).await.unwrap();
        gate.has_begun.recv().unwrap();
    }
    // While one is being committed, the others gather.
    let first = gate.handle.begin(TenantId::DEFAULT, Some(put("CUP")), Vec::new()).await.unwrap();
    gate.has_begun.recv().unwrap();
    let replies = begin_movements(&gate.handle).await;
    gate.end.send(()).unwrap();
    first.wait().await.unwrap();
    replies
}

async fn begin_movements(handle: &onhand_engine::Handle) -> Vec<Reply> {
    let mut replies = Vec::new();
    for number in 0..TWO_BATCHES {
        replies.push(handle.begin(TenantId::DEFAULT, Some(receive(number)), Vec::new()).await.unwrap());
    }
    replies
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_decided_beside_a_batch_waits_for_a_commit_of_its_own() {
    let gate = gate();
    let mut replies = begin_two_batches(&gate).await;
    gate.has_begun.recv().unwrap();
    gate.end.send(()).unwrap();
    // The first of them are answered; the next commit is under way, and those in it are not.
    gate.has_begun.recv().unwrap();
    let mut last = tokio::spawn(replies.pop().unwrap().wait());
    replies.remove(0).wait().await.unwrap();
    let early = tokio::time::timeout(Duration::from_millis(100), &mut last).await;
    assert!(early.is_err(), "answered before it was durable: {early:?}");
    gate.end.send(()).unwrap();
    let seq = last.await.unwrap().unwrap().seq;
    // All keys are known, those of the batch that was away too.
    let again = {
        let end = gate.end.clone();
        let ending = std::thread::spawn(move || while end.send(()).is_ok() {});
        let mut again = Vec::new();
        for reply in begin_movements(&gate.handle).await {
            again.push(reply.wait().await.unwrap());
        }
        drop((gate.handle, gate.has_begun));
        ending.join().unwrap();
        again
    };
    assert!(again.iter().all(|one| one.replayed && one.seq == seq), "every one was there");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_decided_beside_a_batch_that_the_disk_does_not_take_is_not_done_either() {
    let gate = gate();
    let replies = begin_two_batches(&gate).await;
    gate.has_begun.recv().unwrap();
    gate.broken.store(true, Ordering::SeqCst);
    gate.end.send(()).unwrap();
    for reply in replies {
        let refused = reply.wait().await.unwrap_err();
        assert!(matches!(refused, SubmitError::Commit(CommitError::Store(_))), "{refused}");
        assert!(refused.to_string().contains("nothing was changed"), "{refused}");
    }
    assert!(gate.has_begun.try_recv().is_err(), "what stood on what was not written was not written");
    // Every key stayed free.
    gate.broken.store(false, Ordering::SeqCst);
    let end = gate.end.clone();
    let ending = std::thread::spawn(move || while end.send(()).is_ok() {});
    let mut seq = 0;
    for reply in begin_movements(&gate.handle).await {
        let committed = reply.wait().await.unwrap();
        assert!(!committed.replayed);
        seq = committed.seq;
    }
    let entries = gate.handle.ledger().read(TenantId::DEFAULT, |view| Ok(view.seq())).unwrap();
    assert_eq!(entries, seq);
    drop((gate.handle, gate.has_begun));
    ending.join().unwrap();
}
