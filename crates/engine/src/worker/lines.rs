//! A system's lines, and those of them that something is to be done with, found without looking at all of them.
//!
//! Whoever changes a line does so through [`LineMut`], which sorts it anew when it is done: so no set can be forgotten.

use std::collections::{BTreeMap, BTreeSet, btree_map};
use std::ops::{Bound, Deref, DerefMut};

use onhand_ledger::{Instant, ItemId, ListingId, Quantity, Seq};
use onhand_sync::{Danger, Fall, Offer, danger, exposed};

use super::Line;
use crate::figures::Standing;
use crate::systems::shown_key;

/// Listings that are linked together follow each other within this, in microseconds.
const FOLLOW_WITHIN: i64 = 10_000_000;

/// Of a line, what decides which sets it is in.
#[expect(clippy::struct_excessive_bools, reason = "facts that are independent of each other")]
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(super) struct Sorted {
    /// It differs, and only time keeps it from being sent.
    open: Option<Danger>,
    /// It was read, and is to be judged.
    is_read: bool,
    /// It falls, or fell, to zero in a way that is guarded.
    is_guarded: bool,
    /// Nothing was ever acknowledged of it.
    is_new: bool,
    /// Its number is ours.
    is_ours: bool,
    /// It was last observed as it should be, with nothing unanswered.
    in_step: bool,
    /// Since when it does not show what it should, where no person is asked about it.
    behind_since: Option<Instant>,
}

/// The lines by their keys.
#[derive(Default)]
pub(super) struct Lines {
    all: BTreeMap<String, Line>,
    sets: Sets,
    exposed: Exposed,
}

/// What listings offer beyond what there is, each over all of its remote locations.
#[derive(Default)]
struct Exposed {
    /// In millionths of units, of those that do.
    of: BTreeMap<ListingId, i64>,
    sum: i128,
    /// These are to be looked at again.
    unsettled: BTreeSet<ListingId>,
}

#[derive(PartialEq, Eq, Default)]
struct Sets {
    open: BTreeSet<(Danger, String)>,
    read: BTreeSet<String>,
    guarded: BTreeSet<String>,
    new: usize,
    ours: usize,
    in_step: usize,
    /// How many are behind since when.
    behind: BTreeMap<Instant, usize>,
}

/// A line that may be changed.
pub(super) struct LineMut<'a> {
    key: &'a str,
    line: &'a mut Line,
    sets: &'a mut Sets,
    unsettled: &'a mut BTreeSet<ListingId>,
}

impl Deref for LineMut<'_> {
    type Target = Line;

    fn deref(&self) -> &Line {
        self.line
    }
}

impl DerefMut for LineMut<'_> {
    fn deref_mut(&mut self) -> &mut Line {
        self.line
    }
}

impl Drop for LineMut<'_> {
    fn drop(&mut self) {
        self.sets.sort(self.key, self.line);
        self.unsettled.insert(self.line.id);
    }
}

impl Line {
    /// Is what is known of it of another item, or of another number of it? From now on it is of this one.
    pub(super) fn is_of_another(&mut self, item: ItemId, seq: Seq) -> bool {
        let now = (item, self.listing.multiplier);
        let before = self.state.of.replace(now);
        if before != Some(now) {
            self.state.of_since = Some(seq);
        }
        before.is_some_and(|before| before != now)
    }

    /// May it be sent, as far as what is known of it goes? What was never read, or may be on its way, is read first; what nothing
    /// explains is looked into first; what is stopped waits for a person or for its time.
    fn may_be_sent(&self) -> bool {
        let state = &self.state;
        !self.is_skipped
            && state.acknowledged.is_some()
            && state.unanswered.is_none()
            && !state.followed
            && state.stopped.as_ref().is_none_or(|stopped| stopped.retry_at.is_some())
            && self.suspected.is_none()
            && !self.read_first
    }

    /// May it be sent now? What was refused waits for its time, unless it falls and is another number.
    pub(super) fn may_be_sent_at(&self, now: Instant) -> bool {
        let falls = self.state.shows().is_some_and(|shows| self.desired < shows);
        self.may_be_sent()
            && !self.is_one_of_many(now)
            && self.state.stopped.as_ref().is_none_or(|stopped| {
                let is_another = stopped.number.is_some_and(|refused| refused != self.desired);
                stopped.retry_at.is_some_and(|at| at <= now || (falls && is_another))
            })
    }

    /// Of a listing that has just become one of ours, and would fall to zero by no order: the others that were linked with it may follow.
    /// Whether they are a wave is seen once they have had the time for it.
    fn is_one_of_many(&self, now: Instant) -> bool {
        let is_new = self.known_since.is_some_and(|since| since.plus_micros(FOLLOW_WITHIN) > now);
        is_new && self.fall == Some(Fall::Guarded) && !self.state.zero_allowed
    }

    fn sorts(&self) -> Sorted {
        let differs = self.differs();
        Sorted {
            open: (differs && self.may_be_sent()).then(|| danger(self.state.shows(), self.desired)),
            is_read: self.reading.is_some(),
            is_guarded: self.is_held()
                || self.state.zero_allowed
                || (self.fall == Some(Fall::Guarded) && differs),
            is_new: self.state.acknowledged.is_none(),
            is_ours: !self.is_skipped,
            in_step: !self.is_skipped && self.state.is_in_step(self.desired),
            behind_since: self
                .changed_at
                .filter(|_| !self.is_skipped && differs && self.state.stopped.is_none()),
        }
    }

    /// What it may offer by what was observed, or acknowledged since; none where its number is not ours.
    fn offer(&self) -> Option<Offer<'_>> {
        let basis = self.basis.as_ref().filter(|_| !self.is_skipped)?;
        Some(Offer::new(self.state.offers(), self.listing.multiplier, basis.cover()))
    }
}

impl Sets {
    fn sort(&mut self, key: &str, line: &mut Line) {
        let now = line.sorts();
        let before = std::mem::replace(&mut line.sorted, now);
        self.change(key, before, now);
    }

    fn change(&mut self, key: &str, before: Sorted, now: Sorted) {
        if before == now {
            return;
        }
        if before.open != now.open {
            if let Some(danger) = before.open {
                self.open.remove(&(danger, key.to_owned()));
            }
            if let Some(danger) = now.open {
                self.open.insert((danger, key.to_owned()));
            }
        }
        let member = |set: &mut BTreeSet<String>, before: bool, now: bool| match (before, now) {
            (false, true) => drop(set.insert(key.to_owned())),
            (true, false) => drop(set.remove(key)),
            _ => {}
        };
        member(&mut self.read, before.is_read, now.is_read);
        member(&mut self.guarded, before.is_guarded, now.is_guarded);
        let count = |sum: usize, before: bool, now: bool| sum + usize::from(now) - usize::from(before);
        self.new = count(self.new, before.is_new, now.is_new);
        self.ours = count(self.ours, before.is_ours, now.is_ours);
        self.in_step = count(self.in_step, before.in_step, now.in_step);
        if before.behind_since != now.behind_since {
            if let Some(since) = before.behind_since
                && let Some(many) = self.behind.get_mut(&since)
            {
                *many -= 1;
                if *many == 0 {
                    self.behind.remove(&since);
                }
            }
            if let Some(since) = now.behind_since {
                *self.behind.entry(since).or_default() += 1;
            }
        }
    }
}

impl Lines {
    pub fn len(&self) -> usize {
        self.all.len()
    }

    pub fn get(&self, key: &str) -> Option<&Line> {
        self.all.get(key)
    }

    pub fn get_mut<'a>(&'a mut self, key: &'a str) -> Option<LineMut<'a>> {
        let line = self.all.get_mut(key)?;
        Some(LineMut { key, line, sets: &mut self.sets, unsettled: &mut self.exposed.unsettled })
    }

    pub fn insert(&mut self, key: String, mut line: Line) {
        self.remove(&key);
        line.sorted = Sorted::default();
        self.sets.sort(&key, &mut line);
        self.exposed.unsettled.insert(line.id);
        self.all.insert(key, line);
    }

    pub fn remove(&mut self, key: &str) -> Option<Line> {
        let line = self.all.remove(key)?;
        self.sets.change(key, line.sorted, Sorted::default());
        self.exposed.unsettled.insert(line.id);
        Some(line)
    }

    pub fn iter(&self) -> btree_map::Iter<'_, String, Line> {
        self.all.iter()
    }

    pub fn values(&self) -> btree_map::Values<'_, String, Line> {
        self.all.values()
    }

    pub fn into_values(self) -> btree_map::IntoValues<String, Line> {
        self.all.into_values()
    }

    /// The keys after one, at most so many.
    pub fn keys_after(&self, after: &str, limit: usize) -> Vec<String> {
        let after = (Bound::Excluded(after), Bound::Unbounded);
        self.all.range::<str, _>(after).take(limit).map(|(key, _)| key.clone()).collect()
    }

    /// Those that differ and may be sent, as far as time does not keep them: the most dangerous first.
    pub fn open(&self) -> impl Iterator<Item = (&String, &Line)> {
        self.sets.open.iter().filter_map(|(_, key)| Some((key, self.all.get(key)?)))
    }

    /// Those that were read and are to be judged.
    pub fn read(&self) -> Vec<String> {
        self.sets.read.iter().cloned().collect()
    }

    /// Those that are held, or fall to zero by what is guarded, or were allowed to.
    pub fn guarded(&self) -> Vec<String> {
        self.sets.guarded.iter().cloned().collect()
    }

    /// Is each in the sets that it belongs in, and nothing else in them?
    pub fn are_sorted(&self) -> bool {
        let mut sets = Sets::default();
        for (key, line) in &self.all {
            sets.change(key, Sorted::default(), line.sorts());
        }
        self.sets == sets
    }

    /// What they come to.
    pub fn standing(&mut self) -> Standing {
        self.settle();
        let Sets { ours, in_step, behind, .. } = &self.sets;
        let behind_since = behind.first_key_value().map(|(since, _)| *since);
        Standing { listings: *ours, in_step: *in_step, exposed: self.exposed.sum, behind_since }
    }

    /// Looks again at what those listings offer of which a line may have changed.
    fn settle(&mut self) {
        for listing in std::mem::take(&mut self.exposed.unsettled) {
            let now = self.exposed_of(listing);
            let before = match now {
                0 => self.exposed.of.remove(&listing),
                now => self.exposed.of.insert(listing, now),
            };
            self.exposed.sum += i128::from(now) - i128::from(before.unwrap_or_default());
        }
    }

    /// So much a listing offers beyond what there is, in millionths of units. The keys of its lines follow each other.
    fn exposed_of(&self, listing: ListingId) -> i64 {
        let first = shown_key(listing, "");
        let lines = self.all.range(first.clone()..).take_while(|(key, _)| key.starts_with(&first));
        let offers: Vec<Offer<'_>> = lines.filter_map(|(_, line)| line.offer()).collect();
        exposed(&offers).into_iter().sum::<Quantity>().micros()
    }

    /// Those that are not stopped were all read at this instant or later, as far as they ever were.
    pub fn read_since(&self) -> Option<Instant> {
        let goes = self.all.values().filter(|line| line.state.stopped.is_none());
        goes.filter_map(|line| line.state.observed).map(|(_, at)| at).min()
    }

    /// Is there any of which nothing was ever acknowledged?
    pub fn has_new(&self) -> bool {
        self.sets.new > 0
    }
}
