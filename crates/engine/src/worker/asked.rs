//! Doing it all now, because a person asked: discover, read, compare, push; see [`crate::systems::asked`].
//!
//! It goes through the same doors as what is done by itself: the same batch sizes, the same budget, the same judgement.

use std::collections::BTreeSet;

use onhand_channels::ChannelError;
use onhand_ledger::Instant;
use onhand_sync::{Failure, OPEN_AFTER};

use super::timing::Batch;
use super::{LOOK_SECONDS, Worker, WorkerError};
use crate::systems::asked::{Asked, Doing, Progress, open, progress};
use crate::systems::found::discover;

/// How far it has come is kept so often at most, in microseconds.
const KEPT_EVERY: i64 = 200_000;

/// What a person asked for, under way.
pub(super) struct Now {
    asked_at: Instant,
    progress: Progress,
    /// Numbers that are still to be read and judged.
    left: BTreeSet<String>,
    kept_at: Instant,
}

impl Now {
    fn of(asked: Asked, doing: Doing) -> Self {
        let progress = Progress { asked_at: Some(asked.at), full: asked.full, doing, ..Progress::default() };
        Self { asked_at: asked.at, progress, left: BTreeSet::new(), kept_at: Instant::MIN }
    }

    /// A number was judged by its reading, for now or for good.
    pub(super) fn was_judged(&mut self, key: &str) {
        if self.progress.doing == Doing::Compare {
            self.left.remove(key);
        }
    }

    /// A number of it was sent and acknowledged.
    pub(super) const fn was_sent(&mut self) {
        self.progress.sent += 1;
    }
}

impl Worker {
    /// Takes up what was asked and is not under way.
    pub(super) async fn take_up(&mut self) -> Result<(), WorkerError> {
        let id = self.id;
        let Some(asked) = self.handle.ledger().read(self.tenant, |view| open(view, id))? else {
            self.asked = None;
            return Ok(());
        };
        if self.asked.as_ref().is_some_and(|now| now.asked_at == asked.at) {
            return Ok(());
        }
        self.asked = Some(Now::of(asked, Doing::Discover));
        self.report().await?;
        let (handle, channel) = (self.handle.clone(), self.channel.clone());
        let found = discover(&handle, channel.as_ref(), self.tenant, &self.system.name, id, true).await;
        match found {
            Ok(found) => self.change(|progress| progress.found = found.listings),
            Err(error) => return self.fail(error.to_string()).await,
        }
        // What is new is one of ours by now.
        self.refresh().await?;
        if !self.system.mode.direction.sends() {
            self.orders().await?;
            // What lies there is read too, where it can be asked, and else what it shows.
            (self.next_stock, self.next_reconcile) = (self.now(), self.now());
            self.read_stock().await?;
            return self.end(Some("what it shows is its own".to_owned())).await;
        }
        self.ask_zeros_again().await?;
        let all: BTreeSet<String> = self.lines.iter().map(|(key, _)| key.clone()).collect();
        self.read_back.extend(all.iter().cloned());
        self.next_read = self.now();
        self.begin(Doing::Read, all).await
    }

    /// A step of it begins.
    async fn begin(&mut self, doing: Doing, left: BTreeSet<String>) -> Result<(), WorkerError> {
        let total = left.len();
        self.change(|progress| (progress.doing, progress.done, progress.total) = (doing, 0, total));
        if let Some(now) = &mut self.asked {
            now.left = left;
            now.kept_at = Instant::MIN;
        }
        self.report().await
    }

    fn change(&mut self, change: impl FnOnce(&mut Progress)) {
        if let Some(now) = &mut self.asked {
            change(&mut now.progress);
        }
    }

    /// Keeps how far it has come, where that was not kept just now.
    async fn report(&mut self) -> Result<(), WorkerError> {
        let at = self.now();
        let Some(now) = &mut self.asked else { return Ok(()) };
        if !now.progress.doing.is_over() && at < now.kept_at.plus_micros(KEPT_EVERY) {
            return Ok(());
        }
        now.kept_at = at;
        let note = now.progress.note(self.id);
        self.handle.submit_with(self.tenant, None, vec![note]).await?;
        Ok(())
    }

    /// These numbers were read.
    pub(super) async fn were_read(&mut self, keys: &[String]) -> Result<(), WorkerError> {
        let Some(now) = self.asked.as_mut().filter(|now| now.progress.doing == Doing::Read) else {
            return Ok(());
        };
        for key in keys {
            now.left.remove(key);
        }
        now.progress.done = now.progress.total - now.left.len();
        self.report().await
    }

    /// Goes on to what comes next, once what is being done is done.
    pub(super) async fn go_on(&mut self) -> Result<(), WorkerError> {
        let Some(now) = &self.asked else { return Ok(()) };
        match now.progress.doing {
            Doing::Read if now.left.iter().all(|key| !self.read_back.contains(key)) => {
                let (lines, read_back) = (&self.lines, &self.read_back);
                let read =
                    lines.iter().filter(|(key, line)| line.reading.is_some() || read_back.contains(*key));
                let read = read.map(|(key, _)| key.clone()).collect();
                self.next_orders = self.now();
                self.begin(Doing::Compare, read).await
            }
            Doing::Compare => {
                let (lines, read_back) = (&self.lines, &self.read_back);
                let Some(now) = &mut self.asked else { return Ok(()) };
                // What could not be judged by its reading is read again.
                now.left.retain(|key| {
                    lines.get(key).is_some_and(|line| line.reading.is_some() || read_back.contains(key))
                });
                now.progress.done = now.progress.total - now.left.len();
                if now.left.is_empty() { self.send_asked().await } else { self.report().await }
            }
            Doing::Push => self.sent_so_far().await,
            _ => Ok(()),
        }
    }

    async fn send_asked(&mut self) -> Result<(), WorkerError> {
        if let Some(why) = self.why_nothing_is_sent() {
            return self.end(Some(why)).await;
        }
        let full = self.asked.as_ref().is_some_and(|now| now.progress.full);
        let goes = self.lines.iter().filter(|(_, line)| {
            let may_go = !line.is_skipped && line.state.stopped.is_none();
            // What nothing explains is looked at again first, and goes then.
            may_go && (full || line.differs() || line.suspected.is_some())
        });
        let left: BTreeSet<String> = goes.map(|(key, _)| key.clone()).collect();
        self.batch = Some(Batch { began_at: self.now(), left: left.clone(), full, asked: true });
        self.begin(Doing::Push, left).await?;
        self.push().await?;
        self.sent_so_far().await
    }

    async fn sent_so_far(&mut self) -> Result<(), WorkerError> {
        let left = self.batch.as_ref().filter(|batch| batch.asked).map(|batch| batch.left.len());
        self.change(|progress| {
            progress.done = progress.total.saturating_sub(left.unwrap_or(0));
        });
        if left.is_some_and(|left| left > 0) && self.may_send() {
            return self.report().await;
        }
        self.batch = self.batch.take().filter(|batch| !batch.asked);
        let why = self.why_nothing_is_sent();
        self.end(why).await
    }

    fn why_nothing_is_sent(&self) -> Option<String> {
        let why = if self.pushing_stopped {
            "all pushing is stopped"
        } else if self.system.paused {
            "it is paused"
        } else if !self.may_send() {
            "it is only watched"
        } else {
            return None;
        };
        Some(why.to_owned())
    }

    async fn end(&mut self, because: Option<String>) -> Result<(), WorkerError> {
        let (at, compared) = (self.now(), self.lines.len());
        self.change(|progress| {
            (progress.doing, progress.ended_at, progress.because) = (Doing::Done, Some(at), because);
            (progress.done, progress.total) = (compared, compared);
        });
        self.report().await?;
        self.asked = None;
        Ok(())
    }

    async fn fail(&mut self, because: String) -> Result<(), WorkerError> {
        let at = self.now();
        self.change(|progress| {
            (progress.doing, progress.ended_at, progress.because) = (Doing::Failed, Some(at), Some(because));
        });
        self.report().await?;
        self.asked = None;
        self.batch = self.batch.take().filter(|batch| !batch.asked);
        Ok(())
    }

    /// While it rests: does a person ask for what was not asked before? That is tried at once, unless the system itself asked for
    /// the rest: then it is said.
    pub(super) async fn is_asked_anew(&mut self) -> bool {
        if self.now() < self.next_look {
            return false;
        }
        self.next_look = self.now().plus_seconds(LOOK_SECONDS);
        let Some(asked) = self.asked_and_not_begun() else { return false };
        if !self.is_throttled {
            return true;
        }
        let (name, until) = (&self.system.name, self.rest_until);
        let because = format!("{name} is not called before {until}: it asked for that rest");
        let mut now = Now::of(asked, Doing::Waiting);
        now.progress.because = Some(because);
        let id = self.id;
        // It is said once.
        let told = self.handle.ledger().read(self.tenant, |view| progress(view, id));
        if told.is_ok_and(|told| told == now.progress) {
            return false;
        }
        let note = now.progress.note(id);
        if let Err(error) = self.handle.submit_with(self.tenant, None, vec![note]).await {
            tracing::warn!(%error, "it could not be kept what is waited for");
        }
        false
    }

    fn asked_and_not_begun(&self) -> Option<Asked> {
        let id = self.id;
        // It is looked again in a moment.
        let asked = self.handle.ledger().read(self.tenant, |view| open(view, id)).ok().flatten()?;
        Some(asked).filter(|asked| self.asked.as_ref().is_none_or(|now| now.asked_at != asked.at))
    }

    /// A step failed, for the last of so many times in a row.
    pub(super) async fn asked_in_vain(&mut self, error: &WorkerError, times: u32) {
        let is_over =
            times >= OPEN_AFTER || matches!(error, WorkerError::Channel(ChannelError::Credentials { .. }));
        if !is_over || matches!(error.failure(), Failure::Throttled(_)) {
            return;
        }
        if let Some(asked) = self.asked_and_not_begun() {
            self.asked = Some(Now::of(asked, Doing::Discover));
        }
        if self.asked.is_some()
            && let Err(error) = self.fail(error.to_string()).await
        {
            tracing::warn!(%error, "it could not be kept that what was asked has failed");
        }
    }
}
