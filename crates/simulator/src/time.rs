//! Virtual time, and the tasks that live in it: one thread, no real clock, every choice from the seed.
//!
//! A task is polled only when something woke it. Which of those that are awake goes first is chosen by the seed, so
//! that orders in which things can happen are tried and can be tried again.

use std::collections::BTreeMap;
use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Wake, Waker};

use onhand_engine::{Clock as _, ManualClock};
use onhand_ledger::Instant;
use parking_lot::Mutex;

use crate::random::Random;

/// The time of a simulated world.
#[derive(Clone)]
pub struct Time {
    /// What everybody goes by.
    pub clock: Arc<ManualClock>,
    timers: Arc<Mutex<Timers>>,
}

#[derive(Default)]
struct Timers {
    asleep: BTreeMap<(Instant, u64), Waker>,
    count: u64,
}

impl Time {
    /// A time that begins then.
    pub fn at(start: Instant) -> Self {
        Self { clock: Arc::new(ManualClock::at(start)), timers: Arc::default() }
    }

    /// Now.
    pub fn now(&self) -> Instant {
        self.clock.now()
    }

    /// Until then.
    pub fn until(&self, at: Instant) -> Sleep {
        Sleep { time: self.clone(), at }
    }

    /// For so many microseconds.
    pub fn micros(&self, micros: i64) -> Sleep {
        self.until(self.now().plus_micros(micros))
    }

    /// When the next sleeper wakes.
    pub fn next(&self) -> Option<Instant> {
        self.timers.lock().asleep.first_key_value().map(|((at, _), _)| *at)
    }

    /// It is then, now: whoever slept until then is woken.
    pub fn set(&self, now: Instant) {
        self.clock.set(now);
        let mut timers = self.timers.lock();
        while let Some(entry) = timers.asleep.first_entry() {
            if entry.key().0 > now {
                return;
            }
            entry.remove().wake();
        }
    }
}

/// Wakes at its time.
pub struct Sleep {
    time: Time,
    at: Instant,
}

impl Future for Sleep {
    type Output = ();

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        if self.time.now() >= self.at {
            return Poll::Ready(());
        }
        let mut timers = self.time.timers.lock();
        timers.count += 1;
        let key = (self.at, timers.count);
        timers.asleep.insert(key, context.waker().clone());
        Poll::Pending
    }
}

struct Awake(AtomicBool);

impl Wake for Awake {
    fn wake(self: Arc<Self>) {
        self.0.store(true, Ordering::SeqCst);
    }
}

/// Something that lives in virtual time.
struct Task {
    name: String,
    /// Ends with Onhand's process.
    of_onhand: bool,
    awake: Arc<Awake>,
    future: Pin<Box<dyn Future<Output = ()> + Send>>,
}

/// All of them.
#[derive(Default)]
pub struct Tasks(Vec<Task>);

impl Tasks {
    /// One more.
    pub fn spawn(
        &mut self,
        name: String,
        of_onhand: bool,
        future: impl Future<Output = ()> + Send + 'static,
    ) {
        let awake = Arc::new(Awake(AtomicBool::new(true)));
        self.0.push(Task { name, of_onhand, awake, future: Box::pin(future) });
    }

    /// How many could go on now.
    pub fn awake(&self) -> usize {
        self.0.iter().filter(|task| task.awake.0.load(Ordering::SeqCst)).count()
    }

    /// One of those that are awake goes on. Which panicked, if it did.
    pub fn go_on(&mut self, random: &mut Random) -> Result<(), String> {
        let awake: Vec<usize> =
            (0..self.0.len()).filter(|index| self.0[*index].awake.0.load(Ordering::SeqCst)).collect();
        if awake.is_empty() {
            return Ok(());
        }
        let index = awake[random.index(awake.len())];
        let task = &mut self.0[index];
        task.awake.0.store(false, Ordering::SeqCst);
        let waker = Waker::from(task.awake.clone());
        let mut context = Context::from_waker(&waker);
        let polled = catch_unwind(AssertUnwindSafe(|| task.future.as_mut().poll(&mut context)));
        match polled {
            Ok(Poll::Pending) => Ok(()),
            Ok(Poll::Ready(())) => {
                self.0.swap_remove(index);
                Ok(())
            }
            Err(panic) => {
                let said = panic
                    .downcast_ref::<String>()
                    .cloned()
                    .or_else(|| panic.downcast_ref::<&str>().map(|said| (*said).to_owned()));
                let task = self.0.swap_remove(index);
                Err(format!("{} panicked: {}", task.name, said.unwrap_or_default()))
            }
        }
    }

    /// Onhand's process ends as by `kill -9`: everything of it is gone.
    pub fn kill(&mut self) {
        self.0.retain(|task| !task.of_onhand);
    }
}
