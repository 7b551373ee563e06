//! Onhand in the world: the real ledger, queue, committer and workers over a store in memory that outlives them.

use std::sync::Arc;

use onhand_engine::inbox::Which;
use onhand_engine::systems::found::discover;
use onhand_engine::systems::retry_ahead;
use onhand_engine::worker::{Pace, Worker};
use onhand_engine::{CommitError, Handle, Ledger, Options, Queue, SubmitError, queue};
use onhand_ledger::command::Resolve;
use onhand_ledger::model::Choice;
use onhand_ledger::{Body, Command, DiscrepancyId, Instant, SystemId, TenantId};
use onhand_store::StoreError;
use parking_lot::Mutex;

use crate::channel::{Remote, Sent, Slot};
use crate::store::Disk;
use crate::story::Story;
use crate::time::{Tasks, Time};
use crate::world::{Fault, Shared};

/// Whose ledger it is.
pub const TENANT: TenantId = TenantId::DEFAULT;

/// What of Onhand and around it outlives its process.
pub struct Onhand {
    /// What survives a crash.
    pub disk: Disk,
    /// Its handle, while it runs.
    pub slot: Slot,
    /// The committer, while it runs.
    pub queue: Option<Queue>,
    /// The systems' ids, in the order of the story.
    pub ids: Vec<SystemId>,
    /// All that was handed to channels.
    pub sent: Arc<Mutex<Vec<Sent>>>,
    /// What is due is swept so much late, in microseconds.
    pub late_sweep: Arc<Mutex<i64>>,
    /// What should never happen, and did.
    pub bugs: Arc<Mutex<Vec<String>>>,
    /// The keys that were answered.
    pub answered: Arc<Mutex<Vec<String>>>,
}

impl Onhand {
    /// Starts it: opens the store, and begins to work.
    pub fn start(
        &mut self,
        story: &Story,
        world: &Shared,
        time: &Time,
        tasks: &mut Tasks,
    ) -> Result<(), StoreError> {
        let options = Options { flush_at: story.flush_at, slice: 8, cache: story.cache };
        let ledger = Arc::new(Ledger::open(Box::new(self.disk.clone()), time.clock.clone(), options)?);
        let (handle, waiting) = queue(ledger.clone());
        self.queue = Some(waiting);
        let (orders_ms, read_back_ms, reconcile_ms) = story.pace;
        let pace = Pace { orders_ms, read_back_ms, reconcile_ms, ..Pace::default() };
        for (shop, id) in self.ids.iter().enumerate() {
            let Some(system) = ledger.read(TENANT, |view| view.system(*id))? else { continue };
            let channel = Arc::new(Remote {
                world: world.clone(),
                time: time.clone(),
                shop,
                nature: story.systems[shop].nature.clone(),
                name: system.name.clone(),
                sent: self.sent.clone(),
            });
            let name = system.name.clone();
            if story.discover_ms > 0 {
                let every = story.discover_ms * 1_000;
                let looks = look_for_listings(
                    handle.clone(),
                    time.clone(),
                    (*id, name.clone()),
                    channel.clone(),
                    every,
                );
                tasks.spawn(format!("what {name} has for sale"), true, looks);
            }
            let worker = Worker::new(handle.clone(), TENANT, *id, system, channel, pace)?;
            tasks.spawn(format!("the worker of {name}"), true, work(worker, handle.clone(), time.clone()));
        }
        let swept = sweep(handle.clone(), time.clone(), self.late_sweep.clone(), world.clone());
        tasks.spawn("the sweeper".to_owned(), true, swept);
        tasks.spawn(
            "what waits for its time".to_owned(),
            true,
            wait_for_clocks(handle.clone(), time.clone()),
        );
        if !story.depots.is_empty() {
            let settles = crate::depot::settle_snapshots(handle.clone(), time.clone());
            tasks.spawn("snapshots that wait".to_owned(), true, settles);
        }
        *self.slot.lock() = Some(handle);
        Ok(())
    }

    /// It ends as by `kill -9`.
    pub fn kill(&mut self, tasks: &mut Tasks) {
        tasks.kill();
        self.slot.lock().take();
        self.queue = None;
    }

    /// The newest entry there is, while it runs.
    pub fn head(&self) -> Option<u64> {
        let handle = self.slot.lock().clone()?;
        handle.ledger().read(TENANT, |view| Ok(view.seq())).ok()
    }
}

/// As the runtime does it: a step when it is due, or when the feed has something new.
async fn work(mut worker: Worker, handle: Handle, time: Time) {
    let mut feed = handle.ledger().feed();
    loop {
        feed.mark_unchanged();
        let next = worker.step().await;
        worker.acknowledged.clear();
        tokio::select! {
            biased;
            () = time.until(next) => {}
            changed = feed.changed() => if changed.is_err() { return },
        }
    }
}

/// Makes each due time an entry, at once or late.
async fn sweep(handle: Handle, time: Time, late: Arc<Mutex<i64>>, world: Shared) {
    let mut feed = handle.ledger().feed();
    loop {
        feed.mark_unchanged();
        let due = handle.ledger().due_first(1).unwrap_or_default();
        match due.first() {
            Some((_, at)) if *at <= time.now() => {
                let late = *late.lock();
                if late > 0 {
                    world.lock().bit(Fault::LateSweep);
                    time.micros(late).await;
                }
                let tick =
                    Command { key: None, fingerprint: 0, actor: "onhand".to_owned(), body: Body::Tick };
                if handle.submit(TENANT, tick).await.is_err() {
                    time.micros(1_000_000).await;
                }
            }
            next => {
                let at = next.map_or(time.now().plus_seconds(3_600), |(_, at)| *at);
                tokio::select! {
                    biased;
                    () = time.until(at) => {}
                    changed = feed.changed() => if changed.is_err() { return },
                }
            }
        }
    }
}

/// Looks now and then what a system has for sale.
async fn look_for_listings(
    handle: Handle,
    time: Time,
    (id, name): (SystemId, String),
    channel: Arc<Remote>,
    every: i64,
) {
    loop {
        // What fails is looked for the next time.
        let _ = discover(&handle, channel.as_ref(), TENANT, &name, id, true).await;
        time.micros(every).await;
    }
}

/// Somebody who answers what is asked, so or so.
pub async fn answer(slot: Slot, time: Time, every: i64) {
    loop {
        time.micros(every).await;
        let Some(handle) = slot.lock().clone() else { continue };
        let which = Which { open: Some(true), ..Which::default() };
        let open = handle.ledger().read(TENANT, |view| view.discrepancies(which, DiscrepancyId(0), 1_000));
        for (id, known) in open.unwrap_or_default() {
            let choices = &known.choices;
            let choice = if choices.contains(&Choice::Approve) {
                Some(Choice::Approve)
            } else {
                choices.get(usize::try_from(id.0).unwrap_or(0) % choices.len().max(1)).copied()
            };
            if choice.is_some() {
                let resolve = Body::Resolve(Resolve { discrepancy: id, choice });
                let command =
                    Command { key: None, fingerprint: 0, actor: "person".to_owned(), body: resolve };
                // What fails, or was over by then, is looked at the next time.
                let _ = handle.submit(TENANT, command).await;
            }
        }
    }
}

async fn wait_for_clocks(handle: Handle, time: Time) {
    loop {
        time.micros(60_000_000).await;
        // What failed is tried again in a minute.
        let _ = retry_ahead(&handle, TENANT).await;
    }
}

/// A caller of the API: sends until it is answered, always with the same key; perhaps once more, not having heard. Says whether it was
/// answered by a record.
pub async fn ask(
    slot: Slot,
    time: Time,
    command: Command,
    repeat: bool,
    bugs: Arc<Mutex<Vec<String>>>,
    world: Shared,
) -> bool {
    let mut answered = None;
    loop {
        let handle = slot.lock().clone();
        let result = match handle {
            Some(handle) => handle.submit(TENANT, command.clone()).await,
            None => Err(SubmitError::Stopping),
        };
        match (result, answered.take()) {
            (Ok(committed), None) if repeat => {
                world.lock().bit(Fault::RepeatedRequest);
                answered = Some(committed.answer);
            }
            (Ok(_), None) => return true,
            (Ok(again), Some(before)) => {
                if again.answer != before || !again.replayed {
                    bugs.lock()
                        .push(format!("law 4: {:?} was answered otherwise the second time", command.key));
                }
                return true;
            }
            (Err(SubmitError::Commit(CommitError::Bug)), _) => {
                bugs.lock().push(format!("a bug in deciding {:?}", command.body));
                return false;
            }
            (Err(SubmitError::Commit(CommitError::Invalid(invalid))), Some(_)) => {
                bugs.lock().push(format!("law 4: {:?} was taken, and then not: {invalid}", command.key));
                return false;
            }
            (Err(SubmitError::Commit(CommitError::Invalid(_))), None) => return false,
            (Err(_), before) => {
                answered = before;
                time.micros(250_000).await;
            }
        }
    }
}

/// The beginning of simulated time: a Thursday.
pub fn beginning() -> Instant {
    Instant::from_micros(1_767_225_600_000_000)
}
