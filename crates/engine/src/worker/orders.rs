//! Hearing of what a system did by itself.

use std::collections::{BTreeMap, BTreeSet};

use onhand_channels::{ChannelError, Meaning, RemoteOrder, RemoteOrderLine};
use onhand_ledger::command::{Content, Document, Name, Note as NoteCommand, OrderContent, OrderContentLine};
use onhand_ledger::model::Cause;
use onhand_ledger::{Answer, Body, Instant, Invalid, Key, ListingId, Quantity, Value};
use onhand_store::{Note, StoreError};
use onhand_sync::{OwnChange, Stop, Summed};

use super::hooks::status_note;
use super::{Line, STATUS_SECONDS, Worker, WorkerError, shown_note};
use crate::commit::CommitError;
use crate::queue::SubmitError;
use crate::raw;
use crate::systems::{ShownState, Stopped, WorkerStatus, remote_locations, shown_key};

/// Between a listing's remote id and a remote location's.
const AT: char = '\u{1f}';

/// How it is named what is wanted of a listing at one of its system's locations.
fn shown_at(listing: &str, place: &str) -> String {
    format!("{listing}{AT}{place}")
}

/// At which of our locations a line is: the one that stands beside where its system set it aside, or beside all there is.
fn location_of(line: &RemoteOrderLine, codes: &[(String, String)]) -> Option<String> {
    let mut at = codes.iter().filter(|(remote, _)| match line.places.as_slice() {
        [] => true,
        [(place, _)] => place == remote,
        _ => false,
    });
    at.next().filter(|_| at.next().is_none()).map(|(_, code)| code.clone())
}

/// Up to where a page of orders is read.
pub(super) struct Read {
    cursor: String,
    /// All that was done over there up to this instant; none where there is more.
    known_to: Option<Instant>,
}

/// A line whose number the system changed by an order.
struct Changed {
    key: String,
    /// As it is from now on.
    state: ShownState,
    /// What the order did to it.
    by_it: Vec<OwnChange>,
}

impl Worker {
    /// Hears of orders that changed over there; each is a fact. The cursor moves in the transaction of the last of a page, or
    /// after it where that was nothing new: never before what it stands behind is applied.
    pub(super) async fn orders(&mut self) -> Result<(), WorkerError> {
        let announced = self.announced()?;
        let begun_at = self.now();
        self.follow_sent().await?;
        self.take_files().await?;
        loop {
            // What it shipped of what was sent to it is known up to before that was asked.
            let asked_at = if self.is_followed() { begun_at } else { self.now() };
            let page = self.channel.orders(self.status.cursor.as_deref()).await?;
            self.keep_to_budget();
            self.called = false;
            self.learn_clock(&page.orders);
            let read = Read { cursor: page.cursor.clone(), known_to: (!page.more).then_some(asked_at) };
            if let Some((last, before)) = page.orders.split_last() {
                for order in before {
                    self.order(order, None).await?;
                }
                self.order(last, Some(&read)).await?;
            }
            let moved = self.status.cursor.as_deref() != Some(page.cursor.as_str());
            if page.more && !moved {
                let reason = "it has more orders, and says no place to go on from".to_owned();
                return Err(ChannelError::Unexpected { system: self.system.name.clone(), reason }.into());
            }
            self.status.cursor = Some(page.cursor);
            if !page.more {
                self.status.orders_known_to = Some(asked_at);
            }
            if moved || self.now() > self.status_kept_at.plus_seconds(STATUS_SECONDS) {
                self.keep_status().await?;
            }
            if !page.more {
                return self.are_read(announced).await;
            }
        }
    }

    /// Its clock is ahead by as much as of what was told soonest. What was told before is put right by that too: all of it stays in the
    /// order of its clock.
    fn learn_clock(&mut self, told: &[RemoteOrder]) {
        let now = self.now().micros();
        let ahead = told.iter().map(|order| order.updated_at.micros().saturating_sub(now)).max();
        let before = self.status.clock_ahead_micros;
        self.status.clock_ahead_micros = before.max(ahead);
        let (Some(before), Some(known)) = (before, self.status.clock_ahead_micros) else { return };
        if known == before {
            return;
        }
        let has_changes = |line: &Line| !(line.state.changes.is_empty() && line.state.since_sent.is_empty());
        let lines = self.lines.iter().filter(|(_, line)| has_changes(line));
        let keys: Vec<String> = lines.map(|(key, _)| key.clone()).collect();
        for key in keys {
            let Some(mut line) = self.lines.get_mut(&key) else { continue };
            let line = &mut *line;
            for change in line.state.changes.iter_mut().chain(&mut line.state.since_sent) {
                change.at = change.at.plus_micros(before - known);
            }
        }
    }

    /// Its clock is ahead by no more than would have news of it be older than what we had heard all of. Times may be told to the second.
    fn bound_clock(&mut self, order: &RemoteOrder) {
        const TOLD_TO: i64 = 1_000_000;
        let Some(after) = self.all_heard_to() else { return };
        let at_most = order.updated_at.micros().saturating_sub(after.micros()).saturating_add(TOLD_TO);
        let at_most = self.status.clock_ahead_at_most_micros.map_or(at_most, |known| known.min(at_most));
        // A clock that was set anew contradicts what was known of it.
        let is_possible = self.status.clock_ahead_micros.is_none_or(|at_least| at_least <= at_most);
        self.status.clock_ahead_at_most_micros = is_possible.then_some(at_most);
    }

    /// So late it may tell of what it did, in microseconds.
    pub(super) fn told_within(&self) -> i64 {
        self.channel.tells_within_ms() * 1_000
    }

    /// What it did up to this instant, by our clock, has been heard of. None where it was never asked.
    pub(super) fn all_heard_to(&self) -> Option<Instant> {
        self.status.orders_known_to.map(|known_to| known_to.plus_micros(-self.told_within()))
    }

    /// Records one order as it is now, and what the system did to its own numbers by it.
    pub(super) async fn order(
        &mut self,
        order: &RemoteOrder,
        read: Option<&Read>,
    ) -> Result<(), WorkerError> {
        let space = format!("order:{}", self.id);
        let ledger = self.handle.ledger().clone();
        let (codes, before, applied, waiting) = ledger.read(self.tenant, |view| {
            let mut codes = Vec::new();
            for mapping in &self.system.locations {
                if let Some(known) = view.location(mapping.location)? {
                    codes.push((mapping.remote_id.clone(), known.code));
                }
            }
            let before = view.note(&space, &order.document)?;
            let applied = match view.get(&Key::Document(self.id, order.document.clone()))? {
                Some(Value::Document(known)) => Some(known.version),
                _ => None,
            };
            let waiting = view.get(&Key::Waiting(self.id, order.document.clone()))?.is_some();
            Ok((codes, before, applied, waiting))
        })?;
        let is_known = waiting || applied.is_some_and(|version| version > 0);
        if (order.history && !is_known) || applied.is_some_and(|version| order.version < version) {
            return Ok(());
        }
        self.learn_clock(std::slice::from_ref(order));
        if !waiting && applied.is_none_or(|version| version < order.version) {
            self.bound_clock(order);
        }
        let is_first = before.is_none();
        let wanted_before: BTreeMap<String, Quantity> =
            before.and_then(|body| serde_json::from_str(&body).ok()).unwrap_or_default();
        let mut wanted_now = BTreeMap::<String, Quantity>::new();
        for line in &order.lines {
            // What is wanted no more and was put back on sale nowhere still lowers its number.
            let wanted = if order.cancelled { Quantity::ZERO } else { line.quantity - line.returned };
            if line.places.is_empty() {
                *wanted_now.entry(line.listing.clone()).or_default() += wanted + line.withheld;
            }
            for (place, quantity) in &line.places {
                *wanted_now.entry(shown_at(&line.listing, place)).or_default() += *quantity;
            }
        }
        if self.status.cursor.is_some() && applied.is_none_or(|version| version < order.version) {
            let sum = |orders: &BTreeMap<String, Quantity>| orders.values().copied().sum::<Quantity>();
            let sold = sum(&wanted_now) - sum(&wanted_before);
            self.found_by_reading(&order.document, sold, order.updated_at);
        }
        let lines = order.lines.iter().map(|line| OrderContentLine {
            line: line.line.clone(),
            item: Name::Listing(line.listing.clone()),
            quantity: line.quantity,
            shipped: line.shipped,
            returned: line.returned,
            location: location_of(line, &codes),
            price: None,
        });
        let document = Document {
            system: self.system.name.clone(),
            document: order.document.clone(),
            version: order.version,
            content: Content::Order(OrderContent {
                placed_at: Some(order.placed_at),
                changed_at: Some(order.moved_at),
                cancelled: order.cancelled,
                lines: lines.collect(),
                ..OrderContent::default()
            }),
        };
        let body = serde_json::to_string(&wanted_now).expect("quantities by listing can always be written");
        let note = Note { space, key: order.document.clone(), body: Some(body) };
        let command = self.command(Body::Record(document));
        // What it did to its own number is kept in the same transaction: told again it would be no news.
        let named = order.lines.iter().map(|line| &line.listing);
        let known = wanted_before.keys().map(|name| name.split(AT).next().unwrap_or(name).to_owned());
        let known: Vec<String> = known.collect();
        let named: BTreeSet<&String> = named.chain(&known).collect();
        let listings = ledger.read(self.tenant, |view| {
            let id = |listing: &&String| view.get(&Key::RemoteListing(self.id, (*listing).clone()));
            let ids = named.iter().map(id).collect::<Result<Vec<_>, StoreError>>()?;
            Ok(ids.into_iter().filter_map(|id| match id {
                Some(Value::ListingId(id)) => Some(id),
                _ => None,
            }))
        })?;
        let listings: Vec<ListingId> = listings.collect();
        let changed = self.changed_by_itself(order, &listings, is_first, &wanted_before, &wanted_now);
        let states = changed.iter().map(|line| shown_note(self.id, &line.key, &line.state));
        let mut notes: Vec<Note> = std::iter::once(note).chain(states).collect();
        if let Some(raw) = &order.raw {
            let of = raw::Of { system: self.id, document: order.document.clone() };
            notes.extend(raw::notes(&ledger, self.tenant, &of, raw)?);
        }
        if let Some(Read { cursor, known_to }) = read {
            let orders_known_to = known_to.or(self.status.orders_known_to);
            let status =
                WorkerStatus { cursor: Some(cursor.clone()), orders_known_to, ..self.status.clone() };
            notes.push(status_note(self.id, &status));
        }
        match self.handle.submit_with(self.tenant, Some(command), notes).await {
            Ok(_) => {}
            Err(SubmitError::Commit(CommitError::Invalid(invalid))) => {
                return self.not_taken(order, &invalid, changed).await;
            }
            Err(error) => return Err(error.into()),
        }
        // What was there when we first asked says nothing of how soon we hear of one.
        if !is_known && self.status.orders_known_to.is_some() {
            let lag = (self.now().micros() - order.placed_at.micros()) / 1_000;
            self.status.order_lag.record(lag);
        }
        if !changed.is_empty() {
            self.next_read = self.next_read.max(self.now().plus_micros(self.pace.read_back_ms * 500));
        }
        for Changed { key, state, by_it } in changed {
            self.was_sold(&key, order.placed_at, &by_it);
            if let Some(mut line) = self.lines.get_mut(&key) {
                line.state = state;
            }
            self.read_back.insert(key);
        }
        Ok(())
    }

    /// Of these listings of an order, those whose number the system changed by an order, applied or waiting, as they are from now on.
    fn changed_by_itself(
        &self,
        order: &RemoteOrder,
        listings: &[ListingId],
        is_first: bool,
        before: &BTreeMap<String, Quantity>,
        now: &BTreeMap<String, Quantity>,
    ) -> Vec<Changed> {
        let heard_at = self.now();
        let ahead = self.status.clock_ahead_micros.unwrap_or_default();
        let by_our_clock = |at: Instant| at.plus_micros(-ahead).min(heard_at);
        let (placed_at, at) = (by_our_clock(order.placed_at), by_our_clock(order.updated_at));
        let not_before = self.all_heard_to();
        let mut changed = Vec::new();
        // What is simply shown falls by our hand alone.
        if self.channel.meaning() != Meaning::SellableNetOfOwnOrders {
            return changed;
        }
        for (key, line) in listings.iter().flat_map(|listing| self.lines_of(*listing)) {
            let listing = &line.listing.remote_id;
            let place = &line.remote_location;
            let named = shown_at(listing, place);
            let wanted = |orders: &BTreeMap<String, Quantity>| {
                [listing, &named].into_iter().filter_map(|name| orders.get(name)).copied().sum::<Quantity>()
            };
            // What was taken off and came back before we heard of it did both, and a write of ours may lie in between.
            let lines = order.lines.iter().filter(|line| is_first && line.listing == *listing);
            let placed: Quantity = lines
                .map(|line| match line.places.iter().find(|(at, _)| at == place) {
                    Some((_, quantity)) => *quantity,
                    None if line.places.is_empty() => line.quantity + line.withheld,
                    None => Quantity::ZERO,
                })
                .sum();
            let since = wanted(before) + placed - wanted(now);
            let change = |at, quantity, summed| OwnChange { at, heard_at, quantity, summed };
            // What it was before, nobody says of an order that is new to us and has changed already.
            let is_changed = order.updated_at != order.placed_at;
            let may_have_been_more = is_first && is_changed && placed.is_positive();
            let summed = Summed { begun_at: placed_at, not_before, may_have_been_more };
            let summed = is_changed.then_some(summed);
            let mut both = Vec::new();
            if !placed.is_zero() {
                both.push(change(placed_at, -placed, None));
            }
            if !since.is_zero() || may_have_been_more {
                both.push(change(at, since, summed));
            }
            if !both.is_empty() {
                let mut state = line.state.clone();
                state.counted = None;
                if state.may_arrive() {
                    state.since_sent.extend(&both);
                }
                state.changes.extend(&both);
                state.changes.sort();
                changed.push(Changed { key, state, by_it: both });
            }
        }
        changed
    }

    /// The lines of a listing, each with its key.
    fn lines_of(&self, listing: ListingId) -> impl Iterator<Item = (String, &Line)> {
        let keys = remote_locations(&self.system).into_iter().map(move |place| shown_key(listing, &place));
        keys.filter_map(|key| {
            let line = self.lines.get(&key)?;
            Some((key, line))
        })
    }

    /// A document that cannot be taken at all still reaches a person, once. What it names has been sold over there all
    /// the same: nothing is sent for it until that person has seen to it.
    async fn not_taken(
        &mut self,
        order: &RemoteOrder,
        invalid: &Invalid,
        changed: Vec<Changed>,
    ) -> Result<(), WorkerError> {
        let name = self.system.name.clone();
        let shown: String = order.document.chars().take(60).collect();
        let sentence = format!("Order {shown} of {name} could not be taken: {invalid}.");
        let evidence = serde_json::to_string(order).ok();
        let note = NoteCommand {
            system: name,
            sku: None,
            cause: Cause::UnknownName,
            quantity: Quantity::ZERO,
            sentence: sentence.clone(),
            evidence,
            choices: Vec::new(),
        };
        let mut command = self.command(Body::Note(note));
        let hash = blake3::hash(format!("{}/{}", order.document, order.version).as_bytes());
        command.key = Some(format!("not-taken/{}/{}", self.id, hash.to_hex()));
        let committed = self.handle.submit(self.tenant, command).await?;
        let Answer::Discrepancy(discrepancy) = committed.answer else { return Ok(()) };
        if committed.replayed {
            return Ok(());
        }
        let heard_at = self.now();
        let keys: Vec<String> = changed.iter().map(|line| line.key.clone()).collect();
        for Changed { key, mut state, .. } in changed {
            let (why, reason) = (Stop::Untaken, sentence.clone());
            state.stopped.get_or_insert(Stopped {
                why,
                reason,
                since: heard_at,
                times: 1,
                retry_at: None,
                number: None,
                discrepancy: Some(discrepancy),
            });
            if let Some(mut line) = self.lines.get_mut(&key) {
                line.state = state;
            }
        }
        self.keep(&keys).await
    }
}
