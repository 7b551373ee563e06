//! The messages of a tenant's subscriptions on their way: what is to be sent, and what came of it. One node of all has one, and it alone
//! writes what is kept of them; whoever begins anew finds all of it in notes.
//!
//! What is handed out as notes is in memory by then: where they cannot be written, throw this away and begin with another.

use std::collections::{BTreeMap, BTreeSet};

use onhand_channels::signed::Answered;
use onhand_ledger::{Instant, ItemId, TenantId};
use onhand_store::{Note, StoreError};
use onhand_sync::webhooks::{ALONE_AFTER, Verdict, next_attempt, rests_until, verdict};

use super::follow::{follow, test_message};
use super::{
    ASKED, Ask, Attempt, Fate, Message, Off, RING, SENT, STANDING, Standing, Subscription, Sweep, WAITING,
    gone, note, standing, subscriptions, under,
};
use crate::commit::Ledger;
use crate::view::View;

/// So many messages of a subscription wait, or are given up; where there are as many, no more are made of the log.
const WAIT: usize = 500;
/// So many of a subscription are under way together.
const BESIDE: usize = 4;
/// So many attempts of a message are kept.
const ATTEMPTS: usize = 12;

/// What is kept in mind of a subscription.
struct Sending {
    subscription: Subscription,
    standing: Standing,
    /// Those that wait or were given up.
    messages: BTreeMap<String, Message>,
    under_way: BTreeSet<String>,
    /// Those under way that a newer one has taken the place of.
    replaced: BTreeSet<String>,
}

/// A message that is to be sent now.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Sendable {
    /// The subscription's id.
    pub subscription: String,
    /// And its name.
    pub name: String,
    /// Where to.
    pub url: String,
    /// What it is signed with.
    pub secrets: Vec<String>,
    /// The message's id.
    pub message: String,
    /// What is sent.
    pub body: String,
}

/// What a look came to.
#[derive(Debug, Default)]
pub struct Looked {
    /// What is to be written, all of it together.
    pub notes: Vec<Note>,
    /// There is more to look at.
    pub more: bool,
}

/// See the module.
#[derive(Default)]
pub struct Outbox {
    known: BTreeMap<String, Sending>,
    is_begun: bool,
}

/// What a look finds of subscriptions.
struct Settings {
    all: Vec<Subscription>,
    /// One does not open: it may be any.
    is_one_locked: bool,
    asked: Vec<(String, Ask)>,
    /// Those that something is kept of.
    standing: Vec<String>,
}

impl Outbox {
    /// Looks at what people ask for and what the log says. `now` is the time it is.
    pub fn look(&mut self, ledger: &Ledger, tenant: TenantId) -> Result<Looked, StoreError> {
        let now = ledger.clock().now();
        let mut looked = Looked::default();
        let settings = ledger.read(tenant, |view| settings(view, ledger))?;
        self.take_settings(ledger, tenant, &settings, &mut looked.notes)?;
        for (key, ask) in settings.asked {
            let id = key.split('/').next().unwrap_or_default();
            let is_known = self.known.contains_key(id);
            if is_known {
                self.do_as_asked(ledger, tenant, id, ask, now, &mut looked.notes)?;
            }
            // One that is forgotten is asked for nothing any more; one that does not open may open later.
            if is_known || !settings.is_one_locked {
                looked.notes.push(gone(ASKED, key));
            }
        }
        for sending in self.known.values_mut() {
            if sending.standing.off.is_none() && sending.messages.len() < WAIT {
                looked.more |= sending.follow(ledger, tenant, &mut looked.notes)?;
            }
        }
        Ok(looked)
    }

    /// Is nobody to be sent anything?
    pub fn is_empty(&self) -> bool {
        self.known.is_empty()
    }

    fn take_settings(
        &mut self,
        ledger: &Ledger,
        tenant: TenantId,
        settings: &Settings,
        notes: &mut Vec<Note>,
    ) -> Result<(), StoreError> {
        for subscription in &settings.all {
            if let Some(sending) = self.known.get_mut(&subscription.id) {
                sending.subscription = subscription.clone();
                continue;
            }
            let id = &subscription.id;
            let (standing, messages) = ledger.read(tenant, |view| {
                Ok::<_, StoreError>((standing(view, id)?, under::<Message>(view, WAITING, id)?))
            })?;
            let messages = messages.into_iter().map(|(_, message)| (message.id.clone(), message)).collect();
            let sending = Sending {
                subscription: subscription.clone(),
                standing,
                messages,
                under_way: BTreeSet::new(),
                replaced: BTreeSet::new(),
            };
            self.known.insert(id.clone(), sending);
        }
        if settings.is_one_locked {
            return Ok(());
        }
        let is_there = |id: &String| settings.all.iter().any(|subscription| subscription.id == *id);
        let before = self.known.len();
        self.known.retain(|id, _| is_there(id));
        if !self.is_begun || self.known.len() < before {
            for id in settings.standing.iter().filter(|id| !is_there(id)) {
                notes.extend(ledger.read(tenant, |view| all_of(view, id))?);
            }
        }
        self.is_begun = true;
        Ok(())
    }

    fn do_as_asked(
        &mut self,
        ledger: &Ledger,
        tenant: TenantId,
        id: &str,
        ask: Ask,
        now: Instant,
        notes: &mut Vec<Note>,
    ) -> Result<(), StoreError> {
        let Some(sending) = self.known.get_mut(id) else { return Ok(()) };
        let mut changed = Vec::new();
        match ask {
            Ask::Enable => {
                let Standing { seq, taken_at, taken, sweep, .. } = std::mem::take(&mut sending.standing);
                sending.standing = Standing { seq, taken_at, taken, sweep, ..Standing::default() };
                changed.extend(sending.messages.keys().cloned());
            }
            Ask::Resend { message } => {
                if !sending.messages.contains_key(&message) {
                    let sent = ledger.read(tenant, |view| under::<Message>(view, SENT, id))?;
                    let found = sent.into_iter().map(|(_, sent)| sent).find(|sent| sent.id == message);
                    sending.messages.extend(found.map(|found| (message.clone(), found)));
                }
                changed.push(message);
            }
            Ask::Replay { since } => {
                let is_meant = |message: &&Message| {
                    message.fate == Fate::GivenUp && since.is_none_or(|since| since <= message.made_at)
                };
                changed.extend(sending.messages.values().filter(is_meant).map(|message| message.id.clone()));
            }
            Ask::Stock => {
                let all = Sweep { places: None, after: ItemId(0) };
                sending.standing.sweep = Some(all);
            }
            Ask::Test { event, message } => {
                let made = test_message(event, message.clone(), sending.standing.seq, now);
                sending.messages.insert(message.clone(), made);
                changed.push(message);
            }
        }
        for message in changed {
            notes.extend(sending.send_again(&message, now));
        }
        notes.push(sending.standing_note());
        Ok(())
    }

    /// What is to be sent now; it is under way from here on, until it was answered.
    pub fn due(&mut self, now: Instant) -> Vec<Sendable> {
        let mut due = Vec::new();
        for sending in self.known.values_mut() {
            due.extend(sending.due(now));
        }
        due
    }

    /// When something is to be sent next, that is not under way; none: nothing waits.
    pub fn next_due(&self) -> Option<Instant> {
        self.known.values().filter_map(Sending::next_due).min()
    }

    /// Why nothing is sent to a subscription any more, where that is so.
    pub fn off(&self, subscription: &str) -> Option<&Off> {
        self.known.get(subscription)?.standing.off.as_ref()
    }

    /// Takes what came of an attempt that was begun at `at`. Nothing where nobody knows of it any more. `random` spreads those that
    /// wait.
    pub fn answered(
        &mut self,
        sent: &Sendable,
        answered: &Answered,
        (at, now): (Instant, Instant),
        delays: &[u32],
        random: u64,
    ) -> Vec<Note> {
        let Some(sending) = self.known.get_mut(&sent.subscription) else { return Vec::new() };
        sending.answered(&sent.message, answered, (at, now), delays, random)
    }
}

fn settings(view: &mut View<'_>, ledger: &Ledger) -> Result<Settings, StoreError> {
    let all = subscriptions(view, ledger.seal())?;
    let is_one_locked = all.iter().any(|(_, opened)| opened.is_err());
    let all = all.into_iter().filter_map(|(_, opened)| opened.ok()).collect();
    let mut asked = Vec::new();
    for (key, body) in view.notes(ASKED, None, super::PAGE)? {
        let ask = serde_json::from_str(&body)
            .map_err(|error| StoreError::Damaged(format!("note {ASKED}/{key}: {error}")))?;
        asked.push((key, ask));
    }
    let standing = view.notes(STANDING, None, usize::MAX >> 1)?.into_iter().map(|(id, _)| id).collect();
    Ok(Settings { all, is_one_locked, asked, standing })
}

/// What takes away all that is kept of a subscription that is no more.
fn all_of(view: &mut View<'_>, id: &str) -> Result<Vec<Note>, StoreError> {
    let mut notes = vec![gone(STANDING, id.to_owned())];
    for space in [WAITING, SENT, ASKED] {
        let kept = under::<serde::de::IgnoredAny>(view, space, id)?;
        notes.extend(kept.into_iter().map(|(key, _)| gone(space, key)));
    }
    Ok(notes)
}

impl Sending {
    /// Makes messages of what the log says next. Is there more?
    fn follow(
        &mut self,
        ledger: &Ledger,
        tenant: TenantId,
        notes: &mut Vec<Note>,
    ) -> Result<bool, StoreError> {
        let found = follow(ledger, tenant, &self.subscription, &self.standing)?;
        let Some(found) = found else { return Ok(false) };
        self.standing.seq = found.seq;
        self.standing.sweep = found.sweep;
        for message in found.messages {
            let is_older = |known: &&Message| known.about == message.about && known.seq <= message.seq;
            let older: Vec<String> =
                self.messages.values().filter(is_older).map(|known| known.id.clone()).collect();
            for id in older {
                if self.under_way.contains(&id) {
                    self.replaced.insert(id);
                } else {
                    self.messages.remove(&id);
                    notes.push(self.waiting_note(&id));
                }
            }
            let id = message.id.clone();
            self.messages.insert(id.clone(), message);
            notes.push(self.waiting_note(&id));
        }
        notes.push(self.standing_note());
        Ok(true)
    }

    /// What is kept of a message that waits, as it is now.
    fn waiting_note(&self, id: &str) -> Note {
        note(WAITING, format!("{}/{id}", self.subscription.id), self.messages.get(id))
    }

    fn standing_note(&mut self) -> Note {
        let given_up = self.messages.values().filter(|message| message.fate == Fate::GivenUp).count() as u64;
        self.standing.given_up = given_up;
        self.standing.waiting = self.messages.len() as u64 - given_up;
        note(STANDING, self.subscription.id.clone(), Some(&self.standing))
    }

    fn send_again(&mut self, id: &str, now: Instant) -> Option<Note> {
        let message = self.messages.get_mut(id)?;
        message.fate = Fate::Waiting;
        message.due_at = now;
        message.failures = 0;
        message.tried_at = None;
        Some(self.waiting_note(id))
    }

    fn rests(&self, now: Instant) -> bool {
        self.standing.off.is_some() || self.standing.rests_until.is_some_and(|until| now < until)
    }

    fn room(&self) -> usize {
        let most = if self.standing.failures >= ALONE_AFTER { 1 } else { BESIDE };
        most.saturating_sub(self.under_way.len())
    }

    fn waits(&self) -> impl Iterator<Item = &Message> {
        let is_waiting =
            |message: &&Message| message.fate == Fate::Waiting && !self.under_way.contains(&message.id);
        self.messages.values().filter(is_waiting)
    }

    fn next_due(&self) -> Option<Instant> {
        if self.standing.off.is_some() || self.room() == 0 {
            return None;
        }
        let first = self.waits().map(|message| message.due_at).min()?;
        Some(self.standing.rests_until.map_or(first, |until| until.max(first)))
    }

    fn due(&mut self, now: Instant) -> Vec<Sendable> {
        if self.rests(now) || self.room() == 0 {
            return Vec::new();
        }
        let mut due: Vec<&Message> = self.waits().filter(|message| message.due_at <= now).collect();
        due.sort_by_key(|message| (message.due_at, message.seq));
        // Two of one thing are sent one after the other.
        let mut about: BTreeSet<&str> = self.under_way.iter().filter_map(|id| self.about(id)).collect();
        due.retain(|message| about.insert(&message.about));
        due.truncate(self.room());
        let secrets = self.subscription.secrets_at(now);
        let sendable = |message: &Message| Sendable {
            subscription: self.subscription.id.clone(),
            name: self.subscription.name.clone(),
            url: self.subscription.url.clone(),
            secrets: secrets.clone(),
            message: message.id.clone(),
            body: message.body.clone(),
        };
        let due: Vec<Sendable> = due.into_iter().map(sendable).collect();
        self.under_way.extend(due.iter().map(|one| one.message.clone()));
        due
    }

    fn about(&self, id: &str) -> Option<&str> {
        self.messages.get(id).map(|message| message.about.as_str())
    }

    fn answered(
        &mut self,
        id: &str,
        answered: &Answered,
        (at, now): (Instant, Instant),
        delays: &[u32],
        random: u64,
    ) -> Vec<Note> {
        self.under_way.remove(id);
        let is_replaced = self.replaced.remove(id);
        let Some(mut message) = self.messages.remove(id) else { return Vec::new() };
        message.attempts.push(Attempt {
            at,
            took_ms: u64::try_from((now.micros() - at.micros()) / 1_000).unwrap_or(0),
            status: answered.status,
            said: answered.said.clone(),
        });
        let more = message.attempts.len().saturating_sub(ATTEMPTS);
        message.attempts.drain(..more);
        if answered.status.map_or(Verdict::Failed, verdict) == Verdict::Taken {
            return self.taken(message, now);
        }
        self.failed(&mut message, answered, at, now);
        match next_attempt(delays, message.failures, answered.retry_after, now, random) {
            Some(next) => message.due_at = next,
            None => self.give_up(&mut message, now),
        }
        // A newer one says what this one would.
        if !is_replaced {
            self.messages.insert(id.to_owned(), message);
        }
        vec![self.waiting_note(id), self.standing_note()]
    }

    fn taken(&mut self, mut message: Message, now: Instant) -> Vec<Note> {
        message.fate = Fate::Taken;
        let place = self.standing.taken % RING;
        let kept = note(SENT, format!("{}/{place:03}", self.subscription.id), Some(&message));
        let Standing { seq, off, taken, given_up_at, sweep, .. } = std::mem::take(&mut self.standing);
        let (taken, taken_at) = (taken + 1, Some(now));
        self.standing = Standing { seq, off, taken_at, taken, given_up_at, sweep, ..Standing::default() };
        vec![self.waiting_note(&message.id), kept, self.standing_note()]
    }

    fn failed(&mut self, message: &mut Message, answered: &Answered, at: Instant, now: Instant) {
        let standing = &mut self.standing;
        message.failures = message.failures.saturating_add(1);
        message.tried_at.get_or_insert(at);
        // Those that were under way together failed of one cause: they are one failure.
        if standing.failed_at.is_none_or(|failed| failed <= at) {
            standing.failures = standing.failures.saturating_add(1);
            standing.failed_at = Some(now);
        }
        standing.failing_since.get_or_insert(at);
        standing.why = why(answered);
        let until = rests_until(standing.failures, answered.status, answered.retry_after, now);
        standing.rests_until = Some(until).filter(|until| *until > now);
        if answered.status.is_some_and(|status| verdict(status) == Verdict::Gone) {
            let why = "it answered 410 Gone: nobody there wants webhooks any more".to_owned();
            standing.off.get_or_insert(Off { at: now, why });
        }
    }

    /// It was tried as often as is tried. Where nothing else was taken meanwhile nobody is there.
    fn give_up(&mut self, message: &mut Message, now: Instant) {
        message.fate = Fate::GivenUp;
        self.standing.given_up_at = Some(now);
        let since = message.tried_at.unwrap_or(now);
        if self.standing.taken_at.is_none_or(|taken| taken < since) {
            let (times, last) = (message.failures, &self.standing.why);
            let why = format!("nothing was taken since {since}, in {times} attempts at one message: {last}");
            self.standing.off.get_or_insert(Off { at: now, why });
        }
    }
}

fn why(answered: &Answered) -> String {
    match (answered.status, answered.said.as_str()) {
        (Some(status), "") => format!("it answered {status}"),
        (Some(status), said) => format!("it answered {status}: {said}"),
        (None, said) => said.to_owned(),
    }
}
