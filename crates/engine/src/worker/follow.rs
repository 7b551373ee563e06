//! Following the feed: which listings there are, and what each should show now.

use std::collections::{BTreeMap, BTreeSet};

use onhand_ledger::model::{BufferSize, Cause};
use onhand_ledger::{
    Body, Command, DiscrepancyId, Entry, Instant, ItemId, Key, ListingId, LocationId, LotId, Quantity, Seq,
    Value,
};
use onhand_store::StoreError;
use onhand_sync::{Stop, fall};

use super::lines::Sorted;
use super::zeros::{is_counted, takes, was_prompt};
use super::{Kept, Line, REVIEW_AFTER, Worker, WorkerError};
use crate::published::{Place, touched_by};
use crate::systems::{ShownState, Stopped, load_shown, remote_locations, shown_key};

/// How often it is looked whether there is anything new, before something else is done: time may go on for ever.
const LOOKED_AGAIN: u32 = 4;

/// What was committed of an item since it was last looked at.
#[derive(Clone, Copy)]
struct Touch {
    /// When the first of it was recorded.
    at: Instant,
    /// Was it an order, a hold, a shipment or time that took of it last?
    prompt: bool,
}

fn touch(touched: &mut BTreeMap<ItemId, Touch>, item: ItemId, at: Instant, prompt: bool) {
    touched.entry(item).or_insert(Touch { at, prompt: false }).prompt |= prompt;
}

impl Worker {
    /// Follows the feed up to the newest entry there is. What follows from what is new is committed, and others commit meanwhile: so it
    /// is looked again.
    pub(super) async fn refresh(&mut self) -> Result<(), WorkerError> {
        for _ in 0..LOOKED_AGAIN {
            if !self.follow().await? {
                return Ok(());
            }
        }
        self.refresh_due = true;
        Ok(())
    }

    /// Recomputes what listings should show that an entry touched. Was anything committed after it had looked?
    async fn follow(&mut self) -> Result<bool, WorkerError> {
        let ledger = self.handle.ledger().clone();
        let (tenant, id) = (self.tenant, self.id);
        let mut let_go = BTreeMap::new();
        let mut unmapped = Vec::new();
        let mut overdue = false;
        let mut policy_due = false;
        ledger.read(tenant, |view| {
            let head = view.seq();
            overdue = view.overdue();
            self.next_due = view.next_due();
            let passed = self.passed(view.now);
            if head == self.seq && !self.stale && passed.is_empty() {
                return Ok(());
            }
            let mut rules_changed = self.stale;
            let mut ruled_at = None;
            let mut touched = BTreeMap::<ItemId, Touch>::new();
            let mut ended = BTreeMap::<LotId, Instant>::new();
            let mut sized = BTreeMap::<ListingId, (ItemId, Box<BufferSize>)>::new();
            while !self.stale && self.seq < head {
                let records = view.records_after(self.seq, 4_096)?;
                let Some((first, last)) = records.last() else { break };
                let from = self.seq;
                self.seq = first + last.entries.len() as Seq - 1;
                self.parcels.follow(from, self.seq);
                for (_, record) in &records {
                    let counted = is_counted(&record.entries);
                    let mut taken = BTreeMap::<ItemId, Option<bool>>::new();
                    for entry in &record.entries {
                        self.outbound.see(entry, id);
                        let takes = takes(entry, counted);
                        touched_by(entry, |item| {
                            let known = taken.entry(item).or_default();
                            *known = (*known).max(takes);
                        });
                        match entry {
                            Entry::Buffer(listing, item, size) => {
                                sized.insert(*listing, (*item, size.clone()));
                            }
                            Entry::Order(order, known)
                                if known.system == id && self.channel.marks_shipped() =>
                            {
                                self.parcels.touch(*order, known);
                            }
                            Entry::Expires { lot, .. } => {
                                ended.insert(*lot, record.recorded_at);
                            }
                            Entry::Listing(_, listing, _) => {
                                self.stale = true;
                                if listing.system == id {
                                    self.review_at = Some(view.now.plus_micros(REVIEW_AFTER));
                                }
                            }
                            Entry::System(..) | Entry::Location(..) | Entry::Ownership(..) => {
                                self.stale = true
                            }
                            Entry::Publication(..) | Entry::SellingStop(..) => {
                                rules_changed = true;
                                ruled_at.get_or_insert(record.recorded_at);
                            }
                            Entry::Pushing(stopped) => self.pushing_stopped = stopped.is_some(),
                            // A person has seen to what stopped a listing.
                            Entry::Discrepancy(discrepancy, known)
                                if known.resolved_at.is_some() && known.system == id =>
                            {
                                let_go.insert(*discrepancy, known.chosen);
                            }
                            _ => {}
                        }
                    }
                    for (item, takes) in taken {
                        let at = record.recorded_at;
                        let known = touched.entry(item).or_insert(Touch { at, prompt: false });
                        known.prompt = takes.unwrap_or(known.prompt);
                    }
                }
            }
            if self.stale {
                // What came between was not looked at.
                self.outbound.rescan();
                if let Some(system) = view.system(id)? {
                    self.system = system;
                }
                self.pushing_stopped = view.rules()?.pushing_stopped.is_some();
                unmapped = self.load(view)?;
                rules_changed = true;
                ruled_at = None;
                // Who saw to it while nobody followed the feed.
                for line in self.lines.values() {
                    let about = line.state.stopped.as_ref().and_then(|stopped| stopped.discrepancy);
                    if let Some(discrepancy) = about
                        && let Some(Value::Discrepancy(known)) = view.get(&Key::Discrepancy(discrepancy))?
                        && known.resolved_at.is_some()
                    {
                        let_go.insert(discrepancy, known.chosen);
                    }
                }
                self.seq = head;
                self.stale = false;
                policy_due = true;
                for item in self.by_item.keys() {
                    touch(&mut touched, *item, view.now, false);
                }
            }
            for (listing, (item, size)) in sized {
                let keys = self.by_item.get(&item).map(|kept| kept.keys.clone()).unwrap_or_default();
                for key in keys {
                    if let Some(mut line) = self.lines.get_mut(&key).filter(|line| line.id == listing) {
                        line.listing.buffer = Some(size.clone());
                    }
                }
            }
            for item in passed {
                // Time alone: a hold, a lot's end, supply that is late.
                touch(&mut touched, item, view.now, true);
            }
            for (lot, at) in ended {
                if let Some(lot) = view.lot(lot)? {
                    touch(&mut touched, lot.item, at, true);
                }
            }
            // What of a kit is sold, or lies assembled, is not to be built of its components, or is.
            for (item, Touch { at, prompt }) in touched.clone() {
                for part in view.parts_of(item)? {
                    touch(&mut touched, part, at, prompt);
                }
            }
            // What a kit shows follows from what it is built of.
            for (item, Touch { at, prompt }) in touched.clone() {
                for kit in view.kits_around(item)? {
                    touch(&mut touched, kit, at, prompt);
                }
            }
            if rules_changed {
                self.index = view.published()?;
                policy_due = true;
            }
            for (item, touch) in touched {
                self.recompute(view, item, touch, true)?;
            }
            if let Some(at) = ruled_at {
                let all: Vec<ItemId> = self.by_item.keys().copied().collect();
                for item in all {
                    self.recompute(view, item, Touch { at, prompt: false }, false)?;
                }
            }
            // What has been computed again is not due any more.
            self.changing = self.changing.split_off(&(view.now.plus_micros(1), ItemId(0)));
            Ok(())
        })?;
        let commits =
            overdue || policy_due || !unmapped.is_empty() || !let_go.is_empty() || !self.relinked.is_empty();
        for discrepancy in unmapped {
            self.resolve(discrepancy).await?;
        }
        if overdue {
            // Time has done something that is no entry yet: it is one by now, and is heard of next.
            let body = Body::Tick;
            let tick = Command { key: None, fingerprint: 0, actor: "onhand".to_owned(), body };
            self.handle.submit(self.tenant, tick).await?;
        }
        self.tell_relinked().await?;
        self.forget_what_is_told().await?;
        if policy_due {
            self.check_policy().await?;
            self.end_questions().await?;
        }
        self.let_go(&let_go).await?;
        Ok(commits)
    }

    /// Items of which a number changes by now with no entry that says so.
    fn passed(&self, now: Instant) -> BTreeSet<ItemId> {
        self.changing.iter().take_while(|(at, _)| *at <= now).map(|(_, item)| *item).collect()
    }

    /// Computes again what all listings of an item should show: of its stock as it is now, or of what is known of it where only
    /// rules have changed.
    fn recompute(
        &mut self,
        view: &mut crate::View<'_>,
        item: ItemId,
        Touch { at: changed_at, prompt }: Touch,
        anew: bool,
    ) -> Result<(), StoreError> {
        let (sends, head) = (self.system.mode.direction.sends(), view.seq());
        let Some(kept) = self.by_item.get_mut(&item) else { return Ok(()) };
        if anew || kept.facts.is_none() {
            kept.facts = Some(view.facts_for_rules(item)?);
        }
        let Kept { keys, facts: Some(facts) } = kept else { return Ok(()) };
        for key in keys {
            let Some(mut line) = self.lines.get_mut(key) else { continue };
            let line = &mut *line;
            let place = Place {
                id: line.id,
                listing: &line.listing,
                item,
                system: &self.system,
                remote_location: &line.remote_location,
            };
            let is_known = line.basis.is_some();
            let mut basis = line.basis.take().filter(|_| !anew);
            let should = place.shown(view, &self.index, facts, &mut basis)?;
            line.basis = basis;
            let differed = line.differs();
            let fell_now = !line.desired.is_zero() && should.quantity.is_zero();
            let is_other = line.want(should.quantity, sends.then_some(changed_at), is_known);
            line.is_skipped = should.is_skipped;
            line.fall = if line.desired.is_zero() {
                let mapped = self.system.locations.iter();
                let behind: Vec<LocationId> = mapped
                    .filter(|mapping| mapping.remote_id == line.remote_location)
                    .map(|mapping| mapping.location)
                    .collect();
                // What has been sold and waits is not free, although it is there.
                let nothing_free = if should.halt.is_some() {
                    // Whoever stops selling something means it.
                    Some(true)
                } else if should.available.is_positive() && !should.claimed.is_positive() {
                    None
                } else {
                    Some(
                        should.claimed.is_positive() || was_prompt(view, item, &behind, line.state.of_since)?,
                    )
                };
                // What was sold before it was linked with it is none of its orders.
                let prompt = prompt && line.state.of_since.is_none_or(|since| since < head);
                Some(fall(fell_now.then_some(prompt), nothing_free, line.fall))
            } else {
                None
            };
            self.changing.extend(should.changes_at.map(|at| (at, item)));
            // What differed before differs since then.
            let since = line.changed_at.filter(|_| differed).unwrap_or(changed_at);
            line.changed_at = line.differs().then_some(since);
            if sends && line.differs() && (is_other || line.changed_at != line.state.differs_since) {
                self.unkept.insert(key.clone());
            }
        }
        Ok(())
    }

    /// What an outside master tells is not what we have sent: once its numbers are its own, what we knew of them is over.
    async fn forget_what_is_told(&mut self) -> Result<(), WorkerError> {
        if self.system.mode.direction.sends() {
            return Ok(());
        }
        if !self.reads() {
            self.read_back.clear();
            self.read_later.clear();
        }
        let mut forgotten = Vec::new();
        let mut over = Vec::new();
        // What it shows stays what it shows.
        let shown = |state: &ShownState| {
            let ShownState { of, of_since, observed, followed, counted, unheard, .. } = *state;
            ShownState { of, of_since, observed, followed, counted, unheard, ..ShownState::default() }
        };
        let known = self.lines.iter().filter(|(_, line)| line.state != shown(&line.state));
        forgotten.extend(known.map(|(key, _)| key.clone()));
        for key in &forgotten {
            let Some(mut line) = self.lines.get_mut(key) else { continue };
            let kept = shown(&line.state);
            over.extend(
                std::mem::replace(&mut line.state, kept).stopped.and_then(|stopped| stopped.discrepancy),
            );
            (line.reading, line.suspected) = (None, None);
        }
        self.keep(&forgotten).await?;
        for discrepancy in over {
            self.resolve(discrepancy).await?;
        }
        Ok(())
    }

    /// What was seen of listings that are of another item by now, or of another number of it, is not adopted: it would be of the wrong
    /// stock. Where a person was asked about it, it is told that the question is over.
    async fn tell_relinked(&mut self) -> Result<(), WorkerError> {
        for key in std::mem::take(&mut self.relinked) {
            let Some(mut line) = self.lines.get_mut(&key) else { continue };
            let (listing, observed) = (line.listing.clone(), line.state.observed);
            let asked = line.state.begin_anew(listing.item, listing.multiplier);
            drop(line);
            self.untold.retain(|found| found.key != key);
            self.read_back.insert(key.clone());
            self.keep(&[key]).await?;
            let Some(asked) = asked else { continue };
            if let Some(question) = asked.discrepancy {
                self.resolve(question).await?;
            }
            let (name, shown) =
                (&self.system.name, listing.remote_sku.as_ref().unwrap_or(&listing.remote_id));
            let number = observed.map_or_else(String::new, |(number, at)| format!(", {number} ({at})"));
            let sentence = format!(
                "What a person was asked about {shown} in {name} cannot be adopted any more: it showed another number than it should{number}, and was \
                 linked to another item since, or became a pack of another number. It is set to what it should be. Count what it was of before."
            );
            self.note_with(None, Cause::CannotAdopt, &listing, Quantity::ZERO, sentence, Vec::new()).await?;
        }
        Ok(())
    }

    /// Takes the listings as they are mapped now; what is known of those that stay, stays. Says what was told of those
    /// that are no longer mapped.
    fn load(&mut self, view: &mut crate::View<'_>) -> Result<Vec<DiscrepancyId>, StoreError> {
        let (mut known, seq) = (load_shown(view, self.id)?, view.seq());
        let mut before = std::mem::take(&mut self.lines);
        self.by_item.clear();
        for (listing_id, listing) in view.listings_in(self.id, ListingId(0), usize::MAX)? {
            let Some(item) = listing.item else { continue };
            for remote_location in remote_locations(&self.system) {
                let key = shown_key(listing_id, &remote_location);
                let state = known.remove(&key).unwrap_or_default();
                let mut line = match before.remove(&key) {
                    Some(line) => Line { listing: listing.clone(), ..line },
                    None => Line {
                        listing: listing.clone(),
                        id: listing_id,
                        remote_location,
                        kept_at: state.observed.map_or(Instant::MIN, |(_, at)| at),
                        // What was looked into when we stopped still is.
                        read_first: state.suspected.is_some() || state.of_another,
                        state,
                        desired: Quantity::ZERO,
                        is_skipped: false,
                        basis: None,
                        changed_at: None,
                        reading: None,
                        suspected: None,
                        fall: None,
                        known_since: None,
                        sorted: Sorted::default(),
                    },
                };
                if line.is_of_another(item, seq) {
                    // Others may be linked anew with it.
                    line.known_since = Some(view.now);
                    // What somebody changed before that was of the other one, and may not have been read yet.
                    if line.state.acknowledged.is_some() {
                        (line.state.of_another, line.read_first) = (true, true);
                    }
                    self.untold
                        .iter_mut()
                        .filter(|found| found.key == key)
                        .for_each(|found| found.of_another = true);
                    if line.is_asked() {
                        self.relinked.insert(key.clone());
                    }
                }
                if line.read_first || line.state.observed.is_none() || line.state.unanswered.is_some() {
                    self.read_back.insert(key.clone());
                }
                let is_untold =
                    |stopped: &Stopped| stopped.discrepancy.is_none() && stopped.why != Stop::Held;
                if line.state.stopped.as_ref().is_some_and(is_untold) {
                    self.untold_stops.insert(key.clone());
                }
                self.by_item.entry(item).or_default().keys.push(key.clone());
                self.lines.insert(key, line);
            }
        }
        let told = |line: Line| line.state.stopped.and_then(|stopped| stopped.discrepancy);
        Ok(before.into_values().filter_map(told).collect())
    }
}
